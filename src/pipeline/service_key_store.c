/* What operators do with keys: list, rotate, grant, revoke, shred. Who asked stands in the signed records, and the
 * audit entries are made of those. */
#include "src/pipeline/session.h"

#include <string.h>

#include "src/base/mem.h"

/* --- list --- */

struct listing {
    struct hub_request *request;
    struct hub_json **rows; /* class keys, newest first */
    size_t count, cap;
    enum hub_result result;
};

static enum hub_result class_row(struct hub_arena *arena, const struct hub_keys_class *key, struct hub_json **out)
{
    char time[HUB_TIME_TEXT_LEN + 1];
    struct hub_json *row = hub_json_new(arena, HUB_JSON_OBJECT), *roles = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(row != NULL && roles != NULL, HUB_NO_MEMORY);
    hub_time_format(key->created_us, time);
    HUB_TRY(hub_json_set_string(arena, row, "kind", HUB_SPAN("class-key")));
    HUB_TRY(hub_json_set_string(arena, row, "id", hub_arena_copy(arena, hub_span_str(key->id.text))));
    HUB_TRY(hub_json_set_string(arena, row, "class", hub_span_str(hub_data_class_name(key->class_))));
    HUB_TRY(hub_json_set_c(row, "epoch", hub_json_number_i64(arena, key->epoch)));
    HUB_TRY(hub_json_set_string(arena, row, "created", hub_arena_copy(arena, hub_span_str(time))));
    HUB_TRY(hub_json_set_string(arena, row, "state", key->current ? HUB_SPAN("active") : HUB_SPAN("ended")));
    HUB_TRY(hub_json_set_c(row, "fields", hub_json_number_i64(arena, (int64_t)key->fields)));
    HUB_TRY(hub_json_set_c(row, "bytes", hub_json_number_i64(arena, (int64_t)key->bytes)));
    *out = row;
    return hub_json_set_c(row, "roles", roles);
}

static void add_class(void *ctx, const struct hub_keys_class *key)
{
    struct listing *l = ctx;
    if (l->result == HUB_OK && l->count == l->cap) {
        const size_t cap = l->cap != 0 ? l->cap * 2 : 64;
        struct hub_json **grown = hub_mem_resize(l->rows, cap * sizeof(struct hub_json *));
        l->result = grown != NULL ? HUB_OK : HUB_NO_MEMORY;
        l->rows = grown != NULL ? grown : l->rows;
        l->cap = grown != NULL ? cap : l->cap;
    }
    if (l->result == HUB_OK)
        l->result = class_row(l->request->arena, key, &l->rows[l->count]);
    if (l->result == HUB_OK)
        l->count++;
}

static enum hub_result add_roles(struct listing *l, const struct hub_json *record)
{
    struct hub_arena *arena = l->request->arena;
    const struct hub_span id = hub_json_get_span(record, "id");
    const struct hub_json *sealed = hub_json_get(record, "sealed");
    size_t at = 0;
    while (at < l->count && !hub_span_equal(hub_json_get_span(l->rows[at], "id"), id))
        at++;
    if (at == l->count || sealed == NULL || sealed->type != HUB_JSON_ARRAY)
        return HUB_OK;
    struct hub_json *roles = hub_json_get(l->rows[at], "roles");
    for (const struct hub_json *g = sealed->first; g != NULL; g = g->next)
        HUB_TRY(hub_json_push(roles, hub_json_string(arena, hub_json_get_span(g, "role"))));
    return HUB_OK;
}

/* A record of something else: as it is, without its signature. */
static enum hub_result send_other(struct hub_request *request, struct hub_json *record, struct hub_span kind)
{
    (void)hub_json_remove(record, "signature");
    (void)hub_json_remove(record, "signer");
    HUB_TRY(hub_json_set_string(request->arena, record, "state", kind));
    return hub_answer_json(request, "key", record);
}

static bool on_record(void *ctx, struct hub_span line)
{
    struct listing *l = ctx;
    struct hub_json *record = NULL;
    l->result = hub_json_parse(l->request->arena, line, &record, NULL);
    if (l->result != HUB_OK)
        return false;
    const struct hub_span kind = hub_json_get_span(record, "kind");
    if (hub_span_is(kind, "class-key"))
        l->result = add_roles(l, record);
    else if (hub_span_is(kind, "shredded"))
        l->result = send_other(l->request, record, HUB_SPAN("shredded"));
    else if (hub_span_is(kind, "role-revoked"))
        l->result = send_other(l->request, record, HUB_SPAN("revoked"));
    else
        l->result = send_other(l->request, record, HUB_SPAN("granted"));
    return l->result == HUB_OK;
}

