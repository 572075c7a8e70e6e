/* For tests: an HTTP server on the loopback that gives the answers it was told, one a connection, byte for byte, and keeps what it was
 * asked. Tests include cmocka before. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_ANSWERS_MAX = 8, HTTP_REQUEST_MAX = 64 * 1024 };

struct http_answer {
    const char *bytes; /* NULL: none */
    size_t len;        /* 0: to the end of the text */
    bool hold;         /* the connection stays open behind it, until the client goes */
};

struct http_server {
    int fd;
    char url[64];
    pthread_t thread;
    struct http_answer answers[HTTP_ANSWERS_MAX];
    size_t answer_count;
    atomic_size_t asked;
    char requests[HTTP_ANSWERS_MAX][HTTP_REQUEST_MAX];
};

/* Headers and as much as they say follows. */
static inline bool http_whole(const char *request, size_t len)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strcasestr(request, "\r\ncontent-length:");
    if (end == NULL)
        return false;
    const size_t body = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return len >= (size_t)(end + 4 - request) + body;
}

static inline void http_answer_one(struct http_server *server, int fd, size_t number)
{
    char *request = server->requests[number], rest[256];
    const struct http_answer *answer = &server->answers[number];
    size_t len = 0, sent = 0;
    while (len + 1 < HTTP_REQUEST_MAX && !http_whole(request, len)) {
        const ssize_t n = read(fd, request + len, HTTP_REQUEST_MAX - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        request[len] = '\0';
    }
    atomic_fetch_add(&server->asked, 1);
    const size_t total = answer->bytes == NULL ? 0 : answer->len != 0 ? answer->len : strlen(answer->bytes);
    while (sent < total) {
        const ssize_t n = send(fd, answer->bytes + sent, total - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    if (!answer->hold)
        (void)shutdown(fd, SHUT_WR);
    while (read(fd, rest, sizeof rest) > 0)
        ;
}

static inline void *http_serve(void *ctx)
{
    struct http_server *server = ctx;
    for (size_t i = 0; i < server->answer_count; i++) {
        const int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            break;
        http_answer_one(server, fd, i);
        (void)close(fd);
    }
    return NULL;
}

static inline void http_start(struct http_server *server, const struct http_answer *answers, size_t count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    assert_true(count <= HTTP_ANSWERS_MAX);
    memset(server, 0, sizeof *server);
    if (count != 0)
        memcpy(server->answers, answers, count * sizeof *answers);
    server->answer_count = count;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server->fd, 8), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, http_serve, server), 0);
}

/* How often it was asked. */
static inline size_t http_stop(struct http_server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR); /* who waits for the next one hears of it */
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    (void)close(server->fd);
    return atomic_load(&server->asked);
}
