/* Reading from the bus: as a member of a group that shares a topic's partitions (cooperative rebalancing,
 * static membership), or alone with partitions of one's own choice. Offsets are committed only when asked;
 * where to go on after an assignment is the caller's decision, who keeps its own position beside its state.
 *
 * One thread a consumer: everything happens inside hub_bus_next, which must be called often enough
 * (poll_ms), or the group takes the partitions away. */
#pragma once

#include "src/bus/bus.h"

struct hub_bus_consumer;

/* The offset that is none. There are no names for the oldest and the newest: where reading begins is a number, asked for
 * with hub_bus_offsets. */
#define HUB_BUS_NONE INT64_C(-1001)

struct hub_bus_place {
    const char *topic; /* given out: lives until the next hub_bus_next */
    int32_t partition;
    int64_t offset;       /* of the record wanted next */
    int32_t leader_epoch; /* of the record before it, -1: unknown; with it truncation is noticed */
    int64_t note;         /* numbers of the caller's that are committed with the offset; 0: none */
    uint64_t fingerprint;
};

struct hub_bus_consumer_options { /* strings and lists must outlive the consumer */
    const char *group; /* NULL: alone; nothing is subscribed, commits are refused. With `topics` NULL alone too, but
                          hub_bus_committed tells what this group has committed */
    const char *instance; /* group.instance.id: a restart within session_ms changes nobody's partitions; NULL: none */
    const char *const *topics; /* of the group, NULL ended */
    uint32_t session_ms;       /* 0: 45 s */
    uint32_t poll_ms;          /* longest time between two calls, 0: 5 min */
    bool uncommitted;          /* show records of open and aborted transactions too */
};

enum hub_bus_kind {
    HUB_BUS_IDLE,      /* nothing came before the timeout */
    HUB_BUS_MESSAGE,   /* a record */
    HUB_BUS_ASSIGNED,  /* these partitions are mine now: answer with hub_bus_assign, nothing comes before */
    HUB_BUS_REVOKED,   /* give them back: write and commit, then hub_bus_unassign */
    HUB_BUS_LOST,      /* they belong to somebody else already: write nothing, hub_bus_unassign */
    HUB_BUS_AT_END,    /* places[0]: everything there was has been read */
    HUB_BUS_TRUNCATED, /* places[0]: the brokers lost records that were read before, or the offset is gone
                          (retention); nothing comes until hub_bus_seek */
};

struct hub_bus_message { /* borrowed until the next hub_bus_next */
    struct hub_bus_place place; /* its own offset and leader epoch */
    int64_t time_us;
    struct hub_span key, value; /* value.ptr NULL: a tombstone */
};

struct hub_bus_event {
    enum hub_bus_kind kind;
    struct hub_bus_message message;
    const struct hub_bus_place *places; /* of the other kinds; offsets: what the group had committed, or
                                           HUB_BUS_NONE */
    size_t place_count;
};

enum hub_result hub_bus_consumer_open(struct hub_bus *bus, const struct hub_bus_consumer_options *options,
                                      struct hub_bus_consumer **out, struct hub_error *err) HUB_MUST_USE;
/* Leaves the group (without `instance`), commits nothing. NULL is fine. */
void hub_bus_consumer_close(struct hub_bus_consumer *consumer);

/* The next thing that happened. HUB_CLOSED: of no use any more, close it and open another (an instance of the
 * same name joined, a fatal error). Brokers that are away are no failure: HUB_BUS_IDLE, and
 * hub_bus_consumer_trouble says why. */
enum hub_result hub_bus_next(struct hub_bus_consumer *consumer, int timeout_ms, struct hub_bus_event *event,
                             struct hub_error *err) HUB_MUST_USE;
/* The header NAME of the message last given out; HUB_SPAN_NONE when there is none. */
struct hub_span hub_bus_message_header(struct hub_bus_consumer *consumer, const char *name);
bool hub_bus_consumer_trouble(const struct hub_bus_consumer *consumer, struct hub_error *out);

/* Adds PLACES to what is read, each from its offset on; one at HUB_BUS_NONE is paused, until it has been sent somewhere
 * (hub_bus_seek) and resumed. After HUB_BUS_ASSIGNED all of its places (also with count 0); alone, any time. */
enum hub_result hub_bus_assign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                               struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_bus_unassign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                                 struct hub_error *err) HUB_MUST_USE;
/* Of an assigned partition, also one that was HUB_BUS_TRUNCATED (then it is not paused any more). */
enum hub_result hub_bus_seek(struct hub_bus_consumer *consumer, const struct hub_bus_place *place,
                             struct hub_error *err) HUB_MUST_USE;
/* Stops and restarts what comes of assigned partitions; membership is not touched. */
enum hub_result hub_bus_pause(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                              bool paused, struct hub_error *err) HUB_MUST_USE;
/* Stores the group's offsets (of the records wanted next) with the brokers, and waits. HUB_DENIED: a partition
 * is another member's by now. HUB_NETWORK, HUB_TIMEOUT: unknown, may be tried again. */
enum hub_result hub_bus_commit_offsets(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                       size_t count, struct hub_error *err) HUB_MUST_USE;
/* Fills the offsets, leader epochs, notes and fingerprints the group has committed; HUB_BUS_NONE where it has none. */
enum hub_result hub_bus_committed(struct hub_bus_consumer *consumer, struct hub_bus_place *places, size_t count,
                                  int timeout_ms, struct hub_error *err) HUB_MUST_USE;
/* Oldest offset kept and the offset behind the newest, asked of the broker. */
enum hub_result hub_bus_offsets(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                                int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err) HUB_MUST_USE;
/* HUB_NOT_FOUND: no such topic. */
enum hub_result hub_bus_partition_count(struct hub_bus_consumer *consumer, const char *topic, int timeout_ms,
                                        int32_t *count, struct hub_error *err) HUB_MUST_USE;
