/* What lies under tile/ beside the files of the signed tree: superseded partial tiles must state the same,
 * files beyond the signed size are not proven yet, anything else does not belong there. */
#include <inttypes.h>

#include "src/audit/verify.h"

struct stray {
    struct hub_verify *verify;
    struct hub_buf file;
    bool unsigned_seen;
    bool tree_bad; /* then a superseded file may be the good one of the two */
};

static bool ends_with_new(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, ".new") == 0;
}

/* Bytes of the current bundle that hold its first COUNT entries. */
static bool bundle_prefix(struct hub_span bundle, unsigned count, struct hub_span *prefix)
{
    struct hub_span rest = bundle, entry;
    for (unsigned i = 0; i < count; i++) {
        if (hub_bundle_next(&rest, &entry) != HUB_OK)
            return false;
    }
    *prefix = hub_span_of(bundle.ptr, bundle.len - rest.len);
    return true;
}

/* What TILE has to hold, from the file that superseded it (which was verified). False: that one cannot be read. */
static bool expected(struct hub_verify *verify, const struct hub_tile *tile, struct hub_span *out)
{
    struct hub_error ignored;
    struct hub_span bundle;
    const struct hub_merkle_hash *hashes;
    unsigned width;
    bool exact;
    if (tile->level == HUB_TILE_ENTRIES)
        return hub_tiles_bundle(verify->tiles, tile->n, &bundle, &width, &exact, &ignored) == HUB_OK &&
               bundle_prefix(bundle, tile->width, out);
    if (hub_tiles_hashes(verify->tiles, tile->level, tile->n, &hashes, &width, &ignored) != HUB_OK)
        return false;
    *out = hub_span_of(hashes, (size_t)tile->width * sizeof *hashes);
    return true;
}

static enum hub_result check_superseded(struct stray *stray, const struct hub_tile *tile, const char *path)
{
    struct hub_verify *verify = stray->verify;
    struct hub_span want;
    HUB_ENSURE(!stray->tree_bad, HUB_OK);
    uint64_t first = tile->level <= 0 ? tile->n * HUB_TILE_WIDTH : tile->n * HUB_TILE_WIDTH << (8 * tile->level);
    enum hub_result result = hub_audit_read_file(verify->disk, verify->folder, path, &stray->file, verify->err);
    HUB_ENSURE(result != HUB_NOT_FOUND, HUB_OK); /* a running hub removed it */
    HUB_ENSURE(result == HUB_OK || result == HUB_TOO_LARGE, result);
    if (expected(verify, tile, &want) && (result != HUB_OK || !hub_span_equal(want, hub_buf_view(&stray->file))))
        hub_verify_find(verify, first, "%s, superseded, does not state what its successor does", path);
    return HUB_OK;
}

static enum hub_result check_file(void *ctx, const char *path)
{
    struct stray *stray = ctx;
    struct hub_verify *verify = stray->verify;
    struct hub_tile tile;
    if (hub_tile_path_parse(hub_span_str(path), &tile) != HUB_OK) {
        if (!ends_with_new(path)) /* those a crash may leave; the next start removes them */
            hub_verify_find(verify, UINT64_MAX, "%s does not belong to the log", path);
        return HUB_OK;
    }
    unsigned width = hub_tile_width(tile.level, tile.n, verify->size);
    if (tile.width == width)
        return HUB_OK;
    if (tile.width < width)
        return check_superseded(stray, &tile, path);
    if (!stray->unsigned_seen)
        hub_verify_note(verify, UINT64_MAX, "%s holds more than what is signed: the hub was interrupted, or runs", path);
    stray->unsigned_seen = true;
    return HUB_OK;
}

enum hub_result hub_verify_files(struct hub_verify *verify)
{
    struct stray stray = {.verify = verify, .tree_bad = verify->report->finding_count != 0};
    hub_buf_init(&stray.file, HUB_BUNDLE_BYTES_MAX, false);
    enum hub_result result = hub_audit_walk(verify->folder, check_file, &stray, verify->err);
    hub_buf_deinit(&stray.file);
    return result;
}
