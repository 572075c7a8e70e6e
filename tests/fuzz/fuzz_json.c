/* JSON: what parses is written in canonical form, parses again to the same, and every access stays inside. */
#include <stdlib.h>

#include "src/codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void visit(struct hub_arena *arena, struct hub_json *node, unsigned depth)
{
    check(depth <= HUB_JSON_DEPTH_MAX);
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY) {
        (void)hub_json_span(node);
        return;
    }
    size_t count = 0;
    for (struct hub_json *child = node->first; child != NULL; child = child->next, count++) {
        if (node->type == HUB_JSON_OBJECT)
            check(hub_json_get_n(node, child->key, child->key_len) == child);
        else if (count < 50)
            check(hub_json_at(node, count) == child);
        visit(arena, child, depth + 1);
    }
    check(count == node->len);
    check(hub_json_get(node, "no such member") == NULL || node->type == HUB_JSON_OBJECT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_json *tree = NULL, *again = NULL;
    struct hub_buf first, second;
    hub_arena_init(&arena, 64 << 20);
    hub_buf_init(&first, 16 << 20, false);
    hub_buf_init(&second, 16 << 20, false);
    if (hub_json_parse(&arena, hub_span_of(data, size), &tree, NULL) == HUB_OK) {
        visit(&arena, tree, 0);
        hub_json_write(&first, tree);
        check(hub_buf_result(&first) == HUB_OK);
        check(hub_json_parse(&arena, hub_buf_view(&first), &again, NULL) == HUB_OK);
        check(hub_json_equal(tree, again));
        hub_json_write(&second, hub_json_copy(&arena, again));
        check(hub_span_equal(hub_buf_view(&first), hub_buf_view(&second)));
    }
    hub_buf_deinit(&first);
    hub_buf_deinit(&second);
    hub_arena_deinit(&arena);
    return 0;
}
