/* Text to tree, tree to an automaton with free moves, and that to a table by the subset construction. */
#include "src/schema/pattern.h"

#include "src/base/mem.h"

enum { SETS_MAX = 64, FREE_STATES_MAX = 4096, DEPTH_MAX = 16, REPEAT_MAX = 1000, UNBOUNDED = -1, BYTES = 256, WORD = 64 };

/* --- the tree --- */

enum kind { EMPTY, SET, BOTH, EITHER, REPEAT };

struct node {
    enum kind kind;
    uint8_t set;        /* SET: index */
    struct node *a, *b; /* BOTH, EITHER; REPEAT: a */
    int least, most;    /* REPEAT */
};

struct parser {
    struct hub_arena *arena;
    struct hub_span text;
    size_t at;
    unsigned depth;
    bool sets[SETS_MAX][BYTES];
    size_t set_count;
    const char *wrong;
};

static struct node *wrong(struct parser *p, const char *what)
{
    if (p->wrong == NULL)
        p->wrong = what;
    return NULL;
}

static struct node *node_new(struct parser *p, enum kind kind, struct node *a, struct node *b)
{
    struct node *node = p->wrong == NULL ? HUB_ARENA_NEW(p->arena, struct node) : NULL;
    if (node == NULL)
        return wrong(p, "no memory for a pattern");
    node->kind = kind;
    node->a = a;
    node->b = b;
    return node;
}

static int peek(const struct parser *p)
{
    return p->at < p->text.len ? p->text.ptr[p->at] : -1;
}

static struct node *set_node(struct parser *p, const bool set[BYTES])
{
    size_t i = 0;
    while (i < p->set_count && memcmp(p->sets[i], set, BYTES * sizeof set[0]) != 0)
        i++;
    if (i == SETS_MAX)
        return wrong(p, "too many different classes in a pattern");
    if (i == p->set_count)
        memcpy(p->sets[p->set_count++], set, BYTES * sizeof set[0]);
    struct node *node = node_new(p, SET, NULL, NULL);
    if (node != NULL)
        node->set = (uint8_t)i;
    return node;
}

/* A byte that stands for itself, behind a backslash or not; -1: none. */
static int take_byte(struct parser *p, const char *marks)
{
    int c = peek(p);
    bool escaped = c == '\\';
    if (escaped) {
        p->at++;
        c = peek(p);
    }
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c < 0x20 || c > 0x7e || (escaped ? letter : strchr(marks, c) != NULL)) {
        (void)wrong(p, "not a plain character of a pattern");
        return -1;
    }
    p->at++;
    return c;
}

static struct node *parse_class(struct parser *p)
{
    bool set[BYTES] = {false};
    p->at++;
    if (peek(p) == '^')
        return wrong(p, "classes of all other characters are not known here");
    while (peek(p) != ']') {
        int from = take_byte(p, "[]");
        int to = from;
        if (peek(p) == '-' && p->at + 1 < p->text.len && p->text.ptr[p->at + 1] != ']') {
            p->at++;
            to = take_byte(p, "[]");
        }
        if (from < 0 || to < from)
            return wrong(p, "a class that ends before it begins");
        for (int c = from; c <= to; c++)
            set[c] = true;
    }
    p->at++;
    return set_node(p, set);
}

static struct node *parse_either(struct parser *p);

static struct node *parse_atom(struct parser *p)
{
    int c = peek(p);
    if (c == '[')
        return parse_class(p);
    if (c == '(') {
        p->at++;
        if (++p->depth > DEPTH_MAX)
            return wrong(p, "groups too deep in a pattern");
        struct node *node = parse_either(p);
        p->depth--;
        if (peek(p) != ')')
            return wrong(p, "a group of a pattern is not closed");
        p->at++;
        return node;
    }
    bool set[BYTES] = {false};
    c = take_byte(p, ".*+?{}()|[]^$");
    if (c < 0)
        return NULL;
    set[c] = true;
    return set_node(p, set);
}

static bool parse_number(struct parser *p, int *number)
{
    size_t from = p->at;
    *number = 0;
    while (peek(p) >= '0' && peek(p) <= '9' && *number <= REPEAT_MAX)
        *number = *number * 10 + (p->text.ptr[p->at++] - '0');
    return p->at > from && *number <= REPEAT_MAX;
}

/* {n}, {n,}, {n,m} */
static bool parse_counts(struct parser *p, int *least, int *most)
{
    p->at++;
    if (!parse_number(p, least))
        return false;
    *most = *least;
    if (peek(p) == ',') {
        p->at++;
        *most = UNBOUNDED;
        if (peek(p) != '}' && (!parse_number(p, most) || *most < *least))
            return false;
    }
    return peek(p) == '}';
}

static struct node *parse_repeat(struct parser *p)
{
    struct node *node = parse_atom(p);
    for (int c = peek(p); p->wrong == NULL && c > 0 && strchr("?*+{", c) != NULL; c = peek(p)) {
        int least = c == '+' ? 1 : 0;
        int most = c == '?' ? 1 : UNBOUNDED;
        if (c == '{' && !parse_counts(p, &least, &most))
            return wrong(p, "a count of a pattern that cannot be");
        p->at++;
        node = node_new(p, REPEAT, node, NULL);
        if (node == NULL)
            return NULL;
        node->least = least;
        node->most = most;
    }
    return node;
}

