/* Where the patient was and is: location facts of an encounter, those taken back by A11 and A12 left out. */
#include <stdlib.h>

#include "src/query/version.h"

static bool triggered(const struct version *v, const char *event)
{
    size_t len = strlen(event);
    return v->trigger.len >= len &&
           hub_span_is(hub_span_of(v->trigger.ptr + v->trigger.len - len, len), event);
}

static bool is_admission(const struct version *v)
{
    return triggered(v, "A01") || triggered(v, "A04") || triggered(v, "A05") || triggered(v, "A14");
}

static bool is_announced(const struct version *v)
{
    return is_admission(v) || triggered(v, "A02") || triggered(v, "A09") || triggered(v, "A10") || triggered(v, "A17");
}

static bool same_encounter(const struct version *a, const struct version *b)
{
    return a->view.encounter.len != 0 && hub_span_equal(a->view.encounter, b->view.encounter);
}

/* --- visit numbers that A42 and A50 joined: the places of each are places of the one visit --- */

struct visit {
    struct hub_span number, name; /* what an entry says, and what all of the visit are called here */
};

static int compare_visits(const void *a, const void *b)
{
    return hub_span_compare(((const struct visit *)a)->number, ((const struct visit *)b)->number);
}

static size_t name_visits(const struct view *view, struct visit *visits)
{
    size_t n = 0;
    for (size_t i = 0; i < view->fact_count; i++) {
        const struct fact *fact = &view->facts[i];
        struct hub_span name = HUB_SPAN_NONE;
        for (size_t k = 0; k < fact->count && fact->kind == HUB_KIND_ENCOUNTER; k++) {
            const struct hub_span number = fact->versions[k]->view.encounter;
            if (number.len == 0 || hub_span_equal(number, name))
                continue;
            name = name.len == 0 ? number : name;
            visits[n++] = (struct visit){number, name};
        }
    }
    return n;
}

static enum hub_result join_visits(struct view *view)
{
    struct visit *visits = HUB_ARENA_ARRAY(view->arena, struct visit, view->version_count + 1);
    HUB_ENSURE(visits != NULL, HUB_NO_MEMORY);
    const size_t n = name_visits(view, visits);
    if (n != 0)
        qsort(visits, n, sizeof *visits, compare_visits);
    for (size_t i = 0; i < view->version_count && n != 0; i++) {
        struct visit key = {.number = view->versions[i].view.encounter};
        const struct visit *visit = key.number.len != 0 ? bsearch(&key, visits, n, sizeof *visits, compare_visits) : NULL;
        if (visit != NULL)
            view->versions[i].view.encounter = visit->name;
    }
    return HUB_OK;
}

/* --- taking back --- */

/* What CANCEL finds of FACT: its newest version before the cancel. NULL: there was none, or it was taken back already. What is
 * said again after a cancel stands. */
static const struct version *cancellable(const struct fact *fact, const struct version *cancel)
{
    size_t at = fact->kind == HUB_KIND_LOCATION && same_encounter(fact->versions[0], cancel) ? fact->count : 0;
    while (at > 0 && query_compare(fact->versions[at - 1], cancel) >= 0)
        at--;
    const struct version *v = at > 0 ? fact->versions[at - 1] : NULL;
    if (v == NULL || query_withdraws(v) || v->view.act == HUB_ACT_CANCEL_TRANSFER || v->view.act == HUB_ACT_CANCEL_ADMISSION)
        return NULL;
    return fact->taken != NULL && query_compare(v, fact->taken) < 0 ? NULL : v;
}

/* The fact that CANCEL takes back: a transfer of just its effective time (A12's EVN-6), else the last one
 * before it that stands. */
static struct fact *last_transfer(const struct view *view, const struct version *cancel)
{
    struct fact *found = NULL;
    const struct version *last = NULL;
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        const struct version *v = cancellable(fact, cancel);
        if (v == NULL || !triggered(v, "A02"))
            continue;
        if (v->effective_us == cancel->effective_us)
            return fact;
        if (v->effective_us <= cancel->order_us &&
            (last == NULL || last->effective_us < v->effective_us ||
             (last->effective_us == v->effective_us && query_compare(last, v) < 0))) {
            found = fact;
            last = v;
        }
    }
    return found;
}

