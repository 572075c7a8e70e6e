/* The original message without its large values: a program that builds its bytes from pieces of its own and
 * pieces of the event's Binaries (docs/FORMATS.md, large values). What it says is exact by construction: a
 * piece is only taken from a Binary where the bytes are equal. */
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

enum op { OP_SOURCE = 1, OP_LITERAL = 2, OP_COPY = 3, OP_LINES = 4, OP_SKIP = 5 };

enum {
    SOURCES_MAX = 0xffff,
    ANCHOR_LEN = 24, /* bytes that find a value in the message */
    ANCHOR_TRIES = 16,
    ANCHOR_PLACES = 64,
    SEARCH_EVERY = 16, /* bytes of the message for one short search */
    SEARCHES_BASE = 100000,
    IN_VAIN = 8, /* times the message */
    ANCHOR_STEP = 97, /* one that holds an escape or a character of two bytes is not found */
};

/* --- writing --- */

/* What the search may cost, whatever a sender wrote; what is not found for want of it stays in the message. */
struct budget {
    size_t searches; /* of a short piece in a window */
    size_t bytes;    /* compared in vain */
};

struct source {
    struct hub_span text;
    size_t at, len; /* in the message, where ANCHOR of text was found, and how far it goes there */
    size_t anchor;
    uint32_t ordinal;
    bool encoded;
};

struct writer {
    struct budget *budget;
    struct hub_buf *out;
    struct hub_span raw;
    size_t done; /* of raw */
    /* the last copy and what stood behind it, while they repeat (a value in lines of equal length) */
    size_t lines, line_len;
    struct hub_span between;
};

static void put_number(struct hub_buf *out, uint64_t number)
{
    while (number >= 0x80) {
        hub_buf_append_byte(out, (uint8_t)(number | 0x80));
        number >>= 7;
    }
    hub_buf_append_byte(out, (uint8_t)number);
}

static void put_op(struct hub_buf *out, enum op op, uint64_t number)
{
    hub_buf_append_byte(out, (uint8_t)op);
    put_number(out, number);
}

static void flush_lines(struct writer *w)
{
    if (w->lines == 0)
        return;
    if (w->lines > 1) {
        put_op(w->out, OP_LINES, w->lines);
        put_number(w->out, w->line_len);
        put_number(w->out, w->between.len);
        hub_buf_append_span(w->out, w->between);
    } else {
        if (w->line_len != 0)
            put_op(w->out, OP_COPY, w->line_len);
        if (w->between.len != 0) {
            put_op(w->out, OP_LITERAL, w->between.len);
            hub_buf_append_span(w->out, w->between);
        }
    }
    w->lines = 0;
}

static void put_literal(struct writer *w, size_t len)
{
    flush_lines(w);
    if (len != 0) {
        put_op(w->out, OP_LITERAL, len);
        hub_buf_append(w->out, w->raw.ptr + w->done, len);
    }
    w->done += len;
}

/* COPY bytes of the source, then LEN of the message. */
static void put_line(struct writer *w, size_t copy, size_t len)
{
    const struct hub_span between = hub_span_of(w->raw.ptr + w->done + copy, len);
    if (w->lines != 0 && w->line_len == copy && hub_span_equal(w->between, between)) {
        w->lines++;
    } else {
        flush_lines(w);
        w->lines = 1;
        w->line_len = copy;
        w->between = between;
    }
    w->done += copy + len;
}

