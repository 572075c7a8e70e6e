/* JSON trees in an arena: what the mapping engine builds, protect takes apart and everyone reads.
 *
 * Object members are always kept in bytewise order of their keys, so that writing a tree gives its
 * canonical form: sorted keys, no white space, shortest escapes (RFC 8785 3.2.2.2), numbers as they were
 * written. Equal trees give equal bytes. Nodes, keys and strings belong to the arena they came from; a tree
 * may point at strings elsewhere (input, literals) that must live as long. Not thread safe. */
#pragma once

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum hub_json_type {
    HUB_JSON_NULL,
    HUB_JSON_FALSE,
    HUB_JSON_TRUE,
    HUB_JSON_NUMBER, /* text in `str`, never rounded: FHIR decimals keep their precision */
    HUB_JSON_STRING, /* UTF-8 in `str` */
    HUB_JSON_ARRAY,
    HUB_JSON_OBJECT,
};

struct hub_json {
    enum hub_json_type type;
    uint32_t len;   /* bytes of str; for arrays and objects the number of children */
    uint32_t key_len;
    uint32_t key_head; /* first bytes of the name as a number (hub_json_key) */
    const char *key;   /* in an object: the member's name, else NULL */
    union {
        const char *str;
        struct hub_json *first;
    };
    struct hub_json *last;
    struct hub_json *next; /* sibling */
};

/* A member's name with its first four bytes as a number (big endian, zeros behind a shorter one): names are ordered
 * and told apart by that before anything else is looked at. Names of literals and of tables are made once. */
struct hub_json_key {
    const char *ptr;
    uint32_t len;
    uint32_t head;
};
static inline struct hub_json_key hub_json_key(const char *name, size_t len)
{
    uint32_t head = 0;
    for (size_t i = 0; i < 4; i++)
        head = head << 8 | (i < len ? (uint8_t)name[i] : 0u);
    return (struct hub_json_key){name, (uint32_t)len, head};
}

/* All constructors return NULL when the arena is full. Strings are referenced, not copied. */
static inline struct hub_json *hub_json_new(struct hub_arena *arena, enum hub_json_type type)
{
    struct hub_json *node = (struct hub_json *)hub_arena_take(arena, sizeof *node, _Alignof(struct hub_json));
    if (node != NULL)
        *node = (struct hub_json){.type = type};
    return node;
}
static inline struct hub_json *hub_json_string(struct hub_arena *arena, struct hub_span utf8)
{
    struct hub_json *node = utf8.len > UINT32_MAX ? NULL : hub_json_new(arena, HUB_JSON_STRING);
    if (node != NULL) {
        node->str = utf8.ptr != NULL ? (const char *)utf8.ptr : "";
        node->len = (uint32_t)utf8.len;
    }
    return node;
}
static inline struct hub_json *hub_json_string_c(struct hub_arena *arena, const char *utf8)
{
    return hub_json_string(arena, hub_span_str(utf8));
}
/* TEXT must be a JSON number. */
struct hub_json *hub_json_number(struct hub_arena *arena, struct hub_span text);
struct hub_json *hub_json_number_i64(struct hub_arena *arena, int64_t number);
struct hub_json *hub_json_bool(struct hub_arena *arena, bool value);

static inline struct hub_json_key hub_json_key_of(const struct hub_json *member)
{
    return (struct hub_json_key){member->key, member->key_len, member->key_head};
}

/* The member named KEY, NULL when absent or OBJECT is no object (or NULL). */
struct hub_json *hub_json_member(const struct hub_json *object, struct hub_json_key key);
static inline struct hub_json *hub_json_get_n(const struct hub_json *object, const char *key, size_t key_len)
{
    return hub_json_member(object, hub_json_key(key, key_len));
}
static inline struct hub_json *hub_json_get(const struct hub_json *object, const char *key)
{
    return hub_json_get_n(object, key, strlen(key));
}
/* The INDEXth child, NULL past the end. */
struct hub_json *hub_json_at(const struct hub_json *array, size_t index);
static inline struct hub_span hub_json_span(const struct hub_json *node)
{
    return node != NULL && (node->type == HUB_JSON_STRING || node->type == HUB_JSON_NUMBER)
               ? hub_span_of(node->str, node->len)
               : HUB_SPAN_NONE;
}

/* The string of member KEY; an empty span when absent or no string. */
static inline struct hub_span hub_json_get_span(const struct hub_json *object, const char *key)
{
    const struct hub_json *node = hub_json_get(object, key);
    return node != NULL && node->type == HUB_JSON_STRING ? hub_span_of(node->str, node->len) : HUB_SPAN_NONE;
}

