/* The control socket and its services: who may ask what, what comes back, and what the audit log keeps of it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/un.h>

#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "tests/hub_folder.h"

static struct hub_client *ask_at(struct test_hub *hub)
{
    struct hub_client *client = NULL;
    struct hub_error err = {0};
    assert_int_equal(hub_client_connect(hub->data_dir, &client, &err), HUB_OK);
    return client;
}

/* Audit entries with all of the texts, through the service itself. */
static size_t audited(struct hub_client *client, const char *one, const char *two)
{
    struct test_answer answer;
    struct hub_error err;
    struct hub_buf text;
    size_t count = 0;
    test_answer_init(&answer);
    hub_buf_init(&text, 1 << 20, false);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"audit.show\",\"from\":0,\"count\":100000}"),
                     HUB_OK);
    for (const struct hub_json *line = answer.lines->first; line != NULL; line = line->next) {
        hub_buf_reset(&text);
        hub_json_write(&text, line);
        count += strstr(hub_buf_str(&text), one) != NULL && strstr(hub_buf_str(&text), two) != NULL ? 1 : 0;
    }
    hub_buf_deinit(&text);
    test_answer_deinit(&answer);
    return count;
}

/* Proves ROLE with the key of KEY's role. */
static enum hub_result prove(struct test_hub *hub, struct hub_client *client, const char *role,
                             const char *key, struct hub_error *err)
{
    struct test_answer answer;
    struct hub_role_key *role_key = NULL;
    char path[700], text[128] = "";
    uint8_t sealed[128], plain[32] = {0};
    size_t len = 0;
    test_answer_init(&answer);
    (void)snprintf(path, sizeof(path), "%s/keys/roles/%s.key", hub->folder, key);
    assert_int_equal(hub_role_key_load(path, &role_key, err), HUB_OK);
    enum hub_result result =
        test_ask(client, &answer, err, "{\"op\":\"role.challenge\",\"role\":\"%s\"}", role);
    if (result == HUB_OK) {
        assert_int_equal(hub_decode(HUB_BASE64, hub_json_span(test_first(&answer, "challenge")), sealed,
                                    sizeof(sealed), &len),
                         HUB_OK);
        assert_int_equal(len, 32 + HUB_BOX_SEAL_LEN);
        if (hub_box_open(role_key->public_key, role_key->secret_key, hub_span_of(sealed, len), plain) !=
            HUB_OK)
            memset(plain, 7, sizeof(plain)); /* a guess */
        (void)hub_encode(HUB_BASE64, hub_span_of(plain, sizeof(plain)), text, sizeof(text));
        result = test_ask(client, &answer, err, "{\"op\":\"role.prove\",\"answer\":\"%s\"}", text);
    }
    hub_secret_free(role_key);
    test_answer_deinit(&answer);
    return result;
}

