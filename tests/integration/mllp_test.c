/* The MLLP transport over real sockets, with an intake made for the test: what comes in, what goes back, when
 * it stops. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/transports/mllp/mllp.h"
#include "src/base/mem.h"
#include "src/net/net.h"
#include "tests/temp_folder.h"
#include "tests/tls_peer.h"

enum { TAKEN_MAX = 4096, PENDING = 8 };

static char folder[512];
static struct test_pki pki;
static const char *allow[] = {"CN=ehr-test"};

/* --- an intake for the test: answers "A:" and the message, in an order of its own --- */

struct taken {
    struct hub_delivery delivery;
    struct hub_buf bytes;
    bool answered;
};

struct hub_intake {
    struct hub_net_loop *loop;
    struct hub_net_task task;    /* answers */
    struct hub_net_timer *timer; /* resumes */
    struct taken taken[TAKEN_MAX];
    size_t count;
    bool backwards;      /* the newest is answered first */
    bool silent;         /* nothing is answered */
    unsigned busy_every; /* every nth message is refused once */
    unsigned submits;
    bool busy;
    int fail_at; /* this message gets the hub's own trouble, -1 = none */
    bool full;   /* no connection is admitted */
    uint64_t noise_bytes;
    unsigned noise_told;
    unsigned oversize, refused_logins, refused_frames, most_waiting;
    char reason[128];
    char sender[64];
    long connections;
    void *instance;
};

static void answer(struct hub_intake *intake, struct taken *one)
{
    struct hub_buf reply;
    hub_buf_init(&reply, 1 << 26, false);
    hub_buf_append_str(&reply, "A:");
    hub_buf_append_span(&reply, hub_buf_view(&one->bytes));
    one->answered = true;
    bool fails = intake->fail_at >= 0 && one == &intake->taken[intake->fail_at];
    if (one->delivery.connection != NULL)
        one->delivery.reply(one->delivery.connection, one->delivery.ticket, fails ? HUB_QUOTA : HUB_OK,
                            fails ? HUB_SPAN_NONE : hub_buf_view(&reply));
    hub_buf_deinit(&reply);
}

static void answer_all(void *ctx)
{
    struct hub_intake *intake = ctx;
    size_t waiting = 0;
    for (size_t i = 0; i < intake->count; i++)
        waiting += intake->taken[i].answered ? 0 : 1;
    if (waiting > intake->most_waiting)
        intake->most_waiting = (unsigned)waiting;
    size_t count = intake->count;
    for (size_t i = 0; i < count && !intake->silent; i++) {
        struct taken *one = &intake->taken[intake->backwards ? count - 1 - i : i];
        if (!one->answered)
            answer(intake, one);
    }
}

static void resume_all(void *ctx)
{
    struct hub_intake *intake = ctx;
    intake->busy = false;
    hub_transport_mllp.resume(intake->instance);
}

enum hub_result hub_intake_submit(struct hub_intake *intake, const struct hub_delivery *delivery)
{
    if (intake->busy)
        return HUB_BUSY;
    if (intake->busy_every != 0 && ++intake->submits % intake->busy_every == 0) {
        intake->busy = true;
        hub_net_timer_set(intake->timer, 1);
        return HUB_BUSY;
    }
    HUB_ASSERT(intake->count < TAKEN_MAX);
    struct taken *one = &intake->taken[intake->count++];
    one->delivery = *delivery;
    hub_buf_init(&one->bytes, 1 << 26, false);
    hub_buf_append_span(&one->bytes, delivery->bytes);
    intake->oversize += delivery->oversize ? 1 : 0;
    (void)snprintf(intake->sender, sizeof(intake->sender), "%s", delivery->sender);
    hub_net_post(intake->loop, &intake->task);
    return HUB_OK;
}

void hub_intake_forget(struct hub_intake *intake, void *connection)
{
    for (size_t i = 0; i < intake->count; i++) {
        if (intake->taken[i].delivery.connection == connection)
            intake->taken[i].delivery.connection = NULL;
    }
}

