/* Conditions of the tables (docs/MAPPING.md section 6): a small recursive descent parser. */
#include "adapters/formats/hl7v2/map_compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 128, VALUES_MAX = 64, COND_DEPTH_MAX = 16 };

struct cond_parser {
    struct map_compiler *c;
    const char *p;
    uint32_t line;
    int depth;
    bool bad;
};

static struct map_cond *parse_or(struct cond_parser *s);

static void skip_space(struct cond_parser *s)
{
    while (*s->p == ' ' || *s->p == '\t' || *s->p == '\n')
        s->p++;
}

static bool ends_word(char ch)
{
    return ch == '\0' || strchr(" \t\n(),=!<>", ch) != NULL;
}

/* Takes WORD if it comes next as a whole. */
static bool take(struct cond_parser *s, const char *word)
{
    skip_space(s);
    size_t len = strlen(word);
    bool symbol = ends_word(word[0]);
    if (strncmp(s->p, word, len) != 0 || (!symbol && !ends_word(s->p[len])))
        return false;
    s->p += len;
    return true;
}

static struct map_cond *fail(struct cond_parser *s)
{
    s->bad = true;
    return NULL;
}

static struct map_cond *node(struct cond_parser *s, enum map_cond_op op)
{
    struct map_cond *cond = map_zalloc(s->c, 1, sizeof *cond);
    if (cond == NULL)
        return fail(s);
    cond->op = op;
    return cond;
}

/* A word or 'quoted text' as a comparison value. */
static bool take_value(struct cond_parser *s, struct hub_span *out)
{
    skip_space(s);
    const char *from = s->p;
    size_t len = 0;
    if (*from == '\'') {
        const char *end = strchr(++from, '\'');
        if (end == NULL)
            return false;
        len = (size_t)(end - from);
        s->p = end + 1;
    } else {
        while (!ends_word(from[len]))
            len++;
        s->p = from + len;
        if (len == 0)
            return false;
    }
    *out = hub_arena_copy(s->c->arena, hub_span_of(from, len));
    return out->ptr != NULL;
}

static bool take_list(struct cond_parser *s, struct map_cond *cond)
{
    struct hub_span values[VALUES_MAX];
    uint16_t count = 0;
    if (!take(s, "("))
        return false;
    do {
        if (count == VALUES_MAX || !take_value(s, &values[count]))
            return false;
        count++;
    } while (take(s, ","));
    struct hub_span *copy = map_zalloc(s->c, count, sizeof *copy);
    if (!take(s, ")") || copy == NULL)
        return false;
    memcpy(copy, values, count * sizeof *copy);
    cond->values = copy;
    cond->value_count = count;
    return true;
}

static struct map_cond *negated(struct cond_parser *s, struct map_cond *cond, bool negate)
{
    if (!negate || cond == NULL)
        return cond;
    struct map_cond *not = node(s, MAP_NOT);
    if (not != NULL)
        not->left = cond;
    return not;
}

/* "= V", "!= V", "in (...)", "not in (...)" into COND. */
static struct map_cond *membership(struct cond_parser *s, struct map_cond *cond)
{
    if (cond == NULL)
        return fail(s);
    bool negate = take(s, "!=");
    if (negate || take(s, "=")) {
        struct hub_span *value = map_zalloc(s->c, 1, sizeof *value);
        if (value == NULL || !take_value(s, value))
            return fail(s);
        cond->values = value;
        cond->value_count = 1;
        return negated(s, cond, negate);
    }
    negate = take(s, "not");
    if (!take(s, "in") || !take_list(s, cond))
        return fail(s);
    return negated(s, cond, negate);
}

static bool take_compare(struct cond_parser *s, enum map_compare *out)
{
    static const struct {
        const char *text;
        enum map_compare compare;
    } all[] = {{"<=", MAP_LE}, {">=", MAP_GE}, {"!=", MAP_NE}, {"<", MAP_LT}, {">", MAP_GT}, {"=", MAP_EQ}};
    skip_space(s);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t len = strlen(all[i].text);
        if (strncmp(s->p, all[i].text, len) == 0) {
            s->p += len;
            *out = all[i].compare;
            return true;
        }
    }
    return false;
}

static struct map_cond *numeric(struct cond_parser *s, enum map_cond_op op)
{
    struct map_cond *cond = node(s, op);
    struct hub_span number;
    uint64_t n = 0;
    if (cond == NULL || !take(s, "(") || !map_scan_path(s->c, (skip_space(s), s->p), &s->p, &cond->path, s->line) ||
        !take(s, ")") || !take_compare(s, &cond->compare) || !take_value(s, &number) || !hub_span_parse_u64(number, &n) ||
        n > UINT32_MAX)
        return fail(s);
    cond->number = (uint32_t)n;
    return cond;
}

/* 2.5 or 2.5.1 as 250 or 251; 0 when it is no version. */
static uint32_t version_number(struct hub_span text)
{
    uint32_t number = 0;
    uint32_t scale = 100;
    for (size_t i = 0; i < text.len; i++) {
        bool digit = i % 2 == 0;
        if (scale == 0 || (digit ? text.ptr[i] < '0' || text.ptr[i] > '9' : text.ptr[i] != '.'))
            return 0;
        if (digit) {
            number += scale * (uint32_t)(text.ptr[i] - '0');
            scale /= 10;
        }
    }
    return text.len == 3 || text.len == 5 ? number : 0;
}

