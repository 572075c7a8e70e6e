#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/protect/keys.h"
#include "tests/keys_fixture.h"

static void keys_open_tells_a_wrong_root_key(void **state)
{
    struct test_store *p = *state;
    hub_keys_close(test_store_open(p));
    uint8_t other[HUB_KEY_LEN] = {9};
    struct hub_keys *keys = NULL;
    struct hub_error err;
    assert_int_equal(hub_keys_open(p->store, other, &p->list, hub_clock_system(), true, &keys, &err),
                     HUB_CRYPTO);
    assert_null(keys);
    assert_string_equal(err.what, "the root key is not the one this key store was made with");
    assert_string_equal(err.path, p->store);
}

static void keys_open_makes_nothing_unless_asked(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = NULL;
    struct hub_error err;
    assert_int_equal(hub_keys_open(p->store, test_root_key, &p->list, hub_clock_system(), false, &keys, &err),
                     HUB_NOT_FOUND);
    assert_null(keys);
}

static void keys_open_tells_which_role_key_is_missing(void **state)
{
    struct test_store *p = *state;
    assert_int_equal(unlink(p->pub[1]), 0);
    struct hub_keys *keys = NULL;
    struct hub_error err;
    assert_int_equal(hub_keys_open(p->store, test_root_key, &p->list, hub_clock_system(), true, &keys, &err),
                     HUB_NOT_FOUND);
    assert_string_equal(err.path, p->pub[1]);
}

static void keys_stay_the_same_when_opened_again(void **state)
{
    struct test_store *p = *state;
    struct hub_token before, after;
    struct hub_event_id event_before, event_after;
    struct hub_key_id id_before, id_after;
    uint8_t key_before[HUB_KEY_LEN], key_after[HUB_KEY_LEN], sign[HUB_SIGN_PUBLIC_LEN];
    struct hub_keys *keys = test_store_open(p);
    hub_keys_patient_token(keys, HUB_SPAN("urn:oid:1.2.3"), HUB_SPAN("000123"), &before);
    hub_keys_event_id(keys, HUB_SPAN("f1"), HUB_SPAN(""), HUB_SPAN("MSH|"), 0, 0, &event_before);
    assert_int_equal(hub_keys_class_current(keys, HUB_DATA_CLINICAL, key_before, &id_before, NULL), HUB_OK);
    memcpy(sign, hub_keys_sign_public(keys), sizeof sign);
    hub_keys_close(keys);
    keys = test_store_open(p);
    hub_keys_patient_token(keys, HUB_SPAN("urn:oid:1.2.3"), HUB_SPAN("000123"), &after);
    hub_keys_event_id(keys, HUB_SPAN("f1"), HUB_SPAN(""), HUB_SPAN("MSH|"), 0, 0, &event_after);
    assert_int_equal(hub_keys_class_current(keys, HUB_DATA_CLINICAL, key_after, &id_after, NULL), HUB_OK);
    assert_string_equal(before.text, after.text);
    assert_string_equal(event_before.text, event_after.text);
    assert_string_equal(id_before.text, id_after.text);
    assert_memory_equal(key_before, key_after, sizeof key_before);
    assert_memory_equal(sign, hub_keys_sign_public(keys), sizeof sign);
    hub_keys_close(keys);
}

