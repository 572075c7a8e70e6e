/* Two processes that share the partitions of a timeline as src/pipeline/unify does, one step of one of them at a time: batches that come
 * to nothing or are not heard of, writes that fail, kills that lose the last writes of every store, partitions that go to
 * the other process or come back, charts that change meanwhile. In the end they hold what one store of all events holds, and
 * so does the topic. CHARTLINE_SEED=n CHARTLINE_ROUNDS=1 does one case again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/timeline/cluster_run.h"

enum { ROUNDS = 60, STEPS = 1500, PROCESSES = 2, NOBODY = -1 };

enum outcome { GOES_WELL, COMES_TO_NOTHING, IS_NOT_HEARD_OF, IS_NOT_WRITTEN };

struct world;

struct process {
    struct world *world;
    int number;
    struct hub_kv *identity_kv, *identity_old;
    struct hub_timeline *identity;
    size_t next_fact, ready_at; /* READY_AT: what must be read before a partition is opened */
    struct hub_kv *kv[CLUSTER_PARTITIONS], *old[CLUSTER_PARTITIONS];
    enum outcome outcome; /* of its next write of who is who */
};

struct share { /* a partition */
    struct world *world;
    int32_t number;
    int owner;
    struct hub_timeline *timeline; /* of the owner */
    struct topic topic, sent, charts;
    size_t next, group; /* of its events */
    bool group_known;
    enum outcome outcome;
};

struct world {
    struct cluster feed; /* events of each partition, facts */
    struct process processes[PROCESSES];
    struct share shares[CLUSTER_PARTITIONS];
};

/* --- sinks --- */

static enum hub_result share_record(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value, struct hub_error *err)
{
    struct share *s = ctx;
    (void)subject;
    (void)err;
    topic_add(&arena, &s->sent, key, value);
    return HUB_OK;
}

static enum hub_result share_settle(void *ctx, struct hub_error *err)
{
    struct share *s = ctx;
    const enum outcome outcome = s->outcome;
    char mark[24];
    s->outcome = GOES_WELL;
    for (size_t i = 0; i < s->sent.count && outcome != COMES_TO_NOTHING; i++)
        topic_add(&arena, &s->topic, s->sent.records[i].key, s->sent.records[i].value);
    s->sent.count = 0;
    if (outcome == COMES_TO_NOTHING || outcome == IS_NOT_HEARD_OF)
        return hub_fail(err, HUB_CLOSED, "made to fail", NULL);
    if (outcome == IS_NOT_WRITTEN)
        (void)hub_kv_fail_nth(HUB_KV_WRITES, 1, false);
    (void)snprintf(mark, sizeof mark, "%zu", s->topic.count);
    return hub_timeline_set_mark(s->timeline, "timeline", hub_span_str(mark), err);
}

/* Partitions that are with this process take the change in when their turn comes. */
static enum hub_result identity_record(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value, struct hub_error *err)
{
    struct process *p = ctx;
    struct share *s = &p->world->shares[cluster_partition_of(key, CLUSTER_PARTITIONS)];
    (void)subject;
    (void)err;
    if (s->owner == p->number)
        topic_add(&arena, &s->charts, key, value);
    return HUB_OK;
}

static enum hub_result identity_settle(void *ctx, struct hub_error *err)
{
    struct process *p = ctx;
    (void)err;
    if (p->outcome != GOES_WELL)
        (void)hub_kv_fail_nth(HUB_KV_WRITES, 1, false);
    p->outcome = GOES_WELL;
    return HUB_OK;
}

/* --- opening --- */

static void open_who_is_who(struct process *p)
{
    const struct hub_timeline_options options = {
        .part = HUB_TIMELINE_IDENTITY, .chart_tokens = OPTIONS.chart_tokens, .sink = {identity_record, identity_settle, p}};
    if (p->identity_kv == NULL)
        p->identity_kv = cluster_kv();
    assert_int_equal(hub_timeline_open(p->identity_kv, &options, &p->identity, NULL), HUB_OK);
    p->next_fact = (size_t)hub_timeline_position(p->identity);
    p->ready_at = p->world->feed.facts.count;
}

