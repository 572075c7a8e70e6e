/* `feed pause` and `feed resume`. */
#include "src/cli/commands.h"
#include "src/cli/ask.h"

const struct hub_cli_option hub_cli_feed_pause_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                            HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_feed_resume_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                             HUB_CLI_OPTION_END};

static const char *feed_name;

static enum hub_result change(struct hub_client *client, struct hub_arena *arena, const char *op,
                              struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    hub_cli_request_begin(&request, op);
    hub_cli_request_text(&request, "feed", feed_name);
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    const struct hub_json *feed = hub_json_get(hub_json_at(lines, 0), "feed");
    HUB_ENSURE(feed != NULL, hub_fail(err, HUB_INTERNAL, "the hub gave no answer", NULL));
    if (hub_cli.json) {
        hub_cli_print_json(feed);
        return HUB_OK;
    }
    hub_cli_print_text(hub_json_get_span(feed, "name"), stdout);
    (void)fputs(": ", stdout);
    hub_cli_print_text(hub_json_get_span(feed, "state"), stdout);
    (void)fputc('\n', stdout);
    return HUB_OK;
}

static enum hub_result ask_pause(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    return change(client, arena, "feed.pause", err);
}

static enum hub_result ask_resume(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    return change(client, arena, "feed.resume", err);
}

int hub_cli_feed_pause(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("feed pause: name one feed");
    feed_name = operands[0];
    return hub_cli_with_hub(ask_pause);
}

int hub_cli_feed_resume(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("feed resume: name one feed");
    feed_name = operands[0];
    return hub_cli_with_hub(ask_resume);
}
