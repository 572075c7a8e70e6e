/* The access policy in force: who may open what. It is read at the start and anew by a reload and `keys grant`; a session that
 * proved a role keeps the policy's memory alive by keeping nothing: old ones stay until the hub closes. */
#include <string.h>

#include "src/base/mem.h"
#include "src/pipeline/hub_internal.h"

struct hub_access_old {
    struct hub_roles *roles;
    struct hub_access_old *next;
};

const struct hub_role *hub_access_role(struct hub *hub, const char *name)
{
    (void)pthread_mutex_lock(&hub->run_lock);
    const struct hub_role *role = hub_roles_find(hub->access, name);
    (void)pthread_mutex_unlock(&hub->run_lock);
    return role;
}

static bool same_roles(const struct hub_roles *a, const struct hub_roles *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        const struct hub_role *other = hub_roles_find(b, a->items[i].name);
        same = other != NULL && memcmp(other->classes, a->items[i].classes, sizeof(other->classes)) == 0 &&
               strcmp(other->public_key_path, a->items[i].public_key_path) == 0;
    }
    return same;
}

enum hub_result hub_access_take(struct hub *hub, const char *role, const char *by, struct hub_error *err)
{
    struct hub_problems problems;
    struct hub_access_old *old = hub_mem_alloc(sizeof(*old));
    if (old == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_problems_init(&problems);
    struct hub_roles *roles = hub_roles_load(hub->config->policy_access, hub->config->folder, &problems);
    hub_problems_deinit(&problems);
    enum hub_result result = roles == NULL ? hub_fail(err, HUB_CONFIG, "the access policy cannot be used", "run `chartline check`")
                             : role != NULL ? hub_keys_grant(hub->keys, roles, role, by, err)
                                            : hub_keys_access(hub->keys, roles, by, err);
    if (result != HUB_OK || same_roles(roles, hub->access)) { /* a reload a minute must not pile them up */
        hub_roles_free(roles);
        hub_mem_free(old);
        return result;
    }
    (void)pthread_mutex_lock(&hub->run_lock);
    *old = (struct hub_access_old){hub->access, hub->access_old};
    hub->access_old = old;
    hub->access = roles;
    (void)pthread_mutex_unlock(&hub->run_lock);
    return HUB_OK;
}

void hub_access_close(struct hub *hub)
{
    hub_roles_free(hub->access);
    while (hub->access_old != NULL) {
        struct hub_access_old *next = hub->access_old->next;
        hub_roles_free(hub->access_old->roles);
        hub_mem_free(hub->access_old);
        hub->access_old = next;
    }
}
