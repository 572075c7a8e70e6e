/* A disk that fails (struct hub_disk over the real one), for fault tests of whatever writes through the port.
 *
 * Two tools in one:
 *  - the NTH operation that changes something fails, once or from then on, with a chosen result, a write
 *    optionally after half of its bytes; or the power goes at that operation: it and all later ones fail;
 *  - it knows what the platter holds: bytes become durable by a sync of their file, names by a sync of their
 *    folder, and a failed sync forgets what was dirty (as Linux does). fault_disk_power_cut puts the folder
 *    into the state after the power cut: nothing unsynced survived, all of it did, or a random part, block by
 *    block.
 * One folder at a time, flat; any folders when UNTRACKED, then only operations fail. Any thread. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/disk.h"

enum fault_op {
    FAULT_WRITE = 1,
    FAULT_SYNC = 2,
    FAULT_SYNC_DIR = 4,
    FAULT_RENAME = 8,
    FAULT_CREATE = 16,
    FAULT_TRUNCATE = 32,
    FAULT_UNLINK = 64,
    FAULT_ANY = 127,
};

enum fault_survivors { FAULT_KEEP_NOTHING, FAULT_KEEP_ALL, FAULT_KEEP_SOME };

enum { FAULT_FILES_MAX = 512, FAULT_RANGES_MAX = 4096, FAULT_FDS_MAX = 4096, FAULT_BLOCK = 512 };

struct fault_range {
    size_t at, len;
};

struct fault_file {
    uint8_t *durable; /* what the platter holds */
    size_t durable_len;
    uint8_t *current; /* what the page cache shows */
    size_t current_len;
    struct fault_range *dirty;
    size_t dirty_count;
    bool cut_dirty; /* truncated since the last sync, at least down to: */
    size_t cut_to;
    char name[256];         /* "" = none any more */
    char durable_name[256]; /* as the folder on the platter says */
};

struct fault_disk {
    struct hub_disk disk; /* first: the port */
    pthread_mutex_t lock;
    unsigned ops; /* which operations count */
    uint64_t nth; /* 0: none fails */
    bool lasting;
    bool power;             /* at the nth operation the power goes */
    bool half;              /* a failing write first writes half */
    enum hub_result result; /* of a failing operation */
    uint64_t counted;
    bool (*fails)(void); /* instead of NTH: asked at every operation that counts; NULL: not */
    bool untracked;      /* any folders; operations fail, but what would be durable is not known, and syncs do nothing */
    bool dead;           /* the power is gone */
    uint64_t failed;     /* operations that failed on purpose */
    uint64_t free_bytes; /* what free_bytes says, 0 = ask the real disk */
    struct fault_file files[FAULT_FILES_MAX];
    size_t file_count;
    int fds[FAULT_FDS_MAX]; /* index of file + 1 */
};

static inline const char *fault_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static inline struct fault_file *fault_find(struct fault_disk *fault, const char *path)
{
    for (size_t i = 0; i < fault->file_count; i++)
        if (strcmp(fault->files[i].name, fault_base(path)) == 0)
            return &fault->files[i];
    return NULL;
}

static inline void fault_set(uint8_t **bytes, size_t *len, size_t want)
{
    if (want > *len) {
        uint8_t *grown = realloc(*bytes, want);
        if (grown == NULL)
            abort();
        memset(grown + *len, 0, want - *len);
        *bytes = grown;
    }
    *len = want;
}

/* 0 goes on, 1 fails now. */
static inline int fault_now(struct fault_disk *fault, unsigned op)
{
    if (fault->dead)
        return 1;
    if ((fault->ops & op) == 0)
        return 0;
    fault->counted++;
    bool now = fault->fails != NULL ? fault->fails() :
        fault->nth != 0 && (fault->counted == fault->nth || (fault->lasting && fault->counted > fault->nth));
    if (now && fault->power)
        fault->dead = true;
    fault->failed += now;
    return now;
}

static inline enum hub_result fault_fail(struct fault_disk *fault, struct hub_error *err)
{
    return hub_fail(err, fault->dead || fault->result == HUB_OK ? HUB_IO : fault->result, "made to fail",
                    NULL);
}

