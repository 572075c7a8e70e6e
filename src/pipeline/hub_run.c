#include "src/pipeline/hub_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/base/thread.h"
#include "src/pipeline/retain.h"
#include "src/store/kv.h"

enum {
    APPLY_WAIT_MS = 100,
    RETRY_WAIT_MS = 500,
    RETRY_SLOW = 10, /* from so many tries in a row on, as many times as long between them */
    REOPEN_AFTER = 3,
    AUDIT_STEP_MS = 50,
    NICE_APPLIER = 10,
    NICE_AUDITOR = 5,
    AUDIT_PATIENCE_US = 60 * 1000000,
    REFUSED_SECOND_US = 1000000,
    OTHER_FILES = 1024,
    STOP_BUS_MS = 40000, /* brokers that do not answer take about 20 s */
};

static const char component[] = "hub";

int hub_signal_fd(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Who follows the log gives way to those who acknowledge: under more load than the cores carry, followers lag and
 * catch up afterwards, and senders do not wait for them. */
static void give_way(int nice)
{
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), nice) != 0)
        return; /* only slower */
}

/* Space and the disk may come back, memory too; what was pending is read from the log again. */
static bool passes(enum hub_result result)
{
    return result == HUB_IO || hub_result_row(result)->class == HUB_CLASS_RETRY;
}

/* One line when it begins to wait, one when it goes on. A store that keeps failing is opened anew, but not while the
 * disk is full: then it could not be opened at all, and what it holds could not be read. */
static void wait_for_store(struct hub *hub, unsigned failures, const struct hub_error *err)
{
    struct hub_error again = {0};
    if (failures == 1)
        HUB_DIAG(HUB_DIAG_WARNING, component, "the timeline waits until its store takes writes again; messages are still taken",
                 hub_diag_error(err));
    atomic_store(&hub->lagging, true);
    atomic_store(&hub->ingest.kept_up, false); /* nobody waits for a store that may be away for long */
    hub_log_wait(hub->log, UINT64_MAX, failures < RETRY_SLOW ? RETRY_WAIT_MS : RETRY_WAIT_MS * RETRY_SLOW);
    if (failures >= REOPEN_AFTER && !hub_commit_full(hub->commit) && hub_kv_reopen(hub->timeline_kv, &again) != HUB_OK)
        return; /* the next step says so again */
    if (hub_timeline_reset(hub->timeline, &again) == HUB_OK)
        atomic_store(&hub->applied, hub_timeline_position(hub->timeline));
}

static void stand_still(struct hub *hub, const struct hub_error *err)
{
    atomic_store(&hub->sick, true);
    atomic_store(&hub->ingest.kept_up, false);
    if (err->result == HUB_CORRUPT && hub_path_ends(err->path, "/timeline")) {
        hub_snapshot_mark_damaged(hub, HUB_SNAPSHOT_TIMELINE);
        HUB_DIAG(HUB_DIAG_ERROR, component,
                 "the timeline's store is damaged and stands still; messages are still taken (restart: it is put back from the "
                 "newest snapshot)",
                 hub_diag_error(err));
        return;
    }
    HUB_DIAG(HUB_DIAG_ERROR, component, "the timeline stands still; messages are still taken", hub_diag_error(err));
}

/* The timeline follows the log. What it cannot apply does not stop the intake: events are safe in the log. */
static void *apply(void *ctx)
{
    struct hub *hub = ctx;
    unsigned failures = 0;
    give_way(NICE_APPLIER);
    while (!atomic_load(&hub->stopping)) {
        struct hub_error err = {0};
        if (failures == 0)
            hub_log_wait(hub->log, atomic_load(&hub->applied), APPLY_WAIT_MS);
        enum hub_result result = hub_apply_step(hub, &hub->stopping, &err);
        if (result == HUB_OK) {
            if (failures != 0)
                HUB_DIAG(HUB_DIAG_NOTICE, component, "the timeline goes on");
            failures = 0;
            atomic_store(&hub->lagging, false);
            continue;
        }
        if (err.result == HUB_OK)
            (void)hub_fail(&err, result, "the timeline cannot follow the event log", NULL);
        hub_timeline_forget(hub->timeline);
        if (!passes(result)) {
            stand_still(hub, &err);
            break;
        }
        wait_for_store(hub, ++failures, &err);
    }
    return NULL;
}

