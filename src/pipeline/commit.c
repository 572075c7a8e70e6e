#include "src/pipeline/commit.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "src/audit/entry.h"
#include "src/base/crash.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/base/queue.h"
#include "src/base/thread.h"
#include "src/pipeline/commit_record.h"
#include "src/pipeline/commit_space.h"
#include "src/pipeline/index.h"

enum {
    QUEUE_DEFAULT = 4096,
    GROUP_ITEMS_MAX = 4096,
    GROUP_BYTES_MAX = 16 * 1024 * 1024, /* one item may be larger by itself */
    ITEM_OVERHEAD = 1024,               /* about what audit and dedup add to an item's own bytes */
    IDLE_MS = 100,                      /* how often a full disk is looked at again */
    KEYS_MAX = 64,                      /* key records in a group; more wait for the next one */
    RETRY_US = 1000,
    INDEX_RETRY_US = 500 * 1000, /* between two tries to open an index that failed */
};

static const char component[] = "commit";

struct hub_commit {
    struct hub_commit_options options;
    const struct hub_clock *clock;
    struct hub_log *log;
    struct hub_index *index;
    struct hub_keys *keys;
    void (*fatal)(void *ctx, const struct hub_error *err);
    void *fatal_ctx;
    struct hub_queue *queue;
    struct hub_commit_space space;
    pthread_t thread;
    atomic_bool closed; /* no more submits */
    atomic_int submitting;
    struct hub_commit_item last; /* goes through the queue as the end of it */
    bool finished;
    bool dead;       /* the log failed: everything is refused */
    int64_t last_us; /* last recorded time given out */
    /* the group at work */
    struct hub_commit_item *items[GROUP_ITEMS_MAX];
    bool stored_before[GROUP_ITEMS_MAX]; /* a duplicate of something durable: good whatever becomes of this
                                            group */
    size_t item_count;
    size_t record_count;    /* of the group, in the log's buffer */
    bool company;           /* the group before was more than one item */
    bool stored;            /* something of a message was, in this group */
    bool index_behind;        /* its store failed: nothing is decided before it is brought up to the log's end */
    int64_t index_tried_us;   /* monotonic */
    atomic_bool keys_looked; /* all records of the key store are in the log, as far as known */
};

/* --- items --- */

struct hub_commit_item *hub_commit_item_new(size_t bytes_max)
{
    struct hub_commit_item *item = hub_mem_alloc(sizeof *item);
    if (item == NULL)
        return NULL;
    hub_buf_init(&item->json, bytes_max, false);
    hub_buf_init(&item->audit, bytes_max, false);
    return item;
}

void hub_commit_item_free(struct hub_commit_item *item)
{
    if (item == NULL)
        return;
    hub_buf_deinit(&item->json);
    hub_buf_deinit(&item->audit);
    hub_mem_free(item->events);
    hub_mem_free(item->event_lens);
    hub_mem_free(item->resolves);
    hub_mem_free(item);
}

static bool is_message(const struct hub_commit_item *item)
{
    return item->kind == HUB_RECORD_MESSAGE || item->kind == HUB_RECORD_REJECTED;
}

static void done(struct hub_commit_item *item)
{
    if (item->done != NULL)
        item->done(item, item->done_ctx);
}

/* --- deciding --- */

/* Strictly increasing, over restarts and clocks that step back. COUNT consecutive microseconds. */
static int64_t take_times(struct hub_commit *commit, size_t count)
{
    int64_t now = hub_clock_wall_us(commit->clock);
    int64_t first = now > commit->last_us ? now : commit->last_us + 1;
    commit->last_us = first + (count > 1 ? (int64_t)count - 1 : 0);
    return first;
}

/* The record number that the next payload of this group will get. */
static uint64_t next_number(const struct hub_commit *commit)
{
    return hub_log_durable(commit->log) + commit->record_count + 1;
}

