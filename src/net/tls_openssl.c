#include "src/net/tls.h"

#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <arpa/inet.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "src/base/mem.h"

/* ITI TF-2 3.19.6.2.3 (ATNA, BCP 195 floor) asks for the four RSA suites with GCM; the rest is stronger or as
 * strong. */
static const char suites_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384";
static const char suites_13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

struct hub_tls_context {
    atomic_uint references;
    SSL_CTX *ctx;
    bool server;
    bool asks;    /* for a client certificate */
    char **allow; /* own copies: a context outlives the configuration it was made from */
    size_t allow_count;
    char *host;
    bool host_is_address;
};

struct hub_tls_stream {
    struct hub_tls_context *context;
    SSL *ssl;
    const char *peer;
    const char *reason;
    bool name_refused;
    bool done;
    bool broken;
};

/* The stream of a handshake, for the verify callback. */
static int stream_index(void)
{
    static atomic_int index = -1;
    int have = atomic_load(&index);
    if (have >= 0)
        return have;
    int fresh = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return atomic_compare_exchange_strong(&index, &have, fresh) ? fresh : have;
}

static bool common_name_is(X509 *cert, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return false;
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool same = len >= 0 && (size_t)len == strlen(name) && memcmp(utf8, name, (size_t)len) == 0;
    OPENSSL_free(utf8);
    return same;
}

static bool dns_name_is(X509 *cert, const char *name)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t len = strlen(name);
    bool same = false;
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && !same; i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        if (one->type != GEN_DNS)
            continue;
        const unsigned char *text = ASN1_STRING_get0_data(one->d.dNSName);
        same = (size_t)ASN1_STRING_length(one->d.dNSName) == len && memchr(text, 0, len) == NULL &&
               strncasecmp((const char *)text, name, len) == 0;
    }
    GENERAL_NAMES_free(names);
    return same;
}

static const char *match_allow(const struct hub_tls_context *context, X509 *cert)
{
    for (size_t i = 0; i < context->allow_count; i++) {
        const char *entry = context->allow[i];
        if (strncmp(entry, "CN=", 3) == 0 ? common_name_is(cert, entry + 3) : dns_name_is(cert, entry + 4))
            return entry;
    }
    return NULL;
}

/* The allow list is part of the verification, so that a refused peer gets an alert and never a finished
 * handshake. */
static int verify_peer(int ok, X509_STORE_CTX *store)
{
    if (!ok || X509_STORE_CTX_get_error_depth(store) != 0)
        return ok;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct hub_tls_stream *stream = ssl != NULL ? SSL_get_ex_data(ssl, stream_index()) : NULL;
    if (stream == NULL) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    if (stream->context->allow_count == 0)
        return 1;
    stream->peer = match_allow(stream->context, X509_STORE_CTX_get_current_cert(store));
    if (stream->peer != NULL)
        return 1;
    stream->name_refused = true;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static enum hub_result set_up(struct hub_tls_context *context, struct hub_error *err)
{
    SSL_CTX *ctx = context->ctx;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1); /* one system call for header and body of a record */
    SSL_CTX_set_dh_auto(ctx, 1);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, suites_12) != 1 || SSL_CTX_set_ciphersuites(ctx, suites_13) != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1)
        return hub_fail(err, HUB_INTERNAL, "the TLS library refuses the hub's settings", NULL);
    return HUB_OK;
}

static enum hub_result file_problem(struct hub_error *err, const char *path, const char *what,
                                    const char *mend)
{
    ERR_clear_error();
    (void)hub_fail(err, HUB_CONFIG, what, mend);
    return hub_error_in(err, path, 0);
}

static enum hub_result load_own(SSL_CTX *ctx, const char *cert, const char *key, struct hub_error *err)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return file_problem(err, cert, "no certificate can be read",
                            "name a PEM file with the certificate and its chain");
    if (key == NULL || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return file_problem(err, key != NULL ? key : cert, "no private key of this certificate can be read",
                            "name the PEM file with the certificate's own key, not encrypted");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return file_problem(err, key, "the key is not the certificate's", "name the key that belongs to it");
    X509 *own = SSL_CTX_get0_certificate(ctx);
    if (X509_cmp_current_time(X509_get0_notAfter(own)) < 0)
        return file_problem(err, cert, "the certificate has expired", "renew it");
    if (X509_cmp_current_time(X509_get0_notBefore(own)) > 0)
        return file_problem(err, cert, "the certificate is not valid yet", "check the clock");
    return HUB_OK;
}

