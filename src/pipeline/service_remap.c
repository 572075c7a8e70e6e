/* `feed.remap`: what is stored of a feed mapped by the rules in force; `feed.diff`: what other rules would change. One at a
 * time, a bounded number of messages a second, and behind live traffic and the timeline. What was done stays done: killed
 * or stopped, it is simply asked for again. */
#include <sys/resource.h>
#include <unistd.h>

#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/pipeline/log_since.h"
#include "src/pipeline/remap.h"
#include "src/pipeline/remap_diff.h"
#include "src/pipeline/remap_values.h"
#include "src/pipeline/session.h"

enum {
    ARENA_FACTOR = 64, /* a message opened, mapped, compared and sealed against its bytes */
    ARENA_BASE = 64 * 1024 * 1024,
    CHUNK_MESSAGES = 64, /* read, and noted as read, together */
    CHUNK_BYTES = 4 * 1024 * 1024,
    WINDOW_ITEMS = 32, /* on their way to the committer */
    WINDOW_BYTES = 16 * 1024 * 1024,
    NICE_BACKGROUND = 10,
    PROGRESS_US = 1000000,
    WAIT_US = 5000,
    YIELD_US_MAX = 1000000, /* it goes on, slowly, even where there is always traffic */
    LAG_RECORDS_MAX = 4096, /* of the timeline */
    BUSY_RETRY_US = 1000,
};

struct window { /* items that the committer has */
    struct slot {
        struct hub_commit_item *item;
        char *sender;
    } slots[WINDOW_ITEMS];
    size_t count;
    uint64_t bytes;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t pending; /* under lock */
};

struct job {
    struct hub_request *request;
    struct hub *hub;
    struct hub_remap remap;
    int64_t since_us, until_us;
    bool dry, show_values;
    struct hub_remap_values values;
    struct hub_diff *diff;
    struct window window;
    struct hub_arena arena; /* of one message */
    struct hub_log_reader *reader, *newest;
    uint64_t last;            /* record at the start: what comes later is mapped by these rules already */
    int64_t next_us, told_us; /* monotonic: pace, progress */
    uint64_t position, messages, changed, unchanged, failed;
    struct hub_letter_counts letters;
    struct hub_error *err;
};

/* --- answers --- */

static enum hub_result set_number(struct hub_arena *arena, struct hub_json *object, const char *name, uint64_t number)
{
    return hub_json_set_c(object, name, hub_json_number_i64(arena, (int64_t)number));
}

static enum hub_result set_text(struct hub_arena *arena, struct hub_json *object, const char *name, const char *text)
{
    struct hub_span copy = hub_arena_copy(arena, hub_span_str(text != NULL ? text : ""));
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, name, copy);
}

/* Lines come without end: each in an arena of its own. */
static enum hub_result tell_failed(struct job *job, const char *id, uint32_t revision, const struct hub_error *why)
{
    struct hub_arena arena;
    hub_arena_init(&arena, 1024 * 1024);
    struct hub_json *line = hub_json_new(&arena, HUB_JSON_OBJECT);
    enum hub_result result = line != NULL ? HUB_OK : HUB_NO_MEMORY;
    if (result == HUB_OK)
        result = set_text(&arena, line, "id", id);
    if (result == HUB_OK)
        result = set_number(&arena, line, "revision", revision);
    if (result == HUB_OK)
        result = set_text(&arena, line, "code", hub_result_row(why->result)->metric);
    if (result == HUB_OK)
        result = set_text(&arena, line, "text",
                          why->what != NULL && why->what[0] != '\0' ? why->what : hub_result_text(why->result));
    if (result == HUB_OK)
        result = set_text(&arena, line, "at", why->place);
    if (result == HUB_OK)
        result = set_text(&arena, line, "mend", why->mend);
    job->failed++;
    if (result == HUB_OK)
        result = hub_answer_json(job->request, "failed", line);
    hub_arena_deinit(&arena);
    return result;
}

