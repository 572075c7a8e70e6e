/* Rules of the tables (docs/MAPPING.md section 2). */
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

enum { RULE_DEPTH_MAX = 8, CASE_VALUES_MAX = 64 };

static const char *const known_rule_keys[] = {"id",    "from",  "to",    "type", "codes", "value", "format", "when",    "fallback",
                                              "otherwise", "join", "by", "cases", "rules", "ref",   "all",    "before",  "match", "back",
                                              "display", "deletes", "note", "after", NULL};

static const struct {
    const char *name;
    enum map_type type;
} builtin_types[] = {
    {"string", MAP_T_STRING},     {"text", MAP_T_TEXT},       {"code", MAP_T_CODE},         {"uri", MAP_T_URI},
    {"oid", MAP_T_OID},           {"decimal", MAP_T_DECIMAL}, {"integer", MAP_T_INTEGER},   {"positiveInt", MAP_T_POSITIVE},
    {"unsignedInt", MAP_T_UNSIGNED}, {"boolean", MAP_T_BOOLEAN}, {"date", MAP_T_DATE},      {"dateTime", MAP_T_DATETIME},
    {"instant", MAP_T_INSTANT},   {"time", MAP_T_TIME},       {"base64", MAP_T_BASE64},     {"quantity", MAP_T_QUANTITY},
    {"system", MAP_T_SYSTEM},     {"authority", MAP_T_AUTHORITY},
    {"numberAuthority", MAP_T_NUMBER_AUTHORITY}, {"assigner", MAP_T_ASSIGNER},
};

/* What nested rules inherit. */
struct rule_context {
    const char *id;           /* of the enclosing rule, for cases without one */
    const struct map_rule *outer; /* `from` of a case defaults to its */
    int depth;
};

static struct map_rule *compile_rule(struct map_compiler *c, struct hub_yaml *yaml, const struct rule_context *context);

static void compile_from(struct map_compiler *c, struct hub_yaml *yaml, struct map_rule *rule)
{
    struct hub_yaml *from = hub_yaml_get(yaml, "from");
    if (from == NULL)
        return;
    size_t count = from->type == HUB_YAML_LIST ? from->count : 1;
    struct map_path *paths = map_zalloc(c, count, sizeof *paths);
    if (paths == NULL || from->type == HUB_YAML_MAP || count > UINT8_MAX) {
        map_problem(c, from->line, "from is a path or a list of paths", NULL);
        return;
    }
    size_t n = 0;
    for (struct hub_yaml *item = from->type == HUB_YAML_LIST ? from->first : from; item != NULL && n < count; item = item->next) {
        if (item->type == HUB_YAML_SCALAR && map_parse_path(c, item->text, &paths[n], item->line))
            n++;
        if (from->type != HUB_YAML_LIST)
            break;
    }
    rule->from = paths;
    rule->from_count = (uint16_t)n;
}

static void compile_to(struct map_compiler *c, struct hub_yaml *yaml, struct map_rule *rule)
{
    struct hub_yaml *to = hub_yaml_get(yaml, "to");
    if (to == NULL)
        return;
    rule->has_to = true;
    if (to->type != HUB_YAML_SCALAR || !hub_element_parse(c->arena, to->text, &rule->to))
        map_problem(c, to->line, "not an element path", to->type == HUB_YAML_SCALAR ? to->text : NULL);
}

static bool looks_like_number(const char *text)
{
    const char *p = text + (*text == '-' ? 1 : 0);
    size_t whole = strspn(p, "0123456789");
    if (whole == 0 || (whole > 1 && *p == '0'))
        return false;
    p += whole;
    if (*p == '.') {
        size_t part = strspn(p + 1, "0123456789");
        if (part == 0)
            return false;
        p += part + 1;
    }
    return *p == '\0';
}

static struct hub_json *constant(struct map_compiler *c, struct hub_yaml *yaml)
{
    yaml->used = true;
    if (yaml->type == HUB_YAML_SCALAR) {
        if (!yaml->quoted && strcmp(yaml->text, "true") == 0)
            return hub_json_bool(c->arena, true);
        if (!yaml->quoted && strcmp(yaml->text, "false") == 0)
            return hub_json_bool(c->arena, false);
        if (!yaml->quoted && looks_like_number(yaml->text))
            return hub_json_number(c->arena, hub_span_str(yaml->text));
        return hub_json_string_c(c->arena, yaml->text);
    }
    struct hub_json *node = hub_json_new(c->arena, yaml->type == HUB_YAML_LIST ? HUB_JSON_ARRAY : HUB_JSON_OBJECT);
    for (struct hub_yaml *child = yaml->first; child != NULL && node != NULL; child = child->next) {
        struct hub_json *value = constant(c, child);
        enum hub_result result = yaml->type == HUB_YAML_LIST ? hub_json_push(node, value) : hub_json_set_c(node, child->key, value);
        if (result != HUB_OK)
            return NULL;
    }
    return node;
}

