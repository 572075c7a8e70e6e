#include "src/log/record.h"

/* Payload: version 1, kind 1, recorded time 8, feed length 2 and bytes; then sections: kind 1, length 4,
 * bytes. */
enum {
    VERSION = 1,
    FIXED_LEN = 12,
    SECTION_LEN = 5,
    STATE_MAX = 256,
};

void hub_record_begin(struct hub_buf *out, enum hub_record_kind kind, int64_t recorded_us, const char *feed)
{
    struct hub_span name = hub_span_str(feed);
    HUB_ASSERT(name.len <= UINT16_MAX);
    hub_buf_append_byte(out, VERSION);
    hub_buf_append_byte(out, (uint8_t)kind);
    hub_buf_append_be64(out, (uint64_t)recorded_us);
    hub_buf_append_be16(out, (uint16_t)name.len);
    hub_buf_append_span(out, name);
}

void hub_record_add(struct hub_buf *out, enum hub_section_kind kind, struct hub_span bytes)
{
    HUB_ASSERT(bytes.len <= UINT32_MAX);
    hub_buf_append_byte(out, (uint8_t)kind);
    hub_buf_append_be32(out, (uint32_t)bytes.len);
    hub_buf_append_span(out, bytes);
}

static void add_text(uint8_t *out, size_t *len, const char *text)
{
    size_t text_len = strlen(text);
    out[(*len)++] = (uint8_t)text_len;
    memcpy(out + *len, text, text_len);
    *len += text_len;
}

void hub_record_add_dedup(struct hub_buf *out, const struct hub_dedup *dedup)
{
    uint8_t bytes[sizeof *dedup + 8];
    size_t len = 0;
    add_text(bytes, &len, dedup->message_id);
    add_text(bytes, &len, dedup->control_token);
    add_text(bytes, &len, dedup->answer);
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes[len++] = (uint8_t)(dedup->count >> shift);
    hub_record_add(out, HUB_SECTION_DEDUP, hub_span_of(bytes, len));
}

void hub_record_add_state(struct hub_buf *out, const char *what, const char *id, const char *state)
{
    struct hub_buf text;
    hub_buf_init(&text, STATE_MAX, false);
    hub_buf_printf(&text, "%s %s %s", what, id, state);
    if (hub_buf_result(&text) == HUB_OK)
        hub_record_add(out, HUB_SECTION_STATE, hub_buf_view(&text));
    else
        out->failed = hub_buf_result(&text);
    hub_buf_deinit(&text);
}

static bool take(struct hub_span *from, size_t len, struct hub_span *out)
{
    if (from->len < len)
        return false;
    *out = hub_span_of(from->ptr, len);
    if (len != 0)
        *from = hub_span_of(from->ptr + len, from->len - len);
    return true;
}

static uint64_t number(struct hub_span bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | bytes.ptr[i];
    return value;
}

enum hub_result hub_record_parse(struct hub_span payload, struct hub_record_view *out)
{
    struct hub_span fixed;
    if (!take(&payload, FIXED_LEN, &fixed) || fixed.ptr[0] != VERSION)
        return HUB_CORRUPT;
    if (fixed.ptr[1] < HUB_RECORD_MESSAGE || fixed.ptr[1] > HUB_RECORD_LAST)
        return HUB_CORRUPT;
    out->kind = (enum hub_record_kind)fixed.ptr[1];
    out->recorded_us = (int64_t)number(hub_span_of(fixed.ptr + 2, 8));
    if (!take(&payload, (size_t)number(hub_span_of(fixed.ptr + 10, 2)), &out->feed))
        return HUB_CORRUPT;
    out->sections = payload;
    return HUB_OK;
}

enum hub_result hub_record_next(struct hub_record_view *view, enum hub_section_kind *kind,
                                struct hub_span *bytes)
{
    for (;;) {
        struct hub_span fixed;
        if (view->sections.len == 0)
            return HUB_END;
        if (!take(&view->sections, SECTION_LEN, &fixed) ||
            !take(&view->sections, (size_t)number(hub_span_of(fixed.ptr + 1, 4)), bytes))
            return HUB_CORRUPT;
        if (fixed.ptr[0] < HUB_SECTION_EVENT || fixed.ptr[0] > HUB_SECTION_LAST)
            continue;
        *kind = (enum hub_section_kind)fixed.ptr[0];
        return HUB_OK;
    }
}

static bool take_text(struct hub_span *from, char *out, size_t out_cap)
{
    struct hub_span len;
    struct hub_span text;
    if (!take(from, 1, &len) || !take(from, len.ptr[0], &text) || text.len >= out_cap)
        return false;
    if (text.len != 0 && memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    if (text.len != 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

enum hub_result hub_record_dedup(struct hub_span section, struct hub_dedup *out)
{
    struct hub_span count;
    memset(out, 0, sizeof *out);
    if (!take_text(&section, out->message_id, sizeof out->message_id) ||
        !take_text(&section, out->control_token, sizeof out->control_token) ||
        !take_text(&section, out->answer, sizeof out->answer) || !take(&section, 4, &count) ||
        section.len != 0)
        return HUB_CORRUPT;
    out->count = (uint32_t)number(count);
    return HUB_OK;
}

static bool take_word(struct hub_span *from, struct hub_span *out)
{
    size_t len = 0;
    while (len < from->len && from->ptr[len] != ' ')
        len++;
    *out = hub_span_of(from->ptr, len);
    if (len == 0)
        return false;
    *from = hub_span_of(from->ptr + len, from->len - len);
    if (from->len != 0)
        *from = hub_span_of(from->ptr + 1, from->len - 1);
    return true;
}

enum hub_result hub_record_state(struct hub_span section, struct hub_record_state *out)
{
    if (section.len > STATE_MAX || !take_word(&section, &out->what) || !take_word(&section, &out->id) ||
        !take_word(&section, &out->state) || section.len != 0)
        return HUB_CORRUPT;
    return HUB_OK;
}
