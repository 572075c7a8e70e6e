/* Messages in parts: parts cut at zero bytes. What joins is a message again, with the first part's header, that is no
 * part and holds nothing but the parts' segments; mending it changes nothing twice. */
#include <stdlib.h>

#include "adapters/formats/hl7v2/hl7_charset.h"
#include "adapters/formats/hl7v2/hl7_mend.h"
#include "adapters/formats/hl7v2/hl7_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS_MAX = 8, SEGMENTS_MAX = 1000 };

static void check(bool good)
{
    if (!good)
        abort();
}

static size_t cut(struct hub_span bytes, struct hub_span parts[PARTS_MAX])
{
    size_t count = 0;
    while (bytes.len != 0 && count < PARTS_MAX) {
        const uint8_t *end = memchr(bytes.ptr, 0, bytes.len);
        size_t len = end != NULL ? (size_t)(end - bytes.ptr) : bytes.len;
        parts[count++] = hub_span_of(bytes.ptr, len);
        size_t used = end != NULL ? len + 1 : len;
        bytes = hub_span_of(bytes.ptr + used, bytes.len - used);
    }
    return count;
}

static bool comes_from(struct hub_span segment, const struct hub_span *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (segment.len == 0 || memmem(parts[i].ptr, parts[i].len, segment.ptr, segment.len) != NULL)
            return true;
    return false;
}

static void mend(struct hub_arena *arena, struct hub_span text)
{
    struct hub_hl7 message;
    struct hub_hl7_input input;
    struct hub_span mended, again;
    if (hub_hl7_parse(arena, text, SEGMENTS_MAX, false, &message, NULL) != HUB_OK ||
        hub_hl7_mend(arena, &message, text, &mended, NULL) != HUB_OK)
        return;
    check(mended.len <= text.len + 1);
    if (mended.ptr != text.ptr && hub_hl7_parse(arena, mended, SEGMENTS_MAX, false, &message, NULL) == HUB_OK &&
        hub_hl7_mend(arena, &message, mended, &again, NULL) == HUB_OK)
        check(again.len <= mended.len + 1);
    enum hub_result result = hub_hl7_read(arena, text, NULL, false, SEGMENTS_MAX, &input, NULL);
    check(result != HUB_OK || input.message.segment_count != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_span parts[PARTS_MAX], whole, before, after;
    struct hub_hl7 message, first;
    size_t count = cut(hub_span_of(data, size), parts);
    hub_arena_init(&arena, 1 << 26);
    for (size_t i = 0; i < count; i++)
        mend(&arena, parts[i]);
    if (count != 0 && hub_hl7_join(&arena, parts, count, SEGMENTS_MAX, &whole, NULL) == HUB_OK) {
        check(hub_hl7_parse(&arena, whole, PARTS_MAX * SEGMENTS_MAX, false, &message, NULL) == HUB_OK);
        check(hub_hl7_parse(&arena, parts[0], SEGMENTS_MAX, false, &first, NULL) == HUB_OK);
        check(hub_span_equal(message.segments[0].bytes, first.segments[0].bytes));
        for (size_t i = 0; i < message.segment_count; i++)
            check(comes_from(message.segments[i].bytes, parts, count));
        hub_hl7_part(&message, &before, &after);
    }
    hub_arena_deinit(&arena);
    return 0;
}
