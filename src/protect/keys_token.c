/* Tokens and ids: keyed BLAKE2b-160 over a label and parts, in base32. docs/FORMATS.md gives the inputs. */
#include "src/codec/encode.h"
#include "src/protect/keys_internal.h"

enum { PARTS_MAX = 24, TAG_BYTES = 5 };

static void token_of(const uint8_t *key, const struct hub_span *parts, size_t count, char out[33])
{
    uint8_t hash[HUB_HASH160_LEN];
    hub_blake2b_parts(key, parts, count, hash, sizeof hash);
    (void)hub_encode(HUB_BASE32, hub_span_of(hash, sizeof hash), out, 33);
}

void hub_keys_patient_token(struct hub_keys *keys, struct hub_span system, struct hub_span value,
                            struct hub_token *out)
{
    const struct hub_span parts[] = {HUB_SPAN("patient"), system, value};
    out->text[0] = '1';
    token_of(keys->secrets->t, parts, 3, out->text + 1);
}

void hub_keys_scoped_token(struct hub_keys *keys, enum hub_token_scope scope, struct hub_span id,
                           struct hub_token *out)
{
    const bool event = scope == HUB_TOKEN_OF_EVENT;
    const struct hub_span parts[] = {event ? HUB_SPAN("unidentified") : HUB_SPAN("feed"), id};
    out->text[0] = event ? '2' : '3';
    token_of(keys->secrets->t, parts, 2, out->text + 1);
}

void hub_keys_event_id(struct hub_keys *keys, struct hub_span feed_id, struct hub_span sender,
                       struct hub_span message, uint32_t index, uint32_t revision, struct hub_event_id *out)
{
    uint8_t numbers[8];
    hub_le32(numbers, index);
    hub_le32(numbers + 4, revision);
    const struct hub_span parts[] = {
        HUB_SPAN("event"), feed_id, sender, message, hub_span_of(numbers, 4), hub_span_of(numbers + 4, 4)};
    token_of(keys->secrets->d, parts, 6, out->text);
}

void hub_keys_resource_id(struct hub_keys *keys, const struct hub_event_id *event, uint32_t ordinal,
                          char out[HUB_RESOURCE_ID_LEN + 1])
{
    uint8_t number[4];
    hub_le32(number, ordinal);
    const struct hub_span parts[] = {HUB_SPAN("resource"), hub_span_of(event->text, HUB_EVENT_ID_LEN), hub_span_of(number, 4)};
    token_of(keys->secrets->r, parts, 3, out);
}

void hub_keys_measure_token(struct hub_keys *keys, const char *label, const struct hub_span *parts,
                            size_t count, struct hub_hash_token *out)
{
    struct hub_span all[PARTS_MAX];
    HUB_ASSERT(count < PARTS_MAX);
    all[0] = hub_span_str(label);
    for (size_t i = 0; i < count; i++)
        all[i + 1] = parts[i];
    token_of(keys->secrets->m, all, count + 1, out->text);
}

void hub_keys_authority_tag(struct hub_keys *keys, struct hub_span system, char out[9])
{
    uint8_t hash[HUB_HASH160_LEN];
    const struct hub_span parts[] = {HUB_SPAN("authority"), system};
    hub_blake2b_parts(keys->secrets->m, parts, 2, hash, sizeof hash);
    (void)hub_encode(HUB_BASE32, hub_span_of(hash, TAG_BYTES), out, 9);
}
