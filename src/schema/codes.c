#include "src/schema/codes.h"

#include <string.h>

#include "src/schema/table.h"

static const char *const known_keys[] = {"codes", "title", "source", "system", "unmapped", "map", "note", NULL};
static const char *const known_code_keys[] = {"code", "system", "display", "note", NULL};

static uint32_t hash(struct hub_span text)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        h = (h ^ (uint32_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c)) * 16777619u;
    }
    return h;
}

const struct hub_code *hub_codes_find(const struct hub_codes *codes, struct hub_span code)
{
    const struct hub_code *similar = NULL;
    if (codes->slots == NULL)
        return NULL;
    for (uint32_t at = hash(code) & codes->slot_mask; codes->slots[at] != 0; at = (at + 1) & codes->slot_mask) {
        const struct hub_code *item = &codes->items[codes->slots[at] - 1];
        if (hub_span_equal(item->source, code))
            return item;
        if (similar == NULL && hub_span_equal_nocase(item->source, code))
            similar = item;
    }
    return similar;
}

static struct hub_span text_of(struct hub_yaml *map, const char *key)
{
    return hub_span_str(hub_yaml_get_text(map, key));
}

static void read_code(const struct hub_codes_source *source, struct hub_yaml *yaml, const struct hub_codes *codes,
                      struct hub_code *out, struct hub_problems *problems)
{
    out->system = codes->system;
    if (yaml->type == HUB_YAML_SCALAR) {
        bool none = !yaml->quoted && (strcmp(yaml->text, "null") == 0 || strcmp(yaml->text, "~") == 0 || yaml->text[0] == '\0');
        out->code = none ? HUB_SPAN_NONE : hub_span_str(yaml->text);
        return;
    }
    out->code = text_of(yaml, "code");
    out->display = text_of(yaml, "display");
    (void)hub_yaml_get(yaml, "note");
    struct hub_span system = text_of(yaml, "system");
    if (system.len != 0)
        out->system = system;
    if (out->code.len == 0)
        hub_table_problem(problems, source->file, yaml->line, "a code without `code`", NULL);
    hub_yaml_check_unused(yaml, source->file, known_code_keys, problems);
}

static void read_unmapped(const struct hub_codes_source *source, struct hub_codes *out, struct hub_problems *problems)
{
    struct hub_yaml *yaml = hub_yaml_get(source->yaml, "unmapped");
    if (yaml == NULL)
        return;
    if (yaml->type == HUB_YAML_MAP) {
        out->unmapped = HUB_UNMAPPED_CODE;
        read_code(source, yaml, out, &out->other, problems);
    } else if (yaml->type == HUB_YAML_SCALAR && strcmp(yaml->text, "keep") == 0) {
        out->unmapped = HUB_UNMAPPED_KEEP;
    } else if (yaml->type == HUB_YAML_SCALAR && strcmp(yaml->text, "omit") == 0) {
        out->unmapped = HUB_UNMAPPED_OMIT;
    } else {
        hub_table_problem(problems, source->file, yaml->line, "unmapped is keep, omit or a code", NULL);
    }
}

static void index_codes(struct hub_arena *arena, struct hub_codes *out, const char *file, struct hub_problems *problems)
{
    size_t size = 8;
    while (size < out->count * 2)
        size *= 2;
    out->slots = HUB_ARENA_ARRAY(arena, uint32_t, size);
    if (out->slots == NULL) {
        hub_table_problem(problems, file, 0, "out of memory", NULL);
        return;
    }
    out->slot_mask = (uint32_t)(size - 1);
    for (size_t i = 0; i < out->count; i++) {
        uint32_t at = hash(out->items[i].source) & out->slot_mask;
        while (out->slots[at] != 0)
            at = (at + 1) & out->slot_mask;
        out->slots[at] = (uint32_t)i + 1;
    }
}

static struct hub_code *slot_for(struct hub_codes *out, struct hub_span source)
{
    for (size_t i = 0; i < out->count; i++) {
        if (hub_span_equal(out->items[i].source, source))
            return &out->items[i];
    }
    struct hub_code *item = &out->items[out->count++];
    item->source = source;
    return item;
}

static void read_source(const struct hub_codes_source *source, struct hub_codes *out, struct hub_problems *problems)
{
    struct hub_yaml *yaml = source->yaml;
    (void)hub_yaml_get(yaml, "codes");
    (void)hub_yaml_get(yaml, "title");
    (void)hub_yaml_get(yaml, "note");
    struct hub_span from = text_of(yaml, "source");
    struct hub_span system = text_of(yaml, "system");
    if (from.len != 0)
        out->source = from;
    if (system.len != 0)
        out->system = system;
    read_unmapped(source, out, problems);
    struct hub_yaml *map = hub_yaml_get(yaml, "map");
    if (map != NULL && map->type != HUB_YAML_MAP)
        hub_table_problem(problems, source->file, map->line, "map is a map of codes", NULL);
    for (struct hub_yaml *m = map != NULL && map->type == HUB_YAML_MAP ? map->first : NULL; m != NULL; m = m->next) {
        struct hub_code *item = slot_for(out, hub_span_str(m->key));
        item->display = HUB_SPAN_NONE;
        if (m->type == HUB_YAML_LIST)
            hub_table_problem(problems, source->file, m->line, "a code maps to a code or {code, system, display}", NULL);
        else
            read_code(source, m, out, item, problems);
    }
    hub_yaml_check_unused(yaml, source->file, known_keys, problems);
}

void hub_codes_compile(struct hub_arena *arena, const char *name, const struct hub_codes_source *sources, size_t source_count,
                       struct hub_codes *out, struct hub_problems *problems)
{
    memset(out, 0, sizeof *out);
    out->name = name;
    size_t cap = 1;
    for (size_t i = 0; i < source_count; i++) {
        struct hub_yaml *map = hub_yaml_get(sources[i].yaml, "map");
        cap += map != NULL ? map->count : 0;
    }
    out->items = HUB_ARENA_ARRAY(arena, struct hub_code, cap);
    if (out->items == NULL) {
        hub_table_problem(problems, source_count != 0 ? sources[0].file : NULL, 0, "out of memory", NULL);
        return;
    }
    for (size_t i = 0; i < source_count; i++)
        read_source(&sources[i], out, problems);
    index_codes(arena, out, source_count != 0 ? sources[0].file : NULL, problems);
}
