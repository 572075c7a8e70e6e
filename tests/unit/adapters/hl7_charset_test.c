#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/formats/hl7v2/hl7_charset.h"

#define HEAD(charset) "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5||||||" charset

static struct hub_arena arena;
static struct hub_hl7_input input;
static struct hub_error error;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

static enum hub_result read(const char *text, const char *feed_charset)
{
    memset(&error, 0, sizeof error);
    return hub_hl7_read(&arena, hub_span_str(text), feed_charset, 1000, &input, &error);
}

static void assert_name(const char *expected)
{
    assert_true(hub_span_is(hub_hl7_field(&input.message.segments[1], 5), expected));
}

static void declared_set_decides(void **state)
{
    (void)state;
    assert_int_equal(read(HEAD("8859/1") "\rPID|||||Jos\xe9\r", "UTF-8"), HUB_OK);
    assert_name("Jos\xc3\xa9");
    assert_string_equal(input.charset, "8859/1");
    assert_true(hub_span_is(input.head, HEAD("8859/1")));
    assert_int_equal(read(HEAD("UNICODE UTF-8~8859/1") "\rPID|||||Jos\xc3\xa9\r", "latin1"), HUB_OK);
    assert_name("Jos\xc3\xa9");
    assert_string_equal(input.charset, "UTF-8");
}

static void empty_field_leaves_it_to_the_feed(void **state)
{
    (void)state;
    static const char *const heads[] = {HEAD(""), HEAD("~UNICODE UTF-8"), HEAD("\"\""), HEAD(" ")};
    for (size_t i = 0; i < 4; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "%s\rPID|||||Jos\xe9\r", heads[i]);
        assert_int_equal(read(text, "latin1"), HUB_OK);
        assert_name("Jos\xc3\xa9");
        assert_int_equal(read(text, NULL), HUB_CHARSET);
    }
}

static void utf8_needs_no_declaration(void **state)
{
    (void)state;
    assert_int_equal(read(HEAD("") "\rPID|||||Jos\xc3\xa9\r", NULL), HUB_OK);
    assert_name("Jos\xc3\xa9");
    assert_string_equal(input.charset, "");
    assert_false(input.mislabelled);
    assert_int_equal(read(HEAD("8859/1") "\rPID|||||Jos\xc3\xa9\r", NULL), HUB_OK);
    assert_name("Jos\xc3\xa9");
    assert_true(input.mislabelled);
}

static void bad_bytes_are_named_by_field(void **state)
{
    (void)state;
    assert_int_equal(read(HEAD("ASCII") "\rPID|||||Jos\xe9\r", "latin1"), HUB_CHARSET);
    assert_string_equal(error.place, "PID-5");
    assert_true(error.has_number);
    assert_int_equal(error.number, (int)strlen(HEAD("ASCII") "\rPID|||||Jos"));
    assert_true(hub_span_is(hub_hl7_field(&input.message.segments[0], 10), "7"));
    assert_int_equal(read(HEAD("UTF-8") "\rOBX|1|\rOBX|2||\xff\r", NULL), HUB_CHARSET);
    assert_string_equal(error.place, "OBX[2]-3");
    assert_int_equal(read("MSH|^~\\&|\xe9", NULL), HUB_CHARSET);
    assert_string_equal(error.place, "MSH-3");
    assert_int_equal(read("MSH|^~\\&|\rfree \xe9 text", NULL), HUB_CHARSET);
    assert_string_equal(error.place, "segment 2");
}

static void unknown_sets_are_refused_at_msh_18(void **state)
{
    (void)state;
    assert_int_equal(read(HEAD("KLINGON") "\rPID|1\r", "latin1"), HUB_CHARSET_UNKNOWN);
    assert_string_equal(error.place, "MSH-18");
    assert_true(hub_span_is(hub_hl7_field(&input.message.segments[0], 10), "7"));
    assert_int_equal(read(HEAD("") "\rPID|1\r", "klingon"), HUB_CONFIG);
}

static void head_is_kept_of_what_cannot_be_parsed(void **state)
{
    (void)state;
    assert_int_equal(read("\xef\xbb\xbf\r\nMSH|\xf0\x9f\x98\x80|A\rPID|1", NULL), HUB_SYNTAX);
    assert_true(hub_span_is(input.head, "MSH|\xf0\x9f\x98\x80|A"));
    assert_int_equal(read("PID|1\rMSH|^~\\&|A", NULL), HUB_SYNTAX);
    assert_int_equal(input.head.len, 0);
    assert_int_equal(read("", NULL), HUB_SYNTAX);
    assert_int_equal(input.head.len, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(declared_set_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_field_leaves_it_to_the_feed, setup, teardown),
        cmocka_unit_test_setup_teardown(utf8_needs_no_declaration, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_bytes_are_named_by_field, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_sets_are_refused_at_msh_18, setup, teardown),
        cmocka_unit_test_setup_teardown(head_is_kept_of_what_cannot_be_parsed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