static void requests_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        enum hub_result result;
    } rows[] = {
        {"", HUB_SYNTAX},
        {"[]", HUB_SYNTAX},
        {"{\"op\":\"status\"", HUB_SYNTAX},
        {"{}", HUB_USAGE},
        {"{\"op\":7}", HUB_USAGE},
        {"{\"op\":\"everything\"}", HUB_USAGE},
        {"{\"op\":\"message.find\"}", HUB_USAGE},
        {"{\"op\":\"message.find\",\"since\":\"yesterday\"}", HUB_USAGE},
        {"{\"op\":\"message.show\",\"id\":\"x\"}", HUB_NOT_FOUND},
        {"{\"op\":\"message.show\"}", HUB_USAGE},
        {"{\"op\":\"deadletter.show\",\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", HUB_NOT_FOUND},
        {"{\"op\":\"timeline.chart\",\"patient\":\"nobody\"}", HUB_USAGE},
        {"{\"op\":\"timeline.chart\",\"patient\":\"GENHOSP|\"}", HUB_USAGE},
        {"{\"op\":\"timeline.chart\",\"patient\":\"GENHOSP|4711\"}", HUB_NOT_FOUND},
        {"{\"op\":\"timeline.digest\",\"what\":\"all\"}", HUB_USAGE},
        {"{\"op\":\"role.challenge\",\"role\":\"nobody\"}", HUB_DENIED},
        {"{\"op\":\"role.prove\",\"answer\":\"AAAA\"}", HUB_AUTH},
        {"{\"op\":\"audit.show\",\"from\":-1}", HUB_USAGE},
        {"{\"op\":\"key.secrets\",\"tokens\":[\"1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"],\"classes\":[\"raw\"]}",
         HUB_AUTH},
    };
    struct test_hub hub;
    struct test_answer answer;
    struct hub_error err;
    test_hub_make(&hub);
    test_hub_start(&hub);
    struct hub_client *client = ask_at(&hub);
    test_answer_init(&answer);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hub_span request = hub_span_str(rows[i].request);
        memset(&err, 0, sizeof(err));
        assert_int_equal(hub_client_ask(client, request, test_take_line, &answer, &err), rows[i].result);
        assert_true(err.what != NULL && err.what[0] != '\0');
    }
    assert_int_equal(audited(client, "timeline.chart", "\"kind\":\"read\""),
                     1); /* the patient that is not there was asked for */
    test_answer_deinit(&answer);
    hub_client_close(client);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

static void a_role_is_proven_by_its_key_only(void **state)
{
    (void)state;
    struct test_hub hub;
    struct hub_error err = {0};
    test_hub_make(&hub);
    test_hub_start(&hub);
    struct hub_client *client = ask_at(&hub);
    assert_int_equal(prove(&hub, client, "clinician", "frontdesk", &err), HUB_AUTH);
    assert_int_equal(audited(client, "login-refused", "role not proven"), 1);
    assert_int_equal(prove(&hub, client, "clinician", "clinician", &err), HUB_OK);
    hub_client_close(client);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

static void secrets_are_given_by_role_and_class_and_audited(void **state)
{
    (void)state;
    struct test_hub hub;
    struct test_answer answer;
    struct hub_error err = {0};
    char text[2048], token[64];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_answer_init(&answer);
    test_send_message(&hub, "C1", "1001", "Muster", text);
    struct hub_client *client = ask_at(&hub);
    assert_int_equal(
        test_ask(client, &answer, &err,
                 "{\"op\":\"patient.find\",\"system\":\"GENHOSP\",\"value\":\"1001\",\"purpose\":\"care\"}"),
        HUB_OK);
    struct hub_span found = hub_json_get_span(test_first(&answer, "patient"), "token");
    assert_int_equal(found.len, HUB_TOKEN_LEN);
    (void)snprintf(token, sizeof(token), "%.*s", (int)found.len, (const char *)found.ptr);
    assert_int_equal(prove(&hub, client, "frontdesk", "frontdesk", &err), HUB_OK);
    assert_int_equal(test_ask(client, &answer, &err,
                              "{\"op\":\"key.secrets\",\"tokens\":[\"%s\"],\"classes\":[\"clinical\"]}",
                              token),
                     HUB_DENIED);
    assert_int_equal(test_ask(client, &answer, &err,
                              "{\"op\":\"key.secrets\",\"tokens\":[\"%s\"],\"classes\":[\"health\"]}", token),
                     HUB_USAGE);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"key.secrets\",\"tokens\":[\"%s\"]}", token),
                     HUB_USAGE);
    assert_int_equal(test_ask(client, &answer, &err,
                              "{\"op\":\"key.secrets\",\"tokens\":[\"Anna Muster born 1970-01-01 F "
                              "xxx\"],\"classes\":[\"identity\"]}"),
                     HUB_USAGE);
    assert_int_equal(audited(client, "key.secrets", "\"kind\":\"read\""), 0); /* nothing was given */
    assert_int_equal(
        test_ask(client, &answer, &err,
                 "{\"op\":\"key.secrets\",\"tokens\":[\"%s\",\"1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"],"
                 "\"classes\":[\"identity\"],\"purpose\":\"registration\"}",
                 token),
        HUB_OK);
    assert_int_equal(test_count(&answer, "secret"), 1);
    assert_int_equal(test_count(&answer, "missing"), 1);
    assert_int_equal(hub_json_get_span(test_first(&answer, "secret"), "secret").len, 44);
    assert_int_equal(audited(client, "\"op\":\"key.secrets\"", token), 1);
    assert_int_equal(audited(client, "\"op\":\"key.secrets\"", "\"role\":\"frontdesk\""), 1);
    assert_int_equal(audited(client, "\"op\":\"key.secrets\"", "\"purpose\":\"registration\""), 1);
    assert_int_equal(audited(client, "\"op\":\"patient.find\"", "\"purpose\":\"care\""), 1);
    hub_client_close(client);
    test_answer_deinit(&answer);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

