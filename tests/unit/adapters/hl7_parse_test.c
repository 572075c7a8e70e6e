#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <cmocka.h>

#include "adapters/formats/hl7v2/hl7.h"
#include "tests/needs.h"

enum { SEGMENTS_MAX = 1000 };

static struct hub_arena arena;
static struct hub_hl7 message;
static struct hub_error error;

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

static void assert_span(struct hub_span span, const char *expected)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%.*s", (int)span.len, span.len != 0 ? (const char *)span.ptr : "");
    assert_string_equal(text, expected);
    assert_int_equal(span.len, strlen(expected));
}

static void assert_round_trip(struct hub_span bytes)
{
    struct hub_buf out;
    hub_buf_init(&out, bytes.len + 1, false);
    hub_hl7_serialise(&message, &out);
    assert_int_equal(hub_buf_result(&out), HUB_OK);
    assert_true(hub_span_equal(hub_buf_view(&out), bytes));
    hub_buf_deinit(&out);
}

static void parse_bytes(const void *bytes, size_t len)
{
    struct hub_span span = hub_span_of(bytes, len);
    assert_int_equal(hub_hl7_parse(&arena, span, SEGMENTS_MAX, false, &message, &error), HUB_OK);
    assert_round_trip(span);
}

static void parse(const char *text)
{
    parse_bytes(text, strlen(text));
}

static void assert_refused(const char *text, size_t len, const char *place)
{
    memset(&error, 0xff, sizeof error);
    assert_int_equal(hub_hl7_parse(&arena, hub_span_of(text, len), SEGMENTS_MAX, false, &message, &error), HUB_SYNTAX);
    assert_int_equal(error.result, HUB_SYNTAX);
    assert_string_equal(error.place, place);
    assert_int_equal(message.segment_count, 0);
}

static void refuse(const char *text, const char *place)
{
    assert_refused(text, strlen(text), place);
}

static struct hub_span field(size_t segment, uint32_t n)
{
    assert_true(segment < message.segment_count);
    return hub_hl7_field(&message.segments[segment], n);
}

static void message_is_taken_apart_to_subcomponents(void **state)
{
    (void)state;
    parse("MSH|^~\\&|APP|FAC&1.2.3&ISO\rPID|1||77^^^GH~88^^^GL&9.8&ISO^MR||Quill^Ada\r");
    assert_int_equal(message.segment_count, 2);
    assert_string_equal(message.segments[1].id, "PID");
    assert_int_equal(message.segments[1].number, 2);
    assert_int_equal(message.segments[1].field_count, 5);
    struct hub_span ids = field(1, 3);
    assert_int_equal(hub_hl7_repetitions(&message, ids), 2);
    struct hub_span second = hub_hl7_repetition(&message, ids, 1);
    assert_span(second, "88^^^GL&9.8&ISO^MR");
    assert_int_equal(hub_hl7_component_count(&message, second), 5);
    assert_span(hub_hl7_component(&message, second, 1), "88");
    assert_span(hub_hl7_component(&message, second, 2), "");
    struct hub_span authority = hub_hl7_component(&message, second, 4);
    assert_int_equal(hub_hl7_subcomponent_count(&message, authority), 3);
    assert_span(hub_hl7_subcomponent(&message, authority, 2), "9.8");
    assert_span(hub_hl7_component(&message, hub_hl7_repetition(&message, field(1, 5), 0), 2), "Ada");
}

static void what_is_absent_is_an_empty_span(void **state)
{
    (void)state;
    parse("MSH|^~\\&|A\rPV1||\r");
    assert_null(field(1, 0).ptr);
    assert_null(field(1, 1).ptr);
    assert_null(field(1, 2).ptr);
    assert_null(field(1, 3).ptr);
    assert_null(field(1, UINT32_MAX).ptr);
    assert_int_equal(hub_hl7_repetitions(&message, field(1, 1)), 0);
    assert_null(hub_hl7_repetition(&message, field(1, 1), 0).ptr);
    assert_null(hub_hl7_component(&message, HUB_SPAN("a^b"), 0).ptr);
    assert_null(hub_hl7_component(&message, HUB_SPAN("a^b"), 3).ptr);
    assert_null(hub_hl7_subcomponent(&message, HUB_SPAN("a&b"), 0).ptr);
    assert_int_equal(hub_hl7_component_count(&message, HUB_SPAN_NONE), 0);
}

