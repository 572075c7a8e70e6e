/* Assigning authorities in canonical form and which identifiers make patient tokens (RULES, Identifiers and
 * authorities). Pure functions over the configuration. Any thread. */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/base/span.h"
#include "src/config/config.h"

/* An HD as sent, unescaped and trimmed: namespace (HD-1), universal id (HD-2), its type (HD-3). */
struct hub_hd {
    struct hub_span namespace_id;
    struct hub_span universal_id;
    struct hub_span universal_type;
};

struct hub_authority_view {
    struct hub_span system; /* canonical; lives in the arena or the configuration */
    bool configured;
    bool primary;
    unsigned rank; /* position in `authorities`, UINT_MAX when not configured */
};

/* A configured name, alias or system gives its system; else urn:oid: / urn:uuid: + HD-2; else
 * urn:chartline:ns:<MSH-4>:<HD-1>; empty: the feed's default_authority, else
 * urn:chartline:local:<feed id>:<MSH-4>. FACILITY is MSH-4's namespace (or universal id when that is empty).
 * Parts put into a urn are percent-encoded where they are not unreserved characters (RFC 3986 2.3). */
enum hub_result hub_authority_canonical(struct hub_arena *arena, const struct hub_config *config, const struct hub_feed *feed,
                                        const struct hub_hd *hd, struct hub_span facility, struct hub_authority_view *out) HUB_MUST_USE;
/* PID-3 / MRG-1: of a configured authority, or of type MR, PI or PT; value not empty. */
bool hub_identifier_eligible(const struct hub_authority_view *authority, struct hub_span type, struct hub_span value);
/* identity.ignore patterns (placeholders). */
bool hub_identifier_placeholder(const struct hub_config *config, struct hub_span value);
