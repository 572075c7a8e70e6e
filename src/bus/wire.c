#include "src/bus/wire.h"

enum hub_result hub_wire_put(uint32_t id, struct hub_buf *room, struct hub_bus_record *record, struct hub_error *err)
{
    uint8_t prefix[HUB_WIRE_PREFIX_LEN];
    size_t kept = 0;
    if (id == 0 || record->value.ptr == NULL)
        return HUB_OK;
    hub_wire_prefix(id, prefix);
    hub_buf_reset(room);
    if (hub_buf_reserve(room, sizeof prefix + record->value.len) != NULL) {
        hub_buf_append(room, prefix, sizeof prefix);
        hub_buf_append_span(room, record->value);
    }
    if (hub_buf_result(room) != HUB_OK)
        return hub_fail(err, hub_buf_result(room), "no room for a record", NULL);
    record->value = hub_buf_view(room);
    for (size_t i = 0; i < record->header_count; i++)
        if (strcmp(record->headers[i].name, "content-type") != 0)
            record->headers[kept++] = record->headers[i];
    record->header_count = kept;
    return HUB_OK;
}
