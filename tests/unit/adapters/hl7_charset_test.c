#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/formats/hl7v2/hl7_charset.h"
#include "src/codec/charset.h"

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
    return hub_hl7_read(&arena, hub_span_str(text), feed_charset, false, 1000, &input, &error);
}

static enum hub_result read_as(const char *text, const char *feed_charset)
{
    memset(&error, 0, sizeof error);
    return hub_hl7_read(&arena, hub_span_str(text), feed_charset, true, 1000, &input, &error);
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

static void an_override_stands_whatever_msh_18_says(void **state)
{
    (void)state;
    static const char *const heads[] = {HEAD("8859/5"), HEAD("UNICODE UTF-8"), HEAD("KLINGON"), HEAD(""),
                                        HEAD("8859/5~8859/7")};
    for (size_t i = 0; i < 5; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "%s\rPID|||||Jos\xe9\r", heads[i]);
        assert_int_equal(read_as(text, "latin1"), HUB_OK);
        assert_name("Jos\xc3\xa9");
        assert_string_equal(input.charset, "8859/1");
    }
    assert_int_equal(read(HEAD("8859/5") "\rPID|||||Jos\xe9\r", "latin1"), HUB_OK);
    assert_name("Jos\xd1\x89");
}

static void bytes_of_a_character_are_no_delimiters(void **state)
{
    (void)state;
    /* the second byte of one character is a bar, of the other a backslash */
    assert_int_equal(read(HEAD("BIG-5") "\rPID|||||\xa4|x^\xb3\\|F\r", NULL), HUB_OK);
    assert_name("\xe5\xbc\x8b"
                "x^\xe8\xa8\xb1");
    assert_true(hub_span_is(hub_hl7_field(&input.message.segments[1], 6), "F"));
    assert_int_equal(read(HEAD("BIG-5") "\rPID|||||\xa4|x^\xb3\\|\xff\xff\r", NULL), HUB_CHARSET);
    assert_string_equal(error.place, "PID-6");
}

static void sets_of_iso_2022_switch_by_escape_sequences(void **state)
{
    (void)state;
    static const char *const heads[] = {HEAD("~ISO IR87"), HEAD("ASCII~ISO IR87"), HEAD("ISO IR87"),
                                        HEAD("ISO IR14~ISO IR87~ISO IR159")};
    for (size_t i = 0; i < 4; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "%s||ISO 2022-1994\rPID|||||\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(J~X\r",
                       heads[i]);
        assert_int_equal(read(text, "8859/1"), HUB_OK);
        assert_name("\xe5\xb1\xb1\xe7\x94\xb0^\xe5\xa4\xaa\xe9\x83\x8e~X");
    }
    assert_int_equal(read(HEAD("~ISO IR87") "\rPID|||||\x1b$)C\xb1\xe8\r", NULL), HUB_CHARSET);
    assert_string_equal(error.place, "PID-5");
    assert_int_equal(read(HEAD("8859/1~8859/5") "\rPID|||||\x1b-L\xb8\r", NULL), HUB_CHARSET_UNKNOWN);
    assert_string_equal(error.place, "MSH-18");
    assert_int_equal(read(HEAD("8859/1~8859/5") "\rPID|||||Jos\xe9\r", NULL), HUB_OK);
    assert_name("Jos\xc3\xa9");
}

/* TEXT in UTF-16 or UTF-32 behind MARK, with ROOM. */
static struct hub_span widen(const char *text, const char *mark, size_t mark_len, bool marked, uint8_t *room)
{
    struct hub_charset_shape shape;
    struct hub_span rest = hub_span_str(text);
    size_t len = marked ? mark_len : 0;
    assert_non_null(hub_charset_wide(hub_span_of(mark, mark_len), &shape));
    memcpy(room, mark, mark_len);
    while (rest.len != 0)
        len += hub_charset_put_wide(&shape, &rest, room + len);
    return hub_span_of(room, len);
}

static void wide_messages_are_read_whole(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } marks[] = {{"\xff\xfe", 2}, {"\xfe\xff", 2}, {"\xff\xfe\0\0", 4}, {"\0\0\xfe\xff", 4}};
    static const char *const heads[] = {HEAD("UNICODE UTF-16"), HEAD("UNICODE"), HEAD("8859/1")};
    for (size_t i = 0; i < 8; i++) {
        for (size_t k = 0; k < 3; k++) {
            uint8_t room[1000];
            char text[200];
            (void)snprintf(text, sizeof text, "%s\rPID|||||Jos\xc3\xa9\xf0\x9f\x98\x80\r", heads[k]);
            struct hub_span bytes = widen(text, marks[i % 4].bytes, marks[i % 4].len, i < 4, room);
            assert_int_equal(hub_hl7_read(&arena, bytes, "latin1", false, 1000, &input, &error), HUB_OK);
            assert_name("Jos\xc3\xa9\xf0\x9f\x98\x80");
            assert_int_equal(input.mislabelled, k == 2);
            size_t unit = marks[i % 4].len;
            assert_ptr_equal(input.head.ptr, bytes.ptr);
            assert_int_equal(input.head.len, (i < 4 ? unit : 0) + unit * strlen(heads[k]));
            room[bytes.len] = '\r'; /* a framing's own */
            assert_int_equal(
                hub_hl7_read(&arena, hub_span_of(room, bytes.len + 1), NULL, false, 1000, &input, &error),
                HUB_OK);
        }
    }
}

static void bad_wide_characters_are_named_by_field(void **state)
{
    (void)state;
    uint8_t room[1000];
    struct hub_span bytes = widen(HEAD("UNICODE UTF-16") "\rPID|||||X\r", "\xff\xfe", 2, true, room);
    room[bytes.len - 3] = 0xdc; /* half a pair */
    assert_int_equal(hub_hl7_read(&arena, bytes, NULL, false, 1000, &input, &error), HUB_CHARSET);
    assert_string_equal(error.place, "PID-5");
    assert_int_equal(error.number, (int)bytes.len - 4);
    assert_true(hub_span_is(hub_hl7_field(&input.message.segments[0], 10), "7"));
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
        cmocka_unit_test_setup_teardown(an_override_stands_whatever_msh_18_says, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_of_a_character_are_no_delimiters, setup, teardown),
        cmocka_unit_test_setup_teardown(sets_of_iso_2022_switch_by_escape_sequences, setup, teardown),
        cmocka_unit_test_setup_teardown(wide_messages_are_read_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_wide_characters_are_named_by_field, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
