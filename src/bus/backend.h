/* Between the doors (bus.c) and the backends. Only src/bus/ includes this. Each structure of a backend starts
 * with the one named here; the calls are those of bus.h, consumer.h and admin.h with the same contracts. */
#pragma once

#include "src/bus/admin.h"
#include "src/bus/bus.h"
#include "src/bus/consumer.h"

struct hub_bus_ops {
    void (*close)(struct hub_bus *bus);
    enum hub_result (*check)(struct hub_bus *bus, const struct hub_bus_check_options *options,
                             struct hub_problems *problems, struct hub_error *err);
    enum hub_result (*producer_open)(struct hub_bus *bus, const struct hub_bus_producer_options *options,
                                     int timeout_ms, struct hub_bus_producer **out, struct hub_error *err);
    void (*producer_close)(struct hub_bus_producer *producer);
    enum hub_result (*send)(struct hub_bus_producer *producer, const struct hub_bus_record *record,
                            struct hub_error *err);
    enum hub_result (*poll)(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err);
    enum hub_result (*flush)(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err);
    enum hub_result (*begin)(struct hub_bus_producer *producer, struct hub_error *err);
    enum hub_result (*commit)(struct hub_bus_producer *producer, int timeout_ms, struct hub_error *err);
    void (*stats)(const struct hub_bus_producer *producer, struct hub_bus_stats *out);
    bool (*producer_trouble)(const struct hub_bus_producer *producer, struct hub_error *out);

    enum hub_result (*consumer_open)(struct hub_bus *bus, const struct hub_bus_consumer_options *options,
                                     struct hub_bus_consumer **out, struct hub_error *err);
    void (*consumer_close)(struct hub_bus_consumer *consumer);
    enum hub_result (*next)(struct hub_bus_consumer *consumer, int timeout_ms, struct hub_bus_event *event,
                            struct hub_error *err);
    struct hub_span (*header)(struct hub_bus_consumer *consumer, const char *name);
    bool (*consumer_trouble)(const struct hub_bus_consumer *consumer, struct hub_error *out);
    enum hub_result (*assign)(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                              size_t count, struct hub_error *err);
    enum hub_result (*unassign)(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                size_t count, struct hub_error *err);
    enum hub_result (*seek)(struct hub_bus_consumer *consumer, const struct hub_bus_place *place,
                            struct hub_error *err);
    enum hub_result (*pause)(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                             size_t count, bool paused, struct hub_error *err);
    enum hub_result (*commit_offsets)(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                      size_t count, struct hub_error *err);
    enum hub_result (*committed)(struct hub_bus_consumer *consumer, struct hub_bus_place *places,
                                 size_t count, int timeout_ms, struct hub_error *err);
    enum hub_result (*offsets)(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                               int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err);
    enum hub_result (*partition_count)(struct hub_bus_consumer *consumer, const char *topic, int timeout_ms,
                                       int32_t *count, struct hub_error *err);
};

struct hub_bus {
    const struct hub_bus_ops *ops;
};
struct hub_bus_producer {
    const struct hub_bus_ops *ops;
};
struct hub_bus_consumer {
    const struct hub_bus_ops *ops;
};
