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
enum hub_result hub_commit_record(struct hub_commit_item *item, enum hub_record_kind kind, const struct hub_commit_facts *facts,
                                  struct hub_buf *out) HUB_MUST_USE;
/* The record of one class key that was made: the key record for readers and its audit entry. */
void hub_commit_record_key(const struct hub_key_id *id, enum hub_data_class class_, struct hub_span key_json, int64_t recorded_us, struct hub_buf *out);
