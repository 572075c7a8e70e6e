/* Vaccinations, medication, appointments, documents and problems through the real tables: what RULES says of their
 * keys, versions, states and withdrawals. */
#include "tests/unit/adapters/map_fixture.h"

#define MSH(trigger) "MSH|^~\\&|EHR|GENHOSP|HUB|X|20260301120000||" trigger "|M1|P|2.5.1\n"
#define PID "PID|1||A100^^^GENHOSP^MR||Falk^Ida||19700102|F\n"
#define STATUS(resource) hub_json_get_span((resource)->json, "status")

static struct hub_resource *only(struct fixture *f, const char *text, enum hub_kind kind)
{
    struct hub_event *e = fixture_good(f, text);
    assert_int_equal(fixture_count(e, kind), 1);
    return fixture_find(e, kind, NULL, 0);
}

static const char *key(struct fixture *f, const char *text, enum hub_kind kind, unsigned n)
{
    return fixture_key(f, &only(f, text, kind)->entry.keys[n]);
}

/* --- immunization --- */

static void a_vaccination_is_known_by_its_order_else_by_vaccine_and_time(void **state)
{
    struct fixture *f = *state;
#define RXA "RXA|0|1|20260228||140^Influenza^CVX|0.5|mL|||||||||||||CP|A|20260228130000\n"
    const enum hub_kind kind = HUB_KIND_IMMUNIZATION;
    assert_string_equal(key(f, MSH("VXU^V04") PID "ORC|RE|P1^EHR|F1^REG\n" RXA, kind, 0), "/filler/urn:chartline:ns:GENHOSP:REG|F1");
    assert_string_equal(key(f, MSH("VXU^V04") PID "ORC|RE|P1^EHR\n" RXA, kind, 0), "/placer/urn:chartline:ns:GENHOSP:EHR|P1");
    assert_string_equal(key(f, MSH("VXU^V04") PID "ORC|RE||9999^REG\n" RXA, kind, 0), "S/vaccine/140^CVX/1772254800000000");
    struct hub_resource *r = only(f, MSH("VXU^V04") PID RXA, kind);
    assert_string_equal(fixture_key(f, &r->entry.keys[0]), "S/vaccine/140^CVX/1772254800000000");
    assert_span(r->entry.version.text, "2026-02-28T13:00:00-05:00"); /* RXA-22 */
    assert_span(r->entry.effective.text, "2026-02-28");
    assert_int_equal(r->entry.mode, HUB_MODE_REPLACE);
#undef RXA
}

static void a_vaccine_not_given_is_said_and_cvx_998_makes_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][2] = {{"CP", "completed"}, {"PA", "completed"}, {"", "completed"}, {"RE", "not-done"}, {"NA", "not-done"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("VXU^V04") PID "RXA|0|1|20260228||140^Influenza^CVX|999||||||||||||00^Refused^L||%s|A\n", rows[i][0]);
        struct hub_resource *r = only(f, text, HUB_KIND_IMMUNIZATION);
        assert_span(STATUS(r), rows[i][1]);
        assert_null(hub_json_get(r->json, "doseQuantity"));
    }
    struct hub_event *e = fixture_good(f, MSH("VXU^V04") PID "ORC|RE||F1^REG\nRXA|0|1|20260228||140^Influenza^CVX|0.5\n"
                                                             "ORC|RE||9999^REG\nRXA|0|1|20260228||998^none^CVX|999\nRXR|IM\n");
    assert_int_equal(fixture_count(e, HUB_KIND_IMMUNIZATION), 1);
    assert_int_equal(fixture_count(e, HUB_KIND_MEDICATION_ADMINISTRATION), 0);
    assert_null(hub_json_get(fixture_find(e, HUB_KIND_IMMUNIZATION, NULL, 0)->json, "route")); /* the route is that of 998 */
}

static void a_deleted_vaccination_is_withdrawn(void **state)
{
    struct fixture *f = *state;
    struct hub_resource *r = only(f, MSH("VXU^V04") PID "ORC|RE||F1^REG\nRXA|0|1|20260228||140^Influenza^CVX|0.5||||||||||||||CP|D\n", HUB_KIND_IMMUNIZATION);
    assert_int_equal(r->entry.act, HUB_ACT_WITHDRAW);
    assert_span(STATUS(r), "entered-in-error");
}

/* --- medication --- */

static void a_prescription_is_known_by_both_numbers_and_not_by_its_drug(void **state)
{
    struct fixture *f = *state;
    struct hub_resource *r = only(f, MSH("RDE^O11") PID "ORC|NW|P1^EHR|F1^PH|||||20260301\nRXE||1^A^L|1\n", HUB_KIND_MEDICATION_REQUEST);
    assert_string_equal(fixture_key(f, &r->entry.keys[0]), "/placer/urn:chartline:ns:GENHOSP:EHR|P1");
    assert_string_equal(fixture_key(f, &r->entry.keys[1]), "/filler/urn:chartline:ns:GENHOSP:PH|F1");
    assert_string_equal(key(f, MSH("OMP^O09") PID "ORC|NW|P1^EHR\nRXO|2^B^L|1\n", HUB_KIND_MEDICATION_REQUEST, 0), "/placer/urn:chartline:ns:GENHOSP:EHR|P1");
    assert_string_equal(key(f, MSH("ORM^O01") PID "ORC|NW||F1^PH\nRXO|2^B^L|1\n", HUB_KIND_MEDICATION_REQUEST, 0), "/filler/urn:chartline:ns:GENHOSP:PH|F1");
    r = only(f, MSH("RDE^O11") PID "ORC|NW|P1^EHR|F1^PH||||||20260301090000\nRXE||1^A^L|1\n", HUB_KIND_MEDICATION_REQUEST);
    assert_span(r->entry.version.text, "2026-03-01T09:00:00-05:00"); /* ORC-9 */
}

