/* Inside the query: versions, facts, and the steps between them. Everything lives in the caller's arena. */
#pragma once

#include "src/event/entry_view.h"
#include "src/query/query.h"

struct version {
    const struct hub_json *record;
    struct hub_json *resource; /* a copy of its own, opened as far as the opener goes */
    struct hub_entry_view view;
    struct hub_span id, event, source, subject, trigger, effective, recorded;
    struct hub_span origin; /* of a revision: the event whose place in the order it keeps; else `event` */
    int64_t effective_us, order_us, message_us, recorded_us; /* order_us = min(version time, recorded time of the origin) */
    int64_t listed_us; /* the same of its list */
    uint64_t ordinal, revision;
    struct hub_span replaced_by; /* event of a revision that took its event's place; empty: in force */
    bool masked;   /* something of it stayed sealed */
    bool shredded; /* its patient's secret is gone for good */
    bool elsewhere; /* it says who the chart is of, and makes no term of the content digest */
    bool support; /* no entry: something an entry refers to */
    bool retired; /* its subject was merged into another token of the chart */
    bool needed;  /* support: an entry shown refers to it */
    struct fact *fact;
    struct version *snapshot; /* the newest version of its list and source; NULL: it is in no list */
    struct version *emptied;  /* the next one of its list and source that says there is nothing in it */
};

struct fact {
    enum hub_kind kind;
    struct version **versions; /* oldest first */
    size_t count;
    struct version *current;    /* the version that stands; NULL: none is shown */
    struct version *superseded; /* the one before it */
    struct hub_json *resource;  /* what is shown */
    const struct version *taken; /* location: the newest cancel that took it back; NULL: none did */
    const struct fact *listed;  /* the report that last took it into its results */
};

struct view {
    struct hub_arena *arena;
    const struct hub_query *query;
    const bool *elsewhere;    /* which of the records are; NULL: none */
    struct version *versions; /* by id */
    size_t version_count;
    struct fact *facts;
    size_t fact_count;
};

/* read.c: RECORDS to versions, by id; what was not known by known_at is left out, and what revisions took the place of unless all
 * versions are asked for. */
enum hub_result query_read(struct view *view, struct hub_json **records, size_t count, const struct hub_opener *opener, struct hub_error *err);
/* The version of that resource id, NULL when there is none. */
struct version *query_find(const struct view *view, struct hub_span id);
/* "Type/id" cut at the slash. */
bool query_reference(struct hub_span text, struct hub_span *type, struct hub_span *id);

/* order.c: versions to facts with their versions in order; which one stands. */
int query_compare(const struct version *a, const struct version *b);
enum hub_result query_group(struct view *view);
void query_settle(struct view *view);
/* The version says of itself that it was wrong. */
bool query_withdraws(const struct version *version);

/* place.c: location facts of an encounter, taken back or not, and where the patient is now. */
enum hub_result query_places(struct view *view);
enum hub_result query_encounter_places(struct view *view, struct fact *encounter);
/* Of a visit that is not shown (A23): where the patient was in it never was. */
void query_hide_places(struct view *view, const struct fact *encounter);

/* fold.c: the resource of each fact that is shown. */
enum hub_result query_show(struct view *view);
/* Adds {"url":URL,"valueBoolean":true}. */
enum hub_result query_flag(struct hub_arena *arena, struct hub_json *resource, const char *url);
/* Takes the extension with URL out. */
void query_drop_extension(struct hub_json *resource, const char *url);
