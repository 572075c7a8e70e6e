#include "src/timeline/set.h"

#include <pthread.h>

#include "src/base/mem.h"
#include "src/timeline/read.h"

struct place {
    struct hub_timeline *timeline; /* NULL: elsewhere */
    unsigned readers;
    bool leaving;
};

struct hub_timelines {
    pthread_mutex_t lock;
    pthread_cond_t let_go;
    int32_t (*partition_of)(struct hub_span token, int32_t count);
    int32_t count, here;
    uint64_t changes;
    struct place *places;
};

struct hub_timelines *hub_timelines_new(int32_t count, int32_t (*partition_of)(struct hub_span token, int32_t count))
{
    HUB_ASSERT(count >= 1 && count <= HUB_TIMELINES_MAX && (partition_of != NULL || count == 1));
    struct hub_timelines *set = hub_mem_alloc(sizeof *set);
    if (set == NULL)
        return NULL;
    set->places = hub_mem_array((size_t)count, sizeof *set->places);
    if (set->places == NULL) {
        hub_mem_free(set);
        return NULL;
    }
    set->count = count;
    set->partition_of = partition_of;
    (void)pthread_mutex_init(&set->lock, NULL);
    (void)pthread_cond_init(&set->let_go, NULL);
    return set;
}

void hub_timelines_free(struct hub_timelines *set)
{
    if (set == NULL)
        return;
    (void)pthread_cond_destroy(&set->let_go);
    (void)pthread_mutex_destroy(&set->lock);
    hub_mem_free(set->places);
    hub_mem_free(set);
}

void hub_timelines_add(struct hub_timelines *set, int32_t partition, struct hub_timeline *timeline)
{
    HUB_ASSERT(partition >= 0 && partition < set->count);
    struct place *place = &set->places[partition];
    (void)pthread_mutex_lock(&set->lock);
    HUB_ASSERT(place->timeline == NULL);
    place->timeline = timeline;
    set->here++;
    set->changes++;
    (void)pthread_mutex_unlock(&set->lock);
}

void hub_timelines_remove(struct hub_timelines *set, int32_t partition)
{
    HUB_ASSERT(partition >= 0 && partition < set->count);
    struct place *place = &set->places[partition];
    (void)pthread_mutex_lock(&set->lock);
    if (place->timeline != NULL) {
        place->leaving = true;
        set->changes++;
        while (place->readers != 0)
            (void)pthread_cond_wait(&set->let_go, &set->lock);
        place->timeline = NULL;
        place->leaving = false;
        set->here--;
    }
    (void)pthread_mutex_unlock(&set->lock);
}

int32_t hub_timelines_count(struct hub_timelines *set)
{
    (void)pthread_mutex_lock(&set->lock);
    const int32_t here = set->here;
    (void)pthread_mutex_unlock(&set->lock);
    return here;
}

uint64_t hub_timelines_changes(struct hub_timelines *set)
{
    (void)pthread_mutex_lock(&set->lock);
    const uint64_t changes = set->changes;
    (void)pthread_mutex_unlock(&set->lock);
    return changes;
}

/* --- readers --- */

static int32_t partition_of(const struct hub_timelines *set, struct hub_span token)
{
    return set->partition_of != NULL ? set->partition_of(token, set->count) : 0;
}

/* NULL: not here. To be given back. */
static struct hub_timeline *borrow(struct hub_timelines *set, int32_t partition)
{
    struct place *place = &set->places[partition];
    (void)pthread_mutex_lock(&set->lock);
    struct hub_timeline *timeline = place->leaving ? NULL : place->timeline;
    if (timeline != NULL)
        place->readers++;
    (void)pthread_mutex_unlock(&set->lock);
    return timeline;
}

static void give_back(struct hub_timelines *set, int32_t partition)
{
    struct place *place = &set->places[partition];
    (void)pthread_mutex_lock(&set->lock);
    if (--place->readers == 0 && place->leaving)
        (void)pthread_cond_broadcast(&set->let_go);
    (void)pthread_mutex_unlock(&set->lock);
}

static bool leaves(struct hub_timelines *set, int32_t partition)
{
    (void)pthread_mutex_lock(&set->lock);
    const bool leaving = set->places[partition].leaving;
    (void)pthread_mutex_unlock(&set->lock);
    return leaving;
}

static enum hub_result elsewhere(struct hub_error *err)
{
    return hub_fail(err, HUB_ELSEWHERE, "another process holds a part of this timeline", "ask the process that `status` shows with the partition, or read the topic");
}

/* A token's record, from wherever it is. */
static enum hub_result read_record(void *ctx, struct hub_arena *arena, struct hub_span token, struct hub_json **out, struct hub_error *err)
{
    struct hub_timelines *set = ctx;
    const int32_t partition = partition_of(set, token);
    struct hub_timeline *timeline = borrow(set, partition);
    if (timeline == NULL)
        return elsewhere(err);
    enum hub_result result = timeline_read_token(timeline, arena, token, out, err);
    give_back(set, partition);
    return result;
}

enum hub_result hub_timelines_chart(struct hub_timelines *set, struct hub_arena *arena, struct hub_span token, struct hub_chart *out, struct hub_error *err)
{
    return timeline_read_chart(read_record, set, arena, token, out, err);
}

