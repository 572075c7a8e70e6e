/* The compiler of the mapping tables: loads the folders and overlays, numbers all names, drives the rest. */
#include "adapters/formats/hl7v2/map.h"
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

#include "src/base/mem.h"

enum { TABLE_BYTES_MAX = 64 * 1024 * 1024 };

void map_problem(struct map_compiler *c, uint32_t line, const char *what, const char *detail)
{
    hub_table_problem(c->problems, c->file, line, what, detail);
}

void *map_zalloc(struct map_compiler *c, size_t count, size_t size)
{
    void *out = hub_arena_zalloc(c->arena, (count != 0 ? count : 1) * size);
    if (out == NULL)
        map_problem(c, 0, "out of memory", NULL);
    return out;
}

static uint32_t name_hash(const char id[4])
{
    uint32_t h = (uint32_t)(uint8_t)id[0] * 31 * 37 + (uint32_t)(uint8_t)id[1] * 37 + (uint32_t)(uint8_t)id[2];
    return (h ^ (h >> 7)) % MAP_NAME_SLOTS;
}

uint16_t map_segment_number(const struct map_tables *tables, const char id[4])
{
    for (uint32_t at = name_hash(id); tables->name_slots[at] != 0; at = (at + 1) % MAP_NAME_SLOTS) {
        uint16_t number = (uint16_t)(tables->name_slots[at] - 1);
        if (memcmp(tables->segments[number].id, id, 3) == 0)
            return number;
    }
    return MAP_NONE;
}

uint16_t map_intern_segment(struct map_compiler *c, const char *id, uint32_t line)
{
    struct map_tables *tables = c->tables;
    uint16_t known = map_segment_number(tables, id);
    if (known != MAP_NONE)
        return known;
    if (tables->segment_count == MAP_SEGMENTS_MAX) {
        map_problem(c, line, "too many different segment names", id);
        return MAP_NONE;
    }
    uint16_t number = tables->segment_count++;
    memcpy(tables->segments[number].id, id, 3);
    uint32_t at = name_hash(id);
    while (tables->name_slots[at] != 0)
        at = (at + 1) % MAP_NAME_SLOTS;
    tables->name_slots[at] = (uint16_t)(number + 1);
    return number;
}

uint16_t map_intern_slot(struct map_compiler *c, const char *name, uint32_t line)
{
    uint16_t count = c->tables->slot_count;
    for (uint16_t i = 0; i < count; i++) {
        if (strcmp(c->slots[i], name) == 0)
            return i;
    }
    if (count == MAP_SLOTS_MAX) {
        map_problem(c, line, "too many different resource names", name);
        return 0;
    }
    c->slots[count] = name;
    c->slot_files[count] = c->file;
    c->slot_lines[count] = line;
    c->tables->slot_count++;
    return count;
}

bool map_yaml_bool(struct map_compiler *c, struct hub_yaml *map, const char *key, bool absent)
{
    struct hub_yaml *value = hub_yaml_get(map, key);
    if (value == NULL)
        return absent;
    if (value->type == HUB_YAML_SCALAR && strcmp(value->text, "true") == 0)
        return true;
    if (value->type != HUB_YAML_SCALAR || strcmp(value->text, "false") != 0)
        map_problem(c, value->line, "expected true or false", key);
    return false;
}

const struct hub_codes *map_find_codes(struct map_compiler *c, const char *name, uint32_t line)
{
    for (size_t i = 0; i < c->code_count; i++) {
        if (strcmp(c->codes[i].name, name) == 0)
            return c->codes[i].codes;
    }
    struct hub_codes_source sources[MAP_OVERLAYS_MAX + 1];
    size_t count = 0;
    const struct hub_table *table = hub_tables_find(&c->code_tables, name);
    if (table != NULL)
        sources[count++] = (struct hub_codes_source){table->file, table->yaml};
    for (size_t i = 0; i < c->overlay_count; i++) {
        struct hub_yaml *added = hub_yaml_get(hub_yaml_get(c->overlays[i].yaml, "codes"), name);
        if (added != NULL && added->type == HUB_YAML_MAP)
            sources[count++] = (struct hub_codes_source){c->overlays[i].file, added};
    }
    if (count == 0 || c->code_count == MAP_CODES_MAX) {
        map_problem(c, line, "no code list of that name", name);
        return NULL;
    }
    struct hub_codes *codes = map_zalloc(c, 1, sizeof *codes);
    if (codes == NULL)
        return NULL;
    c->codes[c->code_count++] = (struct map_named_codes){name, codes};
    hub_codes_compile(c->arena, name, sources, count, codes, c->problems);
    return codes;
}

const struct map_target *map_find_target(struct map_compiler *c, const char *type, uint32_t line)
{
    size_t len = strcspn(type, "[");
    const char *name = type[len] == '[' ? type + len + 1 : NULL;
    for (uint32_t i = 0; i < c->tables->target_count; i++) {
        const struct map_target *target = c->targets[i];
        if (strlen(target->table) != len || strncmp(target->table, type, len) != 0)
            continue;
        if (name == NULL || (strlen(target->name) + 1 == strlen(name) && strncmp(target->name, name, strlen(target->name)) == 0))
            return target;
    }
    map_problem(c, line, "no type of that name", type);
    return NULL;
}

