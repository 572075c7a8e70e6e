/* The timeline while its store fails or memory runs out at every possible place: after a failure it goes on from its
 * position, in the same process or after a restart, and ends up where it would have been; who reads meanwhile gets
 * the whole chart or an error, never a part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/buf.h"
#include "src/crypto/crypto.h"
#include "src/query/query.h"
#include "src/timeline/timeline.h"
#include "tests/fault/fault.h"
#include "tests/unit/timeline/make_event.h"

enum { EVENTS_MAX = 32, FLUSH_EVERY = 3, RECORDS_MAX = 256, ATTEMPTS = 3 };

struct fixture {
    struct hub_arena arena; /* of the events */
    struct hub_span events[EVENTS_MAX];
    size_t count;
    uint8_t expected[32];
    struct hub_kv *kv;
    enum hub_result result;
    bool retries; /* the applier goes on in the same process */
    unsigned retried;
    /* reading */
    struct hub_timeline *timeline;
    struct hub_arena reading;
    uint8_t digest[32], content[32];
    struct hub_json *records[RECORDS_MAX];
    size_t record_count, charts;
};

static const struct hub_timeline_options options = {.chart_tokens = 100};

/* --- events --- */

static void add(struct fixture *f, struct event_spec spec)
{
    assert_true(f->count < EVENTS_MAX);
    spec.recorded = spec.recorded != 0 ? spec.recorded : spec.time + 1;
    f->events[f->count++] = make_event(&f->arena, &spec);
}

static const char *observation(struct fixture *f, const char *id, const char *fact)
{
    return make_entry(&f->arena, &(struct entry_spec){.type = "Observation", .id = id, .kind = "observation", .facts = fact,
                                                      .class_ = 1, .effective = 1, .version = 1, .body = ",\"status\":\"final\""});
}

static const char *patient(struct fixture *f, const char *id, const char *fact)
{
    return make_entry(&f->arena, &(struct entry_spec){.type = "Patient", .id = id, .kind = "patient", .facts = fact, .class_ = 1,
                                                      .mode = "fold", .effective = 1, .version = 1});
}

/* Two persons and their versions, a merge and its end, one event in two values, one that is none. */
static void make_events(struct fixture *f)
{
    add(f, (struct event_spec){.id = "e1", .subject = "1a", .time = 1, .entries = patient(f, "p1", "pa")});
    add(f, (struct event_spec){.id = "e2", .subject = "1b", .time = 2, .entries = patient(f, "p2", "pb")});
    add(f, (struct event_spec){.id = "e3", .subject = "1a", .time = 3, .entries = observation(f, "o1", "f1")});
    add(f, (struct event_spec){.id = "e4", .subject = "1b", .time = 4, .entries = observation(f, "o2", "f2,f3")});
    add(f, (struct event_spec){.id = "e5", .subject = "1a", .identity = "merge:1a,1b", .time = 5, .entries = observation(f, "o3", "f1")});
    add(f, (struct event_spec){.id = "e3", .subject = "1a", .time = 2, .entries = observation(f, "o4", "f1")});
    f->events[f->count++] = HUB_SPAN("{\"no\":\"event\"}");
    add(f, (struct event_spec){.id = "e6", .subject = "1c", .identity = "same:1c,1d", .time = 6, .entries = patient(f, "p3", "pc")});
    add(f, (struct event_spec){.id = "e7", .subject = "1c", .identity = "link:1c,1a", .time = 7, .entries = observation(f, "o5", "f5")});
    add(f, (struct event_spec){.id = "e8", .subject = "1a", .identity = "unlink:1a,1b", .time = 8, .entries = observation(f, "o6", "f6")});
    add(f, (struct event_spec){.id = "e5", .subject = "1a", .identity = "merge:1b,1a", .time = 1, .entries = observation(f, "o7", "f1")});
    add(f, (struct event_spec){.id = "e2", .subject = "1b", .time = 2, .entries = patient(f, "p2", "pb")});
    add(f, (struct event_spec){.id = "e9", .subject = "1e", .time = 9, .entries = observation(f, "o8", "f8")});
}

/* --- applying --- */