static void keys_tokens_differ_by_every_part(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    struct hub_token a, b;
    hub_keys_patient_token(keys, HUB_SPAN("urn:a"), HUB_SPAN("1"), &a);
    assert_int_equal(strlen(a.text), HUB_TOKEN_LEN);
    assert_int_equal(a.text[0], '1');
    hub_keys_patient_token(keys, HUB_SPAN("urn:b"), HUB_SPAN("1"), &b);
    assert_string_not_equal(a.text, b.text);
    hub_keys_patient_token(keys, HUB_SPAN("urn:a1"), HUB_SPAN(""), &b);
    assert_string_not_equal(a.text, b.text);
    hub_keys_patient_token(keys, HUB_SPAN("urn:a"), HUB_SPAN("01"), &b);
    assert_string_not_equal(a.text, b.text);
    hub_keys_scoped_token(keys, HUB_TOKEN_OF_EVENT, HUB_SPAN("x"), &a);
    hub_keys_scoped_token(keys, HUB_TOKEN_OF_FEED, HUB_SPAN("x"), &b);
    assert_int_equal(a.text[0], '2');
    assert_int_equal(b.text[0], '3');
    assert_string_not_equal(a.text + 1, b.text + 1);
    struct hub_event_id e, f;
    hub_keys_event_id(keys, HUB_SPAN("f1"), HUB_SPAN("s"), HUB_SPAN("m"), 0, 0, &e);
    hub_keys_event_id(keys, HUB_SPAN("f1"), HUB_SPAN("s"), HUB_SPAN("m"), 1, 0, &f);
    assert_string_not_equal(e.text, f.text);
    hub_keys_event_id(keys, HUB_SPAN("f1"), HUB_SPAN("s"), HUB_SPAN("m"), 0, 1, &f);
    assert_string_not_equal(e.text, f.text);
    char tag[9], other[9];
    hub_keys_authority_tag(keys, HUB_SPAN("urn:a"), tag);
    hub_keys_authority_tag(keys, HUB_SPAN("urn:b"), other);
    assert_int_equal(strlen(tag), 8);
    assert_string_not_equal(tag, other);
    hub_keys_close(keys);
}

static size_t patient_count(struct hub_keys *keys)
{
    size_t count = 0;
    assert_int_equal(hub_keys_patient_count(keys, &count, NULL), HUB_OK);
    return count;
}

static void keys_patient_secret_survives_only_a_synced_creation(void **state)
{
    struct test_store *p = *state;
    struct hub_token synced = {"1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
                     lost = {"1bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"};
    struct hub_key_id id, again;
    uint8_t secret[HUB_KEY_LEN], same[HUB_KEY_LEN];
    bool created = false;
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(hub_keys_patient(keys, &synced, false, secret, &id, &created, NULL), HUB_NO_KEY);
    assert_false(hub_keys_dirty(keys));
    assert_int_equal(hub_keys_patient(keys, &synced, true, secret, &id, &created, NULL), HUB_OK);
    assert_true(created);
    assert_true(hub_keys_dirty(keys));
    assert_int_equal(hub_keys_patient(keys, &synced, true, same, &again, &created, NULL), HUB_OK);
    assert_false(created);
    assert_memory_equal(secret, same, sizeof secret);
    assert_int_equal(hub_keys_sync(keys, NULL), HUB_OK);
    assert_false(hub_keys_dirty(keys));
    assert_int_equal(hub_keys_patient(keys, &lost, true, same, &again, &created, NULL), HUB_OK);
    hub_keys_close(keys);
    keys = test_store_open(p);
    assert_int_equal(hub_keys_patient(keys, &synced, false, same, &again, &created, NULL), HUB_OK);
    assert_memory_equal(secret, same, sizeof secret);
    assert_string_equal(id.text, again.text);
    assert_int_equal(hub_keys_patient(keys, &lost, false, same, &again, &created, NULL), HUB_NO_KEY);
    assert_int_equal(patient_count(keys), 1);
    hub_keys_close(keys);
}

static void number_token(struct hub_token *token, unsigned number)
{
    (void)snprintf(token->text, sizeof token->text, "1%08xabcdefghijklmnopqrstuvwx", number * 2654435761U);
}

static void keys_cache_gives_every_patient_its_own_secret_back(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    enum { PATIENTS = 20000 };
    static uint8_t secrets[PATIENTS][HUB_KEY_LEN];
    struct hub_token token;
    struct hub_key_id id;
    uint8_t secret[HUB_KEY_LEN];
    for (unsigned i = 0; i < PATIENTS; i++) {
        number_token(&token, i);
        assert_int_equal(hub_keys_patient(keys, &token, true, secrets[i], &id, NULL, NULL), HUB_OK);
    }
    assert_int_equal(hub_keys_sync(keys, NULL), HUB_OK);
    for (unsigned i = 0; i < PATIENTS; i += 7) {
        number_token(&token, i);
        assert_int_equal(hub_keys_patient(keys, &token, false, secret, &id, NULL, NULL), HUB_OK);
        assert_memory_equal(secret, secrets[i], HUB_KEY_LEN);
    }
    assert_int_equal(patient_count(keys), PATIENTS);
    hub_keys_close(keys);
}

struct racer {
    struct hub_keys *keys;
    uint8_t secrets[200][HUB_KEY_LEN];
};

static void *race(void *ctx)
{
    struct racer *r = ctx;
    for (unsigned i = 0; i < 200; i++) {
        struct hub_token token;
        struct hub_key_id id;
        number_token(&token, i);
        if (hub_keys_patient(r->keys, &token, true, r->secrets[i], &id, NULL, NULL) != HUB_OK)
            memset(r->secrets[i], 0, HUB_KEY_LEN);
        if (i % 50 == 0)
            (void)(hub_keys_sync(r->keys, NULL) == HUB_OK);
    }
    return NULL;
}

static void keys_threads_agree_on_one_secret_per_patient(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    static struct racer racers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        racers[i].keys = keys;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 1; i < 4; i++)
        assert_memory_equal(racers[i].secrets, racers[0].secrets, sizeof racers[0].secrets);
    assert_int_equal(hub_keys_sync(keys, NULL), HUB_OK);
    assert_int_equal(patient_count(keys), 200);
    hub_keys_close(keys);
}

