#include <stdio.h>

#include "src/base/crash.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/bus/wire.h"
#include "src/pipeline/unify_internal.h"

enum {
    STORE_CACHE = 16 * 1024 * 1024,
    SEND_WAIT_MS = 10,
    COMMIT_STEP_MS = 500,
    LEAVE_US = 10000000, /* for the last write of a partition that is given back */
    RESTORE_RECORDS = 5000,
    RESTORE_BYTES = 16 * 1024 * 1024,
    RESTORE_POLL_MS = 100,
    LOST_US = 30000000, /* brokers say for that long that records are not there: then they are not */
    WAIT_MS = 20,
    SENT_BYTES_KEPT = 64 * 1024,
};

static const char component[] = "timeline";
static const char events_mark[] = "events", topic_mark[] = "timeline", written_mark[] = "written",
                  rebuild_mark[] = "rebuild"; /* 1: all events shall be applied anew */

/* --- outputs: records of a transaction, so that a former owner is shut out --- */

static void on_delivered(void *ctx, const struct hub_bus_delivery *delivery)
{
    struct unify_part *p = ctx;
    p->failed = p->failed || delivery->result != HUB_OK;
    if (delivery->offset == HUB_BUS_NONE)
        return;
    if (delivery->offset > p->delivered)
        p->delivered = delivery->offset;
    if (p->delivered_first == HUB_BUS_NONE || delivery->offset < p->delivered_first)
        p->delivered_first = delivery->offset;
}

static enum hub_result lost_records(struct unify_part *p, struct hub_error *err)
{
    atomic_fetch_add(&p->unify->truncations, 1);
    return hub_fail(err, HUB_CORRUPT, "the topic timeline lost records: what they said is made anew from the events", NULL);
}

static enum hub_result begin(struct unify_part *p, struct hub_error *err)
{
    hub_crash_point(HUB_CRASH_BEFORE_OUTPUTS);
    HUB_TRY(hub_bus_begin(p->producer, err));
    p->begun = true;
    p->failed = false;
    p->delivered = p->delivered_first = HUB_BUS_NONE;
    return HUB_OK;
}

