#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/formats/hl7v2/ack.h"
#include "adapters/formats/hl7v2/hl7_charset.h"

#define TIME "20261123014350+0000"
#define ID "abcdefghijklmnopqrst"

static struct hub_buf out;

static int setup(void **state)
{
    (void)state;
    hub_buf_init(&out, 1 << 20, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_buf_deinit(&out);
    return 0;
}

static struct hub_verdict verdict_of(enum hub_result result, const char *place)
{
    struct hub_verdict verdict = {.result = result, .recorded_us = INT64_C(1795398230123456)};
    (void)snprintf(verdict.message_id, sizeof verdict.message_id, "%s", ID "uvwxyz234567");
    if (result != HUB_OK) {
        (void)hub_fail(&verdict.error, result, NULL, NULL);
        (void)hub_error_at(&verdict.error, "%s", place);
    }
    return verdict;
}

static void assert_ack(const char *head, const struct hub_verdict *verdict, const char *expected)
{
    hub_buf_reset(&out);
    assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, hub_span_str(head), verdict, &out), HUB_OK);
    assert_string_equal(hub_buf_str(&out), expected);
}

/* The last line, without its terminator. */
static const char *last_line(void)
{
    static char line[1000];
    const char *text = hub_buf_str(&out);
    size_t len = strlen(text);
    assert_true(len > 0 && text[len - 1] == '\r');
    size_t start = len - 1;
    while (start > 0 && text[start - 1] != '\r')
        start--;
    (void)snprintf(line, sizeof line, "%.*s", (int)(len - 1 - start), text + start);
    return line;
}

static const char *error_line(const char *version, enum hub_result result, const char *place)
{
    char head[200];
    struct hub_verdict verdict = verdict_of(result, place);
    (void)snprintf(head, sizeof head, "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|%s", version);
    hub_buf_reset(&out);
    assert_int_equal(hub_hl7_ack(HUB_ACK_ORIGINAL, hub_span_str(head), &verdict, &out), HUB_OK);
    return last_line();
}

static void stored_messages_are_accepted_and_the_header_echoed(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    assert_ack(
        "MSH|^~\\&|WARD|NORTH^1.2^ISO|HUB|SITE|20260105120000||ADT^A01^ADT_A01|C-1|T|2.5.1^USA||||||UNICODE "
        "UTF-8~8859/1|||P1^X~P2",
        &verdict,
        "MSH|^~\\&|HUB|SITE|WARD|NORTH^1.2^ISO|" TIME "||ACK^A01^ACK|" ID
        "|T|2.5.1^USA||||||UNICODE UTF-8~8859/1|||P1^X~P2\r"
        "MSA|AA|C-1\r");
    assert_ack("MSH|^~\\&|A|||||| |C|P|2.4||||||8859/1", &verdict,
               "MSH|^~\\&|||A||" TIME "||ACK|" ID "|P|2.4||||||8859/1\rMSA|AA|C\r");
}

static void answers_use_the_senders_delimiters(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_TYPE, "PID-7");
    assert_ack("MSH#*%!@#A#B#C#D#2026##ADT*A08*ADT_A01#7#P#2.5", &verdict,
               "MSH#*%!@#C#D#A#B#" TIME "##ACK*A08*ACK#" ID "#P#2.5\rMSA#AE#7\r"
               "ERR##PID*1*7*1#102*Data type error*HL70357#E###a value does not have its data type#a value does not have its data type\r");
    assert_ack("MSH|^~\\\\&|A|||||||7|P|2.5", &verdict,
               "MSH|^~\\\\&|||A||" TIME "||ACK|" ID "|P|2.5\rMSA|AE|7\r"
               "ERR||PID^1^7^1|102^Data type error^HL70357|E|||a value does not have its data type|a value does not have its data type\r");
}

static void type_has_the_shape_of_its_version(void **state)
{
    (void)state;
    static const struct {
        const char *version, *type;
    } rows[] = {{"2.1", "|ACK|"},           {"2.2", "|ACK^A01|"},         {"2.3", "|ACK^A01|"},         {"2.3.1", "|ACK^A01^ACK|"},
                {"2.8.2", "|ACK^A01^ACK|"}, {"2.999", "|ACK^A01^ACK|"},   {"", "|ACK^A01^ACK|"},        {"x.y", "|ACK^A01^ACK|"},
                {" 2.3 ", "|ACK^A01|"},     {"2.3^DEU", "|ACK^A01|"},     {"2.1000", "|ACK^A01^ACK|"}};
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[200];
        (void)snprintf(head, sizeof head, "MSH|^~\\&|A|B|C|D|2026||ADT^A01^ADT_A01|7|P|%s", rows[i].version);
        hub_buf_reset(&out);
        assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, hub_span_str(head), &verdict, &out), HUB_OK);
        assert_non_null(strstr(hub_buf_str(&out), rows[i].type));
    }
}

