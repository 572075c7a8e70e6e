#include "adapters/formats/hl7v2/hl7_batch.h"

#include "adapters/formats/hl7v2/hl7_charset.h"

enum { ID_LEN = 3, MARK_LEN = 3 };

/* --- cutting --- */

static bool is_break(uint8_t c)
{
    return c == '\r' || c == '\n';
}

static bool is_punctuation(uint8_t c)
{
    bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return c > ' ' && c < 0x7f && !alnum;
}

static struct hub_span from(struct hub_span bytes, size_t at)
{
    return at < bytes.len ? hub_span_of(bytes.ptr + at, bytes.len - at) : HUB_SPAN_NONE;
}

/* NUL is none: it may begin a message in UTF-16. */
static bool is_blank(uint8_t c)
{
    enum { END_OF_FILE = 0x1a };
    return is_break(c) || c == ' ' || c == '\t' || c == END_OF_FILE;
}

static struct hub_span skip_blank(struct hub_span bytes)
{
    size_t at = 0;
    while (at < bytes.len && is_blank(bytes.ptr[at]))
        at++;
    return from(bytes, at);
}

static struct hub_span skip_mark(struct hub_span bytes)
{
    bool marked = bytes.len > MARK_LEN && memcmp(bytes.ptr, "\xef\xbb\xbf", MARK_LEN) == 0;
    return marked ? from(bytes, MARK_LEN) : bytes;
}

static bool is_header(struct hub_span line, const char *id)
{
    if (line.len < ID_LEN)
        return false;
    uint8_t next = line.len > ID_LEN ? line.ptr[ID_LEN] : '\r';
    if (memcmp(line.ptr, id, ID_LEN) == 0)
        return is_break(next) || is_punctuation(next);
    /* in small letters it may be a word at the start of a wrapped line */
    return next == '|' && hub_span_equal_nocase(hub_span_of(line.ptr, ID_LEN), hub_span_of(id, ID_LEN));
}

/* HUB_HL7_END: a line like any other. */
static enum hub_hl7_piece header_of(struct hub_span line)
{
    static const struct {
        const char *id;
        enum hub_hl7_piece piece;
    } headers[] = {{"MSH", HUB_HL7_MESSAGE},
                   {"BHS", HUB_HL7_BHS},
                   {"FHS", HUB_HL7_FHS},
                   {"BTS", HUB_HL7_BTS},
                   {"FTS", HUB_HL7_FTS}};
    line = skip_mark(line);
    if (line.len < ID_LEN)
        return HUB_HL7_END;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (is_header(line, headers[i].id))
            return headers[i].piece;
    return HUB_HL7_END;
}

/* The next CR and LF, each looked for only when passed. */
struct breaks {
    size_t cr, lf;
};

static size_t find(struct hub_span bytes, size_t at, int c)
{
    const uint8_t *found = at < bytes.len ? memchr(bytes.ptr + at, c, bytes.len - at) : NULL;
    return found != NULL ? (size_t)(found - bytes.ptr) : bytes.len;
}

/* Offset of the line after the one at AT. */
static size_t next_line(struct hub_span bytes, size_t at, struct breaks *breaks)
{
    if (breaks->cr < at)
        breaks->cr = find(bytes, at, '\r');
    if (breaks->lf < at)
        breaks->lf = find(bytes, at, '\n');
    size_t end = breaks->cr < breaks->lf ? breaks->cr : breaks->lf;
    while (end < bytes.len && is_break(bytes.ptr[end]))
        end++;
    return end;
}

static size_t line_end(struct hub_span bytes)
{
    size_t end = 0;
    while (end < bytes.len && !is_break(bytes.ptr[end]))
        end++;
    return end;
}

enum hub_hl7_piece hub_hl7_cut_piece(struct hub_span *rest, struct hub_span *piece)
{
    struct hub_span bytes = skip_blank(*rest);
    *rest = *piece = HUB_SPAN_NONE;
    if (bytes.len == 0)
        return HUB_HL7_END;
    enum hub_hl7_piece kind = header_of(bytes);
    if (kind != HUB_HL7_MESSAGE && kind != HUB_HL7_END) {
        struct hub_span line = skip_mark(bytes);
        size_t len = line_end(line);
        *piece = hub_span_of(line.ptr, len);
        *rest = from(line, len);
        return kind;
    }
    struct breaks breaks = {find(bytes, 0, '\r'), find(bytes, 0, '\n')};
    size_t end = next_line(bytes, 0, &breaks);
    while (end < bytes.len && header_of(from(bytes, end)) == HUB_HL7_END)
        end = next_line(bytes, end, &breaks);
    *piece = hub_span_of(bytes.ptr, end);
    *rest = from(bytes, end);
    return HUB_HL7_MESSAGE;
}

