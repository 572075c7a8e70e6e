/* From a message to its events: which table it follows, one event for each patient, each segment through its
 * table, then what needs the whole event: texts, references, entries. */
#include "adapters/formats/hl7v2/map_run.h"

#include <stdio.h>
#include <string.h>

static enum hub_result note_made(struct map_run *run, struct map_seg *seg, struct map_res *res)
{
    struct map_made *made = HUB_ARENA_NEW(run->arena, struct map_made);
    HUB_ENSURE(made != NULL, HUB_NO_MEMORY);
    made->res = res;
    if (seg->made_last != NULL)
        seg->made_last->next = made;
    else
        seg->made = made;
    seg->made_last = made;
    return HUB_OK;
}

static struct map_res *made_of_slot(const struct map_seg *seg, uint16_t slot)
{
    for (const struct map_made *made = seg->made; made != NULL; made = made->next) {
        if (made->res->decl != NULL && made->res->decl->slot == slot)
            return made->res;
    }
    return NULL;
}

/* NAMES NULL: any name. */
static bool is_named(const uint16_t *names, uint16_t count, uint16_t name)
{
    for (uint16_t i = 0; i < count; i++) {
        if (names[i] == name)
            return true;
    }
    return names == NULL;
}

/* The nearest resource before SEG that DECL may add to. */
static struct map_res *find_extended(const struct map_seg *seg, const struct map_decl *decl)
{
    enum { STEPS_MAX = 64 };
    unsigned steps = 0;
    for (const struct map_seg *at = seg->before; at != NULL && steps < STEPS_MAX; at = at->before, steps++) {
        for (uint16_t i = 0; i < decl->extends_count && is_named(decl->of, decl->of_count, at->name); i++) {
            struct map_res *res = made_of_slot(at, decl->extends[i]);
            if (res != NULL)
                return res;
        }
        if (!is_named(decl->over, decl->over_count, at->name))
            return NULL;
    }
    return NULL;
}

static struct map_scope scope_of(struct map_run *run, struct map_seg *seg, struct map_res *res)
{
    struct map_scope scope = {.run = run, .seg = seg, .res = res, .element = res != NULL ? res->json : NULL};
    return scope;
}

static bool equal_fields(struct map_run *run, struct map_seg *a, struct map_seg *b, const struct map_merge *merge)
{
    struct map_scope at_a = scope_of(run, a, NULL);
    struct map_scope at_b = scope_of(run, b, NULL);
    for (uint16_t i = 0; i < merge->same_count; i++) {
        if (!hub_span_equal(map_read_raw(&at_a, &merge->same[i]), map_read_raw(&at_b, &merge->same[i])))
            return false;
    }
    return true;
}

/* The resource that SEG continues (docs/MAPPING.md section 1, merge); NULL when it makes its own. */
static struct map_res *find_merged(struct map_run *run, struct map_seg *seg, const struct map_decl *decl)
{
    struct map_seg *before = seg->before;
    if (decl->merge == NULL || before == NULL || before->name != seg->name)
        return NULL;
    if (before->group != seg->group && before->group->parent != seg->group->parent)
        return NULL;
    struct map_scope here = scope_of(run, seg, NULL);
    struct map_scope there = scope_of(run, before, NULL);
    const struct map_cond *when = decl->merge->when;
    if (when != NULL && (!map_cond_true(&here, when) || !map_cond_true(&there, when)))
        return NULL;
    return equal_fields(run, seg, before, decl->merge) ? made_of_slot(before, decl->slot) : NULL;
}

static enum hub_result new_declared(struct map_run *run, struct map_seg *seg, const struct map_decl *decl, struct map_res **out)
{
    struct map_res *res = NULL;
    HUB_TRY(map_new_resource(run, decl->resource, &res));
    struct map_scope scope = scope_of(run, seg, res);
    res->decl = decl;
    res->seg = seg;
    res->group = seg->group;
    res->mode = decl->entry != NULL ? (enum hub_mode)map_choose(&scope, &decl->entry->mode) : HUB_MODE_REPLACE;
    HUB_TRY(map_group_add(run, seg->group, res));
    run->slot_counts[decl->slot]++;
    run->slot_only[decl->slot] = res;
    *out = res;
    return HUB_OK;
}

static enum hub_result find_or_make(struct map_run *run, struct map_seg *seg, const struct map_decl *decl, struct map_res **out)
{
    *out = NULL;
    if (decl->per == MAP_PER_GROUP)
        *out = map_group_own(seg->group, decl->slot);
    else if (decl->per == MAP_PER_PATIENT && run->slot_counts[decl->slot] != 0)
        *out = run->slot_only[decl->slot];
    return *out != NULL ? HUB_OK : new_declared(run, seg, decl, out);
}

