#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "src/codec/charset.h"

static struct hub_arena arena;
static struct hub_charset_text text;

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

static const struct hub_charset *find(const char *name)
{
    return hub_charset_find(hub_span_str(name));
}

static enum hub_result convert(const char *charset, const char *bytes)
{
    return hub_charset_to_utf8(&arena, charset != NULL ? find(charset) : NULL, hub_span_str(bytes), &text);
}

static void spellings_of_a_set_are_one_set(void **state)
{
    (void)state;
    static const char *const utf8[] = {"UTF-8", "utf8", "UNICODE UTF-8", "UNICODE", "UNICODE_UTF-8", "ISO IR192"};
    static const char *const latin1[] = {"8859/1", "ISO-8859-1", "iso8859-1", "ISO 8859/1", "latin1", "Latin-1", "ISO IR100"};
    static const char *const ascii[] = {"ASCII", "US-ASCII", "ISO IR6"};
    for (size_t i = 0; i < sizeof utf8 / sizeof utf8[0]; i++)
        assert_string_equal(hub_charset_name(find(utf8[i])), "UTF-8");
    for (size_t i = 0; i < sizeof latin1 / sizeof latin1[0]; i++)
        assert_string_equal(hub_charset_name(find(latin1[i])), "8859/1");
    for (size_t i = 0; i < sizeof ascii / sizeof ascii[0]; i++)
        assert_string_equal(hub_charset_name(find(ascii[i])), "ASCII");
}

