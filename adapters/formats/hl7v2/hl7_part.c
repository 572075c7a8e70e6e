#include "adapters/formats/hl7v2/hl7_part.h"

#include <string.h>

enum { MSH_TYPE = 9, MSH_POINTER = 14, MSH_CHARSET = 18, ID_LEN = 3 };

static bool is(const struct hub_hl7_segment *segment, const char *id)
{
    return memcmp(segment->id, id, ID_LEN + 1) == 0;
}

static struct hub_span value(struct hub_span field)
{
    struct hub_span text = hub_span_trim(field);
    return text.len == 0 || hub_hl7_is_null(text) ? HUB_SPAN_NONE : text;
}

/* Queries and their responses have a continuation protocol of their own (5.6.3). */
static bool is_query(const struct hub_hl7 *message)
{
    static const char *const responses[] = {"RSP", "RTB", "RDY", "ORF", "DSR", "TBR", "EDR", "ERP", "OSR", "ADR"};
    struct hub_span field = hub_hl7_field(&message->segments[0], MSH_TYPE);
    struct hub_span type = hub_span_trim(hub_hl7_component(message, hub_hl7_repetition(message, field, 0), 1));
    if (type.len != 0 && type.ptr[0] == 'Q')
        return true;
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++)
        if (hub_span_is(type, responses[i]))
            return true;
    return false;
}

void hub_hl7_part(const struct hub_hl7 *message, struct hub_span *before, struct hub_span *after)
{
    const struct hub_hl7_segment *last = &message->segments[message->segment_count - 1];
    *before = value(hub_hl7_field(&message->segments[0], MSH_POINTER));
    *after = HUB_SPAN_NONE;
    if (is(last, "DSC") && !hub_span_is(hub_span_trim(hub_hl7_field(last, 2)), "I"))
        *after = value(hub_hl7_field(last, 1));
    if ((before->len != 0 || after->len != 0) && is_query(message))
        *before = *after = HUB_SPAN_NONE;
}

static enum hub_result check_same(const struct hub_hl7 *first, const struct hub_hl7 *part, struct hub_error *err)
{
    if (memcmp(&first->delimiters, &part->delimiters, sizeof first->delimiters) != 0) {
        (void)hub_fail(err, HUB_SYNTAX, "a part of a message with other separators than the first", NULL);
        return hub_error_at(err, "MSH-2");
    }
    if (!hub_span_equal(hub_hl7_field(&first->segments[0], MSH_CHARSET), hub_hl7_field(&part->segments[0], MSH_CHARSET))) {
        (void)hub_fail(err, HUB_CHARSET_UNKNOWN, "a part of a message in another character set than the first", NULL);
        return hub_error_at(err, "MSH-18");
    }
    return HUB_OK;
}

/* How many segments there are before DSC, and before the ADD that marks a segment to be gone on with. */
static size_t content_end(const struct hub_hl7 *part)
{
    size_t end = part->segment_count;
    if (end > 1 && is(&part->segments[end - 1], "DSC"))
        end--;
    if (end > 1 && end < part->segment_count && is(&part->segments[end - 1], "ADD") &&
        part->segments[end - 1].bytes.len <= ID_LEN + 1)
        end--;
    return end;
}

enum hub_result hub_hl7_join(struct hub_arena *arena, const struct hub_span *parts, size_t count, uint32_t segments_max,
                             struct hub_span *out, struct hub_error *err)
{
    struct hub_hl7 first = {.segment_count = 0};
    size_t room = 1, len = 0;
    for (size_t i = 0; i < count; i++)
        room += parts[i].len + 1;
    char *text = hub_arena_bytes(arena, room);
    HUB_ENSURE(text != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    for (size_t i = 0; i < count; i++) {
        struct hub_hl7 part;
        HUB_TRY(hub_hl7_parse(arena, parts[i], segments_max, false, &part, err));
        if (i == 0)
            first = part;
        HUB_TRY(check_same(&first, &part, err));
        size_t end = content_end(&part);
        for (size_t s = i == 0 ? 0 : 1; s < end; s++) {
            struct hub_span segment = part.segments[s].bytes;
            memcpy(text + len, segment.ptr, segment.len);
            len += segment.len;
            text[len++] = '\r';
        }
    }
    *out = hub_span_of(text, len);
    return HUB_OK;
}