static enum hub_result counts_json(struct job *job, struct hub_arena *arena, struct hub_json *out)
{
    HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
    HUB_TRY(set_number(arena, out, "messages", job->messages));
    HUB_TRY(set_number(arena, out, "changed", job->changed));
    HUB_TRY(set_number(arena, out, "unchanged", job->unchanged));
    return set_number(arena, out, "failed", job->failed);
}

static enum hub_result tell_progress(struct job *job)
{
    int64_t now_us = hub_clock_mono_us(job->hub->clock);
    if (now_us < job->told_us + PROGRESS_US)
        return HUB_OK;
    job->told_us = now_us;
    struct hub_arena arena;
    hub_arena_init(&arena, 1024 * 1024);
    struct hub_json *line = hub_json_new(&arena, HUB_JSON_OBJECT);
    enum hub_result result = counts_json(job, &arena, line);
    if (result == HUB_OK)
        result = set_number(&arena, line, "record", job->position);
    if (result == HUB_OK)
        result = set_number(&arena, line, "of", job->last);
    if (result == HUB_OK)
        result = hub_answer_json(job->request, "progress", line);
    hub_arena_deinit(&arena);
    if (result == HUB_OK && !hub_answer_alive(job->request)) /* sent at once, and a good moment to notice */
        result = HUB_CLOSED;
    return result;
}

static bool tell_row(void *ctx, const struct hub_diff_row *row)
{
    struct job *job = ctx;
    struct hub_arena *arena = &job->arena;
    struct hub_json *line;
    hub_arena_reset(arena);
    line = hub_json_new(arena, HUB_JSON_OBJECT);
    return line != NULL && hub_json_set_string(arena, line, "path", row->path) == HUB_OK &&
           set_number(arena, line, "added", row->added) == HUB_OK &&
           set_number(arena, line, "removed", row->removed) == HUB_OK &&
           set_number(arena, line, "changed", row->changed) == HUB_OK &&
           set_number(arena, line, "messages", row->messages) == HUB_OK &&
           hub_answer_json(job->request, "difference", line) == HUB_OK;
}

static enum hub_result tell_end(struct job *job)
{
    struct hub_arena *arena = &job->arena;
    uint64_t more = 0;
    if (job->diff != NULL)
        hub_diff_each(job->diff, tell_row, job, &more);
    hub_arena_reset(arena);
    struct hub_json *line = hub_json_new(arena, HUB_JSON_OBJECT), *letters = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_TRY(counts_json(job, arena, line));
    HUB_ENSURE(letters != NULL, HUB_NO_MEMORY);
    HUB_TRY(set_number(arena, letters, "accepted", job->letters.accepted));
    HUB_TRY(set_number(arena, letters, "rejected", job->letters.rejected));
    HUB_TRY(hub_json_set_c(line, "deadletters", letters));
    HUB_TRY(set_text(arena, line, "feed", job->remap.feed->feed->name));
    HUB_TRY(set_text(arena, line, "rules", job->remap.feed->hash));
    HUB_TRY(hub_json_set_c(line, "dry", hub_json_bool(arena, job->dry)));
    if (more != 0)
        HUB_TRY(set_number(arena, line, "more_differences", more));
    return hub_answer_json(job->request, job->diff != NULL ? "compared" : "remapped", line);
}

/* --- pace --- */

static void rest(int64_t us)
{
    (void)usleep((useconds_t)us);
}

static bool crowded(const struct job *job)
{
    const struct hub *hub = job->hub;
    const uint64_t most = hub_rules_config(job->remap.rules)->limits.in_flight_bytes;
    if (hub->ingest_open && atomic_load(&hub->ingest.in_flight_bytes) > most / 8)
        return true;
    return !job->dry && hub->applier_running && !atomic_load(&hub->sick) &&
           hub_log_durable(hub->log) > atomic_load(&hub->applied) + LAG_RECORDS_MAX;
}

