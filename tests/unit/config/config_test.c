/* hub.yaml: what is taken, and that everything wrong is said at once with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/config/config.h"

#define HUB "hub: {name: genhosp, root_key: {file: keys/root.key}}\n"
#define FEED(extra)                                                                                          \
    "feeds:\n  - {name: adt, id: f1, transport: {mllp: {listen: \"127.0.0.1:6661\"}}, format: {hl7v2: "      \
    "{timezone: Europe/Berlin}}" extra "}\n"

static struct hub_config *parse(const char *text, struct hub_problems *problems)
{
    hub_problems_init(problems);
    return hub_config_parse("site/hub.yaml", hub_span_str(text), problems);
}

/* TEXT is refused with a problem at LINE whose configuration path is NAME and whose text holds WORDS. */
static void refused(const char *text, uint32_t line, const char *name, const char *words)
{
    struct hub_problems problems;
    struct hub_config *config = parse(text, &problems);
    bool found = false;
    for (size_t i = 0; i < problems.count; i++) {
        const struct hub_problem *p = &problems.items[i];
        char all[512];
        (void)snprintf(all, sizeof all, "%s %s %s", p->error.what, p->detail, p->error.mend);
        found |= p->severity == HUB_SEVERITY_ERROR && p->error.line == line && strcmp(p->name, name) == 0 &&
                 strstr(all, words) != NULL;
    }
    if (!found) {
        (void)fprintf(stderr, "expected %u %s: %s; got:\n", line, name, words);
        (void)hub_problems_print(&problems, stderr);
    }
    assert_null(config);
    assert_true(found);
    hub_problems_deinit(&problems);
}

static struct hub_config *accepted(const char *text)
{
    struct hub_problems problems;
    struct hub_config *config = parse(text, &problems);
    if (config == NULL)
        (void)hub_problems_print(&problems, stderr);
    assert_non_null(config);
    hub_problems_deinit(&problems);
    return config;
}

static void config_takes_every_key_of_the_design(void **state)
{
    (void)state;
    struct hub_config *c = accepted(
        "hub:   {name: genhosp, data_dir: data, root_key: {file: keys/root.key}}\n"
        "feeds:\n"
        "  - name: adt-main\n"
        "    id: f1\n"
        "    transport: {mllp: {listen: \"0.0.0.0:6661\", tls: {cert: certs/hub.pem, key: certs/hub.key, "
        "client_ca: certs/senders.pem, allow: [\"CN=ehr-prod\"]}}}\n"
        "    format:    {hl7v2: {charset: latin1, timezone: America/New_York, processing: [P, T], mapping: "
        "[schemas/site/genhosp.yaml]}}\n"
        "    ack:       {wait: stored, mode: aa, on_error: accept}\n"
        "    identity:  {default_authority: GH, trust_links: [GENHOSP], inverse_merge: reject, "
        "known_authorities_only: true, visit_from_pid18: true}\n"
        "authorities: [{name: GENHOSP, system: \"urn:oid:1.2.840.114350.1\", aliases: [GH], primary: true}]\n"
        "identity: {ignore: [\"00?\", X*]}\n"
        "bus:       {local: {}}\n"
        "policy:    {protect: policies/protect/default.yaml, access: /etc/roles.yaml, insights: "
        "policies/insights/}\n"
        "api:       {listen: \"127.0.0.1:8080\", auth: {mtls: true, oauth: {issuer: a, jwks: b}}}\n"
        "limits:    {message_bytes: 1MiB, connections: 2, idle: 500ms, commit_wait: 1ms}\n");
    assert_string_equal(c->name, "genhosp");
    assert_string_equal(c->folder, "site");
    assert_string_equal(c->data_dir, "site/data");
    assert_string_equal(c->key_store, "site/keys/store");
    assert_string_equal(c->root_key.file, "site/keys/root.key");
    assert_int_equal(c->feed_count, 1);
    const struct hub_feed *f = hub_config_feed(c, "adt-main");
    assert_non_null(f);
    assert_null(hub_config_feed(c, "adt"));
    assert_int_equal(f->line, 3);
    assert_string_equal(f->transport, "mllp");
    assert_string_equal(f->format, "hl7v2");
    assert_true(f->tls.enabled);
    assert_string_equal(f->tls.client_ca, "site/certs/senders.pem");
    assert_int_equal(f->tls.allow_count, 1);
    assert_string_equal(f->tls.allow[0], "CN=ehr-prod");
    assert_null(f->tls.allow[1]);
    assert_string_equal(f->charset, "latin1");
    assert_int_equal(f->processing_count, 2);
    assert_string_equal(f->mapping[0], "site/schemas/site/genhosp.yaml");
    assert_int_equal(f->ack_mode, HUB_ACK_AA);
    assert_int_equal(f->on_error, HUB_ON_ERROR_ACCEPT);
    assert_true(f->inverse_merge_reject && f->known_authorities_only && f->visit_from_pid18);
    assert_true(c->authorities[0].primary);
    assert_int_equal(c->identity_ignore_count, 2);
    assert_string_equal(c->policy_access, "/etc/roles.yaml");
    assert_true(c->api_mtls);
    assert_int_equal(c->limits.message_bytes, 1 << 20);
    assert_int_equal(c->limits.idle_ms, 500);
    assert_int_equal(c->limits.commit_wait_us, 1000);
    hub_config_free(c);
}

