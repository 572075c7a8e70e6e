#include "src/config/check.h"

#include <stdio.h>
#include <string.h>

#include "src/bus/bus.h"
#include "src/config/option.h"
#include "src/config/value.h"

enum { PATH_LEN = 96, KEYS_MAX = 6 };

struct checker {
    const struct hub_config *config;
    struct hub_problems *problems;
};

/* The line of the member that KEYS (NULL ended) lead to from NODE, or of the deepest one that is there. */
static uint32_t line_of(struct hub_yaml *node, const char *const keys[KEYS_MAX])
{
    uint32_t line = node != NULL ? node->line : 0;
    for (size_t i = 0; i < KEYS_MAX && keys[i] != NULL && node != NULL && node->type == HUB_YAML_MAP; i++) {
        node = hub_yaml_get(node, keys[i]);
        if (node != NULL)
            line = node->line;
    }
    return line;
}
#define LINE(node, ...) line_of((node), (const char *const[KEYS_MAX]){__VA_ARGS__})

static struct hub_yaml *item_of(struct hub_yaml *tree, const char *list, size_t index)
{
    struct hub_yaml *node = hub_yaml_get(tree, list);
    node = node != NULL && node->type == HUB_YAML_LIST ? node->first : NULL;
    while (node != NULL && index-- > 0)
        node = node->next;
    return node;
}

static void add(const struct checker *c, enum hub_severity severity, uint32_t line, const char *path,
                const char *what, const char *mend, const char *detail)
{
    hub_problems_add(c->problems, severity, c->config->path, line, path, what, mend, "%s", detail);
}

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* --- listeners --- */

static void check_listener(const struct checker *c, uint32_t line, const char *path, const char *listen,
                           bool tls, bool insecure)
{
    if (listen == NULL || tls)
        return;
    if (hub_option_loopback(listen))
        return;
    if (!insecure)
        add(c, HUB_SEVERITY_ERROR, line, path, "a listener without TLS outside loopback",
            "add tls: {cert, key, client_ca}, listen on 127.0.0.1, or write insecure: true beside it",
            listen);
    else
        add(c, HUB_SEVERITY_WARNING, line, path,
            "insecure: this listener takes patients' data in the clear, from anyone",
            "add tls: {cert, key, client_ca}", listen);
}

static void check_tls(const struct checker *c, uint32_t line, const char *path,
                      const struct hub_tls_server *tls)
{
    if (!tls->enabled)
        return;
    if (tls->client_ca == NULL && tls->allow_count > 0)
        add(c, HUB_SEVERITY_ERROR, line, path, "allow needs client certificates to check", "add client_ca",
            "");
    for (size_t i = 0; i < tls->allow_count; i++)
        if ((strncmp(tls->allow[i], "CN=", 3) != 0 && strncmp(tls->allow[i], "DNS:", 4) != 0) ||
            strlen(tls->allow[i]) > 250 || tls->allow[i][strcspn(tls->allow[i], "=:") + 1] == '\0')
            add(c, HUB_SEVERITY_ERROR, line, path, "not a certificate name", "write CN=name or DNS:name",
                tls->allow[i]);
}

/* --- feeds --- */

static bool authority_known(const struct hub_config *config, const char *name)
{
    for (size_t i = 0; i < config->authority_count; i++) {
        const struct hub_authority *a = &config->authorities[i];
        if (same(a->name, name) || same(a->system, name))
            return true;
        for (size_t k = 0; k < a->alias_count; k++)
            if (same(a->aliases[k], name))
                return true;
    }
    return false;
}

static void check_feed_identity(const struct checker *c, const struct hub_feed *feed, struct hub_yaml *node,
                                const char *prefix)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "%s.identity.trust_links", prefix);
    for (size_t i = 0; i < feed->trust_link_count; i++)
        if (!authority_known(c->config, feed->trust_links[i]))
            add(c, HUB_SEVERITY_ERROR, LINE(node, "identity", "trust_links"), path,
                "an authority that is not configured", "add it to authorities or correct the name",
                feed->trust_links[i]);
    (void)snprintf(path, sizeof path, "%s.identity.default_authority", prefix);
    if (feed->default_authority != NULL && !authority_known(c->config, feed->default_authority))
        add(c, HUB_SEVERITY_ERROR, LINE(node, "identity", "default_authority"), path,
            "an authority that is not configured", "add it to authorities or correct the name",
            feed->default_authority);
}

static bool is_allowed(const struct hub_feed *feed, const char *name)
{
    for (size_t i = 0; i < feed->tls.allow_count; i++)
        if (same(feed->tls.allow[i], name))
            return true;
    return false;
}

