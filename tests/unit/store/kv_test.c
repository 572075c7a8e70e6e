/* One conformance test, run on every backend of the key-value port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ftw.h>
#include <cmocka.h>

#include "src/base/mem.h"
#include "src/store/kv.h"

static const char *const FAMILIES[] = {"one", "two", NULL};
static const struct hub_kv_options OPTIONS = {
    .families = FAMILIES, .create = true, .bloom = true, .cache_bytes = 1 << 20};

struct fixture {
    bool disk;
    char folder[64], path[96];
    struct hub_kv *kv;
    struct hub_kv_batch *batch;
};

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static int setup(void **state, bool disk)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->disk = disk;
    if (disk) {
        (void)snprintf(f->folder, sizeof f->folder, "/tmp/chartline-kv-XXXXXX");
        assert_non_null(mkdtemp(f->folder));
        (void)snprintf(f->path, sizeof f->path, "%s/deep/store", f->folder);
        assert_int_equal(hub_kv_open_rocksdb(f->path, &OPTIONS, &f->kv, NULL), HUB_OK);
    } else {
        assert_int_equal(hub_kv_open_memory(&OPTIONS, &f->kv), HUB_OK);
    }
    f->batch = hub_kv_batch_new();
    assert_non_null(f->batch);
    *state = f;
    return 0;
}

static int setup_memory(void **state)
{
    return setup(state, false);
}

static int setup_rocksdb(void **state)
{
    return setup(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_kv_batch_free(f->batch);
    hub_kv_close(f->kv);
    if (f->disk)
        (void)nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void put(struct fixture *f, unsigned family, const char *key, const char *value)
{
    hub_kv_batch_put(f->batch, f->kv, family, hub_span_str(key), hub_span_str(value));
}

static void write_now(struct fixture *f)
{
    assert_int_equal(hub_kv_write(f->kv, f->batch, false, NULL), HUB_OK);
    hub_kv_batch_clear(f->batch);
}

static void check(struct fixture *f, unsigned family, const char *key, const char *value)
{
    struct hub_kv_value got;
    enum hub_result result = hub_kv_get(f->kv, family, hub_span_str(key), &got, NULL);
    if (value == NULL) {
        assert_int_equal(result, HUB_NOT_FOUND);
        return;
    }
    assert_int_equal(result, HUB_OK);
    assert_true(hub_span_is(got.bytes, value));
    hub_kv_value_free(&got);
    hub_kv_value_free(&got);
}

static void kv_get_gives_what_was_put_last_by_family(void **state)
{
    struct fixture *f = *state;
    check(f, 0, "a", NULL);
    put(f, 0, "a", "1");
    put(f, 0, "a", "2");
    put(f, 1, "a", "other");
    put(f, 1, "empty", "");
    assert_int_equal(hub_kv_batch_count(f->batch), 4);
    check(f, 0, "a", NULL);
    write_now(f);
    assert_int_equal(hub_kv_batch_count(f->batch), 0);
    check(f, 0, "a", "2");
    check(f, 1, "a", "other");
    check(f, 1, "empty", "");
    check(f, 0, "empty", NULL);
}

static void kv_batch_is_kept_until_cleared_and_an_empty_one_is_fine(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(hub_kv_write(f->kv, f->batch, true, NULL), HUB_OK);
    put(f, 0, "a", "1");
    assert_int_equal(hub_kv_write(f->kv, f->batch, true, NULL), HUB_OK);
    assert_int_equal(hub_kv_batch_count(f->batch), 1);
    hub_kv_batch_delete(f->batch, f->kv, 0, HUB_SPAN("a"));
    hub_kv_batch_delete(f->batch, f->kv, 0, HUB_SPAN("never there"));
    write_now(f);
    check(f, 0, "a", NULL);
    assert_int_equal(hub_kv_sync(f->kv, NULL), HUB_OK);
}

static void walk(struct hub_kv_iter *iter, char *out)
{
    assert_non_null(iter);
    while (hub_kv_iter_next(iter)) {
        struct hub_span key = hub_kv_iter_key(iter);
        struct hub_span value = hub_kv_iter_value(iter);
        out += sprintf(out, "%.*s=%.*s ", (int)key.len, (const char *)key.ptr, (int)value.len,
                       (const char *)value.ptr);
    }
    *out = '\0';
    assert_false(hub_kv_iter_next(iter));
    assert_int_equal(hub_kv_iter_key(iter).len, 0);
    assert_int_equal(hub_kv_iter_result(iter, NULL), HUB_OK);
}

static void kv_iter_walks_a_prefix_in_byte_order(void **state)
{
    struct fixture *f = *state;
    char text[256];
    put(f, 0, "b/2", "2");
    put(f, 0, "b/10", "10");
    put(f, 0, "b", "b");
    put(f, 0, "b0", "after the prefix");
    put(f, 0, "a", "a");
    put(f, 1, "b/9", "other family");
    write_now(f);
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN("b/"));
    walk(iter, text);
    assert_string_equal(text, "b/10=10 b/2=2 ");
    hub_kv_iter_free(iter);
    iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN_NONE);
    walk(iter, text);
    assert_string_equal(text, "a=a b=b b/10=10 b/2=2 b0=after the prefix ");
    hub_kv_iter_free(iter);
    iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN("zz"));
    assert_false(hub_kv_iter_next(iter));
    hub_kv_iter_free(iter);
}

static void kv_iter_prefix_of_high_bytes_ends_where_it_should(void **state)
{
    struct fixture *f = *state;
    put(f, 0,
        "a\xff\xff"
        "1",
        "x");
    put(f, 0, "a\xff\xff", "y");
    put(f, 0, "b", "z");
    put(f, 0, "\xff\xff", "w");
    write_now(f);
    char text[128];
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN("a\xff\xff"));
    walk(iter, text);
    assert_string_equal(text, "a\xff\xff=y a\xff\xff"
                              "1=x ");
    hub_kv_iter_free(iter);
    iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN("\xff"));
    walk(iter, text);
    assert_string_equal(text, "\xff\xff=w ");
    hub_kv_iter_free(iter);
}

static void kv_iter_seek_stays_under_the_prefix(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "a/1", "1");
    put(f, 0, "b/1", "1");
    put(f, 0, "b/3", "3");
    put(f, 0, "c/1", "1");
    write_now(f);
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN("b/"));
    assert_true(hub_kv_iter_seek(iter, HUB_SPAN("b/2")));
    assert_true(hub_span_is(hub_kv_iter_key(iter), "b/3"));
    assert_false(hub_kv_iter_next(iter));
    assert_true(hub_kv_iter_seek(iter, HUB_SPAN("a")));
    assert_true(hub_span_is(hub_kv_iter_key(iter), "b/1"));
    assert_true(hub_kv_iter_next(iter));
    assert_false(hub_kv_iter_seek(iter, HUB_SPAN("b/4")));
    assert_false(hub_kv_iter_seek(iter, HUB_SPAN("c")));
    hub_kv_iter_free(iter);
}

static void kv_iter_sees_the_moment_it_was_made(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "a", "1");
    put(f, 0, "b", "1");
    write_now(f);
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN_NONE);
    put(f, 0, "a", "2");
    put(f, 0, "aa", "2");
    hub_kv_batch_delete(f->batch, f->kv, 0, HUB_SPAN("b"));
    write_now(f);
    char text[128];
    walk(iter, text);
    assert_string_equal(text, "a=1 b=1 ");
    hub_kv_iter_free(iter);
    iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN_NONE);
    walk(iter, text);
    assert_string_equal(text, "a=2 aa=2 ");
    hub_kv_iter_free(iter);
}

static void kv_keeps_many_in_order(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 3000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%05u", i * 7919 % 3000);
        put(f, 1, key, key);
        if (i % 100 == 0)
            write_now(f);
    }
    write_now(f);
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, 1, HUB_SPAN_NONE);
    for (unsigned i = 0; i < 3000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%05u", i);
        assert_true(hub_kv_iter_next(iter));
        assert_true(hub_span_is(hub_kv_iter_key(iter), key));
    }
    assert_false(hub_kv_iter_next(iter));
    hub_kv_iter_free(iter);
}

static void kv_memory_writes_a_batch_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    bool failed = false;
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        (void)hub_mem_fail_nth(nth, 0);
        for (unsigned i = 0; i < 20; i++) {
            char key[8];
            (void)snprintf(key, sizeof key, "k%u", i);
            put(f, i % 2, key, "v");
        }
        enum hub_result result = hub_kv_write(f->kv, f->batch, false, NULL);
        (void)hub_mem_fail_nth(0, 0);
        hub_kv_batch_clear(f->batch);
        done = result == HUB_OK;
        if (!done) {
            failed = true;
            assert_int_equal(result, HUB_NO_MEMORY);
            check(f, 0, "k0", NULL);
            check(f, 1, "k19", NULL);
        }
    }
    assert_true(failed);
    check(f, 0, "k0", "v");
    check(f, 1, "k19", "v");
}

static void kv_rocksdb_keeps_its_content_over_a_reopen(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "a", "1");
    assert_int_equal(hub_kv_write(f->kv, f->batch, true, NULL), HUB_OK);
    hub_kv_batch_clear(f->batch);
    hub_kv_close(f->kv);
    f->kv = NULL;
    struct hub_kv_options options = OPTIONS;
    options.create = false;
    assert_int_equal(hub_kv_open_rocksdb(f->path, &options, &f->kv, NULL), HUB_OK);
    check(f, 0, "a", "1");
    struct stat info;
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
}

static void kv_rocksdb_says_busy_when_it_is_open_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct hub_kv *second = NULL;
    struct hub_error err;
    assert_int_equal(hub_kv_open_rocksdb(f->path, &OPTIONS, &second, &err), HUB_BUSY);
    assert_null(second);
    assert_string_equal(err.path, f->path);
}

static void kv_rocksdb_does_not_make_a_store_unasked(void **state)
{
    struct fixture *f = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/none", f->folder);
    struct hub_kv_options options = OPTIONS;
    options.create = false;
    struct hub_kv *none = NULL;
    struct hub_error err;
    assert_int_equal(hub_kv_open_rocksdb(path, &options, &none, &err), HUB_NOT_FOUND);
    assert_null(none);
}

/* A child that ends without closing: what was synced is there afterwards. It is a program of its own, since RocksDB
 * has started threads here. */
