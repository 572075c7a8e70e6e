/* The builder of audit entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "src/audit/entry.h"
#include "src/codec/encode.h"
#include "src/codec/json.h"
#include "src/crypto/crypto.h"

enum { TIME_US = 1795000000000000 };

static const char *built(struct hub_audit_builder *builder, struct hub_buf *out)
{
    hub_audit_end(builder, out);
    assert_int_equal(hub_buf_result(out), HUB_OK);
    return hub_buf_str(out);
}

static void audit_entry_members_come_out_sorted(void **state)
{
    (void)state;
    struct hub_audit_builder builder;
    struct hub_buf out;
    hub_buf_init(&out, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_begin(&builder, HUB_AUDIT_ACCEPTED, 1795398230123456);
    hub_audit_text(&builder, "trigger", "ADT^A01");
    hub_audit_number(&builder, "count", -7);
    hub_audit_span(&builder, "feed", HUB_SPAN("adt-main"));
    struct hub_span items[] = {HUB_SPAN("bb"), HUB_SPAN("aa")};
    hub_audit_list(&builder, HUB_AUDIT_EVENTS, items, 2);
    assert_string_equal(built(&builder, &out), "{\"count\":-7,\"events\":[\"bb\",\"aa\"],\"feed\":\"adt-main\","
                                               "\"kind\":\"message-accepted\",\"time\":\"2026-11-23T01:43:50.123456Z\","
                                               "\"trigger\":\"ADT^A01\"}");
    hub_buf_deinit(&out);
}

static void audit_entry_later_value_of_a_name_stands(void **state)
{
    (void)state;
    struct hub_audit_builder builder;
    struct hub_buf out;
    hub_buf_init(&out, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_begin(&builder, HUB_AUDIT_READ, 0);
    hub_audit_text(&builder, "role", "clinician");
    hub_audit_number(&builder, "role", 5);
    hub_audit_text(&builder, "purpose", "");
    hub_audit_text(&builder, "purpose", NULL);
    assert_string_equal(built(&builder, &out), "{\"kind\":\"read\",\"role\":5,\"time\":\"1970-01-01T00:00:00.000000Z\"}");
    hub_buf_deinit(&out);
}

static void audit_entry_bytes_that_are_no_text_become_marks(void **state)
{
    (void)state;
    struct hub_audit_builder builder;
    struct hub_buf out;
    hub_buf_init(&out, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_begin(&builder, HUB_AUDIT_LOG_STARTED, 0);
    hub_audit_text(&builder, "a", "line\nbreak\x7f");
    hub_audit_text(&builder, "b", "bad \xff\xc3\xa9");
    hub_audit_text(&builder, "c", "CN=\"x\\y\" \xc3\xa9");
    assert_string_equal(built(&builder, &out),
                        "{\"a\":\"line?break?\",\"b\":\"bad ???\",\"c\":\"CN=\\\"x\\\\y\\\" \xc3\xa9\","
                        "\"kind\":\"log-started\",\"time\":\"1970-01-01T00:00:00.000000Z\"}");
    hub_buf_deinit(&out);
}

static void audit_entry_long_value_is_cut_at_a_character(void **state)
{
    (void)state;
    char value[201];
    for (size_t i = 0; i < 200; i += 2)
        memcpy(value + i, "\xc3\xa9", 2);
    value[200] = '\0';
    struct hub_audit_builder builder;
    hub_audit_begin(&builder, HUB_AUDIT_READ, 0);
    hub_audit_text(&builder, "who", value);
    assert_int_equal(strlen(builder.members[0].text), 126);
    assert_true(hub_utf8_valid(hub_span_str(builder.members[0].text)));
}

static struct hub_span hash_item(char text[65], unsigned number)
{
    (void)snprintf(text, 65, "%064x", number);
    return hub_span_of(text, 64);
}

static void audit_entry_stays_below_the_limit_with_everything_in_it(void **state)
{
    (void)state;
    static char texts[HUB_AUDIT_LIST_MAX][65];
    struct hub_span items[HUB_AUDIT_LIST_MAX];
    for (unsigned i = 0; i < HUB_AUDIT_LIST_MAX; i++)
        items[i] = hash_item(texts[i], i);
    static const char *const names[HUB_AUDIT_MEMBERS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                                             "i", "j", "k", "l", "m", "n", "o", "p"};
    char quotes[200];
    memset(quotes, '"', sizeof quotes);
    struct hub_audit_builder builder;
    struct hub_buf out;
    hub_buf_init(&out, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_begin(&builder, HUB_AUDIT_ACCEPTED, TIME_US);
    for (size_t i = 0; i < HUB_AUDIT_MEMBERS_MAX; i++)
        hub_audit_span(&builder, names[i], hub_span_of(quotes, sizeof quotes));
    hub_audit_list(&builder, HUB_AUDIT_EVENTS, items, HUB_AUDIT_LIST_MAX);
    const char *text = built(&builder, &out);
    assert_true(strlen(text) <= HUB_AUDIT_ENTRY_MAX);
    assert_non_null(strstr(text, texts[HUB_AUDIT_LIST_MAX - 1]));
    hub_buf_deinit(&out);
}

static void audit_entry_list_too_long_is_replaced_by_its_digest(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static char texts[COUNT][65];
    static struct hub_span items[COUNT];
    struct hub_sha256 sha;
    hub_sha256_init(&sha);
    for (unsigned i = 0; i < COUNT; i++) {
        items[i] = hash_item(texts[i], i);
        hub_sha256_update(&sha, items[i]);
        hub_sha256_update(&sha, HUB_SPAN("\n"));
    }
    uint8_t hash[HUB_HASH_LEN];
    char hex[65];
    hub_sha256_final(&sha, hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), hex, sizeof hex);
    struct hub_audit_builder builder;
    struct hub_buf out;
    hub_buf_init(&out, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_begin(&builder, HUB_AUDIT_ACCEPTED, TIME_US);
    hub_audit_list(&builder, HUB_AUDIT_EVENTS, items, COUNT);
    char want[128];
    (void)snprintf(want, sizeof want, "{\"events\":{\"count\":1000,\"sha256\":\"%s\"},\"kind\"", hex);
    assert_memory_equal(built(&builder, &out), want, strlen(want));
    hub_buf_deinit(&out);
}

static void audit_entry_every_kind_has_its_own_name(void **state)
{
    (void)state;
    for (int a = 0; a < HUB_AUDIT_KIND_COUNT; a++) {
        assert_non_null(hub_audit_kind_name((enum hub_audit_kind)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(hub_audit_kind_name((enum hub_audit_kind)a), hub_audit_kind_name((enum hub_audit_kind)b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_entry_members_come_out_sorted),
        cmocka_unit_test(audit_entry_later_value_of_a_name_stands),
        cmocka_unit_test(audit_entry_bytes_that_are_no_text_become_marks),
        cmocka_unit_test(audit_entry_long_value_is_cut_at_a_character),
        cmocka_unit_test(audit_entry_stays_below_the_limit_with_everything_in_it),
        cmocka_unit_test(audit_entry_list_too_long_is_replaced_by_its_digest),
        cmocka_unit_test(audit_entry_every_kind_has_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
