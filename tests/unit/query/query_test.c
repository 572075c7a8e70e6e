/* What a chart shows of versions: which one wins, looking back in time, references, the content digest. */
#include "tests/unit/query/query_fixture.h"

/* --- results --- */

static void query_late_preliminary_does_not_win_over_final(void **state)
{
    (void)state;
    observe("o1", "f", 10, 0, "preliminary", NULL, NULL);
    assert_string_equal(shown(), "o1:preliminary");
    observe("o2", "f", 20, 1, "final", NULL, NULL);
    observe("o3", "f", 30, 0, "preliminary", NULL, NULL);
    assert_string_equal(shown(), "o2:final<o3");
    observe("o4", "f", 40, 1, "corrected", NULL, NULL);
    assert_string_equal(shown(), "o4:corrected<o2");
    assert_string_equal(element("o4", "valueString"), "\"v-o4\"");
}

static void query_deleted_and_wrong_results_are_withdrawn_whatever_comes_first(void **state)
{
    (void)state;
    observe("o1", "f", 10, 1, "final", NULL, NULL);
    observe("o2", "f", 20, 1, "entered-in-error", "withdraw", NULL);
    observe("o3", "g", 10, 1, "final", NULL, NULL);
    assert_string_equal(shown(), "o3:final");
    observe("o4", "f", 15, 1, "corrected", NULL, NULL); /* older than the deletion */
    assert_string_equal(shown(), "o3:final");
    observe("o5", "f", 25, 1, "final", NULL, NULL); /* stated again since */
    assert_string_equal(shown(), "o3:final o5:final<o2");
    query.versions = true;
    assert_string_equal(shown(), "o1:final o3:final o4:corrected<o1 o2:entered-in-error<o4 o5:final<o2");
}

static void query_deletion_of_the_same_moment_wins(void **state)
{
    (void)state;
    observe("o9", "f", 10, 1, "final", NULL, NULL);
    observe("o1", "f", 10, 1, "entered-in-error", "withdraw", NULL);
    assert_string_equal(shown(), "");
}

static void query_cancelled_result_stays_with_its_status(void **state)
{
    (void)state;
    observe("o1", "f", 10, 1, "final", NULL, NULL);
    observe("o2", "f", 20, 1, "cancelled", NULL, NULL);
    assert_string_equal(shown(), "o2:cancelled<o1");
}

static void query_status_version_changes_only_the_status(void **state)
{
    (void)state;
    observe("o1", "f", 10, 0, "preliminary", NULL, NULL);
    observe("o2", "f", 20, 1, "final", NULL, "status");
    assert_string_equal(shown(), "o1:final");
    assert_string_equal(element("o1", "valueString"), "\"v-o1\"");
    observe("o3", "f", 30, 1, "corrected", NULL, NULL);
    assert_string_equal(shown(), "o3:corrected<o1");
}

static void query_future_clock_wins_nothing(void **state)
{
    (void)state;
    say((struct say){.event = "e1",
                     .time = 10000,
                     .recorded = 10,
                     .entry = {.type = "Observation",
                               .id = "o1",
                               .kind = "observation",
                               .facts = "f",
                               .class_ = 1,
                               .effective = 1,
                               .body = ",\"status\":\"final\""}});
    observe("o2", "f", 20, 1, "corrected", NULL, NULL);
    assert_string_equal(shown(), "o2:corrected<o1");
}

static void query_versions_that_share_one_of_two_keys_are_one_fact(void **state)
{
    (void)state;
    static const char *const facts[] = {"placer", "placer,filler", "filler"};
    for (int i = 0; i < 3; i++)
        say((struct say){.event = hub_arena_printf(&arena, "e%d", i),
                         .time = 10 + i,
                         .entry = {.type = "ServiceRequest",
                                   .id = hub_arena_printf(&arena, "s%d", i),
                                   .kind = "order",
                                   .facts = facts[i],
                                   .class_ = 1,
                                   .effective = 5,
                                   .body = ",\"status\":\"active\""}});
    assert_string_equal(shown(), "s2:active<s1");
}

