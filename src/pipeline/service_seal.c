/* Sealing by hand: a message or a FHIR Bundle becomes sealed events with the hub's keys, and nothing is
 * stored but the patient's secret, which the key store makes when it is new. */
#include "src/pipeline/session.h"

#include <string.h>

#include "src/codec/encode.h"
#include "src/pipeline/seal_bundle.h"
#include "src/protect/protect.h"

enum { EVENT_BYTES_MAX = 1 << 29 };

static enum hub_result seal_event(struct hub_request *request, const struct hub_rules_feed *by,
                                  struct hub_event *event,
                                  const struct hub_decoded *decoded, struct hub_span message, uint32_t index,
                                  struct hub_error *err)
{
    struct hub *hub = request->hub;
    const struct hub_origin origin = {
        .feed_id = hub_span_str(by->feed->id),
        .feed_name = hub_span_str(by->feed->name),
        .message = message,
        .mapping = hub_span_str(by->hash)};
    struct hub_sealed sealed;
    struct hub_buf json;
    char recorded[HUB_TIME_TEXT_LEN + 1];
    int64_t now = hub_clock_wall_us(hub->clock);
    hub_buf_init(&json, EVENT_BYTES_MAX, true);
    enum hub_result result = hub_protect_seal(hub->keys, by->policy, request->arena, event,
                                              decoded, &origin, index, now, &json, &sealed, err);
    if (result == HUB_OK) /* the secret must outlive us before anything sealed under it leaves */
        result = hub_keys_sync(hub->keys, err);
    if (result == HUB_OK) {
        hub_time_format(now, recorded);
        memcpy(json.ptr + sealed.recorded_at, recorded, HUB_TIME_TEXT_LEN);
        result = hub_answer_raw(request, "event", hub_buf_view(&json));
    }
    hub_buf_deinit(&json);
    return result;
}

static enum hub_result seal_message(struct hub_request *request, const struct hub_rules_feed *feed,
                                    struct hub_span message,
                                    struct hub_error *err)
{
    struct hub_decoded decoded;
    memset(&decoded, 0, sizeof decoded);
    HUB_TRY(feed->format->decode(feed->context, request->arena, message, &decoded, err));
    for (uint32_t i = 0; i < decoded.event_count; i++)
        HUB_TRY(seal_event(request, feed, &decoded.events[i], &decoded, message, i, err));
    return HUB_OK;
}

static enum hub_result seal_json(struct hub_request *request, const struct hub_rules *rules,
                                 const struct hub_rules_feed *feed, struct hub_span bytes, struct hub_error *err)
{
    struct hub_json *tree = NULL;
    struct hub_event event;
    char now[HUB_TIME_TEXT_LEN + 1];
    HUB_TRY(hub_json_parse(request->arena, bytes, &tree, err));
    HUB_TRY(hub_seal_bundle(request->arena, hub_rules_config(rules), tree, &event, err));
    int64_t now_us = hub_clock_wall_us(request->hub->clock);
    hub_time_format(now_us, now);
    event.time = (struct hub_when){hub_span_of(now, HUB_TIME_TEXT_LEN), now_us};
    event.time_source = "received";
    event.raw = bytes;
    const struct hub_decoded decoded = {.events = &event, .event_count = 1, .message_time = event.time};
    return seal_event(request, feed, &event, &decoded, bytes, 0, err);
}

static enum hub_result seal(struct hub_request *request, const struct hub_rules *rules, struct hub_span name,
                            struct hub_span message, struct hub_error *err)
{
    const struct hub_rules_feed *feed = hub_rules_feed_named(rules, name);
    size_t start = 0;
    if (feed == NULL)
        return hub_fail(err, HUB_USAGE, "the configuration has no such feed",
                        "`chartline status` lists the feeds");
    while (start < message.len && (message.ptr[start] == ' ' || message.ptr[start] == '\t' ||
                                   message.ptr[start] == '\r' || message.ptr[start] == '\n'))
        start++;
    if (start < message.len && message.ptr[start] == '{')
        return seal_json(request, rules, feed, message, err);
    return seal_message(request, feed, message, err);
}

enum hub_result hub_service_event_seal(struct hub_request *request, struct hub_error *err)
{
    struct hub_span name;
    struct hub_span text;
    HUB_TRY(hub_request_text(request, "feed", false, &name, err));
    HUB_TRY(hub_request_text(request, "bytes", true, &text, err));
    size_t cap = text.len / 4 * 3 + 3;
    size_t len = 0;
    uint8_t *bytes = (uint8_t *)hub_arena_bytes(request->arena, cap);
    if (bytes == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (hub_decode(HUB_BASE64, text, bytes, cap, &len) != HUB_OK)
        return hub_fail(err, HUB_USAGE, "bytes is not base64", NULL);
    struct hub_rules *rules = NULL;
    HUB_TRY(hub_rules_with_feeds(request->hub, &rules, err));
    enum hub_result result = seal(request, rules, name, hub_span_of(bytes, len), err);
    hub_rules_free(rules);
    return result;
}
