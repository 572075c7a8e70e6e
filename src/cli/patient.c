/* `patient find`: the chart of an identifier or token. */
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/list.h"

const struct hub_cli_option hub_cli_patient_find_options[] = {
    {"purpose", 0, HUB_CLI_TEXT, &hub_cli.purpose, "CODE",
     "purpose of use for the audit log (default TREAT)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

static char *patient;

static enum hub_result find(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {
        .member = "patient", .titles = {"chart", "token", "tokens"}, .members = {"chart", "token", "tokens"}};
    struct hub_buf request;
    size_t shown = 0;
    /* The value may hold '|' itself, a system cannot. */
    char *bar = strchr(patient, '|');
    hub_cli_request_begin(&request, "patient.find");
    if (bar != NULL) {
        *bar = '\0';
        hub_cli_request_text(&request, "system", patient);
        hub_cli_request_text(&request, "value", bar + 1);
    } else {
        hub_cli_request_text(&request, "token", patient);
    }
    hub_cli_request_text(&request, "purpose", hub_cli.purpose);
    HUB_TRY(hub_cli_list_print(client, arena, &request, &list, &shown, err));
    return shown > 0 ? HUB_OK : hub_fail(err, HUB_NOT_FOUND, "no such patient", NULL);
}

int hub_cli_patient_find(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("patient find: name SYSTEM|VALUE or a token");
    patient = operands[0];
    return hub_cli_with_hub(find);
}
