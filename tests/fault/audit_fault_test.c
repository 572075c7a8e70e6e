/* The audit log under attack and under failure: every byte flipped, entries moved, logs forged and rolled back,
 * and a publisher that dies or fails at every one of its writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/base/mem.h"
#include "tests/unit/audit/audit_fixture.h"

/* --- every byte --- */

/* 300 short entries: two bundles, three tiles. */
static void small_log(struct fixture *f)
{
    fixture_new(f);
    fixture_open_audit(f);
    for (int i = 0; i < 6; i++)
        fixture_add_reads(f, 50);
    fixture_publish(f, 0);
    fixture_close_audit(f);
    fixture_expect_clean(f, true, 300);
}

/* Entry that the byte AT of bundle bytes belongs to. */
static int64_t entry_at(struct hub_span bundle, size_t at)
{
    struct hub_span rest = bundle, entry;
    int64_t index = 0;
    for (; hub_bundle_next(&rest, &entry) == HUB_OK; index++) {
        if (at < bundle.len - rest.len)
            return index;
    }
    fail();
    return -1;
}

static bool names_index(const struct hub_audit_report *report, int64_t index)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        if (report->findings[i].has_index && report->findings[i].index == (uint64_t)index)
            return true;
    }
    return false;
}

static void flip_each(struct fixture *f, const char *name, int64_t (*index)(struct hub_span bytes, size_t at), int64_t base)
{
    struct hub_buf bytes;
    struct hub_audit_report report;
    char path[700];
    fixture_read(f, name, &bytes);
    FILE *file = fopen(fixture_path(f, name, path), "r+b");
    assert_non_null(file);
    (void)setvbuf(file, NULL, _IONBF, 0);
    for (size_t at = 0; at < bytes.len; at++) {
        uint8_t flipped = (uint8_t)(bytes.ptr[at] ^ 1u << (at * 7 % 8));
        assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
        assert_int_equal(fputc(flipped, file), flipped);
        fixture_verify(f, NULL, false, &report);
        if (report.finding_count == 0)
            fail_msg("%s: byte %zu flipped and not found", name, at);
        if (index != NULL && !names_index(&report, base + index(hub_buf_view(&bytes), at)))
            fail_msg("%s: byte %zu flipped, found elsewhere: %s", name, at, report.findings[0].text);
        assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
        assert_int_equal(fputc(bytes.ptr[at], file), bytes.ptr[at]);
    }
    assert_int_equal(fclose(file), 0);
    hub_buf_deinit(&bytes);
}

static int64_t hash_at(struct hub_span bytes, size_t at)
{
    (void)bytes;
    return (int64_t)(at / HUB_HASH_LEN);
}

static void audit_every_flipped_byte_is_found_with_its_entry(void **state)
{
    (void)state;
    struct fixture f;
    small_log(&f);
    flip_each(&f, "tile/entries/000", entry_at, 0);
    flip_each(&f, "tile/entries/001.p/44", entry_at, 256);
    flip_each(&f, "tile/0/000", hash_at, 0);
    flip_each(&f, "tile/0/001.p/44", hash_at, 256);
    flip_each(&f, "tile/1/000.p/1", hash_at, 0);
    flip_each(&f, "checkpoint", NULL, 0);
    flip_each(&f, "vkey", NULL, 0);
    flip_each(&f, "state", NULL, 0);
    fixture_expect_clean(&f, true, 300);
    fixture_free(&f);
}

static void audit_every_file_cut_or_lengthened_is_found(void **state)
{
    (void)state;
    static const struct { const char *name; int64_t index; } files[] = {
        {"tile/entries/000", 0}, {"tile/entries/001.p/44", 256}, {"tile/0/000", 0}, {"tile/0/001.p/44", 256},
        {"tile/1/000.p/1", 0},   {"checkpoint", -1},             {"vkey", -1},      {"state", -1},
    };
    struct fixture f;
    struct hub_audit_report report;
    small_log(&f);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct hub_buf bytes;
        fixture_read(&f, files[i].name, &bytes);
        const size_t cuts[] = {0, 1, bytes.len / 2, bytes.len - 1};
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
            fixture_write(&f, files[i].name, hub_span_of(bytes.ptr, cuts[c]));
            fixture_verify(&f, NULL, false, &report);
            if (report.finding_count == 0)
                fail_msg("%s cut to %zu bytes and not found", files[i].name, cuts[c]);
            assert_true(files[i].index < 0 || report.findings[0].has_index);
            assert_true(files[i].index < 0 || report.findings[0].index >= (uint64_t)files[i].index);
        }
        hub_buf_append_str(&bytes, "\n");
        fixture_write(&f, files[i].name, hub_buf_view(&bytes));
        fixture_verify(&f, NULL, false, &report);
        if (report.finding_count == 0)
            fail_msg("%s lengthened and not found", files[i].name);
        fixture_write(&f, files[i].name, hub_span_of(bytes.ptr, bytes.len - 1));
        hub_buf_deinit(&bytes);
    }
    fixture_expect_clean(&f, true, 300);
    fixture_free(&f);
}

