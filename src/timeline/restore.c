/* A partition put back from its own records in the topic `timeline`. Entry records of one event come one after the other, so they are
 * gathered and join what the store has of the event at once. What follows from others is made anew: events seen and
 * by what they were superseded at once, counts of tokens at the end (until then the family `meta` lists the tokens). */
#include <stdlib.h>

#include "src/base/mem.h"
#include "src/timeline/group.h"

enum { GATHER_BYTES_MAX = 512 * 1024 * 1024, RECORDS_MAX = 1000000, GATHER_BYTES_KEPT = 4 * 1024 * 1024 };

#define RECOUNT "recount/"

struct record {
    struct hub_span id, text; /* text.ptr NULL: taken out */
    uint64_t ordinal;
    size_t number; /* of its coming: of one id the last one stands */
};

struct timeline_gather {
    struct hub_arena arena;
    struct hub_span subject, event;
    struct hub_span recorded, sha256; /* the smallest there is */
    struct record *records;
    size_t count, cap;
};

/* --- marks for the end --- */

static enum hub_result recount_later(struct hub_timeline *t, struct hub_span token, struct hub_error *err)
{
    const struct hub_span parts[] = {HUB_SPAN(RECOUNT), token};
    struct hub_span key = hub_arena_concat(&t->scratch, parts, 2);
    if (key.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return timeline_is_pending(t, FAMILY_META, key) ? HUB_OK : timeline_put(t, FAMILY_META, key, HUB_SPAN("1"), err);
}

enum hub_result timeline_restore_left(struct hub_timeline *t, bool *left, struct hub_error *err)
{
    *left = false;
    if (t->part != HUB_TIMELINE_PARTITION)
        return HUB_OK;
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_META, HUB_SPAN(RECOUNT));
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    *left = hub_kv_iter_next(iter);
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

/* --- events seen --- */

/* The smallest (recorded, SHA-256) is the event: texts of one form, compared as they are. */
static bool earlier(struct hub_span recorded, struct hub_span sha256, struct hub_span than, struct hub_span than_sha256)
{
    int64_t a = INT64_MAX, b = INT64_MAX;
    if (than.len == 0)
        return true;
    (void)hub_moment_us(recorded, &a);
    (void)hub_moment_us(than, &b);
    return a != b ? a < b : hub_span_compare(sha256, than_sha256) < 0;
}

static enum hub_result get_seen(struct hub_timeline *t, struct hub_span id, struct hub_json **seen, struct hub_error *err)
{
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, id, seen, err));
    if (*seen == NULL)
        *seen = hub_json_new(&t->scratch, HUB_JSON_OBJECT);
    return *seen != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static enum hub_result fill_seen(struct hub_arena *arena, struct hub_json *seen, const struct timeline_event_name *event, size_t entries)
{
    HUB_TRY(hub_json_set_c(seen, "entries", hub_json_number_i64(arena, (int64_t)entries)));
    HUB_TRY(hub_json_set_string(arena, seen, "subject", event->subject));
    if (!earlier(event->recorded, event->sha256, hub_json_get_span(seen, "recorded"), hub_json_get_span(seen, "sha256")))
        return HUB_OK;
    HUB_TRY(hub_json_set_string(arena, seen, "recorded", event->recorded));
    return hub_json_set_string(arena, seen, "sha256", event->sha256);
}

static enum hub_result put_seen(struct hub_timeline *t, struct hub_json *seen, const struct timeline_event_name *event, size_t entries,
                                struct hub_error *err)
{
    enum hub_result result = fill_seen(&t->scratch, seen, event, entries);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    return timeline_put_json(t, FAMILY_EVENTS, event->id, seen, err);
}

/* --- the entries of one event --- */

