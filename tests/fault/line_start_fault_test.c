/* The whole line at its start while the disk or memory fails (fault_line_each.h). */
#include "tests/fault/fault_line_each.h"

static void line_starts_after_a_start_that_failed_on_the_disk(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_ANY}, 2, false);
    line_compare(*state);
}

static void line_starts_after_a_start_that_ran_out_of_memory(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_MEMORY}, 1, false);
    line_compare(*state);
}

/* An argument: only the tests of this name. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_starts_after_a_start_that_failed_on_the_disk, line_setup_mixed, line_teardown),
        cmocka_unit_test_setup_teardown(line_starts_after_a_start_that_ran_out_of_memory, line_setup_mixed, line_teardown),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
