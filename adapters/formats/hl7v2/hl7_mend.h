/* Text that is read otherwise than it stands; the original stays with the event as it came. Any thread.
 *
 * - A message on one line whose segments are parted by text instead of a carriage return, as tools that print and copy
 *   leave it: \r, \n, \r\n, <13>, <CR>. Only where such text stands before a segment's id and field separator, or at
 *   the end, and only in a message without any real line end.
 * - A segment continued by ADD (v2.8.2 2.10.2.1): what follows `ADD|` belongs to the segment before it. */
#pragma once

#include "adapters/formats/hl7v2/hl7.h"

/* OUT is BYTES itself where there is nothing to mend (MESSAGE is BYTES parsed), else a text in the arena to be parsed
 * instead. HUB_SYNTAX at ADD: it continues MSH, which cannot be (but as the second line of a later part: MSH-14).
 * HUB_NO_MEMORY. */
enum hub_result hub_hl7_mend(struct hub_arena *arena, const struct hub_hl7 *message, struct hub_span bytes,
                             struct hub_span *out, struct hub_error *err) HUB_MUST_USE;