/* --- entries moved --- */

enum { ENTRIES_MAX = 256 };
struct entries {
    struct hub_buf file;
    struct hub_span items[ENTRIES_MAX + 1];
    size_t count;
};

static void take_entries(struct fixture *f, const char *name, struct entries *out)
{
    fixture_read(f, name, &out->file);
    struct hub_span rest = hub_buf_view(&out->file);
    for (out->count = 0; hub_bundle_next(&rest, &out->items[out->count]) == HUB_OK;)
        out->count++;
}

static void put_entries(struct fixture *f, const char *name, const struct entries *from)
{
    struct hub_buf bundle;
    hub_buf_init(&bundle, HUB_BUNDLE_BYTES_MAX, false);
    for (size_t i = 0; i < from->count; i++)
        hub_bundle_append(&bundle, from->items[i]);
    fixture_write(f, name, hub_buf_view(&bundle));
    hub_buf_deinit(&bundle);
}

static void remove_entry(struct entries *entries)
{
    memmove(&entries->items[17], &entries->items[18], (entries->count - 18) * sizeof entries->items[0]);
    entries->count--;
}

static void repeat_entry(struct entries *entries)
{
    memmove(&entries->items[18], &entries->items[17], (entries->count - 17) * sizeof entries->items[0]);
    entries->count++;
}

static void swap_entries(struct entries *entries)
{
    struct hub_span held = entries->items[17];
    entries->items[17] = entries->items[30];
    entries->items[30] = held;
}

static void replace_entry(struct entries *entries)
{
    entries->items[17] = entries->items[30];
}

static void drop_last(struct entries *entries)
{
    entries->count--;
}

static void audit_moved_entries_are_found_with_the_first(void **state)
{
    (void)state;
    static const struct { void (*change)(struct entries *entries); unsigned first; const char *text; } cases[] = {
        {remove_entry, 17, "in its place lies entry"}, {repeat_entry, 18, "in its place lies entry"},
        {swap_entries, 17, "in its place lies entry"}, {replace_entry, 17, "in its place lies entry"},
        {drop_last, 0, "is cut short or damaged at entry"},
    };
    static const struct { const char *name; unsigned base, count; } bundles[] = {{"tile/entries/000", 0, 256}, {"tile/entries/001.p/44", 256, 44}};
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 300);
    for (size_t b = 0; b < 2; b++) {
        for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
            struct entries entries;
            struct hub_buf before;
            fixture_read(&f, bundles[b].name, &before);
            take_entries(&f, bundles[b].name, &entries);
            assert_int_equal(entries.count, bundles[b].count);
            cases[c].change(&entries);
            put_entries(&f, bundles[b].name, &entries);
            fixture_verify(&f, NULL, false, &report);
            unsigned first = cases[c].first != 0 ? cases[c].first : bundles[b].count - 1;
            fixture_expect_finding(&report, cases[c].text, bundles[b].base + first);
            fixture_write(&f, bundles[b].name, hub_buf_view(&before));
            hub_buf_deinit(&before);
            hub_buf_deinit(&entries.file);
        }
    }
    fixture_expect_clean(&f, true, 300);
    fixture_free(&f);
}

/* --- whole logs replaced --- */

