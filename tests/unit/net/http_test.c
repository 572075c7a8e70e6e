/* Asking an HTTP server that does as it likes: every answer is one of those that http.h names, within its time and its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/net/http.h"
#include "tests/http_server.h"

enum { TIMEOUT_MS = 10000, SHORT_MS = 200, ANSWER_MAX = 1000 };

static struct http_server server;
static struct hub_buf answer;
static int status;

static int setup(void **state)
{
    (void)state;
    hub_buf_init(&answer, ANSWER_MAX, false);
    status = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_buf_deinit(&answer);
    return 0;
}

static enum hub_result get(const struct hub_http_options *options, const char *url)
{
    const struct hub_http_request request = {.method = "GET", .url = url};
    hub_buf_reset(&answer);
    status = 0;
    return hub_http_ask(options, &request, &answer, &status, NULL);
}

/* What comes of a server that gives this. */
static enum hub_result get_from(struct http_answer one, int timeout_ms)
{
    const struct hub_http_options options = {.timeout_ms = timeout_ms};
    http_start(&server, &one, 1);
    const enum hub_result result = get(&options, server.url);
    assert_int_equal(http_stop(&server), 1);
    return result;
}

static bool is_answer(const char *text)
{
    return hub_span_is(hub_buf_view(&answer), text);
}

/* --- what is asked, and what comes back --- */

static void a_request_says_what_it_should_and_its_answer_comes_back(void **state)
{
    (void)state;
    const struct hub_http_options options = {.timeout_ms = TIMEOUT_MS};
    const struct http_answer one = {.bytes = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"};
    char url[128];
    http_start(&server, &one, 1);
    (void)snprintf(url, sizeof url, "%s/some/where?x=1", server.url);
    const struct hub_http_request request = {
        .method = "PUT", .url = url, .accept = "text/one", .content_type = "text/two", .body = HUB_SPAN("the body")};
    assert_int_equal(hub_http_ask(&options, &request, &answer, &status, NULL), HUB_OK);
    assert_int_equal(http_stop(&server), 1);
    assert_int_equal(status, 201);
    assert_true(is_answer("hello"));
    const char *asked = server.requests[0];
    assert_ptr_equal(strstr(asked, "PUT /some/where?x=1 HTTP/1.1\r\n"), asked);
    assert_non_null(strstr(asked, "\r\nAccept: text/one\r\n"));
    assert_non_null(strstr(asked, "\r\nContent-Type: text/two\r\n"));
    assert_non_null(strstr(asked, "\r\n\r\nthe body"));
    assert_null(strcasestr(asked, "authorization"));
}

static void any_status_is_an_answer(void **state)
{
    (void)state;
    static const int codes[] = {200, 204, 400, 401, 403, 404, 409, 422, 429, 500, 503};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%s", codes[i], codes[i] == 204 ? 0 : 2, codes[i] == 204 ? "" : "{}");
        assert_int_equal(get_from((struct http_answer){.bytes = text}, TIMEOUT_MS), HUB_OK);
        assert_int_equal(status, codes[i]);
    }
}

