/* Messages sent in parts (v2.8.2 2.10.2.2, 2.10.2.3): the first ends with DSC, whose pointer the next one has in
 * MSH-14; the last has no DSC. A segment may be cut between two parts: ADD without fields ends the one, ADD with the
 * rest begins the other. Interactive continuation of queries and their responses (DSC-2 I) is none of it. Any thread. */
#pragma once

#include "adapters/formats/hl7v2/hl7.h"

/* The pointers to the parts before (MSH-14) and behind (DSC-1); both empty: a whole message. Views. */
void hub_hl7_part(const struct hub_hl7 *message, struct hub_span *before, struct hub_span *after);
/* The message that PARTS (bytes as they came, in order) make: the first one's header, all segments but DSC; in the
 * arena. HUB_SYNTAX, HUB_CHARSET_UNKNOWN: a part has other separators or another character set than the first. */
enum hub_result hub_hl7_join(struct hub_arena *arena, const struct hub_span *parts, size_t count, uint32_t segments_max,
                             struct hub_span *out, struct hub_error *err) HUB_MUST_USE;
