/* Members of the group that keeps the timeline: whatever fails, comes late or moves, in the end they hold together what one store of
 * all events holds, and so does the topic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/pipeline/unify_harness.h"

static struct site site;

static int open_one(void **state)
{
    *state = &site;
    (void)setup(state);
    *state = &site;
    open_site(&site, 7);
    return 0;
}

static int close_one(void **state)
{
    close_site(*state);
    return teardown(state);
}

static void wait_while(bool (*is)(struct site *s), struct site *s)
{
    int64_t left_us = (int64_t)WAIT_MS * 1000;
    for (; is(s) && left_us > 0; left_us -= LOOK_US)
        (void)usleep(LOOK_US);
    if (left_us <= 0)
        show(s);
    assert_true(left_us > 0);
}

static struct hub_unify_stats stats_of(struct site *s, size_t number)
{
    struct hub_unify_stats stats;
    hub_unify_stats(s->members[number].unify, &stats);
    return stats;
}

static bool first_has_not_all(struct site *s)
{
    return stats_of(s, 0).ready != PARTITIONS;
}

/* The first member, until it has all partitions. */
static void start_first(struct site *s)
{
    start_member(s, 0);
    wait_while(first_has_not_all, s);
}

/* Half of the events, then WHAT befalls the members, then the other half. */
static void half_and_half(struct site *s, size_t members, const struct hub_memory_faults *faults)
{
    some_events(s);
    for (size_t i = 0; i < members; i++)
        start_member(s, i);
    send_up_to(s, s->events.count / 2);
    if (members == 1)
        wait_while(first_has_not_all, s);
    hub_memory_faults(s->bus, faults);
    send_up_to(s, s->events.count);
    expect_whole(s);
}

/* --- transactions --- */

static void outputs_of_a_transaction_that_came_to_nothing_come_again(void **state)
{
    half_and_half(*state, 1, &(struct hub_memory_faults){.commit_after = 2});
    expect_whole_from_topic(*state);
}

static void a_transaction_of_which_nobody_heard_counts_once(void **state)
{
    half_and_half(*state, 1, &(struct hub_memory_faults){.commit_after = 2, .commit_counts = true});
    expect_whole_from_topic(*state);
}

static void a_record_that_fails_takes_its_transaction_along(void **state)
{
    half_and_half(*state, 1, &(struct hub_memory_faults){.fail_after = 20, .in_transactions = true});
    expect_whole_from_topic(*state);
}

/* --- the topic itself --- */

/* One member has half of the events. */
static void begin_with_half(struct site *s)
{
    some_events(s);
    start_member(s, 0);
    send_up_to(s, s->events.count / 2);
    wait_while(first_has_not_all, s);
    assert_int_equal(hub_unify_catch_up(s->members[0].unify, WAIT_MS, NULL), HUB_OK);
}

/* That member is away, with the half in its store. */
static void leave_with_half(struct site *s)
{
    begin_with_half(s);
    stop_member(s, 0);
}

static size_t newest_seen(struct site *s, int32_t partition)
{
    size_t at = hub_memory_count(s->bus, TIMELINE_TOPIC, partition);
    while (at != 0 && hub_memory_at(s->bus, TIMELINE_TOPIC, partition, at - 1).hidden)
        at--;
    assert_true(at != 0);
    return at - 1;
}

/* As if another one had written it again. */
static void write_again(struct site *s, int32_t partition, size_t at)
{
    const struct hub_memory_record from = hub_memory_at(s->bus, TIMELINE_TOPIC, partition, at);
    const uint8_t *slash = memchr(from.key.ptr, '/', from.key.len);
    const struct hub_bus_record record = {.topic = TIMELINE_TOPIC,
                                          .key = from.key,
                                          .subject = slash != NULL ? hub_span_of(from.key.ptr, (size_t)(slash - from.key.ptr)) : from.key,
                                          .value = from.value};
    assert_int_equal(hub_bus_send(s->producer, &record, NULL), HUB_OK);
    assert_int_equal(hub_bus_flush(s->producer, WAIT_MS, NULL), HUB_OK);
}

