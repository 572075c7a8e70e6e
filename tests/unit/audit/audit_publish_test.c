/* The publisher: what it writes, when, and what it refuses on opening. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "audit_fixture.h"

static void audit_publishes_tiles_bundles_and_a_checkpoint_that_verify(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    assert_int_equal(hub_audit_size(f.audit), 0);
    fixture_publish(&f, 300);
    assert_int_equal(hub_audit_size(f.audit), 300);
    static const char *const files[] = {"vkey", "checkpoint", "state", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1",
                                        "tile/entries/000", "tile/entries/001.p/44"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_true(fixture_has(&f, files[i]));
    fixture_expect_clean(&f, true, 300);
    fixture_free(&f);
}

static void audit_publishes_an_empty_log_when_forced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_ok(&f, hub_audit_step(f.audit, false, &f.err));
    assert_false(fixture_has(&f, "checkpoint"));
    fixture_ok(&f, hub_audit_step(f.audit, true, &f.err));
    fixture_expect_clean(&f, true, 0);
    fixture_free(&f);
}

static void audit_signs_at_most_once_in_its_interval(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 1);
    fixture_add_message(&f, 1);
    fixture_sync(&f);
    fixture_ok(&f, hub_audit_step(f.audit, false, &f.err));
    assert_int_equal(hub_audit_size(f.audit), 1);
    f.now_us += 1000 * 1000;
    fixture_ok(&f, hub_audit_step(f.audit, false, &f.err));
    assert_int_equal(hub_audit_size(f.audit), 2);
    fixture_free(&f);
}

static void audit_signs_only_what_is_durable(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_add_message(&f, 1);
    fixture_ok(&f, hub_audit_step(f.audit, true, &f.err));
    assert_int_equal(hub_audit_size(f.audit), 0);
    fixture_free(&f);
}

static void audit_removes_partial_tiles_that_no_recent_checkpoint_uses(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    for (int i = 1; i <= 9; i++) {
        fixture_publish(&f, 1);
        assert_true(fixture_has(&f, "tile/0/000.p/1") == (i <= 8)); /* a reader may hold one of the newest 8 */
    }
    assert_true(fixture_has(&f, "tile/entries/000.p/2"));
    fixture_expect_clean(&f, true, 9);
    fixture_publish(&f, 247);
    for (int i = 0; i < 8; i++)
        fixture_publish(&f, 1);
    assert_false(fixture_has(&f, "tile/0/000.p"));
    assert_false(fixture_has(&f, "tile/entries/000.p"));
    fixture_expect_clean(&f, true, 264);
    fixture_free(&f);
}

static void reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open_log(f);
    fixture_open_audit(f);
}

static void audit_goes_on_after_reopening(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 255, 256, 257, 300, 512, 513};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture f;
        fixture_new(&f);
        fixture_open_audit(&f);
        fixture_publish(&f, sizes[i]);
        reopen(&f);
        assert_int_equal(hub_audit_size(f.audit), sizes[i]);
        fixture_publish(&f, 260);
        fixture_expect_clean(&f, true, sizes[i] + 260);
        fixture_free(&f);
    }
}

static void audit_gives_the_same_tree_however_often_it_is_reopened(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report pieces, whole;
    fixture_new(&f);
    fixture_open_audit(&f);
    for (unsigned i = 0; i < 12; i++) {
        fixture_add_reads(&f, 60);
        fixture_publish(&f, i);
        reopen(&f);
    }
    fixture_verify(&f, NULL, true, &pieces);
    fixture_close_audit(&f);
    temp_folder_remove(f.audit_folder);
    fixture_open_audit(&f);
    fixture_verify(&f, NULL, true, &whole);
    assert_int_equal(pieces.finding_count + whole.finding_count, 0);
    assert_string_equal(pieces.root, whole.root);
    assert_int_equal(whole.entries, 12 * 60 + 66);
    fixture_free(&f);
}

static void audit_writes_missing_and_changed_files_again(void **state)
{
    (void)state;
    static const char *const files[] = {"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44", "state"};
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 300);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        fixture_remove(&f, files[i]);
        reopen(&f);
        assert_true(fixture_has(&f, files[i]));
        fixture_expect_clean(&f, true, 300);
    }
    fixture_flip(&f, "tile/0/000", 40, 1);
    fixture_remove(&f, "state");
    reopen(&f);
    fixture_expect_clean(&f, true, 300);
    fixture_free(&f);
}

