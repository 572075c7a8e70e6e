/* Class keys: loaded and made when the store is opened, fixed afterwards. A role that roles.yaml newly allows
 * a class gets all its keys sealed; a role that is no longer allowed one ends the class's epoch. */
#include <stdio.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/keys_internal.h"

enum {
    CLASS_RECORD_LEN = 1 + 4 + 8 + HUB_KEY_LEN, /* class, epoch, created, key */
    GRANTS_MAX = 256,
    CLASS_KEYS_MAX = 65536,
    NAME_CAP = 48,
};

struct grants { /* of the roles that may open anything, public keys read */
    struct hub_grant items[GRANTS_MAX];
    const struct hub_role *roles[GRANTS_MAX];
    size_t count;
};

/* --- memory --- */

static enum hub_result class_room(struct hub_keys *keys)
{
    if (keys->class_count < keys->class_cap)
        return HUB_OK;
    HUB_ENSURE(keys->class_cap < CLASS_KEYS_MAX, HUB_TOO_MANY);
    const size_t cap = keys->class_cap == 0 ? 64 : keys->class_cap * 2;
    struct hub_class_key *classes = hub_mem_resize(keys->classes, cap * sizeof *classes);
    HUB_ENSURE(classes != NULL, HUB_NO_MEMORY);
    keys->classes = classes;
    uint8_t(*secrets)[HUB_KEY_LEN] = hub_secret_alloc(cap * HUB_KEY_LEN);
    HUB_ENSURE(secrets != NULL, HUB_NO_MEMORY);
    if (keys->class_count != 0)
        memcpy(secrets, keys->class_secrets, keys->class_count * HUB_KEY_LEN);
    hub_secret_free(keys->class_secrets);
    keys->class_secrets = secrets;
    keys->class_cap = cap;
    return HUB_OK;
}

/* Of two keys of one epoch (two hubs) the one with the smaller id is current. */
static bool is_newer(const struct hub_class_key *a, const struct hub_class_key *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : strcmp(a->id.text, b->id.text) < 0;
}

static enum hub_result class_add(struct hub_keys *keys, const struct hub_class_key *key,
                                 const uint8_t *secret, struct hub_error *err)
{
    enum hub_result result = class_room(keys);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    const size_t at = keys->class_count++;
    keys->classes[at] = *key;
    memcpy(keys->class_secrets[at], secret, HUB_KEY_LEN);
    size_t *current = &keys->current[key->class_];
    if (*current == SIZE_MAX || is_newer(key, &keys->classes[*current]))
        *current = at;
    return HUB_OK;
}

/* --- loading --- */

static enum hub_result load_one(struct hub_keys *keys, struct hub_span name, struct hub_span record,
                                struct hub_error *err)
{
    uint8_t plain[CLASS_RECORD_LEN];
    struct hub_class_key key = {.class_ = HUB_DATA_CLEAR};
    HUB_TRY(hub_keys_unwrap(keys, "class", name, record, plain, sizeof plain, err));
    if (name.len != 6 + HUB_KEY_ID_LEN || plain[0] == HUB_DATA_CLEAR || plain[0] >= HUB_DATA_CLASSES)
        return hub_fail(err, HUB_CORRUPT, "a class key of an unknown class", NULL);
    memcpy(key.id.text, name.ptr + 6, HUB_KEY_ID_LEN);
    key.class_ = (enum hub_data_class)plain[0];
    key.epoch = (uint32_t)hub_le_read(plain + 1, 4);
    enum hub_result result = class_add(keys, &key, plain + CLASS_RECORD_LEN - HUB_KEY_LEN, err);
    hub_mem_wipe(plain, sizeof plain);
    return result;
}

static enum hub_result load_all(struct hub_keys *keys, struct hub_error *err)
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

static enum hub_result load_grants(const struct hub_roles *roles, struct grants *grants,
                                   struct hub_error *err)
{
    for (size_t i = 0; roles != NULL && i < roles->count; i++) {
        bool any = false;
        for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++)
            any = any || roles->items[i].classes[c];
        if (!any)
            continue;
        if (grants->count == GRANTS_MAX)
            return hub_fail(err, HUB_TOO_MANY, "more roles than a key can be sealed to", NULL);
        struct hub_grant *grant = &grants->items[grants->count];
        HUB_TRY(hub_role_public_load(roles->items[i].public_key_path, grant->public_key, err));
        grant->role = roles->items[i].name;
        grants->roles[grants->count++] = &roles->items[i];
    }
    return HUB_OK;
}

