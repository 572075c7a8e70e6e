/* The timeline in parts while stores, memory or those who are to be told fail at every possible place: nothing is in a store that
 * was not settled before, and whatever failed, going on from the positions (or restoring again) ends where it would have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/crypto/crypto.h"
#include "src/event/head.h"
#include "src/identity/identity.h"
#include "src/timeline/set.h"
#include "tests/fault/fault.h"
#include "tests/unit/timeline/make_event.h"

enum { STEPS_MAX = 64, FLUSH_EVERY = 4 };

struct told { /* of plain memory: telling does not fail by itself */
    uint8_t *key, *value;
    size_t key_len, value_len;
    bool tombstone;
};

struct list {
    struct told *items;
    size_t count, settled; /* those before were settled */
};

struct step {
    struct hub_span key, record; /* of the topic identity; an event when the key is empty */
};

struct fixture {
    struct hub_arena arena;
    struct step steps[STEPS_MAX];
    size_t count;
    struct hub_kv *identity_kv, *kv;
    struct hub_timeline *identity, *partition;
    struct list list;
    uint8_t expected[32];
    enum hub_result result;
    uint64_t settles, refuse; /* the settle of this number is refused */
};

/* --- sinks --- */

static uint8_t *bytes_of(struct hub_span span)
{
    uint8_t *copy = malloc(span.len + 1);
    assert_non_null(copy);
    if (span.len != 0)
        memcpy(copy, span.ptr, span.len);
    return copy;
}

static enum hub_result on_record(void *ctx, struct hub_span key, struct hub_span subject, struct hub_span value, struct hub_error *err)
{
    struct fixture *f = ctx;
    (void)subject;
    (void)err;
    f->list.items = realloc(f->list.items, (f->list.count + 1) * sizeof *f->list.items);
    assert_non_null(f->list.items);
    f->list.items[f->list.count++] = (struct told){bytes_of(key), bytes_of(value), key.len, value.len, value.ptr == NULL};
    return HUB_OK;
}

static enum hub_result settle(struct fixture *f, struct hub_error *err)
{
    return ++f->settles == f->refuse ? hub_fail(err, HUB_DENIED, "fenced", NULL) : HUB_OK;
}

static enum hub_result on_settle(void *ctx, struct hub_error *err)
{
    struct fixture *f = ctx;
    HUB_TRY(settle(f, err));
    f->list.settled = f->list.count;
    return hub_timeline_set_mark(f->partition, "timeline", HUB_SPAN("1"), err);
}

static enum hub_result on_chart(void *ctx, struct hub_span token, struct hub_span subject, struct hub_span part, struct hub_error *err)
{
    struct fixture *f = ctx;
    (void)subject;
    return hub_timeline_set_chart(f->partition, token, part, err);
}

static enum hub_result on_charts(void *ctx, struct hub_error *err)
{
    struct fixture *f = ctx;
    HUB_TRY(settle(f, err));
    return hub_timeline_flush(f->partition, hub_timeline_position(f->partition), false, err);
}

static bool everything(void *ctx, struct hub_span token)
{
    (void)ctx;
    (void)token;
    return true;
}

static void cut_list(struct fixture *f, size_t count)
{
    for (size_t i = count; i < f->list.count; i++) {
        free(f->list.items[i].key);
        free(f->list.items[i].value);
    }
    f->list.count = count;
}

static void empty_list(struct fixture *f)
{
    cut_list(f, 0);
    free(f->list.items);
    f->list = (struct list){NULL, 0, 0};
}

/* --- the work --- */

static enum hub_result open_stores(struct fixture *f)
{
    const struct hub_timeline_options identity = {.part = HUB_TIMELINE_IDENTITY, .chart_tokens = 100, .sink = {on_chart, on_charts, f}};
    const struct hub_timeline_options partition = {.part = HUB_TIMELINE_PARTITION, .sink = {on_record, on_settle, f}};
    HUB_TRY(hub_timeline_open(f->identity_kv, &identity, &f->identity, NULL));
    return hub_timeline_open(f->kv, &partition, &f->partition, NULL);
}

