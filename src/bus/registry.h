/* A schema registry with Confluent's API (Confluent, Apicurio, Karapace, Redpanda): the schema of a topic's values is
 * there under a subject, and has an id that stands before each value (src/bus/wire.h). Waits for the registry, a
 * request at a time up to the timeout of the options; any thread. What it says leaves here as the registry's own words:
 * it only ever sees schemas. */
#pragma once

#include "src/net/http.h"

enum { HUB_SUBJECT_REASON_MAX = 400 };

struct hub_subject_options {
    const char *url; /* as https://host:8081, or with Apicurio https://host/apis/ccompat/v7 */
    struct hub_http_options http;
    const char *compatibility; /* BACKWARD, ...: the subject gets this mode; NULL: it stays as it is */
    bool create;               /* schemas and modes are put there; false: they are only looked up */
};

struct hub_subject {
    uint32_t id, version;    /* version 0: not asked for */
    char compatibility[32];  /* the subject's own mode; empty: the registry's default */
    char reason[HUB_SUBJECT_REASON_MAX]; /* what the registry said, in one line; empty: nothing */
};

/* SCHEMA (JSON text) under SUBJECT: found, or put there where `create` says so. The same schema has the same id however
 * often. HUB_NOT_FOUND: it is not there, and is not to be put there; HUB_CONFIG: the registry does not take it, with
 * its reason in OUT; HUB_AUTH, HUB_DENIED: the login; HUB_NETWORK, HUB_TIMEOUT, HUB_BUSY: it is away. */
enum hub_result hub_subject_register(const struct hub_subject_options *options, const char *subject, struct hub_span schema,
                                     struct hub_subject *out, struct hub_error *err) HUB_MUST_USE;
/* Changes nothing: HUB_OK: it is there (id, version); HUB_NOT_FOUND: it is not, and could be put there; HUB_CONFIG: it is
 * not, and the registry would not take it. OUT and the other results as above. */
enum hub_result hub_subject_look(const struct hub_subject_options *options, const char *subject, struct hub_span schema,
                                 struct hub_subject *out, struct hub_error *err) HUB_MUST_USE;
