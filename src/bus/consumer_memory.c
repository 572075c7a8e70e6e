/* Reading from the bus in memory. A group has one member at a time, the last that joined; it gets all
 * partitions. */
#include <stdio.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/bus/memory_internal.h"

struct assigned {
    struct hub_memory_topic *topic;
    int32_t partition;
    int64_t offset;
    bool paused, ended;
};

struct hub_memory_consumer {
    struct hub_bus_consumer base;
    struct hub_memory_bus *bus;
    struct hub_memory_group *group;
    const char *const *subscribed;
    struct assigned assigned[HUB_MEMORY_PLACES_MAX];
    size_t assigned_count, turn;
    enum hub_bus_kind pending; /* to be told next; HUB_BUS_IDLE: nothing */
    bool again;                /* after giving everything back it is assigned anew */
    struct hub_bus_place places[HUB_MEMORY_PLACES_MAX];
    const struct hub_memory_record *current;
};

static struct hub_memory_consumer *of(struct hub_bus_consumer *consumer)
{
    return (struct hub_memory_consumer *)consumer;
}

static struct hub_memory_group *group_of(struct hub_memory_bus *bus, const char *name)
{
    for (size_t i = 0; i < bus->group_count; i++)
        if (strcmp(bus->groups[i].name, name) == 0)
            return &bus->groups[i];
    HUB_ASSERT(bus->group_count < HUB_MEMORY_GROUPS_MAX);
    struct hub_memory_group *group = &bus->groups[bus->group_count++];
    (void)snprintf(group->name, sizeof group->name, "%s", name);
    for (size_t t = 0; t < HUB_MEMORY_TOPICS_MAX; t++)
        for (size_t p = 0; p < HUB_MEMORY_PARTITIONS_MAX; p++)
            group->committed[t][p].offset = HUB_BUS_NONE;
    return group;
}

static struct hub_memory_committed *committed_at(struct hub_memory_consumer *c, const char *topic, int32_t partition)
{
    const struct hub_memory_topic *found = hub_memory_find(c->bus, topic);
    HUB_ASSERT(found != NULL && partition < found->partition_count);
    return &c->group->committed[found - c->bus->topics][partition];
}

static struct assigned *find(struct hub_memory_consumer *c, const struct hub_bus_place *place)
{
    for (size_t i = 0; i < c->assigned_count; i++)
        if (strcmp(c->assigned[i].topic->name, place->topic) == 0 &&
            c->assigned[i].partition == place->partition)
            return &c->assigned[i];
    return NULL;
}

static void give_way(struct hub_memory_consumer *c, bool lost, bool again)
{
    if (c->pending != HUB_BUS_ASSIGNED)
        c->pending = lost ? HUB_BUS_LOST : HUB_BUS_REVOKED;
    else if (!again)
        c->pending = HUB_BUS_IDLE;
    c->again = again;
}

void hub_memory_rebalance(struct hub_bus *bus, const char *group, bool lost)
{
    struct hub_memory_bus *memory = (struct hub_memory_bus *)bus;
    (void)pthread_mutex_lock(&memory->lock);
    struct hub_memory_consumer *member = group_of(memory, group)->member;
    if (member != NULL)
        give_way(member, lost, true);
    (void)pthread_mutex_unlock(&memory->lock);
}

/* --- life --- */

enum hub_result hub_memory_consumer_open(struct hub_bus *bus, const struct hub_bus_consumer_options *options,
                                         struct hub_bus_consumer **out, struct hub_error *err)
{
    struct hub_memory_bus *memory = (struct hub_memory_bus *)bus;
    struct hub_memory_consumer *c = hub_mem_alloc(sizeof *c);
    if (c == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    c->base.ops = bus->ops;
    c->bus = memory;
    c->pending = HUB_BUS_IDLE;
    c->subscribed = options->topics;
    (void)pthread_mutex_lock(&memory->lock);
    if (options->group != NULL) {
        c->group = group_of(memory, options->group);
        if (c->group->member != NULL)
            give_way(c->group->member, false, false);
        c->group->member = c;
        c->pending = HUB_BUS_ASSIGNED;
    }
    (void)pthread_mutex_unlock(&memory->lock);
    *out = &c->base;
    return HUB_OK;
}

void hub_memory_consumer_close(struct hub_bus_consumer *consumer)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)pthread_mutex_lock(&c->bus->lock);
    if (c->group != NULL && c->group->member == c)
        c->group->member = NULL;
    (void)pthread_mutex_unlock(&c->bus->lock);
    hub_mem_free(c);
}

