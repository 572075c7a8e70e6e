/* Retiring segments when writes fail and when the power goes: the log opens again from its old start or its new one, and
 * every record from there on is whole. Nothing that a follower needs is ever missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/log/log.h"
#include "tests/fault/fault_disk.h"
#include "tests/temp_folder.h"

enum { RECORDS = 7 };

struct fixture {
    char folder[512], log_folder[600];
    struct fault_disk *disk;
    struct hub_error err;
    uint64_t stored;  /* synced */
    uint64_t starts[4]; /* that the log may have: 1, and what a retire was asked for */
    size_t start_count;
    uint64_t retired; /* the start of the last retire that returned HUB_OK */
};

static const struct hub_log_options options = {.segment_bytes = 450};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || temp_folder_new(f->folder) == NULL)
        return -1;
    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/log", f->folder);
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

static void begin(struct fixture *f)
{
    temp_folder_remove(f->log_folder);
    fault_disk_free(f->disk);
    f->disk = fault_disk_new();
    f->stored = 0;
    f->starts[0] = 1;
    f->start_count = 1;
    f->retired = 1;
}

static enum hub_result append(struct fixture *f, struct hub_log *log, int count)
{
    for (int i = 0; i < count; i++) {
        char text[150] = "";
        (void)snprintf(text, sizeof text, "record %llu", (unsigned long long)hub_log_durable(log) + 1);
        struct hub_span part = hub_span_of(text, sizeof text);
        HUB_TRY(hub_log_append(log, &part, 1, NULL, &f->err));
        HUB_TRY(hub_log_sync(log, &f->err));
        f->stored = hub_log_durable(log);
    }
    return HUB_OK;
}

/* All but the last two segments. */
static enum hub_result retire(struct fixture *f, struct hub_log *log)
{
    struct hub_log_extent extents[32];
    size_t count = hub_log_extents(log, extents, 32);
    if (count < 3)
        return HUB_OK;
    struct hub_log_run run = {.before = extents[count - 2].first, .at_us = 1795398000000000, .rule = "keep=30d"};
    struct hub_log_retired more = {.records = run.before - hub_log_first(log)};
    f->starts[f->start_count++] = run.before;
    HUB_TRY(hub_log_retire(log, &run, &more, &f->err));
    f->retired = run.before;
    return HUB_OK;
}

/* Fills, retires, fills, retires; ends at the first failure, as a hub would not have to: what is left is looked at. */
static void work(struct fixture *f)
{
    struct hub_log *log = NULL;
    if (hub_log_open(f->log_folder, &f->disk->disk, &options, &log, &f->err) != HUB_OK)
        return;
    enum hub_result result = append(f, log, RECORDS);
    if (result == HUB_OK)
        result = retire(f, log);
    if (result == HUB_OK)
        result = append(f, log, RECORDS);
    if (result == HUB_OK)
        result = retire(f, log);
    if (result == HUB_OK)
        (void)append(f, log, 2);
    hub_log_close(log, false);
}

static void check(struct fixture *f)
{
    struct hub_log *log = NULL;
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    assert_int_equal(hub_log_open(f->log_folder, &f->disk->disk, &options, &log, &f->err), HUB_OK);
    uint64_t first = hub_log_first(log);
    bool known = false;
    for (size_t i = 0; i < f->start_count; i++)
        known = known || f->starts[i] == first;
    assert_true(known && first >= f->retired); /* what was said to be gone does not come back */
    assert_int_equal(hub_log_reader_open(log, first, &reader, &f->err), HUB_OK);
    uint64_t expected = first;
    enum hub_result result;
    while ((result = hub_log_reader_next(reader, &number, &payload, &f->err)) == HUB_OK) {
        char text[40];
        (void)snprintf(text, sizeof text, "record %llu", (unsigned long long)expected);
        assert_true(number == expected++);
        assert_string_equal((const char *)payload.ptr, text);
    }
    assert_int_equal(result, HUB_END);
    assert_true(expected > f->stored);
    struct hub_log_run run;
    assert_true(first == 1 || (hub_log_retired_by(log, first - 1, &run) && run.before == first));
    hub_log_reader_close(reader);
    /* it goes on, and can be retired again */
    assert_int_equal(append(f, log, RECORDS), HUB_OK);
    assert_int_equal(retire(f, log), HUB_OK);
    hub_log_close(log, true);
    assert_int_equal(hub_log_open(f->log_folder, &f->disk->disk, &options, &log, &f->err), HUB_OK);
    assert_true(hub_log_first(log) == f->retired);
    hub_log_close(log, false);
}

static void retiring_keeps_the_log_whole_when_any_operation_fails(void **state)
{
    struct fixture *f = *state;
    for (int variant = 0; variant < 4; variant++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            begin(f);
            f->disk->nth = nth;
            f->disk->lasting = variant % 2 == 1;
            f->disk->half = variant >= 2;
            f->disk->result = variant == 2 ? HUB_QUOTA : HUB_IO;
            work(f);
            failed = f->disk->failed != 0;
            f->disk->nth = 0;
            check(f);
        }
    }
}

static void retiring_keeps_the_log_whole_when_the_power_goes(void **state)
{
    struct fixture *f = *state;
    for (uint32_t variant = 0; variant < 5; variant++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            begin(f);
            f->disk->nth = nth;
            f->disk->power = true;
            work(f);
            failed = f->disk->failed != 0;
            if (access(f->log_folder, F_OK) != 0)
                continue;
            fault_disk_power_cut(f->disk, f->log_folder,
                                 variant == 0   ? FAULT_KEEP_NOTHING
                                 : variant == 1 ? FAULT_KEEP_ALL
                                                : FAULT_KEEP_SOME,
                                 variant * 1000 + (uint32_t)nth);
            f->disk->power = false;
            check(f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(retiring_keeps_the_log_whole_when_any_operation_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(retiring_keeps_the_log_whole_when_the_power_goes, setup, teardown),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