/* Until it is time for a step, or for an entry that should not wait. True: the hub stops. */
static bool wait_for_step(struct hub *hub)
{
    const struct timespec at = hub_clock_after_ms(AUDIT_STEP_MS);
    (void)pthread_mutex_lock(&hub->run_lock);
    while (!atomic_load(&hub->stopping) && !hub->refused_waits &&
           pthread_cond_clockwait(&hub->run_changed, &hub->run_lock, CLOCK_MONOTONIC, &at) == 0)
        ;
    hub->refused_waits = false;
    bool stop = atomic_load(&hub->stopping);
    (void)pthread_mutex_unlock(&hub->run_lock);
    return stop;
}

/* An audit log that cannot be written must not go unnoticed: entries are safe in the event log, and the tree waits for
 * space as long as it takes; a disk that fails for longer than a while ends the hub (fail closed). */
static void wait_for_tree(int64_t now_us, int64_t *since_us, enum hub_result result, const struct hub_error *err)
{
    if (!passes(result) || (*since_us != 0 && result == HUB_IO && now_us - *since_us > AUDIT_PATIENCE_US))
        hub_fatal(err);
    if (*since_us == 0)
        HUB_DIAG(HUB_DIAG_WARNING, component, "the audit tree waits until its files can be written again", hub_diag_error(err));
    *since_us = *since_us != 0 ? *since_us : now_us;
}

static void *audit(void *ctx)
{
    struct hub *hub = ctx;
    int64_t second_over_us = 0;
    int64_t waits_since_us = 0;
    bool stop = false;
    give_way(NICE_AUDITOR);
    while (!stop) {
        struct hub_error err = {0};
        stop = wait_for_step(hub);
        int64_t now_us = hub_clock_mono_us(hub->clock);
        bool over = stop || now_us >= second_over_us;
        if (over)
            second_over_us = now_us + REFUSED_SECOND_US;
        enum hub_result result = hub_note_refused_logins(hub, over, &err);
        if (result == HUB_OK)
            result = hub_audit_catch_up(hub, false, &err);
        if (result != HUB_OK) {
            wait_for_tree(now_us, &waits_since_us, result, &err);
            continue;
        }
        if (waits_since_us != 0)
            HUB_DIAG(HUB_DIAG_NOTICE, component, "the audit tree goes on");
        waits_since_us = 0;
    }
    return NULL;
}

static void *keep(void *ctx)
{
    struct hub *hub = ctx;
    give_way(NICE_AUDITOR);
    hub_keeper_run(hub->keeper);
    return NULL;
}

static enum hub_result start_all(struct hub *hub, struct hub_error *err)
{
    if ((hub->roles & HUB_RUN_INGEST) != 0)
        HUB_TRY(hub_workers_open(hub, err));
    const bool follows = (hub->roles & HUB_RUN_TIMELINE) != 0 && hub->timeline != NULL;
    if (follows)
        HUB_TRY(hub_thread_start(&hub->applier, "applier", apply, hub, err));
    hub->applier_running = follows;
    if (hub->unify != NULL)
        HUB_TRY(hub_thread_start(&hub->unifier, "unify", hub_bus_unify, hub, err));
    hub->unify_running = hub->unify != NULL;
    if (hub->forward != NULL)
        HUB_TRY(hub_thread_start(&hub->forwarder, "forwarder", hub_bus_forward, hub, err));
    hub->forwarder_running = hub->forward != NULL;
    HUB_TRY(hub_thread_start(&hub->auditor, "auditor", audit, hub, err));
    hub->auditor_running = true;
    HUB_TRY(hub_thread_start(&hub->keeper_thread, "keeper", keep, hub, err));
    hub->keeper_running = true;
    HUB_TRY(hub_control_start(hub, &hub->control, err));
    return hub_workers_start(hub, err);
}