static void a_prescriptions_state_is_said_by_orc_5_before_orc_1(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][3] = {
        {"NW", "", "active"},    {"CA", "", "cancelled"}, {"OC", "", "cancelled"}, {"CR", "", "cancelled"}, {"DC", "", "stopped"},
        {"OD", "", "stopped"},   {"DR", "", "stopped"},   {"UC", "", "active"},    {"UD", "", "active"},    {"XO", "", "active"},
        {"HD", "", "on-hold"},   {"RP", "", "stopped"},   {"RU", "", "stopped"},   {"RO", "", "active"},    {"SC", "", "unknown"},
        {"CA", "IP", "active"},  {"NW", "CM", "completed"}, {"SC", "CA", "cancelled"}, {"SC", "DC", "stopped"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("RDE^O11") PID "ORC|%s|P1^EHR|F1^PH||%s\nRXE||1^A^L|1\n", rows[i][0], rows[i][1]);
        assert_span(STATUS(only(f, text, HUB_KIND_MEDICATION_REQUEST)), rows[i][2]);
    }
}

static void what_the_pharmacy_encoded_is_shown_and_what_was_asked_for_beside_it(void **state)
{
    struct fixture *f = *state;
    struct hub_resource *r = only(f,
                                  MSH("RDE^O11") PID "ORC|NW|P1^EHR\nRXO|1^Asked^L|5||mg\nRXR|IV\nRXE||2^Given^L|10||mg\nRXR|PO\n",
                                  HUB_KIND_MEDICATION_REQUEST);
    assert_json(f, hub_json_get(r->json, "medicationCodeableConcept"),
                "{\"coding\":[{\"code\":\"2\",\"display\":\"Given\",\"system\":\"urn:chartline:codesystem:L\"}],\"text\":\"Given\"}");
    assert_json(f, hub_json_get(r->json, "note"), "[{\"text\":\"asked for: Asked (1)\"}]");
    const char *text = fixture_json(f, hub_json_get(r->json, "dosageInstruction"));
    assert_non_null(strstr(text, "\"value\":10"));
    assert_non_null(strstr(text, "PO"));
    assert_null(strstr(text, "\"value\":5"));
    assert_null(strstr(text, "IV"));
}

/* --- replacements --- */

/* What the order of PLACER says it replaces: the placer number of that, "" for nothing. */
static const char *replaced_by(struct fixture *f, const struct hub_event *e, const char *type, const char *placer)
{
    const struct hub_json *named = NULL;
    for (uint32_t i = 0; i < e->resource_count; i++) {
        const struct hub_json *json = e->resources[i].json;
        if (!hub_span_is(hub_json_get_span(json, "resourceType"), type) || strstr(fixture_json(f, hub_json_get(json, "identifier")), placer) == NULL)
            continue;
        const struct hub_json *list = hub_json_get(json, "replaces");
        assert_true(list == NULL || list->len == 1);
        named = list != NULL ? list->first : hub_json_get(json, "priorPrescription");
    }
    for (uint32_t i = 0; named != NULL && i < e->reference_count; i++) {
        const struct hub_json *target = e->resources[e->references[i].target].json;
        if (e->references[i].node == hub_json_get(named, "reference") && hub_span_is(hub_json_get_span(target, "resourceType"), type))
            return fixture_json(f, hub_json_get(hub_json_get(target, "identifier")->first, "value"));
    }
    return named == NULL ? "" : "another type";
}