/* --- reading --- */

static void tell(struct hub_memory_consumer *c, struct hub_bus_event *event)
{
    event->kind = c->pending;
    event->places = c->places;
    for (size_t i = 0; c->pending == HUB_BUS_ASSIGNED && c->subscribed[i] != NULL; i++) {
        const struct hub_memory_topic *topic = hub_memory_find(c->bus, c->subscribed[i]);
        for (int32_t p = 0; topic != NULL && p < topic->partition_count; p++)
            c->places[event->place_count++] = (struct hub_bus_place){
                .topic = topic->name, .partition = p, .offset = HUB_BUS_NONE, .leader_epoch = -1};
    }
    for (size_t i = 0; c->pending != HUB_BUS_ASSIGNED && i < c->assigned_count; i++)
        c->places[event->place_count++] = (struct hub_bus_place){.topic = c->assigned[i].topic->name,
                                                                 .partition = c->assigned[i].partition,
                                                                 .offset = HUB_BUS_NONE,
                                                                 .leader_epoch = -1};
    c->pending = HUB_BUS_IDLE;
}

static bool read_one(struct hub_memory_consumer *c, struct hub_bus_event *event)
{
    for (size_t i = 0; i < c->assigned_count; i++) {
        struct assigned *a = &c->assigned[c->turn++ % c->assigned_count];
        const struct hub_memory_partition *p = &a->topic->partitions[a->partition];
        struct hub_bus_place place = {
            .topic = a->topic->name, .partition = a->partition, .offset = a->offset, .leader_epoch = 0};
        if (a->paused)
            continue;
        if ((size_t)a->offset < p->count) {
            c->current = &p->items[a->offset++];
            a->ended = false;
            event->kind = HUB_BUS_MESSAGE;
            event->message = (struct hub_bus_message){
                .place = place, .key = c->current->key, .value = c->current->value};
            return true;
        }
        if (!a->ended) {
            a->ended = true;
            c->places[0] = place;
            event->kind = HUB_BUS_AT_END;
            event->places = c->places;
            event->place_count = 1;
            return true;
        }
    }
    return false;
}

enum hub_result hub_memory_next(struct hub_bus_consumer *consumer, int timeout_ms, struct hub_bus_event *event,
                                struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)err;
    for (int left = timeout_ms;; left--) {
        bool got = true;
        (void)pthread_mutex_lock(&c->bus->lock);
        c->current = NULL;
        if (c->pending != HUB_BUS_IDLE)
            tell(c, event);
        else
            got = !c->bus->faults.away && read_one(c, event);
        (void)pthread_mutex_unlock(&c->bus->lock);
        if (got || left <= 0)
            return HUB_OK;
        (void)usleep(HUB_MEMORY_STEP_US);
    }
}

struct hub_span hub_memory_header(struct hub_bus_consumer *consumer, const char *name)
{
    const struct hub_memory_record *record = of(consumer)->current;
    for (size_t i = 0; record != NULL && i < record->header_count; i++)
        if (strcmp(record->headers[i].name, name) == 0)
            return record->headers[i].value;
    return HUB_SPAN_NONE;
}

bool hub_memory_consumer_trouble(const struct hub_bus_consumer *consumer, struct hub_error *out)
{
    const struct hub_memory_consumer *c = (const struct hub_memory_consumer *)consumer;
    *out = (struct hub_error){0};
    if (c->bus->faults.away)
        (void)hub_fail(out, HUB_NETWORK, "no broker can be reached", NULL);
    return c->bus->faults.away;
}

/* --- partitions --- */

static void set_offset(struct assigned *a, int64_t offset)
{
    a->offset = offset < 0 ? 0 : offset;
    a->ended = false;
}

enum hub_result hub_memory_assign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                                  struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    enum hub_result result = HUB_OK;
    (void)pthread_mutex_lock(&c->bus->lock);
    for (size_t i = 0; i < count && result == HUB_OK; i++) {
        struct hub_memory_topic *topic = hub_memory_find(c->bus, places[i].topic);
        if (topic == NULL || places[i].partition >= topic->partition_count || find(c, &places[i]) != NULL) {
            result = hub_fail(err, HUB_NOT_FOUND, "no such partition, or assigned already", NULL);
            continue;
        }
        struct assigned *a = &c->assigned[c->assigned_count++];
        *a = (struct assigned){.topic = topic, .partition = places[i].partition, .paused = places[i].offset == HUB_BUS_NONE};
        set_offset(a, places[i].offset);
    }
    (void)pthread_mutex_unlock(&c->bus->lock);
    return result;
}

