#include "src/pipeline/bus_setup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/bus/admin.h"
#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/net/cert.h"
#include "src/pipeline/hub.h"

enum { TOPIC_NAME_MAX = 128, INSTANCE_MAX = 256, HOST_MAX = 128, FOLDER_HASH_LEN = 5, RECORD_SPARE = 64 * 1024, EVENT_BYTES_LEAST = 1024 * 1024 };

struct hub_bus_setup {
    const struct hub_config *config;
    struct hub_bus *bus;
    char names[HUB_TOPIC_COUNT][TOPIC_NAME_MAX];
    char instance[INSTANCE_MAX];
    char group[TOPIC_NAME_MAX], transactions[TOPIC_NAME_MAX + 1];
};

/* What a topic is, and who does what with it. */
static const struct {
    const char *name;
    bool by_subject, compacted;
    unsigned writers, readers; /* roles */
} topics[] = {
    [HUB_TOPIC_EVENTS] = {"events", true, false, HUB_RUN_FORWARD, HUB_RUN_TIMELINE},
    [HUB_TOPIC_IDENTITY] = {"identity", true, true, HUB_RUN_FORWARD, HUB_RUN_TIMELINE},
    [HUB_TOPIC_KEYS] = {"keys", false, true, HUB_RUN_FORWARD, HUB_RUN_API},
    [HUB_TOPIC_TIMELINE] = {"timeline", true, true, HUB_RUN_TIMELINE, HUB_RUN_TIMELINE},
    [HUB_TOPIC_DEADLETTER] = {"deadletter", false, false, HUB_RUN_FORWARD, 0},
    [HUB_TOPIC_ALERTS] = {"alerts", false, false, HUB_RUN_TIMELINE, 0},
    [HUB_TOPIC_AUDIT] = {"audit", false, false, HUB_RUN_FORWARD, 0},
};

uint64_t hub_bus_event_bytes_max(const struct hub_config *config)
{
    uint64_t twice = config->limits.message_bytes * 2;
    return twice > EVENT_BYTES_LEAST ? twice : EVENT_BYTES_LEAST;
}

/* --- the login --- */

static enum hub_result secret(void *ctx, uint8_t *out, size_t *len, struct hub_error *err)
{
    const struct hub_config *config = ctx;
    return hub_secret_read(&config->kafka.sasl.password, out, HUB_BUS_SECRET_MAX, len, err);
}

static bool has_secret(const struct hub_secret_ref *ref)
{
    return ref->file != NULL || ref->env != NULL || ref->credential != NULL || ref->command != NULL;
}

/* An expired certificate is refused by the brokers with words that differ from version to version: said
 * here, before one is asked. */
static enum hub_result check_certificate(const char *path, const char *expired, struct hub_error *err)
{
    struct hub_cert_info info;
    if (path == NULL)
        return HUB_OK;
    HUB_TRY(hub_cert_load(path, &info, err));
    if (info.not_after_us > hub_clock_wall_us(hub_clock_system()))
        return HUB_OK;
    (void)hub_fail(err, HUB_CONFIG, expired, "put a new one there");
    return hub_error_in(err, path, 0);
}

static const char *compression_name(enum hub_kafka_compression compression)
{
    switch (compression) {
    case HUB_KAFKA_NONE:
        return "none";
    case HUB_KAFKA_ZSTD:
        return "zstd";
    case HUB_KAFKA_LZ4:
        return "lz4";
    case HUB_KAFKA_GZIP:
        return "gzip";
    case HUB_KAFKA_SNAPPY:
        return "snappy";
    }
    return "none";
}

bool hub_bus_setup_awaited(const struct hub_config *config)
{
    bool waits = false;
    for (size_t i = 0; i < config->feed_count; i++)
        waits = waits || config->feeds[i].ack_wait == HUB_ACK_BROKER;
    return waits;
}

static struct hub_bus_options options_of(const struct hub_config *config)
{
    const struct hub_kafka_config *k = &config->kafka;
    struct hub_bus_options options = {
        .brokers = (const char *const *)k->brokers,
        .tls = k->tls.enabled,
        .ca = k->tls.ca,
        .cert = k->tls.cert,
        .key = k->tls.key,
        .compression = compression_name(k->compression),
        .buffer_bytes = k->buffer_bytes,
        .message_bytes = hub_bus_event_bytes_max(config) + RECORD_SPARE,
        .properties = (const char *const *)k->properties,
    };
    if (!k->sasl.enabled)
        return options;
    options.mechanism = k->sasl.mechanism;
    options.username = k->sasl.username;
    options.secret = has_secret(&k->sasl.password) ? secret : NULL;
    options.secret_ctx = (void *)(uintptr_t)config;
    options.token_url = k->sasl.token_url;
    options.oauth_client = k->sasl.client_id;
    options.oauth_scope = k->sasl.scope;
    options.kerberos_service = k->sasl.kerberos_service;
    options.kerberos_principal = k->sasl.kerberos_principal;
    options.kerberos_keytab = k->sasl.kerberos_keytab;
    return options;
}

