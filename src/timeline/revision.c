/* Revisions: a message mapped anew takes the place of what it was before (docs/FORMATS.md, "Revisions"). Whether an event is in
 * force is a function of the set of events: it is, while no event names it among those it takes the place of. */
#include <stdio.h>

#include "src/timeline/group.h"

enum { SUPERSEDES_MAX = 100000 };

bool timeline_seen(const struct hub_json *seen)
{
    return hub_json_get(seen, "sha256") != NULL;
}

bool timeline_superseded(const struct hub_json *seen)
{
    return hub_json_get(seen, "superseded") != NULL;
}

/* --- reading --- */

enum hub_result timeline_revision_of(struct hub_timeline *t, const struct hub_json *event, struct timeline_revision *out,
                                     struct hub_error *err)
{
    struct hub_span rest = hub_json_get_span(event, "supersedes");
    memset(out, 0, sizeof *out);
    if (hub_json_get(event, "revision") == NULL)
        return HUB_OK;
    if (!hub_span_parse_u64(hub_json_get_span(event, "revision"), &out->number) || out->number == 0)
        return hub_fail(err, HUB_SYNTAX, "a revision without its number", NULL);
    struct hub_span *ids = HUB_ARENA_ARRAY(&t->scratch, struct hub_span, rest.len / 2 + 1);
    if (ids == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (rest.len != 0) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        const size_t len = comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;
        if (len == 0 || len > ID_MAX || out->supersedes_count == SUPERSEDES_MAX)
            return hub_fail(err, HUB_SYNTAX, "a revision of an event without id", NULL);
        ids[out->supersedes_count++] = hub_span_of(rest.ptr, len);
        const size_t cut = comma != NULL ? len + 1 : len;
        rest = hub_span_of(rest.ptr + cut, rest.len - cut);
    }
    out->supersedes = ids;
    return HUB_OK;
}

/* --- marks: by whom an event was superseded, sorted; it may be known before the event is --- */

static enum hub_result add_mark(struct hub_arena *arena, struct hub_json *seen, struct hub_span by, bool *changed)
{
    const struct hub_json *list = hub_json_get(seen, "superseded");
    struct hub_json *sorted = hub_json_new(arena, HUB_JSON_ARRAY);
    bool placed = false;
    HUB_ENSURE(sorted != NULL, HUB_NO_MEMORY);
    *changed = false;
    for (const struct hub_json *id = list != NULL ? list->first : NULL; id != NULL; id = id->next) {
        const int d = hub_span_compare(by, hub_json_span(id));
        if (d == 0)
            return HUB_OK;
        if (d < 0 && !placed)
            HUB_TRY(hub_json_push(sorted, hub_json_string(arena, by)));
        placed = placed || d < 0;
        HUB_TRY(hub_json_push(sorted, hub_json_string(arena, hub_json_span(id))));
    }
    if (!placed)
        HUB_TRY(hub_json_push(sorted, hub_json_string(arena, by)));
    *changed = true;
    return hub_json_set_c(seen, "superseded", sorted);
}

/* --- out of force --- */

static enum hub_result take_one(struct hub_timeline *t, struct hub_span record, struct hub_json *token, bool *again,
                                struct hub_error *err)
{
    struct hub_json *entry = NULL;
    enum hub_result result = hub_json_parse(&t->scratch, record, &entry, err);
    if (result == HUB_SYNTAX)
        return hub_fail(err, HUB_CORRUPT, "an entry record of the timeline is damaged", NULL);
    HUB_TRY(result);
    const struct timeline_entry one = timeline_entry_of(entry);
    return timeline_token_supersede(t, token, &one, again, err);
}

/* The groups of event ID: "<subject>/<event id>" and, with "/<number>", those that follow. */
static enum hub_result take_entries(struct hub_timeline *t, struct hub_span subject, struct hub_span id,
                                    struct hub_json *token, bool *again, struct hub_error *err)
{
    const struct hub_span prefix = timeline_key(t, subject, id);
    struct hub_kv_iter *iter = prefix.ptr != NULL ? hub_kv_iter_new(t->kv, FAMILY_ENTRIES, prefix) : NULL;
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct timeline_entries entries;
    enum hub_result result = HUB_OK;
    timeline_entries_init(&entries, iter);
    while (result == HUB_OK && timeline_entries_next(&entries)) {
        const struct hub_span key = hub_kv_iter_key(iter);
        if (key.len == prefix.len || key.ptr[prefix.len] == '/')
            result = take_one(t, entries.record, token, again, err);
    }
    if (result == HUB_OK)
        result = timeline_entries_result(&entries, err);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    return result;
}

static bool same_texts(const struct hub_span *a, const struct hub_span *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!hub_span_equal(a[i], b[i]))
            return false;
    }
    return true;
}

static bool same_statement(const struct hub_identity_statement *a, const struct hub_identity_statement *b)
{
    return a->kind == b->kind && a->count == b->count && hub_span_equal(a->source, b->source) &&
           hub_order_compare(&a->order, &b->order) == 0 && same_texts(a->tokens, b->tokens, a->count) &&
           same_texts(a->tags, b->tags, a->count);
}

