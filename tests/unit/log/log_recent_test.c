/* The newest groups in memory: same records, same order, and no more memory than was said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "src/base/mem.h"
#include "src/log/recent.h"
#include "tests/unit/log/log_fixture.h"

enum { SEGMENT_BYTES = 8192, TEXT_MAX = 512 };

static void open_log(struct fixture *f, uint64_t recent_bytes)
{
    const struct hub_log_options options = {
        .segment_bytes = SEGMENT_BYTES, .record_bytes_max = 4 * 1024 * 1024, .recent_bytes = recent_bytes};
    assert_int_equal(hub_log_open(f->folder, hub_disk_system(), &options, &f->log, &f->err), HUB_OK);
}

static struct hub_span content(uint64_t n, char out[TEXT_MAX])
{
    const size_t len = 1 + (size_t)(n * 37 % (TEXT_MAX - 1));
    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + (n + i) % 26);
    return hub_span_of(out, len);
}

static void write_group(struct hub_log *log, size_t count)
{
    char text[TEXT_MAX];
    struct hub_error err;
    for (size_t i = 0; i < count; i++) {
        struct hub_span part = content(hub_log_durable(log) + i + 1, text);
        assert_int_equal(hub_log_append(log, &part, 1, NULL, &err), HUB_OK);
    }
    assert_int_equal(hub_log_sync(log, &err), HUB_OK);
}

static enum hub_result read_one(struct hub_log_reader *reader, uint64_t expected)
{
    char text[TEXT_MAX];
    uint64_t number = 0;
    struct hub_span payload;
    struct hub_error err = {0};
    enum hub_result result = hub_log_reader_next(reader, &number, &payload, &err);
    if (result == HUB_OK) {
        assert_true(number == expected);
        assert_true(hub_span_equal(payload, content(number, text)));
    }
    return result;
}

static struct hub_log_reader *reader_from(struct fixture *f, uint64_t first)
{
    struct hub_log_reader *reader = NULL;
    assert_int_equal(hub_log_reader_open(f->log, first, &reader, &f->err), HUB_OK);
    return reader;
}

/* READER, which is closed here, has the records from FIRST to LAST still before it, and no more. */
static void read_rest(struct hub_log_reader *reader, uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++)
        assert_int_equal(read_one(reader, n), HUB_OK);
    assert_int_equal(read_one(reader, last + 1), HUB_END);
    hub_log_reader_close(reader);
}

/* Whatever stands in the file from now on: reading it is refused. */
static void spoil_tail(struct fixture *f, uint64_t first)
{
    char path[600];
    const char zeros[64] = {0};
    (void)snprintf(path, sizeof path, "%s/%020llu.seg", f->folder, (unsigned long long)first);
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 72), sizeof zeros);
    (void)close(fd);
}

static void log_reader_close_behind_the_writer_reads_no_file(void **state)
{
    struct fixture *f = *state;
    open_log(f, 1024 * 1024);
    write_group(f->log, 5);
    spoil_tail(f, 1);
    read_rest(reader_from(f, 1), 1, 5);
}

static void log_without_memory_for_groups_reads_and_checks_the_file(void **state)
{
    struct fixture *f = *state;
    open_log(f, 0);
    write_group(f->log, 5);
    spoil_tail(f, 1);
    struct hub_log_reader *reader = reader_from(f, 1);
    assert_int_equal(read_one(reader, 1), HUB_CORRUPT);
    hub_log_reader_close(reader);
}

static void log_group_that_a_reader_holds_outlives_its_place_in_memory(void **state)
{
    struct fixture *f = *state;
    char text[TEXT_MAX];
    uint64_t number = 0;
    struct hub_span payload;
    open_log(f, 4096);
    write_group(f->log, 2);
    struct hub_log_reader *reader = reader_from(f, 1);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    for (int i = 0; i < 40; i++)
        write_group(f->log, 2);
    assert_null(hub_log_recent_take(f->log, 1));
    assert_true(hub_span_equal(payload, content(1, text)));
    read_rest(reader, 2, 82);
}

static void log_groups_in_memory_are_bounded_and_a_large_one_is_not_kept(void **state)
{
    struct fixture *f = *state;
    open_log(f, 16 * 1024);
    for (int i = 0; i < 200; i++) {
        write_group(f->log, 1 + (size_t)i % 7);
        assert_true(f->log->recent.bytes <= 16 * 1024);
        assert_true(f->log->recent.count >= 1);
    }
    const uint64_t large = hub_log_durable(f->log) + 1;
    const size_t len = 2 * 1024 * 1024;
    uint8_t *bytes = calloc(1, len);
    struct hub_span part = hub_span_of(bytes, len), payload;
    uint64_t number = 0;
    assert_int_equal(hub_log_append(f->log, &part, 1, NULL, &f->err), HUB_OK);
    assert_int_equal(hub_log_sync(f->log, &f->err), HUB_OK);
    free(bytes);
    assert_null(hub_log_recent_take(f->log, large));
    struct hub_log_reader *reader = reader_from(f, large);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    assert_true(number == large && payload.len == len);
    hub_log_reader_close(reader);
}