static void query_report_unites_current_observations(void **state)
{
    (void)state;
    observe("o1", "f", 10, 0, "preliminary", NULL, NULL);
    observe("o2", "f", 20, 1, "final", NULL, NULL);
    observe("o3", "g", 10, 1, "final", NULL, NULL);
    observe("o4", "h", 10, 1, "final", NULL, NULL);
    observe("o5", "h", 20, 1, "entered-in-error", "withdraw", NULL);
    static const char *const results[] = {"{\"reference\":\"Observation/o1\"},{\"reference\":\"Observation/"
                                          "o3\"},{\"reference\":\"Observation/o4\"}",
                                          "{\"reference\":\"Observation/o2\"}"};
    for (int i = 0; i < 2; i++)
        say((struct say){.event = hub_arena_printf(&arena, "r%d", i),
                         .time = 10 + 10 * i,
                         .entry = {.type = "DiagnosticReport",
                                   .id = hub_arena_printf(&arena, "d%d", i),
                                   .kind = "report",
                                   .facts = "rep",
                                   .class_ = (int)i,
                                   .effective = 5,
                                   .body = hub_arena_printf(&arena, ",\"status\":\"final\",\"result\":[%s]",
                                                            results[i])}});
    assert_string_equal(shown(), "o3:final o2:final<o1 d1:final<d0");
    assert_string_equal(element("d1", "result"),
                        "[{\"reference\":\"Observation/o2\"},{\"reference\":\"Observation/o3\"}]");
}

/* --- time --- */

static void query_at_and_known_at_look_back(void **state)
{
    (void)state;
    say((struct say){.event = "e1",
                     .time = 10,
                     .entry = {.type = "Observation",
                               .id = "o1",
                               .kind = "observation",
                               .facts = "f",
                               .class_ = 1,
                               .effective = 5,
                               .body = ",\"status\":\"final\""}});
    say((struct say){.event = "e2",
                     .time = 30,
                     .entry = {.type = "Observation",
                               .id = "o2",
                               .kind = "observation",
                               .facts = "f",
                               .class_ = 1,
                               .effective = 5,
                               .body = ",\"status\":\"corrected\""}});
    say((struct say){.event = "e3",
                     .time = 40,
                     .entry = {.type = "Observation",
                               .id = "o3",
                               .kind = "observation",
                               .facts = "g",
                               .class_ = 1,
                               .effective = 35,
                               .body = ",\"status\":\"final\""}});
    int64_t us = 0;
    assert_int_equal(hub_time_parse(minute(&arena, 20), 27, &us), 0);
    query.known_at_us = us;
    assert_string_equal(shown(), "o1:final");
    query.known_at_us = INT64_MAX;
    query.at_us = us;
    assert_string_equal(shown(), "o2:corrected<o1");
    query.at_us = INT64_MAX;
    query.kind = HUB_SPAN("report");
    assert_string_equal(shown(), "");
    query.kind = HUB_SPAN("observation");
    assert_string_equal(shown(), "o2:corrected<o1 o3:final");
}

/* --- references --- */

static void query_gives_the_practitioners_that_entries_refer_to(void **state)
{
    (void)state;
    say((struct say){.event = "e1",
                     .time = 10,
                     .entry = {.type = "Observation",
                               .id = "o1",
                               .kind = "observation",
                               .facts = "f",
                               .class_ = 1,
                               .body = ",\"status\":\"final\",\"performer\":[{\"reference\":\"Practitioner/"
                                       "p1\"}],\"subject\":{\"reference\":\"Patient/x1\"}"}});
    say((struct say){
        .event = "e1",
        .time = 10,
        .ordinal = 1,
        .entry = {
            .type = "Practitioner", .id = "p1", .class_ = -1, .body = ",\"name\":[{\"family\":\"Quist\"}]"}});
    say((struct say){.event = "e1",
                     .time = 10,
                     .ordinal = 2,
                     .entry = {.type = "Practitioner", .id = "p2", .class_ = -1}});
    demographics("x1", "1a", 10, "fold", NULL);
    demographics("x2", "1a", 20, "fold", NULL);
    struct hub_json *support = hub_json_get(ask(), "support");
    assert_int_equal(support->len, 1);
    assert_true(hub_span_is(hub_json_get_span(support->first, "id"), "p1"));
    assert_string_equal(element("o1", "subject"),
                        "{\"reference\":\"Patient/x2\"}"); /* the version that is shown */
    query.versions = true;
    assert_string_equal(element("o1", "subject"), "{\"reference\":\"Patient/x1\"}");
}

