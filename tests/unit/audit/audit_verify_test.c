/* What the verification says. Every byte flipped, entries moved and logs forged: tests/fault/audit_fault_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "audit_fixture.h"

static void audit_verify_without_a_key_from_outside_says_so(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 5);
    struct hub_audit_verify_options options = {.folder = f.audit_folder};
    fixture_ok(&f, hub_audit_verify(&options, &report, &f.err));
    assert_true(report.self_consistent_only);
    assert_int_equal(report.finding_count, 0);
    fixture_verify(&f, NULL, false, &report);
    assert_false(report.self_consistent_only);
    assert_int_equal(report.finding_count, 0);
    assert_int_equal(strlen(report.root), 64);
    fixture_free(&f);
}

static void audit_verify_cannot_be_made_without_what_it_was_given(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    char vkey[HUB_NOTE_VKEY_MAX];
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 5);
    fixture_vkey(&f, vkey);
    struct hub_audit_verify_options bad_key = {.folder = f.audit_folder, .vkey = "chartline/testhosp"};
    assert_int_equal(hub_audit_verify(&bad_key, &report, &f.err), HUB_SYNTAX);
    struct hub_audit_verify_options no_since = {.folder = f.audit_folder, .vkey = vkey, .since_path = "/nowhere/checkpoint"};
    assert_int_equal(hub_audit_verify(&no_since, &report, &f.err), HUB_NOT_FOUND);
    struct hub_audit_verify_options no_log = {.folder = f.audit_folder, .vkey = vkey, .events_log = "/nowhere/log"};
    assert_int_not_equal(hub_audit_verify(&no_log, &report, &f.err), HUB_OK);
    fixture_free(&f);
}

/* A copy of the checkpoint as somebody outside remembers it. */
static const char *remember(const struct fixture *f, char out[600])
{
    struct hub_buf note;
    (void)snprintf(out, 600, "%s/remembered", f->folder);
    fixture_read(f, "checkpoint", &note);
    fixture_write(f, "../remembered", hub_buf_view(&note));
    hub_buf_deinit(&note);
    return out;
}

static void audit_verify_accepts_every_earlier_checkpoint_of_the_log(void **state)
{
    (void)state;
    static const unsigned steps[] = {0, 1, 100, 155, 1, 256, 30};
    struct fixture f;
    char since[600];
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        fixture_publish(&f, steps[i]);
        (void)remember(&f, since);
        fixture_publish(&f, 40);
        fixture_verify(&f, since, true, &report);
        assert_int_equal(report.finding_count, 0);
    }
    fixture_free(&f);
}

static void audit_verify_compares_the_stored_events(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_add_message(&f, 3);
    fixture_add_reads(&f, 2);
    fixture_add_message(&f, 0);
    fixture_publish(&f, 300);
    fixture_verify(&f, NULL, true, &report);
    assert_int_equal(report.finding_count, 0);
    assert_int_equal(report.events_compared, 303);
    fixture_verify(&f, NULL, false, &report);
    assert_int_equal(report.events_compared, 0);
    fixture_free(&f);
}

static void audit_verify_takes_the_further_parts_of_an_entry(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    struct hub_buf record;
    fixture_new(&f);
    fixture_open_audit(&f);
    hub_buf_init(&record, 65536, false);
    hub_record_begin(&record, HUB_RECORD_MESSAGE, f.now_us, "adt-main");
    hub_record_add(&record, HUB_SECTION_EVENT, HUB_SPAN("abc"));
    hub_record_add(&record, HUB_SECTION_AUDIT, HUB_SPAN("{\"events\":[\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"],"
                                                        "\"kind\":\"message-accepted\",\"time\":\"2026-11-23T01:43:50.000000Z\"}"));
    hub_record_add(&record, HUB_SECTION_AUDIT, HUB_SPAN("{\"kind\":\"message-accepted\",\"part\":2,\"time\":\"2026-11-23T01:43:50.000000Z\"}"));
    struct hub_span payload = hub_buf_view(&record);
    fixture_ok(&f, hub_log_append(f.log, &payload, 1, NULL, &f.err));
    hub_buf_deinit(&record);
    fixture_publish(&f, 1);
    fixture_verify(&f, NULL, true, &report);
    assert_int_equal(report.finding_count, 0);
    assert_int_equal(report.events_compared, 2);
    fixture_free(&f);
}

