/* Large values: one over 64 KiB leaves its resource and becomes a Binary entry of its own, which the resource and
 * the original message refer to (docs/FORMATS.md, large values). So it stands once, and it is sealed without
 * being copied through the resource's list. */
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

#define URL_ATTACHMENT "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.valueAttachment"
#define TEXT_TYPE "text/plain;charset=utf-8"
#define ANY_TYPE "application/octet-stream"

enum { LARGE_BYTES = 64 * 1024, PATH_MAX_LEN = 512 };

/* One value that was moved, while they are collected. */
struct moved {
    struct hub_large value;
    const char *type;           /* of its Binary */
    struct hub_json *binary;    /* NULL: it stood in a Binary already, or it is that of another value */
    struct hub_json *reference; /* the string that will lead to it */
    struct moved *next;
};

struct mover {
    struct hub_arena *arena;
    struct hub_event *event;
    uint32_t owner;
    uint32_t moved_count, binary_count;
    struct moved *first, *last;
    char path[PATH_MAX_LEN]; /* of the element at hand: "content.attachment" */
    size_t path_len;
};

/* A Binary's type stays clear: only names that are everybody's, never what a sender wrote. */
static const char *clear_type(struct hub_span sent)
{
    static const char *const known[] = {
        "application/dicom", "application/json", "application/msword", "application/pdf", "application/rtf",
        "application/xml",   "application/zip",  "audio/basic",        "audio/mp4",       "audio/mpeg",
        "audio/ogg",         "audio/wav",        "image/bmp",          "image/gif",       "image/jp2",
        "image/jpeg",        "image/png",        "image/svg+xml",      "image/tiff",      "text/csv",
        "text/html",         "text/markdown",    "text/plain",         "text/rtf",        "text/xml",
        "video/mp4",         "video/mpeg",       "video/quicktime",    "video/webm"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (hub_span_equal_nocase(sent, hub_span_str(known[i])))
            return known[i];
    }
    return ANY_TYPE;
}

static bool is_large(const struct hub_json *node)
{
    return node->type == HUB_JSON_STRING && node->len > LARGE_BYTES;
}

static bool key_is(const struct hub_json *member, const char *name)
{
    return hub_span_is(hub_span_of(member->key, member->key_len), name);
}

static enum hub_result path_push(struct mover *m, const struct hub_json *member, size_t *mark)
{
    *mark = m->path_len;
    HUB_ENSURE(m->path_len + member->key_len + 2 <= sizeof m->path, HUB_TOO_LARGE);
    if (m->path_len != 0)
        m->path[m->path_len++] = '.';
    memcpy(m->path + m->path_len, member->key, member->key_len);
    m->path_len += member->key_len;
    return HUB_OK;
}

/* --- moving --- */

static enum hub_result add_moved(struct mover *m, const struct hub_json *value, bool encoded, struct moved **out)
{
    struct moved *moved = HUB_ARENA_NEW(m->arena, struct moved);
    const struct hub_span path = hub_arena_copy(m->arena, hub_span_of(m->path, m->path_len));
    HUB_ENSURE(moved != NULL && path.ptr != NULL, HUB_NO_MEMORY);
    moved->value = (struct hub_large){m->owner, m->owner, encoded, false, hub_json_span(value), path};
    if (m->last != NULL)
        m->last->next = moved;
    else
        m->first = moved;
    m->last = moved;
    m->moved_count++;
    *out = moved;
    return HUB_OK;
}

/* The file before MOVED with its bytes: one that two resources show stands once. NULL: none. */
static const struct moved *same_bytes(const struct mover *m, const struct moved *moved)
{
    for (const struct moved *other = m->first; other != moved; other = other->next) {
        if (other->binary != NULL && other->value.encoded && strcmp(other->type, moved->type) == 0 &&
            hub_span_equal(other->value.text, moved->value.text))
            return other;
    }
    return NULL;
}