static _Noreturn void write_synced(const char *path)
{
    struct hub_kv *kv = NULL;
    if (hub_kv_open_rocksdb(path, &OPTIONS, &kv, NULL) != HUB_OK)
        _exit(1);
    struct hub_kv_batch *batch = hub_kv_batch_new();
    hub_kv_batch_put(batch, kv, 0, HUB_SPAN("k"), HUB_SPAN("v"));
    if (hub_kv_write(kv, batch, false, NULL) != HUB_OK || hub_kv_sync(kv, NULL) != HUB_OK)
        _exit(1);
    _exit(0);
}

static void kv_rocksdb_keeps_synced_writes_over_a_kill(void **state)
{
    struct fixture *f = *state;
    hub_kv_close(f->kv);
    f->kv = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "kv_test", "synced", f->path, (char *)NULL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(hub_kv_open_rocksdb(f->path, &OPTIONS, &f->kv, NULL), HUB_OK);
    check(f, 0, "k", "v");
}

static const struct hub_kv_options DERIVED = {
    .families = FAMILIES, .create = true, .bloom = true, .cache_bytes = 1 << 20, .derived = true};

static void open_derived(struct fixture *f)
{
    hub_kv_close(f->kv);
    f->kv = NULL;
    (void)snprintf(f->path, sizeof f->path, "%s/derived", f->folder);
    assert_int_equal(hub_kv_open_rocksdb(f->path, &DERIVED, &f->kv, NULL), HUB_OK);
}

