#include "src/codec/encode.h"

#include <endian.h>
#include <string.h>

#if defined(__x86_64__)
#include <tmmintrin.h>
#endif

static const char hex_digits[] = "0123456789abcdef";
static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t hub_encoded_len(enum hub_encoding encoding, size_t len)
{
    switch (encoding) {
    case HUB_HEX:
        return len * 2;
    case HUB_BASE32:
        return len / 5 * 8 + (len % 5 * 8 + 4) / 5;
    case HUB_BASE64:
        return (len + 2) / 3 * 4;
    case HUB_BASE64URL:
        return len / 3 * 4 + (len % 3 != 0 ? len % 3 + 1 : 0);
    }
    return 0;
}

static const char *alphabet(enum hub_encoding encoding, unsigned *bits)
{
    switch (encoding) {
    case HUB_HEX:
        *bits = 4;
        return hex_digits;
    case HUB_BASE32:
        *bits = 5;
        return base32_digits;
    case HUB_BASE64:
        *bits = 6;
        return base64_digits;
    case HUB_BASE64URL:
        break;
    }
    *bits = 6;
    return base64url_digits;
}

#if defined(__x86_64__)
/* Twelve bytes to sixteen digits a step. Multiplications move each six bits to a byte of their own; a table of
 * differences, looked up by the range a value is in, makes it a digit. Returns how many bytes were taken. */
__attribute__((target("ssse3"))) static size_t base64_ssse3(const char *digits, struct hub_span bytes, char *out)
{
    const __m128i order = _mm_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1);
    const char plus = (char)(digits[62] - 62), slash = (char)(digits[63] - 63), number = '0' - 52;
    const __m128i differences = _mm_setr_epi8('a' - 26, number, number, number, number, number, number, number,
                                              number, number, number, plus, slash, 'A', 0, 0);
    size_t i = 0;
    for (; bytes.len - i >= 16; i += 12, out += 16) { /* a step reads sixteen bytes */
        __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(bytes.ptr + i));
        in = _mm_shuffle_epi8(in, order);
        const __m128i high = _mm_mulhi_epu16(_mm_and_si128(in, _mm_set1_epi32(0x0fc0fc00)),
                                             _mm_set1_epi32(0x04000040));
        const __m128i low = _mm_mullo_epi16(_mm_and_si128(in, _mm_set1_epi32(0x003f03f0)),
                                            _mm_set1_epi32(0x01000010));
        const __m128i six = _mm_or_si128(high, low);
        const __m128i capital = _mm_cmpgt_epi8(_mm_set1_epi8(26), six);
        const __m128i range = _mm_or_si128(_mm_subs_epu8(six, _mm_set1_epi8(51)),
                                           _mm_and_si128(capital, _mm_set1_epi8(13)));
        _mm_storeu_si128((__m128i *)(void *)out, _mm_add_epi8(six, _mm_shuffle_epi8(differences, range)));
    }
    return i;
}
#endif

/* Whole groups of three bytes: ciphertexts of every event come through here. */
static size_t base64_groups(const char *digits, struct hub_span bytes, char *out)
{
    size_t i = 0;
#if defined(__x86_64__)
    if (bytes.len >= 16 && __builtin_cpu_supports("ssse3"))
        i = base64_ssse3(digits, bytes, out);
#endif
    size_t at = i / 3 * 4;
    for (; i + 3 <= bytes.len; i += 3) {
        uint32_t v = (uint32_t)bytes.ptr[i] << 16 | (uint32_t)bytes.ptr[i + 1] << 8 | bytes.ptr[i + 2];
        out[at++] = digits[v >> 18];
        out[at++] = digits[v >> 12 & 63];
        out[at++] = digits[v >> 6 & 63];
        out[at++] = digits[v & 63];
    }
    return at;
}

/* Whole groups of five bytes: every id and token. The forty bits are spread over the bytes of a word, five to each, and
 * become digits all at once: letters from 'a', from 26 on digits from '2'. */
static size_t base32_groups(struct hub_span bytes, char *out)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t at = 0;
    for (size_t i = 0; i + 5 <= bytes.len; i += 5, at += 8) {
        const uint8_t *p = bytes.ptr + i;
        const uint64_t high = (uint64_t)p[0] << 12 | (uint64_t)p[1] << 4 | p[2] >> 4; /* 20 bits each */
        const uint64_t low = (uint64_t)(p[2] & 15) << 16 | (uint64_t)p[3] << 8 | p[4];
        uint64_t v = high << 32 | low;
        v = (v & UINT64_C(0x000ffc00000ffc00)) << 6 | (v & UINT64_C(0x000003ff000003ff));
        v = (v & UINT64_C(0x03e003e003e003e0)) << 3 | (v & UINT64_C(0x001f001f001f001f));
        const uint64_t digits = (v + ones * (0x80 - 26)) >> 7 & ones; /* 1 in the bytes of 26 and more */
        v = htobe64(v + ones * 'a' - digits * ('a' + 26 - '2'));
        memcpy(out + at, &v, sizeof v);
    }
    return at;
}

