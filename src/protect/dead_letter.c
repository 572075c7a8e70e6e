/* Dead letters: the original bytes of a message that was not accepted, sealed under `raw` with a secret of
 * their own, and why. */
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/open_internal.h"

enum { LETTER_TEXT_MAX = 4096 };

static enum hub_result letter_keys(struct hub_keys *keys, enum hub_suite suite, struct hub_field_keys *field,
                                   struct hub_error *err)
{
    uint8_t secret[HUB_KEY_LEN], key[HUB_KEY_LEN];
    enum hub_result result = hub_keys_one_off(keys, secret, &field->secret_id);
    field->suite = suite;
    hub_random(field->salt, sizeof field->salt);
    if (result == HUB_OK)
        result = hub_keys_class_current(keys, HUB_DATA_RAW, key, &field->class_id[HUB_DATA_RAW], err);
    if (result == HUB_OK)
        result = hub_field_derive(field, HUB_DATA_RAW, key, secret);
    hub_mem_wipe(secret, sizeof secret);
    hub_mem_wipe(key, sizeof key);
    return result;
}

static enum hub_result set_text(struct hub_arena *arena, struct hub_json *object, const char *key,
                                const char *text)
{
    if (text == NULL || text[0] == '\0')
        return HUB_OK;
    const struct hub_span copy = hub_arena_copy(arena, hub_span_str(text));
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, key, copy);
}

static enum hub_result set_why(struct hub_arena *arena, struct hub_json *letter, const struct hub_error *why)
{
    struct hub_json *error = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(error != NULL, HUB_NO_MEMORY);
    HUB_TRY(set_text(arena, error, "code", hub_result_row(why->result)->metric));
    HUB_TRY(set_text(arena, error, "text", why->what != NULL ? why->what : hub_result_text(why->result)));
    HUB_TRY(set_text(arena, error, "mend", why->mend));
    HUB_TRY(set_text(arena, error, "at", why->place));
    if (why->has_number)
        HUB_TRY(hub_json_set_c(error, "number", hub_json_number_i64(arena, why->number)));
    return hub_json_set_c(letter, "error", error);
}

static enum hub_result build_letter(struct hub_arena *arena, const struct hub_event_id *id,
                                    const struct hub_token *subject, const char *trigger,
                                    const struct hub_origin *origin, const struct hub_error *why,
                                    struct hub_span seal, struct hub_json **out)
{
    struct hub_json *letter = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(letter != NULL, HUB_NO_MEMORY);
    HUB_TRY(set_text(arena, letter, "kind", "dead-letter"));
    HUB_TRY(set_text(arena, letter, "id", id->text));
    HUB_TRY(set_text(arena, letter, "subject", subject->text));
    HUB_TRY(set_text(arena, letter, "trigger", trigger));
    HUB_TRY(hub_json_set_string(arena, letter, "feed", origin->feed_name));
    HUB_TRY(hub_json_set_string(arena, letter, "feedid", origin->feed_id));
    HUB_TRY(hub_json_set_string(arena, letter, "sender", origin->sender));
    HUB_TRY(hub_json_set_string(arena, letter, "seal", seal));
    HUB_TRY(set_why(arena, letter, why));
    *out = letter;
    return HUB_OK;
}

static void letter_place(const struct hub_event_id *id, const struct hub_token *subject,
                         struct hub_span remainder, struct hub_field_place *place)
{
    place->event_id = hub_span_str(id->text);
    place->subject = hub_span_str(subject->text);
    place->resource_id = HUB_SPAN("dead-letter");
    hub_blake2b(NULL, remainder, place->remainder, HUB_HASH_LEN);
}

