/* One sealed field: keys, padding, layout, authentication (DESIGN section 4; docs/FORMATS.md has the bytes).
 */
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

#define FIELD_LABEL "chartline field 1"
#define COMMIT_LABEL "chartline commit 1"

enum hub_result hub_field_derive(struct hub_field_keys *f, enum hub_data_class class_,
                                 const uint8_t class_key[HUB_KEY_LEN], const uint8_t secret[HUB_KEY_LEN])
{
    uint8_t input[sizeof FIELD_LABEL - 1 + HUB_KEY_LEN], commit[sizeof COMMIT_LABEL - 1 + HUB_SALT_LEN];
    uint8_t field[HUB_KEY_LEN];
    memcpy(input, FIELD_LABEL, sizeof FIELD_LABEL - 1);
    memcpy(input + sizeof FIELD_LABEL - 1, secret, HUB_KEY_LEN);
    hub_blake2b(class_key, hub_span_of(input, sizeof input), field, HUB_KEY_LEN);
    memcpy(commit, COMMIT_LABEL, sizeof COMMIT_LABEL - 1);
    memcpy(commit + sizeof COMMIT_LABEL - 1, f->salt, HUB_SALT_LEN);
    hub_blake2b(field, hub_span_of(commit, sizeof commit), f->commitment[class_], HUB_HASH_LEN);
    enum hub_result result = hub_suite_key(f->suite, field, f->salt, f->key[class_]);
    f->have[class_] = result == HUB_OK;
    hub_mem_wipe(input, sizeof input);
    hub_mem_wipe(field, sizeof field);
    return result;
}

/* --- the seal attribute --- */

void hub_field_seal_write(const struct hub_field_keys *f, struct hub_buf *out)
{
    hub_buf_append_str(out, "1;");
    hub_buf_append_str(out, hub_suite_name(f->suite));
    hub_buf_append_byte(out, ';');
    hub_encode_append(HUB_BASE64URL, hub_span_of(f->salt, sizeof f->salt), out);
    hub_buf_append_byte(out, ';');
    hub_buf_append_str(out, f->secret_id.text);
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        if (!f->have[c])
            continue;
        hub_buf_append_byte(out, ';');
        hub_buf_append_str(out, hub_data_class_name((enum hub_data_class)c));
        hub_buf_append_byte(out, '@');
        hub_buf_append_str(out, f->class_id[c].text);
        hub_buf_append_byte(out, ':');
        hub_encode_append(HUB_BASE64URL, hub_span_of(f->commitment[c], HUB_HASH_LEN), out);
    }
}

/* Up to SEPARATOR, which is skipped; the rest when there is none. */
static struct hub_span cut(struct hub_span *text, char separator)
{
    const uint8_t *end = text->len != 0 ? memchr(text->ptr, separator, text->len) : NULL;
    const size_t len = end != NULL ? (size_t)(end - text->ptr) : text->len;
    struct hub_span head = hub_span_of(text->ptr, len);
    *text = end != NULL ? hub_span_of(end + 1, text->len - len - 1) : HUB_SPAN_NONE;
    return head;
}

static bool parse_id(struct hub_span text, struct hub_key_id *id)
{
    uint8_t bytes[HUB_KEY_ID_BYTES];
    if (text.len != HUB_KEY_ID_LEN)
        return false;
    memcpy(id->text, text.ptr, text.len);
    id->text[HUB_KEY_ID_LEN] = '\0';
    return hub_key_id_bytes(id, bytes);
}

static bool parse_base64url(struct hub_span text, uint8_t *out, size_t len)
{
    size_t got = 0;
    return hub_decode(HUB_BASE64URL, text, out, len, &got) == HUB_OK && got == len;
}

enum hub_result hub_field_seal_parse(struct hub_span text, struct hub_field_keys *out)
{
    memset(out, 0, sizeof *out);
    HUB_ENSURE(hub_span_is(cut(&text, ';'), "1"), HUB_SYNTAX);
    HUB_ENSURE(hub_suite_of(cut(&text, ';'), &out->suite), HUB_SYNTAX);
    HUB_ENSURE(parse_base64url(cut(&text, ';'), out->salt, sizeof out->salt), HUB_SYNTAX);
    HUB_ENSURE(parse_id(cut(&text, ';'), &out->secret_id), HUB_SYNTAX);
    while (text.len != 0) {
        struct hub_span part = cut(&text, ';');
        struct hub_span name = cut(&part, '@'), id = cut(&part, ':');
        enum hub_data_class class_;
        HUB_ENSURE(hub_data_class_of(name, &class_) && class_ != HUB_DATA_CLEAR && !out->have[class_],
                   HUB_SYNTAX);
        HUB_ENSURE(parse_id(id, &out->class_id[class_]), HUB_SYNTAX);
        HUB_ENSURE(parse_base64url(part, out->commitment[class_], HUB_HASH_LEN), HUB_SYNTAX);
        out->have[class_] = true;
    }
    return HUB_OK;
}

/* --- padding: a marker 0x80 and zeros, to a length that tells little --- */

