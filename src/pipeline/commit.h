/* The committer: the one thread that decides what is a duplicate, gives recorded times, writes the event log
 * and lets answers go (guarantees 1 and 2). Group commit: everything waiting goes into one fsync. */
#pragma once

#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/result.h"
#include "src/log/log.h"
#include "src/log/record.h"
#include "src/protect/protect.h"
#include "src/store/kv.h"

struct hub_commit;
struct hub_index; /* dedup, control ids, dead letters by id: a store derived from the log */

/* One message on its way, on the heap; owned by the committer from submit until `done`. The worker fills the
 * upper part. */
struct hub_commit_item {
    enum hub_record_kind kind;
    const char *feed;              /* configured name */
    const char *sender;            /* configured allow entry */
    char trigger[16];
    struct hub_dedup dedup;        /* MESSAGE, REJECTED: message_id, control_token, answer */
    struct hub_buf json;           /* MESSAGE: the sealed events one after the other; REJECTED: the dead letter; AUDIT, KEY: see below */
    struct hub_sealed *events;     /* MESSAGE: heap array; recorded_at counts from the event's own start */
    size_t *event_lens;
    size_t event_count;
    struct hub_error why;          /* REJECTED */
    struct hub_buf audit;          /* AUDIT, KEY: entries, each as be32 length and bytes, without times (the committer adds none) */
    uint64_t bytes;                /* for the in-flight budget */
    /* filled by the committer */
    enum hub_result result;        /* HUB_OK: durable (or a duplicate of something durable) */
    bool duplicate;
    int64_t recorded_us;           /* of the original for a duplicate */
    /* called once in the committer's thread; must only hand the item over (a queue) */
    void (*done)(struct hub_commit_item *item, void *ctx);
    void *done_ctx;
    void *owner; /* the submitter's own */
};

struct hub_commit_options {
    size_t queue;
    uint32_t wait_us;
    uint64_t reserve_bytes, data_bytes;
    const char *data_dir;
};
struct hub_commit_stats { /* of the data directory, not of the process */
    uint64_t messages, events, rejected, dead_letters, duplicates, last_recorded_us;
};

/* LOG, INDEX and KEYS stay the caller's. FATAL is called (committer's thread) when the log failed: the process must end. */
enum hub_result hub_commit_start(const struct hub_commit_options *options, const struct hub_clock *clock, struct hub_disk *disk, struct hub_log *log,
                                 struct hub_index *index, struct hub_keys *keys, void (*fatal)(void *ctx, const struct hub_error *err),
                                 void *fatal_ctx, struct hub_commit **out, struct hub_error *err) HUB_MUST_USE;
/* Any thread. HUB_BUSY: the queue is full; HUB_CLOSED: stopping; HUB_QUOTA. On failure the item stays the caller's. */
enum hub_result hub_commit_submit(struct hub_commit *commit, struct hub_commit_item *item) HUB_MUST_USE;
/* Submits audit entries alone and waits until they are durable. Any thread but the committer's. */
enum hub_result hub_commit_audit(struct hub_commit *commit, struct hub_span entry_json, struct hub_error *err) HUB_MUST_USE;
/* Commits what is queued, then ends the thread. */
void hub_commit_stop(struct hub_commit *commit);
void hub_commit_stats(struct hub_commit *commit, struct hub_commit_stats *out);

struct hub_commit_item *hub_commit_item_new(size_t bytes_max);
void hub_commit_item_free(struct hub_commit_item *item);

/* The index: opened over its store, brought up to the log's end. */
enum hub_result hub_index_open(const char *folder, struct hub_log *log, struct hub_index **out, struct hub_error *err) HUB_MUST_USE;
void hub_index_close(struct hub_index *index);
struct hub_index_message { /* one stored message or dead letter */
    uint64_t record; /* number in the log */
    int64_t recorded_us, last_us;
    uint64_t repeats; /* duplicates or further rejections */
    char answer[3];
    enum hub_record_kind kind;
};
/* By event id of patient 0. HUB_NOT_FOUND. Any thread. */
enum hub_result hub_index_message(struct hub_index *index, struct hub_span message_id, struct hub_index_message *out, struct hub_error *err) HUB_MUST_USE;
/* Message ids that carried this control token, in order of recording. */
enum hub_result hub_index_each_control(struct hub_index *index, struct hub_span control_token, bool (*callback)(void *ctx, struct hub_span message_id), void *ctx, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_index_each_dead_letter(struct hub_index *index, bool (*callback)(void *ctx, struct hub_span message_id, const struct hub_index_message *message), void *ctx, struct hub_error *err) HUB_MUST_USE;
