#include "src/base/mem.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAP_BYTES = 4 * 1024 * 1024, /* larger blocks are mapped, and given back at once */
    TRIM_BYTES = 32 * 1024 * 1024,
};

static atomic_uint_fast64_t fail_at;
static atomic_uint_fast64_t counted;
static atomic_int fail_lasting;
static bool (*_Atomic fail_when)(void);

void hub_mem_init(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MAP_BYTES); /* hints: without them it is only slower */
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}

static int must_fail(void)
{
    uint_fast64_t nth = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (nth == 0)
        return 0;
    bool (*fails)(void) = atomic_load_explicit(&fail_when, memory_order_acquire);
    if (fails != NULL)
        return fails();
    uint_fast64_t n = atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed) + 1;
    return n == nth || (n > nth && atomic_load_explicit(&fail_lasting, memory_order_relaxed));
}

uint64_t hub_mem_fail_nth(uint64_t nth, int lasting)
{
    atomic_store(&fail_at, 0);
    atomic_store(&fail_when, NULL);
    uint64_t before = atomic_exchange(&counted, 0);
    atomic_store(&fail_lasting, lasting);
    atomic_store(&fail_at, nth);
    return before;
}

void hub_mem_fail_when(bool (*fails)(void))
{
    (void)hub_mem_fail_nth(0, 0);
    atomic_store(&fail_when, fails);
    atomic_store(&fail_at, fails != NULL ? 1 : 0);
}

/* Not where they are given to all (nothing to ask for) or to none. */
static bool pages_on_request(void)
{
    char text[64];
    const int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    const ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    text[len > 0 ? len : 0] = '\0';
    return strstr(text, "[madvise]") != NULL;
}

void hub_mem_large_pages(char *const *argv)
{
#ifdef __GLIBC__
    static const char name[] = "GLIBC_TUNABLES", tunable[] = "glibc.malloc.hugetlb";
    char value[1024], program[4096];
    const char *before = getenv(name);
    if ((before != NULL && strstr(before, tunable) != NULL) || !pages_on_request())
        return;
    /* first in the list: glibc cuts it at the first colon, for later readers */
    const int len = snprintf(value, sizeof value, "%s=1%s%s", tunable, before != NULL ? ":" : "", before != NULL ? before : "");
    const ssize_t path_len = readlink("/proc/self/exe", program, sizeof program - 1); /* its own name, for `ps` */
    if (len >= (int)sizeof value || path_len <= 0 || setenv(name, value, 1) != 0)
        return;
    program[path_len] = '\0';
    (void)execv(program, argv);
#else
    (void)argv;
#endif
}

void *hub_mem_alloc(size_t size)
{
    return must_fail() ? NULL : calloc(1, size != 0 ? size : 1);
}

void *hub_mem_array(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return hub_mem_alloc(count * size);
}

void *hub_mem_resize(void *ptr, size_t size)
{
    return must_fail() ? NULL : realloc(ptr, size != 0 ? size : 1);
}

char *hub_mem_strdup(const char *str)
{
    size_t len = strlen(str) + 1;
    char *copy = hub_mem_alloc(len);
    if (copy != NULL)
        memcpy(copy, str, len);
    return copy;
}

void hub_mem_free(void *ptr)
{
    free(ptr);
}

void hub_mem_wipe(void *ptr, size_t len)
{
    if (len != 0)
        explicit_bzero(ptr, len);
}
