/* The forwarder over a real event log and the bus in memory: nothing lost, order kept, the position behind
 * what is delivered, key records first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/bus/memory.h"
#include "src/bus/wire.h"
#include "src/log/record.h"
#include "src/pipeline/forward.h"
#include "tests/temp_folder.h"

enum { PARTITIONS = 3, WAIT_MS = 60000 };

static const char *const names[HUB_TOPIC_COUNT] = {"t.events",     "t.identity", "t.keys", "t.timeline",
                                                   "t.deadletter", "t.alerts",   "t.audit"};

struct fixture {
    char folder[512], log_folder[600], forward_folder[600];
    struct hub_log *log;
    struct hub_bus *bus;
    struct hub_forward *forward;
    struct hub_signer signer;
    uint8_t public_key[HUB_SIGN_PUBLIC_LEN], secret_key[HUB_SIGN_SECRET_LEN];
    pthread_t thread;
    bool running;
    atomic_bool stop;
    unsigned count;
    unsigned keys;                    /* records of the key store */
    uint32_t wait_ms;                 /* for company */
    enum hub_result prepared;         /* what prepare answers */
    atomic_uint prepares;
    struct hub_arena arena; /* of the schema */
    const struct hub_json_schema *schema;
    uint32_t schema_id;
};

static void sign(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN])
{
    hub_sign(((struct fixture *)ctx)->secret_key, text, signature);
}

static enum hub_result prepare(void *ctx, struct hub_error *err)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->prepares, 1);
    return f->prepared == HUB_OK ? HUB_OK : hub_fail(err, f->prepared, "made to fail", NULL);
}

static void each_key(void *ctx, bool (*emit)(void *emit_ctx, struct hub_span record), void *emit_ctx)
{
    struct fixture *f = ctx;
    for (unsigned i = 0; i < f->keys; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"id\":\"stored%u\"}", i);
        if (!emit(emit_ctx, hub_span_str(text)))
            return;
    }
}

static uint32_t schema_id(void *ctx, enum hub_topic topic)
{
    return topic == HUB_TOPIC_EVENTS ? ((struct fixture *)ctx)->schema_id : 0;
}

static enum hub_result open_forward(struct fixture *f, struct hub_error *err)
{
    struct hub_forward_options options = {.log = f->log,
                                          .bus = f->bus,
                                          .folder = f->forward_folder,
                                          .signer = &f->signer,
                                          .clock = hub_clock_system(),
                                          .disk = hub_disk_system(),
                                          .prepare = prepare,
                                          .wait_ms = f->wait_ms,
                                          .each_key = each_key,
                                          .event_schema = f->schema,
                                          .schema_id = schema_id,
                                          .ctx = f};
    memcpy(options.topics, names, sizeof names);
    return hub_forward_open(&options, &f->forward, err);
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    *state = &f;
    if (temp_folder_new(f.folder) == NULL || hub_crypto_init() != HUB_OK)
        return -1;
    (void)snprintf(f.log_folder, sizeof f.log_folder, "%s/log", f.folder);
    (void)snprintf(f.forward_folder, sizeof f.forward_folder, "%s/forward", f.folder);
    struct hub_log_options options = {0};
    hub_arena_init(&f.arena, 1 << 24);
    hub_sign_keypair(f.public_key, f.secret_key);
    f.signer = (struct hub_signer){.public_key = f.public_key, .sign = sign, .ctx = &f};
    if (hub_log_open(f.log_folder, hub_disk_system(), &options, &f.log, NULL) != HUB_OK ||
        hub_bus_open_memory(&f.bus) != HUB_OK)
        return -1;
    for (size_t i = 0; i < HUB_TOPIC_COUNT; i++)
        hub_memory_topic(f.bus, names[i], i == HUB_TOPIC_EVENTS || i == HUB_TOPIC_IDENTITY ? PARTITIONS : 1);
    return open_forward(&f, NULL) == HUB_OK ? 0 : -1;
}

