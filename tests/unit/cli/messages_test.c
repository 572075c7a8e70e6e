/* Files as senders keep them, cut into messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The room under test belongs to the program, not to the library. */
#include "src/cli/messages.c"

/* TEXT holds exactly these messages (NULL ended). */
static void holds(const char *text, const char *const *expected)
{
    struct hub_cli_messages messages;
    struct hub_span message;
    hub_cli_messages_begin(&messages, hub_span_str(text), false);
    for (; *expected != NULL; expected++) {
        assert_true(hub_cli_messages_next(&messages, &message));
        assert_int_equal(message.len, strlen(*expected));
        assert_memory_equal(message.ptr, *expected, message.len);
    }
    assert_false(hub_cli_messages_next(&messages, &message));
    assert_false(hub_cli_messages_next(&messages, &message));
}
#define HOLDS(text, ...) holds(text, (const char *const[]){__VA_ARGS__, NULL})

static void messages_are_cut_at_msh_lines_whatever_ends_a_line(void **state)
{
    (void)state;
    HOLDS("MSH|1\rPID|\rMSH|2\rPID|\r", "MSH|1\rPID|\r", "MSH|2\rPID|\r");
    HOLDS("MSH|1\nPID|\nMSH|2\nPID|", "MSH|1\nPID|\n", "MSH|2\nPID|");
    HOLDS("MSH|1\r\nPID|\r\n\r\nMSH|2\r\n", "MSH|1\r\nPID|\r\n\r\n", "MSH|2\r\n");
    HOLDS("\n\n  MSH|1\n", "MSH|1\n");
    HOLDS("MSH|1", "MSH|1");
}

static void messages_pass_over_batch_envelopes(void **state)
{
    (void)state;
    HOLDS("FHS|\rBHS|\rMSH|1\rPID|\rMSH|2\rBTS|2\rFTS|1\r", "MSH|1\rPID|\r", "MSH|2\r");
    HOLDS("\xef\xbb\xbf"
          "BHS|\rMSH|1\r",
          "MSH|1\r");
    HOLDS("BHS|\rMSH|1\rBTS|1\rBHS|\rMSH|2\rBTS|1\r", "MSH|1\r", "MSH|2\r");
}

static void messages_keep_lines_that_only_look_like_headers(void **state)
{
    (void)state;
    HOLDS("MSH|1\rNTE||MSH|2\rMSHX|3\rBTSX|\r", "MSH|1\rNTE||MSH|2\rMSHX|3\rBTSX|\r");
    HOLDS("\xef\xbb\xbfMSH|1\r", "\xef\xbb\xbfMSH|1\r");
}

static void messages_of_a_framed_file_are_its_frames(void **state)
{
    (void)state;
    HOLDS("\x0bMSH|1\r\x1c\r\x0bMSH|2\r\x1c\r", "MSH|1\r", "MSH|2\r");
    HOLDS("\x0bMSH|1\rMSH|x\r\x1c\r\n", "MSH|1\rMSH|x\r");
    HOLDS("\x0bMSH|1\r", "MSH|1\r");
}

static void a_frame_may_hold_a_batch(void **state)
{
    (void)state;
    HOLDS("\x0b" "BHS|\rMSH|1\rMSH|2\rBTS|2\r\x1c\r\x0bMSH|3\r\x1c\r", "MSH|1\r", "MSH|2\r", "MSH|3\r");
    HOLDS("\x0b" "BHS|\rBTS|0\r\x1c\r\x0bMSH|3\r\x1c\r", "MSH|3\r");
}

static void batches_can_be_left_whole(void **state)
{
    (void)state;
    static const char *const files[] = {"FHS|\rBHS|\rMSH|1\rMSH|2\rBTS|2\rFTS|1\r", "\x0b" "FHS|\rBHS|\rMSH|1\rMSH|2\rBTS|2\rFTS|1\r\x1c\r"};
    for (size_t i = 0; i < 2; i++) {
        struct hub_cli_messages messages;
        struct hub_span message;
        hub_cli_messages_begin(&messages, hub_span_str(files[i]), true);
        assert_true(hub_cli_messages_next(&messages, &message));
        assert_int_equal(message.len, strlen(files[0]));
        assert_memory_equal(message.ptr, files[0], message.len);
        assert_false(hub_cli_messages_next(&messages, &message));
    }
}

static void what_belongs_to_no_message_is_not_dropped(void **state)
{
    (void)state;
    HOLDS("PID|x\rMSH|1\r", "PID|x\r", "MSH|1\r");
    HOLDS("hello", "hello");
}

static void an_empty_file_holds_no_message(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "\r\n\r\n", "FHS|\rBHS|\rBTS|0\rFTS|0\r"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        struct hub_cli_messages messages;
        struct hub_span message;
        hub_cli_messages_begin(&messages, hub_span_str(empty[i]), false);
        assert_false(hub_cli_messages_next(&messages, &message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_cut_at_msh_lines_whatever_ends_a_line),
        cmocka_unit_test(messages_pass_over_batch_envelopes),
        cmocka_unit_test(messages_keep_lines_that_only_look_like_headers),
        cmocka_unit_test(messages_of_a_framed_file_are_its_frames),
        cmocka_unit_test(a_frame_may_hold_a_batch),
        cmocka_unit_test(batches_can_be_left_whole),
        cmocka_unit_test(what_belongs_to_no_message_is_not_dropped),
        cmocka_unit_test(an_empty_file_holds_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
