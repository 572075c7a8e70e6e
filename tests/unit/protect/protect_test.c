#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/protect.h"

#define SCHEMAS CHARTLINE_SOURCE_DIR "/schemas"
#define POLICY CHARTLINE_SOURCE_DIR "/policies/protect/default.yaml"

enum { RESOURCES_MAX = 32, REFERENCES_MAX = 64 };

struct fixture {
    char folder[64];
    struct hub_keys *keys;
    struct hub_policy *policy;
    struct hub_arena arena;
    /* the event under test */
    struct hub_resource resources[RESOURCES_MAX];
    struct hub_reference references[REFERENCES_MAX];
    struct hub_identifier identifiers[3];
    struct hub_identity_fact facts[2];
    struct hub_event event;
    struct hub_decoded message;
    struct hub_origin origin;
    /* what the reader may open */
    bool may[HUB_DATA_CLASSES];
    enum hub_result patient_result;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    static const uint8_t root[HUB_KEY_LEN] = {7};
    struct hub_problems problems;
    char store[96];
    if (f == NULL || hub_crypto_init() != HUB_OK)
        return -1;
    (void)snprintf(f->folder, sizeof f->folder, "%s/seal-XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    if (mkdtemp(f->folder) == NULL)
        return -1;
    (void)snprintf(store, sizeof store, "%s/store", f->folder);
    hub_problems_init(&problems);
    f->policy = hub_policy_load(POLICY, SCHEMAS, &problems);
    hub_problems_deinit(&problems);
    if (f->policy == NULL ||
        hub_keys_open(store, root, NULL, hub_clock_system(), true, &f->keys, NULL) != HUB_OK)
        return -1;
    hub_arena_init(&f->arena, 64 * 1024 * 1024);
    for (unsigned c = 0; c < HUB_DATA_CLASSES; c++)
        f->may[c] = true;
    f->event = (struct hub_event){.has_patient = true,
                                  .identifiers = f->identifiers,
                                  .facts = f->facts,
                                  .resources = f->resources,
                                  .references = f->references,
                                  .raw = HUB_SPAN("MSH|^~\\&|RAWMARKER\rPID|1\r")};
    f->event.time = (struct hub_when){HUB_SPAN("2026-11-20T08:15:00-05:00"), 1795266900000000};
    f->event.time_source = "EVN-2";
    (void)snprintf(f->message.trigger, sizeof f->message.trigger, "ADT^A01");
    f->message.message_time = f->event.time;
    f->origin = (struct hub_origin){.feed_id = HUB_SPAN("f1"),
                                    .feed_name = HUB_SPAN("adt-main"),
                                    .sender = HUB_SPAN("CN=ehr"),
                                    .message = HUB_SPAN("the message")};
    f->identifiers[0] = (struct hub_identifier){
        .system = HUB_SPAN("urn:oid:1.2.3"), .value = HUB_SPAN("MRNMARKER1"), .primary = true};
    f->event.identifier_count = 1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    hub_keys_close(f->keys);
    hub_policy_free(f->policy);
    hub_arena_deinit(&f->arena);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->folder);
    int rc = system(command);
    free(f);
    return rc;
}

static struct hub_json *parse(struct fixture *f, const char *text)
{
    struct hub_json *out = NULL;
    struct hub_error err;
    enum hub_result result = hub_json_parse(&f->arena, hub_span_str(text), &out, &err);
    if (result != HUB_OK)
        fail_msg("bad test JSON at %lld: %s", (long long)err.number, text);
    return out;
}

/* Strings "->N" in the test's JSON are references to resource N. */
static void find_references(struct fixture *f, struct hub_json *node)
{
    if (node->type == HUB_JSON_STRING && node->len > 2 && memcmp(node->str, "->", 2) == 0)
        f->references[f->event.reference_count++] =
            (struct hub_reference){node, (uint32_t)atoi(node->str + 2)};
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY)
        return;
    for (struct hub_json *c = node->first; c != NULL; c = c->next)
        find_references(f, c);
}

