/* Processes of the timeline on a bus in memory, all in this one, and the store of all events to compare with. For tests, which include
 * cmocka before. */
#pragma once

#include <pthread.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/bus/memory.h"
#include "src/pipeline/forward_internal.h"
#include "src/pipeline/unify.h"
#include "src/protect/signed.h"
#include "tests/temp_folder.h"
#include "tests/unit/timeline/chance.h"

enum { PARTITIONS = 3, MEMBERS = 3, WAIT_MS = 60000, LOOK_US = 5000 };

static const char EVENTS_TOPIC[] = "t.events", IDENTITY_TOPIC[] = "t.identity", TIMELINE_TOPIC[] = "t.timeline", GROUP[] = "t";

struct member {
    char folder[600];
    struct hub_timelines *set;
    struct hub_unify *unify;
    pthread_t thread;
    bool running;
    atomic_bool stop;
};

struct site {
    char folder[512];
    struct hub_bus *bus;
    struct hub_bus_producer *producer;
    struct hub_signer signer;
    uint8_t public_key[1][HUB_SIGN_PUBLIC_LEN], secret_key[HUB_SIGN_SECRET_LEN];
    struct events events; /* all of them */
    size_t sent;
    struct whole whole;
    struct member members[MEMBERS];
    bool facts_only, events_only; /* what is sent of an event */
};

static inline void sign(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN])
{
    hub_sign(((struct site *)ctx)->secret_key, text, signature);
}

static inline void ignore_delivery(void *ctx, const struct hub_bus_delivery *delivery)
{
    (void)ctx;
    (void)delivery;
}

/* --- sending --- */

static inline enum hub_result send_record(void *ctx, enum hub_topic topic, struct hub_bus_record *record, struct hub_error *err)
{
    struct site *s = ctx;
    if (topic == HUB_TOPIC_IDENTITY ? s->events_only : s->facts_only)
        return HUB_OK;
    record->topic = topic == HUB_TOPIC_IDENTITY ? IDENTITY_TOPIC : EVENTS_TOPIC;
    HUB_TRY(hub_bus_send(s->producer, record, err));
    return hub_bus_poll(s->producer, 0, err);
}

static inline void send_event(struct site *s, struct hub_span event)
{
    const struct hub_forward_sink sink = {.send = send_record, .ctx = s};
    assert_int_equal(hub_forward_event(&s->signer, &arena, event, &sink, NULL), HUB_OK);
}

static inline void send_up_to(struct site *s, size_t count)
{
    for (; s->sent < count; s->sent++) {
        send_event(s, s->events.items[s->sent]);
        if (chance(6) == 0) /* a hub sends again what it is not sure of */
            send_event(s, s->events.items[chance((unsigned)s->sent + 1)]);
    }
}

/* --- members --- */

static inline void *run_member(void *ctx)
{
    hub_unify_run(((struct member *)ctx)->unify);
    return NULL;
}

static inline void start_member(struct site *s, size_t number)
{
    struct member *m = &s->members[number];
    struct hub_unify_options options = {.bus = s->bus,
                                        .events = EVENTS_TOPIC,
                                        .identity = IDENTITY_TOPIC,
                                        .timeline = TIMELINE_TOPIC,
                                        .group = GROUP,
                                        .transactions = "t.timeline-",
                                        .folder = m->folder,
                                        .partitions = PARTITIONS,
                                        .trusted = s->public_key,
                                        .trusted_count = 1,
                                        .timeline_options = OPTIONS,
                                        .wait_ms = 2,
                                        .facts_s = 30,
                                        .tombstones_s = 3600,
                                        .clock = hub_clock_system(),
                                        .disk = hub_disk_system(),
                                        .stop = &m->stop};
    atomic_store(&m->stop, false);
    m->set = options.timelines = hub_timelines_new(PARTITIONS, hub_bus_partition);
    assert_non_null(m->set);
    assert_int_equal(hub_unify_open(&options, &m->unify, NULL), HUB_OK);
    assert_int_equal(pthread_create(&m->thread, NULL, run_member, m), 0);
    m->running = true;
}

static inline void stop_member(struct site *s, size_t number)
{
    struct member *m = &s->members[number];
    if (!m->running)
        return;
    atomic_store(&m->stop, true);
    assert_int_equal(pthread_join(m->thread, NULL), 0);
    hub_unify_close(m->unify);
    hub_timelines_free(m->set);
    m->running = false;
}

