#include "adapters/formats/hl7v2/hl7.h"

enum { ENCODING_CHARACTERS_MAX = 5, ID_LEN = 3, IDS_MAX = 36 * 36 * 36 + 1 };

/* How often each segment id was seen: open addressing over packed ids, sized so that it never fills. */
struct seen {
    uint32_t id; /* 0 = free */
    uint32_t count;
};
struct tally {
    struct seen *slots;
    uint32_t mask;
};

struct reader {
    struct hub_hl7 *message;
    uint32_t *field_at; /* next free */
    uint32_t segments_cap;
    struct tally tally;
};

static bool is_terminator(uint8_t c)
{
    return c == '\r' || c == '\n';
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 0x20) : c;
}

/* ASCII punctuation. Blanks stand inside values, and control characters would break the framing of an answer. */
static bool can_delimit(uint8_t c)
{
    return c > ' ' && c < 0x7f && !is_alnum(c);
}

static bool is_header(const char *id)
{
    return memcmp(id, "MSH", 4) == 0 || memcmp(id, "FHS", 4) == 0 || memcmp(id, "BHS", 4) == 0;
}

/* Where the text begins: after a byte order mark, blank lines and framing left over in files. */
static size_t skip_preamble(struct hub_span bytes)
{
    size_t at = bytes.len >= 3 && memcmp(bytes.ptr, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < bytes.len && bytes.ptr[at] <= ' ')
        at++;
    return at;
}

static enum hub_result bad_header(struct hub_error *err, const char *what, const char *mend, const char *id,
                                  const char *field)
{
    (void)hub_fail(err, HUB_SYNTAX, what, mend);
    (void)hub_error_at(err, "%s%s", id, field);
    return HUB_SYNTAX;
}

/* MSH-2 without adjacent doubles; what is left must be distinct. Returns the count, 0 when refused. */
static size_t collapse(struct hub_span characters, uint8_t field, uint8_t out[ENCODING_CHARACTERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < characters.len; i++) {
        uint8_t c = characters.ptr[i];
        if (count > 0 && out[count - 1] == c)
            continue;
        if (count == ENCODING_CHARACTERS_MAX || !can_delimit(c) || c == field)
            return 0;
        for (size_t k = 0; k < count; k++)
            if (out[k] == c)
                return 0;
        out[count++] = c;
    }
    return count;
}

/* 2.5.4: component, repetition, escape, subcomponent, truncation (2.7 on). */
static bool set_delimiters(struct hub_span characters, uint8_t field, struct hub_hl7_delimiters *out)
{
    uint8_t c[ENCODING_CHARACTERS_MAX] = {0};
    size_t count = collapse(characters, field, c);
    *out = (struct hub_hl7_delimiters){field, c[0], c[1], c[2], c[3], c[4]};
    if (count == 3 && c[2] == '&') {
        out->escape = 0;
        out->subcomponent = '&';
    }
    return count > 0;
}

static enum hub_result read_header(struct hub_span text, bool envelope, struct hub_hl7_delimiters *out,
                                   struct hub_error *err)
{
    char id[ID_LEN + 1] = "";
    for (size_t i = 0; i < ID_LEN && i < text.len; i++)
        id[i] = (char)upper(text.ptr[i]);
    if (!is_header(id) || (!envelope && id[0] != 'M'))
        return bad_header(err, "the first segment is not MSH", "send HL7 v2 in its vertical bar form", "MSH", "");
    if (text.len == ID_LEN || !can_delimit(text.ptr[ID_LEN]))
        return bad_header(err, "no field separator", "put one ASCII punctuation character after the segment id", id, "-1");
    uint8_t field = text.ptr[ID_LEN];
    size_t end = ID_LEN + 1;
    while (end < text.len && text.ptr[end] != field && !is_terminator(text.ptr[end]))
        end++;
    if (!set_delimiters(hub_span_of(text.ptr + ID_LEN + 1, end - ID_LEN - 1), field, out))
        return bad_header(err, "the encoding characters are not one to five distinct ASCII punctuation characters",
                          "send ^~\\&", id, "-2");
    return HUB_OK;
}

