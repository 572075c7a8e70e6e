#include "src/log/log.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "src/base/crash.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/log/recent.h"
#include "src/log/state.h"

enum {
    WRITE_THROUGH_BYTES = 8 * 1024 * 1024, /* hub_log_append holds no more than this back until the sync */
    KEPT_BYTES = 2 * WRITE_THROUGH_BYTES,
    GROUP_BYTES_MAX = 64 * 1024 * 1024,    /* of records that wait for the sync, one record apart */
};

static const char component[] = "log";

static const struct hub_log_options default_options = {
    .segment_bytes = 64ull * 1024 * 1024,
    .record_bytes_max = 256ull * 1024 * 1024,
};

static enum hub_result refused(struct hub_error *err)
{
    return hub_fail(err, HUB_IO, "the event log stopped after a failed write",
                    "restart the hub once the disk is well");
}

/* After this nothing is accepted: what the disk holds is not known any more. */
static enum hub_result broken(struct hub_log *log, struct hub_error *err)
{
    log->broken = true;
    if (err != NULL)
        err->result = HUB_IO;
    return HUB_IO;
}

enum hub_result hub_log_segment_add(struct hub_log *log, uint64_t first, uint64_t bytes,
                                    struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    (void)pthread_mutex_lock(&log->lock);
    if (log->segment_count == log->segment_cap && log->segment_head > log->segment_count / 2) {
        log->segment_count -= log->segment_head;
        memmove(log->segments, log->segments + log->segment_head, log->segment_count * sizeof *log->segments);
        log->segment_head = 0;
    }
    if (log->segment_count == log->segment_cap) {
        size_t cap = log->segment_cap == 0 ? 16 : log->segment_cap * 2;
        struct hub_log_segment *grown =
            cap > SIZE_MAX / sizeof *grown ? NULL : hub_mem_resize(log->segments, cap * sizeof *grown);
        if (grown == NULL) {
            result = hub_fail(err, HUB_NO_MEMORY, "no memory for the event log's segments", NULL);
            goto out;
        }
        log->segments = grown;
        log->segment_cap = cap;
    }
    log->segments[log->segment_count++] = (struct hub_log_segment){.first = first, .bytes = bytes};
out:
    (void)pthread_mutex_unlock(&log->lock);
    return result;
}

void hub_log_mark_add(struct hub_log *log, uint64_t segment_first, struct hub_log_mark mark)
{
    (void)pthread_mutex_lock(&log->lock);
    for (size_t i = log->segment_count; i-- > log->segment_head;) {
        struct hub_log_segment *segment = &log->segments[i];
        if (segment->first != segment_first)
            continue;
        uint64_t last = segment->mark_count == 0 ? 0 : segment->marks[segment->mark_count - 1].offset;
        if (mark.offset < last + HUB_LOG_MARK_BYTES)
            break;
        if (segment->mark_count == segment->mark_cap) {
            size_t cap = segment->mark_cap == 0 ? 8 : segment->mark_cap * 2;
            struct hub_log_mark *grown = hub_mem_resize(segment->marks, cap * sizeof *grown);
            if (grown == NULL)
                break;
            segment->marks = grown;
            segment->mark_cap = cap;
        }
        segment->marks[segment->mark_count++] = mark;
        break;
    }
    (void)pthread_mutex_unlock(&log->lock);
}

static enum hub_result segment_file(struct hub_log *log, const struct hub_segment_header *header,
                                    const char *temp, const char *path, int *fd, struct hub_error *err)
{
    struct hub_disk *disk = log->disk;
    uint8_t bytes[HUB_SEGMENT_HEADER_LEN];
    hub_segment_header_encode(header, bytes);
    HUB_TRY(disk->ops->open(disk, temp, HUB_DISK_WRITE, fd, err));
    HUB_TRY(disk->ops->truncate(disk, *fd, 0, err));
    HUB_TRY(disk->ops->write(disk, *fd, 0, hub_span_of(bytes, sizeof bytes), err));
    HUB_TRY(disk->ops->sync(disk, *fd, err));
    enum hub_result result = disk->ops->rename(disk, temp, path, err);
    hub_crash_point(HUB_CRASH_MID_ROLL);
    if (result == HUB_OK)
        result = disk->ops->sync_dir(disk, log->folder, err);
    /* from the rename on it is not certain what the folder says: never "no space, go on" */
    return result == HUB_OK ? HUB_OK : HUB_IO;
}

