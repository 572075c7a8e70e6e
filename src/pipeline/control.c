#include "src/pipeline/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"

enum {
    REQUEST_ARENA = 512 * 1024 * 1024,
    CLASSES_TEXT = 96,
    CATCH_UP_MS = 10000,
};

static const struct {
    const char *op;
    hub_service_fn serve;
} services[] = {
    {"audit.checkpoint", hub_service_audit_checkpoint},
    {"audit.show", hub_service_audit_show},
    {"deadletter.list", hub_service_deadletter_list},
    {"deadletter.replay", hub_service_deadletter_replay},
    {"deadletter.resolve", hub_service_deadletter_resolve},
    {"deadletter.show", hub_service_deadletter_show},
    {"event.seal", hub_service_event_seal},
    {"feed.diff", hub_service_feed_diff},
    {"feed.pause", hub_service_feed_pause},
    {"feed.remap", hub_service_feed_remap},
    {"feed.resume", hub_service_feed_resume},
    {"key.secrets", hub_service_key_secrets},
    {"keys.grant", hub_service_keys_grant},
    {"keys.list", hub_service_keys_list},
    {"keys.records", hub_service_keys_records},
    {"keys.revoke", hub_service_keys_revoke},
    {"keys.rotate", hub_service_keys_rotate},
    {"keys.shred", hub_service_keys_shred},
    {"keys.tokens", hub_service_keys_tokens},
    {"log.retain", hub_service_log_retain},
    {"log.show", hub_service_log_show},
    {"log.snapshot", hub_service_log_snapshot},
    {"message.find", hub_service_message_find},
    {"message.show", hub_service_message_show},
    {"patient.find", hub_service_patient_find},
    {"role.challenge", hub_service_role_challenge},
    {"role.prove", hub_service_role_prove},
    {"status", hub_service_status},
    {"timeline.chart", hub_service_timeline_chart},
    {"timeline.digest", hub_service_timeline_digest},
    {"timeline.follow", hub_service_timeline_follow},
    {"timeline.list", hub_service_timeline_list},
};

hub_service_fn hub_service_find(struct hub_span op, const char **name)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (hub_span_is(op, services[i].op)) {
            *name = services[i].op;
            return services[i].serve;
        }
    }
    return NULL;
}

/* --- sessions --- */

struct hub_session *hub_session_new(struct hub *hub, const char *peer)
{
    struct hub_session *session = hub_mem_alloc(sizeof(*session));
    if (session == NULL)
        return NULL;
    session->hub = hub;
    (void)snprintf(session->peer, sizeof(session->peer), "%s", peer);
    hub_arena_init(&session->arena, REQUEST_ARENA);
    return session;
}

void hub_session_free(struct hub_session *session)
{
    if (session == NULL)
        return;
    hub_arena_deinit(&session->arena);
    hub_mem_wipe(session->challenge, sizeof(session->challenge));
    hub_mem_free(session);
}

/* --- answers --- */

static enum hub_result send_out(struct hub_request *request)
{
    HUB_TRY(hub_buf_result(&request->out));
    if (!request->gone)
        request->gone = !request->line(request->ctx, hub_buf_view(&request->out));
    return request->gone ? HUB_CLOSED : HUB_OK;
}

enum hub_result hub_answer_raw(struct hub_request *request, const char *name, struct hub_span value)
{
    hub_buf_reset(&request->out);
    hub_buf_append_byte(&request->out, '{');
    hub_json_write_string(&request->out, hub_span_str(name));
    hub_buf_append_byte(&request->out, ':');
    hub_buf_append_span(&request->out, value);
    hub_buf_append_byte(&request->out, '}');
    return send_out(request);
}

enum hub_result hub_answer_json(struct hub_request *request, const char *name, const struct hub_json *value)
{
    HUB_ENSURE(value != NULL, HUB_NO_MEMORY);
    hub_buf_reset(&request->out);
    hub_buf_append_byte(&request->out, '{');
    hub_json_write_string(&request->out, hub_span_str(name));
    hub_buf_append_byte(&request->out, ':');
    hub_json_write(&request->out, value);
    hub_buf_append_byte(&request->out, '}');
    return send_out(request);
}

