/* What sealing and opening share: names of an event's resources, the padding, field keys and the `seal`
 * attribute. Private to src/protect. */
#pragma once

#include "src/protect/keys_internal.h"
#include "src/protect/protect.h"

#define HUB_URL_SEALED "urn:chartline:sealed"
#define HUB_URL_ENTRY "urn:chartline:entry"
#define HUB_URL_DELETED "urn:chartline:deleted"
#define HUB_URL_LARGE "urn:chartline:large"
#define HUB_URL_ABSENT "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
#define HUB_FULL_URL "https://chartline.invalid/fhir/"

enum {
    HUB_SALT_LEN = 16,
    HUB_SEALED_HEAD = 1 + 1 + 4, /* suite, class, ordinal */
    HUB_PAD_BLOCK = 64,
};

/* --- prepare.c --- */

/* A value that is a Binary entry of its own. */
struct hub_large {
    uint32_t owner;       /* ordinal of the resource it was taken from */
    uint32_t binary;      /* of its Binary; the owner itself for one that was sent as a Binary */
    bool encoded;         /* TEXT is base64 of the bytes, else it is the bytes */
    bool shared;          /* BINARY is that of an earlier one with the same bytes */
    struct hub_span text; /* as the resource had it */
    struct hub_span path; /* where it stood, "content.attachment.data" */
};

struct hub_prepared {
    struct hub_arena *arena;
    struct hub_keys *keys; /* NULL: `map` */
    struct hub_event_id id;
    struct hub_event_id origin; /* id of this patient's event in revision 0; the same as `id` there */
    uint32_t index;             /* of the patient in the message */
    struct hub_token subject;
    struct hub_token *tokens;             /* of event->identifiers, same order */
    char (*ids)[HUB_RESOURCE_ID_LEN + 1]; /* of the resources, then of raw */
    const char *references; /* block of "<Type>/<id>" texts: a reference between resources points into it */
    size_t references_len;
    struct hub_large *large;
    uint32_t large_count;
};
/* Ids, reference texts, test labels. EVENT's trees are changed. */
enum hub_result hub_prepare_event(struct hub_prepared *p, struct hub_arena *arena, struct hub_keys *keys,
                                  struct hub_event *event, const struct hub_origin *origin, uint32_t index,
                                  struct hub_error *err) HUB_MUST_USE;
/* The Binary of the original bytes; without data when DATA is false. */
struct hub_json *hub_prepare_raw(const struct hub_prepared *p, const struct hub_event *event, bool data);

/* --- large.c --- */

/* A message of these bytes may hold a value that is large. */
bool hub_large_possible(struct hub_span message);
/* Moves large values into Binaries behind the event's resources; fills p->large. Before ids are given. */
enum hub_result hub_large_move(struct hub_prepared *p, struct hub_event *event) HUB_MUST_USE;
/* The value of the Binary with that ordinal; NULL: none. */
const struct hub_large *hub_large_of(const struct hub_prepared *p, uint32_t binary);
/* The class of the element it was taken from; that resource must have been looked at (entry.sensitive). `sensitive` where
 * its Binary is that of elements of several classes. */
enum hub_data_class hub_large_class(const struct hub_prepared *p, const struct hub_policy *policy,
                                    const struct hub_event *event, const struct hub_large *large);
/* `data` into the Binaries, for an event that is not sealed. */
enum hub_result hub_large_put_back(const struct hub_prepared *p, const struct hub_event *event) HUB_MUST_USE;

/* --- gap.c --- */

struct hub_gap {
    size_t at;    /* offset in the buffer */
    bool in_list; /* behind the last item of the list that is there */
    bool first;   /* nothing stands before it in the object */
};
/* Appends OBJECT in canonical form and says where its member KEY belongs. A list under KEY stays; nothing else may be
 * there. OBJECT must have a member behind KEY. */
enum hub_result hub_gap_write(struct hub_buf *json, const struct hub_json *object, struct hub_json_key key,
                              struct hub_gap *gap) HUB_MUST_USE;
/* Opens the gap for items of `extension`, or for the member KEY. Each has room for the base64 of LEN bytes, which are to be
 * put at BYTES, its end, and encoded with hub_encode_over(TEXT, LEN) before anything else is written to JSON. */
struct hub_gap_room {
    size_t len; /* asked for */
    uint8_t *text, *bytes;
};
enum hub_result hub_gap_open_extensions(struct hub_buf *json, const struct hub_gap *gap, struct hub_gap_room *rooms,
                                        size_t count) HUB_MUST_USE;