static void kv_rocksdb_derived_keeps_all_over_a_close(void **state)
{
    struct fixture *f = *state;
    open_derived(f);
    hub_kv_batch_put(f->batch, f->kv, 0, HUB_SPAN("k"), HUB_SPAN("v"));
    hub_kv_batch_put(f->batch, f->kv, 1, HUB_SPAN("position"), HUB_SPAN("1"));
    assert_int_equal(hub_kv_write(f->kv, f->batch, true, NULL), HUB_OK);
    open_derived(f);
    check(f, 0, "k", "v");
    check(f, 1, "position", "1");
}

enum { NUMBERED = 1700, NUMBERED_BYTES = 64 * 1024 }; /* several write buffers */

/* Value N in one family and N as position in the other, in one batch; never closed. In a program of its own:
 * the threads that write out do not come along over a fork. */
static void write_numbered(const char *path)
{
    struct hub_kv *kv = NULL;
    struct hub_kv_batch *batch = hub_kv_batch_new();
    uint8_t *value = calloc(1, NUMBERED_BYTES);
    if (value == NULL || batch == NULL || hub_kv_open_rocksdb(path, &DERIVED, &kv, NULL) != HUB_OK)
        _exit(1);
    for (uint32_t n = 1; n <= NUMBERED; n++) {
        struct hub_span number = hub_span_of(&n, sizeof n);
        hub_kv_batch_clear(batch);
        hub_kv_batch_put(batch, kv, 0, number, hub_span_of(value, NUMBERED_BYTES));
        hub_kv_batch_put(batch, kv, 1, HUB_SPAN("position"), number);
        if (hub_kv_write(kv, batch, false, NULL) != HUB_OK)
            _exit(1);
    }
    _exit(0);
}