enum hub_result hub_answer_object(struct hub_request *request, const struct hub_json *object)
{
    hub_buf_reset(&request->out);
    hub_json_write(&request->out, object);
    return send_out(request);
}

bool hub_answer_alive(struct hub_request *request)
{
    if (!request->gone)
        request->gone = !request->line(request->ctx, HUB_SPAN_NONE);
    return !request->gone;
}

static void answer_error(struct hub_request *request, enum hub_result result, const struct hub_error *err)
{
    const struct hub_result_row *row = hub_result_row(result);
    hub_buf_reset(&request->out);
    hub_buf_append_str(&request->out, "{\"error\":{\"code\":");
    hub_json_write_string(&request->out, hub_span_str(row->metric));
    hub_buf_append_str(&request->out, ",\"mend\":");
    hub_json_write_string(&request->out, hub_span_str(err->mend != NULL ? err->mend : ""));
    hub_buf_append_str(&request->out, ",\"place\":");
    hub_json_write_string(&request->out, hub_span_str(err->place));
    hub_buf_append_str(&request->out, ",\"what\":");
    hub_json_write_string(&request->out,
                          hub_span_str(err->what != NULL && err->what[0] != '\0' ? err->what : row->text));
    hub_buf_append_str(&request->out, "}}");
    (void)send_out(request);
}

static enum hub_result serve(struct hub_request *request, struct hub_span text, struct hub_error *err)
{
    struct hub_json *body = NULL;
    enum hub_result result = hub_json_parse(request->arena, text, &body, err);
    if (result != HUB_OK || body->type != HUB_JSON_OBJECT)
        return hub_fail(err, HUB_SYNTAX, "a request is one JSON object in a line", NULL);
    request->body = body;
    hub_service_fn service = hub_service_find(hub_json_get_span(body, "op"), &request->op);
    if (service == NULL)
        return hub_fail(err, HUB_USAGE, "an operation that this hub does not know",
                        "check that hub and command are of one version");
    return service(request, err);
}

void hub_session_handle(struct hub_session *session, struct hub_span text,
                        bool (*line)(void *ctx, struct hub_span json), void *ctx)
{
    struct hub_error err = {0};
    struct hub_request request = {.session = session,
                                  .hub = session->hub,
                                  .arena = &session->arena,
                                  .op = "",
                                  .line = line,
                                  .ctx = ctx};
    hub_buf_init(&request.out, HUB_CONTROL_LINE_MAX, true);
    enum hub_result result = serve(&request, text, &err);
    if (result == HUB_OK) {
        hub_buf_reset(&request.out);
        hub_buf_append_str(&request.out, "{\"done\":true}");
        (void)send_out(&request);
    } else if (!request.gone) {
        answer_error(&request, result, &err);
    }
    hub_buf_deinit(&request.out);
    hub_arena_reset(&session->arena);
}

/* --- requests --- */

enum hub_result hub_request_text(struct hub_request *request, const char *name, bool required,
                                 struct hub_span *out, struct hub_error *err)
{
    const struct hub_json *node = hub_json_get(request->body, name);
    *out = HUB_SPAN_NONE;
    if (node == NULL && !required)
        return HUB_OK;
    if (node == NULL || node->type != HUB_JSON_STRING || (required && node->len == 0)) {
        (void)hub_fail(err, HUB_USAGE, node == NULL ? "a member is missing" : "a member is not a text", NULL);
        return hub_error_at(err, "%s", name);
    }
    *out = hub_json_span(node);
    return HUB_OK;
}

enum hub_result hub_request_number(struct hub_request *request, const char *name, uint64_t fallback,
                                   uint64_t *out, struct hub_error *err)
{
    const struct hub_json *node = hub_json_get(request->body, name);
    *out = fallback;
    if (node == NULL)
        return HUB_OK;
    if (node->type != HUB_JSON_NUMBER || !hub_span_parse_u64(hub_json_span(node), out)) {
        (void)hub_fail(err, HUB_USAGE, "a member is not a whole number", NULL);
        return hub_error_at(err, "%s", name);
    }
    return HUB_OK;
}