static void copy_folder(const char *from, const char *to)
{
    char command[1500];
    temp_folder_remove(to);
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* A verifier that remembers the key and the checkpoint in REMEMBERED. */
static void expect_found(struct fixture *f, const char *remembered, const char *text)
{
    struct hub_audit_report report;
    fixture_verify(f, remembered, false, &report);
    fixture_expect_finding(&report, text, -1);
}

static void audit_older_snapshot_is_found_with_a_remembered_checkpoint(void **state)
{
    (void)state;
    struct fixture f;
    char snapshot[700], remembered[700];
    struct hub_audit_report report;
    fixture_new(&f);
    (void)snprintf(snapshot, sizeof snapshot, "%s/snapshot", f.folder);
    (void)snprintf(remembered, sizeof remembered, "%s/remembered", f.folder);
    fixture_open_audit(&f);
    fixture_publish(&f, 100);
    copy_folder(f.audit_folder, snapshot);
    fixture_publish(&f, 200);
    fixture_close_audit(&f);
    copy_folder(f.audit_folder, remembered);
    (void)strncat(remembered, "/checkpoint", 12);
    copy_folder(snapshot, f.audit_folder); /* old, and consistent in itself */
    fixture_verify(&f, NULL, false, &report);
    assert_int_equal(report.finding_count, 0);
    expect_found(&f, remembered, "rolled back: the log has 100 entries, the remembered checkpoint 300");
    fixture_free(&f);
}

static void audit_rolled_back_checkpoint_is_found_by_the_state(void **state)
{
    (void)state;
    struct fixture f;
    struct hub_buf old;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 100);
    fixture_read(&f, "checkpoint", &old);
    fixture_publish(&f, 200);
    fixture_write(&f, "checkpoint", hub_buf_view(&old));
    hub_buf_deinit(&old);
    expect_found(&f, NULL, "rolled back: the log has 100 entries, the file state knows of 300");
    fixture_free(&f);
}

/* Another hub's log: NAME and key the same when KEY is that of F. */
static void foreign_log(struct fixture *f, struct fixture *other, unsigned entries, bool same_key)
{
    fixture_new(other);
    if (same_key) {
        memcpy(other->public_key, f->public_key, sizeof f->public_key);
        memcpy(other->secret_key, f->secret_key, sizeof f->secret_key);
    }
    other->now_us += 5;
    fixture_open_audit(other);
    fixture_publish(other, entries);
    fixture_close_audit(other);
}

static void remember(struct fixture *f, char out[700])
{
    struct hub_buf note;
    (void)snprintf(out, 700, "%s/remembered", f->folder);
    fixture_read(f, "checkpoint", &note);
    fixture_write(f, "../remembered", hub_buf_view(&note));
    hub_buf_deinit(&note);
}

static void audit_forged_log_of_another_key_is_found_by_the_remembered_key(void **state)
{
    (void)state;
    struct fixture f, other;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 300);
    foreign_log(&f, &other, 300, false);
    copy_folder(other.audit_folder, f.audit_folder);
    struct hub_audit_verify_options without = {.folder = f.audit_folder};
    fixture_ok(&f, hub_audit_verify(&without, &report, &f.err));
    assert_int_equal(report.finding_count, 0); /* nothing but a remembered key tells */
    assert_true(report.self_consistent_only);
    expect_found(&f, NULL, "the checkpoint is not signed by the key");
    expect_found(&f, NULL, "the file vkey is not the remembered key");
    fixture_free(&other);
    fixture_free(&f);
}

static void audit_fork_signed_by_the_hubs_own_key_is_found_by_the_remembered_checkpoint(void **state)
{
    (void)state;
    static const unsigned sizes[] = {300, 301, 700};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture f, other;
        char remembered[700];
        fixture_new(&f);
        fixture_open_audit(&f);
        fixture_publish(&f, 300);
        remember(&f, remembered);
        foreign_log(&f, &other, sizes[i], true);
        copy_folder(other.audit_folder, f.audit_folder);
        expect_found(&f, remembered, "forked: the first 300 entries are not those of the remembered checkpoint");
        fixture_free(&other);
        fixture_free(&f);
    }
}

static void audit_tree_made_anew_under_the_old_checkpoint_is_found(void **state)
{
    (void)state;
    struct fixture f, other;
    char tiles[700], target[700];
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 300);
    foreign_log(&f, &other, 300, true);
    copy_folder(fixture_path(&other, "tile", tiles), fixture_path(&f, "tile", target));
    expect_found(&f, NULL, "the entries do not give the signed root");
    fixture_free(&other);
    fixture_free(&f);
}