static void kv_rocksdb_derived_is_after_a_kill_what_it_was_at_some_moment(void **state)
{
    struct fixture *f = *state;
    struct hub_kv_value value;
    uint32_t position = 0;
    open_derived(f);
    hub_kv_close(f->kv);
    f->kv = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "kv_test", f->path, (char *)NULL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(hub_kv_open_rocksdb(f->path, &DERIVED, &f->kv, NULL), HUB_OK);
    assert_int_equal(hub_kv_get(f->kv, 1, HUB_SPAN("position"), &value, NULL), HUB_OK);
    assert_int_equal(value.bytes.len, sizeof position);
    memcpy(&position, value.bytes.ptr, sizeof position);
    hub_kv_value_free(&value);
    assert_in_range(position, 1, NUMBERED);
    for (uint32_t n = 1; n <= NUMBERED; n++) {
        enum hub_result result = hub_kv_get(f->kv, 0, hub_span_of(&n, sizeof n), &value, NULL);
        assert_int_equal(result, n <= position ? HUB_OK : HUB_NOT_FOUND);
        if (result == HUB_OK)
            hub_kv_value_free(&value);
    }
}

#define ON_BOTH(test)                                                                                        \
    cmocka_unit_test_setup_teardown(test, setup_memory, teardown),                                           \
        cmocka_unit_test_setup_teardown(test, setup_rocksdb, teardown)

static void put_one(struct fixture *f, const char *key, const char *value)
{
    hub_kv_batch_clear(f->batch);
    hub_kv_batch_put(f->batch, f->kv, 0, hub_span_str(key), hub_span_str(value));
    assert_int_equal(hub_kv_write(f->kv, f->batch, false, NULL), HUB_OK);
}

static bool holds(struct hub_kv *kv, const char *key)
{
    struct hub_kv_value value;
    enum hub_result result = hub_kv_get(kv, 0, hub_span_str(key), &value, NULL);
    if (result == HUB_OK)
        hub_kv_value_free(&value);
    assert_true(result == HUB_OK || result == HUB_NOT_FOUND);
    return result == HUB_OK;
}

static void kv_rocksdb_checkpoint_is_the_store_as_it_was(void **state)
{
    struct fixture *f = *state;
    char copy[128], again[128];
    struct hub_kv *kv = NULL;
    struct hub_kv_options options = OPTIONS;
    struct hub_error err;
    options.derived = true; /* nothing but memory holds what was written */
    hub_kv_close(f->kv);
    assert_int_equal(hub_kv_open_rocksdb(f->path, &options, &f->kv, NULL), HUB_OK);
    put_one(f, "before", "1");
    (void)snprintf(copy, sizeof copy, "%s/copy", f->folder);
    (void)snprintf(again, sizeof again, "%s/again", f->folder);
    assert_int_equal(hub_kv_checkpoint(f->kv, copy, &err), HUB_OK);
    put_one(f, "after", "1");
    options.create = false;
    options.read_only = true;
    assert_int_equal(hub_kv_open_rocksdb(copy, &options, &kv, &err), HUB_OK);
    assert_true(holds(kv, "before") && !holds(kv, "after"));
    struct hub_kv_batch *batch = hub_kv_batch_new();
    hub_kv_batch_put(batch, kv, 0, HUB_SPAN("no"), HUB_SPAN("no"));
    assert_int_not_equal(hub_kv_write(kv, batch, false, &err), HUB_OK);
    hub_kv_batch_free(batch);
    hub_kv_close(kv);
    /* a copy of the copy is a store of its own */
    assert_int_equal(hub_kv_copy_rocksdb(hub_disk_system(), copy, again, &err), HUB_OK);
    options.read_only = false;
    assert_int_equal(hub_kv_open_rocksdb(again, &options, &kv, &err), HUB_OK);
    hub_kv_close(f->kv);
    f->kv = kv;
    hub_kv_batch_free(f->batch);
    f->batch = hub_kv_batch_new();
    put_one(f, "own", "1");
    options.read_only = true;
    assert_int_equal(hub_kv_open_rocksdb(copy, &options, &kv, &err), HUB_OK);
    assert_true(holds(kv, "before") && !holds(kv, "own"));
    hub_kv_close(kv);
    assert_int_equal(hub_kv_remove_rocksdb(hub_disk_system(), copy, &err), HUB_OK);
    assert_int_not_equal(access(copy, F_OK), 0);
    assert_int_equal(hub_kv_remove_rocksdb(hub_disk_system(), copy, &err), HUB_OK);
    assert_true(holds(f->kv, "before") && holds(f->kv, "own"));
}

