/* What a chart shows of facts that are folded or listed: patients, encounters and places, lists. */
#include "tests/unit/query/query_fixture.h"

/* --- folding --- */

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

static void query_a_deleted_part_leaves_the_rest_of_its_element(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold",
                 ",\"telecom\":[{\"use\":\"home\",\"value\":\"1\"},{\"use\":\"work\",\"value\":\"2\"}],"
                 "\"address\":[{\"city\":\"X\",\"district\":\"Y\"},{\"city\":\"Z\",\"district\":\"Y\"}],"
                 "\"generalPractitioner\":[{\"reference\":\"Organization/1\"},{\"reference\":\"Practitioner/2\"}]");
    (void)extended("p2", 20, "", "telecom(work)");
    (void)extended("p3", 30, "", "Patient.address.district");
    (void)extended("p4", 40, "", "generalPractitioner(Organization)");
    assert_string_equal(element("p4", "telecom"), "[{\"use\":\"home\",\"value\":\"1\"}]");
    assert_string_equal(element("p4", "address"), "[{\"city\":\"X\"},{\"city\":\"Z\"}]");
    assert_string_equal(element("p4", "generalPractitioner"), "[{\"reference\":\"Practitioner/2\"}]");
    (void)extended("p5", 50, ",\"telecom\":[{\"use\":\"work\",\"value\":\"3\"}]", "telecom(other)");
    assert_string_equal(element("p5", "telecom"), "[{\"use\":\"work\",\"value\":\"3\"}]");
    (void)extended("p6", 60, "", "telecom(work)");
    assert_string_equal(element("p6", "telecom"), "");
}

static void query_an_extension_is_deleted_by_its_url(void **state)
{
    (void)state;
    (void)extended("p1", 10, "", "name");
    struct hub_json *list = hub_json_get(hub_json_get(records[0], "resource"), "extension");
    assert_int_equal(hub_json_push(list, parse("{\"url\":\"http://x.example/a.b\",\"valueString\":\"1\"}")), HUB_OK);
    assert_int_equal(hub_json_push(list, parse("{\"url\":\"http://x.example/c\",\"valueString\":\"2\"}")), HUB_OK);
    (void)extended("p2", 20, "", "extension(http://x.example/a.b)");
    assert_string_equal(element("p2", "extension"), "[{\"url\":\"http://x.example/c\",\"valueString\":\"2\"}]");
}

static void query_numbers_of_other_fields_stay(void **state)
{
    (void)state;
#define NUMBER(code, system, value)                                                                          \
    "{" system "\"type\":{\"coding\":[{\"code\":\"" code "\"}]},\"value\":\"" value "\"}"
    demographics("p1", "1a", 10, "fold",
                 ",\"identifier\":[" NUMBER("MR", "\"system\":\"urn:a\",", "1") "," NUMBER(
                     "SS", "\"system\":\"http://hl7.org/fhir/sid/us-ssn\",", "2") "," NUMBER("DL", "", "3") "]");
    demographics("p2", "1a", 20, "fold", ",\"identifier\":[" NUMBER("MR", "\"system\":\"urn:a\",", "4") "]");
    assert_string_equal(element("p2", "identifier"),
                        "[" NUMBER("SS", "\"system\":\"http://hl7.org/fhir/sid/us-ssn\",", "2") "," NUMBER("DL", "", "3") "," NUMBER("MR", "\"system\":\"urn:a\",", "4") "]");
    (void)extended("p3", 30, "", "identifier(SS)");
    assert_string_equal(element("p3", "identifier"),
                        "[" NUMBER("DL", "", "3") "," NUMBER("MR", "\"system\":\"urn:a\",", "4") "]");
#undef NUMBER
}

static void query_retired_numbers_stay_beside_those_in_use(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold", ",\"identifier\":[{\"value\":\"1\"},{\"use\":\"old\",\"value\":\"2\"}]");
    demographics("p2", "1a", 20, "fold", ",\"identifier\":[{\"value\":\"1\"},{\"use\":\"old\",\"value\":\"3\"}]");
    demographics("p3", "1a", 30, "fold", ",\"identifier\":[{\"value\":\"4\"}]");
    assert_string_equal(element("p3", "identifier"),
                        "[{\"use\":\"old\",\"value\":\"2\"},{\"use\":\"old\",\"value\":\"3\"},{\"value\":\"4\"}]");
}

