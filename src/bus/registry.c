#include "src/bus/registry.h"

#include <stdio.h>

#include "src/codec/json.h"

enum { ANSWER_BYTES_MAX = 1024 * 1024, BODY_BYTES_MAX = 4 * 1024 * 1024, URL_CAP = 2048, OK = 200, UNAUTHORIZED = 401,
       FORBIDDEN = 403, NOT_FOUND = 404, CONFLICT = 409, UNPROCESSABLE = 422, SERVER = 500, TOO_MANY = 429 };

struct asking {
    const struct hub_subject_options *options;
    const char *subject;
    struct hub_subject *out;
    struct hub_buf body, answer;
    struct hub_arena arena;
    struct hub_json *json; /* of the answer; NULL: none */
    int status;
};

/* --- one request --- */

/* One line of printable text; a Java class before it says nothing to anybody. */
static void keep_reason(struct asking *a)
{
    struct hub_span text = hub_json_get_span(a->json, "message");
    static const char mark[] = "Exception: ";
    const uint8_t *found = text.len != 0 ? memmem(text.ptr, text.len, mark, sizeof mark - 1) : NULL;
    if (found != NULL && memchr(text.ptr, ' ', (size_t)(found - text.ptr)) == NULL)
        text = hub_span_of(found + sizeof mark - 1, text.len - (size_t)(found - text.ptr) - (sizeof mark - 1));
    size_t len = 0;
    for (; len < text.len && len + 1 < sizeof a->out->reason; len++)
        a->out->reason[len] = text.ptr[len] >= 0x20 && text.ptr[len] < 0x7f ? (char)text.ptr[len] : ' ';
    a->out->reason[len] = '\0';
}

static enum hub_result refused(const struct asking *a, struct hub_error *err)
{
    if (a->status == UNAUTHORIZED)
        return hub_fail(err, HUB_AUTH, "the schema registry does not take the login",
                        "check schema_registry.username and password, or token");
    if (a->status == FORBIDDEN)
        return hub_fail(err, HUB_DENIED, "the schema registry does not allow this user to do that",
                        "give it the right to, or register the schemas by hand and write register: false");
    if (a->status == CONFLICT)
        return hub_fail(err, HUB_CONFIG, "the schema registry refuses the schema: it does not fit those before it",
                        "compare the subject's versions with this version's schema; another program may have written there");
    if (a->status == UNPROCESSABLE)
        return hub_fail(err, HUB_CONFIG, "the schema registry refuses the schema as none that it knows",
                        "check that it takes JSON Schema");
    if (a->status >= SERVER || a->status == TOO_MANY)
        return hub_fail(err, HUB_BUSY, "the schema registry is in trouble", "look at its log");
    return hub_fail(err, HUB_CONFIG, "no schema registry answers at this address",
                    "write schema_registry.url as in https://host:8081, with the path of its Confluent API");
}

/* Any status is HUB_OK. */
static enum hub_result ask(struct asking *a, const char *method, const char *before, const char *after,
                           struct hub_span body, struct hub_error *err)
{
    static const char type[] = "application/vnd.schemaregistry.v1+json";
    char url[URL_CAP];
    size_t len = strlen(a->options->url);
    while (len > 0 && a->options->url[len - 1] == '/')
        len--;
    int made = snprintf(url, sizeof url, "%.*s%s%s%s", (int)len, a->options->url, before, a->subject, after);
    HUB_ENSURE(made > 0 && (size_t)made < sizeof url, hub_fail(err, HUB_CONFIG, "the registry's address is too long", NULL));
    hub_buf_reset(&a->answer);
    hub_arena_reset(&a->arena);
    a->json = NULL;
    struct hub_http_request request = {.method = method,
                                       .url = url,
                                       .accept = "application/vnd.schemaregistry.v1+json, application/json",
                                       .content_type = body.len != 0 ? type : NULL,
                                       .body = body};
    HUB_TRY(hub_http_ask(&a->options->http, &request, &a->answer, &a->status, err));
    if (hub_json_parse(&a->arena, hub_buf_view(&a->answer), &a->json, NULL) != HUB_OK)
        a->json = NULL;
    if (a->status != OK && a->status != NOT_FOUND)
        keep_reason(a);
    return HUB_OK;
}

/* A number past 0 of the answer; false: none such. */
static bool number_of(const struct asking *a, const char *name, uint32_t *out)
{
    uint64_t number = 0;
    const struct hub_json *node = hub_json_get(a->json, name);
    if (node == NULL || node->type != HUB_JSON_NUMBER || !hub_span_parse_u64(hub_json_span(node), &number) || number == 0 ||
        number > INT32_MAX)
        return false;
    *out = (uint32_t)number;
    return true;
}

/* --- what is asked --- */

/* HUB_NOT_FOUND: the subject does not have it. An address where something else answers 404 is told apart by the body. */
static enum hub_result look_up(struct asking *a, struct hub_error *err)
{
    HUB_TRY(ask(a, "POST", "/subjects/", "", hub_buf_view(&a->body), err));
    if (a->status == OK && number_of(a, "id", &a->out->id)) {
        (void)number_of(a, "version", &a->out->version);
        return HUB_OK;
    }
    if (a->status == NOT_FOUND && hub_json_get(a->json, "error_code") != NULL)
        return hub_fail(err, HUB_NOT_FOUND, "the schema is not in the registry",
                        "register it there, or write register: true");
    return refused(a, err);
}

