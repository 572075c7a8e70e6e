/* A key store, the default policy and an event with one resource of each interesting type, sealed and opened again. */
#pragma once

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

struct test_seal {
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

static inline int test_seal_setup(void **state)
{
    struct test_seal *f = calloc(1, sizeof *f);
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

static inline int test_seal_teardown(void **state)
{
    struct test_seal *f = *state;
    char command[128];
    hub_keys_close(f->keys);
    hub_policy_free(f->policy);
    hub_arena_deinit(&f->arena);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->folder);
    int rc = system(command);
    free(f);
    return rc;
}

static inline struct hub_json *parse(struct test_seal *f, const char *text)
{
    struct hub_json *out = NULL;
    struct hub_error err;
    enum hub_result result = hub_json_parse(&f->arena, hub_span_str(text), &out, &err);
    if (result != HUB_OK)
        fail_msg("bad test JSON at %lld: %s", (long long)err.number, text);
    return out;
}

/* Strings "->N" in the test's JSON are references to resource N. */
static inline void find_references(struct test_seal *f, struct hub_json *node)
{
    if (node->type == HUB_JSON_STRING && node->len > 2 && memcmp(node->str, "->", 2) == 0)
        f->references[f->event.reference_count++] =
            (struct hub_reference){node, (uint32_t)atoi(node->str + 2)};
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY)
        return;
    for (struct hub_json *c = node->first; c != NULL; c = c->next)
        find_references(f, c);
}

static inline struct hub_resource *add(struct test_seal *f, enum hub_kind kind, const char *text)
{
    struct hub_resource *r = &f->resources[f->event.resource_count++];
    r->json = parse(f, text);
    r->type = hub_json_get(r->json, "resourceType")->str;
    r->entry.kind = kind;
    r->entry.status_class = 1;
    find_references(f, r->json);
    return r;
}

static inline char *text_of(struct test_seal *f, const struct hub_json *node)
{
    struct hub_buf buf;
    hub_buf_init(&buf, 64 * 1024 * 1024, false);
    hub_json_write(&buf, node);
    assert_int_equal(hub_buf_result(&buf), HUB_OK);
    char *out = (char *)(uintptr_t)hub_arena_copy(&f->arena, hub_buf_view(&buf)).ptr;
    hub_buf_deinit(&buf);
    return out;
}

static inline char *seal(struct test_seal *f, struct hub_sealed *sealed)
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

static inline enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    struct test_seal *f = ctx;
    enum hub_data_class class_;
    enum hub_result result = hub_keys_class_by_id(f->keys, id, key, &class_, NULL);
    return result == HUB_OK && !f->may[class_] ? HUB_DENIED : result;
}

static inline enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    struct test_seal *f = ctx;
    return f->patient_result != HUB_OK ? f->patient_result
                                       : hub_keys_secret(f->keys, id, subject, secret, NULL);
}

static inline enum hub_result open_text(struct test_seal *f, const char *text, struct hub_json **event, size_t *masked)
{
    const struct hub_opener opener = {class_key, patient_secret, f};
    struct hub_error err;
    *event = parse(f, text);
    return hub_protect_open_event(&f->arena, *event, &opener, masked, &err);
}

static inline struct hub_json *resource_at(const struct hub_json *event, size_t index)
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

static inline void fill(struct test_seal *f)
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
static inline void expect_original(struct test_seal *f, const char *text, const struct hub_json *opened,
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

static inline void set(struct test_seal *f, struct hub_json *object, const char *key, const char *value)
{
    assert_non_null(hub_json_get(object, key));
    assert_int_equal(hub_json_set_string(&f->arena, object, key, hub_span_str(value)), HUB_OK);
}
