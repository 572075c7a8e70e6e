/* The form of the store: which one it is, and what brings an older one into the present one. Form 1 (without a mark) had no
 * `sha256` in entry and revision records and listed in an event seen the ids of its entries and the number of its facts. */
#include <stdio.h>

#include "src/timeline/group.h"

static const char FORM[] = "form";

static const char *form_of(enum hub_timeline_part part)
{
    switch (part) {
    case HUB_TIMELINE_WHOLE:
        return "2 whole";
    case HUB_TIMELINE_PARTITION:
        return "2 partition";
    case HUB_TIMELINE_IDENTITY:
        return "2 identity";
    }
    return "";
}

/* --- from form 1 --- */

static enum hub_result parse(struct hub_timeline *t, struct hub_span text, struct hub_json **out, struct hub_error *err)
{
    enum hub_result result = hub_json_parse(&t->scratch, text, out, err);
    return result == HUB_SYNTAX ? hub_fail(err, HUB_CORRUPT, "a record of the timeline is damaged", NULL) : result;
}

static enum hub_result add_entry(struct hub_timeline *t, struct hub_span text, struct hub_span subject, struct hub_span event,
                                 struct hub_span sha256, struct hub_error *err)
{
    struct hub_json *record = NULL;
    HUB_TRY(parse(t, text, &record, err));
    if (hub_json_set_string(&t->scratch, record, "sha256", sha256) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_json_write(timeline_group_record(t, hub_json_get_span(record, "id")), record);
    return timeline_group_end(t, subject, event, err);
}

/* The groups of an event, as they would be written today. */
static enum hub_result renew_entries(struct hub_timeline *t, struct hub_span subject, struct hub_span event, struct hub_span sha256,
                                     struct hub_error *err)
{
    const struct hub_span prefix = timeline_key(t, subject, event);
    struct hub_kv_iter *iter = prefix.ptr != NULL ? hub_kv_iter_new(t->kv, FAMILY_ENTRIES, prefix) : NULL;
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct timeline_entries entries;
    timeline_entries_init(&entries, iter);
    (void)timeline_group_begin(t, HUB_SPAN_NONE);
    enum hub_result result = timeline_group_remove(t, subject, event, err);
    while (result == HUB_OK && timeline_entries_next(&entries)) {
        if (timeline_group_is(hub_kv_iter_key(iter), prefix))
            result = add_entry(t, entries.record, subject, event, sha256, err);
    }
    if (result == HUB_OK)
        result = timeline_entries_result(&entries, err);
    if (result == HUB_OK)
        result = timeline_group_close(t, subject, event, err);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    return result;
}

static enum hub_result renew_revision(struct hub_timeline *t, struct hub_span subject, struct hub_span event, struct hub_span sha256,
                                      struct hub_error *err)
{
    struct hub_json *record = NULL;
    const struct hub_span key = timeline_key(t, subject, event);
    if (key.ptr == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(timeline_get_json(t, FAMILY_REVISIONS, key, &record, err));
    if (record == NULL)
        return HUB_OK;
    if (hub_json_set_string(&t->scratch, record, "sha256", sha256) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return timeline_add_json(t, FAMILY_REVISIONS, key, record, err);
}

static enum hub_result renew_event(struct hub_timeline *t, struct hub_span event, struct hub_json *seen, struct hub_error *err)
{
    const struct hub_json *ids = hub_json_get(seen, "entries");
    const struct hub_span subject = hub_json_get_span(seen, "subject"), sha256 = hub_json_get_span(seen, "sha256");
    if (ids == NULL || ids->type != HUB_JSON_ARRAY) /* only superseded, or renewed before a crash */
        return HUB_OK;
    HUB_TRY(renew_entries(t, subject, event, sha256, err));
    HUB_TRY(renew_revision(t, subject, event, sha256, err));
    (void)hub_json_remove(seen, "facts");
    if (hub_json_set_c(seen, "entries", hub_json_number_i64(&t->scratch, ids->len)) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return timeline_put_json(t, FAMILY_EVENTS, event, seen, err);
}

static enum hub_result renew_all(struct hub_timeline *t, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_EVENTS, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (result == HUB_OK && hub_kv_iter_next(iter)) {
        struct hub_json *seen = NULL;
        hub_arena_reset(&t->scratch);
        const struct hub_span event = hub_arena_copy(&t->scratch, hub_kv_iter_key(iter));
        result = event.ptr != NULL ? parse(t, hub_kv_iter_value(iter), &seen, err) : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        if (result == HUB_OK)
            result = renew_event(t, event, seen, err);
        if (result == HUB_OK && t->arena.used + t->batch_bytes > PENDING_BYTES_WRITE)
            result = timeline_write_pending(t, false, err);
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

/* Something was written to the store. */
static enum hub_result is_used(struct hub_timeline *t, bool *used, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_META, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    *used = hub_kv_iter_next(iter);
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result timeline_form(struct hub_timeline *t, struct hub_error *err)
{
    struct hub_span now = HUB_SPAN_NONE;
    bool used = false;
    enum hub_result result = timeline_get(t, FAMILY_META, hub_span_str(FORM), &now, err);
    if (result == HUB_OK && hub_span_is(now, form_of(t->part)))
        return HUB_OK;
    if (result == HUB_OK)
        return hub_fail(err, HUB_CORRUPT, "a store of the timeline that holds another part of it, or was written by a later version",
                        "use the version that wrote it, or remove the folder to have it built anew");
    if (result != HUB_NOT_FOUND)
        return result;
    HUB_TRY(is_used(t, &used, err));
    if (used && t->part != HUB_TIMELINE_WHOLE)
        return hub_fail(err, HUB_CORRUPT, "a store of the whole timeline where a part of it should be", "remove its folder");
    if (used)
        HUB_TRY(renew_all(t, err));
    HUB_TRY(timeline_meta_put(t, FORM, hub_span_str(form_of(t->part)), err));
    return timeline_write_pending(t, true, err);
}
