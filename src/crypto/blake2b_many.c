/* BLAKE2b (RFC 7693) of several inputs side by side: one lane of a vector register for each, so that what takes one
 * hash its whole time is done for four at once. An event has dozens of short inputs that do not depend on each other
 * (resource ids, field keys, commitments). libsodium hashes one after the other, and still does where there are no such
 * registers. */
#include <string.h>

#include "src/base/mem.h"
#include "src/crypto/crypto.h"

#if defined(__x86_64__)

enum { LANES = 4, BLOCK = 128, WORDS = 16, STATE = 8, ROUNDS = 12 };

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

static const uint64_t initial[STATE] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
};

/* Which word of the block each step of a round takes; rounds 10 and 11 are as 0 and 1. */
static const uint8_t order[10][WORDS] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

struct group {                /* of LANES inputs */
    lanes state[STATE];
    lanes words[WORDS];       /* the block at work */
    lanes counted, last, live; /* bytes so far; all bits set: its last block; it has one in this step */
};

/* The caller's vector instructions: it is part of each caller. */
static inline __attribute__((always_inline)) void compress(struct group *g)
{
    lanes v[WORDS];
    for (int i = 0; i < STATE; i++) {
        v[i] = g->state[i];
        v[STATE + i] = (lanes){0} + initial[i];
    }
    v[12] ^= g->counted; /* less than 2^64 */
    v[14] ^= g->last;
#define ROTATE(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define MIX(a, b, c, d, x, y)                                                                                          \
    v[a] += v[b] + (x);                                                                                                \
    v[d] = ROTATE(v[d] ^ v[a], 32);                                                                                    \
    v[c] += v[d];                                                                                                      \
    v[b] = ROTATE(v[b] ^ v[c], 24);                                                                                    \
    v[a] += v[b] + (y);                                                                                                \
    v[d] = ROTATE(v[d] ^ v[a], 16);                                                                                    \
    v[c] += v[d];                                                                                                      \
    v[b] = ROTATE(v[b] ^ v[c], 63);
#pragma GCC unroll 12
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *at = order[round % 10];
        const lanes *m = g->words;
        MIX(0, 4, 8, 12, m[at[0]], m[at[1]])
        MIX(1, 5, 9, 13, m[at[2]], m[at[3]])
        MIX(2, 6, 10, 14, m[at[4]], m[at[5]])
        MIX(3, 7, 11, 15, m[at[6]], m[at[7]])
        MIX(0, 5, 10, 15, m[at[8]], m[at[9]])
        MIX(1, 6, 11, 12, m[at[10]], m[at[11]])
        MIX(2, 7, 8, 13, m[at[12]], m[at[13]])
        MIX(3, 4, 9, 14, m[at[14]], m[at[15]])
    }
#undef MIX
#undef ROTATE
    for (int i = 0; i < STATE; i++)
        g->state[i] ^= (v[i] ^ v[STATE + i]) & g->live;
}

__attribute__((target("avx2"))) static void compress_avx2(struct group *g)
{
    compress(g);
}

/* Has a rotation of its own, and twice the registers. */
__attribute__((target("avx2,avx512f,avx512vl"))) static void compress_avx512(struct group *g)
{
    compress(g);
}

typedef void (*compress_fn)(struct group *g);

static compress_fn compress_here(void)
{
    if (!__builtin_cpu_supports("avx2"))
        return NULL;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? compress_avx512 : compress_avx2;
}

/* A key is a block of its own before the others; an empty input without a key is one block of zeros. */
static size_t block_count(const struct hub_blake2b_job *job)
{
    size_t blocks = (job->bytes.len + BLOCK - 1) / BLOCK + (job->key != NULL ? 1 : 0);
    return blocks != 0 ? blocks : 1;
}

static void load(struct group *g, size_t lane, const struct hub_blake2b_job *job, size_t block)
{
    uint64_t words[WORDS] = {0};
    size_t before = job->key != NULL ? 1 : 0;
    if (block < before) {
        memcpy(words, job->key, HUB_KEY_LEN);
        g->counted[lane] += BLOCK;
    } else {
        size_t at = (block - before) * BLOCK;
        size_t len = job->bytes.len - at < BLOCK ? job->bytes.len - at : BLOCK;
        if (len != 0)
            memcpy(words, job->bytes.ptr + at, len);
        g->counted[lane] += len;
    }
    if (block + 1 == block_count(job))
        g->last[lane] = UINT64_MAX;
    for (size_t i = 0; i < WORDS; i++)
        ((uint64_t *)&g->words[i])[lane] = words[i];
}

static void hash_group(compress_fn compress_group, const struct hub_blake2b_job *jobs, size_t count, size_t out_len)
{
    struct group g;
    size_t blocks = 0;
    memset(&g, 0, sizeof g);
    for (size_t i = 0; i < STATE; i++)
        g.state[i] += initial[i];
    for (size_t lane = 0; lane < count; lane++) {
        size_t own = block_count(&jobs[lane]);
        g.state[0][lane] ^= 0x01010000u ^ (jobs[lane].key != NULL ? (uint64_t)HUB_KEY_LEN << 8 : 0) ^ out_len;
        blocks = own > blocks ? own : blocks;
    }
    for (size_t block = 0; block < blocks; block++) {
        for (size_t lane = 0; lane < count; lane++) {
            bool live = block < block_count(&jobs[lane]);
            g.live[lane] = live ? UINT64_MAX : 0;
            if (live)
                load(&g, lane, &jobs[lane], block);
        }
        compress_group(&g);
    }
    for (size_t lane = 0; lane < count; lane++) {
        uint64_t out[STATE];
        for (size_t i = 0; i < STATE; i++)
            out[i] = g.state[i][lane];
        memcpy(jobs[lane].out, out, out_len);
        hub_mem_wipe(out, sizeof out);
    }
    hub_mem_wipe(&g, sizeof g); /* it holds the key blocks */
}

void hub_blake2b_many(const struct hub_blake2b_job *jobs, size_t count, size_t out_len)
{
    const compress_fn compress_group = compress_here();
    while (compress_group != NULL && count > 1) {
        size_t n = count < LANES ? count : LANES;
        hash_group(compress_group, jobs, n, out_len);
        jobs += n;
        count -= n;
    }
    for (size_t i = 0; i < count; i++)
        hub_blake2b(jobs[i].key, jobs[i].bytes, jobs[i].out, out_len);
}

#else

void hub_blake2b_many(const struct hub_blake2b_job *jobs, size_t count, size_t out_len)
{
    for (size_t i = 0; i < count; i++)
        hub_blake2b(jobs[i].key, jobs[i].bytes, jobs[i].out, out_len);
}

#endif
