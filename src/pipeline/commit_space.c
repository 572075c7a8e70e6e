#include "src/pipeline/commit_space.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOOK_US = 100 * 1000,
    MEASURE_US = 5 * 1000 * 1000,
    HOLD_US = 200 * 1000,
    DEPTH_MAX = 8,
};

void hub_commit_space_init(struct hub_commit_space *space, const struct hub_commit_options *options,
                           struct hub_disk *disk, const struct hub_clock *clock)
{
    space->disk = disk;
    space->clock = clock;
    space->data_dir = options->data_dir;
    space->reserve_bytes = options->reserve_bytes;
    space->data_bytes = options->data_bytes;
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
        if (S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_blocks * 512;
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

bool hub_commit_space_full(struct hub_commit_space *space, const struct hub_log *log, uint64_t coming)
{
    int64_t now = hub_clock_mono_us(space->clock);
    bool full = now < space->hold_until_us;
    if (space->data_dir != NULL) {
        look(space, log, now);
        /* between two looks what was written is known */
        uint64_t grown = hub_log_bytes(log) - space->used_log_bytes;
        bool below_reserve =
            space->free_bytes < space->reserve_bytes || space->free_bytes - space->reserve_bytes < coming;
        bool over_quota = space->data_bytes != 0 && space->used_bytes + grown + coming > space->data_bytes;
        full = full || below_reserve || over_quota;
        if (!full)
            space->free_bytes -= coming;
    }
    atomic_store(&space->full, full);
    return full;
}

void hub_commit_space_ran_out(struct hub_commit_space *space)
{
    space->hold_until_us = hub_clock_mono_us(space->clock) + HOLD_US;
    atomic_store(&space->full, true);
}
