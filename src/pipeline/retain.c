#include "src/pipeline/retain.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/crash.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/config/value.h"
#include "src/log/record.h"
#include "src/pipeline/index.h"

enum { EXTENTS_MAX = 4096, LOOK_MS = 1000, RULES_EVERY_MAX = 60, RULES_EVERY_SIZE = 10, RULES_PER_AGE = 10, CARRIED_GRACE_US = 500 * 1000 };

static const char component[] = "retention";
static const int64_t FORGET_EVERY_US = 24 * 3600 * INT64_C(1000000);

struct hub_keeper {
    struct hub *hub;
    pthread_mutex_t lock;         /* one snapshot or run at a time */
    struct hub_snapshot snapshot; /* the newest; number 0: none */
    bool verified;                /* in this process */
    bool taken;                   /* one was taken by this process, at: */
    int64_t taken_us;             /* monotonic */
    bool forgot;                  /* old duplicates were looked for, at: */
    int64_t forgot_us;            /* monotonic */
    struct hub_log_extent extents[EXTENTS_MAX];
};

void hub_retain_rules_now(struct hub *hub, struct hub_retain_rules *out)
{
    struct hub_rules *rules = hub_rules_now(hub);
    const struct hub_log_keep *keep = &hub_rules_config(rules)->log;
    *out = (struct hub_retain_rules){.by_age = keep->keep_s != 0, .keep_s = keep->keep_s, .max_bytes = keep->max_bytes};
    hub_rules_free(rules);
}

static void look_at_clock(struct hub *hub)
{
    struct hub_commit_stats stats;
    hub_commit_stats(hub->commit, &stats);
    hub_clock_watch_look(&hub->clock_watch, (int64_t)stats.last_recorded_us);
}

/* --- what is due --- */

struct plan {
    const struct hub_retain_rules *rules;
    struct hub_log_reader *reader;
    size_t count;  /* extents */
    size_t before; /* index of the first one that stays */
    char rule[HUB_LOG_RULE_MAX + 1];
};

/* Recorded time of record NUMBER. */
static enum hub_result recorded_us(struct plan *plan, uint64_t number, int64_t *out, struct hub_error *err)
{
    struct hub_record_view view;
    struct hub_span payload;
    uint64_t got = 0;
    HUB_TRY(hub_log_reader_seek(plan->reader, number, err));
    HUB_TRY(hub_log_reader_next(plan->reader, &got, &payload, err));
    HUB_TRY(hub_record_parse(payload, &view));
    *out = view.recorded_us;
    return HUB_OK;
}

/* A segment is as young as its last record, and that is older than the first of the next one. */
static enum hub_result due_by_age(struct hub_keeper *keeper, struct plan *plan, struct hub_error *err)
{
    int64_t limit = hub_clock_watch_passed_us(&keeper->hub->clock_watch) - (int64_t)plan->rules->keep_s * 1000000;
    if (plan->rules->keep_s == 0) /* by hand: all that nobody needs, however young */
        limit = INT64_MAX;
    while (plan->before + 1 < plan->count) {
        int64_t next_us = 0;
        uint64_t next = keeper->extents[plan->before + 1].first;
        if (next > hub_log_durable(keeper->hub->log)) /* the tail is empty yet */
            return HUB_OK;
        HUB_TRY(recorded_us(plan, next, &next_us, err));
        if (next_us > limit)
            return HUB_OK;
        char text[32];
        hub_value_duration_text((int64_t)plan->rules->keep_s * 1000000, text);
        (void)snprintf(plan->rule, sizeof(plan->rule), "keep=%s", text);
        plan->before++;
    }
    return HUB_OK;
}

static void due_by_size(struct hub_keeper *keeper, struct plan *plan)
{
    uint64_t bytes = hub_log_bytes(keeper->hub->log);
    for (size_t i = 0; i < plan->before; i++)
        bytes -= keeper->extents[i].bytes;
    while (plan->before + 1 < plan->count && bytes > plan->rules->max_bytes) {
        char text[32];
        hub_value_size_text((int64_t)plan->rules->max_bytes, text);
        (void)snprintf(plan->rule, sizeof(plan->rule), "max_bytes=%s", text);
        bytes -= keeper->extents[plan->before++].bytes;
    }
}

