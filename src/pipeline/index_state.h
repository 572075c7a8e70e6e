/* The state of an open index. Internal to index.c (store, reading, opening) and index_stage.c (what a group
 * changes). */
#pragma once

#include <pthread.h>

#include "src/pipeline/index.h"

enum { HUB_INDEX_META, HUB_INDEX_MESSAGE, HUB_INDEX_CONTROL, HUB_INDEX_DEAD_LETTER, HUB_INDEX_KEY, HUB_INDEX_REVISION };

enum {
    HUB_INDEX_ID_MAX = 32,
    HUB_INDEX_MESSAGE_LEN = 36, /* of an encoded hub_index_message */
    HUB_INDEX_FEED_KEY_MAX = 5 + 256,
    HUB_INDEX_CONTROL_KEY_MAX = HUB_INDEX_ID_MAX + 1 + 8,
    HUB_INDEX_REVISION_KEY_LEN = HUB_INDEX_ID_MAX + 4,
};

/* What is staged for one message id; `dead` for its dead letter. */
struct hub_index_slot {
    char id[HUB_INDEX_ID_MAX + 1]; /* "" = free */
    bool has_message, has_dead;
    struct hub_index_message message;
    struct hub_index_message dead;
};

/* A control token's first user, staged. */
struct hub_index_control {
    char token[HUB_INDEX_ID_MAX + 1]; /* "" = free */
    char id[HUB_INDEX_ID_MAX + 1];
};

struct hub_index {
    struct hub_kv *kv;
    struct hub_kv_batch *batch;
    uint8_t log_id[16];
    uint64_t position;             /* staged */
    uint64_t written;              /* the same, as in the store */
    struct hub_commit_stats stats; /* staged */
    pthread_mutex_t held;          /* while answers are ahead of the store */
    pthread_mutex_t lock;
    struct hub_commit_stats shown; /* under lock */
    /* Hash tables with open addressing, at most half full; USED lists the places taken, so that a small group
     * does not pay for the table of a large one. */
    struct hub_index_slot *slots;
    size_t *slots_used;
    size_t slot_cap, slot_count;
    struct hub_index_control *controls;
    size_t *controls_used;
    size_t control_cap, control_count;
};

void hub_index_put64(uint8_t *to, uint64_t number);
void hub_index_encode(const struct hub_index_message *message, uint8_t out[HUB_INDEX_MESSAGE_LEN]);
/* The value of ID in FAMILY as written last. */
enum hub_result hub_index_read(struct hub_index *index, unsigned family, struct hub_span id,
                               struct hub_index_message *out, struct hub_error *err) HUB_MUST_USE;
/* The key of a token's use in RECORD; 0 is the token's first use. Returns its length. */
size_t hub_index_control_key(struct hub_span token, uint64_t record, uint8_t out[HUB_INDEX_CONTROL_KEY_MAX]);
/* In META: "feed:" and the feed's id, or "part:" and the id of a last part. Returns its length. */
size_t hub_index_state_key(const char *prefix, struct hub_span id, char out[HUB_INDEX_FEED_KEY_MAX]);
enum hub_result hub_index_no_memory(struct hub_error *err);
void hub_index_forget_staged(struct hub_index *index);
