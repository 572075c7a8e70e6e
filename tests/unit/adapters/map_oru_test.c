/* Results through the real tables: what RULES says of reports, observations, texts and their keys. */
#include "tests/unit/adapters/map_fixture.h"

#define HEAD "MSH|^~\\&|LAB|NORTH|HUB|X|20260301120000||ORU^R01^ORU_R01|M1|P|2.5.1\nPID|1||A100^^^GENHOSP^MR||Falk^Ida\n"
#define OBR "OBR|1|P5^EHR|F9^LAB|CHEM^Chemistry^L|||20260301080000|||||||||||||||20260301110000|||F\n"

static struct hub_json *element(struct hub_resource *r, const char *name)
{
    assert_non_null(r);
    return hub_json_get(r->json, name);
}

static void results_become_report_order_and_observations(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5.50|mmol/L|4-6|N|||F|||20260301083000\n");
    struct hub_resource *o = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    struct hub_resource *report = fixture_find(e, HUB_KIND_REPORT, NULL, 0);
    assert_json(f, hub_json_get(element(o, "valueQuantity"), "value"), "5.50");
    assert_span(hub_json_get_span(o->json, "status"), "final");
    assert_int_equal(o->entry.status_class, 1);
    assert_non_null(fixture_find(e, HUB_KIND_ORDER, NULL, 0));
    assert_int_equal(element(report, "result")->len, 1);
    assert_span(o->entry.effective.text, "2026-03-01T08:30:00-05:00");
    assert_string_equal(e->time_source, "OBR-7");
}

static void value_types_become_value_elements(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *obx;
        const char *member;
        const char *json;
    } cases[] = {
        {"NM|T^T^L||-0.5|", "valueQuantity", "{\"value\":-0.5}"},
        {"NM|T^T^L||<5|", "valueQuantity", "{\"comparator\":\"<\",\"value\":5}"},
        {"NM|T^T^L||+007.10|", "valueQuantity", "{\"value\":7.10}"},
        {"NM|T^T^L||negative|", "valueString", "\"negative\""},
        {"SN|T^T^L||>^100|", "valueQuantity", "{\"comparator\":\">\",\"value\":100}"},
        {"SN|T^T^L||^1^:^128|", "valueRatio", "{\"denominator\":{\"value\":128},\"numerator\":{\"value\":1}}"},
        {"SN|T^T^L||^3^-^5|", "valueRange", "{\"high\":{\"value\":5},\"low\":{\"value\":3}}"},
        {"ST|T^T^L||a\\T\\b \\F\\ c|", "valueString", "\"a&b | c\""},
        {"FT|T^T^L||one\\.br\\two|", "valueString", "\"one\\ntwo\""},
        {"CWE|T^T^L||POS^Positive^L|", "valueCodeableConcept",
         "{\"coding\":[{\"code\":\"POS\",\"display\":\"Positive\",\"system\":\"urn:chartline:codesystem:L\"}],\"text\":\"Positive\"}"},
        {"DT|T^T^L||20260102|", "valueDateTime", "\"2026-01-02\""},
        {"TM|T^T^L||0930|", "valueTime", "\"09:30:00\""},
        {"NR|T^T^L||1^2.5|", "valueRange", "{\"high\":{\"value\":2.5},\"low\":{\"value\":1}}"},
        {"QQ|T^T^L||what^ever|", "valueString", "\"what^ever\""},
        {"|T^T^L||untyped|", "valueString", "\"untyped\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, HEAD OBR "OBX|1|%s||||||F\n", cases[i].obx);
        struct hub_event *e = fixture_good(f, text);
        assert_json(f, element(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0), cases[i].member), cases[i].json);
    }
}

static void text_lines_become_one_observation(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|TX|RPT^Report^L||First line.||||||F\n"
                                                   "OBX|2|TX|RPT^Report^L||||||||F\n"
                                                   "OBX|3|TX|RPT^Report^L||Third.~Fourth.||||||F\n"
                                                   "OBX|4|TX|IMP^Impression^L||Alone.||||||F\n");
    assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 2);
    assert_json(f, element(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0), "valueString"), "\"First line.\\n\\nThird.\\nFourth.\"");
    assert_json(f, element(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 1), "valueString"), "\"Alone.\"");
}