enum hub_result hub_memory_unassign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                                    struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)err;
    (void)pthread_mutex_lock(&c->bus->lock);
    for (size_t i = 0; i < count; i++) {
        struct assigned *a = find(c, &places[i]);
        if (a != NULL)
            *a = c->assigned[--c->assigned_count];
    }
    if (c->again && c->assigned_count == 0) {
        c->again = false;
        c->pending = HUB_BUS_ASSIGNED;
    }
    (void)pthread_mutex_unlock(&c->bus->lock);
    return HUB_OK;
}

enum hub_result hub_memory_seek(struct hub_bus_consumer *consumer, const struct hub_bus_place *place,
                                struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)pthread_mutex_lock(&c->bus->lock);
    struct assigned *a = find(c, place);
    if (a != NULL)
        set_offset(a, place->offset);
    (void)pthread_mutex_unlock(&c->bus->lock);
    return a != NULL ? HUB_OK : hub_fail(err, HUB_NOT_FOUND, "not an assigned partition", NULL);
}

enum hub_result hub_memory_pause(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                                 bool paused, struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)err;
    (void)pthread_mutex_lock(&c->bus->lock);
    for (size_t i = 0; i < count; i++) {
        struct assigned *a = find(c, &places[i]);
        if (a != NULL)
            a->paused = paused;
    }
    (void)pthread_mutex_unlock(&c->bus->lock);
    return HUB_OK;
}

/* --- offsets --- */

enum hub_result hub_memory_commit_offsets(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                          size_t count, struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    enum hub_result result = HUB_OK;
    HUB_ASSERT(c->group != NULL);
    (void)pthread_mutex_lock(&c->bus->lock);
    if (c->bus->faults.away)
        result = hub_fail(err, HUB_NETWORK, "no broker can be reached", NULL);
    else if (c->group->member != c)
        result = hub_fail(err, HUB_DENIED, "the partition is another member's by now", NULL);
    for (size_t i = 0; i < count && result == HUB_OK; i++)
        *committed_at(c, places[i].topic, places[i].partition) = (struct hub_memory_committed){places[i].offset, places[i].note};
    (void)pthread_mutex_unlock(&c->bus->lock);
    return result;
}

enum hub_result hub_memory_committed(struct hub_bus_consumer *consumer, struct hub_bus_place *places, size_t count,
                                     int timeout_ms, struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)timeout_ms;
    (void)err;
    (void)pthread_mutex_lock(&c->bus->lock);
    for (size_t i = 0; i < count; i++) {
        const struct hub_memory_committed *committed = committed_at(c, places[i].topic, places[i].partition);
        places[i].offset = committed->offset;
        places[i].note = committed->note;
    }
    (void)pthread_mutex_unlock(&c->bus->lock);
    return HUB_OK;
}

enum hub_result hub_memory_offsets(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                                   int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)timeout_ms;
    (void)pthread_mutex_lock(&c->bus->lock);
    const struct hub_memory_topic *found = hub_memory_find(c->bus, topic);
    bool there = found != NULL && partition < found->partition_count;
    *oldest = 0;
    *end = there ? (int64_t)found->partitions[partition].count : 0;
    (void)pthread_mutex_unlock(&c->bus->lock);
    return there ? HUB_OK : hub_fail(err, HUB_NOT_FOUND, "a topic is not there", NULL);
}

enum hub_result hub_memory_partition_count(struct hub_bus_consumer *consumer, const char *topic, int timeout_ms,
                                           int32_t *count, struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)timeout_ms;
    (void)pthread_mutex_lock(&c->bus->lock);
    const struct hub_memory_topic *found = hub_memory_find(c->bus, topic);
    *count = found != NULL ? found->partition_count : 0;
    (void)pthread_mutex_unlock(&c->bus->lock);
    return found != NULL ? HUB_OK : hub_fail(err, HUB_NOT_FOUND, "a topic is not there", NULL);
}
