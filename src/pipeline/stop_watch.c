#include "src/pipeline/stop_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/diag.h"
#include "src/base/thread.h"

static void *wait_for_end(void *arg)
{
    struct hub_stop_watch *watch = arg;
    const struct timespec until = hub_clock_after_ms(watch->limit_ms);
    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->over && pthread_cond_clockwait(&watch->changed, &watch->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    if (!watch->over) {
        HUB_DIAG(HUB_DIAG_WARNING, "hub", "a client of the bus does not close: the process ends without it, what was acknowledged is stored",
                 hub_diag_number("waited_ms", watch->limit_ms));
        (void)fflush(NULL);
        _exit(EXIT_SUCCESS);
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return NULL;
}

void hub_stop_watch_start(struct hub_stop_watch *watch, int limit_ms)
{
    watch->limit_ms = limit_ms;
    watch->over = false;
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_cond_init(&watch->changed, NULL);
    watch->running = hub_thread_start(&watch->thread, "stop-watch", wait_for_end, watch, NULL) == HUB_OK;
}

void hub_stop_watch_end(struct hub_stop_watch *watch)
{
    if (!watch->running)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    watch->over = true;
    (void)pthread_cond_broadcast(&watch->changed);
    (void)pthread_mutex_unlock(&watch->lock);
    (void)pthread_join(watch->thread, NULL);
    watch->running = false;
    (void)pthread_mutex_destroy(&watch->lock);
    (void)pthread_cond_destroy(&watch->changed);
}
