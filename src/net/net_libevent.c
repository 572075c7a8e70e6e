#include "src/net/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "src/base/mem.h"
#include "src/net/net_internal.h"

enum {
    ACCEPTS_A_TURN = 64,
    TASKS_A_TURN = 64,
    BACKLOG = 1024,
    ACCEPT_REST_MS = 100,
};

struct hub_net_listener {
    struct hub_net_loop *loop;
    int fd;
    struct event *event;
    struct event *rest; /* out of descriptors: accepting goes on a little later */
    struct hub_tls_context *tls;
    hub_net_accept_fn accept;
    void *ctx;
    bool paused;
};

struct hub_net_timer {
    struct hub_net_loop *loop;
    struct event *event;
    void (*fire)(void *ctx);
    void *ctx;
};

/* --- the loop --- */

void hub_net_wake(struct hub_net_loop *loop)
{
    uint64_t one = 1;
    ssize_t put = write(loop->wake_fd, &one, sizeof(one));
    (void)put; /* a full counter wakes too */
}

void hub_net_enter(struct hub_net_loop *loop)
{
    loop->depth++;
}

void hub_net_leave(struct hub_net_loop *loop)
{
    hub_net_flush_dirty(loop);
    loop->depth--;
    hub_net_bury(loop);
}

static struct hub_net_task *take_task(struct hub_net_loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    struct hub_net_task *task = loop->tasks;
    if (task != NULL) {
        loop->tasks = task->next;
        if (loop->tasks == NULL)
            loop->tasks_tail = &loop->tasks;
        task->queued = false;
    }
    (void)pthread_mutex_unlock(&loop->lock);
    return task;
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct hub_net_loop *loop = ctx;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got;
    hub_net_enter(loop);
    struct hub_net_task *task;
    unsigned turns = 0;
    while (turns++ < TASKS_A_TURN && (task = take_task(loop)) != NULL)
        task->run(task->ctx);
    if (turns > TASKS_A_TURN)
        hub_net_wake(loop);
    hub_net_leave(loop);
    if (atomic_load(&loop->stop))
        (void)event_base_loopbreak(loop->base);
}

void hub_net_post(struct hub_net_loop *loop, struct hub_net_task *task)
{
    (void)pthread_mutex_lock(&loop->lock);
    bool fresh = !task->queued;
    if (fresh) {
        task->queued = true;
        task->next = NULL;
        *loop->tasks_tail = task;
        loop->tasks_tail = &task->next;
    }
    (void)pthread_mutex_unlock(&loop->lock);
    if (fresh)
        hub_net_wake(loop);
}

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct hub_net_loop *hub_net_loop_new(bool first)
{
    struct hub_net_loop *loop = hub_mem_alloc(sizeof(*loop));
    if (loop == NULL)
        return NULL;
    loop->first = first;
    loop->tasks_tail = &loop->tasks;
    (void)pthread_mutex_init(&loop->lock, NULL);
    loop->read_buf = hub_mem_alloc(HUB_NET_READ_CAP);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->base = base_new();
    if (loop->base != NULL && loop->wake_fd >= 0)
        loop->wake_event = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    if (loop->read_buf == NULL || loop->wake_event == NULL || event_add(loop->wake_event, NULL) != 0) {
        hub_net_loop_free(loop);
        return NULL;
    }
    return loop;
}

void hub_net_loop_free(struct hub_net_loop *loop)
{
    if (loop == NULL)
        return;
    hub_net_enter(loop);
    while (loop->conns != NULL)
        hub_net_conn_close(loop->conns);
    hub_net_leave(loop);
    if (loop->wake_event != NULL)
        event_free(loop->wake_event);
    if (loop->base != NULL)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        (void)close(loop->wake_fd);
    (void)pthread_mutex_destroy(&loop->lock);
    hub_mem_free(loop->read_buf);
    hub_mem_free(loop);
}

void hub_net_loop_run(struct hub_net_loop *loop)
{
    while (!atomic_load(&loop->stop) && event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) >= 0)
        ;
    atomic_store(&loop->stop, false);
}

void hub_net_loop_stop(struct hub_net_loop *loop)
{
    atomic_store(&loop->stop, true);
    hub_net_wake(loop);
}

void hub_net_loop_step(struct hub_net_loop *loop)
{
    (void)event_base_loop(loop->base, EVLOOP_NONBLOCK);
}

size_t hub_net_loop_connections(const struct hub_net_loop *loop)
{
    return loop->conn_count;
}

/* --- timers --- */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct hub_net_timer *timer = ctx;
    struct hub_net_loop *loop = timer->loop; /* the timer may be freed by its own callback */
    hub_net_enter(loop);
    timer->fire(timer->ctx);
    hub_net_leave(loop);
}

struct hub_net_timer *hub_net_timer_new(struct hub_net_loop *loop, void (*fire)(void *ctx), void *ctx)
{
    struct hub_net_timer *timer = hub_mem_alloc(sizeof(*timer));
    if (timer == NULL)
        return NULL;
    *timer = (struct hub_net_timer){.loop = loop, .fire = fire, .ctx = ctx};
    timer->event = evtimer_new(loop->base, on_timer, timer);
    if (timer->event == NULL) {
        hub_mem_free(timer);
        return NULL;
    }
    return timer;
}

