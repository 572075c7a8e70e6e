#include "src/bus/backend.h"

#include <stdio.h>

/* --- doors --- */

void hub_bus_close(struct hub_bus *bus)
{
    if (bus != NULL)
        bus->ops->close(bus);
}

enum hub_result hub_bus_check(struct hub_bus *bus, const struct hub_bus_check_options *options,
                              struct hub_problems *problems, struct hub_error *err)
{
    return bus->ops->check(bus, options, problems, err);
}

enum hub_result hub_bus_producer_open(struct hub_bus *bus, const struct hub_bus_producer_options *options,
                                      int timeout_ms, struct hub_bus_producer **out, struct hub_error *err)
{
    *out = NULL;
    return bus->ops->producer_open(bus, options, timeout_ms, out, err);
}

void hub_bus_producer_close(struct hub_bus_producer *producer)
{
    if (producer != NULL)
        producer->ops->producer_close(producer);
}

enum hub_result hub_bus_send(struct hub_bus_producer *producer, const struct hub_bus_record *record,
                             struct hub_error *err)
{
    HUB_ASSERT(record->header_count <= HUB_BUS_HEADERS_MAX);
    return producer->ops->send(producer, record, err);
}

enum hub_result hub_bus_poll(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    return producer->ops->poll(producer, timeout_ms, err);
}

enum hub_result hub_bus_flush(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    return producer->ops->flush(producer, timeout_ms, err);
}

enum hub_result hub_bus_begin(struct hub_bus_producer *producer, struct hub_error *err)
{
    return producer->ops->begin(producer, err);
}

enum hub_result hub_bus_commit(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    return producer->ops->commit(producer, timeout_ms, err);
}

void hub_bus_producer_stats(const struct hub_bus_producer *producer, struct hub_bus_stats *out)
{
    *out = (struct hub_bus_stats){0};
    producer->ops->stats(producer, out);
}

bool hub_bus_producer_trouble(const struct hub_bus_producer *producer, struct hub_error *out)
{
    return producer->ops->producer_trouble(producer, out);
}

enum hub_result hub_bus_consumer_open(struct hub_bus *bus, const struct hub_bus_consumer_options *options,
                                      struct hub_bus_consumer **out, struct hub_error *err)
{
    *out = NULL;
    HUB_ASSERT(options->group != NULL || options->topics == NULL);
    return bus->ops->consumer_open(bus, options, out, err);
}

void hub_bus_consumer_close(struct hub_bus_consumer *consumer)
{
    if (consumer != NULL)
        consumer->ops->consumer_close(consumer);
}

enum hub_result hub_bus_next(struct hub_bus_consumer *consumer, int timeout_ms, struct hub_bus_event *event,
                             struct hub_error *err)
{
    *event = (struct hub_bus_event){.kind = HUB_BUS_IDLE};
    return consumer->ops->next(consumer, timeout_ms, event, err);
}

struct hub_span hub_bus_message_header(struct hub_bus_consumer *consumer, const char *name)
{
    return consumer->ops->header(consumer, name);
}

bool hub_bus_consumer_trouble(const struct hub_bus_consumer *consumer, struct hub_error *out)
{
    return consumer->ops->consumer_trouble(consumer, out);
}

enum hub_result hub_bus_assign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                               size_t count, struct hub_error *err)
{
    return consumer->ops->assign(consumer, places, count, err);
}

enum hub_result hub_bus_unassign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                 size_t count, struct hub_error *err)
{
    return consumer->ops->unassign(consumer, places, count, err);
}

enum hub_result hub_bus_seek(struct hub_bus_consumer *consumer, const struct hub_bus_place *place,
                             struct hub_error *err)
{
    return consumer->ops->seek(consumer, place, err);
}

enum hub_result hub_bus_pause(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                              size_t count, bool paused, struct hub_error *err)
{
    return consumer->ops->pause(consumer, places, count, paused, err);
}

enum hub_result hub_bus_commit_offsets(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                       size_t count, struct hub_error *err)
{
    return consumer->ops->commit_offsets(consumer, places, count, err);
}

enum hub_result hub_bus_committed(struct hub_bus_consumer *consumer, struct hub_bus_place *places,
                                  size_t count, int timeout_ms, struct hub_error *err)
{
    return consumer->ops->committed(consumer, places, count, timeout_ms, err);
}

enum hub_result hub_bus_offsets(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                                int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err)
{
    return consumer->ops->offsets(consumer, topic, partition, timeout_ms, oldest, end, err);
}

enum hub_result hub_bus_partition_count(struct hub_bus_consumer *consumer, const char *topic, int timeout_ms,
                                        int32_t *count, struct hub_error *err)
{
    return consumer->ops->partition_count(consumer, topic, timeout_ms, count, err);
}

/* --- partitions --- */

