#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/timeline/group.h"

struct fixture {
    struct hub_kv *kv;
    struct hub_timeline *timeline;
};

static int setup(void **state)
{
    static struct fixture fixture;
    const struct hub_kv_options kv_options = {.families = hub_timeline_families(), .create = true};
    const struct hub_timeline_options options = {.chart_tokens = 10};
    assert_int_equal(hub_kv_open_memory(&kv_options, &fixture.kv), HUB_OK);
    assert_int_equal(hub_timeline_open(fixture.kv, &options, &fixture.timeline, NULL), HUB_OK);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_timeline_close(f->timeline);
    hub_kv_close(f->kv);
    return 0;
}

/* Record NUMBER of EVENT: LEN bytes of its own, then what all have. */
static void record_text(char *out, size_t cap, const char *event, int number, int len)
{
    (void)snprintf(out, cap, "{\"id\":\"%s-%d\",\"resource\":\"%0*d\",\"seal\":\"of %s\",\"trigger\":\"ADT^A01\"}", event,
                   number, len, number, event);
}

static void add_with_end(struct fixture *f, const char *event, int records, int len, struct hub_span end)
{
    assert_int_equal(timeline_group_begin(f->timeline, end), end.len != 0);
    for (int i = 0; i < records; i++) {
        char id[32], text[8192];
        (void)snprintf(id, sizeof id, "%s-%d", event, i);
        record_text(text, sizeof text, event, i, len);
        hub_buf_append(timeline_group_record(f->timeline, hub_span_str(id)), text, strlen(text) - end.len);
        assert_int_equal(timeline_group_end(f->timeline, HUB_SPAN("1a"), hub_span_str(event), NULL), HUB_OK);
    }
    assert_int_equal(timeline_group_close(f->timeline, HUB_SPAN("1a"), hub_span_str(event), NULL), HUB_OK);
    assert_int_equal(timeline_write_pending(f->timeline, false, NULL), HUB_OK);
}

static void add_event(struct fixture *f, const char *event, int records, int len)
{
    add_with_end(f, event, records, len, HUB_SPAN_NONE);
}

static size_t values(struct fixture *f)
{
    size_t count = 0;
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, FAMILY_ENTRIES, HUB_SPAN_NONE);
    while (hub_kv_iter_next(iter))
        count++;
    hub_kv_iter_free(iter);
    return count;
}

/* All records are there, in order, byte for byte. */
static void expect_event(struct fixture *f, const char *event, int records, int len)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, FAMILY_ENTRIES, HUB_SPAN("1a/"));
    struct timeline_entries entries;
    bool *seen = test_calloc((size_t)records + 1, sizeof *seen);
    int count = 0;
    timeline_entries_init(&entries, iter);
    while (timeline_entries_next(&entries)) {
        char prefix[64], text[8192];
        int len_of_prefix = snprintf(prefix, sizeof prefix, "1a/%s-", event);
        const char *key = hub_buf_str(&entries.key_text);
        if (strncmp(key, prefix, (size_t)len_of_prefix) != 0)
            continue;
        const int number = (int)strtol(key + len_of_prefix, NULL, 10);
        assert_in_range(number, 0, records - 1);
        assert_false(seen[number]);
        seen[number] = true;
        record_text(text, sizeof text, event, number, len);
        assert_true(hub_span_is(entries.record, text));
        count++;
    }
    assert_int_equal(timeline_entries_result(&entries, NULL), HUB_OK);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    test_free(seen);
    assert_int_equal(count, records);
}

static void group_gives_back_every_record(void **state)
{
    struct fixture *f = *state;
    add_event(f, "one", 1, 10);
    add_event(f, "some", 7, 100);
    assert_int_equal(values(f), 2);
    expect_event(f, "one", 1, 10);
    expect_event(f, "some", 7, 100);
}

static void group_whose_end_is_known_is_read_like_any_other(void **state)
{
    struct fixture *f = *state;
    add_with_end(f, "none", 0, 0, HUB_SPAN("\"}"));
    assert_int_equal(values(f), 0);
    add_with_end(f, "one", 1, 10, HUB_SPAN("\",\"seal\":\"of one\",\"trigger\":\"ADT^A01\"}"));
    add_with_end(f, "some", 7, 100, HUB_SPAN("\"}"));
    assert_int_equal(values(f), 2);
    add_with_end(f, "many", 400, 4000, HUB_SPAN("\",\"seal\":\"of many\",\"trigger\":\"ADT^A01\"}"));
    assert_in_range(values(f), 2 + 4, 2 + 20);
    expect_event(f, "one", 1, 10);
    expect_event(f, "some", 7, 100);
    expect_event(f, "many", 400, 4000);
}