static void texts_of_two_orders_stay_apart(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|TX|RPT^Report^L||One.||||||F\n"
                                                   "OBR|2||F10^LAB|CHEM^Chemistry^L\nOBX|1|TX|RPT^Report^L||Two.||||||F\n");
    assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 2);
}

static void results_belong_to_their_order(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||F\n"
                                                   "OBR|2||F10^LAB|HEM^Hematology^L\nOBX|1|NM|HB^Hb^L||9||||||F\nOBX|2|NM|WBC^WBC^L||4||||||F\n");
    assert_int_equal(fixture_count(e, HUB_KIND_REPORT), 2);
    assert_int_equal(element(fixture_find(e, HUB_KIND_REPORT, NULL, 0), "result")->len, 1);
    assert_int_equal(element(fixture_find(e, HUB_KIND_REPORT, NULL, 1), "result")->len, 2);
}

static void notes_attach_to_what_precedes_them(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "NTE|1||About the order.\nOBX|1|NM|GLU^Glucose^L||5||||||F\nNTE|1||About glucose.\nNTE|2||More.\n"
                                                   "OBX|2|NM|HB^Hb^L||9||||||F\n");
    assert_json(f, element(fixture_find(e, HUB_KIND_ORDER, NULL, 0), "note"), "[{\"text\":\"About the order.\"}]");
    assert_json(f, element(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0), "note"), "[{\"text\":\"About glucose.\"},{\"text\":\"More.\"}]");
    assert_null(element(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 1), "note"));
}

static void order_has_two_keys(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR);
    struct hub_resource *order = fixture_find(e, HUB_KIND_ORDER, NULL, 0);
    assert_non_null(order);
    assert_non_null(strstr(fixture_key(f, &order->entry.keys[0]), "|P5"));
    assert_non_null(strstr(fixture_key(f, &order->entry.keys[1]), "|F9"));
}

static void order_number_without_authority_takes_application_and_facility(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD "OBR|1||F9|CHEM^Chemistry^L\n");
    struct hub_resource *order = fixture_find(e, HUB_KIND_ORDER, NULL, 0);
    assert_non_null(strstr(fixture_key(f, &order->entry.keys[0]), "LAB:NORTH|F9"));
}

static void equal_observations_of_one_message_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||F|||20260301080000\nOBX|2|NM|GLU^Glucose^L||6||||||F|||20260301090000\n"
                                                   "OBX|3|NM|GLU^Glucose^L||7||||||F|||20260301090000\nOBX|4|NM|HB^Hb^L||9||||||F\n");
    assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 4);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(fixture_key(f, &fixture_find(e, HUB_KIND_OBSERVATION, NULL, i)->entry.keys[0]),
                                    fixture_key(f, &fixture_find(e, HUB_KIND_OBSERVATION, NULL, k)->entry.keys[0]));
    }
    struct hub_resource *hb = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 3);
    const char *alone = hub_arena_printf(&f->arena, "%s", fixture_key(f, &hb->entry.keys[0]));
    assert_null(strstr(alone, "/0")); /* nothing put behind a key that is alone */
}

static void preliminary_and_final_share_a_key_but_not_a_class(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||P\n");
    struct hub_resource *o = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    char before[512];
    (void)snprintf(before, sizeof before, "%s", fixture_key(f, &o->entry.keys[0]));
    assert_int_equal(o->entry.status_class, 0);
    e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||F\n");
    o = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    assert_string_equal(before, fixture_key(f, &o->entry.keys[0]));
    assert_int_equal(o->entry.status_class, 1);
}

static void deleted_result_is_withdrawn_and_cancelled_has_no_value(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||D\nOBX|2|NM|HB^Hb^L||9||||||X\n");
    struct hub_resource *deleted = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    struct hub_resource *cancelled = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 1);
    assert_int_equal(deleted->entry.act, HUB_ACT_WITHDRAW);
    assert_span(hub_json_get_span(deleted->json, "status"), "entered-in-error");
    assert_span(hub_json_get_span(cancelled->json, "status"), "cancelled");
    assert_null(element(cancelled, "valueQuantity"));
}

