/* A whole hub in this process: real sockets, real files, real keys. */
#include <signal.h>
#include <sys/wait.h>

#include "src/audit/audit.h"
#include "src/pipeline/hub_internal.h"
#include "tests/hub_folder.h"

static uint64_t status_number(struct test_hub *hub, const char *name)
{
    struct hub_client *client = NULL;
    struct test_answer answer;
    struct hub_error err;
    test_answer_init(&answer);
    assert_int_equal(hub->running ? hub_client_connect(hub->data_dir, &client, &err)
                                  : hub_client_local(hub->hub, "uid 1", &client, &err),
                     HUB_OK);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"status\"}"), HUB_OK);
    uint64_t number = test_number(test_first(&answer, "status"), name);
    hub_client_close(client);
    test_answer_deinit(&answer);
    return number;
}

/* Entries of a kind, and with a text in them (NULL: any), in the audit log. */
struct counted {
    const char *kind, *text;
    size_t count;
};

static bool count_entry(void *ctx, uint64_t index, struct hub_span json)
{
    struct counted *counted = ctx;
    (void)index;
    char kind[64];
    int len = snprintf(kind, sizeof(kind), "\"kind\":\"%s\"", counted->kind);
    if (memmem(json.ptr, json.len, kind, (size_t)len) != NULL &&
        (counted->text == NULL || memmem(json.ptr, json.len, counted->text, strlen(counted->text)) != NULL))
        counted->count++;
    return true;
}

static size_t entries(struct test_hub *hub, const char *kind, const char *text)
{
    struct counted counted = {.kind = kind, .text = text};
    struct hub_error err = {0};
    char folder[1200];
    (void)snprintf(folder, sizeof(folder), "%s/audit", hub->data_dir);
    assert_int_equal(hub_audit_each(folder, 0, count_entry, &counted, &err), HUB_OK);
    return counted.count;
}

static void verify(struct test_hub *hub)
{
    char folder[1200], log[1200];
    struct hub_error err = {0};
    struct hub_audit_report *report = hub_mem_alloc(sizeof(*report));
    (void)snprintf(folder, sizeof(folder), "%s/audit", hub->data_dir);
    (void)snprintf(log, sizeof(log), "%s/log", hub->data_dir);
    struct hub_audit_verify_options options = {.folder = folder, .events_log = log};
    assert_int_equal(hub_audit_verify(&options, report, &err), HUB_OK);
    for (size_t i = 0; i < report->finding_count; i++)
        print_message("finding: %s\n", report->findings[i].text);
    assert_int_equal(report->finding_count, 0);
    hub_mem_free(report);
}

static void a_message_goes_all_the_way_and_its_repeat_gets_the_same_answer(void **state)
{
    (void)state;
    struct test_hub hub;
    char first[2048], second[2048];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_send_message(&hub, "C1", "1001", "Muster", first);
    assert_non_null(strstr(first, "MSA|AA|C1"));
    test_send_message(&hub, "C1", "1001", "Muster", second);
    assert_string_equal(first, second);
    test_send_message(&hub, "C1", "1001", "Anders",
                      second); /* the same control id with other content: a new message */
    assert_non_null(strstr(second, "MSA|AA|C1"));
    assert_int_equal(status_number(&hub, "events"), 2);
    assert_int_equal(status_number(&hub, "duplicates"), 1);
    test_hub_stop(&hub);
    assert_int_equal(entries(&hub, "message-accepted", NULL), 2);
    assert_int_equal(entries(&hub, "message-accepted", "control-id-reused"), 1);
    assert_int_equal(entries(&hub, "log-started", NULL), 1);
    assert_int_equal(entries(&hub, "log-stopped", NULL), 1);
    assert_int_equal(entries(&hub, "config-loaded", NULL), 1);
    assert_int_equal(entries(&hub, "policy-loaded", NULL), 2);
    verify(&hub);
    test_hub_remove(&hub);
}

