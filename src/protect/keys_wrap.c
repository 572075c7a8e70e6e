#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/keys_internal.h"

enum { WRAP_VERSION = 1, PLAIN_MAX = 128 };

static void wrap_aad(struct hub_lp *aad, const char *kind, struct hub_span name)
{
    aad->len = 0;
    hub_lp_add(aad, HUB_SPAN("chartline key store 1"));
    hub_lp_add(aad, hub_span_str(kind));
    hub_lp_add(aad, name);
}

void hub_keys_wrap(const struct hub_keys *keys, const char *kind, struct hub_span name, struct hub_span plain,
                   uint8_t *out)
{
    struct hub_lp aad;
    wrap_aad(&aad, kind, name);
    out[0] = WRAP_VERSION;
    hub_random(out + 1, HUB_XNONCE_LEN);
    hub_aead_seal(keys->secrets->wrap, out + 1, hub_lp_view(&aad), plain, out + 1 + HUB_XNONCE_LEN);
}

enum hub_result hub_keys_unwrap(const struct hub_keys *keys, const char *kind, struct hub_span name,
                                struct hub_span record, uint8_t *plain, size_t len, struct hub_error *err)
{
    struct hub_lp aad;
    wrap_aad(&aad, kind, name);
    if (record.len != len + HUB_WRAP_OVERHEAD || record.ptr[0] != WRAP_VERSION ||
        hub_aead_open(keys->secrets->wrap, record.ptr + 1, hub_lp_view(&aad),
                      hub_span_of(record.ptr + 1 + HUB_XNONCE_LEN, len + HUB_TAG_LEN), plain) != HUB_OK)
        return hub_fail(err, HUB_CORRUPT,
                        "a record of the key store was changed or wrapped with another root key",
                        "restore the key store from its backup");
    return HUB_OK;
}

void hub_keys_put(struct hub_keys *keys, struct hub_kv_batch *batch, enum hub_keys_family family,
                  const char *kind, struct hub_span name, struct hub_span plain)
{
    uint8_t record[PLAIN_MAX + HUB_WRAP_OVERHEAD];
    HUB_ASSERT(plain.len <= PLAIN_MAX);
    hub_keys_wrap(keys, kind, name, plain, record);
    hub_kv_batch_put(batch, keys->kv, family, name, hub_span_of(record, plain.len + HUB_WRAP_OVERHEAD));
}

enum hub_result hub_keys_get(struct hub_keys *keys, enum hub_keys_family family, const char *kind,
                             struct hub_span name, uint8_t *plain, size_t len, struct hub_error *err)
{
    struct hub_kv_value value;
    HUB_TRY(hub_kv_get(keys->kv, family, name, &value, err));
    enum hub_result result = hub_keys_unwrap(keys, kind, name, value.bytes, plain, len, err);
    hub_kv_value_free(&value);
    return result;
}

void hub_key_id_text(const uint8_t bytes[HUB_KEY_ID_BYTES], struct hub_key_id *out)
{
    (void)hub_encode(HUB_HEX, hub_span_of(bytes, HUB_KEY_ID_BYTES), out->text, sizeof out->text);
}

bool hub_key_id_bytes(const struct hub_key_id *id, uint8_t out[HUB_KEY_ID_BYTES])
{
    size_t len = 0;
    return hub_decode(HUB_HEX, hub_span_str(id->text), out, HUB_KEY_ID_BYTES, &len) == HUB_OK &&
           len == HUB_KEY_ID_BYTES;
}