static void set_type(struct map_compiler *c, struct map_rule *rule, const char *type, uint32_t line)
{
    for (size_t i = 0; i < sizeof builtin_types / sizeof builtin_types[0]; i++) {
        if (strcmp(type, builtin_types[i].name) == 0) {
            rule->type = builtin_types[i].type;
            return;
        }
    }
    rule->type = MAP_T_TABLE;
    rule->target = map_find_target(c, type, line);
}

static void compile_type(struct map_compiler *c, struct hub_yaml *yaml, struct map_rule *rule)
{
    struct hub_yaml *type = hub_yaml_get(yaml, "type");
    struct hub_yaml *value = hub_yaml_get(yaml, "value");
    const char *format = hub_yaml_get_text(yaml, "format");
    if (type != NULL && type->type == HUB_YAML_SCALAR)
        set_type(c, rule, type->text, type->line);
    else if (type != NULL)
        map_problem(c, type->line, "type is a name", NULL);
    if (value != NULL) {
        rule->type = MAP_T_VALUE;
        rule->value = constant(c, value);
    }
    if (format != NULL) {
        bool outer = c->nested;
        c->nested = c->nested || rule->from_count != 0;
        rule->format = map_parse_format(c, format, yaml->line);
        c->nested = outer;
        if (type == NULL)
            rule->type = MAP_T_FORMAT;
    }
    const char *codes = hub_yaml_get_text(yaml, "codes");
    if (codes != NULL)
        rule->codes = map_find_codes(c, codes, yaml->line);
}

/* A map (one rule) or a list of rules. */
static void compile_some(struct map_compiler *c, struct hub_yaml *yaml, const struct rule_context *context, struct map_rules *out)
{
    size_t count = yaml->type == HUB_YAML_LIST ? yaml->count : 1;
    const struct map_rule **items = map_zalloc(c, count, sizeof(struct map_rule *));
    if (items == NULL || yaml->type == HUB_YAML_SCALAR || count > UINT16_MAX) {
        map_problem(c, yaml->line, "expected a rule or a list of rules", NULL);
        return;
    }
    uint16_t n = 0;
    for (struct hub_yaml *item = yaml->type == HUB_YAML_LIST ? yaml->first : yaml; item != NULL && n < count; item = item->next) {
        item->used = true;
        struct map_rule *rule = compile_rule(c, item, context);
        if (rule != NULL)
            items[n++] = rule;
        if (yaml->type != HUB_YAML_LIST)
            break;
    }
    out->items = items;
    out->count = n;
    map_index_rules(c, out);
}

static bool split_values(struct map_compiler *c, const char *key, struct map_case *out)
{
    struct hub_span values[CASE_VALUES_MAX];
    uint16_t count = 0;
    struct hub_span rest = hub_span_str(key);
    while (rest.len != 0) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        size_t len = comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;
        if (count == CASE_VALUES_MAX)
            return false;
        values[count++] = hub_span_trim(hub_span_of(rest.ptr, len));
        size_t cut = comma != NULL ? len + 1 : len;
        rest = hub_span_of(rest.ptr + cut, rest.len - cut);
    }
    struct hub_span *copy = map_zalloc(c, count, sizeof *copy);
    if (copy == NULL)
        return false;
    memcpy(copy, values, count * sizeof *copy);
    out->values = copy;
    out->value_count = count;
    return true;
}

