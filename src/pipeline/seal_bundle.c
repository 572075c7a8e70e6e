#include "src/pipeline/seal_bundle.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { RESOURCES_MAX = 20000, IDENTIFIERS_MAX = 100, REFERENCES_MAX = 1000000 };

struct source { /* one resource of the Bundle */
    struct hub_json *resource;
    struct hub_span full_url, type, id;
};

struct bundle {
    struct hub_arena *arena;
    const struct hub_config *config;
    struct source *sources;
    uint32_t count;
    struct hub_reference *references;
    uint32_t reference_count;
    size_t reference_cap;
};

static enum hub_result add_source(struct bundle *b, struct hub_json *resource, struct hub_span full_url)
{
    struct hub_span type = hub_json_get_span(resource, "resourceType");
    HUB_ENSURE(type.len > 0 && b->count < RESOURCES_MAX, HUB_SYNTAX);
    b->sources[b->count++] = (struct source){resource, full_url, type, hub_json_get_span(resource, "id")};
    return HUB_OK;
}

static enum hub_result collect(struct bundle *b, struct hub_json *tree)
{
    struct hub_json *entries = hub_json_get(tree, "entry");
    bool bundle = hub_span_is(hub_json_get_span(tree, "resourceType"), "Bundle");
    size_t count = bundle && entries != NULL ? entries->len : 1;
    b->sources = HUB_ARENA_ARRAY(b->arena, struct source, count);
    HUB_ENSURE(b->sources != NULL, HUB_NO_MEMORY);
    if (!bundle)
        return add_source(b, tree, HUB_SPAN_NONE);
    for (struct hub_json *entry = entries != NULL ? entries->first : NULL; entry != NULL;
         entry = entry->next) {
        struct hub_span full_url = hub_json_get_span(entry, "fullUrl");
        struct hub_json *resource = hub_json_remove(entry, "resource");
        if (resource != NULL)
            HUB_TRY(add_source(b, resource, full_url));
    }
    return b->count > 0 ? HUB_OK : HUB_SYNTAX;
}

/* --- references --- */

static bool names(const struct source *s, struct hub_span reference)
{
    if (s->full_url.len > 0 && hub_span_equal(s->full_url, reference))
        return true;
    return s->id.len > 0 && reference.len == s->type.len + 1 + s->id.len &&
           memcmp(reference.ptr, s->type.ptr, s->type.len) == 0 && reference.ptr[s->type.len] == '/' &&
           memcmp(reference.ptr + s->type.len + 1, s->id.ptr, s->id.len) == 0;
}

static enum hub_result add_reference(struct bundle *b, struct hub_json *node)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (!names(&b->sources[i], hub_json_span(node)))
            continue;
        if (b->reference_count == b->reference_cap) {
            size_t cap = b->reference_cap == 0 ? 64 : b->reference_cap * 2;
            struct hub_reference *grown =
                cap > REFERENCES_MAX ? NULL : HUB_ARENA_ARRAY(b->arena, struct hub_reference, cap);
            HUB_ENSURE(grown != NULL, HUB_TOO_MANY);
            if (b->reference_count > 0)
                memcpy(grown, b->references, b->reference_count * sizeof *grown);
            b->references = grown;
            b->reference_cap = cap;
        }
        b->references[b->reference_count++] = (struct hub_reference){node, i};
        return HUB_OK;
    }
    return HUB_OK; /* it points outside and stays as it is */
}

static enum hub_result find_references(struct bundle *b, struct hub_json *node)
{
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY)
        return HUB_OK;
    struct hub_json *reference = hub_json_get(node, "reference");
    if (reference != NULL && reference->type == HUB_JSON_STRING)
        HUB_TRY(add_reference(b, reference));
    for (struct hub_json *child = node->first; child != NULL; child = child->next)
        HUB_TRY(find_references(b, child)); /* the parser bounds the depth */
    return HUB_OK;
}

/* --- identifiers --- */

