/* Real TLS over real sockets: who gets in, who does not, and what the hub says about it. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/net/net.h"
#include "tests/temp_folder.h"
#include "tests/tls_peer.h"
#include "tests/needs.h"

static char folder[512];
static struct test_pki pki;
static const char *const allow[] = {"CN=other", "CN=ehr-test", "DNS:lab.example"};

/* An echo server in a thread of its own. */
struct server {
    struct hub_net_loop *loop;
    struct hub_net_listener *listener;
    struct hub_tls_context *tls;
    struct hub_net_conn *conn;
    pthread_t thread;
    char peer[64];
    const char *reason;
    enum hub_result why;
    unsigned opened, closed, ended;
    size_t received;
};

static void on_open(void *ctx)
{
    struct server *server = ctx;
    server->opened++;
    snprintf(server->peer, sizeof(server->peer), "%s", hub_net_conn_peer(server->conn)); /* ends with the connection */
}

static void on_data(void *ctx, struct hub_span bytes)
{
    struct server *server = ctx;
    server->received += bytes.len;
    assert_int_equal(hub_net_conn_write(server->conn, bytes), HUB_OK);
}

static void on_end(void *ctx)
{
    struct server *server = ctx;
    server->ended++;
    hub_net_conn_finish(server->conn);
    server->conn = NULL;
}

static void on_closed(void *ctx, enum hub_result why, const char *reason)
{
    struct server *server = ctx;
    server->conn = NULL;
    server->closed++;
    server->why = why;
    server->reason = reason;
}

static const struct hub_net_events echo = {
    .open = on_open, .data = on_data, .end = on_end, .closed = on_closed};

static bool on_accept(void *ctx, struct hub_net_conn *conn)
{
    struct server *server = ctx;
    if (server->conn != NULL)
        return false;
    server->conn = conn;
    hub_net_conn_attach(conn, &echo, server);
    return true;
}

static void *serve(void *ctx)
{
    hub_net_loop_run(((struct server *)ctx)->loop);
    return NULL;
}

static void server_start(struct server *server, bool tls, const char *const *names, size_t name_count)
{
    struct hub_error err = {0};
    memset(server, 0, sizeof(*server));
    if (tls) {
        struct hub_tls_server_options options = {.cert = pki.hub,
                                                 .key = pki.hub_key,
                                                 .client_ca = pki.ca,
                                                 .allow = names,
                                                 .allow_count = name_count};
        assert_int_equal(hub_tls_server_new(&options, &server->tls, &err), HUB_OK);
    }
    server->loop = hub_net_loop_new(true);
    assert_non_null(server->loop);
    assert_int_equal(
        hub_net_listen(server->loop, "127.0.0.1:0", server->tls, on_accept, server, &server->listener, &err),
        HUB_OK);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    hub_net_loop_stop(server->loop);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    hub_net_listener_close(server->listener);
    hub_net_loop_free(server->loop);
    hub_tls_context_free(server->tls);
}

/* Connects, sends, waits for the echo or the refusal. True when it was echoed. */
static bool try_peer(struct server *server, const char *cert, const char *key)
{
    struct test_peer peer;
    struct hub_error err = {0};
    char back[16] = "";
    assert_int_equal(test_peer_connect(&peer, hub_net_listener_port(server->listener), 0), 0);
    bool good = test_peer_secure(&peer, pki.ca, cert, key, "localhost", &err) == HUB_OK &&
                test_peer_send(&peer, "hello", 5) == 0 && test_peer_receive(&peer, back, sizeof(back)) == 5 &&
                memcmp(back, "hello", 5) == 0;
    test_peer_close(&peer);
    return good;
}

static void tls_lets_in_an_allowed_name_and_tells_which(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, true, allow, 3);
    assert_true(try_peer(&server, pki.sender, pki.sender_key));
    server_stop(&server);
    assert_int_equal(server.opened, 1);
    assert_string_equal(server.peer, "CN=ehr-test");
}

