/* Who is who as the topic `identity` tells it: facts under the ids of their events, and which events no longer count. */
#include <stdio.h>

#include "src/timeline/state.h"

enum { FACTS_MAX = 100000 }; /* of one event: their numbers are below */

#define REVISION "revision"

/* --- the facts of an event --- */

static enum hub_result keys_push(struct hub_timeline *t, struct timeline_keys *keys, struct hub_span key, struct hub_error *err)
{
    if (keys->count == keys->cap) {
        const size_t cap = keys->cap != 0 ? keys->cap * 2 : 4;
        struct hub_span *items = HUB_ARENA_ARRAY(&t->scratch, struct hub_span, cap);
        if (items == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        if (keys->count != 0)
            memcpy(items, keys->items, keys->count * sizeof *items);
        keys->items = items;
        keys->cap = cap;
    }
    struct hub_span copy = hub_arena_copy(&t->scratch, key);
    if (copy.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    /* by number: "<id>/9" before "<id>/10" */
    size_t at = keys->count++;
    for (; at > 0 && (keys->items[at - 1].len > copy.len ||
                      (keys->items[at - 1].len == copy.len && hub_span_compare(keys->items[at - 1], copy) > 0));
         at--)
        keys->items[at] = keys->items[at - 1];
    keys->items[at] = copy;
    return HUB_OK;
}

static struct hub_span fact_key(struct hub_timeline *t, struct hub_span id, uint32_t n)
{
    struct hub_span number = hub_arena_decimal(&t->scratch, n);
    return number.ptr != NULL ? timeline_key(t, id, number) : HUB_SPAN_NONE;
}

/* Those of the store that are not deleted meanwhile. */
static enum hub_result stored_facts(struct hub_timeline *t, struct hub_span prefix, struct timeline_keys *keys,
                                    struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_FACTS, prefix);
    enum hub_result result = iter != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (result == HUB_OK && hub_kv_iter_next(iter)) {
        if (!timeline_is_pending(t, FAMILY_FACTS, hub_kv_iter_key(iter)))
            result = keys_push(t, keys, hub_kv_iter_key(iter), err);
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result timeline_facts_of(struct hub_timeline *t, struct hub_span id, struct timeline_keys *keys,
                                  struct hub_error *err)
{
    struct hub_span prefix = timeline_key(t, id, HUB_SPAN(""));
    if (prefix.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(stored_facts(t, prefix, keys, err));
    for (uint32_t n = 0; n <= t->fact_max && t->pending_count != 0; n++) {
        struct hub_span key = fact_key(t, id, n), value;
        if (key.ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        if (!timeline_is_pending(t, FAMILY_FACTS, key) || timeline_get(t, FAMILY_FACTS, key, &value, NULL) != HUB_OK)
            continue;
        HUB_TRY(keys_push(t, keys, key, err));
    }
    return HUB_OK;
}

/* --- one fact --- */

/* The order of two values under one key: by what they say, so that it does not matter which came first. */
static int compare_values(const struct hub_identity_statement *a, struct hub_span a_text,
                          const struct hub_identity_statement *b, struct hub_span b_text)
{
    if (a->order.time_us != b->order.time_us)
        return a->order.time_us < b->order.time_us ? -1 : 1;
    if (a->order.message_us != b->order.message_us)
        return a->order.message_us < b->order.message_us ? -1 : 1;
    return hub_span_compare(a_text, b_text);
}

static enum hub_result text_of(struct hub_timeline *t, const struct hub_json *json, struct hub_span *out,
                               struct hub_error *err)
{
    hub_buf_reset(&t->text);
    if (json != NULL)
        hub_json_write(&t->text, json);
    *out = json != NULL && hub_buf_result(&t->text) == HUB_OK ? hub_arena_copy(&t->scratch, hub_buf_view(&t->text))
                                                              : HUB_SPAN_NONE;
    return out->ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static enum hub_result add_fact(struct hub_timeline *t, struct hub_span key, const struct hub_identity_statement *fact,
                                struct hub_error *err)
{
    struct hub_span before = HUB_SPAN_NONE, text;
    struct hub_json *json = hub_identity_json(&t->scratch, fact);
    HUB_TRY(text_of(t, json, &text, err));
    enum hub_result result = timeline_get(t, FAMILY_FACTS, key, &before, err);
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    if (result == HUB_OK) {
        struct hub_json *old = NULL;
        struct hub_identity_statement other;
        HUB_TRY(timeline_get_json(t, FAMILY_FACTS, key, &old, err));
        HUB_TRY(hub_identity_of_json(&t->scratch, old, &other, err));
        if (compare_values(fact, text, &other, before) >= 0)
            return HUB_OK;
        HUB_TRY(timeline_write_pending(t, false, err)); /* what follows reads the store itself */
        HUB_TRY(timeline_withdraw_facts(t, &key, 1, err));
    }
    HUB_TRY(timeline_fact_put(t, key, json, err));
    t->fact_max = fact->order.n > t->fact_max ? fact->order.n : t->fact_max;
    return timeline_add_facts(t, fact, 1, err);
}

/* --- what a revision takes the place of --- */

static enum hub_result read_revision(struct hub_timeline *t, const struct hub_json *record, struct timeline_revision *out,
                                     struct hub_error *err)
{
    const struct hub_json *list = hub_json_get(record, "supersedes");
    *out = (struct timeline_revision){.number = 1};
    if (list == NULL || list->type != HUB_JSON_ARRAY)
        return hub_fail(err, HUB_SYNTAX, "an identity record of a revision without what it takes the place of", NULL);
    struct hub_span *ids = HUB_ARENA_ARRAY(&t->scratch, struct hub_span, (size_t)list->len + 1);
    if (ids == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (const struct hub_json *id = list->first; id != NULL; id = id->next) {
        ids[out->supersedes_count] = hub_json_span(id);
        if (!timeline_good_id(ids[out->supersedes_count++]))
            return hub_fail(err, HUB_SYNTAX, "an identity record of a revision that names no event", NULL);
    }
    out->supersedes = ids;
    return HUB_OK;
}

/* The facts that event ID states and that count. */
static enum hub_result own_facts(struct hub_timeline *t, struct hub_span id, struct hub_identity_statement **out,
                                 size_t *count, struct hub_error *err)
{
    struct timeline_keys keys = {NULL, 0, 0};
    HUB_TRY(timeline_facts_of(t, id, &keys, err));
    *count = 0;
    *out = HUB_ARENA_ARRAY(&t->scratch, struct hub_identity_statement, keys.count + 1);
    if (*out == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < keys.count; i++) {
        struct hub_json *json = NULL;
        HUB_TRY(timeline_get_json(t, FAMILY_FACTS, keys.items[i], &json, err));
        HUB_TRY(hub_identity_of_json(&t->scratch, json, &(*out)[(*count)++], err));
    }
    return HUB_OK;
}

static enum hub_result add_revision(struct hub_timeline *t, struct hub_span key, struct hub_span id,
                                    const struct hub_json *record, struct hub_error *err)
{
    struct timeline_revision revision;
    struct hub_identity_statement *facts = NULL;
    size_t count = 0;
    HUB_TRY(read_revision(t, record, &revision, err));
    HUB_TRY(own_facts(t, id, &facts, &count, err));
    HUB_TRY(timeline_supersede(t, id, &revision, facts, count, err));
    return timeline_put(t, FAMILY_REVISIONS, key, HUB_SPAN("{}"), err);
}

/* --- one record --- */

static bool split(struct hub_span key, struct hub_span *id, struct hub_span *rest)
{
    const uint8_t *slash = key.len != 0 ? memchr(key.ptr, '/', key.len) : NULL;
    if (slash == NULL)
        return false;
    *id = hub_span_of(key.ptr, (size_t)(slash - key.ptr));
    *rest = hub_span_of(slash + 1, key.len - id->len - 1);
    return timeline_good_id(*id) && timeline_good_id(*rest);
}

/* What makes a fact usable at all: as hub_identity_of_event would let it through. */
static bool good_fact(const struct hub_identity_statement *fact, uint64_t n)
{
    bool good = fact->order.n == n && n < FACTS_MAX && fact->count >= (fact->kind == HUB_FACT_SAME ? 1 : 2) &&
                timeline_good_id(fact->order.event);
    for (uint32_t i = 0; i < fact->count && good; i++) {
        good = timeline_good_id(fact->tokens[i]);
        for (uint32_t j = 0; j < i && good; j++)
            good = !hub_span_equal(fact->tokens[i], fact->tokens[j]);
    }
    return good;
}

static enum hub_result add_record(struct hub_timeline *t, struct hub_span key, struct hub_span id, struct hub_span rest,
                                  const struct hub_json *record, struct hub_error *err)
{
    struct hub_json *seen = NULL;
    struct hub_identity_statement fact;
    uint64_t n = 0;
    if (hub_span_is(rest, REVISION))
        return add_revision(t, key, id, record, err);
    enum hub_result result = hub_span_parse_u64(rest, &n) ? hub_identity_of_json(&t->scratch, record, &fact, err) : HUB_CORRUPT;
    if (result == HUB_NO_MEMORY)
        return result;
    if (result != HUB_OK || !good_fact(&fact, n))
        return hub_fail(err, HUB_SYNTAX, "a record of the topic identity that is no fact", NULL);
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, id, &seen, err));
    return timeline_superseded(seen) ? HUB_OK : add_fact(t, key, &fact, err);
}

enum hub_result hub_timeline_add_identity(struct hub_timeline *t, struct hub_span key, struct hub_span record,
                                          struct hub_error *err)
{
    struct hub_span id, rest;
    struct hub_json *json = NULL;
    if (t->part != HUB_TIMELINE_IDENTITY)
        return hub_fail(err, HUB_USAGE, "an identity record for another part of the timeline", NULL);
    if (!split(key, &id, &rest))
        return hub_fail(err, HUB_SYNTAX, "a record of the topic identity under a key that is none", NULL);
    hub_arena_reset(&t->scratch);
    HUB_TRY(hub_json_parse(&t->scratch, record, &json, err));
    HUB_TRY(add_record(t, key, id, rest, json, err));
    if (t->arena.used + t->batch_bytes > PENDING_BYTES_WRITE)
        return timeline_write_pending(t, false, err);
    return HUB_OK;
}

/* --- asking, any thread: what was flushed --- */

static enum hub_result is_stored(struct hub_timeline *t, enum family family, struct hub_span key, bool *is, struct hub_error *err)
{
    struct hub_kv_value value;
    enum hub_result result = hub_kv_get(t->kv, family, key, &value, err);
    *is = result == HUB_OK;
    if (result == HUB_OK)
        hub_kv_value_free(&value);
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

static enum hub_result is_named(struct hub_timeline *t, struct hub_span id, const char *rest, enum family family, bool *is,
                                struct hub_error *err)
{
    char key[2 * ID_MAX + 32];
    const int len = snprintf(key, sizeof key, "%.*s/%s", (int)id.len, (const char *)id.ptr, rest);
    HUB_ASSERT(len > 0 && (size_t)len < sizeof key);
    return is_stored(t, family, hub_span_of(key, (size_t)len), is, err);
}

enum hub_result hub_timeline_facts_known(struct hub_timeline *t, struct hub_span event_id, size_t fact_count, bool revision,
                                         bool *known, struct hub_error *err)
{
    char number[24];
    *known = true;
    if (!timeline_good_id(event_id))
        return hub_fail(err, HUB_SYNTAX, "an event without id", NULL);
    if (revision)
        HUB_TRY(is_named(t, event_id, REVISION, FAMILY_REVISIONS, known, err));
    for (size_t n = 0; n < fact_count && *known; n++) {
        (void)snprintf(number, sizeof number, "%zu", n);
        HUB_TRY(is_named(t, event_id, number, FAMILY_FACTS, known, err));
    }
    return *known ? HUB_OK : is_stored(t, FAMILY_EVENTS, event_id, known, err); /* only a mark stands there */
}

enum hub_result hub_timeline_chart_part(struct hub_timeline *t, struct hub_arena *arena, struct hub_span token,
                                        struct hub_span *out, struct hub_error *err)
{
    struct hub_kv_value value;
    HUB_TRY(hub_kv_get(t->kv, FAMILY_TOKENS, token, &value, err));
    *out = hub_arena_copy(arena, value.bytes);
    hub_kv_value_free(&value);
    return out->ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

enum hub_result hub_timeline_each_chart_part(struct hub_timeline *t,
                                             bool (*callback)(void *ctx, struct hub_span token, struct hub_span part),
                                             void *ctx, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_TOKENS, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (hub_kv_iter_next(iter) && callback(ctx, hub_kv_iter_key(iter), hub_kv_iter_value(iter)))
        ;
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}
