/* Key records from an enemy, and from a hub whose signature is good but whose content is not; role key files. The
 * first byte: 'f' the rest is a key file, 's' a record that gets a good signature, else a record as it is. @P@ in a
 * record stands for the role's public key, @B@ for a class key sealed to it. What opens must be that key. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/codec/encode.h"
#include "src/codec/json.h"
#include "src/protect/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENCODED_MAX = 256 };

static uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], sign_secret[HUB_SIGN_SECRET_LEN];
static struct hub_role_key role;
static uint8_t class_key[HUB_KEY_LEN];
static char role_text[ENCODED_MAX], box_text[ENCODED_MAX], signer_text[ENCODED_MAX];

static void check(bool good)
{
    if (!good)
        abort();
}

static void encode(const uint8_t *bytes, size_t len, char out[ENCODED_MAX])
{
    (void)hub_encode(HUB_BASE64, hub_span_of(bytes, len), out, ENCODED_MAX);
}

static void make_keys(void)
{
    uint8_t box[HUB_KEY_LEN + HUB_BOX_SEAL_LEN];
    check(hub_crypto_init() == HUB_OK);
    hub_sign_keypair(sign_public, sign_secret);
    hub_box_keypair(role.public_key, role.secret_key);
    memset(class_key, 'k', sizeof class_key);
    check(hub_box_seal(role.public_key, hub_span_of(class_key, sizeof class_key), box) == HUB_OK);
    encode(role.public_key, sizeof role.public_key, role_text);
    encode(box, sizeof box, box_text);
    encode(sign_public, sizeof sign_public, signer_text);
}

static void expand(struct hub_span in, struct hub_buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        bool mark = in.len - i >= 3 && in.ptr[i] == '@' && in.ptr[i + 2] == '@';
        if (mark && in.ptr[i + 1] == 'P')
            hub_buf_append_str(out, role_text);
        else if (mark && in.ptr[i + 1] == 'B')
            hub_buf_append_str(out, box_text);
        else
            hub_buf_append_byte(out, in.ptr[i]);
        i += mark && (in.ptr[i + 1] == 'P' || in.ptr[i + 1] == 'B') ? 2 : 0;
    }
}

/* Signed as the hub does (docs/FORMATS.md); false when it is no object that could be. */
static bool sign(struct hub_arena *arena, struct hub_span line, struct hub_buf *out)
{
    struct hub_json *record = NULL;
    uint8_t signature[HUB_SIGNATURE_LEN];
    char text[ENCODED_MAX];
    if (hub_json_parse(arena, line, &record, NULL) != HUB_OK || record->type != HUB_JSON_OBJECT)
        return false;
    (void)hub_json_remove(record, "signature");
    check(hub_json_set_string(arena, record, "signer", hub_span_str(signer_text)) == HUB_OK);
    hub_buf_append_str(out, "chartline key record 1\n");
    hub_json_write(out, record);
    hub_sign(sign_secret, hub_buf_view(out), signature);
    encode(signature, sizeof signature, text);
    check(hub_json_set_string(arena, record, "signature", hub_span_str(text)) == HUB_OK);
    hub_buf_reset(out);
    hub_json_write(out, record);
    return hub_buf_result(out) == HUB_OK;
}

static void open_record(struct hub_span line)
{
    struct hub_key_id id;
    enum hub_data_class class_ = HUB_DATA_CLEAR;
    uint8_t key[HUB_KEY_LEN];
    struct hub_error err = {0};
    enum hub_result result = hub_role_open_class(&role, sign_public, line, &id, &class_, key, &err);
    if (result == HUB_OK)
        check(memcmp(key, class_key, sizeof key) == 0 && strlen(id.text) == HUB_KEY_ID_LEN && class_ != HUB_DATA_CLEAR);
}

static void load_file(struct hub_span bytes)
{
    char path[64];
    struct hub_role_key *key = NULL;
    uint8_t public_key[HUB_BOX_PUBLIC_LEN];
    int fd = memfd_create("key", MFD_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (hub_role_key_load(path, &key, NULL) == HUB_OK)
            hub_secret_free(key);
        (void)(hub_role_public_load(path, public_key, NULL) == HUB_OK);
    }
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_buf line, signed_line;
    if (role_text[0] == '\0')
        make_keys();
    if (size == 0)
        return 0;
    struct hub_span rest = hub_span_of(data + 1, size - 1);
    if (data[0] == 'f') {
        load_file(rest);
        return 0;
    }
    hub_arena_init(&arena, 16 << 20);
    hub_buf_init(&line, 1 << 20, false);
    hub_buf_init(&signed_line, 1 << 20, false);
    expand(rest, &line);
    if (data[0] != 's')
        open_record(hub_buf_view(&line));
    else if (sign(&arena, hub_buf_view(&line), &signed_line))
        open_record(hub_buf_view(&signed_line));
    hub_buf_deinit(&line);
    hub_buf_deinit(&signed_line);
    hub_arena_deinit(&arena);
    return 0;
}
