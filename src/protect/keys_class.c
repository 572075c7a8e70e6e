/* Class keys and their epochs. Who seals takes the current key of a class without a lock; where its epoch is over
 * it makes the next one first. Keys are in the store before anything sealed under them is committed, for the
 * committer syncs the store first (hub_keys_sync). */
#include <stdio.h>

#include "src/base/crash.h"
#include "src/base/mem.h"
#include "src/protect/keys_internal.h"

enum {
    CLASS_RECORD_LEN = 1 + 4 + 8 + HUB_KEY_LEN, /* class, epoch, created, key */
    USE_RECORD_LEN = 8 + 8,                     /* fields, bytes */
    CLASS_KEYS_MAX = 65536,
    RECORD_ARENA = 4 * 1024 * 1024,
    NAME_CAP = 48,
    FIELDS_AHEAD = 65536, /* counted ahead in the store, so that not every message writes there */
    AHEAD_PARTS = 64,     /* of a limit, when that is less */
};
static const uint64_t bytes_ahead = 64 * 1024 * 1024;
static const int64_t day_us = INT64_C(86400) * 1000000;

/* --- the list --- */

static uint8_t *secret_room(struct hub_keys *keys)
{
    if (keys->slabs == NULL || keys->slabs->used == HUB_SLAB_KEYS) {
        struct hub_secret_slab *slab = hub_mem_alloc(sizeof *slab);
        if (slab == NULL)
            return NULL;
        slab->keys = hub_secret_alloc((size_t)HUB_SLAB_KEYS * HUB_KEY_LEN);
        if (slab->keys == NULL) {
            hub_mem_free(slab);
            return NULL;
        }
        slab->next = keys->slabs;
        keys->slabs = slab;
    }
    return keys->slabs->keys[keys->slabs->used++];
}

static struct hub_class_key *key_new(struct hub_keys *keys, const uint8_t secret[HUB_KEY_LEN])
{
    if (keys->class_count == CLASS_KEYS_MAX)
        return NULL;
    struct hub_class_key *key = hub_mem_alloc(sizeof *key);
    uint8_t *room = key != NULL ? secret_room(keys) : NULL;
    if (room == NULL) {
        hub_mem_free(key);
        return NULL;
    }
    memcpy(room, secret, HUB_KEY_LEN);
    key->secret = room;
    keys->class_count++;
    return key;
}

/* Of two keys of one epoch (two hubs) the one with the smaller id is current. */
static bool is_newer(const struct hub_class_key *a, const struct hub_class_key *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : strcmp(a->id.text, b->id.text) < 0;
}

static void key_add(struct hub_keys *keys, struct hub_class_key *key)
{
    key->next = atomic_load(&keys->classes);
    atomic_store(&keys->classes, key);
    const struct hub_class_key *current = atomic_load(&keys->current[key->class_]);
    if (current == NULL || is_newer(key, current))
        atomic_store(&keys->current[key->class_], key);
}

static struct hub_class_key *key_find(struct hub_keys *keys, const struct hub_key_id *id)
{
    struct hub_class_key *key = atomic_load(&keys->classes);
    while (key != NULL && strcmp(key->id.text, id->text) != 0)
        key = key->next;
    return key;
}

/* --- loading --- */

