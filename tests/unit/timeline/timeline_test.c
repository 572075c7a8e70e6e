#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/identity/identity.h"
#include "src/timeline/timeline.h"
#include "tests/unit/timeline/make_event.h"

static struct hub_arena arena;
static const struct hub_timeline_options OPTIONS = {.chart_tokens = 100};

struct store {
    struct hub_kv *kv;
    struct hub_timeline *timeline;
};

static struct store open_store(const struct hub_timeline_options *options)
{
    struct store store = {NULL, NULL};
    const struct hub_kv_options kv = {.families = hub_timeline_families(), .create = true};
    assert_int_equal(hub_kv_open_memory(&kv, &store.kv), HUB_OK);
    assert_int_equal(hub_timeline_open(store.kv, options, &store.timeline, NULL), HUB_OK);
    return store;
}

static void close_store(struct store *store)
{
    hub_timeline_close(store->timeline);
    hub_kv_close(store->kv);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_arena_init(&arena, 256 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

static void apply(struct store *store, struct hub_span event)
{
    struct hub_error err = {.what = ""};
    enum hub_result result = hub_timeline_apply(store->timeline, event, NULL, &err);
    if (result != HUB_OK)
        print_error("%s\n", err.what);
    assert_int_equal(result, HUB_OK);
}

static void flush(struct store *store, uint64_t position)
{
    assert_int_equal(hub_timeline_flush(store->timeline, position, false, NULL), HUB_OK);
}

static const char *digest_of(struct store *store)
{
    uint8_t digest[32];
    char *text = hub_arena_bytes(&arena, 65);
    assert_int_equal(hub_timeline_state_digest(store->timeline, digest, NULL), HUB_OK);
    (void)hub_encode(HUB_HEX, hub_span_of(digest, 32), text, 65);
    return text;
}

static struct hub_chart chart_of(struct store *store, const char *token)
{
    struct hub_chart chart;
    assert_int_equal(hub_timeline_chart(store->timeline, &arena, hub_span_str(token), &chart, NULL), HUB_OK);
    return chart;
}

static bool take_record(void *ctx, struct hub_span key, struct hub_span record)
{
    (void)key;
    struct hub_json **last = ctx;
    struct hub_json *json = NULL;
    assert_int_equal(hub_json_parse(&arena, record, &json, NULL), HUB_OK);
    if (*last != NULL)
        json->next = *last; /* chained through the root's unused sibling */
    *last = json;
    return true;
}

static struct hub_json *records_of(struct store *store, const char *token)
{
    struct hub_json *list = NULL;
    assert_int_equal(hub_timeline_each_entry(store->timeline, hub_span_str(token), take_record, &list, NULL),
                     HUB_OK);
    return list;
}

static size_t record_count(struct store *store, const char *token)
{
    size_t count = 0;
    for (struct hub_json *json = records_of(store, token); json != NULL; json = json->next)
        count++;
    return count;
}

static const char *observation(const char *id, const char *fact, int effective)
{
    const struct entry_spec spec = {.type = "Observation",
                                    .id = id,
                                    .kind = "observation",
                                    .facts = fact,
                                    .class_ = 1,
                                    .effective = effective,
                                    .version = -1,
                                    .body = ",\"status\":\"final\""};
    return make_entry(&arena, &spec);
}

/* An event of one observation, its subject stating IDENTITY. */
static struct hub_span event(const char *id, const char *subject, const char *identity, int time)
{
    const struct event_spec spec = {.id = id,
                                    .subject = subject,
                                    .identity = identity,
                                    .time = time,
                                    .recorded = time + 1,
                                    .entries = observation(hub_arena_printf(&arena, "r%s", id),
                                                           hub_arena_printf(&arena, "f%s", id), time)};
    return make_event(&arena, &spec);
}

/* --- records --- */

static void timeline_keeps_an_entry_that_opens_by_itself(void **state)
{
    (void)state;
    struct store store = open_store(&OPTIONS);
    apply(&store, event("e1", "1a", "same:1a", 5));
    assert_int_equal(record_count(&store, "1a"), 0); /* readers see what was flushed */
    flush(&store, 7);
    assert_int_equal(hub_timeline_position(store.timeline), 7);
    struct hub_json *record = records_of(&store, "1a");
    assert_non_null(record);
    static const char *const want[][2] = {{"id", "re1"},
                                          {"subject", "1a"},
                                          {"kind", "observation"},
                                          {"event", "e1"},
                                          {"seal", "none"},
                                          {"source", "/feeds/one"},
                                          {"trigger", "ADT^A08"},
                                          {"effective", "2026-05-01T00:05:00.000000Z"},
                                          {"time", "2026-05-01T00:05:00.000000Z"},
                                          {"messagetime", "2026-05-01T00:05:00.000000Z"},
                                          {"recorded", "2026-05-01T00:06:00.000000Z"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(hub_span_is(hub_json_get_span(record, want[i][0]), want[i][1]));
    assert_true(hub_span_is(hub_json_span(hub_json_at(hub_json_get(record, "fact"), 0)), "fe1"));
    assert_true(hub_span_is(hub_json_get_span(hub_json_get(record, "resource"), "status"), "final"));
    struct hub_chart chart = chart_of(&store, "1a");
    assert_string_equal(chart.id, "1a");
    assert_int_equal(chart.entry_count, 1);
    assert_false(chart.test || chart.unidentified || chart.conflict);
    assert_int_equal(hub_timeline_chart(store.timeline, &arena, HUB_SPAN("1zz"), &chart, NULL),
                     HUB_NOT_FOUND);
    close_store(&store);
}

static void timeline_keeps_what_entries_refer_to_and_nothing_else(void **state)
{
    (void)state;
    struct store store = open_store(&OPTIONS);
    const struct entry_spec report = {.type = "DiagnosticReport",
                                      .id = "d1",
                                      .kind = "report",
                                      .facts = "f",
                                      .class_ = 1,
                                      .effective = 1,
                                      .version = -1,
                                      .body = ",\"performer\":[{\"reference\":\"PractitionerRole/pr1\"}]"};
    const char *entries = hub_arena_printf(
        &arena,
        "%s,{\"resource\":{\"resourceType\":\"PractitionerRole\",\"id\":\"pr1\",\"practitioner\":{"
        "\"reference\":\"Practitioner/p1\"}}},"
        "{\"resource\":{\"resourceType\":\"Practitioner\",\"id\":\"p1\",\"name\":[{\"family\":\"Quist\"}]}},"
        "{\"resource\":{\"resourceType\":\"Practitioner\",\"id\":\"p2\"}},{\"resource\":{\"resourceType\":"
        "\"Binary\",\"id\":\"b1\",\"data\":\"AAAA\"}}",
        make_entry(&arena, &report));
    const struct event_spec spec = {
        .id = "e1", .subject = "1a", .identity = "same:1a", .time = 1, .recorded = 2, .entries = entries};
    apply(&store, make_event(&arena, &spec));
    flush(&store, 1);
    assert_int_equal(record_count(&store, "1a"), 3);
    for (struct hub_json *r = records_of(&store, "1a"); r != NULL; r = r->next) {
        struct hub_span id = hub_json_get_span(r, "id");
        assert_true(hub_span_is(hub_json_get_span(r, "kind"), hub_span_is(id, "d1") ? "report" : "support"));
        assert_true(hub_span_is(id, "d1") || hub_span_is(id, "pr1") || hub_span_is(id, "p1"));
    }
    assert_int_equal(chart_of(&store, "1a").entry_count, 1);
    close_store(&store);
}

static void timeline_refuses_what_is_no_event_and_stays_as_it_was(void **state)
{
    (void)state;
    struct store store = open_store(&OPTIONS);
    apply(&store, event("e1", "1a", "same:1a", 5));
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"id\":\"e\"}",
        "{\"id\":\"e\",\"subject\":\"1a\"}",
        "{\"id\":\"e/1\",\"subject\":\"1a\",\"recordedtime\":\"2026-05-01T00:05:00Z\"}",
        "{\"id\":\"e\",\"subject\":\"1a\",\"recordedtime\":\"2026-05-01T00:05:00Z\",\"identity\":\"marry:1a,"
        "1b\"}",
        "{\"id\":\"e\",\"subject\":\"1a\",\"recordedtime\":\"2026-05-01T00:05:00Z\",\"identity\":\"same:1 "
        "a\"}",
        "{\"id\":\"e\",\"subject\":\"1a\",\"recordedtime\":\"2026-05-01T00:05:00Z\",\"data\":{\"entry\":[{"
        "\"resource\":{\"resourceType\":\"Observation\","
        "\"extension\":[{\"url\":\"urn:chartline:entry\"}]}}]}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(hub_timeline_apply(store.timeline, hub_span_str(bad[i]), NULL, NULL), HUB_SYNTAX);
    flush(&store, 1);
    struct store clean = open_store(&OPTIONS);
    apply(&clean, event("e1", "1a", "same:1a", 5));
    flush(&clean, 1);
    assert_string_equal(digest_of(&store), digest_of(&clean));
    close_store(&clean);
    close_store(&store);
}

static void timeline_marks_test_and_unidentified_charts(void **state)
{
    (void)state;
    struct store store = open_store(&OPTIONS);
    const struct entry_spec test = {.type = "Observation",
                                    .id = "o1",
                                    .kind = "observation",
                                    .facts = "f",
                                    .class_ = 1,
                                    .effective = 1,
                                    .version = -1,
                                    .body = ",\"meta\":{\"security\":[{\"code\":\"HTEST\"}]}"};
    const struct event_spec spec = {.id = "e1",
                                    .subject = "1a",
                                    .identity = "same:1a",
                                    .time = 1,
                                    .recorded = 2,
                                    .entries = make_entry(&arena, &test)};
    apply(&store, make_event(&arena, &spec));
    apply(&store, event("e2", "2x", "", 3));
    apply(&store, event("e3", "3feed", "", 3));
    flush(&store, 1);
    assert_true(chart_of(&store, "1a").test);
    assert_false(chart_of(&store, "1a").unidentified);
    assert_true(chart_of(&store, "2x").unidentified);
    assert_false(chart_of(&store, "2x").test);
    struct hub_chart none;
    assert_int_equal(hub_timeline_chart(store.timeline, &arena, HUB_SPAN("3feed"), &none, NULL),
                     HUB_NOT_FOUND);
    assert_int_equal(record_count(&store, "3feed"), 0);
    const struct event_spec link = {
        .id = "e4", .subject = "1a", .identity = "manual:1a,2x", .time = 4, .recorded = 5};
    apply(&store, make_event(&arena, &link));
    flush(&store, 2);
    assert_false(chart_of(&store, "2x").unidentified); /* a steward said who it is */
    close_store(&store);
}

/* --- identity --- */

static bool count_chart(void *ctx, const struct hub_chart *chart)
{
    size_t *counts = ctx;
    counts[0]++;
    counts[1] += chart->entry_count;
    return true;
}

static void timeline_merge_moves_no_entry_and_is_undone_exactly(void **state)
{
    (void)state;
    struct store store = open_store(&OPTIONS);
    apply(&store, event("e1", "1b", "same:1b", 1));
    apply(&store, event("e2", "1a", "same:1a", 2));
    flush(&store, 1);
    size_t counts[2] = {0, 0};
    assert_int_equal(hub_timeline_each_chart(store.timeline, count_chart, counts, NULL), HUB_OK);
    assert_int_equal(counts[0], 2);
    const struct event_spec merge = {
        .id = "e3", .subject = "1b", .identity = "same:1b;merge:1b,1a", .time = 3, .recorded = 4};
    apply(&store, make_event(&arena, &merge));
    flush(&store, 2);
    struct hub_chart chart = chart_of(&store, "1a");
    assert_string_equal(chart.id, "1a");
    assert_int_equal(chart.token_count, 2);
    assert_int_equal(chart.entry_count, 2);
    assert_true(hub_span_is(chart.survivor, "1b"));
    assert_int_equal(chart.retired_count, 1);
    assert_true(hub_span_is(chart.retired[0], "1a"));
    assert_int_equal(record_count(&store, "1a"), 1);
    assert_int_equal(record_count(&store, "1b"), 1);
    memset(counts, 0, sizeof counts);
    assert_int_equal(hub_timeline_each_chart(store.timeline, count_chart, counts, NULL), HUB_OK);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 2);
    const struct event_spec undo = {
        .id = "e4", .subject = "1b", .identity = "unlink:1a,1b", .time = 5, .recorded = 6};
    apply(&store, make_event(&arena, &undo));
    flush(&store, 3);
    chart = chart_of(&store, "1a");
    assert_int_equal(chart.token_count, 1);
    assert_int_equal(chart.retired_count, 0);
    assert_string_equal(chart_of(&store, "1b").id, "1b");
    close_store(&store);
}

static void timeline_recomputes_charts_when_the_limits_change(void **state)
{
    (void)state;
    struct store store = open_store(&OPTIONS);
    const struct event_spec one = {
        .id = "e1", .subject = "1a", .identity = "link:1a,1b", .time = 1, .recorded = 2};
    const struct event_spec two = {
        .id = "e2", .subject = "1a", .identity = "link:1b,1c", .time = 3, .recorded = 4};
    apply(&store, make_event(&arena, &one));
    apply(&store, make_event(&arena, &two));
    flush(&store, 1);
    assert_int_equal(chart_of(&store, "1c").token_count, 3);
    hub_timeline_close(store.timeline);
    const struct hub_timeline_options small = {.chart_tokens = 2};
    assert_int_equal(hub_timeline_open(store.kv, &small, &store.timeline, NULL), HUB_OK);
    assert_int_equal(hub_timeline_position(store.timeline), 1);
    assert_int_equal(chart_of(&store, "1c").token_count, 2);
    assert_int_equal(chart_of(&store, "1a").token_count, 1);
    struct store fresh = open_store(&small);
    apply(&fresh, make_event(&arena, &two));
    apply(&fresh, make_event(&arena, &one));
    flush(&fresh, 1);
    assert_string_equal(digest_of(&store), digest_of(&fresh));
    close_store(&fresh);
    close_store(&store);
}

/* --- one state whatever the order --- */

static uint32_t seed = 7;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % sides;
}

static const char *random_identity(const char *subject)
{
    static const char *const tokens[] = {"1a~m", "1b~m", "1c~m", "1d~n", "1e", "1f", "1g"};
    static const char *const kinds[] = {"merge", "link", "unlink", "manual", "retract", "match"};
    const char *other = tokens[roll(7)];
    switch (roll(5)) {
    case 0:
        return hub_arena_printf(&arena, "same:%s", subject);
    case 1:
    case 2:
        return hub_arena_printf(&arena, "same:%s,%s,%s", subject, other, tokens[roll(7)]);
    case 3:
        if (strncmp(other, subject, 2) == 0)
            return "";
        return hub_arena_printf(&arena, "same:%s;%s:%s,%s", subject, kinds[roll(6)], subject, other);
    default:
        return "";
    }
}

enum { EVENTS = 40 };

/* Some ids come with two or three different values. */
static void random_events(struct hub_span events[EVENTS])
{
    static const char *const subjects[] = {"1a~m", "1b~m", "1c~m", "1d~n", "1e"};
    static const char *const sources[] = {"/feeds/one", "/feeds/two"};
    for (unsigned i = 0; i < EVENTS; i++) {
        const char *subject = subjects[roll(5)];
        const char *id = hub_arena_printf(&arena, "e%02u", roll(8) == 0 ? roll(EVENTS) : i);
        const char *bare = hub_arena_printf(&arena, "%.2s", subject);
        struct event_spec spec = {.id = id,
                                  .subject = bare,
                                  .identity = random_identity(subject),
                                  .source = sources[roll(2)],
                                  .time = (int)roll(60),
                                  .recorded = (int)roll(60)};
        const char *entries = "";
        for (unsigned n = roll(3); n > 0; n--)
            entries = hub_arena_printf(&arena, "%s%s%s", entries, entries[0] != '\0' ? "," : "",
                                       observation(hub_arena_printf(&arena, "r%s-%u", id, n),
                                                   hub_arena_printf(&arena, "f%u", roll(9)), (int)roll(60)));
        spec.entries = entries;
        events[i] = make_event(&arena, &spec);
    }
}

static const char *state_of(const struct hub_timeline_options *options, const struct hub_span *events,
                            size_t count, bool flush_often)
{
    struct store store = open_store(options);
    for (size_t i = 0; i < count; i++) {
        apply(&store, events[i]);
        if (flush_often && roll(4) == 0)
            flush(&store, i + 1);
    }
    flush(&store, count);
    const char *digest = digest_of(&store);
    close_store(&store);
    return digest;
}

static void timeline_state_is_the_same_in_every_order(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        hub_arena_reset(&arena);
        const struct hub_timeline_options options = {.chart_tokens = 2 + roll(6),
                                                     .inverse_merge_reject = roll(2) == 0};
        struct hub_span events[EVENTS * 2];
        random_events(events);
        const char *want = state_of(&options, events, EVENTS, false);
        for (unsigned again = 0; again < 50; again++) {
            size_t count = EVENTS;
            for (size_t extra = roll(20); extra > 0; extra--)
                events[count++] = events[roll(EVENTS)];
            for (size_t i = count; i > 1; i--) {
                size_t j = roll((uint32_t)i);
                struct hub_span swap = events[i - 1];
                events[i - 1] = events[j];
                events[j] = swap;
            }
            assert_string_equal(state_of(&options, events, count, true), want);
            /* keep one of each for the next round */
            size_t kept = 0;
            for (size_t i = 0; i < count; i++) {
                size_t k = 0;
                while (k < kept && events[k].ptr != events[i].ptr)
                    k++;
                if (k == kept)
                    events[kept++] = events[i];
            }
            assert_int_equal(kept, EVENTS);
        }
    }
}

static void timeline_charts_are_those_of_the_pure_function(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        hub_arena_reset(&arena);
        const struct hub_timeline_options options = {.chart_tokens = 2 + roll(6)};
        struct hub_identity_options pure = {.chart_tokens = options.chart_tokens};
        struct store store = open_store(&options);
        struct hub_identity_statement facts[EVENTS * 4];
        size_t count = 0;
        for (unsigned i = 0; i < EVENTS; i++) {
            const char *identity = random_identity("1a~m");
            struct event_spec spec = {.id = hub_arena_printf(&arena, "e%02u", i),
                                      .subject = "1a",
                                      .identity = identity,
                                      .time = (int)roll(60),
                                      .recorded = 60};
            apply(&store, make_event(&arena, &spec));
            struct hub_identity_statement *parsed = NULL;
            size_t n = 0;
            assert_int_equal(hub_identity_parse(&arena, hub_span_str(identity), &parsed, &n, NULL), HUB_OK);
            for (size_t k = 0; k < n; k++) {
                parsed[k].source = HUB_SPAN("/feeds/one");
                parsed[k].order.event = hub_span_str(spec.id);
                parsed[k].order.time_us = parsed[k].order.message_us = spec.time;
                facts[count++] = parsed[k];
            }
        }
        flush(&store, 1);
        struct hub_identity_charts charts;
        assert_int_equal(hub_identity_charts(&arena, facts, count, &pure, &charts), HUB_OK);
        for (size_t c = 0; c < charts.count; c++) {
            for (size_t i = 0; i < charts.charts[c].count; i++) {
                const char *token = (const char *)hub_arena_copy(&arena, charts.charts[c].tokens[i]).ptr;
                struct hub_chart chart = chart_of(&store, token);
                assert_true(hub_span_is(charts.charts[c].id, chart.id));
                assert_int_equal(chart.token_count, charts.charts[c].count);
                assert_true(hub_span_equal(chart.survivor, charts.charts[c].survivor));
                assert_int_equal(chart.retired_count, charts.charts[c].retired_count);
                assert_int_equal(chart.conflict, charts.charts[c].conflict);
            }
        }
        close_store(&store);
    }
}

