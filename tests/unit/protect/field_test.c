/* The worked example of docs/FORMATS.md, and the padding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/buf.h"
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

#define CONTENT "[[\"/name\",[{\"family\":\"Doe\"}]]]"
#define REMAINDER "{\"id\":\"cccccccccccccccccccccccccccccccc\",\"resourceType\":\"Practitioner\"}"
#define SEAL                                                                                                 \
    "1;xc20p;QEFCQ0RFRkdISUpLTE1OTw;fedcba9876543210;identity@0123456789abcdef:"                             \
    "yOqzmvn6EQ7QoalWvV6UE97Eb5n9mX1ZLlJVOtkL0rI"

#define SEAL2                                                                                                \
    "1;aes256gcm;QEFCQ0RFRkdISUpLTE1OTw;fedcba9876543210;identity@0123456789abcdef:"                         \
    "yOqzmvn6EQ7QoalWvV6UE97Eb5n9mX1ZLlJVOtkL0rI"

static void example(enum hub_suite suite, struct hub_field_keys *field, struct hub_field_place *place)
{
    uint8_t key[HUB_KEY_LEN], secret[HUB_KEY_LEN];
    memset(field, 0, sizeof *field);
    field->suite = suite;
    for (unsigned i = 0; i < HUB_KEY_LEN; i++) {
        key[i] = (uint8_t)i;
        secret[i] = (uint8_t)(32 + i);
    }
    for (unsigned i = 0; i < HUB_SALT_LEN; i++)
        field->salt[i] = (uint8_t)(64 + i);
    memcpy(field->class_id[HUB_DATA_IDENTITY].text, "0123456789abcdef", 17);
    memcpy(field->secret_id.text, "fedcba9876543210", 17);
    assert_int_equal(hub_field_derive(field, HUB_DATA_IDENTITY, key, secret), HUB_OK);
    place->event_id = HUB_SPAN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    place->subject = HUB_SPAN("1bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    place->resource_id = HUB_SPAN("cccccccccccccccccccccccccccccccc");
    hub_blake2b(NULL, HUB_SPAN(REMAINDER), place->remainder, HUB_HASH_LEN);
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *want)
{
    char text[512];
    (void)hub_encode(HUB_HEX, hub_span_of(bytes, len), text, sizeof text);
    assert_string_equal(text, want);
}

struct answer {
    enum hub_suite suite;
    const char *key, *field, *seal;
};
static const struct answer answers[] = {
    /* HChaCha20 of the documented F and the salt */
    {HUB_SUITE_XC20P, "5d139cce9054303e16a0820f0b73716b4c9199b24dce3cc0c06699f81aab8803",
     "0101030000009629f90925e7e9500351f08a4105041bdd7fa371c00dbfa4fb52"
     "75d3199e0684f1af294cb5ad8462c4bb21ed138b6270196ce06b1f24a0aded4c"
     "6d30946c34bcf259fe1e068c58339c2abbcd572d339f",
     SEAL},
    {HUB_SUITE_AES256GCM, "e01c952e2840cdbeb0a6db834d55223c43486568b9f9c9fe9018536e33a75dfd",
     "0201030000004bce02ab341f58ffac89d7b219d1aabc53eb1ff62954035eb7e7"
     "2c10f0e2beaf4df99f89b94e53fd0e557de8322fde58bf4457c6d50d3695d8df"
     "16407bc2b45436d820bdc2e82237a1c81b3a41ed498f",
     SEAL2},
};
enum { ANSWERS = sizeof answers / sizeof answers[0] };

static size_t seal_example(const struct answer *answer, struct hub_field_keys *field,
                           struct hub_field_place *place, uint8_t sealed[256])
{
    example(answer->suite, field, place);
    memcpy(sealed + HUB_SEALED_HEAD, CONTENT, sizeof CONTENT - 1);
    assert_int_equal(hub_field_seal(field, place, HUB_DATA_IDENTITY, 3, sealed, sizeof CONTENT - 1), HUB_OK);
    return hub_field_sealed_len(sizeof CONTENT - 1);
}