/* Live messages first: a few of the hub's milliseconds a message, and more of them while senders or the timeline wait. */
static enum hub_result keep_pace(struct job *job)
{
    const uint32_t rate = hub_rules_config(job->remap.rules)->limits.remap_rate;
    int64_t now_us = hub_clock_mono_us(job->hub->clock);
    const int64_t begun_us = now_us;
    while (!atomic_load(&job->hub->stopping) && now_us - begun_us < YIELD_US_MAX &&
           (now_us < job->next_us || crowded(job))) {
        rest(now_us < job->next_us && job->next_us - now_us < WAIT_US ? job->next_us - now_us : WAIT_US);
        now_us = hub_clock_mono_us(job->hub->clock);
    }
    if (rate != 0) {
        const int64_t from_us = job->next_us > now_us - WAIT_US ? job->next_us : now_us; /* no bursts after a rest */
        job->next_us = from_us + 1000000 / rate;
    }
    if (atomic_load(&job->hub->stopping))
        return hub_fail(job->err, HUB_CLOSED, "the hub stops", "ask again when it runs: what was done stays done");
    return HUB_OK;
}

/* --- the committer --- */

static void on_done(struct hub_commit_item *item, void *ctx)
{
    struct window *window = ctx;
    (void)item;
    (void)pthread_mutex_lock(&window->lock);
    window->pending--;
    (void)pthread_cond_signal(&window->changed);
    (void)pthread_mutex_unlock(&window->lock);
}

static enum hub_result settle(struct job *job, const struct hub_commit_item *item)
{
    struct hub_error why = {0};
    if (item->result == HUB_OK) {
        *(item->duplicate ? &job->unchanged : &job->changed) += 1;
        return HUB_OK;
    }
    if (item->result == HUB_QUOTA)
        return hub_fail(job->err, HUB_QUOTA, "there is no space for revisions", "make space and ask again: what was done stays done");
    if (item->result != HUB_TOO_LARGE && item->result != HUB_BUSY && item->result != HUB_NO_MEMORY)
        return hub_fail(job->err, item->result, "a revision could not be stored", NULL);
    (void)hub_fail(&why, item->result, item->result == HUB_BUSY ? "another revision came between" : "the revision could not be stored",
                   item->result == HUB_TOO_LARGE ? "raise limits.message_bytes" : "ask again");
    return tell_failed(job, item->dedup.message_id, item->dedup.count - 1, &why);
}

/* Waits for everything that is on its way, whatever happened before: the committer has pointers to it. */
static enum hub_result drain(struct job *job)
{
    struct window *window = &job->window;
    enum hub_result result = HUB_OK;
    (void)pthread_mutex_lock(&window->lock);
    while (window->pending != 0)
        (void)pthread_cond_wait(&window->changed, &window->lock);
    (void)pthread_mutex_unlock(&window->lock);
    for (size_t i = 0; i < window->count; i++) {
        enum hub_result one = settle(job, window->slots[i].item);
        result = result == HUB_OK ? one : result;
        hub_commit_item_free(window->slots[i].item);
        hub_mem_free(window->slots[i].sender);
    }
    window->count = 0;
    window->bytes = 0;
    return result;
}

/* ITEM is the window's afterwards, also on failure. */
static enum hub_result submit(struct job *job, struct hub_commit_item *item, struct hub_span sender)
{
    struct window *window = &job->window;
    struct slot *slot = &window->slots[window->count++];
    *slot = (struct slot){item, hub_mem_alloc(sender.len + 1)};
    item->result = HUB_NO_MEMORY;
    HUB_ENSURE(slot->sender != NULL, HUB_NO_MEMORY);
    if (sender.len != 0)
        memcpy(slot->sender, sender.ptr, sender.len);
    item->feed = job->remap.feed->feed->name;
    item->sender = slot->sender;
    item->who = job->request->session->peer;
    item->done = on_done;
    item->done_ctx = window;
    window->bytes += item->json.len;
    (void)pthread_mutex_lock(&window->lock);
    window->pending++;
    (void)pthread_mutex_unlock(&window->lock);
    enum hub_result result;
    while ((result = hub_commit_submit(job->hub->commit, item)) == HUB_BUSY)
        rest(BUSY_RETRY_US);
    if (result != HUB_OK) { /* it will not come back */
        item->result = result;
        on_done(item, window);
    }
    return window->count == WINDOW_ITEMS || window->bytes >= WINDOW_BYTES ? drain(job) : HUB_OK;
}