enum hub_result hub_request_list(struct hub_request *request, const char *name, struct hub_span **items,
                                 size_t *count, struct hub_error *err)
{
    const struct hub_json *list = hub_json_get(request->body, name);
    *items = NULL;
    *count = 0;
    if (list == NULL)
        return HUB_OK;
    size_t at = 0;
    bool good = list->type == HUB_JSON_ARRAY;
    if (good)
        *items = HUB_ARENA_ARRAY(request->arena, struct hub_span, list->len != 0 ? list->len : 1);
    HUB_ENSURE(!good || *items != NULL, HUB_NO_MEMORY);
    for (const struct hub_json *item = good ? list->first : NULL; item != NULL; item = item->next) {
        good = good && item->type == HUB_JSON_STRING;
        (*items)[at++] = hub_json_span(item);
    }
    if (!good) {
        (void)hub_fail(err, HUB_USAGE, "a member is not a list of texts", NULL);
        return hub_error_at(err, "%s", name);
    }
    *count = at;
    return HUB_OK;
}

/* --- reads --- */

/* Purposes come from people: what is not plain text of a reasonable length is refused rather than kept for
 * ever. */
static enum hub_result purpose_of(struct hub_request *request, char out[HUB_AUDIT_TEXT_MAX + 1],
                                  struct hub_error *err)
{
    struct hub_span purpose;
    HUB_TRY(hub_request_text(request, "purpose", false, &purpose, err));
    bool good = purpose.len <= HUB_AUDIT_TEXT_MAX;
    for (size_t i = 0; good && i < purpose.len; i++)
        good = purpose.ptr[i] >= 0x20 && purpose.ptr[i] != 0x7f;
    if (!good) {
        (void)hub_fail(err, HUB_USAGE, "a purpose is up to 127 bytes of plain text", NULL);
        return hub_error_at(err, "purpose");
    }
    if (purpose.len != 0)
        memcpy(out, purpose.ptr, purpose.len);
    out[purpose.len] = '\0';
    return HUB_OK;
}

static void join(const struct hub_span *items, size_t count, char out[CLASSES_TEXT])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && len + items[i].len + 2 < CLASSES_TEXT; i++) {
        if (len != 0)
            out[len++] = ',';
        memcpy(out + len, items[i].ptr, items[i].len);
        len += items[i].len;
        out[len] = '\0';
    }
}

enum hub_result hub_session_note_read(struct hub_request *request, const struct hub_span *tokens,
                                      size_t token_count, const struct hub_span *classes, size_t class_count,
                                      struct hub_error *err)
{
    const struct hub_session *session = request->session;
    struct hub_audit_builder builder;
    char purpose[HUB_AUDIT_TEXT_MAX + 1];
    char joined[CLASSES_TEXT];
    size_t from = 0;
    HUB_TRY(purpose_of(request, purpose, err));
    join(classes, class_count, joined);
    do {
        size_t part = token_count - from < HUB_AUDIT_LIST_MAX ? token_count - from : HUB_AUDIT_LIST_MAX;
        hub_audit_begin(&builder, HUB_AUDIT_READ, hub_clock_wall_us(request->hub->clock));
        hub_audit_text(&builder, "who", session->peer);
        hub_audit_text(&builder, "op", request->op);
        if (session->role != NULL)
            hub_audit_text(&builder, "role", session->role->name);
        if (purpose[0] != '\0')
            hub_audit_text(&builder, "purpose", purpose);
        if (joined[0] != '\0')
            hub_audit_text(&builder, "classes", joined);
        if (part != 0)
            hub_audit_list(&builder, "tokens", tokens + from, part);
        HUB_TRY(hub_note(request->hub, &builder, err));
        from += part;
    } while (from < token_count);
    return HUB_OK;
}

static struct hub_span canonical_system(const struct hub_config *config, struct hub_span system)
{
    for (size_t i = 0; i < config->authority_count; i++) {
        const struct hub_authority *authority = &config->authorities[i];
        bool named = hub_span_is(system, authority->name);
        for (size_t a = 0; a < authority->alias_count; a++)
            named = named || hub_span_is(system, authority->aliases[a]);
        if (named)
            return hub_span_str(authority->system);
    }
    return system;
}

