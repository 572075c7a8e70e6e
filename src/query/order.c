/* Which versions are one fact, and which of them stands (RULES, "Absent, empty, deleted"). */
#include <stdlib.h>

#include "src/query/version.h"

static bool says(const struct hub_json *resource, const char *element, const char *code)
{
    const struct hub_json *coding = hub_json_get(hub_json_get(resource, element), "coding");
    for (const struct hub_json *c = coding != NULL && coding->type == HUB_JSON_ARRAY ? coding->first : NULL;
         c != NULL; c = c->next) {
        if (hub_span_is(hub_json_get_span(c, "code"), code))
            return true;
    }
    return false;
}

bool query_withdraws(const struct version *v)
{
    return v->view.act == HUB_ACT_WITHDRAW ||
           hub_span_is(hub_json_get_span(v->resource, "status"), "entered-in-error") ||
           says(v->resource, "verificationStatus", "entered-in-error");
}

static int order(int64_t a, int64_t b)
{
    return a == b ? 0 : a < b ? -1 : 1;
}

/* Status class, time, message time, a cancel after what it cancels, event id (a revision's: that of its origin); then the place in
 * the event. */
int query_compare(const struct version *a, const struct version *b)
{
    if (a->retired != b->retired && a->view.kind == HUB_KIND_PATIENT)
        return a->retired ? -1 : 1;
    int d = order(a->view.status_class, b->view.status_class);
    if (d == 0)
        d = order(a->order_us, b->order_us);
    if (d == 0)
        d = order(a->message_us, b->message_us);
    if (d == 0)
        d = order(a->view.act != HUB_ACT_STATE, b->view.act != HUB_ACT_STATE);
    if (d == 0)
        d = hub_span_compare(a->origin, b->origin);
    if (d == 0)
        d = hub_span_compare(a->event, b->event);
    if (d == 0 && a->ordinal != b->ordinal)
        d = a->ordinal < b->ordinal ? -1 : 1;
    return d != 0 ? d : hub_span_compare(a->id, b->id);
}

/* --- facts --- */

struct named {
    struct hub_span fact;
    struct version *version;
};

/* Each source states its own allergies; a chart shows one patient. */
static int compare_named(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    int d = (int)x->version->view.kind - (int)y->version->view.kind;
    if (d == 0)
        d = hub_span_compare(x->fact, y->fact);
    if (d == 0 && x->version->view.kind == HUB_KIND_ALLERGY)
        d = hub_span_compare(x->version->source, y->version->source);
    return d;
}

static size_t find(size_t *parent, size_t x)
{
    while (parent[x] != x) {
        parent[x] = parent[parent[x]];
        x = parent[x];
    }
    return x;
}

static size_t number(const struct view *view, const struct version *v)
{
    return (size_t)(v - view->versions);
}

/* Acts are true of the past too: what never happened did not happen then either. */
static bool counts(const struct view *view, const struct version *v)
{
    return !v->support && v->replaced_by.len == 0 && (v->effective_us <= view->query->at_us || v->view.act != HUB_ACT_STATE);
}

static size_t name_versions(const struct view *view, struct named *named)
{
    size_t n = 0;
    for (size_t i = 0; i < view->version_count; i++) {
        struct version *v = &view->versions[i];
        if (!counts(view, v))
            continue;
        for (uint32_t k = 0; k < v->view.fact_count && v->view.kind != HUB_KIND_PATIENT; k++)
            named[n++] = (struct named){v->view.facts[k], v};
        if (v->view.kind == HUB_KIND_PATIENT)
            named[n++] = (struct named){HUB_SPAN("patient"), v};
    }
    return n;
}

static int compare_versions(const void *a, const void *b)
{
    return query_compare(*(struct version *const *)a, *(struct version *const *)b);
}

