/* The control socket: <data_dir>/control.sock, a thread that accepts and one thread for each client, few of
 * them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/pipeline/control.h"
#include "src/pipeline/hub_internal.h"

enum {
    CLIENTS_MAX = 32,
    REQUEST_BASE = 2 * 1024 * 1024, /* beside a message in base64 */
    READ_CAP = 16 * 1024,
    WRITE_CAP = 64 * 1024,
    SEND_TIMEOUT_S = 60, /* a client that does not read must not hold a snapshot of the store for ever */
    BACKLOG = 64,
    FULL_MS = 5000, /* so long nobody has gone: those who stay do so for long, and others are told */
};

static const char component[] = "control";
static const char socket_name[] = "control.sock";

struct client {
    struct hub_control_server *server;
    int fd;        /* -1: the slot is free */
    bool finished; /* the thread may be joined; under lock, like fd */
    bool joinable;
    pthread_t thread;
    char peer[32];
    struct hub_buf out;
    bool gone;
};

struct hub_control_server {
    struct hub *hub;
    int dir_fd, listen_fd, stop_fd;
    int left_fd; /* counts clients that have gone */
    bool full;   /* all slots were taken for long; the thread of accept_all */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    struct client clients[CLIENTS_MAX];
};

/* --- one client --- */

static bool send_all(struct client *client)
{
    size_t sent = 0;
    while (!client->gone && sent < client->out.len) {
        ssize_t n = send(client->fd, client->out.ptr + sent, client->out.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (n == 0 || errno != EINTR)
            client->gone = true;
    }
    hub_buf_reset(&client->out);
    return !client->gone;
}

/* Nothing came and the other end is closed. */
static bool peer_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static bool on_line(void *ctx, struct hub_span json)
{
    struct client *client = ctx;
    if (json.len ==
        0) /* asked whether the peer is there, before a long wait: what was said so far should arrive */
        return send_all(client) && !peer_closed(client->fd);
    hub_buf_append_span(&client->out, json);
    hub_buf_append_byte(&client->out, '\n');
    if (hub_buf_result(&client->out) != HUB_OK)
        client->gone = true;
    return client->out.len < WRITE_CAP ? !client->gone : send_all(client);
}

static bool handle_lines(struct client *client, struct hub_session *session, struct hub_buf *in)
{
    uint8_t *end;
    while (in->len != 0 && (end = memchr(in->ptr, '\n', in->len)) != NULL) {
        size_t len = (size_t)(end - in->ptr);
        hub_session_handle(session, hub_span_of(in->ptr, len), on_line, client);
        hub_buf_consume(in, len + 1);
        if (!send_all(client))
            return false;
    }
    return hub_buf_result(in) == HUB_OK;
}

/* A request past the limit is said to be one; what of it is still to come is read past, or the answer would be lost with
 * the connection. */
static void refuse_long(struct client *client)
{
    uint8_t passed[READ_CAP];
    ssize_t n;
    (void)on_line(client, HUB_SPAN("{\"error\":{\"code\":\"too_large\",\"mend\":\"send less at once\",\"place\":\"\","
                                   "\"what\":\"a request longer than the limit\"}}"));
    if (!send_all(client))
        return;
    do
        n = recv(client->fd, passed, sizeof(passed), 0);
    while (n > 0 ? memchr(passed, '\n', (size_t)n) == NULL : n < 0 && errno == EINTR);
}

static void converse(struct client *client, struct hub_session *session)
{
    struct hub_buf in;
    hub_buf_init(&in, client->server->hub->config->limits.message_bytes / 3 * 4 + REQUEST_BASE, true);
    for (;;) {
        uint8_t *room = hub_buf_reserve(&in, READ_CAP);
        if (room == NULL) {
            refuse_long(client);
            break;
        }
        ssize_t n = recv(client->fd, room, READ_CAP, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        in.len += (size_t)n;
        if (!handle_lines(client, session, &in))
            break;
    }
    hub_buf_deinit(&in);
}

static void signal_one(int fd)
{
    const uint64_t one = 1;
    ssize_t put = write(fd, &one, sizeof(one));
    (void)put;
}

static void *serve(void *ctx)
{
    struct client *client = ctx;
    struct hub_control_server *server = client->server;
    struct hub_session *session = hub_session_new(server->hub, client->peer);
    hub_buf_init(&client->out, HUB_CONTROL_LINE_MAX + WRITE_CAP, true);
    if (session != NULL)
        converse(client, session);
    hub_session_free(session);
    hub_buf_deinit(&client->out);
    (void)pthread_mutex_lock(&server->lock);
    (void)close(client->fd);
    client->fd = -1;
    client->finished = true;
    (void)pthread_mutex_unlock(&server->lock);
    signal_one(server->left_fd);
    return NULL;
}

/* --- accepting --- */

static void refuse(int fd, const char *text)
{
    ssize_t put = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)put;
    (void)close(fd);
}

/* Only the hub's own user and root; the socket's mode says the same. */
static bool peer_allowed(int fd, uid_t *uid)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return false;
    *uid = cred.uid;
    return cred.uid == geteuid() || cred.uid == 0;
}

static struct client *free_slot(struct hub_control_server *server)
{
    struct client *found = NULL;
    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < CLIENTS_MAX && found == NULL; i++) {
        if (server->clients[i].fd < 0)
            found = &server->clients[i];
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (found != NULL && found->joinable) {
        (void)pthread_join(found->thread, NULL);
        found->joinable = false;
    }
    return found;
}

/* Most are here for a moment: whoever comes while all slots are taken waits for one (those behind wait in the socket's backlog), but not
 * when nobody has gone for a while, nor when the hub stops. */
