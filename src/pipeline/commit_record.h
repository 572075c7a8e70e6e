/* What the committer writes for one item: times into the events, their hashes, audit entries, the record's
 * payload (docs/FORMATS.md "event log"). Internal to the committer; one thread. */
#pragma once

#include "src/pipeline/commit.h"

struct hub_commit_facts {
    int64_t recorded_us; /* of the first event; the others follow a microsecond apart */
    bool control_reused; /* the control id came with another message before */
    uint64_t repeats;    /* REPEATED: how often before */
};
/* Appends the payload of ITEM as a record of KIND to OUT; ITEM's events get their recordedtime. Check
 * hub_buf_result afterwards. HUB_NO_MEMORY. */
enum hub_result hub_commit_record(struct hub_commit_item *item, enum hub_record_kind kind,
                                  const struct hub_commit_facts *facts, struct hub_buf *out) HUB_MUST_USE;
/* A key record of the key store (docs/FORMATS.md "key records") as far as its audit entry needs it. */
struct hub_commit_key {
    struct hub_span json; /* as the key store has it */
    struct hub_span kind; /* "class-key", "shredded", "role-revoked", "role-granted" */
    struct hub_span id;
    struct hub_span class_, cause, role, subject; /* as far as its kind has them */
    struct hub_span by;                           /* who asked for it, none: nobody */
    uint64_t epoch;
    const struct hub_span *roles; /* it is sealed to */
    size_t role_count;
    bool granted; /* the key was there before: more roles may open it now */
};
/* Appends the payload that brings KEY to readers, with its audit entries: what is done with keys is audited from their
 * records, so that no crash comes between the two. */
void hub_commit_record_key(const struct hub_commit_key *key, int64_t recorded_us, struct hub_buf *out);

/* Every record of KEYS that the log does not hold yet, to EMIT, which returns false to stop: keys made by
 * this process or by another (init), roles that were added. The key's spans live during the call. */
enum hub_result hub_commit_keys_missing(struct hub_keys *keys, struct hub_index *index,
                                        bool (*emit)(void *ctx, const struct hub_commit_key *key), void *ctx,
                                        struct hub_error *err) HUB_MUST_USE;
