#include "src/log/crc32c.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Eight tables: eight bytes a step ("slicing by 8"). */
static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
        tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
}

uint32_t hub_crc32c_portable(uint32_t crc, struct hub_span bytes)
{
    (void)pthread_once(&tables_once, tables_init);
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    crc = ~crc;
    for (; left >= 8; left -= 8, p += 8) {
        uint32_t low =
            crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
              tables[4][low >> 24] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
    }
    for (; left > 0; left--, p++)
        crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
enum { FOLDED = 64 }; /* bytes a step: four registers side by side, for one instruction waits for the one before */

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, struct hub_span bytes)
{
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    uint64_t state = (uint32_t)~crc;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        state = _mm_crc32_u64(state, word);
    }
    for (; left > 0; left--, p++)
        state = _mm_crc32_u8((uint32_t)state, *p);
    return ~(uint32_t)state;
}

/* X, moved as many bits to the front as the two numbers in BY say (x to the power of that, less the polynomial's
 * multiples), and what stands there. */
__attribute__((target("sse4.2,pclmul"))) static inline __m128i fold(__m128i x, __m128i by, __m128i there)
{
    return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11)), there);
}

/* Multiplication without carries ("Fast CRC Computation Using PCLMULQDQ", Intel 2009), here of reflected bits. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_pclmul(uint32_t crc, struct hub_span bytes)
{
    const __m128i by_512 = _mm_set_epi64x(0x9e4addf8, 0x740eef02), by_256 = _mm_set_epi64x(0xba4fc28e, 0x3da6d0cb),
                  by_128 = _mm_set_epi64x(0x493c7d27, 0xf20c0dfe);
    const __m128i *p = (const __m128i *)(const void *)bytes.ptr;
    size_t left = bytes.len - FOLDED;
    __m128i a = _mm_xor_si128(_mm_loadu_si128(p), _mm_cvtsi32_si128((int)~crc));
    __m128i b = _mm_loadu_si128(p + 1), c = _mm_loadu_si128(p + 2), d = _mm_loadu_si128(p + 3);
    for (p += 4; left >= FOLDED; left -= FOLDED, p += 4) {
        a = fold(a, by_512, _mm_loadu_si128(p));
        b = fold(b, by_512, _mm_loadu_si128(p + 1));
        c = fold(c, by_512, _mm_loadu_si128(p + 2));
        d = fold(d, by_512, _mm_loadu_si128(p + 3));
    }
    a = fold(fold(a, by_128, b), by_256, fold(c, by_128, d));
    uint64_t state = _mm_crc32_u64(0, (uint64_t)_mm_extract_epi64(a, 0));
    state = _mm_crc32_u64(state, (uint64_t)_mm_extract_epi64(a, 1));
    return crc32c_sse42(~(uint32_t)state, hub_span_of(p, left));
}
#endif

uint32_t hub_crc32c(uint32_t crc, struct hub_span bytes)
{
#if defined(__x86_64__)
    if (bytes.len >= FOLDED && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return crc32c_pclmul(crc, bytes);
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, bytes);
#endif
    return hub_crc32c_portable(crc, bytes);
}
