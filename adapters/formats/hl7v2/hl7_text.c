#include "adapters/formats/hl7v2/hl7.h"

#include "src/codec/json.h"

enum { LINES_MAX = 99 };

/* Where unescaped bytes go: counted first (ptr NULL), then written, so that one allocation is exact. */
struct sink {
    uint8_t *ptr;
    size_t len;
};

static void put(struct sink *sink, uint8_t c, size_t times)
{
    if (sink->ptr != NULL)
        memset(sink->ptr + sink->len, c, times);
    sink->len += times;
}

static uint8_t declared(uint8_t delimiter, uint8_t usual)
{
    return delimiter != 0 ? delimiter : usual;
}

/* \F\ and its like: the delimiter a letter stands for, 0 when none. */
static uint8_t delimiter_of(const struct hub_hl7_delimiters *d, uint8_t letter)
{
    switch (letter) {
    case 'F':
        return d->field;
    case 'S':
        return declared(d->component, '^');
    case 'T':
        return declared(d->subcomponent, '&');
    case 'R':
        return declared(d->repetition, '~');
    case 'E':
        return d->escape;
    case 'P':
        return declared(d->truncation, '#');
    default:
        return 0;
    }
}

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \Xdd..\ gives bytes in the message's charset; only UTF-8 text is taken, the rest stays as it was sent. */
static bool put_hex(struct sink *sink, struct hub_span digits)
{
    uint8_t bytes[64];
    size_t count = digits.len / 2;
    if (count == 0 || digits.len % 2 != 0 || count > sizeof bytes)
        return false;
    for (size_t i = 0; i < count; i++) {
        int high = nibble(digits.ptr[2 * i]);
        int low = nibble(digits.ptr[2 * i + 1]);
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (!hub_utf8_valid(hub_span_of(bytes, count)))
        return false;
    for (size_t i = 0; i < count; i++)
        put(sink, bytes[i], 1);
    return true;
}

/* The number after a formatting command: absent is 1. False when it is no number up to LINES_MAX. */
static bool read_count(struct hub_span digits, bool sign, size_t *out)
{
    uint64_t number = 1;
    if (sign && digits.len > 1 && (digits.ptr[0] == '+' || digits.ptr[0] == '-'))
        digits = hub_span_of(digits.ptr + 1, digits.len - 1);
    if (digits.len != 0 && (!hub_span_parse_u64(digits, &number) || number > LINES_MAX))
        return false;
    *out = (size_t)number;
    return true;
}

/* 2.7.6; COMMAND without its dot. */
static bool put_command(struct sink *sink, struct hub_span command)
{
    if (command.len < 2)
        return false;
    size_t count;
    struct hub_span name = hub_span_of(command.ptr, 2);
    struct hub_span digits = hub_span_of(command.ptr + 2, command.len - 2);
    bool indent = hub_span_equal_nocase(name, HUB_SPAN("in")) || hub_span_equal_nocase(name, HUB_SPAN("ti"));
    if (!read_count(digits, indent, &count))
        return false;
    if (hub_span_equal_nocase(name, HUB_SPAN("sp"))) {
        put(sink, '\n', count != 0 ? count : 1);
        return true;
    }
    if (hub_span_equal_nocase(name, HUB_SPAN("sk"))) {
        put(sink, ' ', count);
        return true;
    }
    if (indent)
        return true;
    if (digits.len != 0)
        return false;
    if (hub_span_equal_nocase(name, HUB_SPAN("br")) || hub_span_equal_nocase(name, HUB_SPAN("ce"))) {
        put(sink, '\n', 1);
        return true;
    }
    return hub_span_equal_nocase(name, HUB_SPAN("fi")) || hub_span_equal_nocase(name, HUB_SPAN("nf"));
}

/* BODY stands between two escape characters. False: unknown or broken. */
static bool put_sequence(struct sink *sink, const struct hub_hl7_delimiters *d, struct hub_span body, bool formatted)
{
    if (body.len == 0)
        return false;
    if (body.len == 1) {
        uint8_t c = delimiter_of(d, body.ptr[0]);
        if (c != 0)
            put(sink, c, 1);
        return c != 0 || body.ptr[0] == 'H' || body.ptr[0] == 'N';
    }
    struct hub_span rest = hub_span_of(body.ptr + 1, body.len - 1);
    if (body.ptr[0] == 'X')
        return put_hex(sink, rest);
    return formatted && body.ptr[0] == '.' && put_command(sink, rest);
}

static void unescape(struct sink *sink, const struct hub_hl7_delimiters *d, struct hub_span value, bool formatted)
{
    size_t at = 0;
    while (at < value.len) {
        const uint8_t *open = memchr(value.ptr + at, d->escape, value.len - at);
        size_t plain = open != NULL ? (size_t)(open - value.ptr) - at : value.len - at;
        if (sink->ptr != NULL)
            memcpy(sink->ptr + sink->len, value.ptr + at, plain);
        sink->len += plain;
        at += plain;
        if (open == NULL)
            return;
        size_t body_at = at + 1;
        const uint8_t *close = body_at < value.len ? memchr(value.ptr + body_at, d->escape, value.len - body_at) : NULL;
        size_t body_len = close != NULL ? (size_t)(close - value.ptr) - body_at : 0;
        if (close != NULL && put_sequence(sink, d, hub_span_of(value.ptr + body_at, body_len), formatted)) {
            at = body_at + body_len + 1;
        } else {
            /* the character itself; the closing one may open a good sequence ("C:\dir\T\") */
            put(sink, d->escape, 1);
            at = body_at;
        }
    }
}

enum hub_result hub_hl7_text(struct hub_arena *arena, const struct hub_hl7 *message, struct hub_span value, bool formatted,
                             struct hub_span *out)
{
    uint8_t escape = message->delimiters.escape;
    *out = value;
    if (escape == 0 || value.len == 0 || memchr(value.ptr, escape, value.len) == NULL)
        return HUB_OK;
    struct sink sink = {NULL, 0};
    unescape(&sink, &message->delimiters, value, formatted);
    uint8_t *text = (uint8_t *)hub_arena_bytes(arena, sink.len + 1);
    if (text == NULL) {
        *out = HUB_SPAN_NONE;
        return HUB_NO_MEMORY;
    }
    sink = (struct sink){text, 0};
    unescape(&sink, &message->delimiters, value, formatted);
    *out = hub_span_of(text, sink.len);
    return HUB_OK;
}

static uint8_t letter_of(const struct hub_hl7_delimiters *d, uint8_t c)
{
    if (c == d->field)
        return 'F';
    if (c == d->component)
        return 'S';
    if (c == d->subcomponent)
        return 'T';
    if (c == d->repetition)
        return 'R';
    if (c == d->escape)
        return 'E';
    return c == d->truncation ? 'P' : 0;
}

static void put_escaped(struct hub_buf *out, uint8_t escape, const char *body)
{
    if (escape == 0) {
        hub_buf_append_byte(out, ' ');
        return;
    }
    hub_buf_append_byte(out, escape);
    hub_buf_append_str(out, body);
    hub_buf_append_byte(out, escape);
}

void hub_hl7_escape(const struct hub_hl7_delimiters *delimiters, struct hub_span value, struct hub_buf *out)
{
    size_t plain = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        char letter[2] = {c != 0 ? (char)letter_of(delimiters, c) : '\0', '\0'};
        bool line = c == '\r' || c == '\n';
        if (letter[0] == '\0' && !line)
            continue;
        hub_buf_append(out, value.ptr + plain, i - plain);
        if (c == '\r' && i + 1 < value.len && value.ptr[i + 1] == '\n')
            i++;
        put_escaped(out, delimiters->escape, line ? ".br" : letter);
        plain = i + 1;
    }
    if (plain < value.len)
        hub_buf_append(out, value.ptr + plain, value.len - plain);
}
