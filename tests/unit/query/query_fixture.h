/* For tests of what a chart shows: versions are made as entry records; every check is made in many orders of the
 * records, so that arrival never counts. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/base/buf.h"
#include "src/crypto/crypto.h"
#include "src/query/query.h"
#include "tests/unit/timeline/make_event.h"

enum { RECORDS_MAX = 32, ORDERS = 20 };

static struct hub_arena arena;
static struct hub_json *records[RECORDS_MAX];
static size_t record_count;
static struct hub_query query;
static uint32_t seed = 3;

static inline uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % sides;
}

static inline int setup(void **state)
{
    (void)state;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    hub_arena_init(&arena, 64 << 20);
    record_count = 0;
    query = (struct hub_query){.at_us = INT64_MAX, .known_at_us = INT64_MAX};
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

struct say {
    const char *event, *source, *trigger, *subject; /* NULL: /feeds/one, ADT^A08, 1a */
    int time;     /* message time, and effective and version where those are 0 */
    int recorded; /* 0: one after TIME */
    int ordinal;
    struct entry_spec entry;
};

static inline struct hub_json *parse(const char *text)
{
    struct hub_json *json = NULL;
    struct hub_error err = {.what = ""};
    if (hub_json_parse(&arena, hub_span_str(text), &json, &err) != HUB_OK)
        fail_msg("bad JSON: %s", text);
    return json;
}

static inline void add_record(const char *text)
{
    assert_true(record_count < RECORDS_MAX);
    records[record_count++] = parse(text);
}

static inline void say(struct say s)
{
    if (s.entry.effective == 0)
        s.entry.effective = s.time;
    if (s.entry.version == 0)
        s.entry.version = s.time;
    const char *entry = make_entry(&arena, &s.entry);
    size_t len = strlen(entry);
    const char *record = hub_arena_printf(
        &arena,
        "{\"id\":\"%s\",\"event\":\"%s\",\"source\":\"%s\",\"trigger\":\"%s\",\"subject\":\"%s\",\"kind\":\"%"
        "s\",\"ordinal\":%d,\"seal\":\"none\","
        "\"effective\":\"%s\",\"time\":\"%s\",\"messagetime\":\"%s\",\"recorded\":\"%s\",%.*s}",
        s.entry.id, s.event, s.source != NULL ? s.source : "/feeds/one",
        s.trigger != NULL ? s.trigger : "ADT^A08", s.subject != NULL ? s.subject : "1a",
        s.entry.kind != NULL ? s.entry.kind : "support", s.ordinal, minute(&arena, s.entry.effective),
        minute(&arena, s.time), minute(&arena, s.time),
        minute(&arena, s.recorded != 0 ? s.recorded : s.time + 1), (int)len - 2, entry + 1);
    add_record(record);
}

static inline struct hub_json *ask(void)
{
    struct hub_json *out = NULL;
    const char *before = NULL;
    for (unsigned turn = 0; turn < ORDERS; turn++) {
        struct hub_error err = {.what = ""};
        assert_int_equal(
            hub_query_chart(&arena, HUB_SPAN("1a"), records, record_count, &query, NULL, &out, &err), HUB_OK);
        struct hub_buf text;
        hub_buf_init(&text, 1 << 20, false);
        hub_json_write(&text, out);
        if (before != NULL)
            assert_string_equal(hub_buf_str(&text), before);
        before = (const char *)hub_arena_copy(&arena, hub_buf_view(&text)).ptr;
        hub_buf_deinit(&text);
        for (size_t i = record_count; i > 1; i--) {
            size_t j = roll((uint32_t)i);
            struct hub_json *swap = records[i - 1];
            records[i - 1] = records[j];
            records[j] = swap;
        }
    }
    return out;
}

