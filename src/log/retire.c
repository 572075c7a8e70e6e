/* The log's start moves: whole segments go once nobody needs them. The file `retired` names the first segment that
 * stays, with its link to the one before, and is replaced before anything is removed: segments before it are leftovers,
 * one missing behind it is damage. */
#include <stdio.h>

#include "src/base/clock.h"
#include "src/base/crash.h"
#include "src/base/mem.h"
#include "src/crypto/state_file.h"
#include "src/log/state.h"

enum { START_BYTES_MAX = 256 * 1024, NAME_MAX_LEN = 31 };

static const char title[] = "chartline log retired 1";
static const char mend[] = "restore the file `retired` of the event log from a copy; nothing was changed";

static enum hub_result start_path(const struct hub_log *log, char out[HUB_LOG_PATH_MAX], struct hub_error *err)
{
    int len = snprintf(out, HUB_LOG_PATH_MAX, "%s/retired", log->folder);
    return len > 0 && len < HUB_LOG_PATH_MAX ? HUB_OK : hub_fail(err, HUB_IO, "a path is too long", NULL);
}

/* --- the file --- */

static void write_runs(struct hub_buf *out, const struct hub_log_start *start)
{
    for (size_t i = 0; i < start->run_count; i++) {
        const struct hub_log_run *run = &start->runs[i];
        char line[128];
        char time[HUB_TIME_TEXT_LEN + 1];
        hub_time_format(run->at_us, time);
        (void)snprintf(line, sizeof line, "%llu %s %s", (unsigned long long)run->before, time, run->rule);
        hub_state_file_text(out, "run", hub_span_str(line));
    }
}

static void write_start(struct hub_buf *out, const uint8_t id[HUB_LOG_ID_LEN], const struct hub_log_start *start)
{
    const struct hub_log_retired *gone = &start->gone;
    hub_state_file_begin(out, title);
    hub_state_file_hex(out, "log", hub_span_of(id, HUB_LOG_ID_LEN));
    hub_state_file_number(out, "first", start->first);
    hub_state_file_number(out, "prev_first", start->prev_first);
    hub_state_file_number(out, "prev_bytes", start->prev_bytes);
    hub_state_file_number(out, "prev_chain", start->prev_chain);
    hub_state_file_number(out, "records", gone->records);
    hub_state_file_number(out, "messages", gone->messages);
    hub_state_file_number(out, "events", gone->events);
    hub_state_file_number(out, "entries", gone->entries);
    hub_state_file_number(out, "bytes", gone->bytes);
    write_runs(out, start);
    hub_state_file_end(out);
}

static bool parse_run(struct hub_span text, struct hub_log_run *run)
{
    struct hub_span before = hub_state_file_word(&text);
    struct hub_span time = hub_state_file_word(&text);
    if (!hub_span_parse_u64(before, &run->before) ||
        hub_time_parse((const char *)time.ptr, time.len, &run->at_us) != 0 || text.len == 0 ||
        text.len > HUB_LOG_RULE_MAX)
        return false;
    memcpy(run->rule, text.ptr, text.len);
    run->rule[text.len] = '\0';
    return true;
}

static bool parse_runs(struct hub_span rest, struct hub_log_start *start)
{
    struct hub_span text;
    while (rest.len != 0) {
        struct hub_log_run *run = &start->runs[start->run_count];
        if (start->run_count == HUB_LOG_RUNS_MAX || !hub_state_file_take(&rest, "run", &text) || !parse_run(text, run) ||
            (start->run_count != 0 && run->before <= run[-1].before))
            return false;
        start->run_count++;
    }
    return start->run_count != 0 && start->runs[start->run_count - 1].before == start->first;
}

static bool parse_start(struct hub_span text, uint8_t id[HUB_LOG_ID_LEN], struct hub_log_start *start)
{
    struct hub_log_retired *gone = &start->gone;
    struct hub_span rest;
    return hub_state_file_open(text, title, &rest) == HUB_OK &&
           hub_state_file_take_hex(&rest, "log", id, HUB_LOG_ID_LEN) &&
           hub_state_file_take_number(&rest, "first", &start->first) && start->first > 1 &&
           hub_state_file_take_number(&rest, "prev_first", &start->prev_first) &&
           hub_state_file_take_number(&rest, "prev_bytes", &start->prev_bytes) &&
           hub_state_file_take_number(&rest, "prev_chain", &start->prev_chain) &&
           hub_state_file_take_number(&rest, "records", &gone->records) &&
           hub_state_file_take_number(&rest, "messages", &gone->messages) &&
           hub_state_file_take_number(&rest, "events", &gone->events) &&
           hub_state_file_take_number(&rest, "entries", &gone->entries) &&
           hub_state_file_take_number(&rest, "bytes", &gone->bytes) && gone->records == start->first - 1 &&
           parse_runs(rest, start);
}

