/* A text in canonical form against rules, from front to back. */
#include <stdio.h>

#include "src/codec/json.h"
#include "src/schema/json_rule.h"

enum { PLACE_CAP = 48, INTEGER_DIGITS_MAX = 18 };

struct checker {
    const uint8_t *at, *end;
    unsigned depth;
    const char *why; /* NULL: nothing is wrong */
    enum hub_result result;
    const uint8_t *where;  /* how far it came */
    char place[PLACE_CAP]; /* grows from the right as calls return */
    size_t place_at;
};

typedef uint8_t block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

static bool wrong(struct checker *c, enum hub_result result, const char *why)
{
    c->why = why;
    c->result = result;
    c->where = c->at;
    c->place_at = PLACE_CAP - 1;
    c->place[c->place_at] = '\0';
    return false;
}

static bool not_json(struct checker *c)
{
    return wrong(c, HUB_SYNTAX, "not JSON in canonical form");
}

/* NAME goes before what the place holds; false, for a caller to hand on. */
static bool inside(struct checker *c, struct hub_span name)
{
    if (name.len + 1 > c->place_at)
        return false;
    c->place_at -= name.len;
    memcpy(c->place + c->place_at, name.ptr, name.len);
    c->place[--c->place_at] = '/';
    return false;
}

/* --- texts --- */

/* The first byte that ends a text or needs a look: a quote, a backslash, a control character. */
static const uint8_t *plain_end(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= (ptrdiff_t)sizeof(block); p += sizeof(block)) {
        block b;
        memcpy(&b, p, sizeof b);
        const halves found = (halves)((block)((b ^ 2) < 0x21) | (block)(b == '\\'));
        if ((found[0] | found[1]) == 0)
            continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return p + (found[0] != 0 ? __builtin_ctzll(found[0]) / 8 : 8 + __builtin_ctzll(found[1]) / 8);
#else
        break;
#endif
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20)
        p++;
    return p;
}

/* The byte behind a backslash at P as canonical form has it; *LEN bytes of text. -1: it has none such. */
static int unescape(const uint8_t *p, const uint8_t *end, size_t *len)
{
    static const char marks[] = "\"\\btnfr", bytes[] = "\"\\\b\t\n\f\r";
    *len = 2;
    if (end - p < 2)
        return -1;
    const char *mark = p[1] != '\0' ? strchr(marks, p[1]) : NULL;
    if (mark != NULL)
        return bytes[mark - marks];
    *len = 6;
    if (end - p < 6 || p[1] != 'u' || p[2] != '0' || p[3] != '0' || (p[4] != '0' && p[4] != '1'))
        return -1;
    bool digit = p[5] >= '0' && p[5] <= '9';
    if (!digit && (p[5] < 'a' || p[5] > 'f'))
        return -1;
    int byte = (p[4] - '0') * 16 + (digit ? p[5] - '0' : p[5] - 'a' + 10);
    return byte == 0 || strchr("\b\t\n\f\r", byte) == NULL ? byte : -1; /* those have shorter ones */
}

/* At an opening quote, behind the closing one afterwards. TEXT is what stands between. */
static bool take_text(struct checker *c, struct hub_span *text, bool *escapes)
{
    const uint8_t *start = ++c->at;
    *escapes = false;
    for (;;) {
        size_t len;
        c->at = plain_end(c->at, c->end);
        if (c->at == c->end || *c->at < 0x20)
            return not_json(c);
        if (*c->at == '"')
            break;
        if (unescape(c->at, c->end, &len) < 0)
            return not_json(c);
        *escapes = true;
        c->at += len;
    }
    *text = hub_span_of(start, (size_t)(c->at++ - start));
    return true;
}

static bool matches(const struct hub_pattern *pattern, struct hub_span text, bool escapes)
{
    if (!escapes)
        return hub_pattern_match(pattern, text);
    uint16_t state = pattern->start;
    const uint8_t *end = text.ptr + text.len;
    for (const uint8_t *p = text.ptr; p < end;) {
        size_t len = 1;
        int byte = *p == '\\' ? unescape(p, end, &len) : *p;
        state = hub_pattern_step(pattern, state, (uint8_t)byte);
        p += len;
    }
    return hub_pattern_final(pattern, state);
}

static uint64_t characters(struct hub_span text)
{
    uint64_t count = 0;
    for (const uint8_t *p = text.ptr, *end = text.ptr + text.len; p < end; count++) {
        size_t len = 1;
        if (*p == '\\')
            (void)unescape(p, end, &len);
        p += len;
        while (p < end && (*p & 0xc0) == 0x80)
            p++;
    }
    return count;
}

