/* `init`: a new hub directory that runs as it is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/cli/commands.h"
#include "src/codec/encode.h"
#include "src/config/value.h"
#include "src/crypto/crypto.h"
#include "src/net/cert.h"
#include "src/protect/keys.h"

enum { PATH_CAP = 4096, COPY_BYTES_MAX = 4 * 1024 * 1024, COPY_DEPTH_MAX = 8, CERT_DAYS = 825 };

static const char *option_name;

const struct hub_cli_option hub_cli_init_options[] = {
    {"name", 0, HUB_CLI_TEXT, &option_name, "NAME", "name of the hub (default: that of the folder)"},
    HUB_CLI_OPTION_END,
};

static const char hub_yaml[] =
    "# chartline: configuration of one hub. docs/CONFIGURATION.md lists every key; an unknown key is an "
    "error.\n"
    "# Paths are relative to this folder. After a change: chartline check\n"
    "\n"
    "hub: {name: %s, data_dir: data, root_key: {file: keys/root.key}}\n"
    "\n"
    "# One entry per source of messages. `id` is part of every event id: never change it, never give it "
    "away.\n"
    "feeds:\n"
    "  - name: mllp\n"
    "    id: f1\n"
    "    transport: {mllp: {listen: \"127.0.0.1:6661\", tls: {cert: certs/hub.pem, key: certs/hub.key, "
    "client_ca: certs/ca.pem, allow: [\"CN=sender\"]}}}\n"
    "    # The zone of times without an offset: the sender's own, such as Europe/Berlin or "
    "America/New_York.\n"
    "    # processing: which messages this feed takes (MSH-11): P production, T training, D debugging.\n"
    "    format:    {hl7v2: {timezone: UTC, processing: [P]}}\n"
    "    ack:       {wait: stored, mode: auto, on_error: reject}\n"
    "    # identity: {default_authority: GENHOSP, trust_links: [GENHOSP]}\n"
    "\n"
    "# Who assigns patient identifiers. Names and aliases are what senders write in CX-4; the primary ones "
    "name\n"
    "# patients first, in this order.\n"
    "# authorities: [{name: GENHOSP, system: \"urn:oid:1.2.3.4\", aliases: [GH], primary: true}]\n"
    "\n"
    "bus:       {local: {}}\n"
    "policy:    {protect: policies/protect/default.yaml, access: policies/access/roles.yaml}\n"
    "api:       {listen: \"127.0.0.1:8080\"}\n"
    "limits:    {message_bytes: 16MiB, connections: 2000, idle: 10m}\n";

struct maker {
    const char *dir;
    struct hub_error *err;
};

/* DIR/NAME in OUT. */
static enum hub_result path_of(const struct maker *m, const char *name, char out[PATH_CAP])
{
    int written = snprintf(out, PATH_CAP, "%s/%s", m->dir, name);
    HUB_ENSURE(written > 0 && written < PATH_CAP,
               hub_fail(m->err, HUB_USAGE, "the folder's path is too long", NULL));
    return HUB_OK;
}

static enum hub_result write_file(const char *path, struct hub_span bytes, mode_t mode, struct hub_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len && fsync(fd) == 0;
    int errnum = errno;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (ok)
        return HUB_OK;
    (void)hub_fail_errno(err, HUB_IO, "the file cannot be written", errnum);
    return hub_error_in(err, path, 0);
}

static enum hub_result make_dir(const char *path, mode_t mode, struct hub_error *err)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return HUB_OK;
    (void)hub_fail_errno(err, HUB_IO, "the folder cannot be made", errno);
    return hub_error_in(err, path, 0);
}

static enum hub_result make_folders(const struct maker *m)
{
    static const struct {
        const char *name;
        mode_t mode;
    } folders[] = {{"", 0700}, {"policies", 0755}, {"keys", 0700}, {"keys/roles", 0700}, {"certs", 0755}};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[PATH_CAP];
        HUB_TRY(path_of(m, folders[i].name, path));
        HUB_TRY(make_dir(path, folders[i].mode, m->err));
    }
    return HUB_OK;
}

