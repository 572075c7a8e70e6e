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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spellings_of_a_set_are_one_set, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_names_are_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(utf8_and_ascii_are_not_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(latin1_becomes_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(long_text_is_converted_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_that_are_not_valid_are_an_error_with_their_position, setup, teardown),
        cmocka_unit_test_setup_teardown(conversion_past_the_cap_is_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
