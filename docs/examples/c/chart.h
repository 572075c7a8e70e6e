/* A chart from Kafka in C: what the parts of the example share. Every failure to verify ends the program (`refuse`); an
 * application would give the error to its caller, and show nothing of what could not be verified either. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yyjson.h>

/* --- json.c: texts and canonical JSON --- */

_Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t bytes); /* zeroed, or the program ends */

struct text { /* grows; free(bytes) ends it */
    char *bytes;
    size_t len, cap;
};
void text_add(struct text *text, const void *bytes, size_t len);
void text_words(struct text *text, const char *words);
/* NODE in canonical form: members sorted, no white space, numbers as they were written. */
void text_json(struct text *text, yyjson_mut_val *node);

/* Numbers stay texts. Behind the 5 bytes of a schema registry, if they are there. Refuses what is no JSON. */
yyjson_doc *json_read(const char *bytes, size_t len);
const char *json_string(yyjson_val *object, const char *name); /* "" when it is no string or not there */
long json_number(yyjson_val *object, const char *name);        /* 0 when it is not there */

/* --- sealed.c: keys, and opening with them --- */

struct keys; /* what a role holds */

struct keys *keys_new(const char *role_key_file);
void keys_trust(struct keys *keys, const char *signer); /* key records of this hub (Ed25519, base64) count */
void keys_add_record(struct keys *keys, yyjson_val *record);
void keys_add_secret(struct keys *keys, const char *id, const char *base64);
void keys_add_shredded(struct keys *keys, const char *id);
bool keys_knows_class_key(const struct keys *keys, const char *id); /* its record came, whomever it is sealed to */
bool keys_has_secret(const struct keys *keys, const char *id);      /* or knows that it is gone */
bool keys_is_shredded(const struct keys *keys, const char *id);
/* crypto_box_seal_open with the role's key; OUT has room for the plain bytes. */
void keys_open_box(const struct keys *keys, const char *base64, uint8_t *out, size_t out_len);

enum { SEAL_CLASSES = 7, ID_LEN = 16 };

struct seal {
    int suite;
    uint8_t salt[16];
    char secret_id[ID_LEN + 1];
    struct {
        char key_id[ID_LEN + 1]; /* empty: the seal does not list the class */
        uint8_t commitment[32];
    } classes[SEAL_CLASSES]; /* by class byte */
};
void seal_read(const char *text, struct seal *out);

/* The resource of an entry record, opened as far as KEYS go; it belongs to DOC. */
yyjson_mut_val *open_resource(const struct keys *keys, yyjson_val *record, yyjson_mut_doc *doc);

/* --- hub.c: the key service on the hub's control socket --- */

struct hub;

struct hub *hub_open(const char *socket_path, const char *role, const struct keys *keys, const char *purpose);
/* Takes the hub's signing key as trusted. */
void hub_trust(struct hub *hub, struct keys *keys);
/* Tokens of the chart of PATIENT, its own first: of SYSTEM|VALUE the hub says them, audited; a token is one already. */
size_t hub_tokens(struct hub *hub, const char *patient, char ***tokens);
/* Asks for the secrets with these ids of these tokens; the hub logs it before it answers. */
void hub_secrets(struct hub *hub, struct keys *keys, char **tokens, size_t token_count, char **ids, size_t id_count);

/* --- topic.c: Kafka --- */

struct topic;
typedef void (*take_record)(void *ctx, const char *key, size_t key_len, const char *value, size_t value_len); /* value NULL: a tombstone */

struct topic *topic_open(const char *settings_file, const char *prefix, const char *name);
int topic_partition(const struct topic *topic, const char *subject);
/* Reads these partitions from their beginning to the end there is now. */
void topic_read(struct topic *topic, const int *partitions, size_t count, take_record take, void *ctx);
/* The next record, if one comes within TIMEOUT_MS. */
bool topic_poll(struct topic *topic, int timeout_ms, take_record take, void *ctx);

/* --- rules.c: from versions to what is shown --- */

struct shown {
    const char *id;
    yyjson_mut_val *entry; /* {"id","kind","effective",...,"resource"} */
};
/* RECORDS: entry and revision records of all tokens of the chart. What is shown, by time; it belongs to DOC. RETIRED: a list or NULL. */
struct shown *apply_rules(const struct keys *keys, yyjson_val **records, size_t count, yyjson_val *retired, yyjson_mut_doc *doc, size_t *shown_count);
