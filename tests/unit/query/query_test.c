#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/base/buf.h"
#include "src/crypto/crypto.h"
#include "src/query/query.h"
#include "tests/unit/timeline/make_event.h"

/* Versions are made as entry records; every check is made in many orders of the records, so that arrival
 * never counts. */
enum { RECORDS_MAX = 32, ORDERS = 20 };

static struct hub_arena arena;
static struct hub_json *records[RECORDS_MAX];
static size_t record_count;
static struct hub_query query;
static uint32_t seed = 3;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % sides;
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_arena_init(&arena, 64 << 20);
    record_count = 0;
    query = (struct hub_query){.at_us = INT64_MAX, .known_at_us = INT64_MAX};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

struct say {
    const char *event, *source, *trigger, *subject; /* NULL: /feeds/one, ADT^A08, 1a */
    int time;     /* message time, and effective and version where those are 0 */
    int recorded; /* 0: one after TIME */
    int ordinal;
    struct entry_spec entry;
};

static struct hub_json *parse(const char *text)
{
    struct hub_json *json = NULL;
    struct hub_error err = {.what = ""};
    if (hub_json_parse(&arena, hub_span_str(text), &json, &err) != HUB_OK)
        fail_msg("bad JSON: %s", text);
    return json;
}

static void say(struct say s)
{
    if (s.entry.effective == 0)
        s.entry.effective = s.time;
    if (s.entry.version == 0)
        s.entry.version = s.time;
    const char *entry = make_entry(&arena, &s.entry);
    size_t len = strlen(entry);
    const char *record = hub_arena_printf(
        &arena,
        "{\"id\":\"%s\",\"event\":\"%s\",\"source\":\"%s\",\"trigger\":\"%s\",\"subject\":\"%s\",\"kind\":\"%"
        "s\",\"ordinal\":%d,\"seal\":\"none\","
        "\"effective\":\"%s\",\"time\":\"%s\",\"messagetime\":\"%s\",\"recorded\":\"%s\",%.*s}",
        s.entry.id, s.event, s.source != NULL ? s.source : "/feeds/one",
        s.trigger != NULL ? s.trigger : "ADT^A08", s.subject != NULL ? s.subject : "1a",
        s.entry.kind != NULL ? s.entry.kind : "support", s.ordinal, minute(&arena, s.entry.effective),
        minute(&arena, s.time), minute(&arena, s.time),
        minute(&arena, s.recorded != 0 ? s.recorded : s.time + 1), (int)len - 2, entry + 1);
    assert_true(record_count < RECORDS_MAX);
    records[record_count++] = parse(record);
}

static struct hub_json *ask(void)
{
    struct hub_json *out = NULL;
    const char *before = NULL;
    for (unsigned turn = 0; turn < ORDERS; turn++) {
        struct hub_error err = {.what = ""};
        assert_int_equal(
            hub_query_chart(&arena, HUB_SPAN("1a"), records, record_count, &query, NULL, &out, &err), HUB_OK);
        struct hub_buf text;
        hub_buf_init(&text, 1 << 20, false);
        hub_json_write(&text, out);
        if (before != NULL)
            assert_string_equal(hub_buf_str(&text), before);
        before = (const char *)hub_arena_copy(&arena, hub_buf_view(&text)).ptr;
        hub_buf_deinit(&text);
        for (size_t i = record_count; i > 1; i--) {
            size_t j = roll((uint32_t)i);
            struct hub_json *swap = records[i - 1];
            records[i - 1] = records[j];
            records[j] = swap;
        }
    }
    return out;
}

/* "o2:final<o1 ..." : id, status and what it supersedes of each entry shown. */
static const char *shown(void)
{
    struct hub_buf text;
    hub_buf_init(&text, 1 << 16, false);
    const struct hub_json *entries = hub_json_get(ask(), "entries");
    for (const struct hub_json *e = entries->first; e != NULL; e = e->next) {
        hub_buf_append_str(&text, text.len != 0 ? " " : "");
        hub_buf_append_span(&text, hub_json_get_span(e, "id"));
        if (hub_json_get_span(e, "status").len != 0) {
            hub_buf_append_byte(&text, ':');
            hub_buf_append_span(&text, hub_json_get_span(e, "status"));
        }
        if (hub_json_get_span(e, "supersedes").len != 0) {
            hub_buf_append_byte(&text, '<');
            hub_buf_append_span(&text, hub_json_get_span(e, "supersedes"));
        }
    }
    const char *copy = (const char *)hub_arena_copy(&arena, hub_span_str(hub_buf_str(&text))).ptr;
    hub_buf_deinit(&text);
    return copy;
}