static void a_replacement_names_what_it_replaces_only_where_the_message_says_it(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *orders[4][3]; /* ORC-1, ORC-2, ORC-8 */
        const char *replaced;     /* by the last one */
    } cases[] = {
        {{{"RP", "P1", ""}, {"RO", "P2", ""}}, "\"P1\""},
        {{{"RQ", "P1", ""}, {"RO", "P2", ""}}, "\"P1\""},
        {{{"RU", "P1", ""}, {"RO", "P2", ""}}, "\"P1\""},
        {{{"NW", "P0", ""}, {"RP", "P1", ""}, {"RO", "P2", ""}}, "\"P1\""},
        {{{"RO", "P2", ""}}, ""},                                                   /* what it replaces is not in the message */
        {{{"NW", "P1", ""}, {"RO", "P2", ""}}, ""},
        {{{"RP", "P1", ""}, {"NW", "P2", ""}}, ""},
        {{{"RO", "P2", ""}, {"RP", "P1", ""}}, ""},
        {{{"RP", "P1", ""}, {"NW", "P3", ""}, {"RO", "P2", ""}}, ""},               /* not right before it */
        {{{"RP", "P1", ""}, {"RP", "P3", ""}, {"RO", "P2", ""}}, ""},               /* either of them */
        {{{"RP", "P1", ""}, {"RO", "P3", ""}, {"RO", "P2", ""}}, ""},               /* a second one */
        {{{"RP", "P1", ""}, {"RP", "P3", ""}, {"RO", "P2", "P1&EHR"}}, "\"P1\""},   /* ORC-8 says which */
        {{{"RU", "P1", ""}, {"RO", "P3", ""}, {"RO", "P2", "P1&EHR"}}, "\"P1\""},
        {{{"RP", "P1", ""}, {"RO", "P2", "P9&EHR"}}, ""},                           /* another one */
        {{{"RP", "P1", ""}, {"RO", "P2", "P1&LAB"}}, ""},                           /* another's number */
        {{{"PA", "P1", ""}, {"RO", "P2", "P1&EHR"}}, ""},                           /* not replaced */
        {{{"RP", "P1", ""}, {"CH", "P2", "P1&EHR"}}, ""},
    };
    static const struct {
        const char *message, *detail, *type;
    } kinds[] = {{MSH("RDE^O11") PID, "RXE||1^A^L|1\n", "MedicationRequest"},
                 {MSH("OMP^O09") PID, "RXO|1^A^L|1\n", "MedicationRequest"},
                 {MSH("ORM^O01") PID, "OBR|1|||1^A^L\n", "ServiceRequest"},
                 {MSH("OML^O21") PID, "OBR|1|||1^A^L\n", "ServiceRequest"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            char text[2048];
            const char *last = NULL;
            int at = snprintf(text, sizeof text, "%s", kinds[k].message);
            for (size_t o = 0; o < 4 && cases[i].orders[o][0] != NULL; o++) {
                last = cases[i].orders[o][1];
                at += snprintf(text + at, sizeof text - (size_t)at, "ORC|%s|%s^EHR||||||%s\n%s", cases[i].orders[o][0], last, cases[i].orders[o][2],
                               kinds[k].detail);
            }
            assert_string_equal(replaced_by(f, fixture_good(f, text), kinds[k].type, last), cases[i].replaced);
        }
    }
}

static void a_replacement_of_another_kind_is_not_named(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ORM^O01") PID "ORC|RP|P1^EHR\nOBR|1|||1^A^L\nORC|RO|P2^EHR\nRXO|1^A^L|1\n");
    assert_string_equal(replaced_by(f, e, "MedicationRequest", "P2"), "");
    e = fixture_good(f, MSH("ORM^O01") PID "ORC|RP|P1^EHR\nOBR|1|||1^A^L\nPID|2||B200^^^GENHOSP^MR||Berg^Ole\nORC|RO|P2^EHR\nOBR|1|||1^A^L\n");
    assert_int_equal(f->decoded.event_count, 2); /* another patient's */
    assert_string_equal(replaced_by(f, &f->decoded.events[1], "ServiceRequest", "P2"), "");
    (void)e;
}

static void a_replaced_order_is_not_active(void **state)
{
    struct fixture *f = *state;
    static const char *const codes[] = {"RP", "RQ", "RU"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("ORM^O01") PID "ORC|%s|P1^EHR\nOBR|1|P1^EHR||1^A^L\n", codes[i]);
        assert_span(STATUS(only(f, text, HUB_KIND_ORDER)), "revoked");
        (void)snprintf(text, sizeof text, MSH("RDE^O11") PID "ORC|%s|P1^EHR\nRXE||1^A^L|1\n", codes[i]);
        assert_span(STATUS(only(f, text, HUB_KIND_MEDICATION_REQUEST)), "stopped");
    }
}

/* --- compounds --- */

/* The NTH resource of a type, entry or not; NULL: there are fewer. */
static struct hub_json *of_type(const struct hub_event *e, const char *type, unsigned nth)
{
    for (uint32_t i = 0; i < e->resource_count; i++)
        if (hub_span_is(hub_json_get_span(e->resources[i].json, "resourceType"), type) && nth-- == 0)
            return e->resources[i].json;
    return NULL;
}

#define SALINE "RXC|B|1^Saline^L|1000|mL\n"
#define POTASSIUM "RXC|A|2^Potassium^L|20|meq\n"

static void components_stand_beside_the_drug_and_their_amounts_are_no_strength(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("RDE^O11") PID "ORC|NW|P1^EHR\nRXE||9^Infusion^L|500||mL\nRXR|IV\n" SALINE POTASSIUM "NTE|1||Slowly\n");
    const struct hub_json *request = of_type(e, "MedicationRequest", 0);
    assert_span(hub_json_get_span(hub_json_get(request, "medicationCodeableConcept"), "text"), "Infusion");
    assert_json(f, hub_json_get(request, "note"),
                "[{\"text\":\"recipe: base Saline 1000 mL\"},{\"text\":\"recipe: additive Potassium 20 meq\"},{\"text\":\"Slowly\"}]");
    assert_non_null(strstr(fixture_json(f, hub_json_get(request, "dosageInstruction")), "\"value\":500"));
    assert_int_equal(hub_json_get(request, "supportingInformation")->len, 1);
    const struct hub_json *compound = of_type(e, "Medication", 0);
    assert_int_equal(hub_json_get(compound, "ingredient")->len, 2);
    assert_null(strstr(fixture_json(f, compound), "strength"));
    assert_null(of_type(e, "Medication", 1));
    assert_int_equal(fixture_count(e, HUB_KIND_MEDICATION_REQUEST), 1); /* the compound is no entry */
}