static enum hub_result check_allow(const struct hub_tls_server_options *options, struct hub_error *err)
{
    if (options->allow_count != 0 && options->client_ca == NULL)
        return hub_fail(err, HUB_CONFIG, "an allow list needs client_ca",
                        "name the authority of the senders' certificates");
    for (size_t i = 0; i < options->allow_count; i++) {
        const char *entry = options->allow[i];
        if ((strncmp(entry, "CN=", 3) == 0 && entry[3] != '\0') ||
            (strncmp(entry, "DNS:", 4) == 0 && entry[4] != '\0'))
            continue;
        (void)hub_fail(err, HUB_CONFIG, "an allow entry is neither CN=name nor DNS:name",
                       "write it as CN=... or DNS:...");
        hub_error_number(err, (int64_t)i + 1);
        return HUB_CONFIG;
    }
    return HUB_OK;
}

static struct hub_tls_context *context_new(const SSL_METHOD *method)
{
    struct hub_tls_context *context = hub_mem_alloc(sizeof(*context));
    if (context == NULL)
        return NULL;
    atomic_init(&context->references, 1);
    context->ctx = SSL_CTX_new(method);
    if (context->ctx == NULL) {
        hub_mem_free(context);
        return NULL;
    }
    return context;
}

struct hub_tls_context *hub_tls_context_share(struct hub_tls_context *context)
{
    atomic_fetch_add(&context->references, 1);
    return context;
}

void hub_tls_context_free(struct hub_tls_context *context)
{
    if (context == NULL || atomic_fetch_sub(&context->references, 1) != 1)
        return;
    SSL_CTX_free(context->ctx);
    for (size_t i = 0; i < context->allow_count; i++)
        hub_mem_free(context->allow[i]);
    hub_mem_free(context->allow);
    hub_mem_free(context->host);
    hub_mem_free(context);
}

static enum hub_result copy_allow(struct hub_tls_context *context,
                                  const struct hub_tls_server_options *options, struct hub_error *err)
{
    if (options->allow_count == 0)
        return HUB_OK;
    context->allow = hub_mem_array(options->allow_count, sizeof(*context->allow));
    HUB_ENSURE(context->allow != NULL, hub_fail(err, HUB_NO_MEMORY, "no memory for TLS", NULL));
    for (size_t i = 0; i < options->allow_count; i++) {
        size_t len = strlen(options->allow[i]) + 1;
        char *copy = hub_mem_alloc(len);
        HUB_ENSURE(copy != NULL, hub_fail(err, HUB_NO_MEMORY, "no memory for TLS", NULL));
        memcpy(copy, options->allow[i], len);
        context->allow[context->allow_count++] = copy;
    }
    return HUB_OK;
}

static enum hub_result server_fill(struct hub_tls_context *context,
                                   const struct hub_tls_server_options *options, struct hub_error *err)
{
    HUB_TRY(check_allow(options, err));
    HUB_TRY(set_up(context, err));
    HUB_TRY(load_own(context->ctx, options->cert, options->key, err));
    context->server = true;
    HUB_TRY(copy_allow(context, options, err));
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_NONE, NULL);
    if (options->client_ca == NULL)
        return HUB_OK;
    if (SSL_CTX_load_verify_file(context->ctx, options->client_ca) != 1)
        return file_problem(err, options->client_ca, "no authority's certificate can be read",
                            "name a PEM file");
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->client_ca);
    if (names == NULL)
        return file_problem(err, options->client_ca, "no authority's certificate can be read",
                            "name a PEM file");
    SSL_CTX_set_client_CA_list(context->ctx, names);
    context->asks = true;
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_peer);
    return HUB_OK;
}

