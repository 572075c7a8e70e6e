/* Who is who: the topic `identity`, read whole and alone. */
#include <stdio.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/pipeline/unify_internal.h"
#include "src/protect/signed.h"

enum {
    BATCH_RECORDS = 1000,
    POLL_MS = 20,
    AGAIN_MS = 500,
    REOPEN_AFTER = 3,
    IDENTITY_CACHE = 64 * 1024 * 1024,
    SAY_EVERY = 1000,
    QUICK_MS = 3000,
    ASK_US = 500000, /* after the brokers did not say where the topic ends */
};

static const char component[] = "identity";

struct reader {
    struct hub_unify *u;
    struct hub_bus_consumer *consumer;
    struct hub_arena arena;
    size_t pending;
    unsigned failures;
    uint64_t asked, answered; /* requests to catch up */
    int64_t asked_us;
};

/* --- what the store tells --- */

/* A chart's part goes to the partition that has the token's record; one that is not here looks it up when it is opened. */
static enum hub_result on_record(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value, struct hub_error *err)
{
    struct hub_unify *u = ctx;
    (void)key;
    (void)err;
    unify_part_chart(&u->parts[hub_bus_partition(subject, u->options.partitions)], subject, value);
    return HUB_OK;
}

static void mark_name(int32_t partition, char out[32])
{
    (void)snprintf(out, 32, "identity-%d", (int)partition);
}

static enum hub_result on_settle(void *ctx, struct hub_error *err)
{
    struct hub_unify *u = ctx;
    for (int32_t i = 0; i < u->options.partitions; i++) {
        char name[32], text[HUB_TIMELINE_MARK_MAX];
        if (!u->identity_changed[i])
            continue;
        mark_name(i, name);
        unify_place_text(&u->identity_places[i], text);
        HUB_TRY(hub_timeline_set_mark(u->identity, name, hub_span_str(text), err));
    }
    return HUB_OK;
}

/* --- life --- */

static enum hub_result open_store(struct hub_unify *u, const char *path, struct hub_error *err)
{
    const struct hub_kv_options kv = {
        .families = hub_timeline_families(), .create = true, .bloom = true, .cache_bytes = IDENTITY_CACHE, .derived = true};
    struct hub_timeline_options options = u->options.timeline_options;
    options.part = HUB_TIMELINE_IDENTITY;
    options.sink = (struct hub_timeline_sink){.record = on_record, .settle = on_settle, .ctx = u};
    enum hub_result result = hub_kv_open_rocksdb(path, &kv, &u->identity_kv, err);
    if (result == HUB_OK)
        result = hub_timeline_open(u->identity_kv, &options, &u->identity, err);
    if (result == HUB_OK)
        return HUB_OK;
    hub_kv_close(u->identity_kv);
    u->identity_kv = NULL;
    return result;
}

