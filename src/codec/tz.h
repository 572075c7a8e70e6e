/* Time zones by name, from the system's TZif files (RFC 9636, was RFC 8536; versions 1 to 4 with the footer's
 * rule for times past the table). The process's own zone and TZ play no part: setting them is not thread-safe.
 *
 * A zone is immutable once loaded and stays for the life of the process: pointers may be kept and used in any
 * thread. Times are seconds; local times are civil times counted as if they were UTC. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_tz;

/* The zone of an IANA name ("America/New_York"), loaded at the first call. HUB_CONFIG when there is no such zone,
 * HUB_CORRUPT when its file is damaged or counts leap seconds, HUB_NO_MEMORY, HUB_IO; *OUT is NULL then. Any thread. */
enum hub_result hub_tz_find(const char *name, const struct hub_tz **out, struct hub_error *err) HUB_MUST_USE;

/* A zone from the bytes of a TZif file, outside the cache: for tests and fuzzing. Free with hub_tz_free. */
enum hub_result hub_tz_read(struct hub_span tzif, struct hub_tz **out, struct hub_error *err) HUB_MUST_USE;
void hub_tz_free(struct hub_tz *zone);

enum hub_tz_fit {
    HUB_TZ_UNIQUE,
    HUB_TZ_AMBIGUOUS, /* the hour that comes twice: the first one is taken */
    HUB_TZ_GAP,       /* the hour that never was: counted with the offset before the gap (RFC 5545 3.3.5) */
};

/* Seconds east of UTC at an instant. */
int32_t hub_tz_offset_at(const struct hub_tz *zone, int64_t utc_s);
/* Seconds east of UTC that turn LOCAL_S into UTC (utc = local - offset). FIT may be NULL. */
int32_t hub_tz_offset_of_local(const struct hub_tz *zone, int64_t local_s, enum hub_tz_fit *fit);
/* True when OFFSET_S is in force at some moment within WITHIN_S of the instant. */
bool hub_tz_has_offset(const struct hub_tz *zone, int64_t utc_s, int64_t within_s, int32_t offset_s);