void hub_intake_login_refused(struct hub_intake *intake, const struct hub_feed *feed,
                              const char *peer_address, const char *reason)
{
    (void)feed;
    (void)peer_address;
    intake->refused_logins++;
    (void)snprintf(intake->reason, sizeof(intake->reason), "%s", reason);
}

void hub_intake_frame_refused(struct hub_intake *intake, const struct hub_feed *feed,
                              const char *peer_address, const char *reason)
{
    (void)feed;
    (void)peer_address;
    intake->refused_frames++;
    (void)snprintf(intake->reason, sizeof(intake->reason), "%s", reason);
}

void hub_intake_noise(struct hub_intake *intake, const struct hub_feed *feed, const char *peer_address,
                      uint64_t bytes, bool first)
{
    (void)feed;
    (void)peer_address;
    intake->noise_bytes += bytes;
    intake->noise_told += first ? 1 : 0;
}

void hub_intake_connections(struct hub_intake *intake, const struct hub_feed *feed, int change)
{
    (void)feed;
    intake->connections += change;
}

bool hub_intake_admit(struct hub_intake *intake)
{
    return !intake->full;
}

/* --- the server --- */

struct server {
    struct hub_config config;
    struct hub_feed feed;
    char address[32];
    struct hub_intake *intake;
    struct hub_net_loop *loop;
    pthread_t thread;
    uint16_t port;
};

static uint16_t free_port(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
    (void)close(fd);
    return ntohs(to.sin_port);
}

static void *run_loop(void *ctx)
{
    hub_net_loop_run(((struct server *)ctx)->loop);
    return NULL;
}

static void server_prepare(struct server *server, bool tls)
{
    memset(server, 0, sizeof(*server));
    server->port = free_port();
    (void)snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", server->port);
    server->feed = (struct hub_feed){.name = "test", .id = "f1", .listen = server->address};
    if (tls)
        server->feed.tls = (struct hub_tls_server){.enabled = true,
                                                   .cert = pki.hub,
                                                   .key = pki.hub_key,
                                                   .client_ca = pki.ca,
                                                   .allow = allow,
                                                   .allow_count = 1};
    server->config.limits = (struct hub_limits){
        .message_bytes = 1 << 20, .pending = PENDING, .idle_ms = 60000, .frame_ms = 60000};
    server->loop = hub_net_loop_new(true);
    server->intake = hub_mem_alloc(sizeof(*server->intake));
    server->intake->loop = server->loop;
    server->intake->fail_at = -1;
    server->intake->task = (struct hub_net_task){.run = answer_all, .ctx = server->intake};
    server->intake->timer = hub_net_timer_new(server->loop, resume_all, server->intake);
}

static void server_go(struct server *server)
{
    struct hub_error err = {0};
    server->intake->instance =
        hub_transport_mllp.start(&server->config, &server->feed, server->loop, server->intake, &err);
    assert_non_null(server->intake->instance);
    assert_int_equal(pthread_create(&server->thread, NULL, run_loop, server), 0);
}

static void server_end(struct server *server)
{
    hub_net_loop_stop(server->loop);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    hub_transport_mllp.stop(server->intake->instance);
    hub_net_timer_free(server->intake->timer);
    hub_net_loop_free(server->loop);
    for (size_t i = 0; i < server->intake->count; i++)
        hub_buf_deinit(&server->intake->taken[i].bytes);
}

static void server_done(struct server *server)
{
    server_end(server);
    assert_int_equal(server->intake->connections, 0);
    hub_mem_free(server->intake);
}

static void frame(struct hub_buf *out, const char *text)
{
    hub_buf_append_byte(out, 0x0b);
    hub_buf_append_str(out, text);
    hub_buf_append_str(out, "\x1c\r");
}

