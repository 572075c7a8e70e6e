/* A folder of its own for a test, under $TMPDIR or /tmp, removed with everything in it. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline const char *temp_folder_new(char out[512])
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(out, 512, "%s/chartline-test-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
    return mkdtemp(out);
}

static inline int temp_folder_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void temp_folder_remove(const char *path)
{
    (void)nftw(path, temp_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