enum hub_result hub_service_keys_list(struct hub_request *request, struct hub_error *err)
{
    struct listing l = {.request = request, .result = HUB_OK};
    hub_keys_each_class(request->hub->keys, add_class, &l);
    if (l.result == HUB_OK && hub_keys_each_record(request->hub->keys, on_record, &l) != HUB_OK)
        l.result = hub_fail(err, HUB_IO, "the key store could not be read", NULL);
    for (size_t i = 0; i < l.count && l.result == HUB_OK; i++)
        l.result = hub_answer_json(request, "key", l.rows[i]);
    hub_mem_free(l.rows);
    HUB_TRY(l.result);
    size_t patients = 0;
    HUB_TRY(hub_keys_patient_count(request->hub->keys, &patients, err));
    return hub_answer_json(request, "patients", hub_json_number_i64(request->arena, (int64_t)patients));
}

/* --- rotate --- */

static enum hub_result rotate(struct hub_request *request, enum hub_data_class class_, struct hub_error *err)
{
    struct hub_key_id id;
    HUB_TRY(hub_keys_rotate(request->hub->keys, class_, request->session->peer, &id, err));
    struct hub_json *key = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(key != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(request->arena, key, "class", hub_span_str(hub_data_class_name(class_))));
    HUB_TRY(hub_json_set_string(request->arena, key, "id", hub_span_str(id.text)));
    HUB_TRY(hub_commit_keys(request->hub->commit, err)); /* in the audit log before it is answered */
    return hub_answer_json(request, "key", key);
}

enum hub_result hub_service_keys_rotate(struct hub_request *request, struct hub_error *err)
{
    struct hub_span name;
    enum hub_data_class class_ = HUB_DATA_CLEAR;
    HUB_TRY(hub_request_text(request, "class", false, &name, err));
    if (name.len != 0 && (!hub_data_class_of(name, &class_) || class_ == HUB_DATA_CLEAR))
        return hub_fail(err, HUB_USAGE, "no such data class",
                        "identity, contact, financial, clinical, sensitive or raw; none for all");
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        if (name.len == 0 || class_ == (enum hub_data_class)c)
            HUB_TRY(rotate(request, (enum hub_data_class)c, err));
    }
    return HUB_OK;
}

/* --- grant and revoke --- */

static enum hub_result role_asked(struct hub_request *request, const char **out, struct hub_error *err)
{
    struct hub_span name;
    HUB_TRY(hub_request_text(request, "role", true, &name, err));
    const struct hub_span copy = hub_arena_copy(request->arena, name);
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    *out = (const char *)copy.ptr;
    return strlen(*out) == name.len ? HUB_OK : hub_fail(err, HUB_NOT_FOUND, "no such role", NULL);
}

static enum hub_result answer_role(struct hub_request *request, const char *name, struct hub_span state,
                                   struct hub_error *err)
{
    struct hub_arena *arena = request->arena;
    const struct hub_role *role = hub_access_role(request->hub, name);
    struct hub_json *answer = hub_json_new(arena, HUB_JSON_OBJECT), *classes = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(answer != NULL && classes != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_commit_keys(request->hub->commit, err));
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES && role != NULL; c++) {
        if (role->classes[c])
            HUB_TRY(hub_json_push(classes, hub_json_string_c(arena, hub_data_class_name((enum hub_data_class)c))));
    }
    HUB_TRY(hub_json_set_string(arena, answer, "name", hub_span_str(name)));
    HUB_TRY(hub_json_set_string(arena, answer, "state", state));
    HUB_TRY(hub_json_set_c(answer, "classes", classes));
    return hub_answer_json(request, "role", answer);
}

enum hub_result hub_service_keys_grant(struct hub_request *request, struct hub_error *err)
{
    const char *role = NULL;
    HUB_TRY(role_asked(request, &role, err));
    HUB_TRY(hub_access_take(request->hub, role, request->session->peer, err));
    return answer_role(request, role, HUB_SPAN("granted"), err);
}

enum hub_result hub_service_keys_revoke(struct hub_request *request, struct hub_error *err)
{
    const char *role = NULL;
    HUB_TRY(role_asked(request, &role, err));
    HUB_TRY(hub_keys_revoke(request->hub->keys, role, request->session->peer, err));
    return answer_role(request, role, HUB_SPAN("revoked"), err);
}

