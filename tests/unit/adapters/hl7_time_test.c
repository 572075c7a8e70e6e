#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/formats/hl7v2/hl7_time.h"
#include "src/base/clock.h"

static struct hub_arena arena;
static struct hub_hl7_zone zone;
static struct hub_when when;
static struct hub_error error;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 1 << 20);
    hub_hl7_zone_init(&zone, NULL, HUB_SPAN_NONE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

static void use_zone(const char *name, const char *msh7)
{
    const struct hub_tz *named = NULL;
    if (name != NULL)
        assert_int_equal(hub_tz_find(name, &named, &error), HUB_OK);
    hub_hl7_zone_init(&zone, named, hub_span_str(msh7));
}

/* UTC is the RFC 3339 form of the start of what VALUE names. */
static void assert_when(const char *value, const char *text, const char *utc)
{
    int64_t us = 0;
    assert_int_equal(hub_hl7_datetime(&arena, &zone, hub_span_str(value), &when, &error), HUB_OK);
    assert_string_equal((const char *)when.text.ptr, text);
    assert_int_equal(hub_time_parse(utc, strlen(utc), &us), 0);
    assert_int_equal(when.us, us);
}

static void precision_is_what_was_sent(void **state)
{
    (void)state;
    use_zone(NULL, "");
    assert_when("2026", "2026", "2026-01-01T00:00:00Z");
    assert_when("202602", "2026-02", "2026-02-01T00:00:00Z");
    assert_when("20240229", "2024-02-29", "2024-02-29T00:00:00Z");
    assert_when("2026022813", "2026-02-28", "2026-02-28T00:00:00Z"); /* hours alone stay a date */
    assert_when("202602281305", "2026-02-28T13:05:00Z", "2026-02-28T13:05:00Z");
    assert_when("20260228130507", "2026-02-28T13:05:07Z", "2026-02-28T13:05:07Z");
    assert_when("20260228130507.1", "2026-02-28T13:05:07.1Z", "2026-02-28T13:05:07.1Z");
    assert_when("20260228130507.1200", "2026-02-28T13:05:07.1200Z", "2026-02-28T13:05:07.12Z");
    assert_when("20260228130507.123456789", "2026-02-28T13:05:07.123456789Z", "2026-02-28T13:05:07.123456Z");
    assert_when(" 20260228 ", "2026-02-28", "2026-02-28T00:00:00Z");
    assert_when("20161231235960+0000", "2016-12-31T23:59:60+00:00", "2016-12-31T23:59:59Z");
}

static void own_offset_stands(void **state)
{
    (void)state;
    use_zone("America/New_York", "20260115120000-0500");
    assert_when("20260715120000+0530", "2026-07-15T12:00:00+05:30", "2026-07-15T06:30:00Z");
    assert_when("202607151200-0930", "2026-07-15T12:00:00-09:30", "2026-07-15T21:30:00Z");
    assert_when("20260715120000-0000", "2026-07-15T12:00:00-00:00", "2026-07-15T12:00:00Z");
    assert_when("20260715+1400", "2026-07-15", "2026-07-14T10:00:00Z"); /* the date does not shift, its start does */
    assert_when("2026071512-0500", "2026-07-15", "2026-07-15T05:00:00Z");
    assert_when("2026-0500", "2026", "2026-01-01T05:00:00Z");
}

static void feeds_zone_goes_by_the_values_date(void **state)
{
    (void)state;
    use_zone("America/New_York", "20260115120000");
    assert_when("20260115120000", "2026-01-15T12:00:00-05:00", "2026-01-15T17:00:00Z");
    assert_when("20260715120000", "2026-07-15T12:00:00-04:00", "2026-07-15T16:00:00Z");
    assert_when("20261101013000", "2026-11-01T01:30:00-04:00", "2026-11-01T05:30:00Z"); /* the first of two */
    assert_when("20260308023000", "2026-03-08T02:30:00-05:00", "2026-03-08T07:30:00Z"); /* never was */
    assert_when("20260715", "2026-07-15", "2026-07-15T04:00:00Z");
    use_zone("Europe/Berlin", "");
    assert_when("20261025023000", "2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z");
    assert_when("202607", "2026-07", "2026-06-30T22:00:00Z");
    use_zone("Australia/Lord_Howe", "");
    assert_when("20260405014500", "2026-04-05T01:45:00+11:00", "2026-04-04T14:45:00Z");
    assert_when("20260715120000", "2026-07-15T12:00:00+10:30", "2026-07-15T01:30:00Z");
}

static void local_mean_times_are_cut_to_minutes(void **state)
{
    (void)state;
    use_zone("America/New_York", "");
    assert_when("18500101120000", "1850-01-01T12:00:00-04:56", "1850-01-01T16:56:00Z");
}

static void message_offset_stands_where_the_zone_does_not_have_it(void **state)
{
    (void)state;
    use_zone("America/New_York", "20260715120000-0400");
    assert_false(zone.overruled);
    assert_when("20260115120000", "2026-01-15T12:00:00-05:00", "2026-01-15T17:00:00Z");
    use_zone("America/New_York", "20260715120000-0500");
    assert_true(zone.overruled);
    assert_when("20260715120000", "2026-07-15T12:00:00-05:00", "2026-07-15T17:00:00Z");
    use_zone("America/New_York", "20261101180000-0400"); /* on the day of the change both are right */
    assert_false(zone.overruled);
}

static void without_a_zone_the_message_offset_or_utc(void **state)
{
    (void)state;
    use_zone(NULL, "20260115120000+0100");
    assert_false(zone.assumed);
    assert_when("20260715120000", "2026-07-15T12:00:00+01:00", "2026-07-15T11:00:00Z");
    use_zone(NULL, "20260115120000");
    assert_true(zone.assumed);
    assert_when("20260715120000", "2026-07-15T12:00:00Z", "2026-07-15T12:00:00Z");
    use_zone(NULL, "garbage+0100");
    assert_true(zone.assumed);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0",       "202",          "20261",          "20261301",      "20260001",       "20260100",        "20260230",
        "20250229", "00000101",    "2026010124",     "202601012360",  "20260101235961", "20260101120000.", "20260101120000.1234567890",
        "2026-01-01", "2026/01/01", "20260101T1200", "202601011",     "20260101 1200",  "202601011200Z",   "20260101120000+05",
        "20260101120000+1500", "20260101120000+1401", "20260101120000+0060", "20260101120000+05:00", "20260101120000+0500x", "\"\"",
        "today",   "2026^Y",       "20260101+",      "-2026",         "202601011200.5",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error.result = HUB_OK;
        assert_int_equal(hub_hl7_datetime(&arena, &zone, hub_span_str(bad[i]), &when, &error), HUB_TYPE);
        assert_int_equal(error.result, HUB_TYPE);
        assert_int_equal(when.text.len, 0);
        assert_int_equal(hub_hl7_date(&arena, &zone, hub_span_str(bad[i]), &when, &error), HUB_TYPE);
        assert_int_equal(hub_hl7_instant(&arena, &zone, hub_span_str(bad[i]), &when, &error), HUB_TYPE);
    }
    assert_int_equal(hub_hl7_datetime(&arena, &zone, hub_span_of("2026\0", 5), &when, &error), HUB_TYPE);
}

