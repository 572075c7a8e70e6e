/* Roles and what they may open: the grants that class keys are sealed to, taken from the access policy; roles that
 * an operator revoked, whatever that policy says. */
#include <stdio.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/keys_internal.h"

enum { GRANTS_MAX = 256, NAME_CAP = 64 + HUB_ROLE_NAME_CAP, RECORD_ARENA = 4 * 1024 * 1024 };

/* --- revoked roles: role/<name>/<8 hex digits>, the last record counts --- */

static enum hub_result role_state(struct hub_keys *keys, const char *name, unsigned *number, bool *revoked,
                                  struct hub_error *err)
{
    struct hub_arena arena;
    char prefix[NAME_CAP];
    (void)snprintf(prefix, sizeof prefix, "role/%s/", name);
    *number = 0;
    *revoked = false;
    struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_KEYS, hub_span_str(prefix));
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result = HUB_OK;
    hub_arena_init(&arena, RECORD_ARENA);
    for (; result == HUB_OK && hub_kv_iter_next(iter); ++*number) {
        struct hub_json *record = NULL;
        result = hub_key_record_parse(&arena, hub_kv_iter_value(iter), keys->sign_public, &record, err);
        *revoked = result == HUB_OK && hub_span_is(hub_json_get_span(record, "kind"), "role-revoked");
        hub_arena_reset(&arena);
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    hub_arena_deinit(&arena);
    return result;
}

/* A record of what an operator decided. */
static enum hub_result role_record(struct hub_keys *keys, const char *kind, const char *role, unsigned number,
                                   const char *by, struct hub_error *err)
{
    struct hub_arena arena;
    struct hub_span line = HUB_SPAN_NONE;
    char name[NAME_CAP];
    uint8_t bytes[HUB_KEY_ID_BYTES];
    struct hub_key_id id; /* as every record has one: it is found by it on the bus */
    hub_random(bytes, sizeof bytes);
    hub_key_id_text(bytes, &id);
    const struct hub_record_text texts[] = {{"id", hub_span_str(id.text)}, {"role", hub_span_str(role)}};
    (void)snprintf(name, sizeof name, "role/%s/%08x", role, number);
    hub_arena_init(&arena, RECORD_ARENA);
    enum hub_result result = hub_key_record_text(keys, &arena, kind, by, texts, 2, &line, err);
    if (result == HUB_OK)
        hub_keys_publish(keys, HUB_KEYS_KEYS, hub_span_str(name), line);
    hub_arena_deinit(&arena);
    return result;
}

/* --- grants --- */

static bool opens_any(const bool classes[HUB_DATA_CLASSES])
{
    bool any = false;
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++)
        any = any || classes[c];
    return any;
}

static enum hub_result load_grant(struct hub_keys *keys, const struct hub_role *role, struct hub_role_grant *grant,
                                  struct hub_error *err)
{
    unsigned number;
    (void)snprintf(grant->name, sizeof grant->name, "%s", role->name);
    memcpy(grant->classes, role->classes, sizeof grant->classes);
    HUB_TRY(role_state(keys, grant->name, &number, &grant->revoked, err));
    if (grant->revoked || !opens_any(grant->classes))
        return HUB_OK; /* its key is not needed, and may be gone */
    return hub_role_public_load(role->public_key_path, grant->public_key, err);
}

