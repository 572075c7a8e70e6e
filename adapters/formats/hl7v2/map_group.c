/* Which segments belong together (docs/MAPPING.md section 9), and what can be seen from where. */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

static bool has_bit(const uint64_t *set, uint16_t bit)
{
    return bit != MAP_NONE && (set[bit / 64] >> (bit % 64) & 1) != 0;
}

static struct map_group *new_group(struct map_run *run, const struct map_group_def *def, struct map_group *parent)
{
    struct map_group *group = HUB_ARENA_NEW(run->arena, struct map_group);
    if (group == NULL)
        return NULL;
    group->def = def;
    group->parent = parent;
    group->position = MAP_NONE;
    group->before = parent != NULL ? parent->last_child : NULL;
    if (parent != NULL && parent->last_child != NULL)
        parent->last_child->sibling = group;
    else if (parent != NULL)
        parent->first_child = group;
    if (parent != NULL)
        parent->last_child = group;
    return group;
}

/* Opens groups from GROUP's item AT inwards until NAME has its place; the innermost group, positioned. */
static struct map_group *descend(struct map_run *run, struct map_group *group, uint16_t at, uint16_t name)
{
    for (;;) {
        const struct map_item *item = &group->def->items[at];
        group->position = at;
        if (item->group == NULL)
            return group;
        group = new_group(run, item->group, group);
        if (group == NULL)
            return NULL;
        for (at = 0; at < group->def->item_count; at++) {
            const struct map_item *inner = &group->def->items[at];
            if (inner->group != NULL ? has_bit(inner->group->contains, name) : inner->segment == name)
                break;
        }
        HUB_ASSERT(at < group->def->item_count);
    }
}

/* The item of GROUP that takes NAME next, item_count when none does. */
static uint16_t next_item(const struct map_group *group, uint16_t name)
{
    const struct map_group_def *def = group->def;
    uint16_t from = group->position == MAP_NONE ? 0 : group->position;
    for (uint16_t i = from; i < def->item_count; i++) {
        const struct map_item *item = &def->items[i];
        bool again = i == group->position;
        if (again && !item->repeats)
            continue;
        if (item->group == NULL) {
            if (item->segment == name)
                return i;
        } else if (again || item->group->opens_patient ? has_bit(item->group->begins, name)
                                                       : has_bit(item->group->contains, name)) {
            return i; /* a patient is opened by what opens patients only */
        }
    }
    return def->item_count;
}

/* The newest child group of that kind, looked for a bounded way back. */
static struct map_group *last_instance(const struct map_group *group, const struct map_group_def *def)
{
    enum { STEPS_MAX = 64 };
    unsigned steps = 0;
    for (struct map_group *child = group->last_child; child != NULL && steps < STEPS_MAX; child = child->before, steps++) {
        if (child->def == def)
            return child;
    }
    return NULL;
}

/* The last instance of the groups in which DEF's item chain knows NAME, made where missing. For a segment that
 * comes too late: positions stay where they are. */
static struct map_group *late_place(struct map_run *run, struct map_group *group, uint16_t name)
{
    for (;;) {
        const struct map_item *found = NULL;
        for (uint16_t i = 0; i < group->def->item_count && found == NULL; i++) {
            const struct map_item *item = &group->def->items[i];
            if (item->group == NULL ? item->segment == name : has_bit(item->group->contains, name))
                found = item;
        }
        if (found == NULL || found->group == NULL)
            return group;
        struct map_group *inner = last_instance(group, found->group);
        if (inner == NULL && found->group->opens_patient && !has_bit(found->group->begins, name))
            return group;
        if (inner == NULL || (found->repeats && has_bit(found->group->begins, name)))
            inner = new_group(run, found->group, group);
        if (inner == NULL)
            return NULL;
        group = inner;
    }
}