static enum hub_result apply_from_position(struct fixture *f, struct hub_timeline *timeline)
{
    struct hub_error err = {0};
    for (size_t i = (size_t)hub_timeline_position(timeline); i < f->count; i++) {
        enum hub_result result = hub_timeline_apply(timeline, f->events[i], NULL, &err);
        if (result != HUB_OK && result != HUB_SYNTAX)
            return result;
        if ((i + 1) % FLUSH_EVERY == 0 || i + 1 == f->count)
            HUB_TRY(hub_timeline_flush(timeline, i + 1, false, &err));
    }
    return HUB_OK;
}

static void apply_all(void *ctx)
{
    struct fixture *f = ctx;
    struct hub_timeline *timeline = NULL;
    f->retried = 0;
    f->result = hub_timeline_open(f->kv, &options, &timeline, NULL);
    if (f->result != HUB_OK)
        return;
    f->result = apply_from_position(f, timeline);
    while (f->retries && f->result != HUB_OK && f->retried++ < ATTEMPTS) {
        hub_timeline_forget(timeline);
        f->result = apply_from_position(f, timeline);
    }
    hub_timeline_close(timeline);
}

static void expect_ok_or_trouble(enum hub_result result)
{
    if (result != HUB_OK && result != HUB_NO_MEMORY && result != HUB_IO)
        fail_msg("%s", hub_result_text(result));
}

static void new_store(struct fixture *f)
{
    const struct hub_kv_options kv = {.families = hub_timeline_families(), .create = true};
    hub_kv_close(f->kv);
    f->kv = NULL;
    assert_int_equal(hub_kv_open_memory(&kv, &f->kv), HUB_OK);
}

