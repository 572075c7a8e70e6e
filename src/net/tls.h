/* TLS 1.2 and 1.3 over connected stream sockets (OpenSSL; tls_openssl.c is its only user, besides
 * cert_openssl.c). Contexts are immutable and shared by all threads; a stream belongs to one thread.
 *
 * Servers offer the suites of IHE ATNA and BCP 195 on 1.2 (ECDHE first, DHE for old peers; AEAD only) and all
 * suites of 1.3; no compression, no renegotiation, no session tickets or cache: every connection proves
 * itself anew. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_tls_context;
struct hub_tls_stream;

struct hub_tls_server_options {
    const char *cert;      /* PEM, the chain from the server's own certificate up */
    const char *key;       /* PEM, not encrypted */
    const char *client_ca; /* PEM; NULL: no client certificate is asked for */
    /* "CN=name": the certificate's only common name, byte by byte. "DNS:name": one of its dNSName alternative
     * names, without case, no wildcards. With entries, a client matches the first that fits or is refused.
     * Copied. */
    const char *const *allow;
    size_t allow_count;
};
/* HUB_CONFIG with file and reason: a file that cannot be read, a key that is not the certificate's, an
 * expired certificate (of the server itself), an allow entry without CN= or DNS:. */
enum hub_result hub_tls_server_new(const struct hub_tls_server_options *options, struct hub_tls_context **out,
                                   struct hub_error *err) HUB_MUST_USE;

struct hub_tls_client_options {
    const char *ca;   /* PEM with the trusted authorities; NULL: the system's */
    const char *cert; /* NULL: none is shown */
    const char *key;
    const char *host; /* name or address that the server's certificate must have */
};
enum hub_result hub_tls_client_new(const struct hub_tls_client_options *options, struct hub_tls_context **out,
                                   struct hub_error *err) HUB_MUST_USE;
/* One more owner; each calls hub_tls_context_free. */
struct hub_tls_context *hub_tls_context_share(struct hub_tls_context *context);
/* Streams made from it keep working. NULL is fine. */
void hub_tls_context_free(struct hub_tls_context *context);

/* FD stays the caller's (close it after the stream). NULL: out of memory. Works on blocking sockets too. */
struct hub_tls_stream *hub_tls_stream_new(struct hub_tls_context *context, int fd);
/* Tells the peer (close_notify, once, never waiting) when the handshake was done. NULL is fine. */
void hub_tls_stream_free(struct hub_tls_stream *stream);

enum hub_tls_wait { HUB_TLS_WAIT_READ, HUB_TLS_WAIT_WRITE };

/* HUB_OK: done, hub_tls_stream_peer is known. HUB_AGAIN: call again when the socket is ready for *WAIT.
 * HUB_AUTH: the peer did not prove who it is; HUB_NETWORK: anything else. hub_tls_stream_reason says why. */
enum hub_result hub_tls_stream_handshake(struct hub_tls_stream *stream, enum hub_tls_wait *wait) HUB_MUST_USE;
/* HUB_OK with *GOT > 0, HUB_AGAIN, HUB_END (orderly end of the peer's data), HUB_NETWORK. */
enum hub_result hub_tls_stream_read(struct hub_tls_stream *stream, void *into, size_t cap, size_t *got,
                                    enum hub_tls_wait *wait) HUB_MUST_USE;
/* May write a part; a repeat after HUB_AGAIN must start with the same bytes. */
enum hub_result hub_tls_stream_write(struct hub_tls_stream *stream, struct hub_span bytes, size_t *put,
                                     enum hub_tls_wait *wait) HUB_MUST_USE;
/* Decrypted or undecrypted bytes wait inside, so the socket may stay silent although there is something to
 * read. */
bool hub_tls_stream_pending(const struct hub_tls_stream *stream);
/* The allow entry that matched, "" when the context has none. Valid as long as the stream. */
const char *hub_tls_stream_peer(const struct hub_tls_stream *stream);
/* Fixed text for the audit log, never the peer's: "no client certificate", "client certificate expired",
 * "client certificate not yet valid", "client certificate of an unknown authority", "client certificate
 * revoked", "certificate name not allowed", "client certificate not valid", "no common TLS version", "no
 * common cipher suite", "not TLS", ... */
const char *hub_tls_stream_reason(const struct hub_tls_stream *stream);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", static; "" before the handshake is done. */
const char *hub_tls_stream_version(const struct hub_tls_stream *stream);
const char *hub_tls_stream_cipher(const struct hub_tls_stream *stream);