static void a_component_without_unit_says_so(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][2] = {
        {"RXC|A|2^Potassium^L|20|meq\n", "[{\"text\":\"recipe: additive Potassium 20 meq\"}]"},
        {"RXC|A|2^Potassium^L|20|258773002^mL^SCT\n", "[{\"text\":\"recipe: additive Potassium 20 mL\"}]"},
        {"RXC|A|2^Potassium^L|20\n", "[{\"text\":\"recipe: additive Potassium 20 (unit not sent)\"}]"},
        {"RXC|B|2^Potassium^L\n", "[{\"text\":\"recipe: base Potassium\"}]"},
        {"RXC|T|2\n", "[{\"text\":\"recipe: component (T) 2\"}]"},
        {"RXC||2^Potassium^L|20|meq|2|meq||1|mL\n",
         "[{\"text\":\"recipe: component Potassium 20 meq\"},{\"text\":\"strength of Potassium: 2 meq\"},{\"text\":\"strength of Potassium in: 1 mL\"}]"},
        {"RXC||2^Potassium^L|||2|||1\n",
         "[{\"text\":\"recipe: component Potassium\"},{\"text\":\"strength of Potassium: 2 (unit not sent)\"},"
         "{\"text\":\"strength of Potassium in: 1 (unit not sent)\"}]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("OMP^O09") PID "ORC|NW|P1^EHR\nRXO|9^Infusion^L|500||mL\n%s", rows[i][0]);
        assert_json(f, hub_json_get(only(f, text, HUB_KIND_MEDICATION_REQUEST)->json, "note"), rows[i][1]);
    }
    struct hub_event *e = fixture_good(f, MSH("OMP^O09") PID "ORC|NW|P1^EHR\nRXO|9^Infusion^L|500||mL\nRXC|A||20|meq\n");
    assert_null(hub_json_get(of_type(e, "MedicationRequest", 0), "note")); /* an amount of nothing */
    assert_null(of_type(e, "Medication", 0));
}

static void components_belong_to_the_segment_before_them(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"RDE^O11", "RDS^O13", "ORM^O01"}; /* ORM: all in one group */
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text,
                       "MSH|^~\\&|EHR|GENHOSP|HUB|X|20260301120000||%s|M1|P|2.5.1\n" PID
                       "ORC|NW|P1^EHR|F1^PH\nRXO|8^Asked^L|1\nRXC|A|7^Asked component^L|5|mg\nRXE||9^Encoded^L|1\n" POTASSIUM
                       "RXD|1|9^Dispensed^L|20260301|1|||RX1\n" SALINE,
                       types[i]);
        struct hub_event *e = fixture_good(f, text);
        const struct hub_json *request = of_type(e, "MedicationRequest", 0), *dispense = of_type(e, "MedicationDispense", 0);
        assert_null(strstr(fixture_json(f, request), "Asked component")); /* as what was asked for beside what is encoded */
        assert_json(f, hub_json_get(request, "note"), "[{\"text\":\"asked for: Asked (8)\"},{\"text\":\"recipe: additive Potassium 20 meq\"}]");
        assert_json(f, hub_json_get(dispense, "note"), "[{\"text\":\"recipe: base Saline 1000 mL\"}]");
        assert_non_null(strstr(fixture_json(f, of_type(e, "Medication", 0)), "Potassium"));
        assert_non_null(strstr(fixture_json(f, of_type(e, "Medication", 1)), "Saline"));
        assert_null(of_type(e, "Medication", 2));
    }
    struct hub_event *e = fixture_good(f, MSH("RDE^O11") PID "ORC|NW|P1^EHR\nRXE||9^A^L|1\n" SALINE "ORC|NW|P2^EHR\nRXE||5^B^L|1\n");
    assert_null(hub_json_get(of_type(e, "MedicationRequest", 1), "supportingInformation"));
    assert_null(of_type(e, "Medication", 1)); /* no RXC, no compound */
}

static void a_compound_is_as_confidential_as_its_order(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("RDE^O11") PID "ORC|NW|P1^EHR||||||||||||||||||||||||||R^^HL70177~V^^HL70177\nRXE||9^A^L|1\n" SALINE POTASSIUM);
    assert_json(f, hub_json_get(hub_json_get(of_type(e, "Medication", 0), "meta"), "security"),
                fixture_json(f, hub_json_get(hub_json_get(of_type(e, "MedicationRequest", 0), "meta"), "security")));
    assert_int_equal(hub_json_get(hub_json_get(of_type(e, "Medication", 0), "meta"), "security")->len, 2);
}

/* --- instructions to give --- */