static void tls_matches_dns_names_without_case(void **state)
{
    (void)state;
    static const char *const dns[] = {"DNS:EHR.Example"};
    struct server server;
    server_start(&server, true, dns, 1);
    assert_true(try_peer(&server, pki.sender, pki.sender_key));
    assert_false(try_peer(&server, pki.lab, pki.lab_key));
    server_stop(&server);
    assert_string_equal(server.reason, "certificate name not allowed");
}

static void tls_without_allow_list_takes_any_verified_name(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, true, NULL, 0);
    assert_true(try_peer(&server, pki.lab, pki.lab_key));
    assert_false(try_peer(&server, pki.foreign, pki.foreign_key));
    server_stop(&server);
    assert_string_equal(server.peer, "");
}

static void refused(const char *cert, const char *key, const char *reason)
{
    struct server server;
    server_start(&server, true, allow, 3);
    assert_false(try_peer(&server, cert, key));
    server_stop(&server);
    assert_int_equal(server.opened, 0);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, HUB_AUTH);
    assert_string_equal(server.reason, reason);
}

static void tls_refuses_a_peer_without_certificate(void **state)
{
    (void)state;
    refused(NULL, NULL, "no client certificate");
}

static void tls_refuses_another_authority(void **state)
{
    (void)state;
    refused(pki.foreign, pki.foreign_key, "client certificate of an unknown authority");
}

static void tls_refuses_a_name_that_is_not_listed(void **state)
{
    (void)state;
    refused(pki.lab, pki.lab_key, "certificate name not allowed");
}

static void tls_refuses_a_certificate_for_servers(void **state)
{
    (void)state;
    refused(pki.purpose, pki.purpose_key, "certificate not for clients");
}

/* An own certificate out of its time is refused where it is loaded, so these come from a server's options
 * too. */
static void tls_does_not_load_an_expired_or_future_certificate(void **state)
{
    (void)state;
    struct hub_error err = {0};
    struct hub_tls_context *context = NULL;
    struct hub_tls_server_options options = {.cert = pki.expired, .key = pki.expired_key};
    assert_int_equal(hub_tls_server_new(&options, &context, &err), HUB_CONFIG);
    assert_string_equal(err.what, "the certificate has expired");
    options = (struct hub_tls_server_options){.cert = pki.future, .key = pki.future_key};
    assert_int_equal(hub_tls_server_new(&options, &context, &err), HUB_CONFIG);
    assert_string_equal(err.what, "the certificate is not valid yet");
    options = (struct hub_tls_server_options){.cert = pki.hub, .key = pki.lab_key};
    assert_int_equal(hub_tls_server_new(&options, &context, &err), HUB_CONFIG);
    options = (struct hub_tls_server_options){.cert = pki.hub,
                                              .key = pki.hub_key,
                                              .client_ca = pki.ca,
                                              .allow = (const char *const[]){"ehr"},
                                              .allow_count = 1};
    assert_int_equal(hub_tls_server_new(&options, &context, &err), HUB_CONFIG);
    assert_null(context);
}

/* A client of another make does show an expired certificate: the command line tool of the TLS library. */
static void run_s_client(struct server *server, const char *arguments, const char *cert, const char *key)
{
    char command[2400];
    (void)snprintf(
        command, sizeof(command),
        "echo hello | timeout 20 openssl s_client -connect 127.0.0.1:%u %s -cert %s -key %s >/dev/null 2>&1",
        hub_net_listener_port(server->listener), arguments, cert, key);
    int status = system(command);
    (void)status; /* what counts is what the server saw */
}

