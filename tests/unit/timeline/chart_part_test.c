/* Charts that are here in part: each is told once, and what processes count of them adds up to what one process counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/query/query.h"
#include "tests/unit/timeline/cluster_run.h"

enum { ROUNDS = 12, RECORDS_MAX = 1000, ALL = (1 << CLUSTER_PARTITIONS) - 1 };

static bool is_here(unsigned here, struct hub_span token)
{
    return (here >> cluster_partition_of(token, CLUSTER_PARTITIONS) & 1) != 0;
}

static void leave_only(struct cluster *c, unsigned here)
{
    for (int32_t i = 0; i < CLUSTER_PARTITIONS; i++) {
        hub_timelines_remove(c->set, i);
        if ((here >> i & 1) != 0)
            hub_timelines_add(c->set, i, c->parts[i].timeline);
    }
}

static void make_cluster(struct cluster *c, struct whole *whole, unsigned round)
{
    static struct events events;
    hub_arena_reset(&arena);
    seed = round + 1;
    make_events(&events);
    name_everybody(&events);
    apply_whole(whole, &events);
    cluster_open(c, &arena, &OPTIONS);
    for (size_t i = 0; i < events.count; i++)
        forward(c, events.items[i]);
    run(c, true);
}

/* --- each once --- */

struct told {
    struct hub_timeline *whole;
    unsigned here;
    size_t charts, in_part;
};

static bool told(void *ctx, const struct hub_chart_part *part)
{
    struct told *t = ctx;
    struct hub_chart chart;
    bool any = false, all = true;
    assert_true(part->token_count != 0);
    assert_int_equal(hub_timeline_chart(t->whole, &arena, part->tokens[0], &chart, NULL), HUB_OK);
    assert_int_equal(part->token_count, chart.token_count);
    for (size_t i = 0; i < chart.token_count; i++) {
        assert_true(hub_span_equal(part->tokens[i], chart.tokens[i]));
        assert_int_equal(part->here[i], is_here(t->here, chart.tokens[i]));
        any = any || part->here[i];
        all = all && part->here[i];
    }
    assert_true(any);
    t->charts++;
    t->in_part += !all;
    return true;
}

static bool count_here(void *ctx, const struct hub_chart *chart)
{
    struct told *t = ctx;
    bool any = false;
    for (size_t i = 0; i < chart->token_count; i++)
        any = any || is_here(t->here, chart->tokens[i]);
    t->charts += any;
    return true;
}

static void a_chart_with_a_token_here_is_told_once(void **state)
{
    (void)state;
    size_t in_part = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct cluster c = {0};
        struct whole whole;
        make_cluster(&c, &whole, round);
        for (unsigned here = 0; here <= ALL; here++) {
            struct told got = {.whole = whole.timeline, .here = here}, wanted = got;
            leave_only(&c, here);
            assert_int_equal(hub_timelines_each_chart_part(c.set, told, &got, NULL), HUB_OK);
            assert_int_equal(hub_timeline_each_chart(whole.timeline, count_here, &wanted, NULL), HUB_OK);
            assert_int_equal(got.charts, wanted.charts);
            assert_true(got.in_part == 0 || here != ALL);
            in_part += got.in_part;
        }
        cluster_close(&c);
        close_whole(&whole);
    }
    assert_true(in_part > ROUNDS); /* else nothing was tried */
}

/* --- what they add up to --- */

struct content {
    struct cluster *cluster;
    struct hub_timeline *whole;
    struct hub_json *records[RECORDS_MAX];
    bool elsewhere[RECORDS_MAX], of_others, ask_others;
    size_t count;
    uint8_t digest[32];
};

static bool collect(void *ctx, struct hub_span key, struct hub_span record)
{
    struct content *content = ctx;
    struct hub_json *json = NULL;
    (void)key;
    assert_int_equal(hub_json_parse(&arena, record, &json, NULL), HUB_OK);
    const struct hub_span kind = hub_json_get_span(json, "kind");
    if (content->of_others && !hub_span_is(kind, "patient") && !hub_span_is(kind, "revision"))
        return true;
    assert_true(content->count < RECORDS_MAX);
    content->elsewhere[content->count] = content->of_others;
    content->records[content->count++] = json;
    return true;
}

static void add_up(struct content *content)
{
    assert_int_equal(hub_query_content_digest(&arena, content->records, content->elsewhere, content->count, NULL, content->digest, NULL), HUB_OK);
    content->count = 0;
}

static bool add_part(void *ctx, const struct hub_chart_part *part)
{
    struct content *content = ctx;
    for (size_t i = 0; i < part->token_count; i++) {
        content->of_others = !part->here[i];
        if (part->here[i])
            assert_int_equal(hub_timelines_each_entry(content->cluster->set, part->tokens[i], collect, content, NULL), HUB_OK);
        else if (content->ask_others)
            assert_int_equal(hub_timeline_each_entry(content->whole, part->tokens[i], collect, content, NULL), HUB_OK);
    }
    add_up(content);
    return true;
}

