/* What is read of tokens that other processes have: from the bus in memory, as processes of the timeline write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "src/base/buf.h"
#include "src/bus/consumer.h"
#include "src/bus/memory.h"
#include "src/bus/wire.h"
#include "src/pipeline/elsewhere.h"

enum { PARTITIONS = 3, PATIENCE_MS = 300 };

struct fixture {
    struct hub_bus *bus;
    struct hub_bus_producer *producer;
    struct hub_elsewhere *elsewhere;
    struct hub_elsewhere_options options;
    unsigned asked, asked_max; /* whether to go on */
    bool away_when_asked;      /* brokers go then */
    struct hub_buf got;        /* "<key>=<value>\n" */
};

static bool go_on(void *ctx)
{
    struct fixture *f = ctx;
    const struct hub_memory_faults away = {.away = true};
    if (f->away_when_asked)
        hub_memory_faults(f->bus, &away);
    return f->asked++ < f->asked_max;
}

static void on_delivered(void *ctx, const struct hub_bus_delivery *delivery)
{
    (void)ctx;
    assert_int_equal(delivery->result, HUB_OK);
}

static int setup(void **state)
{
    static struct fixture f;
    const struct hub_bus_producer_options options = {.delivered = on_delivered};
    f = (struct fixture){.asked_max = UINT32_MAX};
    *state = &f;
    if (hub_bus_open_memory(&f.bus) != HUB_OK)
        return -1;
    hub_memory_topic(f.bus, "t.events", PARTITIONS);
    hub_memory_topic(f.bus, "t.timeline", PARTITIONS);
    f.options = (struct hub_elsewhere_options){.bus = f.bus,
                                               .events = "t.events",
                                               .timeline = "t.timeline",
                                               .group = "g",
                                               .partitions = PARTITIONS,
                                               .patience_ms = PATIENCE_MS,
                                               .bytes_max = 1 << 20,
                                               .go_on = go_on,
                                               .ctx = &f};
    hub_buf_init(&f.got, 1 << 16, false);
    return hub_bus_producer_open(f.bus, &options, 0, &f.producer, NULL) == HUB_OK &&
                   hub_elsewhere_new(&f.options, &f.elsewhere, NULL) == HUB_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_elsewhere_free(f->elsewhere);
    hub_bus_producer_close(f->producer);
    hub_bus_close(f->bus);
    hub_buf_deinit(&f->got);
    return 0;
}

static void send_to(struct fixture *f, const char *topic, const char *subject, const char *key, struct hub_span value)
{
    const struct hub_bus_record record = {.topic = topic, .key = hub_span_str(key), .subject = hub_span_str(subject), .value = value};
    assert_int_equal(hub_bus_send(f->producer, &record, NULL), HUB_OK);
    assert_int_equal(hub_bus_flush(f->producer, 1000, NULL), HUB_OK);
}

/* VALUE NULL: a tombstone. */
static void output(struct fixture *f, const char *subject, const char *id, const char *value)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s%s%s", subject, id[0] != '\0' ? "/" : "", id);
    send_to(f, "t.timeline", subject, key, value != NULL ? hub_span_str(value) : HUB_SPAN_NONE);
}

static void want(struct fixture *f, const char *token)
{
    assert_int_equal(hub_elsewhere_want(f->elsewhere, hub_span_str(token), NULL), HUB_OK);
}

static bool collect(void *ctx, struct hub_span key, struct hub_span record)
{
    struct fixture *f = ctx;
    hub_buf_append_span(&f->got, key);
    hub_buf_append_byte(&f->got, '=');
    hub_buf_append_span(&f->got, record);
    hub_buf_append_byte(&f->got, '\n');
    return true;
}

static const char *got(struct fixture *f, const char *token)
{
    hub_buf_reset(&f->got);
    assert_int_equal(hub_elsewhere_each(f->elsewhere, hub_span_str(token), collect, f), HUB_OK);
    return hub_buf_str(&f->got);
}

/* The group has applied the events of SUBJECT's partition up to OFFSET, with what is in `timeline` up to NOTE. */
static void committed(struct fixture *f, const char *subject, int64_t offset, int64_t note)
{
    const char *const topics[] = {"t.events", NULL};
    const struct hub_bus_consumer_options options = {.group = "g", .topics = topics};
    const struct hub_bus_place place = {
        .topic = "t.events", .partition = hub_bus_partition(hub_span_str(subject), PARTITIONS), .offset = offset, .leader_epoch = -1, .note = note};
    struct hub_bus_consumer *consumer = NULL;
    assert_int_equal(hub_bus_consumer_open(f->bus, &options, &consumer, NULL), HUB_OK);
    struct hub_bus_event event;
    assert_int_equal(hub_bus_next(consumer, 0, &event, NULL), HUB_OK);
    assert_int_equal(event.kind, HUB_BUS_ASSIGNED);
    assert_int_equal(hub_bus_commit_offsets(consumer, &place, 1, NULL), HUB_OK);
    hub_bus_consumer_close(consumer);
}

