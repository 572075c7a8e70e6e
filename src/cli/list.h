/* Answers that are lists of one kind of object: a JSON array, or a table of some of their members. */
#pragma once

#include "src/cli/ask.h"

enum { HUB_CLI_LIST_COLUMNS_MAX = 10 };

struct hub_cli_list {
    const char *member; /* of each line: {"deadletter":{...}} */
    /* Titles of the table, and for each the member it shows ("reason.what" for a nested one); NULL ended. */
    const char *titles[HUB_CLI_LIST_COLUMNS_MAX + 1];
    const char *members[HUB_CLI_LIST_COLUMNS_MAX + 1];
};
/* Asks and prints. *SHOWN (may be NULL) counts the objects. */
enum hub_result hub_cli_list_print(struct hub_client *client, struct hub_arena *arena,
                                   struct hub_buf *request, const struct hub_cli_list *list, size_t *shown,
                                   struct hub_error *err) HUB_MUST_USE;
/* NODE as a text: lists of texts comma separated, other lists and objects as JSON in ARENA; NULL is empty. */
struct hub_span hub_cli_list_text(struct hub_arena *arena, const struct hub_json *node);
/* The text of NODE's member at PATH ("a.b"). */
struct hub_span hub_cli_list_cell(struct hub_arena *arena, const struct hub_json *node, const char *path);
