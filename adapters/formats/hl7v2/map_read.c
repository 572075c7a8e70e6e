/* Reading values by path, and conditions on them (docs/MAPPING.md sections 3 and 6). */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

static uint8_t delimiter(const struct map_run *run, uint8_t level)
{
    return level == 1 ? run->message->delimiters.component : level == 2 ? run->message->delimiters.subcomponent : 0;
}

struct map_value map_part_of(const struct map_run *run, struct map_value value, unsigned n)
{
    uint8_t cut = delimiter(run, value.level);
    struct map_value out = {HUB_SPAN_NONE, (uint8_t)(value.level < 3 ? value.level + 1 : 3)};
    if (cut == 0) {
        if (n == 1)
            out.span = value.span;
        return out;
    }
    struct hub_span rest = value.span;
    const uint8_t *end = NULL;
    while (--n > 0) {
        end = rest.len != 0 ? memchr(rest.ptr, cut, rest.len) : NULL;
        if (end == NULL)
            return out;
        rest.len -= (size_t)(end - rest.ptr) + 1;
        rest.ptr = end + 1;
    }
    end = rest.len != 0 ? memchr(rest.ptr, cut, rest.len) : NULL;
    out.span = hub_span_of(rest.ptr, end != NULL ? (size_t)(end - rest.ptr) : rest.len);
    return out;
}

struct hub_span map_first_part(const struct map_run *run, struct map_value value)
{
    while (value.level < 3)
        value = map_part_of(run, value, 1);
    return value.span;
}

struct hub_span map_plain(const struct map_run *run, struct hub_span raw)
{
    struct hub_span text = raw;
    if (hub_hl7_text(run->arena, run->message, raw, false, &text) != HUB_OK)
        return HUB_SPAN_NONE;
    return hub_span_trim(text);
}

uint8_t map_split_count(const struct map_run *run, struct map_value value, struct map_split *split)
{
    uint8_t cut = delimiter(run, value.level);
    if (split->done)
        return split->count;
    struct hub_span rest = value.span;
    split->done = true;
    split->count = 0;
    while (split->count < MAP_PARTS_MAX) {
        const uint8_t *end = rest.len != 0 && cut != 0 ? memchr(rest.ptr, cut, rest.len) : NULL;
        split->part[split->count++] = hub_span_of(rest.ptr, end != NULL ? (size_t)(end - rest.ptr) : rest.len);
        if (end == NULL)
            break;
        rest.len -= (size_t)(end - rest.ptr) + 1;
        rest.ptr = end + 1;
    }
    return split->count;
}

/* A part of the present value through the cut kept in the scope. */
static struct map_value own_part(const struct map_run *run, struct map_value value, struct map_split *split, unsigned n)
{
    if (split == NULL)
        return map_part_of(run, value, n);
    struct map_value out = {HUB_SPAN_NONE, (uint8_t)(value.level < 3 ? value.level + 1 : 3)};
    if (n <= map_split_count(run, value, split))
        out.span = split->part[n - 1];
    return out;
}

void map_reader_init(struct map_reader *reader, const struct map_scope *scope, const struct map_path *path)
{
    memset(reader, 0, sizeof *reader);
    reader->run = scope->run;
    reader->path = path;
    if (path->segment == MAP_SELF) {
        reader->on_self = true;
        reader->self = scope->value;
        reader->split = scope->split;
        return;
    }
    struct map_seg *seg = path->segment == scope->seg->name ? scope->seg : map_reach(scope->run, scope->seg, path->segment);
    if (seg == NULL) {
        reader->done = true;
        return;
    }
    reader->rest = hub_hl7_field(seg->hl7, path->field);
    reader->whole = path->field <= 2 && path->segment == scope->run->tables->msh;
    reader->done = reader->rest.len == 0;
    if (path->rep_from == MAP_REP_LAST && !reader->done) {
        struct hub_span part = HUB_SPAN_NONE;
        struct hub_span last = HUB_SPAN_NONE;
        while (hub_hl7_cut(&reader->rest, scope->run->message->delimiters.repetition, &part))
            last = part.len != 0 ? part : last;
        reader->rest = last;
        reader->done = last.len == 0;
    }
}

