/* From facts to charts. Tokens are numbered in bytewise order, so that numbers compare as tokens do. */
#include <stdlib.h>

#include "src/identity/identity.h"

/* A pair of a fact other than `same`; for a merge A survives B. */
struct pair {
    uint32_t a, b;
    const struct hub_identity_statement *from;
    bool void_; /* undone by a later unlink or retract of this pair, or a refused reversal */
};

/* A token in a source's snapshot. */
struct member {
    uint32_t token;
    const struct hub_identity_statement *snapshot;
};

struct held {
    uint32_t low, high;
};

struct work {
    struct hub_arena *arena;
    const struct hub_identity_options *options;
    struct hub_span *tokens, *tags;
    size_t token_count;
    struct pair *pairs; /* of one pair together, oldest first; later in the order they are taken */
    size_t pair_count;
    struct member *members; /* of live snapshots, newest snapshot first, by token */
    size_t member_count;
    struct held *held;
    size_t held_count;
    uint32_t *parent, *size; /* sets of the charts */
    uint32_t *same_parent;   /* sets by `same` alone */
    bool *suspended;         /* by root of same_parent */
    struct hub_identity_charts *out;
};

const char *hub_identity_why_name(enum hub_identity_why why)
{
    switch (why) {
    case HUB_IDENTITY_APART:
        return "apart";
    case HUB_IDENTITY_LIMIT:
        return "limit";
    case HUB_IDENTITY_CONFLICT:
        return "conflict";
    }
    return "";
}

static uint32_t find(uint32_t *parent, uint32_t x)
{
    while (parent[x] != x) {
        parent[x] = parent[parent[x]];
        x = parent[x];
    }
    return x;
}

/* --- tokens --- */

struct named {
    struct hub_span token, tag;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    int d = hub_span_compare(x->token, y->token);
    return d != 0 ? d : hub_span_compare(y->tag, x->tag);
}

static enum hub_result number_tokens(struct work *w, const struct hub_identity_statement *statements,
                                     size_t count)
{
    size_t mentions = 0;
    for (size_t i = 0; i < count; i++)
        mentions += statements[i].count;
    HUB_ENSURE(mentions < UINT32_MAX / 2, HUB_NO_MEMORY);
    struct named *all = HUB_ARENA_ARRAY(w->arena, struct named, mentions);
    w->tokens = HUB_ARENA_ARRAY(w->arena, struct hub_span, mentions);
    w->tags = HUB_ARENA_ARRAY(w->arena, struct hub_span, mentions);
    HUB_ENSURE(all != NULL && w->tokens != NULL && w->tags != NULL, HUB_NO_MEMORY);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t t = 0; t < statements[i].count; t++)
            all[n++] = (struct named){statements[i].tokens[t], statements[i].tags[t]};
    }
    if (n != 0)
        qsort(all, n, sizeof *all, compare_named);
    for (size_t i = 0; i < n; i++) {
        if (i != 0 && hub_span_equal(all[i].token, all[i - 1].token))
            continue;
        w->tokens[w->token_count] = all[i].token;
        w->tags[w->token_count++] = all[i].tag;
    }
    return HUB_OK;
}

