/* Messages that come in parts through the whole line while memory or the stores fail (fault_line_each.h): joined once and
 * whole, and no letter of a part is left open. */
#include "tests/fault/fault_line_each.h"

static void line_joins_parts_when_any_allocation_fails(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_MEMORY, .running = true}, 2, false);
    line_compare(*state);
}

static void line_joins_parts_when_any_read_of_a_store_fails(void **state)
{
    line_each(*state, (struct line_fault){.where = LINE_STORE, .what = HUB_KV_READS, .running = true}, 2, false);
    line_compare(*state);
}

/* An argument: only the tests of this name. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_joins_parts_when_any_allocation_fails, line_setup_parts, line_teardown),
        cmocka_unit_test_setup_teardown(line_joins_parts_when_any_read_of_a_store_fails, line_setup_parts, line_teardown),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
