/* `deadletter replay` and `deadletter resolve`. */
#include "src/cli/ask.h"
#include "src/cli/commands.h"
#include "src/cli/list.h"

static bool all;
static const char *reason;
static const char *asked_id;

const struct hub_cli_option hub_cli_deadletter_replay_options[] = {
    {"all", 0, HUB_CLI_FLAG, &all, NULL, "every open one, in the order they came"},
    {"purpose", 0, HUB_CLI_TEXT, &hub_cli.purpose, "CODE",
     "purpose of use for the audit log (default TREAT)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_deadletter_resolve_options[] = {
    {"reason", 0, HUB_CLI_TEXT, &reason, "TEXT",
     "duplicate, mended, not-needed, resent, test, unknown-sender, or words of your own (not kept)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END};

struct replaying {
    struct hub_arena *arena;
    size_t shown, rejected;
};

static void print_cell(struct hub_arena *arena, const struct hub_json *node, const char *path,
                       const char *before)
{
    struct hub_span text = hub_cli_list_cell(arena, node, path);
    if (text.len == 0)
        return;
    (void)fputs(before, stdout);
    hub_cli_print_text(text, stdout);
}

static bool print_replayed(void *ctx, struct hub_json *line)
{
    struct replaying *r = ctx;
    const struct hub_json *one = hub_json_get(line, "replayed");
    if (one == NULL)
        return true;
    r->shown++;
    r->rejected += hub_span_is(hub_json_get_span(one, "outcome"), "rejected") ? 1 : 0;
    if (hub_cli.json) {
        (void)fputs(r->shown == 1 ? "\n" : ",\n", stdout);
        struct hub_buf text;
        hub_buf_init(&text, SIZE_MAX / 2, true);
        hub_json_write(&text, one);
        (void)fputs(hub_buf_str(&text), stdout);
        hub_buf_deinit(&text);
        return true;
    }
    print_cell(r->arena, one, "id", "");
    print_cell(r->arena, one, "outcome", " ");
    print_cell(r->arena, one, "reason.at", " ");
    print_cell(r->arena, one, "reason.text", ": ");
    print_cell(r->arena, one, "reason.mend", "; ");
    (void)fputc('\n', stdout);
    return true;
}

static enum hub_result replay(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_buf request;
    struct replaying r = {.arena = arena};
    hub_cli_request_begin(&request, "deadletter.replay");
    if (asked_id != NULL)
        hub_cli_request_text(&request, "id", asked_id);
    else
        hub_cli_request_text(&request, "all", "true");
    hub_cli_request_text(&request, "purpose", hub_cli.purpose != NULL ? hub_cli.purpose : "TREAT");
    if (hub_cli.json)
        (void)fputc('[', stdout);
    enum hub_result result = hub_cli_ask(client, &request, arena, true, print_replayed, &r, err);
    if (hub_cli.json)
        (void)fputs(r.shown == 0 ? "]\n" : "\n]\n", stdout);
    if (result == HUB_OK && r.rejected != 0)
        return hub_fail(err, HUB_SYNTAX, "not everything was accepted: what is refused stays a dead letter",
                        NULL);
    return result;
}

static enum hub_result resolve(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    hub_cli_request_begin(&request, "deadletter.resolve");
    hub_cli_request_text(&request, "id", asked_id);
    hub_cli_request_text(&request, "reason", reason);
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    const struct hub_json *letter = hub_json_get(hub_json_at(lines, 0), "deadletter");
    HUB_ENSURE(letter != NULL, hub_fail(err, HUB_INTERNAL, "the hub gave no answer", NULL));
    if (hub_cli.json) {
        hub_cli_print_json(letter);
        return HUB_OK;
    }
    print_cell(arena, letter, "id", "");
    print_cell(arena, letter, "state", " ");
    (void)fputc('\n', stdout);
    return HUB_OK;
}

int hub_cli_deadletter_replay(int count, char **operands)
{
    if (count + (all ? 1 : 0) != 1)
        return hub_cli_usage("deadletter replay: name one dead letter's id, or --all");
    asked_id = count == 1 ? operands[0] : NULL;
    return hub_cli_with_hub(replay);
}

int hub_cli_deadletter_resolve(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("deadletter resolve: name one dead letter's id");
    if (reason == NULL || reason[0] == '\0')
        return hub_cli_usage("deadletter resolve: say why (--reason TEXT)");
    asked_id = operands[0];
    return hub_cli_with_hub(resolve);
}
