/* Reading from the bus in memory. The members of a group have its partitions in turn; who joins or leaves moves no more of them
 * than must be, and one is given to its next owner once the former has let go of it. */
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
    struct hub_memory_group *group; /* whose offsets it knows */
    bool member;                    /* of it */
    const char *const *subscribed;
    bool uncommitted;
    struct assigned assigned[HUB_MEMORY_PLACES_MAX];
    size_t assigned_count, turn;
    bool asleep, joined; /* JOINED: it was told what it has */
    bool give, lost;     /* all it has, first of all */
    struct hub_bus_place places[HUB_MEMORY_PLACES_MAX];
    struct hub_memory_record current;
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
            group->committed[t][p] = (struct hub_memory_committed){.offset = HUB_BUS_NONE, .epoch = -1};
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

static bool subscribed(const struct hub_memory_consumer *c, const struct hub_memory_topic *topic)
{
    for (size_t i = 0; c->subscribed[i] != NULL; i++)
        if (strcmp(c->subscribed[i], topic->name) == 0)
            return true;
    return false;
}

static size_t rank_of(const struct hub_memory_consumer *c)
{
    size_t rank = 0;
    while (rank < c->group->member_count && c->group->members[rank] != c)
        rank++;
    return rank;
}

static bool is_due(const struct hub_memory_consumer *c, int32_t partition)
{
    return c->group->member_count != 0 && (size_t)partition % c->group->member_count == rank_of(c);
}

static void join(struct hub_memory_consumer *c)
{
    HUB_ASSERT(c->group->member_count < HUB_MEMORY_MEMBERS_MAX);
    c->group->members[c->group->member_count++] = c;
    c->joined = false;
}

static void leave(struct hub_memory_consumer *c)
{
    struct hub_memory_group *g = c->group;
    for (size_t i = rank_of(c); i + 1 < g->member_count; i++)
        g->members[i] = g->members[i + 1];
    g->member_count--;
    for (size_t t = 0; t < HUB_MEMORY_TOPICS_MAX; t++)
        for (size_t p = 0; p < HUB_MEMORY_PARTITIONS_MAX; p++)
            if (g->owners[t][p] == c)
                g->owners[t][p] = NULL;
}

void hub_memory_rebalance(struct hub_bus *bus, const char *group, bool lost)
{
    struct hub_memory_bus *memory = (struct hub_memory_bus *)bus;
    (void)pthread_mutex_lock(&memory->lock);
    struct hub_memory_group *g = group_of(memory, group);
    for (size_t i = 0; i < g->member_count; i++) {
        g->members[i]->give = true;
        g->members[i]->lost = lost;
    }
    (void)pthread_mutex_unlock(&memory->lock);
}

void hub_memory_sleep(struct hub_bus *bus, const char *group, size_t rank)
{
    struct hub_memory_bus *memory = (struct hub_memory_bus *)bus;
    (void)pthread_mutex_lock(&memory->lock);
    struct hub_memory_group *g = group_of(memory, group);
    if (rank < g->member_count && g->sleeper == NULL) {
        g->sleeper = g->members[rank];
        g->sleeper->asleep = true;
        leave(g->sleeper);
    }
    (void)pthread_mutex_unlock(&memory->lock);
}

void hub_memory_wake(struct hub_bus *bus, const char *group)
{
    struct hub_memory_bus *memory = (struct hub_memory_bus *)bus;
    (void)pthread_mutex_lock(&memory->lock);
    struct hub_memory_group *g = group_of(memory, group);
    if (g->sleeper != NULL) {
        g->sleeper->asleep = false;
        g->sleeper->give = g->sleeper->lost = true;
        join(g->sleeper);
        g->sleeper = NULL;
    }
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
    c->subscribed = options->topics;
    c->uncommitted = options->uncommitted;
    (void)pthread_mutex_lock(&memory->lock);
    if (options->group != NULL)
        c->group = group_of(memory, options->group);
    c->member = options->group != NULL && options->topics != NULL;
    if (c->member)
        join(c);
    (void)pthread_mutex_unlock(&memory->lock);
    *out = &c->base;
    return HUB_OK;
}

