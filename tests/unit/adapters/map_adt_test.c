/* Admissions, transfers, updates and merges through the real tables: what RULES says of them. */
#include "tests/unit/adapters/map_fixture.h"

#define MSH(trigger) "MSH|^~\\&|EHR|GENHOSP|HUB|X|20260301120000||" trigger "|M1|P|2.5.1\n"
#define EVN "EVN||20260301115900\n"
#define PID "PID|1||A100^^^GENHOSP^MR||Falk^Ida^Maria||19700102|F\n"
#define PV1 "PV1|1|I|W2^201^B^GENHOSP||||||||||||||||V77^^^GENHOSP^VN|||||||||||||||||||||||||20260301103000\n"

static void admission_makes_patient_encounter_and_place(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN PID PV1);
    assert_string_equal(f->decoded.trigger, "ADT^A01");
    assert_span(f->decoded.control_id, "M1");
    assert_int_equal(e->identifier_count, 1);
    assert_span(e->identifiers[0].system, "urn:oid:1.2.3.4");
    assert_span(e->identifiers[0].value, "A100");
    assert_true(e->identifiers[0].primary);
    struct hub_resource *patient = fixture_find(e, HUB_KIND_PATIENT, NULL, 0);
    assert_non_null(patient);
    assert_int_equal(patient->entry.mode, HUB_MODE_FOLD);
    assert_true(patient->entry.keys[0].with_subject);
    assert_json(f, hub_json_get(patient->json, "name"), "[{\"family\":\"Falk\",\"given\":[\"Ida\",\"Maria\"]}]");
    assert_span(hub_json_get_span(patient->json, "birthDate"), "1970-01-02");
    assert_span(hub_json_get_span(patient->json, "gender"), "female");
    struct hub_resource *encounter = fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0);
    assert_non_null(encounter);
    assert_span(hub_json_get_span(encounter->json, "status"), "in-progress");
    assert_string_equal(fixture_key(f, &encounter->entry.keys[0]), "/urn:oid:1.2.3.4|V77");
    struct hub_resource *place = fixture_find(e, HUB_KIND_LOCATION, NULL, 0);
    assert_non_null(place);
    assert_string_equal(place->type, "Encounter");
    assert_int_equal(place->entry.act, HUB_ACT_STATE);
}

static void time_without_zone_takes_the_feeds(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN PID PV1);
    struct hub_resource *encounter = fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0);
    assert_json(f, hub_json_get(encounter->json, "period"), "{\"start\":\"2026-03-01T10:30:00-05:00\"}");
    assert_span(e->time.text, "2026-03-01T10:30:00-05:00");
    assert_string_equal(e->time_source, "PV1-44");
}

static void event_without_effective_time_takes_the_messages(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, "MSH|^~\\&|EHR|GENHOSP|HUB|X|20260301120000||QRY^A19|M1|P|2.5.1\nPID|1||A100^^^GENHOSP^MR\n");
    assert_string_equal(e->time_source, "MSH-7");
    assert_span(e->time.text, "2026-03-01T12:00:00-05:00");
}

static void update_leaves_the_status(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A08") EVN PID PV1);
    struct hub_resource *encounter = fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0);
    assert_span(hub_json_get_span(encounter->json, "status"), "unknown");
    assert_int_equal(encounter->entry.mode, HUB_MODE_FOLD);
}

static void status_follows_the_trigger(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {{"A01", "in-progress"}, {"A03", "finished"}, {"A05", "planned"},   {"A11", "cancelled"},
                                           {"A13", "in-progress"}, {"A02", "in-progress"}, {"A08", "unknown"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text, "MSH|^~\\&|EHR|GENHOSP|HUB|X|20260301120000||ADT^%s|M1|P|2.5.1\n" EVN PID PV1, cases[i][0]);
        struct hub_event *e = fixture_good(f, text);
        struct hub_resource *encounter = fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0);
        assert_non_null(encounter);
        assert_span(hub_json_get_span(encounter->json, "status"), cases[i][1]);
    }
}