/* Receives until EXPECT has come, byte for byte. */
static void expect_bytes(struct test_peer *peer, const struct hub_buf *expect)
{
    uint8_t *got = hub_mem_alloc(expect->len + 1);
    size_t len = 0;
    while (len < expect->len) {
        ssize_t n = test_peer_receive(peer, got + len, expect->len - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_memory_equal(got, expect->ptr, expect->len);
    hub_mem_free(got);
}

static void expect_end(struct test_peer *peer)
{
    char byte;
    assert_true(test_peer_receive(peer, &byte, 1) <= 0);
}

static void frames_split_at_every_byte_are_the_same_messages(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_buf stream, expect;
    hub_buf_init(&stream, 4096, false);
    hub_buf_init(&expect, 4096, false);
    frame(&stream, "MSH|one\rPID|1");
    frame(&stream, "MSH|two\r");
    frame(&expect, "A:MSH|one\rPID|1");
    frame(&expect, "A:MSH|two\r");
    server_prepare(&server, false);
    server_go(&server);
    for (size_t cut = 1; cut < stream.len; cut++) {
        assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
        assert_int_equal(test_peer_send(&peer, stream.ptr, cut), 0);
        assert_int_equal(test_peer_send(&peer, stream.ptr + cut, stream.len - cut), 0);
        expect_bytes(&peer, &expect);
        test_peer_close(&peer);
    }
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    for (size_t i = 0; i < stream.len; i++)
        assert_int_equal(test_peer_send(&peer, stream.ptr + i, 1), 0);
    expect_bytes(&peer, &expect);
    test_peer_close(&peer);
    server_done(&server);
    hub_buf_deinit(&stream);
    hub_buf_deinit(&expect);
}

/* 500 messages at once, answered in any order, some refused for a while: replies come in message order. */
static void pipelined(bool tls, bool backwards, unsigned busy_every)
{
    struct server server;
    struct test_peer peer;
    struct hub_error err = {0};
    struct hub_buf stream, expect;
    char text[64];
    hub_buf_init(&stream, 1 << 20, false);
    hub_buf_init(&expect, 1 << 20, false);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(text, sizeof(text), "MSH|%d\r", i);
        frame(&stream, text);
        (void)snprintf(text, sizeof(text), "A:MSH|%d\r", i);
        frame(&expect, text);
    }
    server_prepare(&server, tls);
    server.intake->backwards = backwards;
    server.intake->busy_every = busy_every;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    if (tls)
        assert_int_equal(test_peer_secure(&peer, pki.ca, pki.sender, pki.sender_key, "localhost", &err),
                         HUB_OK);
    assert_int_equal(test_peer_send(&peer, stream.ptr, stream.len), 0);
    expect_bytes(&peer, &expect);
    test_peer_close(&peer);
    server_end(&server);
    assert_int_equal(server.intake->count, 500);
    assert_true(server.intake->most_waiting <= PENDING);
    assert_string_equal(server.intake->sender, tls ? "CN=ehr-test" : "");
    hub_mem_free(server.intake);
    hub_buf_deinit(&stream);
    hub_buf_deinit(&expect);
}

static void pipelined_messages_are_answered_in_order(void **state)
{
    (void)state;
    pipelined(false, false, 0);
    pipelined(false, true, 0);
    pipelined(true, true, 0);
}

/* An answer is echoed here: one with the separator in it is two. */
static void several_answers_to_a_message_stay_together_in_order(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_buf stream, expect;
    char text[64];
    hub_buf_init(&stream, 1 << 16, false);
    hub_buf_init(&expect, 1 << 16, false);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof(text), "MSH|%d\r%cMSH|%d again\r", i, HUB_ANSWER_SEPARATOR, i);
        frame(&stream, text);
        (void)snprintf(text, sizeof(text), "A:MSH|%d\r", i);
        frame(&expect, text);
        (void)snprintf(text, sizeof(text), "MSH|%d again\r", i);
        frame(&expect, text);
    }
    server_prepare(&server, false);
    server.intake->backwards = true;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    assert_int_equal(test_peer_send(&peer, stream.ptr, stream.len), 0);
    expect_bytes(&peer, &expect);
    test_peer_close(&peer);
    server_done(&server);
    hub_buf_deinit(&stream);
    hub_buf_deinit(&expect);
}

