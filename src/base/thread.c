#include "src/base/thread.h"

#include <string.h>

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
