/* The inside of the forwarder, for forward*.c. */
#pragma once

#include <pthread.h>

#include "src/base/arena.h"
#include "src/pipeline/forward.h"

/* --- forward_records.c: what a record of the log is on the bus --- */

struct hub_forward_sink {
    enum hub_result (*send)(void *ctx, enum hub_topic topic, struct hub_bus_record *record, struct hub_error *err);
    /* Before anything of EVENT is sent. HUB_END: nothing of it is to be. NULL: all are. */
    enum hub_result (*admit)(void *ctx, struct hub_span event, struct hub_error *err);
    void *ctx;
};

/* All bus records of the log record PAYLOAD in order; BARRIER: what follows must wait until they are
 * delivered. HUB_CORRUPT: the record cannot be read. */
enum hub_result hub_forward_records(const struct hub_signer *signer, struct hub_arena *arena, struct hub_span payload,
                                    const struct hub_forward_sink *sink, bool *barrier,
                                    struct hub_error *err) HUB_MUST_USE;
/* An event alone, with the identity facts it states. */
enum hub_result hub_forward_event(const struct hub_signer *signer, struct hub_arena *arena, struct hub_span event,
                                  const struct hub_forward_sink *sink, struct hub_error *err) HUB_MUST_USE;
/* One record of the key store. */
enum hub_result hub_forward_key(struct hub_arena *arena, struct hub_span json, const struct hub_forward_sink *sink,
                                struct hub_error *err) HUB_MUST_USE;

/* --- forward_wait.c: answers that wait for the brokers --- */

struct hub_forward_waits {
    pthread_mutex_t lock;
    struct hub_forward_wait **heap; /* smallest record first */
    size_t count, cap;
    uint64_t delivered;
    uint64_t *held; /* records that count as delivered and are not told */
    size_t held_count;
};
void hub_forward_waits_init(struct hub_forward_waits *waits, uint64_t delivered);
void hub_forward_waits_deinit(struct hub_forward_waits *waits);
/* Tells all that wait for a record up to DELIVERED. */
void hub_forward_waits_release(struct hub_forward_waits *waits, uint64_t delivered);
uint64_t hub_forward_waits_delivered(struct hub_forward_waits *waits);
size_t hub_forward_waits_count(struct hub_forward_waits *waits);
enum hub_result hub_forward_waits_add(struct hub_forward_waits *waits, struct hub_forward_wait *wait) HUB_MUST_USE;

/* RECORD counts as delivered, but who waits for it is not told; and then told after all. */
void hub_forward_waits_hold_back(struct hub_forward_waits *waits, uint64_t record);
void hub_forward_waits_let_go(struct hub_forward_waits *waits, uint64_t record);

/* --- forward_held.c: events that must not leave, on disk; the forwarder's thread --- */

enum { HUB_FORWARD_HELD_MAX = 100, HUB_FORWARD_HELD_NAME = 64 };

struct hub_forward_held_item {
    uint64_t record; /* of the log */
    char name[HUB_FORWARD_HELD_NAME];
};
struct hub_forward_held {
    struct hub_disk *disk;
    char folder[4096];
    struct hub_forward_held_item items[HUB_FORWARD_HELD_MAX];
    size_t count;
};
/* HELD is zeroed. FOLDER is the forwarder's. */
enum hub_result hub_forward_held_open(struct hub_forward_held *held, struct hub_disk *disk, const char *folder,
                                      struct hub_error *err) HUB_MUST_USE;
/* Durable afterwards. HUB_EXISTS: it is there already. HUB_TOO_MANY. */
enum hub_result hub_forward_held_add(struct hub_forward_held *held, uint64_t record, struct hub_span event,
                                     struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_forward_held_read(const struct hub_forward_held *held, size_t index, struct hub_buf *out,
                                      struct hub_error *err) HUB_MUST_USE;
/* Another one takes its index. */
enum hub_result hub_forward_held_remove(struct hub_forward_held *held, size_t index, struct hub_error *err) HUB_MUST_USE;
bool hub_forward_held_has(const struct hub_forward_held *held, uint64_t record);

/* --- forward_meter.c: rates and latencies --- */

enum { HUB_METER_BUCKETS = 128, HUB_METER_SECONDS = 10 };

struct hub_forward_meter {
    uint64_t window[2][HUB_METER_BUCKETS]; /* latencies of this minute and the last one */
    int64_t minute;
    uint64_t seconds[HUB_METER_SECONDS + 1];
    int64_t second;
};
void hub_forward_meter_add(struct hub_forward_meter *meter, int64_t now_us, int64_t latency_us);
/* The latency that PER_MILLE of all stay below, as precise as a fifth; 0: none seen. */
int64_t hub_forward_meter_latency(const struct hub_forward_meter *meter, unsigned per_mille);
uint64_t hub_forward_meter_rate(struct hub_forward_meter *meter, int64_t now_us);
