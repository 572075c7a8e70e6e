/* Opening what a reader's keys allow: an event, or one of its resources wherever it is kept. */
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/open_internal.h"

/* --- keys --- */

enum hub_result hub_opening_init(struct hub_opening *o, struct hub_span event_id, struct hub_span subject,
                                 struct hub_span seal, const struct hub_opener *opener, struct hub_error *err)
{
    memset(o, 0, sizeof *o);
    o->opener = opener;
    o->event_id = event_id;
    if (hub_field_seal_parse(seal, &o->field) != HUB_OK)
        return hub_fail(err, HUB_CRYPTO, "a seal that cannot be read", NULL);
    if (subject.len != HUB_TOKEN_LEN)
        return hub_fail(err, HUB_CRYPTO, "a subject that is no token", NULL);
    memcpy(o->subject.text, subject.ptr, subject.len);
    memcpy(o->listed, o->field.have, sizeof o->listed);
    memset(o->field.have, 0, sizeof o->field.have);
    return HUB_OK;
}

void hub_opening_deinit(struct hub_opening *o)
{
    hub_mem_wipe(o, sizeof *o);
}

static bool stays_masked(enum hub_result result)
{
    return result == HUB_NO_KEY || result == HUB_DENIED || result == HUB_SHREDDED;
}

/* Asked once per event and class. HUB_DENIED: the reader has none of that class. */
static enum hub_result opening_key(struct hub_opening *o, enum hub_data_class class_, struct hub_error *err)
{
    uint8_t key[HUB_KEY_LEN], commitment[HUB_HASH_LEN];
    if (o->field.have[class_])
        return HUB_OK;
    if (!o->listed[class_])
        return hub_fail(err, HUB_CRYPTO, "a ciphertext of a class that the seal does not list", NULL);
    if (!o->asked_secret) {
        o->secret_result =
            o->opener->patient_secret(o->opener->ctx, &o->field.secret_id, &o->subject, o->secret);
        o->asked_secret = true;
    }
    if (!o->asked[class_]) {
        o->class_result[class_] = o->secret_result == HUB_OK
                                      ? o->opener->class_key(o->opener->ctx, &o->field.class_id[class_], key)
                                      : o->secret_result;
        o->asked[class_] = true;
    }
    if (o->class_result[class_] != HUB_OK)
        return stays_masked(o->class_result[class_]) ? HUB_DENIED
                                                     : hub_fail(err, o->class_result[class_], NULL, NULL);
    memcpy(commitment, o->field.commitment[class_], sizeof commitment);
    const enum hub_result derived = hub_field_derive(&o->field, class_, key, o->secret);
    hub_mem_wipe(key, sizeof key);
    if (derived != HUB_OK)
        return hub_fail(err, derived, NULL, NULL);
    if (!hub_crypto_equal(commitment, o->field.commitment[class_], sizeof commitment)) {
        o->field.have[class_] = false;
        o->asked[class_] = false;
        memcpy(o->field.commitment[class_], commitment, sizeof commitment);
        return hub_fail(err, HUB_CRYPTO, "the key is not the one the seal commits to", NULL);
    }
    return HUB_OK;
}

