/* The thread of the group: takes partitions and gives them back, hands events over, commits the group's offsets. */
#include <stdio.h>

#include "src/base/crash.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/pipeline/unify_internal.h"

enum {
    POLL_MS = 50,
    AGAIN_MS = 1000,
    COMMIT_US = 1000000,
    ASK_US = 1000000, /* one partition's end is asked for, in turn */
    QUICK_MS = 3000,
};
static const int64_t SHORT_US = 30000000, STUCK_US = 60000000;

static const char component[] = "timeline";

static struct unify_part *part_of(struct hub_unify *u, const struct hub_bus_place *place)
{
    return place->partition >= 0 && place->partition < u->options.partitions ? &u->parts[place->partition] : NULL;
}

static struct hub_bus_place place_of(const struct unify_part *p, const struct unify_place *at)
{
    return (struct hub_bus_place){
        .topic = p->unify->options.events, .partition = p->number, .offset = at->offset, .leader_epoch = at->epoch, .fingerprint = at->fingerprint};
}

static struct unify_place place_in(const struct hub_bus_place *place)
{
    return (struct unify_place){place->offset, place->leader_epoch, place->fingerprint};
}

/* --- the group's offsets --- */

static struct hub_bus_place settled(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct hub_bus_place place = place_of(p, &p->settled);
    place.note = p->settled_topic;
    (void)pthread_mutex_unlock(&p->lock);
    return place;
}

/* Of those parts that got on since the last time. Not exact: what was applied is in their own stores. */
static void commit_offsets(struct hub_unify *u)
{
    struct hub_error err = {0};
    struct hub_bus_place *places = hub_mem_array((size_t)u->options.partitions, sizeof *places);
    size_t count = 0;
    for (int32_t i = 0; places != NULL && i < u->options.partitions; i++) {
        struct unify_part *p = &u->parts[i];
        const struct hub_bus_place at = settled(p);
        if (!p->owned || !p->fetching || at.offset < 0 || at.offset == p->group.offset)
            continue;
        places[count++] = at;
    }
    if (count != 0) {
        hub_crash_point(HUB_CRASH_BEFORE_OFFSETS);
        const bool done = hub_bus_commit_offsets(u->consumer, places, count, &err) == HUB_OK;
        for (size_t i = 0; done && i < count; i++)
            u->parts[places[i].partition].group = place_in(&places[i]);
        hub_crash_point(HUB_CRASH_AFTER_OFFSETS);
    }
    hub_mem_free(places);
    u->committed_us = hub_clock_mono_us(hub_clock_system());
}

static enum hub_result learn_group_offset(struct unify_part *p, struct hub_error *err)
{
    if (p->group_known)
        return HUB_OK;
    struct hub_bus_place place = place_of(p, &p->group);
    HUB_TRY(hub_bus_committed(p->unify->consumer, &place, 1, QUICK_MS, err));
    p->group = place_in(&place);
    p->group_topic = place.note;
    p->group_known = true;
    return HUB_OK;
}

/* --- where a partition begins --- */

static void stand_still(struct unify_part *p, int64_t wanted, int64_t oldest)
{
    struct hub_error err = {0};
    (void)hub_fail(&err, HUB_NOT_FOUND, "events were deleted before they were read: a chart with a hole must not look whole",
                   "have the hub send its event log again, then set the group's offset of this partition to the oldest; without the former the hole stays");
    (void)hub_error_at(&err, "%s/%d", p->unify->options.events, (int)p->number);
    hub_error_number(&err, oldest - wanted);
    (void)pthread_mutex_lock(&p->lock);
    p->gap = (uint64_t)(oldest - wanted);
    p->seek = false;
    (void)pthread_mutex_unlock(&p->lock);
    unify_part_state(p, UNIFY_GAP, &err);
}

struct beginning {
    struct unify_place from;
    bool from_start, from_own;
    bool opened; /* the partition was; else only reading goes back */
    int64_t topic; /* its store contains `timeline` up to there */
    uint64_t wish;
    bool truncated;
};