/* The resource of the entry shown with that id, as canonical text. */
static struct hub_json *resource(const char *id)
{
    const struct hub_json *entries = hub_json_get(ask(), "entries");
    for (const struct hub_json *e = entries->first; e != NULL; e = e->next) {
        if (hub_span_is(hub_json_get_span(e, "id"), id))
            return hub_json_get(e, "resource");
    }
    fail_msg("no entry %s", id);
    return NULL;
}

static const char *element(const char *id, const char *name)
{
    struct hub_buf text;
    hub_buf_init(&text, 1 << 16, false);
    const struct hub_json *node = hub_json_get(resource(id), name);
    if (node != NULL)
        hub_json_write(&text, node);
    const char *copy = (const char *)hub_arena_copy(&arena, hub_span_str(hub_buf_str(&text))).ptr;
    hub_buf_deinit(&text);
    return copy;
}

static void observe(const char *id, const char *fact, int time, int class_, const char *status,
                    const char *act, const char *mode)
{
    say((struct say){.event = hub_arena_printf(&arena, "e-%s", id),
                     .time = time,
                     .trigger = "ORU^R01",
                     .entry = {.type = "Observation",
                               .id = id,
                               .kind = "observation",
                               .facts = fact,
                               .class_ = class_,
                               .act = act,
                               .mode = mode,
                               .effective = 1,
                               .body = hub_arena_printf(&arena, ",\"status\":\"%s\",\"valueString\":\"v-%s\"",
                                                        status, id)}});
}

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

/* --- folding --- */

static void demographics(const char *id, const char *subject, int time, const char *mode, const char *body)
{
    say((struct say){.event = hub_arena_printf(&arena, "e-%s", id),
                     .time = time,
                     .subject = subject,
                     .entry = {.type = "Patient",
                               .id = id,
                               .kind = "patient",
                               .facts = hub_arena_printf(&arena, "pat-%s", subject),
                               .class_ = 1,
                               .mode = mode,
                               .body = body}});
}

static void query_patient_folds_field_by_field(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold",
                 ",\"birthDate\":\"1970-01-01\",\"name\":[{\"family\":\"Ode\"},{\"family\":\"Olde\"}],"
                 "\"maritalStatus\":{\"text\":\"single\"}");
    demographics("p3", "1a", 30, "fold",
                 ",\"name\":[{\"family\":\"New\"}],\"maritalStatus\":{\"coding\":[{\"code\":\"M\"}]}");
    demographics("p2", "1a", 20, "fold", ",\"name\":[{\"family\":\"Late\"}],\"gender\":\"female\"");
    assert_string_equal(shown(), "p3:active<p2");
    assert_string_equal(element("p3", "birthDate"), "\"1970-01-01\"");
    assert_string_equal(element("p3", "gender"), "\"female\"");
    assert_string_equal(element("p3", "name"), "[{\"family\":\"New\"}]");
    assert_string_equal(element("p3", "maritalStatus"), "{\"coding\":[{\"code\":\"M\"}]}");
    assert_string_equal(element("p3", "id"), "\"p3\"");
}

static void query_home_and_work_phones_are_two_fields(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold",
                 ",\"telecom\":[{\"use\":\"home\",\"value\":\"1\"},{\"use\":\"work\",\"value\":\"2\"}]");
    demographics("p2", "1a", 20, "fold", ",\"telecom\":[{\"use\":\"home\",\"value\":\"3\"}]");
    assert_string_equal(element("p2", "telecom"),
                        "[{\"use\":\"work\",\"value\":\"2\"},{\"use\":\"home\",\"value\":\"3\"}]");
}

static const char *extended(const char *id, int time, const char *body, const char *path)
{
    /* make_entry adds its own extension member: put the deletion beside it by hand */
    demographics(id, "1a", time, "fold", body);
    struct hub_json *last = records[record_count - 1];
    struct hub_json *list = hub_json_get(hub_json_get(last, "resource"), "extension");
    assert_int_equal(
        hub_json_push(list, parse(hub_arena_printf(
                                &arena, "{\"url\":\"urn:chartline:deleted\",\"valueString\":\"%s\"}", path))),
        HUB_OK);
    return id;
}