/* --- shred --- */

static bool count_entry(void *ctx, struct hub_span key, struct hub_span record)
{
    (void)key;
    (void)record;
    ++*(int64_t *)ctx;
    return true;
}

/* What stands behind a token: entries, and whether a secret opens them. */
static enum hub_result answer_token(struct hub_request *request, struct hub_span token, struct hub_error *err)
{
    struct hub_token text;
    struct hub_key_id id;
    uint8_t secret[HUB_KEY_LEN];
    int64_t entries = 0;
    struct hub_json *answer = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(answer != NULL, HUB_NO_MEMORY);
    HUB_ENSURE(token.len == HUB_TOKEN_LEN, HUB_CORRUPT);
    memcpy(text.text, token.ptr, HUB_TOKEN_LEN);
    text.text[HUB_TOKEN_LEN] = '\0';
    HUB_TRY(hub_timelines_each_entry(request->hub->timelines, token, count_entry, &entries, err));
    enum hub_result result = hub_keys_patient(request->hub->keys, &text, false, secret, &id, NULL, err);
    hub_mem_wipe(secret, sizeof secret);
    if (result != HUB_OK && result != HUB_NO_KEY && result != HUB_SHREDDED)
        return result;
    HUB_TRY(hub_json_set_string(request->arena, answer, "token", token));
    HUB_TRY(hub_json_set_c(answer, "entries", hub_json_number_i64(request->arena, entries)));
    HUB_TRY(hub_json_set_string(request->arena, answer, "secret",
                                result == HUB_OK         ? HUB_SPAN("present")
                                : result == HUB_SHREDDED ? HUB_SPAN("shredded")
                                                         : HUB_SPAN("none")));
    return hub_answer_json(request, "token", answer);
}

enum hub_result hub_service_keys_tokens(struct hub_request *request, struct hub_error *err)
{
    struct hub_chart chart;
    HUB_TRY(hub_session_chart(request, &chart, err));
    for (size_t i = 0; i < chart.token_count; i++)
        HUB_TRY(answer_token(request, chart.tokens[i], err));
    return HUB_OK;
}

static bool in_chart(const struct hub_chart *chart, struct hub_span token)
{
    for (size_t i = 0; i < chart->token_count; i++) {
        if (hub_span_equal(chart->tokens[i], token))
            return true;
    }
    return false;
}

static enum hub_result shred(struct hub_request *request, struct hub_span token, struct hub_error *err)
{
    struct hub_token subject;
    struct hub_key_id id = {""};
    struct hub_json *answer = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(answer != NULL, HUB_NO_MEMORY);
    memcpy(subject.text, token.ptr, HUB_TOKEN_LEN);
    subject.text[HUB_TOKEN_LEN] = '\0';
    enum hub_result result = hub_keys_shred(request->hub->keys, &subject, request->session->peer, &id, err);
    if (result != HUB_OK && result != HUB_NO_KEY && result != HUB_SHREDDED)
        return result;
    HUB_TRY(hub_json_set_string(request->arena, answer, "token", token));
    if (result == HUB_OK)
        HUB_TRY(hub_json_set_string(request->arena, answer, "id", hub_span_str(id.text)));
    HUB_TRY(hub_json_set_string(request->arena, answer, "outcome",
                                result == HUB_OK         ? HUB_SPAN("shredded")
                                : result == HUB_SHREDDED ? HUB_SPAN("shredded-before")
                                                         : HUB_SPAN("no-secret")));
    HUB_TRY(hub_commit_keys(request->hub->commit, err));
    return hub_answer_json(request, "shredded", answer);
}

enum hub_result hub_service_keys_shred(struct hub_request *request, struct hub_error *err)
{
    struct hub_chart chart;
    struct hub_span *tokens;
    size_t count;
    HUB_TRY(hub_request_list(request, "tokens", &tokens, &count, err));
    if (count == 0)
        return hub_fail(err, HUB_USAGE, "name the tokens to be shredded", NULL);
    HUB_TRY(hub_session_chart(request, &chart, err));
    for (size_t i = 0; i < count; i++) {
        if (!hub_session_is_token(tokens[i]) || !in_chart(&chart, tokens[i]))
            return hub_fail(err, HUB_USAGE, "a token that is not of this chart",
                            "`chartline keys shred PATIENT` lists its tokens");
    }
    for (size_t i = 0; i < count; i++)
        HUB_TRY(shred(request, tokens[i], err));
    return HUB_OK;
}
