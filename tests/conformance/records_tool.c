/* For tests: what a stopped hub has stored, a line a record, and the program's own verdict over lines.
 *   records_tool dump DATA_DIR       "event <json>" of the event log, "timeline <json>" of the timeline's store
 *   records_tool check SCHEMA [N]    a line of standard input, a line of verdict: "ok", or "no <where>: <why>"; N times */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/codec/json.h"
#include "src/log/log.h"
#include "src/log/record.h"
#include "src/schema/json_schema.h"
#include "src/timeline/group.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, SCHEMA_BYTES = 256 * 1024 };

static int fail(const char *what, const struct hub_error *err)
{
    (void)fprintf(stderr, "records_tool: %s: %s %s\n", what, err->what != NULL ? err->what : "", err->place);
    return 2;
}

static void line(const char *kind, struct hub_span text)
{
    (void)printf("%s %.*s\n", kind, (int)text.len, (const char *)text.ptr);
}

static int dump_log(const char *folder)
{
    struct hub_log *log = NULL;
    struct hub_log_reader *reader = NULL;
    struct hub_error err = {0};
    struct hub_span payload, section;
    uint64_t number;
    if (hub_log_view(folder, hub_disk_system(), &log, &err) != HUB_OK ||
        hub_log_reader_open(log, hub_log_first(log), &reader, &err) != HUB_OK)
        return fail(folder, &err);
    while (hub_log_reader_next(reader, &number, &payload, &err) == HUB_OK) {
        struct hub_record_view record;
        enum hub_section_kind kind;
        if (hub_record_parse(payload, &record) != HUB_OK || record.kind == HUB_RECORD_CARRIED)
            continue;
        while (hub_record_next(&record, &kind, &section) == HUB_OK)
            if (kind == HUB_SECTION_EVENT)
                line("event", section);
    }
    hub_log_reader_close(reader);
    hub_log_close(log, false);
    return 0;
}

static int dump_timeline(const char *folder)
{
    const struct hub_kv_options options = {.families = hub_timeline_families(), .derived = true, .read_only = true};
    struct hub_kv *kv = NULL;
    struct hub_error err = {0};
    struct timeline_entries entries;
    if (hub_kv_open_rocksdb(folder, &options, &kv, &err) != HUB_OK)
        return fail(folder, &err);
    struct hub_kv_iter *iter = hub_kv_iter_new(kv, FAMILY_ENTRIES, HUB_SPAN_NONE);
    timeline_entries_init(&entries, iter);
    while (timeline_entries_next(&entries))
        line("timeline", entries.record);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    static const unsigned families[] = {FAMILY_TOKENS, FAMILY_REVISIONS};
    for (size_t i = 0; i < 2; i++) {
        iter = hub_kv_iter_new(kv, families[i], HUB_SPAN_NONE);
        while (hub_kv_iter_next(iter))
            line("timeline", hub_kv_iter_value(iter));
        hub_kv_iter_free(iter);
    }
    hub_kv_close(kv);
    return 0;
}

static int check(const char *path, int times)
{
    static char text[SCHEMA_BYTES];
    struct hub_arena arena;
    struct hub_error err = {0};
    const struct hub_json_schema *schema = NULL;
    FILE *file = fopen(path, "rb");
    size_t len = file != NULL ? fread(text, 1, sizeof text, file) : 0;
    if (file != NULL)
        (void)fclose(file);
    hub_arena_init(&arena, ARENA_BYTES);
    if (hub_json_schema_compile(&arena, hub_span_of(text, len), &schema, &err) != HUB_OK)
        return fail(path, &err);
    char *input = NULL;
    size_t cap = 0;
    for (ssize_t got; (got = getline(&input, &cap, stdin)) > 0;) {
        struct hub_span value = hub_span_of(input, (size_t)got - 1);
        enum hub_result result = HUB_OK;
        for (int i = 0; i < times; i++)
            result = hub_json_schema_check(schema, value, &err);
        if (result == HUB_OK)
            (void)puts("ok");
        else
            (void)printf("no %s: %s\n", err.place, err.what);
    }
    free(input);
    hub_arena_deinit(&arena);
    return 0;
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc == 3 && strcmp(argv[1], "dump") == 0) {
        (void)snprintf(path, sizeof path, "%s/log", argv[2]);
        if (dump_log(path) != 0)
            return 2;
        (void)snprintf(path, sizeof path, "%s/timeline", argv[2]);
        return dump_timeline(path);
    }
    if (argc >= 3 && strcmp(argv[1], "check") == 0)
        return check(argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1);
    (void)fputs("records_tool dump DATA_DIR | check SCHEMA [N]\n", stderr);
    return 2;
}
