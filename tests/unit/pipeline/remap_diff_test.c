/* Differences by element path: what was added, removed and changed, whatever ids and places did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/pipeline/remap_diff.h"

static struct hub_arena arena;
static struct hub_diff *diff;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 64 << 20);
    diff = hub_diff_new();
    return diff == NULL;
}

static int teardown(void **state)
{
    (void)state;
    hub_diff_free(diff);
    hub_arena_deinit(&arena);
    return 0;
}

static struct hub_json *event(const char *attributes, const char *resources)
{
    struct hub_json *json = NULL;
    const char *text = hub_arena_printf(&arena, "{\"attributes\":{%s},\"resources\":[%s]}", attributes, resources);
    assert_int_equal(hub_json_parse(&arena, hub_span_str(text), &json, NULL), HUB_OK);
    return json;
}

static void compare(struct hub_json *before, struct hub_json *after)
{
    assert_int_equal(hub_diff_add(diff, &arena, &before, before != NULL, &after, after != NULL, NULL, NULL), HUB_OK);
}

static bool print_row(void *ctx, const struct hub_diff_row *row)
{
    char *text = ctx;
    const size_t len = strlen(text);
    (void)snprintf(text + len, 4096 - len, "%.*s +%llu -%llu ~%llu in %llu\n", (int)row->path.len, (const char *)row->path.ptr,
                   (unsigned long long)row->added, (unsigned long long)row->removed, (unsigned long long)row->changed,
                   (unsigned long long)row->messages);
    return true;
}

static const char *rows(void)
{
    static char text[4096];
    uint64_t more = 1;
    text[0] = '\0';
    hub_diff_each(diff, print_row, text, &more);
    assert_int_equal(more, 0);
    return text;
}

static void elements_are_named_by_path_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        compare(event("\"time\":\"2024\"", "{\"resourceType\":\"Patient\",\"gender\":\"male\",\"name\":[{\"family\":\"A\"},{\"family\":\"B\"}]}"),
                event("\"time\":\"2025\"", "{\"resourceType\":\"Patient\",\"gender\":\"other\",\"name\":[{\"family\":\"A\",\"given\":[\"C\"]}],\"active\":true}"));
    assert_string_equal(rows(), "Patient.active +2 -0 ~0 in 2\nPatient.gender +0 -0 ~2 in 2\nPatient.name[] +0 -2 ~0 in 2\n"
                                "Patient.name[].given +2 -0 ~0 in 2\nevent.time +0 -0 ~2 in 2\n");
}

static void what_is_the_same_makes_no_row(void **state)
{
    (void)state;
    compare(event("", "{\"resourceType\":\"Patient\",\"id\":\"x\",\"gender\":\"male\"}"),
            event("", "{\"resourceType\":\"Patient\",\"id\":\"x\",\"gender\":\"male\"}"));
    assert_string_equal(rows(), "");
}

/* One resource more in the middle shifts ids: only it is new. */
static void shifted_resources_are_told_apart_by_what_they_say(void **state)
{
    (void)state;
    compare(event("", "{\"resourceType\":\"Observation\",\"id\":\"i0\",\"status\":\"final\",\"valueString\":\"a\"},"
                      "{\"resourceType\":\"Observation\",\"id\":\"i1\",\"status\":\"final\",\"valueString\":\"b\"},"
                      "{\"resourceType\":\"DiagnosticReport\",\"id\":\"i2\",\"result\":[{\"reference\":\"Observation/i1\"}]}"),
            event("", "{\"resourceType\":\"Observation\",\"id\":\"i0\",\"status\":\"final\",\"valueString\":\"a\"},"
                      "{\"resourceType\":\"Specimen\",\"id\":\"i1\"},"
                      "{\"resourceType\":\"Observation\",\"id\":\"i2\",\"status\":\"final\",\"valueString\":\"b\"},"
                      "{\"resourceType\":\"DiagnosticReport\",\"id\":\"i3\",\"result\":[{\"reference\":\"Observation/i2\"}]}"));
    assert_string_equal(rows(), "Specimen +1 -0 ~0 in 1\n");
}

static void extensions_are_matched_by_their_url(void **state)
{
    (void)state;
    compare(event("", "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"urn:a\",\"valueString\":\"1\"},{\"url\":\"urn:b\",\"valueString\":\"2\"}]}"),
            event("", "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"urn:b\",\"valueString\":\"3\"}]}"));
    assert_string_equal(rows(), "Patient.extension(urn:a) +0 -1 ~0 in 1\nPatient.extension(urn:b).valueString +0 -0 ~1 in 1\n");
}

static void the_words_of_an_entry_are_compared_one_by_one(void **state)
{
    (void)state;
    compare(event("", "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"urn:chartline:entry\",\"valueString\":\"fact=a kind=patient mode=fold\"}]}"),
            event("", "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"urn:chartline:entry\",\"valueString\":\"effective=2024 fact=b kind=patient\"}]}"));
    assert_string_equal(rows(), "Patient.extension(urn:chartline:entry).effective +1 -0 ~0 in 1\n"
                                "Patient.extension(urn:chartline:entry).fact +0 -0 ~1 in 1\n"
                                "Patient.extension(urn:chartline:entry).mode +0 -1 ~0 in 1\n");
}

static void an_event_more_or_less_is_a_difference(void **state)
{
    (void)state;
    compare(NULL, event("\"subject\":\"1a\"", "{\"resourceType\":\"Patient\"}"));
    compare(event("\"subject\":\"1a\"", "{\"resourceType\":\"Patient\"}"), NULL);
    assert_string_equal(rows(), "Patient +1 -1 ~0 in 2\nevent +1 -1 ~0 in 2\n");
}

static void paths_beyond_the_limit_are_counted_only(void **state)
{
    (void)state;
    uint64_t more = 0;
    char text[4096] = "";
    struct hub_json *before = event("", "{\"resourceType\":\"Basic\"}");
    for (int i = 0; i < HUB_DIFF_PATHS_MAX + 10; i += 10) {
        struct hub_buf many;
        hub_buf_init(&many, 1 << 20, false);
        hub_buf_append_str(&many, "{\"resourceType\":\"Basic\"");
        for (int k = 0; k < 10; k++)
            hub_buf_printf(&many, ",\"e%d\":1", i + k);
        hub_buf_append_byte(&many, '}');
        compare(before, event("", hub_buf_str(&many)));
        hub_buf_deinit(&many);
    }
    hub_diff_each(diff, print_row, text, &more);
    assert_int_equal(more, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(elements_are_named_by_path_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_the_same_makes_no_row, setup, teardown),
        cmocka_unit_test_setup_teardown(shifted_resources_are_told_apart_by_what_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(extensions_are_matched_by_their_url, setup, teardown),
        cmocka_unit_test_setup_teardown(the_words_of_an_entry_are_compared_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_more_or_less_is_a_difference, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_beyond_the_limit_are_counted_only, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
