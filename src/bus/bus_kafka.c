/* What all clients of Kafka have in common: the login, the library's configuration, its errors in our words. */
#include <stdio.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/bus/kafka.h"
#include "src/codec/json.h"

enum {
    STATISTICS_MS = 1000,
    STATISTICS_BYTES_MAX = 64 * 1024 * 1024,
    BUFFER_DEFAULT = 64 * 1024 * 1024,
    LINGER_MS = 1000,
    BATCH_BYTES = 8 * 1024 * 1024,
    VALUE_MAX = 8192,
    SETTING_FAILED_MAX = 512,
};

static const char component[] = "kafka";

/* --- errors --- */

/* The first row whose code fits (0: any) and whose text is part of the reason. */
static const struct {
    rd_kafka_resp_err_t code;
    const char *part;
    enum hub_result result;
    const char *what, *mend;
} causes[] = {
    {RD_KAFKA_RESP_ERR__SSL, "certificate has expired", HUB_AUTH, "the broker's certificate has expired",
     "have the brokers' certificates renewed"},
    {RD_KAFKA_RESP_ERR__SSL, "certificate expired", HUB_AUTH, "the broker says that the client certificate has expired",
     "put a new one at bus.kafka.tls.cert"},
    {RD_KAFKA_RESP_ERR__SSL, "hostname mismatch", HUB_AUTH, "the broker's certificate is for another name",
     "name the brokers as their certificates do, or have the certificates corrected"},
    {RD_KAFKA_RESP_ERR__SSL, "IP address mismatch", HUB_AUTH, "the broker's certificate is for another address",
     "name the brokers as their certificates do, or have the certificates corrected"},
    {RD_KAFKA_RESP_ERR__SSL, "certificate verify failed", HUB_AUTH,
     "the broker's certificate is not from an authority in bus.kafka.tls.ca",
     "put the certificate of the authority that signed the brokers' there"},
    {RD_KAFKA_RESP_ERR__SSL, "could not be verified", HUB_AUTH,
     "the broker's certificate is not from an authority in bus.kafka.tls.ca",
     "put the certificate of the authority that signed the brokers' there"},
    {RD_KAFKA_RESP_ERR__SSL, "wrong version number", HUB_NETWORK, "the broker does not speak TLS at this port",
     "name the port of its TLS listener in bus.kafka.brokers"},
    {0, "alert certificate required", HUB_AUTH, "the broker asks for a client certificate",
     "add bus.kafka.tls.cert and tls.key"},
    {0, "alert bad certificate", HUB_AUTH, "the broker does not take the client certificate, or there is none",
     "set bus.kafka.tls.cert and tls.key to a certificate from the authority that the brokers trust"},
    {0, "alert certificate unknown", HUB_AUTH, "the broker does not take the client certificate",
     "set bus.kafka.tls.cert to one that is not expired, from the authority that the brokers trust"},
    {0, "alert unknown ca", HUB_AUTH, "the client certificate is not from an authority that the broker trusts",
     "set bus.kafka.tls.cert to a certificate from the brokers' client authority"},
    {0, "alert handshake failure", HUB_AUTH, "the broker refuses the TLS handshake",
     "check that it takes TLS 1.2 or 1.3, and whether it asks for a client certificate"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "nvalid credentials", HUB_AUTH,
     "the broker does not take the user name or password", "correct bus.kafka.sasl.username or sasl.password"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "nvalid username or password", HUB_AUTH,
     "the broker does not take the user name or password", "correct bus.kafka.sasl.username or sasl.password"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "OAUTHBEARER token", HUB_AUTH,
     "the token service gives no token: it does not know the client or its secret, or does not answer",
     "check bus.kafka.sasl.oauth and sasl.password"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "No worthy mechs", HUB_AUTH, "this machine has no Kerberos for SASL",
     "install libsasl2-modules-gssapi-mit"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "not found in Kerberos database", HUB_AUTH,
     "the KDC does not know the brokers' service", "correct bus.kafka.sasl.kerberos.service, or the brokers' names"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "GSS", HUB_AUTH, "there is no Kerberos ticket for the hub",
     "see what kinit said: the keytab must hold the present key of bus.kafka.sasl.kerberos.principal, and the KDC must answer"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "nsupported", HUB_AUTH, "the broker does not offer this SASL mechanism",
     "set bus.kafka.sasl.mechanism to one that it offers"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "not supported", HUB_AUTH, "the broker does not offer this SASL mechanism",
     "set bus.kafka.sasl.mechanism to one that it offers"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, "", HUB_AUTH, "the broker refuses the login",
     "check bus.kafka.sasl: mechanism, user name and password"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, "", HUB_AUTH,
     "the broker does not take the user name or password", "correct bus.kafka.sasl.username or sasl.password"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, "", HUB_AUTH, "the broker does not offer this SASL mechanism",
     "set bus.kafka.sasl.mechanism to one that it offers"},
    {RD_KAFKA_RESP_ERR__SSL, "", HUB_AUTH, "the TLS connection to the broker fails",
     "check bus.kafka.tls, and the brokers' own settings"},
    {RD_KAFKA_RESP_ERR__RESOLVE, "", HUB_NETWORK, "a broker's name cannot be resolved",
     "correct bus.kafka.brokers, or advertised.listeners of the brokers"},
    {0, "Connection refused", HUB_NETWORK, "nothing listens at the broker's address",
     "start the broker, or correct bus.kafka.brokers"},
    {0, "might be incorrectly configured", HUB_NETWORK, "the broker closes the connection at once",
     "it may want TLS or SASL where bus.kafka has none, or a client certificate: compare with its listener"},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "", HUB_NETWORK, "no broker can be reached",
     "start the brokers, or correct bus.kafka.brokers"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, "", HUB_NETWORK, "the connection to the broker failed", NULL},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, "", HUB_TIMEOUT, "the brokers do not answer in time", NULL},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "", HUB_DENIED, "this user has no right to a topic",
     "grant it as docs/OPERATIONS.md lists them; `check --connect` names the topic"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "", HUB_DENIED, "this user has no right to the consumer group",
     "grant READ on the group"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "", HUB_DENIED, "this user has no right to write idempotently",
     "grant WRITE on the topics, and with brokers before 3.0 IDEMPOTENT_WRITE on the cluster"},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "", HUB_DENIED,
     "this user has no right to the transactional id", "grant WRITE on transactional ids with the prefix"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "", HUB_TOO_LARGE, "the broker refuses a record of this size",
     "raise max.message.bytes of the topic to twice limits.message_bytes"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, "", HUB_NOT_FOUND, "a topic is not there", "run `chartline check --connect`"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, "", HUB_NOT_FOUND, "a topic is not there", "run `chartline check --connect`"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "", HUB_NOT_FOUND, "a topic is not there",
     "run `chartline check --connect`"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, "", HUB_BUSY, "too few replicas are in sync",
     "start the missing brokers"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, "", HUB_BUSY, "too few replicas are in sync",
     "start the missing brokers"},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "", HUB_CLOSED, "producer and brokers are out of step",
     "it begins anew by itself"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, "", HUB_CLOSED, "producer and brokers are out of step",
     "it begins anew by itself"},
    {RD_KAFKA_RESP_ERR__FENCED, "", HUB_DENIED, "another process took over", NULL},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "", HUB_DENIED, "another process took over", NULL},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "", HUB_CLOSED, "another consumer of the same instance name joined",
     "give every process its own bus.kafka.instance"},
};

