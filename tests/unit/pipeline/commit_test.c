#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/audit/entry.h"
#include "src/base/diag.h"
#include "src/codec/encode.h"
#include "src/codec/json.h"
#include "src/pipeline/index.h"
#include "tests/commit_fixture.h"
#include "tests/fault/fault_disk.h"
#include "tests/temp_folder.h"

struct fixture {
    char folder[512];
    char log_folder[600];
    struct fault_disk *disk;
    struct hub_log *log;
    struct hub_index *index;
    struct hub_commit *commit;
    struct hub_error err;
    int keys; /* its address stands for a key store */
    size_t sent;
};

static atomic_int fatal_calls;

static void fatal(void *ctx, const struct hub_error *err)
{
    (void)ctx;
    (void)err;
    atomic_fetch_add(&fatal_calls, 1);
}

static void start(struct fixture *f, const struct hub_commit_options *options)
{
    const struct hub_log_options log_options = {.segment_bytes = 65536};
    const struct hub_kv_options kv_options = {.families = hub_index_families(), .create = true};
    struct hub_kv *kv = NULL;
    assert_int_equal(hub_log_open(f->log_folder, &f->disk->disk, &log_options, &f->log, &f->err), HUB_OK);
    assert_int_equal(hub_kv_open_memory(&kv_options, &kv), HUB_OK);
    assert_int_equal(hub_index_open_kv(kv, f->log, &f->index, &f->err), HUB_OK);
    assert_int_equal(hub_commit_start(options, &test_clock, &f->disk->disk, f->log, f->index,
                                      (struct hub_keys *)&f->keys, fatal, NULL, &f->commit, &f->err),
                     HUB_OK);
}

static void stop(struct fixture *f)
{
    hub_commit_stop(f->commit);
    hub_index_close(f->index);
    hub_log_close(f->log, true);
    f->commit = NULL;
    f->index = NULL;
    f->log = NULL;
}

static const struct hub_commit_options plain = {.queue = 64};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL || temp_folder_new(f->folder) == NULL)
        return -1;
    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/log", f->folder);
    f->disk = fault_disk_new();
    test_fixture_reset();
    atomic_store(&fatal_calls, 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    stop(f);
    fault_disk_free(f->disk);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

static struct test_answer *send_item(struct fixture *f, struct hub_commit_item *item)
{
    assert_true(test_submit(f->commit, item));
    test_wait(++f->sent);
    return &test_answers.items[f->sent - 1];
}

static struct test_answer *send(struct fixture *f, enum hub_record_kind kind, const char *id,
                                const char *control, size_t events)
{
    return send_item(f, test_item(kind, id, control, events));
}

/* All sections of one kind in record NUMBER, a line each. */
static void sections(struct fixture *f, uint64_t number, enum hub_section_kind wanted,
                     enum hub_record_kind *kind, char *out, size_t out_cap)
{
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    struct hub_span bytes;
    struct hub_record_view view;
    enum hub_section_kind found;
    uint64_t got = 0;
    out[0] = '\0';
    assert_int_equal(hub_log_reader_open(f->log, number, &reader, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &got, &payload, &f->err), HUB_OK);
    assert_int_equal(hub_record_parse(payload, &view), HUB_OK);
    *kind = view.kind;
    while (hub_record_next(&view, &found, &bytes) == HUB_OK) {
        size_t len = strlen(out);
        if (found == wanted)
            (void)snprintf(out + len, out_cap - len, "%.*s\n", (int)bytes.len, (const char *)bytes.ptr);
    }
    hub_log_reader_close(reader);
}

static void commit_writes_event_time_hash_and_audit_entry(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    atomic_store(&test_wall_us, 1795398000000000);
    struct test_answer *answer = send(f, HUB_RECORD_MESSAGE, "message1", "control1", 1);
    assert_int_equal(answer->result, HUB_OK);
    assert_false(answer->duplicate);
    assert_true(answer->recorded_us == 1795398000000000);
    char event[500];
    char audit[1000];
    enum hub_record_kind kind;
    sections(f, 1, HUB_SECTION_EVENT, &kind, event, sizeof event);
    assert_int_equal(kind, HUB_RECORD_MESSAGE);
    assert_string_equal(event, "{\"data\":{\"id\":\"message1\"},\"recordedtime\":\"2026-11-23T01:40:00."
                               "000000Z\",\"specversion\":\"1.0\"}\n");
    uint8_t hash[32];
    char hex[65];
    hub_sha256_of(hub_span_of(event, strlen(event) - 1), hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, 32), hex, sizeof hex);
    sections(f, 1, HUB_SECTION_AUDIT, &kind, audit, sizeof audit);
    char expected[1000];
    (void)snprintf(expected, sizeof expected,
                   "{\"answer\":\"AA\",\"control\":\"control1\",\"event\":\"message1\",\"events\":[\"%s\"],"
                   "\"feed\":\"adt-main\","
                   "\"kind\":\"message-accepted\",\"message\":\"message1\",\"secret_created\":\"secret\","
                   "\"sender\":\"CN=ehr-prod\","
                   "\"subject\":\"1subject-of-message1\",\"time\":\"2026-11-23T01:40:00.000000Z\","
                   "\"trigger\":\"ADT^A01\"}\n",
                   hex);
    assert_string_equal(audit, expected);
}

