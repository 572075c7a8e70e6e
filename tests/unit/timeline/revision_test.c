/* Revisions in the timeline: what they take the place of is history, whatever comes first and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/timeline/timeline.h"
#include "tests/unit/timeline/make_event.h"

static struct hub_arena arena;

struct store {
    struct hub_kv *kv;
    struct hub_timeline *timeline;
    uint64_t position;
};

static struct store open_store(void)
{
    static const struct hub_timeline_options options = {.chart_tokens = 100};
    const struct hub_kv_options kv = {.families = hub_timeline_families(), .create = true};
    struct store store = {NULL, NULL, 0};
    assert_int_equal(hub_kv_open_memory(&kv, &store.kv), HUB_OK);
    assert_int_equal(hub_timeline_open(store.kv, &options, &store.timeline, NULL), HUB_OK);
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
    hub_arena_init(&arena, 512 << 20);
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

static void flush(struct store *store)
{
    assert_int_equal(hub_timeline_flush(store->timeline, ++store->position, false, NULL), HUB_OK);
}

static const char *digest_of(struct store *store)
{
    uint8_t digest[32];
    char *text = hub_arena_bytes(&arena, 65);
    assert_int_equal(hub_timeline_state_digest(store->timeline, digest, NULL), HUB_OK);
    (void)hub_encode(HUB_HEX, hub_span_of(digest, 32), text, 65);
    return text;
}

static uint64_t in_force(struct store *store, const char *token)
{
    struct hub_chart chart;
    enum hub_result result = hub_timeline_chart(store->timeline, &arena, hub_span_str(token), &chart, NULL);
    return result == HUB_OK ? chart.entry_count : 0;
}

static size_t tokens_of(struct store *store, const char *token)
{
    struct hub_chart chart;
    enum hub_result result = hub_timeline_chart(store->timeline, &arena, hub_span_str(token), &chart, NULL);
    return result == HUB_OK ? chart.token_count : 0;
}

static bool count_one(void *ctx, struct hub_span key, struct hub_span record)
{
    (void)key;
    (void)record;
    ++*(size_t *)ctx;
    return true;
}

static size_t stored(struct store *store, const char *token)
{
    size_t count = 0;
    assert_int_equal(
        hub_timeline_each_entry(store->timeline, hub_span_str(token), count_one, &count, NULL), HUB_OK);
    return count;
}

static const char *observations(const char *id, int count, int effective)
{
    const char *all = "";
    for (int i = 0; i < count; i++) {
        const struct entry_spec spec = {.type = "Observation",
                                        .id = hub_arena_printf(&arena, "r%s.%d", id, i),
                                        .kind = "observation",
                                        .facts = hub_arena_printf(&arena, "f%.2s.%d", id, i),
                                        .class_ = 1,
                                        .effective = effective,
                                        .version = -1,
                                        .body = ",\"status\":\"final\""};
        all = hub_arena_printf(&arena, "%s%s%s", all, i != 0 ? "," : "", make_entry(&arena, &spec));
    }
    return all;
}

/* The first mapping of a message, recorded a minute after it was sent. */
static struct hub_span first(const char *id, const char *subject, const char *identity, int time, int entries)
{
    const struct event_spec spec = {.id = id,
                                    .subject = subject,
                                    .identity = identity,
                                    .time = time,
                                    .recorded = time + 1,
                                    .entries = observations(id, entries, time)};
    return make_event(&arena, &spec);
}

/* Revision NUMBER of the message that ORIGIN was made of, recorded long after. */
static struct hub_span revision(const char *id, int number, const char *origin, const char *subject,
                                const char *identity, int time, int entries, const char *supersedes)
{
    const struct event_spec spec = {.id = id,
                                    .subject = subject,
                                    .identity = identity,
                                    .time = time,
                                    .recorded = 10000 + number * 100 + time,
                                    .entries = observations(id, entries, time),
                                    .revision = hub_arena_printf(&arena, "%d", number),
                                    .origin = origin,
                                    .supersedes = supersedes,
                                    .origin_recorded = time + 1};
    return make_event(&arena, &spec);
}