static void query_a_choice_has_one_value(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold", ",\"deceasedBoolean\":true,\"multipleBirthInteger\":2");
    demographics("p2", "1a", 20, "fold", ",\"deceasedDateTime\":\"2026-05-01\"");
    assert_string_equal(element("p2", "deceasedBoolean"), "");
    assert_string_equal(element("p2", "deceasedDateTime"), "\"2026-05-01\"");
    assert_string_equal(element("p2", "multipleBirthInteger"), "2");
    demographics("p3", "1a", 30, "fold", ",\"deceasedBoolean\":false");
    assert_string_equal(element("p3", "deceasedDateTime"), "");
    assert_string_equal(element("p3", "deceasedBoolean"), "false");
    demographics("p4", "1a", 40, "fill", ",\"deceasedDateTime\":\"2026-05-02\",\"multipleBirthBoolean\":true");
    assert_string_equal(element("p3", "deceasedDateTime"), "");
    assert_string_equal(element("p3", "multipleBirthBoolean"), "");
}

static void query_a_county_alone_is_no_other_address(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold", ",\"address\":[{\"city\":\"X\"},{\"city\":\"Z\"}]");
    demographics("p2", "1a", 20, "fold", ",\"address\":[{\"district\":\"Y\"}]");
    assert_string_equal(element("p2", "address"), "[{\"city\":\"X\",\"district\":\"Y\"},{\"city\":\"Z\"}]");
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

static void query_a_filler_gives_a_primitive_with_its_sibling(void **state)
{
    (void)state;
    const char *const born = ",\"_birthDate\":{\"id\":\"t\"},\"birthDate\":\"1970-01-01\"";
    demographics("p1", "1a", 10, "fill", born);
    assert_string_equal(element("p1", "birthDate"), "\"1970-01-01\"");
    assert_string_equal(element("p1", "_birthDate"), "{\"id\":\"t\"}");
    demographics("p2", "1a", 20, "fold", ",\"_birthDate\":{\"id\":\"masked\"}");
    assert_string_equal(element("p2", "birthDate"), ""); /* an ADT said something of it */
    assert_string_equal(element("p2", "_birthDate"), "{\"id\":\"masked\"}");
}

static void query_fillers_fill_fields_not_whole_elements(void **state)
{
    (void)state;
    demographics("p1", "1a", 10, "fold",
                 ",\"identifier\":[{\"value\":\"n1\"}],\"telecom\":[{\"use\":\"home\",\"value\":\"1\"}]");
    demographics("p2", "1a", 20, "fill",
                 ",\"identifier\":[{\"value\":\"n2\"},{\"type\":{\"coding\":[{\"code\":\"DL\"}]}}],"
                 "\"telecom\":[{\"use\":\"home\",\"value\":\"8\"},{\"use\":\"work\",\"value\":\"9\"}]");
    assert_string_equal(element("p1", "identifier"),
                        "[{\"value\":\"n1\"},{\"type\":{\"coding\":[{\"code\":\"DL\"}]}}]");
    assert_string_equal(element("p1", "telecom"),
                        "[{\"use\":\"home\",\"value\":\"1\"},{\"use\":\"work\",\"value\":\"9\"}]");
    (void)extended("p3", 30, "", "telecom(work)"); /* an ADT said: none */
    assert_string_equal(element("p3", "telecom"), "[{\"use\":\"home\",\"value\":\"1\"}]");
    (void)extended("p4", 40, "", "telecom");
    (void)extended("p5", 50, ",\"telecom\":[{\"use\":\"home\",\"value\":\"5\"}]", "gender");
    assert_string_equal(element("p5", "telecom"), "[{\"use\":\"home\",\"value\":\"5\"}]");
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

/* The place of FACT, so that it can be said again. */
static void placed(const char *fact, const char *id, const char *trigger, int time, int effective, const char *encounter, const char *where)
{
    say((struct say){.event = hub_arena_printf(&arena, "e-%s", id),
                     .time = time,
                     .trigger = trigger,
                     .entry = {.type = "Encounter",
                               .id = id,
                               .kind = "location",
                               .facts = fact,
                               .encounter = encounter,
                               .class_ = 1,
                               .effective = effective,
                               .body = hub_arena_printf(&arena, ",\"location\":[{\"location\":{\"display\":\"%s\"},\"status\":\"active\"}]", where)}});
}

static void query_admission_said_again_after_its_cancel_stands(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL, ",\"status\":\"in-progress\"");
    visit("v2", "ADT^A11", 20, "cancel-admission", ",\"status\":\"cancelled\"");
    visit("v3", "ADT^A01", 30, NULL, ",\"status\":\"in-progress\"");
    placed("loc-a", "l1", "ADT^A01", 10, 5, "enc", "ER");
    place("l2", "ADT^A11", 20, "cancel-admission", NULL);
    placed("loc-a", "l3", "ADT^A01", 30, 5, "enc", "ICU");
    assert_string_equal(shown(), "l3:active<l1 v3:in-progress<v2");
    assert_int_equal(hub_json_get(resource("v3"), "location")->len, 1);
}

