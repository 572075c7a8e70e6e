/* The Confluent wire format: a value of a topic whose schema lies in a registry begins with a zero byte and the schema's id,
 * four bytes, big endian. A value without it is JSON and begins with '{', so readers tell both apart value by value. */
#pragma once

#include "src/base/buf.h"
#include "src/bus/bus.h"

enum { HUB_WIRE_PREFIX_LEN = 5 };

static inline void hub_wire_prefix(uint32_t id, uint8_t out[HUB_WIRE_PREFIX_LEN])
{
    out[0] = 0;
    out[1] = (uint8_t)(id >> 24);
    out[2] = (uint8_t)(id >> 16);
    out[3] = (uint8_t)(id >> 8);
    out[4] = (uint8_t)id;
}

/* What stands behind the prefix, and the id; VALUE itself and 0 when it has none. */
static inline struct hub_span hub_wire_strip(struct hub_span value, uint32_t *id)
{
    *id = 0;
    if (value.len < HUB_WIRE_PREFIX_LEN || value.ptr[0] != 0)
        return value;
    *id = (uint32_t)value.ptr[1] << 24 | (uint32_t)value.ptr[2] << 16 | (uint32_t)value.ptr[3] << 8 | value.ptr[4];
    return (struct hub_span){value.ptr + HUB_WIRE_PREFIX_LEN, value.len - HUB_WIRE_PREFIX_LEN};
}

/* Puts ID before RECORD's value, which lies in ROOM then until that changes, and leaves its header `content-type` out. ID 0 and
 * tombstones: RECORD stays as it is. HUB_NO_MEMORY, HUB_TOO_LARGE (ROOM's cap). */
enum hub_result hub_wire_put(uint32_t id, struct hub_buf *room, struct hub_bus_record *record, struct hub_error *err) HUB_MUST_USE;
