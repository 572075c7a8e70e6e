#include "src/log/crash.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/span.h"

static char wanted[64];
static atomic_llong left;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
    const char *text = getenv("CHARTLINE_CRASH_AT");
    uint64_t nth = 1;
    if (text == NULL)
        return;
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (len >= sizeof wanted || (colon != NULL && !hub_span_parse_u64(hub_span_str(colon + 1), &nth)))
        return;
    memcpy(wanted, text, len);
    atomic_store(&left, (long long)nth);
}

bool hub_log_crash_armed(const char *name)
{
    (void)pthread_once(&once, read_environment);
    return wanted[0] != '\0' && atomic_load(&left) == 1 && strcmp(name, wanted) == 0;
}

void hub_log_crash_point(const char *name)
{
    (void)pthread_once(&once, read_environment);
    if (wanted[0] == '\0' || strcmp(name, wanted) != 0)
        return;
    if (atomic_fetch_sub(&left, 1) == 1)
        (void)kill(getpid(), SIGKILL);
}