void hub_memory_consumer_close(struct hub_bus_consumer *consumer)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)pthread_mutex_lock(&c->bus->lock);
    if (c->member && c->asleep)
        c->group->sleeper = NULL;
    else if (c->member)
        leave(c);
    (void)pthread_mutex_unlock(&c->bus->lock);
    hub_mem_free(c);
}

/* --- reading --- */

static void add_place(struct hub_memory_consumer *c, struct hub_bus_event *event, const struct hub_memory_topic *topic, int32_t partition)
{
    c->places[event->place_count++] =
        (struct hub_bus_place){.topic = topic->name, .partition = partition, .offset = HUB_BUS_NONE, .leader_epoch = -1};
}

/* What it has to give back: all of it, or what is another one's turn. */
static bool tell_revoked(struct hub_memory_consumer *c, struct hub_bus_event *event)
{
    for (size_t i = 0; i < c->assigned_count; i++)
        if (c->give || !is_due(c, c->assigned[i].partition))
            add_place(c, event, c->assigned[i].topic, c->assigned[i].partition);
    event->kind = c->lost ? HUB_BUS_LOST : HUB_BUS_REVOKED;
    c->give = c->lost = false;
    return event->place_count != 0;
}

static bool tell_assigned(struct hub_memory_consumer *c, struct hub_bus_event *event)
{
    for (size_t t = 0; t < c->bus->topic_count; t++) {
        const struct hub_memory_topic *topic = &c->bus->topics[t];
        for (int32_t p = 0; subscribed(c, topic) && p < topic->partition_count; p++) {
            if (!is_due(c, p) || c->group->owners[t][p] != NULL)
                continue;
            c->group->owners[t][p] = c;
            add_place(c, event, topic, p);
        }
    }
    const bool first = !c->joined;
    c->joined = true;
    event->kind = HUB_BUS_ASSIGNED;
    return first || event->place_count != 0;
}

static bool tell(struct hub_memory_consumer *c, struct hub_bus_event *event)
{
    event->places = c->places;
    event->place_count = 0;
    if (tell_revoked(c, event) || tell_assigned(c, event))
        return true;
    *event = (struct hub_bus_event){.kind = HUB_BUS_IDLE};
    return false;
}

/* The next record that may be seen; false: none up to the first open transaction. */
static bool step_to_seen(const struct hub_memory_consumer *c, struct assigned *a)
{
    const struct hub_memory_partition *p = &a->topic->partitions[a->partition];
    for (; (size_t)a->offset < p->count; a->offset++) {
        const enum hub_memory_state state = p->items[a->offset].state;
        if (state == HUB_MEMORY_SEEN || (c->uncommitted && state != HUB_MEMORY_MARK))
            return true;
        if (state == HUB_MEMORY_OPEN)
            return false;
    }
    return false;
}

static bool jumps(struct hub_memory_consumer *c, struct assigned *a)
{
    struct hub_memory_faults *faults = &c->bus->faults;
    if (!c->member || faults->jump_after == 0 || --faults->jump_after != 0)
        return false;
    a->offset = (int64_t)a->topic->partitions[a->partition].count;
    a->ended = false;
    return true;
}

