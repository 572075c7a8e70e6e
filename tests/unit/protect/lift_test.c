/* Resources that are sealed whole as `sensitive`, and what would give them away. */
#include "tests/protect_fixture.h"

static void seal_lifts_a_labelled_resource_whole(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    static const struct hub_span part[] = {{(const uint8_t *)"key", 3}};
    const char *text =
        "{\"resourceType\":\"Immunization\",\"status\":\"completed\",\"vaccineCode\":{\"text\":\"V\"},"
        "\"patient\":{\"reference\":\"->0\"},"
        "\"occurrenceDateTime\":\"2026-11-19\",\"identifier\":[{\"value\":\"1\"}],\"meta\":{\"profile\":["
        "\"http://p.example\"],\"security\":["
        "{\"code\":\"PSY\",\"system\":\"http://terminology.hl7.org/CodeSystem/v3-ActCode\"}]}}";
    (void)add(f, HUB_KIND_PATIENT, plain_patient_text);
    struct hub_resource *r = add(f, HUB_KIND_IMMUNIZATION, text);
    r->entry.keys[0] = r->entry.measure = r->entry.location = r->entry.encounter = r->entry.list =
        (struct hub_fact_key){.part_count = 1, .parts = part};
    r->entry.effective = r->entry.version = f->event.time;
    r->entry.act = HUB_ACT_WITHDRAW;
    const char *json = seal(f, &sealed);
    const char *clear = text_of(f, resource_at(parse(f, json), 1));
    assert_null(strstr(clear, "PSY"));
    assert_null(strstr(clear, "profile"));
    assert_null(strstr(clear, "measure"));
    assert_null(strstr(clear, "effective"));
    assert_null(strstr(clear, "location"));
    assert_null(strstr(clear, "encounter"));
    assert_non_null(strstr(clear, " fact="));
    assert_non_null(strstr(clear, " version="));
    assert_non_null(strstr(clear, "withdraw"));
    assert_non_null(strstr(clear, "\"status\":\"completed\""));
    assert_non_null(strstr(clear, "_occurrenceDateTime"));
    f->may[HUB_DATA_SENSITIVE] = false;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_null(hub_json_get(resource_at(event, 1), "identifier"));
    f->may[HUB_DATA_SENSITIVE] = true;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    expect_original(f, text, resource_at(event, 1), event);
}

static const char *const hiv_text =
    "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"coding\":[{\"system\":\"http://loinc.org\","
    "\"code\":\"7917-8\"}]},\"basedOn\":[{\"reference\":\"->2\",\"display\":\"ORDERMARKER\"}],\"valueString\":\"HIVMARKER\"}";
static const char *const plain_result_text =
    "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"coding\":[{\"system\":\"http://loinc.org\","
    "\"code\":\"718-7\"}]},\"valueString\":\"PLAINMARKER\"}";
static const char *const order_text =
    "{\"resourceType\":\"ServiceRequest\",\"status\":\"active\",\"intent\":\"order\",\"code\":{\"text\":\"ORDERMARKER\"}}";
static const char *const report_text =
    "{\"resourceType\":\"DiagnosticReport\",\"status\":\"final\",\"code\":{\"text\":\"REPORTMARKER\"},\"result\":[{"
    "\"reference\":\"->0\",\"display\":\"RESULTMARKER\"},{\"reference\":\"->1\"}]}";
static const char *const note_text =
    "{\"resourceType\":\"Procedure\",\"status\":\"completed\",\"code\":{\"text\":\"PROCEDUREMARKER\"},\"reasonReference\":[{"
    "\"reference\":\"->0\",\"display\":\"DISPLAYMARKER\"},{\"reference\":\"->1\",\"display\":\"OTHERMARKER\"}]}";