static struct hub_resource *add(struct fixture *f, enum hub_kind kind, const char *text)
{
    struct hub_resource *r = &f->resources[f->event.resource_count++];
    r->json = parse(f, text);
    r->type = hub_json_get(r->json, "resourceType")->str;
    r->entry.kind = kind;
    r->entry.status_class = 1;
    find_references(f, r->json);
    return r;
}

static char *text_of(struct fixture *f, const struct hub_json *node)
{
    struct hub_buf buf;
    hub_buf_init(&buf, 64 * 1024 * 1024, false);
    hub_json_write(&buf, node);
    assert_int_equal(hub_buf_result(&buf), HUB_OK);
    char *out = (char *)(uintptr_t)hub_arena_copy(&f->arena, hub_buf_view(&buf)).ptr;
    hub_buf_deinit(&buf);
    return out;
}

static char *seal(struct fixture *f, struct hub_sealed *sealed)
{
    struct hub_buf json;
    struct hub_error err;
    hub_buf_init(&json, 64 * 1024 * 1024, false);
    enum hub_result result = hub_protect_seal(f->keys, f->policy, &f->arena, &f->event, &f->message,
                                              &f->origin, 0, 1795267000000000, &json, sealed, &err);
    if (result != HUB_OK)
        fail_msg("%s", err.what);
    char *out = (char *)(uintptr_t)hub_arena_copy(&f->arena, hub_buf_view(&json)).ptr;
    hub_buf_deinit(&json);
    assert_int_equal(hub_keys_sync(f->keys, NULL), HUB_OK);
    return out;
}

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    struct fixture *f = ctx;
    enum hub_data_class class_;
    enum hub_result result = hub_keys_class_by_id(f->keys, id, key, &class_, NULL);
    return result == HUB_OK && !f->may[class_] ? HUB_DENIED : result;
}

static enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    struct fixture *f = ctx;
    return f->patient_result != HUB_OK ? f->patient_result
                                       : hub_keys_secret(f->keys, id, subject, secret, NULL);
}

static enum hub_result open_text(struct fixture *f, const char *text, struct hub_json **event, size_t *masked)
{
    const struct hub_opener opener = {class_key, patient_secret, f};
    struct hub_error err;
    *event = parse(f, text);
    return hub_protect_open_event(&f->arena, *event, &opener, masked, &err);
}

static struct hub_json *resource_at(const struct hub_json *event, size_t index)
{
    return hub_json_get(hub_json_at(hub_json_get(hub_json_get(event, "data"), "entry"), index), "resource");
}

/* --- contents --- */

static const char *const patient_text =
    "{\"resourceType\":\"Patient\",\"active\":true,\"birthDate\":\"1961-02-03\",\"_birthDate\":{"
    "\"extension\":[{\"url\":"
    "\"http://hl7.org/fhir/StructureDefinition/"
    "patient-birthTime\",\"valueDateTime\":\"1961-02-03T04:05:00Z\"}]},"
    "\"name\":[{\"family\":\"FAMILYMARKER\",\"given\":[\"GIVENMARKER\",\"B\"]}],\"gender\":\"female\","
    "\"identifier\":[{\"system\":\"urn:oid:1.2.3\",\"value\":\"MRNMARKER1\",\"assigner\":{\"reference\":\"->"
    "3\"}}],"
    "\"telecom\":[{\"system\":\"phone\",\"value\":\"PHONEMARKER\"}],\"address\":[{\"line\":[\"STREETMARKER\"]"
    ",\"city\":\"CITYMARKER\"}],"
    "\"contact\":[{\"name\":{\"family\":\"KINMARKER\"},\"organization\":{\"reference\":\"->3\"}}],"
    "\"communication\":[{\"language\":{\"text\":\"LANGUAGEMARKER\"}}],"
    "\"extension\":[{\"url\":\"urn:chartline:deleted\",\"valueString\":\"telecom\"},{\"url\":\"http://"
    "x.example/birthplace\",\"valueString\":\"PLACEMARKER\"}]}";