static void query_deleted_fields_go_and_may_come_back(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold", ",\"birthDate\":\"1970-01-01\",\"telecom\":[{\"value\":\"1\"}]");
    (void)extended("p2", 20, "", "Patient.birthDate");
    (void)extended("p3", 30, "", "telecom");
    assert_string_equal(element("p3", "birthDate"), "");
    assert_string_equal(element("p3", "telecom"), "");
    assert_string_equal(element("p3", "extension"), "");
    demographics("p4", "1a", 40, "fold", ",\"birthDate\":\"1971-01-01\"");
    assert_string_equal(element("p4", "birthDate"), "\"1971-01-01\"");
}

static void query_fillers_fill_only_what_no_adt_said(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold", ",\"birthDate\":\"1970-01-01\"");
    (void)extended("p2", 15, "", "address");
    demographics("p3", "1a", 20, "fill",
                 ",\"birthDate\":\"1999-09-09\",\"gender\":\"male\",\"address\":[{\"city\":\"X\"}]");
    assert_string_equal(shown(), "p2:active<p1");
    assert_string_equal(element("p2", "birthDate"), "\"1970-01-01\"");
    assert_string_equal(element("p2", "gender"), "\"male\"");
    assert_string_equal(element("p2", "address"), ""); /* an ADT said: none */
}

static void query_a_chart_of_fillers_shows_the_newest(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fill", ",\"birthDate\":\"1970-01-01\"");
    demographics("p2", "1a", 20, "fill", ",\"birthDate\":\"1971-01-01\"");
    assert_string_equal(shown(), "p2:active<p1");
    assert_string_equal(element("p2", "birthDate"), "\"1971-01-01\"");
}

static void query_demographics_follow_the_survivor(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold", ",\"name\":[{\"family\":\"Survivor\"}]");
    demographics("p2", "1b", 20, "fold", ",\"name\":[{\"family\":\"Retired\"}],\"gender\":\"male\"");
    assert_string_equal(element("p2", "name"), "[{\"family\":\"Retired\"}]");
    query.chart = parse("{\"retired\":[\"1b\"]}");
    assert_string_equal(shown(), "p1:active<p2");
    assert_string_equal(element("p1", "name"), "[{\"family\":\"Survivor\"}]");
    assert_string_equal(element("p1", "gender"), "\"male\"");
}

/* --- encounters --- */

static void visit(const char *id, const char *trigger, int time, const char *act, const char *body)
{
    say((struct say){.event = hub_arena_printf(&arena, "e-%s", id),
                     .time = time,
                     .trigger = trigger,
                     .entry = {.type = "Encounter",
                               .id = id,
                               .kind = "encounter",
                               .facts = "visit",
                               .encounter = "enc",
                               .class_ = 1,
                               .mode = "fold",
                               .act = act,
                               .body = body}});
}

static void place(const char *id, const char *trigger, int time, const char *act, const char *where)
{
    say((struct say){
        .event = hub_arena_printf(&arena, "e-%s", id),
        .time = time,
        .trigger = trigger,
        .entry = {.type = "Encounter",
                  .id = id,
                  .kind = "location",
                  .facts = hub_arena_printf(&arena, "loc-%s", id),
                  .encounter = "enc",
                  .class_ = 1,
                  .act = act,
                  .body = where != NULL
                              ? hub_arena_printf(&arena,
                                                 ",\"status\":\"unknown\",\"location\":[{\"location\":{"
                                                 "\"display\":\"%s\"},\"status\":\"active\"}]",
                                                 where)
                              : NULL}});
}

static void query_discharge_before_admission_makes_one_encounter(void **state)
{
    (void)state;
    visit("v2", "ADT^A03", 50, NULL, ",\"status\":\"finished\",\"period\":{\"end\":\"2026-05-02\"}");
    visit("v1", "ADT^A01", 10, NULL,
          ",\"status\":\"in-progress\",\"class\":{\"code\":\"IMP\"},\"period\":{\"start\":\"2026-05-01\"}");
    assert_string_equal(shown(), "v2:finished<v1");
    assert_string_equal(element("v2", "period"), "{\"end\":\"2026-05-02\",\"start\":\"2026-05-01\"}");
    assert_string_equal(element("v2", "class"), "{\"code\":\"IMP\"}");
}

