#include "adapters/formats/hl7v2/hl7_charset.h"

#include "adapters/formats/hl7v2/hl7_mend.h"
#include "src/codec/charset.h"

enum { MSH_CHARSET = 18, HEAD_MAX = 64 * 1024, ESC = 0x1b };

struct hub_span hub_hl7_head(struct hub_span bytes)
{
    size_t at = bytes.len >= 3 && memcmp(bytes.ptr, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < bytes.len && bytes.ptr[at] <= ' ')
        at++;
    if (at == bytes.len)
        return HUB_SPAN_NONE;
    size_t end = at;
    while (end < bytes.len && bytes.ptr[end] != '\r' && bytes.ptr[end] != '\n')
        end++;
    struct hub_span line = hub_span_of(bytes.ptr + at, end - at);
    bool is_header = line.len >= 3 && line.len <= HEAD_MAX &&
                     hub_span_equal_nocase(hub_span_of(line.ptr, 3), HUB_SPAN("MSH"));
    return is_header ? line : HUB_SPAN_NONE;
}

void hub_hl7_error_at_byte(struct hub_error *err, const struct hub_hl7 *message, size_t offset)
{
    for (size_t i = 0; i < message->segment_count; i++) {
        const struct hub_hl7_segment *segment = &message->segments[i];
        size_t start = (size_t)(segment->bytes.ptr - message->bytes.ptr);
        if (offset < start || offset >= start + segment->bytes.len)
            continue;
        uint32_t n = 0;
        while (n < segment->field_count && segment->field_at[n] <= offset - start)
            n++;
        if (segment->id[0] == '\0')
            (void)hub_error_at(err, "segment %u", segment->number);
        else if (segment->occurrence == 1)
            (void)hub_error_at(err, "%s-%u", segment->id, n);
        else
            (void)hub_error_at(err, "%s[%u]-%u", segment->id, segment->occurrence, n);
        return;
    }
}

static enum hub_result unknown_set(struct hub_error *err, const char *what)
{
    (void)hub_fail(err, HUB_CHARSET_UNKNOWN, what, NULL);
    (void)hub_error_at(err, "MSH-%d", MSH_CHARSET);
    return HUB_CHARSET_UNKNOWN;
}

static struct hub_span set_name(const struct hub_hl7 *message, uint32_t n)
{
    struct hub_span field = hub_hl7_field(&message->segments[0], MSH_CHARSET);
    struct hub_span name =
        hub_span_trim(hub_hl7_component(message, hub_hl7_repetition(message, field, n), 1));
    return hub_hl7_is_null(name) ? HUB_SPAN_NONE : name;
}

/* Several sets: one of ISO 2022 reads them all; else the first alone, as long as nothing switches. */
static enum hub_result several_sets(const struct hub_hl7 *message, struct hub_span bytes,
                                    const struct hub_charset **out, struct hub_error *err)
{
    uint32_t count = hub_hl7_repetitions(message, hub_hl7_field(&message->segments[0], MSH_CHARSET));
    for (uint32_t n = 1; n < count; n++) {
        const struct hub_charset *other = hub_charset_find(set_name(message, n));
        if (other != NULL && hub_charset_is_escaped(other)) {
            *out = other;
            return HUB_OK;
        }
    }
    bool switches = count > 1 && memchr(bytes.ptr, ESC, bytes.len) != NULL;
    if (switches && (*out == NULL || !hub_charset_is_escaped(*out)))
        return unknown_set(err, "these character sets cannot be switched between by escape sequences");
    return HUB_OK;
}

/* NULL in *OUT: not declared. */
static enum hub_result declared_charset(const struct hub_hl7 *message, struct hub_span bytes,
                                        const char *feed_charset, bool overrides,
                                        const struct hub_charset **out, struct hub_error *err)
{
    struct hub_span name = overrides ? HUB_SPAN_NONE : set_name(message, 0);
    bool sent = name.len != 0;
    if (!sent)
        name = hub_span_str(feed_charset);
    *out = name.len != 0 ? hub_charset_find(name) : NULL;
    if (name.len != 0 && *out == NULL && !sent)
        return hub_fail(err, HUB_CONFIG, "the feed's charset is unknown", "name one of the sets in docs/CONFIGURATION.md");
    if (name.len != 0 && *out == NULL)
        return unknown_set(err, NULL);
    return overrides ? HUB_OK : several_sets(message, bytes, out, err);
}

/* Where a bad byte is can only be said of what stands before it: in a set of several bytes a character the
 * bytes of delimiters may be parts of others. OUT: that part as a message, when it is one. */
static void find_bad_byte(struct hub_arena *arena, const struct hub_charset *charset, struct hub_span good,
                          uint32_t segments_max, struct hub_hl7 *out, struct hub_error *err)
{
    struct hub_charset_text text;
    struct hub_hl7 before;
    if (hub_charset_to_utf8(arena, charset, good, &text) != HUB_OK)
        return;
    char *copy = hub_arena_bytes(arena, text.utf8.len + 1);
    if (copy == NULL)
        return;
    memcpy(copy, text.utf8.ptr, text.utf8.len);
    copy[text.utf8.len] = '?'; /* takes the bad byte's place */
    if (hub_hl7_parse(arena, hub_span_of(copy, text.utf8.len + 1), segments_max, false, &before, NULL) !=
        HUB_OK)
        return;
    hub_hl7_error_at_byte(err, &before, text.utf8.len);
    if (out != NULL)
        *out = before;
}