/* What the hub gave is enough to open the chart, and the front desk's share of it stays without the clinical
 * part. */
static void timeline_charts_hold_what_was_sent_for_the_reader_at_once(void **state)
{
    (void)state;
    struct test_hub hub;
    struct test_answer answer;
    struct hub_error err = {0};
    char text[2048];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_answer_init(&answer);
    struct hub_client *client = ask_at(&hub);
    for (int i = 0; i < 20; i++) { /* answered is stored, stored is seen */
        char control[16], patient[16];
        (void)snprintf(control, sizeof(control), "C%d", i);
        (void)snprintf(patient, sizeof(patient), "20%02d", i);
        test_send_message(&hub, control, patient, "Muster", text);
        assert_int_equal(
            test_ask(client, &answer, &err, "{\"op\":\"timeline.chart\",\"patient\":\"GH|%s\"}", patient),
            HUB_OK);
        assert_int_equal(test_count(&answer, "chart"), 1);
        assert_true(test_count(&answer, "record") >= 2);
        assert_true(test_number(test_first(&answer, "chart"), "entries") <=
                    test_count(&answer, "record")); /* supporting resources beside */
    }
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"timeline.list\"}"), HUB_OK);
    assert_int_equal(test_count(&answer, "chart"), 20);
    assert_int_equal(audited(client, "timeline.chart", "\"kind\":\"read\""), 20);
    assert_int_equal(audited(client, "timeline.list", "\"kind\":\"read\""), 1);
    hub_client_close(client);
    test_answer_deinit(&answer);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

static void digest(struct hub_client *client, const char *what, char out[65])
{
    struct test_answer answer;
    struct hub_error err;
    test_answer_init(&answer);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"timeline.digest\",\"what\":\"%s\"}", what),
                     HUB_OK);
    struct hub_span hex = hub_json_span(test_first(&answer, "digest"));
    assert_int_equal(hex.len, 64);
    (void)snprintf(out, 65, "%.*s", (int)hex.len, (const char *)hex.ptr);
    test_answer_deinit(&answer);
}

static void digests_are_the_same_offline_and_after_the_timeline_is_built_anew(void **state)
{
    (void)state;
    struct test_hub hub;
    struct hub_client *client;
    struct hub_error err = {0};
    char text[2048], state_one[65], content_one[65], state_two[65], content_two[65], path[1200];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_send_message(&hub, "C1", "1001", "Muster", text);
    test_send_message(&hub, "C2", "1002", "Anders", text);
    client = ask_at(&hub);
    digest(client, "state", state_one);
    digest(client, "content", content_one);
    assert_string_not_equal(state_one, content_one);
    hub_client_close(client);
    test_hub_stop(&hub);
    (void)snprintf(path, sizeof(path), "%s/timeline", hub.data_dir);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(test_hub_open(&hub, HUB_RUN_OFFLINE), HUB_OK);
        assert_int_equal(hub_client_local(hub.hub, "uid 1", &client, &err), HUB_OK);
        digest(client, "state", state_two);
        digest(client, "content", content_two);
        assert_string_equal(state_one, state_two);
        assert_string_equal(content_one, content_two);
        hub_client_close(client);
        test_hub_close(&hub);
        temp_folder_remove(path); /* derived: it comes back from the log */
    }
    test_hub_remove(&hub);
}

