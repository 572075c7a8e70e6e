/* Inside the timeline: pending changes over the store, and the parts of apply. Applier thread only; only
 * src/timeline/ includes this. */
#pragma once

#include <stdatomic.h>

#include "src/identity/identity.h"
#include "src/timeline/timeline.h"

enum family {
    FAMILY_META,
    FAMILY_ENTRIES, /* <subject>/<event id>: its entry records (group.h) */
    FAMILY_TOKENS,  /* <token> */
    FAMILY_FACTS,   /* <event id>/<n> */
    FAMILY_EVENTS,  /* <event id> */
    FAMILY_NODES,   /* <token>: what bears on the token's identity; of a PARTITION the chart part it was told last */
    FAMILY_REVISIONS, /* <subject>/<event id>: which events a revision takes the place of */
};

enum {
    PENDING_BYTES_MAX = 512 * 1024 * 1024,
    PENDING_BYTES_WRITE = 32 * 1024 * 1024, /* past this the batch is written early; applying is idempotent */
    SCRATCH_BYTES_MAX = 512 * 1024 * 1024,
    ID_MAX = 64,
};

struct pending {
    struct hub_span key; /* family byte, then the key */
    struct hub_span value;
    bool deleted;
};

/* The entry records of the event that is being applied. */
struct timeline_group {
    struct hub_buf records;
    size_t at;               /* of the record that is being written */
    size_t id_len;           /* of its id, which ends 4 bytes before it */
    size_t first, first_len; /* the group's first record */
    size_t end_len;          /* bytes that all its records end with */
    size_t count, number;    /* records in the group, groups before it */
    struct hub_span end;     /* what all records end with, where the caller knows; they are written without it */
};

struct timeline_gather;

struct hub_timeline {
    struct hub_kv *kv;
    enum hub_timeline_part part;
    struct hub_timeline_sink sink;
    bool quiet;                    /* opening or restoring: the sink is not asked */
    bool restoring;                /* hub_timeline_restore_end is still to come */
    struct timeline_gather *gather; /* restore.c */
    struct hub_timeline *known_by; /* the IDENTITY that must know an event's facts, or NULL */
    uint32_t fact_max;             /* largest number of a fact among pending ones */
    struct hub_identity_options identity;
    atomic_uint_fast64_t position;
    struct hub_kv_batch *batch; /* entries and facts: written, never read back before a flush */
    size_t batch_bytes;
    struct hub_arena arena;   /* of pending */
    struct pending *pending;  /* hash table, a power of two */
    size_t pending_count, pending_cap;
    struct hub_arena scratch; /* of one apply */
    struct hub_buf text;
    struct timeline_group group;
};

/* --- state.c --- */

/* The value as pending changes and the store have it, copied into scratch; HUB_NOT_FOUND. */
enum hub_result timeline_get(struct hub_timeline *t, enum family family, struct hub_span key, struct hub_span *value, struct hub_error *err);
enum hub_result timeline_put(struct hub_timeline *t, enum family family, struct hub_span key, struct hub_span value, struct hub_error *err);
enum hub_result timeline_delete(struct hub_timeline *t, enum family family, struct hub_span key, struct hub_error *err);
/* The same with JSON; *OUT NULL when there is none. */
enum hub_result timeline_get_json(struct hub_timeline *t, enum family family, struct hub_span key, struct hub_json **out, struct hub_error *err);
enum hub_result timeline_put_json(struct hub_timeline *t, enum family family, struct hub_span key, const struct hub_json *value, struct hub_error *err);
/* For entries and facts: never read back before a flush. */
void timeline_add(struct hub_timeline *t, enum family family, struct hub_span key, struct hub_span text);
enum hub_result timeline_add_json(struct hub_timeline *t, enum family family, struct hub_span key, const struct hub_json *value, struct hub_error *err);
void timeline_remove(struct hub_timeline *t, enum family family, struct hub_span key);
/* Identity facts: pending, or in the batch where they are not read back before a flush (WHOLE). */
enum hub_result timeline_fact_put(struct hub_timeline *t, struct hub_span key, const struct hub_json *fact, struct hub_error *err);
enum hub_result timeline_fact_delete(struct hub_timeline *t, struct hub_span key, struct hub_error *err);
/* Whether the pending changes have this key. */
bool timeline_is_pending(const struct hub_timeline *t, enum family family, struct hub_span key);
/* Gives a record to the sink, if there is one that is asked. VALUE.ptr NULL: a tombstone. */
enum hub_result timeline_tell(struct hub_timeline *t, struct hub_span key, struct hub_span subject, struct hub_span value, struct hub_error *err);
bool timeline_tells(const struct hub_timeline *t);
/* Settles with the sink and writes pending changes, without a new position. */
enum hub_result timeline_write_pending(struct hub_timeline *t, bool sync, struct hub_error *err);
enum hub_result timeline_meta_put(struct hub_timeline *t, const char *key, struct hub_span text, struct hub_error *err);
/* "<a>/<b>" in scratch, empty when memory is out. */
struct hub_span timeline_key(struct hub_timeline *t, struct hub_span a, struct hub_span b);

