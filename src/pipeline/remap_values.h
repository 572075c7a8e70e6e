/* The values behind the differences of `feed diff --values`: what one message was and would be, element by element, in the
 * clear. Only for a connection that proved a role with `raw`, who can read the originals anyway; each read is audited
 * before the message is opened, by the caller. A request's thread. */
#pragma once

#include "src/codec/json.h"
#include "src/pipeline/session.h"

enum {
    HUB_REMAP_VALUES_MAX = 1000,      /* differences shown; the rest is counted */
    HUB_REMAP_VALUE_BYTES_MAX = 1000, /* of one value, as JSON; of a longer one only that it is */
};

struct hub_remap_values {
    struct hub_request *request;
    struct hub_arena *arena; /* of one message */
    const char *message_id;
    uint64_t count;
    enum hub_result result;
};

/* HUB_AUTH: no role was proven; HUB_DENIED: it has no `raw`, or no longer. */
enum hub_result hub_remap_values_allowed(struct hub_request *request, struct hub_error *err) HUB_MUST_USE;
/* A hub_diff_sample_fn of CTX, a struct hub_remap_values: answers {"value":{"after","before","id","path"}}. */
void hub_remap_values_send(void *ctx, struct hub_span path, const struct hub_json *before, const struct hub_json *after);
