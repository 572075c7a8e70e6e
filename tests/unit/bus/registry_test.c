/* A schema registry that answers as it likes: an id is taken from nothing but an answer that has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/bus/registry.h"
#include "tests/http_server.h"

#define HEAD(code) "HTTP/1.1 " code " X\r\nConnection: close\r\n\r\n"
#define FINE(body) {.bytes = HEAD("200") body}
#define ABSENT {.bytes = HEAD("404") "{\"error_code\":40403,\"message\":\"Schema not found\"}"}

static struct http_server server;
static struct hub_subject subject;
static size_t asked;

/* WRITES: hub_subject_register. */
static enum hub_result ask(bool writes, bool create, const char *mode, const struct http_answer *answers, size_t count)
{
    char url[80];
    http_start(&server, answers, count);
    (void)snprintf(url, sizeof url, "%s//", server.url);
    const struct hub_subject_options options = {.url = url, .http = {.timeout_ms = 10000}, .compatibility = mode, .create = create};
    const enum hub_result result = writes ? hub_subject_register(&options, "t-value", HUB_SPAN("{\"a\":\"b\"}"), &subject, NULL)
                                          : hub_subject_look(&options, "t-value", HUB_SPAN("{\"a\":\"b\"}"), &subject, NULL);
    asked = http_stop(&server);
    return result;
}

static bool was(size_t number, const char *line)
{
    return strncmp(server.requests[number], line, strlen(line)) == 0;
}

static void a_schema_that_is_there_is_found(void **state)
{
    (void)state;
    const struct http_answer answers[] = {FINE("{\"id\":7,\"version\":2,\"subject\":\"t-value\"}"), FINE("{\"compatibilityLevel\":\"FULL\"}")};
    assert_int_equal(ask(false, false, NULL, answers, 2), HUB_OK);
    assert_int_equal(subject.id, 7);
    assert_int_equal(subject.version, 2);
    assert_string_equal(subject.compatibility, "FULL");
    assert_true(was(0, "POST /subjects/t-value HTTP/1.1\r\n") && was(1, "GET /config/t-value HTTP/1.1\r\n"));
    assert_non_null(strstr(server.requests[0], "\r\n\r\n{\"schema\":\"{\\\"a\\\":\\\"b\\\"}\",\"schemaType\":\"JSON\"}"));
}

static void a_schema_that_is_not_there_is_looked_at_and_left_alone(void **state)
{
    (void)state;
    const struct http_answer fits[] = {ABSENT, FINE("{\"is_compatible\":true}"), {.bytes = HEAD("404") "{}"}};
    const struct http_answer not[] = {ABSENT, FINE("{\"is_compatible\":false,\"messages\":[]}")};
    const struct http_answer odd[] = {ABSENT, FINE("{\"is_compatible\":\"true\"}")};
    assert_int_equal(ask(false, true, "FULL", fits, 3), HUB_NOT_FOUND);
    assert_int_equal(asked, 3);
    assert_int_equal(ask(false, true, NULL, not, 2), HUB_CONFIG);
    assert_int_equal(ask(false, true, NULL, odd, 2), HUB_CONFIG);
    assert_int_equal(ask(true, false, NULL, fits, 1), HUB_NOT_FOUND);
    assert_int_equal(asked, 1);
}

static void a_schema_is_put_there_after_its_mode(void **state)
{
    (void)state;
    const struct http_answer answers[] = {ABSENT, {.bytes = HEAD("404") "{}"}, FINE("{\"compatibility\":\"FULL\"}"), FINE("{\"id\":9}")};
    assert_int_equal(ask(true, true, "FULL", answers, 4), HUB_OK);
    assert_int_equal(subject.id, 9);
    assert_true(was(2, "PUT /config/t-value HTTP/1.1\r\n") && was(3, "POST /subjects/t-value/versions HTTP/1.1\r\n"));
    const struct http_answer refused[] = {ABSENT, {.bytes = HEAD("404") "{}"}, {.bytes = HEAD("403") "{}"}, FINE("{\"id\":9}")};
    assert_int_equal(ask(true, true, "FULL", refused, 4), HUB_DENIED);
    assert_int_equal(asked, 3);
    const struct http_answer there[] = {FINE("{\"id\":8}"), FINE("{\"compatibilityLevel\":\"NONE\"}"), {.bytes = HEAD("403") "{}"}};
    assert_int_equal(ask(true, true, "FULL", there, 3), HUB_OK);
    assert_int_equal(subject.id, 8);
}

