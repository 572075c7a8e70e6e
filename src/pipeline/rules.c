#include "src/pipeline/rules.h"

#include <stdatomic.h>

#include "src/base/mem.h"
#include "src/pipeline/hub.h"

struct hub_rules {
    atomic_uint shares;
    const struct hub_config *config;
    struct hub_config *owned;
    struct hub_policy *policy;
    struct hub_rules_feed *feeds;
    size_t feed_count;
};

static enum hub_result open_feeds(struct hub_rules *rules, const struct hub_registry *registry,
                                  struct hub_problems *problems)
{
    const struct hub_config *config = rules->config;
    size_t errors = problems->errors;
    rules->feeds = hub_mem_array(config->feed_count != 0 ? config->feed_count : 1, sizeof(*rules->feeds));
    HUB_ENSURE(rules->feeds != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < config->feed_count; i++) {
        struct hub_rules_feed *feed = &rules->feeds[i];
        feed->feed = &config->feeds[i];
        rules->feed_count++;
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
    rules->policy = hub_policy_load(config->policy_protect, config->schema_dir, problems);
    enum hub_result result = rules->policy == NULL ? HUB_CONFIG : HUB_OK;
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
    hub_policy_free(rules->policy);
    hub_config_free(rules->owned);
    hub_mem_free(rules);
}

const struct hub_config *hub_rules_config(const struct hub_rules *rules)
{
    return rules->config;
}

const struct hub_policy *hub_rules_policy(const struct hub_rules *rules)
{
    return rules->policy;
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
