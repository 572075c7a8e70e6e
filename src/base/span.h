/* Borrowed views of bytes. A span owns nothing; who hands one out says how long it lives. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hub_span {
    const uint8_t *ptr; /* may be NULL when len is 0 */
    size_t len;
};

#define HUB_SPAN_NONE ((struct hub_span){NULL, 0})
/* A span of a string literal, without its NUL. */
#define HUB_SPAN(literal) ((struct hub_span){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline struct hub_span hub_span_of(const void *ptr, size_t len)
{
    return (struct hub_span){(const uint8_t *)ptr, len};
}

static inline struct hub_span hub_span_str(const char *str)
{
    return (struct hub_span){(const uint8_t *)str, str != NULL ? strlen(str) : 0};
}

/* Not constant time: never for secrets (hub_crypto_equal is). */
static inline bool hub_span_equal(struct hub_span a, struct hub_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool hub_span_is(struct hub_span a, const char *str)
{
    return hub_span_equal(a, hub_span_str(str));
}

/* Bytewise order, shorter first on a common prefix. */
static inline int hub_span_compare(struct hub_span a, struct hub_span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int d = n != 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    if (d != 0)
        return d;
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

/* Without leading and trailing spaces and tabs. */
struct hub_span hub_span_trim(struct hub_span s);
/* ASCII letters equal without case. */
bool hub_span_equal_nocase(struct hub_span a, struct hub_span b);
/* Decimal digits only, no sign, no overflow; false otherwise. */
bool hub_span_parse_u64(struct hub_span s, uint64_t *out);
