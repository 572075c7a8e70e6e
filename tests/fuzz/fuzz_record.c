/* Record payloads: whatever parses is walked inside its bytes, and what it says can be written again the
 * same. */
#include <stdlib.h>

#include "src/log/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void inside(const uint8_t *data, size_t size, struct hub_span part)
{
    check(part.len <= size && (part.len == 0 || (part.ptr >= data && part.ptr + part.len <= data + size)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_record_view view;
    struct hub_dedup dedup;
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    if (hub_record_dedup(hub_span_of(data, size), &dedup) == HUB_OK) {
        struct hub_buf again;
        hub_buf_init(&again, 1000, false);
        hub_record_add_dedup(&again, &dedup);
        check(hub_buf_result(&again) == HUB_OK && again.len == size + 5); /* kind and length before it */
        check(memcmp(again.ptr + 5, data, size) == 0);
        hub_buf_deinit(&again);
    }
    if (hub_record_parse(hub_span_of(data, size), &view) != HUB_OK)
        return 0;
    inside(data, size, view.feed);
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        inside(data, size, bytes);
        check(kind >= HUB_SECTION_EVENT && kind <= HUB_SECTION_LAST);
        if (kind == HUB_SECTION_DEDUP && hub_record_dedup(bytes, &dedup) == HUB_OK)
            check(strlen(dedup.message_id) <= 32 && strlen(dedup.control_token) <= 32 &&
                  strlen(dedup.answer) <= 2);
    }
    check(result == HUB_END || result == HUB_CORRUPT);
    return 0;
}
