/* Reading as a role: proves that the role's key is at hand, opens the class keys that are sealed to it, asks
 * for patients' secrets (each request is in the audit log before it is answered), and opens with both. One
 * thread. Keys and secrets live in guarded memory until hub_cli_reader_free. */
#pragma once

#include "src/cli/ask.h"
#include "src/protect/protect.h"

struct hub_cli_reader;

/* With the --role and --key of the command line. *OUT is NULL with HUB_OK where no role was asked for. CLIENT
 * must outlive the reader. */
enum hub_result hub_cli_reader_new(struct hub_client *client, struct hub_cli_reader **out,
                                   struct hub_error *err) HUB_MUST_USE;
/* NULL is fine. */
void hub_cli_reader_free(struct hub_cli_reader *reader);
/* Asks for the secrets of these patients' tokens and of these secret ids (either may be none) and adds them
 * to what is known. A secret that is shredded or not there stays away: what it protects stays masked. */
enum hub_result hub_cli_reader_secrets(struct hub_cli_reader *reader, const struct hub_span *tokens,
                                       size_t token_count, const struct hub_span *ids, size_t id_count,
                                       struct hub_error *err) HUB_MUST_USE;
/* For hub_protect_open_* and hub_query_*; NULL for a NULL reader. */
const struct hub_opener *hub_cli_reader_opener(const struct hub_cli_reader *reader);