static void set_stopping(struct hub *hub)
{
    (void)pthread_mutex_lock(&hub->run_lock);
    atomic_store(&hub->stopping, true);
    (void)pthread_cond_broadcast(&hub->run_changed);
    (void)pthread_mutex_unlock(&hub->run_lock);
    hub_log_wake(hub->log);
}

/* Input first, then answers, then those who follow the log. */
static void stop_all(struct hub *hub)
{
    int64_t deadline = hub_clock_mono_us(hub->clock) + (int64_t)hub->config->limits.drain_ms * 1000;
    hub_workers_stop(hub, deadline);
    set_stopping(hub);
    hub_control_stop(hub->control);
    hub->control = NULL;
    if (hub->applier_running)
        (void)pthread_join(hub->applier, NULL);
    if (hub->auditor_running)
        (void)pthread_join(hub->auditor, NULL);
    if (hub->keeper_running)
        (void)pthread_join(hub->keeper_thread, NULL);
    if (hub->bus != NULL)
        hub_stop_watch_start(&hub->stop_watch, STOP_BUS_MS);
    if (hub->forwarder_running)
        (void)pthread_join(hub->forwarder, NULL);
    if (hub->unify_running)
        (void)pthread_join(hub->unifier, NULL);
    hub->unify_running = false;
    hub->forwarder_running = false;
    hub->applier_running = false;
    hub->auditor_running = false;
    hub->keeper_running = false;
}

/* True: stop. A signalfd may hold a SIGHUP only, and readiness is a hint: what is not there (yet) asks for
 * nothing. */
static bool stop_asked(struct hub *hub, int stop_fd)
{
    struct signalfd_siginfo info;
    ssize_t got = read(stop_fd, &info, sizeof(info));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got != (ssize_t)sizeof(info) || info.ssi_signo != SIGHUP)
        return true;
    hub_reload(hub);
    return false;
}

/* Without enough files connections would wait in the kernel, and stores could not open theirs. */
static void raise_files(const struct hub *hub)
{
    rlim_t wanted = hub->config->limits.connections + (rlim_t)OTHER_FILES;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted)
        return;
    files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < wanted)
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "the limit of open files is too low for limits.connections: raise it (LimitNOFILE=, ulimit -n)",
                 hub_diag_number("files", (int64_t)files.rlim_cur), hub_diag_number("wanted", (int64_t)wanted));
}

enum hub_result hub_run(struct hub *hub, int stop_fd, void (*ready)(void *ctx), void *ctx,
                        struct hub_error *err)
{
    raise_files(hub);
    enum hub_result result = hub_audit_catch_up(hub, true, err); /* whoever sees `ready` finds a checkpoint */
    if (result == HUB_OK)
        result = start_all(hub, err);
    if (result == HUB_OK) {
        HUB_DIAG(HUB_DIAG_NOTICE, component, "ready", hub_diag_number("workers", (int64_t)hub->worker_count),
                 hub_diag_number("records", (int64_t)hub_log_durable(hub->log)));
        if (ready != NULL)
            ready(ctx);
        struct pollfd wait = {.fd = stop_fd, .events = POLLIN};
        do
            wait.revents = 0;
        while (poll(&wait, 1, -1) <= 0 || (wait.revents & POLLIN) == 0
                   ? (wait.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0
                   : !stop_asked(hub, stop_fd));
        HUB_DIAG(HUB_DIAG_NOTICE, component, "stopping");
    }
    stop_all(hub);
    return result;
}
