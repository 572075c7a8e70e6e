/* JSON in canonical form, read in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/codec/json_scan.h"

static bool whole(const char *text)
{
    struct hub_scan scan;
    struct hub_span value;
    hub_scan_init(&scan, hub_span_str(text));
    return hub_scan_value(&scan, &value) && hub_scan_done(&scan) && hub_span_is(value, text);
}

static void what_the_hub_writes_is_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}", "[]", "\"\"", "0", "-0.5e+10", "1E9", "true", "false", "null", "[1,\"a\",{\"a\":[],\"b\":{}}]",
        "\"sixteen bytes and more, with an escape \\n behind them \\u001f and \\\\ \\\"\"", "\"\xc3\xa9 \xf0\x9f\x98\x80\"",
        "{\"a\":1,\"aa\":2,\"b\":3}",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!whole(good[i]))
            fail_msg("refused: %s", good[i]);
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " {}", "{ }", "{}x", "{\"a\":1,}", "[1,]", "[,1]", "{,\"a\":1}", "{\"a\" :1}", "{\"a\":1,\"a\":2}", "{\"b\":1,\"a\":2}",
        "{\"a\\n\":1}", "{a:1}", "{\"a\"}", "[1 2]", "{\"a\":1]", "[1}", "\"", "\"\\\"", "\"\\x\"", "\"\\/\"", "\"\\u0041\"",
        "\"\\u000a\"", "\"\\u001F\"", "\"a\nb\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "01", "-", "1.", ".5", "1e", "+1", "tru", "nul", "[", "{",
        "{\"a\":", "\"long enough for a block\x01 and more\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (whole(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[201];
    for (size_t depth = 1; depth <= 100; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        assert_true(whole(text) == (depth <= 64));
    }
}

static void members_come_one_by_one(void **state)
{
    (void)state;
    struct hub_arena arena;
    struct hub_scan scan;
    struct hub_scan_word word = {0};
    struct hub_span text;
    struct hub_scan_name name = {.begun = false}, item = {.begun = false};
    hub_arena_init(&arena, 1 << 20);
    hub_scan_init(&scan, HUB_SPAN("{\"a\":\"x\\ny\",\"b\":[1,[2]],\"c\":\"z\"}"));
    assert_true(hub_scan_open(&scan, '{'));
    assert_int_equal(hub_scan_member(&scan, &name), HUB_OK);
    assert_true(hub_scan_is(&name, "a") && hub_scan_string(&scan, &word) && !word.plain);
    assert_int_equal(hub_scan_text(&arena, word, &text), HUB_OK);
    assert_true(hub_span_is(text, "x\ny"));
    assert_int_equal(hub_scan_member(&scan, &name), HUB_OK);
    assert_true(hub_scan_open(&scan, '['));
    assert_int_equal(hub_scan_item(&scan, &item), HUB_OK);
    assert_true(hub_scan_value(&scan, &text) && hub_span_is(text, "1"));
    assert_int_equal(hub_scan_item(&scan, &item), HUB_OK);
    assert_true(hub_scan_value(&scan, &text) && hub_span_is(text, "[2]"));
    assert_int_equal(hub_scan_item(&scan, &item), HUB_END);
    assert_int_equal(hub_scan_member(&scan, &name), HUB_OK);
    assert_true(hub_scan_string(&scan, &word) && word.plain && hub_span_is(word.text, "z"));
    assert_int_equal(hub_scan_member(&scan, &name), HUB_END);
    assert_true(hub_scan_done(&scan));
    hub_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_hub_writes_is_taken),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(members_come_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
