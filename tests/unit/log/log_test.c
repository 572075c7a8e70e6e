#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "tests/unit/log/log_fixture.h"

static const struct hub_log_options options = {.segment_bytes = 4096, .record_bytes_max = 20000};

static enum hub_result reopen(struct fixture *f, bool clean)
{
    hub_log_close(f->log, clean);
    f->log = NULL;
    return hub_log_open(f->folder, hub_disk_system(), &options, &f->log, &f->err);
}

/* Record N is N's text repeated, of a length that depends on N. */
static struct hub_span content(uint64_t n, char out[400])
{
    size_t len = 20 + (size_t)(n * 37 % 300);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + (n + i) % 26);
    return hub_span_of(out, len);
}

static void append(struct fixture *f, uint64_t count)
{
    char text[400];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = 0;
        struct hub_span part = content(hub_log_durable(f->log) + i + 1, text);
        struct hub_span parts[2] = {{part.ptr, 10}, {part.ptr + 10, part.len - 10}};
        assert_int_equal(hub_log_append(f->log, parts, 2, &number, &f->err), HUB_OK);
        assert_true(number == hub_log_durable(f->log) + i + 1);
    }
    assert_int_equal(hub_log_sync(f->log, &f->err), HUB_OK);
}

static uint64_t read_all(struct fixture *f, struct hub_log *log, uint64_t from)
{
    struct hub_log_reader *reader = NULL;
    uint64_t number = 0;
    uint64_t expected = from;
    struct hub_span payload;
    char text[400];
    assert_int_equal(hub_log_reader_open(log, from, &reader, &f->err), HUB_OK);
    enum hub_result result;
    while ((result = hub_log_reader_next(reader, &number, &payload, &f->err)) == HUB_OK) {
        assert_true(number == expected);
        assert_true(hub_span_equal(payload, content(number, text)));
        expected++;
    }
    assert_int_equal(result, HUB_END);
    hub_log_reader_close(reader);
    return expected - from;
}

static void segment_path(struct fixture *f, uint64_t first, char out[600])
{
    (void)snprintf(out, 600, "%s/%020llu.seg", f->folder, (unsigned long long)first);
}

static size_t list(struct fixture *f, uint64_t firsts[64])
{
    size_t count = 0;
    DIR *dir = opendir(f->folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        if (strlen(e->d_name) == 24 && count < 64)
            firsts[count++] = strtoull(e->d_name, NULL, 10);
    closedir(dir);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            if (firsts[j] < firsts[i]) {
                uint64_t t = firsts[i];
                firsts[i] = firsts[j];
                firsts[j] = t;
            }
    return count;
}

static void flip(const char *path, off_t offset)
{
    int fd = open(path, O_RDWR);
    uint8_t byte = 0;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void log_gives_back_every_record_over_segments_and_restarts(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 6; round++) {
        assert_int_equal(reopen(f, round % 2 == 0), HUB_OK);
        append(f, 17);
        append(f, 1);
    }
    assert_true(hub_log_durable(f->log) == 108);
    assert_true(read_all(f, f->log, 1) == 108);
    assert_true(read_all(f, f->log, 55) == 54);
    assert_int_equal(reopen(f, false), HUB_OK);
    assert_true(read_all(f, f->log, 1) == 108);
    uint64_t firsts[64];
    size_t count = list(f, firsts);
    assert_true(count > 3);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        char path[600];
        segment_path(f, firsts[i], path);
        bytes += (uint64_t)size_of(path);
    }
    assert_true(hub_log_bytes(f->log) == bytes);
}

