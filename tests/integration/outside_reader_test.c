/* An event sealed here is opened by a reader that knows docs/FORMATS.md only
 * (tests/conformance/open_event.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "src/codec/encode.h"
#include "src/protect/protect.h"
#include "tests/needs.h"

#define POLICY CHARTLINE_SOURCE_DIR "/policies/protect/default.yaml"
#define POLICY2 CHARTLINE_SOURCE_DIR "/tests/data/policy/suite2.yaml"
#define MISSING "the outside reader needs python3, libsodium and libcrypto (apt install python3 libsodium23 libssl3)"
#define READER CHARTLINE_SOURCE_DIR "/tests/conformance/open_event.py"

static const char *const texts[] = {
    "{\"resourceType\":\"Patient\",\"active\":true,\"name\":[{\"family\":\"Quill\",\"given\":[\"Ada\"]}],"
    "\"birthDate\":\"1961-02-03\","
    "\"telecom\":[{\"value\":\"+1 555 "
    "0100\"}],\"extension\":[{\"url\":\"urn:chartline:deleted\",\"valueString\":\"address\"},"
    "{\"url\":\"http://x.example/p\",\"valueString\":\"\\u00e9\\n\\\"\\u0001\"}]}",
    "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"text\":\"Sodium\"},\"valueQuantity\":"
    "{\"value\":140.50,\"unit\":\"mmol/L\"}}",
    "{\"resourceType\":\"Organization\",\"name\":\"North Clinic\"}",
    "{\"resourceType\":\"Appointment\",\"status\":\"booked\",\"participant\":[{\"actor\":{\"display\":\"A\"},"
    "\"status\":\"accepted\"},"
    "{\"status\":\"declined\",\"type\":[{\"text\":\"b\"}]}]}",
    "{\"resourceType\":\"AllergyIntolerance\",\"clinicalStatus\":{\"coding\":[{\"code\":\"x\",\"system\":"
    "\"urn:local\"},{\"system\":"
    "\"http://terminology.hl7.org/CodeSystem/"
    "allergyintolerance-clinical\",\"code\":\"active\",\"display\":\"Active\"}],\"text\":\"t\"},\"code\":{"
    "\"text\":\"Nuts\"}}",
    "{\"resourceType\":\"Binary\",\"contentType\":\"text/plain\",\"data\":\"aGVsbG8=\"}",
};
enum { TEXTS = sizeof texts / sizeof texts[0] };

struct place {
    char folder[64];
    char path[5][96]; /* event, keys, ward.pub, ward.key, store */
    const char *policy;
    struct hub_keys *keys;
    struct hub_arena arena;
};

