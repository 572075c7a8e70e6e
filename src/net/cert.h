/* Certificates: what `check` looks at, and a small authority for test certificates (`init`, tests). The
 * authority's certificates are for trying things out, and say so in their subject. Any thread. */
#pragma once

#include "src/base/result.h"

struct hub_cert_info {
    int64_t not_before_us, not_after_us;
    bool test; /* made by hub_cert_authority_new or _issue */
    bool is_ca;
    char name[128]; /* common name, control characters replaced; "" when there is none */
};
/* The first certificate of a PEM file. HUB_CONFIG. */
enum hub_result hub_cert_load(const char *path, struct hub_cert_info *out,
                              struct hub_error *err) HUB_MUST_USE;

struct hub_cert_authority; /* with its private key, in memory only */

/* An ECDSA P-256 authority; writes its certificate (0644) to CA_PATH, which may be NULL. */
enum hub_result hub_cert_authority_new(const char *name, const char *ca_path, struct hub_cert_authority **out,
                                       struct hub_error *err) HUB_MUST_USE;
void hub_cert_authority_free(struct hub_cert_authority *authority);

struct hub_cert_request {
    const char *common_name;
    const char *const *dns; /* alternative names, NULL ended; may be NULL */
    const char *const *ip;  /* addresses as text, NULL ended; may be NULL */
    bool server;            /* extended key usage serverAuth, else clientAuth */
    int64_t not_before_us;  /* 0: an hour ago */
    int64_t not_after_us;   /* 0: two years from now */
};
/* A key (ECDSA P-256, 0600) and a certificate (0644). Files are replaced. */
enum hub_result hub_cert_issue(struct hub_cert_authority *authority, const struct hub_cert_request *request,
                               const char *cert_path, const char *key_path,
                               struct hub_error *err) HUB_MUST_USE;