static uint32_t number_of(const struct work *w, struct hub_span token)
{
    size_t low = 0;
    size_t high = w->token_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (hub_span_compare(w->tokens[mid], token) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return (uint32_t)low;
}

/* --- snapshots: of each source and token the newest one is live --- */

static int compare_snapshots(const struct hub_identity_statement *a, const struct hub_identity_statement *b)
{
    int d = hub_span_compare(a->source, b->source);
    return d != 0 ? d : -hub_order_compare(&a->order, &b->order);
}

static int compare_by_token(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;
    if (x->token != y->token)
        return x->token < y->token ? -1 : 1;
    return compare_snapshots(x->snapshot, y->snapshot);
}

static int compare_by_snapshot(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;
    int d = -hub_order_compare(&x->snapshot->order, &y->snapshot->order);
    if (d == 0)
        d = hub_span_compare(x->snapshot->source, y->snapshot->source);
    if (d != 0)
        return d;
    return x->token == y->token ? 0 : x->token < y->token ? -1 : 1;
}

static bool same_snapshot(const struct member *a, const struct member *b)
{
    return a->snapshot == b->snapshot || (hub_order_compare(&a->snapshot->order, &b->snapshot->order) == 0 &&
                                          hub_span_equal(a->snapshot->source, b->snapshot->source));
}

static enum hub_result find_live(struct work *w, const struct hub_identity_statement *statements,
                                 size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += statements[i].kind == HUB_FACT_SAME ? statements[i].count : 0;
    w->members = HUB_ARENA_ARRAY(w->arena, struct member, n);
    HUB_ENSURE(w->members != NULL, HUB_NO_MEMORY);
    n = 0;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t t = 0; statements[i].kind == HUB_FACT_SAME && t < statements[i].count; t++)
            w->members[n++] = (struct member){number_of(w, statements[i].tokens[t]), &statements[i]};
    }
    if (n == 0)
        return HUB_OK;
    qsort(w->members, n, sizeof *w->members, compare_by_token);
    for (size_t i = 0; i < n; i++) {
        const struct member *kept = w->member_count != 0 ? &w->members[w->member_count - 1] : NULL;
        if (kept == NULL || kept->token != w->members[i].token ||
            !hub_span_equal(kept->snapshot->source, w->members[i].snapshot->source))
            w->members[w->member_count++] = w->members[i];
    }
    qsort(w->members, w->member_count, sizeof *w->members, compare_by_snapshot);
    return HUB_OK;
}

/* The end of the snapshot that starts at member AT. */
static size_t snapshot_end(const struct work *w, size_t at)
{
    size_t end = at + 1;
    while (end < w->member_count && same_snapshot(&w->members[at], &w->members[end]))
        end++;
    return end;
}

/* --- pairs of the other kinds, held apart or not --- */

static uint32_t low_of(const struct pair *p)
{
    return p->a < p->b ? p->a : p->b;
}

static uint32_t high_of(const struct pair *p)
{
    return p->a < p->b ? p->b : p->a;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    if (low_of(x) != low_of(y))
        return low_of(x) < low_of(y) ? -1 : 1;
    if (high_of(x) != high_of(y))
        return high_of(x) < high_of(y) ? -1 : 1;
    int d = hub_order_compare(&x->from->order, &y->from->order);
    if (d == 0)
        d = (int)x->from->kind - (int)y->from->kind;
    if (d != 0)
        return d;
    return x->a == y->a ? 0 : x->a < y->a ? -1 : 1;
}

static bool parts(enum hub_fact_kind kind)
{
    return kind == HUB_FACT_UNLINK || kind == HUB_FACT_RETRACT;
}

/* One pair's facts, oldest first: what was undone is void; the pair is held apart when nothing joined it
 * since. */
static void settle_pair(struct work *w, struct pair *facts, size_t count)
{
    size_t since = 0;
    bool joined = true;
    for (size_t i = 0; i < count; i++) {
        if (parts(facts[i].from->kind)) {
            since = i + 1;
            joined = false;
        } else if (facts[i].from->kind != HUB_FACT_MATCH) {
            joined = true;
        }
    }
    if (!joined)
        w->held[w->held_count++] = (struct held){low_of(facts), high_of(facts)};
    const struct pair *first_merge = NULL;
    for (size_t i = 0; i < count; i++) {
        enum hub_fact_kind kind = facts[i].from->kind;
        facts[i].void_ = parts(kind) || (i < since && kind != HUB_FACT_MATCH);
        if (facts[i].void_ || kind != HUB_FACT_MERGE)
            continue;
        if (first_merge == NULL)
            first_merge = &facts[i];
        else if (w->options->inverse_merge_reject && facts[i].a != first_merge->a)
            facts[i].void_ = true;
    }
}