/* --- what is in force --- */

static void a_revision_takes_the_place_of_the_first_mapping(void **state)
{
    (void)state;
    struct store store = open_store();
    apply(&store, first("a0", "1p", "same:1p~g", 10, 3));
    flush(&store);
    assert_int_equal(in_force(&store, "1p"), 3);
    apply(&store, revision("a1", 1, "a0", "1p", "same:1p~g", 10, 2, "a0"));
    flush(&store);
    assert_int_equal(in_force(&store, "1p"), 2);
    assert_int_equal(stored(&store, "1p"), 3 + 2 + 1); /* history, what is in force, and who took whose place */
    close_store(&store);
}

static void a_revision_may_come_before_what_it_takes_the_place_of(void **state)
{
    (void)state;
    struct store store = open_store();
    apply(&store, revision("a1", 1, "a0", "1p", "same:1p~g", 10, 2, "a0"));
    flush(&store);
    apply(&store, first("a0", "1p", "same:1p~g", 10, 3));
    flush(&store);
    assert_int_equal(in_force(&store, "1p"), 2);
    assert_int_equal(stored(&store, "1p"), 3 + 2 + 1);
    close_store(&store);
}

static void a_patient_that_a_revision_no_longer_names_keeps_history_only(void **state)
{
    (void)state;
    struct store store = open_store();
    apply(&store, first("a0", "1wrong", "same:1wrong~g", 10, 3));
    apply(&store, revision("a1", 1, "a0", "1right", "same:1right~g", 10, 3, ""));
    apply(&store, revision("aw", 1, "aw0", "1wrong", "", 10, 0, "a0"));
    flush(&store);
    assert_int_equal(in_force(&store, "1right"), 3);
    assert_int_equal(in_force(&store, "1wrong"), 0);
    assert_int_equal(stored(&store, "1wrong"), 3 + 1);
    close_store(&store);
}

static void facts_that_a_revision_does_not_repeat_leave_the_charts(void **state)
{
    (void)state;
    struct store store = open_store();
    apply(&store, first("a0", "1p", "same:1p~g,1q", 10, 1));
    apply(&store, first("b0", "1q", "same:1q", 9, 1));
    apply(&store, first("c0", "1p", "merge:1p,1z", 12, 1));
    flush(&store);
    assert_int_equal(tokens_of(&store, "1p"), 3);
    apply(&store, revision("a1", 1, "a0", "1p", "same:1p~g", 10, 1, "a0"));
    flush(&store);
    assert_int_equal(tokens_of(&store, "1p"), 2);
    assert_int_equal(tokens_of(&store, "1q"), 1);
    apply(&store, revision("c1", 1, "c0", "1p", "", 12, 1, "c0"));
    flush(&store);
    assert_int_equal(tokens_of(&store, "1p"), 1);
    assert_int_equal(tokens_of(&store, "1z"), 0); /* nobody names it any more */
    close_store(&store);
}

static void a_third_mapping_counts_and_the_second_is_history(void **state)
{
    (void)state;
    struct store store = open_store();
    apply(&store, first("a0", "1p", "same:1p~g", 10, 3));
    apply(&store, revision("a1", 1, "a0", "1p", "same:1p~g", 10, 2, "a0"));
    apply(&store, revision("a2", 2, "a0", "1p", "same:1p~g", 10, 5, "a1,a0"));
    flush(&store);
    assert_int_equal(in_force(&store, "1p"), 5);
    close_store(&store);
}

/* --- order --- */

static void shuffle(struct hub_span *events, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)rand() % i;
        struct hub_span moved = events[i - 1];
        events[i - 1] = events[k];
        events[k] = moved;
    }
}

/* Of several messages and patients: revised once and twice, moved to another patient and back, with facts that join,
 * merge and are taken back. */
