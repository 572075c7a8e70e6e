/* What an event needs before it is sealed or shown by `map`: ids, references, test labels, the raw entry, and
 * the plain Bundle. */
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

#define TEST_SYSTEM "http://terminology.hl7.org/CodeSystem/v3-ActReason"
#define RAW_CONTENT_TYPE "x-application/hl7-v2+er7"

static enum hub_result no_memory(struct hub_error *err)
{
    return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

/* --- ids --- */

/* Without keys: ids that are the same in every run, and nobody's secret. */
static void open_hash(const struct hub_span *parts, size_t count, char out[33])
{
    uint8_t hash[HUB_HASH160_LEN];
    hub_blake2b_parts(NULL, parts, count, hash, sizeof hash);
    (void)hub_encode(HUB_BASE32, hub_span_of(hash, sizeof hash), out, 33);
}

static void make_event_id(struct hub_prepared *p, const struct hub_origin *origin, uint32_t index)
{
    p->index = index;
    if (p->keys != NULL) {
        hub_keys_event_id(p->keys, origin->feed_id, origin->sender, origin->message, index, origin->revision,
                          &p->id);
        p->origin = p->id;
        if (origin->revision != 0)
            hub_keys_event_id(p->keys, origin->feed_id, origin->sender, origin->message, index, 0, &p->origin);
        return;
    }
    uint8_t number[4];
    hub_le32(number, index);
    const struct hub_span parts[] = {HUB_SPAN("map event"), origin->message, hub_span_of(number, 4)};
    open_hash(parts, 3, p->id.text);
}

static void make_resource_id(const struct hub_prepared *p, uint32_t ordinal,
                             char out[HUB_RESOURCE_ID_LEN + 1])
{
    if (p->keys != NULL) {
        hub_keys_resource_id(p->keys, &p->id, ordinal, out);
        return;
    }
    uint8_t number[4];
    hub_le32(number, ordinal);
    const struct hub_span parts[] = {HUB_SPAN("map resource"), hub_span_str(p->id.text),
                                     hub_span_of(number, 4)};
    open_hash(parts, 3, out);
}

static enum hub_result set_ids(struct hub_prepared *p, const struct hub_event *event)
{
    p->ids = hub_arena_alloc(p->arena, ((size_t)event->resource_count + 1) * sizeof *p->ids);
    HUB_ENSURE(p->ids != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i <= event->resource_count; i++)
        make_resource_id(p, i, p->ids[i]);
    for (uint32_t i = 0; i < event->resource_count; i++)
        HUB_TRY(hub_json_set_string(p->arena, event->resources[i].json, "id", hub_span_str(p->ids[i])));
    return HUB_OK;
}

/* One block for all texts, so that a reference of ours is told from any other by where it points. */
static enum hub_result set_references(struct hub_prepared *p, const struct hub_event *event)
{
    size_t len = 1;
    for (uint32_t i = 0; i < event->reference_count; i++) {
        HUB_ENSURE(event->references[i].target < event->resource_count, HUB_INTERNAL);
        len += strlen(event->resources[event->references[i].target].type) + 1 + HUB_RESOURCE_ID_LEN;
    }
    char *at = hub_arena_bytes(p->arena, len);
    HUB_ENSURE(at != NULL, HUB_NO_MEMORY);
    p->references = at;
    p->references_len = len;
    for (uint32_t i = 0; i < event->reference_count; i++) {
        struct hub_json *node = event->references[i].node;
        const uint32_t target = event->references[i].target;
        const size_t type_len = strlen(event->resources[target].type);
        HUB_ENSURE(node->type == HUB_JSON_STRING, HUB_INTERNAL);
        memcpy(at, event->resources[target].type, type_len);
        at[type_len] = '/';
        memcpy(at + type_len + 1, p->ids[target], HUB_RESOURCE_ID_LEN);
        node->str = at;
        node->len = (uint32_t)(type_len + 1 + HUB_RESOURCE_ID_LEN);
        at += node->len;
    }
    return HUB_OK;
}

/* --- identity --- */

static bool has_control(struct hub_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

static enum hub_result set_tokens(struct hub_prepared *p, const struct hub_event *event,
                                  const struct hub_origin *origin, struct hub_error *err)
{
    const struct hub_identifier *list = event->identifiers;
    uint16_t subject = 0;
    p->tokens = HUB_ARENA_ARRAY(p->arena, struct hub_token, event->identifier_count);
    if (p->tokens == NULL)
        return no_memory(err);
    for (uint16_t i = 0; i < event->identifier_count; i++) {
        if (has_control(list[i].system) || has_control(list[i].value))
            return hub_fail(err, HUB_TYPE, "a patient identifier with control characters", NULL);
        hub_keys_patient_token(p->keys, list[i].system, list[i].value, &p->tokens[i]);
    }
    while (subject < event->identifier_count && list[subject].placeholder)
        subject++;
    if (hub_revision_withdraws(origin))
        p->subject = *origin->revised->withdrawn;
    else if (!event->has_patient)
        hub_keys_scoped_token(p->keys, HUB_TOKEN_OF_FEED, origin->feed_id, &p->subject);
    else if (subject == event->identifier_count)
        hub_keys_scoped_token(p->keys, HUB_TOKEN_OF_EVENT, hub_span_str(p->origin.text), &p->subject);
    else
        p->subject = p->tokens[subject];
    return HUB_OK;
}

/* --- test label --- */

static enum hub_result add_test_label(struct hub_arena *arena, struct hub_json *resource)
{
    struct hub_json *meta = hub_json_get(resource, "meta");
    if (meta == NULL) {
        meta = hub_json_new(arena, HUB_JSON_OBJECT);
        HUB_TRY(hub_json_set_c(resource, "meta", meta));
    }
    struct hub_json *labels = hub_json_get(meta, "security");
    if (labels == NULL) {
        labels = hub_json_new(arena, HUB_JSON_ARRAY);
        HUB_TRY(hub_json_set_c(meta, "security", labels));
    }
    HUB_ENSURE(labels->type == HUB_JSON_ARRAY, HUB_INTERNAL);
    for (const struct hub_json *label = labels->first; label != NULL; label = label->next) {
        if (hub_span_is(hub_json_get_span(label, "code"), "HTEST"))
            return HUB_OK;
    }
    struct hub_json *label = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(label != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, label, "system", HUB_SPAN(TEST_SYSTEM)));
    HUB_TRY(hub_json_set_string(arena, label, "code", HUB_SPAN("HTEST")));
    return hub_json_push(labels, label);
}

enum hub_result hub_prepare_event(struct hub_prepared *p, struct hub_arena *arena, struct hub_keys *keys,
                                  struct hub_event *event, const struct hub_origin *origin, uint32_t index,
                                  struct hub_error *err)
{
    memset(p, 0, sizeof *p);
    p->arena = arena;
    p->keys = keys;
    make_event_id(p, origin, index);
    if (keys != NULL)
        HUB_TRY(set_tokens(p, event, origin, err));
    enum hub_result result = hub_large_possible(origin->message) ? hub_large_move(p, event) : HUB_OK;
    if (result == HUB_OK)
        result = set_ids(p, event);
    if (result == HUB_OK)
        result = set_references(p, event);
    for (uint32_t i = 0; event->test && i < event->resource_count && result == HUB_OK; i++) {
        if (strcmp(event->resources[i].type, "Binary") != 0)
            result = add_test_label(arena, event->resources[i].json);
    }
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, NULL, NULL);
}