static void header_fields_count_from_the_separator(void **state)
{
    (void)state;
    parse("MSH|^~\\&|APP||||20260105||ADT^A01|7\rMSH\r");
    assert_span(field(0, 1), "|");
    assert_span(field(0, 2), "^~\\&");
    assert_span(field(0, 3), "APP");
    assert_span(field(0, 10), "7");
    assert_int_equal(message.segments[0].field_count, 10);
    assert_int_equal(message.segments[1].field_count, 0);
    assert_null(field(1, 1).ptr);
}

static void delimiters_are_the_senders_own(void **state)
{
    (void)state;
    parse("MSH#*%!@+#APP#x*y%z@u\r");
    struct hub_hl7_delimiters d = message.delimiters;
    assert_int_equal(d.field, '#');
    assert_int_equal(d.component, '*');
    assert_int_equal(d.repetition, '%');
    assert_int_equal(d.escape, '!');
    assert_int_equal(d.subcomponent, '@');
    assert_int_equal(d.truncation, '+');
    assert_int_equal(hub_hl7_repetitions(&message, field(0, 4)), 2);
    assert_span(hub_hl7_component(&message, hub_hl7_repetition(&message, field(0, 4), 0), 2), "y");
    assert_span(hub_hl7_subcomponent(&message, hub_hl7_repetition(&message, field(0, 4), 1), 2), "u");
}

static void encoding_characters_are_read_as_meant(void **state)
{
    (void)state;
    parse("MSH|^~\\\\&|A\r"); /* a doubled backslash */
    assert_int_equal(message.delimiters.escape, '\\');
    assert_int_equal(message.delimiters.subcomponent, '&');
    assert_int_equal(message.delimiters.truncation, 0);
    parse("MSH|^~&|A\r"); /* the backslash lost */
    assert_int_equal(message.delimiters.escape, 0);
    assert_int_equal(message.delimiters.subcomponent, '&');
    parse("MSH|^^~~\\\\&&|A\r");
    assert_int_equal(message.delimiters.repetition, '~');
    assert_int_equal(message.delimiters.subcomponent, '&');
    parse("MSH|^\r");
    assert_int_equal(message.delimiters.repetition, 0);
    parse("MSH|^~\\&#|A\r");
    assert_int_equal(message.delimiters.truncation, '#');
}

static void undeclared_delimiters_split_nothing(void **state)
{
    (void)state;
    static const char bytes[] = "MSH|^|a\0b^c~d&e\r";
    parse_bytes(bytes, sizeof bytes - 1);
    assert_int_equal(hub_hl7_repetitions(&message, field(0, 3)), 1);
    struct hub_span part = hub_hl7_component(&message, field(0, 3), 1);
    assert_int_equal(part.len, 3);
    assert_int_equal(hub_hl7_subcomponent_count(&message, part), 1);
    assert_int_equal(hub_hl7_subcomponent(&message, part, 1).len, 3);
}

