/* Timeline entries and business keys of the tables (docs/MAPPING.md section 7). */
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

enum { PARTS_MAX = 16, CHOICES_MAX = 24 };

static const struct {
    const char *name;
    enum map_part_kind kind;
    bool has_path;
} part_words[] = {
    {"subject", MAP_PART_SUBJECT, false},   {"facility", MAP_PART_FACILITY, false}, {"application", MAP_PART_APPLICATION, false},
    {"ordinal", MAP_PART_ORDINAL, false},   {"value", MAP_PART_VALUE, true},        {"text", MAP_PART_TEXT, true},
    {"code", MAP_PART_CODE, true},          {"order", MAP_PART_ORDER, true},        {"visit", MAP_PART_VISIT, true},
    {"id", MAP_PART_ID, true},              {"authority", MAP_PART_AUTHORITY, true}, {"time", MAP_PART_TIME, true},
};

static const struct map_key *named_key(struct map_compiler *c, const char *name, uint32_t line)
{
    for (size_t i = 0; i < c->key_count; i++) {
        struct map_named_key *named = &c->keys[i];
        if (strcmp(named->name, name) != 0)
            continue;
        if (named->state == 1) {
            map_problem(c, line, "keys refer to each other in a circle", name);
            return NULL;
        }
        if (named->state == 0) {
            const char *file = c->file;
            uint16_t self = c->self;
            bool nested = c->nested;
            named->state = 1;
            c->file = named->file;
            c->self = MAP_NONE;
            c->nested = false;
            named->key = map_zalloc(c, 1, sizeof *named->key);
            if (named->key != NULL)
                map_compile_key(c, named->yaml, named->key);
            c->file = file;
            c->self = self;
            c->nested = nested;
            named->state = 2;
        }
        return named->key;
    }
    map_problem(c, line, "no key of that name", name);
    return NULL;
}

static bool same_path(const struct map_path *a, const struct map_path *b)
{
    return a->segment == b->segment && a->field == b->field && a->rep_from == b->rep_from && a->rep_to == b->rep_to &&
           a->component == b->component && a->subcomponent == b->subcomponent;
}

uint16_t map_number_part(struct map_compiler *c, enum map_part_kind kind, const struct map_path *path)
{
    uint16_t *count = &c->tables->part_count;
    if (path->segment == MAP_SELF)
        return 0;
    for (uint16_t i = 0; i < *count; i++) {
        if (c->parts[i].kind == kind && same_path(&c->parts[i].path, path))
            return (uint16_t)(i + 1);
    }
    if (*count == MAP_KNOWN_PARTS_MAX)
        return 0;
    c->parts[*count] = (struct map_part){.kind = kind, .path = *path};
    return ++*count;
}

/* "word", "word(PATH)", either with "?"; quoted: a literal. */
static bool compile_part(struct map_compiler *c, const struct hub_yaml *yaml, struct map_part *out)
{
    if (yaml->type != HUB_YAML_SCALAR)
        return false;
    /* "value(OBX-4)?" may be quoted too, as YAML likes it inside [ ]: a literal has no parentheses. */
    if (yaml->quoted && strchr(yaml->text, '(') == NULL) {
        out->kind = MAP_PART_LITERAL;
        out->literal = hub_span_str(yaml->text);
        return true;
    }
    const char *text = yaml->text;
    size_t word = strcspn(text, "(?");
    for (size_t i = 0; i < sizeof part_words / sizeof part_words[0]; i++) {
        if (strlen(part_words[i].name) != word || strncmp(text, part_words[i].name, word) != 0)
            continue;
        if (part_words[i].has_path && text[word] != '(')
            break; /* a key of that name */
        const char *end = text + word;
        out->kind = part_words[i].kind;
        if (part_words[i].has_path && (!map_scan_path(c, end + 1, &end, &out->path, yaml->line) || *end++ != ')'))
            return false;
        if (part_words[i].has_path)
            out->known = map_number_part(c, out->kind, &out->path);
        out->optional = *end == '?';
        return *end == '\0' || (end[0] == '?' && end[1] == '\0');
    }
    out->kind = MAP_PART_KEY;
    out->optional = text[word] == '?';
    const char *name = (const char *)hub_arena_copy(c->arena, hub_span_of(text, word)).ptr;
    out->key = name != NULL && text[word] != '(' ? named_key(c, name, yaml->line) : NULL;
    return out->key != NULL;
}