static enum hub_result run_decl(struct map_run *run, struct map_seg *seg, const struct map_decl *decl)
{
    struct map_scope scope = scope_of(run, seg, NULL);
    struct map_res *res = NULL;
    if (decl->when != NULL && !map_cond_true(&scope, decl->when))
        return HUB_OK;
    const struct map_rules *rules = &decl->rules;
    if (decl->resource == NULL) {
        res = find_extended(seg, decl);
        if (res == NULL)
            return HUB_OK;
    } else if ((res = find_merged(run, seg, decl)) != NULL) {
        rules = &decl->merge->rules;
        map_trace_merged(run, seg, decl->merge);
    } else {
        HUB_TRY(find_or_make(run, seg, decl, &res));
    }
    HUB_TRY(note_made(run, seg, res));
    scope = scope_of(run, seg, res);
    scope.merging = rules != &decl->rules;
    return map_run_rules(&scope, rules);
}

static enum hub_result run_segment(struct map_run *run, struct map_seg *seg)
{
    seg->before = run->previous;
    seg->made = seg->made_last = NULL;
    run->previous = seg;
    const struct map_segment_table *table = seg->name != MAP_NONE ? run->tables->segments[seg->name].table : NULL;
    if (table == NULL)
        return HUB_OK;
    for (uint16_t i = 0; i < table->decl_count; i++)
        HUB_TRY(run_decl(run, seg, &table->decls[i]));
    map_trace_uses(run, seg, table);
    return HUB_OK;
}

static enum hub_result run_segments(struct map_run *run, struct map_seg *first)
{
    for (struct map_seg *seg = first; seg != NULL; seg = seg->after)
        HUB_TRY(run_segment(run, seg));
    return HUB_OK;
}

/* --- finishing an event --- */

static bool has_element(const struct hub_json *resource, const char *top)
{
    if (hub_json_get(resource, top) != NULL)
        return true;
    char sibling[128];
    (void)snprintf(sibling, sizeof sibling, "_%s", top);
    return hub_json_get(resource, sibling) != NULL;
}

static bool has_extension(const struct hub_json *resource, const char *url)
{
    const struct hub_json *list = hub_json_get(resource, "extension");
    for (const struct hub_json *item = list != NULL && list->type == HUB_JSON_ARRAY ? list->first : NULL; item != NULL; item = item->next) {
        if (hub_span_is(hub_json_get_span(item, "url"), url))
            return true;
    }
    return false;
}

/* What "" in the rule's field deletes: what the rule says, one member of an element that several fields make
 * (period.end), or the whole element, which another rule may have given a value; then NULL. */
static const char *deleted_path(struct map_run *run, const struct map_res *res, const struct map_rule *rule, enum hub_result *result)
{
    const struct hub_step *first = &rule->to.steps[0];
    const char *path = rule->deletes;
    if (path != NULL)
        return path;
    if (first->url != NULL ? has_extension(res->json, first->url) : false)
        return NULL;
    if (first->url != NULL)
        path = hub_arena_printf(run->arena, "%s(%s)", first->name.ptr, first->url);
    else if (rule->to.count > 1 && first->kind == HUB_STEP_MEMBER && first->name.ptr == rule->to.top)
        path = hub_arena_printf(run->arena, "%s.%s", rule->to.top, rule->to.steps[1].name.ptr);
    else
        return has_element(res->json, rule->to.top) ? NULL : rule->to.top;
    *result = path != NULL ? HUB_OK : HUB_NO_MEMORY;
    return path;
}

