#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <sched.h>
#include <cmocka.h>

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/diag.h"
#include "src/base/disk.h"
#include "src/base/mem.h"
#include "src/base/problem.h"
#include "src/base/queue.h"
#include "src/base/result.h"
#include "src/base/span.h"
#include "src/base/thread.h"

static bool one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

static void every_result_row_is_whole_and_consistent(void **state)
{
    (void)state;
    static const char *const acks[] = {"", "AA", "AE", "AR", NULL};
    static const char *const errs[] = {"", "0", "100", "101", "102", "103", "104", "200", "201", "202", "203", "204", "205", "206", "207", NULL};
    for (int i = 0; i < HUB_RESULT_COUNT; i++) {
        const struct hub_result_row *row = hub_result_row((enum hub_result)i);
        assert_true(row->name != NULL && row->name[0] != '\0');
        assert_true(row->text != NULL && row->text[0] != '\0');
        assert_true(row->metric != NULL && row->metric[0] != '\0');
        assert_true(one_of(row->ack_code, acks));
        assert_true(one_of(row->err_code, errs));
        /* an answer has both codes or none; only the OK row says AA and 2xx */
        assert_int_equal(row->ack_code[0] == '\0', row->err_code[0] == '\0');
        assert_int_equal(strcmp(row->ack_code, "AA") == 0, row->class == HUB_CLASS_OK);
        assert_int_equal(row->http_status >= 200 && row->http_status < 300, row->class == HUB_CLASS_OK);
        /* the hub's own trouble never gets an acknowledgement */
        if (row->class == HUB_CLASS_RETRY || row->class == HUB_CLASS_FATAL || row->class == HUB_CLASS_CORRUPT) {
            assert_string_equal(row->ack_code, "");
            assert_true(row->http_status >= 500);
        }
        for (int j = 0; j < i; j++)
            assert_string_not_equal(row->metric, hub_result_row((enum hub_result)j)->metric);
    }
    assert_ptr_equal(hub_result_row((enum hub_result)9999), hub_result_row(HUB_INTERNAL));
}

static void an_error_prints_place_reason_number_and_mend(void **state)
{
    (void)state;
    struct hub_error err;
    char out[256];
    (void)hub_fail(&err, HUB_TYPE, "not a time", "send YYYYMMDD");
    (void)hub_error_at(&err, "PID-%d", 7);
    (void)hub_error_in(&err, "hub.yaml", 12);
    hub_error_number(&err, 3);
    (void)hub_error_print(&err, out, sizeof out);
    assert_string_equal(out, "hub.yaml:12: PID-7: not a time (3); send YYYYMMDD");
    assert_int_equal(hub_error_print(&err, out, 10), 9);
    assert_string_equal(out, "hub.yaml:");
    assert_int_equal(hub_fail(NULL, HUB_TYPE, NULL, NULL), HUB_TYPE);
}

static void an_error_that_is_cut_ends_with_a_whole_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"e", "\u00e9", "\u20ac", "\U0001f3e5"};
    for (size_t i = 0; i < 4; i++) {
        for (size_t shift = 0; shift < 4; shift++) {
            struct hub_error err;
            char path[512] = "";
            (void)hub_fail(&err, HUB_IO, NULL, NULL);
            memset(path, 'a', shift);
            for (size_t at = shift; at + 5 < sizeof path; at += strlen(characters[i]))
                (void)strcpy(path + at, characters[i]);
            (void)hub_error_in(&err, path, 0);
            const size_t len = strlen(err.path);
            assert_memory_equal(err.path, path, len);
            assert_int_equal((len - shift) % strlen(characters[i]), 0);
            assert_true(len + strlen(characters[i]) >= sizeof err.path);
        }
    }
}

struct bound {
    size_t nth;
    cpu_set_t set; /* afterwards */
};

static void *own_processors(void *set)
{
    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof(cpu_set_t), set), 0);
    return NULL;
}

