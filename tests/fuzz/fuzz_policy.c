/* Any bytes as a protect policy and as roles: refused with problems or compiled, never anything else. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct hub_problems problems;
    const int fd = memfd_create("policy", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, size) == (ssize_t)size) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        hub_problems_init(&problems);
        struct hub_policy *policy = hub_policy_load(path, CHARTLINE_SOURCE_DIR "/schemas", &problems);
        if ((policy == NULL) != (problems.errors != 0))
            __builtin_trap();
        if (policy != NULL && hub_policy_resource(policy, "Patient") == NULL)
            __builtin_trap();
        hub_policy_free(policy);
        hub_problems_deinit(&problems);
        hub_problems_init(&problems);
        hub_roles_free(hub_roles_load(path, "/hub", &problems));
        hub_problems_deinit(&problems);
    }
    (void)close(fd);
    return 0;
}
