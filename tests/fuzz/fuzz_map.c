/* Any bytes through the HL7 v2 format with the real tables: decoding and inspecting never fail the program, and
 * what they give holds together. */
#include <stdlib.h>
#include <string.h>

#include "adapters/formats/hl7v2/format.h"

enum { ARENA_MAX = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *open_format(void)
{
    static struct hub_authority authorities[] = {{.name = "GENHOSP", .system = "urn:oid:1.2.3.4", .primary = true}};
    static const char *trusted[] = {"GENHOSP"};
    static struct hub_config config = {
        .path = "hub.yaml", .schema_dir = CHARTLINE_SOURCE_DIR "/schemas", .authorities = authorities, .authority_count = 1};
    static struct hub_feed feed = {.name = "f", .id = "f1", .default_authority = "GENHOSP", .trust_links = trusted, .trust_link_count = 1};
    struct hub_problems problems;
    hub_problems_init(&problems);
    config.limits.resources = 2000;
    void *context = hub_format_hl7v2.open(&config, &feed, &problems);
    if (context == NULL) {
        (void)hub_problems_print(&problems, stderr);
        abort();
    }
    hub_problems_deinit(&problems);
    return context;
}

static void check(const struct hub_decoded *decoded)
{
    for (uint32_t i = 0; i < decoded->event_count; i++) {
        const struct hub_event *event = &decoded->events[i];
        struct hub_buf out;
        hub_buf_init(&out, ARENA_MAX, false);
        for (uint32_t k = 0; k < event->resource_count; k++)
            hub_json_write(&out, event->resources[k].json);
        if (hub_buf_result(&out) == HUB_OK && !hub_utf8_valid(hub_buf_view(&out)))
            abort();
        hub_buf_deinit(&out);
        for (uint32_t k = 0; k < event->reference_count; k++) {
            if (event->references[k].target >= event->resource_count)
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void *context;
    struct hub_arena arena;
    struct hub_decoded decoded;
    struct hub_json *report = NULL;
    struct hub_error err;
    if (context == NULL)
        context = open_format();
    hub_arena_init(&arena, ARENA_MAX);
    if (hub_format_hl7v2.decode(context, &arena, hub_span_of(data, size), &decoded, &err) == HUB_OK)
        check(&decoded);
    hub_arena_reset(&arena);
    if (hub_format_hl7v2.inspect(context, &arena, hub_span_of(data, size), HUB_INSPECT_EXPLAIN | HUB_INSPECT_COVERAGE | HUB_INSPECT_VALUES,
                                 &decoded, &report, &err) == HUB_OK)
        check(&decoded);
    hub_arena_deinit(&arena);
    return 0;
}
