#include "src/codec/json.h"

struct hub_json *hub_json_number(struct hub_arena *arena, struct hub_span text)
{
    struct hub_json *node = hub_json_string(arena, text);
    if (node != NULL)
        node->type = HUB_JSON_NUMBER;
    return node;
}

struct hub_json *hub_json_number_i64(struct hub_arena *arena, int64_t number)
{
    struct hub_span text = hub_arena_decimal(arena, number);
    return text.ptr == NULL ? NULL : hub_json_number(arena, text);
}

struct hub_json *hub_json_bool(struct hub_arena *arena, bool value)
{
    return hub_json_new(arena, value ? HUB_JSON_TRUE : HUB_JSON_FALSE);
}

static bool is_container(const struct hub_json *node)
{
    return node != NULL && (node->type == HUB_JSON_ARRAY || node->type == HUB_JSON_OBJECT);
}

static inline uint32_t last_four(const char *name, uint32_t len)
{
    uint32_t four;
    memcpy(&four, name + len - 4, sizeof four);
    return four;
}

/* Whether a member with KEY's head is KEY's: the head tells the first four bytes, the rest is looked at. */
static inline bool is_named(const struct hub_json *member, struct hub_json_key key)
{
    if (member->key_len != key.len)
        return false;
    if (member->key == key.ptr || key.len <= 4)
        return true;
    if (last_four(member->key, key.len) != last_four(key.ptr, key.len))
        return false;
    return key.len <= 8 || memcmp(member->key + 4, key.ptr + 4, key.len - 8) == 0;
}

/* Where a member stands to KEY, when their heads are equal. */
static inline int rest_order(const struct hub_json *member, struct hub_json_key key)
{
    if (is_named(member, key))
        return 0;
    return hub_span_compare(hub_span_of(member->key, member->key_len), hub_span_of(key.ptr, key.len));
}

/* The link of OBJECT that holds KEY, or where it belongs (*THERE false). */
static inline struct hub_json **place_of(struct hub_json *object, struct hub_json_key key, bool *there)
{
    struct hub_json *last = object->last;
    int order = 1;
    *there = false;
    if (last == NULL)
        return &object->first;
    if (last->key_head < key.head)
        return &last->next;
    struct hub_json **at = &object->first; /* the last member is not before it: the loops end there */
    while ((*at)->key_head < key.head)
        at = &(*at)->next;
    while (*at != NULL && (*at)->key_head == key.head && (order = rest_order(*at, key)) < 0)
        at = &(*at)->next;
    *there = order == 0;
    return at;
}

static void put_at(struct hub_json *object, struct hub_json **at, bool there, struct hub_json_key key, struct hub_json *node)
{
    struct hub_json *after = *at;
    node->key = key.ptr;
    node->key_len = key.len;
    node->key_head = key.head;
    node->next = there ? after->next : after;
    object->len += !there;
    if (node->next == NULL)
        object->last = node;
    *at = node;
}

struct hub_json *hub_json_member(const struct hub_json *object, struct hub_json_key key)
{
    if (object == NULL || object->type != HUB_JSON_OBJECT)
        return NULL;
    struct hub_json *m = object->first;
    while (m != NULL && m->key_head < key.head)
        m = m->next;
    for (; m != NULL && m->key_head == key.head; m = m->next) {
        if (is_named(m, key))
            return m;
    }
    return NULL;
}

struct hub_json *hub_json_at(const struct hub_json *array, size_t index)
{
    if (!is_container(array) || index >= array->len)
        return NULL;
    struct hub_json *node = array->first;
    while (index-- > 0)
        node = node->next;
    return node;
}

static void link_last(struct hub_json *container, struct hub_json *node)
{
    node->next = NULL;
    if (container->last != NULL)
        container->last->next = node;
    else
        container->first = node;
    container->last = node;
    container->len++;
}

enum hub_result hub_json_put_into(struct hub_json *object, struct hub_json_key key, struct hub_json *node)
{
    HUB_ENSURE(node != NULL, HUB_NO_MEMORY);
    HUB_ASSERT(object->type == HUB_JSON_OBJECT);
    bool there = false;
    struct hub_json **at = place_of(object, key, &there);
    put_at(object, at, there, key, node);
    return HUB_OK;
}

