/* Element paths and code lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/schema/codes.h"
#include "src/schema/element.h"

static struct hub_arena arena;
static struct hub_problems problems;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 1 << 22);
    hub_problems_init(&problems);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_problems_deinit(&problems);
    hub_arena_deinit(&arena);
    return 0;
}

static void put(struct hub_json *object, const char *path, const char *text)
{
    struct hub_element element;
    assert_true(hub_element_parse(&arena, path, &element));
    assert_int_equal(hub_element_put(&arena, object, &element, hub_json_string_c(&arena, text), NULL), HUB_OK);
}

static void put_object(struct hub_json *object, const char *path, const char *member, const char *text)
{
    struct hub_element element;
    struct hub_json *node = hub_json_new(&arena, HUB_JSON_OBJECT);
    assert_true(hub_element_parse(&arena, path, &element));
    assert_int_equal(hub_json_set_c(node, member, hub_json_string_c(&arena, text)), HUB_OK);
    assert_int_equal(hub_element_put(&arena, object, &element, node, NULL), HUB_OK);
}

static void assert_text(const struct hub_json *node, const char *text)
{
    struct hub_buf buf;
    hub_buf_init(&buf, 1 << 16, false);
    hub_json_write(&buf, node);
    assert_string_equal(hub_buf_str(&buf), text);
    hub_buf_deinit(&buf);
}

static void steps_are_made_on_the_way(void **state)
{
    (void)state;
    struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
    put(object, "a.b.c", "1");
    put(object, "a.d", "2");
    put(object, "list[].x", "3");
    put(object, "list[].x", "4");
    put(object, "one[1].x", "5");
    put(object, "one[1].y", "6");
    assert_text(object, "{\"a\":{\"b\":{\"c\":\"1\"},\"d\":\"2\"},\"list\":[{\"x\":\"3\"},{\"x\":\"4\"}],\"one\":[{\"x\":\"5\",\"y\":\"6\"}]}");
}

static void extensions_carry_their_url(void **state)
{
    (void)state;
    struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
    put(object, "extension(urn:a.b).valueString", "1");
    put(object, "_x.extension(urn:c).extension(d).valueCode", "2");
    assert_text(object, "{\"_x\":{\"extension\":[{\"extension\":[{\"url\":\"d\",\"valueCode\":\"2\"}],\"url\":\"urn:c\"}]},"
                        "\"extension\":[{\"url\":\"urn:a.b\",\"valueString\":\"1\"}]}");
}

static void objects_merge_and_values_replace(void **state)
{
    (void)state;
    struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
    put_object(object, "q", "value", "1");
    put_object(object, "q", "unit", "mg");
    put(object, "s", "old");
    put(object, "s", "new");
    assert_text(object, "{\"q\":{\"unit\":\"mg\",\"value\":\"1\"},\"s\":\"new\"}");
}

static void what_is_no_path_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a.", ".a", "a..b", "a[2]", "a[", "extension()", "extension(x", "a b", "a[]x", NULL};
    struct hub_element element;
    for (size_t i = 0; bad[i] != NULL; i++)
        assert_false(hub_element_parse(&arena, bad[i], &element));
    assert_true(hub_element_parse(&arena, ".", &element));
    assert_int_equal(element.count, 0);
}

static void codes_compile(const char *yaml, struct hub_codes *out)
{
    struct hub_codes_source source = {"c.yaml", hub_yaml_parse(&arena, "c.yaml", hub_span_str(yaml), &problems)};
    assert_non_null(source.yaml);
    hub_codes_compile(&arena, "C", &source, 1, out, &problems);
}

static void codes_are_found_exactly_then_without_case(void **state)
{
    (void)state;
    struct hub_codes codes;
    codes_compile("system: urn:t\nsource: urn:s\nmap: {a: one, A: two, B: {code: three, system: urn:u, display: Three}, C: null}\n", &codes);
    assert_int_equal(problems.count, 0);
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("a"))->code, "one"));
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("A"))->code, "two"));
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("b"))->code, "three"));
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("b"))->system, "urn:u"));
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("a"))->system, "urn:t"));
    assert_int_equal(hub_codes_find(&codes, HUB_SPAN("C"))->code.len, 0);
    assert_null(hub_codes_find(&codes, HUB_SPAN("D")));
    assert_null(hub_codes_find(&codes, HUB_SPAN("")));
}

static void later_sources_add_and_replace_codes(void **state)
{
    (void)state;
    struct hub_codes codes;
    struct hub_codes_source sources[2] = {
        {"a.yaml", hub_yaml_parse(&arena, "a.yaml", HUB_SPAN("system: urn:t\nmap: {a: one, b: two}\n"), &problems)},
        {"b.yaml", hub_yaml_parse(&arena, "b.yaml", HUB_SPAN("unmapped: omit\nmap: {b: three, c: four}\n"), &problems)},
    };
    hub_codes_compile(&arena, "C", sources, 2, &codes, &problems);
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("a"))->code, "one"));
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("b"))->code, "three"));
    assert_true(hub_span_is(hub_codes_find(&codes, HUB_SPAN("c"))->code, "four"));
    assert_int_equal(codes.unmapped, HUB_UNMAPPED_OMIT);
}

static void wrong_code_lists_are_reported_with_their_line(void **state)
{
    (void)state;
    struct hub_codes codes;
    codes_compile("unmapped: sometimes\nmap:\n  a: [1]\nmop: {}\n", &codes);
    assert_int_equal(problems.count, 3);
    assert_int_equal(problems.items[0].error.line, 1);
    assert_int_equal(problems.items[1].error.line, 3);
    assert_int_equal(problems.items[2].error.line, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps_are_made_on_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(extensions_carry_their_url, setup, teardown),
        cmocka_unit_test_setup_teardown(objects_merge_and_values_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_path_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(codes_are_found_exactly_then_without_case, setup, teardown),
        cmocka_unit_test_setup_teardown(later_sources_add_and_replace_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_code_lists_are_reported_with_their_line, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
