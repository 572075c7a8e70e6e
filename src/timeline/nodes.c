/* What bears on each token's identity: of every source its newest snapshot, and all other facts that name it.
 * With that, only the component that a new fact touches is computed, and the result is the one that all facts
 * of the store together would give (src/identity). */
#include <stdlib.h>

#include "src/timeline/state.h"

struct facts {
    struct hub_identity_statement *items;
    size_t count, cap;
};

struct node {
    struct hub_span token;
    struct facts same;   /* one a source, sorted by source */
    struct facts others; /* sorted by order and kind */
    bool dirty;
    bool member; /* of the component being gathered */
    struct node *next;
};

enum { BUCKETS = 256 };

/* The nodes one call works on. */
struct nodes {
    struct hub_timeline *t;
    struct node *buckets[BUCKETS];
};

struct tokens {
    struct hub_span *items;
    size_t count, cap;
};

/* --- lists --- */

static bool facts_insert(struct hub_arena *arena, struct facts *list, size_t at,
                         const struct hub_identity_statement *fact)
{
    if (list->count == list->cap) {
        size_t cap = list->cap != 0 ? list->cap * 2 : 4;
        struct hub_identity_statement *items = HUB_ARENA_ARRAY(arena, struct hub_identity_statement, cap);
        if (items == NULL)
            return false;
        if (list->count != 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    if (at < list->count)
        memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof *list->items);
    list->items[at] = *fact;
    list->count++;
    return true;
}

static bool tokens_push(struct hub_arena *arena, struct tokens *list, struct hub_span token)
{
    if (list->count == list->cap) {
        size_t cap = list->cap != 0 ? list->cap * 2 : 16;
        struct hub_span *items = HUB_ARENA_ARRAY(arena, struct hub_span, cap);
        if (items == NULL)
            return false;
        if (list->count != 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = token;
    return true;
}

static bool tokens_push_all(struct hub_arena *arena, struct tokens *list, const struct hub_span *items,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!tokens_push(arena, list, items[i]))
            return false;
    }
    return true;
}

/* --- nodes --- */

static enum hub_result read_facts(struct hub_arena *arena, const struct hub_json *list, struct facts *out,
                                  struct hub_error *err)
{
    for (const struct hub_json *item = list != NULL && list->type == HUB_JSON_ARRAY ? list->first : NULL;
         item != NULL; item = item->next) {
        struct hub_identity_statement fact;
        HUB_TRY(hub_identity_of_json(arena, item, &fact, err));
        if (!facts_insert(arena, out, out->count, &fact))
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    return HUB_OK;
}

static struct node **bucket_of(struct nodes *nodes, struct hub_span token)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < token.len; i++)
        h = (h ^ token.ptr[i]) * 16777619U;
    return &nodes->buckets[(h ^ h >> 16) % BUCKETS];
}

static enum hub_result node_get(struct nodes *nodes, struct hub_span token, bool empty, struct node **out,
                                struct hub_error *err)
{
    struct node **bucket = bucket_of(nodes, token);
    for (*out = *bucket; *out != NULL; *out = (*out)->next) {
        if (hub_span_equal((*out)->token, token))
            return HUB_OK;
    }
    struct hub_arena *arena = &nodes->t->scratch;
    struct node *node = HUB_ARENA_NEW(arena, struct node);
    if (node == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    node->token = token;
    if (!empty) {
        struct hub_json *json = NULL;
        HUB_TRY(timeline_get_json(nodes->t, FAMILY_NODES, token, &json, err));
        HUB_TRY(read_facts(arena, hub_json_get(json, "same"), &node->same, err));
        HUB_TRY(read_facts(arena, hub_json_get(json, "facts"), &node->others, err));
    }
    node->next = *bucket;
    *bucket = node;
    *out = node;
    return HUB_OK;
}

static struct hub_json *facts_json(struct hub_arena *arena, const struct facts *facts)
{
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY);
    for (size_t i = 0; list != NULL && i < facts->count; i++) {
        if (hub_json_push(list, hub_identity_json(arena, &facts->items[i])) != HUB_OK)
            return NULL;
    }
    return list;
}

