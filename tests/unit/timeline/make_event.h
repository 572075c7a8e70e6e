/* Builds CloudEvents as they are stored, unsealed, for tests of the timeline and the query. */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/arena.h"
#include "src/base/clock.h"
#include "src/base/span.h"
#include "src/codec/json.h"

/* 2026-05-01T00:00:00Z plus MINUTES. */
static inline const char *minute(struct hub_arena *arena, int minutes)
{
    char text[HUB_TIME_TEXT_LEN + 1];
    hub_time_format((INT64_C(1777593600) + (int64_t)minutes * 60) * 1000000, text);
    return (const char *)hub_arena_copy(arena, hub_span_str(text)).ptr;
}

struct entry_spec {
    const char *type, *id, *kind;
    const char *facts;                         /* comma separated, at most two */
    const char *mode, *act, *list, *encounter; /* NULL = absent */
    int class_;                                /* -1 = absent */
    int effective, version;                    /* minutes, -1 = absent */
    bool list_marks;
    const char *body; /* more members of the resource: ,"status":"final" */
};

static inline void put_word(struct hub_buf *out, const char *name, const char *value)
{
    if (value != NULL)
        hub_buf_printf(out, " %s=%s", name, value);
}

static inline const char *make_entry(struct hub_arena *arena, const struct entry_spec *spec)
{
    struct hub_buf out;
    hub_buf_init(&out, 1 << 20, false);
    hub_buf_printf(&out, "{\"resource\":{\"resourceType\":\"%s\",\"id\":\"%s\"%s", spec->type, spec->id,
                   spec->body != NULL ? spec->body : "");
    if (spec->kind != NULL) {
        hub_buf_printf(&out, ",\"extension\":[{\"url\":\"urn:chartline:entry\",\"valueString\":\"kind=%s",
                       spec->kind);
        const char *comma = spec->facts != NULL ? strchr(spec->facts, ',') : NULL;
        if (comma != NULL)
            hub_buf_printf(&out, " fact=%.*s", (int)(comma - spec->facts), spec->facts);
        put_word(&out, "fact", comma != NULL ? comma + 1 : spec->facts);
        put_word(&out, "mode", spec->mode);
        put_word(&out, "act", spec->act);
        put_word(&out, "list", spec->list);
        put_word(&out, "encounter", spec->encounter);
        if (spec->class_ >= 0)
            hub_buf_printf(&out, " class=%d", spec->class_);
        if (spec->effective >= 0)
            put_word(&out, "effective", minute(arena, spec->effective));
        if (spec->version >= 0)
            put_word(&out, "version", minute(arena, spec->version));
        put_word(&out, "list-marks", spec->list_marks ? "true" : NULL);
        hub_buf_append_str(&out, "\"}]");
    }
    hub_buf_append_str(&out, "}}");
    const char *text = (const char *)hub_arena_copy(arena, hub_buf_view(&out)).ptr;
    hub_buf_deinit(&out);
    return text;
}

struct event_spec {
    const char *id, *subject, *identity, *source; /* source NULL = /feeds/one */
    int time, recorded;                           /* minutes; the message time is TIME */
    const char *entries;                          /* "resource" objects, comma separated */
    const char *revision, *origin, *supersedes;   /* of a revision: "1", event id, event ids; NULL = the first mapping */
    int origin_recorded;                          /* minutes */
};

static inline const char *make_revision(struct hub_arena *arena, const struct event_spec *spec)
{
    return spec->revision == NULL
               ? ""
               : hub_arena_printf(arena,
                                  "\"revision\":\"%s\",\"origin\":\"%s\",\"originrecorded\":\"%s\",\"supersedes\":\"%s\",",
                                  spec->revision, spec->origin, minute(arena, spec->origin_recorded),
                                  spec->supersedes);
}

/* TEXT as the hub writes it. */
static inline struct hub_span canonical(struct hub_arena *arena, const char *text)
{
    struct hub_json *json = NULL;
    struct hub_buf out;
    hub_buf_init(&out, 64 << 20, false);
    if (hub_json_parse(arena, hub_span_str(text), &json, NULL) != HUB_OK)
        abort();
    hub_json_write(&out, json);
    struct hub_span copy = hub_arena_copy(arena, hub_buf_view(&out));
    hub_buf_deinit(&out);
    return copy;
}

static inline struct hub_span make_event(struct hub_arena *arena, const struct event_spec *spec)
{
    const char *text = hub_arena_printf(
        arena,
        "{\"specversion\":\"1.0\",\"type\":\"chartline.patient.event.v1\",\"id\":\"%s\",\"source\":\"%s\","
        "\"subject\":\"%s\","
        "\"time\":\"%s\",\"messagetime\":\"%s\",\"recordedtime\":\"%s\",\"trigger\":\"ADT^A08\",\"identity\":"
        "\"%s\",\"seal\":\"none\",%s"
        "\"data\":{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[%s]}}",
        spec->id, spec->source != NULL ? spec->source : "/feeds/one", spec->subject,
        minute(arena, spec->time), minute(arena, spec->time), minute(arena, spec->recorded),
        spec->identity != NULL ? spec->identity : "", make_revision(arena, spec), spec->entries != NULL ? spec->entries : "");
    return canonical(arena, text);
}