#define PATIENT(token, value) "{\"kind\":\"patient\",\"resource\":{\"resourceType\":\"Patient\",\"v\":" value "},\"subject\":\"" token "\"}"
#define SUPPORT(token, type) "{\"kind\":\"support\",\"resource\":{\"resourceType\":\"" type "\"},\"subject\":\"" token "\"}"
#define REVISION(token, event) "{\"event\":\"" event "\",\"kind\":\"revision\",\"subject\":\"" token "\",\"supersedes\":[]}"

static void who_it_is_and_what_was_replaced_is_kept(void **state)
{
    struct fixture *f = *state;
    output(f, "1a", "", "{\"token\":\"1a\"}");
    output(f, "1a", "p", PATIENT("1a", "1"));
    output(f, "1a", "o", "{\"kind\":\"observation\",\"resource\":{\"resourceType\":\"Observation\"},\"subject\":\"1a\"}");
    output(f, "1a", "e", "{\"event\":\"e\",\"kind\":\"event\",\"subject\":\"1a\"}");
    output(f, "1b", "p", PATIENT("1b", "2")); /* nobody asks */
    output(f, "1c", "l", SUPPORT("1c", "Location"));
    output(f, "1c", "s", SUPPORT("1c", "Patient"));
    output(f, "1d", "r", REVISION("1d", "r"));
    want(f, "1a");
    want(f, "1c");
    want(f, "1d");
    want(f, "1e");
    want(f, "1a");
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_OK);
    assert_string_equal(got(f, "1a"), "1a/p=" PATIENT("1a", "1") "\n");
    assert_string_equal(got(f, "1c"), "1c/s=" SUPPORT("1c", "Patient") "\n");
    assert_string_equal(got(f, "1d"), "1d/r=" REVISION("1d", "r") "\n");
    assert_string_equal(got(f, "1e"), "");
    assert_int_equal(hub_elsewhere_each(f->elsewhere, HUB_SPAN("1b"), collect, f), HUB_NOT_FOUND);
}

static void of_a_key_the_newest_value_counts(void **state)
{
    struct fixture *f = *state;
    output(f, "1a", "x", PATIENT("1a", "1"));
    output(f, "1a", "gone", PATIENT("1a", "2"));
    output(f, "1a", "back", PATIENT("1a", "3"));
    output(f, "1a", "x", PATIENT("1a", "4"));
    output(f, "1a", "gone", NULL);
    output(f, "1a", "back", NULL);
    output(f, "1a", "back", PATIENT("1a", "5"));
    output(f, "1a", "never", NULL);
    output(f, "1a", "other", PATIENT("1a", "6"));
    output(f, "1a", "other", SUPPORT("1a", "Location")); /* whatever came before */
    want(f, "1a");
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_OK);
    assert_string_equal(got(f, "1a"), "1a/back=" PATIENT("1a", "5") "\n1a/x=" PATIENT("1a", "4") "\n");
}

static void a_registrys_prefix_and_records_of_nobody_are_passed_over(void **state)
{
    struct fixture *f = *state;
    uint8_t value[128] = {0};
    const char *text = PATIENT("1a", "1");
    hub_wire_prefix(7, value);
    memcpy(value + HUB_WIRE_PREFIX_LEN, text, strlen(text));
    send_to(f, "t.timeline", "1a", "1a/p", hub_span_of(value, HUB_WIRE_PREFIX_LEN + strlen(text)));
    output(f, "1a", "rubbish", "nothing of ours");
    output(f, "1a", "empty", "");
    output(f, "1a", "foreign", PATIENT("1b", "2")); /* another one's under this key */
    want(f, "1a");
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_OK);
    hub_buf_reset(&f->got);
    assert_string_equal(got(f, "1a"), "1a/p=" PATIENT("1a", "1") "\n");
}

