/* `run`: opens the data directory and serves until it is told to stop. */
#include <string.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/cli/commands.h"

static const char *roles_text;

const struct hub_cli_option hub_cli_run_options[] = {
    {"role", 0, HUB_CLI_TEXT, &roles_text, "LIST", "ingest,forward,timeline,api (default: all)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_END,
};

static void say_ready(void *ctx)
{
    (void)ctx;
    (void)puts("ready");
    (void)fflush(stdout);
}

static void log_warnings(const struct hub_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hub_problem *p = &problems->items[i];
        if (p->severity != HUB_SEVERITY_WARNING)
            continue;
        char text[640];
        (void)snprintf(text, sizeof text, "%s: %s", p->name, p->error.what);
        HUB_DIAG(HUB_DIAG_WARNING, "config", "check this", hub_diag_configured("at", text),
                 hub_diag_configured("mend", p->error.mend));
    }
}

static int serve(const struct hub_config *config, unsigned roles, struct hub_problems *problems)
{
    struct hub_error err = {0};
    struct hub *hub = NULL;
    struct hub_options options = {.roles = roles};
    int stop_fd = hub_signal_fd();
    if (stop_fd < 0)
        return HUB_EXIT_WRONG;
    enum hub_result result = hub_open(config, &options, hub_cli_registry(), problems, &hub, &err);
    if (result == HUB_OK) {
        log_warnings(problems);
        result = hub_run(hub, stop_fd, say_ready, NULL, &err);
        hub_close(hub);
    }
    (void)close(stop_fd);
    if (problems->errors > 0)
        return hub_cli_problems(problems, false);
    return result == HUB_OK ? HUB_EXIT_OK : hub_cli_fail(&err);
}

int hub_cli_run(int count, char **operands)
{
    (void)operands;
    unsigned roles = hub_cli_roles(roles_text);
    if (count != 0)
        return hub_cli_usage("run: takes no operands");
    if (roles == 0)
        return hub_cli_usage("run: --role takes ingest, forward, timeline and api, comma separated");
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_config *config = hub_cli_config_load(&problems);
    int code = config != NULL ? serve(config, roles, &problems) : hub_cli_problems(&problems, false);
    hub_config_free(config);
    hub_problems_deinit(&problems);
    return code;
}