static void tls_refuses_an_expired_client(void **state)
{
    (void)state;
    if (system("openssl version >/dev/null 2>&1") != 0) {
        test_skip("no openssl command; install the package openssl");
    }
    static const struct {
        size_t cert, key;
        const char *reason;
    } rows[] = {
        {offsetof(struct test_pki, expired), offsetof(struct test_pki, expired_key),
         "client certificate expired"},
        {offsetof(struct test_pki, future), offsetof(struct test_pki, future_key),
         "client certificate not yet valid"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct server server;
        server_start(&server, true, allow, 3);
        run_s_client(&server, "-tls1_2", (const char *)&pki + rows[i].cert, (const char *)&pki + rows[i].key);
        server_stop(&server);
        assert_int_equal(server.opened, 0);
        assert_string_equal(server.reason, rows[i].reason);
    }
}

static void tls_speaks_the_suites_of_atna_and_nothing_older(void **state)
{
    (void)state;
    static const struct {
        const char *arguments;
        unsigned opened;
    } rows[] = {
        {"-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", 1},
        {"-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384", 1},
        {"-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", 1},
        {"-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", 1},
        {"-tls1_1 -cipher ALL:@SECLEVEL=0", 0},
        {"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", 0},
    };
    if (system("openssl version >/dev/null 2>&1") != 0) {
        test_skip("no openssl command; install the package openssl");
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct server server;
        server_start(&server, true, allow, 3);
        run_s_client(&server, rows[i].arguments, pki.sender, pki.sender_key);
        server_stop(&server);
        assert_int_equal(server.opened, rows[i].opened);
    }
}

static void tls_client_refuses_another_name(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_error err = {0};
    server_start(&server, true, allow, 3);
    uint16_t port = hub_net_listener_port(server.listener);
    assert_int_equal(test_peer_connect(&peer, port, 0), 0);
    assert_int_equal(test_peer_secure(&peer, pki.ca, pki.sender, pki.sender_key, "elsewhere.example", &err),
                     HUB_AUTH);
    assert_string_equal(hub_tls_stream_reason(peer.tls), "server certificate of another name");
    test_peer_close(&peer);
    assert_int_equal(test_peer_connect(&peer, port, 0), 0);
    assert_int_equal(test_peer_secure(&peer, pki.other_ca, pki.sender, pki.sender_key, "localhost", &err),
                     HUB_AUTH);
    assert_string_equal(hub_tls_stream_reason(peer.tls), "server certificate of an unknown authority");
    test_peer_close(&peer);
    assert_int_equal(test_peer_connect(&peer, port, 0), 0);
    assert_int_equal(test_peer_secure(&peer, pki.ca, pki.sender, pki.sender_key, "127.0.0.1", &err), HUB_OK);
    assert_string_equal(hub_tls_stream_version(peer.tls), "TLSv1.3");
    test_peer_close(&peer);
    server_stop(&server);
}

static void plain_bytes_on_a_tls_port_are_not_tls(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    char back[64];
    server_start(&server, true, allow, 3);
    assert_int_equal(test_peer_connect(&peer, hub_net_listener_port(server.listener), 0), 0);
    assert_int_equal(test_peer_send(&peer, "\x0bMSH|^~\\&|A|B\r\x1c\r", 17), 0);
    while (test_peer_receive(&peer, back, sizeof(back)) > 0)
        ;
    test_peer_close(&peer);
    server_stop(&server);
    assert_int_equal(server.opened, 0);
    assert_string_equal(server.reason, "not TLS");
}

struct pump {
    struct test_peer *peer;
    uint8_t *bytes;
    size_t len;
};

static void *pump_out(void *ctx)
{
    struct pump *pump = ctx;
    return test_peer_send(pump->peer, pump->bytes, pump->len) == 0 ? pump : NULL;
}

/* More than the unsent limit against a peer that reads slowly: nothing is lost, nothing changed. */
static void megabytes_come_back_whole(bool tls)
{
    enum { LEN = 3 * 1024 * 1024 };
    struct server server;
    struct test_peer peer;
    struct hub_error err = {0};
    uint8_t *bytes = hub_mem_alloc(LEN);
    uint8_t *back = hub_mem_alloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)((i * 2654435761u) >> 13);
    server_start(&server, tls, allow, 3);
    assert_int_equal(test_peer_connect(&peer, hub_net_listener_port(server.listener), 8192), 0);
    if (tls)
        assert_int_equal(test_peer_secure(&peer, pki.ca, pki.sender, pki.sender_key, "localhost", &err),
                         HUB_OK);
    if (tls) { /* one thread a stream: everything goes out in pieces below what the server keeps back */
        for (size_t at = 0; at < LEN; at += 65536) {
            assert_int_equal(test_peer_send(&peer, bytes + at, 65536), 0);
            for (size_t got = 0; got < 65536;) {
                ssize_t n = test_peer_receive(&peer, back + at + got, 65536 - got);
                assert_true(n > 0);
                got += (size_t)n;
            }
        }
    } else {
        struct pump pump = {&peer, bytes, LEN};
        pthread_t thread;
        void *done = NULL;
        assert_int_equal(pthread_create(&thread, NULL, pump_out, &pump), 0);
        for (size_t got = 0; got < LEN;) {
            ssize_t n = test_peer_receive(&peer, back + got, LEN - got);
            assert_true(n > 0);
            got += (size_t)n;
        }
        assert_int_equal(pthread_join(thread, &done), 0);
        assert_ptr_equal(done, &pump);
    }
    assert_memory_equal(bytes, back, LEN);
    test_peer_close(&peer);
    server_stop(&server);
    hub_mem_free(bytes);
    hub_mem_free(back);
}

