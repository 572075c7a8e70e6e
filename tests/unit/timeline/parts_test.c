/* The timeline in parts is the timeline: whatever the order of events and facts, however often they come, and whichever partition
 * is put back from its topic meanwhile, into an empty store or an older one. */
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

/* --- what a partition tells, and when --- */

static struct hub_span event_of(const char *id, const char *subject, const char *identity, int time, const char *entries)
{
    const struct event_spec spec = {.id = id, .subject = subject, .identity = identity, .time = time, .recorded = time + 1, .entries = entries};
    return make_event(&arena, &spec);
}

static const char *of_subject(int32_t partition)
{
    for (char letter = 'a';; letter++) {
        const char *token = hub_arena_printf(&arena, "1%c", letter);
        if (cluster_partition_of(hub_span_str(token), CLUSTER_PARTITIONS) == partition)
            return token;
    }
}

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

/* --- a store of the form before this one --- */

static void put_json(struct hub_kv *kv, unsigned family, struct hub_span key, const struct hub_json *json)
{
    struct hub_kv_batch *batch = hub_kv_batch_new();
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    hub_json_write(&text, json);
    hub_kv_batch_put(batch, kv, family, key, hub_buf_view(&text));
    assert_int_equal(hub_kv_write(kv, batch, false, NULL), HUB_OK);
    hub_buf_deinit(&text);
    hub_kv_batch_free(batch);
}

static unsigned family_of(const char *name)
{
    unsigned family = 0;
    while (strcmp(hub_timeline_families()[family], name) != 0)
        family++;
    return family;
}

static bool has_sha256(void *ctx, struct hub_span key, struct hub_span record)
{
    struct hub_json *json = NULL;
    (void)ctx;
    (void)key;
    assert_int_equal(hub_json_parse(&arena, record, &json, NULL), HUB_OK);
    assert_non_null(hub_json_get(json, "sha256"));
    return true;
}

/* Group G of one record, its text whole: as any writer could have written it. */
static void put_group(struct hub_kv *kv, struct hub_span key, const struct bus_record *records, size_t count)
{
    struct hub_kv_batch *batch = hub_kv_batch_new();
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    hub_buf_append_byte(&text, 'G');
    hub_buf_append_be32(&text, 0);
    for (size_t i = 0; i < count; i++) {
        hub_buf_append_be16(&text, (uint16_t)records[i].key.len);
        hub_buf_append_span(&text, records[i].key);
        hub_buf_append_be32(&text, (uint32_t)records[i].value.len);
        hub_buf_append_span(&text, records[i].value);
    }
    hub_kv_batch_put(batch, kv, family_of("entries"), key, hub_buf_view(&text));
    assert_int_equal(hub_kv_write(kv, batch, false, NULL), HUB_OK);
    hub_buf_deinit(&text);
    hub_kv_batch_free(batch);
}

struct older {
    struct hub_kv *kv;
    struct topic of_event; /* ids and texts without what is new */
    struct hub_span event;
};

static bool take_older(void *ctx, struct hub_span key, struct hub_span record)
{
    struct older *o = ctx;
    struct hub_json *json = NULL;
    struct hub_buf text;
    (void)key;
    assert_int_equal(hub_json_parse(&arena, record, &json, NULL), HUB_OK);
    if (!hub_span_equal(hub_json_get_span(json, "event"), o->event) || hub_span_is(hub_json_get_span(json, "kind"), "revision"))
        return true;
    assert_non_null(hub_json_remove(json, "sha256"));
    hub_buf_init(&text, 1 << 20, false);
    hub_json_write(&text, json);
    topic_add(&arena, &o->of_event, hub_json_get_span(json, "id"), hub_buf_view(&text));
    hub_buf_deinit(&text);
    return true;
}

