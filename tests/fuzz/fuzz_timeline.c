/* Arbitrary events, one a line, into the timeline and out through the query. Whatever comes: an event is applied or
 * refused, applying all of them again changes nothing, every chart can be read, and its tokens agree on it. */
#include <stdlib.h>

#include "src/crypto/crypto.h"
#include "src/query/query.h"
#include "src/timeline/timeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 64, RECORDS_MAX = 4096 };

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* LINE as it is, and, where it is JSON, as the hub would write it. */
static void apply_line(struct hub_timeline *timeline, struct hub_span line)
{
    struct hub_arena arena;
    struct hub_buf text;
    struct hub_json *json = NULL;
    enum hub_result result = hub_timeline_apply(timeline, line, NULL, NULL);
    check(result == HUB_OK || result == HUB_SYNTAX);
    hub_arena_init(&arena, 64 << 20);
    hub_buf_init(&text, 16 << 20, false);
    if (hub_json_parse(&arena, line, &json, NULL) == HUB_OK) {
        hub_json_write(&text, json);
        result = hub_timeline_apply(timeline, hub_buf_view(&text), NULL, NULL);
        check(result == HUB_OK || result == HUB_SYNTAX);
    }
    hub_buf_deinit(&text);
    hub_arena_deinit(&arena);
}

static void apply_all(struct hub_timeline *timeline, struct hub_span rest)
{
    for (size_t line = 0; rest.len != 0 && line < LINES_MAX; line++) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        apply_line(timeline, hub_span_of(rest.ptr, len));
        size_t used = len + (end != NULL);
        rest = hub_span_of(rest.ptr + used, rest.len - used);
        if (line % 3 == 2)
            check(hub_timeline_flush(timeline, line, false, NULL) == HUB_OK);
    }
    check(hub_timeline_flush(timeline, LINES_MAX, false, NULL) == HUB_OK);
}

struct reading {
    struct hub_timeline *timeline;
    struct hub_arena arena;
    struct hub_json **records;
    size_t count;
};

static bool take(void *ctx, struct hub_span key, struct hub_span record)
{
    (void)key;
    struct reading *reading = ctx;
    check(hub_json_parse(&reading->arena, record, &reading->records[reading->count], NULL) == HUB_OK);
    return ++reading->count < RECORDS_MAX;
}

static bool read_chart(void *ctx, const struct hub_chart *chart)
{
    struct reading *reading = ctx;
    hub_arena_reset(&reading->arena);
    reading->records = HUB_ARENA_ARRAY(&reading->arena, struct hub_json *, RECORDS_MAX);
    check(reading->records != NULL);
    reading->count = 0;
    for (size_t i = 0; i < chart->token_count && reading->count < RECORDS_MAX; i++) {
        struct hub_chart own;
        check(hub_timeline_chart(reading->timeline, &reading->arena, chart->tokens[i], &own, NULL) == HUB_OK);
        check(hub_span_equal(hub_span_str(own.id), hub_span_str(chart->id)));
        check(hub_timeline_each_entry(reading->timeline, chart->tokens[i], take, reading, NULL) == HUB_OK);
    }
    struct hub_query query = {.at_us = INT64_MAX, .known_at_us = INT64_MAX, .chart = hub_chart_json(&reading->arena, chart)};
    for (int versions = 0; versions < 2; versions++) {
        struct hub_json *out = NULL;
        query.versions = versions != 0;
        check(hub_query_chart(&reading->arena, hub_span_str(chart->id), reading->records, reading->count, &query, NULL, &out, NULL) == HUB_OK);
    }
    uint8_t digest[32] = {0};
    check(hub_query_content_digest(&reading->arena, reading->records, NULL, reading->count, NULL, digest, NULL) == HUB_OK);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hub_timeline_options options = {.chart_tokens = 4};
    check(hub_crypto_init() == HUB_OK);
    const struct hub_kv_options kv_options = {.families = hub_timeline_families(), .create = true};
    struct hub_kv *kv = NULL;
    struct hub_timeline *timeline = NULL;
    check(hub_kv_open_memory(&kv_options, &kv) == HUB_OK);
    check(hub_timeline_open(kv, &options, &timeline, NULL) == HUB_OK);
    uint8_t once[32];
    uint8_t twice[32];
    apply_all(timeline, hub_span_of(data, size));
    check(hub_timeline_state_digest(timeline, once, NULL) == HUB_OK);
    apply_all(timeline, hub_span_of(data, size));
    check(hub_timeline_state_digest(timeline, twice, NULL) == HUB_OK);
    check(memcmp(once, twice, sizeof once) == 0);
    struct reading reading = {.timeline = timeline};
    hub_arena_init(&reading.arena, 256 << 20);
    check(hub_timeline_each_chart(timeline, read_chart, &reading, NULL) == HUB_OK);
    hub_arena_deinit(&reading.arena);
    hub_timeline_close(timeline);
    hub_kv_close(kv);
    return 0;
}
