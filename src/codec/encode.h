/* Text forms of bytes: hex (lower case), base32 (RFC 4648 alphabet in lower case, no padding), base64
 * (RFC 4648 section 4 with padding) and base64url (section 5 without). Any thread. */
#pragma once

#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum hub_encoding { HUB_HEX, HUB_BASE32, HUB_BASE64, HUB_BASE64URL };

/* Characters needed for LEN bytes, without a NUL. */
size_t hub_encoded_len(enum hub_encoding encoding, size_t len);
/* Writes hub_encoded_len characters and a NUL; OUT_CAP must have room for both. Returns the length. */
size_t hub_encode(enum hub_encoding encoding, struct hub_span bytes, char *out, size_t out_cap);
/* LEN bytes stand at the end of ROOM, which has hub_encoded_len(HUB_BASE64, LEN) bytes: their base64 fills it, over them. */
void hub_encode_over(uint8_t *room, size_t len);
void hub_encode_append(enum hub_encoding encoding, struct hub_span bytes, struct hub_buf *out);
/* Strict: alphabet, padding, unused bits zero. HUB_SYNTAX otherwise, HUB_TOO_LARGE when OUT_CAP is too small. */
enum hub_result hub_decode(enum hub_encoding encoding, struct hub_span text, uint8_t *out, size_t out_cap, size_t *out_len) HUB_MUST_USE;
