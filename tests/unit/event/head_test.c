/* The members beside an event's data, found without reading the data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/event/head.h"

static void the_head_is_found_behind_data_of_any_shape(void **state)
{
    (void)state;
    struct hub_event_head head;
    const struct hub_span event = HUB_SPAN(
        "{\"data\":{\"a\":[1,{\"b\":\"}]\\\\\\\"{\",\"id\":\"no\"},-1.5e3,true,null,[]],\"subject\":\"no\"},\"dataschema\":\"x\","
        "\"id\":\"yes\",\"identity\":\"same:1a\",\"messagetime\":\"m\",\"recordedtime\":\"r\",\"source\":\"/feeds/a\","
        "\"subject\":\"1s\",\"time\":\"t\"}");
    assert_int_equal(hub_event_head(event, &head), HUB_OK);
    assert_true(hub_span_is(head.id, "yes") && hub_span_is(head.subject, "1s"));
    assert_true(hub_span_is(head.identity, "same:1a") && hub_span_is(head.source, "/feeds/a"));
    assert_true(hub_span_is(head.time, "t") && hub_span_is(head.messagetime, "m") && hub_span_is(head.recordedtime, "r"));
}

static void what_stands_inside_data_is_never_taken_for_the_head(void **state)
{
    (void)state;
    struct hub_event_head head;
    const struct hub_span event = HUB_SPAN(
        "{\"data\":{\"a\":{},\"datacontenttype\":\"no\",\"id\":\"no\",\"subject\":\"no\"},\"datacontenttype\":\"j\","
        "\"id\":\"yes\",\"source\":\"},\\\"datacontenttype\\\":\\\"\",\"subject\":\"1s\"}");
    assert_int_equal(hub_event_head(event, &head), HUB_SYNTAX); /* an escape, in a member asked for */
    const struct hub_span other = HUB_SPAN(
        "{\"data\":{\"a\":{},\"datacontenttype\":\"no\",\"id\":\"no\",\"subject\":\"no\"},\"datacontenttype\":\"j\","
        "\"id\":\"yes\",\"subject\":\"1s\",\"trigger\":\"},\\\"datacontenttype\\\":\\\"\"}");
    assert_int_equal(hub_event_head(other, &head), HUB_OK);
    assert_true(hub_span_is(head.id, "yes") && hub_span_is(head.subject, "1s"));
    /* the only such name is inside: what is behind it does not end with the event */
    assert_int_equal(hub_event_head(HUB_SPAN("{\"data\":{\"a\":{},\"datacontenttype\":\"no\",\"id\":\"a\",\"subject\":\"b\"}}"), &head),
                     HUB_SYNTAX);
}

static void absent_members_are_empty(void **state)
{
    (void)state;
    struct hub_event_head head;
    assert_int_equal(hub_event_head(HUB_SPAN("{\"id\":\"a\",\"subject\":\"b\"}"), &head), HUB_OK);
    assert_int_equal(head.identity.len, 0);
    assert_int_equal(head.messagetime.len, 0);
}

static void what_is_no_event_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "[]", "{}", "\"id\"", "{\"id\":\"a\"}", "{\"subject\":\"b\"}", "{\"id\":1,\"subject\":\"b\"}",
        "{\"id\":\"a\\u0041\",\"subject\":\"b\"}", "{\"id\":\"a\",\"subject\":\"b\"", "{\"id\":\"a\",\"subject\":\"b\"}x",
        "{\"id\":\"a\",\"subject\":\"b}", "{\"data\":{\"id\":\"a\",\"subject\":\"b\"}", "{\"data\":]},\"id\":\"a\",\"subject\":\"b\"}",
        "{\"data\":,\"id\":\"a\",\"subject\":\"b\"}", "{\"id\" :\"a\",\"subject\":\"b\"}", "{\"id\":\"a\\"};
    struct hub_event_head head;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (hub_event_head(hub_span_str(bad[i]), &head) != HUB_SYNTAX)
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head_is_found_behind_data_of_any_shape),
        cmocka_unit_test(what_stands_inside_data_is_never_taken_for_the_head),
        cmocka_unit_test(absent_members_are_empty),
        cmocka_unit_test(what_is_no_event_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