static void query_update_leaves_status_and_class(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL, ",\"status\":\"in-progress\",\"class\":{\"code\":\"IMP\"}");
    visit("v2", "ADT^A08", 20, NULL,
          ",\"status\":\"unknown\",\"serviceType\":{\"text\":\"s\"},\"class\":{\"extension\":[{\"url\":"
          "\"http://hl7.org/fhir/StructureDefinition/data-absent-reason\",\"valueCode\":\"unknown\"}]}");
    assert_string_equal(shown(), "v2:in-progress<v1");
    assert_string_equal(element("v2", "class"), "{\"code\":\"IMP\"}");
    assert_string_equal(element("v2", "serviceType"), "{\"text\":\"s\"}");
}

static void query_cancelled_discharge_reopens_whichever_comes_first(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL, ",\"status\":\"in-progress\",\"period\":{\"start\":\"2026-05-01\"}");
    visit("v3", "ADT^A13", 60, "cancel-discharge", ",\"status\":\"in-progress\"");
    visit("v2", "ADT^A03", 50, NULL, ",\"status\":\"finished\",\"period\":{\"end\":\"2026-05-02\"}");
    assert_string_equal(shown(), "v3:in-progress<v2");
    assert_string_equal(element("v3", "period"), "{\"start\":\"2026-05-01\"}");
}

static void query_deleted_visit_stays_away_after_an_update(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL, ",\"status\":\"in-progress\"");
    visit("v2", "ADT^A23", 20, "withdraw", ",\"status\":\"entered-in-error\"");
    assert_string_equal(shown(), "");
    visit("v3", "ADT^A08", 30, NULL, ",\"status\":\"unknown\"");
    assert_string_equal(shown(), "");
}

static void query_encounter_shows_where_the_patient_was_and_is(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL,
          ",\"status\":\"in-progress\",\"location\":[{\"location\":{\"display\":\"ER\"}}]");
    place("l1", "ADT^A01", 10, NULL, "ER");
    place("l2", "ADT^A02", 20, NULL, "ICU");
    assert_string_equal(shown(), "l1:active v1:in-progress l2:active");
    const struct hub_json *places = hub_json_get(resource("v1"), "location");
    assert_int_equal(places->len, 2);
    assert_true(hub_span_is(hub_json_get_span(hub_json_at(places, 0), "status"), "completed"));
    assert_true(hub_span_is(hub_json_get_span(hub_json_get(hub_json_at(places, 0), "period"), "end"),
                            minute(&arena, 20)));
    assert_true(hub_span_is(hub_json_get_span(hub_json_at(places, 1), "status"), "active"));
    assert_true(
        hub_span_is(hub_json_get_span(hub_json_get(hub_json_at(places, 1), "location"), "display"), "ICU"));
}

static void query_cancelled_transfer_takes_back_the_last_one_before_it(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL, ",\"status\":\"in-progress\"");
    place("l1", "ADT^A01", 10, NULL, "ER");
    place("l4", "ADT^A12", 40, "cancel-transfer", NULL);
    place("l2", "ADT^A02", 20, NULL, "ICU");
    place("l3", "ADT^A02", 30, NULL, "Ward");
    place("l5", "ADT^A02", 50, NULL, "Rehab");
    assert_string_equal(shown(), "l1:active v1:in-progress l2:active l5:active");
    assert_int_equal(hub_json_get(resource("v1"), "location")->len, 3);
}

static void query_cancelled_transfer_names_the_transfer_by_its_time(void **state)
{
    (void)state;
    place("l2", "ADT^A02", 20, NULL, "ICU");
    place("l3", "ADT^A02", 30, NULL, "Ward");
    say((struct say){.event = "c",
                     .time = 40,
                     .trigger = "ADT^A12",
                     .entry = {.type = "Encounter",
                               .id = "c",
                               .kind = "location",
                               .facts = "loc-c",
                               .encounter = "enc",
                               .class_ = 1,
                               .act = "cancel-transfer",
                               .effective = 20}});
    assert_string_equal(shown(), "l3:active");
}

static void query_cancelled_admission_takes_back_the_place(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL,
          ",\"status\":\"in-progress\",\"location\":[{\"location\":{\"display\":\"ER\"}}]");
    visit("v2", "ADT^A11", 20, NULL, ",\"status\":\"cancelled\"");
    place("l1", "ADT^A01", 10, NULL, "ER");
    place("l2", "ADT^A11", 20, "cancel-admission", "ER");
    assert_string_equal(shown(), "v2:cancelled<v1");
    assert_string_equal(element("v2", "location"), "");
}