/* Of an entry that there never was, of a patient of the partition. */
static void write_tombstone(struct site *s, int32_t partition)
{
    const struct hub_memory_record of = hub_memory_at(s->bus, TIMELINE_TOPIC, partition, newest_seen(s, partition));
    const uint8_t *slash = memchr(of.key.ptr, '/', of.key.len);
    const struct hub_span subject = slash != NULL ? hub_span_of(of.key.ptr, (size_t)(slash - of.key.ptr)) : of.key;
    const char *key = hub_arena_printf(&arena, "%.*s/gone", (int)subject.len, (const char *)subject.ptr);
    const struct hub_bus_record record = {.topic = TIMELINE_TOPIC, .key = hub_span_str(key), .subject = subject, .value = HUB_SPAN_NONE};
    assert_int_equal(hub_bus_send(s->producer, &record, NULL), HUB_OK);
    assert_int_equal(hub_bus_flush(s->producer, WAIT_MS, NULL), HUB_OK);
}

static void lose(struct site *s, size_t count)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        (void)hub_memory_lose_end(s->bus, TIMELINE_TOPIC, i, count);
}

static void what_the_topic_loses_under_its_owner_is_made_again(void **state)
{
    struct site *s = *state;
    begin_with_half(s);
    lose(s, 6);
    send_up_to(s, s->events.count);
    expect_whole(s);
    assert_true(stats_of(s, 0).truncations != 0);
    assert_string_equal(stats_of(s, 0).state, "ok");
    expect_whole_from_topic(s);
}

static bool first_is_not_rebuilt(struct site *s)
{
    return stats_of(s, 0).rebuilt == 0;
}

static void a_topic_that_grew_past_the_place_of_a_store_after_it_lost_its_end_is_noticed(void **state)
{
    struct site *s = *state;
    leave_with_half(s);
    lose(s, 6);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        const size_t last = newest_seen(s, i);
        for (size_t n = 0; n < 12; n++)
            write_again(s, i, last);
    }
    start_member(s, 0);
    wait_while(first_is_not_rebuilt, s);
    assert_true(stats_of(s, 0).truncations != 0);
    stop_member(s, 0); /* in the midst of it */
    start_member(s, 0);
    send_up_to(s, s->events.count);
    expect_whole(s);
    expect_whole_from_topic(s);
}

static void a_place_that_compaction_took_away_costs_a_store_and_no_events(void **state)
{
    struct site *s = *state;
    leave_with_half(s);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        const size_t last = newest_seen(s, i);
        write_again(s, i, last);
        hub_memory_compact(s->bus, TIMELINE_TOPIC, i, last);
    }
    start_first(s);
    assert_int_equal(stats_of(s, 0).rebuilt, PARTITIONS);
    assert_int_equal(stats_of(s, 0).truncations, 0);
    assert_int_equal(stats_of(s, 0).applied, 0);
    send_up_to(s, s->events.count);
    expect_whole(s);
    expect_whole_from_topic(s);
}

static void a_tombstone_that_compaction_took_away_is_no_loss(void **state)
{
    struct site *s = *state;
    leave_with_half(s);
    for (int32_t i = 0; i < PARTITIONS; i++)
        write_tombstone(s, i);
    start_first(s);
    assert_int_equal(stats_of(s, 0).rebuilt, 0);
    stop_member(s, 0);
    for (int32_t i = 0; i < PARTITIONS; i++)
        hub_memory_compact(s->bus, TIMELINE_TOPIC, i, newest_seen(s, i));
    start_first(s);
    assert_int_equal(stats_of(s, 0).truncations, 0);
    send_up_to(s, s->events.count);
    expect_whole(s);
}

static void a_store_that_is_where_it_was_is_not_read_anew(void **state)
{
    struct site *s = *state;
    leave_with_half(s);
    start_first(s);
    assert_int_equal(stats_of(s, 0).rebuilt + stats_of(s, 0).truncations + stats_of(s, 0).restored, 0);
    send_up_to(s, s->events.count);
    expect_whole(s);
}

/* --- the group --- */

static void events_that_a_reader_jumped_over_are_read_again(void **state)
{
    half_and_half(*state, 1, &(struct hub_memory_faults){.jump_after = 3});
    expect_whole_from_topic(*state);
}