/* Puts NODE behind OBJECT's members if its place is there, as for half of all. */
static inline bool hub_json_put_last(struct hub_json *object, struct hub_json_key key, struct hub_json *node)
{
    struct hub_json *last = object->last;
    if (node == NULL || object->type != HUB_JSON_OBJECT || (last != NULL && last->key_head >= key.head))
        return false;
    node->key = key.ptr;
    node->key_len = key.len;
    node->key_head = key.head;
    node->next = NULL;
    if (last != NULL)
        last->next = node;
    else
        object->first = node;
    object->last = node;
    object->len++;
    return true;
}
enum hub_result hub_json_put_into(struct hub_json *object, struct hub_json_key key, struct hub_json *node) HUB_MUST_USE;
/* Puts NODE (not part of any tree) into OBJECT under KEY at its sorted place; an existing member of that
 * name is replaced. KEY is referenced. NODE may be NULL (a failed constructor): returns HUB_NO_MEMORY. */
static inline enum hub_result HUB_MUST_USE hub_json_put(struct hub_json *object, struct hub_json_key key, struct hub_json *node)
{
    return hub_json_put_last(object, key, node) ? HUB_OK : hub_json_put_into(object, key, node);
}
static inline enum hub_result HUB_MUST_USE hub_json_set(struct hub_json *object, const char *key, size_t key_len, struct hub_json *node)
{
    return hub_json_put(object, hub_json_key(key, key_len), node);
}
static inline enum hub_result HUB_MUST_USE hub_json_set_c(struct hub_json *object, const char *key, struct hub_json *node)
{
    return hub_json_put(object, hub_json_key(key, strlen(key)), node);
}
/* Convenience: set a string member (referenced). */
static inline enum hub_result HUB_MUST_USE hub_json_set_string(struct hub_arena *arena, struct hub_json *object, const char *key,
                                                               struct hub_span utf8)
{
    return hub_json_set_c(object, key, hub_json_string(arena, utf8));
}
/* The member named KEY of that container TYPE, an empty one put there (instead of another type's) when there is none.
 * NULL: the arena is full. */
struct hub_json *hub_json_open(struct hub_arena *arena, struct hub_json *object, struct hub_json_key key, enum hub_json_type type);
enum hub_result hub_json_merge_into(struct hub_json *object, struct hub_json_key key, struct hub_json *node, struct hub_json **placed) HUB_MUST_USE;
/* As hub_json_put, but where KEY is an object already and NODE is one, NODE's members go into it, each replacing the one
 * of its name. *PLACED is the node that holds the value then. */
static inline enum hub_result HUB_MUST_USE hub_json_merge(struct hub_json *object, struct hub_json_key key, struct hub_json *node,
                                                          struct hub_json **placed)
{
    *placed = node;
    return hub_json_put_last(object, key, node) ? HUB_OK : hub_json_merge_into(object, key, node, placed);
}
/* NODE's members, one by one, into OBJECT. */
enum hub_result hub_json_merge_members(struct hub_json *object, struct hub_json *node) HUB_MUST_USE;
enum hub_result hub_json_push(struct hub_json *array, struct hub_json *node) HUB_MUST_USE;
/* Takes the member or child out; the node stays valid and can be put elsewhere. NULL when absent. */
struct hub_json *hub_json_remove(struct hub_json *object, const char *key);
struct hub_json *hub_json_remove_at(struct hub_json *array, size_t index);
/* Deep copy of the nodes; strings are shared. NULL when the arena is full. */
struct hub_json *hub_json_copy(struct hub_arena *arena, const struct hub_json *node);
/* Same type, same text, same members. */
bool hub_json_equal(const struct hub_json *a, const struct hub_json *b);

enum { HUB_JSON_DEPTH_MAX = 64 };

/* Parses one JSON text (RFC 8259; duplicate names, invalid UTF-8, more than HUB_JSON_DEPTH_MAX arrays and objects in each other and
 * trailing bytes are HUB_SYNTAX with ERR's number = byte offset). Strings are copied into ARENA. */
enum hub_result hub_json_parse(struct hub_arena *arena, struct hub_span text, struct hub_json **out, struct hub_error *err) HUB_MUST_USE;
/* Appends the canonical form; check hub_buf_result afterwards. */
void hub_json_write(struct hub_buf *out, const struct hub_json *node);
/* "NAME":VALUE of a member. */
void hub_json_write_member(struct hub_buf *out, const struct hub_json *member);
/* [STR,NODE] */
void hub_json_write_pair(struct hub_buf *out, struct hub_span str, const struct hub_json *node);
/* For people: two spaces of indentation, "resourceType" first. Ends without a newline. */
void hub_json_write_pretty(struct hub_buf *out, const struct hub_json *node);
/* Appends STR as a JSON string with quotes. STR must be UTF-8. */
void hub_json_write_string(struct hub_buf *out, struct hub_span str);
bool hub_utf8_valid(struct hub_span bytes);
/* Bytes of the longest well-formed start: the position of the first bad byte, or the length. */
size_t hub_utf8_valid_len(struct hub_span bytes);
/* Version of yyjson that this process runs with, static. */
const char *hub_yyjson_version(void);