static void config_fills_defaults(void **state)
{
    (void)state;
    struct hub_config *c = accepted(HUB FEED(""));
    assert_int_equal(c->limits.message_bytes, 16 << 20);
    assert_int_equal(c->limits.in_flight_bytes, 256 << 20);
    assert_int_equal(c->limits.idle_ms, 600000);
    assert_int_equal(c->limits.connections, 2000);
    assert_int_equal(c->feeds[0].processing_count, 1);
    assert_string_equal(c->feeds[0].processing[0], "P");
    assert_int_equal(c->feeds[0].mapping_count, 0);
    assert_non_null(c->feeds[0].mapping);
    assert_null(c->feeds[0].mapping[0]);
    assert_int_equal(c->feeds[0].ack_mode, HUB_ACK_AUTO);
    assert_false(c->feeds[0].tls.enabled);
    assert_string_equal(c->policy_protect, "site/policies/protect/default.yaml");
    assert_true(c->identity_ignore_count > 10);
    assert_null(c->api_listen);
    assert_null(c->schema_dir);
    hub_config_free(c);
}

static void config_names_the_nearest_key_for_an_unknown_one(void **state)
{
    (void)state;
    struct hub_problems problems;
    assert_null(parse(HUB "limits: {conections: 5}\n", &problems));
    assert_int_equal(problems.errors, 1);
    assert_int_equal(problems.items[0].error.line, 2);
    char text[1024];
    FILE *memory = fmemopen(text, sizeof text, "w");
    (void)hub_problems_print(&problems, memory);
    (void)fclose(memory);
    assert_non_null(strstr(text, "conections"));
    assert_non_null(strstr(text, "connections"));
    assert_non_null(strstr(text, "site/hub.yaml:2"));
    hub_problems_deinit(&problems);
}

static void config_says_everything_wrong_at_once(void **state)
{
    (void)state;
    struct hub_problems problems;
    assert_null(parse("hub: {name: a b, root_key: secret}\n"
                      "nonsense: 1\n"
                      "feeds:\n"
                      "  - {name: x, id: f1, transport: {mllp: {listen: nowhere}}, format: {hl7v2: {}}}\n"
                      "limits: {idle: 10, message_bytes: 1XB, connections: 0}\n",
                      &problems));
    assert_int_equal(problems.errors, 8);
    for (size_t i = 0; i < problems.count; i++) {
        assert_true(problems.items[i].error.line > 0);
        assert_string_equal(problems.items[i].error.path, "site/hub.yaml");
        assert_true(problems.items[i].error.mend[0] != '\0');
    }
    hub_problems_deinit(&problems);
}

