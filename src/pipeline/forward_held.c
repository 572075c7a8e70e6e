/* Events that are not as their schema says: a mistake of this program, so they must not leave, and must neither be lost nor
 * stop others. Each is a file beside the forwarder's position, tried again when the forwarder starts. */
#include <dirent.h>
#include <stdio.h>

#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/pipeline/forward_internal.h"

enum { RECORD_DIGITS = 20, PRINT_LEN = 32, NAME_LEN = RECORD_DIGITS + 1 + PRINT_LEN + 5, PATH_CAP = 4096 };

/* <record>-<start of the SHA-256 of the event in hex>.json: the same event of the same record has the same name. */
static void name_of(uint64_t record, struct hub_span event, char out[HUB_FORWARD_HELD_NAME])
{
    uint8_t hash[HUB_HASH_LEN];
    char print[2 * HUB_HASH_LEN + 1];
    hub_sha256_of(event, hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), print, sizeof print);
    (void)snprintf(out, HUB_FORWARD_HELD_NAME, "%020llu-%.*s.json", (unsigned long long)record, PRINT_LEN, print);
}

static bool parse_name(const char *name, uint64_t *record)
{
    return strlen(name) == NAME_LEN && name[RECORD_DIGITS] == '-' && strcmp(name + NAME_LEN - 5, ".json") == 0 &&
           hub_span_parse_u64(hub_span_of(name, RECORD_DIGITS), record);
}

static enum hub_result path_of(const struct hub_forward_held *held, const char *name, char out[PATH_CAP], struct hub_error *err)
{
    int len = snprintf(out, PATH_CAP, "%s/%s", held->folder, name);
    return len > 0 && len < PATH_CAP ? HUB_OK : hub_fail(err, HUB_CONFIG, "the data directory's path is too long", NULL);
}

enum hub_result hub_forward_held_open(struct hub_forward_held *held, struct hub_disk *disk, const char *folder,
                                      struct hub_error *err)
{
    held->disk = disk;
    int len = snprintf(held->folder, sizeof held->folder, "%s/held", folder);
    HUB_ENSURE(len > 0 && (size_t)len < sizeof held->folder,
               hub_fail(err, HUB_CONFIG, "the data directory's path is too long", NULL));
    DIR *dir = opendir(held->folder);
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        uint64_t record;
        if (held->count < HUB_FORWARD_HELD_MAX && parse_name(entry->d_name, &record)) {
            struct hub_forward_held_item *item = &held->items[held->count++];
            item->record = record;
            (void)snprintf(item->name, sizeof item->name, "%s", entry->d_name);
        }
    }
    if (dir != NULL)
        (void)closedir(dir);
    return HUB_OK;
}

enum hub_result hub_forward_held_add(struct hub_forward_held *held, uint64_t record, struct hub_span event,
                                     struct hub_error *err)
{
    char path[PATH_CAP], name[HUB_FORWARD_HELD_NAME];
    name_of(record, event, name);
    for (size_t i = 0; i < held->count; i++)
        if (strcmp(held->items[i].name, name) == 0)
            return HUB_EXISTS;
    if (held->count == HUB_FORWARD_HELD_MAX)
        return hub_fail(err, HUB_TOO_MANY, "too many events are not as their schema says: nothing more is sent",
                        "report it, and start a version that mends it; the events are in forward/held and the event log");
    HUB_TRY(path_of(held, name, path, err));
    HUB_TRY(held->disk->ops->mkdir(held->disk, held->folder, err));
    HUB_TRY(hub_disk_replace(held->disk, path, event, err));
    held->items[held->count].record = record;
    memcpy(held->items[held->count++].name, name, sizeof name);
    return HUB_OK;
}

enum hub_result hub_forward_held_read(const struct hub_forward_held *held, size_t index, struct hub_buf *out,
                                      struct hub_error *err)
{
    char path[PATH_CAP];
    uint64_t size = 0;
    size_t len = 0;
    int fd = -1;
    struct hub_disk *disk = held->disk;
    HUB_TRY(path_of(held, held->items[index].name, path, err));
    HUB_TRY(disk->ops->open(disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = disk->ops->size(disk, fd, &size, err);
    uint8_t *into = result == HUB_OK ? hub_buf_reserve(out, size) : NULL;
    if (into != NULL)
        result = disk->ops->read(disk, fd, 0, into, size, &len, err);
    else if (result == HUB_OK)
        result = hub_fail(err, HUB_NO_MEMORY, "no memory for an event that is held back", NULL);
    disk->ops->close(disk, fd);
    out->len += result == HUB_OK ? len : 0;
    return result;
}

enum hub_result hub_forward_held_remove(struct hub_forward_held *held, size_t index, struct hub_error *err)
{
    char path[PATH_CAP];
    HUB_TRY(path_of(held, held->items[index].name, path, err));
    HUB_TRY(held->disk->ops->unlink(held->disk, path, err));
    HUB_TRY(held->disk->ops->sync_dir(held->disk, held->folder, err));
    held->items[index] = held->items[--held->count];
    return HUB_OK;
}

bool hub_forward_held_has(const struct hub_forward_held *held, uint64_t record)
{
    for (size_t i = 0; i < held->count; i++)
        if (held->items[i].record == record)
            return true;
    return false;
}