static void query_update_with_another_place_is_a_flagged_move(void **state)
{
    (void)state;
    static const char *const where[] = {"A", "A", "B"};
    static const char *const triggers[] = {"ADT^A01", "ADT^A08", "ADT^A08"};
    for (int i = 0; i < 3; i++) {
        const char *id = hub_arena_printf(&arena, "l%d", i);
        say((struct say){
            .event = hub_arena_printf(&arena, "e%d", i),
            .time = 10 + i,
            .trigger = triggers[i],
            .ordinal = 0,
            .entry = {
                .type = "Encounter",
                .id = id,
                .kind = "location",
                .facts = id,
                .encounter = "enc",
                .class_ = 1,
                .body = hub_arena_printf(
                    &arena,
                    ",\"location\":[{\"location\":{\"reference\":\"Location/w%d\"},\"status\":\"active\"}]",
                    i)}});
        say((struct say){.event = hub_arena_printf(&arena, "e%d", i),
                         .time = 10 + i,
                         .trigger = triggers[i],
                         .ordinal = 1,
                         .entry = {.type = "Location",
                                   .id = hub_arena_printf(&arena, "w%d", i),
                                   .class_ = -1,
                                   .body = hub_arena_printf(&arena, ",\"name\":\"%s\"", where[i])}});
    }
    assert_string_equal(shown(), "l0:active l2:active");
    assert_string_equal(element("l2", "extension"),
                        "[{\"url\":\"urn:chartline:unannounced-move\",\"valueBoolean\":true}]");
    assert_string_equal(element("l0", "extension"), "");
}

/* --- lists --- */

static void listed(const char *kind, const char *type, const char *id, const char *fact, const char *event,
                   const char *source, int time, bool marks, const char *body)
{
    say((struct say){.event = event,
                     .time = time,
                     .source = source,
                     .entry = {.type = type,
                               .id = id,
                               .kind = kind,
                               .facts = fact,
                               .class_ = 1,
                               .list = "list",
                               .list_marks = marks,
                               .effective = 1,
                               .body = body}});
}

static void query_what_the_newest_list_lacks_is_dropped(void **state)
{
    (void)state;
    listed("condition", "Condition", "c1", "f", "e1", NULL, 10, false, NULL);
    listed("condition", "Condition", "c2", "g", "e1", NULL, 10, false, NULL);
    listed("condition", "Condition", "c3", "g", "e2", NULL, 20, false, NULL);
    listed("condition", "Condition", "c4", "h", "e0", "/feeds/two", 5, false,
           NULL); /* another source's list */
    assert_string_equal(shown(), "c4 c3<c2");
}

static void query_dropped_cover_and_kin_stay_as_cancelled(void **state)
{
    (void)state;
    listed("coverage", "Coverage", "c1", "f", "e1", NULL, 10, false, ",\"status\":\"active\"");
    listed("coverage", "Coverage", "c2", "g", "e2", NULL, 20, false, ",\"status\":\"active\"");
    assert_string_equal(shown(), "c1:cancelled c2:active");
    record_count = 0;
    listed("related-person", "RelatedPerson", "r1", "f", "e1", NULL, 10, false, NULL);
    listed("related-person", "RelatedPerson", "r2", "g", "e2", NULL, 20, false, NULL);
    assert_string_equal(shown(), "r1:inactive r2:active");
}

#define ALLERGY(code)                                                                                        \
    ",\"clinicalStatus\":{\"coding\":[{\"code\":\"active\"}]},\"code\":{\"coding\":[{\"code\":\"" code "\"}" \
    "]}"

static void query_allergies_are_never_dropped_only_marked(void **state)
{
    (void)state;
    listed("allergy", "AllergyIntolerance", "a1", "f", "e1", NULL, 10, true, ALLERGY("PEN"));
    listed("allergy", "AllergyIntolerance", "a2", "g", "e2", NULL, 20, true, ALLERGY("NUT"));
    assert_string_equal(shown(), "a1:active a2:active");
    assert_string_equal(element("a1", "extension"),
                        "[{\"url\":\"urn:chartline:not-in-last-list\",\"valueBoolean\":true}]");
    assert_string_equal(element("a2", "extension"), "");
}

