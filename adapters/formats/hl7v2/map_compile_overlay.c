/* A site's overlays (docs/MAPPING.md section 10), merged into the trees of the tables before these are compiled. */
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

const char *map_file_of(const struct map_compiler *c, const struct hub_yaml *node)
{
    for (size_t i = 0; i < c->moved_count; i++) {
        if (c->moved[i].node == node)
            return c->moved[i].file;
    }
    return c->file;
}

static void note_moved(struct map_compiler *c, const struct hub_yaml *node, const char *file)
{
    if (c->moved_count < MAP_MOVED_MAX)
        c->moved[c->moved_count++] = (struct map_moved){node, file};
    else
        hub_table_problem(c->problems, file, node->line, "too many overlay rules", NULL);
}

static void append(struct hub_yaml *container, struct hub_yaml *node)
{
    struct hub_yaml **at = &container->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = node;
    node->next = NULL;
    container->count++;
}

/* The link that points at the rule of that id, NULL when there is none. */
static struct hub_yaml **find_rule(struct hub_yaml *list, const char *id)
{
    for (struct hub_yaml **at = &list->first; id != NULL && *at != NULL; at = &(*at)->next) {
        const char *own = hub_yaml_get_text(*at, "id");
        if (own != NULL && strcmp(own, id) == 0)
            return at;
    }
    return NULL;
}

static void merge_rule(struct map_compiler *c, struct hub_yaml *into, struct hub_yaml *rule, const char *file)
{
    const char *id = hub_yaml_get_text(rule, "id");
    const char *remove = hub_yaml_get_text(rule, "remove");
    const char *after = hub_yaml_get_text(rule, "after");
    struct hub_yaml **at = find_rule(into, id);
    if (remove != NULL) {
        if (at == NULL) {
            hub_table_problem(c->problems, file, rule->line, "no rule of that id to remove", id);
            return;
        }
        *at = (*at)->next;
        into->count--;
        return;
    }
    note_moved(c, rule, file);
    if (at != NULL) {
        rule->next = (*at)->next;
        *at = rule;
        return;
    }
    at = after != NULL ? find_rule(into, after) : NULL;
    if (after != NULL && at == NULL)
        hub_table_problem(c->problems, file, rule->line, "no rule of that id to stand after", after);
    if (at == NULL) {
        append(into, rule);
        return;
    }
    rule->next = (*at)->next;
    (*at)->next = rule;
    into->count++;
}

static void merge_rules(struct map_compiler *c, struct hub_yaml *into, struct hub_yaml *rules, const char *file)
{
    if (into == NULL || into->type != HUB_YAML_LIST || rules->type != HUB_YAML_LIST) {
        hub_table_problem(c->problems, file, rules->line, "rules is a list", NULL);
        return;
    }
    for (struct hub_yaml *rule = rules->first, *next = NULL; rule != NULL; rule = next) {
        next = rule->next;
        merge_rule(c, into, rule, file);
    }
}

/* Members of FROM into INTO: rules by id, other members replaced or added. */
static void merge_decl(struct map_compiler *c, struct hub_yaml *into, struct hub_yaml *from, const char *file)
{
    for (struct hub_yaml *member = from->first, *next = NULL; member != NULL; member = next) {
        next = member->next;
        struct hub_yaml *there = hub_yaml_get(into, member->key);
        if (there != NULL)
            there->used = false;
        if (strcmp(member->key, "rules") == 0 && there != NULL) {
            merge_rules(c, there, member, file);
            continue;
        }
        for (struct hub_yaml **at = &into->first; there != NULL && *at != NULL; at = &(*at)->next) {
            if (*at == there) {
                *at = there->next;
                into->count--;
                break;
            }
        }
        append(into, member);
    }
}