/* A log whose record's entry names OTHER events than it holds (NULL: none), or is missing. */
static void add_dishonest(struct fixture *f, const char *stored, const char *named, bool entry)
{
    struct hub_buf record, json;
    struct hub_audit_builder builder;
    uint8_t hash[HUB_HASH_LEN];
    char hex[65];
    hub_buf_init(&record, 65536, false);
    hub_buf_init(&json, 65536, false);
    hub_record_begin(&record, HUB_RECORD_MESSAGE, f->now_us, "adt-main");
    hub_record_add(&record, HUB_SECTION_EVENT, hub_span_str(stored));
    hub_sha256_of(hub_span_str(named), hash);
    struct hub_span item = hub_span_of(hex, hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), hex, sizeof hex));
    hub_audit_begin(&builder, HUB_AUDIT_ACCEPTED, f->now_us);
    if (named != NULL)
        hub_audit_list(&builder, HUB_AUDIT_EVENTS, &item, 1);
    hub_audit_end(&builder, &json);
    if (entry)
        hub_record_add(&record, HUB_SECTION_AUDIT, hub_buf_view(&json));
    struct hub_span payload = hub_buf_view(&record);
    fixture_ok(f, hub_log_append(f->log, &payload, 1, NULL, &f->err));
    hub_buf_deinit(&record);
    hub_buf_deinit(&json);
}

static void audit_verify_finds_events_that_are_not_those_of_the_entry(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_add_message(&f, 1);
    add_dishonest(&f, "stored", "named", true);
    fixture_add_message(&f, 1);
    add_dishonest(&f, "stored", NULL, true);
    add_dishonest(&f, "stored", "stored", false);
    fixture_publish(&f, 1);
    fixture_verify(&f, NULL, true, &report);
    assert_int_equal(report.finding_count, 3);
    fixture_expect_finding(&report, "does not name the events that record 2 of the event log holds", 1);
    fixture_expect_finding(&report, "does not name the events that record 4 of the event log holds", 3);
    fixture_expect_finding(&report, "record 5 of the event log holds events that no audit entry names", 4);
    fixture_free(&f);
}

static void audit_verify_finds_an_event_log_of_other_entries(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 10);
    fixture_close(&f);
    temp_folder_remove(f.log_folder);
    fixture_open_log(&f);
    for (int i = 0; i < 9; i++)
        fixture_add_message(&f, 1);
    fixture_sync(&f);
    fixture_verify(&f, NULL, true, &report);
    fixture_expect_finding(&report, "entry 0 is not what record 1 of the event log holds", 0);
    fixture_expect_finding(&report, "the event log cannot be compared from entry 9 on: it ends before", 9);
    fixture_free(&f);
}

static void audit_verify_compares_a_long_list_by_its_digest(void **state)
{
    (void)state;
    enum { EVENTS = 900 };
    static char hex[EVENTS][65];
    static struct hub_span items[EVENTS];
    struct fixture f;
    struct hub_audit_report report;
    struct hub_buf record, json;
    struct hub_audit_builder builder;
    fixture_new(&f);
    fixture_open_audit(&f);
    for (int wrong = 0; wrong < 2; wrong++) {
        hub_buf_init(&record, 1024 * 1024, false);
        hub_buf_init(&json, 65536, false);
        hub_record_begin(&record, HUB_RECORD_MESSAGE, f.now_us, "adt-main");
        for (int i = 0; i < EVENTS; i++) {
            uint8_t hash[HUB_HASH_LEN];
            hub_record_add(&record, HUB_SECTION_EVENT, hub_span_of(&i, sizeof i));
            int named = wrong && i == 500 ? -1 : i;
            hub_sha256_of(hub_span_of(&named, sizeof named), hash);
            items[i] = hub_span_of(hex[i], hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), hex[i], sizeof hex[i]));
        }
        hub_audit_begin(&builder, HUB_AUDIT_ACCEPTED, f.now_us);
        hub_audit_list(&builder, HUB_AUDIT_EVENTS, items, EVENTS);
        hub_audit_end(&builder, &json);
        hub_record_add(&record, HUB_SECTION_AUDIT, hub_buf_view(&json));
        struct hub_span payload = hub_buf_view(&record);
        fixture_ok(&f, hub_log_append(f.log, &payload, 1, NULL, &f.err));
        hub_buf_deinit(&record);
        hub_buf_deinit(&json);
        fixture_publish(&f, 0);
        fixture_verify(&f, NULL, true, &report);
        assert_int_equal(report.finding_count, (size_t)wrong);
    }
    fixture_expect_finding(&report, "does not name the events", 1);
    fixture_free(&f);
}

static void audit_verify_notes_times_that_go_back(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 2);
    f.now_us -= 60 * 1000 * 1000;
    fixture_publish(&f, 2);
    fixture_verify(&f, NULL, true, &report);
    assert_int_equal(report.finding_count, 0);
    assert_int_equal(report.note_count, 1);
    assert_int_equal(report.notes[0].index, 2);
    fixture_free(&f);
}

