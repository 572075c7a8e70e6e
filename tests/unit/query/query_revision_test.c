/* What a chart shows of messages that were mapped anew. */
#include "tests/unit/query/query_fixture.h"

/* An observation of fact F: version time VERSION, message time 10; REVISED: members of a revision, or "". */
static void observation(const char *id, const char *event, int version, int recorded, const char *revised, const char *value)
{
    const struct entry_spec spec = {.type = "Observation", .id = id, .kind = "observation", .facts = "f", .class_ = 1, .effective = 5, .version = version,
                                    .body = hub_arena_printf(&arena, ",\"status\":\"final\",\"valueString\":\"%s\"", value)};
    const char *entry = make_entry(&arena, &spec);
    const size_t len = strlen(entry);
    add_record(hub_arena_printf(&arena,
                                "{\"id\":\"%s\",\"event\":\"%s\",\"source\":\"/feeds/one\",\"trigger\":\"ORU^R01\",\"subject\":\"1a\",\"kind\":\"observation\","
                                "\"ordinal\":0,\"seal\":\"none\",\"effective\":\"%s\",\"time\":\"%s\",\"messagetime\":\"%s\",\"recorded\":\"%s\",%s%.*s}",
                                id, event, minute(&arena, 5), minute(&arena, 5), minute(&arena, 10), minute(&arena, recorded), revised,
                                (int)len - 2, entry + 1));
}

static void revision(const char *event, int recorded, const char *supersedes)
{
    add_record(hub_arena_printf(&arena,
                                "{\"event\":\"%s\",\"kind\":\"revision\",\"recorded\":\"%s\",\"revision\":1,\"subject\":\"1a\",\"supersedes\":[%s]}",
                                event, minute(&arena, recorded), supersedes));
}

static const char *of_revision(const char *origin, int origin_recorded)
{
    return hub_arena_printf(&arena, "\"origin\":\"%s\",\"originrecorded\":\"%s\",\"revision\":1,", origin, minute(&arena, origin_recorded));
}

/* WHAT is asked for, of all times unless it says which. */
static struct hub_json *entries(struct hub_query what)
{
    query = what;
    if (query.at_us == 0)
        query.at_us = INT64_MAX;
    if (query.known_at_us == 0)
        query.known_at_us = INT64_MAX;
    return hub_json_get(ask(), "entries");
}

static void shows(struct hub_query what, const char *value)
{
    struct hub_json *list = entries(what);
    assert_int_equal(list->len, 1);
    assert_true(hub_span_is(hub_json_get_span(hub_json_get(list->first, "resource"), "valueString"), value));
}

static void the_revision_is_shown_and_what_it_replaced_is_not(void **state)
{
    (void)state;
    observation("r0", "e0", 6, 11, "", "old");
    observation("r1", "e1", 6, 900, of_revision("e0", 11), "new");
    revision("e1", 900, "\"e0\"");
    shows((struct hub_query){.versions = false}, "new");
    shows((struct hub_query){.versions = true}, "new");
}

static void history_is_shown_when_asked_for(void **state)
{
    (void)state;
    observation("r0", "e0", 6, 11, "", "old");
    observation("r1", "e1", 6, 900, of_revision("e0", 11), "new");
    revision("e1", 900, "\"e0\"");
    struct hub_json *list = entries((struct hub_query){.versions = true, .history = true});
    assert_int_equal(list->len, 2);
    assert_true(hub_span_is(hub_json_get_span(list->first, "replaced_by"), "e1"));
    assert_null(hub_json_get(list->first, "revision"));
    assert_null(hub_json_get(list->first->next, "replaced_by"));
    assert_true(hub_span_is(hub_json_span(hub_json_get(list->first->next, "revision")), "1"));
}

static void before_the_revision_was_known_the_old_one_stands(void **state)
{
    (void)state;
    int64_t known = 0;
    observation("r0", "e0", 6, 11, "", "old");
    observation("r1", "e1", 6, 900, of_revision("e0", 11), "new");
    revision("e1", 900, "\"e0\"");
    const char *text = minute(&arena, 899);
    assert_int_equal(hub_time_parse(text, strlen(text), &known), 0);
    shows((struct hub_query){.known_at_us = known}, "old");
}

/* The sender's clock was far ahead: then as now the message counts from when it first came. */
static void a_revision_does_not_pass_what_came_after_its_message(void **state)
{
    (void)state;
    observation("r0", "e0", 5000, 11, "", "old");
    observation("r1", "e1", 5000, 900, of_revision("e0", 11), "mapped anew");
    observation("r2", "e2", 20, 21, "", "corrected");
    revision("e1", 900, "\"e0\"");
    shows((struct hub_query){.versions = false}, "corrected");
}

static void a_message_taken_back_shows_nothing(void **state)
{
    (void)state;
    observation("r0", "e0", 6, 11, "", "old");
    revision("e1", 900, "\"e0\"");
    assert_int_equal(entries((struct hub_query){.versions = false})->len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_revision_is_shown_and_what_it_replaced_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(history_is_shown_when_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(before_the_revision_was_known_the_old_one_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_does_not_pass_what_came_after_its_message, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_taken_back_shows_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
