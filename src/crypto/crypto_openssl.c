/* SHA-256 through OpenSSL's low-level functions: libsodium's is portable C, OpenSSL's uses the processor's
 * SHA instructions, and the committer and the audit tree hash every event. The low-level context, unlike
 * EVP's, is plain data: a copy continues on its own, without heap. OpenSSL 3 marks these functions deprecated
 * for applications that want providers; this hub wants none. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "src/crypto/crypto.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof((struct hub_sha256){{0}}.opaque), "the state fits");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct hub_sha256), "the state is aligned");
_Static_assert(HUB_HASH_LEN == SHA256_DIGEST_LENGTH, "SHA-256");

static SHA256_CTX *context_of(struct hub_sha256 *state)
{
    return (SHA256_CTX *)(void *)state->opaque;
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
