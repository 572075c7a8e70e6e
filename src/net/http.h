/* Asking an HTTP server: one request, one answer, waited for. For services that a hub needs now and then (a schema
 * registry, keys of a token service), never for the way of messages. http_curl.c is the only user of libcurl.
 *
 * Refused: certificates that do not prove the server's name, redirects, proxies named in the environment, answers larger
 * than the caller has room for. Any thread; no state is kept between requests. */
#pragma once

#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum { HUB_HTTP_SECRET_MAX = 4096 };

/* Strings must outlive the calls. NULL: not set. */
struct hub_http_options {
    const char *ca;        /* authorities of the server's certificate (PEM); NULL: the system's */
    const char *cert;      /* client certificate and the chain behind it (PEM); with `key` */
    const char *key;
    const char *username;  /* with `secret` as its password; NULL: `secret` is a bearer token */
    /* Read anew for every request, so that a changed one is found; NULL: no login. At most HUB_HTTP_SECRET_MAX bytes. */
    enum hub_result (*secret)(void *ctx, uint8_t *out, size_t *len, struct hub_error *err);
    void *secret_ctx;
    int timeout_ms; /* of a whole request */
};

struct hub_http_request {
    const char *method, *url; /* http:// or https:// */
    const char *accept, *content_type;
    struct hub_span body; /* empty: none */
};

/* HUB_OK with any *STATUS; the body is appended to ANSWER, whose cap is the limit. HUB_NETWORK, HUB_TIMEOUT: nobody there;
 * HUB_AUTH: TLS was refused by one side; HUB_TOO_LARGE; HUB_CONFIG: a certificate or secret cannot be read. */
enum hub_result hub_http_ask(const struct hub_http_options *options, const struct hub_http_request *request,
                             struct hub_buf *answer, int *status, struct hub_error *err) HUB_MUST_USE;
/* Of libcurl, static. */
const char *hub_curl_version(void);
