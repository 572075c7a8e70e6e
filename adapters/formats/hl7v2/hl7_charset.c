#include "adapters/formats/hl7v2/hl7_charset.h"

#include "src/codec/charset.h"

enum { MSH_CHARSET = 18, HEAD_MAX = 64 * 1024 };

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

/* NULL in *OUT: not declared. */
static enum hub_result declared_charset(const struct hub_hl7 *message, const char *feed_charset,
                                        const struct hub_charset **out, struct hub_error *err)
{
    struct hub_span field = hub_hl7_field(&message->segments[0], MSH_CHARSET);
    struct hub_span name = hub_hl7_component(message, hub_hl7_repetition(message, field, 0), 1);
    name = hub_span_trim(name);
    bool sent = name.len != 0 && !hub_hl7_is_null(name);
    if (!sent)
        name = hub_span_str(feed_charset);
    *out = name.len != 0 ? hub_charset_find(name) : NULL;
    if (name.len == 0 || *out != NULL)
        return HUB_OK;
    if (!sent)
        return hub_fail(err, HUB_CONFIG, "the feed's charset is unknown", "name one of the sets in docs/CONFIGURATION.md");
    (void)hub_fail(err, HUB_CHARSET_UNKNOWN, NULL, NULL);
    (void)hub_error_at(err, "MSH-%d", MSH_CHARSET);
    return HUB_CHARSET_UNKNOWN;
}

static enum hub_result charset_failed(enum hub_result result, const struct hub_hl7 *message, size_t bad_at,
                                      struct hub_error *err)
{
    (void)hub_fail(err, result, NULL, NULL);
    if (result == HUB_CHARSET) {
        hub_error_number(err, (int64_t)bad_at);
        hub_hl7_error_at_byte(err, message, bad_at);
    } else if (result == HUB_CHARSET_UNKNOWN) {
        (void)hub_error_at(err, "MSH-%d", MSH_CHARSET);
    }
    return result;
}

enum hub_result hub_hl7_read(struct hub_arena *arena, struct hub_span bytes, const char *feed_charset, uint32_t segments_max,
                             struct hub_hl7_input *out, struct hub_error *err)
{
    const struct hub_charset *charset = NULL;
    struct hub_charset_text text;
    *out = (struct hub_hl7_input){.head = hub_hl7_head(bytes), .charset = ""};
    HUB_TRY(hub_hl7_parse(arena, bytes, segments_max, false, &out->message, err));
    HUB_TRY(declared_charset(&out->message, feed_charset, &charset, err));
    if (charset != NULL)
        out->charset = hub_charset_name(charset);
    enum hub_result result = hub_charset_to_utf8(arena, charset, bytes, &text);
    if (result != HUB_OK)
        return charset_failed(result, &out->message, text.bad_at, err);
    out->mislabelled = text.mislabelled;
    if (text.utf8.ptr == bytes.ptr)
        return HUB_OK;
    /* delimiters are ASCII in every set of the table, so the same segments and fields come out again */
    return hub_hl7_parse(arena, text.utf8, segments_max, false, &out->message, err);
}
