/* From a patient event to the sealed CloudEvent in canonical form. */
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

enum { LIST_BYTES_MAX = 256 * 1024 * 1024 };

struct sealer {
    struct hub_keys *keys;
    const struct hub_policy *policy;
    struct hub_arena *arena;
    struct hub_event *event;
    struct hub_prepared prepared;
    struct hub_field_keys field;
    struct hub_take take;
    struct hub_buf scratch; /* the clear remainder */
    uint32_t ordinal;       /* ciphertexts of the event so far */
    bool new_secret;
};

/* --- keys --- */

static enum hub_result take_keys(struct sealer *s, struct hub_error *err)
{
    uint8_t secret[HUB_KEY_LEN], key[HUB_KEY_LEN];
    enum hub_result result = s->event->has_patient
                                 ? hub_keys_patient(s->keys, &s->prepared.subject, true, secret,
                                                    &s->field.secret_id, &s->new_secret, err)
                                 : hub_keys_one_off(s->keys, secret, &s->field.secret_id);
    s->field.suite = hub_policy_suite(s->policy);
    hub_random(s->field.salt, sizeof s->field.salt);
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES && result == HUB_OK; c++) {
        result = hub_keys_class_current(s->keys, (enum hub_data_class)c, key, &s->field.class_id[c], err);
        if (result == HUB_OK)
            result = hub_field_derive(&s->field, (enum hub_data_class)c, key, secret);
    }
    hub_mem_wipe(secret, sizeof secret);
    hub_mem_wipe(key, sizeof key);
    return result;
}

/* --- one resource --- */

static void place_of(const struct sealer *s, struct hub_span id, struct hub_span remainder,
                     struct hub_field_place *place)
{
    place->event_id = hub_span_of(s->prepared.id.text, HUB_EVENT_ID_LEN);
    place->subject = hub_span_of(s->prepared.subject.text, HUB_TOKEN_LEN);
    place->resource_id = id;
    hub_blake2b(NULL, remainder, place->remainder, HUB_HASH_LEN);
}

/* What stands in ROOM behind the head, LEN bytes, is sealed there and becomes text. */
static enum hub_result seal_in(struct sealer *s, const struct hub_field_place *place, enum hub_data_class class_,
                               const struct hub_gap_room *room, size_t len)
{
    HUB_TRY(hub_field_seal(&s->field, place, class_, s->ordinal++, room->bytes, len));
    hub_encode_over(room->text, room->len);
    return HUB_OK;
}

static enum hub_result write_sealed(struct sealer *s, const struct hub_json *resource, struct hub_buf *json)
{
    struct hub_field_place place;
    struct hub_gap_room rooms[HUB_DATA_CLASSES];
    struct hub_gap gap;
    size_t count = 0;
    const size_t begin = json->len;
    HUB_TRY(hub_gap_write(json, resource, hub_json_key("extension", 9), &gap));
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        if (s->take.lists[c].len != 0)
            rooms[count++].len = hub_field_sealed_len(s->take.lists[c].len);
    }
    if (count == 0)
        return HUB_OK;
    place_of(s, hub_json_get_span(resource, "id"), hub_span_of(json->ptr + begin, json->len - begin), &place);
    HUB_TRY(hub_gap_open_extensions(json, &gap, rooms, count));
    const struct hub_gap_room *room = rooms;
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        const struct hub_span list = hub_buf_view(&s->take.lists[c]);
        if (list.len == 0)
            continue;
        memcpy(room->bytes + HUB_SEALED_HEAD, list.ptr, list.len);
        HUB_TRY(seal_in(s, &place, (enum hub_data_class)c, room++, list.len));
    }
    return HUB_OK;
}

/* --- Binaries --- */

/* The content of a Binary. It starts with a byte that says what follows: B the bytes, P positions and the bytes, T the
 * text of `data` where it is not plain base64, R a program that refers to other Binaries (docs/FORMATS.md). */
struct content {
    struct hub_span parts[3]; /* one after the other */
    struct hub_span encoded;  /* base64 of what comes behind them */
};

/* Of base64 that is right, else of no meaning. */
static size_t decoded_len(struct hub_span text)
{
    const size_t cap = text.len / 4 * 3;
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
        padding++;
    return cap > padding ? cap - padding : 0;
}