static enum hub_result settle_pairs(struct work *w, const struct hub_identity_statement *statements,
                                    size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += statements[i].kind != HUB_FACT_SAME ? statements[i].count : 0;
    w->pairs = HUB_ARENA_ARRAY(w->arena, struct pair, n);
    w->held = HUB_ARENA_ARRAY(w->arena, struct held, n);
    HUB_ENSURE(w->pairs != NULL && w->held != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        for (uint32_t t = 1; statements[i].kind != HUB_FACT_SAME && t < statements[i].count; t++)
            w->pairs[w->pair_count++] = (struct pair){.a = number_of(w, statements[i].tokens[0]),
                                                      .b = number_of(w, statements[i].tokens[t]),
                                                      .from = &statements[i]};
    }
    if (w->pair_count == 0)
        return HUB_OK;
    qsort(w->pairs, w->pair_count, sizeof *w->pairs, compare_pairs);
    for (size_t i = 0, end; i < w->pair_count; i = end) {
        end = i + 1;
        while (end < w->pair_count && low_of(&w->pairs[end]) == low_of(&w->pairs[i]) &&
               high_of(&w->pairs[end]) == high_of(&w->pairs[i]))
            end++;
        settle_pair(w, &w->pairs[i], end - i);
    }
    return HUB_OK;
}

/* --- joining --- */

static void leave_out(struct work *w, uint32_t a, uint32_t b, const struct hub_identity_statement *from,
                      enum hub_identity_why why)
{
    struct hub_identity_charts *out = w->out;
    out->contested = true;
    if (out->left_count == HUB_IDENTITY_LEFT_MAX)
        return;
    out->left[out->left_count++] = (struct hub_identity_left){.a = w->tokens[a < b ? a : b],
                                                              .b = w->tokens[a < b ? b : a],
                                                              .event = from->order.event,
                                                              .kind = from->kind,
                                                              .why = why};
}

static bool held_apart(struct work *w, uint32_t root_a, uint32_t root_b)
{
    for (size_t i = 0; i < w->held_count; i++) {
        uint32_t x = find(w->parent, w->held[i].low);
        uint32_t y = find(w->parent, w->held[i].high);
        if ((x == root_a && y == root_b) || (x == root_b && y == root_a))
            return true;
    }
    return false;
}

static void join(struct work *w, uint32_t a, uint32_t b, const struct hub_identity_statement *from)
{
    uint32_t x = find(w->parent, a);
    uint32_t y = find(w->parent, b);
    if (x == y)
        return;
    if (held_apart(w, x, y)) {
        leave_out(w, a, b, from, HUB_IDENTITY_APART);
        return;
    }
    if ((uint64_t)w->size[x] + w->size[y] > w->options->chart_tokens) {
        leave_out(w, a, b, from, HUB_IDENTITY_LIMIT);
        return;
    }
    if (w->size[x] < w->size[y]) {
        uint32_t z = x;
        x = y;
        y = z;
    }
    w->parent[y] = x;
    w->size[x] += w->size[y];
}

static int rank(enum hub_fact_kind kind)
{
    switch (kind) {
    case HUB_FACT_MANUAL:
        return 0;
    case HUB_FACT_MERGE:
        return 1;
    case HUB_FACT_LINK:
        return 2;
    case HUB_FACT_SAME:
        return 3;
    case HUB_FACT_MATCH:
        return 4;
    case HUB_FACT_UNLINK:
    case HUB_FACT_RETRACT:
        break;
    }
    return 5;
}

static int compare_taking(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    int d = rank(x->from->kind) - rank(y->from->kind);
    if (d == 0)
        d = -hub_order_compare(&x->from->order, &y->from->order);
    if (d != 0)
        return d;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return x->b == y->b ? 0 : x->b < y->b ? -1 : 1;
}

