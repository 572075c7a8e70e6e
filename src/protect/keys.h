/* The key store and the tokens made with it (DESIGN section 4). The store is a folder outside the data
 * directory; everything in it is wrapped with the root key. Any thread; lookups of known secrets take a
 * striped lock for nanoseconds, nothing waits for the disk but hub_keys_sync. */
#pragma once

#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/result.h"
#include "src/base/span.h"
#include "src/crypto/crypto.h"
#include "src/policy/policy.h"

enum {
    HUB_TOKEN_LEN = 33,    /* version digit and 32 base32 characters; digit 1: of an identifier, 2: of one event
                              whose patient has no identifier that may link (unidentified), 3: of a feed, for
                              messages without patient (no chart) */
    HUB_EVENT_ID_LEN = 32, /* 160 bits in base32 */
    HUB_KEY_ID_LEN = 16,   /* 64 bits in hex */
    HUB_RESOURCE_ID_LEN = 32, /* 160 bits in base32 */
};
struct hub_token { char text[HUB_TOKEN_LEN + 1]; };
struct hub_event_id { char text[HUB_EVENT_ID_LEN + 1]; };
struct hub_key_id { char text[HUB_KEY_ID_LEN + 1]; };
struct hub_hash_token { char text[33]; }; /* fact, measure, location, list, control-id tokens: 160 bits in base32 */

struct hub_keys;

/* Opens or (CREATE) makes the store. ROOT_KEY is HUB_KEY_LEN bytes, copied into secret memory. Makes T, D, R,
 * M, the signing key and a first class key per class when absent, sealed to the roles' public keys. */
enum hub_result hub_keys_open(const char *folder, const uint8_t *root_key, const struct hub_roles *roles,
                              const struct hub_clock *clock, bool create, struct hub_keys **out, struct hub_error *err) HUB_MUST_USE;
void hub_keys_close(struct hub_keys *keys);

/* Pure functions of T, D, R, M. */
void hub_keys_patient_token(struct hub_keys *keys, struct hub_span system, struct hub_span value, struct hub_token *out);
/* For a message without identifier or patient: a subject from the event id or the feed id. */
enum hub_token_scope { HUB_TOKEN_OF_EVENT = 2, HUB_TOKEN_OF_FEED = 3 };
void hub_keys_scoped_token(struct hub_keys *keys, enum hub_token_scope scope, struct hub_span id, struct hub_token *out);
/* Parts: feed id, sender, message bytes; INDEX of the patient; REVISION 0 for the first mapping. */
void hub_keys_event_id(struct hub_keys *keys, struct hub_span feed_id, struct hub_span sender, struct hub_span message,
                       uint32_t index, uint32_t revision, struct hub_event_id *out);
void hub_keys_resource_id(struct hub_keys *keys, const struct hub_event_id *event, uint32_t ordinal, char out[HUB_RESOURCE_ID_LEN + 1]);
/* Key M over a label ("fact", "measure", "location", "list", "encounter", "control-id") and parts. */
void hub_keys_measure_token(struct hub_keys *keys, const char *label, const struct hub_span *parts, size_t count, struct hub_hash_token *out);
/* 8 characters that two tokens share exactly when they are of one authority. */
void hub_keys_authority_tag(struct hub_keys *keys, struct hub_span system, char out[9]);

/* The patient's current secret P. With CREATE it is made when absent (*created tells, may be NULL), a new one
 * after a shred too: what comes later is readable, what was is not. It is durable only after hub_keys_sync.
 * Without CREATE: HUB_NO_KEY: none; HUB_SHREDDED. SECRET: HUB_KEY_LEN bytes of the caller, to be wiped by it. */
enum hub_result hub_keys_patient(struct hub_keys *keys, const struct hub_token *subject, bool create, uint8_t *secret,
                                 struct hub_key_id *id, bool *created, struct hub_error *err) HUB_MUST_USE;
/* A secret of its own, for an event without patient or a dead letter; durable and found after hub_keys_sync. */
enum hub_result hub_keys_one_off(struct hub_keys *keys, uint8_t *secret, struct hub_key_id *id) HUB_MUST_USE;
/* For readers (the key service): the secret ID names in a `seal`, of that subject or a one-off one.
 * HUB_NO_KEY, HUB_SHREDDED. */
enum hub_result hub_keys_secret(struct hub_keys *keys, const struct hub_key_id *id, const struct hub_token *subject,
                                uint8_t *secret, struct hub_error *err) HUB_MUST_USE;
/* Deletes the subject's secret for good and leaves a signed record of it (a line of hub_keys_each_record). BY: who
 * asked, as the audit log has it. Durable on return, and no file of the store holds the wrapped secret any more.
 * A message that a worker is sealing at this moment counts as the past. HUB_NO_KEY: there is none; HUB_SHREDDED:
 * none, for it was shredded before. */
enum hub_result hub_keys_shred(struct hub_keys *keys, const struct hub_token *subject, const char *by, struct hub_key_id *id, struct hub_error *err) HUB_MUST_USE;
/* The `shredded` records of SUBJECT, as JSON lines, oldest id first. */
enum hub_result hub_keys_each_shredded(struct hub_keys *keys, const struct hub_token *subject,
                                       bool (*callback)(void *ctx, const struct hub_key_id *id, struct hub_span json_line), void *ctx) HUB_MUST_USE;

/* --- class keys and their epochs --- */

