/* Which operation fails next, by its place in the program: whatever led there, from the thread's first function on (its
 * call stack). Over many runs of the same work every place fails at its first, second ... TIMES-th turn of a run, each in
 * a run of its own: as much as failing the 1st, 2nd, 3rd ... operation shows, without doing the same a hundred times, and
 * without hanging on which thread was faster. The runs may be in processes forked from the one that made the places.
 *
 *     places = fault_places_new(TIMES, lasting);
 *     do {
 *         fault_places_begin(places);
 *         the work, with fault_place_fails as its hub_mem_fail_when, hub_kv_fail_when or fault_disk.fails
 *     } while (places->failing);
 */
#pragma once

#include <execinfo.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/base/result.h"

enum { FAULT_PLACES_MAX = 8192, FAULT_FRAMES_MAX = 64 };

struct fault_place {
    uint64_t stack;       /* hash; 0 = free */
    unsigned met, failed; /* how often in this run; up to which turn it has failed in some run */
};

struct fault_places { /* shared with children */
    unsigned times;
    bool lasting; /* what comes after the one that failed fails too */
    atomic_bool failing; /* one failed in this run */
    atomic_flag busy;
    void *frames[FAULT_FRAMES_MAX]; /* where that was */
    int frame_count;
    struct fault_place all[FAULT_PLACES_MAX];
};

static struct fault_places *fault_places_now; /* of the run */

static inline struct fault_places *fault_places_new(unsigned times, bool lasting)
{
    void *frame;
    struct fault_places *places =
        mmap(NULL, sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    HUB_ASSERT(places != MAP_FAILED);
    places->times = times;
    places->lasting = lasting;
    (void)backtrace(&frame, 1); /* its first call loads what it needs */
    return places;
}

static inline void fault_places_free(struct fault_places *places)
{
    HUB_ASSERT(munmap(places, sizeof *places) == 0);
}

/* NULL: nothing fails. */
static inline void fault_places_begin(struct fault_places *places)
{
    fault_places_now = places;
    if (places == NULL)
        return;
    places->failing = false;
    places->frame_count = 0;
    atomic_flag_clear(&places->busy); /* a process that ended itself may have kept it */
    for (size_t i = 0; i < FAULT_PLACES_MAX; i++)
        places->all[i].met = 0;
}

static inline struct fault_place *fault_place_of(struct fault_places *places, void *const *frames, int count)
{
    uint64_t hash = 1469598103934665603u;
    for (int i = 0; i < count; i++) {
        int before = 0;
        while (frames[before] != frames[i])
            before++;
        if (before < i) /* recursion: how deep is no other place */
            continue;
        hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211u;
    }
    hash = hash != 0 ? hash : 1;
    size_t at = (size_t)(hash ^ hash >> 32) % FAULT_PLACES_MAX;
    for (size_t tried = 0; places->all[at].stack != 0 && places->all[at].stack != hash; tried++) {
        HUB_ASSERT(tried < FAULT_PLACES_MAX);
        at = (at + 1) % FAULT_PLACES_MAX;
    }
    places->all[at].stack = hash;
    return &places->all[at];
}

/* Any thread. */
static inline bool fault_place_fails(void)
{
    struct fault_places *places = fault_places_now;
    void *frames[FAULT_FRAMES_MAX];
    if (places == NULL)
        return false;
    int count = places->failing ? 0 : backtrace(frames, FAULT_FRAMES_MAX);
    while (atomic_flag_test_and_set(&places->busy))
        ;
    bool fails = places->failing && places->lasting;
    if (!places->failing && count > 0) {
        struct fault_place *place = fault_place_of(places, frames, count);
        fails = ++place->met > place->failed && place->met <= places->times;
        if (fails) {
            place->failed = place->met;
            places->failing = true;
            places->frame_count = count;
            memcpy(places->frames, frames, (size_t)count * sizeof *frames);
        }
    }
    atomic_flag_clear(&places->busy);
    return fails;
}

/* For who has to find out what went wrong; NULL is fine. */
static inline void fault_places_tell(const struct fault_places *places)
{
    if (places != NULL && places->failing)
        backtrace_symbols_fd(places->frames, places->frame_count, STDERR_FILENO);
}
