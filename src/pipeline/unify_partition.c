/* A partition's thread: opens or restores it, applies its events, writes, and gives it back. */
#include <stdio.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/pipeline/unify_internal.h"

enum {
    ROOM_WAIT_MS = 200,
    IDLE_MS = 1000,
    AGAIN_MS = 500,
    FENCED_MS = 5000,
    REOPEN_AFTER = 3,
    FACTS_LOOK_MS = 50,
    PACE_MOST_US = 50000,
    BUSY_WAIT_US = 100000,
};
static const int64_t hour_us = INT64_C(3600) * 1000000;

static const char component[] = "timeline";

/* --- what others hand over --- */

bool unify_part_leaving(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    const bool leaving = p->leave != UNIFY_STAY;
    (void)pthread_mutex_unlock(&p->lock);
    return leaving || unify_stopping(p->unify);
}

bool unify_part_dropped(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    const bool dropped = p->leave == UNIFY_DROP;
    (void)pthread_mutex_unlock(&p->lock);
    return dropped;
}

void unify_part_leave(struct unify_part *p, enum unify_leave leave)
{
    (void)pthread_mutex_lock(&p->lock);
    p->leave = leave;
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
}

static void clear_charts(struct unify_part *p)
{
    while (p->charts != NULL) {
        struct unify_chart *next = p->charts->next;
        hub_mem_free(p->charts);
        p->charts = next;
    }
    p->charts_last = NULL;
    p->charts_bytes = 0;
}

void unify_part_clear(struct unify_part *p)
{
    while (p->first != NULL) {
        struct unify_message *next = p->first->next;
        hub_mem_free(p->first);
        p->first = next;
    }
    p->last = NULL;
    p->count = p->bytes = 0;
    clear_charts(p);
}

void unify_part_state(struct unify_part *p, enum unify_state state, const struct hub_error *err)
{
    (void)pthread_mutex_lock(&p->lock);
    const bool changes = err != NULL || state == UNIFY_READY;
    const bool new = changes && hub_diag_is_news(&p->news, err, hub_clock_mono_us(hub_clock_system())) && err != NULL;
    p->state = state;
    if (changes)
        p->trouble = err != NULL ? *err : (struct hub_error){0};
    (void)pthread_mutex_unlock(&p->lock);
    if (new)
        HUB_DIAG(HUB_DIAG_WARNING, component, "a partition waits", hub_diag_number("partition", p->number), hub_diag_error(err));
}

/* Under the lock. */
static void charts_anew(struct unify_part *p)
{
    p->active = false;
    clear_charts(p);
    (void)pthread_cond_broadcast(&p->woken);
}

void unify_part_charts_anew(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    if (p->active)
        charts_anew(p);
    (void)pthread_mutex_unlock(&p->lock);
}

void unify_part_chart(struct unify_part *p, struct hub_span token, struct hub_span part)
{
    (void)pthread_mutex_lock(&p->lock);
    struct unify_chart *chart = p->active && p->charts_bytes < UNIFY_CHARTS_BYTES ? hub_mem_alloc(sizeof *chart + token.len + part.len) : NULL;
    if (chart == NULL) {
        if (p->active) /* too much waits: the partition is opened anew and looks all of them up */
            charts_anew(p);
        (void)pthread_mutex_unlock(&p->lock);
        return;
    }
    chart->token_len = token.len;
    chart->part_len = part.len;
    chart->gone = part.ptr == NULL;
    memcpy(chart->bytes, token.ptr, token.len);
    if (part.len != 0)
        memcpy(chart->bytes + token.len, part.ptr, part.len);
    *(p->charts_last != NULL ? &p->charts_last->next : &p->charts) = chart;
    p->charts_last = chart;
    p->charts_bytes += sizeof *chart + token.len + part.len;
    p->charts_given++;
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
}

static bool is_full(const struct unify_part *p)
{
    return p->count >= UNIFY_QUEUE_MAX || p->bytes >= UNIFY_QUEUE_BYTES;
}

