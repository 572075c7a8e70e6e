/* Revisions: a message mapped anew takes the place of what it was before (docs/FORMATS.md, "Revisions"). Whether an event is in
 * force is a function of the set of events: it is, while no event names it among those it takes the place of. */
#include <stdlib.h>

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

enum hub_result timeline_revision_of(struct hub_timeline *t, const struct hub_event_head *head, struct timeline_revision *out,
                                     struct hub_error *err)
{
    struct hub_span rest = head->supersedes;
    memset(out, 0, sizeof *out);
    if (head->revision.ptr == NULL)
        return HUB_OK;
    if (!hub_span_parse_u64(head->revision, &out->number) || out->number == 0)
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

enum hub_result timeline_add_mark(struct hub_arena *arena, struct hub_json *seen, struct hub_span by, bool *changed)
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
        if (timeline_group_is(hub_kv_iter_key(iter), prefix))
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

/* The facts under KEYS are, one by one, FACTS: with the same place in order too, so that the charts stay as they are. */
static enum hub_result same_facts(struct hub_timeline *t, const struct timeline_keys *keys,
                                  const struct hub_identity_statement *facts, size_t count, bool *same,
                                  struct hub_error *err)
{
    *same = keys->count == count;
    for (size_t n = 0; n < count && *same; n++) {
        struct hub_json *json = NULL;
        struct hub_identity_statement stored;
        HUB_TRY(timeline_get_json(t, FAMILY_FACTS, keys->items[n], &json, err));
        *same = json != NULL;
        if (json == NULL)
            break;
        HUB_TRY(hub_identity_of_json(&t->scratch, json, &stored, err));
        *same = same_statement(&stored, &facts[n]);
    }
    return HUB_OK;
}

struct work {
    struct hub_timeline *t;
    struct hub_span by;
    const struct timeline_revision *revision;
    struct hub_span *gone; /* of those it takes the place of: the ones that are out of force by now */
    size_t gone_count;
    const struct hub_identity_statement *facts;
    size_t fact_count;
    struct timeline_keys withdrawn; /* of facts that the revision does not repeat */
    struct hub_error *err;
};

static enum hub_result withdraw(struct work *w, const struct timeline_keys *keys)
{
    struct timeline_keys *all = &w->withdrawn;
    if (all->count + keys->count > all->cap) {
        const size_t cap = 2 * (all->count + keys->count);
        struct hub_span *items = HUB_ARENA_ARRAY(&w->t->scratch, struct hub_span, cap);
        if (items == NULL)
            return hub_fail(w->err, HUB_NO_MEMORY, NULL, NULL);
        if (all->count != 0)
            memcpy(items, all->items, all->count * sizeof *items);
        all->items = items;
        all->cap = cap;
    }
    if (keys->count != 0)
        memcpy(all->items + all->count, keys->items, keys->count * sizeof *keys->items);
    all->count += keys->count;
    return HUB_OK;
}

/* Facts of an event that was in force: those that the revision repeats are forgotten, the others taken back. */
static enum hub_result take_facts(struct work *w, struct hub_span id)
{
    struct hub_timeline *t = w->t;
    struct timeline_keys keys = {NULL, 0, 0};
    bool same = false;
    if (t->part == HUB_TIMELINE_PARTITION)
        return HUB_OK;
    HUB_TRY(timeline_facts_of(t, id, &keys, w->err));
    HUB_TRY(same_facts(t, &keys, w->facts, w->fact_count, &same, w->err));
    for (size_t i = 0; same && i < keys.count; i++)
        HUB_TRY(timeline_fact_delete(t, keys.items[i], w->err));
    return same ? HUB_OK : withdraw(w, &keys);
}

/* An event that was in force: its entries, and its facts as far as the revision does not repeat them. */
static enum hub_result take_out(struct work *w, struct hub_span id, const struct hub_json *seen)
{
    struct hub_timeline *t = w->t;
    const struct hub_span subject = hub_json_get_span(seen, "subject");
    struct hub_json *token = NULL;
    bool again = false;
    if (timeline_json_number(seen, "entries") != 0) {
        HUB_TRY(timeline_token_record(t, subject, &token, w->err));
        HUB_TRY(take_entries(t, subject, id, token, &again, w->err));
        HUB_TRY(again ? timeline_token_recount(t, subject, HUB_SPAN_NONE, w->gone, w->gone_count, w->err)
                      : timeline_put_json(t, FAMILY_TOKENS, subject, token, w->err));
    }
    return take_facts(w, id);
}

/* Of IDENTITY every event counts until it is named, for only its facts are known. */
static bool in_force(const struct hub_timeline *t, const struct hub_json *seen)
{
    return (t->part == HUB_TIMELINE_IDENTITY || timeline_seen(seen)) && !timeline_superseded(seen);
}

static enum hub_result mark(struct work *w, struct hub_span id)
{
    struct hub_timeline *t = w->t;
    struct hub_json *seen = NULL;
    bool changed = false;
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, id, &seen, w->err));
    const bool counted = in_force(t, seen);
    if (seen == NULL)
        seen = hub_json_new(&t->scratch, HUB_JSON_OBJECT);
    if (seen == NULL || timeline_add_mark(&t->scratch, seen, w->by, &changed) != HUB_OK)
        return hub_fail(w->err, HUB_NO_MEMORY, NULL, NULL);
    if (!changed)
        return HUB_OK;
    if (counted) {
        w->gone[w->gone_count++] = id; /* those behind it are still counted, and taken out one by one */
        HUB_TRY(take_out(w, id, seen));
    }
    return timeline_put_json(t, FAMILY_EVENTS, id, seen, w->err);
}

