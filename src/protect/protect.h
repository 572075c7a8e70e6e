/* Sealing a patient event and opening it again (DESIGN sections 3 and 4). Nothing leaves a worker unsealed:
 * this is the only way from struct hub_event to bytes. Any thread, one arena a call. */
#pragma once

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/event/event.h"
#include "src/policy/policy.h"
#include "src/protect/keys.h"

/* A stored message mapped anew (docs/FORMATS.md, "Revisions"). */
struct hub_revision {
    int64_t recorded_us; /* of the message's first event in revision 0: what is ordered by it keeps its place */
    const struct hub_prior { /* an event of the revision before */
        struct hub_span id, subject;
        struct hub_span supersedes; /* its own list, "" in revision 0 */
    } *priors;
    size_t prior_count;
    const struct hub_token *withdrawn; /* not NULL: this subject has no event in the new revision; the event made says only that */
};

/* Where a message came from. */
struct hub_origin {
    struct hub_span feed_id;   /* permanent id */
    struct hub_span feed_name; /* goes into `source` */
    struct hub_span sender;    /* matched allow entry, "" on a listener without */
    struct hub_span message;   /* all bytes */
    struct hub_span mapping;   /* which rules mapped it, goes into `mapping`; "": not said */
    uint32_t revision;         /* 0: the first mapping */
    const struct hub_revision *revised; /* not NULL exactly where REVISION is not 0 and the event is sealed */
};

/* The FHIR Bundle of an event without keys, for `map`: ids from the message, the same in every run, no entry
 * extensions. RAW adds the Binary. EVENT's trees get ids and reference texts and become part of the Bundle. */
enum hub_result hub_protect_plain_bundle(struct hub_arena *arena, struct hub_event *event, const struct hub_origin *origin,
                                         uint32_t index, bool raw, struct hub_json **out, struct hub_error *err) HUB_MUST_USE;

/* A sealed event, ready for the committer. JSON is the CloudEvent in canonical form with RECORDEDTIME_AT pointing at
 * HUB_TIME_TEXT_LEN bytes that the committer overwrites; PREFIX is the SHA-256 state over the bytes before. */
struct hub_sealed {
    struct hub_event_id id;
    struct hub_token subject;
    size_t recorded_at;
    struct hub_sha256 prefix;
    bool new_secret; /* the subject's secret was created for this event */
    struct hub_key_id secret_id;
};
/* Appends to JSON; on failure JSON is as it was. EVENT's trees are taken apart: it cannot be sealed twice. The subject
 * is the token of the first identifier that is no placeholder; without one it is the event's own, without patient the
 * feed's. A new secret is durable only after hub_keys_sync. HUB_TYPE: control characters in an identifier. */
enum hub_result hub_protect_seal(struct hub_keys *keys, const struct hub_policy *policy, struct hub_arena *arena,
                                 struct hub_event *event, const struct hub_decoded *message, const struct hub_origin *origin,
                                 uint32_t index, int64_t received_us, struct hub_buf *json, struct hub_sealed *out, struct hub_error *err) HUB_MUST_USE;

/* What hub_protect_seal would seal, in the clear and without side effects, to compare: {"attributes":{"identity",
 * "messagetime","subject","time","timesource","tokens","trigger"},"resources":[..]} without the original message. EVENT's
 * trees become part of it. Of one message and one set of rules always the same; ids are those of ORIGIN's revision. */
enum hub_result hub_protect_clear(struct hub_keys *keys, const struct hub_policy *policy, struct hub_arena *arena, struct hub_event *event,
                                  const struct hub_decoded *message, const struct hub_origin *origin, uint32_t index,
                                  int64_t received_us, struct hub_json **out, struct hub_error *err) HUB_MUST_USE;
/* The same of a CloudEvent that hub_protect_open_event opened whole; its trees go over to OUT, RAW is left out. */
enum hub_result hub_protect_clear_stored(struct hub_arena *arena, struct hub_json *event, struct hub_json **out, struct hub_error *err) HUB_MUST_USE;
/* The original message from all its opened events, in the arena: pieces of several patients are put together. Only the
 * event id tells whether all of them were there. HUB_CORRUPT: no original, or pieces that do not fit. */
enum hub_result hub_protect_original(struct hub_arena *arena, struct hub_json *const *events, size_t count, struct hub_span *out,
                                     struct hub_error *err) HUB_MUST_USE;

/* A rejected message's original bytes, sealed under class raw with a one-off secret, in the policy's suite; JSON
 * document of docs/FORMATS.md "dead letter". */
enum hub_result hub_protect_dead_letter(struct hub_keys *keys, const struct hub_policy *policy, struct hub_arena *arena, const struct hub_event_id *id,
                                        struct hub_span original, const char *trigger, const struct hub_origin *origin,
                                        const struct hub_error *why, struct hub_buf *json, struct hub_error *err) HUB_MUST_USE;

/* What a reader holds: class keys it could open and patient secrets it was given. */
struct hub_opener {
    /* Both return HUB_NO_KEY / HUB_DENIED / HUB_SHREDDED when the reader has none. Keys go to caller's memory. */
    enum hub_result (*class_key)(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN]);
    enum hub_result (*patient_secret)(void *ctx, const struct hub_key_id *id, const struct hub_token *subject, uint8_t secret[HUB_KEY_LEN]);
    void *ctx;
};
/* Opens what OPENER can in one resource (of an event or of a timeline record) in place; the rest stays masked.
 * SEAL is the event's `seal` text. HUB_CRYPTO with the place when a ciphertext, the clear remainder or a key
 * commitment was tampered with; the resource is then good for nothing. *masked counts ciphertexts left. */
enum hub_result hub_protect_open_resource(struct hub_arena *arena, struct hub_json *resource, struct hub_span event_id,
                                          struct hub_span subject, struct hub_span seal, const struct hub_opener *opener,
                                          size_t *masked, struct hub_error *err) HUB_MUST_USE;
/* The secret's id in a `seal`; empty when it has none. */
struct hub_span hub_protect_seal_secret(struct hub_span seal);
/* A whole CloudEvent: every resource of data.entry. */
enum hub_result hub_protect_open_event(struct hub_arena *arena, struct hub_json *event, const struct hub_opener *opener,
                                       size_t *masked, struct hub_error *err) HUB_MUST_USE;
/* The dead letter's original bytes (in the arena). */
enum hub_result hub_protect_open_dead_letter(struct hub_arena *arena, const struct hub_json *letter, const struct hub_opener *opener,
                                             struct hub_span *original, struct hub_error *err) HUB_MUST_USE;