static void codes_are_those_of_the_result(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    for (int r = 0; r < HUB_RESULT_COUNT; r++) {
        const struct hub_result_row *row = hub_result_row((enum hub_result)r);
        char msa[40];
        verdict = verdict_of((enum hub_result)r, "");
        hub_buf_reset(&out);
        assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, HUB_SPAN("MSH|^~\\&|A|||||ADT^A01||7|P|2.5"), &verdict, &out), HUB_OK);
        (void)snprintf(msa, sizeof msa, "\rMSA|%s|7\r", row->ack_code);
        if (row->ack_code[0] == '\0')
            assert_int_equal(out.len, 0);
        else
            assert_non_null(strstr(hub_buf_str(&out), msa));
        assert_int_equal(strstr(hub_buf_str(&out), "\rERR|") != NULL, r != HUB_OK && row->ack_code[0] != '\0');
        if (r != HUB_OK && row->ack_code[0] != '\0') {
            char err[40];
            (void)snprintf(err, sizeof err, "\rERR|||%s^", row->err_code);
            assert_non_null(strstr(hub_buf_str(&out), err));
            assert_null(strstr(hub_buf_str(&out), "^^HL70357")); /* every code has its text */
        }
    }
}

static void locations_are_positions(void **state)
{
    (void)state;
    static const struct {
        const char *place, *location;
    } rows[] = {{"PID-3[2].4", "ERR||PID^1^3^2^4|"},  {"PID-3", "ERR||PID^1^3^1|"},           {"OBX[3]-5", "ERR||OBX^3^5^1|"},
                {"OBX[3]-5[1].2.6", "ERR||OBX^3^5^1^2^6|"}, {"MSH", "ERR||MSH^1|"},           {"ZX1-12.1", "ERR||ZX1^1^12^1^1|"},
                {"", "ERR|||"},               {"segment 7", "ERR|||"},            {"PID-0", "ERR|||"},
                {"PID-3[2", "ERR|||"},        {"PID-3|x", "ERR|||"},              {"PID-99999999999999999999", "ERR|||"},
                {"PI", "ERR|||"},             {"PID-3.", "ERR|||"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *line = error_line("2.5", HUB_CODE, rows[i].place);
        assert_memory_equal(line, rows[i].location, strlen(rows[i].location));
        assert_memory_equal(line + strlen(rows[i].location), "103^Table value not found^HL70357|E|||", 38);
    }
}

static void errors_before_2_5_have_the_old_form(void **state)
{
    (void)state;
    assert_string_equal(error_line("2.4", HUB_IDENTITY, "MRG-1"), "ERR|MRG^1^1^204&Unknown key identifier&HL70357");
    assert_non_null(strstr(hub_buf_str(&out), "\rMSA|AE|7|a patient cannot be merged with itself\r"));
    assert_string_equal(error_line("2.3", HUB_SYNTAX, ""), "ERR|^^^100&Segment sequence error&HL70357");
    assert_non_null(strstr(hub_buf_str(&out), "||ACK^A01|"));
    assert_string_equal(error_line("2.2", HUB_TYPE, "OBX[2]-5"), "ERR|OBX^2^5^102&Data type error&HL70357");
}

static void reasons_carry_number_and_mend(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    verdict.result = hub_fail(&verdict.error, HUB_TOO_MANY, "more segments than limits.segments", "send & less");
    hub_error_number(&verdict.error, 1000);
    assert_ack("MSH|^~\\&|A|||||||7|P|2.7", &verdict,
               "MSH|^~\\&|||A||" TIME "||ACK|" ID "|P|2.7\rMSA|AE|7\r"
               "ERR|||104^Value too long^HL70357|E|||more segments than limits.segments (1000)|more items than a configured limit; "
               "send \\T\\ less\r");
}

static void unreadable_headers_get_a_plain_answer(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_SYNTAX, "MSH");
    static const char tail[] = "ERR||MSH^1|100^Segment sequence error^HL70357|E|||not a message of this format|not a message of this format\r";
    char expected[500];
    (void)snprintf(expected, sizeof expected, "MSH|^~\\&|||||%s||ACK|%s|P|2.5.1\rMSA|AE|\r%s", TIME, ID, tail);
    static const char *const heads[] = {"", "PID|1", "MSH", "MSH|", "MSHA^~\\&A"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        assert_ack(heads[i], &verdict, expected);
    /* MSH-2 alone is at fault */
    (void)snprintf(expected, sizeof expected, "MSH|^~\\&|C||A||%s||ACK^A01^ACK|%s|P|2.4\rMSA|AE|77|not a message of this format\r"
                   "ERR|MSH^1^^100&Segment sequence error&HL70357\r", TIME, ID);
    assert_ack("MSH|\xf0\x9f\x98\x80|A||C||||ADT^A01|77|P|2.4", &verdict, expected);
}

static void echoes_cannot_break_the_frame(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    assert_ack("MSH|^~\\&|A\x1c|||||||7\x1c\x0b|P|2.5", &verdict, "MSH|^~\\&|||A||" TIME "||ACK|" ID "|P|2.5\rMSA|AA|7\r");
}

static void answers_are_messages_themselves(void **state)
{
    (void)state;
    struct hub_arena arena;
    struct hub_hl7_input input;
    struct hub_verdict verdict = verdict_of(HUB_REQUIRED, "PID-3");
    hub_arena_init(&arena, 1 << 20);
    assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, HUB_SPAN("MSH|^~\\&|A|||||||7|P|2.5||||||8859/1"), &verdict, &out), HUB_OK);
    assert_int_equal(hub_hl7_read(&arena, hub_buf_view(&out), NULL, false, 10, &input, NULL), HUB_OK);
    assert_int_equal(input.message.segment_count, 3);
    assert_true(hub_span_is(hub_hl7_field(&input.message.segments[1], 2), "7"));
    hub_arena_deinit(&arena);
}

