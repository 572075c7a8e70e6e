/* A closed store as files: copied and removed. Which of its files never change is RocksDB's own rule: tables (.sst)
 * are written once, so a copy may share them; all others are copied byte by byte. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/store/kv.h"

enum { COPY_PATH_MAX = 4096, COPY_BYTES = 256 * 1024 };

static enum hub_result join(const char *folder, const char *name, char out[COPY_PATH_MAX], struct hub_error *err)
{
    int len = snprintf(out, COPY_PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < COPY_PATH_MAX ? HUB_OK : hub_fail(err, HUB_IO, "a path is too long", NULL);
}

/* Calls EACH with every name in FOLDER but "." and "..". HUB_NOT_FOUND: no such folder. */
static enum hub_result each_name(const char *folder, enum hub_result (*each)(void *ctx, const char *name), void *ctx,
                                 struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        (void)hub_fail_errno(err, errno == ENOENT ? HUB_NOT_FOUND : HUB_IO, "cannot list a folder", errno);
        return hub_error_in(err, folder, 0);
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && result == HUB_OK; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = each(ctx, entry->d_name);
    }
    (void)closedir(dir);
    return result;
}

/* --- copying --- */

struct copying {
    struct hub_disk *disk;
    const char *from, *to;
    struct hub_error *err;
};

static enum hub_result copy_bytes(struct hub_disk *disk, int from, int to, struct hub_error *err)
{
    uint8_t *chunk = hub_mem_alloc(COPY_BYTES);
    if (chunk == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory to copy a store", NULL);
    enum hub_result result = HUB_OK;
    size_t got = COPY_BYTES;
    for (uint64_t offset = 0; result == HUB_OK && got == COPY_BYTES; offset += got) {
        result = disk->ops->read(disk, from, offset, chunk, COPY_BYTES, &got, err);
        if (result == HUB_OK && got != 0)
            result = disk->ops->write(disk, to, offset, hub_span_of(chunk, got), err);
    }
    hub_mem_free(chunk);
    return result == HUB_OK ? disk->ops->sync(disk, to, err) : result;
}

static enum hub_result copy_file(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err)
{
    int in = -1;
    int out = -1;
    HUB_TRY(disk->ops->open(disk, from, HUB_DISK_READ, &in, err));
    enum hub_result result = disk->ops->open(disk, to, HUB_DISK_CREATE, &out, err);
    if (result == HUB_OK) {
        result = copy_bytes(disk, in, out, err);
        disk->ops->close(disk, out);
    }
    disk->ops->close(disk, in);
    return result;
}

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static enum hub_result copy_name(void *ctx, const char *name)
{
    struct copying *copying = ctx;
    struct hub_disk *disk = copying->disk;
    char from[COPY_PATH_MAX];
    char to[COPY_PATH_MAX];
    if (strcmp(name, "LOCK") == 0 || strncmp(name, "LOG", 3) == 0)
        return HUB_OK;
    HUB_TRY(join(copying->from, name, from, copying->err));
    HUB_TRY(join(copying->to, name, to, copying->err));
    if (ends_with(name, ".sst") && disk->ops->link(disk, from, to, NULL) == HUB_OK)
        return HUB_OK;
    return copy_file(disk, from, to, copying->err);
}

enum hub_result hub_kv_copy_rocksdb(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err)
{
    struct copying copying = {.disk = disk, .from = from, .to = to, .err = err};
    HUB_TRY(disk->ops->mkdir(disk, to, err));
    HUB_TRY(each_name(from, copy_name, &copying, err));
    return disk->ops->sync_dir(disk, to, err);
}

/* --- removing --- */

static enum hub_result remove_name(void *ctx, const char *name)
{
    struct copying *copying = ctx;
    char path[COPY_PATH_MAX];
    HUB_TRY(join(copying->from, name, path, copying->err));
    enum hub_result result = copying->disk->ops->unlink(copying->disk, path, copying->err);
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

enum hub_result hub_kv_remove_rocksdb(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    struct copying copying = {.disk = disk, .from = path, .err = err};
    enum hub_result result = each_name(path, remove_name, &copying, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    if (rmdir(path) == 0)
        return HUB_OK;
    (void)hub_fail_errno(err, HUB_IO, "cannot remove a folder", errno);
    return hub_error_in(err, path, 0);
}
