/* The mapping tables over whole messages: tests/data/map/NAME.hl7 becomes NAME.json, value by value;
 * resources, references (as Type/ordinal), entries with their keys, identity, times, and what is not mapped.
 * usage: tables_golden_test [--write] [FILE.hl7...]   with files: prints theirs; --write: takes today's as
 * expected, for reading the difference before it is committed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/formats/hl7v2/format.h"
#include "src/base/mem.h"

enum { FILE_BYTES_MAX = 1 << 20, ARENA_BYTES_MAX = 64 << 20, FILES_MAX = 500 };

static void *context;
static struct hub_config *config;
static struct hub_arena arena;

static const char *const mode_names[] = {"replace", "fold", "fill", "status"};
static const char *const act_names[] = {"state", "withdraw", "cancel_transfer", "cancel_admission",
                                        "cancel_discharge"};
static const char *const fact_names[] = {"same", "merge", "link", "unlink", "retract", "manual", "match"};

static void set(struct hub_json *object, const char *key, struct hub_json *value)
{
    assert_int_equal(hub_json_set_c(object, key, value), HUB_OK);
}

static void set_text(struct hub_json *object, const char *key, struct hub_span text)
{
    set(object, key, hub_json_string(&arena, text));
}

static void push(struct hub_json *array, struct hub_json *value)
{
    assert_non_null(value);
    assert_int_equal(hub_json_push(array, value), HUB_OK);
}

static struct hub_json *new_object(void)
{
    return hub_json_new(&arena, HUB_JSON_OBJECT);
}

static struct hub_json *new_array(void)
{
    return hub_json_new(&arena, HUB_JSON_ARRAY);
}

/* The parts of a key, one after the other, with bars between. */
static struct hub_span key_text(const struct hub_fact_key *key)
{
    const char *text = key->with_subject ? "subject|" : "";
    for (uint16_t i = 0; i < key->part_count; i++)
        text = hub_arena_printf(&arena, "%s%.*s%s", text, (int)key->parts[i].len,
                                (const char *)key->parts[i].ptr, i + 1 < key->part_count ? "|" : "");
    return hub_span_str(text);
}

static void set_key(struct hub_json *object, const char *name, const struct hub_fact_key *key)
{
    if (key->part_count != 0 || key->with_subject)
        set_text(object, name, key_text(key));
}

static struct hub_json *entry_json(const struct hub_entry *entry)
{
    struct hub_json *out = new_object();
    set_text(out, "kind", hub_span_str(hub_kind_name(entry->kind)));
    set_key(out, "key", &entry->keys[0]);
    set_key(out, "key2", &entry->keys[1]);
    set_text(out, "mode", hub_span_str(mode_names[entry->mode]));
    set_text(out, "act", hub_span_str(act_names[entry->act]));
    set(out, "class", hub_json_number_i64(&arena, entry->status_class));
    set_text(out, "effective", entry->effective.text);
    set_text(out, "version", entry->version.text);
    set_key(out, "list", &entry->list);
    if (entry->listed.text.len != 0)
        set_text(out, "list_version", entry->listed.text);
    if (entry->list_marks)
        set(out, "list_marks", hub_json_bool(&arena, true));
    set_key(out, "measure", &entry->measure);
    set_key(out, "location", &entry->location);
    set_key(out, "encounter", &entry->encounter);
    return out;
}

static struct hub_json *resources_json(const struct hub_event *event)
{
    struct hub_json *out = new_array();
    for (uint32_t i = 0; i < event->reference_count; i++) {
        const struct hub_reference *r = &event->references[i];
        assert_true(r->target < event->resource_count);
        const char *text = hub_arena_printf(&arena, "%s/%u", event->resources[r->target].type, r->target);
        assert_non_null(text);
        r->node->str = text;
        r->node->len = (uint32_t)strlen(text);
    }
    for (uint32_t i = 0; i < event->resource_count; i++) {
        struct hub_json *item = new_object();
        set(item, "ordinal", hub_json_number_i64(&arena, i));
        set(item, "resource", event->resources[i].json);
        if (event->resources[i].entry.kind != HUB_KIND_NONE)
            set(item, "entry", entry_json(&event->resources[i].entry));
        push(out, item);
    }
    return out;
}

static struct hub_json *identity_json(const struct hub_event *event)
{
    struct hub_json *out = new_array();
    for (uint16_t i = 0; i < event->fact_count; i++) {
        const struct hub_identity_fact *fact = &event->facts[i];
        const char *text = fact_names[fact->kind];
        for (uint16_t n = 0; n < fact->count; n++) {
            const struct hub_identifier *id = &event->identifiers[fact->identifiers[n]];
            text = hub_arena_printf(&arena, "%s %.*s|%.*s", text, (int)id->system.len,
                                    (const char *)id->system.ptr, (int)id->value.len,
                                    (const char *)id->value.ptr);
        }
        push(out, hub_json_string_c(&arena, text));
    }
    return out;
}

static struct hub_json *event_json(const struct hub_event *event)
{
    struct hub_json *out = new_object();
    struct hub_json *identifiers = new_array();
    for (uint16_t i = 0; i < event->identifier_count; i++) {
        const struct hub_identifier *id = &event->identifiers[i];
        push(identifiers,
             hub_json_string_c(&arena, hub_arena_printf(&arena, "%.*s|%.*s", (int)id->system.len,
                                                        (const char *)id->system.ptr, (int)id->value.len,
                                                        (const char *)id->value.ptr)));
    }
    set(out, "identifiers", identifiers);
    set(out, "has_patient", hub_json_bool(&arena, event->has_patient));
    set(out, "facts", identity_json(event));
    set_text(out, "time", event->time.text);
    set_text(out, "timesource", hub_span_str(event->time_source));
    set(out, "resources", resources_json(event));
    return out;
}