/* Closes the record whose payload was just built: into the index's staging, or out again. */
static enum hub_result end_record(struct hub_commit *commit, enum hub_result built, struct hub_error *err)
{
    uint64_t number = 0, expected = next_number(commit);
    const size_t len = hub_log_payload(commit->log).len;
    enum hub_result result = built;
    if (result == HUB_OK)
        result = hub_log_end(commit->log, &number, err);
    if (result == HUB_OK)
        result = hub_index_apply(commit->index, expected,
                                 hub_span_of(hub_log_payload(commit->log).ptr, len), err);
    if (result != HUB_OK) {
        hub_log_cancel(commit->log);
        return result;
    }
    HUB_ASSERT(number == expected);
    commit->record_count++;
    return HUB_OK;
}

static enum hub_result add_record(struct hub_commit *commit, struct hub_commit_item *item,
                                  enum hub_record_kind kind, const struct hub_commit_facts *facts,
                                  struct hub_error *err)
{
    struct hub_buf *payload = NULL;
    HUB_TRY(hub_log_begin(commit->log, &payload, err));
    return end_record(commit, hub_commit_record(item, kind, facts, payload), err);
}

static enum hub_result decide_duplicate(struct hub_commit *commit, size_t at,
                                        const struct hub_index_message *stored, struct hub_error *err)
{
    struct hub_commit_item *item = commit->items[at];
    item->duplicate = true;
    item->recorded_us = stored->recorded_us;
    item->record = stored->record;
    memcpy(item->dedup.answer, stored->answer, sizeof item->dedup.answer);
    commit->stored_before[at] = stored->record <= hub_log_durable(commit->log);
    return hub_index_duplicate(commit->index, hub_span_str(item->dedup.message_id),
                               hub_clock_wall_us(commit->clock), err);
}

static enum hub_result decide_message(struct hub_commit *commit, size_t at, struct hub_error *err)
{
    struct hub_commit_item *item = commit->items[at];
    struct hub_span id = hub_span_str(item->dedup.message_id);
    struct hub_commit_facts facts = {0};
    struct hub_index_message stored;
    enum hub_record_kind kind = item->kind;
    HUB_ASSERT(id.len != 0);
    enum hub_result result = hub_index_lookup(commit->index, id, &stored, err);
    if (result == HUB_OK && stored.kind == HUB_RECORD_MESSAGE)
        return decide_duplicate(commit, at, &stored, err);
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    if (item->known)
        return HUB_NOT_FOUND;
    if (result == HUB_OK && kind == HUB_RECORD_REJECTED) {
        kind = HUB_RECORD_REPEATED;
        facts.repeats = stored.repeats;
    }
    item->dedup.count = facts.repeats + 1 < UINT32_MAX ? (uint32_t)facts.repeats + 1 : UINT32_MAX;
    HUB_TRY(hub_index_control_used(commit->index, hub_span_str(item->dedup.control_token), id,
                                   &facts.control_reused, err));
    facts.recorded_us = take_times(commit, item->event_count);
    item->recorded_us = facts.recorded_us;
    item->record = next_number(commit);
    return add_record(commit, item, kind, &facts, err);
}

/* Another revision of the same message is decided in this group: the index does not know it yet. */
static bool revised_in_group(const struct hub_commit *commit, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        const struct hub_commit_item *item = commit->items[i];
        if (item->kind == HUB_RECORD_REVISED && item->result == HUB_OK &&
            strcmp(item->dedup.message_id, commit->items[at]->dedup.message_id) == 0)
            return true;
    }
    return false;
}

/* One after the other, of an accepted message: who asks twice gets the same, who was overtaken is told. */
static enum hub_result decide_revision(struct hub_commit *commit, size_t at, struct hub_error *err)
{
    struct hub_commit_item *item = commit->items[at];
    struct hub_span id = hub_span_str(item->dedup.message_id);
    struct hub_commit_facts facts = {0};
    struct hub_index_message stored;
    uint32_t newest = 0;
    uint64_t record = 0;
    HUB_TRY(hub_index_lookup(commit->index, id, &stored, err));
    HUB_ENSURE(stored.kind == HUB_RECORD_MESSAGE, HUB_NOT_FOUND);
    HUB_TRY(hub_index_revision(commit->index, id, &newest, &record, err));
    item->duplicate = item->dedup.count <= newest;
    commit->stored_before[at] = item->duplicate;
    if (item->duplicate)
        return HUB_OK;
    HUB_ENSURE(item->dedup.count == newest + 1 && !revised_in_group(commit, at), HUB_BUSY);
    facts.recorded_us = take_times(commit, item->event_count);
    item->recorded_us = facts.recorded_us;
    return add_record(commit, item, item->kind, &facts, err);
}

