/* Epochs of class keys, roles that are revoked and granted again, and secrets that are gone. */
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/keys_fixture.h"

#include "src/codec/json.h"
#include "src/store/kv.h"

static int64_t now_us;

static int64_t fake_now(void *ctx)
{
    (void)ctx;
    return now_us;
}

static const struct hub_clock fake_clock = {.wall_us = fake_now, .mono_us = fake_now};
static const int64_t day_us = INT64_C(86400) * 1000000;

static void current(struct hub_keys *keys, enum hub_data_class class_, struct hub_key_id *id)
{
    uint8_t key[HUB_KEY_LEN];
    assert_int_equal(hub_keys_class_current(keys, class_, key, id, NULL), HUB_OK);
}

static void expect_same(const struct hub_key_id *a, const struct hub_key_id *b)
{
    assert_string_equal(a->text, b->text);
}

static void expect_other(const struct hub_key_id *a, const struct hub_key_id *b)
{
    assert_string_not_equal(a->text, b->text);
}

/* --- limits --- */

static void epoch_ends_when_its_fields_are_used_up(void **state)
{
    struct hub_keys *keys = test_store_open(*state);
    const struct hub_keys_limits limits = {.fields = 10};
    struct hub_key_id first, again, next, other, untouched;
    uint8_t key[HUB_KEY_LEN];
    hub_keys_limit(keys, &limits);
    current(keys, HUB_DATA_CLINICAL, &first);
    current(keys, HUB_DATA_IDENTITY, &other);
    hub_keys_class_used(keys, HUB_DATA_CLINICAL, &first, 9, 1000000);
    current(keys, HUB_DATA_CLINICAL, &again);
    expect_same(&first, &again);
    hub_keys_class_used(keys, HUB_DATA_CLINICAL, &first, 1, 64);
    current(keys, HUB_DATA_CLINICAL, &next);
    expect_other(&first, &next);
    current(keys, HUB_DATA_IDENTITY, &untouched);
    expect_same(&other, &untouched);
    assert_int_equal(hub_keys_class_by_id(keys, &first, key, NULL, NULL), HUB_OK); /* what was sealed stays readable */
    hub_keys_class_used(keys, HUB_DATA_CLINICAL, &first, 5, 64); /* sealed before, counted late */
    current(keys, HUB_DATA_CLINICAL, &again);
    expect_same(&next, &again);
    hub_keys_close(keys);
}

static void epoch_ends_when_its_bytes_are_used_up(void **state)
{
    struct hub_keys *keys = test_store_open(*state);
    const struct hub_keys_limits limits = {.bytes = 4096};
    struct hub_key_id first, next;
    hub_keys_limit(keys, &limits);
    current(keys, HUB_DATA_RAW, &first);
    hub_keys_class_used(keys, HUB_DATA_RAW, &first, 1, 4095);
    current(keys, HUB_DATA_RAW, &next);
    expect_same(&first, &next);
    hub_keys_class_used(keys, HUB_DATA_RAW, &first, 1, 1);
    current(keys, HUB_DATA_RAW, &next);
    expect_other(&first, &next);
    hub_keys_close(keys);
}

static void epoch_ends_with_age_and_on_its_date_once(void **state)
{
    static const int64_t dates[] = {INT64_C(1800000000) * 1000000};
    const struct hub_keys_limits aged = {.days = 30}, dated = {.dates_us = dates, .date_count = 1};
    struct hub_key_id first, next, again;
    now_us = dates[0] - 40 * day_us;
    struct hub_keys *keys = test_store_open_at(*state, &fake_clock);
    hub_keys_limit(keys, &aged);
    current(keys, HUB_DATA_CLINICAL, &first);
    now_us += 30 * day_us - 1;
    current(keys, HUB_DATA_CLINICAL, &next);
    expect_same(&first, &next);
    now_us += 1;
    current(keys, HUB_DATA_CLINICAL, &next);
    expect_other(&first, &next);
    hub_keys_limit(keys, &dated);
    now_us = dates[0] - 1;
    current(keys, HUB_DATA_CLINICAL, &again);
    expect_same(&next, &again);
    now_us = dates[0];
    current(keys, HUB_DATA_CLINICAL, &again);
    expect_other(&next, &again);
    now_us += 1000 * day_us; /* a date ends one epoch only */
    current(keys, HUB_DATA_CLINICAL, &next);
    expect_same(&next, &again);
    hub_keys_close(keys);
}

