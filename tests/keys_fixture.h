/* A key store in a folder of its own with two roles: ward (identity, clinical) and desk (identity). */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/protect/keys.h"

struct test_store {
    char folder[64];
    char store[96];
    char pub[2][96], key[2][96];
    struct hub_role roles[2];
    struct hub_roles list;
};

static const uint8_t test_root_key[HUB_KEY_LEN] = {1, 2, 3};

static inline int test_store_setup(void **state)
{
    struct test_store *p = calloc(1, sizeof *p);
    const char *tmp = getenv("TMPDIR");
    if (p == NULL || hub_crypto_init() != HUB_OK)
        return -1;
    (void)snprintf(p->folder, sizeof p->folder, "%s/keys-XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    if (mkdtemp(p->folder) == NULL)
        return -1;
    (void)snprintf(p->store, sizeof p->store, "%s/store", p->folder);
    static const char *const names[] = {"ward", "desk"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(p->pub[i], sizeof p->pub[i], "%s/%s.pub", p->folder, names[i]);
        (void)snprintf(p->key[i], sizeof p->key[i], "%s/%s.key", p->folder, names[i]);
        if (hub_role_key_create(p->pub[i], p->key[i], names[i], NULL) != HUB_OK)
            return -1;
        p->roles[i] = (struct hub_role){.name = names[i], .public_key_path = p->pub[i]};
        p->roles[i].classes[HUB_DATA_IDENTITY] = true;
    }
    p->roles[0].classes[HUB_DATA_CLINICAL] = true;
    p->list = (struct hub_roles){.items = p->roles, .count = 2};
    *state = p;
    return 0;
}

static inline int test_store_teardown(void **state)
{
    struct test_store *p = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", p->folder);
    int rc = system(command);
    free(p);
    return rc;
}

static inline struct hub_keys *test_store_open_at(struct test_store *p, const struct hub_clock *clock)
{
    struct hub_keys *keys = NULL;
    struct hub_error err;
    assert_int_equal(hub_keys_open(p->store, test_root_key, &p->list, clock, true, &keys, &err),
                     HUB_OK);
    return keys;
}

static inline struct hub_keys *test_store_open(struct test_store *p)
{
    return test_store_open_at(p, hub_clock_system());
}

struct test_lines {
    char text[64][4096];
    size_t count;
};

static inline bool test_keep_line(void *ctx, struct hub_span line)
{
    struct test_lines *lines = ctx;
    assert_true(lines->count < 64 && line.len < sizeof lines->text[0]);
    memcpy(lines->text[lines->count], line.ptr, line.len);
    lines->text[lines->count++][line.len] = '\0';
    return true;
}

/* How many class keys of CLASS the role may open; the last one goes to KEY. */
static inline size_t test_opened_by(const struct test_lines *lines, struct hub_keys *keys, const char *key_path,
                        enum hub_data_class class_, uint8_t *key)
{
    struct hub_role_key *role = NULL;
    size_t count = 0;
    assert_int_equal(hub_role_key_load(key_path, &role, NULL), HUB_OK);
    for (size_t i = 0; i < lines->count; i++) {
        struct hub_key_id id;
        enum hub_data_class found = HUB_DATA_CLEAR;
        uint8_t opened[HUB_KEY_LEN];
        enum hub_result result = hub_role_open_class(role, hub_keys_sign_public(keys),
                                                     hub_span_str(lines->text[i]), &id, &found, opened, NULL);
        assert_true(result == HUB_OK || result == HUB_DENIED);
        if (result == HUB_OK && found == class_) {
            memcpy(key, opened, sizeof opened);
            count++;
        }
    }
    hub_secret_free(role);
    return count;
}