/* The last record of a transaction is the one that the store's place will lie behind. */
static enum hub_result keep_sent(struct unify_part *p, const struct hub_bus_record *record, struct hub_error *err)
{
    hub_buf_reset(&p->sent);
    hub_buf_append_span(&p->sent, record->key);
    hub_buf_append_span(&p->sent, record->value);
    p->sent_key = record->key.len;
    return hub_buf_result(&p->sent) == HUB_OK ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static struct unify_last take_sent(struct unify_part *p)
{
    struct unify_last last;
    const struct hub_span all = hub_buf_view(&p->sent);
    unify_last_make(p->delivered, hub_span_of(all.ptr, p->sent_key), hub_span_of(all.ptr + p->sent_key, all.len - p->sent_key), &last);
    if (all.len > SENT_BYTES_KEPT) {
        hub_buf_deinit(&p->sent);
        hub_buf_init(&p->sent, UNIFY_RECORD_BYTES_MAX, false);
    }
    return last;
}

static enum hub_result send(struct unify_part *p, const struct hub_bus_record *record, struct hub_error *err)
{
    for (;;) {
        enum hub_result result = hub_bus_send(p->producer, record, err);
        if (result != HUB_BUSY)
            return result;
        result = hub_bus_flush(p->producer, SEND_WAIT_MS, err); /* until then they would wait for the commit */
        if (result != HUB_OK && result != HUB_TIMEOUT)
            return result;
        if (unify_part_leaving(p))
            return hub_fail(err, HUB_CLOSED, "the partition is given back", NULL);
    }
}

static enum hub_result on_record(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value, struct hub_error *err)
{
    struct unify_part *p = ctx;
    const struct hub_unify_options *o = &p->unify->options;
    struct hub_buf room; /* for a schema's id and the value */
    struct hub_bus_record record = {
        .topic = o->timeline,
        .key = key,
        .subject = subject,
        .value = value,
        .headers = {{"content-type", HUB_SPAN("application/json")}, {"chartline-id", key}},
        .header_count = value.ptr != NULL ? 2 : 0,
    };
    if (!p->begun)
        HUB_TRY(begin(p, err));
    hub_buf_init(&room, UNIFY_RECORD_BYTES_MAX, false);
    enum hub_result result = hub_wire_put(o->schema_id != NULL ? o->schema_id(o->ctx) : 0, &room, &record, err);
    if (result == HUB_OK)
        result = send(p, &record, err);
    if (result == HUB_OK)
        result = keep_sent(p, &record, err);
    hub_buf_deinit(&room);
    return result;
}

/* Waits for the brokers as long as it takes; not for ever when the partition is to be given back. */
static enum hub_result commit(struct unify_part *p, struct hub_error *err)
{
    int64_t leaving_us = 0;
    for (;;) {
        enum hub_result result = hub_bus_commit(p->producer, COMMIT_STEP_MS, err);
        if (result != HUB_TIMEOUT)
            return result;
        const int64_t now = hub_clock_mono_us(hub_clock_system());
        if (p->failed)
            return HUB_CLOSED;
        if (unify_part_leaving(p) && leaving_us == 0)
            leaving_us = now;
        if (leaving_us != 0 && (unify_part_dropped(p) || now - leaving_us > LEAVE_US))
            return hub_fail(err, HUB_CLOSED, "the partition is given back", NULL);
    }
}

static enum hub_result set_place(struct unify_part *p, const char *mark, const struct unify_place *place, struct hub_error *err)
{
    char text[HUB_TIMELINE_MARK_MAX];
    unify_place_text(place, text);
    return hub_timeline_set_mark(p->timeline, mark, hub_span_str(text), err);
}

static enum hub_result on_settle(void *ctx, struct hub_error *err)
{
    struct unify_part *p = ctx;
    if (!p->begun)
        return HUB_OK;
    hub_crash_point(HUB_CRASH_MID_OUTPUTS);
    HUB_TRY(commit(p, err));
    p->begun = false;
    if (p->failed)
        return hub_fail(err, HUB_CLOSED, "the brokers refuse a record", NULL);
    hub_crash_point(HUB_CRASH_AFTER_OUTPUTS);
    if (p->delivered == HUB_BUS_NONE)
        return HUB_OK;
    if (p->delivered_first < p->topic_end) { /* nobody else writes there */
        p->rebuilt = true;
        return lost_records(p, err);
    }
    const struct unify_place behind = {p->delivered + 1, -1, 0};
    const struct unify_last last = take_sent(p);
    p->topic_end = behind.offset;
    HUB_TRY(unify_last_set(p->timeline, &last, err));
    return set_place(p, topic_mark, &behind, err);
}

/* --- writing --- */

static enum hub_result set_written(struct unify_part *p, struct hub_error *err)
{
    const struct unify_place now = {hub_clock_wall_us(p->unify->options.clock) / 1000000, 0, 0};
    return set_place(p, written_mark, &now, err);
}

enum hub_result unify_store_flush(struct unify_part *p, bool sync, struct hub_error *err)
{
    if (p->place.offset >= 0)
        HUB_TRY(set_place(p, events_mark, &p->place, err));
    if (p->moved && p->rebuilt)
        HUB_TRY(set_place(p, rebuild_mark, &(struct unify_place){0, 0, 0}, err)); /* the group's offset says where to go on now */
    HUB_TRY(set_written(p, err));
    HUB_TRY(hub_timeline_flush(p->timeline, p->place.offset >= 0 ? (uint64_t)p->place.offset : 0, sync, err));
    p->pending = p->pending_bytes = 0;
    p->written_us = hub_clock_mono_us(hub_clock_system());
    if (p->moved) {
        p->own_place = true;
        p->rebuilt = false;
    }
    (void)pthread_mutex_lock(&p->lock);
    if (p->moved)
        p->settled = p->place;
    p->charts_settled = p->charts_taken;
    p->settled_topic = p->topic_end;
    (void)pthread_mutex_unlock(&p->lock);
    return HUB_OK;
}

void unify_store_forget(struct unify_part *p)
{
    if (p->timeline != NULL)
        hub_timeline_forget(p->timeline);
    p->pending = p->pending_bytes = 0;
}

/* --- the store --- */

static enum hub_result open_kv(struct unify_part *p, struct hub_error *err)
{
    const struct hub_kv_options kv = {
        .families = hub_timeline_families(), .create = true, .bloom = true, .cache_bytes = STORE_CACHE, .derived = true};
    struct hub_timeline_options options = p->unify->options.timeline_options;
    options.part = HUB_TIMELINE_PARTITION;
    options.sink = (struct hub_timeline_sink){.record = on_record, .settle = on_settle, .ctx = p};
    enum hub_result result = hub_kv_open_rocksdb(p->folder, &kv, &p->kv, err);
    if (result == HUB_OK)
        result = hub_timeline_open(p->kv, &options, &p->timeline, err);
    return result;
}

static void close_kv(struct unify_part *p)
{
    if (p->timeline != NULL)
        hub_timeline_close(p->timeline);
    p->timeline = NULL;
    hub_kv_close(p->kv);
    p->kv = NULL;
}

void unify_store_remove(struct unify_part *p)
{
    struct hub_error err = {0};
    close_kv(p);
    atomic_fetch_add(&p->unify->rebuilds, 1);
    if (hub_kv_remove_rocksdb(p->unify->options.disk, p->folder, &err) != HUB_OK)
        HUB_DIAG(HUB_DIAG_WARNING, component, "a partition's store cannot be removed", hub_diag_error(&err));
}

/* What was deleted from the topic meanwhile may have left no trace there: such a store cannot be brought up to date. */
static bool too_old(struct unify_part *p)
{
    const struct unify_place written = unify_place_of(p->timeline, written_mark);
    const int64_t now = hub_clock_wall_us(p->unify->options.clock) / 1000000;
    return written.offset != HUB_BUS_NONE && now - written.offset > (int64_t)p->unify->options.tombstones_s;
}

static enum hub_result open_store(struct unify_part *p, struct hub_error *err)
{
    enum hub_result result = open_kv(p, err);
    if (result == HUB_OK && !too_old(p))
        return HUB_OK;
    if (result != HUB_OK && result != HUB_CORRUPT) {
        close_kv(p);
        return result;
    }
    HUB_DIAG(HUB_DIAG_WARNING, component, "a partition's store is damaged, or older than tombstones are kept: built anew from the topic",
             hub_diag_number("partition", p->number));
    unify_store_remove(p);
    result = open_kv(p, err);
    if (result != HUB_OK)
        close_kv(p);
    return result;
}

static enum hub_result open_producer(struct unify_part *p, struct hub_error *err)
{
    char id[512];
    (void)snprintf(id, sizeof id, "%s%d", p->unify->options.transactions, (int)p->number);
    const struct hub_bus_producer_options options = {.transactional_id = id, .delivered = on_delivered, .ctx = p};
    p->begun = p->failed = false;
    p->delivered = p->delivered_first = HUB_BUS_NONE;
    return hub_bus_producer_open(p->unify->options.bus, &options, UNIFY_NETWORK_MS, &p->producer, err);
}

/* --- putting back --- */

struct restoring {
    struct unify_part *p;
    struct hub_bus_consumer *consumer;
    struct unify_place place; /* in `timeline` */
    int64_t end;
    size_t records, bytes; /* since the last write */
    bool any;
    struct unify_last last; /* record that was read, of before too */
    bool checking;          /* the last one of before is to be found first */
    bool missing, replaced; /* it is not at its place; a later one has its key */
};

static enum hub_result restore_flush(struct restoring *r, struct hub_error *err)
{
    HUB_TRY(set_place(r->p, topic_mark, &r->place, err));
    HUB_TRY(unify_last_set(r->p->timeline, &r->last, err));
    HUB_TRY(set_written(r->p, err));
    HUB_TRY(hub_timeline_flush(r->p->timeline, 0, false, err));
    hub_crash_point(HUB_CRASH_MID_RESTORE);
    r->records = r->bytes = 0;
    return HUB_OK;
}

static enum hub_result restore_one(struct restoring *r, const struct hub_bus_message *m, struct hub_error *err)
{
    enum hub_result result = hub_timeline_restore(r->p->timeline, m->key, unify_value(m->value), err);
    if (result == HUB_SYNTAX) {
        atomic_fetch_add(&r->p->unify->unreadable, 1);
        HUB_DIAG(HUB_DIAG_ERROR, component, "a record of the topic timeline that is none of ours is left out",
                 hub_diag_number("partition", m->place.partition), hub_diag_number("offset", m->place.offset));
    } else if (result != HUB_OK) {
        return result;
    }
    atomic_fetch_add(&r->p->unify->restored, 1);
    r->place = unify_place_behind(m);
    unify_last_make(m->place.offset, m->key, m->value, &r->last);
    r->any = true;
    r->records++;
    r->bytes += m->key.len + m->value.len;
    return r->records >= RESTORE_RECORDS || r->bytes >= RESTORE_BYTES ? restore_flush(r, err) : HUB_OK;
}

/* The last record of before must be where it was: a topic that lost its end and grew past the store's place lacks what the store has, and
 * has what the store lacks, and both unseen. Compaction may take a record out, but leaves a later one of the same key. */
static enum hub_result check_last(struct restoring *r, const struct hub_bus_message *m, struct hub_error *err)
{
    if (!r->missing && m->place.offset == r->last.offset) {
        r->checking = false;
        return unify_last_is(&r->last, m) ? HUB_OK : lost_records(r->p, err);
    }
    r->missing = true;
    r->replaced = r->replaced || unify_last_same_key(&r->last, m);
    return HUB_OK;
}

static enum hub_result not_found(struct restoring *r, struct hub_error *err)
{
    if (!r->replaced && !unify_last_tombstone(&r->last)) /* compaction takes tombstones, too, when they are old */
        return lost_records(r->p, err);
    r->p->unproven = true; /* whoever wrote after it had to see that nothing is missing before: the topic is whole */
    return hub_fail(err, HUB_CORRUPT, "where the store left off in the topic timeline is not to be found any more", NULL);
}

static enum hub_result restore_all(struct restoring *r, struct hub_error *err)
{
    while (r->checking || r->place.offset < r->end) {
        struct hub_bus_event event = {0};
        if (unify_part_leaving(r->p))
            return hub_fail(err, HUB_CLOSED, "the partition is given back", NULL);
        HUB_TRY(hub_bus_next(r->consumer, RESTORE_POLL_MS, &event, err));
        if (event.kind == HUB_BUS_MESSAGE)
            HUB_TRY(r->checking ? check_last(r, &event.message, err) : restore_one(r, &event.message, err));
        else if (event.kind == HUB_BUS_TRUNCATED)
            return lost_records(r->p, err);
        else if (event.kind == HUB_BUS_AT_END && event.places[0].offset >= r->end)
            break; /* what is left are marks of transactions */
    }
    if (r->checking)
        return not_found(r, err);
    if (r->place.offset < r->end)
        r->place.offset = r->end;
    return restore_flush(r, err);
}

/* Where the partition's part of `timeline` begins and ends. A broker that stood still and does not know yet that another one leads
 * tells an end of long ago. So an end before LEAST, which is known to be there, is asked for again, for a while. */
static enum hub_result ask_ends(struct unify_part *p, struct hub_bus_consumer *consumer, int64_t least, int64_t *oldest, int64_t *end,
                                struct hub_error *err)
{
    const int64_t since = hub_clock_mono_us(hub_clock_system());
    for (;;) {
        HUB_TRY(hub_bus_offsets(consumer, p->unify->options.timeline, p->number, UNIFY_NETWORK_MS, oldest, end, err));
        if (*end >= least)
            return HUB_OK;
        if (hub_clock_mono_us(hub_clock_system()) - since > LOST_US)
            return lost_records(p, err);
        if (unify_part_leaving(p) || !unify_pause(p->unify, RESTORE_POLL_MS))
            return hub_fail(err, HUB_CLOSED, "the partition is given back", NULL);
    }
}

static int64_t needed(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    const int64_t offset = p->needed_topic;
    (void)pthread_mutex_unlock(&p->lock);
    return offset;
}

/* Nobody writes to the partition but this owner now: what is there to its end is all there will be. */
static enum hub_result restore_from(struct unify_part *p, struct hub_bus_consumer *consumer, struct hub_error *err)
{
    struct restoring r = {
        .p = p, .consumer = consumer, .place = unify_place_of(p->timeline, topic_mark), .last = unify_last_of(p->timeline)};
    int64_t oldest = 0, least = p->rebuilt ? 0 : needed(p);
    const bool known = r.place.offset != HUB_BUS_NONE;
    least = known && r.place.offset > least ? r.place.offset : least;
    HUB_TRY(ask_ends(p, consumer, least, &oldest, &r.end, err));
    p->rebuilt = p->rebuilt || (!known && r.end == 0); /* whatever the group has: nothing of it is here */
    if (!known || r.place.offset < oldest)
        r.place = (struct unify_place){oldest, -1, 0};
    r.checking = known && r.last.offset >= oldest && r.last.offset < r.place.offset;
    if (r.checking || r.place.offset < r.end) {
        const struct hub_bus_place from = {.topic = p->unify->options.timeline,
                                           .partition = p->number,
                                           .offset = r.checking ? r.last.offset : r.place.offset,
                                           .leader_epoch = r.place.epoch};
        HUB_TRY(hub_bus_assign(consumer, &from, 1, err));
        HUB_TRY(restore_all(&r, err));
        atomic_fetch_add(&p->unify->restores, r.any);
    }
    HUB_TRY(hub_timeline_restore_end(p->timeline, err));
    p->topic_end = r.end;
    return HUB_OK;
}

static enum hub_result restore(struct unify_part *p, struct hub_error *err)
{
    const struct hub_bus_consumer_options options = {0};
    struct hub_bus_consumer *consumer = NULL;
    unify_part_state(p, UNIFY_RESTORING, NULL);
    HUB_TRY(hub_bus_consumer_open(p->unify->options.bus, &options, &consumer, err));
    enum hub_result result = restore_from(p, consumer, err);
    hub_bus_consumer_close(consumer);
    hub_crash_point(HUB_CRASH_AFTER_RESTORE);
    return result;
}

/* --- charts --- */

static bool is_mine(void *ctx, struct hub_span token)
{
    const struct unify_part *p = ctx;
    return hub_bus_partition(token, p->unify->options.partitions) == p->number;
}

/* Charts may have changed while the partition was elsewhere. From here on changes come one by one. */
static enum hub_result sync_charts(struct unify_part *p, struct hub_error *err)
{
    struct hub_unify *u = p->unify;
    unify_part_state(p, UNIFY_WAITING, NULL);
    while (!atomic_load(&u->identity_ready)) {
        if (unify_part_leaving(p) || atomic_load(&u->sick) || !unify_pause(u, WAIT_MS))
            return hub_fail(err, HUB_CLOSED, "the partition is given back", NULL);
    }
    (void)pthread_mutex_lock(&u->identity_lock);
    enum hub_result result = hub_timeline_sync_charts(p->timeline, u->identity, is_mine, p, err);
    if (result == HUB_OK) {
        (void)pthread_mutex_lock(&p->lock);
        p->active = true;
        p->charts_taken = p->charts_given; /* those of before are among what was looked up */
        (void)pthread_mutex_unlock(&p->lock);
    }
    (void)pthread_mutex_unlock(&u->identity_lock);
    HUB_TRY(result);
    hub_timeline_wait_for(p->timeline, u->identity);
    return HUB_OK;
}

/* --- the whole --- */

/* That all events are to be applied anew is not forgotten when the process ends meanwhile. */
static enum hub_result remember_rebuild(struct unify_part *p, struct hub_error *err)
{
    p->rebuilt = p->rebuilt || unify_place_of(p->timeline, rebuild_mark).offset == 1;
    if (!p->rebuilt)
        return HUB_OK;
    HUB_TRY(set_place(p, rebuild_mark, &(struct unify_place){1, 0, 0}, err));
    return hub_timeline_flush(p->timeline, 0, false, err);
}

static enum hub_result open_and_restore(struct unify_part *p, struct hub_error *err)
{
    if (p->timeline == NULL)
        HUB_TRY(open_store(p, err));
    if (p->producer == NULL)
        HUB_TRY(open_producer(p, err));
    HUB_TRY(remember_rebuild(p, err));
    return restore(p, err);
}

enum hub_result unify_store_open(struct unify_part *p, struct hub_error *err)
{
    p->unproven = false;
    enum hub_result result = open_and_restore(p, err);
    if (result == HUB_CORRUPT) { /* the store, or the topic beneath it: both are made anew from the events */
        HUB_DIAG(HUB_DIAG_WARNING, component, "a partition is built anew", hub_diag_number("partition", p->number), hub_diag_error(err));
        p->rebuilt = p->rebuilt || !p->unproven;
        unify_store_remove(p);
        result = open_and_restore(p, err);
    }
    HUB_TRY(result);
    HUB_TRY(sync_charts(p, err));
    p->place = unify_place_of(p->timeline, events_mark);
    p->moved = false;
    return unify_store_flush(p, false, err);
}

void unify_store_close(struct unify_part *p)
{
    hub_bus_producer_close(p->producer);
    p->producer = NULL;
    hub_buf_deinit(&p->sent);
    close_kv(p);
}
