/* The timeline in parts is the timeline: whatever the order of events and facts, however often they come, and whichever partition
 * is put back from its topic meanwhile, into an empty store or an older one. Several of them are one for readers. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/timeline/cluster_run.h"

enum { ROUNDS = 40 };

static void feed(struct cluster *c, const struct events *events)
{
    for (size_t i = 0; i < events->count; i++)
        forward(c, events->items[i]);
    for (size_t i = 0; i < events->count; i++) /* a hub sends again what it is not sure of */
        if (chance(4) == 0)
            forward(c, events->items[i]);
    shuffle(&c->facts);
    for (int i = 0; i < CLUSTER_PARTITIONS; i++)
        if (c->parts[i].events.count != 0)
            shuffle(&c->parts[i].events);
}

/* --- comparing --- */

static const char *json_of(struct hub_json *json)
{
    struct hub_buf text;
    hub_buf_init(&text, 1 << 24, false);
    hub_json_write(&text, json);
    const char *copy = hub_arena_printf(&arena, "%.*s", (int)text.len, (const char *)text.ptr);
    hub_buf_deinit(&text);
    return copy;
}

static bool same_chart(void *ctx, const struct hub_chart *chart)
{
    struct cluster *c = ctx;
    for (size_t i = 0; i < chart->token_count; i++) {
        struct hub_chart other;
        assert_int_equal(hub_timelines_chart(c->set, &arena, chart->tokens[i], &other, NULL), HUB_OK);
        assert_string_equal(json_of(hub_chart_json(&arena, chart)), json_of(hub_chart_json(&arena, &other)));
    }
    return true;
}

static bool count_chart(void *ctx, const struct hub_chart *chart)
{
    (void)chart;
    ++*(size_t *)ctx;
    return true;
}

static void show_difference(struct cluster *c, struct whole *whole)
{
    for (unsigned family = 0; hub_timeline_families()[family] != NULL; family++) {
        struct hub_kv_iter *iter = hub_kv_iter_new(whole->kv, family, HUB_SPAN_NONE);
        while (strcmp(hub_timeline_families()[family], "tokens") == 0 || strcmp(hub_timeline_families()[family], "events") == 0 ||
               strcmp(hub_timeline_families()[family], "revisions") == 0) {
            bool found = false;
            if (!hub_kv_iter_next(iter))
                break;
            for (int i = 0; i < CLUSTER_PARTITIONS; i++) {
                struct hub_kv_value value;
                if (hub_kv_get(c->parts[i].kv, family, hub_kv_iter_key(iter), &value, NULL) != HUB_OK)
                    continue;
                if (hub_span_equal(value.bytes, hub_kv_iter_value(iter)))
                    found = true;
                else
                    print_error("part %d: %.*s\n", i, (int)value.bytes.len, (const char *)value.bytes.ptr);
                hub_kv_value_free(&value);
            }
            if (!found)
                print_error("%s %.*s: %.*s\n", hub_timeline_families()[family], (int)hub_kv_iter_key(iter).len,
                            (const char *)hub_kv_iter_key(iter).ptr, (int)hub_kv_iter_value(iter).len, (const char *)hub_kv_iter_value(iter).ptr);
        }
        hub_kv_iter_free(iter);
    }
}

static void compare(struct cluster *c, struct whole *whole)
{
    uint8_t digest[32];
    size_t charts = 0, of_whole = 0;
    assert_int_equal(hub_timelines_state_digest(c->set, digest, NULL), HUB_OK);
    if (memcmp(digest, whole->digest, sizeof digest) != 0)
        show_difference(c, whole);
    assert_memory_equal(digest, whole->digest, sizeof digest);
    assert_int_equal(hub_timeline_each_chart(whole->timeline, same_chart, c, NULL), HUB_OK);
    assert_int_equal(hub_timeline_each_chart(whole->timeline, count_chart, &of_whole, NULL), HUB_OK);
    assert_int_equal(hub_timelines_each_chart(c->set, count_chart, &charts, NULL), HUB_OK);
    assert_int_equal(charts, of_whole);
}

/* The topic alone gives it all back. */
static void compare_topic(struct cluster *c)
{
    for (int32_t i = 0; i < CLUSTER_PARTITIONS; i++) {
        struct cluster_part *part = &c->parts[i];
        uint8_t before[32], after[32];
        assert_int_equal(hub_timeline_state_digest(part->timeline, before, NULL), HUB_OK);
        take_over(c, i, cluster_kv());
        assert_int_equal(hub_timeline_state_digest(part->timeline, after, NULL), HUB_OK);
        assert_memory_equal(before, after, sizeof before);
    }
}

static void parts_of_any_order_add_up_to_the_whole(void **state)
{
    static struct events events;
    (void)state;
    const char *more = getenv("CHARTLINE_ROUNDS");
    for (unsigned round = 0; round < (more != NULL ? (unsigned)atoi(more) : ROUNDS); round++) {
        struct cluster c = {.waits = round % 2 != 0};
        struct whole whole;
        hub_arena_reset(&arena);
        seed = round + 1;
        make_events(&events);
        apply_whole(&whole, &events);
        cluster_open(&c, &arena, &OPTIONS);
        feed(&c, &events);
        if (c.waits) /* events come behind their facts, some of them a little earlier */
            for (size_t i = 0; i < c.facts.count / 2; i++)
                add_next(&c);
        run(&c, round % 4 < 2);
        compare(&c, &whole);
        compare_topic(&c);
        compare(&c, &whole);
        cluster_close(&c);
        close_whole(&whole);
    }
}

