#include "src/base/thread.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_LEN = 15 }; /* pthread_setname_np(3) */

enum hub_result hub_thread_start(pthread_t *out, const char *name, void *(*body)(void *arg), void *arg,
                                 struct hub_error *err)
{
    HUB_ASSERT(strlen(name) <= NAME_MAX_LEN);
    int problem = pthread_create(out, NULL, body, arg);
    if (problem != 0)
        return hub_fail_errno(err, HUB_NO_MEMORY, "a thread cannot be started", problem);
    (void)pthread_setname_np(*out, name); /* a thread without a name works as well */
    return HUB_OK;
}

/* --- processors --- */

/* Those of the thread that asks first, which is the process's: taken before any thread is bound. */
static cpu_set_t allowed;
static size_t allowed_count;
static pthread_once_t looked = PTHREAD_ONCE_INIT;

/* A machine with more processors than a cpu_set_t holds (1024) refuses: then nothing is bound. */
static void look(void)
{
    if (sched_getaffinity(getpid(), sizeof allowed, &allowed) == 0)
        allowed_count = (size_t)CPU_COUNT(&allowed);
}

size_t hub_thread_processors(void)
{
    (void)pthread_once(&looked, look);
    const long online = allowed_count != 0 ? (long)allowed_count : sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

void hub_thread_bind(pthread_t thread, size_t nth)
{
    (void)pthread_once(&looked, look);
    if (allowed_count < 2)
        return;
    nth %= allowed_count;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- != 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)pthread_setaffinity_np(thread, sizeof one, &one);
        return;
    }
}
