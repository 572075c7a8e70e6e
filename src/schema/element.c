#include "src/schema/element.h"

#include <string.h>

enum { STEPS_MAX = 16 };

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* One step off *AT; false when it is none. */
static bool parse_step(struct hub_arena *arena, const char **at, struct hub_step *step)
{
    const char *p = *at;
    while (is_name_char(*p))
        p++;
    size_t len = (size_t)(p - *at);
    if (len == 0)
        return false;
    const char *name = (const char *)hub_arena_copy(arena, hub_span_of(*at, len)).ptr;
    if (name == NULL)
        return false;
    *step = (struct hub_step){HUB_STEP_MEMBER, hub_json_key(name, len), NULL};
    if (strncmp(p, "[]", 2) == 0) {
        step->kind = HUB_STEP_APPEND;
        p += 2;
    } else if (strncmp(p, "[1]", 3) == 0) {
        step->kind = HUB_STEP_FIRST;
        p += 3;
    } else if (*p == '(') {
        const char *end = strchr(p, ')');
        if (end == NULL || end == p + 1)
            return false;
        step->kind = HUB_STEP_APPEND;
        step->url = (const char *)hub_arena_copy(arena, hub_span_of(p + 1, (size_t)(end - p - 1))).ptr;
        if (step->url == NULL)
            return false;
        p = end + 1;
    }
    *at = p;
    return true;
}

bool hub_element_parse(struct hub_arena *arena, const char *text, struct hub_element *out)
{
    memset(out, 0, sizeof *out);
    out->text = text;
    out->top = "";
    if (strcmp(text, ".") == 0)
        return true;
    struct hub_step steps[STEPS_MAX];
    uint16_t count = 0;
    const char *at = text;
    for (;;) {
        if (count == STEPS_MAX || !parse_step(arena, &at, &steps[count]))
            return false;
        out->repeats = out->repeats || steps[count].kind == HUB_STEP_APPEND;
        count++;
        if (*at == '\0')
            break;
        if (*at++ != '.')
            return false;
    }
    struct hub_step *copy = hub_arena_zalloc(arena, count * sizeof *copy);
    if (copy == NULL)
        return false;
    memcpy(copy, steps, count * sizeof *copy);
    out->steps = copy;
    out->count = count;
    out->top = copy[0].name.ptr[0] == '_' ? copy[0].name.ptr + 1 : copy[0].name.ptr;
    return true;
}

struct hub_json *hub_element_get(const struct hub_json *object, const struct hub_element *element)
{
    const struct hub_json *at = object;
    for (uint16_t i = 0; i < element->count && at != NULL; i++) {
        const struct hub_step *step = &element->steps[i];
        if (step->kind == HUB_STEP_APPEND)
            return NULL;
        at = hub_json_member(at, step->name);
        if (at != NULL && step->kind == HUB_STEP_FIRST)
            at = at->type == HUB_JSON_ARRAY ? at->first : NULL;
    }
    return (struct hub_json *)(uintptr_t)at;
}

static enum hub_result set_url(struct hub_arena *arena, struct hub_json *node, const struct hub_step *step)
{
    if (step->url == NULL || node->type != HUB_JSON_OBJECT)
        return HUB_OK;
    return hub_json_set_c(node, "url", hub_json_string_c(arena, step->url));
}

static struct hub_json *append_object(struct hub_arena *arena, struct hub_json *array, const struct hub_step *step)
{
    struct hub_json *node = hub_json_new(arena, HUB_JSON_OBJECT);
    if (hub_json_push(array, node) != HUB_OK || set_url(arena, node, step) != HUB_OK)
        return NULL;
    return node;
}

static struct hub_json *enter(struct hub_arena *arena, struct hub_json *object, const struct hub_step *step)
{
    if (step->kind == HUB_STEP_MEMBER)
        return hub_json_open(arena, object, step->name, HUB_JSON_OBJECT);
    struct hub_json *array = hub_json_open(arena, object, step->name, HUB_JSON_ARRAY);
    if (array == NULL)
        return NULL;
    if (step->kind == HUB_STEP_FIRST && array->first != NULL && array->first->type == HUB_JSON_OBJECT)
        return array->first;
    return append_object(arena, array, step);
}

static bool both_objects(const struct hub_json *a, const struct hub_json *b)
{
    return a != NULL && a->type == HUB_JSON_OBJECT && b->type == HUB_JSON_OBJECT;
}

static enum hub_result put_last(struct hub_arena *arena, struct hub_json *object, const struct hub_step *step,
                                struct hub_json *node, struct hub_json **placed)
{
    if (step->kind == HUB_STEP_MEMBER)
        return hub_json_merge(object, step->name, node, placed);
    *placed = node;
    struct hub_json *array = hub_json_open(arena, object, step->name, HUB_JSON_ARRAY);
    HUB_ENSURE(array != NULL, HUB_NO_MEMORY);
    if (step->kind == HUB_STEP_FIRST && array->first != NULL) {
        if (both_objects(array->first, node)) {
            *placed = array->first;
            return hub_json_merge_members(array->first, node);
        }
        (void)hub_json_remove_at(array, 0);
    }
    HUB_TRY(set_url(arena, node, step));
    return hub_json_push(array, node);
}

enum hub_result hub_element_put(struct hub_arena *arena, struct hub_json *object, const struct hub_element *element,
                                struct hub_json *node, struct hub_json **placed)
{
    HUB_ENSURE(node != NULL, HUB_NO_MEMORY);
    HUB_ASSERT(element->count > 0);
    struct hub_json *at = object;
    for (uint16_t i = 0; i + 1 < element->count; i++) {
        at = enter(arena, at, &element->steps[i]);
        HUB_ENSURE(at != NULL, HUB_NO_MEMORY);
    }
    struct hub_json *where = NULL;
    HUB_TRY(put_last(arena, at, &element->steps[element->count - 1], node, &where));
    if (placed != NULL)
        *placed = where;
    return HUB_OK;
}