static inline enum hub_result fault_open(struct hub_disk *disk, const char *path, enum hub_disk_mode mode,
                                         int *fd, struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    enum hub_result result = HUB_OK;
    pthread_mutex_lock(&fault->lock);
    bool creates = mode != HUB_DISK_READ && access(path, F_OK) != 0;
    if (creates ? fault_now(fault, FAULT_CREATE) : fault->dead)
        result = fault_fail(fault, err);
    if (result == HUB_OK)
        result = real->ops->open(real, path, mode, fd, err);
    if (result == HUB_OK && !fault->untracked) {
        struct fault_file *file = fault_find(fault, path);
        if (file == NULL) {
            if (fault->file_count == FAULT_FILES_MAX || *fd >= FAULT_FDS_MAX)
                abort();
            file = &fault->files[fault->file_count++];
            memset(file, 0, sizeof *file);
            file->dirty = calloc(FAULT_RANGES_MAX, sizeof *file->dirty);
            snprintf(file->name, sizeof file->name, "%s", fault_base(path));
            if (!creates) { /* it was there before: all of it is durable */
                struct stat st;
                if (fstat(*fd, &st) != 0)
                    abort();
                memcpy(file->durable_name, file->name, sizeof file->name);
                fault_set(&file->durable, &file->durable_len, (size_t)st.st_size);
                fault_set(&file->current, &file->current_len, (size_t)st.st_size);
                if (st.st_size > 0 && pread(*fd, file->durable, (size_t)st.st_size, 0) != st.st_size)
                    abort();
                if (st.st_size > 0)
                    memcpy(file->current, file->durable, (size_t)st.st_size);
            }
        }
        fault->fds[*fd] = (int)(file - fault->files) + 1;
    }
    pthread_mutex_unlock(&fault->lock);
    return result;
}

static inline struct fault_file *fault_of(struct fault_disk *fault, int fd)
{
    if (fd < 0 || fd >= FAULT_FDS_MAX || fault->fds[fd] == 0)
        abort();
    return &fault->files[fault->fds[fd] - 1];
}

static inline enum hub_result fault_write(struct hub_disk *disk, int fd, uint64_t offset,
                                          struct hub_span bytes, struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    pthread_mutex_lock(&fault->lock);
    int fails = fault_now(fault, FAULT_WRITE);
    enum hub_result result = fails ? fault_fail(fault, err) : HUB_OK;
    if (fails && (fault->half || fault->power))
        bytes.len /= 2;
    else if (fails)
        bytes.len = 0;
    if (bytes.len != 0 && fault->untracked) {
        if (real->ops->write(real, fd, offset, bytes, NULL) != HUB_OK)
            abort();
    } else if (bytes.len != 0) {
        struct fault_file *file = fault_of(fault, fd);
        if (real->ops->write(real, fd, offset, bytes, NULL) != HUB_OK ||
            file->dirty_count == FAULT_RANGES_MAX)
            abort();
        if (file->current_len < offset + bytes.len)
            fault_set(&file->current, &file->current_len, (size_t)offset + bytes.len);
        memcpy(file->current + offset, bytes.ptr, bytes.len);
        file->dirty[file->dirty_count++] = (struct fault_range){(size_t)offset, bytes.len};
    }
    pthread_mutex_unlock(&fault->lock);
    return result;
}

static inline enum hub_result fault_read(struct hub_disk *disk, int fd, uint64_t offset, void *into,
                                         size_t cap, size_t *got, struct hub_error *err)
{
    (void)disk;
    struct hub_disk *real = hub_disk_system();
    return real->ops->read(real, fd, offset, into, cap, got, err);
}

static inline enum hub_result fault_size(struct hub_disk *disk, int fd, uint64_t *size, struct hub_error *err)
{
    (void)disk;
    struct hub_disk *real = hub_disk_system();
    return real->ops->size(real, fd, size, err);
}

static inline enum hub_result fault_truncate(struct hub_disk *disk, int fd, uint64_t size,
                                             struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    pthread_mutex_lock(&fault->lock);
    enum hub_result result =
        fault_now(fault, FAULT_TRUNCATE) ? fault_fail(fault, err) : real->ops->truncate(real, fd, size, err);
    if (result == HUB_OK && !fault->untracked) {
        struct fault_file *file = fault_of(fault, fd);
        fault_set(&file->current, &file->current_len, (size_t)size);
        file->cut_to = !file->cut_dirty || size < file->cut_to ? (size_t)size : file->cut_to;
        file->cut_dirty = true;
        size_t kept = 0;
        for (size_t i = 0; i < file->dirty_count; i++) {
            struct fault_range range = file->dirty[i];
            if (range.at >= size)
                continue;
            if (range.at + range.len > size)
                range.len = (size_t)size - range.at;
            file->dirty[kept++] = range;
        }
        file->dirty_count = kept;
    }
    pthread_mutex_unlock(&fault->lock);
    return result;
}