/* HUB_SYNTAX: what is encoded is not base64. */
static enum hub_result put_content(const struct content *content, uint8_t *at, size_t len)
{
    const size_t parts = sizeof content->parts / sizeof content->parts[0];
    size_t got = 0;
    for (size_t i = 0; i < parts; i++) {
        const struct hub_span part = content->parts[i];
        if (part.len != 0)
            memcpy(at, part.ptr, part.len);
        at += part.len;
        len -= part.len;
    }
    if (content->encoded.len == 0)
        return HUB_OK;
    return hub_decode(HUB_BASE64, content->encoded, at, len, &got) == HUB_OK && got == len ? HUB_OK : HUB_SYNTAX;
}

/* Nothing of what is half done stays, in JSON or in memory. */
static void take_back(struct hub_buf *json, size_t begin)
{
    if (json->len > begin)
        hub_mem_wipe(json->ptr + begin, json->len - begin);
    json->len = begin;
}

static enum hub_result write_binary(struct sealer *s, const struct hub_json *binary, enum hub_data_class class_,
                                    const struct content *content, struct hub_buf *json)
{
    struct hub_field_place place;
    struct hub_gap gap;
    const size_t begin = json->len;
    size_t len = content->encoded.len != 0 ? decoded_len(content->encoded) : 0;
    for (size_t i = 0; i < sizeof content->parts / sizeof content->parts[0]; i++)
        len += content->parts[i].len;
    struct hub_gap_room room = {.len = hub_field_sealed_len(len)};
    HUB_TRY(hub_gap_write(json, binary, hub_json_key("data", 4), &gap));
    place_of(s, hub_json_get_span(binary, "id"), hub_span_of(json->ptr + begin, json->len - begin), &place);
    HUB_TRY(hub_gap_open_text(json, &gap, HUB_SPAN("data"), &room));
    const enum hub_result result = put_content(content, room.bytes + HUB_SEALED_HEAD, len);
    if (result != HUB_OK) {
        take_back(json, begin);
        return result;
    }
    return seal_in(s, &place, class_, &room, len);
}

/* TEXT is what `data` said. */
static enum hub_result write_decoded(struct sealer *s, const struct hub_json *binary, enum hub_data_class class_,
                                     struct hub_span text, struct hub_buf *json)
{
    const struct content bytes = {.parts = {HUB_SPAN("B")}, .encoded = text};
    const struct content sent = {.parts = {HUB_SPAN("T"), text}};
    const enum hub_result result = write_binary(s, binary, class_, &bytes, json);
    return result == HUB_SYNTAX ? write_binary(s, binary, class_, &sent, json) : result;
}

/* What the policy says of a Binary that is an entry by itself, and of the original message. */
static enum hub_data_class binary_class(const struct sealer *s)
{
    const struct hub_policy_node *whole = hub_policy_resource(s->policy, "Binary");
    const struct hub_policy_node *node = hub_policy_child(whole, "data", 4);
    const enum hub_data_class class_ = hub_policy_node_class(node != NULL ? node : whole);
    return class_ != HUB_DATA_CLEAR ? class_ : HUB_DATA_RAW; /* it is always somebody's content */
}

static enum hub_result write_sent_binary(struct sealer *s, uint32_t ordinal, struct hub_buf *json)
{
    struct hub_json *binary = s->event->resources[ordinal].json;
    const struct hub_large *large = hub_large_of(&s->prepared, ordinal);
    const struct hub_json *data = hub_json_remove(binary, "data");
    if (large == NULL && data == NULL) {
        hub_json_write(json, binary);
        return hub_buf_result(json);
    }
    HUB_ENSURE(large != NULL || data->type == HUB_JSON_STRING, HUB_TYPE);
    const bool own = large == NULL || large->owner == ordinal;
    const enum hub_data_class class_ = own ? binary_class(s) : hub_large_class(&s->prepared, s->policy, s->event, large);
    if (large == NULL || large->encoded)
        return write_decoded(s, binary, class_, large != NULL ? large->text : hub_json_span(data), json);
    return write_binary(s, binary, class_, &(struct content){.parts = {HUB_SPAN("B"), large->text}}, json);
}

