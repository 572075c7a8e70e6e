/* One arena per message: everything a message needs while it is decoded, mapped and sealed lives here and
 * dies at once. Capped; wiped before it is used again, for it holds PHI. One thread at a time.
 *
 * Memory from an arena is valid until hub_arena_reset or _deinit. Nothing in it is ever freed alone. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/span.h"

struct hub_arena_chunk;

struct hub_arena {
    struct hub_arena_chunk *first;
    struct hub_arena_chunk *current; /* allocations come from here */
    uint8_t *pos;
    uint8_t *end;
    size_t used; /* bytes handed out, chunk tails included */
    size_t bytes_max;
    bool capped; /* one of them because of BYTES_MAX, not for want of memory */
    bool failed; /* an allocation returned NULL since the last reset: what was made may lack something */
    bool sealed; /* what it holds needs no wiping */
};

/* No allocation happens before the first use. BYTES_MAX caps all chunks together. */
void hub_arena_init(struct hub_arena *arena, size_t bytes_max);
/* For sealed content only: nothing is wiped. */
void hub_arena_init_sealed(struct hub_arena *arena, size_t bytes_max);
void hub_arena_deinit(struct hub_arena *arena);
/* Wipes what was used, keeps one chunk (the largest of ordinary size, so that messages like the last one need no
 * other), frees the rest. */
void hub_arena_reset(struct hub_arena *arena);

enum { HUB_ARENA_ALIGNMENT = 16 };

/* The slow way of hub_arena_take: another chunk. */
void *hub_arena_take_more(struct hub_arena *arena, size_t size);
/* SIZE bytes at a multiple of ALIGN (a power of two up to HUB_ARENA_ALIGNMENT), not zeroed. */
static inline void *hub_arena_take(struct hub_arena *arena, size_t size, size_t align)
{
    if (arena->pos == NULL)
        return hub_arena_take_more(arena, size);
    size_t left = (size_t)(arena->end - arena->pos);
    size_t skip = (size_t)(-(uintptr_t)arena->pos & (align - 1));
    if (left < skip || left - skip < size)
        return hub_arena_take_more(arena, size);
    uint8_t *out = arena->pos + skip;
    arena->pos = out + size;
    arena->used += skip + size;
    return out;
}

/* 16-byte aligned, not zeroed. NULL when the cap is reached or memory is out. */
static inline void *hub_arena_alloc(struct hub_arena *arena, size_t size)
{
    return hub_arena_take(arena, size, HUB_ARENA_ALIGNMENT);
}
/* Zeroed. */
static inline void *hub_arena_zalloc(struct hub_arena *arena, size_t size)
{
    void *out = hub_arena_alloc(arena, size);
    if (out != NULL)
        memset(out, 0, size);
    return out;
}
/* COUNT items of SIZE bytes, zeroed, with an overflow check. */
void *hub_arena_array(struct hub_arena *arena, size_t count, size_t size);
/* Byte aligned, for text. */
static inline char *hub_arena_bytes(struct hub_arena *arena, size_t size)
{
    return (char *)hub_arena_take(arena, size, 1);
}
/* Copies; the copy ends with a NUL that is not part of the length. ptr is NULL on failure. */
struct hub_span hub_arena_copy(struct hub_arena *arena, struct hub_span bytes);
/* PARTS one after the other, with a NUL behind them. ptr is NULL on failure. */
struct hub_span hub_arena_concat(struct hub_arena *arena, const struct hub_span *parts, size_t count);
/* NUMBER in decimal. ptr is NULL on failure. */
struct hub_span hub_arena_decimal(struct hub_arena *arena, int64_t number);
/* A formatted string with NUL; NULL on failure. */
char *hub_arena_printf(struct hub_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define HUB_ARENA_NEW(arena, type) ((type *)hub_arena_zalloc((arena), sizeof(type)))
#define HUB_ARENA_ARRAY(arena, type, count) ((type *)hub_arena_array((arena), (count), sizeof(type)))