static void cancels_carry_their_acts(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A12") EVN PID PV1);
    assert_int_equal(fixture_find(e, HUB_KIND_LOCATION, NULL, 0)->entry.act, HUB_ACT_CANCEL_TRANSFER);
    e = fixture_good(f, MSH("ADT^A11") EVN PID PV1);
    assert_int_equal(fixture_find(e, HUB_KIND_LOCATION, NULL, 0)->entry.act, HUB_ACT_CANCEL_ADMISSION);
    e = fixture_good(f, MSH("ADT^A13") EVN PID PV1);
    assert_int_equal(fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0)->entry.act, HUB_ACT_CANCEL_DISCHARGE);
}

static void class_not_applicable_makes_no_encounter(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A28") EVN PID "PV1|1|N\n");
    assert_null(fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0));
    assert_null(fixture_find(e, HUB_KIND_NONE, "Encounter", 0));
}

static void visit_outside_adt_makes_no_encounter_entry(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ORU^R01") PID PV1 "OBR|1||F1|GLU^Glucose^L|||20260301\nOBX|1|NM|GLU^Glucose^L||5.5|mmol/L|||||F\n");
    assert_null(fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0));
    struct hub_resource *o = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    assert_string_equal(fixture_key(f, &o->entry.encounter), "/urn:oid:1.2.3.4|V77");
    assert_int_equal(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->entry.mode, HUB_MODE_FILL);
}

static void two_quotes_delete_an_element(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A08") EVN "PID|1||A100^^^GENHOSP^MR||Falk^Ida||\"\"|F||||||||\"\"\n");
    struct hub_resource *patient = fixture_find(e, HUB_KIND_PATIENT, NULL, 0);
    const char *text = fixture_json(f, hub_json_get(patient->json, "extension"));
    assert_non_null(strstr(text, "{\"url\":\"urn:chartline:deleted\",\"valueString\":\"birthDate\"}"));
    assert_non_null(strstr(text, "{\"url\":\"urn:chartline:deleted\",\"valueString\":\"maritalStatus\"}"));
    assert_null(strstr(text, "\"gender\""));
    assert_null(hub_json_get(patient->json, "birthDate"));
}

static void empty_field_deletes_nothing(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A08") EVN "PID|1||A100^^^GENHOSP^MR||Falk^Ida||||\n");
    struct hub_resource *patient = fixture_find(e, HUB_KIND_PATIENT, NULL, 0);
    assert_null(hub_json_get(patient->json, "extension"));
}

static void two_quotes_outside_folded_resources_make_nothing(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ORU^R01") PID "OBR|1||F1|GLU^Glucose^L\nOBX|1|NM|GLU^Glucose^L||\"\"|mmol/L|||||F\n");
    struct hub_resource *o = fixture_find(e, HUB_KIND_OBSERVATION, NULL, 0);
    assert_null(hub_json_get(o->json, "valueQuantity"));
    assert_null(hub_json_get(o->json, "extension"));
}

static void merge_states_survivor_and_retired(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A40") EVN PID "MRG|B200^^^GENHOSP^MR\n");
    assert_int_equal(e->identifier_count, 2);
    const struct hub_identity_fact *merge = NULL;
    for (uint16_t i = 0; i < e->fact_count; i++)
        merge = e->facts[i].kind == HUB_FACT_MERGE ? &e->facts[i] : merge;
    assert_non_null(merge);
    assert_span(e->identifiers[merge->identifiers[0]].value, "A100");
    assert_span(e->identifiers[merge->identifiers[1]].value, "B200");
}

static void merge_with_itself_is_refused_at_mrg_1(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_decode(f, MSH("ADT^A40") EVN PID "MRG|A100^^^GENHOSP^MR\n"), HUB_IDENTITY);
    assert_string_equal(f->err.place, "MRG-1");
    assert_string_equal(f->decoded.trigger, "ADT^A40");
    assert_true(f->decoded.reply_head.len > 0);
}

static void merge_without_two_patients_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_decode(f, MSH("ADT^A40") EVN PID), HUB_REQUIRED);
    assert_string_equal(f->err.place, "MRG");
    assert_int_equal(fixture_decode(f, MSH("ADT^A40") EVN PID "MRG|\n"), HUB_REQUIRED);
    assert_string_equal(f->err.place, "MRG-1");
    assert_int_equal(fixture_decode(f, MSH("ADT^A40") EVN "PID|1||UNKNOWN^^^GENHOSP^MR\nMRG|B200^^^GENHOSP^MR\n"), HUB_REQUIRED);
    assert_string_equal(f->err.place, "PID-3");
}