/* The original message; what large values it has stand in their own Binaries. */
static enum hub_result write_raw(struct sealer *s, struct hub_buf *json)
{
    const struct hub_span positions = s->event->raw_positions, raw = s->event->raw;
    const struct hub_json *binary = hub_prepare_raw(&s->prepared, s->event, false);
    struct content content = {.parts = {HUB_SPAN("B"), positions, raw}};
    enum hub_result result = HUB_NOT_FOUND;
    HUB_ENSURE(binary != NULL, HUB_NO_MEMORY);
    HUB_ENSURE(positions.len <= UINT16_MAX, HUB_TOO_LARGE);
    const uint8_t head[] = {'P', (uint8_t)positions.len, (uint8_t)(positions.len >> 8)};
    if (positions.len != 0)
        content.parts[0] = hub_span_of(head, sizeof head);
    hub_buf_reset(&s->scratch);
    if (s->prepared.large_count != 0)
        result = hub_refer_write(&s->prepared, s->event, &s->scratch);
    if (result == HUB_OK)
        content = (struct content){.parts = {hub_buf_view(&s->scratch)}};
    else if (result != HUB_NOT_FOUND)
        return result;
    return write_binary(s, binary, binary_class(s), &content, json);
}

static enum hub_result write_resource(struct sealer *s, uint32_t ordinal, struct hub_buf *json,
                                      struct hub_error *err)
{
    struct hub_resource *resource = &s->event->resources[ordinal];
    enum hub_result result;
    if (strcmp(resource->type, "Binary") == 0) {
        result = write_sent_binary(s, ordinal, json);
        return result == HUB_OK ? HUB_OK : hub_fail(err, result, NULL, NULL);
    }
    s->take.sensitive = resource->entry.sensitive;
    s->take.root = hub_policy_resource(s->policy, resource->type);
    HUB_TRY(hub_entry_add(&s->prepared, resource, s->take.sensitive, err));
    HUB_TRY(hub_take_resource(&s->take, resource->json, err));
    result = write_sealed(s, resource->json, json);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, NULL, NULL);
}

/* --- the CloudEvent --- */

static void begin_entry(struct hub_buf *json, bool first, const char *type, const char *id)
{
    if (!first)
        hub_buf_append_byte(json, ',');
    hub_buf_append_str(json, "{\"fullUrl\":\"" HUB_FULL_URL);
    hub_buf_append_str(json, type);
    hub_buf_append_byte(json, '/');
    hub_buf_append(json, id, HUB_RESOURCE_ID_LEN);
    hub_buf_append_str(json, "\",\"resource\":");
}

/* Room at once for what is known to be large, so that the buffer is not grown and copied by halves. */
static void reserve_large(const struct sealer *s, struct hub_buf *json)
{
    enum { BESIDE = 64 * 1024 };
    size_t len = 0;
    for (uint32_t i = 0; i < s->prepared.large_count; i++)
        len += s->prepared.large[i].shared ? 0 : s->prepared.large[i].text.len / 8 * (s->prepared.large[i].encoded ? 9 : 12);
    if (len != 0 && hub_buf_reserve(json, len + BESIDE) == NULL)
        json->failed = HUB_OK; /* it only was a guess */
}

