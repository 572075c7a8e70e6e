#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/identity/identity.h"

static struct hub_arena arena;
static struct hub_identity_options options = {.chart_tokens = 100};

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 64 << 20);
    options = (struct hub_identity_options){.chart_tokens = 100};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

enum { FACTS_MAX = 200 };
struct set {
    struct hub_identity_statement items[FACTS_MAX];
    size_t count;
};

/* One fact as an event of SOURCE at TIME states it. */
static void state_fact(struct set *set, const char *source, int64_t time, const char *text)
{
    struct hub_identity_statement *parsed = NULL;
    size_t count = 0;
    struct hub_span kept = hub_arena_copy(&arena, hub_span_str(text));
    assert_int_equal(hub_identity_parse(&arena, kept, &parsed, &count, NULL), HUB_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(set->count < FACTS_MAX);
        parsed[i].source = hub_span_str(source);
        parsed[i].order.time_us = time;
        parsed[i].order.event = hub_span_str(hub_arena_printf(&arena, "e%03lld%s", (long long)time, source));
        set->items[set->count++] = parsed[i];
    }
}

/* "A+B(A) C" : charts by id, survivor of charts of several, "!" for a conflict; left out behind "|". */
static const char *charts_of(const struct set *set)
{
    struct hub_identity_charts charts;
    assert_int_equal(hub_identity_charts(&arena, set->items, set->count, &options, &charts), HUB_OK);
    struct hub_buf out;
    hub_buf_init(&out, 1 << 20, false);
    for (size_t c = 0; c < charts.count; c++) {
        const struct hub_identity_chart *chart = &charts.charts[c];
        assert_true(hub_span_equal(chart->id, chart->tokens[0]));
        hub_buf_append_str(&out, c != 0 ? " " : "");
        for (size_t i = 0; i < chart->count; i++) {
            hub_buf_append_str(&out, i != 0 ? "+" : "");
            hub_buf_append_span(&out, chart->tokens[i]);
        }
        if (chart->count > 1) {
            hub_buf_append_byte(&out, '(');
            hub_buf_append_span(&out, chart->survivor);
            for (size_t i = 0; i < chart->retired_count; i++) {
                hub_buf_append_byte(&out, i == 0 ? '<' : ',');
                hub_buf_append_span(&out, chart->retired[i]);
            }
            hub_buf_append_byte(&out, ')');
        }
        hub_buf_append_str(&out, chart->conflict ? "!" : "");
    }
    for (size_t i = 0; i < charts.left_count; i++) {
        hub_buf_append_str(&out, i == 0 ? " | " : " ");
        hub_buf_append_span(&out, charts.left[i].a);
        hub_buf_append_span(&out, charts.left[i].b);
        hub_buf_append_str(&out, ":");
        hub_buf_append_str(&out, hub_identity_why_name(charts.left[i].why));
    }
    assert_int_equal(charts.left_count != 0, charts.contested);
    const char *text = (const char *)hub_arena_copy(&arena, hub_span_str(hub_buf_str(&out))).ptr;
    hub_buf_deinit(&out);
    return text;
}

static void identity_parses_every_kind(void **state)
{
    (void)state;
    struct hub_identity_statement *facts = NULL;
    size_t count = 0;
    assert_int_equal(hub_identity_parse(&arena, HUB_SPAN(""), &facts, &count, NULL), HUB_OK);
    assert_int_equal(count, 0);
    assert_int_equal(hub_identity_parse(&arena, HUB_SPAN("same:1a~tag1,1b;merge:1a,1b~tag1,1c;same:1d"),
                                        &facts, &count, NULL),
                     HUB_OK);
    assert_int_equal(count, 3);
    assert_int_equal(facts[0].kind, HUB_FACT_SAME);
    assert_int_equal(facts[0].count, 2);
    assert_true(hub_span_is(facts[0].tags[0], "tag1"));
    assert_int_equal(facts[0].tags[1].len, 0);
    assert_int_equal(facts[1].kind, HUB_FACT_MERGE);
    assert_int_equal(facts[1].order.n, 1);
    assert_true(hub_span_is(facts[1].tokens[2], "1c"));
    assert_int_equal(facts[2].count, 1);
    for (unsigned kind = HUB_FACT_SAME; kind <= HUB_FACT_MATCH; kind++) {
        const char *text =
            hub_arena_printf(&arena, "%s:1a,1b", hub_identity_kind_name((enum hub_fact_kind)kind));
        assert_int_equal(hub_identity_parse(&arena, hub_span_str(text), &facts, &count, NULL), HUB_OK);
        assert_int_equal(facts[0].kind, kind);
    }
}