static enum hub_result make_plan(struct hub_keeper *keeper, struct plan *plan, struct hub_error *err)
{
    struct hub *hub = keeper->hub;
    plan->count = hub_log_extents(hub->log, keeper->extents, EXTENTS_MAX);
    HUB_TRY(hub_log_reader_open(hub->log, keeper->extents[0].first, &plan->reader, err));
    enum hub_result result = plan->rules->by_age ? due_by_age(keeper, plan, err) : HUB_OK;
    hub_log_reader_close(plan->reader);
    if (result == HUB_OK && plan->rules->max_bytes != 0)
        due_by_size(keeper, plan);
    return result;
}

/* No segment goes that holds a record after POSITION. True: fewer go for it. */
static bool limit_to(struct hub_keeper *keeper, struct plan *plan, uint64_t position)
{
    bool fewer = false;
    while (plan->before != 0 && keeper->extents[plan->before].first > position + 1) {
        plan->before--;
        fewer = true;
    }
    return fewer;
}

/* --- who needs it --- */

static bool snapshot_due(const struct hub_keeper *keeper, bool by_hand)
{
    struct hub_rules *rules = hub_rules_now(keeper->hub);
    int64_t every_us = (int64_t)hub_rules_config(rules)->log.snapshot_s * 1000000;
    hub_rules_free(rules);
    return by_hand || !keeper->taken || hub_clock_mono_us(keeper->hub->clock) - keeper->taken_us >= every_us;
}

static enum hub_result take_snapshot(struct hub_keeper *keeper, struct hub_error *err)
{
    struct hub_snapshot fresh;
    keeper->taken = true; /* also one that failed is not tried again at once */
    keeper->taken_us = hub_clock_mono_us(keeper->hub->clock);
    HUB_TRY(hub_snapshot_take(keeper->hub, &fresh, err));
    keeper->snapshot = fresh;
    keeper->verified = true;
    return HUB_OK;
}

static uint64_t covered(const struct hub_keeper *keeper)
{
    const struct hub_snapshot *snapshot = &keeper->snapshot;
    return snapshot->timeline < snapshot->index ? snapshot->timeline : snapshot->index;
}

/* A verified snapshot that covers everything before BEFORE, or as much as there is one for. */
static enum hub_result cover(struct hub_keeper *keeper, uint64_t before, bool by_hand, struct hub_error *err)
{
    bool enough = keeper->snapshot.number != 0 && covered(keeper) + 1 >= before;
    if (!enough && snapshot_due(keeper, by_hand))
        HUB_TRY(take_snapshot(keeper, err));
    if (keeper->snapshot.number == 0 || keeper->verified)
        return HUB_OK;
    enum hub_result result = hub_snapshot_verify(keeper->hub, &keeper->snapshot, err);
    if (result == HUB_CORRUPT) { /* the stores themselves may be well: a new one takes its place */
        HUB_DIAG(HUB_DIAG_ERROR, component, "the snapshot is damaged: another one is taken", hub_diag_error(err));
        return take_snapshot(keeper, err);
    }
    keeper->verified = result == HUB_OK;
    return result;
}

static enum hub_result tell_log(struct hub_keeper *keeper, struct hub_error *err)
{
    struct hub_log *log = keeper->hub->log;
    HUB_TRY(hub_log_follow(log, "index", keeper->snapshot.index, err));
    HUB_TRY(hub_log_follow(log, "timeline", keeper->snapshot.timeline, err));
    return hub_log_follow(log, "audit", hub_audit_settled(keeper->hub->audit), err);
}

enum hub_result hub_keeper_followers(struct hub_keeper *keeper, struct hub_error *err)
{
    (void)pthread_mutex_lock(&keeper->lock);
    enum hub_result result = tell_log(keeper, err);
    (void)pthread_mutex_unlock(&keeper->lock);
    return result;
}

