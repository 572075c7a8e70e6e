#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "src/codec/json.h"

static struct hub_arena arena;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 8 * 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

static struct hub_json *parse(const char *text)
{
    struct hub_json *node = NULL;
    assert_int_equal(hub_json_parse(&arena, hub_span_str(text), &node, NULL), HUB_OK);
    return node;
}

static void assert_written(const struct hub_json *node, const char *expected)
{
    struct hub_buf out;
    hub_buf_init(&out, 1 << 20, false);
    hub_json_write(&out, node);
    assert_string_equal(hub_buf_str(&out), expected);
    hub_buf_deinit(&out);
}

static void canonical_form_sorts_members_and_keeps_numbers(void **state)
{
    (void)state;
    assert_written(parse(" { \"b\" : 12.50 , \"a\" : [ true , null, 1e3, -0.0 ], \"ab\":{}} "),
                   "{\"a\":[true,null,1e3,-0.0],\"ab\":{},\"b\":12.50}");
}

static void canonical_form_uses_shortest_escapes(void **state)
{
    (void)state;
    assert_written(parse("\"\\u0041\\/\\u000a\\u001f\\\"\\\\\\u00e9\""), "\"A/\\n\\u001f\\\"\\\\\xc3\xa9\"");
}

static void parse_refuses_what_rfc8259_and_the_hub_refuse(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "{",      "{\"a\":1,\"a\":2}", "[1,]",        "nul",   "01",
                                      "\"\xff\"", "[1] x", "{\"b\":1,\"a\":1,\"b\":2}", "\"\\ud800\"", "NaN", "'a'"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct hub_json *node = NULL;
        assert_int_equal(hub_json_parse(&arena, hub_span_str(bad[i]), &node, NULL), HUB_SYNTAX);
    }
}

static void parse_refuses_depth_past_the_limit_and_takes_the_limit(void **state)
{
    (void)state;
    for (size_t depth = HUB_JSON_DEPTH_MAX; depth <= HUB_JSON_DEPTH_MAX + 2; depth++) {
        char text[3 * HUB_JSON_DEPTH_MAX];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct hub_json *node = NULL;
        enum hub_result expected = depth <= HUB_JSON_DEPTH_MAX ? HUB_OK : HUB_SYNTAX;
        assert_int_equal(hub_json_parse(&arena, hub_span_of(text, 2 * depth), &node, NULL), expected);
    }
}

