/* The event log on a disk that fails: whatever fails, and wherever the power goes, what was acknowledged is
 * there, and what is there is what was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/diag.h"
#include "src/log/log.h"
#include "tests/fault/fault_disk.h"
#include "tests/temp_folder.h"

static const struct hub_log_options options = {.segment_bytes = 1500, .record_bytes_max = 20000};

enum { GROUPS = 8, SEEDS = 4 };

struct fixture {
    char folder[512];
    struct fault_disk *disk;
    struct hub_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || temp_folder_new(f->folder) == NULL)
        return -1;
    f->disk = fault_disk_new();
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fault_disk_free(f->disk);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

/* An empty folder and a fresh disk. */
static void begin(struct fixture *f)
{
    temp_folder_remove(f->folder);
    assert_int_equal(mkdir(f->folder, 0700), 0);
    fault_disk_free(f->disk);
    f->disk = fault_disk_new();
}

static struct hub_span content(uint64_t n, char out[400])
{
    size_t len = 30 + (size_t)(n * 53 % 340);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)('A' + (n * 7 + i) % 50);
    return hub_span_of(out, len);
}

struct run {
    uint64_t acknowledged;  /* last record number that a sync said OK to */
    uint64_t written;       /* last number appended */
    uint64_t shown;         /* durable when it was opened */
    enum hub_result result; /* of the first failure */
};

/* Opens, appends groups, closes. Stops at the first failure, after seeing that the log refuses from then on.
 */
static struct run work(struct fixture *f)
{
    struct run run = {0};
    struct hub_log *log = NULL;
    char text[400];
    run.result = hub_log_open(f->folder, &f->disk->disk, &options, &log, &f->err);
    if (run.result != HUB_OK)
        return run;
    run.shown = hub_log_durable(log);
    run.acknowledged = run.written = run.shown;
    for (int group = 0; group < GROUPS && run.result == HUB_OK; group++) {
        for (int i = 0; i <= group % 3 && run.result == HUB_OK; i++) {
            struct hub_span part = content(run.written + 1, text);
            uint64_t number = 0;
            run.result = hub_log_append(log, &part, 1, &number, &f->err);
            if (run.result == HUB_OK)
                run.written = number;
        }
        if (run.result == HUB_OK)
            run.result = hub_log_sync(log, &f->err);
        if (run.result == HUB_OK)
            run.acknowledged = run.written;
    }
    assert_true(hub_log_durable(log) == run.acknowledged);
    struct hub_span part = content(1, text);
    if (run.result == HUB_IO) { /* for ever, also when the disk is well again */
        assert_int_equal(hub_log_append(log, &part, 1, NULL, &f->err), HUB_IO);
        assert_int_equal(hub_log_sync(log, &f->err), HUB_IO);
    }
    hub_log_close(log, run.result == HUB_OK);
    return run;
}

/* What is there: a prefix of what was written, at least LEAST and at most MOST records, each as it was. */
static uint64_t check(struct fixture *f, uint64_t least, uint64_t most)
{
    struct hub_log *log = NULL;
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    uint64_t count = 0;
    char text[400];
    enum hub_result result = hub_log_open(f->folder, &f->disk->disk, &options, &log, &f->err);
    if (result != HUB_OK) {
        char line[400];
        (void)hub_error_print(&f->err, line, sizeof line);
        print_error("%s\n", line);
    }
    assert_int_equal(result, HUB_OK);
    assert_int_equal(hub_log_reader_open(log, 1, &reader, &f->err), HUB_OK);
    while ((result = hub_log_reader_next(reader, &number, &payload, &f->err)) == HUB_OK) {
        assert_true(number == ++count);
        assert_true(hub_span_equal(payload, content(number, text)));
    }
    assert_int_equal(result, HUB_END);
    assert_true(count == hub_log_durable(log));
    assert_true(count >= least && count <= most);
    hub_log_reader_close(reader);
    hub_log_close(log, false);
    return count;
}