static void *body(void *ctx)
{
    struct fixture *f = ctx;
    hub_forward_run(f->forward, &f->stop, 200);
    return NULL;
}

static void start(struct fixture *f)
{
    assert_false(f->running);
    atomic_store(&f->stop, false);
    assert_int_equal(pthread_create(&f->thread, NULL, body, f), 0);
    f->running = true;
}

static void stop(struct fixture *f)
{
    if (!f->running)
        return;
    atomic_store(&f->stop, true);
    hub_log_wake(f->log);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    f->running = false;
}

/* As after a restart of the process. */
static void restart(struct fixture *f)
{
    stop(f);
    hub_forward_close(f->forward);
    f->forward = NULL;
    assert_int_equal(open_forward(f, NULL), HUB_OK);
    start(f);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    stop(f);
    hub_forward_close(f->forward);
    hub_bus_close(f->bus);
    hub_log_close(f->log, true);
    hub_arena_deinit(&f->arena);
    temp_folder_remove(f->folder);
    return 0;
}

/* --- records --- */

static void append(struct fixture *f, struct hub_buf *payload)
{
    struct hub_span part = hub_buf_view(payload);
    assert_int_equal(hub_log_append(f->log, &part, 1, NULL, NULL), HUB_OK);
    hub_buf_deinit(payload);
}

/* Event NUMBER of patient SUBJECT, with an identity fact when FACT. */
static void add_event(struct fixture *f, unsigned subject, bool fact)
{
    struct hub_buf event, payload;
    hub_buf_init(&event, 1 << 20, false);
    hub_buf_init(&payload, 1 << 20, false);
    hub_buf_printf(&event, "{\"data\":{\"entry\":[{\"x\":\"a}]\\\"b\"}]},\"id\":\"e%06u\",\"identity\":\"%s\",", f->count++,
                   fact ? "same@ehr:1a,1b" : "");
    hub_buf_printf(&event, "\"recordedtime\":\"2026-11-23T01:43:50.123456Z\",\"source\":\"/feeds/adt\",\"subject\":\"1s%u\"}",
                   subject);
    hub_record_begin(&payload, HUB_RECORD_MESSAGE, 1, "adt");
    hub_record_add(&payload, HUB_SECTION_EVENT, hub_buf_view(&event));
    hub_buf_deinit(&event);
    append(f, &payload);
}

/* A revision that takes the place of e000000 and e000001 and states no fact. */
static void add_revision(struct fixture *f)
{
    struct hub_buf payload;
    hub_buf_init(&payload, 1 << 20, false);
    hub_record_begin(&payload, HUB_RECORD_REVISED, 1, "adt");
    hub_record_add(&payload, HUB_SECTION_EVENT,
                   HUB_SPAN("{\"id\":\"e000002\",\"identity\":\"\",\"origin\":\"e000000\",\"originrecorded\":\"2026-11-23T01:43:50.123456Z\","
                            "\"recordedtime\":\"2026-11-23T02:43:50.123456Z\",\"revision\":\"1\",\"source\":\"/feeds/adt\","
                            "\"subject\":\"1s7\",\"supersedes\":\"e000000,e000001\"}"));
    append(f, &payload);
}

static void add_key(struct fixture *f, const char *id)
{
    struct hub_buf payload;
    char text[64];
    (void)snprintf(text, sizeof text, "{\"id\":\"%s\"}", id);
    hub_buf_init(&payload, 1 << 20, false);
    hub_record_begin(&payload, HUB_RECORD_KEY, 1, "");
    hub_record_add(&payload, HUB_SECTION_KEY, hub_span_str(text));
    append(f, &payload);
}

static void sync_log(struct fixture *f)
{
    assert_int_equal(hub_log_sync(f->log, NULL), HUB_OK);
}