static void commit_gives_a_repeat_the_stored_answer_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    int64_t first = send(f, HUB_RECORD_MESSAGE, "message1", "c", 1)->recorded_us;
    atomic_fetch_add(&test_wall_us, 5000000);
    for (int i = 0; i < 3; i++) {
        struct test_answer *again = send(f, HUB_RECORD_MESSAGE, "message1", "c", 1);
        assert_int_equal(again->result, HUB_OK);
        assert_true(again->duplicate);
        assert_true(again->recorded_us == first);
        assert_string_equal(again->answer, "AA");
    }
    /* the bytes were accepted once: a verdict that changed since does not change the answer */
    struct test_answer *now_bad = send(f, HUB_RECORD_REJECTED, "message1", "c", 0);
    assert_true(now_bad->result == HUB_OK && now_bad->duplicate);
    assert_string_equal(now_bad->answer, "AA");
    assert_true(hub_log_durable(f->log) == 1);
    struct hub_commit_stats stats;
    hub_commit_stats(f->commit, &stats);
    assert_true(stats.messages == 1 && stats.events == 1 && stats.duplicates == 4 && stats.rejected == 0);
    stop(f);
    start(f, &plain);
    assert_true(send(f, HUB_RECORD_MESSAGE, "message1", "c", 1)->duplicate);
    assert_true(hub_log_durable(f->log) == 1);
}

static void commit_lets_a_repeat_in_flight_share_the_answer(void **state)
{
    struct fixture *f = *state;
    const struct hub_commit_options slow = {.queue = 256, .wait_us = 20000};
    start(f, &slow);
    for (int i = 0; i < 100; i++) {
        char id[20];
        (void)snprintf(id, sizeof id, "message%d", i % 10);
        assert_true(test_submit(f->commit, test_item(HUB_RECORD_MESSAGE, id, "c", 1)));
    }
    test_wait(100);
    assert_true(hub_log_durable(f->log) == 10);
    int64_t recorded[10] = {0};
    for (size_t i = 0; i < 100; i++) {
        const struct test_answer *answer = &test_answers.items[i];
        int which = answer->id[7] - '0';
        assert_int_equal(answer->result, HUB_OK);
        assert_int_equal(which, (int)i % 10); /* in the order of submission */
        assert_int_equal(answer->duplicate, i >= 10);
        if (i < 10)
            recorded[which] = answer->recorded_us;
        assert_true(answer->recorded_us == recorded[which]);
    }
}

struct reading {
    struct hub_index *index;
    atomic_int begun, read;
};

static void *read_stats(void *ctx)
{
    struct reading *reading = ctx;
    struct hub_commit_stats stats;
    atomic_store(&reading->begun, 1);
    hub_index_stats(reading->index, &stats);
    atomic_store(&reading->read, 1);
    return NULL;
}

/* Answers leave before the index is written: who reads it then must not be told that nothing is there. */
static void commit_readers_of_the_index_find_what_was_answered(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    for (uint64_t i = 0; i < 200; i++) {
        char id[20];
        struct hub_index_message found;
        struct hub_commit_stats stats;
        (void)snprintf(id, sizeof id, "message%d", (int)i);
        (void)send(f, HUB_RECORD_MESSAGE, id, "c", 1);
        assert_int_equal(hub_index_message(f->index, hub_span_str(id), &found, &f->err), HUB_OK);
        hub_commit_stats(f->commit, &stats);
        assert_true(stats.messages == i + 1);
    }
    struct reading reading = {.index = f->index};
    pthread_t thread;
    hub_index_hold(f->index);
    assert_int_equal(pthread_create(&thread, NULL, read_stats, &reading), 0);
    while (atomic_load(&reading.begun) == 0)
        (void)usleep(100);
    (void)usleep(20000);
    assert_int_equal(atomic_load(&reading.read), 0);
    hub_index_release(f->index);
    (void)pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&reading.read), 1);
}