bool unify_part_give(struct unify_part *p, const struct hub_bus_message *m, uint64_t fingerprint)
{
    const struct hub_span value = unify_value(m->value);
    struct unify_message *message = hub_mem_alloc(sizeof *message + value.len);
    const struct timespec limit = hub_clock_after_ms(ROOM_WAIT_MS);
    if (message == NULL) { /* opened anew, it asks for its events again */
        (void)pthread_mutex_lock(&p->lock);
        p->active = false;
        (void)pthread_cond_broadcast(&p->woken);
        (void)pthread_mutex_unlock(&p->lock);
        return true;
    }
    message->offset = m->place.offset;
    message->epoch = m->place.leader_epoch;
    message->fingerprint = fingerprint;
    message->time_us = m->time_us;
    message->len = value.len;
    if (value.len != 0)
        memcpy(message->bytes, value.ptr, value.len);
    (void)pthread_mutex_lock(&p->lock);
    while (is_full(p) && p->leave == UNIFY_STAY && pthread_cond_clockwait(&p->woken, &p->lock, CLOCK_MONOTONIC, &limit) == 0)
        ;
    if (p->seek || !p->active) { /* it failed meanwhile, and asks for its events again */
        (void)pthread_mutex_unlock(&p->lock);
        hub_mem_free(message);
        return true;
    }
    *(p->last != NULL ? &p->last->next : &p->first) = message;
    p->last = message;
    p->count++;
    p->bytes += value.len;
    if (p->end < message->offset + 1)
        p->end = message->offset + 1;
    const bool full = is_full(p);
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
    return !full;
}

/* --- applying --- */

static void drop_first(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct unify_message *first = p->first;
    p->first = first->next;
    if (p->first == NULL)
        p->last = NULL;
    p->count--;
    p->bytes -= first->len;
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
    hub_mem_free(first);
}

static void note_pending(struct unify_part *p, size_t bytes)
{
    if (p->pending == 0)
        p->pending_us = hub_clock_mono_us(hub_clock_system());
    p->pending++;
    p->pending_bytes += bytes;
}

static void say_unreadable(struct unify_part *p, const struct unify_message *m)
{
    atomic_fetch_add(&p->unify->unreadable, 1);
    HUB_DIAG(HUB_DIAG_ERROR, component, "an event that the timeline cannot read is left out", hub_diag_number("partition", p->number),
             hub_diag_number("offset", m->offset));
}

/* M stays the first of the queue until it is applied. */
static enum hub_result apply_one(struct unify_part *p, const struct unify_message *m, struct hub_error *err)
{
    struct hub_unify *u = p->unify;
    enum hub_result result = hub_timeline_apply(p->timeline, hub_span_of(m->bytes, m->len), NULL, err);
    if (result == HUB_SYNTAX)
        say_unreadable(p, m);
    else if (result != HUB_OK)
        return result;
    p->place = (struct unify_place){m->offset + 1, m->epoch, m->fingerprint};
    p->moved = true;
    note_pending(p, m->len);
    atomic_fetch_add(&u->applied, 1);
    (void)pthread_mutex_lock(&u->lock);
    hub_forward_meter_add(&u->meter, hub_clock_mono_us(u->options.clock), 0);
    (void)pthread_mutex_unlock(&u->lock);
    drop_first(p);
    return HUB_OK;
}

/* The first event waits for its facts. */
struct blocked {
    bool is;
    int64_t since_us;
    uint64_t facts;   /* p->facts when it was looked at */
    uint64_t request; /* to read all facts that there are; 0: none yet */
};

/* The facts that the event states were sent before it: when its time is over, and all that could hold them was read and written
 * since, they do not come any more (no trusted hub signed them, or somebody removed them). */
static bool waited_enough(struct unify_part *p, const struct unify_message *m, struct blocked *b)
{
    struct hub_unify *u = p->unify;
    const int64_t limit_us = (int64_t)u->options.facts_s * 1000000;
    const int64_t now = hub_clock_mono_us(hub_clock_system()), wall = hub_clock_wall_us(u->options.clock);
    const bool old = m->time_us > 0 && wall - m->time_us > limit_us;
    if (now - b->since_us <= limit_us && !old)
        return false;
    if (b->request == 0)
        b->request = unify_ask(u);
    (void)pthread_mutex_lock(&u->lock);
    const bool all = u->identity_answered >= b->request;
    (void)pthread_mutex_unlock(&u->lock);
    return all;
}

static enum hub_result apply_without(struct unify_part *p, const struct unify_message *m, struct hub_error *err)
{
    if (atomic_fetch_add(&p->unify->unknown_facts, 1) == 0)
        HUB_DIAG(HUB_DIAG_ERROR, component, "an event is applied without the identity facts that it states: no trusted hub sent them",
                 hub_diag_number("partition", p->number), hub_diag_number("offset", m->offset));
    hub_timeline_wait_for(p->timeline, NULL);
    enum hub_result result = apply_one(p, m, err);
    hub_timeline_wait_for(p->timeline, p->unify->identity);
    return result;
}

/* --- work --- */

