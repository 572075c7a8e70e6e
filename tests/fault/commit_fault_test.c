/* The committer when writes fail, the power goes or the process is killed: nothing acknowledged is missing,
 * nothing is there twice. Kill tests run this program again as a child that dies at a named point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

#include "src/base/diag.h"
#include "tests/commit_fixture.h"
#include "tests/fault/fault_disk.h"
#include "tests/temp_folder.h"

enum { MESSAGES = 40, CHILD_MESSAGES = 60 };

static const struct hub_log_options log_options = {.segment_bytes = 6000};
static const char *program;

struct fixture {
    char folder[512];
    char log_folder[600];
    char index_folder[600];
    struct fault_disk *disk;
    struct hub_error err;
    int stderr_fd; /* failing on purpose is loud: kept away while a test runs */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || temp_folder_new(f->folder) == NULL)
        return -1;
    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/log", f->folder);
    (void)snprintf(f->index_folder, sizeof f->index_folder, "%s/index", f->folder);
    f->disk = fault_disk_new();
    f->stderr_fd = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY);
    (void)dup2(null, STDERR_FILENO);
    (void)close(null);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)dup2(f->stderr_fd, STDERR_FILENO);
    (void)close(f->stderr_fd);
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
    test_fixture_reset();
}

static atomic_int fatal_calls;

static void fatal(void *ctx, const struct hub_error *err)
{
    (void)ctx;
    (void)err;
    atomic_fetch_add(&fatal_calls, 1);
}

/* Every seventh message is one that is rejected. */
static struct hub_commit_item *message(int number)
{
    char id[33];
    (void)snprintf(id, sizeof id, "message%d", number);
    return test_item(number % 7 == 6 ? HUB_RECORD_REJECTED : HUB_RECORD_MESSAGE, id, "control",
                     1 + (size_t)number % 3);
}

/* Sends MESSAGES messages through a committer on the fault disk; false when it could not be opened. */
static bool work(struct fixture *f)
{
    const struct hub_kv_options kv_options = {.families = hub_index_families(), .create = true};
    const struct hub_commit_options options = {.queue = 16, .wait_us = 100};
    struct hub_log *log = NULL;
    struct hub_kv *kv = NULL;
    struct hub_index *index = NULL;
    struct hub_commit *commit = NULL;
    if (hub_log_open(f->log_folder, &f->disk->disk, &log_options, &log, &f->err) != HUB_OK)
        return false;
    assert_int_equal(hub_kv_open_memory(&kv_options, &kv), HUB_OK);
    assert_int_equal(hub_index_open_kv(kv, log, &index, &f->err), HUB_OK);
    assert_int_equal(hub_commit_start(&options, &test_clock, &f->disk->disk, log, index, NULL, fatal, NULL,
                                      &commit, &f->err),
                     HUB_OK);
    size_t sent = 0;
    for (int i = 0; i < MESSAGES; i++) {
        if (!test_submit(commit, message(i)))
            break;
        sent++;
        if (i % 4 == 3) /* groups of about four */
            test_wait(sent);
    }
    test_wait(sent);
    hub_commit_stop(commit);
    assert_int_equal(test_answers.count, sent);
    bool after_failure = false;
    for (size_t i = 0; i < sent; i++) { /* once one was not stored, no later one is acknowledged */
        after_failure = after_failure || test_answers.items[i].result != HUB_OK;
        assert_true(!after_failure || test_answers.items[i].result == HUB_IO);
    }
    assert_int_equal(atomic_load(&fatal_calls) != 0, after_failure);
    atomic_store(&fatal_calls, 0);
    hub_index_close(index);
    hub_log_close(log, !after_failure);
    return true;
}

/* How often each message stands in the log as accepted or as a dead letter. */
static void count_stored(struct fixture *f, struct hub_disk *disk, int *stored, int cap)
{
    struct hub_log *log = NULL;
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    int64_t last = 0;
    memset(stored, 0, (size_t)cap * sizeof *stored);
    assert_int_equal(hub_log_open(f->log_folder, disk, &log_options, &log, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_open(log, 1, &reader, &f->err), HUB_OK);
    enum hub_result result;
    while ((result = hub_log_reader_next(reader, &number, &payload, &f->err)) == HUB_OK) {
        struct hub_record_view view;
        struct hub_dedup dedup;
        struct hub_span bytes;
        enum hub_section_kind kind;
        int events = 0;
        assert_int_equal(hub_record_parse(payload, &view), HUB_OK);
        assert_true(view.recorded_us > last);
        last = view.recorded_us;
        memset(&dedup, 0, sizeof dedup);
        while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
            if (kind == HUB_SECTION_DEDUP)
                assert_int_equal(hub_record_dedup(bytes, &dedup), HUB_OK);
            events += kind == HUB_SECTION_EVENT;
        }
        assert_int_equal(result, HUB_END);
        if (view.kind == HUB_RECORD_REPEATED)
            continue;
        int which = atoi(dedup.message_id + strlen("message"));
        assert_true(which >= 0 && which < cap);
        if (view.kind == HUB_RECORD_MESSAGE)
            assert_int_equal(events, 1 + which % 3);
        stored[which]++;
    }
    assert_int_equal(result, HUB_END);
    hub_log_reader_close(reader);
    hub_log_close(log, false);
}

