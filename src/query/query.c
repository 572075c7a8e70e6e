#include "src/query/query.h"

#include <stdlib.h>

#include "src/query/version.h"

enum { REFERENCE_DEPTH_MAX = 32 };

/* --- no known allergy --- */

static bool none_known(const struct hub_json *resource)
{
    /* SNOMED CT: no known allergy, drug, food, environmental, latex, animal; and what v2 senders write */
    static const char *const codes[] = {"716186003", "409137002", "429625007", "428607008", "1003774007",
                                        "428197003", "NKA",       "NKDA",      "NOKNOWN"};
    static const char *const texts[] = {"no known allergy",
                                        "no known allergies",
                                        "no known drug allergy",
                                        "no known drug allergies",
                                        "nka",
                                        "nkda"};
    const struct hub_json *code = hub_json_get(resource, "code");
    const struct hub_json *coding = hub_json_get(code, "coding");
    for (const struct hub_json *c = coding != NULL && coding->type == HUB_JSON_ARRAY ? coding->first : NULL;
         c != NULL; c = c->next) {
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
            if (hub_span_equal_nocase(hub_json_get_span(c, "code"), hub_span_str(codes[i])))
                return true;
        }
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            if (hub_span_equal_nocase(hub_json_get_span(c, "display"), hub_span_str(texts[i])))
                return true;
        }
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (hub_span_equal_nocase(hub_span_trim(hub_json_get_span(code, "text")), hub_span_str(texts[i])))
            return true;
    }
    return false;
}

static struct hub_span coded_status(const struct hub_json *resource, const char *element)
{
    return hub_json_get_span(hub_json_at(hub_json_get(hub_json_get(resource, element), "coding"), 0), "code");
}

static void hide_none_known(struct view *view)
{
    bool active = false;
    for (size_t i = 0; i < view->fact_count; i++) {
        const struct fact *fact = &view->facts[i];
        active |= fact->kind == HUB_KIND_ALLERGY && fact->current != NULL && !none_known(fact->resource) &&
                  hub_json_get(fact->resource, "code") != NULL &&
                  hub_span_is(coded_status(fact->resource, "clinicalStatus"), "active") &&
                  !hub_span_is(coded_status(fact->resource, "verificationStatus"), "refuted");
    }
    for (size_t i = 0; active && i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (fact->kind == HUB_KIND_ALLERGY && fact->current != NULL && none_known(fact->resource))
            fact->current = NULL;
    }
}

/* --- reports: the union of the current observations of all versions --- */

static bool has_reference(const struct hub_json *list, struct hub_span reference)
{
    for (const struct hub_json *item = list->first; item != NULL; item = item->next) {
        if (hub_span_equal(hub_json_get_span(item, "reference"), reference))
            return true;
    }
    return false;
}

static enum hub_result add_result(struct view *view, const struct fact *report, struct hub_json *list,
                                  const struct hub_json *item)
{
    struct hub_span type;
    struct hub_span id;
    struct hub_span reference = hub_json_get_span(item, "reference");
    const struct version *v = query_reference(reference, &type, &id) ? query_find(view, id) : NULL;
    const bool found = v != NULL && v->fact != NULL;
    if (found) {
        if (v->fact->current == NULL || v->fact->listed == report)
            return HUB_OK;
        v->fact->listed = report;
        const char *text =
            hub_arena_printf(view->arena, "%.*s/%.*s", (int)type.len, (const char *)type.ptr,
                             (int)v->fact->current->id.len, (const char *)v->fact->current->id.ptr);
        HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
        reference = hub_span_str(text);
    }
    if (!found && reference.len != 0 && has_reference(list, reference))
        return HUB_OK;
    struct hub_json *copy = hub_json_copy(view->arena, item);
    HUB_ENSURE(copy != NULL, HUB_NO_MEMORY);
    if (copy->type == HUB_JSON_OBJECT && reference.len != 0)
        HUB_TRY(hub_json_set_string(view->arena, copy, "reference", reference));
    return hub_json_push(list, copy);
}

static enum hub_result unite_results(struct view *view, struct fact *fact)
{
    struct hub_json *list = hub_json_new(view->arena, HUB_JSON_ARRAY);
    HUB_ENSURE(list != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < fact->count; i++) {
        const struct hub_json *results = hub_json_get(fact->versions[i]->resource, "result");
        for (const struct hub_json *item = results != NULL && results->type == HUB_JSON_ARRAY ? results->first
                                                                                              : NULL;
             item != NULL; item = item->next)
            HUB_TRY(add_result(view, fact, list, item));
    }
    (void)hub_json_remove(fact->resource, "result");
    return list->len != 0 ? hub_json_set_c(fact->resource, "result", list) : HUB_OK;
}

