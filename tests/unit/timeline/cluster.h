/* A timeline in parts, as processes on a bus would keep it: partitions with their topic, who is who beside them, and the same events
 * in one store to compare with. Everything is in memory; a topic is a list. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "src/event/head.h"
#include "src/identity/identity.h"
#include "src/timeline/set.h"
#include "tests/unit/timeline/make_event.h"

enum { CLUSTER_PARTITIONS = 3 };

struct bus_record {
    struct hub_span key, value; /* value.ptr NULL: a tombstone */
};

struct topic {
    struct bus_record *records;
    size_t count, cap;
};

static inline void topic_add(struct hub_arena *arena, struct topic *topic, struct hub_span key, struct hub_span value)
{
    if (topic->count == topic->cap) {
        topic->cap = topic->cap != 0 ? topic->cap * 2 : 64;
        topic->records = realloc(topic->records, topic->cap * sizeof *topic->records);
        HUB_ASSERT(topic->records != NULL);
    }
    struct bus_record *record = &topic->records[topic->count++];
    record->key = hub_arena_copy(arena, key);
    record->value = value.ptr != NULL ? hub_arena_copy(arena, value) : HUB_SPAN_NONE;
}

struct cluster;

struct cluster_part {
    struct cluster *cluster;
    struct hub_kv *kv;
    struct hub_timeline *timeline;
    struct topic topic, sent; /* settled; given since */
    struct topic events;      /* its feed */
    size_t next;              /* of the feed */
    bool refuse;              /* settling fails */
    unsigned settled;
};

struct cluster {
    struct hub_arena *arena;
    struct hub_kv *identity_kv;
    struct hub_timeline *identity;
    struct topic facts; /* the topic `identity` */
    size_t next_fact;
    struct cluster_part parts[CLUSTER_PARTITIONS];
    struct hub_timelines *set;
    bool waits; /* events wait for their facts */
    struct hub_timeline_options options;
};

static inline int32_t cluster_partition_of(struct hub_span token, int32_t count)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < token.len; i++)
        h = (h ^ token.ptr[i]) * 16777619U;
    return (int32_t)((h ^ h >> 15) % (uint32_t)count);
}

static inline struct hub_kv *cluster_kv(void)
{
    const struct hub_kv_options options = {.families = hub_timeline_families(), .create = true};
    struct hub_kv *kv = NULL;
    HUB_ASSERT(hub_kv_open_memory(&options, &kv) == HUB_OK);
    return kv;
}

static inline struct hub_kv *cluster_copy(struct hub_kv *from)
{
    struct hub_kv *to = cluster_kv();
    struct hub_kv_batch *batch = hub_kv_batch_new();
    for (unsigned family = 0; hub_timeline_families()[family] != NULL; family++) {
        struct hub_kv_iter *iter = hub_kv_iter_new(from, family, HUB_SPAN_NONE);
        while (hub_kv_iter_next(iter))
            hub_kv_batch_put(batch, to, family, hub_kv_iter_key(iter), hub_kv_iter_value(iter));
        hub_kv_iter_free(iter);
    }
    HUB_ASSERT(hub_kv_write(to, batch, false, NULL) == HUB_OK);
    hub_kv_batch_free(batch);
    return to;
}

/* --- sinks --- */

static inline enum hub_result part_record(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value,
                                          struct hub_error *err)
{
    struct cluster_part *part = ctx;
    (void)err;
    HUB_ASSERT(key.len >= subject.len && memcmp(key.ptr, subject.ptr, subject.len) == 0);
    topic_add(part->cluster->arena, &part->sent, key, value);
    return HUB_OK;
}

static inline enum hub_result part_settle(void *ctx, struct hub_error *err)
{
    struct cluster_part *part = ctx;
    char mark[24];
    if (part->refuse)
        return hub_fail(err, HUB_DENIED, "fenced", NULL);
    part->settled++;
    for (size_t i = 0; i < part->sent.count; i++)
        topic_add(part->cluster->arena, &part->topic, part->sent.records[i].key, part->sent.records[i].value);
    part->sent.count = 0;
    (void)snprintf(mark, sizeof mark, "%zu", part->topic.count);
    return hub_timeline_set_mark(part->timeline, "timeline", hub_span_str(mark), err);
}

static inline enum hub_result part_flush(struct cluster_part *part)
{
    return hub_timeline_flush(part->timeline, part->next, false, NULL);
}

static inline enum hub_result chart_record(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value,
                                           struct hub_error *err)
{
    struct cluster *c = ctx;
    (void)subject;
    return hub_timeline_set_chart(c->parts[cluster_partition_of(key, CLUSTER_PARTITIONS)].timeline, key, value, err);
}

