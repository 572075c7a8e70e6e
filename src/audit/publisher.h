/* Inside of the audit publisher, shared by audit.c (applying and publishing) and catchup.c (opening). */
#pragma once

#include <stdatomic.h>

#include "src/audit/audit.h"
#include "src/audit/files.h"
#include "src/audit/note.h"

enum {
    HUB_AUDIT_DIRTY_MAX = 32,
    HUB_AUDIT_PENDING_MAX = 64, /* files written and not yet synced, open */
};
enum { HUB_AUDIT_KEPT = 8 }; /* partial tiles of so many checkpoints stay, for readers that hold one of them */

struct hub_audit {
    struct hub_disk *disk;
    struct hub_log *log;
    struct hub_log_reader *reader;
    const struct hub_clock *clock;
    struct hub_audit_signer signer;
    struct hub_note_key key;
    char *folder;
    char origin[HUB_NOTE_NAME_MAX + 1];
    int64_t checkpoint_us;

    struct hub_merkle tree;
    struct {
        uint64_t n;     /* the tile being filled */
        unsigned count; /* hashes in it; 256: full and not yet written */
        struct hub_merkle_hash hashes[HUB_TILE_WIDTH];
    } levels[HUB_TILE_LEVELS];
    struct hub_buf bundle; /* the entries of levels[0] */
    char made[HUB_TILE_LEVELS + 1][HUB_TILE_PATH_MAX]; /* the folder each level wrote to last */

    struct {
        int fd;
        struct hub_tile tile;
    } pending[HUB_AUDIT_PENDING_MAX]; /* files under their temporary names, not synced yet */
    size_t pending_count;
    char dirty[HUB_AUDIT_DIRTY_MAX][HUB_TILE_PATH_MAX]; /* folders with names that are not durable yet */
    size_t dirty_count;

    uint64_t record;               /* the last one applied whole */
    uint64_t hashed;               /* the record whose payload has the hash below */
    struct hub_merkle_hash payload; /* SHA-256 */
    size_t skip;                   /* entries of the next record that are applied already (a write failed after them) */
    bool behind;                   /* the reader stands behind a record that was not applied whole */
    bool unsure;                   /* what is behind the last checkpoint must be made anew */
    bool mending;                  /* compare files before writing them */
    uint64_t mended;               /* files of the signed tree that were not as they must be */

    _Atomic uint64_t signed_size;
    _Atomic uint64_t settled; /* the record that the state file names, less one */
    bool published; /* there is a checkpoint */
    int64_t published_us;
    uint64_t kept[HUB_AUDIT_KEPT]; /* sizes of the newest checkpoints, by publication number modulo the count */
    uint64_t publications;
};

/* Entries of the record PAYLOAD in order. CALLBACK's failure ends it. HUB_CORRUPT for what cannot be an entry. */
enum hub_result hub_audit_record_entries(struct hub_span payload, enum hub_result (*callback)(void *ctx, struct hub_span entry, struct hub_error *err),
                                         void *ctx, struct hub_error *err) HUB_MUST_USE;
/* Applies everything durable; publishes on the way when it is time. */
enum hub_result hub_audit_apply(struct hub_audit *audit, struct hub_error *err) HUB_MUST_USE;
/* --- tiles_write.c --- */

/* Writes the file of TILE; it has its name and is durable after the next settle. In mending only where it is not there with
 * these bytes. */
enum hub_result hub_audit_write_tile(struct hub_audit *audit, const struct hub_tile *tile, struct hub_span bytes,
                                     struct hub_error *err) HUB_MUST_USE;
/* Syncs what was written, all of it at once, and gives it its names. After a failure the audit is unsure. */
enum hub_result hub_audit_write_settle(struct hub_audit *audit, struct hub_error *err) HUB_MUST_USE;
/* Closes what is pending; temporary files stay until the next start. */
void hub_audit_write_drop(struct hub_audit *audit);

/* Tiles, bundle, checkpoint, state. */
enum hub_result hub_audit_publish(struct hub_audit *audit, struct hub_error *err) HUB_MUST_USE;
/* The tree is empty again, nothing is known of the log or of files. */
void hub_audit_forget(struct hub_audit *audit);
/* After opening: knows where to go on (or is rebuilt), every file that the last checkpoint needs is there. */
enum hub_result hub_audit_resume(struct hub_audit *audit, struct hub_error *err) HUB_MUST_USE;

/* <folder>/state: where in the log a checkpoint stands; derived, may be absent. docs/FORMATS.md. */
struct hub_audit_state {
    uint64_t size;
    struct hub_merkle_hash root;
    uint64_t record;
    struct hub_merkle_hash payload;
};
enum { HUB_AUDIT_STATE_MAX = 1024 };
void hub_audit_state_write(struct hub_buf *out, const struct hub_audit_state *state);
/* HUB_SYNTAX when it is not exactly what hub_audit_state_write makes. */
enum hub_result hub_audit_state_parse(struct hub_span text, struct hub_audit_state *out) HUB_MUST_USE;