static void query_entry_extension_is_not_shown(void **state)
{
    (void)state;
    observe("o1", "f", 10, 1, "final", NULL, NULL);
    assert_string_equal(element("o1", "extension"), "");
}

static void query_damaged_records_are_refused(void **state)
{
    (void)state;
    struct hub_json *bad[] = {parse("{}"), parse("{\"recorded\":\"2026-05-01T00:00:00Z\",\"resource\":[]}"),
                              parse("[]")};
    for (size_t i = 0; i < 3; i++) {
        struct hub_json *out = NULL;
        assert_int_equal(hub_query_chart(&arena, HUB_SPAN("1a"), &bad[i], 1, &query, NULL, &out, NULL),
                         HUB_CORRUPT);
    }
}

static void query_says_when_memory_is_out(void **state)
{
    (void)state;
    observe("o1", "f", 10, 1, "final", NULL, NULL);
    demographics("p1", "1a", 10, "fold", ",\"birthDate\":\"1970-01-01\"");
    visit("v1", "ADT^A01", 10, NULL, ",\"status\":\"in-progress\"");
    place("l1", "ADT^A01", 10, NULL, "ER");
    for (size_t cap = 1; cap < 100000; cap += 97) {
        struct hub_arena small;
        struct hub_json *out = NULL;
        hub_arena_init(&small, cap);
        enum hub_result result =
            hub_query_chart(&small, HUB_SPAN("1a"), records, record_count, &query, NULL, &out, NULL);
        assert_true(result == HUB_OK || result == HUB_NO_MEMORY);
        hub_arena_deinit(&small);
        if (cap == 1)
            assert_int_equal(result, HUB_NO_MEMORY);
    }
}

/* --- content digest --- */

static void digest(uint8_t out[32])
{
    memset(out, 0, 32);
    assert_int_equal(hub_query_content_digest(&arena, records, NULL, record_count, NULL, out, NULL), HUB_OK);
}

static void two_messages(const char *salt, int recorded, const char *value)
{
    record_count = 0;
    const char *event = hub_arena_printf(&arena, "e%s", salt);
    say((struct say){.event = event,
                     .time = 10,
                     .recorded = recorded,
                     .ordinal = 0,
                     .subject = hub_arena_printf(&arena, "1%s", salt),
                     .entry = {.type = "Patient",
                               .id = hub_arena_printf(&arena, "p%s", salt),
                               .kind = "patient",
                               .facts = salt,
                               .class_ = 1,
                               .mode = "fold",
                               .body = ",\"identifier\":[{\"system\":\"urn:x\",\"value\":\"7\"}]"}});
    say((struct say){
        .event = event,
        .time = 10,
        .recorded = recorded,
        .ordinal = 1,
        .subject = hub_arena_printf(&arena, "1%s", salt),
        .entry = {
            .type = "Observation",
            .id = hub_arena_printf(&arena, "o%s", salt),
            .kind = "observation",
            .facts = salt,
            .class_ = 1,
            .body = hub_arena_printf(
                &arena,
                ",\"status\":\"final\",\"valueString\":\"%s\",\"subject\":{\"reference\":\"Patient/p%s\"}",
                value, salt)}});
}

static void query_content_digest_is_of_what_was_said(void **state)
{
    (void)state;
    uint8_t one[32];
    uint8_t two[32];
    two_messages("aa", 11, "v");
    digest(one);
    two_messages("bb", 99, "v"); /* other keys, other ids, recorded later */
    digest(two);
    assert_memory_equal(one, two, 32);
    struct hub_json *swap = records[0];
    records[0] = records[1];
    records[1] = swap;
    digest(two);
    assert_memory_equal(one, two, 32);
    two_messages("aa", 11, "w");
    digest(two);
    assert_memory_not_equal(one, two, 32);
}

