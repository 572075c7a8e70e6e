/* libsodium's only user. Its functions fail only on lengths we do not pass and on low-order public keys, so
 * most answers are asserted. */
#include "src/crypto/crypto.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

_Static_assert(HUB_KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "AEAD key");
_Static_assert(HUB_XNONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "AEAD nonce");
_Static_assert(HUB_XNONCE_HEAD == crypto_core_hchacha20_INPUTBYTES, "AEAD subkey");
_Static_assert(HUB_KEY_LEN == crypto_core_hchacha20_OUTPUTBYTES, "AEAD subkey");
_Static_assert(HUB_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES, "AEAD tag");
_Static_assert(HUB_TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES, "AEAD tag");
_Static_assert(HUB_SIGN_PUBLIC_LEN == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
_Static_assert(HUB_SIGN_SECRET_LEN == crypto_sign_SECRETKEYBYTES, "Ed25519 secret key");
_Static_assert(HUB_SIGNATURE_LEN == crypto_sign_BYTES, "Ed25519 signature");
_Static_assert(HUB_BOX_PUBLIC_LEN == crypto_box_PUBLICKEYBYTES, "X25519 public key");
_Static_assert(HUB_BOX_SECRET_LEN == crypto_box_SECRETKEYBYTES, "X25519 secret key");
_Static_assert(HUB_BOX_SEAL_LEN == crypto_box_SEALBYTES, "sealed box overhead");

enum { SHORT_MAX = 512 };

enum hub_result hub_crypto_init(void)
{
    if (sodium_init() < 0 || !hub_openssl_init())
        return HUB_INTERNAL;
    /* Keys and plaintexts live in this process's memory: no core file may hold them, and none may be piped
     * to a collector either (the limit alone does not stop a piped core). */
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) != 0)
        return HUB_INTERNAL;
    return HUB_OK;
}

void *hub_secret_alloc(size_t len)
{
    return sodium_malloc(len);
}

void hub_secret_free(void *secret)
{
    sodium_free(secret);
}

void hub_random(void *out, size_t len)
{
    randombytes_buf(out, len);
}

bool hub_crypto_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

static uint8_t *put_le64(uint8_t *at, uint64_t number)
{
    number = htole64(number);
    memcpy(at, &number, sizeof number);
    return at + sizeof number;
}

/* Short inputs, as ids and tokens have, in one go: a call for each part costs more than the hash. False: too long. */
static bool blake2b_short(const uint8_t *key, const struct hub_span *parts, size_t count, uint8_t *out,
                          size_t out_len)
{
    uint8_t bytes[SHORT_MAX];
    uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) {
        const size_t left = sizeof bytes - (size_t)(at - bytes);
        if (left < 8 || left - 8 < parts[i].len)
            return false;
        at = put_le64(at, parts[i].len);
        if (parts[i].len != 0)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    hub_blake2b(key, hub_span_of(bytes, (size_t)(at - bytes)), out, out_len);
    sodium_memzero(bytes, (size_t)(at - bytes));
    return true;
}

void hub_blake2b_parts(const uint8_t *key, const struct hub_span *parts, size_t count, uint8_t *out,
                       size_t out_len)
{
    if (blake2b_short(key, parts, count, out, out_len))
        return;
    crypto_generichash_state state;
    int rc = crypto_generichash_init(&state, key, key != NULL ? HUB_KEY_LEN : 0, out_len);
    for (size_t i = 0; i < count; i++) {
        uint8_t len[8];
        (void)put_le64(len, parts[i].len);
        rc |= crypto_generichash_update(&state, len, sizeof len);
        if (parts[i].len != 0)
            rc |= crypto_generichash_update(&state, parts[i].ptr, parts[i].len);
    }
    rc |= crypto_generichash_final(&state, out, out_len);
    HUB_ASSERT(rc == 0);
    sodium_memzero(&state, sizeof state); /* it holds the key block */
}

void hub_blake2b(const uint8_t *key, struct hub_span bytes, uint8_t *out, size_t out_len)
{
    int rc = crypto_generichash(out, out_len, bytes.ptr, bytes.len, key, key != NULL ? HUB_KEY_LEN : 0);
    HUB_ASSERT(rc == 0);
}

void hub_aead_seal(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_XNONCE_LEN], struct hub_span aad,
                   struct hub_span plain, uint8_t *out)
{
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, plain.ptr, plain.len, aad.ptr, aad.len,
                                                        NULL, nonce, key);
    HUB_ASSERT(rc == 0);
}

