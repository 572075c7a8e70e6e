/* The state of an open event log. Internal to src/log. The writer's thread owns everything but what LOCK
 * guards (the list of segments) and the atomics. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "src/base/buf.h"
#include "src/log/log.h"
#include "src/log/segment.h"

/* A place in a segment where reading may start. */
struct hub_log_mark {
    uint64_t number;
    uint64_t offset;
    uint64_t prev_chain;
};

enum { HUB_LOG_MARK_BYTES = 1024 * 1024 }; /* distance of marks in a file */

/* The start of a log from which segments were removed: the file `retired` (docs/FORMATS.md). */
struct hub_log_start {
    uint64_t first;      /* record number; 0: nothing was ever removed */
    uint64_t prev_first; /* as in the header of its segment */
    uint64_t prev_bytes;
    uint64_t prev_chain;
    struct hub_log_retired gone;
    struct hub_log_run *runs; /* oldest first */
    size_t run_count;
};

struct hub_log_segment {
    uint64_t first;
    uint64_t bytes; /* durable size */
    struct hub_log_mark *marks;
    size_t mark_count, mark_cap;
};

enum { HUB_LOG_RECENT_MAX = 1024 };
struct hub_log_group;
struct hub_log_recent { /* under lock; a ring, oldest first (recent.h) */
    struct hub_log_group *groups[HUB_LOG_RECENT_MAX];
    size_t head, count;
    size_t bytes; /* of memory */
};

struct hub_log {
    struct hub_disk *disk;
    char *folder;
    struct hub_log_options options;
    uint8_t id[HUB_LOG_ID_LEN];
    uint32_t seed;
    bool view;             /* opened to look only */
    bool broken;           /* a write or fsync failed: nothing is accepted any more */
    int fd;                /* of the tail segment, -1 none */
    struct hub_buf buf;    /* appended, not yet written */
    size_t record;         /* where the record begins in it that hub_log_begin started */
    uint64_t record_number, record_chain; /* next and chain as they were then */
    uint64_t written;      /* tail offset up to which it was written */
    uint64_t next;         /* number of the next record */
    uint64_t chain;        /* checksum of the last appended record */
    uint64_t synced_chain; /* of the last durable one */
    atomic_uint_fast64_t durable;
    atomic_uint_fast64_t bytes;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint64_t wakes;                   /* under lock */
    struct hub_log_segment *segments; /* under lock; never empty once open. Only the writer moves them */
    size_t segment_head;              /* those before were retired */
    size_t segment_count, segment_cap;
    atomic_uint_fast64_t first; /* number of the oldest record */
    atomic_bool roll_soon;
    struct hub_log_follower followers[HUB_LOG_FOLLOWERS_MAX]; /* under lock */
    size_t follower_count;
    struct hub_log_start start; /* under lock */
    struct hub_log_recent recent;
};

/* Adds a segment to the list. */
enum hub_result hub_log_segment_add(struct hub_log *log, uint64_t first, uint64_t bytes,
                                    struct hub_error *err) HUB_MUST_USE;
/* Remembers a starting place when it is far enough behind the last; forgetting one is no harm. */
void hub_log_mark_add(struct hub_log *log, uint64_t segment_first, struct hub_log_mark mark);
/* Makes a new tail segment: a file beside, synced, renamed into place, folder synced. HUB_QUOTA: no space,
 * nothing changed. */
enum hub_result hub_log_segment_create(struct hub_log *log, struct hub_error *err) HUB_MUST_USE;

/* Reads the file `retired` into log->start (retire.c); absent: nothing was removed. */
enum hub_result hub_log_start_read(struct hub_log *log, struct hub_error *err) HUB_MUST_USE;

/* Finds segments, checks headers and links, scans the tail and puts a recovered state into LOG (recover.c).
 */
enum hub_result hub_log_recover(struct hub_log *log, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_log_marker_path(const struct hub_log *log, char out[HUB_LOG_PATH_MAX],
                                    struct hub_error *err) HUB_MUST_USE;
