/* The names and the content of tlog-tiles files (C2SP tlog-tiles), relative to the audit folder:
 *
 *   tile/<level>/<n>[.p/<width>]   hashes n*256.. of a level, 32 bytes each; level 0 are the leaves
 *   tile/entries/<n>[.p/<width>]   the entries n*256.., each as 2 bytes big endian length and the entry
 *
 * Pure functions, any thread. */
#pragma once

#include "src/audit/merkle.h"
#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum {
    HUB_TILE_WIDTH = 256,                             /* hashes in a full tile, entries in a full bundle */
    HUB_TILE_BYTES = HUB_TILE_WIDTH * HUB_HASH_LEN,
    HUB_TILE_LEVELS = 8,                              /* level 7 alone covers 2^56 leaves a hash */
    HUB_TILE_PATH_MAX = 80,
    HUB_TILE_ENTRY_MAX = 65535,
    HUB_BUNDLE_BYTES_MAX = HUB_TILE_WIDTH * (2 + HUB_TILE_ENTRY_MAX),
};

/* One file. */
struct hub_tile {
    int level;      /* 0..7; HUB_TILE_ENTRIES for a bundle */
    uint64_t n;
    unsigned width; /* 1..256; 256 is the full one */
};
enum { HUB_TILE_ENTRIES = -1 };

/* Hashes of LEVEL (entries for HUB_TILE_ENTRIES) in a tree of SIZE. */
uint64_t hub_tile_hashes(int level, uint64_t size);
/* Width of tile N of LEVEL in a tree of SIZE: 0 when there is none. */
unsigned hub_tile_width(int level, uint64_t n, uint64_t size);
/* "tile/0/x001/234.p/5" and a NUL. */
void hub_tile_path(const struct hub_tile *tile, char out[HUB_TILE_PATH_MAX]);
/* The one spelling of hub_tile_path; HUB_SYNTAX for anything else. */
enum hub_result hub_tile_path_parse(struct hub_span path, struct hub_tile *out) HUB_MUST_USE;

/* Appends one entry (1..HUB_TILE_ENTRY_MAX bytes) to a bundle. */
void hub_bundle_append(struct hub_buf *bundle, struct hub_span entry);
/* Takes the first entry off REST (a view into it). HUB_END when REST is empty, HUB_CORRUPT when it is cut
 * short or the entry is empty; REST is unchanged then. */
enum hub_result hub_bundle_next(struct hub_span *rest, struct hub_span *entry) HUB_MUST_USE;