/* --- raw --- */

struct hub_json *hub_prepare_raw(const struct hub_prepared *p, const struct hub_event *event, bool data)
{
    struct hub_json *raw = hub_json_new(p->arena, HUB_JSON_OBJECT);
    const char *type = RAW_CONTENT_TYPE;
    if (data && event->raw_positions.len != 0)
        type = hub_arena_printf(p->arena, RAW_CONTENT_TYPE ";positions=\"%.*s\"",
                                (int)event->raw_positions.len, (const char *)event->raw_positions.ptr);
    if (raw == NULL || type == NULL ||
        hub_json_set_string(p->arena, raw, "resourceType", HUB_SPAN("Binary")) != HUB_OK ||
        hub_json_set_string(p->arena, raw, "id", hub_span_str(p->ids[event->resource_count])) != HUB_OK ||
        hub_json_set_string(p->arena, raw, "contentType", hub_span_str(type)) != HUB_OK)
        return NULL;
    if (!data)
        return raw;
    const size_t cap = hub_encoded_len(HUB_BASE64, event->raw.len) + 1;
    char *text = hub_arena_bytes(p->arena, cap);
    if (text == NULL ||
        hub_json_set_string(p->arena, raw, "data",
                            hub_span_of(text, hub_encode(HUB_BASE64, event->raw, text, cap))) != HUB_OK)
        return NULL;
    return raw;
}

/* --- the plain Bundle --- */

static enum hub_result push_entry(struct hub_arena *arena, struct hub_json *list, const char *type,
                                  const char *id, struct hub_json *resource)
{
    struct hub_json *entry = hub_json_new(arena, HUB_JSON_OBJECT);
    const struct hub_span parts[] = {HUB_SPAN(HUB_FULL_URL), hub_span_str(type), HUB_SPAN("/"),
                                     hub_span_str(id)};
    struct hub_span url = hub_arena_concat(arena, parts, 4);
    HUB_ENSURE(entry != NULL && url.ptr != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, entry, "fullUrl", url));
    HUB_TRY(hub_json_set_c(entry, "resource", resource));
    return hub_json_push(list, entry);
}

static enum hub_result build_bundle(const struct hub_prepared *p, const struct hub_event *event, bool raw,
                                    struct hub_json **out)
{
    struct hub_json *bundle = hub_json_new(p->arena, HUB_JSON_OBJECT),
                    *list = hub_json_new(p->arena, HUB_JSON_ARRAY);
    HUB_ENSURE(bundle != NULL && list != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < event->resource_count; i++)
        HUB_TRY(push_entry(p->arena, list, event->resources[i].type, p->ids[i], event->resources[i].json));
    if (raw)
        HUB_TRY(push_entry(p->arena, list, "Binary", p->ids[event->resource_count],
                           hub_prepare_raw(p, event, true)));
    if (list->len != 0)
        HUB_TRY(hub_json_set_c(bundle, "entry", list));
    HUB_TRY(hub_json_set_string(p->arena, bundle, "resourceType", HUB_SPAN("Bundle")));
    HUB_TRY(hub_json_set_string(p->arena, bundle, "type", HUB_SPAN("collection")));
    *out = bundle;
    return HUB_OK;
}

enum hub_result hub_protect_plain_bundle(struct hub_arena *arena, struct hub_event *event,
                                         const struct hub_origin *origin, uint32_t index, bool raw,
                                         struct hub_json **out, struct hub_error *err)
{
    struct hub_prepared p;
    HUB_TRY(hub_prepare_event(&p, arena, NULL, event, origin, index, err));
    enum hub_result result = hub_large_put_back(&p, event);
    if (result == HUB_OK)
        result = build_bundle(&p, event, raw, out);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, NULL, NULL);
}