struct hub_json *hub_json_open(struct hub_arena *arena, struct hub_json *object, struct hub_json_key key, enum hub_json_type type)
{
    HUB_ASSERT(object->type == HUB_JSON_OBJECT);
    bool there = false;
    struct hub_json **at = place_of(object, key, &there);
    if (there && (*at)->type == type)
        return *at;
    struct hub_json *made = hub_json_new(arena, type);
    if (made != NULL)
        put_at(object, at, there, key, made);
    return made;
}

enum hub_result hub_json_merge_members(struct hub_json *object, struct hub_json *node)
{
    for (struct hub_json *member = node->first; member != NULL;) {
        struct hub_json *next = member->next;
        HUB_TRY(hub_json_put(object, (struct hub_json_key){member->key, member->key_len, member->key_head}, member));
        member = next;
    }
    return HUB_OK;
}

enum hub_result hub_json_merge_into(struct hub_json *object, struct hub_json_key key, struct hub_json *node, struct hub_json **placed)
{
    HUB_ENSURE(node != NULL, HUB_NO_MEMORY);
    HUB_ASSERT(object->type == HUB_JSON_OBJECT);
    bool there = false;
    struct hub_json **at = place_of(object, key, &there);
    if (there && (*at)->type == HUB_JSON_OBJECT && node->type == HUB_JSON_OBJECT) {
        *placed = *at;
        return hub_json_merge_members(*at, node);
    }
    put_at(object, at, there, key, node);
    *placed = node;
    return HUB_OK;
}

enum hub_result hub_json_push(struct hub_json *array, struct hub_json *node)
{
    HUB_ENSURE(node != NULL, HUB_NO_MEMORY);
    HUB_ASSERT(array->type == HUB_JSON_ARRAY);
    node->key = NULL;
    node->key_len = 0;
    link_last(array, node);
    return HUB_OK;
}

static struct hub_json *unlink_node(struct hub_json *container, const struct hub_json *node)
{
    struct hub_json *before = NULL;
    for (struct hub_json *n = container->first; n != NULL; before = n, n = n->next) {
        if (n != node)
            continue;
        if (before == NULL)
            container->first = n->next;
        else
            before->next = n->next;
        if (container->last == n)
            container->last = before;
        container->len--;
        n->next = NULL;
        return n;
    }
    return NULL;
}

struct hub_json *hub_json_remove(struct hub_json *object, const char *key)
{
    const struct hub_json *node = hub_json_get(object, key);
    return node == NULL ? NULL : unlink_node(object, node);
}

struct hub_json *hub_json_remove_at(struct hub_json *array, size_t index)
{
    const struct hub_json *node = hub_json_at(array, index);
    return node == NULL ? NULL : unlink_node(array, node);
}

struct hub_json *hub_json_copy(struct hub_arena *arena, const struct hub_json *node)
{
    struct hub_json *copy = hub_arena_alloc(arena, sizeof *copy);
    if (copy == NULL)
        return NULL;
    *copy = *node;
    copy->next = NULL;
    if (!is_container(node))
        return copy;
    copy->first = copy->last = NULL;
    copy->len = 0;
    for (const struct hub_json *child = node->first; child != NULL; child = child->next) {
        struct hub_json *child_copy = hub_json_copy(arena, child);
        if (child_copy == NULL)
            return NULL;
        link_last(copy, child_copy);
    }
    return copy;
}

bool hub_json_equal(const struct hub_json *a, const struct hub_json *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->type != b->type || a->len != b->len)
        return false;
    if (!is_container(a))
        return a->len == 0 || a->str == b->str || memcmp(a->str, b->str, a->len) == 0;
    const struct hub_json *x = a->first;
    const struct hub_json *y = b->first;
    for (; x != NULL && y != NULL; x = x->next, y = y->next) {
        if (x->key_len != y->key_len || (x->key_len != 0 && memcmp(x->key, y->key, x->key_len) != 0) ||
            !hub_json_equal(x, y))
            return false;
    }
    return x == y;
}