bool hub_session_is_token(struct hub_span text)
{
    bool good = text.len == HUB_TOKEN_LEN && text.ptr[0] >= '0' && text.ptr[0] <= '9';
    for (size_t i = 1; good && i < text.len; i++)
        good = (text.ptr[i] >= 'a' && text.ptr[i] <= 'z') || (text.ptr[i] >= '2' && text.ptr[i] <= '7');
    return good;
}

bool hub_session_is_key_id(struct hub_span text)
{
    bool good = text.len == HUB_KEY_ID_LEN;
    for (size_t i = 0; good && i < text.len; i++)
        good = (text.ptr[i] >= '0' && text.ptr[i] <= '9') || (text.ptr[i] >= 'a' && text.ptr[i] <= 'f');
    return good;
}

enum hub_result hub_session_patient(struct hub_request *request, struct hub_span text, struct hub_token *out,
                                    struct hub_error *err)
{
    const uint8_t *bar = NULL;
    for (size_t i = text.len; i > 0 && bar == NULL; i--)
        bar = text.ptr[i - 1] == '|' ? text.ptr + i - 1 : NULL;
    if (bar != NULL) {
        struct hub_span system = hub_span_trim(hub_span_of(text.ptr, (size_t)(bar - text.ptr)));
        struct hub_span value = hub_span_trim(hub_span_of(bar + 1, text.len - (size_t)(bar - text.ptr) - 1));
        if (system.len == 0 || value.len == 0)
            return hub_fail(err, HUB_USAGE, "a patient's identifier is SYSTEM|VALUE", NULL);
        struct hub_rules *rules = hub_rules_now(request->hub);
        hub_keys_patient_token(request->hub->keys, canonical_system(hub_rules_config(rules), system), value,
                               out);
        hub_rules_free(rules);
        return HUB_OK;
    }
    if (!hub_session_is_token(text))
        return hub_fail(err, HUB_USAGE, "neither a chart id or token nor SYSTEM|VALUE",
                        "a token has 33 characters; quote SYSTEM|VALUE in a shell");
    memcpy(out->text, text.ptr, text.len);
    out->text[text.len] = '\0';
    return HUB_OK;
}

/* First the brokers have it, then the partitions of this process. */
static enum hub_result catch_up_bus(struct hub *hub, struct hub_error *err)
{
    enum { LOOK_US = 10000 };
    const uint64_t durable = hub_log_durable(hub->log);
    struct hub_forward_stats stats = {0};
    if (hub->unify == NULL)
        return hub_fail(err, HUB_ELSEWHERE, "this process keeps no part of the timeline",
                        "ask one that runs with the role timeline, while it runs");
    for (int64_t left_us = (int64_t)CATCH_UP_MS * 1000; hub->forward != NULL && !atomic_load(&hub->stopping); left_us -= LOOK_US) {
        hub_forward_stats(hub->forward, &stats);
        if (stats.delivered >= durable)
            break;
        if (left_us <= 0)
            return hub_fail(err, HUB_BUSY, "the brokers do not have all messages yet, a chart would not be whole",
                            "try again; `chartline status` shows how far they are and why");
        (void)usleep(LOOK_US);
    }
    return hub_unify_catch_up(hub->unify, CATCH_UP_MS, err);
}

enum hub_result hub_session_catch_up(struct hub_request *request, struct hub_error *err)
{
    struct hub *hub = request->hub;
    if (hub->timeline == NULL)
        return catch_up_bus(hub, err);
    uint64_t durable = hub_log_durable(hub->log);
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += CATCH_UP_MS / 1000;
    (void)pthread_mutex_lock(&hub->run_lock);
    while (hub->applier_running && atomic_load(&hub->applied) < durable && !atomic_load(&hub->stopping) &&
           !atomic_load(&hub->sick) &&
           pthread_cond_clockwait(&hub->run_changed, &hub->run_lock, CLOCK_MONOTONIC, &at) == 0)
        ;
    (void)pthread_mutex_unlock(&hub->run_lock);
    uint64_t applied = atomic_load(&hub->applied);
    if (applied >= durable)
        return HUB_OK;
    (void)hub_fail(err, HUB_BUSY, "the timeline is behind the messages stored, a chart would not be whole",
                   "try again; `chartline status` shows how far behind it is and why");
    hub_error_number(err, (int64_t)(durable - applied));
    return HUB_BUSY;
}
