/* A bus inside one process, for tests: the same contracts, nothing on any network, faults to order
 * (src/bus/memory.h). One lock; every call may come from any thread. */
#include <stdio.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/bus/memory_internal.h"

static struct hub_memory_bus *bus_of(struct hub_bus *bus)
{
    return (struct hub_memory_bus *)bus;
}

/* --- topics --- */

struct hub_memory_topic *hub_memory_find(struct hub_memory_bus *bus, const char *name)
{
    for (size_t i = 0; i < bus->topic_count; i++)
        if (strcmp(bus->topics[i].name, name) == 0)
            return &bus->topics[i];
    return NULL;
}

void hub_memory_topic(struct hub_bus *base, const char *name, int32_t partitions)
{
    struct hub_memory_bus *bus = bus_of(base);
    HUB_ASSERT(bus->topic_count < HUB_MEMORY_TOPICS_MAX && partitions <= HUB_MEMORY_PARTITIONS_MAX);
    struct hub_memory_topic *topic = &bus->topics[bus->topic_count++];
    (void)snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->partition_count = partitions;
    topic->partitions = hub_mem_array((size_t)partitions, sizeof *topic->partitions);
    HUB_ASSERT(topic->partitions != NULL);
}

static bool copy(struct hub_span from, struct hub_span *to)
{
    *to = HUB_SPAN_NONE;
    if (from.ptr == NULL)
        return true;
    uint8_t *bytes = hub_mem_alloc(from.len + 1);
    if (bytes == NULL)
        return false;
    if (from.len != 0)
        memcpy(bytes, from.ptr, from.len);
    *to = hub_span_of(bytes, from.len);
    return true;
}

static void free_stored(const struct hub_memory_record *item)
{
    hub_mem_free((void *)(uintptr_t)item->key.ptr);
    hub_mem_free((void *)(uintptr_t)item->value.ptr);
    for (size_t i = 0; i < item->header_count; i++) {
        hub_mem_free((void *)(uintptr_t)item->headers[i].name);
        hub_mem_free((void *)(uintptr_t)item->headers[i].value.ptr);
    }
}

static bool store(const struct hub_bus_record *record, int32_t partition, struct hub_memory_record *out)
{
    *out = (struct hub_memory_record){.partition = partition};
    bool good = copy(record->key, &out->key) && copy(record->value, &out->value);
    for (size_t i = 0; i < record->header_count && good; i++) {
        out->headers[i].name = hub_mem_strdup(record->headers[i].name);
        good = out->headers[i].name != NULL && copy(record->headers[i].value, &out->headers[i].value);
        out->header_count++;
    }
    if (!good)
        free_stored(out);
    return good;
}

static bool append(struct hub_memory_partition *p, const struct hub_memory_item *item)
{
    if (p->count == p->cap) {
        const size_t cap = p->cap != 0 ? p->cap * 2 : 64;
        struct hub_memory_item *items = hub_mem_resize(p->items, cap * sizeof *items);
        if (items == NULL)
            return false;
        p->items = items;
        p->cap = cap;
    }
    p->items[p->count] = *item;
    p->items[p->count++].epoch = p->epoch;
    return true;
}

size_t hub_memory_count(struct hub_bus *base, const char *name, int32_t partition)
{
    struct hub_memory_bus *bus = bus_of(base);
    (void)pthread_mutex_lock(&bus->lock);
    size_t count = hub_memory_find(bus, name)->partitions[partition].count;
    (void)pthread_mutex_unlock(&bus->lock);
    return count;
}

struct hub_memory_record hub_memory_at(struct hub_bus *base, const char *name, int32_t partition, size_t at)
{
    struct hub_memory_bus *bus = bus_of(base);
    (void)pthread_mutex_lock(&bus->lock);
    const struct hub_memory_item *item = &hub_memory_find(bus, name)->partitions[partition].items[at];
    struct hub_memory_record record = item->record;
    record.hidden = item->state != HUB_MEMORY_SEEN;
    (void)pthread_mutex_unlock(&bus->lock);
    return record;
}

size_t hub_memory_lose_end(struct hub_bus *base, const char *name, int32_t partition, size_t count)
{
    struct hub_memory_bus *bus = bus_of(base);
    (void)pthread_mutex_lock(&bus->lock);
    struct hub_memory_partition *p = &hub_memory_find(bus, name)->partitions[partition];
    count = count < p->count ? count : p->count;
    struct hub_memory_item *lost = hub_mem_resize(p->lost, (p->lost_count + count + 1) * sizeof *lost);
    p->lost = lost != NULL ? lost : p->lost;
    count = lost != NULL ? count : 0;
    for (size_t i = 0; i < count; i++)
        p->lost[p->lost_count++] = p->items[--p->count];
    p->epoch++;
    (void)pthread_mutex_unlock(&bus->lock);
    return count;
}