static inline uint32_t fault_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Dirty bytes to the platter; with SEED only some blocks of them. */
static inline void fault_flush(struct fault_file *file, uint32_t *seed)
{
    if (file->cut_dirty && (seed == NULL || fault_random(seed) % 2 == 0) && file->durable_len > file->cut_to)
        fault_set(&file->durable, &file->durable_len, file->cut_to);
    for (size_t i = 0; i < file->dirty_count; i++) {
        for (size_t at = file->dirty[i].at; at < file->dirty[i].at + file->dirty[i].len;) {
            size_t end = (at / FAULT_BLOCK + 1) * FAULT_BLOCK;
            if (end > file->dirty[i].at + file->dirty[i].len)
                end = file->dirty[i].at + file->dirty[i].len;
            if (seed == NULL || fault_random(seed) % 2 == 0) {
                if (file->durable_len < end)
                    fault_set(&file->durable, &file->durable_len, end);
                memcpy(file->durable + at, file->current + at, end - at);
            }
            at = end;
        }
    }
    file->dirty_count = 0;
    file->cut_dirty = false;
}

static inline enum hub_result fault_sync(struct hub_disk *disk, int fd, struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    pthread_mutex_lock(&fault->lock);
    struct fault_file *file = fault->untracked ? NULL : fault_of(fault, fd);
    enum hub_result result = fault_now(fault, FAULT_SYNC) ? fault_fail(fault, err) : HUB_OK;
    if (file == NULL) {
        pthread_mutex_unlock(&fault->lock);
        return result;
    }
    if (result == HUB_OK) {
        fault_flush(file, NULL);
    } else if (!fault->dead) { /* pages are clean now, and the bytes were not written */
        file->dirty_count = 0;
        file->cut_dirty = false;
    }
    pthread_mutex_unlock(&fault->lock);
    return result;
}

static inline void fault_sync_names(struct fault_disk *fault)
{
    for (size_t i = 0; i < fault->file_count; i++)
        memcpy(fault->files[i].durable_name, fault->files[i].name, sizeof fault->files[i].name);
}

static inline enum hub_result fault_sync_dir(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    (void)path;
    pthread_mutex_lock(&fault->lock);
    enum hub_result result = fault_now(fault, FAULT_SYNC_DIR) ? fault_fail(fault, err) : HUB_OK;
    if (result == HUB_OK && !fault->untracked)
        fault_sync_names(fault);
    pthread_mutex_unlock(&fault->lock);
    return result;
}

static inline enum hub_result fault_rename(struct hub_disk *disk, const char *from, const char *to,
                                           struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    pthread_mutex_lock(&fault->lock);
    enum hub_result result =
        fault_now(fault, FAULT_RENAME) ? fault_fail(fault, err) : real->ops->rename(real, from, to, err);
    if (result == HUB_OK && !fault->untracked) {
        struct fault_file *replaced = fault_find(fault, to);
        struct fault_file *moved = fault_find(fault, from);
        if (replaced != NULL)
            replaced->name[0] = '\0';
        if (moved != NULL)
            snprintf(moved->name, sizeof moved->name, "%s", fault_base(to));
    }
    pthread_mutex_unlock(&fault->lock);
    return result;
}

/* The second name holds what the first one does now; only files that do not change get one. */
static inline enum hub_result fault_link(struct hub_disk *disk, const char *from, const char *to,
                                         struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    pthread_mutex_lock(&fault->lock);
    enum hub_result result =
        fault_now(fault, FAULT_CREATE) ? fault_fail(fault, err) : real->ops->link(real, from, to, err);
    pthread_mutex_unlock(&fault->lock);
    return result;
}

