#include "src/pipeline/elsewhere.h"

#include <stdlib.h>
#include <unistd.h>

#include "src/base/arena.h"
#include "src/base/clock.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/bus/consumer.h"
#include "src/bus/wire.h"
#include "src/codec/json.h"

enum {
    NETWORK_MS = 10000, /* for one question */
    POLL_MS = 100,
    RECORD_ARENA = 1024 * 1024 * 1024, /* of the JSON of one record */
    LOOK_UP_EVERY = 256,               /* records between two looks at whether to go on */
    SLOTS_MIN = 64,
};

static const char component[] = "timeline";

struct record {
    struct hub_span key, value; /* value.ptr NULL: it is gone */
    struct record *next;        /* of its token */
};

struct wanted {
    struct hub_span token;
    struct record *first;
};

struct part { /* a partition with tokens that are asked about */
    int32_t number;
    int64_t events_end;  /* others must have applied that much */
    int64_t oldest, end; /* in `timeline` */
    bool done;
};

struct hub_elsewhere {
    struct hub_elsewhere_options options;
    struct hub_arena arena; /* all texts and records */
    struct hub_arena line;  /* of one record */
    struct wanted *wanted;  /* sorted once it is read */
    size_t wanted_count, wanted_cap;
    struct record **slots; /* open addressing by key, a power of two */
    size_t slot_count, record_count;
    struct hub_bus_consumer *consumer;
    struct part *parts;
    size_t part_count, parts_left;
};

/* --- what is asked about --- */

