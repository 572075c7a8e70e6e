/* Segment tables (docs/MAPPING.md section 1). */
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

static void compile_uses(struct map_compiler *c, struct hub_yaml *yaml, struct map_segment_table *out)
{
    if (yaml == NULL)
        return;
    struct map_path *paths = map_zalloc(c, yaml->count + 1, sizeof *paths);
    if (paths == NULL || yaml->type != HUB_YAML_LIST) {
        map_problem(c, yaml->line, "uses is a list of paths", NULL);
        return;
    }
    uint16_t n = 0;
    for (struct hub_yaml *item = yaml->first; item != NULL; item = item->next) {
        item->used = true;
        if (item->type == HUB_YAML_SCALAR && map_parse_path(c, item->text, &paths[n], item->line))
            n++;
    }
    out->uses = paths;
    out->use_count = n;
}

static void compile_extends(struct map_compiler *c, struct hub_yaml *yaml, struct map_decl *out)
{
    uint16_t *slots = map_zalloc(c, yaml->count + 1, sizeof *slots);
    if (slots == NULL || yaml->type != HUB_YAML_LIST) {
        map_problem(c, yaml->line, "extends is a list of resource names", NULL);
        return;
    }
    for (struct hub_yaml *item = yaml->first; item != NULL; item = item->next) {
        item->used = true;
        if (item->type == HUB_YAML_SCALAR)
            slots[out->extends_count++] = map_intern_slot(c, item->text, item->line);
    }
    out->extends = slots;
}

/* The segments beside `extends`: what it looks over, whose resource it adds to. NULL: none is said. */
static const uint16_t *compile_names(struct map_compiler *c, struct hub_yaml *yaml, const struct map_decl *decl, const char *wrong,
                                     uint16_t *count)
{
    if (yaml == NULL)
        return NULL;
    uint16_t *names = map_zalloc(c, yaml->count + 1, sizeof *names);
    if (names == NULL || yaml->type != HUB_YAML_LIST || decl->extends == NULL) {
        map_problem(c, yaml->line, wrong, NULL);
        return NULL;
    }
    for (struct hub_yaml *item = yaml->first; item != NULL; item = item->next) {
        item->used = true;
        if (item->type == HUB_YAML_SCALAR && strlen(item->text) == 3)
            names[(*count)++] = map_intern_segment(c, item->text, item->line);
        else
            map_problem(c, item->line, "not the name of a segment", item->type == HUB_YAML_SCALAR ? item->text : NULL);
    }
    return names;
}

static enum map_per per_of(struct map_compiler *c, struct hub_yaml *yaml)
{
    const char *per = hub_yaml_get_text(yaml, "per");
    if (per == NULL || strcmp(per, "segment") == 0)
        return MAP_PER_SEGMENT;
    if (strcmp(per, "group") == 0)
        return MAP_PER_GROUP;
    /* Events are made one by one, so what is there once a message is there once in each patient's event. */
    if (strcmp(per, "patient") == 0 || strcmp(per, "message") == 0)
        return MAP_PER_PATIENT;
    map_problem(c, yaml->line, "per is segment, group, patient or message", per);
    return MAP_PER_SEGMENT;
}

/* The listed rules again, looked up by id among the compiled ones. */
static void pick_rules(struct map_compiler *c, struct hub_yaml *list, const struct map_rules *from, struct map_rules *out)
{
    const struct map_rule **items = map_zalloc(c, list->count + 1, sizeof(struct map_rule *));
    if (items == NULL || list->type != HUB_YAML_LIST) {
        map_problem(c, list->line, "expected a list of rule ids", NULL);
        return;
    }
    for (struct hub_yaml *item = list->first; item != NULL; item = item->next) {
        const struct map_rule *found = NULL;
        for (uint16_t i = 0; i < from->count && item->type == HUB_YAML_SCALAR; i++) {
            if (from->items[i]->id != NULL && strcmp(from->items[i]->id, item->text) == 0)
                found = from->items[i];
        }
        item->used = true;
        if (found != NULL)
            items[out->count++] = found;
        else
            map_problem(c, item->line, "no rule of that id", item->type == HUB_YAML_SCALAR ? item->text : NULL);
    }
    out->items = items;
    map_index_rules(c, out);
}

static void compile_merge(struct map_compiler *c, struct hub_yaml *yaml, struct map_decl *out)
{
    static const char *const known[] = {"when", "same", "rules", NULL};
    struct map_merge *merge = map_zalloc(c, 1, sizeof *merge);
    struct hub_yaml *same = hub_yaml_get(yaml, "same");
    struct hub_yaml *rules = hub_yaml_get(yaml, "rules");
    if (merge == NULL || same == NULL || rules == NULL) {
        map_problem(c, yaml->line, "merge needs when, same and rules", NULL);
        return;
    }
    struct map_segment_table paths = {0};
    compile_uses(c, same, &paths);
    merge->same = paths.uses;
    merge->same_count = paths.use_count;
    merge->when = map_when(c, yaml);
    pick_rules(c, rules, &out->rules, &merge->rules);
    hub_yaml_check_unused(yaml, c->file, known, c->problems);
    out->merge = merge;
}

