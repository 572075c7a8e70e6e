/* `seal`: a message or a FHIR Bundle sealed by hand with the hub's keys, a CloudEvent a line. */
#include <string.h>

#include "src/base/mem.h"
#include "src/cli/ask.h"
#include "src/cli/commands.h"
#include "src/cli/messages.h"
#include "src/codec/encode.h"

enum { FILE_BYTES_MAX = 1 << 30 };

static const char *feed_name;
static const char *file_name;

const struct hub_cli_option hub_cli_seal_options[] = {
    {"feed", 0, HUB_CLI_TEXT, &feed_name, "NAME", "seal as this feed does (default: the first one)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_END,
};

static bool print_event(void *ctx, struct hub_json *line)
{
    (void)ctx;
    const struct hub_json *event = hub_json_get(line, "event");
    if (event != NULL)
        hub_cli_print_line(event);
    return true;
}

static enum hub_result seal_one(struct hub_client *client, struct hub_arena *arena, struct hub_span message, struct hub_error *err)
{
    struct hub_buf request;
    size_t cap = hub_encoded_len(HUB_BASE64, message.len) + 1;
    char *text = hub_mem_alloc(cap);
    if (text == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    (void)hub_encode(HUB_BASE64, message, text, cap);
    hub_cli_request_begin(&request, "event.seal");
    hub_cli_request_text(&request, "bytes", text);
    if (feed_name != NULL)
        hub_cli_request_text(&request, "feed", feed_name);
    hub_mem_wipe(text, cap);
    hub_mem_free(text);
    return hub_cli_ask(client, &request, arena, true, print_event, NULL, err);
}

static enum hub_result seal_bytes(struct hub_client *client, struct hub_arena *arena, struct hub_span bytes, struct hub_error *err)
{
    struct hub_span start = bytes;
    while (start.len > 0 && (*start.ptr == ' ' || *start.ptr == '\t' || *start.ptr == '\r' || *start.ptr == '\n'))
        start = hub_span_of(start.ptr + 1, start.len - 1);
    if (start.len > 0 && *start.ptr == '{')
        return seal_one(client, arena, bytes, err);
    struct hub_cli_messages messages;
    struct hub_span message;
    size_t count = 0;
    hub_cli_messages_begin(&messages, bytes, false);
    for (; hub_cli_messages_next(&messages, &message); count++)
        HUB_TRY(seal_one(client, arena, message, err));
    if (count > 0)
        return HUB_OK;
    (void)hub_fail(err, HUB_SYNTAX, "the file holds no message", NULL);
    return hub_error_in(err, file_name, 0);
}

static enum hub_result seal_file(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_buf bytes;
    HUB_TRY(hub_cli_read_file(file_name, FILE_BYTES_MAX, &bytes, err));
    enum hub_result result = seal_bytes(client, arena, hub_buf_view(&bytes), err);
    hub_buf_deinit(&bytes);
    return result;
}

int hub_cli_seal(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("seal: name one file with a message or a FHIR Bundle, or -");
    file_name = operands[0];
    return hub_cli_with_hub(seal_file);
}
