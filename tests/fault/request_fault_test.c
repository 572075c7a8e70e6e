/* Requests of the command line and of apps to a running hub, while its memory or its stores fail at every place: each
 * is answered whole or with an error, the next one is answered as ever, and what was read without a failure is the
 * same as before. */
#include "src/pipeline/control.h"
#include "tests/fault/fault.h"
#include "tests/fault/fault_line.h"

enum { ANSWER_BYTES = 1 << 20 };

/* STABLE: asked twice, the answer is the same. */
static const struct request {
    const char *text;
    bool stable;
} requests[] = {
    {"{\"op\":\"status\"}", false},
    {"{\"op\":\"keys.records\"}", true},
    {"{\"op\":\"keys.list\"}", true},
    {"{\"op\":\"patient.find\",\"system\":\"GENHOSP\",\"value\":\"1001\"}", true},
    {"{\"op\":\"timeline.list\"}", true},
    {"{\"op\":\"timeline.chart\",\"patient\":\"GENHOSP|1001\"}", true},
    {"{\"op\":\"timeline.digest\",\"what\":\"state\"}", true},
    {"{\"op\":\"message.find\",\"control_id\":\"A1\"}", true},
    {"{\"op\":\"message.find\",\"patient\":\"GENHOSP|1001\"}", true},
    {"{\"op\":\"deadletter.list\"}", true},
    {"{\"op\":\"event.seal\",\"bytes\":\"TVNIfF5+XCZ8RUhSfEdFTkhPU1B8SFVCfEhVQnwyMDI2MTEyMDA4MDAwMHx8QURUXkEwMV5BRFRfQTAxfFMx"
     "fFB8Mi41LjENUElEfDF8fDEwMDFeXl5HRU5IT1NQXk1SfHxRVUlMTF5Bbm5hDQ==\"}", false},
    {"{\"op\":\"audit.show\",\"from\":0,\"count\":10}", true},
    {"{\"op\":\"audit.checkpoint\"}", false},
    {"{\"op\":\"no such\"}", true},
    {"not even JSON", true},
};

enum { REQUESTS = sizeof requests / sizeof requests[0] };

/* One request at work; its buffers have their room beforehand. */
static struct {
    struct hub *hub;
    const struct request *request;
    struct hub_buf answer, expected;
    bool complete; /* the last line came */
} asked;

static bool take_line(void *ctx, struct hub_span json)
{
    (void)ctx;
    asked.complete = memmem(json.ptr, json.len, "\"done\":true", 11) != NULL || (json.len > 9 && memcmp(json.ptr, "{\"error\":", 9) == 0);
    hub_buf_append_span(&asked.answer, json);
    hub_buf_append_byte(&asked.answer, '\n');
    return true;
}

static void ask(void *ctx)
{
    (void)ctx;
    hub_buf_reset(&asked.answer);
    asked.complete = false;
    struct hub_session *session = hub_session_new(asked.hub, "uid 1");
    if (session != NULL)
        hub_session_handle(session, hub_span_str(asked.request->text), take_line, NULL);
    hub_session_free(session);
}

static bool is_error(void)
{
    struct hub_span answer = hub_buf_view(&asked.answer);
    return answer.len == 0 || memmem(answer.ptr, answer.len, "{\"error\":", 9) != NULL;
}

static void check_answer(void *ctx, bool failed)
{
    (void)ctx;
    HUB_ASSERT(failed || asked.complete);
    if (!asked.complete || is_error() || !asked.request->stable ||
        hub_span_equal(hub_buf_view(&asked.answer), hub_buf_view(&asked.expected)))
        return;
    (void)printf("%s\nanswered:\n%s\nbefore:\n%s\n", asked.request->text, hub_buf_str(&asked.answer), hub_buf_str(&asked.expected));
    (void)fflush(stdout);
    HUB_ASSERT(false);
}

/* Whoever failed meanwhile has gone on. */
static void settle(struct hub *hub)
{
    while (atomic_load(&hub->applied) < hub_log_durable(hub->log))
        (void)usleep(1000);
}

static void check_good(bool expected)
{
    if (asked.complete && is_error() != expected)
        return;
    (void)printf("%s\nanswered:\n%s\n", asked.request->text, hub_buf_str(&asked.answer));
    (void)fflush(stdout);
    HUB_ASSERT(false);
}

static void ask_each(struct line_child *child)
{
    asked.hub = child->hub;
    struct hub_buf *both[] = {&asked.answer, &asked.expected};
    for (int i = 0; i < 2; i++) {
        hub_buf_init(both[i], ANSWER_BYTES, false);
        HUB_ASSERT(hub_buf_reserve(both[i], ANSWER_BYTES - 1) != NULL);
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        asked.request = &requests[i];
        ask(NULL);
        check_good(i < REQUESTS - 2);
        hub_buf_reset(&asked.expected);
        hub_buf_append_span(&asked.expected, hub_buf_view(&asked.answer));
        (void)fault_each_allocation(false, ask, check_answer, NULL);
        (void)fault_each_store(HUB_KV_READS, false, ask, check_answer, NULL);
        settle(child->hub);
        ask(NULL);
        check_answer(NULL, false);
        check_good(i < REQUESTS - 2);
    }
    hub_buf_deinit(&asked.answer);
    hub_buf_deinit(&asked.expected);
}

static void requests_are_answered_whole_or_with_an_error(void **state)
{
    static struct line line;
    struct line_report report;
    (void)state;
    line_new(&line, "");
    line.inside = ask_each;
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(line.messages[i], LINE_MESSAGE_BYTES,
                       "MSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ADT^A01^ADT_A01|A%u|P|%s\rEVN|A01|20261120080000\r"
                       "PID|1||100%u^^^GENHOSP^MR||QUILL^Anna||19700101|F\rPV1|1|I|W1^101^1\r",
                       i, i == 2 ? "9.9" : "2.5.1", i);
    }
    line.count = 3;
    line_run(&line, &(struct line_fault){.where = LINE_NOTHING}, &report);
    assert_true(report.stopped);
    assert_int_equal(report.events, 2);
    line_remove(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_whole_or_with_an_error),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