static void kv_rocksdb_reopens_under_its_users(void **state)
{
    struct fixture *f = *state;
    char away[128];
    struct hub_error err;
    put_one(f, "kept", "1");
    assert_int_equal(hub_kv_reopen(f->kv, &err), HUB_OK);
    assert_true(holds(f->kv, "kept"));
    put_one(f, "more", "1");
    /* what cannot be opened again says so, and is there again when it can */
    char current[128];
    (void)snprintf(current, sizeof current, "%s/CURRENT", f->path);
    (void)snprintf(away, sizeof away, "%s/CURRENT.away", f->folder);
    assert_int_equal(rename(current, away), 0);
    assert_int_equal(mkdir(current, 0700), 0);
    assert_int_not_equal(hub_kv_reopen(f->kv, &err), HUB_OK);
    struct hub_kv_value value;
    assert_int_equal(hub_kv_get(f->kv, 0, HUB_SPAN("kept"), &value, &err), HUB_IO);
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, 0, HUB_SPAN_NONE);
    assert_false(hub_kv_iter_next(iter));
    assert_int_equal(hub_kv_iter_result(iter, &err), HUB_IO);
    hub_kv_iter_free(iter);
    hub_kv_batch_clear(f->batch);
    hub_kv_batch_put(f->batch, f->kv, 0, HUB_SPAN("lost"), HUB_SPAN("1"));
    assert_int_not_equal(hub_kv_write(f->kv, f->batch, false, &err), HUB_OK);
    assert_int_equal(rmdir(current), 0);
    assert_int_equal(rename(away, current), 0);
    assert_int_equal(hub_kv_reopen(f->kv, &err), HUB_OK);
    assert_true(holds(f->kv, "kept") && holds(f->kv, "more") && !holds(f->kv, "lost"));
    put_one(f, "again", "1");
}

int main(int argc, char **argv)
{
    if (argc == 2)
        write_numbered(argv[1]);
    if (argc == 3)
        write_synced(argv[2]);
    const struct CMUnitTest tests[] = {
        ON_BOTH(kv_get_gives_what_was_put_last_by_family),
        ON_BOTH(kv_batch_is_kept_until_cleared_and_an_empty_one_is_fine),
        ON_BOTH(kv_iter_walks_a_prefix_in_byte_order),
        ON_BOTH(kv_iter_prefix_of_high_bytes_ends_where_it_should),
        ON_BOTH(kv_iter_seek_stays_under_the_prefix),
        ON_BOTH(kv_iter_sees_the_moment_it_was_made),
        ON_BOTH(kv_keeps_many_in_order),
        cmocka_unit_test_setup_teardown(kv_memory_writes_a_batch_whole_or_not_at_all, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_keeps_its_content_over_a_reopen, setup_rocksdb, teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_says_busy_when_it_is_open_elsewhere, setup_rocksdb,
                                        teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_does_not_make_a_store_unasked, setup_rocksdb, teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_keeps_synced_writes_over_a_kill, setup_rocksdb, teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_checkpoint_is_the_store_as_it_was, setup_rocksdb, teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_reopens_under_its_users, setup_rocksdb, teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_derived_keeps_all_over_a_close, setup_rocksdb, teardown),
        cmocka_unit_test_setup_teardown(kv_rocksdb_derived_is_after_a_kill_what_it_was_at_some_moment,
                                        setup_rocksdb, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
