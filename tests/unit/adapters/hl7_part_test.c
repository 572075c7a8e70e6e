/* Messages in parts: what is a part, and what the parts make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/formats/hl7v2/hl7_part.h"

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

#define MSH(type, id, pointer) "MSH|^~\\&|a|b|||t||" type "|" id "|P|2.5||" pointer "\r"

static void points(const char *text, const char *before, const char *after)
{
    struct hub_hl7 message;
    struct hub_span found[2];
    assert_int_equal(hub_hl7_parse(&arena, hub_span_str(text), 100, false, &message, NULL), HUB_OK);
    hub_hl7_part(&message, &found[0], &found[1]);
    assert_true(hub_span_is(found[0], before));
    assert_true(hub_span_is(found[1], after));
}

static void parts_are_known_by_their_pointers(void **state)
{
    (void)state;
    points(MSH("ORU^R01", "1", "") "PID|1\rDSC|p|F\r", "", "p");
    points(MSH("ORU^R01", "2", "p") "OBX|1\rDSC| q \r", "p", "q");
    points(MSH("ORU^R01", "3", "q") "OBX|2\r", "q", "");
    points(MSH("ORU^R01", "4", "") "PID|1\r", "", "");
}

static void what_only_looks_like_a_part_is_none(void **state)
{
    (void)state;
    points(MSH("ORU^R01", "1", "") "PID|1\rDSC|\r", "", "");
    points(MSH("ORU^R01", "1", "\"\"") "PID|1\rDSC|\"\"\r", "", "");
    points(MSH("ORU^R01", "1", "") "DSC|p|F\rPID|1\r", "", "");
    points(MSH("ORU^R01", "1", "") "PID|1\rDSC|p|I\r", "", "");
    points(MSH("QBP^Q22", "1", "") "QPD|1\rDSC|p\r", "", "");
    points(MSH("RSP^K22", "1", "p") "PID|1\rDSC|q|F\r", "", "");
}

static enum hub_result join(const char *const *texts, const char *expected, struct hub_error *err)
{
    struct hub_span parts[8];
    struct hub_span out;
    size_t count = 0;
    for (; texts[count] != NULL; count++)
        parts[count] = hub_span_str(texts[count]);
    enum hub_result result = hub_hl7_join(&arena, parts, count, 100, &out, err);
    if (result == HUB_OK) {
        assert_int_equal(out.len, strlen(expected));
        assert_memory_equal(out.ptr, expected, out.len);
    }
    return result;
}
#define JOIN(expected, err, ...) join((const char *const[]){__VA_ARGS__, NULL}, expected, err)

static void parts_make_one_message_under_the_first_header(void **state)
{
    (void)state;
    struct hub_error err = {0};
    assert_int_equal(JOIN(MSH("ORU^R01", "1", "") "PID|1\rOBX|1\rOBX|2\rOBX|3\r", &err,
                          MSH("ORU^R01", "1", "") "PID|1\rOBX|1\rDSC|p|F\r", MSH("ORU^R01", "2", "p") "OBX|2\rDSC|q\r",
                          "\xef\xbb\xbf" MSH("ORU^R01", "3", "q") "\n\nOBX|3\n"),
                     HUB_OK);
    assert_int_equal(JOIN(MSH("ORU^R01", "1", "") "OBX|1|half a\rADD| word|F\r", &err,
                          MSH("ORU^R01", "1", "") "OBX|1|half a\rADD|\rDSC|p\r", MSH("ORU^R01", "2", "p") "ADD| word|F\r"),
                     HUB_OK);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct hub_error err = {0};
    assert_int_equal(JOIN("", &err, MSH("ORU^R01", "1", "") "DSC|p\r", "MSH#^~\\&#a#b\rOBX#1\r"), HUB_SYNTAX);
    assert_string_equal(err.place, "MSH-2");
    assert_int_equal(JOIN("", &err, MSH("ORU^R01", "1", "||||8859/1") "DSC|p\r", MSH("ORU^R01", "2", "p") "OBX|1\r"), HUB_CHARSET_UNKNOWN);
    assert_string_equal(err.place, "MSH-18");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parts_are_known_by_their_pointers, setup, teardown),
        cmocka_unit_test_setup_teardown(what_only_looks_like_a_part_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_make_one_message_under_the_first_header, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_that_do_not_fit_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
