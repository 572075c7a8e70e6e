/* Every command's options and function; the table that joins them is commands.c. */
#pragma once

#include "src/cli/cli.h"

#define HUB_CLI_COMMAND(name)                                                                                \
    extern const struct hub_cli_option hub_cli_##name##_options[];                                           \
    int hub_cli_##name(int count, char **operands)

HUB_CLI_COMMAND(init);
HUB_CLI_COMMAND(check);
HUB_CLI_COMMAND(run);
HUB_CLI_COMMAND(map);
HUB_CLI_COMMAND(send);
HUB_CLI_COMMAND(seal);
HUB_CLI_COMMAND(open);
HUB_CLI_COMMAND(timeline);
HUB_CLI_COMMAND(patient_find);
HUB_CLI_COMMAND(message_find);
HUB_CLI_COMMAND(message_show);
HUB_CLI_COMMAND(audit_verify);
HUB_CLI_COMMAND(audit_show);
HUB_CLI_COMMAND(audit_checkpoint);
HUB_CLI_COMMAND(feed_pause);
HUB_CLI_COMMAND(feed_resume);
HUB_CLI_COMMAND(log_retain);
HUB_CLI_COMMAND(log_show);
HUB_CLI_COMMAND(log_snapshot);

HUB_CLI_COMMAND(feed_remap);
HUB_CLI_COMMAND(feed_diff);
HUB_CLI_COMMAND(feed_test);
HUB_CLI_COMMAND(feed_lint);
HUB_CLI_COMMAND(keys_list);
HUB_CLI_COMMAND(keys_rotate);
HUB_CLI_COMMAND(keys_grant);
HUB_CLI_COMMAND(keys_revoke);
HUB_CLI_COMMAND(keys_shred);
HUB_CLI_COMMAND(keys_export);
HUB_CLI_COMMAND(keys_signer);
HUB_CLI_COMMAND(deadletter_list);
HUB_CLI_COMMAND(deadletter_show);
HUB_CLI_COMMAND(deadletter_replay);
HUB_CLI_COMMAND(deadletter_resolve);
HUB_CLI_COMMAND(status);
HUB_CLI_COMMAND(bench);