/* Somebody with the number VALUE, and an observation of theirs, in records of TOKEN. */
static void somebody(const char *token, const char *value)
{
    demographics(hub_arena_printf(&arena, "p%s", token), token, 10, "fold",
                 hub_arena_printf(&arena, ",\"identifier\":[{\"system\":\"urn:x\",\"value\":\"%s\"}]", value));
    say((struct say){.event = hub_arena_printf(&arena, "e-p%s", token),
                     .time = 10,
                     .ordinal = 1,
                     .subject = token,
                     .entry = {.type = "Observation",
                               .id = hub_arena_printf(&arena, "o%s", token),
                               .kind = "observation",
                               .facts = token,
                               .class_ = 1,
                               .body = hub_arena_printf(&arena, ",\"status\":\"final\",\"subject\":{\"reference\":\"Patient/p%s\"}", token)}});
}

static void replacing(const char *token, const char *event, const char *what)
{
    records[record_count++] = parse(hub_arena_printf(&arena, "{\"event\":\"%s\",\"kind\":\"revision\",\"recorded\":\"%s\",\"subject\":\"%s\",\"supersedes\":[\"%s\"]}",
                                                     event, minute(&arena, 50), token, what));
}

/* Of a process that has the records of TOKEN and of the others Patient resources and revisions, added into OUT. */
static void digest_of_part(const char *token, bool others, uint8_t out[32])
{
    struct hub_json *part[RECORDS_MAX];
    bool elsewhere[RECORDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < record_count; i++) {
        const bool here = hub_span_is(hub_json_get_span(records[i], "subject"), token);
        const struct hub_span kind = hub_json_get_span(records[i], "kind");
        if (!here && (!others || !(hub_span_is(kind, "patient") || hub_span_is(kind, "revision"))))
            continue;
        elsewhere[count] = !here;
        part[count++] = records[i];
    }
    assert_int_equal(hub_query_content_digest(&arena, part, elsewhere, count, NULL, out, NULL), HUB_OK);
}

/* OTHERS_MATTER: a process that knows nothing of the other one's records says something else. */
static void check_parts(bool others_matter)
{
    static const uint8_t nothing[32];
    uint8_t whole[32], parts[32] = {0}, alone[32] = {0};
    bool all[RECORDS_MAX];
    digest(whole);
    digest_of_part("1a", true, parts);
    digest_of_part("1b", true, parts);
    assert_memory_equal(parts, whole, 32);
    digest_of_part("1a", false, alone);
    digest_of_part("1b", false, alone);
    assert_int_equal(memcmp(alone, whole, 32) != 0, others_matter);
    for (size_t i = 0; i < record_count; i++)
        all[i] = true;
    memset(alone, 0, sizeof alone);
    assert_int_equal(hub_query_content_digest(&arena, records, all, record_count, NULL, alone, NULL), HUB_OK);
    assert_memory_equal(alone, nothing, 32);
}

static void query_records_elsewhere_say_who_it_is_and_make_no_terms(void **state)
{
    (void)state;
    uint8_t before[32], after[32];
    somebody("1a", "7");
    somebody("1b", "8");
    check_parts(true);
    digest(before);
    replacing("1b", "e9", "e-p1b"); /* a number that does not count any more, nor what was said beside it */
    check_parts(false);
    digest(after);
    assert_memory_not_equal(before, after, 32);
    record_count--;
    replacing("1b", "e9", "e-p1a"); /* ... of the other token's event */
    check_parts(true);
    digest(before);
    assert_memory_not_equal(before, after, 32);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(query_late_preliminary_does_not_win_over_final),
        TEST(query_deleted_and_wrong_results_are_withdrawn_whatever_comes_first),
        TEST(query_deletion_of_the_same_moment_wins),
        TEST(query_cancelled_result_stays_with_its_status),
        TEST(query_status_version_changes_only_the_status),
        TEST(query_future_clock_wins_nothing),
        TEST(query_versions_that_share_one_of_two_keys_are_one_fact),
        TEST(query_report_unites_current_observations),
        TEST(query_at_and_known_at_look_back),
        TEST(query_gives_the_practitioners_that_entries_refer_to),
        TEST(query_entry_extension_is_not_shown),
        TEST(query_damaged_records_are_refused),
        TEST(query_says_when_memory_is_out),
        TEST(query_content_digest_is_of_what_was_said),
        TEST(query_records_elsewhere_say_who_it_is_and_make_no_terms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
