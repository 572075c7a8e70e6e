/* Conditions on the message (docs/MAPPING.md section 6). Those on its type, trigger, version and feed are asked once. */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

static bool compare(enum map_compare how, uint32_t a, uint32_t b)
{
    switch (how) {
    case MAP_EQ:
        return a == b;
    case MAP_NE:
        return a != b;
    case MAP_LT:
        return a < b;
    case MAP_LE:
        return a <= b;
    case MAP_GT:
        return a > b;
    case MAP_GE:
        return a >= b;
    }
    return false;
}

static bool is_one_of(const struct map_cond *cond, struct hub_span text)
{
    for (uint16_t i = 0; i < cond->value_count; i++) {
        const struct hub_span value = cond->values[i];
        if (value.len != text.len || (text.len != 0 && value.ptr[text.len - 1] != text.ptr[text.len - 1]))
            continue; /* triggers differ in their last character */
        if (hub_span_equal(text, value))
            return true;
    }
    return false;
}

static uint32_t count_values(const struct map_scope *scope, const struct map_path *path)
{
    struct map_reader reader;
    struct map_value value;
    uint32_t count = 0;
    map_reader_init(&reader, scope, path);
    while (map_reader_next(&reader, &value))
        count++;
    return count;
}

/* The code that COND asks for, read once for each segment. */
static struct hub_span code_at(const struct map_scope *scope, const struct map_cond *cond)
{
    if (cond->known == 0)
        return map_read_code(scope, &cond->path);
    const struct map_seg *seg = map_segment_of(scope, &cond->path);
    struct map_known_part *known = &scope->run->parts[cond->known];
    if (seg == NULL)
        return HUB_SPAN_NONE;
    if (known->seg != seg) {
        known->text = map_read_code(scope, &cond->path);
        known->seg = seg;
    }
    return known->text;
}

static bool is_set(const struct hub_json *object, const struct hub_element *element)
{
    if (element->count == 1 && element->steps[0].kind == HUB_STEP_MEMBER)
        return hub_json_member(object, element->steps[0].name) != NULL;
    return object != NULL && hub_element_get(object, element) != NULL;
}

static bool feed_takes_pid18(const struct map_run *run)
{
    return run->options->feed != NULL && run->options->feed->visit_from_pid18;
}

/* `a and b and c` leans to the left, as `a or b or c` does: down to the first, then up again. */
static bool ask_all(const struct map_scope *scope, const struct map_cond *cond)
{
    enum { LINKS_MAX = 16 };
    const struct map_cond *links[LINKS_MAX];
    const enum map_cond_op op = cond->op;
    unsigned count = 0;
    do {
        links[count++] = cond->right;
        cond = cond->left;
    } while (cond->op == op && cond->constant == 0 && count < LINKS_MAX);
    bool holds = map_cond_true(scope, cond);
    while (count > 0 && holds == (op == MAP_AND))
        holds = map_cond_true(scope, links[--count]);
    return holds;
}

static bool ask(const struct map_scope *scope, const struct map_cond *cond)
{
    const struct map_run *run = scope->run;
    switch (cond->op) {
    case MAP_AND:
    case MAP_OR:
        return ask_all(scope, cond);
    case MAP_NOT:
        return !map_cond_true(scope, cond->left);
    case MAP_VALUED:
        return map_read(scope, &cond->path).len != 0;
    case MAP_EMPTY:
        return map_read(scope, &cond->path).len == 0;
    case MAP_DELETED:
        return hub_hl7_is_null(map_read_raw(scope, &cond->path));
    case MAP_IN:
        return is_one_of(cond, code_at(scope, cond));
    case MAP_TRIGGER_IN:
        return is_one_of(cond, run->trigger);
    case MAP_TYPE_IN:
        return is_one_of(cond, run->type);
    case MAP_VERSION:
        return run->version != 0 && compare(cond->compare, run->version, cond->number);
    case MAP_COUNT:
        return compare(cond->compare, count_values(scope, &cond->path), cond->number);
    case MAP_LENGTH:
        return compare(cond->compare, (uint32_t)code_at(scope, cond).len, cond->number);
    case MAP_PRESENT:
        return map_reach(run, scope->seg, cond->segment) != NULL;
    case MAP_SET:
        return is_set(scope->element, &cond->element);
    case MAP_PID18:
        return feed_takes_pid18(run);
    case MAP_LENIENT:
        return run->options->lenient;
    }
    return false;
}

bool map_cond_ask(const struct map_scope *scope, const struct map_cond *cond)
{
    const bool holds = ask(scope, cond);
    if (cond->constant != 0)
        scope->run->constants[cond->constant] = holds ? MAP_HOLDS : MAP_FAILS;
    return holds;
}

int map_choose(const struct map_scope *scope, const struct map_choices *choices)
{
    for (uint16_t i = 0; i < choices->count; i++) {
        if (choices->items[i].when == NULL || map_cond_true(scope, choices->items[i].when))
            return choices->items[i].use;
    }
    return 0;
}
