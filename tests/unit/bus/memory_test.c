/* The bus in memory keeps the contracts that the hub's code is tested against. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "src/bus/consumer.h"
#include "src/bus/memory.h"

struct fixture {
    struct hub_bus *bus;
    struct hub_bus_producer *producer;
    unsigned delivered, failed;
    int64_t last_offset; /* of what was delivered last */
};

static void on_delivered(void *ctx, const struct hub_bus_delivery *delivery)
{
    struct fixture *f = ctx;
    f->delivered += delivery->result == HUB_OK;
    f->failed += delivery->result != HUB_OK;
    f->last_offset = delivery->offset;
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    *state = &f;
    struct hub_bus_producer_options options = {.delivered = on_delivered, .ctx = &f};
    if (hub_bus_open_memory(&f.bus) != HUB_OK)
        return -1;
    hub_memory_topic(f.bus, "events", 4);
    return hub_bus_producer_open(f.bus, &options, 0, &f.producer, NULL) == HUB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_bus_producer_close(f->producer);
    hub_bus_close(f->bus);
    return 0;
}

static enum hub_result send(struct fixture *f, const char *subject, const char *value)
{
    struct hub_bus_record record = {.topic = "events",
                                    .key = hub_span_str(subject),
                                    .subject = hub_span_str(subject),
                                    .value = hub_span_str(value),
                                    .headers = {{"chartline-id", hub_span_str(value)}},
                                    .header_count = 1};
    return hub_bus_send(f->producer, &record, NULL);
}

static void records_arrive_in_order_with_key_value_and_headers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send(f, "foobar", "one"), HUB_OK);
    assert_int_equal(send(f, "foobar", "two"), HUB_OK);
    assert_int_equal(hub_bus_flush(f->producer, 1000, NULL), HUB_OK);
    assert_int_equal(f->delivered, 2);
    assert_int_equal(f->last_offset, 1);
    int32_t partition = hub_bus_partition(HUB_SPAN("foobar"), 4);
    assert_int_equal(hub_memory_count(f->bus, "events", partition), 2);
    struct hub_memory_record second = hub_memory_at(f->bus, "events", partition, 1);
    assert_true(hub_span_is(second.key, "foobar") && hub_span_is(second.value, "two"));
    assert_true(hub_span_is(second.headers[0].value, "two"));
}

static void while_brokers_are_away_the_buffer_fills(void **state)
{
    struct fixture *f = *state;
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.away = true, .buffer = 2});
    assert_int_equal(send(f, "a", "1"), HUB_OK);
    assert_int_equal(send(f, "a", "2"), HUB_OK);
    assert_int_equal(send(f, "a", "3"), HUB_BUSY);
    assert_int_equal(hub_bus_flush(f->producer, 5, NULL), HUB_TIMEOUT);
    assert_int_equal(f->delivered, 0);
    hub_memory_faults(f->bus, &(struct hub_memory_faults){0});
    assert_int_equal(hub_bus_flush(f->producer, 1000, NULL), HUB_OK);
    assert_int_equal(f->delivered, 2);
}

static void a_failed_record_is_told_and_may_be_stored(void **state)
{
    struct fixture *f = *state;
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.fail_after = 1, .store_failed = true});
    assert_int_equal(send(f, "a", "1"), HUB_OK);
    assert_int_equal(hub_bus_flush(f->producer, 1000, NULL), HUB_OK);
    assert_int_equal(f->failed, 1);
    assert_int_equal(f->last_offset, HUB_BUS_NONE);
    assert_int_equal(hub_memory_count(f->bus, "events", hub_bus_partition(HUB_SPAN("a"), 4)), 1);
}

static void the_last_owner_of_a_transactional_id_shuts_the_former_out(void **state)
{
    struct fixture *f = *state;
    struct hub_bus_producer *first = NULL, *second = NULL;
    struct hub_bus_producer_options options = {.transactional_id = "t-0", .delivered = on_delivered, .ctx = f};
    assert_int_equal(hub_bus_producer_open(f->bus, &options, 0, &first, NULL), HUB_OK);
    assert_int_equal(hub_bus_begin(first, NULL), HUB_OK);
    assert_int_equal(hub_bus_poll(first, 0, NULL), HUB_OK);
    assert_int_equal(hub_bus_producer_open(f->bus, &options, 0, &second, NULL), HUB_OK);
    assert_int_equal(hub_bus_poll(first, 0, NULL), HUB_DENIED);
    assert_int_equal(hub_bus_poll(second, 0, NULL), HUB_OK);
    hub_bus_producer_close(first);
    hub_bus_producer_close(second);
}