static enum hub_result set_charts(struct unify_part *p, struct unify_chart *list, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    while (list != NULL) {
        struct unify_chart *next = list->next;
        const struct hub_span part = list->gone ? HUB_SPAN_NONE : hub_span_of(list->bytes + list->token_len, list->part_len);
        if (result == HUB_OK)
            result = hub_timeline_set_chart(p->timeline, hub_span_of(list->bytes, list->token_len), part, err);
        note_pending(p, list->part_len);
        hub_mem_free(list);
        list = next;
    }
    return result;
}

/* Under the lock. */
static struct unify_chart *take_charts(struct unify_part *p)
{
    struct unify_chart *charts = p->charts;
    p->charts = p->charts_last = NULL;
    p->charts_bytes = 0;
    p->charts_taken = p->charts_given;
    return charts;
}

/* With what an event said of who is who goes the change of charts that this made: it was handed over before the event's facts
 * were known here, perhaps after charts were taken last. */
static enum hub_result flush(struct unify_part *p, struct hub_error *err)
{
    (void)pthread_mutex_lock(&p->lock);
    struct unify_chart *charts = take_charts(p);
    (void)pthread_mutex_unlock(&p->lock);
    HUB_TRY(set_charts(p, charts, err));
    const int64_t since = hub_clock_mono_us(hub_clock_system());
    HUB_TRY(unify_store_flush(p, false, err));
    p->flush_us = hub_clock_mono_us(hub_clock_system()) - since;
    unify_changed(p->unify);
    return HUB_OK;
}

struct job { /* what there is to do, taken under the lock */
    struct unify_chart *charts;
    struct unify_message *message;
    uint64_t facts;
    bool leave, inactive;
};

/* Waits until there is something, or for MS. BLOCKED: the first event waits for facts newer than FACTS. */
static struct job next_job(struct unify_part *p, bool blocked, uint64_t facts, int64_t ms)
{
    const struct timespec limit = hub_clock_after_ms(ms);
    (void)pthread_mutex_lock(&p->lock);
    while (p->leave == UNIFY_STAY && p->active && p->charts == NULL && (p->first == NULL || (blocked && p->facts == facts)) && ms > 0 &&
           !unify_stopping(p->unify) && pthread_cond_clockwait(&p->woken, &p->lock, CLOCK_MONOTONIC, &limit) == 0)
        ;
    struct job job = {
        .charts = take_charts(p), .message = p->first, .facts = p->facts, .leave = p->leave != UNIFY_STAY, .inactive = !p->active};
    (void)pthread_mutex_unlock(&p->lock);
    job.leave = job.leave || unify_stopping(p->unify);
    return job;
}

/* How long what changed waits for company. Brokers that are slow, or have much to do, get fewer transactions: a partition's thread
 * spends at most a third of its time on them. */
static int64_t company_us(const struct unify_part *p)
{
    const int64_t least = (int64_t)p->unify->options.wait_ms * 1000, pace = 2 * p->flush_us;
    const int64_t most = least > PACE_MOST_US ? least : PACE_MOST_US;
    return pace < least ? least : pace > most ? most : pace;
}

static int64_t wait_ms(const struct unify_part *p, bool blocked)
{
    if (p->pending == 0)
        return blocked ? FACTS_LOOK_MS : IDLE_MS;
    const int64_t left = company_us(p) - (hub_clock_mono_us(hub_clock_system()) - p->pending_us);
    return left > 0 && !blocked ? (left + 999) / 1000 : 0;
}

static bool more_waits(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    const bool more = p->first != NULL;
    (void)pthread_mutex_unlock(&p->lock);
    return more;
}

/* Transactions cost the brokers more than records do: while more events wait, one takes them along, for a while. */
static bool must_flush(struct unify_part *p)
{
    const int64_t now = hub_clock_mono_us(hub_clock_system());
    if (p->pending == 0)
        return now - p->written_us > hour_us; /* so that a quiet one does not look old */
    if (p->pending >= UNIFY_BATCH || p->pending_bytes >= UNIFY_BATCH_BYTES)
        return true;
    const int64_t over = now - p->pending_us - company_us(p);
    return over >= BUSY_WAIT_US || (over >= 0 && !more_waits(p));
}

static enum hub_result apply_first(struct unify_part *p, const struct unify_message *m, struct blocked *b, struct hub_error *err)
{
    const bool enough = b->is && waited_enough(p, m, b); /* asked before, so that what came in between is seen */
    enum hub_result result = apply_one(p, m, err);
    if (result == HUB_AGAIN && enough)
        result = apply_without(p, m, err);
    if (result == HUB_AGAIN && !b->is)
        *b = (struct blocked){.is = true, .since_us = hub_clock_mono_us(hub_clock_system())};
    b->is = result == HUB_AGAIN;
    return result == HUB_AGAIN ? HUB_OK : result;
}