/* Those that are out of force already: what another value of the revision named may be known of it alone, and its record is gone. */
static enum hub_result find_gone(struct work *w)
{
    const struct timeline_revision *revision = w->revision;
    w->gone = HUB_ARENA_ARRAY(&w->t->scratch, struct hub_span, 2 * revision->supersedes_count + 1);
    if (w->gone == NULL)
        return hub_fail(w->err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < revision->supersedes_count; i++) {
        struct hub_json *seen = NULL;
        HUB_TRY(timeline_get_json(w->t, FAMILY_EVENTS, revision->supersedes[i], &seen, w->err));
        if (!in_force(w->t, seen))
            w->gone[w->gone_count++] = revision->supersedes[i];
    }
    return HUB_OK;
}

/* Whether taking ID out reads what is still pending: of a partition its own entries or others of its token, of identity
 * facts that are to be found anew. */
static enum hub_result reads_pending(struct work *w, struct hub_span id, bool *reads)
{
    struct hub_timeline *t = w->t;
    struct hub_json *seen = NULL;
    struct timeline_keys keys = {NULL, 0, 0};
    *reads = false;
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, id, &seen, w->err));
    if (!in_force(t, seen))
        return HUB_OK;
    *reads = true;
    if (t->part == HUB_TIMELINE_PARTITION)
        *reads = timeline_is_pending(t, FAMILY_EVENTS, id) ||
                 timeline_is_pending(t, FAMILY_TOKENS, hub_json_get_span(seen, "subject"));
    if (t->part != HUB_TIMELINE_IDENTITY)
        return HUB_OK;
    bool same = false;
    HUB_TRY(timeline_facts_of(t, id, &keys, w->err));
    HUB_TRY(same_facts(t, &keys, w->facts, w->fact_count, &same, w->err));
    *reads = keys.count != 0 && !same;
    return HUB_OK;
}

enum hub_result timeline_supersede(struct hub_timeline *t, struct hub_span by, const struct timeline_revision *revision,
                                   const struct hub_identity_statement *facts, size_t count, struct hub_error *err)
{
    struct work w = {.t = t, .by = by, .revision = revision, .facts = facts, .fact_count = count, .err = err};
    bool reads = false;
    for (size_t i = 0; i < revision->supersedes_count && !reads; i++)
        HUB_TRY(reads_pending(&w, revision->supersedes[i], &reads));
    if (reads) /* what follows reads the store itself; of this event nothing may be written before it is whole */
        HUB_TRY(timeline_write_pending(t, false, err));
    HUB_TRY(find_gone(&w));
    for (size_t i = 0; i < revision->supersedes_count; i++)
        HUB_TRY(mark(&w, revision->supersedes[i]));
    return timeline_withdraw_facts(t, w.withdrawn.items, w.withdrawn.count, err);
}

/* --- the record --- */

static enum hub_result fill_revision(struct hub_arena *arena, struct hub_json *record, const struct timeline_event_name *event,
                                     const struct timeline_revision *revision)
{
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(record != NULL && list != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < revision->supersedes_count; i++)
        HUB_TRY(hub_json_push(list, hub_json_string(arena, revision->supersedes[i])));
    HUB_TRY(hub_json_set_string(arena, record, "event", event->id));
    HUB_TRY(hub_json_set_string(arena, record, "kind", HUB_SPAN("revision")));
    HUB_TRY(hub_json_set_string(arena, record, "recorded", event->recorded));
    HUB_TRY(hub_json_set_c(record, "revision", hub_json_number_i64(arena, (int64_t)revision->number)));
    HUB_TRY(hub_json_set_string(arena, record, "sha256", event->sha256));
    HUB_TRY(hub_json_set_string(arena, record, "subject", event->subject));
    return hub_json_set_c(record, "supersedes", list);
}

struct hub_json *timeline_revision_json(struct hub_arena *arena, const struct timeline_event_name *event,
                                        const struct timeline_revision *revision)
{
    struct hub_json *record = hub_json_new(arena, HUB_JSON_OBJECT);
    return fill_revision(arena, record, event, revision) == HUB_OK ? record : NULL;
}

