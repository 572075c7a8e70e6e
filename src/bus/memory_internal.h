/* The inside of the memory bus, shared by bus_memory.c and consumer_memory.c. */
#pragma once

#include <pthread.h>

#include "src/bus/backend.h"
#include "src/bus/memory.h"

enum {
    HUB_MEMORY_TOPICS_MAX = 16,
    HUB_MEMORY_NAME_MAX = 128,
    HUB_MEMORY_WAITING_MAX = 1024,
    HUB_MEMORY_GROUPS_MAX = 8,
    HUB_MEMORY_MEMBERS_MAX = 8,
    HUB_MEMORY_IDS_MAX = 32, /* transactional */
    HUB_MEMORY_PLACES_MAX = HUB_MEMORY_TOPICS_MAX * HUB_MEMORY_PARTITIONS_MAX,
    HUB_MEMORY_STEP_US = 1000,
};

enum hub_memory_state { HUB_MEMORY_SEEN, HUB_MEMORY_OPEN, HUB_MEMORY_ABORTED, HUB_MEMORY_MARK };
struct hub_memory_item {
    struct hub_memory_record record; /* heap copies, header names included */
    enum hub_memory_state state;
    size_t id; /* transactional, 1 on; 0: none */
    int32_t epoch; /* of the leader that took it */
};
struct hub_memory_partition {
    struct hub_memory_item *items, *lost; /* LOST: not there any more, kept for those who look at them */
    size_t count, cap, lost_count;
    int32_t epoch; /* of its leader */
};
struct hub_memory_topic {
    char name[HUB_MEMORY_NAME_MAX];
    struct hub_memory_partition *partitions;
    int32_t partition_count;
};
struct hub_memory_committed {
    int64_t offset, note;
    int32_t epoch;
    uint64_t fingerprint;
};

struct hub_memory_group {
    char name[HUB_MEMORY_NAME_MAX];
    struct hub_memory_consumer *members[HUB_MEMORY_MEMBERS_MAX]; /* as they joined; they share the partitions in turn */
    size_t member_count;
    struct hub_memory_consumer *sleeper; /* NULL: all are awake */
    struct hub_memory_consumer *owners[HUB_MEMORY_TOPICS_MAX][HUB_MEMORY_PARTITIONS_MAX];
    struct hub_memory_committed committed[HUB_MEMORY_TOPICS_MAX][HUB_MEMORY_PARTITIONS_MAX];
};
struct hub_memory_bus {
    struct hub_bus base;
    pthread_mutex_t lock; /* of everything */
    struct hub_memory_topic topics[HUB_MEMORY_TOPICS_MAX];
    size_t topic_count;
    struct hub_memory_group groups[HUB_MEMORY_GROUPS_MAX];
    size_t group_count;
    struct hub_memory_faults faults;
    char transactional[HUB_MEMORY_IDS_MAX][HUB_MEMORY_NAME_MAX]; /* ids, and who has them */
    const void *owners[HUB_MEMORY_IDS_MAX];
};

/* Under the lock; NULL when there is none. */
struct hub_memory_topic *hub_memory_find(struct hub_memory_bus *bus, const char *name);

extern const struct hub_bus_ops hub_memory_ops;

/* consumer_memory.c */
enum hub_result hub_memory_consumer_open(struct hub_bus *bus, const struct hub_bus_consumer_options *options,
                                         struct hub_bus_consumer **out, struct hub_error *err);
void hub_memory_consumer_close(struct hub_bus_consumer *consumer);
enum hub_result hub_memory_next(struct hub_bus_consumer *consumer, int timeout_ms, struct hub_bus_event *event,
                                struct hub_error *err);
struct hub_span hub_memory_header(struct hub_bus_consumer *consumer, const char *name);
bool hub_memory_consumer_trouble(const struct hub_bus_consumer *consumer, struct hub_error *out);
enum hub_result hub_memory_assign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                                  struct hub_error *err);
enum hub_result hub_memory_unassign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                                    struct hub_error *err);
enum hub_result hub_memory_seek(struct hub_bus_consumer *consumer, const struct hub_bus_place *place,
                                struct hub_error *err);
enum hub_result hub_memory_pause(struct hub_bus_consumer *consumer, const struct hub_bus_place *places, size_t count,
                                 bool paused, struct hub_error *err);
enum hub_result hub_memory_commit_offsets(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                          size_t count, struct hub_error *err);
enum hub_result hub_memory_committed(struct hub_bus_consumer *consumer, struct hub_bus_place *places, size_t count,
                                     int timeout_ms, struct hub_error *err);
enum hub_result hub_memory_offsets(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                                   int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err);
enum hub_result hub_memory_partition_count(struct hub_bus_consumer *consumer, const char *topic, int timeout_ms,
                                           int32_t *count, struct hub_error *err);