/* The brokers lose the last of EVENTS that the first member has read, STOPPED or not, and get more than those. */
static void lose_what_was_read(struct site *s, bool stopped)
{
    size_t before[PARTITIONS];
    unsigned grown = 0;
    begin_with_half(s);
    if (stopped)
        stop_member(s, 0);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        before[p] = hub_memory_count(s->bus, EVENTS_TOPIC, p);
        (void)hub_memory_lose_end(s->bus, EVENTS_TOPIC, p, 2);
    }
    send_up_to(s, s->events.count);
    for (int32_t p = 0; p < PARTITIONS; p++)
        grown += before[p] >= 2 && hub_memory_count(s->bus, EVENTS_TOPIC, p) > before[p];
    assert_true(grown > 0); /* else it is no other log to see */
    if (stopped)
        start_member(s, 0);
    expect_whole(s);
    assert_int_equal(stats_of(s, 0).truncations, grown);
    expect_whole_from_topic(s);
}

static void another_log_under_what_was_read_is_noticed(void **state)
{
    lose_what_was_read(*state, false);
}

static void another_log_is_noticed_by_who_was_away(void **state)
{
    lose_what_was_read(*state, true);
}

static void another_log_of_identity_is_noticed(void **state)
{
    struct site *s = *state;
    begin_with_half(s);
    for (int32_t p = 0; p < PARTITIONS; p++)
        assert_int_equal(hub_memory_lose_end(s->bus, IDENTITY_TOPIC, p, 2), 2);
    send_up_to(s, s->events.count);
    s->facts_only = true;
    for (size_t i = 0; i < s->events.count / 2; i++) /* known ones, so that each partition grows past what it was */
        send_event(s, s->events.items[i]);
    s->facts_only = false;
    expect_whole(s); /* all facts that came: what it has read before it keeps */
    assert_int_equal(stats_of(s, 0).truncations, PARTITIONS);
    assert_int_equal(stats_of(s, 0).unknown_facts, 0);
}

static void another_leader_of_the_same_log_changes_nothing(void **state)
{
    struct site *s = *state;
    some_events(s);
    start_member(s, 0);
    for (size_t i = 1; i <= 6; i++) {
        send_up_to(s, s->events.count * i / 6);
        assert_int_equal(hub_unify_catch_up(s->members[0].unify, WAIT_MS, NULL), HUB_OK);
        for (int32_t p = 0; p < PARTITIONS; p++)
            (void)hub_memory_lose_end(s->bus, i % 2 != 0 ? EVENTS_TOPIC : IDENTITY_TOPIC, p, 0);
    }
    expect_whole(s);
    assert_int_equal(stats_of(s, 0).truncations, 0);
}

static void who_slept_writes_nothing_and_begins_anew(void **state)
{
    struct site *s = *state;
    some_events(s);
    start_member(s, 0);
    send_up_to(s, s->events.count / 3);
    wait_while(first_has_not_all, s);
    start_member(s, 1);
    hub_memory_sleep(s->bus, GROUP, 0);
    send_up_to(s, s->events.count);
    assert_int_equal(hub_unify_catch_up(s->members[1].unify, WAIT_MS, NULL), HUB_OK);
    hub_memory_wake(s->bus, GROUP);
    expect_whole(s);
    expect_whole_from_topic(s);
}

static void partitions_that_come_and_go_lose_nothing(void **state)
{
    struct site *s = *state;
    some_events(s);
    start_member(s, 0);
    start_member(s, 1);
    for (size_t i = 0; i < 8; i++) {
        send_up_to(s, s->events.count * (i + 1) / 8);
        (void)usleep(20000);
        hub_memory_rebalance(s->bus, GROUP, i % 2 != 0);
    }
    expect_whole(s);
    expect_whole_from_topic(s);
}

/* --- who is who --- */

static void send_identity_text(struct site *s, size_t len)
{
    char *text = hub_arena_bytes(&arena, len);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = i % 2 == 0 ? '0' : ',';
    text[0] = '[';
    text[len - 1] = ']';
    const struct hub_bus_record record = {
        .topic = IDENTITY_TOPIC, .key = HUB_SPAN("e0/0"), .subject = HUB_SPAN("1a"), .value = hub_span_of(text, len)};
    assert_int_equal(hub_bus_send(s->producer, &record, NULL), HUB_OK);
}

static void identity_records_of_any_size_that_are_none_stop_nothing(void **state)
{
    struct site *s = *state;
    some_events(s);
    start_member(s, 0);
    send_up_to(s, s->events.count / 2);
    send_identity_text(s, HUB_SIGNED_BYTES_MAX - 1); /* tens of MiB to read */
    send_identity_text(s, 5 * HUB_SIGNED_BYTES_MAX);
    send_up_to(s, s->events.count);
    expect_whole(s);
    assert_int_equal(stats_of(s, 0).unreadable + stats_of(s, 0).untrusted, 2);
}

