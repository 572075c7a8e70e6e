/* The producer on Kafka: idempotent, acknowledged by all in-sync replicas, waiting for brokers as long as it
 * takes with a bounded buffer. */
#include "src/base/mem.h"
#include "src/bus/kafka.h"

struct producer {
    struct hub_bus_producer base;
    struct hub_kafka_client client; /* the library's opaque points here */
    struct hub_bus_producer_options options;
    bool transactional;
    struct hub_bus_stats stats;
};

static struct producer *of(struct hub_bus_producer *producer)
{
    return (struct producer *)producer;
}

static struct producer *of_opaque(void *opaque)
{
    return (struct producer *)((char *)opaque - offsetof(struct producer, client));
}

/* --- records in flight: hash and tag travel in the message's own opaque, so that none needs memory --- */

static void *pack(uint32_t hash, uint32_t tag)
{
    return (void *)(uintptr_t)((uint64_t)hash << 32 | tag); // NOLINT(performance-no-int-to-ptr)
}

_Static_assert(sizeof(uintptr_t) == 8, "hash and tag fit a pointer");

static int32_t choose_partition(const rd_kafka_topic_t *topic, const void *key, size_t key_len, int32_t count,
                                void *topic_opaque, void *opaque)
{
    (void)topic;
    (void)key;
    (void)key_len;
    (void)topic_opaque;
    return (int32_t)((uint64_t)(uintptr_t)opaque >> 32 & INT32_MAX) % count;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *p = of_opaque(opaque);
    struct hub_bus_delivery delivery = {.tag = (uint32_t)(uintptr_t)message->_private,
                                        .result = HUB_OK,
                                        .latency_us = rd_kafka_message_latency(message),
                                        .partition = message->partition,
                                        .offset = HUB_BUS_NONE};
    (void)rk;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->stats.delivered++;
        p->stats.bytes += message->len + message->key_len;
        p->client.trouble = (struct hub_error){0};
        p->client.brokers_known = p->client.brokers_known && p->client.brokers_up != 0;
        delivery.offset = message->offset >= 0 ? message->offset : HUB_BUS_NONE;
    } else {
        p->stats.failed++;
        delivery.result = hub_kafka_explain(&p->client.trouble, message->err, NULL);
    }
    p->options.delivered(p->options.ctx, &delivery);
}

/* --- life --- */

