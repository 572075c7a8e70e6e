/* bus.kafka of hub.yaml as a bus: the login, the topics and what each is for. Made for `run` and for `check`.
 * Any thread after opening. */
#pragma once

#include "src/base/problem.h"
#include "src/bus/bus.h"
#include "src/config/config.h"

enum hub_topic {
    HUB_TOPIC_EVENTS,     /* patient events, by subject */
    HUB_TOPIC_IDENTITY,   /* identity facts, by event id and number; by subject */
    HUB_TOPIC_KEYS,       /* key and shred records */
    HUB_TOPIC_TIMELINE,   /* entries and token records, by subject */
    HUB_TOPIC_DEADLETTER, /* dead letters, by id */
    HUB_TOPIC_ALERTS,     /* what insight rules found */
    HUB_TOPIC_AUDIT,      /* signed checkpoints of the audit log */
    HUB_TOPIC_COUNT
};

struct hub_bus_setup;

/* Reads certificates and checks the login's settings; no network. CONFIG must outlive it. */
enum hub_result hub_bus_setup_open(const struct hub_config *config, struct hub_bus_setup **out,
                                   struct hub_error *err) HUB_MUST_USE;
void hub_bus_setup_close(struct hub_bus_setup *setup);
struct hub_bus *hub_bus_setup_bus(struct hub_bus_setup *setup);
/* Whether answers wait for the brokers (`ack: {wait: broker}` of any feed). */
bool hub_bus_setup_awaited(const struct hub_config *config);
/* Whole name; lives as long as SETUP. */
const char *hub_bus_setup_topic(const struct hub_bus_setup *setup, enum hub_topic topic);
/* This process's name among those of the group: bus.kafka.instance, or made of the machine's name and the data directory. */
const char *hub_bus_setup_instance(const struct hub_bus_setup *setup);
/* Of the processes that share the timeline; what the transactional ids of its partitions begin with. */
const char *hub_bus_setup_group(const struct hub_bus_setup *setup);
const char *hub_bus_setup_transactions(const struct hub_bus_setup *setup);
/* hub_bus_check for what ROLES (HUB_RUN_...) need; CREATE makes missing topics where the configuration
 * lets it. */
enum hub_result hub_bus_setup_check(struct hub_bus_setup *setup, unsigned roles, bool create, int timeout_ms,
                                    struct hub_problems *problems, struct hub_error *err) HUB_MUST_USE;

/* The largest event that the topics take: twice limits.message_bytes, at least 1 MiB. */
uint64_t hub_bus_event_bytes_max(const struct hub_config *config);
