#include "src/pipeline/session.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"

enum { VKEY_MAX = 512, SECRETS_MAX = 100000 };

/* --- key records, as they are published --- */

struct each_record {
    struct hub_request *request;
    enum hub_result result;
    enum hub_result (*use)(struct hub_request *request, struct hub_span line);
};

static bool on_record(void *ctx, struct hub_span line)
{
    struct each_record *each = ctx;
    each->result = each->use(each->request, line);
    return each->result == HUB_OK;
}

static enum hub_result each_record(struct hub_request *request,
                                   enum hub_result (*use)(struct hub_request *request, struct hub_span line))
{
    struct each_record each = {.request = request, .result = HUB_OK, .use = use};
    enum hub_result result = hub_keys_each_record(request->hub->keys, on_record, &each);
    return each.result != HUB_OK ? each.result : result;
}

static enum hub_result send_record(struct hub_request *request, struct hub_span line)
{
    return hub_answer_raw(request, "key", line);
}

/* The audit log's verifier key line, as it stands in its folder. */
static enum hub_result read_vkey(struct hub *hub, char out[VKEY_MAX], struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    size_t got = 0;
    int fd = -1;
    HUB_TRY(hub_path(hub, "audit/vkey", path, err));
    HUB_TRY(hub->disk->ops->open(hub->disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = hub->disk->ops->read(hub->disk, fd, 0, out, VKEY_MAX - 1, &got, err);
    hub->disk->ops->close(hub->disk, fd);
    while (got > 0 && out[got - 1] == '\n')
        got--;
    out[got] = '\0';
    return result;
}

enum hub_result hub_service_keys_records(struct hub_request *request, struct hub_error *err)
{
    char vkey[VKEY_MAX];
    char sign_public[64];
    struct hub_span public_key = hub_span_of(hub_keys_sign_public(request->hub->keys), HUB_SIGN_PUBLIC_LEN);
    HUB_TRY(each_record(request, send_record));
    HUB_TRY(hub_audit_catch_up(request->hub, false, err));
    HUB_TRY(read_vkey(request->hub, vkey, err));
    (void)hub_encode(HUB_BASE64, public_key, sign_public, sizeof(sign_public));
    struct hub_json *object = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(object != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(request->arena, object, "sign_public", hub_span_str(sign_public)));
    HUB_TRY(hub_json_set_string(request->arena, object, "vkey", hub_span_str(vkey)));
    return hub_answer_object(request, object);
}

/* --- proving a role --- */

enum hub_result hub_service_role_challenge(struct hub_request *request, struct hub_error *err)
{
    struct hub_session *session = request->session;
    struct hub_span name;
    uint8_t public_key[HUB_BOX_PUBLIC_LEN];
    uint8_t sealed[HUB_CHALLENGE_LEN + HUB_BOX_SEAL_LEN];
    char text[128];
    HUB_TRY(hub_request_text(request, "role", true, &name, err));
    struct hub_span copy = hub_arena_copy(request->arena, name);
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    const struct hub_role *role = hub_access_role(request->hub, (const char *)copy.ptr);
    if (role == NULL || strlen(role->name) != name.len)
        return hub_fail(err, HUB_DENIED, "no such role", "roles stand in the access policy");
    if (hub_keys_revoked(request->hub->keys, role->name))
        return hub_fail(err, HUB_DENIED, "the role was revoked", "`chartline keys grant` gives it back");
    HUB_TRY(hub_role_public_load(role->public_key_path, public_key, err));
    hub_random(session->challenge, sizeof(session->challenge));
    if (hub_box_seal(public_key, hub_span_of(session->challenge, sizeof(session->challenge)), sealed) !=
        HUB_OK)
        return hub_fail(err, HUB_CONFIG, "the role's public key is not one", "make the role a new key pair");
    session->asked = role;
    (void)hub_encode(HUB_BASE64, hub_span_of(sealed, sizeof(sealed)), text, sizeof(text));
    return hub_answer_json(request, "challenge", hub_json_string_c(request->arena, text));
}

/* With what it may open now: it may hold keys of former rights. */
static enum hub_result answer_role(struct hub_request *request, const struct hub_role *role)
{
    struct hub_json *object = hub_json_new(request->arena, HUB_JSON_OBJECT), *classes = hub_json_new(request->arena, HUB_JSON_ARRAY);
    HUB_ENSURE(object != NULL && classes != NULL, HUB_NO_MEMORY);
    for (enum hub_data_class c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        if (role->classes[c])
            HUB_TRY(hub_json_push(classes, hub_json_string_c(request->arena, hub_data_class_name(c))));
    }
    HUB_TRY(hub_json_set_string(request->arena, object, "role", hub_span_str(role->name)));
    HUB_TRY(hub_json_set_c(object, "classes", classes));
    return hub_answer_object(request, object);
}

/* One try a challenge. */
enum hub_result hub_service_role_prove(struct hub_request *request, struct hub_error *err)
{
    struct hub_session *session = request->session;
    const struct hub_role *asked = session->asked;
    struct hub_span answer;
    uint8_t bytes[HUB_CHALLENGE_LEN];
    size_t len = 0;
    HUB_TRY(hub_request_text(request, "answer", true, &answer, err));
    session->asked = NULL;
    bool good = asked != NULL && hub_decode(HUB_BASE64, answer, bytes, sizeof(bytes), &len) == HUB_OK &&
                len == sizeof(bytes) && hub_crypto_equal(bytes, session->challenge, sizeof(bytes));
    hub_random(session->challenge, sizeof(session->challenge));
    hub_mem_wipe(bytes, sizeof(bytes));
    if (!good) {
        struct hub_audit_builder builder;
        hub_audit_begin(&builder, HUB_AUDIT_LOGIN_REFUSED, hub_clock_wall_us(request->hub->clock));
        hub_audit_text(&builder, "who", session->peer);
        hub_audit_text(&builder, "reason", "role not proven");
        if (asked != NULL)
            hub_audit_text(&builder, "role", asked->name);
        HUB_TRY(hub_note(request->hub, &builder, err));
        return hub_fail(err, HUB_AUTH, "the role was not proven",
                        "ask for a challenge and open it with the role's key");
    }
    session->role = asked;
    return answer_role(request, asked);
}

/* --- the key service --- */

struct secrets {
    struct hub_request *request;
    uint8_t *secret; /* locked memory */
};

static enum hub_result send_secret(struct secrets *s, const char *id, const char *subject)
{
    struct hub_request *request = s->request;
    char text[64];
    struct hub_json *object = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(object != NULL, HUB_NO_MEMORY);
    (void)hub_encode(HUB_BASE64, hub_span_of(s->secret, HUB_KEY_LEN), text, sizeof(text));
    enum hub_result result = hub_json_set_string(request->arena, object, "id", hub_span_str(id));
    if (result == HUB_OK)
        result = hub_json_set_string(request->arena, object, "subject", hub_span_str(subject));
    if (result == HUB_OK)
        result = hub_json_set_string(request->arena, object, "secret", hub_span_str(text));
    if (result == HUB_OK)
        result = hub_answer_json(request, "secret", object);
    hub_mem_wipe(text, sizeof(text));
    hub_mem_wipe(s->secret, HUB_KEY_LEN);
    return result;
}

/* A secret that is not there is said, not an error: the others are given all the same. */
static enum hub_result send_missing(struct hub_request *request, const char *member, const char *value,
                                    enum hub_result why)
{
    struct hub_json *object = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(object != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(request->arena, object, member, hub_span_str(value)));
    HUB_TRY(hub_json_set_string(request->arena, object, "code", hub_span_str(hub_result_row(why)->metric)));
    return hub_answer_json(request, "missing", object);
}

static bool absent(enum hub_result result)
{
    return result == HUB_NO_KEY || result == HUB_SHREDDED;
}

static enum hub_result give_subject(struct secrets *s, const struct hub_token *token, struct hub_error *err)
{
    struct hub_key_id id;
    enum hub_result result = hub_keys_patient(s->request->hub->keys, token, false, s->secret, &id, NULL, err);
    if (absent(result))
        return send_missing(s->request, "subject", token->text, result);
    HUB_TRY(result);
    return send_secret(s, id.text, token->text);
}

/* By the id of a `seal`: of one of TOKENS, or a one-off secret. */
static enum hub_result give_id(struct secrets *s, const struct hub_key_id *id, const struct hub_token *tokens,
                               size_t count, struct hub_error *err)
{
    static const struct hub_token none = {""};
    enum hub_result result = HUB_NO_KEY;
    for (size_t i = 0; i <= count; i++) {
        const struct hub_token *token = i < count ? &tokens[i] : &none;
        enum hub_result one = hub_keys_secret(s->request->hub->keys, id, token, s->secret, err);
        if (one == HUB_OK)
            return send_secret(s, id->text, token->text);
        if (!absent(one))
            return one;
        result = one == HUB_SHREDDED ? one : result;
    }
    return send_missing(s->request, "id", id->text, result);
}

static enum hub_result check_classes(struct hub_request *request, const struct hub_span *classes,
                                     size_t count, struct hub_error *err)
{
    const struct hub_role *role = request->session->role;
    for (size_t i = 0; i < count; i++) {
        enum hub_data_class class_;
        if (!hub_data_class_of(classes[i], &class_) || class_ == HUB_DATA_CLEAR)
            return hub_fail(err, HUB_USAGE, "no such data class", NULL);
        if (!role->classes[class_])
            return hub_fail(err, HUB_DENIED, "the role has no right to this data class",
                            "roles stand in the access policy");
    }
    return count != 0 ? HUB_OK : hub_fail(err, HUB_USAGE, "name the data classes to be opened", NULL);
}

static enum hub_result take_tokens(struct hub_request *request, const struct hub_span *texts, size_t count,
                                   struct hub_token **out, struct hub_error *err)
{
    *out = HUB_ARENA_ARRAY(request->arena, struct hub_token, count != 0 ? count : 1);
    HUB_ENSURE(*out != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        if (!hub_session_is_token(texts[i]))
            return hub_fail(err, HUB_USAGE, "not a token", NULL);
        memcpy((*out)[i].text, texts[i].ptr, texts[i].len);
    }
    return HUB_OK;
}

static enum hub_result take_ids(struct hub_request *request, const struct hub_span *texts, size_t count,
                                struct hub_key_id **out, struct hub_error *err)
{
    *out = HUB_ARENA_ARRAY(request->arena, struct hub_key_id, count != 0 ? count : 1);
    HUB_ENSURE(*out != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        if (!hub_session_is_key_id(texts[i]))
            return hub_fail(err, HUB_USAGE, "not a key id", NULL);
        memcpy((*out)[i].text, texts[i].ptr, texts[i].len);
    }
    return HUB_OK;
}

/* What is audited: tokens as they are; ids of one-off secrets beside them. */
static enum hub_result note_all(struct hub_request *request, const struct hub_span *tokens,
                                size_t token_count, const struct hub_span *ids, size_t id_count,
                                const struct hub_span *classes, size_t class_count, struct hub_error *err)
{
    struct hub_span *all = HUB_ARENA_ARRAY(request->arena, struct hub_span, token_count + id_count + 1);
    HUB_ENSURE(all != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < token_count; i++)
        all[i] = tokens[i];
    for (size_t i = 0; i < id_count; i++)
        all[token_count + i] = ids[i];
    return hub_session_note_read(request, all, token_count + id_count, classes, class_count, err);
}

enum hub_result hub_service_key_secrets(struct hub_request *request, struct hub_error *err)
{
    struct secrets s = {.request = request};
    struct hub_span *token_texts, *id_texts, *classes;
    size_t token_count, id_count, class_count;
    struct hub_token *tokens;
    struct hub_key_id *ids;
    if (request->session->role == NULL)
        return hub_fail(err, HUB_AUTH, "secrets are given to a proven role only",
                        "prove the role first (--role and --key)");
    if (hub_keys_revoked(request->hub->keys, request->session->role->name)) /* since it was proven */
        return hub_fail(err, HUB_DENIED, "the role was revoked", "`chartline keys grant` gives it back");
    request->session->role = hub_access_role(request->hub, request->session->role->name); /* as the policy is now */
    if (request->session->role == NULL)
        return hub_fail(err, HUB_DENIED, "no such role", "roles stand in the access policy");
    HUB_TRY(hub_request_list(request, "tokens", &token_texts, &token_count, err));
    HUB_TRY(hub_request_list(request, "ids", &id_texts, &id_count, err));
    HUB_TRY(hub_request_list(request, "classes", &classes, &class_count, err));
    if (token_count + id_count == 0 || token_count + id_count > SECRETS_MAX)
        return hub_fail(err, HUB_USAGE, "name tokens or ids, up to 100000", NULL);
    HUB_TRY(check_classes(request, classes, class_count, err));
    HUB_TRY(take_tokens(request, token_texts, token_count, &tokens, err));
    HUB_TRY(take_ids(request, id_texts, id_count, &ids, err));
    HUB_TRY(note_all(request, token_texts, token_count, id_texts, id_count, classes, class_count, err));
    s.secret = hub_secret_alloc(HUB_KEY_LEN);
    enum hub_result result = s.secret != NULL ? HUB_OK : HUB_NO_MEMORY;
    for (size_t i = 0; i < token_count && result == HUB_OK; i++)
        result = give_subject(&s, &tokens[i], err);
    for (size_t i = 0; i < id_count && result == HUB_OK; i++)
        result = give_id(&s, &ids[i], tokens, token_count, err);
    hub_secret_free(s.secret);
    return result;
}
