/* `check`: every problem of configuration, policies, mappings, keys and certificates at once. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/libraries.h"
#include "src/cli/problems.h"
#include "src/config/describe.h"
#include "src/net/cert.h"
#include "src/net/tls.h"
#include "src/pipeline/bus_schemas.h"
#include "src/pipeline/control_client.h"
#include "src/pipeline/hub.h"
#include "src/policy/policy.h"
#include "src/protect/keys.h"

enum { PATH_CAP = 4096, WARN_DAYS = 30 };

static struct {
    bool connect, dump;
    const char *roles;
} opt;

const struct hub_cli_option hub_cli_check_options[] = {
    {"connect", 0, HUB_CLI_FLAG, &opt.connect, NULL,
     "try what the configuration names outside this machine too"},
    {"role", 0, HUB_CLI_TEXT, &opt.roles, "LIST",
     "with --connect: as `run --role`, the rights that these need (default: all)"},
    {"dump", 0, HUB_CLI_FLAG, &opt.dump, NULL, "print the configuration with every default, secrets hidden"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

struct checking {
    const struct hub_config *config;
    struct hub_problems *problems;
};

static void add(struct checking *c, enum hub_severity severity, const char *file, uint32_t line,
                const char *name, const char *what, const char *mend, const char *detail)
{
    hub_problems_add(c->problems, severity, file, line, name, what, mend, "%s", detail);
}

/* A failure of a function that fills struct hub_error. */
static void add_error(struct checking *c, const struct hub_error *err, const char *name)
{
    char number[48] = "";
    if (err->has_number)
        (void)snprintf(number, sizeof number, "%lld", (long long)err->number);
    add(c, HUB_SEVERITY_ERROR, err->path[0] != '\0' ? err->path : c->config->path, err->line, name,
        err->what != NULL && err->what[0] != '\0' ? err->what : hub_result_text(err->result), err->mend,
        number);
}

/* --- policies --- */

static void check_role(struct checking *c, const struct hub_role *role)
{
    uint8_t public_key[HUB_BOX_PUBLIC_LEN];
    struct hub_error err = {0};
    char name[96], private_path[PATH_CAP];
    (void)snprintf(name, sizeof name, "roles.%s", role->name);
    if (hub_role_public_load(role->public_key_path, public_key, &err) != HUB_OK)
        add_error(c, &err, name);
    size_t len = strlen(role->public_key_path);
    if (len < 4 || len + 1 > sizeof private_path || strcmp(role->public_key_path + len - 4, ".pub") != 0)
        return;
    (void)snprintf(private_path, sizeof private_path, "%.*s.key", (int)(len - 4), role->public_key_path);
    struct stat st;
    if (stat(private_path, &st) != 0)
        return;
    if ((st.st_mode & 077) != 0)
        add(c, HUB_SEVERITY_ERROR, private_path, 0, name, "others may read this role's private key",
            "chmod 600 it", "");
    add(c, HUB_SEVERITY_WARNING, private_path, 0, name, "a role's private key lies beside the hub",
        "give it to those who hold the role and remove it here before real patients' data comes", "");
}

/* The hub's protect policy and those of feeds, each file once. */
static void check_protect(struct checking *c)
{
    const struct hub_config *config = c->config;
    hub_policy_free(hub_policy_load(config->policy_protect, config->schema_dir, c->problems));
    for (size_t i = 0; i < config->feed_count; i++) {
        const char *path = config->feeds[i].policy;
        bool known = path == NULL || strcmp(path, config->policy_protect) == 0;
        for (size_t k = 0; !known && k < i; k++)
            known = config->feeds[k].policy != NULL && strcmp(config->feeds[k].policy, path) == 0;
        if (!known)
            hub_policy_free(hub_policy_load(path, config->schema_dir, c->problems));
    }
}