static void cancel_admissions(const struct view *view, const struct version *cancel)
{
    for (size_t i = 0; i < view->fact_count; i++) {
        const struct version *v = cancellable(&view->facts[i], cancel);
        if (v != NULL && is_admission(v) && v->effective_us <= cancel->order_us)
            view->facts[i].taken = cancel;
    }
}

static int compare_cancels(const void *a, const void *b)
{
    return query_compare(*(struct version *const *)a, *(struct version *const *)b);
}

static enum hub_result take_back(struct view *view)
{
    struct version **cancels = HUB_ARENA_ARRAY(view->arena, struct version *, view->version_count + 1);
    HUB_ENSURE(cancels != NULL, HUB_NO_MEMORY);
    size_t count = 0;
    for (size_t i = 0; i < view->version_count; i++) {
        struct version *v = &view->versions[i];
        if (v->fact != NULL && v->view.kind == HUB_KIND_LOCATION &&
            (v->view.act == HUB_ACT_CANCEL_TRANSFER || v->view.act == HUB_ACT_CANCEL_ADMISSION))
            cancels[count++] = v;
    }
    if (count != 0)
        qsort(cancels, count, sizeof(struct version *), compare_cancels);
    for (size_t i = 0; i < count; i++) {
        if (cancels[i]->view.act == HUB_ACT_CANCEL_ADMISSION) {
            cancel_admissions(view, cancels[i]);
            continue;
        }
        struct fact *fact = last_transfer(view, cancels[i]);
        if (fact != NULL)
            fact->taken = cancels[i];
    }
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (fact->taken != NULL && fact->current != NULL && query_compare(fact->current, fact->taken) < 0)
            fact->current = NULL;
    }
    return HUB_OK;
}

/* --- standing places in time --- */

static int compare_places(const void *a, const void *b)
{
    const struct version *x = (*(struct fact *const *)a)->current;
    const struct version *y = (*(struct fact *const *)b)->current;
    int d = hub_span_compare(x->view.encounter, y->view.encounter);
    if (d == 0 && x->effective_us != y->effective_us)
        d = x->effective_us < y->effective_us ? -1 : 1;
    return d != 0 ? d : query_compare(x, y);
}

static enum hub_result standing(const struct view *view, const struct version *encounter, struct fact ***out,
                                size_t *count)
{
    *out = HUB_ARENA_ARRAY(view->arena, struct fact *, view->fact_count + 1);
    *count = 0;
    HUB_ENSURE(*out != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (fact->kind == HUB_KIND_LOCATION && fact->current != NULL &&
            (encounter == NULL || same_encounter(fact->current, encounter)))
            (*out)[(*count)++] = fact;
    }
    if (*count != 0)
        qsort(*out, *count, sizeof(struct fact *), compare_places);
    return HUB_OK;
}

/* The place itself: the Location that location[0] refers to. */
static const struct version *place_of(const struct view *view, const struct version *v)
{
    const struct hub_json *first = hub_json_at(hub_json_get(v->resource, "location"), 0);
    struct hub_span type;
    struct hub_span id;
    if (!query_reference(hub_json_get_span(hub_json_get(first, "location"), "reference"), &type, &id))
        return NULL;
    return query_find(view, id);
}

static bool same_place(const struct view *view, const struct version *a, const struct version *b)
{
    static const char *const says[] = {"name", "identifier", "alias", "physicalType"};
    if (!hub_span_equal(a->view.location, b->view.location))
        return false;
    const struct version *x = place_of(view, a);
    const struct version *y = place_of(view, b);
    for (size_t i = 0; x != NULL && y != NULL && i < sizeof says / sizeof says[0]; i++) {
        const struct hub_json *p = hub_json_get(x->resource, says[i]);
        const struct hub_json *q = hub_json_get(y->resource, says[i]);
        if ((p == NULL) != (q == NULL) || (p != NULL && !hub_json_equal(p, q)))
            return false;
    }
    return true;
}