static void wait_delivered(struct fixture *f, uint64_t record)
{
    struct hub_forward_stats stats = {0};
    for (int i = 0; i < WAIT_MS; i += 10) {
        hub_forward_stats(f->forward, &stats);
        if (stats.delivered >= record)
            return;
        (void)usleep(10000);
    }
    fail_msg("delivered up to %llu, not %llu", (unsigned long long)stats.delivered, (unsigned long long)record);
}

static size_t events_there(struct fixture *f)
{
    size_t sum = 0;
    for (int32_t p = 0; p < PARTITIONS; p++)
        sum += hub_memory_count(f->bus, names[HUB_TOPIC_EVENTS], p);
    return sum;
}

/* Every event from 0 to COUNT is there, and of each patient's events the first copies come in order. */
static void assert_whole(struct fixture *f, unsigned count)
{
    bool *seen = hub_mem_array(count, sizeof *seen);
    unsigned found = 0;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        unsigned last = 0;
        for (size_t i = 0; i < hub_memory_count(f->bus, names[HUB_TOPIC_EVENTS], p); i++) {
            struct hub_memory_record r = hub_memory_at(f->bus, names[HUB_TOPIC_EVENTS], p, i);
            unsigned number = (unsigned)strtoul((const char *)r.headers[1].value.ptr + 1, NULL, 10);
            assert_true(number < count);
            if (seen[number])
                continue;
            assert_true(number >= last);
            last = number;
            seen[number] = true;
            found++;
        }
    }
    hub_mem_free(seen);
    assert_int_equal(found, count);
}

/* --- tests --- */

static void events_arrive_by_subject_with_their_headers(void **state)
{
    struct fixture *f = *state;
    start(f);
    add_event(f, 7, true);
    sync_log(f);
    wait_delivered(f, 1);
    int32_t partition = hub_bus_partition(HUB_SPAN("1s7"), PARTITIONS);
    struct hub_memory_record event = hub_memory_at(f->bus, names[HUB_TOPIC_EVENTS], partition, 0);
    assert_true(hub_span_is(event.key, "1s7"));
    assert_string_equal(event.headers[0].name, "content-type");
    assert_true(hub_span_is(event.headers[0].value, "application/cloudevents+json"));
    assert_string_equal(event.headers[1].name, "chartline-id");
    assert_true(hub_span_is(event.headers[1].value, "e000000"));
}

static void identity_facts_are_signed_and_lie_with_their_subject(void **state)
{
    struct fixture *f = *state;
    start(f);
    add_event(f, 7, true);
    sync_log(f);
    wait_delivered(f, 1);
    struct hub_memory_record fact =
        hub_memory_at(f->bus, names[HUB_TOPIC_IDENTITY], hub_bus_partition(HUB_SPAN("1s7"), PARTITIONS), 0);
    assert_true(hub_span_is(fact.key, "e000000/0"));
    struct hub_arena arena;
    struct hub_json *json = NULL;
    hub_arena_init(&arena, 1 << 20);
    assert_int_equal(
        hub_signed_read(&arena, "chartline identity record 1\n", fact.value, f->public_key, &json, NULL), HUB_OK);
    assert_true(hub_span_is(hub_json_get_span(json, "kind"), "same"));
    assert_true(hub_span_is(hub_json_get_span(json, "source"), "/feeds/adt@ehr"));
    assert_int_equal(hub_json_get(json, "tokens")->len, 2);
    assert_int_equal(
        hub_signed_read(&arena, "chartline key record 1\n", fact.value, f->public_key, &json, NULL), HUB_CRYPTO);
    hub_arena_deinit(&arena);
}

