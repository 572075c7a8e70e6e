/* Batches: what belongs to which envelope, what is wrong with it, and the answer to the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/formats/hl7v2/ack.h"
#include "adapters/formats/hl7v2/hl7_batch.h"
#include "adapters/formats/hl7v2/hl7_charset.h"

static struct hub_arena arena;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 1 << 24);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

static struct hub_parts split(const char *text)
{
    struct hub_parts parts;
    struct hub_error err = {0};
    assert_int_equal(hub_hl7_split(&arena, hub_span_str(text), 10, &parts, &err), HUB_OK);
    return parts;
}

/* The messages of TEXT, and the place of what is wrong with its envelope ("": nothing). */
static void holds(const char *text, const char *fault, const char *const *expected)
{
    struct hub_parts parts = split(text);
    size_t count = 0;
    for (; expected[count] != NULL; count++) {
        assert_true(count < parts.count);
        assert_int_equal(parts.messages[count].len, strlen(expected[count]));
        assert_memory_equal(parts.messages[count].ptr, expected[count], parts.messages[count].len);
    }
    assert_int_equal(parts.count, count);
    assert_int_equal(parts.fault.result != HUB_OK, fault[0] != '\0');
    assert_string_equal(parts.fault.place, fault);
}
#define HOLDS(text, fault, ...) holds(text, fault, (const char *const[]){__VA_ARGS__, NULL})

static void messages_are_cut_out_as_if_sent_alone(void **state)
{
    (void)state;
    HOLDS("BHS|^~\\&\rMSH|1\rPID|\rMSH|2\rBTS|2\r", "", "MSH|1\rPID|\r", "MSH|2\r");
    HOLDS("FHS|^~\\&\rBHS|^~\\&\rMSH|1\rBTS|1\rBHS|^~\\&\rMSH|2\rBTS|1\rFTS|2\r", "", "MSH|1\r", "MSH|2\r");
    HOLDS("BHS|^~\\&\nMSH|1\nPID|\n\n\nMSH|2\n\n", "", "MSH|1\nPID|\n", "MSH|2\n");
    HOLDS("BHS|^~\\&\r\nMSH|1\r\n\r\nMSH|2", "", "MSH|1\r\n", "MSH|2");
    HOLDS("BHS|^~\\&\rBTS|0\r", "", NULL);
    HOLDS("BHS|^~\\&\rPID|1\rMSH|1\r", "", "PID|1\r", "MSH|1\r");
}

static void a_line_is_a_header_only_where_it_stands_alone(void **state)
{
    (void)state;
    HOLDS("BHS|^~\\&\rMSH|1\rNTE||MSH|2\rMSHX|3\rmsh is a word\r", "", "MSH|1\rNTE||MSH|2\rMSHX|3\rmsh is a word\r");
    HOLDS("BHS|^~\\&\rMSH|1\rmsh|2\rbts|2\r", "", "MSH|1\r", "msh|2\r");
    HOLDS("BHS|^~\\&\rMSH|1\rMSH\rPID|9\rMSH#2\r", "", "MSH|1\r", "MSH\rPID|9\r", "MSH#2\r");
}

static void what_is_wrong_with_an_envelope_is_found(void **state)
{
    (void)state;
    HOLDS("BHS|^~\\&\rMSH|1\rBTS|2\r", "BTS-1", "MSH|1\r");
    HOLDS("BHS|^~\\&\rMSH|1\rBTS|x\r", "BTS-1", "MSH|1\r");
    HOLDS("BHS|^~\\&\rMSH|1\rBTS| 1 |c\r", "", "MSH|1\r");
    HOLDS("BHS|^~\\&\rMSH|1\rBTS\r", "", "MSH|1\r");
    HOLDS("FHS|^~\\&\rMSH|1\rFTS|2\r", "FTS-1", "MSH|1\r");
    HOLDS("FHS|^~\\&\rFHS|^~\\&\rMSH|1\r", "FHS", "MSH|1\r");
    HOLDS("BHS\rMSH|1\r", "BHS-1", "MSH|1\r");
    HOLDS("BHS|aa\rMSH|1\r", "BHS-2", "MSH|1\r");
    HOLDS("FHS|^~\\&\rBTS|1\rMSH|1\r", "BTS-1", "MSH|1\r");
}

