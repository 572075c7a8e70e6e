/* Patient secrets: a bounded cache in secret memory over the store, and the creation of new ones. */
#include "src/base/mem.h"
#include "src/protect/keys_internal.h"

enum {
    ENTRIES_FIRST = 16,
    ENTRIES_MAX = 512, /* a stripe; more only while records wait for a sync */
    RECORD_LEN = HUB_KEY_ID_BYTES + 8 + HUB_KEY_LEN,
};

static uint32_t token_hash(const struct hub_token *token)
{
    uint32_t hash = 2166136261U; /* tokens are uniform: any mixing will do */
    for (size_t i = 1; i < 13; i++)
        hash = (hash ^ (uint8_t)token->text[i]) * 16777619U;
    return hash ^ hash >> 15;
}

/* --- the cache; the stripe's lock is held --- */

static uint32_t *bucket_of(const struct hub_keys_stripe *s, const struct hub_token *token)
{
    return &s->buckets[token_hash(token) / HUB_KEYS_STRIPES % s->cap];
}

static struct hub_keys_entry *cache_find(const struct hub_keys_stripe *s, const struct hub_token *token)
{
    if (s->cap == 0)
        return NULL;
    for (uint32_t at = *bucket_of(s, token); at != 0; at = s->entries[at - 1].next) {
        if (memcmp(s->entries[at - 1].token, token->text, HUB_TOKEN_LEN) == 0)
            return &s->entries[at - 1];
    }
    return NULL;
}

static void cache_unlink(struct hub_keys_stripe *s, uint32_t index)
{
    struct hub_token token;
    memcpy(token.text, s->entries[index].token, HUB_TOKEN_LEN);
    uint32_t *at = bucket_of(s, &token);
    while (*at != index + 1)
        at = &s->entries[*at - 1].next;
    *at = s->entries[index].next;
}

static void cache_link(struct hub_keys_stripe *s, uint32_t index)
{
    struct hub_token token;
    memcpy(token.text, s->entries[index].token, HUB_TOKEN_LEN);
    uint32_t *bucket = bucket_of(s, &token);
    s->entries[index].next = *bucket;
    *bucket = index + 1;
}

static enum hub_result cache_grow(struct hub_keys_stripe *s)
{
    const uint32_t cap = s->cap == 0 ? ENTRIES_FIRST : s->cap * 2;
    struct hub_keys_entry *entries = hub_mem_array(cap, sizeof *entries);
    uint32_t *buckets = hub_mem_array(cap, sizeof *buckets);
    uint8_t(*secrets)[HUB_KEY_LEN] = hub_secret_alloc((size_t)cap * HUB_KEY_LEN);
    if (entries == NULL || buckets == NULL || secrets == NULL) {
        hub_mem_free(entries);
        hub_mem_free(buckets);
        hub_secret_free(secrets);
        return HUB_NO_MEMORY;
    }
    if (s->count != 0) {
        memcpy(entries, s->entries, s->count * sizeof *entries);
        memcpy(secrets, s->secrets, (size_t)s->count * HUB_KEY_LEN);
    }
    hub_mem_free(s->entries);
    hub_mem_free(s->buckets);
    hub_secret_free(s->secrets);
    s->entries = entries;
    s->buckets = buckets;
    s->secrets = secrets;
    s->cap = cap;
    for (uint32_t i = 0; i < s->count; i++)
        cache_link(s, i);
    return HUB_OK;
}

/* Second chance: the first entry that was not asked for since the hand last passed, and is durable. */
static bool cache_evict(struct hub_keys_stripe *s, uint64_t synced, uint32_t *index)
{
    for (uint32_t step = 0; step < 2 * s->count; step++) {
        const uint32_t at = s->hand++ % s->count;
        if (s->entries[at].generation > synced)
            continue;
        if (!s->entries[at].referenced) {
            cache_unlink(s, at);
            *index = at;
            return true;
        }
        s->entries[at].referenced = false;
    }
    return false;
}

