/* An event log and the audit log that follows it, in a folder of their own, with a clock that tests move. */
#pragma once

#include <sys/stat.h>

#include "src/audit/audit.h"
#include "src/audit/entry.h"
#include "src/audit/files.h"
#include "src/audit/note.h"
#include "src/codec/encode.h"
#include "src/log/record.h"
#include "tests/temp_folder.h"

#define FIXTURE_ORIGIN "chartline/testhosp"

struct fixture {
    char folder[512];
    char log_folder[600];
    char audit_folder[600];
    uint8_t public_key[HUB_SIGN_PUBLIC_LEN];
    uint8_t secret_key[HUB_SIGN_SECRET_LEN];
    int64_t now_us;
    struct hub_clock clock;
    struct hub_disk *disk;
    struct hub_log *log;
    struct hub_audit *audit;
    uint64_t messages;
    struct hub_error err;
};

static inline int64_t fixture_now(void *ctx)
{
    return ((struct fixture *)ctx)->now_us;
}

static inline void fixture_sign(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN])
{
    hub_sign(((struct fixture *)ctx)->secret_key, text, signature);
}

static inline void fixture_fail(const struct hub_error *err)
{
    char line[512];
    (void)hub_error_print(err, line, sizeof line);
    fail_msg("%s", line);
}

static inline void fixture_ok(struct fixture *f, enum hub_result result)
{
    if (result != HUB_OK)
        fixture_fail(&f->err);
}

static inline void fixture_open_log(struct fixture *f)
{
    static const struct hub_log_options options = {.segment_bytes = 64 * 1024, .record_bytes_max = 1024 * 1024};
    fixture_ok(f, hub_log_open(f->log_folder, hub_disk_system(), &options, &f->log, &f->err));
}

static inline enum hub_result fixture_try_open_audit(struct fixture *f, uint32_t checkpoint_ms)
{
    struct hub_audit_options options = {.folder = f->audit_folder, .origin = FIXTURE_ORIGIN, .checkpoint_ms = checkpoint_ms, .clock = &f->clock};
    struct hub_audit_signer signer = {f->public_key, fixture_sign, f};
    f->audit = NULL;
    return hub_audit_open(&options, f->disk, f->log, &signer, &f->audit, &f->err);
}

static inline void fixture_open_audit(struct fixture *f)
{
    fixture_ok(f, fixture_try_open_audit(f, 1000));
}

static inline void fixture_new(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    assert_int_equal(hub_crypto_init(), HUB_OK);
    assert_non_null(temp_folder_new(f->folder));
    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/log", f->folder);
    (void)snprintf(f->audit_folder, sizeof f->audit_folder, "%s/audit", f->folder);
    hub_sign_keypair(f->public_key, f->secret_key);
    f->now_us = 1795398230000000;
    f->clock = (struct hub_clock){fixture_now, fixture_now, f};
    f->disk = hub_disk_system();
    fixture_open_log(f);
}

static inline void fixture_close_audit(struct fixture *f)
{
    hub_audit_close(f->audit);
    f->audit = NULL;
}

static inline void fixture_close(struct fixture *f)
{
    fixture_close_audit(f);
    hub_log_close(f->log, true);
    f->log = NULL;
}

static inline void fixture_free(struct fixture *f)
{
    fixture_close(f);
    temp_folder_remove(f->folder);
}

/* One record: an accepted message with EVENTS events, as the committer writes it. Not yet durable. */
static inline void fixture_add_message(struct fixture *f, unsigned events)
{
    struct hub_buf record, entry;
    struct hub_audit_builder builder;
    char hex[8][65];
    struct hub_span hashes[8];
    hub_buf_init(&record, 1024 * 1024, false);
    hub_buf_init(&entry, HUB_AUDIT_ENTRY_MAX, false);
    f->messages++;
    f->now_us += 1000;
    hub_record_begin(&record, HUB_RECORD_MESSAGE, f->now_us, "adt-main");
    for (unsigned i = 0; i < events; i++) {
        char event[100];
        uint8_t hash[HUB_HASH_LEN];
        (void)snprintf(event, sizeof event, "{\"event\":%u,\"message\":%llu}", i, (unsigned long long)f->messages);
        hub_record_add(&record, HUB_SECTION_EVENT, hub_span_str(event));
        hub_sha256_of(hub_span_str(event), hash);
        hashes[i] = hub_span_of(hex[i], hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), hex[i], sizeof hex[i]));
    }
    hub_audit_begin(&builder, HUB_AUDIT_ACCEPTED, f->now_us);
    hub_audit_text(&builder, "feed", "adt-main");
    hub_audit_number(&builder, "n", (int64_t)f->messages);
    hub_audit_list(&builder, HUB_AUDIT_EVENTS, hashes, events);
    hub_audit_end(&builder, &entry);
    assert_int_equal(hub_buf_result(&entry), HUB_OK);
    hub_record_add(&record, HUB_SECTION_AUDIT, hub_buf_view(&entry));
    struct hub_span payload = hub_buf_view(&record);
    fixture_ok(f, hub_log_append(f->log, &payload, 1, NULL, &f->err));
    hub_buf_deinit(&record);
    hub_buf_deinit(&entry);
}

