/* One message from its bytes to a commit item: decode, protect, or seal it as a dead letter (DESIGN section
 * 1). Workers do it with what came in, a replay with a dead letter's original. One thread and one arena a
 * message; nothing unsealed outlives the arena. */
#pragma once

#include "src/pipeline/intake.h"
#include "src/pipeline/rules.h"

struct hub_work {
    /* given */
    struct hub_ingest *ingest;
    const struct hub_rules *rules;
    const struct hub_rules_feed *feed;
    struct hub_arena *arena;
    struct hub_commit_item *item; /* the caller's; feed, sender and done are the caller's to set */
    struct hub_origin origin;     /* its message is the bytes */
    bool oversize;                /* the bytes are only the beginning */
    int64_t received_us;          /* 0: now */
    /* made */
    struct hub_decoded decoded; /* in the arena */
    struct hub_error err;
    enum hub_result verdict; /* HUB_OK or why it is rejected; HUB_CONTINUED: a part, kept until the others have come */
    bool part_missing;       /* rejected, for a part before it is not stored (yet) */
    bool joined;             /* of parts: origin.message is the whole */
};

/* The reason of what was larger than limits.message_bytes: of such a dead letter only the beginning is kept.
 */
extern const char hub_prepare_oversize[];
/* hub_dedup.answer of what gets a positive answer. */
extern const char hub_prepare_accepted[];

/* HUB_OK: the item is ready for the committer, accepted or as a dead letter. Anything else is the hub's own
 * trouble: nothing may be answered. */
enum hub_result hub_prepare(struct hub_work *work) HUB_MUST_USE;