static void the_same_verdict_gives_the_same_bytes(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    static const char head[] = "MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.4";
    char first[500];
    assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, hub_span_str(head), &verdict, &out), HUB_OK);
    (void)snprintf(first, sizeof first, "%s", hub_buf_str(&out));
    verdict.duplicate = true;
    assert_ack(head, &verdict, first);
}

static void answers_past_the_buffers_cap_are_an_error(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    struct hub_buf small;
    hub_buf_init(&small, 30, false);
    assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, HUB_SPAN_NONE, &verdict, &small), HUB_TOO_LARGE);
    hub_buf_deinit(&small);
}

/* --- MSH-15, MSH-16, mode and outcome --- */

/* The codes in ANSWERS in their order, such as "CA AA"; each answer is a message of its own. */
static const char *answered_codes(void)
{
    static char codes[40];
    struct hub_span rest = hub_buf_view(&out);
    codes[0] = '\0';
    while (rest.len != 0) {
        const uint8_t *end = memchr(rest.ptr, HUB_ANSWER_SEPARATOR, rest.len);
        struct hub_span one = hub_span_of(rest.ptr, end != NULL ? (size_t)(end - rest.ptr) : rest.len);
        struct hub_arena arena;
        struct hub_hl7 parsed;
        hub_arena_init(&arena, 1 << 20);
        assert_int_equal(hub_hl7_parse(&arena, one, 10, false, &parsed, NULL), HUB_OK);
        assert_true(parsed.segment_count >= 2 && strcmp(parsed.segments[1].id, "MSA") == 0);
        assert_true(hub_span_is(hub_hl7_field(&parsed.segments[1], 2), "7"));
        struct hub_span code = hub_hl7_field(&parsed.segments[1], 1);
        size_t used = strlen(codes);
        (void)snprintf(codes + used, sizeof codes - used, "%s%.*s", used != 0 ? " " : "", (int)code.len,
                       (const char *)code.ptr);
        hub_arena_deinit(&arena);
        rest = end != NULL ? hub_span_of(end + 1, rest.len - one.len - 1) : HUB_SPAN_NONE;
    }
    return codes;
}