static void a_member_answers_its_assignment_with_offsets_of_its_own(void **state)
{
    struct fixture *f = *state;
    const char *const topics[] = {"events", NULL};
    struct hub_bus_consumer_options options = {.group = "g", .topics = topics};
    struct hub_bus_consumer *consumer = NULL;
    struct hub_bus_event event;
    assert_int_equal(send(f, "a", "1"), HUB_OK);
    assert_int_equal(send(f, "a", "2"), HUB_OK);
    assert_int_equal(hub_bus_flush(f->producer, 1000, NULL), HUB_OK);
    assert_int_equal(hub_bus_consumer_open(f->bus, &options, &consumer, NULL), HUB_OK);
    assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
    assert_int_equal(event.place_count, 4);
    struct hub_bus_place mine = {
        .topic = "events", .partition = hub_bus_partition(HUB_SPAN("a"), 4), .offset = 1, .leader_epoch = -1};
    assert_int_equal(hub_bus_assign(consumer, &mine, 1, NULL), HUB_OK);
    assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_MESSAGE);
    assert_true(hub_span_is(event.message.value, "2"));
    assert_true(hub_span_is(hub_bus_message_header(consumer, "chartline-id"), "2"));
    assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_AT_END);
    assert_int_equal(event.places[0].offset, 2);
    mine.offset = 2;
    assert_int_equal(hub_bus_commit_offsets(consumer, &mine, 1, NULL), HUB_OK);
    mine.offset = 0;
    assert_int_equal(hub_bus_committed(consumer, &mine, 1, 100, NULL), HUB_OK);
    assert_int_equal(mine.offset, 2);
    struct hub_bus_consumer_options alone = {.group = "g"}; /* knows what the group has, and joins it not */
    struct hub_bus_consumer *other = NULL;
    assert_int_equal(hub_bus_consumer_open(f->bus, &alone, &other, NULL), HUB_OK);
    mine.offset = 0;
    assert_int_equal(hub_bus_committed(other, &mine, 1, 100, NULL), HUB_OK);
    assert_int_equal(mine.offset, 2);
    assert_int_equal(hub_bus_next(other, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_IDLE);
    assert_int_equal(hub_bus_commit_offsets(other, &mine, 1, NULL), HUB_DENIED);
    hub_bus_consumer_close(other);
    assert_int_equal(hub_bus_commit_offsets(consumer, &mine, 1, NULL), HUB_OK);
    hub_memory_rebalance(f->bus, "g", true);
    assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_LOST);
    assert_int_equal(hub_bus_unassign(consumer, event.places, event.place_count, NULL), HUB_OK);
    assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
    hub_bus_consumer_close(consumer);
}

static void answer(struct hub_bus_consumer *consumer, enum hub_bus_kind kind, size_t count)
{
    struct hub_bus_event event;
    assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, kind);
    assert_int_equal(event.place_count, count);
    assert_int_equal(kind == HUB_BUS_ASSIGNED ? hub_bus_assign(consumer, event.places, count, NULL)
                                              : hub_bus_unassign(consumer, event.places, count, NULL),
                     HUB_OK);
}