static size_t encode_into(enum hub_encoding encoding, struct hub_span bytes, char *out)
{
    unsigned bits;
    const char *digits = alphabet(encoding, &bits);
    size_t at = 0;
    if (bits == 6) {
        at = base64_groups(digits, bytes, out);
        bytes = hub_span_of(bytes.len == 0 ? NULL : bytes.ptr + bytes.len / 3 * 3, bytes.len % 3);
    } else if (bits == 5) {
        at = base32_groups(bytes, out);
        bytes = hub_span_of(bytes.len == 0 ? NULL : bytes.ptr + bytes.len / 5 * 5, bytes.len % 5);
    }
    uint32_t value = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value = value << 8 | bytes.ptr[i];
        held += 8;
        while (held >= bits) {
            held -= bits;
            out[at++] = digits[value >> held & ((1u << bits) - 1)];
        }
        value &= (1u << held) - 1;
    }
    if (held > 0)
        out[at++] = digits[value << (bits - held) & ((1u << bits) - 1)];
    while (encoding == HUB_BASE64 && at % 4 != 0)
        out[at++] = '=';
    return at;
}

size_t hub_encode(enum hub_encoding encoding, struct hub_span bytes, char *out, size_t out_cap)
{
    HUB_ASSERT(out_cap > hub_encoded_len(encoding, bytes.len));
    size_t len = encode_into(encoding, bytes, out);
    out[len] = '\0';
    return len;
}

/* Piece by piece from the front: what was written never passes what was not read yet, for a third of the bytes left is
 * between them. */
void hub_encode_over(uint8_t *room, size_t len)
{
    enum { PIECE = 3 * 256 };
    uint8_t piece[PIECE];
    const uint8_t *in = room + hub_encoded_len(HUB_BASE64, len) - len;
    while (len != 0) {
        const size_t take = len < PIECE ? len : PIECE;
        memcpy(piece, in, take);
        room += encode_into(HUB_BASE64, hub_span_of(piece, take), (char *)room);
        in += take;
        len -= take;
    }
}

void hub_encode_append(enum hub_encoding encoding, struct hub_span bytes, struct hub_buf *out)
{
    uint8_t *to = hub_buf_reserve(out, hub_encoded_len(encoding, bytes.len));
    if (to != NULL)
        out->len += encode_into(encoding, bytes, (char *)to);
}

static int digit_value(enum hub_encoding encoding, uint8_t c)
{
    if (encoding == HUB_HEX)
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (encoding == HUB_BASE32)
        return c >= 'a' && c <= 'z' ? c - 'a' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (encoding == HUB_BASE64)
        return c == '+' ? 62 : c == '/' ? 63 : -1;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static enum hub_result strip_padding(struct hub_span *text)
{
    HUB_ENSURE(text->len % 4 == 0, HUB_SYNTAX);
    for (int i = 0; i < 2 && text->len > 0 && text->ptr[text->len - 1] == '='; i++)
        text->len--;
    return HUB_OK;
}

enum hub_result hub_decode(enum hub_encoding encoding, struct hub_span text, uint8_t *out, size_t out_cap, size_t *out_len)
{
    unsigned bits;
    (void)alphabet(encoding, &bits);
    if (encoding == HUB_BASE64)
        HUB_TRY(strip_padding(&text));
    size_t len = text.len * bits / 8;
    HUB_ENSURE(len <= out_cap, HUB_TOO_LARGE);
    HUB_ENSURE(hub_encoded_len(encoding == HUB_BASE64 ? HUB_BASE64URL : encoding, len) == text.len, HUB_SYNTAX);
    uint32_t value = 0;
    unsigned held = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_value(encoding, text.ptr[i]);
        HUB_ENSURE(digit >= 0, HUB_SYNTAX);
        value = value << bits | (uint32_t)digit;
        held += bits;
        if (held >= 8) {
            held -= 8;
            out[at++] = (uint8_t)(value >> held);
        }
        value &= (1u << held) - 1;
    }
    HUB_ENSURE(value == 0, HUB_SYNTAX);
    *out_len = at;
    return HUB_OK;
}
