/* Messages and dead letters read back from their records in the event log, as answers show them: what
 * `message find`, `message show` and the lists of dead letters share. Nothing is opened: it shows what is in
 * the clear. Noting the read in the audit log before it is answered is the caller's. A request's thread;
 * everything lives in the request's arena. */
#pragma once

#include "src/pipeline/session.h"
#include "src/pipeline/stored.h"

struct hub_found {
    uint64_t number;
    struct hub_record_view record;
    struct hub_dedup dedup;
    struct hub_json *message; /* the answer's object; NULL: the record is no message */
    struct hub_json *events;  /* its lists */
    struct hub_json *subjects;
    struct hub_json *dead_letter; /* NULL: none */
    struct hub_span newest;       /* record of its newest revision, until the next one is read; empty: none */
    bool matches;
    bool superseded; /* the same letter stands in a newer record */
};

struct hub_finder {
    struct hub_request *request;
    struct hub_log_reader *reader;
    struct hub_log_reader *newest; /* of revisions */
    const struct hub_span *wanted; /* tokens; none: any */
    size_t wanted_count;
    struct hub_span feed;
    int64_t since_us, until_us;
    bool open_only; /* of dead letters: those that nobody resolved */
    enum hub_result result;
    struct hub_error *err;
};

/* Everything matches until the caller narrows it (wanted, feed, since_us, until_us). Closed even after a
 * failure. */
enum hub_result hub_finder_open(struct hub_request *request, struct hub_finder *finder,
                                struct hub_error *err) HUB_MUST_USE;
void hub_finder_close(struct hub_finder *finder);

/* Of records that are no message, OUT->message stays NULL. PAYLOAD: as the finder's reader gave it. */
enum hub_result hub_finder_parse(struct hub_finder *finder, uint64_t number, struct hub_span payload,
                                 struct hub_found *out) HUB_MUST_USE;
/* The record of that number; the message of that id (its first record, or the revision that stands for it);
 * the dead letter of that id, whatever became of its message. PAYLOAD is valid until the finder reads again.
 * HUB_NOT_FOUND. */
enum hub_result hub_finder_record(struct hub_finder *finder, uint64_t record, struct hub_found *out,
                                  struct hub_span *payload) HUB_MUST_USE;
enum hub_result hub_finder_message(struct hub_finder *finder, struct hub_span message_id,
                                   struct hub_found *out, struct hub_span *payload) HUB_MUST_USE;
enum hub_result hub_finder_letter(struct hub_finder *finder, struct hub_span message_id,
                                  struct hub_found *out, struct hub_span *payload) HUB_MUST_USE;
/* A revision's record, through a reader of its own: what the finder read stays valid. */
enum hub_result hub_finder_revision(struct hub_finder *finder, uint64_t record, struct hub_stored *out,
                                    struct hub_span *payload) HUB_MUST_USE;
/* Its record was retired. */
bool hub_finder_retired(const struct hub_finder *finder, uint64_t record);
/* What the index still knows of a message whose record is gone, and when and by which rule it went. */
enum hub_result hub_found_retired(struct hub_finder *finder, struct hub_span id,
                                  const struct hub_index_message *index, struct hub_json **out) HUB_MUST_USE;
/* HUB_NOT_FOUND, said. */
enum hub_result hub_found_nothing(struct hub_error *err);

/* A member of an answer; TEXT is copied. */
enum hub_result hub_found_set_text(struct hub_arena *arena, struct hub_json *object, const char *name,
                                   struct hub_span text) HUB_MUST_USE;
enum hub_result hub_found_set_time(struct hub_arena *arena, struct hub_json *object, const char *name,
                                   int64_t us) HUB_MUST_USE;