static void config_refuses_secrets_as_values(void **state)
{
    (void)state;
    refused("hub: {name: a, root_key: 00112233}\n", 1, "hub.root_key", "a secret is a reference");
    refused("hub: {name: a, root_key: {}}\n", 1, "hub.root_key", "exactly one source");
    refused("hub: {name: a, root_key: {file: a, env: B}}\n", 1, "hub.root_key", "exactly one source");
    refused("hub: {name: a, root_key: {value: a}}\n", 1, "value", "unknown key");
}

static void config_refuses_plaintext_outside_loopback(void **state)
{
    (void)state;
#define OPEN(options)                                                                                        \
    HUB "feeds:\n  - {name: adt, id: f1, format: {hl7v2: {timezone: UTC}},\n     transport: {mllp: "         \
        "{" options "}}}\n"
    refused(OPEN("listen: \"0.0.0.0:6661\""), 4, "feeds[0].transport.mllp.listen", "without TLS");
    refused(OPEN("listen: \"127.0.0.1.example.org:6661\""), 4, "feeds[0].transport.mllp.listen",
            "without TLS");
    refused(OPEN("listen: \"0.0.0.0:6661\", tls: {cert: a, key: b, allow: [\"CN=x\"]}"), 4,
            "feeds[0].transport.mllp.tls", "client_ca");
    refused(OPEN("listen: \"0.0.0.0:6661\", tls: {cert: a, key: b, client_ca: c, allow: [ehr]}"), 4,
            "feeds[0].transport.mllp.tls", "CN=name");
    refused(HUB "api: {listen: \"0.0.0.0:80\"}\n", 2, "api.listen", "without TLS");
    struct hub_problems problems;
    struct hub_config *c = parse(OPEN("listen: \"0.0.0.0:6661\", insecure: true"), &problems);
    assert_non_null(c);
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.items[0].severity, HUB_SEVERITY_WARNING);
    assert_int_equal(problems.items[0].error.line, 4);
    hub_problems_deinit(&problems);
    hub_config_free(c);
    hub_config_free(accepted(OPEN("listen: \"[::1]:6661\"")));
    hub_config_free(accepted(OPEN("listen: \"localhost:6661\"")));
}

static void config_refuses_what_clashes(void **state)
{
    (void)state;
#define TWO(name, id, port)                                                                                  \
    HUB "feeds:\n  - {name: a, id: f1, transport: {mllp: {listen: \"127.0.0.1:1\"}}, format: {hl7v2: "       \
        "{timezone: UTC}}}\n"                                                                                \
        "  - {name: " name ", id: " id ", transport: {mllp: {listen: \"127.0.0.1:" port                      \
        "\"}}, format: {hl7v2: {timezone: UTC}}}\n"
    hub_config_free(accepted(TWO("b", "f2", "2")));
    refused(TWO("a", "f2", "2"), 4, "feeds[1].name", "another feed has this name");
    refused(TWO("b", "f1", "2"), 4, "feeds[1].id", "another feed has this id");
    refused(TWO("b", "f2", "1"), 4, "feeds[1].transport.mllp.listen", "another feed listens there");
#define AUTHORITIES(second)                                                                                  \
    HUB "authorities:\n  - {name: A, system: \"urn:oid:1.2\", aliases: [AA]}\n  - " second "\n"
    hub_config_free(accepted(AUTHORITIES("{name: B, system: \"urn:oid:1.3\", aliases: [BB]}")));
    refused(AUTHORITIES("{name: A, system: \"urn:oid:1.3\"}"), 4, "authorities[1].name", "has this name");
    refused(AUTHORITIES("{name: AA, system: \"urn:oid:1.3\"}"), 4, "authorities[1].name", "has this name");
    refused(AUTHORITIES("{name: B, system: \"urn:oid:1.2\"}"), 4, "authorities[1].system", "has this system");
    refused(AUTHORITIES("{name: B, system: \"urn:oid:1.3\", aliases: [A]}"), 4, "authorities[1].aliases",
            "has this alias");
    refused(AUTHORITIES("{name: B, system: local}"), 4, "authorities[1].system", "not a URI");
}