static enum hub_result decide(struct hub_commit *commit, size_t at, bool full, struct hub_error *err)
{
    struct hub_commit_item *item = commit->items[at];
    struct hub_commit_facts facts = {0};
    if (item->work != NULL)
        return item->work(item->work_ctx, err);
    switch (item->kind) {
    case HUB_RECORD_MESSAGE:
    case HUB_RECORD_REJECTED:
    case HUB_RECORD_REPEATED:
        return full ? HUB_QUOTA : decide_message(commit, at, err);
    case HUB_RECORD_REVISED:
        return full ? HUB_QUOTA : decide_revision(commit, at, err);
    case HUB_RECORD_KEY:
        if (item->json.len == 0) /* the key store was looked at before */
            return HUB_OK;
        break;
    case HUB_RECORD_AUDIT:
    case HUB_RECORD_STATE:
    case HUB_RECORD_CARRIED:
        break;
    }
    facts.recorded_us = take_times(commit, 1);
    item->recorded_us = facts.recorded_us;
    item->record = next_number(commit);
    return add_record(commit, item, item->kind, &facts, err);
}

/* --- class keys that were made --- */

struct emission {
    struct hub_commit *commit;
    enum hub_result result;
    struct hub_error *err;
};

static bool emit_key(void *ctx, const struct hub_commit_key *key)
{
    struct emission *emission = ctx;
    struct hub_commit *commit = emission->commit;
    struct hub_buf *payload = NULL;
    if (commit->record_count == KEYS_MAX) {
        atomic_store(&commit->keys_looked, false); /* the others with the next group */
        return false;
    }
    emission->result = hub_log_begin(commit->log, &payload, emission->err);
    if (emission->result != HUB_OK)
        return false;
    hub_commit_record_key(key, take_times(commit, 1), payload);
    emission->result = end_record(commit, hub_buf_result(payload), emission->err);
    return emission->result == HUB_OK;
}

/* Key records come before the messages sealed with them. What was made a moment ago is in the key store only after a
 * sync, and read from there. */
static enum hub_result write_new_keys(struct hub_commit *commit, struct hub_error *err)
{
    if (commit->keys == NULL)
        return HUB_OK;
    if (!hub_keys_take_news(commit->keys) && atomic_load(&commit->keys_looked))
        return HUB_OK;
    struct emission emission = {.commit = commit, .result = HUB_OK, .err = err};
    HUB_TRY(hub_keys_sync(commit->keys, err) == HUB_OK ? HUB_OK : HUB_IO);
    atomic_store(&commit->keys_looked, true);
    HUB_TRY(hub_commit_keys_missing(commit->keys, commit->index, emit_key, &emission, err));
    return emission.result;
}

static void die(struct hub_commit *commit, struct hub_error *err)
{
    commit->dead = true;
    if (err->result != HUB_CORRUPT)
        err->result = HUB_IO;
    atomic_store(&commit->closed, true);
    HUB_DIAG(HUB_DIAG_ERROR, component, "nothing more is stored or acknowledged: a write failed",
             hub_diag_error(err));
    if (commit->fatal != NULL)
        commit->fatal(commit->fatal_ctx, err);
}

/* --- writing --- */

/* Keys first: nothing sealed may reach the disk, not even unsynced, before the key that opens it is durable.
 * Not only when the store is dirty: another thread's sync may be under way, and this one waits for it. */