/* When an epoch ends by itself; 0: never. DATES lives as long as the store. */
struct hub_keys_limits {
    uint64_t fields, bytes; /* ciphertexts, and bytes in them, under one key */
    uint32_t days;
    const int64_t *dates_us; /* UTC */
    size_t date_count;
};
/* Before other threads use the store. */
void hub_keys_limit(struct hub_keys *keys, const struct hub_keys_limits *limits);
/* The current class key: copied into KEY (HUB_KEY_LEN bytes, wiped by the caller). Where its epoch is over a new one is
 * made first; it is durable after hub_keys_sync, as patients' secrets are. */
enum hub_result hub_keys_class_current(struct hub_keys *keys, enum hub_data_class class_, uint8_t *key, struct hub_key_id *id, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_keys_class_by_id(struct hub_keys *keys, const struct hub_key_id *id, uint8_t *key, enum hub_data_class *class_, struct hub_error *err) HUB_MUST_USE;
/* Counts what was sealed under the class key ID. */
void hub_keys_class_used(struct hub_keys *keys, enum hub_data_class class_, const struct hub_key_id *id, uint64_t fields, uint64_t bytes);
/* Ends the class's epoch. Durable on return. */
enum hub_result hub_keys_rotate(struct hub_keys *keys, enum hub_data_class class_, const char *by, struct hub_key_id *id, struct hub_error *err) HUB_MUST_USE;
struct hub_keys_class { /* one class key, for `keys list` */
    struct hub_key_id id;
    enum hub_data_class class_;
    uint32_t epoch;
    bool current;
    int64_t created_us;
    uint64_t fields, bytes; /* at most; after a kill the count starts a little higher */
};
/* Newest first. */
void hub_keys_each_class(struct hub_keys *keys, void (*callback)(void *ctx, const struct hub_keys_class *key), void *ctx);

/* --- roles --- */

/* Brings the keys up to what ROLES say now: a role that is newly allowed a class gets all its keys, one that is no
 * longer allowed it, or has another public key, ends the class's epoch. Durable on return. */
enum hub_result hub_keys_access(struct hub_keys *keys, const struct hub_roles *roles, const char *by, struct hub_error *err) HUB_MUST_USE;
/* ROLE gets no further key, whatever the access policy says, until it is granted again; the epochs of all its classes
 * end. What was sealed before stays readable to whoever kept the role's key. HUB_NOT_FOUND: no such role;
 * HUB_EXISTS: it is revoked already. Durable on return. */
enum hub_result hub_keys_revoke(struct hub_keys *keys, const char *role, const char *by, struct hub_error *err) HUB_MUST_USE;
/* Takes ROLES as hub_keys_access does and gives ROLE, revoked or not, the keys of all its classes. */
enum hub_result hub_keys_grant(struct hub_keys *keys, const struct hub_roles *roles, const char *role, const char *by, struct hub_error *err) HUB_MUST_USE;
bool hub_keys_revoked(struct hub_keys *keys, const char *role);

/* True when something was created since the last sync. */
bool hub_keys_dirty(struct hub_keys *keys);
/* Called by the committer before it makes events durable. */
enum hub_result hub_keys_sync(struct hub_keys *keys, struct hub_error *err) HUB_MUST_USE;

/* The hub's Ed25519 key: signs key records, identity facts and audit checkpoints. */
const uint8_t *hub_keys_sign_public(const struct hub_keys *keys);
void hub_keys_sign(struct hub_keys *keys, struct hub_span bytes, uint8_t out[HUB_SIGNATURE_LEN]);

/* Key records (public: sealed to roles, signed) and shred records, as one JSON line each: what chartline.keys will carry.
 * CALLBACK returns false to stop. Other than HUB_OK: the store could not be read, the callback did not see all. */
enum hub_result hub_keys_each_record(struct hub_keys *keys, bool (*callback)(void *ctx, struct hub_span json_line), void *ctx);
/* True when records (hub_keys_each_record) were made since the last call; they are all there after hub_keys_sync. */
bool hub_keys_take_news(struct hub_keys *keys);
/* Counts for `keys list`. */
enum hub_result hub_keys_patient_count(struct hub_keys *keys, size_t *count, struct hub_error *err) HUB_MUST_USE;

/* Role key files (docs/FORMATS.md): keys/roles/NAME.pub and NAME.key. */
struct hub_role_key {
    uint8_t public_key[HUB_BOX_PUBLIC_LEN];
    uint8_t secret_key[HUB_BOX_SECRET_LEN];
};
enum hub_result hub_role_key_create(const char *pub_path, const char *key_path, const char *role, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_role_public_load(const char *pub_path, uint8_t public_key[HUB_BOX_PUBLIC_LEN], struct hub_error *err) HUB_MUST_USE;
/* Into secret memory; free with hub_secret_free. */
enum hub_result hub_role_key_load(const char *key_path, struct hub_role_key **out, struct hub_error *err) HUB_MUST_USE;
/* From a key record's JSON line: the class key that this role may open. HUB_DENIED when it is not sealed to the role;
 * HUB_NOT_FOUND for a record of another kind. */
enum hub_result hub_role_open_class(const struct hub_role_key *role, const uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], struct hub_span json_line,
                                    struct hub_key_id *id, enum hub_data_class *class_, uint8_t *key, struct hub_error *err) HUB_MUST_USE;
