/* The committer's side of the index (src/pipeline/commit.h has the readers'). What a group of records changes
 * is staged: seen by hub_index_lookup at once, by readers only after hub_index_write, forgotten by
 * hub_index_discard. One thread, the committer's. */
#pragma once

#include "src/pipeline/commit.h"

/* As hub_index_message, staged changes included. */
enum hub_result hub_index_lookup(struct hub_index *index, struct hub_span message_id,
                                 struct hub_index_message *out, struct hub_error *err) HUB_MUST_USE;
/* A message other than MESSAGE_ID has carried this control token, staged ones included. */
enum hub_result hub_index_control_used(struct hub_index *index, struct hub_span control_token,
                                       struct hub_span message_id, bool *used,
                                       struct hub_error *err) HUB_MUST_USE;
/* Stages what record NUMBER says. Records come in order, each once; catching up does the same. */
enum hub_result hub_index_apply(struct hub_index *index, uint64_t number, struct hub_span payload,
                                struct hub_error *err) HUB_MUST_USE;
/* Stages one more repeat of an accepted message. */
enum hub_result hub_index_duplicate(struct hub_index *index, struct hub_span message_id, int64_t now_us,
                                    struct hub_error *err) HUB_MUST_USE;
/* The log holds this key record, byte for byte. As written last: staged ones are not seen. */
enum hub_result hub_index_key_record(struct hub_index *index, struct hub_span json, bool *known,
                                     struct hub_error *err) HUB_MUST_USE;
/* Writes what was staged, atomically with the position in the log. Not synced: the log is what is durable. */
enum hub_result hub_index_write(struct hub_index *index, struct hub_error *err) HUB_MUST_USE;
void hub_index_discard(struct hub_index *index);
/* From hold to release readers of other threads wait: what stands in the index when it is released is answered already. The
 * committer's thread, which reads nothing of it meanwhile. */
void hub_index_hold(struct hub_index *index);
void hub_index_release(struct hub_index *index);
/* Staged changes included. */
int64_t hub_index_last_recorded(const struct hub_index *index);
/* As written last. Any thread. */
void hub_index_stats(struct hub_index *index, struct hub_commit_stats *out);

/* --- forgetting (index_prune.c) --- */

/* What may be forgotten of a message: its record was retired (it is below BEFORE), it came last before LAST_US, and no
 * open dead letter hangs on it. */
struct hub_index_age {
    uint64_t before;
    int64_t last_us;
};
enum { HUB_INDEX_OLD_MAX = 256, HUB_INDEX_OLD_KEY_MAX = 64 };
struct hub_index_old { /* a slice of the index: what may be forgotten in it */
    struct hub_index_age age;
    bool controls; /* of the control tokens; else of the messages */
    struct {
        uint8_t bytes[HUB_INDEX_OLD_KEY_MAX];
        size_t len;
    } keys[HUB_INDEX_OLD_MAX], next; /* NEXT: where the following slice begins; len 0: there is none */
    size_t count;
    uint64_t forgotten;
};
/* Looks through the slice that begins with OLD->next, a bounded part. Any thread. */
enum hub_result hub_index_find_old(struct hub_index *index, struct hub_index_old *old, struct hub_error *err) HUB_MUST_USE;
/* Stages that OLD's keys are forgotten, as far as they may still be. The committer's thread. */
enum hub_result hub_index_forget(struct hub_index *index, struct hub_index_old *old, struct hub_error *err) HUB_MUST_USE;
