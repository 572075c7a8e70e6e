/* A store of the form before this one is brought into the present one when it is opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/timeline/chance.h"

static void put_json(struct hub_kv *kv, unsigned family, struct hub_span key, const struct hub_json *json)
{
    struct hub_kv_batch *batch = hub_kv_batch_new();
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    hub_json_write(&text, json);
    hub_kv_batch_put(batch, kv, family, key, hub_buf_view(&text));
    assert_int_equal(hub_kv_write(kv, batch, false, NULL), HUB_OK);
    hub_buf_deinit(&text);
    hub_kv_batch_free(batch);
}

static unsigned family_of(const char *name)
{
    unsigned family = 0;
    while (strcmp(hub_timeline_families()[family], name) != 0)
        family++;
    return family;
}

static bool has_sha256(void *ctx, struct hub_span key, struct hub_span record)
{
    struct hub_json *json = NULL;
    (void)ctx;
    (void)key;
    assert_int_equal(hub_json_parse(&arena, record, &json, NULL), HUB_OK);
    assert_non_null(hub_json_get(json, "sha256"));
    return true;
}

/* Group G of one record, its text whole: as any writer could have written it. */
static void put_group(struct hub_kv *kv, struct hub_span key, const struct bus_record *records, size_t count)
{
    struct hub_kv_batch *batch = hub_kv_batch_new();
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    hub_buf_append_byte(&text, 'G');
    hub_buf_append_be32(&text, 0);
    for (size_t i = 0; i < count; i++) {
        hub_buf_append_be16(&text, (uint16_t)records[i].key.len);
        hub_buf_append_span(&text, records[i].key);
        hub_buf_append_be32(&text, (uint32_t)records[i].value.len);
        hub_buf_append_span(&text, records[i].value);
    }
    hub_kv_batch_put(batch, kv, family_of("entries"), key, hub_buf_view(&text));
    assert_int_equal(hub_kv_write(kv, batch, false, NULL), HUB_OK);
    hub_buf_deinit(&text);
    hub_kv_batch_free(batch);
}

struct older {
    struct hub_kv *kv;
    struct topic of_event; /* ids and texts without what is new */
    struct hub_span event;
};

static bool take_older(void *ctx, struct hub_span key, struct hub_span record)
{
    struct older *o = ctx;
    struct hub_json *json = NULL;
    struct hub_buf text;
    (void)key;
    assert_int_equal(hub_json_parse(&arena, record, &json, NULL), HUB_OK);
    if (!hub_span_equal(hub_json_get_span(json, "event"), o->event) || hub_span_is(hub_json_get_span(json, "kind"), "revision"))
        return true;
    assert_non_null(hub_json_remove(json, "sha256"));
    hub_buf_init(&text, 1 << 20, false);
    hub_json_write(&text, json);
    topic_add(&arena, &o->of_event, hub_json_get_span(json, "id"), hub_buf_view(&text));
    hub_buf_deinit(&text);
    return true;
}

/* Takes from STORE what the form before did not have. */
static void make_older(struct hub_kv *kv, struct hub_timeline *timeline, bool half)
{
    struct older o = {.kv = kv};
    unsigned number = 0;
    struct hub_kv_iter *iter = hub_kv_iter_new(kv, family_of("events"), HUB_SPAN_NONE);
    while (hub_kv_iter_next(iter)) {
        struct hub_json *seen = NULL;
        struct hub_json *ids = hub_json_new(&arena, HUB_JSON_ARRAY);
        assert_int_equal(hub_json_parse(&arena, hub_arena_copy(&arena, hub_kv_iter_value(iter)), &seen, NULL), HUB_OK);
        if (hub_json_get(seen, "sha256") == NULL || (half && number++ % 2 == 0))
            continue;
        o.event = hub_arena_copy(&arena, hub_kv_iter_key(iter));
        o.of_event.count = 0;
        const struct hub_span subject = hub_json_get_span(seen, "subject");
        assert_int_equal(hub_timeline_each_entry(timeline, subject, take_older, &o, NULL), HUB_OK);
        const struct hub_span key =
            hub_span_str(hub_arena_printf(&arena, "%.*s/%.*s", (int)subject.len, (const char *)subject.ptr, (int)o.event.len, (const char *)o.event.ptr));
        if (o.of_event.count != 0)
            put_group(kv, key, o.of_event.records, o.of_event.count);
        for (size_t i = 0; i < o.of_event.count; i++)
            assert_int_equal(hub_json_push(ids, hub_json_string(&arena, o.of_event.records[i].key)), HUB_OK);
        assert_int_equal(hub_json_set_c(seen, "entries", ids), HUB_OK);
        assert_int_equal(hub_json_set_c(seen, "facts", hub_json_number_i64(&arena, 1)), HUB_OK);
        put_json(kv, family_of("events"), o.event, seen);
        struct hub_kv_value value;
        struct hub_json *revision = NULL;
        if (hub_kv_get(kv, family_of("revisions"), key, &value, NULL) != HUB_OK)
            continue;
        assert_int_equal(hub_json_parse(&arena, hub_arena_copy(&arena, value.bytes), &revision, NULL), HUB_OK);
        hub_kv_value_free(&value);
        assert_non_null(hub_json_remove(revision, "sha256"));
        put_json(kv, family_of("revisions"), key, revision);
    }
    hub_kv_iter_free(iter);
    struct hub_kv_batch *batch = hub_kv_batch_new();
    hub_kv_batch_delete(batch, kv, family_of("meta"), HUB_SPAN("form"));
    assert_int_equal(hub_kv_write(kv, batch, false, NULL), HUB_OK);
    hub_kv_batch_free(batch);
    free(o.of_event.records);
}

static void a_store_of_the_older_form_is_made_new(void **state)
{
    static struct events events;
    (void)state;
    for (int half = 0; half < 2; half++) { /* half: a crash on the way */
        struct whole whole;
        uint8_t digest[32];
        seed = 77;
        make_events(&events);
        apply_whole(&whole, &events);
        make_older(whole.kv, whole.timeline, half != 0);
        hub_timeline_close(whole.timeline);
        assert_int_equal(hub_timeline_open(whole.kv, &OPTIONS, &whole.timeline, NULL), HUB_OK);
        assert_int_equal(hub_timeline_state_digest(whole.timeline, digest, NULL), HUB_OK);
        assert_memory_equal(digest, whole.digest, sizeof digest);
        for (size_t i = 0; i < events.count; i++) { /* and they are all known */
            assert_int_equal(hub_timeline_apply(whole.timeline, events.items[i], NULL, NULL), HUB_OK);
            struct hub_json *json = NULL;
            assert_int_equal(hub_json_parse(&arena, events.items[i], &json, NULL), HUB_OK);
            assert_int_equal(hub_timeline_each_entry(whole.timeline, hub_json_get_span(json, "subject"), has_sha256, NULL, NULL), HUB_OK);
        }
        assert_int_equal(hub_timeline_flush(whole.timeline, 1, false, NULL), HUB_OK);
        assert_int_equal(hub_timeline_state_digest(whole.timeline, digest, NULL), HUB_OK);
        assert_memory_equal(digest, whole.digest, sizeof digest);
        /* a part of the timeline is no other part */
        struct hub_timeline *other = NULL;
        struct hub_timeline_options part = OPTIONS;
        part.part = HUB_TIMELINE_PARTITION;
        hub_timeline_close(whole.timeline);
        assert_int_equal(hub_timeline_open(whole.kv, &part, &other, NULL), HUB_CORRUPT);
        hub_kv_close(whole.kv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_store_of_the_older_form_is_made_new, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
