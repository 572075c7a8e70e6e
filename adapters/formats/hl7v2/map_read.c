/* Reading values by path, and conditions on them (docs/MAPPING.md sections 3 and 6). */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

static uint8_t delimiter(const struct map_run *run, uint8_t level)
{
    return level == 1 ? run->message->delimiters.component : level == 2 ? run->message->delimiters.subcomponent : 0;
}

/* Parts are short: a loop finds their end sooner than a call would. */
static inline size_t find_byte(const uint8_t *p, size_t len, uint8_t c)
{
    enum { SHORT = 24 };
    size_t near = len < SHORT ? len : SHORT;
    for (size_t i = 0; i < near; i++) {
        if (p[i] == c)
            return i;
    }
    const uint8_t *end = near < len ? memchr(p + near, c, len - near) : NULL;
    return end != NULL ? (size_t)(end - p) : len;
}

static inline struct map_value part_of(const struct map_run *run, struct map_value value, unsigned n)
{
    uint8_t cut = delimiter(run, value.level);
    struct map_value out = {HUB_SPAN_NONE, (uint8_t)(value.level < 3 ? value.level + 1 : 3)};
    if (cut == 0) {
        if (n == 1)
            out.span = value.span;
        return out;
    }
    const uint8_t *p = value.span.ptr;
    size_t left = value.span.len;
    while (--n > 0) {
        size_t len = find_byte(p, left, cut);
        if (len == left)
            return out;
        p += len + 1;
        left -= len + 1;
    }
    out.span = hub_span_of(p, find_byte(p, left, cut));
    return out;
}

struct map_value map_part_of(const struct map_run *run, struct map_value value, unsigned n)
{
    return part_of(run, value, n);
}

struct hub_span map_first_part(const struct map_run *run, struct map_value value)
{
    while (value.level < 3)
        value = part_of(run, value, 1);
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
    const uint8_t *p = value.span.ptr;
    size_t left = value.span.len;
    split->done = true;
    split->count = 0;
    while (split->count < MAP_PARTS_MAX) {
        size_t len = cut != 0 ? find_byte(p, left, cut) : left;
        split->part[split->count++] = hub_span_of(p, len);
        if (len == left)
            break;
        p += len + 1;
        left -= len + 1;
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

/* The present value or the part of it that PATH names. */
static inline bool read_self(const struct map_scope *scope, const struct map_path *path, struct map_value *out)
{
    struct map_value value = scope->value;
    if (value.span.len == 0)
        return false;
    if (path->component != 0)
        value = own_part(scope->run, value, scope->split, path->component);
    if (path->subcomponent != 0)
        value = part_of(scope->run, value, path->subcomponent);
    *out = value;
    return value.span.len != 0 && !hub_hl7_is_null(value.span);
}

void map_reader_init(struct map_reader *reader, const struct map_scope *scope, const struct map_path *path)
{
    reader->run = scope->run;
    reader->path = path;
    reader->rest = HUB_SPAN_NONE;
    reader->at = 0;
    reader->whole = false;
    reader->on_self = path->segment == MAP_SELF;
    if (reader->on_self) {
        reader->done = !read_self(scope, path, &reader->self);
        return;
    }
    struct map_seg *seg = path->segment == scope->seg->name ? scope->seg : map_reach(scope->run, scope->seg, path->segment);
    if (seg == NULL) {
        reader->done = true;
        return;
    }
    reader->rest = hub_hl7_field(seg->hl7, path->field);
    reader->done = reader->rest.len == 0;
    if (reader->done)
        return;
    reader->whole = path->field <= 2 && path->segment == scope->run->tables->msh;
    if (path->rep_from == MAP_REP_LAST) {
        struct hub_span part = HUB_SPAN_NONE;
        struct hub_span last = HUB_SPAN_NONE;
        while (hub_hl7_cut(&reader->rest, scope->run->message->delimiters.repetition, &part))
            last = part.len != 0 ? part : last;
        reader->rest = last;
        reader->done = last.len == 0;
    }
}

/* As hub_hl7_cut, for short parts. */
static bool cut_repetition(struct hub_span *rest, uint8_t separator, struct hub_span *out)
{
    if (rest->ptr == NULL)
        return false;
    size_t len = separator != 0 ? find_byte(rest->ptr, rest->len, separator) : rest->len;
    *out = len != 0 ? hub_span_of(rest->ptr, len) : HUB_SPAN_NONE;
    *rest = len < rest->len ? hub_span_of(rest->ptr + len + 1, rest->len - len - 1) : HUB_SPAN_NONE;
    return true;
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
    while (cut_repetition(&reader->rest, reader->run->message->delimiters.repetition, out)) {
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
    if (reader->on_self) {
        bool had = !reader->done;
        if (had)
            *out = reader->self;
        reader->done = true;
        return had;
    }
    while (!reader->done) {
        struct map_value value = {HUB_SPAN_NONE, 1};
        if (!next_repetition(reader, &value.span))
            return false;
        if (value.span.len == 0 || hub_hl7_is_null(value.span))
            continue;
        if (path->component != 0)
            value = part_of(reader->run, value, path->component);
        if (path->subcomponent != 0)
            value = part_of(reader->run, value, path->subcomponent);
        if (value.span.len != 0 && !hub_hl7_is_null(value.span)) {
            *out = value;
            return true;
        }
    }
    return false;
}

bool map_read(const struct map_scope *scope, const struct map_path *path, struct map_value *out)
{
    if (path->segment == MAP_SELF)
        return read_self(scope, path, out);
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