static void a_revision_says_what_it_takes_the_place_of_also_without_facts(void **state)
{
    struct fixture *f = *state;
    start(f);
    add_event(f, 7, false);
    add_event(f, 7, false);
    add_revision(f);
    sync_log(f);
    wait_delivered(f, 3);
    const int32_t partition = hub_bus_partition(HUB_SPAN("1s7"), PARTITIONS);
    assert_int_equal(hub_memory_count(f->bus, names[HUB_TOPIC_IDENTITY], partition), 1);
    struct hub_memory_record record = hub_memory_at(f->bus, names[HUB_TOPIC_IDENTITY], partition, 0);
    assert_true(hub_span_is(record.key, "e000002/revision"));
    struct hub_arena arena;
    struct hub_json *json = NULL;
    uint8_t trusted[2][HUB_SIGN_PUBLIC_LEN] = {{1}};
    memcpy(trusted[1], f->public_key, HUB_SIGN_PUBLIC_LEN);
    hub_arena_init(&arena, 1 << 20);
    assert_int_equal(hub_signed_read_any(&arena, HUB_SIGNED_IDENTITY, record.value, (const uint8_t(*)[HUB_SIGN_PUBLIC_LEN])trusted, 2, &json, NULL),
                     HUB_OK);
    assert_true(hub_span_is(hub_json_get_span(json, "kind"), "revision"));
    assert_true(hub_span_is(hub_json_get_span(json, "event"), "e000002"));
    assert_true(hub_span_is(hub_json_get_span(json, "subject"), "1s7"));
    assert_int_equal(hub_json_get(json, "supersedes")->len, 2);
    assert_true(hub_span_equal(hub_json_span(hub_json_get(json, "supersedes")->first->next), HUB_SPAN("e000001")));
    assert_int_equal(hub_signed_read_any(&arena, HUB_SIGNED_IDENTITY, record.value, (const uint8_t(*)[HUB_SIGN_PUBLIC_LEN])trusted, 1, &json, NULL),
                     HUB_CRYPTO);
    hub_arena_deinit(&arena);
}

/* Subjects up to DIGIT are allowed from the next restart on. */
static void allow(struct fixture *f, char digit)
{
    char text[128];
    (void)snprintf(text, sizeof text, "{\"properties\":{\"subject\":{\"pattern\":\"^1s[0-%c]$\"}}}", digit);
    assert_int_equal(hub_json_schema_compile(&f->arena, hub_span_str(text), &f->schema, NULL), HUB_OK);
}

static void a_value_behind_its_schemas_id_has_no_content_type(void **state)
{
    struct fixture *f = *state;
    f->schema_id = 0x01020304;
    start(f);
    add_event(f, 7, true);
    sync_log(f);
    wait_delivered(f, 1);
    int32_t partition = hub_bus_partition(HUB_SPAN("1s7"), PARTITIONS);
    struct hub_memory_record event = hub_memory_at(f->bus, names[HUB_TOPIC_EVENTS], partition, 0);
    uint32_t id = 0;
    assert_memory_equal(event.value.ptr, "\0\1\2\3\4{", 6);
    struct hub_span json = hub_wire_strip(event.value, &id);
    assert_int_equal(id, 0x01020304);
    assert_int_equal(json.len, event.value.len - HUB_WIRE_PREFIX_LEN);
    assert_string_equal(event.headers[0].name, "chartline-id");
    assert_int_equal(event.header_count, 1);
    struct hub_memory_record fact = hub_memory_at(f->bus, names[HUB_TOPIC_IDENTITY], partition, 0);
    assert_true(hub_span_equal(hub_wire_strip(fact.value, &id), fact.value));
    assert_int_equal(id, 0);
    assert_string_equal(fact.headers[0].name, "content-type");
}

struct told {
    struct hub_forward_wait wait;
    atomic_bool is;
};

static void on_told(struct hub_forward_wait *wait)
{
    atomic_store(&((struct told *)wait)->is, true);
}

static size_t facts_there(struct fixture *f)
{
    size_t sum = 0;
    for (int32_t p = 0; p < PARTITIONS; p++)
        sum += hub_memory_count(f->bus, names[HUB_TOPIC_IDENTITY], p);
    return sum;
}