static void check_senders(const struct checker *c, const struct hub_feed *feed, const char *prefix)
{
    char path[PATH_LEN];
    for (size_t i = 0; i < feed->sender_count; i++) {
        const struct hub_sender *sender = &feed->senders[i];
        (void)snprintf(path, sizeof path, "%s.format.hl7v2.senders[%zu]", prefix, i);
        if (sender->name != NULL && !is_allowed(feed, sender->name))
            add(c, HUB_SEVERITY_ERROR, sender->line, path, "no connection has this name",
                "write it as in transport.mllp.tls.allow, or add it there", sender->name);
        if (sender->application_count == 0 && sender->facility_count == 0)
            add(c, HUB_SEVERITY_ERROR, sender->line, path, "the name is bound to nothing",
                "add applications or facilities, or leave the entry out", "");
    }
}

static void check_hl7v2(const struct checker *c, const struct hub_feed *feed, struct hub_yaml *node,
                        const char *prefix)
{
    char path[PATH_LEN];
    if (feed->timezone == NULL) {
        (void)snprintf(path, sizeof path, "%s.format.hl7v2.timezone", prefix);
        add(c, HUB_SEVERITY_ERROR, LINE(node, "format", "hl7v2"), path, "the feed has no time zone",
            "add timezone: with the sender's zone, such as Europe/Berlin; without it times of messages "
            "cannot be placed",
            "");
    }
    if (feed->charset_override && feed->charset == NULL) {
        (void)snprintf(path, sizeof path, "%s.format.hl7v2.charset_override", prefix);
        add(c, HUB_SEVERITY_ERROR, LINE(node, "format", "hl7v2", "charset_override"), path,
            "there is no charset to take instead of MSH-18", "add charset: with the set this sender uses",
            "");
    }
    (void)snprintf(path, sizeof path, "%s.format.hl7v2.processing", prefix);
    for (size_t i = 0; i < feed->processing_count; i++)
        if (!same(feed->processing[i], "P") && !same(feed->processing[i], "T") &&
            !same(feed->processing[i], "D"))
            add(c, HUB_SEVERITY_ERROR, LINE(node, "format", "hl7v2", "processing"), path,
                "not a processing id", "use P, T and D", feed->processing[i]);
    check_senders(c, feed, prefix);
}

static void check_feed(const struct checker *c, size_t index, struct hub_yaml *tree)
{
    const struct hub_feed *feed = &c->config->feeds[index];
    struct hub_yaml *node = item_of(tree, "feeds", index);
    char prefix[PATH_LEN / 2], path[PATH_LEN];
    (void)snprintf(prefix, sizeof prefix, "feeds[%zu]", index);
    for (size_t i = 0; i < index; i++) {
        (void)snprintf(path, sizeof path, "%s.name", prefix);
        if (same(feed->name, c->config->feeds[i].name))
            add(c, HUB_SEVERITY_ERROR, LINE(node, "name"), path, "another feed has this name",
                "give each feed its own name", feed->name);
        (void)snprintf(path, sizeof path, "%s.id", prefix);
        if (same(feed->id, c->config->feeds[i].id))
            add(c, HUB_SEVERITY_ERROR, LINE(node, "id"), path, "another feed has this id",
                "give each feed its own permanent id", feed->id);
        (void)snprintf(path, sizeof path, "%s.transport.%s.listen", prefix,
                       feed->transport != NULL ? feed->transport : "");
        if (same(feed->listen, c->config->feeds[i].listen))
            add(c, HUB_SEVERITY_ERROR, LINE(node, "transport", feed->transport, "listen"), path,
                "another feed listens there", "use another port or address", feed->listen);
    }
    if (same(feed->transport, "mllp")) {
        (void)snprintf(path, sizeof path, "%s.transport.mllp.listen", prefix);
        check_listener(c, LINE(node, "transport", "mllp", "listen"), path, feed->listen, feed->tls.enabled,
                       feed->insecure);
        (void)snprintf(path, sizeof path, "%s.transport.mllp.tls", prefix);
        check_tls(c, LINE(node, "transport", "mllp", "tls"), path, &feed->tls);
    }
    if (same(feed->format, "hl7v2"))
        check_hl7v2(c, feed, node, prefix);
    check_feed_identity(c, feed, node, prefix);
    (void)snprintf(path, sizeof path, "%s.ack.wait", prefix);
    if (feed->ack_wait == HUB_ACK_BROKER && !hub_config_uses_kafka(c->config))
        add(c, HUB_SEVERITY_ERROR, LINE(node, "ack", "wait"), path, "there is no broker to wait for",
            "write wait: stored; the bus is local", "");
}

/* --- authorities --- */

/* Whether NAME (a name or alias) is also one of the first names of AUTHORITY. */
static bool clashes(const struct hub_authority *authority, const char *name)
{
    if (same(authority->name, name) || same(authority->system, name))
        return true;
    for (size_t k = 0; k < authority->alias_count; k++)
        if (same(authority->aliases[k], name))
            return true;
    return false;
}