/* "ssl://broker-1:9093/bootstrap: ..." starts most reasons: the address goes along, nothing else of it. */
static void name_broker(struct hub_error *err, const char *reason)
{
    const char *start = reason != NULL ? strstr(reason, "://") : NULL;
    size_t len = start != NULL ? strcspn(start + 3, "/: ") : 0;
    if (len == 0)
        return;
    if (start[3 + len] == ':')
        len += 1 + strspn(start + 3 + len + 1, "0123456789");
    (void)hub_error_at(err, "%.*s", (int)len, start + 3);
}

enum hub_result hub_kafka_explain(struct hub_error *err, rd_kafka_resp_err_t code, const char *reason)
{
    const char *text = reason != NULL ? reason : "";
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if ((causes[i].code != 0 && causes[i].code != code) ||
            (causes[i].part[0] != '\0' && strstr(text, causes[i].part) == NULL))
            continue;
        (void)hub_fail(err, causes[i].result, causes[i].what, causes[i].mend);
        name_broker(err, reason);
        return causes[i].result;
    }
    (void)hub_fail(err, HUB_NETWORK, "the brokers report an error (its number follows, as librdkafka counts)", NULL);
    hub_error_number(err, code);
    name_broker(err, reason);
    return HUB_NETWORK;
}

enum hub_result hub_kafka_explain_error(struct hub_error *err, rd_kafka_error_t *error)
{
    enum hub_result result =
        hub_kafka_explain(err, rd_kafka_error_code(error), rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return result;
}

/* --- callbacks --- */

/* The more telling cause stays when the library goes on to say that all brokers are down. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct hub_kafka_client *client = opaque;
    struct hub_error err = {0};
    char text[SETTING_FAILED_MAX];
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        code = rd_kafka_fatal_error(rk, text, sizeof text);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && client->trouble.result != HUB_OK)
        return;
    enum hub_result result = hub_kafka_explain(&err, (rd_kafka_resp_err_t)code, reason);
    /* the library shows a certificate only to a broker that names its authority */
    if (client->cert && strstr(reason, "alert certificate required") != NULL) {
        result = hub_fail(&err, HUB_AUTH, "the client certificate is not from an authority that the broker trusts",
                          "set bus.kafka.tls.cert to a certificate from the brokers' client authority");
        name_broker(&err, reason);
    }
    if (client->trouble.result == HUB_AUTH && result == HUB_NETWORK)
        return;
    if (client->trouble.what != err.what)
        HUB_DIAG(HUB_DIAG_WARNING, component, "trouble with the brokers", hub_diag_error(&err));
    client->trouble = err;
}