enum hub_result hub_hl7_delimiters(struct hub_span head, struct hub_hl7_delimiters *out, struct hub_error *err)
{
    *out = (struct hub_hl7_delimiters){.field = 0};
    enum hub_result result = read_header(head, true, out, err);
    if (result != HUB_OK)
        *out = (struct hub_hl7_delimiters){.field = 0};
    return result;
}

/* Sixteen bytes at a time; the compiler makes vector instructions of them. */
typedef uint8_t block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

static inline block block_at(const uint8_t *p)
{
    block b;
    memcpy(&b, p, sizeof b);
    return b;
}

static inline block ends_in(block b)
{
    return (block)(b == '\r') | (block)(b == '\n');
}

/* COUNTS holds bytes, each up to 255. */
static size_t sum_of(block counts)
{
    const uint64_t low = UINT64_C(0x00ff00ff00ff00ff);
    halves h = (halves)counts;
    uint64_t pairs = (h[0] & low) + (h[0] >> 8 & low) + (h[1] & low) + (h[1] >> 8 & low);
    return (size_t)(pairs * UINT64_C(0x0001000100010001) >> 48);
}

/* Lines that hold something, and separators. */
static void count_parts(struct hub_span text, uint8_t separator, size_t *lines, size_t *separators)
{
    enum { STRETCH = 255 * sizeof(block) };
    size_t i = 1; /* a line begins behind a terminator, or at the start */
    size_t begun = text.len != 0 && !is_terminator(text.ptr[0]);
    size_t found = text.len != 0 && text.ptr[0] == separator;
    while (i + sizeof(block) <= text.len) {
        block begins = {0};
        block separates = {0};
        const size_t to = text.len - i < STRETCH ? text.len : i + STRETCH;
        for (; i + sizeof(block) <= to; i += sizeof(block)) {
            const block b = block_at(text.ptr + i);
            begins -= ends_in(block_at(text.ptr + i - 1)) & ~ends_in(b);
            separates -= (block)(b == separator);
        }
        begun += sum_of(begins);
        found += sum_of(separates);
    }
    for (; i < text.len; i++) {
        begun += is_terminator(text.ptr[i - 1]) && !is_terminator(text.ptr[i]);
        found += text.ptr[i] == separator;
    }
    *lines = begun;
    *separators = found;
}

static uint8_t marks_of_byte(const struct hub_hl7_delimiters *d, uint8_t c)
{
    return (uint8_t)((c == d->escape && c != 0 ? HUB_HL7_ESCAPES : 0) | (c == d->repetition && c != 0 ? HUB_HL7_REPETITIONS : 0) |
                     (c == d->subcomponent && c != 0 ? HUB_HL7_SUBCOMPONENTS : 0) | (c < ' ' ? HUB_HL7_CONTROLS : 0));
}

struct found {
    block escapes, repetitions, subcomponents, controls;
};

static inline void look_at(const struct hub_hl7_delimiters *d, block b, struct found *found)
{
    found->escapes |= (block)(b == d->escape);
    found->repetitions |= (block)(b == d->repetition);
    found->subcomponents |= (block)(b == d->subcomponent);
    found->controls |= (block)(b < ' ');
}

/* HUB_HL7_ESCAPES and its like in these bytes. */
static uint8_t marks_of(const struct hub_hl7_delimiters *d, const uint8_t *p, size_t len)
{
    struct found found = {{0}, {0}, {0}, {0}};
    uint8_t marks = 0;
    if (len < sizeof(block)) {
        for (size_t i = 0; i < len; i++)
            marks |= marks_of_byte(d, p[i]);
        return marks;
    }
    for (size_t i = 0; i + sizeof(block) < len; i += sizeof(block))
        look_at(d, block_at(p + i), &found);
    look_at(d, block_at(p + len - sizeof(block)), &found); /* the last sixteen, some of them again */
    const halves all = (halves)((found.escapes & HUB_HL7_ESCAPES) | (found.repetitions & HUB_HL7_REPETITIONS) |
                                (found.subcomponents & HUB_HL7_SUBCOMPONENTS) | (found.controls & HUB_HL7_CONTROLS));
    for (uint64_t both = all[0] | all[1]; both != 0; both >>= 8)
        marks |= (uint8_t)both;
    return marks;
}

