#include "adapters/formats/hl7v2/hl7_mend.h"

enum { ID_LEN = 3, CONTINUATION_POINTER = 14 };

/* --- line ends written as text --- */

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

/* A segment begins here, or nothing is left. */
static bool is_segment(struct hub_span text, uint8_t separator)
{
    if (text.len == 0)
        return true;
    if (text.len <= ID_LEN || text.ptr[ID_LEN] != separator || !is_upper(text.ptr[0]))
        return false;
    for (size_t i = 1; i < ID_LEN; i++)
        if (!is_upper(text.ptr[i]) && (text.ptr[i] < '0' || text.ptr[i] > '9'))
            return false;
    return true;
}

/* Length of the mark at the start of TEXT, 0 = none. */
static size_t mark_at(struct hub_span text, uint8_t separator)
{
    static const char *const marks[] = {"\\r\\n", "\\r", "\\n", "<13>", "<CR>", "<cr>"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t len = strlen(marks[i]);
        if (text.len >= len && memcmp(text.ptr, marks[i], len) == 0 &&
            is_segment(hub_span_of(text.ptr + len, text.len - len), separator))
            return len;
    }
    return 0;
}

static struct hub_span end_lines(struct hub_arena *arena, struct hub_span text, uint8_t separator)
{
    char *copy = hub_arena_bytes(arena, text.len);
    size_t len = 0;
    if (copy == NULL)
        return HUB_SPAN_NONE;
    for (size_t at = 0; at < text.len;) {
        bool may = text.ptr[at] == '\\' || text.ptr[at] == '<';
        size_t mark = may ? mark_at(hub_span_of(text.ptr + at, text.len - at), separator) : 0;
        copy[len++] = mark != 0 ? '\r' : (char)text.ptr[at];
        at += mark != 0 ? mark : 1;
    }
    return hub_span_of(copy, len);
}

static bool has_marks(struct hub_span text, uint8_t separator)
{
    for (size_t at = 0; at < text.len; at++)
        if ((text.ptr[at] == '\\' || text.ptr[at] == '<') &&
            mark_at(hub_span_of(text.ptr + at, text.len - at), separator) != 0)
            return true;
    return false;
}

/* --- ADD --- */

static bool is_add(const struct hub_hl7_segment *segment)
{
    return memcmp(segment->id, "ADD", ID_LEN + 1) == 0;
}

static bool has_add(const struct hub_hl7 *message)
{
    for (size_t i = 1; i < message->segment_count; i++)
        if (is_add(&message->segments[i]))
            return true;
    return false;
}

static void append(char *to, size_t *len, struct hub_span part)
{
    if (part.len != 0)
        memcpy(to + *len, part.ptr, part.len);
    *len += part.len;
}

static enum hub_result join_segments(struct hub_arena *arena, const struct hub_hl7 *message, struct hub_span bytes,
                                     struct hub_span *out, struct hub_error *err)
{
    if (is_add(&message->segments[1])) {
        if (hub_hl7_field(&message->segments[0], CONTINUATION_POINTER).len != 0)
            return HUB_OK;
        (void)hub_fail(err, HUB_SYNTAX, "ADD continues MSH, which cannot be continued", "send MSH in one piece");
        return hub_error_at(err, "ADD");
    }
    char *copy = hub_arena_bytes(arena, bytes.len + 1);
    size_t len = 0;
    HUB_ENSURE(copy != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    for (size_t i = 0; i < message->segment_count; i++) {
        struct hub_span segment = message->segments[i].bytes;
        if (i > 0 && is_add(&message->segments[i])) {
            size_t head = segment.len > ID_LEN ? ID_LEN + 1 : ID_LEN;
            append(copy, &len, hub_span_of(segment.ptr + head, segment.len - head));
            continue;
        }
        if (i > 0)
            copy[len++] = '\r';
        append(copy, &len, segment);
    }
    copy[len++] = '\r';
    *out = hub_span_of(copy, len);
    return HUB_OK;
}

enum hub_result hub_hl7_mend(struct hub_arena *arena, const struct hub_hl7 *message, struct hub_span bytes,
                             struct hub_span *out, struct hub_error *err)
{
    *out = bytes;
    if (message->segment_count == 1) {
        struct hub_span line = message->segments[0].bytes;
        if (!has_marks(line, message->delimiters.field))
            return HUB_OK;
        *out = end_lines(arena, line, message->delimiters.field);
        return out->ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    return has_add(message) ? join_segments(arena, message, bytes, out, err) : HUB_OK;
}
