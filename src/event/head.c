#include "src/event/head.h"

#include <stddef.h>
#include <string.h>

struct cursor {
    const uint8_t *at, *end;
};

/* At an opening quote; behind the closing one afterwards. PLAIN tells that no escape is inside. */
static bool take_string(struct cursor *c, struct hub_span *text, bool *plain)
{
    const uint8_t *start = ++c->at;
    *plain = true;
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (*c->at != '\\')
            continue;
        *plain = false;
        c->at++;
    }
    if (c->at >= c->end)
        return false;
    *text = hub_span_of(start, (size_t)(c->at++ - start));
    return true;
}

/* Over one value of any kind. */
static bool skip_value(struct cursor *c)
{
    size_t depth = 0;
    do {
        if (c->at >= c->end)
            return false;
        struct hub_span text;
        bool plain;
        switch (*c->at) {
        case '"':
            if (!take_string(c, &text, &plain))
                return false;
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (depth == 0)
                return false;
            depth--;
            break;
        case ',':
            if (depth == 0)
                return false;
            break;
        default:
            break;
        }
        c->at++;
    } while (depth != 0 || (c->at < c->end && *c->at != ',' && *c->at != '}'));
    return true;
}

static const struct {
    const char *name;
    size_t offset;
} members[] = {
    {"id", offsetof(struct hub_event_head, id)},
    {"identity", offsetof(struct hub_event_head, identity)},
    {"messagetime", offsetof(struct hub_event_head, messagetime)},
    {"origin", offsetof(struct hub_event_head, origin)},
    {"originrecorded", offsetof(struct hub_event_head, originrecorded)},
    {"recordedtime", offsetof(struct hub_event_head, recordedtime)},
    {"revision", offsetof(struct hub_event_head, revision)},
    {"source", offsetof(struct hub_event_head, source)},
    {"subject", offsetof(struct hub_event_head, subject)},
    {"supersedes", offsetof(struct hub_event_head, supersedes)},
    {"time", offsetof(struct hub_event_head, time)},
};

static struct hub_span *member_of(struct hub_event_head *head, struct hub_span name)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (hub_span_is(name, members[i].name))
            return (struct hub_span *)((char *)head + members[i].offset);
    return NULL;
}

static bool take_member(struct cursor *c, struct hub_event_head *head)
{
    struct hub_span name;
    bool plain;
    if (c->at >= c->end || *c->at != '"' || !take_string(c, &name, &plain) || c->at >= c->end || *c->at++ != ':')
        return false;
    struct hub_span *into = member_of(head, name);
    if (into == NULL)
        return skip_value(c);
    return c->at < c->end && *c->at == '"' && take_string(c, into, &plain) && plain;
}

/* The start of EVENT up to the member behind `data`, NULL where it has no such order. The last place where that
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
    struct cursor c = {event.ptr, event.ptr + event.len};
    *out = (struct hub_event_head){0};
    HUB_ENSURE(event.len >= 2 && *c.at == '{', HUB_SYNTAX);
    const uint8_t *tail = behind_data(event);
    if (tail != NULL)
        c.at = tail;
    do {
        c.at++;
        HUB_ENSURE(take_member(&c, out), HUB_SYNTAX);
    } while (c.at < c.end && *c.at == ',');
    HUB_ENSURE(c.at + 1 == c.end && *c.at == '}', HUB_SYNTAX);
    return out->id.len != 0 && out->subject.len != 0 ? HUB_OK : HUB_SYNTAX;
}