enum hub_result hub_tls_server_new(const struct hub_tls_server_options *options, struct hub_tls_context **out,
                                   struct hub_error *err)
{
    *out = NULL;
    if (options->cert == NULL || options->key == NULL)
        return hub_fail(err, HUB_CONFIG, "TLS needs cert and key", "name both files");
    struct hub_tls_context *context = context_new(TLS_server_method());
    if (context == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for TLS", NULL);
    enum hub_result result = server_fill(context, options, err);
    ERR_clear_error();
    if (result != HUB_OK) {
        hub_tls_context_free(context);
        return result;
    }
    *out = context;
    return HUB_OK;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static enum hub_result client_fill(struct hub_tls_context *context,
                                   const struct hub_tls_client_options *options, struct hub_error *err)
{
    HUB_TRY(set_up(context, err));
    if (options->cert != NULL)
        HUB_TRY(load_own(context->ctx, options->cert, options->key, err));
    if (options->ca != NULL ? SSL_CTX_load_verify_file(context->ctx, options->ca) != 1
                            : SSL_CTX_set_default_verify_paths(context->ctx) != 1)
        return file_problem(err, options->ca != NULL ? options->ca : "",
                            "no authority's certificate can be read", "name a PEM file");
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    context->host = hub_mem_strdup(options->host);
    if (context->host == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for TLS", NULL);
    context->host_is_address = is_address(context->host);
    return HUB_OK;
}

enum hub_result hub_tls_client_new(const struct hub_tls_client_options *options, struct hub_tls_context **out,
                                   struct hub_error *err)
{
    *out = NULL;
    if (options->host == NULL || options->host[0] == '\0')
        return hub_fail(err, HUB_USAGE, "TLS needs the name the server's certificate must have", NULL);
    struct hub_tls_context *context = context_new(TLS_client_method());
    if (context == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for TLS", NULL);
    enum hub_result result = client_fill(context, options, err);
    ERR_clear_error();
    if (result != HUB_OK) {
        hub_tls_context_free(context);
        return result;
    }
    *out = context;
    return HUB_OK;
}

/* A client checks the name (RFC 6125 through X509_check_host) or the address of the server's certificate. */
static bool client_names(struct hub_tls_stream *stream)
{
    const struct hub_tls_context *context = stream->context;
    if (context->host_is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), context->host) == 1;
    SSL_set_hostflags(stream->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(stream->ssl, context->host) == 1 &&
           SSL_set1_host(stream->ssl, context->host) == 1;
}

struct hub_tls_stream *hub_tls_stream_new(struct hub_tls_context *context, int fd)
{
    struct hub_tls_stream *stream = hub_mem_alloc(sizeof(*stream));
    if (stream == NULL)
        return NULL;
    stream->context = context;
    stream->reason = "";
    atomic_fetch_add(&context->references, 1);
    stream->ssl = SSL_new(context->ctx);
    bool good = stream->ssl != NULL && SSL_set_ex_data(stream->ssl, stream_index(), stream) == 1 &&
                SSL_set_fd(stream->ssl, fd) == 1 && (context->server || client_names(stream));
    if (!good) {
        stream->broken = true;
        hub_tls_stream_free(stream);
        ERR_clear_error();
        return NULL;
    }
    if (context->server)
        SSL_set_accept_state(stream->ssl);
    else
        SSL_set_connect_state(stream->ssl);
    return stream;
}

void hub_tls_stream_free(struct hub_tls_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->done && !stream->broken)
        (void)SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl);
    ERR_clear_error();
    hub_tls_context_free(stream->context);
    hub_mem_free(stream);
}

static const char *verify_reason(const struct hub_tls_stream *stream, long code)
{
    bool server = stream->context->server;
    if (stream->name_refused)
        return "certificate name not allowed";
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return server ? "client certificate expired" : "server certificate expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return server ? "client certificate not yet valid" : "server certificate not yet valid";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return server ? "client certificate of an unknown authority"
                      : "server certificate of an unknown authority";
    case X509_V_ERR_CERT_REVOKED:
        return server ? "client certificate revoked" : "server certificate revoked";
    case X509_V_ERR_INVALID_PURPOSE:
        return server ? "certificate not for clients" : "certificate not for servers";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "server certificate of another name";
    default:
        return server ? "client certificate not valid" : "server certificate not valid";
    }
}

struct reason_row {
    int code;
    enum hub_result result;
    const char *text;
};

static const struct reason_row reasons[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, HUB_AUTH, "no client certificate"},
    {SSL_R_UNSUPPORTED_PROTOCOL, HUB_AUTH, "no common TLS version"},
    {SSL_R_VERSION_TOO_LOW, HUB_AUTH, "no common TLS version"},
    {SSL_R_WRONG_SSL_VERSION, HUB_AUTH, "no common TLS version"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, HUB_AUTH, "no common TLS version"},
    {SSL_R_NO_SHARED_CIPHER, HUB_AUTH, "no common cipher suite"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, HUB_AUTH, "no common cipher suite"},
    {SSL_R_HTTP_REQUEST, HUB_AUTH, "not TLS"},
    {SSL_R_HTTPS_PROXY_REQUEST, HUB_AUTH, "not TLS"},
    {SSL_R_WRONG_VERSION_NUMBER, HUB_AUTH, "not TLS"},
    {SSL_R_UNKNOWN_PROTOCOL, HUB_AUTH, "not TLS"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, HUB_AUTH, "not TLS"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, HUB_AUTH, "the peer refused the certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, HUB_AUTH, "the peer refused the certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, HUB_AUTH, "the peer refused the certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, HUB_AUTH, "the peer refused the certificate"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, HUB_AUTH, "the peer refused the handshake"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, HUB_AUTH, "the peer does not know the certificate's authority"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, HUB_AUTH, "the peer requires a client certificate"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, HUB_AUTH, "the peer refused the certificate"},
};

/* Turns the library's error queue into a fixed text. Bytes of the peer never get into it. */
static enum hub_result explain(struct hub_tls_stream *stream)
{
    unsigned long code = ERR_peek_error();
    enum hub_result result = HUB_NETWORK;
    stream->reason = code == 0 ? "connection lost" : "TLS protocol error";
    if (code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL) {
        if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
            stream->reason = verify_reason(stream, SSL_get_verify_result(stream->ssl));
            result = HUB_AUTH;
        }
        for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
            if (reasons[i].code == ERR_GET_REASON(code)) {
                stream->reason = reasons[i].text;
                result = reasons[i].result;
            }
        }
        if (!stream->done)
            result = HUB_AUTH;
    }
    stream->broken = true;
    ERR_clear_error();
    return result;
}

