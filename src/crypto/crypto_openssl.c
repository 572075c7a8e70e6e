/* What OpenSSL does better or alone.
 *
 * SHA-256 through its low-level functions: libsodium's is portable C, OpenSSL's uses the processor's SHA
 * instructions, and the committer and the audit tree hash every event. The low-level context, unlike EVP's, is
 * plain data: a copy continues on its own, without heap. OpenSSL 3 marks these functions deprecated for
 * applications that want providers; for hashing this hub wants none.
 *
 * AES-256-GCM and HKDF for suite 2: libsodium has AES-GCM only where the processor has AES instructions.
 * Through EVP, so that a provider of a validated module serves them where a site needs one. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "src/crypto/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof((struct hub_sha256){{0}}.opaque), "the state fits");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct hub_sha256), "the state is aligned");
_Static_assert(HUB_HASH_LEN == SHA256_DIGEST_LENGTH, "SHA-256");

static SHA256_CTX *context_of(struct hub_sha256 *state)
{
    return (SHA256_CTX *)(void *)state->opaque;
}

/* What OpenSSL holds ends with the process, not in exit(): a client of the bus that is still closing its connections in a
 * thread of its own would find it gone. */
bool hub_openssl_init(void)
{
    return OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) == 1;
}

void hub_sha256_init(struct hub_sha256 *state)
{
    int rc = SHA256_Init(context_of(state));
    HUB_ASSERT(rc == 1);
}

void hub_sha256_update(struct hub_sha256 *state, struct hub_span bytes)
{
    int rc = SHA256_Update(context_of(state), bytes.ptr, bytes.len);
    HUB_ASSERT(rc == 1);
}

void hub_sha256_final(struct hub_sha256 *state, uint8_t out[HUB_HASH_LEN])
{
    int rc = SHA256_Final(out, context_of(state));
    HUB_ASSERT(rc == 1);
}

void hub_sha256_of(struct hub_span bytes, uint8_t out[HUB_HASH_LEN])
{
    struct hub_sha256 state;
    hub_sha256_init(&state);
    hub_sha256_update(&state, bytes);
    hub_sha256_final(&state, out);
}

const char *hub_openssl_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

/* --- suite 2 --- */

/* Looked up once: a lookup takes a lock and more time than a small message's encryption. They live as long as
 * the process; a context is of one call. */
static EVP_CIPHER *gcm;
static EVP_KDF *hkdf;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    hkdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
}

/* EVP counts in int. What is larger goes in parts. */
enum { PART_MAX = 1 << 30 };

static bool update(EVP_CIPHER_CTX *context, uint8_t *out, struct hub_span in)
{
    bool good = true;
    for (size_t at = 0; at < in.len && good; at += PART_MAX) {
        const int part = in.len - at < PART_MAX ? (int)(in.len - at) : PART_MAX;
        int got = 0;
        good = EVP_CipherUpdate(context, out != NULL ? out + at : NULL, &got, in.ptr + at, part) == 1 && got == part;
    }
    return good;
}

/* The context ready for the text; NULL: out of memory, or a provider without AES. */
static EVP_CIPHER_CTX *begin(const uint8_t *key, const uint8_t *nonce, struct hub_span aad, bool seal)
{
    (void)pthread_once(&fetched, fetch);
    EVP_CIPHER_CTX *context = gcm != NULL ? EVP_CIPHER_CTX_new() : NULL;
    if (context != NULL && EVP_CipherInit_ex2(context, gcm, key, nonce, seal, NULL) == 1 && update(context, NULL, aad))
        return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}

enum hub_result hub_gcm_seal(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_GCM_NONCE_LEN], struct hub_span aad,
                             struct hub_span plain, uint8_t *out)
{
    int rest = 0;
    EVP_CIPHER_CTX *context = begin(key, nonce, aad, true);
    const bool good = context != NULL && update(context, out, plain) &&
                      EVP_EncryptFinal_ex(context, out + plain.len, &rest) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, HUB_TAG_LEN, out + plain.len) == 1;
    EVP_CIPHER_CTX_free(context);
    return good ? HUB_OK : HUB_NO_MEMORY;
}

enum hub_result hub_gcm_open(const uint8_t key[HUB_KEY_LEN], const uint8_t nonce[HUB_GCM_NONCE_LEN], struct hub_span aad,
                             struct hub_span sealed, uint8_t *out)
{
    uint8_t tag[HUB_TAG_LEN];
    int rest = 0;
    HUB_ENSURE(sealed.len >= HUB_TAG_LEN, HUB_CRYPTO);
    const size_t len = sealed.len - HUB_TAG_LEN;
    memcpy(tag, sealed.ptr + len, sizeof tag);
    EVP_CIPHER_CTX *context = begin(key, nonce, aad, false);
    HUB_ENSURE(context != NULL, HUB_NO_MEMORY);
    const bool good = update(context, out, hub_span_of(sealed.ptr, len)) &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, HUB_TAG_LEN, tag) == 1 &&
                      EVP_DecryptFinal_ex(context, out + len, &rest) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!good && len != 0)
        OPENSSL_cleanse(out, len); /* nobody works with what did not verify */
    return good ? HUB_OK : HUB_CRYPTO;
}

/* Nothing at no address is no value to OpenSSL; nothing at some address is an empty one. */
static OSSL_PARAM octets(const char *name, struct hub_span bytes)
{
    static char empty[1];
    return OSSL_PARAM_construct_octet_string(name, bytes.len != 0 ? (void *)(uintptr_t)bytes.ptr : empty, bytes.len);
}

enum hub_result hub_hkdf_sha256(struct hub_span key, struct hub_span salt, struct hub_span info, uint8_t out[HUB_KEY_LEN])
{
    char digest[] = "SHA256";
    (void)pthread_once(&fetched, fetch);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, sizeof digest - 1),
        octets(OSSL_KDF_PARAM_KEY, key),
        octets(OSSL_KDF_PARAM_SALT, salt),
        octets(OSSL_KDF_PARAM_INFO, info),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *context = hkdf != NULL ? EVP_KDF_CTX_new(hkdf) : NULL;
    const bool good = context != NULL && EVP_KDF_derive(context, out, HUB_KEY_LEN, params) == 1;
    EVP_KDF_CTX_free(context);
    return good ? HUB_OK : HUB_NO_MEMORY;
}