static void no_faults(struct fixture *f)
{
    f->disk->nth = 0;
    f->disk->counted = 0;
}

static void fault_disk_itself_keeps_only_what_was_synced(void **state)
{
    struct fixture *f = *state;
    struct hub_disk *disk = &f->disk->disk;
    char path[600];
    char text[10] = {0};
    int fd = -1;
    (void)snprintf(path, sizeof path, "%s/a", f->folder);
    assert_int_equal(disk->ops->open(disk, path, HUB_DISK_CREATE, &fd, NULL), HUB_OK);
    assert_int_equal(disk->ops->write(disk, fd, 0, HUB_SPAN("abc"), NULL), HUB_OK);
    assert_int_equal(disk->ops->sync(disk, fd, NULL), HUB_OK);
    disk->ops->close(disk, fd);
    fault_disk_power_cut(f->disk, f->folder, FAULT_KEEP_NOTHING, 0);
    assert_int_equal(access(path, F_OK), -1); /* its name was never synced */

    assert_int_equal(disk->ops->open(disk, path, HUB_DISK_CREATE, &fd, NULL), HUB_OK);
    assert_int_equal(disk->ops->write(disk, fd, 0, HUB_SPAN("abc"), NULL), HUB_OK);
    assert_int_equal(disk->ops->sync(disk, fd, NULL), HUB_OK);
    assert_int_equal(disk->ops->sync_dir(disk, f->folder, NULL), HUB_OK);
    assert_int_equal(disk->ops->write(disk, fd, 1, HUB_SPAN("XYZ"), NULL), HUB_OK);
    f->disk->nth = f->disk->counted + 1;
    assert_int_equal(disk->ops->sync(disk, fd, NULL), HUB_IO); /* forgets what was dirty */
    assert_int_equal(disk->ops->sync(disk, fd, NULL), HUB_OK);
    assert_int_equal(pread(fd, text, 9, 0), 4);
    assert_string_equal(text, "aXYZ");
    disk->ops->close(disk, fd);
    fault_disk_power_cut(f->disk, f->folder, FAULT_KEEP_NOTHING, 0);
    memset(text, 0, sizeof text);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, text, 9), 3);
    assert_string_equal(text, "abc");
    close(fd);
}

static void log_keeps_what_it_acknowledged_when_any_operation_fails(void **state)
{
    struct fixture *f = *state;
    for (int variant = 0; variant < 4; variant++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            begin(f);
            f->disk->nth = nth;
            f->disk->lasting = variant % 2 == 1;
            f->disk->half = variant >= 2;
            struct run run = work(f);
            failed = f->disk->failed != 0;
            if (failed &&
                run.result ==
                    HUB_OK) /* only what needs no care may fail unnoticed: the note of a clean stop */
                assert_true(run.acknowledged == run.written);
            no_faults(f);
            (void)check(f, run.acknowledged, run.written + 1);
        }
    }
}

static void log_keeps_what_it_acknowledged_when_the_power_goes_at_any_operation(void **state)
{
    struct fixture *f = *state;
    for (uint32_t variant = 0; variant < 2 + SEEDS; variant++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            begin(f);
            f->disk->nth = nth;
            f->disk->power = true;
            struct run run = work(f);
            failed = f->disk->failed != 0;
            fault_disk_power_cut(f->disk, f->folder,
                                 variant == 0   ? FAULT_KEEP_NOTHING
                                 : variant == 1 ? FAULT_KEEP_ALL
                                                : FAULT_KEEP_SOME,
                                 variant * 1000 + (uint32_t)nth);
            f->disk->power = false;
            uint64_t shown = check(f, run.acknowledged, run.written + 1);
            /* what recovery has shown is there for good */
            fault_disk_power_cut(f->disk, f->folder, FAULT_KEEP_NOTHING, 0);
            assert_true(check(f, shown, shown) == shown);
        }
    }
}

