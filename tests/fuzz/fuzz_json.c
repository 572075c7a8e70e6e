/* JSON: what parses is written in canonical form, parses again to the same, and every access stays inside. What is scanned in
 * place is canonical: it parses, and is written as it was. */
#include <stdlib.h>

#include "src/codec/json.h"
#include "src/codec/json_scan.h"

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

static bool scans(struct hub_span text)
{
    struct hub_scan scan;
    struct hub_span value;
    hub_scan_init(&scan, text);
    if (!hub_scan_value(&scan, &value))
        return false;
    check(value.ptr == text.ptr && value.len <= text.len);
    return hub_scan_done(&scan);
}

/* Names that need an escape are not taken in place. */
static bool plain_names(const struct hub_json *node)
{
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY)
        return true;
    for (const struct hub_json *child = node->first; child != NULL; child = child->next) {
        for (size_t i = 0; node->type == HUB_JSON_OBJECT && i < child->key_len; i++) {
            if ((uint8_t)child->key[i] < 0x20 || child->key[i] == '"' || child->key[i] == '\\')
                return false;
        }
        if (!plain_names(child))
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_arena arena;
    struct hub_json *tree = NULL, *again = NULL;
    struct hub_buf first, second;
    hub_arena_init(&arena, 64 << 20);
    hub_buf_init(&first, 16 << 20, false);
    hub_buf_init(&second, 16 << 20, false);
    const bool scanned = scans(hub_span_of(data, size));
    const bool parsed = hub_json_parse(&arena, hub_span_of(data, size), &tree, NULL) == HUB_OK;
    check(parsed || !scanned);
    if (parsed) {
        visit(&arena, tree, 0);
        hub_json_write(&first, tree);
        check(hub_buf_result(&first) == HUB_OK);
        check(!scanned || hub_span_equal(hub_buf_view(&first), hub_span_of(data, size)));
        check(scans(hub_buf_view(&first)) == plain_names(tree));
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
