/* What a zone is made of, between tz_read.c (which builds it) and tz.c (which asks it). */
#pragma once

#include "src/codec/tz.h"

/* A day of the year and the seconds after its midnight (POSIX TZ rule; RFC 9636 3.3.1 allows -167 to 167 hours). */
struct hub_tz_edge {
    enum { HUB_TZ_JULIAN, HUB_TZ_DAY, HUB_TZ_WEEKDAY } kind; /* Jn (no 29 February), n (0-based), Mm.w.d */
    int16_t day;   /* of the year; of the week (0 = Sunday) for WEEKDAY */
    uint8_t month; /* 1-12 */
    uint8_t week;  /* 1-5, 5 = last */
    int32_t time_s;
};

/* Past the table. Offsets are seconds east of UTC. */
struct hub_tz_rule {
    bool present;
    bool has_dst;
    int32_t standard_s, dst_s;
    struct hub_tz_edge start, end; /* of daylight saving time, each in the local time before it */
};

struct hub_tz {
    struct hub_tz *next; /* in the cache */
    const char *name;
    const int64_t *at;        /* transitions, strictly rising */
    const int32_t *offset_s;  /* from at[n] on */
    size_t count;
    int32_t first_s;          /* before at[0] */
    struct hub_tz_rule rule;
};

/* A POSIX TZ string as in a TZif footer. False when it is not one. */
bool hub_tz_rule_read(struct hub_span text, struct hub_tz_rule *out);
