/* The event log: the only write-ahead log of the hub. Segments of checksummed, chained records under
 * <data_dir>/log/; docs/FORMATS.md gives every byte. One writer (the committer); any number of readers in
 * other threads of the process, which see records only once they are durable. Refuses to go on after a
 * failed write, and to open over damage. The data directory's lock (one process) is the caller's. */
#pragma once

#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_log;
struct hub_log_reader;

struct hub_log_options {
    uint64_t segment_bytes;    /* a segment ends at the first group that starts past this; 0 = 64 MiB */
    uint64_t record_bytes_max; /* 0 = 256 MiB */
    uint64_t recent_bytes;     /* memory for what was written last, for readers that follow close behind; 0 = none */
};

/* Opens and recovers (guarantee 1): a torn tail is cut, damage before the tail is HUB_CORRUPT with file and
 * offset; after anything but a clean stop the tail segment is copied to a new file and fsynced, with its
 * folder, before its records count as stored. */
enum hub_result hub_log_open(const char *folder, struct hub_disk *disk, const struct hub_log_options *options,
                             struct hub_log **out, struct hub_error *err) HUB_MUST_USE;
/* Opens to look only: nothing in the folder is changed, a torn tail is not shown, append is refused. For
 * verification and for commands beside a running hub; sees what was there when it was opened. */
enum hub_result hub_log_view(const char *folder, struct hub_disk *disk, struct hub_log **out, struct hub_error *err) HUB_MUST_USE;
/* Marks a clean stop when CLEAN (everything must be synced). All readers must be closed. NULL is fine. */
void hub_log_close(struct hub_log *log, bool clean);

/* Record numbers start at 1 and have no gaps. The record is PARTS one after the other; adds to the write
 * buffer; durable after hub_log_sync. HUB_TOO_LARGE, HUB_NO_MEMORY: this record is not in, the log is as it
 * was. HUB_QUOTA: as for hub_log_sync. NUMBER may be NULL. */
enum hub_result hub_log_append(struct hub_log *log, const struct hub_span *parts, size_t count, uint64_t *number, struct hub_error *err) HUB_MUST_USE;
/* The same in pieces, for a writer who makes the payload where it will be written from. hub_log_reserve starts a new
 * segment where BYTES more would pass the segment's size (HUB_QUOTA: no space, nothing changed); it does nothing while
 * records wait for the sync. After hub_log_begin the payload is appended to the buffer, then hub_log_end makes it a
 * record (results as hub_log_append). hub_log_cancel forgets what the last hub_log_begin began, ended or not;
 * hub_log_discard everything since the last sync. Nothing is written before hub_log_sync. */
