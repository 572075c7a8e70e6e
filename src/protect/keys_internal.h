/* What the files of the key store share. Private to src/protect. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "src/codec/json.h"
#include "src/protect/keys.h"
#include "src/protect/lp.h"
#include "src/store/kv.h"

enum hub_keys_family { HUB_KEYS_KEYS, HUB_KEYS_PATIENTS, HUB_KEYS_ONE_OFF, HUB_KEYS_SHREDDED };

enum { HUB_KEY_ID_BYTES = 8, HUB_KEYS_STRIPES = 256, HUB_WRAP_OVERHEAD = 1 + HUB_XNONCE_LEN + HUB_TAG_LEN };

/* The long-lived keys, in secret memory. */
struct hub_keys_secrets {
    uint8_t wrap[HUB_KEY_LEN]; /* derived from the root key; wraps every record */
    uint8_t t[HUB_KEY_LEN];    /* patient tokens */
    uint8_t d[HUB_KEY_LEN];    /* event ids */
    uint8_t r[HUB_KEY_LEN];    /* resource ids */
    uint8_t m[HUB_KEY_LEN];    /* facts, measures */
    uint8_t sign[HUB_SIGN_SECRET_LEN];
};

/* One class key. All but the counts is fixed once it is in the list. */
struct hub_class_key {
    struct hub_key_id id;
    enum hub_data_class class_;
    uint32_t epoch;
    int64_t created_us;
    const uint8_t *secret; /* secret memory */
    atomic_uint_fast64_t fields, bytes;           /* sealed under it */
    atomic_uint_fast64_t fields_kept, bytes_kept; /* what the store says, always as much: written ahead */
    struct hub_class_key *next;                   /* made before */
};

enum { HUB_ROLE_NAME_CAP = 48, HUB_SLAB_KEYS = 64 };

/* Secret memory comes in pages: many keys in one piece. */
struct hub_secret_slab {
    uint8_t (*keys)[HUB_KEY_LEN];
    size_t used;
    struct hub_secret_slab *next;
};

/* Whom keys are sealed to. */
struct hub_role_grant {
    char name[HUB_ROLE_NAME_CAP];
    uint8_t public_key[HUB_BOX_PUBLIC_LEN];
    bool classes[HUB_DATA_CLASSES];
    bool revoked;
};
struct hub_role_grants {
    struct hub_role_grant *items;
    size_t count;
};

/* Known patient secrets. Entries whose record is not durable yet are not evicted. */
struct hub_keys_entry {
    char token[HUB_TOKEN_LEN];
    uint8_t id[HUB_KEY_ID_BYTES];
    bool referenced; /* since the clock's hand last passed */
    uint32_t next;   /* in its bucket, index + 1, 0 = end */
    uint64_t generation;
};
struct hub_keys_stripe {
    pthread_mutex_t lock;
    struct hub_keys_entry *entries;
    uint8_t (*secrets)[HUB_KEY_LEN]; /* of the same index, secret memory */
    uint32_t *buckets;               /* as many as cap */
    uint32_t count, cap, hand;
};

struct hub_keys {
    struct hub_kv *kv;
    const struct hub_clock *clock;
    struct hub_keys_secrets *secrets;
    uint8_t sign_public[HUB_SIGN_PUBLIC_LEN];
    /* class keys: the list only grows, so that readers take no lock */
    _Atomic(struct hub_class_key *) classes;
    _Atomic(struct hub_class_key *) current[HUB_DATA_CLASSES];
    pthread_mutex_t class_lock; /* who makes keys or counts ahead; before a stripe's and the sync lock */
    struct hub_secret_slab *slabs;
    size_t class_count;
    struct hub_role_grants grants;
    struct hub_keys_limits limits;
    atomic_bool news;
    /* patient secrets */
    struct hub_keys_stripe stripes[HUB_KEYS_STRIPES];
    pthread_mutex_t pending_lock; /* pending, generation, failed; taken after a stripe's lock */
    pthread_mutex_t sync_lock;    /* one sync at a time; taken first */
    struct hub_kv_batch *pending, *writing;
    uint64_t generation;
    atomic_uint_fast64_t synced; /* generations up to this one are durable */
    atomic_bool dirty;
    bool failed;
};

/* keys_wrap.c: records of the store, wrapped with the root key and bound to their kind and name. OUT has
 * plain.len + HUB_WRAP_OVERHEAD bytes. */
void hub_keys_wrap(const struct hub_keys *keys, const char *kind, struct hub_span name, struct hub_span plain,
                   uint8_t *out);
/* PLAIN has exactly LEN bytes. HUB_CORRUPT when the record is not of that kind, name and length or was
 * changed. */
