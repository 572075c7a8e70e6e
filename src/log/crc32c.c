#include "src/log/crc32c.h"

#include <pthread.h>
#include <stdatomic.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
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
/* The instruction takes three cycles but can start one each: three parts of PART bytes go side by side, and the states
 * of the first two are moved over the bytes behind them. over[k][b] is what byte k = b of a state becomes after PART
 * zero bytes. */
enum { PART = 1024 };
static uint32_t over[4][256];
static pthread_once_t over_once = PTHREAD_ONCE_INIT;

static uint32_t over_zeros(uint32_t state)
{
    for (size_t i = 0; i < PART; i++)
        state = (state >> 8) ^ tables[0][state & 0xff];
    return state;
}

static void over_init(void)
{
    (void)pthread_once(&tables_once, tables_init);
    for (unsigned k = 0; k < 4; k++) {
        uint32_t bits[8]; /* the operation is linear: bytes are sums of bits */
        for (unsigned bit = 0; bit < 8; bit++)
            bits[bit] = over_zeros(UINT32_C(1) << (8 * k + bit));
        for (unsigned b = 0; b < 256; b++)
            for (unsigned bit = 0; bit < 8; bit++)
                over[k][b] ^= (b >> bit & 1) != 0 ? bits[bit] : 0;
    }
}

static uint64_t over_part(uint64_t state)
{
    return over[0][state & 0xff] ^ over[1][state >> 8 & 0xff] ^ over[2][state >> 16 & 0xff] ^ over[3][state >> 24 & 0xff];
}

__attribute__((target("sse4.2"))) static uint64_t crc32c_three(uint64_t state, const uint8_t *p)
{
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < PART; i += 8) {
        uint64_t words[3];
        memcpy(&words[0], p + i, 8);
        memcpy(&words[1], p + PART + i, 8);
        memcpy(&words[2], p + 2 * PART + i, 8);
        state = _mm_crc32_u64(state, words[0]);
        second = _mm_crc32_u64(second, words[1]);
        third = _mm_crc32_u64(third, words[2]);
    }
    return over_part(over_part(state) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, struct hub_span bytes)
{
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    uint64_t state = (uint32_t)~crc;
    if (left >= 3 * (size_t)PART)
        (void)pthread_once(&over_once, over_init);
    for (; left >= 3 * (size_t)PART; left -= 3 * (size_t)PART, p += 3 * (size_t)PART)
        state = crc32c_three(state, p);
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        state = _mm_crc32_u64(state, word);
    }
    for (; left > 0; left--, p++)
        state = _mm_crc32_u8((uint32_t)state, *p);
    return ~(uint32_t)state;
}

static bool has_sse42(void)
{
    static atomic_int known; /* 0 not asked yet, 1 no, 2 yes */
    int state = atomic_load_explicit(&known, memory_order_relaxed);
    if (state == 0) {
        state = __builtin_cpu_supports("sse4.2") ? 2 : 1;
        atomic_store_explicit(&known, state, memory_order_relaxed);
    }
    return state == 2;
}
#endif

uint32_t hub_crc32c(uint32_t crc, struct hub_span bytes)
{
#if defined(__x86_64__)
    if (has_sse42())
        return crc32c_sse42(crc, bytes);
#endif
    return hub_crc32c_portable(crc, bytes);
}
