/* Reading values by path, and conditions on them (docs/MAPPING.md sections 3 and 6). */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

struct hub_span map_plain_of(const struct map_run *run, struct map_value raw)
{
    struct hub_span text = map_span(raw);
    if ((raw.marks & HUB_HL7_ESCAPES) != 0 && hub_hl7_text(run->arena, run->message, text, false, &text) != HUB_OK)
        return HUB_SPAN_NONE;
    return hub_span_trim(text);
}

struct map_value map_part_in(const struct hub_hl7 *message, struct map_value value, unsigned n)
{
    const uint8_t cut = map_delimiter(message, value);
    const uint8_t level = (uint8_t)(value.level < 3 ? value.level + 1 : 3);
    const uint8_t *p = value.ptr;
    size_t left = value.len;
    if (cut == 0)
        return n == 1 ? (struct map_value){p, value.len, level, value.marks} : map_no_value(level);
    while (--n > 0) {
        const size_t len = map_find_byte(p, left, cut);
        if (len == left)
            return map_no_value(level);
        p += len + 1;
        left -= len + 1;
    }
    return (struct map_value){p, (uint32_t)map_find_byte(p, left, cut), level, value.marks};
}

/* "" says nothing, and so holds nothing. */
static inline void add_part(struct map_split *split, const uint8_t *from, const uint8_t *to)
{
    const struct hub_span part = hub_span_of(from, (size_t)(to - from));
    const bool filled = !map_is_blank(part.ptr, part.len) && !hub_hl7_is_null(part);
    split->part[split->count++] = part;
    split->filled |= (uint64_t)filled << split->count;
}

/* High bits of the bytes of WORD that are CUT. */
static inline uint64_t cuts_in(uint64_t word, uint8_t cut)
{
    const uint64_t lows = UINT64_C(0x7f7f7f7f7f7f7f7f);
    word ^= UINT64_C(0x0101010101010101) * cut;
    return ~(((word & lows) + lows) | word | lows);
}

static const uint8_t *next_cut(const uint8_t *p, const uint8_t *end, uint8_t cut)
{
    while (p < end && *p != cut)
        p++;
    return p;
}

void map_split_value(const struct map_run *run, struct map_value value, struct map_split *split)
{
    const uint8_t cut = map_delimiter(run->message, value);
    const uint8_t *from = value.ptr;
    split->count = 0;
    split->filled = 0;
    if (value.len == 0) {
        add_part(split, NULL, NULL);
        return;
    }
    const uint8_t *end = value.ptr + value.len;
    const uint8_t *p = from;
    split->filled = !map_says_nothing(value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; cut != 0 && end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        for (uint64_t cuts = cuts_in(word, cut); cuts != 0 && split->count < MAP_PARTS_MAX; cuts &= cuts - 1) {
            const uint8_t *at = p + __builtin_ctzll(cuts) / 8;
            add_part(split, from, at);
            from = at + 1;
        }
    }
#endif
    while (cut != 0 && (p = next_cut(p, end, cut)) < end && split->count < MAP_PARTS_MAX) {
        add_part(split, from, p);
        from = ++p;
    }
    if (split->count < MAP_PARTS_MAX)
        add_part(split, from, end);
}

struct map_value map_read_self(const struct map_scope *scope, const struct map_path *path)
{
    struct map_value value = scope->value;
    if (value.len == 0)
        return value;
    if (path->component != 0 && scope->split != NULL)
        value = path->component <= scope->split->count ? map_split_part(scope, path->component) : map_no_value(1);
    else if (path->component != 0)
        value = map_part_in(scope->run->message, value, path->component);
    if (path->subcomponent != 0)
        value = map_part_in(scope->run->message, value, path->subcomponent);
    return map_says_nothing(value) ? map_no_value(1) : value;
}

/* The last repetition that is not empty. */
static struct hub_span last_repetition(const struct map_run *run, struct hub_span field)
{
    struct hub_span part = HUB_SPAN_NONE;
    struct hub_span last = HUB_SPAN_NONE;
    while (hub_hl7_cut(&field, run->message->delimiters.repetition, &part))
        last = part.len != 0 ? part : last;
    return last;
}

/* A field that has no repetitions by nature: MSH-1, MSH-2. */
static inline bool is_whole(const struct map_run *run, const struct map_path *path)
{
    return path->field <= 2 && path->segment == run->tables->msh;
}