/* --- making --- */

static void record_name(char out[NAME_CAP], const struct hub_key_id *id, unsigned number)
{
    (void)snprintf(out, NAME_CAP, "record/%s/%04x", id->text, number);
}

static enum hub_result put_record(struct hub_keys *keys, struct hub_kv_batch *batch, size_t at,
                                  unsigned number, const struct hub_grant *grants, size_t count,
                                  struct hub_error *err)
{
    struct hub_arena arena;
    struct hub_span line = HUB_SPAN_NONE;
    char name[NAME_CAP];
    hub_arena_init(&arena, 4 * 1024 * 1024);
    record_name(name, &keys->classes[at].id, number);
    enum hub_result result = hub_key_record_build(keys, &arena, &keys->classes[at], keys->class_secrets[at],
                                                  grants, count, &line, err);
    if (result == HUB_OK)
        hub_kv_batch_put(batch, keys->kv, HUB_KEYS_KEYS, hub_span_str(name), line);
    hub_arena_deinit(&arena);
    return result;
}

static enum hub_result class_make(struct hub_keys *keys, struct hub_kv_batch *batch,
                                  enum hub_data_class class_, uint32_t epoch, const struct hub_grant *grants,
                                  size_t count, struct hub_error *err)
{
    uint8_t plain[CLASS_RECORD_LEN], id[HUB_KEY_ID_BYTES];
    char name[NAME_CAP];
    struct hub_class_key key = {.class_ = class_, .epoch = epoch};
    hub_random(id, sizeof id);
    hub_key_id_text(id, &key.id);
    plain[0] = (uint8_t)class_;
    hub_le32(plain + 1, epoch);
    hub_le64(plain + 5, (uint64_t)hub_clock_wall_us(keys->clock));
    hub_random(plain + CLASS_RECORD_LEN - HUB_KEY_LEN, HUB_KEY_LEN);
    (void)snprintf(name, sizeof name, "class/%s", key.id.text);
    hub_keys_put(keys, batch, HUB_KEYS_KEYS, "class", hub_span_str(name), hub_span_of(plain, sizeof plain));
    enum hub_result result = class_add(keys, &key, plain + CLASS_RECORD_LEN - HUB_KEY_LEN, err);
    hub_mem_wipe(plain, sizeof plain);
    return result == HUB_OK ? put_record(keys, batch, keys->class_count - 1, 0, grants, count, err) : result;
}

/* --- grants --- */

static size_t wanted_grants(const struct grants *all, enum hub_data_class class_, struct hub_grant *out)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->roles[i]->classes[class_])
            out[count++] = all->items[i];
    }
    return count;
}

/* Which of WANTED the record LINE has; whether it has others. */
static enum hub_result compare_grants(const struct hub_keys *keys, struct hub_span line,
                                      const struct hub_grant *wanted, size_t count, bool *have, bool *others,
                                      struct hub_error *err)
{
    struct hub_arena arena;
    struct hub_json *record = NULL;
    hub_arena_init(&arena, 4 * 1024 * 1024);
    enum hub_result result = hub_key_record_parse(&arena, line, keys->sign_public, &record, err);
    const struct hub_json *list = result == HUB_OK ? hub_json_get(record, "sealed") : NULL;
    for (const struct hub_json *g = list != NULL ? list->first : NULL; g != NULL; g = g->next) {
        uint8_t public_key[HUB_BOX_PUBLIC_LEN];
        size_t len = 0, i = 0;
        if (hub_decode(HUB_BASE64, hub_json_get_span(g, "public"), public_key, sizeof public_key, &len) !=
                HUB_OK ||
            len != sizeof public_key)
            continue;
        while (i < count && memcmp(wanted[i].public_key, public_key, sizeof public_key) != 0)
            i++;
        if (i < count)
            have[i] = true;
        else
            *others = true;
    }
    hub_arena_deinit(&arena);
    return result;
}