/* The group for the next segment NAME when *AT is where the last one stood; moves *AT. NULL: no memory. */
static struct map_group *find_place(struct map_run *run, struct map_group **at, uint16_t name)
{
    for (struct map_group *group = *at; group != NULL && name != MAP_NONE; group = group->parent) {
        uint16_t item = next_item(group, name);
        if (item == group->def->item_count)
            continue;
        *at = descend(run, group, item, name);
        return *at;
    }
    for (struct map_group *group = *at; group != NULL && name != MAP_NONE; group = group->parent) {
        if (has_bit(group->def->contains, name))
            return late_place(run, group, name);
    }
    return *at;
}

static enum hub_result index_segment(struct map_run *run, struct map_seg *seg)
{
    const struct map_group_def *child = NULL;
    for (struct map_group *group = seg->group; group != NULL; group = group->parent) {
        struct map_seg_index *entry = group->segs;
        while (entry != NULL && (entry->name != seg->name || entry->child != child))
            entry = entry->next;
        if (entry == NULL) {
            entry = HUB_ARENA_NEW(run->arena, struct map_seg_index);
            HUB_ENSURE(entry != NULL, HUB_NO_MEMORY);
            *entry = (struct map_seg_index){seg->name, child, seg, seg, group->segs};
            group->segs = entry;
        }
        entry->last = seg;
        child = group->def;
    }
    return HUB_OK;
}

static struct map_patient *open_patient(struct map_run *run, struct map_group *group)
{
    if (run->patient_count == run->patient_cap) {
        size_t cap = run->patient_cap == 0 ? 4 : (size_t)run->patient_cap * 2;
        struct map_patient *grown = HUB_ARENA_ARRAY(run->arena, struct map_patient, cap);
        if (grown == NULL)
            return NULL;
        if (run->patient_count != 0)
            memcpy(grown, run->patients, run->patient_count * sizeof *grown);
        run->patients = grown;
        run->patient_cap = (uint32_t)cap;
    }
    struct map_patient *patient = &run->patients[run->patient_count++];
    *patient = (struct map_patient){group, NULL, NULL};
    return patient;
}

/* The patient that GROUP belongs to; NULL: the head of the message. */
static enum hub_result patient_of(struct map_run *run, struct map_group *group, struct map_patient **out)
{
    *out = NULL;
    while (group != NULL && !group->def->opens_patient)
        group = group->parent;
    if (group == NULL)
        return HUB_OK;
    for (uint32_t i = run->patient_count; i > 0 && *out == NULL; i--)
        *out = run->patients[i - 1].group == group ? &run->patients[i - 1] : NULL;
    if (*out == NULL)
        *out = open_patient(run, group);
    return *out != NULL ? HUB_OK : HUB_NO_MEMORY;
}

static enum hub_result add_segment(struct map_run *run, struct map_seg *seg, struct map_group *group)
{
    seg->group = group;
    seg->prev = group->last;
    if (group->last != NULL)
        group->last->next = seg;
    else
        group->first = seg;
    group->last = seg;
    if (seg->name != MAP_NONE && run->tables->segments[seg->name].foreign)
        HUB_TRY(index_segment(run, seg));
    struct map_patient *patient = NULL;
    HUB_TRY(patient_of(run, group, &patient));
    struct map_seg **first = patient != NULL ? &patient->first : &run->head_first;
    struct map_seg **last = patient != NULL ? &patient->last : &run->head_last;
    if (*last != NULL)
        (*last)->after = seg;
    else
        *first = seg;
    *last = seg;
    return HUB_OK;
}

enum hub_result map_place(struct map_run *run)
{
    run->seg_count = (uint32_t)run->message->segment_count;
    run->segs = HUB_ARENA_ARRAY(run->arena, struct map_seg, (size_t)run->seg_count);
    run->root = new_group(run, run->definition->root, NULL);
    HUB_ENSURE(run->segs != NULL && run->root != NULL, HUB_NO_MEMORY);
    struct map_group *at = run->root;
    for (uint32_t i = 0; i < run->seg_count; i++) {
        struct map_seg *seg = &run->segs[i];
        seg->hl7 = &run->message->segments[i];
        seg->index = i;
        seg->name = seg->hl7->id[0] != '\0' ? map_segment_number(run->tables, seg->hl7->id) : MAP_NONE;
        struct map_group *group = find_place(run, &at, seg->name);
        HUB_ENSURE(group != NULL && at != NULL, HUB_NO_MEMORY);
        HUB_TRY(add_segment(run, seg, group));
    }
    return HUB_OK;
}

