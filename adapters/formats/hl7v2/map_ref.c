/* References between the resources of an event (docs/MAPPING.md section 8), written when all are there. */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

static enum hub_result write_reference(struct map_run *run, const struct map_pending *pending, struct hub_json *into,
                                       const struct hub_element *at, const struct map_res *target)
{
    struct hub_json *element = hub_json_new(run->arena, HUB_JSON_OBJECT);
    struct hub_json *placed = NULL;
    HUB_ENSURE(element != NULL, HUB_NO_MEMORY);
    HUB_TRY(map_add_reference(run, element, target));
    HUB_TRY(hub_element_put(run->arena, into, at, element, &placed));
    map_trace_made(run, pending->rule, placed, HUB_SPAN_NONE);
    return HUB_OK;
}

/* --- by label --- */

static uint32_t label_hash(struct hub_span label, uint16_t slot)
{
    uint32_t h = 2166136261u ^ slot;
    for (size_t i = 0; i < label.len; i++)
        h = (h ^ label.ptr[i]) * 16777619u;
    return h;
}

static enum hub_result index_labels(struct map_run *run)
{
    size_t size = 16;
    while (size < (size_t)run->res_count * 2)
        size *= 2;
    run->labels = HUB_ARENA_ARRAY(run->arena, struct map_res *, size);
    HUB_ENSURE(run->labels != NULL, HUB_NO_MEMORY);
    run->label_mask = size - 1;
    for (uint32_t i = 0; i < run->res_count; i++) {
        struct map_res *res = run->res[i];
        if (res->decl == NULL || res->decl->label.count == 0)
            continue;
        HUB_TRY(map_parts_text(run, res->seg, &res->decl->label, &res->label));
        if (res->label.len == 0)
            continue;
        size_t at = label_hash(res->label, res->decl->slot) & run->label_mask;
        while (run->labels[at] != NULL)
            at = (at + 1) & run->label_mask;
        run->labels[at] = res;
    }
    return HUB_OK;
}

static enum hub_result find_label(struct map_run *run, const struct map_pending *pending, struct map_res **out)
{
    const struct map_ref *ref = pending->rule->ref;
    struct hub_span wanted = HUB_SPAN_NONE;
    *out = NULL;
    HUB_TRY(map_parts_text(run, pending->seg, &ref->match, &wanted));
    if (wanted.len == 0)
        return HUB_OK;
    if (run->labels == NULL)
        HUB_TRY(index_labels(run));
    for (size_t at = label_hash(wanted, ref->slot) & run->label_mask; run->labels[at] != NULL; at = (at + 1) & run->label_mask) {
        struct map_res *res = run->labels[at];
        if (res->decl->slot == ref->slot && res != pending->res && hub_span_equal(res->label, wanted)) {
            *out = res;
            return HUB_OK;
        }
    }
    return HUB_OK;
}

static enum hub_result resolve_match(struct map_run *run, const struct map_pending *pending)
{
    const struct map_ref *ref = pending->rule->ref;
    struct map_res *target = NULL;
    HUB_TRY(find_label(run, pending, &target));
    if (target == NULL)
        return HUB_OK;
    HUB_TRY(write_reference(run, pending, pending->element, &pending->rule->to, target));
    if (!ref->has_back)
        return HUB_OK;
    return write_reference(run, pending, target->json, &ref->back, pending->res);
}

/* --- all of a group or event --- */

static enum hub_result resolve_below(struct map_run *run, const struct map_pending *pending, const struct map_group *group)
{
    for (const struct map_res *res = group->made_first; res != NULL; res = res->group_next) {
        if (res->decl->slot == pending->rule->ref->slot && res != pending->res)
            HUB_TRY(write_reference(run, pending, pending->element, &pending->rule->to, res));
    }
    for (const struct map_group *child = group->first_child; child != NULL; child = child->sibling) {
        if (child->def->opens_patient && child != run->patient_group)
            continue; /* another patient's */
        HUB_TRY(resolve_below(run, pending, child));
    }
    return HUB_OK;
}

static enum hub_result resolve_event(struct map_run *run, const struct map_pending *pending)
{
    for (uint32_t i = 0; i < run->res_count; i++) {
        const struct map_res *res = run->res[i];
        if (res->decl != NULL && res->decl->slot == pending->rule->ref->slot && res != pending->res)
            HUB_TRY(write_reference(run, pending, pending->element, &pending->rule->to, res));
    }
    return HUB_OK;
}

/* --- of the instance before --- */

/* The instance of GROUP's kind right before it; NULL: another group or none stands there. */
static const struct map_group *instance_before(const struct map_group *group)
{
    const struct map_group *before = group->before;
    return before != NULL && before->def == group->def ? before : NULL;
}

/* Whether COND holds in GROUP, as its first segment of SEG's name sees it. */
static bool holds_in(struct map_run *run, const struct map_group *group, const struct map_seg *seg, const struct map_cond *cond)
{
    struct map_seg *at = group != NULL ? group->first : NULL;
    while (at != NULL && at->name != seg->name)
        at = at->next;
    struct map_scope scope = {.run = run, .seg = at};
    return at != NULL && map_cond_true(&scope, cond);
}

/* Where the condition holds in several instances in a row, nothing says which of them is meant. */
static enum hub_result resolve_before(struct map_run *run, const struct map_pending *pending)
{
    const struct map_ref *ref = pending->rule->ref;
    const struct map_group *before = instance_before(pending->seg->group);
    if (!holds_in(run, before, pending->seg, ref->before) || holds_in(run, instance_before(before), pending->seg, ref->before))
        return HUB_OK;
    const struct map_res *target = map_group_own(before, ref->slot);
    return target != NULL ? write_reference(run, pending, pending->element, &pending->rule->to, target) : HUB_OK;
}

/* What the segment itself made is the nearest: each DG1 means its own condition. */
static const struct map_res *own_resource(const struct map_seg *seg, uint16_t slot)
{
    for (const struct map_made *made = seg->made; made != NULL; made = made->next) {
        if (made->res->decl != NULL && made->res->decl->slot == slot)
            return made->res;
    }
    return NULL;
}

enum hub_result map_resolve_references(struct map_run *run)
{
    for (const struct map_pending *pending = run->pending_first; pending != NULL; pending = pending->next) {
        const struct map_ref *ref = pending->rule->ref;
        if (ref->match.count != 0) {
            HUB_TRY(resolve_match(run, pending));
        } else if (ref->before != NULL) {
            HUB_TRY(resolve_before(run, pending));
        } else if (ref->all == MAP_REF_BELOW) {
            HUB_TRY(resolve_below(run, pending, pending->seg->group));
        } else if (ref->all == MAP_REF_EVENT) {
            HUB_TRY(resolve_event(run, pending));
        } else {
            const struct map_res *target = own_resource(pending->seg, ref->slot);
            if (target == NULL)
                target = map_reach_resource(run, pending->seg->group, ref->slot);
            if (target != NULL && target != pending->res)
                HUB_TRY(write_reference(run, pending, pending->element, &pending->rule->to, target));
        }
    }
    return HUB_OK;
}
