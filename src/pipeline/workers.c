#include "src/pipeline/hub_internal.h"

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/pipeline/intake_internal.h"

enum { POLL_MS = 5, LAST_MS = 1000, WORKERS_MAX = 256 };

static const char component[] = "worker";

/* What the hub's other threads ask of a worker, one at a time (order_lock). */
struct order {
    enum { RELOAD, PAUSE, RESUME } what;
    struct hub_rules *rules; /* RELOAD */
    size_t feed;             /* PAUSE, RESUME */
    int64_t until_us;        /* PAUSE: the drain's end, monotonic */
    bool done;               /* under run_lock */
    enum hub_result result;
    struct hub_error err;
};

struct hub_worker {
    struct hub *hub;
    struct hub_net_loop *loop;
    struct hub_intake *intake;
    void **instances; /* as config->feeds; NULL: not listening */
    const struct hub_transport **transports;
    struct hub_net_timer *poll;  /* while draining */
    struct hub_net_timer *pause; /* while a feed that is paused drains */
    struct hub_net_task drain, stop, ask;
    struct order order;
    bool draining;
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
    if (idle(worker)) /* feeds that are paused have nothing to wait for */
        tell(worker, &worker->drained);
    if (stopped && hub_net_loop_connections(worker->loop) == 0) {
        hub_net_loop_stop(worker->loop);
        return;
    }
    hub_net_timer_set(worker->poll, POLL_MS);
}