/* MurmurHash2, 32 bits, as in org.apache.kafka.common.utils.Utils. */
uint32_t hub_bus_murmur2(struct hub_span bytes)
{
    const uint32_t m = 0x5bd1e995;
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    uint32_t h = UINT32_C(0x9747b28c) ^ (uint32_t)bytes.len;
    for (; left >= 4; p += 4, left -= 4) {
        uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = (h * m) ^ (k * m);
    }
    if (left >= 3)
        h ^= (uint32_t)p[2] << 16;
    if (left >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (left >= 1)
        h = (h ^ p[0]) * m;
    h = (h ^ (h >> 13)) * m;
    return h ^ (h >> 15);
}

int32_t hub_bus_partition(struct hub_span subject, int32_t count)
{
    HUB_ASSERT(count > 0);
    return (int32_t)(hub_bus_murmur2(subject) & INT32_MAX) % count;
}

/* --- what may be set --- */

/* Settings that the hub answers for; a name that ends in '.' stands for all that start so. */
static const struct {
    const char *name, *what;
} guarded[] = {
    {"acks", "acknowledgements are always asked of all in-sync replicas"},
    {"request.required.acks", "acknowledgements are always asked of all in-sync replicas"},
    {"enable.idempotence", "the producer is always idempotent"},
    {"enable.auto.commit", "offsets are committed behind the state they belong to, never by a clock"},
    {"auto.commit.", "offsets are committed behind the state they belong to, never by a clock"},
    {"enable.auto.offset.store", "offsets are committed behind the state they belong to, never by a clock"},
    {"ssl.endpoint.identification.algorithm", "the brokers' names are always checked against their certificates"},
    {"enable.ssl.certificate.verification", "the brokers' certificates are always checked"},
    {"security.protocol", "set by `tls`, `sasl` and `insecure`"},
    {"ssl.", "set by `tls`"},
    {"sasl.", "set by `sasl`"},
    {"bootstrap.servers", "set by `brokers`"},
    {"metadata.broker.list", "set by `brokers`"},
    {"message.timeout.ms", "records wait for the brokers as long as it takes"},
    {"delivery.timeout.ms", "records wait for the brokers as long as it takes"},
    {"message.send.max.retries", "records wait for the brokers as long as it takes"},
    {"retries", "records wait for the brokers as long as it takes"},
    {"max.in.flight", "a number past 5 would change the order of records"},
    {"max.in.flight.requests.per.connection", "a number past 5 would change the order of records"},
    {"queue.buffering.max.", "set by `buffer`"},
    {"message.max.bytes", "set by limits.message_bytes"},
    {"transactional.id", "set by the hub"},
    {"group.", "set by the hub"},
    {"auto.offset.reset", "where to go on is decided by the hub"},
    {"isolation.level", "set by the hub"},
    {"partitioner", "records are placed as Java clients place them"},
    {"plugin.library.paths", "no code is loaded into the hub"},
    {"compression.", "set by `compression`"},
    {"client.id", "the hub's name"},
};

enum hub_result hub_bus_property_check(const char *property, struct hub_error *err)
{
    size_t len = strcspn(property, "=");
    if (len == 0 || property[len] != '=')
        return hub_fail(err, HUB_CONFIG, "not a setting", "write name=value");
    for (size_t i = 0; i < sizeof guarded / sizeof guarded[0]; i++) {
        size_t name_len = strlen(guarded[i].name);
        bool prefix = guarded[i].name[name_len - 1] == '.';
        if (len < name_len || (!prefix && len != name_len) || strncmp(property, guarded[i].name, name_len) != 0)
            continue;
        return hub_fail(err, HUB_CONFIG, guarded[i].what, "leave this setting out");
    }
    return HUB_OK;
}

static bool is(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

static bool has_feature(const char *features, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = features; p != NULL && *p != '\0'; p += strcspn(p, ","), p += *p == ',') {
        p += strspn(p, " ");
        if (strncmp(p, name, len) == 0 && (p[len] == ',' || p[len] == '\0' || p[len] == ' '))
            return true;
    }
    return false;
}

/* What the library must be able to do for a login. */
static const struct {
    const char *mechanism, *feature;
    bool name, secret;
} mechanisms[] = {
    {"PLAIN", "sasl_plain", true, true},
    {"SCRAM-SHA-256", "sasl_scram", true, true},
    {"SCRAM-SHA-512", "sasl_scram", true, true},
    {"OAUTHBEARER", "sasl_oauthbearer", false, true},
    {"GSSAPI", "sasl_gssapi", false, false},
};

/* The library has a shell run `kinit -t "<keytab>" -k <principal>`: neither may say anything to the shell. */
static enum hub_result check_kerberos(const struct hub_bus_options *o, struct hub_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@";
    if (o->kerberos_principal == NULL || o->kerberos_keytab == NULL)
        return hub_fail(err, HUB_CONFIG, "GSSAPI needs a principal and its keytab",
                        "add sasl.kerberos: {principal: ..., keytab: ...}");
    if (o->kerberos_principal[0] == '-' || o->kerberos_principal[strspn(o->kerberos_principal, plain)] != '\0')
        return hub_fail(err, HUB_CONFIG, "a character in the principal that kinit could not be given",
                        "use letters, digits and . _ - / @ in sasl.kerberos.principal");
    if (strpbrk(o->kerberos_keytab, "\"$`\\\n") != NULL)
        return hub_fail(err, HUB_CONFIG, "a character in the keytab's path that kinit could not be given",
                        "rename the file in sasl.kerberos.keytab: no quotes, $, ` or backslashes");
    return HUB_OK;
}

static enum hub_result check_mechanism(const struct hub_bus_options *o, const char *features,
                                       struct hub_error *err)
{
    size_t at = 0;
    size_t count = sizeof mechanisms / sizeof mechanisms[0];
    while (at < count && !is(o->mechanism, mechanisms[at].mechanism))
        at++;
    if (at == count)
        return hub_fail(err, HUB_CONFIG, "an unknown SASL mechanism",
                        "use SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, OAUTHBEARER or GSSAPI");
    if (!has_feature(features, mechanisms[at].feature) ||
        (is(o->mechanism, "OAUTHBEARER") && !has_feature(features, "oidc")))
        return hub_fail(err, HUB_CONFIG, "this SASL mechanism is not built into the Kafka client library",
                        "install librdkafka with its SASL, OpenSSL and curl support, or use another mechanism");
    if (mechanisms[at].name && o->username == NULL)
        return hub_fail(err, HUB_CONFIG, "this SASL mechanism needs a user name", "add sasl.username");
    if (mechanisms[at].secret && o->secret == NULL)
        return hub_fail(err, HUB_CONFIG, "this SASL mechanism needs a secret", "add sasl.password: {file: ...}");
    if (is(o->mechanism, "GSSAPI"))
        HUB_TRY(check_kerberos(o, err));
    if (is(o->mechanism, "OAUTHBEARER") && (o->token_url == NULL || o->oauth_client == NULL))
        return hub_fail(err, HUB_CONFIG, "OAUTHBEARER needs a token service and a client id",
                        "add sasl.oauth: {token_url: ..., client_id: ...}");
    if (is(o->mechanism, "OAUTHBEARER") && strncmp(o->token_url, "https://", 8) != 0 &&
        strncmp(o->token_url, "http://127.0.0.1:", 17) != 0 && strncmp(o->token_url, "http://localhost:", 17) != 0)
        return hub_fail(err, HUB_CONFIG, "a token service without TLS outside loopback would see the secret in the clear",
                        "name it with https://");
    if (!o->tls && (is(o->mechanism, "PLAIN") || is(o->mechanism, "OAUTHBEARER")))
        return hub_fail(err, HUB_CONFIG, "this mechanism sends a secret in the clear without TLS",
                        "add tls: {ca: ...}, or use SCRAM-SHA-512");
    return HUB_OK;
}

enum hub_result hub_bus_options_check(const struct hub_bus_options *o, uint32_t version, const char *features,
                                      struct hub_error *err)
{
    bool scram = o->mechanism != NULL && strncmp(o->mechanism, "SCRAM-", 6) == 0;
    if (o->brokers == NULL || o->brokers[0] == NULL)
        return hub_fail(err, HUB_CONFIG, "no broker is named", "add brokers: [\"host:9093\"]");
    /* librdkafka #4895: no login to Kafka 4 with SCRAM; #4894: only the first certificate of a chain is sent */
    if (version >> 8 < HUB_BUS_LIBRARY_MIN >> 8 && (scram || o->cert != NULL))
        return hub_fail(err, HUB_CONFIG,
                        "this version of the Kafka client library cannot log in with SCRAM or a client certificate",
                        "install librdkafka 2.8.0 or later (scripts/bootstrap brings it)");
    if (o->tls && !has_feature(features, "ssl"))
        return hub_fail(err, HUB_CONFIG, "TLS is not built into the Kafka client library",
                        "install librdkafka with its OpenSSL support");
    if ((o->cert == NULL) != (o->key == NULL))
        return hub_fail(err, HUB_CONFIG, "a client certificate and its key go together", "add tls.cert and tls.key");
    if (o->mechanism != NULL)
        HUB_TRY(check_mechanism(o, features, err));
    for (size_t i = 0; o->properties != NULL && o->properties[i] != NULL; i++) {
        if (hub_bus_property_check(o->properties[i], err) != HUB_OK)
            return hub_error_at(err, "%.*s", (int)strcspn(o->properties[i], "="), o->properties[i]);
    }
    return HUB_OK;
}
