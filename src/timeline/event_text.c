#include "src/timeline/event_text.h"

#include "src/timeline/state.h"

enum { FIRST_CAP = 32 };

struct reading {
    struct hub_arena *arena;
    struct timeline_event_text *out;
    bool full; /* memory is out */
};

bool timeline_good_id(struct hub_span id)
{
    if (id.len == 0 || id.len > ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] <= ' ' || id.ptr[i] == '/' || id.ptr[i] >= 0x7f)
            return false;
    }
    return true;
}

/* --- lists --- */

/* Room for one more item of SIZE bytes in a list that may move. Not zeroed: items are put there whole. */
static void *grown(struct reading *r, void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    const size_t more = *cap != 0 ? *cap * 2 : FIRST_CAP;
    void *list = more <= SIZE_MAX / size ? hub_arena_alloc(r->arena, more * size) : NULL;
    if (list == NULL) {
        r->full = true;
        return items;
    }
    if (count != 0)
        memcpy(list, items, count * size);
    *cap = more;
    return list;
}

/* Only what can lead to a resource of the event: "<Type>/<id>". */
static bool add_reference(struct reading *r, struct hub_span reference)
{
    struct timeline_event_text *out = r->out;
    if (reference.len == 0 || reference.ptr[0] < 'A' || reference.ptr[0] > 'Z')
        return true;
    out->references = grown(r, out->references, out->reference_count, &out->reference_cap, sizeof *out->references);
    if (r->full)
        return false;
    out->references[out->reference_count++] = reference;
    return true;
}

/* --- inside a resource --- */

static bool read_node(struct reading *r, struct hub_scan *scan);

static bool read_member(struct reading *r, struct hub_scan *scan, const struct hub_scan_name *name)
{
    struct hub_scan_word word;
    if (hub_scan_peek(scan) != '"')
        return read_node(r, scan);
    if (!hub_scan_string(scan, &word))
        return false;
    return hub_scan_is(name, "reference") || hub_scan_is(name, "url") ? add_reference(r, word.text) : true;
}

/* Over a value, for the references in it. */
static bool read_node(struct reading *r, struct hub_scan *scan)
{
    struct hub_scan_name name = {.begun = false};
    enum hub_result result = HUB_SYNTAX;
    if (hub_scan_peek(scan) == '{') {
        if (!hub_scan_open(scan, '{'))
            return false;
        while ((result = hub_scan_member(scan, &name)) == HUB_OK) {
            if (!read_member(r, scan, &name))
                return false;
        }
        return result == HUB_END;
    }
    if (hub_scan_peek(scan) != '[')
        return hub_scan_value(scan, NULL);
    if (!hub_scan_open(scan, '['))
        return false;
    while ((result = hub_scan_item(scan, &name)) == HUB_OK) {
        if (!read_node(r, scan))
            return false;
    }
    return result == HUB_END;
}

/* One extension of a resource; WORDS of the first `urn:chartline:entry`. */
static bool read_extension(struct reading *r, struct hub_scan *scan, struct hub_span *words, bool *entry)
{
    struct hub_scan_name name = {.begun = false};
    struct hub_scan_word word = {.text = HUB_SPAN_NONE};
    enum hub_result result = HUB_SYNTAX;
    bool here = false;
    if (hub_scan_peek(scan) != '{')
        return read_node(r, scan);
    if (!hub_scan_open(scan, '{'))
        return false;
    while ((result = hub_scan_member(scan, &name)) == HUB_OK) {
        const bool text = hub_scan_peek(scan) == '"';
        if (!(text ? hub_scan_string(scan, &word) : read_member(r, scan, &name)))
            return false;
        if (text && hub_scan_is(&name, "url"))
            here = !*entry && hub_span_is(word.text, "urn:chartline:entry");
        else if (text && here && hub_scan_is(&name, "valueString"))
            *words = word.text;
    }
    *entry = *entry || here;
    return result == HUB_END;
}

static bool read_extensions(struct reading *r, struct hub_scan *scan, struct hub_span *words, bool *entry)
{
    struct hub_scan_name item = {.begun = false};
    enum hub_result result = HUB_SYNTAX;
    if (hub_scan_peek(scan) != '[')
        return read_node(r, scan);
    if (!hub_scan_open(scan, '['))
        return false;
    while ((result = hub_scan_item(scan, &item)) == HUB_OK) {
        if (!read_extension(r, scan, words, entry))
            return false;
    }
    return result == HUB_END;
}

/* Labels are rare: only where the word stands anywhere in it META is parsed. */
static enum hub_result read_meta(struct reading *r, struct hub_span meta)
{
    static const char label[] = "HTEST";
    struct hub_json *json = NULL;
    if (r->out->test || meta.len == 0 || memmem(meta.ptr, meta.len, label, sizeof label - 1) == NULL)
        return HUB_OK;
    HUB_TRY(hub_json_parse(r->arena, meta, &json, NULL));
    const struct hub_json *labels = hub_json_get(json, "security");
    for (const struct hub_json *item = labels != NULL && labels->type == HUB_JSON_ARRAY ? labels->first : NULL; item != NULL; item = item->next)
        r->out->test = r->out->test || hub_span_is(hub_json_get_span(item, "code"), label);
    return HUB_OK;
}

struct resource_parts {
    struct hub_span words, meta;
    bool entry;
};