enum hub_result hub_log_segment_create(struct hub_log *log, struct hub_error *err)
{
    struct hub_segment_header header = {.first = log->next, .prev_chain = log->chain};
    memcpy(header.log_id, log->id, sizeof header.log_id);
    if (log->segment_count != 0) {
        header.prev_first = log->segments[log->segment_count - 1].first;
        header.prev_bytes = log->segments[log->segment_count - 1].bytes;
    }
    char temp[HUB_LOG_PATH_MAX];
    char path[HUB_LOG_PATH_MAX];
    HUB_TRY(hub_segment_path(log->folder, header.first, ".new", temp, err));
    HUB_TRY(hub_segment_path(log->folder, header.first, "", path, err));
    int fd = -1;
    enum hub_result result = segment_file(log, &header, temp, path, &fd, err);
    if (result == HUB_OK)
        result =
            hub_log_segment_add(log, header.first, HUB_SEGMENT_HEADER_LEN, err) == HUB_OK ? HUB_OK : HUB_IO;
    if (result != HUB_OK) {
        if (fd >= 0)
            log->disk->ops->close(log->disk, fd);
        if (result != HUB_QUOTA)
            return broken(log, err);
        (void)log->disk->ops->unlink(log->disk, temp, NULL);
        return HUB_QUOTA;
    }
    if (log->fd >= 0)
        log->disk->ops->close(log->disk, log->fd);
    log->fd = fd;
    log->written = HUB_SEGMENT_HEADER_LEN;
    atomic_fetch_add(&log->bytes, HUB_SEGMENT_HEADER_LEN);
    return HUB_OK;
}

static enum hub_result init(struct hub_log *log, const char *folder, struct hub_disk *disk,
                            const struct hub_log_options *options, struct hub_error *err)
{
    log->disk = disk;
    log->fd = -1;
    log->options = options != NULL ? *options : default_options;
    if (log->options.segment_bytes == 0)
        log->options.segment_bytes = default_options.segment_bytes;
    if (log->options.record_bytes_max == 0 || log->options.record_bytes_max > UINT32_MAX / 2)
        log->options.record_bytes_max = default_options.record_bytes_max;
    size_t room = (size_t)log->options.record_bytes_max + GROUP_BYTES_MAX;
    hub_buf_init(&log->buf, room, false);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&log->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&log->lock, NULL);
    log->next = 1;
    atomic_init(&log->first, 1);
    log->folder = hub_mem_strdup(folder);
    if (log->folder == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the event log", NULL);
    return HUB_OK;
}