static void identity_refuses_what_is_no_fact(void **state)
{
    (void)state;
    static const char *const bad[] = {"sames:1a",    "same:",       "same",       ";",       "merge:1a",
                                      "merge:1a,1a", "same:1a,,1b", "link:~t,1b", "same:1a;"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hub_identity_statement *facts = NULL;
        size_t count = 0;
        assert_int_equal(hub_identity_parse(&arena, hub_span_str(bad[i]), &facts, &count, NULL), HUB_SYNTAX);
    }
}

static void identity_same_joins_while_the_newest_snapshot_lists_both(void **state)
{
    (void)state;
    struct set set = {.count = 0};
    state_fact(&set, "x", 1, "same:A,B");
    assert_string_equal(charts_of(&set), "A+B(A)");
    state_fact(&set, "y", 2, "same:A");
    assert_string_equal(charts_of(&set), "A+B(A)"); /* another source's snapshot says nothing about x's */
    state_fact(&set, "x", 3, "same:B,C");
    assert_string_equal(charts_of(&set), "A B+C(B)");
    state_fact(&set, "x", 2, "same:A,C"); /* late, older than what x said of C */
    assert_string_equal(charts_of(&set), "A B+C(B)");
    state_fact(&set, "x", 4, "same:C");
    assert_string_equal(charts_of(&set), "A B C");
}

static void identity_merge_joins_and_the_first_survives(void **state)
{
    (void)state;
    struct set set = {.count = 0};
    state_fact(&set, "x", 1, "merge:C,B;same:A");
    assert_string_equal(charts_of(&set), "A B+C(C<B)");
    state_fact(&set, "x", 2, "merge:A,C");
    assert_string_equal(charts_of(&set), "A+B+C(A<B,C)");
    state_fact(&set, "x", 3, "merge:B,D"); /* into a retired one: the survivor stays the chain's end */
    assert_string_equal(charts_of(&set), "A+B+C+D(A<B,C,D)");
}

static void identity_unlink_holds_apart_until_a_later_merge(void **state)
{
    (void)state;
    struct set set = {.count = 0};
    state_fact(&set, "x", 5, "unlink:B,A");
    state_fact(&set, "x", 1, "merge:A,B");
    assert_string_equal(charts_of(&set), "A B");
    state_fact(&set, "x", 2, "same:A,B");
    assert_string_equal(charts_of(&set), "A B | AB:apart");
    state_fact(&set, "x", 6,
               "link:A,C;link:B,C"); /* would join the pair through C: the later fact is taken first */
    assert_string_equal(charts_of(&set), "A B+C(B) | AC:apart AB:apart");
    state_fact(&set, "x", 7, "manual:A,B");
    assert_string_equal(charts_of(&set), "A+B+C(A)");
    state_fact(&set, "x", 8, "retract:A,B");
    assert_string_equal(charts_of(&set), "A B+C(B) | AC:apart AB:apart");
}

static void identity_reversed_merge_follows_the_option(void **state)
{
    (void)state;
    struct set set = {.count = 0};
    state_fact(&set, "x", 1, "merge:B,A");
    state_fact(&set, "x", 2, "merge:A,B");
    assert_string_equal(charts_of(&set), "A+B(A<B)");
    options.inverse_merge_reject = true;
    assert_string_equal(charts_of(&set), "A+B(B<A)");
    state_fact(&set, "x", 3, "unlink:A,B");
    state_fact(&set, "x", 4, "merge:A,B"); /* after it was undone the other way is no repeat */
    assert_string_equal(charts_of(&set), "A+B(A<B)");
}

