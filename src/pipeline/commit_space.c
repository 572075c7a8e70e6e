#include "src/pipeline/commit_space.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/diag.h"

enum {
    LOOK_US = 100 * 1000,
    MEASURE_US = 5 * 1000 * 1000,
    HOLD_US = 200 * 1000,
    HOLD_MAX_US = 2 * 1000 * 1000,
    DEPTH_MAX = 8,
};

static const char component[] = "commit";

void hub_commit_space_init(struct hub_commit_space *space, const struct hub_commit_options *options,
                           struct hub_disk *disk, const struct hub_clock *clock)
{
    space->disk = disk;
    space->clock = clock;
    space->data_dir = options->data_dir;
    space->reserve_bytes = options->reserve_bytes;
    space->data_bytes = options->data_bytes;
    space->log_bytes = options->log_bytes;
    space->looked_us = INT64_MIN;
    space->measured_us = INT64_MIN;
    space->hold_until_us = INT64_MIN;
    atomic_init(&space->full, false);
}

/* Bytes of all files below PARENT's folder NAME. Files that vanish meanwhile are no error. */
static uint64_t folder_bytes(int parent, const char *name, int depth)
{
    uint64_t bytes = 0;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISREG(st.st_mode)) /* what a snapshot shares with its store counts once */
            bytes += (uint64_t)st.st_blocks * 512 / (st.st_nlink != 0 ? st.st_nlink : 1);
        else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
            bytes += folder_bytes(fd, entry->d_name, depth + 1);
    }
    (void)closedir(dir);
    return bytes;
}

static bool due(int64_t now, int64_t last, int64_t every)
{
    return last == INT64_MIN || now - last >= every;
}

static void look(struct hub_commit_space *space, const struct hub_log *log, int64_t now)
{
    if (due(now, space->looked_us, LOOK_US)) {
        if (space->disk->ops->free_bytes(space->disk, space->data_dir, &space->free_bytes, NULL) != HUB_OK)
            space->free_bytes = 0; /* not knowing is no reason to go on writing */
        space->looked_us = now;
    }
    if (space->data_bytes != 0 && due(now, space->measured_us, MEASURE_US)) {
        space->used_bytes = folder_bytes(AT_FDCWD, space->data_dir, 0);
        space->used_log_bytes = hub_log_bytes(log);
        space->measured_us = now;
    }
}

static void say(const struct hub_commit_space *space, enum hub_commit_room room, uint64_t log_bytes,
                const struct hub_error *err)
{
    switch (room) {
    case HUB_ROOM_OK:
        HUB_DIAG(HUB_DIAG_NOTICE, component, "there is space again: messages are taken");
        break;
    case HUB_ROOM_RESERVE:
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "no space: free space is below limits.reserve_bytes; senders are not read until there is more (enlarge the "
                 "disk, or remove other files)",
                 hub_diag_number("free_bytes", (int64_t)space->free_bytes),
                 hub_diag_number("reserve_bytes", (int64_t)space->reserve_bytes));
        break;
    case HUB_ROOM_DATA_QUOTA:
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "no space: the data directory has reached limits.data_bytes; senders are not read until it is smaller (raise "
                 "it, or `chartline log retain`)",
                 hub_diag_number("used_bytes", (int64_t)space->used_bytes),
                 hub_diag_number("data_bytes", (int64_t)space->data_bytes));
        break;
    case HUB_ROOM_LOG_QUOTA:
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "no space: the event log has reached limits.log_bytes; senders are not read until it is smaller (raise it, or "
                 "`chartline log retain`)",
                 hub_diag_number("log_bytes", (int64_t)log_bytes), hub_diag_number("quota", (int64_t)space->log_bytes));
        break;
    case HUB_ROOM_DISK:
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "no space: the disk of the event log is full; senders are not read until it is not (make room)",
                 hub_diag_error(err));
        break;
    case HUB_ROOM_INDEX:
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "the message index cannot be written: nothing is stored until it can (make room; look at the disk)",
                 hub_diag_error(err));
        break;
    }
}

static void tell(struct hub_commit_space *space, enum hub_commit_room room, uint64_t log_bytes, const struct hub_error *err)
{
    atomic_store(&space->room, room);
    if (space->told == (room != HUB_ROOM_OK))
        return;
    space->told = room != HUB_ROOM_OK;
    say(space, room, log_bytes, err);
}

static enum hub_commit_room room_for(struct hub_commit_space *space, const struct hub_log *log, uint64_t coming)
{
    uint64_t log_bytes = hub_log_bytes(log);
    /* between two looks what was written is known; what was retired is seen at the next one */
    uint64_t grown = log_bytes > space->used_log_bytes ? log_bytes - space->used_log_bytes : 0;
    if (space->free_bytes < space->reserve_bytes || space->free_bytes - space->reserve_bytes < coming)
        return HUB_ROOM_RESERVE;
    if (space->data_bytes != 0 && space->used_bytes + grown + coming > space->data_bytes)
        return HUB_ROOM_DATA_QUOTA;
    if (space->log_bytes != 0 && log_bytes + coming > space->log_bytes)
        return HUB_ROOM_LOG_QUOTA;
    return HUB_ROOM_OK;
}

bool hub_commit_space_full(struct hub_commit_space *space, const struct hub_log *log, uint64_t coming)
{
    int64_t now = hub_clock_mono_us(space->clock);
    bool held = now < space->hold_until_us;
    enum hub_commit_room room = HUB_ROOM_OK;
    if (space->data_dir != NULL) {
        look(space, log, now);
        room = room_for(space, log, coming > space->wanted ? coming : space->wanted);
        if (room == HUB_ROOM_OK && !held)
            space->free_bytes -= coming;
        space->wanted = room == HUB_ROOM_OK ? 0 : coming > space->wanted ? coming : space->wanted;
    }
    enum hub_commit_room before = atomic_load(&space->room);
    bool by_write = before == HUB_ROOM_DISK || before == HUB_ROOM_INDEX; /* only a write can say that there is room */
    if (room != HUB_ROOM_OK || !by_write)
        tell(space, room, hub_log_bytes(log), NULL);
    bool full = held || room != HUB_ROOM_OK;
    atomic_store(&space->full, full);
    return full;
}

void hub_commit_space_ran_out(struct hub_commit_space *space, enum hub_commit_room room, const struct hub_error *err)
{
    space->hold_us = space->hold_us == 0              ? HOLD_US
                     : space->hold_us < HOLD_MAX_US / 2 ? space->hold_us * 2
                                                        : HOLD_MAX_US;
    space->hold_until_us = hub_clock_mono_us(space->clock) + space->hold_us;
    tell(space, room, 0, err);
    atomic_store(&space->full, true);
}

void hub_commit_space_stored(struct hub_commit_space *space)
{
    space->hold_us = 0;
    if (space->told)
        tell(space, HUB_ROOM_OK, 0, NULL);
}