/* ADR 0008: at the group's offset, its own where the group has none; its own again after a failure. */
static struct unify_place choose(const struct unify_part *p, const struct beginning *b)
{
    static const struct unify_place start = {0, -1, 0};
    if (b->from_start)
        return start;
    if (b->from_own && b->from.offset >= 0)
        return b->from;
    if (p->group.offset >= 0)
        return p->group;
    return b->from.offset >= 0 ? b->from : start;
}

static enum hub_result commit_one(struct unify_part *p, const struct unify_place *at, struct hub_error *err)
{
    const struct hub_bus_place place = place_of(p, at);
    HUB_TRY(hub_bus_commit_offsets(p->unify->consumer, &place, 1, err));
    p->group = *at;
    p->group_topic = 0;
    return HUB_OK;
}

/* The group's place counts for a state that has all that was made of the events before it. One that was put back up to an end that
 * was none (of a broker which does not lead any more) is opened again. */
static bool lacks_some(struct unify_part *p, const struct beginning *b)
{
    const bool own = b->from_start || (b->from_own && b->from.offset >= 0) || p->group.offset < 0;
    if (own || b->topic >= p->group_topic)
        return false;
    HUB_DIAG(HUB_DIAG_WARNING, component, "a partition was put back too soon, the topic has more: again", hub_diag_number("partition", p->number),
             hub_diag_number("up_to", b->topic), hub_diag_number("topic_has", p->group_topic));
    (void)pthread_mutex_lock(&p->lock);
    p->needed_topic = p->group_topic;
    p->active = p->seek = false;
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
    return true;
}

static enum hub_result begin_events(struct unify_part *p, const struct beginning *b, struct hub_error *err)
{
    struct hub_unify *u = p->unify;
    int64_t oldest = 0, end = 0;
    HUB_TRY(learn_group_offset(p, err));
    if (lacks_some(p, b))
        return HUB_OK;
    HUB_TRY(hub_bus_offsets(u->consumer, u->options.events, p->number, QUICK_MS, &oldest, &end, err));
    struct unify_place at = choose(p, b);
    if (at.offset < oldest && p->group.offset == oldest) /* the hole was accepted */
        at = p->group;
    if (at.offset < oldest) {
        stand_still(p, at.offset, oldest);
        return HUB_OK;
    }
    if (!b->truncated && (at.offset > end || b->from.offset > end)) /* its own place, where the group's is another */
        atomic_fetch_add(&u->truncations, 1);
    if (at.offset > end || b->truncated) /* how far back is not known: what is read again is known by its id */
        at = (struct unify_place){oldest, -1, 0};
    const struct hub_bus_place place = place_of(p, &at);
    if (b->from_start && p->group.offset > at.offset) /* whoever has the partition next must begin there, too */
        HUB_TRY(commit_one(p, &at, err));
    HUB_TRY(hub_bus_seek(u->consumer, &place, err));
    HUB_TRY(hub_bus_pause(u->consumer, &place, 1, false, err));
    p->next = at;
    p->compares = -1;
    p->short_us = p->more_us = 0;
    p->fetching = true;
    p->held = false;
    (void)pthread_mutex_lock(&p->lock);
    const bool newest = p->wishes == b->wish;
    if (newest)
        p->seek = p->opened = p->truncated = false;
    if (newest && (b->opened || at.offset < p->settled.offset)) /* what waits in the queue is not applied yet */
        p->settled = at;
    p->end = end;
    p->target = end; /* whoever asked before it was here waits for this */
    (void)pthread_mutex_unlock(&p->lock);
    unify_changed(u); /* ... or for no more than that it begins */
    return HUB_OK;
}

/* Tried again with each look after it. */
static void start_part(struct unify_part *p)
{
    struct hub_error err = {0};
    char name[16];
    (void)snprintf(name, sizeof name, "timeline-%d", (int)p->number);
    p->running = hub_thread_start(&p->thread, name, unify_part_run, p, &err) == HUB_OK;
    if (!p->running)
        unify_part_state(p, UNIFY_TROUBLE, &err);
}

