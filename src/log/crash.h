/* Named places where a test may kill the process, to prove what survives. Always compiled in; active only
 * when the environment says CHARTLINE_CRASH_AT=name or name:n (the nth time), read once. Any thread. */
#pragma once

#include <stdbool.h>

/* Kills the process (SIGKILL) when this is the place and the count is reached. */
void hub_log_crash_point(const char *name);
/* The next hub_log_crash_point of that name would kill. */
bool hub_log_crash_armed(const char *name);