static enum map_codes_on codes_on(const char *target)
{
    if (strncmp(target, "CodeableConcept", 15) == 0)
        return MAP_CODES_CONCEPT;
    return strncmp(target, "Coding", 6) == 0 ? MAP_CODES_CODING : MAP_CODES_NONE;
}

/* All targets first, so that tables may name each other in any order. */
static void declare_targets(struct map_compiler *c, const struct hub_table *table)
{
    static const char *const known[] = {"datatype", "title", "targets", "note", NULL};
    struct hub_yaml *targets = hub_yaml_get(table->yaml, "targets");
    c->file = table->file;
    (void)hub_yaml_get(table->yaml, "title");
    (void)hub_yaml_get(table->yaml, "note");
    hub_yaml_check_unused(table->yaml, c->file, known, c->problems);
    if (targets == NULL || targets->type != HUB_YAML_MAP) {
        map_problem(c, table->yaml->line, "a data type needs targets", table->name);
        return;
    }
    for (struct hub_yaml *item = targets->first; item != NULL; item = item->next) {
        struct map_target *target = map_zalloc(c, 1, sizeof *target);
        if (target == NULL || c->tables->target_count == MAP_TARGETS_MAX) {
            map_problem(c, item->line, "too many targets", item->key);
            return;
        }
        item->used = true;
        *target = (struct map_target){.table = table->name, .name = item->key, .line = item->line, .number = c->tables->target_count};
        target->codes_on = codes_on(item->key);
        target->resource = hub_yaml_get_text(item, "resource");
        c->target_yaml[target->number] = item;
        c->target_files[target->number] = table->file;
        c->targets[target->number] = target;
        c->tables->target_count++;
    }
}

static void compile_targets(struct map_compiler *c)
{
    static const char *const known[] = {"resource", "rules", "note", NULL};
    c->self = MAP_NONE;
    c->nested = true;
    for (uint32_t i = 0; i < c->tables->target_count; i++) {
        struct map_target *target = c->targets[i];
        struct hub_yaml *yaml = c->target_yaml[i];
        c->file = c->target_files[i];
        c->file = map_file_of(c, yaml);
        c->table = target->table;
        (void)hub_yaml_get(yaml, "note");
        map_compile_rules(c, hub_yaml_get(yaml, "rules"), &target->rules);
        hub_yaml_check_unused(yaml, c->file, known, c->problems);
    }
    c->nested = false;
}

static void add_keys(struct map_compiler *c, struct hub_yaml *keys, const char *file)
{
    for (struct hub_yaml *item = keys != NULL && keys->type == HUB_YAML_MAP ? keys->first : NULL; item != NULL; item = item->next) {
        size_t at = 0;
        item->used = true;
        while (at < c->key_count && strcmp(c->keys[at].name, item->key) != 0)
            at++;
        if (at == MAP_KEYS_MAX) {
            hub_table_problem(c->problems, file, item->line, "too many keys", item->key);
            return;
        }
        c->keys[at] = (struct map_named_key){.name = item->key, .yaml = item, .file = file};
        c->key_count = at == c->key_count ? c->key_count + 1 : c->key_count;
    }
}

static void load_keys(struct map_compiler *c)
{
    static const char *const known[] = {"keys", "note", NULL};
    const char *file = hub_arena_printf(c->arena, "%s/keys.yaml", c->folder);
    struct hub_yaml *yaml = file != NULL ? hub_yaml_load(c->arena, file, c->problems) : NULL;
    if (yaml != NULL) {
        add_keys(c, hub_yaml_get(yaml, "keys"), file);
        (void)hub_yaml_get(yaml, "note");
        hub_yaml_check_unused(yaml, file, known, c->problems);
    }
    for (size_t i = 0; i < c->overlay_count; i++)
        add_keys(c, hub_yaml_get(c->overlays[i].yaml, "keys"), c->overlays[i].file);
}

static void load_overlays(struct map_compiler *c, const char *const *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct hub_yaml *yaml = hub_yaml_load(c->arena, files[i], c->problems);
        if (yaml == NULL)
            continue;
        if (c->overlay_count == MAP_OVERLAYS_MAX) {
            hub_table_problem(c->problems, files[i], 0, "too many overlays", NULL);
            return;
        }
        const char *name = (const char *)hub_arena_copy(c->arena, hub_span_str(files[i])).ptr;
        c->overlays[c->overlay_count++] = (struct map_overlay){name, yaml};
    }
}

static void load_folder(struct map_compiler *c, const char *name, const char *top_key, struct hub_tables *out)
{
    const char *folder = hub_arena_printf(c->arena, "%s/%s", c->folder, name);
    memset(out, 0, sizeof *out);
    if (folder != NULL)
        hub_tables_load(c->arena, folder, top_key, out, c->problems);
}