static size_t common_len(struct hub_span a, struct hub_span b)
{
    enum { STEP = 64 };
    const size_t most = a.len < b.len ? a.len : b.len;
    size_t n = 0;
    while (most - n >= STEP && memcmp(a.ptr + n, b.ptr + n, STEP) == 0)
        n += STEP;
    while (n < most && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

static struct hub_span rest_of(struct hub_span s, size_t from)
{
    return from < s.len ? hub_span_of(s.ptr + from, s.len - from) : HUB_SPAN_NONE;
}

static bool find(struct hub_span in, struct hub_span what, size_t window, size_t *at)
{
    const size_t len = in.len < window ? in.len : window;
    const uint8_t *found = what.len != 0 && what.len <= len ? memmem(in.ptr, len, what.ptr, what.len) : NULL;
    *at = found != NULL ? (size_t)(found - in.ptr) : 0;
    return found != NULL;
}

/* Where message and value run together again: SKIP bytes further in the value and LEN in the message. A line
 * break of the value is an escape sequence or a segment there, a character of two bytes is one. */
static bool resync(struct budget *budget, struct hub_span raw, struct hub_span text, size_t *skip, size_t *len)
{
    static const struct {
        size_t near, window, skip_max, skip_step;
    } ways[] = {{16, 512, 8, 1}, {5, 64, 8, 1}, {16, 4096, 512, 32}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        for (*skip = 0; *skip <= ways[i].skip_max && *skip < text.len; *skip += ways[i].skip_step) {
            struct hub_span next = rest_of(text, *skip);
            next.len = next.len < ways[i].near ? next.len : ways[i].near;
            if (budget->searches == 0)
                return false;
            budget->searches--;
            if (find(raw, next, ways[i].window, len))
                return true;
        }
    }
    return false;
}

/* One step of a value along the message: COPY bytes are equal, then SKIP of the value stand as LEN of the
 * message. False: no further one. */
struct step {
    size_t copy, skip, len;
};

static bool next_step(struct budget *budget, struct hub_span raw, struct hub_span text, struct step *out)
{
    *out = (struct step){.copy = common_len(raw, text)};
    return out->copy < text.len && resync(budget, rest_of(raw, out->copy), rest_of(text, out->copy), &out->skip, &out->len);
}

static void write_source(struct writer *w, const struct source *s, uint32_t index)
{
    size_t at = s->anchor;
    struct step step;
    bool more = true;
    put_literal(w, s->at - w->done);
    put_op(w->out, OP_SOURCE, index);
    put_number(w->out, at);
    while (more) {
        more = next_step(w->budget, rest_of(w->raw, w->done), rest_of(s->text, at), &step);
        put_line(w, step.copy, more ? step.len : 0);
        if (more && step.skip != 0) {
            flush_lines(w);
            put_op(w->out, OP_SKIP, step.skip);
        }
        at += step.copy + step.skip;
    }
    flush_lines(w);
}

/* How much of TEXT is found along RAW from its start, and *LEN of RAW that takes. */
static size_t measure(struct budget *budget, struct hub_span raw, struct hub_span text, size_t *len)
{
    size_t matched = 0;
    struct step step;
    bool more = true;
    *len = 0;
    while (more) {
        more = next_step(budget, raw, text, &step);
        matched += step.copy;
        *len += step.copy + (more ? step.len : 0);
        raw = rest_of(raw, step.copy + (more ? step.len : 0));
        text = rest_of(text, step.copy + step.skip);
    }
    return matched;
}

/* Behind FROM. Values of one maker begin alike: the place is where most of the value follows. */
static bool locate_from(struct budget *budget, struct hub_span raw, size_t from, struct source *s)
{
    for (unsigned i = 0; i < ANCHOR_TRIES; i++) {
        const size_t anchor = (size_t)ANCHOR_STEP * i;
        size_t at = from, found = 0;
        if (anchor + ANCHOR_LEN > s->text.len)
            return false;
        const struct hub_span what = hub_span_of(s->text.ptr + anchor, ANCHOR_LEN), rest = rest_of(s->text, anchor);
        for (unsigned k = 0; k < ANCHOR_PLACES && budget->bytes != 0; k++) {
            const bool there = find(rest_of(raw, at), what, SIZE_MAX, &found);
            at += found;
            if (there && measure(budget, rest_of(raw, at), rest, &s->len) >= rest.len / 2) {
                s->at = at;
                s->anchor = anchor;
                return true;
            }
            const size_t cost = there ? found + s->len : raw.len - at;
            budget->bytes -= cost < budget->bytes ? cost : budget->bytes;
            if (!there)
                break;
            at++;
        }
    }
    return false;
}

static bool is_free(const struct source *others, uint32_t count, const struct source *s)
{
    for (uint32_t i = 0; i < count; i++) {
        if (s->at < others[i].at + others[i].len && others[i].at < s->at + s->len)
            return false;
    }
    return true;
}

static bool is_text(struct hub_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] < ' ' || bytes.ptr[i] > '~')
            return false;
    }
    return true;
}

/* A value that was sent as it is (ED-4 A): its bytes stand in the message, not their base64. Told by a few of them, for
 * few are texts. */
