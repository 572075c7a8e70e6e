#include "src/base/mem.h"
#include "src/log/recent.h"

/* Reads only below what LOG has shown to be durable: the limit of the window moves with the log. */
struct hub_log_reader {
    struct hub_log *log;
    struct hub_segment_window window; /* fd -1: no segment open */
    char path[HUB_LOG_PATH_MAX];
    uint64_t segment;    /* first record number of the open one */
    uint64_t next;       /* record to be read */
    uint64_t durable;    /* as last seen */
    uint64_t offset;     /* of the record after the last one looked at */
    uint64_t at;         /* its number */
    uint64_t prev_chain; /* what it must carry */
    uint64_t marked;     /* offset of the last mark given to the log */
    struct hub_log_group *group; /* at hand in memory, or NULL */
    size_t group_offset;         /* of the record in it that comes next */
    uint64_t group_at;           /* its number */
};

static enum hub_result damaged(const struct hub_log_reader *reader, struct hub_error *err)
{
    (void)hub_fail(err, HUB_CORRUPT, "a stored record of the event log is damaged",
                   "restore the event log from a copy");
    (void)hub_error_in(err, reader->path, 0);
    (void)hub_error_at(err, "offset %llu", (unsigned long long)reader->offset);
    hub_error_number(err, (int64_t)reader->offset);
    return HUB_CORRUPT;
}

static enum hub_result retired(const struct hub_log_reader *reader, struct hub_error *err)
{
    (void)hub_fail(err, HUB_NOT_FOUND, "the record was removed from the event log by its retention", NULL);
    hub_error_number(err, (int64_t)reader->next);
    return HUB_NOT_FOUND;
}

static void leave_segment(struct hub_log_reader *reader)
{
    if (reader->window.fd >= 0)
        reader->log->disk->ops->close(reader->log->disk, reader->window.fd);
    reader->window.fd = -1;
    reader->window.len = 0;
}

enum hub_result hub_log_reader_open(struct hub_log *log, uint64_t from, struct hub_log_reader **out,
                                    struct hub_error *err)
{
    *out = NULL;
    struct hub_log_reader *reader = hub_mem_alloc(sizeof *reader);
    if (reader == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory to read the event log", NULL);
    reader->log = log;
    reader->next = from == 0 ? 1 : from;
    hub_segment_window_init(&reader->window, log->disk, -1, 0);
    *out = reader;
    return HUB_OK;
}

void hub_log_reader_close(struct hub_log_reader *reader)
{
    if (reader == NULL)
        return;
    leave_segment(reader);
    hub_log_recent_give(reader->log, reader->group);
    hub_segment_window_deinit(&reader->window);
    hub_mem_free(reader);
}

enum hub_result hub_log_reader_seek(struct hub_log_reader *reader, uint64_t number, struct hub_error *err)
{
    (void)err;
    reader->next = number == 0 ? 1 : number;
    if (reader->next != reader->at)
        leave_segment(reader);
    return HUB_OK;
}

/* The last segment that starts at or before NUMBER, copied under the lock, and the best place to start in. */
static struct hub_log_segment find_segment(struct hub_log *log, uint64_t number, struct hub_log_mark *mark)
{
    (void)pthread_mutex_lock(&log->lock);
    size_t low = log->segment_head;
    size_t high = log->segment_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (log->segments[middle].first <= number)
            low = middle;
        else
            high = middle;
    }
    struct hub_log_segment segment = log->segments[low];
    *mark = (struct hub_log_mark){0};
    for (size_t i = segment.mark_count; i-- > 0;) {
        if (segment.marks[i].number <= number) {
            *mark = segment.marks[i];
            break;
        }
    }
    segment.marks = NULL;
    (void)pthread_mutex_unlock(&log->lock);
    return segment;
}

/* Opens the segment that holds reader->next. */
static enum hub_result enter_segment(struct hub_log_reader *reader, struct hub_error *err)
{
    struct hub_log *log = reader->log;
    struct hub_log_mark mark;
    struct hub_log_segment segment = find_segment(log, reader->next, &mark);
    bool follows = reader->at == segment.first && reader->window.fd >= 0;
    uint64_t chain_before = reader->prev_chain;
    leave_segment(reader);
    if (segment.first > reader->next)
        return retired(reader, err);
    HUB_TRY(hub_segment_path(log->folder, segment.first, "", reader->path, err));
    enum hub_result opened = log->disk->ops->open(log->disk, reader->path, HUB_DISK_READ, &reader->window.fd, err);
    if (opened == HUB_NOT_FOUND && reader->next < hub_log_first(log)) /* retired a moment ago */
        return retired(reader, err);
    HUB_TRY(opened);
    reader->segment = segment.first;
    reader->window.limit = segment.bytes;
    reader->offset = 0;
    struct hub_segment_header header;
    const uint8_t *bytes = NULL;
    enum hub_result result = hub_segment_window_view(&reader->window, 0, HUB_SEGMENT_HEADER_LEN, &bytes, err);
    if (result == HUB_OK && hub_segment_header_decode(bytes, &header) == HUB_OK &&
        header.first == segment.first && memcmp(header.log_id, log->id, sizeof log->id) == 0 &&
        (!follows || header.prev_chain == chain_before)) {
        reader->offset = mark.number != 0 ? mark.offset : HUB_SEGMENT_HEADER_LEN;
        reader->at = mark.number != 0 ? mark.number : segment.first;
        reader->prev_chain = mark.number != 0 ? mark.prev_chain : header.prev_chain;
        reader->marked = reader->offset;
        return HUB_OK;
    }
    if (result == HUB_OK || result == HUB_END)
        result = damaged(reader, err);
    leave_segment(reader);
    return result;
}

