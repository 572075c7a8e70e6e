#include "src/base/mem.h"
#include "src/timeline/group.h"
#include "src/timeline/read.h"

enum { LINE_BYTES_MAX = 1024 * 1024 * 1024 };

enum hub_result timeline_read_token(struct hub_timeline *t, struct hub_arena *arena, struct hub_span token,
                                    struct hub_json **out, struct hub_error *err)
{
    struct hub_kv_value value;
    HUB_TRY(hub_kv_get(t->kv, FAMILY_TOKENS, token, &value, err));
    enum hub_result result = hub_json_parse(arena, value.bytes, out, err);
    hub_kv_value_free(&value);
    return result == HUB_SYNTAX ? hub_fail(err, HUB_CORRUPT, "a token record is damaged", NULL) : result;
}

static enum hub_result read_list(struct hub_arena *arena, const struct hub_json *list, struct hub_span **out,
                                 size_t *count, struct hub_error *err)
{
    *count = 0;
    size_t len = list != NULL && list->type == HUB_JSON_ARRAY ? list->len : 0;
    *out = HUB_ARENA_ARRAY(arena, struct hub_span, len + 1);
    if (*out == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (const struct hub_json *item = len != 0 ? list->first : NULL; item != NULL; item = item->next)
        (*out)[(*count)++] = hub_json_span(item);
    return HUB_OK;
}

static void add_own(struct hub_chart *out, const struct hub_json *record)
{
    const struct hub_json *counts = hub_json_get(record, "entries");
    for (const struct hub_json *kind = counts != NULL && counts->type == HUB_JSON_OBJECT ? counts->first
                                                                                         : NULL;
         kind != NULL; kind = kind->next) {
        uint64_t count = 0;
        if (hub_span_parse_u64(hub_json_span(kind), &count))
            out->entry_count += count;
    }
    out->test |= timeline_json_number(record, "test") != 0;
    out->unidentified &= hub_json_get(record, "unidentified") != NULL;
    out->conflict |= hub_json_get(record, "conflict") != NULL;
}

static enum hub_result fill_chart(timeline_token_reader read, void *ctx, struct hub_arena *arena, struct hub_json *record,
                                  struct hub_chart *out, struct hub_error *err)
{
    memset(out, 0, sizeof *out);
    struct hub_span id = hub_json_get_span(record, "chart");
    if (id.len >= sizeof out->id)
        return hub_fail(err, HUB_CORRUPT, "a token record is damaged", NULL);
    if (id.len != 0)
        memcpy(out->id, id.ptr, id.len);
    HUB_TRY(read_list(arena, hub_json_get(record, "tokens"), &out->tokens, &out->token_count, err));
    HUB_TRY(read_list(arena, hub_json_get(record, "retired"), &out->retired, &out->retired_count, err));
    out->survivor = hub_json_get_span(record, "survivor");
    out->unidentified = true;
    for (size_t i = 0; i < out->token_count; i++) {
        struct hub_json *each = record;
        if (!hub_span_equal(out->tokens[i], hub_json_get_span(record, "token"))) {
            enum hub_result result = read(ctx, arena, out->tokens[i], &each, err);
            if (result == HUB_NOT_FOUND)
                continue;
            HUB_TRY(result);
        }
        add_own(out, each);
    }
    return HUB_OK;
}

enum hub_result timeline_read_chart(timeline_token_reader read, void *ctx, struct hub_arena *arena, struct hub_span token,
                                    struct hub_chart *out, struct hub_error *err)
{
    struct hub_json *record = NULL;
    enum hub_result result = read(ctx, arena, token, &record, err);
    if (result == HUB_NOT_FOUND)
        return hub_fail(err, HUB_NOT_FOUND, "no chart has this patient token", NULL);
    HUB_TRY(result);
    return fill_chart(read, ctx, arena, record, out, err);
}

enum hub_result timeline_read_charts(struct hub_timeline *t, timeline_token_reader read, void *read_ctx,
                                     bool (*callback)(void *ctx, const struct hub_chart *chart), void *ctx, bool *left,
                                     struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_TOKENS, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_arena line;
    hub_arena_init(&line, LINE_BYTES_MAX);
    enum hub_result result = HUB_OK;
    bool more = true;
    while (more && hub_kv_iter_next(iter)) {
        hub_arena_reset(&line);
        struct hub_json *record = NULL;
        struct hub_chart chart;
        HUB_TRY_OUT(hub_json_parse(&line, hub_kv_iter_value(iter), &record, err));
        if (!hub_span_equal(hub_json_get_span(record, "chart"), hub_kv_iter_key(iter)))
            continue; /* a chart is its smallest token's */
        result = fill_chart(read, read_ctx, &line, record, &chart, err);
        *left = *left || result == HUB_ELSEWHERE;
        if (result == HUB_ELSEWHERE)
            continue;
        HUB_TRY_OUT(result);
        more = callback(ctx, &chart);
    }
    result = hub_kv_iter_result(iter, err);
out:
    hub_arena_deinit(&line);
    hub_kv_iter_free(iter);
    return result;
}

/* PART of a token's RECORD; *TURN: it is this token's to tell. */
static enum hub_result fill_part(struct hub_arena *arena, const struct hub_json *record, struct hub_span token, bool (*here)(void *ctx, struct hub_span token),
                                 void *ctx, struct hub_chart_part *part, bool *turn, struct hub_error *err)
{
    struct hub_span *tokens = NULL;
    size_t count = 0, before = 0;
    HUB_TRY(read_list(arena, hub_json_get(record, "tokens"), &tokens, &count, err));
    bool *are_here = HUB_ARENA_ARRAY(arena, bool, count + 1);
    if (are_here == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        are_here[i] = here(ctx, tokens[i]);
        before += are_here[i] && hub_span_compare(tokens[i], token) < 0;
    }
    *part = (struct hub_chart_part){.tokens = tokens, .here = are_here, .token_count = count};
    *turn = before == 0;
    return HUB_OK;
}

enum hub_result timeline_read_chart_parts(struct hub_timeline *t, bool (*here)(void *ctx, struct hub_span token), bool (*callback)(void *ctx, const struct hub_chart_part *part),
                                          void *ctx, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_TOKENS, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_arena line;
    hub_arena_init(&line, LINE_BYTES_MAX);
    enum hub_result result = HUB_OK;
    bool more = true;
    while (more && hub_kv_iter_next(iter)) {
        struct hub_json *record = NULL;
        struct hub_chart_part part;
        bool turn = false;
        hub_arena_reset(&line);
        HUB_TRY_OUT(hub_json_parse(&line, hub_kv_iter_value(iter), &record, err));
        HUB_TRY_OUT(fill_part(&line, record, hub_kv_iter_key(iter), here, ctx, &part, &turn, err));
        more = !turn || callback(ctx, &part);
    }
    result = hub_kv_iter_result(iter, err);
out:
    hub_arena_deinit(&line);
    hub_kv_iter_free(iter);
    return result;
}

/* --- of one store --- */

static enum hub_result read_own(void *ctx, struct hub_arena *arena, struct hub_span token, struct hub_json **out,
                                struct hub_error *err)
{
    return timeline_read_token(ctx, arena, token, out, err);
}

enum hub_result hub_timeline_chart(struct hub_timeline *t, struct hub_arena *arena, struct hub_span token,
                                   struct hub_chart *out, struct hub_error *err)
{
    return timeline_read_chart(read_own, t, arena, token, out, err);
}

enum hub_result hub_timeline_each_chart(struct hub_timeline *t,
                                        bool (*callback)(void *ctx, const struct hub_chart *chart), void *ctx,
                                        struct hub_error *err)
{
    bool left = false;
    return timeline_read_charts(t, read_own, t, callback, ctx, &left, err);
}

static enum hub_result each_revision(struct hub_timeline *t, struct hub_span prefix,
                                     bool (*callback)(void *ctx, struct hub_span key, struct hub_span record), void *ctx,
                                     bool *more, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_REVISIONS, prefix);
    HUB_ENSURE(iter != NULL, HUB_NO_MEMORY);
    while (*more && hub_kv_iter_next(iter))
        *more = callback(ctx, hub_kv_iter_key(iter), hub_kv_iter_value(iter));
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

static enum hub_result each_entry(struct hub_timeline *t, struct hub_span prefix,
                                  bool (*callback)(void *ctx, struct hub_span key, struct hub_span record), void *ctx,
                                  struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_ENTRIES, prefix);
    HUB_ENSURE(iter != NULL, HUB_NO_MEMORY);
    struct timeline_entries entries;
    timeline_entries_init(&entries, iter);
    while (timeline_entries_next(&entries) && callback(ctx, entries.key, entries.record))
        ;
    enum hub_result result = timeline_entries_result(&entries, err);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result hub_timeline_each_entry(struct hub_timeline *t, struct hub_span token,
                                        bool (*callback)(void *ctx, struct hub_span key,
                                                         struct hub_span record),
                                        void *ctx, struct hub_error *err)
{
    struct hub_buf prefix;
    hub_buf_init(&prefix, 256, false);
    hub_buf_append_span(&prefix, token);
    hub_buf_append_byte(&prefix, '/');
    enum hub_result result = hub_buf_result(&prefix);
    bool more = true;
    if (result == HUB_OK)
        result = each_revision(t, hub_buf_view(&prefix), callback, ctx, &more, err);
    if (result == HUB_OK && more)
        result = each_entry(t, hub_buf_view(&prefix), callback, ctx, err);
    hub_buf_deinit(&prefix);
    return result == HUB_NO_MEMORY ? hub_fail(err, result, NULL, NULL) : result;
}

static enum hub_result fill_chart_json(struct hub_arena *arena, struct hub_json *json,
                                       const struct hub_chart *chart)
{
    HUB_ENSURE(json != NULL, HUB_NO_MEMORY);
    struct hub_span id = hub_arena_copy(arena, hub_span_str(chart->id));
    HUB_ENSURE(id.ptr != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, json, "chart", id));
    HUB_TRY(hub_json_set_c(json, "conflict", hub_json_bool(arena, chart->conflict)));
    HUB_TRY(hub_json_set_c(json, "entries", hub_json_number_i64(arena, (int64_t)chart->entry_count)));
    HUB_TRY(hub_json_set_string(arena, json, "survivor", chart->survivor));
    HUB_TRY(hub_json_set_c(json, "test", hub_json_bool(arena, chart->test)));
    HUB_TRY(hub_json_set_c(json, "unidentified", hub_json_bool(arena, chart->unidentified)));
    struct hub_json *tokens = hub_json_new(arena, HUB_JSON_ARRAY);
    struct hub_json *retired = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(tokens != NULL && retired != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < chart->token_count; i++)
        HUB_TRY(hub_json_push(tokens, hub_json_string(arena, chart->tokens[i])));
    for (size_t i = 0; i < chart->retired_count; i++)
        HUB_TRY(hub_json_push(retired, hub_json_string(arena, chart->retired[i])));
    HUB_TRY(hub_json_set_c(json, "retired", retired));
    return hub_json_set_c(json, "tokens", tokens);
}

struct hub_json *hub_chart_json(struct hub_arena *arena, const struct hub_chart *chart)
{
    struct hub_json *json = hub_json_new(arena, HUB_JSON_OBJECT);
    return fill_chart_json(arena, json, chart) == HUB_OK ? json : NULL;
}
