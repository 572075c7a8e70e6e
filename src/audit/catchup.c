/* Opening the publisher: where the last checkpoint stands in the event log. The quick way begins where the
 * derived state file stands, as far as the tiles give the root it names; the sure way at the log's first record (behind
 * a retention with the tree as its files give it).
 * Either way the log must give the signed root before anything is written; what is missing or wrong is then
 * written again. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "src/audit/publisher.h"
#include "src/base/diag.h"
#include "src/crypto/state_file.h"

static const char restore[] = "restore the data directory's log folder whole from its newest copy; never remove the checkpoint";

/* --- the state file --- */

static const char title[] = "chartline audit state 1";

void hub_audit_state_write(struct hub_buf *out, const struct hub_audit_state *state)
{
    hub_state_file_begin(out, title);
    hub_state_file_number(out, "size", state->size);
    hub_state_file_hex(out, "root", hub_span_of(state->root.bytes, sizeof state->root.bytes));
    hub_state_file_number(out, "record", state->record);
    hub_state_file_hex(out, "payload", hub_span_of(state->payload.bytes, sizeof state->payload.bytes));
    hub_state_file_end(out);
}

enum hub_result hub_audit_state_parse(struct hub_span text, struct hub_audit_state *out)
{
    struct hub_span rest;
    HUB_TRY(hub_state_file_open(text, title, &rest));
    bool good = hub_state_file_take_number(&rest, "size", &out->size) &&
                hub_state_file_take_hex(&rest, "root", out->root.bytes, sizeof out->root.bytes) &&
                hub_state_file_take_number(&rest, "record", &out->record) &&
                hub_state_file_take_hex(&rest, "payload", out->payload.bytes, sizeof out->payload.bytes);
    return good && rest.len == 0 ? HUB_OK : HUB_SYNTAX;
}

/* --- what was published --- */

struct known {
    bool checkpoint, state;
    uint64_t size; /* of the checkpoint, else of the state */
    struct hub_merkle_hash root;
    struct hub_audit_state at;
};

static enum hub_result refuse(struct hub_audit *audit, const char *what, const char *mend, struct hub_error *err)
{
    (void)hub_fail(err, HUB_CORRUPT, what, mend);
    return hub_error_in(err, audit->folder, 0);
}

