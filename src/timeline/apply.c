/* From one sealed CloudEvent to entry records, identity facts and the record of its subject. Everything is
 * read and checked before the first pending change, so that a bad event changes nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "src/base/clock.h"
#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/timeline/event_text.h"
#include "src/timeline/group.h"

struct event {
    struct timeline_event_text text;
    struct hub_span id, subject, time, recorded, message;
    struct hub_span origin, origin_recorded; /* of a revision: the event whose place in time it keeps; else its own */
    int64_t time_us, recorded_us, message_us, origin_us;
    struct timeline_revision revision;
    char sha256[2 * HUB_HASH_LEN + 1];
    struct hub_identity_statement *facts;
    size_t fact_count;
    struct timeline_resource **support; /* those that are no entry, by id */
    size_t support_count;
    size_t entry_count; /* of its entry records, support too */
    bool chartless; /* a feed's subject: a message without patient */
};

bool timeline_chartless(struct hub_span subject)
{
    return subject.len != 0 && subject.ptr[0] == '3';
}

/* --- reading --- */

static enum hub_result read_times(struct event *e, struct hub_error *err)
{
    const struct hub_event_head *head = &e->text.head;
    e->recorded = head->recordedtime;
    e->time = head->time;
    e->message = head->messagetime;
    if (hub_time_parse((const char *)e->recorded.ptr, e->recorded.len, &e->recorded_us) != 0)
        return hub_fail(err, HUB_SYNTAX, "an event without recorded time", NULL);
    e->origin = e->id;
    e->origin_recorded = e->recorded;
    e->origin_us = e->recorded_us;
    if (e->revision.number != 0) {
        e->origin = head->origin;
        e->origin_recorded = head->originrecorded;
        if (!timeline_good_id(e->origin) ||
            hub_time_parse((const char *)e->origin_recorded.ptr, e->origin_recorded.len, &e->origin_us) != 0)
            return hub_fail(err, HUB_SYNTAX, "a revision without the event that it is one of", NULL);
    }
    if (!hub_moment_us(e->time, &e->time_us)) {
        e->time = e->recorded;
        e->time_us = e->recorded_us;
    }
    if (!hub_moment_us(e->message, &e->message_us)) {
        e->message = e->time;
        e->message_us = e->time_us;
    }
    return HUB_OK;
}

static enum hub_result read_facts(struct hub_timeline *t, struct event *e, struct hub_error *err)
{
    struct hub_event_head head = e->text.head;
    head.time = e->time;
    head.messagetime = e->message;
    head.origin = e->origin;
    head.originrecorded = e->origin_recorded;
    return hub_identity_of_event(&t->scratch, &head, &e->facts, &e->fact_count, err);
}

static void set_hash(struct event *e, struct hub_span text, const uint8_t *known)
{
    uint8_t digest[HUB_HASH_LEN];
    if (known == NULL)
        hub_sha256_of(text, digest);
    (void)hub_encode(HUB_HEX, hub_span_of(known != NULL ? known : digest, sizeof digest), e->sha256,
                     sizeof e->sha256);
}

static enum hub_result read_event(struct hub_timeline *t, struct hub_span text, struct event *e,
                                  struct hub_error *err)
{
    memset(e, 0, sizeof *e);
    HUB_TRY(timeline_event_text(&t->scratch, text, &e->text, err));
    e->id = e->text.head.id;
    e->subject = e->text.head.subject;
    if (!timeline_good_id(e->id) || !timeline_good_id(e->subject))
        return hub_fail(err, HUB_SYNTAX, "an event without id or subject", NULL);
    e->chartless = timeline_chartless(e->subject);
    HUB_TRY(timeline_revision_of(t, &e->text.head, &e->revision, err));
    HUB_TRY(read_times(e, err));
    return read_facts(t, e, err);
}

/* --- supporting resources: those without an entry that an entry leads to --- */

static int compare_parts(const void *a, const void *b)
{
    const struct timeline_resource *x = *(const struct timeline_resource *const *)a, *y = *(const struct timeline_resource *const *)b;
    const int order = hub_span_compare(x->id, y->id);
    return order != 0 ? order : hub_span_compare(x->type, y->type);
}

