/* The only user of yyjson: reads a text into the hub's own nodes. The text is copied once into the arena and
 * read in place, so strings point into that copy; yyjson's own values are freed before returning. */
#include "src/codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

#include "src/base/mem.h"

static void *alc_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return hub_mem_resize(NULL, size);
}

static void *alc_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return hub_mem_resize(ptr, size);
}

static void alc_free(void *ctx, void *ptr)
{
    (void)ctx;
    hub_mem_free(ptr);
}

static int by_key(const void *a, const void *b)
{
    const struct hub_json *x = *(struct hub_json *const *)a;
    const struct hub_json *y = *(struct hub_json *const *)b;
    return hub_span_compare(hub_span_of(x->key, x->key_len), hub_span_of(y->key, y->key_len));
}

/* Members came in the order of the text: bring them into key order, refuse duplicates. */
static enum hub_result sort_members(struct hub_arena *arena, struct hub_json *object)
{
    bool sorted = true;
    for (struct hub_json *m = object->first; m != NULL && m->next != NULL; m = m->next) {
        int order = by_key(&m, &m->next);
        HUB_ENSURE(order != 0, HUB_SYNTAX);
        sorted = sorted && order < 0;
    }
    if (sorted)
        return HUB_OK;
    struct hub_json **items = HUB_ARENA_ARRAY(arena, struct hub_json *, object->len);
    HUB_ENSURE(items != NULL, HUB_NO_MEMORY);
    size_t count = 0;
    for (struct hub_json *m = object->first; m != NULL; m = m->next)
        items[count++] = m;
    qsort(items, count, sizeof(struct hub_json *), by_key);
    for (size_t i = 0; i + 1 < count; i++) {
        HUB_ENSURE(by_key(&items[i], &items[i + 1]) != 0, HUB_SYNTAX);
        items[i]->next = items[i + 1];
    }
    items[count - 1]->next = NULL;
    object->first = items[0];
    object->last = items[count - 1];
    return HUB_OK;
}

static void add_child(struct hub_json *container, struct hub_json *child)
{
    if (container->last != NULL)
        container->last->next = child;
    else
        container->first = child;
    container->last = child;
    container->len++;
}

static enum hub_result convert(struct hub_arena *arena, yyjson_val *val, unsigned depth, struct hub_json **out);

static enum hub_result convert_object(struct hub_arena *arena, yyjson_val *val, unsigned depth, struct hub_json *node)
{
    yyjson_obj_iter iter = yyjson_obj_iter_with(val);
    for (yyjson_val *key = yyjson_obj_iter_next(&iter); key != NULL; key = yyjson_obj_iter_next(&iter)) {
        struct hub_json *child = NULL;
        HUB_TRY(convert(arena, yyjson_obj_iter_get_val(key), depth + 1, &child));
        const struct hub_json_key name = hub_json_key(yyjson_get_str(key), yyjson_get_len(key));
        child->key = name.ptr;
        child->key_len = name.len;
        child->key_head = name.head;
        add_child(node, child);
    }
    return sort_members(arena, node);
}

static enum hub_result convert_array(struct hub_arena *arena, yyjson_val *val, unsigned depth, struct hub_json *node)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(val);
    for (yyjson_val *item = yyjson_arr_iter_next(&iter); item != NULL; item = yyjson_arr_iter_next(&iter)) {
        struct hub_json *child = NULL;
        HUB_TRY(convert(arena, item, depth + 1, &child));
        add_child(node, child);
    }
    return HUB_OK;
}

static enum hub_result convert(struct hub_arena *arena, yyjson_val *val, unsigned depth, struct hub_json **out)
{
    enum hub_json_type type = HUB_JSON_NULL;
    switch (yyjson_get_type(val)) {
    case YYJSON_TYPE_BOOL:
        type = yyjson_get_bool(val) ? HUB_JSON_TRUE : HUB_JSON_FALSE;
        break;
    case YYJSON_TYPE_RAW:
        type = HUB_JSON_NUMBER;
        break;
    case YYJSON_TYPE_STR:
        type = HUB_JSON_STRING;
        break;
    case YYJSON_TYPE_ARR:
        type = HUB_JSON_ARRAY;
        break;
    case YYJSON_TYPE_OBJ:
        type = HUB_JSON_OBJECT;
        break;
    default:
        break;
    }
    HUB_ENSURE(depth < HUB_JSON_DEPTH_MAX || (type != HUB_JSON_OBJECT && type != HUB_JSON_ARRAY), HUB_SYNTAX);
    struct hub_json *node = hub_json_new(arena, type);
    HUB_ENSURE(node != NULL, HUB_NO_MEMORY);
    *out = node;
    if (type == HUB_JSON_OBJECT)
        return convert_object(arena, val, depth, node);
    if (type == HUB_JSON_ARRAY)
        return convert_array(arena, val, depth, node);
    if (type == HUB_JSON_STRING || type == HUB_JSON_NUMBER) {
        node->str = type == HUB_JSON_STRING ? yyjson_get_str(val) : yyjson_get_raw(val);
        node->len = (uint32_t)yyjson_get_len(val);
    }
    return HUB_OK;
}

enum hub_result hub_json_parse(struct hub_arena *arena, struct hub_span text, struct hub_json **out, struct hub_error *err)
{
    if (text.len == 0 || text.len > UINT32_MAX - YYJSON_PADDING_SIZE)
        return hub_fail(err, HUB_SYNTAX, "not a JSON text", NULL);
    char *copy = hub_arena_bytes(arena, text.len + YYJSON_PADDING_SIZE);
    if (copy == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    memcpy(copy, text.ptr, text.len);
    memset(copy + text.len, 0, YYJSON_PADDING_SIZE);
    const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, NULL};
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts(copy, text.len, YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW, &alc, &why);
    if (doc == NULL) {
        bool memory = why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION;
        (void)hub_fail(err, memory ? HUB_NO_MEMORY : HUB_SYNTAX, memory ? NULL : "not a JSON text", NULL);
        hub_error_number(err, (int64_t)why.pos);
        return memory ? HUB_NO_MEMORY : HUB_SYNTAX;
    }
    enum hub_result result = convert(arena, yyjson_doc_get_root(doc), 0, out);
    yyjson_doc_free(doc);
    if (result != HUB_OK)
        return hub_fail(err, result, result == HUB_SYNTAX ? "a JSON text with duplicate names or too deep" : NULL, NULL);
    return HUB_OK;
}

const char *hub_yyjson_version(void)
{
    static char text[32];
    const uint32_t version = yyjson_version();
    (void)snprintf(text, sizeof text, "%u.%u.%u", (unsigned)(version >> 16), (unsigned)(version >> 8 & 0xff),
                   (unsigned)(version & 0xff));
    return text;
}