static void retired_number_among_the_survivors_is_no_error(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A40") EVN "PID|1||A100^^^GENHOSP^MR~B200^^^GENHOSP^MR||Falk^Ida\nMRG|B200^^^GENHOSP^MR\n");
    assert_int_equal(e->identifier_count, 2);
    assert_span(e->identifiers[0].value, "A100");
}

static void several_merges_make_an_event_each_with_their_own_bytes(void **state)
{
    struct fixture *f = *state;
    (void)fixture_good(f, MSH("ADT^A40") EVN PID "MRG|B200^^^GENHOSP^MR\n"
                                             "PID|2||C300^^^GENHOSP^MR||Berg^Olaf\nMRG|D400^^^GENHOSP^MR\n");
    assert_int_equal(f->decoded.event_count, 2);
    struct hub_event *second = &f->decoded.events[1];
    assert_span(second->identifiers[0].value, "C300");
    const char *patient = fixture_json(f, fixture_find(second, HUB_KIND_PATIENT, NULL, 0)->json);
    assert_null(strstr(patient, "Falk"));
    char raw[4096];
    (void)snprintf(raw, sizeof raw, "%.*s", (int)second->raw.len, (const char *)second->raw.ptr);
    assert_non_null(strstr(raw, "MSH|"));
    assert_non_null(strstr(raw, "C300"));
    assert_null(strstr(raw, "A100"));
    /* the pieces of both rebuild the message */
    bool covered[FIXTURE_MESSAGE_MAX] = {false};
    for (uint32_t i = 0; i < 2; i++) {
        struct hub_event *e = &f->decoded.events[i];
        char positions[256];
        (void)snprintf(positions, sizeof positions, "%.*s", (int)e->raw_positions.len, (const char *)e->raw_positions.ptr);
        size_t at = 0;
        for (char *p = positions; *p != '\0'; p += *p == ',' ? 1 : 0) {
            size_t from = strtoul(p, &p, 10);
            size_t to = strtoul(p + 1, &p, 10);
            assert_memory_equal(e->raw.ptr + at, f->message + from, to - from);
            for (size_t k = from; k < to; k++)
                covered[k] = true;
            at += to - from;
        }
        assert_int_equal(at, e->raw.len);
    }
    for (size_t i = 0; i < f->message_len; i++)
        assert_true(covered[i]);
}

static void merges_and_deletes_without_a_table_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const triggers[] = {"A30", "A35", "A39", "A41", "A43", "A44", "A46", "A48", "A49", "A51"};
    for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("ADT^%s") EVN PID "MRG|B200^^^GENHOSP^MR\n", triggers[i]);
        assert_int_equal(fixture_decode(f, text), HUB_UNSUPPORTED_EVENT);
    }
}

static const struct hub_identity_fact *fact_of(const struct hub_event *e, enum hub_fact_kind kind)
{
    const struct hub_identity_fact *found = NULL;
    for (uint16_t i = 0; i < e->fact_count; i++)
        found = e->facts[i].kind == kind ? &e->facts[i] : found;
    return found;
}

static void every_merge_of_patient_numbers_states_survivor_and_retired(void **state)
{
    struct fixture *f = *state;
    static const char *const triggers[] = {"A18", "A34", "A36", "A40", "A47"};
    for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, MSH("ADT^%s") EVN PID "MRG|B200^^^GENHOSP^MR\n", triggers[i]);
        struct hub_event *e = fixture_good(f, text);
        const struct hub_identity_fact *merge = fact_of(e, HUB_FACT_MERGE);
        assert_non_null(merge);
        assert_span(e->identifiers[merge->identifiers[0]].value, "A100");
        assert_span(e->identifiers[merge->identifiers[1]].value, "B200");
    }
}

#define OTHER "PID|2||C300^^^GENHOSP^MR||Berg^Olaf\n"