/* The next repetition in the path's range. */
static bool next_repetition(struct map_reader *reader, struct hub_span *out)
{
    const struct map_path *path = reader->path;
    if (reader->whole) {
        reader->done = true;
        *out = reader->rest;
        return true;
    }
    while (hub_hl7_cut(&reader->rest, reader->run->message->delimiters.repetition, out)) {
        reader->at++;
        if (path->rep_from == 0 || path->rep_from == MAP_REP_LAST)
            return true;
        if (reader->at < path->rep_from)
            continue;
        if (path->rep_to == 0 || reader->at <= path->rep_to)
            return true;
        break;
    }
    reader->done = true;
    return false;
}

bool map_reader_next(struct map_reader *reader, struct map_value *out)
{
    const struct map_path *path = reader->path;
    while (!reader->done) {
        struct map_value value = reader->self;
        if (reader->on_self) {
            reader->done = true;
            if (path->component != 0)
                value = own_part(reader->run, value, reader->split, path->component);
        } else {
            value.level = 1;
            if (!next_repetition(reader, &value.span))
                return false;
            if (path->component != 0 && !hub_hl7_is_null(value.span))
                value = map_part_of(reader->run, value, path->component);
        }
        if (path->subcomponent != 0)
            value = map_part_of(reader->run, value, path->subcomponent);
        if (value.span.len != 0 && !hub_hl7_is_null(value.span)) {
            *out = value;
            return true;
        }
    }
    return false;
}

bool map_read(const struct map_scope *scope, const struct map_path *path, struct map_value *out)
{
    struct map_reader reader;
    map_reader_init(&reader, scope, path);
    return map_reader_next(&reader, out);
}

struct hub_span map_read_code(const struct map_scope *scope, const struct map_path *path)
{
    struct map_value value;
    return map_read(scope, path, &value) ? map_plain(scope->run, map_first_part(scope->run, value)) : HUB_SPAN_NONE;
}

struct hub_span map_read_raw(const struct map_scope *scope, const struct map_path *path)
{
    if (path->segment == MAP_SELF)
        return scope->value.span;
    struct map_seg *seg = map_reach(scope->run, scope->seg, path->segment);
    return seg != NULL ? hub_hl7_field(seg->hl7, path->field) : HUB_SPAN_NONE;
}

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
        if (hub_span_equal(text, cond->values[i]))
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

static bool feed_takes_pid18(const struct map_run *run)
{
    return run->options->feed != NULL && run->options->feed->visit_from_pid18;
}

bool map_cond_true(const struct map_scope *scope, const struct map_cond *cond)
{
    const struct map_run *run = scope->run;
    struct map_value value;
    switch (cond->op) {
    case MAP_AND:
        return map_cond_true(scope, cond->left) && map_cond_true(scope, cond->right);
    case MAP_OR:
        return map_cond_true(scope, cond->left) || map_cond_true(scope, cond->right);
    case MAP_NOT:
        return !map_cond_true(scope, cond->left);
    case MAP_VALUED:
        return map_read(scope, &cond->path, &value);
    case MAP_EMPTY:
        return !map_read(scope, &cond->path, &value);
    case MAP_DELETED:
        return hub_hl7_is_null(map_read_raw(scope, &cond->path));
    case MAP_IN:
        return is_one_of(cond, map_read_code(scope, &cond->path));
    case MAP_TRIGGER_IN:
        return is_one_of(cond, run->trigger);
    case MAP_TYPE_IN:
        return is_one_of(cond, run->type);
    case MAP_VERSION:
        return run->version != 0 && compare(cond->compare, run->version, cond->number);
    case MAP_COUNT:
        return compare(cond->compare, count_values(scope, &cond->path), cond->number);
    case MAP_LENGTH:
        return compare(cond->compare, (uint32_t)map_read_code(scope, &cond->path).len, cond->number);
    case MAP_PRESENT:
        return map_reach(run, scope->seg, cond->segment) != NULL;
    case MAP_SET:
        return scope->element != NULL && hub_element_get(scope->element, &cond->element) != NULL;
    case MAP_PID18:
        return feed_takes_pid18(run);
    case MAP_LENIENT:
        return run->options->lenient;
    }
    return false;
}

int map_choose(const struct map_scope *scope, const struct map_choices *choices)
{
    for (uint16_t i = 0; i < choices->count; i++) {
        if (choices->items[i].when == NULL || map_cond_true(scope, choices->items[i].when))
            return choices->items[i].use;
    }
    return 0;
}