static void write_file(const char *path, struct hub_span bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

static bool write_line(void *ctx, struct hub_span line)
{
    return fprintf(ctx, "%.*s\n", (int)line.len, (const char *)line.ptr) > 0;
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    const char *tmp = getenv("TMPDIR");
    static const char *const names[] = {"event.json", "keys.jsonl", "ward.pub", "ward.key", "store"};
    static const uint8_t root[HUB_KEY_LEN] = {3};
    if (p == NULL || hub_crypto_init() != HUB_OK)
        return -1;
    (void)snprintf(p->folder, sizeof p->folder, "%s/outside-XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    if (mkdtemp(p->folder) == NULL)
        return -1;
    for (size_t i = 0; i < 5; i++)
        (void)snprintf(p->path[i], sizeof p->path[i], "%s/%s", p->folder, names[i]);
    struct hub_role role = {.name = "ward", .public_key_path = p->path[2]};
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++)
        role.classes[c] = c != HUB_DATA_CONTACT;
    const struct hub_roles roles = {.items = &role, .count = 1};
    p->policy = POLICY;
    hub_arena_init(&p->arena, 16 * 1024 * 1024);
    if (hub_role_key_create(p->path[2], p->path[3], "ward", NULL) != HUB_OK ||
        hub_keys_open(p->path[4], root, &roles, hub_clock_system(), true, &p->keys, NULL) != HUB_OK)
        return -1;
    FILE *lines = fopen(p->path[1], "w");
    if (lines == NULL)
        return -1;
    hub_keys_each_record(p->keys, write_line, lines);
    *state = p;
    return fclose(lines);
}

static int teardown(void **state)
{
    struct place *p = *state;
    char command[128];
    hub_keys_close(p->keys);
    hub_arena_deinit(&p->arena);
    (void)snprintf(command, sizeof command, "rm -rf %s", p->folder);
    int rc = system(command);
    free(p);
    return rc;
}

/* COUNT resources of CONTENTS; the second is an observation's entry. */
static void seal_event(struct place *p, const char *const *contents, size_t count, struct hub_span raw, struct hub_buf *json,
                       struct hub_sealed *sealed)
{
    static struct hub_resource resources[TEXTS];
    const struct hub_identifier identifier = {
        .system = HUB_SPAN("urn:oid:1.2.3"), .value = HUB_SPAN("4711"), .primary = true};
    static const struct hub_span part[] = {{(const uint8_t *)"4711", 4}};
    struct hub_event event = {.has_patient = true,
                              .identifiers = &identifier,
                              .identifier_count = 1,
                              .resources = resources,
                              .resource_count = (uint32_t)count,
                              .raw = raw,
                              .raw_positions = HUB_SPAN("0-11")};
    const struct hub_decoded message = {.trigger = "ORU^R01"};
    const struct hub_origin origin = {
        .feed_id = HUB_SPAN("f1"), .feed_name = HUB_SPAN("lab"), .message = raw};
    struct hub_problems problems;
    struct hub_error err;
    hub_problems_init(&problems);
    struct hub_policy *policy = hub_policy_load(p->policy, CHARTLINE_SOURCE_DIR "/schemas", &problems);
    assert_non_null(policy);
    hub_problems_deinit(&problems);
    for (size_t i = 0; i < count; i++) {
        memset(&resources[i], 0, sizeof resources[i]);
        assert_int_equal(hub_json_parse(&p->arena, hub_span_str(contents[i]), &resources[i].json, &err), HUB_OK);
        resources[i].type = hub_json_get(resources[i].json, "resourceType")->str;
    }
    resources[1].entry.kind = HUB_KIND_OBSERVATION;
    resources[1].entry.keys[0] = (struct hub_fact_key){.part_count = 1, .parts = part};
    assert_int_equal(hub_protect_seal(p->keys, policy, &p->arena, &event, &message, &origin, 0,
                                      1795267000000000, json, sealed, &err),
                     HUB_OK);
    hub_policy_free(policy);
}

static void seal(struct place *p, struct hub_buf *json, struct hub_sealed *sealed)
{
    seal_event(p, texts, TEXTS, HUB_SPAN("MSH|^~\\&|A\r"), json, sealed);
}

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    struct place *p = ctx;
    enum hub_data_class class_;
    enum hub_result result = hub_keys_class_by_id(p->keys, id, key, &class_, NULL);
    return result == HUB_OK && class_ == HUB_DATA_CONTACT ? HUB_DENIED : result;
}

static enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    struct place *p = ctx;
    return hub_keys_secret(p->keys, id, subject, secret, NULL);
}