struct count {
    struct hub_key_id id;
    uint64_t fields, bytes;
    size_t keys;
};

static void find_count(void *ctx, const struct hub_keys_class *key)
{
    struct count *c = ctx;
    c->keys++;
    if (strcmp(key->id.text, c->id.text) == 0) {
        c->fields = key->fields;
        c->bytes = key->bytes;
    }
}

static void count_of_a_key_is_exact_after_a_close_and_never_less_after_a_kill(void **state)
{
    struct test_store *p = *state;
    struct count c = {.keys = 0};
    struct hub_keys *keys = test_store_open(p);
    current(keys, HUB_DATA_CLINICAL, &c.id);
    hub_keys_class_used(keys, HUB_DATA_CLINICAL, &c.id, 7, 7000);
    hub_keys_close(keys);
    pid_t child = fork();
    if (child == 0) { /* killed after a sync, as the committer makes one before every group */
        keys = test_store_open(p);
        hub_keys_class_used(keys, HUB_DATA_CLINICAL, &c.id, 100, 100000);
        _exit(hub_keys_sync(keys, NULL) == HUB_OK ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    keys = test_store_open(p);
    hub_keys_each_class(keys, find_count, &c);
    assert_true(c.fields >= 107 && c.bytes >= 107000);
    const uint64_t fields = c.fields;
    hub_keys_close(keys);
    keys = test_store_open(p);
    hub_keys_each_class(keys, find_count, &c);
    assert_int_equal(c.fields, fields);
    hub_keys_close(keys);
}

static void key_that_was_not_synced_is_gone_with_what_it_sealed(void **state)
{
    struct test_store *p = *state;
    struct hub_key_id first, next;
    uint8_t key[HUB_KEY_LEN];
    struct hub_keys *keys = test_store_open(p);
    current(keys, HUB_DATA_CLINICAL, &first);
    hub_keys_close(keys);
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct hub_keys_limits limits = {.fields = 1};
        keys = test_store_open(p);
        hub_keys_limit(keys, &limits);
        hub_keys_class_used(keys, HUB_DATA_CLINICAL, &first, 1, 1);
        current(keys, HUB_DATA_CLINICAL, &next);
        _exit(write(pipe_fds[1], next.text, sizeof next.text) == (ssize_t)sizeof next.text && hub_keys_dirty(keys) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(pipe_fds[0], next.text, sizeof next.text), (ssize_t)sizeof next.text);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    expect_other(&first, &next);
    keys = test_store_open(p);
    assert_int_equal(hub_keys_class_by_id(keys, &next, key, NULL, NULL), HUB_NO_KEY);
    current(keys, HUB_DATA_CLINICAL, &next);
    expect_same(&first, &next);
    hub_keys_close(keys);
}

static void rotated_key_is_there_after_a_restart_and_its_roles_open_both(void **state)
{
    struct test_store *p = *state;
    static struct test_lines lines;
    struct hub_key_id first, next, again;
    uint8_t opened[HUB_KEY_LEN];
    struct hub_keys *keys = test_store_open(p);
    current(keys, HUB_DATA_CLINICAL, &first);
    (void)hub_keys_take_news(keys);
    assert_int_equal(hub_keys_rotate(keys, HUB_DATA_CLINICAL, "uid 7", &next, NULL), HUB_OK);
    assert_true(hub_keys_take_news(keys));
    assert_false(hub_keys_dirty(keys));
    expect_other(&first, &next);
    hub_keys_close(keys);
    keys = test_store_open(p);
    current(keys, HUB_DATA_CLINICAL, &again);
    expect_same(&next, &again);
    lines.count = 0;
    assert_int_equal(hub_keys_each_record(keys, test_keep_line, &lines), HUB_OK);
    assert_int_equal(test_opened_by(&lines, keys, p->key[0], HUB_DATA_CLINICAL, opened), 2);
    assert_int_equal(test_opened_by(&lines, keys, p->key[1], HUB_DATA_CLINICAL, opened), 0);
    size_t told = 0;
    for (size_t i = 0; i < lines.count; i++)
        told += strstr(lines.text[i], "\"by\":\"uid 7\",\"cause\":\"operator\"") != NULL;
    assert_int_equal(told, 1);
    hub_keys_close(keys);
}

/* --- roles --- */

/* The bus finds every record by its id. */
static void expect_ids(const struct test_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        if (strstr(lines->text[i], "\"id\":\"") == NULL)
            fail_msg("a record without an id: %s", lines->text[i]);
}

static size_t opens(struct test_store *p, struct hub_keys *keys, size_t role, enum hub_data_class class_)
{
    static struct test_lines lines;
    uint8_t key[HUB_KEY_LEN];
    lines.count = 0;
    assert_int_equal(hub_keys_each_record(keys, test_keep_line, &lines), HUB_OK);
    struct hub_role_key *role_key = NULL;
    size_t count = 0;
    expect_ids(&lines);
    assert_int_equal(hub_role_key_load(p->key[role], &role_key, NULL), HUB_OK);
    for (size_t i = 0; i < lines.count; i++) {
        struct hub_key_id id;
        enum hub_data_class found = HUB_DATA_CLEAR;
        count += hub_role_open_class(role_key, hub_keys_sign_public(keys), hub_span_str(lines.text[i]), &id, &found,
                                     key, NULL) == HUB_OK &&
                 found == class_;
    }
    hub_secret_free(role_key);
    return count;
}

static void revoked_role_gets_no_key_until_it_is_granted_again(void **state)
{
    struct test_store *p = *state;
    struct hub_key_id identity, clinical, next;
    struct hub_keys *keys = test_store_open(p);
    current(keys, HUB_DATA_IDENTITY, &identity);
    current(keys, HUB_DATA_CLINICAL, &clinical);
    assert_int_equal(hub_keys_revoke(keys, "nobody", "uid 1", NULL), HUB_NOT_FOUND);
    assert_int_equal(hub_keys_revoke(keys, "desk", "uid 1", NULL), HUB_OK);
    assert_true(hub_keys_revoked(keys, "desk"));
    assert_false(hub_keys_revoked(keys, "ward"));
    assert_int_equal(hub_keys_revoke(keys, "desk", "uid 1", NULL), HUB_EXISTS);
    current(keys, HUB_DATA_IDENTITY, &next);
    expect_other(&identity, &next);
    current(keys, HUB_DATA_CLINICAL, &next);
    expect_same(&clinical, &next); /* desk never had it */
    for (int again = 0; again < 2; again++) { /* roles.yaml still allows it: a restart must not give it back */
        assert_int_equal(opens(p, keys, 1, HUB_DATA_IDENTITY), 1);
        assert_int_equal(opens(p, keys, 0, HUB_DATA_IDENTITY), 2);
        assert_true(hub_keys_revoked(keys, "desk"));
        hub_keys_close(keys);
        keys = test_store_open(p);
    }
    current(keys, HUB_DATA_IDENTITY, &identity);
    assert_int_equal(hub_keys_grant(keys, &p->list, "nobody", "uid 1", NULL), HUB_NOT_FOUND);
    assert_int_equal(hub_keys_grant(keys, &p->list, "desk", "uid 1", NULL), HUB_OK);
    assert_false(hub_keys_revoked(keys, "desk"));
    assert_int_equal(opens(p, keys, 1, HUB_DATA_IDENTITY), 2); /* and what was sealed meanwhile */
    current(keys, HUB_DATA_IDENTITY, &next);
    expect_same(&identity, &next);
    hub_keys_close(keys);
    keys = test_store_open(p);
    assert_false(hub_keys_revoked(keys, "desk"));
    assert_int_equal(opens(p, keys, 1, HUB_DATA_IDENTITY), 2);
    hub_keys_close(keys);
}

static void grant_takes_the_access_policy_as_it_is_now(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(opens(p, keys, 1, HUB_DATA_CLINICAL), 0);
    p->roles[1].classes[HUB_DATA_CLINICAL] = true;
    assert_int_equal(hub_keys_grant(keys, &p->list, "desk", "uid 1", NULL), HUB_OK);
    assert_int_equal(opens(p, keys, 1, HUB_DATA_CLINICAL), 1);
    p->roles[1].classes[HUB_DATA_CLINICAL] = false;
    struct hub_key_id before, after;
    current(keys, HUB_DATA_CLINICAL, &before);
    assert_int_equal(hub_keys_access(keys, &p->list, NULL, NULL), HUB_OK);
    current(keys, HUB_DATA_CLINICAL, &after);
    expect_other(&before, &after);
    assert_int_equal(opens(p, keys, 1, HUB_DATA_CLINICAL), 1);
    hub_keys_close(keys);
}

/* --- what is gone --- */

static bool file_holds(const char *path, struct hub_span bytes)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    static uint8_t content[8 * 1024 * 1024];
    const size_t len = fread(content, 1, sizeof content, f);
    (void)fclose(f);
    return memmem(content, len, bytes.ptr, bytes.len) != NULL;
}

static size_t files_with(const char *folder, struct hub_span bytes)
{
    char path[512];
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        count += e->d_name[0] != '.' && file_holds(path, bytes);
    }
    (void)closedir(dir);
    return count;
}

