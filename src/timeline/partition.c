/* What a partition is told of charts: the identity store computes them (docs/adr/0008-timeline-on-kafka.md). */
#include "src/timeline/state.h"

static enum hub_result read_part(struct hub_timeline *t, struct hub_span part, struct hub_json **out, struct hub_error *err)
{
    enum hub_result result = hub_json_parse(&t->scratch, part, out, err);
    if (result != HUB_OK && result != HUB_SYNTAX)
        return result;
    const struct hub_json *tokens = result == HUB_OK ? hub_json_get(*out, "tokens") : NULL;
    if (tokens == NULL || tokens->type != HUB_JSON_ARRAY || !timeline_good_id(hub_json_get_span(*out, "chart")) ||
        !timeline_good_id(hub_json_get_span(*out, "survivor")))
        return hub_fail(err, HUB_SYNTAX, "a chart part that is none", NULL);
    return HUB_OK;
}

static enum hub_result set_part(struct hub_timeline *t, struct hub_span token, struct hub_span part, struct hub_error *err)
{
    struct hub_json *json = NULL, *record = NULL;
    HUB_TRY(read_part(t, part, &json, err));
    HUB_TRY(timeline_token_record(t, token, &record, err));
    enum hub_result result = timeline_chart_copy(json, &t->scratch, record);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    HUB_TRY(timeline_put(t, FAMILY_NODES, token, part, err));
    return timeline_put_json(t, FAMILY_TOKENS, token, record, err);
}

/* No fact names the token any more. */
static enum hub_result set_alone(struct hub_timeline *t, struct hub_span token, struct hub_error *err)
{
    struct hub_json *record = NULL;
    HUB_TRY(timeline_delete(t, FAMILY_NODES, token, err));
    HUB_TRY(timeline_get_json(t, FAMILY_TOKENS, token, &record, err));
    if (record == NULL)
        return HUB_OK;
    if (timeline_token_empty(record))
        return timeline_delete(t, FAMILY_TOKENS, token, err);
    enum hub_result result = timeline_chart_alone(&t->scratch, record, token);
    return result == HUB_OK ? timeline_put_json(t, FAMILY_TOKENS, token, record, err) : hub_fail(err, result, NULL, NULL);
}

enum hub_result hub_timeline_set_chart(struct hub_timeline *t, struct hub_span token, struct hub_span part,
                                       struct hub_error *err)
{
    struct hub_span before = HUB_SPAN_NONE;
    if (t->part != HUB_TIMELINE_PARTITION || t->restoring)
        return hub_fail(err, HUB_USAGE, "a chart for a timeline that is not ready for it", NULL);
    if (!timeline_good_id(token))
        return hub_fail(err, HUB_SYNTAX, "a chart of a token that is none", NULL);
    hub_arena_reset(&t->scratch);
    enum hub_result result = timeline_get(t, FAMILY_NODES, token, &before, err);
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    const bool same = part.ptr != NULL ? result == HUB_OK && hub_span_equal(before, part) : result == HUB_NOT_FOUND;
    if (same)
        return HUB_OK;
    return part.ptr != NULL ? set_part(t, token, part, err) : set_alone(t, token, err);
}

/* Both stores side by side, by token. */
struct sync {
    struct hub_kv_iter *known, *told;
    bool has_known, has_told;
};

/* An iterator that fails ends early: what is missing then is not known to be missing. */
static enum hub_result step(struct hub_kv_iter *iter, bool *has, struct hub_error *err)
{
    *has = hub_kv_iter_next(iter);
    return *has ? HUB_OK : hub_kv_iter_result(iter, err);
}

static enum hub_result sync_step(struct hub_timeline *t, struct sync *s, bool (*mine)(void *ctx, struct hub_span token),
                                 void *ctx, struct hub_error *err)
{
    const int d = !s->has_known  ? 1
                  : !s->has_told ? -1
                                 : hub_span_compare(hub_kv_iter_key(s->known), hub_kv_iter_key(s->told));
    enum hub_result result = HUB_OK;
    if (d > 0)
        result = hub_timeline_set_chart(t, hub_kv_iter_key(s->told), HUB_SPAN_NONE, err);
    else if (d == 0 ? !hub_span_equal(hub_kv_iter_value(s->known), hub_kv_iter_value(s->told))
                    : mine(ctx, hub_kv_iter_key(s->known)))
        result = hub_timeline_set_chart(t, hub_kv_iter_key(s->known), hub_kv_iter_value(s->known), err);
    if (result == HUB_OK && d <= 0)
        result = step(s->known, &s->has_known, err);
    if (result == HUB_OK && d >= 0)
        result = step(s->told, &s->has_told, err);
    if (result == HUB_OK && t->arena.used + t->batch_bytes > PENDING_BYTES_WRITE)
        result = timeline_write_pending(t, false, err);
    return result;
}

enum hub_result hub_timeline_sync_charts(struct hub_timeline *t, struct hub_timeline *identity,
                                         bool (*mine)(void *ctx, struct hub_span token), void *ctx, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    if (t->part != HUB_TIMELINE_PARTITION || identity->part != HUB_TIMELINE_IDENTITY || t->restoring)
        return hub_fail(err, HUB_USAGE, "charts of other timelines than a partition and who is who", NULL);
    HUB_TRY(timeline_write_pending(t, false, err)); /* what was told is read from the store */
    struct sync s = {.known = hub_kv_iter_new(identity->kv, FAMILY_TOKENS, HUB_SPAN_NONE),
                     .told = hub_kv_iter_new(t->kv, FAMILY_NODES, HUB_SPAN_NONE)};
    if (s.known == NULL || s.told == NULL)
        result = hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (result == HUB_OK)
        result = step(s.known, &s.has_known, err);
    if (result == HUB_OK)
        result = step(s.told, &s.has_told, err);
    while (result == HUB_OK && (s.has_known || s.has_told))
        result = sync_step(t, &s, mine, ctx, err);
    hub_kv_iter_free(s.known);
    hub_kv_iter_free(s.told);
    return result;
}
