/* How messages would become something else: differences by element path, counted over any number of messages. Paths hold
 * names of elements and urls of extensions, never values. Bounded by HUB_DIFF_PATHS_MAX; one thread. */
#pragma once

#include "src/base/arena.h"
#include "src/codec/json.h"

enum { HUB_DIFF_PATHS_MAX = 10000 };

struct hub_diff;

/* NULL: out of memory. */
struct hub_diff *hub_diff_new(void);
void hub_diff_free(struct hub_diff *diff);
/* Counts what one message's events BEFORE and AFTER differ in, each as hub_protect_clear makes it; the trees are changed on
 * the way (ids become numbers), so the two sides share none. Resources are told apart by their facts, then by what they
 * say, then by their place. SAMPLE (may be NULL) is called for each difference with the values, NULL where there is none. */
typedef void (*hub_diff_sample_fn)(void *ctx, struct hub_span path, const struct hub_json *before, const struct hub_json *after);
enum hub_result hub_diff_add(struct hub_diff *diff, struct hub_arena *arena, struct hub_json *const *before, size_t before_count,
                             struct hub_json *const *after, size_t after_count, hub_diff_sample_fn sample, void *ctx) HUB_MUST_USE;

struct hub_diff_row {
    struct hub_span path; /* "Patient.name[].family", "event.subject", "Observation" for whole ones */
    uint64_t added, removed, changed; /* how often */
    uint64_t messages;    /* in how many messages */
};
/* In the order of paths. False from EACH stops. *MORE: differences of paths beyond the limit. */
void hub_diff_each(const struct hub_diff *diff, bool (*each)(void *ctx, const struct hub_diff_row *row), void *ctx, uint64_t *more);
