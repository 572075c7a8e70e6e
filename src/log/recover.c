/* Recovery (DESIGN section 2, guarantee 1). What may be missing or torn after a power cut is only what was
 * written after the last fsync: the end of the tail segment. Every record carries the number of the last
 * record that was durable when it was written, so an intact record behind a damaged one tells the two apart:
 * written in the same group, both were never acknowledged (blocks of one group reach the disk in any order);
 * written after the damaged one was durable, the log is damaged and nothing is thrown away.
 *
 * After anything but a clean stop the page cache may show bytes the disk never got (a failed fsync marks
 * pages clean). So the tail is copied, the COPY is checked, cut and fsynced, and then takes its place. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/crash.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/log/state.h"

enum { COPY_BYTES = 256 * 1024 };

static const char component[] = "log";
static const char mend_corrupt[] = "restore the event log from a copy; nothing was changed";

/* Where a scan of the tail ended. */
struct tail {
    char path[HUB_LOG_PATH_MAX];
    struct hub_segment_header header;
    int fd;
    uint64_t size;   /* of the file */
    uint64_t offset; /* end of the last good record */
    uint64_t next;   /* number after it */
    uint64_t chain;
};

static enum hub_result corrupt(struct hub_error *err, const char *what, const char *path, uint64_t offset)
{
    (void)hub_fail(err, HUB_CORRUPT, what, mend_corrupt);
    (void)hub_error_in(err, path, 0);
    (void)hub_error_at(err, "offset %llu", (unsigned long long)offset);
    hub_error_number(err, (int64_t)offset);
    return HUB_CORRUPT;
}

enum hub_result hub_log_marker_path(const struct hub_log *log, char out[HUB_LOG_PATH_MAX],
                                    struct hub_error *err)
{
    int len = snprintf(out, HUB_LOG_PATH_MAX, "%s/clean", log->folder);
    if (len < 0 || len >= HUB_LOG_PATH_MAX)
        return hub_fail(err, HUB_IO, "a path is too long", NULL);
    return HUB_OK;
}

/* --- the folder --- */

struct firsts {
    uint64_t *items;
    size_t count, cap;
};

