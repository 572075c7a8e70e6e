/* The clock port: all times of the hub come in through here, so that tests own the clock. Any thread.
 * Times are microseconds; wall time counts from 1970-01-01T00:00:00Z. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct hub_clock {
    int64_t (*wall_us)(void *ctx);
    int64_t (*mono_us)(void *ctx);
    void *ctx;
};

/* The machine's clocks; static storage. */
const struct hub_clock *hub_clock_system(void);

static inline int64_t hub_clock_wall_us(const struct hub_clock *clock)
{
    return clock->wall_us(clock->ctx);
}

static inline int64_t hub_clock_mono_us(const struct hub_clock *clock)
{
    return clock->mono_us(clock->ctx);
}

/* The monotonic clock's time in MS from now: for pthread_cond_clockwait(..., CLOCK_MONOTONIC, ...). MS >= 0. */
struct timespec hub_clock_after_ms(int64_t ms);

enum { HUB_TIME_TEXT_LEN = 27 }; /* 2026-11-23T01:43:50.123456Z */

/* RFC 3339 in UTC with six decimals, fixed width: bytewise order is time order for years 0000-9999
 * (times outside are clamped). Writes HUB_TIME_TEXT_LEN bytes and a NUL. */
void hub_time_format(int64_t wall_us, char out[HUB_TIME_TEXT_LEN + 1]);
/* RFC 3339 with zone and any number of decimals (cut to microseconds); 0 ok, -1 not a time. */
int hub_time_parse(const char *text, size_t len, int64_t *wall_us);
/* Proleptic Gregorian calendar. */
int64_t hub_time_days_from_civil(int64_t year, unsigned month, unsigned day);
void hub_time_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day);
