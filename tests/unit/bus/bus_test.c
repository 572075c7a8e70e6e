/* What is decided without any broker: partitions, and which settings may be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "src/bus/bus.h"

static const char features[] = "gzip,snappy,ssl,sasl,regex,lz4,sasl_gssapi,sasl_plain,sasl_scram,plugins,zstd,"
                               "sasl_oauthbearer,http,oidc";
static const uint32_t now = 0x020800ff, old = 0x020002ff;
static const char *const brokers[] = {"broker-1:9093", NULL};

static enum hub_result secret(void *ctx, uint8_t *out, size_t *len, struct hub_error *err)
{
    (void)ctx;
    (void)err;
    *out = 'x';
    *len = 1;
    return HUB_OK;
}

static struct hub_bus_options good(void)
{
    return (struct hub_bus_options){.brokers = brokers,
                                    .client_id = "hub",
                                    .tls = true,
                                    .ca = "ca.pem",
                                    .cert = "hub.pem",
                                    .key = "hub.key",
                                    .mechanism = "SCRAM-SHA-512",
                                    .username = "hub",
                                    .secret = secret};
}

/* The same numbers as org.apache.kafka.common.utils.UtilsTest. */
static void murmur2_is_that_of_java_clients(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t hash;
    } known[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal((int32_t)hub_bus_murmur2(hub_span_str(known[i].text)), known[i].hash);
}

static void a_negative_hash_gives_a_partition_too(void **state)
{
    (void)state;
    assert_int_equal(hub_bus_partition(HUB_SPAN("foobar"), 12), (-790332482 & INT32_MAX) % 12);
    assert_int_equal(hub_bus_partition(HUB_SPAN("foobar"), 1), 0);
}

