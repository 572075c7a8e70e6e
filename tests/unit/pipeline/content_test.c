/* What members of the group say of the content of charts that reach over all of them adds up to what one process says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "src/pipeline/elsewhere.h"
#include "src/query/query.h"
#include "tests/unit/pipeline/unify_harness.h"

enum { RECORDS_MAX = 1000 };

static struct site site;

static int open_one(void **state)
{
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

struct content {
    struct hub_timelines *set;
    struct hub_timeline *whole;
    struct hub_elsewhere *others;
    struct hub_json *records[RECORDS_MAX];
    bool elsewhere[RECORDS_MAX], of_others;
    size_t count, in_part;
    uint8_t digest[32];
};

static bool collect(void *ctx, struct hub_span key, struct hub_span record)
{
    struct content *content = ctx;
    (void)key;
    assert_true(content->count < RECORDS_MAX);
    content->elsewhere[content->count] = content->of_others;
    assert_int_equal(hub_json_parse(&arena, record, &content->records[content->count++], NULL), HUB_OK);
    return true;
}

static void add_up(struct content *content)
{
    assert_int_equal(hub_query_content_digest(&arena, content->records, content->elsewhere, content->count, NULL, content->digest, NULL), HUB_OK);
    content->count = 0;
}

static bool want(void *ctx, const struct hub_chart_part *part)
{
    struct content *content = ctx;
    for (size_t i = 0; i < part->token_count; i++) {
        if (!part->here[i])
            assert_int_equal(hub_elsewhere_want(content->others, part->tokens[i], NULL), HUB_OK);
        content->in_part += !part->here[i];
    }
    return true;
}

static bool add_part(void *ctx, const struct hub_chart_part *part)
{
    struct content *content = ctx;
    for (size_t i = 0; i < part->token_count; i++) {
        content->of_others = !part->here[i];
        assert_int_equal(part->here[i] ? hub_timelines_each_entry(content->set, part->tokens[i], collect, content, NULL)
                                       : hub_elsewhere_each(content->others, part->tokens[i], collect, content),
                         HUB_OK);
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

static void add_member(struct site *s, struct content *content, size_t number)
{
    const struct hub_elsewhere_options options = {.bus = s->bus,
                                                  .events = EVENTS_TOPIC,
                                                  .timeline = TIMELINE_TOPIC,
                                                  .group = GROUP,
                                                  .partitions = PARTITIONS,
                                                  .patience_ms = WAIT_MS,
                                                  .bytes_max = 1 << 24};
    content->set = s->members[number].set;
    assert_int_equal(hub_elsewhere_new(&options, &content->others, NULL), HUB_OK);
    assert_int_equal(hub_timelines_each_chart_part(content->set, want, content, NULL), HUB_OK);
    assert_int_equal(hub_elsewhere_read(content->others, NULL), HUB_OK);
    assert_int_equal(hub_timelines_each_chart_part(content->set, add_part, content, NULL), HUB_OK);
    hub_elsewhere_free(content->others);
}

/* Each member has some of the partitions: from then on none moves. */
static bool shared(struct site *s)
{
    uint32_t owned = 0;
    uint64_t rebalances = 0;
    bool all = true;
    for (size_t i = 0; i < MEMBERS && all; i++) {
        const uint32_t before = owned;
        all = !s->members[i].running || (is_ready(s, i, &owned, &rebalances) && owned != before);
    }
    return all && owned == PARTITIONS;
}

static void content_adds_up(struct site *s)
{
    static struct content one, members;
    for (int64_t left_us = (int64_t)WAIT_MS * 1000; !shared(s); left_us -= LOOK_US) {
        assert_true(left_us > 0);
        (void)usleep(LOOK_US);
    }
    expect_whole(s);
    one = (struct content){.whole = s->whole.timeline};
    members = (struct content){.whole = NULL};
    assert_int_equal(hub_timeline_each_chart(s->whole.timeline, add_whole, &one, NULL), HUB_OK);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (s->members[i].running)
            add_member(s, &members, i);
    }
    assert_true(members.in_part != 0);
    assert_memory_equal(members.digest, one.digest, sizeof one.digest);
}

static void content_of_members_adds_up(void **state)
{
    struct site *s = *state;
    make_events(&s->events);
    name_everybody(&s->events);
    apply_whole(&s->whole, &s->events);
    start_member(s, 0);
    start_member(s, 1);
    send_up_to(s, s->events.count / 2);
    /* outputs that come to nothing, and such that count twice, are in the topic then */
    hub_memory_faults(s->bus, &(struct hub_memory_faults){.commit_after = 1});
    send_up_to(s, s->events.count * 3 / 4);
    hub_memory_faults(s->bus, &(struct hub_memory_faults){.commit_after = 1, .commit_counts = true});
    send_up_to(s, s->events.count);
    content_adds_up(s);
    start_member(s, 2); /* each has one partition */
    content_adds_up(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(content_of_members_adds_up, open_one, close_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
