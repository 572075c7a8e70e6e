/* The disk port: every durable write of the event log, the audit files and the checkpoints goes through
 * here, so that tests can make the nth operation fail, cut writes short or throw unsynced ones away.
 * Any thread; a file handle belongs to one thread at a time.
 *
 * All results are HUB_OK, HUB_NOT_FOUND, HUB_EXISTS, HUB_QUOTA (ENOSPC, EDQUOT) or HUB_IO; ERR (may be
 * NULL) gets the path and errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/result.h"
#include "src/base/span.h"

struct hub_disk;

enum hub_disk_mode {
    HUB_DISK_READ,
    HUB_DISK_CREATE, /* a new file, HUB_EXISTS if there; 0600 */
    HUB_DISK_WRITE,  /* read and write, created when absent; 0600 */
};

struct hub_disk_ops {
    enum hub_result (*open)(struct hub_disk *disk, const char *path, enum hub_disk_mode mode, int *fd, struct hub_error *err);
    /* Writes all of BYTES at OFFSET or fails. */
    enum hub_result (*write)(struct hub_disk *disk, int fd, uint64_t offset, struct hub_span bytes, struct hub_error *err);
    /* Reads up to CAP bytes at OFFSET; *got may be short only at the end of the file. */
    enum hub_result (*read)(struct hub_disk *disk, int fd, uint64_t offset, void *into, size_t cap, size_t *got, struct hub_error *err);
    enum hub_result (*size)(struct hub_disk *disk, int fd, uint64_t *size, struct hub_error *err);
    enum hub_result (*truncate)(struct hub_disk *disk, int fd, uint64_t size, struct hub_error *err);
    enum hub_result (*sync)(struct hub_disk *disk, int fd, struct hub_error *err);          /* fdatasync */
    enum hub_result (*sync_dir)(struct hub_disk *disk, const char *path, struct hub_error *err); /* fsync of a folder */
    enum hub_result (*rename)(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err);
    /* TO becomes another name of the file FROM. HUB_NOT_FOUND, HUB_EXISTS; HUB_IO also where the file system has no links. */
    enum hub_result (*link)(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err);
    enum hub_result (*unlink)(struct hub_disk *disk, const char *path, struct hub_error *err);
    enum hub_result (*mkdir)(struct hub_disk *disk, const char *path, struct hub_error *err); /* 0700, parents too, OK if there */
    enum hub_result (*free_bytes)(struct hub_disk *disk, const char *path, uint64_t *bytes, struct hub_error *err);
    void (*close)(struct hub_disk *disk, int fd);
    void (*begin_sync)(struct hub_disk *disk, int fd); /* hub_disk_begin_sync; may be NULL */
};

struct hub_disk {
    const struct hub_disk_ops *ops;
};

/* The real one; static storage. */
struct hub_disk *hub_disk_system(void);

/* Begins to write out what FD holds, without waiting: syncs of several files go on side by side. Only a hint; the sync decides. */
void hub_disk_begin_sync(struct hub_disk *disk, int fd);

/* Writes PATH whole: a temporary file beside it, sync, rename, sync of the folder. */
enum hub_result hub_disk_replace(struct hub_disk *disk, const char *path, struct hub_span bytes, struct hub_error *err) HUB_MUST_USE;
