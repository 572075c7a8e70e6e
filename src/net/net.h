/* Event loops, listeners, connections and timers (libevent; net_libevent.c and conn_libevent.c are its only
 * users). A loop belongs to the thread that runs it: everything here is for that thread (or before it
 * starts), except hub_net_post and hub_net_loop_stop, which any thread may call. Nothing blocks but
 * hub_net_loop_run.
 *
 * Callbacks may call anything here, closing their own connection included. Output written in a callback
 * leaves together when the callback has returned. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"
#include "src/net/tls.h"

struct hub_net_loop;

/* FIRST: this loop checks for listeners of other processes before it shares an address (see hub_net_listen).
 */
struct hub_net_loop *hub_net_loop_new(bool first);
/* All listeners, connections and timers must be gone or go with it (connections without callback). NULL is
 * fine. */
void hub_net_loop_free(struct hub_net_loop *loop);
/* Runs until hub_net_loop_stop. */
void hub_net_loop_run(struct hub_net_loop *loop);
void hub_net_loop_stop(struct hub_net_loop *loop);
/* One pass over what is ready now, without waiting; for tests and for draining. */
void hub_net_loop_step(struct hub_net_loop *loop);
/* Connections that are open or still closing in good order. */
size_t hub_net_loop_connections(const struct hub_net_loop *loop);

/* Work for the loop's thread. The caller owns the task; it must live until it has run or the loop is freed.
 * Posting a task that is already waiting does nothing, so a task is a wake-up and never grows a queue. */
struct hub_net_task {
    void (*run)(void *ctx);
    void *ctx;
    struct hub_net_task *next; /* the loop's */
    bool queued;               /* the loop's, under its lock */
};
void hub_net_post(struct hub_net_loop *loop, struct hub_net_task *task);

struct hub_net_timer;
struct hub_net_timer *hub_net_timer_new(struct hub_net_loop *loop, void (*fire)(void *ctx),
                                        void *ctx); /* NULL: out of memory */
void hub_net_timer_free(struct hub_net_timer *timer);
/* Fires once after DELAY_MS, an earlier setting is replaced. */
void hub_net_timer_set(struct hub_net_timer *timer, uint32_t delay_ms);
void hub_net_timer_cancel(struct hub_net_timer *timer);

struct hub_net_conn;

/* All of one connection's callbacks; CTX is set by hub_net_conn_attach. */
struct hub_net_events {
    void (*open)(void *ctx); /* connected and, with TLS, proven; data may follow */
    void (*data)(void *ctx,
                 struct hub_span bytes); /* all of it is the callee's to keep or drop; gone afterwards */
    void (*end)(void *ctx);              /* the peer will send no more; writing still works */
    void (*flushed)(void *ctx);          /* everything written has been given to the network; may be NULL */
    /* The connection is gone and freed after this call: HUB_AUTH (refused by TLS), HUB_NETWORK. REASON: fixed
     * text. Not called when hub_net_conn_close or _finish was. */
    void (*closed)(void *ctx, enum hub_result why, const char *reason);
};

struct hub_net_listener;
/* A new connection, before any handshake: attach to it and return true, or return false (it is closed). */
typedef bool (*hub_net_accept_fn)(void *ctx, struct hub_net_conn *conn);

/* ADDRESS: "host:port", "[v6]:port"; a numeric address, "localhost" or "*". All loops of the process listen
 * on the same address (SO_REUSEPORT); the first one finds out whether somebody else already does (HUB_BUSY).
 * TLS may be NULL. */
enum hub_result hub_net_listen(struct hub_net_loop *loop, const char *address, struct hub_tls_context *tls,
                               hub_net_accept_fn accept, void *ctx, struct hub_net_listener **out,
                               struct hub_error *err) HUB_MUST_USE;
/* NULL is fine. Connections stay. */
void hub_net_listener_close(struct hub_net_listener *listener);
/* Connections accepted from now on use TLS, which stays the caller's; those that are open keep theirs. */
void hub_net_listener_tls(struct hub_net_listener *listener, struct hub_tls_context *tls);
uint16_t hub_net_listener_port(const struct hub_net_listener *listener);
/* Stops and starts accepting; waiting peers stay in the kernel's queue. */
void hub_net_listener_pause(struct hub_net_listener *listener, bool paused);

/* ADDRESS is resolved (this may block) and connected to; `open` or `closed` follow. TLS NULL: plain. */
enum hub_result hub_net_connect(struct hub_net_loop *loop, const char *address, struct hub_tls_context *tls,
                                const struct hub_net_events *events, void *ctx, struct hub_net_conn **out,
                                struct hub_error *err) HUB_MUST_USE;

/* EVENTS must be static. */
void hub_net_conn_attach(struct hub_net_conn *conn, const struct hub_net_events *events, void *ctx);
/* Copies. Reading stops by itself while more than HUB_NET_UNSENT_HIGH bytes wait for a peer that does not
 * read, until less than HUB_NET_UNSENT_LOW do. HUB_NO_MEMORY. */
enum hub_result hub_net_conn_write(struct hub_net_conn *conn, struct hub_span bytes) HUB_MUST_USE;
enum { HUB_NET_UNSENT_HIGH = 256 * 1024, HUB_NET_UNSENT_LOW = 64 * 1024, HUB_NET_LINGER_MS = 5000 };
size_t hub_net_conn_unsent(const struct hub_net_conn *conn);
/* Backpressure: a paused connection is not read; the peer's TCP window closes. */
void hub_net_conn_pause(struct hub_net_conn *conn, bool paused);
/* At once, without what was not sent; no callback follows. */
void hub_net_conn_close(struct hub_net_conn *conn);
/* Sends what waits (HUB_NET_LINGER_MS at most), then closes; no callback follows. */
void hub_net_conn_finish(struct hub_net_conn *conn);
/* The matched allow entry, "" without. Valid from `open` on, as long as the connection. */
const char *hub_net_conn_peer(const struct hub_net_conn *conn);
/* "10.1.2.3:45678", valid as long as the connection. */
const char *hub_net_conn_address(const struct hub_net_conn *conn);
/* True for 127.0.0.0/8, ::1 and localhost; ADDRESS as for hub_net_listen. HUB_CONFIG when it is none. */
enum hub_result hub_net_address_check(const char *address, bool *loopback,
                                      struct hub_error *err) HUB_MUST_USE;
/* Version of libevent that this process runs with, static. */
const char *hub_libevent_version(void);