static void on_drain(void *ctx)
{
    struct hub_worker *worker = ctx;
    worker->draining = true;
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

static void done(struct hub_worker *worker, enum hub_result result)
{
    worker->order.result = result;
    tell(worker, &worker->order.done);
}

static void reload(struct hub_worker *worker)
{
    const struct hub_config *config = hub_rules_config(worker->order.rules);
    for (size_t i = 0; i < config->feed_count; i++) {
        struct hub_error err = {0};
        if (worker->instances[i] == NULL)
            continue;
        if (worker->transports[i]->reload(worker->instances[i], config, &config->feeds[i], &err) != HUB_OK)
            HUB_DIAG(HUB_DIAG_ERROR, component, "a listener keeps its old certificate",
                     hub_diag_configured("feed", config->feeds[i].name), hub_diag_error(&err));
    }
    hub_intake_reload(worker->intake, worker->order.rules);
    done(worker, HUB_OK);
}

static enum hub_result start_feed(struct hub_worker *worker, size_t at, struct hub_error *err)
{
    const struct hub_config *config = hub_intake_config(worker->intake);
    worker->instances[at] =
        worker->transports[at]->start(config, &config->feeds[at], worker->loop, worker->intake, err);
    if (worker->instances[at] != NULL)
        return HUB_OK;
    return err != NULL && err->result != HUB_OK ? err->result : HUB_INTERNAL;
}

/* The listener is closed at once; what was received is answered, then the connections are closed. */
static void on_pause(void *ctx)
{
    struct hub_worker *worker = ctx;
    size_t at = worker->order.feed;
    void *instance = worker->instances[at];
    bool late = hub_clock_mono_us(worker->hub->clock) >= worker->order.until_us;
    if (instance != NULL && !late && !worker->transports[at]->idle(instance)) {
        hub_net_timer_set(worker->pause, POLL_MS);
        return;
    }
    if (instance != NULL)
        worker->transports[at]->stop(instance);
    worker->instances[at] = NULL;
    done(worker, HUB_OK);
}

static void on_ask(void *ctx)
{
    struct hub_worker *worker = ctx;
    size_t at = worker->order.feed;
    switch (worker->order.what) {
    case RELOAD:
        reload(worker);
        return;
    case PAUSE:
        if (worker->instances[at] != NULL)
            worker->transports[at]->drain(worker->instances[at]);
        on_pause(worker);
        return;
    case RESUME:
        done(worker, worker->draining                ? HUB_CLOSED
                     : worker->instances[at] != NULL ? HUB_OK
                                                     : start_feed(worker, at, &worker->order.err));
        return;
    }
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
    size_t count = config->limits.workers != 0 ? config->limits.workers : hub_thread_processors();
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static enum hub_result open_worker(struct hub *hub, struct hub_worker *worker, bool first,
                                   struct hub_error *err)
{
    size_t feeds = hub->config->feed_count != 0 ? hub->config->feed_count : 1;
    worker->hub = hub;
    worker->drain = (struct hub_net_task){.run = on_drain, .ctx = worker};
    worker->stop = (struct hub_net_task){.run = on_stop, .ctx = worker};
    worker->ask = (struct hub_net_task){.run = on_ask, .ctx = worker};
    worker->instances = hub_mem_array(feeds, sizeof(*worker->instances));
    worker->transports = hub_mem_array(feeds, sizeof(*worker->transports));
    worker->loop = hub_net_loop_new(first);
    if (worker->loop != NULL) {
        worker->poll = hub_net_timer_new(worker->loop, on_poll, worker);
        worker->pause = hub_net_timer_new(worker->loop, on_pause, worker);
        worker->intake = hub_intake_new(&hub->ingest, worker->loop, resume, worker);
    }
    if (worker->instances == NULL || worker->transports == NULL || worker->poll == NULL ||
        worker->pause == NULL || worker->intake == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a worker", NULL);
    for (size_t i = 0; i < hub->config->feed_count; i++) {
        const struct hub_feed *feed = &hub->config->feeds[i];
        worker->transports[i] = hub_registry_transport(hub->registry, feed->transport);
        if (worker->transports[i] == NULL) {
            (void)hub_fail(err, HUB_CONFIG, "an unknown transport", "choose one that this program has");
            return hub_error_in(err, feed->name, feed->line);
        }
        if (!atomic_load(&hub->ingest.feeds[i].paused))
            HUB_TRY(start_feed(worker, i, err));
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
        HUB_TRY(hub_thread_start(&hub->workers[i].thread, "worker", work, &hub->workers[i], err));
        hub->workers[i].running = true;
        /* each on its own: two that meet on one processor stay there for as long as the other one is idle by turns only */
        if (hub->config->limits.workers == 0)
            hub_thread_bind(hub->workers[i].thread, i);
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
    atomic_store(&hub->ingest.ending, true);
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

/* --- orders, in any thread but the workers' --- */

static void ask(struct hub_worker *worker, const struct order *order)
{
    worker->order = *order;
    hub_net_post(worker->loop, &worker->ask);
}

/* Until it is done, or the hub stops. */
static enum hub_result answer(struct hub_worker *worker, struct hub_error *err)
{
    struct hub *hub = worker->hub;
    (void)pthread_mutex_lock(&hub->run_lock);
    while (!worker->order.done && !worker->ended && !atomic_load(&hub->stopping))
        (void)pthread_cond_wait(&hub->run_changed, &hub->run_lock);
    bool over = !worker->order.done;
    (void)pthread_mutex_unlock(&hub->run_lock);
    if (over)
        return hub_fail(err, HUB_CLOSED, "the hub is stopping", NULL);
    if (worker->order.result != HUB_OK && err != NULL)
        *err = worker->order.err;
    return worker->order.result;
}

void hub_workers_reload(struct hub *hub, struct hub_rules *rules)
{
    const struct order order = {.what = RELOAD, .rules = rules};
    (void)pthread_mutex_lock(&hub->order_lock);
    for (size_t i = 0; i < hub->worker_count; i++)
        ask(&hub->workers[i], &order);
    for (size_t i = 0; i < hub->worker_count; i++)
        (void)answer(&hub->workers[i], NULL);
    (void)pthread_mutex_unlock(&hub->order_lock);
}

void hub_workers_pause(struct hub *hub, size_t feed)
{
    const struct order order = {.what = PAUSE,
                                .feed = feed,
                                .until_us = hub_clock_mono_us(hub->clock) +
                                            (int64_t)hub->config->limits.drain_ms * 1000};
    (void)pthread_mutex_lock(&hub->order_lock);
    for (size_t i = 0; i < hub->worker_count; i++)
        ask(&hub->workers[i], &order);
    for (size_t i = 0; i < hub->worker_count; i++)
        (void)answer(&hub->workers[i], NULL);
    (void)pthread_mutex_unlock(&hub->order_lock);
}

/* One after the other: the first finds out whether the address is free. */
enum hub_result hub_workers_resume(struct hub *hub, size_t feed, struct hub_error *err)
{
    const struct order order = {.what = RESUME, .feed = feed};
    enum hub_result result = HUB_OK;
    (void)pthread_mutex_lock(&hub->order_lock);
    for (size_t i = 0; i < hub->worker_count && result == HUB_OK; i++) {
        ask(&hub->workers[i], &order);
        result = answer(&hub->workers[i], err);
    }
    (void)pthread_mutex_unlock(&hub->order_lock);
    return result;
}

void hub_workers_close(struct hub *hub)
{
    for (size_t i = 0; i < hub->worker_count; i++) {
        struct hub_worker *worker = &hub->workers[i];
        close_instances(worker);
        hub_intake_free(worker->intake);
        hub_net_timer_free(worker->poll);
        hub_net_timer_free(worker->pause);
        hub_net_loop_free(worker->loop);
        hub_mem_free(worker->instances);
        hub_mem_free(worker->transports);
    }
    hub_mem_free(hub->workers);
    hub->workers = NULL;
    hub->worker_count = 0;
}
