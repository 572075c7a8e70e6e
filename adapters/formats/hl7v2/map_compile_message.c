/* Message tables (docs/MAPPING.md section 9): the abstract message syntax as a tree of groups. */
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

enum { GROUP_ITEMS_MAX = 120, GROUP_DEPTH_MAX = 12 };

struct syntax {
    struct map_compiler *c;
    const char *p;
    uint32_t line;
    const char *patient;            /* name of the patient group */
    struct map_group_def *patient_group;
    int depth;
    bool bad;
};

static void skip_space(struct syntax *s)
{
    while (*s->p != '\0' && strchr(" \t\r\n", *s->p) != NULL)
        s->p++;
}

static bool is_word_char(char ch)
{
    return (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '_';
}

static size_t word_len(const char *p)
{
    size_t n = 0;
    while (is_word_char(p[n]))
        n++;
    return n;
}

static void syntax_problem(struct syntax *s, const char *what)
{
    if (!s->bad)
        map_problem(s->c, s->line, what, NULL);
    s->bad = true;
}

static bool parse_items(struct syntax *s, struct map_group_def *group, bool in_optional, bool in_repeat, char closing);

static struct map_group_def *new_group(struct syntax *s, struct map_group_def *parent, uint16_t index)
{
    struct map_group_def *group = map_zalloc(s->c, 1, sizeof *group);
    struct map_item *items = map_zalloc(s->c, GROUP_ITEMS_MAX, sizeof *items);
    if (group == NULL || items == NULL) {
        s->bad = true;
        return NULL;
    }
    group->parent = parent;
    group->index = index;
    group->items = items;
    return group;
}

static struct map_item *add_item(struct syntax *s, struct map_group_def *group)
{
    if (group->item_count == GROUP_ITEMS_MAX) {
        syntax_problem(s, "too many items in one group");
        return NULL;
    }
    struct map_item *item = &group->items[group->item_count++];
    item->segment = MAP_NONE;
    return item;
}

static void add_segment(struct syntax *s, struct map_group_def *group, bool required, bool repeats)
{
    char id[4] = {s->p[0], s->p[1], s->p[2], '\0'};
    struct map_item *item = add_item(s, group);
    if (item == NULL)
        return;
    item->segment = map_intern_segment(s->c, id, s->line);
    item->required = required;
    item->repeats = repeats;
    s->p += 3;
}

static void open_group(struct syntax *s, struct map_group_def *parent, size_t name_len, bool required, bool repeats, char closing)
{
    struct map_item *item = add_item(s, parent);
    struct map_group_def *group = item != NULL ? new_group(s, parent, (uint16_t)(parent->item_count - 1)) : NULL;
    if (group == NULL || ++s->depth > GROUP_DEPTH_MAX) {
        syntax_problem(s, "groups nested too deep");
        return;
    }
    group->name = (const char *)hub_arena_copy(s->c->arena, hub_span_of(s->p, name_len)).ptr;
    if (s->patient != NULL && group->name != NULL && strcmp(group->name, s->patient) == 0) {
        group->opens_patient = true;
        s->patient_group = group;
    }
    item->group = group;
    item->required = required;
    item->repeats = repeats;
    s->p += name_len + 1;
    (void)parse_items(s, group, false, false, closing);
    s->depth--;
}

/* What stands between brackets: a named group, or items that take the brackets' meaning themselves. */
static void parse_bracket(struct syntax *s, struct map_group_def *group, bool optional, bool repeat)
{
    char closing = *s->p == '[' ? ']' : '}';
    optional = optional || *s->p == '[';
    repeat = repeat || *s->p == '{';
    s->p++;
    skip_space(s);
    size_t len = word_len(s->p);
    if (len > 0 && s->p[len] == ':')
        open_group(s, group, len, !optional, repeat, closing);
    else
        (void)parse_items(s, group, optional, repeat, closing);
}

static bool parse_items(struct syntax *s, struct map_group_def *group, bool in_optional, bool in_repeat, char closing)
{
    while (!s->bad) {
        skip_space(s);
        if (*s->p == closing) {
            s->p += closing != '\0' ? 1 : 0;
            return true;
        }
        if (*s->p == '[' || *s->p == '{')
            parse_bracket(s, group, in_optional, in_repeat);
        else if (word_len(s->p) == 3 && map_is_segment_name(s->p, 3))
            add_segment(s, group, !in_optional, in_repeat);
        else
            syntax_problem(s, "the structure is not an abstract message syntax");
    }
    return false;
}

static void set_bit(uint64_t *set, uint16_t bit)
{
    if (bit != MAP_NONE)
        set[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* Which segments a group holds and which may open it; after all names are known. */
static void index_group(struct map_compiler *c, struct map_group_def *group)
{
    size_t words = c->tables->set_words;
    group->contains = map_zalloc(c, words, sizeof(uint64_t));
    group->begins = map_zalloc(c, words, sizeof(uint64_t));
    if (group->contains == NULL || group->begins == NULL)
        return;
    bool first = true;
    for (uint16_t i = 0; i < group->item_count; i++) {
        const struct map_item *item = &group->items[i];
        if (item->group == NULL) {
            set_bit(group->contains, item->segment);
            if (first)
                set_bit(group->begins, item->segment);
        } else {
            index_group(c, item->group);
            for (size_t w = 0; w < words && item->group->contains != NULL && item->group->begins != NULL; w++) {
                group->contains[w] |= item->group->contains[w];
                if (first)
                    group->begins[w] |= item->group->begins[w];
            }
        }
        first = first && !item->required;
    }
}

static bool requires_pid(const struct map_group_def *group, uint16_t pid)
{
    for (uint16_t i = 0; i < group->item_count; i++) {
        const struct map_item *item = &group->items[i];
        if (!item->required)
            continue;
        if (item->segment == pid || (item->group != NULL && requires_pid(item->group, pid)))
            return true;
    }
    return false;
}

static void compile_triggers(struct map_compiler *c, struct hub_yaml *yaml, struct map_message *out)
{
    if (yaml == NULL)
        return;
    struct hub_span *items = map_zalloc(c, yaml->count + 1, sizeof *items);
    for (struct hub_yaml *item = yaml->first; item != NULL && items != NULL && yaml->type == HUB_YAML_LIST; item = item->next) {
        item->used = true;
        if (item->type != HUB_YAML_SCALAR || strlen(item->text) != 7 || item->text[3] != '^')
            map_problem(c, item->line, "a trigger looks like ADT^A01", item->type == HUB_YAML_SCALAR ? item->text : NULL);
        else
            items[out->trigger_count++] = hub_span_str(item->text);
    }
    out->triggers = items;
}

static void compile_implements(struct map_compiler *c, struct hub_yaml *yaml, struct map_message *out)
{
    for (struct hub_yaml *item = yaml != NULL ? yaml->first : NULL; item != NULL; item = item->next) {
        item->used = true;
        if (item->type == HUB_YAML_SCALAR && strcmp(item->text, "merge") == 0)
            out->does_merge = true;
        else if (item->type == HUB_YAML_SCALAR && strcmp(item->text, "delete") == 0)
            out->does_delete = true;
        else if (item->type == HUB_YAML_SCALAR && strcmp(item->text, "visits") == 0)
            out->does_visits = true;
        else if (item->type == HUB_YAML_SCALAR && strcmp(item->text, "links") == 0)
            out->does_links = true;
        else
            map_problem(c, item->line, "implements lists merge, delete, visits and links", NULL);
    }
}

static void compile_message(struct map_compiler *c, const struct hub_table *table, struct map_message *out)
{
    static const char *const known[] = {"message", "title", "triggers", "structure", "patient", "implements", "note", NULL};
    struct hub_yaml *yaml = table->yaml;
    c->file = table->file;
    c->table = table->name;
    out->name = table->name;
    (void)hub_yaml_get(yaml, "title");
    (void)hub_yaml_get(yaml, "note");
    compile_triggers(c, hub_yaml_get(yaml, "triggers"), out);
    compile_implements(c, hub_yaml_get(yaml, "implements"), out);
    struct hub_yaml *structure = hub_yaml_get(yaml, "structure");
    const char *patient = hub_yaml_get_text(yaml, "patient");
    if (structure == NULL || structure->type != HUB_YAML_SCALAR) {
        map_problem(c, yaml->line, "a message needs `structure`", table->name);
        return;
    }
    struct syntax s = {.c = c, .p = structure->text, .line = structure->line, .patient = patient};
    out->root = new_group(&s, NULL, 0);
    if (out->root != NULL)
        (void)parse_items(&s, out->root, false, false, '\0');
    out->patient = s.patient_group;
    if (patient != NULL && s.patient_group == NULL)
        map_problem(c, yaml->line, "the patient group is not in the structure", patient);
    hub_yaml_check_unused(yaml, c->file, known, c->problems);
}

void map_compile_messages(struct map_compiler *c, const struct hub_tables *messages)
{
    struct map_message *items = map_zalloc(c, messages->count + 1, sizeof *items);
    if (items == NULL)
        return;
    for (size_t i = 0; i < messages->count; i++)
        compile_message(c, &messages->items[i], &items[i]);
    c->tables->set_words = (uint16_t)((c->tables->segment_count + 63) / 64);
    c->tables->messages = items;
    c->tables->message_count = (uint16_t)messages->count;
    for (size_t i = 0; i < messages->count; i++) {
        if (items[i].root == NULL)
            continue;
        index_group(c, items[i].root);
        items[i].needs_pid = requires_pid(items[i].patient != NULL ? items[i].patient : items[i].root, c->tables->pid);
        if (strcmp(items[i].name, "_default") == 0) {
            c->tables->fallback = &items[i];
            items[i].needs_pid = false;
        }
    }
    if (c->tables->fallback == NULL || c->tables->fallback->root == NULL)
        hub_table_problem(c->problems, c->folder, 0, "messages/_default.yaml is missing or broken", NULL);
}
