/* The event log: the only write-ahead log of the hub. Segments of checksummed records under
 * <data_dir>/log/; docs/FORMATS.md gives every byte. One writer (the committer); any number of readers in
 * other threads of the process, which see records only once they are durable. */
#pragma once

#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_log;
struct hub_log_reader;

struct hub_log_options {
    uint64_t segment_bytes;
    uint64_t record_bytes_max;
};

/* Opens and recovers (guarantee 1): a torn tail is cut, damage before the tail is HUB_CORRUPT with file and
 * offset; after anything but a clean stop the tail segment is copied to a new file and fsynced, with its
 * folder, before its records count as stored. */
enum hub_result hub_log_open(const char *folder, struct hub_disk *disk, const struct hub_log_options *options,
                             struct hub_log **out, struct hub_error *err) HUB_MUST_USE;
/* Marks a clean stop when CLEAN (everything must be synced). NULL is fine. */
void hub_log_close(struct hub_log *log, bool clean);

/* Record numbers start at 1 and have no gaps. Adds to the write buffer; durable after hub_log_sync. */
enum hub_result hub_log_append(struct hub_log *log, const struct hub_span *parts, size_t count, uint64_t *number, struct hub_error *err) HUB_MUST_USE;
/* Writes and fsyncs what was appended, then shows it to readers. After a failure the log refuses everything
 * (HUB_IO): never retried as if it had worked. */
enum hub_result hub_log_sync(struct hub_log *log, struct hub_error *err) HUB_MUST_USE;
/* Last durable record number, 0 = none. Any thread. */
uint64_t hub_log_durable(const struct hub_log *log);
/* Bytes on disk, all segments. Any thread. */
uint64_t hub_log_bytes(const struct hub_log *log);
/* Blocks a reader's thread until something after NUMBER is durable, hub_log_wake, or TIMEOUT_MS. */
void hub_log_wait(struct hub_log *log, uint64_t number, int timeout_ms);
void hub_log_wake(struct hub_log *log);

/* FROM is the first record number wanted. */
enum hub_result hub_log_reader_open(struct hub_log *log, uint64_t from, struct hub_log_reader **out, struct hub_error *err) HUB_MUST_USE;
void hub_log_reader_close(struct hub_log_reader *reader);
/* HUB_END: nothing durable beyond. PAYLOAD is valid until the next call. Checksums are verified. */
enum hub_result hub_log_reader_next(struct hub_log_reader *reader, uint64_t *number, struct hub_span *payload, struct hub_error *err) HUB_MUST_USE;
/* One record by number. */
enum hub_result hub_log_reader_seek(struct hub_log_reader *reader, uint64_t number, struct hub_error *err) HUB_MUST_USE;
