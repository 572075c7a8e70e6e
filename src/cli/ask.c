#include "src/cli/ask.h"

#include <string.h>
#include <unistd.h>

enum { REQUEST_BYTES_MAX = 24 * 1024 * 1024, ARENA_BYTES_MAX = 0x7fffffff };

/* No hub runs: the data directory itself. */
static int open_offline(struct hub_cli_hub *hub)
{
    struct hub_error err = {0};
    struct hub_problems problems;
    struct hub_options options = {.roles = HUB_RUN_OFFLINE};
    char peer[32];
    (void)snprintf(peer, sizeof peer, "uid %lu", (unsigned long)getuid());
    hub_problems_init(&problems);
    enum hub_result result =
        hub_open(hub->config, &options, hub_cli_registry(), &problems, &hub->offline, &err);
    int code = HUB_EXIT_OK;
    if (result != HUB_OK)
        code = problems.errors > 0 ? hub_cli_problems(&problems, false) : hub_cli_fail(&err);
    else if (hub_client_local(hub->offline, peer, &hub->client, &err) != HUB_OK)
        code = hub_cli_fail(&err);
    hub_problems_deinit(&problems);
    return code;
}

int hub_cli_hub_open(struct hub_cli_hub *hub)
{
    struct hub_error err = {0};
    memset(hub, 0, sizeof *hub);
    hub->config = hub_cli_config();
    if (hub->config == NULL)
        return HUB_EXIT_USAGE;
    enum hub_result result = hub_client_connect(hub->config->data_dir, &hub->client, &err);
    if (result == HUB_OK)
        return HUB_EXIT_OK;
    if (result == HUB_NOT_FOUND)
        return open_offline(hub);
    return hub_cli_fail(&err);
}

void hub_cli_hub_close(struct hub_cli_hub *hub)
{
    hub_client_close(hub->client);
    hub_close(hub->offline);
    hub_config_free(hub->config);
    memset(hub, 0, sizeof *hub);
}

enum hub_result hub_cli_hub_again(const struct hub_cli_hub *hub, struct hub_client **out,
                                  struct hub_error *err)
{
    if (hub->offline != NULL)
        return hub_fail(err, HUB_NOT_FOUND, "no hub runs here", "start it with `chartline run`");
    return hub_client_connect(hub->config->data_dir, out, err);
}

/* --- requests --- */

void hub_cli_request_begin(struct hub_buf *out, const char *op)
{
    hub_buf_init(out, REQUEST_BYTES_MAX, true);
    hub_buf_append_str(out, "{\"op\":");
    hub_json_write_string(out, hub_span_str(op));
}

static void begin_member(struct hub_buf *out, const char *name)
{
    hub_buf_append_byte(out, ',');
    hub_json_write_string(out, hub_span_str(name));
    hub_buf_append_byte(out, ':');
}

void hub_cli_request_text(struct hub_buf *out, const char *name, const char *value)
{
    begin_member(out, name);
    hub_json_write_string(out, hub_span_str(value));
}

void hub_cli_request_number(struct hub_buf *out, const char *name, uint64_t value)
{
    begin_member(out, name);
    hub_buf_append_u64(out, value);
}

void hub_cli_request_list(struct hub_buf *out, const char *name, const struct hub_span *values, size_t count)
{
    begin_member(out, name);
    hub_buf_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            hub_buf_append_byte(out, ',');
        hub_json_write_string(out, values[i]);
    }
    hub_buf_append_byte(out, ']');
}

/* --- answers --- */

struct asking {
    struct hub_arena *arena;
    bool reset;
    hub_cli_line_fn each;
    void *ctx;
    enum hub_result result;
    struct hub_error *err;
};

static bool on_line(void *ctx, struct hub_span json)
{
    struct asking *a = ctx;
    struct hub_json *tree = NULL;
    if (a->reset)
        hub_arena_reset(a->arena);
    a->result = hub_json_parse(a->arena, json, &tree, a->err);
    return a->result == HUB_OK && a->each(a->ctx, tree);
}

enum hub_result hub_cli_ask(struct hub_client *client, struct hub_buf *request, struct hub_arena *arena,
                            bool reset, hub_cli_line_fn each, void *ctx, struct hub_error *err)
{
    struct asking asking = {arena, reset, each, ctx, HUB_OK, err};
    hub_buf_append_byte(request, '}');
    enum hub_result result = hub_buf_result(request);
    if (result == HUB_OK)
        result = hub_client_ask(client, hub_buf_view(request), on_line, &asking, err);
    else
        (void)hub_fail(err, result, "the request is too large", NULL);
    hub_buf_deinit(request);
    return asking.result != HUB_OK ? asking.result : result;
}

static bool push_line(void *ctx, struct hub_json *line)
{
    return hub_json_push(ctx, line) == HUB_OK;
}

enum hub_result hub_cli_collect(struct hub_client *client, struct hub_buf *request, struct hub_arena *arena,
                                struct hub_json **list, struct hub_error *err)
{
    *list = hub_json_new(arena, HUB_JSON_ARRAY);
    if (*list == NULL) {
        hub_buf_deinit(request);
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    return hub_cli_ask(client, request, arena, false, push_line, *list, err);
}

int hub_cli_with_hub(enum hub_result (*what)(struct hub_client *client, struct hub_arena *arena,
                                             struct hub_error *err))
{
    struct hub_cli_hub hub;
    struct hub_error err = {0};
    struct hub_arena arena;
    hub_arena_init(&arena, ARENA_BYTES_MAX);
    int code = hub_cli_hub_open(&hub);
    if (code == HUB_EXIT_OK && what(hub.client, &arena, &err) != HUB_OK)
        code = hub_cli_fail(&err);
    hub_cli_hub_close(&hub);
    hub_arena_deinit(&arena);
    return code;
}