/* Everybody's position is known to the log; the plan goes no further than the slowest. */
static enum hub_result ask_followers(struct hub_keeper *keeper, struct plan *plan, struct hub_retain_report *report,
                                     struct hub_error *err)
{
    struct hub_log_follower followers[HUB_LOG_FOLLOWERS_MAX];
    HUB_TRY(tell_log(keeper, err));
    size_t count = hub_log_followers(keeper->hub->log, followers);
    for (size_t i = 0; i < count; i++)
        if (limit_to(keeper, plan, followers[i].position))
            (void)snprintf(report->held_by, sizeof(report->held_by), "%s", followers[i].name);
    return HUB_OK;
}

/* --- what goes --- */

static enum hub_result count_record(struct hub_span payload, struct hub_log_retired *gone)
{
    struct hub_record_view view;
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    HUB_TRY(hub_record_parse(payload, &view));
    gone->records++;
    gone->messages += view.kind == HUB_RECORD_MESSAGE;
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        gone->events += kind == HUB_SECTION_EVENT;
        gone->entries += kind == HUB_SECTION_AUDIT;
    }
    return result == HUB_END ? HUB_OK : result;
}

/* Reads all of it once more: what is counted is what is removed, and it is whole. */
static enum hub_result count_gone(struct hub_keeper *keeper, uint64_t before, struct hub_log_retired *gone,
                                  struct hub_error *err)
{
    struct hub *hub = keeper->hub;
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    HUB_TRY(hub_log_reader_open(hub->log, hub_log_first(hub->log), &reader, err));
    enum hub_result result = HUB_OK;
    while (result == HUB_OK && number + 1 < before) {
        result = hub_log_reader_next(reader, &number, &payload, err);
        if (result == HUB_OK)
            result = count_record(payload, gone);
        if (result == HUB_OK && atomic_load(&hub->stopping))
            result = HUB_CLOSED;
    }
    hub_log_reader_close(reader);
    return result;
}

/* --- open dead letters --- */

struct carrying {
    struct hub_keeper *keeper;
    struct hub_log_reader *reader;
    uint64_t before;
    struct hub_buf records; /* their numbers */
    struct hub_error *err;
};

static void add_letter(struct hub_buf *out, enum hub_section_kind kind, struct hub_span bytes)
{
    if (kind == HUB_SECTION_DEDUP || kind == HUB_SECTION_DEAD_LETTER)
        hub_record_add(out, kind, bytes);
}

/* The letter's sections as they are, in a record of their own. */
static enum hub_result carry(struct carrying *carrying, uint64_t record)
{
    struct hub *hub = carrying->keeper->hub;
    struct hub_record_view view;
    enum hub_section_kind kind;
    struct hub_span payload;
    struct hub_span bytes;
    uint64_t number = 0;
    char feed[256];
    HUB_TRY(hub_log_reader_seek(carrying->reader, record, carrying->err));
    HUB_TRY(hub_log_reader_next(carrying->reader, &number, &payload, carrying->err));
    HUB_TRY(hub_record_parse(payload, &view));
    struct hub_commit_item *item = hub_commit_item_new(payload.len);
    if (item == NULL)
        return hub_fail(carrying->err, HUB_NO_MEMORY, "no memory to keep a dead letter", NULL);
    (void)snprintf(feed, sizeof(feed), "%.*s", (int)view.feed.len, (const char *)view.feed.ptr);
    item->kind = HUB_RECORD_CARRIED;
    item->feed = feed;
    enum hub_result result;
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK)
        add_letter(&item->json, kind, bytes);
    if (result == HUB_END)
        result = hub_buf_result(&item->json);
    if (result == HUB_OK)
        result = hub_commit_wait(hub->commit, item);
    hub_commit_item_free(item);
    return result == HUB_OK ? HUB_OK : hub_fail(carrying->err, result, "an open dead letter could not be kept", NULL);
}

/* Nothing waits for the committer inside the walk: the committer may wait for the walk's end. */
static bool collect_letter(void *ctx, struct hub_span message_id, const struct hub_index_message *index)
{
    struct carrying *carrying = ctx;
    (void)message_id;
    if (!index->resolved && index->record < carrying->before && index->record >= hub_log_first(carrying->keeper->hub->log))
        hub_buf_append(&carrying->records, &index->record, sizeof(index->record));
    return hub_buf_result(&carrying->records) == HUB_OK;
}

