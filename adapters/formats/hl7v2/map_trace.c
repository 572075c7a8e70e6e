/* What `map --explain` and `--coverage` show: which rule made which node of which bytes, and which values of
 * the message nobody used. Costs nothing but a branch when not asked for. */
#include "adapters/formats/hl7v2/map_run.h"

#include <stdio.h>
#include <string.h>

#include "src/pipeline/adapter.h"

struct trace_item {
    const struct map_rule *rule;
    const struct hub_json *node;
    struct hub_span raw;
    uint32_t event;
    struct trace_item *next; /* of all; later in the same hash slot */
    struct trace_item *same;
};

struct hub_map_trace {
    struct hub_arena *arena;
    const struct hub_hl7 *message;
    unsigned flags;
    uint32_t event;
    struct trace_item *first, *last;
    size_t count;
    uint8_t *used; /* a bit for each byte of the message */
    struct trace_item **slots;
    size_t slot_mask;
};

struct hub_map_trace *hub_map_trace_new(struct hub_arena *arena, const struct hub_hl7 *message, unsigned flags)
{
    struct hub_map_trace *trace = HUB_ARENA_NEW(arena, struct hub_map_trace);
    if (trace == NULL)
        return NULL;
    trace->arena = arena;
    trace->message = message;
    trace->flags = flags;
    trace->used = hub_arena_zalloc(arena, message->bytes.len / 8 + 1);
    return trace->used != NULL ? trace : NULL;
}

void map_trace_event(struct map_run *run, uint32_t event)
{
    if (run->trace != NULL)
        run->trace->event = event;
}

void map_trace_note_made(struct map_run *run, const struct map_rule *rule, const struct hub_json *node, struct hub_span raw)
{
    struct hub_map_trace *trace = run->trace;
    if ((trace->flags & HUB_INSPECT_EXPLAIN) == 0)
        return;
    struct trace_item *item = HUB_ARENA_NEW(trace->arena, struct trace_item);
    if (item == NULL)
        return;
    *item = (struct trace_item){rule, node, raw, trace->event, NULL, NULL};
    if (trace->last != NULL)
        trace->last->next = item;
    else
        trace->first = item;
    trace->last = item;
    trace->count++;
}

static bool inside(const struct hub_map_trace *trace, struct hub_span raw, size_t *offset)
{
    struct hub_span all = trace->message->bytes;
    if (raw.len == 0 || raw.ptr < all.ptr || raw.ptr + raw.len > all.ptr + all.len)
        return false;
    *offset = (size_t)(raw.ptr - all.ptr);
    return true;
}

void map_trace_note_used(struct map_run *run, struct hub_span raw)
{
    size_t offset = 0;
    if (!inside(run->trace, raw, &offset))
        return;
    for (size_t i = offset; i < offset + raw.len; i++)
        run->trace->used[i / 8] = (uint8_t)(run->trace->used[i / 8] | 1u << (i % 8));
}

static bool is_used(const struct hub_map_trace *trace, size_t at)
{
    return (trace->used[at / 8] >> (at % 8) & 1) != 0;
}

void map_trace_note_converted(const struct map_scope *scope, const struct map_rule *rule, struct map_value value)
{
    struct map_run *run = scope->run;
    if (rule->type == MAP_T_ASSIGNER)
        value = map_part_of(run, value, 4);
    if (rule->type == MAP_T_AUTHORITY || rule->type == MAP_T_ASSIGNER || rule->type == MAP_T_NUMBER_AUTHORITY) {
        bool behind = rule->type == MAP_T_NUMBER_AUTHORITY;
        for (unsigned n = behind ? 2 : 1; n <= (behind ? 4u : 3u); n++)
            map_trace_used(run, map_span(map_part_of(run, value, n)));
        return;
    }
    if (rule->type == MAP_T_BASE64)
        map_trace_used(run, map_span(map_part_of(run, scope->value, 4)));
    bool whole = rule->type == MAP_T_STRING || rule->type == MAP_T_TEXT || rule->type == MAP_T_BASE64;
    map_trace_used(run, map_span(whole ? value : map_first_part(run, value)));
}