static void a_busy_intake_stops_the_reading_and_loses_nothing(void **state)
{
    (void)state;
    pipelined(false, false, 3);
    pipelined(true, true, 5);
    pipelined(false, true, 2);
}

static void a_sender_is_not_read_further_than_its_pending_limit(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_buf stream;
    hub_buf_init(&stream, 1 << 20, false);
    for (int i = 0; i < 100; i++)
        frame(&stream, "MSH|x\r");
    server_prepare(&server, false);
    server.intake->silent = true;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    assert_int_equal(test_peer_send(&peer, stream.ptr, stream.len), 0);
    (void)usleep(50000);
    server_end(&server);
    assert_int_equal(server.intake->count, PENDING);
    test_peer_close(&peer);
    hub_mem_free(server.intake);
    hub_buf_deinit(&stream);
}

static void the_hubs_own_trouble_closes_without_an_answer(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_buf stream, expect;
    hub_buf_init(&stream, 4096, false);
    hub_buf_init(&expect, 4096, false);
    for (int i = 0; i < 5; i++)
        frame(&stream, "MSH|x\r");
    frame(&expect, "A:MSH|x\r");
    frame(&expect, "A:MSH|x\r");
    server_prepare(&server, false);
    server.intake->fail_at = 2;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    assert_int_equal(test_peer_send(&peer, stream.ptr, stream.len), 0);
    expect_bytes(&peer, &expect);
    expect_end(&peer);
    test_peer_close(&peer);
    server_done(&server);
    hub_buf_deinit(&stream);
    hub_buf_deinit(&expect);
}

static void a_half_closed_peer_still_gets_its_answers(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_buf stream, expect;
    hub_buf_init(&stream, 4096, false);
    hub_buf_init(&expect, 4096, false);
    for (int i = 0; i < 20; i++) {
        frame(&stream, "MSH|x\r");
        frame(&expect, "A:MSH|x\r");
    }
    server_prepare(&server, false);
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    assert_int_equal(test_peer_send(&peer, stream.ptr, stream.len), 0);
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    expect_bytes(&peer, &expect);
    expect_end(&peer);
    test_peer_close(&peer);
    server_done(&server);
    hub_buf_deinit(&stream);
    hub_buf_deinit(&expect);
}

static void a_message_past_the_limit_is_told_so_and_the_next_is_taken(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_buf stream, expect;
    hub_buf_init(&stream, 1 << 20, false);
    hub_buf_init(&expect, 1 << 20, false);
    hub_buf_append_byte(&stream, 0x0b);
    for (int i = 0; i < 3000; i++)
        hub_buf_append_byte(&stream, 'x');
    hub_buf_append_str(&stream, "\x1c\r");
    frame(&stream, "MSH|small\r");
    hub_buf_append_str(&expect, "\x0b"
                                "A:");
    for (int i = 0; i < 1024; i++)
        hub_buf_append_byte(&expect, 'x');
    hub_buf_append_str(&expect, "\x1c\r");
    frame(&expect, "A:MSH|small\r");
    server_prepare(&server, false);
    server.config.limits.message_bytes = 1024;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    assert_int_equal(test_peer_send(&peer, stream.ptr, stream.len), 0);
    expect_bytes(&peer, &expect);
    test_peer_close(&peer);
    server_end(&server);
    assert_int_equal(server.intake->oversize, 1);
    assert_int_equal(server.intake->refused_frames, 1);
    hub_mem_free(server.intake);
    hub_buf_deinit(&stream);
    hub_buf_deinit(&expect);
}

static void silence_and_slow_frames_end_a_connection(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    server_prepare(&server, false);
    server.config.limits.idle_ms = 40;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    expect_end(&peer);
    test_peer_close(&peer);
    server_done(&server);
    server_prepare(&server, false);
    server.config.limits.frame_ms = 40;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    assert_int_equal(test_peer_send(&peer, "\x0bMSH|never", 10), 0);
    expect_end(&peer);
    test_peer_close(&peer);
    server_end(&server);
    assert_string_equal(server.intake->reason, "a frame took longer than limits.frame");
    hub_mem_free(server.intake);
    server_prepare(&server, true);
    server.config.limits.frame_ms = 40;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    expect_end(&peer);
    test_peer_close(&peer);
    server_end(&server);
    assert_string_equal(server.intake->reason, "no TLS handshake in time");
    hub_mem_free(server.intake);
}