static void a_link_and_its_end_are_stated_by_the_first_patients_event(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum hub_fact_kind kind;
    } rows[] = {{MSH("ADT^A24") EVN PID OTHER, HUB_FACT_LINK}, {MSH("ADT^A37") EVN PID OTHER, HUB_FACT_UNLINK}};
    for (size_t i = 0; i < 2; i++) {
        struct hub_event *e = fixture_good(f, rows[i].text);
        assert_int_equal(f->decoded.event_count, 2);
        const struct hub_identity_fact *link = fact_of(e, rows[i].kind);
        assert_non_null(link);
        assert_int_equal(link->count, 2);
        assert_span(e->identifiers[link->identifiers[0]].value, "A100");
        assert_span(e->identifiers[link->identifiers[1]].value, "C300");
        assert_null(fact_of(&f->decoded.events[1], rows[i].kind));
        assert_int_equal(f->decoded.events[1].identifier_count, 1);
    }
}

static void a_link_without_two_patients_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_decode(f, MSH("ADT^A24") EVN PID), HUB_REQUIRED);
    assert_string_equal(f->err.place, "PID[2]");
    assert_int_equal(fixture_decode(f, MSH("ADT^A37") EVN PID OTHER "PID|3||D400^^^GENHOSP^MR\n"), HUB_REQUIRED);
    assert_int_equal(fixture_decode(f, MSH("ADT^A24") EVN PID "PID|2||UNKNOWN^^^GENHOSP^MR\n"), HUB_REQUIRED);
    assert_string_equal(f->err.place, "PID[2]-3");
    assert_int_equal(fixture_decode(f, MSH("ADT^A24") EVN PID PID), HUB_IDENTITY);
}

static void two_visit_numbers_are_joined_and_no_patient_with_them(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {MSH("ADT^A42") EVN PID "MRG|A100^^^GENHOSP^MR||||V55^^^GENHOSP^VN\n" PV1,
                                        MSH("ADT^A50") EVN PID "MRG|A100^^^GENHOSP^MR||||V55^^^GENHOSP^VN\n" PV1};
    for (size_t i = 0; i < 2; i++) {
        struct hub_event *e = fixture_good(f, texts[i]);
        struct hub_resource *encounter = fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0);
        assert_string_equal(fixture_key(f, &encounter->entry.keys[0]), "/urn:oid:1.2.3.4|V77");
        assert_string_equal(fixture_key(f, &encounter->entry.keys[1]), "/urn:oid:1.2.3.4|V55");
        assert_span(hub_json_get_span(encounter->json, "status"), "unknown");
        assert_null(fact_of(e, HUB_FACT_MERGE));
        assert_int_equal(e->identifier_count, 1);
    }
}

static void a_merge_of_visits_needs_both_and_one_patient(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_decode(f, MSH("ADT^A42") EVN PID "MRG|A100^^^GENHOSP^MR\n" PV1), HUB_REQUIRED);
    assert_string_equal(f->err.place, "MRG-5");
    assert_int_equal(fixture_decode(f, MSH("ADT^A42") EVN PID "MRG|A100^^^GENHOSP^MR||||V55^^^GENHOSP^VN\n"), HUB_REQUIRED);
    assert_string_equal(f->err.place, "PV1-19");
    assert_int_equal(fixture_decode(f, MSH("ADT^A50") EVN PID "MRG|B200^^^GENHOSP^MR||||V55^^^GENHOSP^VN\n" PV1), HUB_IDENTITY);
    assert_string_equal(f->err.place, "MRG-1");
}

static void a_deleted_visit_is_withdrawn_and_a_deleted_person_inactive(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A23") EVN PID PV1);
    struct hub_resource *encounter = fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0);
    assert_int_equal(encounter->entry.act, HUB_ACT_WITHDRAW);
    assert_span(hub_json_get_span(encounter->json, "status"), "entered-in-error");
    e = fixture_good(f, MSH("ADT^A29") EVN PID);
    assert_json(f, hub_json_get(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json, "active"), "false");
    e = fixture_good(f, MSH("ADT^A28") EVN PID);
    assert_json(f, hub_json_get(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json, "active"), "true");
}

