/* From sealed events over the timeline on disk to what a role sees: protect, timeline and query together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/clock.h"
#include "src/query/query.h"
#include "src/timeline/timeline.h"
#include "tests/temp_folder.h"

#define SCHEMAS CHARTLINE_SOURCE_DIR "/schemas"
#define POLICY CHARTLINE_SOURCE_DIR "/policies/protect/default.yaml"

enum { RECORDS_MAX = 64 };

/* One run of a hub: its own keys, its own stores. */
struct run {
    char folder[512];
    struct hub_keys *keys;
    struct hub_policy *policy;
    struct hub_kv *kv;
    struct hub_timeline *timeline;
    struct hub_arena arena;
    bool may[HUB_DATA_CLASSES];
    struct hub_json *records[RECORDS_MAX];
    size_t record_count;
    int64_t clock_us;
    uint8_t digest[32];
};

static void run_open(struct run *run, uint8_t root_byte)
{
    const uint8_t root[HUB_KEY_LEN] = {root_byte};
    char path[600];
    struct hub_problems problems;
    memset(run, 0, sizeof *run);
    assert_non_null(temp_folder_new(run->folder));
    hub_arena_init(&run->arena, 128 << 20);
    hub_problems_init(&problems);
    run->policy = hub_policy_load(POLICY, SCHEMAS, &problems);
    hub_problems_deinit(&problems);
    assert_non_null(run->policy);
    (void)snprintf(path, sizeof path, "%s/keys", run->folder);
    assert_int_equal(hub_keys_open(path, root, NULL, hub_clock_system(), true, &run->keys, NULL), HUB_OK);
    (void)snprintf(path, sizeof path, "%s/timeline", run->folder);
    const struct hub_kv_options kv = {.families = hub_timeline_families(), .create = true, .bloom = true};
    const struct hub_timeline_options options = {.chart_tokens = 100};
    assert_int_equal(hub_kv_open_rocksdb(path, &kv, &run->kv, NULL), HUB_OK);
    assert_int_equal(hub_timeline_open(run->kv, &options, &run->timeline, NULL), HUB_OK);
    for (unsigned c = 0; c < HUB_DATA_CLASSES; c++)
        run->may[c] = true;
    run->clock_us = INT64_C(1777593600000000) + root_byte * INT64_C(86400000000);
}

static void run_close(struct run *run)
{
    hub_timeline_close(run->timeline);
    hub_kv_close(run->kv);
    hub_keys_close(run->keys);
    hub_policy_free(run->policy);
    hub_arena_deinit(&run->arena);
    temp_folder_remove(run->folder);
}

static struct hub_json *parse(struct run *run, const char *text)
{
    struct hub_json *json = NULL;
    assert_int_equal(hub_json_parse(&run->arena, hub_span_str(text), &json, NULL), HUB_OK);
    return json;
}

/* A message of patient VALUE, whose retired number is MERGED (or NULL): a Patient, an Observation, its
 * performer. */
