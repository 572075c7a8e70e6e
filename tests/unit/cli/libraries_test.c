/* Versions of libraries: compared by number, and bad ones told from good ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/cli/libraries.c"

static const struct hub_cli_library *named(const char *name)
{
    const struct hub_cli_library *l = hub_cli_libraries;
    while (l->name != NULL && strcmp(l->name, name) != 0)
        l++;
    assert_non_null(l->name);
    return l;
}

static void versions_compare_by_their_numbers(void **state)
{
    (void)state;
    assert_true(hub_cli_version_before("3.0.9", "3.0.15"));
    assert_false(hub_cli_version_before("3.0.15", "3.0.9"));
    assert_false(hub_cli_version_before("3.0.9", "3.0.9"));
    assert_true(hub_cli_version_before("2.1", "2.1.8"));
    assert_true(hub_cli_version_before("2.1.7-beta", "2.1.8"));
    assert_false(hub_cli_version_before("2.1.12-stable", "2.1.12"));
    assert_false(hub_cli_version_before("10.0", "9.11.2"));
}

static void a_bad_version_has_a_reason(void **state)
{
    (void)state;
    assert_non_null(strstr(hub_cli_library_bad(named("OpenSSL"), "3.0.5"), "CVE-2022-3602"));
    assert_non_null(hub_cli_library_bad(named("OpenSSL"), "1.1.1w"));
    assert_non_null(hub_cli_library_bad(named("yyjson"), "0.8.0"));
    assert_non_null(hub_cli_library_bad(named("libevent"), "2.1.5-beta"));
}

static void versions_around_a_bad_range_are_good(void **state)
{
    (void)state;
    assert_null(hub_cli_library_bad(named("OpenSSL"), "3.0.8"));
    assert_null(hub_cli_library_bad(named("OpenSSL"), "3.5.1"));
    assert_null(hub_cli_library_bad(named("libevent"), "2.1.12-stable"));
}

static void every_library_tells_a_version_that_is_not_bad(void **state)
{
    (void)state;
    for (const struct hub_cli_library *l = hub_cli_libraries; l->name != NULL; l++) {
        const char *version = l->version();
        assert_non_null(version);
        assert_true(version[0] >= '0' && version[0] <= '9');
        assert_null(hub_cli_library_bad(l, version));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_compare_by_their_numbers),
        cmocka_unit_test(a_bad_version_has_a_reason),
        cmocka_unit_test(versions_around_a_bad_range_are_good),
        cmocka_unit_test(every_library_tells_a_version_that_is_not_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