static enum hub_result open_both(struct fixture *f)
{
    HUB_TRY(open_stores(f));
    HUB_TRY(hub_timeline_restore_end(f->partition, NULL));
    return hub_timeline_sync_charts(f->partition, f->identity, everything, NULL, NULL);
}

static void close_both(struct fixture *f)
{
    hub_timeline_close(f->identity);
    hub_timeline_close(f->partition);
    f->identity = f->partition = NULL;
}

static enum hub_result go_on(struct fixture *f)
{
    const uint64_t facts = hub_timeline_position(f->identity), events = hub_timeline_position(f->partition);
    for (size_t i = 0; i < f->count; i++) {
        const struct step *s = &f->steps[i];
        if (s->key.len != 0 && i >= facts)
            HUB_TRY(hub_timeline_add_identity(f->identity, s->key, s->record, NULL));
        if (s->key.len == 0 && i >= events)
            HUB_TRY(hub_timeline_apply(f->partition, s->record, NULL, NULL));
        if (i % FLUSH_EVERY != 0 && i + 1 != f->count)
            continue;
        HUB_TRY(hub_timeline_flush(f->partition, i + 1 > events ? i + 1 : events, false, NULL));
        HUB_TRY(hub_timeline_flush(f->identity, i + 1 > facts ? i + 1 : facts, false, NULL));
    }
    return HUB_OK;
}

static void work(void *ctx)
{
    struct fixture *f = ctx;
    f->settles = 0;
    f->result = open_both(f);
    if (f->result == HUB_OK)
        f->result = go_on(f);
    close_both(f);
    cut_list(f, f->list.settled); /* the rest may or may not have gone out; here it did not */
}

static bool was_settled(const struct fixture *f, struct hub_span key, struct hub_span value)
{
    for (size_t i = 0; i < f->list.settled; i++) {
        const struct told *told = &f->list.items[i];
        if (hub_span_equal(hub_span_of(told->key, told->key_len), key) && !told->tombstone &&
            hub_span_equal(hub_span_of(told->value, told->value_len), value))
            return true;
    }
    return false;
}

static bool check_record(void *ctx, struct hub_span key, struct hub_span record)
{
    assert_true(was_settled(ctx, key, record));
    return true;
}

static unsigned family_of(const char *name)
{
    unsigned family = 0;
    while (strcmp(hub_timeline_families()[family], name) != 0)
        family++;
    return family;
}

static void check_settled(struct fixture *f)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(f->kv, family_of("tokens"), HUB_SPAN_NONE);
    while (hub_kv_iter_next(iter)) {
        assert_true(was_settled(f, hub_kv_iter_key(iter), hub_kv_iter_value(iter)));
        assert_int_equal(hub_timeline_each_entry(f->partition, hub_kv_iter_key(iter), check_record, f, NULL), HUB_OK);
    }
    hub_kv_iter_free(iter);
}

static void new_stores(struct fixture *f)
{
    const struct hub_kv_options kv = {.families = hub_timeline_families(), .create = true};
    hub_kv_close(f->kv);
    hub_kv_close(f->identity_kv);
    f->kv = f->identity_kv = NULL;
    assert_int_equal(hub_kv_open_memory(&kv, &f->kv), HUB_OK);
    assert_int_equal(hub_kv_open_memory(&kv, &f->identity_kv), HUB_OK);
}

static void expect_trouble(enum hub_result result)
{
    if (result != HUB_OK && result != HUB_NO_MEMORY && result != HUB_IO && result != HUB_DENIED)
        fail_msg("%s", hub_result_text(result));
}

static void check_digest(struct fixture *f)
{
    uint8_t digest[32];
    assert_int_equal(hub_timeline_state_digest(f->partition, digest, NULL), HUB_OK);
    assert_memory_equal(digest, f->expected, sizeof digest);
}