/* Until the partition is given back (HUB_OK) or something fails. */
static enum hub_result work(struct unify_part *p, struct hub_error *err)
{
    struct blocked blocked = {.is = false};
    for (;;) {
        struct job job = next_job(p, blocked.is, blocked.facts, wait_ms(p, blocked.is));
        HUB_TRY(set_charts(p, job.charts, err));
        if (job.leave)
            return HUB_OK;
        if (job.inactive)
            return hub_fail(err, HUB_AGAIN, "many charts changed at once", NULL);
        if (job.message != NULL)
            HUB_TRY(apply_first(p, job.message, &blocked, err));
        blocked.facts = job.facts;
        if (must_flush(p) || (blocked.is && p->pending != 0))
            HUB_TRY(flush(p, err));
    }
}

/* --- life --- */

/* Events come from here on. */
static void ask_for_events(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct unify_message *message = p->first;
    p->first = p->last = NULL;
    p->count = p->bytes = 0;
    p->from = p->place;
    p->from_start = p->rebuilt;
    p->from_own = p->own_place && !p->rebuilt;
    p->settled = p->place;
    p->seek = p->opened = true;
    p->wishes++;
    p->truncated = false;
    (void)pthread_mutex_unlock(&p->lock);
    while (message != NULL) {
        struct unify_message *next = message->next;
        hub_mem_free(message);
        message = next;
    }
}

static void stop_events(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->active = false;
    p->seek = false;
    unify_part_clear(p);
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
}

/* What fails is done again from what was written. How long to wait first. */
static int settle_failure(struct unify_part *p, enum hub_result result, const struct hub_error *err, unsigned failures)
{
    struct hub_error again = {0};
    unify_store_forget(p);
    hub_bus_producer_close(p->producer);
    p->producer = NULL;
    unify_part_state(p, result == HUB_DENIED ? UNIFY_FENCED : UNIFY_TROUBLE, result == HUB_AGAIN ? NULL : err);
    if (result == HUB_DENIED) {
        atomic_fetch_add(&p->unify->fenced, 1);
        return FENCED_MS;
    }
    if (result == HUB_CORRUPT || result == HUB_INTERNAL)
        unify_store_remove(p);
    else if (p->kv != NULL && (result == HUB_IO || result == HUB_QUOTA) && failures >= REOPEN_AFTER && hub_kv_reopen(p->kv, &again) != HUB_OK)
        return AGAIN_MS; /* the next try says so again */
    if (p->timeline != NULL && hub_timeline_reset(p->timeline, &again) != HUB_OK)
        return AGAIN_MS;
    return result == HUB_AGAIN ? 0 : AGAIN_MS;
}

static bool wait_before_again(struct unify_part *p, int ms)
{
    for (; ms > 0 && !unify_part_leaving(p); ms -= FACTS_LOOK_MS)
        (void)usleep(FACTS_LOOK_MS * 1000);
    return !unify_part_leaving(p);
}

static void give_back(struct unify_part *p)
{
    struct hub_error err = {0};
    if (p->timeline != NULL && p->producer != NULL && !unify_part_dropped(p) && unify_store_flush(p, true, &err) != HUB_OK)
        HUB_DIAG(HUB_DIAG_NOTICE, component, "a partition is given back before all is written; the rest follows from the topic",
                 hub_diag_number("partition", p->number), hub_diag_error(&err));
}

void *unify_part_run(void *ctx)
{
    struct unify_part *p = ctx;
    unsigned failures = 0;
    p->own_place = p->rebuilt = false;
    hub_buf_init(&p->sent, UNIFY_RECORD_BYTES_MAX, false);
    p->place = (struct unify_place){HUB_BUS_NONE, -1, 0};
    while (!unify_part_leaving(p)) {
        struct hub_error err = {0};
        unify_part_state(p, UNIFY_OPENING, NULL);
        enum hub_result result = unify_store_open(p, &err);
        bool read = result == HUB_OK;
        if (read) {
            ask_for_events(p);
            unify_part_state(p, UNIFY_READY, NULL);
            hub_timelines_add(p->unify->options.timelines, p->number, p->timeline);
            unify_changed(p->unify);
            result = work(p, &err);
        }
        if (result == HUB_OK)
            give_back(p);
        if (read)
            hub_timelines_remove(p->unify->options.timelines, p->number);
        stop_events(p);
        if (result == HUB_OK || unify_part_leaving(p))
            break;
        failures = read ? 1 : failures + 1;
        if (!wait_before_again(p, settle_failure(p, result, &err, failures)))
            break;
    }
    unify_store_forget(p);
    stop_events(p);
    unify_store_close(p);
    return NULL;
}