/* Position among the configured authorities, the primary ones first; UINT_MAX: not configured. */
static unsigned rank_of(const struct hub_config *config, struct hub_span system, bool *primary)
{
    *primary = false;
    for (size_t i = 0; i < config->authority_count; i++) {
        const struct hub_authority *a = &config->authorities[i];
        if (hub_span_is(system, a->system)) {
            *primary = a->primary;
            return (a->primary ? 0 : (unsigned)config->authority_count) + (unsigned)i;
        }
    }
    return UINT_MAX;
}

struct ranked {
    struct hub_identifier identifier;
    unsigned rank, position;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

static bool patient_number(const struct hub_json *identifier)
{
    const struct hub_json *codings = hub_json_get(hub_json_get(identifier, "type"), "coding");
    for (const struct hub_json *c = codings != NULL ? codings->first : NULL; c != NULL; c = c->next) {
        struct hub_span code = hub_json_get_span(c, "code");
        if (hub_span_is(code, "MR") || hub_span_is(code, "PI") || hub_span_is(code, "PT"))
            return true;
    }
    return false;
}

static enum hub_result take_identifiers(struct bundle *b, const struct hub_json *patient,
                                        struct hub_event *out)
{
    struct ranked found[IDENTIFIERS_MAX];
    unsigned count = 0;
    const struct hub_json *list = hub_json_get(patient, "identifier");
    for (const struct hub_json *item = list != NULL ? list->first : NULL;
         item != NULL && count < IDENTIFIERS_MAX; item = item->next) {
        struct ranked *r = &found[count];
        *r = (struct ranked){.identifier = {.system = hub_json_get_span(item, "system"),
                                            .value = hub_span_trim(hub_json_get_span(item, "value"))},
                             .position = count};
        r->rank = rank_of(b->config, r->identifier.system, &r->identifier.primary);
        if (r->identifier.system.len > 0 && r->identifier.value.len > 0 &&
            (r->rank != UINT_MAX || patient_number(item)))
            count++;
    }
    qsort(found, count, sizeof found[0], by_rank);
    struct hub_identifier *identifiers = HUB_ARENA_ARRAY(b->arena, struct hub_identifier, (size_t)count + 1);
    HUB_ENSURE(identifiers != NULL, HUB_NO_MEMORY);
    for (unsigned i = 0; i < count; i++)
        identifiers[i] = found[i].identifier;
    out->identifiers = identifiers;
    out->identifier_count = (uint16_t)count;
    return HUB_OK;
}

/* --- the event --- */

static enum hub_result build(struct bundle *b, struct hub_json *tree, struct hub_event *out)
{
    HUB_TRY(collect(b, tree));
    struct hub_resource *resources = HUB_ARENA_ARRAY(b->arena, struct hub_resource, (size_t)b->count);
    HUB_ENSURE(resources != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < b->count; i++) {
        HUB_TRY(find_references(b, b->sources[i].resource));
        resources[i].type = hub_arena_printf(b->arena, "%.*s", (int)b->sources[i].type.len,
                                             (const char *)b->sources[i].type.ptr);
        resources[i].json = b->sources[i].resource;
        HUB_ENSURE(resources[i].type != NULL, HUB_NO_MEMORY);
        if (!out->has_patient && strcmp(resources[i].type, "Patient") == 0) {
            out->has_patient = true;
            HUB_TRY(take_identifiers(b, resources[i].json, out));
        }
    }
    for (uint32_t i = 0; i < b->count; i++)
        (void)hub_json_remove(resources[i].json, "id");
    out->resources = resources;
    out->resource_count = b->count;
    out->references = b->references;
    out->reference_count = b->reference_count;
    return HUB_OK;
}

enum hub_result hub_seal_bundle(struct hub_arena *arena, const struct hub_config *config,
                                    struct hub_json *tree, struct hub_event *out, struct hub_error *err)
{
    struct bundle b = {.arena = arena, .config = config};
    memset(out, 0, sizeof *out);
    enum hub_result result = build(&b, tree, out);
    if (result == HUB_OK)
        return HUB_OK;
    return hub_fail(err, result, result == HUB_SYNTAX ? "not a FHIR Bundle or resource" : NULL, NULL);
}