static enum hub_result restore(struct fixture *f, const struct list *from)
{
    for (size_t i = 0; i < from->settled; i++) {
        const struct told *told = &from->items[i];
        HUB_TRY(hub_timeline_restore(f->partition, hub_span_of(told->key, told->key_len),
                                     told->tombstone ? HUB_SPAN_NONE : hub_span_of(told->value, told->value_len), NULL));
        if (i % FLUSH_EVERY == 0)
            HUB_TRY(hub_timeline_flush(f->partition, 0, false, NULL));
    }
    HUB_TRY(hub_timeline_restore_end(f->partition, NULL));
    return hub_timeline_flush(f->partition, 0, false, NULL);
}

static void check(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    f->refuse = 0;
    expect_trouble(f->result);
    assert_true(failed || f->result == HUB_OK);
    assert_int_equal(open_both(f), HUB_OK);
    check_settled(f);
    assert_int_equal(go_on(f), HUB_OK);
    check_settled(f);
    check_digest(f);
    close_both(f);
    new_stores(f); /* and the topic gives it back */
    assert_int_equal(open_both(f), HUB_OK);
    assert_int_equal(restore(f, &f->list), HUB_OK);
    check_digest(f);
    close_both(f);
    new_stores(f);
    empty_list(f);
}

/* --- events --- */

static void add_facts(struct fixture *f, struct hub_span event, const char *supersedes)
{
    struct hub_event_head head;
    struct hub_identity_statement *facts = NULL;
    size_t count = 0;
    assert_int_equal(hub_event_head(event, &head), HUB_OK);
    assert_int_equal(hub_identity_of_event(&f->arena, &head, &facts, &count, NULL), HUB_OK);
    for (size_t i = 0; i < count; i++) {
        struct hub_buf text;
        hub_buf_init(&text, 1 << 20, false);
        hub_json_write(&text, hub_identity_json(&f->arena, &facts[i]));
        f->steps[f->count++] = (struct step){
            hub_span_str(hub_arena_printf(&f->arena, "%.*s/%zu", (int)head.id.len, (const char *)head.id.ptr, i)),
            hub_arena_copy(&f->arena, hub_buf_view(&text))};
        hub_buf_deinit(&text);
    }
    if (supersedes != NULL)
        f->steps[f->count++] = (struct step){
            hub_span_str(hub_arena_printf(&f->arena, "%.*s/revision", (int)head.id.len, (const char *)head.id.ptr)),
            hub_span_str(hub_arena_printf(&f->arena, "{\"supersedes\":[\"%s\"]}", supersedes))};
}

static void add(struct fixture *f, struct event_spec spec)
{
    assert_true(f->count + 4 < STEPS_MAX);
    spec.recorded = spec.recorded != 0 ? spec.recorded : spec.time + 1;
    const struct hub_span event = make_event(&f->arena, &spec);
    add_facts(f, event, spec.supersedes);
    f->steps[f->count++] = (struct step){HUB_SPAN_NONE, event};
}

static const char *entry(struct fixture *f, const char *id)
{
    return make_entry(&f->arena, &(struct entry_spec){.type = "Observation", .id = id, .kind = "observation", .facts = "f1", .class_ = 1,
                                                      .effective = 1, .version = 1});
}