static void assert_codes(enum hub_ack_mode mode, const char *accept, const char *application,
                         enum hub_result result, const char *expected)
{
    char head[200];
    struct hub_verdict verdict = verdict_of(result, "");
    (void)snprintf(head, sizeof head, "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5|||%s|%s", accept, application);
    hub_buf_reset(&out);
    assert_int_equal(hub_hl7_ack(mode, hub_span_str(head), &verdict, &out), HUB_OK);
    const char *codes = answered_codes();
    if (strcmp(codes, expected) != 0)
        fail_msg("mode %d, MSH-15 '%s', MSH-16 '%s', %s: '%s', not '%s'", (int)mode, accept, application,
                 hub_result_text(result), codes, expected);
}

static bool is_wanted(const char *condition, bool good)
{
    return strcmp(condition, "AL") == 0 || (strcmp(condition, "ER") == 0 && !good) ||
           (strcmp(condition, "SU") == 0 && good);
}

static void both_fields_decide_in_auto_and_enhanced_mode(void **state)
{
    (void)state;
    static const char *const conditions[] = {"AL", "NE", "ER", "SU", ""};
    static const struct {
        enum hub_result result;
        const char *accept, *application;
    } outcomes[] = {{HUB_OK, "CA", "AA"},
                    {HUB_TYPE, "CE", "AE"},
                    {HUB_UNSUPPORTED_TYPE, "CR", "AR"},
                    {HUB_TOO_LARGE, "CE", "AE"}};
    for (size_t a = 0; a < 5; a++) {
        for (size_t b = 0; b < 5; b++) {
            for (size_t o = 0; o < 4 && a + b != 8; o++) {
                bool good = outcomes[o].result == HUB_OK;
                bool accept = is_wanted(conditions[a], good), application = is_wanted(conditions[b], good);
                char expected[20];
                (void)snprintf(expected, sizeof expected, "%s%s%s", accept ? outcomes[o].accept : "",
                               accept && application ? " " : "", application ? outcomes[o].application : "");
                assert_codes(HUB_ACK_AUTO, conditions[a], conditions[b], outcomes[o].result, expected);
                assert_codes(HUB_ACK_ENHANCED, conditions[a], conditions[b], outcomes[o].result, expected);
            }
        }
    }
}

static void a_message_that_asks_for_nothing_special_is_answered_by_the_mode(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "\"\"", " "};
    for (size_t i = 0; i < 3; i++) {
        assert_codes(HUB_ACK_AUTO, empty[i], empty[i], HUB_OK, "AA");
        assert_codes(HUB_ACK_AUTO, empty[i], empty[i], HUB_UNSUPPORTED_EVENT, "AR");
        assert_codes(HUB_ACK_ENHANCED, empty[i], empty[i], HUB_OK, "CA");
        assert_codes(HUB_ACK_ENHANCED, empty[i], empty[i], HUB_CODE, "CE");
        assert_codes(HUB_ACK_AA, empty[i], empty[i], HUB_OK, "AA");
        assert_codes(HUB_ACK_ORIGINAL, empty[i], empty[i], HUB_CODE, "AE");
    }
}

static void original_mode_answers_whatever_was_asked(void **state)
{
    (void)state;
    static const char *const conditions[] = {"AL", "NE", "ER", "SU", ""};
    for (size_t a = 0; a < 5; a++) {
        for (size_t b = 0; b < 5; b++) {
            assert_codes(HUB_ACK_ORIGINAL, conditions[a], conditions[b], HUB_OK, "AA");
            assert_codes(HUB_ACK_ORIGINAL, conditions[a], conditions[b], HUB_REQUIRED, "AE");
        }
    }
}

static void aa_mode_sends_the_application_answer_alone(void **state)
{
    (void)state;
    static const char *const conditions[] = {"AL", "NE", "ER", "SU"};
    for (size_t a = 0; a < 4; a++) {
        for (size_t b = 0; b < 4; b++) {
            assert_codes(HUB_ACK_AA, conditions[a], conditions[b], HUB_OK,
                         is_wanted(conditions[b], true) ? "AA" : "");
            assert_codes(HUB_ACK_AA, conditions[a], conditions[b], HUB_TYPE,
                         is_wanted(conditions[b], false) ? "AE" : "");
        }
        assert_codes(HUB_ACK_AA, conditions[a], "", HUB_OK, "AA");
    }
}

static void an_unknown_wish_is_answered(void **state)
{
    (void)state;
    assert_codes(HUB_ACK_AUTO, "XX", "NE", HUB_OK, "CA");
    assert_codes(HUB_ACK_AUTO, "ne", " al ", HUB_TYPE, "AE");
}