static inline enum hub_result fault_unlink(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    pthread_mutex_lock(&fault->lock);
    enum hub_result result = fault_now(fault, FAULT_UNLINK) ? fault_fail(fault, err) : HUB_OK;
    struct fault_file *file = fault_find(fault, path);
    int fd = -1;
    if (result == HUB_OK && file == NULL && !fault->untracked &&
        access(path, F_OK) == 0) { /* never opened: learn what was there */
        pthread_mutex_unlock(&fault->lock);
        if (fault_open(disk, path, HUB_DISK_READ, &fd, NULL) == HUB_OK)
            real->ops->close(real, fd);
        pthread_mutex_lock(&fault->lock);
        file = fault_find(fault, path);
    }
    if (result == HUB_OK)
        result = real->ops->unlink(real, path, err);
    if (result == HUB_OK && file != NULL)
        file->name[0] = '\0';
    pthread_mutex_unlock(&fault->lock);
    return result;
}

static inline enum hub_result fault_mkdir(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    return fault->dead ? fault_fail(fault, err) : real->ops->mkdir(real, path, err);
}

static inline enum hub_result fault_free_bytes(struct hub_disk *disk, const char *path, uint64_t *bytes,
                                               struct hub_error *err)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    pthread_mutex_lock(&fault->lock);
    *bytes = fault->free_bytes;
    pthread_mutex_unlock(&fault->lock);
    return *bytes != 0 ? HUB_OK : real->ops->free_bytes(real, path, bytes, err);
}

static inline void fault_close(struct hub_disk *disk, int fd)
{
    struct fault_disk *fault = (struct fault_disk *)disk;
    struct hub_disk *real = hub_disk_system();
    pthread_mutex_lock(&fault->lock);
    if (fd >= 0 && fd < FAULT_FDS_MAX)
        fault->fds[fd] = 0;
    real->ops->close(real, fd);
    pthread_mutex_unlock(&fault->lock);
}

/* On the heap (it is large); free with fault_disk_free. */
static inline struct fault_disk *fault_disk_new(void)
{
    static const struct hub_disk_ops ops = {
        .open = fault_open,
        .write = fault_write,
        .read = fault_read,
        .size = fault_size,
        .truncate = fault_truncate,
        .sync = fault_sync,
        .sync_dir = fault_sync_dir,
        .rename = fault_rename,
        .link = fault_link,
        .unlink = fault_unlink,
        .mkdir = fault_mkdir,
        .free_bytes = fault_free_bytes,
        .close = fault_close,
    };
    struct fault_disk *fault = calloc(1, sizeof *fault);
    if (fault == NULL)
        abort();
    fault->disk.ops = &ops;
    fault->ops = FAULT_ANY;
    pthread_mutex_init(&fault->lock, NULL);
    return fault;
}

static inline void fault_disk_free(struct fault_disk *fault)
{
    for (size_t i = 0; fault != NULL && i < fault->file_count; i++) {
        free(fault->files[i].durable);
        free(fault->files[i].current);
        free(fault->files[i].dirty);
    }
    free(fault);
}

/* FOLDER becomes what a machine would find after the power came back. The disk is fresh afterwards (no
 * faults, nothing open). SEED matters for FAULT_KEEP_SOME only. */
static inline void fault_disk_power_cut(struct fault_disk *fault, const char *folder,
                                        enum fault_survivors keep, uint32_t seed)
{
    char path[1024];
    DIR *dir = opendir(folder);
    if (dir == NULL)
        abort();
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            (void)unlink(path);
    }
    closedir(dir);
    uint32_t random = seed * 2654435761u + 12345;
    bool names = keep == FAULT_KEEP_ALL || (keep == FAULT_KEEP_SOME && fault_random(&random) % 2 == 0);
    for (size_t i = 0; i < fault->file_count; i++) {
        struct fault_file *file = &fault->files[i];
        if (keep != FAULT_KEEP_NOTHING)
            fault_flush(file, keep == FAULT_KEEP_SOME ? &random : NULL);
        const char *name = names ? file->name : file->durable_name;
        if (name[0] != '\0') {
            snprintf(path, sizeof path, "%s/%s", folder, name);
            int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (fd < 0 || (file->durable_len != 0 &&
                           pwrite(fd, file->durable, file->durable_len, 0) != (ssize_t)file->durable_len))
                abort();
            close(fd);
        }
        free(file->durable);
        free(file->current);
        free(file->dirty);
    }
    fault->file_count = 0;
    memset(fault->fds, 0, sizeof fault->fds);
    fault->nth = 0;
    fault->counted = 0;
    fault->dead = false;
}
