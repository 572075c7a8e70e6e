/* JSON records that say who made them: Ed25519 over a label and the canonical form, in the members `signer`
 * and `signature` (docs/FORMATS.md). Key records and identity facts are made so. Any thread. */
#pragma once

#include "src/codec/json.h"
#include "src/crypto/crypto.h"

#define HUB_SIGNED_IDENTITY "chartline identity record 1\n" /* label of what the topic identity holds */

enum {
    HUB_SIGNED_BYTES_MAX = 1024 * 1024,        /* of a record: no larger one is made, and none is read */
    HUB_SIGNED_ARENA_BYTES = 80 * 1024 * 1024, /* to read any text of that size, whatever it says */
};

struct hub_signer { /* the secret stays with whoever gives this */
    const uint8_t *public_key; /* HUB_SIGN_PUBLIC_LEN */
    void (*sign)(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN]);
    void *ctx;
};

/* Adds both members to OBJECT and gives its canonical form, in ARENA. HUB_NO_MEMORY, HUB_TOO_LARGE. */
enum hub_result hub_signed_write(struct hub_arena *arena, const char *label, struct hub_json *object,
                                 const struct hub_signer *signer, struct hub_span *line,
                                 struct hub_error *err) HUB_MUST_USE;
/* Parses LINE and checks that SIGN_PUBLIC signed it. HUB_SYNTAX, also for one past HUB_SIGNED_BYTES_MAX; HUB_CRYPTO. */
enum hub_result hub_signed_read(struct hub_arena *arena, const char *label, struct hub_span line,
                                const uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], struct hub_json **object,
                                struct hub_error *err) HUB_MUST_USE;
/* The same; any of the COUNT keys in TRUSTED may have signed it. */
enum hub_result hub_signed_read_any(struct hub_arena *arena, const char *label, struct hub_span line,
                                    const uint8_t (*trusted)[HUB_SIGN_PUBLIC_LEN], size_t count, struct hub_json **object,
                                    struct hub_error *err) HUB_MUST_USE;