/* Two processes of one name would put each other out of the group: data directories differ where nothing else does. */
static void name_instance(struct hub_bus_setup *setup)
{
    char host[HOST_MAX] = "", folder[2 * FOLDER_HASH_LEN + 1];
    uint8_t hash[HUB_HASH_LEN];
    if (setup->config->kafka.instance != NULL) {
        (void)snprintf(setup->instance, sizeof setup->instance, "%s", setup->config->kafka.instance);
        return;
    }
    char real[PATH_MAX];
    hub_sha256_of(hub_span_str(realpath(setup->config->data_dir, real) != NULL ? real : setup->config->data_dir), hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, FOLDER_HASH_LEN), folder, sizeof folder);
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    (void)snprintf(setup->instance, sizeof setup->instance, "%s-%s", host[0] != '\0' ? host : setup->config->name, folder);
}

/* --- life --- */

static enum hub_result open_setup(struct hub_bus_setup *setup, struct hub_error *err)
{
    struct hub_bus_options options = options_of(setup->config);
    for (size_t i = 0; i < HUB_TOPIC_COUNT; i++)
        (void)snprintf(setup->names[i], sizeof setup->names[i], "%s%s", setup->config->kafka.prefix,
                       topics[i].name);
    (void)snprintf(setup->group, sizeof setup->group, "%stimeline", setup->config->kafka.prefix);
    (void)snprintf(setup->transactions, sizeof setup->transactions, "%s-", setup->group);
    name_instance(setup);
    options.client_id = setup->instance;
    HUB_TRY(check_certificate(options.cert, "the client certificate for Kafka has expired", err));
    HUB_TRY(check_certificate(setup->config->kafka.registry.tls.cert, "the client certificate for the schema registry has expired", err));
    return hub_bus_open_kafka(&options, &setup->bus, err);
}

enum hub_result hub_bus_setup_open(const struct hub_config *config, struct hub_bus_setup **out,
                                   struct hub_error *err)
{
    *out = NULL;
    struct hub_bus_setup *setup = hub_mem_alloc(sizeof *setup);
    if (setup == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the bus", NULL);
    setup->config = config;
    enum hub_result result = open_setup(setup, err);
    if (result != HUB_OK) {
        hub_bus_setup_close(setup);
        return result;
    }
    *out = setup;
    return HUB_OK;
}

void hub_bus_setup_close(struct hub_bus_setup *setup)
{
    if (setup == NULL)
        return;
    hub_bus_close(setup->bus);
    hub_mem_free(setup);
}

struct hub_bus *hub_bus_setup_bus(struct hub_bus_setup *setup)
{
    return setup->bus;
}

const char *hub_bus_setup_topic(const struct hub_bus_setup *setup, enum hub_topic topic)
{
    return setup->names[topic];
}

const char *hub_bus_setup_instance(const struct hub_bus_setup *setup)
{
    return setup->instance;
}

const char *hub_bus_setup_group(const struct hub_bus_setup *setup)
{
    return setup->group;
}

const char *hub_bus_setup_transactions(const struct hub_bus_setup *setup)
{
    return setup->transactions;
}

/* --- topics --- */

enum hub_result hub_bus_setup_check(struct hub_bus_setup *setup, unsigned roles, bool create, int timeout_ms,
                                    struct hub_problems *problems, struct hub_error *err)
{
    static const int64_t day_ms = 86400000;
    const struct hub_kafka_topics *wanted = &setup->config->kafka.topics;
    struct hub_bus_topic list[HUB_TOPIC_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < HUB_TOPIC_COUNT; i++) {
        unsigned rights = ((topics[i].writers & roles) != 0 ? (unsigned)HUB_BUS_MAY_WRITE : 0U) |
                          ((topics[i].readers & roles) != 0 ? (unsigned)HUB_BUS_MAY_READ : 0U);
        if (rights == 0)
            continue;
        list[count++] = (struct hub_bus_topic){
            .name = setup->names[i],
            .partitions = topics[i].by_subject ? (int32_t)wanted->partitions : 1,
            .replicas = wanted->replicas,
            .min_insync = wanted->min_insync,
            .compacted = topics[i].compacted,
            .retention_ms =
                wanted->retention_days != 0 && i != HUB_TOPIC_AUDIT ? wanted->retention_days * day_ms : -1,
            .record_bytes = hub_bus_event_bytes_max(setup->config) + RECORD_SPARE,
            .rights = rights,
        };
    }
    struct hub_bus_check_options options = {.topics = list,
                                            .topic_count = count,
                                            .create = create && wanted->create,
                                            .timeout_ms = timeout_ms,
                                            .file = setup->config->path};
    return hub_bus_check(setup->bus, &options, problems, err);
}
