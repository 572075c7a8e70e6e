/* Addresses of listeners and peers as text: "host:port" and "[v6]:port". Any thread. */
#pragma once

#include <sys/socket.h>

#include "src/base/result.h"

struct hub_net_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

enum { HUB_NET_ADDRESS_TEXT = 64 };

/* LISTEN: a numeric address, "localhost" or "*", port 0 allowed; nothing is looked up. Otherwise the name is
 * resolved, which may block. HUB_CONFIG when it is not an address; HUB_NETWORK when a name is unknown. */
enum hub_result hub_net_address_parse(const char *text, bool listen, struct hub_net_address *out,
                                      struct hub_error *err) HUB_MUST_USE;
bool hub_net_address_loopback(const struct hub_net_address *address);
/* "10.1.2.3:45678", "[2001:db8::1]:45678"; "?" for other families. */
void hub_net_address_print(const struct hub_net_address *address, char out[HUB_NET_ADDRESS_TEXT]);
