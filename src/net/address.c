#include "src/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "src/base/span.h"
#include "src/net/net.h"

enum { HOST_MAX = 256 };

static enum hub_result split(const char *text, char host[HOST_MAX], uint16_t *port, struct hub_error *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t number = 0;
    if (colon == NULL || !hub_span_parse_u64(hub_span_str(colon + 1), &number) || number > UINT16_MAX)
        return hub_fail(err, HUB_CONFIG, "an address has no port",
                        "write host:port, or [address]:port for IPv6");
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return hub_fail(err, HUB_CONFIG, "an IPv6 address needs brackets", "write [address]:port");
    }
    if (len == 0 || len >= HOST_MAX)
        return hub_fail(err, HUB_CONFIG, "an address has no host", "write host:port; * is every address");
    memcpy(host, text, len);
    host[len] = '\0';
    *port = (uint16_t)number;
    return HUB_OK;
}

static bool numeric(const char *host, uint16_t port, struct hub_net_address *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out->len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out->len = sizeof(*v6);
        return true;
    }
    return false;
}

static enum hub_result resolve(const char *host, uint16_t port, struct hub_net_address *out,
                               struct hub_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0 || found == NULL ||
        found->ai_addrlen > sizeof(out->storage)) {
        if (found != NULL)
            freeaddrinfo(found);
        return hub_fail(err, HUB_NETWORK, "the host name cannot be resolved", NULL);
    }
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    return HUB_OK;
}

enum hub_result hub_net_address_parse(const char *text, bool listen, struct hub_net_address *out,
                                      struct hub_error *err)
{
    char host[HOST_MAX];
    uint16_t port = 0;
    memset(out, 0, sizeof(*out));
    HUB_TRY(split(text, host, &port, err));
    if (listen && strcmp(host, "*") == 0)
        return numeric("::", port, out) ? HUB_OK : HUB_INTERNAL;
    if (listen && strcmp(host, "localhost") == 0)
        return numeric("127.0.0.1", port, out) ? HUB_OK : HUB_INTERNAL;
    if (numeric(host, port, out))
        return HUB_OK;
    if (listen)
        return hub_fail(err, HUB_CONFIG, "a listener needs a numeric address",
                        "write an address, localhost or *");
    return resolve(host, port, out, err);
}

bool hub_net_address_loopback(const struct hub_net_address *address)
{
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
    return address->storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

void hub_net_address_print(const struct hub_net_address *address, char out[HUB_NET_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        (void)snprintf(out, HUB_NET_ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        (void)snprintf(out, HUB_NET_ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        (void)snprintf(out, HUB_NET_ADDRESS_TEXT, "?");
    }
}

enum hub_result hub_net_address_check(const char *address, bool *loopback, struct hub_error *err)
{
    struct hub_net_address parsed;
    HUB_TRY(hub_net_address_parse(address, true, &parsed, err));
    *loopback = hub_net_address_loopback(&parsed);
    return HUB_OK;
}
