/* The other end of a hub's control socket (docs/FORMATS.md "control socket"), and one way to ask whichever
 * there is: a running hub through its socket, else the data directory itself under its lock. One thread at a
 * time. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"
#include "src/pipeline/hub.h"

struct hub_client;

enum { HUB_CLIENT_LINE_MAX = 1024 * 1024 * 1024 };

/* Connects to <data_dir>/control.sock. HUB_NOT_FOUND: no hub runs here (no socket, or nobody listens);
 * HUB_DENIED: the socket belongs to another user. */
enum hub_result hub_client_connect(const char *data_dir, struct hub_client **out,
                                   struct hub_error *err) HUB_MUST_USE;
/* The same interface without a socket: requests go to a session of HUB (the caller's, offline) in this
 * process. */
enum hub_result hub_client_local(struct hub *hub, const char *peer, struct hub_client **out,
                                 struct hub_error *err) HUB_MUST_USE;
/* NULL is fine. */
void hub_client_close(struct hub_client *client);

/* Sends REQUEST (one JSON object without newline) and calls LINE for each line of the answer but the last;
 * the span is valid during the call; LINE returns false to stop early (the connection is then only good for
 * closing). The last line: {"done":true,...} gives HUB_OK; {"error":{...}} gives its result with `code`
 * looked up by name, its place and texts in ERR. HUB_NETWORK: the hub went away. */
enum hub_result hub_client_ask(struct hub_client *client, struct hub_span request,
                               bool (*line)(void *ctx, struct hub_span json), void *ctx,
                               struct hub_error *err) HUB_MUST_USE;