static void receive(struct run *run, const char *value, const char *merged, const char *family,
                    const char *result, int minute)
{
    char when_text[HUB_TIME_TEXT_LEN + 1] = "";
    const struct hub_when when = {hub_span_of(when_text, HUB_TIME_TEXT_LEN),
                                  INT64_C(1777593600000000) + minute * INT64_C(60000000)};
    hub_time_format(when.us, when_text);
    struct hub_identifier ids[] = {
        {.system = HUB_SPAN("urn:oid:1.2.3"), .value = hub_span_str(value), .primary = true},
        {.system = HUB_SPAN("urn:oid:1.2.3"),
         .value = hub_span_str(merged != NULL ? merged : ""),
         .primary = true}};
    static const uint16_t both[] = {0, 1};
    const struct hub_identity_fact facts[] = {{HUB_FACT_SAME, 1, both}, {HUB_FACT_MERGE, 2, both}};
    const struct hub_span patient_key[] = {hub_span_str(value)};
    const struct hub_span result_key[] = {HUB_SPAN("glucose"), hub_span_str(result)};
    struct hub_resource resources[] = {
        {"Patient",
         parse(run, hub_arena_printf(&run->arena,
                                     "{\"resourceType\":\"Patient\",\"identifier\":[{\"system\":\"urn:oid:1."
                                     "2.3\",\"value\":\"%s\"}],\"name\":[{\"family\":\"%s\"}]}",
                                     value, family)),
         {.kind = HUB_KIND_PATIENT,
          .keys = {{false, 1, patient_key}},
          .mode = HUB_MODE_FOLD,
          .status_class = 1,
          .effective = when,
          .version = when}},
        {"Observation",
         parse(run,
               hub_arena_printf(&run->arena,
                                "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"text\":"
                                "\"glucose\"},\"valueString\":\"%s\","
                                "\"subject\":{\"reference\":\"?\"},\"performer\":[{\"reference\":\"?\"}]}",
                                result)),
         {.kind = HUB_KIND_OBSERVATION,
          .keys = {{true, 2, result_key}},
          .status_class = 1,
          .effective = when,
          .version = when}},
        {"Practitioner",
         parse(run, "{\"resourceType\":\"Practitioner\",\"name\":[{\"family\":\"QUISTMARKER\"}]}"),
         {.kind = HUB_KIND_NONE}},
    };
    const struct hub_reference references[] = {
        {hub_json_get(hub_json_get(resources[1].json, "subject"), "reference"), 0},
        {hub_json_get(hub_json_at(hub_json_get(resources[1].json, "performer"), 0), "reference"), 2}};
    struct hub_span message = hub_span_str(
        hub_arena_printf(&run->arena, "MSH|RAWMARKER|%s|%s|%s|%d", value, family, result, minute));
    struct hub_event event = {.identifiers = ids,
                              .identifier_count = merged != NULL ? 2 : 1,
                              .has_patient = true,
                              .facts = facts,
                              .fact_count = merged != NULL ? 2 : 1,
                              .resources = resources,
                              .resource_count = 3,
                              .references = references,
                              .reference_count = 2,
                              .time = when,
                              .time_source = "EVN-2",
                              .raw = message};
    struct hub_decoded decoded = {.message_time = when, .events = &event, .event_count = 1};
    (void)snprintf(decoded.trigger, sizeof decoded.trigger, merged != NULL ? "ADT^A40" : "ORU^R01");
    const struct hub_origin origin = {.feed_id = HUB_SPAN("f1"),
                                      .feed_name = HUB_SPAN("lab"),
                                      .sender = HUB_SPAN("CN=lab"),
                                      .message = message};
    struct hub_sealed sealed;
    struct hub_buf json;
    hub_buf_init(&json, 1 << 20, true);
    assert_int_equal(hub_protect_seal(run->keys, run->policy, &run->arena, &event, &decoded, &origin, 0,
                                      run->clock_us, &json, &sealed, NULL),
                     HUB_OK);
    char recorded[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(run->clock_us += 1000, recorded);
    memcpy(json.ptr + sealed.recorded_at, recorded, HUB_TIME_TEXT_LEN);
    assert_int_equal(hub_timeline_apply(run->timeline, hub_buf_view(&json), NULL, NULL), HUB_OK);
    hub_buf_deinit(&json);
}

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    struct run *run = ctx;
    enum hub_data_class class_;
    enum hub_result result = hub_keys_class_by_id(run->keys, id, key, &class_, NULL);
    return result == HUB_OK && !run->may[class_] ? HUB_DENIED : result;
}

static enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    return hub_keys_secret(((struct run *)ctx)->keys, id, subject, secret, NULL);
}

static bool take(void *ctx, struct hub_span key, struct hub_span record)
{
    struct run *run = ctx;
    (void)key;
    assert_null(memmem(record.ptr, record.len, "MARKER", 6));
    assert_true(run->record_count < RECORDS_MAX);
    return hub_json_parse(&run->arena, record, &run->records[run->record_count++], NULL) == HUB_OK;
}

static struct hub_chart load(struct run *run, const char *value)
{
    struct hub_token token;
    struct hub_chart chart;
    assert_int_equal(hub_timeline_flush(run->timeline, 1, true, NULL), HUB_OK);
    hub_keys_patient_token(run->keys, HUB_SPAN("urn:oid:1.2.3"), hub_span_str(value), &token);
    assert_int_equal(hub_timeline_chart(run->timeline, &run->arena, hub_span_str(token.text), &chart, NULL),
                     HUB_OK);
    run->record_count = 0;
    for (size_t i = 0; i < chart.token_count; i++)
        assert_int_equal(hub_timeline_each_entry(run->timeline, chart.tokens[i], take, run, NULL), HUB_OK);
    return chart;
}

static const char *view(struct run *run, const char *value)
{
    struct hub_chart chart = load(run, value);
    const struct hub_opener opener = {class_key, patient_secret, run};
    const struct hub_query query = {
        .at_us = INT64_MAX, .known_at_us = INT64_MAX, .chart = hub_chart_json(&run->arena, &chart)};
    struct hub_json *out = NULL;
    assert_int_equal(hub_query_chart(&run->arena, hub_span_str(chart.id), run->records, run->record_count,
                                     &query, &opener, &out, NULL),
                     HUB_OK);
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, true);
    hub_json_write(&text, out);
    const char *copy = (const char *)hub_arena_copy(&run->arena, hub_span_str(hub_buf_str(&text))).ptr;
    hub_buf_deinit(&text);
    return copy;
}

