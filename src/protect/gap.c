/* Writing what is sealed into an object that is already written: its clear remainder is hashed where it stands
 * and written once only. The content is put where its base64 will stand, and sealed and encoded there: a large one is
 * never in memory twice. */
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

#define ITEM_HEAD "{\"url\":\"" HUB_URL_SEALED "\",\"valueBase64Binary\":\""
#define ITEM_TAIL "\"}"
#define LIST_HEAD "\"extension\":["

/* Where a member stands to KEY: mostly its head tells. */
static inline int order_of(const struct hub_json *m, struct hub_json_key key)
{
    if (m->key_head != key.head)
        return m->key_head < key.head ? -1 : 1;
    return hub_span_compare(hub_span_of(m->key, m->key_len), hub_span_of(key.ptr, key.len));
}

enum hub_result hub_gap_write(struct hub_buf *json, const struct hub_json *object, struct hub_json_key key,
                              struct hub_gap *gap)
{
    bool first = true, found = false;
    hub_buf_append_byte(json, '{');
    for (const struct hub_json *m = object->first; m != NULL; m = m->next, first = false) {
        const int order = found ? 1 : order_of(m, key);
        if (!found && order > 0) {
            *gap = (struct hub_gap){json->len, false, first};
            found = true;
        }
        if (!first)
            hub_buf_append_byte(json, ',');
        hub_json_write_member(json, m);
        if (order == 0) {
            HUB_ENSURE(m->type == HUB_JSON_ARRAY && m->len != 0, HUB_TYPE);
            *gap = (struct hub_gap){json->len - 1, true, false};
            found = true;
        }
    }
    HUB_ASSERT(found); /* a member comes after every KEY: resourceType, trigger */
    hub_buf_append_byte(json, '}');
    return hub_buf_result(json);
}

static uint8_t *put_text(uint8_t *at, struct hub_span text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

/* LEN bytes of room at the gap; NULL: none. */
static uint8_t *open_gap(struct hub_buf *json, const struct hub_gap *gap, size_t len)
{
    if (hub_buf_reserve(json, len) == NULL)
        return NULL;
    uint8_t *at = json->ptr + gap->at;
    memmove(at + len, at, json->len - gap->at);
    json->len += len;
    return at;
}

static uint8_t *put_room(uint8_t *at, struct hub_gap_room *room)
{
    const size_t encoded = hub_encoded_len(HUB_BASE64, room->len);
    room->text = at;
    room->bytes = at + encoded - room->len;
    return at + encoded;
}

enum hub_result hub_gap_open_extensions(struct hub_buf *json, const struct hub_gap *gap, struct hub_gap_room *rooms, size_t count)
{
    size_t len = gap->in_list ? 1 : sizeof LIST_HEAD - 1 + 2; /* a comma; the list, its end and a comma */
    for (size_t i = 0; i < count; i++)
        len += (i != 0) + sizeof ITEM_HEAD - 1 + hub_encoded_len(HUB_BASE64, rooms[i].len) + sizeof ITEM_TAIL - 1;
    uint8_t *at = open_gap(json, gap, len);
    HUB_ENSURE(at != NULL, hub_buf_result(json));
    uint8_t *const end = at + len;
    if (!gap->first)
        *at++ = ',';
    if (!gap->in_list)
        at = put_text(at, HUB_SPAN(LIST_HEAD));
    for (size_t i = 0; i < count; i++) {
        if (i != 0)
            *at++ = ',';
        at = put_text(at, HUB_SPAN(ITEM_HEAD));
        at = put_room(at, &rooms[i]);
        at = put_text(at, HUB_SPAN(ITEM_TAIL));
    }
    if (!gap->in_list)
        *at++ = ']';
    if (gap->first)
        *at++ = ',';
    HUB_ASSERT(at == end);
    return HUB_OK;
}

enum hub_result hub_gap_open_text(struct hub_buf *json, const struct hub_gap *gap, struct hub_span key, struct hub_gap_room *room)
{
    /* "key":"base64" and a comma before or behind it */
    const size_t len = key.len + 3 + hub_encoded_len(HUB_BASE64, room->len) + 3;
    HUB_ASSERT(!gap->in_list);
    uint8_t *at = open_gap(json, gap, len);
    HUB_ENSURE(at != NULL, hub_buf_result(json));
    uint8_t *const end = at + len;
    if (!gap->first)
        *at++ = ',';
    *at++ = '"';
    at = put_text(at, key);
    at = put_text(at, HUB_SPAN("\":\""));
    at = put_room(at, room);
    *at++ = '"';
    if (gap->first)
        *at++ = ',';
    HUB_ASSERT(at == end);
    return HUB_OK;
}
