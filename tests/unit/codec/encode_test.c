#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/codec/encode.h"

/* RFC 4648 section 10. */
static const struct {
    const char *plain, *base64, *base32, *hex;
} vectors[] = {
    {"", "", "", ""},
    {"f", "Zg==", "my", "66"},
    {"fo", "Zm8=", "mzxq", "666f"},
    {"foo", "Zm9v", "mzxw6", "666f6f"},
    {"foob", "Zm9vYg==", "mzxw6yq", "666f6f62"},
    {"fooba", "Zm9vYmE=", "mzxw6ytb", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172"},
};

static void check(enum hub_encoding encoding, const char *plain, const char *text)
{
    char out[64];
    uint8_t back[64];
    size_t back_len = 99;
    assert_int_equal(hub_encode(encoding, hub_span_str(plain), out, sizeof out), strlen(text));
    assert_string_equal(out, text);
    assert_int_equal(hub_decode(encoding, hub_span_str(text), back, sizeof back, &back_len), HUB_OK);
    assert_true(hub_span_is(hub_span_of(back, back_len), plain));
}

static void rfc4648_vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        check(HUB_BASE64, vectors[i].plain, vectors[i].base64);
        check(HUB_BASE32, vectors[i].plain, vectors[i].base32);
        check(HUB_HEX, vectors[i].plain, vectors[i].hex);
    }
    check(HUB_BASE64, "\xfb\xff\xfe", "+//+");
    check(HUB_BASE64URL, "\xfb\xff\xfe", "-__-");
    check(HUB_BASE64URL, "\xfb\xff", "-_8");
}

static void decoding_is_strict(void **state)
{
    (void)state;
    uint8_t out[64];
    size_t len;
    static const struct {
        enum hub_encoding encoding;
        const char *text;
    } bad[] = {{HUB_BASE64, "Zg"},  {HUB_BASE64, "Zh=="}, {HUB_BASE64, "Z==="},  {HUB_BASE64, "Zg=a"}, {HUB_BASE64, "-__-"},
               {HUB_BASE64URL, "Zg=="}, {HUB_BASE64URL, "Z"}, {HUB_BASE32, "MY"}, {HUB_BASE32, "mz"},   {HUB_BASE32, "m"},
               {HUB_HEX, "6"},      {HUB_HEX, "6G"},      {HUB_HEX, "AB"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hub_decode(bad[i].encoding, hub_span_str(bad[i].text), out, sizeof out, &len), HUB_SYNTAX);
    assert_int_equal(hub_decode(HUB_HEX, HUB_SPAN("00112233"), out, 3, &len), HUB_TOO_LARGE);
}

static void every_length_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[130];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (enum hub_encoding e = HUB_HEX; e <= HUB_BASE64URL; e++) {
        for (size_t len = 0; len <= sizeof bytes; len++) {
            char text[300];
            uint8_t back[130];
            size_t back_len = 0;
            size_t text_len = hub_encode(e, hub_span_of(bytes, len), text, sizeof text);
            assert_int_equal(text_len, hub_encoded_len(e, len));
            assert_int_equal(hub_decode(e, hub_span_of(text, text_len), back, sizeof back, &back_len), HUB_OK);
            assert_true(hub_span_equal(hub_span_of(bytes, len), hub_span_of(back, back_len)));
        }
    }
}

/* Sixteen digits are made at a time: each of the 64 must come out at each of their places. */
static void every_digit_is_right_in_every_place(void **state)
{
    (void)state;
    static const char *const digits[] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
    for (unsigned first = 0; first < 64; first++) {
        uint8_t bytes[24] = {0};
        char want[33] = "", text[40];
        for (unsigned url = 0; url < 2; url++) {
            memset(bytes, 0, sizeof bytes);
            for (unsigned i = 0; i < 32; i++) {
                const unsigned value = (first + i) & 63;
                want[i] = digits[url][value];
                for (unsigned bit = 0; bit < 6; bit++)
                    if ((value >> (5 - bit) & 1) != 0)
                        bytes[(6 * i + bit) / 8] |= (uint8_t)(0x80 >> ((6 * i + bit) % 8));
            }
            assert_int_equal(hub_encode(url ? HUB_BASE64URL : HUB_BASE64, hub_span_of(bytes, sizeof bytes), text, sizeof text), 32);
            assert_memory_equal(text, want, 32);
        }
    }
}

static void bytes_are_encoded_over_themselves(void **state)
{
    (void)state;
    enum { MOST = 5000 };
    static uint8_t bytes[MOST], room[MOST * 2];
    static char expected[MOST * 2];
    for (size_t i = 0; i < MOST; i++)
        bytes[i] = (uint8_t)(i * 131 + (i >> 5));
    for (size_t len = 0; len <= MOST; len += len < 20 || (len > 760 && len < 780) ? 1 : 97) {
        const size_t encoded = hub_encode(HUB_BASE64, hub_span_of(bytes, len), expected, sizeof expected);
        memset(room, 0x5a, sizeof room);
        memcpy(room + encoded - len, bytes, len);
        hub_encode_over(room, len);
        assert_memory_equal(room, expected, encoded);
        for (size_t i = encoded; i < sizeof room; i++)
            assert_int_equal(room[i], 0x5a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4648_vectors_both_ways),
        cmocka_unit_test(decoding_is_strict),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(every_digit_is_right_in_every_place),
        cmocka_unit_test(bytes_are_encoded_over_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
