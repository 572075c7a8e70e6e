#include "src/event/head.h"

#include <stddef.h>
#include <string.h>

enum form { PLAIN, AS_IT_STANDS };

static const struct {
    const char *name;
    size_t offset;
    enum form form;
} members[] = {
    {"id", offsetof(struct hub_event_head, id), PLAIN},
    {"identity", offsetof(struct hub_event_head, identity), PLAIN},
    {"messagetime", offsetof(struct hub_event_head, messagetime), PLAIN},
    {"origin", offsetof(struct hub_event_head, origin), PLAIN},
    {"originrecorded", offsetof(struct hub_event_head, originrecorded), PLAIN},
    {"recordedtime", offsetof(struct hub_event_head, recordedtime), PLAIN},
    {"revision", offsetof(struct hub_event_head, revision), PLAIN},
    {"seal", offsetof(struct hub_event_head, seal), PLAIN},
    {"source", offsetof(struct hub_event_head, source), PLAIN},
    {"subject", offsetof(struct hub_event_head, subject), PLAIN},
    {"supersedes", offsetof(struct hub_event_head, supersedes), PLAIN},
    {"time", offsetof(struct hub_event_head, time), PLAIN},
    {"trigger", offsetof(struct hub_event_head, trigger), AS_IT_STANDS},
};

static bool take_member(struct hub_scan *scan, struct hub_span name, struct hub_event_head *head)
{
    struct hub_scan_word word;
    size_t i = 0;
    while (i < sizeof members / sizeof members[0] && !hub_span_is(name, members[i].name))
        i++;
    if (i == sizeof members / sizeof members[0])
        return hub_scan_value(scan, NULL);
    struct hub_span *into = (struct hub_span *)((char *)head + members[i].offset);
    if (!hub_scan_string(scan, &word) || (!word.plain && members[i].form == PLAIN))
        return false;
    *into = word.text;
    return true;
}

/* From behind an opened object's bracket, or from a comma in it, to the event's end. */
static enum hub_result read_members(struct hub_scan *scan, struct hub_scan_name *name, enum hub_result (*data)(void *ctx, struct hub_scan *scan),
                                    void *ctx, struct hub_event_head *out)
{
    enum hub_result result = HUB_SYNTAX;
    *out = (struct hub_event_head){.id = HUB_SPAN_NONE};
    while ((result = hub_scan_member(scan, name)) == HUB_OK) {
        if (hub_scan_is(name, "data"))
            HUB_TRY(data(ctx, scan));
        else
            HUB_ENSURE(take_member(scan, name->word.text, out), HUB_SYNTAX);
    }
    HUB_ENSURE(result == HUB_END && hub_scan_done(scan), HUB_SYNTAX);
    return out->id.len != 0 && out->subject.len != 0 ? HUB_OK : HUB_SYNTAX;
}

enum hub_result hub_event_read(struct hub_span event, enum hub_result (*data)(void *ctx, struct hub_scan *scan), void *ctx,
                               struct hub_event_head *out)
{
    struct hub_scan scan;
    struct hub_scan_name name = {.begun = false};
    hub_scan_init(&scan, event);
    HUB_ENSURE(hub_scan_open(&scan, '{'), HUB_SYNTAX);
    return read_members(&scan, &name, data, ctx, out);
}

static enum hub_result skip_data(void *ctx, struct hub_scan *scan)
{
    (void)ctx;
    return hub_scan_value(scan, NULL) ? HUB_OK : HUB_SYNTAX;
}

/* The comma before the member behind `data`, NULL where EVENT has no such order. The last place where that
 * member's name stands is the right one: quotes in texts are escaped, and from a place inside `data` the rest would
 * not end with the event, which hub_event_head sees. */
static const uint8_t *behind_data(struct hub_span event)
{
    static const char start[] = "{\"data\":{", next[] = "},\"datacontenttype\":\"";
    enum { START = sizeof start - 1, NEXT = sizeof next - 1 };
    if (event.len < START + NEXT || memcmp(event.ptr, start, START) != 0)
        return NULL;
    for (size_t at = event.len - NEXT; at >= START; at--)
        if (event.ptr[at] == '}' && memcmp(event.ptr + at, next, NEXT) == 0)
            return event.ptr + at + 1;
    return NULL;
}

enum hub_result hub_event_head(struct hub_span event, struct hub_event_head *out)
{
    const uint8_t *tail = behind_data(event);
    if (tail == NULL)
        return hub_event_read(event, skip_data, NULL, out);
    struct hub_scan scan = {.at = tail, .end = event.ptr + event.len, .depth = 1};
    struct hub_scan_name name = {.word.text = HUB_SPAN("data"), .begun = true};
    return read_members(&scan, &name, skip_data, NULL, out);
}
