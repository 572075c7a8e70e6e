/* A growing byte buffer with a hard cap, on the heap. One thread at a time.
 *
 * The first failed append (cap or memory) makes the buffer failed: later appends do nothing and
 * hub_buf_result says why, so that a writer may append many times and check once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t bytes_max;
    enum hub_result failed; /* HUB_OK, HUB_TOO_LARGE or HUB_NO_MEMORY */
    bool wipe;              /* overwrite on growth and release */
};

/* BYTES_MAX is the cap. With WIPE the content is overwritten before memory is given back. */
void hub_buf_init(struct hub_buf *buf, size_t bytes_max, bool wipe);
void hub_buf_deinit(struct hub_buf *buf);
/* Forgets content and failure, keeps the memory. */
void hub_buf_reset(struct hub_buf *buf);
enum hub_result hub_buf_result(const struct hub_buf *buf) HUB_MUST_USE;

/* The slow way of hub_buf_reserve: more memory, or a failure. */
uint8_t *hub_buf_grow(struct hub_buf *buf, size_t len);
/* Room for LEN more bytes; returns where to write them, NULL when failed. Does not change len. */
static inline uint8_t *hub_buf_reserve(struct hub_buf *buf, size_t len)
{
    const bool room = buf->failed == HUB_OK && buf->cap != 0 && len <= buf->cap - buf->len;
    return room ? buf->ptr + buf->len : hub_buf_grow(buf, len);
}
static inline void hub_buf_append(struct hub_buf *buf, const void *bytes, size_t len)
{
    uint8_t *to = hub_buf_reserve(buf, len);
    if (to == NULL || len == 0)
        return;
    memcpy(to, bytes, len);
    buf->len += len;
}
static inline void hub_buf_append_span(struct hub_buf *buf, struct hub_span bytes)
{
    hub_buf_append(buf, bytes.ptr, bytes.len);
}
static inline void hub_buf_append_str(struct hub_buf *buf, const char *str)
{
    hub_buf_append(buf, str, strlen(str));
}
static inline void hub_buf_append_byte(struct hub_buf *buf, uint8_t byte)
{
    uint8_t *to = hub_buf_reserve(buf, 1);
    if (to != NULL) {
        *to = byte;
        buf->len++;
    }
}
void hub_buf_append_u64(struct hub_buf *buf, uint64_t number); /* decimal */
void hub_buf_append_be16(struct hub_buf *buf, uint16_t number);
void hub_buf_append_be32(struct hub_buf *buf, uint32_t number);
void hub_buf_append_be64(struct hub_buf *buf, uint64_t number);
void hub_buf_printf(struct hub_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first LEN bytes (LEN <= len). */
void hub_buf_consume(struct hub_buf *buf, size_t len);
/* Valid until the next change of the buffer. */
struct hub_span hub_buf_view(const struct hub_buf *buf);
/* A view that ends with a NUL (not counted); "" when failed. */
const char *hub_buf_str(struct hub_buf *buf);