bool hub_hl7_is_batch(struct hub_span bytes)
{
    struct hub_span text = skip_mark(skip_blank(bytes));
    if (text.len == 0 || *text.ptr == 'M')
        return false;
    enum hub_hl7_piece first = header_of(text);
    return first == HUB_HL7_FHS || first == HUB_HL7_BHS;
}

/* --- what belongs together --- */

struct splitter {
    struct hub_hl7_plan *plan; /* without arrays: counting only */
    struct hub_span *messages;
    size_t message_count, batch_count, file_count;
    bool in_file, in_batch;
};

static bool counting(const struct splitter *s)
{
    return s->messages == NULL;
}

static void set_fault(struct hub_error *fault, enum hub_result result, const char *what, const char *mend, const char *place)
{
    if (fault->result != HUB_OK)
        return; /* the first one is told */
    (void)hub_fail(fault, result, what, mend);
    (void)hub_error_at(fault, "%s", place);
}

static struct hub_hl7_file *open_file(struct splitter *s, struct hub_span head)
{
    struct hub_hl7_file *last = s->file_count != 0 && !counting(s) ? &s->plan->files[s->file_count - 1] : NULL;
    if (last != NULL && head.len != 0 && last->head.len != 0 && !last->ended)
        set_fault(&last->fault, HUB_SYNTAX, "a file header inside a file", "end each file with FTS", "FHS");
    s->in_file = true;
    s->in_batch = false;
    s->file_count++;
    if (counting(s))
        return NULL;
    struct hub_hl7_file *file = &s->plan->files[s->file_count - 1];
    *file = (struct hub_hl7_file){.head = head, .first = s->batch_count};
    return file;
}

static void check_header(struct hub_span head, struct hub_error *fault)
{
    struct hub_hl7_delimiters ignored;
    struct hub_error why = {0};
    if (head.len != 0 && hub_hl7_delimiters(head, &ignored, &why) != HUB_OK)
        set_fault(fault, why.result, why.what, why.mend, why.place);
}

static struct hub_hl7_batch *open_batch(struct splitter *s, struct hub_span head)
{
    if (!s->in_file)
        (void)open_file(s, HUB_SPAN_NONE);
    s->in_batch = true;
    s->batch_count++;
    if (counting(s))
        return NULL;
    s->plan->files[s->file_count - 1].count++;
    struct hub_hl7_batch *batch = &s->plan->batches[s->batch_count - 1];
    *batch = (struct hub_hl7_batch){.head = head, .first = s->message_count};
    check_header(head, &batch->fault);
    return batch;
}

/* The first field of a trailer, whose separator is the byte behind its id. */
static struct hub_span trailer_count(struct hub_span line)
{
    if (line.len <= ID_LEN)
        return HUB_SPAN_NONE;
    struct hub_span rest = from(line, ID_LEN + 1);
    struct hub_span field = HUB_SPAN_NONE;
    (void)hub_hl7_cut(&rest, line.ptr[ID_LEN], &field);
    return hub_span_trim(field);
}

static void check_count(struct hub_span line, size_t count, const char *what, const char *place, struct hub_error *fault)
{
    struct hub_span text = trailer_count(line);
    uint64_t said = 0;
    if (text.len == 0 || hub_hl7_is_null(text))
        return;
    if (!hub_span_parse_u64(text, &said)) {
        set_fault(fault, HUB_TYPE, "the count is no number", NULL, place);
    } else if (said != count && fault->result == HUB_OK) {
        set_fault(fault, HUB_SYNTAX, what, "send what is missing again", place);
        hub_error_number(fault, (int64_t)count);
    }
}

static void end_batch(struct splitter *s, struct hub_span line)
{
    if (!s->in_batch)
        (void)open_batch(s, HUB_SPAN_NONE);
    s->in_batch = false;
    if (counting(s))
        return;
    struct hub_hl7_batch *batch = &s->plan->batches[s->batch_count - 1];
    batch->ended = true;
    check_count(line, batch->count, "the batch does not hold as many messages as BTS-1 says", "BTS-1", &batch->fault);
}