static enum hub_result write_deleted(struct map_run *run, struct map_res *res, const struct map_deleted *deleted)
{
    enum hub_result result = HUB_OK;
    const char *path = deleted_path(run, res, deleted->rule, &result);
    if (path == NULL)
        return result;
    struct hub_json *list = hub_json_get(res->json, "extension");
    for (const struct hub_json *item = list != NULL ? list->first : NULL; item != NULL; item = item->next) {
        if (hub_span_is(hub_json_get_span(item, "url"), "urn:chartline:deleted") && hub_span_is(hub_json_get_span(item, "valueString"), path))
            return HUB_OK;
    }
    if (list == NULL) {
        list = hub_json_new(run->arena, HUB_JSON_ARRAY);
        HUB_TRY(hub_json_set_c(res->json, "extension", list));
    }
    struct hub_json *item = hub_json_new(run->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(item != NULL && path != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_c(item, "url", hub_json_string_c(run->arena, "urn:chartline:deleted")));
    HUB_TRY(hub_json_set_c(item, "valueString", hub_json_string_c(run->arena, path)));
    HUB_TRY(hub_json_push(list, item));
    map_trace_made(run, deleted->rule, item, deleted->at);
    map_trace_used(run, deleted->at);
    return HUB_OK;
}

static enum hub_result write_deletions(struct map_run *run)
{
    for (uint32_t i = 0; i < run->res_count; i++) {
        for (const struct map_deleted *deleted = run->res[i]->deleted; deleted != NULL; deleted = deleted->next)
            HUB_TRY(write_deleted(run, run->res[i], deleted));
    }
    return HUB_OK;
}

/* Takes out resources that came to nothing and that nothing refers to; ordinals and references follow. */
static void drop_empty(struct map_run *run)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->ref_count; i++)
        run->res[run->refs[i].target]->referenced = true;
    for (uint32_t i = 0; i < run->res_count; i++) {
        struct map_res *res = run->res[i];
        res->dropped = !res->referenced && (res->dropped || res->json->len <= 1);
        if (!res->dropped)
            run->res[kept++] = res;
    }
    if (kept == run->res_count)
        return;
    for (uint32_t i = 0; i < run->ref_count; i++) { /* ordinals still ascend */
        uint32_t low = 0;
        uint32_t high = kept;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (run->res[middle]->ordinal < run->refs[i].target)
                low = middle + 1;
            else
                high = middle;
        }
        run->refs[i].target = low;
    }
    for (uint32_t i = 0; i < kept; i++)
        run->res[i]->ordinal = i;
    run->res_count = kept;
}

static enum hub_result hand_over(struct map_run *run, struct hub_event *event)
{
    struct hub_resource *resources = HUB_ARENA_ARRAY(run->arena, struct hub_resource, (size_t)run->res_count + 1);
    HUB_ENSURE(resources != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < run->res_count; i++)
        resources[i] = (struct hub_resource){.type = run->res[i]->type, .json = run->res[i]->json};
    event->resources = resources;
    event->resource_count = run->res_count;
    event->references = run->refs;
    event->reference_count = run->ref_count;
    return HUB_OK;
}

static enum hub_result reset_event(struct map_run *run)
{
    run->res = NULL;
    run->res_count = run->res_cap = 0;
    run->refs = NULL;
    run->ref_count = run->ref_cap = 0;
    run->pending_first = run->pending_last = NULL;
    memset(run->support, 0, sizeof run->support);
    run->previous = NULL;
    run->labels = NULL;
    size_t slots = run->tables->slot_count;
    run->slot_only = HUB_ARENA_ARRAY(run->arena, struct map_res *, slots + 1);
    run->slot_counts = HUB_ARENA_ARRAY(run->arena, uint32_t, slots + 1);
    HUB_ENSURE(run->slot_only != NULL && run->slot_counts != NULL, HUB_NO_MEMORY);
    if (run->definition->patient != NULL)
        map_group_forget(run->root, run->definition->patient);
    return HUB_OK;
}

static enum hub_result make_event(struct map_run *run, const struct map_patient *patient, struct hub_event *event)
{
    HUB_TRY(reset_event(run));
    run->patient_group = patient != NULL ? patient->group : NULL;
    HUB_TRY(map_identify(run, patient, event));
    HUB_TRY(run_segments(run, run->head_first));
    if (patient != NULL)
        HUB_TRY(run_segments(run, patient->first));
    HUB_TRY(map_finish_joins(run));
    HUB_TRY(map_resolve_references(run));
    HUB_TRY(write_deletions(run));
    HUB_TRY(map_share_equal(run));
    drop_empty(run);
    HUB_TRY(hand_over(run, event));
    HUB_TRY(map_make_entries(run, event));
    return map_raw(run, patient, event);
}

/* --- the message as a whole --- */

static struct hub_span header_part(struct map_run *run, uint32_t field, unsigned component)
{
    const struct hub_hl7_segment *header = &run->message->segments[0];
    struct map_value value = map_value_of(hub_hl7_field(header, field), 1, header->marks);
    if (map_says_nothing(value))
        return HUB_SPAN_NONE;
    return map_first_plain(run, map_part_of(run, value, component));
}

static struct hub_span name_of(struct map_run *run, uint32_t field)
{
    struct hub_span name = header_part(run, field, 1);
    return name.len != 0 ? name : header_part(run, field, 2);
}