static enum hub_result charset_failed(enum hub_result result, size_t bad_at, struct hub_error *err)
{
    if (result == HUB_CHARSET_UNKNOWN)
        return unknown_set(err, NULL);
    (void)hub_fail(err, result, NULL, NULL);
    if (result == HUB_CHARSET)
        hub_error_number(err, (int64_t)bad_at);
    return result;
}

/* --- UTF-16 and UTF-32 --- */

static bool is_line_end(const uint8_t *at, const struct hub_charset_shape *shape)
{
    bool end = true;
    for (size_t i = 0; i < shape->unit; i++) {
        bool low = i == (shape->big ? shape->unit - 1U : 0U);
        end = end && (low ? at[i] == '\r' || at[i] == '\n' : at[i] == 0);
    }
    return end;
}

static struct hub_span wide_head(struct hub_span bytes, const struct hub_charset_shape *shape)
{
    size_t end = shape->mark_len;
    while (end + shape->unit <= bytes.len && !is_line_end(bytes.ptr + end, shape))
        end += shape->unit;
    return end <= HEAD_MAX ? hub_span_of(bytes.ptr, end) : HUB_SPAN_NONE;
}

/* OUT: the text that was parsed, BYTES or what is read instead. Twice mended at most: ADD behind line ends that were
 * text. */
static enum hub_result parse_mended(struct hub_arena *arena, struct hub_span bytes, uint32_t segments_max,
                                    struct hub_hl7 *message, struct hub_span *out, struct hub_error *err)
{
    *out = bytes;
    for (unsigned pass = 0; pass < 3; pass++) {
        struct hub_span mended;
        HUB_TRY(hub_hl7_parse(arena, *out, segments_max, false, message, err));
        HUB_TRY(hub_hl7_mend(arena, message, *out, &mended, err));
        if (mended.ptr == out->ptr)
            break;
        *out = mended;
    }
    return HUB_OK;
}

static enum hub_result read_wide(struct hub_arena *arena, struct hub_span bytes,
                                 const struct hub_charset *charset, const struct hub_charset_shape *shape,
                                 uint32_t segments_max, struct hub_hl7_input *out, struct hub_error *err)
{
    struct hub_charset_text text;
    struct hub_span content = hub_span_of(bytes.ptr + shape->mark_len, bytes.len - shape->mark_len);
    /* a framing that closed the last line with a CR of its own */
    while (content.len % shape->unit != 0 && content.ptr[content.len - 1] == '\r')
        content.len--;
    *out = (struct hub_hl7_input){.head = wide_head(bytes, shape), .charset = hub_charset_name(charset)};
    enum hub_result result = hub_charset_to_utf8(arena, charset, content, &text);
    if (result != HUB_OK) {
        (void)charset_failed(result, text.bad_at + shape->mark_len, err);
        if (result == HUB_CHARSET)
            find_bad_byte(arena, charset, hub_span_of(content.ptr, text.bad_at), segments_max, &out->message,
                          err);
        return result;
    }
    struct hub_span mended;
    HUB_TRY(parse_mended(arena, text.utf8, segments_max, &out->message, &mended, err));
    const struct hub_charset *declared = hub_charset_find(set_name(&out->message, 0));
    out->mislabelled = declared != NULL && hub_charset_is_converted(declared);
    return HUB_OK;
}

enum hub_result hub_hl7_read(struct hub_arena *arena, struct hub_span bytes, const char *feed_charset,
                             bool overrides, uint32_t segments_max, struct hub_hl7_input *out,
                             struct hub_error *err)
{
    const struct hub_charset *charset = NULL;
    struct hub_charset_shape shape;
    struct hub_charset_text text;
    charset = hub_charset_wide(bytes, &shape);
    if (charset != NULL)
        return read_wide(arena, bytes, charset, &shape, segments_max, out, err);
    struct hub_span original = bytes;
    *out = (struct hub_hl7_input){.head = hub_hl7_head(bytes), .charset = ""};
    HUB_TRY(parse_mended(arena, original, segments_max, &out->message, &bytes, err));
    if (bytes.ptr != original.ptr)
        out->head = hub_hl7_head(bytes);
    HUB_TRY(declared_charset(&out->message, bytes, feed_charset, overrides, &charset, err));
    if (charset != NULL)
        out->charset = hub_charset_name(charset);
    enum hub_result result = hub_charset_to_utf8(arena, charset, bytes, &text);
    if (result != HUB_OK) {
        (void)charset_failed(result, text.bad_at, err);
        if (result == HUB_CHARSET && charset != NULL && hub_charset_is_converted(charset))
            find_bad_byte(arena, charset, hub_span_of(bytes.ptr, text.bad_at), segments_max, NULL, err);
        else if (result == HUB_CHARSET)
            hub_hl7_error_at_byte(err, &out->message, text.bad_at);
        return result;
    }
    out->mislabelled = text.mislabelled;
    if (text.utf8.ptr == bytes.ptr)
        return HUB_OK;
    /* of a set of several bytes a character, parts may have looked like delimiters */
    return hub_hl7_parse(arena, text.utf8, segments_max, false, &out->message, err);
}
