/* What a partition tells its topic, and when; what it takes from topics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/timeline/cluster_run.h"

/* --- what a partition tells, and when --- */

static struct hub_span last_of(const struct topic *topic, const char *key)
{
    for (size_t i = topic->count; i > 0; i--) {
        if (hub_span_is(topic->records[i - 1].key, key))
            return topic->records[i - 1].value;
    }
    fail_msg("no record %s", key);
    return HUB_SPAN_NONE;
}

static void nothing_is_written_that_was_not_settled(void **state)
{
    (void)state;
    struct cluster c = {0};
    struct hub_chart chart;
    const char *subject = of_subject(0);
    cluster_open(&c, &arena, &OPTIONS);
    struct cluster_part *part = &c.parts[0];
    part->refuse = true;
    assert_int_equal(hub_timeline_apply(part->timeline, event_of("e1", subject, "", 1, some_entries("e1", 2)), NULL, NULL), HUB_OK);
    assert_int_equal(part_flush(part), HUB_DENIED);
    assert_int_equal(hub_timeline_chart(part->timeline, &arena, hub_span_str(subject), &chart, NULL), HUB_NOT_FOUND);
    assert_int_equal(part->topic.count, 0);
    hub_timeline_forget(part->timeline);
    part->sent.count = 0;
    part->refuse = false;
    assert_int_equal(hub_timeline_apply(part->timeline, event_of("e1", subject, "", 1, some_entries("e1", 2)), NULL, NULL), HUB_OK);
    assert_int_equal(part_flush(part), HUB_OK);
    assert_int_equal(part->settled, 1);
    assert_int_equal(hub_timeline_chart(part->timeline, &arena, hub_span_str(subject), &chart, NULL), HUB_OK);
    assert_int_equal(mark_of(part), part->topic.count);
    cluster_close(&c);
}

static void every_record_of_the_topic_has_its_key(void **state)
{
    (void)state;
    struct cluster c = {0};
    const char *s = of_subject(0);
    cluster_open(&c, &arena, &OPTIONS);
    struct cluster_part *part = &c.parts[0];
    seed = 1;
    assert_int_equal(hub_timeline_apply(part->timeline, event_of("e1", s, "", 5, some_entries("e1", 2)), NULL, NULL), HUB_OK);
    assert_int_equal(hub_timeline_apply(part->timeline, event_of("e2", s, "", 2, ""), NULL, NULL), HUB_OK);
    assert_int_equal(part_flush(part), HUB_OK);
    struct hub_span record = last_of(&part->topic, hub_arena_printf(&arena, "%s/re1.0", s));
    assert_non_null(memmem(record.ptr, record.len, "\"sha256\":\"", 10));
    record = last_of(&part->topic, hub_arena_printf(&arena, "%s/e2", s));
    assert_non_null(memmem(record.ptr, record.len, "\"kind\":\"event\"", 14));
    record = last_of(&part->topic, s);
    assert_non_null(memmem(record.ptr, record.len, "\"token\":\"", 9));
    /* another value of e1, earlier, with fewer entries, and of e2, with one */
    assert_int_equal(hub_timeline_apply(part->timeline, event_of("e1", s, "", 1, some_entries("e1", 1)), NULL, NULL), HUB_OK);
    assert_int_equal(hub_timeline_apply(part->timeline, event_of("e2", s, "", 1, some_entries("e2", 1)), NULL, NULL), HUB_OK);
    assert_int_equal(part_flush(part), HUB_OK);
    assert_null(last_of(&part->topic, hub_arena_printf(&arena, "%s/re1.1", s)).ptr);
    assert_null(last_of(&part->topic, hub_arena_printf(&arena, "%s/e2", s)).ptr);
    assert_non_null(last_of(&part->topic, hub_arena_printf(&arena, "%s/re1.0", s)).ptr);
    cluster_close(&c);
}