/* A cap that is too small for this message is the message's fault (it must be answered, or its sender would
 * repeat it for ever), a heap without memory is not. */
static void *take(struct hub_arena *arena, size_t size, struct hub_error *err, enum hub_result *result)
{
    void *out = hub_arena_alloc(arena, size);
    if (out != NULL)
        return out;
    size_t held = arena->used + (size_t)(arena->end - arena->pos);
    bool capped = held > arena->bytes_max || arena->bytes_max - held < size;
    *result = hub_fail(err, capped ? HUB_TOO_LARGE : HUB_NO_MEMORY, NULL, NULL);
    return NULL;
}

static enum hub_result reader_init(struct reader *reader, struct hub_arena *arena, struct hub_span text,
                                   uint32_t segments_max, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    size_t lines;
    size_t separators;
    count_parts(text, reader->message->delimiters.field, &lines, &separators);
    reader->segments_cap = lines < segments_max ? (uint32_t)lines : segments_max;
    uint32_t slots = 64;
    while (slots < 2 * (size_t)reader->segments_cap && slots < 2 * IDS_MAX)
        slots *= 2;
    reader->tally.mask = slots - 1;
    /* n separators make n + 1 bounds, in a header segment n + 2 */
    size_t bounds = separators + 2 * (size_t)reader->segments_cap;
    reader->message->segments = take(arena, reader->segments_cap * sizeof *reader->message->segments, err, &result);
    HUB_TRY(result);
    reader->field_at = take(arena, bounds * sizeof *reader->field_at, err, &result);
    HUB_TRY(result);
    reader->tally.slots = take(arena, slots * sizeof *reader->tally.slots, err, &result);
    if (result == HUB_OK)
        memset(reader->tally.slots, 0, slots * sizeof *reader->tally.slots);
    return result;
}

static uint32_t tally_add(struct tally *tally, const char id[ID_LEN + 1])
{
    uint32_t packed = 0x01000000u | (uint32_t)(uint8_t)id[0] << 16 | (uint32_t)(uint8_t)id[1] << 8 | (uint8_t)id[2];
    uint32_t at = (packed * 2654435761u) >> 7 & tally->mask;
    while (tally->slots[at].id != 0 && tally->slots[at].id != packed)
        at = (at + 1) & tally->mask;
    tally->slots[at].id = packed;
    return ++tally->slots[at].count;
}

static void read_id(struct hub_span line, uint8_t separator, char id[ID_LEN + 1])
{
    id[0] = '\0';
    if (line.len < ID_LEN || (line.len > ID_LEN && line.ptr[ID_LEN] != separator))
        return;
    for (size_t i = 0; i < ID_LEN; i++)
        if (!is_alnum(line.ptr[i]))
            return;
    for (size_t i = 0; i < ID_LEN; i++)
        id[i] = (char)upper(line.ptr[i]);
    id[ID_LEN] = '\0';
}

static inline uint64_t field_bit(uint32_t n)
{
    return UINT64_C(1) << (n < 64 ? n - 1 : 63);
}

/* What is known of a line's fields so far. */
struct bounds {
    uint32_t *at;
    uint32_t count;
    uint32_t from; /* where the present field begins; of the first one: the id */
    uint64_t filled;
};

static inline void add_bound(struct bounds *b, size_t end)
{
    if (b->count != 0 && end != b->from)
        b->filled |= field_bit(b->count);
    b->from = (uint32_t)end + 1;
    b->at[b->count++] = b->from;
}

/* Where the fields begin, and behind the last one where another would. */
static void read_bounds(struct hub_span line, uint8_t separator, struct bounds *b)
{
    size_t i = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t lows = UINT64_C(0x7f7f7f7f7f7f7f7f);
    for (; i + 8 <= line.len; i += 8) {
        uint64_t word;
        memcpy(&word, line.ptr + i, sizeof word);
        word ^= UINT64_C(0x0101010101010101) * separator;
        for (uint64_t hits = ~(((word & lows) + lows) | word | lows); hits != 0; hits &= hits - 1)
            add_bound(b, i + (size_t)__builtin_ctzll(hits) / 8);
    }
#endif
    for (; i < line.len; i++) {
        if (line.ptr[i] == separator)
            add_bound(b, i);
    }
    add_bound(b, line.len);
    b->count--;
}