static enum hub_result store_keys(struct hub_commit *commit, struct hub_error *err)
{
    if (commit->keys == NULL)
        return HUB_OK;
    hub_crash_point(HUB_CRASH_BEFORE_KEYS);
    HUB_TRY(hub_keys_sync(commit->keys, err));
    hub_crash_point(HUB_CRASH_AFTER_KEYS);
    return HUB_OK;
}

static void leave_index(struct hub_commit *commit, const struct hub_error *err)
{
    commit->index_behind = true;
    commit->index_tried_us = hub_clock_mono_us(commit->clock);
    hub_index_discard(commit->index);
    hub_commit_space_ran_out(&commit->space, HUB_ROOM_INDEX, err);
}

/* Whether something of a message was stored: commands' entries say nothing about room for messages. */
static bool stored_messages(const struct hub_commit *commit)
{
    for (size_t i = 0; i < commit->item_count; i++)
        if (is_message(commit->items[i]) && commit->items[i]->result == HUB_OK && !commit->items[i]->duplicate)
            return true;
    return false;
}

static void answer_group(struct hub_commit *commit)
{
    hub_crash_point(HUB_CRASH_BEFORE_DONE);
    for (size_t i = 0; i < commit->item_count; i++)
        done(commit->items[i]);
    commit->item_count = 0;
}

/* What is durable may be acknowledged: a group of messages does not wait for the index. Who looks into that waits for the
 * write (hub_index_hold), so that nobody misses what was acknowledged. Commands' items wait themselves. */
static void answer_before_index(struct hub_commit *commit)
{
    for (size_t i = 0; i < commit->item_count; i++)
        if (commit->items[i]->work != NULL || !is_message(commit->items[i]))
            return;
    answer_group(commit);
}

/* The whole group from the log's buffer to the index. */
static enum hub_result store(struct hub_commit *commit, struct hub_error *err)
{
    if (commit->record_count != 0) {
        HUB_TRY(store_keys(commit, err) == HUB_OK ? HUB_OK : HUB_IO);
        hub_crash_point(HUB_CRASH_BEFORE_SYNC);
        HUB_TRY(hub_log_sync(commit->log, err));
        hub_crash_point(HUB_CRASH_AFTER_SYNC);
    }
    commit->stored = stored_messages(commit);
    hub_index_hold(commit->index);
    answer_before_index(commit);
    hub_crash_point(HUB_CRASH_BEFORE_INDEX);
    if (hub_index_write(commit->index, err) != HUB_OK) /* the records are durable, and the answers good */
        leave_index(commit, err);
    hub_index_release(commit->index);
    hub_crash_point(HUB_CRASH_AFTER_INDEX);
    return HUB_OK;
}

/* --- an index that fails --- */

/* False: not yet. It is derived: opened anew, and brought up to the log's end by the records themselves. */
static bool index_is_back(struct hub_commit *commit, struct hub_error *err)
{
    int64_t now = hub_clock_mono_us(commit->clock);
    if (!commit->index_behind)
        return true;
    if (now - commit->index_tried_us < INDEX_RETRY_US)
        return false;
    commit->index_tried_us = now;
    enum hub_result result = hub_index_recover(commit->index, commit->log, err);
    if (result == HUB_CORRUPT)
        die(commit, err);
    commit->index_behind = result != HUB_OK;
    if (result == HUB_OK)
        hub_commit_space_stored(&commit->space);
    else
        hub_commit_space_ran_out(&commit->space, HUB_ROOM_INDEX, err);
    return result == HUB_OK;
}

/* Everything decided together shares the fate of the write. */
static void settle(struct hub_commit *commit, enum hub_result stored, struct hub_error *err)
{
    if (stored == HUB_QUOTA && hub_log_discard(commit->log, err) != HUB_OK)
        stored = HUB_IO;
    if (stored == HUB_QUOTA) {
        atomic_store(&commit->keys_looked, false);
        hub_index_discard(commit->index);
        if (!commit->index_behind)
            hub_commit_space_ran_out(&commit->space, HUB_ROOM_DISK, err);
    } else if (stored != HUB_OK) {
        die(commit, err);
    }
    for (size_t i = 0; i < commit->item_count; i++) {
        struct hub_commit_item *item = commit->items[i];
        if (stored == HUB_QUOTA && (item->result == HUB_IO || (item->result == HUB_OK && !commit->stored_before[i])))
            item->result = HUB_QUOTA;
        else if (stored != HUB_OK && stored != HUB_QUOTA)
            item->result = HUB_IO;
    }
}

