/* What tests see and order of the bus in memory (hub_bus_open_memory). Any thread. */
#pragma once

#include "src/bus/bus.h"

enum { HUB_MEMORY_PARTITIONS_MAX = 16 };

/* A topic; also made by hub_bus_check with `create`. */
void hub_memory_topic(struct hub_bus *bus, const char *name, int32_t partitions);

struct hub_memory_record { /* lives as long as the bus */
    struct hub_span key, value; /* value.ptr NULL: a tombstone */
    struct hub_bus_header headers[HUB_BUS_HEADERS_MAX];
    size_t header_count;
    int32_t partition;
    bool hidden; /* of a transaction that is open or came to nothing, or the mark of a transaction's end */
};
size_t hub_memory_count(struct hub_bus *bus, const char *topic, int32_t partition);
struct hub_memory_record hub_memory_at(struct hub_bus *bus, const char *topic, int32_t partition, size_t at);

/* A new leader of the partition lacks its last COUNT records, and no reader is told; where what follows grows past them, only the
 * leader's epoch shows it. How many there were to lose. */
size_t hub_memory_lose_end(struct hub_bus *bus, const char *topic, int32_t partition, size_t count);
/* The record AT is not there any more, as after compaction; the others stay where they are. */
void hub_memory_compact(struct hub_bus *bus, const char *topic, int32_t partition, size_t at);

struct hub_memory_faults {
    bool away;        /* nothing gets through, neither way */
    bool broken;      /* the next call of any producer finds itself of no use */
    unsigned fail_after; /* the nth record from now on fails; 0: none */
    bool store_failed;   /* ... and is stored all the same */
    bool in_transactions; /* only records of transactions count there */
    size_t buffer;    /* records that a producer holds; 0: 1024 */
    unsigned commit_after; /* the nth transaction from now on is not ended: its producer is of no use; 0: none */
    bool commit_counts;    /* ... and counts all the same */
    unsigned jump_after;   /* at the nth record for members of groups from now on its reader goes to the end instead; 0: none */
};
void hub_memory_faults(struct hub_bus *bus, const struct hub_memory_faults *faults);
/* Every member of GROUP loses its partitions; LOST: without having been asked. They get theirs again afterwards. */
void hub_memory_rebalance(struct hub_bus *bus, const char *group, bool lost);
/* The member that was the RANKth to join (0: the first) hears of nothing any more, and the group goes on without it; awake
 * again it has lost its partitions and joins anew, as the last one. */
void hub_memory_sleep(struct hub_bus *bus, const char *group, size_t rank);
void hub_memory_wake(struct hub_bus *bus, const char *group);
