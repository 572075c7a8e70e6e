/* Whether there is room for more messages: free space of the file system and the data directory's quota,
 * looked at no more often than is cheap. The committer's thread looks; any thread may ask what was seen last.
 */
#pragma once

#include <stdatomic.h>

#include "src/base/disk.h"
#include "src/log/log.h"
#include "src/pipeline/commit.h"

struct hub_commit_space {
    struct hub_disk *disk;
    const struct hub_clock *clock;
    const char *data_dir; /* NULL: only what writes say counts */
    uint64_t reserve_bytes, data_bytes, log_bytes;
    int64_t looked_us;   /* monotonic; free space */
    int64_t measured_us; /* monotonic; the whole directory */
    uint64_t free_bytes;
    uint64_t used_bytes;      /* when measured */
    uint64_t used_log_bytes;  /* of the log at that moment */
    int64_t hold_until_us;    /* after a write found no room */
    uint32_t hold_us;         /* longer each time in a row */
    uint64_t wanted;          /* bytes that there was no room for: less is no room yet */
    bool told;                /* the log has said that there is no room, and not yet that there is */
    atomic_bool full;
    _Atomic(enum hub_commit_room) room;
};
void hub_commit_space_init(struct hub_commit_space *space, const struct hub_commit_options *options,
                           struct hub_disk *disk, const struct hub_clock *clock);
/* Looks again when it is time; COMING bytes are about to be written. True: no room. One line of the log when that
 * changes. */
bool hub_commit_space_full(struct hub_commit_space *space, const struct hub_log *log, uint64_t coming);
/* A write found no space (ROOM: where): full for a while, whatever the numbers say. */
void hub_commit_space_ran_out(struct hub_commit_space *space, enum hub_commit_room room, const struct hub_error *err);
/* Messages were stored: there is space again. */
void hub_commit_space_stored(struct hub_commit_space *space);
