/* The only user of libcurl. */
#include "src/net/http.h"

#include <curl/curl.h>
#include <pthread.h>

#include "src/base/mem.h"

static CURLcode ready;

static void make_ready(void)
{
    ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

const char *hub_curl_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct hub_buf *answer = ctx;
    hub_buf_append(answer, bytes, size * count);
    return hub_buf_result(answer) == HUB_OK ? size * count : 0;
}

/* Remembers the first option that the library does not take. */
#define SET(option, value)                                                                                   \
    do {                                                                                                     \
        if (code == CURLE_OK)                                                                                \
            code = curl_easy_setopt(curl, (option), (value));                                                \
    } while (0)

static CURLcode set_common(CURL *curl, const struct hub_http_options *o, struct hub_buf *answer)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, ""); /* whatever the environment says */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_USERAGENT, "chartline");
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, answer);
    if (o->ca != NULL) {
        SET(CURLOPT_CAINFO, o->ca);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (o->cert != NULL) {
        SET(CURLOPT_SSLCERT, o->cert);
        SET(CURLOPT_SSLKEY, o->key);
    }
    return code;
}

static CURLcode set_request(CURL *curl, const struct hub_http_request *r, struct curl_slist *headers)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_CUSTOMREQUEST, r->method);
    SET(CURLOPT_HTTPHEADER, headers);
    if (r->body.len != 0) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        SET(CURLOPT_POSTFIELDS, r->body.ptr); /* not copied */
    }
    return code;
}

static enum hub_result set_login(CURL *curl, const struct hub_http_options *o, struct hub_error *err)
{
    char secret[HUB_HTTP_SECRET_MAX + 1];
    size_t len = 0;
    CURLcode code = CURLE_OK;
    if (o->secret == NULL)
        return HUB_OK;
    enum hub_result result = o->secret(o->secret_ctx, (uint8_t *)secret, &len, err);
    if (result == HUB_OK) {
        secret[len] = '\0';
        SET(CURLOPT_HTTPAUTH, o->username != NULL ? (long)CURLAUTH_BASIC : (long)CURLAUTH_BEARER);
        if (o->username != NULL) {
            SET(CURLOPT_USERNAME, o->username);
            SET(CURLOPT_PASSWORD, secret);
        } else {
            SET(CURLOPT_XOAUTH2_BEARER, secret);
        }
        if (code != CURLE_OK)
            result = hub_fail(err, HUB_NO_MEMORY, "no memory for a request", NULL);
    }
    hub_mem_wipe(secret, sizeof secret);
    return result;
}

/* The cause in our words. */
static enum hub_result explain(CURL *curl, CURLcode code, const struct hub_buf *answer, struct hub_error *err)
{
    enum { EXPIRED = 10 /* X509_V_ERR_CERT_HAS_EXPIRED */ };
    long verify = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &verify);
    if (hub_buf_result(answer) != HUB_OK)
        return hub_fail(err, HUB_TOO_LARGE, "the answer is larger than it may be", "check the address");
    switch ((int)code) { /* the library has a hundred more, told together */
    case CURLE_OPERATION_TIMEDOUT:
        return hub_fail(err, HUB_TIMEOUT, "the server does not answer", NULL);
    case CURLE_PEER_FAILED_VERIFICATION:
        if (verify == EXPIRED)
            return hub_fail(err, HUB_AUTH, "the server's certificate has expired", "put a new one there");
        if (verify == 0)
            return hub_fail(err, HUB_AUTH, "the server's certificate is for another name",
                            "use the name that stands in its certificate");
        return hub_fail(err, HUB_AUTH, "the server's certificate is not from an authority in tls.ca",
                        "name the authority that issued it");
    case CURLE_SSL_CACERT_BADFILE:
        return hub_fail(err, HUB_CONFIG, "the file of authorities cannot be read", "check tls.ca");
    case CURLE_SSL_CERTPROBLEM:
        return hub_fail(err, HUB_CONFIG, "the client certificate or its key cannot be used",
                        "check tls.cert and tls.key");
    case CURLE_SSL_CONNECT_ERROR:
        return hub_fail(err, HUB_AUTH, "TLS is refused", "check that the server speaks TLS there, and whether it asks for a client certificate");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return hub_fail(err, HUB_CONFIG, "not an address", "write https://host:port/path");
    case CURLE_OUT_OF_MEMORY:
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a request", NULL);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
        return hub_fail(err, HUB_NETWORK, "the server ends the connection without an answer",
                        "if it asks for a client certificate, check tls.cert and tls.key");
    case CURLE_COULDNT_RESOLVE_HOST:
        return hub_fail(err, HUB_NETWORK, "the server's name is not known", "check the address");
    default: {
        (void)hub_fail(err, HUB_NETWORK, "the server is not reached", NULL);
        hub_error_number(err, (int64_t)code);
        return HUB_NETWORK;
    }
    }
}

static enum hub_result ask(CURL *curl, const struct hub_http_options *options, const struct hub_http_request *request,
                           struct curl_slist *headers, struct hub_buf *answer, int *status, struct hub_error *err)
{
    long code_of = 0;
    CURLcode code = set_common(curl, options, answer);
    if (code == CURLE_OK)
        code = set_request(curl, request, headers);
    if (code == CURLE_OK) {
        HUB_TRY(set_login(curl, options, err));
        code = curl_easy_perform(curl);
    }
    if (code != CURLE_OK)
        return explain(curl, code, answer, err);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code_of);
    *status = (int)code_of;
    return HUB_OK;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    char line[256];
    if (value == NULL)
        return list;
    (void)snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(list, line);
    return longer != NULL ? longer : list;
}

enum hub_result hub_http_ask(const struct hub_http_options *options, const struct hub_http_request *request,
                             struct hub_buf *answer, int *status, struct hub_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_ready);
    CURL *curl = ready == CURLE_OK ? curl_easy_init() : NULL;
    if (curl == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a request", NULL);
    struct curl_slist *headers = add_header(NULL, "Accept", request->accept);
    headers = add_header(headers, "Content-Type", request->content_type);
    enum hub_result result = ask(curl, options, request, headers, answer, status, err);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return result;
}
