/* Length-prefixed lists: each part is preceded by its length as 8 bytes little endian, so that no two lists
 * give the same bytes. Used for everything that is authenticated beside a ciphertext. Private to src/protect.
 */
#pragma once

#include <endian.h>
#include <string.h>

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_lp {
    uint8_t bytes[512];
    size_t len;
};

static inline void hub_le32(uint8_t out[4], uint32_t number)
{
    number = htole32(number);
    memcpy(out, &number, sizeof number);
}

static inline void hub_le64(uint8_t out[8], uint64_t number)
{
    number = htole64(number);
    memcpy(out, &number, sizeof number);
}

static inline uint64_t hub_le_read(const uint8_t *bytes, unsigned len)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < len; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    return number;
}

/* The parts are our own names and ids, so they fit. */
static inline void hub_lp_add(struct hub_lp *lp, struct hub_span part)
{
    HUB_ASSERT(part.len <= sizeof lp->bytes - 8 - lp->len);
    hub_le64(lp->bytes + lp->len, part.len);
    lp->len += 8;
    if (part.len != 0)
        memcpy(lp->bytes + lp->len, part.ptr, part.len);
    lp->len += part.len;
}

static inline struct hub_span hub_lp_view(const struct hub_lp *lp)
{
    return hub_span_of(lp->bytes, lp->len);
}
