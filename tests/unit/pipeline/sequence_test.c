#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "src/pipeline/sequence.h"

static struct hub_sequences sequences;

static int setup(void **state)
{
    (void)state;
    sequences = (struct hub_sequences){.count = 0};
    return 0;
}

static bool note(const char *source, uint64_t number)
{
    return hub_sequence_note(&sequences, HUB_SPAN("CN=ehr"), hub_span_str(source), number);
}

static void missing_numbers_are_a_gap(void **state)
{
    (void)state;
    assert_false(note("EHR|NORTH", 41));
    assert_false(note("EHR|NORTH", 42));
    assert_true(note("EHR|NORTH", 44));
    assert_false(note("EHR|NORTH", 45));
    assert_true(note("EHR|NORTH", 1000));
}

static void a_message_sent_again_is_none(void **state)
{
    (void)state;
    assert_false(note("EHR|NORTH", 2000));
    assert_false(note("EHR|NORTH", 2000));
    assert_false(note("EHR|NORTH", 1500));
    assert_false(note("EHR|NORTH", 2001));
    assert_false(note("EHR|NORTH", 2001 - HUB_SEQUENCE_RESEND_MAX + 1));
    assert_true(note("EHR|NORTH", 2003));
}

static void a_count_that_starts_anew_is_none(void **state)
{
    (void)state;
    assert_false(note("EHR|NORTH", 500));
    assert_false(note("EHR|NORTH", 1));
    assert_false(note("EHR|NORTH", 2));
    assert_true(note("EHR|NORTH", 4));
    assert_false(note("EHR|SOUTH", 5000));
    assert_false(note("EHR|SOUTH", 5000 - HUB_SEQUENCE_RESEND_MAX));
    assert_false(note("EHR|SOUTH", 4001));
}

static void every_source_has_a_count_of_its_own(void **state)
{
    (void)state;
    assert_false(note("EHR|NORTH", 10));
    assert_false(note("LAB|NORTH", 77));
    assert_false(hub_sequence_note(&sequences, HUB_SPAN("CN=other"), HUB_SPAN("EHR|NORTH"), 900));
    assert_false(note("EHR|NORTH", 11));
    assert_true(note("LAB|NORTH", 79));
}

static void sources_past_the_limit_take_the_place_of_others(void **state)
{
    (void)state;
    char name[40];
    for (int i = 0; i < 3 * HUB_SEQUENCE_SOURCES_MAX; i++) {
        (void)snprintf(name, sizeof name, "APP%d|NORTH", i);
        assert_false(note(name, 5));
    }
    assert_int_equal(sequences.count, HUB_SEQUENCE_SOURCES_MAX);
    assert_true(note(name, 9)); /* the newest is known */
    assert_false(note("APP0|NORTH", 9));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(missing_numbers_are_a_gap, setup),
        cmocka_unit_test_setup(a_message_sent_again_is_none, setup),
        cmocka_unit_test_setup(a_count_that_starts_anew_is_none, setup),
        cmocka_unit_test_setup(every_source_has_a_count_of_its_own, setup),
        cmocka_unit_test_setup(sources_past_the_limit_take_the_place_of_others, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