static void an_id_is_a_number_past_0_or_none(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",  "[]", "7", "{\"id\":7", "<html>7</html>", "{\"id\":\"7\"}", "{\"id\":0}", "{\"id\":-1}", "{\"id\":1.5}", "{\"id\":2147483648}",
                                         "{\"id\":4294967303}", "{\"id\":99999999999999999999}", "{\"id\":null}", "{\"id\":[7]}", "{\"id\":true}", "{\"Id\":7}", "{\"id\":7,\"id\":8}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, HEAD("200") "%s", bodies[i]);
        const struct http_answer one = {.bytes = text};
        assert_int_equal(ask(true, false, NULL, &one, 1), HUB_CONFIG);
        assert_int_equal(subject.id, 0);
        const struct http_answer put[] = {ABSENT, {.bytes = HEAD("404") "{}"}, one};
        assert_int_equal(ask(true, true, NULL, put, 3), HUB_CONFIG);
        assert_int_equal(subject.id, 0);
    }
    const struct http_answer most = FINE("{\"id\":2147483647}");
    assert_int_equal(ask(true, false, NULL, &most, 1), HUB_OK);
    assert_int_equal(subject.id, INT32_MAX);
}

static void each_refusal_has_its_result_and_says_why_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum hub_result result;
    } cases[] = {{"401", HUB_AUTH}, {"403", HUB_DENIED}, {"409", HUB_CONFIG}, {"422", HUB_CONFIG}, {"429", HUB_BUSY}, {"500", HUB_BUSY}, {"503", HUB_BUSY}, {"302", HUB_CONFIG}, {"418", HUB_CONFIG}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "HTTP/1.1 %s X\r\nConnection: close\r\n\r\n{\"message\":\"org.some.ClassException: no \\n so\"}", cases[i].code);
        assert_int_equal(ask(true, false, NULL, &(struct http_answer){.bytes = text}, 1), cases[i].result);
        assert_string_equal(subject.reason, "no   so");
    }
    char longer[2048];
    int len = snprintf(longer, sizeof longer, HEAD("409") "{\"message\":\"");
    memset(longer + len, 'm', 1000);
    (void)snprintf(longer + len + 1000, 8, "\"}");
    assert_int_equal(ask(true, false, NULL, &(struct http_answer){.bytes = longer}, 1), HUB_CONFIG);
    assert_int_equal(strlen(subject.reason), HUB_SUBJECT_REASON_MAX - 1);
    const struct http_answer other = {.bytes = HEAD("404") "<html>not here</html>"};
    assert_int_equal(ask(true, true, NULL, &other, 1), HUB_CONFIG); /* another server than a registry */
}

static void an_endless_answer_and_one_that_breaks_off_are_refused(void **state)
{
    (void)state;
    enum { MANY = 2 * 1024 * 1024 };
    char *text = malloc(MANY);
    assert_non_null(text);
    memset(text, ' ', MANY);
    memcpy(text, HEAD("200"), strlen(HEAD("200")));
    assert_int_equal(ask(true, false, NULL, &(struct http_answer){.bytes = text, .len = MANY}, 1), HUB_TOO_LARGE);
    free(text);
    assert_int_equal(ask(true, false, NULL, &(struct http_answer){.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":7}"}, 1), HUB_NETWORK);
    assert_int_equal(subject.id, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_that_is_there_is_found),
        cmocka_unit_test(a_schema_that_is_not_there_is_looked_at_and_left_alone),
        cmocka_unit_test(a_schema_is_put_there_after_its_mode),
        cmocka_unit_test(an_id_is_a_number_past_0_or_none),
        cmocka_unit_test(each_refusal_has_its_result_and_says_why_in_one_line),
        cmocka_unit_test(an_endless_answer_and_one_that_breaks_off_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
