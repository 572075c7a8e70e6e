#include "src/codec/json.h"

/* Length of the well-formed sequence at P (Unicode 15, table 3-7), 0 when there is none. */
static size_t sequence_len(const uint8_t *p, size_t left)
{
    uint8_t a = p[0];
    if (a < 0x80)
        return 1;
    if (a < 0xc2 || a > 0xf4)
        return 0;
    size_t len = a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
    if (left < len)
        return 0;
    uint8_t low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    uint8_t high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* Length of the stretch of ASCII at the start, in steps of 64 bytes that the compiler makes vector instructions of. */
static size_t ascii_stretch(struct hub_span bytes)
{
    enum { STEP = 64 };
    size_t i = 0;
    for (; i + STEP <= bytes.len; i += STEP) {
        uint64_t words[STEP / sizeof(uint64_t)];
        uint64_t all = 0;
        memcpy(words, bytes.ptr + i, sizeof words);
        for (size_t k = 0; k < STEP / sizeof *words; k++)
            all |= words[k];
        if ((all & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    return i;
}

size_t hub_utf8_valid_len(struct hub_span bytes)
{
    size_t i = ascii_stretch(bytes);
    while (i < bytes.len) {
        uint64_t word;
        if (bytes.len - i >= sizeof word) {
            memcpy(&word, bytes.ptr + i, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t len = sequence_len(bytes.ptr + i, bytes.len - i);
        if (len == 0)
            return i;
        i += len;
    }
    return i;
}

bool hub_utf8_valid(struct hub_span bytes)
{
    return hub_utf8_valid_len(bytes) == bytes.len;
}