static void an_instruction_to_give_is_no_prescription_and_nothing_given(void **state)
{
    struct fixture *f = *state;
    static const char *const orders[] = {"", "RXE||1^A^L|1\n"};
    for (size_t i = 0; i < 2; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("RGV^O15") PID "ORC|RE|P1^EHR|F1^PH\n%sRXG|1|||1^A^L|5||mg\nTQ1|1||||||20260301200000\nRXR|PO\n", orders[i]);
        struct hub_event *e = fixture_good(f, text);
        assert_int_equal(fixture_count(e, HUB_KIND_MEDICATION_REQUEST), 0);
        assert_int_equal(fixture_count(e, HUB_KIND_MEDICATION_ADMINISTRATION), 0);
        assert_int_equal(fixture_count(e, HUB_KIND_ORDER), 0);
        assert_null(of_type(e, "MedicationAdministration", 0));
        assert_null(of_type(e, "ServiceRequest", 0));
        const struct hub_json *give = of_type(e, "MedicationRequest", i == 0 ? 0 : 1);
        assert_span(hub_json_get_span(give, "intent"), "instance-order");
        assert_null(hub_json_get(give, "identifier")); /* ORC-2 and ORC-3 are the prescription's */
        assert_non_null(strstr(fixture_json(f, hub_json_get(give, "basedOn")), i == 0 ? "\"F1\"" : "\"reference\""));
        const char *dose = fixture_json(f, hub_json_get(give, "dosageInstruction"));
        assert_non_null(strstr(dose, "\"value\":5"));
        assert_non_null(strstr(dose, "2026-03-01T20:00:00-05:00"));
        assert_non_null(strstr(dose, "PO"));
        assert_null(of_type(e, "MedicationRequest", i == 0 ? 1 : 2));
    }
}

static void the_state_of_an_instruction_to_give_is_never_completed(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][3] = {{"RE", "", "active"},     {"OK", "", "active"},      {"CA", "", "cancelled"},
                                          {"DC", "", "stopped"},    {"HD", "", "on-hold"},     {"FU", "", "unknown"},
                                          {"SC", "CM", "unknown"},  {"RE", "CM", "unknown"},   {"RE", "IP", "active"},
                                          {"RE", "CA", "cancelled"}, {"RE", "ER", "entered-in-error"}, {"ZZ", "", "unknown"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("RGV^O15") PID "ORC|%s|P1^EHR|F1^PH||%s\nRXG|1|||1^A^L|5||mg\n", rows[i][0], rows[i][1]);
        assert_span(hub_json_get_span(of_type(fixture_good(f, text), "MedicationRequest", 0), "status"), rows[i][2]);
    }
}

static void each_instruction_to_give_has_its_own_time_route_note_and_recipe(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("RGV^O15") PID "ORC|RE|P1^EHR|F1^PH\nRXE||1^A^L|1\nRXR|IM\n"
                                                             "RXG|1|||1^A^L|5||mg\nTQ1|1||||||20260301200000\nRXR|PO\nNTE|1||first\n"
                                                             "RXG|2|||1^A^L|6||mg\nTQ1|1||||||20260302200000\nRXR|IV\n" SALINE "NTE|1||second\n");
    const char *order = fixture_json(f, of_type(e, "MedicationRequest", 0));
    assert_non_null(strstr(order, "IM"));
    assert_null(strstr(order, "PO"));
    assert_null(strstr(order, "T20:00"));
    assert_null(strstr(order, "first"));
    const char *first = fixture_json(f, of_type(e, "MedicationRequest", 1));
    assert_non_null(strstr(first, "2026-03-01T20:00"));
    assert_non_null(strstr(first, "PO"));
    assert_non_null(strstr(first, "first"));
    assert_null(strstr(first, "Saline"));
    assert_null(strstr(first, "03-02T"));
    const char *second = fixture_json(f, of_type(e, "MedicationRequest", 2));
    assert_non_null(strstr(second, "2026-03-02T20:00"));
    assert_non_null(strstr(second, "Saline"));
    assert_non_null(strstr(second, "second"));
    assert_null(strstr(second, "PO"));
}

static void a_dispense_is_known_by_its_prescription_else_by_drug_and_time(void **state)
{
    struct fixture *f = *state;
    const enum hub_kind kind = HUB_KIND_MEDICATION_DISPENSE;
    assert_string_equal(key(f, MSH("RDS^O13") PID "ORC|RE|P1^EHR|F1^PH\nRXD|3|1^A^L|20260301|10|||RX7\n", kind, 0),
                        "/number/urn:chartline:ns:GENHOSP:PH|F1/RX7/3");
    assert_string_equal(key(f, MSH("RDS^O13") PID "ORC|RE|P1^EHR\nRXD|3|1^A^L|20260301|10|||RX7\n", kind, 0),
                        "/number/urn:chartline:ns:GENHOSP:EHR|P1/RX7/3");
    assert_string_equal(key(f, MSH("RDS^O13") PID "ORC|RE|P1^EHR|F1^PH\nRXD||1^A^L|20260301|10\n", kind, 0),
                        "/drug/urn:chartline:ns:GENHOSP:PH|F1/1^L/1772341200000000");
    struct hub_resource *r = only(f, MSH("RDS^O13") PID "ORC|CA|P1^EHR|F1^PH\nRXE||1^A^L|1\nRXD|3|1^A^L|20260301|10|||RX7\n", kind);
    assert_span(STATUS(r), "cancelled");
    assert_int_equal(fixture_count(&f->decoded.events[0], HUB_KIND_MEDICATION_REQUEST), 0); /* what it refers to, no entry */
    assert_non_null(hub_json_get(r->json, "authorizingPrescription"));
    assert_span(STATUS(only(f, MSH("RDS^O13") PID "ORC|OC|P1^EHR|F1^PH\nRXD|3|1^A^L|20260301|10|||RX7\n", kind)), "cancelled");
    assert_span(STATUS(only(f, MSH("RDS^O13") PID "ORC|RE|P1^EHR|F1^PH\nRXD|3|1^A^L|20260301|10|||RX7\n", kind)), "completed");
}

