/* Signed notes (C2SP signed-note), verifier keys and checkpoints (C2SP tlog-checkpoint), Ed25519 only.
 * Everything read here may come from an enemy: parsing is strict, nothing is allocated. Any thread. */
#pragma once

#include "src/audit/merkle.h"
#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"
#include "src/crypto/crypto.h"

enum {
    HUB_NOTE_NAME_MAX = 127,
    HUB_NOTE_ID_LEN = 4,
    HUB_NOTE_VKEY_MAX = HUB_NOTE_NAME_MAX + 64, /* with NUL */
    HUB_NOTE_BYTES_MAX = 64 * 1024,
    HUB_NOTE_SIGNATURES_MAX = 32,
};

struct hub_note_key {
    char name[HUB_NOTE_NAME_MAX + 1];
    uint8_t id[HUB_NOTE_ID_LEN]; /* SHA-256(name | 0x0A | 0x01 | public key), first 4 bytes */
    uint8_t public_key[HUB_SIGN_PUBLIC_LEN];
};

/* A key name: UTF-8, not empty, at most HUB_NOTE_NAME_MAX bytes, no Unicode space, control character or '+'. */
bool hub_note_name_valid(struct hub_span name);
/* HUB_CONFIG when NAME is no key name. */
enum hub_result hub_note_key_init(struct hub_note_key *key, struct hub_span name, const uint8_t public_key[HUB_SIGN_PUBLIC_LEN],
                                  struct hub_error *err) HUB_MUST_USE;
/* "<name>+<hash>+<key>", no newline. */
void hub_note_vkey_format(const struct hub_note_key *key, char out[HUB_NOTE_VKEY_MAX]);
/* One line, with or without its newline. HUB_SYNTAX when it is no vkey of an Ed25519 key or its id is not its hash. */
enum hub_result hub_note_vkey_parse(struct hub_span text, struct hub_note_key *key, struct hub_error *err) HUB_MUST_USE;

/* Appends TEXT (ends with a newline), the empty line and the signature line to OUT. */
void hub_note_write(struct hub_buf *out, struct hub_span text, const struct hub_note_key *key, const uint8_t signature[HUB_SIGNATURE_LEN]);
/* The note's TEXT (a view into NOTE, with its last newline) without looking at any signature but for form. HUB_SYNTAX. */
enum hub_result hub_note_text(struct hub_span note, struct hub_span *text, struct hub_error *err) HUB_MUST_USE;
/* Same, and KEY must have signed it: signatures of other keys are passed over; HUB_CRYPTO when KEY's is
 * absent or does not verify. */
enum hub_result hub_note_open(struct hub_span note, const struct hub_note_key *key, struct hub_span *text, struct hub_error *err) HUB_MUST_USE;

struct hub_checkpoint {
    struct hub_span origin; /* view */
    uint64_t size;
    struct hub_merkle_hash root;
};
/* Appends the three lines. */
void hub_checkpoint_write(struct hub_buf *out, const struct hub_checkpoint *checkpoint);
/* TEXT of a note; extension lines are passed over. HUB_SYNTAX. */
enum hub_result hub_checkpoint_parse(struct hub_span text, struct hub_checkpoint *out, struct hub_error *err) HUB_MUST_USE;