struct entries {
    struct hub_timelines *set;
    int32_t partition;
    bool gone;
    bool (*callback)(void *ctx, struct hub_span key, struct hub_span record);
    void *ctx;
};

static bool each_entry(void *ctx, struct hub_span key, struct hub_span record)
{
    struct entries *e = ctx;
    e->gone = leaves(e->set, e->partition);
    return !e->gone && e->callback(e->ctx, key, record);
}

enum hub_result hub_timelines_each_entry(struct hub_timelines *set, struct hub_span token, bool (*callback)(void *ctx, struct hub_span key, struct hub_span record), void *ctx,
                                         struct hub_error *err)
{
    struct entries entries = {.set = set, .partition = partition_of(set, token), .callback = callback, .ctx = ctx};
    struct hub_timeline *timeline = borrow(set, entries.partition);
    if (timeline == NULL)
        return elsewhere(err);
    enum hub_result result = hub_timeline_each_entry(timeline, token, each_entry, &entries, err);
    give_back(set, entries.partition);
    return result == HUB_OK && entries.gone ? elsewhere(err) : result;
}

struct charts {
    struct hub_timelines *set;
    int32_t partition;
    bool gone, stopped;
    bool (*callback)(void *ctx, const struct hub_chart *chart);
    void *ctx;
};

static bool each_chart(void *ctx, const struct hub_chart *chart)
{
    struct charts *c = ctx;
    c->gone = leaves(c->set, c->partition);
    c->stopped = !c->gone && !c->callback(c->ctx, chart);
    return !c->gone && !c->stopped;
}

enum hub_result hub_timelines_each_chart(struct hub_timelines *set, bool (*callback)(void *ctx, const struct hub_chart *chart), void *ctx, struct hub_error *err)
{
    struct charts charts = {.set = set, .callback = callback, .ctx = ctx};
    bool left = false;
    for (int32_t i = 0; i < set->count && !charts.stopped; i++) {
        bool left_out = false;
        charts.partition = i;
        struct hub_timeline *timeline = borrow(set, i);
        left = left || timeline == NULL;
        if (timeline == NULL)
            continue;
        enum hub_result result = timeline_read_charts(timeline, read_record, set, each_chart, &charts, &left_out, err);
        give_back(set, i);
        HUB_TRY(result);
        left = left || left_out || charts.gone;
    }
    return left && !charts.stopped ? elsewhere(err) : HUB_OK;
}

/* --- charts in part --- */

struct chart_parts {
    struct hub_timelines *set;
    bool *here; /* by partition, as it was at first */
    int32_t partition;
    bool gone, stopped;
    bool (*callback)(void *ctx, const struct hub_chart_part *part);
    void *ctx;
};

static bool token_here(void *ctx, struct hub_span token)
{
    const struct chart_parts *c = ctx;
    return c->here[partition_of(c->set, token)];
}

static bool each_part(void *ctx, const struct hub_chart_part *part)
{
    struct chart_parts *c = ctx;
    c->gone = leaves(c->set, c->partition);
    c->stopped = !c->gone && !c->callback(c->ctx, part);
    return !c->gone && !c->stopped;
}

static void see_here(struct hub_timelines *set, bool *here)
{
    (void)pthread_mutex_lock(&set->lock);
    for (int32_t i = 0; i < set->count; i++)
        here[i] = set->places[i].timeline != NULL && !set->places[i].leaving;
    (void)pthread_mutex_unlock(&set->lock);
}

static enum hub_result each_part_of(struct chart_parts *c, struct hub_error *err)
{
    struct hub_timeline *timeline = borrow(c->set, c->partition);
    if (timeline == NULL)
        return elsewhere(err);
    enum hub_result result = timeline_read_chart_parts(timeline, token_here, each_part, c, err);
    give_back(c->set, c->partition);
    return result == HUB_OK && c->gone ? elsewhere(err) : result;
}

enum hub_result hub_timelines_each_chart_part(struct hub_timelines *set, bool (*callback)(void *ctx, const struct hub_chart_part *part), void *ctx, struct hub_error *err)
{
    struct chart_parts parts = {.set = set, .callback = callback, .ctx = ctx};
    enum hub_result result = HUB_OK;
    parts.here = hub_mem_array((size_t)set->count, sizeof *parts.here);
    if (parts.here == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    see_here(set, parts.here);
    for (parts.partition = 0; parts.partition < set->count && result == HUB_OK && !parts.stopped; parts.partition++) {
        if (parts.here[parts.partition])
            result = each_part_of(&parts, err);
    }
    hub_mem_free(parts.here);
    return result;
}

enum hub_result hub_timelines_state_digest(struct hub_timelines *set, uint8_t digest[32], struct hub_error *err)
{
    memset(digest, 0, 32);
    for (int32_t i = 0; i < set->count; i++) {
        uint8_t own[32];
        struct hub_timeline *timeline = borrow(set, i);
        if (timeline == NULL)
            continue;
        enum hub_result result = hub_timeline_state_digest(timeline, own, err);
        give_back(set, i);
        HUB_TRY(result);
        timeline_digest_add(digest, own);
    }
    return HUB_OK;
}
