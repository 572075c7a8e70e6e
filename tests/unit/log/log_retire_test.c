/* The log's start moves on: what was retired is gone and said, all else is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "tests/unit/log/log_fixture.h"

enum { RECORDS = 40 };

/* Nothing here is about what survives the power: that is tests/fault. */
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

static struct hub_disk *fast_disk(void)
{
    static struct hub_disk_ops ops;
    static struct hub_disk disk = {&ops};
    ops = *hub_disk_system()->ops;
    ops.sync = no_sync;
    ops.sync_dir = no_sync_dir;
    return &disk;
}

static const struct hub_log_options options = {.segment_bytes = 1000};

static enum hub_result reopen(struct fixture *f, bool clean)
{
    hub_log_close(f->log, clean);
    f->log = NULL;
    return hub_log_open(f->folder, fast_disk(), &options, &f->log, &f->err);
}

static void append(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        char text[200];
        memset(text, 'a' + i % 26, sizeof text);
        (void)snprintf(text, sizeof text, "record %llu", (unsigned long long)hub_log_durable(f->log) + 1);
        struct hub_span part = hub_span_of(text, sizeof text);
        assert_int_equal(hub_log_append(f->log, &part, 1, NULL, &f->err), HUB_OK);
        assert_int_equal(hub_log_sync(f->log, &f->err), HUB_OK);
    }
}

static void filled(struct fixture *f)
{
    assert_int_equal(reopen(f, false), HUB_OK);
    append(f, RECORDS);
}

/* How many records can be read from FROM on, each with its own content. */
static uint64_t readable(struct fixture *f, uint64_t from)
{
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    uint64_t count = 0;
    assert_int_equal(hub_log_reader_open(f->log, from, &reader, &f->err), HUB_OK);
    enum hub_result result;
    while ((result = hub_log_reader_next(reader, &number, &payload, &f->err)) == HUB_OK) {
        char text[40];
        (void)snprintf(text, sizeof text, "record %llu", (unsigned long long)number);
        assert_string_equal((const char *)payload.ptr, text);
        assert_true(number == from + count);
        count++;
    }
    assert_int_equal(result, HUB_END);
    hub_log_reader_close(reader);
    return count;
}

/* First record of the segment at INDEX. */
static uint64_t start_of(struct fixture *f, size_t index)
{
    struct hub_log_extent extents[32];
    size_t count = hub_log_extents(f->log, extents, 32);
    assert_true(index < count);
    return extents[index].first;
}

static enum hub_result retire(struct fixture *f, uint64_t before, const char *rule)
{
    struct hub_log_run run = {.before = before, .at_us = 1795398000000000 + (int64_t)before};
    struct hub_log_retired more = {
        .records = before - hub_log_first(f->log), .messages = 1, .events = 2, .entries = 3, .bytes = 4};
    (void)snprintf(run.rule, sizeof run.rule, "%s", rule);
    return hub_log_retire(f->log, &run, &more, &f->err);
}

static void retired_records_are_gone_and_all_others_are_there(void **state)
{
    struct fixture *f = *state;
    filled(f);
    uint64_t bytes = hub_log_bytes(f->log);
    uint64_t before = start_of(f, 3);
    assert_int_equal(retire(f, before, "keep=30d"), HUB_OK);
    assert_true(hub_log_first(f->log) == before && hub_log_bytes(f->log) < bytes);
    for (int turn = 0; turn < 3; turn++) { /* now, after a kill, after a clean stop */
        assert_true(readable(f, before) == RECORDS + (uint64_t)turn - before + 1);
        append(f, 1);
        assert_int_equal(reopen(f, turn == 1), HUB_OK);
        assert_true(hub_log_first(f->log) == before);
    }
    struct hub_log *view = NULL;
    assert_int_equal(hub_log_view(f->folder, hub_disk_system(), &view, &f->err), HUB_OK);
    assert_true(hub_log_first(view) == before);
    hub_log_close(view, false);
}