static void check_applied(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    struct hub_timeline *timeline = NULL;
    uint8_t digest[32];
    expect_ok_or_trouble(f->result);
    assert_true(failed || f->result == HUB_OK);
    assert_int_equal(hub_timeline_open(f->kv, &options, &timeline, NULL), HUB_OK);
    if (f->result == HUB_OK)
        assert_int_equal(hub_timeline_position(timeline), f->count);
    assert_int_equal(apply_from_position(f, timeline), HUB_OK);
    assert_int_equal(hub_timeline_state_digest(timeline, digest, NULL), HUB_OK);
    assert_memory_equal(digest, f->expected, sizeof digest);
    hub_timeline_close(timeline);
    new_store(f);
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    struct hub_timeline *timeline = NULL;
    memset(f, 0, sizeof *f);
    *state = f;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_arena_init(&f->arena, 16 << 20);
    make_events(f);
    new_store(f);
    assert_int_equal(hub_timeline_open(f->kv, &options, &timeline, NULL), HUB_OK);
    assert_int_equal(apply_from_position(f, timeline), HUB_OK);
    assert_int_equal(hub_timeline_state_digest(timeline, f->expected, NULL), HUB_OK);
    hub_timeline_close(timeline);
    new_store(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_kv_close(f->kv);
    hub_arena_deinit(&f->arena);
    return 0;
}

static void timeline_is_the_same_after_a_restart_whatever_allocation_failed(void **state)
{
    struct fixture *f = *state;
    assert_true(fault_each_allocation(false, apply_all, check_applied, f) > 100);
    assert_true(fault_each_allocation(true, apply_all, check_applied, f) > 100);
}

static void timeline_is_the_same_after_a_restart_whatever_the_store_refused(void **state)
{
    struct fixture *f = *state;
    for (unsigned what = HUB_KV_READS; what <= HUB_KV_WRITES; what++) {
        assert_true(fault_each_store(what, false, apply_all, check_applied, f) >= 5);
        assert_true(fault_each_store(what, true, apply_all, check_applied, f) >= 5);
    }
}

static void check_went_on(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    assert_true(f->retried == 0 ? f->result == HUB_OK || failed : f->result == HUB_OK && f->retried == 1);
    check_applied(ctx, failed);
}

static void timeline_goes_on_in_the_same_process_after_one_failure(void **state)
{
    struct fixture *f = *state;
    f->retries = true;
    assert_true(fault_each_allocation(false, apply_all, check_went_on, f) > 100);
    assert_true(fault_each_store(HUB_KV_READS, false, apply_all, check_went_on, f) > 5);
    assert_true(fault_each_store(HUB_KV_WRITES, false, apply_all, check_went_on, f) >= 5);
}

/* --- reading --- */

static bool take_record(void *ctx, struct hub_span key, struct hub_span record)
{
    struct fixture *f = ctx;
    (void)key;
    if (f->record_count == RECORDS_MAX)
        return false;
    f->result = hub_json_parse(&f->reading, record, &f->records[f->record_count], NULL);
    f->record_count += f->result == HUB_OK;
    return f->result == HUB_OK;
}

static enum hub_result read_tokens(struct fixture *f, const struct hub_chart *chart)
{
    f->record_count = 0;
    for (size_t i = 0; i < chart->token_count; i++) {
        struct hub_chart own;
        HUB_TRY(hub_timeline_chart(f->timeline, &f->reading, chart->tokens[i], &own, NULL));
        HUB_TRY(hub_timeline_each_entry(f->timeline, chart->tokens[i], take_record, f, NULL));
        HUB_TRY(f->result);
    }
    return HUB_OK;
}

static bool read_chart(void *ctx, const struct hub_chart *chart)
{
    struct fixture *f = ctx;
    struct hub_json *out = NULL;
    struct hub_query query = {.at_us = INT64_MAX, .known_at_us = INT64_MAX, .versions = true};
    f->charts++;
    f->result = read_tokens(f, chart);
    query.chart = f->result == HUB_OK ? hub_chart_json(&f->reading, chart) : NULL;
    if (f->result == HUB_OK && query.chart == NULL)
        f->result = HUB_NO_MEMORY;
    if (f->result == HUB_OK)
        f->result = hub_query_chart(&f->reading, hub_span_str(chart->id), f->records, f->record_count, &query, NULL, &out, NULL);
    if (f->result == HUB_OK)
        f->result = hub_query_content_digest(&f->reading, f->records, NULL, f->record_count, NULL, f->content, NULL);
    return f->result == HUB_OK;
}

static void read_all(void *ctx)
{
    struct fixture *f = ctx;
    f->charts = 0;
    f->result = HUB_OK;
    memset(f->content, 0, sizeof f->content);
    hub_arena_init(&f->reading, 16 << 20);
    enum hub_result result = hub_timeline_each_chart(f->timeline, read_chart, f, NULL);
    if (f->result == HUB_OK)
        f->result = result;
    if (f->result == HUB_OK)
        f->result = hub_timeline_state_digest(f->timeline, f->digest, NULL);
    hub_arena_deinit(&f->reading);
}

static uint8_t good_content[32];
static size_t good_charts;

static void check_read(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    assert_true(failed || f->result == HUB_OK);
    expect_ok_or_trouble(f->result);
    if (f->result != HUB_OK)
        return;
    assert_memory_equal(f->digest, f->expected, sizeof f->digest);
    assert_memory_equal(f->content, good_content, sizeof f->content);
    assert_int_equal(f->charts, good_charts);
}

static void timeline_is_read_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(hub_timeline_open(f->kv, &options, &f->timeline, NULL), HUB_OK);
    assert_int_equal(apply_from_position(f, f->timeline), HUB_OK);
    read_all(f);
    assert_int_equal(f->result, HUB_OK);
    memcpy(good_content, f->content, sizeof good_content);
    good_charts = f->charts;
    assert_true(good_charts >= 3);
    assert_true(fault_each_allocation(false, read_all, check_read, f) > 3);
    assert_true(fault_each_allocation(true, read_all, check_read, f) > 3);
    assert_true(fault_each_store(HUB_KV_READS, false, read_all, check_read, f) > 10);
    assert_true(fault_each_store(HUB_KV_READS, true, read_all, check_read, f) > 10);
    hub_timeline_close(f->timeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(timeline_is_the_same_after_a_restart_whatever_allocation_failed),
        TEST(timeline_is_the_same_after_a_restart_whatever_the_store_refused),
        TEST(timeline_goes_on_in_the_same_process_after_one_failure),
        TEST(timeline_is_read_whole_or_not_at_all),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
