#include "src/cli/table.h"

#include <string.h>

#include "src/cli/cli.h"

enum { TABLE_BYTES_MAX = 1 << 30, WIDTH_MAX = 60 };

struct hub_cli_row {
    struct hub_cli_row *next;
    struct hub_span cells[];
};

/* Characters, counting UTF-8 sequences once. */
static size_t width_of(struct hub_span text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += (text.ptr[i] & 0xc0) != 0x80;
    return width;
}

void hub_cli_table_init(struct hub_cli_table *table, const char *const *titles)
{
    memset(table, 0, sizeof *table);
    hub_arena_init(&table->arena, TABLE_BYTES_MAX);
    table->titles = titles;
    while (titles[table->columns] != NULL) {
        table->widths[table->columns] = strlen(titles[table->columns]);
        table->columns++;
        HUB_ASSERT(table->columns <= HUB_CLI_COLUMNS_MAX);
    }
}

void hub_cli_table_add(struct hub_cli_table *table, const struct hub_span *cells)
{
    struct hub_cli_row *row =
        hub_arena_zalloc(&table->arena, sizeof *row + table->columns * sizeof row->cells[0]);
    for (size_t i = 0; row != NULL && i < table->columns; i++) {
        row->cells[i] = hub_arena_copy(&table->arena, cells[i]);
        size_t width = width_of(cells[i]);
        if (width > table->widths[i])
            table->widths[i] = width < WIDTH_MAX ? width : WIDTH_MAX;
    }
    if (row == NULL) {
        table->failed = true;
        return;
    }
    if (table->last != NULL)
        table->last->next = row;
    else
        table->first = row;
    table->last = row;
}

static void print_cell(const struct hub_cli_table *table, size_t column, struct hub_span text, FILE *out)
{
    hub_cli_print_text(text, out);
    if (column + 1 == table->columns) {
        (void)fputc('\n', out);
        return;
    }
    size_t width = width_of(text);
    size_t pad = width < table->widths[column] ? table->widths[column] - width : 0;
    (void)fprintf(out, "%*s", (int)pad + 2, "");
}

void hub_cli_table_finish(struct hub_cli_table *table, FILE *out)
{
    for (size_t i = 0; i < table->columns && table->first != NULL; i++)
        print_cell(table, i, hub_span_str(table->titles[i]), out);
    for (const struct hub_cli_row *row = table->first; row != NULL; row = row->next)
        for (size_t i = 0; i < table->columns; i++)
            print_cell(table, i, row->cells[i], out);
    if (table->failed)
        (void)fprintf(stderr, "chartline: out of memory, rows are missing\n");
    hub_arena_deinit(&table->arena);
}
