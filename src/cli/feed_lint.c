/* `feed lint`: what is wrong in a feed's mapping, and what is allowed and probably not meant. */
#include "src/cli/commands.h"
#include "src/cli/problems.h"

const struct hub_cli_option hub_cli_feed_lint_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON, HUB_CLI_OPTION_END};

static void lint(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems)
{
    const struct hub_format *format = hub_registry_format(hub_cli_registry(), feed->format);
    if (format == NULL) {
        hub_problems_add(problems, HUB_SEVERITY_ERROR, config->path, feed->line, feed->name, "an unknown format",
                         "choose one that this program has", "%s", feed->format);
        return;
    }
    if (format->check != NULL)
        format->check(config, feed, problems);
    if (format->lint != NULL)
        format->lint(config, feed, problems);
}

int hub_cli_feed_lint(int count, char **operands)
{
    struct hub_problems problems;
    if (count != 1)
        return hub_cli_usage("feed lint: name one feed");
    struct hub_config *config = hub_cli_config();
    if (config == NULL)
        return HUB_EXIT_USAGE;
    const struct hub_feed *feed = hub_config_feed(config, operands[0]);
    if (feed == NULL) {
        hub_config_free(config);
        return hub_cli_usage("the configuration has no feed %s", operands[0]);
    }
    hub_problems_init(&problems);
    lint(config, feed, &problems);
    if (hub_cli.json)
        hub_cli_problems_json(&problems);
    else if (hub_problems_print(&problems, stdout) == 0 && problems.count == 0)
        (void)printf("fine: nothing to say about %s\n", feed->name);
    int code = problems.errors != 0 ? HUB_EXIT_USAGE : problems.count != 0 ? HUB_EXIT_WRONG : HUB_EXIT_OK;
    hub_problems_deinit(&problems);
    hub_config_free(config);
    return code;
}
