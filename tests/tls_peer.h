/* For tests over real sockets: a set of certificates, good and bad, and a blocking peer with or without TLS.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/net/cert.h"
#include "src/net/tls.h"

struct test_pki {
    char ca[600], other_ca[600];
    char hub[600], hub_key[600];         /* DNS:localhost, IP:127.0.0.1 */
    char sender[600], sender_key[600];   /* CN=ehr-test, DNS:ehr.example */
    char lab[600], lab_key[600];         /* CN=lab-test */
    char expired[600], expired_key[600]; /* CN=ehr-test */
    char future[600], future_key[600];   /* CN=ehr-test */
    char foreign[600], foreign_key[600]; /* CN=ehr-test by the other authority */
    char purpose[600], purpose_key[600]; /* CN=ehr-test for servers only */
};

static inline int test_pki_issue(struct hub_cert_authority *by, const char *folder, const char *name,
                                 struct hub_cert_request request, char cert[600], char key[600])
{
    (void)snprintf(cert, 600, "%s/%s.pem", folder, name);
    (void)snprintf(key, 600, "%s/%s.key", folder, name);
    struct hub_error err = {0};
    return hub_cert_issue(by, &request, cert, key, &err) == HUB_OK ? 0 : -1;
}

static inline int test_pki_new(const char *folder, struct test_pki *pki)
{
    struct hub_error err = {0};
    struct hub_cert_authority *ca = NULL, *other = NULL;
    static const char *const local[] = {"localhost", NULL};
    static const char *const address[] = {"127.0.0.1", NULL};
    static const char *const ehr[] = {"ehr.example", NULL};
    int64_t now = hub_clock_wall_us(hub_clock_system());
    int64_t day = (int64_t)86400 * 1000000;
    (void)snprintf(pki->ca, sizeof(pki->ca), "%s/ca.pem", folder);
    (void)snprintf(pki->other_ca, sizeof(pki->other_ca), "%s/other-ca.pem", folder);
    int bad = hub_cert_authority_new("test authority", pki->ca, &ca, &err) != HUB_OK ||
              hub_cert_authority_new("other authority", pki->other_ca, &other, &err) != HUB_OK;
    if (!bad) {
        bad |= test_pki_issue(ca, folder, "hub", (struct hub_cert_request){"hub", local, address, true, 0, 0},
                              pki->hub, pki->hub_key);
        bad |= test_pki_issue(ca, folder, "sender",
                              (struct hub_cert_request){"ehr-test", ehr, NULL, false, 0, 0}, pki->sender,
                              pki->sender_key);
        bad |=
            test_pki_issue(ca, folder, "lab", (struct hub_cert_request){"lab-test", NULL, NULL, false, 0, 0},
                           pki->lab, pki->lab_key);
        bad |=
            test_pki_issue(ca, folder, "expired",
                           (struct hub_cert_request){"ehr-test", NULL, NULL, false, now - 9 * day, now - day},
                           pki->expired, pki->expired_key);
        bad |=
            test_pki_issue(ca, folder, "future",
                           (struct hub_cert_request){"ehr-test", NULL, NULL, false, now + day, now + 9 * day},
                           pki->future, pki->future_key);
        bad |= test_pki_issue(other, folder, "foreign",
                              (struct hub_cert_request){"ehr-test", NULL, NULL, false, 0, 0}, pki->foreign,
                              pki->foreign_key);
        bad |= test_pki_issue(ca, folder, "purpose",
                              (struct hub_cert_request){"ehr-test", NULL, NULL, true, 0, 0}, pki->purpose,
                              pki->purpose_key);
    }
    hub_cert_authority_free(ca);
    hub_cert_authority_free(other);
    return bad ? -1 : 0;
}

struct test_peer {
    int fd;
    struct hub_tls_stream *tls;
};

static inline int test_peer_connect(struct test_peer *peer, uint16_t port, int receive_buffer)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    peer->tls = NULL;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer != 0)
        (void)setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return connect(peer->fd, (struct sockaddr *)&to, sizeof(to));
}

/* CERT may be NULL. */
static inline enum hub_result test_peer_secure(struct test_peer *peer, const char *ca, const char *cert,
                                               const char *key, const char *host, struct hub_error *err)
{
    struct hub_tls_client_options options = {.ca = ca, .cert = cert, .key = key, .host = host};
    struct hub_tls_context *context = NULL;
    enum hub_tls_wait wait;
    enum hub_result result = hub_tls_client_new(&options, &context, err);
    if (result != HUB_OK)
        return result;
    peer->tls = hub_tls_stream_new(context, peer->fd);
    hub_tls_context_free(context);
    return peer->tls != NULL ? hub_tls_stream_handshake(peer->tls, &wait) : HUB_NO_MEMORY;
}

/* 0 when all of it went out. */
static inline int test_peer_send(struct test_peer *peer, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len != 0) {
        size_t put = 0;
        enum hub_tls_wait wait;
        if (peer->tls != NULL) {
            if (hub_tls_stream_write(peer->tls, hub_span_of(at, len), &put, &wait) != HUB_OK)
                return -1;
        } else {
            ssize_t n = send(peer->fd, at, len, MSG_NOSIGNAL);
            if (n <= 0)
                return -1;
            put = (size_t)n;
        }
        at += put;
        len -= put;
    }
    return 0;
}

/* Bytes received, 0 at the end of the stream, -1 on failure. */
static inline ssize_t test_peer_receive(struct test_peer *peer, void *into, size_t cap)
{
    if (peer->tls == NULL)
        return recv(peer->fd, into, cap, 0);
    size_t got = 0;
    enum hub_tls_wait wait;
    enum hub_result result = hub_tls_stream_read(peer->tls, into, cap, &got, &wait);
    return result == HUB_OK ? (ssize_t)got : result == HUB_END ? 0 : -1;
}

static inline void test_peer_close(struct test_peer *peer)
{
    hub_tls_stream_free(peer->tls);
    peer->tls = NULL;
    if (peer->fd >= 0)
        (void)close(peer->fd);
    peer->fd = -1;
}
