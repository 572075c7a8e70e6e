/* Opening what a reader's keys allow, and refusing what was tampered with. */
#include "tests/protect_fixture.h"

static void expect_member(const struct hub_json *resource, const char *key, bool present)
{
    assert_true((hub_json_get(resource, key) != NULL) == present);
}

static void open_with_some_classes_leaves_the_rest_masked(void **state)
{
    struct test_seal *f = *state;
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
    struct test_seal *f = *state;
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

static void expect_refused(struct test_seal *f, struct hub_json *event)
{
    const struct hub_opener opener = {class_key, patient_secret, f};
    struct hub_error err;
    size_t masked = 0;
    assert_int_equal(hub_protect_open_event(&f->arena, event, &opener, &masked, &err), HUB_CRYPTO);
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
static void flip(struct test_seal *f, struct hub_json *event, size_t index, size_t at)
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
    struct test_seal *f = *state;
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
    struct test_seal *f = *state;
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
    struct test_seal *f = *state;
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
static void open_resource_opens_a_timeline_record_by_itself(void **state)
{
    struct test_seal *f = *state;
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, test_seal_setup, test_seal_teardown)
    const struct CMUnitTest tests[] = {
        T(open_with_some_classes_leaves_the_rest_masked),
        T(open_without_the_patients_secret_leaves_all_masked),
        T(open_refuses_every_kind_of_tampering),
        T(open_refuses_a_changed_seal),
        T(open_with_another_patients_secret_is_refused),
        T(open_resource_opens_a_timeline_record_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