enum hub_result hub_gap_open_text(struct hub_buf *json, const struct hub_gap *gap, struct hub_span key,
                                  struct hub_gap_room *room) HUB_MUST_USE;

/* --- refer.c --- */

/* Appends the content of the raw Binary that refers to p->large. HUB_NOT_FOUND: nothing would be saved. */
enum hub_result hub_refer_write(const struct hub_prepared *p, const struct hub_event *event,
                                struct hub_buf *out) HUB_MUST_USE;
/* The bytes of entry ORDINAL's Binary, or, ENCODED, the text of its `data`. */
typedef enum hub_result (*hub_refer_source_fn)(void *ctx, uint32_t ordinal, bool encoded, struct hub_span *out);
/* CONTENT is what follows the first byte. HUB_CORRUPT, or what SOURCE says. */
enum hub_result hub_refer_restore(struct hub_arena *arena, struct hub_span content, hub_refer_source_fn source,
                                  void *ctx, struct hub_span *positions, struct hub_span *out) HUB_MUST_USE;

/* --- attributes.c --- */

/* ",\"NAME\":\"TEXT\"" */
void hub_attribute_write(struct hub_buf *json, const char *name, struct hub_span text);
/* `time` and `timesource`. */
void hub_attribute_times(const struct hub_event *event, const struct hub_decoded *message, int64_t received_us,
                         struct hub_buf *json);
/* `messagetime`, if the message says. */
void hub_attribute_message_time(const struct hub_decoded *message, struct hub_buf *json);
enum hub_result hub_attribute_identity(const struct hub_prepared *p, const struct hub_event *event,
                                       struct hub_buf *json) HUB_MUST_USE;
void hub_attribute_tokens(const struct hub_prepared *p, const struct hub_event *event, struct hub_buf *json);

/* --- revision.c: members of a revision; nothing for the first mapping --- */

/* The event has no content: it only takes others back. */
bool hub_revision_withdraws(const struct hub_origin *origin);
/* `origin` and `originrecorded`. */
void hub_revision_write_origin(const struct hub_prepared *p, const struct hub_origin *origin, struct hub_buf *json);
void hub_revision_write_number(const struct hub_origin *origin, struct hub_buf *json);
void hub_revision_write_supersedes(const struct hub_prepared *p, const struct hub_origin *origin, struct hub_buf *json);

/* --- entry.c --- */
enum hub_result hub_entry_add(const struct hub_prepared *p, struct hub_resource *resource, bool sensitive,
                              struct hub_error *err) HUB_MUST_USE;

/* --- identity_text.c --- */
/* The `tokens` and `identity` attributes. */
void hub_tokens_write(const struct hub_prepared *p, const struct hub_event *event, struct hub_buf *out);
enum hub_result hub_identity_write(const struct hub_prepared *p, const struct hub_event *event,
                                   struct hub_buf *out) HUB_MUST_USE;

/* --- field.c --- */

/* Keys of one event: of the classes it may use. */
struct hub_field_keys {
    enum hub_suite suite;
    uint8_t salt[HUB_SALT_LEN];
    struct hub_key_id secret_id;
    bool have[HUB_DATA_CLASSES];
    struct hub_key_id class_id[HUB_DATA_CLASSES];
    uint8_t commitment[HUB_DATA_CLASSES][HUB_HASH_LEN];
    uint8_t key[HUB_DATA_CLASSES][HUB_KEY_LEN]; /* what the suite makes of F for this event */
    uint32_t fields[HUB_DATA_CLASSES];          /* sealed with it */
    uint64_t bytes[HUB_DATA_CLASSES];
};
/* F from the class key and the patient's secret, its commitment, and what the suite makes of it. Suite and salt
 * are set. HUB_NO_MEMORY. */
enum hub_result hub_field_derive(struct hub_field_keys *f, enum hub_data_class class_,
                                 const uint8_t class_key[HUB_KEY_LEN],
                                 const uint8_t secret[HUB_KEY_LEN]) HUB_MUST_USE;
/* The `seal` attribute, and back (keys are not filled; HUB_SYNTAX). */
void hub_field_seal_write(const struct hub_field_keys *f, struct hub_buf *out);
enum hub_result hub_field_seal_parse(struct hub_span text, struct hub_field_keys *out) HUB_MUST_USE;