/* "o2:final<o1 ..." : id, status and what it supersedes of each entry shown. */
static inline const char *shown(void)
{
    struct hub_buf text;
    hub_buf_init(&text, 1 << 16, false);
    const struct hub_json *entries = hub_json_get(ask(), "entries");
    for (const struct hub_json *e = entries->first; e != NULL; e = e->next) {
        hub_buf_append_str(&text, text.len != 0 ? " " : "");
        hub_buf_append_span(&text, hub_json_get_span(e, "id"));
        if (hub_json_get_span(e, "status").len != 0) {
            hub_buf_append_byte(&text, ':');
            hub_buf_append_span(&text, hub_json_get_span(e, "status"));
        }
        if (hub_json_get_span(e, "supersedes").len != 0) {
            hub_buf_append_byte(&text, '<');
            hub_buf_append_span(&text, hub_json_get_span(e, "supersedes"));
        }
    }
    const char *copy = (const char *)hub_arena_copy(&arena, hub_span_str(hub_buf_str(&text))).ptr;
    hub_buf_deinit(&text);
    return copy;
}

/* The resource of the entry shown with that id, as canonical text. */
static inline struct hub_json *resource(const char *id)
{
    const struct hub_json *entries = hub_json_get(ask(), "entries");
    for (const struct hub_json *e = entries->first; e != NULL; e = e->next) {
        if (hub_span_is(hub_json_get_span(e, "id"), id))
            return hub_json_get(e, "resource");
    }
    fail_msg("no entry %s", id);
    return NULL;
}

static inline const char *element(const char *id, const char *name)
{
    struct hub_buf text;
    hub_buf_init(&text, 1 << 16, false);
    const struct hub_json *node = hub_json_get(resource(id), name);
    if (node != NULL)
        hub_json_write(&text, node);
    const char *copy = (const char *)hub_arena_copy(&arena, hub_span_str(hub_buf_str(&text))).ptr;
    hub_buf_deinit(&text);
    return copy;
}

static inline void observe(const char *id, const char *fact, int time, int class_, const char *status,
                    const char *act, const char *mode)
{
    say((struct say){.event = hub_arena_printf(&arena, "e-%s", id),
                     .time = time,
                     .trigger = "ORU^R01",
                     .entry = {.type = "Observation",
                               .id = id,
                               .kind = "observation",
                               .facts = fact,
                               .class_ = class_,
                               .act = act,
                               .mode = mode,
                               .effective = 1,
                               .body = hub_arena_printf(&arena, ",\"status\":\"%s\",\"valueString\":\"v-%s\"",
                                                        status, id)}});
}

static inline void demographics(const char *id, const char *subject, int time, const char *mode, const char *body)
{
    say((struct say){.event = hub_arena_printf(&arena, "e-%s", id),
                     .time = time,
                     .subject = subject,
                     .entry = {.type = "Patient",
                               .id = id,
                               .kind = "patient",
                               .facts = hub_arena_printf(&arena, "pat-%s", subject),
                               .class_ = 1,
                               .mode = mode,
                               .body = body}});
}

static inline void visit(const char *id, const char *trigger, int time, const char *act, const char *body)
{
    say((struct say){.event = hub_arena_printf(&arena, "e-%s", id),
                     .time = time,
                     .trigger = trigger,
                     .entry = {.type = "Encounter",
                               .id = id,
                               .kind = "encounter",
                               .facts = "visit",
                               .encounter = "enc",
                               .class_ = 1,
                               .mode = "fold",
                               .act = act,
                               .body = body}});
}

static inline void place(const char *id, const char *trigger, int time, const char *act, const char *where)
{
    say((struct say){
        .event = hub_arena_printf(&arena, "e-%s", id),
        .time = time,
        .trigger = trigger,
        .entry = {.type = "Encounter",
                  .id = id,
                  .kind = "location",
                  .facts = hub_arena_printf(&arena, "loc-%s", id),
                  .encounter = "enc",
                  .class_ = 1,
                  .act = act,
                  .body = where != NULL
                              ? hub_arena_printf(&arena,
                                                 ",\"status\":\"unknown\",\"location\":[{\"location\":{"
                                                 "\"display\":\"%s\"},\"status\":\"active\"}]",
                                                 where)
                              : NULL}});
}