enum hub_result timeline_revision_put(struct hub_timeline *t, const struct timeline_event_name *event, const struct timeline_revision *revision,
                                      struct hub_error *err)
{
    struct hub_span key = timeline_key(t, event->subject, event->id);
    if (key.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(timeline_add_json(t, FAMILY_REVISIONS, key, timeline_revision_json(&t->scratch, event, revision), err));
    return timeline_tell(t, key, event->subject, hub_buf_view(&t->text), err);
}

/* --- several values of a revision: what any of them takes the place of is out of force --- */

static int compare_ids(const void *a, const void *b)
{
    return hub_span_compare(*(const struct hub_span *)a, *(const struct hub_span *)b);
}

static bool is_listed(const struct hub_span *sorted, size_t count, struct hub_span id)
{
    return count != 0 && bsearch(&id, sorted, count, sizeof *sorted, compare_ids) != NULL;
}

static size_t sort_ids(struct hub_span *ids, size_t count)
{
    size_t kept = 0;
    if (count != 0)
        qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !hub_span_equal(ids[kept - 1], ids[i]))
            ids[kept++] = ids[i];
    }
    return kept;
}

/* Adds OTHERS to what REVISION takes the place of. *MORE: they named more. A list of one value stays as it stands there, one of
 * several is sorted: it is the same whichever came first. */
static enum hub_result join(struct hub_timeline *t, struct timeline_revision *revision, const struct hub_span *others, size_t other_count,
                            bool *more, struct hub_error *err)
{
    struct hub_span *ids = HUB_ARENA_ARRAY(&t->scratch, struct hub_span, revision->supersedes_count + other_count + 1);
    if (ids == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (revision->supersedes_count != 0)
        memcpy(ids, revision->supersedes, revision->supersedes_count * sizeof *ids);
    const size_t own = sort_ids(ids, revision->supersedes_count);
    size_t count = own;
    for (size_t i = 0; i < other_count; i++) {
        if (!is_listed(ids, own, others[i]))
            ids[count++] = others[i];
    }
    *more = count != own;
    if (*more) {
        revision->supersedes = ids;
        revision->supersedes_count = sort_ids(ids, count);
    }
    return HUB_OK;
}

/* The list of the revision record that there is of event ID; *KNOWN: there is one. */
static enum hub_result known_list(struct hub_timeline *t, struct hub_span id, const struct hub_json *seen, bool *known,
                                  struct timeline_revision *out, struct hub_error *err)
{
    struct hub_json *record = NULL;
    *out = (struct timeline_revision){.number = 1};
    if (timeline_is_pending(t, FAMILY_EVENTS, id)) /* such records are read from the store alone */
        HUB_TRY(timeline_write_pending(t, false, err));
    struct hub_span key = timeline_key(t, hub_json_get_span(seen, "subject"), id);
    if (key.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(timeline_get_json(t, FAMILY_REVISIONS, key, &record, err));
    const struct hub_json *list = hub_json_get(record, "supersedes");
    *known = list != NULL;
    struct hub_span *ids = HUB_ARENA_ARRAY(&t->scratch, struct hub_span, list != NULL ? (size_t)list->len + 1 : 1);
    if (ids == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (const struct hub_json *one = list != NULL ? list->first : NULL; one != NULL; one = one->next)
        ids[out->supersedes_count++] = hub_json_span(one);
    out->supersedes = ids;
    return HUB_OK;
}

enum hub_result timeline_revision_join(struct hub_timeline *t, struct hub_span id, const struct hub_json *seen, struct timeline_revision *revision,
                                       struct hub_error *err)
{
    struct timeline_revision before;
    bool known = false, more = false;
    if (revision->number == 0)
        return HUB_OK;
    HUB_TRY(known_list(t, id, seen, &known, &before, err));
    return join(t, revision, before.supersedes, before.supersedes_count, &more, err);
}

enum hub_result timeline_revision_other(struct hub_timeline *t, struct hub_span id, const struct hub_json *seen, const struct timeline_revision *other,
                                        struct hub_error *err)
{
    struct timeline_revision all;
    bool known = false, more = false;
    if (other->number == 0)
        return HUB_OK;
    HUB_TRY(known_list(t, id, seen, &known, &all, err));
    all.number = other->number;
    if (known)
        HUB_TRY(join(t, &all, other->supersedes, other->supersedes_count, &more, err));
    if (!more)
        return HUB_OK;
    const struct timeline_event_name name = {id, hub_json_get_span(seen, "subject"), hub_json_get_span(seen, "recorded"),
                                             hub_json_get_span(seen, "sha256")};
    HUB_TRY(timeline_supersede(t, id, &all, NULL, 0, err));
    HUB_TRY(timeline_revision_put(t, &name, &all, err));
    return timeline_write_pending(t, false, err); /* for the next value to find it */
}