static enum hub_result load_grants(struct hub_keys *keys, const struct hub_roles *roles,
                                   struct hub_role_grants *out, struct hub_error *err)
{
    const size_t count = roles != NULL ? roles->count : 0;
    if (count > GRANTS_MAX)
        return hub_fail(err, HUB_TOO_MANY, "more roles than a key can be sealed to", NULL);
    out->items = hub_mem_array(count + 1, sizeof *out->items);
    if (out->items == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (out->count = 0; out->count < count; out->count++) {
        enum hub_result result = load_grant(keys, &roles->items[out->count], &out->items[out->count], err);
        if (result != HUB_OK) {
            hub_mem_free(out->items);
            *out = (struct hub_role_grants){NULL, 0};
            return result;
        }
    }
    return HUB_OK;
}

size_t hub_keys_granted(const struct hub_keys *keys, enum hub_data_class class_, const struct hub_role_grant **out)
{
    size_t count = 0;
    for (size_t i = 0; i < keys->grants.count; i++) {
        if (keys->grants.items[i].classes[class_] && !keys->grants.items[i].revoked)
            out[count++] = &keys->grants.items[i];
    }
    return count;
}

static struct hub_role_grant *find_grant(struct hub_keys *keys, const char *name)
{
    for (size_t i = 0; i < keys->grants.count; i++) {
        if (strcmp(keys->grants.items[i].name, name) == 0)
            return &keys->grants.items[i];
    }
    return NULL;
}

/* --- bringing keys up to the grants --- */

struct comparison {
    const struct hub_role_grant **wanted;
    bool have[GRANTS_MAX];
    size_t count;
    unsigned records;
    bool others; /* it is sealed to somebody who is not wanted */
};

static enum hub_result compare_record(const struct hub_keys *keys, struct hub_span line, struct comparison *c,
                                      struct hub_error *err)
{
    struct hub_arena arena;
    struct hub_json *record = NULL;
    hub_arena_init(&arena, RECORD_ARENA);
    enum hub_result result = hub_key_record_parse(&arena, line, keys->sign_public, &record, err);
    const struct hub_json *list = result == HUB_OK ? hub_json_get(record, "sealed") : NULL;
    for (const struct hub_json *g = list != NULL ? list->first : NULL; g != NULL; g = g->next) {
        uint8_t public_key[HUB_BOX_PUBLIC_LEN];
        size_t len = 0, i = 0;
        if (hub_decode(HUB_BASE64, hub_json_get_span(g, "public"), public_key, sizeof public_key, &len) !=
                HUB_OK ||
            len != sizeof public_key)
            continue;
        while (i < c->count && memcmp(c->wanted[i]->public_key, public_key, sizeof public_key) != 0)
            i++;
        if (i < c->count)
            c->have[i] = true;
        else
            c->others = true;
    }
    c->records++;
    hub_arena_deinit(&arena);
    return result;
}

static enum hub_result compare_key(struct hub_keys *keys, const struct hub_class_key *key, struct comparison *c,
                                   struct hub_error *err)
{
    char prefix[NAME_CAP];
    c->count = hub_keys_granted(keys, key->class_, c->wanted);
    (void)snprintf(prefix, sizeof prefix, "record/%s/", key->id.text);
    struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_KEYS, hub_span_str(prefix));
    enum hub_result result = iter != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (result == HUB_OK && hub_kv_iter_next(iter))
        result = compare_record(keys, hub_kv_iter_value(iter), c, err);
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

/* Who is newly allowed the class of KEY gets it; *OTHERS: somebody has it who is not allowed any more. */
static enum hub_result grant_key(struct hub_keys *keys, const struct hub_class_key *key, const char *by,
                                 const struct hub_role_grant **room, bool *others, struct hub_error *err)
{
    struct comparison c = {.wanted = room};
    size_t missing = 0;
    HUB_TRY(compare_key(keys, key, &c, err));
    *others = c.others;
    for (size_t i = 0; i < c.count; i++) {
        if (!c.have[i])
            room[missing++] = room[i];
    }
    return missing != 0 ? hub_keys_class_publish(keys, key, c.records, NULL, by, room, missing, err) : HUB_OK;
}

/* The store holds all records: nothing of class keys is pending. */
static enum hub_result bring_up(struct hub_keys *keys, const char *by, struct hub_error *err)
{
    const struct hub_role_grant **room = hub_mem_array(keys->grants.count + 1, sizeof *room);
    bool over[HUB_DATA_CLASSES] = {false};
    enum hub_result result = room != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (struct hub_class_key *key = atomic_load(&keys->classes); key != NULL && result == HUB_OK;
         key = key->next) {
        bool others = false;
        result = grant_key(keys, key, by, room, &others, err);
        if (key == atomic_load(&keys->current[key->class_]))
            over[key->class_] = others;
    }
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES && result == HUB_OK; c++) {
        if (atomic_load(&keys->current[c]) == NULL)
            result = hub_keys_class_make(keys, (enum hub_data_class)c, "first", NULL, err);
        else if (over[c])
            result = hub_keys_class_make(keys, (enum hub_data_class)c, "access", by, err);
    }
    hub_mem_free(room);
    return result;
}

/* --- the doors --- */

