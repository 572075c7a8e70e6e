/* Events as chance makes them, the same in every run, and the store of all of them to compare with. For tests, which include
 * cmocka before. */
#pragma once

#include "src/crypto/crypto.h"
#include "tests/unit/timeline/cluster.h"

enum { EVENTS = 70, EVENTS_MAX = 256, TOKENS = 10 };

static struct hub_arena arena;
static const struct hub_timeline_options OPTIONS = {.chart_tokens = 5};

static inline int setup(void **state)
{
    (void)state;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_arena_init(&arena, (size_t)1 << 30);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

/* --- chance, the same in every run --- */

static uint64_t seed;

static inline unsigned chance(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static inline void shuffle(struct topic *topic)
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

static inline void add(struct events *events, const struct event_spec *spec)
{
    assert_true(events->count < EVENTS_MAX);
    events->items[events->count++] = make_event(&arena, spec);
}

/* The same message mapped anew once or twice: with the same facts, or others. */
static inline void add_revisions(struct events *events, const struct event_spec *first)
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
        if (chance(4) == 0) { /* another value of the same revision, which may take the place of less */
            struct event_spec other = spec;
            other.recorded += (int)chance(20) - 10;
            other.supersedes = chance(2) != 0 ? first->id : spec.supersedes;
            other.entries = some_entries(spec.id, chance(3));
            add(events, &other);
        }
        spec.supersedes = hub_arena_printf(&arena, "%s,%s", spec.supersedes, spec.id);
    }
}

static inline void make_events(struct events *events)
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

static inline const char *patient(const char *id, const char *token, unsigned number)
{
    const struct entry_spec spec = {.type = "Patient",
                                    .id = id,
                                    .kind = "patient",
                                    .facts = hub_arena_printf(&arena, "pat%s", token),
                                    .class_ = 1,
                                    .effective = 1,
                                    .version = -1,
                                    .body = hub_arena_printf(&arena, ",\"identifier\":[{\"system\":\"urn:x\",\"value\":\"%s-%u\"}]", token, number)};
    return make_entry(&arena, &spec);
}

/* Who every token is; of some of them a revision says otherwise. */
static inline void name_everybody(struct events *events)
{
    for (unsigned i = 0; i < TOKENS; i++) {
        const char *token = hub_arena_printf(&arena, "1%c", (char)('a' + i));
        const char *id = hub_arena_printf(&arena, "p%u", i);
        struct event_spec spec = {.id = id, .subject = token, .time = 5, .recorded = 6, .entries = patient(hub_arena_printf(&arena, "pr%u", i), token, 0)};
        add(events, &spec);
        if (i % 3 != 0)
            continue;
        spec.origin = spec.supersedes = id;
        spec.origin_recorded = 6;
        spec.revision = "1";
        spec.recorded = 300;
        spec.id = hub_arena_printf(&arena, "p%u.r1", i);
        spec.entries = patient(hub_arena_printf(&arena, "pr%u.1", i), token, 1);
        add(events, &spec);
    }
}

/* --- the whole --- */

struct whole {
    struct hub_kv *kv;
    struct hub_timeline *timeline;
    uint8_t digest[32];
};

static inline void apply_whole(struct whole *whole, const struct events *events)
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

static inline void close_whole(struct whole *whole)
{
    hub_timeline_close(whole->timeline);
    hub_kv_close(whole->kv);
}
