/* The timeline on Kafka: a member of the group that shares the topic `events`, with a store for each partition it has, and one
 * beside them that knows who is who (docs/adr/0008-timeline-on-kafka.md). What an event becomes is in the topic `timeline` before
 * the store says that it was applied, and the group's offset follows the store.
 *
 * hub_unify_run is the thread of the group; it starts one for identity facts and one for each partition. The other calls are
 * for any thread. Refused: writing a partition that another process has (its transactional id is fenced), identity facts that no
 * trusted hub signed, a timeline with a hole that nobody is told of. */
#pragma once

#include <stdatomic.h>

#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/bus/bus.h"
#include "src/crypto/crypto.h"
#include "src/timeline/set.h"

struct hub_unify;

struct hub_unify_options { /* strings but `folder`, lists and what is pointed to must outlive it */
    struct hub_bus *bus;
    const char *events, *identity, *timeline; /* topics */
    const char *group, *instance;             /* of the group, and of this process in it (NULL: none) */
    const char *transactions;                 /* what the transactional ids begin with; the partition follows */
    const char *folder;                       /* of the stores: <data_dir>/timeline */
    int32_t partitions;                       /* of all three topics */
    const uint8_t (*trusted)[HUB_SIGN_PUBLIC_LEN]; /* whose identity facts count */
    size_t trusted_count;
    struct hub_timeline_options timeline_options; /* chart_tokens, inverse_merge_reject */
    uint32_t session_ms, wait_ms, facts_s, tombstones_s; /* bus.kafka.timeline */
    const struct hub_clock *clock;
    struct hub_disk *disk;
    const atomic_bool *stop;
    struct hub_timelines *timelines; /* where readers find the partitions; room for all */
    /* Makes and checks topics before anything is read; asked again until it says HUB_OK. NULL: not needed. */
    enum hub_result (*prepare)(void *ctx, struct hub_error *err);
    /* Something new can be read. NULL: nobody wants to know. */
    void (*changed)(void *ctx);
    /* The id of its schema that stands before each value of `timeline`, asked after `prepare`; 0: none. NULL: none. */
    uint32_t (*schema_id)(void *ctx);
    void *ctx; /* of all */
};

/* Opens who is who; no network. */
enum hub_result hub_unify_open(const struct hub_unify_options *options, struct hub_unify **out, struct hub_error *err) HUB_MUST_USE;
/* Until `stop`. Partitions are written to their end and given back. */
void hub_unify_run(struct hub_unify *unify);
/* After hub_unify_run. NULL is fine. */
void hub_unify_close(struct hub_unify *unify);

/* Waits until the partitions that this process has hold all that was in `events` when it was asked, and all charts are what the
 * facts that were in `identity` make them. HUB_BUSY: not by then, and nobody should be shown a chart that lacks something. */
enum hub_result hub_unify_catch_up(struct hub_unify *unify, int timeout_ms, struct hub_error *err) HUB_MUST_USE;

/* Asks the brokers where the topics end, for the lags of hub_unify_stats to be those of now; else they are as old as a
 * second for each partition. Waits so long at most. */
void hub_unify_look(struct hub_unify *unify, int timeout_ms);

struct hub_unify_stats {
    uint32_t owned, ready; /* partitions of this process, and those among them that can be read */
    uint64_t applied;      /* events, by this process */
    uint64_t rate;         /* a second, over the last ten */
    uint64_t lag;          /* events of its partitions that are not applied yet */
    uint64_t identity_lag; /* records of `identity` that are not read yet */
    uint64_t identity;     /* read by this process */
    uint64_t restores;     /* partitions put back from `timeline`, and records of it that were read */
    uint64_t restored;
    uint64_t rebalances;
    uint64_t fenced;     /* times that another process had taken a partition over */
    uint64_t rebuilt;    /* stores that were begun anew */
    uint64_t untrusted;  /* identity records that no trusted hub signed */
    uint64_t unreadable; /* events and identity records that are none */
    uint64_t unknown_facts; /* events applied without the facts that they state */
    uint64_t truncations;   /* times that the brokers had lost records that were read before */
    uint64_t gap;           /* events that were deleted before they were read: their partitions stand still */
    const char *state;      /* "ok", "waiting", "restoring", "gap", "refused", "failed" */
    struct hub_error trouble; /* result HUB_OK: none */
};
void hub_unify_stats(struct hub_unify *unify, struct hub_unify_stats *out);

struct hub_unify_part_stats {
    int32_t number;
    const char *state; /* "opening", "restoring", "waiting", "ready", "gap", "fenced", "trouble" */
    int64_t position;  /* next event; -1: not known yet */
    uint64_t lag;
    uint64_t gap;
};
/* The partitions of this process, at most CAP; returns how many. */
size_t hub_unify_parts(struct hub_unify *unify, struct hub_unify_part_stats *out, size_t cap);