static void check_authority(const struct checker *c, size_t index, struct hub_yaml *tree)
{
    const struct hub_authority *a = &c->config->authorities[index];
    struct hub_yaml *node = item_of(tree, "authorities", index);
    char path[PATH_LEN];
    static const char mend[] = "a name, alias or system belongs to one authority only";
    for (size_t i = 0; i < index; i++) {
        const struct hub_authority *other = &c->config->authorities[i];
        (void)snprintf(path, sizeof path, "authorities[%zu].name", index);
        if (a->name != NULL && clashes(other, a->name))
            add(c, HUB_SEVERITY_ERROR, LINE(node, "name"), path, "another authority has this name", mend,
                a->name);
        (void)snprintf(path, sizeof path, "authorities[%zu].system", index);
        if (a->system != NULL && clashes(other, a->system))
            add(c, HUB_SEVERITY_ERROR, LINE(node, "system"), path, "another authority has this system", mend,
                a->system);
        (void)snprintf(path, sizeof path, "authorities[%zu].aliases", index);
        for (size_t k = 0; k < a->alias_count; k++)
            if (clashes(other, a->aliases[k]))
                add(c, HUB_SEVERITY_ERROR, LINE(node, "aliases"), path, "another authority has this alias",
                    mend, a->aliases[k]);
    }
    if (a->system != NULL && strchr(a->system, ':') == NULL) {
        (void)snprintf(path, sizeof path, "authorities[%zu].system", index);
        add(c, HUB_SEVERITY_ERROR, LINE(node, "system"), path, "not a URI",
            "write urn:oid:..., urn:uuid:... or a URL", a->system);
    }
    if (a->system != NULL && strchr(a->system, '|') != NULL) {
        (void)snprintf(path, sizeof path, "authorities[%zu].system", index);
        add(c, HUB_SEVERITY_ERROR, LINE(node, "system"), path, "a system cannot hold '|'",
            "it separates system and value in commands", a->system);
    }
}

/* --- the whole --- */

/* INNER lies in OUTER or is the same folder; both joined the same way. */
static bool inside(const char *inner, const char *outer)
{
    size_t len = strlen(outer);
    while (len > 1 && outer[len - 1] == '/')
        len--;
    return strncmp(inner, outer, len) == 0 && (inner[len] == '\0' || inner[len] == '/');
}

static void check_hub(const struct checker *c, struct hub_yaml *tree)
{
    const struct hub_config *config = c->config;
    if (config->data_dir != NULL && config->key_store != NULL && inside(config->key_store, config->data_dir))
        add(c, HUB_SEVERITY_ERROR, LINE(tree, "hub", "key_store"), "hub.key_store",
            "the key store lies in the data directory",
            "keep them apart, so that a backup of the data never holds the keys", "");
    if (config->data_dir != NULL && config->root_key.file != NULL &&
        (inside(config->root_key.file, config->data_dir)))
        add(c, HUB_SEVERITY_ERROR, LINE(tree, "hub", "root_key"), "hub.root_key",
            "the root key lies in the data directory",
            "keep it outside, so that a backup of the data never holds it", "");
    if (config->key_store != NULL && config->root_key.file != NULL &&
        inside(config->root_key.file, config->key_store))
        add(c, HUB_SEVERITY_ERROR, LINE(tree, "hub", "root_key"), "hub.root_key",
            "the root key lies in the key store it wraps", "keep it elsewhere", "");
    check_listener(c, LINE(tree, "api", "listen"), "api.listen", config->api_listen, config->api_tls.enabled,
                   config->api_insecure);
    check_tls(c, LINE(tree, "api", "tls"), "api.tls", &config->api_tls);
    if (config->limits.in_flight_bytes < config->limits.message_bytes)
        add(c, HUB_SEVERITY_ERROR, LINE(tree, "limits", "in_flight_bytes"), "limits.in_flight_bytes",
            "smaller than limits.message_bytes", "no message of that size could ever be taken; raise it", "");
    for (size_t i = 0; i < config->keys.on_count; i++) {
        int64_t us;
        if (!hub_config_date(config->keys.on[i], &us))
            add(c, HUB_SEVERITY_ERROR, LINE(tree, "keys", "rotate", "on"), "keys.rotate.on", "not a date",
                "write YYYY-MM-DD", config->keys.on[i]);
    }
    if (config->feed_count == 0)
        add(c, HUB_SEVERITY_WARNING, tree->line, "feeds", "there is no feed", "add one, or nothing comes in",
            "");
}