static void make_steps(struct fixture *f)
{
    add(f, (struct event_spec){.id = "e1", .subject = "1a", .identity = "same:1a~t", .time = 1, .entries = entry(f, "o1")});
    add(f, (struct event_spec){.id = "e2", .subject = "1b", .identity = "same:1b,1c", .time = 2, .entries = entry(f, "o2")});
    add(f, (struct event_spec){.id = "e3", .subject = "1a", .identity = "merge:1a,1b", .time = 3});
    add(f, (struct event_spec){.id = "e2", .subject = "1b", .identity = "same:1b,1c", .time = 1, .entries = entry(f, "o3")});
    add(f, (struct event_spec){.id = "e3.r1", .subject = "1a", .identity = "link:1a,1d", .time = 3, .recorded = 9, .revision = "1", .origin = "e3",
                               .origin_recorded = 4, .supersedes = "e3", .entries = entry(f, "o4")});
    add(f, (struct event_spec){.id = "e1.r1", .subject = "1a", .identity = "same:1a~t", .time = 1, .recorded = 10, .revision = "1", .origin = "e1",
                               .origin_recorded = 2, .supersedes = "e1", .entries = entry(f, "o5")});
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    *state = f;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_arena_init(&f->arena, 16 << 20);
    make_steps(f);
    new_stores(f);
    assert_int_equal(open_both(f), HUB_OK);
    assert_int_equal(go_on(f), HUB_OK);
    assert_int_equal(hub_timeline_state_digest(f->partition, f->expected, NULL), HUB_OK);
    close_both(f);
    new_stores(f);
    empty_list(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_kv_close(f->kv);
    hub_kv_close(f->identity_kv);
    hub_arena_deinit(&f->arena);
    return 0;
}

/* --- tests --- */

static void parts_hold_what_was_settled_whatever_allocation_failed(void **state)
{
    struct fixture *f = *state;
    assert_true(fault_each_allocation(false, work, check, f) > 50);
    assert_true(fault_each_allocation(true, work, check, f) > 50);
}

static void parts_hold_what_was_settled_whatever_the_store_refused(void **state)
{
    struct fixture *f = *state;
    for (unsigned what = HUB_KV_READS; what <= HUB_KV_WRITES; what++) {
        assert_true(fault_each_store(what, false, work, check, f) >= 5);
        assert_true(fault_each_store(what, true, work, check, f) >= 5);
    }
}

static void parts_hold_what_was_settled_whichever_settling_failed(void **state)
{
    struct fixture *f = *state;
    uint64_t refused = 0;
    for (bool failed = true; failed; refused += failed) {
        const uint64_t refuse = refused + 1;
        f->refuse = refuse;
        work(f);
        failed = f->settles >= refuse;
        assert_true(!failed || f->result == HUB_DENIED);
        check(f, failed);
    }
    assert_true(refused > 5);
}

static struct list whole_topic;

static void work_restore(void *ctx)
{
    struct fixture *f = ctx;
    f->result = open_stores(f);
    if (f->result == HUB_OK)
        f->result = restore(f, &whole_topic);
    close_both(f);
}

static void check_restore(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    expect_trouble(f->result);
    assert_true(failed || f->result == HUB_OK);
    empty_list(f);
    assert_int_equal(open_stores(f), HUB_OK);
    assert_int_equal(restore(f, &whole_topic), HUB_OK);
    check_digest(f);
    assert_int_equal(f->list.count, 0); /* nothing to tell: the topic has it */
    close_both(f);
    new_stores(f);
}

static void a_restore_that_failed_is_done_again(void **state)
{
    struct fixture *f = *state;
    work(f);
    assert_int_equal(f->result, HUB_OK);
    whole_topic = f->list;
    f->list = (struct list){NULL, 0, 0};
    new_stores(f);
    assert_true(fault_each_allocation(false, work_restore, check_restore, f) > 20);
    assert_true(fault_each_allocation(true, work_restore, check_restore, f) > 20);
    for (unsigned what = HUB_KV_READS; what <= HUB_KV_WRITES; what++)
        assert_true(fault_each_store(what, false, work_restore, check_restore, f) >= 5);
    empty_list(f);
    f->list = whole_topic;
    empty_list(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(parts_hold_what_was_settled_whatever_allocation_failed),
        TEST(parts_hold_what_was_settled_whatever_the_store_refused),
        TEST(parts_hold_what_was_settled_whichever_settling_failed),
        TEST(a_restore_that_failed_is_done_again),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