static bool stands_plain(struct budget *budget, struct hub_span raw, struct hub_span base64)
{
    enum { TRIES = 4, STEP = 128, DIGITS = ANCHOR_LEN / 3 * 4 };
    for (size_t i = 0; i < TRIES && budget->bytes != 0 && i * STEP + DIGITS < base64.len; i++) {
        uint8_t bytes[ANCHOR_LEN];
        size_t len = 0, at = 0;
        if (hub_decode(HUB_BASE64, hub_span_of(base64.ptr + i * STEP, DIGITS), bytes, sizeof bytes, &len) != HUB_OK ||
            !is_text(hub_span_of(bytes, len)))
            continue;
        const bool there = find(raw, hub_span_of(bytes, len), SIZE_MAX, &at);
        const size_t cost = there ? at : raw.len;
        budget->bytes -= cost < budget->bytes ? cost : budget->bytes;
        if (there)
            return true;
    }
    return false;
}

static bool locate(struct budget *budget, struct hub_span raw, size_t from, struct source *s)
{
    return locate_from(budget, raw, from, s) || (from != 0 && locate_from(budget, raw, 0, s));
}

static bool locate_plain(struct hub_arena *arena, struct budget *budget, struct hub_span raw, size_t from,
                         struct source *s)
{
    struct source plain = *s;
    if (!s->encoded || !stands_plain(budget, raw, s->text))
        return false;
    uint8_t *bytes = (uint8_t *)hub_arena_bytes(arena, s->text.len);
    if (bytes == NULL || hub_decode(HUB_BASE64, s->text, bytes, s->text.len, &plain.text.len) != HUB_OK)
        return false;
    plain.text.ptr = bytes;
    plain.encoded = false;
    if (!locate(budget, raw, from, &plain))
        return false;
    *s = plain;
    return true;
}

/* Values mostly come in the order of the message: each is looked for behind the one before it, then everywhere. */
static uint32_t locate_all(const struct hub_prepared *p, struct budget *budget, struct hub_span raw, struct source *out)
{
    uint32_t count = 0;
    size_t from = 0;
    for (uint32_t i = 0; i < p->large_count && count < SOURCES_MAX; i++) {
        if (p->large[i].shared)
            continue;
        struct source s = {.text = p->large[i].text, .ordinal = p->large[i].binary, .encoded = p->large[i].encoded};
        if (!locate_plain(p->arena, budget, raw, from, &s) && !locate(budget, raw, from, &s))
            continue;
        if (!is_free(out, count, &s))
            continue; /* it stays in the message */
        from = s.at + s.len;
        uint32_t at = count++;
        for (; at > 0 && out[at - 1].at > s.at; at--)
            out[at] = out[at - 1];
        out[at] = s;
    }
    return count;
}

static void put_le32(struct hub_buf *out, uint32_t number)
{
    uint8_t bytes[4];
    hub_le32(bytes, number);
    hub_buf_append(out, bytes, sizeof bytes);
}

enum hub_result hub_refer_write(const struct hub_prepared *p, const struct hub_event *event, struct hub_buf *out)
{
    struct source *sources = HUB_ARENA_ARRAY(p->arena, struct source, (size_t)p->large_count + 1);
    HUB_ENSURE(sources != NULL, HUB_NO_MEMORY);
    struct budget budget = {event->raw.len / SEARCH_EVERY + SEARCHES_BASE, event->raw.len * IN_VAIN};
    const uint32_t count = locate_all(p, &budget, event->raw, sources);
    HUB_ENSURE(count != 0 && event->raw.len <= UINT32_MAX, HUB_NOT_FOUND);
    hub_buf_append_byte(out, 'R');
    put_le32(out, (uint32_t)event->raw_positions.len);
    hub_buf_append_span(out, event->raw_positions);
    put_le32(out, (uint32_t)event->raw.len);
    put_le32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        put_le32(out, sources[i].ordinal);
        hub_buf_append_byte(out, sources[i].encoded);
    }
    struct writer w = {.budget = &budget, .out = out, .raw = event->raw};
    for (uint32_t i = 0; i < count; i++)
        write_source(&w, &sources[i], i);
    put_literal(&w, event->raw.len - w.done);
    HUB_TRY(hub_buf_result(out));
    return out->len < event->raw.len ? HUB_OK : HUB_NOT_FOUND;
}

/* --- reading --- */

struct reader {
    struct hub_span rest;
    hub_refer_source_fn source;
    void *ctx;
    struct hub_span list; /* of sources, 5 bytes each */
    uint32_t source_count;
    struct hub_span text; /* of the source at hand */
    uint8_t *out;
    size_t len, cap;
};

