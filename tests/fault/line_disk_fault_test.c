/* The whole line while its disk fails or is full (fault_line_each.h). */
#include "tests/fault/fault_line_each.h"

static void line_without_faults_takes_everything_once(void **state)
{
    struct line_fixture *f = *state;
    struct fault_places *none = fault_places_new(0, false);
    assert_false(line_with(f, &(struct line_fault){.where = LINE_DISK, .what = FAULT_ANY, .places = none}));
    assert_false(line_with(f, &(struct line_fault){.where = LINE_MEMORY, .places = none}));
    fault_places_free(none);
    line_compare(f);
}

static void line_loses_nothing_when_any_step_on_the_disk_fails_once(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_ANY, .running = true}, 2, false);
    line_compare(*state);
}

static void line_loses_nothing_when_the_disk_fails_for_good(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_ANY, .running = true, .half = true}, 2, true);
    line_compare(*state);
}

static void line_loses_nothing_when_there_is_no_space(void **state)
{
    const struct line_fault full = {.where = LINE_DISK, .what = FAULT_WRITE | FAULT_CREATE, .running = true, .result = HUB_QUOTA};
    struct line_fault half = full;
    half.half = true;
    line_each(*state, half, 2, false);
    line_each(*state, full, 2, true);
    line_compare(*state);
}

/* An argument: only the tests of this name. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_without_faults_takes_everything_once, line_setup_mixed, line_teardown),
        cmocka_unit_test_setup_teardown(line_loses_nothing_when_any_step_on_the_disk_fails_once, line_setup_mixed, line_teardown),
        cmocka_unit_test_setup_teardown(line_loses_nothing_when_the_disk_fails_for_good, line_setup_mixed, line_teardown),
        cmocka_unit_test_setup_teardown(line_loses_nothing_when_there_is_no_space, line_setup_mixed, line_teardown),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