bool map_compile_parts(struct map_compiler *c, struct hub_yaml *list, struct map_parts *out)
{
    list->used = true;
    if (list->type != HUB_YAML_LIST || list->count == 0 || list->count > PARTS_MAX) {
        map_problem(c, list->line, "expected a list of key parts", NULL);
        return false;
    }
    struct map_part *parts = map_zalloc(c, list->count, sizeof *parts);
    uint16_t n = 0;
    for (struct hub_yaml *item = list->first; item != NULL && parts != NULL; item = item->next) {
        item->used = true;
        if (!compile_part(c, item, &parts[n++]))
            map_problem(c, item->line, "not a part of a key", item->type == HUB_YAML_SCALAR ? item->text : NULL);
    }
    out->items = parts;
    out->count = n;
    return parts != NULL;
}

static void compile_alternative(struct map_compiler *c, struct hub_yaml *yaml, struct map_alternative *out)
{
    static const char *const known[] = {"when", "key", NULL};
    yaml->used = true;
    if (yaml->type == HUB_YAML_LIST) {
        (void)map_compile_parts(c, yaml, &out->parts);
        return;
    }
    struct hub_yaml *key = hub_yaml_get(yaml, "key");
    if (key == NULL) {
        map_problem(c, yaml->line, "an alternative is a list of parts or {when, key}", NULL);
        return;
    }
    out->when = map_when(c, yaml);
    (void)map_compile_parts(c, key, &out->parts);
    hub_yaml_check_unused(yaml, c->file, known, c->problems);
}

void map_compile_key(struct map_compiler *c, struct hub_yaml *yaml, struct map_key *out)
{
    memset(out, 0, sizeof *out);
    yaml->used = true;
    if (yaml->type == HUB_YAML_SCALAR) {
        const struct map_key *named = named_key(c, yaml->text, yaml->line);
        if (named != NULL)
            *out = *named;
        return;
    }
    if (yaml->type != HUB_YAML_LIST || yaml->count == 0) {
        map_problem(c, yaml->line, "a key is a list of alternatives or a name", NULL);
        return;
    }
    struct map_alternative *items = map_zalloc(c, yaml->count, sizeof *items);
    uint16_t n = 0;
    for (struct hub_yaml *item = yaml->first; item != NULL && items != NULL; item = item->next)
        compile_alternative(c, item, &items[n++]);
    out->items = items;
    out->count = n;
}

static int use_of(struct map_compiler *c, const struct hub_yaml *yaml, const char *const *names)
{
    for (int i = 0; yaml->type == HUB_YAML_SCALAR && names[i] != NULL; i++) {
        if (strcmp(yaml->text, names[i]) == 0)
            return i;
    }
    map_problem(c, yaml->line, "not one of the words that may stand here", yaml->type == HUB_YAML_SCALAR ? yaml->text : NULL);
    return 0;
}

static void compile_choices(struct map_compiler *c, struct hub_yaml *yaml, const char *const *names, struct map_choices *out)
{
    static const char *const known[] = {"when", "use", NULL};
    if (yaml == NULL)
        return;
    size_t count = yaml->type == HUB_YAML_LIST ? yaml->count : 1;
    struct map_choice *items = map_zalloc(c, count, sizeof *items);
    if (items == NULL || yaml->type == HUB_YAML_MAP || count > CHOICES_MAX) {
        map_problem(c, yaml->line, "expected a word or a list of {when, use}", NULL);
        return;
    }
    out->items = items;
    if (yaml->type == HUB_YAML_SCALAR) {
        items[0].use = use_of(c, yaml, names);
        out->count = 1;
        return;
    }
    for (struct hub_yaml *item = yaml->first; item != NULL; item = item->next) {
        struct hub_yaml *use = hub_yaml_get(item, "use");
        item->used = true;
        if (use == NULL) {
            map_problem(c, item->line, "a choice without `use`", NULL);
            continue;
        }
        items[out->count].when = map_when(c, item);
        items[out->count++].use = use_of(c, use, names);
        hub_yaml_check_unused(item, c->file, known, c->problems);
    }
}

static void compile_times(struct map_compiler *c, struct hub_yaml *yaml, struct map_times *out)
{
    static const char *const known[] = {"when", "from", NULL};
    if (yaml == NULL)
        return;
    struct map_time_source *items = map_zalloc(c, yaml->count + 1, sizeof *items);
    if (items == NULL || yaml->type != HUB_YAML_LIST) {
        map_problem(c, yaml->line, "expected a list of paths, or of {when, from}", NULL);
        return;
    }
    for (struct hub_yaml *item = yaml->first; item != NULL; item = item->next) {
        struct map_time_source *source = &items[out->count];
        item->used = true;
        const char *from = item->type == HUB_YAML_SCALAR ? item->text : hub_yaml_get_text(item, "from");
        if (from == NULL || !map_parse_path(c, from, &source->path, item->line))
            continue;
        if (item->type == HUB_YAML_MAP) {
            source->when = map_when(c, item);
            hub_yaml_check_unused(item, c->file, known, c->problems);
        }
        out->count++;
    }
    out->items = items;
}