static uint64_t item_bytes(const struct hub_commit_item *item)
{
    return item->json.len + item->audit.len + ITEM_OVERHEAD;
}

/* Company is waited for where some is to be expected: the group before was more than one item. A sender that is
 * alone never waits. */
static void collect(struct hub_commit *commit)
{
    uint64_t bytes = 0;
    bool waited = commit->options.wait_us == 0 || !commit->company || atomic_load(&commit->closed);
    while (commit->item_count < GROUP_ITEMS_MAX && bytes < GROUP_BYTES_MAX) {
        struct hub_commit_item *item = hub_queue_pop(commit->queue);
        if (item == NULL && commit->item_count != 0 && !waited) {
            (void)usleep(commit->options.wait_us);
            waited = true;
            continue;
        }
        if (item == &commit->last)
            commit->finished = true;
        if (item == NULL || item == &commit->last)
            break;
        item->result = HUB_OK;
        item->duplicate = false;
        commit->stored_before[commit->item_count] = false;
        commit->items[commit->item_count++] = item;
        bytes += item_bytes(item);
    }
    commit->company = commit->item_count > 1;
}

static void decide_and_store(struct hub_commit *commit, uint64_t coming, struct hub_error *err)
{
    bool full = hub_commit_space_full(&commit->space, commit->log, coming);
    hub_crash_point(HUB_CRASH_BEFORE_APPEND);
    enum hub_result result = hub_log_reserve(commit->log, coming, err);
    if (result == HUB_OK)
        result = write_new_keys(commit, err);
    for (size_t i = 0; i < commit->item_count && result == HUB_OK; i++) {
        enum hub_result decided = decide(commit, i, full, err);
        commit->items[i]->result = decided;
        if (decided == HUB_IO) { /* the index cannot be asked now: nothing of this group is stored */
            leave_index(commit, err);
            result = HUB_QUOTA;
        } else if (decided == HUB_CORRUPT || decided == HUB_INTERNAL) {
            result = decided; /* duplicates are not known any more */
        }
    }
    hub_crash_point(HUB_CRASH_AFTER_APPEND);
    if (result == HUB_OK)
        result = store(commit, err);
    settle(commit, result, err);
    if (result == HUB_OK && !commit->index_behind && commit->stored)
        hub_commit_space_stored(&commit->space);
}

static void refuse_group(struct hub_commit *commit, enum hub_result result)
{
    for (size_t i = 0; i < commit->item_count; i++)
        commit->items[i]->result = result;
}

static void run_group(struct hub_commit *commit)
{
    struct hub_error err = {0};
    uint64_t coming = 0;
    commit->record_count = 0;
    commit->stored = false;
    for (size_t i = 0; i < commit->item_count; i++)
        coming += item_bytes(commit->items[i]);
    if (commit->dead)
        refuse_group(commit, HUB_IO);
    else if (!index_is_back(commit, &err))
        refuse_group(commit, commit->dead ? HUB_IO : HUB_QUOTA);
    else
        decide_and_store(commit, coming, &err);
    answer_group(commit);
}

static void *run(void *arg)
{
    struct hub_commit *commit = arg;
    while (!commit->finished) {
        collect(commit);
        if (commit->item_count != 0) {
            run_group(commit);
            continue;
        }
        if (commit->finished)
            break;
        bool full = atomic_load(&commit->space.full);
        hub_queue_wait(commit->queue, full ? IDLE_MS : -1);
        if (full && !commit->dead) {
            struct hub_error err = {0};
            /* while the index is behind nothing comes in: workers look there for the parts of a message */
            if (index_is_back(commit, &err))
                (void)hub_commit_space_full(&commit->space, commit->log, 0);
        }
    }
    return NULL;
}