static void close_share(struct share *s)
{
    hub_timeline_close(s->timeline);
    s->timeline = NULL;
    s->owner = NOBODY;
    s->sent.count = s->charts.count = 0;
}

static size_t topic_mark(struct share *s)
{
    char text[HUB_TIMELINE_MARK_MAX];
    uint64_t mark = 0;
    if (hub_timeline_mark(s->timeline, "timeline", text, NULL) == HUB_OK)
        assert_true(hub_span_parse_u64(hub_span_str(text), &mark));
    return (size_t)mark;
}

static void put_back(struct share *s)
{
    const size_t mark = topic_mark(s);
    struct topic left = chance(2) ? compacted(&s->topic, mark) : (struct topic){0};
    const struct topic *from = left.count != 0 ? &left : &s->topic;
    char text[24];
    assert_true(mark <= s->topic.count);
    for (size_t i = left.count != 0 ? 0 : mark; i < from->count; i++) {
        assert_int_equal(hub_timeline_restore(s->timeline, from->records[i].key, from->records[i].value, NULL), HUB_OK);
        if (chance(20) == 0)
            assert_int_equal(hub_timeline_flush(s->timeline, 0, false, NULL), HUB_OK);
    }
    (void)snprintf(text, sizeof text, "%zu", s->topic.count);
    assert_int_equal(hub_timeline_set_mark(s->timeline, "timeline", hub_span_str(text), NULL), HUB_OK);
    free(left.records);
}

/* As unify_store_open: what the topic has, then charts as they are, then a write. OWN: where it goes on; else where the group does. */
static void bring_up_to_date(struct share *s, size_t own, bool again)
{
    struct process *p = &s->world->processes[s->owner];
    s->sent.count = s->charts.count = 0;
    s->outcome = GOES_WELL;
    put_back(s);
    assert_int_equal(hub_timeline_flush(s->timeline, own, false, NULL), HUB_OK);
    assert_int_equal(hub_timeline_restore_end(s->timeline, NULL), HUB_OK);
    assert_int_equal(hub_timeline_sync_charts(s->timeline, p->identity, mine, &s->number, NULL), HUB_OK);
    assert_int_equal(hub_timeline_flush(s->timeline, own, false, NULL), HUB_OK);
    hub_timeline_wait_for(s->timeline, p->identity);
    s->next = !again && s->group_known ? s->group : own;
}

static void take_share(struct share *s, int owner)
{
    struct process *p = &s->world->processes[owner];
    const struct hub_timeline_options options = {.part = HUB_TIMELINE_PARTITION, .sink = {share_record, share_settle, s}};
    if (p->next_fact < p->ready_at)
        return;
    if (p->kv[s->number] == NULL)
        p->kv[s->number] = cluster_kv();
    s->owner = owner;
    assert_int_equal(hub_timeline_open(p->kv[s->number], &options, &s->timeline, NULL), HUB_OK);
    bring_up_to_date(s, (size_t)hub_timeline_position(s->timeline), false);
}

/* --- steps --- */

static void set_charts(struct share *s)
{
    for (size_t i = 0; i < s->charts.count; i++)
        assert_int_equal(hub_timeline_set_chart(s->timeline, s->charts.records[i].key, s->charts.records[i].value, NULL), HUB_OK);
    s->charts.count = 0;
}

static void fail_share(struct share *s)
{
    (void)hub_kv_fail_nth(0, 0, false);
    assert_int_equal(hub_timeline_reset(s->timeline, NULL), HUB_OK);
    bring_up_to_date(s, (size_t)hub_timeline_position(s->timeline), true);
}

