#include "src/pipeline/hub_internal.h"

#include <unistd.h>

#include "src/base/diag.h"
#include "src/base/mem.h"

enum { POLL_MS = 5, LAST_MS = 1000, WORKERS_MAX = 256 };

static const char component[] = "worker";

struct hub_worker {
    struct hub *hub;
    struct hub_net_loop *loop;
    struct hub_intake *intake;
    void **instances; /* as config->feeds; NULL: not listening */
    const struct hub_transport **transports;
    struct hub_net_timer *poll; /* while draining */
    struct hub_net_task drain, stop;
    pthread_t thread;
    bool running;
    bool drained, ended; /* under run_lock */
};

static void resume(void *ctx)
{
    struct hub_worker *worker = ctx;
    for (size_t i = 0; i < worker->hub->config->feed_count; i++) {
        if (worker->instances[i] != NULL)
            worker->transports[i]->resume(worker->instances[i]);
    }
}

static void tell(struct hub_worker *worker, bool *what)
{
    struct hub *hub = worker->hub;
    (void)pthread_mutex_lock(&hub->run_lock);
    *what = true;
    (void)pthread_cond_broadcast(&hub->run_changed);
    (void)pthread_mutex_unlock(&hub->run_lock);
}

/* --- in the worker's thread --- */

static bool idle(const struct hub_worker *worker)
{
    for (size_t i = 0; i < worker->hub->config->feed_count; i++) {
        if (worker->instances[i] != NULL && !worker->transports[i]->idle(worker->instances[i]))
            return false;
    }
    return hub_intake_idle(worker->intake);
}

static void on_poll(void *ctx)
{
    struct hub_worker *worker = ctx;
    bool stopped = true;
    for (size_t i = 0; i < worker->hub->config->feed_count; i++)
        stopped = stopped && worker->instances[i] == NULL;
    if (stopped && hub_net_loop_connections(worker->loop) == 0) {
        hub_net_loop_stop(worker->loop);
        return;
    }
    if (!stopped && idle(worker))
        tell(worker, &worker->drained);
    hub_net_timer_set(worker->poll, POLL_MS);
}

static void on_drain(void *ctx)
{
    struct hub_worker *worker = ctx;
    for (size_t i = 0; i < worker->hub->config->feed_count; i++) {
        if (worker->instances[i] != NULL)
            worker->transports[i]->drain(worker->instances[i]);
    }
    hub_net_timer_set(worker->poll, 0);
}

static void close_instances(struct hub_worker *worker)
{
    for (size_t i = 0; worker->instances != NULL && i < worker->hub->config->feed_count; i++) {
        if (worker->instances[i] != NULL)
            worker->transports[i]->stop(worker->instances[i]);
        worker->instances[i] = NULL;
    }
}

static void on_stop(void *ctx)
{
    struct hub_worker *worker = ctx;
    close_instances(worker);
    hub_net_timer_set(worker->poll, 0);
}

static void *work(void *ctx)
{
    struct hub_worker *worker = ctx;
    hub_net_loop_run(worker->loop);
    tell(worker, &worker->ended);
    return NULL;
}

/* --- in the hub's thread --- */