/* --- the doors --- */

static void commit_free(struct hub_commit *commit)
{
    if (commit == NULL)
        return;
    hub_queue_free(commit->queue);
    hub_mem_free(commit);
}

enum hub_result hub_commit_start(const struct hub_commit_options *options, const struct hub_clock *clock,
                                 struct hub_disk *disk, struct hub_log *log, struct hub_index *index,
                                 struct hub_keys *keys, void (*fatal)(void *ctx, const struct hub_error *err),
                                 void *fatal_ctx, struct hub_commit **out, struct hub_error *err)
{
    *out = NULL;
    struct hub_commit *commit = hub_mem_alloc(sizeof *commit);
    if (commit == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the committer", NULL);
    commit->options = *options;
    commit->clock = clock;
    commit->log = log;
    commit->index = index;
    commit->keys = keys;
    commit->fatal = fatal;
    commit->fatal_ctx = fatal_ctx;
    commit->last_us = hub_index_last_recorded(index);
    hub_commit_space_init(&commit->space, options, disk, clock);
    commit->queue = hub_queue_new(options->queue != 0 ? options->queue : QUEUE_DEFAULT);
    if (commit->queue == NULL) {
        commit_free(commit);
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the committer", NULL);
    }
    enum hub_result result = hub_thread_start(&commit->thread, "committer", run, commit, err);
    if (result != HUB_OK) {
        commit_free(commit);
        return result;
    }
    *out = commit;
    return HUB_OK;
}

enum hub_result hub_commit_submit(struct hub_commit *commit, struct hub_commit_item *item)
{
    enum hub_result result = HUB_OK;
    bool message = is_message(item);
    atomic_fetch_add(&commit->submitting, 1);
    if (atomic_load(&commit->closed))
        result = HUB_CLOSED;
    else if (message && atomic_load(&commit->space.full))
        result = HUB_QUOTA;
    else if (!hub_queue_push(commit->queue, item))
        result = HUB_BUSY;
    atomic_fetch_sub(&commit->submitting, 1);
    return result;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool over;
};

static void wake_waiter(struct hub_commit_item *item, void *ctx)
{
    struct waiter *waiter = ctx;
    (void)item;
    (void)pthread_mutex_lock(&waiter->lock);
    waiter->over = true;
    (void)pthread_cond_signal(&waiter->cond);
    (void)pthread_mutex_unlock(&waiter->lock);
}

enum hub_result hub_commit_wait(struct hub_commit *commit, struct hub_commit_item *item)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    enum hub_result result;
    item->done = wake_waiter;
    item->done_ctx = &waiter;
    while ((result = hub_commit_submit(commit, item)) == HUB_BUSY)
        (void)usleep(RETRY_US);
    if (result == HUB_OK) {
        (void)pthread_mutex_lock(&waiter.lock);
        while (!waiter.over)
            (void)pthread_cond_wait(&waiter.cond, &waiter.lock);
        (void)pthread_mutex_unlock(&waiter.lock);
        result = item->result;
    }
    (void)pthread_cond_destroy(&waiter.cond);
    (void)pthread_mutex_destroy(&waiter.lock);
    return result;
}

/* ITEM is freed. */
static enum hub_result commit_item(struct hub_commit *commit, struct hub_commit_item *item, struct hub_error *err)
{
    enum hub_result result = hub_buf_result(&item->audit);
    if (result == HUB_OK)
        result = hub_buf_result(&item->json);
    if (result == HUB_OK)
        result = hub_commit_wait(commit, item);
    hub_commit_item_free(item);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, "an audit entry could not be stored", NULL);
}

/* ITEM holds all but the entry; it is freed. */
static enum hub_result commit_entry(struct hub_commit *commit, struct hub_commit_item *item,
                                    struct hub_span entry_json, struct hub_error *err)
{
    hub_buf_append_be32(&item->audit, (uint32_t)entry_json.len);
    hub_buf_append_span(&item->audit, entry_json);
    return commit_item(commit, item, err);
}

