#include "src/net/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "src/base/mem.h"
#include "src/net/net_internal.h"

enum {
    READS_A_TURN = 4, /* then the other connections have theirs */
    UNSENT_MAX = 256 * 1024 * 1024,
    KEEP_IDLE_S = 60, /* half-open peers: probed after a minute, given up after three more */
    KEEP_INTERVAL_S = 30,
    KEEP_PROBES = 6,
    USER_TIMEOUT_MS = 120000, /* sent bytes that nobody confirms */
    WRITE_CHUNK = 128 * 1024,
    KEEP_CAP = 64 * 1024, /* output memory an idle connection may keep */
    REFUSED_LINGER_MS = 1000,
};

enum state { CONNECTING, HANDSHAKE, OPEN, FINISHING, LINGER, GONE };

struct hub_net_conn {
    struct hub_net_loop *loop;
    int fd;
    enum state state;
    struct event *read_event, *write_event, *linger_event;
    struct hub_tls_context *tls_context; /* of a client, until it is connected */
    struct hub_tls_stream *tls;
    const struct hub_net_events *events;
    void *ctx;
    struct hub_buf out;
    size_t sent; /* of out */
    bool reading;
    bool paused, full; /* by the owner, by unsent output */
    bool ended;        /* the peer sends no more */
    bool more;         /* the last read stopped before the source was dry */
    bool dirty;
    char address[HUB_NET_ADDRESS_TEXT];
    struct hub_net_conn *next_dirty;
    struct hub_net_conn *prev, *next; /* all of the loop; or the graveyard (next only) */
};