static enum hub_result fill_facts(struct view *view, size_t *parent)
{
    size_t *sizes = HUB_ARENA_ARRAY(view->arena, size_t, view->version_count + 1);
    struct fact **facts = HUB_ARENA_ARRAY(view->arena, struct fact *, view->version_count + 1);
    view->facts = HUB_ARENA_ARRAY(view->arena, struct fact, view->version_count + 1);
    HUB_ENSURE(sizes != NULL && facts != NULL && view->facts != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < view->version_count; i++)
        sizes[find(parent, i)] += counts(view, &view->versions[i]);
    for (size_t i = 0; i < view->version_count; i++) {
        struct version *v = &view->versions[i];
        size_t root = find(parent, i);
        if (!counts(view, v))
            continue;
        if (facts[root] == NULL) {
            facts[root] = &view->facts[view->fact_count++];
            facts[root]->kind = v->view.kind;
            facts[root]->versions = HUB_ARENA_ARRAY(view->arena, struct version *, sizes[root]);
            HUB_ENSURE(facts[root]->versions != NULL, HUB_NO_MEMORY);
        }
        v->fact = facts[root];
        v->fact->versions[v->fact->count++] = v;
    }
    for (size_t i = 0; i < view->fact_count; i++)
        qsort(view->facts[i].versions, view->facts[i].count, sizeof(struct version *), compare_versions);
    return HUB_OK;
}

/* --- lists: the newest snapshot of each list and source --- */

static int compare_lists(const struct version *a, const struct version *b)
{
    int d = hub_span_compare(a->view.list, b->view.list);
    return d != 0 ? d : hub_span_compare(a->source, b->source);
}

static int compare_listed(const void *a, const void *b)
{
    const struct version *x = *(struct version *const *)a;
    const struct version *y = *(struct version *const *)b;
    int d = compare_lists(x, y);
    if (d == 0)
        d = order(x->listed_us, y->listed_us);
    if (d == 0)
        d = order(x->message_us, y->message_us);
    if (d == 0)
        d = hub_span_compare(x->event, y->event);
    return d != 0 ? d : query_compare(x, y);
}

static enum hub_result find_snapshots(struct view *view)
{
    struct version **listed = HUB_ARENA_ARRAY(view->arena, struct version *, view->version_count + 1);
    HUB_ENSURE(listed != NULL, HUB_NO_MEMORY);
    size_t n = 0;
    for (size_t i = 0; i < view->version_count; i++) {
        if (view->versions[i].fact != NULL && view->versions[i].view.list.len != 0)
            listed[n++] = &view->versions[i];
    }
    if (n != 0)
        qsort(listed, n, sizeof(struct version *), compare_listed);
    for (size_t i = n; i > 0; i--) {
        bool last = i == n || compare_lists(listed[i - 1], listed[i]) != 0;
        listed[i - 1]->snapshot = last ? listed[i - 1] : listed[i]->snapshot;
        listed[i - 1]->emptied = last ? NULL : query_withdraws(listed[i]) ? listed[i] : listed[i]->emptied;
    }
    return HUB_OK;
}

enum hub_result query_group(struct view *view)
{
    size_t *parent = HUB_ARENA_ARRAY(view->arena, size_t, view->version_count + 1);
    struct named *named = HUB_ARENA_ARRAY(view->arena, struct named, view->version_count * HUB_KEYS_MAX + 1);
    HUB_ENSURE(parent != NULL && named != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < view->version_count; i++)
        parent[i] = i;
    size_t n = name_versions(view, named);
    if (n != 0)
        qsort(named, n, sizeof *named, compare_named);
    for (size_t i = 1; i < n; i++) {
        if (compare_named(&named[i - 1], &named[i]) == 0)
            parent[find(parent, number(view, named[i].version))] =
                find(parent, number(view, named[i - 1].version));
    }
    HUB_TRY(fill_facts(view, parent));
    return find_snapshots(view);
}

/* --- which version stands --- */

/* The newest that states the whole fact; of a folded fact the newest that is more than a filler. */
static struct version *newest(const struct fact *fact, const struct version *before)
{
    struct version *other = NULL;
    for (size_t i = fact->count; i > 0; i--) {
        struct version *v = fact->versions[i - 1];
        if (before != NULL) {
            before = v == before ? NULL : before;
            continue;
        }
        if (v->view.mode != HUB_MODE_STATUS && v->view.mode != HUB_MODE_FILL)
            return v;
        if (other == NULL)
            other = v;
    }
    return other;
}

static bool cancels(const struct version *v)
{
    return v->view.act == HUB_ACT_CANCEL_TRANSFER || v->view.act == HUB_ACT_CANCEL_ADMISSION;
}

void query_settle(struct view *view)
{
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        fact->current = newest(fact, NULL);
        fact->superseded = fact->count > 1 ? newest(fact, fact->current) : NULL;
        if (query_withdraws(fact->current) || (fact->kind == HUB_KIND_LOCATION && cancels(fact->current)))
            fact->current = NULL;
    }
}
