/* What a reload may change and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/config/config.h"

#define HUB "hub: {name: h, root_key: {env: ROOT}}\n"
#define FEED(id, port, tls, ack)                                                                             \
    "  - {name: " id ", id: " id ", transport: {mllp: {listen: \"127.0.0.1:" port "\"" tls                   \
    "}}, format: {hl7v2: {timezone: UTC}}, ack: {on_error: " ack "}}\n"
#define TLS ", tls: {cert: a.pem, key: a.key, client_ca: ca.pem, allow: [\"CN=a\"]}"
#define TLS_B ", tls: {cert: b.pem, key: b.key, client_ca: ca.pem, allow: [\"CN=b\", \"CN=c\"]}"

static struct hub_config *load(const char *text)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_config *config = hub_config_parse("h.yaml", hub_span_str(text), &problems);
    (void)hub_problems_print(&problems, stderr);
    assert_non_null(config);
    hub_problems_deinit(&problems);
    return config;
}

/* Keeps and returns the warnings' names, comma separated. */
static const char *keep(const struct hub_config *base, struct hub_config *next, enum hub_result expected)
{
    static char names[512];
    struct hub_problems problems;
    size_t len = 0;
    names[0] = '\0';
    hub_problems_init(&problems);
    assert_int_equal(hub_config_keep(next, base, &problems), expected);
    for (size_t i = 0; i < problems.count; i++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i > 0 ? "," : "",
                                problems.items[i].name);
    assert_int_equal(problems.errors, expected == HUB_OK ? 0 : 1);
    hub_problems_deinit(&problems);
    return names;
}

static void a_reload_takes_what_is_marked_for_it(void **state)
{
    (void)state;
    struct hub_config *base = load(HUB "feeds:\n" FEED("f1", "1", TLS, "reject") "limits: {idle: 1s}\n");
    struct hub_config *next = load(HUB "feeds:\n" FEED("f1", "1", TLS_B, "accept") "limits: {idle: 2s}\n");
    assert_string_equal(keep(base, next, HUB_OK), "");
    assert_int_equal(next->feeds[0].tls.allow_count, 2);
    assert_string_equal(next->feeds[0].tls.cert, "b.pem");
    assert_int_equal(next->feeds[0].on_error, HUB_ON_ERROR_ACCEPT);
    assert_int_equal(next->limits.idle_ms, 2000);
    hub_config_free(next);
    hub_config_free(base);
}

static void a_reload_keeps_what_needs_a_restart_and_names_it(void **state)
{
    (void)state;
    struct hub_config *base = load(HUB "feeds:\n" FEED("f1", "1", TLS, "reject") "limits: {workers: 3}\n");
    struct hub_config *next = load("hub: {name: other, data_dir: d, root_key: {env: OTHER}}\nfeeds:\n" FEED(
        "f1", "2", TLS, "reject") "limits: {workers: 4}\n");
    assert_string_equal(keep(base, next, HUB_OK),
                        "hub.name,hub.data_dir,hub.root_key,limits.workers,f1.transport.mllp.listen");
    assert_string_equal(next->name, "h");
    assert_string_equal(next->data_dir, "data");
    assert_string_equal(next->root_key.env, "ROOT");
    assert_int_equal(next->limits.workers, 3);
    assert_string_equal(next->feeds[0].listen, "127.0.0.1:1");
    hub_config_free(next);
    hub_config_free(base);
}

/* The name a person finds in the file and in docs/CONFIGURATION.md. */
static void what_is_named_is_named_with_its_variant(void **state)
{
    (void)state;
#define KAFKA(property) HUB "feeds:\n" FEED("f1", "1", TLS, "reject") "bus: {kafka: {insecure: true, brokers: [\"a:1\"], properties: [\"" property "\"]}}\n"
    struct hub_config *base = load(KAFKA("linger.ms=2"));
    struct hub_config *next = load(KAFKA("linger.ms=3"));
    assert_string_equal(keep(base, next, HUB_OK), "bus.kafka.properties");
    hub_config_free(next);
    hub_config_free(base);
}

static void a_section_that_went_is_kept_whole(void **state)
{
    (void)state;
    struct hub_config *base = load(HUB "feeds:\n" FEED("f1", "1", TLS, "reject"));
    struct hub_config *next = load(HUB "feeds:\n" FEED("f1", "1", "", "reject"));
    assert_string_equal(keep(base, next, HUB_OK), "f1.transport.mllp.tls");
    assert_true(next->feeds[0].tls.enabled);
    assert_string_equal(next->feeds[0].tls.cert, "a.pem");
    assert_string_equal(next->feeds[0].tls.allow[0], "CN=a");
    hub_config_free(next);
    hub_config_free(base);
}

static void feeds_keep_their_places_and_none_may_go(void **state)
{
    (void)state;
    struct hub_config *base =
        load(HUB "feeds:\n" FEED("f1", "1", TLS, "reject") FEED("f2", "2", TLS, "reject"));
    struct hub_config *more = load(HUB "feeds:\n" FEED("f3", "3", TLS, "reject")
                                       FEED("f2", "2", TLS, "accept") FEED("f1", "1", TLS, "reject"));
    struct hub_config *less = load(HUB "feeds:\n" FEED("f2", "2", TLS, "reject"));
    assert_string_equal(keep(base, more, HUB_OK), "f3");
    assert_int_equal(more->feed_count, 2);
    assert_string_equal(more->feeds[0].id, "f1");
    assert_string_equal(more->feeds[1].id, "f2");
    assert_int_equal(more->feeds[1].on_error, HUB_ON_ERROR_ACCEPT);
    assert_string_equal(keep(base, less, HUB_CONFIG), "f1");
    hub_config_free(less);
    hub_config_free(more);
    hub_config_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_takes_what_is_marked_for_it),
        cmocka_unit_test(a_reload_keeps_what_needs_a_restart_and_names_it),
        cmocka_unit_test(what_is_named_is_named_with_its_variant),
        cmocka_unit_test(a_section_that_went_is_kept_whole),
        cmocka_unit_test(feeds_keep_their_places_and_none_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