/* --- nodes.c --- */

/* Takes in the facts of one event and brings the charts they bear on up to date. */
enum hub_result timeline_add_facts(struct hub_timeline *t, const struct hub_identity_statement *facts, size_t count, struct hub_error *err);
/* Takes the facts under these keys out again: what their tokens know is found anew from all other facts of the store. Nothing
 * is pending that is not in these keys. */
enum hub_result timeline_withdraw_facts(struct hub_timeline *t, const struct hub_span *keys, size_t count, struct hub_error *err);
/* Computes the charts of the components that TOKENS are in. */
enum hub_result timeline_recompute(struct hub_timeline *t, const struct hub_span *tokens, size_t count, struct hub_error *err);

/* --- revision.c --- */

struct timeline_revision { /* of an event; NUMBER 0: the first mapping */
    uint64_t number;
    const struct hub_span *supersedes; /* event ids */
    size_t supersedes_count;
};
/* Reads it from the event's HEAD; HUB_SYNTAX. */
enum hub_result timeline_revision_of(struct hub_timeline *t, const struct hub_event_head *head, struct timeline_revision *out, struct hub_error *err);
/* SEEN (an event's record of the family `events`, or NULL) stands for an event that was applied. */
bool timeline_seen(const struct hub_json *seen);
/* Some revision took the place of the event. */
bool timeline_superseded(const struct hub_json *seen);
/* The record of the family `revisions`, in scratch; NULL when memory is out. */
struct timeline_event_name {
    struct hub_span id, subject, recorded, sha256;
};
struct hub_json *timeline_revision_json(struct hub_arena *arena, const struct timeline_event_name *event, const struct timeline_revision *revision);
/* Adds BY to those that took the place of the event of SEEN, sorted. */
enum hub_result timeline_add_mark(struct hub_arena *arena, struct hub_json *seen, struct hub_span by, bool *changed);
/* Keys of all facts of event ID, stored and pending, to KEYS by number. */
struct timeline_keys {
    struct hub_span *items;
    size_t count, cap;
};
enum hub_result timeline_facts_of(struct hub_timeline *t, struct hub_span id, struct timeline_keys *keys, struct hub_error *err);
/* Writes down that BY takes the place of others; what is in force of those goes out of force: entries out of the counts, facts out
 * of the charts, but those that are FACTS too (COUNT of them, BY's own as far as in force). */
enum hub_result timeline_supersede(struct hub_timeline *t, struct hub_span by, const struct timeline_revision *revision,
                                   const struct hub_identity_statement *facts, size_t count, struct hub_error *err);

/* Writes the record of a revision and tells of it. */
enum hub_result timeline_revision_put(struct hub_timeline *t, const struct timeline_event_name *event, const struct timeline_revision *revision,
                                      struct hub_error *err);