static enum hub_result push(struct timeline_gather *g, struct hub_span id, struct hub_span text, uint64_t ordinal)
{
    if (g->count == g->cap) {
        const size_t cap = g->cap != 0 ? g->cap * 2 : 64;
        struct record *records = hub_mem_resize(g->records, cap * sizeof *records);
        HUB_ENSURE(records != NULL, HUB_NO_MEMORY);
        g->records = records;
        g->cap = cap;
    }
    struct record *record = &g->records[g->count];
    *record = (struct record){.ordinal = ordinal, .number = g->count};
    record->id = hub_arena_copy(&g->arena, id);
    HUB_ENSURE(record->id.ptr != NULL && g->count < RECORDS_MAX, HUB_NO_MEMORY);
    if (text.ptr != NULL) {
        record->text = hub_arena_copy(&g->arena, text);
        HUB_ENSURE(record->text.ptr != NULL, HUB_NO_MEMORY);
    }
    g->count++;
    return HUB_OK;
}

static struct hub_span key_of_group(struct hub_timeline *t, const struct timeline_gather *g, size_t number)
{
    struct hub_span key = timeline_key(t, g->subject, g->event);
    if (number == 0 || key.ptr == NULL)
        return key;
    struct hub_span text = hub_arena_decimal(&t->scratch, (int64_t)number);
    return text.ptr != NULL ? timeline_key(t, key, text) : HUB_SPAN_NONE;
}

static enum hub_result ordinal_of(struct hub_timeline *t, struct hub_span record, uint64_t *ordinal, struct hub_error *err)
{
    struct hub_json *json = NULL;
    enum hub_result result = hub_json_parse(&t->scratch, record, &json, err);
    if (result == HUB_SYNTAX)
        return hub_fail(err, HUB_CORRUPT, "an entry record of the timeline is damaged", NULL);
    HUB_TRY(result);
    *ordinal = (uint64_t)timeline_json_number(json, "ordinal");
    return HUB_OK;
}

