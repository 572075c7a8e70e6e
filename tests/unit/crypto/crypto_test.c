/* Known answers for every use of cryptography, and a tampered twin of each. The answers come from the
 * standards named, or from an independent implementation where the construction is ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "src/crypto/crypto.h"

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static void assert_hex(const uint8_t *got, size_t len, const char *hex)
{
    uint8_t want[512];
    assert_int_equal(unhex(hex, want), len);
    assert_memory_equal(got, want, len);
}

static int setup(void **state)
{
    (void)state;
    return hub_crypto_init() == HUB_OK ? 0 : -1;
}

static void crypto_init_forbids_core_dumps(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 0);
    assert_int_equal(limit.rlim_max, 0);
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L), 0);
}

static void crypto_secret_memory_holds_what_is_put_there(void **state)
{
    (void)state;
    uint8_t *a = hub_secret_alloc(HUB_KEY_LEN);
    uint8_t *b = hub_secret_alloc(HUB_KEY_LEN);
    assert_non_null(a);
    assert_non_null(b);
    hub_random(a, HUB_KEY_LEN);
    memcpy(b, a, HUB_KEY_LEN);
    assert_true(hub_crypto_equal(a, b, HUB_KEY_LEN));
    b[31] ^= 1;
    assert_false(hub_crypto_equal(a, b, HUB_KEY_LEN));
    hub_secret_free(a);
    hub_secret_free(b);
    hub_secret_free(NULL);
}

/* Keyed and unkeyed BLAKE2b against an independent implementation; "abc" from RFC 7693 appendix A. */
static void crypto_blake2b_gives_known_answers(void **state)
{
    (void)state;
    uint8_t key[HUB_KEY_LEN], out[64];
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    hub_blake2b(NULL, HUB_SPAN("abc"), out, 64);
    assert_hex(out, 64,
               "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
               "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
    hub_blake2b(key, HUB_SPAN("chartline"), out, 32);
    assert_hex(out, 32, "3236bb462047a7ed1a89740623ab60c31d0ef23c6b089fa4b2cfa8bd1e62bdab");
    hub_blake2b(NULL, HUB_SPAN("chartline"), out, 32);
    assert_hex(out, 32, "da1bb2a15c29f3de2c2ec1ca80ca91ae5a07bb8f33f3ac7f5eff2014dd30f5fe");
}

static void crypto_blake2b_parts_prefixes_every_part_with_its_length(void **state)
{
    (void)state;
    uint8_t key[HUB_KEY_LEN], out[HUB_HASH_LEN], other[HUB_HASH160_LEN];
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    struct hub_span parts[] = {HUB_SPAN("label"), HUB_SPAN_NONE, HUB_SPAN("value")};
    hub_blake2b_parts(key, parts, 3, out, sizeof out);
    assert_hex(out, sizeof out, "67768baeb84a21606a2bbe6d913283eaf9150c2de4bd37825a3dbf4f0930afbe");
    struct hub_span split[] = {HUB_SPAN("ab"), HUB_SPAN("c")}, shifted[] = {HUB_SPAN("a"), HUB_SPAN("bc")};
    hub_blake2b_parts(NULL, split, 2, other, sizeof other);
    assert_hex(other, sizeof other, "2f8aca58652a1b7b1a5b68df86197f8b451b5c3a");
    hub_blake2b_parts(NULL, shifted, 2, out, sizeof other);
    assert_memory_not_equal(out, other, sizeof other);
}

/* FIPS 180-4 examples. */
static void crypto_sha256_gives_known_answers(void **state)
{
    (void)state;
    uint8_t out[HUB_HASH_LEN];
    hub_sha256_of(HUB_SPAN("abc"), out);
    assert_hex(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hub_sha256_of(HUB_SPAN_NONE, out);
    assert_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void crypto_sha256_copy_of_a_state_continues_on_its_own(void **state)
{
    (void)state;
    uint8_t text[200], out[HUB_HASH_LEN];
    memset(text, 'a', sizeof text);
    struct hub_sha256 prefix, copy;
    hub_sha256_init(&prefix);
    hub_sha256_update(&prefix, hub_span_of(text, 77));
    copy = prefix;
    hub_sha256_update(&copy, HUB_SPAN("something else"));
    hub_sha256_final(&copy, out);
    hub_sha256_update(&prefix, hub_span_of(text, 123));
    hub_sha256_final(&prefix, out);
    assert_hex(out, sizeof out, "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5");
}

struct aead_case {
    uint8_t key[HUB_KEY_LEN], nonce[HUB_XNONCE_LEN], aad[12], sealed[256];
    struct hub_span plain;
    size_t sealed_len;
};

/* draft-irtf-cfrg-xchacha-03 appendix A.3.1. */
static void aead_vector(struct aead_case *c)
{
    for (unsigned i = 0; i < sizeof c->key; i++)
        c->key[i] = (uint8_t)(0x80 + i);
    for (unsigned i = 0; i < sizeof c->nonce; i++)
        c->nonce[i] = (uint8_t)(0x40 + i);
    assert_int_equal(unhex("50515253c0c1c2c3c4c5c6c7", c->aad), 12);
    c->plain = HUB_SPAN("Ladies and Gentlemen of the class of '99: If I could offer you "
                        "only one tip for the future, sunscreen would be it.");
    c->sealed_len = c->plain.len + HUB_TAG_LEN;
}

static void crypto_aead_gives_the_drafts_answer(void **state)
{
    (void)state;
    struct aead_case c;
    aead_vector(&c);
    hub_aead_seal(c.key, c.nonce, hub_span_of(c.aad, 12), c.plain, c.sealed);
    assert_hex(c.sealed, c.sealed_len,
               "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
               "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
               "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
               "21f9664c97637da9768812f615c68b13b52e"
               "c0875924c1c7987947deafd8780acf49");
    uint8_t plain[256];
    assert_int_equal(
        hub_aead_open(c.key, c.nonce, hub_span_of(c.aad, 12), hub_span_of(c.sealed, c.sealed_len), plain),
        HUB_OK);
    assert_memory_equal(plain, c.plain.ptr, c.plain.len);
}

/* draft-irtf-cfrg-xchacha-03 section 2.2.1, and the answer above again. */
static void crypto_aead_in_two_steps_gives_the_same(void **state)
{
    (void)state;
    struct aead_case c;
    uint8_t key[HUB_KEY_LEN], head[HUB_XNONCE_HEAD], subkey[HUB_KEY_LEN], twice[256], plain[256];
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    assert_int_equal(unhex("000000090000004a0000000031415927", head), 16);
    hub_aead_subkey(key, head, subkey);
    assert_hex(subkey, sizeof subkey, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
    aead_vector(&c);
    const struct hub_span aad = hub_span_of(c.aad, 12), sealed = hub_span_of(twice, c.sealed_len);
    hub_aead_seal(c.key, c.nonce, aad, c.plain, c.sealed);
    hub_aead_subkey(c.key, c.nonce, subkey);
    hub_aead_seal_rest(subkey, c.nonce + HUB_XNONCE_HEAD, aad, c.plain, twice);
    assert_memory_equal(twice, c.sealed, c.sealed_len);
    assert_int_equal(hub_aead_open_rest(subkey, c.nonce + HUB_XNONCE_HEAD, aad, sealed, plain), HUB_OK);
    assert_memory_equal(plain, c.plain.ptr, c.plain.len);
    twice[c.sealed_len - 1] ^= 1;
    assert_int_equal(hub_aead_open_rest(subkey, c.nonce + HUB_XNONCE_HEAD, aad, sealed, plain), HUB_CRYPTO);
    assert_int_equal(hub_aead_open_rest(subkey, c.nonce, aad, hub_span_of(twice, HUB_TAG_LEN - 1), plain), HUB_CRYPTO);
}

static void crypto_aead_works_in_place(void **state)
{
    (void)state;
    struct aead_case c;
    aead_vector(&c);
    uint8_t buffer[256];
    memcpy(buffer, c.plain.ptr, c.plain.len);
    hub_aead_seal(c.key, c.nonce, HUB_SPAN_NONE, hub_span_of(buffer, c.plain.len), buffer);
    assert_memory_not_equal(buffer, c.plain.ptr, c.plain.len);
    assert_int_equal(hub_aead_open(c.key, c.nonce, HUB_SPAN_NONE, hub_span_of(buffer, c.sealed_len), buffer),
                     HUB_OK);
    assert_memory_equal(buffer, c.plain.ptr, c.plain.len);
}

static void crypto_aead_refuses_every_flipped_byte(void **state)
{
    (void)state;
    struct aead_case c;
    aead_vector(&c);
    struct hub_span aad = hub_span_of(c.aad, 12), sealed = hub_span_of(c.sealed, c.sealed_len);
    hub_aead_seal(c.key, c.nonce, aad, c.plain, c.sealed);
    uint8_t plain[256];
    static const uint8_t zero[256];
    struct {
        uint8_t *bytes;
        size_t len;
    } places[] = {{c.sealed, c.sealed_len}, {c.aad, 12}, {c.nonce, sizeof c.nonce}, {c.key, sizeof c.key}};
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
        for (size_t i = 0; i < places[p].len; i++) {
            places[p].bytes[i] ^= 0x10;
            memset(plain, 0xee, sizeof plain);
            assert_int_equal(hub_aead_open(c.key, c.nonce, aad, sealed, plain), HUB_CRYPTO);
            assert_memory_equal(plain, zero, c.plain.len);
            places[p].bytes[i] ^= 0x10;
        }
    }
    assert_int_equal(hub_aead_open(c.key, c.nonce, aad, hub_span_of(c.sealed, c.sealed_len - 1), plain),
                     HUB_CRYPTO);
    assert_int_equal(hub_aead_open(c.key, c.nonce, aad, hub_span_of(c.sealed, HUB_TAG_LEN - 1), plain),
                     HUB_CRYPTO);
    assert_int_equal(hub_aead_open(c.key, c.nonce, aad, sealed, plain), HUB_OK);
}

/* McGrew and Viega, The Galois/Counter Mode of Operation, test case 16. */
static void gcm_vector(struct aead_case *c, uint8_t plain[60], uint8_t aad[20])
{
    (void)unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", c->key);
    (void)unhex("cafebabefacedbaddecaf888", c->nonce);
    (void)unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad);
    (void)unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                plain);
    c->plain = hub_span_of(plain, 60);
    c->sealed_len = 60 + HUB_TAG_LEN;
}

static void crypto_gcm_gives_the_papers_answer(void **state)
{
    (void)state;
    struct aead_case c;
    uint8_t plain[80], aad[20], opened[60];
    gcm_vector(&c, plain, aad);
    assert_int_equal(hub_gcm_seal(c.key, c.nonce, hub_span_of(aad, 20), c.plain, c.sealed), HUB_OK);
    assert_hex(c.sealed, c.sealed_len,
               "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
               "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
               "76fc6ece0f4e1768cddf8853bb2d551b");
    assert_int_equal(
        hub_gcm_open(c.key, c.nonce, hub_span_of(aad, 20), hub_span_of(c.sealed, c.sealed_len), opened), HUB_OK);
    assert_memory_equal(opened, plain, 60);
    assert_int_equal(hub_gcm_seal(c.key, c.nonce, hub_span_of(aad, 20), c.plain, plain), HUB_OK); /* in place */
    assert_memory_equal(plain, c.sealed, c.sealed_len);
    assert_int_equal(hub_gcm_seal(c.key, c.nonce, HUB_SPAN_NONE, HUB_SPAN_NONE, c.sealed), HUB_OK);
    assert_int_equal(hub_gcm_open(c.key, c.nonce, HUB_SPAN_NONE, hub_span_of(c.sealed, HUB_TAG_LEN), opened), HUB_OK);
}

static void crypto_gcm_refuses_every_flipped_byte(void **state)
{
    (void)state;
    struct aead_case c;
    uint8_t text[60], aad_bytes[20], plain[64];
    static const uint8_t zero[64];
    gcm_vector(&c, text, aad_bytes);
    struct hub_span aad = hub_span_of(aad_bytes, 20), sealed = hub_span_of(c.sealed, c.sealed_len);
    assert_int_equal(hub_gcm_seal(c.key, c.nonce, aad, c.plain, c.sealed), HUB_OK);
    struct {
        uint8_t *bytes;
        size_t len;
    } places[] = {
        {c.sealed, c.sealed_len}, {aad_bytes, 20}, {c.nonce, HUB_GCM_NONCE_LEN}, {c.key, sizeof c.key}};
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
        for (size_t i = 0; i < places[p].len; i++) {
            places[p].bytes[i] ^= 0x10;
            memset(plain, 0xee, sizeof plain);
            assert_int_equal(hub_gcm_open(c.key, c.nonce, aad, sealed, plain), HUB_CRYPTO);
            assert_memory_equal(plain, zero, c.plain.len);
            places[p].bytes[i] ^= 0x10;
        }
    }
    assert_int_equal(hub_gcm_open(c.key, c.nonce, aad, hub_span_of(c.sealed, c.sealed_len - 1), plain), HUB_CRYPTO);
    assert_int_equal(hub_gcm_open(c.key, c.nonce, aad, hub_span_of(c.sealed, HUB_TAG_LEN - 1), plain), HUB_CRYPTO);
    assert_int_equal(hub_gcm_open(c.key, c.nonce, aad, sealed, plain), HUB_OK);
}

