/* What a reload replaces as a whole: the configuration, the protect policy and every feed's compiled format.
 * Immutable once open, shared by count: who works by a set of rules holds a share of it, and a set that was
 * replaced goes with its last user (a message on its way answers by the rules it came in by). Any thread. */
#pragma once

#include "src/pipeline/adapter.h"
#include "src/policy/policy.h"

#include "src/crypto/crypto.h"

struct hub_registry;

enum { HUB_RULES_HASH_CAP = 40 };

struct hub_rules_feed {
    const struct hub_feed *feed; /* of config->feeds, at the same place */
    const struct hub_format *format;
    void *context;
    const struct hub_policy *policy; /* its own, or the hub's; there without FEEDS too */

    char hash[HUB_RULES_HASH_CAP]; /* "hl7v2@0123456789abcdef": which rules these are, the `mapping` of their events */
};

struct hub_rules; /* hub_rules_config, ... are its only doors */

/* CONFIG stays the caller's and must outlive the rules; OWNED (the same, or NULL) is freed with them, on
 * failure too. FEEDS: open the formats as well. Problems to PROBLEMS (HUB_CONFIG then). */
enum hub_result hub_rules_open(const struct hub_config *config, struct hub_config *owned, bool feeds,
                               const struct hub_registry *registry, struct hub_problems *problems,
                               struct hub_rules **out) HUB_MUST_USE;
struct hub_rules *hub_rules_share(struct hub_rules *rules);
/* Gives one share back. NULL is fine. */
void hub_rules_free(struct hub_rules *rules);

const struct hub_config *hub_rules_config(const struct hub_rules *rules);
/* Each policy that is in force once, the hub's first, with its file. NULL ends. */
const struct hub_policy *hub_rules_policy_at(const struct hub_rules *rules, size_t index, const char **path);
/* By name; "" is the first. NULL: none. */
const struct hub_rules_feed *hub_rules_feed_named(const struct hub_rules *rules, struct hub_span name);
/* Of the feed at INDEX of the configuration; its format is opened with FEEDS only. */
const struct hub_rules_feed *hub_rules_feed(const struct hub_rules *rules, size_t index);

/* --- rules_hash.c --- */

/* Over all tables of a format. */
void hub_rules_tables_hash(const struct hub_config *config, const char *format, uint8_t out[HUB_HASH_LEN]);
/* The feed's: those TABLES, its overlays, and the options that decide what a message means. */
void hub_rules_feed_hash(const struct hub_config *config, const struct hub_feed *feed, const uint8_t tables[HUB_HASH_LEN],
                         char out[HUB_RULES_HASH_CAP]);