static struct node *parse_both(struct parser *p)
{
    struct node *all = node_new(p, EMPTY, NULL, NULL);
    for (int c = peek(p); p->wrong == NULL && c >= 0 && c != '|' && c != ')' && c != '$'; c = peek(p))
        all = node_new(p, BOTH, all, parse_repeat(p));
    return all;
}

static struct node *parse_either(struct parser *p)
{
    struct node *all = parse_both(p);
    while (p->wrong == NULL && peek(p) == '|') {
        p->at++;
        all = node_new(p, EITHER, all, parse_both(p));
    }
    return all;
}

static struct node *parse(struct parser *p)
{
    if (peek(p) != '^')
        return wrong(p, "a pattern that does not begin with ^");
    p->at++;
    struct node *node = parse_either(p);
    if (p->wrong == NULL && (peek(p) != '$' || p->at + 1 != p->text.len))
        return wrong(p, "a pattern that does not end with $");
    return node;
}

/* --- the automaton with free moves --- */

struct free_state { /* reads `set` and goes to a; or, without one, is at a and b too */
    int16_t set;
    int16_t a, b; /* -1: none */
};

struct automaton {
    struct free_state *states;
    int count;
    int full;
};

static int state_new(struct automaton *m, int set, int a, int b)
{
    if (m->count == m->full)
        return -1;
    m->states[m->count] = (struct free_state){(int16_t)set, (int16_t)a, (int16_t)b};
    return m->count++;
}

static int emit(struct automaton *m, const struct node *node, int next);

static int emit_repeat(struct automaton *m, const struct node *node, int next)
{
    int start = next;
    if (node->most == UNBOUNDED) {
        start = state_new(m, -1, -1, next);
        int body = start < 0 ? -1 : emit(m, node->a, start);
        if (body < 0)
            return -1;
        m->states[start].a = (int16_t)body;
    }
    for (int i = node->least; i < node->most && start >= 0; i++) {
        int body = emit(m, node->a, start);
        start = body < 0 ? -1 : state_new(m, -1, body, next);
    }
    for (int i = 0; i < node->least && start >= 0; i++)
        start = emit(m, node->a, start);
    return start;
}

/* The state from which NODE and then NEXT is read; -1: too many. */
static int emit(struct automaton *m, const struct node *node, int next)
{
    int a, b;
    switch (node->kind) {
    case EMPTY:
        return next;
    case SET:
        return state_new(m, node->set, next, -1);
    case BOTH:
        b = emit(m, node->b, next);
        return b < 0 ? -1 : emit(m, node->a, b);
    case EITHER:
        a = emit(m, node->a, next);
        b = emit(m, node->b, next);
        return a < 0 || b < 0 ? -1 : state_new(m, -1, a, b);
    case REPEAT:
        return emit_repeat(m, node, next);
    }
    return -1;
}

/* --- the table --- */

struct builder {
    const struct parser *parser;
    struct automaton machine;
    int goal;
    size_t words;       /* of a set of states */
    uint64_t *members;  /* HUB_PATTERN_STATES_MAX sets, in the order of their numbers */
    uint64_t *reached;  /* one set: scratch */
    int *pending;       /* scratch of the closure */
    size_t count;
    uint8_t classes[BYTES];
    int sample[BYTES]; /* a byte of each class */
    size_t width;
    uint16_t *next;
};

static bool has(const uint64_t *set, int state)
{
    return (set[state / WORD] >> (state % WORD) & 1) != 0;
}

/* Adds STATE and what it is at for free. */
static void reach(struct builder *b, int state)
{
    int pending = 0;
    b->pending[pending++] = state;
    while (pending > 0) {
        int at = b->pending[--pending];
        if (at < 0 || has(b->reached, at))
            continue;
        b->reached[at / WORD] |= UINT64_C(1) << (at % WORD);
        if (b->machine.states[at].set >= 0)
            continue;
        b->pending[pending++] = b->machine.states[at].a;
        b->pending[pending++] = b->machine.states[at].b;
    }
}

/* The number of the set that was reached, a new one if need be; -1: too many. The empty set is 0. */
static int number_of(struct builder *b)
{
    size_t bytes = b->words * sizeof b->reached[0];
    size_t i = 0;
    while (i < b->count && memcmp(b->members + i * b->words, b->reached, bytes) != 0)
        i++;
    if (i == HUB_PATTERN_STATES_MAX)
        return -1;
    if (i == b->count)
        memcpy(b->members + b->count++ * b->words, b->reached, bytes);
    return (int)i;
}

