#include "src/config/option.h"

#include <stdio.h>
#include <string.h>

#include "src/config/value.h"

enum { PATH_MAX_LEN = 96, TEXT_MAX_LEN = 1024, ROWS_MAX = 64 };

static void *at(void *base, size_t offset)
{
    return (char *)base + offset;
}

static void problem(const struct hub_option_context *context, uint32_t line, const char *path,
                    const char *what, const char *mend, const char *detail)
{
    hub_problems_add(context->problems, HUB_SEVERITY_ERROR, context->file, line, path, what, mend, "%s",
                     detail);
}

static void no_memory(const struct hub_option_context *context, const char *path)
{
    problem(context, 0, path, "out of memory", NULL, "");
}

const char *hub_option_join(struct hub_arena *arena, const char *folder, const char *path)
{
    bool as_is = path[0] == '/' || folder[0] == '\0' || strcmp(folder, ".") == 0;
    return as_is ? hub_arena_printf(arena, "%s", path) : hub_arena_printf(arena, "%s/%s", folder, path);
}

bool hub_option_loopback(const char *listen)
{
    static const char *const prefixes[] = {"127.", "[::1]:", "localhost:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(listen, prefixes[i], strlen(prefixes[i])) == 0)
            /* "127.evil.example" is a name, not an address. */
            return i != 0 || strspn(listen, "0123456789.:") == strlen(listen);
    return false;
}

const char *hub_option_type_text(const struct hub_option *row)
{
    switch (row->type) {
    case HUB_OPTION_TEXT:
        return "text";
    case HUB_OPTION_NAME:
        return "name";
    case HUB_OPTION_PATH:
        return "path";
    case HUB_OPTION_LISTEN:
        return "host:port";
    case HUB_OPTION_BOOL:
        return "true or false";
    case HUB_OPTION_SWITCH:
    case HUB_OPTION_ENUM:
        return "choice";
    case HUB_OPTION_COUNT:
        return "number";
    case HUB_OPTION_SIZE:
        return "size";
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
        return "duration";
    case HUB_OPTION_TEXTS:
        return "list of texts";
    case HUB_OPTION_PATHS:
        return "list of paths";
    case HUB_OPTION_SECRET:
        return "secret reference";
    case HUB_OPTION_SECTION:
    case HUB_OPTION_VARIANT:
        return "map";
    case HUB_OPTION_ITEMS:
        return "list of maps";
    }
    return "";
}

/* --- scalars --- */

struct scalar { /* one text on its way into a field */
    const struct hub_option_context *context;
    const struct hub_option *row;
    const char *path;
    uint32_t line;
    const char *text;
};

static void refuse(const struct scalar *s, const char *what, const char *mend)
{
    problem(s->context, s->line, s->path, what, mend, "");
}

static bool store_string(const struct scalar *s, const char **into)
{
    const char *text = s->text;
    bool is_path = s->row->type == HUB_OPTION_PATH || s->row->type == HUB_OPTION_PATHS;
    size_t len_max =
        s->row->max > 0 && s->row->type != HUB_OPTION_TEXTS && !is_path ? (size_t)s->row->max : TEXT_MAX_LEN;
    if (text[0] == '\0')
        refuse(s, "the value is empty", "write a value or leave the key out");
    else if (strlen(text) > len_max)
        refuse(s, "the value is too long", "use a shorter one");
    else if (!hub_value_text(text))
        refuse(s, "the value holds control characters", "remove them");
    else if (s->row->type == HUB_OPTION_NAME && !hub_value_name(text))
        refuse(s, "not a name", "use letters, digits, '.', '_' and '-' only");
    else if (s->row->type == HUB_OPTION_LISTEN && !hub_value_listen(text))
        refuse(s, "not an address and port", "write host:port, such as 127.0.0.1:6661 or [::1]:6661");
    else {
        *into = is_path ? hub_option_join(s->context->arena, s->context->folder, text)
                        : hub_arena_printf(s->context->arena, "%s", text);
        if (*into != NULL)
            return true;
        refuse(s, "out of memory", NULL);
    }
    return false;
}

static bool choice_index(const struct scalar *s, unsigned *index)
{
    char choices[160] = "";
    for (unsigned i = 0; s->row->choices[i] != NULL; i++) {
        if (strcmp(s->row->choices[i], s->text) == 0) {
            *index = i;
            return true;
        }
        size_t used = strlen(choices);
        (void)snprintf(choices + used, sizeof choices - used, "%s%s", i == 0 ? "one of " : ", ",
                       s->row->choices[i]);
    }
    problem(s->context, s->line, s->path, "not a permitted value", "choose one of them", choices);
    return false;
}

int64_t hub_option_scale(enum hub_option_type type)
{
    return type == HUB_OPTION_SECONDS ? 1000000 : type == HUB_OPTION_MILLIS ? 1000 : 1;
}

static bool in_range(const struct scalar *s, int64_t value)
{
    const struct hub_option *row = s->row;
    int64_t scale = hub_option_scale(row->type);
    if (value % scale != 0) {
        refuse(s, row->type == HUB_OPTION_MILLIS ? "finer than a millisecond" : "finer than a second",
               row->type == HUB_OPTION_MILLIS ? "write whole milliseconds" : "write whole seconds");
        return false;
    }
    value /= scale;
    if (value >= row->min && value <= row->max)
        return true;
    char low[32], high[32], detail[96];
    if (row->type == HUB_OPTION_COUNT) {
        (void)snprintf(low, sizeof low, "%lld", (long long)row->min);
        (void)snprintf(high, sizeof high, "%lld", (long long)row->max);
    } else if (row->type == HUB_OPTION_SIZE) {
        hub_value_size_text(row->min, low);
        hub_value_size_text(row->max, high);
    } else {
        hub_value_duration_text(row->min * scale, low);
        hub_value_duration_text(row->max * scale, high);
    }
    (void)snprintf(detail, sizeof detail, "permitted: %s to %s", low, high);
    problem(s->context, s->line, s->path, "out of range", "write a value within the range", detail);
    return false;
}

static void store_number(const struct scalar *s, void *into)
{
    int64_t value = 0;
    switch (s->row->type) {
    case HUB_OPTION_COUNT:
        if (!hub_value_count(s->text, &value))
            refuse(s, "not a number", "write decimal digits");
        else if (in_range(s, value))
            *(uint32_t *)into = (uint32_t)value;
        return;
    case HUB_OPTION_SIZE:
        if (!hub_value_size(s->text, &value))
            refuse(s, "not a size", "write bytes, or a number with KiB, MiB, GiB or TiB, such as 16MiB");
        else if (in_range(s, value))
            *(uint64_t *)into = (uint64_t)value;
        return;
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
        if (!hub_value_duration(s->text, &value))
            refuse(s, "not a duration", "write a number with us, ms, s, m, h or d, such as 10m or 500ms");
        else if (in_range(s, value))
            *(uint32_t *)into = (uint32_t)(value / hub_option_scale(s->row->type));
        return;
    case HUB_OPTION_TEXT:
    case HUB_OPTION_NAME:
    case HUB_OPTION_PATH:
    case HUB_OPTION_LISTEN:
    case HUB_OPTION_BOOL:
    case HUB_OPTION_SWITCH:
    case HUB_OPTION_ENUM:
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
    case HUB_OPTION_SECRET:
    case HUB_OPTION_SECTION:
    case HUB_OPTION_ITEMS:
    case HUB_OPTION_VARIANT:
        return;
    }
}

static void store_scalar(const struct scalar *s, void *into)
{
    unsigned index = 0;
    switch (s->row->type) {
    case HUB_OPTION_TEXT:
    case HUB_OPTION_NAME:
    case HUB_OPTION_PATH:
    case HUB_OPTION_LISTEN:
        (void)store_string(s, into);
        return;
    case HUB_OPTION_BOOL:
        if (strcmp(s->text, "true") != 0 && strcmp(s->text, "false") != 0)
            refuse(s, "not true or false", "write true or false");
        else
            *(bool *)into = s->text[0] == 't';
        return;
    case HUB_OPTION_SWITCH:
        if (choice_index(s, &index))
            *(bool *)into = index == 1;
        return;
    case HUB_OPTION_ENUM:
        if (choice_index(s, &index))
            *(unsigned *)into = index;
        return;
    case HUB_OPTION_COUNT:
    case HUB_OPTION_SIZE:
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
        store_number(s, into);
        return;
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
    case HUB_OPTION_SECRET:
    case HUB_OPTION_SECTION:
    case HUB_OPTION_ITEMS:
    case HUB_OPTION_VARIANT:
        return;
    }
}

/* --- lists of texts --- */

static void store_texts(const struct hub_option_context *context, const struct hub_option *row,
                        struct hub_yaml *node, void *base, const char *path)
{
    if (node->count > (size_t)row->max || (int64_t)node->count < row->min) {
        problem(context, node->line, path, "too many or too few items in the list",
                "keep it within its limits", "");
        return;
    }
    const char **items = HUB_ARENA_ARRAY(context->arena, const char *, node->count + 1);
    if (items == NULL) {
        no_memory(context, path);
        return;
    }
    size_t count = 0;
    for (struct hub_yaml *child = node->first; child != NULL; child = child->next) {
        struct scalar s = {context, row, path, child->line, child->text};
        if (child->type != HUB_YAML_SCALAR)
            problem(context, child->line, path, "not a text", "write a list of texts", "");
        else if (store_string(&s, &items[count]))
            count++;
    }
    *(const char ***)at(base, row->offset) = items;
    *(size_t *)at(base, row->count_offset) = count;
}

static void default_texts(const struct hub_option_context *context, const struct hub_option *row, void *base,
                          const char *path)
{
    size_t count = 0;
    const char *rest = row->value != NULL ? row->value : "";
    for (const char *c = rest; *c != '\0'; c++)
        count += *c == ',';
    const char **items = HUB_ARENA_ARRAY(context->arena, const char *, count + 2);
    if (items == NULL) {
        no_memory(context, path);
        return;
    }
    size_t n = 0;
    while (*rest != '\0') {
        size_t len = strcspn(rest, ",");
        struct scalar s = {context, row, path, 0, hub_arena_printf(context->arena, "%.*s", (int)len, rest)};
        if (s.text == NULL)
            no_memory(context, path);
        else if (store_string(&s, &items[n]))
            n++;
        rest += len + (rest[len] == ',');
    }
    *(const char ***)at(base, row->offset) = items;
    *(size_t *)at(base, row->count_offset) = n;
}

/* --- composites --- */

static const char *const *known_keys(struct hub_arena *arena, const struct hub_section *section)
{
    const char **known = HUB_ARENA_ARRAY(arena, const char *, ROWS_MAX + 1);
    for (size_t i = 0; known != NULL && i < ROWS_MAX && section->rows[i].name != NULL; i++)
        known[i] = section->rows[i].name;
    return known;
}

static void load_items(const struct hub_option_context *context, const struct hub_option *row,
                       struct hub_yaml *node, void *base, const char *path)
{
    if (node->count > (size_t)row->max) {
        problem(context, node->line, path, "too many items in the list", "remove some", "");
        return;
    }
    char *items = hub_arena_zalloc(context->arena, node->count == 0 ? 1 : node->count * row->item_size);
    if (items == NULL) {
        no_memory(context, path);
        return;
    }
    size_t count = 0;
    for (struct hub_yaml *child = node->first; child != NULL; child = child->next) {
        char item_path[PATH_MAX_LEN];
        (void)snprintf(item_path, sizeof item_path, "%s[%zu]", path, count);
        void *item = items + count++ * row->item_size;
        if (row->line_offset != HUB_OPTION_NO_OFFSET)
            *(uint32_t *)at(item, row->line_offset) = child->line;
        if (child->type == HUB_YAML_MAP)
            hub_option_load(context, row->section, child, item, item_path);
        else
            problem(context, child->line, item_path, "not a map",
                    "write the item as a map of keys and values", "");
    }
    *(void **)at(base, row->offset) = items;
    *(size_t *)at(base, row->count_offset) = count;
}

static void load_variant(const struct hub_option_context *context, const struct hub_option *row,
                         struct hub_yaml *node, void *base, const char *path)
{
    char choices[160] = "";
    for (const struct hub_variant *v = row->variants; v->name != NULL; v++) {
        size_t used = strlen(choices);
        (void)snprintf(choices + used, sizeof choices - used, "%s%s", used == 0 ? "one of " : ", ", v->name);
    }
    if (node->count != 1) {
        problem(context, node->line, path, "exactly one member is needed",
                "write one of them, such as `local: {}`", choices);
        return;
    }
    struct hub_yaml *member = node->first;
    char member_path[PATH_MAX_LEN];
    (void)snprintf(member_path, sizeof member_path, "%s.%s", path, member->key);
    const struct hub_variant *variant = row->variants;
    while (variant->name != NULL && strcmp(variant->name, member->key) != 0)
        variant++;
    if (variant->name == NULL) {
        problem(context, member->key_line, member_path, "unknown key", "use a known one", choices);
        return;
    }
    if (variant->section == NULL) {
        problem(context, member->key_line, member_path, "not built into this version",
                "use another one, or a version that has it", variant->description);
        return;
    }
    *(const char **)at(base, row->offset) = variant->name;
    if (member->type == HUB_YAML_MAP)
        hub_option_load(context, variant->section, member, base, member_path);
    else
        problem(context, member->line, member_path, "not a map", "write {} where there are no options", "");
}

static void load_secret(const struct hub_option_context *context, const struct hub_option *row,
                        struct hub_yaml *node, void *base, const char *path)
{
    static const char mend[] = "name exactly one of file, env, credential and command";
    if (node->type != HUB_YAML_MAP) {
        problem(context, node->line, path, "a secret is a reference, never a value", mend, "");
        return;
    }
    hub_option_load(context, row->section, node, at(base, row->offset), path);
    if (node->count != 1)
        problem(context, node->line, path, "a secret has exactly one source", mend, "");
}

/* What kind of node a row of this type needs. */
static enum hub_yaml_type node_type(enum hub_option_type type)
{
    switch (type) {
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
    case HUB_OPTION_ITEMS:
        return HUB_YAML_LIST;
    case HUB_OPTION_SECTION:
    case HUB_OPTION_VARIANT:
        return HUB_YAML_MAP;
    case HUB_OPTION_TEXT:
    case HUB_OPTION_NAME:
    case HUB_OPTION_PATH:
    case HUB_OPTION_LISTEN:
    case HUB_OPTION_BOOL:
    case HUB_OPTION_SWITCH:
    case HUB_OPTION_ENUM:
    case HUB_OPTION_COUNT:
    case HUB_OPTION_SIZE:
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
    case HUB_OPTION_SECRET:
        return HUB_YAML_SCALAR;
    }
    return HUB_YAML_SCALAR;
}

static void load_present(const struct hub_option_context *context, const struct hub_option *row,
                         struct hub_yaml *node, void *base, const char *path)
{
    if (row->type == HUB_OPTION_SECRET) {
        load_secret(context, row, node, base, path);
        return;
    }
    if (node->type != node_type(row->type)) {
        problem(context, node->line, path, "not the kind of value that belongs here",
                "see docs/CONFIGURATION.md", hub_option_type_text(row));
        return;
    }
    struct scalar s = {context, row, path, node->line, node->text};
    switch (row->type) {
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
        store_texts(context, row, node, base, path);
        return;
    case HUB_OPTION_ITEMS:
        load_items(context, row, node, base, path);
        return;
    case HUB_OPTION_VARIANT:
        load_variant(context, row, node, base, path);
        return;
    case HUB_OPTION_SECTION:
        if (row->present_offset != HUB_OPTION_NO_OFFSET)
            *(bool *)at(base, row->present_offset) = true;
        hub_option_load(context, row->section, node, at(base, row->offset), path);
        return;
    case HUB_OPTION_TEXT:
    case HUB_OPTION_NAME:
    case HUB_OPTION_PATH:
    case HUB_OPTION_LISTEN:
    case HUB_OPTION_BOOL:
    case HUB_OPTION_SWITCH:
    case HUB_OPTION_ENUM:
    case HUB_OPTION_COUNT:
    case HUB_OPTION_SIZE:
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
    case HUB_OPTION_SECRET:
        store_scalar(&s, at(base, row->offset));
        return;
    }
}

static void load_absent(const struct hub_option_context *context, const struct hub_option *row, void *base,
                        const char *path)
{
    if (row->type == HUB_OPTION_SECTION) {
        hub_option_load(context, row->section, NULL, at(base, row->offset), path);
    } else if (row->type == HUB_OPTION_TEXTS || row->type == HUB_OPTION_PATHS) {
        default_texts(context, row, base, path);
    } else if (row->type == HUB_OPTION_VARIANT) {
        *(const char **)at(base, row->offset) = row->value;
    } else if (row->value != NULL) {
        struct scalar s = {context, row, path, 0, row->value};
        store_scalar(&s, at(base, row->offset));
    }
}

void hub_option_load(const struct hub_option_context *context, const struct hub_section *section,
                     struct hub_yaml *map, void *base, const char *path)
{
    for (const struct hub_option *row = section->rows; row->name != NULL; row++) {
        char row_path[PATH_MAX_LEN];
        (void)snprintf(row_path, sizeof row_path, "%s%s%s", path, path[0] != '\0' ? "." : "", row->name);
        struct hub_yaml *node = map != NULL ? hub_yaml_get(map, row->name) : NULL;
        if (node != NULL)
            load_present(context, row, node, base, row_path);
        else
            load_absent(context, row, base, row_path);
        if (node == NULL && map != NULL && (row->flags & HUB_OPTION_REQUIRED) != 0)
            problem(context, map->line, row_path, "a required key is missing",
                    row->mend != NULL ? row->mend : "add it", row->description);
    }
    if (map != NULL)
        hub_yaml_check_unused(map, context->file, known_keys(context->arena, section), context->problems);
}