static enum hub_result nodes_save(struct nodes *nodes, struct hub_error *err)
{
    struct hub_arena *arena = &nodes->t->scratch;
    for (size_t b = 0; b < BUCKETS; b++) {
        for (struct node *node = nodes->buckets[b]; node != NULL; node = node->next) {
            if (!node->dirty)
                continue;
            node->dirty = false;
            struct hub_json *json = hub_json_new(arena, HUB_JSON_OBJECT);
            if (json == NULL || hub_json_set_c(json, "same", facts_json(arena, &node->same)) != HUB_OK ||
                hub_json_set_c(json, "facts", facts_json(arena, &node->others)) != HUB_OK)
                return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
            HUB_TRY(timeline_put_json(nodes->t, FAMILY_NODES, node->token, json, err));
        }
    }
    return HUB_OK;
}

/* The node's snapshot of SOURCE; *AT is where it is or belongs. */
static struct hub_identity_statement *snapshot_of(const struct node *node, struct hub_span source, size_t *at)
{
    for (*at = 0; *at < node->same.count; (*at)++) {
        int d = hub_span_compare(node->same.items[*at].source, source);
        if (d == 0)
            return &node->same.items[*at];
        if (d > 0)
            break;
    }
    return NULL;
}

static bool same_list(const struct hub_identity_statement *a, const struct hub_identity_statement *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        uint32_t j = 0;
        while (j < b->count && !hub_span_equal(a->tokens[i], b->tokens[j]))
            j++;
        if (j == b->count || !hub_span_equal(a->tags[i], b->tags[j]))
            return false;
    }
    return true;
}

/* Order decides between facts only where something had to be left out. */
static enum hub_result contested(struct nodes *nodes, struct hub_span token, bool *out, struct hub_error *err)
{
    struct hub_json *record = NULL;
    HUB_TRY(timeline_get_json(nodes->t, FAMILY_TOKENS, token, &record, err));
    *out = hub_json_get(record, "contested") != NULL || hub_json_get(record, "conflict") != NULL;
    return HUB_OK;
}

static enum hub_result add_snapshot(struct nodes *nodes, struct node *node,
                                    const struct hub_identity_statement *fact, struct tokens *seeds,
                                    struct hub_error *err)
{
    struct hub_arena *arena = &nodes->t->scratch;
    size_t at = 0;
    struct hub_identity_statement *now = snapshot_of(node, fact->source, &at);
    bool ok = true;
    if (now == NULL) {
        ok = facts_insert(arena, &node->same, at, fact) &&
             tokens_push_all(arena, seeds, fact->tokens, fact->count);
        node->dirty = true;
    } else if (hub_order_compare(&fact->order, &now->order) > 0) {
        bool matters = !same_list(fact, now);
        if (!matters)
            HUB_TRY(contested(nodes, node->token, &matters, err));
        if (matters)
            ok = tokens_push_all(arena, seeds, fact->tokens, fact->count) &&
                 tokens_push_all(arena, seeds, now->tokens, now->count);
        *now = *fact;
        node->dirty = true;
    }
    return ok ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static int compare_facts(const struct hub_identity_statement *a, const struct hub_identity_statement *b)
{
    int d = hub_order_compare(&a->order, &b->order);
    return d != 0 ? d : (int)a->kind - (int)b->kind;
}

static enum hub_result add_other(struct nodes *nodes, struct node *node,
                                 const struct hub_identity_statement *fact, struct tokens *seeds,
                                 struct hub_error *err)
{
    size_t at = node->others.count;
    while (at > 0 && compare_facts(&node->others.items[at - 1], fact) > 0)
        at--;
    if (at > 0 && compare_facts(&node->others.items[at - 1], fact) == 0)
        return HUB_OK;
    node->dirty = true;
    return facts_insert(&nodes->t->scratch, &node->others, at, fact) &&
                   tokens_push(&nodes->t->scratch, seeds, node->token)
               ? HUB_OK
               : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static enum hub_result add_fact(struct nodes *nodes, const struct hub_identity_statement *fact,
                                struct tokens *seeds, struct hub_error *err)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct node *node = NULL;
        HUB_TRY(node_get(nodes, fact->tokens[i], false, &node, err));
        if (fact->kind == HUB_FACT_SAME)
            HUB_TRY(add_snapshot(nodes, node, fact, seeds, err));
        else
            HUB_TRY(add_other(nodes, node, fact, seeds, err));
    }
    return HUB_OK;
}