static void a_rejected_message_is_kept_sealed_and_judged_anew(void **state)
{
    (void)state;
    static const char bad[] = "\x0bMSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ADT^A01^ADT_A01|BAD1|P|9."
                              "9\rPID|1||77^^^GENHOSP^MR||Secretname^X\r\x1c\r";
    struct test_hub hub;
    struct test_peer peer;
    char answer[2048];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_sender_open(&hub, &peer);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(test_peer_send(&peer, bad, sizeof(bad) - 1), 0);
        assert_true(test_receive_answer(&peer, answer, sizeof(answer)) > 0);
        assert_non_null(strstr(answer, "MSA|AR|BAD1"));
        assert_null(strstr(answer, "Secretname"));
    }
    test_peer_close(&peer);
    assert_int_equal(status_number(&hub, "deadletters"), 1);
    assert_int_equal(status_number(&hub, "events"), 0);
    test_hub_stop(&hub);
    assert_int_equal(entries(&hub, "message-rejected", NULL), 3);
    verify(&hub);
    test_hub_remove(&hub);
}

static void on_error_accept_answers_positively_and_keeps_the_original(void **state)
{
    (void)state;
    static const char bad[] = "\x0bMSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ADT^A01^ADT_A01|BAD2|P|9."
                              "9\rPID|1||77^^^GENHOSP^MR||Name^X\r\x1c\r";
    struct test_hub hub;
    struct test_peer peer;
    char answer[2048];
    test_hub_make(&hub);
    test_hub_yaml(&hub, "data", "drain: 10s", "accept");
    test_hub_start(&hub);
    test_sender_open(&hub, &peer);
    assert_int_equal(test_peer_send(&peer, bad, sizeof(bad) - 1), 0);
    assert_true(test_receive_answer(&peer, answer, sizeof(answer)) > 0);
    assert_non_null(strstr(answer, "MSA|AA|BAD2"));
    test_peer_close(&peer);
    assert_int_equal(status_number(&hub, "deadletters"), 1);
    test_hub_stop(&hub);
    assert_int_equal(entries(&hub, "message-dead-lettered", NULL), 1);
    test_hub_remove(&hub);
}

static void a_message_past_the_size_limit_is_rejected_with_its_own_control_id(void **state)
{
    (void)state;
    struct test_hub hub;
    struct test_peer peer;
    struct hub_buf message;
    char answer[2048];
    hub_buf_init(&message, 1 << 20, false);
    test_hub_make(&hub);
    test_hub_yaml(&hub, "data", "message_bytes: 64KiB", "reject");
    test_hub_start(&hub);
    hub_buf_append_str(
        &message, "\x0bMSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ADT^A01^ADT_A01|BIG1|P|2.5.1\rNTE|1||");
    for (int i = 0; i < 100000; i++)
        hub_buf_append_byte(&message, 'x');
    hub_buf_append_str(&message, "\r\x1c\r");
    test_sender_open(&hub, &peer);
    assert_int_equal(test_peer_send(&peer, message.ptr, message.len), 0);
    assert_true(test_receive_answer(&peer, answer, sizeof(answer)) > 0);
    assert_non_null(strstr(answer, "MSA|AE|BIG1"));
    test_peer_close(&peer);
    test_send_message(&hub, "C2", "1001", "Muster", answer);
    assert_non_null(strstr(answer, "MSA|AA|C2"));
    test_hub_stop(&hub);
    test_hub_remove(&hub);
    hub_buf_deinit(&message);
}