static void compile_cases(struct map_compiler *c, struct hub_yaml *yaml, struct map_rule *rule, const struct rule_context *context)
{
    const char *by = hub_yaml_get_text(yaml, "by");
    struct hub_yaml *cases = hub_yaml_get(yaml, "cases");
    if (by == NULL && cases == NULL)
        return;
    struct map_path *path = map_zalloc(c, 1, sizeof *path);
    if (by == NULL || cases == NULL || cases->type != HUB_YAML_MAP || path == NULL || !map_parse_path(c, by, path, yaml->line)) {
        map_problem(c, yaml->line, "by and cases belong together: a path, and a map of rules", NULL);
        return;
    }
    struct map_case *items = map_zalloc(c, cases->count, sizeof *items);
    if (items == NULL)
        return;
    struct rule_context inner = {rule->id, rule, context->depth + 1};
    uint16_t n = 0;
    for (struct hub_yaml *child = cases->first; child != NULL; child = child->next, n++) {
        child->used = true;
        if (strcmp(child->key, "default") != 0 && !split_values(c, child->key, &items[n]))
            map_problem(c, child->line, "too many values in one case", NULL);
        compile_some(c, child, &inner, &items[n].rules);
    }
    rule->by = path;
    rule->cases = items;
    rule->case_count = n;
}

static void compile_ref(struct map_compiler *c, struct hub_yaml *yaml, struct map_rule *rule)
{
    const char *name = hub_yaml_get_text(yaml, "ref");
    const char *all = hub_yaml_get_text(yaml, "all");
    struct hub_yaml *match = hub_yaml_get(yaml, "match");
    const char *back = hub_yaml_get_text(yaml, "back");
    bool before = hub_yaml_get(yaml, "before") != NULL;
    if (name == NULL) {
        if (all != NULL || before || match != NULL || back != NULL)
            map_problem(c, yaml->line, "all, before, match and back belong to ref", NULL);
        return;
    }
    struct map_ref *ref = map_zalloc(c, 1, sizeof *ref);
    if (ref == NULL)
        return;
    ref->slot = map_intern_slot(c, name, yaml->line);
    if (all != NULL && strcmp(all, "below") == 0)
        ref->all = MAP_REF_BELOW;
    else if (all != NULL && strcmp(all, "event") == 0)
        ref->all = MAP_REF_EVENT;
    else if (all != NULL)
        map_problem(c, yaml->line, "all is below or event", all);
    if (before && (all != NULL || match != NULL))
        map_problem(c, yaml->line, "before stands alone, without all and match", NULL);
    ref->before = map_condition(c, yaml, "before");
    if (match != NULL)
        (void)map_compile_parts(c, match, &ref->match);
    ref->has_back = back != NULL;
    if (back != NULL && (!hub_element_parse(c->arena, back, &ref->back) || ref->back.count == 0))
        map_problem(c, yaml->line, "not an element path", back);
    if (!rule->has_to || rule->to.count == 0)
        map_problem(c, yaml->line, "a reference needs `to`", NULL);
    rule->ref = ref;
}

static bool is_built_in(enum map_type type)
{
    return type != MAP_T_TABLE && type != MAP_T_RULES && type != MAP_T_VALUE && type != MAP_T_FORMAT && type != MAP_T_QUANTITY;
}

static enum map_way way_of(const struct map_rule *rule)
{
    if (rule->ref != NULL)
        return MAP_WAY_REFERENCE;
    if (rule->cases != NULL)
        return MAP_WAY_CASES;
    if (rule->otherwise != NULL || rule->join != NULL)
        return MAP_WAY_ANY;
    if (rule->from_count == 0)
        return rule->type == MAP_T_VALUE ? MAP_WAY_CONSTANT : MAP_WAY_ANY;
    if (rule->to.count == 0)
        return MAP_WAY_ANY;
    bool once = true;
    for (uint16_t i = 0; i < rule->from_count; i++)
        once = once && (rule->from[i].segment == MAP_SELF || !rule->to.repeats);
    if (is_built_in(rule->type))
        return once ? MAP_WAY_VALUE : MAP_WAY_ANY;
    if (rule->from_count != 1)
        return MAP_WAY_ANY;
    const bool structure = rule->type == MAP_T_RULES || (rule->type == MAP_T_TABLE && rule->target != NULL && rule->target->resource == NULL);
    return structure ? MAP_WAY_STRUCTURE : MAP_WAY_ANY;
}

/* A hint for the element that a type makes where nothing else says what a rule does. */
static void check_rule(struct map_compiler *c, const struct map_rule *rule, const struct hub_yaml *yaml)
{
    bool reads = rule->from_count != 0;
    bool makes = rule->type == MAP_T_VALUE || rule->type == MAP_T_FORMAT || rule->ref != NULL || rule->rules.count != 0;
    if (!reads && !makes && rule->cases == NULL)
        map_problem(c, yaml->line, "the rule reads nothing: give it from, value, format or ref", rule->id);
    if (rule->cases == NULL && !rule->has_to && rule->rules.count == 0 && rule->type != MAP_T_QUANTITY && rule->type != MAP_T_TABLE)
        map_problem(c, yaml->line, "the rule writes nothing: give it `to`", rule->id);
    if (rule->join != NULL && rule->type != MAP_T_STRING && rule->type != MAP_T_TEXT)
        map_problem(c, yaml->line, "join is for string and text", rule->id);
}