static enum hub_result open_log(const char *folder, struct hub_disk *disk,
                                const struct hub_log_options *options, bool view, struct hub_log **out,
                                struct hub_error *err)
{
    *out = NULL;
    struct hub_log *log = hub_mem_alloc(sizeof *log);
    if (log == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the event log", NULL);
    enum hub_result result;
    log->view = view;
    HUB_TRY_OUT(init(log, folder, disk, options, err));
    if (!view)
        HUB_TRY_OUT(disk->ops->mkdir(disk, folder, err));
    HUB_TRY_OUT(hub_log_recover(log, err));
    if (log->segment_count == 0 && !view) {
        if (getrandom(log->id, sizeof log->id, 0) != (ssize_t)sizeof log->id) {
            result = hub_fail_errno(err, HUB_IO, "cannot read random bytes", errno);
            goto out;
        }
        log->seed = hub_segment_seed(log->id);
        HUB_TRY_OUT(hub_log_segment_create(log, err));
    }
    *out = log;
    return HUB_OK;
out:
    hub_log_close(log, false);
    return result;
}

enum hub_result hub_log_open(const char *folder, struct hub_disk *disk, const struct hub_log_options *options,
                             struct hub_log **out, struct hub_error *err)
{
    return open_log(folder, disk, options, false, out, err);
}

enum hub_result hub_log_view(const char *folder, struct hub_disk *disk, struct hub_log **out,
                             struct hub_error *err)
{
    return open_log(folder, disk, NULL, true, out, err);
}

static void mark_clean_stop(struct hub_log *log)
{
    struct hub_segment_marker marker = {
        .last = log->next - 1,
        .tail_first = log->segments[log->segment_count - 1].first,
        .tail_bytes = log->written,
        .chain = log->chain,
    };
    memcpy(marker.log_id, log->id, sizeof marker.log_id);
    uint8_t bytes[HUB_SEGMENT_MARKER_LEN];
    hub_segment_marker_encode(&marker, bytes);
    char path[HUB_LOG_PATH_MAX];
    struct hub_error err = {0};
    hub_crash_point(HUB_CRASH_BEFORE_MARKER);
    enum hub_result result = hub_log_marker_path(log, path, &err);
    if (result == HUB_OK)
        result = hub_disk_replace(log->disk, path, hub_span_of(bytes, sizeof bytes), &err);
    hub_crash_point(HUB_CRASH_AFTER_MARKER);
    if (result != HUB_OK)
        HUB_DIAG(HUB_DIAG_WARNING, component, "the clean stop could not be noted; the next start recovers",
                 hub_diag_error(&err));
}

void hub_log_close(struct hub_log *log, bool clean)
{
    if (log == NULL)
        return;
    if (clean && !log->view && !log->broken && log->fd >= 0 && log->next - 1 == hub_log_durable(log))
        mark_clean_stop(log);
    if (log->fd >= 0)
        log->disk->ops->close(log->disk, log->fd);
    for (size_t i = log->segment_head; i < log->segment_count; i++)
        hub_mem_free(log->segments[i].marks);
    hub_mem_free(log->segments);
    hub_log_recent_free(log);
    hub_mem_free(log->start.runs);
    hub_mem_free(log->folder);
    hub_buf_deinit(&log->buf);
    (void)pthread_cond_destroy(&log->cond);
    (void)pthread_mutex_destroy(&log->lock);
    hub_mem_free(log);
}

/* No space for what was appended since the last sync: back to the state of that sync, or broken. */
static enum hub_result roll_back(struct hub_log *log, struct hub_error *err)
{
    uint64_t bytes = log->segments[log->segment_count - 1].bytes;
    hub_buf_reset(&log->buf);
    if (log->disk->ops->truncate(log->disk, log->fd, bytes, err) != HUB_OK ||
        log->disk->ops->sync(log->disk, log->fd, err) != HUB_OK)
        return broken(log, err);
    log->written = bytes;
    log->next = hub_log_durable(log) + 1;
    log->chain = log->synced_chain;
    return HUB_QUOTA;
}

static enum hub_result write_out(struct hub_log *log, struct hub_error *err)
{
    struct hub_span bytes = hub_buf_view(&log->buf);
    if (bytes.len == 0)
        return HUB_OK;
    if (hub_crash_armed(HUB_CRASH_MID_WRITE)) {
        (void)log->disk->ops->write(log->disk, log->fd, log->written, hub_span_of(bytes.ptr, bytes.len / 2),
                                    NULL);
        hub_crash_point(HUB_CRASH_MID_WRITE);
    }
    hub_crash_point(HUB_CRASH_MID_WRITE);
    enum hub_result result = log->disk->ops->write(log->disk, log->fd, log->written, bytes, err);
    if (result == HUB_QUOTA)
        return roll_back(log, err);
    if (result != HUB_OK)
        return broken(log, err);
    log->written += bytes.len;
    return HUB_OK;
}

/* What is in it was written. */
static void empty_buffer(struct hub_log *log)
{
    hub_buf_reset(&log->buf);
    if (log->buf.cap > KEPT_BYTES) { /* one large message must not hold its room for ever */
        const size_t bytes_max = log->buf.bytes_max;
        hub_buf_deinit(&log->buf);
        hub_buf_init(&log->buf, bytes_max, false);
    }
}

/* Segments end only where everything is durable, so that a damaged record in any but the last is damage. */
static enum hub_result roll_when_full(struct hub_log *log, uint64_t more, struct hub_error *err)
{
    bool pending = log->next - 1 != hub_log_durable(log);
    if (pending || log->written == HUB_SEGMENT_HEADER_LEN ||
        (log->written + more <= log->options.segment_bytes && !atomic_load(&log->roll_soon)))
        return HUB_OK;
    atomic_store(&log->roll_soon, false);
    hub_crash_point(HUB_CRASH_BEFORE_ROLL);
    HUB_TRY(hub_log_segment_create(log, err));
    hub_crash_point(HUB_CRASH_AFTER_ROLL);
    return HUB_OK;
}

enum hub_result hub_log_reserve(struct hub_log *log, uint64_t bytes, struct hub_error *err)
{
    if (log->view)
        return hub_fail(err, HUB_DENIED, "the event log was opened to look only", NULL);
    return log->broken ? refused(err) : roll_when_full(log, bytes, err);
}

enum hub_result hub_log_begin(struct hub_log *log, struct hub_buf **payload, struct hub_error *err)
{
    if (log->view)
        return hub_fail(err, HUB_DENIED, "the event log was opened to look only", NULL);
    if (log->broken)
        return refused(err);
    log->record = log->buf.len;
    log->record_number = log->next;
    log->record_chain = log->chain;
    if (hub_buf_reserve(&log->buf, HUB_SEGMENT_HEAD_LEN) == NULL) {
        log->buf.failed = HUB_OK; /* nothing was appended */
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a record", NULL);
    }
    log->buf.len += HUB_SEGMENT_HEAD_LEN;
    *payload = &log->buf;
    return HUB_OK;
}

void hub_log_cancel(struct hub_log *log)
{
    log->buf.failed = HUB_OK;
    log->buf.len = log->record;
    log->next = log->record_number;
    log->chain = log->record_chain;
}

enum hub_result hub_log_discard(struct hub_log *log, struct hub_error *err)
{
    if (log->broken)
        return refused(err);
    if (log->next - 1 == hub_log_durable(log))
        return HUB_OK;
    enum hub_result result = roll_back(log, err);
    return result == HUB_QUOTA ? HUB_OK : result;
}

struct hub_span hub_log_payload(const struct hub_log *log)
{
    size_t start = log->record + HUB_SEGMENT_HEAD_LEN;
    return hub_span_of(log->buf.ptr + start, log->buf.len - start);
}

enum hub_result hub_log_end(struct hub_log *log, uint64_t *number, struct hub_error *err)
{
    static const uint8_t zeros[HUB_SEGMENT_ALIGN];
    struct hub_span payload = hub_log_payload(log);
    bool large = payload.len > log->options.record_bytes_max || log->buf.failed == HUB_TOO_LARGE;
    if (!large)
        hub_buf_append(&log->buf, zeros, (size_t)hub_segment_body_len((uint32_t)payload.len) - payload.len);
    if (large || hub_buf_result(&log->buf) != HUB_OK) {
        hub_log_cancel(log);
        return large ? hub_fail(err, HUB_TOO_LARGE, "a record is larger than the event log takes", NULL)
                     : hub_fail(err, HUB_NO_MEMORY, "no memory for a record", NULL);
    }
    struct hub_segment_head head = {.len = (uint32_t)payload.len,
                                    .number = log->next,
                                    .synced = hub_log_durable(log),
                                    .prev_chain = log->chain};
    payload = hub_span_of(log->buf.ptr + log->record + HUB_SEGMENT_HEAD_LEN, payload.len); /* it may have moved */
    hub_segment_head_encode(&head, log->seed, &payload, 1, log->buf.ptr + log->record);
    log->chain = hub_segment_chain(&head);
    log->next++;
    if (number != NULL)
        *number = head.number;
    return HUB_OK;
}

enum hub_result hub_log_append(struct hub_log *log, const struct hub_span *parts, size_t count,
                               uint64_t *number, struct hub_error *err)
{
    struct hub_buf *payload = NULL;
    uint64_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > log->options.record_bytes_max - len)
            return hub_fail(err, HUB_TOO_LARGE, "a record is larger than the event log takes", NULL);
        len += parts[i].len;
    }
    HUB_TRY(hub_log_reserve(log, HUB_SEGMENT_HEAD_LEN + hub_segment_body_len((uint32_t)len), err));
    HUB_TRY(hub_log_begin(log, &payload, err));
    for (size_t i = 0; i < count; i++)
        hub_buf_append_span(payload, parts[i]);
    HUB_TRY(hub_log_end(log, number, err));
    if (log->buf.len < WRITE_THROUGH_BYTES)
        return HUB_OK;
    HUB_TRY(write_out(log, err));
    empty_buffer(log);
    return HUB_OK;
}