static void join_pairs(struct work *w, bool matches)
{
    for (size_t i = 0; i < w->pair_count; i++) {
        const struct pair *p = &w->pairs[i];
        bool repeated = i != 0 && compare_taking(p, p - 1) == 0;
        if (!repeated && !p->void_ && (p->from->kind == HUB_FACT_MATCH) == matches)
            join(w, p->a, p->b, p->from);
    }
}

/* --- primary conflicts --- */

static int compare_members_of_component(const void *a, const void *b, void *ctx)
{
    const struct work *w = ctx;
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    if (w->same_parent[x] != w->same_parent[y])
        return w->same_parent[x] < w->same_parent[y] ? -1 : 1;
    int d = hub_span_compare(w->tags[x], w->tags[y]);
    if (d != 0)
        return d;
    return x == y ? 0 : x < y ? -1 : 1;
}

/* STATED holds (low, high) pairs that one live snapshot lists, sorted. */
static int compare_held(const void *a, const void *b)
{
    const struct held *x = a;
    const struct held *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return x->high == y->high ? 0 : x->high < y->high ? -1 : 1;
}

static bool both_primary(const struct work *w, uint32_t a, uint32_t b)
{
    return w->tags[a].len != 0 && hub_span_equal(w->tags[a], w->tags[b]);
}

static enum hub_result stated_together(struct work *w, struct held **out, size_t *out_count)
{
    size_t count = 0;
    struct held *stated = NULL;
    for (int pass = 0; pass < 2; pass++) {
        size_t n = 0;
        for (size_t at = 0, end; at < w->member_count; at = end) {
            end = snapshot_end(w, at);
            for (size_t i = at; i < end; i++) {
                for (size_t j = i + 1; j < end; j++) {
                    if (!both_primary(w, w->members[i].token, w->members[j].token))
                        continue;
                    if (pass == 1)
                        stated[n] = (struct held){w->members[i].token, w->members[j].token};
                    n++;
                }
            }
        }
        count = n;
        if (pass == 0) {
            stated = HUB_ARENA_ARRAY(w->arena, struct held, count);
            HUB_ENSURE(stated != NULL, HUB_NO_MEMORY);
        }
    }
    if (count != 0)
        qsort(stated, count, sizeof *stated, compare_held);
    *out = stated;
    *out_count = count;
    return HUB_OK;
}

/* `same` alone may not join two primary identifiers of one authority that no snapshot lists together, unless
 * a steward, a merge or a link did. */
static enum hub_result find_conflicts(struct work *w)
{
    struct held *stated = NULL;
    size_t stated_count = 0;
    HUB_TRY(stated_together(w, &stated, &stated_count));
    uint32_t *by_component = HUB_ARENA_ARRAY(w->arena, uint32_t, w->token_count);
    HUB_ENSURE(by_component != NULL, HUB_NO_MEMORY);
    for (size_t at = 0, end; at < w->member_count; at = end) {
        end = snapshot_end(w, at);
        for (size_t i = at + 1; i < end; i++)
            w->same_parent[find(w->same_parent, w->members[i].token)] =
                find(w->same_parent, w->members[at].token);
    }
    for (uint32_t i = 0; i < w->token_count; i++) {
        by_component[i] = i;
        w->same_parent[i] = find(w->same_parent, i);
    }
    qsort_r(by_component, w->token_count, sizeof *by_component, compare_members_of_component, w);
    for (uint32_t i = 0; i < w->token_count; i++) {
        uint32_t a = by_component[i];
        for (uint32_t j = i + 1; j < w->token_count && !w->suspended[w->same_parent[a]]; j++) {
            uint32_t b = by_component[j];
            if (w->same_parent[a] != w->same_parent[b] || !both_primary(w, a, b))
                break;
            struct held pair = {a, b};
            bool told = stated_count != 0 &&
                        bsearch(&pair, stated, stated_count, sizeof *stated, compare_held) != NULL;
            if (!told && find(w->parent, a) != find(w->parent, b))
                w->suspended[w->same_parent[a]] = true;
        }
    }
    return HUB_OK;
}