static void commit_keeps_recorded_times_strictly_increasing(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    int64_t last = 0;
    for (int i = 0; i < 40; i++) {
        char id[20];
        (void)snprintf(id, sizeof id, "message%d", i);
        atomic_fetch_add(&test_wall_us, i % 5 == 0 ? -3000000 : i % 3);
        if (i % 13 == 12) { /* over a restart too */
            stop(f);
            start(f, &plain);
        }
        struct test_answer *answer = send(f, HUB_RECORD_MESSAGE, id, "", 1 + (size_t)i % 3);
        assert_true(answer->recorded_us > last);
        last = answer->recorded_us + i % 3; /* its last event */
    }
}

static void commit_gives_each_event_of_a_message_its_own_time(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    atomic_store(&test_wall_us, 1795399000000000);
    (void)send(f, HUB_RECORD_MESSAGE, "message1", "", 3);
    char events[1000];
    char audit[2000];
    enum hub_record_kind kind;
    sections(f, 1, HUB_SECTION_EVENT, &kind, events, sizeof events);
    assert_non_null(strstr(events, "01:56:40.000000Z"));
    assert_non_null(strstr(events, "01:56:40.000001Z"));
    assert_non_null(strstr(events, "01:56:40.000002Z"));
    sections(f, 1, HUB_SECTION_AUDIT, &kind, audit, sizeof audit);
    assert_non_null(strstr(audit, "\"patients\":3"));
    assert_non_null(strstr(audit, "\"part\":2,\"patients\":[\"message1 1subject-of-message1 "
                                  "secret\",\"xmessage1 1subject-of-message1\","));
}

static void commit_keeps_audit_entries_small_for_a_thousand_patients(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    assert_int_equal(send(f, HUB_RECORD_MESSAGE, "message1", "", 1000)->result, HUB_OK);
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    struct hub_span bytes;
    struct hub_record_view view;
    enum hub_section_kind kind;
    uint64_t number = 0;
    size_t entries = 0;
    assert_int_equal(hub_log_reader_open(f->log, 1, &reader, &f->err), HUB_OK);
    assert_int_equal(hub_log_reader_next(reader, &number, &payload, &f->err), HUB_OK);
    assert_int_equal(hub_record_parse(payload, &view), HUB_OK);
    while (hub_record_next(&view, &kind, &bytes) == HUB_OK) {
        if (kind != HUB_SECTION_AUDIT)
            continue;
        assert_true(bytes.len <= HUB_AUDIT_ENTRY_MAX);
        bool digest = memmem(bytes.ptr, bytes.len, "sha256", 6) != NULL;
        assert_int_equal(digest, entries == 0); /* a thousand hashes do not fit, the patients do, in parts */
        entries++;
    }
    assert_int_equal(entries, 4);
    hub_log_reader_close(reader);
}