static void publish(struct hub_log *log)
{
    uint64_t durable = hub_log_durable(log);
    struct hub_log_segment *tail = &log->segments[log->segment_count - 1];
    hub_log_mark_add(log, tail->first, (struct hub_log_mark){durable + 1, tail->bytes, log->synced_chain});
    atomic_fetch_add(&log->bytes, log->written - tail->bytes);
    log->synced_chain = log->chain;
    (void)pthread_mutex_lock(&log->lock);
    tail->bytes = log->written;
    atomic_store(&log->durable, log->next - 1);
    (void)pthread_cond_broadcast(&log->cond);
    (void)pthread_mutex_unlock(&log->lock);
}

enum hub_result hub_log_sync(struct hub_log *log, struct hub_error *err)
{
    if (log->broken)
        return refused(err);
    if (log->next - 1 == hub_log_durable(log))
        return HUB_OK;
    const uint64_t start = log->segments[log->segment_count - 1].bytes;
    const bool whole = log->written == start; /* nothing of the group was written before */
    HUB_TRY(write_out(log, err));
    if (log->disk->ops->sync(log->disk, log->fd, err) != HUB_OK)
        return broken(log, err);
    if (whole)
        hub_log_recent_add(log, hub_log_durable(log) + 1, log->next - 1, start);
    empty_buffer(log);
    publish(log);
    return HUB_OK;
}

