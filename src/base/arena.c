#include "src/base/arena.h"

#include <stdio.h>

#include "src/base/mem.h"
#include "src/base/result.h"

enum { CHUNK_FIRST = 64 * 1024, CHUNK_NEXT_MAX = 1024 * 1024 };

struct hub_arena_chunk {
    struct hub_arena_chunk *next;
    size_t size; /* of bytes[] */
    size_t used; /* when it is no longer current */
    size_t pad;  /* keeps bytes[] aligned */
    uint8_t bytes[];
};

_Static_assert(offsetof(struct hub_arena_chunk, bytes) % HUB_ARENA_ALIGNMENT == 0, "chunk data is aligned");

void hub_arena_init(struct hub_arena *arena, size_t bytes_max)
{
    memset(arena, 0, sizeof *arena);
    arena->bytes_max = bytes_max;
}

void hub_arena_init_sealed(struct hub_arena *arena, size_t bytes_max)
{
    hub_arena_init(arena, bytes_max);
    arena->sealed = true;
}

static void chunk_close(struct hub_arena *arena)
{
    if (arena->current != NULL)
        arena->current->used = (size_t)(arena->pos - arena->current->bytes);
}

void hub_arena_reset(struct hub_arena *arena)
{
    chunk_close(arena);
    struct hub_arena_chunk *kept = arena->first;
    for (struct hub_arena_chunk *chunk = arena->first; chunk != NULL; chunk = chunk->next)
        kept = chunk->size > kept->size && chunk->size <= CHUNK_NEXT_MAX ? chunk : kept;
    for (struct hub_arena_chunk *chunk = arena->first; chunk != NULL;) {
        struct hub_arena_chunk *next = chunk->next;
        if (!arena->sealed)
            hub_mem_wipe(chunk->bytes, chunk->used);
        if (chunk != kept)
            hub_mem_free(chunk);
        chunk = next;
    }
    arena->first = arena->current = kept;
    arena->used = 0;
    arena->failed = false;
    arena->capped = false;
    arena->pos = arena->end = NULL;
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
        arena->pos = kept->bytes;
        arena->end = arena->pos + kept->size;
    }
}

void hub_arena_deinit(struct hub_arena *arena)
{
    hub_arena_reset(arena);
    hub_mem_free(arena->first);
    memset(arena, 0, sizeof *arena);
}

static int chunk_add(struct hub_arena *arena, size_t need)
{
    size_t size = arena->current == NULL ? CHUNK_FIRST : arena->current->size * 2;
    if (size > CHUNK_NEXT_MAX)
        size = CHUNK_NEXT_MAX;
    if (size < need)
        size = need;
    size_t held = arena->used + (size_t)(arena->end - arena->pos);
    if (need > arena->bytes_max || held > arena->bytes_max - need) {
        arena->capped = true;
        return -1;
    }
    if (size > arena->bytes_max - held)
        size = need;
    struct hub_arena_chunk *chunk = hub_mem_resize(NULL, sizeof *chunk + size);
    if (chunk == NULL)
        return -1;
    chunk->next = NULL;
    chunk->size = size;
    chunk->used = 0;
    arena->used = held; /* the tail of the chunk left behind counts as used */
    chunk_close(arena);
    if (arena->current != NULL)
        arena->current->next = chunk;
    else
        arena->first = chunk;
    arena->current = chunk;
    arena->pos = chunk->bytes;
    arena->end = chunk->bytes + size;
    return 0;
}

void *hub_arena_take_more(struct hub_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2 || chunk_add(arena, size) != 0) {
        arena->failed = true;
        return NULL;
    }
    uint8_t *out = arena->pos;
    arena->pos += size;
    arena->used += size;
    return out;
}

void *hub_arena_array(struct hub_arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return hub_arena_zalloc(arena, count * size);
}

struct hub_span hub_arena_copy(struct hub_arena *arena, struct hub_span bytes)
{
    char *copy = hub_arena_bytes(arena, bytes.len + 1);
    if (copy == NULL)
        return HUB_SPAN_NONE;
    if (bytes.len != 0)
        memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    return hub_span_of(copy, bytes.len);
}

struct hub_span hub_arena_concat(struct hub_arena *arena, const struct hub_span *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len >= SIZE_MAX / 2 - len)
            return HUB_SPAN_NONE;
        len += parts[i].len;
    }
    char *text = hub_arena_bytes(arena, len + 1);
    if (text == NULL)
        return HUB_SPAN_NONE;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len != 0)
            memcpy(text + n, parts[i].ptr, parts[i].len);
        n += parts[i].len;
    }
    text[n] = '\0';
    return hub_span_of(text, n);
}

struct hub_span hub_arena_decimal(struct hub_arena *arena, int64_t number)
{
    char text[20];
    size_t at = sizeof text;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    if (number < 0)
        text[--at] = '-';
    return hub_arena_copy(arena, hub_span_of(text + at, sizeof text - at));
}

char *hub_arena_printf(struct hub_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = len < 0 ? NULL : hub_arena_bytes(arena, (size_t)len + 1);
    if (out != NULL)
        (void)vsnprintf(out, (size_t)len + 1, format, again);
    va_end(again);
    return out;
}