static size_t universe(struct hub_span out[32])
{
    const struct hub_span all[] = {
        first("a0", "1p", "same:1p~g,1q", 10, 3),
        revision("a1", 1, "a0", "1p", "same:1p~g", 10, 2, "a0"),
        revision("a2", 2, "a0", "1p", "same:1p~g,1q", 10, 4, "a1,a0"),
        first("b0", "1q", "same@s:1q~h", 11, 1),
        revision("b1", 1, "b0", "1q", "same@s:1q~h", 11, 1, "b0"),
        first("c0", "1wrong", "same:1wrong~g", 12, 2),
        revision("c1", 1, "c0", "1p", "same:1p~g", 12, 2, ""),
        revision("cw", 1, "cw0", "1wrong", "", 12, 0, "c0"),
        revision("c2", 2, "c0", "1wrong", "same:1wrong~g,1x", 12, 1, "cw,c0"),
        revision("cx", 2, "cx0", "1p", "", 12, 0, "c1"),
        first("d0", "1p", "merge:1p,1z", 13, 1),
        revision("d1", 1, "d0", "1p", "merge:1z,1p", 13, 1, "d0"),
        first("e0", "1z", "same:1z~g;unlink:1p,1z", 14, 1),
        revision("e1", 1, "e0", "1z", "same:1z~g", 14, 2, "e0"),
        first("g0", "1p", "same:1p~g", 9, 2),
        first("h0", "1y", "link:1y,1q", 15, 1),
        revision("h1", 1, "h0", "1y", "link:1y,1q", 16, 1, "h0"), /* the mapping changed its time */
    };
    const size_t count = sizeof all / sizeof all[0];
    memcpy(out, all, sizeof all);
    return count;
}

static const char *digest_in_order(struct hub_span *events, size_t count, unsigned flush_each)
{
    struct store store = open_store();
    for (size_t i = 0; i < count; i++) {
        apply(&store, events[i]);
        if (flush_each != 0 && (i + 1) % flush_each == 0)
            flush(&store);
    }
    flush(&store);
    const char *digest = digest_of(&store);
    close_store(&store);
    return digest;
}

static void any_order_and_number_gives_the_same_state(void **state)
{
    (void)state;
    struct hub_span events[64];
    const size_t count = universe(events);
    const char *expected = digest_in_order(events, count, 0);
    srand(20261123);
    for (int round = 0; round < 400; round++) {
        struct hub_span repeated[64];
        memcpy(repeated, events, count * sizeof *events);
        size_t more = count;
        for (size_t i = 0; i < count && round % 2 != 0; i++) {
            if (rand() % 3 == 0)
                repeated[more++] = events[i];
        }
        shuffle(repeated, more);
        const char *digest = digest_in_order(repeated, more, (unsigned)round % 5);
        if (strcmp(digest, expected) != 0)
            print_error("round %d\n", round);
        assert_string_equal(digest, expected);
    }
}

/* Hubs that share keys, or one that went back to a backup, may map a message anew twice under one number. */
static void of_several_values_of_a_revision_the_order_does_not_matter(void **state)
{
    (void)state;
    struct event_spec spec = {.id = "m1", .subject = "1p", .identity = "same:1p~g", .time = 10, .revision = "1", .origin = "m0", .origin_recorded = 11};
    struct hub_span events[8] = {first("m0", "1p", "same:1p~g,1q", 10, 2), first("n0", "1p", "merge:1p,1z", 10, 3), first("o0", "1p", "", 10, 4)};
    static const struct {
        int recorded, entries;
        const char *supersedes;
    } values[] = {{20, 1, "o0,m0"}, {19, 2, "m0"}, {18, 1, "n0,m0"}, {21, 3, "m0,o0"}};
    for (size_t i = 0; i < 4; i++) {
        spec.recorded = values[i].recorded;
        spec.supersedes = values[i].supersedes;
        spec.entries = observations("m1", values[i].entries, 10);
        events[3 + i] = make_event(&arena, &spec);
    }
    const char *expected = digest_in_order(events, 7, 0);
    srand(20261124);
    for (int round = 0; round < 400; round++) {
        struct hub_span repeated[16];
        memcpy(repeated, events, 7 * sizeof *events);
        memcpy(repeated + 7, events, 7 * sizeof *events);
        const size_t count = round % 2 != 0 ? 14 : 7;
        shuffle(repeated, count);
        assert_string_equal(digest_in_order(repeated, count, (unsigned)round % 5), expected);
    }
    struct store store = open_store();
    for (size_t i = 0; i < 7; i++)
        apply(&store, events[6 - i]);
    flush(&store);
    assert_int_equal(in_force(&store, "1p"), 1); /* of the earliest value; what any of them names is history */
    assert_int_equal(tokens_of(&store, "1p"), 1);
    assert_int_equal(stored(&store, "1p"), 1 + 1 + 2 + 3 + 4);
    close_store(&store);
}

