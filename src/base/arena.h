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
    struct hub_arena_chunk *first;   /* kept over resets */
    struct hub_arena_chunk *current; /* allocations come from here */
    uint8_t *pos;
    uint8_t *end;
    size_t used; /* bytes handed out, chunk tails included */
    size_t bytes_max;
    bool failed; /* an allocation returned NULL since the last reset: what was made may lack something */
};

/* No allocation happens before the first use. BYTES_MAX caps all chunks together. */
void hub_arena_init(struct hub_arena *arena, size_t bytes_max);
void hub_arena_deinit(struct hub_arena *arena);
/* Wipes what was used, keeps the first chunk, frees the rest. */
void hub_arena_reset(struct hub_arena *arena);

/* 16-byte aligned, not zeroed. NULL when the cap is reached or memory is out. */
void *hub_arena_alloc(struct hub_arena *arena, size_t size);
/* Zeroed. */
void *hub_arena_zalloc(struct hub_arena *arena, size_t size);
/* COUNT items of SIZE bytes, zeroed, with an overflow check. */
void *hub_arena_array(struct hub_arena *arena, size_t count, size_t size);
/* Byte aligned, for text. */
char *hub_arena_bytes(struct hub_arena *arena, size_t size);
/* Copies; the copy ends with a NUL that is not part of the length. ptr is NULL on failure. */
struct hub_span hub_arena_copy(struct hub_arena *arena, struct hub_span bytes);
/* A formatted string with NUL; NULL on failure. */
char *hub_arena_printf(struct hub_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define HUB_ARENA_NEW(arena, type) ((type *)hub_arena_zalloc((arena), sizeof(type)))
#define HUB_ARENA_ARRAY(arena, type, count) ((type *)hub_arena_array((arena), (count), sizeof(type)))
