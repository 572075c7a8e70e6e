/* What tests of the committer share: a clock of their own, a key store that only notes what is asked of it,
 * and items as workers would make them (sealed events are plain JSON here: the committer does not look
 * inside). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/pipeline/commit.h"

/* --- the clock --- */

static atomic_llong test_wall_us = 1795398000000000; /* 2026-11-23 */
static atomic_llong test_mono_us;

static inline int64_t test_clock_wall(void *ctx)
{
    (void)ctx;
    return atomic_load(&test_wall_us);
}

static inline int64_t test_clock_mono(void *ctx)
{
    (void)ctx;
    return atomic_load(&test_mono_us);
}

static const struct hub_clock test_clock = {.wall_us = test_clock_wall, .mono_us = test_clock_mono};

/* --- the key store, in place of src/protect/keys.c --- */

static atomic_int test_keys_syncs;
static _Atomic(enum hub_result) test_keys_sync_result;
static atomic_int test_keys_created;    /* class keys made and not yet told */
static void (*test_keys_at_sync)(void); /* called inside hub_keys_sync */
static const char *const test_key_records[] = {
    "{\"class\":\"clinical\",\"id\":\"00112233445566aa\",\"kind\":\"class-key\",\"sealed\":[{\"role\":"
    "\"clinician\"}]}",
    "{\"class\":\"clinical\",\"id\":\"00112233445566aa\",\"kind\":\"class-key\",\"sealed\":[{\"role\":"
    "\"auditor\"}]}",
    "{\"class\":\"contact\",\"id\":\"99112233445566bb\",\"kind\":\"class-key\",\"sealed\":[]}",
};
static atomic_int test_key_count; /* how many of them the key store holds */

enum hub_result hub_keys_sync(struct hub_keys *keys, struct hub_error *err)
{
    (void)keys;
    if (test_keys_at_sync != NULL)
        test_keys_at_sync();
    atomic_fetch_add(&test_keys_syncs, 1);
    enum hub_result result = atomic_load(&test_keys_sync_result);
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, "made to fail", NULL);
}

bool hub_keys_take_news(struct hub_keys *keys)
{
    (void)keys;
    return atomic_exchange(&test_keys_created, 0) != 0;
}

enum hub_result hub_keys_each_record(struct hub_keys *keys,
                                     bool (*callback)(void *ctx, struct hub_span json_line), void *ctx)
{
    (void)keys;
    int count = atomic_load(&test_key_count);
    for (int i = 0; i < count; i++)
        if (!callback(ctx, hub_span_str(test_key_records[i])))
            break;
    return HUB_OK;
}

/* --- items --- */

static const char test_before[] = "{\"data\":{\"id\":\"";
static const char test_middle[] = "\"},\"recordedtime\":\"";
static const char test_after[] = "\",\"specversion\":\"1.0\"}";

static inline void test_item_add_event(struct hub_commit_item *item, size_t at, const char *id)
{
    struct hub_sealed *sealed = &item->events[at];
    size_t start = item->json.len;
    hub_buf_append_str(&item->json, test_before);
    hub_buf_append_str(&item->json, id);
    hub_buf_append_str(&item->json, test_middle);
    sealed->recorded_at = item->json.len - start;
    hub_sha256_init(&sealed->prefix);
    hub_sha256_update(&sealed->prefix, hub_span_of(item->json.ptr + start, sealed->recorded_at));
    hub_buf_append_str(&item->json, "0000-00-00T00:00:00.000000Z");
    hub_buf_append_str(&item->json, test_after);
    item->event_lens[at] = item->json.len - start;
    (void)snprintf(sealed->id.text, sizeof sealed->id.text, "%s%s", at == 0 ? "" : "x", id);
    (void)snprintf(sealed->subject.text, sizeof sealed->subject.text, "1subject-of-%.18s", id);
    sealed->new_secret = at == 0;
    (void)snprintf(sealed->secret_id.text, sizeof sealed->secret_id.text, "secret");
}

static inline struct hub_commit_item *test_item(enum hub_record_kind kind, const char *id,
                                                const char *control, size_t events)
{
    struct hub_commit_item *item = hub_commit_item_new(1 << 20);
    if (item == NULL)
        abort();
    item->kind = kind;
    item->feed = "adt-main";
    item->sender = "CN=ehr-prod";
    (void)snprintf(item->trigger, sizeof item->trigger, "ADT^A01");
    (void)snprintf(item->dedup.message_id, sizeof item->dedup.message_id, "%s", id);
    (void)snprintf(item->dedup.control_token, sizeof item->dedup.control_token, "%s", control);
    memcpy(item->dedup.answer, kind == HUB_RECORD_MESSAGE ? "AA" : "AE", 3);
    if (kind == HUB_RECORD_MESSAGE) {
        item->events = hub_mem_array(events, sizeof *item->events);
        item->event_lens = hub_mem_array(events, sizeof *item->event_lens);
        item->event_count = events;
        for (size_t i = 0; i < events; i++)
            test_item_add_event(item, i, id);
    } else {
        hub_buf_append_str(&item->json, "{\"dead\":\"letter\"}");
        (void)hub_fail(&item->why, HUB_REQUIRED, NULL, NULL);
        (void)hub_error_at(&item->why, "PID-3[2].4");
    }
    return item;
}

/* --- waiting for answers --- */

enum { TEST_ANSWERS_MAX = 10000 };

struct test_answer {
    char id[33];
    enum hub_result result;
    bool duplicate;
    int64_t recorded_us;
    char answer[3];
};

struct test_answers {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    size_t count;
    size_t positive;
    struct test_answer items[TEST_ANSWERS_MAX];
};

static struct test_answers test_answers = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                           .cond = PTHREAD_COND_INITIALIZER};

static inline void test_answered(struct hub_commit_item *item, void *ctx)
{
    struct test_answers *answers = ctx;
    pthread_mutex_lock(&answers->lock);
    if (answers->count < TEST_ANSWERS_MAX) {
        struct test_answer *answer = &answers->items[answers->count++];
        memcpy(answer->id, item->dedup.message_id, sizeof answer->id);
        memcpy(answer->answer, item->dedup.answer, sizeof answer->answer);
        answer->result = item->result;
        answer->duplicate = item->duplicate;
        answer->recorded_us = item->recorded_us;
        answers->positive += item->result == HUB_OK;
    }
    pthread_cond_broadcast(&answers->cond);
    pthread_mutex_unlock(&answers->lock);
    hub_commit_item_free(item);
}

/* Submits; false (and freed) when it was not taken. */
static inline bool test_submit(struct hub_commit *commit, struct hub_commit_item *item)
{
    item->done = test_answered;
    item->done_ctx = &test_answers;
    enum hub_result result = hub_commit_submit(commit, item);
    while (result == HUB_BUSY) {
        (void)usleep(100);
        result = hub_commit_submit(commit, item);
    }
    if (result != HUB_OK)
        hub_commit_item_free(item);
    return result == HUB_OK;
}

static inline void test_wait(size_t count)
{
    pthread_mutex_lock(&test_answers.lock);
    while (test_answers.count < count)
        pthread_cond_wait(&test_answers.cond, &test_answers.lock);
    pthread_mutex_unlock(&test_answers.lock);
}

static inline void test_fixture_reset(void)
{
    test_answers.count = 0;
    test_answers.positive = 0;
    atomic_store(&test_key_count, 0);
    atomic_store(&test_keys_syncs, 0);
    atomic_store(&test_keys_created, 0);
    atomic_store(&test_keys_sync_result, HUB_OK);
    test_keys_at_sync = NULL;
}
