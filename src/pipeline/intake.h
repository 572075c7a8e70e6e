/* From a transport's bytes to the committer and back: decode, protect, submit; then the reply (DESIGN section
 * 1). One hub_ingest per process, one hub_intake per worker. The functions that adapters call are in
 * src/pipeline/adapter.h.
 *
 * Nothing unsealed leaves a worker: message bytes are read where the transport holds them, everything made of
 * them lives in the worker's arena until it is sealed. Memory is bounded by limits.in_flight_bytes, all
 * workers together. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "src/net/net.h"
#include "src/pipeline/adapter.h"
#include "src/pipeline/commit.h"
#include "src/pipeline/forward.h"
#include "src/pipeline/refused.h"
#include "src/pipeline/rules.h"
#include "src/pipeline/sequence.h"

/* A feed's counts, of this process; any thread. */
struct hub_ingest_feed {
    const char *name;
    atomic_bool paused; /* by an operator; over restarts */
    atomic_llong connections;
    atomic_ullong received, accepted, rejected, duplicates, failed, bytes, logins_refused, frames_refused;
    atomic_ullong sequence_gaps, noise_bytes; /* noise: what stood between frames */
    atomic_ullong zone_overruled; /* messages whose MSH-7 has an offset that the feed's zone does not have then */
    atomic_ullong parts; /* of messages sent in parts, without the last ones */
    atomic_ullong batches, batches_faulty; /* envelopes; of them with wrong counts or headers */
    struct hub_sequences sequences; /* under the lock of hub_ingest */
    atomic_llong last_us; /* wall time of the last message */
};

enum { HUB_INGEST_AUTHORITIES_MAX = 256 };

struct hub_ingest {
    const struct hub_clock *clock;
    struct hub_keys *keys;
    struct hub_commit *commit;
    struct hub_forward *forward;   /* NULL: the bus is the event log itself */
    struct hub_index *index;
    struct hub_log *log;
    struct hub_rules *rules;       /* that a new intake begins with; the owner's */
    struct hub_ingest_feed *feeds; /* as the configuration's */
    size_t feed_count;
    uint64_t record_bytes_max;
    uint64_t event_bytes_max; /* what the bus takes; 0: no limit of its own */
    atomic_ullong in_flight_bytes;
    const atomic_ullong *applied; /* the timeline's position in the log; NULL: none is kept here */
    uint64_t timeline_lag;
    atomic_bool kept_up; /* the timeline was at the log's end: what it lags now has come since. Past timeline_lag senders wait */
    atomic_llong connections;
    atomic_bool ending; /* the hub stops: no message waits for room any more */
    pthread_mutex_t lock;                          /* below */
    char *authorities[HUB_INGEST_AUTHORITIES_MAX]; /* seen in messages and not configured */
    size_t authority_count;
    struct hub_refused_table refused;
    void (*wake)(void *ctx); /* a first refused login waits to be written; NULL: nobody to tell. Not under the lock */
    void *wake_ctx;
};

/* Counts for CONFIG's feeds, which must outlive them. The pointers in INGEST above `feeds` are set.
 * HUB_NO_MEMORY. */
enum hub_result hub_ingest_open(struct hub_ingest *ingest, const struct hub_config *config) HUB_MUST_USE;
void hub_ingest_close(struct hub_ingest *ingest);
/* More is stored than the timeline takes in: senders wait, or charts would get older and older. What there was to do at
 * the start (a new timeline, a long stop) and a store that takes no writes hold nobody up. Any thread. */
bool hub_ingest_timeline_behind(const struct hub_ingest *ingest);
/* What a control id is found by: a sender's own numbering, so that two senders' equal ids are not one. */
void hub_ingest_control_token(struct hub_keys *keys, struct hub_span feed_id, struct hub_span sender, struct hub_span control_id,
                              struct hub_hash_token *out);
/* hub_refused_take of the ingest's table; any thread. */
size_t hub_ingest_take_refused(struct hub_ingest *ingest, bool end, struct hub_refused out[HUB_REFUSED_MAX],
                               uint64_t *more);

/* RESUME is called in the worker's thread when there is room again after HUB_BUSY. NULL: out of memory. */
struct hub_intake *hub_intake_new(struct hub_ingest *ingest, struct hub_net_loop *loop,
                                  void (*resume)(void *ctx), void *ctx);
/* Waits for nothing: every message must have come back (the committer was stopped, or hub_intake_idle). NULL
 * is fine. */
void hub_intake_free(struct hub_intake *intake);
/* The worker's own thread: what comes from now on is judged by RULES (a share is taken). Before this returns,
 * transports must know the feeds of the new configuration. */
void hub_intake_reload(struct hub_intake *intake, struct hub_rules *rules);
/* No message of this worker is on its way. */
bool hub_intake_idle(const struct hub_intake *intake);
