/* Token records: the only records of the timeline that change. Members that say nothing are left out, so that
 * equal states have equal bytes. */
#include <stdlib.h>

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

static const char *const chart_members[] = {"chart", "conflict", "contested", "left", "retired", "survivor", "tokens"};

enum hub_result timeline_chart_copy(const struct hub_json *from, struct hub_arena *arena, struct hub_json *out)
{
    for (size_t i = 0; i < sizeof chart_members / sizeof chart_members[0]; i++) {
        const struct hub_json *member = hub_json_get(from, chart_members[i]);
        (void)hub_json_remove(out, chart_members[i]);
        if (member != NULL)
            HUB_TRY(hub_json_set_c(out, chart_members[i], hub_json_copy(arena, member)));
    }
    return HUB_OK;
}

enum hub_result timeline_chart_alone(struct hub_arena *arena, struct hub_json *record, struct hub_span token)
{
    for (size_t i = 0; i < sizeof chart_members / sizeof chart_members[0]; i++)
        (void)hub_json_remove(record, chart_members[i]);
    HUB_TRY(hub_json_set_string(arena, record, "chart", token));
    HUB_TRY(hub_json_set_string(arena, record, "survivor", token));
    return set_strings(arena, record, "tokens", &token, 1);
}

/* Who is told of changes is told only of changes. */
static enum hub_result set_part(struct hub_timeline *t, struct hub_span token, const struct hub_identity_chart *chart,
                                const struct hub_identity_charts *all, struct hub_error *err)
{
    struct hub_json *part = hub_json_new(&t->scratch, HUB_JSON_OBJECT);
    struct hub_span before = HUB_SPAN_NONE;
    enum hub_result result = part != NULL ? fill_chart(&t->scratch, part, token, chart, all) : HUB_NO_MEMORY;
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    result = timeline_get(t, FAMILY_TOKENS, token, &before, err);
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    hub_buf_reset(&t->text);
    hub_json_write(&t->text, part);
    if (hub_buf_result(&t->text) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (result == HUB_OK && hub_span_equal(before, hub_buf_view(&t->text)))
        return HUB_OK;
    return timeline_put(t, FAMILY_TOKENS, token, hub_buf_view(&t->text), err);
}

enum hub_result timeline_token_set_chart(struct hub_timeline *t, struct hub_span token,
                                         const struct hub_identity_chart *chart,
                                         const struct hub_identity_charts *all, struct hub_error *err)
{
    struct hub_json *record = NULL;
    if (t->part == HUB_TIMELINE_IDENTITY)
        return set_part(t, token, chart, all, err);
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

/* OBJECT's number KEY by CHANGE; one that comes to 0 goes. */
static enum hub_result change_number(struct hub_arena *arena, struct hub_json *object, struct hub_span key, int change)
{
    uint64_t now = 0;
    if (!hub_span_parse_u64(hub_json_span(hub_json_get_n(object, (const char *)key.ptr, key.len)), &now))
        now = 0;
    const int64_t then = (int64_t)now + change;
    const char *name = hub_arena_printf(arena, "%.*s", (int)key.len, (const char *)key.ptr);
    HUB_ENSURE(name != NULL, HUB_NO_MEMORY);
    if (then > 0)
        return hub_json_set_c(object, name, hub_json_number_i64(arena, then));
    (void)hub_json_remove(object, name);
    return HUB_OK;
}

enum hub_result timeline_token_count(struct hub_timeline *t, struct hub_json *token_record,
                                     const struct timeline_entry *entry, bool superseded, struct hub_error *err)
{
    enum hub_result result = superseded
                                 ? change_number(&t->scratch, token_record, HUB_SPAN("superseded"), 1)
                                 : count_one(&t->scratch, token_record, entry);
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}

static enum hub_result supersede(struct hub_arena *arena, struct hub_json *record, const struct timeline_entry *entry,
                                 bool *again)
{
    HUB_TRY(change_number(arena, record, HUB_SPAN("superseded"), 1));
    if (hub_span_is(entry->kind, "support"))
        return HUB_OK;
    HUB_TRY(change_number(arena, hub_json_get(record, "entries"), entry->kind, -1));
    if (entry->test)
        HUB_TRY(change_number(arena, record, HUB_SPAN("test"), -1));
    const struct hub_json *latest =
        hub_json_get_n(hub_json_get(record, "latest"), (const char *)entry->kind.ptr, entry->kind.len);
    *again = *again || hub_span_equal(hub_json_get_span(latest, "id"), entry->id);
    return HUB_OK;
}

enum hub_result timeline_token_supersede(struct hub_timeline *t, struct hub_json *token_record,
                                         const struct timeline_entry *entry, bool *again, struct hub_error *err)
{
    enum hub_result result = supersede(&t->scratch, token_record, entry, again);
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}

struct timeline_entry timeline_entry_of(const struct hub_json *entry_record)
{
    return (struct timeline_entry){
        .kind = hub_json_get_span(entry_record, "kind"),
        .effective = hub_json_get_span(entry_record, "effective"),
        .recorded = hub_json_get_span(entry_record, "recorded"),
        .id = hub_json_get_span(entry_record, "id"),
        .test = hub_json_get(entry_record, "test") != NULL,
    };
}

/* Event ids, in scratch, sorted once all are there. */
struct gone {
    struct hub_span *ids;
    size_t count, cap;
};

static enum hub_result gone_add(struct hub_timeline *t, struct gone *gone, struct hub_span id)
{
    if (gone->count == gone->cap) {
        const size_t cap = gone->cap != 0 ? gone->cap * 2 : 64;
        struct hub_span *ids = HUB_ARENA_ARRAY(&t->scratch, struct hub_span, cap);
        HUB_ENSURE(ids != NULL, HUB_NO_MEMORY);
        if (gone->count != 0)
            memcpy(ids, gone->ids, gone->count * sizeof *ids);
        gone->ids = ids;
        gone->cap = cap;
    }
    gone->ids[gone->count++] = id;
    return HUB_OK;
}

static int compare_ids(const void *a, const void *b)
{
    return hub_span_compare(*(const struct hub_span *)a, *(const struct hub_span *)b);
}

/* What stored revisions of the token take the place of. */
static enum hub_result gone_read(struct hub_timeline *t, struct hub_span prefix, struct gone *gone, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_REVISIONS, prefix);
    enum hub_result result = iter != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (result == HUB_OK && hub_kv_iter_next(iter)) {
        struct hub_json *record = NULL;
        result = hub_json_parse(&t->scratch, hub_kv_iter_value(iter), &record, err);
        if (result == HUB_SYNTAX)
            result = hub_fail(err, HUB_CORRUPT, "a revision record of the timeline is damaged", NULL);
        if (result != HUB_OK)
            break;
        const struct hub_json *list = hub_json_get(record, "supersedes");
        for (const struct hub_json *id = list != NULL ? list->first : NULL; id != NULL && result == HUB_OK; id = id->next)
            result = gone_add(t, gone, hub_json_span(id));
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

static enum hub_result recount_line(struct hub_timeline *t, struct hub_arena *arena, struct hub_span line,
                                    struct hub_json *record, struct hub_span without, const struct gone *gone, struct hub_error *err)
{
    struct hub_json *entry = NULL;
    hub_arena_reset(arena);
    enum hub_result result = hub_json_parse(arena, line, &entry, err);
    if (result == HUB_SYNTAX)
        return hub_fail(err, HUB_CORRUPT, "an entry record of the timeline is damaged", NULL);
    HUB_TRY(result);
    const struct hub_span event = hub_json_get_span(entry, "event");
    if (hub_span_equal(event, without))
        return HUB_OK;
    const bool superseded =
        gone->count != 0 && bsearch(&event, gone->ids, gone->count, sizeof *gone->ids, compare_ids) != NULL;
    struct timeline_entry counted = timeline_entry_of(entry);
    struct hub_span *texts[] = {&counted.kind, &counted.effective, &counted.recorded, &counted.id};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) { /* the line goes before the record does */
        *texts[i] = hub_arena_copy(&t->scratch, *texts[i]);
        if (texts[i]->ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    return timeline_token_count(t, record, &counted, superseded, err);
}

static enum hub_result recount_lines(struct hub_timeline *t, struct hub_span prefix, struct hub_json *record,
                                     struct hub_span without, const struct gone *gone, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_ENTRIES, prefix);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result = HUB_OK;
    struct timeline_entries entries;
    struct hub_arena line; /* of one entry: a token may have more than fit */
    hub_arena_init(&line, SCRATCH_BYTES_MAX);
    timeline_entries_init(&entries, iter);
    while (result == HUB_OK && timeline_entries_next(&entries))
        result = recount_line(t, &line, entries.record, record, without, gone, err);
    if (result == HUB_OK)
        result = timeline_entries_result(&entries, err);
    timeline_entries_deinit(&entries);
    hub_arena_deinit(&line);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result timeline_token_counted(struct hub_timeline *t, struct hub_span token, struct hub_span without,
                                       const struct hub_span *gone, size_t gone_count, struct hub_json **out,
                                       struct hub_error *err)
{
    struct gone all = {NULL, 0, 0};
    HUB_TRY(timeline_token_record(t, token, out, err));
    struct hub_json *record = *out;
    (void)hub_json_remove(record, "test");
    (void)hub_json_remove(record, "superseded");
    if (hub_json_set_c(record, "entries", hub_json_new(&t->scratch, HUB_JSON_OBJECT)) != HUB_OK ||
        hub_json_set_c(record, "latest", hub_json_new(&t->scratch, HUB_JSON_OBJECT)) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_span prefix = timeline_key(t, token, HUB_SPAN(""));
    if (prefix.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(gone_read(t, prefix, &all, err));
    for (size_t i = 0; i < gone_count; i++) {
        if (gone_add(t, &all, gone[i]) != HUB_OK)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    if (all.count != 0)
        qsort(all.ids, all.count, sizeof *all.ids, compare_ids);
    return recount_lines(t, prefix, record, without, &all, err);
}

enum hub_result timeline_token_recount(struct hub_timeline *t, struct hub_span token, struct hub_span without,
                                       const struct hub_span *gone, size_t gone_count, struct hub_error *err)
{
    struct hub_json *record = NULL;
    HUB_TRY(timeline_token_counted(t, token, without, gone, gone_count, &record, err));
    return timeline_put_json(t, FAMILY_TOKENS, token, record, err);
}

static bool is_empty(const struct hub_json *container)
{
    return container == NULL || container->len == 0;
}

bool timeline_token_empty(const struct hub_json *record)
{
    return is_empty(hub_json_get(record, "entries")) && hub_json_get(record, "superseded") == NULL;
}

enum hub_result timeline_token_prune(struct hub_timeline *t, struct hub_span token, struct hub_error *err)
{
    struct hub_json *node = NULL;
    struct hub_json *record = NULL;
    HUB_TRY(timeline_get_json(t, FAMILY_NODES, token, &node, err));
    if (t->part == HUB_TIMELINE_PARTITION && node != NULL) /* somebody names it: identity says when nobody does any more */
        return HUB_OK;
    if (!is_empty(hub_json_get(node, "same")) || !is_empty(hub_json_get(node, "facts")))
        return HUB_OK;
    if (node != NULL)
        HUB_TRY(timeline_delete(t, FAMILY_NODES, token, err));
    HUB_TRY(timeline_get_json(t, FAMILY_TOKENS, token, &record, err));
    if (record == NULL || !timeline_token_empty(record)) /* of IDENTITY nothing is counted */
        return HUB_OK;
    return timeline_delete(t, FAMILY_TOKENS, token, err);
}
