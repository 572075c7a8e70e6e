#include "src/log/crc32c.h"
#include "src/pipeline/unify_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/bus/wire.h"

enum { STEP_MS = 50 };

/* --- small things --- */

bool unify_stopping(const struct hub_unify *u)
{
    return atomic_load(u->options.stop);
}

bool unify_pause(const struct hub_unify *u, int ms)
{
    for (; ms > 0 && !unify_stopping(u); ms -= STEP_MS)
        (void)usleep(STEP_MS * 1000);
    return !unify_stopping(u);
}

void unify_trouble(struct hub_unify *u, struct hub_error *slot, const struct hub_error *err, const char *component)
{
    (void)pthread_mutex_lock(&u->lock);
    struct hub_diag_news *news = slot == &u->identity_trouble ? &u->identity_news : &u->news;
    const bool new = hub_diag_is_news(news, err, hub_clock_mono_us(hub_clock_system()));
    *slot = err != NULL ? *err : (struct hub_error){0};
    (void)pthread_mutex_unlock(&u->lock);
    if (new && err != NULL)
        HUB_DIAG(HUB_DIAG_WARNING, component, "waits", hub_diag_error(err));
    else if (new)
        HUB_DIAG(HUB_DIAG_NOTICE, component, "goes on");
}

void unify_changed(struct hub_unify *u)
{
    (void)pthread_mutex_lock(&u->lock);
    (void)pthread_cond_broadcast(&u->changed);
    (void)pthread_mutex_unlock(&u->lock);
    if (u->options.changed != NULL)
        u->options.changed(u->options.ctx);
}

struct hub_span unify_value(struct hub_span value)
{
    uint32_t id;
    return hub_wire_strip(value, &id);
}

/* Tells records apart; never 0. */
static uint64_t fingerprint(const struct hub_bus_message *m)
{
    const struct hub_span time = hub_span_of(&m->time_us, sizeof m->time_us);
    const uint64_t named = hub_crc32c(hub_crc32c(0, time), m->key);
    const uint64_t both = named << 32 | hub_crc32c(0, m->value);
    return both != 0 ? both : 1;
}

struct unify_place unify_place_behind(const struct hub_bus_message *m)
{
    return (struct unify_place){m->place.offset + 1, m->place.leader_epoch, fingerprint(m)};
}

enum unify_seen unify_track(struct unify_place *next, int32_t *compares, const struct hub_bus_message *m)
{
    const int32_t compared = *compares;
    if (m->place.offset < next->offset - (compared >= 0 ? 1 : 0))
        return UNIFY_PASSED;
    if (compared >= 0) {
        *compares = -1;
        if (m->place.offset >= next->offset || fingerprint(m) != next->fingerprint)
            return UNIFY_OTHER_LOG;
        next->epoch = compared;
        return UNIFY_PASSED;
    }
    if (next->epoch < 0 || m->place.leader_epoch <= next->epoch || next->fingerprint == 0)
        return UNIFY_WANTED;
    *compares = m->place.leader_epoch;
    return UNIFY_BACK;
}

void unify_place_text(const struct unify_place *place, char out[HUB_TIMELINE_MARK_MAX])
{
    (void)snprintf(out, HUB_TIMELINE_MARK_MAX, "%lld %d %llu", (long long)place->offset, (int)place->epoch,
                   (unsigned long long)place->fingerprint);
}

struct unify_place unify_place_of(struct hub_timeline *timeline, const char *mark)
{
    char text[HUB_TIMELINE_MARK_MAX];
    char *end = NULL;
    struct unify_place place = {HUB_BUS_NONE, -1, 0};
    if (hub_timeline_mark(timeline, mark, text, NULL) != HUB_OK)
        return place;
    const long long offset = strtoll(text, &end, 10);
    if (end == text || offset < 0)
        return place;
    place.offset = offset;
    place.epoch = *end == ' ' ? (int32_t)strtol(end + 1, &end, 10) : -1;
    place.fingerprint = *end == ' ' ? strtoull(end + 1, NULL, 10) : 0; /* an older store has none */
    return place;
}

/* --- life --- */