static struct map_cond *version(struct cond_parser *s)
{
    struct map_cond *cond = node(s, MAP_VERSION);
    struct hub_span text;
    if (cond == NULL || !take_compare(s, &cond->compare) || !take_value(s, &text) || (cond->number = version_number(text)) == 0)
        return fail(s);
    return cond;
}

static struct map_cond *set(struct cond_parser *s)
{
    struct map_cond *cond = node(s, MAP_SET);
    struct hub_span name;
    if (cond == NULL || !take(s, "(") || !take_value(s, &name) || !take(s, ")") ||
        !hub_element_parse(s->c->arena, (const char *)name.ptr, &cond->element) || cond->element.count == 0)
        return fail(s);
    return cond;
}

static struct map_cond *present(struct cond_parser *s)
{
    char id[4] = {s->p[0], s->p[1], s->p[2], '\0'};
    struct map_cond *cond = node(s, MAP_PRESENT);
    s->p += 3;
    if (cond == NULL || !take(s, "present"))
        return fail(s);
    cond->segment = map_intern_segment(s->c, id, s->line);
    if (cond->segment == MAP_NONE)
        return fail(s);
    s->c->tables->segments[cond->segment].foreign = true;
    return cond;
}

static struct map_cond *of_path(struct cond_parser *s)
{
    struct map_cond *cond = node(s, MAP_VALUED);
    if (cond == NULL || !map_scan_path(s->c, s->p, &s->p, &cond->path, s->line))
        return fail(s);
    if (take(s, "valued"))
        return cond;
    cond->op = MAP_EMPTY;
    if (take(s, "empty"))
        return cond;
    cond->op = MAP_DELETED;
    if (take(s, "deleted"))
        return cond;
    cond->op = MAP_IN;
    return membership(s, cond);
}

static struct map_cond *parse_atom(struct cond_parser *s)
{
    if (take(s, "(")) {
        struct map_cond *inner = parse_or(s);
        return inner != NULL && take(s, ")") ? inner : fail(s);
    }
    if (take(s, "not"))
        return negated(s, parse_atom(s), true);
    if (take(s, "trigger"))
        return membership(s, node(s, MAP_TRIGGER_IN));
    if (take(s, "type"))
        return membership(s, node(s, MAP_TYPE_IN));
    if (take(s, "version"))
        return version(s);
    if (take(s, "count"))
        return numeric(s, MAP_COUNT);
    if (take(s, "length"))
        return numeric(s, MAP_LENGTH);
    if (take(s, "set"))
        return set(s);
    if (take(s, "lenient"))
        return node(s, MAP_LENIENT);
    if (take(s, "feed"))
        return take(s, "visit_from_pid18") ? node(s, MAP_PID18) : fail(s);
    skip_space(s);
    if (strlen(s->p) > 4 && map_is_segment_name(s->p, 3) && s->p[3] == ' ')
        return present(s);
    return of_path(s);
}

static struct map_cond *joined(struct cond_parser *s, enum map_cond_op op, struct map_cond *left, struct map_cond *right)
{
    struct map_cond *cond = left != NULL && right != NULL ? node(s, op) : fail(s);
    if (cond != NULL) {
        cond->left = left;
        cond->right = right;
    }
    return cond;
}

static struct map_cond *parse_and(struct cond_parser *s)
{
    struct map_cond *left = parse_atom(s);
    while (!s->bad && take(s, "and"))
        left = joined(s, MAP_AND, left, parse_atom(s));
    return left;
}

static struct map_cond *parse_or(struct cond_parser *s)
{
    if (++s->depth > COND_DEPTH_MAX)
        return fail(s);
    struct map_cond *left = parse_and(s);
    while (!s->bad && take(s, "or"))
        left = joined(s, MAP_OR, left, parse_and(s));
    s->depth--;
    return left;
}

const struct map_cond *map_parse_cond(struct map_compiler *c, const char *text, uint32_t line)
{
    struct cond_parser s = {.c = c, .p = text, .line = line};
    struct map_cond *cond = parse_or(&s);
    skip_space(&s);
    if (s.bad || cond == NULL || *s.p != '\0') {
        map_problem(c, line, "not a condition", text);
        return NULL;
    }
    map_find_known(c, cond);
    return cond;
}

const struct map_cond *map_condition(struct map_compiler *c, struct hub_yaml *map, const char *key)
{
    struct hub_yaml *cond = hub_yaml_get(map, key);
    if (cond == NULL)
        return NULL;
    if (cond->type != HUB_YAML_SCALAR) {
        map_problem(c, cond->line, "expected a condition", key);
        return NULL;
    }
    return map_parse_cond(c, cond->text, cond->line);
}

const struct map_cond *map_when(struct map_compiler *c, struct hub_yaml *map)
{
    return map_condition(c, map, "when");
}