static void a_slow_reader_gets_every_byte(void **state)
{
    (void)state;
    megabytes_come_back_whole(false);
    megabytes_come_back_whole(true);
}

static void what_was_written_before_finish_arrives(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    char back[16] = "";
    server_start(&server, false, NULL, 0);
    assert_int_equal(test_peer_connect(&peer, hub_net_listener_port(server.listener), 0), 0);
    assert_int_equal(test_peer_send(&peer, "hello", 5), 0);
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    assert_int_equal(recv(peer.fd, back, 5, MSG_WAITALL), 5);
    assert_int_equal(test_peer_receive(&peer, back, sizeof(back)), 0);
    test_peer_close(&peer);
    server_stop(&server);
    assert_int_equal(server.ended, 1);
}

static void a_second_process_may_not_share_a_listener(void **state)
{
    (void)state;
    struct hub_error err = {0};
    char address[32];
    struct hub_net_loop *one = hub_net_loop_new(true);
    struct hub_net_loop *two = hub_net_loop_new(false);
    struct hub_net_loop *stranger = hub_net_loop_new(true);
    struct hub_net_listener *a = NULL, *b = NULL, *c = NULL;
    assert_int_equal(hub_net_listen(one, "127.0.0.1:0", NULL, on_accept, NULL, &a, &err), HUB_OK);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", hub_net_listener_port(a));
    assert_int_equal(hub_net_listen(two, address, NULL, on_accept, NULL, &b, &err), HUB_OK);
    assert_int_equal(hub_net_listen(stranger, address, NULL, on_accept, NULL, &c, &err), HUB_BUSY);
    hub_net_listener_close(a);
    hub_net_listener_close(b);
    hub_net_loop_free(one);
    hub_net_loop_free(two);
    hub_net_loop_free(stranger);
}

static void count_run(void *ctx)
{
    (*(unsigned *)ctx)++;
}