static void empty_values_give_nothing(void **state)
{
    (void)state;
    struct hub_span time;
    assert_int_equal(hub_hl7_datetime(&arena, &zone, HUB_SPAN_NONE, &when, &error), HUB_OK);
    assert_int_equal(when.text.len, 0);
    assert_int_equal(hub_hl7_date(&arena, &zone, HUB_SPAN("  "), &when, &error), HUB_OK);
    assert_int_equal(hub_hl7_instant(&arena, &zone, HUB_SPAN_NONE, &when, &error), HUB_OK);
    assert_int_equal(hub_hl7_time_of_day(&arena, HUB_SPAN_NONE, &time, &error), HUB_OK);
    assert_int_equal(time.len, 0);
}

static void dates_lose_their_time_and_never_shift(void **state)
{
    (void)state;
    use_zone("America/New_York", "");
    assert_int_equal(hub_hl7_date(&arena, &zone, HUB_SPAN("19700102233000"), &when, &error), HUB_OK);
    assert_string_equal((const char *)when.text.ptr, "1970-01-02");
    assert_int_equal(when.us, INT64_C(104400) * 1000000);
    assert_int_equal(hub_hl7_date(&arena, &zone, HUB_SPAN("197001022330+1000"), &when, &error), HUB_OK);
    assert_string_equal((const char *)when.text.ptr, "1970-01-02");
    assert_int_equal(hub_hl7_date(&arena, &zone, HUB_SPAN("1970"), &when, &error), HUB_OK);
    assert_string_equal((const char *)when.text.ptr, "1970");
}

static void instants_need_minutes(void **state)
{
    (void)state;
    use_zone("Europe/Berlin", "");
    assert_int_equal(hub_hl7_instant(&arena, &zone, HUB_SPAN("202607151200"), &when, &error), HUB_OK);
    assert_string_equal((const char *)when.text.ptr, "2026-07-15T12:00:00+02:00");
    assert_int_equal(hub_hl7_instant(&arena, &zone, HUB_SPAN("20260715"), &when, &error), HUB_TYPE);
    assert_int_equal(hub_hl7_instant(&arena, &zone, HUB_SPAN("2026071512"), &when, &error), HUB_TYPE);
}

static void times_of_day_have_no_zone(void **state)
{
    (void)state;
    struct hub_span time;
    assert_int_equal(hub_hl7_time_of_day(&arena, HUB_SPAN("0807"), &time, &error), HUB_OK);
    assert_true(hub_span_is(time, "08:07:00"));
    assert_int_equal(hub_hl7_time_of_day(&arena, HUB_SPAN("235959.25-0500"), &time, &error), HUB_OK);
    assert_true(hub_span_is(time, "23:59:59.25"));
    static const char *const bad[] = {"8", "08", "2400", "0860", "08:07", "080", "0807x", "\"\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(hub_hl7_time_of_day(&arena, hub_span_str(bad[i]), &time, &error), HUB_TYPE);
        assert_int_equal(time.len, 0);
    }
}

static void recorded_times_are_written_in_utc(void **state)
{
    (void)state;
    char text[HUB_HL7_TIME_LEN + 1];
    hub_hl7_time_format(INT64_C(1795398230123456), text);
    assert_string_equal(text, "20261123014350+0000");
    hub_hl7_time_format(INT64_MIN, text);
    assert_int_equal(strlen(text), HUB_HL7_TIME_LEN);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(precision_is_what_was_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(own_offset_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(feeds_zone_goes_by_the_values_date, setup, teardown),
        cmocka_unit_test_setup_teardown(local_mean_times_are_cut_to_minutes, setup, teardown),
        cmocka_unit_test_setup_teardown(message_offset_stands_where_the_zone_does_not_have_it, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_zone_the_message_offset_or_utc, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_values_give_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(dates_lose_their_time_and_never_shift, setup, teardown),
        cmocka_unit_test_setup_teardown(instants_need_minutes, setup, teardown),
        cmocka_unit_test_setup_teardown(times_of_day_have_no_zone, setup, teardown),
        cmocka_unit_test_setup_teardown(recorded_times_are_written_in_utc, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
