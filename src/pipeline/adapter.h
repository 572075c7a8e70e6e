/* What an adapter sees of the hub (DESIGN section 9): it hands in messages and gets verdicts. No keys, no
 * stores, no policy.
 *
 * A format is a const struct hub_format, a transport a const struct hub_transport, both with designated
 * initialisers; src/cli/registry.c lists them. */
#pragma once

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/problem.h"
#include "src/base/result.h"
#include "src/config/config.h"
#include "src/event/event.h"

/* The outcome of one message, what a reply is built from. */
struct hub_verdict {
    enum hub_result result;  /* HUB_OK: stored */
    struct hub_error error;  /* place, reason, when result is not OK */
    int64_t recorded_us;     /* of the first time, for a duplicate too */
    char message_id[33];     /* event id of patient 0: stable for the same bytes */
    bool duplicate;
};

/* --- formats --- */

/* CONTRACT. open: compiles what the feed needs (mapping tables with overlays, zone); problems to PROBLEMS,
 * NULL then. The context is immutable afterwards: decode and reply may run in any thread at once.
 * decode: BYTES stay the caller's and live as long as ARENA's content. Fills OUT as far as it got, also on
 * failure (reply_head, control_id, trigger); on failure the result and ERR say why and where. Never fails the
 * program, whatever the bytes. reply: builds the acknowledgement for HEAD (OUT->reply_head of the same
 * message) into OUT; an empty OUT means that none is due. Several answers, to be sent one after the other,
 * have HUB_ANSWER_SEPARATOR between them, a byte that no answer contains. Deterministic: same head and
 * verdict, same bytes. */
enum { HUB_ANSWER_SEPARATOR = 0x1c }; /* FS, which ends a frame of MLLP and so cannot be part of one */

/* JOIN (optional): a message that was sent in parts, which decode answers with HUB_CONTINUED and their pointers (only
 * with a feed's rules; `map` shows a part as it stands): the whole from the bytes of its parts, in order, in the
 * arena. */

/* INSPECT (optional): decode for a person, without feed rules (a lenient decode: merges and deletes that no
 * table implements are mapped as far as known). CONTEXT may come from open with FEED NULL, which is lenient by
 * itself; CONFIG then only needs schema_dir (and authorities, limits if wanted). OUT as decode's. *REPORT, a JSON object:
 *   "explain" (HUB_INSPECT_EXPLAIN): [{"event":0,"resource":2,"element":"Patient.name[0].family",
 *       "rule":"xpn-1-family","table":"XPN","from":"PID[1]-5[1].1.1"}], in order of resource and element;
 *       "from" is absent for constants; one element made of several values has one item for each
 *   "coverage" (HUB_INSPECT_COVERAGE): {"values":120,"mapped":97,"unmapped":[{"at":"PID[1]-19[1]","field":"PID-19"}]},
 *       in message order, a value being a leaf (subcomponent) that is not empty; with HUB_INSPECT_VALUES each
 *       item has "value" too
 * Positions are 1-based: SEGMENT[occurrence]-field[repetition].component.subcomponent, the last two only if the
 * field has several. On failure *REPORT is NULL. */
/* ENVELOPE, SPLIT and BUNDLE (optional, all or none): messages that were sent in one envelope (HL7 v2: FHS and
 * BHS). envelope: a glance at the first bytes; false: BYTES are one message. split: the messages as views into BYTES, limits.batch_messages at most (HUB_TOO_MANY); what belongs to no message is one of its own, so that decode
 * says what is wrong with it. Each has its own fate. bundle: the answer to the whole from ANSWERS, those of reply
 * for each message in order; WHOLE has an id of its own and the latest time of the messages. As in reply, an empty
 * OUT means that none is due, and the same answers make the same bytes. */
struct hub_parts {
    const struct hub_span *messages; /* with the plan in the arena of split */
    size_t count;
    const void *plan;       /* the format's own, for bundle */
    struct hub_error fault; /* HUB_OK, or the first thing wrong with the envelope: the messages are good all the same */
};

enum { HUB_INSPECT_EXPLAIN = 1, HUB_INSPECT_COVERAGE = 2, HUB_INSPECT_VALUES = 4 };