static const char *const plain_patient_text =
    "{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"FAMILYMARKER\"}]}";
static const char *const encounter_text =
    "{\"resourceType\":\"Encounter\",\"status\":\"in-progress\",\"class\":{\"code\":\"IMPMARKER\"},"
    "\"subject\":{\"reference\":\"->0\",\"display\":\"DISPLAYMARKER\"},"
    "\"participant\":[{\"individual\":{\"display\":\"DOCTORMARKER\"}},{\"individual\":{\"reference\":\"->4\"}"
    ",\"type\":[{\"text\":\"ATTENDMARKER\"}]}],"
    "\"period\":{\"start\":\"2026-11-20T08:15:00-05:00\"},\"location\":[{\"location\":{\"reference\":\"->5\"}"
    ",\"status\":\"active\"}]}";
static const char *const observation_text =
    "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"coding\":[{\"system\":\"http://"
    "loinc.org\",\"code\":\"CODEMARKER\"}]},"
    "\"subject\":{\"reference\":\"->0\"},\"encounter\":{\"reference\":\"->1\"},\"effectiveDateTime\":\"2026-"
    "11-20\","
    "\"valueQuantity\":{\"value\":98765.4321,\"unit\":\"UNITMARKER\"},\"note\":[{\"text\":\"NOTEMARKER "
    "caf\\u00e9 \\\"q\\\"\"}],"
    "\"meta\":{\"security\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/"
    "v3-Confidentiality\",\"code\":\"R\"}]}}";
static const char *const organization_text = "{\"resourceType\":\"Organization\",\"name\":\"ORGMARKER\"}";
static const char *const practitioner_text =
    "{\"resourceType\":\"Practitioner\",\"name\":[{\"family\":\"PRACTMARKER\"}]}";
static const char *const location_text =
    "{\"resourceType\":\"Location\",\"name\":\"WARDMARKER\",\"status\":\"active\"}";
static const char *const coverage_text =
    "{\"resourceType\":\"Coverage\",\"status\":\"active\",\"subscriberId\":\"MEMBERMARKER\",\"beneficiary\":{"
    "\"reference\":\"->0\"},\"payor\":[{\"display\":\"PAYORMARKER\"}]}";
static const char *const allergy_text =
    "{\"resourceType\":\"AllergyIntolerance\",\"clinicalStatus\":{\"coding\":[{\"system\":\"http://"
    "terminology.hl7.org/CodeSystem/allergyintolerance-clinical\","
    "\"code\":\"active\",\"display\":\"STATUSMARKER\"},{\"system\":\"urn:local\",\"code\":\"LOCALMARKER\"}],"
    "\"text\":\"TEXTMARKER\"},"
    "\"patient\":{\"reference\":\"->0\"},\"code\":{\"text\":\"ALLERGENMARKER\"},\"reaction\":[{"
    "\"manifestation\":[{\"text\":\"RASHMARKER\"}]}]}";
static const char *const appointment_text =
    "{\"resourceType\":\"Appointment\",\"status\":\"booked\",\"start\":\"2026-11-21T09:00:00Z\",\"end\":"
    "\"2026-11-21T09:15:00Z\","
    "\"participant\":[{\"actor\":{\"display\":\"ACTORMARKER\"},\"status\":\"accepted\"}],\"comment\":"
    "\"COMMENTMARKER\"}";
static const char *const header_text =
    "{\"resourceType\":\"MessageHeader\",\"eventCoding\":{\"code\":\"A01MARKER\"},\"source\":{\"name\":"
    "\"APPMARKER\",\"endpoint\":\"urn:ENDPOINTMARKER\"}}";