static void config_refuses_feeds_that_cannot_work(void **state)
{
    (void)state;
    refused(
        HUB
        "feeds:\n  - {name: a, id: f1, transport: {mllp: {listen: \"127.0.0.1:1\"}}, format: {hl7v2: {}}}\n",
        3, "feeds[0].format.hl7v2.timezone", "add timezone");
    refused(HUB "feeds:\n  - {name: a, id: f1, transport: {mllp: {listen: \"127.0.0.1:1\"}}, format: {hl7v2: "
                "{timezone: UTC, charset_override: true}}}\n",
            3, "feeds[0].format.hl7v2.charset_override", "add charset");
    refused(HUB FEED(", identity: {trust_links: [NOBODY]}"), 3, "feeds[0].identity.trust_links", "NOBODY");
    refused(HUB FEED(", identity: {default_authority: NOBODY}"), 3, "feeds[0].identity.default_authority",
            "not configured");
    refused(HUB FEED(", ack: {wait: broker}"), 3, "feeds[0].ack.wait", "broker");
    refused(HUB FEED(", ack: {mode: maybe}"), 3, "feeds[0].ack.mode", "one of auto, original");
    refused(HUB "feeds:\n  - {name: a, id: f1, transport: {carrier: {}}, format: {hl7v2: {timezone: UTC}}}\n",
            3, "feeds[0].transport.carrier", "mllp");
    refused(HUB "feeds:\n  - {name: a, id: f1, transport: {https: {}}, format: {fhir: {}}}\n", 3,
            "feeds[0].transport.https", "not built into this version");
    refused(HUB "feeds:\n  - {id: f1}\n", 3, "feeds[0].name", "required");
    refused(HUB "feeds: {a: b}\n", 2, "feeds", "list of maps");
}

#define KAFKA(more) HUB "bus: {kafka: {brokers: [\"a:9092\"]" more "}}\n"

static void config_knows_a_whole_kafka(void **state)
{
    (void)state;
    struct hub_problems problems;
    hub_problems_init(&problems);
    static const char text[] = KAFKA(", tls: {ca: ca.pem, cert: c.pem, key: c.key}, sasl: {username: hub, password: "
                                     "{file: p}}, topics: {partitions: 6}, properties: [linger.ms=2]");
    struct hub_config *config =
        hub_config_parse("dir/hub.yaml", hub_span_of(text, sizeof text - 1), &problems);
    assert_non_null(config);
    assert_true(hub_config_uses_kafka(config));
    assert_string_equal(config->kafka.brokers[0], "a:9092");
    assert_string_equal(config->kafka.prefix, "chartline.");
    assert_true(config->kafka.tls.enabled && config->kafka.sasl.enabled && config->kafka.topics.create);
    assert_string_equal(config->kafka.tls.ca, "dir/ca.pem");
    assert_string_equal(config->kafka.sasl.mechanism, "SCRAM-SHA-512");
    assert_string_equal(config->kafka.sasl.password.file, "dir/p");
    assert_int_equal(config->kafka.topics.partitions, 6);
    assert_int_equal(config->kafka.topics.replicas, 3);
    assert_int_equal(config->kafka.topics.min_insync, 2);
    hub_config_free(config);
    hub_problems_deinit(&problems);
}