static bool is_loopback_url(const char *url)
{
    char host[256];
    size_t len = strcspn(url, "/");
    if (len >= sizeof host)
        return false;
    memcpy(host, url, len);
    host[len] = '\0';
    return hub_option_loopback(host);
}

static void check_registry(const struct checker *c, struct hub_yaml *tree)
{
    const struct hub_schema_registry *r = &c->config->kafka.registry;
    static const char name[] = "bus.kafka.schema_registry";
    uint32_t line = LINE(tree, "bus", "kafka", "schema_registry");
    bool plain = r->url != NULL && strncmp(r->url, "http://", 7) == 0;
    if (r->url == NULL)
        return;
    if (!plain && strncmp(r->url, "https://", 8) != 0)
        add(c, HUB_SEVERITY_ERROR, line, name, "not an address", "write https://host:port", r->url);
    if (strchr(r->url, '@') != NULL || strpbrk(r->url, "?#") != NULL)
        add(c, HUB_SEVERITY_ERROR, line, name, "an address with more than host, port and path",
            "name the login as username and password, or token", "");
    if (plain && !is_loopback_url(r->url + 7))
        add(c, r->insecure ? HUB_SEVERITY_WARNING : HUB_SEVERITY_ERROR, line, name,
            "a schema registry in plain text: whoever is on the network can read the login and change schemas",
            r->insecure ? "use https://" : "use https://, or write insecure: true", "");
    if (hub_secret_given(&r->password) != (r->username != NULL))
        add(c, HUB_SEVERITY_ERROR, line, name, "a user name and a password go together", "add the other one", "");
    if (hub_secret_given(&r->token) && r->username != NULL)
        add(c, HUB_SEVERITY_ERROR, line, name, "a token and a user name at once", "leave one of them out", "");
    if ((r->tls.cert == NULL) != (r->tls.key == NULL))
        add(c, HUB_SEVERITY_ERROR, line, name, "a client certificate and its key go together", "add tls.cert and tls.key", "");
}

static void check_kafka(const struct checker *c, struct hub_yaml *tree)
{
    const struct hub_kafka_config *kafka = &c->config->kafka;
    static const char clear[] = "Kafka in plain text: whoever is on the network can read and change what passes";
    if (!kafka->tls.enabled)
        add(c, kafka->insecure ? HUB_SEVERITY_WARNING : HUB_SEVERITY_ERROR, LINE(tree, "bus", "kafka"), "bus.kafka",
            clear, kafka->insecure ? "add tls: {ca, cert, key}" : "add tls: {ca, cert, key}, or write insecure: true",
            "");
    if (kafka->topics.min_insync > kafka->topics.replicas)
        add(c, HUB_SEVERITY_ERROR, LINE(tree, "bus", "kafka", "topics", "min_insync"), "bus.kafka.topics.min_insync",
            "more copies asked for than there are", "lower it, or raise replicas", "");
    else if (kafka->topics.min_insync < 2)
        add(c, HUB_SEVERITY_WARNING, LINE(tree, "bus", "kafka", "topics"), "bus.kafka.topics.min_insync",
            "a record counts as stored with one copy: it is lost with that broker's disk",
            "use replicas: 3 and min_insync: 2", "");
    if (kafka->registry.enabled)
        check_registry(c, tree);
    for (size_t i = 0; i < kafka->broker_count; i++)
        if (!hub_value_listen(kafka->brokers[i]))
            add(c, HUB_SEVERITY_ERROR, LINE(tree, "bus", "kafka", "brokers"), "bus.kafka.brokers",
                "not an address and port", "write host:port", kafka->brokers[i]);
    for (size_t i = 0; i < kafka->trust_count; i++) {
        uint8_t key[32];
        if (!hub_value_public_key(kafka->trust[i], key))
            add(c, HUB_SEVERITY_ERROR, LINE(tree, "bus", "kafka", "trust"), "bus.kafka.trust", "not a public signing key",
                "take the line that `chartline keys signer` prints on the hub that is to be trusted", kafka->trust[i]);
    }
    for (size_t i = 0; i < kafka->property_count; i++) {
        struct hub_error err = {0};
        if (hub_bus_property_check(kafka->properties[i], &err) != HUB_OK)
            add(c, HUB_SEVERITY_ERROR, LINE(tree, "bus", "kafka", "properties"), "bus.kafka.properties", err.what,
                err.mend, kafka->properties[i]);
    }
}

void hub_config_check(const struct hub_config *config, struct hub_yaml *tree, struct hub_problems *problems)
{
    struct checker c = {config, problems};
    check_hub(&c, tree);
    if (hub_config_uses_kafka(config))
        check_kafka(&c, tree);
    for (size_t i = 0; i < config->authority_count; i++)
        check_authority(&c, i, tree);
    for (size_t i = 0; i < config->feed_count; i++)
        check_feed(&c, i, tree);
}
