/* Key records as everybody may see them: JSON lines, class keys sealed to the roles, signed by the hub. */
#include "src/codec/encode.h"
#include "src/protect/keys_internal.h"
#include "src/protect/signed.h"

#define SIGN_LABEL "chartline key record 1\n"

enum { RECORD_BYTES_MAX = 1024 * 1024 };

static enum hub_result no_memory(struct hub_error *err)
{
    return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static enum hub_result set_base64(struct hub_arena *arena, struct hub_json *object, const char *key,
                                  struct hub_span bytes)
{
    const size_t cap = hub_encoded_len(HUB_BASE64, bytes.len) + 1;
    char *text = hub_arena_bytes(arena, cap);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, key,
                               hub_span_of(text, hub_encode(HUB_BASE64, bytes, text, cap)));
}

/* OUT has exactly LEN bytes. */
static bool get_base64(const struct hub_json *object, const char *key, uint8_t *out, size_t len)
{
    size_t got = 0;
    return hub_decode(HUB_BASE64, hub_json_get_span(object, key), out, len, &got) == HUB_OK && got == len;
}

/* --- signing --- */

static void sign(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN])
{
    hub_sign(((const struct hub_keys *)ctx)->secrets->sign, text, signature);
}

enum hub_result hub_key_record_sign(const struct hub_keys *keys, struct hub_arena *arena,
                                    struct hub_json *object, struct hub_span *line, struct hub_error *err)
{
    struct hub_signer signer = {
        .public_key = keys->sign_public, .sign = sign, .ctx = (void *)(uintptr_t)keys};
    return hub_signed_write(arena, SIGN_LABEL, object, &signer, line, err);
}

enum hub_result hub_key_record_parse(struct hub_arena *arena, struct hub_span line,
                                     const uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], struct hub_json **record,
                                     struct hub_error *err)
{
    return hub_signed_read(arena, SIGN_LABEL, line, sign_public, record, err);
}

/* --- class keys --- */

static enum hub_result add_grant(struct hub_arena *arena, struct hub_json *list,
                                 const struct hub_role_grant *grant, const uint8_t *secret,
                                 struct hub_error *err)
{
    uint8_t box[HUB_KEY_LEN + HUB_BOX_SEAL_LEN];
    struct hub_json *item = hub_json_new(arena, HUB_JSON_OBJECT);
    if (item == NULL)
        return no_memory(err);
    if (hub_box_seal(grant->public_key, hub_span_of(secret, HUB_KEY_LEN), box) != HUB_OK)
        return hub_fail(err, HUB_CONFIG, "a role's public key is not one", "make the role a new key pair");
    enum hub_result result = hub_json_set_string(arena, item, "role", hub_arena_copy(arena, hub_span_str(grant->name)));
    if (result == HUB_OK)
        result = set_base64(arena, item, "public", hub_span_of(grant->public_key, HUB_BOX_PUBLIC_LEN));
    if (result == HUB_OK)
        result = set_base64(arena, item, "box", hub_span_of(box, sizeof box));
    if (result == HUB_OK)
        result = hub_json_push(list, item);
    return result == HUB_OK ? HUB_OK : no_memory(err);
}

static enum hub_result set_copy(struct hub_arena *arena, struct hub_json *object, const char *key,
                                struct hub_span text)
{
    const struct hub_span copy = hub_arena_copy(arena, text);
    return copy.ptr != NULL ? hub_json_set_string(arena, object, key, copy) : HUB_NO_MEMORY;
}

/* What every record says: kind, when it was made and, of what somebody asked for, who. */
static enum hub_result record_new(const struct hub_keys *keys, struct hub_arena *arena, const char *kind,
                                  const char *by, struct hub_json **out)
{
    char time[HUB_TIME_TEXT_LEN + 1];
    *out = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(*out != NULL, HUB_NO_MEMORY);
    hub_time_format(hub_clock_wall_us(keys->clock), time);
    HUB_TRY(set_copy(arena, *out, "kind", hub_span_str(kind)));
    if (by != NULL && by[0] != '\0')
        HUB_TRY(set_copy(arena, *out, "by", hub_span_str(by)));
    return set_copy(arena, *out, "created", hub_span_str(time));
}

static enum hub_result set_class_key(struct hub_arena *arena, struct hub_json *object,
                                     const struct hub_class_key *key, const char *cause)
{
    HUB_TRY(set_copy(arena, object, "id", hub_span_str(key->id.text)));
    HUB_TRY(hub_json_set_string(arena, object, "class", hub_span_str(hub_data_class_name(key->class_))));
    HUB_TRY(hub_json_set_c(object, "epoch", hub_json_number_i64(arena, key->epoch)));
    return cause != NULL ? set_copy(arena, object, "cause", hub_span_str(cause)) : HUB_OK;
}

