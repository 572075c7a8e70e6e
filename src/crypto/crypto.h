/* The primitives (libsodium; crypto_sodium.c is its only user; SHA-256, AES-256-GCM and HKDF from OpenSSL in
 * crypto_openssl.c). Nothing here knows about keys' purposes.
 * Any thread after hub_crypto_init. Lengths are fixed by the arrays. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"

enum {
    HUB_KEY_LEN = 32,
    HUB_HASH_LEN = 32,    /* BLAKE2b-256, SHA-256 */
    HUB_HASH160_LEN = 20, /* BLAKE2b-160 */
    HUB_XNONCE_LEN = 24,
    HUB_XNONCE_HEAD = 16, /* of it goes into the subkey */
    HUB_GCM_NONCE_LEN = 12,
    HUB_TAG_LEN = 16,
    HUB_SIGN_PUBLIC_LEN = 32,
    HUB_SIGN_SECRET_LEN = 64,
    HUB_SIGNATURE_LEN = 64,
    HUB_BOX_PUBLIC_LEN = 32,
    HUB_BOX_SECRET_LEN = 32,
    HUB_BOX_SEAL_LEN = 48, /* overhead of a sealed box */
};

/* Once, before anything else; also switches core dumps off for the process. */
enum hub_result hub_crypto_init(void) HUB_MUST_USE;
/* Of it OpenSSL's part, before anybody's first use of that library in the process. */
bool hub_openssl_init(void);

/* Guarded, locked, wiped on free. NULL when memory (or RLIMIT_MEMLOCK) is out. */
void *hub_secret_alloc(size_t len);
void hub_secret_free(void *secret);

void hub_random(void *out, size_t len);
bool hub_crypto_equal(const void *a, const void *b, size_t len); /* constant time */

/* BLAKE2b over the parts, each preceded by its length as 8 bytes little endian, so that no two lists of
 * parts collide. KEY may be NULL (unkeyed), else HUB_KEY_LEN bytes. OUT_LEN 16..64. */
void hub_blake2b_parts(const uint8_t *key, const struct hub_span *parts, size_t count, uint8_t *out, size_t out_len);
/* BLAKE2b over the bytes as they are. */
void hub_blake2b(const uint8_t *key, struct hub_span bytes, uint8_t *out, size_t out_len);

struct hub_sha256 {
    _Alignas(16) uint8_t opaque[128]; /* copyable: a copy continues on its own */
};
void hub_sha256_init(struct hub_sha256 *state);
void hub_sha256_update(struct hub_sha256 *state, struct hub_span bytes);
void hub_sha256_final(struct hub_sha256 *state, uint8_t out[HUB_HASH_LEN]);
void hub_sha256_of(struct hub_span bytes, uint8_t out[HUB_HASH_LEN]);

/* XChaCha20-Poly1305-IETF. OUT has plain.len + HUB_TAG_LEN bytes, may be the plaintext's memory. */
void hub_aead_seal(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_XNONCE_LEN], struct hub_span aad,
                   struct hub_span plain, uint8_t *out);
/* OUT has sealed.len - HUB_TAG_LEN bytes. HUB_CRYPTO when it does not verify (OUT is then zeroed). */
enum hub_result hub_aead_open(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_XNONCE_LEN], struct hub_span aad,
                              struct hub_span sealed, uint8_t *out) HUB_MUST_USE;

/* The same in two steps (draft-irtf-cfrg-xchacha-03 section 2.3), for many texts under nonces that begin alike: a subkey
 * of the key and the nonce's first HUB_XNONCE_HEAD bytes, once; then ChaCha20-Poly1305-IETF with that and the REST. */
void hub_aead_subkey(const uint8_t key[HUB_KEY_LEN], const uint8_t head[HUB_XNONCE_HEAD], uint8_t subkey[HUB_KEY_LEN]);
void hub_aead_seal_rest(const uint8_t subkey[HUB_KEY_LEN], const uint8_t rest[HUB_XNONCE_LEN - HUB_XNONCE_HEAD], struct hub_span aad,
                        struct hub_span plain, uint8_t *out);
enum hub_result hub_aead_open_rest(const uint8_t subkey[HUB_KEY_LEN], const uint8_t rest[HUB_XNONCE_LEN - HUB_XNONCE_HEAD],
                                   struct hub_span aad, struct hub_span sealed, uint8_t *out) HUB_MUST_USE;

/* AES-256-GCM (NIST SP 800-38D), 96-bit nonce, 128-bit tag behind the ciphertext. OUT as with hub_aead_*. The same
 * nonce never twice under one key: it would give the authentication key away. HUB_NO_MEMORY: nothing was sealed. */
enum hub_result hub_gcm_seal(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_GCM_NONCE_LEN], struct hub_span aad,
                             struct hub_span plain, uint8_t *out) HUB_MUST_USE;
enum hub_result hub_gcm_open(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_GCM_NONCE_LEN], struct hub_span aad,
                             struct hub_span sealed, uint8_t *out) HUB_MUST_USE;
/* HKDF-SHA256 (RFC 5869): extract with SALT, expand with INFO (may be empty) to HUB_KEY_LEN bytes. HUB_NO_MEMORY. */
enum hub_result hub_hkdf_sha256(struct hub_span key, struct hub_span salt, struct hub_span info, uint8_t out[HUB_KEY_LEN]) HUB_MUST_USE;

/* Ed25519. */
void hub_sign_keypair(uint8_t public_key[HUB_SIGN_PUBLIC_LEN], uint8_t secret_key[HUB_SIGN_SECRET_LEN]);
void hub_sign(const uint8_t secret_key[HUB_SIGN_SECRET_LEN], struct hub_span bytes, uint8_t out[HUB_SIGNATURE_LEN]);
enum hub_result hub_sign_verify(const uint8_t public_key[HUB_SIGN_PUBLIC_LEN], struct hub_span bytes,
                                const uint8_t signature[HUB_SIGNATURE_LEN]) HUB_MUST_USE;

/* X25519 sealed boxes (crypto_box_seal). OUT of seal has bytes.len + HUB_BOX_SEAL_LEN bytes; HUB_CRYPTO for a
 * public key that is none (low order). OUT of open has sealed.len - HUB_BOX_SEAL_LEN bytes. */
void hub_box_keypair(uint8_t public_key[HUB_BOX_PUBLIC_LEN], uint8_t secret_key[HUB_BOX_SECRET_LEN]);
void hub_box_public(const uint8_t secret_key[HUB_BOX_SECRET_LEN], uint8_t public_key[HUB_BOX_PUBLIC_LEN]);
enum hub_result hub_box_seal(const uint8_t public_key[HUB_BOX_PUBLIC_LEN], struct hub_span bytes, uint8_t *out) HUB_MUST_USE;
enum hub_result hub_box_open(const uint8_t public_key[HUB_BOX_PUBLIC_LEN], const uint8_t secret_key[HUB_BOX_SECRET_LEN],
                             struct hub_span sealed, uint8_t *out) HUB_MUST_USE;

/* Versions of the libraries this process runs with, static. */
const char *hub_sodium_version(void);
const char *hub_openssl_version(void);