static void timeline_of_two_values_of_one_event_the_smallest_stands(void **state)
{
    (void)state;
    struct hub_span early = event("e1", "1a", "same:1a,1b", 5);
    const struct event_spec spec = {.id = "e1",
                                    .subject = "1c",
                                    .identity = "same:1c",
                                    .time = 5,
                                    .recorded = 9,
                                    .entries = observation("rx", "fx", 5)};
    struct hub_span late = make_event(&arena, &spec);
    struct hub_span both[] = {early, late};
    struct hub_span turned[] = {late, early};
    const char *want = state_of(&OPTIONS, both, 1, false);
    assert_string_equal(state_of(&OPTIONS, both, 2, false), want);
    assert_string_equal(state_of(&OPTIONS, turned, 2, false), want);
    assert_string_not_equal(state_of(&OPTIONS, turned, 1, false), want);
}

static void timeline_digests_of_partitions_add_up(void **state)
{
    (void)state;
    struct hub_span one = event("e1", "1a", "same:1a", 1);
    struct hub_span two = event("e2", "1b", "same:1b", 2);
    struct store stores[3];
    uint8_t digests[3][32];
    for (size_t i = 0; i < 3; i++) {
        stores[i] = open_store(&OPTIONS);
        if (i != 1)
            apply(&stores[i], one);
        if (i != 0)
            apply(&stores[i], two);
        flush(&stores[i], 1);
        assert_int_equal(hub_timeline_state_digest(stores[i].timeline, digests[i], NULL), HUB_OK);
        close_store(&stores[i]);
    }
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        carry += (unsigned)digests[0][i] + digests[1][i];
        assert_int_equal(digests[2][i], (uint8_t)carry);
        carry >>= 8;
    }
}