static uint32_t version_number(struct hub_span text)
{
    uint32_t number = 0;
    unsigned digits = 0;
    for (size_t i = 0; i < text.len && digits < 3; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            continue;
        number = number * 10 + (uint32_t)(text.ptr[i] - '0');
        digits++;
    }
    while (digits > 0 && digits++ < 3)
        number *= 10;
    return number;
}

/* The event code; before 2.3 it stood in EVN-1 alone. */
static struct hub_span trigger_of(struct map_run *run)
{
    struct hub_span trigger = header_part(run, 9, 2);
    for (size_t i = 1; i < run->message->segment_count && trigger.len == 0; i++) {
        const struct hub_hl7_segment *seg = &run->message->segments[i];
        if (strcmp(seg->id, "EVN") == 0)
            trigger = map_first_plain(run, map_value_of(hub_hl7_field(seg, 1), 1, seg->marks));
    }
    return trigger;
}

static bool is_alphanumeric(struct hub_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
            return false;
    }
    return s.len != 0 && s.len <= 5;
}

static enum hub_result read_header(struct map_run *run, struct hub_decoded *out)
{
    run->type = header_part(run, 9, 1);
    run->trigger = trigger_of(run);
    run->version = version_number(header_part(run, 12, 1));
    run->application = name_of(run, 3);
    run->facility = name_of(run, 4);
    hub_hl7_zone_init(&run->zone, run->options->zone, header_part(run, 7, 1));
    out->zone_overruled = run->zone.overruled;
    if (is_alphanumeric(run->type))
        (void)snprintf(out->trigger, sizeof out->trigger, "%.*s%s%.*s", (int)run->type.len, (const char *)run->type.ptr,
                       is_alphanumeric(run->trigger) ? "^" : "", is_alphanumeric(run->trigger) ? (int)run->trigger.len : 0,
                       (const char *)run->trigger.ptr);
    out->control_id = header_part(run, 10, 1);
    (void)map_time_when(run, header_part(run, 7, 1), &run->message_time);
    out->message_time = run->message_time;
    const struct hub_hl7_segment *header = &run->message->segments[0];
    struct map_value facility = map_value_of(hub_hl7_field(header, 4), 1, header->marks);
    struct hub_authority_view authority;
    HUB_TRY(map_authority(run, facility, false, &authority));
    run->facility_urn = authority.system;
    const struct hub_span urn[] = {HUB_SPAN("urn:chartline:app:"), run->application, HUB_SPAN(":"), run->facility};
    run->application_urn = hub_arena_concat(run->arena, urn, 4);
    return run->application_urn.ptr != NULL ? HUB_OK : HUB_NO_MEMORY;
}

static void find_definition(struct map_run *run, const struct hub_decoded *out)
{
    struct hub_span structure = header_part(run, 9, 3);
    const struct hub_span trigger = hub_span_str(out->trigger);
    const struct map_message *by_structure = NULL;
    for (uint16_t i = 0; i < run->tables->message_count; i++) {
        const struct map_message *message = &run->tables->messages[i];
        for (uint16_t t = 0; t < message->trigger_count; t++) {
            if (hub_span_equal(message->triggers[t], trigger)) {
                run->definition = message;
                run->by_trigger = true;
                return;
            }
        }
        if (structure.len != 0 && hub_span_is(structure, message->name))
            by_structure = message;
    }
    run->definition = by_structure != NULL ? by_structure : run->tables->fallback;
}

/* A message of a table's own trigger may name a prior account alone (A06: MRG-3): no patient is merged by that. What a
 * structure alone says is not enough: A41 looks like A40 and is about accounts. */
static bool carries_out_merges(const struct map_run *run)
{
    const bool does = run->definition->does_merge || run->definition->does_visits;
    for (size_t i = 0; i < run->message->segment_count; i++) {
        const struct hub_hl7_segment *segment = &run->message->segments[i];
        if (strcmp(segment->id, "MRG") == 0 && (!run->by_trigger || (!does && hub_hl7_field(segment, 1).len != 0)))
            return false;
    }
    return true;
}

