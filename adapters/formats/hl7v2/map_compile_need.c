/* What can be known of rules and conditions before a message is there: which fields or parts a rule cannot do without,
 * and which conditions are the same for a whole message. */
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

/* --- needs --- */

static const struct map_need nothing = {0, UINT64_C(1) << MAP_PART_ALWAYS, 0, 0};

/* The bit of what PATH reads into *FIELDS or *PARTS; false when it reads another segment. */
static bool add_path(const struct map_compiler *c, const struct map_path *path, uint64_t *fields, uint64_t *parts)
{
    if (path->segment == MAP_SELF) {
        *parts |= UINT64_C(1) << (path->component != 0 ? path->component - 1 : MAP_PART_VALUED);
        return true;
    }
    if (c->self == MAP_NONE || path->segment != c->self)
        return false;
    *fields |= UINT64_C(1) << (path->field < 64 ? path->field - 1 : 63);
    return true;
}

static bool may_be_empty(const struct map_cond *cond)
{
    for (uint16_t i = 0; i < cond->value_count; i++) {
        if (cond->values[i].len == 0)
            return true;
    }
    return false;
}

/* What must be there for COND to hold. */
static void add_condition(const struct map_compiler *c, const struct map_cond *cond, struct map_need *need)
{
    if (cond->op == MAP_AND) {
        add_condition(c, cond->left, need);
        add_condition(c, cond->right, need);
    } else if (cond->op == MAP_OR) {
        struct map_need left = nothing;
        struct map_need right = nothing;
        add_condition(c, cond->left, &left);
        add_condition(c, cond->right, &right);
        need->all_fields |= left.all_fields & right.all_fields;
        need->all_parts |= left.all_parts & right.all_parts;
    } else if (cond->op == MAP_VALUED || (cond->op == MAP_IN && !may_be_empty(cond))) {
        (void)add_path(c, &cond->path, &need->all_fields, &need->all_parts);
    }
}

static struct map_need need_of(const struct map_compiler *c, const struct map_rule *rule)
{
    struct map_need need = {0};
    bool reads = rule->from_count != 0 && rule->cases == NULL && rule->ref == NULL;
    for (uint16_t i = 0; i < rule->from_count && reads; i++)
        reads = add_path(c, &rule->from[i], &need.any_fields, &need.any_parts);
    if (!reads)
        need = nothing;
    if (rule->when != NULL)
        add_condition(c, rule->when, &need);
    return need;
}

void map_compile_needs(struct map_compiler *c, struct map_rules *rules)
{
    struct map_need *needs = map_zalloc(c, rules->count, sizeof *needs);
    for (uint16_t i = 0; i < rules->count && needs != NULL; i++)
        needs[i] = need_of(c, rules->items[i]);
    rules->needs = needs;
    if (needs == NULL)
        rules->count = 0;
}

/* --- constants --- */

static bool is_constant(const struct map_cond *cond)
{
    switch (cond->op) {
    case MAP_AND:
    case MAP_OR:
        return is_constant(cond->left) && is_constant(cond->right);
    case MAP_NOT:
        return is_constant(cond->left);
    case MAP_TRIGGER_IN:
    case MAP_TYPE_IN:
    case MAP_VERSION:
    case MAP_PID18:
    case MAP_LENIENT:
        return true;
    case MAP_VALUED:
    case MAP_EMPTY:
    case MAP_DELETED:
    case MAP_IN:
    case MAP_COUNT:
    case MAP_LENGTH:
    case MAP_PRESENT:
    case MAP_SET:
        return false;
    }
    return false;
}

static bool equal(const struct map_cond *a, const struct map_cond *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->op != b->op || a->value_count != b->value_count || a->compare != b->compare || a->number != b->number)
        return false;
    for (uint16_t i = 0; i < a->value_count; i++) {
        if (!hub_span_equal(a->values[i], b->values[i]))
            return false;
    }
    return equal(a->left, b->left) && equal(a->right, b->right);
}

void map_find_constants(struct map_compiler *c, struct map_cond *cond)
{
    if (!is_constant(cond)) {
        if (cond->left != NULL)
            map_find_constants(c, cond->left);
        if (cond->right != NULL)
            map_find_constants(c, cond->right);
        return;
    }
    uint16_t *count = &c->tables->constant_count;
    for (uint16_t i = 0; i < *count && cond->constant == 0; i++) {
        if (equal(c->constants[i], cond))
            cond->constant = (uint16_t)(i + 1);
    }
    if (cond->constant == 0 && *count < MAP_CONSTANTS_MAX) { /* past that it is asked each time */
        c->constants[*count] = cond;
        cond->constant = ++*count;
    }
}
