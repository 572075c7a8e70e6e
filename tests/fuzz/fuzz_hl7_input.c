/* What stands around the syntax: character set, times of every field, the acknowledgement of any header. */
#include <stdlib.h>

#include "adapters/formats/hl7v2/ack.h"
#include "adapters/formats/hl7v2/hl7_charset.h"
#include "adapters/formats/hl7v2/hl7_time.h"
#include "src/base/clock.h"
#include "src/codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* A text with a time of day names the very instant that was computed. */
static void visit_time(struct hub_arena *arena, const struct hub_hl7_zone *zone, struct hub_span value)
{
    struct hub_when when;
    struct hub_when date;
    struct hub_span time;
    int64_t us = 0;
    if (hub_hl7_datetime(arena, zone, value, &when, NULL) == HUB_OK && when.text.len > 10 && when.text.ptr[17] != '6') {
        check(hub_time_parse((const char *)when.text.ptr, when.text.len, &us) == 0 && us == when.us);
        check(hub_hl7_instant(arena, zone, value, &date, NULL) == HUB_OK && date.us == us);
        check(hub_hl7_date(arena, zone, value, &date, NULL) == HUB_OK && memcmp(date.text.ptr, when.text.ptr, 10) == 0);
    }
    (void)(hub_hl7_time_of_day(arena, value, &time, NULL) == HUB_OK);
}

static void visit(struct hub_arena *arena, const struct hub_hl7 *message, const char *zone_name)
{
    const struct hub_tz *named = NULL;
    struct hub_hl7_zone zone;
    check(zone_name == NULL || hub_tz_find(zone_name, &named, NULL) == HUB_OK);
    hub_hl7_zone_init(&zone, named, hub_hl7_field(&message->segments[0], 7));
    for (size_t i = 0; i < message->segment_count; i++)
        for (uint32_t n = 1; n <= message->segments[i].field_count && n < 100; n++)
            visit_time(arena, &zone, hub_hl7_field(&message->segments[i], n));
}

static void visit_answer(struct hub_arena *arena, struct hub_span view, bool good)
{
    struct hub_hl7_input input;
    check(memchr(view.ptr, 0x0b, view.len) == NULL);
    check(hub_hl7_read(arena, view, "latin1", false, 10, &input, NULL) != HUB_SYNTAX);
    check(input.message.segment_count == (good ? 2u : 3u));
}

static void answer(struct hub_arena *arena, struct hub_span head, enum hub_result result, const struct hub_error *error)
{
    struct hub_verdict verdict = {.result = result, .error = *error, .recorded_us = 1, .message_id = "abc"};
    struct hub_buf out;
    hub_buf_init(&out, 1 << 20, false);
    if (hub_hl7_ack(HUB_ACK_AUTO, head, &verdict, &out) == HUB_OK && out.len != 0) {
        struct hub_span view = hub_buf_view(&out);
        const uint8_t *separator = memchr(view.ptr, HUB_ANSWER_SEPARATOR, view.len);
        size_t first = separator != NULL ? (size_t)(separator - view.ptr) : view.len;
        visit_answer(arena, hub_span_of(view.ptr, first), result == HUB_OK);
        if (separator != NULL)
            visit_answer(arena, hub_span_of(separator + 1, view.len - first - 1), result == HUB_OK);
    }
    hub_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const charsets[] = {NULL,    "latin1",   "UTF-8",  "windows-1252",
                                           "BIG-5", "ISO IR87", "8859/7", "ISO IR14"};
    static const char *const zones[] = {NULL, "America/New_York", "Australia/Lord_Howe", "Europe/Dublin"};
    struct hub_arena arena;
    struct hub_hl7_input input;
    struct hub_error error = {.result = HUB_OK};
    if (size == 0)
        return 0;
    hub_arena_init(&arena, 16 * 1024 * 1024);
    struct hub_span bytes = hub_span_of(data + 1, size - 1);
    enum hub_result result =
        hub_hl7_read(&arena, bytes, charsets[data[0] & 7], (data[0] & 16) != 0, 1000, &input, &error);
    if (result == HUB_OK) {
        check(hub_utf8_valid(input.message.bytes));
        visit(&arena, &input.message, zones[data[0] >> 5 & 3]);
    }
    answer(&arena, input.head, result, &error);
    hub_arena_deinit(&arena);
    return 0;
}