/* A partition whose queue was full gets on when half of it is done; one that was opened begins where it wants to. */
static void look_after_part(struct unify_part *p)
{
    struct hub_error err = {0};
    const struct hub_bus_place place = place_of(p, &p->group);
    (void)pthread_mutex_lock(&p->lock);
    const bool seek = p->seek, room = p->count < UNIFY_QUEUE_MAX / 2 && p->bytes < UNIFY_QUEUE_BYTES / 2;
    const struct beginning b = {.from = p->from,
                                .from_start = p->from_start,
                                .from_own = p->from_own,
                                .opened = p->opened,
                                .truncated = p->truncated,
                                .topic = p->settled_topic,
                                .wish = p->wishes};
    (void)pthread_mutex_unlock(&p->lock);
    if (seek) {
        if (begin_events(p, &b, &err) != HUB_OK)
            unify_trouble(p->unify, &p->unify->trouble, &err, component);
        else
            unify_trouble(p->unify, &p->unify->trouble, NULL, component);
    } else if (p->held && room && hub_bus_pause(p->unify->consumer, &place, 1, false, &err) == HUB_OK) {
        p->held = false;
    }
}

/* --- taking and giving back --- */

static void take_part(struct unify_part *p)
{
    p->fetching = p->held = p->group_known = false;
    p->hole = HUB_BUS_NONE;
    p->pokes = 0;
    p->group = (struct unify_place){HUB_BUS_NONE, -1, 0};
    p->group_topic = 0;
    (void)pthread_mutex_lock(&p->lock);
    p->leave = UNIFY_STAY;
    p->settled_topic = p->needed_topic = 0;
    p->seek = p->opened = p->truncated = p->active = false;
    p->gap = 0;
    p->settled = p->group;
    p->end = p->target = HUB_BUS_NONE;
    p->state = UNIFY_OPENING;
    p->trouble = (struct hub_error){0};
    (void)pthread_mutex_unlock(&p->lock);
    atomic_store(&p->owned, true);
    start_part(p);
}

static void end_part(struct unify_part *p)
{
    if (p->running)
        (void)pthread_join(p->thread, NULL);
    p->running = false;
}

static void forget_part(struct hub_unify *u, struct unify_part *p)
{
    atomic_store(&p->owned, false);
    p->fetching = false;
    HUB_DIAG(HUB_DIAG_NOTICE, component, "a partition is given back", hub_diag_number("partition", p->number));
    unify_changed(u);
}

/* All of them at once, so that they do not wait one after the other. */
static void leave_all(struct hub_unify *u, const struct hub_bus_place *places, size_t count, enum unify_leave leave)
{
    for (size_t i = 0; i < count; i++) {
        struct unify_part *p = part_of(u, &places[i]);
        if (p != NULL && p->owned)
            unify_part_leave(p, leave);
    }
    for (size_t i = 0; i < count; i++) {
        struct unify_part *p = part_of(u, &places[i]);
        if (p != NULL && p->owned)
            end_part(p);
    }
    if (leave == UNIFY_LEAVE)
        commit_offsets(u);
    for (size_t i = 0; i < count; i++) {
        struct unify_part *p = part_of(u, &places[i]);
        if (p != NULL && p->owned)
            forget_part(u, p);
    }
}