void map_trace_same(struct map_run *run, struct hub_span first, struct hub_span again)
{
    size_t from = 0;
    size_t to = 0;
    struct hub_map_trace *trace = run->trace;
    if (trace == NULL || !inside(trace, first, &from) || !inside(trace, again, &to) || first.len != again.len)
        return;
    for (size_t i = 0; i < first.len; i++) {
        if (is_used(trace, from + i))
            trace->used[(to + i) / 8] = (uint8_t)(trace->used[(to + i) / 8] | 1u << ((to + i) % 8));
    }
}

void map_trace_uses(struct map_run *run, const struct map_seg *seg, const struct map_segment_table *table)
{
    for (uint16_t i = 0; run->trace != NULL && i < table->use_count; i++) {
        struct map_scope scope = {.run = run, .seg = (struct map_seg *)(uintptr_t)seg};
        const struct map_path *path = &table->uses[i];
        struct map_reader reader;
        struct map_value value;
        map_reader_init(&reader, &scope, path);
        while (map_reader_next(&reader, &value))
            map_trace_used(run, map_span(value));
    }
}

void map_trace_merged(struct map_run *run, struct map_seg *seg, const struct map_merge *merge)
{
    (void)merge;
    for (uint32_t n = 1; run->trace != NULL && n <= seg->hl7->field_count; n++) {
        struct hub_span field = hub_hl7_field(seg->hl7, n);
        struct hub_span former = hub_hl7_field(seg->before->hl7, n);
        if (hub_span_equal(field, former))
            map_trace_same(run, former, field);
    }
}

/* --- positions --- */

struct position {
    const struct hub_hl7_segment *segment;
    uint32_t field;
    uint32_t repetition, component, subcomponent; /* 1-based */
    bool has_components, has_subcomponents;
};

static bool locate_in_field(const struct hub_hl7 *message, struct hub_span field, const uint8_t *at, bool whole, struct position *out)
{
    struct hub_span rest = field;
    struct hub_span part = field;
    for (out->repetition = 1; !whole && hub_hl7_cut(&rest, message->delimiters.repetition, &part); out->repetition++) {
        if (part.len != 0 && at < part.ptr + part.len)
            break;
        if (rest.len == 0)
            break;
    }
    out->has_components = !whole && hub_hl7_component_count(message, part) > 1;
    out->component = out->subcomponent = 1;
    while (out->has_components && out->component < hub_hl7_component_count(message, part)) {
        struct hub_span component = hub_hl7_component(message, part, out->component);
        if (component.ptr != NULL && at < component.ptr + component.len + 1)
            break;
        out->component++;
    }
    struct hub_span component = out->has_components ? hub_hl7_component(message, part, out->component) : part;
    out->has_subcomponents = !whole && hub_hl7_subcomponent_count(message, component) > 1;
    while (out->has_subcomponents && out->subcomponent < hub_hl7_subcomponent_count(message, component)) {
        struct hub_span sub = hub_hl7_subcomponent(message, component, out->subcomponent);
        if (sub.ptr != NULL && at < sub.ptr + sub.len + 1)
            break;
        out->subcomponent++;
    }
    return true;
}

static bool locate(const struct hub_hl7 *message, const uint8_t *at, struct position *out)
{
    size_t low = 0;
    size_t high = message->segment_count;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (message->segments[middle].bytes.ptr <= at)
            low = middle;
        else
            high = middle;
    }
    const struct hub_hl7_segment *segment = &message->segments[low];
    out->segment = segment;
    for (uint32_t n = 1; n <= segment->field_count; n++) {
        struct hub_span field = hub_hl7_field(segment, n);
        if (field.len == 0 || at < field.ptr || at >= field.ptr + field.len)
            continue;
        out->field = n;
        return locate_in_field(message, field, at, strcmp(segment->id, "MSH") == 0 && n <= 2, out);
    }
    return false;
}