static void check_answers(struct fixture *f)
{
    int stored[MESSAGES];
    count_stored(f, &f->disk->disk, stored, MESSAGES);
    for (int i = 0; i < MESSAGES; i++)
        assert_true(stored[i] <= 1);
    for (size_t i = 0; i < test_answers.count; i++)
        if (test_answers.items[i].result == HUB_OK)
            assert_int_equal(stored[atoi(test_answers.items[i].id + strlen("message"))], 1);
}

static void commit_loses_nothing_acknowledged_when_any_operation_fails(void **state)
{
    struct fixture *f = *state;
    for (int variant = 0; variant < 4; variant++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            begin(f);
            f->disk->nth = nth;
            f->disk->lasting = variant % 2 == 1;
            f->disk->half = variant >= 2;
            (void)work(f);
            failed = f->disk->failed != 0;
            f->disk->nth = 0;
            check_answers(f);
            test_fixture_reset();
            assert_true(work(f)); /* everything is sent again */
            assert_int_equal(test_answers.positive, MESSAGES);
            check_answers(f);
        }
    }
}

static void commit_loses_nothing_acknowledged_when_the_power_goes(void **state)
{
    struct fixture *f = *state;
    for (uint32_t variant = 0; variant < 4; variant++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            begin(f);
            f->disk->nth = nth;
            f->disk->power = true;
            (void)work(f);
            failed = f->disk->failed != 0;
            if (access(f->log_folder, F_OK) != 0)
                continue;
            fault_disk_power_cut(f->disk, f->log_folder,
                                 variant == 0   ? FAULT_KEEP_NOTHING
                                 : variant == 1 ? FAULT_KEEP_ALL
                                                : FAULT_KEEP_SOME,
                                 variant * 1000 + (uint32_t)nth);
            f->disk->power = false;
            check_answers(f);
            test_fixture_reset();
            assert_true(work(f));
            assert_int_equal(test_answers.positive, MESSAGES);
            check_answers(f);
        }
    }
}

static void commit_stops_acknowledging_at_the_first_failed_fsync(void **state)
{
    struct fixture *f = *state;
    begin(f);
    f->disk->ops = FAULT_SYNC;
    f->disk->nth = 4; /* once; the disk is well again afterwards */
    assert_true(work(f));
    assert_true(f->disk->failed == 1);
    assert_true(test_answers.positive < MESSAGES);
}

static void commit_loses_nothing_acknowledged_when_any_allocation_fails(void **state)
{
    struct fixture *f = *state;
    const struct hub_kv_options kv_options = {.families = hub_index_families(), .create = true};
    const struct hub_commit_options options = {.queue = 64, .wait_us = 100};
    for (int lasting = 0; lasting < 2; lasting++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            struct hub_log *log = NULL;
            struct hub_kv *kv = NULL;
            struct hub_index *index = NULL;
            struct hub_commit *commit = NULL;
            struct hub_commit_item *items[MESSAGES];
            begin(f);
            for (int i = 0; i < MESSAGES; i++)
                items[i] = message(i);
            (void)hub_mem_fail_nth(nth, lasting);
            enum hub_result result = hub_log_open(f->log_folder, &f->disk->disk, &log_options, &log, &f->err);
            if (result == HUB_OK)
                result = hub_kv_open_memory(&kv_options, &kv);
            if (result == HUB_OK)
                result = hub_index_open_kv(kv, log, &index, &f->err);
            if (result == HUB_OK)
                result = hub_commit_start(&options, &test_clock, &f->disk->disk, log, index, NULL, fatal,
                                          NULL, &commit, &f->err);
            size_t sent = 0;
            for (int i = 0; i < MESSAGES; i++) {
                if (commit != NULL)
                    sent += test_submit(commit, items[i]);
                else
                    hub_commit_item_free(items[i]);
            }
            test_wait(sent);
            hub_commit_stop(commit);
            failed = hub_mem_fail_nth(0, 0) >= nth;
            hub_index_close(index);
            hub_log_close(log, false);
            assert_true(failed || test_answers.positive == MESSAGES);
            check_answers(f);
        }
    }
    atomic_store(&fatal_calls, 0);
}

