/* JSON Schema as far as our schemas use it: what is right passes, each kind of wrong is named, and what is not known
 * is refused when it is compiled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/schema/json_schema.h"
#include "src/schema/pattern.h"

enum { ARENA_BYTES = 8 * 1024 * 1024 };

static int setup(void **state)
{
    static struct hub_arena arena;
    hub_arena_init(&arena, ARENA_BYTES);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    hub_arena_deinit(*state);
    return 0;
}

/* --- patterns --- */

static bool matches(struct hub_arena *arena, const char *pattern, const char *text)
{
    struct hub_pattern compiled;
    struct hub_error err = {0};
    if (hub_pattern_compile(arena, hub_span_str(pattern), &compiled, &err) != HUB_OK)
        fail_msg("%s: %s at %s", pattern, err.what, err.place);
    return hub_pattern_match(&compiled, hub_span_str(text));
}

static void patterns_match_what_they_say(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"^abc$", "abc", true},
        {"^abc$", "abcd", false},
        {"^abc$", "ab", false},
        {"^$", "", true},
        {"^$", "a", false},
        {"^[a-z2-7]{4}$", "ab27", true},
        {"^[a-z2-7]{4}$", "ab28", false},
        {"^[a-z2-7]{4}$", "ab2", false},
        {"^[a-z2-7]{4}$", "ab27a", false},
        {"^a{2,3}$", "a", false},
        {"^a{2,3}$", "aa", true},
        {"^a{2,3}$", "aaa", true},
        {"^a{2,3}$", "aaaa", false},
        {"^a{2,}$", "aaaaaaa", true},
        {"^(a|bc)*d$", "d", true},
        {"^(a|bc)*d$", "abcbcad", true},
        {"^(a|bc)*d$", "abd", false},
        {"^(ab?)?c+$", "abccc", true},
        {"^(ab?)?c+$", "ab", false},
        {"^(|x)y$", "y", true},
        {"^((a*)*)*$", "aaaa", true},
        {"^a\\.b$", "a.b", true},
        {"^a\\.b$", "axb", false},
        {"^[A-Z.-]+$", "A-.Z", true},
        {"^[+-]1$", "-1", true},
        {"^[ -~]{0,3}$", "", true},
        {"^[ -~]{0,3}$", "~ ~", true},
        {"^[ -~]{0,3}$", "\xc3\xa9", false},
        {"^(aa|aab)b$", "aab", true},
        {"^(aa|aab)b$", "aabb", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (matches(*state, cases[i].pattern, cases[i].text) != cases[i].match)
            fail_msg("%s: %s", cases[i].pattern, cases[i].text);
}

static void patterns_that_are_not_known_are_refused(void **state)
{
    static const char *const bad[] = {"abc",      "^abc",   "abc$",   "^a.b$",     "^\\d$",         "^[^a]$",  "^(a$",    "^a)$",
                                      "^[a$",     "^a{$",   "^a{3,2}$", "^a{1001}$", "^*$",         "^a^b$",   "^a$b$",   "^[z-a]$",
                                      "^(?:a)$",  "^\xc3\xa9$", "",     "^",         "^(a{1000}){9}$", "^a\\",   "^[a\\"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hub_pattern compiled;
        struct hub_error err = {0};
        if (hub_pattern_compile(*state, hub_span_str(bad[i]), &compiled, &err) != HUB_CONFIG)
            fail_msg("%s is taken", bad[i]);
        assert_non_null(err.what);
    }
}

/* --- schemas --- */

static const struct hub_json_schema *compile(struct hub_arena *arena, const char *text)
{
    const struct hub_json_schema *schema = NULL;
    struct hub_error err = {0};
    if (hub_json_schema_compile(arena, hub_span_str(text), &schema, &err) != HUB_OK)
        fail_msg("%s: %s at %s", text, err.what, err.place);
    return schema;
}

static const char small[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\",\"additionalProperties\":false,"
    "\"required\":[\"a\",\"c\"],\"definitions\":{\"id\":{\"type\":\"string\",\"pattern\":\"^[a-z]{3}$\"},"
    "\"tree\":{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/definitions/tree\"}}},"
    "\"properties\":{\"a\":{\"$ref\":\"#/definitions/id\"},\"b\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":9},\"minItems\":1,\"maxItems\":2},\"c\":{\"const\":\"x\\\"y\"},\"d\":{\"enum\":[\"p\",true]},"
    "\"e\":{\"type\":\"object\",\"required\":[\"k\"],\"properties\":{\"k\":{}}},\"f\":{\"type\":\"string\",\"minLength\":2,"
    "\"maxLength\":3},\"g\":{\"$ref\":\"#/definitions/tree\"},\"h\":{\"type\":\"string\",\"pattern\":\"^[ -~]{2}$\"}}}";