static void config_refuses_an_unsafe_kafka(void **state)
{
    (void)state;
    refused(HUB "bus: {}\n", 2, "bus", "exactly one member");
    refused(HUB "bus: {kafka: {tls: {}}}\n", 2, "bus.kafka.brokers", "required");
    refused(KAFKA(""), 2, "bus.kafka", "write insecure: true");
    refused(KAFKA(", insecure: true, properties: [acks=1]"), 2, "bus.kafka.properties", "all in-sync replicas");
    refused(KAFKA(", insecure: true, properties: [enable.auto.commit=true]"), 2, "bus.kafka.properties", "never by a clock");
    refused(KAFKA(", tls: {}, properties: [ssl.endpoint.identification.algorithm=none]"), 2, "bus.kafka.properties",
            "names are always checked");
    refused(KAFKA(", tls: {}, topics: {replicas: 1}"), 2, "bus.kafka.topics.min_insync", "more copies");
    refused(KAFKA(", tls: {}, sasl: {password: secret}"), 2, "bus.kafka.sasl.password", "reference");
    refused(HUB "bus: {kafka: {brokers: [\"a\"], tls: {}}}\n", 2, "bus.kafka.brokers", "host:port");
    refused(KAFKA(", tls: {}, acks: 1"), 2, "acks", "unknown key");
}

static void config_checks_ranges_and_units(void **state)
{
    (void)state;
    refused(HUB "limits: {idle: 10}\n", 2, "limits.idle", "not a duration");
    refused(HUB "limits: {idle: 1ms}\n", 2, "limits.idle", "100ms to 7d");
    refused(HUB "limits: {frame: 1500us}\n", 2, "limits.frame", "millisecond");
    refused(HUB "limits: {message_bytes: 16MB}\n", 2, "limits.message_bytes", "not a size");
    refused(HUB "limits: {message_bytes: 2GiB}\n", 2, "limits.message_bytes", "1KiB to 1GiB");
    refused(HUB "limits: {message_bytes: 99999999999999999999}\n", 2, "limits.message_bytes", "not a size");
    refused(HUB "limits: {message_bytes: 9000000000GiB}\n", 2, "limits.message_bytes", "not a size");
    refused(HUB "limits: {connections: -1}\n", 2, "limits.connections", "not a number");
    refused(HUB "limits: {message_bytes: 512MiB}\n", 2, "limits.in_flight_bytes",
            "smaller than limits.message_bytes");
    refused(HUB "limits: [1]\n", 2, "limits", "map");
}

static void config_keeps_keys_out_of_the_data_directory(void **state)
{
    (void)state;
    refused("hub: {name: a, data_dir: d, key_store: d/keys, root_key: {file: r}}\n", 1, "hub.key_store",
            "lies in the data directory");
    refused("hub: {name: a, data_dir: d, root_key: {file: d/r}}\n", 1, "hub.root_key",
            "lies in the data directory");
    hub_config_free(accepted("hub: {name: a, data_dir: d, key_store: d2/keys, root_key: {file: d3}}\n"));
}

static void config_reports_a_missing_file(void **state)
{
    (void)state;
    struct hub_problems problems;
    hub_problems_init(&problems);
    assert_null(hub_config_load("/nonexistent/hub.yaml", &problems));
    assert_true(problems.errors >= 1);
    assert_string_equal(problems.items[0].error.path, "/nonexistent/hub.yaml");
    hub_problems_deinit(&problems);
}

static void config_for_map_has_one_feed_without_zone(void **state)
{
    (void)state;
    struct hub_config *c = hub_config_new("/share/schemas");
    assert_non_null(c);
    assert_int_equal(c->feed_count, 1);
    assert_null(c->feeds[0].timezone);
    assert_string_equal(c->feeds[0].format, "hl7v2");
    assert_string_equal(c->schema_dir, "/share/schemas");
    hub_config_free(c);
}

/* --- secrets --- */

