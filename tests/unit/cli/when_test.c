/* Times as people type them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/cli/when.c"

enum { NOW_S = 1700000000 }; /* 2023-11-14T22:13:20Z */

static void becomes(const char *text, const char *expected)
{
    char out[HUB_TIME_TEXT_LEN + 1];
    assert_true(hub_cli_when(text, (int64_t)NOW_S * 1000000, out));
    assert_string_equal(out, expected);
}

static void moments_dates_and_spans_are_understood(void **state)
{
    (void)state;
    becomes("2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20.000000Z");
    becomes("2023-11-14", "2023-11-14T00:00:00.000000Z");
    becomes("20s", "2023-11-14T22:13:00.000000Z");
    becomes("13m", "2023-11-14T22:00:20.000000Z");
    becomes("2h", "2023-11-14T20:13:20.000000Z");
    becomes("3d", "2023-11-11T22:13:20.000000Z");
    becomes("1w", "2023-11-07T22:13:20.000000Z");
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "now", "2", "2x", "-2h", "h", "2023-13-14", "2023-11-14T22:13", "99999999d", "2h 3m"};
    char out[HUB_TIME_TEXT_LEN + 1];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(hub_cli_when(wrong[i], (int64_t)NOW_S * 1000000, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_dates_and_spans_are_understood),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