/* --- references --- */

/* Marks supporting resources that NODE leads to; with CURRENT, a reference to an older version leads to the
 * one shown. */
static enum hub_result follow(struct view *view, struct hub_json *node, bool current, unsigned depth)
{
    if (node->type == HUB_JSON_ARRAY || node->type == HUB_JSON_OBJECT) {
        for (struct hub_json *child = node->first; child != NULL; child = child->next)
            HUB_TRY(follow(view, child, current, depth));
        return HUB_OK;
    }
    struct hub_span key = hub_span_of(node->key, node->key_len);
    struct hub_span type;
    struct hub_span id;
    if (node->type != HUB_JSON_STRING || node->key == NULL ||
        !(hub_span_is(key, "reference") || hub_span_is(key, "url")) ||
        !query_reference(hub_json_span(node), &type, &id))
        return HUB_OK;
    struct version *v = query_find(view, id);
    if (v == NULL)
        return HUB_OK;
    if (v->support) {
        if (v->needed || depth == REFERENCE_DEPTH_MAX)
            return HUB_OK;
        v->needed = true;
        return follow(view, v->resource, current, depth + 1);
    }
    if (current && v->fact != NULL && v->fact->current != NULL && v->fact->current != v) {
        const char *text =
            hub_arena_printf(view->arena, "%.*s/%.*s", (int)type.len, (const char *)type.ptr,
                             (int)v->fact->current->id.len, (const char *)v->fact->current->id.ptr);
        HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
        node->str = text;
        node->len = (uint32_t)strlen(text);
    }
    return HUB_OK;
}

/* --- the answer --- */

struct shown {
    const struct version *version;
    const struct version *supersedes;
    struct hub_json *resource;
};

static struct hub_span status_of(const struct shown *shown)
{
    const struct hub_json *resource = shown->resource;
    if (hub_span_is(coded_status(resource, "verificationStatus"), "entered-in-error"))
        return HUB_SPAN("entered-in-error");
    switch (shown->version->view.kind) {
    case HUB_KIND_LOCATION:
        return hub_json_get_span(hub_json_at(hub_json_get(resource, "location"), 0), "status");
    case HUB_KIND_ALLERGY:
    case HUB_KIND_CONDITION:
        return coded_status(resource, "clinicalStatus");
    case HUB_KIND_PATIENT:
    case HUB_KIND_RELATED_PERSON: {
        const struct hub_json *active = hub_json_get(resource, "active");
        return active != NULL && active->type == HUB_JSON_FALSE ? HUB_SPAN("inactive") : HUB_SPAN("active");
    }
    case HUB_KIND_NONE:
    case HUB_KIND_ENCOUNTER:
    case HUB_KIND_OBSERVATION:
    case HUB_KIND_REPORT:
    case HUB_KIND_ORDER:
    case HUB_KIND_MEDICATION_REQUEST:
    case HUB_KIND_MEDICATION_DISPENSE:
    case HUB_KIND_MEDICATION_ADMINISTRATION:
    case HUB_KIND_PROCEDURE:
    case HUB_KIND_IMMUNIZATION:
    case HUB_KIND_DOCUMENT:
    case HUB_KIND_APPOINTMENT:
    case HUB_KIND_COVERAGE:
    case HUB_KIND_COUNT:
        break;
    }
    return hub_json_get_span(resource, "status");
}

static enum hub_result set_text(struct hub_arena *arena, struct hub_json *object, const char *key,
                                struct hub_span text)
{
    return text.len != 0 ? hub_json_set_string(arena, object, key, text)
                         : hub_json_set_c(object, key, hub_json_new(arena, HUB_JSON_NULL));
}

static enum hub_result add_entry(struct hub_arena *arena, struct hub_json *list, const struct shown *shown)
{
    struct hub_json *entry = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(entry != NULL, HUB_NO_MEMORY);
    const struct version *v = shown->version;
    HUB_TRY(set_text(arena, entry, "effective", v->effective));
    HUB_TRY(set_text(arena, entry, "id", v->id));
    HUB_TRY(set_text(arena, entry, "kind", hub_span_str(hub_kind_name(v->view.kind))));
    HUB_TRY(set_text(arena, entry, "recorded", v->recorded));
    if (v->replaced_by.len != 0)
        HUB_TRY(set_text(arena, entry, "replaced_by", v->replaced_by));
    HUB_TRY(hub_json_set_c(entry, "resource", shown->resource));
    if (v->revision != 0)
        HUB_TRY(hub_json_set_c(entry, "revision", hub_json_number_i64(arena, (int64_t)v->revision)));
    HUB_TRY(set_text(arena, entry, "status", status_of(shown)));
    if (shown->version->shredded)
        HUB_TRY(hub_json_set_c(entry, "shredded", hub_json_bool(arena, true)));
    HUB_TRY(set_text(arena, entry, "supersedes",
                     shown->supersedes != NULL ? shown->supersedes->id : HUB_SPAN_NONE));
    return hub_json_push(list, entry);
}

