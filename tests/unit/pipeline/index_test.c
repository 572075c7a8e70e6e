#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/diag.h"
#include "src/pipeline/index.h"
#include "tests/temp_folder.h"

struct fixture {
    char folder[512];
    char log_folder[600];
    char index_folder[600];
    struct hub_log *log;
    struct hub_index *index;
    struct hub_error err;
};

static void open_log(struct fixture *f)
{
    assert_int_equal(hub_log_open(f->log_folder, hub_disk_system(), NULL, &f->log, &f->err), HUB_OK);
}

static void open_memory(struct fixture *f)
{
    const struct hub_kv_options options = {.families = hub_index_families(), .create = true};
    struct hub_kv *kv = NULL;
    assert_int_equal(hub_kv_open_memory(&options, &kv), HUB_OK);
    assert_int_equal(hub_index_open_kv(kv, f->log, &f->index, &f->err), HUB_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || temp_folder_new(f->folder) == NULL)
        return -1;
    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/log", f->folder);
    (void)snprintf(f->index_folder, sizeof f->index_folder, "%s/index", f->folder);
    open_log(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_index_close(f->index);
    hub_log_close(f->log, false);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

/* A record in the log and, when the index is open, in the index. */
static void put(struct fixture *f, enum hub_record_kind kind, const char *id, const char *control,
                int64_t recorded_us, int events)
{
    struct hub_buf buf;
    hub_buf_init(&buf, 10000, false);
    hub_record_begin(&buf, kind, recorded_us, "adt-main");
    if (id != NULL) {
        struct hub_dedup dedup = {.count = 1};
        (void)snprintf(dedup.message_id, sizeof dedup.message_id, "%s", id);
        (void)snprintf(dedup.control_token, sizeof dedup.control_token, "%s", control);
        (void)snprintf(dedup.answer, sizeof dedup.answer, "%s", kind == HUB_RECORD_MESSAGE ? "AA" : "AE");
        hub_record_add_dedup(&buf, &dedup);
    }
    for (int i = 0; i < events; i++)
        hub_record_add(&buf, HUB_SECTION_EVENT, HUB_SPAN("{}"));
    struct hub_span part = hub_buf_view(&buf);
    uint64_t number = 0;
    assert_int_equal(hub_log_append(f->log, &part, 1, &number, &f->err), HUB_OK);
    assert_int_equal(hub_log_sync(f->log, &f->err), HUB_OK);
    if (f->index != NULL)
        assert_int_equal(hub_index_apply(f->index, number, part, &f->err), HUB_OK);
    hub_buf_deinit(&buf);
}

static void fill(struct fixture *f)
{
    put(f, HUB_RECORD_AUDIT, NULL, NULL, 90, 0);
    put(f, HUB_RECORD_MESSAGE, "aaa", "c1", 100, 3);
    put(f, HUB_RECORD_REJECTED, "bbb", "c2", 200, 0);
    put(f, HUB_RECORD_REPEATED, "bbb", "c2", 300, 0);
    put(f, HUB_RECORD_MESSAGE, "ccc", "c1", 400, 1);
    put(f, HUB_RECORD_REJECTED, "ddd", "c3", 500, 0);
    put(f, HUB_RECORD_MESSAGE, "ddd", "c3", 600, 2);
}

struct seen {
    char text[400];
};

static bool see_id(void *ctx, struct hub_span id)
{
    struct seen *seen = ctx;
    size_t len = strlen(seen->text);
    (void)snprintf(seen->text + len, sizeof seen->text - len, "%.*s ", (int)id.len, (const char *)id.ptr);
    return true;
}

static bool see_dead(void *ctx, struct hub_span id, const struct hub_index_message *message)
{
    struct seen *seen = ctx;
    size_t len = strlen(seen->text);
    (void)snprintf(seen->text + len, sizeof seen->text - len, "%.*s:%llu:%lld-%lld%s ", (int)id.len,
                   (const char *)id.ptr, (unsigned long long)message->repeats,
                   (long long)message->recorded_us, (long long)message->last_us,
                   message->resolved ? ":resolved" : "");
    return true;
}

static void check_filled(struct fixture *f)
{
    struct hub_index_message message;
    assert_int_equal(hub_index_message(f->index, HUB_SPAN("aaa"), &message, &f->err), HUB_OK);
    assert_int_equal(message.kind, HUB_RECORD_MESSAGE);
    assert_true(message.record == 2 && message.recorded_us == 100 && message.repeats == 0);
    assert_string_equal(message.answer, "AA");
    assert_int_equal(hub_index_message(f->index, HUB_SPAN("bbb"), &message, &f->err), HUB_OK);
    assert_int_equal(message.kind, HUB_RECORD_REJECTED);
    assert_true(message.record == 3 && message.recorded_us == 200 && message.last_us == 300 &&
                message.repeats == 1);
    assert_string_equal(message.answer, "AE");
    assert_int_equal(hub_index_message(f->index, HUB_SPAN("ddd"), &message, &f->err), HUB_OK);
    assert_int_equal(message.kind, HUB_RECORD_MESSAGE);
    assert_true(message.record == 7);
    assert_int_equal(hub_index_message(f->index, HUB_SPAN("none"), &message, &f->err), HUB_NOT_FOUND);

    struct seen seen = {0};
    assert_int_equal(hub_index_each_control(f->index, HUB_SPAN("c1"), see_id, &seen, &f->err), HUB_OK);
    assert_string_equal(seen.text, "aaa ccc ");
    memset(&seen, 0, sizeof seen);
    assert_int_equal(hub_index_each_control(f->index, HUB_SPAN("c3"), see_id, &seen, &f->err), HUB_OK);
    assert_string_equal(seen.text, "ddd ");
    memset(&seen, 0, sizeof seen);
    assert_int_equal(hub_index_each_control(f->index, HUB_SPAN("c"), see_id, &seen, &f->err), HUB_OK);
    assert_string_equal(seen.text, "");
    assert_int_equal(hub_index_each_dead_letter(f->index, see_dead, &seen, &f->err), HUB_OK);
    assert_string_equal(seen.text, "bbb:1:200-300 ddd:0:500-500:resolved ");

    struct hub_commit_stats stats;
    hub_index_stats(f->index, &stats);
    assert_true(stats.messages == 3 && stats.events == 6 && stats.rejected == 3 && stats.dead_letters == 1);
    assert_true(stats.last_recorded_us == 601); /* the second event of ddd */
}

static void index_says_what_the_log_says(void **state)
{
    struct fixture *f = *state;
    open_memory(f);
    fill(f);
    assert_int_equal(hub_index_write(f->index, &f->err), HUB_OK);
    check_filled(f);
}

static void index_written_record_by_record_is_the_same(void **state)
{
    struct fixture *f = *state;
    fill(f);
    open_memory(f);
    check_filled(f);
    hub_index_close(f->index);
    f->index = NULL;
    struct hub_index *index = NULL;
    assert_int_equal(hub_index_open(f->index_folder, f->log, &index, &f->err), HUB_OK);
    f->index = index;
    check_filled(f);
}

static void index_left_behind_catches_up_at_open(void **state)
{
    struct fixture *f = *state;
    put(f, HUB_RECORD_AUDIT, NULL, NULL, 90, 0);
    put(f, HUB_RECORD_MESSAGE, "aaa", "c1", 100, 3);
    assert_int_equal(hub_index_open(f->index_folder, f->log, &f->index, &f->err), HUB_OK);
    hub_index_close(f->index);
    f->index = NULL;
    put(f, HUB_RECORD_REJECTED, "bbb", "c2", 200, 0);
    put(f, HUB_RECORD_REPEATED, "bbb", "c2", 300, 0);
    put(f, HUB_RECORD_MESSAGE, "ccc", "c1", 400, 1);
    put(f, HUB_RECORD_REJECTED, "ddd", "c3", 500, 0);
    put(f, HUB_RECORD_MESSAGE, "ddd", "c3", 600, 2);
    assert_int_equal(hub_index_open(f->index_folder, f->log, &f->index, &f->err), HUB_OK);
    check_filled(f);
}

static void index_refuses_a_log_that_lost_stored_records(void **state)
{
    struct fixture *f = *state;
    fill(f);
    assert_int_equal(hub_index_open(f->index_folder, f->log, &f->index, &f->err), HUB_OK);
    hub_index_close(f->index);
    f->index = NULL;
    hub_log_close(f->log, false);
    f->log = NULL;
    char path[700];
    (void)snprintf(path, sizeof path, "%s/00000000000000000001.seg", f->log_folder);
    assert_int_equal(truncate(path, 150), 0);
    open_log(f);
    assert_true(hub_log_durable(f->log) < 7);
    assert_int_equal(hub_index_open(f->index_folder, f->log, &f->index, &f->err), HUB_CORRUPT);
    assert_null(f->index);
}

static void index_refuses_another_log(void **state)
{
    struct fixture *f = *state;
    fill(f);
    assert_int_equal(hub_index_open(f->index_folder, f->log, &f->index, &f->err), HUB_OK);
    hub_index_close(f->index);
    f->index = NULL;
    hub_log_close(f->log, false);
    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/other", f->folder);
    open_log(f);
    fill(f);
    assert_int_equal(hub_index_open(f->index_folder, f->log, &f->index, &f->err), HUB_CORRUPT);
}

static void index_forgets_what_was_staged_on_discard(void **state)
{
    struct fixture *f = *state;
    put(f, HUB_RECORD_MESSAGE, "aaa", "c1", 100, 1);
    open_memory(f);
    struct hub_index *index = f->index;
    f->index = NULL; /* not applied by put */
    put(f, HUB_RECORD_MESSAGE, "bbb", "c2", 200, 1);
    f->index = index;
    struct hub_buf buf;
    hub_buf_init(&buf, 1000, false);
    const struct hub_dedup dedup = {.message_id = "bbb", .control_token = "c2", .answer = "AA", .count = 1};
    hub_record_begin(&buf, HUB_RECORD_MESSAGE, 200, "");
    hub_record_add_dedup(&buf, &dedup);
    struct hub_index_message message;
    for (int round = 0; round < 3; round++) {
        bool used = false;
        assert_int_equal(hub_index_apply(index, 2, hub_buf_view(&buf), &f->err), HUB_OK);
        assert_int_equal(hub_index_duplicate(index, HUB_SPAN("bbb"), 250, &f->err), HUB_OK);
        assert_int_equal(hub_index_lookup(index, HUB_SPAN("bbb"), &message, &f->err), HUB_OK);
        assert_true(message.repeats == 1);
        assert_int_equal(hub_index_control_used(index, HUB_SPAN("c2"), HUB_SPAN("zzz"), &used, &f->err),
                         HUB_OK);
        assert_true(used);
        assert_int_equal(hub_index_message(index, HUB_SPAN("bbb"), &message, &f->err), HUB_NOT_FOUND);
        hub_index_discard(index);
        assert_int_equal(hub_index_lookup(index, HUB_SPAN("bbb"), &message, &f->err), HUB_NOT_FOUND);
        assert_int_equal(hub_index_control_used(index, HUB_SPAN("c2"), HUB_SPAN("zzz"), &used, &f->err),
                         HUB_OK);
        assert_false(used);
        assert_true(hub_index_last_recorded(index) == 100);
    }
    hub_buf_deinit(&buf);
}

static void index_keeps_many_staged_records_apart(void **state)
{
    struct fixture *f = *state;
    open_memory(f);
    char id[33];
    char control[33];
    for (int i = 0; i < 3000; i++) {
        struct hub_buf buf;
        struct hub_dedup dedup = {.answer = "AA", .count = 1};
        hub_buf_init(&buf, 1000, false);
        (void)snprintf(dedup.message_id, sizeof dedup.message_id, "message%d", i);
        (void)snprintf(dedup.control_token, sizeof dedup.control_token, "control%d", i / 2);
        hub_record_begin(&buf, HUB_RECORD_MESSAGE, 1000 + i, "");
        hub_record_add_dedup(&buf, &dedup);
        assert_int_equal(hub_index_apply(f->index, (uint64_t)i + 1, hub_buf_view(&buf), &f->err), HUB_OK);
        hub_buf_deinit(&buf);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 3000; i++) {
            struct hub_index_message message;
            bool used = false;
            (void)snprintf(id, sizeof id, "message%d", i);
            (void)snprintf(control, sizeof control, "control%d", i / 2);
            assert_int_equal(hub_index_lookup(f->index, hub_span_str(id), &message, &f->err), HUB_OK);
            assert_true(message.record == (uint64_t)i + 1);
            assert_int_equal(
                hub_index_control_used(f->index, hub_span_str(control), hub_span_str(id), &used, &f->err),
                HUB_OK);
            assert_int_equal(used, i % 2);
        }
        assert_int_equal(hub_index_write(f->index, &f->err), HUB_OK);
    }
    struct hub_commit_stats stats;
    hub_index_stats(f->index, &stats);
    assert_true(stats.messages == 3000);
}

static void index_refuses_a_record_without_its_dedup_section(void **state)
{
    struct fixture *f = *state;
    open_memory(f);
    struct hub_buf buf;
    hub_buf_init(&buf, 1000, false);
    hub_record_begin(&buf, HUB_RECORD_MESSAGE, 200, "");
    assert_int_equal(hub_index_apply(f->index, 1, hub_buf_view(&buf), &f->err), HUB_CORRUPT);
    hub_buf_deinit(&buf);
}

/* One slice is enough for as few as here. */
static uint64_t forget(struct fixture *f, uint64_t before, int64_t last_us)
{
    static struct hub_index_old old;
    uint64_t forgotten = 0;
    for (int controls = 0; controls < 2; controls++) {
        memset(&old, 0, sizeof old);
        old.age = (struct hub_index_age){.before = before, .last_us = last_us};
        old.controls = controls == 1;
        assert_int_equal(hub_index_find_old(f->index, &old, &f->err), HUB_OK);
        assert_true(old.next.len == 0);
        assert_int_equal(hub_index_forget(f->index, &old, &f->err), HUB_OK);
        assert_int_equal(hub_index_write(f->index, &f->err), HUB_OK);
        forgotten += old.forgotten;
    }
    return forgotten;
}

static bool knows(struct fixture *f, const char *id)
{
    struct hub_index_message message;
    return hub_index_message(f->index, hub_span_str(id), &message, &f->err) == HUB_OK;
}

static void index_forgets_what_is_old_and_retired_but_no_open_letter(void **state)
{
    struct fixture *f = *state;
    bool used = false;
    open_memory(f);
    fill(f);
    assert_int_equal(hub_index_write(f->index, &f->err), HUB_OK);
    assert_int_equal(forget(f, 1, 10000), 0);   /* nothing was retired */
    assert_int_equal(forget(f, 100, 100), 0);   /* all came since */
    assert_int_equal(forget(f, 100, 101), 2);   /* aaa and its use of its token */
    assert_true(!knows(f, "aaa") && knows(f, "bbb") && knows(f, "ccc") && knows(f, "ddd"));
    /* known again at the last moment: repeated after it was found, before it is forgotten */
    static struct hub_index_old old;
    old.age = (struct hub_index_age){.before = 100, .last_us = 10000};
    assert_int_equal(hub_index_find_old(f->index, &old, &f->err), HUB_OK);
    assert_int_equal(old.count, 2); /* ccc and ddd; bbb is an open letter */
    assert_int_equal(hub_index_duplicate(f->index, HUB_SPAN("ccc"), 20000, &f->err), HUB_OK);
    assert_int_equal(hub_index_forget(f->index, &old, &f->err), HUB_OK);
    assert_int_equal(hub_index_write(f->index, &f->err), HUB_OK);
    assert_true(old.forgotten == 1 && knows(f, "ccc") && !knows(f, "ddd") && knows(f, "bbb"));
    struct hub_index_message message;
    assert_int_equal(hub_index_dead_letter(f->index, HUB_SPAN("ddd"), &message, &f->err), HUB_NOT_FOUND);
    assert_int_equal(hub_index_dead_letter(f->index, HUB_SPAN("bbb"), &message, &f->err), HUB_OK);
    (void)forget(f, 100, 10000); /* tokens whose messages are gone */
    assert_int_equal(hub_index_control_used(f->index, HUB_SPAN("c3"), HUB_SPAN("new"), &used, &f->err), HUB_OK);
    assert_false(used);
    assert_int_equal(hub_index_control_used(f->index, HUB_SPAN("c2"), HUB_SPAN("new"), &used, &f->err), HUB_OK);
    assert_true(used);
}

static void index_finds_a_carried_letter_in_its_new_record(void **state)
{
    struct fixture *f = *state;
    struct hub_index_message message;
    open_memory(f);
    fill(f);
    put(f, HUB_RECORD_CARRIED, "bbb", "", 700, 0);
    put(f, HUB_RECORD_CARRIED, "ddd", "", 800, 0); /* its message was accepted: the letter is resolved, and stays where it is */
    assert_int_equal(hub_index_write(f->index, &f->err), HUB_OK);
    assert_int_equal(hub_index_dead_letter(f->index, HUB_SPAN("bbb"), &message, &f->err), HUB_OK);
    assert_true(message.record == 8 && message.recorded_us == 200 && message.last_us == 300 && message.repeats == 1);
    assert_int_equal(hub_index_message(f->index, HUB_SPAN("bbb"), &message, &f->err), HUB_OK);
    assert_true(message.record == 8 && message.kind == HUB_RECORD_REJECTED);
    assert_int_equal(hub_index_message(f->index, HUB_SPAN("ddd"), &message, &f->err), HUB_OK);
    assert_true(message.record == 7 && message.kind == HUB_RECORD_MESSAGE);
    struct hub_commit_stats stats;
    hub_index_stats(f->index, &stats);
    assert_true(stats.dead_letters == 1 && stats.rejected == 3 && stats.messages == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(index_says_what_the_log_says),
        TEST(index_written_record_by_record_is_the_same),
        TEST(index_left_behind_catches_up_at_open),
        TEST(index_refuses_a_log_that_lost_stored_records),
        TEST(index_refuses_another_log),
        TEST(index_forgets_what_was_staged_on_discard),
        TEST(index_keeps_many_staged_records_apart),
        TEST(index_refuses_a_record_without_its_dedup_section),
        TEST(index_forgets_what_is_old_and_retired_but_no_open_letter),
        TEST(index_finds_a_carried_letter_in_its_new_record),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
