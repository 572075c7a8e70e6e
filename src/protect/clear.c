/* An event in the clear, to compare what a message became with what it would become; and the original message. */
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

enum { ATTRIBUTES_MAX = 64 * 1024 * 1024 };

static const char *const attributes[] = {"identity",   "messagetime", "subject", "time",
                                         "timesource", "tokens",      "trigger"};

/* --- what it would become --- */

static enum hub_result write_attributes(const struct hub_prepared *p, const struct hub_event *event,
                                        const struct hub_decoded *message, int64_t received_us, struct hub_buf *text)
{
    HUB_TRY(hub_attribute_identity(p, event, text));
    hub_attribute_message_time(message, text);
    hub_attribute_write(text, "subject", hub_span_str(p->subject.text));
    hub_attribute_times(event, message, received_us, text);
    hub_attribute_tokens(p, event, text);
    hub_attribute_write(text, "trigger", hub_span_str(message->trigger));
    hub_buf_append_byte(text, '}');
    HUB_TRY(hub_buf_result(text));
    text->ptr[0] = '{'; /* for the comma of the first */
    return HUB_OK;
}

static enum hub_result make_attributes(const struct hub_prepared *p, const struct hub_event *event,
                                       const struct hub_decoded *message, int64_t received_us, struct hub_json **out)
{
    struct hub_buf text;
    hub_buf_init(&text, ATTRIBUTES_MAX, true);
    enum hub_result result = write_attributes(p, event, message, received_us, &text);
    if (result == HUB_OK)
        result = hub_json_parse(p->arena, hub_buf_view(&text), out, NULL);
    hub_buf_deinit(&text);
    return result;
}

static enum hub_result put_together(struct hub_arena *arena, struct hub_json *made, struct hub_json *resources,
                                    struct hub_json **out)
{
    *out = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(*out != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_c(*out, "attributes", made));
    return hub_json_set_c(*out, "resources", resources);
}

static enum hub_result list_resources(const struct hub_prepared *p, const struct hub_policy *policy,
                                      struct hub_event *event, struct hub_json *list, struct hub_error *err)
{
    bool lifted = false;
    HUB_ENSURE(list != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_lift_resources(p, policy, event, &lifted));
    for (uint32_t i = 0; i < event->resource_count; i++) {
        struct hub_resource *resource = &event->resources[i];
        if (strcmp(resource->type, "Binary") != 0) {
            HUB_TRY(hub_entry_add(p, resource, resource->entry.sensitive, err));
        }
        HUB_TRY(hub_json_push(list, resource->json));
    }
    return hub_large_put_back(p, event);
}

enum hub_result hub_protect_clear(struct hub_keys *keys, const struct hub_policy *policy, struct hub_arena *arena,
                                  struct hub_event *event, const struct hub_decoded *message,
                                  const struct hub_origin *origin, uint32_t index, int64_t received_us,
                                  struct hub_json **out, struct hub_error *err)
{
    struct hub_prepared p;
    struct hub_json *made = NULL;
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_TRY(hub_prepare_event(&p, arena, keys, event, origin, index, err));
    enum hub_result result = list_resources(&p, policy, event, list, err);
    if (result == HUB_OK)
        result = make_attributes(&p, event, message, received_us, &made);
    if (result == HUB_OK)
        result = put_together(arena, made, list, out);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, NULL, NULL);
}

/* --- what it became --- */

/* An event that only takes others back has no entries at all, not even the original. */
static enum hub_result take_resources(struct hub_json *event, struct hub_json *list)
{
    struct hub_json *entries = hub_json_get(hub_json_get(event, "data"), "entry");
    HUB_ENSURE(list != NULL, HUB_NO_MEMORY);
    if (entries == NULL)
        return HUB_OK;
    HUB_ENSURE(entries->type == HUB_JSON_ARRAY && entries->len != 0, HUB_CORRUPT);
    uint32_t left = entries->len - 1;
    for (struct hub_json *entry = entries->first; left != 0; entry = entry->next, left--) {
        struct hub_json *resource = hub_json_remove(entry, "resource");
        HUB_ENSURE(resource != NULL, HUB_CORRUPT);
        HUB_TRY(hub_json_push(list, resource));
    }
    return HUB_OK;
}

enum hub_result hub_protect_clear_stored(struct hub_arena *arena, struct hub_json *event, struct hub_json **out,
                                         struct hub_error *err)
{
    struct hub_json *made = hub_json_new(arena, HUB_JSON_OBJECT);
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY);
    enum hub_result result = made != NULL ? HUB_OK : HUB_NO_MEMORY;
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0] && result == HUB_OK; i++) {
        if (hub_json_get(event, attributes[i]) != NULL)
            result = hub_json_set_string(arena, made, attributes[i], hub_json_get_span(event, attributes[i]));
    }
    if (result == HUB_OK)
        result = take_resources(event, list);
    if (result == HUB_OK)
        result = put_together(arena, made, list, out);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, "a stored event is not as it should be", NULL);
}

/* --- the original message --- */

