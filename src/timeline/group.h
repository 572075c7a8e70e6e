/* How entry records lie in the store: those of one event together in one value (docs/FORMATS.md, timeline).
 * Writing is the applier's; reading any thread's. Private to src/timeline. */
#pragma once

#include "src/timeline/state.h"

/* --- writing: begin, for each record (record, its text, end), close --- */
/* END is what all records will end with, NONE: not known; it must stay until the group is closed. True: the records' texts
 * are to be appended without it. */
bool timeline_group_begin(struct hub_timeline *t, struct hub_span end);
/* Where the text of entry ID's record is appended. */
struct hub_buf *timeline_group_record(struct hub_timeline *t, struct hub_span id);
enum hub_result timeline_group_end(struct hub_timeline *t, struct hub_span subject, struct hub_span event, struct hub_error *err) HUB_MUST_USE;
/* Into the batch what is not there yet. */
enum hub_result timeline_group_close(struct hub_timeline *t, struct hub_span subject, struct hub_span event, struct hub_error *err) HUB_MUST_USE;
/* Whether KEY is a group's of the event that PREFIX "<subject>/<event id>" names. */
bool timeline_group_is(struct hub_span key, struct hub_span prefix);
/* Takes the stored groups of EVENT out again; the sink gets a tombstone for each record. */
enum hub_result timeline_group_remove(struct hub_timeline *t, struct hub_span subject, struct hub_span event, struct hub_error *err) HUB_MUST_USE;

/* --- reading: a record at a time, over an iterator of FAMILY_ENTRIES --- */
struct timeline_entries {
    struct hub_span key;    /* "<subject>/<resource id>"; both until the next step */
    struct hub_span record; /* canonical JSON */
    struct hub_kv_iter *iter; /* NULL: one value */
    struct hub_span one_key, one_value;
    struct hub_span end, rest; /* of the group at hand */
    struct hub_buf key_text, record_text;
    enum hub_result result;
};
/* ITER stays the caller's. */
void timeline_entries_init(struct timeline_entries *entries, struct hub_kv_iter *iter);
/* Of one value under KEY; both must stay. */
void timeline_entries_of(struct timeline_entries *entries, struct hub_span key, struct hub_span value);
void timeline_entries_deinit(struct timeline_entries *entries);
bool timeline_entries_next(struct timeline_entries *entries);
enum hub_result timeline_entries_result(const struct timeline_entries *entries, struct hub_error *err) HUB_MUST_USE;
