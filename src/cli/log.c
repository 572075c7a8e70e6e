/* `log show|snapshot|retain`: what the event log holds, and making room in it by hand. */
#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/table.h"
#include "src/config/value.h"

static struct {
    const char *keep, *max_bytes;
} opt;
static int64_t keep_us, max_bytes;

const struct hub_cli_option hub_cli_log_show_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON, HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_log_snapshot_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                              HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_log_retain_options[] = {
    {"keep", 0, HUB_CLI_TEXT, &opt.keep, "TIME", "instead of the configuration's rules: keep this much time (30d; 0s: nothing)"},
    {"max-bytes", 0, HUB_CLI_TEXT, &opt.max_bytes, "SIZE", "likewise: keep this much (50GiB)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

/* Members one below the other, those of objects with their object's name in front. */
static void print_members(struct hub_arena *arena, const struct hub_json *object, const char *prefix)
{
    for (const struct hub_json *member = object->first; member != NULL; member = member->next) {
        char name[64];
        bool nested = member->type == HUB_JSON_OBJECT;
        (void)snprintf(name, sizeof(name), "%s%.*s%s", prefix, (int)member->key_len, member->key, nested ? "." : "");
        if (nested) {
            print_members(arena, member, name);
            continue;
        }
        (void)printf("%-20s ", name);
        hub_cli_print_text(hub_cli_list_text(arena, member), stdout);
        (void)fputc('\n', stdout);
    }
}

static enum hub_result ask(struct hub_client *client, struct hub_arena *arena, struct hub_buf *request, const char *name,
                           const struct hub_json **out, struct hub_error *err)
{
    struct hub_json *lines;
    HUB_TRY(hub_cli_collect(client, request, arena, &lines, err));
    *out = hub_json_get(hub_json_at(lines, 0), name);
    return *out != NULL ? HUB_OK : hub_fail(err, HUB_INTERNAL, "the hub gave no answer", NULL);
}

static void print_answer(struct hub_arena *arena, const struct hub_json *answer)
{
    if (hub_cli.json)
        hub_cli_print_json(answer);
    else
        print_members(arena, answer, "");
}

static enum hub_result show(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    const struct hub_json *answer = NULL;
    struct hub_buf request;
    hub_cli_request_begin(&request, "log.show");
    HUB_TRY(ask(client, arena, &request, "log", &answer, err));
    print_answer(arena, answer);
    return HUB_OK;
}

static enum hub_result snapshot(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    const struct hub_json *answer = NULL;
    struct hub_buf request;
    hub_cli_request_begin(&request, "log.snapshot");
    HUB_TRY(ask(client, arena, &request, "snapshot", &answer, err));
    print_answer(arena, answer);
    return HUB_OK;
}

static enum hub_result retain(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    const struct hub_json *answer = NULL;
    struct hub_buf request;
    hub_cli_request_begin(&request, "log.retain");
    if (opt.keep != NULL)
        hub_cli_request_number(&request, "keep_s", (uint64_t)keep_us / 1000000);
    if (opt.max_bytes != NULL)
        hub_cli_request_number(&request, "max_bytes", (uint64_t)max_bytes);
    HUB_TRY(ask(client, arena, &request, "retained", &answer, err));
    print_answer(arena, answer);
    return HUB_OK;
}

int hub_cli_log_show(int count, char **operands)
{
    (void)operands;
    return count != 0 ? hub_cli_usage("log show: takes no operands") : hub_cli_with_hub(show);
}

int hub_cli_log_snapshot(int count, char **operands)
{
    (void)operands;
    return count != 0 ? hub_cli_usage("log snapshot: takes no operands") : hub_cli_with_hub(snapshot);
}

int hub_cli_log_retain(int count, char **operands)
{
    (void)operands;
    if (count != 0)
        return hub_cli_usage("log retain: takes options only");
    if (opt.keep != NULL && (!hub_value_duration(opt.keep, &keep_us) || keep_us % 1000000 != 0))
        return hub_cli_usage("log retain: --keep is a time in whole seconds, such as 30d or 0s");
    if (opt.max_bytes != NULL && (!hub_value_size(opt.max_bytes, &max_bytes) || max_bytes == 0))
        return hub_cli_usage("log retain: --max-bytes is a size above 0, such as 50GiB");
    return hub_cli_with_hub(retain);
}