/* REFERENCE is `<Type>/<id>`. */
static struct timeline_resource *find_part(const struct event *e, struct hub_span reference)
{
    const uint8_t *slash = reference.len != 0 ? memchr(reference.ptr, '/', reference.len) : NULL;
    if (slash == NULL)
        return NULL;
    const size_t len = (size_t)(slash - reference.ptr);
    const struct timeline_resource wanted = {.type = hub_span_of(reference.ptr, len),
                                .id = hub_span_of(slash + 1, reference.len - len - 1)};
    const struct timeline_resource *key = &wanted;
    struct timeline_resource **found = bsearch(&key, e->support, e->support_count, sizeof(struct timeline_resource *), compare_parts);
    return found != NULL && !(*found)->needed ? *found : NULL;
}

/* Marks what RESOURCE refers to, and what that refers to. */
static void mark_needed(struct event *e, const struct timeline_resource *resource)
{
    for (size_t i = 0; i < resource->reference_count; i++) {
        struct timeline_resource *to = find_part(e, e->text.references[resource->first_reference + i]);
        if (to == NULL)
            continue;
        to->needed = true;
        mark_needed(e, to); /* each once: as deep as there are */
    }
}

enum { SUPPORT_MAX = 2000 }; /* bounds the depth of mark_needed */

static bool find_support(struct event *e, struct hub_arena *arena)
{
    e->support = HUB_ARENA_ARRAY(arena, struct timeline_resource *, e->text.count + 1);
    if (e->support == NULL)
        return false;
    for (size_t i = 0; i < e->text.count; i++) {
        if (!e->text.resources[i].entry)
            e->support[e->support_count++] = &e->text.resources[i];
    }
    if (e->support_count > SUPPORT_MAX) {
        for (size_t i = 0; i < e->support_count; i++)
            e->support[i]->needed = true;
        return true;
    }
    if (e->support_count != 0)
        qsort(e->support, e->support_count, sizeof(struct timeline_resource *), compare_parts);
    for (size_t i = 0; i < e->text.count && e->support_count != 0; i++) {
        if (e->text.resources[i].entry)
            mark_needed(e, &e->text.resources[i]);
    }
    return true;
}

/* --- records --- */

static void add_member(struct hub_buf *out, const char *name, struct hub_span text)
{
    hub_buf_append_byte(out, ',');
    hub_buf_append_byte(out, '"');
    hub_buf_append_str(out, name);
    hub_buf_append_str(out, "\":");
    hub_json_write_string(out, text);
}

/* TEXT is as it stands in an event, escapes and all. */
static void add_raw(struct hub_buf *out, const char *name, struct hub_span text)
{
    hub_buf_append_byte(out, ',');
    hub_buf_append_byte(out, '"');
    hub_buf_append_str(out, name);
    hub_buf_append_str(out, "\":\"");
    hub_buf_append_span(out, text);
    hub_buf_append_byte(out, '"');
}

/* What all records of the event end with: the members behind `resource`. */
static void write_end(struct hub_buf *out, const struct event *e)
{
    const struct hub_event_head *head = &e->text.head;
    if (e->revision.number != 0) {
        hub_buf_append_str(out, ",\"revision\":");
        hub_buf_append_u64(out, e->revision.number);
    }
    add_raw(out, "seal", head->seal);
    add_member(out, "sha256", hub_span_str(e->sha256));
    add_raw(out, "source", head->source);
    add_member(out, "subject", e->subject);
    if (e->text.test)
        hub_buf_append_str(out, ",\"test\":true");
    add_member(out, "time", e->time);
    add_raw(out, "trigger", head->trigger);
    hub_buf_append_byte(out, '}');
}