static struct client *slot_in_time(struct hub_control_server *server)
{
    struct pollfd wait[2] = {{.fd = server->left_fd, .events = POLLIN}, {.fd = server->stop_fd, .events = POLLIN}};
    for (;;) {
        struct client *client = free_slot(server);
        if (client != NULL)
            return client;
        const int count = poll(wait, 2, server->full ? 0 : FULL_MS);
        if (count < 0 && errno == EINTR)
            continue;
        server->full = count == 0;
        if (count <= 0 || wait[1].revents != 0)
            return NULL;
        uint64_t gone = 0;
        if (read(server->left_fd, &gone, sizeof(gone)) < 0 && errno != EAGAIN)
            return NULL;
    }
}

static void take_client(struct hub_control_server *server, int fd)
{
    uid_t uid = 0;
    struct timeval limit = {.tv_sec = SEND_TIMEOUT_S};
    struct timeval idle = {.tv_sec = (time_t)(server->hub->config->limits.idle_ms / 1000) + 1};
    if (!peer_allowed(fd, &uid)) {
        HUB_DIAG(HUB_DIAG_WARNING, component, "another user's connection is refused",
                 hub_diag_number("uid", (int64_t)uid));
        refuse(fd, "{\"error\":{\"code\":\"denied\",\"mend\":\"\",\"place\":\"\",\"what\":\"this socket is "
                   "for the hub's own user\"}}\n");
        return;
    }
    struct client *client = slot_in_time(server);
    if (client == NULL) {
        refuse(fd, "{\"error\":{\"code\":\"busy\",\"mend\":\"try again\",\"place\":\"\",\"what\":\"too many "
                   "clients at once\"}}\n");
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
    client->server = server;
    client->finished = false;
    client->gone = false;
    (void)snprintf(client->peer, sizeof(client->peer), "uid %lu", (unsigned long)uid);
    (void)pthread_mutex_lock(&server->lock);
    client->fd = fd;
    (void)pthread_mutex_unlock(&server->lock);
    client->joinable = hub_thread_start(&client->thread, "control-client", serve, client, NULL) == HUB_OK;
    if (!client->joinable) {
        (void)pthread_mutex_lock(&server->lock);
        client->fd = -1;
        (void)pthread_mutex_unlock(&server->lock);
        (void)close(fd);
    }
}

static void *accept_all(void *ctx)
{
    struct hub_control_server *server = ctx;
    struct pollfd wait[2] = {{.fd = server->listen_fd, .events = POLLIN},
                             {.fd = server->stop_fd, .events = POLLIN}};
    for (;;) {
        wait[0].revents = 0;
        wait[1].revents = 0;
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            break;
        if (wait[1].revents != 0)
            break;
        if ((wait[0].revents & POLLIN) == 0)
            continue;
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take_client(server, fd);
    }
    return NULL;
}

/* --- the socket --- */

/* A path of any length fits into a socket address through the folder's descriptor. The folder's lock is held,
 * so a socket that is there is a leftover. */
static enum hub_result open_socket(struct hub_control_server *server, struct hub_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *data_dir = server->hub->config->data_dir;
    server->dir_fd = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->dir_fd < 0 || server->listen_fd < 0)
        return hub_fail_errno(err, HUB_IO, "the control socket cannot be made", errno);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", server->dir_fd,
                   socket_name);
    if (unlinkat(server->dir_fd, socket_name, 0) != 0 && errno != ENOENT)
        return hub_fail_errno(err, HUB_IO, "the old control socket cannot be removed", errno);
    if (fchmod(server->listen_fd, 0600) != 0 || /* what bind gives to the socket's name */
        bind(server->listen_fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listen_fd, BACKLOG) != 0 || fchmodat(server->dir_fd, socket_name, 0600, 0) != 0) {
        (void)hub_fail_errno(err, HUB_IO, "the control socket cannot be made", errno);
        return hub_error_in(err, data_dir, 0);
    }
    return HUB_OK;
}

enum hub_result hub_control_start(struct hub *hub, struct hub_control_server **out, struct hub_error *err)
{
    *out = NULL;
    struct hub_control_server *server = hub_mem_alloc(sizeof(*server));
    if (server == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the control socket", NULL);
    server->hub = hub;
    server->dir_fd = -1;
    server->listen_fd = -1;
    server->left_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&server->lock, NULL);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        server->clients[i].fd = -1;
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    enum hub_result result = server->stop_fd >= 0 && server->left_fd >= 0
                                 ? open_socket(server, err)
                                 : hub_fail_errno(err, HUB_IO, "the control socket cannot be made", errno);
    if (result == HUB_OK) {
        result = hub_thread_start(&server->thread, "control", accept_all, server, err);
        server->running = result == HUB_OK;
    }
    if (result != HUB_OK) {
        hub_control_stop(server);
        return result;
    }
    *out = server;
    return HUB_OK;
}

void hub_control_stop(struct hub_control_server *server)
{
    if (server == NULL)
        return;
    if (server->running) {
        signal_one(server->stop_fd);
        (void)pthread_join(server->thread, NULL);
    }
    (void)pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (server->clients[i].fd >= 0)
            (void)shutdown(server->clients[i].fd, SHUT_RD); /* the answer at work still leaves */
    }
    (void)pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (server->clients[i].joinable)
            (void)pthread_join(server->clients[i].thread, NULL);
    }
    if (server->dir_fd >= 0) {
        (void)unlinkat(server->dir_fd, socket_name, 0);
        (void)close(server->dir_fd);
    }
    if (server->listen_fd >= 0)
        (void)close(server->listen_fd);
    if (server->stop_fd >= 0)
        (void)close(server->stop_fd);
    if (server->left_fd >= 0)
        (void)close(server->left_fd);
    (void)pthread_mutex_destroy(&server->lock);
    hub_mem_free(server);
}