/* What a segment holds is said of it wherever in it that stands, and never of MSH-1 and MSH-2. */
static void marks_say_what_a_segment_holds(void **state)
{
    static const struct {
        char byte;
        uint8_t mark;
    } marks[] = {{'\\', HUB_HL7_ESCAPES}, {'~', HUB_HL7_REPETITIONS}, {'&', HUB_HL7_SUBCOMPONENTS}, {'\t', HUB_HL7_CONTROLS}, {'^', 0}, {'"', 0}};
    (void)state;
    for (size_t len = 0; len <= 40; len++) {
        for (size_t at = 0; at <= len; at++) {
            for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
                char text[128];
                char value[48];
                memset(value, 'm', sizeof value);
                value[at] = at < len ? marks[i].byte : 'm';
                (void)snprintf(text, sizeof text, "MSH|^~\\&|%.*s\rZZZ|%.*s\rZZY|plain\r", (int)len, value, (int)len, value);
                hub_arena_reset(&arena);
                parse(text);
                const uint8_t expected = at < len ? marks[i].mark : 0;
                assert_int_equal(message.segments[0].marks, expected);
                assert_int_equal(message.segments[1].marks, expected);
                assert_int_equal(message.segments[2].marks, 0);
            }
        }
    }
}

static void filled_has_a_bit_for_each_field_that_holds_something(void **state)
{
    char text[512] = "MSH|^~\\&||a\rZZZ|";
    (void)state;
    parse(text);
    assert_int_equal(message.segments[0].filled, 1 << 0 | 1 << 1 | 1 << 3);
    assert_int_equal(message.segments[1].filled, 0);
    for (unsigned n = 1; n <= 130; n++) {
        size_t len = (size_t)snprintf(text, sizeof text, "MSH|^~\\&|\rZZZ");
        for (unsigned i = 0; i < n; i++)
            text[len++] = '|';
        (void)snprintf(text + len, sizeof text - len, "\"\"|||");
        hub_arena_reset(&arena);
        parse(text);
        assert_true(message.segments[1].filled == UINT64_C(1) << (n < 64 ? n - 1 : 63));
        for (unsigned i = 1; i <= n + 4; i++)
            assert_span(field(1, i), i == n ? "\"\"" : "");
    }
}

static void headers_that_cannot_be_read_are_refused_with_their_place(void **state)
{
    (void)state;
    refuse("", "MSH");
    refuse("\r\n\r\n", "MSH");
    refuse("MS", "MSH");
    refuse("PID|1\rMSH|^~\\&|A\r", "MSH");
    refuse("FHS|^~\\&|A\r", "MSH");
    refuse("MSH", "MSH-1");
    refuse("MSH\rPID|1", "MSH-1");
    refuse("MSHA^~\\&A", "MSH-1");
    refuse("MSH\xc2\xa6^~\\&\xc2\xa6" "A", "MSH-1");
    assert_refused("MSH\0^~\\&\0A", 10, "MSH-1");
    refuse("MSH|", "MSH-2");
    refuse("MSH||A", "MSH-2");
    refuse("MSH|^~\\&\xf0\x9f\x98\x80|A", "MSH-2");
    refuse("MSH|\xf0\x9f\x98\x80|A", "MSH-2");
    refuse("MSH|^~\\&amp;|A", "MSH-2");
    refuse("MSH|^~\\^|A", "MSH-2");
    refuse("MSH|^~\\&#$|A", "MSH-2");
    refuse("MSH|abcd|A", "MSH-2");
    refuse("MSH|^~\\&\x1c|A", "MSH-2");
    refuse("MSH\t^~\\&\tA", "MSH-1");
}

static void segment_ends_may_be_mixed(void **state)
{
    (void)state;
    parse("MSH|^~\\&|A\rEVN|1\nPID|2\r\nPV1|3\n\n\r\r\nOBX|4");
    assert_int_equal(message.segment_count, 5);
    assert_span(field(1, 1), "1");
    assert_span(field(2, 1), "2");
    assert_span(field(3, 1), "3");
    assert_span(field(4, 1), "4");
    assert_int_equal(message.segments[4].number, 5);
}

static void byte_order_mark_and_blank_lines_are_no_segments(void **state)
{
    (void)state;
    parse("\xef\xbb\xbf\r\n \nMSH|^~\\&|A\r  \t\rPID|1\r\r");
    assert_int_equal(message.segment_count, 2);
    assert_string_equal(message.segments[1].id, "PID");
    parse("\x0bMSH|^~\\&|A\r\x1c\r");
    assert_int_equal(message.segment_count, 1);
}