static void many_tokens_and_keys_are_told_apart(void **state)
{
    struct fixture *f = *state;
    enum { TOKENS = 40, KEYS = 20 };
    char token[16], id[16], value[128];
    for (int k = 0; k < KEYS; k++) {
        for (int t = 0; t < TOKENS; t++) {
            (void)snprintf(token, sizeof token, "1t%d", t);
            (void)snprintf(id, sizeof id, "k%d", k);
            (void)snprintf(value, sizeof value, "{\"kind\":\"patient\",\"n\":%d,\"subject\":\"%s\"}", t * KEYS + k, token);
            output(f, token, id, value);
        }
    }
    for (int t = 0; t < TOKENS; t += 2) {
        (void)snprintf(token, sizeof token, "1t%d", t);
        want(f, token);
    }
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_OK);
    for (int t = 0; t < TOKENS; t += 2) {
        (void)snprintf(token, sizeof token, "1t%d", t);
        const char *text = got(f, token);
        for (int k = 0; k < KEYS; k++) {
            (void)snprintf(value, sizeof value, "%s/k%d={\"kind\":\"patient\",\"n\":%d,\"subject\":\"%s\"}\n", token, k, t * KEYS + k, token);
            assert_non_null(strstr(text, value));
        }
    }
}

static void nothing_is_asked_of_the_brokers_for_nobody(void **state)
{
    struct fixture *f = *state;
    const struct hub_memory_faults away = {.away = true};
    hub_memory_faults(f->bus, &away);
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_OK);
}

/* --- never a part of it --- */

static void who_is_behind_is_waited_for_and_said_to_be(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    send_to(f, "t.events", "1a", "1a", HUB_SPAN("event"));
    output(f, "1a", "p", PATIENT("1a", "1"));
    want(f, "1a");
    assert_int_equal(hub_elsewhere_read(f->elsewhere, &err), HUB_BUSY); /* the group has nothing of it yet */
    assert_true(strlen(err.mend) != 0 && f->asked > 1);
    hub_elsewhere_free(f->elsewhere);
    assert_int_equal(hub_elsewhere_new(&f->options, &f->elsewhere, NULL), HUB_OK);
    want(f, "1a");
    committed(f, "1a", 1, 1);
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_OK);
    assert_string_equal(got(f, "1a"), "1a/p=" PATIENT("1a", "1") "\n");
}

static void an_end_before_what_was_written_is_none(void **state)
{
    struct fixture *f = *state;
    send_to(f, "t.events", "1a", "1a", HUB_SPAN("event"));
    output(f, "1a", "p", PATIENT("1a", "1"));
    committed(f, "1a", 1, 2); /* a broker knows one record, the owner wrote two */
    want(f, "1a");
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_BUSY);
}

static void brokers_that_go_away_are_said_to_be(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    const struct hub_memory_faults away = {.away = true};
    output(f, "1a", "p", PATIENT("1a", "1"));
    want(f, "1a");
    hub_memory_faults(f->bus, &away);
    assert_int_equal(hub_elsewhere_read(f->elsewhere, &err), HUB_NETWORK);
    assert_true(strlen(err.what) != 0 && strlen(err.mend) != 0);
}

static void brokers_that_go_away_on_the_way_are_said_to_be(void **state)
{
    struct fixture *f = *state;
    output(f, "1a", "p", PATIENT("1a", "1"));
    output(f, "1a", "q", PATIENT("1a", "2"));
    want(f, "1a");
    f->away_when_asked = true; /* behind the first record */
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_NETWORK);
    assert_true(f->asked > 1);
}

static void whoever_asked_may_leave(void **state)
{
    struct fixture *f = *state;
    send_to(f, "t.events", "1a", "1a", HUB_SPAN("event"));
    want(f, "1a");
    f->asked_max = 0;
    assert_int_equal(hub_elsewhere_read(f->elsewhere, NULL), HUB_CLOSED);
}

static void what_is_kept_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct hub_error err = {0};
    hub_elsewhere_free(f->elsewhere);
    f->options.bytes_max = 16 << 10;
    assert_int_equal(hub_elsewhere_new(&f->options, &f->elsewhere, NULL), HUB_OK);
    want(f, "1a");
    for (int i = 0; i < 400; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%d", i);
        output(f, "1a", id, PATIENT("1a", "1"));
    }
    assert_int_equal(hub_elsewhere_read(f->elsewhere, &err), HUB_TOO_LARGE);
    assert_true(strlen(err.mend) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(who_it_is_and_what_was_replaced_is_kept),
        TEST(of_a_key_the_newest_value_counts),
        TEST(a_registrys_prefix_and_records_of_nobody_are_passed_over),
        TEST(many_tokens_and_keys_are_told_apart),
        TEST(nothing_is_asked_of_the_brokers_for_nobody),
        TEST(who_is_behind_is_waited_for_and_said_to_be),
        TEST(an_end_before_what_was_written_is_none),
        TEST(brokers_that_go_away_are_said_to_be),
        TEST(brokers_that_go_away_on_the_way_are_said_to_be),
        TEST(whoever_asked_may_leave),
        TEST(what_is_kept_is_bounded),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
