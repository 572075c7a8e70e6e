#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/transports/mllp/frame.h"
#include "src/base/mem.h"

enum { BYTES_MAX = 20 };

static struct hub_mllp_reader reader;
static struct hub_buf events; /* "M<message>;" and "O<prefix>;" in order */

static int setup(void **state)
{
    (void)state;
    hub_mllp_reader_init(&reader, BYTES_MAX);
    hub_buf_init(&events, 1 << 16, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_mllp_reader_deinit(&reader);
    hub_buf_deinit(&events);
    return 0;
}

static void note(enum hub_mllp_event event, struct hub_span message)
{
    static const char *const letters[] = {"", "M", "O", "X"};
    hub_buf_append_str(&events, letters[event]);
    hub_buf_append_span(&events, message);
    hub_buf_append_str(&events, ";");
}

static void feed(struct hub_span in)
{
    struct hub_span message;
    enum hub_mllp_event event;
    while ((event = hub_mllp_next(&reader, &in, &message)) != HUB_MLLP_MORE)
        note(event, message);
    assert_int_equal(in.len, 0);
}

static void restart(void)
{
    hub_mllp_reader_deinit(&reader);
    hub_mllp_reader_init(&reader, BYTES_MAX);
    hub_buf_reset(&events);
}

/* Every way to cut the stream in up to three reads, and byte for byte, gives EXPECTED. */
static void assert_events(const char *stream, const char *expected, uint64_t outside)
{
    struct hub_span in = hub_span_str(stream);
    for (size_t a = 0; a <= in.len; a++) {
        for (size_t b = a; b <= in.len; b++) {
            restart();
            feed(hub_span_of(in.ptr, a));
            feed(hub_span_of(in.ptr + a, b - a));
            feed(hub_span_of(in.ptr + b, in.len - b));
            assert_string_equal(hub_buf_str(&events), expected);
            assert_int_equal(reader.outside_bytes, outside);
        }
    }
    restart();
    for (size_t i = 0; i < in.len; i++)
        feed(hub_span_of(in.ptr + i, 1));
    assert_string_equal(hub_buf_str(&events), expected);
    assert_int_equal(reader.outside_bytes, outside);
}

static void frames_come_out_however_they_are_cut(void **state)
{
    (void)state;
    assert_events("\x0b" "MSH|a\rPID|1\r\x1c\r", "MMSH|a\rPID|1\r;", 0);
    assert_events("\x0b" "one\x1c\r\x0btwo\x1c\r\x0bthree\x1c\r", "Mone;Mtwo;Mthree;", 0);
    assert_events("\x0b\x1c\r", "M;", 0);
    assert_events("", "", 0);
}

static void bytes_between_frames_are_counted_and_skipped(void **state)
{
    (void)state;
    assert_events("junk\x0b" "one\x1c\r\r\n\x0btwo\x1c\rx\x1cy", "Mone;Mtwo;", 7);
    assert_false(hub_mllp_in_frame(&reader));
}

static void separators_inside_are_content(void **state)
{
    (void)state;
    assert_events("\x0b" "a\x1c" "b\x1c\x1c" "c\x0b" "d\x1c\r", "Ma\x1c" "b\x1c\x1c" "c\x0b" "d;", 0);
    assert_events("\x0b" "a\x1c\nb\x1c\n\rc\x1c\r", "Ma\x1c\nb\x1c\n\rc;", 0);
    assert_events("\x0b\x1c\x1c\r", "M\x1c;", 0);
    assert_events("\x0b" "a\x1c\n\x1c\r", "Ma\x1c\n;", 0);
}

static void final_cr_may_be_missing_before_the_next_frame(void **state)
{
    (void)state;
    assert_events("\x0bone\x1c\x0btwo\x1c\n\x0bthree\x1c\r", "Mone;Mtwo;Mthree;", 0);
}

static void silence_after_the_end_settles_the_frame(void **state)
{
    (void)state;
    struct hub_span message;
    feed(HUB_SPAN("\x0b"));
    assert_true(hub_mllp_in_frame(&reader));
    feed(HUB_SPAN("one"));
    assert_false(hub_mllp_unsettled(&reader));
    assert_int_equal(hub_mllp_settle(&reader, &message), HUB_MLLP_MORE);
    assert_true(hub_mllp_in_frame(&reader));
    feed(HUB_SPAN("\x1c"));
    assert_true(hub_mllp_unsettled(&reader));
    assert_int_equal(hub_mllp_settle(&reader, &message), HUB_MLLP_MESSAGE);
    assert_true(hub_span_is(message, "one"));
    assert_false(hub_mllp_unsettled(&reader));
    feed(HUB_SPAN("\r\x0btwo\x1c\r")); /* the CR comes late */
    assert_string_equal(hub_buf_str(&events), "Mtwo;");
    assert_int_equal(reader.outside_bytes, 0);
}

static void a_frame_past_the_limit_is_one_event_and_the_next_is_good(void **state)
{
    (void)state;
    assert_events("\x0b" "12345678901234567890\x1c\r", "M12345678901234567890;", 0);
    assert_events("\x0b" "12345678901234567890\x1c\x1c\r\x0bok\x1c\r", "O12345678901234567890;Mok;", 0);
    assert_events("\x0b" "123456789012345678901\x1c\r\x0bok\x1c\r", "O12345678901234567890;Mok;", 0);
    assert_events("\x0b" "1234567890123456789012345678901234567890x\x1cy\x1c\nz\x1c\x0bok\x1c\r", "O12345678901234567890;Mok;", 0);
    assert_events("\x0b" "12345678901234567890123", "O12345678901234567890;", 0);
    assert_true(hub_mllp_in_frame(&reader));
}

static void a_whole_frame_in_one_read_is_not_copied(void **state)
{
    (void)state;
    static const char stream[] = "\x0bone\x1c\r\x0btwo\x1c\r";
    struct hub_span in = hub_span_of(stream, sizeof stream - 1);
    struct hub_span message;
    assert_int_equal(hub_mllp_next(&reader, &in, &message), HUB_MLLP_MESSAGE);
    assert_ptr_equal(message.ptr, stream + 1);
    assert_int_equal(hub_mllp_next(&reader, &in, &message), HUB_MLLP_MESSAGE);
    assert_ptr_equal(message.ptr, stream + 7);
    assert_null(reader.held.ptr);
}

static void memory_out_loses_one_frame_only(void **state)
{
    (void)state;
    feed(HUB_SPAN("\x0b"));
    (void)hub_mem_fail_nth(1, 0);
    feed(HUB_SPAN("begun"));
    (void)hub_mem_fail_nth(0, 0);
    feed(HUB_SPAN("ended\x1c\r\x0bgo"));
    feed(HUB_SPAN("od\x1c\r"));
    assert_string_equal(hub_buf_str(&events), "X;Mgood;");
}

static void encoded_messages_are_read_back(void **state)
{
    (void)state;
    struct hub_buf out;
    hub_buf_init(&out, 100, false);
    hub_mllp_encode(HUB_SPAN("MSH|x\r"), &out);
    assert_true(hub_span_is(hub_buf_view(&out), "\x0bMSH|x\r\x1c\r"));
    hub_mllp_encode(HUB_SPAN_NONE, &out);
    feed(hub_buf_view(&out));
    assert_string_equal(hub_buf_str(&events), "MMSH|x\r;M;");
    hub_buf_deinit(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_come_out_however_they_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_between_frames_are_counted_and_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(separators_inside_are_content, setup, teardown),
        cmocka_unit_test_setup_teardown(final_cr_may_be_missing_before_the_next_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_after_the_end_settles_the_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_past_the_limit_is_one_event_and_the_next_is_good, setup, teardown),
        cmocka_unit_test_setup_teardown(a_whole_frame_in_one_read_is_not_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_out_loses_one_frame_only, setup, teardown),
        cmocka_unit_test_setup_teardown(encoded_messages_are_read_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