static bool read_one(struct hub_memory_consumer *c, struct hub_bus_event *event)
{
    for (size_t i = 0; i < c->assigned_count; i++) {
        struct assigned *a = &c->assigned[c->turn++ % c->assigned_count];
        if (a->paused)
            continue;
        const bool seen = step_to_seen(c, a) && !jumps(c, a);
        struct hub_bus_place place = {
            .topic = a->topic->name, .partition = a->partition, .offset = a->offset, .leader_epoch = 0};
        if (seen) {
            place.leader_epoch = a->topic->partitions[a->partition].items[a->offset].epoch;
            c->current = a->topic->partitions[a->partition].items[a->offset++].record;
            a->ended = false;
            event->kind = HUB_BUS_MESSAGE;
            event->message = (struct hub_bus_message){
                .place = place, .key = c->current.key, .value = c->current.value};
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
        bool got = false;
        *event = (struct hub_bus_event){.kind = HUB_BUS_IDLE};
        (void)pthread_mutex_lock(&c->bus->lock);
        c->current = (struct hub_memory_record){.header_count = 0};
        if (c->asleep || c->bus->faults.away)
            got = false;
        else
            got = (c->member && tell(c, event)) || read_one(c, event);
        (void)pthread_mutex_unlock(&c->bus->lock);
        if (got || left <= 0)
            return HUB_OK;
        (void)usleep(HUB_MEMORY_STEP_US);
    }
}

struct hub_span hub_memory_header(struct hub_bus_consumer *consumer, const char *name)
{
    const struct hub_memory_record *record = &of(consumer)->current;
    for (size_t i = 0; i < record->header_count; i++)
        if (strcmp(record->headers[i].name, name) == 0)
            return record->headers[i].value;
    return HUB_SPAN_NONE;
}

bool hub_memory_consumer_trouble(const struct hub_bus_consumer *consumer, struct hub_error *out)
{
    const struct hub_memory_consumer *c = (const struct hub_memory_consumer *)consumer;
    (void)pthread_mutex_lock(&c->bus->lock);
    const bool away = c->bus->faults.away;
    (void)pthread_mutex_unlock(&c->bus->lock);
    *out = (struct hub_error){0};
    if (away)
        (void)hub_fail(out, HUB_NETWORK, "no broker can be reached", NULL);
    return away;
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
        const struct hub_memory_topic *topic = hub_memory_find(c->bus, places[i].topic);
        if (a != NULL)
            *a = c->assigned[--c->assigned_count];
        if (c->group != NULL && c->group->owners[topic - c->bus->topics][places[i].partition] == c)
            c->group->owners[topic - c->bus->topics][places[i].partition] = NULL;
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
    for (size_t i = 0; i < count && result == HUB_OK; i++)
        if (c->group->owners[hub_memory_find(c->bus, places[i].topic) - c->bus->topics][places[i].partition] != c)
            result = hub_fail(err, HUB_DENIED, "the partition is another member's by now", NULL);
    for (size_t i = 0; i < count && result == HUB_OK; i++)
        *committed_at(c, places[i].topic, places[i].partition) = (struct hub_memory_committed){places[i].offset, places[i].note, places[i].leader_epoch, places[i].fingerprint};
    (void)pthread_mutex_unlock(&c->bus->lock);
    return result;
}

enum hub_result hub_memory_committed(struct hub_bus_consumer *consumer, struct hub_bus_place *places, size_t count,
                                     int timeout_ms, struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)timeout_ms;
    (void)pthread_mutex_lock(&c->bus->lock);
    const bool away = c->bus->faults.away;
    for (size_t i = 0; i < count && !away; i++) {
        const struct hub_memory_committed *committed = committed_at(c, places[i].topic, places[i].partition);
        places[i].offset = committed->offset;
        places[i].note = committed->note;
        places[i].leader_epoch = committed->epoch;
        places[i].fingerprint = committed->fingerprint;
    }
    (void)pthread_mutex_unlock(&c->bus->lock);
    return away ? hub_fail(err, HUB_NETWORK, "no broker can be reached", NULL) : HUB_OK;
}

enum hub_result hub_memory_offsets(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                                   int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err)
{
    struct hub_memory_consumer *c = of(consumer);
    (void)timeout_ms;
    (void)pthread_mutex_lock(&c->bus->lock);
    const struct hub_memory_topic *found = hub_memory_find(c->bus, topic);
    bool there = found != NULL && partition < found->partition_count;
    const struct hub_memory_partition *p = there ? &found->partitions[partition] : NULL;
    const bool away = c->bus->faults.away;
    *oldest = *end = 0;
    while (p != NULL && (size_t)*end < p->count && (c->uncommitted || p->items[*end].state != HUB_MEMORY_OPEN))
        ++*end;
    (void)pthread_mutex_unlock(&c->bus->lock);
    if (away)
        return hub_fail(err, HUB_NETWORK, "no broker can be reached", NULL);
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
