/* The committer and revisions: one after the other, of what is accepted, each once, over restarts and a rebuilt index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/diag.h"
#include "tests/commit_fixture.h"
#include "tests/fault/fault_disk.h"
#include "tests/temp_folder.h"

#define ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct fixture {
    char folder[512];
    char log_folder[600];
    struct fault_disk *disk;
    struct hub_log *log;
    struct hub_index *index;
    struct hub_commit *commit;
    struct hub_error err;
    size_t sent;
};

static void start(struct fixture *f)
{
    static const struct hub_commit_options options = {.queue = 64};
    const struct hub_log_options log_options = {.segment_bytes = 65536};
    const struct hub_kv_options kv_options = {.families = hub_index_families(), .create = true};
    struct hub_kv *kv = NULL;
    assert_int_equal(hub_log_open(f->log_folder, &f->disk->disk, &log_options, &f->log, &f->err), HUB_OK);
    assert_int_equal(hub_kv_open_memory(&kv_options, &kv), HUB_OK);
    assert_int_equal(hub_index_open_kv(kv, f->log, &f->index, &f->err), HUB_OK);
    assert_int_equal(hub_commit_start(&options, &test_clock, &f->disk->disk, f->log, f->index, NULL, NULL, NULL, &f->commit, &f->err), HUB_OK);
}

static void stop(struct fixture *f)
{
    hub_commit_stop(f->commit);
    hub_index_close(f->index);
    hub_log_close(f->log, true);
    f->commit = NULL;
    f->index = NULL;
    f->log = NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || temp_folder_new(f->folder) == NULL)
        return -1;
    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/log", f->folder);
    f->disk = fault_disk_new();
    test_fixture_reset();
    start(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    stop(f);
    fault_disk_free(f->disk);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

static struct test_answer *send(struct fixture *f, struct hub_commit_item *item)
{
    assert_true(test_submit(f->commit, item));
    test_wait(++f->sent);
    return &test_answers.items[f->sent - 1];
}

static struct hub_commit_item *revision(const char *id, uint32_t number)
{
    struct hub_commit_item *item = test_item(HUB_RECORD_MESSAGE, id, "control", 1);
    item->kind = HUB_RECORD_REVISED;
    item->dedup.count = number;
    item->who = "uid 1000";
    item->rules = "hl7v2@0123456789abcdef";
    return item;
}

static uint32_t newest(struct fixture *f, const char *id)
{
    uint32_t number = 0;
    uint64_t record = 0;
    assert_int_equal(hub_index_revision(f->index, hub_span_str(id), &number, &record, &f->err), HUB_OK);
    return number;
}

static void revisions_come_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send(f, test_item(HUB_RECORD_MESSAGE, ID, "control", 1))->result, HUB_OK);
    assert_int_equal(send(f, revision(ID, 2))->result, HUB_BUSY);
    assert_int_equal(newest(f, ID), 0);
    assert_int_equal(send(f, revision(ID, 1))->result, HUB_OK);
    assert_int_equal(send(f, revision(ID, 2))->result, HUB_OK);
    assert_int_equal(newest(f, ID), 2);
}

static void a_revision_that_is_stored_is_not_stored_again(void **state)
{
    struct fixture *f = *state;
    (void)send(f, test_item(HUB_RECORD_MESSAGE, ID, "control", 1));
    assert_false(send(f, revision(ID, 1))->duplicate);
    const uint64_t records = hub_log_durable(f->log);
    struct test_answer *again = send(f, revision(ID, 1));
    assert_int_equal(again->result, HUB_OK);
    assert_true(again->duplicate);
    assert_true(hub_log_durable(f->log) == records);
}

static void only_an_accepted_message_has_revisions(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send(f, revision(OTHER, 1))->result, HUB_NOT_FOUND);
    (void)send(f, test_item(HUB_RECORD_REJECTED, OTHER, "control", 0));
    assert_int_equal(send(f, revision(OTHER, 1))->result, HUB_NOT_FOUND);
}

static void a_resend_stays_a_duplicate_of_the_first(void **state)
{
    struct fixture *f = *state;
    const int64_t recorded = send(f, test_item(HUB_RECORD_MESSAGE, ID, "control", 1))->recorded_us;
    (void)send(f, revision(ID, 1));
    struct test_answer *again = send(f, test_item(HUB_RECORD_MESSAGE, ID, "control", 1));
    assert_true(again->duplicate);
    assert_int_equal(again->recorded_us, recorded);
}

static void a_rebuilt_index_knows_them(void **state)
{
    struct fixture *f = *state;
    struct hub_commit_stats stats;
    (void)send(f, test_item(HUB_RECORD_MESSAGE, ID, "control", 1));
    (void)send(f, revision(ID, 1));
    (void)send(f, revision(ID, 2));
    stop(f);
    start(f);
    assert_int_equal(newest(f, ID), 2);
    hub_commit_stats(f->commit, &stats);
    assert_int_equal(stats.revised, 2);
    assert_int_equal(stats.messages, 1);
    assert_true(send(f, revision(ID, 2))->duplicate);
    assert_int_equal(send(f, revision(ID, 3))->result, HUB_OK);
}

/* The index is opened anew beneath, over the counts it had written. */
static void an_index_that_failed_and_is_back_still_counts_them(void **state)
{
    struct fixture *f = *state;
    struct hub_commit_stats stats;
    (void)send(f, test_item(HUB_RECORD_MESSAGE, ID, "control", 1));
    (void)send(f, revision(ID, 1));
    (void)hub_kv_fail_nth(HUB_KV_WRITES, 1, false);
    assert_int_equal(send(f, revision(ID, 2))->result, HUB_OK); /* the log has it */
    assert_true(hub_kv_fail_nth(0, 0, false) == 1);
    atomic_fetch_add(&test_mono_us, 1000000);
    assert_int_equal(send(f, revision(ID, 3))->result, HUB_OK);
    hub_commit_stats(f->commit, &stats);
    assert_int_equal(stats.revised, 3);
    assert_int_equal(newest(f, ID), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(revisions_come_one_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_that_is_stored_is_not_stored_again, setup, teardown),
        cmocka_unit_test_setup_teardown(only_an_accepted_message_has_revisions, setup, teardown),
        cmocka_unit_test_setup_teardown(a_resend_stays_a_duplicate_of_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rebuilt_index_knows_them, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_that_failed_and_is_back_still_counts_them, setup, teardown),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (hub_crypto_init() != HUB_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
