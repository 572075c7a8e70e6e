#include "src/audit/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "src/base/mem.h"

enum { WALK_DEPTH_MAX = 16 };

enum hub_result hub_audit_path(const char *folder, const char *name, char out[HUB_AUDIT_PATH_MAX], struct hub_error *err)
{
    int len = folder == NULL ? snprintf(out, HUB_AUDIT_PATH_MAX, "%s", name)
                             : snprintf(out, HUB_AUDIT_PATH_MAX, "%s/%s", folder, name);
    if (len < 0 || len >= HUB_AUDIT_PATH_MAX)
        return hub_fail(err, HUB_IO, "a path is too long", NULL);
    return HUB_OK;
}

enum hub_result hub_audit_read_file(struct hub_disk *disk, const char *folder, const char *name, struct hub_buf *out,
                                    struct hub_error *err)
{
    char path[HUB_AUDIT_PATH_MAX];
    enum hub_result result;
    int fd = -1;
    uint64_t size;
    size_t got;
    hub_buf_reset(out);
    HUB_TRY(hub_audit_path(folder, name, path, err));
    HUB_TRY(disk->ops->open(disk, path, HUB_DISK_READ, &fd, err));
    HUB_TRY_OUT(disk->ops->size(disk, fd, &size, err));
    uint8_t *to = size < SIZE_MAX ? hub_buf_reserve(out, (size_t)size) : NULL;
    if (to == NULL) {
        result = hub_fail(err, out->failed != HUB_OK ? out->failed : HUB_TOO_LARGE, "a file is larger than it can be", NULL);
        goto out;
    }
    HUB_TRY_OUT(disk->ops->read(disk, fd, 0, to, (size_t)size, &got, err));
    out->len = got;
out:
    disk->ops->close(disk, fd);
    if (result != HUB_OK)
        (void)hub_error_in(err, path, 0);
    return result;
}

struct walk {
    enum hub_result (*callback)(void *ctx, const char *path);
    void *ctx;
    size_t root_len; /* of "<folder>/" */
    struct hub_error *err;
};

static enum hub_result walk_folder(struct walk *walk, char path[HUB_AUDIT_PATH_MAX], unsigned depth);

static enum hub_result walk_child(struct walk *walk, char path[HUB_AUDIT_PATH_MAX], const char *name, unsigned depth)
{
    size_t len = strlen(path);
    struct stat st;
    enum hub_result result = HUB_OK;
    int added = snprintf(path + len, HUB_AUDIT_PATH_MAX - len, "/%s", name);
    if (added < 0 || (size_t)added >= HUB_AUDIT_PATH_MAX - len || depth >= WALK_DEPTH_MAX)
        result = hub_fail(walk->err, HUB_IO, "a path is too long", NULL);
    else if (lstat(path, &st) != 0) /* gone meanwhile: a partial tile that a running hub replaced */
        result = errno == ENOENT ? HUB_OK : hub_fail_errno(walk->err, HUB_IO, "cannot read a file's size", errno);
    else if (S_ISDIR(st.st_mode))
        result = walk_folder(walk, path, depth + 1);
    else
        result = walk->callback(walk->ctx, path + walk->root_len);
    path[len] = '\0';
    return result;
}

static enum hub_result walk_folder(struct walk *walk, char path[HUB_AUDIT_PATH_MAX], unsigned depth)
{
    enum hub_result result = HUB_OK;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? HUB_OK : hub_fail_errno(walk->err, HUB_IO, "cannot open a folder", errno);
    for (struct dirent *entry = readdir(dir); entry != NULL && result == HUB_OK; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = walk_child(walk, path, entry->d_name, depth);
    }
    (void)closedir(dir);
    return result;
}

enum hub_result hub_audit_walk(const char *folder, enum hub_result (*callback)(void *ctx, const char *path), void *ctx,
                               struct hub_error *err)
{
    char path[HUB_AUDIT_PATH_MAX];
    struct walk walk = {.callback = callback, .ctx = ctx, .root_len = strlen(folder) + 1, .err = err};
    HUB_TRY(hub_audit_path(folder, "tile", path, err));
    return walk_folder(&walk, path, 0);
}

