#include "src/codec/json.h"

struct hub_json *hub_json_new(struct hub_arena *arena, enum hub_json_type type)
{
    struct hub_json *node = hub_arena_alloc(arena, sizeof *node);
    if (node != NULL) {
        memset(node, 0, sizeof *node);
        node->type = type;
    }
    return node;
}

static struct hub_json *text_node(struct hub_arena *arena, enum hub_json_type type, struct hub_span text)
{
    struct hub_json *node = text.len > UINT32_MAX ? NULL : hub_json_new(arena, type);
    if (node != NULL) {
        node->str = text.ptr != NULL ? (const char *)text.ptr : "";
        node->len = (uint32_t)text.len;
    }
    return node;
}

struct hub_json *hub_json_string(struct hub_arena *arena, struct hub_span utf8)
{
    return text_node(arena, HUB_JSON_STRING, utf8);
}

struct hub_json *hub_json_string_c(struct hub_arena *arena, const char *utf8)
{
    return hub_json_string(arena, hub_span_str(utf8));
}

struct hub_json *hub_json_number(struct hub_arena *arena, struct hub_span text)
{
    return text_node(arena, HUB_JSON_NUMBER, text);
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

static int key_compare(const struct hub_json *member, const char *key, size_t key_len)
{
    if (member->key_len != 0 && key_len != 0 && member->key[0] != key[0]) /* mostly told by the first byte */
        return (int)(unsigned char)member->key[0] - (int)(unsigned char)key[0];
    return hub_span_compare(hub_span_of(member->key, member->key_len), hub_span_of(key, key_len));
}

struct hub_json *hub_json_get_n(const struct hub_json *object, const char *key, size_t key_len)
{
    if (object == NULL || object->type != HUB_JSON_OBJECT)
        return NULL;
    const unsigned char head = key_len != 0 ? (unsigned char)key[0] : 0;
    for (struct hub_json *m = object->first; m != NULL; m = m->next) {
        const unsigned char first = m->key_len != 0 ? (unsigned char)m->key[0] : 0;
        if (first > head)
            return NULL; /* members are in order */
        if (first == head && m->key_len == key_len && (m->key == key || memcmp(m->key, key, key_len) == 0))
            return m;
    }
    return NULL;
}

struct hub_json *hub_json_get(const struct hub_json *object, const char *key)
{
    return hub_json_get_n(object, key, strlen(key));
}

struct hub_span hub_json_get_span(const struct hub_json *object, const char *key)
{
    const struct hub_json *node = hub_json_get(object, key);
    return node != NULL && node->type == HUB_JSON_STRING ? hub_json_span(node) : HUB_SPAN_NONE;
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

enum hub_result hub_json_set(struct hub_json *object, const char *key, size_t key_len, struct hub_json *node)
{
    HUB_ENSURE(node != NULL, HUB_NO_MEMORY);
    HUB_ASSERT(object->type == HUB_JSON_OBJECT);
    node->key = key;
    node->key_len = (uint32_t)key_len;
    if (object->last == NULL || key_compare(object->last, key, key_len) < 0) {
        link_last(object, node);
        return HUB_OK;
    }
    struct hub_json **at = &object->first;
    int order = -1;
    while (*at != NULL && (order = key_compare(*at, key, key_len)) < 0)
        at = &(*at)->next;
    if (*at != NULL && order == 0) {
        node->next = (*at)->next;
        if (object->last == *at)
            object->last = node;
    } else {
        node->next = *at;
        object->len++;
    }
    *at = node;
    return HUB_OK;
}

enum hub_result hub_json_set_c(struct hub_json *object, const char *key, struct hub_json *node)
{
    return hub_json_set(object, key, strlen(key), node);
}

enum hub_result hub_json_set_string(struct hub_arena *arena, struct hub_json *object, const char *key,
                                    struct hub_span utf8)
{
    return hub_json_set_c(object, key, hub_json_string(arena, utf8));
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

/* Every event is written through here: room is reserved once per member, and text is copied and looked at for
 * bytes that need an escape eight at a time. */
static bool needs_escape(uint8_t c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static bool any_escape(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = UINT64_C(0x8080808080808080);
    uint64_t quote = word ^ (ones * '"');
    uint64_t slash = word ^ (ones * '\\');
    /* a byte below 0x20, or zero after the exclusive or, borrows into its own high bit */
    uint64_t hit = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return (hit & highs) != 0;
}

/* Copies a text without escapes; false when it has some, and the bytes at TO mean nothing then. */
static bool copy_plain(uint8_t *to, const uint8_t *p, size_t len)
{
    uint64_t word = 0;
    if (len >= sizeof word) {
        for (size_t i = 0; i + sizeof word <= len; i += sizeof word) {
            memcpy(&word, p + i, sizeof word);
            if (any_escape(word))
                return false;
            memcpy(to + i, &word, sizeof word);
        }
        memcpy(&word, p + len - sizeof word, sizeof word); /* the last eight, some of them again */
        memcpy(to + len - sizeof word, &word, sizeof word);
        return !any_escape(word);
    }
    if (len >= 4) {
        uint32_t first;
        uint32_t last;
        memcpy(&first, p, sizeof first);
        memcpy(&last, p + len - sizeof last, sizeof last);
        memcpy(to, &first, sizeof first);
        memcpy(to + len - sizeof last, &last, sizeof last);
        return !any_escape((uint64_t)first << 32 | last);
    }
    for (size_t i = 0; i < len; i++) {
        if (needs_escape(p[i]))
            return false;
        to[i] = p[i];
    }
    return true;
}

/* Length of the run at P that can be copied as it is. */
static size_t plain_len(const uint8_t *p, size_t len)
{
    size_t i = 0;
    while (i < len && !needs_escape(p[i]))
        i++;
    return i;
}

static size_t put_escape(uint8_t *to, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn\0fr"; /* 0x08 to 0x0d; 0x0b has none */
    char letter = c == '"' || c == '\\' ? (char)c : c >= 0x08 && c <= 0x0d ? letters[c - 0x08] : '\0';
    to[0] = '\\';
    if (letter != '\0') {
        to[1] = (uint8_t)letter;
        return 2;
    }
    to[1] = 'u';
    to[2] = to[3] = '0';
    to[4] = (uint8_t)hex[c >> 4];
    to[5] = (uint8_t)hex[c & 15];
    return 6;
}

static size_t escaped_len(const uint8_t *p, size_t len)
{
    uint8_t ignored[6];
    size_t escaped = len;
    for (size_t i = 0; i < len; i++)
        escaped += needs_escape(p[i]) ? put_escape(ignored, p[i]) - 1 : 0;
    return escaped;
}

static uint8_t *put_escaped(uint8_t *to, const uint8_t *p, size_t len)
{
    for (size_t from = 0;;) {
        size_t plain = plain_len(p + from, len - from);
        if (plain != 0)
            memcpy(to, p + from, plain);
        to += plain;
        from += plain;
        if (from == len)
            return to;
        to += put_escape(to, p[from++]);
    }
}

static inline uint8_t *reserve(struct hub_buf *out, size_t len)
{
    if (out->failed == HUB_OK && out->cap - out->len > len)
        return out->ptr + out->len;
    return hub_buf_reserve(out, len);
}

static inline uint8_t *open_text(uint8_t *to, bool comma)
{
    if (comma)
        *to++ = ',';
    *to++ = '"';
    return to;
}

/* A string in quotes, with a comma before it and a colon behind it where asked for. */
static void write_text(struct hub_buf *out, const uint8_t *p, size_t len, bool comma, bool colon)
{
    size_t around = 2u + comma + colon;
    uint8_t *to = reserve(out, len + around);
    if (to == NULL)
        return;
    uint8_t *begin = to;
    to = open_text(to, comma);
    if (copy_plain(to, p, len)) {
        to += len;
    } else { /* a buffer that grows keeps what it counts, and the opening is not counted yet */
        begin = hub_buf_reserve(out, escaped_len(p, len) + around);
        if (begin == NULL)
            return;
        to = put_escaped(open_text(begin, comma), p, len);
    }
    *to++ = '"';
    if (colon)
        *to++ = ':';
    out->len += (size_t)(to - begin);
}

void hub_json_write_string(struct hub_buf *out, struct hub_span str)
{
    write_text(out, str.ptr, str.len, false, false);
}

static void write_scalar(struct hub_buf *out, const struct hub_json *node)
{
    switch (node->type) {
    case HUB_JSON_NULL:
        hub_buf_append(out, "null", 4);
        break;
    case HUB_JSON_FALSE:
        hub_buf_append(out, "false", 5);
        break;
    case HUB_JSON_TRUE:
        hub_buf_append(out, "true", 4);
        break;
    case HUB_JSON_NUMBER:
        hub_buf_append(out, node->str, node->len);
        break;
    case HUB_JSON_STRING:
        write_text(out, (const uint8_t *)node->str, node->len, false, false);
        break;
    case HUB_JSON_ARRAY:
    case HUB_JSON_OBJECT:
        HUB_ASSERT(false);
    }
}

static inline void write_byte(struct hub_buf *out, char byte)
{
    uint8_t *to = reserve(out, 1);
    if (to == NULL)
        return;
    *to = (uint8_t)byte;
    out->len++;
}

void hub_json_write(struct hub_buf *out, const struct hub_json *node)
{
    if (!is_container(node)) {
        write_scalar(out, node);
        return;
    }
    bool object = node->type == HUB_JSON_OBJECT;
    write_byte(out, object ? '{' : '[');
    for (const struct hub_json *child = node->first; child != NULL; child = child->next) {
        bool comma = child != node->first;
        if (object)
            write_text(out, (const uint8_t *)child->key, child->key_len, comma, true);
        else if (comma)
            write_byte(out, ',');
        if (child->type == HUB_JSON_STRING)
            write_text(out, (const uint8_t *)child->str, child->len, false, false);
        else
            hub_json_write(out, child);
    }
    write_byte(out, object ? '}' : ']');
}

static void newline(struct hub_buf *out, unsigned depth)
{
    hub_buf_append_byte(out, '\n');
    while (depth-- > 0)
        hub_buf_append(out, "  ", 2);
}

static void write_pretty(struct hub_buf *out, const struct hub_json *node, unsigned depth);

static void write_member(struct hub_buf *out, const struct hub_json *child, bool object, unsigned depth,
                         bool *first)
{
    if (!*first)
        hub_buf_append_byte(out, ',');
    *first = false;
    newline(out, depth);
    if (object) {
        hub_json_write_string(out, hub_span_of(child->key, child->key_len));
        hub_buf_append(out, ": ", 2);
    }
    write_pretty(out, child, depth);
}

static void write_pretty(struct hub_buf *out, const struct hub_json *node, unsigned depth)
{
    if (!is_container(node) || node->first == NULL) {
        hub_json_write(out, node);
        return;
    }
    bool object = node->type == HUB_JSON_OBJECT;
    const struct hub_json *head = object ? hub_json_get(node, "resourceType") : NULL;
    bool first = true;
    hub_buf_append_byte(out, object ? '{' : '[');
    if (head != NULL)
        write_member(out, head, true, depth + 1, &first);
    for (const struct hub_json *child = node->first; child != NULL; child = child->next)
        if (child != head)
            write_member(out, child, object, depth + 1, &first);
    newline(out, depth);
    hub_buf_append_byte(out, object ? '}' : ']');
}

void hub_json_write_pretty(struct hub_buf *out, const struct hub_json *node)
{
    write_pretty(out, node, 0);
}
