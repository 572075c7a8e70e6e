#include "src/pipeline/rules.h"

#include <stdatomic.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/pipeline/hub.h"

struct loaded_policy {
    const char *path;
    struct hub_policy *policy;
};

struct hub_rules {
    atomic_uint shares;
    const struct hub_config *config;
    struct hub_config *owned;
    struct loaded_policy *policies; /* each file once; the hub's first */
    size_t policy_count;
    struct hub_rules_feed *feeds;
    size_t feed_count;
};

/* --- policies --- */

static enum hub_result load_policy(struct hub_rules *rules, const char *path, struct hub_problems *problems,
                                   const struct hub_policy **out)
{
    for (size_t i = 0; i < rules->policy_count; i++) {
        *out = rules->policies[i].policy;
        if (strcmp(rules->policies[i].path, path) == 0)
            return *out != NULL ? HUB_OK : HUB_CONFIG;
    }
    struct loaded_policy *loaded = &rules->policies[rules->policy_count++];
    loaded->path = path;
    loaded->policy = hub_policy_load(path, rules->config->schema_dir, problems);
    *out = loaded->policy;
    return loaded->policy != NULL ? HUB_OK : HUB_CONFIG;
}

static enum hub_result load_policies(struct hub_rules *rules, struct hub_problems *problems)
{
    const struct hub_config *config = rules->config;
    const struct hub_policy *policy = NULL;
    rules->policies = hub_mem_array(config->feed_count + 1, sizeof(*rules->policies));
    rules->feeds = hub_mem_array(config->feed_count != 0 ? config->feed_count : 1, sizeof(*rules->feeds));
    HUB_ENSURE(rules->policies != NULL && rules->feeds != NULL, HUB_NO_MEMORY);
    enum hub_result result = load_policy(rules, config->policy_protect, problems, &policy);
    for (size_t i = 0; i < config->feed_count; i++) {
        struct hub_rules_feed *feed = &rules->feeds[rules->feed_count++];
        feed->feed = &config->feeds[i];
        feed->policy = rules->policies[0].policy;
        if (feed->feed->policy != NULL && load_policy(rules, feed->feed->policy, problems, &feed->policy) != HUB_OK)
            result = HUB_CONFIG;
    }
    return result;
}

/* --- feeds --- */

static enum hub_result open_feeds(struct hub_rules *rules, const struct hub_registry *registry,
                                  struct hub_problems *problems)
{
    const struct hub_config *config = rules->config;
    size_t errors = problems->errors;
    uint8_t tables[HUB_HASH_LEN] = {0}; /* of the last format: most feeds have the same */
    for (size_t i = 0; i < rules->feed_count; i++) {
        struct hub_rules_feed *feed = &rules->feeds[i];
        feed->format = hub_registry_format(registry, feed->feed->format);
        if (feed->format == NULL) {
            hub_problems_add(problems, HUB_SEVERITY_ERROR, config->path, feed->feed->line, feed->feed->name,
                             "an unknown format", "choose one that this program has", "%s",
                             feed->feed->format);
            continue;
        }
        feed->context = feed->format->open(config, feed->feed, problems);
        if (feed->context == NULL && problems->errors == errors)
            return HUB_NO_MEMORY;
        if (i == 0 || strcmp(feed->feed->format, config->feeds[i - 1].format) != 0)
            hub_rules_tables_hash(config, feed->feed->format, tables);
        hub_rules_feed_hash(config, feed->feed, tables, feed->hash);
    }
    return problems->errors == errors ? HUB_OK : HUB_CONFIG;
}

enum hub_result hub_rules_open(const struct hub_config *config, struct hub_config *owned, bool feeds,
                               const struct hub_registry *registry, struct hub_problems *problems,
                               struct hub_rules **out)
{
    *out = NULL;
    struct hub_rules *rules = hub_mem_alloc(sizeof(*rules));
    if (rules == NULL) {
        hub_config_free(owned);
        return HUB_NO_MEMORY;
    }
    atomic_init(&rules->shares, 1);
    rules->config = config;
    rules->owned = owned;
    enum hub_result result = load_policies(rules, problems);
    if (result == HUB_OK && feeds)
        result = open_feeds(rules, registry, problems);
    if (result == HUB_OK)
        *out = rules;
    else
        hub_rules_free(rules);
    return result;
}

struct hub_rules *hub_rules_share(struct hub_rules *rules)
{
    atomic_fetch_add(&rules->shares, 1);
    return rules;
}

void hub_rules_free(struct hub_rules *rules)
{
    if (rules == NULL || atomic_fetch_sub(&rules->shares, 1) != 1)
        return;
    for (size_t i = 0; i < rules->feed_count; i++) {
        if (rules->feeds[i].context != NULL)
            rules->feeds[i].format->close(rules->feeds[i].context);
    }
    hub_mem_free(rules->feeds);
    for (size_t i = 0; i < rules->policy_count; i++)
        hub_policy_free(rules->policies[i].policy);
    hub_mem_free(rules->policies);
    hub_config_free(rules->owned);
    hub_mem_free(rules);
}

const struct hub_config *hub_rules_config(const struct hub_rules *rules)
{
    return rules->config;
}

const struct hub_policy *hub_rules_policy_at(const struct hub_rules *rules, size_t index, const char **path)
{
    if (index >= rules->policy_count)
        return NULL;
    *path = rules->policies[index].path;
    return rules->policies[index].policy;
}

const struct hub_rules_feed *hub_rules_feed(const struct hub_rules *rules, size_t index)
{
    HUB_ASSERT(index < rules->feed_count);
    return &rules->feeds[index];
}

const struct hub_rules_feed *hub_rules_feed_named(const struct hub_rules *rules, struct hub_span name)
{
    for (size_t i = 0; i < rules->feed_count; i++) {
        if (name.len == 0 || hub_span_is(name, rules->feeds[i].feed->name))
            return &rules->feeds[i];
    }
    return NULL;
}
