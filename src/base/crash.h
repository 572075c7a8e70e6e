/* Named places where a test may kill the process, to prove what survives. Always compiled in; active only
 * when the environment says CHARTLINE_CRASH_AT=name or name:n (the nth time), read once. Any thread.
 * With CHARTLINE_CRASH_HOLD=file too the thread does not kill the process there: it makes the file and waits until somebody
 * removes it, so that a test may do something to the process in the middle of its work.
 *
 * A new place is a row in crash.def and a hub_crash_point where it is; the kill test finds it by itself
 * (CHARTLINE_CRASH_AT=list chartline version prints the rows). */
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum hub_crash {
#define HUB_CRASH(symbol, name, when) HUB_CRASH_##symbol,
#include "src/base/crash.def"
#undef HUB_CRASH
    HUB_CRASH_COUNT
};

/* Kills the process (SIGKILL), or holds the thread, when this is the place and the count is reached. */
void hub_crash_point(enum hub_crash point);
/* The next hub_crash_point of that name would kill. */
bool hub_crash_armed(enum hub_crash point);

/* CHARTLINE_CRASH_AT=list. */
bool hub_crash_list_asked(void);
/* A line for each place: its name, a tab, what makes a hub pass it. */
void hub_crash_list(FILE *out);