static void messages_are_found_by_control_id_patient_feed_and_time(void **state)
{
    (void)state;
    static const char bad[] = "\x0bMSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ADT^A01^ADT_A01|BAD1|P|9."
                              "9\rPID|1||77^^^GENHOSP^MR||Name^X\r\x1c\r";
    struct test_hub hub;
    struct test_peer peer;
    struct test_answer answer;
    struct hub_error err = {0};
    char text[2048], id[64];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_answer_init(&answer);
    test_send_message(&hub, "C1", "1001", "Muster", text);
    test_send_message(&hub, "C1", "1001", "Muster", text);
    test_send_message(&hub, "C2", "1002", "Anders", text);
    test_sender_open(&hub, &peer);
    assert_int_equal(test_peer_send(&peer, bad, sizeof(bad) - 1), 0);
    assert_true(test_receive_answer(&peer, text, sizeof(text)) > 0);
    test_peer_close(&peer);
    struct hub_client *client = ask_at(&hub);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"message.find\",\"control_id\":\"C1\"}"),
                     HUB_OK);
    assert_int_equal(test_count(&answer, "message"), 1);
    const struct hub_json *message = test_first(&answer, "message");
    assert_int_equal(test_number(message, "duplicates"), 1);
    assert_true(hub_span_is(hub_json_get_span(message, "answer"), "AA"));
    assert_true(hub_span_is(hub_json_get_span(message, "feed"), "adt"));
    assert_true(hub_span_is(hub_json_get_span(message, "trigger"), "ADT^A01"));
    struct hub_span found = hub_json_get_span(message, "id");
    (void)snprintf(id, sizeof(id), "%.*s", (int)found.len, (const char *)found.ptr);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"message.show\",\"id\":\"%s\"}", id), HUB_OK);
    assert_int_equal(test_count(&answer, "message"), 1);
    assert_int_equal(test_count(&answer, "event"), 1);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"message.find\",\"control_id\":\"C9\"}"),
                     HUB_OK);
    assert_int_equal(test_count(&answer, "message"), 0);
    assert_int_equal(
        test_ask(client, &answer, &err, "{\"op\":\"message.find\",\"patient\":\"GENHOSP|1002\"}"), HUB_OK);
    assert_int_equal(test_count(&answer, "message"), 1);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"message.find\",\"feed\":\"adt\"}"), HUB_OK);
    assert_int_equal(test_count(&answer, "message"), 3);
    assert_int_equal(
        test_ask(client, &answer, &err, "{\"op\":\"message.find\",\"since\":\"2000-01-01T00:00:00Z\"}"),
        HUB_OK);
    assert_int_equal(test_count(&answer, "message"), 3);
    assert_int_equal(
        test_ask(client, &answer, &err, "{\"op\":\"message.find\",\"since\":\"2999-01-01T00:00:00Z\"}"),
        HUB_OK);
    assert_int_equal(test_count(&answer, "message"), 0);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"deadletter.list\"}"), HUB_OK);
    assert_int_equal(test_count(&answer, "deadletter"), 1);
    const struct hub_json *letter = test_first(&answer, "deadletter");
    assert_true(
        hub_span_is(hub_json_get_span(hub_json_get(letter, "reason"), "code"), "unsupported_version"));
    found = hub_json_get_span(letter, "id");
    (void)snprintf(id, sizeof(id), "%.*s", (int)found.len, (const char *)found.ptr);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"deadletter.show\",\"id\":\"%s\"}", id),
                     HUB_OK);
    assert_int_equal(test_count(&answer, "deadletter"), 1);
    assert_int_equal(audited(client, "\"op\":\"deadletter.show\"", id), 1);
    hub_client_close(client);
    test_answer_deinit(&answer);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