static enum hub_result carry_letters(struct hub_keeper *keeper, uint64_t before, uint64_t *count, struct hub_error *err)
{
    struct carrying carrying = {.keeper = keeper, .before = before, .err = err};
    hub_buf_init(&carrying.records, SIZE_MAX / 4, false);
    enum hub_result result = hub_log_reader_open(keeper->hub->log, 1, &carrying.reader, err);
    if (result == HUB_OK)
        result = hub_index_each_dead_letter(keeper->hub->index, collect_letter, &carrying, err);
    if (result == HUB_OK)
        result = hub_buf_result(&carrying.records);
    *count = carrying.records.len / sizeof(uint64_t);
    for (size_t i = 0; i < *count && result == HUB_OK; i++) {
        uint64_t record = 0;
        memcpy(&record, carrying.records.ptr + i * sizeof(record), sizeof(record));
        result = carry(&carrying, record);
    }
    hub_log_reader_close(carrying.reader);
    hub_buf_deinit(&carrying.records);
    return result;
}

/* --- duplicates --- */

struct forgetting {
    struct hub_index *index;
    struct hub_index_old slice;
};

static enum hub_result forget(void *ctx, struct hub_error *err)
{
    struct forgetting *forgetting = ctx;
    return hub_index_forget(forgetting->index, &forgetting->slice, err);
}

static enum hub_result forget_all(struct hub *hub, struct forgetting *forgetting, bool controls, struct hub_error *err)
{
    forgetting->slice.controls = controls;
    do {
        HUB_TRY(hub_index_find_old(hub->index, &forgetting->slice, err));
        if (forgetting->slice.count != 0)
            HUB_TRY(hub_commit_do(hub->commit, forget, forgetting, err));
        if (atomic_load(&hub->stopping))
            return HUB_CLOSED;
    } while (forgetting->slice.next.len != 0);
    return HUB_OK;
}