static enum hub_result on_assigned(struct hub_unify *u, const struct hub_bus_event *event, struct hub_error *err)
{
    struct hub_bus_place *places = hub_mem_array(event->place_count + 1, sizeof *places);
    if (places == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the partitions of the group", NULL);
    for (size_t i = 0; i < event->place_count; i++) {
        places[i] = event->places[i];
        places[i].offset = HUB_BUS_NONE; /* nothing is fetched before the partition says from where */
        places[i].leader_epoch = -1;
    }
    atomic_fetch_add(&u->rebalances, 1);
    enum hub_result result = hub_bus_assign(u->consumer, places, event->place_count, err);
    for (size_t i = 0; result == HUB_OK && i < event->place_count; i++) {
        struct unify_part *p = part_of(u, &places[i]);
        if (p != NULL && !p->owned)
            take_part(p);
    }
    hub_mem_free(places);
    return result; /* partitions that nobody reads from: the group is joined anew */
}

static enum hub_result on_revoked(struct hub_unify *u, const struct hub_bus_event *event, struct hub_error *err)
{
    leave_all(u, event->places, event->place_count, event->kind == HUB_BUS_LOST ? UNIFY_DROP : UNIFY_LEAVE);
    atomic_fetch_add(&u->rebalances, 1);
    return hub_bus_unassign(u->consumer, event->places, event->place_count, err);
}

static void drop_everything(struct hub_unify *u, enum unify_leave leave)
{
    for (int32_t i = 0; i < u->options.partitions; i++)
        u->all[i] = (struct hub_bus_place){.topic = u->options.events, .partition = i};
    leave_all(u, u->all, (size_t)u->options.partitions, leave);
}

/* --- events --- */

/* Reading goes back to where it was, or where that was TRUNCATED to the oldest that is there; what was applied stays. */
static void read_again(struct unify_part *p, bool truncated)
{
    p->fetching = false;
    (void)pthread_mutex_lock(&p->lock);
    if (p->active && !p->seek) { /* else its own thread says, or said, from where */
        p->from = p->next;
        p->from_own = true;
        p->from_start = false;
        p->truncated = truncated;
        p->seek = true;
        p->wishes++;
    }
    (void)pthread_mutex_unlock(&p->lock);
}

/* It takes what comes: it is open, and reading is where it wants it. */
static bool takes_events(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    const bool takes = !p->seek && p->active;
    (void)pthread_mutex_unlock(&p->lock);
    return takes;
}

/* Events come one behind the other. Where OFFSET is not the next one, what is missing is asked for once more: a client library may
 * lose its place, and no event may be missing for that. What is left out again is not there (a topic that was compacted). */
static bool left_out(struct unify_part *p, int64_t offset)
{
    if (offset <= p->next.offset || offset == p->hole)
        return false;
    p->hole = offset;
    HUB_DIAG(HUB_DIAG_WARNING, component, "events were left out on the way here and are read again", hub_diag_number("partition", p->number),
             hub_diag_number("from", p->next.offset), hub_diag_number("to", offset));
    read_again(p, false);
    return true;
}

/* Records that were read are gone, or such that were not. What was applied stays; it comes again and is known. Where the log ends
 * now the library does not say. */
static void lost(struct unify_part *p)
{
    atomic_fetch_add(&p->unify->truncations, 1);
    HUB_DIAG(HUB_DIAG_WARNING, component, "the brokers do not have what was to be read next", hub_diag_number("partition", p->number),
             hub_diag_number("offset", p->next.offset));
    read_again(p, true);
}

static void go_back(struct unify_part *p, struct hub_error *err)
{
    struct hub_bus_place before = place_of(p, &p->next);
    before.offset--;
    before.leader_epoch = -1;
    if (hub_bus_seek(p->unify->consumer, &before, err) != HUB_OK)
        lost(p); /* nobody knows whether it is so */
}

static void hand_over(struct unify_part *p, const struct hub_bus_message *m, struct hub_error *err)
{
    p->next = unify_place_behind(m);
    if (!unify_part_give(p, m, p->next.fingerprint) && hub_bus_pause(p->unify->consumer, &m->place, 1, true, err) == HUB_OK)
        p->held = true;
}

static void on_message(struct hub_unify *u, const struct hub_bus_message *m, struct hub_error *err)
{
    struct unify_part *p = part_of(u, &m->place);
    if (p == NULL || !p->owned || !p->fetching || !takes_events(p)) /* it is opened anew, and says then from where */
        return;
    p->more_us = 0;
    p->pokes = 0;
    if (p->compares < 0 && left_out(p, m->place.offset))
        return;
    switch (unify_track(&p->next, &p->compares, m)) {
    case UNIFY_WANTED:
        hand_over(p, m, err);
        break;
    case UNIFY_PASSED:
        break;
    case UNIFY_BACK:
        go_back(p, err);
        break;
    case UNIFY_OTHER_LOG:
        lost(p);
        break;
    }
}

static void on_truncated(struct hub_unify *u, const struct hub_bus_place *place)
{
    struct unify_part *p = part_of(u, place);
    if (p != NULL && p->owned && p->fetching && takes_events(p))
        lost(p);
}

static void on_end(struct hub_unify *u, const struct hub_bus_place *place)
{
    struct unify_part *p = part_of(u, place);
    if (p == NULL || !p->owned)
        return;
    (void)pthread_mutex_lock(&p->lock);
    if (p->end < place->offset)
        p->end = place->offset;
    (void)pthread_mutex_unlock(&p->lock);
    if (p->fetching && takes_events(p))
        (void)left_out(p, place->offset);
}

/* --- looking after it --- */

/* What the library may not say: the brokers have less than was read (one that does not lead any more may say so for a while), or
 * they have more and it does not come; each time they are given longer, for it may be large and the network slow. */
static void watch(struct unify_part *p, int64_t end)
{
    const int64_t now = hub_clock_mono_us(hub_clock_system());
    const bool reads = p->fetching && !p->held && takes_events(p);
    if (!reads || end >= p->next.offset)
        p->short_us = 0;
    else if (p->short_us == 0)
        p->short_us = now;
    else if (now - p->short_us > SHORT_US)
        lost(p);
    if (!reads || end <= p->next.offset)
        p->more_us = 0;
    else if (p->more_us == 0)
        p->more_us = now;
    else if (now - p->more_us > STUCK_US << (p->pokes < 4 ? p->pokes : 4)) {
        p->pokes++;
        HUB_DIAG(HUB_DIAG_WARNING, component, "the brokers have more events and none comes: reading begins anew",
                 hub_diag_number("partition", p->number), hub_diag_number("from", p->next.offset));
        read_again(p, false);
    }
}

/* WANTED: somebody waits for what is there now. */
static bool ask_end(struct unify_part *p, bool wanted)
{
    int64_t oldest = 0, end = 0;
    struct hub_error err = {0};
    if (hub_bus_offsets(p->unify->consumer, p->unify->options.events, p->number, QUICK_MS, &oldest, &end, &err) != HUB_OK)
        return false;
    (void)pthread_mutex_lock(&p->lock);
    p->end = end;
    if (wanted)
        p->target = end;
    (void)pthread_mutex_unlock(&p->lock);
    watch(p, end);
    return true;
}

/* Somebody wants to see all that there is now. */
static void answer_requests(struct hub_unify *u)
{
    (void)pthread_mutex_lock(&u->lock);
    const uint64_t wanted = u->wanted;
    const bool asked = u->answered != wanted;
    (void)pthread_mutex_unlock(&u->lock);
    if (!asked || atomic_load(&u->rebalances) == 0)
        return;
    for (int32_t i = 0; i < u->options.partitions; i++) {
        if (u->parts[i].owned && !ask_end(&u->parts[i], true))
            return;
    }
    (void)pthread_mutex_lock(&u->lock);
    u->answered = wanted;
    (void)pthread_mutex_unlock(&u->lock);
    unify_changed(u);
}

static void look_after(struct hub_unify *u)
{
    const int64_t now = hub_clock_mono_us(hub_clock_system());
    unsigned owned = 0;
    for (int32_t i = 0; i < u->options.partitions; i++) {
        if (!u->parts[i].owned)
            continue;
        owned++;
        if (!u->parts[i].running)
            start_part(&u->parts[i]);
        look_after_part(&u->parts[i]);
    }
    atomic_store(&u->owned, owned);
    answer_requests(u);
    if (now - u->committed_us >= COMMIT_US)
        commit_offsets(u);
    if (now - u->asked_us >= ASK_US && owned != 0) {
        u->asked_us = now;
        do
            u->asked_part = (u->asked_part + 1) % u->options.partitions;
        while (!u->parts[u->asked_part].owned);
        (void)ask_end(&u->parts[u->asked_part], false);
    }
}

/* --- the loop --- */

static enum hub_result open_group(struct hub_unify *u, struct hub_error *err)
{
    const struct hub_unify_options *o = &u->options;
    int32_t count = 0;
    const struct hub_bus_consumer_options options = {
        .group = o->group, .instance = o->instance, .topics = u->topics, .session_ms = o->session_ms};
    if (!u->prepared && o->prepare != NULL)
        HUB_TRY(o->prepare(o->ctx, err));
    u->prepared = true;
    if (!u->identity_running) {
        HUB_TRY(hub_thread_start(&u->identity_thread, "identity", unify_identity_run, u, err));
        u->identity_running = true;
    }
    HUB_TRY(hub_bus_consumer_open(o->bus, &options, &u->consumer, err));
    enum hub_result result = hub_bus_partition_count(u->consumer, o->events, UNIFY_NETWORK_MS, &count, err);
    if (result == HUB_OK && count != o->partitions) {
        result = hub_fail(err, HUB_CONFIG, "a topic has another number of partitions than configured", "correct bus.kafka.topics.partitions");
        (void)hub_error_at(err, "%s", o->events);
    }
    if (result == HUB_OK)
        return HUB_OK;
    hub_bus_consumer_close(u->consumer);
    u->consumer = NULL;
    return result;
}

static void close_group(struct hub_unify *u, enum unify_leave leave)
{
    if (u->consumer == NULL)
        return;
    drop_everything(u, leave);
    hub_bus_consumer_close(u->consumer);
    u->consumer = NULL;
}

static enum hub_result take_event(struct hub_unify *u, const struct hub_bus_event *event, struct hub_error *err)
{
    switch (event->kind) {
    case HUB_BUS_IDLE:
        break;
    case HUB_BUS_MESSAGE:
        on_message(u, &event->message, err);
        break;
    case HUB_BUS_ASSIGNED:
        return on_assigned(u, event, err);
    case HUB_BUS_REVOKED:
    case HUB_BUS_LOST:
        return on_revoked(u, event, err);
    case HUB_BUS_AT_END:
        on_end(u, &event->places[0]);
        break;
    case HUB_BUS_TRUNCATED:
        on_truncated(u, &event->places[0]);
        break;
    }
    return HUB_OK;
}

/* As much as there is, then a look around. */
static enum hub_result step(struct hub_unify *u, struct hub_error *err)
{
    enum { EVENTS_MAX = 500 };
    struct hub_bus_event event = {0};
    enum hub_result result = hub_bus_next(u->consumer, POLL_MS, &event, err);
    for (int i = 0; result == HUB_OK && i < EVENTS_MAX && event.kind != HUB_BUS_IDLE; i++) {
        result = take_event(u, &event, err);
        event = (struct hub_bus_event){0};
        if (result == HUB_OK)
            result = hub_bus_next(u->consumer, 0, &event, err);
    }
    if (result == HUB_OK)
        result = take_event(u, &event, err);
    if (result == HUB_OK)
        look_after(u);
    return result;
}

static void say_brokers(struct hub_unify *u)
{
    struct hub_error trouble = {0};
    if (hub_bus_consumer_trouble(u->consumer, &trouble))
        unify_trouble(u, &u->trouble, &trouble, component);
    else if (u->trouble.result == HUB_NETWORK || u->trouble.result == HUB_CLOSED || u->trouble.result == HUB_TIMEOUT)
        unify_trouble(u, &u->trouble, NULL, component);
}

void hub_unify_run(struct hub_unify *u)
{
    while (!unify_stopping(u) && !atomic_load(&u->sick)) {
        struct hub_error err = {0};
        enum hub_result result = HUB_OK;
        if (u->consumer == NULL) {
            result = open_group(u, &err);
            if (result == HUB_OK)
                unify_trouble(u, &u->trouble, NULL, component);
        } else {
            result = step(u, &err);
            if (result == HUB_OK)
                say_brokers(u);
        }
        if (result == HUB_OK)
            continue;
        unify_trouble(u, &u->trouble, &err, component);
        close_group(u, UNIFY_DROP); /* of no use any more: what it had may be another one's */
        (void)unify_pause(u, AGAIN_MS);
    }
    close_group(u, UNIFY_LEAVE);
    if (u->identity_running)
        (void)pthread_join(u->identity_thread, NULL);
    u->identity_running = false;
}
