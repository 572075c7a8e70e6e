/* Reading the files of an audit folder: whole files, tiles with a small cache, and a walk over all that lies
 * under tile/. What is read is not verified here beyond its length. One thread at a time. */
#pragma once

#include "src/audit/tile.h"
#include "src/base/disk.h"

enum { HUB_AUDIT_PATH_MAX = 4096 };

/* "<folder>/<name>"; HUB_IO when it is too long. */
enum hub_result hub_audit_path(const char *folder, const char *name, char out[HUB_AUDIT_PATH_MAX], struct hub_error *err) HUB_MUST_USE;
/* Reads <folder>/<name> (NAME alone when FOLDER is NULL) whole into OUT, which is reset; its cap is the limit
 * (HUB_TOO_LARGE). HUB_NOT_FOUND. */
enum hub_result hub_audit_read_file(struct hub_disk *disk, const char *folder, const char *name, struct hub_buf *out,
                                    struct hub_error *err) HUB_MUST_USE;
/* Calls CALLBACK with the path, relative to FOLDER, of every file under FOLDER/tile, in no order. An absent
 * folder has none. */
enum hub_result hub_audit_walk(const char *folder, enum hub_result (*callback)(void *ctx, const char *path), void *ctx,
                               struct hub_error *err) HUB_MUST_USE;

/* The tiles of a tree of SIZE. */
struct hub_tiles {
    struct hub_disk *disk;
    const char *folder; /* borrowed */
    uint64_t size;
    struct hub_buf file;
    struct hub_tiles_cache {
        bool loaded;
        uint64_t n;
        unsigned width;
        struct hub_merkle_hash hashes[HUB_TILE_WIDTH];
    } cache[HUB_TILE_LEVELS];
};
/* NULL when memory is out. */
struct hub_tiles *hub_tiles_new(struct hub_disk *disk, const char *folder, uint64_t size);
void hub_tiles_free(struct hub_tiles *tiles);
/* Tile N of LEVEL with the width it has at SIZE (which must not be 0); a full tile stands in for a partial one
 * that was removed. *HASHES is valid until the next call for that level. HUB_NOT_FOUND; HUB_CORRUPT: wrong length. */
enum hub_result hub_tiles_hashes(struct hub_tiles *tiles, int level, uint64_t n, const struct hub_merkle_hash **hashes,
                                 unsigned *width, struct hub_error *err) HUB_MUST_USE;
/* The bundle's bytes (valid until the next call). *EXACT: the file is to hold WIDTH entries and no more. */
enum hub_result hub_tiles_bundle(struct hub_tiles *tiles, uint64_t n, struct hub_span *bytes, unsigned *width, bool *exact,
                                 struct hub_error *err) HUB_MUST_USE;
/* Puts hashes made elsewhere in place of the file of tile N of LEVEL. */
void hub_tiles_put(struct hub_tiles *tiles, int level, uint64_t n, const struct hub_merkle_hash *hashes, unsigned width);
/* A hub_merkle_source over CTX = struct hub_tiles. */
enum hub_result hub_tiles_node(void *ctx, unsigned level, uint64_t index, struct hub_merkle_hash *out, struct hub_error *err);
