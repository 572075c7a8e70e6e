/* What sealing makes of an event. */
#include "tests/protect_fixture.h"

static void seal_then_open_gives_back_every_resource_byte_for_byte(void **state)
{
    struct test_seal *f = *state;
    const char *const all[] = {patient_text,      encounter_text, observation_text,  organization_text,
                               practitioner_text, location_text,  coverage_text,     allergy_text,
                               appointment_text,  header_text,    immunization_text, binary_text};
    struct hub_sealed sealed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    fill(f);
    const char *json = seal(f, &sealed);
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_int_equal(masked, 0);
    assert_null(strstr(text_of(f, event), "urn:chartline:sealed"));
    assert_null(strstr(text_of(f, event), "masked"));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        expect_original(f, all[i], resource_at(event, i), event);
    const struct hub_json *raw = resource_at(event, 12);
    assert_string_equal(hub_json_get(raw, "contentType")->str, "x-application/hl7-v2+er7");
    uint8_t bytes[256];
    size_t len = 0;
    assert_int_equal(hub_decode(HUB_BASE64, hub_json_get_span(raw, "data"), bytes, sizeof bytes, &len),
                     HUB_OK);
    assert_true(hub_span_equal(hub_span_of(bytes, len), f->event.raw));
}

static void seal_leaves_no_marker_in_any_encoding(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    fill(f);
    const char *json = seal(f, &sealed);
    for (size_t i = 0; i < MARKERS; i++) {
        const struct hub_span marker = hub_span_str(markers[i]);
        char text[256];
        assert_null(strstr(json, markers[i]));
        (void)hub_encode(HUB_HEX, marker, text, sizeof text);
        assert_null(strcasestr(json, text));
        for (size_t shift = 0; shift < 3; shift++) { /* base64 at each alignment */
            (void)hub_encode(HUB_BASE64, hub_span_of(marker.ptr + shift, (marker.len - shift) / 3 * 3), text,
                             sizeof text);
            assert_null(strstr(json, text));
        }
    }
    assert_non_null(strstr(json, "\"status\":\"in-progress\""));
}

static void seal_keeps_what_a_valid_resource_needs(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    fill(f);
    struct hub_json *event = parse(f, seal(f, &sealed));
    const char *absent = "{\"extension\":[{\"url\":\"http://hl7.org/fhir/StructureDefinition/"
                         "data-absent-reason\",\"valueCode\":\"masked\"}]}";
    const struct hub_json *observation = resource_at(event, 2), *encounter = resource_at(event, 1),
                          *allergy = resource_at(event, 7);
    assert_string_equal(text_of(f, hub_json_get(observation, "code")), absent);
    assert_string_equal(text_of(f, hub_json_get(encounter, "class")), absent);
    assert_null(hub_json_get(observation, "valueQuantity"));
    assert_null(hub_json_get(observation, "meta"));
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 3), "_name")), absent);
    assert_null(hub_json_get(resource_at(event, 3), "name"));
    assert_string_equal(text_of(f, hub_json_get(allergy, "clinicalStatus")),
                        "{\"coding\":[{\"code\":\"active\",\"system\":\"http://terminology.hl7.org/"
                        "CodeSystem/allergyintolerance-clinical\"}]}");
    assert_null(hub_json_get(allergy, "reaction"));
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 8), "participant")),
                        "[{\"status\":\"accepted\"}]");
    assert_string_equal(text_of(f, hub_json_get(hub_json_get(resource_at(event, 9), "source"), "_endpoint")),
                        absent);
    char *payor = hub_arena_printf(&f->arena, "[%s]", absent);
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 6), "payor")), payor);
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 10), "_occurrenceDateTime")), absent);
    /* references stay, their displays do not */
    char *subject = hub_arena_printf(&f->arena, "{\"reference\":\"Patient/%s\"}",
                                     hub_json_get(resource_at(event, 0), "id")->str);
    assert_string_equal(text_of(f, hub_json_get(encounter, "subject")), subject);
}

/* --- the envelope --- */

