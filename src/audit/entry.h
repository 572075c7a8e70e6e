/* Audit entries: one JSON object of tokens, ids, names of the configuration and hashes; never PHI. Canonical
 * form, at most HUB_AUDIT_ENTRY_MAX bytes. They travel inside event log records; the tree is derived. */
#pragma once

#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum { HUB_AUDIT_ENTRY_MAX = 60000 };

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
    HUB_AUDIT_KIND_COUNT
};
const char *hub_audit_kind_name(enum hub_audit_kind kind); /* "message-accepted", "read", ... */

/* Builder: begin, members in any order, end. Values must be tokens, ids, configured names, fixed texts or
 * numbers. Members are written in canonical order at the end. */
struct hub_audit_builder {
    enum hub_audit_kind kind;
    int64_t time_us;
    struct { const char *name; char text[128]; bool number; } members[16];
    size_t count;
    const struct hub_span *list; /* optional: one list member, e.g. tokens or event hashes */
    size_t list_count;
    const char *list_name;
};
void hub_audit_begin(struct hub_audit_builder *builder, enum hub_audit_kind kind, int64_t time_us);
void hub_audit_text(struct hub_audit_builder *builder, const char *name, const char *value);
void hub_audit_span(struct hub_audit_builder *builder, const char *name, struct hub_span value);
void hub_audit_number(struct hub_audit_builder *builder, const char *name, int64_t value);
/* At most one list; ITEMS live until end. */
void hub_audit_list(struct hub_audit_builder *builder, const char *name, const struct hub_span *items, size_t count);
/* Appends the JSON to OUT. */
void hub_audit_end(struct hub_audit_builder *builder, struct hub_buf *out);
