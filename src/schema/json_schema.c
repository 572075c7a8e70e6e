/* From the text of a schema to rules. */
#include "src/codec/json.h"
#include "src/schema/json_rule.h"

enum { SCRATCH_BYTES_MAX = 4 * 1024 * 1024, DEFINITIONS_MAX = 64, DEPTH_MAX = 32 };

const struct hub_json_schema hub_json_rule_any = {
    .types = HUB_RULE_ANY,
    .length_max = UINT64_MAX,
    .items_max = UINT64_MAX,
    .rest = &hub_json_rule_any,
    .items = &hub_json_rule_any,
};

struct compiler {
    struct hub_arena *arena;
    struct hub_error *err;
    const struct hub_json *definitions;
    struct hub_json_schema *defined[DEFINITIONS_MAX]; /* by place in `definitions`; NULL: not asked for yet */
    unsigned depth;
};

static enum hub_result fail(struct compiler *c, const struct hub_json *node, const char *what)
{
    (void)hub_fail(c->err, HUB_CONFIG, what, "write the schema as src/schema/json_schema.h says");
    (void)hub_error_at(c->err, "%.*s", node->key != NULL ? (int)node->key_len : 0, node->key != NULL ? node->key : "");
    return HUB_CONFIG;
}

static enum hub_result no_memory(struct compiler *c)
{
    return hub_fail(c->err, HUB_NO_MEMORY, "no memory for a schema", NULL);
}

static enum hub_result compile(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule);
static enum hub_result follow(struct compiler *c, const struct hub_json *reference, const struct hub_json_schema **out);

static enum hub_result compile_new(struct compiler *c, const struct hub_json *node, const struct hub_json_schema **out)
{
    const struct hub_json *reference = hub_json_get(node, "$ref");
    if (reference != NULL)
        return node->len == 1 ? follow(c, reference, out) : fail(c, reference, "a reference that does not stand alone");
    struct hub_json_schema *rule = HUB_ARENA_NEW(c->arena, struct hub_json_schema);
    if (rule == NULL)
        return no_memory(c);
    *out = rule;
    return compile(c, node, rule);
}

/* --- keywords --- */

