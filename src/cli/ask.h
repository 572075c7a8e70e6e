/* Asking a hub: a running one through its control socket, else the data directory itself under its lock. One
 * code path for every command that reads (src/pipeline/control.h lists the requests). One thread. */
#pragma once

#include "src/cli/cli.h"
#include "src/pipeline/control_client.h"

struct hub_cli_hub {
    struct hub_config *config;
    struct hub *offline; /* NULL: a hub runs */
    struct hub_client *client;
};

/* Loads the configuration and connects. HUB_EXIT_OK, else printed and the exit code; close in any case. */
int hub_cli_hub_open(struct hub_cli_hub *hub);
void hub_cli_hub_close(struct hub_cli_hub *hub);
/* A second connection of its own to the same hub, for asking while a first answer still comes. Only where a
 * hub runs (HUB_NOT_FOUND otherwise). Close with hub_client_close. */
enum hub_result hub_cli_hub_again(const struct hub_cli_hub *hub, struct hub_client **out,
                                  struct hub_error *err) HUB_MUST_USE;

/* A request is built member by member; hub_cli_ask adds its end. OUT is initialised by begin. */
void hub_cli_request_begin(struct hub_buf *out, const char *op);
void hub_cli_request_text(struct hub_buf *out, const char *name, const char *value);
void hub_cli_request_number(struct hub_buf *out, const char *name, uint64_t value);
void hub_cli_request_list(struct hub_buf *out, const char *name, const struct hub_span *values, size_t count);

/* Sends REQUEST and releases it. EACH gets every answer line as a tree that lives in ARENA: with RESET it is
 * reset before each line. EACH returns false to stop early. */
typedef bool (*hub_cli_line_fn)(void *ctx, struct hub_json *line);
enum hub_result hub_cli_ask(struct hub_client *client, struct hub_buf *request, struct hub_arena *arena,
                            bool reset, hub_cli_line_fn each, void *ctx, struct hub_error *err) HUB_MUST_USE;
/* All answer lines as a list in ARENA. */
enum hub_result hub_cli_collect(struct hub_client *client, struct hub_buf *request, struct hub_arena *arena,
                                struct hub_json **list, struct hub_error *err) HUB_MUST_USE;

/* Opens, calls WHAT with an arena, closes, prints its failure: the exit code of a command that only asks. */
int hub_cli_with_hub(enum hub_result (*what)(struct hub_client *client, struct hub_arena *arena,
                                             struct hub_error *err));
