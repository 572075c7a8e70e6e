/* What the header promises and is not there yet. */
#include "src/timeline/state.h"
#include "src/timeline/set.h"

static enum hub_result unbuilt(struct hub_error *err)
{
    return hub_fail(err, HUB_INTERNAL, "a part of the timeline that is not built yet", NULL);
}

enum hub_result hub_timeline_set_chart(struct hub_timeline *t, struct hub_span token, struct hub_span part, struct hub_error *err)
{
    (void)t, (void)token, (void)part;
    return unbuilt(err);
}

enum hub_result hub_timeline_sync_charts(struct hub_timeline *p, struct hub_timeline *i, bool (*mine)(void *ctx, struct hub_span token), void *ctx,
                                         struct hub_error *err)
{
    (void)p, (void)i, (void)mine, (void)ctx;
    return unbuilt(err);
}

enum hub_result hub_timeline_restore(struct hub_timeline *t, struct hub_span key, struct hub_span value, struct hub_error *err)
{
    (void)t, (void)key, (void)value;
    return unbuilt(err);
}

enum hub_result hub_timeline_restore_end(struct hub_timeline *t, struct hub_error *err)
{
    (void)t;
    return unbuilt(err);
}

enum hub_result hub_timeline_add_identity(struct hub_timeline *t, struct hub_span key, struct hub_span record, struct hub_error *err)
{
    (void)t, (void)key, (void)record;
    return unbuilt(err);
}

enum hub_result hub_timeline_facts_known(struct hub_timeline *i, struct hub_span event_id, size_t fact_count, bool revision, bool *known,
                                         struct hub_error *err)
{
    (void)i, (void)event_id, (void)fact_count, (void)revision;
    *known = false;
    return unbuilt(err);
}

enum hub_result hub_timeline_chart_part(struct hub_timeline *i, struct hub_arena *arena, struct hub_span token, struct hub_span *out, struct hub_error *err)
{
    (void)i, (void)arena, (void)token, (void)out;
    return unbuilt(err);
}

enum hub_result hub_timeline_each_chart_part(struct hub_timeline *i, bool (*callback)(void *ctx, struct hub_span token, struct hub_span part), void *ctx,
                                             struct hub_error *err)
{
    (void)i, (void)callback, (void)ctx;
    return unbuilt(err);
}

void hub_timeline_wait_for(struct hub_timeline *t, struct hub_timeline *identity)
{
    (void)t, (void)identity;
}

enum hub_result hub_timeline_set_mark(struct hub_timeline *t, const char *name, struct hub_span text, struct hub_error *err)
{
    (void)t, (void)name, (void)text;
    return unbuilt(err);
}

enum hub_result hub_timeline_mark(struct hub_timeline *t, const char *name, char out[HUB_TIMELINE_MARK_MAX], struct hub_error *err)
{
    (void)t, (void)name, (void)out;
    return unbuilt(err);
}