/* The records of a stored group, before those that came: *GROUPS of them. */
static enum hub_result load_groups(struct hub_timeline *t, struct timeline_gather *old, size_t *groups, struct hub_error *err)
{
    for (*groups = 0;; ++*groups) {
        struct hub_span key = key_of_group(t, old, *groups), value;
        if (key.ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        enum hub_result result = timeline_get(t, FAMILY_ENTRIES, key, &value, err);
        if (result == HUB_NOT_FOUND)
            return HUB_OK;
        HUB_TRY(result);
        struct timeline_entries entries;
        timeline_entries_of(&entries, key, value);
        while (result == HUB_OK && timeline_entries_next(&entries)) {
            uint64_t ordinal = 0;
            const struct hub_span id = hub_span_of(entries.key.ptr + old->subject.len + 1, entries.key.len - old->subject.len - 1);
            result = ordinal_of(t, entries.record, &ordinal, err);
            if (result == HUB_OK && push(old, id, entries.record, ordinal) != HUB_OK)
                result = hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        }
        if (result == HUB_OK)
            result = timeline_entries_result(&entries, err);
        timeline_entries_deinit(&entries);
        HUB_TRY(result);
    }
}

static int by_id(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    const int d = hub_span_compare(x->id, y->id);
    return d != 0 ? d : (x->number > y->number) - (x->number < y->number);
}

static int by_ordinal(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    return x->ordinal != y->ordinal ? (x->ordinal > y->ordinal ? 1 : -1) : hub_span_compare(x->id, y->id);
}

/* Of each id the last one, without those taken out, in the order of the event. */
static void settle_records(struct timeline_gather *g)
{
    size_t kept = 0;
    if (g->count == 0)
        return;
    qsort(g->records, g->count, sizeof *g->records, by_id);
    for (size_t i = 0; i < g->count; i++) {
        const bool last = i + 1 == g->count || !hub_span_equal(g->records[i].id, g->records[i + 1].id);
        if (last && g->records[i].text.ptr != NULL)
            g->records[kept++] = g->records[i];
    }
    g->count = kept;
    if (kept != 0)
        qsort(g->records, kept, sizeof *g->records, by_ordinal);
}

static enum hub_result write_groups(struct hub_timeline *t, const struct timeline_gather *g, size_t before, struct hub_error *err)
{
    (void)timeline_group_begin(t, HUB_SPAN_NONE);
    for (size_t i = 0; i < g->count; i++) {
        hub_buf_append_span(timeline_group_record(t, g->records[i].id), g->records[i].text);
        HUB_TRY(timeline_group_end(t, g->subject, g->event, err));
    }
    HUB_TRY(timeline_group_close(t, g->subject, g->event, err));
    for (size_t n = t->group.number; n < before; n++) {
        struct hub_span key = key_of_group(t, g, n);
        if (key.ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        HUB_TRY(timeline_delete(t, FAMILY_ENTRIES, key, err));
    }
    return HUB_OK;
}

/* What was gathered behind what the store has. */
static enum hub_result join(struct hub_timeline *t, struct timeline_gather *g, size_t *groups, struct hub_error *err)
{
    struct timeline_gather old = {.subject = g->subject, .event = g->event};
    hub_arena_init(&old.arena, GATHER_BYTES_MAX);
    enum hub_result result = load_groups(t, &old, groups, err);
    if (result == HUB_OK && old.count != 0) {
        for (size_t i = 0; i < g->count; i++)
            g->records[i].number += old.count;
        for (size_t i = 0; i < old.count && result == HUB_OK; i++) {
            result = push(g, old.records[i].id, old.records[i].text, old.records[i].ordinal);
            if (result == HUB_OK)
                g->records[g->count - 1].number = i;
        }
    }
    hub_arena_deinit(&old.arena);
    hub_mem_free(old.records);
    return result == HUB_NO_MEMORY ? hub_fail(err, result, NULL, NULL) : result;
}

static void empty(struct timeline_gather *g)
{
    const bool large = g->arena.used > GATHER_BYTES_KEPT;
    g->count = 0;
    g->event = HUB_SPAN_NONE;
    if (large) {
        hub_arena_deinit(&g->arena);
        hub_arena_init(&g->arena, GATHER_BYTES_MAX);
    } else {
        hub_arena_reset(&g->arena);
    }
}

static enum hub_result settle(struct hub_timeline *t, struct timeline_gather *g, struct hub_error *err)
{
    struct hub_json *seen = NULL;
    size_t groups = 0;
    HUB_TRY(get_seen(t, g->event, &seen, err));
    if (timeline_seen(seen))
        HUB_TRY(join(t, g, &groups, err));
    settle_records(g);
    HUB_TRY(write_groups(t, g, groups, err));
    const struct timeline_event_name name = {g->event, g->subject, g->recorded, g->sha256};
    HUB_TRY(put_seen(t, seen, &name, g->count, err));
    return recount_later(t, g->subject, err);
}

enum hub_result timeline_restore_settle(struct hub_timeline *t, struct hub_error *err)
{
    struct timeline_gather *g = t->gather;
    if (g == NULL || g->event.len == 0)
        return HUB_OK;
    HUB_TRY(settle(t, g, err)); /* else the caller forgets what is pending, and this with it */
    empty(g);
    return HUB_OK;
}

void timeline_restore_forget(struct hub_timeline *t)
{
    if (t->gather == NULL)
        return;
    hub_arena_deinit(&t->gather->arena);
    hub_mem_free(t->gather->records);
    hub_mem_free(t->gather);
    t->gather = NULL;
}

/* Gathers for EVENT; what was gathered for another one goes out. */
static enum hub_result gather_for(struct hub_timeline *t, const struct timeline_event_name *event, struct hub_error *err)
{
    struct timeline_gather *g = t->gather;
    if (g != NULL && g->event.len != 0 && (!hub_span_equal(g->event, event->id) || !hub_span_equal(g->subject, event->subject)))
        HUB_TRY(timeline_restore_settle(t, err));
    if (g == NULL) {
        g = t->gather = hub_mem_alloc(sizeof *g);
        if (g == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        hub_arena_init(&g->arena, GATHER_BYTES_MAX);
    }
    const bool first = g->event.len == 0;
    if (first) {
        g->event = hub_arena_copy(&g->arena, event->id);
        g->subject = hub_arena_copy(&g->arena, event->subject);
    }
    if (first || earlier(event->recorded, event->sha256, g->recorded, g->sha256)) {
        g->recorded = hub_arena_copy(&g->arena, event->recorded);
        g->sha256 = hub_arena_copy(&g->arena, event->sha256);
    }
    if (g->event.ptr == NULL || g->subject.ptr == NULL || g->recorded.ptr == NULL || g->sha256.ptr == NULL) {
        empty(g);
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    return HUB_OK;
}

/* --- records by kind --- */

static enum hub_result foreign(struct hub_error *err)
{
    return hub_fail(err, HUB_SYNTAX, "a record of the topic timeline that is none", NULL);
}

static enum hub_result restore_entry(struct hub_timeline *t, const struct timeline_event_name *event, struct hub_span id,
                                     const struct hub_json *json, struct hub_span text, struct hub_error *err)
{
    if (!hub_span_equal(hub_json_get_span(json, "id"), id))
        return foreign(err);
    HUB_TRY(gather_for(t, event, err));
    enum hub_result result = push(t->gather, id, text, (uint64_t)timeline_json_number(json, "ordinal"));
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}

/* What a revision takes the place of is marked, whether it is known already or not. */
static enum hub_result restore_marks(struct hub_timeline *t, const struct hub_json *record, struct hub_span by, struct hub_error *err)
{
    const struct hub_json *list = hub_json_get(record, "supersedes");
    for (const struct hub_json *id = list != NULL ? list->first : NULL; id != NULL; id = id->next) {
        struct hub_json *seen = NULL;
        bool changed = false;
        HUB_TRY(get_seen(t, hub_json_span(id), &seen, err));
        if (timeline_add_mark(&t->scratch, seen, by, &changed) != HUB_OK)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        if (changed)
            HUB_TRY(timeline_put_json(t, FAMILY_EVENTS, hub_json_span(id), seen, err));
    }
    return HUB_OK;
}

static bool good_list(const struct hub_json *list)
{
    if (list == NULL || list->type != HUB_JSON_ARRAY)
        return false;
    for (const struct hub_json *id = list->first; id != NULL; id = id->next) {
        if (!timeline_good_id(hub_json_span(id)))
            return false;
    }
    return true;
}

/* Of a revision, or of an event without entries. */
static enum hub_result restore_event(struct hub_timeline *t, const struct timeline_event_name *event, struct hub_span key,
                                     const struct hub_json *json, struct hub_span text, struct hub_error *err)
{
    const bool revision = hub_span_is(hub_json_get_span(json, "kind"), "revision");
    struct hub_json *seen = NULL;
    if (revision && !good_list(hub_json_get(json, "supersedes")))
        return foreign(err);
    HUB_TRY(timeline_restore_settle(t, err));
    HUB_TRY(get_seen(t, event->id, &seen, err));
    HUB_TRY(put_seen(t, seen, event, (size_t)timeline_json_number(seen, "entries"), err));
    HUB_TRY(revision ? timeline_put(t, FAMILY_REVISIONS, key, text, err) : timeline_delete(t, FAMILY_REVISIONS, key, err));
    if (!revision)
        return HUB_OK;
    HUB_TRY(restore_marks(t, json, event->id, err));
    return recount_later(t, event->subject, err);
}

static enum hub_result restore_token(struct hub_timeline *t, struct hub_span token, struct hub_span value, struct hub_error *err)
{
    struct hub_json *json = NULL;
    struct hub_json *part = hub_json_new(&t->scratch, HUB_JSON_OBJECT);
    if (value.ptr == NULL) {
        HUB_TRY(timeline_delete(t, FAMILY_NODES, token, err));
        HUB_TRY(timeline_delete(t, FAMILY_TOKENS, token, err));
        return recount_later(t, token, err);
    }
    HUB_TRY(hub_json_parse(&t->scratch, value, &json, err));
    const struct hub_json *tokens = hub_json_get(json, "tokens");
    if (!hub_span_equal(hub_json_get_span(json, "token"), token) || tokens == NULL || tokens->type != HUB_JSON_ARRAY ||
        !timeline_good_id(hub_json_get_span(json, "chart")))
        return foreign(err);
    if (part == NULL || timeline_chart_copy(json, &t->scratch, part) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(timeline_put_json(t, FAMILY_NODES, token, part, err)); /* named by a fact or not: comparing with identity tells */
    HUB_TRY(timeline_put(t, FAMILY_TOKENS, token, value, err));
    return recount_later(t, token, err);
}

/* --- tombstones --- */

/* The event that the entry under KEY belongs to, in scratch; empty when there is none. */
static enum hub_result event_of(struct hub_timeline *t, struct hub_span key, struct hub_span subject, struct hub_span *event,
                                struct hub_error *err)
{
    *event = HUB_SPAN_NONE;
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_ENTRIES, hub_span_of(key.ptr, subject.len + 1));
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct timeline_entries entries;
    timeline_entries_init(&entries, iter);
    enum hub_result result = HUB_OK;
    while (event->len == 0 && timeline_entries_next(&entries)) {
        if (!hub_span_equal(entries.key, key))
            continue;
        const struct hub_span stored = hub_kv_iter_key(iter);
        const uint8_t *rest = stored.ptr + subject.len + 1;
        const size_t left = stored.len - subject.len - 1;
        const uint8_t *slash = memchr(rest, '/', left);
        *event = hub_arena_copy(&t->scratch, hub_span_of(rest, slash != NULL ? (size_t)(slash - rest) : left));
        if (event->ptr == NULL) {
            result = hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
            break;
        }
    }
    if (result == HUB_OK)
        result = timeline_entries_result(&entries, err);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    return result;
}

static enum hub_result restore_tombstone(struct hub_timeline *t, struct hub_span key, struct hub_span subject, struct hub_span id,
                                         struct hub_error *err)
{
    struct hub_json *seen = NULL;
    struct hub_span event;
    HUB_TRY(timeline_restore_settle(t, err));
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, id, &seen, err));
    if (timeline_seen(seen) && hub_span_equal(hub_json_get_span(seen, "subject"), subject)) {
        HUB_TRY(timeline_delete(t, FAMILY_REVISIONS, key, err));
        return recount_later(t, subject, err);
    }
    HUB_TRY(timeline_write_pending(t, false, err)); /* what follows reads the store itself */
    HUB_TRY(event_of(t, key, subject, &event, err));
    if (event.len == 0)
        return HUB_OK;
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, event, &seen, err));
    if (!timeline_seen(seen))
        return hub_fail(err, HUB_CORRUPT, "an entry record of the timeline belongs to no event", NULL);
    const struct timeline_event_name name = {event, subject, hub_json_get_span(seen, "recorded"), hub_json_get_span(seen, "sha256")};
    HUB_TRY(gather_for(t, &name, err));
    if (push(t->gather, id, HUB_SPAN_NONE, 0) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return HUB_OK;
}

static enum hub_result restore_record(struct hub_timeline *t, struct hub_span key, struct hub_span value, struct hub_error *err)
{
    const uint8_t *slash = key.len != 0 ? memchr(key.ptr, '/', key.len) : NULL;
    if (slash == NULL)
        return timeline_good_id(key) ? restore_token(t, key, value, err) : foreign(err);
    struct hub_json *json = NULL;
    const struct hub_span subject = hub_span_of(key.ptr, (size_t)(slash - key.ptr));
    const struct hub_span id = hub_span_of(slash + 1, key.len - subject.len - 1);
    if (!timeline_good_id(subject) || !timeline_good_id(id))
        return foreign(err);
    if (value.ptr == NULL)
        return restore_tombstone(t, key, subject, id, err);
    HUB_TRY(hub_json_parse(&t->scratch, value, &json, err));
    const struct timeline_event_name event = {hub_json_get_span(json, "event"), hub_json_get_span(json, "subject"),
                                              hub_json_get_span(json, "recorded"), hub_json_get_span(json, "sha256")};
    if (!timeline_good_id(event.id) || !hub_span_equal(event.subject, subject) || event.recorded.len == 0 || event.sha256.len == 0)
        return foreign(err);
    if (hub_span_equal(event.id, id))
        return restore_event(t, &event, key, json, value, err);
    return restore_entry(t, &event, id, json, value, err);
}

enum hub_result hub_timeline_restore(struct hub_timeline *t, struct hub_span key, struct hub_span value, struct hub_error *err)
{
    if (t->part != HUB_TIMELINE_PARTITION)
        return hub_fail(err, HUB_USAGE, "only a partition of the timeline can be restored", NULL);
    if (!t->restoring && (t->pending_count != 0 || t->batch_bytes != 0))
        HUB_TRY(timeline_write_pending(t, false, err));
    t->restoring = true;
    t->quiet = true;
    hub_arena_reset(&t->scratch);
    HUB_TRY(restore_record(t, key, value, err));
    return t->arena.used > PENDING_BYTES_WRITE ? timeline_write_pending(t, false, err) : HUB_OK;
}

/* --- the end --- */

/* The token's record as all that is there makes it; the sink gets it where it was another one. */
static enum hub_result recount(struct hub_timeline *t, struct hub_span token, struct hub_error *err)
{
    struct hub_json *record = NULL;
    struct hub_span before = HUB_SPAN_NONE, told = HUB_SPAN_NONE;
    enum hub_result result = timeline_get(t, FAMILY_TOKENS, token, &before, err);
    const bool was = result == HUB_OK;
    if (result == HUB_OK || result == HUB_NOT_FOUND)
        result = timeline_token_counted(t, token, HUB_SPAN_NONE, NULL, 0, &record, err);
    HUB_TRY(result);
    result = timeline_token_empty(record) ? timeline_get(t, FAMILY_NODES, token, &told, err) : HUB_OK;
    if (result == HUB_NOT_FOUND)
        return was ? timeline_delete(t, FAMILY_TOKENS, token, err) : HUB_OK;
    HUB_TRY(result);
    hub_buf_reset(&t->text);
    hub_json_write(&t->text, record);
    if (hub_buf_result(&t->text) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return was && hub_span_equal(before, hub_buf_view(&t->text)) ? HUB_OK
                                                                 : timeline_put(t, FAMILY_TOKENS, token, hub_buf_view(&t->text), err);
}

static enum hub_result recount_all(struct hub_timeline *t, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    const size_t prefix_len = sizeof RECOUNT - 1;
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_META, HUB_SPAN(RECOUNT));
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (result == HUB_OK && hub_kv_iter_next(iter)) {
        hub_arena_reset(&t->scratch);
        const struct hub_span key = hub_kv_iter_key(iter);
        result = recount(t, hub_span_of(key.ptr + prefix_len, key.len - prefix_len), err);
        if (result == HUB_OK)
            result = timeline_delete(t, FAMILY_META, key, err);
        if (result == HUB_OK && t->arena.used > PENDING_BYTES_WRITE)
            result = timeline_write_pending(t, false, err);
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result hub_timeline_restore_end(struct hub_timeline *t, struct hub_error *err)
{
    if (!t->restoring)
        return HUB_OK;
    hub_arena_reset(&t->scratch);
    HUB_TRY(timeline_restore_settle(t, err));
    HUB_TRY(timeline_write_pending(t, false, err)); /* counting reads the store itself */
    t->quiet = false;
    enum hub_result result = recount_all(t, err);
    t->restoring = result != HUB_OK;
    t->quiet = t->restoring;
    return result;
}