static void a_refused_login_is_in_the_audit_log(void **state)
{
    (void)state;
    struct test_hub hub;
    struct test_peer peer;
    struct hub_error err = {0};
    char byte;
    test_hub_make(&hub);
    test_hub_start(&hub);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(test_peer_connect(&peer, hub.port, 0), 0);
        (void)test_peer_secure(&peer, hub.pki.ca, hub.pki.foreign, hub.pki.foreign_key, "localhost", &err);
        (void)test_peer_receive(&peer, &byte, 1);
        test_peer_close(&peer);
    }
    test_hub_stop(&hub);
    /* the first of a second by itself, the others of that second together */
    size_t sum = 0;
    for (size_t n = 1; n <= 3; n++) {
        char count[24];
        (void)snprintf(count, sizeof(count), "\"count\":%zu", n);
        sum += n * entries(&hub, "login-refused", count);
    }
    assert_int_equal(sum, 3);
    assert_true(entries(&hub, "login-refused", "\"count\":1") >= 1);
    assert_true(
        entries(&hub, "login-refused", "\"reason\":\"client certificate of an unknown authority\"") >= 2);
    test_hub_remove(&hub);
}

/* A sender that fills the pipe while the hub is told to stop: what was answered is stored, and nothing else
 * was. */
static void a_stop_under_load_answers_exactly_what_is_stored(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    struct test_hub hub;
    struct test_peer peer;
    struct hub_buf message, all;
    char text[32], answer[2048];
    size_t answered = 0;
    hub_buf_init(&message, 65536, false);
    hub_buf_init(&all, 1 << 20, false);
    test_hub_make(&hub);
    test_hub_start(&hub);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(text, sizeof(text), "S%d", i);
        test_message(&message, text, text + 1, "Muster");
        hub_buf_append_span(&all, hub_buf_view(&message));
    }
    test_sender_open(&hub, &peer);
    assert_int_equal(test_peer_send(&peer, all.ptr, all.len), 0);
    assert_true(test_receive_answer(&peer, answer, sizeof(answer)) > 0);
    answered++;
    test_hub_stop(&hub);
    while (test_receive_answer(&peer, answer, sizeof(answer)) > 0) {
        assert_non_null(strstr(answer, "MSA|AA|S"));
        answered++;
    }
    test_peer_close(&peer);
    assert_int_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
    assert_int_equal(status_number(&hub, "events"), answered);
    test_hub_close(&hub);
    test_hub_remove(&hub);
    hub_buf_deinit(&message);
    hub_buf_deinit(&all);
}

struct stream {
    struct test_hub *hub;
    int number;
    size_t answered;
};

static void *stream_body(void *ctx)
{
    struct stream *stream = ctx;
    struct test_peer peer;
    struct hub_buf message, all;
    char text[32], answer[2048];
    hub_buf_init(&message, 65536, false);
    hub_buf_init(&all, 1 << 22, false);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof(text), "T%dx%d", stream->number, i);
        test_message(&message, text, text + 1, "Muster");
        hub_buf_append_span(&all, hub_buf_view(&message));
    }
    test_sender_open(stream->hub, &peer);
    if (test_peer_send(&peer, all.ptr, all.len) == 0) {
        for (int i = 0; i < 50; i++) {
            (void)snprintf(text, sizeof(text), "MSA|AA|T%dx%d", stream->number, i);
            if (test_receive_answer(&peer, answer, sizeof(answer)) == 0 || strstr(answer, text) == NULL)
                break;
            stream->answered++;
        }
    }
    test_peer_close(&peer);
    hub_buf_deinit(&message);
    hub_buf_deinit(&all);
    return NULL;
}