static void audit_entry_changed_together_with_its_hash_is_found(void **state)
{
    (void)state;
    static const struct { const char *bundle, *tile; unsigned base; } cases[] = {
        {"tile/entries/000", "tile/0/000", 0},
        {"tile/entries/001.p/44", "tile/0/001.p/44", 256},
    };
    struct fixture f;
    struct hub_audit_report report;
    fixture_new(&f);
    fixture_open_audit(&f);
    fixture_publish(&f, 300);
    for (size_t i = 0; i < 2; i++) {
        struct hub_buf before, tile;
        struct hub_merkle_hash leaf;
        struct entries entries;
        fixture_read(&f, cases[i].bundle, &before);
        fixture_read(&f, cases[i].tile, &tile);
        take_entries(&f, cases[i].bundle, &entries);
        entries.items[7] = HUB_SPAN("{\"kind\":\"read\",\"time\":\"2026-11-23T01:43:50.000000Z\"}");
        put_entries(&f, cases[i].bundle, &entries);
        hub_merkle_leaf(entries.items[7], &leaf);
        struct hub_buf changed;
        fixture_read(&f, cases[i].tile, &changed);
        memcpy(changed.ptr + 7 * HUB_HASH_LEN, leaf.bytes, HUB_HASH_LEN);
        fixture_write(&f, cases[i].tile, hub_buf_view(&changed));
        fixture_verify(&f, NULL, true, &report);
        fixture_expect_finding(&report, i == 0 ? "the entries from 0 under hash 0 of tile/1/000.p/1" : "the entries do not give the signed root", -1);
        fixture_expect_finding(&report, "of the event log holds", cases[i].base + 7);
        fixture_write(&f, cases[i].bundle, hub_buf_view(&before));
        fixture_write(&f, cases[i].tile, hub_buf_view(&tile));
        hub_buf_deinit(&before);
        hub_buf_deinit(&tile);
        hub_buf_deinit(&changed);
        hub_buf_deinit(&entries.file);
    }
    fixture_expect_clean(&f, true, 300);
    fixture_free(&f);
}

/* --- a disk that fails, and one that keeps order --- */

struct faulty {
    struct hub_disk disk; /* first */
    uint64_t counted;
    uint64_t nth;  /* this change fails; 0: none */
    bool lasting;  /* and all after it: the process is dead */
    enum hub_result result;
    unsigned dirty_files;                /* since their last sync */
    char dirty[64][700];                 /* folders with new names; "" = none */
    bool disordered;                     /* a checkpoint went out before what it needs */
};

static bool fails(struct hub_disk *disk, struct hub_error *err)
{
    struct faulty *faulty = (struct faulty *)disk;
    faulty->counted++;
    bool now = faulty->nth != 0 && (faulty->counted == faulty->nth || (faulty->lasting && faulty->counted > faulty->nth));
    if (now)
        (void)hub_fail(err, faulty->result, "made to fail", NULL);
    return now;
}

static enum hub_result faulty_open(struct hub_disk *disk, const char *path, enum hub_disk_mode mode, int *fd, struct hub_error *err)
{
    if (mode != HUB_DISK_READ && fails(disk, err))
        return ((struct faulty *)disk)->result;
    return hub_disk_system()->ops->open(hub_disk_system(), path, mode, fd, err);
}

static enum hub_result faulty_write(struct hub_disk *disk, int fd, uint64_t offset, struct hub_span bytes, struct hub_error *err)
{
    ((struct faulty *)disk)->dirty_files++;
    if (fails(disk, err)) { /* half of it is there */
        (void)hub_disk_system()->ops->write(hub_disk_system(), fd, offset, hub_span_of(bytes.ptr, bytes.len / 2), NULL);
        return ((struct faulty *)disk)->result;
    }
    return hub_disk_system()->ops->write(hub_disk_system(), fd, offset, bytes, err);
}

static enum hub_result faulty_read(struct hub_disk *disk, int fd, uint64_t offset, void *into, size_t cap, size_t *got, struct hub_error *err)
{
    (void)disk;
    return hub_disk_system()->ops->read(hub_disk_system(), fd, offset, into, cap, got, err);
}

static enum hub_result faulty_size(struct hub_disk *disk, int fd, uint64_t *size, struct hub_error *err)
{
    (void)disk;
    return hub_disk_system()->ops->size(hub_disk_system(), fd, size, err);
}

static enum hub_result faulty_truncate(struct hub_disk *disk, int fd, uint64_t size, struct hub_error *err)
{
    if (fails(disk, err))
        return ((struct faulty *)disk)->result;
    return hub_disk_system()->ops->truncate(hub_disk_system(), fd, size, err);
}

static enum hub_result faulty_sync(struct hub_disk *disk, int fd, struct hub_error *err)
{
    if (fails(disk, err))
        return ((struct faulty *)disk)->result;
    ((struct faulty *)disk)->dirty_files--;
    return hub_disk_system()->ops->sync(hub_disk_system(), fd, err);
}