/* At least one byte more, then at most a twelfth (Padme), in whole blocks. */
static size_t padded_len(size_t content_len)
{
    const size_t len = content_len + 1;
    unsigned exponent = 63u - (unsigned)__builtin_clzll((unsigned long long)len);
    unsigned bits = exponent == 0 ? 1 : 64u - (unsigned)__builtin_clzll((unsigned long long)exponent);
    const size_t mask = exponent > bits ? ((size_t)1 << (exponent - bits)) - 1 : 0;
    const size_t padme = (len + mask) & ~mask;
    return (padme + HUB_PAD_BLOCK - 1) / HUB_PAD_BLOCK * HUB_PAD_BLOCK;
}

size_t hub_field_sealed_len(size_t content_len)
{
    return HUB_SEALED_HEAD + padded_len(content_len) + HUB_TAG_LEN;
}

static bool unpad(struct hub_span padded, struct hub_span *content)
{
    size_t len = padded.len;
    while (len > 0 && padded.ptr[len - 1] == 0)
        len--;
    if (len == 0 || padded.ptr[len - 1] != 0x80)
        return false;
    *content = hub_span_of(padded.ptr, len - 1);
    return true;
}

/* --- sealing --- */

static void field_aad(const struct hub_field_keys *f, const struct hub_field_place *place,
                      enum hub_data_class class_, struct hub_lp *aad)
{
    const uint8_t suite = (uint8_t)f->suite, class_byte = (uint8_t)class_;
    aad->len = 0;
    hub_lp_add(aad, hub_span_of(&suite, 1));
    hub_lp_add(aad, place->event_id);
    hub_lp_add(aad, place->subject);
    hub_lp_add(aad, hub_span_of(&class_byte, 1));
    hub_lp_add(aad, hub_span_str(f->class_id[class_].text));
    hub_lp_add(aad, place->resource_id);
    hub_lp_add(aad, hub_span_of(place->remainder, HUB_HASH_LEN));
}

void hub_field_used(const struct hub_field_keys *f, struct hub_keys *keys)
{
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        if (f->fields[c] != 0)
            hub_keys_class_used(keys, (enum hub_data_class)c, &f->class_id[c], f->fields[c], f->bytes[c]);
    }
}

enum hub_result hub_field_seal(struct hub_field_keys *f, const struct hub_field_place *place,
                               enum hub_data_class class_, uint32_t ordinal, uint8_t *buffer,
                               size_t content_len)
{
    struct hub_lp aad;
    const size_t padded = padded_len(content_len);
    HUB_ASSERT(f->have[class_]);
    buffer[0] = (uint8_t)f->suite;
    buffer[1] = (uint8_t)class_;
    hub_le32(buffer + 2, ordinal);
    uint8_t *plain = buffer + HUB_SEALED_HEAD;
    plain[content_len] = 0x80;
    memset(plain + content_len + 1, 0, padded - content_len - 1);
    field_aad(f, place, class_, &aad);
    f->fields[class_]++;
    f->bytes[class_] += padded;
    return hub_suite_seal(f->suite, f->key[class_], buffer + 2, hub_lp_view(&aad),
                          hub_span_of(plain, padded), plain);
}

enum hub_result hub_field_class(struct hub_span sealed, enum hub_data_class *class_)
{
    HUB_ENSURE(sealed.len > HUB_SEALED_HEAD + HUB_TAG_LEN, HUB_CRYPTO);
    HUB_ENSURE(sealed.ptr[0] == HUB_SUITE_XC20P || sealed.ptr[0] == HUB_SUITE_AES256GCM, HUB_CRYPTO);
    HUB_ENSURE(sealed.ptr[1] > HUB_DATA_CLEAR && sealed.ptr[1] < HUB_DATA_CLASSES, HUB_CRYPTO);
    *class_ = (enum hub_data_class)sealed.ptr[1];
    return HUB_OK;
}

enum hub_result hub_field_open(const struct hub_field_keys *f, const struct hub_field_place *place,
                               struct hub_span sealed, uint8_t *out, struct hub_span *content)
{
    struct hub_lp aad;
    enum hub_data_class class_;
    HUB_TRY(hub_field_class(sealed, &class_));
    HUB_ENSURE(sealed.ptr[0] == (uint8_t)f->suite, HUB_CRYPTO);
    field_aad(f, place, class_, &aad);
    const struct hub_span body = hub_span_of(sealed.ptr + HUB_SEALED_HEAD, sealed.len - HUB_SEALED_HEAD);
    HUB_TRY(hub_suite_open(f->suite, f->key[class_], sealed.ptr + 2, hub_lp_view(&aad), body, out));
    return unpad(hub_span_of(out, body.len - HUB_TAG_LEN), content) ? HUB_OK : HUB_CRYPTO;
}

struct hub_span hub_protect_seal_secret(struct hub_span seal)
{
    struct hub_span rest = seal;
    for (int field = 0; field < 3; field++) {
        const uint8_t *end = rest.len > 0 ? memchr(rest.ptr, ';', rest.len) : NULL;
        if (end == NULL)
            return HUB_SPAN_NONE;
        size_t cut = (size_t)(end - rest.ptr) + 1;
        rest = hub_span_of(rest.ptr + cut, rest.len - cut);
    }
    const uint8_t *end = rest.len > 0 ? memchr(rest.ptr, ';', rest.len) : NULL;
    return end != NULL ? hub_span_of(rest.ptr, (size_t)(end - rest.ptr)) : rest;
}