/* Room for hardly one message in flight: everybody waits, nobody is lost, every answer in its order. */
static void a_tiny_budget_holds_senders_back_and_loses_nothing(void **state)
{
    (void)state;
    enum { SENDERS = 8 };
    struct test_hub hub;
    struct stream streams[SENDERS];
    pthread_t threads[SENDERS];
    test_hub_make(&hub);
    test_hub_yaml(&hub, "data", "pending: 4, queue: 16", "reject");
    hub.in_flight_bytes = 2000;
    test_hub_start(&hub);
    for (int i = 0; i < SENDERS; i++) {
        streams[i] = (struct stream){.hub = &hub, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, stream_body, &streams[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(streams[i].answered, 50);
    }
    assert_int_equal(status_number(&hub, "events"), SENDERS * 50);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

/* A timeline that does not keep up: senders wait for it instead of making charts older and older. */
static void a_timeline_too_far_behind_holds_senders_back_and_loses_nothing(void **state)
{
    (void)state;
    enum { SENDERS = 8, SENT = SENDERS * 50 };
    struct test_hub hub;
    struct stream streams[SENDERS];
    pthread_t threads[SENDERS];
    test_hub_make(&hub);
    test_hub_yaml(&hub, "data", "pending: 4, queue: 16, timeline_lag: 10", "reject");
    test_hub_start(&hub);
    for (int i = 0; i < 500 && !atomic_load(&hub.hub->ingest.kept_up); i++)
        (void)usleep(10000);
    assert_true(atomic_load(&hub.hub->ingest.kept_up));
    (void)pthread_mutex_lock(&hub.hub->apply_lock); /* the applier stands still */
    for (int i = 0; i < SENDERS; i++) {
        streams[i] = (struct stream){.hub = &hub, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, stream_body, &streams[i]), 0);
    }
    for (int i = 0; i < 500 && !hub_ingest_timeline_behind(&hub.hub->ingest); i++)
        (void)usleep(10000);
    assert_true(hub_ingest_timeline_behind(&hub.hub->ingest));
    (void)usleep(300000); /* what was on its way is stored, no more comes */
    uint64_t held_at = hub_log_durable(hub.hub->log);
    (void)usleep(300000);
    assert_int_equal(hub_log_durable(hub.hub->log), held_at);
    assert_true(held_at < SENT / 2);
    (void)pthread_mutex_unlock(&hub.hub->apply_lock);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(streams[i].answered, 50);
    }
    assert_int_equal(status_number(&hub, "events"), SENT);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

static void one_process_a_data_directory(void **state)
{
    (void)state;
    struct test_hub hub, second;
    test_hub_make(&hub);
    test_hub_start(&hub);
    second = hub;
    assert_int_equal(test_hub_open(&second, HUB_RUN_OFFLINE), HUB_BUSY);
    test_hub_stop(&hub);
    assert_int_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
    test_hub_close(&hub);
    test_hub_remove(&hub);
}

static void without_its_keys_a_data_directory_stays_closed(void **state)
{
    (void)state;
    struct test_hub hub;
    char answer[2048], from[600], to[600];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_send_message(&hub, "C1", "1001", "Muster", answer);
    test_hub_stop(&hub);
    test_write_file(hub.folder, "root.key",
                    "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    assert_int_not_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
    test_write_file(hub.folder, "root.key",
                    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    (void)snprintf(from, sizeof(from), "%s/keys/store", hub.folder);
    (void)snprintf(to, sizeof(to), "%s/keys/away", hub.folder);
    assert_int_equal(rename(from, to), 0);
    assert_int_not_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
    temp_folder_remove(from);
    assert_int_equal(rename(to, from), 0);
    assert_int_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
    test_hub_close(&hub);
    test_hub_remove(&hub);
}

static void a_listener_that_is_taken_stops_the_start(void **state)
{
    (void)state;
    struct test_hub hub;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    test_hub_make(&hub);
    to.sin_port = htons(hub.port);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(test_hub_open(&hub, HUB_RUN_ALL), HUB_OK);
    assert_int_equal(pipe(hub.stop), 0);
    struct hub_error err = {0};
    assert_int_equal(hub_run(hub.hub, hub.stop[0], NULL, NULL, &err), HUB_BUSY);
    (void)close(hub.stop[0]);
    (void)close(hub.stop[1]);
    test_hub_close(&hub);
    (void)close(fd);
    test_hub_remove(&hub);
}

/* The hub in a child process that is killed in the middle of things; every control id that was acknowledged
 * before is found afterwards, once. */
static pid_t start_child(struct test_hub *hub)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ready[0]);
        test_hub_start(hub);
        ssize_t put = write(ready[1], "r", 1);
        (void)put;
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return child;
}

static size_t found(struct hub_client *client, const char *control_id)
{
    struct test_answer answer;
    struct hub_error err;
    test_answer_init(&answer);
    assert_int_equal(
        test_ask(client, &answer, &err, "{\"op\":\"message.find\",\"control_id\":\"%s\"}", control_id),
        HUB_OK);
    size_t count = test_count(&answer, "message");
    test_answer_deinit(&answer);
    return count;
}

static void what_was_acknowledged_before_a_kill_is_there_once(void **state)
{
    (void)state;
    enum { ROUNDS = 4, MOST = 60 };
    struct test_hub hub;
    struct test_peer peer;
    struct hub_buf message;
    struct hub_client *client = NULL;
    struct hub_error err = {0};
    char text[32], answer[2048];
    int acknowledged[ROUNDS] = {0};
    hub_buf_init(&message, 65536, false);
    test_hub_make(&hub);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = start_child(&hub);
        test_sender_open(&hub, &peer);
        for (int i = 0; i < MOST; i++) {
            (void)snprintf(text, sizeof(text), "K%dx%d", round, i);
            test_message(&message, text, text + 1, "Muster");
            assert_int_equal(test_peer_send(&peer, message.ptr, message.len), 0);
        }
        for (int i = 0; i < 7 + round * 9; i++) {
            assert_true(test_receive_answer(&peer, answer, sizeof(answer)) > 0);
            acknowledged[round]++;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (test_receive_answer(&peer, answer, sizeof(answer)) > 0)
            acknowledged[round]++;
        test_peer_close(&peer);
    }
    assert_int_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
    assert_int_equal(hub_client_local(hub.hub, "uid 1", &client, &err), HUB_OK);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < acknowledged[round]; i++) {
            (void)snprintf(text, sizeof(text), "K%dx%d", round, i);
            assert_int_equal(found(client, text), 1);
        }
    }
    hub_client_close(client);
    test_hub_close(&hub);
    verify(&hub);
    test_hub_remove(&hub);
    hub_buf_deinit(&message);
}

