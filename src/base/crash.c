#include "src/base/crash.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/span.h"

static const struct {
    const char *name, *when;
} points[HUB_CRASH_COUNT] = {
#define HUB_CRASH(symbol, name, when) [HUB_CRASH_##symbol] = {name, when},
#include "src/base/crash.def"
#undef HUB_CRASH
};

enum { HOLD_US = 10000 };

static const char variable[] = "CHARTLINE_CRASH_AT", hold_variable[] = "CHARTLINE_CRASH_HOLD";
static enum hub_crash wanted = HUB_CRASH_COUNT;
static atomic_llong left;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
    const char *text = getenv(variable);
    uint64_t nth = 1;
    if (text == NULL)
        return;
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (colon != NULL && !hub_span_parse_u64(hub_span_str(colon + 1), &nth))
        return;
    for (int i = 0; i < HUB_CRASH_COUNT; i++)
        if (strlen(points[i].name) == len && memcmp(points[i].name, text, len) == 0)
            wanted = (enum hub_crash)i;
    atomic_store(&left, (long long)nth);
}

bool hub_crash_armed(enum hub_crash point)
{
    (void)pthread_once(&once, read_environment);
    return wanted == point && atomic_load(&left) == 1;
}

static void hold(const char *path)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    (void)close(fd);
    while (access(path, F_OK) == 0)
        (void)usleep(HOLD_US);
}

void hub_crash_point(enum hub_crash point)
{
    (void)pthread_once(&once, read_environment);
    if (wanted != point || atomic_fetch_sub(&left, 1) != 1)
        return;
    const char *path = getenv(hold_variable);
    if (path != NULL)
        hold(path);
    else
        (void)kill(getpid(), SIGKILL);
}

bool hub_crash_list_asked(void)
{
    const char *text = getenv(variable);
    return text != NULL && strcmp(text, "list") == 0;
}

void hub_crash_list(FILE *out)
{
    for (int i = 0; i < HUB_CRASH_COUNT; i++)
        (void)fprintf(out, "%s\t%s\n", points[i].name, points[i].when);
}