/* Brings the records of key AT up to what roles.yaml says now. */
static enum hub_result class_grant(struct hub_keys *keys, struct hub_kv_batch *batch, size_t at,
                                   const struct grants *all, struct hub_error *err)
{
    struct hub_grant wanted[GRANTS_MAX], missing[GRANTS_MAX];
    bool have[GRANTS_MAX] = {false}, others = false;
    const enum hub_data_class class_ = keys->classes[at].class_;
    const size_t count = wanted_grants(all, class_, wanted);
    size_t missing_count = 0;
    unsigned number = 0;
    char prefix[NAME_CAP];
    (void)snprintf(prefix, sizeof prefix, "record/%s/", keys->classes[at].id.text);
    struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_KEYS, hub_span_str(prefix));
    enum hub_result result = iter != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (; result == HUB_OK && hub_kv_iter_next(iter); number++)
        result = compare_grants(keys, hub_kv_iter_value(iter), wanted, count, have, &others, err);
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    if (result != HUB_OK)
        return result;
    for (size_t i = 0; i < count; i++) {
        if (!have[i])
            missing[missing_count++] = wanted[i];
    }
    if (others && at == keys->current[class_])
        HUB_TRY(class_make(keys, batch, class_, keys->classes[at].epoch + 1, wanted, count, err));
    return missing_count != 0 ? put_record(keys, batch, at, number, missing, missing_count, err) : HUB_OK;
}

static enum hub_result bring_up(struct hub_keys *keys, struct hub_kv_batch *batch,
                                const struct hub_roles *roles, struct grants *grants, struct hub_error *err)
{
    const size_t loaded = keys->class_count;
    HUB_TRY(load_grants(roles, grants, err));
    for (size_t i = 0; roles != NULL && i < loaded; i++)
        HUB_TRY(class_grant(keys, batch, i, grants, err));
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        struct hub_grant wanted[GRANTS_MAX];
        if (keys->current[c] != SIZE_MAX)
            continue;
        const size_t count = wanted_grants(grants, (enum hub_data_class)c, wanted);
        HUB_TRY(class_make(keys, batch, (enum hub_data_class)c, 1, wanted, count, err));
    }
    return hub_kv_batch_count(batch) != 0 ? hub_kv_write(keys->kv, batch, true, err) : HUB_OK;
}

enum hub_result hub_keys_classes_open(struct hub_keys *keys, const struct hub_roles *roles,
                                      struct hub_error *err)
{
    for (size_t i = 0; i < HUB_DATA_CLASSES; i++)
        keys->current[i] = SIZE_MAX;
    HUB_TRY(load_all(keys, err));
    keys->created_from = keys->class_count;
    struct hub_kv_batch *batch = hub_kv_batch_new();
    struct grants *grants = hub_mem_alloc(sizeof *grants);
    enum hub_result result =
        batch != NULL && grants != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (result == HUB_OK)
        result = bring_up(keys, batch, roles, grants, err);
    hub_mem_free(grants);
    hub_kv_batch_free(batch);
    return result;
}

/* --- reading --- */

enum hub_result hub_keys_class_current(struct hub_keys *keys, enum hub_data_class class_, uint8_t *key,
                                       struct hub_key_id *id, struct hub_error *err)
{
    if (class_ <= HUB_DATA_CLEAR || class_ >= HUB_DATA_CLASSES || keys->current[class_] == SIZE_MAX)
        return hub_fail(err, HUB_NO_KEY, "there is no key of that class", NULL);
    const size_t at = keys->current[class_];
    memcpy(key, keys->class_secrets[at], HUB_KEY_LEN);
    *id = keys->classes[at].id;
    return HUB_OK;
}

enum hub_result hub_keys_class_by_id(struct hub_keys *keys, const struct hub_key_id *id, uint8_t *key,
                                     enum hub_data_class *class_, struct hub_error *err)
{
    for (size_t i = 0; i < keys->class_count; i++) {
        if (strcmp(keys->classes[i].id.text, id->text) != 0)
            continue;
        memcpy(key, keys->class_secrets[i], HUB_KEY_LEN);
        if (class_ != NULL)
            *class_ = keys->classes[i].class_;
        return HUB_OK;
    }
    return hub_fail(err, HUB_NO_KEY, "the key store has no class key of that id", NULL);
}

size_t hub_keys_take_created(struct hub_keys *keys, struct hub_key_id *ids, enum hub_data_class *classes,
                             size_t cap)
{
    (void)pthread_mutex_lock(&keys->sync_lock);
    size_t count = 0;
    while (count < cap && keys->created_from < keys->class_count) {
        ids[count] = keys->classes[keys->created_from].id;
        classes[count++] = keys->classes[keys->created_from++].class_;
    }
    (void)pthread_mutex_unlock(&keys->sync_lock);
    return count;
}