static void set_keeps_order_and_replaces(void **state)
{
    (void)state;
    struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
    static const char *const keys[] = {"m", "z", "a", "m", "b"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(hub_json_set_c(object, keys[i], hub_json_number_i64(&arena, (int64_t)i)), HUB_OK);
    assert_written(object, "{\"a\":2,\"b\":4,\"m\":3,\"z\":1}");
    assert_int_equal(hub_json_set_c(object, "z", hub_json_bool(&arena, true)), HUB_OK);
    assert_int_equal(hub_json_set_c(object, "zz", hub_json_bool(&arena, false)), HUB_OK);
    assert_written(object, "{\"a\":2,\"b\":4,\"m\":3,\"z\":true,\"zz\":false}");
    assert_int_equal(hub_json_set_c(object, "x", NULL), HUB_NO_MEMORY);
}

/* Names that differ only behind what is compared at once. */
static void names_alike_at_their_start_keep_their_order(void **state)
{
    static const char *const names[] = {"", "a", "ab", "abcd", "abcd1", "abcd2", "abcdX12", "abcdefgh", "abcdefgi", "abcdefgh1", "abcdXfgh1", "abcdefgh0abcdef", "b", "_a", "\xc3\xa9"};
    enum { COUNT = sizeof names / sizeof *names };
    (void)state;
    for (size_t turn = 0; turn < COUNT; turn++) {
        struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
        for (size_t i = 0; i < COUNT; i++) {
            const char *name = names[(i * 7 + turn) % COUNT];
            assert_null(hub_json_get(object, name));
            assert_int_equal(hub_json_set_c(object, name, hub_json_string_c(&arena, name)), HUB_OK);
        }
        assert_int_equal(object->len, COUNT);
        for (const struct hub_json *m = object->first; m->next != NULL; m = m->next)
            assert_true(strcmp(m->key, m->next->key) < 0);
        assert_null(object->last->next);
        for (size_t i = 0; i < COUNT; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s", names[i]); /* found by what it says, not by where it stands */
            assert_string_equal((const char *)hub_json_get_span(object, name).ptr, names[i]);
            assert_int_equal(hub_json_set_c(object, names[i], hub_json_string_c(&arena, "again")), HUB_OK);
        }
        assert_int_equal(object->len, COUNT);
    }
}

static void merge_joins_objects_and_replaces_everything_else(void **state)
{
    (void)state;
    struct hub_json *object = parse("{\"a\":{\"x\":1,\"z\":2},\"b\":3}");
    struct hub_json *placed = NULL;
    struct hub_json *into = hub_json_get(object, "a");
    assert_int_equal(hub_json_merge(object, hub_json_key("a", 1), parse("{\"y\":5,\"z\":6}"), &placed), HUB_OK);
    assert_ptr_equal(placed, into);
    assert_int_equal(hub_json_merge(object, hub_json_key("b", 1), parse("{\"y\":5}"), &placed), HUB_OK);
    assert_int_equal(hub_json_merge(object, hub_json_key("c", 1), parse("[]"), &placed), HUB_OK);
    assert_ptr_equal(placed, object->last);
    assert_int_equal(hub_json_merge(object, hub_json_key("c", 1), NULL, &placed), HUB_NO_MEMORY);
    assert_written(object, "{\"a\":{\"x\":1,\"y\":5,\"z\":6},\"b\":{\"y\":5},\"c\":[]}");
}

static void open_gives_the_member_there_or_a_new_one(void **state)
{
    (void)state;
    struct hub_json *object = parse("{\"a\":[1],\"b\":3}");
    assert_ptr_equal(hub_json_open(&arena, object, hub_json_key("a", 1), HUB_JSON_ARRAY), object->first);
    assert_non_null(hub_json_open(&arena, object, hub_json_key("b", 1), HUB_JSON_OBJECT));
    assert_non_null(hub_json_open(&arena, object, hub_json_key("aa", 2), HUB_JSON_ARRAY));
    assert_written(object, "{\"a\":[1],\"aa\":[],\"b\":{}}");
}

static void remove_unlinks_first_middle_and_last(void **state)
{
    (void)state;
    struct hub_json *object = parse("{\"a\":1,\"b\":2,\"c\":3}");
    assert_non_null(hub_json_remove(object, "b"));
    assert_non_null(hub_json_remove(object, "c"));
    assert_null(hub_json_remove(object, "c"));
    assert_int_equal(hub_json_set_c(object, "d", hub_json_bool(&arena, true)), HUB_OK);
    assert_non_null(hub_json_remove(object, "a"));
    assert_written(object, "{\"d\":true}");
    struct hub_json *array = parse("[1,2,3]");
    assert_non_null(hub_json_remove_at(array, 2));
    assert_null(hub_json_remove_at(array, 2));
    assert_int_equal(hub_json_push(array, hub_json_number_i64(&arena, 9)), HUB_OK);
    assert_written(array, "[1,2,9]");
}

static void copies_are_equal_and_independent(void **state)
{
    (void)state;
    struct hub_json *a = parse("{\"x\":[{\"y\":\"z\"}],\"n\":1.0}");
    struct hub_json *b = hub_json_copy(&arena, a);
    assert_true(hub_json_equal(a, b));
    assert_int_equal(hub_json_set_string(&arena, hub_json_at(hub_json_get(b, "x"), 0), "y", HUB_SPAN("w")), HUB_OK);
    assert_false(hub_json_equal(a, b));
    assert_written(a, "{\"n\":1.0,\"x\":[{\"y\":\"z\"}]}");
    assert_false(hub_json_equal(parse("1.0"), parse("1.00")));
}

static void pretty_form_puts_the_resource_type_first(void **state)
{
    (void)state;
    struct hub_buf out;
    hub_buf_init(&out, 1 << 20, false);
    hub_json_write_pretty(&out, parse("{\"id\":\"1\",\"resourceType\":\"Patient\",\"name\":[]}"));
    assert_string_equal(hub_buf_str(&out), "{\n  \"resourceType\": \"Patient\",\n  \"id\": \"1\",\n  \"name\": []\n}");
    hub_buf_deinit(&out);
}

static void a_full_arena_is_told(void **state)
{
    (void)state;
    struct hub_arena small;
    hub_arena_init(&small, 200);
    struct hub_json *node = NULL;
    assert_int_equal(hub_json_parse(&small, HUB_SPAN("[1,2,3,4,5,6,7,8,9,10]"), &node, NULL), HUB_NO_MEMORY);
    hub_arena_deinit(&small);
}

static void utf8_is_checked_to_the_letter(void **state)
{
    (void)state;
    assert_true(hub_utf8_valid(HUB_SPAN("plain ascii, eight by eight \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    static const char *const bad[] = {"\x80", "\xc0\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "\xc3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(hub_utf8_valid(hub_span_str(bad[i])));
}

/* Texts are looked at in blocks and words: each byte of each length once with what needs an escape. */
static void escapes_are_found_at_every_place_of_every_length(void **state)
{
    static const char *const bytes[] = {"\"", "\\", "\x1f", "\x01", "!", "\x20", "~", "]"};
    static const char *const written[] = {"\\\"", "\\\\", "\\u001f", "\\u0001", "!", "\x20", "~", "]"};
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t at = 0; at < len; at++) {
            for (size_t b = 0; b < sizeof bytes / sizeof *bytes; b++) {
                char text[48];
                char expected[128];
                memset(text, 'm', sizeof text);
                text[at] = bytes[b][0];
                (void)snprintf(expected, sizeof expected, "{\"%.*s%s%.*s\":\"%.*s%s%.*s\",\"~~\":[1,\"\",true]}", (int)at, text, written[b],
                               (int)(len - at - 1), text + at + 1, (int)at, text, written[b], (int)(len - at - 1), text + at + 1);
                struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
                assert_int_equal(hub_json_set(object, text, len, hub_json_string(&arena, hub_span_of(text, len))), HUB_OK);
                assert_int_equal(hub_json_set_c(object, "~~", parse("[1,\"\",true]")), HUB_OK);
                assert_written(object, expected);
            }
        }
        hub_arena_reset(&arena);
    }
}

static void text_with_escapes_is_whole_wherever_its_buffer_grows(void **state)
{
    (void)state;
    enum { CONTROLS_MAX = 64, FILL_MAX = 260 };
    static const char controls[CONTROLS_MAX + 1] = "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                                                   "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                                                   "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                                                   "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01";
    for (size_t fill = 0; fill <= FILL_MAX; fill++) {
        for (size_t count = 1; count <= CONTROLS_MAX; count += 7) {
            struct hub_buf out;
            hub_buf_init(&out, 1 << 20, true);
            for (size_t i = 0; i < fill; i++)
                hub_buf_append_byte(&out, ' ');
            struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
            struct hub_json *text = hub_json_string(&arena, hub_span_of(controls, count));
            assert_int_equal(hub_json_set_c(object, "a", hub_json_copy(&arena, text)), HUB_OK);
            assert_int_equal(hub_json_set(object, controls, count, text), HUB_OK);
            hub_json_write(&out, object);
            struct hub_json *read = NULL;
            assert_int_equal(hub_json_parse(&arena, hub_buf_view(&out), &read, NULL), HUB_OK);
            assert_true(hub_json_equal(object, read));
            hub_buf_deinit(&out);
        }
        hub_arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_form_sorts_members_and_keeps_numbers),
        cmocka_unit_test(canonical_form_uses_shortest_escapes),
        cmocka_unit_test(parse_refuses_what_rfc8259_and_the_hub_refuse),
        cmocka_unit_test(parse_refuses_depth_past_the_limit_and_takes_the_limit),
        cmocka_unit_test(set_keeps_order_and_replaces),
        cmocka_unit_test(names_alike_at_their_start_keep_their_order),
        cmocka_unit_test(merge_joins_objects_and_replaces_everything_else),
        cmocka_unit_test(open_gives_the_member_there_or_a_new_one),
        cmocka_unit_test(escapes_are_found_at_every_place_of_every_length),
        cmocka_unit_test(remove_unlinks_first_middle_and_last),
        cmocka_unit_test(copies_are_equal_and_independent),
        cmocka_unit_test(pretty_form_puts_the_resource_type_first),
        cmocka_unit_test(a_full_arena_is_told),
        cmocka_unit_test(text_with_escapes_is_whole_wherever_its_buffer_grows),
        cmocka_unit_test(utf8_is_checked_to_the_letter),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