static void query_transfer_said_again_after_its_cancel_stands(void **state)
{
    (void)state;
    placed("loc-a", "l1", "ADT^A02", 20, 20, "enc", "ICU");
    placed("loc-b", "l2", "ADT^A02", 30, 25, "enc", "Ward");
    say((struct say){.event = "c", .time = 40, .trigger = "ADT^A12", .entry = {.type = "Encounter", .id = "c", .kind = "location", .facts = "loc-c", .encounter = "enc", .class_ = 1, .act = "cancel-transfer", .effective = 25}});
    placed("loc-b", "l3", "ADT^A02", 50, 25, "enc", "Rehab");
    assert_string_equal(shown(), "l1:active l3:active<l2");
    /* a second cancel: of the repeated transfer, not of the one before it */
    say((struct say){.event = "d", .time = 60, .trigger = "ADT^A12", .entry = {.type = "Encounter", .id = "d", .kind = "location", .facts = "loc-d", .encounter = "enc", .class_ = 1, .act = "cancel-transfer", .effective = 60}});
    assert_string_equal(shown(), "l1:active");
    say((struct say){.event = "e", .time = 70, .trigger = "ADT^A12", .entry = {.type = "Encounter", .id = "e", .kind = "location", .facts = "loc-e", .encounter = "enc", .class_ = 1, .act = "cancel-transfer", .effective = 70}});
    assert_string_equal(shown(), "");
}

static void query_cancelled_admission_of_the_same_minute_comes_after_it(void **state)
{
    (void)state;
    static const char *const events[] = {"a", "b"};
    for (int turn = 0; turn < 2; turn++) { /* whatever their event ids */
        record_count = 0;
        for (int i = 0; i < 2; i++)
            say((struct say){.event = events[i],
                             .time = 10,
                             .trigger = i == turn ? "ADT^A01" : "ADT^A11",
                             .entry = {.type = "Encounter",
                                       .id = events[i],
                                       .kind = "encounter",
                                       .facts = "visit",
                                       .encounter = "enc",
                                       .class_ = 1,
                                       .mode = "fold",
                                       .act = i == turn ? NULL : "cancel-admission",
                                       .body = i == turn ? ",\"status\":\"in-progress\"" : ",\"status\":\"cancelled\""}});
        assert_string_equal(shown(), turn == 0 ? "b:cancelled<a" : "a:cancelled<b");
    }
}

static void query_places_of_a_deleted_visit_are_not_shown(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL, ",\"status\":\"in-progress\"");
    place("l1", "ADT^A01", 10, NULL, "ER");
    place("l2", "ADT^A02", 15, NULL, "ICU");
    placed("other", "o", "ADT^A01", 12, 12, "other visit", "Clinic");
    visit("v2", "ADT^A23", 20, "withdraw", ",\"status\":\"entered-in-error\"");
    assert_string_equal(shown(), "o:active");
    visit("v3", "ADT^A08", 30, NULL, ",\"status\":\"unknown\"");
    assert_string_equal(shown(), "o:active");
}