/* What is in force is what would be there had nothing else ever come. */
static void superseded_events_change_no_chart(void **state)
{
    (void)state;
    static const char *const tokens[] = {"1p", "1q", "1wrong", "1x", "1z", "1y"};
    static const size_t standing[] = {2, 4, 8, 9, 11, 13, 14, 16}; /* of the universe */
    struct hub_span events[64];
    struct store all = open_store();
    struct store only = open_store();
    const size_t count = universe(events);
    for (size_t i = 0; i < count; i++)
        apply(&all, events[i]);
    for (size_t i = 0; i < sizeof standing / sizeof standing[0]; i++)
        apply(&only, events[standing[i]]);
    flush(&all);
    flush(&only);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct hub_chart a, b;
        assert_int_equal(hub_timeline_chart(all.timeline, &arena, hub_span_str(tokens[i]), &a, NULL), HUB_OK);
        assert_int_equal(hub_timeline_chart(only.timeline, &arena, hub_span_str(tokens[i]), &b, NULL), HUB_OK);
        assert_string_equal(a.id, b.id);
        assert_int_equal(a.token_count, b.token_count);
        assert_int_equal(a.entry_count, b.entry_count);
        assert_int_equal(a.retired_count, b.retired_count);
        assert_int_equal(a.test, b.test);
    }
    close_store(&all);
    close_store(&only);
}

/* --- what is refused --- */

static void a_revision_that_does_not_say_of_what_is_refused(void **state)
{
    (void)state;
    struct store store = open_store();
    struct event_spec spec = {.id = "a1",
                              .subject = "1p",
                              .time = 10,
                              .recorded = 11,
                              .entries = observations("a1", 1, 10),
                              .revision = "0",
                              .origin = "a0",
                              .supersedes = "a0"};
    assert_int_equal(hub_timeline_apply(store.timeline, make_event(&arena, &spec), NULL, NULL), HUB_SYNTAX);
    spec.revision = "1";
    spec.origin = "";
    assert_int_equal(hub_timeline_apply(store.timeline, make_event(&arena, &spec), NULL, NULL), HUB_SYNTAX);
    spec.origin = "a0";
    spec.supersedes = "a0,,b0";
    assert_int_equal(hub_timeline_apply(store.timeline, make_event(&arena, &spec), NULL, NULL), HUB_SYNTAX);
    flush(&store);
    assert_int_equal(stored(&store, "1p"), 0);
    close_store(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_revision_takes_the_place_of_the_first_mapping, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_may_come_before_what_it_takes_the_place_of, setup, teardown),
        cmocka_unit_test_setup_teardown(a_patient_that_a_revision_no_longer_names_keeps_history_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(facts_that_a_revision_does_not_repeat_leave_the_charts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_third_mapping_counts_and_the_second_is_history, setup, teardown),
        cmocka_unit_test_setup_teardown(any_order_and_number_gives_the_same_state, setup, teardown),
        cmocka_unit_test_setup_teardown(of_several_values_of_a_revision_the_order_does_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(superseded_events_change_no_chart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_that_does_not_say_of_what_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