static void log_after_a_failed_fsync_shows_only_what_it_has_made_durable_again(void **state)
{
    struct fixture *f = *state;
    for (uint64_t nth = 2; nth < 12; nth++) {
        begin(f);
        f->disk->ops = FAULT_SYNC;
        f->disk->nth = nth;
        struct run run = work(f);
        assert_true(run.result == HUB_IO || f->disk->failed == 0);
        no_faults(f);
        /* the page cache still shows the group whose fsync failed, and pages count as clean */
        uint64_t shown = check(f, run.acknowledged, run.written);
        fault_disk_power_cut(f->disk, f->folder, FAULT_KEEP_NOTHING, 0);
        assert_true(check(f, shown, shown) == shown);
    }
}

static void second_run_fails_anywhere(struct fixture *f, bool after_clean_stop)
{
    for (uint32_t variant = 0; variant < 3 + SEEDS; variant++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            begin(f);
            f->disk->nth = after_clean_stop ? 0 : 30; /* else the power goes in the middle of the work */
            f->disk->power = true;
            struct run first = work(f);
            fault_disk_power_cut(f->disk, f->folder, after_clean_stop ? FAULT_KEEP_NOTHING : FAULT_KEEP_ALL,
                                 0);
            f->disk->failed = 0;
            f->disk->nth = nth;
            f->disk->power = variant > 0;
            struct run second = work(f);
            failed = f->disk->failed != 0;
            if (variant > 0)
                fault_disk_power_cut(f->disk, f->folder,
                                     variant == 1   ? FAULT_KEEP_NOTHING
                                     : variant == 2 ? FAULT_KEEP_ALL
                                                    : FAULT_KEEP_SOME,
                                     variant * 1000 + (uint32_t)nth);
            f->disk->power = false;
            no_faults(f);
            uint64_t least =
                second.acknowledged > first.acknowledged ? second.acknowledged : first.acknowledged;
            uint64_t most = second.written > first.written ? second.written : first.written;
            (void)check(f, least, most + 1);
        }
    }
}

static void log_recovery_may_itself_fail_or_lose_power_anywhere(void **state)
{
    second_run_fails_anywhere(*state, false);
}

static void log_reopened_after_a_clean_stop_may_fail_or_lose_power_anywhere(void **state)
{
    second_run_fails_anywhere(*state, true);
}

static void log_without_space_drops_the_group_whole_and_takes_it_later(void **state)
{
    struct fixture *f = *state;
    bool failed = true;
    uint64_t quota = 0;
    for (uint64_t nth = 1; failed; nth++) {
        begin(f);
        struct hub_log *log = NULL;
        char text[400];
        uint64_t next = 1;
        f->disk->half = true;
        f->disk->result = HUB_QUOTA;
        f->disk->ops = FAULT_WRITE | FAULT_CREATE;
        assert_int_equal(hub_log_open(f->folder, &f->disk->disk, &options, &log, &f->err), HUB_OK);
        f->disk->counted = 0;
        f->disk->nth = nth;
        for (int group = 0; group < GROUPS; group++) {
            uint64_t first = next;
            enum hub_result result = HUB_OK;
            do {
                next = first;
                for (int i = 0; i < 3; i++) {
                    struct hub_span part = content(next, text);
                    uint64_t number = 0;
                    result = hub_log_append(log, &part, 1, &number, &f->err);
                    if (result != HUB_OK)
                        break;
                    assert_true(number == next);
                    next++;
                }
                if (result == HUB_OK)
                    result = hub_log_sync(log, &f->err);
                quota += result == HUB_QUOTA;
                assert_true(result == HUB_OK || result == HUB_QUOTA);
                assert_true(hub_log_durable(log) == (result == HUB_OK ? next - 1 : first - 1));
            } while (result == HUB_QUOTA);
        }
        failed = f->disk->failed != 0;
        no_faults(f);
        hub_log_close(log, nth % 2 == 0);
        fault_disk_power_cut(f->disk, f->folder, FAULT_KEEP_NOTHING, 0);
        (void)check(f, 3 * GROUPS, 3 * GROUPS);
    }
    assert_true(quota > 8);
}