static void compile_first_class(struct map_compiler *c, struct hub_yaml *yaml, struct map_entry *entry)
{
    if (yaml == NULL)
        return;
    struct hub_span *items = map_zalloc(c, yaml->count + 1, sizeof *items);
    if (items == NULL || yaml->type != HUB_YAML_LIST) {
        map_problem(c, yaml->line, "first_class is a list of status codes", NULL);
        return;
    }
    for (struct hub_yaml *item = yaml->first; item != NULL; item = item->next) {
        item->used = true;
        if (item->type == HUB_YAML_SCALAR)
            items[entry->first_class_count++] = hub_span_str(item->text);
    }
    entry->first_class = items;
}

static void compile_keys(struct map_compiler *c, struct hub_yaml *yaml, struct map_entry *entry)
{
    if (yaml == NULL)
        return;
    if (yaml->type != HUB_YAML_LIST || yaml->count > HUB_KEYS_MAX) {
        map_problem(c, yaml->line, "keys is a list of one or two keys", NULL);
        return;
    }
    size_t n = 0;
    for (struct hub_yaml *item = yaml->first; item != NULL; item = item->next)
        map_compile_key(c, item, &entry->keys[n++]);
}

static void compile_named_key(struct map_compiler *c, struct hub_yaml *yaml, const char *member, struct map_key *out)
{
    struct hub_yaml *key = hub_yaml_get(yaml, member);
    if (key != NULL)
        map_compile_key(c, key, out);
}

const struct map_entry *map_compile_entry(struct map_compiler *c, struct hub_yaml *yaml)
{
    static const char *const known[] = {"kind", "keys", "tie", "mode", "act", "first_class", "effective", "version", "list", "list_version",
                                        "list_marks", "measure", "location", "encounter", "timed", "note", NULL};
    static const char *const modes[] = {"replace", "fold", "fill", "status", NULL};
    static const char *const acts[] = {"state", "withdraw", "cancel_transfer", "cancel_admission", "cancel_discharge", NULL};
    struct map_entry *entry = map_zalloc(c, 1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    const char *kind = hub_yaml_get_text(yaml, "kind");
    entry->kind = kind != NULL ? hub_kind_of(hub_span_str(kind)) : HUB_KIND_NONE;
    if (entry->kind == HUB_KIND_NONE)
        map_problem(c, yaml->line, "an entry needs a kind of the timeline", kind);
    compile_keys(c, hub_yaml_get(yaml, "keys"), entry);
    if (entry->keys[0].count == 0 && entry->kind != HUB_KIND_PATIENT)
        map_problem(c, yaml->line, "an entry needs keys", NULL);
    struct hub_yaml *tie = hub_yaml_get(yaml, "tie");
    if (tie != NULL)
        (void)map_compile_parts(c, tie, &entry->tie);
    compile_choices(c, hub_yaml_get(yaml, "mode"), modes, &entry->mode);
    compile_choices(c, hub_yaml_get(yaml, "act"), acts, &entry->act);
    compile_first_class(c, hub_yaml_get(yaml, "first_class"), entry);
    compile_times(c, hub_yaml_get(yaml, "effective"), &entry->effective);
    compile_times(c, hub_yaml_get(yaml, "version"), &entry->version);
    compile_times(c, hub_yaml_get(yaml, "list_version"), &entry->list_version);
    compile_named_key(c, yaml, "list", &entry->list);
    entry->list_marks = map_yaml_bool(c, yaml, "list_marks", false);
    compile_named_key(c, yaml, "measure", &entry->measure);
    compile_named_key(c, yaml, "location", &entry->location);
    compile_named_key(c, yaml, "encounter", &entry->encounter);
    const char *timed = hub_yaml_get_text(yaml, "timed");
    entry->alone = timed != NULL && strcmp(timed, "alone") == 0;
    entry->untimed = entry->alone || !map_yaml_bool(c, yaml, "timed", true);
    (void)hub_yaml_get(yaml, "note");
    hub_yaml_check_unused(yaml, c->file, known, c->problems);
    return entry;
}