static const char *const immunization_text =
    "{\"resourceType\":\"Immunization\",\"status\":\"completed\",\"vaccineCode\":{\"text\":\"VACCINEMARKER\"}"
    ",\"patient\":{\"reference\":\"->0\"},"
    "\"occurrenceDateTime\":\"2026-11-19\"}";
static const char *const binary_text =
    "{\"resourceType\":\"Binary\",\"contentType\":\"text/plain\",\"data\":\"QklOQVJZTUFSS0VS\"}";

static const char *const markers[] = {
    "FAMILYMARKER", "GIVENMARKER",    "MRNMARKER1",    "PHONEMARKER", "STREETMARKER",  "CITYMARKER",
    "KINMARKER",    "LANGUAGEMARKER", "PLACEMARKER",   "IMPMARKER",   "DISPLAYMARKER", "DOCTORMARKER",
    "ATTENDMARKER", "CODEMARKER",     "98765.4321",    "UNITMARKER",  "NOTEMARKER",    "ORGMARKER",
    "PRACTMARKER",  "WARDMARKER",     "MEMBERMARKER",  "PAYORMARKER", "STATUSMARKER",  "LOCALMARKER",
    "TEXTMARKER",   "ALLERGENMARKER", "RASHMARKER",    "ACTORMARKER", "COMMENTMARKER", "A01MARKER",
    "APPMARKER",    "ENDPOINTMARKER", "VACCINEMARKER", "RAWMARKER",   "BINARYMARKER",  "1961-02-03"};
enum { MARKERS = sizeof markers / sizeof markers[0] };

static void fill(struct fixture *f)
{
    struct hub_resource *patient = add(f, HUB_KIND_PATIENT, patient_text);
    static const struct hub_span key[] = {{(const uint8_t *)"urn:oid:1.2.3", 13},
                                          {(const uint8_t *)"MRNMARKER1", 10}};
    patient->entry.keys[0] = (struct hub_fact_key){.part_count = 2, .parts = key};
    patient->entry.mode = HUB_MODE_FOLD;
    (void)add(f, HUB_KIND_ENCOUNTER, encounter_text);
    struct hub_resource *observation = add(f, HUB_KIND_OBSERVATION, observation_text);
    observation->entry.keys[0] = (struct hub_fact_key){.part_count = 2, .parts = key};
    observation->entry.measure = (struct hub_fact_key){.part_count = 1, .parts = key};
    observation->entry.effective = (struct hub_when){HUB_SPAN("2026-11-20"), 0};
    observation->entry.version = f->event.time;
    (void)add(f, HUB_KIND_NONE, organization_text);
    (void)add(f, HUB_KIND_NONE, practitioner_text);
    (void)add(f, HUB_KIND_NONE, location_text);
    (void)add(f, HUB_KIND_COVERAGE, coverage_text);
    (void)add(f, HUB_KIND_ALLERGY, allergy_text);
    (void)add(f, HUB_KIND_APPOINTMENT, appointment_text);
    (void)add(f, HUB_KIND_NONE, header_text);
    (void)add(f, HUB_KIND_IMMUNIZATION, immunization_text);
    (void)add(f, HUB_KIND_NONE, binary_text);
}

/* The resource as it was before anything was taken out: with id, references and, for entries, the entry
 * extension. */