static enum hub_result refuse_unimplemented(struct map_run *run)
{
    bool deletes = hub_span_is(run->type, "ADT") && (hub_span_is(run->trigger, "A23") || hub_span_is(run->trigger, "A29"));
    bool deletes_done = run->by_trigger && run->definition->does_delete;
    bool links = hub_span_is(run->type, "ADT") && (hub_span_is(run->trigger, "A24") || hub_span_is(run->trigger, "A37"));
    bool links_done = run->by_trigger && run->definition->does_links;
    if (run->options->lenient || (carries_out_merges(run) && (!deletes || deletes_done) && (!links || links_done)))
        return HUB_OK;
    (void)hub_fail(run->err, HUB_UNSUPPORTED_EVENT, "a merge, link or delete that no message table implements", NULL);
    (void)hub_error_at(run->err, "MSH-9.2");
    return HUB_UNSUPPORTED_EVENT;
}

static unsigned count_pid(const struct map_run *run, const struct map_seg *first)
{
    unsigned count = 0;
    for (; first != NULL; first = first->after)
        count += first->name == run->tables->pid;
    return count;
}

/* Two PIDs where the message has room for one patient (a frame that was cut off and begun anew, a sender's mistake): one
 * Patient made of both would be two people in one chart. */
static enum hub_result refuse_second_pid(struct map_run *run)
{
    (void)hub_fail(run->err, HUB_SYNTAX, "a second PID in a message about one patient", "send a message for each patient");
    (void)hub_error_at(run->err, "PID[2]");
    return HUB_SYNTAX;
}

static enum hub_result check_patients(struct map_run *run)
{
    if (run->patient_count > run->options->patients_max) {
        (void)hub_fail(run->err, HUB_TOO_MANY, "a message about more patients than limits.patients", "send it in several messages, or raise the limit");
        (void)hub_error_at(run->err, "PID[%u]", run->options->patients_max + 1);
        hub_error_number(run->err, run->options->patients_max);
        return HUB_TOO_MANY;
    }
    unsigned head = count_pid(run, run->head_first);
    bool good = run->patient_count != 0 || head != 0;
    if (head > 1)
        return refuse_second_pid(run);
    for (uint32_t i = 0; i < run->patient_count; i++) {
        unsigned own = count_pid(run, run->patients[i].first);
        good = good && own != 0;
        if (head + own > 1)
            return refuse_second_pid(run);
    }
    if (good || run->options->lenient || !run->definition->needs_pid)
        return HUB_OK;
    (void)hub_fail(run->err, HUB_REQUIRED, "a message about a patient without PID", NULL);
    (void)hub_error_at(run->err, "PID");
    return HUB_REQUIRED;
}

static enum hub_result run_message(struct map_run *run, struct hub_decoded *out)
{
    HUB_TRY(read_header(run, out));
    find_definition(run, out);
    HUB_TRY(refuse_unimplemented(run));
    HUB_TRY(map_place(run));
    HUB_TRY(check_patients(run));
    uint32_t count = run->patient_count != 0 ? run->patient_count : 1;
    struct hub_event *events = hub_arena_zalloc(run->arena, count * sizeof *events);
    HUB_ENSURE(events != NULL, HUB_NO_MEMORY);
    struct hub_span processing = header_part(run, 11, 1);
    for (uint32_t i = 0; i < count; i++) {
        map_trace_event(run, i);
        events[i].test = hub_span_is(processing, "T") || hub_span_is(processing, "D");
        HUB_TRY(make_event(run, run->patient_count != 0 ? &run->patients[i] : NULL, &events[i]));
    }
    /* Where a small allocation failed and a later one did not, something may be missing: all or nothing. */
    HUB_ENSURE(!run->arena->failed, HUB_NO_MEMORY);
    out->events = events;
    out->event_count = count;
    return HUB_OK;
}

enum hub_result hub_map_run(const struct map_tables *tables, const struct hub_map_options *options, struct hub_arena *arena,
                            const struct hub_hl7 *message, struct hub_span original, struct hub_map_trace *trace,
                            struct hub_decoded *out, struct hub_error *err)
{
    struct map_run *run = HUB_ARENA_NEW(arena, struct map_run);
    if (run == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_error ignored;
    run->tables = tables;
    run->options = options;
    run->arena = arena;
    run->message = message;
    run->original = original;
    run->trace = trace;
    run->err = err != NULL ? err : &ignored;
    run->constants = hub_arena_zalloc(arena, (size_t)tables->constant_count + 1);
    run->reached = HUB_ARENA_ARRAY(arena, struct map_reached, tables->segment_count);
    run->parts = HUB_ARENA_ARRAY(arena, struct map_known_part, (size_t)tables->part_count + 1);
    if (run->constants == NULL || run->reached == NULL || run->parts == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result = run_message(run, out);
    if (result == HUB_NO_MEMORY)
        (void)hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return result;
}
