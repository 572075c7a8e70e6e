#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/log/crc32c.h"
#include "src/log/record.h"

static const struct hub_dedup dedup = {.message_id = "abcdefghijklmnopqrstuvwxyz234567",
                                       .control_token = "zyxw",
                                       .answer = "AA",
                                       .count = 70000};

static void build(struct hub_buf *out)
{
    hub_buf_init(out, 10000, false);
    hub_record_begin(out, HUB_RECORD_MESSAGE, 1795398000123456, "adt-main");
    hub_record_add(out, HUB_SECTION_EVENT, HUB_SPAN("{\"a\":1}"));
    hub_record_add(out, HUB_SECTION_AUDIT, HUB_SPAN_NONE);
    hub_record_add_dedup(out, &dedup);
    assert_int_equal(hub_buf_result(out), HUB_OK);
}

static void record_gives_back_what_was_put_in(void **state)
{
    (void)state;
    struct hub_buf buf;
    build(&buf);
    struct hub_record_view view;
    assert_int_equal(hub_record_parse(hub_buf_view(&buf), &view), HUB_OK);
    assert_int_equal(view.kind, HUB_RECORD_MESSAGE);
    assert_true(view.recorded_us == 1795398000123456);
    assert_true(hub_span_is(view.feed, "adt-main"));
    enum hub_section_kind kind;
    struct hub_span bytes;
    assert_int_equal(hub_record_next(&view, &kind, &bytes), HUB_OK);
    assert_int_equal(kind, HUB_SECTION_EVENT);
    assert_true(hub_span_is(bytes, "{\"a\":1}"));
    assert_int_equal(hub_record_next(&view, &kind, &bytes), HUB_OK);
    assert_int_equal(kind, HUB_SECTION_AUDIT);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(hub_record_next(&view, &kind, &bytes), HUB_OK);
    assert_int_equal(kind, HUB_SECTION_DEDUP);
    struct hub_dedup back;
    assert_int_equal(hub_record_dedup(bytes, &back), HUB_OK);
    assert_memory_equal(&back, &dedup, sizeof back);
    assert_int_equal(hub_record_next(&view, &kind, &bytes), HUB_END);
    hub_buf_deinit(&buf);
}

static enum hub_result walk(struct hub_span payload)
{
    struct hub_record_view view;
    struct hub_span bytes;
    enum hub_section_kind kind;
    enum hub_result result = hub_record_parse(payload, &view);
    while (result == HUB_OK)
        result = hub_record_next(&view, &kind, &bytes);
    return result;
}

static void record_cut_anywhere_but_between_sections_is_corrupt(void **state)
{
    (void)state;
    struct hub_buf buf;
    build(&buf);
    size_t ends = 0;
    for (size_t len = 0; len < buf.len; len++) {
        enum hub_result result = walk(hub_span_of(buf.ptr, len));
        assert_true(result == HUB_END || result == HUB_CORRUPT);
        ends += result == HUB_END;
    }
    assert_int_equal(ends, 3); /* after the head and after two of the three sections */
    hub_buf_deinit(&buf);
}

static void record_reader_skips_unknown_sections(void **state)
{
    (void)state;
    struct hub_buf buf;
    hub_buf_init(&buf, 1000, false);
    hub_record_begin(&buf, HUB_RECORD_AUDIT, 5, "");
    hub_record_add(&buf, (enum hub_section_kind)99, HUB_SPAN("from a later version"));
    hub_record_add(&buf, HUB_SECTION_AUDIT, HUB_SPAN("x"));
    struct hub_record_view view;
    enum hub_section_kind kind;
    struct hub_span bytes;
    assert_int_equal(hub_record_parse(hub_buf_view(&buf), &view), HUB_OK);
    assert_int_equal(hub_record_next(&view, &kind, &bytes), HUB_OK);
    assert_int_equal(kind, HUB_SECTION_AUDIT);
    assert_true(hub_span_is(bytes, "x"));
    hub_buf_deinit(&buf);
}

static void record_of_another_version_or_kind_is_refused(void **state)
{
    (void)state;
    struct hub_buf buf;
    build(&buf);
    uint8_t kept = buf.ptr[0];
    buf.ptr[0] = 2;
    assert_int_equal(walk(hub_buf_view(&buf)), HUB_CORRUPT);
    buf.ptr[0] = kept;
    buf.ptr[1] = 0;
    assert_int_equal(walk(hub_buf_view(&buf)), HUB_CORRUPT);
    buf.ptr[1] = HUB_RECORD_LAST + 1;
    assert_int_equal(walk(hub_buf_view(&buf)), HUB_CORRUPT);
    hub_buf_deinit(&buf);
}

