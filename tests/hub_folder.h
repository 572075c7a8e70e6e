/* For tests: a hub directory with keys and certificates, a hub in a thread of its own, senders, and requests
 * to it. */
#pragma once

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "adapters/formats/hl7v2/format.h"
#include "adapters/transports/mllp/mllp.h"
#include "src/base/buf.h"
#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/codec/json.h"
#include "src/pipeline/control_client.h"
#include "src/pipeline/hub.h"
#include "src/protect/keys.h"
#include "tests/temp_folder.h"
#include "tests/tls_peer.h"

struct test_hub {
    char folder[512];
    char data_dir[1024];
    char yaml[600];
    struct test_pki pki;
    uint16_t port;
    struct hub_config *config;
    struct hub *hub;
    pthread_t thread;
    int stop[2];
    bool running;
    enum hub_result result;
    struct hub_error err;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready, ended;
    struct hub_disk *disk;    /* NULL: the machine's */
    uint64_t in_flight_bytes; /* less than a configuration may say; 0 = as configured */
};

static const struct hub_format *const test_formats[] = {&hub_format_hl7v2, NULL};
static const struct hub_transport *const test_transports[] = {&hub_transport_mllp, NULL};
static const struct hub_registry test_registry = {test_formats, test_transports};

static inline uint16_t test_free_port(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
    (void)close(fd);
    return ntohs(to.sin_port);
}