static void result_for_a_parent_points_at_it(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD "OBR|1||F9^LAB|CULT^Culture^L\nOBX|1|CWE|ORG^Organism^L|1|ECOLI^E. coli^L||||||F\n"
                                               "OBR|2||F9^LAB|SUSC^Susceptibility^L||||||||||||||||||||||ORG&Organism&L^1^E. coli|||P5&EHR^F9&LAB\n"
                                               "OBX|1|ST|AMP^Ampicillin^L||R||||||F\n");
    struct hub_resource *parent = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    struct hub_resource *child = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 1);
    assert_non_null(element(parent, "hasMember"));
    assert_non_null(element(child, "derivedFrom"));
    assert_null(element(parent, "derivedFrom"));
}

static void several_patients_make_an_event_each(void **state)
{
    struct fixture *f = *state;
    (void)fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||F\nPID|2||B200^^^GENHOSP^MR||Berg^Olaf\n" OBR "OBX|1|NM|GLU^Glucose^L||6||||||F\n");
    assert_int_equal(f->decoded.event_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct hub_event *e = &f->decoded.events[i];
        assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 1);
        assert_int_equal(fixture_count(e, HUB_KIND_PATIENT), 1);
        assert_non_null(fixture_find(e, HUB_KIND_NONE, "MessageHeader", 0));
        for (uint32_t k = 0; k < e->reference_count; k++)
            assert_true(e->references[k].target < e->resource_count);
    }
    assert_span(f->decoded.events[1].identifiers[0].value, "B200");
    assert_null(strstr(fixture_json(f, fixture_find(&f->decoded.events[1], HUB_KIND_PATIENT, NULL, 0)->json), "Falk"));
}

static void head_of_the_message_refers_to_no_other_patients_resources(void **state)
{
    struct fixture *f = *state;
    (void)fixture_good(f, "MSH|^~\\&|LAB|NORTH|HUB|X|20260301120000||OUL^R22|M1|P|2.5.1\nOBR|1||F1|CHEM^Chemistry^L\n"
                          "PID|1||A100^^^GENHOSP^MR\nOBR|1||F9|HEM^Hem^L\nSPM|1|S1&X||BLD^Blood^L\n"
                          "PID|2||B200^^^GENHOSP^MR\nOBR|1||F10|HEM^Hem^L\nSPM|1|S2&X||BLD^Blood^L\n");
    assert_int_equal(f->decoded.event_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct hub_event *e = &f->decoded.events[i];
        for (uint32_t k = 0; k < e->resource_count; k++) {
            const char *text = fixture_json(f, e->resources[k].json);
            assert_null(strstr(text, i == 0 ? "S2" : "S1"));
        }
        for (uint32_t k = 0; k < e->reference_count; k++)
            assert_true(e->references[k].target < e->resource_count);
    }
}

static void segments_out_of_place_are_mapped_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||F\nPV1|1|I|W2||||||||||||||||V77^^^GENHOSP^VN\nOBX|2|NM|HB^Hb^L||9||||||F\nZZZ|1|x\n");
    assert_int_equal(f->decoded.event_count, 1);
    assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 2);
    assert_int_equal(element(fixture_find(e, HUB_KIND_REPORT, NULL, 0), "result")->len, 2);
    assert_string_equal(fixture_key(f, &fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0)->entry.encounter), "/urn:oid:1.2.3.4|V77");
}

static void message_type_no_table_names_is_mapped_by_nearest_openers(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, "MSH|^~\\&|LAB|NORTH|HUB|X|20260301120000||OUL^R22|M1|P|2.5.1\nPID|1||A100^^^GENHOSP^MR||Falk^Ida\n" OBR
                                          "OBX|1|NM|GLU^Glucose^L||5||||||F\nNTE|1||About glucose.\n" "OBR|2||F10^LAB|HEM^Hematology^L\nOBX|1|NM|HB^Hb^L||9||||||F\n");
    assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 2);
    assert_int_equal(fixture_count(e, HUB_KIND_ORDER), 2);
    assert_json(f, element(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0), "note"), "[{\"text\":\"About glucose.\"}]");
}