static void an_event_that_its_schema_does_not_allow_stays_and_others_go_on(void **state)
{
    struct fixture *f = *state;
    struct hub_forward_stats stats;
    struct told bad = {.wait = {.record = 2, .delivered = on_told}};
    struct told good = {.wait = {.record = 3, .delivered = on_told}};
    struct told late = {.wait = {.record = 2, .delivered = on_told}};
    allow(f, '8');
    restart(f);
    add_event(f, 7, true);
    add_event(f, 9, true); /* not allowed */
    add_event(f, 8, true);
    assert_int_equal(hub_forward_hold(f->forward, &bad.wait), HUB_OK);
    assert_int_equal(hub_forward_hold(f->forward, &good.wait), HUB_OK);
    sync_log(f);
    wait_delivered(f, 3);
    stop(f);
    hub_forward_stats(f->forward, &stats);
    assert_int_equal(stats.held, 1);
    assert_int_equal(stats.lag, 0);
    assert_int_equal(stats.holding, 1);
    assert_int_equal(events_there(f), 2);
    assert_int_equal(facts_there(f), 2); /* nothing of it left */
    assert_true(atomic_load(&good.is));
    assert_false(atomic_load(&bad.is)); /* the brokers do not have it */

    restart(f); /* the same program: still held, still not told */
    assert_int_equal(hub_forward_hold(f->forward, &late.wait), HUB_OK);
    add_event(f, 8, false);
    sync_log(f);
    wait_delivered(f, 4);
    assert_false(atomic_load(&late.is));
    assert_int_equal(events_there(f), 3);

    stop(f);
    allow(f, '9'); /* a version that knows better */
    hub_forward_close(f->forward);
    assert_int_equal(open_forward(f, NULL), HUB_OK);
    atomic_store(&late.is, false);
    late.wait.record = 2;
    assert_int_equal(hub_forward_hold(f->forward, &late.wait), HUB_OK);
    assert_false(atomic_load(&late.is));
    start(f);
    add_event(f, 8, false);
    sync_log(f);
    wait_delivered(f, 5);
    assert_int_equal(events_there(f), 5);
    assert_int_equal(facts_there(f), 3);
    assert_true(atomic_load(&late.is));
    hub_forward_stats(f->forward, &stats);
    assert_whole(f, 5);
    restart(f);
    hub_forward_stats(f->forward, &stats);
    assert_int_equal(stats.held, 0);
}

static void a_flood_of_wrong_events_stops_what_leaves(void **state)
{
    enum { MANY = 103 };
    struct fixture *f = *state;
    struct hub_forward_stats stats = {0};
    allow(f, '8');
    restart(f);
    for (int i = 0; i < MANY; i++)
        add_event(f, 9, false);
    add_event(f, 1, false);
    sync_log(f);
    for (int i = 0; i < WAIT_MS && stats.trouble.result != HUB_TOO_MANY; i += 10) {
        (void)usleep(10000);
        hub_forward_stats(f->forward, &stats);
    }
    assert_int_equal(stats.trouble.result, HUB_TOO_MANY);
    assert_string_equal(stats.state, "refused");
    assert_int_equal(stats.held, 100);
    assert_int_equal(events_there(f), 0);
    assert_true(stats.lag > 0); /* the rest is in the event log */
}

static void a_key_record_is_delivered_before_anything_behind_it_is_sent(void **state)
{
    struct fixture *f = *state;
    start(f);
    add_event(f, 1, false);
    sync_log(f);
    wait_delivered(f, 1);
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.away = true});
    add_key(f, "k1");
    add_event(f, 1, false);
    sync_log(f);
    struct hub_forward_stats stats = {0};
    for (int i = 0; i < WAIT_MS && stats.sent < 2; i += 10) {
        (void)usleep(10000);
        hub_forward_stats(f->forward, &stats);
    }
    (void)usleep(300000);
    hub_forward_stats(f->forward, &stats);
    assert_int_equal(stats.sent, 2); /* the key record; the event behind it stays in the log */
    hub_memory_faults(f->bus, &(struct hub_memory_faults){0});
    wait_delivered(f, 3);
    assert_int_equal(hub_memory_count(f->bus, names[HUB_TOPIC_KEYS], 0), 1);
    assert_whole(f, 2);
}