static void compile_nested(struct map_compiler *c, struct hub_yaml *yaml, struct map_rule *rule, const struct rule_context *context)
{
    bool outer = c->nested;
    struct rule_context inner = {rule->id, NULL, context->depth + 1};
    struct hub_yaml *rules = hub_yaml_get(yaml, "rules");
    if (rules != NULL) {
        c->nested = c->nested || rule->from_count != 0;
        compile_some(c, rules, &inner, &rule->rules);
        c->nested = outer;
        if (hub_yaml_get(yaml, "type") == NULL && rule->value == NULL)
            rule->type = MAP_T_RULES;
    }
    struct hub_yaml *otherwise = hub_yaml_get(yaml, "otherwise");
    if (otherwise != NULL && otherwise->type == HUB_YAML_MAP) {
        struct rule_context as_case = {rule->id, rule, context->depth + 1};
        rule->otherwise = compile_rule(c, otherwise, &as_case);
    } else if (otherwise != NULL) {
        map_problem(c, otherwise->line, "otherwise is a rule", NULL);
    }
}

static struct map_rule *compile_rule(struct map_compiler *c, struct hub_yaml *yaml, const struct rule_context *context)
{
    struct map_rule *rule = map_zalloc(c, 1, sizeof *rule);
    if (rule == NULL || yaml->type != HUB_YAML_MAP || context->depth > RULE_DEPTH_MAX) {
        map_problem(c, yaml->line, "expected a rule, not nested too deep", NULL);
        return NULL;
    }
    const char *outer_file = c->file;
    c->file = map_file_of(c, yaml);
    rule->id = hub_yaml_get_text(yaml, "id");
    rule->table = c->table;
    rule->line = yaml->line;
    if (rule->id == NULL)
        rule->id = context->id;
    if (rule->id == NULL)
        map_problem(c, yaml->line, "a rule without id", NULL);
    rule->join = hub_yaml_get_text(yaml, "join");
    rule->deletes = hub_yaml_get_text(yaml, "deletes");
    if (rule->join != NULL && strcmp(rule->join, "\\n") == 0)
        rule->join = "\n";
    rule->fallback = map_yaml_bool(c, yaml, "fallback", false);
    rule->display = map_yaml_bool(c, yaml, "display", false);
    (void)hub_yaml_get(yaml, "note");
    (void)hub_yaml_get(yaml, "after");
    compile_from(c, yaml, rule);
    if (rule->from_count == 0 && context->outer != NULL) {
        rule->from = context->outer->from;
        rule->from_count = context->outer->from_count;
    }
    compile_to(c, yaml, rule);
    rule->when = map_when(c, yaml);
    compile_type(c, yaml, rule);
    compile_nested(c, yaml, rule, context);
    compile_cases(c, yaml, rule, context);
    compile_ref(c, yaml, rule);
    rule->way = way_of(rule);
    if (rule->from_count == 1 && rule->from[0].segment == MAP_SELF && rule->from[0].subcomponent == 0)
        rule->part = rule->from[0].component;
    check_rule(c, rule, yaml);
    hub_yaml_check_unused(yaml, c->file, known_rule_keys, c->problems);
    c->file = outer_file;
    return rule;
}

static void check_ids(struct map_compiler *c, const struct map_rules *rules)
{
    for (uint16_t i = 0; i < rules->count; i++) {
        for (uint16_t j = 0; j < i; j++) {
            if (rules->items[i]->id != NULL && rules->items[j]->id != NULL && strcmp(rules->items[i]->id, rules->items[j]->id) == 0)
                map_problem(c, rules->items[i]->line, "two rules have one id", rules->items[i]->id);
        }
    }
}

void map_compile_rules(struct map_compiler *c, struct hub_yaml *list, struct map_rules *out)
{
    struct rule_context context = {NULL, NULL, 0};
    if (list == NULL)
        return;
    if (list->type != HUB_YAML_LIST) {
        map_problem(c, list->line, "rules is a list", NULL);
        return;
    }
    compile_some(c, list, &context, out);
    check_ids(c, out);
}
