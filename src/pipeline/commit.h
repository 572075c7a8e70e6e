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
    struct hub_dedup dedup;        /* MESSAGE, REJECTED, REVISED: message_id, control_token, answer; REVISED: the revision as count */
    const char *who, *rules;       /* REVISED: who asked for it, which rules mapped it */
    struct hub_buf json;           /* MESSAGE, REVISED: the sealed events one after the other; REJECTED: the dead letter; KEY: its record, none to have the key store looked at; STATE, CARRIED: whole sections */
    struct hub_sealed *events;     /* MESSAGE, REVISED: heap array; recorded_at counts from the event's own start */
    size_t *event_lens;
    size_t event_count;
    struct hub_error why;          /* REJECTED */
    struct hub_buf audit;          /* any kind: further entries, each as be32 length and bytes, without times (the committer adds none) */
    char (*resolves)[33];          /* MESSAGE, REJECTED: dead letters that this one is done with, heap array */
    size_t resolve_count;
    char last_part[33];            /* MESSAGE, REJECTED: this one was joined of parts; the id of the last one's bytes, else "" */
    bool known;                    /* MESSAGE: nothing but the answer that this message id got before; HUB_NOT_FOUND when it is gone */
    uint64_t bytes;                /* for the in-flight budget */
    /* filled by the committer */
    enum hub_result result;        /* HUB_OK: durable (or a duplicate of something durable); HUB_TOO_LARGE, HUB_NO_MEMORY: this
                                      item alone; HUB_QUOTA: no space, try again later; HUB_IO: the hub is about to end;
                                      HUB_NOT_FOUND, HUB_BUSY: a revision of nothing, or not the next one (somebody else was
                                      faster). Nothing may be acknowledged but HUB_OK. */
    bool duplicate;                /* REVISED: that revision is stored already. Else: this message was ACCEPTED before (also when it comes as REJECTED now): answer as then;
                                      dedup.answer is the stored answer. A repeated rejection is no duplicate: answer anew */
    int64_t recorded_us;           /* of the original for a duplicate */
    uint64_t record;               /* number in the event log, likewise; 0: none */
    /* called once in the committer's thread, in the order of submission; must only hand the item over (a queue): the index
       is not written yet, and readers of it wait */
    void (*done)(struct hub_commit_item *item, void *ctx);
    void *done_ctx;
    void *owner; /* the submitter's own */
    enum hub_result (*work)(void *ctx, struct hub_error *err); /* instead of a record: hub_commit_do */
    void *work_ctx;
};

struct hub_commit_options {
    size_t queue;           /* items waiting, 0 = 4096 */
    uint32_t wait_us;       /* how long a group waits for company, when the one before had some */
    uint64_t reserve_bytes; /* below this much free space no message is taken (audit entries are) */
    uint64_t data_bytes;    /* quota of data_dir, 0 = none */
    uint64_t log_bytes;     /* quota of the event log, 0 = none */
    const char *data_dir;   /* NULL: no space is checked */
};
struct hub_commit_stats { /* of the data directory, not of the process */
    uint64_t messages;     /* accepted */
    uint64_t events;
    uint64_t rejected;     /* every time a message was rejected */
    uint64_t dead_letters; /* distinct and open: not accepted later, not resolved */
    uint64_t revised;      /* revisions of accepted messages */
    uint64_t duplicates;   /* repeats of accepted messages; counted in the index alone, a rebuilt one starts at 0 */
    uint64_t last_recorded_us;
};

/* LOG, INDEX and KEYS stay the caller's; KEYS may be NULL (tests). FATAL is called (committer's thread) when the log failed: the process must end. */
enum hub_result hub_commit_start(const struct hub_commit_options *options, const struct hub_clock *clock, struct hub_disk *disk, struct hub_log *log,
                                 struct hub_index *index, struct hub_keys *keys, void (*fatal)(void *ctx, const struct hub_error *err),
                                 void *fatal_ctx, struct hub_commit **out, struct hub_error *err) HUB_MUST_USE;
/* Any thread. HUB_BUSY: the queue is full; HUB_CLOSED: stopping; HUB_QUOTA. On failure the item stays the caller's. */
enum hub_result hub_commit_submit(struct hub_commit *commit, struct hub_commit_item *item) HUB_MUST_USE;
/* Submits audit entries alone and waits until they are durable. Any thread but the committer's. */
enum hub_result hub_commit_audit(struct hub_commit *commit, struct hub_span entry_json, struct hub_error *err) HUB_MUST_USE;
/* The same for several entries, each as hub_audit_add writes it: one record. */
enum hub_result hub_commit_audit_all(struct hub_commit *commit, struct hub_span entries, struct hub_error *err) HUB_MUST_USE;
/* The same for an operator's decision (src/log/record.h): the audit entry and the state in one record. */
enum hub_result hub_commit_state(struct hub_commit *commit, const char *what, const char *id, const char *state, struct hub_span entry_json, struct hub_error *err) HUB_MUST_USE;
/* Submits ITEM and waits until it is decided and durable, or refused (item->result); the item stays the caller's, its
 * done and done_ctx are this call's. Any thread but the committer's. */
enum hub_result hub_commit_wait(struct hub_commit *commit, struct hub_commit_item *item) HUB_MUST_USE;
/* Calls WORK in the committer's thread, between two decisions, and waits until what it staged in the index is written: for
 * changes of the index that no record makes. Short. Any thread but the committer's. */
enum hub_result hub_commit_do(struct hub_commit *commit, enum hub_result (*work)(void *ctx, struct hub_error *err), void *ctx,
                              struct hub_error *err) HUB_MUST_USE;