/* The subject's own mode into OUT. */
static enum hub_result read_mode(struct asking *a, struct hub_error *err)
{
    HUB_TRY(ask(a, "GET", "/config/", "", HUB_SPAN_NONE, err));
    if (a->status == NOT_FOUND)
        return HUB_OK;
    if (a->status != OK)
        return refused(a, err);
    struct hub_span mode = hub_json_get_span(a->json, "compatibilityLevel");
    (void)snprintf(a->out->compatibility, sizeof a->out->compatibility, "%.*s", (int)mode.len, (const char *)mode.ptr);
    return HUB_OK;
}

static enum hub_result set_mode(struct asking *a, struct hub_error *err)
{
    if (a->options->compatibility == NULL || strcmp(a->options->compatibility, a->out->compatibility) == 0)
        return HUB_OK;
    char body[96];
    int len = snprintf(body, sizeof body, "{\"compatibility\":\"%s\"}", a->options->compatibility);
    HUB_TRY(ask(a, "PUT", "/config/", "", hub_span_of(body, (size_t)len), err));
    if (a->status != OK)
        return refused(a, err);
    (void)snprintf(a->out->compatibility, sizeof a->out->compatibility, "%s", a->options->compatibility);
    return HUB_OK;
}

static enum hub_result put_there(struct asking *a, struct hub_error *err)
{
    HUB_TRY(ask(a, "POST", "/subjects/", "/versions", hub_buf_view(&a->body), err));
    return a->status == OK && number_of(a, "id", &a->out->id) ? HUB_OK : refused(a, err);
}

static enum hub_result would_fit(struct asking *a, struct hub_error *err)
{
    HUB_TRY(ask(a, "POST", "/compatibility/subjects/", "/versions/latest?verbose=true", hub_buf_view(&a->body), err));
    const struct hub_json *fits = hub_json_get(a->json, "is_compatible");
    if (a->status == NOT_FOUND || (a->status == OK && fits != NULL && fits->type == HUB_JSON_TRUE))
        return HUB_NOT_FOUND;
    if (a->status == OK)
        a->status = CONFLICT;
    return refused(a, err);
}

/* --- the whole --- */

static enum hub_result begin(struct asking *a, struct hub_span schema, struct hub_error *err)
{
    *a->out = (struct hub_subject){0};
    hub_buf_init(&a->answer, ANSWER_BYTES_MAX, false);
    hub_buf_init(&a->body, BODY_BYTES_MAX, false);
    hub_arena_init(&a->arena, BODY_BYTES_MAX);
    hub_buf_append_str(&a->body, "{\"schema\":");
    hub_json_write_string(&a->body, schema);
    hub_buf_append_str(&a->body, ",\"schemaType\":\"JSON\"}");
    return hub_buf_result(&a->body) == HUB_OK ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, "no memory for a schema", NULL);
}

static enum hub_result end(struct asking *a, enum hub_result result)
{
    hub_buf_deinit(&a->body);
    hub_buf_deinit(&a->answer);
    hub_arena_deinit(&a->arena);
    return result;
}

static enum hub_result register_it(struct asking *a, struct hub_error *err)
{
    enum hub_result found = look_up(a, err);
    if (found != HUB_OK && (found != HUB_NOT_FOUND || !a->options->create))
        return found;
    if (!a->options->create)
        return HUB_OK;
    /* the mode first: what is put there is to be judged by it */
    enum hub_result mode = read_mode(a, err);
    if (mode == HUB_OK)
        mode = set_mode(a, err);
    if (found == HUB_OK && err != NULL)
        *err = (struct hub_error){0};
    if (found == HUB_OK)
        return HUB_OK; /* a mode that may not be changed stands in nobody's way; `check` tells of it */
    HUB_TRY(mode);
    return put_there(a, err);
}

enum hub_result hub_subject_register(const struct hub_subject_options *options, const char *subject, struct hub_span schema,
                                     struct hub_subject *out, struct hub_error *err)
{
    struct asking a = {.options = options, .subject = subject, .out = out};
    enum hub_result result = begin(&a, schema, err);
    return end(&a, result == HUB_OK ? register_it(&a, err) : result);
}

static enum hub_result look_at_it(struct asking *a, struct hub_error *err)
{
    enum hub_result found = look_up(a, err);
    if (found == HUB_NOT_FOUND)
        found = would_fit(a, err);
    if (found == HUB_OK || found == HUB_NOT_FOUND)
        HUB_TRY(read_mode(a, err));
    return found;
}

enum hub_result hub_subject_look(const struct hub_subject_options *options, const char *subject, struct hub_span schema,
                                 struct hub_subject *out, struct hub_error *err)
{
    struct asking a = {.options = options, .subject = subject, .out = out};
    enum hub_result result = begin(&a, schema, err);
    return end(&a, result == HUB_OK ? look_at_it(&a, err) : result);
}
