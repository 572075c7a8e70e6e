#include "src/cli/messages.h"

#include "adapters/formats/hl7v2/hl7_batch.h"

enum { FRAME_START = 0x0b, FRAME_END = 0x1c, END_OF_FILE = 0x1a };

static struct hub_span from(struct hub_span bytes, size_t at)
{
    return hub_span_of(bytes.ptr + at, bytes.len - at);
}

static bool is_blank(uint8_t c)
{
    return c == '\r' || c == '\n' || c == ' ' || c == '\t' || c == END_OF_FILE;
}

static struct hub_span skip_blank(struct hub_span bytes)
{
    size_t at = 0;
    while (at < bytes.len && is_blank(bytes.ptr[at]))
        at++;
    return from(bytes, at);
}

void hub_cli_messages_begin(struct hub_cli_messages *messages, struct hub_span bytes, bool whole)
{
    struct hub_span start = skip_blank(bytes);
    *messages = (struct hub_cli_messages){.rest = bytes, .whole = whole};
    messages->framed = start.len > 0 && *start.ptr == FRAME_START;
}

static bool next_frame(struct hub_span *bytes, struct hub_span *frame)
{
    struct hub_span rest = skip_blank(*bytes);
    if (rest.len == 0)
        return false;
    size_t start = *rest.ptr == FRAME_START ? 1 : 0;
    size_t end = start;
    while (end < rest.len && rest.ptr[end] != FRAME_END)
        end++;
    *frame = hub_span_of(rest.ptr + start, end - start);
    size_t after = end < rest.len ? end + 1 : end;
    if (after < rest.len && rest.ptr[after] == '\r')
        after++;
    *bytes = from(rest, after);
    return true;
}

/* The next message of a text that may have envelopes. */
static bool next_piece(struct hub_span *rest, struct hub_span *message)
{
    enum hub_hl7_piece kind;
    do
        kind = hub_hl7_cut_piece(rest, message);
    while (kind != HUB_HL7_MESSAGE && kind != HUB_HL7_END);
    return kind == HUB_HL7_MESSAGE;
}

bool hub_cli_messages_next(struct hub_cli_messages *messages, struct hub_span *message)
{
    if (!messages->framed) {
        if (!messages->whole || !hub_hl7_is_batch(messages->rest))
            return next_piece(&messages->rest, message);
        *message = skip_blank(messages->rest);
        messages->rest = HUB_SPAN_NONE;
        return true;
    }
    while (!next_piece(&messages->batch, message)) {
        if (!next_frame(&messages->rest, message))
            return false;
        if (messages->whole || !hub_hl7_is_batch(*message))
            return true;
        messages->batch = *message;
    }
    return true;
}
