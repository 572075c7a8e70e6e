/* The two suites of sealed fields (DESIGN section 4; docs/FORMATS.md has the bytes). */
#include "src/protect/seal_internal.h"

_Static_assert((int)HUB_SALT_LEN == (int)HUB_XNONCE_HEAD, "the salt is the part of the nonce that goes into the subkey");

/* Suite 1: the salt makes the 24 bytes of its nonce unique under a key that many events share. As their first sixteen
 * they are part of the event's subkey, so that this is computed once. */
static void xc20p_rest(const uint8_t ordinal[4], uint8_t rest[HUB_XNONCE_LEN - HUB_XNONCE_HEAD])
{
    memset(rest, 0, HUB_XNONCE_LEN - HUB_XNONCE_HEAD - 4);
    memcpy(rest + HUB_XNONCE_LEN - HUB_XNONCE_HEAD - 4, ordinal, 4);
}

/* Suite 2: twelve bytes are too few to be drawn at random, so the key is the event's own and the ordinal
 * counts. */
static void gcm_nonce(const uint8_t ordinal[4], uint8_t nonce[HUB_GCM_NONCE_LEN])
{
    memset(nonce, 0, HUB_GCM_NONCE_LEN - 4);
    memcpy(nonce + HUB_GCM_NONCE_LEN - 4, ordinal, 4);
}

enum hub_result hub_suite_key(enum hub_suite suite, const uint8_t field[HUB_KEY_LEN],
                              const uint8_t salt[HUB_SALT_LEN], uint8_t key[HUB_KEY_LEN])
{
    switch (suite) {
    case HUB_SUITE_XC20P:
        hub_aead_subkey(field, salt, key);
        return HUB_OK;
    case HUB_SUITE_AES256GCM:
        return hub_hkdf_sha256(hub_span_of(field, HUB_KEY_LEN), hub_span_of(salt, HUB_SALT_LEN), HUB_SPAN_NONE,
                               key);
    }
    return HUB_INTERNAL;
}

enum hub_result hub_suite_seal(enum hub_suite suite, const uint8_t key[HUB_KEY_LEN], const uint8_t ordinal[4],
                               struct hub_span aad, struct hub_span plain, uint8_t *out)
{
    uint8_t nonce[HUB_GCM_NONCE_LEN];
    switch (suite) {
    case HUB_SUITE_XC20P:
        xc20p_rest(ordinal, nonce);
        hub_aead_seal_rest(key, nonce, aad, plain, out);
        return HUB_OK;
    case HUB_SUITE_AES256GCM:
        gcm_nonce(ordinal, nonce);
        return hub_gcm_seal(key, nonce, aad, plain, out);
    }
    return HUB_INTERNAL;
}

enum hub_result hub_suite_open(enum hub_suite suite, const uint8_t key[HUB_KEY_LEN], const uint8_t ordinal[4],
                               struct hub_span aad, struct hub_span sealed, uint8_t *out)
{
    uint8_t nonce[HUB_GCM_NONCE_LEN];
    switch (suite) {
    case HUB_SUITE_XC20P:
        xc20p_rest(ordinal, nonce);
        return hub_aead_open_rest(key, nonce, aad, sealed, out);
    case HUB_SUITE_AES256GCM:
        gcm_nonce(ordinal, nonce);
        return hub_gcm_open(key, nonce, aad, sealed, out);
    }
    return HUB_INTERNAL;
}
