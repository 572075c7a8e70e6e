/* Who may open what: policies/access/roles.yaml. */
#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/codec/yaml.h"
#include "src/policy/policy.h"

enum { ROLES_MAX = 256, ROLE_NAME_MAX = 40 };

struct owner {
    struct hub_arena arena;
};

struct loader {
    struct hub_arena *arena;
    const char *file;
    const char *folder;
    struct hub_problems *problems;
};

static void problem(const struct loader *l, uint32_t line, const char *name, const char *what,
                    const char *mend)
{
    hub_problems_add(l->problems, HUB_SEVERITY_ERROR, l->file, line, name, what, mend, NULL);
}

/* Names become file names and words of audit entries. */
static bool name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > ROLE_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || (c != '-' && c != '_')))
            return false;
    }
    return true;
}

static void load_classes(const struct loader *l, const struct hub_yaml *list, struct hub_role *role)
{
    if (list == NULL || list->type != HUB_YAML_LIST) {
        problem(l, role->line, role->name, "the role has no list of classes",
                "write classes: [...], [] for none");
        return;
    }
    for (const struct hub_yaml *e = list->first; e != NULL; e = e->next) {
        enum hub_data_class class_ = HUB_DATA_CLEAR;
        if (e->type != HUB_YAML_SCALAR || !hub_data_class_of(hub_span_str(e->text), &class_) ||
            class_ == HUB_DATA_CLEAR)
            problem(l, e->line, role->name, "not a data class",
                    "use identity, contact, financial, clinical, sensitive or raw");
        else
            role->classes[class_] = true;
    }
}

static void load_role(const struct loader *l, struct hub_yaml *row, struct hub_role *role)
{
    static const char *const known[] = {"classes", "public_key", "description", NULL};
    struct hub_span name = hub_arena_copy(l->arena, hub_span_str(row->key));
    role->name = name.ptr != NULL ? (const char *)name.ptr : "";
    role->line = row->key_line;
    if (!name_valid(row->key))
        problem(l, row->key_line, row->key, "not a role name", "use letters, digits, - and _, at most 40");
    if (row->type != HUB_YAML_MAP) {
        problem(l, row->line, row->key, "a role is a map", "write {classes: [...], public_key: FILE}");
        return;
    }
    load_classes(l, hub_yaml_get(row, "classes"), role);
    (void)hub_yaml_get(row, "description");
    const char *path = hub_yaml_get_text(row, "public_key");
    if (path != NULL && path[0] == '/')
        role->public_key_path = (const char *)hub_arena_copy(l->arena, hub_span_str(path)).ptr;
    else if (path != NULL)
        role->public_key_path = hub_arena_printf(l->arena, "%s/%s", l->folder, path);
    else
        role->public_key_path = hub_arena_printf(l->arena, "%s/keys/roles/%s.pub", l->folder, row->key);
    if (role->public_key_path == NULL)
        problem(l, row->line, row->key, "out of memory", NULL);
    hub_yaml_check_unused(row, l->file, known, l->problems);
}

static void load_all(const struct loader *l, struct hub_yaml *root, struct hub_roles *roles)
{
    static const char *const known[] = {"roles", NULL};
    struct hub_yaml *map = hub_yaml_get(root, "roles");
    hub_yaml_check_unused(root, l->file, known, l->problems);
    if (map == NULL || map->type != HUB_YAML_MAP || map->count == 0 || map->count > ROLES_MAX) {
        problem(l, root->line, "roles", "the policy names no roles", "see policies/access/roles.yaml");
        return;
    }
    roles->items = HUB_ARENA_ARRAY(l->arena, struct hub_role, map->count);
    if (roles->items == NULL) {
        problem(l, root->line, "roles", "out of memory", NULL);
        return;
    }
    for (struct hub_yaml *row = map->first; row != NULL; row = row->next)
        load_role(l, row, &roles->items[roles->count++]);
}

struct hub_roles *hub_roles_load(const char *path, const char *folder, struct hub_problems *problems)
{
    struct hub_roles *roles = hub_mem_alloc(sizeof *roles);
    struct owner *owner = hub_mem_alloc(sizeof *owner);
    size_t errors = problems->errors;
    if (roles == NULL || owner == NULL) {
        hub_problems_add(problems, HUB_SEVERITY_ERROR, path, 0, NULL, "out of memory", NULL, NULL);
        hub_mem_free(roles);
        hub_mem_free(owner);
        return NULL;
    }
    roles->owner = owner;
    hub_arena_init(&owner->arena, 16 * 1024 * 1024);
    struct hub_yaml *root = hub_yaml_load(&owner->arena, path, problems);
    const struct loader l = {&owner->arena, path, folder, problems};
    if (root != NULL)
        load_all(&l, root, roles);
    if (owner->arena.failed)
        hub_problems_add(problems, HUB_SEVERITY_ERROR, path, 0, NULL, "too large, or out of memory", NULL, NULL);
    if (problems->errors == errors)
        return roles;
    hub_roles_free(roles);
    return NULL;
}

void hub_roles_free(struct hub_roles *roles)
{
    if (roles == NULL)
        return;
    struct owner *owner = roles->owner;
    if (owner != NULL)
        hub_arena_deinit(&owner->arena);
    hub_mem_free(owner);
    hub_mem_free(roles);
}

const struct hub_role *hub_roles_find(const struct hub_roles *roles, const char *name)
{
    for (size_t i = 0; i < roles->count; i++) {
        if (strcmp(roles->items[i].name, name) == 0)
            return &roles->items[i];
    }
    return NULL;
}
