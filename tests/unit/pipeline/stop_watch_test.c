/* A stop that does not end: in a child, whose exit code says how it ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/pipeline/stop_watch.h"

enum { LIMIT_MS = 100, OWN_CODE = 7, ALARM_S = 60 };

/* How a child ends that has LIMIT_MS and is over before that or never. */
static int end_of(bool over)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct hub_stop_watch watch = {.running = false};
        (void)alarm(ALARM_S);
        hub_diag_set_level(HUB_DIAG_ERROR);
        hub_stop_watch_start(&watch, LIMIT_MS);
        while (!over)
            (void)pause();
        hub_stop_watch_end(&watch);
        (void)usleep(3 * LIMIT_MS * 1000);
        _exit(OWN_CODE);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_stop_that_does_not_end_is_ended(void **state)
{
    (void)state;
    assert_int_equal(end_of(false), 0);
}

static void a_stop_that_ends_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(end_of(true), OWN_CODE);
}

static void an_end_without_a_start_does_nothing(void **state)
{
    (void)state;
    struct hub_stop_watch watch = {.running = false};
    hub_stop_watch_end(&watch);
    assert_false(watch.running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_that_does_not_end_is_ended),
        cmocka_unit_test(a_stop_that_ends_is_left_alone),
        cmocka_unit_test(an_end_without_a_start_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
