#include "src/crypto/state_file.h"

#include <string.h>

#include "src/codec/encode.h"
#include "src/crypto/crypto.h"

enum { HEX_MAX = 128, SUM_LINE_LEN = 4 + 2 * HUB_HASH_LEN + 1 };

void hub_state_file_begin(struct hub_buf *out, const char *title)
{
    hub_buf_append_str(out, title);
    hub_buf_append_byte(out, '\n');
}

void hub_state_file_text(struct hub_buf *out, const char *name, struct hub_span value)
{
    hub_buf_append_str(out, name);
    hub_buf_append_byte(out, ' ');
    hub_buf_append_span(out, value);
    hub_buf_append_byte(out, '\n');
}

void hub_state_file_number(struct hub_buf *out, const char *name, uint64_t value)
{
    hub_buf_append_str(out, name);
    hub_buf_append_byte(out, ' ');
    hub_buf_append_u64(out, value);
    hub_buf_append_byte(out, '\n');
}

void hub_state_file_hex(struct hub_buf *out, const char *name, struct hub_span value)
{
    hub_buf_append_str(out, name);
    hub_buf_append_byte(out, ' ');
    hub_encode_append(HUB_HEX, value, out);
    hub_buf_append_byte(out, '\n');
}

void hub_state_file_end(struct hub_buf *out)
{
    uint8_t sum[HUB_HASH_LEN];
    hub_sha256_of(hub_buf_view(out), sum);
    hub_state_file_hex(out, "sum", hub_span_of(sum, sizeof sum));
}

enum hub_result hub_state_file_open(struct hub_span text, const char *title, struct hub_span *rest)
{
    uint8_t stated[HUB_HASH_LEN];
    uint8_t sum[HUB_HASH_LEN];
    HUB_ENSURE(text.len > SUM_LINE_LEN, HUB_SYNTAX);
    struct hub_span body = hub_span_of(text.ptr, text.len - SUM_LINE_LEN);
    struct hub_span last = hub_span_of(text.ptr + body.len, SUM_LINE_LEN);
    HUB_ENSURE(hub_state_file_take_hex(&last, "sum", stated, sizeof stated) && last.len == 0, HUB_SYNTAX);
    hub_sha256_of(body, sum);
    HUB_ENSURE(memcmp(sum, stated, sizeof sum) == 0, HUB_SYNTAX);
    size_t len = strlen(title);
    HUB_ENSURE(body.len > len && memcmp(body.ptr, title, len) == 0 && body.ptr[len] == '\n', HUB_SYNTAX);
    *rest = hub_span_of(body.ptr + len + 1, body.len - len - 1);
    return rest->len == 0 || rest->ptr[rest->len - 1] == '\n' ? HUB_OK : HUB_SYNTAX;
}

bool hub_state_file_take(struct hub_span *rest, const char *name, struct hub_span *value)
{
    size_t name_len = strlen(name);
    const uint8_t *end = rest->len != 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : 0;
    if (end == NULL || len <= name_len || memcmp(rest->ptr, name, name_len) != 0 || rest->ptr[name_len] != ' ')
        return false;
    *value = hub_span_of(rest->ptr + name_len + 1, len - name_len - 1);
    *rest = hub_span_of(end + 1, rest->len - len - 1);
    return true;
}

bool hub_state_file_take_number(struct hub_span *rest, const char *name, uint64_t *value)
{
    struct hub_span before = *rest;
    struct hub_span text;
    if (hub_state_file_take(rest, name, &text) && hub_span_parse_u64(text, value))
        return true;
    *rest = before;
    return false;
}

bool hub_state_file_take_hex(struct hub_span *rest, const char *name, uint8_t *bytes, size_t len)
{
    struct hub_span before = *rest;
    struct hub_span text;
    char again[HEX_MAX + 1];
    size_t got = 0;
    if (hub_state_file_take(rest, name, &text) && text.len == 2 * len && text.len <= HEX_MAX &&
        hub_decode(HUB_HEX, text, bytes, len, &got) == HUB_OK && got == len &&
        hub_encode(HUB_HEX, hub_span_of(bytes, len), again, sizeof again) == text.len &&
        memcmp(again, text.ptr, text.len) == 0) /* one spelling only */
        return true;
    *rest = before;
    return false;
}

struct hub_span hub_state_file_word(struct hub_span *value)
{
    const uint8_t *space = value->len != 0 ? memchr(value->ptr, ' ', value->len) : NULL;
    size_t len = space != NULL ? (size_t)(space - value->ptr) : value->len;
    struct hub_span word = hub_span_of(value->ptr, len);
    size_t cut = space != NULL ? len + 1 : len;
    *value = hub_span_of(value->ptr + cut, value->len - cut);
    return word;
}