/* Several values of the revision ID: the state is the same whichever came first, so all of their lists count, whichever is the event. The
 * number is part of the id, so they have the same one. REVISION will be the event instead of the one that is SEEN: it takes over its list. */
enum hub_result timeline_revision_join(struct hub_timeline *t, struct hub_span id, const struct hub_json *seen, struct timeline_revision *revision,
                                       struct hub_error *err);
/* OTHER is not the event, the one that is SEEN stays: it takes over OTHER's list. */
enum hub_result timeline_revision_other(struct hub_timeline *t, struct hub_span id, const struct hub_json *seen, const struct timeline_revision *other,
                                        struct hub_error *err);

/* --- token.c --- */

/* The token's record; a new one (a chart of its own, no entries) when there is none. In scratch. */
enum hub_result timeline_token_record(struct hub_timeline *t, struct hub_span token, struct hub_json **out, struct hub_error *err);
/* The members that speak of the chart, from RECORD (a token record) or PART (a chart part) into OUT. */
enum hub_result timeline_chart_copy(const struct hub_json *from, struct hub_arena *arena, struct hub_json *out);
/* Those of a token that no fact names. */
enum hub_result timeline_chart_alone(struct hub_arena *arena, struct hub_json *record, struct hub_span token);
/* Of IDENTITY: the chart part. */
enum hub_result timeline_token_set_chart(struct hub_timeline *t, struct hub_span token, const struct hub_identity_chart *chart,
                                         const struct hub_identity_charts *all, struct hub_error *err);
/* What the token's record says of an entry. */
struct timeline_entry {
    struct hub_span kind, effective, recorded, id;
    bool test;
};
/* Of an entry's record; views into it. */
struct timeline_entry timeline_entry_of(const struct hub_json *entry_record);
/* Counts one entry in, a SUPERSEDED one as history alone; its texts must live as long as the record. */
enum hub_result timeline_token_count(struct hub_timeline *t, struct hub_json *token_record, const struct timeline_entry *entry, bool superseded, struct hub_error *err);
/* Takes it from what is in force to history. *AGAIN: it was the latest of its kind, the token must be counted anew. */
enum hub_result timeline_token_supersede(struct hub_timeline *t, struct hub_json *token_record, const struct timeline_entry *entry, bool *again, struct hub_error *err);
/* Counts anew over the stored entries of TOKEN but those of event WITHOUT (may be empty); those of GONE are superseded, as are
 * those that stored revisions name. */
enum hub_result timeline_token_recount(struct hub_timeline *t, struct hub_span token, struct hub_span without, const struct hub_span *gone, size_t gone_count,
                                       struct hub_error *err);
/* RECORD with nothing counted, then with all that is stored. */
enum hub_result timeline_token_counted(struct hub_timeline *t, struct hub_span token, struct hub_span without, const struct hub_span *gone, size_t gone_count,
                                       struct hub_json **record, struct hub_error *err);
/* No entry of the token is known. */
bool timeline_token_empty(const struct hub_json *record);
/* Removes the record of a token that nothing names any more. */
enum hub_result timeline_token_prune(struct hub_timeline *t, struct hub_span token, struct hub_error *err);
int64_t timeline_json_number(const struct hub_json *object, const char *key);
bool timeline_good_id(struct hub_span id);
bool timeline_chartless(struct hub_span subject); /* a feed's: messages without patient */

/* --- restore.c --- */

/* Whether a restore was begun and not ended. */
enum hub_result timeline_restore_left(struct hub_timeline *t, bool *left, struct hub_error *err);
/* What restore holds back of one event goes to the pending changes. */
enum hub_result timeline_restore_settle(struct hub_timeline *t, struct hub_error *err);
void timeline_restore_forget(struct hub_timeline *t);

/* --- form.c --- */

/* Brings a store of an older form into the present one, and writes down which one it is. */
enum hub_result timeline_form(struct hub_timeline *t, struct hub_error *err);