static struct hub_span event_with_link(const char *id, const char *a, const char *b)
{
    const struct entry_spec plain = {.type = "Observation", .id = hub_arena_printf(&arena, "r%s", id), .kind = "observation", .facts = "f", .class_ = 1,
                                     .effective = 1, .version = -1};
    const struct event_spec spec = {.id = id, .subject = a, .identity = hub_arena_printf(&arena, "link:%s,%s", a, b), .time = 1, .recorded = 2,
                                    .entries = make_entry(&arena, &plain)};
    return make_event(&arena, &spec);
}

static bool nothing_waits(struct site *s)
{
    hub_unify_look(s->members[0].unify, 1000);
    return stats_of(s, 0).lag == 0;
}

static void an_event_waits_for_its_facts_and_takes_its_chart_along(void **state)
{
    struct site *s = *state;
    struct hub_chart chart;
    const struct hub_span event = event_with_link("e1", "1a", "1b");
    start_first(s);
    s->events_only = true;
    send_event(s, event);
    s->events_only = false;
    wait_while(nothing_waits, s); /* it is known to be there */
    assert_int_equal(hub_unify_catch_up(s->members[0].unify, 300, NULL), HUB_BUSY);
    assert_int_equal(hub_timelines_chart(s->members[0].set, &arena, HUB_SPAN("1a"), &chart, NULL), HUB_NOT_FOUND);
    s->facts_only = true;
    send_event(s, event);
    do
        (void)usleep(100);
    while (hub_timelines_chart(s->members[0].set, &arena, HUB_SPAN("1a"), &chart, NULL) != HUB_OK || chart.entry_count == 0);
    assert_int_equal(chart.token_count, 2); /* never shown under a chart older than itself */
    assert_int_equal(stats_of(s, 0).unknown_facts, 0);
}

static void after_catching_up_all_charts_are_what_the_facts_make_them(void **state)
{
    struct site *s = *state;
    start_member(s, 0);
    s->facts_only = true;
    for (int i = 0; i < 30; i++) {
        const char *a = hub_arena_printf(&arena, "1a%d", i), *b = hub_arena_printf(&arena, "1b%d", i);
        struct hub_chart chart;
        send_event(s, event_with_link(hub_arena_printf(&arena, "e%d", i), a, b));
        assert_int_equal(hub_unify_catch_up(s->members[0].unify, WAIT_MS, NULL), HUB_OK);
        assert_int_equal(hub_timelines_chart(s->members[0].set, &arena, hub_span_str(b), &chart, NULL), HUB_OK);
        assert_int_equal(chart.token_count, 2);
    }
}

static void a_lag_is_that_of_now_when_it_was_asked_for(void **state)
{
    struct site *s = *state;
    some_events(s);
    start_first(s);
    s->events_only = true; /* without their facts they stay */
    for (size_t i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "w%zu", i);
        send_event(s, event_with_link(hub_arena_printf(&arena, "%s", id), "1a", "1b"));
        hub_unify_look(s->members[0].unify, WAIT_MS);
        assert_int_equal(stats_of(s, 0).lag, i + 1);
    }
}

/* --- stores, memory --- */

static void a_store_that_cannot_be_written_is_written_later(void **state)
{
    struct site *s = *state;
    some_events(s);
    start_first(s);
    (void)hub_kv_fail_nth(HUB_KV_WRITES, 3, true); /* of partitions and of who is who alike */
    send_up_to(s, s->events.count);
    assert_int_equal(hub_unify_catch_up(s->members[0].unify, 700, NULL), HUB_BUSY);
    assert_true(hub_kv_fail_nth(0, 0, false) >= 3);
    expect_whole(s);
    expect_whole_from_topic(s);
}

static void memory_that_runs_out_costs_nothing(void **state)
{
    struct site *s = *state;
    some_events(s);
    start_member(s, 0);
    start_member(s, 1);
    for (size_t i = 0; i < 12; i++) {
        (void)hub_mem_fail_nth(0, 0);
        send_up_to(s, s->events.count * (i + 1) / 12);
        (void)hub_mem_fail_nth(1 + chance(200), i % 4 == 3);
        if (i % 3 == 2)
            hub_memory_rebalance(s->bus, GROUP, false);
        (void)usleep(30000);
    }
    wake_all(s);
    expect_whole(s);
    expect_whole_from_topic(s);
}

