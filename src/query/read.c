#include <stdlib.h>

#include "src/identity/order.h"
#include "src/query/version.h"

static bool is_retired(const struct hub_query *query, struct hub_span subject)
{
    const struct hub_json *retired = hub_json_get(query->chart, "retired");
    if (retired == NULL || retired->type != HUB_JSON_ARRAY)
        return false;
    for (const struct hub_json *token = retired->first; token != NULL; token = token->next) {
        if (hub_span_equal(hub_json_span(token), subject))
            return true;
    }
    return false;
}

/* The chart says which secrets were shredded: what cannot be opened for another reason is not. */
static bool is_shredded(const struct hub_query *query, struct hub_span seal)
{
    const struct hub_json *list = hub_json_get(query->chart, "shredded");
    if (list == NULL || list->type != HUB_JSON_ARRAY)
        return false;
    struct hub_span secret = hub_protect_seal_secret(seal);
    for (const struct hub_json *id = list->first; id != NULL; id = id->next) {
        if (hub_span_equal(hub_json_span(id), secret))
            return true;
    }
    return false;
}

/* Of a sensitive resource only the opened content says when it happened. */
static struct hub_span clinical_time(const struct hub_json *resource)
{
    static const char *const names[] = {
        "effectiveDateTime", "performedDateTime", "occurrenceDateTime", "onsetDateTime",
        "recordedDate",      "authoredOn",        "whenHandedOver",     "date"};
    static const char *const periods[] = {"period", "effectivePeriod", "performedPeriod"};
    int64_t us;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct hub_span text = hub_json_get_span(resource, names[i]);
        if (hub_moment_us(text, &us))
            return text;
    }
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        struct hub_span text = hub_json_get_span(hub_json_get(resource, periods[i]), "start");
        if (hub_moment_us(text, &us))
            return text;
    }
    return HUB_SPAN_NONE;
}

static void read_times(struct version *v)
{
    v->recorded = hub_json_get_span(v->record, "recorded");
    v->effective = v->view.effective.len != 0 ? v->view.effective : clinical_time(v->resource);
    if (!hub_moment_us(v->effective, &v->effective_us)) {
        v->effective = hub_json_get_span(v->record, "effective");
        if (!hub_moment_us(v->effective, &v->effective_us))
            v->effective_us = INT64_MIN;
    }
    if (!hub_moment_us(hub_json_get_span(v->record, "messagetime"), &v->message_us))
        v->message_us = v->recorded_us;
    int64_t version_us;
    int64_t origin_us = v->recorded_us;
    if (!hub_moment_us(v->view.version, &version_us))
        version_us = v->message_us;
    if (v->revision != 0)
        (void)hub_moment_us(hub_json_get_span(v->record, "originrecorded"), &origin_us);
    v->order_us = version_us < origin_us ? version_us : origin_us;
    if (!hub_moment_us(v->view.list_version, &v->listed_us))
        v->listed_us = version_us;
    v->listed_us = v->listed_us < origin_us ? v->listed_us : origin_us;
}