/* The record in canonical form (docs/FORMATS.md, entries). */
static void write_record(struct hub_buf *out, const struct event *e, const struct timeline_resource *resource,
                         const struct timeline_entry *entry, struct hub_span end)
{
    const struct hub_entry_view *view = &resource->view;
    hub_buf_append_str(out, "{\"effective\":");
    hub_json_write_string(out, entry->effective);
    add_member(out, "event", e->id);
    hub_buf_append_str(out, ",\"fact\":[");
    for (uint32_t i = 0; i < view->fact_count; i++) {
        if (i != 0)
            hub_buf_append_byte(out, ',');
        hub_json_write_string(out, view->facts[i]);
    }
    hub_buf_append_byte(out, ']');
    add_member(out, "id", entry->id);
    add_member(out, "kind", entry->kind);
    add_member(out, "messagetime", e->message);
    hub_buf_append_str(out, ",\"ordinal\":");
    hub_buf_append_u64(out, resource->ordinal);
    if (e->revision.number != 0) {
        add_member(out, "origin", e->origin);
        add_member(out, "originrecorded", e->origin_recorded);
    }
    add_member(out, "recorded", e->recorded);
    hub_buf_append_str(out, ",\"resource\":");
    hub_buf_append_span(out, resource->text);
    hub_buf_append_span(out, end);
}

static bool is_entry(const struct event *e, const struct timeline_resource *part)
{
    return !e->chartless && (part->entry || part->needed);
}

static size_t entries_of(const struct event *e)
{
    size_t count = 0;
    for (size_t i = 0; i < e->text.count; i++)
        count += is_entry(e, &e->text.resources[i]);
    return count;
}

