/* The timeline: entries, token records and identity facts in a store of its own, all a pure function of the
 * set of events applied (guarantee 3). One applier thread writes; any thread reads. */
#pragma once

#include <stdatomic.h>

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/codec/json.h"
#include "src/store/kv.h"

struct hub_timeline;

struct hub_timeline_options {
    uint32_t chart_tokens; /* limits.chart_tokens */
    bool inverse_merge_reject;
};

/* KV must have been opened with hub_timeline_families(). It stays the caller's. With other options than last time all
 * charts are computed anew. */
const char *const *hub_timeline_families(void);
enum hub_result hub_timeline_open(struct hub_kv *kv, const struct hub_timeline_options *options, struct hub_timeline **out, struct hub_error *err) HUB_MUST_USE;
void hub_timeline_close(struct hub_timeline *timeline);

/* The position that has been applied (record number of the event log), 0 = nothing. */
uint64_t hub_timeline_position(const struct hub_timeline *timeline);
/* Adds one sealed CloudEvent to the pending batch. Idempotent; of several values with one event id the smallest
 * (recordedtime, SHA-256) stands; SHA256 is that of EVENT_JSON (32 bytes) where the caller knows it, else NULL.
 * HUB_SYNTAX: not an event, nothing changed, go on. Any other failure: forget what is pending, and apply from the
 * position on. Past 32 MiB the pending batch is written early, without a new position. */
enum hub_result hub_timeline_apply(struct hub_timeline *timeline, struct hub_span event_json, const uint8_t *sha256, struct hub_error *err) HUB_MUST_USE;
/* Writes the pending batch together with the new position, atomically. */
enum hub_result hub_timeline_flush(struct hub_timeline *timeline, uint64_t position, bool sync, struct hub_error *err) HUB_MUST_USE;

/* Drops the pending batch, after a failure. */
void hub_timeline_forget(struct hub_timeline *timeline);

/* Reading: sees what was flushed. */
/* The chart id and all tokens of TOKEN's chart. HUB_NOT_FOUND. TOKENS in the arena, sorted. */
struct hub_chart {
    char id[65]; /* as long as a token may be */
    struct hub_span *tokens;
    size_t token_count;
    uint64_t entry_count; /* versions in force, not facts */
    bool test, unidentified, conflict;
    struct hub_span survivor; /* whose demographics the chart shows */
    struct hub_span *retired; /* tokens merged into another one of the chart, sorted */
    size_t retired_count;
};
enum hub_result hub_timeline_chart(struct hub_timeline *timeline, struct hub_arena *arena, struct hub_span token, struct hub_chart *out, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_timeline_each_chart(struct hub_timeline *timeline, bool (*callback)(void *ctx, const struct hub_chart *chart), void *ctx, struct hub_error *err) HUB_MUST_USE;
/* {"chart","conflict","entries":count,"retired":[..],"survivor","test","tokens":[..],"unidentified"}, NULL when the
 * arena is full. What hub_query.chart takes. */
struct hub_json *hub_chart_json(struct hub_arena *arena, const struct hub_chart *chart);
/* All records of one token, JSON: those of its revisions, then its entries (sealed), those of an event together. */
enum hub_result hub_timeline_each_entry(struct hub_timeline *timeline, struct hub_span token, bool (*callback)(void *ctx, struct hub_span key, struct hub_span record), void *ctx, struct hub_error *err) HUB_MUST_USE;
/* Forgets what is pending, and the position is again as the store has it, which may have been opened anew beneath. */
enum hub_result hub_timeline_reset(struct hub_timeline *timeline, struct hub_error *err) HUB_MUST_USE;
/* How far the timeline in any store that was opened with hub_timeline_families() got. */
enum hub_result hub_timeline_kv_position(struct hub_kv *kv, uint64_t *position, struct hub_error *err) HUB_MUST_USE;

/* A store as it is at a moment, to be summed up later; what is written meanwhile is not in it. Of one thread. FAMILIES as
 * it was opened with. NULL when memory is out. Each view can be summed once. */
struct hub_digest_view;
struct hub_digest_view *hub_digest_view_new(struct hub_kv *kv, const char *const *families);
/* ALL: the sum mod 2^256 of hashes of everything in it; STATE (may be NULL): of a timeline what
 * hub_timeline_state_digest says. STOP (may be NULL) ends it with HUB_CLOSED. */
enum hub_result hub_digest_view_sum(struct hub_digest_view *view, const atomic_bool *stop, uint8_t all[32],
                                    uint8_t state[32], struct hub_error *err) HUB_MUST_USE;
void hub_digest_view_free(struct hub_digest_view *view);

/* Sum mod 2^256 of hashes of everything stored, big endian. */
enum hub_result hub_timeline_state_digest(struct hub_timeline *timeline, uint8_t digest[32], struct hub_error *err) HUB_MUST_USE;