static size_t worker_count(const struct hub_config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = config->limits.workers != 0 ? config->limits.workers : cores > 0 ? (size_t)cores : 1;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static enum hub_result open_worker(struct hub *hub, struct hub_worker *worker, bool first,
                                   struct hub_error *err)
{
    size_t feeds = hub->config->feed_count != 0 ? hub->config->feed_count : 1;
    worker->hub = hub;
    worker->drain = (struct hub_net_task){.run = on_drain, .ctx = worker};
    worker->stop = (struct hub_net_task){.run = on_stop, .ctx = worker};
    worker->instances = hub_mem_array(feeds, sizeof(*worker->instances));
    worker->transports = hub_mem_array(feeds, sizeof(*worker->transports));
    worker->loop = hub_net_loop_new(first);
    if (worker->loop != NULL) {
        worker->poll = hub_net_timer_new(worker->loop, on_poll, worker);
        worker->intake = hub_intake_new(&hub->ingest, worker->loop, resume, worker);
    }
    if (worker->instances == NULL || worker->transports == NULL || worker->poll == NULL ||
        worker->intake == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a worker", NULL);
    for (size_t i = 0; i < hub->config->feed_count; i++) {
        const struct hub_feed *feed = &hub->config->feeds[i];
        worker->transports[i] = hub_registry_transport(hub->registry, feed->transport);
        if (worker->transports[i] == NULL) {
            (void)hub_fail(err, HUB_CONFIG, "an unknown transport", "choose one that this program has");
            return hub_error_in(err, feed->name, feed->line);
        }
        worker->instances[i] =
            worker->transports[i]->start(hub->config, feed, worker->loop, worker->intake, err);
        if (worker->instances[i] == NULL)
            return err != NULL && err->result != HUB_OK ? err->result : HUB_INTERNAL;
    }
    return HUB_OK;
}

enum hub_result hub_workers_open(struct hub *hub, struct hub_error *err)
{
    size_t count = worker_count(hub->config);
    hub->workers = hub_mem_array(count, sizeof(*hub->workers));
    if (hub->workers == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for workers", NULL);
    for (size_t i = 0; i < count; i++) {
        hub->worker_count = i + 1;
        HUB_TRY(open_worker(hub, &hub->workers[i], i == 0, err));
    }
    return HUB_OK;
}

enum hub_result hub_workers_start(struct hub *hub, struct hub_error *err)
{
    for (size_t i = 0; i < hub->worker_count; i++) {
        int problem = pthread_create(&hub->workers[i].thread, NULL, work, &hub->workers[i]);
        if (problem != 0)
            return hub_fail_errno(err, HUB_NO_MEMORY, "a worker's thread cannot be started", problem);
        hub->workers[i].running = true;
    }
    return HUB_OK;
}

static struct timespec until(const struct hub *hub, int64_t deadline_us)
{
    struct timespec at;
    int64_t left = deadline_us - hub_clock_mono_us(hub->clock);
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = (left > 0 ? left : 0) * 1000 + at.tv_nsec;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

/* Waits for one flag of every running worker. */
static bool wait_for(struct hub *hub, size_t flag_offset, int64_t deadline_us)
{
    struct timespec at = until(hub, deadline_us);
    bool all = false;
    int waited = 0;
    (void)pthread_mutex_lock(&hub->run_lock);
    while (!all && waited == 0) {
        all = true;
        for (size_t i = 0; i < hub->worker_count; i++)
            all = all &&
                  (!hub->workers[i].running || *(const bool *)((const char *)&hub->workers[i] + flag_offset));
        if (!all)
            waited = pthread_cond_clockwait(&hub->run_changed, &hub->run_lock, CLOCK_MONOTONIC, &at);
    }
    (void)pthread_mutex_unlock(&hub->run_lock);
    return all;
}

void hub_workers_stop(struct hub *hub, int64_t deadline_us)
{
    for (size_t i = 0; i < hub->worker_count; i++) {
        if (hub->workers[i].running)
            hub_net_post(hub->workers[i].loop, &hub->workers[i].drain);
        else
            close_instances(&hub->workers[i]);
    }
    if (!wait_for(hub, offsetof(struct hub_worker, drained), deadline_us))
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "the drain took longer than limits.drain: messages without answer stay with their senders");
    for (size_t i = 0; i < hub->worker_count; i++) {
        if (hub->workers[i].running)
            hub_net_post(hub->workers[i].loop, &hub->workers[i].stop);
    }
    (void)wait_for(hub, offsetof(struct hub_worker, ended),
                   hub_clock_mono_us(hub->clock) + (int64_t)LAST_MS * 1000);
    for (size_t i = 0; i < hub->worker_count; i++) {
        struct hub_worker *worker = &hub->workers[i];
        if (!worker->running)
            continue;
        hub_net_loop_stop(worker->loop);
        (void)pthread_join(worker->thread, NULL);
        worker->running = false;
        close_instances(worker);
    }
}

void hub_workers_close(struct hub *hub)
{
    for (size_t i = 0; i < hub->worker_count; i++) {
        struct hub_worker *worker = &hub->workers[i];
        close_instances(worker);
        hub_intake_free(worker->intake);
        hub_net_timer_free(worker->poll);
        hub_net_loop_free(worker->loop);
        hub_mem_free(worker->instances);
        hub_mem_free(worker->transports);
    }
    hub_mem_free(hub->workers);
    hub->workers = NULL;
    hub->worker_count = 0;
}
