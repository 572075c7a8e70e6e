/* Rates and latencies as status shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/pipeline/forward_internal.h"

static const int64_t second = 1000000;

static void percentiles_are_as_precise_as_a_fifth(void **state)
{
    (void)state;
    struct hub_forward_meter meter = {0};
    for (int i = 0; i < 980; i++)
        hub_forward_meter_add(&meter, 100 * second, 1000);
    for (int i = 0; i < 20; i++)
        hub_forward_meter_add(&meter, 100 * second, 50000);
    int64_t median = hub_forward_meter_latency(&meter, 500), high = hub_forward_meter_latency(&meter, 990);
    assert_true(median >= 1000 && median <= 1250);
    assert_true(high >= 50000 && high <= 62500);
}

static void old_latencies_are_forgotten(void **state)
{
    (void)state;
    struct hub_forward_meter meter = {0};
    assert_int_equal(hub_forward_meter_latency(&meter, 500), 0);
    hub_forward_meter_add(&meter, 100 * second, 900000);
    hub_forward_meter_add(&meter, 400 * second, 1000);
    assert_true(hub_forward_meter_latency(&meter, 1000) < 2000);
}

static void the_rate_is_that_of_the_last_whole_seconds(void **state)
{
    (void)state;
    struct hub_forward_meter meter = {0};
    for (int64_t s = 100; s < 110; s++)
        for (int i = 0; i < 50; i++)
            hub_forward_meter_add(&meter, s * second + i, 10);
    assert_int_equal(hub_forward_meter_rate(&meter, 110 * second), 50);
    assert_int_equal(hub_forward_meter_rate(&meter, 115 * second), 25);
    assert_int_equal(hub_forward_meter_rate(&meter, 1000 * second), 0);
}

static void strange_latencies_are_counted_too(void **state)
{
    (void)state;
    struct hub_forward_meter meter = {0};
    hub_forward_meter_add(&meter, 0, -5);
    hub_forward_meter_add(&meter, 0, INT64_MAX);
    assert_true(hub_forward_meter_latency(&meter, 400) <= 2);
    assert_true(hub_forward_meter_latency(&meter, 1000) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_as_precise_as_a_fifth),
        cmocka_unit_test(old_latencies_are_forgotten),
        cmocka_unit_test(the_rate_is_that_of_the_last_whole_seconds),
        cmocka_unit_test(strange_latencies_are_counted_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