static void commit_counts_a_repeated_rejection_instead_of_piling_up(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    struct test_answer *answer = send(f, HUB_RECORD_REJECTED, "bad1", "c1", 0);
    assert_true(answer->result == HUB_OK && !answer->duplicate);
    char text[2000];
    enum hub_record_kind kind;
    sections(f, 1, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_int_equal(kind, HUB_RECORD_REJECTED);
    assert_non_null(strstr(text, "\"kind\":\"message-rejected\""));
    assert_non_null(strstr(text, "\"kind\":\"message-dead-lettered\""));
    assert_non_null(strstr(text, "\"at\":\"PID-3[2].4\""));
    assert_non_null(strstr(text, "\"code\":\"required\""));
    sections(f, 1, HUB_SECTION_DEAD_LETTER, &kind, text, sizeof text);
    assert_string_equal(text, "{\"dead\":\"letter\"}\n");
    for (int i = 0; i < 3; i++) {
        answer = send(f, HUB_RECORD_REJECTED, "bad1", "c1", 0);
        assert_true(answer->result == HUB_OK && !answer->duplicate); /* judged anew */
    }
    sections(f, 4, HUB_SECTION_DEAD_LETTER, &kind, text, sizeof text);
    assert_int_equal(kind, HUB_RECORD_REPEATED);
    assert_string_equal(text, "");
    sections(f, 4, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_non_null(strstr(text, "\"repeat\":3"));
    struct hub_index_message message;
    assert_int_equal(hub_index_message(f->index, HUB_SPAN("bad1"), &message, &f->err), HUB_OK);
    assert_true(message.record == 1 && message.repeats == 3);
    struct hub_commit_stats stats;
    hub_commit_stats(f->commit, &stats);
    assert_true(stats.rejected == 4 && stats.dead_letters == 1);
}

static bool note_resolved(void *ctx, struct hub_span id, const struct hub_index_message *message)
{
    *(bool *)ctx = hub_span_is(id, "bad1") && message->resolved;
    return true;
}

static void commit_accepts_a_rejected_message_that_is_sent_again(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    (void)send(f, HUB_RECORD_REJECTED, "bad1", "c1", 0);
    struct test_answer *answer = send(f, HUB_RECORD_MESSAGE, "bad1", "c1", 1);
    assert_true(answer->result == HUB_OK && !answer->duplicate);
    assert_true(send(f, HUB_RECORD_MESSAGE, "bad1", "c1", 1)->duplicate);
    bool resolved = false;
    assert_int_equal(hub_index_each_dead_letter(f->index, note_resolved, &resolved, &f->err), HUB_OK);
    assert_true(resolved);
    struct hub_commit_stats stats;
    hub_commit_stats(f->commit, &stats);
    assert_true(stats.messages == 1 && stats.dead_letters == 0);
    char text[2000];
    enum hub_record_kind kind;
    sections(f, 2, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_null(strstr(text, "control-id-reused")); /* the same message is no reuse */
}

static void commit_keeps_an_accepted_dead_letter_apart_from_a_rejection(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    struct hub_commit_item *item = test_item(HUB_RECORD_REJECTED, "kept1", "c1", 0);
    memcpy(item->dedup.answer, "AA", 3);
    (void)send_item(f, item);
    char text[2000];
    enum hub_record_kind kind;
    sections(f, 1, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_null(strstr(text, "message-rejected"));
    assert_non_null(strstr(text, "message-dead-lettered"));
}

static void commit_flags_a_control_id_with_other_content(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    (void)send(f, HUB_RECORD_MESSAGE, "message1", "c1", 1);
    assert_false(send(f, HUB_RECORD_MESSAGE, "message2", "c1", 1)->duplicate);
    (void)send(f, HUB_RECORD_MESSAGE, "message3", "c2", 1);
    char text[2000];
    enum hub_record_kind kind;
    sections(f, 1, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_null(strstr(text, "control-id-reused"));
    sections(f, 2, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_non_null(strstr(text, "\"flag\":\"control-id-reused\""));
    sections(f, 3, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_null(strstr(text, "control-id-reused"));
}

static struct hub_log *watched_log;
static atomic_ullong durable_at_key_sync;
static off_t log_size_at_key_sync;
static char watched_path[700];

static void note_key_sync(void)
{
    struct stat st;
    atomic_store(&durable_at_key_sync, hub_log_durable(watched_log));
    log_size_at_key_sync = stat(watched_path, &st) == 0 ? st.st_size : -1;
}

static void commit_makes_keys_durable_before_one_byte_of_the_record_is_written(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    watched_log = f->log;
    (void)snprintf(watched_path, sizeof watched_path, "%s/00000000000000000001.seg", f->log_folder);
    (void)send(f, HUB_RECORD_MESSAGE, "message1", "", 1);
    int syncs = atomic_load(&test_keys_syncs);
    struct stat st;
    assert_int_equal(stat(watched_path, &st), 0);
    test_keys_at_sync = note_key_sync;
    (void)send(f, HUB_RECORD_MESSAGE, "message2", "", 1);
    assert_int_equal(atomic_load(&test_keys_syncs), syncs + 1);
    assert_true(atomic_load(&durable_at_key_sync) == 1);
    assert_int_equal(log_size_at_key_sync, st.st_size);
    assert_true(hub_log_durable(f->log) == 2);
}

static void commit_acknowledges_nothing_when_keys_cannot_be_stored(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    atomic_store(&test_keys_sync_result, HUB_IO);
    assert_int_equal(send(f, HUB_RECORD_MESSAGE, "message1", "", 1)->result, HUB_IO);
    assert_int_equal(atomic_load(&fatal_calls), 1);
    assert_true(hub_log_durable(f->log) == 0);
    struct hub_commit_item *item = test_item(HUB_RECORD_MESSAGE, "message2", "", 1);
    assert_int_equal(hub_commit_submit(f->commit, item), HUB_CLOSED);
    hub_commit_item_free(item);
}

static void commit_records_class_keys_before_the_messages_sealed_with_them(void **state)
{
    struct fixture *f = *state;
    atomic_store(&test_key_count, 1); /* made before, by another process */
    start(f, &plain);
    (void)send(f, HUB_RECORD_MESSAGE, "message1", "", 1);
    char text[2000];
    enum hub_record_kind kind;
    sections(f, 1, HUB_SECTION_KEY, &kind, text, sizeof text);
    assert_int_equal(kind, HUB_RECORD_KEY);
    assert_true(strncmp(text, test_key_records[0], strlen(test_key_records[0])) == 0);
    sections(f, 1, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_non_null(strstr(text, "{\"class\":\"clinical\",\"key\":\"00112233445566aa\",\"kind\":\"key-"
                                 "created\",\"roles\":[\"clinician\"]"));
    sections(f, 2, HUB_SECTION_EVENT, &kind, text, sizeof text);
    assert_int_equal(kind, HUB_RECORD_MESSAGE);
    /* made while it runs */
    atomic_store(&test_key_count, 2);
    atomic_store(&test_keys_created, 1);
    (void)send(f, HUB_RECORD_MESSAGE, "message2", "", 1);
    sections(f, 3, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_int_equal(kind, HUB_RECORD_KEY);
    assert_non_null(strstr(text, "\"kind\":\"key-granted\",\"roles\":[\"auditor\"]"));
    assert_true(hub_log_durable(f->log) == 4);
}

static void commit_keeps_what_an_operator_decided_in_the_log(void **state)
{
    struct fixture *f = *state;
    struct hub_commit_stats stats;
    bool paused = false;
    start(f, &plain);
    (void)send(f, HUB_RECORD_REJECTED, "letter1", "", 0);
    (void)send(f, HUB_RECORD_REJECTED, "letter2", "", 0);
    assert_int_equal(hub_commit_state(f->commit, "feed", "f1", "paused", HUB_SPAN("{}"), &f->err), HUB_OK);
    assert_int_equal(
        hub_commit_state(f->commit, "deadletter", "letter1", "resolved", HUB_SPAN("{}"), &f->err), HUB_OK);
    assert_int_equal(
        hub_commit_state(f->commit, "deadletter", "letter1", "resolved", HUB_SPAN("{}"), &f->err), HUB_OK);
    assert_int_equal(hub_commit_state(f->commit, "deadletter", "nosuch", "resolved", HUB_SPAN("{}"), &f->err),
                     HUB_OK);
    for (int i = 0; i < 2; i++) { /* the second time from the log alone: the fixture's index is new */
        hub_commit_stats(f->commit, &stats);
        assert_int_equal(stats.dead_letters, 1);
        assert_int_equal(stats.rejected, 2);
        assert_int_equal(hub_index_feed_paused(f->index, "f1", &paused, &f->err), HUB_OK);
        assert_true(paused);
        assert_int_equal(hub_index_feed_paused(f->index, "f2", &paused, &f->err), HUB_OK);
        assert_false(paused);
        stop(f);
        start(f, &plain);
    }
    assert_int_equal(hub_commit_state(f->commit, "feed", "f1", "listening", HUB_SPAN("{}"), &f->err), HUB_OK);
    assert_int_equal(hub_index_feed_paused(f->index, "f1", &paused, &f->err), HUB_OK);
    assert_false(paused);
    /* a resolved letter whose message is accepted later is not counted twice */
    (void)send(f, HUB_RECORD_MESSAGE, "letter1", "", 1);
    hub_commit_stats(f->commit, &stats);
    assert_int_equal(stats.dead_letters, 1);
}

static void commit_records_each_key_record_once_over_restarts(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 6; i++) {
        atomic_store(&test_key_count, i / 2 + 1);
        start(f, &plain);
        assert_int_equal(hub_commit_audit(f->commit, HUB_SPAN("{}"), &f->err), HUB_OK);
        assert_true(hub_log_durable(f->log) == (uint64_t)(i + 1 + i / 2 + 1));
        stop(f);
    }
}

static void commit_audit_waits_until_the_entry_is_durable(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(hub_commit_audit(f->commit, HUB_SPAN("{\"kind\":\"read\"}"), &f->err), HUB_OK);
        assert_true(hub_log_durable(f->log) == i);
    }
    char text[200];
    enum hub_record_kind kind;
    sections(f, 3, HUB_SECTION_AUDIT, &kind, text, sizeof text);
    assert_int_equal(kind, HUB_RECORD_AUDIT);
    assert_string_equal(text, "{\"kind\":\"read\"}\n");
    char *large = calloc(1, HUB_AUDIT_ENTRY_MAX + 1);
    assert_int_equal(hub_commit_audit(f->commit, hub_span_of(large, HUB_AUDIT_ENTRY_MAX + 1), &f->err),
                     HUB_TOO_LARGE);
    free(large);
}

static void commit_below_the_reserve_takes_no_message_and_recovers(void **state)
{
    struct fixture *f = *state;
    const struct hub_commit_options options = {.queue = 64, .reserve_bytes = 1000000, .data_dir = f->folder};
    f->disk->free_bytes = 900000;
    start(f, &options);
    assert_int_equal(send(f, HUB_RECORD_MESSAGE, "message1", "", 1)->result, HUB_QUOTA);
    struct hub_commit_item *item = test_item(HUB_RECORD_MESSAGE, "message2", "", 1);
    assert_int_equal(hub_commit_submit(f->commit, item), HUB_QUOTA);
    assert_int_equal(hub_commit_audit(f->commit, HUB_SPAN("{}"), &f->err),
                     HUB_OK); /* the reserve is for this */
    f->disk->free_bytes = 900000000;
    atomic_fetch_add(&test_mono_us, 1000000);
    enum hub_result result;
    item->done = test_answered;
    item->done_ctx = &test_answers;
    while ((result = hub_commit_submit(f->commit, item)) == HUB_QUOTA)
        usleep(1000);
    assert_int_equal(result, HUB_OK);
    test_wait(2);
    assert_int_equal(test_answers.items[1].result, HUB_OK);
    assert_int_equal(atomic_load(&fatal_calls), 0);
}

static void commit_over_the_data_quota_takes_no_message(void **state)
{
    struct fixture *f = *state;
    const struct hub_commit_options options = {.queue = 64, .data_bytes = 40000, .data_dir = f->folder};
    start(f, &options);
    size_t taken = 0;
    for (int i = 0; i < 200; i++) {
        char id[20];
        (void)snprintf(id, sizeof id, "message%d", i);
        struct hub_commit_item *item = test_item(HUB_RECORD_MESSAGE, id, "", 1);
        if (!test_submit(f->commit, item))
            break;
        test_wait(++f->sent);
        if (test_answers.items[f->sent - 1].result != HUB_OK) {
            assert_int_equal(test_answers.items[f->sent - 1].result, HUB_QUOTA);
            break;
        }
        taken++;
    }
    assert_true(taken > 2 && taken < 150);
    assert_true(hub_log_bytes(f->log) <= 40000);
    assert_true(hub_log_durable(f->log) == taken);
}

static void commit_out_of_space_answers_nobody_and_goes_on_when_there_is_room(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    assert_int_equal(send(f, HUB_RECORD_MESSAGE, "message1", "", 1)->result, HUB_OK);
    pthread_mutex_lock(&f->disk->lock);
    f->disk->ops = FAULT_WRITE;
    f->disk->result = HUB_QUOTA;
    f->disk->half = true;
    f->disk->counted = 0;
    f->disk->nth = 1;
    pthread_mutex_unlock(&f->disk->lock);
    assert_int_equal(send(f, HUB_RECORD_MESSAGE, "message2", "", 1)->result, HUB_QUOTA);
    assert_int_equal(atomic_load(&fatal_calls), 0);
    atomic_fetch_add(&test_mono_us, 1000000);
    struct hub_commit_item *item = test_item(HUB_RECORD_MESSAGE, "message2", "", 1);
    item->done = test_answered;
    item->done_ctx = &test_answers;
    enum hub_result result;
    while ((result = hub_commit_submit(f->commit, item)) == HUB_QUOTA)
        usleep(1000);
    assert_int_equal(result, HUB_OK);
    test_wait(++f->sent);
    assert_int_equal(test_answers.items[f->sent - 1].result, HUB_OK);
    assert_false(test_answers.items[f->sent - 1].duplicate);
    stop(f);
    start(f, &plain);
    assert_true(hub_log_durable(f->log) == 2);
}

static void commit_refuses_an_item_larger_than_a_record_and_goes_on(void **state)
{
    struct fixture *f = *state;
    const struct hub_log_options small = {.segment_bytes = 65536, .record_bytes_max = 2000};
    start(f, &plain);
    stop(f);
    const struct hub_kv_options kv_options = {.families = hub_index_families(), .create = true};
    struct hub_kv *kv = NULL;
    assert_int_equal(hub_log_open(f->log_folder, &f->disk->disk, &small, &f->log, &f->err), HUB_OK);
    assert_int_equal(hub_kv_open_memory(&kv_options, &kv), HUB_OK);
    assert_int_equal(hub_index_open_kv(kv, f->log, &f->index, &f->err), HUB_OK);
    assert_int_equal(hub_commit_start(&plain, &test_clock, &f->disk->disk, f->log, f->index, NULL, fatal,
                                      NULL, &f->commit, &f->err),
                     HUB_OK);
    assert_int_equal(send(f, HUB_RECORD_MESSAGE, "message1", "", 50)->result, HUB_TOO_LARGE);
    assert_int_equal(send(f, HUB_RECORD_MESSAGE, "message2", "", 1)->result, HUB_OK);
    assert_true(hub_log_durable(f->log) == 1);
    assert_int_equal(atomic_load(&fatal_calls), 0);
}

static void *submit_many(void *arg)
{
    struct fixture *f = arg;
    static atomic_int next;
    for (int i = 0; i < 300; i++) {
        char id[20];
        (void)snprintf(id, sizeof id, "message%d", atomic_fetch_add(&next, 1) % 400);
        (void)test_submit(f->commit, test_item(HUB_RECORD_MESSAGE, id, "", 1));
    }
    return NULL;
}

static void commit_serves_many_threads_and_commits_everything_at_stop(void **state)
{
    struct fixture *f = *state;
    start(f, &plain);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, f), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    hub_commit_stop(f->commit);
    f->commit = NULL;
    assert_int_equal(test_answers.count, 1200);
    assert_int_equal(test_answers.positive, 1200);
    assert_true(hub_log_durable(f->log) == 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(commit_writes_event_time_hash_and_audit_entry),
        TEST(commit_gives_a_repeat_the_stored_answer_and_writes_nothing),
        TEST(commit_lets_a_repeat_in_flight_share_the_answer),
        TEST(commit_readers_of_the_index_find_what_was_answered),
        TEST(commit_keeps_recorded_times_strictly_increasing),
        TEST(commit_gives_each_event_of_a_message_its_own_time),
        TEST(commit_keeps_audit_entries_small_for_a_thousand_patients),
        TEST(commit_counts_a_repeated_rejection_instead_of_piling_up),
        TEST(commit_accepts_a_rejected_message_that_is_sent_again),
        TEST(commit_keeps_an_accepted_dead_letter_apart_from_a_rejection),
        TEST(commit_flags_a_control_id_with_other_content),
        TEST(commit_makes_keys_durable_before_one_byte_of_the_record_is_written),
        TEST(commit_acknowledges_nothing_when_keys_cannot_be_stored),
        TEST(commit_records_class_keys_before_the_messages_sealed_with_them),
        TEST(commit_keeps_what_an_operator_decided_in_the_log),
        TEST(commit_records_each_key_record_once_over_restarts),
        TEST(commit_audit_waits_until_the_entry_is_durable),
        TEST(commit_below_the_reserve_takes_no_message_and_recovers),
        TEST(commit_over_the_data_quota_takes_no_message),
        TEST(commit_out_of_space_answers_nobody_and_goes_on_when_there_is_room),
        TEST(commit_refuses_an_item_larger_than_a_record_and_goes_on),
        TEST(commit_serves_many_threads_and_commits_everything_at_stop),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (hub_crypto_init() != HUB_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