enum hub_result hub_key_record_build(const struct hub_keys *keys, struct hub_arena *arena,
                                     const struct hub_class_key *key, const char *cause, const char *by,
                                     const struct hub_role_grant *const *grants, size_t grant_count,
                                     struct hub_span *line, struct hub_error *err)
{
    struct hub_json *object = NULL, *list = hub_json_new(arena, HUB_JSON_ARRAY);
    enum hub_result result = list != NULL ? HUB_OK : HUB_NO_MEMORY;
    for (size_t i = 0; i < grant_count && result == HUB_OK; i++)
        HUB_TRY(add_grant(arena, list, grants[i], key->secret, err));
    if (result == HUB_OK)
        result = record_new(keys, arena, "class-key", by, &object);
    if (result == HUB_OK)
        result = set_class_key(arena, object, key, cause);
    if (result == HUB_OK)
        result = hub_json_set_c(object, "sealed", list);
    return result == HUB_OK ? hub_key_record_sign(keys, arena, object, line, err) : no_memory(err);
}

enum hub_result hub_key_record_text(const struct hub_keys *keys, struct hub_arena *arena, const char *kind,
                                    const char *by, const struct hub_record_text *texts, size_t count,
                                    struct hub_span *line, struct hub_error *err)
{
    struct hub_json *object = NULL;
    enum hub_result result = record_new(keys, arena, kind, by, &object);
    for (size_t i = 0; i < count && result == HUB_OK; i++)
        result = set_copy(arena, object, texts[i].member, texts[i].value);
    return result == HUB_OK ? hub_key_record_sign(keys, arena, object, line, err) : no_memory(err);
}

enum hub_result hub_keys_each_record(struct hub_keys *keys,
                                     bool (*callback)(void *ctx, struct hub_span json_line), void *ctx)
{
    const struct {
        enum hub_keys_family family;
        struct hub_span prefix;
    } places[] = {{HUB_KEYS_KEYS, HUB_SPAN("record/")},
                  {HUB_KEYS_KEYS, HUB_SPAN("role/")},
                  {HUB_KEYS_SHREDDED, HUB_SPAN_NONE}};
    bool more = true;
    for (size_t i = 0; i < sizeof places / sizeof places[0] && more; i++) {
        struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, places[i].family, places[i].prefix);
        HUB_ENSURE(iter != NULL, HUB_NO_MEMORY);
        while (more && hub_kv_iter_next(iter))
            more = callback(ctx, hub_kv_iter_value(iter));
        enum hub_result result = hub_kv_iter_result(iter, NULL);
        hub_kv_iter_free(iter);
        HUB_TRY(result);
    }
    return HUB_OK;
}

/* --- what a role reads --- */

static enum hub_result open_grant(const struct hub_role_key *role, const struct hub_json *record,
                                  uint8_t *key, struct hub_error *err)
{
    uint8_t public_key[HUB_BOX_PUBLIC_LEN], box[HUB_KEY_LEN + HUB_BOX_SEAL_LEN];
    const struct hub_json *list = hub_json_get(record, "sealed");
    for (const struct hub_json *g = list != NULL && list->type == HUB_JSON_ARRAY ? list->first : NULL;
         g != NULL; g = g->next) {
        if (!get_base64(g, "public", public_key, sizeof public_key) ||
            !hub_crypto_equal(public_key, role->public_key, sizeof public_key))
            continue;
        if (!get_base64(g, "box", box, sizeof box) ||
            hub_box_open(role->public_key, role->secret_key, hub_span_of(box, sizeof box), key) != HUB_OK)
            return hub_fail(err, HUB_CRYPTO, "a class key that its role cannot open", NULL);
        return HUB_OK;
    }
    return hub_fail(err, HUB_DENIED, "the class key is not sealed to this role", NULL);
}

enum hub_result hub_role_open_class(const struct hub_role_key *role,
                                    const uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], struct hub_span json_line,
                                    struct hub_key_id *id, enum hub_data_class *class_, uint8_t *key,
                                    struct hub_error *err)
{
    struct hub_arena arena;
    struct hub_json *record = NULL;
    enum hub_result result;
    hub_arena_init(&arena, RECORD_BYTES_MAX * 4);
    HUB_TRY_OUT(hub_key_record_parse(&arena, json_line, sign_public, &record, err));
    struct hub_span text = hub_json_get_span(record, "id");
    if (!hub_span_is(hub_json_get_span(record, "kind"), "class-key") || text.len != HUB_KEY_ID_LEN ||
        !hub_data_class_of(hub_json_get_span(record, "class"), class_) || *class_ == HUB_DATA_CLEAR) {
        result = hub_fail(err, HUB_NOT_FOUND, "not a class key record", NULL);
        goto out;
    }
    memcpy(id->text, text.ptr, text.len);
    id->text[HUB_KEY_ID_LEN] = '\0';
    result = open_grant(role, record, key, err);
out:
    hub_arena_deinit(&arena);
    return result;
}
