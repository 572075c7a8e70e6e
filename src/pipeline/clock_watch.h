/* What the hub thinks of the machine's clock. Recorded times never depend on it alone (they increase strictly); but
 * what is removed by its age does, so a clock that jumps must not make everything old at once. Beside the wall clock
 * goes the time that the hub has seen pass: never ahead of the wall clock, and never faster than twice the monotonic
 * clock. After a jump (or a long stop) it catches up in as much time as it was behind. Kept in <data_dir>/snapshots/clock over
 * restarts. Any thread. */
#pragma once

#include <pthread.h>

#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/base/result.h"

enum hub_clock_state {
    HUB_CLOCK_OK,
    HUB_CLOCK_BEHIND, /* behind the last recorded time: new ones follow it a microsecond apart */
    HUB_CLOCK_AHEAD,  /* ahead of the time seen passing */
};

struct hub_clock_watch {
    const struct hub_clock *clock;
    struct hub_disk *disk;
    char path[4096];
    pthread_mutex_t lock;
    int64_t wall_us, mono_us; /* at the last look */
    int64_t passed_us;        /* the time seen passing, as wall time */
    int64_t stored_us;        /* of it, in the file */
    enum hub_clock_state state;
    int64_t off_us;
};

/* PATH is copied. LAST_US: the newest recorded time, 0 without any: where the file is not there. */
enum hub_result hub_clock_watch_open(struct hub_clock_watch *watch, const char *path, const struct hub_clock *clock,
                                     struct hub_disk *disk, int64_t last_us, struct hub_error *err) HUB_MUST_USE;
/* Looks at the clocks; a jump and a change of state are one line of the log. At least every minute. */
void hub_clock_watch_look(struct hub_clock_watch *watch, int64_t last_us);
/* The time seen passing, as wall time: what ages count from. */
int64_t hub_clock_watch_passed_us(struct hub_clock_watch *watch);
/* *OFF_US (may be NULL): how far. */
enum hub_clock_state hub_clock_watch_state(struct hub_clock_watch *watch, int64_t *off_us);
const char *hub_clock_state_name(enum hub_clock_state state);
void hub_clock_watch_close(struct hub_clock_watch *watch);