static struct timeval after_ms(uint32_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

/* --- life --- */

static void mark_dirty(struct hub_net_conn *conn)
{
    if (conn->dirty || conn->state == GONE)
        return;
    conn->dirty = true;
    conn->next_dirty = conn->loop->dirty;
    conn->loop->dirty = conn;
    if (conn->loop->depth == 0)
        hub_net_wake(conn->loop);
}

static void update_read(struct hub_net_conn *conn)
{
    bool handshake = conn->state == HANDSHAKE || conn->state == LINGER;
    bool want = !conn->ended && (handshake || (conn->state == OPEN && !conn->paused && !conn->full));
    if (want != conn->reading) {
        conn->reading = want;
        if (want)
            (void)event_add(conn->read_event, NULL);
        else
            (void)event_del(conn->read_event);
    }
    if (want && conn->more) /* the socket may stay silent: what is left waits inside the TLS stream */
        event_active(conn->read_event, EV_READ, 0);
}

static void destroy(struct hub_net_conn *conn)
{
    struct hub_net_loop *loop = conn->loop;
    if (conn->state == GONE)
        return;
    conn->state = GONE;
    *(conn->prev != NULL ? &conn->prev->next : &loop->conns) = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    loop->conn_count--;
    if (conn->read_event != NULL)
        event_free(conn->read_event);
    if (conn->write_event != NULL)
        event_free(conn->write_event);
    if (conn->linger_event != NULL)
        event_free(conn->linger_event);
    hub_tls_stream_free(conn->tls);
    hub_tls_context_free(conn->tls_context);
    (void)close(conn->fd);
    conn->next = loop->graveyard;
    loop->graveyard = conn;
    if (loop->depth == 0)
        hub_net_wake(loop);
}

static void on_linger(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct hub_net_conn *conn = ctx;
    struct hub_net_loop *loop = conn->loop;
    hub_net_enter(loop);
    destroy(conn);
    hub_net_leave(loop);
}

static void set_deadline(struct hub_net_conn *conn, uint32_t ms)
{
    struct timeval delay = after_ms(ms);
    if (conn->linger_event == NULL)
        conn->linger_event = evtimer_new(conn->loop->base, on_linger, conn);
    if (conn->linger_event == NULL || evtimer_add(conn->linger_event, &delay) != 0)
        destroy(conn);
}

/* Closing a socket with unread input resets the connection, and the peer may lose what was sent last: so the
 * end is told first, and input is thrown away until the peer closes too. */
static void linger(struct hub_net_conn *conn, uint32_t ms)
{
    hub_tls_stream_free(conn->tls);
    conn->tls = NULL;
    conn->state = LINGER;
    conn->more = false;
    (void)event_del(conn->write_event);
    if (shutdown(conn->fd, SHUT_WR) != 0 || conn->ended) {
        destroy(conn);
        return;
    }
    set_deadline(conn, ms);
    if (conn->state != GONE)
        update_read(conn);
}

static void fail(struct hub_net_conn *conn, enum hub_result why, const char *reason)
{
    const struct hub_net_events *events = conn->events;
    void *ctx = conn->ctx;
    conn->events = NULL;
    if (conn->state == HANDSHAKE && conn->tls != NULL)
        linger(conn, REFUSED_LINGER_MS); /* the alert should arrive */
    else
        destroy(conn);
    if (events != NULL)
        events->closed(ctx, why, reason);
}

/* --- input --- */

static enum hub_result receive(struct hub_net_conn *conn, size_t *got)
{
    struct hub_net_loop *loop = conn->loop;
    enum hub_tls_wait wait;
    *got = 0;
    if (conn->tls != NULL)
        return hub_tls_stream_read(conn->tls, loop->read_buf, HUB_NET_READ_CAP, got, &wait);
    ssize_t n;
    do
        n = recv(conn->fd, loop->read_buf, HUB_NET_READ_CAP, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        return HUB_OK;
    }
    if (n == 0)
        return HUB_END;
    return errno == EAGAIN || errno == EWOULDBLOCK ? HUB_AGAIN : HUB_NETWORK;
}

static void peer_ended(struct hub_net_conn *conn)
{
    conn->ended = true;
    conn->more = false;
    update_read(conn);
    conn->events->end(conn->ctx);
}

static void read_some(struct hub_net_conn *conn)
{
    for (unsigned turn = 0; turn < READS_A_TURN; turn++) {
        size_t got;
        enum hub_result result = receive(conn, &got);
        conn->more = false;
        if (result == HUB_AGAIN)
            return;
        if (result == HUB_END) {
            peer_ended(conn);
            return;
        }
        if (result != HUB_OK) {
            fail(conn, HUB_NETWORK, conn->tls != NULL ? hub_tls_stream_reason(conn->tls) : "connection lost");
            return;
        }
        conn->events->data(conn->ctx, hub_span_of(conn->loop->read_buf, got));
        hub_mem_wipe(conn->loop->read_buf, got);
        if (conn->state != OPEN)
            return;
        conn->more = conn->tls != NULL && hub_tls_stream_pending(conn->tls);
        if (!conn->reading || (!conn->more && got < HUB_NET_READ_CAP))
            return;
    }
    update_read(conn);
}

static void discard(struct hub_net_conn *conn)
{
    size_t got;
    for (unsigned turn = 0; turn < READS_A_TURN; turn++) {
        enum hub_result result = receive(conn, &got);
        if (result == HUB_AGAIN)
            return;
        if (result != HUB_OK) {
            destroy(conn);
            return;
        }
        hub_mem_wipe(conn->loop->read_buf, got);
    }
}

static void opened(struct hub_net_conn *conn)
{
    conn->state = OPEN;
    conn->more = conn->tls != NULL && hub_tls_stream_pending(conn->tls);
    conn->events->open(conn->ctx);
    if (conn->state == OPEN)
        update_read(conn);
}

static void shake_hands(struct hub_net_conn *conn)
{
    enum hub_tls_wait wait = HUB_TLS_WAIT_READ;
    enum hub_result result = hub_tls_stream_handshake(conn->tls, &wait);
    if (result == HUB_OK)
        opened(conn);
    else if (result != HUB_AGAIN)
        fail(conn, result, hub_tls_stream_reason(conn->tls));
    else if (wait == HUB_TLS_WAIT_WRITE)
        (void)event_add(conn->write_event, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct hub_net_conn *conn = ctx;
    struct hub_net_loop *loop = conn->loop;
    hub_net_enter(loop);
    if (conn->state == HANDSHAKE)
        shake_hands(conn);
    else if (conn->state == OPEN && conn->reading)
        read_some(conn);
    else if (conn->state == LINGER)
        discard(conn);
    hub_net_leave(loop);
}

/* --- output --- */

static enum hub_result transmit(struct hub_net_conn *conn, struct hub_span bytes, size_t *put,
                                enum hub_tls_wait *wait)
{
    *put = 0;
    *wait = HUB_TLS_WAIT_WRITE;
    if (conn->tls != NULL)
        return hub_tls_stream_write(conn->tls, bytes, put, wait);
    ssize_t n;
    do
        n = send(conn->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        *put = (size_t)n;
        return HUB_OK;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? HUB_AGAIN : HUB_NETWORK;
}

static enum hub_result send_out(struct hub_net_conn *conn)
{
    while (conn->sent < conn->out.len) {
        size_t left = conn->out.len - conn->sent;
        size_t put;
        enum hub_tls_wait wait;
        enum hub_result result =
            transmit(conn, hub_span_of(conn->out.ptr + conn->sent, left < WRITE_CHUNK ? left : WRITE_CHUNK),
                     &put, &wait);
        conn->sent += put;
        if (result == HUB_AGAIN) {
            if (wait == HUB_TLS_WAIT_WRITE)
                (void)event_add(conn->write_event, NULL);
            if (conn->sent > KEEP_CAP) {
                hub_buf_consume(&conn->out, conn->sent);
                conn->sent = 0;
            }
            return HUB_AGAIN;
        }
        HUB_TRY(result);
    }
    conn->sent = 0;
    if (conn->out.cap > KEEP_CAP) {
        hub_buf_deinit(&conn->out);
        hub_buf_init(&conn->out, UNSENT_MAX, true);
    }
    hub_buf_reset(&conn->out);
    return HUB_OK;
}

static void flush_conn(struct hub_net_conn *conn)
{
    if (conn->state != OPEN && conn->state != FINISHING)
        return;
    bool had = conn->out.len != 0;
    enum hub_result result = send_out(conn);
    if (result != HUB_OK && result != HUB_AGAIN) {
        fail(conn, HUB_NETWORK, "connection lost");
        return;
    }
    size_t unsent = hub_net_conn_unsent(conn);
    if (conn->state == FINISHING) {
        if (unsent == 0)
            linger(conn, HUB_NET_LINGER_MS);
        return;
    }
    bool full = unsent > (conn->full ? (size_t)HUB_NET_UNSENT_LOW : (size_t)HUB_NET_UNSENT_HIGH);
    if (full != conn->full) {
        conn->full = full;
        update_read(conn);
    }
    if (had && unsent == 0 && conn->events->flushed != NULL)
        conn->events->flushed(conn->ctx);
}

static void connected(struct hub_net_conn *conn)
{
    int problem = 0;
    socklen_t len = sizeof(problem);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0 || problem != 0) {
        fail(conn, HUB_NETWORK, problem == ECONNREFUSED ? "connection refused" : "cannot connect");
        return;
    }
    if (conn->tls_context == NULL) {
        opened(conn);
        return;
    }
    conn->tls = hub_tls_stream_new(conn->tls_context, conn->fd);
    if (conn->tls == NULL) {
        fail(conn, HUB_NO_MEMORY, "no memory");
        return;
    }
    conn->state = HANDSHAKE;
    update_read(conn);
    shake_hands(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct hub_net_conn *conn = ctx;
    struct hub_net_loop *loop = conn->loop;
    hub_net_enter(loop);
    if (conn->state == CONNECTING)
        connected(conn);
    else if (conn->state == HANDSHAKE)
        shake_hands(conn);
    else
        mark_dirty(conn);
    hub_net_leave(loop);
}

void hub_net_flush_dirty(struct hub_net_loop *loop)
{
    while (loop->dirty != NULL) {
        struct hub_net_conn *conn = loop->dirty;
        loop->dirty = conn->next_dirty;
        conn->dirty = false;
        flush_conn(conn);
    }
}

void hub_net_bury(struct hub_net_loop *loop)
{
    while (loop->graveyard != NULL) {
        struct hub_net_conn *conn = loop->graveyard;
        loop->graveyard = conn->next;
        hub_buf_deinit(&conn->out);
        hub_mem_free(conn);
    }
}

/* --- making connections --- */

static void tune(int fd)
{
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

/* Owns FD from here on, also on failure. */
static struct hub_net_conn *conn_new(struct hub_net_loop *loop, int fd, const struct hub_net_address *peer)
{
    struct hub_net_conn *conn = hub_mem_alloc(sizeof(*conn));
    if (conn == NULL) {
        (void)close(fd);
        return NULL;
    }
    conn->loop = loop;
    conn->fd = fd;
    hub_buf_init(&conn->out, UNSENT_MAX, true);
    hub_net_address_print(peer, conn->address);
    conn->next = loop->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    loop->conns = conn;
    loop->conn_count++;
    tune(fd);
    conn->read_event = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    conn->write_event = event_new(loop->base, fd, EV_WRITE, on_writable, conn);
    if (conn->read_event == NULL || conn->write_event == NULL) {
        destroy(conn);
        return NULL;
    }
    return conn;
}

void hub_net_conn_accepted(struct hub_net_loop *loop, int fd, const struct hub_net_address *peer,
                           struct hub_tls_context *tls, hub_net_accept_fn accept, void *ctx)
{
    struct hub_net_conn *conn = conn_new(loop, fd, peer);
    if (conn == NULL)
        return;
    if (!accept(ctx, conn)) {
        destroy(conn);
        return;
    }
    HUB_ASSERT(conn->state == GONE || conn->events != NULL);
    if (conn->state == GONE)
        return;
    if (tls == NULL) {
        opened(conn);
        return;
    }
    conn->state = HANDSHAKE;
    conn->tls = hub_tls_stream_new(tls, fd);
    if (conn->tls == NULL)
        fail(conn, HUB_NO_MEMORY, "no memory");
    else
        update_read(conn);
}

enum hub_result hub_net_connect(struct hub_net_loop *loop, const char *address, struct hub_tls_context *tls,
                                const struct hub_net_events *events, void *ctx, struct hub_net_conn **out,
                                struct hub_error *err)
{
    struct hub_net_address peer;
    *out = NULL;
    HUB_TRY(hub_net_address_parse(address, false, &peer, err));
    int fd = socket(peer.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return hub_fail_errno(err, HUB_NETWORK, "cannot make a socket", errno);
    struct hub_net_conn *conn = conn_new(loop, fd, &peer);
    if (conn == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a connection", NULL);
    hub_net_conn_attach(conn, events, ctx);
    conn->tls_context = tls != NULL ? hub_tls_context_share(tls) : NULL;
    if ((connect(fd, (const struct sockaddr *)&peer.storage, peer.len) != 0 && errno != EINPROGRESS) ||
        event_add(conn->write_event, NULL) != 0) {
        int problem = errno;
        hub_net_conn_close(conn);
        (void)hub_fail_errno(err, HUB_NETWORK, "cannot connect", problem);
        return hub_error_in(err, address, 0);
    }
    *out = conn;
    return HUB_OK;
}

/* --- what owners call --- */

void hub_net_conn_attach(struct hub_net_conn *conn, const struct hub_net_events *events, void *ctx)
{
    conn->events = events;
    conn->ctx = ctx;
}

enum hub_result hub_net_conn_write(struct hub_net_conn *conn, struct hub_span bytes)
{
    HUB_ASSERT(conn->state == OPEN);
    hub_buf_append_span(&conn->out, bytes);
    mark_dirty(conn);
    return hub_buf_result(&conn->out) == HUB_OK ? HUB_OK : HUB_NO_MEMORY;
}

size_t hub_net_conn_unsent(const struct hub_net_conn *conn)
{
    return conn->out.len - conn->sent;
}

void hub_net_conn_pause(struct hub_net_conn *conn, bool paused)
{
    if (conn->state == GONE || conn->paused == paused)
        return;
    conn->paused = paused;
    if (conn->state == OPEN)
        update_read(conn);
}

void hub_net_conn_close(struct hub_net_conn *conn)
{
    conn->events = NULL;
    destroy(conn);
}

void hub_net_conn_finish(struct hub_net_conn *conn)
{
    conn->events = NULL;
    if (conn->state == GONE || conn->state == FINISHING || conn->state == LINGER)
        return;
    if (conn->state != OPEN) {
        destroy(conn);
        return;
    }
    conn->state = FINISHING;
    update_read(conn);
    set_deadline(conn, HUB_NET_LINGER_MS);
    mark_dirty(conn);
}

const char *hub_net_conn_peer(const struct hub_net_conn *conn)
{
    return conn->tls != NULL ? hub_tls_stream_peer(conn->tls) : "";
}

const char *hub_net_conn_address(const struct hub_net_conn *conn)
{
    return conn->address;
}