static void posted_tasks_run_once_each_and_timers_fire_once(void **state)
{
    (void)state;
    struct hub_net_loop *loop = hub_net_loop_new(false);
    unsigned ran = 0, fired = 0;
    struct hub_net_task task = {.run = count_run, .ctx = &ran};
    hub_net_post(loop, &task);
    hub_net_post(loop, &task);
    hub_net_loop_step(loop);
    assert_int_equal(ran, 1);
    hub_net_post(loop, &task);
    hub_net_loop_step(loop);
    assert_int_equal(ran, 2);
    struct hub_net_timer *timer = hub_net_timer_new(loop, count_run, &fired);
    hub_net_timer_set(timer, 0);
    hub_net_loop_step(loop);
    hub_net_loop_step(loop);
    assert_int_equal(fired, 1);
    hub_net_timer_set(timer, 3600000);
    hub_net_timer_cancel(timer);
    hub_net_timer_free(timer);
    hub_net_loop_free(loop);
}

static void addresses_are_taken_or_refused(void **state)
{
    (void)state;
    struct hub_error err = {0};
    bool loopback = false;
    assert_int_equal(hub_net_address_check("127.9.0.1:6661", &loopback, &err), HUB_OK);
    assert_true(loopback);
    assert_int_equal(hub_net_address_check("[::1]:6661", &loopback, &err), HUB_OK);
    assert_true(loopback);
    assert_int_equal(hub_net_address_check("localhost:6661", &loopback, &err), HUB_OK);
    assert_true(loopback);
    static const char *const wide[] = {"0.0.0.0:6661", "*:6661", "[::]:6661", "192.0.2.1:6661",
                                       "[2001:db8::1]:6661"};
    for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
        assert_int_equal(hub_net_address_check(wide[i], &loopback, &err), HUB_OK);
        assert_false(loopback);
    }
    static const char *const bad[] = {
        "127.0.0.1", "6661", ":6661", "::1:6661", "127.0.0.1:66610", "hub.example:6661", "127.0.0.1:+1", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(hub_net_address_check(bad[i], &loopback, &err), HUB_CONFIG);
}

static void certificates_tell_name_time_and_test(void **state)
{
    (void)state;
    struct hub_error err = {0};
    struct hub_cert_info info;
    assert_int_equal(hub_cert_load(pki.sender, &info, &err), HUB_OK);
    assert_string_equal(info.name, "ehr-test");
    assert_true(info.test);
    assert_false(info.is_ca);
    assert_true(info.not_after_us > hub_clock_wall_us(hub_clock_system()));
    assert_int_equal(hub_cert_load(pki.ca, &info, &err), HUB_OK);
    assert_true(info.is_ca);
    assert_int_equal(hub_cert_load(pki.sender_key, &info, &err), HUB_CONFIG);
    struct stat st;
    assert_int_equal(stat(pki.sender_key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static int setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    return temp_folder_new(folder) != NULL ? test_pki_new(folder, &pki) : -1;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_lets_in_an_allowed_name_and_tells_which),
        cmocka_unit_test(tls_matches_dns_names_without_case),
        cmocka_unit_test(tls_without_allow_list_takes_any_verified_name),
        cmocka_unit_test(tls_refuses_a_peer_without_certificate),
        cmocka_unit_test(tls_refuses_another_authority),
        cmocka_unit_test(tls_refuses_a_name_that_is_not_listed),
        cmocka_unit_test(tls_refuses_a_certificate_for_servers),
        cmocka_unit_test(tls_does_not_load_an_expired_or_future_certificate),
        cmocka_unit_test(tls_refuses_an_expired_client),
        cmocka_unit_test(tls_speaks_the_suites_of_atna_and_nothing_older),
        cmocka_unit_test(tls_client_refuses_another_name),
        cmocka_unit_test(plain_bytes_on_a_tls_port_are_not_tls),
        cmocka_unit_test(a_slow_reader_gets_every_byte),
        cmocka_unit_test(what_was_written_before_finish_arrives),
        cmocka_unit_test(a_second_process_may_not_share_a_listener),
        cmocka_unit_test(posted_tasks_run_once_each_and_timers_fire_once),
        cmocka_unit_test(addresses_are_taken_or_refused),
        cmocka_unit_test(certificates_tell_name_time_and_test),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
