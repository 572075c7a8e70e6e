/* Several partitions of the timeline as one, for readers. A hub with one store has a set of one.
 *
 * Any thread reads; stores come and go meanwhile. Each store has its own writer, of whom nothing is asked here. A
 * store that is taken out is not touched once hub_timelines_remove has returned: readers at it are told to stop at their
 * next record and get HUB_ELSEWHERE.
 *
 * HUB_ELSEWHERE: a partition that is needed is not here, another process has it. Never half a chart. */
#pragma once

#include "src/timeline/timeline.h"

struct hub_timelines;

enum { HUB_TIMELINES_MAX = 10000 };

/* Room for COUNT partitions (1 to HUB_TIMELINES_MAX). PARTITION_OF (the bus's hash, which this layer does not know) says where a token belongs,
 * a pure function with a result below COUNT; NULL with a COUNT of 1. NULL when memory is out. */
struct hub_timelines *hub_timelines_new(int32_t count, int32_t (*partition_of)(struct hub_span token, int32_t count));
/* After every reader; the stores are the caller's. NULL is fine. */
void hub_timelines_free(struct hub_timelines *set);

/* From now on readers find it. One at a time in a place. */
void hub_timelines_add(struct hub_timelines *set, int32_t partition, struct hub_timeline *timeline);
/* Waits for readers of this partition to let go of it. None there is fine. Not from inside a reader's callback. */
void hub_timelines_remove(struct hub_timelines *set, int32_t partition);
/* How many are here. */
int32_t hub_timelines_count(struct hub_timelines *set);

/* As the functions of one timeline of that name. HUB_NOT_FOUND: no such patient, known for sure. */
enum hub_result hub_timelines_chart(struct hub_timelines *set, struct hub_arena *arena, struct hub_span token, struct hub_chart *out, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_timelines_each_entry(struct hub_timelines *set, struct hub_span token, bool (*callback)(void *ctx, struct hub_span key, struct hub_span record), void *ctx,
                                         struct hub_error *err) HUB_MUST_USE;
/* The charts that are here whole; when all were told, HUB_ELSEWHERE if others may be left. */
enum hub_result hub_timelines_each_chart(struct hub_timelines *set, bool (*callback)(void *ctx, const struct hub_chart *chart), void *ctx, struct hub_error *err) HUB_MUST_USE;

/* A chart of which at least one token is here. Everything is the caller's only during the callback. */
struct hub_chart_part {
    const struct hub_span *tokens; /* all of the chart, sorted */
    const bool *here;              /* which of them are */
    size_t token_count;
};
/* All of them, each once, whether its id is here or not. What is here is what was when it began: a partition that comes later is
 * not, and one that leaves meanwhile ends it with HUB_ELSEWHERE. */
enum hub_result hub_timelines_each_chart_part(struct hub_timelines *set, bool (*callback)(void *ctx, const struct hub_chart_part *part), void *ctx,
                                              struct hub_error *err) HUB_MUST_USE;
/* Counts partitions that came or left: who reads twice and finds the same number read of the same ones. */
uint64_t hub_timelines_changes(struct hub_timelines *set);
/* Of the partitions that are here: the digests of processes add up. */
enum hub_result hub_timelines_state_digest(struct hub_timelines *set, uint8_t digest[32], struct hub_error *err) HUB_MUST_USE;
