/* The verifier in Python, written from docs/FORMATS.md, takes the logs this program makes and refuses
 * changed ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/wait.h>

#include "tests/unit/audit/audit_fixture.h"
#include "tests/needs.h"

/* Its exit code; what it prints goes nowhere. SINCE: a file in the fixture's folder, or NULL. */
static int second(struct fixture *f, const char *since)
{
    char command[3000], vkey[HUB_NOTE_VKEY_MAX];
    fixture_vkey(f, vkey);
    int len = snprintf(command, sizeof command, "python3 '%s/tests/conformance/verify_audit.py' '%s' --vkey '%s'",
                       CHARTLINE_SOURCE_DIR, f->audit_folder, vkey);
    if (since != NULL)
        (void)snprintf(command + len, sizeof command - (size_t)len, " --since '%s/%s' >/dev/null", f->folder, since);
    else
        (void)snprintf(command + len, sizeof command - (size_t)len, " >/dev/null");
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int python(void **state)
{
    (void)state;
    if (system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null") != 0) {
        test_skip_all("no Python 3.9; install python3");
    }
    return 0;
}

static void remember(struct fixture *f)
{
    struct hub_buf note;
    fixture_read(f, "checkpoint", &note);
    fixture_write(f, "../remembered", hub_buf_view(&note));
    hub_buf_deinit(&note);
}

static void audit_second_verifier_takes_logs_of_every_shape(void **state)
{
    (void)state;
    static const unsigned steps[] = {0, 1, 1, 253, 1, 1, 255, 400};
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        fixture_publish(&f, steps[i]);
        assert_int_equal(second(&f, i == 0 ? NULL : "remembered"), 0);
        remember(&f);
    }
    fixture_free(&f);
}

static void audit_second_verifier_takes_a_log_of_three_levels(void **state)
{
    (void)state;
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    for (int i = 0; i < 35; i++)
        fixture_add_reads(&f, 2000);
    fixture_publish(&f, 0);
    assert_true(fixture_has(&f, "tile/2/000.p/1"));
    assert_int_equal(second(&f, NULL), 0);
    fixture_expect_clean(&f, true, 70000);
    fixture_flip(&f, "tile/1/000", 100, 4);
    assert_int_equal(second(&f, NULL), 1);
    struct hub_audit_report report;
    fixture_verify(&f, NULL, false, &report);
    fixture_expect_finding(&report, "hash 3 of tile/1/000 was changed", 768);
    assert_int_equal(report.finding_count, 1);
    fixture_free(&f);
}

static void audit_second_verifier_refuses_what_was_changed(void **state)
{
    (void)state;
    static const struct { const char *file; size_t at; } flips[] = {
        {"checkpoint", 3}, {"checkpoint", 25}, {"checkpoint", 120}, {"vkey", 20}, {"state", 30},
        {"tile/entries/000", 0}, {"tile/entries/000", 1}, {"tile/entries/000", 5000}, {"tile/entries/001.p/44", 77},
        {"tile/0/000", 8191}, {"tile/0/001.p/44", 0}, {"tile/1/000.p/1", 16},
    };
    struct fixture f;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 300);
    remember(&f);
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        fixture_flip(&f, flips[i].file, flips[i].at, 1);
        if (second(&f, "remembered") != 1)
            fail_msg("%s: a changed byte %zu is taken", flips[i].file, flips[i].at);
        fixture_flip(&f, flips[i].file, flips[i].at, 1);
    }
    assert_int_equal(second(&f, "remembered"), 0);
    fixture_free(&f);
}

static void audit_second_verifier_finds_a_fork_and_a_rollback(void **state)
{
    (void)state;
    static const unsigned sizes[] = {200, 400};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f, other;
        struct hub_buf note;
        fixture_new(&f);
        fixture_open_audit(&f);
        fixture_publish(&f, 300);
        fixture_read(&f, "checkpoint", &note);
        fixture_new(&other);
        memcpy(other.public_key, f.public_key, sizeof f.public_key);
        memcpy(other.secret_key, f.secret_key, sizeof f.secret_key);
        other.now_us += 7;
        fixture_open_audit(&other);
        fixture_publish(&other, sizes[i]);
        fixture_write(&other, "../remembered", hub_buf_view(&note));
        assert_int_equal(second(&other, NULL), 0);
        assert_int_equal(second(&other, "remembered"), 1);
        hub_buf_deinit(&note);
        fixture_free(&other);
        fixture_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_second_verifier_takes_logs_of_every_shape),
        cmocka_unit_test(audit_second_verifier_takes_a_log_of_three_levels),
        cmocka_unit_test(audit_second_verifier_refuses_what_was_changed),
        cmocka_unit_test(audit_second_verifier_finds_a_fork_and_a_rollback),
    };
    return cmocka_run_group_tests(tests, python, NULL);
}