/* The record as the store has it, read from its files. */
static size_t wrapped_secret(struct test_store *p, const struct hub_token *token, uint8_t out[256])
{
    static const char *const families[] = {"keys", "patients", "one_off", "shredded", NULL};
    const struct hub_kv_options options = {.families = families};
    struct hub_kv *kv = NULL;
    struct hub_kv_value value;
    assert_int_equal(hub_kv_open_rocksdb(p->store, &options, &kv, NULL), HUB_OK);
    assert_int_equal(hub_kv_get(kv, 1, hub_span_of(token->text, HUB_TOKEN_LEN), &value, NULL), HUB_OK);
    assert_true(value.bytes.len > 40 && value.bytes.len <= 256);
    memcpy(out, value.bytes.ptr, value.bytes.len);
    const size_t len = value.bytes.len;
    hub_kv_value_free(&value);
    hub_kv_close(kv);
    return len;
}

static void make_patients(struct test_store *p, const struct hub_token *token)
{
    struct hub_key_id id;
    uint8_t secret[HUB_KEY_LEN];
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(hub_keys_patient(keys, token, true, secret, &id, NULL, NULL), HUB_OK);
    for (unsigned i = 0; i < 500; i++) {
        struct hub_token other;
        (void)snprintf(other.text, sizeof other.text, "1%08xabcdefghijklmnopqrstuvwx", i * 2654435761U);
        assert_int_equal(hub_keys_patient(keys, &other, true, secret, &id, NULL, NULL), HUB_OK);
    }
    assert_int_equal(hub_keys_sync(keys, NULL), HUB_OK);
    hub_keys_close(keys);
}

