/* MLLP framing: one read, byte for byte, and reads of a length taken from the input give the same events. */
#include <stdlib.h>

#include "adapters/transports/mllp/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 64 };

/* Every event with its bytes, length first. */
static void run(struct hub_span stream, size_t step, struct hub_buf *out)
{
    struct hub_mllp_reader reader;
    hub_mllp_reader_init(&reader, BYTES_MAX);
    for (size_t at = 0; at < stream.len; at += step) {
        struct hub_span in = hub_span_of(stream.ptr + at, stream.len - at < step ? stream.len - at : step);
        struct hub_span message;
        enum hub_mllp_event event;
        while ((event = hub_mllp_next(&reader, &in, &message)) != HUB_MLLP_MORE) {
            if (message.len > BYTES_MAX || (event == HUB_MLLP_OVERSIZE && message.len != BYTES_MAX))
                abort();
            hub_buf_append_byte(out, (uint8_t)event);
            hub_buf_append_byte(out, (uint8_t)message.len);
            hub_buf_append_span(out, message);
        }
        if (in.len != 0)
            abort();
    }
    struct hub_span message;
    hub_buf_append_byte(out, (uint8_t)hub_mllp_settle(&reader, &message));
    hub_buf_append_span(out, message);
    hub_buf_append_be64(out, reader.outside_bytes);
    hub_mllp_reader_deinit(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_buf whole;
    struct hub_buf other;
    if (size < 2)
        return 0;
    struct hub_span stream = hub_span_of(data + 1, size - 1);
    hub_buf_init(&whole, 8 * size + 64, false);
    hub_buf_init(&other, 8 * size + 64, false);
    run(stream, stream.len, &whole);
    for (unsigned pass = 0; pass < 2; pass++) {
        hub_buf_reset(&other);
        run(stream, pass == 0 ? 1 : 2 + (size_t)data[0] % 100, &other);
        if (hub_buf_result(&other) != HUB_OK || !hub_span_equal(hub_buf_view(&whole), hub_buf_view(&other)))
            abort();
    }
    hub_buf_deinit(&whole);
    hub_buf_deinit(&other);
    return 0;
}
