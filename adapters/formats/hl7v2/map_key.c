/* Business keys (docs/MAPPING.md section 7): parts in canonical form, never stored, only hashed. */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

enum { KEY_PARTS_MAX = 32, KEY_DEPTH_MAX = 6 };

struct key_builder {
    struct map_run *run;
    struct map_scope scope;
    struct hub_span parts[KEY_PARTS_MAX];
    uint16_t count;
    bool with_subject;
};

/* Lower case (ASCII), one space between words. */
static struct hub_span normalised(struct map_run *run, struct hub_span text)
{
    char *out = hub_arena_bytes(run->arena, text.len + 1);
    size_t n = 0;
    if (out == NULL)
        return HUB_SPAN_NONE;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
        if (!space)
            out[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        else if (n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    return hub_span_of(out, n);
}

static struct hub_span two(struct map_run *run, struct hub_span a, char between, struct hub_span b)
{
    char *out = hub_arena_bytes(run->arena, a.len + b.len + 1);
    if (out == NULL)
        return HUB_SPAN_NONE;
    if (a.len != 0)
        memcpy(out, a.ptr, a.len);
    out[a.len] = between;
    if (b.len != 0)
        memcpy(out + a.len + 1, b.ptr, b.len);
    return hub_span_of(out, a.len + b.len + 1);
}

static struct hub_span plain_part(struct map_run *run, struct map_value value, unsigned n)
{
    return map_first_plain(run, map_part_of(run, value, n));
}

/* First coding as code^system, the alternate one if there is none, else its text. */
static struct hub_span code_of(struct map_run *run, struct map_value value)
{
    for (unsigned first = 1; first <= 4; first += 3) {
        struct hub_span code = plain_part(run, value, first);
        if (code.len != 0)
            return two(run, code, '^', plain_part(run, value, first + 2));
    }
    struct hub_span text = plain_part(run, value, 9);
    text = normalised(run, text.len != 0 ? text : plain_part(run, value, 2));
    return text.len != 0 ? two(run, HUB_SPAN_NONE, '^', text) : HUB_SPAN_NONE;
}

/* A number with its authority: HD at component 4 of a CX, in 2 to 4 of an EI. INSTEAD stands where none is sent. */
static enum hub_result number_of(struct map_run *run, struct map_value value, bool is_cx, struct hub_span instead, struct hub_span *out)
{
    struct hub_authority_view authority;
    struct hub_span number = plain_part(run, value, 1);
    struct map_value hd = is_cx ? map_part_of(run, value, 4) : value;
    unsigned first = is_cx ? 1 : 2;
    bool none = plain_part(run, hd, first).len == 0 && plain_part(run, hd, first + 1).len == 0;
    *out = HUB_SPAN_NONE;
    if (number.len == 0)
        return HUB_OK;
    if (none && instead.len != 0) {
        *out = two(run, instead, '|', number);
    } else {
        HUB_TRY(map_authority(run, hd, !is_cx, &authority));
        *out = two(run, authority.system, '|', number);
    }
    return out->ptr != NULL ? HUB_OK : HUB_NO_MEMORY;
}

static struct hub_span time_of(struct map_run *run, struct map_value value)
{
    struct hub_when when;
    if (!map_time_when(run, map_first_plain(run, value), &when))
        return HUB_SPAN_NONE;
    return hub_arena_decimal(run->arena, when.us);
}

/* An EI or a CX by its shape: a CX has its authority in the fourth component. */
static bool looks_like_cx(struct map_run *run, struct map_value value)
{
    return plain_part(run, value, 2).len == 0 && map_part_of(run, value, 4).len != 0;
}

static enum hub_result of_value(struct map_run *run, const struct map_part *part, struct map_value value, struct hub_span *out)
{
    struct hub_authority_view authority;
    switch (part->kind) {
    case MAP_PART_VALUE:
        *out = map_plain(run, value);
        return HUB_OK;
    case MAP_PART_TEXT:
        *out = normalised(run, map_plain(run, value));
        return HUB_OK;
    case MAP_PART_CODE:
        *out = code_of(run, value);
        return HUB_OK;
    case MAP_PART_ORDER:
        return number_of(run, value, false, run->application_urn, out);
    case MAP_PART_VISIT:
        return number_of(run, value, true, run->facility_urn, out);
    case MAP_PART_ID:
        return number_of(run, value, looks_like_cx(run, value), HUB_SPAN_NONE, out);
    case MAP_PART_AUTHORITY:
        HUB_TRY(map_authority(run, value, false, &authority));
        *out = authority.system;
        return HUB_OK;
    case MAP_PART_TIME:
        *out = time_of(run, value);
        return HUB_OK;
    case MAP_PART_SUBJECT:
    case MAP_PART_FACILITY:
    case MAP_PART_APPLICATION:
    case MAP_PART_LITERAL:
    case MAP_PART_ORDINAL:
    case MAP_PART_KEY:
    case MAP_PART_WORD:
        break;
    }
    return HUB_OK;
}

static enum hub_result read_part(const struct map_scope *scope, const struct map_part *part, struct hub_span *out)
{
    const struct map_value value = map_read(scope, &part->path);
    *out = HUB_SPAN_NONE;
    return value.len != 0 ? of_value(scope->run, part, value, out) : HUB_OK;
}

/* Many keys of a message say the same order, visit and time: their parts are made once for each segment. */
static enum hub_result known_part(const struct map_scope *scope, const struct map_part *part, struct hub_span *out)
{
    const struct map_seg *seg = map_reach(scope->run, scope->seg, part->path.segment);
    struct map_known_part *known = &scope->run->parts[part->known];
    *out = HUB_SPAN_NONE;
    if (seg == NULL)
        return HUB_OK;
    if (known->seg != seg) {
        HUB_TRY(read_part(scope, part, &known->text));
        known->seg = seg;
    }
    *out = known->text;
    return HUB_OK;
}

static enum hub_result part_text(const struct map_scope *scope, const struct map_part *part, struct hub_span *out)
{
    const struct map_run *run = scope->run;
    *out = HUB_SPAN_NONE;
    if (part->kind == MAP_PART_FACILITY)
        *out = run->facility_urn;
    else if (part->kind == MAP_PART_APPLICATION)
        *out = run->application_urn;
    else if (part->kind == MAP_PART_LITERAL)
        *out = part->literal;
    else if (part->known != 0)
        return known_part(scope, part, out);
    else if (part->kind != MAP_PART_ORDINAL && part->kind != MAP_PART_SUBJECT && part->kind != MAP_PART_KEY)
        return read_part(scope, part, out);
    return HUB_OK;
}

static struct map_scope reach_of(struct map_run *run, struct map_seg *seg)
{
    struct map_scope scope = {.run = run, .seg = seg};
    return scope;
}

enum hub_result map_part_text(struct map_run *run, struct map_seg *seg, const struct map_part *part, struct hub_span *out)
{
    struct map_scope scope = reach_of(run, seg);
    return part_text(&scope, part, out);
}

static enum hub_result add_key(struct key_builder *b, const struct map_key *key, unsigned depth, bool *complete);

static enum hub_result add_parts(struct key_builder *b, const struct map_parts *parts, unsigned depth, bool *complete)
{
    *complete = true;
    for (uint16_t i = 0; i < parts->count && *complete; i++) {
        const struct map_part *part = &parts->items[i];
        struct hub_span text = HUB_SPAN_NONE;
        if (part->kind == MAP_PART_SUBJECT) {
            b->with_subject = true;
            continue;
        }
        if (part->kind == MAP_PART_KEY) {
            HUB_TRY(add_key(b, part->key, depth + 1, complete));
            *complete = *complete || part->optional;
            continue;
        }
        HUB_TRY(part_text(&b->scope, part, &text));
        if (b->count == KEY_PARTS_MAX || (text.len == 0 && !part->optional))
            *complete = false;
        else
            b->parts[b->count++] = text;
    }
    return HUB_OK;
}

static enum hub_result add_key(struct key_builder *b, const struct map_key *key, unsigned depth, bool *complete)
{
    uint16_t count = b->count;
    bool with_subject = b->with_subject;
    *complete = false;
    for (uint16_t i = 0; i < key->count && depth < KEY_DEPTH_MAX; i++) {
        const struct map_alternative *alternative = &key->items[i];
        b->count = count;
        b->with_subject = with_subject;
        if (alternative->when != NULL && !map_cond_true(&b->scope, alternative->when))
            continue;
        HUB_TRY(add_parts(b, &alternative->parts, depth, complete));
        if (*complete)
            return HUB_OK;
    }
    b->count = count;
    b->with_subject = with_subject;
    return HUB_OK;
}

/* The parts are not cleared: `count` says which are there. */
static void builder_init(struct key_builder *b, struct map_run *run, struct map_seg *seg)
{
    b->run = run;
    b->scope = reach_of(run, seg);
    b->count = 0;
    b->with_subject = false;
}

enum hub_result map_key_of(struct map_run *run, struct map_seg *seg, const struct map_key *key, struct hub_fact_key *out)
{
    struct key_builder b;
    bool complete = false;
    memset(out, 0, sizeof *out);
    if (key->count == 0)
        return HUB_OK;
    builder_init(&b, run, seg);
    HUB_TRY(add_key(&b, key, 0, &complete));
    if (!complete || b.count == 0)
        return HUB_OK;
    struct hub_span *parts = HUB_ARENA_ARRAY(run->arena, struct hub_span, (size_t)b.count);
    HUB_ENSURE(parts != NULL, HUB_NO_MEMORY);
    memcpy(parts, b.parts, b.count * sizeof *parts);
    out->with_subject = b.with_subject;
    out->parts = parts;
    out->part_count = b.count;
    return HUB_OK;
}

enum hub_result map_parts_text(struct map_run *run, struct map_seg *seg, const struct map_parts *parts, struct hub_span *out)
{
    struct key_builder b;
    bool complete = false;
    size_t len = 0;
    *out = HUB_SPAN_NONE;
    builder_init(&b, run, seg);
    HUB_TRY(add_parts(&b, parts, 0, &complete));
    if (!complete)
        return HUB_OK;
    for (uint16_t i = 0; i < b.count; i++)
        len += b.parts[i].len + 1;
    char *text = hub_arena_bytes(run->arena, len + 1);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    size_t n = 0;
    for (uint16_t i = 0; i < b.count; i++) {
        if (b.parts[i].len != 0)
            memcpy(text + n, b.parts[i].ptr, b.parts[i].len);
        n += b.parts[i].len;
        text[n++] = '\x1f';
    }
    *out = hub_span_of(text, n);
    return HUB_OK;
}
