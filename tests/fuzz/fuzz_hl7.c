/* HL7 v2 syntax: whatever parses is written back byte for byte, gaps between segments hold nothing, and every
 * accessor, cut and unescape stays inside the message. */
#include <stdlib.h>

#include "adapters/formats/hl7v2/hl7.h"
#include "src/codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void inside(const struct hub_hl7 *message, struct hub_span part)
{
    check(part.len != 0 ? part.ptr >= message->bytes.ptr && part.ptr + part.len <= message->bytes.ptr + message->bytes.len
                        : part.ptr == NULL);
}

static void visit_text(struct hub_arena *arena, const struct hub_hl7 *message, struct hub_span value)
{
    struct hub_span text;
    struct hub_buf escaped;
    bool utf8 = hub_utf8_valid(value);
    for (int formatted = 0; formatted < 2; formatted++)
        if (hub_hl7_text(arena, message, value, formatted != 0, &text) == HUB_OK && utf8)
            check(hub_utf8_valid(text));
    hub_buf_init(&escaped, 1 << 20, false);
    hub_hl7_escape(&message->delimiters, value, &escaped);
    struct hub_span view = hub_buf_view(&escaped);
    if (message->delimiters.escape != 0 && hub_buf_result(&escaped) == HUB_OK &&
        hub_hl7_text(arena, message, view, false, &text) == HUB_OK)
        check(hub_span_equal(text, value)); /* a field holds no line ends */
    hub_buf_deinit(&escaped);
}

static void visit_field(struct hub_arena *arena, const struct hub_hl7 *message, struct hub_span field)
{
    uint32_t repetitions = hub_hl7_repetitions(message, field);
    check((repetitions == 0) == (field.len == 0));
    for (uint32_t r = 0; r <= repetitions && r < 20; r++) {
        struct hub_span repetition = hub_hl7_repetition(message, field, r);
        inside(message, repetition);
        uint32_t components = hub_hl7_component_count(message, repetition);
        for (uint32_t c = 0; c <= components + 1 && c < 20; c++) {
            struct hub_span component = hub_hl7_component(message, repetition, c);
            inside(message, component);
            uint32_t subcomponents = hub_hl7_subcomponent_count(message, component);
            for (uint32_t s = 0; s <= subcomponents + 1 && s < 10; s++)
                inside(message, hub_hl7_subcomponent(message, component, s));
        }
    }
    (void)hub_hl7_is_null(field);
    visit_text(arena, message, field);
}

static void visit(struct hub_arena *arena, const struct hub_hl7 *message)
{
    const uint8_t *written = message->bytes.ptr;
    for (size_t i = 0; i < message->segment_count; i++) {
        const struct hub_hl7_segment *segment = &message->segments[i];
        inside(message, segment->bytes);
        check(segment->number == i + 1 && segment->occurrence >= 1 && segment->bytes.len > 0);
        for (; written < segment->bytes.ptr; written++)
            check(*written <= ' ' || (written - message->bytes.ptr < 3 && *written >= 0x80));
        written = segment->bytes.ptr + segment->bytes.len;
        for (uint32_t n = 0; n <= segment->field_count + 1 && n < 100; n++) {
            inside(message, hub_hl7_field(segment, n));
            visit_field(arena, message, hub_hl7_field(segment, n));
        }
    }
    for (; written < message->bytes.ptr + message->bytes.len; written++)
        check(*written <= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_hl7 message;
    struct hub_error error;
    hub_arena_init(&arena, 16 * 1024 * 1024);
    enum hub_result result = hub_hl7_parse(&arena, hub_span_of(data, size), 10000, true, &message, &error);
    if (result == HUB_OK) {
        struct hub_buf out;
        hub_buf_init(&out, size + 1, false);
        hub_hl7_serialise(&message, &out);
        check(hub_buf_result(&out) == HUB_OK && hub_span_equal(hub_buf_view(&out), hub_span_of(data, size)));
        hub_buf_deinit(&out);
        visit(&arena, &message);
    } else {
        check(error.result == result && message.segment_count == 0);
    }
    hub_arena_deinit(&arena);
    return 0;
}