void hub_log_id(const struct hub_log *log, uint8_t out[16])
{
    memcpy(out, log->id, sizeof log->id);
}

uint64_t hub_log_record_bytes_max(const struct hub_log *log)
{
    return log->options.record_bytes_max;
}

uint64_t hub_log_durable(const struct hub_log *log)
{
    return atomic_load(&log->durable);
}

uint64_t hub_log_first(const struct hub_log *log)
{
    return atomic_load(&log->first);
}

void hub_log_roll_soon(struct hub_log *log)
{
    atomic_store(&log->roll_soon, true);
}

uint64_t hub_log_bytes(const struct hub_log *log)
{
    return atomic_load(&log->bytes);
}

void hub_log_wait(struct hub_log *log, uint64_t number, int timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (int64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    (void)pthread_mutex_lock(&log->lock);
    uint64_t wakes = log->wakes;
    int waited = 0;
    while (waited == 0 && hub_log_durable(log) <= number && log->wakes == wakes)
        waited = timeout_ms < 0 ? pthread_cond_wait(&log->cond, &log->lock)
                                : pthread_cond_timedwait(&log->cond, &log->lock, &until);
    (void)pthread_mutex_unlock(&log->lock);
}

void hub_log_wake(struct hub_log *log)
{
    (void)pthread_mutex_lock(&log->lock);
    log->wakes++;
    (void)pthread_cond_broadcast(&log->cond);
    (void)pthread_mutex_unlock(&log->lock);
}