enum hub_result hub_opening_field(struct hub_opening *o, struct hub_arena *arena,
                                  const struct hub_field_place *place, struct hub_span sealed,
                                  struct hub_span *content, struct hub_error *err)
{
    enum hub_data_class class_;
    if (hub_field_class(sealed, &class_) != HUB_OK)
        return hub_fail(err, HUB_CRYPTO, "not a sealed field", NULL);
    HUB_TRY(opening_key(o, class_, err));
    uint8_t *plain = hub_arena_alloc(arena, sealed.len);
    if (plain == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    const enum hub_result result = hub_field_open(&o->field, place, sealed, plain, content);
    return result == HUB_OK || result == HUB_NO_MEMORY
               ? result
               : hub_fail(err, HUB_CRYPTO, "a ciphertext, or what stands clear beside it, was changed", NULL);
}

/* --- places --- */

enum hub_result hub_opening_place(struct hub_opening *o, const struct hub_json *remainder, struct hub_span id,
                                  struct hub_field_place *place)
{
    struct hub_buf buf;
    hub_buf_init(&buf, SIZE_MAX / 2, true);
    hub_json_write(&buf, remainder);
    enum hub_result result = hub_buf_result(&buf);
    if (result == HUB_OK)
        hub_blake2b(NULL, hub_buf_view(&buf), place->remainder, HUB_HASH_LEN);
    hub_buf_deinit(&buf);
    place->event_id = o->event_id;
    place->subject = hub_span_of(o->subject.text, HUB_TOKEN_LEN);
    place->resource_id = id;
    return place->event_id.len <= 64 && id.len <= 64 ? result : HUB_CRYPTO;
}

enum hub_result hub_opening_decode(struct hub_arena *arena, struct hub_span text, struct hub_span *bytes)
{
    uint8_t *out = hub_arena_alloc(arena, text.len);
    size_t len = 0;
    HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
    HUB_ENSURE(hub_decode(HUB_BASE64, text, out, text.len, &len) == HUB_OK, HUB_CRYPTO);
    *bytes = hub_span_of(out, len);
    return HUB_OK;
}

/* --- a Binary --- */

struct sources {
    const struct hub_opening *opening;
    struct hub_arena *arena;
};

/* A Binary of the event that was opened before: HUB_DENIED when it was not. */
static enum hub_result source_of(void *ctx, uint32_t ordinal, bool encoded, struct hub_span *out)
{
    const struct sources *sources = ctx;
    const struct hub_opening *o = sources->opening;
    HUB_ENSURE(o->resources != NULL, HUB_DENIED);
    HUB_ENSURE(ordinal < o->resource_count, HUB_CORRUPT);
    HUB_ENSURE(o->resources[ordinal] != NULL, HUB_DENIED);
    const struct hub_span text = hub_json_get_span(o->resources[ordinal], "data");
    if (!encoded)
        return hub_opening_decode(sources->arena, text, out) == HUB_OK ? HUB_OK : HUB_CORRUPT;
    *out = text;
    return HUB_OK;
}

static enum hub_result set_positions(struct hub_arena *arena, struct hub_json *binary, struct hub_span positions)
{
    const struct hub_span type = hub_json_get_span(binary, "contentType");
    const struct hub_span parts[] = {type, HUB_SPAN(";positions=\""), positions, HUB_SPAN("\"")};
    if (positions.len == 0)
        return HUB_OK;
    const struct hub_span whole = hub_arena_concat(arena, parts, sizeof parts / sizeof parts[0]);
    HUB_ENSURE(whole.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, binary, "contentType", whole);
}

/* HUB_DENIED: it refers to a Binary that stays sealed. */
static enum hub_result set_binary(const struct hub_opening *o, struct hub_arena *arena, struct hub_json *binary,
                                  struct hub_span content)
{
    HUB_ENSURE(content.len >= 1, HUB_CORRUPT);
    const uint8_t kind = content.ptr[0];
    struct sources sources = {o, arena};
    struct hub_span body = hub_span_of(content.ptr + 1, content.len - 1), positions = HUB_SPAN_NONE;
    if (kind == 'T')
        return hub_json_set_string(arena, binary, "data", body);
    if (kind == 'P') {
        HUB_ENSURE(body.len >= 2, HUB_CORRUPT);
        const size_t len = (size_t)hub_le_read(body.ptr, 2);
        HUB_ENSURE(len <= body.len - 2, HUB_CORRUPT);
        positions = hub_span_of(body.ptr + 2, len);
        body = hub_span_of(body.ptr + 2 + len, body.len - 2 - len);
    } else if (kind == 'R') {
        HUB_TRY(hub_refer_restore(arena, body, source_of, &sources, &positions, &body));
    } else {
        HUB_ENSURE(kind == 'B', HUB_CORRUPT);
    }
    HUB_TRY(set_positions(arena, binary, positions));
    const size_t cap = hub_encoded_len(HUB_BASE64, body.len) + 1;
    char *text = hub_arena_bytes(arena, cap);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, binary, "data",
                               hub_span_of(text, hub_encode(HUB_BASE64, body, text, cap)));
}