/* Takes from STORE what the form before did not have. */
static void make_older(struct hub_kv *kv, struct hub_timeline *timeline, bool half)
{
    struct older o = {.kv = kv};
    unsigned number = 0;
    struct hub_kv_iter *iter = hub_kv_iter_new(kv, family_of("events"), HUB_SPAN_NONE);
    while (hub_kv_iter_next(iter)) {
        struct hub_json *seen = NULL;
        struct hub_json *ids = hub_json_new(&arena, HUB_JSON_ARRAY);
        assert_int_equal(hub_json_parse(&arena, hub_arena_copy(&arena, hub_kv_iter_value(iter)), &seen, NULL), HUB_OK);
        if (hub_json_get(seen, "sha256") == NULL || (half && number++ % 2 == 0))
            continue;
        o.event = hub_arena_copy(&arena, hub_kv_iter_key(iter));
        o.of_event.count = 0;
        const struct hub_span subject = hub_json_get_span(seen, "subject");
        assert_int_equal(hub_timeline_each_entry(timeline, subject, take_older, &o, NULL), HUB_OK);
        const struct hub_span key =
            hub_span_str(hub_arena_printf(&arena, "%.*s/%.*s", (int)subject.len, (const char *)subject.ptr, (int)o.event.len, (const char *)o.event.ptr));
        if (o.of_event.count != 0)
            put_group(kv, key, o.of_event.records, o.of_event.count);
        for (size_t i = 0; i < o.of_event.count; i++)
            assert_int_equal(hub_json_push(ids, hub_json_string(&arena, o.of_event.records[i].key)), HUB_OK);
        assert_int_equal(hub_json_set_c(seen, "entries", ids), HUB_OK);
        assert_int_equal(hub_json_set_c(seen, "facts", hub_json_number_i64(&arena, 1)), HUB_OK);
        put_json(kv, family_of("events"), o.event, seen);
        struct hub_kv_value value;
        struct hub_json *revision = NULL;
        if (hub_kv_get(kv, family_of("revisions"), key, &value, NULL) != HUB_OK)
            continue;
        assert_int_equal(hub_json_parse(&arena, hub_arena_copy(&arena, value.bytes), &revision, NULL), HUB_OK);
        hub_kv_value_free(&value);
        assert_non_null(hub_json_remove(revision, "sha256"));
        put_json(kv, family_of("revisions"), key, revision);
    }
    hub_kv_iter_free(iter);
    struct hub_kv_batch *batch = hub_kv_batch_new();
    hub_kv_batch_delete(batch, kv, family_of("meta"), HUB_SPAN("form"));
    assert_int_equal(hub_kv_write(kv, batch, false, NULL), HUB_OK);
    hub_kv_batch_free(batch);
    free(o.of_event.records);
}

static void a_store_of_the_older_form_is_made_new(void **state)
{
    static struct events events;
    (void)state;
    for (int half = 0; half < 2; half++) { /* half: a crash on the way */
        struct whole whole;
        uint8_t digest[32];
        seed = 77;
        make_events(&events);
        apply_whole(&whole, &events);
        make_older(whole.kv, whole.timeline, half != 0);
        hub_timeline_close(whole.timeline);
        assert_int_equal(hub_timeline_open(whole.kv, &OPTIONS, &whole.timeline, NULL), HUB_OK);
        assert_int_equal(hub_timeline_state_digest(whole.timeline, digest, NULL), HUB_OK);
        assert_memory_equal(digest, whole.digest, sizeof digest);
        for (size_t i = 0; i < events.count; i++) { /* and they are all known */
            assert_int_equal(hub_timeline_apply(whole.timeline, events.items[i], NULL, NULL), HUB_OK);
            struct hub_json *json = NULL;
            assert_int_equal(hub_json_parse(&arena, events.items[i], &json, NULL), HUB_OK);
            assert_int_equal(hub_timeline_each_entry(whole.timeline, hub_json_get_span(json, "subject"), has_sha256, NULL, NULL), HUB_OK);
        }
        assert_int_equal(hub_timeline_flush(whole.timeline, 1, false, NULL), HUB_OK);
        assert_int_equal(hub_timeline_state_digest(whole.timeline, digest, NULL), HUB_OK);
        assert_memory_equal(digest, whole.digest, sizeof digest);
        /* a part of the timeline is no other part */
        struct hub_timeline *other = NULL;
        struct hub_timeline_options part = OPTIONS;
        part.part = HUB_TIMELINE_PARTITION;
        hub_timeline_close(whole.timeline);
        assert_int_equal(hub_timeline_open(whole.kv, &part, &other, NULL), HUB_CORRUPT);
        hub_kv_close(whole.kv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(parts_of_any_order_add_up_to_the_whole),
        TEST(nothing_is_written_that_was_not_settled),
        TEST(every_record_of_the_topic_has_its_key),
        TEST(a_torn_topic_is_made_whole),
        TEST(an_event_waits_for_its_facts),
        TEST(records_of_others_change_nothing),
        TEST(a_part_that_is_elsewhere_is_said_to_be),
        TEST(partitions_come_and_go_while_readers_read),
        TEST(a_store_of_the_older_form_is_made_new),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