/* So that they go together, the more the slower the brokers are. */
static void what_is_stored_while_others_are_on_their_way_stays_in_the_log(void **state)
{
    struct fixture *f = *state;
    struct hub_forward_stats stats = {0};
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.away = true});
    start(f);
    add_event(f, 1, false);
    sync_log(f);
    for (int i = 0; i < WAIT_MS && stats.sent < 1; i += 10) {
        (void)usleep(10000);
        hub_forward_stats(f->forward, &stats);
    }
    for (unsigned i = 0; i < 10; i++)
        add_event(f, 1, false);
    sync_log(f);
    (void)usleep(500000);
    hub_forward_stats(f->forward, &stats);
    assert_int_equal(stats.sent, 1);
    assert_int_equal(stats.waiting, 1);
    hub_memory_faults(f->bus, &(struct hub_memory_faults){0});
    wait_delivered(f, 11);
    assert_whole(f, 11);
}

static void a_record_waits_for_company_only_while_it_may(void **state)
{
    struct fixture *f = *state;
    f->wait_ms = 3600000;
    restart(f);
    add_event(f, 1, false);
    sync_log(f);
    (void)usleep(500000);
    assert_int_equal(events_there(f), 0);
    f->wait_ms = 1;
    restart(f); /* the end does not wait */
    assert_int_equal(events_there(f), 1);
    add_event(f, 1, false);
    sync_log(f);
    wait_delivered(f, 2);
    assert_whole(f, 2);
}

static void a_bus_that_has_seen_nothing_gets_all_keys_first(void **state)
{
    struct fixture *f = *state;
    f->keys = 5;
    add_event(f, 1, false);
    sync_log(f);
    start(f);
    wait_delivered(f, 1);
    assert_int_equal(hub_memory_count(f->bus, names[HUB_TOPIC_KEYS], 0), 5);
    assert_true(hub_forward_begun(f->forward));
    restart(f);
    add_event(f, 1, false);
    sync_log(f);
    wait_delivered(f, 2);
    assert_int_equal(hub_memory_count(f->bus, names[HUB_TOPIC_KEYS], 0), 5);
}

static void brokers_that_are_away_cost_no_event_and_little_memory(void **state)
{
    struct fixture *f = *state;
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.away = true, .buffer = 16});
    start(f);
    for (unsigned i = 0; i < 500; i++)
        add_event(f, i % 5, false);
    sync_log(f);
    struct hub_forward_stats stats = {0};
    for (int i = 0; i < WAIT_MS && stats.waiting < 16; i++) {
        (void)usleep(1000);
        hub_forward_stats(f->forward, &stats);
    }
    assert_int_equal(stats.delivered, 0);
    assert_int_equal(stats.lag, 500);
    assert_int_equal(stats.waiting, 16);
    assert_string_equal(stats.state, "waiting"); /* also while the buffer is full */
    assert_int_equal(stats.trouble.result, HUB_NETWORK);
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.buffer = 16});
    wait_delivered(f, 500);
    assert_int_equal(events_there(f), 500);
    assert_whole(f, 500);
}