static void ids_are_upper_case_and_exactly_three_long(void **state)
{
    (void)state;
    parse("msh|^~\\&|A\rpid|1\rPV1\rzx9|2\rPIDX|3\r PID|4\rsome free text\rP-1|5\rP\r");
    assert_span(field(0, 1), "|");
    assert_string_equal(message.segments[0].id, "MSH");
    assert_string_equal(message.segments[1].id, "PID");
    assert_string_equal(message.segments[2].id, "PV1");
    assert_int_equal(message.segments[2].field_count, 0);
    assert_string_equal(message.segments[3].id, "ZX9");
    for (size_t i = 4; i < message.segment_count; i++)
        assert_string_equal(message.segments[i].id, "");
    assert_int_equal(message.segments[8].occurrence, 5);
    assert_span(field(4, 1), "3");
}

static void occurrences_count_by_id(void **state)
{
    (void)state;
    parse("MSH|^~\\&|A\rOBX|1\rNTE|1\rOBX|2\robx|3\rNTE|2\r");
    assert_int_equal(message.segments[1].occurrence, 1);
    assert_int_equal(message.segments[3].occurrence, 2);
    assert_int_equal(message.segments[4].occurrence, 3);
    assert_int_equal(message.segments[5].occurrence, 2);
}

/* Every id that can be, so that the tally is as full as it gets. */
static void occurrences_survive_every_possible_id(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    hub_buf_append_str(&text, "MSH|^~\\&|A\r");
    for (int i = 0; i < 36 * 36 * 36; i++)
        hub_buf_printf(&text, "%c%c%c|\r", alphabet[i / 1296], alphabet[i / 36 % 36], alphabet[i % 36]);
    assert_int_equal(hub_hl7_parse(&arena, hub_buf_view(&text), 100000, false, &message, &error), HUB_OK);
    assert_int_equal(message.segment_count, 46657);
    for (size_t i = 1; i < message.segment_count; i++)
        if (memcmp(message.segments[i].id, "MSH", 4) != 0)
            assert_int_equal(message.segments[i].occurrence, 1);
    hub_buf_deinit(&text);
}

static void envelope_headers_only_where_allowed(void **state)
{
    (void)state;
    struct hub_span batch = HUB_SPAN("FHS|^~\\&|A\rBHS|^~\\&|A\rMSH|^~\\&|A\rBTS|1\rFTS|1\r");
    assert_int_equal(hub_hl7_parse(&arena, batch, SEGMENTS_MAX, true, &message, &error), HUB_OK);
    assert_int_equal(message.segment_count, 5);
    assert_span(field(1, 2), "^~\\&");
    assert_span(field(1, 3), "A");
    assert_round_trip(batch);
    assert_int_equal(hub_hl7_parse(&arena, batch, SEGMENTS_MAX, false, &message, &error), HUB_SYNTAX);
}

static void limits_are_rejections(void **state)
{
    (void)state;
    struct hub_span text = HUB_SPAN("MSH|^~\\&|A\rPID|1\rPV1|1\r");
    assert_int_equal(hub_hl7_parse(&arena, text, 3, false, &message, &error), HUB_OK);
    assert_int_equal(hub_hl7_parse(&arena, text, 2, false, &message, &error), HUB_TOO_MANY);
    assert_true(error.has_number);
    assert_int_equal(error.number, 2);
    struct hub_arena small;
    hub_arena_init(&small, 128);
    assert_int_equal(hub_hl7_parse(&small, text, 3, false, &message, &error), HUB_TOO_LARGE);
    hub_arena_deinit(&small);
}

