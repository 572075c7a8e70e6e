#include "adapters/transports/mllp/frame.h"

enum { VT = 0x0b, FS = 0x1c, CR = '\r', LF = '\n', TAIL_MAX = 2, KEPT_MAX = 64 * 1024 };

void hub_mllp_reader_init(struct hub_mllp_reader *reader, size_t bytes_max)
{
    HUB_ASSERT(bytes_max <= SIZE_MAX - TAIL_MAX);
    *reader = (struct hub_mllp_reader){.bytes_max = bytes_max};
    hub_buf_init(&reader->held, bytes_max + TAIL_MAX, true);
}

void hub_mllp_reader_deinit(struct hub_mllp_reader *reader)
{
    hub_buf_deinit(&reader->held);
    *reader = (struct hub_mllp_reader){.bytes_max = 0};
}

/* An idle connection keeps no more than a small buffer. */
static void forget(struct hub_mllp_reader *reader)
{
    reader->given = false;
    if (reader->held.cap <= KEPT_MAX) {
        hub_buf_reset(&reader->held);
        return;
    }
    hub_buf_deinit(&reader->held);
    hub_buf_init(&reader->held, reader->bytes_max + TAIL_MAX, true);
}

static void advance(struct hub_span *in, size_t count)
{
    *in = count < in->len ? hub_span_of(in->ptr + count, in->len - count) : HUB_SPAN_NONE;
}

/* Up to and with the VT that opens a frame. */
static void find_frame(struct hub_mllp_reader *reader, struct hub_span *in)
{
    size_t i = 0;
    while (i < in->len && in->ptr[i] != VT) {
        reader->outside_bytes += in->ptr[i] != CR && in->ptr[i] != LF;
        i++;
    }
    if (i < in->len) {
        reader->state = HUB_MLLP_INSIDE;
        reader->tail = 0;
        i++;
    }
    advance(in, i);
}

/* What a byte after FS (TAIL 1) or FS LF (TAIL 2) makes of it. */
static unsigned tail_after(unsigned tail, uint8_t c)
{
    if (c == FS)
        return 1; /* the one before was content */
    return tail == 1 && c == LF ? 2 : 0;
}

/* Reads content: true at the end of the frame. *END counts what belongs to it, the tail included; *USED also a
 * final CR. */
static bool find_end(struct hub_mllp_reader *reader, struct hub_span in, size_t *end, size_t *used)
{
    size_t i = 0;
    while (i < in.len) {
        if (reader->tail == 0) {
            const uint8_t *fs = memchr(in.ptr + i, FS, in.len - i);
            if (fs == NULL)
                break;
            i = (size_t)(fs - in.ptr) + 1;
            reader->tail = 1;
            continue;
        }
        uint8_t c = in.ptr[i];
        if (c == VT || (c == CR && reader->tail == 1)) {
            *end = i;
            *used = c == CR ? i + 1 : i; /* the VT opens the next frame */
            return true;
        }
        reader->tail = tail_after(reader->tail, c);
        i += reader->tail != 0 ? 1 : 0;
    }
    *end = *used = in.len;
    return false;
}

/* The first COUNT bytes of what is held and PART together, as one view. False when memory is out. */
static bool gather(struct hub_mllp_reader *reader, struct hub_span part, size_t count, struct hub_span *out)
{
    if (reader->held.len == 0) {
        *out = hub_span_of(part.ptr, count);
        return true;
    }
    if (count > reader->held.len)
        hub_buf_append(&reader->held, part.ptr, count - reader->held.len);
    if (hub_buf_result(&reader->held) != HUB_OK)
        return false;
    *out = hub_span_of(reader->held.ptr, count);
    return true;
}

static enum hub_mllp_event lose(struct hub_mllp_reader *reader, bool ended, enum hub_mllp_event event)
{
    reader->state = ended ? HUB_MLLP_OUTSIDE : HUB_MLLP_SKIPPING;
    reader->given = true; /* what is held was given out, or is lost: it goes at the next call */
    return event;
}

/* PART is the frame's content (and tail) in this input. */
static enum hub_mllp_event take_part(struct hub_mllp_reader *reader, struct hub_span part, bool ended, struct hub_span *message)
{
    size_t content = reader->held.len + part.len - reader->tail;
    if (content > reader->bytes_max) {
        bool good = gather(reader, part, reader->bytes_max, message);
        return lose(reader, ended, good ? HUB_MLLP_OVERSIZE : HUB_MLLP_NO_MEMORY);
    }
    if (ended) {
        bool good = gather(reader, part, content, message);
        return lose(reader, true, good ? HUB_MLLP_MESSAGE : HUB_MLLP_NO_MEMORY);
    }
    hub_buf_append_span(&reader->held, part);
    if (hub_buf_result(&reader->held) == HUB_OK)
        return HUB_MLLP_MORE;
    return lose(reader, false, HUB_MLLP_NO_MEMORY);
}

enum hub_mllp_event hub_mllp_next(struct hub_mllp_reader *reader, struct hub_span *in, struct hub_span *message)
{
    *message = HUB_SPAN_NONE;
    if (reader->given)
        forget(reader);
    while (in->len > 0) {
        size_t end;
        size_t used;
        if (reader->state == HUB_MLLP_OUTSIDE) {
            find_frame(reader, in);
            continue;
        }
        bool ended = find_end(reader, *in, &end, &used);
        struct hub_span part = hub_span_of(in->ptr, end);
        advance(in, used);
        if (reader->state == HUB_MLLP_SKIPPING) {
            if (ended)
                reader->state = HUB_MLLP_OUTSIDE;
            continue;
        }
        enum hub_mllp_event event = take_part(reader, part, ended, message);
        if (event != HUB_MLLP_MORE)
            return event;
    }
    return HUB_MLLP_MORE;
}

bool hub_mllp_unsettled(const struct hub_mllp_reader *reader)
{
    return reader->state == HUB_MLLP_INSIDE && reader->tail != 0;
}

enum hub_mllp_event hub_mllp_settle(struct hub_mllp_reader *reader, struct hub_span *message)
{
    *message = HUB_SPAN_NONE;
    if (!hub_mllp_unsettled(reader))
        return HUB_MLLP_MORE;
    return take_part(reader, HUB_SPAN_NONE, true, message);
}

bool hub_mllp_in_frame(const struct hub_mllp_reader *reader)
{
    return reader->state != HUB_MLLP_OUTSIDE;
}

void hub_mllp_encode(struct hub_span message, struct hub_buf *out)
{
    hub_buf_append_byte(out, VT);
    hub_buf_append_span(out, message);
    hub_buf_append_byte(out, FS);
    hub_buf_append_byte(out, CR);
}