static void query_joined_visit_numbers_are_one_visit_with_all_its_places(void **state)
{
    (void)state;
    static const char *const facts[] = {"old", "new", "old fact=new"}, *const numbers[] = {"enc-old", "enc-new", "enc-new"};
    static const char *const triggers[] = {"ADT^A01", "ADT^A01", "ADT^A42"};
    for (int i = 0; i < 3; i++) {
        const char *id = hub_arena_printf(&arena, "v%d", i);
        say((struct say){.event = id,
                         .time = 10 + 10 * i,
                         .trigger = triggers[i],
                         .entry = {.type = "Encounter",
                                   .id = id,
                                   .kind = "encounter",
                                   .facts = facts[i],
                                   .encounter = numbers[i],
                                   .class_ = 1,
                                   .mode = "fold",
                                   .body = ",\"status\":\"in-progress\""}});
    }
    placed("a", "l1", "ADT^A01", 10, 10, "enc-old", "ER");
    placed("b", "l2", "ADT^A02", 15, 15, "enc-old", "ICU");
    placed("c", "l3", "ADT^A02", 25, 25, "enc-new", "Ward");
    assert_string_equal(shown(), "l1:active l2:active l3:active v2:in-progress<v1");
    assert_int_equal(hub_json_get(resource("v2"), "location")->len, 3);
    say((struct say){.event = "c", .time = 40, .trigger = "ADT^A12", .entry = {.type = "Encounter", .id = "c", .kind = "location", .facts = "d", .encounter = "enc-new", .class_ = 1, .act = "cancel-transfer", .effective = 15}});
    assert_string_equal(shown(), "l1:active l3:active v2:in-progress<v1");
}