/* --- components --- */

static bool apart(enum hub_fact_kind kind)
{
    return kind == HUB_FACT_UNLINK || kind == HUB_FACT_RETRACT;
}

static enum hub_result enter(struct nodes *nodes, struct tokens *members, struct hub_span token,
                             struct hub_error *err)
{
    struct node *node = NULL;
    HUB_TRY(node_get(nodes, token, false, &node, err));
    if (node->member)
        return HUB_OK;
    node->member = true;
    return tokens_push(&nodes->t->scratch, members, token) ? HUB_OK
                                                           : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

/* A snapshot joins two tokens only while it is the newest of its source for both. */
static enum hub_result enter_snapshot(struct nodes *nodes, struct tokens *members,
                                      const struct hub_identity_statement *snapshot, struct hub_error *err)
{
    for (uint32_t i = 0; i < snapshot->count; i++) {
        struct node *other = NULL;
        size_t at = 0;
        HUB_TRY(node_get(nodes, snapshot->tokens[i], false, &other, err));
        const struct hub_identity_statement *theirs = snapshot_of(other, snapshot->source, &at);
        if (theirs != NULL && hub_order_compare(&theirs->order, &snapshot->order) == 0)
            HUB_TRY(enter(nodes, members, snapshot->tokens[i], err));
    }
    return HUB_OK;
}

static enum hub_result gather(struct nodes *nodes, struct hub_span seed, struct tokens *members,
                              struct hub_error *err)
{
    HUB_TRY(enter(nodes, members, seed, err));
    for (size_t i = 0; i < members->count; i++) {
        struct node *node = NULL;
        HUB_TRY(node_get(nodes, members->items[i], false, &node, err));
        for (size_t f = 0; f < node->same.count; f++)
            HUB_TRY(enter_snapshot(nodes, members, &node->same.items[f], err));
        for (size_t f = 0; f < node->others.count; f++) {
            const struct hub_identity_statement *fact = &node->others.items[f];
            for (uint32_t k = 0; k < fact->count && !apart(fact->kind); k++)
                HUB_TRY(enter(nodes, members, fact->tokens[k], err));
        }
    }
    return HUB_OK;
}

static bool is_member(const struct tokens *members, struct hub_span token)
{
    size_t low = 0;
    size_t high = members->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = hub_span_compare(members->items[mid], token);
        if (d == 0)
            return true;
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* A statement that says of FACT only what concerns tokens I and J (I == J: one token of a snapshot). */
static bool restate(struct hub_arena *arena, struct facts *out, const struct hub_identity_statement *fact,
                    uint32_t i, uint32_t j)
{
    struct hub_span *spans = HUB_ARENA_ARRAY(arena, struct hub_span, 4);
    if (spans == NULL)
        return false;
    spans[0] = fact->tokens[i];
    spans[1] = fact->tokens[j];
    spans[2] = fact->tags[i];
    spans[3] = fact->tags[j];
    struct hub_identity_statement one = *fact;
    one.tokens = spans;
    one.tags = spans + 2;
    one.count = i == j ? 1 : 2;
    return facts_insert(arena, out, out->count, &one);
}

static bool restate_node(struct hub_arena *arena, struct facts *out, const struct node *node,
                         const struct tokens *members)
{
    bool ok = true;
    for (size_t f = 0; f < node->same.count; f++) {
        const struct hub_identity_statement *fact = &node->same.items[f];
        for (uint32_t i = 0; i < fact->count && ok; i++) {
            if (hub_span_equal(fact->tokens[i], node->token))
                ok = restate(arena, out, fact, i, i);
        }
    }
    for (size_t f = 0; f < node->others.count; f++) {
        const struct hub_identity_statement *fact = &node->others.items[f];
        if (!is_member(members, fact->tokens[0]))
            continue;
        for (uint32_t i = 1; i < fact->count && ok; i++) {
            bool mine = hub_span_equal(fact->tokens[i], node->token);
            if (mine)
                ok = restate(arena, out, fact, 0, i);
        }
    }
    return ok;
}

static int compare_tokens(const void *a, const void *b)
{
    return hub_span_compare(*(const struct hub_span *)a, *(const struct hub_span *)b);
}

static enum hub_result compute(struct nodes *nodes, struct tokens *members, struct hub_error *err)
{
    static const struct hub_span no_tag = {NULL, 0};
    struct hub_arena *arena = &nodes->t->scratch;
    struct facts facts = {NULL, 0, 0};
    qsort(members->items, members->count, sizeof *members->items, compare_tokens);
    for (size_t i = 0; i < members->count; i++) {
        struct node *node = NULL;
        HUB_TRY(node_get(nodes, members->items[i], false, &node, err));
        /* A lone snapshot of its own: a member without facts is a chart too. */
        struct hub_identity_statement self = {.kind = HUB_FACT_SAME,
                                              .tokens = &members->items[i],
                                              .tags = &no_tag,
                                              .count = 1,
                                              .source = members->items[i]};
        if (!facts_insert(arena, &facts, facts.count, &self) || !restate_node(arena, &facts, node, members))
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    struct hub_identity_charts charts;
    enum hub_result result =
        hub_identity_charts(arena, facts.items, facts.count, &nodes->t->identity, &charts);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    for (size_t c = 0; c < charts.count; c++) {
        for (size_t i = 0; i < charts.charts[c].count; i++)
            HUB_TRY(timeline_token_set_chart(nodes->t, charts.charts[c].tokens[i], &charts.charts[c], &charts,
                                             err));
    }
    return HUB_OK;
}

static enum hub_result recompute(struct nodes *nodes, const struct hub_span *tokens, size_t count,
                                 struct hub_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct node *node = NULL;
        HUB_TRY(node_get(nodes, tokens[i], false, &node, err));
        if (node->member)
            continue;
        struct tokens members = {NULL, 0, 0};
        HUB_TRY(gather(nodes, tokens[i], &members, err));
        HUB_TRY(compute(nodes, &members, err));
    }
    return HUB_OK;
}

static struct nodes *nodes_new(struct hub_timeline *t)
{
    struct nodes *nodes = HUB_ARENA_NEW(&t->scratch, struct nodes);
    if (nodes != NULL)
        nodes->t = t;
    return nodes;
}

enum hub_result timeline_recompute(struct hub_timeline *t, const struct hub_span *tokens, size_t count,
                                   struct hub_error *err)
{
    struct nodes *nodes = nodes_new(t);
    return nodes != NULL ? recompute(nodes, tokens, count, err) : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

enum hub_result timeline_add_facts(struct hub_timeline *t, const struct hub_identity_statement *facts,
                                   size_t count, struct hub_error *err)
{
    if (count == 0)
        return HUB_OK;
    struct nodes *nodes = nodes_new(t);
    if (nodes == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct tokens seeds = {NULL, 0, 0};
    for (size_t i = 0; i < count; i++)
        HUB_TRY(add_fact(nodes, &facts[i], &seeds, err));
    HUB_TRY(nodes_save(nodes, err));
    return recompute(nodes, seeds.items, seeds.count, err);
}

/* --- taking facts out --- */

static bool names_any(const struct hub_identity_statement *fact, const struct tokens *tokens)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        if (is_member(tokens, fact->tokens[i]))
            return true;
    }
    return false;
}

/* Adds FACT to the nodes of those of its tokens that are being found anew. */
static enum hub_result refill(struct nodes *nodes, const struct hub_identity_statement *fact,
                              const struct tokens *touched, struct tokens *seeds, struct hub_error *err)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        if (!is_member(touched, fact->tokens[i]))
            continue;
        struct node *node = NULL;
        HUB_TRY(node_get(nodes, fact->tokens[i], true, &node, err));
        if (fact->kind == HUB_FACT_SAME)
            HUB_TRY(add_snapshot(nodes, node, fact, seeds, err));
        else
            HUB_TRY(add_other(nodes, node, fact, seeds, err));
    }
    return HUB_OK;
}