/* The library's own words hold addresses, topics and settings, never keys or values of records. What it says
 * of connections comes through on_error too, once and explained. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    enum { LEVEL_ERROR = 3 };
    bool connection = strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 || strcmp(facility, "LIBSASL") == 0;
    (void)rk;
    HUB_DIAG(level <= LEVEL_ERROR && !connection ? HUB_DIAG_WARNING : HUB_DIAG_DEBUG, component,
             "the client library", hub_diag_configured("about", facility), hub_diag_configured("says", text));
}

static uint64_t number_of(const struct hub_json *object, const char *name)
{
    uint64_t number = 0;
    return hub_span_parse_u64(hub_json_span(hub_json_get(object, name)), &number) ? number : 0;
}

/* Of the connections to one broker the one to its own address: a name that it was found under and a coordinator's are extra. */
static bool is_broker(const struct hub_json *connection)
{
    const struct hub_span id = hub_json_span(hub_json_get(connection, "nodeid"));
    return id.len != 0 && id.ptr[0] != '-' && !hub_span_is(hub_json_get_span(connection, "source"), "logical");
}

static int on_statistics(rd_kafka_t *rk, char *text, size_t len, void *opaque)
{
    struct hub_kafka_client *client = opaque;
    struct hub_json *json = NULL;
    (void)rk;
    hub_arena_reset(&client->arena);
    if (hub_json_parse(&client->arena, hub_span_of(text, len), &json, NULL) != HUB_OK)
        return 0;
    const struct hub_json *brokers = hub_json_get(json, "brokers");
    uint64_t retries = 0;
    uint32_t up = 0;
    bool any = false;
    for (const struct hub_json *b = brokers != NULL ? brokers->first : NULL; b != NULL; b = b->next) {
        const bool connected = hub_span_is(hub_json_get_span(b, "state"), "UP");
        retries += number_of(b, "txretries");
        up += connected && is_broker(b);
        any = any || connected;
    }
    client->retries = retries;
    client->brokers_up = up;
    client->brokers_known = true;
    enum hub_result now = client->trouble.result;
    if (any && (now == HUB_NETWORK || now == HUB_TIMEOUT || now == HUB_AUTH))
        client->trouble = (struct hub_error){0};
    return 0; /* the library frees the text */
}

