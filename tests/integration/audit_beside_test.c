/* Verifying and reading while the hub publishes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/audit/audit_fixture.h"

enum { ROUNDS = 150, ENTRIES = 9 };

struct running {
    struct fixture *f;
    _Atomic bool done;
};

/* The hub: a few entries, a checkpoint, and again. */
static void *hub(void *ctx)
{
    struct running *running = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        struct timespec pause = {0, 2000000};
        fixture_add_reads(running->f, ENTRIES);
        if (hub_log_sync(running->f->log, &running->f->err) != HUB_OK ||
            hub_audit_step(running->f->audit, true, &running->f->err) != HUB_OK)
            break;
        (void)nanosleep(&pause, NULL);
    }
    atomic_store(&running->done, true);
    return NULL;
}

static bool count(void *ctx, uint64_t index, struct hub_span json)
{
    assert_int_equal(index, (*(uint64_t *)ctx)++);
    return json.len != 0;
}

static void audit_verify_beside_a_running_hub_finds_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct running running = {.f = &f};
    struct hub_audit_report report;
    pthread_t thread;
    char vkey[HUB_NOTE_VKEY_MAX];
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 1);
    fixture_vkey(&f, vkey);
    assert_int_equal(pthread_create(&thread, NULL, hub, &running), 0);
    unsigned verified = 0;
    uint64_t size = 0;
    while (!atomic_load(&running.done)) {
        struct hub_error err;
        struct hub_audit_verify_options options = {f.audit_folder, vkey, NULL, verified % 2 == 0 ? f.log_folder : NULL};
        enum hub_result result = hub_audit_verify(&options, &report, &err);
        if (result != HUB_OK)
            fixture_fail(&err);
        if (report.finding_count != 0)
            fail_msg("%s", report.findings[0].text);
        assert_true(report.entries >= size);
        size = report.entries;
        verified++;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(verified > 3);
    assert_int_equal(hub_audit_size(f.audit), 1 + ROUNDS * ENTRIES);
    uint64_t seen = 0;
    fixture_ok(&f, hub_audit_each(f.audit_folder, 0, count, &seen, &f.err));
    assert_int_equal(seen, 1 + ROUNDS * ENTRIES);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_verify_beside_a_running_hub_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