static void unknown_names_are_not_found(void **state)
{
    (void)state;
    static const char *const names[] = {"", "-", "8859/99", "ISO IR87x", "latin", "utf8~", "8859/1;", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_null(find(names[i]));
    assert_null(hub_charset_find(hub_span_of("ascii\0", 6)));
}

static void utf8_and_ascii_are_not_copied(void **state)
{
    (void)state;
    static const char *const sets[] = {NULL, "ASCII", "UTF-8", "8859/1"};
    struct hub_span plain = HUB_SPAN("plain");
    struct hub_span beyond = HUB_SPAN("Jos\xc3\xa9 \xf0\x9f\x98\x80");
    for (size_t i = 0; i < 4; i++) {
        const struct hub_charset *set = sets[i] != NULL ? find(sets[i]) : NULL;
        assert_int_equal(hub_charset_to_utf8(&arena, set, plain, &text), HUB_OK);
        assert_ptr_equal(text.utf8.ptr, plain.ptr);
        assert_false(text.mislabelled);
        assert_int_equal(hub_charset_to_utf8(&arena, set, beyond, &text), HUB_OK);
        assert_ptr_equal(text.utf8.ptr, beyond.ptr);
        assert_int_equal(text.mislabelled, i == 3);
    }
    assert_int_equal(arena.used, 0);
}

static void latin1_becomes_utf8(void **state)
{
    (void)state;
    assert_int_equal(convert("8859/1", "Jos\xe9 \xb5g/L \xff\x80"), HUB_OK);
    assert_true(hub_span_is(text.utf8, "Jos\xc3\xa9 \xc2\xb5g/L \xc3\xbf\xc2\x80"));
    assert_false(text.mislabelled);
    assert_int_equal(convert("windows-1252", "\x80 \x93x\x94"), HUB_OK);
    assert_true(hub_span_is(text.utf8, "\xe2\x82\xac \xe2\x80\x9cx\xe2\x80\x9d"));
}

static void long_text_is_converted_whole(void **state)
{
    (void)state;
    static uint8_t bytes[10000];
    memset(bytes, 0xe9, sizeof bytes);
    assert_int_equal(hub_charset_to_utf8(&arena, find("8859/1"), hub_span_of(bytes, sizeof bytes), &text), HUB_OK);
    assert_int_equal(text.utf8.len, 2 * sizeof bytes);
    for (size_t i = 0; i < text.utf8.len; i += 2)
        assert_memory_equal(text.utf8.ptr + i, "\xc3\xa9", 2);
}

static void bytes_that_are_not_valid_are_an_error_with_their_position(void **state)
{
    (void)state;
    static const char *const sets[] = {NULL, "ASCII", "UTF-8"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(convert(sets[i], "abc\xe9 d"), HUB_CHARSET);
        assert_int_equal(text.bad_at, 3);
        assert_null(text.utf8.ptr);
        assert_int_equal(convert(sets[i], "\xc3\xa9 \xc0\xaf"), HUB_CHARSET);
        assert_int_equal(text.bad_at, 3);
        assert_int_equal(convert(sets[i], "cut \xf0\x9f\x98"), HUB_CHARSET);
        assert_int_equal(text.bad_at, 4);
    }
    assert_int_equal(convert("windows-1252", "ab\x81"), HUB_CHARSET); /* no such character */
    assert_int_equal(text.bad_at, 2);
}

static void conversion_past_the_cap_is_no_memory(void **state)
{
    (void)state;
    struct hub_arena small;
    hub_arena_init(&small, 4);
    assert_int_equal(hub_charset_to_utf8(&small, find("8859/1"), HUB_SPAN("\xe9\xe9\xe9\xe9"), &text), HUB_NO_MEMORY);
    hub_arena_deinit(&small);
}

static void every_set_has_its_own_characters(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes, *utf8;
    } rows[] = {
        {"8859/1", "Jos\xe9 \xc5ngstr\xf6m", "Jos\xc3\xa9 \xc3\x85ngstr\xc3\xb6m"},
        {"8859/2", "\xa3ukasz Dvo\xf8\xe1k", "\xc5\x81ukasz Dvo\xc5\x99\xc3\xa1k"},
        {"8859/3",
         "\xc5"
         "ensu \xd8oja",
         "\xc4\x8a"
         "ensu \xc4\x9coja"},
        {"8859/4", "J\xe0nis \xd3\xbani\xf1\xb9", "J\xc4\x81nis \xc4\xb6\xc4\x93ni\xc5\x86\xc5\xa1"},
        {"8859/5", "\xb8\xd2\xd0\xdd \xbf\xd5\xe2\xe0\xde\xd2",
         "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd \xd0\x9f\xd0\xb5\xd1\x82\xd1\x80\xd0\xbe\xd0\xb2"},
        {"8859/6", "\xe5\xcd\xe5\xcf", "\xd9\x85\xd8\xad\xd9\x85\xd8\xaf"},
        {"8859/7", "\xc3\xe9\xfe\xf1\xe3\xef\xf2",
         "\xce\x93\xce\xb9\xcf\x8e\xcf\x81\xce\xb3\xce\xbf\xcf\x82"},
        {"8859/8", "\xe3\xe5\xe3", "\xd7\x93\xd7\x95\xd7\x93"},
        {"8859/9",
         "Ay\xfe"
         "e Y\xfdld\xfdr\xfdm",
         "Ay\xc5\x9f"
         "e Y\xc4\xb1ld\xc4\xb1r\xc4\xb1m"},
        {"8859/10",
         "\xaf"
         "a\xbf"
         "a \xde\xf3r",
         "\xc5\x8a"
         "a\xc5\x8b"
         "a \xc3\x9e\xc3\xb3r"},
        {"8859/11", "\xe0\xa2\xb5\xca\xc1\xaa\xd2\xc2",
         "\xe0\xb9\x80\xe0\xb8\x82\xe0\xb8\x95\xe0\xb8\xaa\xe0\xb8\xa1\xe0\xb8\x8a\xe0\xb8\xb2\xe0\xb8\xa2"},
        {"8859/13",
         "\xde"
         "emait\xeb \xd0"
         "ar\xfbnas",
         "\xc5\xbd"
         "emait\xc4\x97 \xc5\xa0"
         "ar\xc5\xabnas"},
        {"8859/14", "\xd0yn \xdenys", "\xc5\xb4yn \xc5\xb6nys"},
        {"8859/15", "\xbcuvre 5 \xa4", "\xc5\x92uvre 5 \xe2\x82\xac"},
        {"windows-1250", "\x8a\xe1rka \x8e\xe1k", "\xc5\xa0\xc3\xa1rka \xc5\xbd\xc3\xa1k"},
        {"windows-1251", "\xc8\xe2\xe0\xed", "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd"},
        {"windows-1252", "\x93O\x92Neil\x94 \x80", "\xe2\x80\x9cO\xe2\x80\x99Neil\xe2\x80\x9d \xe2\x82\xac"},
        {"ISO IR14", "\xd4\xcf\xc0\xde A\\~|", "\xef\xbe\x94\xef\xbe\x8f\xef\xbe\x80\xef\xbe\x9e A\\~|"},
        {"windows-31J",
         "\x95\\|\x8eR\x93"
         "c",
         "\xe8\xa1\xa8|\xe5\xb1\xb1\xe7\x94\xb0"},
        {"ISO IR87", "A^\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B|B\\~",
         "A^\xe5\xb1\xb1\xe7\x94\xb0^\xe5\xa4\xaa\xe9\x83\x8e|B\\~"},
        {"ISO IR159", "\x1b$(D0!\x1b$B;3\x1b(B", "\xe4\xb8\x82\xe5\xb1\xb1"},
        {"GB 18030-2000",
         "\xd5\xc5\xc8\xfd|\xc0\xee\xcb\xc4^\x81"
         "9\xee"
         "9",
         "\xe5\xbc\xa0\xe4\xb8\x89|\xe6\x9d\x8e\xe5\x9b\x9b^\xe3\x90\x80"},
        {"KS X 1001", "\xb1\xe8\xc3\xb6\xbc\xf6", "\xea\xb9\x80\xec\xb2\xa0\xec\x88\x98"},
        {"BIG-5", "\xb3\\\xa5\\\xbb\\", "\xe8\xa8\xb1\xe5\x8a\x9f\xe8\x93\x8b"},
        {"CNS 11643-1992", "\xc5\xde\xc4\xd1\xcd\xfc", "\xe7\x8e\x8b\xe5\xb0\x8f\xe6\x98\x8e"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_non_null(find(rows[i].name));
        assert_string_equal(hub_charset_name(find(rows[i].name)), rows[i].name);
        if (convert(rows[i].name, rows[i].bytes) != HUB_OK || !hub_span_is(text.utf8, rows[i].utf8))
            fail_msg("%s: not the characters meant (byte %zu)", rows[i].name, text.bad_at);
        assert_false(text.mislabelled);
    }
}

static void names_of_the_hl7_table_and_of_others_mean_the_same_sets(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"8859/15", "ISO-8859-15"},   {"8859/15", "latin9"},
        {"8859/5", "ISO IR144"},      {"8859/8", "ISO IR138"},
        {"8859/2", "latin2"},         {"8859/9", "ISO IR148"},
        {"UTF-16", "UNICODE UTF-16"}, {"UTF-32", "UNICODE UTF-32"},
        {"UTF-8", "UNICODE"},         {"BIG-5", "BIG5"},
        {"GB 18030-2000", "GB18030"}, {"KS X 1001", "EUC-KR"},
        {"ISO IR14", "ISO IR13"},     {"CNS 11643-1992", "EUC-TW"},
        {"windows-31J", "Shift_JIS"}, {"8859/11", "TIS-620"},
        {"ISO IR87", "iso_ir 87"},    {"windows-1250", "CP1250"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_non_null(find(same[i][1]));
        assert_string_equal(hub_charset_name(find(same[i][1])), same[i][0]);
    }
    assert_null(find("8859/12")); /* never was */
    assert_null(find("8859/16"));
}