static void log_shows_readers_only_what_was_synced(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    assert_int_equal(hub_log_reader_open(f->log, 1, &reader, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_END);
    struct hub_span part = HUB_SPAN("one");
    assert_int_equal(hub_log_append(f->log, &part, 1, &number, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_END);
    assert_true(hub_log_durable(f->log) == 0);
    assert_int_equal(hub_log_sync(f->log, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    assert_true(hub_span_is(payload, "one"));
    assert_int_equal(hub_log_append(f->log, &part, 1, NULL, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_END);
    hub_log_reader_close(reader);
}

static void log_reader_seeks_to_any_record(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    for (int i = 0; i < 12; i++)
        append(f, 9);
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    char text[400];
    assert_int_equal(hub_log_reader_open(f->log, 1, &reader, &f->err), HUB_OK);
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t wanted = 1 + i * 61 % 108;
        assert_int_equal(hub_log_reader_seek(reader, wanted, &f->err), HUB_OK);
        for (uint64_t k = 0; k < 1 + i % 3 && wanted + k <= 108; k++) {
            assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
            assert_true(number == wanted + k);
            assert_true(hub_span_equal(payload, content(number, text)));
        }
    }
    assert_int_equal(hub_log_reader_seek(reader, 109, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_END);
    hub_log_reader_close(reader);
}

static void log_refuses_a_record_over_the_limit_and_stays_usable(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    char *big = calloc(1, 20001);
    assert_non_null(big);
    struct hub_span part = hub_span_of(big, 20001);
    assert_int_equal(hub_log_append(f->log, &part, 1, NULL, &f->err), HUB_TOO_LARGE);
    part.len = 20000;
    assert_int_equal(hub_log_append(f->log, &part, 1, NULL, &f->err), HUB_OK);
    free(big);
    assert_int_equal(hub_log_sync(f->log, &f->err), HUB_OK);
    assert_true(hub_log_durable(f->log) == 1);
}

static void log_without_memory_for_a_record_is_as_it_was(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    struct hub_span part = HUB_SPAN("some bytes");
    (void)hub_mem_fail_nth(1, 1);
    enum hub_result result = hub_log_append(f->log, &part, 1, NULL, &f->err);
    (void)hub_mem_fail_nth(0, 0);
    assert_int_equal(result, HUB_NO_MEMORY);
    append(f, 2);
    assert_true(read_all(f, f->log, 1) == 2);
}

static void log_cuts_a_torn_tail_at_every_byte_of_the_last_record(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    append(f, 3);
    char path[600];
    segment_path(f, 1, path);
    off_t before = size_of(path);
    append(f, 1);
    off_t whole = size_of(path);
    for (off_t len = whole - 1; len > before; len--) {
        hub_log_close(f->log, false);
        f->log = NULL;
        assert_int_equal(truncate(path, len), 0);
        assert_int_equal(reopen(f, false), HUB_OK);
        assert_true(hub_log_durable(f->log) == 3);
        assert_int_equal(size_of(path), before);
        append(f, 1);
        assert_true(read_all(f, f->log, 1) == 4);
        assert_int_equal(size_of(path), whole);
    }
}

static void log_cuts_a_group_that_reached_the_disk_in_part_and_out_of_order(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    append(f, 2);
    char path[600];
    segment_path(f, 1, path);
    off_t before = size_of(path);
    append(f, 5); /* one group: its first record is lost, the others are whole */
    flip(path, before + 50);
    assert_int_equal(reopen(f, false), HUB_OK);
    assert_true(hub_log_durable(f->log) == 2);
    assert_true(read_all(f, f->log, 1) == 2);
}

static void log_refuses_damage_before_the_tail_with_file_and_offset(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    append(f, 2);
    char path[600];
    segment_path(f, 1, path);
    off_t second_group = size_of(path);
    append(f, 1);
    append(f, 1);
    off_t whole = size_of(path);
    for (off_t at = second_group; at < second_group + 60; at += 3) {
        flip(path, at);
        assert_int_equal(reopen(f, false), HUB_CORRUPT);
        assert_string_equal(f->err.path, path);
        assert_int_equal(f->err.number, second_group);
        assert_int_equal(size_of(path), whole); /* nothing was cut */
        flip(path, at);
    }
    assert_int_equal(reopen(f, false), HUB_OK);
    assert_true(read_all(f, f->log, 1) == 4);
}

static void log_after_a_clean_stop_refuses_every_damage_even_of_the_last_record(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    append(f, 2);
    hub_log_close(f->log, true);
    f->log = NULL;
    char path[600];
    segment_path(f, 1, path);
    off_t whole = size_of(path);
    for (off_t at = 0; at < whole; at++) {
        flip(path, at);
        assert_int_equal(reopen(f, true), HUB_CORRUPT);
        flip(path, at);
    }
    assert_int_equal(truncate(path, whole - 8), 0);
    assert_int_equal(reopen(f, true), HUB_CORRUPT);
}

static void log_refuses_a_missing_exchanged_or_cut_segment(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    for (int i = 0; i < 20; i++)
        append(f, 5);
    hub_log_close(f->log, false);
    f->log = NULL;
    uint64_t firsts[64];
    size_t count = list(f, firsts);
    assert_true(count >= 4);
    char path[600];
    char other[600];
    char away[700];
    for (size_t i = 0; i + 1 < count; i++) {
        segment_path(f, firsts[i], path);
        (void)snprintf(away, sizeof away, "%s/away", f->folder);
        assert_int_equal(rename(path, away), 0);
        assert_int_equal(reopen(f, false), HUB_CORRUPT);
        assert_int_equal(rename(away, path), 0);
    }
    segment_path(f, firsts[1], path);
    segment_path(f, firsts[2], other);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(rename(away, other), 0);
    assert_int_equal(reopen(f, false), HUB_CORRUPT);
    assert_int_equal(rename(other, away), 0);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(reopen(f, false), HUB_OK);
    hub_log_close(f->log, false);
    f->log = NULL;
    assert_int_equal(truncate(path, size_of(path) - 8), 0);
    assert_int_equal(reopen(f, false), HUB_CORRUPT);
}

static void log_reader_refuses_damage_in_an_old_segment(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    for (int i = 0; i < 20; i++)
        append(f, 5);
    char path[600];
    segment_path(f, 1, path);
    flip(path, 200);
    assert_int_equal(reopen(f, false), HUB_OK);
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    assert_int_equal(hub_log_reader_open(f->log, 1, &reader, &f->err), HUB_OK);
    enum hub_result result;
    while ((result = hub_log_reader_next(reader, &number, &payload, &f->err)) == HUB_OK)
        ;
    assert_int_equal(result, HUB_CORRUPT);
    assert_string_equal(f->err.path, path);
    assert_true(f->err.number > 0 && f->err.number <= 200);
    hub_log_reader_close(reader);
}

static void log_with_its_segments_gone_after_a_clean_stop_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    append(f, 1);
    hub_log_close(f->log, true);
    f->log = NULL;
    char path[600];
    segment_path(f, 1, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(reopen(f, true), HUB_CORRUPT);
}

static void log_view_changes_nothing_and_hides_the_torn_tail(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    for (int i = 0; i < 10; i++)
        append(f, 5);
    hub_log_close(f->log, false);
    f->log = NULL;
    uint64_t firsts[64];
    size_t count = list(f, firsts);
    char path[600];
    segment_path(f, firsts[count - 1], path);
    off_t size = size_of(path);
    assert_int_equal(truncate(path, size - 3), 0);
    struct hub_log *view = NULL;
    assert_int_equal(hub_log_view(f->folder, hub_disk_system(), &view, &f->err), HUB_OK);
    assert_true(hub_log_durable(view) == 49);
    assert_true(read_all(f, view, 1) == 49);
    struct hub_span part = HUB_SPAN("x");
    assert_int_equal(hub_log_append(view, &part, 1, NULL, &f->err), HUB_DENIED);
    hub_log_close(view, true);
    assert_int_equal(size_of(path), size - 3);
    assert_int_equal(list(f, firsts), count);
}

static void log_view_of_no_folder_says_so(void **state)
{
    struct fixture *f = *state;
    char path[600];
    struct hub_log *view = NULL;
    (void)snprintf(path, sizeof path, "%s/none", f->folder);
    assert_int_equal(hub_log_view(path, hub_disk_system(), &view, &f->err), HUB_NOT_FOUND);
    assert_null(view);
}

struct follower {
    struct hub_log *log;
    uint64_t until;
    uint64_t seen;
    enum hub_result result;
};

static void *follow(void *arg)
{
    struct follower *me = arg;
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    char text[400];
    me->result = hub_log_reader_open(me->log, 1, &reader, NULL);
    while (me->result == HUB_OK && me->seen < me->until) {
        me->result = hub_log_reader_next(reader, &number, &payload, NULL);
        if (me->result == HUB_END) {
            hub_log_wait(me->log, me->seen, 1000);
            me->result = HUB_OK;
        } else if (me->result == HUB_OK) {
            if (number != me->seen + 1 || !hub_span_equal(payload, content(number, text)))
                me->result = HUB_INTERNAL;
            me->seen = number;
        }
    }
    hub_log_reader_close(reader);
    return NULL;
}

static void log_readers_follow_the_writer_over_segments(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    struct follower followers[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        followers[i] = (struct follower){.log = f->log, .until = 200};
        assert_int_equal(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
    }
    for (int i = 0; i < 50; i++)
        append(f, 4);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(followers[i].result, HUB_OK);
        assert_true(followers[i].seen == 200);
    }
}

static atomic_int woken;

static void *wake_until_woken(void *arg)
{
    while (atomic_load(&woken) == 0) {
        hub_log_wake(arg);
        usleep(500);
    }
    return NULL;
}

static void log_wait_ends_by_a_wake(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reopen(f, false), HUB_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_until_woken, f->log), 0);
    hub_log_wait(f->log, 0, -1); /* nothing will ever be durable here */
    atomic_store(&woken, 1);
    assert_true(hub_log_durable(f->log) == 0);
    hub_log_wait(f->log, 0, 1); /* and a limit ends it too */
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(log_gives_back_every_record_over_segments_and_restarts),
        TEST(log_shows_readers_only_what_was_synced),
        TEST(log_reader_seeks_to_any_record),
        TEST(log_refuses_a_record_over_the_limit_and_stays_usable),
        TEST(log_without_memory_for_a_record_is_as_it_was),
        TEST(log_cuts_a_torn_tail_at_every_byte_of_the_last_record),
        TEST(log_cuts_a_group_that_reached_the_disk_in_part_and_out_of_order),
        TEST(log_refuses_damage_before_the_tail_with_file_and_offset),
        TEST(log_after_a_clean_stop_refuses_every_damage_even_of_the_last_record),
        TEST(log_refuses_a_missing_exchanged_or_cut_segment),
        TEST(log_reader_refuses_damage_in_an_old_segment),
        TEST(log_with_its_segments_gone_after_a_clean_stop_is_refused),
        TEST(log_view_changes_nothing_and_hides_the_torn_tail),
        TEST(log_view_of_no_folder_says_so),
        TEST(log_readers_follow_the_writer_over_segments),
        TEST(log_wait_ends_by_a_wake),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
