/* `deadletter list|show`: what was refused, why, and with the right role the original. */
#include "src/codec/encode.h"
#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/reader.h"

static bool open_only;
static const char *feed;

const struct hub_cli_option hub_cli_deadletter_list_options[] = {
    {"open", 0, HUB_CLI_FLAG, &open_only, NULL, "only those that nobody resolved"},
    {"feed", 0, HUB_CLI_TEXT, &feed, "NAME", "that came over this feed"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_deadletter_show_options[] = {
    HUB_CLI_OPTIONS_READER, HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON, HUB_CLI_OPTION_END};

static const char *shown_id;

static enum hub_result list_letters(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {
        .member = "deadletter",
        .titles = {"last", "count", "id", "feed", "trigger", "at", "reason", "state"},
        .members = {"last", "count", "id", "feed", "trigger", "reason.at", "reason.text", "state"}};
    struct hub_buf request;
    hub_cli_request_begin(&request, "deadletter.list");
    if (open_only)
        hub_cli_request_text(&request, "state", "open");
    if (feed != NULL)
        hub_cli_request_text(&request, "feed", feed);
    return hub_cli_list_print(client, arena, &request, &list, NULL, err);
}

/* --- show --- */

/* The document's secret id: that of its `seal`. */
static enum hub_result open_letter(struct hub_cli_reader *reader, struct hub_arena *arena,
                                   const struct hub_json *letter, struct hub_span *original,
                                   struct hub_error *err)
{
    struct hub_span secret = hub_protect_seal_secret(hub_json_get_span(letter, "seal"));
    HUB_TRY(hub_cli_reader_secrets(reader, NULL, 0, &secret, secret.len > 0 ? 1 : 0, err));
    return hub_protect_open_dead_letter(arena, letter, hub_cli_reader_opener(reader), original, err);
}

static void print_original(struct hub_span original)
{
    struct hub_span rest = original;
    while (rest.len > 0) {
        size_t len = 0;
        while (len < rest.len && rest.ptr[len] != '\r' && rest.ptr[len] != '\n')
            len++;
        hub_cli_print_text(hub_span_of(rest.ptr, len), stdout);
        (void)fputc('\n', stdout);
        while (len < rest.len && (rest.ptr[len] == '\r' || rest.ptr[len] == '\n'))
            len++;
        rest = hub_span_of(rest.ptr + len, rest.len - len);
    }
}

/* Beside the document: "original" as text, or "originalBase64" where it is not UTF-8. */
static enum hub_result add_original(struct hub_arena *arena, struct hub_json *letter,
                                    struct hub_span original, struct hub_error *err)
{
    if (hub_utf8_valid(original))
        return hub_json_set_string(arena, letter, "original", original);
    size_t cap = hub_encoded_len(HUB_BASE64, original.len) + 1;
    char *text = hub_arena_bytes(arena, cap);
    HUB_ENSURE(text != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    size_t len = hub_encode(HUB_BASE64, original, text, cap);
    return hub_json_set_string(arena, letter, "originalBase64", hub_span_of(text, len));
}

static enum hub_result show(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_cli_reader *reader = NULL;
    struct hub_buf request;
    struct hub_json *lines;
    struct hub_span original = HUB_SPAN_NONE;
    enum hub_result result;
    HUB_TRY_OUT(hub_cli_reader_new(client, &reader, err));
    hub_cli_request_begin(&request, "deadletter.show");
    hub_cli_request_text(&request, "id", shown_id);
    HUB_TRY_OUT(hub_cli_collect(client, &request, arena, &lines, err));
    struct hub_json *letter = hub_json_get(hub_json_at(lines, 0), "deadletter");
    if (letter == NULL) {
        result =
            hub_fail(err, HUB_NOT_FOUND, "no such dead letter", "`chartline deadletter list` shows them");
        goto out;
    }
    bool opened = false;
    if (reader != NULL) {
        result = open_letter(reader, arena, letter, &original, err);
        opened = result == HUB_OK;
        if (result == HUB_DENIED || result == HUB_NO_KEY) /* a role without `raw` sees it sealed, as messages are */
            result = HUB_OK;
        HUB_TRY_OUT(result);
    }
    if (hub_cli.json && original.len > 0)
        HUB_TRY_OUT(add_original(arena, letter, original, err));
    if (hub_cli.json || !opened)
        hub_cli_print_json(letter);
    else
        print_original(original);
    if (!opened && !hub_cli.json)
        (void)fputs(reader == NULL ? "chartline: the original is sealed: --role and --key of a role with `raw` show it\n"
                                   : "chartline: the original is sealed: this role has no `raw`\n",
                    stderr);
out:
    hub_cli_reader_free(reader);
    return result;
}

int hub_cli_deadletter_list(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(list_letters) : hub_cli_usage("deadletter list: takes no operands");
}

int hub_cli_deadletter_show(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("deadletter show: name one dead letter's id");
    shown_id = operands[0];
    return hub_cli_with_hub(show);
}