/* A place in an update is a move only if it is another one than before; then nobody announced it. */
static enum hub_result judge_updates(struct view *view)
{
    struct fact **places = NULL;
    size_t count = 0;
    HUB_TRY(standing(view, NULL, &places, &count));
    const struct version *before = NULL;
    for (size_t i = 0; i < count; i++) {
        struct version *v = places[i]->current;
        bool first = before == NULL || !same_encounter(before, v);
        bool update = v->trigger.len > 4 && memcmp(v->trigger.ptr, "ADT^", 4) == 0 && !is_announced(v);
        if (update && !first && same_place(view, before, v)) {
            places[i]->current = NULL;
            continue;
        }
        if (update && !first)
            HUB_TRY(query_flag(view->arena, v->resource, "urn:chartline:unannounced-move"));
        before = v;
    }
    return HUB_OK;
}

enum hub_result query_places(struct view *view)
{
    HUB_TRY(join_visits(view));
    HUB_TRY(take_back(view));
    return judge_updates(view);
}

/* --- the encounter's own list --- */

static enum hub_result set_period(struct hub_arena *arena, struct hub_json *place, const struct version *from,
                                  const struct version *to)
{
    struct hub_json *period = hub_json_get(place, "period");
    if (period == NULL) {
        period = hub_json_new(arena, HUB_JSON_OBJECT);
        HUB_TRY(hub_json_set_c(place, "period", period));
        HUB_TRY(hub_json_set_string(arena, period, "start", from->effective));
    }
    if (to != NULL && period->type == HUB_JSON_OBJECT && hub_json_get(period, "end") == NULL)
        HUB_TRY(hub_json_set_string(arena, period, "end", to->effective));
    return HUB_OK;
}

/* Places only planned or reserved are no facts of their own: they stay. */
static enum hub_result keep_planned(struct hub_arena *arena, const struct hub_json *before,
                                    struct hub_json *list)
{
    for (const struct hub_json *place = before != NULL && before->type == HUB_JSON_ARRAY ? before->first
                                                                                         : NULL;
         place != NULL; place = place->next) {
        struct hub_span status = hub_json_get_span(place, "status");
        if (hub_span_is(status, "planned") || hub_span_is(status, "reserved"))
            HUB_TRY(hub_json_push(list, hub_json_copy(arena, place)));
    }
    return HUB_OK;
}

static bool has_places(const struct view *view, const struct version *encounter)
{
    for (size_t i = 0; i < view->fact_count; i++) {
        const struct fact *fact = &view->facts[i];
        if (fact->kind == HUB_KIND_LOCATION && same_encounter(fact->versions[0], encounter))
            return true;
    }
    return false;
}

void query_hide_places(struct view *view, const struct fact *encounter)
{
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (fact->kind == HUB_KIND_LOCATION && same_encounter(fact->versions[0], encounter->versions[0]))
            fact->current = NULL;
    }
}

enum hub_result query_encounter_places(struct view *view, struct fact *encounter)
{
    struct fact **places = NULL;
    size_t count = 0;
    if (!has_places(view, encounter->current))
        return HUB_OK;
    HUB_TRY(standing(view, encounter->current, &places, &count));
    struct hub_span status = hub_json_get_span(encounter->resource, "status");
    bool over = hub_span_is(status, "finished") || hub_span_is(status, "cancelled");
    struct hub_json *list = hub_json_new(view->arena, HUB_JSON_ARRAY);
    HUB_ENSURE(list != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        const struct hub_json *from = hub_json_at(hub_json_get(places[i]->current->resource, "location"), 0);
        struct hub_json *place = from != NULL ? hub_json_copy(view->arena, from) : NULL;
        if (from == NULL || from->type != HUB_JSON_OBJECT)
            continue;
        HUB_ENSURE(place != NULL, HUB_NO_MEMORY);
        bool now = i + 1 == count && !over;
        if (hub_span_is(hub_json_get_span(encounter->resource, "status"), "planned") && now)
            HUB_TRY(hub_json_set_string(view->arena, place, "status", HUB_SPAN("planned")));
        else
            HUB_TRY(hub_json_set_string(view->arena, place, "status",
                                        hub_span_str(now ? "active" : "completed")));
        HUB_TRY(set_period(view->arena, place, places[i]->current,
                           i + 1 < count ? places[i + 1]->current : NULL));
        HUB_TRY(hub_json_push(list, place));
    }
    HUB_TRY(keep_planned(view->arena, hub_json_get(encounter->resource, "location"), list));
    (void)hub_json_remove(encounter->resource, "location");
    return list->len != 0 ? hub_json_set_c(encounter->resource, "location", list) : HUB_OK;
}
