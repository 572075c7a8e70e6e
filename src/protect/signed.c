#include "src/protect/signed.h"

#include "src/codec/encode.h"

static enum hub_result set_base64(struct hub_arena *arena, struct hub_json *object, const char *key,
                                  struct hub_span bytes)
{
    const size_t cap = hub_encoded_len(HUB_BASE64, bytes.len) + 1;
    char *text = hub_arena_bytes(arena, cap);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, key, hub_span_of(text, hub_encode(HUB_BASE64, bytes, text, cap)));
}

/* OUT has exactly LEN bytes. */
static bool get_base64(const struct hub_json *object, const char *key, uint8_t *out, size_t len)
{
    size_t got = 0;
    return hub_decode(HUB_BASE64, hub_json_get_span(object, key), out, len, &got) == HUB_OK && got == len;
}

static enum hub_result signed_bytes(const char *label, const struct hub_json *object, struct hub_buf *out)
{
    hub_buf_append_str(out, label);
    hub_json_write(out, object);
    return hub_buf_result(out);
}

enum hub_result hub_signed_write(struct hub_arena *arena, const char *label, struct hub_json *object,
                                 const struct hub_signer *signer, struct hub_span *line, struct hub_error *err)
{
    struct hub_buf buf;
    uint8_t signature[HUB_SIGNATURE_LEN];
    enum hub_result result;
    hub_buf_init(&buf, HUB_SIGNED_BYTES_MAX, false);
    HUB_TRY_OUT(set_base64(arena, object, "signer", hub_span_of(signer->public_key, HUB_SIGN_PUBLIC_LEN)));
    HUB_TRY_OUT(signed_bytes(label, object, &buf));
    signer->sign(signer->ctx, hub_buf_view(&buf), signature);
    HUB_TRY_OUT(set_base64(arena, object, "signature", hub_span_of(signature, sizeof signature)));
    hub_buf_reset(&buf);
    hub_json_write(&buf, object);
    HUB_TRY_OUT(hub_buf_result(&buf));
    *line = hub_arena_copy(arena, hub_buf_view(&buf));
    result = line->ptr != NULL ? HUB_OK : HUB_NO_MEMORY;
out:
    hub_buf_deinit(&buf);
    if (result == HUB_TOO_LARGE)
        return hub_fail(err, result, "a record to sign that is larger than any reader takes", NULL);
    return result == HUB_OK ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static bool is_trusted(const uint8_t signer[HUB_SIGN_PUBLIC_LEN], const uint8_t (*trusted)[HUB_SIGN_PUBLIC_LEN], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (hub_crypto_equal(signer, trusted[i], HUB_SIGN_PUBLIC_LEN))
            return true;
    }
    return false;
}

enum hub_result hub_signed_read(struct hub_arena *arena, const char *label, struct hub_span line,
                                const uint8_t sign_public[HUB_SIGN_PUBLIC_LEN], struct hub_json **object,
                                struct hub_error *err)
{
    return hub_signed_read_any(arena, label, line, (const uint8_t(*)[HUB_SIGN_PUBLIC_LEN])sign_public, 1, object, err);
}

enum hub_result hub_signed_read_any(struct hub_arena *arena, const char *label, struct hub_span line,
                                    const uint8_t (*trusted)[HUB_SIGN_PUBLIC_LEN], size_t count, struct hub_json **object,
                                    struct hub_error *err)
{
    uint8_t signer[HUB_SIGN_PUBLIC_LEN], signature[HUB_SIGNATURE_LEN];
    struct hub_buf buf;
    if (line.len > HUB_SIGNED_BYTES_MAX)
        return hub_fail(err, HUB_SYNTAX, "larger than any signed record is", NULL);
    HUB_TRY(hub_json_parse(arena, line, object, err));
    if (!get_base64(*object, "signer", signer, sizeof signer) ||
        !get_base64(*object, "signature", signature, sizeof signature) || !is_trusted(signer, trusted, count))
        return hub_fail(err, HUB_CRYPTO, "a record that no trusted hub signed", NULL);
    struct hub_json *kept = hub_json_remove(*object, "signature");
    hub_buf_init(&buf, SIZE_MAX / 2, false); /* the canonical form may be longer than what was given */
    enum hub_result result = signed_bytes(label, *object, &buf);
    if (result == HUB_OK)
        result = hub_sign_verify(signer, hub_buf_view(&buf), signature);
    hub_buf_deinit(&buf);
    if (result == HUB_NO_MEMORY)
        return hub_fail(err, result, NULL, NULL);
    if (result != HUB_OK)
        return hub_fail(err, HUB_CRYPTO, "a record whose signature does not verify", NULL);
    return hub_json_set_c(*object, "signature", kept);
}