static void expect_original(struct fixture *f, const char *text, const struct hub_json *opened,
                            const struct hub_json *event)
{
    struct hub_json *want = parse(f, text);
    struct hub_json *entry = NULL;
    const struct hub_json *list = hub_json_get(opened, "extension");
    uint32_t first = f->event.reference_count;
    find_references(f, want);
    for (uint32_t i = first; i < f->event.reference_count; i++) {
        const struct hub_json *target = resource_at(event, f->references[i].target);
        char *reference = hub_arena_printf(&f->arena, "%s/%s", hub_json_get(target, "resourceType")->str,
                                           hub_json_get(target, "id")->str);
        f->references[i].node->str = reference;
        f->references[i].node->len = (uint32_t)strlen(reference);
    }
    f->event.reference_count = first;
    assert_int_equal(hub_json_set_string(&f->arena, want, "id", hub_json_get_span(opened, "id")), HUB_OK);
    for (struct hub_json *e = list != NULL ? list->first : NULL; e != NULL; e = e->next) {
        if (hub_span_is(hub_json_get_span(e, "url"), "urn:chartline:entry"))
            entry = hub_json_copy(&f->arena, e);
    }
    if (entry != NULL) {
        struct hub_json *all = hub_json_get(want, "extension");
        if (all == NULL) {
            all = hub_json_new(&f->arena, HUB_JSON_ARRAY);
            assert_int_equal(hub_json_set_c(want, "extension", all), HUB_OK);
        }
        assert_int_equal(hub_json_push(all, entry), HUB_OK);
    }
    assert_string_equal(text_of(f, opened), text_of(f, want));
}

static void seal_then_open_gives_back_every_resource_byte_for_byte(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static void expect_member(const struct hub_json *resource, const char *key, bool present)
{
    assert_true((hub_json_get(resource, key) != NULL) == present);
}

static void open_with_some_classes_leaves_the_rest_masked(void **state)
{
    struct fixture *f = *state;
    struct hub_sealed sealed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    fill(f);
    const char *json = seal(f, &sealed);
    f->may[HUB_DATA_CLINICAL] = f->may[HUB_DATA_RAW] = f->may[HUB_DATA_SENSITIVE] = false;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_true(masked > 5);
    const char *text = text_of(f, event);
    assert_non_null(strstr(text, "FAMILYMARKER"));
    assert_non_null(strstr(text, "PHONEMARKER"));
    assert_non_null(strstr(text, "MEMBERMARKER"));
    assert_null(strstr(text, "CODEMARKER"));
    assert_null(strstr(text, "ALLERGENMARKER"));
    assert_null(strstr(text, "RAWMARKER"));
    expect_member(resource_at(event, 2), "code", true); /* the placeholder */
    expect_member(resource_at(event, 2), "valueQuantity", false);
    assert_non_null(strstr(text_of(f, resource_at(event, 2)), "urn:chartline:sealed"));
    /* and the other way round */
    memset(f->may, 0, sizeof f->may);
    f->may[HUB_DATA_CLINICAL] = true;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    text = text_of(f, event);
    assert_null(strstr(text, "FAMILYMARKER"));
    assert_null(strstr(text, "PHONEMARKER"));
    assert_non_null(strstr(text, "98765.4321"));
    assert_non_null(strstr(text, "DOCTORMARKER"));
}

static void open_without_the_patients_secret_leaves_all_masked(void **state)
{
    struct fixture *f = *state;
    struct hub_sealed sealed;
    struct hub_json *event = NULL;
    size_t masked = 0;
    fill(f);
    const char *json = seal(f, &sealed);
    f->patient_result = HUB_SHREDDED;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_OK);
    assert_string_equal(text_of(f, event), json);
    f->patient_result = HUB_IO;
    assert_int_equal(open_text(f, json, &event, &masked), HUB_IO);
}

/* --- tampering --- */

static void expect_refused(struct fixture *f, struct hub_json *event)
{
    const struct hub_opener opener = {class_key, patient_secret, f};
    struct hub_error err;
    size_t masked = 0;
    assert_int_equal(hub_protect_open_event(&f->arena, event, &opener, &masked, &err), HUB_CRYPTO);
}

static void set(struct fixture *f, struct hub_json *object, const char *key, const char *value)
{
    assert_non_null(hub_json_get(object, key));
    assert_int_equal(hub_json_set_string(&f->arena, object, key, hub_span_str(value)), HUB_OK);
}

/* The first sealed extension of a resource. */
static struct hub_json *sealed_of(const struct hub_json *resource)
{
    for (struct hub_json *e = hub_json_get(resource, "extension")->first; e != NULL; e = e->next) {
        if (hub_span_is(hub_json_get_span(e, "url"), "urn:chartline:sealed"))
            return e;
    }
    return NULL;
}