static void join_snapshots(struct work *w)
{
    for (size_t at = 0, end; at < w->member_count; at = end) {
        end = snapshot_end(w, at);
        bool suspended = w->suspended[w->same_parent[w->members[at].token]];
        for (size_t i = at; i < end; i++) {
            for (size_t j = i + 1; j < end; j++) {
                uint32_t a = w->members[i].token;
                uint32_t b = w->members[j].token;
                if (!suspended)
                    join(w, a, b, w->members[at].snapshot);
                else if (find(w->parent, a) != find(w->parent, b))
                    leave_out(w, a, b, w->members[at].snapshot, HUB_IDENTITY_CONFLICT);
            }
        }
    }
}

/* --- survivors --- */

static const uint32_t NO_TOKEN = UINT32_MAX;

/* Follows merges from the newest one's survivor. UP holds each token's survivor, NO_TOKEN for none. */
static uint32_t survivor_of(const struct work *w, uint32_t *up, uint32_t newest, const uint32_t *tokens,
                            size_t count)
{
    if (newest == NO_TOKEN) {
        for (size_t i = 0; i < count; i++) {
            if (w->tags[tokens[i]].len != 0)
                return tokens[i];
        }
        return tokens[0];
    }
    uint32_t at = newest;
    for (size_t step = 0; step < count && up[at] != NO_TOKEN; step++)
        at = up[at];
    if (up[at] == NO_TOKEN)
        return at;
    up[newest] = NO_TOKEN; /* merges in a circle: the newest says who survives */
    return newest;
}

/* The newest merge of each pair in force says the direction; of several survivors of one token the newest.
 * PAIRS are in the order they are taken (newest first). */
static void find_survivors(const struct work *w, uint32_t *parent, uint32_t *up, uint32_t *newest_by_root)
{
    for (uint32_t i = 0; i < w->token_count; i++)
        up[i] = newest_by_root[i] = NO_TOKEN;
    for (size_t i = 0; i < w->pair_count; i++) {
        const struct pair *p = &w->pairs[i];
        if (p->void_ || p->from->kind != HUB_FACT_MERGE || find(parent, p->a) != find(parent, p->b))
            continue;
        uint32_t root = find(parent, p->a);
        if (newest_by_root[root] == NO_TOKEN)
            newest_by_root[root] = p->a;
        if (up[p->b] == NO_TOKEN && up[p->a] != p->b)
            up[p->b] = p->a;
    }
}

static enum hub_result fill_chart(struct work *w, struct hub_identity_chart *chart, const uint32_t *tokens,
                                  size_t count, uint32_t *up, uint32_t newest)
{
    chart->tokens = HUB_ARENA_ARRAY(w->arena, struct hub_span, count);
    chart->retired = HUB_ARENA_ARRAY(w->arena, struct hub_span, count);
    HUB_ENSURE(chart->tokens != NULL && chart->retired != NULL, HUB_NO_MEMORY);
    uint32_t survivor = survivor_of(w, up, newest, tokens, count);
    for (size_t i = 0; i < count; i++) {
        chart->tokens[chart->count++] = w->tokens[tokens[i]];
        if (up[tokens[i]] != NO_TOKEN)
            chart->retired[chart->retired_count++] = w->tokens[tokens[i]];
        chart->conflict |= w->suspended[w->same_parent[tokens[i]]];
    }
    chart->id = chart->tokens[0];
    chart->survivor = w->tokens[survivor];
    return HUB_OK;
}