static void inspect_maps_what_decode_refuses(void **state)
{
    struct fixture *f = *state;
    fixture_load(f, MSH("ADT^A30") EVN PID "MRG|B200^^^GENHOSP^MR\n");
    assert_int_equal(hub_format_hl7v2.inspect(f->context, &f->arena, hub_span_of(f->message, f->message_len), 0, &f->decoded,
                                              &f->report, &f->err),
                     HUB_OK);
    assert_int_equal(f->decoded.event_count, 1);
}

static void message_about_a_patient_needs_a_pid(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_decode(f, MSH("ADT^A01") EVN PV1), HUB_REQUIRED);
    assert_string_equal(f->err.place, "PID");
}

static void header_is_checked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_decode(f, "MSH|^~\\&|EHR|GENHOSP|||20260301||ADT^A01|M1|T|2.5\n" EVN PID), HUB_UNSUPPORTED_PROCESSING);
    assert_int_equal(fixture_decode(f, "MSH|^~\\&|EHR|GENHOSP|||20260301||ADT^A01|M1|P|3.0\n" EVN PID), HUB_UNSUPPORTED_VERSION);
    assert_int_equal(fixture_decode(f, "MSH|^~\\&|EHR|GENHOSP|||20260301|||M1|P|2.5\n" EVN PID), HUB_REQUIRED);
    assert_int_equal(fixture_decode(f, "MSH|^~\\&|EHR|GENHOSP|||20260301||a*b^A01|M1|P|2.5\n" EVN PID), HUB_UNSUPPORTED_TYPE);
    assert_int_equal(fixture_decode(f, "MSH|^~\\&|EHR|GENHOSP|||20260301||ADT^A01|M1|P\n" EVN PID), HUB_OK);
    assert_int_equal(fixture_decode(f, "no message"), HUB_SYNTAX);
}

static void unidentified_patient_has_no_tokens(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN "PID|1||UNKNOWN^^^GENHOSP^MR||Doe^Jan\n" PV1);
    assert_int_equal(e->identifier_count, 0);
    assert_true(e->has_patient);
    assert_non_null(fixture_find(e, HUB_KIND_PATIENT, NULL, 0));
}

static void only_record_numbers_and_configured_authorities_make_tokens(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN "PID|1||S1^^^SSA^SS~9^^^STATE^XX~7^^^OTHER^PI~5^^^OTHER^XX~A100^^^GENHOSP^MR||Doe^Jan\n" PV1);
    assert_int_equal(e->identifier_count, 3);
    assert_span(e->identifiers[0].value, "A100"); /* the primary authority's stands first */
    assert_span(e->identifiers[1].value, "9");
    assert_span(e->identifiers[2].system, "urn:chartline:ns:GENHOSP:OTHER");
    assert_int_equal(e->fact_count, 1);
    assert_int_equal(e->facts[0].kind, HUB_FACT_SAME);
    assert_int_equal(e->facts[0].count, 3);
}

static void unknown_authority_is_refused_where_the_feed_says_so(void **state)
{
    struct fixture *f = *state;
    f->feed.known_authorities_only = true;
    enum hub_result result = fixture_decode(f, MSH("ADT^A01") EVN "PID|1||A100^^^GENHOSP^MR~7^^^OTHER^PI||Doe^Jan\n" PV1);
    f->feed.known_authorities_only = false;
    assert_int_equal(result, HUB_AUTHORITY);
    assert_string_equal(f->err.place, "PID-3[2].4");
}

static void message_without_patient_is_an_event_without_chart(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("MFN^M02") "MFI|PRA||UPD|||AL\nMFE|MAD|1||77\n");
    assert_false(e->has_patient);
    assert_int_equal(e->identifier_count, 0);
    for (uint32_t i = 0; i < e->resource_count; i++)
        assert_int_equal(e->resources[i].entry.kind, HUB_KIND_NONE);
}

static void nothing_is_left_of_the_message_before(void **state)
{
    struct fixture *f = *state;
    (void)fixture_good(f, MSH("ADT^A01") EVN "PID|1||A100^^^GENHOSP^MR||Marker^One||19700102|F|||Street 1^^Town\n" PV1 "AL1|1|DA|PEN^Penicillin\n");
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN "PID|1||B200^^^GENHOSP^MR||Other^Two\n");
    for (uint32_t i = 0; i < e->resource_count; i++) {
        const char *text = fixture_json(f, e->resources[i].json);
        assert_null(strstr(text, "Marker"));
        assert_null(strstr(text, "A100"));
        assert_null(strstr(text, "Penicillin"));
        assert_null(strstr(text, "1970"));
    }
    assert_null(fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0));
}