void hub_memory_compact(struct hub_bus *base, const char *name, int32_t partition, size_t at)
{
    struct hub_memory_bus *bus = bus_of(base);
    (void)pthread_mutex_lock(&bus->lock);
    hub_memory_find(bus, name)->partitions[partition].items[at].state = HUB_MEMORY_ABORTED;
    (void)pthread_mutex_unlock(&bus->lock);
}

void hub_memory_faults(struct hub_bus *base, const struct hub_memory_faults *faults)
{
    struct hub_memory_bus *bus = bus_of(base);
    (void)pthread_mutex_lock(&bus->lock);
    bus->faults = *faults;
    (void)pthread_mutex_unlock(&bus->lock);
}

/* --- the bus --- */

static void close_bus(struct hub_bus *base)
{
    struct hub_memory_bus *bus = bus_of(base);
    for (size_t t = 0; t < bus->topic_count; t++) {
        for (int32_t p = 0; p < bus->topics[t].partition_count; p++) {
            struct hub_memory_partition *partition = &bus->topics[t].partitions[p];
            for (size_t i = 0; i < partition->count; i++)
                free_stored(&partition->items[i].record);
            for (size_t i = 0; i < partition->lost_count; i++)
                free_stored(&partition->lost[i].record);
            hub_mem_free(partition->items);
            hub_mem_free(partition->lost);
        }
        hub_mem_free(bus->topics[t].partitions);
    }
    (void)pthread_mutex_destroy(&bus->lock);
    hub_mem_free(bus);
}

static enum hub_result check(struct hub_bus *base, const struct hub_bus_check_options *options,
                             struct hub_problems *problems, struct hub_error *err)
{
    struct hub_memory_bus *bus = bus_of(base);
    if (bus->faults.away)
        return hub_fail(err, HUB_NETWORK, "no broker can be reached", NULL);
    for (size_t i = 0; i < options->topic_count; i++) {
        if (hub_memory_find(bus, options->topics[i].name) != NULL)
            continue;
        if (options->create)
            hub_memory_topic(base, options->topics[i].name, options->topics[i].partitions);
        else
            hub_problems_add(problems, HUB_SEVERITY_ERROR, options->file, 0, options->topics[i].name,
                             "the topic is not there", NULL, "%s", "");
    }
    return HUB_OK;
}

/* --- producer --- */

struct waiting {
    struct hub_memory_topic *topic;
    struct hub_memory_record item;
    uint32_t tag;
};

struct producer {
    struct hub_bus_producer base;
    struct hub_memory_bus *bus;
    struct hub_bus_producer_options options;
    struct waiting *waiting; /* sent, not yet with the "brokers" */
    size_t waiting_count;
    struct hub_bus_stats stats;
    bool broken;
    size_t id; /* transactional, 1 on */
    bool torn; /* a record of the transaction failed */
};

static struct producer *producer_of(struct hub_bus_producer *producer)
{
    return (struct producer *)producer;
}

/* All that is open under ID becomes STATE, with a mark behind it. */
static void end_transaction(struct hub_memory_bus *bus, size_t id, enum hub_memory_state state)
{
    const struct hub_memory_item mark = {.state = HUB_MEMORY_MARK, .id = id};
    for (size_t t = 0; t < bus->topic_count; t++) {
        for (int32_t n = 0; n < bus->topics[t].partition_count; n++) {
            struct hub_memory_partition *p = &bus->topics[t].partitions[n];
            bool any = false;
            for (size_t i = 0; i < p->count; i++) {
                const bool mine = p->items[i].state == HUB_MEMORY_OPEN && p->items[i].id == id;
                any = any || mine;
                if (mine)
                    p->items[i].state = state;
            }
            if (any)
                (void)append(p, &mark);
        }
    }
}

/* Its number; what its former owner left open comes to nothing. */
static size_t take_over(struct hub_memory_bus *bus, struct producer *p, const char *name)
{
    size_t i = 0;
    while (i < HUB_MEMORY_IDS_MAX && bus->transactional[i][0] != '\0' && strcmp(bus->transactional[i], name) != 0)
        i++;
    HUB_ASSERT(i < HUB_MEMORY_IDS_MAX);
    (void)snprintf(bus->transactional[i], sizeof bus->transactional[i], "%s", name);
    bus->owners[i] = p;
    end_transaction(bus, i + 1, HUB_MEMORY_ABORTED);
    return i + 1;
}

static bool fenced(const struct producer *p)
{
    return p->id != 0 && p->bus->owners[p->id - 1] != p;
}

