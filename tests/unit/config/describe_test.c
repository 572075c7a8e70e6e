/* The documentation and the schema are what the rows say, and a dump is a configuration again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/codec/json.h"
#include "src/config/describe.h"
#include "src/config/value.h"

/* With CHARTLINE_UPDATE_DOCS set the file is written instead of compared (make docs). */
static void same_as_committed(const char *path, struct hub_buf *made)
{
    assert_int_equal(hub_buf_result(made), HUB_OK);
    assert_true(made->len > 1000);
    if (getenv("CHARTLINE_UPDATE_DOCS") != NULL) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(made->ptr, 1, made->len, f), made->len);
        assert_int_equal(fclose(f), 0);
        return;
    }
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = hub_mem_alloc(made->len + 2);
    assert_non_null(text);
    size_t got = fread(text, 1, made->len + 1, f);
    (void)fclose(f);
    bool same = got == made->len && memcmp(text, made->ptr, got) == 0;
    hub_mem_free(text);
    if (!same)
        fail_msg("%s is not what the options say: run make docs", path);
}

static void configuration_page_is_generated_from_the_rows(void **state)
{
    (void)state;
    struct hub_buf made;
    hub_buf_init(&made, 1 << 20, false);
    hub_config_docs(&made);
    same_as_committed(CHARTLINE_SOURCE_DIR "/docs/CONFIGURATION.md", &made);
    hub_buf_deinit(&made);
}

static void configuration_schema_is_generated_from_the_rows(void **state)
{
    (void)state;
    struct hub_buf made;
    hub_buf_init(&made, 1 << 20, false);
    hub_config_schema(&made);
    same_as_committed(CHARTLINE_SOURCE_DIR "/schemas/config/hub.schema.json", &made);
    struct hub_arena arena;
    struct hub_json *tree = NULL;
    hub_arena_init(&arena, 1 << 24);
    assert_int_equal(hub_json_parse(&arena, hub_buf_view(&made), &tree, NULL), HUB_OK);
    assert_non_null(hub_json_get(hub_json_get(hub_json_get(tree, "properties"), "feeds"), "items"));
    hub_arena_deinit(&arena);
    hub_buf_deinit(&made);
}

static struct hub_config *parse(const char *text)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_config *config = hub_config_parse("hub.yaml", hub_span_str(text), &problems);
    if (config == NULL)
        (void)hub_problems_print(&problems, stderr);
    hub_problems_deinit(&problems);
    assert_non_null(config);
    return config;
}

/* gcc, inlining this, takes the stream's buffer for the variable that points at it */
__attribute__((noinline)) static char *dump(const struct hub_config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    assert_non_null(memory);
    hub_config_dump(config, memory);
    assert_int_equal(fclose(memory), 0);
    return text;
}

static void dump_hides_secrets_and_reads_back(void **state)
{
    (void)state;
    struct hub_config *config =
        parse("hub: {name: a, root_key: {command: \"vault read secret-path\"}}\n"
              "feeds: [{name: x, id: f1, transport: {mllp: {listen: \"127.0.0.1:1\", tls: {cert: c, key: k, "
              "client_ca: ca}}},"
              " format: {hl7v2: {timezone: UTC}}, identity: {inverse_merge: reject}}]\n"
              "limits: {idle: 90s, message_bytes: 3MiB}\n");
    char *text = dump(config);
    assert_null(strstr(text, "vault"));
    char *hidden = strstr(text, " (hidden, from a command)");
    assert_non_null(hidden);
    static const char reference[] = " {env: X}                "; /* as long as what it replaces */
    assert_int_equal(strlen(reference), strlen(" (hidden, from a command)"));
    memcpy(hidden, reference, strlen(reference));
    struct hub_config *again = parse(text);
    assert_int_equal(again->limits.idle_ms, 90000);
    assert_int_equal(again->limits.message_bytes, 3 << 20);
    assert_true(again->feeds[0].inverse_merge_reject);
    assert_string_equal(again->feeds[0].tls.client_ca, "ca");
    assert_int_equal(again->identity_ignore_count, config->identity_ignore_count);
    free(text);
    hub_config_free(config);
    hub_config_free(again);
}

static void sizes_and_durations_read_back_what_they_print(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 1, 1000, 1024, 1500, 60000000, 3600000000, 1 << 20, (int64_t)5 << 30};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[32];
        int64_t back = -1;
        hub_value_size_text(values[i], text);
        assert_true(hub_value_size(text, &back));
        assert_int_equal(back, values[i]);
        hub_value_duration_text(values[i], text);
        assert_true(hub_value_duration(text, &back));
        assert_int_equal(back, values[i]);
    }
    int64_t ignored;
    assert_false(hub_value_duration("5", &ignored));
    assert_false(hub_value_duration("m", &ignored));
    assert_false(hub_value_duration("5 m", &ignored));
    assert_false(hub_value_size("-1", &ignored));
    assert_false(hub_value_size("", &ignored));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_page_is_generated_from_the_rows),
        cmocka_unit_test(configuration_schema_is_generated_from_the_rows),
        cmocka_unit_test(dump_hides_secrets_and_reads_back),
        cmocka_unit_test(sizes_and_durations_read_back_what_they_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
