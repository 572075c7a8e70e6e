#include "src/pipeline/stored.h"

#include <string.h>

/* --- reading --- */

static enum hub_result add_event(struct hub_arena *arena, struct hub_span section, struct hub_stored *out, size_t *cap,
                                 struct hub_error *err)
{
    if (out->event_count == *cap) {
        const size_t more = *cap != 0 ? *cap * 2 : 4;
        struct hub_json **events = HUB_ARENA_ARRAY(arena, struct hub_json *, more);
        if (events == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        if (out->event_count != 0)
            memcpy(events, out->events, out->event_count * sizeof(*events));
        out->events = events;
        *cap = more;
    }
    struct hub_json *event = NULL;
    HUB_TRY(hub_json_parse(arena, section, &event, err));
    out->events[out->event_count++] = event;
    if (hub_json_get(hub_json_get(event, "data"), "entry") != NULL)
        out->content_count = out->event_count;
    return HUB_OK;
}

/* Who sent it stands in the message's own audit entry only. */
static enum hub_result read_entry(struct hub_arena *arena, struct hub_span section, struct hub_stored *out,
                                  struct hub_error *err)
{
    struct hub_json *entry = NULL;
    if (out->sender.len != 0)
        return HUB_OK;
    HUB_TRY(hub_json_parse(arena, section, &entry, err));
    if (!hub_span_is(hub_json_get_span(entry, "message"), out->dedup.message_id))
        return HUB_OK;
    out->sender = hub_json_get_span(entry, "sender");
    out->who = hub_json_get_span(entry, "who");
    return HUB_OK;
}

static enum hub_result read_section(struct hub_arena *arena, enum hub_section_kind kind, struct hub_span bytes,
                                    struct hub_stored *out, size_t *cap, struct hub_error *err)
{
    switch (kind) {
    case HUB_SECTION_EVENT:
        return add_event(arena, bytes, out, cap, err);
    case HUB_SECTION_DEDUP:
        return hub_record_dedup(bytes, &out->dedup);
    case HUB_SECTION_AUDIT:
        return read_entry(arena, bytes, out, err);
    case HUB_SECTION_DEAD_LETTER:
        return hub_json_parse(arena, bytes, &out->letter, err);
    case HUB_SECTION_KEY:
    case HUB_SECTION_STATE:
    case HUB_SECTION_EVENT_HASH:
        break;
    }
    return HUB_OK;
}

static enum hub_result read_revision(struct hub_stored *out)
{
    uint64_t revision = 0;
    out->origin_us = out->recorded_us;
    if (out->kind != HUB_RECORD_REVISED)
        return HUB_OK;
    HUB_ENSURE(out->event_count != 0, HUB_CORRUPT);
    const struct hub_span recorded = hub_json_get_span(out->events[0], "originrecorded");
    HUB_ENSURE(hub_span_parse_u64(hub_json_get_span(out->events[0], "revision"), &revision) && revision <= UINT32_MAX &&
                   hub_time_parse((const char *)recorded.ptr, recorded.len, &out->origin_us) == 0,
               HUB_CORRUPT);
    out->revision = (uint32_t)revision;
    return HUB_OK;
}

static enum hub_result parse(struct hub_arena *arena, uint64_t number, struct hub_span payload, struct hub_stored *out,
                             struct hub_error *err)
{
    struct hub_record_view record;
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    size_t cap = 0;
    HUB_TRY(hub_record_parse(payload, &record));
    if (record.kind != HUB_RECORD_MESSAGE && record.kind != HUB_RECORD_REVISED && record.kind != HUB_RECORD_REJECTED)
        return HUB_OK;
    out->kind = record.kind;
    out->recorded_us = record.recorded_us;
    out->feed = hub_arena_copy(arena, record.feed);
    HUB_ENSURE(out->feed.ptr != NULL, HUB_NO_MEMORY);
    while ((result = hub_record_next(&record, &kind, &bytes)) == HUB_OK)
        HUB_TRY(read_section(arena, kind, bytes, out, &cap, err));
    HUB_ENSURE(result == HUB_END, result);
    HUB_TRY(read_revision(out));
    out->number = number;
    return HUB_OK;
}

enum hub_result hub_stored_parse(struct hub_arena *arena, uint64_t number, struct hub_span payload, struct hub_stored *out,
                                 struct hub_error *err)
{
    memset(out, 0, sizeof(*out));
    enum hub_result result = parse(arena, number, payload, out, err);
    if (result == HUB_OK || result == HUB_NO_MEMORY)
        return result;
    (void)hub_fail(err, HUB_CORRUPT, "a stored message cannot be read", NULL);
    hub_error_number(err, (int64_t)number);
    return HUB_CORRUPT;
}

/* --- opening --- */

static enum hub_result remember(struct hub_own_keys *own, enum hub_result result)
{
    if (own->why == HUB_OK)
        own->why = result;
    return result;
}

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    struct hub_own_keys *own = ctx;
    enum hub_data_class class_;
    return remember(own, hub_keys_class_by_id(own->keys, id, key, &class_, NULL));
}

static enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    struct hub_own_keys *own = ctx;
    return remember(own, hub_keys_secret(own->keys, id, subject, secret, NULL));
}

struct hub_opener hub_own_opener(struct hub_own_keys *own)
{
    return (struct hub_opener){.class_key = class_key, .patient_secret = patient_secret, .ctx = own};
}

enum hub_result hub_stored_open(struct hub_arena *arena, struct hub_keys *keys, struct hub_stored *stored,
                                struct hub_span *original, struct hub_error *err)
{
    struct hub_own_keys own = {.keys = keys, .why = HUB_OK};
    const struct hub_opener opener = hub_own_opener(&own);
    for (size_t i = 0; i < stored->content_count; i++) {
        size_t masked = 0;
        HUB_TRY(hub_protect_open_event(arena, stored->events[i], &opener, &masked, err));
        if (masked != 0)
            return hub_fail(err, own.why != HUB_OK ? own.why : HUB_NO_KEY, "the stored message cannot be opened any more",
                            own.why == HUB_SHREDDED ? "it was shredded: nothing to mend" : "restore the key store");
    }
    return hub_protect_original(arena, stored->events, stored->content_count, original, err);
}
