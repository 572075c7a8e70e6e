#include "src/net/cert.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/base/mem.h"
#include "src/base/buf.h"
#include "src/base/span.h"

static const char test_unit[] = "chartline test certificate, not for production";

struct hub_cert_authority {
    X509 *cert;
    EVP_PKEY *key;
};

static enum hub_result library_failed(struct hub_error *err)
{
    ERR_clear_error();
    return hub_fail(err, HUB_INTERNAL, "the certificate cannot be made", NULL);
}

/* --- reading --- */

static int64_t time_us(const ASN1_TIME *time)
{
    struct tm tm = {0};
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return 0;
    int64_t days = hub_time_days_from_civil(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday);
    return ((days * 24 + tm.tm_hour) * 60 + tm.tm_min) * 60000000 + (int64_t)tm.tm_sec * 1000000;
}

static bool has_test_unit(X509_NAME *name)
{
    int at = X509_NAME_get_index_by_NID(name, NID_organizationalUnitName, -1);
    if (at < 0)
        return false;
    const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    return hub_span_is(hub_span_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)), test_unit);
}

enum hub_result hub_cert_load(const char *path, struct hub_cert_info *out, struct hub_error *err)
{
    memset(out, 0, sizeof(*out));
    FILE *file = fopen(path, "re");
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (file != NULL)
        (void)fclose(file);
    ERR_clear_error();
    if (cert == NULL) {
        (void)hub_fail(err, HUB_CONFIG,
                       file == NULL ? "the file cannot be read" : "no certificate in the file",
                       "name a PEM file");
        return hub_error_in(err, path, 0);
    }
    X509_NAME *subject = X509_get_subject_name(cert);
    out->not_before_us = time_us(X509_get0_notBefore(cert));
    out->not_after_us = time_us(X509_get0_notAfter(cert));
    out->test = has_test_unit(subject);
    out->is_ca = X509_check_ca(cert) > 0;
    if (X509_NAME_get_text_by_NID(subject, NID_commonName, out->name, sizeof(out->name)) < 0)
        out->name[0] = '\0';
    for (char *c = out->name; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    X509_free(cert);
    return HUB_OK;
}

/* --- making --- */

static bool set_subject(X509 *cert, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_txt(subject, "OU", MBSTRING_UTF8, (const unsigned char *)test_unit, -1, -1,
                                      0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) ==
               1;
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] &= 0x7f; /* RFC 5280 4.1.2.2: positive, at most 20 octets */
    bytes[0] |= 0x40;
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool done = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return done;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool done = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool set_times(X509 *cert, int64_t not_before_us, int64_t not_after_us)
{
    int64_t now = hub_clock_wall_us(hub_clock_system());
    int64_t from = not_before_us != 0 ? not_before_us : now - (int64_t)3600 * 1000000;
    int64_t to = not_after_us != 0 ? not_after_us : now + (int64_t)730 * 86400 * 1000000;
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(from / 1000000)) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(to / 1000000)) != NULL;
}

static X509 *cert_begin(const char *name, int64_t not_before_us, int64_t not_after_us, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    if (cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        set_subject(cert, name) && set_times(cert, not_before_us, not_after_us) &&
        X509_set_pubkey(cert, key) == 1)
        return cert;
    X509_free(cert);
    return NULL;
}