/* --- a record of many changes --- */

struct opened {
    struct hub_log *log;
    struct hub_index *index;
    struct hub_commit *commit;
};

static void open_all(struct fixture *f, struct opened *hub)
{
    const struct hub_kv_options kv_options = {.families = hub_index_families(), .create = true};
    const struct hub_commit_options options = {.queue = 64};
    struct hub_kv *kv = NULL;
    assert_int_equal(hub_log_open(f->log_folder, &f->disk->disk, &log_options, &hub->log, &f->err), HUB_OK);
    assert_int_equal(hub_kv_open_memory(&kv_options, &kv), HUB_OK);
    assert_int_equal(hub_index_open_kv(kv, hub->log, &hub->index, &f->err), HUB_OK);
    assert_int_equal(hub_commit_start(&options, &test_clock, &f->disk->disk, hub->log, hub->index, NULL, fatal, NULL,
                                      &hub->commit, &f->err),
                     HUB_OK);
}

static void close_all(struct opened *hub)
{
    hub_commit_stop(hub->commit);
    hub_index_close(hub->index);
    hub_log_close(hub->log, false);
}

static struct test_answer send(struct opened *hub, struct hub_commit_item *item)
{
    size_t before = test_answers.count;
    if (!test_submit(hub->commit, item)) /* nothing is taken while the index is away */
        return (struct test_answer){.result = HUB_QUOTA};
    test_wait(before + 1);
    return test_answers.items[before];
}

enum { FIRST_PART = 6, LAST_PART = 13, WHOLE = 1 }; /* of messages: two letters, and what was joined of both */

/* Accepts the message and closes the letters of its parts, in one record. */
static struct hub_commit_item *joined(void)
{
    struct hub_commit_item *item = message(WHOLE);
    item->resolves = hub_mem_array(2, sizeof *item->resolves);
    assert_non_null(item->resolves);
    item->resolve_count = 2;
    (void)snprintf(item->resolves[0], sizeof item->resolves[0], "message%d", FIRST_PART);
    (void)snprintf(item->resolves[1], sizeof item->resolves[1], "message%d", LAST_PART);
    (void)snprintf(item->last_part, sizeof item->last_part, "message%d", LAST_PART);
    return item;
}

static void check_joined(struct fixture *f, struct opened *hub)
{
    struct hub_commit_stats stats;
    char id[33];
    int stored[MESSAGES];
    hub_commit_stats(hub->commit, &stats);
    assert_int_equal(stats.messages, 1);
    assert_int_equal(stats.events, 1 + WHOLE);
    assert_int_equal(stats.rejected, 2);
    assert_int_equal(stats.dead_letters, 0);
    assert_int_equal(hub_index_joined(hub->index, HUB_SPAN("message13"), id, &f->err), HUB_OK);
    assert_string_equal(id, "message1");
    close_all(hub);
    count_stored(f, &f->disk->disk, stored, MESSAGES); /* what the answers promise is in the log */
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(stored[i], i == WHOLE || i == FIRST_PART || i == LAST_PART);
}

static void commit_takes_a_record_whole_or_not_at_all_when_any_allocation_fails(void **state)
{
    struct fixture *f = *state;
    for (int lasting = 0; lasting < 2; lasting++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            struct opened hub;
            begin(f);
            open_all(f, &hub);
            assert_int_equal(send(&hub, message(FIRST_PART)).result, HUB_OK);
            assert_int_equal(send(&hub, message(LAST_PART)).result, HUB_OK);
            struct hub_commit_item *item = joined();
            (void)hub_mem_fail_nth(nth, lasting);
            struct test_answer first = send(&hub, item), again;
            failed = hub_mem_fail_nth(0, 0) >= nth;
            assert_true(failed || first.result == HUB_OK);
            while ((again = send(&hub, joined())).result == HUB_QUOTA) { /* until the index is there again */
                atomic_fetch_add(&test_mono_us, 1000000);
                (void)usleep(1000);
            }
            assert_int_equal(again.result, HUB_OK);
            assert_int_equal(again.duplicate, first.result == HUB_OK);
            check_joined(f, &hub);
        }
    }
}

/* --- killed --- */

static void answer_to_stdout(struct hub_commit_item *item, void *ctx)
{
    (void)ctx;
    if (item->result == HUB_OK) { /* what a sender would have seen */
        char line[64];
        int len = snprintf(line, sizeof line, "%s\n", item->dedup.message_id);
        if (write(STDOUT_FILENO, line, (size_t)len) != len)
            _exit(3);
    }
    hub_commit_item_free(item);
}

