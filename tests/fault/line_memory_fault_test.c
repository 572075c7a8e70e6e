/* The whole line while memory runs out (fault_line_each.h). */
#include "tests/fault/fault_line_each.h"

static void line_loses_nothing_when_any_allocation_fails(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_MEMORY, .running = true}, 2, false);
    line_compare(*state);
}

static void line_loses_nothing_when_memory_runs_out_for_good(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_MEMORY, .running = true}, 1, true);
    line_compare(*state);
}

/* An argument: only the tests of this name. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_loses_nothing_when_any_allocation_fails, line_setup_mixed, line_teardown),
        cmocka_unit_test_setup_teardown(line_loses_nothing_when_memory_runs_out_for_good, line_setup_mixed, line_teardown),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