static void sealed_chart_opens_by_role(void **state)
{
    (void)state;
    struct run run;
    run_open(&run, 1);
    receive(&run, "MRNMARKER1", NULL, "NAMEMARKER", "RESULTMARKER", 5);
    const char *text = view(&run, "MRNMARKER1");
    assert_non_null(strstr(text, "NAMEMARKER"));
    assert_non_null(strstr(text, "RESULTMARKER"));
    assert_non_null(strstr(text, "QUISTMARKER")); /* the performer, as support */
    assert_null(strstr(text, "RAWMARKER"));
    assert_null(strstr(text, "urn:chartline:sealed"));
    run.may[HUB_DATA_CLINICAL] = run.may[HUB_DATA_SENSITIVE] = false;
    text = view(&run, "MRNMARKER1");
    assert_non_null(strstr(text, "NAMEMARKER"));
    assert_null(strstr(text, "RESULTMARKER"));
    assert_non_null(strstr(text, "\"kind\":\"observation\""));
    run_close(&run);
}

static void sealed_merge_shows_the_survivor_with_both_histories(void **state)
{
    (void)state;
    struct run run;
    run_open(&run, 1);
    receive(&run, "A1", NULL, "SURVIVORMARKER", "r1", 5);
    receive(&run, "B2", NULL, "RETIREDMARKER", "r2", 6);
    assert_null(strstr(view(&run, "A1"), "RETIREDMARKER"));
    receive(&run, "A1", "B2", "SURVIVORMARKER", "r3", 7);
    assert_string_equal(view(&run, "A1"), view(&run, "B2"));
    const char *text = view(&run, "B2");
    assert_non_null(strstr(text, "SURVIVORMARKER"));
    assert_null(strstr(text, "RETIREDMARKER"));
    assert_non_null(strstr(text, "\"valueString\":\"r1\""));
    assert_non_null(strstr(text, "\"valueString\":\"r2\""));
    run_close(&run);
}

static void sealed_record_of_another_event_does_not_open(void **state)
{
    (void)state;
    struct run run;
    run_open(&run, 1);
    receive(&run, "A1", NULL, "name", "r1", 5);
    struct hub_chart chart = load(&run, "A1");
    const struct hub_opener opener = {class_key, patient_secret, &run};
    const struct hub_query query = {.at_us = INT64_MAX, .known_at_us = INT64_MAX};
    struct hub_json *out = NULL;
    assert_int_equal(hub_json_set_string(&run.arena, run.records[0], "event",
                                         HUB_SPAN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
                     HUB_OK);
    assert_int_equal(hub_query_chart(&run.arena, hub_span_str(chart.id), run.records, run.record_count,
                                     &query, &opener, &out, NULL),
                     HUB_CRYPTO);
    run_close(&run);
}

static bool add_chart(void *ctx, const struct hub_chart *chart)
{
    struct run *run = ctx;
    const struct hub_opener opener = {class_key, patient_secret, run};
    run->record_count = 0;
    for (size_t i = 0; i < chart->token_count; i++)
        assert_int_equal(hub_timeline_each_entry(run->timeline, chart->tokens[i], take, run, NULL), HUB_OK);
    return hub_query_content_digest(&run->arena, run->records, NULL, run->record_count, &opener, run->digest,
                                    NULL) == HUB_OK;
}

static void content_of(struct run *run, uint8_t digest[32])
{
    memset(run->digest, 0, 32);
    assert_int_equal(hub_timeline_flush(run->timeline, 1, true, NULL), HUB_OK);
    assert_int_equal(hub_timeline_each_chart(run->timeline, add_chart, run, NULL), HUB_OK);
    memcpy(digest, run->digest, 32);
}

/* The same messages, other keys, another order, other days. */
static void content_digest_is_the_same_in_two_runs(void **state)
{
    (void)state;
    struct run one, two;
    uint8_t a[32], b[32];
    run_open(&one, 1);
    receive(&one, "A1", NULL, "x", "r1", 5);
    receive(&one, "B2", NULL, "y", "r2", 6);
    receive(&one, "A1", "B2", "x", "r3", 7);
    receive(&one, "C3", NULL, "z", "r4", 8);
    content_of(&one, a);
    run_open(&two, 2);
    receive(&two, "C3", NULL, "z", "r4", 8);
    receive(&two, "A1", "B2", "x", "r3", 7);
    receive(&two, "B2", NULL, "y", "r2", 6);
    content_of(&two, b);
    assert_memory_not_equal(a, b, 32);
    receive(&two, "A1", NULL, "x", "r1", 5);
    content_of(&two, b);
    assert_memory_equal(a, b, 32);
    run_close(&one);
    run_close(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_chart_opens_by_role),
        cmocka_unit_test(sealed_merge_shows_the_survivor_with_both_histories),
        cmocka_unit_test(sealed_record_of_another_event_does_not_open),
        cmocka_unit_test(content_digest_is_the_same_in_two_runs),
    };
    return hub_crypto_init() == HUB_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
