/* Messages through the real tables: a context with a small configuration, one message at a time, and ways to
 * look at what came out. Messages are written with \n, sent with \r. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/formats/hl7v2/format.h"

enum { FIXTURE_ARENA_MAX = 64 * 1024 * 1024, FIXTURE_MESSAGE_MAX = 65536 };

struct fixture {
    struct hub_config config;
    struct hub_feed feed;
    struct hub_authority authorities[2];
    const char *trust[2];
    void *context;
    struct hub_arena arena;
    char message[FIXTURE_MESSAGE_MAX];
    size_t message_len;
    struct hub_decoded decoded;
    struct hub_error err;
    struct hub_json *report;
};

static inline void fixture_configure(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->authorities[0] = (struct hub_authority){.name = "GENHOSP", .system = "urn:oid:1.2.3.4", .primary = true};
    f->authorities[1] = (struct hub_authority){.name = "STATE", .system = "urn:oid:1.2.3.5"};
    f->config = (struct hub_config){.path = "hub.yaml", .schema_dir = CHARTLINE_SOURCE_DIR "/schemas", .authorities = f->authorities,
                                    .authority_count = 2};
    f->trust[0] = "GENHOSP";
    f->feed = (struct hub_feed){.name = "adt", .id = "f1", .timezone = "America/New_York", .default_authority = "GENHOSP",
                                .trust_links = f->trust, .trust_link_count = 1};
}

static inline void fixture_open(struct fixture *f, const struct hub_feed *feed)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    f->context = hub_format_hl7v2.open(&f->config, feed, &problems);
    if (f->context == NULL)
        (void)hub_problems_print(&problems, stderr);
    assert_non_null(f->context);
    hub_problems_deinit(&problems);
    hub_arena_init(&f->arena, FIXTURE_ARENA_MAX);
}

static inline int fixture_setup(void **state)
{
    static struct fixture f;
    fixture_configure(&f);
    fixture_open(&f, &f.feed);
    *state = &f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    hub_arena_deinit(&f->arena);
    hub_format_hl7v2.close(f->context);
    return 0;
}

static inline void fixture_load(struct fixture *f, const char *text)
{
    f->message_len = strlen(text);
    assert_true(f->message_len < sizeof f->message);
    for (size_t i = 0; i < f->message_len; i++)
        f->message[i] = text[i] == '\n' ? '\r' : text[i];
    hub_arena_reset(&f->arena);
    memset(&f->err, 0, sizeof f->err);
}

static inline enum hub_result fixture_decode(struct fixture *f, const char *text)
{
    fixture_load(f, text);
    return hub_format_hl7v2.decode(f->context, &f->arena, hub_span_of(f->message, f->message_len), &f->decoded, &f->err);
}

static inline struct hub_event *fixture_good(struct fixture *f, const char *text)
{
    enum hub_result result = fixture_decode(f, text);
    if (result != HUB_OK)
        (void)fprintf(stderr, "%s at %s\n", hub_result_text(result), f->err.place);
    assert_int_equal(result, HUB_OK);
    assert_true(f->decoded.event_count >= 1);
    return &f->decoded.events[0];
}

/* The NTH resource of that kind (entries) or, with kind NONE, of that type. */
static inline struct hub_resource *fixture_find(struct hub_event *event, enum hub_kind kind, const char *type, unsigned nth)
{
    for (uint32_t i = 0; i < event->resource_count; i++) {
        struct hub_resource *r = &event->resources[i];
        if (r->entry.kind == kind && (type == NULL || strcmp(r->type, type) == 0) && nth-- == 0)
            return r;
    }
    return NULL;
}

static inline unsigned fixture_count(struct hub_event *event, enum hub_kind kind)
{
    unsigned count = 0;
    while (fixture_find(event, kind, NULL, count) != NULL)
        count++;
    return count;
}

/* JSON of a node, in the arena of the fixture. */
static inline const char *fixture_json(struct fixture *f, const struct hub_json *node)
{
    struct hub_buf buf;
    hub_buf_init(&buf, 1 << 20, false);
    if (node != NULL)
        hub_json_write(&buf, node);
    const char *copy = (const char *)hub_arena_copy(&f->arena, hub_buf_view(&buf)).ptr;
    hub_buf_deinit(&buf);
    return copy;
}

/* A key as one text: parts with | between, S in front for with_subject. */
static inline const char *fixture_key(struct fixture *f, const struct hub_fact_key *key)
{
    const char *out = key->with_subject ? "S" : "";
    for (uint16_t i = 0; i < key->part_count; i++)
        out = hub_arena_printf(&f->arena, "%s/%.*s", out, (int)key->parts[i].len, (const char *)key->parts[i].ptr);
    return out;
}

#define assert_json(f, node, text) assert_string_equal(fixture_json((f), (node)), (text))
#define assert_span(span, text) assert_true(hub_span_is((span), (text)))
