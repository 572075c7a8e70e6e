/* bus.kafka, one row an option. */
#include <stddef.h>

#include "src/config/option.h"

#define AT(type, field) offsetof(struct type, field)
#define KAFKA(field) AT(hub_config, kafka) + AT(hub_kafka_config, field)
#define END                                                                                                  \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }
#define NOWHERE HUB_OPTION_NO_OFFSET
#define REQUIRED HUB_OPTION_REQUIRED

static const struct hub_option tls_rows[] = {
    {"ca", HUB_OPTION_PATH, AT(hub_kafka_tls, ca),
     .description = "authorities of the brokers' certificates (PEM); absent: the system's"},
    {"cert", HUB_OPTION_PATH, AT(hub_kafka_tls, cert),
     .description = "client certificate and the chain behind it (PEM)"},
    {"key", HUB_OPTION_PATH, AT(hub_kafka_tls, key), .description = "its private key (PEM, mode 0600)"},
    END,
};
static const struct hub_section tls_section = {.title = NULL, .rows = tls_rows};

static const struct hub_option oauth_rows[] = {
    {"token_url", HUB_OPTION_TEXT, AT(hub_kafka_sasl, token_url), .flags = REQUIRED,
     .description = "token service (https)"},
    {"client_id", HUB_OPTION_TEXT, AT(hub_kafka_sasl, client_id), .flags = REQUIRED,
     .description = "client id; its secret is `sasl.password`"},
    {"scope", HUB_OPTION_TEXT, AT(hub_kafka_sasl, scope), .description = "scope asked for"},
    END,
};
static const struct hub_section oauth_section = {.title = NULL, .rows = oauth_rows};

static const struct hub_option kerberos_rows[] = {
    {"service", HUB_OPTION_NAME, AT(hub_kafka_sasl, kerberos_service), "kafka",
     .description = "service name of the brokers"},
    {"principal", HUB_OPTION_TEXT, AT(hub_kafka_sasl, kerberos_principal),
     .description = "the hub's own principal"},
    {"keytab", HUB_OPTION_PATH, AT(hub_kafka_sasl, kerberos_keytab), .description = "its keys"},
    END,
};
static const struct hub_section kerberos_section = {.title = NULL, .rows = kerberos_rows};

static const struct hub_option sasl_rows[] = {
    {"mechanism", HUB_OPTION_NAME, AT(hub_kafka_sasl, mechanism), "SCRAM-SHA-512",
     .description = "SCRAM-SHA-512, SCRAM-SHA-256, PLAIN (with TLS only), OAUTHBEARER or GSSAPI"},
    {"username", HUB_OPTION_TEXT, AT(hub_kafka_sasl, username), .description = "user"},
    {"password", HUB_OPTION_SECRET, AT(hub_kafka_sasl, password), .flags = HUB_OPTION_SECRET_VALUE,
     .section = &hub_config_secret_section,
     .description = "its password; for OAUTHBEARER the client's secret"},
    {"oauth", HUB_OPTION_SECTION, 0, .section = &oauth_section, .present_offset = NOWHERE,
     .description = "client credentials for OAUTHBEARER"},
    {"kerberos", HUB_OPTION_SECTION, 0, .section = &kerberos_section, .present_offset = NOWHERE,
     .description = "for GSSAPI"},
    END,
};
static const struct hub_section sasl_section = {.title = NULL, .rows = sasl_rows};

static const struct hub_option topic_rows[] = {
    {"create", HUB_OPTION_BOOL, AT(hub_kafka_topics, create), "true",
     .description = "make topics that are not there; with `false` the user needs no right to"},
    {"partitions", HUB_OPTION_COUNT, AT(hub_kafka_topics, partitions), "12", 1, 1000,
     .description = "of events, identity and timeline: as many processes can share the timeline's work; never "
                    "change it once events are there"},
    {"replicas", HUB_OPTION_COUNT, AT(hub_kafka_topics, replicas), "3", 1, 15, .description = "copies of a record"},
    {"min_insync", HUB_OPTION_COUNT, AT(hub_kafka_topics, min_insync), "2", 1, 15,
     .description = "copies that must be written before a record counts as stored"},
    {"retention_days", HUB_OPTION_COUNT, AT(hub_kafka_topics, retention_days), "0", 0, 36500,
     .description = "how long events, dead letters and alerts are kept; 0: for ever"},
    END,
};
static const struct hub_section topic_section = {.title = NULL, .rows = topic_rows};

static const struct hub_option timeline_rows[] = {
    {"session", HUB_OPTION_MILLIS, AT(hub_kafka_timeline, session_ms), "45s", 6000, 1800000,
     .description = "a process that is silent for so long loses its partitions; one that is back sooner keeps them"},
    {"wait", HUB_OPTION_MILLIS, AT(hub_kafka_timeline, wait_ms), "10ms", 0, 1000,
     .description = "how long a change waits for others before all go out together"},
    {"facts", HUB_OPTION_SECONDS, AT(hub_kafka_timeline, facts_s), "30s", 1, 3600,
     .description = "how long an event waits for the identity facts that were sent before it; then it is applied without them, and "
                    "counted"},
    {"tombstones", HUB_OPTION_SECONDS, AT(hub_kafka_timeline, tombstones_s), "24h", 60, 315360000,
     .description = "`delete.retention.ms` of the topic `timeline`: a partition's state that is older is not brought up to date but built "
                    "anew from the topic"},
    END,
};
static const struct hub_section timeline_section = {.title = NULL, .rows = timeline_rows};
#define REGISTRY(field) AT(hub_schema_registry, field)