/* How deep RAW reaches: a whole repetition has no component to name. */
static const char *position_text(struct hub_map_trace *trace, struct hub_span raw)
{
    struct position p;
    char parts[32] = "";
    memset(&p, 0, sizeof p);
    if (!locate(trace->message, raw.ptr, &p))
        return NULL;
    const struct hub_hl7_delimiters *d = &trace->message->delimiters;
    bool spans_components = memchr(raw.ptr, d->component, raw.len) != NULL;
    bool spans_subcomponents = memchr(raw.ptr, d->subcomponent, raw.len) != NULL;
    if (p.has_components && !spans_components && p.has_subcomponents && !spans_subcomponents)
        (void)snprintf(parts, sizeof parts, ".%u.%u", p.component, p.subcomponent);
    else if (p.has_components && !spans_components)
        (void)snprintf(parts, sizeof parts, ".%u", p.component);
    else if (p.has_subcomponents && !spans_subcomponents)
        (void)snprintf(parts, sizeof parts, ".1.%u", p.subcomponent);
    return hub_arena_printf(trace->arena, "%s[%u]-%u[%u]%s", p.segment->id, p.segment->occurrence, p.field, p.repetition, parts);
}

/* --- explain --- */

static size_t node_slot(const struct hub_map_trace *trace, const struct hub_json *node)
{
    return (size_t)(((uintptr_t)node >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & trace->slot_mask;
}

static bool index_items(struct hub_map_trace *trace)
{
    size_t size = 16;
    while (size < trace->count * 2)
        size *= 2;
    trace->slots = HUB_ARENA_ARRAY(trace->arena, struct trace_item *, size);
    if (trace->slots == NULL)
        return false;
    trace->slot_mask = size - 1;
    for (struct trace_item *item = trace->first; item != NULL; item = item->next) {
        size_t at = node_slot(trace, item->node);
        struct trace_item **end = &trace->slots[at];
        while (*end != NULL)
            end = &(*end)->same;
        *end = item;
    }
    return true;
}

struct explain {
    struct hub_map_trace *trace;
    struct hub_json *out;
    uint32_t event, resource;
    char path[512];
};

static bool explain_one(struct explain *e, const struct trace_item *item)
{
    struct hub_arena *arena = e->trace->arena;
    struct hub_json *row = hub_json_new(arena, HUB_JSON_OBJECT);
    if (row == NULL)
        return false;
    const char *from = item->raw.len != 0 ? position_text(e->trace, item->raw) : NULL;
    bool good = hub_json_set_c(row, "event", hub_json_number_i64(arena, e->event)) == HUB_OK &&
                hub_json_set_c(row, "resource", hub_json_number_i64(arena, e->resource)) == HUB_OK &&
                hub_json_set_string(arena, row, "element", hub_arena_copy(arena, hub_span_str(e->path))) == HUB_OK &&
                hub_json_set_c(row, "rule", hub_json_string_c(arena, item->rule->id)) == HUB_OK &&
                hub_json_set_c(row, "table", hub_json_string_c(arena, item->rule->table)) == HUB_OK;
    if (good && from != NULL)
        good = hub_json_set_c(row, "from", hub_json_string_c(arena, from)) == HUB_OK;
    return good && hub_json_push(e->out, row) == HUB_OK;
}

static bool explain_node(struct explain *e, const struct hub_json *node)
{
    size_t len = strlen(e->path);
    for (const struct trace_item *item = e->trace->slots[node_slot(e->trace, node)]; item != NULL; item = item->same) {
        if (item->node == node && item->event == e->event && !explain_one(e, item))
            return false;
    }
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY)
        return true;
    size_t index = 0;
    for (const struct hub_json *child = node->first; child != NULL; child = child->next, index++) {
        if (node->type == HUB_JSON_ARRAY)
            (void)snprintf(e->path + len, sizeof e->path - len, "[%zu]", index);
        else
            (void)snprintf(e->path + len, sizeof e->path - len, ".%.*s", (int)child->key_len, child->key);
        if (!explain_node(e, child))
            return false;
        e->path[len] = '\0';
    }
    return true;
}

static struct hub_json *explain(struct hub_map_trace *trace, const struct hub_decoded *decoded)
{
    struct explain e = {.trace = trace, .out = hub_json_new(trace->arena, HUB_JSON_ARRAY)};
    if (e.out == NULL || !index_items(trace))
        return NULL;
    for (e.event = 0; e.event < decoded->event_count; e.event++) {
        const struct hub_event *event = &decoded->events[e.event];
        for (e.resource = 0; e.resource < event->resource_count; e.resource++) {
            (void)snprintf(e.path, sizeof e.path, "%s", event->resources[e.resource].type);
            if (!explain_node(&e, event->resources[e.resource].json))
                return NULL;
        }
    }
    return e.out;
}

/* --- coverage --- */

struct coverage {
    struct hub_map_trace *trace;
    struct hub_json *unmapped;
    int64_t values, mapped;
};

static bool leaf(struct coverage *c, struct hub_span raw, const struct hub_hl7_segment *segment, uint32_t field)
{
    struct hub_arena *arena = c->trace->arena;
    size_t offset = 0;
    if (raw.len == 0 || !inside(c->trace, raw, &offset))
        return true;
    c->values++;
    if (is_used(c->trace, offset)) {
        c->mapped++;
        return true;
    }
    struct hub_json *row = hub_json_new(arena, HUB_JSON_OBJECT);
    const char *at = position_text(c->trace, raw);
    const char *name = hub_arena_printf(arena, "%s-%u", segment->id, field);
    if (row == NULL || at == NULL || name == NULL)
        return false;
    if (hub_json_set_c(row, "at", hub_json_string_c(arena, at)) != HUB_OK || hub_json_set_c(row, "field", hub_json_string_c(arena, name)) != HUB_OK)
        return false;
    struct hub_span text = raw;
    if ((c->trace->flags & HUB_INSPECT_VALUES) != 0 &&
        (hub_hl7_text(arena, c->trace->message, raw, false, &text) != HUB_OK || hub_json_set_string(arena, row, "value", text) != HUB_OK))
        return false;
    return hub_json_push(c->unmapped, row) == HUB_OK;
}

static bool leaves_of_repetition(struct coverage *c, struct hub_span repetition, const struct hub_hl7_segment *segment, uint32_t field)
{
    const struct hub_hl7_delimiters *d = &c->trace->message->delimiters;
    struct hub_span component = HUB_SPAN_NONE;
    while (repetition.len != 0 && hub_hl7_cut(&repetition, d->component, &component)) {
        struct hub_span sub = HUB_SPAN_NONE;
        while (component.len != 0 && hub_hl7_cut(&component, d->subcomponent, &sub)) {
            if (!leaf(c, sub, segment, field))
                return false;
        }
    }
    return true;
}

static bool leaves_of_segment(struct coverage *c, const struct hub_hl7_segment *segment)
{
    bool is_header = strcmp(segment->id, "MSH") == 0;
    for (uint32_t n = 1; n <= segment->field_count; n++) {
        struct hub_span rest = hub_hl7_field(segment, n);
        struct hub_span repetition = HUB_SPAN_NONE;
        if (is_header && n <= 2) {
            if (!leaf(c, rest, segment, n))
                return false;
            continue;
        }
        while (rest.len != 0 && hub_hl7_cut(&rest, c->trace->message->delimiters.repetition, &repetition)) {
            if (!leaves_of_repetition(c, repetition, segment, n))
                return false;
        }
    }
    return true;
}

static struct hub_json *coverage(struct hub_map_trace *trace)
{
    struct coverage c = {trace, hub_json_new(trace->arena, HUB_JSON_ARRAY), 0, 0};
    struct hub_json *out = hub_json_new(trace->arena, HUB_JSON_OBJECT);
    if (c.unmapped == NULL || out == NULL)
        return NULL;
    for (size_t i = 0; i < trace->message->segment_count; i++) {
        if (!leaves_of_segment(&c, &trace->message->segments[i]))
            return NULL;
    }
    bool good = hub_json_set_c(out, "values", hub_json_number_i64(trace->arena, c.values)) == HUB_OK &&
                hub_json_set_c(out, "mapped", hub_json_number_i64(trace->arena, c.mapped)) == HUB_OK &&
                hub_json_set_c(out, "unmapped", c.unmapped) == HUB_OK;
    return good ? out : NULL;
}

struct hub_json *hub_map_trace_report(struct hub_map_trace *trace, const struct hub_decoded *decoded)
{
    struct hub_json *report = hub_json_new(trace->arena, HUB_JSON_OBJECT);
    if (report == NULL)
        return NULL;
    if ((trace->flags & HUB_INSPECT_EXPLAIN) != 0 && hub_json_set_c(report, "explain", explain(trace, decoded)) != HUB_OK)
        return NULL;
    if ((trace->flags & HUB_INSPECT_COVERAGE) != 0 && hub_json_set_c(report, "coverage", coverage(trace)) != HUB_OK)
        return NULL;
    return report;
}
