/* Deleting a patient's secret: the one thing in the store that is ever taken out. */
#include "src/base/mem.h"
#include "src/protect/keys_internal.h"

static enum hub_result shred_line(const struct hub_keys *keys, struct hub_arena *arena,
                                  const struct hub_token *subject, const struct hub_key_id *id,
                                  struct hub_span *line, struct hub_error *err)
{
    char time[HUB_TIME_TEXT_LEN + 1];
    struct hub_json *object = hub_json_new(arena, HUB_JSON_OBJECT);
    if (object == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_time_format(hub_clock_wall_us(keys->clock), time);
    enum hub_result result = hub_json_set_string(arena, object, "kind", HUB_SPAN("shredded"));
    if (result == HUB_OK)
        result = hub_json_set_string(arena, object, "id", hub_span_str(id->text));
    if (result == HUB_OK)
        result = hub_json_set_string(arena, object, "subject", hub_span_of(subject->text, HUB_TOKEN_LEN));
    if (result == HUB_OK)
        result = hub_json_set_string(arena, object, "created", hub_span_str(time));
    return result == HUB_OK ? hub_key_record_sign(keys, arena, object, line, err)
                            : hub_fail(err, result, NULL, NULL);
}

enum hub_result hub_keys_shred(struct hub_keys *keys, const struct hub_token *subject, struct hub_key_id *id,
                               struct hub_error *err)
{
    uint8_t secret[HUB_KEY_LEN], name[HUB_TOKEN_LEN + HUB_KEY_ID_BYTES];
    struct hub_span line = HUB_SPAN_NONE;
    struct hub_arena arena;
    hub_arena_init(&arena, 64 * 1024);
    struct hub_kv_batch *batch = hub_kv_batch_new();
    enum hub_result result = batch != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (result == HUB_OK)
        result = hub_keys_sync(keys, err); /* what is pending must not bring the secret back */
    if (result == HUB_OK)
        result = hub_keys_patient(keys, subject, false, secret, id, NULL, err);
    hub_mem_wipe(secret, sizeof secret);
    if (result == HUB_OK)
        result = shred_line(keys, &arena, subject, id, &line, err);
    if (result == HUB_OK) {
        memcpy(name, subject->text, HUB_TOKEN_LEN);
        HUB_ASSERT(hub_key_id_bytes(id, name + HUB_TOKEN_LEN));
        hub_kv_batch_delete(batch, keys->kv, HUB_KEYS_PATIENTS, hub_span_of(name, HUB_TOKEN_LEN));
        hub_kv_batch_put(batch, keys->kv, HUB_KEYS_SHREDDED, hub_span_of(name, sizeof name), line);
        result = hub_kv_write(keys->kv, batch, true, err);
    }
    if (result == HUB_OK)
        hub_keys_patient_forget(keys, subject);
    hub_kv_batch_free(batch);
    hub_arena_deinit(&arena);
    return result;
}
