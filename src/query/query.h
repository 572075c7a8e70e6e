/* Reading a chart: from the entry records of its tokens to what a person or an app sees. Facts grouped,
 * versions ordered, superseded and withdrawn ones left out, Patient and Encounter folded, sealed elements
 * opened as far as the reader's keys go. Pure functions over records: the hub, the command line and a client
 * library share them. */
#pragma once

#include "src/base/arena.h"
#include "src/codec/json.h"
#include "src/protect/protect.h"

struct hub_query {
    const struct hub_json *chart; /* hub_chart_json: which tokens are retired, which secrets shredded; NULL = none */
    int64_t at_us;       /* --at: entries effective up to then; INT64_MAX */
    int64_t known_at_us; /* --known-at: only what was recorded up to then; INT64_MAX */
    struct hub_span kind; /* --kind, empty = all */
    bool versions;       /* all versions, not only the current ones */
    bool history;        /* with versions: those too that a revision took the place of */
};

/* RECORDS: entry and revision records (parsed JSON, left as they are) of all tokens of CHART, in any order. Gives
 * {"chart","entries":[{"id","kind","effective","recorded","status","supersedes","resource"}],"support":[resource]}:
 * entries by effective time, recorded time and id; of a revision with "revision" (a number), of what one took the place of with
 * "replaced_by" (its event id); "shredded":true where
 * the patient's secret is gone for good; "status" and "supersedes" may be null; "support" (practitioners,
 * places, ... that the entries refer to) is left out when empty. OPENER NULL: nothing is opened. HUB_CRYPTO: a record
 * was tampered with. docs/TIMELINE.md says how versions become entries. */
enum hub_result hub_query_chart(struct hub_arena *arena, struct hub_span chart, struct hub_json **records, size_t count,
                                const struct hub_query *query, const struct hub_opener *opener, struct hub_json **out, struct hub_error *err) HUB_MUST_USE;

/* The content digest of a chart: opened canonical resources, ids and references as ordinals, tokens as
 * identifiers, no recorded or receive times; a sum of hashes, added into DIGEST (mod 2^256, big endian).
 * ELSEWHERE[i] (NULL: none): record i is of a token that is another process's to count. It makes no term; the others are as they
 * are with all the chart's records here, if those elsewhere are all Patient resources and all revision records of such tokens:
 * nothing else of them says who the chart is of or what was replaced. */
enum hub_result hub_query_content_digest(struct hub_arena *arena, struct hub_json **records, const bool *elsewhere, size_t count,
                                         const struct hub_opener *opener, uint8_t digest[32], struct hub_error *err) HUB_MUST_USE;