/* A slot in no bucket, to be filled at once. */
static enum hub_result cache_room(struct hub_keys *keys, struct hub_keys_stripe *s, uint32_t *index)
{
    *index = s->count;
    if (s->count == s->cap && (s->cap < ENTRIES_MAX || !cache_evict(s, atomic_load(&keys->synced), index)))
        HUB_TRY(cache_grow(s));
    if (*index == s->count)
        s->count++;
    return HUB_OK;
}

static void cache_fill(struct hub_keys_stripe *s, uint32_t index, const struct hub_token *subject,
                       const uint8_t record[RECORD_LEN], uint64_t generation)
{
    struct hub_keys_entry *entry = &s->entries[index];
    memcpy(entry->token, subject->text, HUB_TOKEN_LEN);
    memcpy(entry->id, record, HUB_KEY_ID_BYTES);
    entry->generation = generation;
    entry->referenced = true;
    memcpy(s->secrets[index], record + RECORD_LEN - HUB_KEY_LEN, HUB_KEY_LEN);
    cache_link(s, index);
}

/* --- records --- */

static void record_new(const struct hub_keys *keys, uint8_t record[RECORD_LEN])
{
    hub_random(record, HUB_KEY_ID_BYTES);
    hub_le64(record + HUB_KEY_ID_BYTES, (uint64_t)hub_clock_wall_us(keys->clock));
    hub_random(record + RECORD_LEN - HUB_KEY_LEN, HUB_KEY_LEN);
}

/* Into the pending batch; returns the generation whose sync makes it durable. */
static uint64_t record_put(struct hub_keys *keys, enum hub_keys_family family, const char *kind,
                           struct hub_span name, const uint8_t record[RECORD_LEN])
{
    (void)pthread_mutex_lock(&keys->pending_lock);
    hub_keys_put(keys, keys->pending, family, kind, name, hub_span_of(record, RECORD_LEN));
    const uint64_t generation = keys->generation;
    atomic_store(&keys->dirty, true);
    (void)pthread_mutex_unlock(&keys->pending_lock);
    return generation;
}

static enum hub_result absent(struct hub_keys *keys, struct hub_span shred_prefix, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_SHREDDED, shred_prefix);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    bool shredded = hub_kv_iter_next(iter);
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    HUB_TRY(result);
    if (shredded)
        return hub_fail(err, HUB_SHREDDED, NULL, NULL);
    return hub_fail(err, HUB_NO_KEY, "the key store has no secret of that patient", NULL);
}

/* The stripe's lock is held, so that one subject never gets two secrets. */
static enum hub_result load_or_make(struct hub_keys *keys, struct hub_keys_stripe *s,
                                    const struct hub_token *subject, bool create, bool *created,
                                    struct hub_error *err)
{
    const struct hub_span name = hub_span_of(subject->text, HUB_TOKEN_LEN);
    uint8_t record[RECORD_LEN];
    uint64_t generation = 0;
    uint32_t index = 0;
    enum hub_result result =
        hub_keys_get(keys, HUB_KEYS_PATIENTS, "patient", name, record, sizeof record, err);
    const bool make = result == HUB_NOT_FOUND;
    if (make && !create)
        return absent(keys, name, err);
    if (result != HUB_OK && !make)
        return result;
    /* Room first: a secret that was made must be known until it is durable, or a second one would be made. */
    result = cache_room(keys, s, &index);
    if (result == HUB_OK && make) {
        record_new(keys, record);
        generation = record_put(keys, HUB_KEYS_PATIENTS, "patient", name, record);
        *created = true;
    }
    if (result == HUB_OK)
        cache_fill(s, index, subject, record, generation);
    else
        (void)hub_fail(err, result, NULL, NULL);
    hub_mem_wipe(record, sizeof record);
    return result;
}