static enum hub_result add_entries(struct hub_timeline *t, const struct event *e, bool superseded, struct hub_error *err)
{
    struct hub_json *token = NULL;
    if (e->entry_count == 0)
        return HUB_OK;
    HUB_TRY(timeline_token_record(t, e->subject, &token, err));
    hub_buf_reset(&t->text);
    write_end(&t->text, e);
    const struct hub_span end = hub_arena_copy(&t->scratch, hub_buf_view(&t->text));
    if (end.ptr == NULL || hub_buf_result(&t->text) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    const bool kept_apart = timeline_group_begin(t, end);
    for (size_t i = 0; i < e->text.count; i++) {
        const struct timeline_resource *part = &e->text.resources[i];
        if (!is_entry(e, part))
            continue;
        const struct timeline_entry entry = {
            .kind = hub_span_str(part->entry ? hub_kind_name(part->view.kind) : "support"),
            .effective = part->view.effective.len != 0 ? part->view.effective : e->time,
            .recorded = e->recorded,
            .id = part->id,
            .test = e->text.test,
        };
        write_record(timeline_group_record(t, part->id), e, part, &entry, kept_apart ? HUB_SPAN_NONE : end);
        HUB_TRY(timeline_group_end(t, e->subject, e->id, err));
        HUB_TRY(timeline_token_count(t, token, &entry, superseded, err));
    }
    HUB_TRY(timeline_group_close(t, e->subject, e->id, err));
    return timeline_put_json(t, FAMILY_TOKENS, e->subject, token, err);
}

static enum hub_result add_fact_records(struct hub_timeline *t, const struct event *e, struct hub_error *err)
{
    for (size_t i = 0; i < e->fact_count; i++) {
        char number[24];
        (void)snprintf(number, sizeof number, "%zu", i);
        struct hub_span key = timeline_key(t, e->id, hub_span_str(number));
        if (key.ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        HUB_TRY(timeline_fact_put(t, key, hub_identity_json(&t->scratch, &e->facts[i]), err));
    }
    return HUB_OK;
}

static enum hub_result fill_seen(struct hub_arena *arena, struct hub_json *seen, const struct event *e)
{
    HUB_TRY(hub_json_set_c(seen, "entries", hub_json_number_i64(arena, (int64_t)e->entry_count)));
    HUB_TRY(hub_json_set_string(arena, seen, "recorded", e->recorded));
    HUB_TRY(hub_json_set_string(arena, seen, "sha256", hub_span_str(e->sha256)));
    return hub_json_set_string(arena, seen, "subject", e->subject);
}

static struct timeline_event_name name_of(const struct event *e)
{
    return (struct timeline_event_name){e->id, e->subject, e->recorded, hub_span_str(e->sha256)};
}

/* An event of which nothing else tells: the topic's records alone should give back the state. */
static enum hub_result tell_of_none(struct hub_timeline *t, const struct event *e, struct hub_error *err)
{
    if (!timeline_tells(t) || e->entry_count != 0 || e->revision.number != 0)
        return HUB_OK;
    struct hub_buf *out = &t->text;
    struct hub_span key = timeline_key(t, e->subject, e->id);
    hub_buf_reset(out);
    hub_buf_append_str(out, "{\"event\":");
    hub_json_write_string(out, e->id);
    add_member(out, "kind", HUB_SPAN("event"));
    add_member(out, "recorded", e->recorded);
    add_member(out, "sha256", hub_span_str(e->sha256));
    add_member(out, "subject", e->subject);
    hub_buf_append_byte(out, '}');
    if (key.ptr == NULL || hub_buf_result(out) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return timeline_tell(t, key, e->subject, hub_buf_view(out), err);
}

/* SEEN: what is known of the event's id, or NULL. */
static enum hub_result add_event(struct hub_timeline *t, struct event *e, struct hub_json *seen,
                                 struct hub_error *err)
{
    const bool superseded = timeline_superseded(seen);
    if (seen == NULL)
        seen = hub_json_new(&t->scratch, HUB_JSON_OBJECT);
    if (seen == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(add_entries(t, e, superseded, err));
    HUB_TRY(tell_of_none(t, e, err));
    if (!superseded && t->part == HUB_TIMELINE_WHOLE) {
        HUB_TRY(add_fact_records(t, e, err));
        HUB_TRY(timeline_add_facts(t, e->facts, e->fact_count, err));
    }
    enum hub_result result = fill_seen(&t->scratch, seen, e);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    return timeline_put_json(t, FAMILY_EVENTS, e->id, seen, err);
}

/* What it takes the place of goes first: its own facts may be the same. SEEN as it was. */
static enum hub_result add_revision(struct hub_timeline *t, const struct event *e, const struct hub_json *seen,
                                    struct hub_error *err)
{
    if (e->revision.number == 0)
        return HUB_OK;
    const size_t in_force = timeline_superseded(seen) ? 0 : e->fact_count;
    HUB_TRY(timeline_supersede(t, e->id, &e->revision, e->facts, in_force, err));
    const struct timeline_event_name name = name_of(e);
    return timeline_revision_put(t, &name, &e->revision, err);
}

/* --- another value of an event id --- */

/* Its record as a revision, or as an event without entries. */
static enum hub_result remove_record(struct hub_timeline *t, struct hub_span subject, struct hub_span id,
                                     const struct hub_json *seen, struct hub_error *err)
{
    struct hub_json *revision = NULL;
    struct hub_span key = timeline_key(t, subject, id);
    if (key.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(timeline_get_json(t, FAMILY_REVISIONS, key, &revision, err));
    if (revision != NULL)
        timeline_remove(t, FAMILY_REVISIONS, key);
    if (revision == NULL && timeline_json_number(seen, "entries") != 0)
        return HUB_OK;
    return timeline_tell(t, key, subject, HUB_SPAN_NONE, err);
}

static enum hub_result remove_event(struct hub_timeline *t, struct hub_span id, const struct hub_json *seen,
                                    struct hub_error *err)
{
    HUB_TRY(timeline_write_pending(t, false, err)); /* what follows reads the store itself */
    struct hub_span subject = hub_json_get_span(seen, "subject");
    struct timeline_keys facts = {NULL, 0, 0};
    HUB_TRY(timeline_group_remove(t, subject, id, err));
    HUB_TRY(remove_record(t, subject, id, seen, err));
    if (timeline_json_number(seen, "entries") != 0)
        HUB_TRY(timeline_token_recount(t, subject, id, NULL, 0, err));
    if (!timeline_superseded(seen) && t->part == HUB_TIMELINE_WHOLE) {
        HUB_TRY(timeline_facts_of(t, id, &facts, err));
        HUB_TRY(timeline_withdraw_facts(t, facts.items, facts.count, err));
    }
    return timeline_token_prune(t, subject, err);
}

/* The smallest (recordedtime, SHA-256) is the event. */
static bool wins(const struct event *e, const struct hub_json *seen)
{
    struct hub_span text = hub_json_get_span(seen, "recorded");
    int64_t recorded_us = INT64_MAX;
    if (hub_time_parse((const char *)text.ptr, text.len, &recorded_us) != 0)
        return true;
    if (e->recorded_us != recorded_us)
        return e->recorded_us < recorded_us;
    return hub_span_compare(hub_span_str(e->sha256), hub_json_get_span(seen, "sha256")) < 0;
}

/* The event as it is known, but not all of it came back from the topic: done again. */
static enum hub_result is_torn(struct hub_timeline *t, const struct event *e, const struct hub_json *seen, bool *torn,
                               struct hub_error *err)
{
    struct hub_json *revision = NULL;
    *torn = false;
    if (t->part != HUB_TIMELINE_PARTITION || !hub_span_is(hub_json_get_span(seen, "sha256"), e->sha256) ||
        !hub_span_equal(hub_json_get_span(seen, "recorded"), e->recorded))
        return HUB_OK;
    *torn = (size_t)timeline_json_number(seen, "entries") != e->entry_count;
    if (*torn || e->revision.number == 0)
        return HUB_OK;
    struct hub_span key = timeline_key(t, e->subject, e->id);
    if (key.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (!timeline_is_pending(t, FAMILY_EVENTS, e->id)) /* else it was applied a moment ago, whole */
        HUB_TRY(timeline_get_json(t, FAMILY_REVISIONS, key, &revision, err));
    *torn = revision == NULL && !timeline_is_pending(t, FAMILY_EVENTS, e->id);
    return HUB_OK;
}

/* HUB_AGAIN: not before who is who has what the event says of it. */
static enum hub_result await_facts(struct hub_timeline *t, const struct event *e, const struct hub_json *seen,
                                   struct hub_error *err)
{
    bool known = true;
    if (t->known_by == NULL || timeline_superseded(seen) || (e->fact_count == 0 && e->revision.number == 0))
        return HUB_OK;
    HUB_TRY(hub_timeline_facts_known(t->known_by, e->id, e->fact_count, e->revision.number != 0, &known, err));
    return known ? HUB_OK : HUB_AGAIN;
}

enum hub_result hub_timeline_apply(struct hub_timeline *t, struct hub_span event_json, const uint8_t *sha256,
                                   struct hub_error *err)
{
    if (t->part == HUB_TIMELINE_IDENTITY || t->restoring)
        return hub_fail(err, HUB_USAGE, "an event for a timeline that is not ready for it", NULL);
    hub_arena_reset(&t->scratch);
    struct event e;
    HUB_TRY(read_event(t, event_json, &e, err));
    set_hash(&e, event_json, sha256);
    struct hub_json *seen = NULL;
    bool again = false;
    HUB_TRY(timeline_get_json(t, FAMILY_EVENTS, e.id, &seen, err));
    if (!find_support(&e, &t->scratch))
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    e.entry_count = entries_of(&e);
    if (timeline_seen(seen) && !wins(&e, seen)) {
        HUB_TRY(is_torn(t, &e, seen, &again, err));
        if (!again)
            return timeline_revision_other(t, e.id, seen, &e.revision, err);
    }
    HUB_TRY(await_facts(t, &e, seen, err));
    if (timeline_seen(seen)) {
        HUB_TRY(timeline_revision_join(t, e.id, seen, &e.revision, err));
        HUB_TRY(remove_event(t, e.id, seen, err));
    }
    HUB_TRY(add_revision(t, &e, seen, err));
    HUB_TRY(add_event(t, &e, seen, err));
    if (t->arena.used + t->batch_bytes > PENDING_BYTES_WRITE)
        return timeline_write_pending(t, false, err);
    return HUB_OK;
}

void hub_timeline_wait_for(struct hub_timeline *t, struct hub_timeline *identity)
{
    t->known_by = identity;
}