/* What a role without `sensitive` (and without `raw`) reads of the event. */
static char *opened_without_sensitive(struct test_seal *f)
{
    struct hub_sealed sealed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    const char *json = seal(f, &sealed);
    f->may[HUB_DATA_SENSITIVE] = f->may[HUB_DATA_RAW] = false;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    char *text = text_of(f, event);
    f->may[HUB_DATA_SENSITIVE] = f->may[HUB_DATA_RAW] = true;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_int_equal(masked, 0);
    const char *const all[] = {hiv_text, plain_result_text, order_text, report_text, note_text};
    for (size_t i = 0; i < f->event.resource_count && i < sizeof all / sizeof all[0]; i++)
        assert_int_equal(hub_json_get_span(resource_at(event, i), "status").len != 0, true);
    assert_non_null(strstr(text_of(f, event), "HIVMARKER"));
    return text;
}

static void hides(const char *text, const char *const names[])
{
    for (; *names != NULL; names++)
        if (strstr(text, *names) != NULL)
            fail_msg("%s shows", *names);
}

static void seal_lifts_what_would_give_a_lifted_result_away(void **state)
{
    struct test_seal *f = *state;
    (void)add(f, HUB_KIND_OBSERVATION, hiv_text);
    (void)add(f, HUB_KIND_OBSERVATION, plain_result_text);
    (void)add(f, HUB_KIND_ORDER, order_text);
    (void)add(f, HUB_KIND_REPORT, report_text);
    (void)add(f, HUB_KIND_PROCEDURE, note_text);
    const char *text = opened_without_sensitive(f);
    hides(text, (const char *const[]){"HIVMARKER", "7917-8", "ORDERMARKER", "REPORTMARKER", "RESULTMARKER", "DISPLAYMARKER", NULL});
    static const char *const shown[] = {"PLAINMARKER", "718-7", "PROCEDUREMARKER", "OTHERMARKER"};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        if (strstr(text, shown[i]) == NULL)
            fail_msg("%s does not show", shown[i]);
}

static void seal_of_a_report_lifted_for_its_own_code_takes_its_results_along(void **state)
{
    struct test_seal *f = *state;
    (void)add(f, HUB_KIND_OBSERVATION,
              "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"text\":\"LOCALMARKER\"},\"valueString\":\"HIVMARKER\"}");
    (void)add(f, HUB_KIND_OBSERVATION, plain_result_text);
    (void)add(f, HUB_KIND_REPORT,
              "{\"resourceType\":\"DiagnosticReport\",\"status\":\"final\",\"code\":{\"coding\":[{\"system\":\"http://loinc.org\","
              "\"code\":\"7918-6\"}]},\"result\":[{\"reference\":\"->0\"}]}");
    const char *text = opened_without_sensitive(f);
    assert_null(strstr(text, "LOCALMARKER"));
    assert_null(strstr(text, "HIVMARKER"));
    assert_non_null(strstr(text, "PLAINMARKER"));
}