static void seal_gives_a_canonical_cloudevent(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    fill(f);
    const char *json = seal(f, &sealed);
    struct hub_json *event = parse(f, json);
    assert_string_equal(text_of(f, event), json);
    static const struct {
        const char *key, *value;
    } members[] = {{"specversion", "1.0"},
                   {"type", "chartline.patient.event.v1"},
                   {"source", "/feeds/adt-main"},
                   {"time", "2026-11-20T08:15:00-05:00"},
                   {"timesource", "EVN-2"},
                   {"messagetime", "2026-11-20T08:15:00-05:00"},
                   {"trigger", "ADT^A01"},
                   {"identity", ""},
                   {"dataschema", "chartline:event/v1"},
                   {"datacontenttype", "application/fhir+json"},
                   {"recordedtime", "2026-11-21T13:16:40.000000Z"}};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        assert_string_equal(hub_json_get(event, members[i].key)->str, members[i].value);
    assert_string_equal(hub_json_get(event, "id")->str, sealed.id.text);
    assert_string_equal(hub_json_get(event, "subject")->str, sealed.subject.text);
    assert_string_equal(hub_json_get(event, "tokens")->str, sealed.subject.text);
    assert_string_equal(hub_json_get(event, "policy")->str, hub_policy_name(f->policy));
    assert_true(sealed.new_secret);
    assert_memory_equal(json + sealed.recorded_at, "2026-11-21T13:16:40.000000Z\"", HUB_TIME_TEXT_LEN + 1);
    uint8_t whole[HUB_HASH_LEN], continued[HUB_HASH_LEN];
    hub_sha256_of(hub_span_str(json), whole);
    hub_sha256_update(&sealed.prefix, hub_span_str(json + sealed.recorded_at));
    hub_sha256_final(&sealed.prefix, continued);
    assert_memory_equal(whole, continued, sizeof whole);
    const struct hub_json *first = hub_json_get(hub_json_get(event, "data"), "entry")->first;
    char *url = hub_arena_printf(&f->arena, "https://chartline.invalid/fhir/Patient/%s",
                                 hub_json_get(resource_at(event, 0), "id")->str);
    assert_string_equal(hub_json_get(first, "fullUrl")->str, url);
}

static void seal_of_the_same_message_has_the_same_ids_and_other_ciphertexts(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed first, second;
    fill(f);
    const char *a = seal(f, &first);
    f->event.resource_count = f->event.reference_count = 0;
    fill(f);
    const char *b = seal(f, &second);
    assert_string_equal(first.id.text, second.id.text);
    assert_string_equal(first.secret_id.text, second.secret_id.text);
    assert_false(second.new_secret);
    assert_string_not_equal(a, b);
    assert_string_equal(hub_json_get(resource_at(parse(f, a), 5), "id")->str,
                        hub_json_get(resource_at(parse(f, b), 5), "id")->str);
    assert_int_equal(strlen(a), strlen(b));
}

static void seal_hides_small_differences_of_length(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    (void)add(f, HUB_KIND_NONE, "{\"resourceType\":\"Practitioner\",\"name\":[{\"family\":\"Li\"}]}");
    const size_t short_len = strlen(seal(f, &sealed));
    f->event.resource_count = 0;
    (void)add(f, HUB_KIND_NONE,
              "{\"resourceType\":\"Practitioner\",\"name\":[{\"family\":\"Wolkenstein\"}]}");
    assert_int_equal(strlen(seal(f, &sealed)), short_len);
}

static void seal_writes_identity_facts_without_placeholders(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    static const uint16_t both[] = {0, 1, 2}, pair[] = {0, 1}, unlinkable[] = {0, 2};
    static const struct hub_identity_fact unlinkable_fact = {HUB_FACT_LINK, 2, unlinkable};
    f->identifiers[1] = (struct hub_identifier){.system = HUB_SPAN("urn:oid:9"), .value = HUB_SPAN("2")};
    f->identifiers[2] = (struct hub_identifier){
        .system = HUB_SPAN("urn:oid:9"), .value = HUB_SPAN("0000"), .placeholder = true};
    f->event.identifier_count = 3;
    f->facts[0] = (struct hub_identity_fact){HUB_FACT_SAME, 3, both};
    f->facts[1] = (struct hub_identity_fact){HUB_FACT_MERGE, 2, pair};
    f->event.fact_count = 2;
    struct hub_json *event = parse(f, seal(f, &sealed));
    struct hub_token b;
    char tag[9];
    hub_keys_patient_token(f->keys, HUB_SPAN("urn:oid:9"), HUB_SPAN("2"), &b);
    hub_keys_authority_tag(f->keys, HUB_SPAN("urn:oid:1.2.3"), tag);
    const char *a = sealed.subject.text;
    assert_string_equal(
        hub_json_get(event, "identity")->str,
        hub_arena_printf(&f->arena, "same:%s~%s,%s;merge:%s~%s,%s", a, tag, b.text, a, tag, b.text));
    assert_string_equal(hub_json_get(event, "tokens")->str, hub_arena_printf(&f->arena, "%s,%s", a, b.text));
    f->facts[0] = unlinkable_fact;
    f->event.fact_count = 1;
    event = parse(f, seal(f, &sealed));
    assert_string_equal(hub_json_get(event, "identity")->str, "");
}

