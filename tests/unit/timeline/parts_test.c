/* The timeline in parts is the timeline: whatever the order of events and facts, however often they come, and whichever partition
 * is put back from its topic meanwhile, into an empty store or an older one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "tests/unit/timeline/cluster.h"

enum { EVENTS = 70, EVENTS_MAX = 256, ROUNDS = 40, TOKENS = 10 };

static struct hub_arena arena;
static const struct hub_timeline_options OPTIONS = {.chart_tokens = 5};

static int setup(void **state)
{
    (void)state;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_arena_init(&arena, (size_t)1 << 30);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

/* --- chance, the same in every run --- */

static uint64_t seed;

static unsigned chance(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static void shuffle(struct topic *topic)
{
    for (size_t i = topic->count; i > 1; i--) {
        const size_t j = chance((unsigned)i);
        const struct bus_record one = topic->records[i - 1];
        topic->records[i - 1] = topic->records[j];
        topic->records[j] = one;
    }
}

/* --- events --- */

static const char *some_token(void)
{
    return hub_arena_printf(&arena, "1%c", (char)('a' + chance(TOKENS)));
}

static const char *some_identity(const char *subject)
{
    const char *a = some_token(), *b = some_token();
    if (strcmp(a, b) == 0)
        b = strcmp(a, "1a") == 0 ? "1b" : "1a";
    static const char *const kinds[] = {"merge", "link", "unlink", "manual", "match"};
    if (subject[0] != '1' || chance(6) == 0)
        return "";
    switch (chance(5)) {
    case 0:
        return hub_arena_printf(&arena, "same:%s~tag", subject);
    case 1:
        return hub_arena_printf(&arena, "same:%s,%s", subject, strcmp(subject, a) == 0 ? b : a);
    case 2:
        return hub_arena_printf(&arena, "same@sp:%s~tag;merge:%s,%s", subject, a, b);
    default:
        return hub_arena_printf(&arena, "%s:%s,%s", kinds[chance(5)], a, b);
    }
}

static const char *some_entries(const char *id, unsigned count)
{
    const char *all = "";
    for (unsigned i = 0; i < count; i++) {
        const struct entry_spec spec = {
            .type = "Observation",
            .id = hub_arena_printf(&arena, "r%s.%u", id, i),
            .kind = chance(2) ? "observation" : "report",
            .facts = hub_arena_printf(&arena, "f%u", chance(20)),
            .class_ = 1,
            .effective = (int)chance(100),
            .version = -1,
            .body = chance(5) == 0 ? ",\"meta\":{\"security\":[{\"code\":\"HTEST\"}]}" : hub_arena_printf(&arena, ",\"subject\":{\"reference\":\"Location/l%s\"}", id)};
        all = hub_arena_printf(&arena, "%s%s%s", all, i != 0 ? "," : "", make_entry(&arena, &spec));
    }
    if (count != 0 && chance(4) == 0)
        all = hub_arena_printf(&arena, "%s,{\"resource\":{\"resourceType\":\"Location\",\"id\":\"l%s\"}}", all, id);
    return all;
}

struct events {
    struct hub_span items[EVENTS_MAX];
    size_t count;
};

static void add(struct events *events, const struct event_spec *spec)
{
    assert_true(events->count < EVENTS_MAX);
    events->items[events->count++] = make_event(&arena, spec);
}

/* The same message mapped anew once or twice: with the same facts, or others. */
static void add_revisions(struct events *events, const struct event_spec *first)
{
    struct event_spec spec = *first;
    spec.origin = first->id;
    spec.origin_recorded = first->recorded;
    spec.supersedes = first->id;
    for (unsigned n = 1; n <= 1 + chance(2); n++) {
        spec.id = hub_arena_printf(&arena, "%s.r%u", first->id, n);
        spec.revision = hub_arena_printf(&arena, "%u", n);
        spec.recorded = first->recorded + 200 * (int)n;
        if (chance(2) == 0)
            spec.identity = some_identity(spec.subject);
        spec.entries = some_entries(spec.id, chance(3));
        add(events, &spec);
        spec.supersedes = hub_arena_printf(&arena, "%s,%s", spec.supersedes, spec.id);
    }
}

static void make_events(struct events *events)
{
    events->count = 0;
    for (unsigned i = 0; i < EVENTS; i++) {
        const char *id = hub_arena_printf(&arena, "e%u", i);
        const char *subject = some_token();
        if (chance(12) == 0)
            subject = hub_arena_printf(&arena, "2%s", id);
        else if (chance(12) == 0)
            subject = "3feed";
        struct event_spec spec = {.id = id, .subject = subject, .identity = some_identity(subject), .time = (int)(i + chance(20)),
                                  .recorded = (int)(i + 10), .source = chance(3) ? NULL : "/feeds/two",
                                  .entries = some_entries(id, chance(4))};
        add(events, &spec);
        if (chance(5) == 0)
            add_revisions(events, &spec);
        if (chance(6) == 0) { /* another value of the same id */
            spec.recorded += (int)chance(20) - 10;
            spec.entries = some_entries(id, chance(4));
            add(events, &spec);
        }
    }
}

/* --- the whole --- */

struct whole {
    struct hub_kv *kv;
    struct hub_timeline *timeline;
    uint8_t digest[32];
};

static void apply_whole(struct whole *whole, const struct events *events)
{
    whole->kv = cluster_kv();
    assert_int_equal(hub_timeline_open(whole->kv, &OPTIONS, &whole->timeline, NULL), HUB_OK);
    struct topic order = {0};
    for (size_t i = 0; i < events->count; i++)
        topic_add(&arena, &order, HUB_SPAN("k"), events->items[i]);
    shuffle(&order);
    for (size_t i = 0; i < order.count; i++) {
        assert_int_equal(hub_timeline_apply(whole->timeline, order.records[i].value, NULL, NULL), HUB_OK);
        if (chance(5) == 0)
            assert_int_equal(hub_timeline_flush(whole->timeline, 1, false, NULL), HUB_OK);
    }
    assert_int_equal(hub_timeline_flush(whole->timeline, 1, false, NULL), HUB_OK);
    assert_int_equal(hub_timeline_state_digest(whole->timeline, whole->digest, NULL), HUB_OK);
    free(order.records);
}

static void close_whole(struct whole *whole)
{
    hub_timeline_close(whole->timeline);
    hub_kv_close(whole->kv);
}

/* --- the parts --- */

static bool mine(void *ctx, struct hub_span token)
{
    return cluster_partition_of(token, CLUSTER_PARTITIONS) == *(const int32_t *)ctx;
}

/* What compaction leaves, behind record FROM: of each key the last one. */
static struct topic compacted(const struct topic *topic, size_t from)
{
    struct topic left = {0};
    for (size_t i = from; i < topic->count; i++) {
        bool last = true;
        for (size_t j = i + 1; j < topic->count && last; j++)
            last = !hub_span_equal(topic->records[i].key, topic->records[j].key);
        if (last)
            topic_add(&arena, &left, topic->records[i].key, topic->records[i].value);
    }
    return left;
}

static void restore(struct cluster_part *part, const struct topic *from, size_t start)
{
    for (size_t i = start; i < from->count; i++) {
        assert_int_equal(hub_timeline_restore(part->timeline, from->records[i].key, from->records[i].value, NULL), HUB_OK);
        if (chance(10) == 0) /* again, at once */
            assert_int_equal(hub_timeline_restore(part->timeline, from->records[i].key, from->records[i].value, NULL), HUB_OK);
        if (chance(10) == 0)
            assert_int_equal(hub_timeline_flush(part->timeline, part->next, false, NULL), HUB_OK);
    }
}

static size_t mark_of(struct cluster_part *part)
{
    char text[HUB_TIMELINE_MARK_MAX];
    uint64_t mark = 0;
    enum hub_result result = hub_timeline_mark(part->timeline, "timeline", text, NULL);
    assert_true(result == HUB_OK || result == HUB_NOT_FOUND);
    if (result == HUB_OK)
        assert_true(hub_span_parse_u64(hub_span_str(text), &mark));
    return (size_t)mark;
}

/* The partition moves to a process that has an older store of it (OLD) or none. */
static void take_over(struct cluster *c, int32_t number, struct hub_kv *old)
{
    struct cluster_part *part = &c->parts[number];
    const size_t next = (size_t)hub_timeline_position(part->timeline);
    part_close(c, number);
    hub_kv_close(part->kv);
    part->kv = old;
    part_open(c, number);
    size_t mark = mark_of(part);
    mark -= mark != 0 ? chance((unsigned)mark) / 4 : 0; /* some of it again */
    struct topic left = chance(2) ? compacted(&part->topic, mark) : (struct topic){0};
    if (left.count != 0)
        shuffle(&left);
    if (chance(3) == 0 && mark < part->topic.count) { /* killed on the way */
        restore(part, &part->topic, mark);
        assert_int_equal(hub_timeline_apply(part->timeline, part->events.records[0].value, NULL, NULL), HUB_USAGE);
        part_close(c, number);
        part_open(c, number);
    }
    restore(part, left.count != 0 ? &left : &part->topic, left.count != 0 ? 0 : mark);
    assert_int_equal(hub_timeline_restore_end(part->timeline, NULL), HUB_OK);
    assert_int_equal(part->sent.count, 0); /* the topic had it all */
    assert_int_equal(hub_timeline_sync_charts(part->timeline, c->identity, mine, &number, NULL), HUB_OK);
    part->next = next - (next != 0 ? chance((unsigned)next) / 2 : 0);
    assert_int_equal(part_flush(part), HUB_OK);
    free(left.records);
}

static void apply_next(struct cluster_part *part)
{
    if (part->next == part->events.count)
        return;
    const struct hub_span event = part->events.records[part->next].value;
    enum hub_result result = hub_timeline_apply(part->timeline, event, NULL, NULL);
    assert_true(result == HUB_OK || (result == HUB_AGAIN && part->cluster->waits));
    part->next += result == HUB_OK;
}

static void add_next(struct cluster *c)
{
    if (c->next_fact == c->facts.count)
        return;
    const struct bus_record *record = &c->facts.records[c->next_fact++];
    assert_int_equal(hub_timeline_add_identity(c->identity, record->key, record->value, NULL), HUB_OK);
}

static void flush_identity(struct cluster *c)
{
    assert_int_equal(hub_timeline_flush(c->identity, c->next_fact, false, NULL), HUB_OK);
}

static void crash(struct cluster *c, int32_t number)
{
    struct cluster_part *part = &c->parts[number];
    part_close(c, number);
    part_open(c, number);
    assert_int_equal(hub_timeline_restore_end(part->timeline, NULL), HUB_OK);
    assert_int_equal(hub_timeline_sync_charts(part->timeline, c->identity, mine, &number, NULL), HUB_OK);
}

static void crash_identity(struct cluster *c)
{
    for (int32_t i = 0; i < CLUSTER_PARTITIONS; i++)
        hub_timeline_wait_for(c->parts[i].timeline, NULL);
    hub_timeline_close(c->identity);
    identity_open(c);
    for (int32_t i = 0; i < CLUSTER_PARTITIONS && c->waits; i++)
        hub_timeline_wait_for(c->parts[i].timeline, c->identity);
}

static void step(struct cluster *c, struct hub_kv **old, bool calm)
{
    const int32_t number = (int32_t)chance(CLUSTER_PARTITIONS);
    switch (chance(calm ? 30 : 34)) {
    case 30:
        crash(c, number);
        break;
    case 31:
        crash_identity(c);
        break;
    case 32:
        hub_kv_close(old[number]);
        old[number] = cluster_copy(c->parts[number].kv);
        break;
    case 33:
        take_over(c, number, chance(2) && old[number] != NULL ? cluster_copy(old[number]) : cluster_kv());
        break;
    case 0:
    case 1:
        flush_identity(c);
        break;
    case 2:
    case 3:
        assert_int_equal(part_flush(&c->parts[number]), HUB_OK);
        break;
    default:
        if (chance(2))
            apply_next(&c->parts[number]);
        else
            add_next(c);
    }
}

static bool all_done(const struct cluster *c)
{
    bool done = c->next_fact == c->facts.count;
    for (int i = 0; i < CLUSTER_PARTITIONS; i++)
        done = done && c->parts[i].next == c->parts[i].events.count;
    return done;
}

static void run(struct cluster *c, bool calm)
{
    struct hub_kv *old[CLUSTER_PARTITIONS] = {NULL};
    for (unsigned i = 0; i < 20000 && !all_done(c); i++)
        step(c, old, calm || i > 2000);
    assert_true(all_done(c));
    flush_identity(c);
    for (int i = 0; i < CLUSTER_PARTITIONS; i++) {
        assert_int_equal(part_flush(&c->parts[i]), HUB_OK);
        hub_kv_close(old[i]);
    }
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(parts_of_any_order_add_up_to_the_whole),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