static void each_administration_is_one_with_its_own_state(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("RAS^O17") PID "ORC|RE|P1^EHR|F1^PH\nRXA|0|1|20260301080000||1^A^L|1||||||||||||||CP\nRXR|PO\n"
                                                             "RXA|0|2|20260301200000||1^A^L|1||||||||||||||RE||20260301201500\n"
                                                             "RXA|0|3|20260302080000||1^A^L|1||||||||||||||CP|D\n");
    const enum hub_kind kind = HUB_KIND_MEDICATION_ADMINISTRATION;
    assert_int_equal(fixture_count(e, kind), 3);
    struct hub_resource *r = fixture_find(e, kind, NULL, 0);
    assert_string_equal(fixture_key(f, &r->entry.keys[0]), "/filler/urn:chartline:ns:GENHOSP:PH|F1/0/1/1772370000000000");
    assert_span(STATUS(r), "completed");
    assert_non_null(strstr(fixture_json(f, r->json), "\"route\""));
    r = fixture_find(e, kind, NULL, 1);
    assert_span(STATUS(r), "not-done");
    assert_span(r->entry.version.text, "2026-03-01T20:15:00-05:00");
    assert_null(strstr(fixture_json(f, r->json), "\"route\""));
    r = fixture_find(e, kind, NULL, 2);
    assert_span(STATUS(r), "entered-in-error");
    assert_int_equal(r->entry.act, HUB_ACT_WITHDRAW);
    assert_string_equal(key(f, MSH("RAS^O17") PID "ORC|RE|P1^EHR\nRXA|0|1|20260301080000||1^A^L|1\n", kind, 0),
                        "/placer/urn:chartline:ns:GENHOSP:EHR|P1/0/1/1772370000000000");
}

/* --- appointment --- */

static void an_appointment_has_two_numbers_each_with_its_occurrence(void **state)
{
    struct fixture *f = *state;
    struct hub_resource *r = only(f, MSH("SIU^S12") "SCH|A1^EHR|B1^CEN|2\nTQ1|1||||||20260310093000\n" PID, HUB_KIND_APPOINTMENT);
    assert_string_equal(fixture_key(f, &r->entry.keys[0]), "/filler/urn:chartline:ns:GENHOSP:CEN|B1/2");
    assert_string_equal(fixture_key(f, &r->entry.keys[1]), "/placer/urn:chartline:ns:GENHOSP:EHR|A1/2");
    assert_span(r->entry.effective.text, "2026-03-10T09:30:00-04:00");
    assert_string_equal(f->decoded.events[0].time_source, "MSH-7"); /* what is to come is not when it happened */
    assert_string_equal(key(f, MSH("SIU^S12") "SCH|A1^EHR\n" PID, HUB_KIND_APPOINTMENT, 0), "/placer/urn:chartline:ns:GENHOSP:EHR|A1/");
}

static void the_trigger_says_what_became_of_an_appointment(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][3] = {
        {"S12", "", "booked"},   {"S13", "Booked", "booked"},   {"S14", "Pending", "pending"},  {"S15", "Booked", "cancelled"},
        {"S16", "", "cancelled"}, {"S17", "", "entered-in-error"}, {"S26", "Booked", "noshow"}, {"S14", "Complete", "fulfilled"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("SIU^%s") "SCH||B1^CEN|||||||||||||||||||||||%s\n" PID, rows[i][0], rows[i][1]);
        struct hub_resource *r = only(f, text, HUB_KIND_APPOINTMENT);
        assert_span(STATUS(r), rows[i][2]);
        assert_int_equal(r->entry.act, strcmp(rows[i][0], "S17") == 0 ? HUB_ACT_WITHDRAW : HUB_ACT_STATE);
    }
}

/* --- document --- */

#define TXA(edited, number, parent) "TXA|1|DS^Summary^L|TX|20260228||||" edited "||||" number "^TR|" parent "||||AU||AV\n"
#define TEXT "OBX|1|TX|11490-0^Summary^LN||One line||||||F\nOBX|2|TX|11490-0^Summary^LN||and another||||||F\n"

static void a_document_is_known_by_its_number_and_versioned_by_its_last_edit(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("MDM^T02") PID TXA("20260228090000~20260228100000", "D1", "") TEXT);
    struct hub_resource *r = fixture_find(e, HUB_KIND_DOCUMENT, NULL, 0);
    assert_string_equal(fixture_key(f, &r->entry.keys[0]), "/number/urn:chartline:ns:GENHOSP:TR|D1");
    assert_span(r->entry.version.text, "2026-02-28T10:00:00-05:00");
    assert_span(STATUS(r), "current");
    assert_int_equal(fixture_count(e, HUB_KIND_OBSERVATION), 0); /* its text is no result */
    struct hub_resource *text = fixture_find(e, HUB_KIND_NONE, "Observation", 0);
    assert_span(hub_json_get_span(text->json, "valueString"), "One line\nand another");
    assert_null(fixture_find(e, HUB_KIND_NONE, "Observation", 1));
    e = fixture_good(f, MSH("MDM^T02") PID "TXA|1|DS|TX|20260228||||||||D1^TR||||||||||402^Signer^Sam^^^^^^^^^^^^20260228110000\n" TEXT);
    assert_span(fixture_find(e, HUB_KIND_DOCUMENT, NULL, 0)->entry.version.text, "2026-02-28T11:00:00-05:00"); /* TXA-22 */
    static const char *const triggers[] = {"T03", "T04", "T07", "T08"};
    for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++) {
        char message[2048];
        (void)snprintf(message, sizeof message, MSH("MDM^%s") PID TXA("", "D1", ""), triggers[i]);
        assert_string_equal(key(f, message, HUB_KIND_DOCUMENT, 0), "/number/urn:chartline:ns:GENHOSP:TR|D1");
    }
}