static bool check_text(struct checker *c, const struct hub_json_schema *rule)
{
    struct hub_span text;
    bool escapes;
    if (!take_text(c, &text, &escapes))
        return false;
    if ((rule->types & HUB_RULE_STRING) == 0)
        return wrong(c, HUB_TYPE, "a text where the schema has none");
    if (rule->pattern != NULL && !matches(rule->pattern, text, escapes))
        return wrong(c, HUB_TYPE, "a text that does not match the schema's pattern");
    if (rule->length_min == 0 && rule->length_max == UINT64_MAX)
        return true;
    uint64_t count = characters(text);
    if (count < rule->length_min || count > rule->length_max)
        return wrong(c, HUB_TYPE, "a text shorter or longer than the schema says");
    return true;
}

/* --- numbers and words --- */

static bool is_digit(const struct checker *c)
{
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static bool take_digits(struct checker *c)
{
    const uint8_t *start = c->at;
    while (is_digit(c))
        c->at++;
    return c->at > start;
}

/* RFC 8259 section 6. */
static bool take_number(struct checker *c, bool *whole)
{
    *whole = true;
    if (*c->at == '-')
        c->at++;
    const uint8_t *first = c->at;
    if (!take_digits(c) || (*first == '0' && c->at - first > 1))
        return not_json(c);
    if (c->at < c->end && *c->at == '.') {
        *whole = false;
        c->at++;
        if (!take_digits(c))
            return not_json(c);
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        *whole = false;
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        if (!take_digits(c))
            return not_json(c);
    }
    return true;
}

static bool in_bounds(const struct hub_json_schema *rule, struct hub_span digits)
{
    int64_t number = 0;
    bool minus = digits.ptr[0] == '-';
    if (digits.len > INTEGER_DIGITS_MAX)
        return false;
    for (size_t i = minus; i < digits.len; i++)
        number = number * 10 + (digits.ptr[i] - '0');
    number = minus ? -number : number;
    return number >= rule->number_min && number <= rule->number_max;
}

static bool check_number(struct checker *c, const struct hub_json_schema *rule)
{
    const uint8_t *start = c->at;
    bool whole;
    if (!take_number(c, &whole))
        return false;
    if ((rule->types & (whole ? HUB_RULE_INTEGER : HUB_RULE_NUMBER)) == 0)
        return wrong(c, HUB_TYPE, "a number where the schema has none");
    if (rule->bounded && (!whole || !in_bounds(rule, hub_span_of(start, (size_t)(c->at - start)))))
        return wrong(c, HUB_TYPE, "a number that the schema does not allow");
    return true;
}

static bool check_word(struct checker *c, const struct hub_json_schema *rule)
{
    static const struct {
        const char *word;
        size_t len;
        unsigned type;
    } words[] = {{"true", 4, HUB_RULE_BOOL}, {"false", 5, HUB_RULE_BOOL}, {"null", 4, HUB_RULE_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if ((size_t)(c->end - c->at) < words[i].len || memcmp(c->at, words[i].word, words[i].len) != 0)
            continue;
        c->at += words[i].len;
        return (rule->types & words[i].type) != 0 || wrong(c, HUB_TYPE, "true, false or null where the schema has none");
    }
    return not_json(c);
}

/* --- containers --- */

static bool check_value(struct checker *c, const struct hub_json_schema *rule);

static bool check_array(struct checker *c, const struct hub_json_schema *rule)
{
    uint64_t count = 0;
    if ((rule->types & HUB_RULE_ARRAY) == 0)
        return wrong(c, HUB_TYPE, "a list where the schema has none");
    c->at++;
    if (c->at < c->end && *c->at == ']') {
        c->at++;
    } else {
        do {
            if (!check_value(c, rule->items))
                return inside(c, HUB_SPAN("*"));
            count++;
            if (c->at == c->end || (*c->at != ',' && *c->at != ']'))
                return not_json(c);
        } while (*c->at++ == ',');
    }
    if (count < rule->items_min || count > rule->items_max)
        return wrong(c, HUB_TYPE, "a list shorter or longer than the schema says");
    return true;
}

struct members { /* where in a rule's members an object is: both are in order of names */
    size_t next;
    uint64_t seen;
    struct hub_span before;
};

/* At a member's name. */
static bool check_member(struct checker *c, const struct hub_json_schema *rule, struct members *m)
{
    struct hub_span name;
    bool escapes;
    if (c->at == c->end || *c->at != '"')
        return not_json(c);
    if (!take_text(c, &name, &escapes))
        return false;
    if (c->at == c->end || *c->at++ != ':')
        return not_json(c);
    /* escapes change the order, and no name of a schema has any */
    if (!escapes && m->before.ptr != NULL && hub_span_compare(m->before, name) >= 0)
        return not_json(c);
    m->before = escapes ? HUB_SPAN_NONE : name;
    int order = 1;
    while (!escapes && m->next < rule->member_count &&
           (order = hub_span_compare(rule->members[m->next].name, name)) < 0)
        m->next++;
    if (order == 0 && m->next < rule->member_count) {
        const struct hub_json_member *member = &rule->members[m->next++];
        if (member->required >= 0)
            m->seen |= UINT64_C(1) << member->required;
        return check_value(c, member->rule) || inside(c, member->name);
    }
    if (rule->rest == NULL)
        return wrong(c, HUB_TYPE, "a member that the schema does not know");
    return check_value(c, rule->rest) || inside(c, HUB_SPAN("*"));
}

static bool check_object(struct checker *c, const struct hub_json_schema *rule)
{
    struct members m = {0};
    if ((rule->types & HUB_RULE_OBJECT) == 0)
        return wrong(c, HUB_TYPE, "an object where the schema has none");
    c->at++;
    if (c->at < c->end && *c->at == '}') {
        c->at++;
    } else {
        do {
            if (!check_member(c, rule, &m))
                return false;
            if (c->at == c->end || (*c->at != ',' && *c->at != '}'))
                return not_json(c);
        } while (*c->at++ == ',');
    }
    uint64_t missing = rule->required & ~m.seen;
    if (missing == 0)
        return true;
    (void)wrong(c, HUB_TYPE, "a member that the schema requires is not there");
    return inside(c, rule->members[__builtin_ctzll(missing)].name);
}

/* --- values --- */

/* Exactly one of them must be true of the value. What went wrong is told of the one that came furthest. */
static bool check_alternatives(struct checker *c, const struct hub_json_schema *rule)
{
    const struct checker start = *c;
    struct checker best = {0}, good = {0};
    size_t count = 0;
    for (size_t i = 0; i < rule->alternative_count; i++) {
        struct checker one = start;
        if (check_value(&one, rule->alternatives[i])) {
            count++;
            good = one;
        } else if (best.where == NULL || one.where > best.where) {
            best = one;
        }
    }
    *c = count == 0 ? best : good;
    if (count > 1)
        return wrong(c, HUB_TYPE, "more than one of the schema's alternatives is true");
    return count == 1;
}

static bool check_kind(struct checker *c, const struct hub_json_schema *rule)
{
    switch (*c->at) {
    case '"':
        return check_text(c, rule);
    case '{':
        return check_object(c, rule);
    case '[':
        return check_array(c, rule);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return check_number(c, rule);
    default:
        return check_word(c, rule);
    }
}

static bool is_value(const struct hub_json_schema *rule, struct hub_span text)
{
    for (size_t i = 0; i < rule->value_count; i++)
        if (hub_span_equal(rule->values[i], text))
            return true;
    return false;
}

static bool check_value(struct checker *c, const struct hub_json_schema *rule)
{
    const uint8_t *start = c->at;
    if (c->at >= c->end || c->depth >= HUB_JSON_DEPTH_MAX)
        return not_json(c);
    c->depth++;
    bool good = rule->alternatives != NULL ? check_alternatives(c, rule) : check_kind(c, rule);
    c->depth--;
    if (!good || rule->values == NULL)
        return good;
    return is_value(rule, hub_span_of(start, (size_t)(c->at - start))) ||
           wrong(c, HUB_TYPE, "not one of the schema's values");
}

enum hub_result hub_json_schema_check(const struct hub_json_schema *schema, struct hub_span value, struct hub_error *err)
{
    if (value.len == 0) /* one without a place, too */
        value = HUB_SPAN("");
    struct checker c = {.at = value.ptr, .end = value.ptr + value.len};
    bool good = check_value(&c, schema);
    if (good && c.at != c.end)
        good = not_json(&c);
    if (good)
        return HUB_OK;
    (void)hub_fail(err, c.result, c.why, NULL);
    (void)hub_error_at(err, "%s", c.place + c.place_at);
    return c.result;
}