static void secret_comes_from_file_environment_and_command(void **state)
{
    (void)state;
    char path[] = "/tmp/chartline-secret-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abc\n", 4), 4);
    (void)close(fd);
    uint8_t out[8];
    size_t len;
    struct hub_error err = {0};
    assert_int_equal(hub_secret_read(&(struct hub_secret_ref){.file = path}, out, sizeof out, &len, &err),
                     HUB_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(out, "abc", 3);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(hub_secret_read(&(struct hub_secret_ref){.file = path}, out, sizeof out, &len, &err),
                     HUB_CONFIG);
    assert_non_null(strstr(err.mend, "600"));
    (void)unlink(path);
    assert_int_equal(hub_secret_read(&(struct hub_secret_ref){.file = path}, out, sizeof out, &len, &err),
                     HUB_CONFIG);
    assert_int_equal(setenv("CHARTLINE_TEST_SECRET", "12345678", 1), 0);
    assert_int_equal(hub_secret_read(&(struct hub_secret_ref){.env = "CHARTLINE_TEST_SECRET"}, out,
                                     sizeof out, &len, &err),
                     HUB_OK);
    assert_int_equal(len, 8);
    assert_int_equal(setenv("CHARTLINE_TEST_SECRET", "123456789", 1), 0);
    assert_int_equal(hub_secret_read(&(struct hub_secret_ref){.env = "CHARTLINE_TEST_SECRET"}, out,
                                     sizeof out, &len, &err),
                     HUB_CONFIG);
    assert_int_equal(unsetenv("CHARTLINE_TEST_SECRET"), 0);
    assert_int_equal(hub_secret_read(&(struct hub_secret_ref){.env = "CHARTLINE_TEST_SECRET"}, out,
                                     sizeof out, &len, &err),
                     HUB_CONFIG);
    assert_int_equal(
        hub_secret_read(&(struct hub_secret_ref){.command = "echo xyz"}, out, sizeof out, &len, &err),
        HUB_OK);
    assert_int_equal(len, 3);
    assert_int_equal(
        hub_secret_read(&(struct hub_secret_ref){.command = "echo xyz; exit 3"}, out, sizeof out, &len, &err),
        HUB_CONFIG);
    assert_int_equal(
        hub_secret_read(&(struct hub_secret_ref){.command = "true"}, out, sizeof out, &len, &err),
        HUB_CONFIG);
}

static void root_key_is_64_hex_digits(void **state)
{
    (void)state;
    struct hub_config config = {.root_key = {.env = "CHARTLINE_TEST_SECRET"}};
    uint8_t key[HUB_ROOT_KEY_LEN];
    struct hub_error err = {0};
    assert_int_equal(setenv("CHARTLINE_TEST_SECRET",
                            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", 1),
                     0);
    assert_int_equal(hub_root_key_read(&config, key, &err), HUB_OK);
    for (uint8_t i = 0; i < sizeof key; i++)
        assert_int_equal(key[i], i);
    static const char *const wrong[] = {"00",
                                        "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(setenv("CHARTLINE_TEST_SECRET", wrong[i], 1), 0);
        assert_int_equal(hub_root_key_read(&config, key, &err), HUB_CONFIG);
    }
    assert_int_equal(unsetenv("CHARTLINE_TEST_SECRET"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_takes_every_key_of_the_design),
        cmocka_unit_test(config_fills_defaults),
        cmocka_unit_test(config_names_the_nearest_key_for_an_unknown_one),
        cmocka_unit_test(config_says_everything_wrong_at_once),
        cmocka_unit_test(config_refuses_secrets_as_values),
        cmocka_unit_test(config_refuses_plaintext_outside_loopback),
        cmocka_unit_test(config_refuses_what_clashes),
        cmocka_unit_test(config_refuses_feeds_that_cannot_work),
        cmocka_unit_test(config_knows_a_whole_kafka),
        cmocka_unit_test(config_refuses_an_unsafe_kafka),
        cmocka_unit_test(config_checks_ranges_and_units),
        cmocka_unit_test(config_keeps_keys_out_of_the_data_directory),
        cmocka_unit_test(config_reports_a_missing_file),
        cmocka_unit_test(config_for_map_has_one_feed_without_zone),
        cmocka_unit_test(secret_comes_from_file_environment_and_command),
        cmocka_unit_test(root_key_is_64_hex_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