static void keys_shredded_secret_is_gone_and_said_so(void **state)
{
    struct test_store *p = *state;
    struct hub_token token = {"1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct hub_key_id id, gone, next;
    uint8_t secret[HUB_KEY_LEN], fresh[HUB_KEY_LEN];
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(hub_keys_shred(keys, &token, "uid 1", &gone, NULL), HUB_NO_KEY);
    assert_int_equal(hub_keys_patient(keys, &token, true, secret, &id, NULL, NULL), HUB_OK);
    assert_int_equal(hub_keys_shred(keys, &token, "uid 1", &gone, NULL), HUB_OK);
    assert_string_equal(gone.text, id.text);
    assert_int_equal(hub_keys_patient(keys, &token, false, fresh, &next, NULL, NULL), HUB_SHREDDED);
    hub_keys_close(keys);
    keys = test_store_open(p);
    assert_int_equal(hub_keys_patient(keys, &token, false, fresh, &next, NULL, NULL), HUB_SHREDDED);
    assert_int_equal(hub_keys_secret(keys, &id, &token, fresh, NULL), HUB_SHREDDED);
    assert_int_equal(hub_keys_patient(keys, &token, true, fresh, &next, NULL, NULL), HUB_OK);
    assert_string_not_equal(next.text, id.text);
    assert_memory_not_equal(fresh, secret, sizeof secret);
    assert_int_equal(hub_keys_secret(keys, &next, &token, secret, NULL), HUB_OK);
    assert_memory_equal(fresh, secret, sizeof secret);
    assert_int_equal(hub_keys_secret(keys, &id, &token, fresh, NULL), HUB_SHREDDED);
    hub_keys_close(keys);
}

static void keys_one_off_secret_is_found_by_its_id(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    struct hub_token feed;
    struct hub_key_id id, other;
    uint8_t secret[HUB_KEY_LEN], found[HUB_KEY_LEN];
    hub_keys_scoped_token(keys, HUB_TOKEN_OF_FEED, HUB_SPAN("f1"), &feed);
    assert_int_equal(hub_keys_one_off(keys, secret, &id), HUB_OK);
    assert_int_equal(hub_keys_one_off(keys, found, &other), HUB_OK);
    assert_memory_not_equal(secret, found, sizeof secret);
    assert_int_equal(hub_keys_sync(keys, NULL), HUB_OK);
    assert_int_equal(hub_keys_secret(keys, &id, &feed, found, NULL), HUB_OK);
    assert_memory_equal(secret, found, sizeof secret);
    memcpy(other.text, "0123456789abcdef", 16);
    assert_int_equal(hub_keys_secret(keys, &other, &feed, found, NULL), HUB_NO_KEY);
    hub_keys_close(keys);
}

/* --- class keys and roles --- */

static void keys_class_key_opens_for_its_roles_only(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    static struct test_lines lines;
    lines.count = 0;
    hub_keys_each_record(keys, test_keep_line, &lines);
    assert_int_equal(lines.count, 6);
    uint8_t mine[HUB_KEY_LEN], theirs[HUB_KEY_LEN], by_id[HUB_KEY_LEN];
    struct hub_key_id id;
    enum hub_data_class class_ = HUB_DATA_CLEAR;
    assert_int_equal(hub_keys_class_current(keys, HUB_DATA_CLINICAL, mine, &id, NULL), HUB_OK);
    assert_int_equal(test_opened_by(&lines, keys, p->key[0], HUB_DATA_CLINICAL, theirs), 1);
    assert_memory_equal(mine, theirs, sizeof mine);
    assert_int_equal(test_opened_by(&lines, keys, p->key[1], HUB_DATA_CLINICAL, theirs), 0);
    assert_int_equal(test_opened_by(&lines, keys, p->key[1], HUB_DATA_IDENTITY, theirs), 1);
    assert_int_equal(test_opened_by(&lines, keys, p->key[0], HUB_DATA_RAW, theirs), 0);
    assert_int_equal(hub_keys_class_by_id(keys, &id, by_id, &class_, NULL), HUB_OK);
    assert_int_equal(class_, HUB_DATA_CLINICAL);
    assert_memory_equal(mine, by_id, sizeof mine);
    memset(id.text, '0', HUB_KEY_ID_LEN);
    assert_int_equal(hub_keys_class_by_id(keys, &id, by_id, &class_, NULL), HUB_NO_KEY);
    assert_int_equal(hub_keys_class_current(keys, HUB_DATA_CLEAR, mine, &id, NULL), HUB_NO_KEY);
    hub_keys_close(keys);
}

static void keys_news_are_told_once(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    assert_true(hub_keys_take_news(keys));
    assert_false(hub_keys_take_news(keys));
    hub_keys_close(keys);
    keys = test_store_open(p);
    assert_false(hub_keys_take_news(keys));
    hub_keys_close(keys);
}

static void keys_role_allowed_later_gets_the_old_keys(void **state)
{
    struct test_store *p = *state;
    struct hub_key_id before, after;
    uint8_t key[HUB_KEY_LEN], opened[HUB_KEY_LEN];
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(hub_keys_class_current(keys, HUB_DATA_CLINICAL, key, &before, NULL), HUB_OK);
    hub_keys_close(keys);
    p->roles[1].classes[HUB_DATA_CLINICAL] = true;
    keys = test_store_open(p);
    static struct test_lines lines;
    lines.count = 0;
    hub_keys_each_record(keys, test_keep_line, &lines);
    assert_int_equal(lines.count, 7);
    assert_int_equal(hub_keys_class_current(keys, HUB_DATA_CLINICAL, key, &after, NULL), HUB_OK);
    assert_string_equal(before.text, after.text);
    assert_int_equal(test_opened_by(&lines, keys, p->key[1], HUB_DATA_CLINICAL, opened), 1);
    assert_memory_equal(key, opened, sizeof key);
    hub_keys_close(keys);
}

static void keys_role_no_longer_allowed_ends_the_epoch(void **state)
{
    struct test_store *p = *state;
    struct hub_key_id before, after, old;
    uint8_t key[HUB_KEY_LEN], opened[HUB_KEY_LEN];
    struct hub_keys *keys = test_store_open(p);
    assert_int_equal(hub_keys_class_current(keys, HUB_DATA_IDENTITY, key, &before, NULL), HUB_OK);
    hub_keys_close(keys);
    p->roles[1].classes[HUB_DATA_IDENTITY] = false;
    for (int again = 0; again < 2; again++) {
        keys = test_store_open(p);
        static struct test_lines lines;
        lines.count = 0;
        hub_keys_each_record(keys, test_keep_line, &lines);
        assert_int_equal(hub_keys_class_current(keys, HUB_DATA_IDENTITY, key, &after, NULL), HUB_OK);
        assert_string_not_equal(before.text, after.text);
        assert_int_equal(test_opened_by(&lines, keys, p->key[0], HUB_DATA_IDENTITY, opened), 2);
        assert_int_equal(test_opened_by(&lines, keys, p->key[1], HUB_DATA_IDENTITY, opened), 1);
        assert_memory_not_equal(key, opened, sizeof key);
        assert_int_equal(hub_keys_class_by_id(keys, &before, key, NULL, NULL), HUB_OK);
        if (again != 0)
            assert_string_equal(after.text, old.text);
        old = after;
        hub_keys_close(keys);
    }
}

static void keys_record_that_was_changed_is_refused(void **state)
{
    struct test_store *p = *state;
    struct hub_keys *keys = test_store_open(p);
    static struct test_lines lines;
    lines.count = 0;
    hub_keys_each_record(keys, test_keep_line, &lines);
    struct hub_role_key *role = NULL;
    struct hub_key_id id;
    enum hub_data_class class_;
    uint8_t key[HUB_KEY_LEN];
    assert_int_equal(hub_role_key_load(p->key[0], &role, NULL), HUB_OK);
    for (size_t i = 0; i < lines.count; i++) {
        char *at = strstr(lines.text[i], "\"epoch\":1");
        assert_non_null(at);
        at[8] = '2';
        assert_int_equal(hub_role_open_class(role, hub_keys_sign_public(keys), hub_span_str(lines.text[i]),
                                             &id, &class_, key, NULL),
                         HUB_CRYPTO);
        at[8] = '1';
    }
    uint8_t other[HUB_SIGN_PUBLIC_LEN] = {0};
    assert_int_equal(hub_role_open_class(role, other, hub_span_str(lines.text[0]), &id, &class_, key, NULL),
                     HUB_CRYPTO);
    assert_int_not_equal(hub_role_open_class(role, other, HUB_SPAN("{}"), &id, &class_, key, NULL), HUB_OK);
    assert_int_not_equal(hub_role_open_class(role, other, HUB_SPAN("no"), &id, &class_, key, NULL), HUB_OK);
    hub_secret_free(role);
    hub_keys_close(keys);
}

static void role_key_files_are_private_and_never_overwritten(void **state)
{
    struct test_store *p = *state;
    struct stat st;
    struct hub_error err;
    uint8_t public_key[HUB_BOX_PUBLIC_LEN];
    struct hub_role_key *role = NULL;
    assert_int_equal(stat(p->key[0], &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(hub_role_key_create(p->pub[0], p->key[0], "ward", &err), HUB_EXISTS);
    assert_string_equal(err.path, p->key[0]);
    assert_int_equal(hub_role_public_load(p->pub[0], public_key, &err), HUB_OK);
    assert_int_equal(hub_role_key_load(p->key[0], &role, &err), HUB_OK);
    assert_memory_equal(role->public_key, public_key, sizeof public_key);
    hub_secret_free(role);
    assert_int_equal(hub_role_key_load(p->pub[0], &role, &err), HUB_CONFIG);
    assert_null(role);
    assert_int_equal(hub_role_public_load(p->key[0], public_key, &err), HUB_CONFIG);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, test_store_setup, test_store_teardown)
    const struct CMUnitTest tests[] = {
        T(keys_open_tells_a_wrong_root_key),
        T(keys_open_makes_nothing_unless_asked),
        T(keys_open_tells_which_role_key_is_missing),
        T(keys_stay_the_same_when_opened_again),
        T(keys_tokens_differ_by_every_part),
        T(keys_patient_secret_survives_only_a_synced_creation),
        T(keys_cache_gives_every_patient_its_own_secret_back),
        T(keys_threads_agree_on_one_secret_per_patient),
        T(keys_shredded_secret_is_gone_and_said_so),
        T(keys_one_off_secret_is_found_by_its_id),
        T(keys_class_key_opens_for_its_roles_only),
        T(keys_news_are_told_once),
        T(keys_role_allowed_later_gets_the_old_keys),
        T(keys_role_no_longer_allowed_ends_the_epoch),
        T(keys_record_that_was_changed_is_refused),
        T(role_key_files_are_private_and_never_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