static bool is_withdrawn(const struct hub_span *keys, size_t count, struct hub_span key)
{
    return bsearch(&key, keys, count, sizeof *keys, compare_tokens) != NULL;
}

static enum hub_result scan_facts(struct nodes *nodes, const struct hub_span *keys, size_t count,
                                  const struct tokens *touched, struct tokens *seeds, struct hub_error *err)
{
    struct hub_timeline *t = nodes->t;
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_FACTS, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result = HUB_OK;
    struct hub_arena line;
    hub_arena_init(&line, SCRATCH_BYTES_MAX);
    while (result == HUB_OK && hub_kv_iter_next(iter)) {
        hub_arena_reset(&line);
        struct hub_json *json = NULL;
        struct hub_identity_statement fact;
        result = hub_json_parse(&line, hub_kv_iter_value(iter), &json, err);
        if (result == HUB_SYNTAX)
            result = hub_fail(err, HUB_CORRUPT, "an identity fact of the timeline is damaged", NULL);
        HUB_TRY_OUT(result);
        HUB_TRY_OUT(hub_identity_of_json(&line, json, &fact, err));
        if (is_withdrawn(keys, count, hub_kv_iter_key(iter)) || !names_any(&fact, touched))
            continue;
        HUB_TRY_OUT(hub_json_parse(&t->scratch, hub_kv_iter_value(iter), &json, err));
        HUB_TRY_OUT(hub_identity_of_json(&t->scratch, json, &fact, err));
        HUB_TRY_OUT(refill(nodes, &fact, touched, seeds, err));
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
out:
    hub_arena_deinit(&line);
    hub_kv_iter_free(iter);
    return result;
}

/* Off the store; its tokens to TOUCHED. */
static enum hub_result remove_fact(struct hub_timeline *t, struct hub_span key, struct tokens *touched,
                                   struct hub_error *err)
{
    struct hub_json *json = NULL;
    struct hub_identity_statement fact;
    HUB_TRY(timeline_get_json(t, FAMILY_FACTS, key, &json, err));
    if (json == NULL)
        return HUB_OK;
    HUB_TRY(hub_identity_of_json(&t->scratch, json, &fact, err));
    if (!tokens_push_all(&t->scratch, touched, fact.tokens, fact.count))
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    return timeline_fact_delete(t, key, err);
}

enum hub_result timeline_withdraw_facts(struct hub_timeline *t, const struct hub_span *keys, size_t count,
                                        struct hub_error *err)
{
    struct tokens touched = {NULL, 0, 0};
    struct tokens seeds = {NULL, 0, 0};
    struct nodes *nodes = nodes_new(t);
    struct nodes *rest = nodes_new(t);
    struct hub_span *sorted = HUB_ARENA_ARRAY(&t->scratch, struct hub_span, count + 1);
    if (nodes == NULL || rest == NULL || sorted == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = keys[i];
        HUB_TRY(remove_fact(t, keys[i], &touched, err));
    }
    if (touched.count == 0)
        return HUB_OK;
    qsort(sorted, count, sizeof *sorted, compare_tokens);
    qsort(touched.items, touched.count, sizeof *touched.items, compare_tokens);
    for (size_t i = 0; i < touched.count; i++) {
        struct node *node = NULL;
        HUB_TRY(node_get(nodes, touched.items[i], true, &node, err));
        node->dirty = true;
    }
    if (!tokens_push_all(&t->scratch, &seeds, touched.items, touched.count))
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    HUB_TRY(scan_facts(nodes, sorted, count, &touched, &seeds, err));
    HUB_TRY(nodes_save(nodes, err));
    HUB_TRY(recompute(rest, seeds.items, seeds.count, err));
    for (size_t i = 0; i < touched.count; i++)
        HUB_TRY(timeline_token_prune(t, touched.items[i], err));
    return HUB_OK;
}
