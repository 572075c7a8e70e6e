/* Between intake.c (a worker's messages), intake_batch.c (messages that came in one envelope) and ingest.c (what
 * all workers share). */
#pragma once

#include "src/pipeline/intake.h"

struct hub_batch;

struct hub_ingest *hub_intake_ingest(struct hub_intake *intake);
struct hub_ingest_feed *hub_intake_feed(struct hub_intake *intake, const struct hub_feed *feed);
const struct hub_config *hub_intake_config(const struct hub_intake *intake);

/* One message to be taken, by whatever rules it came in. */
struct hub_intake_source {
    struct hub_rules *rules;
    const struct hub_rules_feed *by;
    struct hub_ingest_feed *counts;
    const char *sender;
    struct hub_span bytes;
    bool oversize;
    uint64_t budget; /* of in_flight_bytes, already taken; given back with the message, or by the caller on failure */
    void (*reply)(void *connection, uint64_t ticket, enum hub_result result, struct hub_span bytes);
    void *connection;
    uint64_t ticket;
    struct hub_batch *batch; /* the ticket is its number in there; NULL: it came alone */
};
/* HUB_OK: it is on its way, its answer will come. HUB_BUSY: when one that is on its way has come back. */
enum hub_result hub_intake_take(struct hub_intake *intake, const struct hub_intake_source *source) HUB_MUST_USE;
/* A message waits for room in the committer's queue: nothing else may be taken now. */
bool hub_intake_parked(const struct hub_intake *intake);
/* The answer buffer, empty. */
struct hub_buf *hub_intake_reply_buf(struct hub_intake *intake);
void hub_intake_give_back(struct hub_intake *intake, uint64_t budget);

/* --- intake_batch.c --- */

/* The batches at work in one worker. */
struct hub_batches {
    struct hub_intake *intake;
    struct hub_batch *first, *last; /* the one whose turn it is first */
    size_t count;
    struct hub_net_timer *slice;
};
enum hub_result hub_batches_open(struct hub_batches *batches, struct hub_intake *intake, struct hub_net_loop *loop) HUB_MUST_USE;
void hub_batches_close(struct hub_batches *batches);
/* Takes SOURCE apart, if it is an envelope: HUB_NOT_FOUND when it is none, or one that is refused as a whole.
 * HUB_OK: its reply will come once. The bytes are copied; the budget is the batch's on HUB_OK. */
enum hub_result hub_batches_add(struct hub_batches *batches, const struct hub_intake_source *source) HUB_MUST_USE;
/* More of the batches' messages may be taken now. */
void hub_batches_wake(struct hub_batches *batches);
void hub_batches_forget(struct hub_batches *batches, const void *connection);
/* The answer to message NUMBER of BATCH; VERDICT only where RESULT is HUB_OK. */
void hub_batch_answered(struct hub_batch *batch, uint64_t number, enum hub_result result,
                        const struct hub_verdict *verdict, struct hub_span answer);
