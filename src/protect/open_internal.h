/* Opening fields one by one, for events and dead letters. Private to src/protect. */
#pragma once

#include "src/protect/seal_internal.h"

struct hub_opening {
    const struct hub_opener *opener;
    struct hub_span event_id;
    struct hub_token subject;
    struct hub_field_keys field;   /* `have`: derived and checked against its commitment */
    bool listed[HUB_DATA_CLASSES]; /* in the seal */
    bool asked[HUB_DATA_CLASSES];
    enum hub_result class_result[HUB_DATA_CLASSES];
    bool asked_secret;
    enum hub_result secret_result;
    uint8_t secret[HUB_KEY_LEN];
    const struct hub_json *const *resources; /* of the event so far, NULL where one stays sealed; NULL: a
                                                resource alone */
    uint32_t resource_count;
};

enum hub_result hub_opening_init(struct hub_opening *o, struct hub_span event_id, struct hub_span subject,
                                 struct hub_span seal, const struct hub_opener *opener,
                                 struct hub_error *err) HUB_MUST_USE;
/* Wipes the keys. */
void hub_opening_deinit(struct hub_opening *o);
/* HUB_DENIED: the reader has no key for it; HUB_CRYPTO with the reason. CONTENT lives in the arena. */
enum hub_result hub_opening_field(struct hub_opening *o, struct hub_arena *arena,
                                  const struct hub_field_place *place, struct hub_span sealed,
                                  struct hub_span *content, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_opening_place(struct hub_opening *o, const struct hub_json *remainder, struct hub_span id,
                                  struct hub_field_place *place) HUB_MUST_USE;
/* Base64 into the arena. */
enum hub_result hub_opening_decode(struct hub_arena *arena, struct hub_span text,
                                   struct hub_span *bytes) HUB_MUST_USE;
