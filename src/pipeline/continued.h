/* Messages that come in parts (HL7 v2 2.10.2). Each part but the last is sealed and kept as a dead letter of reason
 * `continued`, and only then acknowledged; nothing is held in memory, so that a kill costs nothing. The last part brings
 * them together: the joined message goes the way of any other, and its record resolves the parts' letters.
 *
 * A part is found by its pointer, as one of the same feed, sender, application and facility, and is used once: pointers
 * should be unique and are not always. A last part that comes again leads to the message that was joined then. */
#pragma once

#include "src/pipeline/prepare.h"

/* WORK's message was decoded as a part (HUB_CONTINUED). Results:
 * HUB_CONTINUED: to be kept; its control token is set to the pointer's.
 * HUB_OK: the last one; OUT is the joined message, in the arena, and WORK's item resolves the others. Or it came
 * before and the message is stored: WORK's item is `known`, OUT empty.
 * HUB_NOT_FOUND: a part is missing (WORK's part_missing), which may still be on its way to the committer. Of this and others that reject the reason is in WORK's err. */
enum hub_result hub_continued_take(struct hub_work *work, struct hub_span *out) HUB_MUST_USE;
