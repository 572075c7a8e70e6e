/* Putting opened elements back. Items are [path, value] or [path] (take away what stands there); a path is a
 * JSON pointer (RFC 6901). First those whose path ends in a name and those that take away, in the order of
 * the classes and of the lists; then those that end in an index, which are inserted at that place: the
 * deepest first, within a depth by rising index. */
#include <stdlib.h>

#include "src/protect/seal_internal.h"

struct item {
    struct hub_span path; /* without the last token */
    struct hub_span last;
    struct hub_json *value; /* NULL: take away */
    uint32_t depth, index, order;
    bool indexed;
};

static bool parse_index(struct hub_span token, uint32_t *index)
{
    uint64_t number = 0;
    if (!hub_span_parse_u64(token, &number) || number > UINT32_MAX)
        return false;
    *index = (uint32_t)number;
    return true;
}

/* ~1 is /, ~0 is ~. */
static struct hub_span unescape(struct hub_arena *arena, struct hub_span token)
{
    if (token.len == 0 || memchr(token.ptr, '~', token.len) == NULL)
        return token;
    char *out = hub_arena_bytes(arena, token.len);
    size_t len = 0;
    for (size_t i = 0; out != NULL && i < token.len; i++) {
        if (token.ptr[i] == '~' && i + 1 < token.len) {
            i++;
            out[len++] = token.ptr[i] == '1' ? '/' : '~';
        } else {
            out[len++] = (char)token.ptr[i];
        }
    }
    return hub_span_of(out, len);
}

static enum hub_result read_item(const struct hub_json *node, uint32_t order, struct item *out)
{
    memset(out, 0, sizeof *out);
    HUB_ENSURE(node->type == HUB_JSON_ARRAY && (node->len == 1 || node->len == 2), HUB_CORRUPT);
    HUB_ENSURE(node->first->type == HUB_JSON_STRING && node->first->len > 1 && node->first->str[0] == '/',
               HUB_CORRUPT);
    const struct hub_span path = hub_json_span(node->first);
    size_t slash = path.len;
    for (size_t i = 0; i < path.len; i++)
        out->depth += path.ptr[i] == '/';
    while (path.ptr[slash - 1] != '/')
        slash--;
    out->path = hub_span_of(path.ptr, slash - 1);
    out->last = hub_span_of(path.ptr + slash, path.len - slash);
    out->value = node->first->next;
    out->order = order;
    out->indexed = parse_index(out->last, &out->index);
    return HUB_OK;
}

/* The parent of the item; objects that were emptied and left are made anew, the last as a list when LIST. */
static enum hub_result find_parent(struct hub_arena *arena, struct hub_json *root, struct hub_span path,
                                   bool list, struct hub_json **out)
{
    struct hub_json *at = root;
    while (path.len != 0) {
        const uint8_t *end = memchr(path.ptr + 1, '/', path.len - 1);
        const size_t len = end != NULL ? (size_t)(end - path.ptr) : path.len;
        const struct hub_span token = unescape(arena, hub_span_of(path.ptr + 1, len - 1));
        uint32_t index;
        struct hub_json *child = NULL;
        path = hub_span_of(path.ptr + len, path.len - len);
        HUB_ENSURE(token.ptr != NULL, HUB_NO_MEMORY);
        if (at->type == HUB_JSON_ARRAY) {
            HUB_ENSURE(parse_index(token, &index), HUB_CORRUPT);
            child = hub_json_at(at, index);
            HUB_ENSURE(child != NULL, HUB_CORRUPT);
        } else {
            HUB_ENSURE(at->type == HUB_JSON_OBJECT, HUB_CORRUPT);
            child = hub_json_get_n(at, (const char *)token.ptr, token.len);
            if (child == NULL) {
                child = hub_json_new(arena, list && path.len == 0 ? HUB_JSON_ARRAY : HUB_JSON_OBJECT);
                HUB_TRY(hub_json_set(at, (const char *)token.ptr, token.len, child));
            }
        }
        at = child;
    }
    *out = at;
    return HUB_OK;
}

static enum hub_result put_named(struct hub_arena *arena, struct hub_json *root, const struct item *item)
{
    struct hub_json *parent = NULL;
    HUB_TRY(find_parent(arena, root, item->path, false, &parent));
    if (parent->type == HUB_JSON_ARRAY) { /* a placeholder's item */
        HUB_ENSURE(item->value == NULL && item->indexed && hub_json_remove_at(parent, item->index) != NULL,
                   HUB_CORRUPT);
        return HUB_OK;
    }
    HUB_ENSURE(parent->type == HUB_JSON_OBJECT, HUB_CORRUPT);
    const struct hub_span key = unescape(arena, item->last);
    HUB_ENSURE(key.ptr != NULL, HUB_NO_MEMORY);
    if (item->value != NULL)
        return hub_json_set(parent, (const char *)key.ptr, key.len, item->value);
    char *name = hub_arena_bytes(arena, key.len + 1);
    HUB_ENSURE(name != NULL, HUB_NO_MEMORY);
    memcpy(name, key.ptr, key.len);
    name[key.len] = '\0';
    return hub_json_remove(parent, name) != NULL ? HUB_OK : HUB_CORRUPT;
}

static void insert_at(struct hub_json *array, uint32_t index, struct hub_json *node)
{
    struct hub_json **at = &array->first;
    for (uint32_t i = 0; i < index && *at != NULL; i++)
        at = &(*at)->next;
    node->key = NULL;
    node->key_len = 0;
    node->next = *at;
    if (*at == NULL)
        array->last = node;
    *at = node;
    array->len++;
}

static int insert_order(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static enum hub_result put_indexed(struct hub_arena *arena, struct hub_json *root, struct item *items,
                                   size_t count)
{
    if (count > 1)
        qsort(items, count, sizeof *items, insert_order);
    for (size_t i = 0; i < count; i++) {
        struct hub_json *parent = NULL;
        HUB_TRY(find_parent(arena, root, items[i].path, true, &parent));
        HUB_ENSURE(parent->type == HUB_JSON_ARRAY, HUB_CORRUPT);
        insert_at(parent, items[i].index, items[i].value);
    }
    return HUB_OK;
}

enum hub_result hub_put_lists(struct hub_arena *arena, struct hub_json *resource,
                              struct hub_json *const *lists, size_t count)
{
    size_t items = 0, indexed = 0;
    for (size_t i = 0; i < count; i++) {
        HUB_ENSURE(lists[i]->type == HUB_JSON_ARRAY, HUB_CORRUPT);
        items += lists[i]->len;
    }
    struct item *later = HUB_ARENA_ARRAY(arena, struct item, items);
    HUB_ENSURE(later != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        for (const struct hub_json *node = lists[i]->first; node != NULL; node = node->next) {
            struct item item;
            HUB_TRY(read_item(node, (uint32_t)indexed, &item));
            if (item.value != NULL && item.indexed)
                later[indexed++] = item;
            else
                HUB_TRY(put_named(arena, resource, &item));
        }
    }
    return put_indexed(arena, resource, later, indexed);
}
