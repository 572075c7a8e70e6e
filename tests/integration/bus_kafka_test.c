/* The Kafka backend of the bus against the client library's own cluster in this process, which can be told to fail.
 * With CHARTLINE_TEST_BROKER=host:port (plaintext, topics events-0, events-1, ... of 4 partitions) what needs no faults runs
 * against that broker instead: tests/e2e/kafka_test.py does so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
/* needs the one above */
#include <librdkafka/rdkafka_mock.h>

#include "src/bus/consumer.h"

enum { PARTITIONS = 4, PRODUCE_REQUEST = 0, WAIT_MS = 20000, TURN_MS = 100 };

struct fixture {
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
    char bootstrap[256];
    const char *brokers[2];
    char topic[32];
    struct hub_bus *bus;
    unsigned delivered;
    enum hub_result failed; /* of the last record that failed */
};

static int setup(void **state)
{
    static struct fixture f;
    static unsigned number;
    const char *real = getenv("CHARTLINE_TEST_BROKER");
    f = (struct fixture){0};
    *state = &f;
    struct hub_bus_options options = {.brokers = f.brokers, .client_id = "test"};
    f.brokers[0] = real != NULL ? real : f.bootstrap;
    (void)snprintf(f.topic, sizeof f.topic, "events-%u", number++);
    if (real != NULL)
        return hub_bus_open_kafka(&options, &f.bus, NULL) == HUB_OK ? 0 : -1;
    f.owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    f.cluster = rd_kafka_mock_cluster_new(f.owner, 3);
    if (f.cluster == NULL ||
        rd_kafka_mock_topic_create(f.cluster, f.topic, PARTITIONS, 3) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    (void)snprintf(f.bootstrap, sizeof f.bootstrap, "%s", rd_kafka_mock_cluster_bootstraps(f.cluster));
    return hub_bus_open_kafka(&options, &f.bus, NULL) == HUB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_bus_close(f->bus);
    if (f->owner != NULL) {
        rd_kafka_mock_cluster_destroy(f->cluster);
        rd_kafka_destroy(f->owner);
    }
    return 0;
}

static void on_delivered(void *ctx, const struct hub_bus_delivery *delivery)
{
    struct fixture *f = ctx;
    assert_true(delivery->latency_us >= 0);
    f->delivered += delivery->result == HUB_OK;
    if (delivery->result == HUB_OK) /* where it lies: behind the one before it */
        assert_true(delivery->offset >= 0 && delivery->partition == hub_bus_partition(HUB_SPAN("1patient"), 4));
    else
        f->failed = delivery->result;
}

static struct hub_bus_producer *producer(struct fixture *f, const char *transactional_id)
{
    struct hub_bus_producer *out = NULL;
    struct hub_bus_producer_options options = {
        .transactional_id = transactional_id, .delivered = on_delivered, .ctx = f};
    assert_int_equal(hub_bus_producer_open(f->bus, &options, WAIT_MS, &out, NULL), HUB_OK);
    return out;
}

static enum hub_result send_one(struct fixture *f, struct hub_bus_producer *p, const char *value,
                                struct hub_error *err)
{
    struct hub_bus_record record = {.topic = f->topic,
                                    .key = hub_span_str("a key that decides nothing"),
                                    .subject = HUB_SPAN("1patient"),
                                    .value = hub_span_str(value),
                                    .headers = {{"chartline-id", hub_span_str(value)}},
                                    .header_count = 1};
    return hub_bus_send(p, &record, err);
}

static void send_all(struct fixture *f, const char *const *values, size_t count)
{
    struct hub_bus_producer *p = producer(f, NULL);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(send_one(f, p, values[i], NULL), HUB_OK);
    assert_int_equal(hub_bus_flush(p, WAIT_MS, NULL), HUB_OK);
    assert_int_equal(f->delivered, count);
    hub_bus_producer_close(p);
}

static struct hub_bus_consumer *consumer(struct fixture *f, const char *group, const char *instance)
{
    const char *const topics[] = {f->topic, NULL};
    struct hub_bus_consumer *out = NULL;
    struct hub_bus_consumer_options options = {
        .group = group, .instance = instance, .topics = group != NULL ? topics : NULL, .session_ms = 6000};
    assert_int_equal(hub_bus_consumer_open(f->bus, &options, &out, NULL), HUB_OK);
    return out;
}

/* The next event that is none of idle and end, in time. */
static struct hub_bus_event next(struct hub_bus_consumer *c)
{
    struct hub_bus_event event = {0};
    for (int i = 0; i < WAIT_MS / TURN_MS; i++) {
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
        if (event.kind != HUB_BUS_IDLE && event.kind != HUB_BUS_AT_END)
            return event;
    }
    fail_msg("nothing happens");
    return event;
}

static struct hub_bus_place place_at(const struct fixture *f, int64_t offset)
{
    return (struct hub_bus_place){.topic = f->topic,
                                  .partition = hub_bus_partition(HUB_SPAN("1patient"), PARTITIONS),
                                  .offset = offset,
                                  .leader_epoch = -1};
}

/* --- producing --- */

static void records_lie_where_java_clients_would_put_their_subject(void **state)
{
    struct fixture *f = *state;
    static const char *const values[] = {"one", "two", "three"};
    send_all(f, values, 3);
    struct hub_bus_consumer *c = consumer(f, NULL, NULL);
    struct hub_bus_place place = place_at(f, 0);
    assert_int_equal(hub_bus_assign(c, &place, 1, NULL), HUB_OK);
    for (size_t i = 0; i < 3; i++) {
        struct hub_bus_event event = next(c);
        assert_int_equal(event.kind, HUB_BUS_MESSAGE);
        assert_int_equal(event.message.place.offset, i);
        assert_true(hub_span_is(event.message.value, values[i]));
        assert_true(hub_span_is(event.message.key, "a key that decides nothing"));
        assert_true(hub_span_is(hub_bus_message_header(c, "chartline-id"), values[i]));
        assert_null(hub_bus_message_header(c, "none").ptr);
    }
    hub_bus_consumer_close(c);
}

static void a_refused_record_is_told_with_its_cause(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    struct hub_bus_producer *p = producer(f, NULL);
    rd_kafka_mock_push_request_errors(f->cluster, PRODUCE_REQUEST, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    assert_int_equal(send_one(f, p, "x", NULL), HUB_OK);
    for (int i = 0; i < WAIT_MS / TURN_MS && f->failed == HUB_OK; i++)
        (void)!hub_bus_poll(p, TURN_MS, NULL);
    assert_int_equal(f->failed, HUB_DENIED);
    assert_true(hub_bus_producer_trouble(p, &err));
    assert_non_null(strstr(err.what, "no right to a topic"));
    hub_bus_producer_close(p);
}

static void passing_errors_are_retried_in_order(void **state)
{
    struct fixture *f = *state;
    struct hub_bus_producer *p = producer(f, NULL);
    rd_kafka_mock_push_request_errors(f->cluster, PRODUCE_REQUEST, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    assert_int_equal(send_one(f, p, "x", NULL), HUB_OK);
    assert_int_equal(hub_bus_flush(p, WAIT_MS, NULL), HUB_OK);
    assert_int_equal(f->delivered, 1);
    hub_bus_producer_close(p);
}

static void a_desynchronised_producer_says_that_it_is_of_no_use(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    struct hub_bus_producer *p = producer(f, NULL);
    rd_kafka_mock_push_request_errors(f->cluster, PRODUCE_REQUEST, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(send_one(f, p, "x", NULL), HUB_OK);
    enum hub_result result = HUB_OK;
    for (int i = 0; i < WAIT_MS / TURN_MS && result == HUB_OK && f->failed == HUB_OK; i++)
        result = hub_bus_poll(p, TURN_MS, &err);
    assert_true(result == HUB_CLOSED || f->failed != HUB_OK);
    hub_bus_producer_close(p);
    p = producer(f, NULL);
    assert_int_equal(send_one(f, p, "x", NULL), HUB_OK);
    assert_int_equal(hub_bus_flush(p, WAIT_MS, NULL), HUB_OK);
    hub_bus_producer_close(p);
}

/* Until the library has counted UP brokers. */
static void wait_brokers(struct hub_bus_producer *p, bool up)
{
    struct hub_bus_stats stats = {0};
    for (int i = 0; i < WAIT_MS / TURN_MS; i++) {
        assert_int_equal(hub_bus_poll(p, TURN_MS, NULL), HUB_OK);
        hub_bus_producer_stats(p, &stats);
        if (stats.brokers_known && (stats.brokers_up != 0) == up)
            return;
    }
    fail_msg("brokers known %d, up %u", stats.brokers_known, stats.brokers_up);
}

static void brokers_are_counted_and_never_none_behind_a_delivery(void **state)
{
    struct fixture *f = *state;
    struct hub_bus_stats stats = {0};
    struct hub_bus_producer *p = producer(f, NULL);
    hub_bus_producer_stats(p, &stats);
    assert_false(stats.brokers_known);
    assert_int_equal(send_one(f, p, "one", NULL), HUB_OK);
    hub_bus_producer_stats(p, &stats);
    assert_int_equal(stats.waiting, 1);
    assert_int_equal(hub_bus_flush(p, WAIT_MS, NULL), HUB_OK);
    hub_bus_producer_stats(p, &stats);
    assert_int_equal(stats.waiting, 0);
    assert_false(stats.brokers_known && stats.brokers_up == 0);
    wait_brokers(p, true);
    hub_bus_producer_stats(p, &stats);
    assert_in_range(stats.brokers_up, 1, 3);
    for (int32_t broker = 1; broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_down(f->cluster, broker);
    wait_brokers(p, false);
    for (int32_t broker = 1; broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_up(f->cluster, broker);
    assert_int_equal(send_one(f, p, "two", NULL), HUB_OK);
    for (int i = 0; i < WAIT_MS && f->delivered < 2; i++)
        assert_int_equal(hub_bus_poll(p, 1, NULL), HUB_OK);
    hub_bus_producer_stats(p, &stats);
    assert_int_equal(f->delivered, 2);
    assert_false(stats.brokers_known && stats.brokers_up == 0);
    wait_brokers(p, true);
    hub_bus_producer_close(p);
}

static void a_record_past_the_limit_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct hub_bus *small = NULL;
    struct hub_bus_options options = {.brokers = f->brokers, .client_id = "test", .message_bytes = 2000};
    assert_int_equal(hub_bus_open_kafka(&options, &small, NULL), HUB_OK);
    struct hub_bus_producer *p = NULL;
    struct hub_bus_producer_options producing = {.delivered = on_delivered, .ctx = f};
    assert_int_equal(hub_bus_producer_open(small, &producing, 0, &p, NULL), HUB_OK);
    char large[4000];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\0';
    assert_int_equal(send_one(f, p, large, NULL), HUB_TOO_LARGE);
    hub_bus_producer_close(p);
    hub_bus_close(small);
}

static void a_later_owner_of_a_transactional_id_shuts_the_former_out(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    struct hub_bus_producer *first = producer(f, "timeline-0");
    assert_int_equal(hub_bus_begin(first, &err), HUB_OK);
    assert_int_equal(send_one(f, first, "early", &err), HUB_OK);
    assert_int_equal(hub_bus_flush(first, WAIT_MS, &err), HUB_OK);
    struct hub_bus_producer *second = producer(f, "timeline-0");
    assert_int_equal(hub_bus_begin(second, &err), HUB_OK);
    assert_int_equal(send_one(f, second, "late", &err), HUB_OK);
    assert_int_equal(hub_bus_commit(second, WAIT_MS, &err), HUB_OK);
    assert_int_equal(hub_bus_commit(first, WAIT_MS, &err), HUB_DENIED);
    hub_bus_producer_close(first);
    hub_bus_producer_close(second);
}

/* --- consuming --- */

static void a_reader_alone_pauses_seeks_and_sees_the_end(void **state)
{
    struct fixture *f = *state;
    static const char *const values[] = {"one", "two"};
    send_all(f, values, 2);
    struct hub_bus_consumer *c = consumer(f, NULL, NULL);
    struct hub_bus_event event = {0};
    int32_t count = 0;
    int64_t oldest = -1, end = -1;
    struct hub_bus_place place = place_at(f, 1);
    assert_int_equal(hub_bus_partition_count(c, f->topic, WAIT_MS, &count, NULL), HUB_OK);
    assert_int_equal(count, PARTITIONS);
    assert_int_equal(hub_bus_offsets(c, f->topic, place.partition, WAIT_MS, &oldest, &end, NULL), HUB_OK);
    assert_int_equal(oldest, 0);
    assert_int_equal(end, 2);
    assert_int_equal(hub_bus_assign(c, &place, 1, NULL), HUB_OK);
    event = next(c);
    assert_true(event.kind == HUB_BUS_MESSAGE && hub_span_is(event.message.value, "two"));
    for (int i = 0; i < WAIT_MS / TURN_MS && event.kind != HUB_BUS_AT_END; i++)
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_AT_END);
    assert_int_equal(event.places[0].offset, 2);
    place.offset = 0;
    assert_int_equal(hub_bus_seek(c, &place, NULL), HUB_OK);
    event = next(c);
    assert_true(event.kind == HUB_BUS_MESSAGE && hub_span_is(event.message.value, "one"));
    assert_int_equal(hub_bus_pause(c, &place, 1, true, NULL), HUB_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
        assert_int_not_equal(event.kind, HUB_BUS_MESSAGE);
    }
    assert_int_equal(hub_bus_pause(c, &place, 1, false, NULL), HUB_OK);
    event = next(c);
    assert_true(event.kind == HUB_BUS_MESSAGE && hub_span_is(event.message.value, "two"));
    hub_bus_consumer_close(c);
}

static void an_offset_that_is_not_there_is_told_not_skipped(void **state)
{
    struct fixture *f = *state;
    static const char *const values[] = {"one"};
    send_all(f, values, 1);
    struct hub_bus_consumer *c = consumer(f, NULL, NULL);
    struct hub_bus_place place = place_at(f, 99);
    assert_int_equal(hub_bus_assign(c, &place, 1, NULL), HUB_OK);
    struct hub_bus_event event = next(c);
    assert_int_equal(event.kind, HUB_BUS_TRUNCATED);
    assert_int_equal(event.places[0].partition, place.partition);
    place.offset = 0; /* and from where it is sent then it goes on */
    assert_int_equal(hub_bus_seek(c, &place, NULL), HUB_OK);
    event = next(c);
    assert_int_equal(event.kind, HUB_BUS_MESSAGE);
    assert_int_equal(event.message.place.offset, 0);
    hub_bus_consumer_close(c);
}

static void assign_all(struct hub_bus_consumer *c, const struct hub_bus_event *event, int64_t offset)
{
    struct hub_bus_place places[PARTITIONS];
    assert_true(event->place_count <= PARTITIONS);
    for (size_t i = 0; i < event->place_count; i++) {
        places[i] = event->places[i];
        places[i].offset = offset;
    }
    assert_int_equal(hub_bus_assign(c, places, event->place_count, NULL), HUB_OK);
}

/* However slowly the broker answers what was asked before: a client that looked for the end then would jump there later, past what came
 * meanwhile. */
static void a_partition_without_a_place_goes_where_it_is_sent_and_misses_nothing(void **state)
{
    enum { SLOW_MS = 600, BEFORE_MS = 300, AFTER = 30 };
    struct fixture *f = *state;
    static const char *const values[] = {"one", "two", "three", "four"};
    send_all(f, values, 4);
    struct hub_bus_producer *p = producer(f, NULL);
    struct hub_bus_consumer *c = consumer(f, "g3", "one");
    struct hub_bus_event event = next(c);
    assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
    for (int32_t broker = 1; f->cluster != NULL && broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_rtt(f->cluster, broker, SLOW_MS);
    assign_all(c, &event, HUB_BUS_NONE);
    for (int i = 0; i < BEFORE_MS / TURN_MS; i++) {
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
        assert_int_equal(event.kind, HUB_BUS_IDLE);
    }
    struct hub_bus_place place = place_at(f, 1);
    assert_int_equal(hub_bus_seek(c, &place, NULL), HUB_OK);
    assert_int_equal(hub_bus_pause(c, &place, 1, false, NULL), HUB_OK);
    int64_t expected = 1;
    for (int i = 0; i < WAIT_MS / TURN_MS && expected < 4 + AFTER; i++) {
        if (i < AFTER)
            assert_int_equal(send_one(f, p, "more", NULL), HUB_OK);
        assert_int_equal(hub_bus_poll(p, 0, NULL), HUB_OK);
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
        assert_true(event.kind == HUB_BUS_MESSAGE || event.kind == HUB_BUS_IDLE || event.places[0].partition == place.partition);
        if (event.kind == HUB_BUS_MESSAGE)
            assert_int_equal(event.message.place.offset, expected++);
    }
    assert_int_equal(expected, 4 + AFTER);
    assert_int_equal(hub_bus_flush(p, WAIT_MS, NULL), HUB_OK);
    hub_bus_producer_close(p);
    hub_bus_consumer_close(c);
}

static void a_member_commits_and_finds_what_it_committed(void **state)
{
    struct fixture *f = *state;
    struct hub_bus_consumer *c = consumer(f, "g1", "one");
    struct hub_bus_event event = next(c);
    assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
    assert_int_equal(event.place_count, PARTITIONS);
    assign_all(c, &event, 0);
    struct hub_bus_place place = place_at(f, HUB_BUS_NONE);
    assert_int_equal(hub_bus_committed(c, &place, 1, WAIT_MS, NULL), HUB_OK);
    assert_int_equal(place.offset, HUB_BUS_NONE);
    place.offset = 7;
    place.note = INT64_C(12345678901);
    assert_int_equal(hub_bus_commit_offsets(c, &place, 1, NULL), HUB_OK);
    place.offset = place.note = 0;
    assert_int_equal(hub_bus_committed(c, &place, 1, WAIT_MS, NULL), HUB_OK);
    assert_int_equal(place.offset, 7);
    assert_int_equal(place.note, INT64_C(12345678901));
    const struct hub_bus_consumer_options alone = {.group = "g1"}; /* knows what the group has, and joins it not */
    struct hub_bus_consumer *other = NULL;
    assert_int_equal(hub_bus_consumer_open(f->bus, &alone, &other, NULL), HUB_OK);
    place.offset = place.note = 0;
    assert_int_equal(hub_bus_committed(other, &place, 1, WAIT_MS, NULL), HUB_OK);
    assert_int_equal(place.offset, 7);
    assert_int_equal(place.note, INT64_C(12345678901));
    assert_int_not_equal(hub_bus_commit_offsets(other, &place, 1, NULL), HUB_OK);
    hub_bus_consumer_close(other);
    place.offset = 8;
    assert_int_equal(hub_bus_commit_offsets(c, &place, 1, NULL), HUB_OK); /* it is a member as before */
    hub_bus_consumer_close(c);
}

/* Cooperative: the first member keeps what it has but for what the second one gets. */
static void a_second_member_takes_a_part_and_gives_it_back(void **state)
{
    struct fixture *f = *state;
    struct hub_bus_consumer *members[2] = {consumer(f, "g2", NULL), NULL};
    bool mine[2][PARTITIONS] = {{false}};
    size_t count[2] = {0, 0};
    struct hub_bus_event event = next(members[0]);
    assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
    members[1] = consumer(f, "g2", NULL);
    for (bool first = true;; first = false) {
        for (int m = 0; m < 2; m++) {
            if (!first || m == 1)
                assert_int_equal(hub_bus_next(members[m], TURN_MS, &event, NULL), HUB_OK);
            bool gone = event.kind == HUB_BUS_REVOKED || event.kind == HUB_BUS_LOST;
            if (event.kind != HUB_BUS_ASSIGNED && !gone)
                continue;
            for (size_t i = 0; i < event.place_count; i++) {
                int32_t p = event.places[i].partition;
                assert_int_equal(mine[m][p], gone);
                assert_true(gone || !mine[1 - m][p]); /* nobody's or mine, never two's */
                mine[m][p] = !gone;
            }
            count[m] = gone ? count[m] - event.place_count : count[m] + event.place_count;
            if (gone)
                assert_int_equal(hub_bus_unassign(members[m], event.places, event.place_count, NULL), HUB_OK);
            else
                assign_all(members[m], &event, 0);
        }
        if (count[0] == PARTITIONS / 2 && count[1] == PARTITIONS / 2)
            break;
    }
    hub_bus_consumer_close(members[1]);
    while (count[0] < PARTITIONS) {
        event = next(members[0]);
        assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
        count[0] += event.place_count;
        assign_all(members[0], &event, 0);
    }
    hub_bus_consumer_close(members[0]);
}

static void brokers_that_are_away_are_no_failure_of_a_consumer(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    struct hub_bus_event event;
    struct hub_bus_consumer *c = consumer(f, NULL, NULL);
    struct hub_bus_place place = place_at(f, 0);
    assert_int_equal(hub_bus_assign(c, &place, 1, NULL), HUB_OK);
    for (int32_t broker = 1; broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_down(f->cluster, broker);
    for (int i = 0; i < WAIT_MS / TURN_MS && !hub_bus_consumer_trouble(c, &err); i++)
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
    assert_int_equal(err.result, HUB_NETWORK);
    for (int32_t broker = 1; broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_up(f->cluster, broker);
    for (int i = 0; i < WAIT_MS / TURN_MS && hub_bus_consumer_trouble(c, &err); i++)
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
    assert_false(hub_bus_consumer_trouble(c, &err));
    hub_bus_consumer_close(c);
}

static bool a_client_is_being_closed(void)
{
    bool found = false;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *task = readdir(tasks); task != NULL && !found; task = readdir(tasks)) {
        char path[300], name[32] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        found = fgets(name, sizeof name, file) != NULL && strcmp(name, "kafka-close\n") == 0;
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return found;
}

/* The library waits for the answer to a commit longer than who closes a consumer, and not for ever. */
static void a_commit_without_an_answer_holds_nobody_up_and_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    struct hub_bus_consumer *c = NULL;
    const char *topics[] = {f->topic, NULL};
    const struct hub_bus_consumer_options options = {.group = "g1", .instance = "one", .topics = topics, .session_ms = 15000};
    assert_int_equal(hub_bus_consumer_open(f->bus, &options, &c, NULL), HUB_OK);
    struct hub_bus_event event = next(c);
    assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
    assign_all(c, &event, 0);
    struct hub_bus_place place = place_at(f, 7);
    assert_int_equal(hub_bus_commit_offsets(c, &place, 1, NULL), HUB_OK);
    for (int32_t broker = 1; broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_down(f->cluster, broker);
    for (int i = 0; i < WAIT_MS / TURN_MS && !hub_bus_consumer_trouble(c, &err); i++)
        assert_int_equal(hub_bus_next(c, TURN_MS, &event, NULL), HUB_OK);
    place.offset = 8;
    assert_int_equal(hub_bus_commit_offsets(c, &place, 1, NULL), HUB_TIMEOUT);
    assert_int_equal(hub_bus_commit_offsets(c, &place, 1, NULL), HUB_TIMEOUT); /* the first is under way still */
    hub_bus_consumer_close(c);
    assert_true(a_client_is_being_closed());
    for (int i = 0; i < 2 * WAIT_MS / TURN_MS && a_client_is_being_closed(); i++)
        (void)usleep(TURN_MS * 1000);
    assert_false(a_client_is_being_closed());
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

int main(void)
{
#ifdef UNDER_TSAN
    (void)puts("SKIP: the client library starts C11 threads, which the thread sanitizer of this compiler cannot follow");
    return 0;
#endif
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest real[] = {
        TEST(records_lie_where_java_clients_would_put_their_subject),
        TEST(a_later_owner_of_a_transactional_id_shuts_the_former_out), /* the library's own cluster shuts nobody out */
        TEST(a_reader_alone_pauses_seeks_and_sees_the_end),
        TEST(an_offset_that_is_not_there_is_told_not_skipped),
        TEST(a_partition_without_a_place_goes_where_it_is_sent_and_misses_nothing),
        TEST(a_member_commits_and_finds_what_it_committed),
        TEST(a_second_member_takes_a_part_and_gives_it_back),
    };
    const struct CMUnitTest tests[] = {
        TEST(records_lie_where_java_clients_would_put_their_subject),
        TEST(a_refused_record_is_told_with_its_cause),
        TEST(passing_errors_are_retried_in_order),
        TEST(a_desynchronised_producer_says_that_it_is_of_no_use),
        TEST(brokers_are_counted_and_never_none_behind_a_delivery),
        TEST(a_record_past_the_limit_is_refused_at_once),
        TEST(a_reader_alone_pauses_seeks_and_sees_the_end),
        TEST(an_offset_that_is_not_there_is_told_not_skipped),
        TEST(a_partition_without_a_place_goes_where_it_is_sent_and_misses_nothing),
        TEST(a_member_commits_and_finds_what_it_committed),
        TEST(a_second_member_takes_a_part_and_gives_it_back),
        TEST(brokers_that_are_away_are_no_failure_of_a_consumer),
        TEST(a_commit_without_an_answer_holds_nobody_up_and_leaves_nothing_behind),
    };
    return getenv("CHARTLINE_TEST_BROKER") != NULL ? cmocka_run_group_tests_name("real broker", real, NULL, NULL)
                                                   : cmocka_run_group_tests(tests, NULL, NULL);
}