static enum hub_result firsts_add(struct firsts *firsts, uint64_t first, struct hub_error *err)
{
    if (firsts->count == firsts->cap) {
        size_t cap = firsts->cap == 0 ? 64 : firsts->cap * 2;
        uint64_t *grown = hub_mem_resize(firsts->items, cap * sizeof *grown);
        if (grown == NULL)
            return hub_fail(err, HUB_NO_MEMORY, "no memory for the event log's segments", NULL);
        firsts->items = grown;
        firsts->cap = cap;
    }
    firsts->items[firsts->count++] = first;
    return HUB_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Files that never took their place are leftovers of an interrupted roll or recovery. */
static void remove_leftover(struct hub_log *log, const char *name)
{
    char path[HUB_LOG_PATH_MAX];
    size_t len = strlen(name);
    if (log->view || len < 4 || strcmp(name + len - 4, ".new") != 0)
        return;
    int printed = snprintf(path, sizeof path, "%s/%s", log->folder, name);
    if (printed > 0 && (size_t)printed < sizeof path)
        (void)log->disk->ops->unlink(log->disk, path, NULL);
}

/* Segments before the start were retired: what an interrupted removal left goes now. */
static enum hub_result drop_retired(struct hub_log *log, struct firsts *firsts, struct hub_error *err)
{
    size_t gone = 0;
    while (gone < firsts->count && firsts->items[gone] < log->start.first) {
        char path[HUB_LOG_PATH_MAX];
        HUB_TRY(hub_segment_path(log->folder, firsts->items[gone++], "", path, err));
        if (!log->view)
            HUB_TRY(log->disk->ops->unlink(log->disk, path, err));
    }
    firsts->count -= gone;
    if (gone == 0)
        return HUB_OK;
    memmove(firsts->items, firsts->items + gone, firsts->count * sizeof *firsts->items);
    if (firsts->count == 0)
        return corrupt(err, "the event log's segments are missing", log->folder, 0);
    return log->view ? HUB_OK : log->disk->ops->sync_dir(log->disk, log->folder, err);
}

static enum hub_result list_segments(struct hub_log *log, struct firsts *firsts, struct hub_error *err)
{
    DIR *dir = opendir(log->folder);
    if (dir == NULL) {
        enum hub_result missing = errno == ENOENT ? HUB_NOT_FOUND : HUB_IO;
        (void)hub_fail_errno(err, missing, "cannot list the event log's folder", errno);
        (void)hub_error_in(err, log->folder, 0);
        return missing;
    }
    enum hub_result result = HUB_OK;
    for (struct dirent *entry = readdir(dir); entry != NULL && result == HUB_OK; entry = readdir(dir)) {
        uint64_t first = hub_segment_name_parse(entry->d_name);
        if (first != 0)
            result = firsts_add(firsts, first, err);
        else
            remove_leftover(log, entry->d_name);
    }
    (void)closedir(dir);
    if (result == HUB_OK && firsts->count > 1)
        qsort(firsts->items, firsts->count, sizeof *firsts->items, by_number);
    return result;
}

/* --- headers and links --- */

static enum hub_result read_header(struct hub_log *log, const char *path, int fd, uint64_t first,
                                   struct hub_segment_header *header, uint64_t *size, struct hub_error *err)
{
    uint8_t bytes[HUB_SEGMENT_HEADER_LEN];
    size_t got = 0;
    HUB_TRY(log->disk->ops->size(log->disk, fd, size, err));
    HUB_TRY(log->disk->ops->read(log->disk, fd, 0, bytes, sizeof bytes, &got, err));
    if (got != sizeof bytes || hub_segment_header_decode(bytes, header) != HUB_OK)
        return corrupt(err, "the head of a segment of the event log is damaged", path, 0);
    if (header->first != first)
        return corrupt(err, "a segment of the event log does not belong under its name", path, 32);
    return HUB_OK;
}

/* BEFORE is NULL for the first segment. */
static enum hub_result check_link(struct hub_log *log, const char *path,
                                  const struct hub_segment_header *header,
                                  const struct hub_log_segment *before, struct hub_error *err)
{
    if (before == NULL) {
        const struct hub_log_start *start = &log->start;
        bool whole = start->first == 0 && header->first == 1 && header->prev_first == 0;
        bool retained = start->first != 0 && header->first == start->first &&
                        header->prev_first == start->prev_first && header->prev_bytes == start->prev_bytes &&
                        header->prev_chain == start->prev_chain;
        if (!whole && !retained)
            return corrupt(err, "segments are missing at the start of the event log", path, 40);
        if (retained && memcmp(header->log_id, log->id, sizeof log->id) != 0)
            return corrupt(err, "a segment belongs to another event log", path, 16);
        atomic_store(&log->first, header->first);
        memcpy(log->id, header->log_id, sizeof log->id);
        log->seed = hub_segment_seed(log->id);
        return HUB_OK;
    }
    if (memcmp(header->log_id, log->id, sizeof log->id) != 0)
        return corrupt(err, "a segment belongs to another event log", path, 16);
    if (header->prev_first != before->first)
        return corrupt(err, "a segment of the event log is missing before this one", path, 40);
    if (header->prev_bytes != before->bytes)
        return corrupt(err, "the segment before this one does not have its final size", path, 48);
    return HUB_OK;
}

/* Opens the last segment into TAIL, checks all others' headers. */
static enum hub_result check_segments(struct hub_log *log, const struct firsts *firsts, struct tail *tail,
                                      struct hub_error *err)
{
    for (size_t i = 0; i < firsts->count; i++) {
        bool last = i + 1 == firsts->count;
        struct hub_disk *disk = log->disk;
        HUB_TRY(hub_segment_path(log->folder, firsts->items[i], "", tail->path, err));
        HUB_TRY(disk->ops->open(disk, tail->path, last && !log->view ? HUB_DISK_WRITE : HUB_DISK_READ,
                                &tail->fd, err));
        HUB_TRY(read_header(log, tail->path, tail->fd, firsts->items[i], &tail->header, &tail->size, err));
        HUB_TRY(check_link(log, tail->path, &tail->header, i == 0 ? NULL : &log->segments[i - 1], err));
        HUB_TRY(hub_log_segment_add(log, firsts->items[i], tail->size, err));
        if (last)
            break;
        disk->ops->close(disk, tail->fd);
        tail->fd = -1;
        atomic_fetch_add(&log->bytes, tail->size);
    }
    return HUB_OK;
}

/* --- the tail --- */

/* A whole record at OFFSET: HUB_OK; HUB_NOT_FOUND: none; else the disk's failure. */
static enum hub_result record_at(struct hub_log *log, struct hub_segment_window *window, uint64_t offset,
                                 struct hub_segment_head *head, struct hub_error *err)
{
    const uint8_t *bytes = NULL;
    enum hub_result result = hub_segment_window_view(window, offset, HUB_SEGMENT_HEAD_LEN, &bytes, err);
    if (result == HUB_END || (result == HUB_OK && !hub_segment_head_decode(bytes, log->seed, head)))
        return HUB_NOT_FOUND;
    HUB_TRY(result);
    uint64_t body = hub_segment_body_len(head->len);
    result = hub_segment_window_view(window, offset, HUB_SEGMENT_HEAD_LEN + (size_t)body, &bytes, err);
    if (result == HUB_END)
        return HUB_NOT_FOUND;
    HUB_TRY(result);
    struct hub_span span = hub_span_of(bytes + HUB_SEGMENT_HEAD_LEN, (size_t)body);
    return hub_segment_body_valid(bytes, head, log->seed, span) ? HUB_OK : HUB_NOT_FOUND;
}

/* Behind the damaged record NUMBER: HUB_CORRUPT when a record was written after NUMBER had been durable. */
static enum hub_result look_behind(struct hub_log *log, struct hub_segment_window *window,
                                   const struct tail *tail, struct hub_error *err)
{
    struct hub_segment_head head;
    for (uint64_t offset = tail->offset + HUB_SEGMENT_ALIGN; offset < tail->size;
         offset += HUB_SEGMENT_ALIGN) {
        enum hub_result result = record_at(log, window, offset, &head, err);
        if (result == HUB_NOT_FOUND)
            continue;
        HUB_TRY(result);
        if (head.number > tail->next && head.synced >= tail->next)
            return corrupt(err, "a stored record of the event log is damaged", tail->path, tail->offset);
    }
    return HUB_OK;
}

static enum hub_result scan_tail(struct hub_log *log, struct tail *tail, struct hub_error *err)
{
    struct hub_segment_window window;
    hub_segment_window_init(&window, log->disk, tail->fd, tail->size);
    tail->offset = HUB_SEGMENT_HEADER_LEN;
    tail->next = tail->header.first;
    tail->chain = tail->header.prev_chain;
    enum hub_result result = HUB_OK;
    while (tail->offset < tail->size) {
        struct hub_segment_head head;
        result = record_at(log, &window, tail->offset, &head, err);
        if (result != HUB_OK || head.number != tail->next || head.prev_chain != tail->chain)
            break;
        hub_log_mark_add(log, tail->header.first,
                         (struct hub_log_mark){tail->next, tail->offset, tail->chain});
        tail->offset += HUB_SEGMENT_HEAD_LEN + hub_segment_body_len(head.len);
        tail->chain = hub_segment_chain(&head);
        tail->next++;
    }
    if (result == HUB_NOT_FOUND)
        result = HUB_OK;
    if (result == HUB_OK && tail->offset < tail->size)
        result = look_behind(log, &window, tail, err);
    hub_segment_window_deinit(&window);
    return result;
}

/* The clean-stop marker: HUB_OK it is there and fits, HUB_NOT_FOUND none (or unreadable: as after a crash).
 */
static enum hub_result read_marker(struct hub_log *log, struct hub_segment_marker *marker,
                                   struct hub_error *err)
{
    char path[HUB_LOG_PATH_MAX];
    HUB_TRY(hub_log_marker_path(log, path, err));
    uint8_t bytes[HUB_SEGMENT_MARKER_LEN + 1];
    size_t got = 0;
    int fd = -1;
    HUB_TRY(log->disk->ops->open(log->disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = log->disk->ops->read(log->disk, fd, 0, bytes, sizeof bytes, &got, err);
    log->disk->ops->close(log->disk, fd);
    HUB_TRY(result);
    return hub_segment_marker_decode(hub_span_of(bytes, got), marker) ? HUB_OK : HUB_NOT_FOUND;
}

static enum hub_result check_marker(const struct hub_log *log, const struct hub_segment_marker *marker,
                                    const struct tail *tail, struct hub_error *err)
{
    bool fits = memcmp(marker->log_id, log->id, sizeof log->id) == 0 &&
                marker->tail_first == tail->header.first && marker->tail_bytes == tail->size &&
                tail->offset == tail->size && marker->last == tail->next - 1 && marker->chain == tail->chain;
    if (fits)
        return HUB_OK;
    return corrupt(err, "the event log does not end as its clean stop says", tail->path, tail->offset);
}

/* Must be gone, for sure, before the first new record: or a crash would look like a clean stop. */
static enum hub_result remove_marker(struct hub_log *log, struct hub_error *err)
{
    char path[HUB_LOG_PATH_MAX];
    HUB_TRY(hub_log_marker_path(log, path, err));
    enum hub_result result = log->disk->ops->unlink(log->disk, path, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    hub_crash_point(HUB_CRASH_MARKER_GONE);
    return log->disk->ops->sync_dir(log->disk, log->folder, err);
}

static enum hub_result copy_bytes(struct hub_disk *disk, int from, int to, uint64_t size,
                                  struct hub_error *err)
{
    uint8_t *chunk = hub_mem_alloc(COPY_BYTES);
    if (chunk == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory to copy a segment", NULL);
    enum hub_result result = HUB_OK;
    for (uint64_t offset = 0; offset < size && result == HUB_OK;) {
        size_t want = size - offset < COPY_BYTES ? (size_t)(size - offset) : COPY_BYTES;
        size_t got = 0;
        result = disk->ops->read(disk, from, offset, chunk, want, &got, err);
        if (result == HUB_OK && got != want)
            result =
                hub_fail(err, HUB_IO, "a segment of the event log became shorter while it was read", NULL);
        if (result == HUB_OK)
            result = disk->ops->write(disk, to, offset, hub_span_of(chunk, got), err);
        offset += got;
    }
    hub_mem_free(chunk);
    return result;
}

/* The copy goes through every check; what it holds is what the log holds from now on. */
static enum hub_result copy_tail(struct hub_log *log, struct tail *tail, struct hub_error *err)
{
    struct hub_disk *disk = log->disk;
    char temp[HUB_LOG_PATH_MAX];
    HUB_TRY(hub_segment_path(log->folder, tail->header.first, ".new", temp, err));
    int fd = -1;
    enum hub_result result;
    int original = tail->fd;
    HUB_TRY(disk->ops->open(disk, temp, HUB_DISK_WRITE, &fd, err));
    HUB_TRY_OUT(disk->ops->truncate(disk, fd, 0, err));
    HUB_TRY_OUT(copy_bytes(disk, original, fd, tail->size, err));
    tail->fd = fd;
    HUB_TRY_OUT(read_header(log, tail->path, fd, tail->header.first, &tail->header, &tail->size, err));
    HUB_TRY_OUT(scan_tail(log, tail, err));
    HUB_TRY_OUT(disk->ops->truncate(disk, fd, tail->offset, err));
    HUB_TRY_OUT(disk->ops->sync(disk, fd, err));
    hub_crash_point(HUB_CRASH_RECOVER_COPY);
    HUB_TRY_OUT(disk->ops->rename(disk, temp, tail->path, err));
    hub_crash_point(HUB_CRASH_RECOVER_RENAMED);
    HUB_TRY_OUT(disk->ops->sync_dir(disk, log->folder, err));
    disk->ops->close(disk, original);
    return HUB_OK;
out:
    tail->fd = original;
    disk->ops->close(disk, fd);
    (void)disk->ops->unlink(disk, temp, NULL);
    return result;
}

static void take_tail(struct hub_log *log, struct tail *tail)
{
    if (tail->offset < tail->size && !log->view)
        HUB_DIAG(HUB_DIAG_NOTICE, component, "cut what an unclean stop left unfinished at the end of the log",
                 hub_diag_number("bytes", (int64_t)(tail->size - tail->offset)),
                 hub_diag_number("last_record", (int64_t)tail->next - 1));
    log->fd = tail->fd;
    tail->fd = -1;
    log->written = tail->offset;
    log->next = tail->next;
    log->chain = tail->chain;
    log->synced_chain = tail->chain;
    log->segments[log->segment_count - 1].bytes = tail->offset;
    atomic_store(&log->durable, tail->next - 1);
    atomic_fetch_add(&log->bytes, tail->offset);
}

static enum hub_result recover_tail(struct hub_log *log, const struct firsts *firsts, struct tail *tail,
                                    struct hub_error *err)
{
    struct hub_segment_marker marker;
    enum hub_result marked = read_marker(log, &marker, err);
    if (marked != HUB_OK && marked != HUB_NOT_FOUND)
        return marked;
    if (firsts->count == 0 && (marked == HUB_OK || log->start.first != 0))
        return corrupt(err, "the event log's segments are missing", log->folder, 0);
    if (firsts->count == 0)
        return HUB_OK;
    HUB_TRY(check_segments(log, firsts, tail, err));
    if (marked == HUB_OK || log->view)
        HUB_TRY(scan_tail(log, tail, err));
    if (marked == HUB_OK)
        HUB_TRY(check_marker(log, &marker, tail, err));
    else if (!log->view)
        HUB_TRY(copy_tail(log, tail, err));
    if (!log->view)
        HUB_TRY(remove_marker(log, err));
    take_tail(log, tail);
    return HUB_OK;
}

enum hub_result hub_log_recover(struct hub_log *log, struct hub_error *err)
{
    struct firsts firsts = {0};
    struct tail *tail = hub_mem_alloc(sizeof *tail);
    enum hub_result result;
    if (tail == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the event log", NULL);
    tail->fd = -1;
    HUB_TRY_OUT(hub_log_start_read(log, err));
    HUB_TRY_OUT(list_segments(log, &firsts, err));
    HUB_TRY_OUT(drop_retired(log, &firsts, err));
    HUB_TRY_OUT(recover_tail(log, &firsts, tail, err));
out:
    if (tail->fd >= 0)
        log->disk->ops->close(log->disk, tail->fd);
    hub_mem_free(tail);
    hub_mem_free(firsts.items);
    return result;
}