static bool take_bytes(struct reader *r, size_t len, struct hub_span *out)
{
    if (len > r->rest.len)
        return false;
    *out = hub_span_of(r->rest.ptr, len);
    r->rest = rest_of(r->rest, len);
    return true;
}

static bool take_le32(struct reader *r, uint32_t *out)
{
    struct hub_span b;
    if (!take_bytes(r, 4, &b))
        return false;
    *out = (uint32_t)hub_le_read(b.ptr, 4);
    return true;
}

static bool take_number(struct reader *r, size_t *out)
{
    uint64_t number = 0;
    struct hub_span b;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (!take_bytes(r, 1, &b))
            return false;
        number |= (uint64_t)(b.ptr[0] & 0x7f) << shift;
        if ((b.ptr[0] & 0x80) == 0) {
            *out = (size_t)number;
            return number <= UINT32_MAX;
        }
    }
    return false;
}

static bool add(struct reader *r, const uint8_t *bytes, size_t len)
{
    if (len > r->cap - r->len)
        return false;
    if (len != 0)
        memcpy(r->out + r->len, bytes, len);
    r->len += len;
    return true;
}

static bool copy(struct reader *r, size_t len)
{
    if (len > r->text.len || !add(r, r->text.ptr, len))
        return false;
    r->text = rest_of(r->text, len);
    return true;
}

static enum hub_result enter_source(struct reader *r, size_t index)
{
    size_t at = 0;
    HUB_ENSURE(index < r->source_count && take_number(r, &at), HUB_CORRUPT);
    const uint8_t *s = r->list.ptr + index * 5;
    HUB_ENSURE(s[4] <= 1, HUB_CORRUPT);
    HUB_TRY(r->source(r->ctx, (uint32_t)hub_le_read(s, 4), s[4] == 1, &r->text));
    HUB_ENSURE(at <= r->text.len, HUB_CORRUPT);
    r->text = rest_of(r->text, at);
    return HUB_OK;
}

static bool run_lines(struct reader *r, size_t count)
{
    size_t len = 0, between_len = 0;
    struct hub_span between;
    if (!take_number(r, &len) || !take_number(r, &between_len) || !take_bytes(r, between_len, &between) ||
        len + between_len == 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!copy(r, len) || !add(r, between.ptr, between.len))
            return false;
    }
    return true;
}

static enum hub_result run_op(struct reader *r)
{
    struct hub_span op, bytes;
    size_t number = 0;
    HUB_ENSURE(take_bytes(r, 1, &op) && take_number(r, &number), HUB_CORRUPT);
    switch (op.ptr[0]) {
    case OP_SOURCE:
        return enter_source(r, number);
    case OP_LITERAL:
        return take_bytes(r, number, &bytes) && add(r, bytes.ptr, bytes.len) ? HUB_OK : HUB_CORRUPT;
    case OP_COPY:
        return copy(r, number) ? HUB_OK : HUB_CORRUPT;
    case OP_LINES:
        return run_lines(r, number) ? HUB_OK : HUB_CORRUPT;
    case OP_SKIP:
        HUB_ENSURE(number <= r->text.len, HUB_CORRUPT);
        r->text = rest_of(r->text, number);
        return HUB_OK;
    default:
        return HUB_CORRUPT;
    }
}

enum hub_result hub_refer_restore(struct hub_arena *arena, struct hub_span content, hub_refer_source_fn source,
                                  void *ctx, struct hub_span *positions, struct hub_span *out)
{
    struct reader r = {.rest = content, .source = source, .ctx = ctx};
    uint32_t positions_len = 0, raw_len = 0;
    HUB_ENSURE(take_le32(&r, &positions_len) && take_bytes(&r, positions_len, positions), HUB_CORRUPT);
    HUB_ENSURE(take_le32(&r, &raw_len) && take_le32(&r, &r.source_count), HUB_CORRUPT);
    HUB_ENSURE(r.source_count <= SOURCES_MAX && take_bytes(&r, (size_t)r.source_count * 5, &r.list), HUB_CORRUPT);
    r.cap = raw_len;
    r.out = hub_arena_alloc(arena, r.cap + 1);
    HUB_ENSURE(r.out != NULL, HUB_NO_MEMORY);
    while (r.rest.len != 0)
        HUB_TRY(run_op(&r));
    HUB_ENSURE(r.len == r.cap, HUB_CORRUPT);
    *out = hub_span_of(r.out, r.len);
    return HUB_OK;
}