/* Changes byte AT of the ciphertext of resource INDEX. */
static void flip(struct fixture *f, struct hub_json *event, size_t index, size_t at)
{
    struct hub_json *sealed = sealed_of(resource_at(event, index));
    const struct hub_span text = hub_json_get_span(sealed, "valueBase64Binary");
    uint8_t *bytes = hub_arena_alloc(&f->arena, text.len);
    char *again = hub_arena_bytes(&f->arena, text.len + 4);
    size_t len = 0;
    assert_int_equal(hub_decode(HUB_BASE64, text, bytes, text.len, &len), HUB_OK);
    bytes[at < len ? at : len - 1] ^= 1;
    (void)hub_encode(HUB_BASE64, hub_span_of(bytes, len), again, text.len + 4);
    set(f, sealed, "valueBase64Binary", again);
}

static void open_refuses_every_kind_of_tampering(void **state)
{
    struct fixture *f = *state;
    struct hub_sealed sealed;
    fill(f);
    const char *json = seal(f, &sealed);
    struct hub_json *event;
    static const size_t places[] = {0, 1, 2, 5, 6, 40, SIZE_MAX}; /* suite, class, ordinal, ciphertext, tag */
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        event = parse(f, json);
        flip(f, event, 2, places[i]);
        expect_refused(f, event);
    }
    event = parse(f, json); /* a status beside the ciphertext */
    set(f, resource_at(event, 2), "status", "amended");
    expect_refused(f, event);
    event = parse(f, json); /* a reference */
    set(f, hub_json_get(resource_at(event, 2), "subject"), "reference", "Patient/someoneelse");
    expect_refused(f, event);
    event = parse(f, json); /* a resource's id */
    set(f, resource_at(event, 2), "id", hub_json_get(resource_at(event, 1), "id")->str);
    expect_refused(f, event);
    event = parse(f, json); /* the event's id */
    set(f, event, "id", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    expect_refused(f, event);
    event = parse(f, json); /* one resource's ciphertext in another */
    set(f, sealed_of(resource_at(event, 2)), "valueBase64Binary",
        hub_json_get(sealed_of(resource_at(event, 7)), "valueBase64Binary")->str);
    expect_refused(f, event);
    event = parse(f, json); /* a ciphertext twice */
    assert_int_equal(hub_json_push(hub_json_get(resource_at(event, 2), "extension"),
                                   hub_json_copy(&f->arena, sealed_of(resource_at(event, 2)))),
                     HUB_OK);
    expect_refused(f, event);
    event = parse(f, json); /* the entry extension */
    struct hub_json *entry = hub_json_get(resource_at(event, 2), "extension")->first;
    set(f, entry, "valueString", "kind=observation");
    expect_refused(f, event);
    event = parse(f, json); /* the raw message */
    set(f, resource_at(event, 12), "contentType", "text/plain");
    expect_refused(f, event);
}

static void open_refuses_a_changed_seal(void **state)
{
    struct fixture *f = *state;
    struct hub_sealed sealed;
    fill(f);
    const char *json = seal(f, &sealed);
    char text[1024];
    struct hub_json *event = parse(f, json);
    const struct hub_span seal_text = hub_json_get_span(event, "seal");
    assert_true(seal_text.len < sizeof text);
    const char *clinical = strstr(hub_json_get(event, "seal")->str, "clinical@");
    const size_t commitment = (size_t)(clinical - hub_json_get(event, "seal")->str) + 9 + 17 + 3;
    static const size_t salt_at = 10;
    const size_t places[] = {0, 2, salt_at, commitment};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        memcpy(text, seal_text.ptr, seal_text.len);
        text[seal_text.len] = '\0';
        text[places[i]] = text[places[i]] == 'A' ? 'B' : 'A';
        event = parse(f, json);
        set(f, event, "seal", text);
        expect_refused(f, event);
    }
    event = parse(f, json);
    set(f, event, "seal", "");
    expect_refused(f, event);
}

