/* Tokens and ids: keyed BLAKE2b-160 over a label and parts, in base32. docs/FORMATS.md gives the inputs. */
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/keys_internal.h"
#include "src/protect/lp.h"

enum { PARTS_MAX = 24, TAG_BYTES = 5, IDS_AT_ONCE = 8 };

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

void hub_keys_resource_ids(struct hub_keys *keys, const struct hub_event_id *event, uint32_t count,
                           char (*out)[HUB_RESOURCE_ID_LEN + 1])
{
    struct hub_lp inputs[IDS_AT_ONCE];
    struct hub_blake2b_job jobs[IDS_AT_ONCE];
    uint8_t hashes[IDS_AT_ONCE][HUB_HASH160_LEN];
    for (uint32_t done = 0; done < count;) {
        const uint32_t n = count - done < IDS_AT_ONCE ? count - done : IDS_AT_ONCE;
        for (uint32_t i = 0; i < n; i++) {
            uint8_t number[4];
            hub_le32(number, done + i);
            inputs[i].len = 0;
            hub_lp_add(&inputs[i], HUB_SPAN("resource"));
            hub_lp_add(&inputs[i], hub_span_str(event->text));
            hub_lp_add(&inputs[i], hub_span_of(number, sizeof number));
            jobs[i] = (struct hub_blake2b_job){keys->secrets->r, hub_lp_view(&inputs[i]), hashes[i]};
        }
        hub_blake2b_many(jobs, n, HUB_HASH160_LEN);
        for (uint32_t i = 0; i < n; i++)
            (void)hub_encode(HUB_BASE32, hub_span_of(hashes[i], HUB_HASH160_LEN), out[done + i], HUB_RESOURCE_ID_LEN + 1);
        done += n;
    }
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

/* As hub_blake2b_parts writes its parts; false: too long. */
static bool put_part(uint8_t *input, size_t *len, struct hub_span part)
{
    if (HUB_TOKEN_INPUT_MAX - *len < 8 || HUB_TOKEN_INPUT_MAX - *len - 8 < part.len)
        return false;
    hub_le64(input + *len, part.len);
    if (part.len != 0)
        memcpy(input + *len + 8, part.ptr, part.len);
    *len += 8 + part.len;
    return true;
}

void hub_keys_tokens_add(struct hub_keys *keys, struct hub_tokens *tokens, const char *label, const struct hub_span *parts,
                         size_t count, char *out)
{
    HUB_ASSERT(tokens->count < HUB_TOKENS_MAX);
    uint8_t *input = tokens->asked[tokens->count].input;
    size_t len = 0;
    bool fits = put_part(input, &len, hub_span_str(label));
    for (size_t i = 0; i < count && fits; i++)
        fits = put_part(input, &len, parts[i]);
    if (!fits) {
        struct hub_hash_token token;
        hub_keys_measure_token(keys, label, parts, count, &token);
        memcpy(out, token.text, HUB_RESOURCE_ID_LEN);
        return;
    }
    tokens->asked[tokens->count].len = len;
    tokens->asked[tokens->count++].out = out;
}

void hub_keys_tokens_make(struct hub_keys *keys, struct hub_tokens *tokens)
{
    struct hub_blake2b_job jobs[HUB_TOKENS_MAX];
    uint8_t hashes[HUB_TOKENS_MAX][HUB_HASH160_LEN];
    for (size_t i = 0; i < tokens->count; i++)
        jobs[i] = (struct hub_blake2b_job){keys->secrets->m, hub_span_of(tokens->asked[i].input, tokens->asked[i].len), hashes[i]};
    hub_blake2b_many(jobs, tokens->count, HUB_HASH160_LEN);
    for (size_t i = 0; i < tokens->count; i++) {
        char text[HUB_RESOURCE_ID_LEN + 1];
        (void)hub_encode(HUB_BASE32, hub_span_of(hashes[i], HUB_HASH160_LEN), text, sizeof text);
        memcpy(tokens->asked[i].out, text, HUB_RESOURCE_ID_LEN);
        hub_mem_wipe(tokens->asked[i].input, tokens->asked[i].len); /* names and numbers of the message */
    }
    tokens->count = 0;
}

void hub_keys_authority_tag(struct hub_keys *keys, struct hub_span system, char out[9])
{
    uint8_t hash[HUB_HASH160_LEN];
    const struct hub_span parts[] = {HUB_SPAN("authority"), system};
    hub_blake2b_parts(keys->secrets->m, parts, 2, hash, sizeof hash);
    (void)hub_encode(HUB_BASE32, hub_span_of(hash, TAG_BYTES), out, 9);
}