/* The facts of event ID are, one by one, FACTS: with the same place in order too, so that the charts stay as they are. */
static enum hub_result same_facts(struct hub_timeline *t, struct hub_span id, size_t stored_count,
                                  const struct hub_identity_statement *facts, size_t count, bool *same,
                                  struct hub_error *err)
{
    *same = stored_count == count;
    for (size_t n = 0; n < count && *same; n++) {
        char number[24];
        struct hub_json *json = NULL;
        struct hub_identity_statement stored;
        (void)snprintf(number, sizeof number, "%zu", n);
        struct hub_span key = timeline_key(t, id, hub_span_str(number));
        if (key.ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        HUB_TRY(timeline_get_json(t, FAMILY_FACTS, key, &json, err));
        *same = json != NULL;
        if (json == NULL)
            break;
        HUB_TRY(hub_identity_of_json(&t->scratch, json, &stored, err));
        *same = same_statement(&stored, &facts[n]);
    }
    return HUB_OK;
}

static enum hub_result forget_facts(struct hub_timeline *t, struct hub_span id, size_t count, struct hub_error *err)
{
    for (size_t n = 0; n < count; n++) {
        char number[24];
        (void)snprintf(number, sizeof number, "%zu", n);
        struct hub_span key = timeline_key(t, id, hub_span_str(number));
        if (key.ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        timeline_remove(t, FAMILY_FACTS, key);
    }
    return HUB_OK;
}

struct work {
    struct hub_timeline *t;
    struct hub_span by;
    const struct timeline_revision *revision;
    const struct hub_identity_statement *facts;
    size_t fact_count;
    struct timeline_withdrawn *withdrawn; /* events whose facts the revision does not repeat */
    size_t withdrawn_count;
    struct hub_error *err;
};

/* An event that was in force: its entries, and its facts as far as the revision repeats them. */
static enum hub_result take_out(struct work *w, struct hub_span id, const struct hub_json *seen)
{
    struct hub_timeline *t = w->t;
    const size_t facts = (size_t)timeline_json_number(seen, "facts");
    const struct hub_span subject = hub_json_get_span(seen, "subject");
    const struct hub_json *ids = hub_json_get(seen, "entries");
    struct hub_json *token = NULL;
    bool again = false, same = false;
    if (ids != NULL && ids->len != 0) {
        HUB_TRY(timeline_token_record(t, subject, &token, w->err));
        HUB_TRY(take_entries(t, subject, id, token, &again, w->err));
        HUB_TRY(again ? timeline_token_recount(t, subject, HUB_SPAN_NONE, w->revision->supersedes,
                                               w->revision->supersedes_count, w->err)
                      : timeline_put_json(t, FAMILY_TOKENS, subject, token, w->err));
    }
    HUB_TRY(same_facts(t, id, facts, w->facts, w->fact_count, &same, w->err));
    if (same)
        return forget_facts(t, id, facts, w->err);
    w->withdrawn[w->withdrawn_count++] = (struct timeline_withdrawn){id, facts};
    return HUB_OK;
}

static enum hub_result mark(struct work *w, struct hub_span id)
{
    struct hub_timeline *t = w->t;
    struct hub_json *seen = NULL;
    bool changed = false;
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, id, &seen, w->err));
    const bool in_force = timeline_seen(seen) && !timeline_superseded(seen);
    if (seen == NULL)
        seen = hub_json_new(&t->scratch, HUB_JSON_OBJECT);
    if (seen == NULL || add_mark(&t->scratch, seen, w->by, &changed) != HUB_OK)
        return hub_fail(w->err, HUB_NO_MEMORY, NULL, NULL);
    if (!changed)
        return HUB_OK;
    if (in_force)
        HUB_TRY(take_out(w, id, seen));
    return timeline_put_json(t, FAMILY_EVENTS, id, seen, w->err);
}

static enum hub_result any_in_force(struct hub_timeline *t, const struct timeline_revision *revision, bool *any,
                                    struct hub_error *err)
{
    *any = false;
    for (size_t i = 0; i < revision->supersedes_count && !*any; i++) {
        struct hub_json *seen = NULL;
        HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, revision->supersedes[i], &seen, err));
        *any = timeline_seen(seen) && !timeline_superseded(seen);
    }
    return HUB_OK;
}

enum hub_result timeline_supersede(struct hub_timeline *t, struct hub_span by, const struct timeline_revision *revision,
                                   const struct hub_identity_statement *facts, size_t count, struct hub_error *err)
{
    struct work w = {.t = t, .by = by, .revision = revision, .facts = facts, .fact_count = count, .err = err};
    bool any = false;
    w.withdrawn = HUB_ARENA_ARRAY(&t->scratch, struct timeline_withdrawn, revision->supersedes_count + 1);
    if (w.withdrawn == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(any_in_force(t, revision, &any, err));
    if (any) /* what follows reads the store itself; of this event nothing may be written before it is whole */
        HUB_TRY(timeline_write_pending(t, false, err));
    for (size_t i = 0; i < revision->supersedes_count; i++)
        HUB_TRY(mark(&w, revision->supersedes[i]));
    return w.withdrawn_count != 0 ? timeline_withdraw_facts(t, w.withdrawn, w.withdrawn_count, err) : HUB_OK;
}