/* What a ciphertext is bound to. */
struct hub_field_place {
    struct hub_span event_id, subject, resource_id;
    uint8_t remainder[HUB_HASH_LEN]; /* BLAKE2b-256 of the resource's clear remainder in canonical form */
};
/* Bytes of a sealed field for CONTENT_LEN bytes of content. */
size_t hub_field_sealed_len(size_t content_len);
/* BUFFER has hub_field_sealed_len bytes, the content at HUB_SEALED_HEAD; pads and seals in place. On failure the content
 * still stands there.
 * HUB_NO_MEMORY. */
enum hub_result hub_field_seal(struct hub_field_keys *f, const struct hub_field_place *place,
                               enum hub_data_class class_, uint32_t ordinal, uint8_t *buffer,
                               size_t content_len) HUB_MUST_USE;
/* Counts what was sealed with F under its class keys. */
void hub_field_used(const struct hub_field_keys *f, struct hub_keys *keys);
/* Of bytes of a sealed field: its class. HUB_CRYPTO when they are none, of whatever suite. */
enum hub_result hub_field_class(struct hub_span sealed, enum hub_data_class *class_) HUB_MUST_USE;
/* OUT has sealed.len bytes; CONTENT is a view into it. HUB_CRYPTO, also when the field is of another suite than
 * its seal. */
enum hub_result hub_field_open(const struct hub_field_keys *f, const struct hub_field_place *place,
                               struct hub_span sealed, uint8_t *out, struct hub_span *content) HUB_MUST_USE;

/* --- suite.c: what differs between the suites --- */

/* From F and the event's salt: the key that its fields are sealed with. HUB_NO_MEMORY. */
enum hub_result hub_suite_key(enum hub_suite suite, const uint8_t field[HUB_KEY_LEN],
                              const uint8_t salt[HUB_SALT_LEN], uint8_t key[HUB_KEY_LEN]) HUB_MUST_USE;
/* OUT has plain.len + HUB_TAG_LEN bytes, may be the plaintext's memory. ORDINAL is little endian. HUB_NO_MEMORY. */
enum hub_result hub_suite_seal(enum hub_suite suite, const uint8_t key[HUB_KEY_LEN], const uint8_t ordinal[4],
                               struct hub_span aad, struct hub_span plain, uint8_t *out) HUB_MUST_USE;
/* OUT has sealed.len - HUB_TAG_LEN bytes. HUB_CRYPTO. */
enum hub_result hub_suite_open(enum hub_suite suite, const uint8_t key[HUB_KEY_LEN], const uint8_t ordinal[4],
                               struct hub_span aad, struct hub_span sealed, uint8_t *out) HUB_MUST_USE;

/* --- lift.c --- */

/* Sets entry.sensitive of what the policy lifts and of what would give it away. *ANY: some was lifted. */
enum hub_result hub_lift_resources(const struct hub_prepared *p, const struct hub_policy *policy,
                                   struct hub_event *event, bool *any) HUB_MUST_USE;
/* The resource of the event that REFERENCE leads to; UINT32_MAX: none. */
uint32_t hub_lift_target(const struct hub_prepared *p, const struct hub_event *event, struct hub_span reference);

/* --- take.c --- */

/* The lists of one resource while its elements are taken out. */
struct hub_take {
    const struct hub_prepared *prepared;
    const struct hub_policy *policy;
    const struct hub_policy_node *root;     /* of the resource's type */
    struct hub_buf lists[HUB_DATA_CLASSES]; /* "[[path,value],..." without the last bracket */
    bool sensitive;
    const struct hub_event *lifted; /* something of this event is lifted; NULL: nothing */
    unsigned taken; /* classes, as bits */
    char path[1024];
    size_t path_len;
};
/* A label or code of the policy's list stands in the tree. */
bool hub_take_lifts(const struct hub_policy *policy, const struct hub_json *node);
/* Takes everything that is not clear out of RESOURCE; what stays is its clear remainder. */
enum hub_result hub_take_resource(struct hub_take *take, struct hub_json *resource,
                                  struct hub_error *err) HUB_MUST_USE;

/* --- put.c --- */

/* Puts the opened lists (JSON arrays of items) back. HUB_CORRUPT when they do not fit. */
enum hub_result hub_put_lists(struct hub_arena *arena, struct hub_json *resource,
                              struct hub_json *const *lists, size_t count) HUB_MUST_USE;