static void field_seals_the_documented_example(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        struct hub_field_keys field;
        struct hub_field_place place;
        uint8_t sealed[256], plain[256];
        struct hub_span content;
        const size_t len = seal_example(&answers[i], &field, &place, sealed);
        assert_hex(field.key[HUB_DATA_IDENTITY], 32, answers[i].key);
        assert_hex(field.commitment[HUB_DATA_IDENTITY], 32,
                   "c8eab39af9fa110ed0a1a956bd5e9413dec46f99fd997d592e52553ad90bd2b2");
        assert_hex(place.remainder, 32, "f745b83d70be7e1e9d400348a7d15e320590247fabfa5029bfe459f2273c1546");
        assert_hex(sealed, len, answers[i].field);
        assert_int_equal(hub_field_open(&field, &place, hub_span_of(sealed, len), plain, &content), HUB_OK);
        assert_true(hub_span_is(content, CONTENT));
    }
}

static void field_refuses_every_changed_byte_and_every_other_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        struct hub_field_keys field;
        struct hub_field_place place, other;
        uint8_t sealed[256], plain[256];
        struct hub_span content;
        const size_t len = seal_example(&answers[i], &field, &place, sealed);
        const struct hub_span whole = hub_span_of(sealed, len);
        for (size_t at = 0; at < len; at++) {
            sealed[at] ^= 0x20;
            assert_int_equal(hub_field_open(&field, &place, whole, plain, &content), HUB_CRYPTO);
            sealed[at] ^= 0x20;
        }
        for (size_t cut = 1; cut < len; cut += 7)
            assert_int_equal(hub_field_open(&field, &place, hub_span_of(sealed, len - cut), plain, &content),
                             HUB_CRYPTO);
        other = place;
        other.remainder[31] ^= 1;
        assert_int_equal(hub_field_open(&field, &other, whole, plain, &content), HUB_CRYPTO);
        other = place;
        other.event_id = HUB_SPAN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
        assert_int_equal(hub_field_open(&field, &other, whole, plain, &content), HUB_CRYPTO);
        other = place;
        other.subject = HUB_SPAN("1bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc");
        assert_int_equal(hub_field_open(&field, &other, whole, plain, &content), HUB_CRYPTO);
        other = place;
        other.resource_id = HUB_SPAN("cccccccccccccccccccccccccccccccd");
        assert_int_equal(hub_field_open(&field, &other, whole, plain, &content), HUB_CRYPTO);
        field.class_id[HUB_DATA_IDENTITY].text[0] = '1';
        assert_int_equal(hub_field_open(&field, &place, whole, plain, &content), HUB_CRYPTO);
    }
}

/* Whoever exchanges the word in the seal gets nowhere: neither suite opens what the other sealed. */
static void field_of_another_suite_than_its_seal_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        struct hub_field_keys field, swapped;
        struct hub_field_place place;
        uint8_t sealed[256], plain[256];
        struct hub_span content;
        const size_t len = seal_example(&answers[i], &field, &place, sealed);
        example(answers[1 - i].suite, &swapped, &place);
        assert_int_equal(hub_field_open(&swapped, &place, hub_span_of(sealed, len), plain, &content), HUB_CRYPTO);
        sealed[0] = (uint8_t)answers[1 - i].suite;
        assert_int_equal(hub_field_open(&swapped, &place, hub_span_of(sealed, len), plain, &content), HUB_CRYPTO);
    }
}

/* Under one event's key no two ordinals meet in one nonce, and two events never share a key. */
static void field_keys_of_suite_2_are_the_events_own(void **state)
{
    (void)state;
    struct hub_field_keys a, b;
    struct hub_field_place place;
    uint8_t key[HUB_KEY_LEN] = {1}, secret[HUB_KEY_LEN] = {2};
    example(HUB_SUITE_AES256GCM, &a, &place);
    b = a;
    b.salt[15] ^= 1;
    assert_int_equal(hub_field_derive(&a, HUB_DATA_IDENTITY, key, secret), HUB_OK);
    assert_int_equal(hub_field_derive(&b, HUB_DATA_IDENTITY, key, secret), HUB_OK);
    assert_memory_not_equal(a.key[HUB_DATA_IDENTITY], b.key[HUB_DATA_IDENTITY], HUB_KEY_LEN);
}