/* Exit code of the reader; its output goes to OUT. */
static int read_outside(struct place *p, const struct hub_sealed *sealed, char *out, size_t cap)
{
    uint8_t secret[HUB_KEY_LEN];
    char signer[64], hex[65], command[1024];
    struct hub_key_id id;
    assert_int_equal(hub_keys_patient(p->keys, &sealed->subject, false, secret, &id, NULL, NULL), HUB_OK);
    (void)hub_encode(HUB_HEX, hub_span_of(secret, sizeof secret), hex, sizeof hex);
    (void)hub_encode(HUB_BASE64, hub_span_of(hub_keys_sign_public(p->keys), HUB_SIGN_PUBLIC_LEN), signer,
                     sizeof signer);
    (void)snprintf(command, sizeof command, "python3 '" READER "' %s %s %s %s %s 2>%s/stderr", p->path[0],
                   p->path[1], signer, p->path[3], hex, p->folder);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    const size_t got = fread(out, 1, cap - 1, f);
    out[got] = '\0';
    const int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void outside_reader_opens_what_the_page_says(void **state)
{
    struct place *p = *state;
    const struct hub_opener opener = {class_key, patient_secret, p};
    struct hub_sealed sealed;
    struct hub_buf json, want;
    struct hub_json *event = NULL;
    struct hub_error err;
    size_t masked = 0;
    static char got[256 * 1024];
    hub_buf_init(&json, 1024 * 1024, false);
    hub_buf_init(&want, 1024 * 1024, false);
    seal(p, &json, &sealed);
    write_file(p->path[0], hub_buf_view(&json));
    const int code = read_outside(p, &sealed, got, sizeof got);
    if (code == 77 || code == 127) {
        hub_buf_deinit(&json);
        test_skip(MISSING);
    }
    assert_int_equal(code, 0);
    assert_int_equal(hub_json_parse(&p->arena, hub_buf_view(&json), &event, &err), HUB_OK);
    assert_int_equal(hub_protect_open_event(&p->arena, event, &opener, &masked, &err), HUB_OK);
    assert_int_equal(masked, 2); /* the patient's and the organisation's contact class */
    hub_json_write(&want, event);
    assert_string_equal(got, hub_buf_str(&want));
    assert_non_null(strstr(got, "140.50"));
    assert_non_null(strstr(got, "Quill"));
    assert_null(strstr(got, "0100"));
    hub_buf_deinit(&want);
    hub_buf_deinit(&json);
}

enum { LARGE = 70000, LINE = 76, MESSAGE_MAX = 4 * LARGE };

/* Two values that are large: one of base64, in the message in lines, one of text with escapes there. The class of
 * NAME, of an organisation, is one that the reader has no key for. */
struct large {
    char data[LARGE + 1], text[LARGE + 1], observation[3 * LARGE], organization[2 * LARGE];
    char message[MESSAGE_MAX];
    size_t message_len;
};

static void add(struct large *l, const char *text, size_t len)
{
    memcpy(l->message + l->message_len, text, len);
    l->message_len += len;
}

static struct large *large_new(bool with_name)
{
    struct large *l = calloc(1, sizeof *l);
    assert_non_null(l);
    for (size_t i = 0; i < LARGE; i++) {
        l->data[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[(i * i / 7 + i) % 32];
        l->text[i] = i % 61 == 60 ? '\n' : (char)('a' + i * 7 / 3 % 26);
    }
    add(l, "MSH|^~\\&|A\rOBX|1|ED|||^AP^PDF^Base64^", 36);
    for (size_t i = 0; i < LARGE; i += LINE) {
        add(l, l->data + i, i + LINE < LARGE ? LINE : LARGE - i);
        add(l, "\\.br\\", 5);
    }
    add(l, "\rOBX|2|FT|||", 11);
    for (size_t i = 0; i < LARGE; i++)
        add(l, l->text[i] == '\n' ? "\\.br\\" : l->text + i, l->text[i] == '\n' ? 5 : 1);
    add(l, "\r", 1);
    for (char *at = l->text; (at = strchr(at, '\n')) != NULL;)
        *at = ' '; /* so that the text needs no escapes in the test's JSON; blanks stand for its line ends */
    (void)snprintf(l->observation, sizeof l->observation,
                   "{\"resourceType\":\"Observation\",\"status\":\"final\",\"valueString\":\"%s\",\"extension\":"
                   "[{\"url\":\"urn:doc\",\"valueAttachment\":{\"contentType\":\"application/PDF\",\"data\":\"%s\"}}]}",
                   with_name ? "short" : l->text, l->data);
    (void)snprintf(l->organization, sizeof l->organization, "{\"resourceType\":\"Organization\",\"name\":\"%s\"}",
                   with_name ? l->text : "North Clinic");
    return l;
}

/* What the reader outside and the hub's own say of L; the reader's exit code. *EVENT is opened by the hub's. */
static int read_large(struct place *p, struct large *l, struct hub_json **event, size_t *masked, bool *same)
{
    static char got[4 * MESSAGE_MAX];
    const char *const contents[] = {texts[0], l->observation, l->organization};
    const struct hub_opener opener = {class_key, patient_secret, p};
    struct hub_sealed sealed;
    struct hub_buf json, want;
    struct hub_error err;
    hub_buf_init(&json, sizeof got, false);
    hub_buf_init(&want, sizeof got, false);
    seal_event(p, contents, 3, hub_span_of(l->message, l->message_len), &json, &sealed);
    assert_true(json.len < 4 * LARGE); /* once each, and what sealing adds */
    write_file(p->path[0], hub_buf_view(&json));
    const int code = read_outside(p, &sealed, got, sizeof got);
    assert_int_equal(hub_json_parse(&p->arena, hub_buf_view(&json), event, &err), HUB_OK);
    assert_int_equal(hub_protect_open_event(&p->arena, *event, &opener, masked, &err), HUB_OK);
    hub_json_write(&want, *event);
    *same = strcmp(got, hub_buf_str(&want)) == 0;
    hub_buf_deinit(&want);
    hub_buf_deinit(&json);
    return code;
}

static struct hub_json *last_resource(const struct hub_json *event)
{
    const struct hub_json *list = hub_json_get(hub_json_get(event, "data"), "entry");
    return hub_json_get(hub_json_at(list, list->len - 1), "resource");
}

static void outside_reader_restores_an_original_that_refers_to_large_values(void **state)
{
    struct place *p = *state;
    struct large *l = large_new(false);
    struct hub_json *event = NULL;
    size_t masked = 0, len = 0;
    bool same = false;
    const int code = read_large(p, l, &event, &masked, &same);
    struct hub_span data = hub_json_get_span(last_resource(event), "data");
    uint8_t *raw = hub_arena_alloc(&p->arena, data.len);
    assert_int_equal(hub_decode(HUB_BASE64, data, raw, data.len, &len), HUB_OK);
    assert_int_equal(len, l->message_len);
    assert_memory_equal(raw, l->message, len);
    free(l);
    if (code == 77 || code == 127)
        test_skip(MISSING);
    assert_int_equal(code, 0);
    assert_true(same);
}

static void an_original_whose_large_value_is_masked_stays_sealed(void **state)
{
    struct place *p = *state;
    struct large *l = large_new(true);
    struct hub_json *event = NULL;
    size_t masked = 0;
    bool same = false;
    const int code = read_large(p, l, &event, &masked, &same);
    free(l);
    /* contact: the patient's, the organisation's own and its Binary; and the original that refers to it */
    assert_int_equal(masked, 4);
    assert_null(strstr(hub_json_get_span(last_resource(event), "contentType").ptr != NULL
                           ? hub_json_get(last_resource(event), "contentType")->str
                           : "",
                       "positions"));
    if (code == 77 || code == 127)
        test_skip(MISSING);
    assert_int_equal(code, 0);
    assert_true(same);
}

static void outside_reader_refuses_a_changed_status(void **state)
{
    struct place *p = *state;
    struct hub_sealed sealed;
    struct hub_buf json;
    static char got[256 * 1024];
    hub_buf_init(&json, 1024 * 1024, false);
    seal(p, &json, &sealed);
    char *at = strstr(hub_buf_str(&json), "\"booked\"");
    assert_non_null(at);
    memcpy(at, "\"waiter\"", 8);
    write_file(p->path[0], hub_buf_view(&json));
    hub_buf_deinit(&json);
    const int code = read_outside(p, &sealed, got, sizeof got);
    if (code == 77 || code == 127)
        test_skip(MISSING);
    assert_int_equal(code, 1);
}

static void outside_reader_opens_suite_2(void **state)
{
    ((struct place *)*state)->policy = POLICY2;
    outside_reader_opens_what_the_page_says(state);
}

static void outside_reader_refuses_a_changed_status_under_suite_2(void **state)
{
    ((struct place *)*state)->policy = POLICY2;
    outside_reader_refuses_a_changed_status(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outside_reader_opens_what_the_page_says, setup, teardown),
        cmocka_unit_test_setup_teardown(outside_reader_restores_an_original_that_refers_to_large_values, setup, teardown),
        cmocka_unit_test_setup_teardown(an_original_whose_large_value_is_masked_stays_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(outside_reader_refuses_a_changed_status, setup, teardown),
        cmocka_unit_test_setup_teardown(outside_reader_opens_suite_2, setup, teardown),
        cmocka_unit_test_setup_teardown(outside_reader_refuses_a_changed_status_under_suite_2, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