static void old_trigger_stands_in_evn_1(void **state)
{
    struct fixture *f = *state;
    (void)fixture_good(f, "MSH|^~\\&|EHR|GENHOSP|||20260301||ADT|M1|P|2.1\nEVN|A01|20260301\n" PID PV1);
    assert_string_equal(f->decoded.trigger, "ADT^A01");
}

static unsigned count_of(const struct hub_event *e, const char *type)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < e->resource_count; i++)
        count += strcmp(e->resources[i].type, type) == 0;
    return count;
}

/* The resource that the reference at NODE leads to. */
static uint32_t target_of(const struct hub_event *e, const struct hub_json *node)
{
    for (uint32_t i = 0; i < e->reference_count; i++) {
        if (e->references[i].node == node)
            return e->references[i].target;
    }
    return UINT32_MAX;
}

static void equal_organizations_are_one_resource(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, "MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|20260301120000||ADT^A01|M1|P|2.5.1\n" EVN PID PV1);
    assert_string_equal(e->resources[0].type, "MessageHeader");
    const struct hub_json *header = e->resources[0].json;
    const struct hub_json *receiver = hub_json_get(hub_json_at(hub_json_get(header, "destination"), 0), "receiver");
    const uint32_t sender = target_of(e, hub_json_get(hub_json_get(header, "sender"), "reference"));
    assert_int_equal(count_of(e, "Organization"), 1);
    assert_true(sender < e->resource_count);
    assert_string_equal(e->resources[sender].type, "Organization");
    assert_int_equal(target_of(e, hub_json_get(receiver, "reference")), sender);
    assert_span(hub_json_get_span(e->resources[sender].json, "name"), "GENHOSP");
    e = fixture_good(f, MSH("ADT^A01") EVN PID PV1);
    assert_int_equal(count_of(e, "Organization"), 2);
}

#define DOCTORS(attending, referring) "PV1|1|I|W2^201^B^GENHOSP||||" attending "|" referring "|||||||||||V77^^^GENHOSP^VN\n"

static void doctors_that_differ_in_nothing_mapped_are_one_resource(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN PID DOCTORS("77^Falk^Ida", "77^Falk^Ida^^^^^"));
    assert_int_equal(count_of(e, "Practitioner"), 1);
    e = fixture_good(f, MSH("ADT^A01") EVN PID DOCTORS("77^Falk^Ida", "78^Falk^Ida"));
    assert_int_equal(count_of(e, "Practitioner"), 2);
    e = fixture_good(f, MSH("ADT^A01") EVN PID DOCTORS("77^Falk^Ida", "77^Falk^Ida^M"));
    assert_int_equal(count_of(e, "Practitioner"), 2);
}

static void every_reference_points_at_a_resource(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN PID PV1 "AL1|1|DA|PEN^Penicillin\nDG1|1||I10^Hypertension^I10\n");
    assert_true(e->reference_count > 3);
    for (uint32_t i = 0; i < e->reference_count; i++)
        assert_true(e->references[i].target < e->resource_count);
}

/* Everything of an event as one text. */
static void print_event(struct fixture *f, const struct hub_event *e, char *out, size_t cap)
{
    size_t n = 0;
    for (uint32_t i = 0; i < e->resource_count && n < cap; i++) {
        const struct hub_entry *entry = &e->resources[i].entry;
        struct hub_buf json;
        hub_buf_init(&json, 1 << 20, false);
        hub_json_write(&json, e->resources[i].json);
        n += (size_t)snprintf(out + n, cap - n, "%s %d %d", hub_buf_str(&json), (int)entry->kind, (int)entry->act);
        hub_buf_deinit(&json);
        const struct hub_fact_key *keys[] = {&entry->keys[0], &entry->keys[1], &entry->list, &entry->encounter, &entry->measure, &entry->location};
        for (size_t k = 0; k < 6; k++) {
            for (uint16_t p = 0; p < keys[k]->part_count && n < cap; p++)
                n += (size_t)snprintf(out + n, cap - n, " %.*s", (int)keys[k]->parts[p].len, (const char *)keys[k]->parts[p].ptr);
        }
    }
    (void)f;
}

