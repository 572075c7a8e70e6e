/* Times as people type them, for requests: a moment (RFC 3339), a date (its start in UTC), or how long ago (90s, 30m, 2h,
 * 3d, 1w). */
#pragma once

#include <stdbool.h>

#include "src/base/clock.h"

/* TEXT as RFC 3339 in UTC. False: it is none of these. */
bool hub_cli_when(const char *text, int64_t now_us, char out[HUB_TIME_TEXT_LEN + 1]);
