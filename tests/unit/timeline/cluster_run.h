/* What befalls a timeline in parts: it goes on, is flushed, is killed, moves. */
#pragma once

#include "tests/unit/timeline/chance.h"

/* --- the parts --- */

static inline bool mine(void *ctx, struct hub_span token)
{
    return cluster_partition_of(token, CLUSTER_PARTITIONS) == *(const int32_t *)ctx;
}

/* What compaction leaves, behind record FROM: of each key the last one. */
static inline struct topic compacted(const struct topic *topic, size_t from)
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

static inline void restore(struct cluster_part *part, const struct topic *from, size_t start)
{
    for (size_t i = start; i < from->count; i++) {
        assert_int_equal(hub_timeline_restore(part->timeline, from->records[i].key, from->records[i].value, NULL), HUB_OK);
        if (chance(10) == 0) /* again, at once */
            assert_int_equal(hub_timeline_restore(part->timeline, from->records[i].key, from->records[i].value, NULL), HUB_OK);
        if (chance(10) == 0)
            assert_int_equal(hub_timeline_flush(part->timeline, part->next, false, NULL), HUB_OK);
    }
}

static inline size_t mark_of(struct cluster_part *part)
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
static inline void take_over(struct cluster *c, int32_t number, struct hub_kv *old)
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

static inline void apply_next(struct cluster_part *part)
{
    if (part->next == part->events.count)
        return;
    const struct hub_span event = part->events.records[part->next].value;
    enum hub_result result = hub_timeline_apply(part->timeline, event, NULL, NULL);
    assert_true(result == HUB_OK || (result == HUB_AGAIN && part->cluster->waits));
    part->next += result == HUB_OK;
}

static inline void add_next(struct cluster *c)
{
    if (c->next_fact == c->facts.count)
        return;
    const struct bus_record *record = &c->facts.records[c->next_fact++];
    assert_int_equal(hub_timeline_add_identity(c->identity, record->key, record->value, NULL), HUB_OK);
}

static inline void flush_identity(struct cluster *c)
{
    assert_int_equal(hub_timeline_flush(c->identity, c->next_fact, false, NULL), HUB_OK);
}

static inline void crash(struct cluster *c, int32_t number)
{
    struct cluster_part *part = &c->parts[number];
    part_close(c, number);
    part_open(c, number);
    assert_int_equal(hub_timeline_restore_end(part->timeline, NULL), HUB_OK);
    assert_int_equal(hub_timeline_sync_charts(part->timeline, c->identity, mine, &number, NULL), HUB_OK);
}

static inline void crash_identity(struct cluster *c)
{
    for (int32_t i = 0; i < CLUSTER_PARTITIONS; i++)
        hub_timeline_wait_for(c->parts[i].timeline, NULL);
    hub_timeline_close(c->identity);
    identity_open(c);
    for (int32_t i = 0; i < CLUSTER_PARTITIONS && c->waits; i++)
        hub_timeline_wait_for(c->parts[i].timeline, c->identity);
}

static inline void step(struct cluster *c, struct hub_kv **old, bool calm)
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

static inline bool all_done(const struct cluster *c)
{
    bool done = c->next_fact == c->facts.count;
    for (int i = 0; i < CLUSTER_PARTITIONS; i++)
        done = done && c->parts[i].next == c->parts[i].events.count;
    return done;
}

static inline void run(struct cluster *c, bool calm)
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

/* --- events and tokens to order --- */

static inline struct hub_span event_of(const char *id, const char *subject, const char *identity, int time, const char *entries)
{
    const struct event_spec spec = {.id = id, .subject = subject, .identity = identity, .time = time, .recorded = time + 1, .entries = entries};
    return make_event(&arena, &spec);
}

static inline const char *of_subject(int32_t partition)
{
    for (char letter = 'a';; letter++) {
        const char *token = hub_arena_printf(&arena, "1%c", letter);
        if (cluster_partition_of(hub_span_str(token), CLUSTER_PARTITIONS) == partition)
            return token;
    }
}