static void a_peer_without_certificate_never_reaches_the_intake(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    struct hub_error err = {0};
    struct hub_buf stream;
    hub_buf_init(&stream, 4096, false);
    frame(&stream, "MSH|x\r");
    server_prepare(&server, true);
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    if (test_peer_secure(&peer, pki.ca, NULL, NULL, "localhost", &err) == HUB_OK)
        (void)test_peer_send(&peer, stream.ptr, stream.len);
    expect_end(&peer);
    test_peer_close(&peer);
    server_end(&server);
    assert_int_equal(server.intake->count, 0);
    assert_int_equal(server.intake->refused_logins, 1);
    assert_string_equal(server.intake->reason, "no client certificate");
    hub_mem_free(server.intake);
    hub_buf_deinit(&stream);
}

static void more_connections_than_admitted_are_closed(void **state)
{
    (void)state;
    struct server server;
    struct test_peer peer;
    server_prepare(&server, false);
    server.intake->full = true;
    server_go(&server);
    assert_int_equal(test_peer_connect(&peer, server.port, 0), 0);
    expect_end(&peer);
    test_peer_close(&peer);
    server_done(&server);
}

static void plain_outside_loopback_is_refused_unless_meant(void **state)
{
    (void)state;
    struct server server;
    struct hub_error err = {0};
    server_prepare(&server, false);
    (void)snprintf(server.address, sizeof(server.address), "0.0.0.0:%u", server.port);
    assert_null(hub_transport_mllp.start(&server.config, &server.feed, server.loop, server.intake, &err));
    assert_int_equal(err.result, HUB_CONFIG);
    server.feed.insecure = true;
    server_go(&server);
    server_done(&server);
}

static void check_tells_what_is_wrong_with_a_listener(void **state)
{
    (void)state;
    struct server server;
    struct hub_problems problems;
    server_prepare(&server, true);
    hub_problems_init(&problems);
    hub_transport_mllp.check(&server.config, &server.feed, &problems);
    assert_int_equal(problems.errors, 0);
    assert_int_equal(problems.count, 0);
    server.feed.tls.client_ca = NULL;
    server.feed.tls.allow_count = 0;
    hub_transport_mllp.check(&server.config, &server.feed, &problems);
    assert_int_equal(problems.errors, 0);
    assert_int_equal(problems.count, 1); /* anyone may send */
    server.feed.listen = "no port";
    server.feed.tls.key = pki.lab_key;
    hub_transport_mllp.check(&server.config, &server.feed, &problems);
    assert_int_equal(problems.errors, 2);
    hub_problems_deinit(&problems);
    hub_net_timer_free(server.intake->timer);
    hub_net_loop_free(server.loop);
    hub_mem_free(server.intake);
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
        cmocka_unit_test(frames_split_at_every_byte_are_the_same_messages),
        cmocka_unit_test(pipelined_messages_are_answered_in_order),
        cmocka_unit_test(several_answers_to_a_message_stay_together_in_order),
        cmocka_unit_test(a_busy_intake_stops_the_reading_and_loses_nothing),
        cmocka_unit_test(a_sender_is_not_read_further_than_its_pending_limit),
        cmocka_unit_test(the_hubs_own_trouble_closes_without_an_answer),
        cmocka_unit_test(a_half_closed_peer_still_gets_its_answers),
        cmocka_unit_test(a_message_past_the_limit_is_told_so_and_the_next_is_taken),
        cmocka_unit_test(silence_and_slow_frames_end_a_connection),
        cmocka_unit_test(a_peer_without_certificate_never_reaches_the_intake),
        cmocka_unit_test(more_connections_than_admitted_are_closed),
        cmocka_unit_test(plain_outside_loopback_is_refused_unless_meant),
        cmocka_unit_test(check_tells_what_is_wrong_with_a_listener),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