static int compare_shown(const void *a, const void *b)
{
    const struct version *x = ((const struct shown *)a)->version;
    const struct version *y = ((const struct shown *)b)->version;
    if (x->effective_us != y->effective_us)
        return x->effective_us < y->effective_us ? -1 : 1;
    if (x->recorded_us != y->recorded_us)
        return x->recorded_us < y->recorded_us ? -1 : 1;
    return hub_span_compare(x->id, y->id);
}

static bool wanted(const struct view *view, const struct fact *fact)
{
    return view->query->kind.len == 0 || hub_span_is(view->query->kind, hub_kind_name(fact->kind));
}

static size_t choose(struct view *view, struct shown *shown)
{
    size_t count = 0;
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (!wanted(view, fact))
            continue;
        for (size_t k = 0; k < fact->count && view->query->versions; k++)
            shown[count++] = (struct shown){fact->versions[k], k != 0 ? fact->versions[k - 1] : NULL,
                                            fact->versions[k]->resource};
        if (!view->query->versions && fact->current != NULL)
            shown[count++] = (struct shown){fact->current, fact->superseded, fact->resource};
    }
    for (size_t i = 0; i < view->version_count; i++) {
        struct version *v = &view->versions[i];
        if (v->replaced_by.len != 0 && !v->support && v->effective_us <= view->query->at_us &&
            (view->query->kind.len == 0 || hub_span_is(view->query->kind, hub_kind_name(v->view.kind))))
            shown[count++] = (struct shown){v, NULL, v->resource};
    }
    if (count != 0)
        qsort(shown, count, sizeof *shown, compare_shown);
    return count;
}

static enum hub_result add_support(struct view *view, struct hub_json *out)
{
    struct hub_json *list = NULL;
    for (size_t i = 0; i < view->version_count; i++) {
        const struct version *v = &view->versions[i];
        if (!v->needed)
            continue;
        if (list == NULL)
            list = hub_json_new(view->arena, HUB_JSON_ARRAY);
        HUB_ENSURE(list != NULL, HUB_NO_MEMORY);
        v->resource->next = NULL;
        HUB_TRY(hub_json_push(list, v->resource));
    }
    return list != NULL ? hub_json_set_c(out, "support", list) : HUB_OK;
}

static enum hub_result answer(struct view *view, struct hub_span chart, struct hub_json *out)
{
    HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
    struct shown *shown = HUB_ARENA_ARRAY(view->arena, struct shown, view->version_count + 1);
    struct hub_json *entries = hub_json_new(view->arena, HUB_JSON_ARRAY);
    HUB_ENSURE(shown != NULL && entries != NULL, HUB_NO_MEMORY);
    size_t count = choose(view, shown);
    for (size_t i = 0; i < count; i++) {
        HUB_TRY(follow(view, shown[i].resource, !view->query->versions, 0));
        HUB_TRY(add_entry(view->arena, entries, &shown[i]));
    }
    HUB_TRY(hub_json_set_string(view->arena, out, "chart", chart));
    HUB_TRY(hub_json_set_c(out, "entries", entries));
    return add_support(view, out);
}

static enum hub_result settle(struct view *view)
{
    HUB_TRY(query_group(view));
    query_settle(view);
    HUB_TRY(query_places(view));
    HUB_TRY(query_show(view));
    hide_none_known(view);
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (fact->kind == HUB_KIND_REPORT && fact->current != NULL)
            HUB_TRY(unite_results(view, fact));
    }
    return HUB_OK;
}

enum hub_result hub_query_chart(struct hub_arena *arena, struct hub_span chart, struct hub_json **records,
                                size_t count, const struct hub_query *query, const struct hub_opener *opener,
                                struct hub_json **out, struct hub_error *err)
{
    struct view view = {.arena = arena, .query = query};
    HUB_TRY(query_read(&view, records, count, opener, err));
    enum hub_result result = settle(&view);
    if (result == HUB_OK) {
        *out = hub_json_new(arena, HUB_JSON_OBJECT);
        result = answer(&view, chart, *out);
    }
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}