static const struct hub_option registry_tls_rows[] = {
    {"ca", HUB_OPTION_PATH, AT(hub_registry_tls, ca),
     .description = "authorities of the registry's certificate (PEM); absent: the system's"},
    {"cert", HUB_OPTION_PATH, AT(hub_registry_tls, cert),
     .description = "client certificate and the chain behind it (PEM)"},
    {"key", HUB_OPTION_PATH, AT(hub_registry_tls, key), .description = "its private key (PEM, mode 0600)"},
    END,
};
static const struct hub_section registry_tls_section = {.title = NULL, .rows = registry_tls_rows};

/* in the order of enum hub_registry_compatibility */
static const char *const compatibilities[] = {"BACKWARD_TRANSITIVE", "BACKWARD", "FORWARD", "FORWARD_TRANSITIVE", "FULL",
                                              "FULL_TRANSITIVE", "NONE", "registry", NULL};

static const struct hub_option registry_rows[] = {
    {"url", HUB_OPTION_TEXT, REGISTRY(url), .flags = REQUIRED,
     .description = "its address with the path of its Confluent API, as https://registry:8081"},
    {"insecure", HUB_OPTION_BOOL, REGISTRY(insecure), "false",
     .description = "allow http:// outside loopback; said again at every check and start"},
    {"tls", HUB_OPTION_SECTION, REGISTRY(tls), .section = &registry_tls_section,
     .present_offset = REGISTRY(tls) + AT(hub_registry_tls, enabled),
     .description = "authorities, and a client certificate where the registry asks for one"},
    {"username", HUB_OPTION_TEXT, REGISTRY(username), .description = "user, for HTTP basic authentication"},
    {"password", HUB_OPTION_SECRET, REGISTRY(password), .flags = HUB_OPTION_SECRET_VALUE,
     .section = &hub_config_secret_section, .description = "its password"},
    {"token", HUB_OPTION_SECRET, REGISTRY(token), .flags = HUB_OPTION_SECRET_VALUE, .section = &hub_config_secret_section,
     .description = "a bearer token instead of user and password"},
    {"register", HUB_OPTION_BOOL, REGISTRY(create), "true",
     .description = "put schemas there that are not; with `false` they are put there by others, and the user needs no right to"},
    {"compatibility", HUB_OPTION_ENUM, REGISTRY(compatibility), "BACKWARD_TRANSITIVE", .choices = compatibilities,
     .description = "mode that the subjects get; `registry`: whatever they have there"},
    {"timeout", HUB_OPTION_MILLIS, REGISTRY(timeout_ms), "5s", 100, 60000, .description = "of one request"},
    END,
};
static const struct hub_section registry_section = {.title = NULL, .rows = registry_rows};

static const char *const compressions[] = {"none", "zstd", "lz4", "gzip", "snappy", NULL};

static const struct hub_option kafka_rows[] = {
    {"brokers", HUB_OPTION_TEXTS, KAFKA(brokers), .min = 1, .max = 100, .count_offset = KAFKA(broker_count),
     .flags = REQUIRED, .description = "some of the brokers, as host:port; the others are found through them",
     .mend = "add brokers: [\"host:9093\"]"},
    {"prefix", HUB_OPTION_NAME, KAFKA(prefix), "chartline.", .max = 100,
     .description = "start of the names of topics, consumer groups and transactional ids"},
    {"insecure", HUB_OPTION_BOOL, KAFKA(insecure), "false",
     .description = "allow brokers without TLS; said again at every check and start"},
    {"instance", HUB_OPTION_NAME, KAFKA(instance), .max = 200,
     .description = "name of this process among those that share the timeline, its own and always the same; "
                    "absent: made of the machine's name and hub.data_dir"},
    {"trust", HUB_OPTION_TEXTS, KAFKA(trust), .max = 100, .count_offset = KAFKA(trust_count),
     .description = "public signing keys of the hubs whose identity facts count (`chartline keys signer` shows a hub's); its own "
                    "is trusted by itself"},
    {"tls", HUB_OPTION_SECTION, KAFKA(tls), .section = &tls_section,
     .present_offset = KAFKA(tls) + AT(hub_kafka_tls, enabled),
     .description = "TLS; with `cert` and `key` the hub proves who it is by certificate"},
    {"sasl", HUB_OPTION_SECTION, KAFKA(sasl), .section = &sasl_section,
     .present_offset = KAFKA(sasl) + AT(hub_kafka_sasl, enabled), .description = "login"},
    {"topics", HUB_OPTION_SECTION, KAFKA(topics), .section = &topic_section, .present_offset = NOWHERE,
     .description = "how topics are made, and what they are compared with"},
    {"timeline", HUB_OPTION_SECTION, KAFKA(timeline), .section = &timeline_section, .present_offset = NOWHERE,
     .description = "processes with the role `timeline`"},
    {"schema_registry", HUB_OPTION_SECTION, KAFKA(registry), .section = &registry_section,
     .present_offset = KAFKA(registry) + REGISTRY(enabled),
     .description = "values of `events` and `timeline` carry the id of their schema in this registry (Confluent's API)"},
    {"compression", HUB_OPTION_ENUM, KAFKA(compression), "none", .choices = compressions,
     .description = "of batches on the wire and on the brokers' disks; sealed content shrinks by a quarter with zstd"},
    {"buffer", HUB_OPTION_SIZE, KAFKA(buffer_bytes), "64MiB", INT64_C(1) << 20, INT64_C(1) << 30,
     .description = "records that wait in memory for the brokers; the others wait in the event log"},
    {"properties", HUB_OPTION_TEXTS, KAFKA(properties), .max = 100, .count_offset = KAFKA(property_count),
     .description = "settings of the client library, as `linger.ms=2`; those that keep records safe cannot be "
                    "changed"},
    END,
};
const struct hub_section hub_config_kafka_section = {
    .title = NULL,
    .rows = kafka_rows,
};