static void right_values_pass(void **state)
{
    static const char *const good[] = {
        "{\"a\":\"abc\",\"c\":\"x\\\"y\"}",
        "{\"a\":\"abc\",\"b\":[1],\"c\":\"x\\\"y\",\"d\":\"p\"}",
        "{\"a\":\"abc\",\"b\":[1,9],\"c\":\"x\\\"y\",\"d\":true}",
        "{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"a\":[{},[],null,1.5e-3,-0,\"\\u0001\\n\"],\"k\":null,\"z\\\"\":false}}",
        "{\"a\":\"abc\",\"c\":\"x\\\"y\",\"f\":\"\xc3\xa9\\\"\"}",
        "{\"a\":\"abc\",\"c\":\"x\\\"y\",\"g\":{\"a\":{\"b\":{}},\"c\":{}}}",
        "{\"a\":\"abc\",\"c\":\"x\\\"y\",\"h\":\"\\\"\\\\\"}",
    };
    const struct hub_json_schema *schema = compile(*state, small);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct hub_error err = {0};
        if (hub_json_schema_check(schema, hub_span_str(good[i]), &err) != HUB_OK)
            fail_msg("%s: %s at %s", good[i], err.what, err.place);
    }
}

static void wrong_values_are_named(void **state)
{
    static const struct {
        const char *text, *place;
        enum hub_result result;
    } bad[] = {
        {"{\"a\":\"abcd\",\"c\":\"x\\\"y\"}", "/a", HUB_TYPE},
        {"{\"a\":1,\"c\":\"x\\\"y\"}", "/a", HUB_TYPE},
        {"{\"c\":\"x\\\"y\"}", "/a", HUB_TYPE},
        {"{\"a\":\"abc\"}", "/c", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\"}", "/c", HUB_TYPE},
        {"{\"a\":\"abc\",\"b\":[],\"c\":\"x\\\"y\"}", "/b", HUB_TYPE},
        {"{\"a\":\"abc\",\"b\":[1,2,3],\"c\":\"x\\\"y\"}", "/b", HUB_TYPE},
        {"{\"a\":\"abc\",\"b\":[0],\"c\":\"x\\\"y\"}", "/b/*", HUB_TYPE},
        {"{\"a\":\"abc\",\"b\":[10],\"c\":\"x\\\"y\"}", "/b/*", HUB_TYPE},
        {"{\"a\":\"abc\",\"b\":[1.0],\"c\":\"x\\\"y\"}", "/b/*", HUB_TYPE},
        {"{\"a\":\"abc\",\"b\":{},\"c\":\"x\\\"y\"}", "/b", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"d\":false}", "/d", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{}}", "/e/k", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":[]}", "/e", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"f\":\"x\"}", "/f", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"f\":\"xxxx\"}", "/f", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"g\":{\"a\":{\"b\":1}}}", "/g/*/*", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"h\":\"\\n\\n\"}", "/h", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"zz\":\"secret\"}", "", HUB_TYPE},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"\\\"\":1}", "", HUB_TYPE},
        {"[]", "", HUB_TYPE},
        {"", "", HUB_SYNTAX},
        {"{", "", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\"} ", "", HUB_SYNTAX},
        {"{ \"a\":\"abc\",\"c\":\"x\\\"y\"}", "", HUB_SYNTAX},
        {"{\"c\":\"x\\\"y\",\"a\":\"abc\"}", "", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"a\":\"abc\",\"c\":\"x\\\"y\"}", "", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",}", "", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":01}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":1.}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":-}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":tru}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":\"\\u000a\"}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":\"\\u0041\"}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":\"\\/\"}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":\"\n\"}}", "/e/k", HUB_SYNTAX},
        {"{\"a\":\"abc\",\"c\":\"x\\\"y\",\"e\":{\"k\":\"a", "/e/k", HUB_SYNTAX},
    };
    const struct hub_json_schema *schema = compile(*state, small);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hub_error err = {0};
        enum hub_result result = hub_json_schema_check(schema, hub_span_str(bad[i].text), &err);
        if (result != bad[i].result || strcmp(err.place, bad[i].place) != 0)
            fail_msg("%s: %s at %s", bad[i].text, err.what, err.place);
        assert_null(strstr(err.what, "secret"));
    }
}

/* Read to the end wherever the text is cut: no byte behind it is touched (the sanitizer looks). */
static void a_cut_text_is_never_right(void **state)
{
    static const char text[] = "{\"a\":\"abc\",\"b\":[1,9],\"c\":\"x\\\"y\",\"d\":true,\"e\":{\"k\":-1.5e+3,\"z\":\"\\u0001\"},\"g\":{\"q\":{}}}";
    const struct hub_json_schema *schema = compile(*state, small);
    assert_int_equal(hub_json_schema_check(schema, hub_span_str(text), NULL), HUB_OK);
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, text, len);
        assert_int_equal(hub_json_schema_check(schema, hub_span_of(copy, len), NULL), HUB_SYNTAX);
        free(copy);
    }
}

