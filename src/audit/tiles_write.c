/* Writing the files of the tree. A sync waits for the file system's journal, and so does everybody else's sync meanwhile, the event
 * log's first of all; so files are written as they fill and synced together, when a checkpoint is to need them. */
#include <stdio.h>

#include "src/audit/publisher.h"

/* Makes the folder of PATH, every level of it durable. */
static enum hub_result make_folder(struct hub_audit *audit, const struct hub_tile *tile, const char *name, const char *path,
                                   struct hub_error *err)
{
    char *made = audit->made[tile->level + 1];
    const char *slash = strrchr(name, '/');
    size_t len = (size_t)(slash - name);
    if (strncmp(made, name, len) == 0 && made[len] == '\0')
        return HUB_OK;
    char folder[HUB_AUDIT_PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *end = folder + strlen(path) - strlen(name) + len;
    *end = '\0';
    HUB_TRY(audit->disk->ops->mkdir(audit->disk, folder, err));
    while ((end = strrchr(folder, '/')) != NULL && (size_t)(end - folder) >= strlen(audit->folder)) {
        *end = '\0';
        HUB_TRY(audit->disk->ops->sync_dir(audit->disk, folder, err));
    }
    memcpy(made, name, len);
    made[len] = '\0';
    return HUB_OK;
}

/* Whether the file is there with these bytes. */
static bool same_on_disk(struct hub_audit *audit, const char *name, struct hub_span bytes)
{
    struct hub_buf there;
    struct hub_error ignored;
    hub_buf_init(&there, bytes.len + 1, false);
    enum hub_result result = hub_audit_read_file(audit->disk, audit->folder, name, &there, &ignored);
    bool same = result == HUB_OK && hub_span_equal(hub_buf_view(&there), bytes);
    hub_buf_deinit(&there);
    return same;
}

static enum hub_result mark_dirty(struct hub_audit *audit, const char *folder, struct hub_error *err)
{
    for (size_t i = 0; i < audit->dirty_count; i++) {
        if (strcmp(audit->dirty[i], folder) == 0)
            return HUB_OK;
    }
    if (audit->dirty_count == HUB_AUDIT_DIRTY_MAX)
        HUB_TRY(hub_audit_write_settle(audit, err));
    (void)snprintf(audit->dirty[audit->dirty_count++], HUB_TILE_PATH_MAX, "%s", folder);
    return HUB_OK;
}

/* "<path>.new" and the path itself. */
static enum hub_result paths_of(struct hub_audit *audit, const struct hub_tile *tile, char temp[HUB_AUDIT_PATH_MAX],
                                char path[HUB_AUDIT_PATH_MAX], struct hub_error *err)
{
    char name[HUB_TILE_PATH_MAX];
    hub_tile_path(tile, name);
    HUB_TRY(hub_audit_path(audit->folder, name, path, err));
    if ((size_t)snprintf(temp, HUB_AUDIT_PATH_MAX, "%s.new", path) >= HUB_AUDIT_PATH_MAX)
        return hub_fail(err, HUB_IO, "a path is too long", NULL);
    return HUB_OK;
}

static enum hub_result write_pending(struct hub_audit *audit, const struct hub_tile *tile, struct hub_span bytes, struct hub_error *err)
{
    struct hub_disk *disk = audit->disk;
    char temp[HUB_AUDIT_PATH_MAX], path[HUB_AUDIT_PATH_MAX];
    int fd = -1;
    HUB_TRY(paths_of(audit, tile, temp, path, err));
    HUB_TRY(disk->ops->open(disk, temp, HUB_DISK_WRITE, &fd, err));
    enum hub_result result = disk->ops->truncate(disk, fd, 0, err);
    if (result == HUB_OK)
        result = disk->ops->write(disk, fd, 0, bytes, err);
    if (result != HUB_OK) {
        disk->ops->close(disk, fd);
        return result;
    }
    audit->pending[audit->pending_count].fd = fd;
    audit->pending[audit->pending_count++].tile = *tile;
    return HUB_OK;
}

/* A step that failed half way writes its files again: the same tile has the same bytes. */
static bool is_pending(const struct hub_audit *audit, const struct hub_tile *tile)
{
    for (size_t i = 0; i < audit->pending_count; i++) {
        const struct hub_tile *other = &audit->pending[i].tile;
        if (other->level == tile->level && other->n == tile->n && other->width == tile->width)
            return true;
    }
    return false;
}

enum hub_result hub_audit_write_tile(struct hub_audit *audit, const struct hub_tile *tile, struct hub_span bytes, struct hub_error *err)
{
    char name[HUB_TILE_PATH_MAX];
    char path[HUB_AUDIT_PATH_MAX];
    if (is_pending(audit, tile))
        return HUB_OK;
    hub_tile_path(tile, name);
    if (audit->mending) {
        if (same_on_disk(audit, name, bytes))
            return HUB_OK;
        audit->mended += tile->width == hub_tile_width(tile->level, tile->n, atomic_load(&audit->signed_size));
    }
    if (audit->pending_count == HUB_AUDIT_PENDING_MAX)
        HUB_TRY(hub_audit_write_settle(audit, err));
    HUB_TRY(hub_audit_path(audit->folder, name, path, err));
    HUB_TRY(make_folder(audit, tile, name, path, err));
    HUB_TRY(mark_dirty(audit, audit->made[tile->level + 1], err));
    return write_pending(audit, tile, bytes, err);
}

static enum hub_result sync_files(struct hub_audit *audit, struct hub_error *err)
{
    for (size_t i = 0; i < audit->pending_count; i++)
        hub_disk_begin_sync(audit->disk, audit->pending[i].fd);
    for (size_t i = 0; i < audit->pending_count; i++)
        HUB_TRY(audit->disk->ops->sync(audit->disk, audit->pending[i].fd, err));
    return HUB_OK;
}

static enum hub_result name_files(struct hub_audit *audit, struct hub_error *err)
{
    char temp[HUB_AUDIT_PATH_MAX], path[HUB_AUDIT_PATH_MAX];
    for (size_t i = 0; i < audit->pending_count; i++) {
        HUB_TRY(paths_of(audit, &audit->pending[i].tile, temp, path, err));
        HUB_TRY(audit->disk->ops->rename(audit->disk, temp, path, err));
    }
    for (size_t i = 0; i < audit->dirty_count; i++) {
        HUB_TRY(hub_audit_path(audit->folder, audit->dirty[i], path, err));
        HUB_TRY(audit->disk->ops->sync_dir(audit->disk, path, err));
    }
    return HUB_OK;
}

enum hub_result hub_audit_write_settle(struct hub_audit *audit, struct hub_error *err)
{
    enum hub_result result = sync_files(audit, err);
    if (result == HUB_OK)
        result = name_files(audit, err);
    audit->unsure = audit->unsure || result != HUB_OK;
    hub_audit_write_drop(audit);
    return result;
}

void hub_audit_write_drop(struct hub_audit *audit)
{
    while (audit->pending_count != 0)
        audit->disk->ops->close(audit->disk, audit->pending[--audit->pending_count].fd);
    audit->dirty_count = 0;
}