/* A Binary for VALUE, and a string in HOLDER under KEY that leads to it. */
static enum hub_result move(struct mover *m, const struct hub_json *value, bool encoded, const char *type,
                            struct hub_json *holder, const char *key)
{
    struct moved *moved = NULL;
    HUB_TRY(add_moved(m, value, encoded, &moved));
    moved->type = type;
    moved->reference = hub_json_string_c(m->arena, "");
    HUB_TRY(hub_json_set_c(holder, key, moved->reference));
    const struct moved *same = encoded ? same_bytes(m, moved) : NULL;
    moved->value.shared = same != NULL;
    moved->value.binary = same != NULL ? same->value.binary : m->event->resource_count + m->binary_count++;
    if (same != NULL)
        return HUB_OK;
    moved->binary = hub_json_new(m->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(moved->binary != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(m->arena, moved->binary, "resourceType", HUB_SPAN("Binary")));
    return hub_json_set_string(m->arena, moved->binary, "contentType", hub_span_str(type));
}

static enum hub_result add_extension(struct mover *m, struct hub_json *object, const char *url,
                                     struct hub_json **item)
{
    struct hub_json *list = hub_json_get(object, "extension");
    *item = hub_json_new(m->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(*item != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(m->arena, *item, "url", hub_span_str(url)));
    if (list == NULL) {
        list = hub_json_new(m->arena, HUB_JSON_ARRAY);
        HUB_TRY(hub_json_set_c(object, "extension", list));
    }
    HUB_ENSURE(list->type == HUB_JSON_ARRAY, HUB_TYPE);
    return hub_json_push(list, *item);
}

/* Attachment.data (FHIR R4 2.24.0.3): the only `data` of base64 beside those of Binary and Signature. */
static bool is_attachment_data(const struct hub_json *object, const struct hub_json *member)
{
    return key_is(member, "data") && hub_json_get(object, "url") == NULL && hub_json_get(object, "origin") == NULL &&
           hub_json_get(object, "who") == NULL;
}

static enum hub_result move_attachment(struct mover *m, struct hub_json *attachment)
{
    const struct hub_json *value = hub_json_remove(attachment, "data");
    return move(m, value, true, clear_type(hub_json_get_span(attachment, "contentType")), attachment, "url");
}

/* A long text of an observation is an attachment of it: FHIR R5's value, as an extension of R4. */
static enum hub_result move_text(struct mover *m, struct hub_json *observation)
{
    const struct hub_json *value = hub_json_remove(observation, "valueString");
    struct hub_json *attachment = hub_json_new(m->arena, HUB_JSON_OBJECT), *item = NULL;
    HUB_ENSURE(attachment != NULL, HUB_NO_MEMORY);
    HUB_TRY(add_extension(m, observation, URL_ATTACHMENT, &item));
    HUB_TRY(hub_json_set_c(item, "valueAttachment", attachment));
    HUB_TRY(hub_json_set_string(m->arena, attachment, "contentType", HUB_SPAN(TEXT_TYPE)));
    return move(m, value, false, TEXT_TYPE, attachment, "url");
}

/* Any other string: the element stays, with an extension instead of a value. */
static enum hub_result move_string(struct mover *m, struct hub_json *object, const struct hub_json *member)
{
    const struct hub_span key = hub_span_of(member->key, member->key_len);
    const struct hub_span parts[] = {HUB_SPAN("_"), key};
    const struct hub_span shadow_key = hub_arena_concat(m->arena, parts, 2);
    struct hub_json *item = NULL, *reference = hub_json_new(m->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(shadow_key.ptr != NULL && reference != NULL, HUB_NO_MEMORY);
    struct hub_json *shadow = hub_json_get(object, (const char *)shadow_key.ptr);
    if (shadow == NULL) {
        shadow = hub_json_new(m->arena, HUB_JSON_OBJECT);
        HUB_TRY(hub_json_set_c(object, (const char *)shadow_key.ptr, shadow));
    }
    HUB_ENSURE(shadow->type == HUB_JSON_OBJECT, HUB_TYPE);
    HUB_TRY(add_extension(m, shadow, HUB_URL_LARGE, &item));
    HUB_TRY(hub_json_set_c(item, "valueReference", reference));
    HUB_TRY(move(m, member, false, TEXT_TYPE, reference, "reference"));
    (void)hub_json_remove(object, (const char *)hub_arena_copy(m->arena, key).ptr);
    return HUB_OK;
}

static enum hub_result walk(struct mover *m, struct hub_json *node, bool top);

static enum hub_result walk_member(struct mover *m, struct hub_json *object, struct hub_json *member, bool top)
{
    size_t mark;
    enum hub_result result = HUB_OK;
    if (!is_large(member) && member->type != HUB_JSON_OBJECT && member->type != HUB_JSON_ARRAY)
        return HUB_OK;
    HUB_TRY(path_push(m, member, &mark));
    if (!is_large(member))
        result = walk(m, member, false);
    else if (is_attachment_data(object, member))
        result = move_attachment(m, object);
    else if (top && key_is(member, "valueString") &&
             hub_span_is(hub_json_get_span(object, "resourceType"), "Observation"))
        result = move_text(m, object);
    else
        result = move_string(m, object, member);
    m->path_len = mark;
    return result;
}

static enum hub_result walk(struct mover *m, struct hub_json *node, bool top)
{
    for (struct hub_json *child = node->first, *next; child != NULL; child = next) {
        next = child->next;
        if (node->type == HUB_JSON_OBJECT)
            HUB_TRY(walk_member(m, node, child, top));
        else if (child->type == HUB_JSON_OBJECT || child->type == HUB_JSON_ARRAY)
            HUB_TRY(walk(m, child, false));
    }
    return HUB_OK;
}

/* --- the event afterwards --- */

static enum hub_result extend_event(struct mover *m, struct hub_prepared *p)
{
    struct hub_event *event = m->event;
    const size_t resources = (size_t)event->resource_count + m->binary_count,
                 references = (size_t)event->reference_count + m->moved_count;
    struct hub_resource *all = HUB_ARENA_ARRAY(m->arena, struct hub_resource, resources + 1);
    struct hub_reference *refs = HUB_ARENA_ARRAY(m->arena, struct hub_reference, references + 1);
    p->large = HUB_ARENA_ARRAY(m->arena, struct hub_large, (size_t)m->moved_count + 1);
    HUB_ENSURE(all != NULL && refs != NULL && p->large != NULL, HUB_NO_MEMORY);
    if (event->resource_count != 0)
        memcpy(all, event->resources, event->resource_count * sizeof *all);
    if (event->reference_count != 0)
        memcpy(refs, event->references, event->reference_count * sizeof *refs);
    for (const struct moved *moved = m->first; moved != NULL; moved = moved->next) {
        p->large[p->large_count++] = moved->value;
        if (moved->binary != NULL)
            all[moved->value.binary] = (struct hub_resource){.type = "Binary", .json = moved->binary};
        if (moved->reference != NULL)
            refs[event->reference_count++] = (struct hub_reference){moved->reference, moved->value.binary};
    }
    event->resources = all;
    event->resource_count = (uint32_t)resources;
    event->references = refs;
    return HUB_OK;
}

enum hub_result hub_large_move(struct hub_prepared *p, struct hub_event *event)
{
    struct mover m = {.arena = p->arena, .event = event};
    for (; m.owner < event->resource_count; m.owner++) {
        struct hub_json *resource = event->resources[m.owner].json;
        if (strcmp(event->resources[m.owner].type, "Binary") != 0) {
            HUB_TRY(walk(&m, resource, true));
            continue;
        }
        const struct hub_json *data = hub_json_get(resource, "data");
        struct moved *moved = NULL;
        if (data != NULL && is_large(data))
            HUB_TRY(add_moved(&m, hub_json_remove(resource, "data"), true, &moved));
    }
    return m.moved_count != 0 ? extend_event(&m, p) : HUB_OK;
}

bool hub_large_possible(struct hub_span message)
{
    return message.len > LARGE_BYTES;
}

const struct hub_large *hub_large_of(const struct hub_prepared *p, uint32_t binary)
{
    for (uint32_t i = 0; i < p->large_count; i++) {
        if (p->large[i].binary == binary)
            return &p->large[i];
    }
    return NULL;
}

static enum hub_data_class class_of(const struct hub_policy *policy, const struct hub_event *event,
                                    const struct hub_large *large)
{
    const struct hub_resource *owner = &event->resources[large->owner];
    const struct hub_policy_node *node = hub_policy_resource(policy, owner->type);
    enum hub_data_class class_ = hub_policy_node_class(node);
    struct hub_span rest = large->path;
    if (owner->entry.sensitive)
        return HUB_DATA_SENSITIVE;
    while (rest.len != 0 && node != NULL) {
        const uint8_t *dot = memchr(rest.ptr, '.', rest.len);
        const size_t len = dot != NULL ? (size_t)(dot - rest.ptr) : rest.len;
        node = hub_policy_child(node, (const char *)rest.ptr, len);
        class_ = node != NULL ? hub_policy_node_class(node) : class_;
        rest = dot != NULL ? hub_span_of(dot + 1, rest.len - len - 1) : HUB_SPAN_NONE;
    }
    /* content of a patient never stays clear for want of a rule */
    return class_ != HUB_DATA_CLEAR ? class_ : HUB_DATA_CLINICAL;
}

enum hub_data_class hub_large_class(const struct hub_prepared *p, const struct hub_policy *policy,
                                    const struct hub_event *event, const struct hub_large *large)
{
    const enum hub_data_class class_ = class_of(policy, event, large);
    for (uint32_t i = 0; i < p->large_count; i++) {
        if (p->large[i].binary == large->binary && class_of(policy, event, &p->large[i]) != class_)
            return HUB_DATA_SENSITIVE; /* who may not read all the elements it stands in does not read it */
    }
    return class_;
}

enum hub_result hub_large_put_back(const struct hub_prepared *p, const struct hub_event *event)
{
    for (uint32_t i = 0; i < p->large_count; i++) {
        const struct hub_large *large = &p->large[i];
        struct hub_span text = large->text;
        if (large->shared)
            continue;
        if (!large->encoded) {
            const size_t cap = hub_encoded_len(HUB_BASE64, text.len) + 1;
            char *encoded = hub_arena_bytes(p->arena, cap);
            HUB_ENSURE(encoded != NULL, HUB_NO_MEMORY);
            text = hub_span_of(encoded, hub_encode(HUB_BASE64, text, encoded, cap));
        }
        HUB_TRY(hub_json_set_string(p->arena, event->resources[large->binary].json, "data", text));
    }
    return HUB_OK;
}