/* RFC 5869 appendix A.1 and A.3, the first 32 bytes. */
static void crypto_hkdf_gives_the_rfcs_answers(void **state)
{
    (void)state;
    uint8_t key[22], salt[13], info[10], out[HUB_KEY_LEN];
    memset(key, 0x0b, sizeof key);
    (void)unhex("000102030405060708090a0b0c", salt);
    (void)unhex("f0f1f2f3f4f5f6f7f8f9", info);
    assert_int_equal(hub_hkdf_sha256(hub_span_of(key, sizeof key), hub_span_of(salt, sizeof salt),
                                     hub_span_of(info, sizeof info), out),
                     HUB_OK);
    assert_hex(out, sizeof out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    assert_int_equal(hub_hkdf_sha256(hub_span_of(key, sizeof key), HUB_SPAN_NONE, HUB_SPAN_NONE, out), HUB_OK);
    assert_hex(out, sizeof out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

/* RFC 8032 section 7.1, test 2. */
static void crypto_sign_gives_the_rfcs_answer_and_refuses_tampering(void **state)
{
    (void)state;
    uint8_t secret[HUB_SIGN_SECRET_LEN], signature[HUB_SIGNATURE_LEN], message[1] = {0x72};
    (void)unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", secret);
    (void)unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", secret + 32);
    hub_sign(secret, hub_span_of(message, 1), signature);
    assert_hex(signature, sizeof signature,
               "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
               "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    assert_int_equal(hub_sign_verify(secret + 32, hub_span_of(message, 1), signature), HUB_OK);
    for (size_t i = 0; i < sizeof signature; i++) {
        signature[i] ^= 1;
        assert_int_equal(hub_sign_verify(secret + 32, hub_span_of(message, 1), signature), HUB_CRYPTO);
        signature[i] ^= 1;
    }
    message[0] ^= 1;
    assert_int_equal(hub_sign_verify(secret + 32, hub_span_of(message, 1), signature), HUB_CRYPTO);
    uint8_t other_public[HUB_SIGN_PUBLIC_LEN], other_secret[HUB_SIGN_SECRET_LEN];
    hub_sign_keypair(other_public, other_secret);
    message[0] ^= 1;
    assert_int_equal(hub_sign_verify(other_public, hub_span_of(message, 1), signature), HUB_CRYPTO);
}

/* RFC 7748 section 6.1: Alice's key pair. */
static void crypto_box_public_key_is_the_rfcs(void **state)
{
    (void)state;
    uint8_t secret[HUB_BOX_SECRET_LEN], public_key[HUB_BOX_PUBLIC_LEN];
    (void)unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", secret);
    hub_box_public(secret, public_key);
    assert_hex(public_key, sizeof public_key,
               "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
}

static void crypto_box_opens_only_with_its_secret_and_untampered(void **state)
{
    (void)state;
    uint8_t public_key[HUB_BOX_PUBLIC_LEN], secret[HUB_BOX_SECRET_LEN], again[HUB_BOX_PUBLIC_LEN];
    hub_box_keypair(public_key, secret);
    hub_box_public(secret, again);
    assert_memory_equal(again, public_key, sizeof again);
    struct hub_span plain = HUB_SPAN("a class key of thirty-two bytes.");
    uint8_t sealed[32 + HUB_BOX_SEAL_LEN], out[32];
    assert_int_equal(hub_box_seal(public_key, plain, sealed), HUB_OK);
    assert_int_equal(hub_box_open(public_key, secret, hub_span_of(sealed, sizeof sealed), out), HUB_OK);
    assert_memory_equal(out, plain.ptr, plain.len);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 4;
        assert_int_equal(hub_box_open(public_key, secret, hub_span_of(sealed, sizeof sealed), out),
                         HUB_CRYPTO);
        sealed[i] ^= 4;
    }
    assert_int_equal(hub_box_open(public_key, secret, hub_span_of(sealed, HUB_BOX_SEAL_LEN - 1), out),
                     HUB_CRYPTO);
    uint8_t other_public[HUB_BOX_PUBLIC_LEN], other_secret[HUB_BOX_SECRET_LEN];
    hub_box_keypair(other_public, other_secret);
    assert_int_equal(hub_box_open(other_public, other_secret, hub_span_of(sealed, sizeof sealed), out),
                     HUB_CRYPTO);
}

static void crypto_box_refuses_a_public_key_that_is_none(void **state)
{
    (void)state;
    static const uint8_t zero[HUB_BOX_PUBLIC_LEN];
    uint8_t sealed[4 + HUB_BOX_SEAL_LEN];
    assert_int_equal(hub_box_seal(zero, HUB_SPAN("none"), sealed), HUB_CRYPTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crypto_init_forbids_core_dumps),
        cmocka_unit_test(crypto_secret_memory_holds_what_is_put_there),
        cmocka_unit_test(crypto_blake2b_gives_known_answers),
        cmocka_unit_test(crypto_blake2b_parts_prefixes_every_part_with_its_length),
        cmocka_unit_test(crypto_sha256_gives_known_answers),
        cmocka_unit_test(crypto_sha256_copy_of_a_state_continues_on_its_own),
        cmocka_unit_test(crypto_aead_gives_the_drafts_answer),
        cmocka_unit_test(crypto_aead_in_two_steps_gives_the_same),
        cmocka_unit_test(crypto_aead_works_in_place),
        cmocka_unit_test(crypto_aead_refuses_every_flipped_byte),
        cmocka_unit_test(crypto_gcm_gives_the_papers_answer),
        cmocka_unit_test(crypto_gcm_refuses_every_flipped_byte),
        cmocka_unit_test(crypto_hkdf_gives_the_rfcs_answers),
        cmocka_unit_test(crypto_sign_gives_the_rfcs_answer_and_refuses_tampering),
        cmocka_unit_test(crypto_box_public_key_is_the_rfcs),
        cmocka_unit_test(crypto_box_opens_only_with_its_secret_and_untampered),
        cmocka_unit_test(crypto_box_refuses_a_public_key_that_is_none),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
