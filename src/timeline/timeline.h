/* The timeline: entries, token records and identity facts in a store of its own, all a pure function of the
 * set of events applied (guarantee 3). One applier thread writes; any thread reads.
 *
 * Either one store holds all of it (HUB_TIMELINE_WHOLE), or it is divided (docs/adr/0008-timeline-on-kafka.md): a store for
 * each partition of subjects, and one for who is who. The sum of the partitions' state digests is that of the whole. */
#pragma once

#include <stdatomic.h>

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/codec/json.h"
#include "src/store/kv.h"

struct hub_timeline;

enum hub_timeline_part {
    HUB_TIMELINE_WHOLE,
    HUB_TIMELINE_PARTITION, /* entries, token records, revisions, events seen of its subjects; who is who it is told */
    HUB_TIMELINE_IDENTITY,  /* identity facts of all partitions and the charts they make */
};

/* What must be known elsewhere before it is written to the store. Of a PARTITION the records of the topic `timeline`, of
 * IDENTITY the chart part of each token whose chart changed. RECORD may be called at any time in a call that changes
 * something (hub_timeline_apply, _set_chart, _add_identity, _flush, _restore_end); SETTLE before each write of the
 * store, those inside apply too, also when nothing was given since the last one. Nothing is written unless SETTLE says
 * HUB_OK, and what RECORD or SETTLE say otherwise is what the call returns. Records given and not settled may have gone
 * out or not: after hub_timeline_forget the same ones come again.
 * SETTLE may call hub_timeline_set_mark of the timeline it belongs to: the mark is in the batch that is written next. */
struct hub_timeline_sink {
    /* PARTITION: KEY "<subject>/<resource id>" with an entry record, "<subject>/<event id>" with the record of a revision or of
     * an event without entries, "<token>" with a token record; VALUE.ptr NULL: a tombstone. IDENTITY: KEY and SUBJECT are
     * the token, VALUE its chart part as hub_timeline_set_chart takes it; ptr NULL: no fact names the token any
     * more. All only during the call. */
    enum hub_result (*record)(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value, struct hub_error *err);
    enum hub_result (*settle)(void *ctx, struct hub_error *err);
    void *ctx;
};

struct hub_timeline_options {
    enum hub_timeline_part part;
    uint32_t chart_tokens; /* limits.chart_tokens; of no use to a PARTITION */
    bool inverse_merge_reject;
    struct hub_timeline_sink sink; /* copied; without RECORD nobody is told */
};

/* KV must have been opened with hub_timeline_families(). It stays the caller's. With other options than last time all
 * charts are computed anew, and a store of an older form is brought into the present one (the sink is told of neither: compare
 * partitions with hub_timeline_sync_charts). HUB_CORRUPT: also a store of another part, or of a later form. */
const char *const *hub_timeline_families(void);
enum hub_result hub_timeline_open(struct hub_kv *kv, const struct hub_timeline_options *options, struct hub_timeline **out, struct hub_error *err) HUB_MUST_USE;
void hub_timeline_close(struct hub_timeline *timeline);

/* The position that has been applied (record number of the event log), 0 = nothing. */
uint64_t hub_timeline_position(const struct hub_timeline *timeline);
/* Adds one sealed CloudEvent to the pending batch (WHOLE, PARTITION: identity facts in it are not taken). Idempotent; of several values with one event id the smallest
 * (recordedtime, SHA-256) stands; SHA256 is that of EVENT_JSON (32 bytes) where the caller knows it, else NULL.
 * HUB_SYNTAX: not an event, nothing changed, go on. Any other failure: forget what is pending, and apply from the
 * position on. Past 32 MiB the pending batch is written early, without a new position. */
enum hub_result hub_timeline_apply(struct hub_timeline *timeline, struct hub_span event_json, const uint8_t *sha256, struct hub_error *err) HUB_MUST_USE;
/* PARTITION: events whose facts IDENTITY does not know (hub_timeline_facts_known) are not applied: HUB_AGAIN, nothing changed,
 * give it again later. NULL: they are, as at first. IDENTITY must stay open as long. */
void hub_timeline_wait_for(struct hub_timeline *timeline, struct hub_timeline *identity);
/* Writes the pending batch together with the new position, atomically. A position may go back. */
enum hub_result hub_timeline_flush(struct hub_timeline *timeline, uint64_t position, bool sync, struct hub_error *err) HUB_MUST_USE;