/* Whatever allocation fails: the result says so, and applying again from the position gives the same state.
 */
static void timeline_survives_every_failing_allocation(void **state)
{
    (void)state;
    const struct event_spec merge = {
        .id = "e3", .subject = "1a", .identity = "same:1a;merge:1a,1b", .time = 3, .recorded = 4};
    const struct hub_span events[] = {event("e1", "1a", "same:1a,1e", 1), event("e2", "1b", "same:1b", 2),
                                      make_event(&arena, &merge)};
    const char *want = state_of(&OPTIONS, events, 3, false);
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct store store = open_store(&OPTIONS);
        enum hub_result result = HUB_OK;
        (void)hub_mem_fail_nth(nth, 0);
        for (size_t i = 0; i < 3 && result == HUB_OK; i++)
            result = hub_timeline_apply(store.timeline, events[i], NULL, NULL);
        if (result == HUB_OK)
            result = hub_timeline_flush(store.timeline, 3, false, NULL);
        (void)hub_mem_fail_nth(0, 0);
        failed = result != HUB_OK;
        if (failed) {
            assert_int_equal(result, HUB_NO_MEMORY);
            hub_timeline_close(store.timeline);
            assert_int_equal(hub_timeline_open(store.kv, &OPTIONS, &store.timeline, NULL), HUB_OK);
            assert_int_equal(hub_timeline_position(store.timeline), 0);
            for (size_t i = 0; i < 3; i++)
                apply(&store, events[i]);
            flush(&store, 3);
        }
        assert_string_equal(digest_of(&store), want);
        close_store(&store);
        assert_true(nth < 1000);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(timeline_keeps_an_entry_that_opens_by_itself),
        TEST(timeline_keeps_what_entries_refer_to_and_nothing_else),
        TEST(timeline_refuses_what_is_no_event_and_stays_as_it_was),
        TEST(timeline_marks_test_and_unidentified_charts),
        TEST(timeline_merge_moves_no_entry_and_is_undone_exactly),
        TEST(timeline_recomputes_charts_when_the_limits_change),
        TEST(timeline_state_is_the_same_in_every_order),
        TEST(timeline_charts_are_those_of_the_pure_function),
        TEST(timeline_of_two_values_of_one_event_the_smallest_stands),
        TEST(timeline_digests_of_partitions_add_up),
        TEST(timeline_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