/* One record of COUNT read entries. Not yet durable. */
static inline void fixture_add_reads(struct fixture *f, unsigned count)
{
    struct hub_buf record, entry;
    struct hub_audit_builder builder;
    hub_buf_init(&record, 1024 * 1024, false);
    hub_record_begin(&record, HUB_RECORD_AUDIT, ++f->now_us, "");
    for (unsigned i = 0; i < count; i++) {
        hub_buf_init(&entry, HUB_AUDIT_ENTRY_MAX, false);
        hub_audit_begin(&builder, HUB_AUDIT_READ, f->now_us);
        hub_audit_text(&builder, "role", "clinician");
        hub_audit_number(&builder, "n", (int64_t)i);
        hub_audit_end(&builder, &entry);
        hub_record_add(&record, HUB_SECTION_AUDIT, hub_buf_view(&entry));
        hub_buf_deinit(&entry);
    }
    struct hub_span payload = hub_buf_view(&record);
    fixture_ok(f, hub_log_append(f->log, &payload, 1, NULL, &f->err));
    hub_buf_deinit(&record);
}

static inline void fixture_sync(struct fixture *f)
{
    fixture_ok(f, hub_log_sync(f->log, &f->err));
}

/* COUNT messages of one event, made durable and published. */
static inline void fixture_publish(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        fixture_add_message(f, 1);
    fixture_sync(f);
    fixture_ok(f, hub_audit_step(f->audit, true, &f->err));
}

static inline const char *fixture_path(const struct fixture *f, const char *name, char out[700])
{
    (void)snprintf(out, 700, "%s/%s", f->audit_folder, name);
    return out;
}

static inline bool fixture_has(const struct fixture *f, const char *name)
{
    char path[700];
    struct stat st;
    return stat(fixture_path(f, name, path), &st) == 0;
}

/* The file's bytes; BUF is initialised here and the caller's to free. */
static inline void fixture_read(const struct fixture *f, const char *name, struct hub_buf *buf)
{
    struct hub_error err;
    hub_buf_init(buf, HUB_BUNDLE_BYTES_MAX, false);
    assert_int_equal(hub_audit_read_file(hub_disk_system(), f->audit_folder, name, buf, &err), HUB_OK);
}

static inline void fixture_write(const struct fixture *f, const char *name, struct hub_span bytes)
{
    char path[700];
    FILE *file = fopen(fixture_path(f, name, path), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static inline void fixture_flip(const struct fixture *f, const char *name, size_t at, uint8_t mask)
{
    struct hub_buf buf;
    fixture_read(f, name, &buf);
    assert_true(at < buf.len);
    buf.ptr[at] ^= mask;
    fixture_write(f, name, hub_buf_view(&buf));
    hub_buf_deinit(&buf);
}

static inline void fixture_remove(const struct fixture *f, const char *name)
{
    char path[700];
    assert_int_equal(remove(fixture_path(f, name, path)), 0);
}

/* The key as an auditor remembers it. */
static inline void fixture_vkey(const struct fixture *f, char out[HUB_NOTE_VKEY_MAX])
{
    struct hub_note_key key;
    assert_int_equal(hub_note_key_init(&key, HUB_SPAN(FIXTURE_ORIGIN), f->public_key, NULL), HUB_OK);
    hub_note_vkey_format(&key, out);
}

/* With the key remembered outside; SINCE and EVENTS may be off. */
static inline void fixture_verify(struct fixture *f, const char *since_path, bool events, struct hub_audit_report *report)
{
    char vkey[HUB_NOTE_VKEY_MAX];
    fixture_vkey(f, vkey);
    struct hub_audit_verify_options options = {f->audit_folder, vkey, since_path, events ? f->log_folder : NULL};
    fixture_ok(f, hub_audit_verify(&options, report, &f->err));
}

static inline void fixture_expect_clean(struct fixture *f, bool events, uint64_t entries)
{
    struct hub_audit_report report;
    fixture_verify(f, NULL, events, &report);
    if (report.finding_count != 0)
        fail_msg("%s", report.findings[0].text);
    assert_int_equal(report.note_count, 0);
    assert_int_equal(report.entries, entries);
}

/* That a finding with TEXT in it is there; with INDEX unless it is -1. */
static inline void fixture_expect_finding(const struct hub_audit_report *report, const char *text, int64_t index)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        if (strstr(report->findings[i].text, text) == NULL)
            continue;
        if (index < 0 || (report->findings[i].has_index && report->findings[i].index == (uint64_t)index))
            return;
    }
    for (size_t i = 0; i < report->finding_count; i++)
        print_message("finding: %s\n", report->findings[i].text);
    fail_msg("no finding like: %s (%lld)", text, (long long)index);
}