static void apply_some(struct share *s)
{
    const struct topic *events = &s->world->feed.parts[s->number].events;
    for (unsigned n = chance(6); n > 0 && s->next < events->count; n--) {
        const enum hub_result result = hub_timeline_apply(s->timeline, events->records[s->next].value, NULL, NULL);
        if (result == HUB_AGAIN)
            return;
        if (result != HUB_OK) { /* it wrote on the way */
            fail_share(s);
            return;
        }
        s->next++;
    }
}

static void write_share(struct share *s)
{
    set_charts(s);
    if (hub_timeline_flush(s->timeline, s->next, false, NULL) != HUB_OK) {
        fail_share(s);
        return;
    }
    (void)hub_kv_fail_nth(0, 0, false);
    if (chance(2)) {
        s->group = s->next;
        s->group_known = true;
    }
}

static void add_some_facts(struct process *p)
{
    const struct topic *facts = &p->world->feed.facts;
    bool failed = false;
    for (unsigned n = chance(10); n > 0 && p->next_fact < facts->count && !failed; n--) {
        const struct bus_record *record = &facts->records[p->next_fact];
        failed = hub_timeline_add_identity(p->identity, record->key, record->value, NULL) != HUB_OK;
        p->next_fact += !failed;
    }
    failed = failed || hub_timeline_flush(p->identity, p->next_fact, false, NULL) != HUB_OK;
    (void)hub_kv_fail_nth(0, 0, false);
    if (!failed)
        return;
    assert_int_equal(hub_timeline_reset(p->identity, NULL), HUB_OK);
    p->next_fact = (size_t)hub_timeline_position(p->identity);
    for (int i = 0; i < CLUSTER_PARTITIONS; i++) /* they may have been told of what does not come again */
        if (p->world->shares[i].owner == p->number)
            fail_share(&p->world->shares[i]);
}

static void save(struct process *p)
{
    const size_t i = chance(CLUSTER_PARTITIONS + 1);
    struct hub_kv **from = i < CLUSTER_PARTITIONS ? &p->kv[i] : &p->identity_kv;
    struct hub_kv **to = i < CLUSTER_PARTITIONS ? &p->old[i] : &p->identity_old;
    if (*from == NULL)
        return;
    hub_kv_close(*to);
    *to = cluster_copy(*from);
}

static void go_back(struct hub_kv **kv, struct hub_kv *old)
{
    if (chance(2) == 0)
        return;
    hub_kv_close(*kv);
    *kv = old != NULL ? cluster_copy(old) : NULL;
}

static void kill_process(struct process *p)
{
    for (int i = 0; i < CLUSTER_PARTITIONS; i++) {
        if (p->world->shares[i].owner == p->number)
            close_share(&p->world->shares[i]);
        go_back(&p->kv[i], p->old[i]);
    }
    hub_timeline_close(p->identity);
    go_back(&p->identity_kv, p->identity_old);
    open_who_is_who(p);
}

static void step_on(struct world *w, bool calm)
{
    struct process *p = &w->processes[chance(PROCESSES)];
    struct share *s = &w->shares[chance(CLUSTER_PARTITIONS)];
    const unsigned what = chance(calm ? 60 : 100);
    if (what < 20)
        add_some_facts(p);
    else if (s->owner == NOBODY)
        take_share(s, p->number);
    else if (what < 40)
        apply_some(s);
    else if (what < 55)
        write_share(s);
    else if (what < 60)
        set_charts(s);
    else if (what < 75)
        s->outcome = (enum outcome)chance(4);
    else if (what < 80)
        p->outcome = (enum outcome)chance(4);
    else if (what < 90)
        save(p);
    else if (what < 94)
        kill_process(p);
    else
        close_share(s); /* fenced, or given back in the middle of a batch */
}

static bool is_drained(struct world *w)
{
    bool is = true;
    for (int i = 0; i < PROCESSES; i++)
        is = is && w->processes[i].next_fact == w->feed.facts.count;
    for (int i = 0; i < CLUSTER_PARTITIONS; i++)
        is = is && w->shares[i].owner != NOBODY && w->shares[i].next == w->feed.parts[i].events.count;
    return is;
}