/* A crash between the checkpoint and the state file that follows it. */
static void audit_goes_on_from_an_older_state(void **state)
{
    (void)state;
    static const unsigned sizes[] = {0, 10, 250, 256, 300};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture f;
        struct hub_buf older;
        fixture_new(&f);
        fixture_open_audit(&f);
        fixture_publish(&f, sizes[i]);
        fixture_read(&f, "state", &older);
        fixture_publish(&f, 30);
        fixture_write(&f, "state", hub_buf_view(&older));
        hub_buf_deinit(&older);
        reopen(&f);
        assert_int_equal(hub_audit_size(f.audit), sizes[i] + 30);
        fixture_expect_clean(&f, true, sizes[i] + 30);
        fixture_publish(&f, 1);
        fixture_expect_clean(&f, true, sizes[i] + 31);
        fixture_free(&f);
    }
}

static void audit_removes_what_a_crash_left(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 10);
    fixture_write(&f, "tile/0/000.new", HUB_SPAN("half"));
    fixture_write(&f, "tile/0/000.p/7", HUB_SPAN("half"));
    fixture_write(&f, "tile/0/000.p/11", HUB_SPAN("half"));
    reopen(&f);
    assert_false(fixture_has(&f, "tile/0/000.new"));
    assert_false(fixture_has(&f, "tile/0/000.p/7"));
    assert_false(fixture_has(&f, "tile/0/000.p/11"));
    assert_true(fixture_has(&f, "tile/0/000.p/10"));
    fixture_free(&f);
}

static void expect_refused(struct fixture *f, const char *what)
{
    assert_int_equal(fixture_try_open_audit(f, 1000), HUB_CORRUPT);
    assert_string_equal(f->err.what, what);
    assert_true(f->err.mend[0] != '\0');
}

/* Another event log in place of the one that was signed. */
static void replace_log(struct fixture *f, unsigned messages)
{
    fixture_close(f);
    temp_folder_remove(f->log_folder);
    fixture_open_log(f);
    for (unsigned i = 0; i < messages; i++)
        fixture_add_message(f, 1);
    fixture_sync(f);
}

static void audit_refuses_a_log_that_ends_below_the_signed_size(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 20);
    f.messages = 0;
    f.now_us = 1795398230000000;
    replace_log(&f, 19);
    expect_refused(&f, "the event log ends below the last signed audit entry");
    fixture_remove(&f, "checkpoint"); /* does not help: the state still knows */
    expect_refused(&f, "the event log ends below the last signed audit entry");
    fixture_add_message(&f, 1);
    fixture_sync(&f);
    fixture_open_audit(&f); /* the same entries again: the signed root, nothing is lost */
    fixture_ok(&f, hub_audit_step(f.audit, true, &f.err));
    fixture_expect_clean(&f, true, 20);
    fixture_free(&f);
}

static void audit_refuses_a_log_that_does_not_give_the_signed_root(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 20);
    replace_log(&f, 30); /* other entries */
    struct hub_buf before, after;
    fixture_read(&f, "tile/entries/000.p/20", &before);
    expect_refused(&f, "the event log does not give the signed audit root");
    fixture_read(&f, "tile/entries/000.p/20", &after); /* and what was signed is left as it is */
    assert_true(hub_span_equal(hub_buf_view(&before), hub_buf_view(&after)));
    hub_buf_deinit(&before);
    hub_buf_deinit(&after);
    fixture_free(&f);
}

static void audit_refuses_a_log_that_was_changed_behind_an_older_state(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_buf older;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 20);
    fixture_read(&f, "state", &older);
    fixture_publish(&f, 20);
    f.messages = 0;
    f.now_us = 1795398230000000;
    replace_log(&f, 20); /* the same */
    f.now_us += 5;       /* and then not */
    for (int i = 0; i < 20; i++)
        fixture_add_message(&f, 1);
    fixture_sync(&f);
    fixture_write(&f, "state", hub_buf_view(&older));
    hub_buf_deinit(&older);
    expect_refused(&f, "the event log does not give the signed audit root");
    fixture_free(&f);
}

