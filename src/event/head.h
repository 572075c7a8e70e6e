/* The members of a stored event beside its data: for those who pass events on or take them apart without a tree. Pure functions,
 * any thread. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"
#include "src/codec/json_scan.h"

struct hub_event_head { /* views into the event; absent members are empty */
    struct hub_span id, subject, source, seal, identity, time, messagetime, recordedtime;
    struct hub_span origin, originrecorded; /* of a revision: whose place in time it keeps */
    struct hub_span revision, supersedes;   /* of a revision: its number, the ids of what it takes the place of */
    struct hub_span trigger;                /* as it stands between the quotes, escapes and all */
};

/* EVENT is an event in canonical form (docs/FORMATS.md); what is inside `data` is not looked at. HUB_SYNTAX: no JSON object, a
 * member asked for is no text or has an escape where none may be, or id or subject is missing. */
enum hub_result hub_event_head(struct hub_span event, struct hub_event_head *out) HUB_MUST_USE;

/* The same of all of it: DATA reads the member `data` from where SCAN stands to its end. What it says other than HUB_OK is the result. */
enum hub_result hub_event_read(struct hub_span event, enum hub_result (*data)(void *ctx, struct hub_scan *scan), void *ctx,
                               struct hub_event_head *out) HUB_MUST_USE;