/* The letter's clear remainder is hashed where it was written, and the original sealed beside it. */
static enum hub_result write_letter(struct hub_field_keys *field, const struct hub_event_id *id, const struct hub_token *subject,
                                    const struct hub_json *letter, struct hub_span original, struct hub_buf *json)
{
    struct hub_field_place place;
    struct hub_gap gap;
    struct hub_gap_room room = {.len = hub_field_sealed_len(1 + original.len)};
    const size_t begin = json->len;
    if (hub_buf_reserve(json, hub_encoded_len(HUB_BASE64, room.len) + LETTER_TEXT_MAX) == NULL)
        return hub_buf_result(json);
    HUB_TRY(hub_gap_write(json, letter, hub_json_key("sealed", 6), &gap));
    letter_place(id, subject, hub_span_of(json->ptr + begin, json->len - begin), &place);
    HUB_TRY(hub_gap_open_text(json, &gap, HUB_SPAN("sealed"), &room));
    room.bytes[HUB_SEALED_HEAD] = 'B';
    if (original.len != 0)
        memcpy(room.bytes + HUB_SEALED_HEAD + 1, original.ptr, original.len);
    const enum hub_result result = hub_field_seal(field, &place, HUB_DATA_RAW, 0, room.bytes, 1 + original.len);
    if (result != HUB_OK)
        hub_mem_wipe(room.bytes, room.len);
    else
        hub_encode_over(room.text, room.len);
    return result;
}

enum hub_result hub_protect_dead_letter(struct hub_keys *keys, const struct hub_policy *policy,
                                        struct hub_arena *arena, const struct hub_event_id *id, struct hub_span original,
                                        const char *trigger, const struct hub_origin *origin,
                                        const struct hub_error *why, struct hub_buf *json,
                                        struct hub_error *err)
{
    struct hub_field_keys field = {.salt = {0}};
    struct hub_token subject;
    struct hub_json *letter = NULL;
    struct hub_buf buf;
    enum hub_result result;
    hub_buf_init(&buf, LETTER_TEXT_MAX, false);
    HUB_TRY_OUT(letter_keys(keys, hub_policy_suite(policy), &field, err));
    hub_keys_scoped_token(keys, HUB_TOKEN_OF_EVENT, hub_span_str(id->text), &subject);
    hub_field_seal_write(&field, &buf);
    result = hub_buf_result(&buf);
    HUB_TRY_OUT(result == HUB_OK ? HUB_OK : hub_fail(err, result, NULL, NULL));
    const struct hub_span seal = hub_arena_copy(arena, hub_buf_view(&buf));
    HUB_TRY_OUT(seal.ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    result = build_letter(arena, id, &subject, trigger, origin, why, seal, &letter);
    if (result == HUB_OK)
        result = write_letter(&field, id, &subject, letter, original, json);
    if (result == HUB_OK)
        hub_field_used(&field, keys);
    else
        result = hub_fail(err, result, NULL, NULL);
out:
    hub_buf_deinit(&buf);
    hub_mem_wipe(&field, sizeof field);
    return result;
}

enum hub_result hub_protect_open_dead_letter(struct hub_arena *arena, const struct hub_json *letter,
                                             const struct hub_opener *opener, struct hub_span *original,
                                             struct hub_error *err)
{
    struct hub_opening opening;
    struct hub_field_place place;
    struct hub_span sealed, content;
    struct hub_json *remainder = hub_json_copy(arena, letter);
    if (remainder == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    const struct hub_json *field =
        remainder->type == HUB_JSON_OBJECT ? hub_json_remove(remainder, "sealed") : NULL;
    if (field == NULL || hub_opening_decode(arena, hub_json_span(field), &sealed) != HUB_OK)
        return hub_fail(err, HUB_SYNTAX, "not a dead letter", NULL);
    enum hub_result result =
        hub_opening_init(&opening, hub_json_get_span(letter, "id"), hub_json_get_span(letter, "subject"),
                         hub_json_get_span(letter, "seal"), opener, err);
    if (result == HUB_OK)
        result = hub_opening_place(&opening, remainder, HUB_SPAN("dead-letter"), &place);
    if (result == HUB_OK)
        result = hub_opening_field(&opening, arena, &place, sealed, &content, err);
    if (result == HUB_OK && (content.len < 1 || content.ptr[0] != 'B'))
        result = hub_fail(err, HUB_CORRUPT, "a sealed field that does not hold what it should", NULL);
    if (result == HUB_OK)
        *original = hub_span_of(content.ptr + 1, content.len - 1);
    hub_opening_deinit(&opening);
    return result;
}
