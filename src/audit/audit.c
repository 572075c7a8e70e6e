#include "src/audit/audit.h"

#include <stdio.h>
#include <unistd.h>

#include "src/audit/publisher.h"
#include "src/base/crash.h"
#include "src/base/mem.h"
#include "src/log/record.h"

/* --- applying --- */

enum hub_result hub_audit_record_entries(struct hub_span payload, enum hub_result (*callback)(void *ctx, struct hub_span entry, struct hub_error *err),
                                         void *ctx, struct hub_error *err)
{
    struct hub_record_view view;
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result = hub_record_parse(payload, &view);
    while (result == HUB_OK && (result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        if (kind != HUB_SECTION_AUDIT)
            continue;
        if (bytes.len == 0 || bytes.len > HUB_TILE_ENTRY_MAX)
            return hub_fail(err, HUB_CORRUPT, "an audit entry of the event log has a length that cannot be", NULL);
        HUB_TRY(callback(ctx, bytes, err));
    }
    if (result == HUB_END)
        return HUB_OK;
    return hub_fail(err, result, "a record of the event log cannot be read", NULL);
}

static enum hub_result write_hashes(struct hub_audit *audit, int level, struct hub_error *err)
{
    struct hub_tile tile = {.level = level, .n = audit->levels[level].n, .width = audit->levels[level].count};
    return hub_audit_write_tile(audit, &tile, hub_span_of(audit->levels[level].hashes, tile.width * sizeof(struct hub_merkle_hash)), err);
}

static enum hub_result write_bundle(struct hub_audit *audit, struct hub_error *err)
{
    struct hub_tile tile = {.level = HUB_TILE_ENTRIES, .n = audit->levels[0].n, .width = audit->levels[0].count};
    return hub_audit_write_tile(audit, &tile, hub_buf_view(&audit->bundle), err);
}

/* Writes what is full and opens the next tile; may be called again after a failure. */
static enum hub_result settle(struct hub_audit *audit, struct hub_error *err)
{
    for (int level = 0; level < HUB_TILE_LEVELS; level++) {
        if (audit->levels[level].count < HUB_TILE_WIDTH)
            continue;
        if (level == 0)
            HUB_TRY(write_bundle(audit, err));
        HUB_TRY(write_hashes(audit, level, err));
        HUB_ASSERT(level + 1 < HUB_TILE_LEVELS && audit->levels[level + 1].count < HUB_TILE_WIDTH);
        hub_merkle_root_of(audit->levels[level].hashes, HUB_TILE_WIDTH,
                           &audit->levels[level + 1].hashes[audit->levels[level + 1].count++]);
        audit->levels[level].n++;
        audit->levels[level].count = 0;
        if (level == 0)
            hub_buf_reset(&audit->bundle);
    }
    return HUB_OK;
}

static enum hub_result append_entry(struct hub_audit *audit, struct hub_span entry, struct hub_error *err)
{
    HUB_TRY(settle(audit, err));
    size_t before = audit->bundle.len;
    hub_bundle_append(&audit->bundle, entry);
    enum hub_result result = hub_buf_result(&audit->bundle);
    if (result != HUB_OK) {
        audit->bundle.len = before;
        audit->bundle.failed = HUB_OK;
        return hub_fail(err, result, "no memory for a bundle of audit entries", NULL);
    }
    struct hub_merkle_hash *leaf = &audit->levels[0].hashes[audit->levels[0].count];
    hub_merkle_leaf(entry, leaf);
    hub_merkle_append(&audit->tree, leaf);
    audit->levels[0].count++;
    return HUB_OK;
}

struct applying {
    struct hub_audit *audit;
    size_t seen;
};

static enum hub_result apply_entry(void *ctx, struct hub_span entry, struct hub_error *err)
{
    struct applying *applying = ctx;
    if (applying->seen++ < applying->audit->skip)
        return HUB_OK;
    HUB_TRY(append_entry(applying->audit, entry, err));
    applying->audit->skip++;
    return HUB_OK;
}

static enum hub_result apply_record(struct hub_audit *audit, uint64_t number, struct hub_span payload, struct hub_error *err)
{
    struct applying applying = {.audit = audit};
    HUB_TRY(hub_audit_record_entries(payload, apply_entry, &applying, err));
    audit->skip = 0;
    audit->record = number;
    return HUB_OK;
}

/* The state file names the last record by its hash: of those in between nobody asks. */
static void hash_record(struct hub_audit *audit, struct hub_span payload)
{
    hub_sha256_of(payload, audit->payload.bytes);
    audit->hashed = audit->record;
}

static bool due(const struct hub_audit *audit)
{
    if (audit->tree.size <= atomic_load(&audit->signed_size))
        return false;
    return !audit->published || hub_clock_mono_us(audit->clock) - audit->published_us >= audit->checkpoint_us;
}

enum hub_result hub_audit_apply(struct hub_audit *audit, struct hub_error *err)
{
    if (audit->behind)
        HUB_TRY(hub_log_reader_seek(audit->reader, audit->record + 1, err));
    audit->behind = false;
    for (;;) {
        uint64_t number;
        struct hub_span payload;
        enum hub_result result = hub_log_reader_next(audit->reader, &number, &payload, err);
        if (result == HUB_END)
            return HUB_OK;
        if (result == HUB_OK)
            result = apply_record(audit, number, payload, err);
        bool publish = result == HUB_OK && !audit->mending && due(audit);
        if (result == HUB_OK && (publish || number >= hub_log_durable(audit->log)))
            hash_record(audit, payload);
        if (publish)
            result = hub_audit_publish(audit, err);
        if (result != HUB_OK) {
            audit->behind = true;
            return result;
        }
    }
}

/* --- publishing --- */

static enum hub_result write_partials(struct hub_audit *audit, struct hub_error *err)
{
    HUB_TRY(settle(audit, err));
    if (audit->levels[0].count != 0)
        HUB_TRY(write_bundle(audit, err));
    hub_crash_point(HUB_CRASH_MID_TILES);
    for (int level = 0; level < HUB_TILE_LEVELS; level++) {
        if (audit->levels[level].count != 0)
            HUB_TRY(write_hashes(audit, level, err));
    }
    return HUB_OK;
}

static enum hub_result write_checkpoint(struct hub_audit *audit, const struct hub_checkpoint *checkpoint, struct hub_error *err)
{
    char path[HUB_AUDIT_PATH_MAX];
    uint8_t signature[HUB_SIGNATURE_LEN];
    struct hub_buf text, note;
    enum hub_result result;
    hub_buf_init(&text, HUB_NOTE_BYTES_MAX, false);
    hub_buf_init(&note, HUB_NOTE_BYTES_MAX, false);
    hub_checkpoint_write(&text, checkpoint);
    HUB_TRY_OUT(hub_buf_result(&text));
    audit->signer.sign(audit->signer.ctx, hub_buf_view(&text), signature);
    hub_note_write(&note, hub_buf_view(&text), &audit->key, signature);
    HUB_TRY_OUT(hub_buf_result(&note));
    HUB_TRY_OUT(hub_audit_path(audit->folder, "checkpoint", path, err));
    HUB_TRY_OUT(hub_disk_replace(audit->disk, path, hub_buf_view(&note), err));
out:
    hub_buf_deinit(&text);
    hub_buf_deinit(&note);
    return result;
}

static enum hub_result write_state(struct hub_audit *audit, const struct hub_checkpoint *checkpoint, struct hub_error *err)
{
    char path[HUB_AUDIT_PATH_MAX];
    struct hub_audit_state state = {checkpoint->size, checkpoint->root, audit->record, audit->payload};
    struct hub_buf text;
    enum hub_result result;
    hub_buf_init(&text, HUB_AUDIT_STATE_MAX, false);
    hub_audit_state_write(&text, &state);
    HUB_TRY_OUT(hub_buf_result(&text));
    HUB_TRY_OUT(hub_audit_path(audit->folder, "state", path, err));
    HUB_TRY_OUT(hub_disk_replace(audit->disk, path, hub_buf_view(&text), err));
    atomic_store(&audit->settled, state.record != 0 ? state.record - 1 : 0);
out:
    hub_buf_deinit(&text);
    return result;
}

/* Whether a checkpoint that is kept uses TILE. */
static bool still_used(const struct hub_audit *audit, const struct hub_tile *tile)
{
    for (size_t i = 0; i < HUB_AUDIT_KEPT; i++) {
        if (hub_tile_width(tile->level, tile->n, audit->kept[i]) == tile->width)
            return true;
    }
    return false;
}

/* Removes the partial tiles that only the checkpoint of OLD_SIZE used. They were superseded; what cannot be
 * removed now is at the next open. */
static void remove_partials(struct hub_audit *audit, uint64_t old_size)
{
    for (int level = HUB_TILE_ENTRIES; level < HUB_TILE_LEVELS; level++) {
        struct hub_tile tile = {.level = level, .n = hub_tile_hashes(level, old_size) / HUB_TILE_WIDTH};
        tile.width = hub_tile_width(level, tile.n, old_size);
        if (tile.width == 0 || still_used(audit, &tile))
            continue;
        char name[HUB_TILE_PATH_MAX];
        char path[HUB_AUDIT_PATH_MAX];
        struct hub_error ignored;
        hub_tile_path(&tile, name);
        if (hub_audit_path(audit->folder, name, path, &ignored) != HUB_OK ||
            audit->disk->ops->unlink(audit->disk, path, &ignored) != HUB_OK)
            continue;
        *strrchr(path, '/') = '\0';
        (void)rmdir(path); /* fails while another width lies there */
    }
}

enum hub_result hub_audit_publish(struct hub_audit *audit, struct hub_error *err)
{
    struct hub_checkpoint checkpoint = {.origin = hub_span_str(audit->origin), .size = audit->tree.size};
    hub_merkle_root(&audit->tree, &checkpoint.root);
    HUB_ASSERT(checkpoint.size >= atomic_load(&audit->signed_size));
    HUB_TRY(write_partials(audit, err));
    HUB_TRY(hub_audit_write_settle(audit, err)); /* durable before the checkpoint that needs them */
    hub_crash_point(HUB_CRASH_BEFORE_CHECKPOINT);
    HUB_TRY(write_checkpoint(audit, &checkpoint, err));
    hub_crash_point(HUB_CRASH_AFTER_CHECKPOINT);
    atomic_store(&audit->signed_size, checkpoint.size);
    audit->published = true;
    audit->published_us = hub_clock_mono_us(audit->clock);
    uint64_t *slot = &audit->kept[audit->publications++ % HUB_AUDIT_KEPT];
    uint64_t old_size = *slot;
    *slot = checkpoint.size;
    remove_partials(audit, old_size);
    hub_crash_point(HUB_CRASH_BEFORE_AUDIT_STATE);
    return audit->hashed == audit->record ? write_state(audit, &checkpoint, err) : HUB_OK;
}

/* --- life --- */

static enum hub_result write_vkey(struct hub_audit *audit, struct hub_error *err)
{
    char vkey[HUB_NOTE_VKEY_MAX];
    char line[HUB_NOTE_VKEY_MAX + 1];
    char path[HUB_AUDIT_PATH_MAX];
    struct hub_buf there;
    hub_note_vkey_format(&audit->key, vkey);
    (void)snprintf(line, sizeof line, "%s\n", vkey);
    hub_buf_init(&there, HUB_NOTE_BYTES_MAX, false);
    enum hub_result result = hub_audit_read_file(audit->disk, audit->folder, "vkey", &there, err);
    bool same = result == HUB_OK && hub_span_is(hub_buf_view(&there), line);
    hub_buf_deinit(&there);
    if (result == HUB_NOT_FOUND) {
        HUB_TRY(hub_audit_path(audit->folder, "vkey", path, err));
        return hub_disk_replace(audit->disk, path, hub_span_str(line), err);
    }
    if (result == HUB_OK && !same) {
        (void)hub_fail(err, HUB_CORRUPT, "the audit log belongs to another signing key or hub name",
                       "bring back the key store and hub.name of this data directory");
        return hub_error_in(err, audit->folder, 0);
    }
    return result;
}

static enum hub_result start(struct hub_audit *audit, const struct hub_audit_options *options, struct hub_error *err)
{
    audit->folder = hub_mem_strdup(options->folder);
    HUB_ENSURE(audit->folder != NULL, hub_fail(err, HUB_NO_MEMORY, "no memory for the audit log", NULL));
    HUB_TRY(hub_note_key_init(&audit->key, hub_span_str(options->origin), audit->signer.public_key, err));
    (void)snprintf(audit->origin, sizeof audit->origin, "%s", options->origin);
    HUB_TRY(audit->disk->ops->mkdir(audit->disk, audit->folder, err));
    HUB_TRY(write_vkey(audit, err));
    return hub_audit_resume(audit, err);
}

enum hub_result hub_audit_open(const struct hub_audit_options *options, struct hub_disk *disk, struct hub_log *log,
                               const struct hub_audit_signer *signer, struct hub_audit **out, struct hub_error *err)
{
    struct hub_audit *audit = hub_mem_alloc(sizeof *audit);
    HUB_ENSURE(audit != NULL, hub_fail(err, HUB_NO_MEMORY, "no memory for the audit log", NULL));
    audit->disk = disk;
    audit->log = log;
    audit->clock = options->clock != NULL ? options->clock : hub_clock_system();
    audit->signer = *signer;
    audit->checkpoint_us = (int64_t)options->checkpoint_ms * 1000;
    hub_buf_init(&audit->bundle, HUB_BUNDLE_BYTES_MAX, false);
    enum hub_result result = start(audit, options, err);
    if (result != HUB_OK) {
        hub_audit_close(audit);
        return result;
    }
    *out = audit;
    return HUB_OK;
}

/* Everything behind the last checkpoint is forgotten and made and written anew. */
static enum hub_result restart(struct hub_audit *audit, struct hub_error *err)
{
    hub_audit_forget(audit);
    HUB_TRY(hub_audit_resume(audit, err));
    audit->unsure = false;
    return HUB_OK;
}

static enum hub_result step(struct hub_audit *audit, bool force, struct hub_error *err)
{
    HUB_TRY(hub_audit_apply(audit, err));
    bool news = !audit->published || audit->tree.size != atomic_load(&audit->signed_size);
    return due(audit) || (force && news) ? hub_audit_publish(audit, err) : HUB_OK;
}

enum hub_result hub_audit_step(struct hub_audit *audit, bool force, struct hub_error *err)
{
    if (audit->unsure)
        HUB_TRY(restart(audit, err));
    enum hub_result result = step(audit, force, err);
    audit->unsure = audit->unsure || result == HUB_IO;
    return result;
}

void hub_audit_close(struct hub_audit *audit)
{
    if (audit == NULL)
        return;
    hub_audit_write_drop(audit);
    hub_log_reader_close(audit->reader);
    hub_buf_deinit(&audit->bundle);
    hub_mem_free(audit->folder);
    hub_mem_free(audit);
}

uint64_t hub_audit_settled(const struct hub_audit *audit)
{
    return atomic_load(&audit->settled);
}

uint64_t hub_audit_size(const struct hub_audit *audit)
{
    return atomic_load(&audit->signed_size);
}
