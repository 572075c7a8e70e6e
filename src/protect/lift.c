/* Which resources of an event are sealed whole as `sensitive`: those with a label or code of the policy's lists, and
 * those that would tell by what they stand beside. A report that was lifted for its own code takes its results along,
 * for their codes may be a laboratory's own; a report with a lifted result is lifted, for it sums its results up; and
 * the order of either is, for it asked for what must not show. A compound and what is made of it are lifted together:
 * the notes of the one name the ingredients of the other; so are a prescription and the instructions to give it, and a
 * document and the results or texts that it stands beside. */
#include "src/protect/seal_internal.h"

enum { ROUNDS_MAX = 64 };

struct lifting {
    const struct hub_prepared *prepared;
    struct hub_event *event;
    bool *own; /* lifted for itself */
    bool changed;
};

uint32_t hub_lift_target(const struct hub_prepared *p, const struct hub_event *event, struct hub_span reference)
{
    if (reference.len <= HUB_RESOURCE_ID_LEN)
        return UINT32_MAX;
    const uint8_t *id = reference.ptr + reference.len - HUB_RESOURCE_ID_LEN;
    for (uint32_t i = 0; i < event->resource_count; i++) {
        if (memcmp(p->ids[i], id, HUB_RESOURCE_ID_LEN) == 0)
            return i;
    }
    return UINT32_MAX;
}

static void lift(struct lifting *l, uint32_t at)
{
    l->changed = l->changed || !l->event->resources[at].entry.sensitive;
    l->event->resources[at].entry.sensitive = true;
}

static bool is_lifted(const struct lifting *l, uint32_t at)
{
    return at != UINT32_MAX && l->event->resources[at].entry.sensitive;
}

static uint32_t target_of(const struct lifting *l, const struct hub_json *item)
{
    return hub_lift_target(l->prepared, l->event, hub_json_get_span(item, "reference"));
}

static const struct hub_json *items_of(const struct hub_json *resource, const char *name)
{
    const struct hub_json *list = hub_json_get(resource, name);
    return list != NULL && list->type == HUB_JSON_ARRAY ? list->first : NULL;
}

static void spread_report(struct lifting *l, uint32_t at)
{
    for (const struct hub_json *r = items_of(l->event->resources[at].json, "result"); r != NULL; r = r->next) {
        const uint32_t target = target_of(l, r);
        if (l->own[at] && target != UINT32_MAX)
            lift(l, target);
        if (is_lifted(l, target))
            lift(l, at);
    }
}

static void spread_order(struct lifting *l, uint32_t at)
{
    for (const struct hub_json *r = items_of(l->event->resources[at].json, "basedOn"); r != NULL; r = r->next) {
        const uint32_t target = target_of(l, r);
        if (target != UINT32_MAX)
            lift(l, target);
    }
}

static void lift_together(struct lifting *l, uint32_t a, uint32_t b)
{
    if (is_lifted(l, a) || is_lifted(l, b)) {
        lift(l, a);
        lift(l, b);
    }
}

static void spread_list(struct lifting *l, uint32_t at, const char *name, const char *type)
{
    for (const struct hub_json *r = items_of(l->event->resources[at].json, name); r != NULL; r = r->next) {
        const uint32_t target = target_of(l, r);
        if (target != UINT32_MAX && strcmp(l->event->resources[target].type, type) == 0)
            lift_together(l, at, target);
    }
}

static void spread_medication(struct lifting *l, uint32_t at)
{
    spread_list(l, at, "supportingInformation", "Medication");
    if (strcmp(l->event->resources[at].type, "MedicationRequest") == 0)
        spread_list(l, at, "basedOn", "MedicationRequest");
}

/* A file stands beside the result that it is, or the texts of which it is made; what asked for it must not show either. */
static void spread_document(struct lifting *l, uint32_t at)
{
    const struct hub_json *context = hub_json_get(l->event->resources[at].json, "context");
    for (const struct hub_json *r = context != NULL ? items_of(context, "related") : NULL; r != NULL; r = r->next) {
        const uint32_t target = target_of(l, r);
        if (target == UINT32_MAX)
            continue;
        if (strcmp(l->event->resources[target].type, "Observation") == 0)
            lift_together(l, at, target);
        else if (is_lifted(l, at))
            lift(l, target);
    }
}

static enum hub_result spread(struct lifting *l)
{
    struct hub_event *event = l->event;
    l->own = hub_arena_alloc(l->prepared->arena, event->resource_count * sizeof *l->own);
    HUB_ENSURE(l->own != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < event->resource_count; i++)
        l->own[i] = event->resources[i].entry.sensitive;
    l->changed = true;
    for (unsigned round = 0; l->changed && round < ROUNDS_MAX; round++) {
        l->changed = false;
        for (uint32_t i = 0; i < event->resource_count; i++) {
            if (strcmp(event->resources[i].type, "DiagnosticReport") == 0)
                spread_report(l, i);
            if (strcmp(event->resources[i].type, "DocumentReference") == 0)
                spread_document(l, i);
            spread_medication(l, i);
            if (event->resources[i].entry.sensitive)
                spread_order(l, i);
        }
    }
    return HUB_OK;
}

enum hub_result hub_lift_resources(const struct hub_prepared *p, const struct hub_policy *policy,
                                   struct hub_event *event, bool *any)
{
    struct lifting l = {.prepared = p, .event = event};
    *any = false;
    for (uint32_t i = 0; i < event->resource_count; i++) {
        struct hub_resource *resource = &event->resources[i];
        if (strcmp(resource->type, "Binary") == 0)
            continue;
        resource->entry.sensitive = resource->entry.sensitive || hub_take_lifts(policy, resource->json);
        *any = *any || resource->entry.sensitive;
    }
    return *any ? spread(&l) : HUB_OK;
}