static enum hub_result read_one(struct view *view, const struct hub_json *record,
                                const struct hub_opener *opener, struct version *v, struct hub_error *err)
{
    v->record = record;
    v->id = hub_json_get_span(record, "id");
    v->event = hub_json_get_span(record, "event");
    if (!hub_span_parse_u64(hub_json_span(hub_json_get(record, "revision")), &v->revision))
        v->revision = 0;
    v->origin = v->revision != 0 ? hub_json_get_span(record, "origin") : v->event;
    v->source = hub_json_get_span(record, "source");
    v->subject = hub_json_get_span(record, "subject");
    v->trigger = hub_json_get_span(record, "trigger");
    v->retired = is_retired(view->query, v->subject);
    if (!hub_span_parse_u64(hub_json_span(hub_json_get(record, "ordinal")), &v->ordinal))
        v->ordinal = UINT64_MAX;
    v->resource = hub_json_copy(view->arena, hub_json_get(record, "resource"));
    if (v->resource == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    size_t masked = 0;
    if (opener != NULL)
        HUB_TRY(hub_protect_open_resource(view->arena, v->resource, v->event, v->subject,
                                          hub_json_get_span(record, "seal"), opener, &masked, err));
    v->masked = masked != 0;
    v->shredded = is_shredded(view->query, hub_json_get_span(record, "seal"));
    v->support = !hub_entry_view_of(v->resource, &v->view);
    read_times(v);
    query_drop_extension(v->resource, "urn:chartline:entry");
    return HUB_OK;
}

/* --- revisions --- */

struct replaced { /* an event, and who took its place */
    struct hub_span event, by;
};

struct replaced_list {
    struct replaced *items;
    size_t count;
};

static bool is_revision(const struct hub_json *record)
{
    return hub_span_is(hub_json_get_span(record, "kind"), "revision");
}

static int compare_replaced(const void *a, const void *b)
{
    const struct replaced *x = a;
    const struct replaced *y = b;
    int d = hub_span_compare(x->event, y->event);
    return d != 0 ? d : hub_span_compare(x->by, y->by);
}

/* Of the revisions that were known by then. */
static enum hub_result read_revisions(const struct view *view, struct hub_json **records, size_t count,
                                      struct replaced_list *out)
{
    size_t cap = 0;
    *out = (struct replaced_list){NULL, 0};
    for (size_t i = 0; i < count; i++) {
        const struct hub_json *list = is_revision(records[i]) ? hub_json_get(records[i], "supersedes") : NULL;
        cap += list != NULL && list->type == HUB_JSON_ARRAY ? list->len : 0;
    }
    if (cap == 0)
        return HUB_OK;
    out->items = HUB_ARENA_ARRAY(view->arena, struct replaced, cap);
    HUB_ENSURE(out->items != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        const struct hub_json *list = is_revision(records[i]) ? hub_json_get(records[i], "supersedes") : NULL;
        int64_t recorded_us;
        if (list == NULL || list->type != HUB_JSON_ARRAY ||
            !hub_moment_us(hub_json_get_span(records[i], "recorded"), &recorded_us) ||
            recorded_us > view->query->known_at_us)
            continue;
        for (const struct hub_json *id = list->first; id != NULL; id = id->next)
            out->items[out->count++] =
                (struct replaced){hub_json_span(id), hub_json_get_span(records[i], "event")};
    }
    if (out->count != 0)
        qsort(out->items, out->count, sizeof *out->items, compare_replaced);
    return HUB_OK;
}

static struct hub_span replaced_by(const struct replaced_list *list, struct hub_span event)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (hub_span_compare(list->items[mid].event, event) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < list->count && hub_span_equal(list->items[low].event, event) ? list->items[low].by : HUB_SPAN_NONE;
}

static int compare_ids(const void *a, const void *b)
{
    const struct version *x = a;
    const struct version *y = b;
    return hub_span_compare(x->id, y->id);
}

enum hub_result query_read(struct view *view, struct hub_json **records, size_t count,
                           const struct hub_opener *opener, struct hub_error *err)
{
    struct replaced_list replaced;
    view->versions = HUB_ARENA_ARRAY(view->arena, struct version, count + 1);
    if (view->versions == NULL || read_revisions(view, records, count, &replaced) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        if (is_revision(records[i]))
            continue;
        struct version *v = &view->versions[view->version_count];
        memset(v, 0, sizeof *v);
        if (!hub_moment_us(hub_json_get_span(records[i], "recorded"), &v->recorded_us) ||
            hub_json_get(records[i], "resource") == NULL ||
            hub_json_get(records[i], "resource")->type != HUB_JSON_OBJECT)
            return hub_fail(err, HUB_CORRUPT, "an entry record of the timeline is damaged", NULL);
        v->replaced_by = replaced_by(&replaced, hub_json_get_span(records[i], "event"));
        if (v->recorded_us > view->query->known_at_us || (v->replaced_by.len != 0 && !view->query->history))
            continue;
        HUB_TRY(read_one(view, records[i], opener, v, err));
        v->elsewhere = view->elsewhere != NULL && view->elsewhere[i];
        view->version_count++;
    }
    if (view->version_count != 0)
        qsort(view->versions, view->version_count, sizeof *view->versions, compare_ids);
    return HUB_OK;
}

struct version *query_find(const struct view *view, struct hub_span id)
{
    struct version key = {.id = id};
    if (view->version_count == 0)
        return NULL;
    return bsearch(&key, view->versions, view->version_count, sizeof *view->versions, compare_ids);
}

bool query_reference(struct hub_span text, struct hub_span *type, struct hub_span *id)
{
    const uint8_t *slash = text.len != 0 ? memchr(text.ptr, '/', text.len) : NULL;
    if (slash == NULL || slash == text.ptr)
        return false;
    *type = hub_span_of(text.ptr, (size_t)(slash - text.ptr));
    *id = hub_span_of(slash + 1, text.len - type->len - 1);
    return id->len != 0 && memchr(id->ptr, '/', id->len) == NULL;
}