enum hub_result hub_keys_unwrap(const struct hub_keys *keys, const char *kind, struct hub_span name,
                                struct hub_span record, uint8_t *plain, size_t len,
                                struct hub_error *err) HUB_MUST_USE;
void hub_keys_put(struct hub_keys *keys, struct hub_kv_batch *batch, enum hub_keys_family family,
                  const char *kind, struct hub_span name, struct hub_span plain);
/* HUB_NOT_FOUND when there is none. */
enum hub_result hub_keys_get(struct hub_keys *keys, enum hub_keys_family family, const char *kind,
                             struct hub_span name, uint8_t *plain, size_t len,
                             struct hub_error *err) HUB_MUST_USE;
void hub_key_id_text(const uint8_t bytes[HUB_KEY_ID_BYTES], struct hub_key_id *out);
bool hub_key_id_bytes(const struct hub_key_id *id, uint8_t out[HUB_KEY_ID_BYTES]);

/* Into the batch of the next sync. */
void hub_keys_later(struct hub_keys *keys, enum hub_keys_family family, const char *kind, struct hub_span name,
                    struct hub_span plain);
/* The same for a record that is public: news for hub_keys_take_news. */
void hub_keys_publish(struct hub_keys *keys, enum hub_keys_family family, struct hub_span name,
                      struct hub_span line);

/* keys_shred.c: finishes what a crash interrupted. */
enum hub_result hub_keys_erase_left_over(struct hub_keys *keys, struct hub_error *err) HUB_MUST_USE;

/* keys_class.c: loads the class keys. */
enum hub_result hub_keys_classes_load(struct hub_keys *keys, struct hub_error *err) HUB_MUST_USE;
void hub_keys_classes_close(struct hub_keys *keys);
/* A new epoch of the class, current at once, sealed to the grants. The class lock is held. */
enum hub_result hub_keys_class_make(struct hub_keys *keys, enum hub_data_class class_, const char *cause,
                                    const char *by, struct hub_error *err) HUB_MUST_USE;
/* A further record of KEY, the NUMBERth, sealed to GRANTS. */
enum hub_result hub_keys_class_publish(struct hub_keys *keys, const struct hub_class_key *key, unsigned number,
                                       const char *cause, const char *by,
                                       const struct hub_role_grant *const *grants, size_t count,
                                       struct hub_error *err) HUB_MUST_USE;

/* keys_role.c: takes ROLES (NULL: nobody opens anything), makes what is missing, grants it. */
enum hub_result hub_keys_roles_open(struct hub_keys *keys, const struct hub_roles *roles,
                                    struct hub_error *err) HUB_MUST_USE;
void hub_keys_roles_close(struct hub_keys *keys);
/* Those that may open CLASS now; OUT has keys->grants.count places. */
size_t hub_keys_granted(const struct hub_keys *keys, enum hub_data_class class_, const struct hub_role_grant **out);

/* keys_record.c: the signed JSON line of a class key, sealed to GRANTS. CAUSE and BY may be NULL. */
enum hub_result hub_key_record_build(const struct hub_keys *keys, struct hub_arena *arena,
                                     const struct hub_class_key *key, const char *cause, const char *by,
                                     const struct hub_role_grant *const *grants, size_t grant_count,
                                     struct hub_span *line, struct hub_error *err) HUB_MUST_USE;
/* Of another kind: MEMBER and VALUE beside kind, created and by. */
struct hub_record_text {
    const char *member;
    struct hub_span value;
};
enum hub_result hub_key_record_text(const struct hub_keys *keys, struct hub_arena *arena, const char *kind,
                                    const char *by, const struct hub_record_text *texts, size_t count,
                                    struct hub_span *line, struct hub_error *err) HUB_MUST_USE;
/* Parses LINE and checks the signature against SIGN_PUBLIC. */
enum hub_result hub_key_record_parse(struct hub_arena *arena, struct hub_span line,
                                     const uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], struct hub_json **record,
                                     struct hub_error *err) HUB_MUST_USE;
/* Signs OBJECT (canonical form behind the label) and adds "signer" and "signature". */
enum hub_result hub_key_record_sign(const struct hub_keys *keys, struct hub_arena *arena,
                                    struct hub_json *object, struct hub_span *line,
                                    struct hub_error *err) HUB_MUST_USE;

/* keys_patient.c: calls WORK while nobody can get, make or cache the subject's secret; when it answers HUB_OK the
 * cache lets go of it. */
enum hub_result hub_keys_patient_alone(struct hub_keys *keys, const struct hub_token *subject,
                                       enum hub_result (*work)(void *ctx, struct hub_error *err), void *ctx,
                                       struct hub_error *err) HUB_MUST_USE;
void hub_keys_patients_close(struct hub_keys *keys);