/* --- one message --- */

static enum hub_result revise(struct job *job, const struct hub_stored *stored, const struct hub_remapped *remapped,
                              struct hub_error *why)
{
    struct hub_commit_item *item = hub_commit_item_new(job->remap.record_bytes_max);
    enum hub_result result = item == NULL ? hub_fail(why, HUB_NO_MEMORY, NULL, NULL)
                                          : hub_remap_item(&job->remap, &job->arena, stored, remapped, item, why);
    if (result == HUB_OK)
        return submit(job, item, remapped->sender);
    hub_commit_item_free(item);
    return tell_failed(job, stored->dedup.message_id, stored->revision, why);
}

static enum hub_result process(struct job *job, struct hub_stored *stored)
{
    struct hub_remapped remapped;
    struct hub_error why = {0};
    HUB_TRY(keep_pace(job));
    hub_arena_reset(&job->arena);
    job->messages++;
    enum hub_result result = hub_remap_judge(&job->remap, &job->arena, stored, &remapped, &why);
    if (result != HUB_OK) {
        if (why.result == HUB_OK)
            (void)hub_fail(&why, result, NULL, NULL);
        HUB_TRY(tell_failed(job, stored->dedup.message_id, stored->revision, &why));
    } else if (!remapped.changed) {
        job->unchanged++;
    } else if (job->dry) {
        job->changed++;
        job->values.message_id = stored->dedup.message_id;
        HUB_TRY(hub_diff_add(job->diff, &job->arena, remapped.before, remapped.before_count, remapped.after,
                             remapped.after_count, job->show_values ? hub_remap_values_send : NULL, &job->values));
        HUB_TRY(job->values.result);
    } else {
        HUB_TRY(revise(job, stored, &remapped, &why));
    }
    return tell_progress(job);
}

/* --- a chunk: read, noted, then opened --- */

struct chunk {
    struct hub_arena arena;
    struct hub_stored messages[CHUNK_MESSAGES];
    size_t count;
    uint64_t bytes;
};

/* The message as its newest revision has it. */
static enum hub_result load(struct job *job, struct chunk *chunk, uint64_t number, struct hub_span payload)
{
    struct hub_stored *out = &chunk->messages[chunk->count];
    uint32_t revision = 0;
    uint64_t record = 0;
    HUB_TRY(hub_stored_parse(&chunk->arena, number, payload, out, job->err));
    chunk->bytes += payload.len;
    HUB_TRY(hub_index_revision(job->hub->index, hub_span_str(out->dedup.message_id), &revision, &record, job->err));
    if (revision != 0 && record != number) {
        HUB_TRY(hub_log_reader_seek(job->newest, record, job->err));
        HUB_TRY(hub_log_reader_next(job->newest, &number, &payload, job->err));
        HUB_TRY(hub_stored_parse(&chunk->arena, number, payload, out, job->err));
        chunk->bytes += payload.len;
    }
    chunk->count++;
    return HUB_OK;
}

/* A revision stands for a message whose first record the log has retired, if it is the newest one. */
static enum hub_result stands_alone(struct job *job, struct chunk *chunk, struct hub_span payload, bool *alone)
{
    struct hub_stored stored;
    struct hub_index_message index;
    uint32_t revision = 0;
    uint64_t record = 0;
    *alone = false;
    chunk->bytes += payload.len; /* it takes as much room whether it is wanted or not */
    HUB_TRY(hub_stored_parse(&chunk->arena, job->position, payload, &stored, job->err));
    struct hub_span id = hub_span_str(stored.dedup.message_id);
    HUB_TRY(hub_index_message(job->hub->index, id, &index, job->err));
    HUB_TRY(hub_index_revision(job->hub->index, id, &revision, &record, job->err));
    *alone = index.record < hub_log_first(job->hub->log) && record == job->position &&
             stored.origin_us >= job->since_us && stored.origin_us < job->until_us;
    return HUB_OK;
}