static void log_whose_space_cannot_be_given_back_refuses_for_ever(void **state)
{
    struct fixture *f = *state;
    struct hub_log *log = NULL;
    struct hub_span part = HUB_SPAN("some bytes that do not fit any more");
    assert_int_equal(hub_log_open(f->folder, &f->disk->disk, &options, &log, &f->err), HUB_OK);
    f->disk->result = HUB_QUOTA;
    f->disk->ops = FAULT_WRITE | FAULT_TRUNCATE;
    f->disk->counted = 0;
    f->disk->nth = 1;
    f->disk->lasting = true;
    f->disk->half = true;
    assert_int_equal(hub_log_append(log, &part, 1, NULL, &f->err), HUB_OK);
    assert_int_equal(hub_log_sync(log, &f->err), HUB_IO);
    no_faults(f);
    assert_int_equal(hub_log_append(log, &part, 1, NULL, &f->err), HUB_IO);
    hub_log_close(log, true); /* and this is no clean stop */
    assert_int_equal(hub_log_open(f->folder, &f->disk->disk, &options, &log, &f->err), HUB_OK);
    assert_true(hub_log_durable(log) == 0);
    hub_log_close(log, false);
}

/* Every byte of the last group gets lost or becomes zero, one length after the other. */
static void log_cuts_the_last_group_wherever_it_tore(void **state)
{
    struct fixture *f = *state;
    char path[600];
    char text[400];
    struct hub_log *log = NULL;
    const struct hub_log_options large = {.segment_bytes = 100000, .record_bytes_max = 20000};
    (void)snprintf(path, sizeof path, "%s/00000000000000000001.seg", f->folder);
    assert_int_equal(hub_log_open(f->folder, &f->disk->disk, &large, &log, &f->err), HUB_OK);
    off_t before = 0;
    for (uint64_t i = 1; i <= 5; i++) {
        struct hub_span part = content(i, text);
        assert_int_equal(hub_log_append(log, &part, 1, NULL, &f->err), HUB_OK);
        if (i == 3 || i == 5)
            assert_int_equal(hub_log_sync(log, &f->err), HUB_OK);
        struct stat st;
        if (i == 3 && stat(path, &st) == 0)
            before = st.st_size;
    }
    hub_log_close(log, false);
    int fd = open(path, O_RDWR);
    static uint8_t whole[4000];
    ssize_t size = read(fd, whole, sizeof whole);
    assert_true(size > before && before > 0);
    close(fd);
    for (off_t tear = before; tear < size; tear++) {
        for (int zeros = 0; zeros < 2; zeros++) {
            uint8_t bytes[4000];
            memcpy(bytes, whole, sizeof bytes);
            memset(bytes + tear, 0, (size_t)(size - tear));
            fd = open(path, O_RDWR | O_TRUNC);
            assert_true(pwrite(fd, bytes, (size_t)(zeros ? size : tear), 0) == (zeros ? size : tear));
            close(fd);
            fault_disk_free(f->disk); /* it was changed behind the disk's back */
            f->disk = fault_disk_new();
            (void)check(f, 3, 5);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(fault_disk_itself_keeps_only_what_was_synced),
        TEST(log_keeps_what_it_acknowledged_when_any_operation_fails),
        TEST(log_keeps_what_it_acknowledged_when_the_power_goes_at_any_operation),
        TEST(log_after_a_failed_fsync_shows_only_what_it_has_made_durable_again),
        TEST(log_recovery_may_itself_fail_or_lose_power_anywhere),
        TEST(log_reopened_after_a_clean_stop_may_fail_or_lose_power_anywhere),
        TEST(log_without_space_drops_the_group_whole_and_takes_it_later),
        TEST(log_whose_space_cannot_be_given_back_refuses_for_ever),
        TEST(log_cuts_the_last_group_wherever_it_tore),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
