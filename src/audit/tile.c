#include "src/audit/tile.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t hub_tile_hashes(int level, uint64_t size)
{
    return level <= 0 ? size : size >> (8 * level);
}

unsigned hub_tile_width(int level, uint64_t n, uint64_t size)
{
    uint64_t hashes = hub_tile_hashes(level, size);
    uint64_t full = hashes / HUB_TILE_WIDTH;
    return n < full ? HUB_TILE_WIDTH : n == full ? (unsigned)(hashes % HUB_TILE_WIDTH) : 0;
}

/* C2SP tlog-tiles, "Tile path": groups of three digits, all but the last with an x before them. */
void hub_tile_path(const struct hub_tile *tile, char out[HUB_TILE_PATH_MAX])
{
    HUB_ASSERT(tile->level < HUB_TILE_LEVELS && tile->width >= 1 && tile->width <= HUB_TILE_WIDTH);
    int len = tile->level == HUB_TILE_ENTRIES ? snprintf(out, HUB_TILE_PATH_MAX, "tile/entries/")
                                              : snprintf(out, HUB_TILE_PATH_MAX, "tile/%d/", tile->level);
    uint64_t scale = 1;
    while (tile->n / scale >= 1000)
        scale *= 1000;
    for (; scale > 1; scale /= 1000)
        len += snprintf(out + len, HUB_TILE_PATH_MAX - (size_t)len, "x%03u/", (unsigned)(tile->n / scale % 1000));
    len += snprintf(out + len, HUB_TILE_PATH_MAX - (size_t)len, "%03u", (unsigned)(tile->n % 1000));
    if (tile->width != HUB_TILE_WIDTH)
        len += snprintf(out + len, HUB_TILE_PATH_MAX - (size_t)len, ".p/%u", tile->width);
    HUB_ASSERT(len < HUB_TILE_PATH_MAX);
}

static bool take(struct hub_span *rest, const char *literal)
{
    size_t len = strlen(literal);
    if (rest->len < len || memcmp(rest->ptr, literal, len) != 0)
        return false;
    *rest = hub_span_of(rest->ptr + len, rest->len - len);
    return true;
}

static bool take_digits(struct hub_span *rest, size_t count, uint64_t *number)
{
    if (rest->len < count || !hub_span_parse_u64(hub_span_of(rest->ptr, count), number))
        return false;
    *rest = hub_span_of(rest->ptr + count, rest->len - count);
    return true;
}

static bool take_level(struct hub_span *rest, int *level)
{
    uint64_t number;
    if (take(rest, "entries/")) {
        *level = HUB_TILE_ENTRIES;
        return true;
    }
    if (!take_digits(rest, 1, &number) || number >= HUB_TILE_LEVELS || !take(rest, "/"))
        return false;
    *level = (int)number;
    return true;
}

enum hub_result hub_tile_path_parse(struct hub_span path, struct hub_tile *out)
{
    struct hub_span rest = path;
    struct hub_tile tile = {.width = HUB_TILE_WIDTH};
    uint64_t group;
    HUB_ENSURE(path.len < HUB_TILE_PATH_MAX && take(&rest, "tile/") && take_level(&rest, &tile.level), HUB_SYNTAX);
    while (take(&rest, "x")) {
        HUB_ENSURE(take_digits(&rest, 3, &group) && take(&rest, "/") && tile.n < UINT64_C(1) << 40, HUB_SYNTAX);
        tile.n = tile.n * 1000 + group;
    }
    HUB_ENSURE(take_digits(&rest, 3, &group), HUB_SYNTAX);
    tile.n = tile.n * 1000 + group;
    if (take(&rest, ".p/")) {
        HUB_ENSURE(hub_span_parse_u64(rest, &group) && group >= 1 && group < HUB_TILE_WIDTH, HUB_SYNTAX);
        tile.width = (unsigned)group;
        rest.len = 0;
    }
    HUB_ENSURE(rest.len == 0, HUB_SYNTAX);
    char again[HUB_TILE_PATH_MAX]; /* refuses zeros in front and needless groups */
    hub_tile_path(&tile, again);
    HUB_ENSURE(hub_span_is(path, again), HUB_SYNTAX);
    *out = tile;
    return HUB_OK;
}

void hub_bundle_append(struct hub_buf *bundle, struct hub_span entry)
{
    HUB_ASSERT(entry.len >= 1 && entry.len <= HUB_TILE_ENTRY_MAX);
    hub_buf_append_be16(bundle, (uint16_t)entry.len);
    hub_buf_append_span(bundle, entry);
}

enum hub_result hub_bundle_next(struct hub_span *rest, struct hub_span *entry)
{
    HUB_ENSURE(rest->len != 0, HUB_END);
    HUB_ENSURE(rest->len >= 2, HUB_CORRUPT);
    size_t len = (size_t)rest->ptr[0] << 8 | rest->ptr[1];
    HUB_ENSURE(len != 0 && len <= rest->len - 2, HUB_CORRUPT);
    *entry = hub_span_of(rest->ptr + 2, len);
    *rest = hub_span_of(rest->ptr + 2 + len, rest->len - 2 - len);
    return HUB_OK;
}