/* NULL when they have errors. */
static struct hub_roles *check_policies(struct checking *c)
{
    check_protect(c);
    struct hub_roles *roles = hub_roles_load(c->config->policy_access, c->config->folder, c->problems);
    for (size_t i = 0; roles != NULL && i < roles->count; i++)
        check_role(c, &roles->items[i]);
    return roles;
}

/* --- keys --- */

static bool hub_runs(const struct checking *c)
{
    struct hub_client *client = NULL;
    bool runs = hub_client_connect(c->config->data_dir, &client, NULL) == HUB_OK;
    hub_client_close(client);
    return runs;
}

static void check_keys(struct checking *c, const struct hub_roles *roles)
{
    struct hub_error err = {0};
    uint8_t root_key[HUB_ROOT_KEY_LEN];
    struct hub_keys *keys = NULL;
    if (hub_root_key_read(c->config, root_key, &err) != HUB_OK) {
        add_error(c, &err, "hub.root_key");
        return;
    }
    /* A running hub holds the store and has opened it; a store that is not there comes with the first run. */
    if (roles != NULL && access(c->config->key_store, F_OK) == 0 && !hub_runs(c)) {
        if (hub_keys_open(c->config->key_store, root_key, roles, hub_clock_system(), false, &keys, &err) !=
            HUB_OK)
            add_error(c, &err, "hub.key_store");
        hub_keys_close(keys);
    }
    hub_mem_wipe(root_key, sizeof root_key);
}

/* --- certificates --- */

