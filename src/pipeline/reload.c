/* SIGHUP: everything is read and compiled beside what is in force; then all of it counts, or nothing. */
#include <stdio.h>
#include <string.h>

#include "src/base/diag.h"
#include "src/pipeline/hub_internal.h"

static const char component[] = "reload";

struct hub_rules *hub_rules_now(struct hub *hub)
{
    (void)pthread_mutex_lock(&hub->run_lock);
    struct hub_rules *rules = hub_rules_share(hub->rules);
    (void)pthread_mutex_unlock(&hub->run_lock);
    return rules;
}

enum hub_result hub_rules_with_feeds(struct hub *hub, struct hub_rules **out, struct hub_error *err)
{
    struct hub_problems problems;
    struct hub_rules *now = hub_rules_now(hub);
    *out = now;
    if (hub->roles != HUB_RUN_OFFLINE)
        return HUB_OK;
    hub_problems_init(&problems);
    enum hub_result result = hub_rules_open(hub_rules_config(now), NULL, true, hub->registry, &problems, out);
    hub_problems_deinit(&problems);
    hub_rules_free(now);
    return result == HUB_OK ? HUB_OK
                            : hub_fail(err, result, "a feed cannot be opened", "run `chartline check`");
}

static void log_problems(const struct hub_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hub_problem *problem = &problems->items[i];
        char at[160];
        char what[200];
        (void)snprintf(at, sizeof(at), "%s:%u", problem->error.path, (unsigned)problem->error.line);
        (void)snprintf(what, sizeof(what), "%s%s%s", problem->error.what,
                       problem->detail[0] != '\0' ? ": " : "", problem->detail);
        if (problem->severity == HUB_SEVERITY_ERROR)
            HUB_DIAG(HUB_DIAG_ERROR, component, "a problem of the new configuration",
                     hub_diag_configured("at", at), hub_diag_configured("name", problem->name),
                     hub_diag_configured("what", what), hub_diag_configured("mend", problem->error.mend));
        else if (problem->severity == HUB_SEVERITY_WARNING)
            HUB_DIAG(HUB_DIAG_WARNING, component, "check this", hub_diag_configured("at", at),
                     hub_diag_configured("name", problem->name), hub_diag_configured("what", what));
    }
}

static void check_feeds(const struct hub *hub, const struct hub_config *config, struct hub_problems *problems)
{
    for (size_t i = 0; i < config->feed_count; i++) {
        const struct hub_feed *feed = &config->feeds[i];
        const struct hub_transport *transport = hub_registry_transport(hub->registry, feed->transport);
        const struct hub_format *format = hub_registry_format(hub->registry, feed->format);
        if (transport != NULL && transport->check != NULL)
            transport->check(config, feed, problems);
        if (format != NULL && format->check != NULL)
            format->check(config, feed, problems);
    }
}

static enum hub_result load(struct hub *hub, bool feeds, struct hub_problems *problems, struct hub_rules **out)
{
    struct hub_config *next = hub_config_load(hub->config->path, problems);
    if (next == NULL)
        return HUB_CONFIG;
    enum hub_result result = hub_config_keep(next, hub->config, problems);
    if (result == HUB_OK) {
        check_feeds(hub, next, problems);
        hub_roles_free(hub_roles_load(next->policy_access, next->folder, problems)); /* taken later, good now */
        result = problems->errors != 0 ? HUB_CONFIG : HUB_OK;
    }
    if (result != HUB_OK) {
        hub_config_free(next);
        return result;
    }
    return hub_rules_open(next, next, feeds, hub->registry, problems, out);
}

static enum hub_result first_problem(const struct hub_problems *problems, enum hub_result result, struct hub_error *err)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hub_problem *problem = &problems->items[i];
        if (problem->severity != HUB_SEVERITY_ERROR)
            continue;
        (void)hub_fail(err, HUB_CONFIG, "the configuration as it stands in its files is not good", "run `chartline check`");
        return hub_error_at(err, "%s:%u %s", problem->error.path, (unsigned)problem->error.line, problem->error.what);
    }
    return hub_fail(err, result, "the configuration cannot be read", "run `chartline check`");
}

enum hub_result hub_rules_from_files(struct hub *hub, struct hub_rules **out, struct hub_error *err)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    enum hub_result result = load(hub, true, &problems, out);
    if (result != HUB_OK)
        result = first_problem(&problems, result, err);
    hub_problems_deinit(&problems);
    return result;
}

static void take(struct hub *hub, struct hub_rules *rules)
{
    (void)pthread_mutex_lock(&hub->run_lock);
    struct hub_rules *old = hub->rules;
    hub->rules = rules;
    (void)pthread_mutex_unlock(&hub->run_lock);
    hub->ingest.rules = rules;
    hub_workers_reload(hub, rules);
    hub_rules_free(old);
}

void hub_reload(struct hub *hub)
{
    struct hub_problems problems;
    struct hub_rules *rules = NULL;
    struct hub_error err = {0};
    hub_problems_init(&problems);
    enum hub_result result = load(hub, hub->roles != HUB_RUN_OFFLINE, &problems, &rules);
    log_problems(&problems);
    if (result == HUB_OK) /* as a start does: new rights get the keys, lost ones end their epochs */
        result = hub_access_take(hub, NULL, "reload", &err);
    if (result == HUB_OK)
        result = hub_note_rules(hub, rules, &err);
    if (result == HUB_OK) {
        take(hub, rules);
        HUB_DIAG(HUB_DIAG_NOTICE, component, "the configuration was read anew");
    } else {
        if (err.result == HUB_OK)
            (void)hub_fail(&err, result, "the new configuration is not taken", "run `chartline check`");
        HUB_DIAG(HUB_DIAG_ERROR, component, "not reloaded: the last good configuration stays in force",
                 hub_diag_error(&err), hub_diag_number("problems", (int64_t)problems.errors));
        hub_rules_free(rules);
    }
    hub_problems_deinit(&problems);
}
