#include <stdio.h>

#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/event/head.h"
#include "src/identity/identity.h"
#include "src/log/record.h"
#include "src/pipeline/forward_internal.h"

enum { FINGERPRINT_LEN = 16 };

static const struct hub_span json_type = {(const uint8_t *)"application/json", 16};

static enum hub_result damaged(struct hub_error *err, const char *what)
{
    return hub_fail(err, HUB_CORRUPT, what, "restore the event log from a copy");
}

static struct hub_bus_record record_of(struct hub_span key, struct hub_span subject, struct hub_span value,
                                       struct hub_span type, struct hub_span id)
{
    return (struct hub_bus_record){
        .key = key,
        .subject = subject,
        .value = value,
        .headers = {{"content-type", type}, {"chartline-id", id}},
        .header_count = 2,
    };
}

/* --- events and what they say about who is who --- */

/* JSON, signed, under `<event id>/<NAME>`, where the event's subject lies. */
static enum hub_result send_identity(const struct hub_signer *signer, struct hub_arena *arena, const struct hub_event_head *head,
                                     const char *name, struct hub_json *json, const struct hub_forward_sink *sink,
                                     struct hub_error *err)
{
    struct hub_span line;
    if (json == NULL || hub_json_set_string(arena, json, "subject", head->subject) != HUB_OK)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(hub_signed_write(arena, HUB_SIGNED_IDENTITY, json, signer, &line, err));
    const char *key = hub_arena_printf(arena, "%.*s/%s", (int)head->id.len, (const char *)head->id.ptr, name);
    if (key == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_bus_record record =
        record_of(hub_span_str(key), head->subject, line, json_type, hub_span_str(key));
    return sink->send(sink->ctx, HUB_TOPIC_IDENTITY, &record, err);
}

/* What a revision takes the place of; the facts of those events do not count any more. */
static enum hub_result fill_revision(struct hub_arena *arena, const struct hub_event_head *head, struct hub_json *json)
{
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY);
    struct hub_span rest = head->supersedes;
    uint64_t number = 0;
    HUB_ENSURE(json != NULL && list != NULL, HUB_NO_MEMORY);
    HUB_ENSURE(hub_span_parse_u64(head->revision, &number), HUB_SYNTAX);
    while (rest.len != 0) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        const size_t len = comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;
        HUB_TRY(hub_json_push(list, hub_json_string(arena, hub_span_of(rest.ptr, len))));
        rest = hub_span_of(rest.ptr + len + (comma != NULL), rest.len - len - (comma != NULL));
    }
    HUB_TRY(hub_json_set_string(arena, json, "event", head->id));
    HUB_TRY(hub_json_set_string(arena, json, "kind", HUB_SPAN("revision")));
    HUB_TRY(hub_json_set_string(arena, json, "recorded", head->recordedtime));
    HUB_TRY(hub_json_set_c(json, "revision", hub_json_number_i64(arena, (int64_t)number)));
    return hub_json_set_c(json, "supersedes", list);
}

static enum hub_result send_revision(const struct hub_signer *signer, struct hub_arena *arena, const struct hub_event_head *head,
                                     const struct hub_forward_sink *sink, struct hub_error *err)
{
    struct hub_json *json = hub_json_new(arena, HUB_JSON_OBJECT);
    enum hub_result result = fill_revision(arena, head, json);
    if (result != HUB_OK)
        return result == HUB_SYNTAX ? damaged(err, "a revision of the log without its number") : hub_fail(err, result, NULL, NULL);
    return send_identity(signer, arena, head, "revision", json, sink, err);
}

