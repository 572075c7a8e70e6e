#include "src/pipeline/letters.h"

#include "src/log/record.h"

enum hub_result hub_letter_load(struct hub_log *log, uint64_t number, struct hub_arena *arena,
                                struct hub_json **out, struct hub_error *err)
{
    struct hub_log_reader *reader = NULL;
    struct hub_record_view record;
    struct hub_span payload, bytes;
    enum hub_section_kind kind;
    uint64_t found = 0;
    enum hub_result result;
    *out = NULL;
    HUB_TRY(hub_log_reader_open(log, number, &reader, err));
    HUB_TRY_OUT(hub_log_reader_next(reader, &found, &payload, err));
    HUB_TRY_OUT(hub_record_parse(payload, &record));
    while ((result = hub_record_next(&record, &kind, &bytes)) == HUB_OK) {
        if (kind != HUB_SECTION_DEAD_LETTER)
            continue;
        bytes = hub_arena_copy(arena, bytes);
        HUB_TRY_OUT(bytes.ptr != NULL ? HUB_OK : HUB_NO_MEMORY);
        HUB_TRY_OUT(hub_json_parse(arena, bytes, out, err));
    }
    result = *out != NULL ? HUB_OK : hub_fail(err, HUB_CORRUPT, "a dead letter is not in its record", NULL);
out:
    hub_log_reader_close(reader);
    return result;
}

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    enum hub_data_class class_;
    return hub_keys_class_by_id(ctx, id, key, &class_, NULL);
}

static enum hub_result one_off(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                               uint8_t secret[HUB_KEY_LEN])
{
    static const struct hub_token none = {""};
    (void)subject;
    return hub_keys_secret(ctx, id, &none, secret, NULL);
}

enum hub_result hub_letter_open(struct hub_keys *keys, struct hub_arena *arena, const struct hub_json *letter,
                                struct hub_span *original, struct hub_error *err)
{
    const struct hub_opener opener = {.class_key = class_key, .patient_secret = one_off, .ctx = keys};
    return hub_protect_open_dead_letter(arena, letter, &opener, original, err);
}
