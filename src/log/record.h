/* What a log record holds: one message (its events, audit entries, dedup data) or one administrative fact.
 * A record is a sequence of sections; unknown section kinds are skipped by readers. docs/FORMATS.md. */
#pragma once

#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum hub_record_kind {
    HUB_RECORD_MESSAGE = 1,  /* accepted: events, audit, dedup */
    HUB_RECORD_REJECTED = 2, /* dead letter (first time), audit */
    HUB_RECORD_REPEATED = 3, /* a dead letter came again: its event id, audit */
    HUB_RECORD_AUDIT = 4,    /* audit entries alone: reads, keys, configuration, start and stop */
    HUB_RECORD_KEY = 5,      /* a key record for readers, audit */
    HUB_RECORD_STATE = 6,    /* what an operator decided: state, audit */
    HUB_RECORD_CARRIED = 7,  /* an open dead letter whose first record is about to be retired: dedup, dead letter */
    HUB_RECORD_REVISED = 8,  /* an accepted message mapped anew: events, audit, dedup with the number of the revision */
    HUB_RECORD_LAST = HUB_RECORD_REVISED,
};

enum hub_section_kind {
    HUB_SECTION_EVENT = 1,       /* CloudEvent JSON */
    HUB_SECTION_AUDIT = 2,       /* audit entry JSON, in order: entry indices follow log order */
    HUB_SECTION_DEDUP = 3,       /* message id (event id of index 0), control token, answer code */
    HUB_SECTION_DEAD_LETTER = 4, /* dead letter JSON */
    HUB_SECTION_KEY = 5,         /* key record JSON */
    HUB_SECTION_STATE = 6,       /* text: what, its id, its state from now on (hub_record_add_state) */
    HUB_SECTION_EVENT_HASH = 7,  /* SHA-256 of the event section that comes next, 32 bytes */
    HUB_SECTION_LAST = HUB_SECTION_EVENT_HASH
};

struct hub_dedup {
    char message_id[33];    /* event id of patient 0 */
    char control_token[33]; /* keyed hash of sender and MSH-10, "" when there is none */
    char answer[3];         /* "AA", "AE", "AR" */
    uint32_t count;         /* 1, or the number of repeats so far; REVISED: the revision */
};

/* Starts a record payload in OUT: version, kind, recorded time (microseconds), feed name. */
void hub_record_begin(struct hub_buf *out, enum hub_record_kind kind, int64_t recorded_us, const char *feed);
void hub_record_add(struct hub_buf *out, enum hub_section_kind kind, struct hub_span bytes);
void hub_record_add_dedup(struct hub_buf *out, const struct hub_dedup *dedup);

/* "feed ID paused", "feed ID listening", "deadletter ID resolved", "part ID MESSAGE-ID" (the last part of a
 * message that came in parts, by the id of its own bytes, and the message they made); texts without spaces. */
void hub_record_add_state(struct hub_buf *out, const char *what, const char *id, const char *state);

struct hub_record_view { /* borrowed from the payload */
    enum hub_record_kind kind;
    int64_t recorded_us;
    struct hub_span feed;
    struct hub_span sections; /* undecoded rest */
};
enum hub_result hub_record_parse(struct hub_span payload, struct hub_record_view *out) HUB_MUST_USE;
/* HUB_END at the end, HUB_CORRUPT when lengths do not fit. */
enum hub_result hub_record_next(struct hub_record_view *view, enum hub_section_kind *kind, struct hub_span *bytes) HUB_MUST_USE;
struct hub_record_state { /* borrowed from the section */
    struct hub_span what, id, state;
};
enum hub_result hub_record_state(struct hub_span section, struct hub_record_state *out) HUB_MUST_USE;
enum hub_result hub_record_dedup(struct hub_span section, struct hub_dedup *out) HUB_MUST_USE;
