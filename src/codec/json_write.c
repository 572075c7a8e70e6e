/* Writing JSON trees. Every event passes through here: room for a member is asked for once, and text is copied and
 * looked at for bytes that need an escape together, in blocks that the compiler makes vector instructions of. */
#include "src/codec/json.h"

enum { AROUND = 16 }; /* room for what stands around a member's name and value: commas, quotes, colon, brackets */

typedef uint8_t block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

static inline block block_of(const uint8_t *p)
{
    block b;
    memcpy(&b, p, sizeof b);
    return b;
}

/* All ones where a byte needs an escape: below 0x20 or '"' (which the exclusive or brings below 0x21 together), '\\'. */
static inline block block_escapes(block b)
{
    return (block)((b ^ 2) < 0x21) | (block)(b == '\\');
}

static inline uint64_t word_of(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint32_t half_of(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Whether a byte of one of the words needs an escape. */
static inline bool word_escapes(uint64_t a, uint64_t b)
{
    const halves both = {a, b};
    const halves found = (halves)block_escapes((block)both);
    return (found[0] | found[1]) != 0;
}

static inline bool needs_escape(uint8_t c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static bool copy_blocks(uint8_t *to, const uint8_t *p, size_t len)
{
    block escapes = {0};
    for (size_t i = 0; i + sizeof escapes < len; i += sizeof escapes) {
        block b = block_of(p + i);
        escapes |= block_escapes(b);
        memcpy(to + i, &b, sizeof b);
    }
    block b = block_of(p + len - sizeof b); /* the last sixteen, some of them again */
    escapes |= block_escapes(b);
    memcpy(to + len - sizeof b, &b, sizeof b);
    const halves found = (halves)escapes;
    return (found[0] | found[1]) == 0;
}

/* Copies a text without escapes; false when it has some, and the bytes at TO mean nothing then. */
static inline bool copy_plain(uint8_t *to, const uint8_t *p, size_t len)
{
    if (len >= sizeof(block))
        return copy_blocks(to, p, len);
    if (len >= 8) {
        const uint64_t first = word_of(p);
        const uint64_t last = word_of(p + len - 8);
        memcpy(to, &first, 8);
        memcpy(to + len - 8, &last, 8);
        return !word_escapes(first, last);
    }
    if (len >= 4) {
        const uint32_t first = half_of(p);
        const uint32_t last = half_of(p + len - 4);
        memcpy(to, &first, 4);
        memcpy(to + len - 4, &last, 4);
        const uint64_t both = (uint64_t)first << 32 | last;
        return !word_escapes(both, both);
    }
    for (size_t i = 0; i < len; i++) {
        if (needs_escape(p[i]))
            return false;
        to[i] = p[i];
    }
    return true;
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
    for (size_t i = 0; i < len; i++) {
        if (needs_escape(p[i]))
            to += put_escape(to, p[i]);
        else
            *to++ = p[i];
    }
    return to;
}

/* Writing goes on at TO, which lies behind what the buffer counts. NULL: the buffer has failed. */
static uint8_t *more_room(struct hub_buf *out, uint8_t *to, size_t need)
{
    out->len = (size_t)(to - out->ptr);
    return hub_buf_reserve(out, need);
}

static inline uint8_t *room_for(struct hub_buf *out, uint8_t *to, size_t need)
{
    return (size_t)(out->ptr + out->cap - to) >= need ? to : more_room(out, to, need);
}

/* The rest of a text with escapes, its first quote before TO; AFTER bytes of room stay behind it. */
static uint8_t *put_long_way(struct hub_buf *out, uint8_t *to, const uint8_t *p, size_t len, size_t after)
{
    to = room_for(out, to, escaped_len(p, len) + after);
    return to != NULL ? put_escaped(to, p, len) : NULL;
}

/* In quotes. There is room for it if it needs no escapes, and for AFTER bytes behind it in any case. */
static inline uint8_t *put_text(struct hub_buf *out, uint8_t *to, const char *text, size_t len, size_t after)
{
    const uint8_t *p = (const uint8_t *)text;
    *to++ = '"';
    if (copy_plain(to, p, len))
        to += len;
    else if ((to = put_long_way(out, to, p, len, after + 1)) == NULL)
        return NULL;
    *to++ = '"';
    return to;
}

static uint8_t *put_word(uint8_t *to, const char *word, size_t len)
{
    memcpy(to, word, len);
    return to + len;
}

static uint8_t *put_object(struct hub_buf *out, uint8_t *to, const struct hub_json *node);
static uint8_t *put_array(struct hub_buf *out, uint8_t *to, const struct hub_json *node);

static uint8_t *put_other(struct hub_buf *out, uint8_t *to, const struct hub_json *node)
{
    switch (node->type) {
    case HUB_JSON_NULL:
        return put_word(to, "null", 4);
    case HUB_JSON_FALSE:
        return put_word(to, "false", 5);
    case HUB_JSON_TRUE:
        return put_word(to, "true", 4);
    case HUB_JSON_NUMBER:
        return put_word(to, node->str, node->len);
    case HUB_JSON_ARRAY:
        return put_array(out, to, node);
    case HUB_JSON_OBJECT:
        return put_object(out, to, node);
    case HUB_JSON_STRING:
        break;
    }
    return put_text(out, to, node->str, node->len, AROUND);
}

/* There is room for the node's own bytes and AROUND, and so there is behind it. */
static inline uint8_t *put_node(struct hub_buf *out, uint8_t *to, const struct hub_json *node)
{
    return node->type == HUB_JSON_STRING ? put_text(out, to, node->str, node->len, AROUND) : put_other(out, to, node);
}

/* The comma behind the last child becomes the closing bracket. */
static inline uint8_t *close_with(uint8_t *to, const struct hub_json *node, char bracket)
{
    to -= node->first != NULL;
    *to++ = (uint8_t)bracket;
    return to;
}

static uint8_t *put_object(struct hub_buf *out, uint8_t *to, const struct hub_json *node)
{
    *to++ = '{';
    for (const struct hub_json *child = node->first; child != NULL; child = child->next) {
        const size_t len = child->len; /* of a container at most what its children will take */
        to = room_for(out, to, child->key_len + len + 3 * AROUND);
        if (to == NULL || (to = put_text(out, to, child->key, child->key_len, len + 2 * AROUND)) == NULL)
            return NULL;
        *to++ = ':';
        to = put_node(out, to, child);
        if (to == NULL)
            return NULL;
        *to++ = ',';
    }
    to = room_for(out, to, AROUND);
    return to != NULL ? close_with(to, node, '}') : NULL;
}

static uint8_t *put_array(struct hub_buf *out, uint8_t *to, const struct hub_json *node)
{
    *to++ = '[';
    for (const struct hub_json *child = node->first; child != NULL; child = child->next) {
        to = room_for(out, to, (size_t)child->len + 2 * AROUND);
        if (to == NULL || (to = put_node(out, to, child)) == NULL)
            return NULL;
        *to++ = ',';
    }
    to = room_for(out, to, AROUND);
    return to != NULL ? close_with(to, node, ']') : NULL;
}

static void end_at(struct hub_buf *out, const uint8_t *to)
{
    if (to != NULL)
        out->len = (size_t)(to - out->ptr);
}

void hub_json_write(struct hub_buf *out, const struct hub_json *node)
{
    uint8_t *to = hub_buf_reserve(out, (size_t)node->len + 2 * AROUND);
    if (to != NULL)
        end_at(out, put_node(out, to, node));
}

/* NAME, SIGN and the node behind it. There is room for them but for what the node's children and escapes take. */
static uint8_t *put_named(struct hub_buf *out, uint8_t *to, struct hub_span name, char sign, const struct hub_json *node)
{
    to = put_text(out, to, (const char *)name.ptr, name.len, node->len + 2 * AROUND);
    if (to == NULL)
        return NULL;
    *to++ = (uint8_t)sign;
    return put_node(out, to, node);
}

void hub_json_write_member(struct hub_buf *out, const struct hub_json *member)
{
    uint8_t *to = hub_buf_reserve(out, (size_t)member->key_len + member->len + 3 * AROUND);
    if (to != NULL)
        end_at(out, put_named(out, to, hub_span_of(member->key, member->key_len), ':', member));
}

void hub_json_write_pair(struct hub_buf *out, struct hub_span str, const struct hub_json *node)
{
    uint8_t *to = hub_buf_reserve(out, str.len + node->len + 3 * AROUND);
    if (to == NULL)
        return;
    *to++ = '[';
    if ((to = put_named(out, to, str, ',', node)) == NULL)
        return;
    *to++ = ']';
    end_at(out, to);
}

void hub_json_write_string(struct hub_buf *out, struct hub_span str)
{
    uint8_t *to = hub_buf_reserve(out, str.len + AROUND);
    if (to != NULL)
        end_at(out, put_text(out, to, (const char *)str.ptr, str.len, 0));
}

/* --- for people --- */

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
    if ((node->type != HUB_JSON_ARRAY && node->type != HUB_JSON_OBJECT) || node->first == NULL) {
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