static void a_retired_record_is_told_from_one_that_never_was(void **state)
{
    struct fixture *f = *state;
    struct hub_log_reader *reader = NULL;
    struct hub_log_run run;
    struct hub_span payload;
    uint64_t number = 0;
    filled(f);
    uint64_t first = start_of(f, 2);
    uint64_t second = start_of(f, 4);
    assert_int_equal(retire(f, first, "keep=30d"), HUB_OK);
    assert_int_equal(retire(f, second, "max_bytes=1GiB"), HUB_OK);
    assert_int_equal(hub_log_reader_open(f->log, 1, &reader, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_NOT_FOUND);
    assert_int_equal(hub_log_reader_seek(reader, second, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_seek(reader, RECORDS + 1, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_END);
    hub_log_reader_close(reader);
    assert_int_equal(reopen(f, false), HUB_OK);
    assert_true(hub_log_retired_by(f->log, 1, &run));
    assert_string_equal(run.rule, "keep=30d");
    assert_true(hub_log_retired_by(f->log, second - 1, &run) && run.before == second);
    assert_string_equal(run.rule, "max_bytes=1GiB");
    assert_true(run.at_us == 1795398000000000 + (int64_t)second);
    assert_false(hub_log_retired_by(f->log, second, &run));
    struct hub_log_retired gone;
    hub_log_retired(f->log, &gone);
    assert_true(gone.records == second - 1 && gone.messages == 2 && gone.events == 4 && gone.entries == 6 && gone.bytes == 8);
}

static void a_reader_in_a_retired_segment_reads_it_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    filled(f);
    uint64_t second = start_of(f, 1);
    assert_int_equal(hub_log_reader_open(f->log, 1, &reader, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    assert_int_equal(retire(f, start_of(f, 3), "keep=30d"), HUB_OK);
    while (number + 1 < second)
        assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_NOT_FOUND);
    assert_int_equal(hub_log_reader_seek(reader, hub_log_first(f->log), &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    hub_log_reader_close(reader);
}

static void nothing_is_retired_that_a_follower_still_needs(void **state)
{
    struct fixture *f = *state;
    filled(f);
    uint64_t before = start_of(f, 2);
    assert_int_equal(hub_log_follow(f->log, "kafka", before - 2, &f->err), HUB_OK);
    assert_int_equal(retire(f, before, "keep=30d"), HUB_BUSY);
    assert_string_equal(f->err.place, "kafka");
    assert_true(hub_log_first(f->log) == 1 && readable(f, 1) == RECORDS);
    assert_int_equal(hub_log_follow(f->log, "kafka", before - 1, &f->err), HUB_OK);
    assert_int_equal(retire(f, before, "keep=30d"), HUB_OK);
}

static void only_whole_segments_before_the_tail_are_retired(void **state)
{
    struct fixture *f = *state;
    struct hub_log_extent extents[32];
    filled(f);
    size_t count = hub_log_extents(f->log, extents, 32);
    assert_int_equal(retire(f, extents[1].first + 1, "keep=30d"), HUB_NOT_FOUND);
    assert_int_equal(retire(f, extents[0].first, "keep=30d"), HUB_NOT_FOUND);
    assert_int_equal(retire(f, extents[count - 1].first, "keep=30d"), HUB_OK);
    assert_int_equal(hub_log_extents(f->log, extents, 32), 1);
    append(f, 1);
    hub_log_roll_soon(f->log);
    append(f, 1);
    assert_int_equal(hub_log_extents(f->log, extents, 32), 2);
}

static void missing_and_damaged_starts_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[700];
    filled(f);
    uint64_t before = start_of(f, 2);
    assert_int_equal(retire(f, before, "keep=30d"), HUB_OK);
    (void)snprintf(path, sizeof path, "%s/retired", f->folder);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    char byte = 0;
    off_t size = lseek(fd, 0, SEEK_END);
    for (off_t at = 0; at < size; at++) { /* no byte of it counts for nothing */
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(reopen(f, false), HUB_CORRUPT);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(reopen(f, false), HUB_OK);
    hub_log_close(f->log, false);
    f->log = NULL;
    for (off_t at = size - 1; at >= 0; at--) { /* cut anywhere */
        assert_int_equal(ftruncate(fd, at), 0);
        assert_int_equal(reopen(f, false), HUB_CORRUPT);
    }
    close(fd);
    assert_int_equal(unlink(path), 0); /* without it the missing segments are missed */
    assert_int_equal(reopen(f, false), HUB_CORRUPT);
}

static void a_segment_missing_behind_the_start_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[700];
    filled(f);
    uint64_t before = start_of(f, 2);
    assert_int_equal(retire(f, before, "keep=30d"), HUB_OK);
    (void)snprintf(path, sizeof path, "%s/%020llu.seg", f->folder, (unsigned long long)before);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(reopen(f, false), HUB_CORRUPT);
}

static void the_oldest_runs_are_merged_past_their_limit(void **state)
{
    struct fixture *f = *state;
    struct hub_log_run run;
    assert_int_equal(reopen(f, false), HUB_OK);
    for (int i = 0; i < HUB_LOG_RUNS_MAX + 5; i++) {
        append(f, 1);
        hub_log_roll_soon(f->log);
        append(f, 1);
        struct hub_log_extent extents[2];
        assert_int_equal(hub_log_extents(f->log, extents, 2), 2);
        assert_int_equal(retire(f, extents[1].first, "keep=1h"), HUB_OK);
    }
    assert_int_equal(reopen(f, false), HUB_OK);
    assert_true(hub_log_retired_by(f->log, 1, &run));
    assert_true(run.before > 2);
    assert_true(hub_log_retired_by(f->log, hub_log_first(f->log) - 1, &run) && run.before == hub_log_first(f->log));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(retired_records_are_gone_and_all_others_are_there),
        TEST(a_retired_record_is_told_from_one_that_never_was),
        TEST(a_reader_in_a_retired_segment_reads_it_to_its_end),
        TEST(nothing_is_retired_that_a_follower_still_needs),
        TEST(only_whole_segments_before_the_tail_are_retired),
        TEST(missing_and_damaged_starts_are_refused),
        TEST(a_segment_missing_behind_the_start_is_refused),
        TEST(the_oldest_runs_are_merged_past_their_limit),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