/* From memory to file and back, over segments, forwards and by seeking. */
static void log_reads_the_same_from_memory_and_from_files(void **state)
{
    struct fixture *f = *state;
    open_log(f, 6 * 1024);
    struct hub_log_reader *near = reader_from(f, 1), *far = reader_from(f, 1), *jumps = reader_from(f, 1);
    uint64_t next_near = 1, next_far = 1, seed = 7;
    for (uint64_t round = 0; round < 400; round++) {
        write_group(f->log, 1 + (size_t)(round * 5 % 11));
        const uint64_t end = hub_log_durable(f->log);
        while (next_near <= end && (round % 3 != 0 || next_near + 2 < end))
            assert_int_equal(read_one(near, next_near++), HUB_OK);
        while (next_far + 100 * (round % 7) < end)
            assert_int_equal(read_one(far, next_far++), HUB_OK);
        for (int i = 0; i < 3; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const uint64_t back = (seed >> 33) % (i == 0 ? end : 40 < end ? 40 : end);
            assert_int_equal(hub_log_reader_seek(jumps, end - back, &f->err), HUB_OK);
            assert_int_equal(read_one(jumps, end - back), HUB_OK);
            assert_int_equal(read_one(jumps, end - back + 1), back == 0 ? HUB_END : HUB_OK);
        }
    }
    assert_true(hub_log_extents(f->log, NULL, 0) > 5);
    hub_log_reader_close(near);
    hub_log_reader_close(far);
    hub_log_reader_close(jumps);
}

static void log_goes_on_where_there_is_no_memory_to_keep_a_group(void **state)
{
    struct fixture *f = *state;
    open_log(f, 1024 * 1024);
    write_group(f->log, 3);
    hub_mem_fail_nth(1, 1);
    char text[TEXT_MAX];
    struct hub_span part = content(4, text);
    struct hub_error err = {0};
    enum hub_result appended = hub_log_append(f->log, &part, 1, NULL, &err);
    if (appended == HUB_OK)
        appended = hub_log_sync(f->log, &err);
    hub_mem_fail_nth(0, 0);
    assert_true(appended == HUB_OK || appended == HUB_NO_MEMORY);
    while (hub_log_durable(f->log) < 10)
        write_group(f->log, 1);
    read_rest(reader_from(f, 1), 1, hub_log_durable(f->log));
}

enum { FOLLOWED = 3000 };

static void *follow(void *arg)
{
    struct fixture *f = arg;
    struct hub_log_reader *reader = NULL;
    struct hub_error err;
    if (hub_log_reader_open(f->log, 1, &reader, &err) != HUB_OK)
        return NULL;
    for (uint64_t n = 1; n <= FOLLOWED;) {
        const enum hub_result result = read_one(reader, n);
        if (result == HUB_OK)
            n++;
        else if (result == HUB_END)
            hub_log_wait(f->log, n - 1, 100);
        else
            break;
        if (n > FOLLOWED) {
            hub_log_reader_close(reader);
            return arg;
        }
    }
    hub_log_reader_close(reader);
    return NULL;
}

static void log_readers_in_other_threads_follow_while_groups_come_and_go(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[3];
    open_log(f, 8 * 1024);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, follow, f), 0);
    for (size_t i = 0; hub_log_durable(f->log) < FOLLOWED; i++)
        write_group(f->log, 1 + i % 9);
    for (size_t i = 0; i < 3; i++) {
        void *whole = NULL;
        assert_int_equal(pthread_join(threads[i], &whole), 0);
        assert_non_null(whole);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(log_reader_close_behind_the_writer_reads_no_file),
        TEST(log_without_memory_for_groups_reads_and_checks_the_file),
        TEST(log_group_that_a_reader_holds_outlives_its_place_in_memory),
        TEST(log_groups_in_memory_are_bounded_and_a_large_one_is_not_kept),
        TEST(log_reads_the_same_from_memory_and_from_files),
        TEST(log_goes_on_where_there_is_no_memory_to_keep_a_group),
        TEST(log_readers_in_other_threads_follow_while_groups_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
