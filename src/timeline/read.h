/* Reading charts from wherever their tokens are. Any thread. Private to src/timeline. */
#pragma once

#include "src/timeline/set.h"

/* The record of TOKEN. HUB_NOT_FOUND; HUB_ELSEWHERE. */
typedef enum hub_result (*timeline_token_reader)(void *ctx, struct hub_arena *arena, struct hub_span token, struct hub_json **out, struct hub_error *err);

enum hub_result timeline_read_token(struct hub_timeline *t, struct hub_arena *arena, struct hub_span token, struct hub_json **out, struct hub_error *err) HUB_MUST_USE;
/* As hub_timeline_chart. */
enum hub_result timeline_read_chart(timeline_token_reader read, void *ctx, struct hub_arena *arena, struct hub_span token, struct hub_chart *out,
                                    struct hub_error *err) HUB_MUST_USE;
/* The charts whose id is a token of T; *LEFT: some of them are not here whole and were left out. */
enum hub_result timeline_read_charts(struct hub_timeline *t, timeline_token_reader read, void *read_ctx, bool (*callback)(void *ctx, const struct hub_chart *chart), void *ctx,
                                     bool *left, struct hub_error *err) HUB_MUST_USE;
/* The charts whose smallest token for which HERE says true is one of T. */
enum hub_result timeline_read_chart_parts(struct hub_timeline *t, bool (*here)(void *ctx, struct hub_span token), bool (*callback)(void *ctx, const struct hub_chart_part *part),
                                          void *ctx, struct hub_error *err) HUB_MUST_USE;
/* SUM += TERM mod 2^256, big endian: the order of terms does not matter, and sums of partitions add up. */
void timeline_digest_add(uint8_t sum[32], const uint8_t term[32]);