static enum hub_result faulty_sync_dir(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    if (fails(disk, err))
        return ((struct faulty *)disk)->result;
    struct faulty *faulty = (struct faulty *)disk;
    for (size_t i = 0; i < 64; i++) {
        if (strcmp(faulty->dirty[i], path) == 0)
            faulty->dirty[i][0] = '\0';
    }
    return hub_disk_system()->ops->sync_dir(hub_disk_system(), path, err);
}

/* The folder of PATH has a new name in it. */
static void new_name(struct faulty *faulty, const char *path)
{
    char folder[700];
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    size_t at = 0;
    while (at < 63 && faulty->dirty[at][0] != '\0' && strcmp(faulty->dirty[at], folder) != 0)
        at++;
    memcpy(faulty->dirty[at], folder, sizeof folder);
}

static bool folders_dirty(const struct faulty *faulty)
{
    for (size_t i = 0; i < 64; i++) {
        if (faulty->dirty[i][0] != '\0')
            return true;
    }
    return false;
}

static enum hub_result faulty_rename(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err)
{
    struct faulty *faulty = (struct faulty *)disk;
    if (fails(disk, err))
        return faulty->result;
    size_t len = strlen(to);
    if (len > 11 && strcmp(to + len - 11, "/checkpoint") == 0 && (faulty->dirty_files != 0 || folders_dirty(faulty)))
        faulty->disordered = true;
    new_name(faulty, to);
    return hub_disk_system()->ops->rename(hub_disk_system(), from, to, err);
}

static enum hub_result faulty_unlink(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    if (fails(disk, err))
        return ((struct faulty *)disk)->result;
    return hub_disk_system()->ops->unlink(hub_disk_system(), path, err);
}

static enum hub_result faulty_mkdir(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    if (fails(disk, err))
        return ((struct faulty *)disk)->result;
    if (strstr(path, "/tile") != NULL) { /* it makes the parents too */
        char parent[700];
        (void)snprintf(parent, sizeof parent, "%s", path);
        for (; access(parent, F_OK) != 0; *strrchr(parent, '/') = '\0')
            new_name((struct faulty *)disk, parent);
    }
    return hub_disk_system()->ops->mkdir(hub_disk_system(), path, err);
}

static void faulty_close(struct hub_disk *disk, int fd)
{
    (void)disk;
    hub_disk_system()->ops->close(hub_disk_system(), fd);
}

static void faulty_init(struct faulty *faulty)
{
    static const struct hub_disk_ops ops = {
        .open = faulty_open, .write = faulty_write, .read = faulty_read, .size = faulty_size,
        .truncate = faulty_truncate, .sync = faulty_sync, .sync_dir = faulty_sync_dir, .rename = faulty_rename,
        .unlink = faulty_unlink, .mkdir = faulty_mkdir, .close = faulty_close,
    };
    memset(faulty, 0, sizeof *faulty);
    faulty->disk.ops = &ops;
    faulty->result = HUB_IO;
}

/* Publishes over two tile borders in four steps; stops at the first failure. */
static enum hub_result publish_some(struct fixture *f, uint64_t *published, bool retry)
{
    static const unsigned counts[] = {3, 250, 10, 260};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        fixture_add_reads(f, counts[i]);
        fixture_sync(f);
        enum hub_result result = hub_audit_step(f->audit, true, &f->err);
        if (result != HUB_OK && retry)
            result = hub_audit_step(f->audit, true, &f->err);
        HUB_TRY(result);
        *published = hub_audit_size(f->audit);
    }
    return HUB_OK;
}

static void audit_publisher_killed_at_every_write_goes_on_and_verifies(void **state)
{
    (void)state;
    struct faulty faulty;
    uint64_t nth = 1;
    for (bool done = false; !done; nth++) {
        struct fixture f;
        uint64_t published = 0;
        struct hub_audit_report report;
        char remembered[700] = "";
        fixture_new(&f);
        faulty_init(&faulty);
        faulty.nth = nth;
        faulty.lasting = true;
        f.disk = &faulty.disk;
        enum hub_result result = fixture_try_open_audit(&f, 1000);
        if (result == HUB_OK)
            result = publish_some(&f, &published, false);
        done = result == HUB_OK && faulty.counted < nth;
        if (published != 0)
            remember(&f, remembered);
        fixture_close(&f);
        if (fixture_has(&f, "checkpoint")) { /* what is published stands by itself */
            fixture_verify(&f, published != 0 ? remembered : NULL, true, &report);
            if (report.finding_count != 0)
                fail_msg("right after write %llu: %s", (unsigned long long)nth, report.findings[0].text);
        }
        fixture_open_log(&f);
        f.disk = hub_disk_system();
        fixture_open_audit(&f);
        fixture_publish(&f, 20);
        assert_true(hub_audit_size(f.audit) >= published + 20);
        fixture_verify(&f, published != 0 ? remembered : NULL, true, &report);
        if (report.finding_count != 0)
            fail_msg("killed at write %llu: %s", (unsigned long long)nth, report.findings[0].text);
        fixture_free(&f);
    }
    assert_true(nth > 50);
}