static enum hub_result read_file(struct hub_log *log, const char *path, struct hub_buf *out, struct hub_error *err)
{
    int fd = -1;
    size_t got = 0;
    HUB_TRY(log->disk->ops->open(log->disk, path, HUB_DISK_READ, &fd, err));
    uint8_t *room = hub_buf_reserve(out, START_BYTES_MAX);
    enum hub_result result = room == NULL ? hub_fail(err, HUB_NO_MEMORY, "no memory for the event log", NULL)
                                          : log->disk->ops->read(log->disk, fd, 0, room, START_BYTES_MAX, &got, err);
    log->disk->ops->close(log->disk, fd);
    out->len = got;
    return result;
}

enum hub_result hub_log_start_read(struct hub_log *log, struct hub_error *err)
{
    char path[HUB_LOG_PATH_MAX];
    struct hub_buf text;
    HUB_TRY(start_path(log, path, err));
    hub_buf_init(&text, START_BYTES_MAX, false);
    enum hub_result result = read_file(log, path, &text, err);
    if (result == HUB_OK) {
        log->start.runs = hub_mem_array(HUB_LOG_RUNS_MAX, sizeof *log->start.runs);
        if (log->start.runs == NULL)
            result = hub_fail(err, HUB_NO_MEMORY, "no memory for the event log", NULL);
        else if (!parse_start(hub_buf_view(&text), log->id, &log->start))
            result = hub_fail(err, HUB_CORRUPT, "what says where the event log starts is damaged", mend);
        if (result != HUB_OK)
            (void)hub_error_in(err, path, 0);
    }
    hub_buf_deinit(&text);
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

/* --- retiring --- */

/* The segment that starts with record BEFORE; its header says what came before. */
static enum hub_result new_start(struct hub_log *log, uint64_t before, struct hub_log_start *next, struct hub_error *err)
{
    uint8_t bytes[HUB_SEGMENT_HEADER_LEN];
    struct hub_segment_header header;
    char path[HUB_LOG_PATH_MAX];
    size_t got = 0;
    int fd = -1;
    HUB_TRY(hub_segment_path(log->folder, before, "", path, err));
    HUB_TRY(log->disk->ops->open(log->disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = log->disk->ops->read(log->disk, fd, 0, bytes, sizeof bytes, &got, err);
    log->disk->ops->close(log->disk, fd);
    HUB_TRY(result);
    if (got != sizeof bytes || hub_segment_header_decode(bytes, &header) != HUB_OK || header.first != before) {
        (void)hub_fail(err, HUB_CORRUPT, "the head of a segment of the event log is damaged", "restore the event log from a copy");
        return hub_error_in(err, path, 0);
    }
    next->first = before;
    next->prev_first = header.prev_first;
    next->prev_bytes = header.prev_bytes;
    next->prev_chain = header.prev_chain;
    return HUB_OK;
}

static void add_run(struct hub_log_start *next, const struct hub_log_run *run)
{
    if (next->run_count == HUB_LOG_RUNS_MAX) { /* the second oldest stands for the oldest too */
        next->run_count--;
        memmove(next->runs, next->runs + 1, next->run_count * sizeof *next->runs);
    }
    next->runs[next->run_count++] = *run;
}

static void add_gone(struct hub_log_retired *gone, const struct hub_log_retired *more)
{
    gone->records += more->records;
    gone->messages += more->messages;
    gone->events += more->events;
    gone->entries += more->entries;
    gone->bytes += more->bytes;
}

static enum hub_result write_file(struct hub_log *log, const struct hub_log_start *next, struct hub_error *err)
{
    char path[HUB_LOG_PATH_MAX];
    struct hub_buf text;
    HUB_TRY(start_path(log, path, err));
    hub_buf_init(&text, START_BYTES_MAX, false);
    write_start(&text, log->id, next);
    enum hub_result result = hub_buf_result(&text);
    if (result == HUB_OK)
        result = hub_disk_replace(log->disk, path, hub_buf_view(&text), err);
    hub_buf_deinit(&text);
    return result;
}

/* Index of the segment that starts with BEFORE, 0: none, or nothing before it. Under lock. */
static size_t place_of(const struct hub_log *log, uint64_t before)
{
    for (size_t i = log->segment_head + 1; i < log->segment_count; i++)
        if (log->segments[i].first == before)
            return i;
    return 0;
}

static enum hub_result check_wanted(struct hub_log *log, uint64_t before, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    (void)pthread_mutex_lock(&log->lock);
    if (place_of(log, before) == 0)
        result = hub_fail(err, HUB_NOT_FOUND, "no segment of the event log starts there", NULL);
    for (size_t i = 0; i < log->follower_count && result == HUB_OK; i++) {
        if (log->followers[i].position + 1 < before) {
            result = hub_fail(err, HUB_BUSY, "a follower of the event log still needs its oldest records", NULL);
            (void)hub_error_at(err, "%s", log->followers[i].name);
        }
    }
    (void)pthread_mutex_unlock(&log->lock);
    return result;
}

/* From now on readers find the new start; OLD (hub_mem memory of the caller) gets the names of what is to go. */
static enum hub_result move_start(struct hub_log *log, const struct hub_log_start *next, uint64_t **old, size_t *count,
                                  uint64_t *bytes)
{
    (void)pthread_mutex_lock(&log->lock);
    size_t place = place_of(log, next->first);
    *count = 0;
    *bytes = 0;
    *old = hub_mem_array(place - log->segment_head, sizeof **old);
    for (size_t i = log->segment_head; *old != NULL && i < place; i++) {
        (*old)[(*count)++] = log->segments[i].first;
        *bytes += log->segments[i].bytes;
        hub_mem_free(log->segments[i].marks);
        log->segments[i].marks = NULL;
    }
    if (*old != NULL) {
        log->segment_head = place;
        hub_mem_free(log->start.runs);
        log->start = *next;
        atomic_store(&log->first, next->first);
        atomic_fetch_sub(&log->bytes, *bytes);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return *old != NULL ? HUB_OK : HUB_NO_MEMORY;
}

static enum hub_result remove_files(struct hub_log *log, const uint64_t *old, size_t count, struct hub_error *err)
{
    for (size_t i = 0; i < count; i++) {
        char path[HUB_LOG_PATH_MAX];
        HUB_TRY(hub_segment_path(log->folder, old[i], "", path, err));
        HUB_TRY(log->disk->ops->unlink(log->disk, path, err));
        hub_crash_point(HUB_CRASH_RETIRE_REMOVED);
    }
    return log->disk->ops->sync_dir(log->disk, log->folder, err);
}

enum hub_result hub_log_retire(struct hub_log *log, const struct hub_log_run *run, const struct hub_log_retired *more,
                               struct hub_error *err)
{
    struct hub_log_start next = {0};
    uint64_t *old = NULL;
    uint64_t bytes = 0;
    size_t count = 0;
    enum hub_result result;
    HUB_ASSERT(!log->view && more->records == run->before - hub_log_first(log));
    HUB_TRY(check_wanted(log, run->before, err));
    next = log->start; /* nobody else changes it */
    next.runs = hub_mem_array(HUB_LOG_RUNS_MAX, sizeof *next.runs);
    if (next.runs == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory to retire segments", NULL);
    if (log->start.run_count != 0)
        memcpy(next.runs, log->start.runs, log->start.run_count * sizeof *next.runs);
    HUB_TRY_OUT(new_start(log, run->before, &next, err));
    add_gone(&next.gone, more);
    add_run(&next, run);
    HUB_TRY_OUT(write_file(log, &next, err));
    hub_crash_point(HUB_CRASH_RETIRE_MARKED);
    HUB_TRY_OUT(move_start(log, &next, &old, &count, &bytes));
    next.runs = NULL; /* the log's now */
    HUB_TRY_OUT(remove_files(log, old, count, err));
    hub_crash_point(HUB_CRASH_RETIRE_DONE);
out:
    hub_mem_free(old);
    hub_mem_free(next.runs);
    return result;
}

void hub_log_retired(struct hub_log *log, struct hub_log_retired *out)
{
    (void)pthread_mutex_lock(&log->lock);
    *out = log->start.gone;
    (void)pthread_mutex_unlock(&log->lock);
}

bool hub_log_retired_by(struct hub_log *log, uint64_t number, struct hub_log_run *out)
{
    bool found = false;
    (void)pthread_mutex_lock(&log->lock);
    for (size_t i = 0; i < log->start.run_count && !found && number != 0; i++) {
        found = number < log->start.runs[i].before;
        if (found)
            *out = log->start.runs[i];
    }
    (void)pthread_mutex_unlock(&log->lock);
    return found;
}

/* --- who needs what --- */

size_t hub_log_extents(struct hub_log *log, struct hub_log_extent *out, size_t cap)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&log->lock);
    for (size_t i = log->segment_head; i < log->segment_count && (out == NULL || count < cap); i++, count++)
        if (out != NULL)
            out[count] = (struct hub_log_extent){log->segments[i].first, log->segments[i].bytes};
    (void)pthread_mutex_unlock(&log->lock);
    return count;
}

enum hub_result hub_log_follow(struct hub_log *log, const char *name, uint64_t position, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    HUB_ASSERT(strlen(name) <= NAME_MAX_LEN);
    (void)pthread_mutex_lock(&log->lock);
    size_t at = 0;
    while (at < log->follower_count && strcmp(log->followers[at].name, name) != 0)
        at++;
    if (at == HUB_LOG_FOLLOWERS_MAX)
        result = hub_fail(err, HUB_TOO_MANY, "too many follow the event log", NULL);
    else
        log->followers[at] = (struct hub_log_follower){name, position};
    if (result == HUB_OK && at == log->follower_count)
        log->follower_count++;
    (void)pthread_mutex_unlock(&log->lock);
    return result;
}

size_t hub_log_followers(struct hub_log *log, struct hub_log_follower out[HUB_LOG_FOLLOWERS_MAX])
{
    (void)pthread_mutex_lock(&log->lock);
    size_t count = log->follower_count;
    memcpy(out, log->followers, count * sizeof *out);
    (void)pthread_mutex_unlock(&log->lock);
    return count;
}