/* A disk whose sync fails once a file named STOP_NAME is there; everything else is the machine's. */
static char stop_name[1200];

static enum hub_result failing_sync(struct hub_disk *disk, int fd, struct hub_error *err)
{
    if (access(stop_name, F_OK) == 0)
        return hub_fail(err, HUB_IO, "a sync that fails", NULL);
    return hub_disk_system()->ops->sync(disk, fd, err);
}

static pid_t start_failing_child(struct test_hub *hub, int messages[2])
{
    static struct hub_disk_ops ops;
    static struct hub_disk disk = {&ops};
    ops = *hub_disk_system()->ops;
    ops.sync = failing_sync;
    hub->disk = &disk;
    assert_int_equal(pipe(messages), 0);
    (void)fflush(stdout);
    int keep = dup(STDERR_FILENO);
    assert_true(dup2(messages[1], STDERR_FILENO) >= 0);
    pid_t child = start_child(hub);
    assert_true(dup2(keep, STDERR_FILENO) >= 0);
    (void)close(keep);
    (void)close(messages[1]);
    hub->disk = NULL;
    return child;
}

static void a_failed_sync_ends_the_process_without_another_answer(void **state)
{
    (void)state;
    struct test_hub hub;
    struct test_peer peer;
    struct hub_buf message;
    struct hub_client *client = NULL;
    struct hub_error err = {0};
    char answer[2048], words[1024];
    int messages[2], status = 0;
    hub_buf_init(&message, 65536, false);
    test_hub_make(&hub);
    (void)snprintf(stop_name, sizeof(stop_name), "%s/stop", hub.folder);
    pid_t child = start_failing_child(&hub, messages);
    test_sender_open(&hub, &peer);
    test_message(&message, "F1", "1001", "Muster");
    assert_int_equal(test_peer_send(&peer, message.ptr, message.len), 0);
    assert_true(test_receive_answer(&peer, answer, sizeof(answer)) > 0);
    test_write_file(hub.folder, "stop", "");
    test_message(&message, "F2", "1002", "Anders");
    assert_int_equal(test_peer_send(&peer, message.ptr, message.len), 0);
    assert_int_equal(test_receive_answer(&peer, answer, sizeof(answer)), 0);
    test_peer_close(&peer);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    ssize_t len = read(messages[0], words, sizeof(words) - 1);
    words[len > 0 ? len : 0] = '\0';
    assert_non_null(strstr(words, "chartline: fatal: "));
    (void)close(messages[0]);
    assert_int_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
    assert_int_equal(hub_client_local(hub.hub, "uid 1", &client, &err), HUB_OK);
    assert_int_equal(found(client, "F1"), 1);
    hub_client_close(client);
    test_hub_close(&hub);
    test_hub_remove(&hub);
    hub_buf_deinit(&message);
}