enum hub_result hub_keys_roles_open(struct hub_keys *keys, const struct hub_roles *roles, struct hub_error *err)
{
    HUB_TRY(load_grants(keys, roles, &keys->grants, err));
    if (roles != NULL)
        HUB_TRY(bring_up(keys, NULL, err));
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES && roles == NULL; c++) {
        if (atomic_load(&keys->current[c]) == NULL)
            HUB_TRY(hub_keys_class_make(keys, (enum hub_data_class)c, "first", NULL, err));
    }
    return hub_keys_dirty(keys) ? hub_keys_sync(keys, err) : HUB_OK;
}

void hub_keys_roles_close(struct hub_keys *keys)
{
    hub_mem_free(keys->grants.items);
}

/* The class lock is held. */
static enum hub_result take_roles(struct hub_keys *keys, const struct hub_roles *roles, const char *by,
                                  struct hub_error *err)
{
    struct hub_role_grants next;
    HUB_TRY(hub_keys_sync(keys, err));
    HUB_TRY(load_grants(keys, roles, &next, err));
    hub_mem_free(keys->grants.items);
    keys->grants = next;
    return bring_up(keys, by, err);
}

enum hub_result hub_keys_access(struct hub_keys *keys, const struct hub_roles *roles, const char *by,
                                struct hub_error *err)
{
    (void)pthread_mutex_lock(&keys->class_lock);
    enum hub_result result = take_roles(keys, roles, by, err);
    if (result == HUB_OK)
        result = hub_keys_sync(keys, err);
    (void)pthread_mutex_unlock(&keys->class_lock);
    return result;
}

static enum hub_result no_role(struct hub_error *err)
{
    return hub_fail(err, HUB_NOT_FOUND, "the access policy has no such role", "roles stand in policies/access/roles.yaml");
}

static enum hub_result revoke(struct hub_keys *keys, const char *role, const char *by, struct hub_error *err)
{
    struct hub_role_grant *grant = find_grant(keys, role);
    unsigned number = 0;
    bool revoked = false;
    if (grant == NULL)
        return no_role(err);
    HUB_TRY(role_state(keys, role, &number, &revoked, err));
    if (revoked)
        return hub_fail(err, HUB_EXISTS, "the role is revoked already", NULL);
    HUB_TRY(role_record(keys, "role-revoked", role, number, by, err));
    grant->revoked = true;
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        if (grant->classes[c])
            HUB_TRY(hub_keys_class_make(keys, (enum hub_data_class)c, "revoked", by, err));
    }
    return HUB_OK;
}

enum hub_result hub_keys_revoke(struct hub_keys *keys, const char *role, const char *by, struct hub_error *err)
{
    (void)pthread_mutex_lock(&keys->class_lock);
    enum hub_result result = hub_keys_sync(keys, err); /* an earlier record may be pending */
    if (result == HUB_OK)
        result = revoke(keys, role, by, err);
    if (result == HUB_OK)
        result = hub_keys_sync(keys, err);
    (void)pthread_mutex_unlock(&keys->class_lock);
    return result;
}

static enum hub_result grant(struct hub_keys *keys, const struct hub_roles *roles, const char *role,
                             const char *by, struct hub_error *err)
{
    unsigned number = 0;
    bool revoked = false;
    if (hub_roles_find(roles, role) == NULL)
        return no_role(err);
    HUB_TRY(role_state(keys, role, &number, &revoked, err));
    HUB_TRY(role_record(keys, "role-granted", role, number, by, err));
    return take_roles(keys, roles, by, err); /* syncs that record first */
}

enum hub_result hub_keys_grant(struct hub_keys *keys, const struct hub_roles *roles, const char *role,
                               const char *by, struct hub_error *err)
{
    (void)pthread_mutex_lock(&keys->class_lock);
    enum hub_result result = hub_keys_sync(keys, err);
    if (result == HUB_OK)
        result = grant(keys, roles, role, by, err);
    if (result == HUB_OK)
        result = hub_keys_sync(keys, err);
    (void)pthread_mutex_unlock(&keys->class_lock);
    return result;
}

bool hub_keys_revoked(struct hub_keys *keys, const char *role)
{
    (void)pthread_mutex_lock(&keys->class_lock);
    const struct hub_role_grant *found = find_grant(keys, role);
    bool revoked = found != NULL && found->revoked;
    (void)pthread_mutex_unlock(&keys->class_lock);
    return revoked;
}