/* MAP's members (resources or targets) into those of a table. */
static void merge_named(struct map_compiler *c, struct hub_yaml *into, struct hub_yaml *from, const char *file)
{
    for (struct hub_yaml *member = from->first, *next = NULL; member != NULL; member = next) {
        next = member->next;
        struct hub_yaml *there = hub_yaml_get(into, member->key);
        if (member->type != HUB_YAML_MAP) {
            hub_table_problem(c->problems, file, member->line, "expected a map", member->key);
        } else if (there != NULL && there->type == HUB_YAML_MAP) {
            there->used = false;
            merge_decl(c, there, member, file);
        } else {
            note_moved(c, member, file);
            append(into, member);
        }
    }
}

static void merge_table(struct map_compiler *c, struct hub_table *table, struct hub_yaml *from, const char *part, const char *file)
{
    struct hub_yaml *into = hub_yaml_get(table->yaml, part);
    struct hub_yaml *add = hub_yaml_get(from, part);
    static const char *const known_segment[] = {"resources", NULL};
    static const char *const known_type[] = {"targets", NULL};
    if (into == NULL || add == NULL || add->type != HUB_YAML_MAP || into->type != HUB_YAML_MAP) {
        hub_table_problem(c->problems, file, from->line, "nothing to add to this table", part);
        return;
    }
    merge_named(c, into, add, file);
    hub_yaml_check_unused(from, file, strcmp(part, "targets") == 0 ? known_type : known_segment, c->problems);
}

/* A table of its own, given in the overlay only. */
static void add_table(struct map_compiler *c, struct hub_tables *tables, struct hub_yaml *from, const char *top_key, const char *file)
{
    struct hub_table *items = HUB_ARENA_ARRAY(c->arena, struct hub_table, tables->count + 1);
    struct hub_yaml *name = HUB_ARENA_NEW(c->arena, struct hub_yaml);
    if (items == NULL || name == NULL)
        return;
    for (size_t i = 0; i < tables->count; i++)
        items[i] = tables->items[i];
    *name = (struct hub_yaml){.type = HUB_YAML_SCALAR, .line = from->line, .key = top_key, .key_line = from->line, .text = from->key, .used = true};
    name->next = from->first;
    from->first = name;
    from->count++;
    items[tables->count] = (struct hub_table){from->key, file, from};
    tables->items = items;
    tables->count++;
}

static void merge_part(struct map_compiler *c, const struct map_overlay *overlay, const char *section, struct hub_tables *tables,
                       const char *top_key, const char *part)
{
    struct hub_yaml *map = hub_yaml_get(overlay->yaml, section);
    if (map == NULL)
        return;
    if (map->type != HUB_YAML_MAP) {
        hub_table_problem(c->problems, overlay->file, map->line, "expected a map of tables", section);
        return;
    }
    for (struct hub_yaml *item = map->first, *next = NULL; item != NULL; item = next) {
        next = item->next;
        item->used = true;
        struct hub_table *there = hub_tables_find(tables, item->key);
        if (item->type != HUB_YAML_MAP)
            hub_table_problem(c->problems, overlay->file, item->line, "a table is a map", item->key);
        else if (there != NULL && part != NULL)
            merge_table(c, there, item, part, overlay->file);
        else if (there != NULL)
            *there = (struct hub_table){item->key, overlay->file, item};
        else
            add_table(c, tables, item, top_key, overlay->file);
    }
}

void map_merge_overlays(struct map_compiler *c, struct hub_tables *segments, struct hub_tables *datatypes, struct hub_tables *messages)
{
    static const char *const known[] = {"segments", "datatypes", "codes", "messages", "keys", "note", "title", NULL};
    for (size_t i = 0; i < c->overlay_count; i++) {
        const struct map_overlay *overlay = &c->overlays[i];
        merge_part(c, overlay, "segments", segments, "segment", "resources");
        merge_part(c, overlay, "datatypes", datatypes, "datatype", "targets");
        merge_part(c, overlay, "messages", messages, "message", NULL);
        (void)hub_yaml_get(overlay->yaml, "codes");
        (void)hub_yaml_get(overlay->yaml, "keys");
        (void)hub_yaml_get(overlay->yaml, "title");
        (void)hub_yaml_get(overlay->yaml, "note");
        hub_yaml_check_unused(overlay->yaml, overlay->file, known, c->problems);
    }
}
