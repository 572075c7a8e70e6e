/* Signed records: what is written can be read, and whatever else comes is refused without standing in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/protect/signed.h"

static struct hub_arena arena; /* as readers have it */
static uint8_t public_key[1][HUB_SIGN_PUBLIC_LEN], secret_key[HUB_SIGN_SECRET_LEN];

static void sign(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN])
{
    (void)ctx;
    hub_sign(secret_key, text, signature);
}

static const struct hub_signer signer = {.public_key = public_key[0], .sign = sign};

static int setup(void **state)
{
    (void)state;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_sign_keypair(public_key[0], secret_key);
    hub_arena_init(&arena, HUB_SIGNED_ARENA_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

static enum hub_result read(struct hub_span line)
{
    struct hub_json *object = NULL;
    hub_arena_reset(&arena);
    return hub_signed_read(&arena, HUB_SIGNED_IDENTITY, line, public_key[0], &object, NULL);
}

/* A list of COUNT numbers of one digit: the most that a reader has to keep for its size. In ROOM. */
static enum hub_result write(struct hub_arena *room, size_t count, struct hub_span *line)
{
    struct hub_json *object = hub_json_new(room, HUB_JSON_OBJECT), *list = hub_json_new(room, HUB_JSON_ARRAY);
    assert_non_null(object);
    assert_non_null(list);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hub_json_push(list, hub_json_number_i64(room, 0)), HUB_OK);
    assert_int_equal(hub_json_set_c(object, "list", list), HUB_OK);
    return hub_signed_write(room, HUB_SIGNED_IDENTITY, object, &signer, line, NULL);
}

static void the_largest_record_that_is_written_can_be_read(void **state)
{
    (void)state;
    struct hub_arena room;
    struct hub_span line = HUB_SPAN_NONE;
    hub_arena_init(&room, SIZE_MAX / 2);
    size_t count = HUB_SIGNED_BYTES_MAX / 2;
    assert_int_equal(write(&room, count, &line), HUB_TOO_LARGE);
    count -= 128; /* for names, signer and signature */
    assert_int_equal(write(&room, count, &line), HUB_OK);
    assert_true(line.len <= HUB_SIGNED_BYTES_MAX && line.len > HUB_SIGNED_BYTES_MAX - 256);
    assert_int_equal(read(line), HUB_OK);
    hub_arena_deinit(&room);
}

static void a_larger_text_is_no_record(void **state)
{
    (void)state;
    const size_t len = HUB_SIGNED_BYTES_MAX + 1;
    char *text = hub_mem_alloc(len);
    assert_non_null(text);
    memset(text, ' ', len);
    memcpy(text, "{}", 2);
    assert_int_equal(read(hub_span_of(text, len)), HUB_SYNTAX);
    assert_int_equal(read(hub_span_of(text, len - 1)), HUB_CRYPTO);
    hub_mem_free(text);
}

static void whatever_fits_is_judged_and_costs_no_more_than_a_reader_has(void **state)
{
    (void)state;
    static const char *const parts[] = {"[", "[],", "0,", "{\"\":0},", "\"\\n\",", "{\"a\":{\"b\":[0,0]}},"};
    const size_t len = HUB_SIGNED_BYTES_MAX;
    char *text = hub_mem_alloc(len);
    assert_non_null(text);
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        const size_t part = strlen(parts[p]);
        size_t at = 1;
        text[0] = '[';
        for (; at + part + 2 <= len; at += part)
            memcpy(text + at, parts[p], part);
        memcpy(text + at, "0]", 2);
        const enum hub_result result = read(hub_span_of(text, at + 2));
        assert_int_equal(result, p == 0 ? HUB_SYNTAX : HUB_CRYPTO);
    }
    hub_mem_free(text);
}

static void a_record_of_another_key_or_with_a_changed_byte_is_not_taken(void **state)
{
    (void)state;
    struct hub_arena room;
    struct hub_span line = HUB_SPAN_NONE;
    hub_arena_init(&room, SIZE_MAX / 2);
    assert_int_equal(write(&room, 3, &line), HUB_OK);
    assert_int_equal(read(line), HUB_OK);
    uint8_t *bytes = (uint8_t *)(uintptr_t)memchr(line.ptr, '0', line.len);
    *bytes = '1';
    assert_int_equal(read(line), HUB_CRYPTO);
    *bytes = '0';
    public_key[0][0] ^= 1;
    assert_int_equal(read(line), HUB_CRYPTO);
    public_key[0][0] ^= 1;
    hub_arena_deinit(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_record_that_is_written_can_be_read),
        cmocka_unit_test(a_larger_text_is_no_record),
        cmocka_unit_test(whatever_fits_is_judged_and_costs_no_more_than_a_reader_has),
        cmocka_unit_test(a_record_of_another_key_or_with_a_changed_byte_is_not_taken),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
