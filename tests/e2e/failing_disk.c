/* For disk_test.py, by LD_PRELOAD: while the file that CHARTLINE_FAIL_SYNC names exists, no fsync and no fdatasync of a
 * file whose path holds CHARTLINE_FAIL_WHERE (absent: any) succeeds; CHARTLINE_CLOCK_BACK names a file whose number of
 * seconds is taken off the wall clock. While the file that CHARTLINE_FULL names exists, there is no space left for such
 * files; while the one that CHARTLINE_FAIL_WRITE names exists, writing to them fails as on a broken disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int hits(int fd, const char *name)
{
    const char *trigger = getenv(name);
    const char *where = getenv("CHARTLINE_FAIL_WHERE");
    char link[64], path[4096];
    if (trigger == NULL || access(trigger, F_OK) != 0)
        return 0;
    if (where == NULL)
        return 1;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return strstr(path, where) != NULL;
}

/* With errno set. */
static int refused(int fd)
{
    const int full = hits(fd, "CHARTLINE_FULL"), broken = !full && hits(fd, "CHARTLINE_FAIL_WRITE");
    if (full || broken)
        errno = full ? ENOSPC : EIO;
    return full || broken;
}

int fsync(int fd)
{
    static int (*real)(int);
    if (hits(fd, "CHARTLINE_FAIL_SYNC")) {
        errno = EIO;
        return -1;
    }
    if (real == NULL)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (hits(fd, "CHARTLINE_FAIL_SYNC")) {
        errno = EIO;
        return -1;
    }
    if (real == NULL)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(fd);
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (refused(fd))
        return -1;
    if (real == NULL)
        real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    return real(fd, from, len, at);
}

ssize_t pwrite64(int fd, const void *from, size_t len, off_t at)
{
    return pwrite(fd, from, len, at);
}

ssize_t write(int fd, const void *from, size_t len)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (refused(fd))
        return -1;
    if (real == NULL)
        real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return real(fd, from, len);
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    const char *path = getenv("CHARTLINE_CLOCK_BACK");
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, out);
    FILE *file = result == 0 && id == CLOCK_REALTIME && path != NULL ? fopen(path, "r") : NULL;
    long back = 0;
    if (file != NULL && fscanf(file, "%ld", &back) == 1)
        out->tv_sec -= back;
    if (file != NULL)
        fclose(file);
    return result;
}