static enum hub_result read_checkpoint(struct hub_audit *audit, struct hub_buf *file, struct known *known, struct hub_error *err)
{
    struct hub_span text;
    struct hub_checkpoint checkpoint;
    enum hub_result result = hub_audit_read_file(audit->disk, audit->folder, "checkpoint", file, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    if (hub_note_open(hub_buf_view(file), &audit->key, &text, err) != HUB_OK ||
        hub_checkpoint_parse(text, &checkpoint, err) != HUB_OK || !hub_span_is(checkpoint.origin, audit->origin))
        return refuse(audit, "the published audit checkpoint does not verify with the hub's key",
                      "restore the file checkpoint from a copy; `chartline audit verify` shows what is wrong", err);
    known->checkpoint = true;
    known->size = checkpoint.size;
    known->root = checkpoint.root;
    return HUB_OK;
}

static enum hub_result read_known(struct hub_audit *audit, struct known *known, struct hub_error *err)
{
    struct hub_buf file;
    hub_buf_init(&file, HUB_NOTE_BYTES_MAX, false);
    enum hub_result result = read_checkpoint(audit, &file, known, err);
    if (result == HUB_OK) {
        result = hub_audit_read_file(audit->disk, audit->folder, "state", &file, err);
        known->state = result == HUB_OK && hub_audit_state_parse(hub_buf_view(&file), &known->at) == HUB_OK;
        if (result == HUB_NOT_FOUND || result == HUB_TOO_LARGE)
            result = HUB_OK;
    }
    hub_buf_deinit(&file);
    if (result == HUB_OK && known->state && !known->checkpoint) { /* the checkpoint was removed: what it signed still binds */
        known->size = known->at.size;
        known->root = known->at.root;
    }
    return result;
}

/* --- the quick way --- */

/* The right edge below LEVEL's next one: bit b of the partial tile's width is a subtree of 2^b of its hashes. */
static void load_edge(struct hub_audit *audit, int level)
{
    unsigned width = audit->levels[level].count;
    for (unsigned bit = 0; bit < 8; bit++) {
        if ((width >> bit & 1) != 0)
            hub_merkle_root_of(audit->levels[level].hashes + (width >> (bit + 1) << (bit + 1)), (size_t)1 << bit,
                               &audit->tree.edge[8 * (unsigned)level + bit]);
    }
}

static enum hub_result load_level(struct hub_audit *audit, struct hub_tiles *tiles, int level, struct hub_error *err)
{
    const struct hub_merkle_hash *hashes;
    unsigned width;
    uint64_t n = hub_tile_hashes(level, tiles->size) / HUB_TILE_WIDTH;
    audit->levels[level].n = n;
    audit->levels[level].count = hub_tile_width(level, n, tiles->size);
    if (audit->levels[level].count == 0)
        return HUB_OK;
    HUB_TRY(hub_tiles_hashes(tiles, level, n, &hashes, &width, err));
    memcpy(audit->levels[level].hashes, hashes, width * sizeof *hashes);
    load_edge(audit, level);
    return HUB_OK;
}

static enum hub_result load_bundle(struct hub_audit *audit, struct hub_tiles *tiles, struct hub_error *err)
{
    struct hub_span rest, entry;
    struct hub_merkle_hash leaf;
    unsigned width;
    bool exact;
    if (audit->levels[0].count == 0)
        return HUB_OK;
    HUB_TRY(hub_tiles_bundle(tiles, audit->levels[0].n, &rest, &width, &exact, err));
    for (unsigned i = 0; i < width; i++) {
        HUB_TRY(hub_bundle_next(&rest, &entry));
        hub_merkle_leaf(entry, &leaf);
        HUB_ENSURE(hub_merkle_equal(&leaf, &audit->levels[0].hashes[i]), HUB_CORRUPT);
        hub_bundle_append(&audit->bundle, entry);
    }
    return hub_buf_result(&audit->bundle);
}

/* That TILE is there, and a tile of hashes of its length; content is audit verify's business. */
static enum hub_result present(struct hub_audit *audit, const struct hub_tile *tile, struct hub_error *err)
{
    char name[HUB_TILE_PATH_MAX];
    char path[HUB_AUDIT_PATH_MAX];
    uint64_t size = 0;
    int fd = -1;
    hub_tile_path(tile, name);
    HUB_TRY(hub_audit_path(audit->folder, name, path, err));
    HUB_TRY(audit->disk->ops->open(audit->disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = audit->disk->ops->size(audit->disk, fd, &size, err);
    audit->disk->ops->close(audit->disk, fd);
    HUB_TRY(result);
    bool good = tile->level == HUB_TILE_ENTRIES ? size > 2 * (uint64_t)tile->width : size == (uint64_t)tile->width * HUB_HASH_LEN;
    return good ? HUB_OK : HUB_CORRUPT;
}

static enum hub_result all_present(struct hub_audit *audit, uint64_t size, struct hub_error *err)
{
    for (int level = HUB_TILE_ENTRIES; level < HUB_TILE_LEVELS; level++) {
        uint64_t last = hub_tile_hashes(level, size) / HUB_TILE_WIDTH;
        for (uint64_t n = 0; n <= last; n++) {
            struct hub_tile tile = {.level = level, .n = n, .width = hub_tile_width(level, n, size)};
            if (tile.width != 0)
                HUB_TRY(present(audit, &tile, err));
        }
    }
    return HUB_OK;
}

/* That the log still holds, under its number, the record the checkpoint ended with; then goes on behind it. */
static enum hub_result find_record(struct hub_audit *audit, const struct hub_audit_state *at, struct hub_error *err)
{
    uint64_t number;
    struct hub_span payload;
    struct hub_merkle_hash hash;
    if (at->record == 0)
        return hub_log_reader_open(audit->log, 1, &audit->reader, err);
    HUB_ENSURE(at->record <= hub_log_durable(audit->log), HUB_CORRUPT);
    HUB_TRY(hub_log_reader_open(audit->log, at->record, &audit->reader, err));
    HUB_TRY(hub_log_reader_next(audit->reader, &number, &payload, err));
    hub_sha256_of(payload, hash.bytes);
    HUB_ENSURE(number == at->record && hub_merkle_equal(&hash, &at->payload), HUB_CORRUPT);
    return HUB_OK;
}

/* The tree as it was when the state file was written: at the checkpoint, or (after a crash between the two) the
 * one before. */
static enum hub_result load_tree(struct hub_audit *audit, struct hub_tiles *tiles, const struct hub_merkle_hash *signed_root,
                                 struct hub_error *err)
{
    struct hub_merkle_hash root;
    for (int level = 0; level < HUB_TILE_LEVELS; level++)
        HUB_TRY(load_level(audit, tiles, level, err));
    audit->tree.size = tiles->size;
    hub_merkle_root(&audit->tree, &root);
    HUB_ENSURE(hub_merkle_equal(&root, signed_root), HUB_CORRUPT);
    HUB_TRY(load_bundle(audit, tiles, err));
    return all_present(audit, tiles->size, err);
}

static enum hub_result load(struct hub_audit *audit, const struct known *known, struct hub_tiles *tiles, struct hub_error *err)
{
    HUB_TRY(load_tree(audit, tiles, &known->at.root, err));
    HUB_TRY(find_record(audit, &known->at, err));
    audit->record = known->at.record;
    audit->payload = known->at.payload;
    audit->hashed = known->at.record;
    atomic_store(&audit->settled, known->at.record != 0 ? known->at.record - 1 : 0);
    return HUB_OK;
}

void hub_audit_forget(struct hub_audit *audit)
{
    hub_log_reader_close(audit->reader);
    audit->reader = NULL;
    hub_merkle_init(&audit->tree);
    memset(audit->levels, 0, sizeof audit->levels);
    hub_buf_reset(&audit->bundle);
    audit->record = 0;
    audit->hashed = 0;
    memset(&audit->payload, 0, sizeof audit->payload);
    memset(audit->made, 0, sizeof audit->made);
    hub_audit_write_drop(audit);
    audit->skip = 0;
    audit->behind = false;
}

static bool load_quick(struct hub_audit *audit, const struct known *known)
{
    struct hub_error ignored; /* whatever it is, the sure way finds it again */
    if (!known->checkpoint || !known->state || known->at.size > known->size ||
        (known->at.size == known->size && !hub_merkle_equal(&known->at.root, &known->root)))
        return false;
    struct hub_tiles *tiles = hub_tiles_new(audit->disk, audit->folder, known->at.size);
    bool good = tiles != NULL && load(audit, known, tiles, &ignored) == HUB_OK;
    hub_tiles_free(tiles);
    if (!good)
        hub_audit_forget(audit);
    return good;
}

/* --- behind a retention --- */

/* Entries before the log's first record cannot come from it any more: they must be in the files. All others must be
 * what the log gives; so the place of the last signed one in the log is found. */
struct placing {
    struct hub_tiles *tiles;
    uint64_t index; /* of the next entry of the log */
    bool same;
};

static enum hub_result place_entry(void *ctx, struct hub_span entry, struct hub_error *err)
{
    struct placing *placing = ctx;
    const struct hub_merkle_hash *hashes;
    struct hub_merkle_hash leaf;
    unsigned width;
    uint64_t index = placing->index++;
    if (index >= placing->tiles->size)
        return HUB_OK;
    HUB_TRY(hub_tiles_hashes(placing->tiles, 0, index / HUB_TILE_WIDTH, &hashes, &width, err));
    hub_merkle_leaf(entry, &leaf);
    placing->same = placing->same && hub_merkle_equal(&leaf, &hashes[index % HUB_TILE_WIDTH]);
    return HUB_OK;
}

static enum hub_result walk_to_signed(struct hub_audit *audit, struct placing *placing, struct hub_error *err)
{
    struct hub_span payload;
    uint64_t number = hub_log_first(audit->log) - 1;
    HUB_TRY(hub_log_reader_open(audit->log, number + 1, &audit->reader, err));
    while (placing->index < placing->tiles->size) {
        enum hub_result result = hub_log_reader_next(audit->reader, &number, &payload, err);
        if (result == HUB_END)
            return refuse(audit, "the event log ends below the last signed audit entry", restore, err);
        HUB_TRY(result);
        HUB_TRY(hub_audit_record_entries(payload, place_entry, placing, err));
        hub_sha256_of(payload, audit->payload.bytes);
    }
    if (!placing->same || placing->index != placing->tiles->size)
        return refuse(audit, "the event log does not give the signed audit root", restore, err);
    audit->record = number;
    audit->hashed = number >= hub_log_first(audit->log) ? number : 0;
    return HUB_OK;
}

static enum hub_result load_retained(struct hub_audit *audit, const struct known *known, struct hub_error *err)
{
    static const char whole[] = "restore the data directory's audit folder whole from its newest copy";
    struct hub_log_retired gone;
    hub_log_retired(audit->log, &gone);
    if (known->size < gone.entries)
        return refuse(audit, "audit entries are missing whose event records were retired", whole, err);
    struct hub_tiles *tiles = hub_tiles_new(audit->disk, audit->folder, known->size);
    HUB_ENSURE(tiles != NULL, hub_fail(err, HUB_NO_MEMORY, "no memory for the audit log", NULL));
    struct placing placing = {.tiles = tiles, .index = gone.entries, .same = true};
    enum hub_result result = load_tree(audit, tiles, &known->root, err);
    if (result == HUB_NOT_FOUND || result == HUB_CORRUPT)
        result = refuse(audit, "files of the audit log are missing or damaged, and event records they came from were retired",
                        whole, err);
    if (result == HUB_OK)
        result = walk_to_signed(audit, &placing, err);
    hub_tiles_free(tiles);
    return result;
}

/* --- the sure way --- */

struct proving {
    struct hub_merkle tree;
    const struct known *known;
    bool reached, same;
};

static enum hub_result prove_entry(void *ctx, struct hub_span entry, struct hub_error *err)
{
    struct proving *proving = ctx;
    struct hub_merkle_hash hash;
    (void)err;
    if (proving->reached)
        return HUB_OK;
    hub_merkle_leaf(entry, &hash);
    hub_merkle_append(&proving->tree, &hash);
    if (proving->tree.size == proving->known->size) {
        hub_merkle_root(&proving->tree, &hash);
        proving->reached = true;
        proving->same = hub_merkle_equal(&hash, &proving->known->root);
    }
    return HUB_OK;
}

/* That the log gives what was signed, before anything is written: from the tree as it is loaded. */
static enum hub_result prove_log(struct hub_audit *audit, const struct known *known, struct hub_error *err)
{
    struct proving proving = {.tree = audit->tree, .known = known};
    struct hub_log_reader *reader;
    uint64_t number;
    struct hub_span payload;
    if (known->size == audit->tree.size)
        return HUB_OK;
    HUB_TRY(hub_log_reader_open(audit->log, audit->record + 1, &reader, err));
    enum hub_result result = HUB_OK;
    while (result == HUB_OK && !proving.reached) {
        result = hub_log_reader_next(reader, &number, &payload, err);
        if (result == HUB_OK)
            result = hub_audit_record_entries(payload, prove_entry, &proving, err);
    }
    hub_log_reader_close(reader);
    if (result != HUB_OK && result != HUB_END)
        return result;
    if (!proving.reached)
        return refuse(audit, "the event log ends below the last signed audit entry", restore, err);
    return proving.same ? HUB_OK : refuse(audit, "the event log does not give the signed audit root", restore, err);
}

/* Goes from the tree as it is loaded to the log's end, comparing every file on the way. */
static enum hub_result mend(struct hub_audit *audit, const struct known *known, struct hub_error *err)
{
    HUB_TRY(prove_log(audit, known, err));
    audit->mending = true;
    enum hub_result result = hub_audit_apply(audit, err);
    if (result == HUB_OK && audit->tree.size != 0)
        result = hub_audit_publish(audit, err);
    audit->mending = false;
    if (result == HUB_OK && audit->mended != 0 && known->size != 0)
        HUB_DIAG(HUB_DIAG_WARNING, "audit", "files that were missing or not what the event log gives were written again",
                 hub_diag_number("files", (int64_t)audit->mended));
    return result;
}

/* --- what is left over --- */

struct cleaning {
    struct hub_audit *audit;
    struct hub_error *err;
};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* Temporary files of a crash, and partial tiles that the checkpoint does not use. */
static enum hub_result clean_file(void *ctx, const char *path)
{
    struct cleaning *cleaning = ctx;
    struct hub_audit *audit = cleaning->audit;
    struct hub_tile tile;
    char whole[HUB_AUDIT_PATH_MAX];
    bool parsed = hub_tile_path_parse(hub_span_str(path), &tile) == HUB_OK;
    bool partial = parsed && tile.width != HUB_TILE_WIDTH &&
                   tile.width != hub_tile_width(tile.level, tile.n, atomic_load(&audit->signed_size));
    if (!partial && (parsed || !ends_with(path, ".new")))
        return HUB_OK;
    HUB_TRY(hub_audit_path(audit->folder, path, whole, cleaning->err));
    HUB_TRY(audit->disk->ops->unlink(audit->disk, whole, cleaning->err));
    if (partial) {
        *strrchr(whole, '/') = '\0';
        (void)rmdir(whole); /* fails while another width lies there */
    }
    return HUB_OK;
}

enum hub_result hub_audit_resume(struct hub_audit *audit, struct hub_error *err)
{
    struct known known = {.checkpoint = false};
    struct cleaning cleaning = {audit, err};
    HUB_TRY(read_known(audit, &known, err));
    if (known.checkpoint) {
        atomic_store(&audit->signed_size, known.size);
        audit->published = true;
        audit->published_us = hub_clock_mono_us(audit->clock);
        audit->kept[audit->publications++ % HUB_AUDIT_KEPT] = known.size;
    }
    if (!load_quick(audit, &known))
        HUB_TRY(hub_log_first(audit->log) == 1 ? hub_log_reader_open(audit->log, 1, &audit->reader, err)
                                               : load_retained(audit, &known, err));
    if (known.size != audit->tree.size || audit->tree.size == 0)
        HUB_TRY(mend(audit, &known, err));
    return hub_audit_walk(audit->folder, clean_file, &cleaning, err);
}