/* Looks at the record at the reader's place; moves on when it is the one asked for or before it. */
static enum hub_result step(struct hub_log_reader *reader, struct hub_segment_head *head,
                            struct hub_span *payload, struct hub_error *err)
{
    const uint8_t *bytes = NULL;
    struct hub_log *log = reader->log;
    enum hub_result result =
        hub_segment_window_view(&reader->window, reader->offset, HUB_SEGMENT_HEAD_LEN, &bytes, err);
    if (result == HUB_END)
        return damaged(reader, err);
    HUB_TRY(result);
    bool good = hub_segment_head_decode(bytes, log->seed, head) && head->number == reader->at &&
                head->prev_chain == reader->prev_chain;
    if (!good ||
        hub_segment_body_len(head->len) > reader->window.limit - reader->offset - HUB_SEGMENT_HEAD_LEN)
        return damaged(reader, err);
    size_t body = (size_t)hub_segment_body_len(head->len);
    if (head->number == reader->next) { /* what is only passed over is checked by the chain, not read */
        result = hub_segment_window_view(&reader->window, reader->offset, HUB_SEGMENT_HEAD_LEN + body, &bytes,
                                         err);
        if (result == HUB_END)
            return damaged(reader, err);
        HUB_TRY(result);
        if (!hub_segment_body_valid(bytes, head, log->seed, hub_span_of(bytes + HUB_SEGMENT_HEAD_LEN, body)))
            return damaged(reader, err);
        *payload = hub_span_of(bytes + HUB_SEGMENT_HEAD_LEN, head->len);
    }
    if (reader->offset >= reader->marked + HUB_LOG_MARK_BYTES) {
        hub_log_mark_add(log, reader->segment,
                         (struct hub_log_mark){reader->at, reader->offset, reader->prev_chain});
        reader->marked = reader->offset;
    }
    reader->prev_chain = hub_segment_chain(head);
    reader->offset += HUB_SEGMENT_HEAD_LEN + body;
    reader->at++;
    return HUB_OK;
}

/* From what the log keeps in memory; false: it has to be read. Where the file goes on is known afterwards. */
static bool remembered(struct hub_log_reader *reader, struct hub_span *payload)
{
    struct hub_log_group *group = reader->group;
    struct hub_segment_head head;
    if (group == NULL || reader->next < reader->group_at || reader->next > group->last) {
        hub_log_recent_give(reader->log, group);
        reader->group = group = hub_log_recent_take(reader->log, reader->next);
        if (group == NULL)
            return false;
        reader->group_offset = 0;
        reader->group_at = group->first;
    }
    do {
        const uint8_t *bytes = group->bytes.ptr + reader->group_offset;
        const bool good = hub_segment_head_decode(bytes, reader->log->seed, &head);
        HUB_ASSERT(good && head.number == reader->group_at);
        *payload = hub_span_of(bytes + HUB_SEGMENT_HEAD_LEN, head.len);
        reader->group_offset += HUB_SEGMENT_HEAD_LEN + (size_t)hub_segment_body_len(head.len);
        HUB_ASSERT(reader->group_offset <= group->bytes.len);
        reader->group_at++;
    } while (head.number != reader->next);
    if (reader->segment != group->segment)
        leave_segment(reader);
    reader->segment = group->segment;
    reader->offset = group->offset + reader->group_offset;
    reader->at = reader->group_at;
    reader->prev_chain = hub_segment_chain(&head);
    return true;
}

enum hub_result hub_log_reader_next(struct hub_log_reader *reader, uint64_t *number, struct hub_span *payload,
                                    struct hub_error *err)
{
    if (reader->next > reader->durable)
        reader->durable = hub_log_durable(reader->log);
    if (reader->next > reader->durable)
        return HUB_END;
    /* what is read already of a segment stays readable; another one is not entered behind the log's start */
    if (reader->next < hub_log_first(reader->log) && (reader->window.fd < 0 || reader->offset >= reader->window.limit))
        return retired(reader, err);
    if (reader->log->options.recent_bytes != 0 && remembered(reader, payload)) {
        *number = reader->next++;
        return HUB_OK;
    }
    for (;;) {
        if (reader->window.fd < 0)
            HUB_TRY(enter_segment(reader, err));
        if (reader->offset >= reader->window.limit) {
            struct hub_log_mark mark;
            struct hub_log_segment segment = find_segment(reader->log, reader->next, &mark);
            if (segment.first != reader->segment) {
                HUB_TRY(enter_segment(reader, err));
                continue;
            }
            reader->window.limit = segment.bytes;
        }
        struct hub_segment_head head;
        HUB_TRY(step(reader, &head, payload, err));
        if (head.number != reader->next)
            continue;
        reader->next++;
        *number = head.number;
        return HUB_OK;
    }
}