static void identity_merges_in_a_circle_end_with_the_newest_survivor(void **state)
{
    (void)state;
    struct set set = {.count = 0};
    state_fact(&set, "x", 1, "merge:A,B");
    state_fact(&set, "x", 2, "merge:B,C");
    state_fact(&set, "x", 3, "merge:C,A");
    assert_string_equal(charts_of(&set), "A+B+C(C<A,B)");
}

static void identity_primary_conflict_suspends_same_and_is_flagged(void **state)
{
    (void)state;
    struct set set = {.count = 0};
    state_fact(&set, "x", 1, "same:A~mrn,E");
    state_fact(&set, "x", 2, "same:B~mrn");
    assert_string_equal(charts_of(&set), "A+E(A) B");
    state_fact(&set, "y", 3, "same:B~mrn,E");
    assert_string_equal(charts_of(&set), "A! B! E! | BE:conflict AE:conflict");
    struct set stated = set;
    state_fact(&stated, "z", 4, "same:A~mrn,B~mrn"); /* a PID-3 states the two together */
    assert_string_equal(charts_of(&stated), "A+B+E(A)");
    state_fact(&set, "z", 4, "merge:B~mrn,A~mrn"); /* so does a merge */
    assert_string_equal(charts_of(&set), "A+B+E(B<A)");
}

static void identity_other_authorities_do_not_conflict(void **state)
{
    (void)state;
    struct set set = {.count = 0};
    state_fact(&set, "x", 1, "same:A~mrn,E");
    state_fact(&set, "y", 2, "same:B~other,E");
    assert_string_equal(charts_of(&set), "A+B+E(A)");
}

static void identity_limit_keeps_charts_small_and_lists_what_was_left_out(void **state)
{
    (void)state;
    options.chart_tokens = 3;
    struct set set = {.count = 0};
    state_fact(&set, "x", 1, "link:A,B");
    state_fact(&set, "x", 2, "link:B,C");
    state_fact(&set, "x", 3, "link:C,D");
    assert_string_equal(charts_of(&set), "A B+C+D(B) | AB:limit"); /* newest first */
    state_fact(&set, "x", 0, "merge:A,B");                         /* a stronger kind first */
    assert_string_equal(charts_of(&set), "A+B(A<B) C+D(C) | BC:limit");
}

static void identity_match_is_weakest(void **state)
{
    (void)state;
    options.chart_tokens = 2;
    struct set set = {.count = 0};
    state_fact(&set, "x", 9, "match:A,B");
    state_fact(&set, "x", 1, "same:B,C");
    assert_string_equal(charts_of(&set), "A B+C(B) | AB:limit");
}

static uint32_t seed = 1;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % sides;
}

static void random_fact(struct set *set)
{
    static const char *const kinds[] = {"same", "same",   "same",    "same",   "merge",
                                        "link", "unlink", "retract", "manual", "match"};
    static const char *const names[] = {"A~m", "B~m", "C~m", "D~n", "E~n", "F", "G", "H"};
    static const char *const sources[] = {"x", "y", "z"};
    struct hub_buf text;
    hub_buf_init(&text, 256, false);
    const char *kind = kinds[roll(10)];
    unsigned first = roll(8);
    unsigned count = kind[0] == 's' ? roll(3) : 1;
    hub_buf_printf(&text, "%s:%s", kind, names[first]);
    for (unsigned i = 0; i < count; i++)
        hub_buf_printf(&text, ",%s", names[(first + 1 + roll(7)) % 8]);
    state_fact(set, sources[roll(3)], roll(40), hub_buf_str(&text));
    hub_buf_deinit(&text);
}