static void audit_verify_names_what_is_missing_or_does_not_belong(void **state)
{
    (void)state;
    static const struct { const char *file, *text; int64_t index; } cases[] = {
        {"tile/entries/000", "tile/entries/000 is missing", 0},
        {"tile/entries/001.p/44", "tile/entries/001.p/44 is missing", 256},
        {"tile/0/000", "tile/0/000 is missing", 0},
        {"tile/0/001.p/44", "tile/0/001.p/44 is missing", 256},
        {"tile/1/000.p/1", "tile/1/000.p/1 is missing", 0},
        {"checkpoint", "the checkpoint is missing", -1},
        {"vkey", "the file vkey is missing", -1},
        {"state", NULL, 0}, /* derived: nothing is lost with it */
    };
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 300);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hub_buf bytes;
        fixture_read(&f, cases[i].file, &bytes);
        fixture_remove(&f, cases[i].file);
        fixture_verify(&f, NULL, false, &report);
        if (cases[i].text != NULL)
            fixture_expect_finding(&report, cases[i].text, cases[i].index);
        assert_int_equal(report.finding_count, cases[i].text != NULL);
        fixture_write(&f, cases[i].file, hub_buf_view(&bytes));
        hub_buf_deinit(&bytes);
    }
    struct hub_audit_verify_options gone = {.folder = "/nowhere/audit"};
    fixture_ok(&f, hub_audit_verify(&gone, &report, &f.err));
    fixture_expect_finding(&report, "the checkpoint is missing", -1);
    fixture_write(&f, "tile/0/note.txt", HUB_SPAN("x"));
    fixture_verify(&f, NULL, false, &report);
    fixture_expect_finding(&report, "tile/0/note.txt does not belong to the log", -1);
    fixture_remove(&f, "tile/0/note.txt");
    fixture_write(&f, "tile/0/002", HUB_SPAN("x"));
    fixture_verify(&f, NULL, false, &report);
    assert_int_equal(report.finding_count, 0);
    assert_int_equal(report.note_count, 1);
    fixture_free(&f);
}

static void audit_verify_compares_superseded_files(void **state)
{
    (void)state;
    static const char *const files[] = {"tile/0/000.p/3", "tile/entries/000.p/3"};
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 3);
    fixture_publish(&f, 3);
    for (size_t i = 0; i < 2; i++) {
        fixture_flip(&f, files[i], 5, 1);
        fixture_verify(&f, NULL, false, &report);
        fixture_expect_finding(&report, "superseded, does not state what its successor does", 0);
        assert_int_equal(report.finding_count, 1);
        fixture_flip(&f, files[i], 5, 1);
    }
    fixture_expect_clean(&f, false, 6);
    fixture_free(&f);
}

static void audit_verify_takes_a_full_tile_for_a_removed_partial_one(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_buf checkpoint;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 250);
    fixture_read(&f, "checkpoint", &checkpoint);
    fixture_publish(&f, 6);
    fixture_remove(&f, "tile/0/000.p/250");
    fixture_remove(&f, "tile/entries/000.p/250");
    fixture_remove(&f, "state"); /* it knows of the newer checkpoint */
    fixture_write(&f, "checkpoint", hub_buf_view(&checkpoint));
    struct hub_audit_report report;
    fixture_verify(&f, NULL, true, &report);
    assert_int_equal(report.finding_count, 0);
    assert_int_equal(report.entries, 250);
    hub_buf_deinit(&checkpoint);
    fixture_free(&f);
}

static void audit_verify_of_a_forged_huge_size_ends(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_audit_report report;
    struct hub_buf note;
    struct hub_note_key key;
    uint8_t signature[HUB_SIGNATURE_LEN];
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 3);
    assert_int_equal(hub_note_key_init(&key, HUB_SPAN(FIXTURE_ORIGIN), f.public_key, NULL), HUB_OK);
    struct hub_span text = HUB_SPAN(FIXTURE_ORIGIN "\n4000000000000000000\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    hub_sign(f.secret_key, text, signature);
    hub_buf_init(&note, HUB_NOTE_BYTES_MAX, false);
    hub_note_write(&note, text, &key, signature);
    fixture_write(&f, "checkpoint", hub_buf_view(&note));
    fixture_verify(&f, NULL, false, &report);
    assert_true(report.findings_dropped > 0);
    hub_buf_deinit(&note);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_verify_without_a_key_from_outside_says_so),
        cmocka_unit_test(audit_verify_cannot_be_made_without_what_it_was_given),
        cmocka_unit_test(audit_verify_accepts_every_earlier_checkpoint_of_the_log),
        cmocka_unit_test(audit_verify_compares_the_stored_events),
        cmocka_unit_test(audit_verify_takes_the_further_parts_of_an_entry),
        cmocka_unit_test(audit_verify_finds_events_that_are_not_those_of_the_entry),
        cmocka_unit_test(audit_verify_finds_an_event_log_of_other_entries),
        cmocka_unit_test(audit_verify_compares_a_long_list_by_its_digest),
        cmocka_unit_test(audit_verify_notes_times_that_go_back),
        cmocka_unit_test(audit_verify_names_what_is_missing_or_does_not_belong),
        cmocka_unit_test(audit_verify_compares_superseded_files),
        cmocka_unit_test(audit_verify_takes_a_full_tile_for_a_removed_partial_one),
        cmocka_unit_test(audit_verify_of_a_forged_huge_size_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