static void group_of_no_record_is_no_value(void **state)
{
    struct fixture *f = *state;
    add_event(f, "none", 0, 0);
    assert_int_equal(values(f), 0);
}

static void group_of_many_records_is_several_values(void **state)
{
    struct fixture *f = *state;
    add_event(f, "many", 400, 4000);
    assert_in_range(values(f), 4, 20);
    expect_event(f, "many", 400, 4000);
}

static void group_of_records_without_a_common_end_stays_whole(void **state)
{
    struct fixture *f = *state;
    assert_false(timeline_group_begin(f->timeline, HUB_SPAN_NONE));
    static const char *const texts[] = {"{\"a\":1}", "[2]", ""};
    for (size_t i = 0; i < 3; i++) {
        hub_buf_append_str(timeline_group_record(f->timeline, HUB_SPAN("r")), texts[i]);
        assert_int_equal(timeline_group_end(f->timeline, HUB_SPAN("1a"), HUB_SPAN("e"), NULL), HUB_OK);
    }
    assert_int_equal(timeline_group_close(f->timeline, HUB_SPAN("1a"), HUB_SPAN("e"), NULL), HUB_OK);
    assert_int_equal(timeline_write_pending(f->timeline, false, NULL), HUB_OK);
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, FAMILY_ENTRIES, HUB_SPAN_NONE);
    struct timeline_entries entries;
    timeline_entries_init(&entries, iter);
    for (size_t i = 0; i < 3; i++) {
        assert_true(timeline_entries_next(&entries));
        assert_true(hub_span_is(entries.record, texts[i]));
    }
    assert_false(timeline_entries_next(&entries));
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
}

static void group_removal_takes_all_of_one_event_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    add_event(f, "e1", 400, 4000);
    add_event(f, "e10", 3, 10); /* its key begins with the other's */
    assert_int_equal(timeline_group_remove(f->timeline, HUB_SPAN("1a"), HUB_SPAN("e1"), NULL), HUB_OK);
    assert_int_equal(timeline_write_pending(f->timeline, false, NULL), HUB_OK);
    assert_int_equal(values(f), 1);
    expect_event(f, "e10", 3, 10);
}

static void single_record_is_read_as_it_is(void **state)
{
    struct fixture *f = *state;
    timeline_add(f->timeline, FAMILY_ENTRIES, HUB_SPAN("1a/r"), HUB_SPAN("{\"id\":\"r\"}"));
    assert_int_equal(timeline_write_pending(f->timeline, false, NULL), HUB_OK);
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, FAMILY_ENTRIES, HUB_SPAN_NONE);
    struct timeline_entries entries;
    timeline_entries_init(&entries, iter);
    assert_true(timeline_entries_next(&entries));
    assert_true(hub_span_is(entries.key, "1a/r"));
    assert_true(hub_span_is(entries.record, "{\"id\":\"r\"}"));
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
}

static void damaged_group_is_said_to_be(void **state)
{
    struct fixture *f = *state;
    static const struct hub_span bad[] = {
        {(const uint8_t *)"G", 1},
        {(const uint8_t *)"G\0\0\0\x09x", 6},
        {(const uint8_t *)"G\0\0\0\0\0\x01", 7},
        {(const uint8_t *)"G\0\0\0\0\0\x01r\0\0\0\x05x", 13},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        timeline_add(f->timeline, FAMILY_ENTRIES, HUB_SPAN("1a/e"), bad[i]);
        assert_int_equal(timeline_write_pending(f->timeline, false, NULL), HUB_OK);
        struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, FAMILY_ENTRIES, HUB_SPAN_NONE);
        struct timeline_entries entries;
        timeline_entries_init(&entries, iter);
        assert_false(timeline_entries_next(&entries));
        assert_int_equal(timeline_entries_result(&entries, NULL), HUB_CORRUPT);
        timeline_entries_deinit(&entries);
        hub_kv_iter_free(iter);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Room for a large event is given back; the next event finds its own. */
static void a_large_event_leaves_the_next_one_room(void **state)
{
    struct fixture *f = *state;
    add_event(f, "large", 3000, 4000);
    add_event(f, "next", 3, 40);
    expect_event(f, "large", 3000, 4000);
    expect_event(f, "next", 3, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_large_event_leaves_the_next_one_room),
        T(group_gives_back_every_record),
        T(group_whose_end_is_known_is_read_like_any_other),
        T(group_of_no_record_is_no_value),
        T(group_of_many_records_is_several_values),
        T(group_of_records_without_a_common_end_stays_whole),
        T(group_removal_takes_all_of_one_event_and_nothing_else),
        T(single_record_is_read_as_it_is),
        T(damaged_group_is_said_to_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