/* Copies the files of a folder, folders in it too; names that start with a dot stay behind. */
static enum hub_result copy_folder(const char *from, const char *to, unsigned depth, struct hub_error *err)
{
    DIR *dir = opendir(from);
    if (dir == NULL || depth > COPY_DEPTH_MAX) {
        if (dir != NULL)
            (void)closedir(dir);
        (void)hub_fail(err, HUB_CONFIG, "the installation's policies cannot be read",
                       "set CHARTLINE_SHARE to the folder that holds policies/");
        return hub_error_in(err, from, 0);
    }
    enum hub_result result = make_dir(to, 0755, err);
    for (struct dirent *e = readdir(dir); e != NULL && result == HUB_OK; e = readdir(dir)) {
        char source[PATH_CAP], target[PATH_CAP];
        struct stat st;
        if (e->d_name[0] == '.' || snprintf(source, sizeof source, "%s/%s", from, e->d_name) >= PATH_CAP ||
            snprintf(target, sizeof target, "%s/%s", to, e->d_name) >= PATH_CAP || stat(source, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            result = copy_folder(source, target, depth + 1, err);
        } else if (S_ISREG(st.st_mode)) {
            struct hub_buf bytes;
            result = hub_cli_read_file(source, COPY_BYTES_MAX, &bytes, err);
            if (result == HUB_OK)
                result = write_file(target, hub_buf_view(&bytes), 0644, err);
            hub_buf_deinit(&bytes);
        }
    }
    (void)closedir(dir);
    return result;
}

static enum hub_result make_root_key(const struct maker *m)
{
    char path[PATH_CAP], text[2 * HUB_KEY_LEN + 2];
    uint8_t key[HUB_KEY_LEN];
    HUB_TRY(path_of(m, "keys/root.key", path));
    hub_random(key, sizeof key);
    size_t len = hub_encode(HUB_HEX, hub_span_of(key, sizeof key), text, sizeof text);
    text[len] = '\n';
    enum hub_result result = write_file(path, hub_span_of(text, len + 1), 0600, m->err);
    hub_mem_wipe(key, sizeof key);
    hub_mem_wipe(text, sizeof text);
    return result;
}

static enum hub_result make_role_keys(const struct maker *m)
{
    static const char *const roles[] = {"clinician", "frontdesk", "auditor", "insights"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        char name[64], pub[PATH_CAP], key[PATH_CAP];
        (void)snprintf(name, sizeof name, "keys/roles/%s.pub", roles[i]);
        HUB_TRY(path_of(m, name, pub));
        (void)snprintf(name, sizeof name, "keys/roles/%s.key", roles[i]);
        HUB_TRY(path_of(m, name, key));
        HUB_TRY(hub_role_key_create(pub, key, roles[i], m->err));
    }
    return HUB_OK;
}

static enum hub_result make_certificates(const struct maker *m)
{
    static const char *const dns[] = {"localhost", NULL}, *const ip[] = {"127.0.0.1", "::1", NULL};
    static const struct {
        const char *name;
        bool server;
    } parties[] = {{"hub", true}, {"sender", false}, {"client", false}};
    struct hub_cert_authority *authority = NULL;
    char ca[PATH_CAP], cert[PATH_CAP], key[PATH_CAP];
    enum hub_result result;
    HUB_TRY(path_of(m, "certs/ca.pem", ca));
    HUB_TRY(hub_cert_authority_new("chartline test authority", ca, &authority, m->err));
    int64_t until = hub_clock_wall_us(hub_clock_system()) + (int64_t)CERT_DAYS * 86400 * 1000000;
    for (size_t i = 0; i < sizeof parties / sizeof parties[0]; i++) {
        char name[64];
        struct hub_cert_request request = {.common_name = parties[i].name,
                                           .server = parties[i].server,
                                           .not_after_us = until,
                                           .dns = parties[i].server ? dns : NULL,
                                           .ip = parties[i].server ? ip : NULL};
        (void)snprintf(name, sizeof name, "certs/%s.pem", parties[i].name);
        HUB_TRY_OUT(path_of(m, name, cert));
        (void)snprintf(name, sizeof name, "certs/%s.key", parties[i].name);
        HUB_TRY_OUT(path_of(m, name, key));
        HUB_TRY_OUT(hub_cert_issue(authority, &request, cert, key, m->err));
    }
    result = HUB_OK;
out:
    hub_cert_authority_free(authority);
    return result;
}

static enum hub_result make_config(const struct maker *m, const char *name)
{
    char path[PATH_CAP];
    struct hub_buf text;
    hub_buf_init(&text, 65536, false);
    hub_buf_printf(&text, hub_yaml, name);
    enum hub_result result = path_of(m, "hub.yaml", path);
    if (result == HUB_OK)
        result = write_file(path, hub_buf_view(&text), 0644, m->err);
    hub_buf_deinit(&text);
    return result;
}

static bool is_empty(const char *path, bool *exists)
{
    DIR *dir = opendir(path);
    *exists = dir != NULL || errno != ENOENT;
    if (dir == NULL)
        return !*exists;
    bool empty = true;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    (void)closedir(dir);
    return empty;
}

/* The folder's last name where it is one, else "hub". */
static const char *default_name(const char *dir, char out[65])
{
    size_t end = strlen(dir);
    while (end > 0 && dir[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && dir[start - 1] != '/')
        start--;
    (void)snprintf(out, 65, "%.*s", (int)(end - start), dir + start);
    bool good = end - start <= 64 && hub_value_name(out) && out[0] != '.' && out[0] != '-';
    return good ? out : "hub";
}

static enum hub_result make_all(const struct maker *m, const char *name)
{
    char policies[PATH_CAP], from[PATH_CAP];
    const char *share = hub_cli_share_dir();
    HUB_ENSURE(share != NULL, hub_fail(m->err, HUB_CONFIG, "the installation's policies are not found",
                                       "set CHARTLINE_SHARE"));
    (void)snprintf(from, sizeof from, "%s/policies", share);
    HUB_TRY(make_folders(m));
    HUB_TRY(path_of(m, "policies", policies));
    HUB_TRY(copy_folder(from, policies, 0, m->err));
    HUB_TRY(make_root_key(m));
    HUB_TRY(make_role_keys(m));
    HUB_TRY(make_certificates(m));
    return make_config(m, name);
}

int hub_cli_init(int count, char **operands)
{
    struct hub_error err = {0};
    char name[65];
    bool exists;
    if (count != 1)
        return hub_cli_usage("init: name one folder");
    if (!is_empty(operands[0], &exists)) {
        (void)hub_fail(&err, HUB_USAGE, "not an empty folder",
                       "name a new one; init never changes what is there");
        (void)hub_error_in(&err, operands[0], 0);
        return hub_cli_fail(&err);
    }
    if (option_name != NULL && (!hub_value_name(option_name) || strlen(option_name) > 64))
        return hub_cli_usage("init: a name has letters, digits, '.', '_' and '-'");
    struct maker m = {operands[0], &err};
    if (make_all(&m, option_name != NULL ? option_name : default_name(operands[0], name)) != HUB_OK)
        return hub_cli_fail(&err);
    if (isatty(STDOUT_FILENO))
        (void)printf("%s is ready. Next:\n  cd %s\n  chartline check\n  chartline run\n"
                     "The private role keys in keys/roles and the certificates in certs are for trying out: "
                     "`check` reminds you.\n",
                     operands[0], operands[0]);
    return HUB_EXIT_OK;
}
