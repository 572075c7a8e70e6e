/* What `send` sends and what comes back; the connections are send_net.c. One thread. */
#pragma once

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/net/net.h"

enum hub_send_expect {                  /* MSH-15 and MSH-16 (v2.8.2 2.9.2, 2.9.3) */
                       HUB_SEND_ONE,    /* original mode: one answer */
                       HUB_SEND_ACCEPT, /* an accept acknowledgement (C*) ends it */
                       HUB_SEND_APPLY,  /* an application acknowledgement (A*) ends it, an accept one may come
                                           before */
                       HUB_SEND_ERRORS, /* ER without another wish: silence says yes */
                       HUB_SEND_NOTHING, /* NE and NE */
};

struct hub_send_message { /* one of a file, as it will be sent */
    const char *file;
    uint32_t number;       /* in its file */
    struct hub_span bytes; /* without framing */
    size_t id_at, id_len;     /* MSH-10 in bytes */
    size_t time_at, time_len; /* MSH-7, before it; length 0: none */
    enum hub_send_expect expect;
    bool batch; /* sent whole */
};

enum { HUB_SEND_ID_MAX = 250, HUB_SEND_ERROR_MAX = 200 };
struct hub_send_answer {
    uint64_t index; /* of the send, counting repeats */
    char id[HUB_SEND_ID_MAX + 1];
    char code[4];                       /* "AA", ...; "" when none came */
    char error[HUB_SEND_ERROR_MAX + 1]; /* ERR or MSA-3 of the answer, or why none came */
    uint32_t latency_us;
};

struct hub_send_plan {
    const struct hub_send_message *messages;
    size_t message_count;
    uint64_t total; /* message_count * repeat */
    uint32_t connections;
    uint32_t pipeline;   /* messages in flight per connection */
    uint64_t rate;       /* a second, 0 = as fast as answers come */
    uint64_t timeout_us; /* for one answer */
    bool vary;
    bool now; /* MSH-7 becomes the moment of sending; with a rate, the moment it was due */
    const char *address;         /* host:port */
    struct hub_tls_context *tls; /* NULL: plain */
    /* Called once for each message, in the order of answers; for a batch, with its index, for each
     * acknowledgement in the answer. */
    void (*answered)(void *ctx, const struct hub_send_answer *answer);
    void *ctx;
};

struct hub_send_totals { /* of messages, those of batches too */
    uint64_t accepted, rejected, missing, unexpected; /* unexpected: answers to nothing that was sent */
    int64_t elapsed_us;
};

/* Sends all, until each is answered, timed out or lost. HUB_NETWORK, HUB_AUTH: no connection could be made
 * (what was not sent counts as missing, without a call of answered). */
enum hub_result hub_send_run(const struct hub_send_plan *plan, struct hub_send_totals *totals,
                             struct hub_error *err) HUB_MUST_USE;

/* From an acknowledgement: MSA-1, MSA-2 and the error. HUB_SYNTAX when it is none. ARENA is reset. */
enum hub_result hub_send_read_answer(struct hub_arena *arena, struct hub_span bytes,
                                     struct hub_send_answer *out) HUB_MUST_USE;