static void check_certificate(struct checking *c, const char *path, const char *name)
{
    struct hub_cert_info info;
    struct hub_error err = {0};
    if (path == NULL)
        return;
    if (hub_cert_load(path, &info, &err) != HUB_OK) {
        add_error(c, &err, name);
        return;
    }
    int64_t now = hub_clock_wall_us(hub_clock_system());
    char until[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(info.not_after_us, until);
    until[10] = '\0';
    if (info.not_after_us <= now)
        add(c, HUB_SEVERITY_ERROR, path, 0, name, "the certificate has expired", "put a new one there",
            until);
    else if (info.not_before_us > now)
        add(c, HUB_SEVERITY_ERROR, path, 0, name, "the certificate is not valid yet",
            "check the clock, or wait", "");
    else if (info.not_after_us < now + (int64_t)WARN_DAYS * 86400 * 1000000)
        add(c, HUB_SEVERITY_WARNING, path, 0, name, "the certificate expires soon", "put a new one there",
            until);
    if (info.test)
        add(c, HUB_SEVERITY_WARNING, path, 0, name, "a test certificate",
            "replace it by your own authority's before real patients' data comes", until);
}

static void check_key_mode(struct checking *c, const char *path, const char *name)
{
    struct stat st;
    if (path != NULL && stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        add(c, HUB_SEVERITY_ERROR, path, 0, name, "others may read the private key", "chmod 600 it", "");
}

/* The API's listener; feeds' own are looked at by their transport. */
static void check_api_tls(struct checking *c)
{
    const struct hub_tls_server *tls = &c->config->api_tls;
    struct hub_tls_context *context = NULL;
    struct hub_error err = {0};
    if (!tls->enabled)
        return;
    size_t before = c->problems->errors;
    check_certificate(c, tls->cert, "api.tls.cert");
    check_certificate(c, tls->client_ca, "api.tls.client_ca");
    check_key_mode(c, tls->key, "api.tls.key");
    struct hub_tls_server_options options = {.cert = tls->cert,
                                             .key = tls->key,
                                             .client_ca = tls->client_ca,
                                             .allow = (const char *const *)tls->allow,
                                             .allow_count = tls->allow_count};
    /* What was said above would only be said again. */
    if (c->problems->errors == before && hub_tls_server_new(&options, &context, &err) != HUB_OK)
        add_error(c, &err, "api.tls");
    hub_tls_context_free(context);
}

/* An earlier feed names the same authorities: said once. */
static bool authorities_seen(const struct hub_config *config, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (config->feeds[i].tls.client_ca != NULL &&
            strcmp(config->feeds[i].tls.client_ca, config->feeds[index].tls.client_ca) == 0)
            return true;
    return false;
}

/* --- feeds --- */

static void check_feed(struct checking *c, const struct hub_feed *feed, size_t index)
{
    const struct hub_format *format = hub_registry_format(hub_cli_registry(), feed->format);
    const struct hub_transport *transport = hub_registry_transport(hub_cli_registry(), feed->transport);
    char name[96];
    (void)snprintf(name, sizeof name, "feeds[%zu].transport.%s.tls.key", index, feed->transport);
    check_key_mode(c, feed->tls.key, name);
    (void)snprintf(name, sizeof name, "feeds[%zu].transport.%s.tls.client_ca", index, feed->transport);
    if (feed->tls.client_ca != NULL && !authorities_seen(c->config, index))
        check_certificate(c, feed->tls.client_ca, name);
    if (transport != NULL && transport->check != NULL)
        transport->check(c->config, feed, c->problems);
    if (format == NULL)
        return;
    size_t before = c->problems->errors;
    if (format->check != NULL)
        format->check(c->config, feed, c->problems);
    if (c->problems->errors == before) {
        void *context = format->open(c->config, feed, c->problems);
        if (context != NULL)
            format->close(context);
    }
}

static void check_data_dir(struct checking *c)
{
    struct stat st;
    const char *path = c->config->data_dir;
    if (stat(path, &st) != 0)
        return; /* made by the first run */
    if (!S_ISDIR(st.st_mode))
        add(c, HUB_SEVERITY_ERROR, path, 0, "hub.data_dir", "not a folder", "name another place", "");
    else if (access(path, R_OK | W_OK | X_OK) != 0)
        add(c, HUB_SEVERITY_ERROR, path, 0, "hub.data_dir", "not writable for this user",
            "run as the hub's user, or correct the owner", "");
    else if ((st.st_mode & 077) != 0)
        add(c, HUB_SEVERITY_WARNING, path, 0, "hub.data_dir", "others may enter the data directory",
            "chmod 700 it", "");
}

/* --- libraries --- */

static void check_libraries(struct checking *c)
{
    char all[256] = "";
    size_t len = 0;
    for (const struct hub_cli_library *l = hub_cli_libraries; l->name != NULL; l++) {
        const char *version = l->version();
        const char *why = hub_cli_library_bad(l, version);
        char detail[160];
        int n = snprintf(all + len, sizeof all - len, "%s%s %s", len == 0 ? "" : ", ", l->name, version);
        len += n > 0 && (size_t)n < sizeof all - len ? (size_t)n : 0;
        if (why == NULL)
            continue;
        (void)snprintf(detail, sizeof detail, "%s %s, %s", l->name, version, why);
        add(c, HUB_SEVERITY_ERROR, NULL, 0, "libraries", "a version that is known to be bad",
            "install a newer one, and build chartline anew if its headers came with the old one", detail);
    }
    add(c, HUB_SEVERITY_NOTE, NULL, 0, "libraries", "this program runs with", NULL, all);
}

/* --- the bus --- */

/* Schemas compile; with --connect the registry has them, or takes them. */
static void check_schemas(struct checking *c, struct hub_bus_setup *setup)
{
    struct hub_error err = {0};
    struct hub_bus_schemas *schemas = NULL;
    if (hub_bus_schemas_open(c->config, setup, NULL, &schemas, &err) != HUB_OK)
        add_error(c, &err, "bus.kafka");
    else if (opt.connect)
        hub_bus_schemas_check(schemas, hub_cli_roles(opt.roles), c->problems);
    hub_bus_schemas_close(schemas);
}

static void check_bus(struct checking *c)
{
    enum { TIMEOUT_MS = 10000 };
    struct hub_error err = {0};
    struct hub_bus_setup *setup = NULL;
    if (!hub_config_uses_kafka(c->config)) {
        if (opt.connect)
            add(c, HUB_SEVERITY_NOTE, c->config->path, 0, "bus",
                "the bus is local: there is nothing outside this machine to try", NULL, "");
        return;
    }
    size_t before = c->problems->errors;
    check_certificate(c, c->config->kafka.tls.ca, "bus.kafka.tls.ca");
    check_certificate(c, c->config->kafka.tls.cert, "bus.kafka.tls.cert");
    check_key_mode(c, c->config->kafka.tls.key, "bus.kafka.tls.key");
    if (c->problems->errors != before) /* it would only be said again */
        return;
    check_certificate(c, c->config->kafka.registry.tls.ca, "bus.kafka.schema_registry.tls.ca");
    check_certificate(c, c->config->kafka.registry.tls.cert, "bus.kafka.schema_registry.tls.cert");
    check_key_mode(c, c->config->kafka.registry.tls.key, "bus.kafka.schema_registry.tls.key");
    const unsigned roles = hub_cli_roles(opt.roles);
    if ((roles & HUB_RUN_TIMELINE) != 0 && (roles & HUB_RUN_FORWARD) == 0 && c->config->kafka.trust_count == 0)
        add(c, HUB_SEVERITY_WARNING, c->config->path, 0, "bus.kafka.trust",
            "no other hub's key is trusted: its identity facts do not count here, unless this hub has its key store",
            "on the hub that forwards run `chartline keys signer`, and list what it prints in bus.kafka.trust", "");
    enum hub_result result = hub_bus_setup_open(c->config, &setup, &err);
    if (result == HUB_OK)
        check_schemas(c, setup);
    if (result == HUB_OK && opt.connect)
        result = hub_bus_setup_check(setup, hub_cli_roles(opt.roles), false, TIMEOUT_MS, c->problems, &err);
    if (result != HUB_OK)
        add_error(c, &err, "bus.kafka");
    else if (opt.connect && c->problems->errors == before)
        add(c, HUB_SEVERITY_NOTE, c->config->path, 0, "bus.kafka",
            "the brokers take the login, and topics and rights are as they must be", NULL, hub_bus_library());
    hub_bus_setup_close(setup);
}

static void check_all(struct checking *c)
{
    check_libraries(c);
    struct hub_roles *roles = check_policies(c);
    check_keys(c, roles);
    hub_roles_free(roles);
    check_data_dir(c);
    check_api_tls(c);
    for (size_t i = 0; i < c->config->feed_count; i++)
        check_feed(c, &c->config->feeds[i], i);
    check_bus(c);
}

/* --- output --- */

static void print_text(const struct hub_problems *problems)
{
    (void)hub_problems_print(problems, stdout);
    size_t warnings = 0;
    for (size_t i = 0; i < problems->count; i++)
        warnings += problems->items[i].severity == HUB_SEVERITY_WARNING;
    if (problems->errors == 0)
        (void)printf("fine: no errors, %zu warnings\n", warnings);
    else
        (void)printf("%zu errors, %zu warnings\n", problems->errors, warnings);
}

int hub_cli_check(int count, char **operands)
{
    (void)operands;
    if (count != 0)
        return hub_cli_usage("check: takes no operands; name the configuration with -c");
    if (hub_cli_roles(opt.roles) == 0)
        return hub_cli_usage("check: --role takes ingest, forward, timeline and api, comma separated");
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_config *config = hub_cli_config_load(&problems);
    struct checking c = {config, &problems};
    if (config != NULL && opt.dump)
        hub_config_dump(config, stdout);
    else if (config != NULL)
        check_all(&c);
    if (hub_cli.json)
        hub_cli_problems_json(&problems);
    else if (config == NULL || !opt.dump)
        print_text(&problems);
    int code = problems.errors > 0 ? HUB_EXIT_USAGE : HUB_EXIT_OK;
    hub_config_free(config);
    hub_problems_deinit(&problems);
    return code;
}