void hub_net_timer_free(struct hub_net_timer *timer)
{
    if (timer == NULL)
        return;
    event_free(timer->event);
    hub_mem_free(timer);
}

static struct timeval after_ms(uint32_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

void hub_net_timer_set(struct hub_net_timer *timer, uint32_t delay_ms)
{
    struct timeval delay = after_ms(delay_ms);
    (void)evtimer_add(timer->event, &delay);
}

void hub_net_timer_cancel(struct hub_net_timer *timer)
{
    (void)evtimer_del(timer->event);
}

/* --- listeners --- */

static void accept_rest(struct hub_net_listener *listener)
{
    struct timeval delay = after_ms(ACCEPT_REST_MS);
    (void)event_del(listener->event);
    (void)evtimer_add(listener->rest, &delay);
}

static void on_accept(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct hub_net_listener *listener = ctx;
    struct hub_net_loop *loop = listener->loop;
    hub_net_enter(loop);
    for (unsigned turn = 0; turn < ACCEPTS_A_TURN && !listener->paused; turn++) {
        struct hub_net_address peer = {.len = sizeof(peer.storage)};
        int accepted_fd =
            accept4(fd, (struct sockaddr *)&peer.storage, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted_fd >= 0) {
            hub_net_conn_accepted(loop, accepted_fd, &peer, listener->tls, listener->accept, listener->ctx);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_rest(listener);
        if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    hub_net_leave(loop);
}

static void on_rest(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct hub_net_listener *listener = ctx;
    if (!listener->paused)
        (void)event_add(listener->event, NULL);
}

static int try_bind(const struct hub_net_address *address, bool share, bool backlog)
{
    int one = 1;
    int zero = 0;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (share)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (address->storage.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) == 0 &&
        (!backlog || listen(fd, BACKLOG) == 0))
        return fd;
    int problem = errno;
    (void)close(fd);
    errno = problem;
    return -1;
}

static enum hub_result bind_listener(struct hub_net_loop *loop, const struct hub_net_address *address,
                                     int *fd, struct hub_error *err)
{
    if (loop->first) { /* sharing an address with another process would give it half of the senders */
        int probe = try_bind(address, false, true);
        if (probe < 0)
            return errno == EADDRINUSE
                       ? hub_fail(err, HUB_BUSY, "another program listens on this address",
                                  "stop it or choose another port")
                       : hub_fail_errno(err, HUB_NETWORK, "cannot listen on this address", errno);
        (void)close(probe);
    }
    *fd = try_bind(address, true, true);
    return *fd >= 0 ? HUB_OK : hub_fail_errno(err, HUB_NETWORK, "cannot listen on this address", errno);
}

enum hub_result hub_net_listen(struct hub_net_loop *loop, const char *address, struct hub_tls_context *tls,
                               hub_net_accept_fn accept, void *ctx, struct hub_net_listener **out,
                               struct hub_error *err)
{
    struct hub_net_address parsed;
    int fd = -1;
    *out = NULL;
    HUB_TRY(hub_net_address_parse(address, true, &parsed, err));
    enum hub_result result = bind_listener(loop, &parsed, &fd, err);
    if (result != HUB_OK) {
        (void)hub_error_in(err, address, 0);
        return result;
    }
    struct hub_net_listener *listener = hub_mem_alloc(sizeof(*listener));
    if (listener == NULL) {
        (void)close(fd);
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a listener", NULL);
    }
    *listener = (struct hub_net_listener){.loop = loop, .fd = fd, .tls = tls, .accept = accept, .ctx = ctx};
    listener->event = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_accept, listener);
    listener->rest = evtimer_new(loop->base, on_rest, listener);
    if (listener->event == NULL || listener->rest == NULL || event_add(listener->event, NULL) != 0) {
        hub_net_listener_close(listener);
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a listener", NULL);
    }
    *out = listener;
    return HUB_OK;
}

void hub_net_listener_close(struct hub_net_listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->event != NULL)
        event_free(listener->event);
    if (listener->rest != NULL)
        event_free(listener->rest);
    (void)close(listener->fd);
    hub_mem_free(listener);
}

void hub_net_listener_tls(struct hub_net_listener *listener, struct hub_tls_context *tls)
{
    listener->tls = tls;
}

uint16_t hub_net_listener_port(const struct hub_net_listener *listener)
{
    struct hub_net_address own = {.len = sizeof(own.storage)};
    if (getsockname(listener->fd, (struct sockaddr *)&own.storage, &own.len) != 0)
        return 0;
    return ntohs(own.storage.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&own.storage)->sin6_port
                                                   : ((const struct sockaddr_in *)&own.storage)->sin_port);
}

void hub_net_listener_pause(struct hub_net_listener *listener, bool paused)
{
    listener->paused = paused;
    if (paused)
        (void)event_del(listener->event);
    else
        (void)event_add(listener->event, NULL);
}

const char *hub_libevent_version(void)
{
    return event_get_version();
}