static void what_is_no_batch_is_left_alone(void **state)
{
    (void)state;
    static const char *const none[] = {"", "MSH|^~\\&\rBHS|\r", "BHSX|", "BH", "BTS|1\r", "FTS|1\r", "text"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(hub_hl7_is_batch(hub_span_str(none[i])));
    assert_true(hub_hl7_is_batch(hub_span_str("\r\n\xef\xbb\xbf" "FHS|")));
    assert_true(hub_hl7_is_batch(hub_span_str("BHS")));
}

static void more_messages_than_the_limit_are_refused(void **state)
{
    (void)state;
    char text[512] = "BHS|^~\\&\r";
    struct hub_parts parts;
    struct hub_error err = {0};
    for (int i = 0; i < 11; i++)
        strcat(text, "MSH|1\r");
    assert_int_equal(hub_hl7_split(&arena, hub_span_str(text), 10, &parts, &err), HUB_TOO_MANY);
    assert_int_equal(err.number, 10);
    text[0] = '\0';
    for (int i = 0; i < 11; i++)
        strcat(text, "BHS|^~\\&\r");
    assert_int_equal(hub_hl7_split(&arena, hub_span_str(text), 10, &parts, &err), HUB_TOO_MANY);
}

/* The answer to TEXT, whose messages are all stored. */
static const char *answer(const char *text, struct hub_buf *out)
{
    struct hub_parts parts = split(text);
    struct hub_span answers[10] = {{0}};
    struct hub_verdict whole = {.result = HUB_OK, .message_id = "wholewholewholewholewholewholewh"};
    for (size_t i = 0; i < parts.count; i++) {
        struct hub_buf one;
        struct hub_verdict verdict = {.result = HUB_OK, .message_id = "partpartpartpartpartpartpartpart"};
        hub_buf_init(&one, 4096, false);
        assert_int_equal(hub_hl7_ack(HUB_ACK_AUTO, hub_hl7_head(parts.messages[i]), &verdict, &one), HUB_OK);
        answers[i] = hub_arena_copy(&arena, hub_buf_view(&one));
        hub_buf_deinit(&one);
    }
    hub_buf_reset(out);
    assert_int_equal(hub_hl7_bundle(HUB_ACK_AUTO, &parts, answers, &whole, out), HUB_OK);
    return hub_buf_str(out);
}

static void answers_have_the_shape_of_what_came(void **state)
{
    (void)state;
    struct hub_buf out;
    hub_buf_init(&out, 1 << 20, false);
    assert_string_equal(answer("FHS|^~\\&|a|b|c|d|t||f||F1\rBHS#^~\\&#e#f#g#h#t##n##B1\rMSH|^~\\&|i|j|k|l|t||ADT^A01|m|P|2.5\rBTS|1\rFTS|1\r", &out),
                        "FHS|^~\\&|c|d|a|b|||||AF1-wholewhole|F1\r"
                        "BHS#^~\\&#g#h#e#f#####AB1-wholewhole#B1\r"
                        "MSH|^~\\&|k|l|i|j|||ACK^A01^ACK|partpartpartpartpart|P|2.5\rMSA|AA|m\r"
                        "BTS#1\rFTS|1\r");
    assert_string_equal(answer("BHS|^~\\&|||||||||B2\rBTS|0\r", &out), "BHS|^~\\&|||||||||AB1-wholewhole|B2\rBTS|0\r");
    assert_string_equal(answer("BHS|^~\\&|a\x0b|||||||||B3\rMSH|^~\\&|||||||ADT|m|P|2.4|||AL|NE\rBTS|3\r", &out),
                        "BHS|^~\\&|||a|||||the batch does not hold as many messages as BTS-1 says|CB1-wholewhole|\r"
                        "MSH|^~\\&|||||||ACK|partpartpartpartpart|P|2.4|||NE|NE\rMSA|CA|m\r"
                        "MSH|^~\\&|||a||||ACK|E1-wholewholewhol|P|2.4|||NE|NE\r"
                        "MSA|CE||the batch does not hold as many messages as BTS-1 says (1)\rERR|BTS^1^1^100&Segment sequence error&HL70357\r"
                        "BTS|2\r");
    hub_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_are_cut_out_as_if_sent_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_is_a_header_only_where_it_stands_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_with_an_envelope_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_batch_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(more_messages_than_the_limit_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_have_the_shape_of_what_came, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