static void state_section_is_three_words_or_corrupt(void **state)
{
    (void)state;
    struct hub_buf buf;
    struct hub_record_view view;
    struct hub_record_state out;
    enum hub_section_kind kind;
    struct hub_span bytes;
    hub_buf_init(&buf, 1024, false);
    hub_record_begin(&buf, HUB_RECORD_STATE, 1, "");
    hub_record_add_state(&buf, "feed", "f1", "paused");
    assert_int_equal(hub_record_parse(hub_buf_view(&buf), &view), HUB_OK);
    assert_int_equal(hub_record_next(&view, &kind, &bytes), HUB_OK);
    assert_int_equal(kind, HUB_SECTION_STATE);
    assert_int_equal(hub_record_state(bytes, &out), HUB_OK);
    assert_true(hub_span_is(out.what, "feed") && hub_span_is(out.id, "f1") &&
                hub_span_is(out.state, "paused"));
    static const char *const bad[] = {
        "", "feed", "feed f1", "feed f1 ", "feed f1 paused now", "feed  paused", " f1 p"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(hub_record_state(hub_span_str(bad[i]), &out), HUB_CORRUPT);
    hub_buf_deinit(&buf);
}

static void dedup_section_with_wrong_lengths_is_corrupt(void **state)
{
    (void)state;
    struct hub_dedup out;
    assert_int_equal(hub_record_dedup(HUB_SPAN("\x00\x00\x02"
                                               "AA"
                                               "\x00\x00\x00\x01"),
                                      &out),
                     HUB_OK);
    assert_int_equal(out.count, 1);
    assert_int_equal(hub_record_dedup(HUB_SPAN("\x00\x00\x02"
                                               "AA"
                                               "\x00\x00\x00"),
                                      &out),
                     HUB_CORRUPT);
    assert_int_equal(hub_record_dedup(HUB_SPAN("\x00\x00\x02"
                                               "AA"
                                               "\x00\x00\x00\x01\x00"),
                                      &out),
                     HUB_CORRUPT);
    assert_int_equal(hub_record_dedup(HUB_SPAN("\x00\x00\x03"
                                               "AAA"
                                               "\x00\x00\x00\x01"),
                                      &out),
                     HUB_CORRUPT);
    assert_int_equal(hub_record_dedup(HUB_SPAN("\x02"
                                               "a\x00"
                                               "\x00\x02"
                                               "AA"
                                               "\x00\x00\x00\x01"),
                                      &out),
                     HUB_CORRUPT);
    assert_int_equal(hub_record_dedup(HUB_SPAN("\xff"), &out), HUB_CORRUPT);
}

static void crc32c_gives_the_known_answers(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(hub_crc32c(0, HUB_SPAN("123456789")), 0xE3069283u);
    assert_int_equal(hub_crc32c(0, hub_span_of(bytes, 32)), 0x8A9136AAu); /* RFC 3720 B.4 */
    memset(bytes, 0xff, 32);
    assert_int_equal(hub_crc32c(0, hub_span_of(bytes, 32)), 0x62A8AB43u);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(hub_crc32c(0, hub_span_of(bytes, 32)), 0x46DD794Eu);
}

static void crc32c_by_tables_and_by_instruction_agree_at_every_split(void **state)
{
    (void)state;
    uint8_t bytes[67 + 4 * 64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    uint32_t whole = hub_crc32c(0, hub_span_of(bytes, sizeof bytes));
    for (size_t at = 0; at <= sizeof bytes; at++) {
        uint32_t a = hub_crc32c(0, hub_span_of(bytes, at));
        assert_int_equal(a, hub_crc32c_portable(0, hub_span_of(bytes, at)));
        assert_int_equal(hub_crc32c_portable(a, hub_span_of(bytes + at, sizeof bytes - at)), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_gives_back_what_was_put_in),
        cmocka_unit_test(record_cut_anywhere_but_between_sections_is_corrupt),
        cmocka_unit_test(record_reader_skips_unknown_sections),
        cmocka_unit_test(record_of_another_version_or_kind_is_refused),
        cmocka_unit_test(state_section_is_three_words_or_corrupt),
        cmocka_unit_test(dedup_section_with_wrong_lengths_is_corrupt),
        cmocka_unit_test(crc32c_gives_the_known_answers),
        cmocka_unit_test(crc32c_by_tables_and_by_instruction_agree_at_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
