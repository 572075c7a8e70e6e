/* What the hub thinks of a clock that stands, jumps and runs, and what ages count from meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/pipeline/clock_watch.h"
#include "tests/temp_folder.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

static const int64_t start_us = 1795398000000000; /* 2026-11-23 */

struct fixture {
    char folder[512], path[600];
    int64_t wall_us, mono_us;
    struct hub_clock clock;
    struct hub_clock_watch watch;
    struct hub_error err;
};

static enum hub_result no_sync(struct hub_disk *disk, int fd, struct hub_error *err)
{
    (void)disk;
    (void)fd;
    (void)err;
    return HUB_OK;
}

static enum hub_result no_sync_dir(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    (void)disk;
    (void)path;
    (void)err;
    return HUB_OK;
}

/* Days of looks a minute apart would wait for the disk most of the time. */
static struct hub_disk *fast_disk(void)
{
    static struct hub_disk_ops ops;
    static struct hub_disk disk = {&ops};
    ops = *hub_disk_system()->ops;
    ops.sync = no_sync;
    ops.sync_dir = no_sync_dir;
    return &disk;
}

static int64_t wall(void *ctx)
{
    return ((struct fixture *)ctx)->wall_us;
}

static int64_t mono(void *ctx)
{
    return ((struct fixture *)ctx)->mono_us;
}

static void begin(struct fixture *f, int64_t last_us)
{
    assert_int_equal(hub_clock_watch_open(&f->watch, f->path, &f->clock, fast_disk(), last_us, &f->err), HUB_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || temp_folder_new(f->folder) == NULL)
        return -1;
    (void)snprintf(f->path, sizeof f->path, "%s/clock", f->folder);
    f->clock = (struct hub_clock){wall, mono, f};
    f->wall_us = start_us;
    f->mono_us = 5 * SECOND;
    begin(f, 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_clock_watch_close(&f->watch);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

/* Time as it should pass, looked at every half hour. */
static void run(struct fixture *f, int64_t us)
{
    for (int64_t passed = 0; passed < us; passed += HOUR / 2) {
        f->wall_us += HOUR / 2;
        f->mono_us += HOUR / 2;
        hub_clock_watch_look(&f->watch, start_us);
    }
}

/* The process ends and starts again; the monotonic clock starts anywhere. */
static void restart(struct fixture *f, int64_t last_us)
{
    hub_clock_watch_close(&f->watch);
    f->mono_us = 77;
    begin(f, last_us);
}

static enum hub_clock_state state_of(struct fixture *f)
{
    return hub_clock_watch_state(&f->watch, NULL);
}

static int64_t passed(struct fixture *f)
{
    return hub_clock_watch_passed_us(&f->watch);
}

static void a_clock_that_runs_is_what_ages_count_from(void **state)
{
    struct fixture *f = *state;
    run(f, 3 * DAY);
    assert_int_equal(state_of(f), HUB_CLOCK_OK);
    assert_true(passed(f) == f->wall_us);
    restart(f, f->wall_us);
    assert_true(passed(f) == f->wall_us && state_of(f) == HUB_CLOCK_OK);
}

static void a_jump_ahead_makes_nothing_old(void **state)
{
    struct fixture *f = *state;
    int64_t off = 0;
    f->wall_us += 3650 * DAY;
    hub_clock_watch_look(&f->watch, start_us);
    assert_true(passed(f) <= start_us + SECOND);
    assert_int_equal(hub_clock_watch_state(&f->watch, &off), HUB_CLOCK_AHEAD);
    assert_true(off > 3649 * DAY);
    run(f, HOUR);
    assert_true(passed(f) <= start_us + 2 * HOUR);
    restart(f, f->wall_us); /* a restart does not make the jump true, and new records with the clock's time neither */
    assert_true(passed(f) <= start_us + 2 * HOUR);
    assert_int_equal(state_of(f), HUB_CLOCK_AHEAD);
    f->wall_us -= 3650 * DAY; /* put right */
    hub_clock_watch_look(&f->watch, start_us);
    assert_int_equal(state_of(f), HUB_CLOCK_OK);
    assert_true(passed(f) <= f->wall_us);
}

static void a_long_stop_is_caught_up_with_in_the_time_it_took(void **state)
{
    struct fixture *f = *state;
    hub_clock_watch_close(&f->watch);
    f->wall_us += 10 * DAY;
    f->mono_us = 1;
    begin(f, start_us);
    assert_int_equal(state_of(f), HUB_CLOCK_AHEAD);
    run(f, 9 * DAY);
    assert_true(passed(f) < f->wall_us && passed(f) >= start_us + 17 * DAY);
    run(f, 2 * DAY);
    assert_true(passed(f) == f->wall_us);
    assert_int_equal(state_of(f), HUB_CLOCK_OK);
}

static void a_clock_set_back_is_said_until_it_is_past_the_last_recorded_time(void **state)
{
    struct fixture *f = *state;
    int64_t off = 0;
    int64_t last = start_us + SECOND;
    f->wall_us -= 2 * HOUR;
    hub_clock_watch_look(&f->watch, last);
    assert_int_equal(hub_clock_watch_state(&f->watch, &off), HUB_CLOCK_BEHIND);
    assert_true(off == 2 * HOUR + SECOND);
    assert_true(passed(f) == f->wall_us); /* ages never count from a time the clock does not show */
    for (int i = 0; i < 119; i++) {
        f->wall_us += 60 * SECOND;
        f->mono_us += 60 * SECOND;
        hub_clock_watch_look(&f->watch, last);
        assert_int_equal(state_of(f), HUB_CLOCK_BEHIND);
    }
    f->wall_us += 120 * SECOND;
    f->mono_us += 120 * SECOND;
    hub_clock_watch_look(&f->watch, last);
    assert_int_equal(state_of(f), HUB_CLOCK_OK);
    restart(f, f->wall_us + HOUR); /* the same over a restart */
    assert_int_equal(state_of(f), HUB_CLOCK_BEHIND);
}

static void a_clock_that_is_slewed_is_no_news(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++) { /* half a second a minute */
        f->wall_us += 60 * SECOND + SECOND / 2;
        f->mono_us += 60 * SECOND;
        hub_clock_watch_look(&f->watch, start_us);
        assert_int_equal(state_of(f), HUB_CLOCK_OK);
    }
    assert_true(f->wall_us - passed(f) < SECOND);
}

static void a_file_that_is_torn_anywhere_counts_as_none(void **state)
{
    struct fixture *f = *state;
    char text[600];
    run(f, 2 * HOUR);
    hub_clock_watch_close(&f->watch);
    int fd = open(f->path, O_RDWR);
    assert_true(fd >= 0);
    ssize_t len = pread(fd, text, sizeof text, 0);
    assert_true(len > 0);
    for (ssize_t cut = len - 1; cut >= 0; cut--) {
        assert_int_equal(ftruncate(fd, cut), 0);
        begin(f, start_us - DAY); /* from the newest record on: later than the truth, never sooner */
        assert_true(passed(f) == start_us - DAY);
        (void)pthread_mutex_destroy(&f->watch.lock);
        f->watch.clock = NULL;
    }
    close(fd);
    begin(f, start_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_clock_that_runs_is_what_ages_count_from),
        TEST(a_jump_ahead_makes_nothing_old),
        TEST(a_long_stop_is_caught_up_with_in_the_time_it_took),
        TEST(a_clock_set_back_is_said_until_it_is_past_the_last_recorded_time),
        TEST(a_clock_that_is_slewed_is_no_news),
        TEST(a_file_that_is_torn_anywhere_counts_as_none),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