/* Waits until every record of the key store that is durable there is in the log too, with its audit entry. Any thread
 * but the committer's. */
enum hub_result hub_commit_keys(struct hub_commit *commit, struct hub_error *err) HUB_MUST_USE;
/* Commits what is queued, then ends the thread. */
void hub_commit_stop(struct hub_commit *commit);
enum hub_commit_room {
    HUB_ROOM_OK,
    HUB_ROOM_RESERVE,    /* free space is below limits.reserve_bytes */
    HUB_ROOM_DATA_QUOTA, /* limits.data_bytes */
    HUB_ROOM_LOG_QUOTA,  /* limits.log_bytes */
    HUB_ROOM_DISK,       /* the event log's disk said that it is full */
    HUB_ROOM_INDEX,      /* the index cannot be written; nothing at all is stored until it can */
};
/* No message is taken: the disk or a quota is full, as seen last. Any thread. */
bool hub_commit_full(struct hub_commit *commit);
/* Why not, until messages are stored again. Any thread. */
enum hub_commit_room hub_commit_room(struct hub_commit *commit);
void hub_commit_stats(struct hub_commit *commit, struct hub_commit_stats *out);

/* Zeroed, with buffers that take BYTES_MAX; NULL: out of memory. */
struct hub_commit_item *hub_commit_item_new(size_t bytes_max);
/* Frees json, audit, events, event_lens and resolves too. NULL is fine. */
void hub_commit_item_free(struct hub_commit_item *item);

/* The index: opened over its store in FOLDER, brought up to the log's end. HUB_CORRUPT: it has seen more than the
 * log holds (stored records were lost), or belongs to another log. */
enum hub_result hub_index_open(const char *folder, struct hub_log *log, struct hub_index **out, struct hub_error *err) HUB_MUST_USE;
/* The store alone, made when it is not there. */
enum hub_result hub_index_store_open(const char *folder, struct hub_kv **out, struct hub_error *err) HUB_MUST_USE;
/* After its store failed: opened anew beneath, and brought up to the log's end again. The committer's thread; on failure
 * it may be tried again. */
enum hub_result hub_index_recover(struct hub_index *index, struct hub_log *log, struct hub_error *err) HUB_MUST_USE;
/* Over a store opened with hub_index_families(); KV is the index's afterwards, also on failure. */
enum hub_result hub_index_open_kv(struct hub_kv *kv, struct hub_log *log, struct hub_index **out, struct hub_error *err) HUB_MUST_USE;
const char *const *hub_index_families(void);
/* NULL is fine. */
void hub_index_close(struct hub_index *index);
/* The store beneath, and how far the index in any store that was opened with hub_index_families() got: HUB_CORRUPT when
 * it holds none, or one of another log. */
struct hub_kv *hub_index_kv(struct hub_index *index);
enum hub_result hub_index_kv_position(struct hub_kv *kv, const struct hub_log *log, uint64_t *position, struct hub_error *err) HUB_MUST_USE;
/* An operator paused the feed with this permanent id. Any thread. */
enum hub_result hub_index_feed_paused(struct hub_index *index, const char *feed_id, bool *paused, struct hub_error *err) HUB_MUST_USE;
/* The id of the message that was joined when this last part came (hub_commit_item.last_part). HUB_NOT_FOUND. Any thread. */
enum hub_result hub_index_joined(struct hub_index *index, struct hub_span part_id, char out[33], struct hub_error *err) HUB_MUST_USE;
struct hub_index_message { /* one stored message or dead letter */
    uint64_t record; /* number in the log */
    int64_t recorded_us, last_us;
    uint64_t repeats; /* duplicates or further rejections */
    char answer[3];
    enum hub_record_kind kind; /* MESSAGE or REJECTED */
    bool resolved;             /* of a dead letter: the same message was accepted later, or an operator resolved it */
};
/* By event id of patient 0. HUB_NOT_FOUND. Any thread. */
enum hub_result hub_index_message(struct hub_index *index, struct hub_span message_id, struct hub_index_message *out, struct hub_error *err) HUB_MUST_USE;
/* The dead letter of that id, whatever became of its message: `record` holds the letter. HUB_NOT_FOUND. Any thread. */
enum hub_result hub_index_dead_letter(struct hub_index *index, struct hub_span message_id, struct hub_index_message *out, struct hub_error *err) HUB_MUST_USE;
/* Message ids that carried this control token, in order of recording. */
enum hub_result hub_index_each_control(struct hub_index *index, struct hub_span control_token, bool (*callback)(void *ctx, struct hub_span message_id), void *ctx, struct hub_error *err) HUB_MUST_USE;
/* The revisions of an accepted message, oldest first: 1 and up; none when it was never mapped anew. RECORD holds the
 * revision. Any thread; staged ones are not seen. */
enum hub_result hub_index_each_revision(struct hub_index *index, struct hub_span message_id,
                                        bool (*callback)(void *ctx, uint32_t revision, uint64_t record), void *ctx, struct hub_error *err) HUB_MUST_USE;
/* The newest of them: *REVISION and *RECORD are 0 when there is none. */
enum hub_result hub_index_revision(struct hub_index *index, struct hub_span message_id, uint32_t *revision, uint64_t *record, struct hub_error *err) HUB_MUST_USE;
/* All dead letters, resolved ones too, in order of their ids. */
enum hub_result hub_index_each_dead_letter(struct hub_index *index, bool (*callback)(void *ctx, struct hub_span message_id, const struct hub_index_message *message), void *ctx, struct hub_error *err) HUB_MUST_USE;
