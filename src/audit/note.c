#include "src/audit/note.h"

#include "src/codec/encode.h"
#include "src/codec/json.h"

enum {
    TYPE_ED25519 = 0x01,
    KEY_BYTES = 1 + HUB_SIGN_PUBLIC_LEN,
    BLOB_BYTES = HUB_NOTE_ID_LEN + HUB_SIGNATURE_LEN,
    BLOB_BYTES_MAX = 8 * 1024, /* other algorithms' signatures: ML-DSA-44 has 2420 bytes */
    SIZE_DIGITS_MAX = 19,
};

#define DASH "\xE2\x80\x94 " /* U+2014 and a space */

/* White_Space of Unicode above ASCII, as UTF-8. */
static const char *const spaces[] = {
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
    "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A",
    "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80",
};

bool hub_note_name_valid(struct hub_span name)
{
    if (name.len == 0 || name.len > HUB_NOTE_NAME_MAX || !hub_utf8_valid(name))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= 0x20 || name.ptr[i] == 0x7F || name.ptr[i] == '+')
            return false;
    }
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        if (memmem(name.ptr, name.len, spaces[i], strlen(spaces[i])) != NULL)
            return false;
    }
    return true;
}

static void key_id(const struct hub_note_key *key, uint8_t id[HUB_NOTE_ID_LEN])
{
    static const uint8_t middle[] = {0x0A, TYPE_ED25519};
    struct hub_sha256 sha;
    uint8_t hash[HUB_HASH_LEN];
    hub_sha256_init(&sha);
    hub_sha256_update(&sha, hub_span_str(key->name));
    hub_sha256_update(&sha, hub_span_of(middle, sizeof middle));
    hub_sha256_update(&sha, hub_span_of(key->public_key, sizeof key->public_key));
    hub_sha256_final(&sha, hash);
    memcpy(id, hash, HUB_NOTE_ID_LEN);
}

enum hub_result hub_note_key_init(struct hub_note_key *key, struct hub_span name, const uint8_t public_key[HUB_SIGN_PUBLIC_LEN],
                                  struct hub_error *err)
{
    if (!hub_note_name_valid(name))
        return hub_fail(err, HUB_CONFIG, "the hub's name cannot be the name of a signing key",
                        "use a name without spaces and '+', at most 117 bytes");
    memset(key, 0, sizeof *key);
    memcpy(key->name, name.ptr, name.len);
    memcpy(key->public_key, public_key, HUB_SIGN_PUBLIC_LEN);
    key_id(key, key->id);
    return HUB_OK;
}

void hub_note_vkey_format(const struct hub_note_key *key, char out[HUB_NOTE_VKEY_MAX])
{
    uint8_t typed[KEY_BYTES] = {TYPE_ED25519};
    memcpy(typed + 1, key->public_key, HUB_SIGN_PUBLIC_LEN);
    size_t at = strlen(key->name);
    memcpy(out, key->name, at);
    out[at++] = '+';
    at += hub_encode(HUB_HEX, hub_span_of(key->id, sizeof key->id), out + at, HUB_NOTE_VKEY_MAX - at);
    out[at++] = '+';
    (void)hub_encode(HUB_BASE64, hub_span_of(typed, sizeof typed), out + at, HUB_NOTE_VKEY_MAX - at);
}

/* Cuts REST at the first BYTE: what stands before it is returned, REST goes on behind it. */
static bool cut(struct hub_span *rest, char byte, struct hub_span *before)
{
    const uint8_t *at = rest->len != 0 ? memchr(rest->ptr, byte, rest->len) : NULL;
    if (at == NULL)
        return false;
    *before = hub_span_of(rest->ptr, (size_t)(at - rest->ptr));
    *rest = hub_span_of(at + 1, rest->len - before->len - 1);
    return true;
}

static bool vkey_fields(struct hub_span text, struct hub_note_key *key)
{
    struct hub_span name, hash;
    uint8_t typed[KEY_BYTES], id[HUB_NOTE_ID_LEN];
    size_t len;
    if (!cut(&text, '+', &name) || !cut(&text, '+', &hash) || !hub_note_name_valid(name))
        return false;
    if (hub_decode(HUB_HEX, hash, key->id, sizeof key->id, &len) != HUB_OK || len != sizeof key->id)
        return false;
    if (hub_decode(HUB_BASE64, text, typed, sizeof typed, &len) != HUB_OK || len != sizeof typed)
        return false;
    memcpy(key->name, name.ptr, name.len);
    memcpy(key->public_key, typed + 1, HUB_SIGN_PUBLIC_LEN);
    key_id(key, id);
    return typed[0] == TYPE_ED25519 && memcmp(id, key->id, sizeof id) == 0;
}