static enum hub_result write_data(struct sealer *s, struct hub_buf *json, struct hub_error *err)
{
    const struct hub_event *event = s->event;
    bool lifted = false;
    if (hub_lift_resources(&s->prepared, s->policy, s->event, &lifted) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    s->take.lifted = lifted ? event : NULL;
    reserve_large(s, json);
    hub_buf_append_str(json, "{\"data\":{\"entry\":[");
    for (uint32_t i = 0; i < event->resource_count; i++) {
        begin_entry(json, i == 0, event->resources[i].type, s->prepared.ids[i]);
        HUB_TRY(write_resource(s, i, json, err));
        hub_buf_append_byte(json, '}');
    }
    begin_entry(json, event->resource_count == 0, "Binary", s->prepared.ids[event->resource_count]);
    const enum hub_result result = write_raw(s, json);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    hub_buf_append_str(json, "}],\"resourceType\":\"Bundle\",\"type\":\"collection\"}");
    return HUB_OK;
}

static enum hub_result write_event(struct sealer *s, const struct hub_decoded *message,
                                   const struct hub_origin *origin, int64_t received_us, struct hub_buf *json,
                                   size_t base, struct hub_sealed *out, struct hub_error *err)
{
    char recorded[HUB_TIME_TEXT_LEN + 1];
    if (hub_revision_withdraws(origin))
        hub_buf_append_str(json, "{\"data\":{\"resourceType\":\"Bundle\",\"type\":\"collection\"}");
    else
        HUB_TRY(write_data(s, json, err));
    hub_attribute_write(json, "datacontenttype", HUB_SPAN("application/fhir+json"));
    hub_attribute_write(json, "dataschema", HUB_SPAN("chartline:event/v1"));
    hub_attribute_write(json, "id", hub_span_str(s->prepared.id.text));
    enum hub_result result = hub_attribute_identity(&s->prepared, s->event, json);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    if (origin->mapping.len != 0)
        hub_attribute_write(json, "mapping", origin->mapping);
    hub_attribute_message_time(message, json);
    hub_revision_write_origin(&s->prepared, origin, json);
    hub_attribute_write(json, "policy", hub_span_str(hub_policy_name(s->policy)));
    hub_time_format(received_us, recorded);
    hub_attribute_write(json, "recordedtime", hub_span_str(recorded));
    const size_t recorded_end = json->len - 1;
    hub_revision_write_number(origin, json);
    hub_buf_append_str(json, ",\"seal\":\"");
    hub_field_seal_write(&s->field, json);
    hub_buf_append_str(json, "\",\"source\":");
    hub_buf_reset(&s->scratch);
    hub_buf_append_str(&s->scratch, "/feeds/");
    hub_buf_append_span(&s->scratch, origin->feed_name);
    hub_json_write_string(json, hub_buf_view(&s->scratch));
    hub_attribute_write(json, "specversion", HUB_SPAN("1.0"));
    hub_attribute_write(json, "subject", hub_span_str(s->prepared.subject.text));
    hub_revision_write_supersedes(&s->prepared, origin, json);
    hub_attribute_times(s->event, message, received_us, json);
    hub_attribute_tokens(&s->prepared, s->event, json);
    hub_attribute_write(json, "trigger", hub_span_str(message->trigger));
    hub_attribute_write(json, "type", HUB_SPAN("chartline.patient.event.v1"));
    hub_buf_append_byte(json, '}');
    result = hub_buf_result(json) == HUB_OK ? hub_buf_result(&s->scratch) : hub_buf_result(json);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    out->recorded_at = recorded_end - HUB_TIME_TEXT_LEN - base;
    hub_sha256_init(&out->prefix);
    hub_sha256_update(&out->prefix, hub_span_of(json->ptr + base, out->recorded_at));
    return HUB_OK;
}

static void sealer_init(struct sealer *s, struct hub_keys *keys, const struct hub_policy *policy,
                        struct hub_arena *arena, struct hub_event *event)
{
    memset(&s->field, 0, sizeof s->field);
    s->keys = keys;
    s->policy = policy;
    s->arena = arena;
    s->event = event;
    s->ordinal = 0;
    s->new_secret = false;
    s->take.prepared = &s->prepared;
    s->take.policy = policy;
    for (unsigned c = 0; c < HUB_DATA_CLASSES; c++)
        hub_buf_init(&s->take.lists[c], LIST_BYTES_MAX, true);
    hub_buf_init(&s->scratch, LIST_BYTES_MAX, true);
}

static void sealer_deinit(struct sealer *s)
{
    for (unsigned c = 0; c < HUB_DATA_CLASSES; c++)
        hub_buf_deinit(&s->take.lists[c]);
    hub_buf_deinit(&s->scratch);
    hub_mem_wipe(&s->field, sizeof s->field);
}

enum hub_result hub_protect_seal(struct hub_keys *keys, const struct hub_policy *policy,
                                 struct hub_arena *arena, struct hub_event *event,
                                 const struct hub_decoded *message, const struct hub_origin *origin,
                                 uint32_t index, int64_t received_us, struct hub_buf *json,
                                 struct hub_sealed *out, struct hub_error *err)
{
    struct sealer s;
    const size_t base = json->len;
    const enum hub_result before = json->failed;
    enum hub_result result;
    sealer_init(&s, keys, policy, arena, event);
    HUB_TRY_OUT(hub_prepare_event(&s.prepared, arena, keys, event, origin, index, err));
    HUB_TRY_OUT(take_keys(&s, err));
    HUB_TRY_OUT(write_event(&s, message, origin, received_us, json, base, out, err));
    hub_field_used(&s.field, keys);
    out->id = s.prepared.id;
    out->subject = s.prepared.subject;
    out->new_secret = s.new_secret;
    out->secret_id = s.field.secret_id;
out:
    if (result != HUB_OK) { /* nothing half done is left behind */
        take_back(json, base);
        json->failed = before;
    }
    sealer_deinit(&s);
    return result;
}