/* --- one store for readers --- */

static void a_part_that_is_elsewhere_is_said_to_be(void **state)
{
    (void)state;
    struct cluster c = {0};
    struct hub_chart chart;
    uint8_t digest[32];
    size_t count = 0;
    const char *a = of_subject(0), *b = of_subject(1), *unknown = "1unknown";
    cluster_open(&c, &arena, &OPTIONS);
    forward(&c, event_of("e1", a, hub_arena_printf(&arena, "link:%s,%s", a, b), 1, some_entries("e1", 1)));
    forward(&c, event_of("e2", b, "", 1, some_entries("e2", 1)));
    run(&c, true);
    assert_int_equal(hub_timelines_chart(c.set, &arena, hub_span_str(a), &chart, NULL), HUB_OK);
    assert_int_equal(chart.entry_count, 2);
    assert_int_equal(hub_timelines_chart(c.set, &arena, hub_span_str(unknown), &chart, NULL), HUB_NOT_FOUND);
    assert_int_equal(hub_timelines_each_chart(c.set, count_chart, &count, NULL), HUB_OK);
    assert_int_equal(count, 1);
    hub_timelines_remove(c.set, 1);
    struct hub_error err = {0};
    assert_int_equal(hub_timelines_chart(c.set, &arena, hub_span_str(b), &chart, &err), HUB_ELSEWHERE);
    assert_true(strlen(err.mend) != 0);
    assert_int_equal(hub_timelines_chart(c.set, &arena, hub_span_str(a), &chart, NULL), HUB_ELSEWHERE); /* never half a chart */
    assert_int_equal(hub_timelines_each_entry(c.set, hub_span_str(b), NULL, NULL, NULL), HUB_ELSEWHERE);
    assert_int_equal(hub_timelines_each_chart(c.set, count_chart, &count, NULL), HUB_ELSEWHERE);
    assert_int_equal(count, 1); /* and none of it */
    assert_int_equal(hub_timelines_state_digest(c.set, digest, NULL), HUB_OK);
    assert_int_equal(hub_timelines_count(c.set), CLUSTER_PARTITIONS - 1);
    hub_timelines_add(c.set, 1, c.parts[1].timeline);
    assert_int_equal(hub_timelines_chart(c.set, &arena, hub_span_str(a), &chart, NULL), HUB_OK);
    cluster_close(&c);
}

struct reader {
    struct hub_timelines *set;
    const char *token;
    atomic_bool stop;
    atomic_uint whole, elsewhere, wrong;
};

static bool count_entry(void *ctx, struct hub_span key, struct hub_span record)
{
    (void)key;
    (void)record;
    ++*(size_t *)ctx;
    return true;
}

static void *read_on(void *ctx)
{
    struct reader *r = ctx;
    struct hub_arena own;
    hub_arena_init(&own, 1 << 20);
    while (!atomic_load(&r->stop)) {
        struct hub_chart chart;
        size_t entries = 0;
        hub_arena_reset(&own);
        enum hub_result result = hub_timelines_chart(r->set, &own, hub_span_str(r->token), &chart, NULL);
        if (result == HUB_OK)
            result = hub_timelines_each_entry(r->set, hub_span_str(r->token), count_entry, &entries, NULL);
        if (result == HUB_OK && chart.entry_count == 3 && entries == 3)
            atomic_fetch_add(&r->whole, 1);
        else
            atomic_fetch_add(result == HUB_ELSEWHERE ? &r->elsewhere : &r->wrong, 1);
    }
    hub_arena_deinit(&own);
    return NULL;
}

static void partitions_come_and_go_while_readers_read(void **state)
{
    (void)state;
    struct cluster c = {0};
    enum { READERS = 2, WANTED = 20 };
    pthread_t threads[READERS];
    const char *s = of_subject(0);
    cluster_open(&c, &arena, &OPTIONS);
    seed = 1;
    const struct entry_spec plain = {.type = "Observation", .kind = "observation", .facts = "f", .class_ = 1, .effective = 1, .version = -1};
    const char *all = "";
    for (int i = 0; i < 3; i++) {
        struct entry_spec one = plain;
        one.id = hub_arena_printf(&arena, "r%d", i);
        all = hub_arena_printf(&arena, "%s%s%s", all, i != 0 ? "," : "", make_entry(&arena, &one));
    }
    forward(&c, event_of("e1", s, "", 1, all));
    run(&c, true);
    struct reader reader = {.set = c.set, .token = s};
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &reader), 0);
    for (unsigned turn = 1; atomic_load(&reader.whole) < WANTED || atomic_load(&reader.elsewhere) < WANTED; turn++) {
        const unsigned before = atomic_load(&reader.whole), away = atomic_load(&reader.elsewhere);
        part_close(&c, 0); /* the store is closed at once: nobody may be at it */
        while (atomic_load(&reader.elsewhere) == away)
            (void)sched_yield();
        part_open(&c, 0);
        while (atomic_load(&reader.whole) == before)
            (void)sched_yield();
    }
    atomic_store(&reader.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&reader.wrong), 0);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(parts_of_any_order_add_up_to_the_whole),
        TEST(a_part_that_is_elsewhere_is_said_to_be),
        TEST(partitions_come_and_go_while_readers_read),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