/* A transaction of which only a part came: each record of a few events left out in turn. The position is before them. */
static void a_torn_topic_is_made_whole(void **state)
{
    static struct events events;
    (void)state;
    seed = 11;
    make_events(&events);
    const char *s = of_subject(0);
    for (size_t missing = 0;; missing++) {
        struct cluster c = {0};
        uint8_t want[32], digest[32];
        const struct event_spec first = {.id = "e1", .subject = s, .time = 1, .recorded = 2, .entries = "" };
        struct event_spec spec = first;
        cluster_open(&c, &arena, &OPTIONS);
        struct cluster_part *part = &c.parts[0];
        seed = 3;
        spec.entries = some_entries("e1", 3);
        topic_add(&arena, &part->events, HUB_SPAN("e1"), make_event(&arena, &spec));
        topic_add(&arena, &part->events, HUB_SPAN("e2"), event_of("e2", s, "", 3, ""));
        spec.id = "e1.r1";
        spec.origin = spec.supersedes = "e1";
        spec.revision = "1";
        spec.recorded = 9;
        spec.entries = some_entries("e1.r1", 2);
        topic_add(&arena, &part->events, HUB_SPAN("e1.r1"), make_event(&arena, &spec));
        while (part->next < part->events.count)
            apply_next(part);
        assert_int_equal(part_flush(part), HUB_OK);
        assert_int_equal(hub_timeline_state_digest(part->timeline, want, NULL), HUB_OK);
        const bool done = missing == part->topic.count;
        if (!done)
            memmove(&part->topic.records[missing], &part->topic.records[missing + 1],
                    (part->topic.count - missing - 1) * sizeof *part->topic.records);
        part->topic.count -= !done;
        part_close(&c, 0);
        hub_kv_close(part->kv);
        part->kv = NULL;
        part_open(&c, 0);
        restore(part, &part->topic, 0);
        assert_int_equal(hub_timeline_restore_end(part->timeline, NULL), HUB_OK);
        part->next = 0;
        while (part->next < part->events.count)
            apply_next(part);
        assert_int_equal(part_flush(part), HUB_OK);
        assert_int_equal(hub_timeline_state_digest(part->timeline, digest, NULL), HUB_OK);
        assert_memory_equal(want, digest, sizeof digest);
        take_over(&c, 0, cluster_kv()); /* and the topic has it all now */
        assert_int_equal(hub_timeline_state_digest(part->timeline, digest, NULL), HUB_OK);
        assert_memory_equal(want, digest, sizeof digest);
        cluster_close(&c);
        if (done)
            break;
    }
}

static void an_event_waits_for_its_facts(void **state)
{
    (void)state;
    struct cluster c = {.waits = true};
    const char *s = of_subject(0);
    struct hub_chart chart;
    cluster_open(&c, &arena, &OPTIONS);
    forward(&c, event_of("e1", s, hub_arena_printf(&arena, "same:%s,1z;merge:%s,1y", s, s), 1, some_entries("e1", 1)));
    struct cluster_part *part = &c.parts[0];
    assert_int_equal(c.facts.count, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hub_timeline_apply(part->timeline, part->events.records[0].value, NULL, NULL), i == 2 ? HUB_OK : HUB_AGAIN);
        add_next(&c);
        flush_identity(&c);
    }
    assert_int_equal(part_flush(part), HUB_OK);
    assert_int_equal(hub_timelines_chart(c.set, &arena, hub_span_str(s), &chart, NULL), HUB_OK);
    assert_int_equal(chart.token_count, 3);
    assert_int_equal(chart.entry_count, 1);
    cluster_close(&c);
}

static void records_of_others_change_nothing(void **state)
{
    (void)state;
    static const char *const foreign[][2] = {{"", "{}"}, {"1a", "{}"}, {"1a", "no"}, {"1a/e1", "{}"}, {"1a/e1", "[1]"}, {"1a/", "{}"}, {"/e1", "{}"},
                                             {"1a/e1/2", "{}"}, {"1a/e1", "{\"event\":\"e1\",\"subject\":\"1b\",\"recorded\":\"x\",\"sha256\":\"x\"}"},
                                             {"1a/e1", "{\"event\":\"e2\",\"id\":\"e3\",\"subject\":\"1a\",\"recorded\":\"x\",\"sha256\":\"x\"}"}};
    struct cluster c = {0};
    uint8_t before[32], after[32];
    cluster_open(&c, &arena, &OPTIONS);
    struct hub_timeline *t = c.parts[0].timeline;
    assert_int_equal(hub_timeline_state_digest(t, before, NULL), HUB_OK);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_int_equal(hub_timeline_restore(t, hub_span_str(foreign[i][0]), hub_span_str(foreign[i][1]), NULL), HUB_SYNTAX);
        assert_int_equal(hub_timeline_add_identity(c.identity, hub_span_str(foreign[i][0]), hub_span_str(foreign[i][1]), NULL), HUB_SYNTAX);
    }
    assert_int_equal(hub_timeline_restore_end(t, NULL), HUB_OK);
    assert_int_equal(part_flush(&c.parts[0]), HUB_OK);
    assert_int_equal(hub_timeline_state_digest(t, after, NULL), HUB_OK);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(hub_timeline_apply(c.identity, event_of("e", "1a", "", 1, ""), NULL, NULL), HUB_USAGE);
    assert_int_equal(hub_timeline_add_identity(t, HUB_SPAN("e/0"), HUB_SPAN("{}"), NULL), HUB_USAGE);
    assert_int_equal(hub_timeline_set_chart(t, HUB_SPAN("1a"), HUB_SPAN("{}"), NULL), HUB_SYNTAX);
    assert_int_equal(hub_timeline_set_mark(t, "a/b", HUB_SPAN("1"), NULL), HUB_USAGE);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(nothing_is_written_that_was_not_settled),
        TEST(every_record_of_the_topic_has_its_key),
        TEST(a_torn_topic_is_made_whole),
        TEST(an_event_waits_for_its_facts),
        TEST(records_of_others_change_nothing),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