static void audit_publisher_goes_on_after_every_single_failure(void **state)
{
    (void)state;
    struct faulty faulty;
    uint64_t nth = 1;
    for (bool done = false; !done; nth++) {
        struct fixture f;
        uint64_t published = 0;
        fixture_new(&f);
        fixture_open_audit(&f);
        faulty_init(&faulty);
        faulty.nth = nth;
        faulty.result = HUB_QUOTA;
        fixture_close_audit(&f);
        f.disk = &faulty.disk;
        if (fixture_try_open_audit(&f, 1000) != HUB_OK)
            fixture_open_audit(&f);
        assert_int_equal(publish_some(&f, &published, true), HUB_OK);
        assert_int_equal(published, 523);
        done = faulty.counted < nth;
        fixture_expect_clean(&f, true, 523);
        fixture_free(&f);
    }
    assert_true(nth > 50);
}

static void audit_every_failed_allocation_is_answered(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t nth = 1, published = 0;
    bool done = false;
    for (; !done; nth++) {
        fixture_new(&f);
        fixture_add_reads(&f, 300);
        fixture_sync(&f);
        (void)hub_mem_fail_nth(nth, 0);
        enum hub_result result = fixture_try_open_audit(&f, 1000);
        if (result == HUB_OK)
            result = hub_audit_step(f.audit, true, &f.err);
        struct hub_audit_report report;
        struct hub_audit_verify_options options = {.folder = f.audit_folder};
        enum hub_result verified = result == HUB_OK ? hub_audit_verify(&options, &report, &f.err) : HUB_OK;
        done = hub_mem_fail_nth(0, 0) < nth;
        assert_true(result == HUB_OK || result == HUB_NO_MEMORY);
        assert_true(verified == HUB_OK || verified == HUB_NO_MEMORY);
        if (result == HUB_NO_MEMORY) {
            fixture_close_audit(&f);
            fixture_open_audit(&f);
        }
        fixture_ok(&f, hub_audit_step(f.audit, true, &f.err));
        published = hub_audit_size(f.audit);
        assert_int_equal(published, 300);
        fixture_expect_clean(&f, false, 300);
        fixture_free(&f);
    }
    assert_true(nth > 5);
}

static void audit_checkpoint_goes_out_after_all_it_needs_is_durable(void **state)
{
    (void)state;
    struct faulty faulty;
    struct fixture f;
    uint64_t published = 0;
    fixture_new(&f);
    faulty_init(&faulty);
    f.disk = &faulty.disk;
    fixture_open_audit(&f);
    assert_int_equal(publish_some(&f, &published, false), HUB_OK);
    assert_int_equal(published, 523);
    assert_false(faulty.disordered);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_every_flipped_byte_is_found_with_its_entry),
        cmocka_unit_test(audit_every_file_cut_or_lengthened_is_found),
        cmocka_unit_test(audit_moved_entries_are_found_with_the_first),
        cmocka_unit_test(audit_older_snapshot_is_found_with_a_remembered_checkpoint),
        cmocka_unit_test(audit_rolled_back_checkpoint_is_found_by_the_state),
        cmocka_unit_test(audit_forged_log_of_another_key_is_found_by_the_remembered_key),
        cmocka_unit_test(audit_fork_signed_by_the_hubs_own_key_is_found_by_the_remembered_checkpoint),
        cmocka_unit_test(audit_tree_made_anew_under_the_old_checkpoint_is_found),
        cmocka_unit_test(audit_entry_changed_together_with_its_hash_is_found),
        cmocka_unit_test(audit_publisher_killed_at_every_write_goes_on_and_verifies),
        cmocka_unit_test(audit_publisher_goes_on_after_every_single_failure),
        cmocka_unit_test(audit_every_failed_allocation_is_answered),
        cmocka_unit_test(audit_checkpoint_goes_out_after_all_it_needs_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