static inline enum hub_result chart_settle(void *ctx, struct hub_error *err)
{
    struct cluster *c = ctx;
    (void)err;
    for (int i = 0; i < CLUSTER_PARTITIONS; i++)
        HUB_TRY(part_flush(&c->parts[i]));
    return HUB_OK;
}

/* --- opening --- */

static inline void part_open(struct cluster *c, int32_t number)
{
    struct cluster_part *part = &c->parts[number];
    struct hub_timeline_options options = c->options;
    options.part = HUB_TIMELINE_PARTITION;
    options.sink = (struct hub_timeline_sink){part_record, part_settle, part};
    part->cluster = c;
    if (part->kv == NULL)
        part->kv = cluster_kv();
    part->sent.count = 0;
    HUB_ASSERT(hub_timeline_open(part->kv, &options, &part->timeline, NULL) == HUB_OK);
    if (c->waits)
        hub_timeline_wait_for(part->timeline, c->identity);
    part->next = (size_t)hub_timeline_position(part->timeline);
    hub_timelines_add(c->set, number, part->timeline);
}

static inline void part_close(struct cluster *c, int32_t number)
{
    hub_timelines_remove(c->set, number);
    hub_timeline_close(c->parts[number].timeline);
    c->parts[number].timeline = NULL;
}

static inline void identity_open(struct cluster *c)
{
    struct hub_timeline_options options = c->options;
    options.part = HUB_TIMELINE_IDENTITY;
    options.sink = (struct hub_timeline_sink){chart_record, chart_settle, c};
    if (c->identity_kv == NULL)
        c->identity_kv = cluster_kv();
    HUB_ASSERT(hub_timeline_open(c->identity_kv, &options, &c->identity, NULL) == HUB_OK);
    c->next_fact = (size_t)hub_timeline_position(c->identity);
}

static inline void cluster_open(struct cluster *c, struct hub_arena *arena, const struct hub_timeline_options *options)
{
    c->arena = arena;
    c->options = *options;
    c->set = hub_timelines_new(CLUSTER_PARTITIONS, cluster_partition_of);
    HUB_ASSERT(c->set != NULL);
    identity_open(c);
    for (int32_t i = 0; i < CLUSTER_PARTITIONS; i++)
        part_open(c, i);
}

static inline void cluster_close(struct cluster *c)
{
    for (int32_t i = 0; i < CLUSTER_PARTITIONS; i++) {
        struct cluster_part *part = &c->parts[i];
        part_close(c, i);
        hub_kv_close(part->kv);
        free(part->topic.records);
        free(part->sent.records);
        free(part->events.records);
    }
    hub_timeline_close(c->identity);
    hub_kv_close(c->identity_kv);
    free(c->facts.records);
    hub_timelines_free(c->set);
}

/* --- what a forwarder makes of an event --- */

static inline void forward(struct cluster *c, struct hub_span event)
{
    struct hub_event_head head;
    struct hub_identity_statement *facts = NULL;
    struct hub_json *json = NULL;
    size_t count = 0;
    HUB_ASSERT(hub_event_head(event, &head) == HUB_OK);
    HUB_ASSERT(hub_identity_of_event(c->arena, &head, &facts, &count, NULL) == HUB_OK);
    for (size_t i = 0; i < count; i++) {
        struct hub_buf text;
        hub_buf_init(&text, 1 << 20, false);
        hub_json_write(&text, hub_identity_json(c->arena, &facts[i]));
        topic_add(c->arena, &c->facts, hub_span_str(hub_arena_printf(c->arena, "%.*s/%zu", (int)head.id.len, (const char *)head.id.ptr, i)),
                  hub_buf_view(&text));
        hub_buf_deinit(&text);
    }
    HUB_ASSERT(hub_json_parse(c->arena, event, &json, NULL) == HUB_OK);
    const struct hub_span names = hub_json_get_span(json, "supersedes");
    if (head.origin.len != 0) {
        struct hub_buf text;
        hub_buf_init(&text, 1 << 20, false);
        hub_buf_append_str(&text, "{\"supersedes\":[");
        for (size_t i = 0, start = 0; i <= names.len && names.len != 0; i++) {
            if (i != names.len && names.ptr[i] != ',')
                continue;
            hub_buf_printf(&text, "%s\"%.*s\"", start != 0 ? "," : "", (int)(i - start), (const char *)names.ptr + start);
            start = i + 1;
        }
        hub_buf_append_str(&text, "]}");
        topic_add(c->arena, &c->facts, hub_span_str(hub_arena_printf(c->arena, "%.*s/revision", (int)head.id.len, (const char *)head.id.ptr)),
                  hub_buf_view(&text));
        hub_buf_deinit(&text);
    }
    topic_add(c->arena, &c->parts[cluster_partition_of(head.subject, CLUSTER_PARTITIONS)].events, head.id, event);
}