/* LINE is not blank and holds no terminator. */
static void read_segment(struct reader *reader, struct hub_span line)
{
    struct hub_hl7 *message = reader->message;
    struct hub_hl7_segment *segment = &message->segments[message->segment_count++];
    struct bounds bounds = {.at = reader->field_at};
    size_t values_at = 0;
    *segment = (struct hub_hl7_segment){.bytes = line, .number = (uint32_t)message->segment_count, .field_at = bounds.at};
    read_id(line, message->delimiters.field, segment->id);
    segment->occurrence = tally_add(&reader->tally, segment->id);
    const bool header = is_header(segment->id) && line.len > ID_LEN;
    if (header)
        bounds.at[bounds.count++] = ID_LEN + 1; /* field 1 is the separator itself, and nothing stands behind it */
    read_bounds(line, message->delimiters.field, &bounds);
    segment->field_count = bounds.count;
    segment->filled = bounds.filled | header;
    if (header)
        values_at = bounds.count > 2 ? bounds.at[2] : line.len;
    segment->marks = marks_of(&message->delimiters, line.ptr + values_at, line.len - values_at);
    reader->field_at += segment->field_count + 1;
}

static bool is_blank(struct hub_span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] > ' ')
            return false;
    return true;
}

/* The next CR and LF, each looked for only when passed: a text of bare LF must not be searched to its end for
 * a CR at every line. */
struct line_ends {
    size_t cr, lf;
};

static size_t find(struct hub_span text, size_t at, int c)
{
    const uint8_t *found = at < text.len ? memchr(text.ptr + at, c, text.len - at) : NULL;
    return found != NULL ? (size_t)(found - text.ptr) : text.len;
}

static size_t line_end(struct hub_span text, size_t at, struct line_ends *ends)
{
    if (ends->cr < at)
        ends->cr = find(text, at, '\r');
    if (ends->lf < at)
        ends->lf = find(text, at, '\n');
    return ends->cr < ends->lf ? ends->cr : ends->lf;
}

static enum hub_result read_segments(struct reader *reader, struct hub_span text, struct hub_error *err)
{
    struct line_ends ends = {find(text, 0, '\r'), find(text, 0, '\n')};
    for (size_t at = 0; at < text.len;) {
        size_t end = line_end(text, at, &ends);
        struct hub_span line = hub_span_of(text.ptr + at, end - at);
        at = end + 1;
        if (is_blank(line))
            continue;
        if (reader->message->segment_count == reader->segments_cap) {
            char id[ID_LEN + 1];
            read_id(line, reader->message->delimiters.field, id);
            (void)hub_fail(err, HUB_TOO_MANY, "more segments than limits.segments", "send it in several messages, or raise the limit");
            if (id[0] != '\0')
                (void)hub_error_at(err, "%s", id);
            hub_error_number(err, reader->segments_cap);
            return HUB_TOO_MANY;
        }
        read_segment(reader, line);
    }
    return HUB_OK;
}

enum hub_result hub_hl7_parse(struct hub_arena *arena, struct hub_span bytes, uint32_t segments_max, bool envelope,
                              struct hub_hl7 *out, struct hub_error *err)
{
    struct reader reader = {.message = out};
    enum hub_result result;
    *out = (struct hub_hl7){.bytes = bytes};
    size_t preamble = skip_preamble(bytes);
    struct hub_span text = preamble < bytes.len ? hub_span_of(bytes.ptr + preamble, bytes.len - preamble) : HUB_SPAN_NONE;
    if (bytes.len >= UINT32_MAX)
        HUB_TRY_OUT(hub_fail(err, HUB_TOO_LARGE, NULL, NULL));
    HUB_TRY_OUT(read_header(text, envelope, &out->delimiters, err));
    HUB_TRY_OUT(reader_init(&reader, arena, text, segments_max, err));
    HUB_TRY_OUT(read_segments(&reader, text, err));
out:
    if (result != HUB_OK)
        *out = (struct hub_hl7){.bytes = HUB_SPAN_NONE};
    return result;
}