static void memory_limit_gives_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    static char whole[65536];
    static char part[65536];
    struct hub_event *e = fixture_good(f, MSH("ADT^A01") EVN PID PV1 "AL1|1|DA|PEN^Penicillin\nDG1|1||I10^Hypertension^I10\nIN1|1|P1|C9|Payer\n");
    print_event(f, e, whole, sizeof whole);
    unsigned failures = 0;
    bool done = false;
    for (size_t cap = 2000; !done; cap += 97) {
        struct hub_arena small;
        hub_arena_init(&small, cap);
        enum hub_result result = hub_format_hl7v2.decode(f->context, &small, hub_span_of(f->message, f->message_len), &f->decoded, &f->err);
        assert_true(result == HUB_OK || result == HUB_NO_MEMORY);
        failures += result != HUB_OK;
        if (result == HUB_OK) {
            print_event(f, &f->decoded.events[0], part, sizeof part);
            assert_string_equal(part, whole);
            done = true;
        } else {
            assert_int_equal(f->decoded.event_count, 0);
        }
        hub_arena_deinit(&small);
        assert_true(cap < 1 << 20);
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admission_makes_patient_encounter_and_place),
        cmocka_unit_test(time_without_zone_takes_the_feeds),
        cmocka_unit_test(event_without_effective_time_takes_the_messages),
        cmocka_unit_test(update_leaves_the_status),
        cmocka_unit_test(status_follows_the_trigger),
        cmocka_unit_test(cancels_carry_their_acts),
        cmocka_unit_test(class_not_applicable_makes_no_encounter),
        cmocka_unit_test(visit_outside_adt_makes_no_encounter_entry),
        cmocka_unit_test(two_quotes_delete_an_element),
        cmocka_unit_test(empty_field_deletes_nothing),
        cmocka_unit_test(two_quotes_outside_folded_resources_make_nothing),
        cmocka_unit_test(merge_states_survivor_and_retired),
        cmocka_unit_test(merge_with_itself_is_refused_at_mrg_1),
        cmocka_unit_test(merge_without_two_patients_is_refused),
        cmocka_unit_test(retired_number_among_the_survivors_is_no_error),
        cmocka_unit_test(several_merges_make_an_event_each_with_their_own_bytes),
        cmocka_unit_test(merges_and_deletes_without_a_table_are_refused),
        cmocka_unit_test(every_merge_of_patient_numbers_states_survivor_and_retired),
        cmocka_unit_test(a_link_and_its_end_are_stated_by_the_first_patients_event),
        cmocka_unit_test(a_link_without_two_patients_is_refused),
        cmocka_unit_test(two_visit_numbers_are_joined_and_no_patient_with_them),
        cmocka_unit_test(a_merge_of_visits_needs_both_and_one_patient),
        cmocka_unit_test(a_deleted_visit_is_withdrawn_and_a_deleted_person_inactive),
        cmocka_unit_test(inspect_maps_what_decode_refuses),
        cmocka_unit_test(message_about_a_patient_needs_a_pid),
        cmocka_unit_test(header_is_checked),
        cmocka_unit_test(unidentified_patient_has_no_tokens),
        cmocka_unit_test(only_record_numbers_and_configured_authorities_make_tokens),
        cmocka_unit_test(unknown_authority_is_refused_where_the_feed_says_so),
        cmocka_unit_test(message_without_patient_is_an_event_without_chart),
        cmocka_unit_test(nothing_is_left_of_the_message_before),
        cmocka_unit_test(old_trigger_stands_in_evn_1),
        cmocka_unit_test(equal_organizations_are_one_resource),
        cmocka_unit_test(doctors_that_differ_in_nothing_mapped_are_one_resource),
        cmocka_unit_test(every_reference_points_at_a_resource),
        cmocka_unit_test(memory_limit_gives_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
