/* Sealing a patient event and opening it again (DESIGN sections 3 and 4). Nothing leaves a worker unsealed:
 * this is the only way from struct hub_event to bytes. Any thread, one arena a call. */
#pragma once

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/event/event.h"
#include "src/policy/policy.h"
#include "src/protect/keys.h"

/* Where a message came from. */
struct hub_origin {
    struct hub_span feed_id;   /* permanent id */
    struct hub_span feed_name; /* goes into `source` */
    struct hub_span sender;    /* matched allow entry, "" on a listener without */
    struct hub_span message;   /* all bytes */
    uint32_t revision;
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
/* A whole CloudEvent: every resource of data.entry. */
enum hub_result hub_protect_open_event(struct hub_arena *arena, struct hub_json *event, const struct hub_opener *opener,
                                       size_t *masked, struct hub_error *err) HUB_MUST_USE;
/* The dead letter's original bytes (in the arena). */
enum hub_result hub_protect_open_dead_letter(struct hub_arena *arena, const struct hub_json *letter, const struct hub_opener *opener,
                                             struct hub_span *original, struct hub_error *err) HUB_MUST_USE;