static enum hub_result outcome(struct hub_tls_stream *stream, int returned, enum hub_tls_wait *wait)
{
    switch (SSL_get_error(stream->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        *wait = HUB_TLS_WAIT_READ;
        return HUB_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        *wait = HUB_TLS_WAIT_WRITE;
        return HUB_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return HUB_END;
    default:
        return explain(stream);
    }
}

enum hub_result hub_tls_stream_handshake(struct hub_tls_stream *stream, enum hub_tls_wait *wait)
{
    ERR_clear_error();
    int returned = SSL_do_handshake(stream->ssl);
    if (returned != 1) {
        enum hub_result result = outcome(stream, returned, wait);
        if (result != HUB_END)
            return result;
        stream->broken = true;
        stream->reason = "connection lost";
        return HUB_NETWORK;
    }
    /* verify_peer runs only when there is a certificate; asking and having none must never end here. */
    HUB_ASSERT(!stream->context->asks || SSL_get0_peer_certificate(stream->ssl) != NULL);
    HUB_ASSERT(stream->context->allow_count == 0 || stream->peer != NULL);
    stream->done = true;
    return HUB_OK;
}

enum hub_result hub_tls_stream_read(struct hub_tls_stream *stream, void *into, size_t cap, size_t *got,
                                    enum hub_tls_wait *wait)
{
    *got = 0;
    if (stream->broken)
        return HUB_NETWORK;
    ERR_clear_error();
    int returned = SSL_read_ex(stream->ssl, into, cap, got);
    return returned == 1 ? HUB_OK : outcome(stream, returned, wait);
}

enum hub_result hub_tls_stream_write(struct hub_tls_stream *stream, struct hub_span bytes, size_t *put,
                                     enum hub_tls_wait *wait)
{
    *put = 0;
    if (stream->broken)
        return HUB_NETWORK;
    ERR_clear_error();
    int returned = SSL_write_ex(stream->ssl, bytes.ptr, bytes.len, put);
    if (returned == 1)
        return HUB_OK;
    enum hub_result result = outcome(stream, returned, wait);
    return result == HUB_END ? HUB_NETWORK : result;
}

bool hub_tls_stream_pending(const struct hub_tls_stream *stream)
{
    return !stream->broken && SSL_has_pending(stream->ssl) == 1;
}

const char *hub_tls_stream_peer(const struct hub_tls_stream *stream)
{
    return stream->peer != NULL ? stream->peer : "";
}

const char *hub_tls_stream_reason(const struct hub_tls_stream *stream)
{
    return stream->reason;
}

const char *hub_tls_stream_version(const struct hub_tls_stream *stream)
{
    return stream->done ? SSL_get_version(stream->ssl) : "";
}

const char *hub_tls_stream_cipher(const struct hub_tls_stream *stream)
{
    return stream->done ? SSL_get_cipher_name(stream->ssl) : "";
}