static enum hub_result read_type(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    static const struct {
        const char *name;
        unsigned types;
    } types[] = {
        {"null", HUB_RULE_NULL},     {"boolean", HUB_RULE_BOOL}, {"integer", HUB_RULE_INTEGER},
        {"number", HUB_RULE_NUMBER | HUB_RULE_INTEGER},          {"string", HUB_RULE_STRING},
        {"array", HUB_RULE_ARRAY},   {"object", HUB_RULE_OBJECT},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (node->type == HUB_JSON_STRING && hub_span_is(hub_json_span(node), types[i].name)) {
            rule->types = types[i].types;
            return HUB_OK;
        }
    return fail(c, node, "a type that is not known here");
}

/* The canonical text of NODE. */
static enum hub_result value_text(struct compiler *c, const struct hub_json *node, struct hub_span *out)
{
    struct hub_buf buf;
    if (node->type != HUB_JSON_STRING && node->type != HUB_JSON_TRUE && node->type != HUB_JSON_FALSE)
        return fail(c, node, "a value to compare with that is neither text nor true nor false");
    hub_buf_init(&buf, SCRATCH_BYTES_MAX, false);
    hub_json_write(&buf, node);
    *out = hub_buf_result(&buf) == HUB_OK ? hub_arena_copy(c->arena, hub_buf_view(&buf)) : HUB_SPAN_NONE;
    hub_buf_deinit(&buf);
    return out->ptr != NULL ? HUB_OK : no_memory(c);
}

static enum hub_result read_values(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    bool list = hub_span_is(hub_span_of(node->key, node->key_len), "enum");
    if (rule->values != NULL || (list && (node->type != HUB_JSON_ARRAY || node->len == 0)))
        return fail(c, node, "values to compare with that are no list, or stand there twice");
    size_t count = list ? node->len : 1;
    struct hub_span *values = HUB_ARENA_ARRAY(c->arena, struct hub_span, count);
    if (values == NULL)
        return no_memory(c);
    for (size_t i = 0; i < count; i++)
        HUB_TRY(value_text(c, list ? hub_json_at(node, i) : node, &values[i]));
    rule->values = values;
    rule->value_count = count;
    return HUB_OK;
}

static enum hub_result read_pattern(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    struct hub_pattern *pattern = HUB_ARENA_NEW(c->arena, struct hub_pattern);
    if (pattern == NULL)
        return no_memory(c);
    if (node->type != HUB_JSON_STRING)
        return fail(c, node, "a pattern that is no text");
    rule->pattern = pattern;
    return hub_pattern_compile(c->arena, hub_json_span(node), pattern, c->err);
}

static enum hub_result read_count(struct compiler *c, const struct hub_json *node, uint64_t *out)
{
    if (node->type == HUB_JSON_NUMBER && hub_span_parse_u64(hub_json_span(node), out))
        return HUB_OK;
    return fail(c, node, "not a count");
}

static enum hub_result read_bound(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule, int64_t *out)
{
    uint64_t number = 0;
    HUB_TRY(read_count(c, node, &number));
    if (number > INT64_MAX)
        return fail(c, node, "a bound past all numbers that are checked");
    *out = (int64_t)number;
    rule->bounded = true;
    return HUB_OK;
}

static enum hub_result read_properties(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    if (node->type != HUB_JSON_OBJECT || node->len > HUB_JSON_SCHEMA_MEMBERS_MAX)
        return fail(c, node, "not a map of members, or one of too many");
    struct hub_json_member *members = HUB_ARENA_ARRAY(c->arena, struct hub_json_member, node->len + 1);
    if (members == NULL)
        return no_memory(c);
    rule->members = members;
    for (const struct hub_json *m = node->first; m != NULL; m = m->next) {
        struct hub_json_member *member = &members[rule->member_count++];
        for (size_t i = 0; i < m->key_len; i++)
            if (m->key[i] < 0x20 || m->key[i] > 0x7e || m->key[i] == '"' || m->key[i] == '\\')
                return fail(c, m, "a member's name with characters that canonical form may escape");
        member->name = hub_arena_copy(c->arena, hub_span_of(m->key, m->key_len));
        member->required = -1;
        if (member->name.ptr == NULL)
            return no_memory(c);
        HUB_TRY(compile_new(c, m, &member->rule));
    }
    return HUB_OK;
}

static enum hub_result read_required(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    struct hub_json_member *members = (struct hub_json_member *)(uintptr_t)rule->members;
    if (node->type != HUB_JSON_ARRAY)
        return fail(c, node, "not a list");
    for (const struct hub_json *name = node->first; name != NULL; name = name->next) {
        size_t at = 0;
        while (at < rule->member_count && !hub_span_equal(members[at].name, hub_json_span(name)))
            at++;
        if (at == rule->member_count)
            return fail(c, node, "a required member that `properties` does not name");
        members[at].required = (int8_t)at;
        rule->required |= UINT64_C(1) << at;
    }
    return HUB_OK;
}

static enum hub_result read_rest(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    if (node->type == HUB_JSON_TRUE || node->type == HUB_JSON_FALSE) {
        rule->rest = node->type == HUB_JSON_TRUE ? &hub_json_rule_any : NULL;
        return HUB_OK;
    }
    return compile_new(c, node, &rule->rest);
}

/* --- what stands alone --- */

static bool only_words(const struct hub_json *node)
{
    static const char *const silent[] = {"$schema", "$id", "title", "description", "definitions", "oneOf"};
    for (const struct hub_json *m = node->first; m != NULL; m = m->next) {
        bool known = false;
        for (size_t i = 0; !known && i < sizeof silent / sizeof silent[0]; i++)
            known = hub_span_is(hub_span_of(m->key, m->key_len), silent[i]);
        if (!known)
            return false;
    }
    return true;
}

static enum hub_result read_alternatives(struct compiler *c, const struct hub_json *list, struct hub_json_schema *rule)
{
    if (list->type != HUB_JSON_ARRAY || list->len == 0)
        return fail(c, list, "not a list of alternatives");
    const struct hub_json_schema **all = HUB_ARENA_ARRAY(c->arena, const struct hub_json_schema *, list->len);
    if (all == NULL)
        return no_memory(c);
    rule->alternatives = all;
    for (const struct hub_json *item = list->first; item != NULL; item = item->next)
        HUB_TRY(compile_new(c, item, &all[rule->alternative_count++]));
    return HUB_OK;
}

/* A definition is compiled once and may lead back to itself. */
static enum hub_result follow(struct compiler *c, const struct hub_json *reference, const struct hub_json_schema **out)
{
    static const char start[] = "#/definitions/";
    struct hub_span name = hub_json_span(reference);
    size_t at = 0;
    const struct hub_json *there = c->definitions != NULL ? c->definitions->first : NULL;
    if (name.len < sizeof start || memcmp(name.ptr, start, sizeof start - 1) != 0)
        return fail(c, reference, "a reference that does not lead to #/definitions/");
    name = hub_span_of(name.ptr + sizeof start - 1, name.len - (sizeof start - 1));
    for (; there != NULL && !hub_span_equal(hub_span_of(there->key, there->key_len), name); there = there->next)
        at++;
    if (there == NULL || at >= DEFINITIONS_MAX)
        return fail(c, reference, "a reference to what is not there");
    *out = c->defined[at];
    if (*out != NULL)
        return HUB_OK;
    c->defined[at] = HUB_ARENA_NEW(c->arena, struct hub_json_schema);
    *out = c->defined[at];
    return *out != NULL ? compile(c, there, c->defined[at]) : no_memory(c);
}

/* --- the whole --- */

static enum hub_result read_keyword(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    static const char *const silent[] = {"$schema", "$id", "title", "description", "definitions", "properties", "required"};
    struct hub_span name = hub_span_of(node->key, node->key_len);
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
        if (hub_span_is(name, silent[i]))
            return HUB_OK;
    if (hub_span_is(name, "type"))
        return read_type(c, node, rule);
    if (hub_span_is(name, "const") || hub_span_is(name, "enum"))
        return read_values(c, node, rule);
    if (hub_span_is(name, "pattern"))
        return read_pattern(c, node, rule);
    if (hub_span_is(name, "minLength"))
        return read_count(c, node, &rule->length_min);
    if (hub_span_is(name, "maxLength"))
        return read_count(c, node, &rule->length_max);
    if (hub_span_is(name, "minItems"))
        return read_count(c, node, &rule->items_min);
    if (hub_span_is(name, "maxItems"))
        return read_count(c, node, &rule->items_max);
    if (hub_span_is(name, "minimum"))
        return read_bound(c, node, rule, &rule->number_min);
    if (hub_span_is(name, "maximum"))
        return read_bound(c, node, rule, &rule->number_max);
    if (hub_span_is(name, "items"))
        return compile_new(c, node, &rule->items);
    if (hub_span_is(name, "additionalProperties"))
        return read_rest(c, node, rule);
    return fail(c, node, "a keyword of the schema that this program does not check");
}

static enum hub_result compile_members(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    const struct hub_json *alternatives = hub_json_get(node, "oneOf");
    const struct hub_json *properties = hub_json_get(node, "properties");
    const struct hub_json *required = hub_json_get(node, "required");
    if (alternatives != NULL)
        return only_words(node) ? read_alternatives(c, alternatives, rule)
                                : fail(c, alternatives, "alternatives that do not stand alone");
    if (properties != NULL)
        HUB_TRY(read_properties(c, properties, rule));
    if (required != NULL)
        HUB_TRY(read_required(c, required, rule));
    for (const struct hub_json *m = node->first; m != NULL; m = m->next)
        HUB_TRY(read_keyword(c, m, rule));
    return HUB_OK;
}

static enum hub_result compile(struct compiler *c, const struct hub_json *node, struct hub_json_schema *rule)
{
    *rule = hub_json_rule_any;
    rule->number_min = INT64_MIN;
    rule->number_max = INT64_MAX;
    if (node->type != HUB_JSON_OBJECT || c->depth >= DEPTH_MAX)
        return fail(c, node, "not a schema, or one in too many others");
    c->depth++;
    enum hub_result result = compile_members(c, node, rule);
    c->depth--;
    return result;
}

enum hub_result hub_json_schema_compile(struct hub_arena *arena, struct hub_span text, const struct hub_json_schema **out,
                                        struct hub_error *err)
{
    struct hub_arena scratch;
    struct hub_json *tree = NULL;
    hub_arena_init(&scratch, SCRATCH_BYTES_MAX);
    struct compiler c = {.arena = arena, .err = err};
    enum hub_result result = hub_json_parse(&scratch, text, &tree, err);
    if (result == HUB_OK) {
        c.definitions = hub_json_get(tree, "definitions");
        result = compile_new(&c, tree, out);
    } else if (result == HUB_SYNTAX) {
        result = hub_fail(err, HUB_CONFIG, "a schema that is not JSON", "restore the file");
    }
    hub_arena_deinit(&scratch);
    return result;
}