static bool read_part(struct reading *r, struct hub_scan *scan, const struct hub_scan_name *name, struct timeline_resource *resource,
                      struct resource_parts *parts)
{
    struct hub_scan_word word;
    const bool text = hub_scan_peek(scan) == '"';
    if (hub_scan_is(name, "extension"))
        return read_extensions(r, scan, &parts->words, &parts->entry);
    if (hub_scan_is(name, "meta"))
        return hub_scan_value(scan, &parts->meta);
    if (!text || !(hub_scan_is(name, "id") || hub_scan_is(name, "resourceType")))
        return read_member(r, scan, name);
    if (!hub_scan_string(scan, &word) || !word.plain)
        return false;
    *(hub_scan_is(name, "id") ? &resource->id : &resource->type) = word.text;
    return true;
}

static enum hub_result read_resource(struct reading *r, struct hub_scan *scan, struct timeline_resource *resource)
{
    struct hub_scan_name name = {.begun = false};
    struct resource_parts parts = {.entry = false};
    const uint8_t *start = scan->at;
    enum hub_result result = HUB_SYNTAX;
    resource->first_reference = r->out->reference_count;
    if (hub_scan_peek(scan) != '{')
        return hub_scan_value(scan, NULL) ? HUB_OK : HUB_SYNTAX;
    HUB_ENSURE(hub_scan_open(scan, '{'), HUB_SYNTAX);
    while ((result = hub_scan_member(scan, &name)) == HUB_OK)
        HUB_ENSURE(read_part(r, scan, &name, resource, &parts), r->full ? HUB_NO_MEMORY : HUB_SYNTAX);
    HUB_ENSURE(result == HUB_END, result);
    resource->text = hub_span_of(start, (size_t)(scan->at - start));
    resource->reference_count = r->out->reference_count - resource->first_reference;
    resource->entry = parts.entry;
    hub_entry_view_words(parts.words, resource->type, &resource->view);
    return read_meta(r, parts.meta);
}

/* --- the Bundle --- */

static enum hub_result read_item(struct reading *r, struct hub_scan *scan, uint32_t ordinal)
{
    struct timeline_event_text *out = r->out;
    struct timeline_resource resource = {.ordinal = ordinal};
    struct hub_scan_name name = {.begun = false};
    enum hub_result result = HUB_SYNTAX;
    if (hub_scan_peek(scan) != '{')
        return hub_scan_value(scan, NULL) ? HUB_OK : HUB_SYNTAX;
    HUB_ENSURE(hub_scan_open(scan, '{'), HUB_SYNTAX);
    while ((result = hub_scan_member(scan, &name)) == HUB_OK) {
        if (hub_scan_is(&name, "resource"))
            HUB_TRY(read_resource(r, scan, &resource));
        else
            HUB_ENSURE(hub_scan_value(scan, NULL), HUB_SYNTAX);
    }
    HUB_ENSURE(result == HUB_END, result);
    const bool good = timeline_good_id(resource.id);
    HUB_ENSURE(!resource.entry || (good && resource.view.kind != HUB_KIND_NONE), HUB_SYNTAX);
    if (!good)
        return HUB_OK;
    out->resources = grown(r, out->resources, out->count, &out->cap, sizeof *out->resources);
    HUB_ENSURE(!r->full, HUB_NO_MEMORY);
    out->resources[out->count++] = resource;
    return HUB_OK;
}

static enum hub_result read_items(struct reading *r, struct hub_scan *scan)
{
    struct hub_scan_name item = {.begun = false};
    enum hub_result result = HUB_SYNTAX;
    if (hub_scan_peek(scan) != '[')
        return hub_scan_value(scan, NULL) ? HUB_OK : HUB_SYNTAX;
    HUB_ENSURE(hub_scan_open(scan, '['), HUB_SYNTAX);
    for (uint32_t ordinal = 0; (result = hub_scan_item(scan, &item)) == HUB_OK; ordinal++)
        HUB_TRY(read_item(r, scan, ordinal));
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result read_bundle(void *ctx, struct hub_scan *scan)
{
    struct reading *r = ctx;
    struct hub_scan_name name = {.begun = false};
    struct hub_span meta = HUB_SPAN_NONE;
    enum hub_result result = HUB_SYNTAX;
    if (hub_scan_peek(scan) != '{') /* not a Bundle: an event without resources */
        return hub_scan_value(scan, NULL) ? HUB_OK : HUB_SYNTAX;
    HUB_ENSURE(hub_scan_open(scan, '{'), HUB_SYNTAX);
    while ((result = hub_scan_member(scan, &name)) == HUB_OK) {
        if (hub_scan_is(&name, "entry"))
            HUB_TRY(read_items(r, scan));
        else
            HUB_ENSURE(hub_scan_value(scan, hub_scan_is(&name, "meta") ? &meta : NULL), HUB_SYNTAX);
    }
    HUB_ENSURE(result == HUB_END, result);
    return read_meta(r, meta);
}

enum hub_result timeline_event_text(struct hub_arena *arena, struct hub_span text, struct timeline_event_text *out, struct hub_error *err)
{
    struct reading r = {.arena = arena, .out = out};
    memset(out, 0, sizeof *out);
    const enum hub_result result = hub_event_read(text, read_bundle, &r, &out->head);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, result == HUB_SYNTAX ? "not an event in canonical form, or one with an entry that cannot be read" : NULL, NULL);
}
