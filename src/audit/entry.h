/* Audit entries: one JSON object of tokens, ids, names of the configuration and hashes; never PHI. Canonical
 * form (sorted members, no white space), at most HUB_AUDIT_ENTRY_MAX bytes. They travel inside event log
 * records; the tree is derived. docs/FORMATS.md lists the members of every kind.
 *
 * Pure functions, any thread; a builder belongs to one thread. Misuse of the builder (too many members, a
 * reserved or invalid name) is our own mistake and asserts. */
#pragma once

#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum {
    HUB_AUDIT_ENTRY_MAX = 60000,
    HUB_AUDIT_MEMBERS_MAX = 16,
    HUB_AUDIT_TEXT_MAX = 127, /* bytes of one value; longer ones are cut at a character */
    HUB_AUDIT_LIST_MAX = 700, /* items of at most 64 characters that surely stand in the entry one by one */
};

enum hub_audit_kind {
    HUB_AUDIT_ACCEPTED,
    HUB_AUDIT_REJECTED,
    HUB_AUDIT_DEAD_LETTERED,
    HUB_AUDIT_REPLAYED,
    HUB_AUDIT_READ,
    HUB_AUDIT_KEY_CREATED,
    HUB_AUDIT_KEY_ROTATED,
    HUB_AUDIT_KEY_GRANTED,
    HUB_AUDIT_KEY_REVOKED,
    HUB_AUDIT_KEY_SHREDDED,
    HUB_AUDIT_POLICY_LOADED,
    HUB_AUDIT_CONFIG_LOADED,
    HUB_AUDIT_LOGIN_REFUSED,
    HUB_AUDIT_BREAK_GLASS,
    HUB_AUDIT_LOG_STARTED,
    HUB_AUDIT_LOG_STOPPED,
    HUB_AUDIT_LOG_READ,
    HUB_AUDIT_FEED_PAUSED,
    HUB_AUDIT_FEED_RESUMED,
    HUB_AUDIT_LETTER_RESOLVED,
    HUB_AUDIT_LOG_RETIRED,

    HUB_AUDIT_REVISED,
    HUB_AUDIT_FEED_REMAPPED,
    HUB_AUDIT_KIND_COUNT
};
const char *hub_audit_kind_name(enum hub_audit_kind kind); /* "message-accepted", "read", ...; static */

/* In message-accepted and message-revised: the list of the stored events' SHA-256, lower case hex, in the order of the record.
 * `audit verify --events` compares it with the event log. */
#define HUB_AUDIT_EVENTS "events"

/* Builder: begin, members in any order, end. Values must be tokens, ids, configured names, fixed texts or
 * numbers. Members are written in canonical order at the end. */
struct hub_audit_builder {
    enum hub_audit_kind kind;
    int64_t time_us;
    struct hub_audit_member {
        const char *name; /* a literal */
        char text[HUB_AUDIT_TEXT_MAX + 1];
        bool number;
    } members[HUB_AUDIT_MEMBERS_MAX];
    size_t count;
    const struct hub_span *list; /* optional: one list member, e.g. tokens or event hashes */
    size_t list_count;
    const char *list_name;
};
void hub_audit_begin(struct hub_audit_builder *builder, enum hub_audit_kind kind, int64_t time_us);
/* NAME is a literal of lower case letters, digits and "_" other than kind and time; given again, the later
 * value stands. VALUE is copied; NULL or empty leaves the member out. Control characters, and bytes that are
 * not UTF-8, become "?". */
void hub_audit_text(struct hub_audit_builder *builder, const char *name, const char *value);
void hub_audit_span(struct hub_audit_builder *builder, const char *name, struct hub_span value);
void hub_audit_number(struct hub_audit_builder *builder, const char *name, int64_t value);
/* At most one list; ITEMS live until end. A list that would not fit into the entry is written as
 * {"count":n,"sha256":hex of all items, each ended by a newline}; split lists of tokens at
 * HUB_AUDIT_LIST_MAX over several entries instead. */
void hub_audit_list(struct hub_audit_builder *builder, const char *name, const struct hub_span *items, size_t count);
/* Appends the JSON to OUT; check hub_buf_result afterwards. The builder may be used for another begin. */
void hub_audit_end(struct hub_audit_builder *builder, struct hub_buf *out);
/* The same behind its length as 4 bytes, big endian: one of several entries of a commit item. */
void hub_audit_add(struct hub_audit_builder *builder, struct hub_buf *out);