enum hub_result hub_note_vkey_parse(struct hub_span text, struct hub_note_key *key, struct hub_error *err)
{
    if (text.len != 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    memset(key, 0, sizeof *key);
    if (!vkey_fields(text, key))
        return hub_fail(err, HUB_SYNTAX, "not a verifier key of an Ed25519 signature",
                        "give the one line of the audit folder's vkey file: name+hash+key");
    return HUB_OK;
}

void hub_note_write(struct hub_buf *out, struct hub_span text, const struct hub_note_key *key, const uint8_t signature[HUB_SIGNATURE_LEN])
{
    uint8_t blob[BLOB_BYTES];
    HUB_ASSERT(text.len != 0 && text.ptr[text.len - 1] == '\n');
    memcpy(blob, key->id, HUB_NOTE_ID_LEN);
    memcpy(blob + HUB_NOTE_ID_LEN, signature, HUB_SIGNATURE_LEN);
    hub_buf_append_span(out, text);
    hub_buf_append_str(out, "\n" DASH);
    hub_buf_append_str(out, key->name);
    hub_buf_append_byte(out, ' ');
    hub_encode_append(HUB_BASE64, hub_span_of(blob, sizeof blob), out);
    hub_buf_append_byte(out, '\n');
}

struct signature_line {
    struct hub_span name;
    uint8_t blob[BLOB_BYTES_MAX];
    size_t blob_len;
};

static bool signature_next(struct hub_span *rest, struct signature_line *line)
{
    struct hub_span text, name;
    if (!cut(rest, '\n', &text) || text.len < sizeof DASH - 1 || memcmp(text.ptr, DASH, sizeof DASH - 1) != 0)
        return false;
    text = hub_span_of(text.ptr + sizeof DASH - 1, text.len - (sizeof DASH - 1));
    if (!cut(&text, ' ', &name) || !hub_note_name_valid(name))
        return false;
    line->name = name;
    return hub_decode(HUB_BASE64, text, line->blob, sizeof line->blob, &line->blob_len) == HUB_OK &&
           line->blob_len > HUB_NOTE_ID_LEN;
}

/* The text ends at the last empty line (the text itself may hold empty lines). */
static bool split(struct hub_span note, struct hub_span *text, struct hub_span *signatures)
{
    if (note.len > HUB_NOTE_BYTES_MAX || !hub_utf8_valid(note))
        return false;
    for (size_t i = 0; i < note.len; i++) {
        if (note.ptr[i] < 0x20 && note.ptr[i] != '\n')
            return false;
    }
    const uint8_t *at = note.len != 0 ? memrchr(note.ptr, '\n', note.len) : NULL;
    while (at != NULL && at > note.ptr && at[-1] != '\n')
        at = memrchr(note.ptr, '\n', (size_t)(at - note.ptr));
    if (at == NULL || at <= note.ptr)
        return false;
    *text = hub_span_of(note.ptr, (size_t)(at - note.ptr));
    *signatures = hub_span_of(at + 1, note.len - text->len - 1);
    return signatures->len != 0;
}

/* Walks all signature lines; *FOUND says whether one of KEY (may be NULL) was there and good. */
static enum hub_result walk(struct hub_span note, const struct hub_note_key *key, struct hub_span *text, bool *found)
{
    struct hub_span rest;
    struct signature_line line;
    HUB_ENSURE(split(note, text, &rest), HUB_SYNTAX);
    *found = false;
    for (size_t count = 0; rest.len != 0; count++) {
        HUB_ENSURE(count < HUB_NOTE_SIGNATURES_MAX && signature_next(&rest, &line), HUB_SYNTAX);
        if (key == NULL || !hub_span_is(line.name, key->name) || memcmp(line.blob, key->id, sizeof key->id) != 0)
            continue;
        HUB_ENSURE(line.blob_len == BLOB_BYTES, HUB_CRYPTO);
        HUB_TRY(hub_sign_verify(key->public_key, *text, line.blob + HUB_NOTE_ID_LEN));
        *found = true;
    }
    return HUB_OK;
}

static enum hub_result walk_failed(enum hub_result result, struct hub_error *err)
{
    if (result == HUB_SYNTAX)
        return hub_fail(err, HUB_SYNTAX, "not a signed note", NULL);
    return hub_fail(err, result, "the note's signature does not verify", NULL);
}

enum hub_result hub_note_text(struct hub_span note, struct hub_span *text, struct hub_error *err)
{
    bool found;
    enum hub_result result = walk(note, NULL, text, &found);
    return result == HUB_OK ? HUB_OK : walk_failed(result, err);
}

enum hub_result hub_note_open(struct hub_span note, const struct hub_note_key *key, struct hub_span *text, struct hub_error *err)
{
    bool found;
    enum hub_result result = walk(note, key, text, &found);
    if (result != HUB_OK)
        return walk_failed(result, err);
    return found ? HUB_OK : hub_fail(err, HUB_CRYPTO, "the note is not signed by the given key", NULL);
}

void hub_checkpoint_write(struct hub_buf *out, const struct hub_checkpoint *checkpoint)
{
    hub_buf_append_span(out, checkpoint->origin);
    hub_buf_append_byte(out, '\n');
    hub_buf_append_u64(out, checkpoint->size);
    hub_buf_append_byte(out, '\n');
    hub_encode_append(HUB_BASE64, hub_span_of(checkpoint->root.bytes, sizeof checkpoint->root.bytes), out);
    hub_buf_append_byte(out, '\n');
}

static bool checkpoint_lines(struct hub_span text, struct hub_checkpoint *out)
{
    struct hub_span size, root, extension;
    size_t len;
    if (!cut(&text, '\n', &out->origin) || !cut(&text, '\n', &size) || !cut(&text, '\n', &root))
        return false;
    if (!hub_note_name_valid(out->origin) || size.len > SIZE_DIGITS_MAX || !hub_span_parse_u64(size, &out->size))
        return false;
    if ((size.len > 1 && size.ptr[0] == '0') || out->size >= UINT64_C(1) << 62)
        return false;
    if (hub_decode(HUB_BASE64, root, out->root.bytes, sizeof out->root.bytes, &len) != HUB_OK || len != HUB_HASH_LEN)
        return false;
    while (text.len != 0) {
        if (!cut(&text, '\n', &extension) || extension.len == 0)
            return false;
    }
    return true;
}

enum hub_result hub_checkpoint_parse(struct hub_span text, struct hub_checkpoint *out, struct hub_error *err)
{
    if (!checkpoint_lines(text, out))
        return hub_fail(err, HUB_SYNTAX, "not a checkpoint", NULL);
    return HUB_OK;
}