static void the_hubs_own_trouble_has_no_answer_in_any_mode(void **state)
{
    (void)state;
    for (int mode = HUB_ACK_AUTO; mode <= HUB_ACK_AA; mode++) {
        assert_codes((enum hub_ack_mode)mode, "AL", "AL", HUB_QUOTA, "");
        assert_codes((enum hub_ack_mode)mode, "AL", "AL", HUB_IO, "");
    }
}

static void enhanced_answers_echo_ask_for_nothing_and_have_ids_of_their_own(void **state)
{
    (void)state;
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
#define REST "|" TIME "||ACK^R01^ACK|"
    assert_ack("MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5|||AL|AL||8859/1|||PRF", &verdict,
               "MSH|^~\\&|C|D|A|B" REST "mnopqrstuvwxyz234567|P|2.5|||NE|NE||8859/1|||PRF\rMSA|CA|7\r\x1c"
               "MSH|^~\\&|C|D|A|B" REST ID "|P|2.5|||NE|NE||8859/1|||PRF\rMSA|AA|7\r");
    assert_ack("MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5|||NE|AL", &verdict,
               "MSH|^~\\&|C|D|A|B" REST ID "|P|2.5|||NE|NE\rMSA|AA|7\r");
    verdict.message_id[0] = '\0';
    assert_ack("MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5|||AL|AL", &verdict,
               "MSH|^~\\&|C|D|A|B" REST "C1795398230123456|P|2.5|||NE|NE\rMSA|CA|7\r\x1c"
               "MSH|^~\\&|C|D|A|B" REST "T1795398230123456|P|2.5|||NE|NE\rMSA|AA|7\r");
#undef REST
}

static void a_wide_message_is_answered_in_its_own_kind(void **state)
{
    (void)state;
    static const char head[] = "\xff\xfeM\0S\0H\0|\0^\0~\0\\\0&\0|\0\x71\x5c|\0|\0|\0|\0|\0|\0|\0"
                               "7\0|\0P\0|\0"
                               "2\0.\0"
                               "5\0|\0"
                               "|\0|\0A\0L\0|\0A\0L\0";
    struct hub_verdict verdict = verdict_of(HUB_OK, "");
    struct hub_arena arena;
    struct hub_hl7_input input;
    hub_arena_init(&arena, 1 << 20);
    assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, hub_span_of(head, sizeof head - 1), &verdict, &out), HUB_OK);
    const uint8_t *separator = memchr(out.ptr, HUB_ANSWER_SEPARATOR, out.len);
    assert_non_null(separator);
    size_t first = (size_t)(separator - out.ptr);
    const struct hub_span answers[] = {hub_span_of(out.ptr, first),
                                       hub_span_of(separator + 1, out.len - first - 1)};
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(answers[i].ptr, "\xff\xfeM\0", 4);
        assert_int_equal(hub_hl7_read(&arena, answers[i], NULL, false, 10, &input, NULL), HUB_OK);
        assert_true(hub_span_is(hub_hl7_field(&input.message.segments[1], 1), i == 0 ? "CA" : "AA"));
        assert_true(hub_span_is(hub_hl7_field(&input.message.segments[1], 2), "7"));
        assert_true(hub_span_is(hub_hl7_field(&input.message.segments[0], 5), "\xe5\xb1\xb1"));
    }
    hub_arena_deinit(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_messages_are_accepted_and_the_header_echoed, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_use_the_senders_delimiters, setup, teardown),
        cmocka_unit_test_setup_teardown(type_has_the_shape_of_its_version, setup, teardown),
        cmocka_unit_test_setup_teardown(codes_are_those_of_the_result, setup, teardown),
        cmocka_unit_test_setup_teardown(locations_are_positions, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_before_2_5_have_the_old_form, setup, teardown),
        cmocka_unit_test_setup_teardown(reasons_carry_number_and_mend, setup, teardown),
        cmocka_unit_test_setup_teardown(unreadable_headers_get_a_plain_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(echoes_cannot_break_the_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_messages_themselves, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_verdict_gives_the_same_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_past_the_buffers_cap_are_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(both_fields_decide_in_auto_and_enhanced_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_that_asks_for_nothing_special_is_answered_by_the_mode,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(original_mode_answers_whatever_was_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(aa_mode_sends_the_application_answer_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_wish_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(the_hubs_own_trouble_has_no_answer_in_any_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(enhanced_answers_echo_ask_for_nothing_and_have_ids_of_their_own,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_wide_message_is_answered_in_its_own_kind, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