static int child(const char *folder)
{
    char path[600];
    struct hub_error err = {0};
    struct hub_log *log = NULL;
    struct hub_index *index = NULL;
    struct hub_commit *commit = NULL;
    const struct hub_commit_options options = {.queue = 8};
    (void)snprintf(path, sizeof path, "%s/log", folder);
    if (hub_log_open(path, hub_disk_system(), &log_options, &log, &err) != HUB_OK)
        return 2;
    (void)snprintf(path, sizeof path, "%s/index", folder);
    if (hub_index_open(path, log, &index, &err) != HUB_OK ||
        hub_commit_start(&options, hub_clock_system(), hub_disk_system(), log, index, NULL, NULL, NULL,
                         &commit, &err) != HUB_OK)
        return 2;
    for (int i = 0; i < CHILD_MESSAGES; i++) {
        struct hub_commit_item *item = message(i);
        item->done = answer_to_stdout;
        while (hub_commit_submit(commit, item) == HUB_BUSY)
            (void)usleep(100);
        if (i % 3 == 2)
            (void)usleep(300);
    }
    hub_commit_stop(commit);
    hub_index_close(index);
    hub_log_close(log, true);
    return 0;
}

/* Runs the child; marks in ACKED what it acknowledged. Returns its wait status. */
static int run_child(struct fixture *f, const char *crash_at, int *acked)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (crash_at != NULL)
            (void)setenv("CHARTLINE_CRASH_AT", crash_at, 1);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl(program, program, "--child", f->folder, (char *)NULL);
        _exit(4);
    }
    close(ends[1]);
    FILE *lines = fdopen(ends[0], "r");
    char line[64];
    assert_non_null(lines);
    while (fgets(line, sizeof line, lines) != NULL) {
        int which = -1;
        if (strchr(line, '\n') != NULL && sscanf(line, "message%d", &which) == 1 && which >= 0 &&
            which < CHILD_MESSAGES)
            acked[which]++;
    }
    fclose(lines);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void check_killed(struct fixture *f, const int *acked)
{
    int stored[CHILD_MESSAGES];
    count_stored(f, hub_disk_system(), stored, CHILD_MESSAGES);
    for (int i = 0; i < CHILD_MESSAGES; i++) {
        assert_true(stored[i] <= 1);
        assert_true(stored[i] == 1 || acked[i] == 0);
    }
}

static void commit_killed_at_any_point_loses_nothing_and_stores_nothing_twice(void **state)
{
    struct fixture *f = *state;
    static const char *const points[] = {
        "before-append", "after-append",  "before-sync",   "after-sync",      "before-index",
        "after-index",   "before-done",   "mid-write",     "before-append:5", "after-append:5",
        "after-sync:6",  "after-index:7", "before-done:4", "mid-write:6",     "before-roll",
        "after-roll",    "before-roll:2", "after-roll:3",
    };
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        int acked[CHILD_MESSAGES] = {0};
        temp_folder_remove(f->log_folder);
        temp_folder_remove(f->index_folder);
        int status = run_child(f, points[i], acked);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_killed(f, acked);
        status = run_child(f, points[i], acked); /* again, in the middle of the recovered log */
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        check_killed(f, acked);
        status = run_child(f, NULL, acked); /* everything is sent again */
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        check_killed(f, acked);
        for (int k = 0; k < CHILD_MESSAGES; k++)
            assert_true(acked[k] >= 1);
    }
}

static void commit_killed_during_recovery_recovers_the_next_time(void **state)
{
    struct fixture *f = *state;
    int acked[CHILD_MESSAGES] = {0};
    int status = run_child(f, "after-sync:6", acked);
    assert_true(WIFSIGNALED(status));
    for (int i = 0; i < 3; i++) {
        status = run_child(f, "recover-copy", acked);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    check_killed(f, acked);
    status = run_child(f, NULL, acked);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_killed(f, acked);
    for (int k = 0; k < CHILD_MESSAGES; k++)
        assert_true(acked[k] >= 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(commit_loses_nothing_acknowledged_when_any_operation_fails),
        TEST(commit_loses_nothing_acknowledged_when_the_power_goes),
        TEST(commit_loses_nothing_acknowledged_when_any_allocation_fails),
        TEST(commit_takes_a_record_whole_or_not_at_all_when_any_allocation_fails),
        TEST(commit_stops_acknowledging_at_the_first_failed_fsync),
        TEST(commit_killed_at_any_point_loses_nothing_and_stores_nothing_twice),
        TEST(commit_killed_during_recovery_recovers_the_next_time),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    if (hub_crypto_init() != HUB_OK)
        return 1;
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        return child(argv[2]);
    program = "/proc/self/exe";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