/* Messages first: a control token goes when its message is not known any more. */
static enum hub_result forget_duplicates(struct hub_keeper *keeper, struct hub_error *err)
{
    struct hub *hub = keeper->hub;
    struct hub_rules *rules = hub_rules_now(hub);
    int64_t dedup_us = (int64_t)hub_rules_config(rules)->log.dedup_s * 1000000;
    hub_rules_free(rules);
    keeper->forgot_us = hub_clock_mono_us(hub->clock);
    keeper->forgot = true;
    if (dedup_us == 0 || hub_log_first(hub->log) == 1)
        return HUB_OK;
    struct forgetting *forgetting = hub_mem_alloc(sizeof(*forgetting));
    if (forgetting == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory to forget old duplicates", NULL);
    forgetting->index = hub->index;
    forgetting->slice.age = (struct hub_index_age){
        .before = hub_log_first(hub->log), .last_us = hub_clock_watch_passed_us(&hub->clock_watch) - dedup_us};
    enum hub_result result = forget_all(hub, forgetting, false, err);
    if (result == HUB_OK)
        result = forget_all(hub, forgetting, true, err);
    if (forgetting->slice.forgotten != 0)
        HUB_DIAG(HUB_DIAG_NOTICE, component, "old messages are not known as duplicates any more",
                 hub_diag_number("forgotten", (int64_t)forgetting->slice.forgotten));
    hub_mem_free(forgetting);
    return result;
}

static bool forgetting_due(const struct hub_keeper *keeper)
{
    return !keeper->forgot || hub_clock_mono_us(keeper->hub->clock) - keeper->forgot_us >= FORGET_EVERY_US;
}

/* --- a run --- */

static enum hub_result note(struct hub_keeper *keeper, const struct hub_retain_report *report, const char *who,
                            struct hub_error *err)
{
    struct hub_audit_builder builder;
    hub_audit_begin(&builder, HUB_AUDIT_LOG_RETIRED, hub_clock_wall_us(keeper->hub->clock));
    hub_audit_text(&builder, "hub", keeper->hub->config->name);
    hub_audit_text(&builder, "who", who);
    hub_audit_text(&builder, "rule", report->rule);
    hub_audit_number(&builder, "from", (int64_t)report->from);
    hub_audit_number(&builder, "before", (int64_t)report->before);
    hub_audit_number(&builder, "messages", (int64_t)report->messages);
    hub_audit_number(&builder, "events_removed", (int64_t)report->events);
    hub_audit_number(&builder, "entries", (int64_t)report->entries);
    hub_audit_number(&builder, "carried", (int64_t)report->carried);
    hub_audit_number(&builder, "bytes", (int64_t)report->bytes);
    return hub_note(keeper->hub, &builder, err);
}

static enum hub_result remove_before(struct hub_keeper *keeper, const struct plan *plan, const char *who,
                                     struct hub_retain_report *report, struct hub_error *err)
{
    struct hub *hub = keeper->hub;
    struct hub_log_retired gone = {0};
    struct hub_log_run run = {.before = report->before};
    HUB_TRY(count_gone(keeper, report->before, &gone, err));
    for (size_t i = 0; i < plan->before; i++)
        gone.bytes += keeper->extents[i].bytes;
    report->messages = gone.messages;
    report->events = gone.events;
    report->entries = gone.entries;
    report->bytes = gone.bytes;
    hub_crash_point(HUB_CRASH_RETAIN_COUNTED);
    HUB_TRY(carry_letters(keeper, report->before, &report->carried, err));
    hub_crash_point(HUB_CRASH_RETAIN_CARRIED);
    if (report->carried != 0 && hub->worker_count != 0) /* who looked a letter up before it moved has read it by then */
        (void)usleep(CARRIED_GRACE_US);
    HUB_TRY(note(keeper, report, who, err));
    hub_crash_point(HUB_CRASH_RETAIN_NOTED);
    run.at_us = hub_clock_wall_us(hub->clock);
    memcpy(run.rule, report->rule, sizeof(run.rule));
    HUB_TRY(hub_log_retire(hub->log, &run, &gone, err));
    HUB_DIAG(HUB_DIAG_NOTICE, component, "removed the oldest records of the event log",
             hub_diag_number("before_record", (int64_t)report->before), hub_diag_number("messages", (int64_t)gone.messages),
             hub_diag_number("bytes", (int64_t)gone.bytes), hub_diag_number("carried", (int64_t)report->carried));
    return HUB_OK;
}

static enum hub_result retain(struct hub_keeper *keeper, struct plan *plan, const char *who,
                              struct hub_retain_report *report, struct hub_error *err)
{
    HUB_TRY(make_plan(keeper, plan, err));
    report->from = report->before = keeper->extents[0].first;
    memcpy(report->rule, plan->rule, sizeof(report->rule));
    if (plan->before == 0)
        return HUB_OK;
    HUB_TRY(hub_audit_catch_up(keeper->hub, true, err));
    HUB_TRY(cover(keeper, keeper->extents[plan->before].first, who != NULL, err));
    HUB_TRY(ask_followers(keeper, plan, report, err));
    report->before = keeper->extents[plan->before].first;
    return plan->before == 0 ? HUB_OK : remove_before(keeper, plan, who, report, err);
}

enum hub_result hub_retain(struct hub_keeper *keeper, const struct hub_retain_rules *rules, const char *who,
                           struct hub_retain_report *report, struct hub_error *err)
{
    struct plan plan = {.rules = rules};
    look_at_clock(keeper->hub);
    *report = (struct hub_retain_report){0};
    (void)pthread_mutex_lock(&keeper->lock);
    enum hub_result result = retain(keeper, &plan, who, report, err);
    if (result == HUB_OK && (who != NULL || forgetting_due(keeper)))
        result = forget_duplicates(keeper, err);
    (void)pthread_mutex_unlock(&keeper->lock);
    return result;
}

enum hub_result hub_keeper_snapshot(struct hub_keeper *keeper, struct hub_snapshot *out, struct hub_error *err)
{
    (void)pthread_mutex_lock(&keeper->lock);
    enum hub_result result = take_snapshot(keeper, err);
    if (result == HUB_OK)
        *out = keeper->snapshot;
    (void)pthread_mutex_unlock(&keeper->lock);
    return result;
}

/* --- life --- */

/* So that a segment gets old as a whole: a quiet hub would keep everything in one that is never full. */
static void roll_old_tail(struct hub_keeper *keeper, const struct hub_retain_rules *rules)
{
    struct hub_log *log = keeper->hub->log;
    struct hub_error ignored = {0};
    struct plan plan = {.rules = rules};
    int64_t since_us = 0;
    size_t count = hub_log_extents(log, keeper->extents, EXTENTS_MAX);
    uint64_t first = keeper->extents[count - 1].first;
    if (!rules->by_age || first > hub_log_durable(log) ||
        hub_log_reader_open(log, first, &plan.reader, &ignored) != HUB_OK)
        return;
    int64_t limit = hub_clock_watch_passed_us(&keeper->hub->clock_watch) - (int64_t)rules->keep_s * 1000000 / 4;
    if (recorded_us(&plan, first, &since_us, &ignored) == HUB_OK && since_us < limit)
        hub_log_roll_soon(log);
    hub_log_reader_close(plan.reader);
}

/* Every so many looks the rules are asked: ten times in what is to be kept, a minute at most. */
static unsigned turns(const struct hub_retain_rules *rules)
{
    unsigned every = rules->by_age ? rules->keep_s / RULES_PER_AGE : RULES_EVERY_SIZE;
    if (every > RULES_EVERY_MAX)
        every = RULES_EVERY_MAX;
    if (rules->max_bytes != 0 && every > RULES_EVERY_SIZE)
        every = RULES_EVERY_SIZE;
    return every != 0 ? every : 1;
}

static void by_rules(struct hub_keeper *keeper, const struct hub_retain_rules *rules)
{
    struct hub_retain_report report;
    struct hub_error err = {0};
    (void)pthread_mutex_lock(&keeper->lock);
    roll_old_tail(keeper, rules);
    (void)pthread_mutex_unlock(&keeper->lock);
    enum hub_result result = hub_retain(keeper, rules, NULL, &report, &err);
    if (result != HUB_OK && result != HUB_CLOSED && !atomic_load(&keeper->hub->stopping))
        HUB_DIAG(HUB_DIAG_WARNING, component, "retention did not get through; it is tried again", hub_diag_error(&err));
}

static bool wait_a_turn(struct hub *hub)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += LOOK_MS / 1000;
    (void)pthread_mutex_lock(&hub->run_lock);
    while (!atomic_load(&hub->stopping) &&
           pthread_cond_clockwait(&hub->run_changed, &hub->run_lock, CLOCK_MONOTONIC, &at) == 0)
        ;
    (void)pthread_mutex_unlock(&hub->run_lock);
    return !atomic_load(&hub->stopping);
}