static enum hub_result open_binary(struct hub_opening *o, struct hub_arena *arena, struct hub_json *binary,
                                   size_t *masked, struct hub_error *err)
{
    struct hub_field_place place;
    struct hub_span sealed, content;
    struct hub_json *data = hub_json_get(binary, "data");
    if (data == NULL)
        return HUB_OK;
    if (data->type != HUB_JSON_STRING || hub_opening_decode(arena, hub_json_span(data), &sealed) != HUB_OK)
        return hub_fail(err, HUB_CRYPTO, "not a sealed field", NULL);
    data = hub_json_remove(binary, "data");
    enum hub_result result = hub_opening_place(o, binary, hub_json_get_span(binary, "id"), &place);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    result = hub_opening_field(o, arena, &place, sealed, &content, err);
    if (result == HUB_DENIED) {
        ++*masked;
        return hub_json_set_c(binary, "data", data);
    }
    if (result != HUB_OK)
        return result;
    result = set_binary(o, arena, binary, content);
    if (result == HUB_DENIED) {
        ++*masked;
        return hub_json_set_c(binary, "data", data);
    }
    return result == HUB_OK ? HUB_OK
                            : hub_fail(err, result, "a sealed field that does not hold what it should", NULL);
}

/* --- any other resource --- */

struct sealed_list {
    struct hub_json *items[HUB_DATA_CLASSES]; /* the extensions, in their order */
    struct hub_span bytes[HUB_DATA_CLASSES];
    size_t count;
};

/* Takes the sealed extensions out. One per class at most, or what an element is could be said twice. */
static enum hub_result cut_sealed(struct hub_arena *arena, struct hub_json *resource, struct sealed_list *out,
                                  struct hub_error *err)
{
    struct hub_json *list = hub_json_get(resource, "extension");
    unsigned seen = 0;
    out->count = 0;
    for (size_t i = 0; list != NULL && list->type == HUB_JSON_ARRAY && i < list->len;) {
        struct hub_json *item = hub_json_at(list, i);
        enum hub_data_class class_;
        if (item->type != HUB_JSON_OBJECT || !hub_span_is(hub_json_get_span(item, "url"), HUB_URL_SEALED)) {
            i++;
            continue;
        }
        struct hub_span bytes = HUB_SPAN_NONE;
        const struct hub_span text = hub_json_get_span(item, "valueBase64Binary");
        if (item->len != 2 || hub_opening_decode(arena, text, &bytes) != HUB_OK ||
            hub_field_class(bytes, &class_) != HUB_OK || (seen & 1u << class_) != 0)
            return hub_fail(err, HUB_CRYPTO, "not a sealed field, or one too many of its class", NULL);
        seen |= 1u << class_;
        out->bytes[out->count] = bytes;
        out->items[out->count++] = hub_json_remove_at(list, i);
    }
    if (out->count != 0 && list->len == 0)
        (void)hub_json_remove(resource, "extension");
    return HUB_OK;
}

/* Those that stay masked go back behind the other extensions. */
static enum hub_result put_back(struct hub_arena *arena, struct hub_json *resource,
                                struct hub_json *const *items, size_t count)
{
    struct hub_json *list = hub_json_get(resource, "extension");
    if (count == 0)
        return HUB_OK;
    if (list == NULL || list->type != HUB_JSON_ARRAY) {
        list = hub_json_new(arena, HUB_JSON_ARRAY);
        HUB_TRY(hub_json_set_c(resource, "extension", list));
    }
    for (size_t i = 0; i < count; i++)
        HUB_TRY(hub_json_push(list, items[i]));
    return HUB_OK;
}