/* RULES, document: an ED without TXA has its observation's key. */
static void a_file_that_is_a_result_is_a_document_with_the_key_of_the_result(void **state)
{
    struct fixture *f = *state;
#define FILE_OF(type, status, value) MSH(type) PID "OBR|1||F1^LAB|24^Scan^L|||20260228090000|||||||||||||||20260228100000||CT|F\n" \
    "OBX|1|ED|9^Letter^L||" value "||||||" status "\n"
    struct hub_event *e = fixture_good(f, FILE_OF("ORU^R01", "C", "^AP^PDF^Base64^JVBERg==~^IM^PNG^Hex^8950"));
    struct hub_resource *file = fixture_find(e, HUB_KIND_DOCUMENT, NULL, 0);
    struct hub_resource *result = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    assert_non_null(file);
    char of_result[512];
    (void)snprintf(of_result, sizeof of_result, "%s", fixture_key(f, &result->entry.keys[0]));
    assert_string_equal(fixture_key(f, &file->entry.keys[0]), of_result);
    assert_span(STATUS(file), "current");
    assert_span(hub_json_get_span(file->json, "docStatus"), "amended");
    const struct hub_json *content = hub_json_get(file->json, "content");
    assert_int_equal(content->len, 2); /* a repetition each */
    assert_span(hub_json_get_span(hub_json_get(hub_json_at(content, 0), "attachment"), "data"), "JVBERg==");
    assert_span(hub_json_get_span(hub_json_get(hub_json_at(content, 1), "attachment"), "data"), "iVA=");
    const struct hub_json *parts = hub_json_get(result->json, "component"); /* no base64 as if it were a text */
    assert_int_equal(parts->len, 2);
    assert_null(hub_json_get(hub_json_at(parts, 0), "valueString"));
    assert_non_null(strstr(fixture_json(f, hub_json_at(parts, 1)), "\"data\":\"iVA=\""));
    static const char *const gone[] = {"D", "W", "X"};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        char message[2048];
        (void)snprintf(message, sizeof message, FILE_OF("ORU^R01", "%s", ""), gone[i]);
        file = fixture_find(fixture_good(f, message), HUB_KIND_DOCUMENT, NULL, 0);
        assert_int_equal(file->entry.act, HUB_ACT_WITHDRAW);
        assert_span(STATUS(file), "entered-in-error");
    }
    assert_null(fixture_find(fixture_good(f, FILE_OF("ORU^R01", "F", "^AP^PDF^Base64")), HUB_KIND_DOCUMENT, NULL, 0)); /* no file */
    assert_null(fixture_find(fixture_good(f, FILE_OF("ORU^R01", "U", "")), HUB_KIND_DOCUMENT, NULL, 0)); /* the status only */
#undef FILE_OF
}

static void addenda_append_and_replacements_supersede(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][2] = {{"T05", "appends"}, {"T06", "appends"}, {"T09", "replaces"}, {"T10", "replaces"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char message[2048];
        (void)snprintf(message, sizeof message, MSH("MDM^%s") PID TXA("20260228100000", "D2", "D1^TR") TEXT, rows[i][0]);
        struct hub_event *e = fixture_good(f, message);
        struct hub_resource *r = fixture_find(e, HUB_KIND_DOCUMENT, NULL, 0);
        assert_string_equal(fixture_key(f, &r->entry.keys[0]), "/number/urn:chartline:ns:GENHOSP:TR|D2");
        const char *text = fixture_json(f, hub_json_get(r->json, "relatesTo"));
        assert_non_null(strstr(text, rows[i][1]));
        assert_non_null(strstr(text, "\"value\":\"D1\""));
        struct hub_resource *old = fixture_find(e, HUB_KIND_DOCUMENT, NULL, 1);
        assert_int_equal(old != NULL, strcmp(rows[i][1], "replaces") == 0);
        if (old == NULL)
            continue;
        assert_string_equal(fixture_key(f, &old->entry.keys[0]), "/number/urn:chartline:ns:GENHOSP:TR|D1");
        assert_int_equal(old->entry.mode, HUB_MODE_STATUS);
        assert_span(STATUS(old), "superseded");
    }
    struct hub_resource *r = only(f, MSH("MDM^T11") PID TXA("", "D1", ""), HUB_KIND_DOCUMENT);
    assert_span(STATUS(r), "entered-in-error");
    assert_int_equal(r->entry.act, HUB_ACT_WITHDRAW);
}

/* --- problem --- */

static void a_problem_is_known_by_its_number_else_by_code_and_beginning(void **state)
{
    struct fixture *f = *state;
    struct hub_resource *r = only(f, MSH("PPR^PC1") PID "PRB|AD|20260301100000|I10^Hypertension^I10C|PB1^EHR|||20250101\n", HUB_KIND_CONDITION);
    assert_string_equal(fixture_key(f, &r->entry.keys[0]), "/problem/urn:chartline:ns:GENHOSP:EHR|PB1");
    assert_span(r->entry.version.text, "2026-03-01T10:00:00-05:00"); /* PRB-2 */
    assert_string_equal(key(f, MSH("PPR^PC1") PID "PRB|AD|20260301100000|I10^Hypertension^I10C||||20250101\n", HUB_KIND_CONDITION, 0),
                        "S/problem/I10^I10C/1735707600000000");
    assert_int_equal(r->entry.act, HUB_ACT_STATE);
}

