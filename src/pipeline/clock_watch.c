#include "src/pipeline/clock_watch.h"

#include <stdio.h>
#include <string.h>

#include "src/base/diag.h"
#include "src/crypto/state_file.h"

static const char component[] = "clock";
static const char title[] = "chartline clock 1";
static const int64_t second_us = 1000000;
static const int64_t jump_us = 5 * INT64_C(1000000);        /* more than time servers correct in one go */
static const int64_t ahead_us = 3600 * INT64_C(1000000);    /* a restart is not worth a word */
static const int64_t store_every_us = 60 * INT64_C(1000000);

enum { FILE_MAX = 512 };

/* --- the file --- */

static enum hub_result read_file(struct hub_clock_watch *watch, int64_t *passed_us, struct hub_error *err)
{
    uint8_t text[FILE_MAX];
    size_t got = 0;
    int fd = -1;
    struct hub_span rest;
    struct hub_span time;
    HUB_TRY(watch->disk->ops->open(watch->disk, watch->path, HUB_DISK_READ, &fd, err));
    enum hub_result result = watch->disk->ops->read(watch->disk, fd, 0, text, sizeof(text), &got, err);
    watch->disk->ops->close(watch->disk, fd);
    HUB_TRY(result);
    bool good = hub_state_file_open(hub_span_of(text, got), title, &rest) == HUB_OK &&
                hub_state_file_take(&rest, "passed", &time) &&
                hub_time_parse((const char *)time.ptr, time.len, passed_us) == 0;
    return good ? HUB_OK : HUB_NOT_FOUND;
}

/* What is not stored is seen as a longer stop at the next start: retention waits longer, never less. */
static void store(struct hub_clock_watch *watch)
{
    char time[HUB_TIME_TEXT_LEN + 1];
    struct hub_error err = {0};
    struct hub_buf text;
    hub_buf_init(&text, FILE_MAX, false);
    hub_time_format(watch->passed_us, time);
    hub_state_file_begin(&text, title);
    hub_state_file_text(&text, "passed", hub_span_str(time));
    hub_state_file_end(&text);
    if (hub_buf_result(&text) == HUB_OK &&
        hub_disk_replace(watch->disk, watch->path, hub_buf_view(&text), &err) == HUB_OK)
        watch->stored_us = watch->passed_us;
    hub_buf_deinit(&text);
}

/* --- looking --- */

const char *hub_clock_state_name(enum hub_clock_state state)
{
    return state == HUB_CLOCK_OK ? "ok" : state == HUB_CLOCK_BEHIND ? "behind" : "ahead";
}

static void judge(struct hub_clock_watch *watch, int64_t last_us)
{
    enum hub_clock_state before = watch->state;
    int64_t behind = last_us - watch->wall_us;
    int64_t ahead = watch->wall_us - watch->passed_us;
    watch->state = behind > second_us ? HUB_CLOCK_BEHIND : ahead > ahead_us ? HUB_CLOCK_AHEAD : HUB_CLOCK_OK;
    watch->off_us = watch->state == HUB_CLOCK_BEHIND ? behind : watch->state == HUB_CLOCK_AHEAD ? ahead : 0;
    if (watch->state == before)
        return;
    int64_t seconds = watch->off_us / second_us;
    switch (watch->state) {
    case HUB_CLOCK_OK:
        HUB_DIAG(HUB_DIAG_NOTICE, component, "the clock is well again");
        break;
    case HUB_CLOCK_BEHIND:
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "the clock is behind the last recorded time: recorded times go on from there until it is past it; "
                 "look at the time service",
                 hub_diag_number("seconds", seconds));
        break;
    case HUB_CLOCK_AHEAD:
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "the clock is ahead of the time that was seen passing (it jumped, or the hub stood still): nothing is "
                 "removed by its age sooner for it; look at the time service",
                 hub_diag_number("seconds", seconds));
        break;
    }
}

static void say_jump(int64_t jump)
{
    if (jump < 0)
        HUB_DIAG(HUB_DIAG_WARNING, component, "the clock was set back", hub_diag_number("seconds", -jump / second_us));
    else
        HUB_DIAG(HUB_DIAG_WARNING, component, "the clock was set forward", hub_diag_number("seconds", jump / second_us));
}

void hub_clock_watch_look(struct hub_clock_watch *watch, int64_t last_us)
{
    int64_t wall = hub_clock_wall_us(watch->clock);
    int64_t mono = hub_clock_mono_us(watch->clock);
    (void)pthread_mutex_lock(&watch->lock);
    int64_t passed = mono - watch->mono_us;
    int64_t jump = wall - watch->wall_us - passed;
    watch->wall_us = wall;
    watch->mono_us = mono;
    watch->passed_us = watch->passed_us + 2 * passed < wall ? watch->passed_us + 2 * passed : wall;
    if (jump > jump_us || jump < -jump_us)
        say_jump(jump);
    judge(watch, last_us);
    int64_t unstored = watch->passed_us - watch->stored_us;
    if (unstored >= store_every_us || unstored < 0)
        store(watch);
    (void)pthread_mutex_unlock(&watch->lock);
}

int64_t hub_clock_watch_passed_us(struct hub_clock_watch *watch)
{
    (void)pthread_mutex_lock(&watch->lock);
    int64_t passed = watch->passed_us;
    (void)pthread_mutex_unlock(&watch->lock);
    return passed;
}

enum hub_clock_state hub_clock_watch_state(struct hub_clock_watch *watch, int64_t *off_us)
{
    (void)pthread_mutex_lock(&watch->lock);
    enum hub_clock_state state = watch->state;
    if (off_us != NULL)
        *off_us = watch->off_us;
    (void)pthread_mutex_unlock(&watch->lock);
    return state;
}

/* --- life --- */

enum hub_result hub_clock_watch_open(struct hub_clock_watch *watch, const char *path, const struct hub_clock *clock,
                                     struct hub_disk *disk, int64_t last_us, struct hub_error *err)
{
    int64_t passed = 0;
    HUB_ENSURE((size_t)snprintf(watch->path, sizeof(watch->path), "%s", path) < sizeof(watch->path),
               hub_fail(err, HUB_CONFIG, "the data directory's path is too long", "choose a shorter hub.data_dir"));
    watch->clock = clock;
    watch->disk = disk;
    watch->wall_us = hub_clock_wall_us(clock);
    watch->mono_us = hub_clock_mono_us(clock);
    enum hub_result result = read_file(watch, &passed, err);
    if (result == HUB_NOT_FOUND) /* new, or lost: from the newest record on */
        passed = last_us != 0 ? last_us : watch->wall_us;
    else if (result != HUB_OK)
        return result;
    watch->stored_us = result == HUB_OK ? passed : INT64_MIN / 2;
    watch->passed_us = passed < watch->wall_us ? passed : watch->wall_us;
    watch->state = HUB_CLOCK_OK;
    watch->off_us = 0;
    (void)pthread_mutex_init(&watch->lock, NULL);
    judge(watch, last_us);
    return HUB_OK;
}

void hub_clock_watch_close(struct hub_clock_watch *watch)
{
    if (watch->clock == NULL)
        return;
    if (watch->passed_us != watch->stored_us)
        store(watch);
    (void)pthread_mutex_destroy(&watch->lock);
    watch->clock = NULL;
}