static enum hub_result open_lists(struct hub_opening *o, struct hub_arena *arena, struct hub_json *resource,
                                  size_t *masked, struct hub_error *err)
{
    struct sealed_list sealed;
    struct hub_field_place place;
    struct hub_json *lists[HUB_DATA_CLASSES];
    size_t opened = 0, left = 0;
    HUB_TRY(cut_sealed(arena, resource, &sealed, err));
    if (sealed.count == 0)
        return HUB_OK;
    enum hub_result result = hub_opening_place(o, resource, hub_json_get_span(resource, "id"), &place);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    for (size_t i = 0; i < sealed.count; i++) {
        struct hub_span content;
        result = hub_opening_field(o, arena, &place, sealed.bytes[i], &content, err);
        if (result == HUB_DENIED) {
            sealed.items[left++] = sealed.items[i];
            continue;
        }
        if (result != HUB_OK)
            return result;
        result = hub_json_parse(arena, content, &lists[opened++], NULL);
        if (result != HUB_OK)
            return hub_fail(err, result == HUB_NO_MEMORY ? result : HUB_CORRUPT,
                            "a sealed field that does not hold what it should", NULL);
    }
    *masked += left;
    result = hub_put_lists(arena, resource, lists, opened);
    if (result == HUB_OK)
        result = put_back(arena, resource, sealed.items, left);
    return result == HUB_OK ? HUB_OK
                            : hub_fail(err, result, "a sealed field that does not hold what it should", NULL);
}

static enum hub_result open_resource(struct hub_opening *o, struct hub_arena *arena,
                                     struct hub_json *resource, size_t *masked, struct hub_error *err)
{
    if (resource == NULL || resource->type != HUB_JSON_OBJECT)
        return hub_fail(err, HUB_SYNTAX, "not a resource", NULL);
    return hub_span_is(hub_json_get_span(resource, "resourceType"), "Binary")
               ? open_binary(o, arena, resource, masked, err)
               : open_lists(o, arena, resource, masked, err);
}

enum hub_result hub_protect_open_resource(struct hub_arena *arena, struct hub_json *resource,
                                          struct hub_span event_id, struct hub_span subject,
                                          struct hub_span seal, const struct hub_opener *opener,
                                          size_t *masked, struct hub_error *err)
{
    struct hub_opening opening;
    *masked = 0;
    enum hub_result result = hub_opening_init(&opening, event_id, subject, seal, opener, err);
    if (result == HUB_OK)
        result = open_resource(&opening, arena, resource, masked, err);
    hub_opening_deinit(&opening);
    return result;
}

enum hub_result hub_protect_open_event(struct hub_arena *arena, struct hub_json *event,
                                       const struct hub_opener *opener, size_t *masked, struct hub_error *err)
{
    struct hub_opening opening;
    *masked = 0;
    const struct hub_json *data = hub_json_get(event, "data");
    const struct hub_json *list = hub_json_get(data, "entry");
    if (data != NULL && list == NULL && hub_json_get(event, "supersedes") != NULL)
        return HUB_OK; /* it only takes others back */
    if (list == NULL || list->type != HUB_JSON_ARRAY)
        return hub_fail(err, HUB_SYNTAX, "not an event", NULL);
    const struct hub_json **opened = HUB_ARENA_ARRAY(arena, const struct hub_json *, (size_t)list->len + 1);
    if (opened == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result =
        hub_opening_init(&opening, hub_json_get_span(event, "id"), hub_json_get_span(event, "subject"),
                         hub_json_get_span(event, "seal"), opener, err);
    opening.resources = opened;
    for (const struct hub_json *entry = list->first; entry != NULL && result == HUB_OK; entry = entry->next) {
        struct hub_json *resource = hub_json_get(entry, "resource");
        const size_t before = *masked;
        result = open_resource(&opening, arena, resource, masked, err);
        if (result != HUB_OK && err != NULL)
            (void)hub_error_at(err, "data.entry[%u]", (unsigned)opening.resource_count);
        opened[opening.resource_count++] = *masked == before ? resource : NULL;
    }
    hub_opening_deinit(&opening);
    return result;
}