struct following {
    struct test_hub *hub;
    struct hub_client *client;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t charts, records;
    enum hub_result result;
};

static bool follow_line(void *ctx, struct hub_span json)
{
    struct following *following = ctx;
    (void)pthread_mutex_lock(&following->lock);
    following->charts += json.len > 9 && memcmp(json.ptr, "{\"chart\":", 9) == 0 ? 1 : 0;
    following->records += json.len > 10 && memcmp(json.ptr, "{\"record\":", 10) == 0 ? 1 : 0;
    (void)pthread_cond_broadcast(&following->changed);
    (void)pthread_mutex_unlock(&following->lock);
    return true;
}

static void *follow(void *ctx)
{
    struct following *following = ctx;
    struct hub_error err = {0};
    following->result = hub_client_ask(following->client,
                                       HUB_SPAN("{\"op\":\"timeline.follow\",\"patient\":\"GENHOSP|1001\"}"),
                                       follow_line, following, &err);
    return NULL;
}

static void wait_records(struct following *following, size_t records)
{
    (void)pthread_mutex_lock(&following->lock);
    while (following->records < records)
        (void)pthread_cond_wait(&following->changed, &following->lock);
    (void)pthread_mutex_unlock(&following->lock);
}

static void follow_shows_what_comes_and_ends_with_the_hub(void **state)
{
    (void)state;
    struct test_hub hub;
    char text[2048];
    struct following following = {.hub = &hub};
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_send_message(&hub, "C1", "1001", "Muster", text);
    (void)pthread_mutex_init(&following.lock, NULL);
    (void)pthread_cond_init(&following.changed, NULL);
    following.client = ask_at(&hub);
    assert_int_equal(pthread_create(&following.thread, NULL, follow, &following), 0);
    wait_records(&following, 2);
    size_t before = following.records;
    test_send_message(&hub, "C2", "1002", "Anders", text); /* somebody else */
    test_send_message(&hub, "C3", "1001", "Muster", text);
    wait_records(&following, before + 2);
    assert_true(following.charts >= 1);
    test_hub_stop(&hub);
    assert_int_equal(pthread_join(following.thread, NULL), 0);
    assert_int_equal(following.result, HUB_OK);
    hub_client_close(following.client);
    (void)pthread_mutex_destroy(&following.lock);
    (void)pthread_cond_destroy(&following.changed);
    test_hub_remove(&hub);
}

static void keys_are_listed_and_records_name_the_signer(void **state)
{
    (void)state;
    struct test_hub hub;
    struct test_answer answer;
    struct hub_error err = {0};
    uint8_t sign_public[32];
    size_t len = 0;
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_answer_init(&answer);
    struct hub_client *client = ask_at(&hub);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"keys.list\"}"), HUB_OK);
    assert_int_equal(test_count(&answer, "key"), 6);
    assert_int_equal(test_count(&answer, "patients"), 1);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"keys.records\"}"), HUB_OK);
    assert_int_equal(test_count(&answer, "key"), 6);
    assert_int_equal(test_count(&answer, "vkey"), 1);
    const struct hub_json *last = hub_json_at(answer.lines, answer.lines->len - 1);
    assert_int_equal(hub_decode(HUB_BASE64, hub_json_get_span(last, "sign_public"), sign_public,
                                sizeof(sign_public), &len),
                     HUB_OK);
    assert_int_equal(len, 32);
    assert_int_equal(test_ask(client, &answer, &err, "{\"op\":\"audit.checkpoint\"}"), HUB_OK);
    assert_non_null(strstr(test_first(&answer, "checkpoint")->str, "chartline/testhub\n"));
    hub_client_close(client);
    test_answer_deinit(&answer);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

