/* Reading entries back, each bundle proven against the signed root before any of it is shown. */
#include "src/audit/audit.h"

#include <stdio.h>

#include "src/audit/files.h"
#include "src/audit/note.h"
#include "src/base/mem.h"

struct reading {
    struct hub_tiles *tiles;
    struct hub_merkle_hash root;
    struct hub_merkle_hash leaves[HUB_TILE_WIDTH];
    struct hub_error *err;
};

static enum hub_result signed_checkpoint(struct hub_disk *disk, const char *folder, struct hub_buf *file, uint64_t *size,
                                         struct hub_merkle_hash *root, struct hub_error *err)
{
    struct hub_note_key key;
    struct hub_span text;
    struct hub_checkpoint checkpoint;
    HUB_TRY(hub_audit_read_file(disk, folder, "vkey", file, err));
    HUB_TRY(hub_note_vkey_parse(hub_buf_view(file), &key, err));
    HUB_TRY(hub_audit_read_file(disk, folder, "checkpoint", file, err));
    HUB_TRY(hub_note_open(hub_buf_view(file), &key, &text, err));
    HUB_TRY(hub_checkpoint_parse(text, &checkpoint, err));
    *size = checkpoint.size;
    *root = checkpoint.root;
    return HUB_OK;
}

static enum hub_result damaged(struct reading *reading, uint64_t index)
{
    (void)hub_fail(reading->err, HUB_CORRUPT, "an audit entry is not what was logged",
                   "`chartline audit verify` shows all that is wrong");
    hub_error_number(reading->err, (int64_t)index);
    return HUB_CORRUPT;
}

/* The bundle's leaves, shown to be in the tree: the audit path of its first leaf holds every other one of its
 * tile, as hashes made from the entries themselves. */
static enum hub_result prove_bundle(struct reading *reading, uint64_t n, struct hub_span *bundle)
{
    struct hub_tiles *tiles = reading->tiles;
    struct hub_merkle_source source = {hub_tiles_node, tiles};
    struct hub_merkle_proof proof;
    struct hub_span rest, entry;
    unsigned width;
    bool exact;
    HUB_TRY(hub_tiles_bundle(tiles, n, bundle, &width, &exact, reading->err));
    rest = *bundle;
    for (unsigned i = 0; i < width; i++) {
        if (hub_bundle_next(&rest, &entry) != HUB_OK)
            return damaged(reading, n * HUB_TILE_WIDTH + i);
        hub_merkle_leaf(entry, &reading->leaves[i]);
    }
    bundle->len -= rest.len;
    hub_tiles_put(tiles, 0, n, reading->leaves, width);
    struct hub_buf held = tiles->file; /* the views into it must outlive the reading of tiles */
    hub_buf_init(&tiles->file, HUB_BUNDLE_BYTES_MAX, false);
    enum hub_result result = hub_merkle_prove_inclusion(&source, n * HUB_TILE_WIDTH, tiles->size, &proof, reading->err);
    hub_buf_deinit(&tiles->file);
    tiles->file = held;
    HUB_TRY(result);
    if (hub_merkle_verify_inclusion(&reading->leaves[0], n * HUB_TILE_WIDTH, tiles->size, &reading->root, &proof) != HUB_OK)
        return damaged(reading, n * HUB_TILE_WIDTH);
    return HUB_OK;
}

static enum hub_result read_from(struct reading *reading, uint64_t from, bool (*callback)(void *ctx, uint64_t index, struct hub_span json), void *ctx)
{
    for (uint64_t n = from / HUB_TILE_WIDTH; n * HUB_TILE_WIDTH < reading->tiles->size; n++) {
        struct hub_span rest, entry;
        HUB_TRY(prove_bundle(reading, n, &rest));
        for (uint64_t index = n * HUB_TILE_WIDTH; hub_bundle_next(&rest, &entry) == HUB_OK; index++) {
            if (index >= from && !callback(ctx, index, entry))
                return HUB_OK;
        }
    }
    return HUB_OK;
}

enum hub_result hub_audit_each(const char *folder, uint64_t from, bool (*callback)(void *ctx, uint64_t index, struct hub_span json), void *ctx, struct hub_error *err)
{
    struct hub_disk *disk = hub_disk_system();
    struct hub_buf file;
    uint64_t size = 0;
    enum hub_result result;
    struct reading *reading = hub_mem_alloc(sizeof *reading);
    HUB_ENSURE(reading != NULL, hub_fail(err, HUB_NO_MEMORY, "no memory for the audit log", NULL));
    reading->err = err;
    hub_buf_init(&file, HUB_NOTE_BYTES_MAX, false);
    HUB_TRY_OUT(signed_checkpoint(disk, folder, &file, &size, &reading->root, err));
    reading->tiles = hub_tiles_new(disk, folder, size);
    HUB_TRY_OUT(reading->tiles != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, "no memory for the audit log", NULL));
    HUB_TRY_OUT(read_from(reading, from, callback, ctx));
out:
    hub_tiles_free(reading->tiles);
    hub_buf_deinit(&file);
    hub_mem_free(reading);
    return result;
}
