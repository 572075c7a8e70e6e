#include "src/cli/list.h"

#include <string.h>

#include "src/cli/table.h"

struct printing {
    const struct hub_cli_list *list;
    struct hub_arena *arena;
    struct hub_cli_table table;
    size_t shown;
};

/* A list of texts reads better without its JSON. */
static struct hub_span joined(struct hub_arena *arena, const struct hub_json *node)
{
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    if (node->type == HUB_JSON_ARRAY) {
        for (const struct hub_json *item = node->first; item != NULL; item = item->next) {
            if (text.len > 0)
                hub_buf_append_byte(&text, ',');
            if (item->type == HUB_JSON_STRING)
                hub_buf_append_span(&text, hub_json_span(item));
            else
                hub_json_write(&text, item);
        }
    } else {
        hub_json_write(&text, node);
    }
    struct hub_span copy = hub_arena_copy(arena, hub_buf_view(&text));
    hub_buf_deinit(&text);
    return copy;
}

struct hub_span hub_cli_list_text(struct hub_arena *arena, const struct hub_json *node)
{
    if (node == NULL || node->type == HUB_JSON_NULL)
        return HUB_SPAN_NONE;
    if (node->type == HUB_JSON_STRING || node->type == HUB_JSON_NUMBER)
        return hub_json_span(node);
    return joined(arena, node);
}

struct hub_span hub_cli_list_cell(struct hub_arena *arena, const struct hub_json *node, const char *path)
{
    while (node != NULL) {
        size_t len = strcspn(path, ".");
        node = hub_json_get_n(node, path, len);
        if (path[len] == '\0')
            break;
        path += len + 1;
    }
    return hub_cli_list_text(arena, node);
}

static bool print_object(void *ctx, struct hub_json *line)
{
    struct printing *p = ctx;
    const struct hub_json *object = hub_json_get(line, p->list->member);
    if (object == NULL)
        return true;
    if (hub_cli.json) {
        struct hub_buf text;
        hub_buf_init(&text, SIZE_MAX / 2, true);
        hub_json_write(&text, object);
        (void)printf("%s\n%s", p->shown == 0 ? "" : ",", hub_buf_str(&text));
        hub_buf_deinit(&text);
    } else {
        struct hub_span cells[HUB_CLI_LIST_COLUMNS_MAX];
        for (size_t i = 0; p->list->titles[i] != NULL; i++)
            cells[i] = hub_cli_list_cell(p->arena, object, p->list->members[i]);
        hub_cli_table_add(&p->table, cells);
    }
    p->shown++;
    return true;
}

enum hub_result hub_cli_list_print(struct hub_client *client, struct hub_arena *arena,
                                   struct hub_buf *request, const struct hub_cli_list *list, size_t *shown,
                                   struct hub_error *err)
{
    struct printing p = {.list = list, .arena = arena};
    hub_cli_table_init(&p.table, list->titles);
    if (hub_cli.json)
        (void)printf("[");
    enum hub_result result = hub_cli_ask(client, request, arena, true, print_object, &p, err);
    if (hub_cli.json)
        (void)printf("%s]\n", p.shown == 0 ? "" : "\n");
    hub_cli_table_finish(&p.table, stdout);
    if (shown != NULL)
        *shown = p.shown;
    return result;
}
