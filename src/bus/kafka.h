/* What the Kafka files of this folder share. librdkafka's types do not leave them. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "src/base/arena.h"
#include "src/bus/backend.h"

struct hub_kafka_bus {
    struct hub_bus base;
    struct hub_bus_options options; /* strings are the caller's */
};

/* The part of producers and consumers that the library's callbacks see (its opaque). All callbacks run in the
 * thread that polls. */
struct hub_kafka_client {
    rd_kafka_t *rk;
    bool cert; /* a client certificate is configured */
    struct hub_error trouble; /* result HUB_OK: none known */
    uint64_t retries;
    bool brokers_known; /* the library counted them, and nothing proved it wrong since */
    uint32_t brokers_up;
    struct hub_arena arena; /* of the statistics */
};

enum hub_kafka_kind { HUB_KAFKA_PRODUCER, HUB_KAFKA_CONSUMER, HUB_KAFKA_ADMIN };

/* The library's configuration for BUS, with everything that does not depend on the use; NULL with the reason
 * in ERR. CLIENT becomes its opaque. */
rd_kafka_conf_t *hub_kafka_conf(struct hub_kafka_bus *bus, enum hub_kafka_kind kind,
                                struct hub_kafka_client *client, struct hub_error *err);
/* Sets one; remembers a failure in *RESULT and does nothing after one. */
void hub_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, enum hub_result *result,
                   struct hub_error *err);
void hub_kafka_set_number(rd_kafka_conf_t *conf, const char *name, uint64_t value, enum hub_result *result,
                          struct hub_error *err);
/* Last of all the site's own settings. */
void hub_kafka_set_properties(rd_kafka_conf_t *conf, const struct hub_bus_options *options,
                              enum hub_result *result, struct hub_error *err);
/* Makes the client; takes CONF in any case. */
enum hub_result hub_kafka_client_open(struct hub_kafka_client *client, enum hub_kafka_kind kind,
                                      rd_kafka_conf_t *conf, struct hub_error *err) HUB_MUST_USE;
void hub_kafka_client_close(struct hub_kafka_client *client);

/* The cause of what the library reports, in our words. REASON may be NULL. Returns ERR's result. */
enum hub_result hub_kafka_explain(struct hub_error *err, rd_kafka_resp_err_t code, const char *reason);
/* The same for an error object, which is freed. */
enum hub_result hub_kafka_explain_error(struct hub_error *err, rd_kafka_error_t *error);

extern const struct hub_bus_ops hub_kafka_ops;

/* producer_kafka.c */
enum hub_result hub_kafka_producer_open(struct hub_bus *bus, const struct hub_bus_producer_options *options,
                                        int timeout_ms, struct hub_bus_producer **out, struct hub_error *err);
void hub_kafka_producer_close(struct hub_bus_producer *producer);
enum hub_result hub_kafka_send(struct hub_bus_producer *producer, const struct hub_bus_record *record,
                               struct hub_error *err);
enum hub_result hub_kafka_poll(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err);
enum hub_result hub_kafka_flush(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err);
enum hub_result hub_kafka_begin(struct hub_bus_producer *producer, struct hub_error *err);
enum hub_result hub_kafka_commit(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err);
void hub_kafka_stats(const struct hub_bus_producer *producer, struct hub_bus_stats *out);
bool hub_kafka_producer_trouble(const struct hub_bus_producer *producer, struct hub_error *out);

/* consumer_kafka.c */
enum hub_result hub_kafka_consumer_open(struct hub_bus *bus, const struct hub_bus_consumer_options *options,
                                        struct hub_bus_consumer **out, struct hub_error *err);
void hub_kafka_consumer_close(struct hub_bus_consumer *consumer);
enum hub_result hub_kafka_next(struct hub_bus_consumer *consumer, int timeout_ms, struct hub_bus_event *event,
                               struct hub_error *err);
struct hub_span hub_kafka_header(struct hub_bus_consumer *consumer, const char *name);
bool hub_kafka_consumer_trouble(const struct hub_bus_consumer *consumer, struct hub_error *out);
enum hub_result hub_kafka_assign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                 size_t count, struct hub_error *err);
enum hub_result hub_kafka_unassign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                   size_t count, struct hub_error *err);
enum hub_result hub_kafka_seek(struct hub_bus_consumer *consumer, const struct hub_bus_place *place,
                               struct hub_error *err);
enum hub_result hub_kafka_pause(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                size_t count, bool paused, struct hub_error *err);
enum hub_result hub_kafka_commit_offsets(struct hub_bus_consumer *consumer,
                                         const struct hub_bus_place *places, size_t count,
                                         struct hub_error *err);
enum hub_result hub_kafka_committed(struct hub_bus_consumer *consumer, struct hub_bus_place *places,
                                    size_t count, int timeout_ms, struct hub_error *err);
enum hub_result hub_kafka_offsets(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                                  int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err);
enum hub_result hub_kafka_partition_count(struct hub_bus_consumer *consumer, const char *topic,
                                          int timeout_ms, int32_t *count, struct hub_error *err);

/* admin_kafka.c */
enum hub_result hub_kafka_check(struct hub_bus *bus, const struct hub_bus_check_options *options,
                                struct hub_problems *problems, struct hub_error *err);