/* NULL: ENTRY_JSON is too large, or there is no memory (no_entry_item). */
static struct hub_commit_item *entry_item(enum hub_record_kind kind, struct hub_span entry_json)
{
    struct hub_commit_item *item =
        entry_json.len <= HUB_AUDIT_ENTRY_MAX ? hub_commit_item_new(entry_json.len + ITEM_OVERHEAD) : NULL;
    if (item != NULL)
        item->kind = kind;
    return item;
}

static enum hub_result no_entry_item(struct hub_span entry_json, struct hub_error *err)
{
    return entry_json.len > HUB_AUDIT_ENTRY_MAX ? hub_fail(err, HUB_TOO_LARGE, "an audit entry is too large", NULL)
                                                : hub_fail(err, HUB_NO_MEMORY, "no memory for an audit entry", NULL);
}

enum hub_result hub_commit_audit(struct hub_commit *commit, struct hub_span entry_json, struct hub_error *err)
{
    struct hub_commit_item *item = entry_item(HUB_RECORD_AUDIT, entry_json);
    if (item == NULL)
        return no_entry_item(entry_json, err);
    return commit_entry(commit, item, entry_json, err);
}

enum hub_result hub_commit_audit_all(struct hub_commit *commit, struct hub_span entries, struct hub_error *err)
{
    struct hub_commit_item *item = hub_commit_item_new(entries.len + ITEM_OVERHEAD);
    if (item == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for an audit entry", NULL);
    item->kind = HUB_RECORD_AUDIT;
    hub_buf_append_span(&item->audit, entries);
    return commit_item(commit, item, err);
}

enum hub_result hub_commit_state(struct hub_commit *commit, const char *what, const char *id,
                                 const char *state, struct hub_span entry_json, struct hub_error *err)
{
    struct hub_commit_item *item = entry_item(HUB_RECORD_STATE, entry_json);
    if (item == NULL)
        return no_entry_item(entry_json, err);
    hub_record_add_state(&item->json, what, id, state);
    return commit_entry(commit, item, entry_json, err);
}

enum hub_result hub_commit_do(struct hub_commit *commit, enum hub_result (*work)(void *ctx, struct hub_error *err),
                              void *ctx, struct hub_error *err)
{
    struct hub_commit_item *item = hub_commit_item_new(ITEM_OVERHEAD);
    if (item == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory to change the message index", NULL);
    item->kind = HUB_RECORD_AUDIT;
    item->work = work;
    item->work_ctx = ctx;
    enum hub_result result = hub_commit_wait(commit, item);
    hub_commit_item_free(item);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, "the message index could not be changed", NULL);
}

enum hub_result hub_commit_keys(struct hub_commit *commit, struct hub_error *err)
{
    enum hub_result result;
    do { /* a group takes a bounded number of them */
        struct hub_commit_item *item = hub_commit_item_new(1);
        if (item == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        item->kind = HUB_RECORD_KEY;
        result = hub_commit_wait(commit, item);
        hub_commit_item_free(item);
    } while (result == HUB_OK && !atomic_load(&commit->keys_looked));
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, "a change of keys could not be logged", NULL);
}

void hub_commit_stop(struct hub_commit *commit)
{
    if (commit == NULL)
        return;
    atomic_store(&commit->closed, true);
    while (atomic_load(&commit->submitting) != 0)
        (void)sched_yield();
    while (!hub_queue_push(commit->queue, &commit->last))
        (void)usleep(RETRY_US);
    (void)pthread_join(commit->thread, NULL);
    commit_free(commit);
}

void hub_commit_stats(struct hub_commit *commit, struct hub_commit_stats *out)
{
    hub_index_stats(commit->index, out);
}

bool hub_commit_full(struct hub_commit *commit)
{
    return atomic_load(&commit->space.full);
}

enum hub_commit_room hub_commit_room(struct hub_commit *commit)
{
    return atomic_load(&commit->space.room);
}