static void field_seal_text_is_written_and_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++) {
        struct hub_field_keys field, again;
        struct hub_field_place place;
        struct hub_buf text;
        hub_buf_init(&text, 4096, false);
        example(answers[i].suite, &field, &place);
        hub_field_seal_write(&field, &text);
        assert_string_equal(hub_buf_str(&text), answers[i].seal);
        assert_int_equal(hub_field_seal_parse(hub_buf_view(&text), &again), HUB_OK);
        assert_int_equal(again.suite, field.suite);
        assert_memory_equal(again.salt, field.salt, sizeof field.salt);
        assert_string_equal(again.secret_id.text, field.secret_id.text);
        assert_string_equal(again.class_id[1].text, field.class_id[1].text);
        assert_memory_equal(again.commitment[1], field.commitment[1], HUB_HASH_LEN);
        assert_true(again.have[1]);
        assert_false(again.have[2]);
        hub_buf_deinit(&text);
    }
}

static void field_seal_text_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "1",
        "2;xc20p;QEFCQ0RFRkdISUpLTE1OTw;fedcba9876543210",
        "1;aes;QEFCQ0RFRkdISUpLTE1OTw;fedcba9876543210",
        "1;xc20p;QEFCQ0RFRkdISUpLTE1OT;fedcba9876543210",
        "1;xc20p;QEFCQ0RFRkdISUpLTE1OTw;fedcba987654321",
        "1;xc20p;QEFCQ0RFRkdISUpLTE1OTw;FEDCBA9876543210",
        SEAL "A",
        SEAL ";identity@0123456789abcdef:yOqzmvn6EQ7QoalWvV6UE97Eb5n9mX1ZLlJVOtkL0rI",
        SEAL ";clear@0123456789abcdef:yOqzmvn6EQ7QoalWvV6UE97Eb5n9mX1ZLlJVOtkL0rI",
        SEAL ";nobody@0123456789abcdef:yOqzmvn6EQ7QoalWvV6UE97Eb5n9mX1ZLlJVOtkL0rI"};
    struct hub_field_keys field;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(hub_field_seal_parse(hub_span_str(bad[i]), &field), HUB_SYNTAX);
}

static void field_padding_is_whole_blocks_and_wastes_little(void **state)
{
    (void)state;
    assert_int_equal(hub_field_sealed_len(0), 6 + 64 + 16);
    assert_int_equal(hub_field_sealed_len(63), 6 + 64 + 16);
    assert_int_equal(hub_field_sealed_len(64), 6 + 128 + 16);
    size_t last = 0;
    for (size_t len = 1; len < 300000; len += 1 + len / 50) {
        const size_t padded = hub_field_sealed_len(len) - 22;
        assert_true(padded >= len + 1 && padded >= last && padded % 64 == 0);
        assert_true(padded <= len + 65 + len * 12 / 100);
        last = padded;
    }
    assert_int_equal(hub_field_sealed_len(100000) - 22, 100352); /* E = 16, S = 5: multiples of 2048 */
}

int main(void)
{
    if (hub_crypto_init() != HUB_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_seals_the_documented_example),
        cmocka_unit_test(field_refuses_every_changed_byte_and_every_other_place),
        cmocka_unit_test(field_of_another_suite_than_its_seal_is_refused),
        cmocka_unit_test(field_keys_of_suite_2_are_the_events_own),
        cmocka_unit_test(field_seal_text_is_written_and_read_back),
        cmocka_unit_test(field_seal_text_that_is_none_is_refused),
        cmocka_unit_test(field_padding_is_whole_blocks_and_wastes_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