static void exactly_one_alternative_must_be_true(void **state)
{
    const struct hub_json_schema *schema = compile(
        *state, "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"integer\"}},\"required\":[\"a\"],"
                "\"additionalProperties\":false},{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"c\":{}},\"required\":[\"a\"],"
                "\"additionalProperties\":false}]}");
    struct hub_error err = {0};
    assert_int_equal(hub_json_schema_check(schema, HUB_SPAN("{\"a\":\"x\",\"b\":1}"), NULL), HUB_OK);
    assert_int_equal(hub_json_schema_check(schema, HUB_SPAN("{\"a\":\"x\",\"c\":[1]}"), NULL), HUB_OK);
    assert_int_equal(hub_json_schema_check(schema, HUB_SPAN("{\"a\":\"x\"}"), &err), HUB_TYPE); /* both */
    assert_int_equal(hub_json_schema_check(schema, HUB_SPAN("{\"a\":\"x\",\"b\":\"y\"}"), &err), HUB_TYPE);
    assert_string_equal(err.place, "/b"); /* the one that came furthest */
    assert_int_equal(hub_json_schema_check(schema, HUB_SPAN("{\"d\":1}"), &err), HUB_TYPE);
}

static void schemas_with_unknown_keywords_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"format\":\"date\"}",
        "{\"type\":\"object\",\"patternProperties\":{}}",
        "{\"properties\":{\"a\":{\"multipleOf\":2}}}",
        "{\"type\":[\"string\",\"null\"]}",
        "{\"type\":\"text\"}",
        "{\"const\":1}",
        "{\"enum\":[]}",
        "{\"enum\":[\"a\",null]}",
        "{\"pattern\":\"a\"}",
        "{\"minLength\":-1}",
        "{\"minimum\":1.5}",
        "{\"required\":[\"a\"]}",
        "{\"$ref\":\"other.json\"}",
        "{\"$ref\":\"#/definitions/a\"}",
        "{\"$ref\":\"#/definitions/a\",\"type\":\"string\",\"definitions\":{\"a\":{}}}",
        "{\"oneOf\":[{}],\"type\":\"string\"}",
        "{\"oneOf\":[]}",
        "{\"items\":[{}]}",
        "{\"properties\":{\"a\\\"\":{}}}",
        "{\"definitions\":{\"a\":{\"contains\":{}}},\"properties\":{\"x\":{\"$ref\":\"#/definitions/a\"}}}",
        "[]",
        "true",
        "{",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct hub_json_schema *schema = NULL;
        struct hub_error err = {0};
        if (hub_json_schema_compile(*state, hub_span_str(bad[i]), &schema, &err) != HUB_CONFIG)
            fail_msg("%s is taken", bad[i]);
        assert_non_null(err.what);
    }
}

static const struct hub_json_schema *load(struct hub_arena *arena, const char *name)
{
    static char text[65536];
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    return compile(arena, text);
}

#define ID "abcdefghijklmnopqrstuvwxyz234567"
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void our_own_schemas_compile_and_say_no(void **state)
{
    const struct hub_json_schema *timeline = load(*state, CHARTLINE_SOURCE_DIR "/schemas/timeline/2026-11.json");
    (void)load(*state, CHARTLINE_SOURCE_DIR "/schemas/event/2026-11.json");
    assert_int_equal(hub_json_schema_check(timeline,
                                           HUB_SPAN("{\"event\":\"" ID "\",\"kind\":\"revision\",\"recorded\":\"2026-11-23T01:43:50.123456Z\","
                                                    "\"revision\":1,\"sha256\":\"" HASH "\",\"subject\":\"1" ID "\",\"supersedes\":[\"" ID "\"]}"),
                                           NULL),
                     HUB_OK);
    assert_int_equal(hub_json_schema_check(timeline,
                                           HUB_SPAN("{\"event\":\"" ID "\",\"kind\":\"revision\",\"name\":\"Smith\",\"recorded\":"
                                                    "\"2026-11-23T01:43:50.123456Z\",\"revision\":1,\"sha256\":\"" HASH "\",\"subject\":\"1" ID "\",\"supersedes\":[]}"),
                                           NULL),
                     HUB_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(patterns_match_what_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(patterns_that_are_not_known_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(right_values_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_values_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_text_is_never_right, setup, teardown),
        cmocka_unit_test_setup_teardown(exactly_one_alternative_must_be_true, setup, teardown),
        cmocka_unit_test_setup_teardown(schemas_with_unknown_keywords_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(our_own_schemas_compile_and_say_no, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