enum hub_result hub_log_reserve(struct hub_log *log, uint64_t bytes, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_log_begin(struct hub_log *log, struct hub_buf **payload, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_log_end(struct hub_log *log, uint64_t *number, struct hub_error *err) HUB_MUST_USE;
void hub_log_cancel(struct hub_log *log);
/* What was appended since hub_log_begin; valid until the next call. */
struct hub_span hub_log_payload(const struct hub_log *log);
enum hub_result hub_log_discard(struct hub_log *log, struct hub_error *err) HUB_MUST_USE;
/* Writes and fsyncs what was appended, then shows it to readers. After a failure the log refuses everything
 * (HUB_IO): never retried as if it had worked. The one exception is HUB_QUOTA, no space before the fsync:
 * everything appended since the last sync is dropped, for certain, and the log may be used again. */
enum hub_result hub_log_sync(struct hub_log *log, struct hub_error *err) HUB_MUST_USE;
/* The random id that all segments of this log carry: 16 bytes. */
void hub_log_id(const struct hub_log *log, uint8_t out[16]);
/* The largest payload that append takes. */
uint64_t hub_log_record_bytes_max(const struct hub_log *log);
/* Last durable record number, 0 = none. Any thread. */
uint64_t hub_log_durable(const struct hub_log *log);
/* Bytes on disk, all segments. Any thread. */
uint64_t hub_log_bytes(const struct hub_log *log);
/* Blocks a reader's thread until something after NUMBER is durable, hub_log_wake, or TIMEOUT_MS (-1: no limit).
 * A wake before the wait is not remembered. */
void hub_log_wait(struct hub_log *log, uint64_t number, int timeout_ms);
void hub_log_wake(struct hub_log *log);

/* --- what is behind the log's start --- */

/* The number of the oldest record that is still here: 1, or what retention left. Any thread. */
uint64_t hub_log_first(const struct hub_log *log);
struct hub_log_extent { /* a segment: from its first record to the next one's */
    uint64_t first, bytes;
};
/* The oldest segments, at most CAP of them (OUT NULL: all, counted only); the last one of the log is the tail. Returns
 * how many. Any thread. */
size_t hub_log_extents(struct hub_log *log, struct hub_log_extent *out, size_t cap);
/* The next group begins a new segment, if the tail holds a record. Any thread. */
void hub_log_roll_soon(struct hub_log *log);

/* Who follows the log says under a name of its own how far it got for good: what a crash, a power cut and the loss of
 * its own store would not make it ask for again. Records behind the slowest are kept. NAME (a literal of at most 31
 * characters) is known from the first call on; HUB_TOO_MANY past 16 names. Any thread. */
enum hub_result hub_log_follow(struct hub_log *log, const char *name, uint64_t position, struct hub_error *err) HUB_MUST_USE;
struct hub_log_follower {
    const char *name;
    uint64_t position;
};
enum { HUB_LOG_FOLLOWERS_MAX = 16 };
/* All of them in the order of their first calls. Returns how many. Any thread. */
size_t hub_log_followers(struct hub_log *log, struct hub_log_follower out[HUB_LOG_FOLLOWERS_MAX]);

enum { HUB_LOG_RULE_MAX = 47, HUB_LOG_RUNS_MAX = 1000 };
struct hub_log_run { /* one time that records were removed */
    uint64_t before;     /* first record that stayed */
    int64_t at_us;
    char rule[HUB_LOG_RULE_MAX + 1]; /* "keep=30d": no spaces */
};
struct hub_log_retired { /* all that is gone, together */
    uint64_t records, messages, events;
    uint64_t entries;    /* audit entries: so many came before the log's first record */
    uint64_t bytes;
};
/* Removes the segments before the one that starts with RUN->before, for good; MORE counts what they hold. First the file
 * `retired` says so, then they go, oldest first: whatever ends the process or the power, the log opens again, whole from
 * one of the two starts on. HUB_NOT_FOUND: no segment starts there, or it is the first; HUB_BUSY: a follower is not past
 * it; HUB_QUOTA, HUB_IO: nothing was removed, or not all files (the next start removes the rest). One thread at a time,
 * beside the writer and readers. */
enum hub_result hub_log_retire(struct hub_log *log, const struct hub_log_run *run, const struct hub_log_retired *more,
                               struct hub_error *err) HUB_MUST_USE;
/* Sums; all zero when everything is still here. Any thread. */
void hub_log_retired(struct hub_log *log, struct hub_log_retired *out);
/* The run that removed record NUMBER; false: it is still here, or never was. Past HUB_LOG_RUNS_MAX runs the oldest are
 * merged: the later one's time and rule stand for both. Any thread. */
bool hub_log_retired_by(struct hub_log *log, uint64_t number, struct hub_log_run *out);

/* FROM is the first record number wanted; it need not be there yet. One thread at a time, files of its own. */
enum hub_result hub_log_reader_open(struct hub_log *log, uint64_t from, struct hub_log_reader **out, struct hub_error *err) HUB_MUST_USE;
void hub_log_reader_close(struct hub_log_reader *reader);
/* HUB_END: nothing durable beyond (yet). HUB_NOT_FOUND: the record was retired; seek to hub_log_first. PAYLOAD is valid until the next call. Checksums and the chain of
 * what is read from the files are verified: HUB_CORRUPT with file and offset. */
enum hub_result hub_log_reader_next(struct hub_log_reader *reader, uint64_t *number, struct hub_span *payload, struct hub_error *err) HUB_MUST_USE;
/* The next record read is NUMBER. */
enum hub_result hub_log_reader_seek(struct hub_log_reader *reader, uint64_t number, struct hub_error *err) HUB_MUST_USE;
