/* Between the two files that use libevent: net_libevent.c (loop, tasks, timers, listeners) and
 * conn_libevent.c (connections). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "src/base/buf.h"
#include "src/net/address.h"
#include "src/net/net.h"

struct event;
struct event_base;

enum { HUB_NET_READ_CAP = 64 * 1024 };

struct hub_net_loop {
    struct event_base *base;
    bool first;
    atomic_bool stop;
    int wake_fd;
    struct event *wake_event;
    pthread_mutex_t lock; /* tasks */
    struct hub_net_task *tasks, **tasks_tail;
    struct hub_net_conn *conns, *dirty, *graveyard;
    size_t conn_count;
    unsigned depth; /* inside a callback: output is flushed at its end */
    uint8_t *read_buf;
};

/* Around every callback of the library: at its end output goes out, what was closed is freed. */
void hub_net_enter(struct hub_net_loop *loop);
void hub_net_leave(struct hub_net_loop *loop);
void hub_net_wake(struct hub_net_loop *loop);

/* Takes FD: asks ACCEPT, then starts the handshake or opens. */
void hub_net_conn_accepted(struct hub_net_loop *loop, int fd, const struct hub_net_address *peer,
                           struct hub_tls_context *tls, hub_net_accept_fn accept, void *ctx);
/* Sends what waits in the connections marked for it, then frees the closed ones. */
void hub_net_flush_dirty(struct hub_net_loop *loop);
void hub_net_bury(struct hub_net_loop *loop);