static rd_kafka_conf_t *producer_conf(struct hub_kafka_bus *bus, struct producer *p, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    rd_kafka_conf_t *conf = hub_kafka_conf(bus, HUB_KAFKA_PRODUCER, &p->client, err);
    if (conf == NULL)
        return NULL;
    hub_kafka_set_properties(conf, &bus->options, &result, err);
    hub_kafka_set(conf, "enable.idempotence", "true", &result, err);
    hub_kafka_set(conf, "request.required.acks", "all", &result, err);
    if (p->transactional)
        hub_kafka_set(conf, "transactional.id", p->options.transactional_id, &result, err);
    else
        hub_kafka_set(conf, "message.timeout.ms", "0", &result, err); /* as long as it takes */
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_topic_conf_set_partitioner_cb(rd_kafka_conf_get_default_topic_conf(conf), choose_partition);
    if (result == HUB_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* Whoever gets HUB_DENIED lost its place to another one; everything else that does not pass asks for a new
 * producer. */
static enum hub_result settle(struct hub_error *err, rd_kafka_error_t *error)
{
    if (error == NULL)
        return HUB_OK;
    bool again = rd_kafka_error_is_retriable(error) != 0;
    enum hub_result result = hub_kafka_explain_error(err, error);
    if (result == HUB_DENIED || again)
        return again ? HUB_TIMEOUT : result;
    return HUB_CLOSED;
}

enum hub_result hub_kafka_producer_open(struct hub_bus *bus, const struct hub_bus_producer_options *options,
                                        int timeout_ms, struct hub_bus_producer **out, struct hub_error *err)
{
    struct producer *p = hub_mem_alloc(sizeof *p);
    if (p == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a producer", NULL);
    p->base.ops = &hub_kafka_ops;
    p->options = *options;
    p->transactional = options->transactional_id != NULL;
    rd_kafka_conf_t *conf = producer_conf((struct hub_kafka_bus *)bus, p, err);
    enum hub_result result = HUB_CONFIG;
    if (conf != NULL)
        result = hub_kafka_client_open(&p->client, HUB_KAFKA_PRODUCER, conf, err);
    if (result == HUB_OK && p->transactional) {
        result = settle(err, rd_kafka_init_transactions(p->client.rk, timeout_ms));
        if (result != HUB_OK)
            hub_kafka_client_close(&p->client);
    }
    if (result != HUB_OK) {
        hub_mem_free(p);
        return result;
    }
    *out = &p->base;
    return HUB_OK;
}

void hub_kafka_producer_close(struct hub_bus_producer *producer)
{
    struct producer *p = of(producer);
    (void)rd_kafka_purge(p->client.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    hub_kafka_client_close(&p->client);
    hub_mem_free(p);
}

/* --- sending --- */

static rd_kafka_headers_t *headers_of(const struct hub_bus_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++)
        (void)rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value.ptr,
                                  (ssize_t)record->headers[i].value.len);
    return headers;
}

static bool is_fatal(const struct producer *p)
{
    char text[256];
    return rd_kafka_fatal_error(p->client.rk, text, sizeof text) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static enum hub_result closed(struct producer *p, struct hub_error *err)
{
    char text[512];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->client.rk, text, sizeof text);
    enum hub_result result = hub_kafka_explain(err, code, text);
    return result == HUB_DENIED ? HUB_DENIED : HUB_CLOSED;
}

enum hub_result hub_kafka_send(struct hub_bus_producer *producer, const struct hub_bus_record *record,
                               struct hub_error *err)
{
    struct producer *p = of(producer);
    rd_kafka_headers_t *headers = headers_of(record);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        p->client.rk, RD_KAFKA_V_TOPIC(record->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(record->key.ptr, record->key.len),
        /* the library takes bytes without const and, told to copy, reads them only */
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.ptr, record->value.len),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(pack(hub_bus_murmur2(record->subject), record->tag)),
        RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->stats.sent++;
        return HUB_OK;
    }
    rd_kafka_headers_destroy(headers);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return HUB_BUSY;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return hub_fail(err, HUB_TOO_LARGE, "a record is larger than the bus takes", "raise limits.message_bytes");
    if (is_fatal(p))
        return closed(p, err);
    (void)hub_kafka_explain(&p->client.trouble, code, NULL);
    return hub_kafka_explain(err, code, NULL) == HUB_DENIED ? HUB_DENIED : HUB_CLOSED;
}

enum hub_result hub_kafka_poll(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    struct producer *p = of(producer);
    (void)rd_kafka_poll(p->client.rk, timeout_ms);
    return is_fatal(p) ? closed(p, err) : HUB_OK;
}

enum hub_result hub_kafka_flush(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    struct producer *p = of(producer);
    rd_kafka_resp_err_t code = rd_kafka_flush(p->client.rk, timeout_ms);
    if (is_fatal(p))
        return closed(p, err);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return HUB_OK;
    return hub_fail(err, HUB_TIMEOUT, "the brokers have not taken everything yet", NULL);
}

enum hub_result hub_kafka_begin(struct hub_bus_producer *producer, struct hub_error *err)
{
    return settle(err, rd_kafka_begin_transaction(of(producer)->client.rk));
}

/* Never aborts: what cannot be committed is left to the next owner of the id (librdkafka #4849). */
enum hub_result hub_kafka_commit(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err)
{
    return settle(err, rd_kafka_commit_transaction(of(producer)->client.rk, timeout_ms));
}

void hub_kafka_stats(const struct hub_bus_producer *producer, struct hub_bus_stats *out)
{
    const struct producer *p = (const struct producer *)producer;
    *out = p->stats;
    out->retries = p->client.retries;
    out->brokers_known = p->client.brokers_known;
    out->brokers_up = p->client.brokers_up;
    out->waiting = p->stats.sent - p->stats.delivered - p->stats.failed; /* the library's own count holds its events, too */
}

bool hub_kafka_producer_trouble(const struct hub_bus_producer *producer, struct hub_error *out)
{
    const struct producer *p = (const struct producer *)producer;
    *out = p->client.trouble;
    return p->client.trouble.result != HUB_OK;
}