static inline void test_write_file(const char *folder, const char *name, const char *text)
{
    char path[1200];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static inline void test_make_folder(const char *folder, const char *name)
{
    char path[1200];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* LIMITS: what stands in `limits: {...}`; DATA: data_dir, relative. */
static inline void test_hub_yaml(struct test_hub *hub, const char *data, const char *limits,
                                 const char *on_error)
{
    char text[4096];
    (void)snprintf(
        text, sizeof(text),
        "hub: {name: testhub, data_dir: %s, root_key: {file: root.key}, schema_dir: %s/schemas}\n"
        "feeds:\n"
        "  - name: adt\n"
        "    id: f1\n"
        "    transport: {mllp: {listen: \"127.0.0.1:%u\", tls: {cert: hub.pem, key: hub.key, client_ca: "
        "ca.pem, allow: [\"CN=ehr-test\", \"CN=lab-test\"]}}}\n"
        "    format: {hl7v2: {timezone: UTC}}\n"
        "    ack: {on_error: %s}\n"
        "    identity: {default_authority: GENHOSP, trust_links: [GENHOSP]}\n"
        "authorities: [{name: GENHOSP, system: \"urn:oid:1.2.3\", aliases: [GH], primary: true}]\n"
        "policy: {protect: %s/policies/protect/default.yaml, access: %s/policies/access/roles.yaml}\n"
        "limits: {workers: 2, %s}\n",
        data, CHARTLINE_SOURCE_DIR, hub->port, on_error, CHARTLINE_SOURCE_DIR, CHARTLINE_SOURCE_DIR, limits);
    test_write_file(hub->folder, "hub.yaml", text);
    (void)snprintf(hub->yaml, sizeof(hub->yaml), "%s/hub.yaml", hub->folder);
    (void)snprintf(hub->data_dir, sizeof(hub->data_dir), "%s/%s", hub->folder, data);
}

static inline void test_hub_make(struct test_hub *hub)
{
    struct hub_error err = {0};
    char pub[700], key[700];
    static const char *const roles[] = {"clinician", "frontdesk", "auditor", "insights"};
    memset(hub, 0, sizeof(*hub));
    assert_non_null(temp_folder_new(hub->folder));
    assert_int_equal(hub_crypto_init(), HUB_OK);
    assert_int_equal(test_pki_new(hub->folder, &hub->pki), 0);
    test_write_file(hub->folder, "root.key",
                    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    test_make_folder(hub->folder, "keys");
    test_make_folder(hub->folder, "keys/roles");
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        (void)snprintf(pub, sizeof(pub), "%s/keys/roles/%s.pub", hub->folder, roles[i]);
        (void)snprintf(key, sizeof(key), "%s/keys/roles/%s.key", hub->folder, roles[i]);
        assert_int_equal(hub_role_key_create(pub, key, roles[i], &err), HUB_OK);
    }
    hub->port = test_free_port();
    (void)pthread_mutex_init(&hub->lock, NULL);
    (void)pthread_cond_init(&hub->changed, NULL);
    test_hub_yaml(hub, "data", "drain: 10s", "reject");
}

static inline enum hub_result test_hub_open(struct test_hub *hub, unsigned roles)
{
    struct hub_problems problems;
    struct hub_options options = {.roles = roles, .disk = hub->disk};
    memset(&hub->err, 0, sizeof(hub->err));
    hub_problems_init(&problems);
    hub->config = hub_config_load(hub->yaml, &problems);
    if (hub->config == NULL)
        (void)hub_problems_print(&problems, stderr);
    assert_non_null(hub->config);
    if (hub->in_flight_bytes != 0)
        hub->config->limits.in_flight_bytes = hub->in_flight_bytes;
    enum hub_result result = hub_open(hub->config, &options, &test_registry, &problems, &hub->hub, &hub->err);
    if (problems.errors != 0)
        (void)hub_problems_print(&problems, stderr);
    hub_problems_deinit(&problems);
    if (result != HUB_OK) {
        hub_config_free(hub->config);
        hub->config = NULL;
    }
    return result;
}

static inline void test_hub_close(struct test_hub *hub)
{
    hub_close(hub->hub);
    hub->hub = NULL;
    hub_config_free(hub->config);
    hub->config = NULL;
}

static inline void test_hub_tell(struct test_hub *hub, bool *what)
{
    (void)pthread_mutex_lock(&hub->lock);
    *what = true;
    (void)pthread_cond_broadcast(&hub->changed);
    (void)pthread_mutex_unlock(&hub->lock);
}

static inline void test_hub_on_ready(void *ctx)
{
    struct test_hub *hub = ctx;
    test_hub_tell(hub, &hub->ready);
}

static inline void *test_hub_body(void *ctx)
{
    struct test_hub *hub = ctx;
    hub->result = hub_run(hub->hub, hub->stop[0], test_hub_on_ready, hub, &hub->err);
    test_hub_tell(hub, &hub->ended);
    return NULL;
}

static inline void test_hub_start(struct test_hub *hub)
{
    enum hub_result opened = test_hub_open(hub, HUB_RUN_ALL);
    if (opened != HUB_OK)
        print_message("hub_open: %s %s\n", hub->err.what, hub->err.path);
    assert_int_equal(opened, HUB_OK);
    assert_int_equal(pipe(hub->stop), 0);
    hub->ready = false;
    hub->ended = false;
    assert_int_equal(pthread_create(&hub->thread, NULL, test_hub_body, hub), 0);
    (void)pthread_mutex_lock(&hub->lock);
    while (!hub->ready && !hub->ended)
        (void)pthread_cond_wait(&hub->changed, &hub->lock);
    (void)pthread_mutex_unlock(&hub->lock);
    hub->running = true;
}

static inline void test_hub_stop(struct test_hub *hub)
{
    assert_int_equal(write(hub->stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(hub->thread, NULL), 0);
    (void)close(hub->stop[0]);
    (void)close(hub->stop[1]);
    hub->running = false;
    assert_int_equal(hub->result, HUB_OK);
    test_hub_close(hub);
}

static inline void test_hub_remove(struct test_hub *hub)
{
    temp_folder_remove(hub->folder);
    (void)pthread_mutex_destroy(&hub->lock);
    (void)pthread_cond_destroy(&hub->changed);
}

/* --- sending --- */

static inline void test_message(struct hub_buf *out, const char *control_id, const char *patient,
                                const char *family)
{
    hub_buf_reset(out);
    hub_buf_printf(out,
                   "\x0bMSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ADT^A01^ADT_A01|%s|P|2.5.1\r"
                   "EVN|A01|20261120080000\r"
                   "PID|1||%s^^^GENHOSP^MR||%s^Anna||19700101|F\r"
                   "PV1|1|I|W1^101^1^GENHOSP||||||||||||||||V%s^^^GENHOSP\r\x1c\r",
                   control_id, patient, family, patient);
}

static inline void test_sender_open(struct test_hub *hub, struct test_peer *peer)
{
    struct hub_error err = {0};
    assert_int_equal(test_peer_connect(peer, hub->port, 0), 0);
    assert_int_equal(
        test_peer_secure(peer, hub->pki.ca, hub->pki.sender, hub->pki.sender_key, "localhost", &err), HUB_OK);
}

/* One frame, without its framing; 0 at the end of the connection. */
static inline size_t test_receive_answer(struct test_peer *peer, char *out, size_t cap)
{
    size_t len = 0;
    while (len < cap - 1) {
        char byte;
        if (test_peer_receive(peer, &byte, 1) != 1)
            return 0;
        if (byte == '\r' && len > 0 && out[len - 1] == '\x1c') {
            out[len - 1] = '\0';
            memmove(out, out + 1, len - 1);
            return len - 2;
        }
        out[len++] = byte;
    }
    return 0;
}

static inline void test_send_message(struct test_hub *hub, const char *control_id, const char *patient,
                                     const char *family, char answer[2048])
{
    struct test_peer peer;
    struct hub_buf message;
    hub_buf_init(&message, 65536, false);
    test_message(&message, control_id, patient, family);
    test_sender_open(hub, &peer);
    assert_int_equal(test_peer_send(&peer, message.ptr, message.len), 0);
    answer[0] = '\0';
    assert_true(test_receive_answer(&peer, answer, 2048) > 0);
    test_peer_close(&peer);
    hub_buf_deinit(&message);
}

/* --- asking --- */

struct test_answer {
    struct hub_arena arena;
    struct hub_json *lines;
};

static inline bool test_take_line(void *ctx, struct hub_span json)
{
    struct test_answer *answer = ctx;
    struct hub_json *tree = NULL;
    struct hub_error err = {0};
    assert_int_equal(hub_json_parse(&answer->arena, json, &tree, &err), HUB_OK);
    assert_int_equal(hub_json_push(answer->lines, tree), HUB_OK);
    return true;
}

static inline void test_answer_init(struct test_answer *answer)
{
    hub_arena_init(&answer->arena, 1u << 30);
    answer->lines = hub_json_new(&answer->arena, HUB_JSON_ARRAY);
}

static inline void test_answer_deinit(struct test_answer *answer)
{
    hub_arena_deinit(&answer->arena);
}

__attribute__((format(printf, 4, 5)))
__attribute__((format(printf, 4, 5))) static inline enum hub_result test_ask(struct hub_client *client, struct test_answer *answer,
                                       struct hub_error *err, const char *format, ...)
{
    char request[8192];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(request, sizeof(request), format, args);
    va_end(args);
    assert_true(len > 0 && (size_t)len < sizeof(request));
    hub_arena_reset(&answer->arena);
    answer->lines = hub_json_new(&answer->arena, HUB_JSON_ARRAY);
    memset(err, 0, sizeof(*err));
    return hub_client_ask(client, hub_span_of(request, (size_t)len), test_take_line, answer, err);
}

/* The first line's member NAME. */
static inline struct hub_json *test_first(struct test_answer *answer, const char *name)
{
    return hub_json_get(hub_json_at(answer->lines, 0), name);
}

/* How many lines have a member NAME. */
static inline size_t test_count(struct test_answer *answer, const char *name)
{
    size_t count = 0;
    for (const struct hub_json *line = answer->lines->first; line != NULL; line = line->next)
        count += hub_json_get(line, name) != NULL ? 1 : 0;
    return count;
}

static inline uint64_t test_number(const struct hub_json *object, const char *name)
{
    uint64_t number = UINT64_MAX;
    (void)hub_span_parse_u64(hub_json_span(hub_json_get(object, name)), &number);
    return number;
}
