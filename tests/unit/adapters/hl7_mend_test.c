/* What is read otherwise than it stands: line ends written as text, segments continued by ADD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/formats/hl7v2/hl7_charset.h"

static struct hub_arena arena;

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

#define HEAD "MSH|^~\\&|a|b|||t||ADT^A01|m|P|2.5"

/* The segments of TEXT. */
static void reads(const char *text, const char *const *expected)
{
    struct hub_hl7_input input;
    struct hub_error err = {0};
    assert_int_equal(hub_hl7_read(&arena, hub_span_str(text), NULL, false, 100, &input, &err), HUB_OK);
    size_t count = 0;
    for (; expected[count] != NULL; count++) {
        assert_true(count < input.message.segment_count);
        struct hub_span segment = input.message.segments[count].bytes;
        assert_int_equal(segment.len, strlen(expected[count]));
        assert_memory_equal(segment.ptr, expected[count], segment.len);
    }
    assert_int_equal(input.message.segment_count, count);
    assert_int_equal(input.head.len, strlen(expected[0]));
}
#define READS(text, ...) reads(text, (const char *const[]){__VA_ARGS__, NULL})

static void line_ends_that_are_text_part_segments(void **state)
{
    (void)state;
    READS(HEAD "\\rPID|1\\rPV1|1\\r", HEAD, "PID|1", "PV1|1");
    READS(HEAD "\\r\\nPID|1\\r\\n", HEAD, "PID|1");
    READS(HEAD "\\nPID|1", HEAD, "PID|1");
    READS(HEAD "<13>PID|1<13>ZX1|1<13>", HEAD, "PID|1", "ZX1|1");
    READS(HEAD "<CR>PID|1\r", HEAD, "PID|1");
}

static void the_same_text_inside_values_stays(void **state)
{
    (void)state;
    READS(HEAD "|C:\\run\\rpid|x\\r4", HEAD "|C:\\run\\rpid|x\\r4");
    READS(HEAD "\rNTE|1||a\\rPID|b\\r\r", HEAD, "NTE|1||a\\rPID|b\\r");
}

static void segments_go_on_in_add(void **state)
{
    (void)state;
    READS(HEAD "\rABC|1|2|this is\rADD| split|7\rDEF|1\r", HEAD, "ABC|1|2|this is split|7", "DEF|1");
    READS(HEAD "\rOBX|1|TX|a||l\rADD|o\rADD|ng\rADD||F\r", HEAD, "OBX|1|TX|a||long|F");
    READS(HEAD "\rOBX|1\rADD\rNTE|1\rADD|\r", HEAD, "OBX|1", "NTE|1");
    READS(HEAD "\\rOBX|1\\rADD|2\\r", HEAD, "OBX|12");
}

static void msh_cannot_be_continued(void **state)
{
    (void)state;
    struct hub_hl7_input input;
    struct hub_error err = {0};
    const struct hub_span text = HUB_SPAN(HEAD "\rADD||x\rPID|1\r");
    assert_int_equal(hub_hl7_read(&arena, text, NULL, false, 100, &input, &err), HUB_SYNTAX);
    assert_string_equal(err.place, "ADD");
}

static void characters_are_read_behind_what_was_mended(void **state)
{
    (void)state;
    READS(HEAD "||||||8859/1\rOBX|1||\xe4\rADD|\xf6\r", HEAD "||||||8859/1", "OBX|1||\xc3\xa4\xc3\xb6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_ends_that_are_text_part_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_text_inside_values_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_go_on_in_add, setup, teardown),
        cmocka_unit_test_setup_teardown(msh_cannot_be_continued, setup, teardown),
        cmocka_unit_test_setup_teardown(characters_are_read_behind_what_was_mended, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
