/* Deleting a patient's secret: the one thing in the store that is ever taken out. */
#include "src/base/crash.h"
#include "src/base/mem.h"
#include "src/protect/keys_internal.h"

enum { RECORD_LEN = HUB_KEY_ID_BYTES + 8 + HUB_KEY_LEN, RECORD_ARENA = 64 * 1024, MARK_LEN = 6 };

#define MARK "erase/" /* and the token: its deleted secret may still lie in the store's files */

struct shredding {
    struct hub_keys *keys;
    const struct hub_token *subject;
    const char *by;
    struct hub_key_id *id;
};

static enum hub_result shred_line(const struct shredding *s, struct hub_arena *arena, struct hub_span *line,
                                  struct hub_error *err)
{
    const struct hub_record_text texts[] = {{"id", hub_span_str(s->id->text)},
                                            {"subject", hub_span_of(s->subject->text, HUB_TOKEN_LEN)}};
    return hub_key_record_text(s->keys, arena, "shredded", s->by, texts, 2, line, err);
}

/* The id of the secret that is there. HUB_NO_KEY, HUB_SHREDDED. */
static enum hub_result find_secret(const struct shredding *s, uint8_t id[HUB_KEY_ID_BYTES], struct hub_error *err)
{
    uint8_t record[RECORD_LEN];
    const struct hub_span name = hub_span_of(s->subject->text, HUB_TOKEN_LEN);
    enum hub_result result =
        hub_keys_get(s->keys, HUB_KEYS_PATIENTS, "patient", name, record, sizeof record, err);
    if (result == HUB_OK)
        memcpy(id, record, HUB_KEY_ID_BYTES);
    hub_mem_wipe(record, sizeof record);
    if (result != HUB_NOT_FOUND)
        return result;
    struct hub_kv_iter *iter = hub_kv_iter_new(s->keys->kv, HUB_KEYS_SHREDDED, name);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    const bool before = hub_kv_iter_next(iter);
    result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    HUB_TRY(result);
    return before ? hub_fail(err, HUB_SHREDDED, NULL, NULL)
                  : hub_fail(err, HUB_NO_KEY, "the key store has no secret of that patient", NULL);
}

static struct hub_span mark_name(const struct hub_token *subject, uint8_t out[MARK_LEN + HUB_TOKEN_LEN])
{
    memcpy(out, MARK, MARK_LEN);
    memcpy(out + MARK_LEN, subject->text, HUB_TOKEN_LEN);
    return hub_span_of(out, MARK_LEN + HUB_TOKEN_LEN);
}

/* Record and deletion in one batch. Nobody makes, gets or caches the subject's secret meanwhile; what is pending must
 * not bring it back, so it is written first. */
static enum hub_result replace_secret(void *ctx, struct hub_error *err)
{
    const struct shredding *s = ctx;
    struct hub_keys *keys = s->keys;
    uint8_t name[HUB_TOKEN_LEN + HUB_KEY_ID_BYTES], mark[MARK_LEN + HUB_TOKEN_LEN];
    struct hub_span line = HUB_SPAN_NONE;
    struct hub_arena arena;
    memcpy(name, s->subject->text, HUB_TOKEN_LEN);
    HUB_TRY(hub_keys_sync(keys, err));
    HUB_TRY(find_secret(s, name + HUB_TOKEN_LEN, err));
    hub_key_id_text(name + HUB_TOKEN_LEN, s->id);
    struct hub_kv_batch *batch = hub_kv_batch_new();
    if (batch == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_arena_init(&arena, RECORD_ARENA);
    enum hub_result result = shred_line(s, &arena, &line, err);
    if (result == HUB_OK) {
        hub_kv_batch_delete(batch, keys->kv, HUB_KEYS_PATIENTS, hub_span_of(name, HUB_TOKEN_LEN));
        hub_kv_batch_put(batch, keys->kv, HUB_KEYS_SHREDDED, hub_span_of(name, sizeof name), line);
        hub_kv_batch_put(batch, keys->kv, HUB_KEYS_KEYS, mark_name(s->subject, mark), HUB_SPAN("1"));
        result = hub_kv_write(keys->kv, batch, true, err);
    }
    hub_arena_deinit(&arena);
    hub_kv_batch_free(batch);
    return result;
}

static enum hub_result erase(struct hub_keys *keys, const struct hub_token *subject, struct hub_error *err)
{
    uint8_t mark[MARK_LEN + HUB_TOKEN_LEN];
    HUB_TRY(hub_kv_erase(keys->kv, HUB_KEYS_PATIENTS, hub_span_of(subject->text, HUB_TOKEN_LEN), err));
    struct hub_kv_batch *batch = hub_kv_batch_new();
    if (batch == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_kv_batch_delete(batch, keys->kv, HUB_KEYS_KEYS, mark_name(subject, mark));
    const enum hub_result result = hub_kv_write(keys->kv, batch, true, err);
    hub_kv_batch_free(batch);
    return result;
}

enum hub_result hub_keys_shred(struct hub_keys *keys, const struct hub_token *subject, const char *by,
                               struct hub_key_id *id, struct hub_error *err)
{
    struct shredding s = {keys, subject, by, id};
    HUB_TRY(hub_keys_patient_alone(keys, subject, replace_secret, &s, err));
    atomic_store(&keys->news, true);
    hub_crash_point(HUB_CRASH_MID_SHRED);
    const enum hub_result result = erase(keys, subject, err);
    hub_crash_point(HUB_CRASH_AFTER_SHRED);
    return result;
}

enum hub_result hub_keys_erase_left_over(struct hub_keys *keys, struct hub_error *err)
{
    struct hub_token subject = {""};
    for (;;) {
        struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_KEYS, HUB_SPAN(MARK));
        if (iter == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        const bool any = hub_kv_iter_next(iter) && hub_kv_iter_key(iter).len == MARK_LEN + HUB_TOKEN_LEN;
        if (any)
            memcpy(subject.text, hub_kv_iter_key(iter).ptr + MARK_LEN, HUB_TOKEN_LEN);
        const enum hub_result result = hub_kv_iter_result(iter, err);
        hub_kv_iter_free(iter); /* it would keep the files */
        HUB_TRY(result);
        if (!any)
            return HUB_OK;
        HUB_TRY(erase(keys, &subject, err));
    }
}

enum hub_result hub_keys_each_shredded(struct hub_keys *keys, const struct hub_token *subject,
                                       bool (*callback)(void *ctx, const struct hub_key_id *id,
                                                        struct hub_span json_line),
                                       void *ctx)
{
    bool more = true;
    struct hub_kv_iter *iter =
        hub_kv_iter_new(keys->kv, HUB_KEYS_SHREDDED, hub_span_of(subject->text, HUB_TOKEN_LEN));
    HUB_ENSURE(iter != NULL, HUB_NO_MEMORY);
    while (more && hub_kv_iter_next(iter)) {
        const struct hub_span name = hub_kv_iter_key(iter);
        struct hub_key_id id;
        if (name.len != HUB_TOKEN_LEN + HUB_KEY_ID_BYTES)
            continue;
        hub_key_id_text(name.ptr + HUB_TOKEN_LEN, &id);
        more = callback(ctx, &id, hub_kv_iter_value(iter));
    }
    const enum hub_result result = hub_kv_iter_result(iter, NULL);
    hub_kv_iter_free(iter);
    return result;
}