static void seal_of_a_patient_without_identifier_has_a_subject_of_its_own(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed first, second, feed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    f->identifiers[0].placeholder = true;
    (void)add(f, HUB_KIND_NONE, practitioner_text);
    (void)seal(f, &first);
    assert_int_equal(first.subject.text[0], '2');
    f->origin.message = HUB_SPAN("another message");
    f->event.resource_count = 0;
    (void)seal(f, &second);
    assert_string_not_equal(first.subject.text, second.subject.text);
    f->event.has_patient = false;
    (void)add(f, HUB_KIND_NONE, practitioner_text);
    const char *json = seal(f, &feed);
    assert_int_equal(feed.subject.text[0], '3');
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_int_equal(masked, 0);
    assert_non_null(strstr(text_of(f, event), "PRACTMARKER"));
}

static void seal_refuses_identifiers_with_control_characters(void **state)
{
    struct test_seal *f = *state;
    struct hub_buf json;
    struct hub_sealed sealed;
    struct hub_error err;
    hub_buf_init(&json, 1024 * 1024, false);
    f->identifiers[0].value = HUB_SPAN("12\n3");
    assert_int_equal(hub_protect_seal(f->keys, f->policy, &f->arena, &f->event, &f->message, &f->origin, 0, 0,
                                      &json, &sealed, &err),
                     HUB_TYPE);
    assert_int_equal(json.len, 0);
    hub_buf_deinit(&json);
}

static void seal_of_a_test_event_keeps_its_label_clear(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    f->event.test = true;
    (void)add(f, HUB_KIND_PATIENT, plain_patient_text);
    (void)add(f, HUB_KIND_NONE,
              "{\"resourceType\":\"Observation\",\"status\":\"final\",\"meta\":{\"security\":[{\"code\":"
              "\"R\",\"system\":\"urn:x\"}]}}");
    const char *json = seal(f, &sealed);
    const char *meta = "{\"security\":[{\"code\":\"HTEST\",\"system\":\"http://terminology.hl7.org/"
                       "CodeSystem/v3-ActReason\"}]}";
    event = parse(f, json);
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 0), "meta")), meta);
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 1), "meta")), meta);
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 1), "meta")),
                        "{\"security\":[{\"code\":\"R\",\"system\":\"urn:x\"},{\"code\":\"HTEST\",\"system\":"
                        "\"http://terminology.hl7.org/CodeSystem/v3-ActReason\"}]}");
}

static void seal_entry_extension_is_exact(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    fill(f);
    struct hub_json *event = parse(f, seal(f, &sealed));
    struct hub_hash_token fact, measure;
    const struct hub_span fact_parts[] = {HUB_SPAN("observation"), HUB_SPAN("urn:oid:1.2.3"),
                                          HUB_SPAN("MRNMARKER1")};
    const struct hub_span measure_parts[] = {hub_span_str(sealed.subject.text), HUB_SPAN("urn:oid:1.2.3")};
    hub_keys_measure_token(f->keys, "fact", fact_parts, 3, &fact);
    hub_keys_measure_token(f->keys, "measure", measure_parts, 2, &measure);
    char *want = hub_arena_printf(
        &f->arena,
        "{\"url\":\"urn:chartline:entry\",\"valueString\":\"effective=2026-11-20 fact=%s kind=observation "
        "measure=%s version=2026-11-21T13:15:00.000000Z\"}",
        fact.text, measure.text);
    assert_string_equal(text_of(f, hub_json_get(resource_at(event, 2), "extension")->first), want);
}

static void seal_keeps_the_positions_of_a_split_message(void **state)
{
    struct test_seal *f = *state;
    struct hub_sealed sealed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    f->event.raw_positions = HUB_SPAN("0-120,540-900");
    const char *json = seal(f, &sealed);
    assert_null(strstr(json, "540-900"));
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_string_equal(hub_json_get(resource_at(event, 0), "contentType")->str,
                        "x-application/hl7-v2+er7;positions=\"0-120,540-900\"");
}

static void plain_bundle_is_the_same_in_every_run(void **state)
{
    struct test_seal *f = *state;
    struct hub_json *a = NULL, *b = NULL;
    fill(f);
    assert_int_equal(hub_protect_plain_bundle(&f->arena, &f->event, &f->origin, 0, false, &a, NULL), HUB_OK);
    char *first = text_of(f, a);
    assert_null(strstr(first, "RAW"));
    assert_null(strstr(first, "urn:chartline:entry"));
    assert_non_null(strstr(first, "FAMILYMARKER"));
    f->event.resource_count = f->event.reference_count = 0;
    fill(f);
    assert_int_equal(hub_protect_plain_bundle(&f->arena, &f->event, &f->origin, 0, false, &b, NULL), HUB_OK);
    assert_string_equal(first, text_of(f, b));
    f->event.resource_count = f->event.reference_count = 0;
    fill(f);
    assert_int_equal(hub_protect_plain_bundle(&f->arena, &f->event, &f->origin, 1, true, &b, NULL), HUB_OK);
    assert_string_not_equal(
        hub_json_get(hub_json_get(hub_json_at(hub_json_get(a, "entry"), 0), "resource"), "id")->str,
        hub_json_get(hub_json_get(hub_json_at(hub_json_get(b, "entry"), 0), "resource"), "id")->str);
    assert_int_equal(hub_json_get(b, "entry")->len, hub_json_get(a, "entry")->len + 1);
}