static void audit_refuses_another_key(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 3);
    fixture_close_audit(&f);
    hub_sign_keypair(f.public_key, f.secret_key);
    expect_refused(&f, "the audit log belongs to another signing key or hub name");
    fixture_remove(&f, "vkey");
    expect_refused(&f, "the published audit checkpoint does not verify with the hub's key");
    fixture_free(&f);
}

static void audit_refuses_a_changed_checkpoint(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 3);
    fixture_close_audit(&f);
    fixture_flip(&f, "checkpoint", sizeof FIXTURE_ORIGIN, 1);
    expect_refused(&f, "the published audit checkpoint does not verify with the hub's key");
    fixture_free(&f);
}

static void audit_refuses_a_name_that_cannot_sign(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    struct hub_audit_options options = {.folder = f.audit_folder, .origin = "chartline/two words"};
    struct hub_audit_signer signer = {f.public_key, fixture_sign, &f};
    assert_int_equal(hub_audit_open(&options, f.disk, f.log, &signer, &f.audit, &f.err), HUB_CONFIG);
    fixture_free(&f);
}

struct seen {
    uint64_t next;
    uint64_t stop_at;
};

static bool see(void *ctx, uint64_t index, struct hub_span json)
{
    struct seen *seen = ctx;
    char want[40];
    (void)snprintf(want, sizeof want, "\"n\":%llu,", (unsigned long long)index + 1);
    assert_int_equal(index, seen->next);
    assert_non_null(memmem(json.ptr, json.len, want, strlen(want)));
    seen->next++;
    return index != seen->stop_at;
}

static void audit_each_gives_every_entry_in_order(void **state)
{
    (void)state;
    struct fixture f;
    struct seen seen = {0, UINT64_MAX};
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 600);
    fixture_ok(&f, hub_audit_each(f.audit_folder, 0, see, &seen, &f.err));
    assert_int_equal(seen.next, 600);
    seen = (struct seen){300, 520};
    fixture_ok(&f, hub_audit_each(f.audit_folder, 300, see, &seen, &f.err));
    assert_int_equal(seen.next, 521);
    seen = (struct seen){600, UINT64_MAX};
    fixture_ok(&f, hub_audit_each(f.audit_folder, 600, see, &seen, &f.err));
    assert_int_equal(seen.next, 600);
    fixture_free(&f);
}

static void audit_each_shows_nothing_of_a_changed_bundle(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 600);
    static const struct { const char *file; uint64_t shown; } cases[] = {
        {"tile/entries/001", 256},
        {"tile/entries/002.p/88", 512},
        {"tile/1/000.p/2", 256}, /* its first hash: what proves all bundles but the first */
        {"checkpoint", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen seen = {0, UINT64_MAX};
        fixture_flip(&f, cases[i].file, 30, 1);
        assert_int_not_equal(hub_audit_each(f.audit_folder, 0, see, &seen, &f.err), HUB_OK);
        assert_true(seen.next <= cases[i].shown);
        fixture_flip(&f, cases[i].file, 30, 1);
    }
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_publishes_tiles_bundles_and_a_checkpoint_that_verify),
        cmocka_unit_test(audit_publishes_an_empty_log_when_forced),
        cmocka_unit_test(audit_signs_at_most_once_in_its_interval),
        cmocka_unit_test(audit_signs_only_what_is_durable),
        cmocka_unit_test(audit_removes_partial_tiles_that_no_recent_checkpoint_uses),
        cmocka_unit_test(audit_goes_on_after_reopening),
        cmocka_unit_test(audit_gives_the_same_tree_however_often_it_is_reopened),
        cmocka_unit_test(audit_writes_missing_and_changed_files_again),
        cmocka_unit_test(audit_goes_on_from_an_older_state),
        cmocka_unit_test(audit_removes_what_a_crash_left),
        cmocka_unit_test(audit_refuses_a_log_that_ends_below_the_signed_size),
        cmocka_unit_test(audit_refuses_a_log_that_does_not_give_the_signed_root),
        cmocka_unit_test(audit_refuses_a_log_that_was_changed_behind_an_older_state),
        cmocka_unit_test(audit_refuses_another_key),
        cmocka_unit_test(audit_refuses_a_changed_checkpoint),
        cmocka_unit_test(audit_refuses_a_name_that_cannot_sign),
        cmocka_unit_test(audit_each_gives_every_entry_in_order),
        cmocka_unit_test(audit_each_shows_nothing_of_a_changed_bundle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