static void open_with_another_patients_secret_is_refused(void **state)
{
    struct fixture *f = *state;
    struct hub_sealed sealed, other;
    fill(f);
    const char *json = seal(f, &sealed);
    f->event.resource_count = 0;
    f->event.reference_count = 0;
    f->identifiers[0].value = HUB_SPAN("another");
    (void)seal(f, &other);
    assert_string_not_equal(sealed.subject.text, other.subject.text);
    char text[1024];
    struct hub_json *event = parse(f, json);
    (void)snprintf(text, sizeof text, "%s", hub_json_get(event, "seal")->str);
    memcpy(strstr(text, sealed.secret_id.text), other.secret_id.text, HUB_KEY_ID_LEN);
    set(f, event, "seal", text);
    set(f, event, "subject", other.subject.text);
    expect_refused(f, event);
}

/* --- the envelope --- */

static void seal_gives_a_canonical_cloudevent(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static void seal_lifts_a_labelled_resource_whole(void **state)
{
    struct fixture *f = *state;
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

static void seal_of_a_test_event_keeps_its_label_clear(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static void open_resource_opens_a_timeline_record_by_itself(void **state)
{
    struct fixture *f = *state;
    struct hub_sealed sealed;
    const struct hub_opener opener = {class_key, patient_secret, f};
    struct hub_error err;
    size_t masked = 9;
    fill(f);
    struct hub_json *event = parse(f, seal(f, &sealed));
    struct hub_json *record = hub_json_copy(&f->arena, resource_at(event, 2));
    assert_int_equal(hub_protect_open_resource(&f->arena, record, hub_json_get_span(event, "id"),
                                               hub_json_get_span(event, "subject"),
                                               hub_json_get_span(event, "seal"), &opener, &masked, &err),
                     HUB_OK);
    assert_int_equal(masked, 0);
    expect_original(f, observation_text, record, event);
    record = hub_json_copy(&f->arena, resource_at(event, 2));
    assert_int_equal(hub_protect_open_resource(&f->arena, record, HUB_SPAN("other"),
                                               hub_json_get_span(event, "subject"),
                                               hub_json_get_span(event, "seal"), &opener, &masked, &err),
                     HUB_CRYPTO);
}

static void seal_keeps_the_positions_of_a_split_message(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static char *dead_letter(struct fixture *f)
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
    struct fixture *f = *state;
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
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(seal_then_open_gives_back_every_resource_byte_for_byte),
        T(seal_leaves_no_marker_in_any_encoding),
        T(seal_keeps_what_a_valid_resource_needs),
        T(open_with_some_classes_leaves_the_rest_masked),
        T(open_without_the_patients_secret_leaves_all_masked),
        T(open_refuses_every_kind_of_tampering),
        T(open_refuses_a_changed_seal),
        T(open_with_another_patients_secret_is_refused),
        T(seal_gives_a_canonical_cloudevent),
        T(seal_of_the_same_message_has_the_same_ids_and_other_ciphertexts),
        T(seal_hides_small_differences_of_length),
        T(seal_writes_identity_facts_without_placeholders),
        T(seal_of_a_patient_without_identifier_has_a_subject_of_its_own),
        T(seal_refuses_identifiers_with_control_characters),
        T(seal_lifts_a_labelled_resource_whole),
        T(seal_of_a_test_event_keeps_its_label_clear),
        T(seal_entry_extension_is_exact),
        T(open_resource_opens_a_timeline_record_by_itself),
        T(seal_keeps_the_positions_of_a_split_message),
        T(plain_bundle_is_the_same_in_every_run),
        T(seal_fails_whole_when_memory_is_out),
        T(dead_letter_opens_to_the_original_bytes_and_nothing_else_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