/* RxNorm 6813: methadone. The last of the resources is another order's. */
static void seal_compound(struct test_seal *f, bool by_order)
{
    static const char secret[] = ",\"ingredient\":[{\"itemCodeableConcept\":{\"coding\":[{\"system\":\"http://www.nlm.nih.gov/research/umls/rxnorm\",\"code\":\"6813\"}]}}]";
    static const char coding[] = "\"coding\":[{\"system\":\"http://www.nlm.nih.gov/research/umls/rxnorm\",\"code\":\"6813\"}],";
    char order[512], compound[512];
    (void)snprintf(order, sizeof order,
                   "{\"resourceType\":\"MedicationRequest\",\"status\":\"active\",\"intent\":\"order\",\"medicationCodeableConcept\":{%s\"text\":\"HIVMARKER\"},"
                   "\"note\":[{\"text\":\"NOTEMARKER\"}],\"supportingInformation\":[{\"reference\":\"->1\"}]}",
                   by_order ? coding : "");
    (void)snprintf(compound, sizeof compound, "{\"resourceType\":\"Medication\",\"status\":\"active\",\"code\":{\"text\":\"COMPOUNDMARKER\"}%s}",
                   by_order ? "" : secret);
    (void)add(f, HUB_KIND_MEDICATION_REQUEST, order);
    (void)add(f, HUB_KIND_NONE, compound);
    (void)add(f, HUB_KIND_NONE,
              "{\"resourceType\":\"MedicationRequest\",\"status\":\"active\",\"intent\":\"instance-order\","
              "\"medicationCodeableConcept\":{\"text\":\"GIVEMARKER\"},\"basedOn\":[{\"reference\":\"->0\"}]}");
    (void)add(f, HUB_KIND_MEDICATION_REQUEST,
              "{\"resourceType\":\"MedicationRequest\",\"status\":\"active\",\"intent\":\"order\",\"medicationCodeableConcept\":{\"text\":\"PLAINMARKER\"},"
              "\"supportingInformation\":[{\"reference\":\"->4\"}]}");
    (void)add(f, HUB_KIND_NONE, "{\"resourceType\":\"Medication\",\"status\":\"active\",\"code\":{\"text\":\"SALINEMARKER\"}}");
    const char *text = opened_without_sensitive(f);
    hides(text, (const char *const[]){"\"6813\"", "HIVMARKER", "NOTEMARKER", "COMPOUNDMARKER", "GIVEMARKER", NULL});
    assert_non_null(strstr(text, "PLAINMARKER"));
    assert_non_null(strstr(text, "SALINEMARKER"));
}

static void seal_lifts_an_order_for_an_ingredient(void **state)
{
    seal_compound(*state, false);
}

static void seal_lifts_a_compound_and_doses_for_the_drug_of_their_order(void **state)
{
    seal_compound(*state, true);
}

static void seal_lifts_a_document_with_the_result_it_is_and_what_asked_for_it(void **state)
{
    struct test_seal *f = *state;
    (void)add(f, HUB_KIND_OBSERVATION, hiv_text);
    (void)add(f, HUB_KIND_ORDER,
              "{\"resourceType\":\"ServiceRequest\",\"status\":\"active\",\"intent\":\"order\",\"code\":{\"text\":\"ORDERMARKER\"}}");
    (void)add(f, HUB_KIND_DOCUMENT,
              "{\"resourceType\":\"DocumentReference\",\"status\":\"current\",\"type\":{\"text\":\"LOCALMARKER\"},\"content\":[{\"attachment\":"
              "{\"title\":\"TITLEMARKER\"}}],\"context\":{\"related\":[{\"reference\":\"->0\"},{\"reference\":\"->1\"}]}}");
    (void)add(f, HUB_KIND_DOCUMENT,
              "{\"resourceType\":\"DocumentReference\",\"status\":\"current\",\"content\":[{\"attachment\":{\"title\":\"PLAINMARKER\"}}],"
              "\"context\":{\"related\":[{\"reference\":\"->4\"}]}}");
    (void)add(f, HUB_KIND_OBSERVATION, "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"text\":\"OTHERMARKER\"}}");
    const char *text = opened_without_sensitive(f);
    hides(text, (const char *const[]){"HIVMARKER", "ORDERMARKER", "LOCALMARKER", "TITLEMARKER", NULL});
    assert_non_null(strstr(text, "PLAINMARKER"));
    assert_non_null(strstr(text, "OTHERMARKER"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, test_seal_setup, test_seal_teardown)
    const struct CMUnitTest tests[] = {
        T(seal_lifts_a_labelled_resource_whole),
        T(seal_lifts_what_would_give_a_lifted_result_away),
        T(seal_of_a_report_lifted_for_its_own_code_takes_its_results_along),
        T(seal_lifts_an_order_for_an_ingredient),
        T(seal_lifts_a_compound_and_doses_for_the_drug_of_their_order),
        T(seal_lifts_a_document_with_the_result_it_is_and_what_asked_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