struct piece { /* of the raw Binary of one event */
    struct hub_span bytes;
    struct hub_span positions; /* "0-120,540-900"; empty: all of the message */
};

static enum hub_result read_piece(struct hub_arena *arena, const struct hub_json *event, struct piece *out)
{
    static const char head[] = ";positions=\"";
    const struct hub_json *entries = hub_json_get(hub_json_get(event, "data"), "entry");
    HUB_ENSURE(entries != NULL && entries->type == HUB_JSON_ARRAY && entries->len != 0, HUB_CORRUPT);
    const struct hub_json *raw = hub_json_get(hub_json_at(entries, entries->len - 1), "resource");
    const struct hub_span data = hub_json_get_span(raw, "data"), type = hub_json_get_span(raw, "contentType");
    const uint8_t *at = type.len != 0 ? memmem(type.ptr, type.len, head, sizeof head - 1) : NULL;
    HUB_ENSURE(hub_span_is(hub_json_get_span(raw, "resourceType"), "Binary"), HUB_CORRUPT);
    uint8_t *bytes = hub_arena_alloc(arena, data.len + 1);
    size_t len = 0;
    HUB_ENSURE(bytes != NULL, HUB_NO_MEMORY);
    HUB_ENSURE(hub_decode(HUB_BASE64, data, bytes, data.len, &len) == HUB_OK, HUB_CORRUPT);
    *out = (struct piece){.bytes = hub_span_of(bytes, len)};
    if (at == NULL)
        return HUB_OK;
    const uint8_t *from = at + sizeof head - 1;
    const uint8_t *end = memchr(from, '"', (size_t)(type.ptr + type.len - from));
    HUB_ENSURE(end != NULL, HUB_CORRUPT);
    out->positions = hub_span_of(from, (size_t)(end - from));
    return HUB_OK;
}

/* Takes "FROM-TO" and the comma behind it off TEXT. */
static enum hub_result next_position(struct hub_span *text, uint64_t *from, uint64_t *to)
{
    const uint8_t *comma = memchr(text->ptr, ',', text->len);
    const size_t len = comma != NULL ? (size_t)(comma - text->ptr) : text->len;
    const uint8_t *dash = memchr(text->ptr, '-', len);
    HUB_ENSURE(dash != NULL, HUB_CORRUPT);
    const size_t first = (size_t)(dash - text->ptr);
    HUB_ENSURE(hub_span_parse_u64(hub_span_of(text->ptr, first), from) &&
                   hub_span_parse_u64(hub_span_of(dash + 1, len - first - 1), to) && *from <= *to,
               HUB_CORRUPT);
    const size_t cut = comma != NULL ? len + 1 : len;
    *text = hub_span_of(text->ptr + cut, text->len - cut);
    return HUB_OK;
}

static enum hub_result measure(const struct piece *pieces, size_t count, uint64_t *len)
{
    *len = 0;
    for (size_t i = 0; i < count; i++) {
        struct hub_span rest = pieces[i].positions;
        while (rest.len != 0) {
            uint64_t from = 0, to = 0;
            HUB_TRY(next_position(&rest, &from, &to));
            *len = to > *len ? to : *len;
        }
    }
    return HUB_OK;
}

static enum hub_result place(const struct piece *piece, uint8_t *message)
{
    struct hub_span rest = piece->positions;
    size_t at = 0;
    while (rest.len != 0) {
        uint64_t from = 0, to = 0;
        HUB_TRY(next_position(&rest, &from, &to));
        HUB_ENSURE(to - from <= piece->bytes.len - at, HUB_CORRUPT);
        if (to != from)
            memcpy(message + from, piece->bytes.ptr + at, (size_t)(to - from));
        at += (size_t)(to - from);
    }
    return at == piece->bytes.len ? HUB_OK : HUB_CORRUPT;
}

static enum hub_result original(struct hub_arena *arena, struct hub_json *const *events, size_t count,
                                struct hub_span *out)
{
    struct piece *pieces = HUB_ARENA_ARRAY(arena, struct piece, count);
    uint64_t len = 0;
    HUB_ENSURE(count != 0, HUB_CORRUPT);
    HUB_ENSURE(pieces != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++)
        HUB_TRY(read_piece(arena, events[i], &pieces[i]));
    *out = pieces[0].bytes;
    if (pieces[0].positions.len == 0)
        return HUB_OK;
    HUB_TRY(measure(pieces, count, &len));
    uint8_t *message = hub_arena_alloc(arena, (size_t)len + 1);
    HUB_ENSURE(message != NULL, HUB_NO_MEMORY);
    memset(message, 0, (size_t)len + 1);
    for (size_t i = 0; i < count; i++)
        HUB_TRY(place(&pieces[i], message));
    *out = hub_span_of(message, (size_t)len);
    return HUB_OK;
}

enum hub_result hub_protect_original(struct hub_arena *arena, struct hub_json *const *events, size_t count,
                                     struct hub_span *out, struct hub_error *err)
{
    enum hub_result result = original(arena, events, count, out);
    return result == HUB_OK ? HUB_OK
                            : hub_fail(err, result, "the sealed original message cannot be put together", NULL);
}