/* No value of a message in any file of the data directory. */
static bool file_has(const char *path, size_t size, const char *text)
{
    FILE *file = fopen(path, "re");
    char *bytes = hub_mem_alloc(size + 1);
    assert_non_null(file);
    assert_non_null(bytes);
    size_t len = fread(bytes, 1, size, file);
    (void)fclose(file);
    bool has = memmem(bytes, len, text, strlen(text)) != NULL;
    hub_mem_free(bytes);
    return has;
}

static const char *looked_for;
static unsigned hits, files;

static int look(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F) {
        files++;
        hits += file_has(path, (size_t)st->st_size, looked_for) ? 1 : 0;
    }
    return 0;
}

static void nothing_of_a_message_is_in_the_data_directory_in_the_clear(void **state)
{
    (void)state;
    static const char *const markers[] = {"Zyxmarkername", "Anna", "19700101", "99887766", "C1markerid"};
    struct test_hub hub;
    char answer[2048];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_send_message(&hub, "C1markerid", "99887766", "Zyxmarkername", answer);
    test_hub_stop(&hub);
    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
        looked_for = markers[i];
        hits = 0;
        files = 0;
        assert_int_equal(nftw(hub.data_dir, look, 16, FTW_PHYS), 0);
        assert_true(files > 5);
        assert_int_equal(hits, 0);
    }
    test_hub_remove(&hub);
}

static int setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    hub_diag_set_level(HUB_DIAG_ERROR);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_before_a_kill_is_there_once), /* first: it forks, and must not
                                                                                from a process with threads */
        cmocka_unit_test(a_failed_sync_ends_the_process_without_another_answer), /* forks too */
        cmocka_unit_test(a_message_goes_all_the_way_and_its_repeat_gets_the_same_answer),
        cmocka_unit_test(a_rejected_message_is_kept_sealed_and_judged_anew),
        cmocka_unit_test(on_error_accept_answers_positively_and_keeps_the_original),
        cmocka_unit_test(a_message_past_the_size_limit_is_rejected_with_its_own_control_id),
        cmocka_unit_test(a_refused_login_is_in_the_audit_log),
        cmocka_unit_test(a_stop_under_load_answers_exactly_what_is_stored),
        cmocka_unit_test(a_tiny_budget_holds_senders_back_and_loses_nothing),
        cmocka_unit_test(a_timeline_too_far_behind_holds_senders_back_and_loses_nothing),
        cmocka_unit_test(one_process_a_data_directory),
        cmocka_unit_test(without_its_keys_a_data_directory_stays_closed),
        cmocka_unit_test(a_listener_that_is_taken_stops_the_start),
        cmocka_unit_test(nothing_of_a_message_is_in_the_data_directory_in_the_clear),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
