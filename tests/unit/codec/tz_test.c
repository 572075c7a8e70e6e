#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "src/base/clock.h"
#include "src/codec/tz.h"
#include "src/codec/tz_zone.h"

static const struct hub_tz *zone_of(const char *name)
{
    const struct hub_tz *zone = NULL;
    struct hub_error error;
    assert_int_equal(hub_tz_find(name, &zone, &error), HUB_OK);
    assert_non_null(zone);
    return zone;
}

/* "2026-03-08T02:30:00" counted as if it were UTC */
static int64_t seconds(const char *text)
{
    char zoned[40];
    int64_t us = 0;
    (void)snprintf(zoned, sizeof zoned, "%sZ", text);
    assert_int_equal(hub_time_parse(zoned, strlen(zoned), &us), 0);
    return us / 1000000;
}

static void assert_local(const char *name, const char *local, int32_t minutes, enum hub_tz_fit expected)
{
    enum hub_tz_fit fit;
    assert_int_equal(hub_tz_offset_of_local(zone_of(name), seconds(local), &fit), minutes * 60);
    assert_int_equal(fit, expected);
}

static void civil_times_get_the_offset_of_their_own_date(void **state)
{
    (void)state;
    assert_local("America/New_York", "2026-01-15T12:00:00", -300, HUB_TZ_UNIQUE);
    assert_local("America/New_York", "2026-07-15T12:00:00", -240, HUB_TZ_UNIQUE);
    assert_local("Europe/Berlin", "2026-07-15T12:00:00", 120, HUB_TZ_UNIQUE);
    assert_local("Asia/Kathmandu", "2026-07-15T12:00:00", 345, HUB_TZ_UNIQUE);
    assert_local("UTC", "2026-07-15T12:00:00", 0, HUB_TZ_UNIQUE);
    assert_local("America/New_York", "1974-01-10T12:00:00", -240, HUB_TZ_UNIQUE); /* the winter of year-round DST */
    assert_local("Europe/Berlin", "1970-07-15T12:00:00", 60, HUB_TZ_UNIQUE);      /* no DST that year */
}

static void the_ambiguous_hour_is_the_first(void **state)
{
    (void)state;
    assert_local("America/New_York", "2026-11-01T00:59:59", -240, HUB_TZ_UNIQUE);
    assert_local("America/New_York", "2026-11-01T01:00:00", -240, HUB_TZ_AMBIGUOUS);
    assert_local("America/New_York", "2026-11-01T01:59:59", -240, HUB_TZ_AMBIGUOUS);
    assert_local("America/New_York", "2026-11-01T02:00:00", -300, HUB_TZ_UNIQUE);
    assert_local("Europe/Berlin", "2026-10-25T02:30:00", 120, HUB_TZ_AMBIGUOUS);
}

static void the_gap_keeps_the_offset_before_it(void **state)
{
    (void)state;
    assert_local("America/New_York", "2026-03-08T01:59:59", -300, HUB_TZ_UNIQUE);
    assert_local("America/New_York", "2026-03-08T02:00:00", -300, HUB_TZ_GAP);
    assert_local("America/New_York", "2026-03-08T02:59:59", -300, HUB_TZ_GAP);
    assert_local("America/New_York", "2026-03-08T03:00:00", -240, HUB_TZ_UNIQUE);
    assert_local("Europe/Berlin", "2026-03-29T02:30:00", 60, HUB_TZ_GAP);
    assert_local("Pacific/Apia", "2011-12-30T12:00:00", -600, HUB_TZ_GAP); /* a whole day that never was */
}

static void half_hour_changes_are_half_an_hour(void **state)
{
    (void)state;
    assert_local("Australia/Lord_Howe", "2026-01-15T12:00:00", 660, HUB_TZ_UNIQUE);
    assert_local("Australia/Lord_Howe", "2026-07-15T12:00:00", 630, HUB_TZ_UNIQUE);
    assert_local("Australia/Lord_Howe", "2026-04-05T01:29:59", 660, HUB_TZ_UNIQUE);
    assert_local("Australia/Lord_Howe", "2026-04-05T01:45:00", 660, HUB_TZ_AMBIGUOUS);
    assert_local("Australia/Lord_Howe", "2026-04-05T02:00:00", 630, HUB_TZ_UNIQUE);
    assert_local("Australia/Lord_Howe", "2026-10-04T02:15:00", 630, HUB_TZ_GAP);
    assert_local("Australia/Lord_Howe", "2026-10-04T02:30:00", 660, HUB_TZ_UNIQUE);
}

