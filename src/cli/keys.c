/* `keys list` and `keys export`. */
#include "src/cli/commands.h"
#include "src/cli/list.h"

const struct hub_cli_option hub_cli_keys_list_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                           HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_keys_export_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                             HUB_CLI_OPTION_END};

static enum hub_result list_keys(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {
        .member = "key",
        .titles = {"id", "class", "epoch", "created", "state", "roles"},
        .members = {"id", "class", "epoch", "created", "state", "roles"}};
    struct hub_buf request;
    hub_cli_request_begin(&request, "keys.list");
    return hub_cli_list_print(client, arena, &request, &list, NULL, err);
}

/* A key record a line, as chartline.keys will carry them: public, sealed to roles, signed. */
static bool export_record(void *ctx, struct hub_json *line)
{
    (void)ctx;
    const struct hub_json *record = hub_json_get(line, "key");
    if (record != NULL)
        hub_cli_print_line(record);
    return true;
}

static enum hub_result export_keys(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_buf request;
    hub_cli_request_begin(&request, "keys.records");
    return hub_cli_ask(client, &request, arena, true, export_record, NULL, err);
}

int hub_cli_keys_list(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(list_keys) : hub_cli_usage("keys list: takes no operands");
}

int hub_cli_keys_export(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(export_keys) : hub_cli_usage("keys export: takes no operands");
}
