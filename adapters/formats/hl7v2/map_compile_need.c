/* What can be known of rules and conditions before a message is there: which fields or parts a rule cannot do without,
 * and which conditions are the same for a whole message. */
#include "adapters/formats/hl7v2/map_compile.h"

#include <string.h>

/* --- what rules read --- */

/* Bit of the field or part that PATH reads, as the rules of a list count them; -1: none of those. */
static int bit_of(const struct map_compiler *c, const struct map_path *path)
{
    if (c->nested && path->segment == MAP_SELF)
        return path->component;
    if (c->nested || c->self == MAP_NONE || path->segment != c->self)
        return -1;
    return path->field < 64 ? path->field - 1 : 63;
}

static bool may_be_empty(const struct map_cond *cond)
{
    for (uint16_t i = 0; i < cond->value_count; i++) {
        if (cond->values[i].len == 0)
            return true;
    }
    return false;
}

/* What must be there for COND to hold. *ALL is cleared when that is not all of it. */
static uint64_t condition_needs(const struct map_compiler *c, const struct map_cond *cond, bool *all)
{
    if (cond->op == MAP_AND)
        return condition_needs(c, cond->left, all) | condition_needs(c, cond->right, all);
    if (cond->op == MAP_OR) {
        const uint64_t needs = condition_needs(c, cond->left, all) & condition_needs(c, cond->right, all);
        *all = false;
        return needs;
    }
    const bool asks = cond->op == MAP_VALUED || (cond->op == MAP_IN && !may_be_empty(cond));
    const int bit = asks ? bit_of(c, &cond->path) : -1;
    if (cond->op != MAP_VALUED || bit < 0 || !c->nested || cond->path.subcomponent != 0)
        *all = false; /* of a field the bits do not tell "" from a value */
    return bit >= 0 ? UINT64_C(1) << bit : 0;
}

/* The bits of which one must be there for RULE to do anything; 0: it may in any case. */
static uint64_t reads_of(const struct map_compiler *c, const struct map_rule *rule)
{
    uint64_t bits = 0;
    if (rule->cases != NULL || rule->ref != NULL)
        return 0;
    for (uint16_t i = 0; i < rule->from_count; i++) {
        const int bit = bit_of(c, &rule->from[i]);
        if (bit < 0)
            return 0;
        bits |= UINT64_C(1) << bit;
    }
    return bits;
}

static void index_some(struct map_compiler *c, const struct map_rule *const *items, unsigned count, struct map_rule_bits *out)
{
    unsigned bits = 1; /* up to the highest that some rule reads: the tables of a message are to stay in the cache */
    for (unsigned i = 0; i < count; i++)
        out->reads |= reads_of(c, items[i]);
    while (bits < 64 && out->reads >> bits != 0)
        bits++;
    uint64_t *by_bit = map_zalloc(c, bits, sizeof *by_bit);
    uint64_t *needs = map_zalloc(c, count, sizeof *needs);
    for (unsigned i = 0; i < count && by_bit != NULL && needs != NULL; i++) {
        const uint64_t reads = reads_of(c, items[i]);
        out->always |= (uint64_t)(reads == 0) << i;
        for (unsigned bit = 0; bit < bits; bit++)
            by_bit[bit] |= (reads >> bit & 1) << i;
        bool all = items[i]->when != NULL;
        needs[i] = all ? condition_needs(c, items[i]->when, &all) : 0;
        out->told |= (uint64_t)all << i;
    }
    out->by_bit = by_bit;
    out->needs = needs;
}

void map_index_rules(struct map_compiler *c, struct map_rules *rules)
{
    struct map_rule_bits *bits = map_zalloc(c, rules->count / 64u + 1, sizeof *bits);
    for (unsigned i = 0; i < rules->count && bits != NULL; i += 64)
        index_some(c, rules->items + i, rules->count - i < 64 ? rules->count - i : 64, &bits[i / 64]);
    rules->by_field = !c->nested;
    rules->bits = bits;
    if (bits == NULL)
        rules->count = 0;
}

/* --- what a run finds out once --- */

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

void map_find_known(struct map_compiler *c, struct map_cond *cond)
{
    if (cond->op == MAP_IN || cond->op == MAP_LENGTH)
        cond->known = map_number_part(c, MAP_PART_WORD, &cond->path);
    if (!is_constant(cond)) {
        if (cond->left != NULL)
            map_find_known(c, cond->left);
        if (cond->right != NULL)
            map_find_known(c, cond->right);
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