enum hub_result unify_identity_open(struct hub_unify *u, struct hub_error *err)
{
    char path[UNIFY_PATH_MAX];
    const size_t count = (size_t)u->options.partitions;
    u->identity_places = hub_mem_array(count, sizeof *u->identity_places);
    u->identity_ends = hub_mem_array(count, sizeof *u->identity_ends);
    u->identity_changed = hub_mem_array(count, sizeof *u->identity_changed);
    u->identity_eofs = hub_mem_array(count, sizeof *u->identity_eofs);
    u->identity_compares = hub_mem_array(count, sizeof *u->identity_compares);
    if (u->identity_places == NULL || u->identity_ends == NULL || u->identity_changed == NULL || u->identity_eofs == NULL ||
        u->identity_compares == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the timeline", NULL);
    HUB_TRY(u->options.disk->ops->mkdir(u->options.disk, u->options.folder, err));
    (void)snprintf(path, sizeof path, "%s/identity", u->options.folder);
    enum hub_result result = open_store(u, path, err);
    if (result != HUB_CORRUPT)
        return result;
    HUB_DIAG(HUB_DIAG_WARNING, component, "the store is damaged or of another form: built anew from the topic", hub_diag_error(err));
    atomic_fetch_add(&u->rebuilds, 1);
    HUB_TRY(hub_kv_remove_rocksdb(u->options.disk, path, err));
    return open_store(u, path, err);
}

void unify_identity_close(struct hub_unify *u)
{
    if (u->identity != NULL)
        hub_timeline_close(u->identity);
    hub_kv_close(u->identity_kv);
    hub_mem_free(u->identity_places);
    hub_mem_free(u->identity_ends);
    hub_mem_free(u->identity_changed);
    hub_mem_free(u->identity_eofs);
    hub_mem_free(u->identity_compares);
}

/* --- records --- */

static void count_bad(struct hub_unify *u, enum hub_result result, const struct hub_bus_place *place)
{
    const bool untrusted = result == HUB_CRYPTO;
    const uint64_t before = atomic_fetch_add(untrusted ? &u->untrusted : &u->unreadable, 1);
    if (before % SAY_EVERY != 0)
        return;
    if (untrusted)
        HUB_DIAG(HUB_DIAG_ERROR, component, "an identity record that no trusted hub signed does not count (mend: bus.kafka.trust; `keys signer` on that hub shows its key)",
                 hub_diag_number("partition", place->partition), hub_diag_number("offset", place->offset),
                 hub_diag_number("so_far", (int64_t)before + 1));
    else
        HUB_DIAG(HUB_DIAG_ERROR, component, "an identity record that is none is left out", hub_diag_number("partition", place->partition),
                 hub_diag_number("offset", place->offset), hub_diag_number("so_far", (int64_t)before + 1));
}

static enum hub_result take(struct reader *r, const struct hub_bus_message *m, struct hub_error *err)
{
    struct hub_unify *u = r->u;
    struct hub_json *json = NULL;
    const struct hub_span value = unify_value(m->value);
    enum hub_result result = HUB_OK;
    hub_arena_reset(&r->arena);
    if (m->value.ptr != NULL) {
        result = hub_signed_read_any(&r->arena, HUB_SIGNED_IDENTITY, value, u->options.trusted, u->options.trusted_count, &json, err);
        if (result == HUB_OK)
            result = hub_timeline_add_identity(u->identity, m->key, value, err);
    }
    if (result != HUB_OK && result != HUB_CRYPTO && result != HUB_SYNTAX)
        return result;
    if (result != HUB_OK)
        count_bad(u, result, &m->place);
    u->identity_places[m->place.partition] = unify_place_behind(m);
    u->identity_changed[m->place.partition] = true;
    atomic_fetch_add(&u->identity_read, 1);
    if (atomic_load(&u->identity_lag) != 0)
        atomic_fetch_sub(&u->identity_lag, 1);
    return HUB_OK;
}

/* Whoever waits for facts looks again. */
static void tell_parts(struct hub_unify *u)
{
    for (int32_t i = 0; i < u->options.partitions; i++) {
        struct unify_part *p = &u->parts[i];
        (void)pthread_mutex_lock(&p->lock);
        p->facts++;
        (void)pthread_cond_broadcast(&p->woken);
        (void)pthread_mutex_unlock(&p->lock);
    }
}

static enum hub_result flush(struct reader *r, struct hub_error *err)
{
    struct hub_unify *u = r->u;
    if (r->pending == 0)
        return HUB_OK;
    enum hub_result result = hub_timeline_flush(u->identity, atomic_load(&u->identity_read), false, err);
    if (result == HUB_OK) {
        memset(u->identity_changed, 0, (size_t)u->options.partitions * sizeof *u->identity_changed);
        r->pending = 0;
    }
    return result;
}

/* --- how far it is --- */

static int64_t reached(const struct hub_unify *u, int32_t partition)
{
    const int64_t place = u->identity_places[partition].offset, eof = u->identity_eofs[partition];
    return place > eof ? place : eof; /* the last records may have been compacted away */
}

/* Records up to the ends that are known. */
static uint64_t left_to_read(const struct hub_unify *u)
{
    int64_t left = 0;
    for (int32_t i = 0; i < u->options.partitions; i++)
        left += u->identity_ends[i] > reached(u, i) ? u->identity_ends[i] - reached(u, i) : 0;
    return (uint64_t)left;
}

static void look_whether_ready(struct hub_unify *u)
{
    const uint64_t left = left_to_read(u);
    atomic_store(&u->identity_lag, left);
    if (left != 0 || atomic_load(&u->identity_ready))
        return;
    atomic_store(&u->identity_ready, true);
    HUB_DIAG(HUB_DIAG_NOTICE, component, "who is who is known up to now", hub_diag_number("records", (int64_t)atomic_load(&u->identity_read)));
}

/* Somebody wants to see all that there is now. Nothing is pending: partitions would wait meanwhile. */
static void ask_ends(struct reader *r)
{
    struct hub_unify *u = r->u;
    const int64_t now = hub_clock_mono_us(hub_clock_system());
    (void)pthread_mutex_lock(&u->lock);
    const uint64_t wanted = u->wanted;
    (void)pthread_mutex_unlock(&u->lock);
    if (wanted == r->asked || !atomic_load(&u->identity_ready) || now - r->asked_us < ASK_US)
        return;
    for (int32_t i = 0; i < u->options.partitions; i++) {
        int64_t oldest = 0;
        struct hub_error err = {0};
        if (hub_bus_offsets(r->consumer, u->options.identity, i, QUICK_MS, &oldest, &u->identity_ends[i], &err) == HUB_OK)
            continue;
        r->asked_us = hub_clock_mono_us(hub_clock_system()); /* reading comes first */
        return;
    }
    r->asked = wanted;
    (void)pthread_mutex_lock(&u->lock);
    u->identity_asked = wanted;
    (void)pthread_mutex_unlock(&u->lock);
    look_whether_ready(u);
    unify_changed(u);
}

/* All that was asked for is written, and partitions have been told. */
static void answer(struct reader *r)
{
    struct hub_unify *u = r->u;
    if (r->answered == r->asked || left_to_read(u) != 0)
        return;
    for (int32_t i = 0; i < u->options.partitions; i++) {
        struct unify_part *p = &u->parts[i];
        (void)pthread_mutex_lock(&p->lock);
        p->charts_target = p->charts_given;
        (void)pthread_mutex_unlock(&p->lock);
    }
    r->answered = r->asked;
    (void)pthread_mutex_lock(&u->lock);
    u->identity_answered = r->asked;
    (void)pthread_mutex_unlock(&u->lock);
    unify_changed(u);
}

/* --- reading --- */

static enum hub_result where_to_begin(struct reader *r, int32_t partition, struct hub_error *err)
{
    struct hub_unify *u = r->u;
    int64_t oldest = 0, end = 0;
    char name[32];
    mark_name(partition, name);
    struct unify_place place = unify_place_of(u->identity, name);
    HUB_TRY(hub_bus_offsets(r->consumer, u->options.identity, partition, UNIFY_NETWORK_MS, &oldest, &end, err));
    if (place.offset == HUB_BUS_NONE || place.offset < oldest || place.offset > end) { /* compacted, or lost: facts are known by their keys */
        if (place.offset != HUB_BUS_NONE)
            atomic_fetch_add(&u->truncations, 1);
        place = (struct unify_place){oldest, -1, 0};
    }
    u->identity_places[partition] = place;
    u->identity_ends[partition] = end;
    u->identity_eofs[partition] = HUB_BUS_NONE;
    u->identity_changed[partition] = false;
    u->identity_compares[partition] = -1;
    const struct hub_bus_place from = {
        .topic = u->options.identity, .partition = partition, .offset = place.offset, .leader_epoch = place.epoch};
    return hub_bus_assign(r->consumer, &from, 1, err);
}

static enum hub_result open_reader(struct reader *r, struct hub_error *err)
{
    struct hub_unify *u = r->u;
    const struct hub_bus_consumer_options options = {0};
    int32_t count = 0;
    HUB_TRY(hub_bus_consumer_open(u->options.bus, &options, &r->consumer, err));
    HUB_TRY(hub_bus_partition_count(r->consumer, u->options.identity, UNIFY_NETWORK_MS, &count, err));
    if (count != u->options.partitions) {
        (void)hub_fail(err, HUB_CONFIG, "a topic has another number of partitions than configured", "correct bus.kafka.topics.partitions");
        return hub_error_at(err, "%s", u->options.identity);
    }
    for (int32_t i = 0; i < count; i++)
        HUB_TRY(where_to_begin(r, i, err));
    look_whether_ready(u);
    return HUB_OK;
}

static void close_reader(struct reader *r)
{
    hub_bus_consumer_close(r->consumer);
    r->consumer = NULL;
}

static enum hub_result begin_again(struct reader *r, const struct hub_bus_place *at, struct hub_error *err)
{
    struct hub_bus_place from = {.topic = r->u->options.identity, .partition = at->partition, .leader_epoch = -1};
    int64_t end = 0;
    HUB_DIAG(HUB_DIAG_WARNING, component, "the brokers lost identity records that were read; all of the partition is read again",
             hub_diag_number("partition", at->partition));
    atomic_fetch_add(&r->u->truncations, 1);
    HUB_TRY(hub_bus_offsets(r->consumer, from.topic, from.partition, UNIFY_NETWORK_MS, &from.offset, &end, err));
    r->u->identity_places[at->partition] = (struct unify_place){from.offset, -1, 0};
    r->u->identity_ends[at->partition] = end;
    r->u->identity_eofs[at->partition] = HUB_BUS_NONE;
    r->u->identity_changed[at->partition] = true;
    r->u->identity_compares[at->partition] = -1;
    return hub_bus_seek(r->consumer, &from, err);
}

/* False: M is not to be taken. */
static bool is_next(struct reader *r, const struct hub_bus_message *m, enum hub_result *result, struct hub_error *err)
{
    struct unify_place *next = &r->u->identity_places[m->place.partition];
    struct hub_bus_place before = m->place;
    switch (unify_track(next, &r->u->identity_compares[m->place.partition], m)) {
    case UNIFY_WANTED:
        return true;
    case UNIFY_PASSED:
        break;
    case UNIFY_BACK:
        before.offset = next->offset - 1;
        before.leader_epoch = -1;
        *result = hub_bus_seek(r->consumer, &before, err);
        break;
    case UNIFY_OTHER_LOG:
        *result = begin_again(r, &m->place, err);
        break;
    }
    return false;
}

/* Reads until nothing more is there at once, then writes: nobody waits longer than that for a fact. */
static enum hub_result step(struct reader *r, struct hub_error *err)
{
    struct hub_unify *u = r->u;
    struct hub_bus_event event = {0};
    enum hub_result result = HUB_OK;
    HUB_TRY(hub_bus_next(r->consumer, r->pending != 0 ? 0 : POLL_MS, &event, err));
    if (event.kind == HUB_BUS_MESSAGE) {
        if (!is_next(r, &event.message, &result, err))
            return result;
        if (r->pending == 0)
            (void)pthread_mutex_lock(&u->identity_lock);
        r->pending++;
        HUB_TRY(take(r, &event.message, err));
        if (r->pending < BATCH_RECORDS)
            return HUB_OK;
    } else if (event.kind == HUB_BUS_AT_END) {
        u->identity_eofs[event.places[0].partition] = event.places[0].offset;
    } else if (event.kind == HUB_BUS_TRUNCATED) {
        return begin_again(r, &event.places[0], err);
    }
    const bool wrote = r->pending != 0;
    HUB_TRY(flush(r, err));
    if (wrote)
        (void)pthread_mutex_unlock(&u->identity_lock);
    look_whether_ready(u);
    ask_ends(r);
    answer(r);
    if (wrote || event.kind == HUB_BUS_AT_END)
        tell_parts(u);
    return HUB_OK;
}

/* What was not written is read again. */
static void recover(struct reader *r, enum hub_result result, const struct hub_error *err)
{
    struct hub_unify *u = r->u;
    struct hub_error again = {0};
    hub_timeline_forget(u->identity);
    for (int32_t i = 0; i < u->options.partitions && r->pending != 0; i++)
        unify_part_charts_anew(&u->parts[i]); /* they may have been told of what was not written, and may not be so in the end */
    if (r->pending != 0)
        (void)pthread_mutex_unlock(&u->identity_lock);
    r->pending = 0;
    close_reader(r);
    unify_trouble(u, &u->identity_trouble, err, component);
    if (result == HUB_CORRUPT || result == HUB_INTERNAL) {
        atomic_store(&u->sick, true);
        HUB_DIAG(HUB_DIAG_ERROR, component, "the store cannot be used: the timeline stands still (restart: it is built anew from the topic)",
                 hub_diag_error(err));
        unify_changed(u);
        return;
    }
    if (++r->failures >= REOPEN_AFTER && (result == HUB_IO || result == HUB_QUOTA)) {
        atomic_store(&u->identity_ready, false); /* it may have gone back: no partition compares with it before it is up to date */
        if (hub_kv_reopen(u->identity_kv, &again) != HUB_OK)
            return;
    }
    if (hub_timeline_reset(u->identity, &again) != HUB_OK)
        return; /* the next step says so again */
}

void *unify_identity_run(void *ctx)
{
    struct reader r = {.u = ctx};
    struct hub_unify *u = r.u;
    hub_arena_init(&r.arena, HUB_SIGNED_ARENA_BYTES);
    while (!unify_stopping(u) && !atomic_load(&u->sick)) {
        struct hub_error err = {0};
        enum hub_result result = r.consumer == NULL ? open_reader(&r, &err) : HUB_OK;
        if (result == HUB_OK) {
            result = step(&r, &err);
            if (result == HUB_OK && r.failures != 0 && r.pending == 0) {
                r.failures = 0;
                unify_trouble(u, &u->identity_trouble, NULL, component);
            }
        }
        if (result == HUB_OK)
            continue;
        recover(&r, result, &err);
        r.failures += r.failures == 0;
        (void)unify_pause(u, AGAIN_MS);
    }
    if (r.pending != 0) {
        hub_timeline_forget(u->identity);
        (void)pthread_mutex_unlock(&u->identity_lock);
    }
    close_reader(&r);
    hub_arena_deinit(&r.arena);
    return NULL;
}
