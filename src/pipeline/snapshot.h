/* Snapshots: copies of timeline and index as they were at a record of the event log, each verified, from which a store
 * that is lost or damaged is rebuilt with what the log holds after it. They lie in <data_dir>/snapshots/<number>/, and
 * one without its file `manifest` is none (docs/FORMATS.md). Nothing of the log is retired that a snapshot does not
 * cover.
 *
 * Taking one shares most bytes with the stores by hard links; it lags them by what they rewrite meanwhile. */
#pragma once

#include "src/pipeline/hub_internal.h"

struct hub_snapshot {
    uint64_t number;
    int64_t taken_us;
    uint64_t timeline, index; /* last record applied in each */
    uint8_t state[32];        /* as hub_timeline_state_digest */
    uint8_t timeline_sum[32], index_sum[32];
};

/* Makes a snapshot, opens its copies, compares the timeline's with what the timeline held at that moment, and only then
 * says that it is one; then the one before goes. One at a time; any thread but the committer's and the applier's.
 * HUB_CLOSED: the hub stops. On failure the one before stays. */
enum hub_result hub_snapshot_take(struct hub *hub, struct hub_snapshot *out, struct hub_error *err) HUB_MUST_USE;
/* The newest whole one of this log. HUB_NOT_FOUND. */
enum hub_result hub_snapshot_newest(struct hub *hub, struct hub_snapshot *out, struct hub_error *err) HUB_MUST_USE;
/* Both copies open and still sum up to what was recorded. HUB_CORRUPT. */
enum hub_result hub_snapshot_verify(struct hub *hub, const struct hub_snapshot *snapshot, struct hub_error *err) HUB_MUST_USE;

enum hub_snapshot_store { HUB_SNAPSHOT_TIMELINE, HUB_SNAPSHOT_INDEX };
/* While the hub opens: <data_dir>/timeline or index is put back from the newest snapshot that is good. HUB_NOT_FOUND: there
 * is none (nothing was changed). */
enum hub_result hub_snapshot_restore(struct hub *hub, enum hub_snapshot_store store, struct hub_error *err) HUB_MUST_USE;
/* Opens the store with OPEN (which gets its folder). Where it is not there, marked as damaged, or OPEN says with *LOST
 * that it cannot be used (unreadable, or behind what the event log still holds), it is put back first, and OPEN called
 * again. Where nothing can be put back and the log holds all it was made from, what is left of it goes and an empty store
 * is opened. */
enum hub_result hub_snapshot_open_store(struct hub *hub, enum hub_snapshot_store store,
                                        enum hub_result (*open)(struct hub *hub, const char *folder, bool *lost,
                                                                struct hub_error *err),
                                        struct hub_error *err) HUB_MUST_USE;
/* Reading it found damage: the next start puts it back. */
void hub_snapshot_mark_damaged(struct hub *hub, enum hub_snapshot_store store);
/* What an interrupted one left. */
void hub_snapshot_clean(struct hub *hub);