void hub_hl7_serialise(const struct hub_hl7 *message, struct hub_buf *out)
{
    const uint8_t *written = message->bytes.ptr;
    for (size_t i = 0; i < message->segment_count; i++) {
        const struct hub_hl7_segment *segment = &message->segments[i];
        /* what stands between segments: terminators, blank lines, a byte order mark */
        hub_buf_append(out, written, (size_t)(segment->bytes.ptr - written));
        uint32_t first = is_header(segment->id) && segment->field_count > 0 ? 2 : 1;
        size_t name_len = segment->field_count < first ? segment->field_at[segment->field_count] : segment->field_at[first - 1];
        hub_buf_append(out, segment->bytes.ptr, name_len - 1);
        for (uint32_t n = first; n <= segment->field_count; n++) {
            hub_buf_append_byte(out, message->delimiters.field);
            hub_buf_append_span(out, hub_hl7_field(segment, n));
        }
        written = segment->bytes.ptr + segment->bytes.len;
    }
    if (message->bytes.len != 0)
        hub_buf_append(out, written, (size_t)(message->bytes.ptr + message->bytes.len - written));
}

static struct hub_span part_of(const uint8_t *ptr, size_t len)
{
    return len != 0 ? hub_span_of(ptr, len) : HUB_SPAN_NONE;
}

bool hub_hl7_cut(struct hub_span *rest, uint8_t delimiter, struct hub_span *part)
{
    if (rest->ptr == NULL)
        return false;
    const uint8_t *end = delimiter != 0 && rest->len != 0 ? memchr(rest->ptr, delimiter, rest->len) : NULL;
    if (end == NULL) {
        *part = part_of(rest->ptr, rest->len);
        *rest = HUB_SPAN_NONE;
        return true;
    }
    size_t len = (size_t)(end - rest->ptr);
    *part = part_of(rest->ptr, len);
    *rest = hub_span_of(end + 1, rest->len - len - 1);
    return true;
}

static uint32_t parts(struct hub_span value, uint8_t delimiter)
{
    uint32_t count = 0;
    struct hub_span part;
    struct hub_span rest = part_of(value.ptr, value.len);
    while (hub_hl7_cut(&rest, delimiter, &part))
        count++;
    return count;
}

/* 0-based */
static struct hub_span part_at(struct hub_span value, uint8_t delimiter, uint32_t index)
{
    struct hub_span part;
    struct hub_span rest = part_of(value.ptr, value.len);
    while (hub_hl7_cut(&rest, delimiter, &part))
        if (index-- == 0)
            return part;
    return HUB_SPAN_NONE;
}

uint32_t hub_hl7_repetitions(const struct hub_hl7 *message, struct hub_span field)
{
    return parts(field, message->delimiters.repetition);
}

struct hub_span hub_hl7_repetition(const struct hub_hl7 *message, struct hub_span field, uint32_t r)
{
    return part_at(field, message->delimiters.repetition, r);
}

struct hub_span hub_hl7_component(const struct hub_hl7 *message, struct hub_span repetition, uint32_t n)
{
    return n == 0 ? HUB_SPAN_NONE : part_at(repetition, message->delimiters.component, n - 1);
}

struct hub_span hub_hl7_subcomponent(const struct hub_hl7 *message, struct hub_span component, uint32_t n)
{
    return n == 0 ? HUB_SPAN_NONE : part_at(component, message->delimiters.subcomponent, n - 1);
}

uint32_t hub_hl7_component_count(const struct hub_hl7 *message, struct hub_span repetition)
{
    return parts(repetition, message->delimiters.component);
}

uint32_t hub_hl7_subcomponent_count(const struct hub_hl7 *message, struct hub_span component)
{
    return parts(component, message->delimiters.subcomponent);
}
