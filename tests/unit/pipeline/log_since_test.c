/* A time's place in the event log: nothing recorded then or later is missed, and no segment before is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/log/record.h"
#include "src/pipeline/log_since.h"
#include "tests/temp_folder.h"

enum { RECORDS = 200, STEP = 10 };

struct fixture {
    char folder[512];
    struct hub_log *log;
    struct hub_log_reader *reader;
    struct hub_error err;
};

/* Record N was recorded at N * STEP. */
static int setup(void **state)
{
    static const struct hub_log_options options = {.segment_bytes = 500};
    struct fixture *f = calloc(1, sizeof *f);
    struct hub_buf record;
    *state = f;
    assert_non_null(f);
    assert_non_null(temp_folder_new(f->folder));
    assert_int_equal(hub_log_open(f->folder, hub_disk_system(), &options, &f->log, &f->err), HUB_OK);
    hub_buf_init(&record, 4096, false);
    for (int64_t n = 1; n <= RECORDS; n++) {
        hub_buf_reset(&record);
        hub_record_begin(&record, HUB_RECORD_MESSAGE, n * STEP, "feed");
        const struct hub_span part = hub_buf_view(&record);
        assert_int_equal(hub_log_append(f->log, &part, 1, NULL, &f->err), HUB_OK);
        if (n % 4 == 0)
            assert_int_equal(hub_log_sync(f->log, &f->err), HUB_OK);
    }
    hub_buf_deinit(&record);
    assert_true(hub_log_extents(f->log, NULL, 0) > 10);
    assert_int_equal(hub_log_reader_open(f->log, 1, &f->reader, &f->err), HUB_OK);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_log_reader_close(f->reader);
    hub_log_close(f->log, false);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

/* The first record of the segment that holds record NUMBER, or of the last one before it. */
static uint64_t segment_of(struct fixture *f, uint64_t number)
{
    struct hub_log_extent extents[100];
    const size_t count = hub_log_extents(f->log, extents, 100);
    uint64_t first = hub_log_first(f->log);
    for (size_t i = 0; i < count && extents[i].first <= number; i++)
        first = extents[i].first;
    return first;
}

static void every_time_is_found_in_its_segment(void **state)
{
    struct fixture *f = *state;
    for (int64_t at = 0; at <= (RECORDS + 2) * STEP; at++) {
        uint64_t number = 0, got = 0;
        struct hub_span payload;
        assert_int_equal(hub_log_since(f->log, f->reader, at, &number, &f->err), HUB_OK);
        const uint64_t due = at < STEP ? 1 : (uint64_t)at / STEP; /* the last record at or before it */
        assert_int_equal(number, segment_of(f, due > RECORDS ? RECORDS : due));
        assert_int_equal(hub_log_reader_next(f->reader, &got, &payload, &f->err), HUB_OK);
        assert_int_equal(got, number);
    }
    uint64_t number = 0;
    assert_int_equal(hub_log_since(f->log, f->reader, INT64_MIN, &number, &f->err), HUB_OK);
    assert_int_equal(number, 1);
    assert_int_equal(hub_log_since(f->log, f->reader, INT64_MAX, &number, &f->err), HUB_OK);
    assert_int_equal(number, segment_of(f, RECORDS));
}

static void what_was_retired_lies_before_every_time(void **state)
{
    struct fixture *f = *state;
    struct hub_log_extent extents[100];
    const size_t count = hub_log_extents(f->log, extents, 100);
    const uint64_t before = extents[count / 2].first;
    const struct hub_log_run run = {.before = before, .at_us = 1, .rule = "by hand"};
    const struct hub_log_retired more = {.records = before - 1};
    assert_int_equal(hub_log_retire(f->log, &run, &more, &f->err), HUB_OK);
    uint64_t number = 0;
    assert_int_equal(hub_log_since(f->log, f->reader, 0, &number, &f->err), HUB_OK);
    assert_int_equal(number, before);
    assert_int_equal(hub_log_since(f->log, f->reader, INT64_MAX, &number, &f->err), HUB_OK);
    assert_int_equal(number, segment_of(f, RECORDS));
}

static void an_empty_log_begins_at_its_first_record(void **state)
{
    (void)state;
    char folder[512];
    struct hub_error err = {0};
    struct hub_log *log = NULL;
    struct hub_log_reader *reader = NULL;
    uint64_t number = 0;
    assert_non_null(temp_folder_new(folder));
    assert_int_equal(hub_log_open(folder, hub_disk_system(), NULL, &log, &err), HUB_OK);
    assert_int_equal(hub_log_reader_open(log, 1, &reader, &err), HUB_OK);
    assert_int_equal(hub_log_since(log, reader, 5, &number, &err), HUB_OK);
    assert_int_equal(number, 1);
    hub_log_reader_close(reader);
    hub_log_close(log, false);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_time_is_found_in_its_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_retired_lies_before_every_time, setup, teardown),
        cmocka_unit_test(an_empty_log_begins_at_its_first_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
