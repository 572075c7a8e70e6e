/* What one process of the timeline must know of patient tokens that others have, to say who a chart is of that is here only in part:
 * their Patient resources, and which events revisions took the place of. All of it is in the topic `timeline`, which every process
 * may read (docs/adr/0008-timeline-on-kafka.md).
 *
 * It is read once and alone, from the oldest record to the end as of then, and not before the processes that have those tokens
 * have applied all events there were. Refused: an answer that lacks something. Of one thread. */
#pragma once

#include "src/bus/bus.h"

struct hub_elsewhere;

struct hub_elsewhere_options { /* strings must outlive it */
    struct hub_bus *bus;
    const char *events, *timeline; /* topics */
    const char *group;             /* whose offsets in `events` say how far the timeline is */
    int32_t partitions;            /* of both */
    int patience_ms;               /* for brokers, and for the others to catch up */
    uint64_t bytes_max;            /* of all that is kept */
    bool (*go_on)(void *ctx);      /* asked now and then: false ends it. NULL: it does */
    void *ctx;
};

enum hub_result hub_elsewhere_new(const struct hub_elsewhere_options *options, struct hub_elsewhere **out, struct hub_error *err) HUB_MUST_USE;
void hub_elsewhere_free(struct hub_elsewhere *elsewhere); /* NULL is fine */

/* This token is asked about; copied. Again is fine; not after hub_elsewhere_read. HUB_TOO_LARGE. */
enum hub_result hub_elsewhere_want(struct hub_elsewhere *elsewhere, struct hub_span token, struct hub_error *err) HUB_MUST_USE;
/* Reads; once. Without a token that is asked about nothing is asked of the brokers. HUB_NETWORK: they do not answer. HUB_BUSY: another
 * process is behind the events, or a partition does not give all it has. HUB_TOO_LARGE. HUB_CLOSED: go_on said no. */
enum hub_result hub_elsewhere_read(struct hub_elsewhere *elsewhere, struct hub_error *err) HUB_MUST_USE;
/* The records of TOKEN that are kept, under the keys and with the values of the topic; views that live as long as ELSEWHERE.
 * HUB_NOT_FOUND: it was not asked about. */
enum hub_result hub_elsewhere_each(const struct hub_elsewhere *elsewhere, struct hub_span token, bool (*callback)(void *ctx, struct hub_span key, struct hub_span record),
                                   void *ctx) HUB_MUST_USE;
