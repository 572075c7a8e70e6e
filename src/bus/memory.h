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
};
size_t hub_memory_count(struct hub_bus *bus, const char *topic, int32_t partition);
struct hub_memory_record hub_memory_at(struct hub_bus *bus, const char *topic, int32_t partition, size_t at);

struct hub_memory_faults {
    bool away;        /* nothing gets through, neither way */
    bool broken;      /* the next call of any producer finds itself of no use */
    unsigned fail_after; /* the nth record from now on fails; 0: none */
    bool store_failed;   /* ... and is stored all the same */
    size_t buffer;    /* records that a producer holds; 0: 1024 */
};
void hub_memory_faults(struct hub_bus *bus, const struct hub_memory_faults *faults);
/* The member of GROUP loses its partitions; LOST: without having been asked. It gets them again afterwards. */
void hub_memory_rebalance(struct hub_bus *bus, const char *group, bool lost);