static void text_that_looks_like_utf8_by_chance_is_read_as_declared(void **state)
{
    (void)state;
    assert_int_equal(convert("GB18030", "\xc3\xa9"), HUB_OK);
    assert_true(hub_span_is(text.utf8, "\xe8\x8c\x85"));
    assert_int_equal(convert("ISO IR14", "\xd4\xb1"), HUB_OK);
    assert_true(hub_span_is(text.utf8, "\xef\xbe\x94\xef\xbd\xb1"));
    assert_int_equal(convert("8859/11", "\xe0\xa2\xb5"), HUB_OK);
    assert_true(hub_span_is(text.utf8, "\xe0\xb9\x80\xe0\xb8\x82\xe0\xb8\x95"));
    assert_int_equal(convert("8859/5", "\xc3\xa9"), HUB_OK); /* a label that was not changed */
    assert_true(hub_span_is(text.utf8, "\xc3\xa9"));
    assert_true(text.mislabelled);
}

static void bytes_a_set_does_not_have_are_an_error_with_their_position(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t bad_at;
    } rows[] = {
        {"8859/3", "ab\xa5", 2},      {"8859/6", "ab\xa1", 2},       {"8859/7", "ab\xff", 2},
        {"8859/8", "ab\xa1", 2},      {"8859/11", "ab\xff", 2},      {"ISO IR14", "\xb1\x81\x40", 1},
        {"GB18030", "ab\xff\xff", 2}, {"KS X 1001", "ab\xb1", 2},    {"BIG-5", "\xa4\x40\xa4 ", 2},
        {"EUC-TW", "ab\xff", 2},      {"ISO IR87", "a\x1b-A", 1},    {"ISO IR87", "a\xb1", 1},
        {"ISO IR87", "a\x1b", 1},     {"ISO IR159", "\x1b$B;3|", 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (convert(rows[i].name, rows[i].bytes) != HUB_CHARSET || text.bad_at != rows[i].bad_at)
            fail_msg("row %zu, %s: byte %zu", i, rows[i].name, text.bad_at);
        assert_null(text.utf8.ptr);
    }
}

static void delimiters_after_roman_letters_stay_delimiters(void **state)
{
    (void)state;
    assert_int_equal(convert("ISO IR87", "\x1b$B;3ED\x1b(J~\\T\\|\x1b(I1\x1b(B&"), HUB_OK);
    assert_true(hub_span_is(text.utf8, "\xe5\xb1\xb1\xe7\x94\xb0~\\T\\|\xef\xbd\xb1&"));
}