static void assert_refused(struct hub_bus_options options, uint32_t version, const char *with, const char *what)
{
    struct hub_error err = {0};
    assert_int_equal(hub_bus_options_check(&options, version, with, &err), HUB_CONFIG);
    if (strstr(err.what, what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.what, what);
    assert_true(err.mend != NULL && err.mend[0] != '\0');
}

static void good_options_are_taken(void **state)
{
    (void)state;
    struct hub_error err = {0};
    struct hub_bus_options options = good();
    assert_int_equal(hub_bus_options_check(&options, now, features, &err), HUB_OK);
    options.mechanism = "PLAIN";
    assert_int_equal(hub_bus_options_check(&options, now, features, &err), HUB_OK);
    options.mechanism = NULL;
    assert_int_equal(hub_bus_options_check(&options, now, features, &err), HUB_OK);
}

static void an_old_library_is_refused_with_scram_or_a_client_certificate(void **state)
{
    (void)state;
    struct hub_error err = {0};
    struct hub_bus_options options = good();
    assert_refused(options, old, features, "cannot log in with SCRAM");
    options.mechanism = NULL;
    assert_refused(options, old, features, "client certificate");
    options.cert = options.key = NULL;
    assert_int_equal(hub_bus_options_check(&options, old, features, &err), HUB_OK);
}

static void what_the_library_lacks_is_named(void **state)
{
    (void)state;
    struct hub_bus_options options = good();
    assert_refused(options, now, "gzip,sasl_scram_not,ssl", "not built into");
    assert_refused(options, now, "sasl_scram", "TLS is not built into");
    options.mechanism = "OAUTHBEARER";
    options.token_url = "https://token.example";
    options.oauth_client = "hub";
    assert_refused(options, now, "ssl,sasl_oauthbearer", "not built into");
}

static void incomplete_logins_are_refused(void **state)
{
    (void)state;
    struct hub_bus_options options = good();
    options.username = NULL;
    assert_refused(options, now, features, "user name");
    options = good();
    options.secret = NULL;
    assert_refused(options, now, features, "secret");
    options = good();
    options.key = NULL;
    assert_refused(options, now, features, "go together");
    options = good();
    options.mechanism = "MD5";
    assert_refused(options, now, features, "unknown SASL mechanism");
    options = good();
    options.mechanism = "PLAIN";
    options.tls = false;
    options.cert = options.key = NULL;
    assert_refused(options, now, features, "in the clear");
    options = good();
    options.mechanism = "OAUTHBEARER";
    assert_refused(options, now, features, "token service");
    options.oauth_client = "hub";
    options.token_url = "http://127.0.0.1.example:1/token";
    assert_refused(options, now, features, "without TLS");
    options.token_url = "https://login.example/token";
    assert_int_equal(hub_bus_options_check(&options, now, features, NULL), HUB_OK);
    options.tls = false;
    options.cert = options.key = NULL;
    assert_refused(options, now, features, "in the clear");
}

static void what_a_shell_would_read_in_a_kerberos_login_is_refused(void **state)
{
    (void)state;
    struct hub_bus_options options = good();
    options.mechanism = "GSSAPI";
    assert_refused(options, now, features, "principal and its keytab");
    options.kerberos_principal = "hub/genhosp.example@EXAMPLE.ORG";
    assert_refused(options, now, features, "principal and its keytab");
    options.kerberos_keytab = "/etc/chartline/my keys/hub.keytab";
    assert_int_equal(hub_bus_options_check(&options, now, features, NULL), HUB_OK);
    static const char *const paths[] = {"a\"b", "a$(b)", "a`b`", "a\\b", "a\nb"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        options.kerberos_keytab = paths[i];
        assert_refused(options, now, features, "keytab's path");
    }
    options.kerberos_keytab = "hub.keytab";
    static const char *const names[] = {"hub;true", "hub x", "$HOME", "hub&", "-c", "hub\nx"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        options.kerberos_principal = names[i];
        assert_refused(options, now, features, "in the principal");
    }
}

static void settings_that_guard_records_cannot_be_changed(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "acks=1", "acks=0", "request.required.acks=1", "enable.idempotence=false", "enable.auto.commit=true",
        "ssl.endpoint.identification.algorithm=none", "enable.ssl.certificate.verification=false",
        "security.protocol=plaintext", "sasl.password=x", "ssl.key.password=x", "isolation.level=read_uncommitted",
        "message.timeout.ms=1", "max.in.flight=10", "linger.ms", "=1", ""};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct hub_error err = {0};
        if (hub_bus_property_check(refused[i], &err) != HUB_CONFIG)
            fail_msg("%s is taken", refused[i]);
    }
    static const char *const taken[] = {"linger.ms=2", "socket.timeout.ms=30000", "retry.backoff.ms=50", "client.rack=a"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        assert_int_equal(hub_bus_property_check(taken[i], NULL), HUB_OK);
    const char *const list[] = {"linger.ms=2", "acks=1", NULL};
    struct hub_bus_options options = good();
    options.properties = list;
    assert_refused(options, now, features, "all in-sync replicas");
}

static void the_linked_library_takes_the_options_it_documents(void **state)
{
    (void)state;
    static const char *const unknown[] = {"no.such.setting=1", NULL};
    static const char *const known[] = {"linger.ms=2", NULL};
    struct hub_error err = {0};
    struct hub_bus *bus = NULL;
    struct hub_bus_options options = {.brokers = brokers, .client_id = "hub", .properties = known};
    assert_int_equal(hub_bus_open_kafka(&options, &bus, &err), HUB_OK);
    hub_bus_close(bus);
    options.properties = unknown;
    assert_int_equal(hub_bus_open_kafka(&options, &bus, &err), HUB_CONFIG);
    assert_string_equal(err.place, "no.such.setting");
    assert_null(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(murmur2_is_that_of_java_clients),
        cmocka_unit_test(a_negative_hash_gives_a_partition_too),
        cmocka_unit_test(good_options_are_taken),
        cmocka_unit_test(an_old_library_is_refused_with_scram_or_a_client_certificate),
        cmocka_unit_test(what_the_library_lacks_is_named),
        cmocka_unit_test(incomplete_logins_are_refused),
        cmocka_unit_test(what_a_shell_would_read_in_a_kerberos_login_is_refused),
        cmocka_unit_test(settings_that_guard_records_cannot_be_changed),
        cmocka_unit_test(the_linked_library_takes_the_options_it_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