static void *bound_processors(void *arg)
{
    struct bound *bound = arg;
    hub_thread_bind(pthread_self(), bound->nth);
    return own_processors(&bound->set);
}

static void bound_threads_are_each_on_a_processor_of_the_process(void **state)
{
    (void)state;
    cpu_set_t all;
    struct bound first = {.nth = 0}, second = {.nth = 1}, again = {.nth = hub_thread_processors()};
    (void)own_processors(&all);
    assert_int_equal(hub_thread_processors(), CPU_COUNT(&all));
    struct bound *const threads[] = {&first, &second, &again};
    for (size_t i = 0; i < 3; i++) {
        pthread_t thread;
        struct hub_error err;
        assert_int_equal(hub_thread_start(&thread, "bound", bound_processors, threads[i], &err), HUB_OK);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    cpu_set_t either;
    CPU_OR(&either, &all, &first.set);
    assert_true(CPU_EQUAL(&either, &all));
    assert_true(CPU_EQUAL(&first.set, &again.set));
    if (hub_thread_processors() > 1) {
        assert_int_equal(CPU_COUNT(&first.set), 1);
        assert_int_equal(CPU_COUNT(&second.set), 1);
        assert_false(CPU_EQUAL(&first.set, &second.set));
    } else {
        assert_true(CPU_EQUAL(&first.set, &all));
    }
}

static void spans_compare_trim_and_count(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_true(hub_span_compare(HUB_SPAN("ab"), HUB_SPAN("abc")) < 0);
    assert_true(hub_span_compare(HUB_SPAN("b"), HUB_SPAN("abc")) > 0);
    assert_true(hub_span_is(hub_span_trim(HUB_SPAN(" \ta b ")), "a b"));
    assert_int_equal(hub_span_trim(HUB_SPAN("  ")).len, 0);
    assert_true(hub_span_equal_nocase(HUB_SPAN("Ab1"), HUB_SPAN("aB1")));
    assert_false(hub_span_equal_nocase(HUB_SPAN("Ab1"), HUB_SPAN("aB2")));
    assert_true(hub_span_parse_u64(HUB_SPAN("18446744073709551615"), &n));
    assert_true(n == UINT64_MAX);
    assert_false(hub_span_parse_u64(HUB_SPAN("18446744073709551616"), &n));
    assert_false(hub_span_parse_u64(HUB_SPAN("-1"), &n));
    assert_false(hub_span_parse_u64(HUB_SPAN(""), &n));
}

static void an_arena_keeps_its_cap_and_wipes_before_reuse(void **state)
{
    (void)state;
    struct hub_arena arena;
    hub_arena_init(&arena, 300000);
    uint8_t *first = hub_arena_alloc(&arena, 1000);
    assert_non_null(first);
    assert_int_equal((uintptr_t)first % 16, 0);
    memset(first, 0xaa, 1000);
    hub_arena_reset(&arena);
    uint8_t *again = hub_arena_alloc(&arena, 1000);
    assert_ptr_equal(again, first);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(again[i], 0);
    size_t got = 0;
    for (uint8_t *part; (part = hub_arena_alloc(&arena, 5000)) != NULL; got += 5000)
        memset(part, 0xaa, 5000);
    assert_true(got > 150000 && got <= 300000);
    assert_null(hub_arena_alloc(&arena, SIZE_MAX - 8));
    hub_arena_reset(&arena);
    again = hub_arena_alloc(&arena, 100000); /* in the chunk that was kept */
    assert_non_null(again);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(again[i], 0);
    assert_string_equal(hub_arena_printf(&arena, "%s-%d", "x", 7), "x-7");
    assert_true(hub_span_is(hub_arena_copy(&arena, HUB_SPAN("copy")), "copy"));
    hub_arena_deinit(&arena);
}

static void a_buffer_keeps_its_cap_and_remembers_the_failure(void **state)
{
    (void)state;
    struct hub_buf buf;
    hub_buf_init(&buf, 600, true);
    for (int i = 0; i < 60; i++)
        hub_buf_append(&buf, "0123456789", 10);
    assert_int_equal(hub_buf_result(&buf), HUB_OK);
    assert_int_equal(buf.len, 600);
    hub_buf_append_byte(&buf, 'x');
    assert_int_equal(hub_buf_result(&buf), HUB_TOO_LARGE);
    assert_string_equal(hub_buf_str(&buf), "");
    hub_buf_reset(&buf);
    hub_buf_append_u64(&buf, 0);
    hub_buf_append_u64(&buf, UINT64_MAX);
    hub_buf_printf(&buf, ":%03d", 5);
    assert_string_equal(hub_buf_str(&buf), "018446744073709551615:005");
    hub_buf_consume(&buf, 21);
    assert_true(hub_span_is(hub_buf_view(&buf), ":005"));
    hub_buf_reset(&buf);
    hub_buf_append_be16(&buf, 0x0102);
    hub_buf_append_be64(&buf, 0x030405060708090a);
    assert_memory_equal(buf.ptr, "\1\2\3\4\5\6\7\10\11\12", 10);
    hub_buf_deinit(&buf);
}

static void times_go_both_ways_over_the_whole_calendar(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } known[] = {{0, "1970-01-01T00:00:00.000000Z"},
                 {-1, "1969-12-31T23:59:59.999999Z"},
                 {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
                 {INT64_C(1700000000123456), "2023-11-14T22:13:20.123456Z"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[HUB_TIME_TEXT_LEN + 1];
        int64_t back;
        hub_time_format(known[i].us, text);
        assert_string_equal(text, known[i].text);
        assert_int_equal(hub_time_parse(text, strlen(text), &back), 0);
        assert_true(back == known[i].us);
    }
    int64_t us;
    assert_int_equal(hub_time_parse("2023-11-15T00:13:20.1234567+02:00", 33, &us), 0);
    assert_true(us == INT64_C(1700000000123456));
    static const char *const bad[] = {"2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01T00:00:00",
                                      "2023-01-01T00:00:00.Z", "2023-01-01 00:00:00Z", "2023-01-01T00:00:00+2:00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hub_time_parse(bad[i], strlen(bad[i]), &us), -1);
    for (int64_t day = -800000; day < 800000; day += 97) {
        int64_t year;
        unsigned month, dom;
        hub_time_civil_from_days(day, &year, &month, &dom);
        assert_true(hub_time_days_from_civil(year, month, dom) == day);
    }
}

enum { PRODUCERS = 3, ITEMS = 20000 };

static void *produce(void *ctx)
{
    struct hub_queue *queue = ctx;
    for (uintptr_t i = 1; i <= ITEMS; i++)
        while (!hub_queue_push(queue, (void *)i))
            sched_yield();
    return NULL;
}

static void a_queue_loses_and_doubles_nothing_between_threads(void **state)
{
    (void)state;
    struct hub_queue *queue = hub_queue_new(100);
    pthread_t threads[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, queue), 0);
    uint64_t sum = 0;
    for (size_t got = 0; got < PRODUCERS * ITEMS;) {
        void *item = hub_queue_pop(queue);
        if (item == NULL) {
            hub_queue_wait(queue, 1000);
            continue;
        }
        sum += (uintptr_t)item;
        got++;
    }
    assert_true(sum == (uint64_t)PRODUCERS * ITEMS * (ITEMS + 1) / 2);
    assert_null(hub_queue_pop(queue));
    for (int i = 0; i < PRODUCERS; i++)
        (void)pthread_join(threads[i], NULL);
    size_t pushed = 0;
    while (hub_queue_push(queue, queue))
        pushed++;
    assert_int_equal(pushed, 128);
    assert_int_equal(hub_queue_count(queue), 128);
    hub_queue_free(queue);
}

static void the_nth_allocation_fails_once_or_lastingly(void **state)
{
    (void)state;
    (void)hub_mem_fail_nth(2, 0);
    void *a = hub_mem_alloc(1);
    void *b = hub_mem_alloc(1);
    void *c = hub_mem_alloc(1);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_int_equal(hub_mem_fail_nth(1, 1), 3);
    assert_null(hub_mem_alloc(1));
    assert_null(hub_mem_array(2, 2));
    (void)hub_mem_fail_nth(0, 0);
    hub_mem_free(a);
    hub_mem_free(c);
    assert_null(hub_mem_array(SIZE_MAX, 2));
}

static void a_file_is_replaced_whole(void **state)
{
    (void)state;
    char folder[] = "/tmp/chartline-base-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[128], deep[128];
    (void)snprintf(path, sizeof path, "%s/x", folder);
    (void)snprintf(deep, sizeof deep, "%s/a/b/c", folder);
    struct hub_disk *disk = hub_disk_system();
    assert_int_equal(hub_disk_replace(disk, path, HUB_SPAN("one, the longer"), NULL), HUB_OK);
    assert_int_equal(hub_disk_replace(disk, path, HUB_SPAN("two"), NULL), HUB_OK);
    int fd;
    char got[32];
    size_t len;
    assert_int_equal(disk->ops->open(disk, path, HUB_DISK_READ, &fd, NULL), HUB_OK);
    assert_int_equal(disk->ops->read(disk, fd, 0, got, sizeof got, &len, NULL), HUB_OK);
    assert_true(hub_span_is(hub_span_of(got, len), "two"));
    disk->ops->close(disk, fd);
    assert_int_equal(disk->ops->open(disk, path, HUB_DISK_CREATE, &fd, NULL), HUB_EXISTS);
    assert_int_equal(disk->ops->mkdir(disk, deep, NULL), HUB_OK);
    assert_int_equal(disk->ops->mkdir(disk, deep, NULL), HUB_OK);
    struct hub_error err;
    (void)snprintf(path, sizeof path, "%s/none/x", folder);
    assert_int_equal(hub_disk_replace(disk, path, HUB_SPAN("x"), &err), HUB_NOT_FOUND);
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void problems_are_bounded_and_counted(void **state)
{
    (void)state;
    struct hub_problems problems;
    hub_problems_init(&problems);
    for (int i = 0; i < HUB_PROBLEMS_MAX + 5; i++)
        hub_problems_add(&problems, i == 0 ? HUB_SEVERITY_WARNING : HUB_SEVERITY_ERROR, "f", 1, "n", "what", NULL, "%d", i);
    assert_int_equal(problems.count, HUB_PROBLEMS_MAX);
    assert_int_equal(problems.dropped, 5);
    assert_int_equal(problems.errors, HUB_PROBLEMS_MAX + 4);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    (void)hub_problems_print(&problems, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "warning: f:1: n: what: 0\n"));
    assert_non_null(strstr(text, "5 further problems"));
    free(text);
    hub_problems_deinit(&problems);
}

/* --- what is new --- */

static struct hub_error error_of(const char *what)
{
    struct hub_error err = {0};
    (void)hub_fail(&err, HUB_NETWORK, what, NULL);
    return err;
}

static void the_same_trouble_is_said_once_by_its_text_wherever_that_lies(void **state)
{
    (void)state;
    enum { SECOND = 1000000 };
    struct hub_diag_news news = {0};
    char one[] = "the brokers are away", again[] = "the brokers are away";
    const struct hub_error a = error_of(one), same = error_of(again);
    struct hub_error other = a;
    assert_false(hub_diag_is_news(&news, NULL, 0)); /* nothing was wrong */
    assert_true(hub_diag_is_news(&news, &a, 0));
    for (int64_t at = 1; at < 3600; at++)
        assert_false(hub_diag_is_news(&news, &same, at * SECOND));
    other.result = HUB_AUTH;
    assert_true(hub_diag_is_news(&news, &other, 3600 * (int64_t)SECOND));
    assert_true(hub_diag_is_news(&news, NULL, 3601 * (int64_t)SECOND));
    assert_false(hub_diag_is_news(&news, NULL, 3602 * (int64_t)SECOND));
}

static void the_end_of_trouble_is_said_where_any_of_it_was(void **state)
{
    (void)state;
    struct hub_diag_news news = {0};
    const struct hub_error a = error_of("the brokers are away"), b = error_of("the disk is full");
    assert_true(hub_diag_is_news(&news, &a, 0));
    assert_true(hub_diag_is_news(&news, &b, 1));
    assert_true(hub_diag_is_news(&news, NULL, 2));
    assert_false(hub_diag_is_news(&news, &a, 3));
    assert_false(hub_diag_is_news(&news, NULL, 4)); /* a minute is not over: nothing was said, so nothing ends */
    assert_true(hub_diag_is_news(&news, &a, 60000000));
    assert_false(hub_diag_is_news(&news, &b, 60000000)); /* said less than a minute ago; A was just now */
    assert_true(hub_diag_is_news(&news, NULL, 60000001));
}

static void trouble_that_alternates_is_said_once_a_minute(void **state)
{
    (void)state;
    enum { SECOND = 1000000, MINUTES = 10 };
    struct hub_diag_news news = {0};
    const struct hub_error a = error_of("the brokers are away"), b = error_of("the disk is full");
    unsigned said = 0, over = 0;
    for (int64_t at = 0; at < MINUTES * 60; at++) {
        said += hub_diag_is_news(&news, at % 2 != 0 ? &a : &b, at * SECOND);
        said += hub_diag_is_news(&news, at % 2 != 0 ? &b : &a, at * SECOND);
        over += at % 10 == 0 && hub_diag_is_news(&news, NULL, at * SECOND);
    }
    assert_true(said >= 2 * MINUTES - 2 && said <= 2 * MINUTES);
    assert_true(over <= said);
    assert_false(hub_diag_is_news(&news, &a, (MINUTES * 60 - 1) * (int64_t)SECOND)); /* said less than a minute ago, and over since */
    assert_true(hub_diag_is_news(&news, &a, (MINUTES * 60 + 60) * (int64_t)SECOND)); /* it lasts, and nobody said so */
}

static void of_ever_new_texts_few_are_said_in_a_minute(void **state)
{
    (void)state;
    struct hub_diag_news news = {0};
    unsigned said = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "trouble %u", i);
        const struct hub_error err = error_of(text);
        said += hub_diag_is_news(&news, &err, 30000 * (int64_t)i); /* half a minute */
    }
    assert_int_equal(said, HUB_DIAG_NEWS_MAX);
    const struct hub_error late = error_of("trouble later");
    assert_true(hub_diag_is_news(&news, &late, 120000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_row_is_whole_and_consistent),
        cmocka_unit_test(an_error_prints_place_reason_number_and_mend),
        cmocka_unit_test(an_error_that_is_cut_ends_with_a_whole_character),
        cmocka_unit_test(bound_threads_are_each_on_a_processor_of_the_process),
        cmocka_unit_test(spans_compare_trim_and_count),
        cmocka_unit_test(an_arena_keeps_its_cap_and_wipes_before_reuse),
        cmocka_unit_test(a_buffer_keeps_its_cap_and_remembers_the_failure),
        cmocka_unit_test(times_go_both_ways_over_the_whole_calendar),
        cmocka_unit_test(a_queue_loses_and_doubles_nothing_between_threads),
        cmocka_unit_test(the_nth_allocation_fails_once_or_lastingly),
        cmocka_unit_test(a_file_is_replaced_whole),
        cmocka_unit_test(problems_are_bounded_and_counted),
        cmocka_unit_test(the_same_trouble_is_said_once_by_its_text_wherever_that_lies),
        cmocka_unit_test(the_end_of_trouble_is_said_where_any_of_it_was),
        cmocka_unit_test(trouble_that_alternates_is_said_once_a_minute),
        cmocka_unit_test(of_ever_new_texts_few_are_said_in_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
