/* Retention: removes the oldest segments of the event log once a rule of the configuration says so, everybody who
 * follows the log is past them, and a verified snapshot covers them. Open dead letters go into new records first; what
 * was removed stands in the audit log and in the log's file `retired`. Duplicates of removed messages are known for
 * log.dedup. docs/adr/0004-retention.md. */
#pragma once

#include "src/pipeline/snapshot.h"

struct hub_keeper;

/* Once the hub's parts are open. What an interrupted snapshot left is removed. */
enum hub_result hub_keeper_open(struct hub *hub, struct hub_keeper **out, struct hub_error *err) HUB_MUST_USE;
/* NULL is fine. */
void hub_keeper_close(struct hub_keeper *keeper);
/* The keeper's thread: looks at the clock every second and at the rules every minute, until the hub stops. */
void hub_keeper_run(struct hub_keeper *keeper);

struct hub_retain_rules {
    bool by_age;
    uint32_t keep_s;
    uint64_t max_bytes; /* 0: not by size */
};
struct hub_retain_report {
    uint64_t from, before;              /* removed were from <= records < before; equal: nothing */
    uint64_t messages, events, entries; /* among them */
    uint64_t carried;                   /* open dead letters that were written anew */
    uint64_t bytes;
    char rule[HUB_LOG_RULE_MAX + 1];
    char held_by[32]; /* a follower, or "snapshot": who kept more from being removed; "" nobody */
};
/* One run by RULES. WHO: an operator, for the audit log; NULL: the keeper itself, which takes no more than one snapshot
 * in log.snapshot. Any thread but the committer's and the applier's. */
enum hub_result hub_retain(struct hub_keeper *keeper, const struct hub_retain_rules *rules, const char *who,
                           struct hub_retain_report *report, struct hub_error *err) HUB_MUST_USE;
/* A snapshot now, as hub_snapshot_take. */
enum hub_result hub_keeper_snapshot(struct hub_keeper *keeper, struct hub_snapshot *out, struct hub_error *err) HUB_MUST_USE;
/* Tells the event log how far index, timeline and audit are, as retention would count it now. */
enum hub_result hub_keeper_followers(struct hub_keeper *keeper, struct hub_error *err) HUB_MUST_USE;
/* The rules of the configuration in force. */
void hub_retain_rules_now(struct hub *hub, struct hub_retain_rules *out);