static enum hub_result is_wanted(struct job *job, struct chunk *chunk, struct hub_span payload, bool *wanted)
{
    struct hub_record_view view;
    *wanted = false;
    HUB_TRY(hub_record_parse(payload, &view));
    if (!hub_span_is(view.feed, job->remap.feed->feed->name))
        return HUB_OK;
    if (view.kind == HUB_RECORD_REVISED)
        return stands_alone(job, chunk, payload, wanted);
    *wanted = view.kind == HUB_RECORD_MESSAGE && view.recorded_us >= job->since_us && view.recorded_us < job->until_us;
    return HUB_OK;
}

static enum hub_result collect(struct job *job, struct chunk *chunk, bool *end)
{
    hub_arena_reset(&chunk->arena);
    chunk->count = 0;
    chunk->bytes = 0;
    *end = false;
    while (chunk->count < CHUNK_MESSAGES && chunk->bytes < CHUNK_BYTES && !*end) {
        struct hub_span payload;
        bool wanted = false;
        enum hub_result result = hub_log_reader_next(job->reader, &job->position, &payload, job->err);
        *end = result == HUB_END || (result == HUB_OK && job->position > job->last);
        if (*end)
            return HUB_OK;
        HUB_TRY(result);
        HUB_TRY(is_wanted(job, chunk, payload, &wanted));
        if (wanted)
            HUB_TRY(load(job, chunk, job->position, payload));
    }
    return HUB_OK;
}

/* Opening is reading: whose, before it is done. */
static enum hub_result note_reads(struct job *job, struct chunk *chunk)
{
    static const struct hub_span classes[] = {
        {(const uint8_t *)"identity", 8}, {(const uint8_t *)"contact", 7},   {(const uint8_t *)"financial", 9},
        {(const uint8_t *)"clinical", 8}, {(const uint8_t *)"sensitive", 9}, {(const uint8_t *)"raw", 3}};
    size_t count = 0, at = 0;
    for (size_t i = 0; i < chunk->count; i++)
        count += chunk->messages[i].event_count;
    struct hub_span *tokens = HUB_ARENA_ARRAY(&chunk->arena, struct hub_span, count + 1);
    HUB_ENSURE(tokens != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < chunk->count; i++) {
        for (size_t k = 0; k < chunk->messages[i].event_count; k++)
            tokens[at++] = hub_json_get_span(chunk->messages[i].events[k], "subject");
    }
    return hub_session_note_read(job->request, tokens, at, classes, sizeof(classes) / sizeof(classes[0]), job->err);
}

static enum hub_result run_chunks(struct job *job, struct chunk *chunk)
{
    bool end = false;
    while (!end) {
        HUB_TRY(collect(job, chunk, &end));
        if (chunk->count != 0)
            HUB_TRY(note_reads(job, chunk));
        for (size_t i = 0; i < chunk->count; i++)
            HUB_TRY(process(job, &chunk->messages[i]));
        HUB_TRY(tell_progress(job));
    }
    return HUB_OK;
}

static enum hub_result run_messages(struct job *job)
{
    struct chunk *chunk = hub_mem_alloc(sizeof(*chunk));
    HUB_ENSURE(chunk != NULL, hub_fail(job->err, HUB_NO_MEMORY, NULL, NULL));
    hub_arena_init(&chunk->arena, hub_rules_config(job->remap.rules)->limits.message_bytes * ARENA_FACTOR + ARENA_BASE);
    enum hub_result result = run_chunks(job, chunk);
    enum hub_result drained = drain(job);
    hub_arena_deinit(&chunk->arena);
    hub_mem_free(chunk);
    return result != HUB_OK ? result : drained;
}

