/* Originals that refer to large values: whatever is written of a value and a message is restored to the same bytes, and
 * whatever is read gives nothing but the bytes it promised. */
#include <stdlib.h>

#include "src/protect/seal_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 4 * 1024 * 1024 };

static struct hub_span value;

static void check(bool good)
{
    if (!good)
        abort();
}

static enum hub_result source(void *ctx, uint32_t ordinal, bool encoded, struct hub_span *out)
{
    (void)ctx;
    *out = value;
    return ordinal == 7 && !encoded ? HUB_OK : HUB_DENIED;
}

/* The first byte parts the value from the message. */
static void write_and_restore(struct hub_arena *arena, const uint8_t *data, size_t size)
{
    struct hub_large large = {.binary = 7};
    const struct hub_prepared prepared = {.arena = arena, .large = &large, .large_count = 1};
    const size_t cut = (size - 1) * data[0] / 256;
    struct hub_span positions, back;
    struct hub_buf out;
    value = large.text = hub_span_of(data + 1, cut);
    const struct hub_event event = {.raw = hub_span_of(data + 1 + cut, size - 1 - cut), .raw_positions = HUB_SPAN("1-2")};
    hub_buf_init(&out, ARENA_MAX, false);
    if (hub_refer_write(&prepared, &event, &out) == HUB_OK) {
        check(out.len < event.raw.len && out.ptr[0] == 'R');
        check(hub_refer_restore(arena, hub_span_of(out.ptr + 1, out.len - 1), source, NULL, &positions, &back) == HUB_OK);
        check(hub_span_equal(back, event.raw) && hub_span_is(positions, "1-2"));
    }
    hub_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_span positions = HUB_SPAN_NONE, back = HUB_SPAN_NONE;
    if (size == 0)
        return 0;
    hub_arena_init(&arena, ARENA_MAX);
    value = hub_span_of(data, size);
    if (hub_refer_restore(&arena, hub_span_of(data, size), source, NULL, &positions, &back) == HUB_OK)
        check(positions.len <= size && (positions.len == 0 || positions.ptr >= data));
    write_and_restore(&arena, data, size);
    hub_arena_deinit(&arena);
    return 0;
}