/* --- all of it --- */

static void disturb(struct site *s, bool asleep)
{
    const size_t number = chance(MEMBERS);
    char saved[700];
    (void)snprintf(saved, sizeof saved, "%s-saved", s->members[number].folder);
    switch (chance(8)) {
    case 0:
        hub_memory_faults(s->bus, &(struct hub_memory_faults){.commit_after = 1 + chance(4), .commit_counts = chance(2)});
        break;
    case 1:
        hub_memory_faults(s->bus, &(struct hub_memory_faults){.fail_after = 1 + chance(40), .store_failed = chance(2), .in_transactions = true});
        break;
    case 2:
        hub_memory_faults(s->bus, &(struct hub_memory_faults){.jump_after = 1 + chance(20)});
        break;
    case 3:
        hub_memory_rebalance(s->bus, GROUP, chance(2));
        break;
    case 4:
        (void)hub_kv_fail_nth(HUB_KV_WRITES, 1 + chance(10), false);
        break;
    case 5:
        if (asleep)
            hub_memory_wake(s->bus, GROUP);
        else
            hub_memory_sleep(s->bus, GROUP, chance(2));
        break;
    default: /* it ends, or is killed and goes back to what was saved when it ended before */
        if (!s->members[number].running) {
            start_member(s, number);
            break;
        }
        stop_member(s, number);
        if (access(saved, F_OK) == 0 && chance(2))
            copy_folder(saved, s->members[number].folder);
        else
            copy_folder(s->members[number].folder, saved);
        if (chance(3) != 0)
            start_member(s, number);
    }
}

static void in_the_end_all_is_there_whatever_happened(void **state)
{
    struct site *s = *state;
    enum { ROUNDS = 3, TURNS = 12 };
    const char *more = getenv("CHARTLINE_ROUNDS"), *from = getenv("CHARTLINE_SEED");
    const uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    for (uint64_t round = first; round < first + (more != NULL ? strtoull(more, NULL, 10) : ROUNDS); round++) {
        close_site(s);
        open_site(s, round);
        print_message("seed %llu\n", (unsigned long long)round);
        some_events(s);
        start_member(s, 0);
        start_member(s, 1);
        for (size_t i = 0; i < TURNS; i++) {
            (void)hub_kv_fail_nth(0, 0, false);
            send_up_to(s, s->events.count * (i + 1) / TURNS);
            disturb(s, i % 3 != 0);
            (void)usleep(chance(60) * 1000);
        }
        wake_all(s);
        if (!s->members[0].running)
            start_member(s, 0);
        expect_whole(s);
        expect_whole_from_topic(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_one, close_one)
        TEST(outputs_of_a_transaction_that_came_to_nothing_come_again),
        TEST(a_transaction_of_which_nobody_heard_counts_once),
        TEST(a_record_that_fails_takes_its_transaction_along),
        TEST(what_the_topic_loses_under_its_owner_is_made_again),
        TEST(a_topic_that_grew_past_the_place_of_a_store_after_it_lost_its_end_is_noticed),
        TEST(a_place_that_compaction_took_away_costs_a_store_and_no_events),
        TEST(a_tombstone_that_compaction_took_away_is_no_loss),
        TEST(a_store_that_is_where_it_was_is_not_read_anew),
        TEST(events_that_a_reader_jumped_over_are_read_again),
        TEST(another_log_under_what_was_read_is_noticed),
        TEST(another_log_is_noticed_by_who_was_away),
        TEST(another_log_of_identity_is_noticed),
        TEST(another_leader_of_the_same_log_changes_nothing),
        TEST(who_slept_writes_nothing_and_begins_anew),
        TEST(partitions_that_come_and_go_lose_nothing),
        TEST(identity_records_of_any_size_that_are_none_stop_nothing),
        TEST(an_event_waits_for_its_facts_and_takes_its_chart_along),
        TEST(after_catching_up_all_charts_are_what_the_facts_make_them),
        TEST(a_lag_is_that_of_now_when_it_was_asked_for),
        TEST(a_store_that_cannot_be_written_is_written_later),
        TEST(memory_that_runs_out_costs_nothing),
        TEST(in_the_end_all_is_there_whatever_happened),
#undef TEST
    };
    const char *only = getenv("CHARTLINE_TEST"); /* one of them */
    cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