void hub_keeper_run(struct hub_keeper *keeper)
{
    struct hub *hub = keeper->hub;
    for (unsigned turn = 1; wait_a_turn(hub); turn++) {
        struct hub_retain_rules rules;
        look_at_clock(hub);
        hub_retain_rules_now(hub, &rules);
        if ((rules.by_age || rules.max_bytes != 0) && turn % turns(&rules) == 0)
            by_rules(keeper, &rules);
    }
}

enum hub_result hub_keeper_open(struct hub *hub, struct hub_keeper **out, struct hub_error *err)
{
    struct hub_error ignored = {0};
    *out = NULL;
    struct hub_keeper *keeper = hub_mem_alloc(sizeof(*keeper));
    if (keeper == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the retention", NULL);
    keeper->hub = hub;
    (void)pthread_mutex_init(&keeper->lock, NULL);
    hub_snapshot_clean(hub);
    if (hub_snapshot_newest(hub, &keeper->snapshot, &ignored) != HUB_OK)
        keeper->snapshot.number = 0;
    *out = keeper;
    return HUB_OK;
}

void hub_keeper_close(struct hub_keeper *keeper)
{
    if (keeper == NULL)
        return;
    (void)pthread_mutex_destroy(&keeper->lock);
    hub_mem_free(keeper);
}
