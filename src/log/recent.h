/* The newest groups of a log, in memory as they were written: who follows close behind needs neither to read them back
 * nor to check again what was checked when it was written. Internal to src/log. Only durable groups are seen by readers,
 * for these ask hub_log_durable first; an old or large one is read from its file. */
#pragma once

#include "src/log/state.h"

/* A group's records as they stand in their segment. Kept alive by the list and by each reader that took it. */
struct hub_log_group {
    uint64_t first, last; /* record numbers */
    uint64_t segment;     /* first record of the segment it is in */
    uint64_t offset;      /* where it starts there */
    struct hub_buf bytes;
    unsigned users; /* under the log's lock: the list, readers */
};

/* Takes the log's write buffer, in which all records from FIRST to LAST are, as written at OFFSET of the tail; the log
 * gets an empty one. Without memory, or when the group is large, it stays there and nothing is kept. The writer's thread. */
void hub_log_recent_add(struct hub_log *log, uint64_t first, uint64_t last, uint64_t offset);
/* The group that holds record NUMBER, or NULL. Give it back with hub_log_recent_give. Any thread. */
struct hub_log_group *hub_log_recent_take(struct hub_log *log, uint64_t number);
/* NULL is fine. Any thread. */
void hub_log_recent_give(struct hub_log *log, struct hub_log_group *group);
/* All readers are closed. */
void hub_log_recent_free(struct hub_log *log);
