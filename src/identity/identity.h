/* Who is the same person: a pure function from identity facts to charts (DESIGN section 5; RULES, "Identifiers
 * and authorities"). Nothing here knows a store or an arrival order; the same set of facts, repeated and in any
 * order, gives the same charts. Everything lives in the caller's arena. Any thread. docs/FORMATS.md has
 * the grammar and the rules in words. */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/event/event.h"
#include "src/event/head.h"
#include "src/identity/order.h"

/* One fact as stated by one event. */
struct hub_identity_statement {
    enum hub_fact_kind kind;
    struct hub_order order;        /* n = the fact's number in the event */
    struct hub_span speaker;       /* as written behind the kind, "" when absent */
    struct hub_span source;        /* the event's source, with the speaker */
    const struct hub_span *tokens; /* distinct; MERGE: the first survives the others */
    const struct hub_span *tags;   /* authority tag of each token, empty when its authority is not primary */
    uint32_t count;
};

/* "same", "merge", ... */
const char *hub_identity_kind_name(enum hub_fact_kind kind);

/* Reads an event's `identity` attribute:
 *   facts = fact *(";" fact); fact = kind ["@" speaker] ":" token ["~" tag] *("," token ["~" tag])
 * An empty text has no facts. Fills kind, tokens, tags, count and order.n; views into TEXT. HUB_SYNTAX: an
 * unknown kind, an empty or over-long token, fewer than two different tokens where two are needed. */
enum hub_result hub_identity_parse(struct hub_arena *arena, struct hub_span text, struct hub_identity_statement **out,
                                   size_t *count, struct hub_error *err) HUB_MUST_USE;

/* The facts that the event of HEAD states, whole. Views into HEAD's event, the rest in ARENA. HUB_SYNTAX. */
enum hub_result hub_identity_of_event(struct hub_arena *arena, const struct hub_event_head *head,
                                      struct hub_identity_statement **out, size_t *count,
                                      struct hub_error *err) HUB_MUST_USE;

/* {"event","kind","message","n","source","tags":[..],"time","tokens":[..]}; NULL when the arena is full. */
struct hub_json *hub_identity_json(struct hub_arena *arena, const struct hub_identity_statement *statement);
/* Views into JSON, lists in ARENA. HUB_CORRUPT, HUB_NO_MEMORY. */
enum hub_result hub_identity_of_json(struct hub_arena *arena, const struct hub_json *json,
                                     struct hub_identity_statement *out, struct hub_error *err) HUB_MUST_USE;

enum { HUB_IDENTITY_LEFT_MAX = 1000, HUB_IDENTITY_TOKEN_MAX = 64 };

struct hub_identity_options {
    uint32_t chart_tokens; /* most tokens of one chart, at least 1 */
    bool inverse_merge_reject; /* the first direction of a merge stands until it is undone */
};

enum hub_identity_why {
    HUB_IDENTITY_APART,    /* would join a pair that was unlinked or retracted */
    HUB_IDENTITY_LIMIT,    /* would pass chart_tokens */
    HUB_IDENTITY_CONFLICT, /* suspended: would join two primary identifiers of one authority */
};
const char *hub_identity_why_name(enum hub_identity_why why);

/* A fact that is not in force although nobody undid it: for the steward's list. */
struct hub_identity_left {
    struct hub_span a, b; /* a < b */
    struct hub_span event;
    enum hub_fact_kind kind;
    enum hub_identity_why why;
};

struct hub_identity_chart {
    struct hub_span id;      /* = tokens[0] */
    struct hub_span *tokens; /* sorted */
    size_t count;
    struct hub_span survivor; /* whose demographics the chart shows */
    struct hub_span *retired; /* sorted; merged into another token of the chart */
    size_t retired_count;
    bool conflict; /* holds a token of suspended facts */
};

struct hub_identity_charts {
    struct hub_identity_chart *charts; /* by id */
    size_t count;
    struct hub_identity_left *left; /* at most HUB_IDENTITY_LEFT_MAX, in the order they were left out */
    size_t left_count;
    bool contested; /* something was left out: the order of facts matters to the charts */
};

/* The charts of all tokens that STATEMENTS name. HUB_NO_MEMORY. */
enum hub_result hub_identity_charts(struct hub_arena *arena, const struct hub_identity_statement *statements, size_t count,
                                    const struct hub_identity_options *options, struct hub_identity_charts *out) HUB_MUST_USE;
