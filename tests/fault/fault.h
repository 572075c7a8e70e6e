/* Faults for any code that takes its memory from src/base/mem.h and its stores from src/store/kv.h, and for tests
 * of it:
 *  - fault_each_allocation: WORK again and again, the 1st, 2nd, 3rd ... allocation failing, until none does;
 *  - fault_each_store: the same with the operations of stores;
 *  - fault_each_arena: WORK with arenas that are full one step later each time.
 * After each run CHECK looks at what came of it, nothing failing any more; the last run is one in which nothing
 * failed. LASTING: all later ones fail too, until CHECK. All return how many runs had a failure.
 * For files see fault_disk.h, for a whole hub fault_line.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/mem.h"
#include "src/store/kv.h"

static inline uint64_t fault_each_allocation(bool lasting, void (*work)(void *ctx),
                                             void (*check)(void *ctx, bool failed), void *ctx)
{
    for (uint64_t nth = 1;; nth++) {
        (void)hub_mem_fail_nth(nth, lasting);
        work(ctx);
        bool failed = hub_mem_fail_nth(0, 0) >= nth;
        check(ctx, failed);
        if (!failed)
            return nth - 1;
    }
}

/* WHAT: HUB_KV_READS, HUB_KV_WRITES or both. */
static inline uint64_t fault_each_store(unsigned what, bool lasting, void (*work)(void *ctx),
                                        void (*check)(void *ctx, bool failed), void *ctx)
{
    for (uint64_t nth = 1;; nth++) {
        (void)hub_kv_fail_nth(what, nth, lasting);
        work(ctx);
        bool failed = hub_kv_fail_nth(0, 0, false) >= nth;
        check(ctx, failed);
        if (!failed)
            return nth - 1;
    }
}

/* WORK returns whether it had room enough with an arena of BYTES_MAX. */
static inline uint64_t fault_each_arena(size_t step, bool (*work)(void *ctx, size_t bytes_max), void *ctx)
{
    uint64_t failed = 0;
    for (size_t bytes_max = 0; !work(ctx, bytes_max); bytes_max += step)
        failed++;
    return failed;
}
