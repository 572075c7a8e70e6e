#include "src/cli/messages.h"

enum { FRAME_START = 0x0b, FRAME_END = 0x1c };

static bool is_break(uint8_t c)
{
    return c == '\r' || c == '\n';
}

static void skip_blank(struct hub_span *rest)
{
    while (rest->len > 0 &&
           (is_break(*rest->ptr) || *rest->ptr == ' ' || *rest->ptr == '\t' || *rest->ptr == 0x1a))
        *rest = hub_span_of(rest->ptr + 1, rest->len - 1);
}

/* LINE starts with the segment ID and a field separator (or ends there). */
static bool is_segment(struct hub_span line, const char *id)
{
    if (line.len < 3 || memcmp(line.ptr, id, 3) != 0)
        return false;
    uint8_t next = line.len > 3 ? line.ptr[3] : '\n';
    bool word = (next >= '0' && next <= '9') || ((next | 0x20) >= 'a' && (next | 0x20) <= 'z');
    return !word;
}

static bool is_envelope(struct hub_span line)
{
    return is_segment(line, "FHS") || is_segment(line, "BHS") || is_segment(line, "BTS") ||
           is_segment(line, "FTS");
}

/* Offset of the line after the one at AT. */
static size_t next_line(struct hub_span bytes, size_t at)
{
    while (at < bytes.len && !is_break(bytes.ptr[at]))
        at++;
    while (at < bytes.len && is_break(bytes.ptr[at]))
        at++;
    return at;
}

static struct hub_span from(struct hub_span bytes, size_t at)
{
    return hub_span_of(bytes.ptr + at, bytes.len - at);
}

void hub_cli_messages_begin(struct hub_cli_messages *messages, struct hub_span bytes)
{
    struct hub_span start = bytes;
    skip_blank(&start);
    messages->framed = start.len > 0 && *start.ptr == FRAME_START;
    messages->rest = bytes;
}

static bool next_frame(struct hub_cli_messages *messages, struct hub_span *message)
{
    struct hub_span rest = messages->rest;
    skip_blank(&rest);
    if (rest.len == 0)
        return false;
    size_t start = *rest.ptr == FRAME_START ? 1 : 0;
    size_t end = start;
    while (end < rest.len && rest.ptr[end] != FRAME_END)
        end++;
    *message = hub_span_of(rest.ptr + start, end - start);
    size_t after = end < rest.len ? end + 1 : end;
    if (after < rest.len && rest.ptr[after] == '\r')
        after++;
    messages->rest = from(rest, after);
    return true;
}

bool hub_cli_messages_next(struct hub_cli_messages *messages, struct hub_span *message)
{
    if (messages->framed)
        return next_frame(messages, message);
    struct hub_span rest = messages->rest;
    struct hub_span mark = HUB_SPAN("\xef\xbb\xbf");
    for (;;) {
        skip_blank(&rest);
        bool marked = rest.len > mark.len && memcmp(rest.ptr, mark.ptr, mark.len) == 0;
        if (!is_envelope(marked ? from(rest, mark.len) : rest))
            break;
        rest = from(rest, next_line(rest, 0));
    }
    if (rest.len == 0)
        return false;
    size_t end = next_line(rest, 0);
    while (end < rest.len && !is_segment(from(rest, end), "MSH") && !is_envelope(from(rest, end)))
        end = next_line(rest, end);
    *message = hub_span_of(rest.ptr, end);
    messages->rest = from(rest, end);
    return true;
}