/* No operator shall read beside a lag of 0 that brokers are awaited, or count what had been on its way. */
static void beside_a_lag_of_none_stands_what_was_true_then(void **state)
{
    struct fixture *f = *state;
    struct hub_forward_stats stats = {0};
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.away = true});
    start(f);
    for (unsigned i = 0; i < 50; i++)
        add_event(f, i % 5, false);
    sync_log(f);
    for (int i = 0; i < WAIT_MS && (stats.trouble.result == HUB_OK || stats.waiting == 0); i++) {
        (void)usleep(1000);
        hub_forward_stats(f->forward, &stats);
    }
    assert_string_equal(stats.state, "waiting");
    assert_int_equal(stats.brokers_up, 0);
    hub_memory_faults(f->bus, &(struct hub_memory_faults){0});
    for (int i = 0; i < WAIT_MS * 10 && stats.lag != 0; i++) {
        (void)usleep(100);
        hub_forward_stats(f->forward, &stats);
    }
    assert_int_equal(stats.lag, 0);
    assert_int_equal(stats.events, 50);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.brokers_up, 1);
    assert_string_equal(stats.state, "ok");
    assert_int_equal(stats.trouble.result, HUB_OK);
}

static void a_failed_delivery_begins_again_behind_what_is_there(void **state)
{
    struct fixture *f = *state;
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.fail_after = 40, .store_failed = true});
    start(f);
    for (unsigned i = 0; i < 100; i++)
        add_event(f, i % 5, false);
    sync_log(f);
    wait_delivered(f, 100);
    struct hub_forward_stats stats;
    hub_forward_stats(f->forward, &stats);
    assert_int_equal(stats.rebuilds, 1);
    assert_whole(f, 100);
}

static void a_producer_of_no_use_is_replaced(void **state)
{
    struct fixture *f = *state;
    start(f);
    for (unsigned i = 0; i < 50; i++)
        add_event(f, i % 5, false);
    sync_log(f);
    wait_delivered(f, 50);
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.broken = true});
    add_event(f, 1, false);
    sync_log(f);
    wait_delivered(f, 51);
    assert_whole(f, 51);
}

static void the_position_is_kept_over_restarts(void **state)
{
    struct fixture *f = *state;
    start(f);
    for (unsigned i = 0; i < 20; i++)
        add_event(f, i % 5, false);
    sync_log(f);
    wait_delivered(f, 20);
    stop(f);
    assert_int_equal(hub_forward_position(f->forward), 20);
    for (unsigned i = 0; i < 20; i++)
        add_event(f, i % 5, false);
    sync_log(f);
    restart(f);
    wait_delivered(f, 40);
    assert_int_equal(events_there(f), 40);
    assert_whole(f, 40);
}

static void retention_waits_for_the_forwarder(void **state)
{
    struct fixture *f = *state;
    struct hub_log_follower followers[HUB_LOG_FOLLOWERS_MAX];
    add_event(f, 1, false);
    add_event(f, 1, false);
    sync_log(f);
    assert_int_equal(hub_log_followers(f->log, followers), 1);
    assert_string_equal(followers[0].name, "forward");
    assert_int_equal(followers[0].position, 0);
    start(f);
    wait_delivered(f, 2);
    stop(f);
    assert_int_equal(hub_log_followers(f->log, followers), 1);
    assert_int_equal(followers[0].position, 2);
    assert_int_equal(hub_forward_follow(f->log, hub_disk_system(), f->forward_folder, NULL), HUB_OK);
}

static void the_position_never_passes_what_is_not_delivered(void **state)
{
    struct fixture *f = *state;
    hub_memory_faults(f->bus, &(struct hub_memory_faults){.away = true});
    start(f);
    add_event(f, 1, false);
    sync_log(f);
    (void)usleep(200000);
    stop(f);
    assert_int_equal(hub_forward_position(f->forward), 0);
    hub_memory_faults(f->bus, &(struct hub_memory_faults){0});
    restart(f);
    wait_delivered(f, 1);
    assert_whole(f, 1);
}