static void init_part(struct hub_unify *u, int32_t number)
{
    struct unify_part *p = &u->parts[number];
    pthread_condattr_t monotonic;
    p->unify = u;
    p->number = number;
    p->settled = p->group = (struct unify_place){HUB_BUS_NONE, -1, 0};
    p->end = p->target = HUB_BUS_NONE;
    (void)snprintf(p->folder, sizeof p->folder, "%s/%d", u->options.folder, (int)number);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->woken, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static void init_locks(struct hub_unify *u)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&u->lock, NULL);
    (void)pthread_mutex_init(&u->identity_lock, NULL);
    (void)pthread_cond_init(&u->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

enum hub_result hub_unify_open(const struct hub_unify_options *options, struct hub_unify **out, struct hub_error *err)
{
    *out = NULL;
    struct hub_unify *u = hub_mem_alloc(sizeof *u);
    if (u == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the timeline", NULL);
    u->options = *options;
    u->topics[0] = options->events;
    (void)snprintf(u->folder, sizeof u->folder, "%s", options->folder);
    u->options.folder = u->folder;
    init_locks(u);
    u->parts = hub_mem_array((size_t)options->partitions, sizeof *u->parts);
    u->all = hub_mem_array((size_t)options->partitions, sizeof *u->all);
    for (int32_t i = 0; u->parts != NULL && i < options->partitions; i++)
        init_part(u, i);
    enum hub_result result = u->parts != NULL && u->all != NULL ? unify_identity_open(u, err) : hub_fail(err, HUB_NO_MEMORY, "no memory for the timeline", NULL);
    if (result != HUB_OK) {
        hub_unify_close(u);
        return result;
    }
    *out = u;
    return HUB_OK;
}

void hub_unify_close(struct hub_unify *u)
{
    if (u == NULL)
        return;
    unify_identity_close(u);
    for (int32_t i = 0; u->parts != NULL && i < u->options.partitions; i++) {
        (void)pthread_mutex_destroy(&u->parts[i].lock);
        (void)pthread_cond_destroy(&u->parts[i].woken);
    }
    (void)pthread_mutex_destroy(&u->lock);
    (void)pthread_mutex_destroy(&u->identity_lock);
    (void)pthread_cond_destroy(&u->changed);
    hub_mem_free(u->parts);
    hub_mem_free(u->all);
    hub_mem_free(u);
}

/* --- catching up --- */

static bool at_target(struct unify_part *p)
{
    (void)pthread_mutex_lock(&p->lock);
    const bool there = !p->owned || (p->state == UNIFY_READY && p->active && !p->seek && p->settled.offset >= p->target &&
                                     p->charts_settled >= p->charts_target);
    (void)pthread_mutex_unlock(&p->lock);
    return there;
}

static bool caught_up(struct hub_unify *u, uint64_t request)
{
    bool all = u->answered >= request && u->identity_answered >= request &&
               atomic_load(&u->rebalances) != 0; /* the group has said what is ours */
    for (int32_t i = 0; all && i < u->options.partitions; i++)
        all = at_target(&u->parts[i]);
    return all;
}

static bool ends_known(struct hub_unify *u, uint64_t request)
{
    return u->answered >= request && u->identity_asked >= request;
}

uint64_t unify_ask(struct hub_unify *u)
{
    (void)pthread_mutex_lock(&u->lock);
    const uint64_t request = ++u->wanted;
    (void)pthread_mutex_unlock(&u->lock);
    return request;
}

/* Until DONE of REQUEST, and no longer than that. */
static bool await(struct hub_unify *u, uint64_t request, bool (*done)(struct hub_unify *u, uint64_t request), int timeout_ms)
{
    const struct timespec at = hub_clock_after_ms(timeout_ms);
    (void)pthread_mutex_lock(&u->lock);
    bool is = false;
    while (!(is = done(u, request)) && !unify_stopping(u) && !atomic_load(&u->sick) &&
           pthread_cond_clockwait(&u->changed, &u->lock, CLOCK_MONOTONIC, &at) == 0)
        ;
    (void)pthread_mutex_unlock(&u->lock);
    return is;
}

enum hub_result hub_unify_catch_up(struct hub_unify *u, int timeout_ms, struct hub_error *err)
{
    if (await(u, unify_ask(u), caught_up, timeout_ms))
        return HUB_OK;
    return hub_fail(err, HUB_BUSY, "the timeline is behind the events on the bus, a chart would not be whole",
                    "try again; `chartline status` shows how far behind it is and why");
}

void hub_unify_look(struct hub_unify *u, int timeout_ms)
{
    if (atomic_load(&u->rebalances) != 0 && atomic_load(&u->identity_ready)) /* else nobody can say yet */
        (void)await(u, unify_ask(u), ends_known, timeout_ms);
}

/* --- what is seen of it --- */

static const char *const state_names[] = {"opening", "restoring", "waiting", "ready", "gap", "fenced", "trouble"};

static void one_part(struct unify_part *p, struct hub_unify_part_stats *out)
{
    (void)pthread_mutex_lock(&p->lock);
    *out = (struct hub_unify_part_stats){.number = p->number,
                                         /* the group's thread says where to begin */
                                         .state = state_names[p->state == UNIFY_READY && p->seek ? UNIFY_WAITING : p->state],
                                         .position = p->settled.offset >= 0 ? p->settled.offset : -1,
                                         .gap = p->gap};
    if (p->end > p->settled.offset && p->end > 0)
        out->lag = (uint64_t)(p->end - (p->settled.offset > 0 ? p->settled.offset : 0));
    (void)pthread_mutex_unlock(&p->lock);
}

size_t hub_unify_parts(struct hub_unify *u, struct hub_unify_part_stats *out, size_t cap)
{
    size_t count = 0;
    for (int32_t i = 0; i < u->options.partitions && count < cap; i++) {
        if (u->parts[i].owned)
            one_part(&u->parts[i], &out[count++]);
    }
    return count;
}

static const char *state_of(const struct hub_unify *u, const struct hub_unify_stats *s)
{
    if (atomic_load(&u->sick))
        return "failed";
    if (s->gap != 0)
        return "gap";
    if (s->trouble.result == HUB_NETWORK || s->trouble.result == HUB_TIMEOUT || s->trouble.result == HUB_BUSY || s->trouble.result == HUB_CLOSED)
        return "waiting";
    if (s->trouble.result != HUB_OK)
        return s->trouble.result == HUB_IO || s->trouble.result == HUB_QUOTA || s->trouble.result == HUB_NO_MEMORY ? "waiting" : "refused";
    return s->ready < s->owned || !atomic_load(&u->identity_ready) ? "restoring" : "ok";
}

static void add_part(struct unify_part *p, struct hub_unify_stats *out)
{
    struct hub_unify_part_stats one;
    if (!p->owned)
        return;
    one_part(p, &one);
    (void)pthread_mutex_lock(&p->lock);
    out->ready += p->state == UNIFY_READY && !p->seek;
    if (out->trouble.result == HUB_OK)
        out->trouble = p->trouble;
    (void)pthread_mutex_unlock(&p->lock);
    out->owned++;
    out->lag += one.lag;
    out->gap += one.gap;
}

void hub_unify_stats(struct hub_unify *u, struct hub_unify_stats *out)
{
    *out = (struct hub_unify_stats){.applied = atomic_load(&u->applied),
                                    .identity_lag = atomic_load(&u->identity_lag),
                                    .identity = atomic_load(&u->identity_read),
                                    .restores = atomic_load(&u->restores),
                                    .restored = atomic_load(&u->restored),
                                    .rebalances = atomic_load(&u->rebalances),
                                    .fenced = atomic_load(&u->fenced),
                                    .rebuilt = atomic_load(&u->rebuilds),
                                    .untrusted = atomic_load(&u->untrusted),
                                    .unreadable = atomic_load(&u->unreadable),
                                    .unknown_facts = atomic_load(&u->unknown_facts),
                                    .truncations = atomic_load(&u->truncations)};
    (void)pthread_mutex_lock(&u->lock);
    out->trouble = u->trouble.result != HUB_OK ? u->trouble : u->identity_trouble;
    out->rate = hub_forward_meter_rate(&u->meter, hub_clock_mono_us(u->options.clock));
    (void)pthread_mutex_unlock(&u->lock);
    for (int32_t i = 0; i < u->options.partitions; i++)
        add_part(&u->parts[i], out);
    out->state = state_of(u, out);
}