/* --- the end --- */

static void expect_whole(struct world *w, const struct whole *whole)
{
    uint8_t sum[32] = {0};
    for (int i = 0; i < CLUSTER_PARTITIONS; i++) {
        uint8_t digest[32];
        unsigned carry = 0;
        assert_int_equal(hub_timeline_state_digest(w->shares[i].timeline, digest, NULL), HUB_OK);
        for (size_t n = 32; n-- > 0; carry >>= 8) {
            carry += (unsigned)sum[n] + digest[n];
            sum[n] = (uint8_t)carry;
        }
    }
    assert_memory_equal(sum, whole->digest, sizeof sum);
}

static void one_case(uint64_t number)
{
    static struct events events;
    struct world w = {.feed = {.arena = &arena}};
    struct whole whole;
    hub_arena_reset(&arena);
    seed = number;
    make_events(&events);
    apply_whole(&whole, &events);
    for (size_t i = 0; i < events.count; i++) {
        forward(&w.feed, events.items[i]);
        if (chance(5) == 0)
            forward(&w.feed, events.items[chance((unsigned)i + 1)]);
    }
    for (int i = 0; i < CLUSTER_PARTITIONS; i++)
        w.shares[i] = (struct share){.world = &w, .number = i, .owner = NOBODY};
    for (int i = 0; i < PROCESSES; i++) {
        w.processes[i] = (struct process){.world = &w, .number = i};
        open_who_is_who(&w.processes[i]);
        w.processes[i].ready_at = 0;
    }
    for (unsigned i = 0; i < 100000 && !(i > STEPS && is_drained(&w)); i++)
        step_on(&w, i > STEPS);
    assert_true(is_drained(&w));
    for (int i = 0; i < CLUSTER_PARTITIONS; i++) {
        write_share(&w.shares[i]);
        write_share(&w.shares[i]);
        assert_int_equal(w.shares[i].next, w.feed.parts[i].events.count);
    }
    expect_whole(&w, &whole);
    for (int i = 0; i < CLUSTER_PARTITIONS; i++) { /* the topic alone */
        const int owner = w.shares[i].owner;
        close_share(&w.shares[i]);
        hub_kv_close(w.processes[owner].kv[i]);
        w.processes[owner].kv[i] = NULL;
        take_share(&w.shares[i], owner);
    }
    expect_whole(&w, &whole);
    for (int i = 0; i < CLUSTER_PARTITIONS; i++) {
        close_share(&w.shares[i]);
        free(w.shares[i].topic.records);
        free(w.shares[i].sent.records);
        free(w.shares[i].charts.records);
        free(w.feed.parts[i].events.records);
    }
    for (int i = 0; i < PROCESSES; i++) {
        hub_timeline_close(w.processes[i].identity);
        hub_kv_close(w.processes[i].identity_kv);
        hub_kv_close(w.processes[i].identity_old);
        for (int n = 0; n < CLUSTER_PARTITIONS; n++) {
            hub_kv_close(w.processes[i].kv[n]);
            hub_kv_close(w.processes[i].old[n]);
        }
    }
    free(w.feed.facts.records);
    close_whole(&whole);
}

static uint64_t failing; /* the case at hand; 0: none */

static int say_which(void **state)
{
    if (failing != 0)
        print_error("CHARTLINE_SEED=%llu CHARTLINE_ROUNDS=1\n", (unsigned long long)failing);
    (void)hub_kv_fail_nth(0, 0, false);
    return teardown(state);
}

static void whatever_fails_the_parts_are_the_whole_in_the_end(void **state)
{
    const char *rounds = getenv("CHARTLINE_ROUNDS"), *from = getenv("CHARTLINE_SEED");
    const uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    (void)state;
    for (uint64_t n = 0; n < (rounds != NULL ? strtoull(rounds, NULL, 10) : ROUNDS); n++)
        one_case(failing = first + n);
    failing = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_fails_the_parts_are_the_whole_in_the_end, setup, say_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
