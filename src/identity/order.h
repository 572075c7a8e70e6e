/* The order of facts and versions: never arrival (RULES, "Absent, empty, deleted"). Pure functions, any thread. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_order {
    int64_t time_us;       /* min(time, recordedtime) */
    int64_t message_us;    /* message time */
    struct hub_span event; /* event id */
    uint32_t n;            /* the fact's number in its event */
};

/* By time, message time, event id, number; < 0 when A is older. */
int hub_order_compare(const struct hub_order *a, const struct hub_order *b);

/* The start of the interval that a FHIR date, dateTime or instant (or one with a precision of hours or minutes)
 * names, in UTC microseconds. A text without an offset counts as UTC. False when it is no time. */
bool hub_moment_us(struct hub_span text, int64_t *us);
