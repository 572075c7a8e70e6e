/* The forwarder: committed records to the bus, in the order of the event log, none lost (guarantee 1), from a
 * position of its own that moves only past what the brokers have. Brokers that are away cost disk: the log
 * waits. One thread runs it (hub_forward_run); the other calls are for any thread.
 *
 * An event that its schema does not allow is a mistake of this program: it does not leave, neither do its identity facts; it is
 * kept in FOLDER/held, others go on, and it is tried again when the forwarder starts. Whoever waits for its delivery
 * is not told (guarantee 1). Past HUB_FORWARD_HELD_MAX of them nothing more is sent.
 *
 * What goes where: docs/adr/0005-kafka.md. A key record is delivered before anything behind it is sent. */
#pragma once

#include <stdatomic.h>

#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/bus/bus.h"
#include "src/log/log.h"
#include "src/pipeline/bus_setup.h"
#include "src/protect/signed.h"
#include "src/schema/json_schema.h"

struct hub_forward;

struct hub_forward_options {
    struct hub_log *log;
    struct hub_bus *bus;
    const char *topics[HUB_TOPIC_COUNT];
    const char *folder;            /* of the position: <data_dir>/forward */
    const char *checkpoint;        /* file of the audit log's checkpoint, sent when it changes; NULL: none */
    const struct hub_signer *signer; /* of identity facts */
    const struct hub_clock *clock;
    struct hub_disk *disk;
    /* Makes and checks topics when the brokers are first reached; HUB_CONFIG: they must not be written to,
     * asked again later. NULL: not needed. */
    enum hub_result (*prepare)(void *ctx, struct hub_error *err);
    uint32_t wait_ms; /* how long a record waits for others to go along with it */
    /* Every key record there is, for a bus that has seen none: calls EMIT for each until it says false. NULL: none. */
    void (*each_key)(void *ctx, bool (*emit)(void *emit_ctx, struct hub_span record), void *emit_ctx);
    /* What events must be: one that is not stays in FOLDER/held. NULL: not checked. */
    const struct hub_json_schema *event_schema;
    /* The id of its schema that stands before each value of TOPIC, asked after `prepare`; 0: none. NULL: none. */
    uint32_t (*schema_id)(void *ctx, enum hub_topic topic);
    void *ctx; /* of all */
};

/* Topic names and SIGNER must outlive it. HUB_CORRUPT: the position does not fit the log. */
enum hub_result hub_forward_open(const struct hub_forward_options *options, struct hub_forward **out,
                                 struct hub_error *err) HUB_MUST_USE;
/* Only tells the log how far the forwarder of FOLDER is, so that retention waits for it: in processes and commands that
 * do not forward. */
enum hub_result hub_forward_follow(struct hub_log *log, struct hub_disk *disk, const char *folder,
                                   struct hub_error *err) HUB_MUST_USE;
/* Nothing that hub_forward_hold was given is called afterwards. NULL is fine. */
void hub_forward_close(struct hub_forward *forward);
/* Until STOP; then waits up to DRAIN_MS for what was sent, and stores the position. */
void hub_forward_run(struct hub_forward *forward, const atomic_bool *stop, int drain_ms);

/* Everything up to this record is delivered, and known to be after a crash: segments of the log before it are
 * not needed here any more. */
uint64_t hub_forward_position(struct hub_forward *forward);
/* Whether anything was ever delivered from this data directory. */
bool hub_forward_begun(struct hub_forward *forward);

/* For `ack: broker`: one that waits until RECORD is delivered; embedded by its owner. */
struct hub_forward_wait {
    uint64_t record;
    void (*delivered)(struct hub_forward_wait *wait); /* in the forwarder's thread, or at once in the caller's;
                                                         must only hand over */
};
/* HUB_NO_MEMORY: not waiting. WAIT lives until it is told or the forwarder closed. */
enum hub_result hub_forward_hold(struct hub_forward *forward, struct hub_forward_wait *wait) HUB_MUST_USE;

struct hub_forward_stats {
    uint64_t delivered;        /* the last record that is, with all before it */
    uint64_t sent;             /* the last one given to the producer */
    uint64_t lag;              /* durable records that are not delivered */
    uint64_t events, bytes;    /* delivered by this process */
    uint64_t rate;             /* bus records a second, over the last ten seconds */
    uint64_t retries, rebuilds; /* requests sent again; producers made anew */
    uint64_t waiting;          /* bus records that the producer holds: checkpoints too, which the lag does not count */
    uint64_t holding;          /* answers that wait for the brokers */
    uint64_t held;             /* events that are not as their schema says */
    int64_t latency_p50_us, latency_p99_us; /* from producer to acknowledgement, over the last minute */
    bool brokers_known;        /* false: they are not counted yet */
    uint32_t brokers_up;
    const char *state; /* "ok", "waiting" for brokers, "refused" by them */
    struct hub_error trouble; /* result HUB_OK: none */
};
/* `delivered` and `lag` are of now; the rest is of a look at most a fifth of a second earlier, and not older than the delivery
 * that left a lag of 0. */
void hub_forward_stats(struct hub_forward *forward, struct hub_forward_stats *out);