enum hub_result hub_keys_patient(struct hub_keys *keys, const struct hub_token *subject, bool create,
                                 uint8_t *secret, struct hub_key_id *id, bool *created, struct hub_error *err)
{
    bool made = false;
    enum hub_result result = HUB_OK;
    struct hub_keys_stripe *s = &keys->stripes[token_hash(subject) % HUB_KEYS_STRIPES];
    (void)pthread_mutex_lock(&s->lock);
    struct hub_keys_entry *entry = cache_find(s, subject);
    if (entry == NULL) {
        result = load_or_make(keys, s, subject, create, &made, err);
        entry = result == HUB_OK ? cache_find(s, subject) : NULL;
    }
    if (entry != NULL) {
        entry->referenced = true;
        hub_key_id_text(entry->id, id);
        memcpy(secret, s->secrets[entry - s->entries], HUB_KEY_LEN);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (created != NULL)
        *created = made;
    return result;
}

enum hub_result hub_keys_one_off(struct hub_keys *keys, uint8_t *secret, struct hub_key_id *id)
{
    uint8_t record[RECORD_LEN];
    record_new(keys, record);
    (void)record_put(keys, HUB_KEYS_ONE_OFF, "one-off", hub_span_of(record, HUB_KEY_ID_BYTES), record);
    hub_key_id_text(record, id);
    memcpy(secret, record + RECORD_LEN - HUB_KEY_LEN, HUB_KEY_LEN);
    hub_mem_wipe(record, sizeof record);
    return HUB_OK;
}

enum hub_result hub_keys_secret(struct hub_keys *keys, const struct hub_key_id *id,
                                const struct hub_token *subject, uint8_t *secret, struct hub_error *err)
{
    struct hub_key_id current;
    uint8_t name[HUB_TOKEN_LEN + HUB_KEY_ID_BYTES], record[RECORD_LEN];
    memcpy(name, subject->text, HUB_TOKEN_LEN);
    if (!hub_key_id_bytes(id, name + HUB_TOKEN_LEN))
        return hub_fail(err, HUB_NO_KEY, "not a key id", NULL);
    enum hub_result result = hub_keys_patient(keys, subject, false, secret, &current, NULL, err);
    if (result == HUB_OK && memcmp(current.text, id->text, HUB_KEY_ID_LEN) == 0)
        return HUB_OK;
    hub_mem_wipe(secret, HUB_KEY_LEN);
    if (result != HUB_OK && result != HUB_NO_KEY && result != HUB_SHREDDED)
        return result;
    const struct hub_span one_off = hub_span_of(name + HUB_TOKEN_LEN, HUB_KEY_ID_BYTES);
    result = hub_keys_get(keys, HUB_KEYS_ONE_OFF, "one-off", one_off, record, sizeof record, err);
    if (result == HUB_NOT_FOUND)
        return absent(keys, hub_span_of(name, sizeof name), err);
    if (result == HUB_OK)
        memcpy(secret, record + RECORD_LEN - HUB_KEY_LEN, HUB_KEY_LEN);
    hub_mem_wipe(record, sizeof record);
    return result;
}

enum hub_result hub_keys_patient_alone(struct hub_keys *keys, const struct hub_token *subject,
                                       enum hub_result (*work)(void *ctx, struct hub_error *err), void *ctx,
                                       struct hub_error *err)
{
    struct hub_keys_stripe *s = &keys->stripes[token_hash(subject) % HUB_KEYS_STRIPES];
    (void)pthread_mutex_lock(&s->lock);
    const enum hub_result result = work(ctx, err);
    struct hub_keys_entry *entry = result == HUB_OK ? cache_find(s, subject) : NULL;
    if (entry != NULL) { /* the slot stays, under a name nobody asks for */
        const uint32_t at = (uint32_t)(entry - s->entries);
        cache_unlink(s, at);
        memset(entry->token, 0, sizeof entry->token);
        hub_mem_wipe(s->secrets[at], HUB_KEY_LEN);
        entry->referenced = false;
        entry->generation = 0;
        cache_link(s, at);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return result;
}

enum hub_result hub_keys_patient_count(struct hub_keys *keys, size_t *count, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_PATIENTS, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (*count = 0; hub_kv_iter_next(iter);)
        ++*count;
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

void hub_keys_patients_close(struct hub_keys *keys)
{
    for (size_t i = 0; i < HUB_KEYS_STRIPES; i++) {
        struct hub_keys_stripe *s = &keys->stripes[i];
        hub_mem_free(s->entries);
        hub_mem_free(s->buckets);
        hub_secret_free(s->secrets);
        (void)pthread_mutex_destroy(&s->lock);
    }
}