static enum hub_result fill_charts(struct work *w)
{
    size_t n = w->token_count;
    uint32_t *up = HUB_ARENA_ARRAY(w->arena, uint32_t, n);
    uint32_t *newest = HUB_ARENA_ARRAY(w->arena, uint32_t, n);
    uint32_t *start = HUB_ARENA_ARRAY(w->arena, uint32_t, n + 1);
    uint32_t *chart_of = HUB_ARENA_ARRAY(w->arena, uint32_t, n);
    uint32_t *grouped = HUB_ARENA_ARRAY(w->arena, uint32_t, n);
    w->out->charts = HUB_ARENA_ARRAY(w->arena, struct hub_identity_chart, n);
    HUB_ENSURE(up != NULL && newest != NULL && start != NULL && chart_of != NULL && grouped != NULL &&
                   w->out->charts != NULL,
               HUB_NO_MEMORY);
    find_survivors(w, w->parent, up, newest);
    /* Charts by their smallest token: number the roots as their first token comes by, then place tokens. */
    uint32_t charts = 0;
    for (uint32_t i = 0; i < n; i++)
        chart_of[i] = NO_TOKEN;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t root = find(w->parent, i);
        if (chart_of[root] == NO_TOKEN) {
            chart_of[root] = charts;
            start[charts + 1] = start[charts] + w->size[root];
            charts++;
        }
    }
    uint32_t *next = HUB_ARENA_ARRAY(w->arena, uint32_t, n);
    HUB_ENSURE(next != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t chart = chart_of[find(w->parent, i)];
        grouped[start[chart] + next[chart]++] = i;
    }
    for (uint32_t c = 0; c < charts; c++) {
        const uint32_t *tokens = &grouped[start[c]];
        HUB_TRY(fill_chart(w, &w->out->charts[c], tokens, start[c + 1] - start[c], up,
                           newest[find(w->parent, tokens[0])]));
    }
    w->out->count = charts;
    return HUB_OK;
}

/* No more can be left out than there are pairs. */
static size_t left_most(const struct work *w)
{
    size_t most = w->pair_count;
    for (size_t at = 0, end; at < w->member_count && most < HUB_IDENTITY_LEFT_MAX; at = end) {
        end = snapshot_end(w, at);
        most += (end - at) * (end - at - 1) / 2;
    }
    return most < HUB_IDENTITY_LEFT_MAX ? most : HUB_IDENTITY_LEFT_MAX;
}

enum hub_result hub_identity_charts(struct hub_arena *arena, const struct hub_identity_statement *statements,
                                    size_t count, const struct hub_identity_options *options,
                                    struct hub_identity_charts *out)
{
    memset(out, 0, sizeof *out);
    struct work w = {.arena = arena, .options = options, .out = out};
    HUB_TRY(number_tokens(&w, statements, count));
    HUB_TRY(find_live(&w, statements, count));
    HUB_TRY(settle_pairs(&w, statements, count));
    w.parent = HUB_ARENA_ARRAY(arena, uint32_t, w.token_count);
    w.size = HUB_ARENA_ARRAY(arena, uint32_t, w.token_count);
    w.same_parent = HUB_ARENA_ARRAY(arena, uint32_t, w.token_count);
    w.suspended = HUB_ARENA_ARRAY(arena, bool, w.token_count);
    out->left = HUB_ARENA_ARRAY(arena, struct hub_identity_left, left_most(&w));
    HUB_ENSURE(w.parent != NULL && w.size != NULL && w.same_parent != NULL && w.suspended != NULL &&
                   out->left != NULL,
               HUB_NO_MEMORY);
    for (uint32_t i = 0; i < w.token_count; i++) {
        w.parent[i] = w.same_parent[i] = i;
        w.size[i] = 1;
    }
    if (w.pair_count != 0)
        qsort(w.pairs, w.pair_count, sizeof *w.pairs, compare_taking);
    join_pairs(&w, false);
    HUB_TRY(find_conflicts(&w));
    join_snapshots(&w);
    join_pairs(&w, true);
    return fill_charts(&w);
}