/* The last one before FROM, else the first. Looks back a bounded way, so that long groups stay linear. */
static struct map_seg *nearest(struct map_seg_index *entry, struct map_seg *from)
{
    enum { STEPS_MAX = 256 };
    if (entry->last->index <= from->index)
        return entry->last;
    struct map_seg *seg = from->group == entry->first->group ? from : entry->last;
    for (unsigned steps = 0; seg != NULL && steps < STEPS_MAX; seg = seg->prev, steps++) {
        if (seg->name == entry->name && seg->index <= from->index)
            return seg;
    }
    return entry->first;
}

struct map_seg *map_reach_far(const struct map_run *run, struct map_seg *from, uint16_t name)
{
    if (from->name == name)
        return from;
    if (name == run->tables->msh)
        return &run->segs[0];
    const struct map_group_def *came_from = NULL;
    for (struct map_group *group = from->group; group != NULL; group = group->parent) {
        struct map_seg_index *below = NULL;
        for (struct map_seg_index *entry = group->segs; entry != NULL; entry = entry->next) {
            if (entry->name != name)
                continue;
            if (entry->child == NULL)
                return nearest(entry, from);
            if (entry->child != came_from && (below == NULL || entry->first->index < below->first->index) &&
                !entry->child->opens_patient)
                below = entry;
        }
        if (below != NULL)
            return below->first;
        came_from = group->def;
    }
    return NULL;
}

enum hub_result map_group_add(struct map_run *run, struct map_group *group, struct map_res *res)
{
    if (group->made_last != NULL)
        group->made_last->group_next = res;
    else
        group->made_first = res;
    group->made_last = res;
    const struct map_group_def *child = NULL;
    for (struct map_group *at = group; at != NULL; at = at->parent) {
        struct map_res_index *entry = at->resources;
        while (entry != NULL && (entry->slot != res->decl->slot || entry->child != child))
            entry = entry->next;
        if (entry == NULL) {
            entry = HUB_ARENA_NEW(run->arena, struct map_res_index);
            HUB_ENSURE(entry != NULL, HUB_NO_MEMORY);
            *entry = (struct map_res_index){res->decl->slot, child, res, res, at->resources};
            at->resources = entry;
        }
        entry->last = res;
        child = at->def;
    }
    return HUB_OK;
}

struct map_res *map_group_own(const struct map_group *group, uint16_t slot)
{
    for (struct map_res_index *entry = group->resources; entry != NULL; entry = entry->next) {
        if (entry->slot == slot && entry->child == NULL)
            return entry->last;
    }
    return NULL;
}

/* Even the only one of its name may be out of reach: the specimen of another order is not this order's. */
struct map_res *map_reach_resource(const struct map_run *run, const struct map_group *group, uint16_t slot)
{
    if (run->slot_counts[slot] == 0)
        return NULL;
    const struct map_group_def *came_from = NULL;
    for (const struct map_group *at = group; at != NULL; at = at->parent) {
        struct map_res *below = NULL;
        for (struct map_res_index *entry = at->resources; entry != NULL; entry = entry->next) {
            if (entry->slot != slot)
                continue;
            if (entry->child == NULL)
                return entry->last;
            if (entry->child != came_from && (below == NULL || entry->first->ordinal < below->ordinal))
                below = entry->first;
        }
        if (below != NULL)
            return below;
        came_from = at->def;
    }
    return NULL;
}

void map_group_forget(struct map_group *group, const struct map_group_def *patient)
{
    group->resources = NULL;
    group->made_first = group->made_last = NULL;
    for (struct map_group *child = group->first_child; child != NULL; child = child->sibling) {
        if (child->def != patient)
            map_group_forget(child, patient);
    }
}