void map_reader_init(struct map_reader *reader, const struct map_scope *scope, const struct map_path *path)
{
    reader->run = scope->run;
    reader->path = path;
    reader->at = 0;
    reader->single = path->segment == MAP_SELF;
    if (reader->single) {
        reader->self = map_read_self(scope, path);
        reader->done = reader->self.len == 0;
        return;
    }
    const struct map_seg *seg = map_segment_of(scope, path);
    reader->rest = seg != NULL ? hub_hl7_field(seg->hl7, path->field) : HUB_SPAN_NONE;
    reader->done = reader->rest.len == 0;
    if (reader->done)
        return;
    reader->marks = seg->hl7->marks;
    if (path->rep_from == MAP_REP_LAST) {
        reader->rest = last_repetition(scope->run, reader->rest);
        reader->done = reader->rest.len == 0;
    }
    if ((reader->marks & HUB_HL7_REPETITIONS) != 0 && !is_whole(scope->run, path))
        return;
    reader->single = true;
    const bool in_range = path->rep_from <= 1 || path->rep_from == MAP_REP_LAST || is_whole(scope->run, path);
    reader->self = map_named_part(scope->run->message, path, map_value_of(reader->rest, 1, reader->marks));
    reader->done = reader->done || !in_range || reader->self.len == 0;
}

/* As hub_hl7_cut, for short parts. */
static bool cut_repetition(struct hub_span *rest, uint8_t separator, struct hub_span *out)
{
    if (rest->ptr == NULL)
        return false;
    size_t len = separator != 0 ? map_find_byte(rest->ptr, rest->len, separator) : rest->len;
    *out = len != 0 ? hub_span_of(rest->ptr, len) : HUB_SPAN_NONE;
    *rest = len < rest->len ? hub_span_of(rest->ptr + len + 1, rest->len - len - 1) : HUB_SPAN_NONE;
    return true;
}

/* The next repetition in the path's range. */
static bool next_repetition(struct map_reader *reader, struct hub_span *out)
{
    const struct map_path *path = reader->path;
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
    if (reader->single) {
        const bool had = !reader->done;
        reader->done = true;
        if (had)
            *out = reader->self;
        return had;
    }
    while (!reader->done) {
        struct hub_span repetition = HUB_SPAN_NONE;
        if (!next_repetition(reader, &repetition))
            return false;
        struct map_value value = map_value_of(repetition, 1, reader->marks);
        if (map_says_nothing(value))
            continue;
        *out = map_named_part(reader->run->message, reader->path, value);
        if (out->len != 0)
            return true;
    }
    return false;
}

/* Where there are repetitions, or one of them is meant. */
static struct map_value read_repetition(const struct map_scope *scope, const struct map_path *path)
{
    struct map_reader reader;
    struct map_value value;
    map_reader_init(&reader, scope, path);
    return map_reader_next(&reader, &value) ? value : map_no_value(1);
}

struct map_value map_read_segment(const struct map_scope *scope, const struct map_path *path)
{
    const struct map_seg *seg = map_segment_of(scope, path);
    if (seg == NULL)
        return map_no_value(1);
    const uint8_t marks = seg->hl7->marks;
    if ((marks & HUB_HL7_REPETITIONS) != 0 || path->rep_from > 1)
        return read_repetition(scope, path);
    const struct map_value field = map_value_of(hub_hl7_field(seg->hl7, path->field), 1, marks);
    if (path->component != 0)
        return field.len != 0 ? map_named_part(scope->run->message, path, field) : field;
    return map_says_nothing(field) ? map_no_value(1) : field;
}

struct hub_span map_read_code(const struct map_scope *scope, const struct map_path *path)
{
    const struct map_value value = map_read(scope, path);
    return value.len != 0 ? map_first_plain(scope->run, value) : HUB_SPAN_NONE;
}

struct hub_span map_read_raw(const struct map_scope *scope, const struct map_path *path)
{
    if (path->segment == MAP_SELF)
        return map_span(scope->value);
    const struct map_seg *seg = map_segment_of(scope, path);
    return seg != NULL ? hub_hl7_field(seg->hl7, path->field) : HUB_SPAN_NONE;
}