static void query_swapped_beds_are_an_announced_move(void **state)
{
    (void)state;
    place("l1", "ADT^A01", 10, NULL, "A");
    place("l2", "ADT^A17", 20, NULL, "B");
    assert_string_equal(shown(), "l1:active l2:active");
    assert_string_equal(element("l2", "extension"), "");
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

static void query_a_deleted_end_leaves_the_start_of_a_visit(void **state)
{
    (void)state;
    visit("v1", "ADT^A01", 10, NULL,
          ",\"status\":\"in-progress\",\"period\":{\"start\":\"2026-05-01\",\"end\":\"2026-05-02\"},"
          "\"hospitalization\":{\"admitSource\":{\"text\":\"a\"},\"dischargeDisposition\":{\"text\":\"b\"}},"
          "\"participant\":[{\"type\":[{\"coding\":[{\"code\":\"ATND\"}]}]},{\"type\":[{\"coding\":[{\"code\":\"REF\"}]}]}]");
    visit("v2", "ADT^A08", 20, NULL, ",\"status\":\"unknown\",\"period\":{\"start\":\"2026-05-03\"}");
    struct hub_json *list = hub_json_get(hub_json_get(records[1], "resource"), "extension");
    static const char *const gone[] = {"period.end", "hospitalization.dischargeDisposition", "participant(REF)"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(hub_json_push(list, parse(hub_arena_printf(&arena, "{\"url\":\"urn:chartline:deleted\",\"valueString\":\"%s\"}", gone[i]))), HUB_OK);
    assert_string_equal(element("v2", "period"), "{\"start\":\"2026-05-03\"}");
    assert_string_equal(element("v2", "hospitalization"), "{\"admitSource\":{\"text\":\"a\"}}");
    assert_string_equal(element("v2", "participant"), "[{\"type\":[{\"coding\":[{\"code\":\"ATND\"}]}]}]");
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

/* What a list is emptied by: an entry of its own that withdraws, in the list. */
static void emptied(const char *kind, const char *type, const char *id, const char *event, const char *source, int time)
{
    say((struct say){.event = event,
                     .time = time,
                     .source = source,
                     .entry = {.type = type, .id = id, .kind = kind, .facts = "none", .class_ = 1, .act = "withdraw", .list = "list", .effective = 1}});
}

static void query_an_emptied_list_drops_what_it_had(void **state)
{
    static const struct {
        const char *kind, *type, *after;
    } kinds[] = {{"condition", "Condition", "other"},
                 {"procedure", "Procedure", "other"},
                 {"coverage", "Coverage", "a:cancelled b:cancelled other"},
                 {"related-person", "RelatedPerson", "a:inactive b:inactive other:active"}};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        record_count = 0;
        listed(kinds[i].kind, kinds[i].type, "a", "f", "e1", NULL, 10, false, NULL);
        listed(kinds[i].kind, kinds[i].type, "b", "g", "e1", NULL, 10, false, NULL);
        listed(kinds[i].kind, kinds[i].type, "other", "h", "e0", "/feeds/two", 10, false, NULL);
        emptied(kinds[i].kind, kinds[i].type, "none", "e2", NULL, 20);
        assert_string_equal(shown(), kinds[i].after);
        listed(kinds[i].kind, kinds[i].type, "c", "f", "e3", NULL, 30, false, NULL); /* a later list names it again */
        assert_non_null(strstr(shown(), "c"));
    }
}

static void query_a_list_is_as_new_as_its_message_not_as_its_entries(void **state)
{
    (void)state;
    listed("condition", "Condition", "c1", "f", "e1", NULL, 10, false, NULL);
    listed("condition", "Condition", "c2", "g", "e1", NULL, 10, false, NULL);
    listed("condition", "Condition", "c3", "g", "e2", NULL, 20, false, NULL);
    /* c1 was diagnosed after c3: DG1-19, the entry's version */
    static const int versions[] = {9, 5, 5}, lists[] = {10, 10, 20};
    for (size_t i = 0; i < 3; i++) {
        struct hub_json *ext = hub_json_at(hub_json_get(hub_json_get(records[i], "resource"), "extension"), 0);
        const char *words = hub_arena_printf(&arena, "class=1 effective=%s fact=%s kind=condition list=list list-version=%s version=%s",
                                             minute(&arena, 1), i == 0 ? "f" : "g", minute(&arena, lists[i]), minute(&arena, versions[i]));
        assert_int_equal(hub_json_set_string(&arena, ext, "valueString", hub_span_str(words)), HUB_OK);
    }
    assert_string_equal(shown(), "c3<c2");
}

static void query_an_action_withdraws_without_a_list(void **state)
{
    (void)state;
    listed("condition", "Condition", "c1", "f", "e1", NULL, 10, false, NULL);
    listed("condition", "Condition", "c2", "g", "e1", NULL, 10, false, NULL);
    say((struct say){.event = "e2", .time = 20, .entry = {.type = "Condition", .id = "c3", .kind = "condition", .facts = "h", .class_ = 1, .effective = 1}});
    assert_string_equal(shown(), "c1 c2 c3"); /* an added one drops no other */
    say((struct say){.event = "e3", .time = 30, .entry = {.type = "Condition", .id = "c4", .kind = "condition", .facts = "f", .class_ = 1, .act = "withdraw", .effective = 1}});
    assert_string_equal(shown(), "c2 c3");
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(query_patient_folds_field_by_field),
        TEST(query_home_and_work_phones_are_two_fields),
        TEST(query_deleted_fields_go_and_may_come_back),
        TEST(query_a_deleted_part_leaves_the_rest_of_its_element),
        TEST(query_an_extension_is_deleted_by_its_url),
        TEST(query_numbers_of_other_fields_stay),
        TEST(query_retired_numbers_stay_beside_those_in_use),
        TEST(query_a_choice_has_one_value),
        TEST(query_a_county_alone_is_no_other_address),
        TEST(query_a_deleted_end_leaves_the_start_of_a_visit),
        TEST(query_an_emptied_list_drops_what_it_had),
        TEST(query_a_list_is_as_new_as_its_message_not_as_its_entries),
        TEST(query_an_action_withdraws_without_a_list),
        TEST(query_fillers_fill_only_what_no_adt_said),
        TEST(query_a_filler_gives_a_primitive_with_its_sibling),
        TEST(query_fillers_fill_fields_not_whole_elements),
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
        TEST(query_admission_said_again_after_its_cancel_stands),
        TEST(query_transfer_said_again_after_its_cancel_stands),
        TEST(query_cancelled_admission_of_the_same_minute_comes_after_it),
        TEST(query_places_of_a_deleted_visit_are_not_shown),
        TEST(query_joined_visit_numbers_are_one_visit_with_all_its_places),
        TEST(query_swapped_beds_are_an_announced_move),
        TEST(query_update_with_another_place_is_a_flagged_move),
        TEST(query_what_the_newest_list_lacks_is_dropped),
        TEST(query_dropped_cover_and_kin_stay_as_cancelled),
        TEST(query_allergies_are_never_dropped_only_marked),
        TEST(query_an_emptied_list_takes_back_its_allergies),
        TEST(query_allergies_of_all_sources_are_shown),
        TEST(query_no_known_allergy_hides_behind_an_active_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
