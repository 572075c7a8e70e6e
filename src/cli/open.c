/* `open`: sealed events, a JSON document a line, opened as far as a role's key goes. */
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/reader.h"

enum { FILE_BYTES_MAX = 1 << 30, ARENA_BYTES_MAX = 1 << 30 };

const struct hub_cli_option hub_cli_open_options[] = {HUB_CLI_OPTIONS_READER, HUB_CLI_OPTION_CONFIG,
                                                      HUB_CLI_OPTION_END};

static enum hub_result open_event(struct hub_cli_reader *reader, struct hub_arena *arena,
                                  struct hub_span line, struct hub_error *err)
{
    struct hub_json *event = NULL;
    size_t masked = 0;
    HUB_TRY(hub_json_parse(arena, line, &event, err));
    struct hub_span subject = hub_json_get_span(event, "subject"),
                    secret = hub_protect_seal_secret(hub_json_get_span(event, "seal"));
    HUB_ENSURE(secret.len > 0,
               hub_fail(err, HUB_SYNTAX, "not a sealed event",
                        "a line is a CloudEvent as `seal` and `message show --json` print it"));
    HUB_TRY(hub_cli_reader_secrets(reader, &subject, subject.len > 0 ? 1 : 0, &secret, 1, err));
    HUB_TRY(hub_protect_open_event(arena, event, hub_cli_reader_opener(reader), &masked, err));
    hub_cli_print_line(event);
    return HUB_OK;
}

static enum hub_result open_lines(struct hub_cli_reader *reader, const char *file, struct hub_span rest,
                                  struct hub_error *err)
{
    struct hub_arena arena;
    enum hub_result result = HUB_OK;
    hub_arena_init(&arena, ARENA_BYTES_MAX);
    for (uint32_t number = 1; rest.len > 0 && result == HUB_OK; number++) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        struct hub_span line = hub_span_trim(hub_span_of(rest.ptr, len));
        if (line.len > 0)
            result = open_event(reader, &arena, line, err);
        if (result != HUB_OK)
            (void)hub_error_in(err, file, number);
        rest = end != NULL ? hub_span_of(end + 1, rest.len - len - 1) : HUB_SPAN_NONE;
        hub_arena_reset(&arena);
    }
    hub_arena_deinit(&arena);
    return result;
}

static int open_file(struct hub_client *client, const char *file)
{
    struct hub_error err = {0};
    struct hub_cli_reader *reader = NULL;
    struct hub_buf bytes;
    enum hub_result result = hub_cli_read_file(file, FILE_BYTES_MAX, &bytes, &err);
    if (result == HUB_OK)
        result = hub_cli_reader_new(client, &reader, &err);
    if (result == HUB_OK)
        result = open_lines(reader, file, hub_buf_view(&bytes), &err);
    hub_cli_reader_free(reader);
    hub_buf_deinit(&bytes);
    return result == HUB_OK ? HUB_EXIT_OK : hub_cli_fail(&err);
}

int hub_cli_open(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("open: name one file of sealed events, or -");
    if (hub_cli.role == NULL || hub_cli.key == NULL)
        return hub_cli_usage("open: name the role and its key with --role and --key");
    struct hub_cli_hub hub;
    int code = hub_cli_hub_open(&hub);
    if (code == HUB_EXIT_OK)
        code = open_file(hub.client, operands[0]);
    hub_cli_hub_close(&hub);
    return code;
}