/* Its folder goes back to what SAVED holds: what a kill leaves, later writes lost. */
static inline void copy_folder(const char *from, const char *to)
{
    char command[1400];
    temp_folder_remove(to);
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static inline void wake_all(struct site *s)
{
    hub_memory_wake(s->bus, GROUP);
    hub_memory_faults(s->bus, &(struct hub_memory_faults){0});
    (void)hub_kv_fail_nth(0, 0, false);
    (void)hub_mem_fail_nth(0, 0);
}

/* --- the end of it --- */

static inline void show(struct site *s)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        struct hub_unify_stats stats;
        struct hub_unify_part_stats parts[PARTITIONS];
        if (!s->members[i].running)
            continue;
        hub_unify_stats(s->members[i].unify, &stats);
        print_error("member %zu: %s, owned %u ready %u lag %llu identity lag %llu, %s\n", i, stats.state, stats.owned, stats.ready,
                    (unsigned long long)stats.lag, (unsigned long long)stats.identity_lag,
                    stats.trouble.what != NULL ? stats.trouble.what : "");
        for (size_t n = 0, count = hub_unify_parts(s->members[i].unify, parts, PARTITIONS); n < count; n++)
            print_error("  %d %s at %lld lag %llu\n", (int)parts[n].number, parts[n].state, (long long)parts[n].position,
                        (unsigned long long)parts[n].lag);
    }
}

/* Rebalances so far; false: not all that it has can be read. */
static inline bool is_ready(struct site *s, size_t number, uint32_t *owned, uint64_t *rebalances)
{
    struct hub_unify_stats stats;
    hub_unify_stats(s->members[number].unify, &stats);
    *owned += stats.owned;
    *rebalances += stats.rebalances;
    return stats.owned == stats.ready;
}

static inline bool all_ready(struct site *s, uint64_t *rebalances)
{
    uint32_t owned = 0;
    bool ready = true;
    *rebalances = 0;
    for (size_t i = 0; i < MEMBERS && ready; i++)
        ready = !s->members[i].running || is_ready(s, i, &owned, rebalances);
    return ready && owned == PARTITIONS;
}

/* All members have caught up and each partition is with one of them, before and after: the sum of their digests. */
static inline bool try_digest(struct site *s, uint8_t sum[32])
{
    uint64_t before = 0, after = 0;
    memset(sum, 0, 32);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (s->members[i].running && hub_unify_catch_up(s->members[i].unify, 1000, NULL) != HUB_OK)
            return false;
    }
    if (!all_ready(s, &before))
        return false;
    for (size_t i = 0; i < MEMBERS; i++) {
        uint8_t digest[32];
        unsigned carry = 0;
        if (!s->members[i].running)
            continue;
        if (hub_unify_catch_up(s->members[i].unify, 1000, NULL) != HUB_OK)
            return false;
        assert_int_equal(hub_timelines_state_digest(s->members[i].set, digest, NULL), HUB_OK);
        for (size_t n = 32; n-- > 0; carry >>= 8) {
            carry += (unsigned)sum[n] + digest[n];
            sum[n] = (uint8_t)carry;
        }
    }
    return all_ready(s, &after) && before == after;
}

