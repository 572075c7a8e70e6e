/* The regular expressions of JSON Schema's `pattern` that our schemas use, as a table that reads each byte once:
 * "^...$" over ASCII with literals, \-escaped marks, [classes], (groups|alternatives) and ? * + {n} {n,m}. What
 * it does not know is refused when it is compiled, never passed over. Immutable afterwards; any thread matches. */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_pattern {
    const uint8_t *classes; /* of each byte; 0: in no class of the pattern */
    const uint16_t *next;   /* state + class: the next state; states are multiples of `width`, 0 is past hope */
    const bool *final;      /* by state / width */
    uint16_t start, width;
};

enum { HUB_PATTERN_STATES_MAX = 2048 };

/* HUB_CONFIG: not an expression of this kind, or too large a one; the place is the offset in TEXT. */
enum hub_result hub_pattern_compile(struct hub_arena *arena, struct hub_span text, struct hub_pattern *out,
                                    struct hub_error *err) HUB_MUST_USE;

static inline uint16_t hub_pattern_step(const struct hub_pattern *pattern, uint16_t state, uint8_t byte)
{
    return pattern->next[state + pattern->classes[byte]];
}
static inline bool hub_pattern_final(const struct hub_pattern *pattern, uint16_t state)
{
    return pattern->final[state / pattern->width];
}
static inline bool hub_pattern_match(const struct hub_pattern *pattern, struct hub_span text)
{
    uint16_t state = pattern->start;
    for (size_t i = 0; i < text.len && state != 0; i++)
        state = hub_pattern_step(pattern, state, text.ptr[i]);
    return hub_pattern_final(pattern, state);
}