static void producer_close(struct hub_bus_producer *producer)
{
    struct producer *p = producer_of(producer);
    (void)pthread_mutex_lock(&p->bus->lock);
    if (p->id != 0 && !fenced(p))
        p->bus->owners[p->id - 1] = NULL;
    (void)pthread_mutex_unlock(&p->bus->lock);
    for (size_t i = 0; i < p->waiting_count; i++)
        free_stored(&p->waiting[i].item);
    hub_mem_free(p->waiting);
    hub_mem_free(p);
}

static enum hub_result producer_open(struct hub_bus *base, const struct hub_bus_producer_options *options,
                                     int timeout_ms, struct hub_bus_producer **out, struct hub_error *err)
{
    struct hub_memory_bus *bus = bus_of(base);
    (void)timeout_ms;
    struct producer *p = hub_mem_alloc(sizeof *p);
    if (p != NULL)
        p->waiting = hub_mem_array(HUB_MEMORY_WAITING_MAX, sizeof *p->waiting);
    if (p == NULL || p->waiting == NULL) {
        hub_mem_free(p);
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    p->base.ops = base->ops;
    p->bus = bus;
    p->options = *options;
    (void)pthread_mutex_lock(&bus->lock);
    const bool away = options->transactional_id != NULL && bus->faults.away;
    if (options->transactional_id != NULL && !away)
        p->id = take_over(bus, p, options->transactional_id);
    (void)pthread_mutex_unlock(&bus->lock);
    if (away) {
        producer_close(&p->base);
        return hub_fail(err, HUB_TIMEOUT, "no broker can be reached", NULL);
    }
    *out = &p->base;
    return HUB_OK;
}

static enum hub_result send(struct hub_bus_producer *producer, const struct hub_bus_record *record,
                            struct hub_error *err)
{
    struct producer *p = producer_of(producer);
    enum hub_result result = HUB_OK;
    (void)pthread_mutex_lock(&p->bus->lock);
    size_t room = p->bus->faults.buffer != 0 ? p->bus->faults.buffer : HUB_MEMORY_WAITING_MAX;
    struct hub_memory_topic *topic = hub_memory_find(p->bus, record->topic);
    if (p->broken)
        result = hub_fail(err, HUB_CLOSED, "made to fail", NULL);
    else if (topic == NULL)
        result = hub_fail(err, HUB_CLOSED, "a topic is not there", NULL);
    else if (p->waiting_count >= room)
        result = HUB_BUSY;
    if (result == HUB_OK) {
        struct waiting *w = &p->waiting[p->waiting_count++];
        *w = (struct waiting){.topic = topic, .tag = record->tag};
        if (store(record, hub_bus_partition(record->subject, topic->partition_count), &w->item)) {
            p->stats.sent++;
        } else {
            p->waiting_count--;
            result = hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        }
    }
    (void)pthread_mutex_unlock(&p->bus->lock);
    return result;
}

/* One record at a time, in order, as a broker with one partition leader would. A failing one may be stored all the
 * same: nobody is told. */
static enum hub_result deliver_one(struct producer *p, const struct waiting *w, int64_t *offset)
{
    struct hub_memory_faults *faults = &p->bus->faults;
    struct hub_memory_partition *partition = &w->topic->partitions[w->item.partition];
    const struct hub_memory_item item = {.record = w->item, .state = p->id != 0 ? HUB_MEMORY_OPEN : HUB_MEMORY_SEEN, .id = p->id};
    bool fails = (p->id != 0 || !faults->in_transactions) && faults->fail_after != 0 && --faults->fail_after == 0;
    const bool stored = (!fails || faults->store_failed) && append(partition, &item);
    fails = fails || !stored;
    p->torn = p->torn || fails;
    if (!stored)
        free_stored(&w->item);
    *offset = fails ? HUB_BUS_NONE : (int64_t)partition->count - 1;
    return fails ? HUB_TIMEOUT : HUB_OK;
}

static enum hub_result poll_once(struct producer *p, size_t *told, struct hub_error *err)
{
    struct hub_memory_faults *faults = &p->bus->faults;
    *told = 0;
    for (;;) {
        (void)pthread_mutex_lock(&p->bus->lock);
        if (p->broken || faults->broken) {
            p->broken = true;
            faults->broken = false;
            (void)pthread_mutex_unlock(&p->bus->lock);
            return hub_fail(err, HUB_CLOSED, "made to fail", NULL);
        }
        bool lost = fenced(p);
        if (faults->away || lost || p->waiting_count == 0) {
            (void)pthread_mutex_unlock(&p->bus->lock);
            return lost ? hub_fail(err, HUB_DENIED, "another process took over", NULL) : HUB_OK;
        }
        struct waiting first = p->waiting[0];
        memmove(p->waiting, p->waiting + 1, --p->waiting_count * sizeof *p->waiting);
        struct hub_bus_delivery delivery = {.tag = first.tag, .latency_us = 1000, .partition = first.item.partition};
        enum hub_result outcome = delivery.result = deliver_one(p, &first, &delivery.offset);
        p->stats.delivered += outcome == HUB_OK;
        p->stats.failed += outcome != HUB_OK;
        (void)pthread_mutex_unlock(&p->bus->lock);
        (*told)++;
        p->options.delivered(p->options.ctx, &delivery);
    }
}

static enum hub_result poll_producer(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    struct producer *p = producer_of(producer);
    for (int left = timeout_ms;; left--) {
        size_t told = 0;
        HUB_TRY(poll_once(p, &told, err));
        if (told != 0 || left <= 0)
            return HUB_OK;
        (void)usleep(HUB_MEMORY_STEP_US);
    }
}

static enum hub_result flush(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    struct producer *p = producer_of(producer);
    for (int left = timeout_ms; p->waiting_count != 0 && left > 0; left--)
        HUB_TRY(poll_producer(producer, 1, err));
    return p->waiting_count == 0 ? HUB_OK : HUB_TIMEOUT;
}

static enum hub_result begin(struct hub_bus_producer *producer, struct hub_error *err)
{
    producer_of(producer)->torn = false;
    return poll_producer(producer, 0, err);
}

/* What is not ended stays open until somebody opens its id. */
static enum hub_result commit(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    struct producer *p = producer_of(producer);
    struct hub_memory_faults *faults = &p->bus->faults;
    HUB_TRY(flush(producer, timeout_ms, err));
    (void)pthread_mutex_lock(&p->bus->lock);
    enum hub_result result = fenced(p)      ? hub_fail(err, HUB_DENIED, "another process took over", NULL)
                             : faults->away ? hub_fail(err, HUB_TIMEOUT, "no broker can be reached", NULL)
                                            : HUB_OK;
    const bool fails = result == HUB_OK && faults->commit_after != 0 && --faults->commit_after == 0;
    if (result == HUB_OK && !p->torn && (!fails || faults->commit_counts))
        end_transaction(p->bus, p->id, HUB_MEMORY_SEEN);
    if (fails || p->torn) {
        p->broken = true;
        result = hub_fail(err, HUB_CLOSED, "made to fail", NULL);
    }
    (void)pthread_mutex_unlock(&p->bus->lock);
    return result;
}

static bool is_away(struct hub_memory_bus *bus)
{
    (void)pthread_mutex_lock(&bus->lock);
    const bool away = bus->faults.away;
    (void)pthread_mutex_unlock(&bus->lock);
    return away;
}

static void stats(const struct hub_bus_producer *producer, struct hub_bus_stats *out)
{
    const struct producer *p = (const struct producer *)producer;
    *out = p->stats;
    out->waiting = p->waiting_count;
    out->brokers_known = true;
    out->brokers_up = p->bus->faults.away ? 0 : 1;
}

static bool trouble(const struct hub_bus_producer *producer, struct hub_error *out)
{
    const struct producer *p = (const struct producer *)producer;
    const bool away = is_away(p->bus);
    *out = (struct hub_error){0};
    if (away)
        (void)hub_fail(out, HUB_NETWORK, "no broker can be reached", NULL);
    return away;
}

/* --- the whole --- */

const struct hub_bus_ops hub_memory_ops = {
    .close = close_bus,
    .check = check,
    .producer_open = producer_open,
    .producer_close = producer_close,
    .send = send,
    .poll = poll_producer,
    .flush = flush,
    .begin = begin,
    .commit = commit,
    .stats = stats,
    .producer_trouble = trouble,
    .consumer_open = hub_memory_consumer_open,
    .consumer_close = hub_memory_consumer_close,
    .next = hub_memory_next,
    .header = hub_memory_header,
    .consumer_trouble = hub_memory_consumer_trouble,
    .assign = hub_memory_assign,
    .unassign = hub_memory_unassign,
    .seek = hub_memory_seek,
    .pause = hub_memory_pause,
    .commit_offsets = hub_memory_commit_offsets,
    .committed = hub_memory_committed,
    .offsets = hub_memory_offsets,
    .partition_count = hub_memory_partition_count,
};

enum hub_result hub_bus_open_memory(struct hub_bus **out)
{
    struct hub_memory_bus *bus = hub_mem_alloc(sizeof *bus);
    HUB_ENSURE(bus != NULL, HUB_NO_MEMORY);
    bus->base.ops = &hub_memory_ops;
    (void)pthread_mutex_init(&bus->lock, NULL);
    *out = &bus->base;
    return HUB_OK;
}
