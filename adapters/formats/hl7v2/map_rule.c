/* Carrying out rules (docs/MAPPING.md section 2). */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

static struct hub_arena *arena_of(const struct map_scope *scope)
{
    return scope->run->arena;
}

enum hub_result map_new_resource(struct map_run *run, const char *type, struct map_res **out)
{
    if (run->res_count >= run->options->resources_max) {
        (void)hub_fail(run->err, HUB_TOO_MANY, "an event with more resources than limits.resources", "send it in several messages, or raise the limit");
        if (run->previous != NULL) /* the segment at work */
            (void)hub_error_at(run->err, "%s[%u]", run->previous->hl7->id, (unsigned)run->previous->hl7->occurrence);
        hub_error_number(run->err, run->options->resources_max);
        return HUB_TOO_MANY;
    }
    if (run->res_count == run->res_cap) {
        size_t cap = run->res_cap == 0 ? 16 : (size_t)run->res_cap * 2;
        struct map_res **grown = HUB_ARENA_ARRAY(run->arena, struct map_res *, cap);
        HUB_ENSURE(grown != NULL, HUB_NO_MEMORY);
        if (run->res_count != 0)
            memcpy(grown, run->res, run->res_count * sizeof(struct map_res *));
        run->res = grown;
        run->res_cap = (uint32_t)cap;
    }
    struct map_res *res = HUB_ARENA_NEW(run->arena, struct map_res);
    HUB_ENSURE(res != NULL, HUB_NO_MEMORY);
    res->type = type;
    res->json = hub_json_new(run->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(res->json != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_c(res->json, "resourceType", hub_json_string_c(run->arena, type)));
    res->ordinal = run->res_count;
    run->res[run->res_count++] = res;
    *out = res;
    return HUB_OK;
}

enum hub_result map_add_reference(struct map_run *run, struct hub_json *element, const struct map_res *target)
{
    /* A resource of another patient's event can never be meant. */
    HUB_ENSURE(target->ordinal < run->res_count && run->res[target->ordinal] == target, HUB_INTERNAL);
    if (run->ref_count == run->ref_cap) {
        size_t cap = run->ref_cap == 0 ? 32 : (size_t)run->ref_cap * 2;
        struct hub_reference *grown = HUB_ARENA_ARRAY(run->arena, struct hub_reference, cap);
        HUB_ENSURE(grown != NULL, HUB_NO_MEMORY);
        if (run->ref_count != 0)
            memcpy(grown, run->refs, run->ref_count * sizeof *grown);
        run->refs = grown;
        run->ref_cap = (uint32_t)cap;
    }
    struct hub_json *node = hub_json_string(run->arena, HUB_SPAN_NONE);
    HUB_TRY(hub_json_set_c(element, "reference", node));
    run->refs[run->ref_count++] = (struct hub_reference){node, target->ordinal};
    return HUB_OK;
}

/* --- lines joined into one text --- */

static enum hub_result add_line(struct map_run *run, struct map_join *join, struct hub_span text)
{
    struct map_line *line = HUB_ARENA_NEW(run->arena, struct map_line);
    HUB_ENSURE(line != NULL, HUB_NO_MEMORY);
    line->text = text;
    if (join->last != NULL)
        join->last->next = line;
    else
        join->first = line;
    join->last = line;
    join->len += text.len;
    join->count++;
    return HUB_OK;
}

static struct map_join *find_join(const struct map_scope *scope, const struct hub_json *node)
{
    for (struct map_join *join = scope->res->joins; join != NULL && node != NULL; join = join->next) {
        if (join->node == node)
            return join;
    }
    return NULL;
}

static enum hub_result new_join(struct map_scope *scope, const struct map_rule *rule, struct hub_json *node)
{
    struct map_join *join = HUB_ARENA_NEW(arena_of(scope), struct map_join);
    HUB_ENSURE(join != NULL, HUB_NO_MEMORY);
    join->node = node;
    join->between = rule->join;
    join->next = scope->res->joins;
    scope->res->joins = join;
    return add_line(scope->run, join, hub_json_span(node));
}

static enum hub_result finish_join(struct map_run *run, const struct map_join *join)
{
    size_t between = strlen(join->between);
    char *text = hub_arena_bytes(run->arena, join->len + join->count * between + 1);
    HUB_ENSURE(text != NULL && join->len + join->count * between < UINT32_MAX, HUB_NO_MEMORY);
    size_t n = 0;
    for (const struct map_line *line = join->first; line != NULL; line = line->next) {
        if (line != join->first) {
            memcpy(text + n, join->between, between);
            n += between;
        }
        if (line->text.len != 0)
            memcpy(text + n, line->text.ptr, line->text.len);
        n += line->text.len;
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    join->node->str = text;
    join->node->len = (uint32_t)n;
    return HUB_OK;
}

enum hub_result map_finish_joins(struct map_run *run)
{
    for (uint32_t i = 0; i < run->res_count; i++) {
        for (const struct map_join *join = run->res[i]->joins; join != NULL; join = join->next) {
            if (join->count > 1)
                HUB_TRY(finish_join(run, join));
        }
    }
    return HUB_OK;
}

/* --- writing --- */

/* Where NODE goes in an element: mostly a member, or one more of a list. */
static inline enum hub_result place(struct map_scope *scope, const struct hub_element *to, struct hub_json *node, struct hub_json **placed)
{
    const struct hub_step *step = &to->steps[0];
    if (to->count != 1 || step->kind == HUB_STEP_FIRST || step->url != NULL)
        return hub_element_put(arena_of(scope), scope->element, to, node, placed);
    if (step->kind == HUB_STEP_MEMBER)
        return hub_json_merge(scope->element, step->name, node, placed);
    struct hub_json *list = hub_json_open(arena_of(scope), scope->element, step->name, HUB_JSON_ARRAY);
    HUB_ENSURE(list != NULL, HUB_NO_MEMORY);
    *placed = node;
    return hub_json_push(list, node);
}

static enum hub_result put(struct map_scope *scope, const struct map_rule *rule, struct hub_json *node, struct hub_span raw)
{
    struct hub_json *placed = node;
    HUB_ENSURE(node != NULL, HUB_NO_MEMORY);
    if (rule->to.count == 0) {
        if (scope->single == NULL || *scope->single != NULL)
            return HUB_OK;
        *scope->single = node;
    } else {
        HUB_TRY(place(scope, &rule->to, node, &placed));
    }
    map_trace_made(scope->run, rule, placed, raw);
    return HUB_OK;
}

static bool is_there(const struct map_scope *scope, const struct map_rule *rule)
{
    if (rule->to.count == 0)
        return scope->single != NULL && *scope->single != NULL;
    if (!rule->to.repeats)
        return hub_element_get(scope->element, &rule->to) != NULL;
    return hub_json_member(scope->element, rule->to.steps[0].name) != NULL;
}

/* --- data types that make resources --- */

/* Eight bytes at a time: a doctor's name comes by with every result. */
static uint32_t text_hash(struct hub_span text, uint32_t seed)
{
    const uint64_t prime = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t h = (seed + text.len) * prime;
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t word;
        memcpy(&word, text.ptr + i, sizeof word);
        h = (h ^ word) * prime;
        h ^= h >> 32;
    }
    for (; i < text.len; i++)
        h = (h ^ text.ptr[i]) * prime;
    return (uint32_t)(h >> 32);
}

static enum hub_result support_of(struct map_scope *scope, const struct map_rule *rule, struct map_value value, struct map_res **out)
{
    struct map_run *run = scope->run;
    const struct map_target *target = rule->target;
    const struct hub_span text = map_span(value);
    uint32_t hash = text_hash(text, target->number);
    struct map_support **slot = &run->support[hash % MAP_SUPPORT_SLOTS];
    for (struct map_support *known = *slot; known != NULL; known = known->next) {
        if (known->hash == hash && known->target == target && hub_span_equal(known->text, text)) {
            *out = known->res;
            map_trace_same(run, known->text, text);
            return HUB_OK;
        }
    }
    struct map_res *res = NULL;
    HUB_TRY(map_new_resource(run, target->resource, &res));
    res->seg = scope->seg;
    struct map_split split;
    map_split_value(run, value, &split);
    struct map_scope inner = {run, scope->seg, value, &split, res, res->json, NULL, (uint16_t)(scope->depth + 1), false};
    HUB_TRY(map_run_rules(&inner, &target->rules));
    res->dropped = res->json->len <= 1;
    struct map_support *added = HUB_ARENA_NEW(run->arena, struct map_support);
    HUB_ENSURE(added != NULL, HUB_NO_MEMORY);
    *added = (struct map_support){target, text, hash, res, *slot};
    *slot = added;
    *out = res;
    return HUB_OK;
}

static struct hub_span display_of(const struct map_run *run, const struct map_res *res)
{
    struct hub_json *name = hub_json_get(res->json, "name");
    if (name != NULL && name->type == HUB_JSON_STRING)
        return hub_json_span(name);
    const struct hub_json *first = hub_json_at(name, 0);
    struct hub_span text = hub_json_get_span(first, "text");
    struct hub_span family = hub_json_get_span(first, "family");
    struct hub_span given = hub_json_span(hub_json_at(hub_json_get(first, "given"), 0));
    if (text.len != 0 || given.len == 0)
        return text.len != 0 ? text : family;
    const struct hub_span parts[] = {given, HUB_SPAN(" "), family};
    return hub_arena_concat(run->arena, parts, 3);
}

static enum hub_result put_support(struct map_scope *scope, const struct map_rule *rule, struct map_value value)
{
    struct map_res *res = NULL;
    HUB_TRY(support_of(scope, rule, value, &res));
    if (res->dropped)
        return HUB_OK;
    struct hub_json *element = hub_json_new(arena_of(scope), HUB_JSON_OBJECT);
    HUB_ENSURE(element != NULL, HUB_NO_MEMORY);
    HUB_TRY(map_add_reference(scope->run, element, res));
    struct hub_span display = rule->display ? display_of(scope->run, res) : HUB_SPAN_NONE;
    if (display.len != 0)
        HUB_TRY(hub_json_set_string(arena_of(scope), element, "display", display));
    if (rule->to.count == 0 && scope->element != NULL) { /* the present element is the reference, and may hold more */
        map_trace_made(scope->run, rule, scope->element, map_span(value));
        return hub_json_merge_members(scope->element, element);
    }
    return put(scope, rule, element, map_span(value));
}

/* --- structures --- */

/* VALUE's parts, cut into OWN unless VALUE is the present value. */
static const struct map_split *parts_of(const struct map_scope *scope, struct map_value value, struct map_split *own)
{
    if (scope->split != NULL && value.ptr == scope->value.ptr && value.len == scope->value.len && value.level == scope->value.level)
        return scope->split;
    map_split_value(scope->run, value, own);
    return own;
}

/* A detached object is filled first, so that nothing empty is ever written; an object that is there already is
 * filled in place. */
static enum hub_result put_structure(struct map_scope *scope, const struct map_rule *rule, struct map_value value, bool *made)
{
    struct map_run *run = scope->run;
    const struct map_rules *rules = rule->type == MAP_T_TABLE ? &rule->target->rules : &rule->rules;
    struct map_split split;
    struct hub_json *single = NULL;
    bool keeps_element = !rule->has_to;
    struct hub_json *there = rule->has_to && rule->to.count != 0 ? hub_element_get(scope->element, &rule->to) : NULL;
    if (there != NULL && there->type != HUB_JSON_OBJECT)
        there = NULL;
    struct hub_json *object = keeps_element ? scope->element : there != NULL ? there : hub_json_new(run->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(object != NULL, HUB_NO_MEMORY);
    uint32_t before = object->len;
    struct map_scope inner = {run,    scope->seg, value,   parts_of(scope, value, &split), scope->res,
                              object, &single,    (uint16_t)(scope->depth + 1),           false};
    if (keeps_element)
        inner.single = scope->single;
    HUB_TRY(map_run_rules(&inner, rules));
    *made = object->len > before || single != NULL || there != NULL;
    if (rule->codes != NULL && rule->type == MAP_T_TABLE && rule->target->codes_on != MAP_CODES_NONE)
        HUB_TRY(map_apply_codes(run, object, rule->codes, rule->target->codes_on));
    if (keeps_element || there != NULL)
        return HUB_OK;
    if (single != NULL)
        return put(scope, rule, single, map_span(value));
    return object->len != 0 ? put(scope, rule, object, map_span(value)) : HUB_OK;
}

static enum hub_result put_quantity(struct map_scope *scope, const struct map_rule *rule, struct map_value value, bool *made)
{
    enum hub_result result = HUB_OK;
    struct hub_json *object = hub_json_new(arena_of(scope), HUB_JSON_OBJECT);
    HUB_ENSURE(object != NULL, HUB_NO_MEMORY);
    *made = map_quantity(scope, value, object, &result);
    HUB_TRY(result);
    if (!*made)
        return HUB_OK;
    map_trace_used(scope->run, map_span(map_first_part(scope->run, value)));
    return put(scope, rule, object, map_span(value));
}

static enum hub_result put_primitive(struct map_scope *scope, const struct map_rule *rule, struct map_value value, bool *made)
{
    enum hub_result result = HUB_OK;
    struct hub_json *node = map_convert(scope, rule, value, &result);
    HUB_TRY(result);
    *made = node != NULL;
    if (node == NULL)
        return HUB_OK;
    map_trace_converted(scope, rule, value);
    if (rule->join != NULL && rule->to.count != 0 && !rule->to.repeats) {
        struct map_join *join = find_join(scope, hub_element_get(scope->element, &rule->to));
        if (join != NULL) {
            map_trace_made(scope->run, rule, join->node, map_span(value));
            return add_line(scope->run, join, hub_json_span(node));
        }
        HUB_TRY(put(scope, rule, node, map_span(value)));
        return new_join(scope, rule, node);
    }
    return put(scope, rule, node, map_span(value));
}

static enum hub_result put_constant(struct map_scope *scope, const struct map_rule *rule, struct hub_span raw)
{
    HUB_ENSURE(rule->value != NULL, HUB_NO_MEMORY);
    return put(scope, rule, hub_json_copy(arena_of(scope), rule->value), raw);
}

static enum hub_result put_format(struct map_scope *scope, const struct map_rule *rule, struct map_value value, bool *made)
{
    struct hub_span text = HUB_SPAN_NONE;
    struct map_split split;
    struct map_scope inner = *scope;
    if (rule->from_count != 0) {
        map_split_value(scope->run, value, &split);
        inner.value = value;
        inner.split = &split;
    }
    HUB_TRY(map_format_text(&inner, rule->format, &text));
    *made = text.len != 0;
    if (text.len == 0)
        return HUB_OK;
    return put(scope, rule, map_string(scope->run, text, HUB_HL7_CONTROLS), HUB_SPAN_NONE);
}

static enum hub_result apply(struct map_scope *scope, const struct map_rule *rule, struct map_value value)
{
    bool made = true;
    switch (rule->type) {
    case MAP_T_VALUE:
        HUB_TRY(put_constant(scope, rule, map_span(value)));
        break;
    case MAP_T_FORMAT:
        HUB_TRY(put_format(scope, rule, value, &made));
        break;
    case MAP_T_QUANTITY:
        HUB_TRY(put_quantity(scope, rule, value, &made));
        break;
    case MAP_T_TABLE:
        if (rule->target->resource != NULL)
            return put_support(scope, rule, value);
        HUB_TRY(put_structure(scope, rule, value, &made));
        break;
    case MAP_T_RULES:
        HUB_TRY(put_structure(scope, rule, value, &made));
        break;
    case MAP_T_STRING:
    case MAP_T_TEXT:
    case MAP_T_CODE:
    case MAP_T_URI:
    case MAP_T_OID:
    case MAP_T_DECIMAL:
    case MAP_T_INTEGER:
    case MAP_T_POSITIVE:
    case MAP_T_UNSIGNED:
    case MAP_T_BOOLEAN:
    case MAP_T_DATE:
    case MAP_T_DATETIME:
    case MAP_T_INSTANT:
    case MAP_T_TIME:
    case MAP_T_BASE64:
    case MAP_T_SYSTEM:
    case MAP_T_AUTHORITY:
    case MAP_T_NUMBER_AUTHORITY:
    case MAP_T_ASSIGNER:
        HUB_TRY(put_primitive(scope, rule, value, &made));
        break;
    }
    if (made || rule->otherwise == NULL)
        return HUB_OK;
    if (rule->otherwise->when != NULL && !map_cond_true(scope, rule->otherwise->when))
        return HUB_OK;
    return apply(scope, rule->otherwise, value);
}

/* --- one rule --- */

static enum hub_result run_cases(struct map_scope *scope, const struct map_rule *rule)
{
    struct map_value value = map_read(scope, rule->by);
    struct hub_span by = HUB_SPAN_NONE;
    if (value.len != 0) {
        value = map_first_part(scope->run, value);
        by = map_plain(scope->run, value);
        map_trace_used(scope->run, map_span(value));
    }
    const struct map_case *otherwise = NULL;
    for (uint16_t i = 0; i < rule->case_count; i++) {
        const struct map_case *one = &rule->cases[i];
        if (one->value_count == 0)
            otherwise = one;
        for (uint16_t v = 0; v < one->value_count; v++) {
            if (hub_span_equal(by, one->values[v]))
                return map_run_rules(scope, &one->rules);
        }
    }
    return otherwise != NULL ? map_run_rules(scope, &otherwise->rules) : HUB_OK;
}

static enum hub_result defer(struct map_scope *scope, const struct map_rule *rule)
{
    struct map_pending *pending = HUB_ARENA_NEW(arena_of(scope), struct map_pending);
    HUB_ENSURE(pending != NULL, HUB_NO_MEMORY);
    *pending = (struct map_pending){rule, scope->res, scope->element, scope->seg, NULL};
    if (scope->run->pending_last != NULL)
        scope->run->pending_last->next = pending;
    else
        scope->run->pending_first = pending;
    scope->run->pending_last = pending;
    return HUB_OK;
}

/* A field of exactly "" in a folded resource deletes the element. */
static enum hub_result note_deleted(struct map_scope *scope, const struct map_rule *rule)
{
    for (uint16_t i = 0; i < rule->from_count; i++) {
        if (rule->from[i].segment != scope->seg->name)
            continue;
        struct hub_span raw = map_read_raw(scope, &rule->from[i]);
        if (!hub_hl7_is_null(raw))
            continue;
        struct map_deleted *deleted = HUB_ARENA_NEW(arena_of(scope), struct map_deleted);
        HUB_ENSURE(deleted != NULL, HUB_NO_MEMORY);
        *deleted = (struct map_deleted){rule, raw, scope->res->deleted};
        scope->res->deleted = deleted;
        return HUB_OK;
    }
    return HUB_OK;
}

static bool may_repeat(const struct map_scope *scope, const struct map_path *path)
{
    if (path->segment == MAP_SELF)
        return false;
    const struct map_seg *seg = map_segment_of(scope, path);
    return seg != NULL && (seg->hl7->marks & HUB_HL7_REPETITIONS) != 0;
}

static enum hub_result run_from(struct map_scope *scope, const struct map_rule *rule)
{
    bool many = rule->to.repeats || rule->join != NULL || !rule->has_to;
    for (uint16_t i = 0; i < rule->from_count; i++) {
        struct map_value value;
        bool any = false;
        if (!many || !may_repeat(scope, &rule->from[i])) {
            value = map_read(scope, &rule->from[i]);
            if (value.len != 0)
                return apply(scope, rule, value);
            continue;
        }
        struct map_reader reader;
        map_reader_init(&reader, scope, &rule->from[i]);
        while (map_reader_next(&reader, &value)) {
            any = true;
            HUB_TRY(apply(scope, rule, value));
        }
        if (any)
            return HUB_OK;
    }
    if (rule->join != NULL && scope->merging) { /* an empty line is a line of the text too */
        struct map_join *join = find_join(scope, hub_element_get(scope->element, &rule->to));
        return join != NULL ? add_line(scope->run, join, HUB_SPAN_NONE) : HUB_OK;
    }
    if (scope->res != NULL && scope->depth == 0 && rule->to.count != 0 && scope->res->mode == HUB_MODE_FOLD)
        return note_deleted(scope, rule);
    return HUB_OK;
}

/* What most values are: text that stands in FHIR as it was sent. */
static inline bool is_plain(const struct map_rule *rule, struct map_value value)
{
    return rule->type == MAP_T_STRING && rule->codes == NULL && (value.marks & (HUB_HL7_ESCAPES | HUB_HL7_CONTROLS)) == 0 &&
           !map_needs_trim(map_span(value));
}

/* The value of a rule that takes one. */
static inline struct map_value only_value(const struct map_scope *scope, const struct map_rule *rule)
{
    if (rule->part != 0 && scope->split != NULL)
        return map_split_part(scope, rule->part); /* that it is there the bits have told */
    struct map_value value = map_read(scope, &rule->from[0]);
    for (uint16_t i = 1; i < rule->from_count && value.len == 0; i++)
        value = map_read(scope, &rule->from[i]);
    return value;
}

static enum hub_result nothing_sent(struct map_scope *scope, const struct map_rule *rule)
{
    return scope->depth == 0 && scope->res->mode == HUB_MODE_FOLD ? note_deleted(scope, rule) : HUB_OK;
}

/* A value to its place: what run_from and those it calls do with most rules. */
static enum hub_result run_value(struct map_scope *scope, const struct map_rule *rule)
{
    const struct map_value value = only_value(scope, rule);
    enum hub_result result = HUB_OK;
    if (value.len == 0)
        return nothing_sent(scope, rule);
    struct hub_json *node = is_plain(rule, value) ? hub_json_string(arena_of(scope), map_span(value)) : map_convert(scope, rule, value, &result);
    HUB_TRY(result);
    if (node == NULL)
        return HUB_OK;
    map_trace_converted(scope, rule, value);
    HUB_TRY(place(scope, &rule->to, node, &node));
    map_trace_made(scope->run, rule, node, map_span(value));
    return HUB_OK;
}

static enum hub_result run_structure(struct map_scope *scope, const struct map_rule *rule)
{
    bool ignored = false;
    if (rule->to.repeats && may_repeat(scope, &rule->from[0]))
        return run_from(scope, rule);
    const struct map_value value = only_value(scope, rule);
    return value.len != 0 ? put_structure(scope, rule, value, &ignored) : nothing_sent(scope, rule);
}

static enum hub_result run_rule(struct map_scope *scope, const struct map_rule *rule, bool ask)
{
    if (ask && rule->when != NULL && !map_cond_true(scope, rule->when))
        return HUB_OK;
    if (rule->fallback && is_there(scope, rule))
        return HUB_OK;
    switch (rule->way) {
    case MAP_WAY_VALUE:
        return run_value(scope, rule);
    case MAP_WAY_STRUCTURE:
        return run_structure(scope, rule);
    case MAP_WAY_CONSTANT:
        return put_constant(scope, rule, map_span(scope->value));
    case MAP_WAY_CASES:
        return run_cases(scope, rule);
    case MAP_WAY_REFERENCE:
        return defer(scope, rule);
    case MAP_WAY_ANY:
        break;
    }
    return rule->from_count == 0 ? apply(scope, rule, scope->value) : run_from(scope, rule);
}

/* The rules among 64 that have something to do where FILLED holds something, in order. */
static enum hub_result run_some(struct map_scope *scope, const struct map_rule *const *items, const struct map_rule_bits *rules, uint64_t filled)
{
    uint64_t todo = rules->always;
    const uint64_t told = filled != UINT64_MAX ? rules->told : 0;
    for (uint64_t bits = filled & rules->reads; bits != 0; bits &= bits - 1)
        todo |= rules->by_bit[__builtin_ctzll(bits)];
    for (; todo != 0; todo &= todo - 1) {
        const int i = __builtin_ctzll(todo);
        if ((rules->needs[i] & ~filled) == 0)
            HUB_TRY(run_rule(scope, items[i], (told >> i & 1) == 0));
    }
    return HUB_OK;
}

enum hub_result map_run_rules(struct map_scope *scope, const struct map_rules *rules)
{
    if (scope->depth > MAP_DEPTH_MAX) {
        (void)hub_fail(scope->run->err, HUB_TOO_MANY, "data types nested too deep", NULL);
        return HUB_TOO_MANY;
    }
    uint64_t filled = UINT64_MAX;
    if (!scope->merging && rules->by_field) /* an empty line that is merged is a line too */
        filled = scope->seg->hl7->filled;
    else if (!scope->merging && scope->split != NULL)
        filled = scope->split->filled;
    for (unsigned from = 0; from < rules->count; from += 64)
        HUB_TRY(run_some(scope, rules->items + from, &rules->bits[from / 64], filled));
    return HUB_OK;
}