static void times_past_the_table_follow_the_footer(void **state)
{
    (void)state;
    assert_local("America/New_York", "2190-07-15T12:00:00", -240, HUB_TZ_UNIQUE);
    assert_local("America/New_York", "2190-12-31T23:59:59", -300, HUB_TZ_UNIQUE);
    assert_local("Australia/Lord_Howe", "2190-01-01T00:00:00", 660, HUB_TZ_UNIQUE);
    assert_local("Europe/Dublin", "2190-07-15T12:00:00", 60, HUB_TZ_UNIQUE); /* its rule has negative DST */
    assert_local("Europe/Dublin", "2190-01-15T12:00:00", 0, HUB_TZ_UNIQUE);
    assert_int_equal(hub_tz_offset_at(zone_of("Europe/Berlin"), seconds("2190-03-01T00:00:00")), 3600);
}

static void instants_have_one_offset(void **state)
{
    (void)state;
    const struct hub_tz *zone = zone_of("America/New_York");
    assert_int_equal(hub_tz_offset_at(zone, seconds("2026-11-01T05:59:59")), -4 * 3600);
    assert_int_equal(hub_tz_offset_at(zone, seconds("2026-11-01T06:00:00")), -5 * 3600);
    assert_int_equal(hub_tz_offset_at(zone, seconds("0001-01-01T00:00:00")), -(4 * 3600 + 56 * 60 + 2));
}

static void offsets_in_force_around_an_instant_are_known(void **state)
{
    (void)state;
    const struct hub_tz *zone = zone_of("America/New_York");
    int64_t july = seconds("2026-07-15T12:00:00");
    int64_t change = seconds("2026-11-01T18:00:00");
    assert_true(hub_tz_has_offset(zone, july, 86400, -4 * 3600));
    assert_false(hub_tz_has_offset(zone, july, 86400, -5 * 3600));
    assert_false(hub_tz_has_offset(zone, july, 86400, 0));
    assert_true(hub_tz_has_offset(zone, change, 86400, -5 * 3600));
    assert_true(hub_tz_has_offset(zone, change, 86400, -4 * 3600));
    assert_false(hub_tz_has_offset(zone, change, 3600, -4 * 3600));
}

static void zones_are_loaded_once(void **state)
{
    (void)state;
    assert_ptr_equal(zone_of("Europe/Berlin"), zone_of("Europe/Berlin"));
    assert_ptr_not_equal(zone_of("Europe/Berlin"), zone_of("Europe/Vienna"));
}

static void names_that_are_no_zone_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",  "Europe", "Europe/", "/usr/share/zoneinfo/UTC", "../zoneinfo/UTC", "Europe//Berlin",
                                        "Mars/Olympus", "zone.tab", "Europe/Berlin\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct hub_error error = {.result = HUB_OK};
        const struct hub_tz *zone = NULL;
        assert_int_equal(hub_tz_find(names[i], &zone, &error), HUB_CONFIG);
        assert_int_equal(error.result, HUB_CONFIG);
        assert_null(zone);
    }
}

static void rules_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    struct hub_tz_rule rule;
    assert_true(hub_tz_rule_read(HUB_SPAN("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"), &rule));
    assert_int_equal(rule.standard_s, 37800);
    assert_int_equal(rule.dst_s, 39600);
    assert_true(hub_tz_rule_read(HUB_SPAN("EST5EDT,J60/-1:30,364/25:00:01"), &rule));
    assert_int_equal(rule.dst_s, -4 * 3600);
    assert_int_equal(rule.start.time_s, -5400);
    assert_int_equal(rule.end.time_s, 90001);
    assert_true(hub_tz_rule_read(HUB_SPAN("UTC0"), &rule));
    assert_false(rule.has_dst);
    static const char *const bad[] = {"", "EST", "E5", "EST5EDT", "EST5EDT,M3.2.0", "EST5EDT,M13.2.0,M11.1.0", "EST5EDT,M3.6.0,M11.1.0",
                                      "EST5EDT,M3.2.7,M11.1.0", "EST5EDT,J0,J1", "EST5EDT,M3.2.0,M11.1.0 ", "<+1030-10:30", "EST25",
                                      "EST5:60", "EST5EDT,M3.2.0/168,M11.1.0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(hub_tz_rule_read(hub_span_str(bad[i]), &rule));
}

