/* Bounds a stop. Clients of the bus are closed by their library, which joins threads of its own and takes no time limit; if one
 * does not come back, the process ends without it. That is what a crash does, and as safe: what was acknowledged is in the
 * log, the rest follows from it at the next start. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct hub_stop_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool running, over;
    int limit_ms;
};

/* From now on there are LIMIT_MS left, then the process ends with exit code 0 and one line in the log. Without memory for its
 * thread nothing is watched. WATCH is zeroed. */
void hub_stop_watch_start(struct hub_stop_watch *watch, int limit_ms);
/* What was waited for is over. Fine without start. */
void hub_stop_watch_end(struct hub_stop_watch *watch);