/* `entry: {same_as: SEG.name}`: the entry of a declaration that has its own. */
static const struct map_entry *entry_named(const struct map_compiler *c, const char *text)
{
    const struct map_tables *tables = c->tables;
    uint16_t number = strlen(text) > 4 && text[3] == '.' ? map_segment_number(tables, text) : MAP_NONE;
    const struct map_segment_table *table = number != MAP_NONE ? tables->segments[number].table : NULL;
    for (uint16_t i = 0; table != NULL && i < table->decl_count; i++) {
        if (strcmp(table->decls[i].name, text + 4) == 0)
            return table->decls[i].entry;
    }
    return NULL;
}

static void share_entries(struct map_compiler *c, const struct hub_tables *segments)
{
    for (size_t i = 0; i < segments->count; i++) {
        const struct hub_table *table = &segments->items[i];
        uint16_t number = map_segment_number(c->tables, table->name);
        const struct map_segment_table *compiled = number != MAP_NONE ? c->tables->segments[number].table : NULL;
        for (uint16_t d = 0; compiled != NULL && d < compiled->decl_count; d++) {
            struct map_decl *decl = (struct map_decl *)(uintptr_t)&compiled->decls[d];
            struct hub_yaml *yaml = hub_yaml_get(hub_yaml_get(table->yaml, "resources"), decl->name);
            const char *same = hub_yaml_get_text(hub_yaml_get(yaml, "entry"), "same_as");
            if (same == NULL)
                continue;
            c->file = table->file;
            decl->entry = entry_named(c, same);
            if (decl->entry == NULL)
                map_problem(c, decl->line, "no entry to share", same);
        }
    }
}

static void check_slots(struct map_compiler *c)
{
    for (uint16_t i = 0; i < c->tables->slot_count; i++) {
        if (c->slot_types[i] == NULL)
            hub_table_problem(c->problems, c->slot_files[i], c->slot_lines[i], "no table makes a resource of this name", c->slots[i]);
    }
}

static void compile_all(struct map_compiler *c)
{
    struct hub_tables segments;
    struct hub_tables datatypes;
    struct hub_tables messages;
    struct map_tables *tables = c->tables;
    load_folder(c, "segments", "segment", &segments);
    load_folder(c, "datatypes", "datatype", &datatypes);
    load_folder(c, "messages", "message", &messages);
    load_folder(c, "codes", "codes", &c->code_tables);
    map_merge_overlays(c, &segments, &datatypes, &messages);
    load_keys(c);
    c->file = c->folder;
    tables->msh = map_intern_segment(c, "MSH", 0);
    tables->pid = map_intern_segment(c, "PID", 0);
    tables->pv1 = map_intern_segment(c, "PV1", 0);
    tables->mrg = map_intern_segment(c, "MRG", 0);
    tables->evn = map_intern_segment(c, "EVN", 0);
    tables->slot_patient = map_intern_slot(c, "patient", 0);
    tables->coding_systems = map_find_codes(c, "CodingSystem", 0);
    for (size_t i = 0; i < datatypes.count; i++)
        declare_targets(c, &datatypes.items[i]);
    compile_targets(c);
    for (size_t i = 0; i < segments.count; i++)
        map_compile_segment(c, &segments.items[i]);
    share_entries(c, &segments);
    for (size_t i = 0; i < c->code_tables.count; i++)
        (void)map_find_codes(c, c->code_tables.items[i].name, 0);
    map_compile_messages(c, &messages);
    check_slots(c);
}

struct map_tables *hub_map_compile(const char *schema_dir, const char *const *overlays, size_t overlay_count,
                                   struct hub_problems *problems)
{
    size_t errors = problems->errors;
    struct map_tables *tables = hub_mem_alloc(sizeof *tables);
    struct map_compiler *c = hub_mem_alloc(sizeof *c);
    if (tables != NULL && c != NULL) {
        hub_arena_init(&tables->arena, TABLE_BYTES_MAX);
        c->tables = tables;
        c->arena = &tables->arena;
        c->problems = problems;
        c->self = MAP_NONE;
        c->folder = hub_arena_printf(&tables->arena, "%s/hl7v2", schema_dir);
        load_overlays(c, overlays, overlay_count);
        if (c->folder != NULL)
            compile_all(c);
    }
    /* tables that lack a rule map wrongly, and nobody sees it */
    if (tables == NULL || c == NULL || tables->arena.failed)
        hub_table_problem(problems, schema_dir, 0, "too large, or out of memory", NULL);
    hub_mem_free(c);
    if (tables != NULL && problems->errors != errors) {
        hub_map_free(tables);
        return NULL;
    }
    return tables;
}

void hub_map_free(struct map_tables *tables)
{
    if (tables == NULL)
        return;
    hub_arena_deinit(&tables->arena);
    hub_mem_free(tables);
}