static void a_position_that_does_not_fit_the_log_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        "chartline forward position 1\n00000000000000000000000000000000\n0\n", "chartline forward position 2\n", "",
        "chartline forward position 1\n00000000000000000000000000000000\n"};
    char path[700];
    (void)snprintf(path, sizeof path, "%s/position", f->forward_folder);
    hub_forward_close(f->forward);
    f->forward = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct hub_error err = {0};
        assert_int_equal(hub_disk_replace(hub_disk_system(), path, hub_span_str(texts[i]), NULL), HUB_OK);
        assert_int_equal(open_forward(f, &err), HUB_CORRUPT);
        assert_non_null(strstr(err.path, "position"));
    }
    assert_int_equal(remove(path), 0);
    assert_int_equal(open_forward(f, NULL), HUB_OK);
}

static void nothing_is_sent_before_the_topics_are_right(void **state)
{
    struct fixture *f = *state;
    f->prepared = HUB_CONFIG;
    start(f);
    add_event(f, 1, false);
    sync_log(f);
    for (int i = 0; i < 200 && atomic_load(&f->prepares) < 2; i++)
        (void)usleep(10000);
    assert_int_equal(events_there(f), 0);
    struct hub_forward_stats stats = {.state = ""};
    for (int i = 0; i < WAIT_MS && strcmp(stats.state, "refused") != 0; i += 10) {
        (void)usleep(10000);
        hub_forward_stats(f->forward, &stats);
    }
    assert_string_equal(stats.state, "refused");
    stop(f);
    f->prepared = HUB_OK;
    start(f);
    wait_delivered(f, 1);
}

struct waiter {
    struct hub_forward_wait wait;
    atomic_uint told;
};

static void on_waited(struct hub_forward_wait *wait)
{
    atomic_fetch_add(&((struct waiter *)wait)->told, 1);
}

static void who_waits_is_told_when_its_record_is_delivered_and_once(void **state)
{
    struct fixture *f = *state;
    struct waiter waiters[40] = {0};
    for (unsigned i = 0; i < 40; i++)
        add_event(f, i % 5, false);
    sync_log(f);
    for (unsigned i = 0; i < 40; i++) {
        waiters[i].wait = (struct hub_forward_wait){.record = 40 - i, .delivered = on_waited};
        assert_int_equal(hub_forward_hold(f->forward, &waiters[i].wait), HUB_OK);
        assert_int_equal(atomic_load(&waiters[i].told), 0);
    }
    start(f);
    wait_delivered(f, 40);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(atomic_load(&waiters[i].told), 1);
    struct waiter late = {.wait = {.record = 3, .delivered = on_waited}};
    assert_int_equal(hub_forward_hold(f->forward, &late.wait), HUB_OK);
    assert_int_equal(atomic_load(&late.told), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(events_arrive_by_subject_with_their_headers),
        TEST(identity_facts_are_signed_and_lie_with_their_subject),
        TEST(a_revision_says_what_it_takes_the_place_of_also_without_facts),
        TEST(a_value_behind_its_schemas_id_has_no_content_type),
        TEST(an_event_that_its_schema_does_not_allow_stays_and_others_go_on),
        TEST(a_flood_of_wrong_events_stops_what_leaves),
        TEST(a_key_record_is_delivered_before_anything_behind_it_is_sent),
        TEST(what_is_stored_while_others_are_on_their_way_stays_in_the_log),
        TEST(a_record_waits_for_company_only_while_it_may),
        TEST(a_bus_that_has_seen_nothing_gets_all_keys_first),
        TEST(brokers_that_are_away_cost_no_event_and_little_memory),
        TEST(beside_a_lag_of_none_stands_what_was_true_then),
        TEST(a_failed_delivery_begins_again_behind_what_is_there),
        TEST(a_producer_of_no_use_is_replaced),
        TEST(the_position_is_kept_over_restarts),
        TEST(retention_waits_for_the_forwarder),
        TEST(the_position_never_passes_what_is_not_delivered),
        TEST(a_position_that_does_not_fit_the_log_is_refused),
        TEST(nothing_is_sent_before_the_topics_are_right),
        TEST(who_waits_is_told_when_its_record_is_delivered_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