static void a_redirect_is_not_followed(void **state)
{
    (void)state;
    static const char *const codes[] = {"301", "302", "303", "307", "308"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct http_server other;
        char text[256];
        const struct hub_http_options options = {.timeout_ms = TIMEOUT_MS};
        http_start(&other, &(struct http_answer){.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, 1);
        (void)snprintf(text, sizeof text, "HTTP/1.1 %s Go\r\nLocation: %s/\r\nContent-Length: 0\r\n\r\n", codes[i], other.url);
        http_start(&server, &(struct http_answer){.bytes = text}, 1);
        assert_int_equal(get(&options, server.url), HUB_OK);
        assert_int_equal(status, atoi(codes[i]));
        assert_int_equal(http_stop(&server), 1);
        assert_int_equal(http_stop(&other), 0);
    }
}

static void proxies_of_the_environment_are_not_asked(void **state)
{
    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1/", 1), 0);
    const enum hub_result result = get_from((struct http_answer){.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, TIMEOUT_MS);
    (void)unsetenv("http_proxy");
    (void)unsetenv("ALL_PROXY");
    assert_int_equal(result, HUB_OK);
}

/* --- the login --- */

static enum hub_result next_secret(void *ctx, uint8_t *out, size_t *len, struct hub_error *err)
{
    unsigned *number = ctx;
    (void)err;
    *len = (size_t)snprintf((char *)out, HUB_HTTP_SECRET_MAX, "secret%u", ++*number);
    return HUB_OK;
}

static enum hub_result no_secret(void *ctx, uint8_t *out, size_t *len, struct hub_error *err)
{
    (void)ctx;
    (void)out;
    (void)len;
    return hub_fail(err, HUB_CONFIG, "no secret", NULL);
}

static void the_login_is_read_anew_for_every_request(void **state)
{
    (void)state;
    static const struct http_answer fine[2] = {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    unsigned number = 0;
    struct hub_http_options options = {.timeout_ms = TIMEOUT_MS, .secret = next_secret, .secret_ctx = &number};
    http_start(&server, fine, 2);
    assert_int_equal(get(&options, server.url), HUB_OK);
    options.username = "user";
    assert_int_equal(get(&options, server.url), HUB_OK);
    assert_int_equal(http_stop(&server), 2);
    assert_non_null(strstr(server.requests[0], "\r\nAuthorization: Bearer secret1\r\n"));
    assert_non_null(strstr(server.requests[1], "\r\nAuthorization: Basic dXNlcjpzZWNyZXQy\r\n")); /* user:secret2 */
}

static void without_its_secret_nothing_is_asked(void **state)
{
    (void)state;
    const struct hub_http_options options = {.timeout_ms = TIMEOUT_MS, .secret = no_secret};
    http_start(&server, &(struct http_answer){.bytes = "HTTP/1.1 200 OK\r\n\r\n"}, 1);
    assert_int_equal(get(&options, server.url), HUB_CONFIG);
    assert_int_equal(http_stop(&server), 0);
}

/* --- servers that do as they like --- */

static void a_server_that_does_not_answer_in_time_is_given_up(void **state)
{
    (void)state;
    static const char *const beginnings[] = {NULL, "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "HTTP/1.1 100 Continue\r\n\r\n"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        assert_int_equal(get_from((struct http_answer){.bytes = beginnings[i], .hold = true}, SHORT_MS), HUB_TIMEOUT);
}

static void a_larger_answer_than_there_is_room_for_is_refused(void **state)
{
    (void)state;
    static const int sizes[] = {ANSWER_MAX, ANSWER_MAX + 1, 100 * ANSWER_MAX};
    char *text = malloc(200 * ANSWER_MAX);
    assert_non_null(text);
    for (size_t h = 0; h < 3; h++) {
        for (size_t s = 0; s < 3; s++) {
            int len = 0;
            if (h == 0)
                len = snprintf(text, 200, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", sizes[s]);
            else if (h == 1)
                len = snprintf(text, 200, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            else
                len = snprintf(text, 200, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", (unsigned)sizes[s]);
            memset(text + len, 'x', (size_t)sizes[s]);
            len += sizes[s];
            if (h == 2)
                len += snprintf(text + len, 16, "\r\n0\r\n\r\n");
            const enum hub_result result = get_from((struct http_answer){.bytes = text, .len = (size_t)len}, TIMEOUT_MS);
            assert_int_equal(result, sizes[s] <= ANSWER_MAX ? HUB_OK : HUB_TOO_LARGE);
            assert_true(hub_buf_view(&answer).len <= ANSWER_MAX);
        }
    }
    free(text);
}

static void what_is_no_whole_answer_is_none(void **state)
{
    (void)state;
    static const char *const broken[] = {
        NULL,
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\nhalf\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        const enum hub_result result = get_from((struct http_answer){.bytes = broken[i]}, TIMEOUT_MS);
        if (i == 4) /* a head that ends early may be a whole one without body; never a body */
            assert_true(result == HUB_NETWORK || (result == HUB_OK && hub_buf_view(&answer).len == 0));
        else
            assert_int_equal(result, HUB_NETWORK);
    }
    assert_int_not_equal(get_from((struct http_answer){.bytes = "SSH-2.0-nothing to do with it\r\n"}, TIMEOUT_MS), HUB_OK);
    assert_int_not_equal(get_from((struct http_answer){.bytes = "\0\1\2\3\4\5\6\7", .len = 8}, TIMEOUT_MS), HUB_OK);
}

static void headers_without_end_are_refused(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    char *text = malloc(MANY * 16 + 64);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, 64, "HTTP/1.1 200 OK\r\n");
    for (size_t i = 0; i < MANY; i++)
        len += (size_t)snprintf(text + len, 24, "X-%zu: y\r\n", i);
    len += (size_t)snprintf(text + len, 4, "\r\n");
    assert_int_equal(get_from((struct http_answer){.bytes = text, .len = len}, TIMEOUT_MS), HUB_NETWORK);
    free(text);
}

static void where_nobody_is_is_said(void **state)
{
    (void)state;
    const struct hub_http_options options = {.timeout_ms = TIMEOUT_MS};
    http_start(&server, NULL, 0);
    (void)http_stop(&server); /* its port is nobody's now */
    assert_int_equal(get(&options, server.url), HUB_NETWORK);
    assert_int_equal(get(&options, "http://name.invalid/"), HUB_NETWORK);
    assert_int_equal(get(&options, ""), HUB_CONFIG);
    assert_int_equal(get(&options, "http://"), HUB_CONFIG);
    assert_int_equal(get(&options, "file:///etc/hostname"), HUB_CONFIG);
    assert_int_equal(get(&options, "ftp://127.0.0.1/"), HUB_CONFIG);
    assert_int_equal(hub_buf_view(&answer).len, 0);
}

static void tls_where_none_is_spoken_is_refused(void **state)
{
    (void)state;
    struct hub_http_options options = {.timeout_ms = TIMEOUT_MS};
    char url[64];
    http_start(&server, &(struct http_answer){.bytes = "HTTP/1.1 400 Bad Request\r\n\r\n"}, 1);
    (void)snprintf(url, sizeof url, "https%s", server.url + 4);
    /* the server waits for the end of a request's head; half of a handshake is none */
    options.timeout_ms = SHORT_MS;
    const enum hub_result result = get(&options, url);
    assert_true(result == HUB_AUTH || result == HUB_TIMEOUT);
    (void)http_stop(&server);
    options.ca = "/no/such/file.pem";
    http_start(&server, &(struct http_answer){.bytes = NULL}, 1);
    (void)snprintf(url, sizeof url, "https%s", server.url + 4);
    assert_int_equal(get(&options, url), HUB_CONFIG);
    (void)http_stop(&server);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_says_what_it_should_and_its_answer_comes_back),
        TEST(any_status_is_an_answer),
        TEST(a_redirect_is_not_followed),
        TEST(proxies_of_the_environment_are_not_asked),
        TEST(the_login_is_read_anew_for_every_request),
        TEST(without_its_secret_nothing_is_asked),
        TEST(a_server_that_does_not_answer_in_time_is_given_up),
        TEST(a_larger_answer_than_there_is_room_for_is_refused),
        TEST(what_is_no_whole_answer_is_none),
        TEST(headers_without_end_are_refused),
        TEST(where_nobody_is_is_said),
        TEST(tls_where_none_is_spoken_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