/* Drops the pending batch, after a failure. */
void hub_timeline_forget(struct hub_timeline *timeline);

/* Small texts beside the state (offsets, leader epochs), written in the same batch as what is pending. NAME: letters, digits,
 * '_', '-', '.'. Of the applier thread. */
enum { HUB_TIMELINE_MARK_MAX = 256 };
enum hub_result hub_timeline_set_mark(struct hub_timeline *timeline, const char *name, struct hub_span text, struct hub_error *err) HUB_MUST_USE;
/* As it was flushed, ended by a zero byte; any thread. HUB_NOT_FOUND. */
enum hub_result hub_timeline_mark(struct hub_timeline *timeline, const char *name, char out[HUB_TIMELINE_MARK_MAX], struct hub_error *err) HUB_MUST_USE;

/* --- PARTITION: charts --- */

/* What the token's record says of its chart: PART as the IDENTITY store gives it, ptr NULL where no fact names the token. The
 * same again changes nothing. Pending until the next flush. HUB_SYNTAX: no chart part. */
enum hub_result hub_timeline_set_chart(struct hub_timeline *timeline, struct hub_span token, struct hub_span part, struct hub_error *err) HUB_MUST_USE;
/* Brings all tokens for which MINE is true to what IDENTITY has flushed, and those of the store that it does not know to charts
 * of their own. For a partition that was opened: charts may have changed meanwhile. Between the settle of the identity
 * store and its write this must not run. Pending until the next flush; past 32 MiB written early. */
enum hub_result hub_timeline_sync_charts(struct hub_timeline *partition, struct hub_timeline *identity, bool (*mine)(void *ctx, struct hub_span token), void *ctx,
                                         struct hub_error *err) HUB_MUST_USE;

/* --- PARTITION: put back from the topic `timeline` --- */

/* Takes one record of the topic (VALUE.ptr NULL: a tombstone) into an empty or older store of the partition. Of one key the
 * last one given stands; between keys any order, and anything any number of times. HUB_SYNTAX: none of ours, nothing
 * changed, go on. Flush as ever, with marks; the sink is not asked. */
enum hub_result hub_timeline_restore(struct hub_timeline *timeline, struct hub_span key, struct hub_span value, struct hub_error *err) HUB_MUST_USE;
/* Ends it: counts of tokens are made from what there is, and where the topic had others (a torn transaction), they go to
 * the sink. Until then hub_timeline_apply, _set_chart and _sync_charts say HUB_USAGE, after a crash too. Without a restore it
 * does nothing. Leaves the rest pending. An event of which the topic had only a part is whole once it is applied again. */
enum hub_result hub_timeline_restore_end(struct hub_timeline *timeline, struct hub_error *err) HUB_MUST_USE;

/* --- IDENTITY --- */

/* Takes one record of the topic `identity`: KEY "<event id>/<n>" with a fact, "<event id>/revision" with `supersedes`, a list
 * of event ids. Any order, any repetition; of two values under one key the earlier fact stands. Facts of an event before its
 * `revision` are quicker, for then facts that stay the same are seen to be so. A signature is the caller's to check.
 * HUB_SYNTAX: no such record, nothing changed, go on. */
enum hub_result hub_timeline_add_identity(struct hub_timeline *timeline, struct hub_span key, struct hub_span record, struct hub_error *err) HUB_MUST_USE;
/* Whether all that the event says of identity was taken in and flushed: each fact, of a revision what it takes the place
 * of too; or it does not matter any more, for a revision took its place. Any thread. */
enum hub_result hub_timeline_facts_known(struct hub_timeline *identity, struct hub_span event_id, size_t fact_count, bool revision, bool *known,
                                         struct hub_error *err) HUB_MUST_USE;
/* The chart part of a token as flushed, in ARENA: canonical JSON. HUB_NOT_FOUND: no fact names it. Any thread. */
enum hub_result hub_timeline_chart_part(struct hub_timeline *identity, struct hub_arena *arena, struct hub_span token, struct hub_span *out, struct hub_error *err) HUB_MUST_USE;
/* All of them, by token, until CALLBACK says false. Any thread. */
enum hub_result hub_timeline_each_chart_part(struct hub_timeline *identity, bool (*callback)(void *ctx, struct hub_span token, struct hub_span part), void *ctx,
                                             struct hub_error *err) HUB_MUST_USE;

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
