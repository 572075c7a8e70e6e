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

struct hub_class_key {
    struct hub_key_id id;
    enum hub_data_class class_;
    uint32_t epoch;
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
    /* class keys: fixed once opened */
    struct hub_class_key *classes;
    uint8_t (*class_secrets)[HUB_KEY_LEN];
    size_t class_count, class_cap;
    size_t current[HUB_DATA_CLASSES];
    size_t created_from; /* class keys from here on were made now and are not yet told */
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

/* keys_class.c: loads the class keys, makes what is missing and grants them to the roles. */
enum hub_result hub_keys_classes_open(struct hub_keys *keys, const struct hub_roles *roles,
                                      struct hub_error *err) HUB_MUST_USE;

/* keys_record.c: one role that a key is sealed to. */
struct hub_grant {
    const char *role;
    uint8_t public_key[HUB_BOX_PUBLIC_LEN];
};
/* The signed JSON line of a class key, sealed to GRANTS. */
enum hub_result hub_key_record_build(const struct hub_keys *keys, struct hub_arena *arena,
                                     const struct hub_class_key *key, const uint8_t *secret,
                                     const struct hub_grant *grants, size_t grant_count,
                                     struct hub_span *line, struct hub_error *err) HUB_MUST_USE;
/* Parses LINE and checks the signature against SIGN_PUBLIC. */
enum hub_result hub_key_record_parse(struct hub_arena *arena, struct hub_span line,
                                     const uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], struct hub_json **record,
                                     struct hub_error *err) HUB_MUST_USE;
/* Signs OBJECT (canonical form behind the label) and adds "signer" and "signature". */
enum hub_result hub_key_record_sign(const struct hub_keys *keys, struct hub_arena *arena,
                                    struct hub_json *object, struct hub_span *line,
                                    struct hub_error *err) HUB_MUST_USE;

/* keys_patient.c: the cache lets go of a shredded secret. */
void hub_keys_patient_forget(struct hub_keys *keys, const struct hub_token *subject);
void hub_keys_patients_close(struct hub_keys *keys);