static void specimen_time_comes_before_the_observations(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||F|||20260301083000\nSPM|1|S1||BLD^Blood^L|||||||||||||20260301070000\n"
                                                   "OBR|2||F10^LAB|HEM^Hematology^L\nOBX|1|NM|HB^Hb^L||9||||||F|||20260301093000\n");
    assert_span(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0)->entry.effective.text, "2026-03-01T07:00:00-05:00");
    assert_span(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 1)->entry.effective.text, "2026-03-01T09:30:00-05:00");
    assert_string_equal(e->time_source, "SPM-17.1");
}

static void zone_is_that_of_the_value_s_own_date(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, HEAD OBR "OBX|1|NM|GLU^Glucose^L||5||||||F|||202607010830\nOBX|2|NM|HB^Hb^L||9||||||F|||20260301083000+0100\n");
    assert_span(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0)->entry.effective.text, "2026-07-01T08:30:00-04:00");
    assert_span(fixture_find(e, HUB_KIND_OBSERVATION, NULL, 1)->entry.effective.text, "2026-03-01T08:30:00+01:00");
}

static void many_results_are_mapped_in_linear_time(void **state)
{
    struct fixture *f = *state;
    static char text[FIXTURE_MESSAGE_MAX];
    size_t n = (size_t)snprintf(text, sizeof text, HEAD OBR);
    for (unsigned i = 0; i < 1200 && n < sizeof text - 64; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "OBX|%u|NM|C%u^T^L||%u||||||F\n", i, i, i);
    struct hub_event *e = fixture_good(f, text);
    assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 1200);
    assert_int_equal(element(fixture_find(e, HUB_KIND_REPORT, NULL, 0), "result")->len, 1200);
}

static void too_many_resources_are_refused(void **state)
{
    struct fixture *f = *state;
    f->config.limits.resources = 10;
    void *before = f->context;
    struct hub_problems problems;
    hub_problems_init(&problems);
    f->context = hub_format_hl7v2.open(&f->config, &f->feed, &problems);
    hub_problems_deinit(&problems);
    assert_non_null(f->context);
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, HEAD OBR);
    for (unsigned i = 0; i < 20; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "OBX|%u|NM|C%u^T^L||%u||||||F\n", i, i, i);
    enum hub_result result = fixture_decode(f, text);
    hub_format_hl7v2.close(f->context);
    f->context = before;
    f->config.limits.resources = 0;
    assert_int_equal(result, HUB_TOO_MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_become_report_order_and_observations),
        cmocka_unit_test(value_types_become_value_elements),
        cmocka_unit_test(text_lines_become_one_observation),
        cmocka_unit_test(texts_of_two_orders_stay_apart),
        cmocka_unit_test(results_belong_to_their_order),
        cmocka_unit_test(notes_attach_to_what_precedes_them),
        cmocka_unit_test(order_has_two_keys),
        cmocka_unit_test(order_number_without_authority_takes_application_and_facility),
        cmocka_unit_test(equal_observations_of_one_message_are_told_apart),
        cmocka_unit_test(preliminary_and_final_share_a_key_but_not_a_class),
        cmocka_unit_test(deleted_result_is_withdrawn_and_cancelled_has_no_value),
        cmocka_unit_test(result_for_a_parent_points_at_it),
        cmocka_unit_test(several_patients_make_an_event_each),
        cmocka_unit_test(head_of_the_message_refers_to_no_other_patients_resources),
        cmocka_unit_test(segments_out_of_place_are_mapped_all_the_same),
        cmocka_unit_test(message_type_no_table_names_is_mapped_by_nearest_openers),
        cmocka_unit_test(specimen_time_comes_before_the_observations),
        cmocka_unit_test(zone_is_that_of_the_value_s_own_date),
        cmocka_unit_test(many_results_are_mapped_in_linear_time),
        cmocka_unit_test(too_many_resources_are_refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