static enum hub_result run_letters(struct job *job)
{
    const struct hub_letter_range range = {job->remap.feed->feed->id, job->since_us, job->until_us, job->dry};
    struct hub_rules *rules = hub_rules_share((struct hub_rules *)(uintptr_t)job->remap.rules);
    enum hub_result result = hub_letters_remap(job->request, rules, &range, &job->letters, job->err);
    hub_rules_free(rules);
    return result;
}

/* --- the job --- */

static void entry_begin(const struct job *job, struct hub_audit_builder *builder, const char *state)
{
    char time[HUB_TIME_TEXT_LEN + 1];
    hub_audit_begin(builder, HUB_AUDIT_FEED_REMAPPED, hub_clock_wall_us(job->hub->clock));
    hub_audit_text(builder, "who", job->request->session->peer);
    hub_audit_text(builder, "feed", job->remap.feed->feed->name);
    hub_audit_text(builder, "rules", job->remap.feed->hash);
    hub_audit_text(builder, "state", state);
    hub_time_format(job->since_us, time);
    hub_audit_text(builder, "since", time);
    if (job->until_us == INT64_MAX)
        return;
    hub_time_format(job->until_us, time);
    hub_audit_text(builder, "until", time);
}

static enum hub_result note_begin(struct job *job)
{
    struct hub_audit_builder builder;
    if (job->dry)
        return HUB_OK;
    entry_begin(job, &builder, "begun");
    return hub_note(job->hub, &builder, job->err);
}

/* Also of one that was stopped: so far it came. */
static enum hub_result note_end(struct job *job, enum hub_result outcome)
{
    struct hub_audit_builder builder;
    struct hub_error ignored = {0};
    if (job->dry)
        return HUB_OK;
    entry_begin(job, &builder, outcome == HUB_OK ? "done" : "stopped");
    hub_audit_number(&builder, "changed", (int64_t)job->changed);
    hub_audit_number(&builder, "unchanged", (int64_t)job->unchanged);
    hub_audit_number(&builder, "failed", (int64_t)job->failed);
    hub_audit_number(&builder, "letters_accepted", (int64_t)job->letters.accepted);
    return hub_note(job->hub, &builder, outcome == HUB_OK ? job->err : &ignored);
}

static enum hub_result run(struct job *job)
{
    struct hub *hub = job->hub;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_BACKGROUND); /* this client's thread; else only slower for others */
    job->last = hub_log_durable(hub->log);
    HUB_TRY(hub_log_reader_open(hub->log, hub_log_first(hub->log), &job->reader, job->err));
    HUB_TRY(hub_log_since(hub->log, job->reader, job->since_us, &job->position, job->err)); /* revisions lie behind their message */
    HUB_TRY(hub_log_reader_open(hub->log, hub_log_first(hub->log), &job->newest, job->err));
    HUB_TRY(note_begin(job));
    enum hub_result result = run_messages(job);
    if (result == HUB_OK)
        result = run_letters(job);
    enum hub_result noted = note_end(job, result);
    return result != HUB_OK ? result : noted;
}

static enum hub_result start(struct job *job)
{
    (void)pthread_mutex_init(&job->window.lock, NULL);
    (void)pthread_cond_init(&job->window.changed, NULL);
    hub_arena_init(&job->arena, hub_rules_config(job->remap.rules)->limits.message_bytes * ARENA_FACTOR + ARENA_BASE);
    if (job->dry)
        job->diff = hub_diff_new();
    enum hub_result result = job->dry && job->diff == NULL ? hub_fail(job->err, HUB_NO_MEMORY, NULL, NULL) : run(job);
    if (result == HUB_OK)
        result = tell_end(job);
    hub_diff_free(job->diff);
    hub_log_reader_close(job->reader);
    hub_log_reader_close(job->newest);
    hub_arena_deinit(&job->arena);
    (void)pthread_mutex_destroy(&job->window.lock);
    (void)pthread_cond_destroy(&job->window.changed);
    return result;
}

