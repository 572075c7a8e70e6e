/* The bus port: topics of ordered partitions that several processes share. bus_kafka.c and its neighbours
 * speak to Kafka; bus_memory.c is a bus inside one process, for tests. This header holds the connection's
 * settings and the producer; src/bus/consumer.h reads, src/bus/admin.h makes and checks topics.
 *
 * A struct hub_bus has no connection of its own and may be used by any thread. A producer belongs to one
 * thread. Nothing here waits for a broker unless a timeout says how long. Refused: anything that would let a
 * record be lost, doubled or read on the way (docs/adr/0005-kafka.md). */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_bus;
struct hub_bus_producer;

enum { HUB_BUS_SECRET_MAX = 4096, HUB_BUS_HEADERS_MAX = 4, HUB_BUS_LIBRARY_MIN = 0x02080000 };

/* Strings and lists must outlive the bus. NULL: not set. */
struct hub_bus_options {
    const char *const *brokers; /* host:port, NULL ended */
    const char *client_id;
    bool tls;
    const char *ca;        /* authorities of the brokers' certificates (PEM); NULL: the system's */
    const char *cert;      /* client certificate and the chain behind it (PEM); with `key` */
    const char *key;       /* its private key (PEM) */
    const char *mechanism; /* PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, GSSAPI; NULL: none */
    const char *username;
    /* The password, or the client secret of OAUTHBEARER: at most HUB_BUS_SECRET_MAX bytes into OUT. Read anew
     * for every client, so that a changed secret is found. */
    enum hub_result (*secret)(void *ctx, uint8_t *out, size_t *len, struct hub_error *err);
    void *secret_ctx;
    const char *token_url, *oauth_client, *oauth_scope; /* OAUTHBEARER, client credentials */
    const char *kerberos_service, *kerberos_principal, *kerberos_keytab;
    const char *compression; /* none, lz4, zstd, ... */
    uint64_t buffer_bytes;   /* records of one producer that wait for the brokers; 0: 64 MiB */
    uint64_t message_bytes;  /* largest record */
    /* Settings of the client library, "name=value", NULL ended; those that guard records are refused. */
    const char *const *properties;
};

/* Whether OPTIONS can be used with a client library of version VERSION (as it numbers itself, 0x020800ff) and
 * FEATURES (its list, comma separated). A pure function. HUB_CONFIG with the reason. */
enum hub_result hub_bus_options_check(const struct hub_bus_options *options, uint32_t version,
                                      const char *features, struct hub_error *err) HUB_MUST_USE;
/* Whether the setting "name=value" may be given. A pure function. HUB_CONFIG with the reason. */
enum hub_result hub_bus_property_check(const char *property, struct hub_error *err) HUB_MUST_USE;

/* Checks OPTIONS against the library that is linked; no network. */
enum hub_result hub_bus_open_kafka(const struct hub_bus_options *options, struct hub_bus **out,
                                   struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_bus_open_memory(struct hub_bus **out) HUB_MUST_USE;
/* After every producer and consumer. NULL is fine. */
void hub_bus_close(struct hub_bus *bus);
/* Of the client library, as text; static storage. */
const char *hub_bus_library(void);

/* --- producer --- */

struct hub_bus_header {
    const char *name;
    struct hub_span value;
};

struct hub_bus_record {
    const char *topic; /* whole name */
    struct hub_span key;
    struct hub_span subject; /* decides the partition: murmur2 of it, as Java clients do with a key */
    struct hub_span value;   /* ptr NULL: a tombstone */
    struct hub_bus_header headers[HUB_BUS_HEADERS_MAX];
    size_t header_count;
    uint32_t tag; /* comes back with the delivery */
};

struct hub_bus_delivery { /* what became of a record */
    uint32_t tag;
    enum hub_result result; /* HUB_OK: all in-sync replicas have it */
    int64_t latency_us;
    int32_t partition;
    int64_t offset; /* of the record; HUB_BUS_NONE (consumer.h) where it failed or the brokers did not say */
};

struct hub_bus_producer_options {
    /* NULL: idempotent. Else records go out in transactions, and opening shuts out whoever used this id
     * before (for fencing a stalled owner; nothing relies on a transaction being whole). */
    const char *transactional_id;
    /* Called in hub_bus_poll, _flush and _commit, once for each record that was taken and not dropped. */
    void (*delivered)(void *ctx, const struct hub_bus_delivery *delivery);
    void *ctx;
};

/* Records of one partition arrive in the order of sending and once, as long as none fails. What fails for
 * certain or perhaps (a broker may have it): close, open another one, send again from the last place known to
 * be delivered; readers know an event by its id. With a transactional id it waits TIMEOUT_MS for the brokers. */
enum hub_result hub_bus_producer_open(struct hub_bus *bus, const struct hub_bus_producer_options *options,
                                      int timeout_ms, struct hub_bus_producer **out,
                                      struct hub_error *err) HUB_MUST_USE;
/* Records not delivered are dropped without a callback. NULL is fine. */
void hub_bus_producer_close(struct hub_bus_producer *producer);
/* Copies the record. It leaves with the next hub_bus_flush or _commit, else within a second. HUB_BUSY: the buffer is full:
 * flush, try again. HUB_TOO_LARGE. HUB_CLOSED: this producer is of no use any more: close it, open another. */
enum hub_result hub_bus_send(struct hub_bus_producer *producer, const struct hub_bus_record *record,
                             struct hub_error *err) HUB_MUST_USE;
/* Tells of deliveries, waits up to TIMEOUT_MS for the first. HUB_CLOSED as above; HUB_DENIED: another one took
 * over the transactional id. */
enum hub_result hub_bus_poll(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err) HUB_MUST_USE;
/* Until everything sent is decided. HUB_TIMEOUT. */
enum hub_result hub_bus_flush(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err) HUB_MUST_USE;
/* Transactions. HUB_CLOSED: indefinite, close and open anew. HUB_DENIED: fenced. */
enum hub_result hub_bus_begin(struct hub_bus_producer *producer, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_bus_commit(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err) HUB_MUST_USE;

struct hub_bus_stats {
    uint64_t sent, delivered, failed; /* records */
    uint64_t bytes;                   /* keys and values delivered */
    uint64_t retries;                 /* requests sent again */
    uint64_t waiting;                 /* records taken whose delivery was not told yet */
    bool brokers_known;               /* false: brokers_up was not counted yet, or not since a record got through to one */
    uint32_t brokers_up;
};
void hub_bus_producer_stats(const struct hub_bus_producer *producer, struct hub_bus_stats *out);
/* Why nothing gets through at the moment, in OUT: true. False: nothing is known to be wrong. */
bool hub_bus_producer_trouble(const struct hub_bus_producer *producer, struct hub_error *out);

/* --- partitions --- */

/* The hash that Java clients choose a partition by: murmur2, seed 0x9747b28c. */
uint32_t hub_bus_murmur2(struct hub_span bytes);
/* (hash without its sign bit) modulo COUNT, which is at least 1. */
int32_t hub_bus_partition(struct hub_span subject, int32_t count);
