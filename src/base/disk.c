#include "src/base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "src/base/crash.h"

static enum hub_result failed(struct hub_error *err, const char *what, const char *path)
{
    int errnum = errno;
    enum hub_result result = errnum == ENOENT                          ? HUB_NOT_FOUND
                             : errnum == EEXIST                        ? HUB_EXISTS
                             : errnum == ENOSPC || errnum == EDQUOT    ? HUB_QUOTA
                                                                       : HUB_IO;
    (void)hub_fail_errno(err, result, what, errnum);
    if (path != NULL)
        (void)hub_error_in(err, path, 0);
    return result;
}

static enum hub_result disk_open(struct hub_disk *disk, const char *path, enum hub_disk_mode mode, int *fd,
                                 struct hub_error *err)
{
    (void)disk;
    int flags = O_CLOEXEC;
    switch (mode) {
    case HUB_DISK_READ:
        flags |= O_RDONLY;
        break;
    case HUB_DISK_CREATE:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    case HUB_DISK_WRITE:
        flags |= O_RDWR | O_CREAT;
        break;
    }
    *fd = open(path, flags, 0600);
    return *fd < 0 ? failed(err, "cannot open a file", path) : HUB_OK;
}

static enum hub_result disk_write(struct hub_disk *disk, int fd, uint64_t offset, struct hub_span bytes,
                                  struct hub_error *err)
{
    (void)disk;
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.ptr, bytes.len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(err, "cannot write a file", NULL);
        bytes.ptr += n;
        bytes.len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return HUB_OK;
}

static enum hub_result disk_read(struct hub_disk *disk, int fd, uint64_t offset, void *into, size_t cap,
                                 size_t *got, struct hub_error *err)
{
    (void)disk;
    *got = 0;
    while (*got < cap) {
        ssize_t n = pread(fd, (uint8_t *)into + *got, cap - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(err, "cannot read a file", NULL);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return HUB_OK;
}

static enum hub_result disk_size(struct hub_disk *disk, int fd, uint64_t *size, struct hub_error *err)
{
    (void)disk;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return failed(err, "cannot read a file's size", NULL);
    *size = (uint64_t)st.st_size;
    return HUB_OK;
}

static enum hub_result disk_truncate(struct hub_disk *disk, int fd, uint64_t size, struct hub_error *err)
{
    (void)disk;
    return ftruncate(fd, (off_t)size) != 0 ? failed(err, "cannot cut a file", NULL) : HUB_OK;
}

static enum hub_result disk_sync(struct hub_disk *disk, int fd, struct hub_error *err)
{
    (void)disk;
    return fdatasync(fd) != 0 ? failed(err, "cannot sync a file to the disk", NULL) : HUB_OK;
}

static void disk_begin_sync(struct hub_disk *disk, int fd)
{
    (void)disk;
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static enum hub_result disk_sync_dir(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    (void)disk;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(err, "cannot open a folder", path);
    enum hub_result result = fsync(fd) != 0 ? failed(err, "cannot sync a folder to the disk", path) : HUB_OK;
    (void)close(fd);
    return result;
}

static enum hub_result disk_rename(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err)
{
    (void)disk;
    return rename(from, to) != 0 ? failed(err, "cannot rename a file", to) : HUB_OK;
}

static enum hub_result disk_link(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err)
{
    (void)disk;
    return link(from, to) != 0 ? failed(err, "cannot give a file another name", to) : HUB_OK;
}

static enum hub_result disk_unlink(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    (void)disk;
    return unlink(path) != 0 ? failed(err, "cannot remove a file", path) : HUB_OK;
}

static enum hub_result disk_mkdir(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    (void)disk;
    char part[4096];
    int len = snprintf(part, sizeof part, "%s", path);
    if (len < 0 || (size_t)len >= sizeof part)
        return hub_fail(err, HUB_IO, "a path is too long", NULL);
    for (char *c = part + 1;; c++) {
        char was = *c;
        if (was != '/' && was != '\0')
            continue;
        *c = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return failed(err, "cannot make a folder", part);
        *c = was;
        if (was == '\0')
            return HUB_OK;
    }
}

static enum hub_result disk_free_bytes(struct hub_disk *disk, const char *path, uint64_t *bytes,
                                       struct hub_error *err)
{
    (void)disk;
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return failed(err, "cannot read the free space", path);
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return HUB_OK;
}

static void disk_close(struct hub_disk *disk, int fd)
{
    (void)disk;
    (void)close(fd);
}

struct hub_disk *hub_disk_system(void)
{
    static const struct hub_disk_ops ops = {
        .open = disk_open,
        .write = disk_write,
        .read = disk_read,
        .size = disk_size,
        .truncate = disk_truncate,
        .sync = disk_sync,
        .sync_dir = disk_sync_dir,
        .rename = disk_rename,
        .link = disk_link,
        .unlink = disk_unlink,
        .mkdir = disk_mkdir,
        .free_bytes = disk_free_bytes,
        .close = disk_close,
        .begin_sync = disk_begin_sync,
    };
    static struct hub_disk disk = {.ops = &ops};
    return &disk;
}

void hub_disk_begin_sync(struct hub_disk *disk, int fd)
{
    if (disk->ops->begin_sync != NULL)
        disk->ops->begin_sync(disk, fd);
}

enum hub_result hub_disk_replace(struct hub_disk *disk, const char *path, struct hub_span bytes, struct hub_error *err)
{
    char temp[4096];
    char folder[4096];
    int len = snprintf(temp, sizeof temp, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof temp)
        return hub_fail(err, HUB_IO, "a path is too long", NULL);
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        (void)snprintf(folder, sizeof folder, ".");
    else
        slash[slash == folder ? 1 : 0] = '\0';
    int fd = -1;
    HUB_TRY(disk->ops->open(disk, temp, HUB_DISK_WRITE, &fd, err));
    enum hub_result result = disk->ops->truncate(disk, fd, 0, err);
    if (result == HUB_OK)
        result = disk->ops->write(disk, fd, 0, bytes, err);
    if (result == HUB_OK)
        result = disk->ops->sync(disk, fd, err);
    disk->ops->close(disk, fd);
    hub_crash_point(HUB_CRASH_BEFORE_REPLACE);
    if (result == HUB_OK)
        result = disk->ops->rename(disk, temp, path, err);
    hub_crash_point(HUB_CRASH_AFTER_REPLACE);
    if (result == HUB_OK)
        result = disk->ops->sync_dir(disk, folder, err);
    return result;
}