enum hub_result hub_forward_event(const struct hub_signer *signer, struct hub_arena *arena, struct hub_span event,
                                  const struct hub_forward_sink *sink, struct hub_error *err)
{
    static const struct hub_span type = {(const uint8_t *)"application/cloudevents+json", 28};
    struct hub_event_head head;
    struct hub_identity_statement *facts = NULL;
    size_t count = 0;
    enum hub_result admitted = sink->admit != NULL ? sink->admit(sink->ctx, event, err) : HUB_OK;
    if (admitted != HUB_OK)
        return admitted == HUB_END ? HUB_OK : admitted;
    if (hub_event_head(event, &head) != HUB_OK)
        return damaged(err, "an event of the log cannot be read");
    HUB_TRY(hub_identity_of_event(arena, &head, &facts, &count, err));
    for (size_t i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u", facts[i].order.n);
        HUB_TRY(send_identity(signer, arena, &head, name, hub_identity_json(arena, &facts[i]), sink, err));
    }
    if (head.revision.len != 0)
        HUB_TRY(send_revision(signer, arena, &head, sink, err));
    struct hub_bus_record record = record_of(head.subject, head.subject, event, type, head.id);
    return sink->send(sink->ctx, HUB_TOPIC_EVENTS, &record, err);
}

/* --- the others --- */

static enum hub_result send_letter(struct hub_arena *arena, struct hub_span letter,
                                   const struct hub_forward_sink *sink, struct hub_error *err)
{
    struct hub_json *json = NULL;
    HUB_TRY(hub_json_parse(arena, letter, &json, err));
    struct hub_span id = hub_json_get_span(json, "id");
    if (id.len == 0)
        return damaged(err, "a dead letter of the log without an id");
    struct hub_bus_record record = record_of(id, id, letter, json_type, id);
    return sink->send(sink->ctx, HUB_TOPIC_DEADLETTER, &record, err);
}

/* Records of one key never replace each other: the name holds a fingerprint of the record. */
enum hub_result hub_forward_key(struct hub_arena *arena, struct hub_span text, const struct hub_forward_sink *sink,
                                struct hub_error *err)
{
    uint8_t hash[HUB_HASH_LEN];
    char print[2 * HUB_HASH_LEN + 1];
    struct hub_json *json = NULL;
    HUB_TRY(hub_json_parse(arena, text, &json, err));
    struct hub_span id = hub_json_get_span(json, "id");
    if (id.len == 0)
        return damaged(err, "a key record of the log without an id");
    hub_sha256_of(text, hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), print, sizeof print);
    const char *key = hub_arena_printf(arena, "%.*s/%.*s", (int)id.len, (const char *)id.ptr, FINGERPRINT_LEN, print);
    if (key == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_bus_record record = record_of(hub_span_str(key), id, text, json_type, id);
    return sink->send(sink->ctx, HUB_TOPIC_KEYS, &record, err);
}

static enum hub_result send_section(const struct hub_signer *signer, struct hub_arena *arena,
                                    enum hub_section_kind kind, struct hub_span section,
                                    const struct hub_forward_sink *sink, bool *barrier, struct hub_error *err)
{
    switch (kind) {
    case HUB_SECTION_EVENT:
        return hub_forward_event(signer, arena, section, sink, err);
    case HUB_SECTION_DEAD_LETTER:
        return send_letter(arena, section, sink, err);
    case HUB_SECTION_KEY:
        *barrier = true;
        return hub_forward_key(arena, section, sink, err);
    case HUB_SECTION_AUDIT: /* the audit log is published as checkpoints */
    case HUB_SECTION_DEDUP:
    case HUB_SECTION_STATE:
    case HUB_SECTION_EVENT_HASH:
        return HUB_OK;
    }
    return HUB_OK;
}

enum hub_result hub_forward_records(const struct hub_signer *signer, struct hub_arena *arena, struct hub_span payload,
                                    const struct hub_forward_sink *sink, bool *barrier, struct hub_error *err)
{
    struct hub_record_view record;
    enum hub_section_kind kind;
    struct hub_span section;
    enum hub_result result;
    if (hub_record_parse(payload, &record) != HUB_OK)
        return damaged(err, "a record of the log cannot be read");
    if (record.kind == HUB_RECORD_CARRIED) /* sent when it was new */
        return HUB_OK;
    while ((result = hub_record_next(&record, &kind, &section)) == HUB_OK) {
        hub_arena_reset(arena);
        HUB_TRY(send_section(signer, arena, kind, section, sink, barrier, err));
    }
    return result == HUB_END ? HUB_OK : damaged(err, "a record of the log cannot be read");
}
