/* Token records: the only records of the timeline that change. Members that say nothing are left out, so that
 * equal states have equal bytes. */
#include "src/event/event.h"
#include "src/timeline/group.h"

enum { LEFT_SHOWN = 100 };

int64_t timeline_json_number(const struct hub_json *object, const char *key)
{
    uint64_t number = 0;
    return hub_span_parse_u64(hub_json_span(hub_json_get(object, key)), &number) ? (int64_t)number : 0;
}

static enum hub_result set_strings(struct hub_arena *arena, struct hub_json *record, const char *key,
                                   const struct hub_span *items, size_t count)
{
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(list != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++)
        HUB_TRY(hub_json_push(list, hub_json_string(arena, items[i])));
    return hub_json_set_c(record, key, list);
}

static enum hub_result fill_new(struct hub_arena *arena, struct hub_json *record, struct hub_span token)
{
    HUB_ENSURE(record != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, record, "chart", token));
    HUB_TRY(hub_json_set_c(record, "entries", hub_json_new(arena, HUB_JSON_OBJECT)));
    HUB_TRY(hub_json_set_c(record, "latest", hub_json_new(arena, HUB_JSON_OBJECT)));
    HUB_TRY(hub_json_set_string(arena, record, "survivor", token));
    HUB_TRY(hub_json_set_string(arena, record, "token", token));
    if (token.len != 0 && token.ptr[0] == '2')
        HUB_TRY(hub_json_set_c(record, "unidentified", hub_json_bool(arena, true)));
    return set_strings(arena, record, "tokens", &token, 1);
}

enum hub_result timeline_token_record(struct hub_timeline *t, struct hub_span token, struct hub_json **out,
                                      struct hub_error *err)
{
    HUB_TRY(timeline_get_json(t, FAMILY_TOKENS, token, out, err));
    if (*out != NULL)
        return HUB_OK;
    *out = hub_json_new(&t->scratch, HUB_JSON_OBJECT);
    enum hub_result result = fill_new(&t->scratch, *out, token);
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}

/* --- the chart's part --- */

static enum hub_result set_mark(struct hub_arena *arena, struct hub_json *record, const char *key, bool value)
{
    (void)hub_json_remove(record, key);
    return value ? hub_json_set_c(record, key, hub_json_bool(arena, true)) : HUB_OK;
}

static enum hub_result set_left(struct hub_arena *arena, struct hub_json *record, struct hub_span token,
                                const struct hub_identity_charts *all)
{
    (void)hub_json_remove(record, "left");
    struct hub_json *list = NULL;
    for (size_t i = 0; i < all->left_count && (list == NULL || list->len < LEFT_SHOWN); i++) {
        const struct hub_identity_left *left = &all->left[i];
        if (!hub_span_equal(left->a, token) && !hub_span_equal(left->b, token))
            continue;
        if (list == NULL)
            list = hub_json_new(arena, HUB_JSON_ARRAY);
        struct hub_json *item = hub_json_new(arena, HUB_JSON_OBJECT);
        HUB_ENSURE(list != NULL && item != NULL, HUB_NO_MEMORY);
        HUB_TRY(hub_json_set_string(arena, item, "event", left->event));
        HUB_TRY(hub_json_set_string(arena, item, "kind", hub_span_str(hub_identity_kind_name(left->kind))));
        HUB_TRY(
            hub_json_set_string(arena, item, "other", hub_span_equal(left->a, token) ? left->b : left->a));
        HUB_TRY(hub_json_set_string(arena, item, "why", hub_span_str(hub_identity_why_name(left->why))));
        HUB_TRY(hub_json_push(list, item));
    }
    return list != NULL ? hub_json_set_c(record, "left", list) : HUB_OK;
}

static enum hub_result fill_chart(struct hub_arena *arena, struct hub_json *record, struct hub_span token,
                                  const struct hub_identity_chart *chart,
                                  const struct hub_identity_charts *all)
{
    HUB_TRY(hub_json_set_string(arena, record, "chart", chart->id));
    HUB_TRY(hub_json_set_string(arena, record, "survivor", chart->survivor));
    HUB_TRY(set_strings(arena, record, "tokens", chart->tokens, chart->count));
    (void)hub_json_remove(record, "retired");
    if (chart->retired_count != 0)
        HUB_TRY(set_strings(arena, record, "retired", chart->retired, chart->retired_count));
    HUB_TRY(set_mark(arena, record, "conflict", chart->conflict));
    HUB_TRY(set_mark(arena, record, "contested", all->contested));
    return set_left(arena, record, token, all);
}

enum hub_result timeline_token_set_chart(struct hub_timeline *t, struct hub_span token,
                                         const struct hub_identity_chart *chart,
                                         const struct hub_identity_charts *all, struct hub_error *err)
{
    struct hub_json *record = NULL;
    HUB_TRY(timeline_token_record(t, token, &record, err));
    enum hub_result result = fill_chart(&t->scratch, record, token, chart, all);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    return timeline_put_json(t, FAMILY_TOKENS, token, record, err);
}

/* --- the token's own part: counts and latest entries --- */

static int64_t moment(struct hub_span text)
{
    int64_t us = INT64_MIN;
    return hub_moment_us(text, &us) ? us : INT64_MIN;
}