static void identity_is_a_function_of_the_set_of_facts(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        hub_arena_reset(&arena);
        options.chart_tokens = 2 + roll(8);
        options.inverse_merge_reject = roll(2) == 0;
        struct set set = {.count = 0};
        unsigned facts = 1 + roll(40);
        for (unsigned i = 0; i < facts; i++)
            random_fact(&set);
        const char *want = charts_of(&set);
        for (unsigned again = 0; again < 20; again++) {
            struct set other = set;
            for (size_t extra = roll(10); extra > 0; extra--) /* some twice */
                other.items[other.count++] = set.items[roll((uint32_t)set.count)];
            for (size_t i = other.count; i > 1; i--) {
                size_t j = roll((uint32_t)i);
                struct hub_identity_statement swap = other.items[i - 1];
                other.items[i - 1] = other.items[j];
                other.items[j] = swap;
            }
            assert_string_equal(charts_of(&other), want);
        }
    }
}

/* What no chart may break, whatever the facts. */
static void identity_charts_respect_limit_and_separation(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        hub_arena_reset(&arena);
        options.chart_tokens = 1 + roll(6);
        struct set set = {.count = 0};
        for (unsigned i = 0; i < 30; i++)
            random_fact(&set);
        state_fact(&set, "x", 99, "unlink:A,B");
        struct hub_identity_charts charts;
        assert_int_equal(hub_identity_charts(&arena, set.items, set.count, &options, &charts), HUB_OK);
        for (size_t c = 0; c < charts.count; c++) {
            bool has_a = false;
            bool has_b = false;
            assert_true(charts.charts[c].count <= options.chart_tokens);
            for (size_t i = 0; i < charts.charts[c].count; i++) {
                has_a |= hub_span_is(charts.charts[c].tokens[i], "A");
                has_b |= hub_span_is(charts.charts[c].tokens[i], "B");
            }
            assert_false(has_a && has_b);
        }
    }
}

static void moments_count_from_their_start(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *same;
    } equal[] = {
        {"2026", "2026-01-01T00:00:00Z"},
        {"2026-03", "2026-03-01T00:00:00.000000Z"},
        {"2026-03-04", "2026-03-04T00:00:00Z"},
        {"2026-03-04T05:06+02:00", "2026-03-04T03:06:00Z"},
        {"2026-03-04T05:06:07.5-05:00", "2026-03-04T10:06:07.500000Z"},
        {"2026-03-04T05:06:07", "2026-03-04T05:06:07Z"},
    };
    for (size_t i = 0; i < sizeof equal / sizeof equal[0]; i++) {
        int64_t a = 0;
        int64_t b = 1;
        assert_true(hub_moment_us(hub_span_str(equal[i].text), &a));
        assert_true(hub_moment_us(hub_span_str(equal[i].same), &b));
        assert_true(a == b);
    }
    static const char *const bad[] = {"",
                                      "20",
                                      "20260304",
                                      "2026-13",
                                      "2026-02-30",
                                      "2026-03-04T",
                                      "2026-03-04T5",
                                      "yesterday",
                                      "2026-03-04T05:06:07Zx"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t us;
        assert_false(hub_moment_us(hub_span_str(bad[i]), &us));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(identity_parses_every_kind),
        TEST(identity_refuses_what_is_no_fact),
        TEST(identity_same_joins_while_the_newest_snapshot_lists_both),
        TEST(identity_merge_joins_and_the_first_survives),
        TEST(identity_unlink_holds_apart_until_a_later_merge),
        TEST(identity_reversed_merge_follows_the_option),
        TEST(identity_merges_in_a_circle_end_with_the_newest_survivor),
        TEST(identity_primary_conflict_suspends_same_and_is_flagged),
        TEST(identity_other_authorities_do_not_conflict),
        TEST(identity_limit_keeps_charts_small_and_lists_what_was_left_out),
        TEST(identity_match_is_weakest),
        TEST(identity_is_a_function_of_the_set_of_facts),
        TEST(identity_charts_respect_limit_and_separation),
        TEST(moments_count_from_their_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
