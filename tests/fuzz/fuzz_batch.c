/* Batches: the pieces lie in the input in order and leave out blanks and byte order marks only, every message is in
 * exactly one batch and every batch in one file, and the answer is a batch again that says as many messages as it
 * has. */
#include <stdlib.h>

#include "adapters/formats/hl7v2/ack.h"
#include "adapters/formats/hl7v2/hl7_batch.h"
#include "adapters/formats/hl7v2/hl7_charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES_MAX = 500 };

static void check(bool good)
{
    if (!good)
        abort();
}

static bool is_left_out(uint8_t c)
{
    return c <= ' ' || c == 0xef || c == 0xbb || c == 0xbf;
}

static void cut(struct hub_span bytes)
{
    struct hub_span rest = bytes, piece;
    const uint8_t *at = bytes.ptr;
    while (hub_hl7_cut_piece(&rest, &piece) != HUB_HL7_END) {
        check(piece.len != 0 && piece.ptr >= at && piece.ptr + piece.len <= bytes.ptr + bytes.len);
        for (; at < piece.ptr; at++)
            check(is_left_out(*at));
        at = piece.ptr + piece.len;
        check(rest.len == 0 || rest.ptr == at);
    }
    for (; at < bytes.ptr + bytes.len; at++)
        check(is_left_out(*at));
}

static void check_plan(const struct hub_parts *parts)
{
    const struct hub_hl7_plan *plan = parts->plan;
    size_t batch = 0, message = 0;
    for (size_t i = 0; i < plan->file_count; i++) {
        check(plan->files[i].first == batch);
        batch += plan->files[i].count;
    }
    for (size_t i = 0; i < plan->batch_count; i++) {
        check(plan->batches[i].first == message);
        message += plan->batches[i].count;
    }
    check(batch == plan->batch_count && message == parts->count);
}

static uint64_t said(struct hub_span line)
{
    uint64_t count = 0;
    size_t len = 4;
    check(line.len > 4);
    while (len < line.len && line.ptr[len] >= '0' && line.ptr[len] <= '9')
        len++;
    check(hub_span_parse_u64(hub_span_of(line.ptr + 4, len - 4), &count));
    return count;
}

/* One kind of answers. */
static void check_answer(struct hub_span answer)
{
    struct hub_span piece;
    enum hub_hl7_piece kind;
    uint64_t messages = 0;
    check(hub_hl7_is_batch(answer));
    while ((kind = hub_hl7_cut_piece(&answer, &piece)) != HUB_HL7_END) {
        messages += kind == HUB_HL7_MESSAGE ? 1 : 0;
        if (kind != HUB_HL7_BTS)
            continue;
        check(said(piece) == messages);
        messages = 0;
    }
    check(messages == 0);
}

static void bundle(struct hub_arena *arena, const struct hub_parts *parts, enum hub_ack_mode mode, bool good)
{
    struct hub_span *answers = HUB_ARENA_ARRAY(arena, struct hub_span, parts->count + 1);
    const struct hub_verdict whole = {.result = HUB_OK, .message_id = "w", .recorded_us = 1};
    struct hub_verdict verdict = {.result = good ? HUB_OK : HUB_TYPE, .message_id = "m"};
    struct hub_buf out;
    check(answers != NULL);
    for (size_t i = 0; i < parts->count; i++) {
        hub_buf_init(&out, 1 << 24, false);
        check(hub_hl7_ack(mode, hub_hl7_head(parts->messages[i]), &verdict, &out) == HUB_OK);
        answers[i] = hub_arena_copy(arena, hub_buf_view(&out));
        hub_buf_deinit(&out);
    }
    hub_buf_init(&out, 1 << 26, false);
    check(hub_hl7_bundle(mode, parts, answers, &whole, &out) == HUB_OK);
    struct hub_span rest = hub_buf_view(&out);
    check(rest.len == 0 || memchr(rest.ptr, 0x0b, rest.len) == NULL);
    while (rest.len != 0) {
        const uint8_t *end = memchr(rest.ptr, HUB_ANSWER_SEPARATOR, rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        check_answer(hub_span_of(rest.ptr, len));
        len += end != NULL ? 1 : 0;
        rest = hub_span_of(rest.ptr + len, rest.len - len);
    }
    hub_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_parts parts;
    struct hub_error err = {0};
    if (size < 1)
        return 0;
    struct hub_span bytes = hub_span_of(data + 1, size - 1);
    cut(bytes);
    hub_arena_init(&arena, 1 << 26);
    enum hub_result result = hub_hl7_split(&arena, bytes, MESSAGES_MAX, &parts, &err);
    check((result == HUB_NOT_FOUND) == !hub_hl7_is_batch(bytes));
    check(result == HUB_OK || result == HUB_NOT_FOUND || result == HUB_TOO_MANY);
    if (result == HUB_OK) {
        check_plan(&parts);
        bundle(&arena, &parts, data[0] % 4, (data[0] & 4) != 0);
    }
    hub_arena_deinit(&arena);
    return 0;
}
