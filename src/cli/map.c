/* `map`: input messages as FHIR R4 Bundles, without hub and keys. */
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/messages.h"
#include "src/protect/protect.h"

enum { ARENA_BYTES_MAX = 1 << 30, FILE_BYTES_MAX = 1 << 30 };

static struct {
    const char *format, *feed;
    bool ndjson, explain, coverage, values, raw;
} opt;

const struct hub_cli_option hub_cli_map_options[] = {
    {"format", 0, HUB_CLI_TEXT, &opt.format, "NAME", "format of the input (default: the feed's, else hl7v2)"},
    {"feed", 0, HUB_CLI_TEXT, &opt.feed, "NAME", "map as this feed of the configuration does"},
    {"ndjson", 0, HUB_CLI_FLAG, &opt.ndjson, NULL, "one JSON line per input message"},
    {"explain", 0, HUB_CLI_FLAG, &opt.explain, NULL, "which rule made which element from which field"},
    {"coverage", 0, HUB_CLI_FLAG, &opt.coverage, NULL, "what was not mapped, by field"},
    {"values", 0, HUB_CLI_FLAG, &opt.values, NULL, "with --coverage: the unmapped values too"},
    {"raw", 0, HUB_CLI_FLAG, &opt.raw, NULL, "with the original message as a Binary"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_END,
};

struct mapper {
    const struct hub_format *format;
    const struct hub_feed *feed; /* NULL: none, lenient */
    void *context;
    struct hub_arena arena;
    bool failed;
};

static unsigned inspect_flags(void)
{
    return (opt.explain ? HUB_INSPECT_EXPLAIN : 0u) | (opt.coverage ? HUB_INSPECT_COVERAGE : 0u) |
           (opt.coverage && opt.values ? HUB_INSPECT_VALUES : 0u);
}

static enum hub_result bundles_of(struct mapper *m, struct hub_span message, struct hub_json *bundles,
                                  struct hub_json **report, struct hub_error *err)
{
    struct hub_decoded decoded;
    memset(&decoded, 0, sizeof decoded);
    *report = NULL;
    if (inspect_flags() != 0 && m->format->inspect != NULL)
        HUB_TRY(m->format->inspect(m->context, &m->arena, message, inspect_flags(), &decoded, report, err));
    else
        HUB_TRY(m->format->decode(m->context, &m->arena, message, &decoded, err));
    struct hub_origin origin = {.feed_id = hub_span_str(m->feed != NULL ? m->feed->id : "map"),
                                .feed_name = hub_span_str(m->feed != NULL ? m->feed->name : "map"),
                                .message = message};
    for (uint32_t i = 0; i < decoded.event_count; i++) {
        struct hub_json *bundle = NULL;
        HUB_TRY(hub_protect_plain_bundle(&m->arena, &decoded.events[i], &origin, i, opt.raw, &bundle, err));
        HUB_TRY(hub_json_push(bundles, bundle));
    }
    return HUB_OK;
}

/* {"file","message","status","error"?,"bundles"} and, where asked for, "explain" and "coverage". */
static void print_ndjson(struct mapper *m, const char *file, int64_t number, enum hub_result result,
                         const struct hub_error *err, struct hub_json *bundles, struct hub_json *report)
{
    struct hub_arena *a = &m->arena;
    struct hub_json *line = hub_json_new(a, HUB_JSON_OBJECT);
    struct hub_json *error = hub_json_new(a, HUB_JSON_OBJECT);
    if (line == NULL || error == NULL)
        goto memory;
    bool ok =
        hub_json_set_c(line, "file", hub_json_string_c(a, file)) == HUB_OK &&
        hub_json_set_c(line, "message", hub_json_number_i64(a, number)) == HUB_OK &&
        hub_json_set_c(line, "status", hub_json_string_c(a, result == HUB_OK ? "ok" : "error")) == HUB_OK &&
        hub_json_set_c(line, "bundles", bundles) == HUB_OK;
    if (ok && result != HUB_OK)
        ok = hub_json_set_c(error, "code", hub_json_string_c(a, hub_result_row(result)->metric)) == HUB_OK &&
             hub_json_set_c(error, "text",
                            hub_json_string_c(a, err->what != NULL && err->what[0] != '\0'
                                                     ? err->what
                                                     : hub_result_text(result))) == HUB_OK &&
             hub_json_set_c(error, "at", hub_json_string_c(a, err->place)) == HUB_OK &&
             hub_json_set_c(line, "error", error) == HUB_OK;
    static const char *const reports[] = {"explain", "coverage"};
    for (size_t i = 0; ok && i < 2; i++) {
        struct hub_json *part = report != NULL ? hub_json_remove(report, reports[i]) : NULL;
        ok = part == NULL || hub_json_set_c(line, reports[i], part) == HUB_OK;
    }
    if (ok) {
        hub_cli_print_line(line);
        return;
    }
memory:
    m->failed = true;
    (void)fprintf(stderr, "chartline: %s: message %lld: out of memory\n", file, (long long)number);
}

static void print_reports(const struct hub_json *report)
{
    const struct hub_json *explain = hub_json_get(report, "explain");
    for (const struct hub_json *item = explain != NULL ? explain->first : NULL; item != NULL;
         item = item->next) {
        static const char *const columns[] = {"element", "from", "rule", "table"};
        for (size_t i = 0; i < 4; i++) {
            hub_cli_print_text(hub_json_get_span(item, columns[i]), stdout);
            (void)fputc(i < 3 ? '\t' : '\n', stdout);
        }
    }
    const struct hub_json *coverage = hub_json_get(report, "coverage");
    const struct hub_json *unmapped = hub_json_get(coverage, "unmapped");
    if (coverage == NULL)
        return;
    (void)printf("%.*s of %.*s values mapped\n", (int)hub_json_span(hub_json_get(coverage, "mapped")).len,
                 (const char *)hub_json_span(hub_json_get(coverage, "mapped")).ptr,
                 (int)hub_json_span(hub_json_get(coverage, "values")).len,
                 (const char *)hub_json_span(hub_json_get(coverage, "values")).ptr);
    for (const struct hub_json *item = unmapped != NULL ? unmapped->first : NULL; item != NULL;
         item = item->next) {
        (void)printf("unmapped\t");
        hub_cli_print_text(hub_json_get_span(item, "at"), stdout);
        if (opt.values) {
            (void)fputc('\t', stdout);
            hub_cli_print_text(hub_json_get_span(item, "value"), stdout);
        }
        (void)fputc('\n', stdout);
    }
}

static void print_plain(const char *file, int64_t number, enum hub_result result, struct hub_error *err,
                        const struct hub_json *bundles, const struct hub_json *report)
{
    if (result != HUB_OK) {
        char text[640];
        (void)hub_error_print(err, text, sizeof text);
        (void)fprintf(stderr, "chartline: %s: message %lld: %s\n", file, (long long)number, text);
        return;
    }
    if (report != NULL)
        print_reports(report);
    else
        for (const struct hub_json *bundle = bundles->first; bundle != NULL; bundle = bundle->next)
            hub_cli_print_json(bundle);
}

static void report_message(struct mapper *m, const char *file, int64_t number, enum hub_result result,
                           struct hub_error *err, struct hub_json *bundles, struct hub_json *report)
{
    m->failed = m->failed || result != HUB_OK;
    if (result != HUB_OK)
        bundles = hub_json_new(&m->arena, HUB_JSON_ARRAY);
    if (opt.ndjson)
        print_ndjson(m, file, number, result, err, bundles, report);
    else
        print_plain(file, number, result, err, bundles, report);
}

static void map_file(struct mapper *m, const char *file)
{
    struct hub_buf bytes;
    struct hub_error err = {0};
    enum hub_result result = hub_cli_read_file(file, FILE_BYTES_MAX, &bytes, &err);
    struct hub_cli_messages messages;
    struct hub_span message;
    int64_t number = 0;
    hub_cli_messages_begin(&messages, hub_buf_view(&bytes), false);
    while (result == HUB_OK && hub_cli_messages_next(&messages, &message)) {
        struct hub_error why = {0};
        struct hub_json *report = NULL;
        hub_arena_reset(&m->arena);
        struct hub_json *bundles = hub_json_new(&m->arena, HUB_JSON_ARRAY);
        enum hub_result mapped =
            bundles == NULL ? HUB_NO_MEMORY : bundles_of(m, message, bundles, &report, &why);
        if (mapped != HUB_OK)
            why.result = mapped;
        report_message(m, file, ++number, mapped, &why, bundles, report);
    }
    if (number == 0) {
        hub_arena_reset(&m->arena);
        if (result == HUB_OK) {
            result = hub_fail(&err, HUB_SYNTAX, "the file holds no message", NULL);
            (void)hub_error_in(&err, file, 0);
        }
        report_message(m, file, 0, result, &err, NULL, NULL);
    }
    hub_buf_deinit(&bytes);
}

/* The configuration to map by: --feed or -c name a hub's, else defaults. */
static struct hub_config *choose_config(const struct hub_feed **feed)
{
    *feed = NULL;
    if (opt.feed == NULL && hub_cli.config == hub_cli_default_config) {
        const char *share = hub_cli_share_dir();
        char schemas[4096];
        (void)snprintf(schemas, sizeof schemas, "%s/schemas", share != NULL ? share : "");
        return share != NULL ? hub_config_new(schemas) : NULL;
    }
    struct hub_config *config = hub_cli_config();
    if (config == NULL)
        return NULL;
    if (opt.feed != NULL)
        *feed = hub_config_feed(config, opt.feed);
    else if (config->feed_count == 1)
        *feed = &config->feeds[0];
    if (*feed != NULL)
        return config;
    if (opt.feed != NULL)
        (void)hub_cli_usage("the configuration has no feed %s", opt.feed);
    else
        (void)hub_cli_usage("the configuration has several feeds or none: choose with --feed");
    hub_config_free(config);
    return NULL;
}

static int map_files(struct hub_config *config, const struct hub_feed *feed, int count, char **files)
{
    const char *name = opt.format != NULL ? opt.format : feed != NULL ? feed->format : "hl7v2";
    struct mapper m = {.format = hub_registry_format(hub_cli_registry(), name), .feed = feed};
    if (m.format == NULL)
        return hub_cli_usage("no such format: %s", name);
    struct hub_problems problems;
    hub_problems_init(&problems);
    m.context = m.format->open(config, feed, &problems);
    int code = hub_cli_problems(&problems, false);
    hub_problems_deinit(&problems);
    if (m.context == NULL)
        return code != HUB_EXIT_OK ? code : HUB_EXIT_USAGE;
    hub_arena_init(&m.arena, ARENA_BYTES_MAX);
    for (int i = 0; i < count; i++)
        map_file(&m, files[i]);
    hub_arena_deinit(&m.arena);
    m.format->close(m.context);
    return m.failed ? HUB_EXIT_WRONG : HUB_EXIT_OK;
}

int hub_cli_map(int count, char **operands)
{
    if (count == 0)
        return hub_cli_usage("map: name the files to map, or - for standard input");
    const struct hub_feed *feed;
    struct hub_config *config = choose_config(&feed);
    if (config == NULL)
        return HUB_EXIT_USAGE;
    int code = map_files(config, feed, count, operands);
    hub_config_free(config);
    return code;
}
