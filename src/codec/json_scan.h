/* Reading JSON in place, without a tree: for those who want few members of a long text and pass the rest on as it is. Takes
 * what hub_json_write writes (RFC 8785: no white space, names in the order of their bytes and each once, \u for control
 * characters only) and refuses everything else, so that what was scanned can be copied and parsed later. Pure, any thread.
 *
 *     HUB_ENSURE(hub_scan_open(&scan, '{'), HUB_SYNTAX);
 *     while ((result = hub_scan_member(&scan, &name)) == HUB_OK)
 *         ... one of hub_scan_string, hub_scan_open, hub_scan_value ...
 *     HUB_ENSURE(result == HUB_END, result); */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_scan {
    const uint8_t *at, *end;
    unsigned depth;
};

struct hub_scan_word {
    struct hub_span text; /* between the quotes, a view */
    bool plain;           /* no escape inside */
};

struct hub_scan_name { /* zero before the first member or item */
    struct hub_scan_word word;
    bool begun;
};

static inline void hub_scan_init(struct hub_scan *scan, struct hub_span text)
{
    *scan = (struct hub_scan){.at = text.ptr, .end = text.len != 0 ? text.ptr + text.len : text.ptr};
}
/* Whether everything was read. */
static inline bool hub_scan_done(const struct hub_scan *scan)
{
    return scan->at == scan->end;
}
/* What comes next: '"', '{', '[', or the first byte of a number or word; 0 at the end. */
static inline uint8_t hub_scan_peek(const struct hub_scan *scan)
{
    return scan->at < scan->end ? *scan->at : 0;
}

/* Over the BRACKET '{' or '['. False: something else is there, or too deep. */
bool hub_scan_open(struct hub_scan *scan, char bracket);
/* The name of the next member, and over its colon; its value comes next. HUB_END: there is none, the object is closed. HUB_SYNTAX. */
enum hub_result hub_scan_member(struct hub_scan *scan, struct hub_scan_name *name) HUB_MUST_USE;
/* The same in an array: the value comes next. */
enum hub_result hub_scan_item(struct hub_scan *scan, struct hub_scan_name *item) HUB_MUST_USE;
/* False: no string, or not a valid one. */
bool hub_scan_string(struct hub_scan *scan, struct hub_scan_word *word);
/* Over a value of any kind; VALUE (may be NULL) is its bytes. */
bool hub_scan_value(struct hub_scan *scan, struct hub_span *value);

static inline bool hub_scan_is(const struct hub_scan_name *name, const char *text)
{
    return hub_span_is(name->word.text, text);
}
/* What WORD says: a view, or where it has escapes a copy in ARENA. HUB_NO_MEMORY. */
enum hub_result hub_scan_text(struct hub_arena *arena, struct hub_scan_word word, struct hub_span *text) HUB_MUST_USE;