/* --- requests --- */

static enum hub_result time_member(struct hub_request *request, const char *name, bool required, int64_t *us,
                                   struct hub_error *err)
{
    struct hub_span text;
    HUB_TRY(hub_request_text(request, name, required, &text, err));
    if (text.len == 0 || hub_time_parse((const char *)text.ptr, text.len, us) == 0)
        return HUB_OK;
    (void)hub_fail(err, HUB_USAGE, "a time such as 2026-11-23T08:00:00Z", NULL);
    return hub_error_at(err, "%s", name);
}

static enum hub_result find_feed(struct hub_request *request, struct job *job, struct hub_error *err)
{
    struct hub_span name;
    HUB_TRY(hub_request_text(request, "feed", true, &name, err));
    job->remap.feed = hub_rules_feed_named(job->remap.rules, name);
    return job->remap.feed != NULL ? HUB_OK
                                   : hub_fail(err, HUB_NOT_FOUND, "the configuration has no such feed",
                                              "`chartline status` lists the feeds");
}

/* `values`: what differs is shown, not only counted. */
static enum hub_result ask_for_values(struct job *job)
{
    struct hub_span values;
    HUB_TRY(hub_request_text(job->request, "values", false, &values, job->err));
    if (values.len == 0)
        return HUB_OK;
    if (!job->dry || !hub_span_is(values, "true"))
        return hub_fail(job->err, HUB_USAGE, "`values` is \"true\", of a comparison", NULL);
    job->show_values = true;
    job->values = (struct hub_remap_values){.request = job->request, .arena = &job->arena};
    return hub_remap_values_allowed(job->request, job->err);
}

static enum hub_result serve(struct hub_request *request, struct hub_rules *rules, bool dry, struct hub_error *err)
{
    struct hub *hub = request->hub;
    struct job *job = hub_mem_alloc(sizeof(*job));
    HUB_ENSURE(job != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    *job = (struct job){.request = request, .hub = hub, .until_us = INT64_MAX, .dry = dry, .err = err};
    job->remap = (struct hub_remap){.keys = hub->keys, .rules = rules, .record_bytes_max = hub->ingest.record_bytes_max};
    enum hub_result result = find_feed(request, job, err);
    if (result == HUB_OK)
        result = time_member(request, "since", true, &job->since_us, err);
    if (result == HUB_OK)
        result = time_member(request, "until", false, &job->until_us, err);
    if (result == HUB_OK)
        result = ask_for_values(job);
    if (result == HUB_OK)
        result = start(job);
    hub_mem_free(job);
    return result;
}

static enum hub_result one_at_a_time(struct hub_request *request, struct hub_rules *rules, bool dry,
                                     struct hub_error *err)
{
    if (atomic_exchange(&request->hub->remapping, true))
        return hub_fail(err, HUB_BUSY, "another remap or diff is at work", "wait for it, or stop it where it was started");
    enum hub_result result = serve(request, rules, dry, err);
    atomic_store(&request->hub->remapping, false);
    return result;
}

enum hub_result hub_service_feed_remap(struct hub_request *request, struct hub_error *err)
{
    struct hub_rules *rules = NULL;
    struct hub_span dry;
    HUB_TRY(hub_request_text(request, "dry_run", false, &dry, err));
    HUB_TRY(hub_rules_with_feeds(request->hub, &rules, err));
    enum hub_result result = one_at_a_time(request, rules, hub_span_is(dry, "true"), err);
    hub_rules_free(rules);
    return result;
}

/* By the rules as their files are now, whether or not they are in force. */
enum hub_result hub_service_feed_diff(struct hub_request *request, struct hub_error *err)
{
    struct hub_rules *rules = NULL;
    HUB_TRY(hub_rules_from_files(request->hub, &rules, err));
    enum hub_result result = one_at_a_time(request, rules, true, err);
    hub_rules_free(rules);
    return result;
}
