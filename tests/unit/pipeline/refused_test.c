/* Refused logins: at once the first, then counts; bounded whatever comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/pipeline/refused.h"

static const char reason[] = "not TLS";

static void the_first_of_a_second_is_handed_out_at_once(void **state)
{
    (void)state;
    struct hub_refused_table table = {0};
    struct hub_refused out[HUB_REFUSED_MAX];
    uint64_t more = 0;
    assert_true(hub_refused_note(&table, "mllp", "192.0.2.1:4711", reason));
    assert_false(hub_refused_note(&table, "mllp", "192.0.2.1:4712", reason));
    assert_int_equal(hub_refused_take(&table, false, out, &more), 1);
    assert_string_equal(out[0].source, "192.0.2.1");
    assert_int_equal(out[0].count, 2);
}

static void the_others_of_that_second_follow_as_one_count(void **state)
{
    (void)state;
    struct hub_refused_table table = {0};
    struct hub_refused out[HUB_REFUSED_MAX];
    uint64_t more = 0;
    (void)hub_refused_note(&table, "mllp", "[::1]:1", reason);
    assert_int_equal(hub_refused_take(&table, false, out, &more), 1);
    for (int i = 0; i < 1000; i++)
        assert_false(hub_refused_note(&table, "mllp", "[::1]:2", reason));
    assert_int_equal(hub_refused_take(&table, false, out, &more), 0);
    assert_int_equal(hub_refused_take(&table, true, out, &more), 1);
    assert_string_equal(out[0].source, "[::1]");
    assert_int_equal(out[0].count, 1000);
}

static void a_second_without_more_ends_without_an_entry(void **state)
{
    (void)state;
    struct hub_refused_table table = {0};
    struct hub_refused out[HUB_REFUSED_MAX];
    uint64_t more = 0;
    (void)hub_refused_note(&table, "mllp", "192.0.2.1:1", reason);
    assert_int_equal(hub_refused_take(&table, false, out, &more), 1);
    assert_int_equal(hub_refused_take(&table, true, out, &more), 0);
    assert_true(hub_refused_note(&table, "mllp", "192.0.2.1:1", reason)); /* the next second */
}

static void feeds_and_reasons_are_told_apart(void **state)
{
    (void)state;
    struct hub_refused_table table = {0};
    struct hub_refused out[HUB_REFUSED_MAX];
    uint64_t more = 0;
    assert_true(hub_refused_note(&table, "a", "192.0.2.1:1", reason));
    assert_true(hub_refused_note(&table, "b", "192.0.2.1:1", reason));
    assert_true(hub_refused_note(&table, "a", "192.0.2.1:1", "expired"));
    assert_int_equal(hub_refused_take(&table, false, out, &more), 3);
}

static void a_flood_from_everywhere_is_bounded(void **state)
{
    (void)state;
    struct hub_refused_table table = {0};
    struct hub_refused out[HUB_REFUSED_MAX];
    uint64_t more = 0;
    size_t first = 0;
    for (int i = 0; i < 5000; i++) {
        char peer[40];
        (void)snprintf(peer, sizeof(peer), "198.51.%d.%d:9", i / 250, i % 250);
        first += hub_refused_note(&table, "mllp", peer, reason) ? 1 : 0;
    }
    assert_int_equal(first, HUB_REFUSED_MAX);
    assert_int_equal(hub_refused_take(&table, false, out, &more), HUB_REFUSED_MAX);
    assert_int_equal(more, 0);
    assert_int_equal(hub_refused_take(&table, true, out, &more), 0);
    assert_int_equal(more, 5000 - HUB_REFUSED_MAX);
}

static void an_address_longer_than_any_is_cut(void **state)
{
    (void)state;
    struct hub_refused_table table = {0};
    struct hub_refused out[HUB_REFUSED_MAX];
    char peer[200];
    uint64_t more = 0;
    memset(peer, 'x', sizeof(peer) - 1);
    peer[sizeof(peer) - 1] = '\0';
    assert_true(hub_refused_note(&table, "mllp", peer, reason));
    assert_int_equal(hub_refused_take(&table, false, out, &more), 1);
    assert_int_equal(strlen(out[0].source), HUB_REFUSED_SOURCE_CAP - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_a_second_is_handed_out_at_once),
        cmocka_unit_test(the_others_of_that_second_follow_as_one_count),
        cmocka_unit_test(a_second_without_more_ends_without_an_entry),
        cmocka_unit_test(feeds_and_reasons_are_told_apart),
        cmocka_unit_test(a_flood_from_everywhere_is_bounded),
        cmocka_unit_test(an_address_longer_than_any_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