static void members_share_the_partitions_and_those_of_a_sleeper_go_to_others(void **state)
{
    struct fixture *f = *state;
    const char *const topics[] = {"events", NULL};
    struct hub_bus_consumer_options options = {.group = "g", .topics = topics};
    struct hub_bus_consumer *first = NULL, *second = NULL;
    const struct hub_bus_place second_has = {.topic = "events", .partition = 1, .offset = 5, .leader_epoch = -1};
    assert_int_equal(hub_bus_consumer_open(f->bus, &options, &first, NULL), HUB_OK);
    answer(first, HUB_BUS_ASSIGNED, 4);
    assert_int_equal(hub_bus_commit_offsets(first, &second_has, 1, NULL), HUB_OK);
    assert_int_equal(hub_bus_consumer_open(f->bus, &options, &second, NULL), HUB_OK);
    answer(second, HUB_BUS_ASSIGNED, 0); /* the first still has them */
    answer(first, HUB_BUS_REVOKED, 2);
    answer(second, HUB_BUS_ASSIGNED, 2);
    assert_int_equal(hub_bus_commit_offsets(first, &second_has, 1, NULL), HUB_DENIED);
    hub_memory_sleep(f->bus, "g", 1);
    answer(first, HUB_BUS_ASSIGNED, 2);
    assert_int_equal(hub_bus_commit_offsets(second, &second_has, 1, NULL), HUB_DENIED);
    hub_memory_wake(f->bus, "g");
    answer(second, HUB_BUS_LOST, 2);
    answer(second, HUB_BUS_ASSIGNED, 0);
    answer(first, HUB_BUS_REVOKED, 2);
    answer(second, HUB_BUS_ASSIGNED, 2);
    hub_bus_consumer_close(first);
    hub_bus_consumer_close(second);
}

/* The value of the next record, or of none (NULL). */
static void expect_next(struct hub_bus_consumer *consumer, const char *value)
{
    struct hub_bus_event event;
    do
        assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    while (event.kind == HUB_BUS_AT_END);
    assert_int_equal(event.kind, value != NULL ? HUB_BUS_MESSAGE : HUB_BUS_IDLE);
    assert_true(value == NULL || hub_span_is(event.message.value, value));
}

static void only_committed_records_are_read(void **state)
{
    struct fixture *f = *state;
    struct hub_bus_producer *plain = f->producer;
    struct hub_bus_producer_options options = {.transactional_id = "t-0", .delivered = on_delivered, .ctx = f};
    struct hub_bus_consumer *reader = NULL;
    const struct hub_bus_consumer_options alone = {0};
    const struct hub_bus_place from = {.topic = "events", .partition = hub_bus_partition(HUB_SPAN("a"), 4), .leader_epoch = -1};
    int64_t oldest = 0, end = 0;
    assert_int_equal(hub_bus_consumer_open(f->bus, &alone, &reader, NULL), HUB_OK);
    assert_int_equal(hub_bus_assign(reader, &from, 1, NULL), HUB_OK);
    static const struct { /* what the commit says, and whether its record counts */
        const char *value;
        bool fails, counts;
    } cases[] = {{"1", false, true}, {"2", true, false}, {"3", true, true}, {"4", false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(hub_bus_producer_open(f->bus, &options, 0, &f->producer, NULL), HUB_OK); /* ends what was left open */
        hub_memory_faults(f->bus, &(struct hub_memory_faults){.commit_after = cases[i].fails, .commit_counts = cases[i].counts});
        assert_int_equal(hub_bus_begin(f->producer, NULL), HUB_OK);
        assert_int_equal(send(f, "a", cases[i].value), HUB_OK);
        assert_int_equal(hub_bus_flush(f->producer, 100, NULL), HUB_OK);
        expect_next(reader, NULL);
        assert_int_equal(hub_bus_commit(f->producer, 100, NULL), cases[i].fails ? HUB_CLOSED : HUB_OK);
        expect_next(reader, cases[i].counts ? cases[i].value : NULL);
        hub_bus_producer_close(f->producer);
    }
    assert_int_equal(hub_bus_offsets(reader, "events", from.partition, 100, &oldest, &end, NULL), HUB_OK);
    assert_int_equal(end, 8); /* four records, each with a mark behind it */
    f->producer = plain;
    hub_bus_consumer_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_arrive_in_order_with_key_value_and_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(while_brokers_are_away_the_buffer_fills, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_record_is_told_and_may_be_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_owner_of_a_transactional_id_shuts_the_former_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_member_answers_its_assignment_with_offsets_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(members_share_the_partitions_and_those_of_a_sleeper_go_to_others, setup, teardown),
        cmocka_unit_test_setup_teardown(only_committed_records_are_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