static const struct hub_token victim = {"1mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"};

static void shredded_secret_is_in_no_file_of_the_store(void **state)
{
    struct test_store *p = *state;
    uint8_t wrapped[256], secret[HUB_KEY_LEN];
    struct hub_key_id id;
    make_patients(p, &victim);
    const struct hub_span bytes = hub_span_of(wrapped, wrapped_secret(p, &victim, wrapped));
    assert_true(files_with(p->store, bytes) > 0);
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(hub_keys_shred(keys, &victim, "uid 1", &id, NULL), HUB_OK);
    assert_int_equal(files_with(p->store, bytes), 0); /* while the store is open */
    size_t count = 0;
    assert_int_equal(hub_keys_patient_count(keys, &count, NULL), HUB_OK);
    assert_int_equal(count, 500);
    assert_int_equal(hub_keys_patient(keys, &victim, false, secret, &id, NULL, NULL), HUB_SHREDDED);
    hub_keys_close(keys);
    assert_int_equal(files_with(p->store, bytes), 0);
}

static void shred_that_was_killed_is_finished_by_the_next_start(void **state)
{
    struct test_store *p = *state;
    uint8_t wrapped[256], secret[HUB_KEY_LEN];
    struct hub_key_id id;
    make_patients(p, &victim);
    const struct hub_span bytes = hub_span_of(wrapped, wrapped_secret(p, &victim, wrapped));
    char program[512];
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(len > 0);
    program[len] = '\0';
    pid_t child = fork();
    if (child == 0) { /* crash points are read once: a process of its own */
        (void)setenv("CHARTLINE_CRASH_AT", "mid-shred", 1);
        (void)execl(program, program, "shred", p->folder, (char *)NULL);
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_true(files_with(p->store, bytes) > 0); /* or this test would prove nothing */
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(files_with(p->store, bytes), 0);
    assert_int_equal(hub_keys_patient(keys, &victim, false, secret, &id, NULL, NULL), HUB_SHREDDED);
    assert_false(hub_keys_take_news(keys)); /* the committer looks at its start anyway */
    hub_keys_close(keys);
}

/* A secret that is only in the batch of the next sync must not come back with it. */
static void shred_of_a_secret_that_is_not_synced_yet_is_final(void **state)
{
    struct test_store *p = *state;
    struct hub_key_id id, gone;
    uint8_t secret[HUB_KEY_LEN];
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(hub_keys_patient(keys, &victim, true, secret, &id, NULL, NULL), HUB_OK);
    assert_int_equal(hub_keys_shred(keys, &victim, "uid 1", &gone, NULL), HUB_OK);
    expect_same(&id, &gone);
    assert_int_equal(hub_keys_shred(keys, &victim, "uid 1", &gone, NULL), HUB_SHREDDED);
    assert_int_equal(hub_keys_sync(keys, NULL), HUB_OK);
    hub_keys_close(keys);
    keys = test_store_open(p);
    assert_int_equal(hub_keys_patient(keys, &victim, false, secret, &id, NULL, NULL), HUB_SHREDDED);
    assert_int_equal(hub_keys_patient(keys, &victim, true, secret, &id, NULL, NULL), HUB_OK); /* what comes later */
    expect_other(&id, &gone);
    hub_keys_close(keys);
}

static int shred_and_die(const char *folder)
{
    struct test_store p;
    struct hub_key_id id;
    memset(&p, 0, sizeof p);
    if (hub_crypto_init() != HUB_OK)
        return 1;
    (void)snprintf(p.store, sizeof p.store, "%s/store", folder);
    struct hub_keys *keys = NULL;
    if (hub_keys_open(p.store, test_root_key, NULL, hub_clock_system(), false, &keys, NULL) != HUB_OK)
        return 2;
    return hub_keys_shred(keys, &victim, "uid 1", &id, NULL) == HUB_OK ? 3 : 4;
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, test_store_setup, test_store_teardown)
    if (argc == 3 && strcmp(argv[1], "shred") == 0)
        return shred_and_die(argv[2]);
    const struct CMUnitTest tests[] = {
        T(epoch_ends_when_its_fields_are_used_up),
        T(epoch_ends_when_its_bytes_are_used_up),
        T(epoch_ends_with_age_and_on_its_date_once),
        T(count_of_a_key_is_exact_after_a_close_and_never_less_after_a_kill),
        T(key_that_was_not_synced_is_gone_with_what_it_sealed),
        T(rotated_key_is_there_after_a_restart_and_its_roles_open_both),
        T(revoked_role_gets_no_key_until_it_is_granted_again),
        T(grant_takes_the_access_policy_as_it_is_now),
        T(shredded_secret_is_in_no_file_of_the_store),
        T(shred_that_was_killed_is_finished_by_the_next_start),
        T(shred_of_a_secret_that_is_not_synced_yet_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