static void cut_gives_every_part_once(void **state)
{
    (void)state;
    struct hub_span rest = HUB_SPAN("a~~b~");
    struct hub_span part;
    static const char *const expected[] = {"a", "", "b", ""};
    for (size_t i = 0; i < 4; i++) {
        assert_true(hub_hl7_cut(&rest, '~', &part));
        assert_span(part, expected[i]);
    }
    assert_false(hub_hl7_cut(&rest, '~', &part));
    rest = HUB_SPAN_NONE;
    assert_false(hub_hl7_cut(&rest, '~', &part));
}

static void null_is_two_quotes_and_nothing_else(void **state)
{
    (void)state;
    assert_true(hub_hl7_is_null(HUB_SPAN("\"\"")));
    assert_false(hub_hl7_is_null(HUB_SPAN("\"")));
    assert_false(hub_hl7_is_null(HUB_SPAN("\"\"\"")));
    assert_false(hub_hl7_is_null(HUB_SPAN(" \"\"")));
    assert_false(hub_hl7_is_null(HUB_SPAN_NONE));
}

static void assert_text(const char *value, bool formatted, const char *expected)
{
    struct hub_span out;
    assert_int_equal(hub_hl7_text(&arena, &message, hub_span_str(value), formatted, &out), HUB_OK);
    assert_span(out, expected);
}

static void escapes_become_text(void **state)
{
    (void)state;
    parse("MSH|^~\\&#|A\r");
    assert_text("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f\\P\\", false, "a|b^c&d~e\\f#");
    assert_text("\\H\\bold\\N\\", false, "bold");
    assert_text("\\X41c3A9\\", false, "A\xc3\xa9");
    assert_text("one\\.br\\two\\.BR\\", true, "one\ntwo\n");
    assert_text("a\\.sp\\b\\.sp3\\c\\.ce\\d\\.sk2\\e\\.in+4\\f\\.ti-2\\g\\.fi\\\\.nf\\", true, "a\nb\n\n\nc\nd  efg");
}

static void escapes_that_mean_nothing_stay(void **state)
{
    (void)state;
    parse("MSH|^~\\&|A\r");
    assert_text("one\\.br\\two", false, "one\\.br\\two");
    assert_text("C:\\temp\\T\\x", false, "C:\\temp&x");
    assert_text("\\", true, "\\");
    assert_text("a\\\\b", true, "a\\\\b");
    assert_text("a\\F", true, "a\\F");
    assert_text("\\XE9\\", true, "\\XE9\\"); /* half a character */
    assert_text("\\X00\\", true, "\\X00\\");
    assert_text("\\X4\\\\X\\\\XZZ\\", true, "\\X4\\\\X\\\\XZZ\\");
    assert_text("\\Zab\\\\C2842\\", true, "\\Zab\\\\C2842\\");
    assert_text("\\.sp100\\\\.spx\\\\.br2\\\\.xx\\", true, "\\.sp100\\\\.spx\\\\.br2\\\\.xx\\");
    assert_text("\\f\\", true, "\\f\\");
}

static void text_without_escapes_is_not_copied(void **state)
{
    (void)state;
    parse("MSH|^~\\&|A\r");
    struct hub_span value = HUB_SPAN("plain");
    struct hub_span out;
    assert_int_equal(hub_hl7_text(&arena, &message, value, true, &out), HUB_OK);
    assert_ptr_equal(out.ptr, value.ptr);
    parse("MSH|^~&|A\r");
    value = HUB_SPAN("C:\\T\\");
    assert_int_equal(hub_hl7_text(&arena, &message, value, true, &out), HUB_OK);
    assert_ptr_equal(out.ptr, value.ptr);
}

static void text_past_the_cap_is_no_memory(void **state)
{
    (void)state;
    struct hub_arena small;
    parse("MSH|^~\\&|A\r");
    hub_arena_init(&small, 4);
    struct hub_span out;
    assert_int_equal(hub_hl7_text(&small, &message, HUB_SPAN("abcdefg\\T\\"), false, &out), HUB_NO_MEMORY);
    assert_null(out.ptr);
    hub_arena_deinit(&small);
}

