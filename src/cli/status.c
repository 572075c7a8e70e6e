/* `status`: counts of the data directory and the state of the feeds. */
#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/table.h"

const struct hub_cli_option hub_cli_status_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                        HUB_CLI_OPTION_END};

static void print_feeds(struct hub_arena *arena, const struct hub_json *feeds)
{
    static const char *const titles[] = {"feed", "state", "connections", NULL};
    struct hub_cli_table table;
    hub_cli_table_init(&table, titles);
    for (const struct hub_json *feed = feeds->first; feed != NULL; feed = feed->next)
        hub_cli_table_add(&table, (struct hub_span[]){hub_json_get_span(feed, "name"),
                                                      hub_cli_list_cell(arena, feed, "state"),
                                                      hub_cli_list_cell(arena, feed, "connections")});
    hub_cli_table_finish(&table, stdout);
}

static void print_text(struct hub_arena *arena, const struct hub_json *status)
{
    for (const struct hub_json *member = status->first; member != NULL; member = member->next) {
        struct hub_span key = hub_span_of(member->key, member->key_len);
        if (hub_span_is(key, "feeds"))
            continue;
        (void)printf("%-20.*s ", (int)key.len, (const char *)key.ptr);
        hub_cli_print_text(hub_cli_list_text(arena, member), stdout);
        (void)fputc('\n', stdout);
    }
    if (hub_json_get(status, "feeds") != NULL)
        print_feeds(arena, hub_json_get(status, "feeds"));
}

static enum hub_result ask_status(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    hub_cli_request_begin(&request, "status");
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    const struct hub_json *status = hub_json_get(hub_json_at(lines, 0), "status");
    HUB_ENSURE(status != NULL, hub_fail(err, HUB_INTERNAL, "the hub gave no status", NULL));
    if (hub_cli.json)
        hub_cli_print_json(status);
    else
        print_text(arena, status);
    return HUB_OK;
}

int hub_cli_status(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(ask_status) : hub_cli_usage("status: takes no operands");
}