/* By effective, recorded, id. */
static bool later(const struct timeline_entry *entry, const struct hub_json *now)
{
    const struct hub_span of_now[] = {hub_json_get_span(now, "effective"), hub_json_get_span(now, "recorded")};
    const struct hub_span of_entry[] = {entry->effective, entry->recorded};
    for (size_t i = 0; i < 2; i++) {
        int64_t x = moment(of_entry[i]);
        int64_t y = moment(of_now[i]);
        if (x != y)
            return x > y;
    }
    return hub_span_compare(entry->id, hub_json_get_span(now, "id")) > 0;
}

static enum hub_result set_latest(struct hub_arena *arena, struct hub_json *latest,
                                  const struct timeline_entry *entry)
{
    const char *kind = (const char *)entry->kind.ptr;
    const struct hub_json *now = hub_json_get_n(latest, kind, entry->kind.len);
    if (now != NULL && !later(entry, now))
        return HUB_OK;
    struct hub_json *item = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(item != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, item, "effective", entry->effective));
    HUB_TRY(hub_json_set_string(arena, item, "id", entry->id));
    HUB_TRY(hub_json_set_string(arena, item, "recorded", entry->recorded));
    return hub_json_set(latest, kind, entry->kind.len, item);
}

static enum hub_result count_one(struct hub_arena *arena, struct hub_json *record,
                                 const struct timeline_entry *entry)
{
    const char *kind = (const char *)entry->kind.ptr;
    struct hub_json *counts = hub_json_get(record, "entries");
    struct hub_json *latest = hub_json_get(record, "latest");
    if (hub_span_is(entry->kind, "support") || counts == NULL || latest == NULL)
        return HUB_OK;
    uint64_t count = 0;
    if (!hub_span_parse_u64(hub_json_span(hub_json_get_n(counts, kind, entry->kind.len)), &count))
        count = 0;
    HUB_TRY(hub_json_set(counts, kind, entry->kind.len, hub_json_number_i64(arena, (int64_t)count + 1)));
    if (entry->test)
        HUB_TRY(hub_json_set_c(record, "test",
                               hub_json_number_i64(arena, timeline_json_number(record, "test") + 1)));
    return set_latest(arena, latest, entry);
}

enum hub_result timeline_token_count(struct hub_timeline *t, struct hub_json *token_record,
                                     const struct timeline_entry *entry, struct hub_error *err)
{
    enum hub_result result = count_one(&t->scratch, token_record, entry);
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}

static enum hub_result recount_line(struct hub_timeline *t, struct hub_span line, struct hub_json *record,
                                    struct hub_span without_event, struct hub_error *err)
{
    struct hub_json *entry = NULL;
    enum hub_result result = hub_json_parse(&t->scratch, line, &entry, err);
    if (result == HUB_SYNTAX)
        return hub_fail(err, HUB_CORRUPT, "an entry record of the timeline is damaged", NULL);
    HUB_TRY(result);
    if (hub_span_equal(hub_json_get_span(entry, "event"), without_event))
        return HUB_OK;
    const struct timeline_entry counted = {
        .kind = hub_json_get_span(entry, "kind"),
        .effective = hub_json_get_span(entry, "effective"),
        .recorded = hub_json_get_span(entry, "recorded"),
        .id = hub_json_get_span(entry, "id"),
        .test = hub_json_get(entry, "test") != NULL,
    };
    return timeline_token_count(t, record, &counted, err);
}

enum hub_result timeline_token_recount(struct hub_timeline *t, struct hub_span token,
                                       struct hub_span without_event, struct hub_error *err)
{
    struct hub_json *record = NULL;
    HUB_TRY(timeline_token_record(t, token, &record, err));
    (void)hub_json_remove(record, "test");
    if (hub_json_set_c(record, "entries", hub_json_new(&t->scratch, HUB_JSON_OBJECT)) != HUB_OK ||
        hub_json_set_c(record, "latest", hub_json_new(&t->scratch, HUB_JSON_OBJECT)) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_span prefix = timeline_key(t, token, HUB_SPAN(""));
    struct hub_kv_iter *iter = prefix.ptr != NULL ? hub_kv_iter_new(t->kv, FAMILY_ENTRIES, prefix) : NULL;
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result = HUB_OK;
    struct timeline_entries entries;
    timeline_entries_init(&entries, iter);
    while (result == HUB_OK && timeline_entries_next(&entries))
        result = recount_line(t, entries.record, record, without_event, err);
    if (result == HUB_OK)
        result = timeline_entries_result(&entries, err);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    HUB_TRY(result);
    return timeline_put_json(t, FAMILY_TOKENS, token, record, err);
}

static bool is_empty(const struct hub_json *container)
{
    return container == NULL || container->len == 0;
}

enum hub_result timeline_token_prune(struct hub_timeline *t, struct hub_span token, struct hub_error *err)
{
    struct hub_json *node = NULL;
    struct hub_json *record = NULL;
    HUB_TRY(timeline_get_json(t, FAMILY_NODES, token, &node, err));
    if (!is_empty(hub_json_get(node, "same")) || !is_empty(hub_json_get(node, "facts")))
        return HUB_OK;
    if (node != NULL)
        HUB_TRY(timeline_delete(t, FAMILY_NODES, token, err));
    HUB_TRY(timeline_get_json(t, FAMILY_TOKENS, token, &record, err));
    if (record == NULL || !is_empty(hub_json_get(record, "entries")))
        return HUB_OK;
    return timeline_delete(t, FAMILY_TOKENS, token, err);
}
