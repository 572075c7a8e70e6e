/* What a remap reads: stored messages out of record payloads. Whatever parses is whole, or it is damaged. */
#include <stdlib.h>
#include <string.h>

#include "src/pipeline/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_stored stored;
    struct hub_error err = {0};
    hub_arena_init(&arena, 64 * 1024 * 1024);
    enum hub_result result = hub_stored_parse(&arena, 7, hub_span_of(data, size), &stored, &err);
    check(result == HUB_OK || result == HUB_CORRUPT || result == HUB_NO_MEMORY);
    if (result == HUB_OK && stored.number != 0) {
        check(stored.number == 7 && stored.content_count <= stored.event_count);
        check(stored.kind == HUB_RECORD_MESSAGE || stored.kind == HUB_RECORD_REVISED || stored.kind == HUB_RECORD_REJECTED);
        check(stored.kind != HUB_RECORD_REVISED || stored.event_count != 0);
        check(stored.kind == HUB_RECORD_REVISED || stored.revision == 0);
        for (size_t i = 0; i < stored.event_count; i++)
            check(stored.events[i] != NULL);
    }
    hub_arena_deinit(&arena);
    return 0;
}