static bool add_whole(void *ctx, const struct hub_chart *chart)
{
    struct content *content = ctx;
    for (size_t i = 0; i < chart->token_count; i++)
        assert_int_equal(hub_timeline_each_entry(content->whole, chart->tokens[i], collect, content, NULL), HUB_OK);
    add_up(content);
    return true;
}

/* Of processes that have HERE and the rest. */
static void of_processes(struct content *content, struct cluster *c, struct hub_timeline *whole, unsigned here, bool ask_others)
{
    *content = (struct content){.cluster = c, .whole = whole, .ask_others = ask_others};
    leave_only(c, here);
    assert_int_equal(hub_timelines_each_chart_part(c->set, add_part, content, NULL), HUB_OK);
    leave_only(c, ALL & ~here);
    assert_int_equal(hub_timelines_each_chart_part(c->set, add_part, content, NULL), HUB_OK);
}

static void content_of_processes_adds_up_to_that_of_one(void **state)
{
    (void)state;
    static struct content one, parts;
    unsigned wrong = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct cluster c = {0};
        struct whole whole;
        make_cluster(&c, &whole, round);
        one = (struct content){.cluster = &c, .whole = whole.timeline};
        assert_int_equal(hub_timeline_each_chart(whole.timeline, add_whole, &one, NULL), HUB_OK);
        for (unsigned here = 0; here <= ALL; here++) {
            of_processes(&parts, &c, whole.timeline, here, true);
            assert_memory_equal(parts.digest, one.digest, sizeof one.digest);
            of_processes(&parts, &c, whole.timeline, here, false);
            wrong += memcmp(parts.digest, one.digest, sizeof one.digest) != 0;
        }
        cluster_close(&c);
        close_whole(&whole);
    }
    assert_true(wrong > ROUNDS); /* who does not ask the others says something else */
}

/* --- while partitions come and go --- */

struct change {
    struct cluster *cluster;
    int32_t comes, leaves; /* -1: none */
    size_t told;
};

static bool change(void *ctx, const struct hub_chart_part *part)
{
    struct change *change = ctx;
    struct hub_timelines *set = change->cluster->set;
    if (change->told++ == 0 && change->comes >= 0)
        hub_timelines_add(set, change->comes, change->cluster->parts[change->comes].timeline);
    if (change->told == 1 && change->leaves >= 0)
        hub_timelines_remove(set, change->leaves);
    for (size_t i = 0; i < part->token_count; i++)
        assert_false(part->here[i] && cluster_partition_of(part->tokens[i], CLUSTER_PARTITIONS) == change->comes);
    return true;
}

static void what_comes_meanwhile_is_not_here_and_what_leaves_is_missed(void **state)
{
    (void)state;
    struct cluster c = {0};
    struct hub_error err = {0};
    const char *a = of_subject(0), *b = of_subject(1), *d = of_subject(2);
    seed = 1;
    cluster_open(&c, &arena, &OPTIONS);
    forward(&c, event_of("e1", a, hub_arena_printf(&arena, "link:%s,%s", a, b), 1, some_entries("e1", 1)));
    forward(&c, event_of("e2", b, hub_arena_printf(&arena, "link:%s,%s", b, d), 1, some_entries("e2", 1)));
    forward(&c, event_of("e3", d, "", 1, some_entries("e3", 1)));
    run(&c, true);
    const uint64_t before = hub_timelines_changes(c.set);
    struct change comes = {.cluster = &c, .comes = 0, .leaves = -1};
    hub_timelines_remove(c.set, 0);
    assert_int_equal(hub_timelines_each_chart_part(c.set, change, &comes, NULL), HUB_OK);
    assert_int_equal(comes.told, 1); /* once, though its smallest token may have come */
    assert_true(hub_timelines_changes(c.set) >= before + 2);
    struct change leaves = {.cluster = &c, .comes = -1, .leaves = 2};
    if (strcmp(d, a) < 0 && strcmp(d, b) < 0)
        leaves.leaves = 1; /* not the one that is being read */
    assert_int_equal(hub_timelines_each_chart_part(c.set, change, &leaves, &err), HUB_ELSEWHERE);
    assert_true(strlen(err.mend) != 0);
    hub_timelines_add(c.set, leaves.leaves, c.parts[leaves.leaves].timeline);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_chart_with_a_token_here_is_told_once),
        TEST(content_of_processes_adds_up_to_that_of_one),
        TEST(what_comes_meanwhile_is_not_here_and_what_leaves_is_missed),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