static void end_file(struct splitter *s, struct hub_span line)
{
    if (!s->in_file)
        (void)open_file(s, HUB_SPAN_NONE);
    s->in_file = s->in_batch = false;
    if (counting(s))
        return;
    struct hub_hl7_file *file = &s->plan->files[s->file_count - 1];
    file->ended = true;
    check_count(line, file->count, "the file does not hold as many batches as FTS-1 says", "FTS-1", &file->fault);
}

/* The line ends of the last segment are its own, blank lines behind it are not. */
static struct hub_span trim_blank_lines(struct hub_span message)
{
    size_t len = message.len;
    while (len != 0 && message.ptr[len - 1] <= ' ')
        len--;
    size_t end = len;
    while (end < message.len && !is_break(message.ptr[end]))
        end++;
    if (end + 1 < message.len && message.ptr[end] == '\r' && message.ptr[end + 1] == '\n')
        end++;
    return hub_span_of(message.ptr, end < message.len ? end + 1 : message.len);
}

static void add_message(struct splitter *s, struct hub_span message)
{
    if (!s->in_batch)
        (void)open_batch(s, HUB_SPAN_NONE);
    s->message_count++;
    if (counting(s))
        return;
    s->messages[s->message_count - 1] = trim_blank_lines(message);
    s->plan->batches[s->batch_count - 1].count++;
    if (s->plan->sample.len == 0)
        s->plan->sample = hub_hl7_head(message);
}

static void split(struct splitter *s, struct hub_span bytes)
{
    struct hub_span piece;
    enum hub_hl7_piece kind;
    while ((kind = hub_hl7_cut_piece(&bytes, &piece)) != HUB_HL7_END) {
        switch (kind) {
        case HUB_HL7_FHS: {
            struct hub_hl7_file *file = open_file(s, piece);
            if (file != NULL)
                check_header(piece, &file->fault);
            break;
        }
        case HUB_HL7_BHS:
            (void)open_batch(s, piece);
            break;
        case HUB_HL7_BTS:
            end_batch(s, piece);
            break;
        case HUB_HL7_FTS:
            end_file(s, piece);
            break;
        case HUB_HL7_MESSAGE:
            add_message(s, piece);
            break;
        case HUB_HL7_END:
            break;
        }
    }
}

/* What the whole is called in the log: its first fault. */
static void first_fault(const struct hub_hl7_plan *plan, struct hub_error *out)
{
    for (size_t i = 0; i < plan->file_count && out->result == HUB_OK; i++)
        *out = plan->files[i].fault;
    for (size_t i = 0; i < plan->batch_count && out->result == HUB_OK; i++)
        *out = plan->batches[i].fault;
}

enum hub_result hub_hl7_split(struct hub_arena *arena, struct hub_span bytes, uint32_t messages_max,
                              struct hub_parts *out, struct hub_error *err)
{
    struct splitter count = {.plan = NULL};
    *out = (struct hub_parts){.count = 0};
    if (!hub_hl7_is_batch(bytes))
        return HUB_NOT_FOUND;
    split(&count, bytes);
    if (count.message_count > messages_max || count.batch_count > messages_max || count.file_count > messages_max) {
        (void)hub_fail(err, HUB_TOO_MANY, "more messages or batches than limits.batch_messages", "send them in several batches");
        hub_error_number(err, messages_max);
        return HUB_TOO_MANY;
    }
    struct hub_hl7_plan *plan = HUB_ARENA_NEW(arena, struct hub_hl7_plan);
    struct splitter s = {.plan = plan, .messages = HUB_ARENA_ARRAY(arena, struct hub_span, count.message_count + 1)};
    HUB_ENSURE(plan != NULL && s.messages != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    plan->batches = HUB_ARENA_ARRAY(arena, struct hub_hl7_batch, count.batch_count + 1);
    plan->files = HUB_ARENA_ARRAY(arena, struct hub_hl7_file, count.file_count + 1);
    HUB_ENSURE(plan->batches != NULL && plan->files != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    split(&s, bytes);
    plan->batch_count = s.batch_count;
    plan->file_count = s.file_count;
    plan->messages = s.messages;
    *out = (struct hub_parts){.messages = s.messages, .count = s.message_count, .plan = plan};
    first_fault(plan, &out->fault);
    return HUB_OK;
}
