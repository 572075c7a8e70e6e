#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "src/codec/yaml.h"

struct fixture {
    struct hub_arena arena;
    struct hub_problems problems;
};
static struct fixture f;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&f.arena, 1 << 20);
    hub_problems_init(&f.problems);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_problems_deinit(&f.problems);
    hub_arena_deinit(&f.arena);
    return 0;
}

static struct hub_yaml *parse(const char *text)
{
    return hub_yaml_parse(&f.arena, "t.yaml", hub_span_str(text), &f.problems);
}

static void maps_lists_and_scalars_keep_their_lines(void **state)
{
    (void)state;
    struct hub_yaml *root = parse("a: 1\nb:\n  - x\n  - {c: '~', d: ~}\n");
    assert_non_null(root);
    assert_int_equal(root->count, 2);
    assert_string_equal(hub_yaml_get_text(root, "a"), "1");
    struct hub_yaml *b = hub_yaml_get(root, "b");
    assert_int_equal(b->type, HUB_YAML_LIST);
    assert_int_equal(b->key_line, 2);
    struct hub_yaml *second = b->first->next;
    assert_int_equal(second->line, 4);
    assert_true(hub_yaml_get(second, "c")->quoted);
    assert_false(hub_yaml_get(second, "d")->quoted);
    assert_null(hub_yaml_get(root, "absent"));
    assert_null(hub_yaml_get_text(root, "b"));
}

static void an_empty_document_is_an_empty_map(void **state)
{
    (void)state;
    struct hub_yaml *root = parse("# nothing\n");
    assert_non_null(root);
    assert_int_equal(root->type, HUB_YAML_MAP);
    assert_int_equal(root->count, 0);
}

static void what_is_not_in_the_subset_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
    } bad[] = {{"a: 1\na: 2\n", 2},    {"a: &x 1\n", 1},   {"a: 1\nb: *x\n", 2}, {"a: !!int 1\n", 1},
               {"a: [1\nb: 2\n", 2},   {"---\na: 1\n---\nb: 2\n", 4}, {"? [x]\n: 1\n", 1}, {"a: \"\\0\"\n", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct hub_problems problems;
        hub_problems_init(&problems);
        assert_null(hub_yaml_parse(&f.arena, "t.yaml", hub_span_str(bad[i].text), &problems));
        assert_int_equal(problems.errors, 1);
        assert_int_equal(problems.items[0].error.line, bad[i].line);
        assert_string_equal(problems.items[0].error.path, "t.yaml");
        hub_problems_deinit(&problems);
    }
}

static void unknown_keys_are_named_with_the_nearest_known_one(void **state)
{
    (void)state;
    static const char *const known[] = {"listen", "timezone", NULL};
    struct hub_yaml *root = parse("listen: x\ntimezon: y\nfoo: z\n");
    (void)hub_yaml_get(root, "listen");
    hub_yaml_check_unused(root, "t.yaml", known, &f.problems);
    assert_int_equal(f.problems.errors, 2);
    assert_string_equal(f.problems.items[0].name, "timezon");
    assert_string_equal(f.problems.items[0].detail, "did you mean 'timezone'?");
    assert_int_equal(f.problems.items[1].error.line, 3);
    assert_string_equal(f.problems.items[1].detail, "");
}

static void depth_and_size_have_limits(void **state)
{
    (void)state;
    char text[2 * HUB_YAML_DEPTH_MAX + 8];
    memset(text, '[', HUB_YAML_DEPTH_MAX + 2);
    memset(text + HUB_YAML_DEPTH_MAX + 2, ']', HUB_YAML_DEPTH_MAX + 2);
    assert_null(hub_yaml_parse(&f.arena, "t.yaml", hub_span_of(text, 2 * (HUB_YAML_DEPTH_MAX + 2)), &f.problems));
    assert_null(hub_yaml_parse(&f.arena, "t.yaml", hub_span_of(text, (size_t)HUB_YAML_BYTES_MAX + 1), &f.problems));
    assert_int_equal(f.problems.errors, 2);
}

static void a_missing_file_is_told_with_its_path(void **state)
{
    (void)state;
    assert_null(hub_yaml_load(&f.arena, "no/such/file.yaml", &f.problems));
    assert_string_equal(f.problems.items[0].error.path, "no/such/file.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(maps_lists_and_scalars_keep_their_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_document_is_an_empty_map, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_in_the_subset_is_refused_with_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_keys_are_named_with_the_nearest_known_one, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_and_size_have_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_file_is_told_with_its_path, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