static enum hub_result load_use(struct hub_keys *keys, struct hub_class_key *key, struct hub_error *err)
{
    uint8_t plain[USE_RECORD_LEN];
    char name[NAME_CAP];
    (void)snprintf(name, sizeof name, "use/%s", key->id.text);
    enum hub_result result =
        hub_keys_get(keys, HUB_KEYS_KEYS, "use", hub_span_str(name), plain, sizeof plain, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    const uint64_t fields = hub_le_read(plain, 8), bytes = hub_le_read(plain + 8, 8);
    atomic_store(&key->fields, fields);
    atomic_store(&key->fields_kept, fields);
    atomic_store(&key->bytes, bytes);
    atomic_store(&key->bytes_kept, bytes);
    return HUB_OK;
}

static enum hub_result load_one(struct hub_keys *keys, struct hub_span name, struct hub_span record,
                                struct hub_error *err)
{
    uint8_t plain[CLASS_RECORD_LEN];
    HUB_TRY(hub_keys_unwrap(keys, "class", name, record, plain, sizeof plain, err));
    if (name.len != 6 + HUB_KEY_ID_LEN || plain[0] == HUB_DATA_CLEAR || plain[0] >= HUB_DATA_CLASSES)
        return hub_fail(err, HUB_CORRUPT, "a class key of an unknown class", NULL);
    struct hub_class_key *key = key_new(keys, plain + CLASS_RECORD_LEN - HUB_KEY_LEN);
    if (key != NULL) {
        memcpy(key->id.text, name.ptr + 6, HUB_KEY_ID_LEN);
        key->class_ = (enum hub_data_class)plain[0];
        key->epoch = (uint32_t)hub_le_read(plain + 1, 4);
        key->created_us = (int64_t)hub_le_read(plain + 5, 8);
        key_add(keys, key);
    }
    hub_mem_wipe(plain, sizeof plain);
    return key != NULL ? load_use(keys, key, err) : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

enum hub_result hub_keys_classes_load(struct hub_keys *keys, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_KEYS, HUB_SPAN("class/"));
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (result == HUB_OK && hub_kv_iter_next(iter))
        result = load_one(keys, hub_kv_iter_key(iter), hub_kv_iter_value(iter), err);
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

/* --- making --- */

enum hub_result hub_keys_class_publish(struct hub_keys *keys, const struct hub_class_key *key, unsigned number,
                                       const char *cause, const char *by,
                                       const struct hub_role_grant *const *grants, size_t count,
                                       struct hub_error *err)
{
    struct hub_arena arena;
    struct hub_span line = HUB_SPAN_NONE;
    char name[NAME_CAP];
    (void)snprintf(name, sizeof name, "record/%s/%04x", key->id.text, number);
    hub_arena_init(&arena, RECORD_ARENA);
    enum hub_result result = hub_key_record_build(keys, &arena, key, cause, by, grants, count, &line, err);
    if (result == HUB_OK)
        hub_keys_publish(keys, HUB_KEYS_KEYS, hub_span_str(name), line);
    hub_arena_deinit(&arena);
    return result;
}

static enum hub_result key_store(struct hub_keys *keys, struct hub_class_key *key, const char *cause,
                                 const char *by, struct hub_error *err)
{
    uint8_t plain[CLASS_RECORD_LEN];
    char name[NAME_CAP];
    const struct hub_role_grant **grants = hub_mem_array(keys->grants.count + 1, sizeof *grants);
    if (grants == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    const size_t count = hub_keys_granted(keys, key->class_, grants);
    enum hub_result result = hub_keys_class_publish(keys, key, 0, cause, by, grants, count, err);
    hub_mem_free(grants);
    if (result != HUB_OK)
        return result;
    plain[0] = (uint8_t)key->class_;
    hub_le32(plain + 1, key->epoch);
    hub_le64(plain + 5, (uint64_t)key->created_us);
    memcpy(plain + CLASS_RECORD_LEN - HUB_KEY_LEN, key->secret, HUB_KEY_LEN);
    (void)snprintf(name, sizeof name, "class/%s", key->id.text);
    hub_keys_later(keys, HUB_KEYS_KEYS, "class", hub_span_str(name), hub_span_of(plain, sizeof plain));
    hub_mem_wipe(plain, sizeof plain);
    return HUB_OK;
}

enum hub_result hub_keys_class_make(struct hub_keys *keys, enum hub_data_class class_, const char *cause,
                                    const char *by, struct hub_error *err)
{
    uint8_t secret[HUB_KEY_LEN], id[HUB_KEY_ID_BYTES];
    const struct hub_class_key *before = atomic_load(&keys->current[class_]);
    hub_random(secret, sizeof secret);
    hub_random(id, sizeof id);
    struct hub_class_key *key = key_new(keys, secret);
    hub_mem_wipe(secret, sizeof secret);
    if (key == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a class key", "raise the limit of locked memory (ulimit -l)");
    hub_key_id_text(id, &key->id);
    key->class_ = class_;
    key->epoch = before != NULL ? before->epoch + 1 : 1;
    key->created_us = hub_clock_wall_us(keys->clock);
    enum hub_result result = key_store(keys, key, cause, by, err);
    if (result != HUB_OK) { /* its slot stays empty until the end */
        hub_mem_wipe((void *)(uintptr_t)key->secret, HUB_KEY_LEN);
        hub_mem_free(key);
        return result;
    }
    key_add(keys, key);
    hub_crash_point(HUB_CRASH_MID_ROTATE);
    return HUB_OK;
}

enum hub_result hub_keys_rotate(struct hub_keys *keys, enum hub_data_class class_, const char *by,
                                struct hub_key_id *id, struct hub_error *err)
{
    (void)pthread_mutex_lock(&keys->class_lock);
    enum hub_result result = hub_keys_class_make(keys, class_, "operator", by, err);
    if (result == HUB_OK)
        *id = ((struct hub_class_key *)atomic_load(&keys->current[class_]))->id;
    (void)pthread_mutex_unlock(&keys->class_lock);
    if (result == HUB_OK)
        result = hub_keys_sync(keys, err);
    hub_crash_point(HUB_CRASH_AFTER_ROTATE);
    return result;
}

/* --- limits --- */

void hub_keys_limit(struct hub_keys *keys, const struct hub_keys_limits *limits)
{
    keys->limits = *limits;
}

/* Why the epoch of KEY is over; NULL: it is not. */
static const char *over(const struct hub_keys *keys, struct hub_class_key *key)
{
    const struct hub_keys_limits *limits = &keys->limits;
    if (limits->fields != 0 && atomic_load(&key->fields) >= limits->fields)
        return "fields";
    if (limits->bytes != 0 && atomic_load(&key->bytes) >= limits->bytes)
        return "bytes";
    if (limits->days == 0 && limits->date_count == 0)
        return NULL;
    const int64_t now = hub_clock_wall_us(keys->clock);
    if (limits->days != 0 && now >= key->created_us + (int64_t)limits->days * day_us)
        return "age";
    for (size_t i = 0; i < limits->date_count; i++) {
        if (key->created_us < limits->dates_us[i] && now >= limits->dates_us[i])
            return "date";
    }
    return NULL;
}

/* The current key, a new one where its epoch is over. */
static enum hub_result current_key(struct hub_keys *keys, enum hub_data_class class_, struct hub_class_key **out,
                                   struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    *out = atomic_load(&keys->current[class_]);
    if (*out == NULL)
        return hub_fail(err, HUB_NO_KEY, "there is no key of that class", NULL);
    if (over(keys, *out) == NULL)
        return HUB_OK;
    (void)pthread_mutex_lock(&keys->class_lock);
    *out = atomic_load(&keys->current[class_]);
    const char *cause = over(keys, *out); /* another worker may have been first */
    if (cause != NULL)
        result = hub_keys_class_make(keys, class_, cause, NULL, err);
    *out = atomic_load(&keys->current[class_]);
    (void)pthread_mutex_unlock(&keys->class_lock);
    return result;
}

static void keep_use(struct hub_keys *keys, struct hub_class_key *key, uint64_t fields, uint64_t bytes)
{
    uint8_t plain[USE_RECORD_LEN];
    char name[NAME_CAP];
    hub_le64(plain, fields);
    hub_le64(plain + 8, bytes);
    (void)snprintf(name, sizeof name, "use/%s", key->id.text);
    hub_keys_later(keys, HUB_KEYS_KEYS, "use", hub_span_str(name), hub_span_of(plain, sizeof plain));
    atomic_store(&key->fields_kept, fields);
    atomic_store(&key->bytes_kept, bytes);
}

static uint64_t ahead(uint64_t most, uint64_t limit)
{
    return limit != 0 && limit / AHEAD_PARTS < most ? limit / AHEAD_PARTS + 1 : most;
}

/* The store is told ahead of the use, so that a kill makes the count larger and never smaller. */
static void count_use(struct hub_keys *keys, struct hub_class_key *key, uint64_t fields, uint64_t bytes)
{
    fields += atomic_fetch_add(&key->fields, fields);
    bytes += atomic_fetch_add(&key->bytes, bytes);
    if (fields <= atomic_load(&key->fields_kept) && bytes <= atomic_load(&key->bytes_kept))
        return;
    (void)pthread_mutex_lock(&keys->class_lock);
    fields = atomic_load(&key->fields);
    bytes = atomic_load(&key->bytes);
    if (fields > atomic_load(&key->fields_kept) || bytes > atomic_load(&key->bytes_kept))
        keep_use(keys, key, fields + ahead(FIELDS_AHEAD, keys->limits.fields),
                 bytes + ahead(bytes_ahead, keys->limits.bytes));
    (void)pthread_mutex_unlock(&keys->class_lock);
}

void hub_keys_class_used(struct hub_keys *keys, enum hub_data_class class_, const struct hub_key_id *id,
                         uint64_t fields, uint64_t bytes)
{
    struct hub_class_key *key = atomic_load(&keys->current[class_]);
    if (key == NULL || strcmp(key->id.text, id->text) != 0)
        key = key_find(keys, id);
    if (key != NULL)
        count_use(keys, key, fields, bytes);
}

/* --- reading --- */

enum hub_result hub_keys_class_current(struct hub_keys *keys, enum hub_data_class class_, uint8_t *key,
                                       struct hub_key_id *id, struct hub_error *err)
{
    struct hub_class_key *current = NULL;
    if (class_ <= HUB_DATA_CLEAR || class_ >= HUB_DATA_CLASSES)
        return hub_fail(err, HUB_NO_KEY, "there is no key of that class", NULL);
    HUB_TRY(current_key(keys, class_, &current, err));
    memcpy(key, current->secret, HUB_KEY_LEN);
    *id = current->id;
    return HUB_OK;
}

enum hub_result hub_keys_class_by_id(struct hub_keys *keys, const struct hub_key_id *id, uint8_t *key,
                                     enum hub_data_class *class_, struct hub_error *err)
{
    const struct hub_class_key *found = key_find(keys, id);
    if (found == NULL)
        return hub_fail(err, HUB_NO_KEY, "the key store has no class key of that id", NULL);
    memcpy(key, found->secret, HUB_KEY_LEN);
    if (class_ != NULL)
        *class_ = found->class_;
    return HUB_OK;
}

void hub_keys_each_class(struct hub_keys *keys, void (*callback)(void *ctx, const struct hub_keys_class *key),
                         void *ctx)
{
    for (struct hub_class_key *key = atomic_load(&keys->classes); key != NULL; key = key->next) {
        const struct hub_keys_class told = {.id = key->id,
                                            .class_ = key->class_,
                                            .epoch = key->epoch,
                                            .current = key == atomic_load(&keys->current[key->class_]),
                                            .created_us = key->created_us,
                                            .fields = atomic_load(&key->fields),
                                            .bytes = atomic_load(&key->bytes)};
        callback(ctx, &told);
    }
}

/* --- the end --- */

/* A store that is closed in good order knows exact counts. */
static void keep_counts(struct hub_keys *keys)
{
    bool any = false;
    for (struct hub_class_key *key = atomic_load(&keys->classes); key != NULL; key = key->next) {
        const uint64_t fields = atomic_load(&key->fields), bytes = atomic_load(&key->bytes);
        if (fields == atomic_load(&key->fields_kept) && bytes == atomic_load(&key->bytes_kept))
            continue;
        keep_use(keys, key, fields, bytes);
        any = true;
    }
    if (any && hub_keys_sync(keys, NULL) != HUB_OK)
        return; /* the count stays higher than what was sealed */
}

void hub_keys_classes_close(struct hub_keys *keys)
{
    struct hub_class_key *key = atomic_load(&keys->classes);
    if (keys->kv != NULL && key != NULL)
        keep_counts(keys);
    while (key != NULL) {
        struct hub_class_key *next = key->next;
        hub_mem_free(key);
        key = next;
    }
    while (keys->slabs != NULL) {
        struct hub_secret_slab *next = keys->slabs->next;
        hub_secret_free(keys->slabs->keys);
        hub_mem_free(keys->slabs);
        keys->slabs = next;
    }
}