static void wide_sets_are_known_by_their_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct hub_span bytes;
        uint8_t unit, mark_len;
        bool big;
    } rows[] = {
        {"UTF-16",
         HUB_SPAN("\xff\xfe"
                  "M\0S\0"),
         2, 2, false},
        {"UTF-16", HUB_SPAN("\xfe\xff\0M\0S"), 2, 2, true},
        {"UTF-16", HUB_SPAN("M\0S\0"), 2, 0, false},
        {"UTF-16", HUB_SPAN("\0M\0S"), 2, 0, true},
        {"UTF-32", HUB_SPAN("\xff\xfe\0\0M\0\0\0"), 4, 4, false},
        {"UTF-32", HUB_SPAN("\0\0\xfe\xff\0\0\0M"), 4, 4, true},
        {"UTF-32", HUB_SPAN("M\0\0\0S\0\0\0"), 4, 0, false},
        {"UTF-32", HUB_SPAN("\0\0\0M\0\0\0S"), 4, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hub_charset_shape shape;
        const struct hub_charset *set = hub_charset_wide(rows[i].bytes, &shape);
        assert_non_null(set);
        assert_string_equal(hub_charset_name(set), rows[i].name);
        assert_int_equal(shape.unit, rows[i].unit);
        assert_int_equal(shape.big, rows[i].big);
        assert_int_equal(shape.mark_len, rows[i].mark_len);
        struct hub_span content =
            hub_span_of(rows[i].bytes.ptr + shape.mark_len, rows[i].bytes.len - shape.mark_len);
        assert_int_equal(hub_charset_to_utf8(&arena, set, content, &text), HUB_OK);
        assert_int_equal(text.utf8.ptr[0], 'M');
    }
    static const struct hub_span narrow[] = {HUB_SPAN("MSH|"),     HUB_SPAN(""),
                                             HUB_SPAN("M"),        HUB_SPAN("M\0"),
                                             HUB_SPAN("\0\0\0\0"), HUB_SPAN("\xef\xbb\xbfMSH"),
                                             HUB_SPAN("M\0SH")};
    for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++) {
        struct hub_charset_shape shape;
        assert_null(hub_charset_wide(narrow[i], &shape));
    }
}

static void wide_text_goes_both_ways(void **state)
{
    (void)state;
    static const char utf8[] = "A\xc3\xa9\xe5\xb1\xb1\xf0\x9f\x98\x80";
    static const struct hub_span starts[] = {HUB_SPAN("\xff\xfe"), HUB_SPAN("\xfe\xff"),
                                             HUB_SPAN("\xff\xfe\0\0"), HUB_SPAN("\0\0\xfe\xff")};
    for (size_t i = 0; i < 4; i++) {
        struct hub_charset_shape shape;
        const struct hub_charset *set = hub_charset_wide(starts[i], &shape);
        struct hub_span rest = hub_span_str(utf8);
        uint8_t bytes[40];
        size_t len = 0;
        assert_non_null(set);
        while (rest.len != 0)
            len += hub_charset_put_wide(&shape, &rest, bytes + len);
        assert_int_equal(len, shape.unit == 2 ? 10 : 16);
        assert_int_equal(hub_charset_to_utf8(&arena, set, hub_span_of(bytes, len), &text), HUB_OK);
        assert_true(hub_span_is(text.utf8, utf8));
        assert_int_equal(hub_charset_to_utf8(&arena, set, hub_span_of(bytes, len - 1), &text), HUB_CHARSET);
    }
    struct hub_charset_shape shape;
    const struct hub_charset *little = hub_charset_wide(starts[0], &shape);
    assert_int_equal(hub_charset_to_utf8(&arena, little,
                                         HUB_SPAN("A\0\x00\xdc"
                                                  "B\0"),
                                         &text),
                     HUB_CHARSET); /* half a pair */
    assert_int_equal(text.bad_at, 2);
    /* a name of it over bytes of another shape */
    assert_int_equal(convert("UTF-16", "Jos\xc3\xa9"), HUB_OK);
    assert_true(text.mislabelled);
    assert_int_equal(convert("UTF-16", "Jos\xe9"), HUB_CHARSET);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spellings_of_a_set_are_one_set, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_names_are_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(utf8_and_ascii_are_not_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(latin1_becomes_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(long_text_is_converted_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_that_are_not_valid_are_an_error_with_their_position, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(conversion_past_the_cap_is_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(every_set_has_its_own_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_the_hl7_table_and_of_others_mean_the_same_sets, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(text_that_looks_like_utf8_by_chance_is_read_as_declared, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bytes_a_set_does_not_have_are_an_error_with_their_position, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(delimiters_after_roman_letters_stay_delimiters, setup, teardown),
        cmocka_unit_test_setup_teardown(wide_sets_are_known_by_their_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(wide_text_goes_both_ways, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