static struct hub_json *message_json(struct hub_span message)
{
    struct hub_decoded decoded;
    struct hub_error err = {0};
    struct hub_json *report = NULL;
    memset(&decoded, 0, sizeof decoded);
    enum hub_result result =
        hub_format_hl7v2.inspect(context, &arena, message, HUB_INSPECT_COVERAGE, &decoded, &report, &err);
    struct hub_json *out = new_object();
    set_text(out, "trigger", hub_arena_copy(&arena, hub_span_str(decoded.trigger)));
    set_text(out, "message_time", decoded.message_time.text);
    if (result != HUB_OK) {
        set_text(out, "error", hub_span_str(hub_result_row(result)->metric));
        set_text(out, "at", hub_arena_copy(&arena, hub_span_str(err.place)));
        return out;
    }
    struct hub_json *events = new_array();
    for (uint32_t i = 0; i < decoded.event_count; i++)
        push(events, event_json(&decoded.events[i]));
    set(out, "events", events);
    struct hub_json *unmapped = new_array();
    const struct hub_json *list = hub_json_get(hub_json_get(report, "coverage"), "unmapped");
    for (const struct hub_json *item = list != NULL ? list->first : NULL; item != NULL; item = item->next)
        push(unmapped, hub_json_string(&arena, hub_json_get_span(item, "at")));
    set(out, "unmapped", unmapped);
    return out;
}

static size_t read_file(const char *path, char *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 0;
    size_t len = fread(bytes, 1, FILE_BYTES_MAX, file);
    (void)fclose(file);
    return len;
}

static char *alloc_file(void)
{
    char *bytes = hub_mem_alloc(FILE_BYTES_MAX);
    assert_non_null(bytes);
    return bytes;
}

/* The expected text of the message in PATH. */
static void dump(const char *path, struct hub_buf *out)
{
    char *bytes = alloc_file();
    size_t len = read_file(path, bytes);
    hub_arena_reset(&arena);
    hub_json_write_pretty(out, message_json(hub_span_of(bytes, len)));
    hub_buf_append_byte(out, '\n');
    assert_int_equal(hub_buf_result(out), HUB_OK);
    hub_mem_free(bytes);
}

static void expected_path(const char *path, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%.*s.json", (int)(strlen(path) - strlen(".hl7")), path);
}

static bool differs(const char *path)
{
    char expected[4096];
    char *bytes = alloc_file();
    struct hub_buf now;
    hub_buf_init(&now, 16 << 20, false);
    dump(path, &now);
    expected_path(path, expected, sizeof expected);
    size_t len = read_file(expected, bytes);
    bool equal = hub_span_equal(hub_buf_view(&now), hub_span_of(bytes, len));
    if (!equal) {
        size_t at = 0;
        unsigned line = 1;
        while (at < len && at < now.len && (uint8_t)bytes[at] == now.ptr[at])
            line += bytes[at++] == '\n' ? 1u : 0u;
        (void)fprintf(stderr, "%s: line %u differs (%zu bytes expected, %zu made)\n", expected, line, len,
                      now.len);
    }
    hub_buf_deinit(&now);
    hub_mem_free(bytes);
    return !equal;
}

static bool write_expected(const char *path)
{
    char expected[4096];
    struct hub_buf now;
    hub_buf_init(&now, 16 << 20, false);
    dump(path, &now);
    expected_path(path, expected, sizeof expected);
    FILE *file = fopen(expected, "wb");
    bool ok = file != NULL && fwrite(now.ptr, 1, now.len, file) == now.len;
    if (file != NULL)
        ok = fclose(file) == 0 && ok;
    hub_buf_deinit(&now);
    return ok;
}

static unsigned each_message(bool (*take)(const char *path), unsigned *taken)
{
    const char *folder = CHARTLINE_SOURCE_DIR "/tests/data/map";
    DIR *dir = opendir(folder);
    unsigned count = 0;
    *taken = 0;
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL && count < FILES_MAX; e = readdir(dir)) {
        char path[4096];
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".hl7") != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        count++;
        *taken += take(path) ? 1u : 0u;
    }
    (void)closedir(dir);
    return count;
}

static void messages_become_what_was_read_and_agreed(void **state)
{
    (void)state;
    unsigned wrong = 0;
    assert_true(each_message(differs, &wrong) > 0);
    assert_int_equal(wrong, 0);
}

static bool open_context(void)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    hub_arena_init(&arena, ARENA_BYTES_MAX);
    config = hub_config_new(CHARTLINE_SOURCE_DIR "/schemas");
    context = config != NULL ? hub_format_hl7v2.open(config, NULL, &problems) : NULL;
    if (context == NULL)
        (void)hub_problems_print(&problems, stderr);
    hub_problems_deinit(&problems);
    return context != NULL;
}

static void print_file(const char *path)
{
    struct hub_buf now;
    hub_buf_init(&now, 16 << 20, false);
    dump(path, &now);
    (void)fwrite(now.ptr, 1, now.len, stdout);
    hub_buf_deinit(&now);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages_become_what_was_read_and_agreed)};
    unsigned written = 0;
    int failed = 1;
    if (open_context()) {
        if (argc > 1 && strcmp(argv[1], "--write") == 0)
            failed = each_message(write_expected, &written) == written ? 0 : 1;
        else if (argc > 1)
            for (failed = 0; --argc > 0;)
                print_file(*++argv);
        else
            failed = cmocka_run_group_tests(tests, NULL, NULL);
        hub_format_hl7v2.close(context);
    }
    hub_config_free(config);
    hub_arena_deinit(&arena);
    return failed;
}