static void escaping_is_undone_by_text(void **state)
{
    (void)state;
    parse("MSH|^~\\&#|A\r");
    struct hub_span value = HUB_SPAN("a|b^c&d~e\\f#g \xc3\xa9");
    struct hub_buf out;
    hub_buf_init(&out, 1000, false);
    hub_hl7_escape(&message.delimiters, value, &out);
    assert_span(hub_buf_view(&out), "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f\\P\\g \xc3\xa9");
    assert_text(hub_buf_str(&out), false, (const char *)value.ptr);
    hub_buf_reset(&out);
    hub_hl7_escape(&message.delimiters, HUB_SPAN("1\r\n2\n3\r"), &out);
    assert_span(hub_buf_view(&out), "1\\.br\\2\\.br\\3\\.br\\");
    hub_buf_reset(&out);
    struct hub_hl7_delimiters bare = {.field = '|', .component = '^'};
    hub_hl7_escape(&bare, HUB_SPAN("a|b~c"), &out);
    assert_span(hub_buf_view(&out), "a b~c");
    hub_buf_deinit(&out);
}

/* Sample messages that are not part of the project; they lie beside it where it is developed. */
static void every_sample_message_survives_the_round_trip(void **state)
{
    (void)state;
    const char *folder = CHARTLINE_SOURCE_DIR "/../shared/corpus/hl7v2";
    DIR *dir = opendir(folder);
    if (dir == NULL)
        dir = opendir(folder = CHARTLINE_SOURCE_DIR "/../../shared/corpus/hl7v2");
    if (dir == NULL) {
        test_skip_beside("no sample messages in ../shared/corpus/hl7v2 beside the source folder");
    }
    unsigned count = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[4096];
        size_t len = strlen(e->d_name);
        if (len < 4 || strcmp(e->d_name + len - 4, ".hl7") != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        static uint8_t bytes[1 << 20];
        size_t got = fread(bytes, 1, sizeof bytes, file);
        (void)fclose(file);
        hub_arena_reset(&arena);
        parse_bytes(bytes, got);
        assert_true(message.segment_count >= 2);
        assert_string_equal(message.segments[0].id, "MSH");
        count++;
    }
    (void)closedir(dir);
    assert_true(count > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(message_is_taken_apart_to_subcomponents, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_absent_is_an_empty_span, setup, teardown),
        cmocka_unit_test_setup_teardown(header_fields_count_from_the_separator, setup, teardown),
        cmocka_unit_test_setup_teardown(delimiters_are_the_senders_own, setup, teardown),
        cmocka_unit_test_setup_teardown(encoding_characters_are_read_as_meant, setup, teardown),
        cmocka_unit_test_setup_teardown(undeclared_delimiters_split_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(marks_say_what_a_segment_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(filled_has_a_bit_for_each_field_that_holds_something, setup, teardown),
        cmocka_unit_test_setup_teardown(headers_that_cannot_be_read_are_refused_with_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(segment_ends_may_be_mixed, setup, teardown),
        cmocka_unit_test_setup_teardown(byte_order_mark_and_blank_lines_are_no_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_are_upper_case_and_exactly_three_long, setup, teardown),
        cmocka_unit_test_setup_teardown(occurrences_count_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(occurrences_survive_every_possible_id, setup, teardown),
        cmocka_unit_test_setup_teardown(envelope_headers_only_where_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_are_rejections, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_gives_every_part_once, setup, teardown),
        cmocka_unit_test_setup_teardown(null_is_two_quotes_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(escapes_become_text, setup, teardown),
        cmocka_unit_test_setup_teardown(escapes_that_mean_nothing_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(text_without_escapes_is_not_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(text_past_the_cap_is_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(escaping_is_undone_by_text, setup, teardown),
        cmocka_unit_test_setup_teardown(every_sample_message_survives_the_round_trip, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
