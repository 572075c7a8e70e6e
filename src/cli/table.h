/* Aligned columns for people. Texts are copied; control characters are replaced when printing. One thread. */
#pragma once

#include <stdio.h>

#include "src/base/arena.h"
#include "src/base/span.h"

enum { HUB_CLI_COLUMNS_MAX = 10 };

struct hub_cli_row;
struct hub_cli_table {
    struct hub_arena arena;
    const char *const *titles; /* static */
    size_t columns;
    size_t widths[HUB_CLI_COLUMNS_MAX];
    struct hub_cli_row *first, *last;
    bool failed; /* memory ran out: rows are missing */
};

/* TITLES: NULL ended, at most HUB_CLI_COLUMNS_MAX. */
void hub_cli_table_init(struct hub_cli_table *table, const char *const *titles);
/* One cell for each column. */
void hub_cli_table_add(struct hub_cli_table *table, const struct hub_span *cells);
/* Prints (nothing at all when there is no row) and releases everything. */
void hub_cli_table_finish(struct hub_cli_table *table, FILE *out);