/* PEM through memory, so that files are written whole and with their final mode. */
static enum hub_result write_pem(const char *path, X509 *cert, EVP_PKEY *key, struct hub_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;
    enum hub_result result = HUB_OK;
    bool made = bio != NULL &&
                (cert != NULL ? PEM_write_bio_X509(bio, cert) == 1
                              : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    if (!made) {
        result = library_failed(err);
        goto out;
    }
    len = BIO_get_mem_data(bio, &text);
    HUB_TRY_OUT(hub_disk_replace(hub_disk_system(), path, hub_span_of(text, (size_t)len), err)); /* 0600 */
    if (cert != NULL && chmod(path, 0644) != 0)
        result = hub_fail(err, HUB_IO, "the file's mode cannot be set", NULL);
out:
    if (text != NULL)
        hub_mem_wipe(text, (size_t)len);
    BIO_free(bio);
    return result;
}

enum hub_result hub_cert_authority_new(const char *name, const char *ca_path, struct hub_cert_authority **out,
                                       struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    *out = NULL;
    struct hub_cert_authority *authority = hub_mem_alloc(sizeof(*authority));
    if (authority == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a certificate", NULL);
    authority->key = EVP_EC_gen("P-256");
    if (authority->key != NULL)
        authority->cert = cert_begin(
            name, 0, hub_clock_wall_us(hub_clock_system()) + (int64_t)3650 * 86400 * 1000000, authority->key);
    X509 *cert = authority->cert;
    bool made = cert != NULL && X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
                add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
                X509_sign(cert, authority->key, EVP_sha256()) > 0;
    if (!made)
        result = library_failed(err);
    else if (ca_path != NULL)
        result = write_pem(ca_path, cert, NULL, err);
    if (result != HUB_OK) {
        hub_cert_authority_free(authority);
        return result;
    }
    *out = authority;
    return HUB_OK;
}

void hub_cert_authority_free(struct hub_cert_authority *authority)
{
    if (authority == NULL)
        return;
    X509_free(authority->cert);
    EVP_PKEY_free(authority->key);
    hub_mem_free(authority);
}

/* "DNS:a,DNS:b,IP:127.0.0.1"; false when a name would break out of the list. */
static bool alternative_names(const struct hub_cert_request *request, struct hub_buf *out)
{
    const char *const *lists[2] = {request->dns, request->ip};
    const char *const prefixes[2] = {"DNS:", "IP:"};
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; lists[l] != NULL && lists[l][i] != NULL; i++) {
            if (strpbrk(lists[l][i], ",; \"\\") != NULL)
                return false;
            if (out->len != 0)
                hub_buf_append_str(out, ",");
            hub_buf_append_str(out, prefixes[l]);
            hub_buf_append_str(out, lists[l][i]);
        }
    }
    return hub_buf_result(out) == HUB_OK;
}

static bool finish_issue(X509 *cert, struct hub_cert_authority *authority,
                         const struct hub_cert_request *request)
{
    struct hub_buf names;
    hub_buf_init(&names, 4096, false);
    bool made =
        X509_set_issuer_name(cert, X509_get_subject_name(authority->cert)) == 1 &&
        add_extension(cert, authority->cert, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(cert, authority->cert, NID_key_usage, "critical,digitalSignature") &&
        add_extension(cert, authority->cert, NID_ext_key_usage,
                      request->server ? "serverAuth" : "clientAuth") &&
        add_extension(cert, authority->cert, NID_subject_key_identifier, "hash") &&
        add_extension(cert, authority->cert, NID_authority_key_identifier, "keyid") &&
        alternative_names(request, &names) &&
        (names.len == 0 || add_extension(cert, authority->cert, NID_subject_alt_name, hub_buf_str(&names))) &&
        X509_sign(cert, authority->key, EVP_sha256()) > 0;
    hub_buf_deinit(&names);
    return made;
}

enum hub_result hub_cert_issue(struct hub_cert_authority *authority, const struct hub_cert_request *request,
                               const char *cert_path, const char *key_path, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key != NULL
                     ? cert_begin(request->common_name, request->not_before_us, request->not_after_us, key)
                     : NULL;
    if (cert == NULL || !finish_issue(cert, authority, request)) {
        result = library_failed(err);
        goto out;
    }
    HUB_TRY_OUT(write_pem(key_path, NULL, key, err));
    HUB_TRY_OUT(write_pem(cert_path, cert, NULL, err));
out:
    X509_free(cert);
    EVP_PKEY_free(key);
    return result;
}