static void a_resolved_problem_stays_and_a_deleted_one_goes(void **state)
{
    struct fixture *f = *state;
    struct hub_resource *r = only(f, MSH("PPR^PC2") PID "PRB|UP|20260301|I10^Hypertension^I10C|PB1^EHR|||20250101||20260215\n", HUB_KIND_CONDITION);
    assert_int_equal(r->entry.act, HUB_ACT_STATE);
    assert_span(hub_json_get_span(r->json, "abatementDateTime"), "2026-02-15");
    assert_non_null(strstr(fixture_json(f, hub_json_get(r->json, "clinicalStatus")), "resolved"));
    r = only(f, MSH("PPR^PC3") PID "PRB|DE|20260301|I10^Hypertension^I10C|PB1^EHR|||20250101\n", HUB_KIND_CONDITION);
    assert_int_equal(r->entry.act, HUB_ACT_WITHDRAW);
    assert_null(hub_json_get(r->json, "clinicalStatus"));
    assert_non_null(strstr(fixture_json(f, hub_json_get(r->json, "verificationStatus")), "entered-in-error"));
}

/* --- labels --- */

static void restrictions_become_labels_of_what_they_are_about(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") "EVN||20260301\n" PID "ARV|1|A|HIV|PAT|Ask first\nARV|2|D|PSY\n"
                                          "PV1|1|I|W2||||||||||||||||V77^^^GENHOSP^VN\nPV2|\nARV|1|A|LOC^Location^HL70717\n"
                                          "DG1|1||F10^Alcohol^I10C|||A||||||||||||Y\nDG1|2||I10^Hypertension^I10C|||A||||||||||||N\n");
    const char *patient = fixture_json(f, hub_json_get(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json, "meta"));
    assert_non_null(strstr(patient, "{\"code\":\"HIV\",\"display\":\"HIV status and results\",\"system\":\"http://terminology.hl7.org/CodeSystem/v2-0717\"}"));
    assert_non_null(strstr(patient, "\"code\":\"PAT\""));
    assert_non_null(strstr(patient, "Ask first"));
    assert_null(strstr(patient, "PSY"));
    assert_non_null(strstr(fixture_json(f, hub_json_get(fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0)->json, "meta")), "\"code\":\"LOC\""));
    assert_json(f, hub_json_get(fixture_find(e, HUB_KIND_CONDITION, NULL, 0)->json, "meta"),
                "{\"security\":[{\"code\":\"R\",\"display\":\"restricted\",\"system\":\"http://terminology.hl7.org/CodeSystem/v3-Confidentiality\"}]}");
    assert_null(hub_json_get(fixture_find(e, HUB_KIND_CONDITION, NULL, 1)->json, "meta"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vaccination_is_known_by_its_order_else_by_vaccine_and_time),
        cmocka_unit_test(a_vaccine_not_given_is_said_and_cvx_998_makes_nothing),
        cmocka_unit_test(a_deleted_vaccination_is_withdrawn),
        cmocka_unit_test(a_prescription_is_known_by_both_numbers_and_not_by_its_drug),
        cmocka_unit_test(a_prescriptions_state_is_said_by_orc_5_before_orc_1),
        cmocka_unit_test(what_the_pharmacy_encoded_is_shown_and_what_was_asked_for_beside_it),
        cmocka_unit_test(a_replacement_names_what_it_replaces_only_where_the_message_says_it),
        cmocka_unit_test(a_replacement_of_another_kind_is_not_named),
        cmocka_unit_test(a_replaced_order_is_not_active),
        cmocka_unit_test(components_stand_beside_the_drug_and_their_amounts_are_no_strength),
        cmocka_unit_test(a_component_without_unit_says_so),
        cmocka_unit_test(components_belong_to_the_segment_before_them),
        cmocka_unit_test(a_compound_is_as_confidential_as_its_order),
        cmocka_unit_test(an_instruction_to_give_is_no_prescription_and_nothing_given),
        cmocka_unit_test(the_state_of_an_instruction_to_give_is_never_completed),
        cmocka_unit_test(each_instruction_to_give_has_its_own_time_route_note_and_recipe),
        cmocka_unit_test(a_dispense_is_known_by_its_prescription_else_by_drug_and_time),
        cmocka_unit_test(each_administration_is_one_with_its_own_state),
        cmocka_unit_test(an_appointment_has_two_numbers_each_with_its_occurrence),
        cmocka_unit_test(the_trigger_says_what_became_of_an_appointment),
        cmocka_unit_test(a_document_is_known_by_its_number_and_versioned_by_its_last_edit),
        cmocka_unit_test(a_file_that_is_a_result_is_a_document_with_the_key_of_the_result),
        cmocka_unit_test(addenda_append_and_replacements_supersede),
        cmocka_unit_test(a_problem_is_known_by_its_number_else_by_code_and_beginning),
        cmocka_unit_test(a_resolved_problem_stays_and_a_deleted_one_goes),
        cmocka_unit_test(restrictions_become_labels_of_what_they_are_about),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