struct hub_format {
    const char *name;
    void (*check)(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems);
    void *(*open)(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems);
    void (*close)(void *context);
    /* Optional, for people: warnings about what is allowed and probably not meant in the feed's own tables. */
    void (*lint)(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems);
    enum hub_result (*decode)(void *context, struct hub_arena *arena, struct hub_span bytes, struct hub_decoded *out,
                              struct hub_error *err);
    enum hub_result (*inspect)(void *context, struct hub_arena *arena, struct hub_span bytes, unsigned flags,
                               struct hub_decoded *out, struct hub_json **report, struct hub_error *err);
    enum hub_result (*reply)(void *context, struct hub_span head, const struct hub_verdict *verdict, struct hub_buf *out);
    bool (*envelope)(struct hub_span bytes);
    enum hub_result (*split)(void *context, struct hub_arena *arena, struct hub_span bytes, struct hub_parts *out,
                             struct hub_error *err);
    enum hub_result (*bundle)(void *context, const struct hub_parts *parts, const struct hub_span *answers,
                              const struct hub_verdict *whole, struct hub_buf *out);
    enum hub_result (*join)(void *context, struct hub_arena *arena, const struct hub_span *parts, size_t count,
                            struct hub_span *out, struct hub_error *err);
};

/* --- transports --- */

struct hub_intake; /* one per worker thread, src/pipeline/intake.c */
struct hub_net_loop; /* src/net/net.h */

/* A message handed in. BYTES is copied. `reply` is called later in the worker's own thread, exactly once for
 * each accepted submit, unless the hub stops without an answer: with the bytes to send back (may be empty:
 * none is due; several answers as the format's reply gave them) or with result other than OK: send nothing
 * and close (the hub's own trouble). */
struct hub_delivery {
    const struct hub_feed *feed;
    const char *sender; /* matched allow entry, "" when the listener has none; copied */
    struct hub_span bytes;
    bool oversize; /* BYTES is only the beginning of a message past limits.message_bytes: rejected, HUB_TOO_LARGE */
    void (*reply)(void *connection, uint64_t ticket, enum hub_result result, struct hub_span bytes);
    void *connection; /* must stay valid until reply was called or hub_intake_forget */
    uint64_t ticket;
};
/* Worker thread only. HUB_BUSY: a queue or the in-flight budget is full; stop reading, the transport's
 * `resume` is called when there is room. */
enum hub_result hub_intake_submit(struct hub_intake *intake, const struct hub_delivery *delivery) HUB_MUST_USE;
/* The connection is gone: its replies are dropped (messages stay accepted). */
void hub_intake_forget(struct hub_intake *intake, void *connection);
/* Counts, by configured names only. */
void hub_intake_login_refused(struct hub_intake *intake, const struct hub_feed *feed, const char *peer_address, const char *reason);
/* BYTES more stood between the frames of a connection and were skipped; FIRST: this is said of it for the first time. */
void hub_intake_noise(struct hub_intake *intake, const struct hub_feed *feed, const char *peer_address, uint64_t bytes, bool first);
/* A frame too large, too slow or no frame at all: the connection is closed. REASON is a fixed text. */
void hub_intake_frame_refused(struct hub_intake *intake, const struct hub_feed *feed, const char *peer_address, const char *reason);
void hub_intake_connections(struct hub_intake *intake, const struct hub_feed *feed, int change);
/* The hub-wide count of connections is below limits.connections. */
bool hub_intake_admit(struct hub_intake *intake);

struct hub_transport {
    const char *name;
    void (*check)(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems);
    /* Starts listening for FEED in this worker's loop (all workers listen with SO_REUSEPORT). NULL with ERR. */
    void *(*start)(const struct hub_config *config, const struct hub_feed *feed, struct hub_net_loop *loop,
                   struct hub_intake *intake, struct hub_error *err);
    void (*resume)(void *instance); /* after HUB_BUSY */
    /* CONFIG and FEED replace those of start (same address; hub_config_keep); certificates and keys are read
     * anew. Open connections stay. On failure the old certificates stay, yet CONFIG and FEED count: the old
     * ones are gone after this call. */
    enum hub_result (*reload)(void *instance, const struct hub_config *config, const struct hub_feed *feed,
                              struct hub_error *err);
    void (*drain)(void *instance);  /* stop accepting and reading, answers still go out */
    bool (*idle)(void *instance);   /* drained: nothing more to send */
    void (*stop)(void *instance);   /* closes everything, frees */
};