struct hub_tiles *hub_tiles_new(struct hub_disk *disk, const char *folder, uint64_t size)
{
    struct hub_tiles *tiles = hub_mem_alloc(sizeof *tiles);
    if (tiles == NULL)
        return NULL;
    tiles->disk = disk;
    tiles->folder = folder;
    tiles->size = size;
    hub_buf_init(&tiles->file, HUB_BUNDLE_BYTES_MAX, false);
    return tiles;
}

void hub_tiles_free(struct hub_tiles *tiles)
{
    if (tiles == NULL)
        return;
    hub_buf_deinit(&tiles->file);
    hub_mem_free(tiles);
}

/* The file of TILE; when a partial one is gone, the full one (C2SP tlog-tiles, "Partial tiles"). */
static enum hub_result read_tile(struct hub_tiles *tiles, struct hub_tile *tile, struct hub_error *err)
{
    char path[HUB_TILE_PATH_MAX];
    hub_tile_path(tile, path);
    enum hub_result result = hub_audit_read_file(tiles->disk, tiles->folder, path, &tiles->file, err);
    if (result != HUB_NOT_FOUND || tile->width == HUB_TILE_WIDTH)
        return result;
    struct hub_tile full = {.level = tile->level, .n = tile->n, .width = HUB_TILE_WIDTH};
    struct hub_error ignored; /* ERR keeps the name of the file that should be there */
    hub_tile_path(&full, path);
    result = hub_audit_read_file(tiles->disk, tiles->folder, path, &tiles->file, &ignored);
    if (result == HUB_OK)
        *tile = full;
    return result == HUB_OK ? HUB_OK : HUB_NOT_FOUND;
}

enum hub_result hub_tiles_hashes(struct hub_tiles *tiles, int level, uint64_t n, const struct hub_merkle_hash **hashes,
                                 unsigned *width, struct hub_error *err)
{
    HUB_ASSERT(level >= 0 && level < HUB_TILE_LEVELS);
    struct hub_tiles_cache *cache = &tiles->cache[level];
    if (!cache->loaded || cache->n != n) {
        struct hub_tile tile = {.level = level, .n = n, .width = hub_tile_width(level, n, tiles->size)};
        unsigned wanted = tile.width;
        HUB_ASSERT(wanted != 0);
        cache->loaded = false;
        HUB_TRY(read_tile(tiles, &tile, err));
        if (tiles->file.len != (size_t)tile.width * HUB_HASH_LEN)
            return hub_fail(err, HUB_CORRUPT, "a tile does not have the length of its hashes", NULL);
        hub_tiles_put(tiles, level, n, (const struct hub_merkle_hash *)(const void *)tiles->file.ptr, wanted);
    }
    *hashes = cache->hashes;
    *width = cache->width;
    return HUB_OK;
}

void hub_tiles_put(struct hub_tiles *tiles, int level, uint64_t n, const struct hub_merkle_hash *hashes, unsigned width)
{
    struct hub_tiles_cache *cache = &tiles->cache[level];
    cache->loaded = true;
    cache->n = n;
    cache->width = width;
    memcpy(cache->hashes, hashes, (size_t)width * sizeof *hashes);
}

enum hub_result hub_tiles_bundle(struct hub_tiles *tiles, uint64_t n, struct hub_span *bytes, unsigned *width, bool *exact,
                                 struct hub_error *err)
{
    struct hub_tile tile = {.level = HUB_TILE_ENTRIES, .n = n, .width = hub_tile_width(HUB_TILE_ENTRIES, n, tiles->size)};
    HUB_ASSERT(tile.width != 0);
    *width = tile.width;
    HUB_TRY(read_tile(tiles, &tile, err));
    *exact = tile.width == *width;
    *bytes = hub_buf_view(&tiles->file);
    return HUB_OK;
}

enum hub_result hub_tiles_node(void *ctx, unsigned level, uint64_t index, struct hub_merkle_hash *out, struct hub_error *err)
{
    struct hub_tiles *tiles = ctx;
    unsigned inside = level % 8; /* a node between two tile levels: 2^inside hashes of the lower one */
    uint64_t first = index << inside;
    const struct hub_merkle_hash *hashes;
    unsigned width;
    HUB_TRY(hub_tiles_hashes(tiles, (int)(level / 8), first / HUB_TILE_WIDTH, &hashes, &width, err));
    size_t at = first % HUB_TILE_WIDTH;
    HUB_ASSERT(at + (UINT64_C(1) << inside) <= width);
    hub_merkle_root_of(hashes + at, (size_t)1 << inside, out);
    return HUB_OK;
}