/* What the member's stores have otherwise than the whole, once it has stopped. */
static inline void show_difference(struct site *s, size_t number)
{
    const struct hub_kv_options options = {.families = hub_timeline_families(), .derived = true};
    stop_member(s, number);
    for (int p = 0; p < PARTITIONS; p++) {
        char path[700];
        struct hub_kv *kv = NULL;
        (void)snprintf(path, sizeof path, "%s/%d", s->members[number].folder, p);
        if (hub_kv_open_rocksdb(path, &options, &kv, NULL) != HUB_OK)
            continue;
        for (unsigned family = 0; hub_timeline_families()[family] != NULL; family++) {
            const char *name = hub_timeline_families()[family];
            struct hub_kv_iter *iter = hub_kv_iter_new(kv, family, HUB_SPAN_NONE);
            while (strcmp(name, "meta") != 0 && strcmp(name, "nodes") != 0 && hub_kv_iter_next(iter)) {
                struct hub_kv_value value = {.owner = NULL};
                const struct hub_span key = hub_kv_iter_key(iter), here = hub_kv_iter_value(iter);
                const bool found = hub_kv_get(s->whole.kv, family, key, &value, NULL) == HUB_OK;
                if (!found || !hub_span_equal(value.bytes, here))
                    print_error("%d %s %.*s: %.*s\n  whole: %.*s\n", p, name, (int)key.len, (const char *)key.ptr, (int)here.len,
                                (const char *)here.ptr, found ? (int)value.bytes.len : 0, (const char *)value.bytes.ptr);
                if (found)
                    hub_kv_value_free(&value);
            }
            hub_kv_iter_free(iter);
            iter = hub_kv_iter_new(s->whole.kv, family, HUB_SPAN_NONE);
            while (strcmp(name, "meta") != 0 && strcmp(name, "nodes") != 0 && strcmp(name, "facts") != 0 && hub_kv_iter_next(iter)) {
                struct hub_kv_value value;
                const struct hub_span key = hub_kv_iter_key(iter);
                const uint8_t *slash = memchr(key.ptr, '/', key.len);
                const struct hub_span token = hub_span_of(key.ptr, slash != NULL ? (size_t)(slash - key.ptr) : key.len);
                if (hub_kv_get(kv, family, key, &value, NULL) == HUB_OK)
                    hub_kv_value_free(&value);
                else if (hub_bus_partition(token, PARTITIONS) == p && strcmp(name, "events") != 0)
                    print_error("%d lacks %s %.*s\n", p, name, (int)key.len, (const char *)key.ptr);
            }
            hub_kv_iter_free(iter);
        }
        hub_kv_close(kv);
    }
}

static inline void expect_whole(struct site *s)
{
    uint8_t sum[32];
    const int64_t limit_us = hub_clock_mono_us(hub_clock_system()) + (int64_t)WAIT_MS * 1000;
    while (!try_digest(s, sum)) {
        if (hub_clock_mono_us(hub_clock_system()) > limit_us) {
            show(s);
            fail_msg("the members do not settle");
        }
        (void)usleep(LOOK_US);
    }
    if (memcmp(sum, s->whole.digest, sizeof sum) != 0) {
        show(s);
        for (size_t i = 0; i < MEMBERS; i++)
            show_difference(s, i);
    }
    assert_memory_equal(sum, s->whole.digest, sizeof sum);
}

/* The topic alone gives it all back, to a member that never was there. */
static inline void expect_whole_from_topic(struct site *s)
{
    for (size_t i = 0; i < MEMBERS; i++)
        stop_member(s, i);
    temp_folder_remove(s->members[0].folder);
    start_member(s, 0);
    expect_whole(s);
    struct hub_unify_stats stats;
    hub_unify_stats(s->members[0].unify, &stats);
    assert_int_equal(stats.unknown_facts + stats.unreadable + stats.untrusted + stats.gap, 0);
}

/* --- life --- */

static inline void open_site(struct site *s, uint64_t number)
{
    memset(s, 0, sizeof *s);
    hub_arena_reset(&arena);
    seed = number;
    assert_non_null(temp_folder_new(s->folder));
    s->signer = (struct hub_signer){.public_key = s->public_key[0], .sign = sign, .ctx = s};
    hub_sign_keypair(s->public_key[0], s->secret_key);
    assert_int_equal(hub_bus_open_memory(&s->bus), HUB_OK);
    hub_memory_topic(s->bus, EVENTS_TOPIC, PARTITIONS);
    hub_memory_topic(s->bus, IDENTITY_TOPIC, PARTITIONS);
    hub_memory_topic(s->bus, TIMELINE_TOPIC, PARTITIONS);
    const struct hub_bus_producer_options options = {.delivered = ignore_delivery, .ctx = s};
    assert_int_equal(hub_bus_producer_open(s->bus, &options, 0, &s->producer, NULL), HUB_OK);
    for (size_t i = 0; i < MEMBERS; i++)
        (void)snprintf(s->members[i].folder, sizeof s->members[i].folder, "%s/member-%zu", s->folder, i);
}

static inline void some_events(struct site *s)
{
    make_events(&s->events);
    apply_whole(&s->whole, &s->events);
}

static inline void close_site(struct site *s)
{
    wake_all(s);
    for (size_t i = 0; i < MEMBERS; i++)
        stop_member(s, i);
    hub_bus_producer_close(s->producer);
    hub_bus_close(s->bus);
    if (s->whole.kv != NULL)
        close_whole(&s->whole);
    temp_folder_remove(s->folder);
}