static void seal_fails_whole_when_memory_is_out(void **state)
{
    struct test_seal *f = *state;
    struct hub_buf json;
    struct hub_sealed sealed;
    struct hub_error err;
    enum hub_result result = HUB_NO_MEMORY;
    unsigned failures = 0;
    hub_buf_init(&json, 1024 * 1024, false);
    for (uint64_t nth = 1; result != HUB_OK; nth++) {
        hub_arena_reset(&f->arena);
        f->event.resource_count = f->event.reference_count = 0;
        fill(f);
        (void)hub_mem_fail_nth(nth, 1);
        result = hub_protect_seal(f->keys, f->policy, &f->arena, &f->event, &f->message, &f->origin, 0, 0,
                                  &json, &sealed, &err);
        (void)hub_mem_fail_nth(0, 0);
        assert_true(result == HUB_OK || result == HUB_NO_MEMORY);
        assert_true((json.len != 0) == (result == HUB_OK));
        failures += result != HUB_OK;
        assert_true(nth < 1000);
    }
    assert_true(failures > 3);
    hub_buf_deinit(&json);
}

/* --- dead letters --- */

static char *dead_letter(struct test_seal *f)
{
    struct hub_event_id id;
    struct hub_buf json;
    struct hub_error why, err;
    hub_keys_event_id(f->keys, f->origin.feed_id, f->origin.sender, f->origin.message, 0, 0, &id);
    (void)hub_fail(&why, HUB_REQUIRED, NULL, "send it");
    (void)hub_error_at(&why, "PID-3");
    hub_buf_init(&json, 1024 * 1024, false);
    assert_int_equal(hub_protect_dead_letter(f->keys, f->policy, &f->arena, &id, f->event.raw, "ADT^A01", &f->origin,
                                             &why, &json, &err),
                     HUB_OK);
    char *out = (char *)(uintptr_t)hub_arena_copy(&f->arena, hub_buf_view(&json)).ptr;
    hub_buf_deinit(&json);
    assert_int_equal(hub_keys_sync(f->keys, NULL), HUB_OK);
    return out;
}

static void dead_letter_opens_to_the_original_bytes_and_nothing_else_shows(void **state)
{
    struct test_seal *f = *state;
    const struct hub_opener opener = {class_key, patient_secret, f};
    struct hub_span original = HUB_SPAN_NONE;
    struct hub_error err;
    const char *json = dead_letter(f);
    assert_null(strstr(json, "RAWMARKER"));
    assert_non_null(strstr(json, "\"at\":\"PID-3\""));
    struct hub_json *letter = parse(f, json);
    assert_string_equal(text_of(f, letter), json);
    assert_int_equal(hub_protect_open_dead_letter(&f->arena, letter, &opener, &original, &err), HUB_OK);
    assert_true(hub_span_equal(original, f->event.raw));
    assert_string_equal(text_of(f, letter), json);
    f->may[HUB_DATA_RAW] = false;
    assert_int_equal(hub_protect_open_dead_letter(&f->arena, letter, &opener, &original, &err), HUB_DENIED);
    f->may[HUB_DATA_RAW] = true;
    set(f, letter, "feed", "other");
    assert_int_equal(hub_protect_open_dead_letter(&f->arena, letter, &opener, &original, &err), HUB_CRYPTO);
    assert_int_equal(hub_protect_open_dead_letter(&f->arena, parse(f, "{}"), &opener, &original, &err),
                     HUB_SYNTAX);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, test_seal_setup, test_seal_teardown)
    const struct CMUnitTest tests[] = {
        T(seal_then_open_gives_back_every_resource_byte_for_byte),
        T(seal_leaves_no_marker_in_any_encoding),
        T(seal_keeps_what_a_valid_resource_needs),
        T(seal_gives_a_canonical_cloudevent),
        T(seal_of_the_same_message_has_the_same_ids_and_other_ciphertexts),
        T(seal_hides_small_differences_of_length),
        T(seal_writes_identity_facts_without_placeholders),
        T(seal_of_a_patient_without_identifier_has_a_subject_of_its_own),
        T(seal_refuses_identifiers_with_control_characters),
        T(seal_of_a_test_event_keeps_its_label_clear),
        T(seal_entry_extension_is_exact),
        T(seal_keeps_the_positions_of_a_split_message),
        T(plain_bundle_is_the_same_in_every_run),
        T(seal_fails_whole_when_memory_is_out),
        T(dead_letter_opens_to_the_original_bytes_and_nothing_else_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