/* Bytes that the same sets hold are one class; those in none are class 0. */
static void classify(struct builder *b)
{
    uint64_t marks[BYTES] = {0};
    for (int c = 0; c < BYTES; c++)
        for (size_t s = 0; s < b->parser->set_count; s++)
            marks[c] |= (uint64_t)b->parser->sets[s][c] << s;
    b->width = 1;
    b->sample[0] = 0;
    for (int c = 0; c < BYTES; c++) {
        int same = 0;
        while (same < c && marks[same] != marks[c])
            same++;
        if (marks[c] == 0) {
            b->classes[c] = 0;
        } else if (same < c) {
            b->classes[c] = b->classes[same];
        } else {
            b->sample[b->width] = c;
            b->classes[c] = (uint8_t)b->width++;
        }
    }
}

static int step_set(struct builder *b, size_t from, int byte)
{
    memset(b->reached, 0, b->words * sizeof b->reached[0]);
    const uint64_t *set = b->members + from * b->words;
    for (int s = 0; s < b->machine.count; s++) {
        const struct free_state *state = &b->machine.states[s];
        if (state->set >= 0 && has(set, s) && b->parser->sets[state->set][byte])
            reach(b, state->a);
    }
    return number_of(b);
}

static bool fill(struct builder *b, int start)
{
    memset(b->reached, 0, b->words * sizeof b->reached[0]);
    (void)number_of(b); /* past hope */
    reach(b, start);
    (void)number_of(b);
    for (size_t from = 0; from < b->count; from++) {
        for (size_t class = 1; class < b->width; class++) {
            int to = step_set(b, from, b->sample[class]);
            if (to < 0 || (size_t)to * b->width > UINT16_MAX)
                return false;
            b->next[from * b->width + class] = (uint16_t)((size_t)to * b->width);
        }
    }
    return true;
}

static enum hub_result keep(const struct builder *b, struct hub_arena *arena, struct hub_pattern *out)
{
    uint8_t *classes = hub_arena_zalloc(arena, BYTES);
    uint16_t *next = HUB_ARENA_ARRAY(arena, uint16_t, b->count * b->width);
    bool *final = HUB_ARENA_ARRAY(arena, bool, b->count);
    if (classes == NULL || next == NULL || final == NULL)
        return HUB_NO_MEMORY;
    memcpy(classes, b->classes, BYTES);
    memcpy(next, b->next, b->count * b->width * sizeof next[0]);
    for (size_t i = 0; i < b->count; i++)
        final[i] = has(b->members + i * b->words, b->goal);
    *out = (struct hub_pattern){classes, next, final, (uint16_t)b->width, (uint16_t)b->width};
    return HUB_OK;
}

static enum hub_result build(struct builder *b, const struct node *tree, struct hub_arena *scratch,
                             struct hub_arena *arena, struct hub_pattern *out)
{
    b->machine.full = FREE_STATES_MAX;
    b->machine.states = HUB_ARENA_ARRAY(scratch, struct free_state, FREE_STATES_MAX);
    b->pending = HUB_ARENA_ARRAY(scratch, int, 2 * FREE_STATES_MAX + 2);
    b->goal = b->machine.states != NULL ? state_new(&b->machine, -1, -1, -1) : 0;
    int start = b->machine.states != NULL ? emit(&b->machine, tree, b->goal) : -1;
    if (start < 0 || b->pending == NULL)
        return b->machine.states != NULL && b->pending != NULL ? HUB_CONFIG : HUB_NO_MEMORY;
    classify(b);
    b->words = (size_t)(b->machine.count + WORD - 1) / WORD;
    b->members = HUB_ARENA_ARRAY(scratch, uint64_t, b->words * HUB_PATTERN_STATES_MAX);
    b->reached = HUB_ARENA_ARRAY(scratch, uint64_t, b->words);
    b->next = HUB_ARENA_ARRAY(scratch, uint16_t, b->width * HUB_PATTERN_STATES_MAX);
    if (b->members == NULL || b->reached == NULL || b->next == NULL)
        return HUB_NO_MEMORY;
    return fill(b, start) ? keep(b, arena, out) : HUB_CONFIG;
}

enum hub_result hub_pattern_compile(struct hub_arena *arena, struct hub_span text, struct hub_pattern *out,
                                    struct hub_error *err)
{
    enum { SCRATCH_BYTES_MAX = 16 * 1024 * 1024 };
    struct hub_arena scratch;
    hub_arena_init(&scratch, SCRATCH_BYTES_MAX);
    struct parser *p = HUB_ARENA_NEW(&scratch, struct parser);
    struct builder *b = HUB_ARENA_NEW(&scratch, struct builder);
    enum hub_result result = HUB_NO_MEMORY;
    if (p != NULL && b != NULL) {
        p->arena = &scratch;
        p->text = text;
        b->parser = p;
        struct node *tree = parse(p);
        result = tree != NULL ? build(b, tree, &scratch, arena, out) : HUB_CONFIG;
        if (result == HUB_CONFIG) {
            (void)hub_fail(err, HUB_CONFIG, p->wrong != NULL ? p->wrong : "a pattern that makes too large a table",
                           "write it as src/schema/pattern.h says");
            (void)hub_error_at(err, "%zu", p->at);
        }
    }
    hub_arena_deinit(&scratch);
    return result == HUB_NO_MEMORY ? hub_fail(err, HUB_NO_MEMORY, "no memory for a pattern", NULL) : result;
}