/* A version 2 file: an empty version 1 block, then TIMES and two types, then the footer. */
static size_t make_file(uint8_t *out, const int64_t *times, size_t count, const char *footer)
{
    size_t len = 0;
    for (int pass = 1; pass <= 2; pass++) {
        memset(out + len, 0, 44);
        memcpy(out + len, "TZif2", 5);
        out[len + 35] = pass == 2 ? (uint8_t)count : 0;
        out[len + 39] = pass == 2 ? 2 : 1;
        out[len + 43] = 4;
        len += 44;
        for (size_t i = 0; pass == 2 && i < 8 * count; i++)
            out[len++] = (uint8_t)((uint64_t)times[i / 8] >> (56 - 8 * (i % 8)));
        for (size_t i = 0; pass == 2 && i < count; i++)
            out[len++] = i % 2 == 0 ? 1 : 0;
        static const uint8_t types[] = {0, 0, 0x0e, 0x10, 0, 0, 0, 0, 0x1c, 0x20, 1, 0}; /* +1 h, +2 h */
        memcpy(out + len, types, pass == 2 ? 12 : 6);
        len += pass == 2 ? 12 : 6;
        memcpy(out + len, "XXX", 4);
        len += 4;
    }
    return len + (size_t)snprintf((char *)out + len, 100, "\n%s\n", footer);
}

static void made_files_are_read_as_written(void **state)
{
    (void)state;
    uint8_t file[400];
    static const int64_t times[] = {-100, 1000, 2000};
    struct hub_tz *zone;
    struct hub_error error;
    size_t len = make_file(file, times, 3, "");
    assert_int_equal(hub_tz_read(hub_span_of(file, len), &zone, &error), HUB_OK);
    assert_int_equal(hub_tz_offset_at(zone, -101), 3600);
    assert_int_equal(hub_tz_offset_at(zone, -100), 7200);
    assert_int_equal(hub_tz_offset_at(zone, 1999), 3600);
    assert_int_equal(hub_tz_offset_at(zone, INT32_MAX), 7200); /* no rule: the last type */
    hub_tz_free(zone);
    /* daylight saving time all year, the edges falling together */
    len = make_file(file, times, 3, "XXX3EDT4,0/0,J365/23");
    assert_int_equal(hub_tz_read(hub_span_of(file, len), &zone, &error), HUB_OK);
    assert_int_equal(hub_tz_offset_at(zone, seconds("2026-06-01T00:00:00")), -4 * 3600);
    assert_int_equal(hub_tz_offset_at(zone, seconds("2026-01-01T03:59:59")), -4 * 3600);
    assert_int_equal(hub_tz_offset_of_local(zone, seconds("2026-01-01T00:00:00"), NULL), -4 * 3600);
    hub_tz_free(zone);
    /* the end of daylight saving time lies in the next year, behind its start: one hour of it a year */
    len = make_file(file, times, 3, "XXX2EDT4,0/0,J365/23");
    assert_int_equal(hub_tz_read(hub_span_of(file, len), &zone, &error), HUB_OK);
    assert_int_equal(hub_tz_offset_at(zone, seconds("2026-01-01T02:30:00")), -4 * 3600);
    assert_int_equal(hub_tz_offset_at(zone, seconds("2026-12-31T23:00:00")), -2 * 3600);
    assert_int_equal(hub_tz_offset_at(zone, seconds("2027-01-01T01:59:59")), -2 * 3600);
    hub_tz_free(zone);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    uint8_t file[400];
    static const int64_t times[] = {-100, 1000};
    static const int64_t falling[] = {1000, -100};
    struct hub_tz *zone;
    struct hub_error error;
    size_t len = make_file(file, times, 2, "EST5");
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(hub_tz_read(hub_span_of(file, cut), &zone, &error), HUB_CORRUPT);
        assert_null(zone);
    }
    len = make_file(file, falling, 2, "EST5");
    assert_int_equal(hub_tz_read(hub_span_of(file, len), &zone, &error), HUB_CORRUPT);
    len = make_file(file, times, 2, "EST5nonsense");
    assert_int_equal(hub_tz_read(hub_span_of(file, len), &zone, &error), HUB_CORRUPT);
    len = make_file(file, times, 2, "EST5");
    file[0] = 'X';
    assert_int_equal(hub_tz_read(hub_span_of(file, len), &zone, &error), HUB_CORRUPT);
    len = make_file(file, times, 2, "EST5");
    file[44 + 6 + 4 + 31] = 1; /* leap seconds */
    assert_int_equal(hub_tz_read(hub_span_of(file, len), &zone, &error), HUB_CORRUPT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(civil_times_get_the_offset_of_their_own_date),
        cmocka_unit_test(the_ambiguous_hour_is_the_first),
        cmocka_unit_test(the_gap_keeps_the_offset_before_it),
        cmocka_unit_test(half_hour_changes_are_half_an_hour),
        cmocka_unit_test(times_past_the_table_follow_the_footer),
        cmocka_unit_test(instants_have_one_offset),
        cmocka_unit_test(offsets_in_force_around_an_instant_are_known),
        cmocka_unit_test(zones_are_loaded_once),
        cmocka_unit_test(names_that_are_no_zone_are_refused),
        cmocka_unit_test(rules_are_read_whole_or_not_at_all),
        cmocka_unit_test(made_files_are_read_as_written),
        cmocka_unit_test(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