static void query_an_emptied_list_takes_back_its_allergies(void **state)
{
    (void)state;
    listed("allergy", "AllergyIntolerance", "a1", "f", "e1", "/feeds/one", 10, true, ALLERGY("PEN"));
    listed("allergy", "AllergyIntolerance", "a2", "g", "e2", "/feeds/two", 10, true, ALLERGY("NUT"));
    say((struct say){.event = "e3",
                     .time = 20,
                     .source = "/feeds/one",
                     .entry = {.type = "AllergyIntolerance",
                               .id = "a3",
                               .kind = "allergy",
                               .facts = "none",
                               .class_ = 1,
                               .act = "withdraw",
                               .list = "list",
                               .list_marks = true,
                               .effective = 1}});
    assert_string_equal(shown(), "a2:active");
    /* a later list neither brings back what it does not name nor loses what it names again */
    listed("allergy", "AllergyIntolerance", "a4", "h", "e4", "/feeds/one", 30, true, ALLERGY("EGG"));
    assert_string_equal(shown(), "a2:active a4:active");
    listed("allergy", "AllergyIntolerance", "a5", "f", "e5", "/feeds/one", 40, true, ALLERGY("PEN"));
    assert_string_equal(shown(), "a2:active a4:active a5:active<a1");
}

static void query_allergies_of_all_sources_are_shown(void **state)
{
    (void)state;
    listed("allergy", "AllergyIntolerance", "a1", "f", "e1", "/feeds/one", 10, true, ALLERGY("PEN"));
    listed("allergy", "AllergyIntolerance", "a2", "f", "e2", "/feeds/two", 20, true, ALLERGY("PEN"));
    assert_string_equal(shown(), "a1:active a2:active");
}

static void query_no_known_allergy_hides_behind_an_active_one(void **state)
{
    (void)state;
    listed("allergy", "AllergyIntolerance", "a1", "f", "e1", "/feeds/one", 10, true, ALLERGY("716186003"));
    assert_string_equal(shown(), "a1:active");
    listed("allergy", "AllergyIntolerance", "a2", "g", "e2", "/feeds/two", 20, true, ALLERGY("PEN"));
    assert_string_equal(shown(), "a2:active");
    say((struct say){.event = "e3",
                     .time = 30,
                     .source = "/feeds/two",
                     .entry = {.type = "AllergyIntolerance",
                               .id = "a3",
                               .kind = "allergy",
                               .facts = "g",
                               .class_ = 1,
                               .act = "withdraw",
                               .effective = 1}});
    assert_string_equal(shown(), "a1:active");
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
    assert_int_equal(hub_query_content_digest(&arena, records, record_count, NULL, out, NULL), HUB_OK);
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
        TEST(query_patient_folds_field_by_field),
        TEST(query_home_and_work_phones_are_two_fields),
        TEST(query_deleted_fields_go_and_may_come_back),
        TEST(query_fillers_fill_only_what_no_adt_said),
        TEST(query_a_chart_of_fillers_shows_the_newest),
        TEST(query_demographics_follow_the_survivor),
        TEST(query_discharge_before_admission_makes_one_encounter),
        TEST(query_update_leaves_status_and_class),
        TEST(query_cancelled_discharge_reopens_whichever_comes_first),
        TEST(query_deleted_visit_stays_away_after_an_update),
        TEST(query_encounter_shows_where_the_patient_was_and_is),
        TEST(query_cancelled_transfer_takes_back_the_last_one_before_it),
        TEST(query_cancelled_transfer_names_the_transfer_by_its_time),
        TEST(query_cancelled_admission_takes_back_the_place),
        TEST(query_update_with_another_place_is_a_flagged_move),
        TEST(query_what_the_newest_list_lacks_is_dropped),
        TEST(query_dropped_cover_and_kin_stay_as_cancelled),
        TEST(query_allergies_are_never_dropped_only_marked),
        TEST(query_an_emptied_list_takes_back_its_allergies),
        TEST(query_allergies_of_all_sources_are_shown),
        TEST(query_no_known_allergy_hides_behind_an_active_one),
        TEST(query_gives_the_practitioners_that_entries_refer_to),
        TEST(query_entry_extension_is_not_shown),
        TEST(query_damaged_records_are_refused),
        TEST(query_says_when_memory_is_out),
        TEST(query_content_digest_is_of_what_was_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