enum hub_result hub_elsewhere_new(const struct hub_elsewhere_options *options, struct hub_elsewhere **out, struct hub_error *err)
{
    struct hub_elsewhere *e = hub_mem_alloc(sizeof *e);
    *out = e;
    if (e == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    e->options = *options;
    hub_arena_init_sealed(&e->arena, options->bytes_max);
    hub_arena_init_sealed(&e->line, RECORD_ARENA);
    return HUB_OK;
}

void hub_elsewhere_free(struct hub_elsewhere *e)
{
    if (e == NULL)
        return;
    hub_bus_consumer_close(e->consumer);
    hub_arena_deinit(&e->arena);
    hub_arena_deinit(&e->line);
    hub_mem_free(e->wanted);
    hub_mem_free(e->slots);
    hub_mem_free(e->parts);
    hub_mem_free(e);
}

static enum hub_result no_room(const struct hub_arena *arena, struct hub_error *err)
{
    if (!arena->capped)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return hub_fail(err, HUB_TOO_LARGE, "the charts here have more parts with other processes than one process reads",
                    "ask one process that has all partitions");
}

enum hub_result hub_elsewhere_want(struct hub_elsewhere *e, struct hub_span token, struct hub_error *err)
{
    if (e->wanted_count == e->wanted_cap) {
        const size_t cap = e->wanted_cap != 0 ? e->wanted_cap * 2 : 256;
        struct wanted *grown = hub_mem_resize(e->wanted, cap * sizeof *grown);
        if (grown == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        e->wanted = grown;
        e->wanted_cap = cap;
    }
    const struct hub_span copy = hub_arena_copy(&e->arena, token);
    if (copy.ptr == NULL)
        return no_room(&e->arena, err);
    e->wanted[e->wanted_count++] = (struct wanted){.token = copy};
    return HUB_OK;
}

static int compare_wanted(const void *a, const void *b)
{
    return hub_span_compare(((const struct wanted *)a)->token, ((const struct wanted *)b)->token);
}

static void sort_wanted(struct hub_elsewhere *e)
{
    size_t kept = 0;
    qsort(e->wanted, e->wanted_count, sizeof *e->wanted, compare_wanted);
    for (size_t i = 0; i < e->wanted_count; i++) {
        if (kept == 0 || !hub_span_equal(e->wanted[kept - 1].token, e->wanted[i].token))
            e->wanted[kept++] = e->wanted[i];
    }
    e->wanted_count = kept;
}

static struct wanted *find_wanted(const struct hub_elsewhere *e, struct hub_span token)
{
    const struct wanted key = {.token = token};
    return e->wanted_count != 0 ? bsearch(&key, e->wanted, e->wanted_count, sizeof *e->wanted, compare_wanted) : NULL;
}

/* --- records, by key --- */

/* Where KEY is or belongs. */
static struct record **slot_of(struct record **slots, size_t count, struct hub_span key)
{
    size_t at = hub_bus_murmur2(key) & (count - 1);
    while (slots[at] != NULL && !hub_span_equal(slots[at]->key, key))
        at = (at + 1) & (count - 1);
    return &slots[at];
}

static enum hub_result make_room(struct hub_elsewhere *e, struct hub_error *err)
{
    if (e->record_count * 2 < e->slot_count)
        return HUB_OK;
    const size_t count = e->slot_count != 0 ? e->slot_count * 2 : SLOTS_MIN;
    struct record **slots = hub_mem_array(count, sizeof(struct record *));
    if (slots == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < e->slot_count; i++) {
        if (e->slots[i] != NULL)
            *slot_of(slots, count, e->slots[i]->key) = e->slots[i];
    }
    hub_mem_free(e->slots);
    e->slots = slots;
    e->slot_count = count;
    return HUB_OK;
}

/* The newest value of KEY; ptr NULL: none that matters. */
static enum hub_result put(struct hub_elsewhere *e, struct wanted *of, struct hub_span key, struct hub_span value, struct hub_error *err)
{
    HUB_TRY(make_room(e, err));
    struct record **slot = slot_of(e->slots, e->slot_count, key);
    if (*slot != NULL && (value.ptr == NULL || hub_span_equal((*slot)->value, value))) {
        (*slot)->value = value.ptr == NULL ? HUB_SPAN_NONE : (*slot)->value;
        return HUB_OK;
    }
    if (value.ptr == NULL)
        return HUB_OK;
    const struct hub_span copy = hub_arena_copy(&e->arena, value);
    if (copy.ptr == NULL)
        return no_room(&e->arena, err);
    if (*slot != NULL) {
        (*slot)->value = copy;
        return HUB_OK;
    }
    struct record *record = HUB_ARENA_NEW(&e->arena, struct record);
    const struct hub_span name = hub_arena_copy(&e->arena, key);
    if (record == NULL || name.ptr == NULL)
        return no_room(&e->arena, err);
    *record = (struct record){.key = name, .value = copy, .next = of->first};
    of->first = *slot = record;
    e->record_count++;
    return HUB_OK;
}

static bool matters(const struct hub_json *record)
{
    const struct hub_span kind = hub_json_get_span(record, "kind");
    return hub_span_is(kind, "revision") || hub_span_is(kind, "patient") ||
           hub_span_is(hub_json_get_span(hub_json_get(record, "resource"), "resourceType"), "Patient");
}

/* What is none of ours the process that has the partition leaves out, too. */
static enum hub_result take(struct hub_elsewhere *e, const struct hub_bus_message *m, struct hub_error *err)
{
    uint32_t schema;
    struct hub_json *record = NULL;
    const struct hub_span text = m->value.ptr != NULL ? hub_wire_strip(m->value, &schema) : HUB_SPAN_NONE;
    const uint8_t *slash = m->key.len != 0 ? memchr(m->key.ptr, '/', m->key.len) : NULL;
    const struct hub_span token = hub_span_of(m->key.ptr, slash != NULL ? (size_t)(slash - m->key.ptr) : 0);
    struct wanted *of = slash != NULL ? find_wanted(e, token) : NULL; /* without a slash it is a token's record */
    if (of == NULL)
        return HUB_OK;
    if (text.ptr == NULL)
        return put(e, of, m->key, HUB_SPAN_NONE, err);
    hub_arena_reset(&e->line);
    enum hub_result result = hub_json_parse(&e->line, text, &record, err);
    if (result == HUB_SYNTAX || (result == HUB_OK && !hub_span_equal(hub_json_get_span(record, "subject"), token))) {
        HUB_DIAG(HUB_DIAG_ERROR, component, "a record of the topic timeline that is none of ours is left out",
                 hub_diag_number("partition", m->place.partition), hub_diag_number("offset", m->place.offset));
        return HUB_OK;
    }
    HUB_TRY(result);
    return put(e, of, m->key, matters(record) ? text : HUB_SPAN_NONE, err);
}

enum hub_result hub_elsewhere_each(const struct hub_elsewhere *e, struct hub_span token, bool (*callback)(void *ctx, struct hub_span key, struct hub_span record), void *ctx)
{
    const struct wanted *of = find_wanted(e, token);
    HUB_ENSURE(of != NULL, HUB_NOT_FOUND);
    bool more = true;
    for (const struct record *record = of->first; record != NULL && more; record = record->next)
        more = record->value.ptr == NULL || callback(ctx, record->key, record->value);
    return HUB_OK;
}

/* --- how far the others are --- */

static enum hub_result behind(struct hub_error *err)
{
    return hub_fail(err, HUB_BUSY, "another process of the timeline is behind the events on the bus, a chart would not be whole",
                    "try again; `chartline status` there shows how far behind it is and why");
}

/* Brokers that do not answer are said to be away; what they refuse is said as they do. */
static enum hub_result asked(enum hub_result result, struct hub_error *err)
{
    if (result != HUB_NETWORK && result != HUB_TIMEOUT && result != HUB_CLOSED)
        return result;
    return hub_fail(err, HUB_NETWORK, "the brokers do not answer, and what other processes have of the charts here is there",
                    "try again; `chartline status` shows what is wrong");
}

static bool goes_on(const struct hub_elsewhere *e)
{
    return e->options.go_on == NULL || e->options.go_on(e->options.ctx);
}

static int64_t until(const struct hub_elsewhere *e)
{
    return hub_clock_mono_us(hub_clock_system()) + (int64_t)e->options.patience_ms * 1000;
}

/* Before it is asked again. */
static enum hub_result pause_until(const struct hub_elsewhere *e, int64_t until_us, struct hub_error *err)
{
    if (!goes_on(e))
        return hub_fail(err, HUB_CLOSED, NULL, NULL);
    if (hub_clock_mono_us(hub_clock_system()) >= until_us)
        return behind(err);
    (void)usleep(POLL_MS * 1000);
    return HUB_OK;
}

/* All that is in `events` was applied, and what came of it lies before the offset in `timeline` that was committed beside it. */
static enum hub_result await_group(struct hub_elsewhere *e, struct hub_bus_place *places, struct hub_error *err)
{
    const int64_t until_us = until(e);
    for (;;) {
        bool there = true;
        HUB_TRY(asked(hub_bus_committed(e->consumer, places, e->part_count, NETWORK_MS, err), err));
        for (size_t i = 0; i < e->part_count; i++) {
            const int64_t applied = places[i].offset != HUB_BUS_NONE ? places[i].offset : 0;
            there = there && applied >= e->parts[i].events_end;
        }
        if (there)
            return HUB_OK;
        HUB_TRY(pause_until(e, until_us, err));
    }
}

/* A broker that does not know yet that another one leads tells an end of long ago. */
static enum hub_result ask_ends(struct hub_elsewhere *e, struct part *part, int64_t least, struct hub_error *err)
{
    const int64_t until_us = until(e);
    for (;;) {
        HUB_TRY(asked(hub_bus_offsets(e->consumer, e->options.timeline, part->number, NETWORK_MS, &part->oldest, &part->end, err), err));
        if (part->end >= least)
            return HUB_OK;
        HUB_TRY(pause_until(e, until_us, err));
    }
}

static enum hub_result find_ends(struct hub_elsewhere *e, struct hub_bus_place *places, struct hub_error *err)
{
    for (size_t i = 0; i < e->part_count; i++) {
        int64_t oldest;
        struct part *part = &e->parts[i];
        places[i] = (struct hub_bus_place){.topic = e->options.events, .partition = part->number, .offset = HUB_BUS_NONE, .leader_epoch = -1};
        HUB_TRY(asked(hub_bus_offsets(e->consumer, e->options.events, part->number, NETWORK_MS, &oldest, &part->events_end, err), err));
    }
    HUB_TRY(await_group(e, places, err));
    for (size_t i = 0; i < e->part_count; i++)
        HUB_TRY(ask_ends(e, &e->parts[i], places[i].note, err));
    return HUB_OK;
}

/* --- reading --- */

static enum hub_result begin(struct hub_elsewhere *e, struct hub_bus_place *places, struct hub_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < e->part_count; i++) {
        struct part *part = &e->parts[i];
        part->done = part->oldest >= part->end;
        if (!part->done)
            places[count++] =
                (struct hub_bus_place){.topic = e->options.timeline, .partition = part->number, .offset = part->oldest, .leader_epoch = -1};
    }
    e->parts_left = count;
    return count != 0 ? asked(hub_bus_assign(e->consumer, places, count, err), err) : HUB_OK;
}

static struct part *part_of(struct hub_elsewhere *e, int32_t number)
{
    for (size_t i = 0; i < e->part_count; i++) {
        if (e->parts[i].number == number)
            return &e->parts[i];
    }
    return NULL;
}

/* The record wanted next of the partition is the one at OFFSET. */
static enum hub_result got_to(struct hub_elsewhere *e, struct part *part, int64_t offset, struct hub_error *err)
{
    if (offset < part->end)
        return HUB_OK;
    const struct hub_bus_place place = {.topic = e->options.timeline, .partition = part->number, .offset = HUB_BUS_NONE, .leader_epoch = -1};
    part->done = true;
    e->parts_left--;
    return asked(hub_bus_unassign(e->consumer, &place, 1, err), err);
}

/* *MOVED: something came. */
static enum hub_result step(struct hub_elsewhere *e, bool *moved, struct hub_error *err)
{
    struct hub_bus_event event = {0};
    HUB_TRY(asked(hub_bus_next(e->consumer, POLL_MS, &event, err), err));
    const bool message = event.kind == HUB_BUS_MESSAGE;
    const struct hub_bus_place *place = message ? &event.message.place : event.place_count != 0 ? &event.places[0] : NULL;
    struct part *part = place != NULL ? part_of(e, place->partition) : NULL;
    *moved = message;
    if (part == NULL || part->done)
        return HUB_OK;
    if (event.kind == HUB_BUS_TRUNCATED)
        return hub_fail(err, HUB_BUSY, "records of the topic timeline were deleted while they were read", "try again");
    if (message)
        HUB_TRY(take(e, &event.message, err));
    /* what is left before the end may be marks of transactions */
    return got_to(e, part, message ? place->offset + 1 : place->offset, err);
}

static enum hub_result read_all(struct hub_elsewhere *e, struct hub_error *err)
{
    int64_t until_us = until(e);
    struct hub_error trouble = {0};
    for (unsigned steps = 0; e->parts_left != 0; steps++) {
        bool moved = false;
        HUB_TRY(step(e, &moved, err));
        if (moved)
            until_us = until(e);
        if (moved && steps % LOOK_UP_EVERY != 0)
            continue;
        if (!goes_on(e))
            return hub_fail(err, HUB_CLOSED, NULL, NULL);
        if (hub_clock_mono_us(hub_clock_system()) >= until_us)
            return hub_bus_consumer_trouble(e->consumer, &trouble) ? asked(HUB_NETWORK, err) : behind(err);
    }
    return HUB_OK;
}

static enum hub_result find_parts(struct hub_elsewhere *e, struct hub_error *err)
{
    bool *needed = hub_mem_array((size_t)e->options.partitions, sizeof *needed);
    e->parts = hub_mem_array((size_t)e->options.partitions, sizeof *e->parts);
    for (size_t i = 0; needed != NULL && i < e->wanted_count; i++)
        needed[hub_bus_partition(e->wanted[i].token, e->options.partitions)] = true;
    for (int32_t i = 0; needed != NULL && e->parts != NULL && i < e->options.partitions; i++) {
        if (needed[i])
            e->parts[e->part_count++].number = i;
    }
    const bool done = needed != NULL && e->parts != NULL;
    hub_mem_free(needed);
    return done ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

enum hub_result hub_elsewhere_read(struct hub_elsewhere *e, struct hub_error *err)
{
    if (e->wanted_count == 0)
        return HUB_OK;
    const struct hub_bus_consumer_options options = {.group = e->options.group};
    sort_wanted(e);
    HUB_TRY(find_parts(e, err));
    struct hub_bus_place *places = hub_mem_array(e->part_count, sizeof *places);
    if (places == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result = asked(hub_bus_consumer_open(e->options.bus, &options, &e->consumer, err), err);
    if (result == HUB_OK)
        result = find_ends(e, places, err);
    if (result == HUB_OK)
        result = begin(e, places, err);
    if (result == HUB_OK)
        result = read_all(e, err);
    hub_mem_free(places);
    hub_bus_consumer_close(e->consumer);
    e->consumer = NULL;
    return result;
}