static void a_long_path_and_a_leftover_socket_are_no_obstacle(void **state)
{
    (void)state;
    struct test_hub hub;
    struct hub_error err = {0};
    struct hub_client *client = NULL;
    char data[200], path[1200];
    struct stat st;
    test_hub_make(&hub);
    memset(data, 'd', sizeof(data) - 1);
    data[sizeof(data) - 1] = '\0';
    test_hub_yaml(&hub, data, "drain: 10s", "reject");
    assert_int_equal(hub_client_connect(hub.data_dir, &client, &err), HUB_NOT_FOUND);
    assert_int_equal(mkdir(hub.data_dir, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/control.sock", hub.data_dir);
    FILE *leftover = fopen(path, "we");
    assert_non_null(leftover);
    (void)fclose(leftover);
    assert_int_equal(hub_client_connect(hub.data_dir, &client, &err), HUB_NOT_FOUND);
    test_hub_start(&hub);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    client = ask_at(&hub);
    hub_client_close(client);
    test_hub_stop(&hub);
    assert_int_equal(hub_client_connect(hub.data_dir, &client, &err), HUB_NOT_FOUND);
    test_hub_remove(&hub);
}

static void too_many_clients_are_told_so(void **state)
{
    (void)state;
    enum { MANY = 33 };
    struct test_hub hub;
    struct test_answer answer;
    struct hub_error err = {0};
    struct hub_client *clients[MANY];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_answer_init(&answer);
    for (int i = 0; i < MANY; i++)
        clients[i] = ask_at(&hub);
    assert_int_equal(test_ask(clients[0], &answer, &err, "{\"op\":\"status\"}"), HUB_OK);
    assert_int_not_equal(test_ask(clients[MANY - 1], &answer, &err, "{\"op\":\"status\"}"), HUB_OK);
    for (int i = 0; i < MANY; i++)
        hub_client_close(clients[i]);
    enum hub_result result = HUB_BUSY;
    for (int i = 0; i < 1000 && result != HUB_OK; i++) { /* places are free again */
        struct hub_client *client = ask_at(&hub);
        result = test_ask(client, &answer, &err, "{\"op\":\"status\"}");
        hub_client_close(client);
    }
    assert_int_equal(result, HUB_OK);
    test_answer_deinit(&answer);
    test_hub_stop(&hub);
    test_hub_remove(&hub);
}

static void who_comes_while_all_places_are_taken_waits_for_one(void **state)
{
    (void)state;
    enum { ALL = 32, MORE = 8 };
    struct test_hub hub;
    struct test_answer answer;
    struct hub_error err = {0};
    struct hub_client *clients[ALL], *more[MORE];
    test_hub_make(&hub);
    test_hub_start(&hub);
    test_answer_init(&answer);
    for (int i = 0; i < ALL; i++)
        clients[i] = ask_at(&hub);
    for (int i = 0; i < MORE; i++)
        more[i] = ask_at(&hub);
    for (int i = 0; i < ALL; i++)
        hub_client_close(clients[i]);
    for (int i = 0; i < MORE; i++) {
        assert_int_equal(test_ask(more[i], &answer, &err, "{\"op\":\"status\"}"), HUB_OK);
        hub_client_close(more[i]);
    }
    test_answer_deinit(&answer);
    test_hub_stop(&hub);
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
        cmocka_unit_test(requests_that_are_none_are_refused),
        cmocka_unit_test(a_role_is_proven_by_its_key_only),
        cmocka_unit_test(secrets_are_given_by_role_and_class_and_audited),
        cmocka_unit_test(timeline_charts_hold_what_was_sent_for_the_reader_at_once),
        cmocka_unit_test(digests_are_the_same_offline_and_after_the_timeline_is_built_anew),
        cmocka_unit_test(messages_are_found_by_control_id_patient_feed_and_time),
        cmocka_unit_test(follow_shows_what_comes_and_ends_with_the_hub),
        cmocka_unit_test(keys_are_listed_and_records_name_the_signer),
        cmocka_unit_test(a_long_path_and_a_leftover_socket_are_no_obstacle),
        cmocka_unit_test(too_many_clients_are_told_so),
        cmocka_unit_test(who_comes_while_all_places_are_taken_waits_for_one),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
