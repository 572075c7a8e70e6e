/* Topics as they must be: made where they are absent, compared where they are there. And the whole of what a
 * hub needs of its brokers, tried out, for `check --connect`. Any thread; waits up to the timeout. */
#pragma once

#include "src/base/problem.h"
#include "src/bus/bus.h"

enum { /* rights, or-ed */
       HUB_BUS_MAY_READ = 1,
       HUB_BUS_MAY_WRITE = 2
};

struct hub_bus_topic {
    const char *name; /* whole name */
    int32_t partitions;
    uint32_t replicas;
    uint32_t min_insync;
    bool compacted;        /* cleanup.policy compact, else delete */
    int64_t retention_ms;  /* of a topic that is not compacted; -1: for ever */
    uint64_t record_bytes; /* max.message.bytes, at least */
    unsigned rights;       /* that this process needs */
};

struct hub_bus_check_options {
    const struct hub_bus_topic *topics;
    size_t topic_count;
    bool create; /* make topics that are not there */
    int timeout_ms;
    const char *file; /* named in problems */
};

/* Reaches the brokers, logs in, and looks at topics, their settings and this user's rights. Each thing that is
 * wrong is one problem that says the mend; warnings are what a site may have chosen. HUB_OK whenever
 * the look itself could be made; HUB_NETWORK, HUB_AUTH: no broker could be asked, the reason in ERR (not in
 * PROBLEMS). */
enum hub_result hub_bus_check(struct hub_bus *bus, const struct hub_bus_check_options *options,
                              struct hub_problems *problems, struct hub_error *err) HUB_MUST_USE;