enum hub_result hub_aead_open(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_XNONCE_LEN],
                              struct hub_span aad, struct hub_span sealed, uint8_t *out)
{
    HUB_ENSURE(sealed.len >= HUB_TAG_LEN, HUB_CRYPTO);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.ptr, sealed.len, aad.ptr, aad.len,
                                                   nonce, key) != 0) {
        sodium_memzero(out, sealed.len - HUB_TAG_LEN);
        return HUB_CRYPTO;
    }
    return HUB_OK;
}

void hub_aead_subkey(const uint8_t key[HUB_KEY_LEN], const uint8_t head[HUB_XNONCE_HEAD], uint8_t subkey[HUB_KEY_LEN])
{
    int rc = crypto_core_hchacha20(subkey, head, key, NULL);
    HUB_ASSERT(rc == 0);
}

/* The 96 bits of RFC 8439: four zeros, then what the subkey does not know. */
static void rest_nonce(const uint8_t rest[HUB_XNONCE_LEN - HUB_XNONCE_HEAD], uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
    memset(nonce, 0, 4);
    memcpy(nonce + 4, rest, HUB_XNONCE_LEN - HUB_XNONCE_HEAD);
}

void hub_aead_seal_rest(const uint8_t subkey[HUB_KEY_LEN], const uint8_t rest[HUB_XNONCE_LEN - HUB_XNONCE_HEAD], struct hub_span aad,
                        struct hub_span plain, uint8_t *out)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    rest_nonce(rest, nonce);
    int rc = crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.ptr, plain.len, aad.ptr, aad.len, NULL, nonce, subkey);
    HUB_ASSERT(rc == 0);
}

enum hub_result hub_aead_open_rest(const uint8_t subkey[HUB_KEY_LEN], const uint8_t rest[HUB_XNONCE_LEN - HUB_XNONCE_HEAD],
                                   struct hub_span aad, struct hub_span sealed, uint8_t *out)
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    HUB_ENSURE(sealed.len >= HUB_TAG_LEN, HUB_CRYPTO);
    rest_nonce(rest, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.ptr, sealed.len, aad.ptr, aad.len, nonce, subkey) != 0) {
        sodium_memzero(out, sealed.len - HUB_TAG_LEN);
        return HUB_CRYPTO;
    }
    return HUB_OK;
}

void hub_sign_keypair(uint8_t public_key[HUB_SIGN_PUBLIC_LEN], uint8_t secret_key[HUB_SIGN_SECRET_LEN])
{
    int rc = crypto_sign_keypair(public_key, secret_key);
    HUB_ASSERT(rc == 0);
}

void hub_sign(const uint8_t secret_key[HUB_SIGN_SECRET_LEN], struct hub_span bytes,
              uint8_t out[HUB_SIGNATURE_LEN])
{
    int rc = crypto_sign_detached(out, NULL, bytes.ptr, bytes.len, secret_key);
    HUB_ASSERT(rc == 0);
}

enum hub_result hub_sign_verify(const uint8_t public_key[HUB_SIGN_PUBLIC_LEN], struct hub_span bytes,
                                const uint8_t signature[HUB_SIGNATURE_LEN])
{
    return crypto_sign_verify_detached(signature, bytes.ptr, bytes.len, public_key) == 0 ? HUB_OK
                                                                                         : HUB_CRYPTO;
}

void hub_box_keypair(uint8_t public_key[HUB_BOX_PUBLIC_LEN], uint8_t secret_key[HUB_BOX_SECRET_LEN])
{
    int rc = crypto_box_keypair(public_key, secret_key);
    HUB_ASSERT(rc == 0);
}

void hub_box_public(const uint8_t secret_key[HUB_BOX_SECRET_LEN], uint8_t public_key[HUB_BOX_PUBLIC_LEN])
{
    int rc = crypto_scalarmult_base(public_key, secret_key);
    HUB_ASSERT(rc == 0);
}

enum hub_result hub_box_seal(const uint8_t public_key[HUB_BOX_PUBLIC_LEN], struct hub_span bytes,
                             uint8_t *out)
{
    return crypto_box_seal(out, bytes.ptr, bytes.len, public_key) == 0 ? HUB_OK : HUB_CRYPTO;
}

enum hub_result hub_box_open(const uint8_t public_key[HUB_BOX_PUBLIC_LEN],
                             const uint8_t secret_key[HUB_BOX_SECRET_LEN], struct hub_span sealed,
                             uint8_t *out)
{
    HUB_ENSURE(sealed.len >= HUB_BOX_SEAL_LEN, HUB_CRYPTO);
    return crypto_box_seal_open(out, sealed.ptr, sealed.len, public_key, secret_key) == 0 ? HUB_OK
                                                                                          : HUB_CRYPTO;
}

const char *hub_sodium_version(void)
{
    return sodium_version_string();
}
