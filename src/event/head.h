/* The members of a stored event beside its data, without reading the data: for those who pass events on. A
 * pure function, any thread. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_event_head { /* views into the event; absent members are empty */
    struct hub_span id, subject, source, identity, time, messagetime, recordedtime;
    struct hub_span origin, originrecorded; /* of a revision: whose place in time it keeps */
    struct hub_span revision, supersedes;   /* of a revision: its number; events that it takes the place of, comma separated */
};

/* EVENT is an event in canonical form (docs/FORMATS.md); what is inside `data` is not looked at. HUB_SYNTAX: no
 * JSON object, a member asked for is no text or has an escape, or id or subject is missing. */
enum hub_result hub_event_head(struct hub_span event, struct hub_event_head *out) HUB_MUST_USE;