/* --- configuration --- */

void hub_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, enum hub_result *result,
                   struct hub_error *err)
{
    char text[SETTING_FAILED_MAX];
    if (*result != HUB_OK || value == NULL ||
        rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return;
    *result = hub_fail(err, HUB_CONFIG, "the Kafka client library does not take a setting", "correct it in bus.kafka");
    (void)hub_error_at(err, "%s", name);
}

void hub_kafka_set_number(rd_kafka_conf_t *conf, const char *name, uint64_t value, enum hub_result *result,
                          struct hub_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    hub_kafka_set(conf, name, text, result, err);
}

void hub_kafka_set_properties(rd_kafka_conf_t *conf, const struct hub_bus_options *options,
                              enum hub_result *result, struct hub_error *err)
{
    for (size_t i = 0; options->properties != NULL && options->properties[i] != NULL; i++) {
        char name[96];
        size_t len = strcspn(options->properties[i], "=");
        if (len >= sizeof name)
            len = sizeof name - 1;
        memcpy(name, options->properties[i], len);
        name[len] = '\0';
        hub_kafka_set(conf, name, options->properties[i] + len + 1, result, err);
    }
}

static void set_brokers(rd_kafka_conf_t *conf, const struct hub_bus_options *o, enum hub_result *result,
                        struct hub_error *err)
{
    char list[VALUE_MAX];
    size_t len = 0;
    for (size_t i = 0; o->brokers[i] != NULL; i++) {
        int more = snprintf(list + len, sizeof list - len, "%s%s", i > 0 ? "," : "", o->brokers[i]);
        if (more < 0 || (size_t)more >= sizeof list - len) {
            *result = hub_fail(err, HUB_CONFIG, "the list of brokers is too long", "name a few of them");
            return;
        }
        len += (size_t)more;
    }
    hub_kafka_set(conf, "bootstrap.servers", list, result, err);
}

static void set_secret(rd_kafka_conf_t *conf, const struct hub_bus_options *o, const char *name,
                       enum hub_result *result, struct hub_error *err)
{
    uint8_t secret[HUB_BUS_SECRET_MAX + 1];
    size_t len = 0;
    if (*result != HUB_OK)
        return;
    *result = o->secret(o->secret_ctx, secret, &len, err);
    if (*result == HUB_OK) {
        secret[len < HUB_BUS_SECRET_MAX ? len : HUB_BUS_SECRET_MAX] = '\0';
        hub_kafka_set(conf, name, (const char *)secret, result, err);
    }
    hub_mem_wipe(secret, sizeof secret);
}

static void set_login(rd_kafka_conf_t *conf, const struct hub_bus_options *o, enum hub_result *result,
                      struct hub_error *err)
{
    hub_kafka_set(conf, "sasl.mechanism", o->mechanism, result, err);
    if (strcmp(o->mechanism, "OAUTHBEARER") == 0) {
        hub_kafka_set(conf, "sasl.oauthbearer.method", "oidc", result, err);
        hub_kafka_set(conf, "sasl.oauthbearer.token.endpoint.url", o->token_url, result, err);
        hub_kafka_set(conf, "sasl.oauthbearer.client.id", o->oauth_client, result, err);
        hub_kafka_set(conf, "sasl.oauthbearer.scope", o->oauth_scope, result, err);
        set_secret(conf, o, "sasl.oauthbearer.client.secret", result, err);
    } else if (strcmp(o->mechanism, "GSSAPI") == 0) {
        hub_kafka_set(conf, "sasl.kerberos.service.name", o->kerberos_service, result, err);
        hub_kafka_set(conf, "sasl.kerberos.principal", o->kerberos_principal, result, err);
        hub_kafka_set(conf, "sasl.kerberos.keytab", o->kerberos_keytab, result, err);
    } else {
        hub_kafka_set(conf, "sasl.username", o->username, result, err);
        set_secret(conf, o, "sasl.password", result, err);
    }
}

static void set_security(rd_kafka_conf_t *conf, const struct hub_bus_options *o, enum hub_result *result,
                         struct hub_error *err)
{
    static const char *const protocols[2][2] = {{"plaintext", "sasl_plaintext"}, {"ssl", "sasl_ssl"}};
    hub_kafka_set(conf, "security.protocol", protocols[o->tls][o->mechanism != NULL], result, err);
    if (o->tls) {
        hub_kafka_set(conf, "ssl.ca.location", o->ca, result, err);
        hub_kafka_set(conf, "ssl.certificate.location", o->cert, result, err);
        hub_kafka_set(conf, "ssl.key.location", o->key, result, err);
        hub_kafka_set(conf, "ssl.endpoint.identification.algorithm", "https", result, err);
        hub_kafka_set(conf, "enable.ssl.certificate.verification", "true", result, err);
    }
    if (o->mechanism != NULL)
        set_login(conf, o, result, err);
}

rd_kafka_conf_t *hub_kafka_conf(struct hub_kafka_bus *bus, enum hub_kafka_kind kind,
                                struct hub_kafka_client *client, struct hub_error *err)
{
    const struct hub_bus_options *o = &bus->options;
    enum hub_result result = HUB_OK;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    client->cert = o->cert != NULL;
    set_brokers(conf, o, &result, err);
    hub_kafka_set(conf, "client.id", o->client_id, &result, err);
    hub_kafka_set(conf, "socket.keepalive.enable", "true", &result, err);
    /* else the end of a request lies with the kernel until the broker has confirmed what came before it, which it does not hurry
     * to do: 40 ms for each request that nothing follows */
    hub_kafka_set(conf, "socket.nagle.disable", "true", &result, err);
    hub_kafka_set(conf, "allow.auto.create.topics", "false", &result, err);
    hub_kafka_set(conf, "reconnect.backoff.max.ms", "2000", &result, err);
    /* a broker that hangs is left for its successor after a while, not after the usual minute */
    hub_kafka_set(conf, "socket.timeout.ms", "15000", &result, err);
    hub_kafka_set(conf, "socket.connection.setup.timeout.ms", "10000", &result, err);
    hub_kafka_set(conf, "topic.metadata.refresh.interval.ms", "60000", &result, err);
    hub_kafka_set_number(conf, "statistics.interval.ms", kind == HUB_KAFKA_ADMIN ? 0 : STATISTICS_MS, &result, err);
    set_security(conf, o, &result, err);
    if (kind == HUB_KAFKA_PRODUCER) {
        uint64_t buffer = o->buffer_bytes != 0 ? o->buffer_bytes : BUFFER_DEFAULT;
        hub_kafka_set_number(conf, "queue.buffering.max.kbytes", buffer / 1024, &result, err);
        hub_kafka_set(conf, "queue.buffering.max.messages", "1000000", &result, err);
        hub_kafka_set(conf, "compression.codec", o->compression, &result, err);
        /* whoever sends says when: by a flush or a commit. Until then the library's thread need not look */
        hub_kafka_set_number(conf, "linger.ms", LINGER_MS, &result, err);
        /* all that goes together to a partition in one request */
        const uint64_t batch = o->message_bytes != 0 && o->message_bytes < BATCH_BYTES ? o->message_bytes : BATCH_BYTES;
        hub_kafka_set_number(conf, "batch.size", batch, &result, err);
    }
    if (o->message_bytes != 0 && kind != HUB_KAFKA_ADMIN)
        hub_kafka_set_number(conf, "message.max.bytes", o->message_bytes, &result, err);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    rd_kafka_conf_set_opaque(conf, client);
    if (result == HUB_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

enum hub_result hub_kafka_client_open(struct hub_kafka_client *client, enum hub_kafka_kind kind,
                                      rd_kafka_conf_t *conf, struct hub_error *err)
{
    char text[SETTING_FAILED_MAX];
    hub_arena_init(&client->arena, STATISTICS_BYTES_MAX);
    client->rk = rd_kafka_new(kind == HUB_KAFKA_CONSUMER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, text,
                              sizeof text);
    if (client->rk != NULL)
        return HUB_OK;
    rd_kafka_conf_destroy(conf);
    HUB_DIAG(HUB_DIAG_WARNING, component, "the client library", hub_diag_configured("says", text));
    hub_arena_deinit(&client->arena);
    return hub_fail(err, HUB_CONFIG, "the Kafka client library does not take bus.kafka's settings",
                    "check the files and names in bus.kafka.tls and bus.kafka.properties");
}

void hub_kafka_client_close(struct hub_kafka_client *client)
{
    if (client->rk != NULL) /* a consumer has left its group before; one that could not would be waited for without an end */
        rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    client->rk = NULL;
    hub_arena_deinit(&client->arena);
}

/* --- the bus --- */

static void close_bus(struct hub_bus *bus)
{
    hub_mem_free(bus);
}

const char *hub_bus_library(void)
{
    return rd_kafka_version_str();
}

static enum hub_result check_options(const struct hub_bus_options *options, struct hub_error *err)
{
    char features[1024];
    size_t len = sizeof features;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_get(conf, "builtin.features", features, &len) != RD_KAFKA_CONF_OK)
        features[0] = '\0';
    rd_kafka_conf_destroy(conf);
    return hub_bus_options_check(options, (uint32_t)rd_kafka_version(), features, err);
}

enum hub_result hub_bus_open_kafka(const struct hub_bus_options *options, struct hub_bus **out,
                                   struct hub_error *err)
{
    struct hub_kafka_client none = {0};
    *out = NULL;
    HUB_TRY(check_options(options, err));
    struct hub_kafka_bus *bus = hub_mem_alloc(sizeof *bus);
    if (bus == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the bus", NULL);
    bus->base.ops = &hub_kafka_ops;
    bus->options = *options;
    enum hub_result result = HUB_OK;
    rd_kafka_conf_t *conf = hub_kafka_conf(bus, HUB_KAFKA_PRODUCER, &none, err);
    if (conf != NULL) {
        hub_kafka_set_properties(conf, options, &result, err);
        rd_kafka_conf_destroy(conf);
    }
    if (conf == NULL || result != HUB_OK) {
        hub_mem_free(bus);
        return err != NULL && err->result != HUB_OK ? err->result : HUB_CONFIG;
    }
    *out = &bus->base;
    return HUB_OK;
}

const struct hub_bus_ops hub_kafka_ops = {
    .close = close_bus,
    .check = hub_kafka_check,
    .producer_open = hub_kafka_producer_open,
    .producer_close = hub_kafka_producer_close,
    .send = hub_kafka_send,
    .poll = hub_kafka_poll,
    .flush = hub_kafka_flush,
    .begin = hub_kafka_begin,
    .commit = hub_kafka_commit,
    .stats = hub_kafka_stats,
    .producer_trouble = hub_kafka_producer_trouble,
    .consumer_open = hub_kafka_consumer_open,
    .consumer_close = hub_kafka_consumer_close,
    .next = hub_kafka_next,
    .header = hub_kafka_header,
    .consumer_trouble = hub_kafka_consumer_trouble,
    .assign = hub_kafka_assign,
    .unassign = hub_kafka_unassign,
    .seek = hub_kafka_seek,
    .pause = hub_kafka_pause,
    .commit_offsets = hub_kafka_commit_offsets,
    .committed = hub_kafka_committed,
    .offsets = hub_kafka_offsets,
    .partition_count = hub_kafka_partition_count,
};
