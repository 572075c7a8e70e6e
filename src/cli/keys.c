/* `keys list`, `rotate`, `grant`, `revoke`, `export` and `signer`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/policy/policy.h"
#include "src/protect/keys.h"

static bool create;
static const char *operand;

const struct hub_cli_option hub_cli_keys_list_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                           HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_keys_rotate_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                             HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_keys_grant_options[] = {
    {"create", 0, HUB_CLI_FLAG, &create, NULL, "make the role a key pair where it has none"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_keys_revoke_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                             HUB_CLI_OPTION_END};
const struct hub_cli_option hub_cli_keys_export_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                             HUB_CLI_OPTION_END};

const struct hub_cli_option hub_cli_keys_signer_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                             HUB_CLI_OPTION_END};

/* --- list --- */

static enum hub_result list_keys(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {
        .member = "key",
        .titles = {"id", "class", "epoch", "created", "state", "fields", "bytes", "roles"},
        .members = {"id", "class", "epoch", "created", "state", "fields", "bytes", "roles"}};
    struct hub_buf request;
    hub_cli_request_begin(&request, "keys.list");
    return hub_cli_list_print(client, arena, &request, &list, NULL, err);
}

/* --- rotate --- */

static enum hub_result rotate_keys(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {
        .member = "key", .titles = {"class", "new key"}, .members = {"class", "id"}};
    struct hub_buf request;
    hub_cli_request_begin(&request, "keys.rotate");
    if (operand != NULL)
        hub_cli_request_text(&request, "class", operand);
    return hub_cli_list_print(client, arena, &request, &list, NULL, err);
}

/* --- grant and revoke --- */

static enum hub_result change_role(struct hub_client *client, struct hub_arena *arena, const char *op,
                                   struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    hub_cli_request_begin(&request, op);
    hub_cli_request_text(&request, "role", operand);
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    const struct hub_json *role = hub_json_get(hub_json_at(lines, 0), "role");
    HUB_ENSURE(role != NULL, hub_fail(err, HUB_INTERNAL, "the hub gave no answer", NULL));
    if (hub_cli.json) {
        hub_cli_print_json(role);
        return HUB_OK;
    }
    (void)printf("%s: ", operand);
    hub_cli_print_text(hub_json_get_span(role, "state"), stdout);
    (void)fputs(", ", stdout);
    const struct hub_span classes = hub_cli_list_cell(arena, role, "classes");
    hub_cli_print_text(classes.len != 0 ? classes : HUB_SPAN("no class"), stdout);
    (void)fputc('\n', stdout);
    return HUB_OK;
}

/* The role's key pair where the access policy says it is, unless it is there. */
static enum hub_result make_pair(struct hub_error *err)
{
    struct hub_problems problems;
    char private_path[4096];
    struct hub_config *config = hub_cli_config();
    if (config == NULL)
        return hub_fail(err, HUB_CONFIG, "the configuration cannot be used", NULL);
    hub_problems_init(&problems);
    struct hub_roles *roles = hub_roles_load(config->policy_access, config->folder, &problems);
    const struct hub_role *role = roles != NULL ? hub_roles_find(roles, operand) : NULL;
    enum hub_result result = role != NULL ? HUB_OK
                                          : hub_fail(err, HUB_NOT_FOUND, "the access policy has no such role",
                                                     "add it to policies/access/roles.yaml first");
    if (role != NULL && access(role->public_key_path, F_OK) != 0) {
        const size_t len = strlen(role->public_key_path);
        if (len < 4 || len >= sizeof private_path || strcmp(role->public_key_path + len - 4, ".pub") != 0)
            result = hub_fail(err, HUB_USAGE, "the role's public_key does not end in .pub", "make the pair by hand");
        else {
            (void)snprintf(private_path, sizeof private_path, "%.*s.key", (int)(len - 4), role->public_key_path);
            result = hub_role_key_create(role->public_key_path, private_path, role->name, err);
        }
    }
    hub_roles_free(roles);
    hub_problems_deinit(&problems);
    hub_config_free(config);
    return result;
}

static enum hub_result grant_role(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    if (create)
        HUB_TRY(make_pair(err));
    return change_role(client, arena, "keys.grant", err);
}

static enum hub_result revoke_role(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    return change_role(client, arena, "keys.revoke", err);
}

/* --- export --- */

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

/* --- signer --- */

static bool keep_signer(void *ctx, struct hub_json *line)
{
    const struct hub_span key = hub_json_get_span(line, "sign_public");
    if (key.len == 0)
        return true;
    if (hub_cli.json)
        hub_cli_print_line(line);
    else
        (void)printf("%.*s\n", (int)key.len, (const char *)key.ptr);
    *(bool *)ctx = true;
    return true;
}

static enum hub_result show_signer(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_buf request;
    bool found = false;
    hub_cli_request_begin(&request, "keys.records");
    HUB_TRY(hub_cli_ask(client, &request, arena, true, keep_signer, &found, err));
    return found ? HUB_OK : hub_fail(err, HUB_INTERNAL, "the hub gave no answer", NULL);
}

/* --- commands --- */

int hub_cli_keys_list(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(list_keys) : hub_cli_usage("keys list: takes no operands");
}

int hub_cli_keys_rotate(int count, char **operands)
{
    enum hub_data_class class_;
    if (count > 1)
        return hub_cli_usage("keys rotate: name one data class, or none for all");
    operand = count == 1 ? operands[0] : NULL;
    if (operand != NULL && (!hub_data_class_of(hub_span_str(operand), &class_) || class_ == HUB_DATA_CLEAR))
        return hub_cli_usage("keys rotate: a data class is identity, contact, financial, clinical, sensitive or raw");
    return hub_cli_with_hub(rotate_keys);
}

int hub_cli_keys_grant(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("keys grant: name one role");
    operand = operands[0];
    return hub_cli_with_hub(grant_role);
}

int hub_cli_keys_revoke(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("keys revoke: name one role");
    operand = operands[0];
    return hub_cli_with_hub(revoke_role);
}

int hub_cli_keys_export(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(export_keys) : hub_cli_usage("keys export: takes no operands");
}

int hub_cli_keys_signer(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(show_signer) : hub_cli_usage("keys signer: takes no operands");
}