/* `entry: {same_as: OBR.order}` is resolved when all tables are there: the caller's second pass. */
static void compile_entry_of(struct map_compiler *c, struct hub_yaml *yaml, struct map_decl *out)
{
    struct hub_yaml *entry = hub_yaml_get(yaml, "entry");
    if (entry == NULL)
        return;
    if (entry->type != HUB_YAML_MAP) {
        map_problem(c, entry->line, "entry is a map", NULL);
        return;
    }
    if (hub_yaml_get(entry, "same_as") != NULL)
        return;
    out->entry = map_compile_entry(c, entry);
}

static void declare_slot(struct map_compiler *c, const struct map_decl *decl, const struct hub_yaml *yaml)
{
    if (decl->resource == NULL || decl->slot == MAP_NONE)
        return;
    const char *known = c->slot_types[decl->slot];
    if (known != NULL && strcmp(known, decl->resource) != 0)
        map_problem(c, yaml->line, "another table makes a different resource type of this name", decl->name);
    c->slot_types[decl->slot] = decl->resource;
}

static void compile_decl(struct map_compiler *c, struct hub_yaml *yaml, struct map_decl *out)
{
    static const char *const known[] = {"resource", "per", "extends", "of", "over", "when", "rules", "entry", "merge", "label", "note", NULL};
    const char *outer_file = c->file;
    yaml->used = true;
    c->file = map_file_of(c, yaml);
    out->name = yaml->key;
    out->table = c->table;
    out->line = yaml->line;
    out->slot = MAP_NONE;
    out->resource = hub_yaml_get_text(yaml, "resource");
    struct hub_yaml *extends = hub_yaml_get(yaml, "extends");
    if (extends != NULL)
        compile_extends(c, extends, out);
    else if (out->resource != NULL)
        out->slot = map_intern_slot(c, out->name, yaml->line);
    out->over = compile_names(c, hub_yaml_get(yaml, "over"), out, "over is a list of segment names beside extends", &out->over_count);
    out->of = compile_names(c, hub_yaml_get(yaml, "of"), out, "of is a list of segment names beside extends", &out->of_count);
    if ((extends != NULL) == (out->resource != NULL))
        map_problem(c, yaml->line, "a declaration needs `resource` or `extends`", out->name);
    declare_slot(c, out, yaml);
    out->per = per_of(c, yaml);
    out->when = map_when(c, yaml);
    map_compile_rules(c, hub_yaml_get(yaml, "rules"), &out->rules);
    compile_entry_of(c, yaml, out);
    struct hub_yaml *merge = hub_yaml_get(yaml, "merge");
    if (merge != NULL)
        compile_merge(c, merge, out);
    struct hub_yaml *label = hub_yaml_get(yaml, "label");
    if (label != NULL)
        (void)map_compile_parts(c, label, &out->label);
    (void)hub_yaml_get(yaml, "note");
    hub_yaml_check_unused(yaml, c->file, known, c->problems);
    c->file = outer_file;
}

void map_compile_segment(struct map_compiler *c, const struct hub_table *table)
{
    static const char *const known[] = {"segment", "title", "uses", "resources", "note", NULL};
    c->file = table->file;
    c->table = table->name;
    if (!map_is_segment_name(table->name, strlen(table->name))) {
        map_problem(c, table->yaml->line, "not a segment name", table->name);
        return;
    }
    c->self = map_intern_segment(c, table->name, table->yaml->line);
    struct map_segment_table *out = map_zalloc(c, 1, sizeof *out);
    struct hub_yaml *resources = hub_yaml_get(table->yaml, "resources");
    if (out == NULL || c->self == MAP_NONE)
        return;
    out->name = table->name;
    (void)hub_yaml_get(table->yaml, "title");
    (void)hub_yaml_get(table->yaml, "note");
    compile_uses(c, hub_yaml_get(table->yaml, "uses"), out);
    size_t count = resources != NULL && resources->type == HUB_YAML_MAP ? resources->count : 0;
    struct map_decl *decls = map_zalloc(c, count + 1, sizeof *decls);
    for (struct hub_yaml *item = count != 0 ? resources->first : NULL; item != NULL && decls != NULL; item = item->next) {
        if (item->type == HUB_YAML_MAP)
            compile_decl(c, item, &decls[out->decl_count++]);
        else
            map_problem(c, item->line, "a resource is a map", item->key);
    }
    out->decls = decls;
    hub_yaml_check_unused(table->yaml, c->file, known, c->problems);
    c->tables->segments[c->self].table = out;
    c->self = MAP_NONE;
}
