/* `send`: messages of files to a listener, their answers, and a load with its figures. */
#include "src/cli/send.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/formats/hl7v2/hl7_batch.h"
#include "src/base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/messages.h"

enum {
    FILE_BYTES_MAX = 1 << 30,
    SEGMENTS_MAX = 10000000,
    MESSAGES_MAX = 10000000,
    LATENCIES_MAX = 20000000,
    URL_MAX = 512
};

static struct {
    uint64_t rate, repeat, connections, pipeline, timeout_us;
    const char *cert, *key, *ca;
    bool vary, now, as_is, summary, batch;
} opt = {.repeat = 1, .connections = 1, .pipeline = 1, .timeout_us = 30000000};

const struct hub_cli_option hub_cli_send_options[] = {
    {"rate", 0, HUB_CLI_NUMBER, &opt.rate, "N",
     "messages a second, all connections together (default: as fast as answers come)"},
    {"repeat", 0, HUB_CLI_NUMBER, &opt.repeat, "N", "send everything N times; prints a summary"},
    {"connections", 0, HUB_CLI_NUMBER, &opt.connections, "N", "connections side by side (default 1)"},
    {"pipeline", 0, HUB_CLI_NUMBER, &opt.pipeline, "N",
     "messages of a connection that wait for their answer together (default 1)"},
    {"cert", 0, HUB_CLI_TEXT, &opt.cert, "FILE", "client certificate (mllps)"},
    {"key", 0, HUB_CLI_TEXT, &opt.key, "FILE", "its private key"},
    {"ca", 0, HUB_CLI_TEXT, &opt.ca, "FILE", "certificate authority of the listener"},
    {"timeout", 0, HUB_CLI_DURATION, &opt.timeout_us, "TIME", "how long to wait for an answer (default 30s)"},
    {"vary", 0, HUB_CLI_FLAG, &opt.vary, NULL, "make every control id its own: MSH-10 becomes <MSH-10>-<n>"},
    {"now", 0, HUB_CLI_FLAG, &opt.now, NULL,
     "make MSH-7 the moment of sending (with --rate: the moment it is due), to a tenth of a millisecond"},
    {"batch", 0, HUB_CLI_FLAG, &opt.batch, NULL,
     "send batches (FHS, BHS, BTS, FTS) whole, in one frame each, instead of message by message"},
    {"as-is", 0, HUB_CLI_FLAG, &opt.as_is, NULL,
     "keep line ends as they are in the file (default: segments end with CR)"},
    {"summary", 0, HUB_CLI_FLAG, &opt.summary, NULL,
     "print counts, throughput and latency instead of each answer"},
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

struct sending {
    struct hub_arena arena; /* messages, their bytes */
    struct hub_arena scratch;
    struct hub_send_message *messages; /* heap */
    size_t count, cap;
    struct hub_send_totals totals;
    uint32_t *latencies; /* heap */
    size_t latency_count, latency_cap; /* the answers of a batch beyond what was sent have none */
    uint64_t answers;
    struct hub_buf json; /* answers as a JSON list's items */
    bool summary;
};

/* --- messages --- */

/* Segments end with CR on the wire (v2.8.2 2.5.1). A message that has CRs already is not touched; only the
 * line end after the last segment is unified. */
static struct hub_span wire_form(struct sending *s, struct hub_span message)
{
    if (opt.as_is || message.len == 0)
        return message;
    bool has_cr = memchr(message.ptr, '\r', message.len) != NULL;
    char *copy = hub_arena_bytes(&s->arena, message.len + 1);
    if (copy == NULL)
        return HUB_SPAN_NONE;
    size_t len = message.len;
    while (len > 0 && (message.ptr[len - 1] == '\r' || message.ptr[len - 1] == '\n'))
        len--;
    memcpy(copy, message.ptr, len);
    for (size_t i = 0; i < len && !has_cr; i++)
        if (copy[i] == '\n')
            copy[i] = '\r';
    copy[len] = '\r';
    return hub_span_of(copy, len + 1);
}

/* By table 0155; what is not in it asks for an answer. */
static enum hub_send_expect expected_answer(struct hub_span accept, struct hub_span apply)
{
    bool accept_errors = hub_span_is(accept, "ER"), apply_errors = hub_span_is(apply, "ER");
    bool no_accept = accept.len == 0 || hub_span_is(accept, "NE"),
         no_apply = apply.len == 0 || hub_span_is(apply, "NE");
    if (accept.len == 0 && apply.len == 0)
        return HUB_SEND_ONE;
    if (!no_apply && !apply_errors)
        return HUB_SEND_APPLY;
    if (!no_accept && !accept_errors)
        return HUB_SEND_ACCEPT;
    return accept_errors || apply_errors ? HUB_SEND_ERRORS : HUB_SEND_NOTHING;
}

/* Where MSH-10 is, and what MSH-15 and MSH-16 make us expect. A message that does not parse is sent too: the
 * listener's answer to it is what one may want to see. */
static void read_head(struct sending *s, struct hub_send_message *m)
{
    struct hub_hl7 parsed;
    hub_arena_reset(&s->scratch);
    m->expect = HUB_SEND_ONE;
    if (hub_hl7_parse(&s->scratch, m->bytes, SEGMENTS_MAX, false, &parsed, NULL) != HUB_OK ||
        parsed.segment_count == 0)
        return;
    const struct hub_hl7_segment *msh = &parsed.segments[0];
    struct hub_span made = hub_hl7_field(msh, 7), id = hub_hl7_field(msh, 10), accept = hub_hl7_field(msh, 15),
                    apply = hub_hl7_field(msh, 16);
    m->time_at = made.len > 0 ? (size_t)(made.ptr - m->bytes.ptr) : 0;
    m->time_len = made.len;
    m->id_at = id.len > 0 ? (size_t)(id.ptr - m->bytes.ptr) : 0;
    m->id_len = id.len < HUB_SEND_ID_MAX - 24 ? id.len : 0;
    m->expect = expected_answer(accept, apply);
}

/* One answer tells of all messages of a batch; accept acknowledgements are a batch before it. */
static enum hub_send_expect wider(enum hub_send_expect a, enum hub_send_expect b)
{
    static const int rank[] = {[HUB_SEND_NOTHING] = 0, [HUB_SEND_ERRORS] = 1, [HUB_SEND_ACCEPT] = 2, [HUB_SEND_ONE] = 3, [HUB_SEND_APPLY] = 3};
    return rank[a] >= rank[b] ? a : b;
}

static void read_batch(struct sending *s, struct hub_send_message *m)
{
    struct hub_span rest = m->bytes, piece;
    enum hub_hl7_piece kind;
    enum hub_send_expect expect = HUB_SEND_NOTHING;
    bool empty = true;
    m->batch = true;
    m->expect = HUB_SEND_ONE;
    while ((kind = hub_hl7_cut_piece(&rest, &piece)) != HUB_HL7_END) {
        struct hub_send_message one = {.bytes = piece};
        if (kind != HUB_HL7_MESSAGE)
            continue;
        read_head(s, &one);
        expect = wider(expect, one.expect);
        empty = false;
    }
    if (!empty && expect != HUB_SEND_ERRORS) /* no errors: an empty batch says so */
        m->expect = expect == HUB_SEND_ONE ? HUB_SEND_APPLY : expect;
}

static enum hub_result add_message(struct sending *s, const char *file, uint32_t number,
                                   struct hub_span bytes)
{
    if (s->count == s->cap) {
        size_t cap = s->cap == 0 ? 64 : s->cap * 2;
        struct hub_send_message *grown =
            cap > MESSAGES_MAX ? NULL : hub_mem_resize(s->messages, cap * sizeof *grown);
        HUB_ENSURE(grown != NULL, HUB_NO_MEMORY);
        s->messages = grown;
        s->cap = cap;
    }
    struct hub_send_message *m = &s->messages[s->count];
    memset(m, 0, sizeof *m);
    m->file = file;
    m->number = number;
    m->bytes = wire_form(s, bytes);
    HUB_ENSURE(m->bytes.ptr != NULL, HUB_NO_MEMORY);
    if (opt.batch && hub_hl7_is_batch(m->bytes))
        read_batch(s, m);
    else
        read_head(s, m);
    s->count++;
    return HUB_OK;
}

static enum hub_result load_file(struct sending *s, const char *file, struct hub_error *err)
{
    struct hub_buf bytes;
    enum hub_result result = hub_cli_read_file(file, FILE_BYTES_MAX, &bytes, err);
    struct hub_span all = result == HUB_OK ? hub_arena_copy(&s->arena, hub_buf_view(&bytes)) : HUB_SPAN_NONE;
    hub_buf_deinit(&bytes);
    HUB_TRY(result);
    struct hub_cli_messages messages;
    struct hub_span message;
    uint32_t number = 0;
    hub_cli_messages_begin(&messages, all, opt.batch);
    while (hub_cli_messages_next(&messages, &message)) {
        result = add_message(s, file, ++number, message);
        if (result != HUB_OK)
            return hub_fail(err, result, "out of memory for the messages", NULL);
    }
    if (number > 0)
        return HUB_OK;
    (void)hub_fail(err, HUB_SYNTAX, "the file holds no message", NULL);
    return hub_error_in(err, file, 0);
}

/* --- answers --- */

static void append_text(char *out, size_t cap, struct hub_span text)
{
    size_t used = strlen(out);
    if (text.len == 0)
        return;
    (void)snprintf(out + used, cap - used, "%s%.*s", used > 0 ? "; " : "",
                   (int)(text.len < cap ? text.len : cap), (const char *)text.ptr);
}

enum hub_result hub_send_read_answer(struct hub_arena *arena, struct hub_span bytes,
                                     struct hub_send_answer *out)
{
    struct hub_hl7 m;
    hub_arena_reset(arena);
    HUB_TRY(hub_hl7_parse(arena, bytes, 10000, false, &m, NULL));
    bool found = false;
    for (size_t i = 0; i < m.segment_count; i++) {
        const struct hub_hl7_segment *segment = &m.segments[i];
        if (strcmp(segment->id, "MSA") == 0 && !found) {
            struct hub_span code = hub_hl7_field(segment, 1), id = hub_hl7_field(segment, 2);
            HUB_ENSURE(code.len == 2 && id.len <= HUB_SEND_ID_MAX, HUB_SYNTAX);
            memcpy(out->code, code.ptr, 2);
            (void)snprintf(out->id, sizeof out->id, "%.*s", (int)id.len, (const char *)id.ptr);
            append_text(out->error, sizeof out->error, hub_hl7_field(segment, 3));
            found = true;
        } else if (strcmp(segment->id, "ERR") == 0) {
            append_text(out->error, sizeof out->error, hub_hl7_field(segment, 2));
            append_text(out->error, sizeof out->error, hub_hl7_field(segment, 3));
            append_text(out->error, sizeof out->error, hub_hl7_field(segment, 7));
            if (!hub_span_equal(hub_hl7_field(segment, 7), hub_hl7_field(segment, 8))) /* for the user; often the same */
                append_text(out->error, sizeof out->error, hub_hl7_field(segment, 8));
        }
    }
    return found ? HUB_OK : HUB_SYNTAX;
}

/* Answers come from a peer: what is not printable ASCII or UTF-8 becomes '?'. */
static void clean(char *text)
{
    bool utf8 = hub_utf8_valid(hub_span_str(text));
    for (unsigned char *c = (unsigned char *)text; *c != 0; c++)
        if (*c < 0x20 || *c == 0x7f || (*c >= 0x80 && !utf8))
            *c = '?';
}

static void json_member(struct hub_buf *out, const char *name, const char *value, bool first)
{
    hub_buf_printf(out, "%s\"%s\":", first ? "" : ",", name);
    hub_json_write_string(out, hub_span_str(value));
}

static void on_answer(void *ctx, const struct hub_send_answer *answer)
{
    struct sending *s = ctx;
    struct hub_send_answer a = *answer;
    clean(a.id);
    clean(a.code);
    clean(a.error);
    const struct hub_send_message *m = &s->messages[a.index % s->count];
    if (a.code[0] != '\0' && s->latency_count < s->latency_cap)
        s->latencies[s->latency_count++] = a.latency_us;
    s->answers++;
    if (s->summary)
        return;
    const char *code = a.code[0] != '\0' ? a.code : a.error[0] == '\0' ? "" : "--";
    if (hub_cli.json) {
        hub_buf_append_str(&s->json, s->json.len > 0 ? ",{" : "{");
        json_member(&s->json, "file", m->file, true);
        hub_buf_printf(&s->json, ",\"message\":%u", m->number);
        json_member(&s->json, "control_id", a.id, false);
        json_member(&s->json, "code", a.code, false);
        json_member(&s->json, "error", a.error, false);
        hub_buf_append_byte(&s->json, '}');
    } else {
        (void)printf("%s\t%s\t%s\n", a.id, code, a.error);
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(const struct sending *s, double part)
{
    if (s->latency_count == 0)
        return 0;
    size_t at = (size_t)(part * (double)(s->latency_count - 1) + 0.5);
    return s->latencies[at] / 1000.0;
}

static void print_totals(struct sending *s, uint64_t total)
{
    if (s->latency_count > 0)
        qsort(s->latencies, s->latency_count, sizeof *s->latencies, by_value);
    const struct hub_send_totals *t = &s->totals;
    double seconds = (double)t->elapsed_us / 1e6;
    double rate = seconds > 0 ? (double)(t->accepted + t->rejected) / seconds : 0;
    if (hub_cli.json) {
        (void)printf(
            "{\"accepted\":%llu,\"connections\":%llu,\"latency_ms\":{\"max\":%.3f,\"p50\":%.3f,\"p99\":%.3f},"
            "\"missing\":%llu,"
            "\"per_second\":%.1f,\"rejected\":%llu,\"seconds\":%.3f,\"sent\":%llu,\"unexpected\":%llu",
            (unsigned long long)t->accepted, (unsigned long long)opt.connections, percentile_ms(s, 1),
            percentile_ms(s, 0.5), percentile_ms(s, 0.99), (unsigned long long)t->missing, rate,
            (unsigned long long)t->rejected, seconds, (unsigned long long)total,
            (unsigned long long)t->unexpected);
        if (!s->summary)
            (void)printf(",\"answers\":[%s]", hub_buf_str(&s->json));
        (void)printf("}\n");
    } else if (s->summary) {
        (void)printf("%llu sent: %llu accepted, %llu rejected, %llu without answer\n%.1f messages/s over "
                     "%.2f s, %llu connections\n"
                     "latency ms: p50 %.2f, p99 %.2f, max %.2f\n",
                     (unsigned long long)total, (unsigned long long)t->accepted,
                     (unsigned long long)t->rejected, (unsigned long long)t->missing, rate, seconds,
                     (unsigned long long)opt.connections, percentile_ms(s, 0.5), percentile_ms(s, 0.99),
                     percentile_ms(s, 1));
    }
}

/* --- the whole --- */

/* Splits URL; ADDRESS is host:port, HOST the name alone. */
static bool parse_url(const char *url, bool *tls, char address[URL_MAX], char host[URL_MAX])
{
    const char *rest;
    if (strncmp(url, "mllp://", 7) == 0)
        rest = url + 7;
    else if (strncmp(url, "mllps://", 8) == 0)
        rest = url + 8;
    else
        return false;
    *tls = url[4] == 's';
    int written = snprintf(address, URL_MAX, "%s", rest);
    if (written <= 0 || written >= URL_MAX)
        return false;
    if (address[strlen(address) - 1] == '/')
        address[strlen(address) - 1] = '\0';
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] == '\0' ||
        colon[1 + strspn(colon + 1, "0123456789")] != '\0')
        return false;
    (void)snprintf(host, URL_MAX, "%.*s", (int)(colon - address), address);
    if (host[0] == '[') {
        memmove(host, host + 1, strlen(host));
        host[strcspn(host, "]")] = '\0';
    }
    return true;
}

static enum hub_result client_context(const char *host, struct hub_tls_context **out, struct hub_error *err)
{
    struct hub_tls_client_options options = {.ca = opt.ca, .cert = opt.cert, .key = opt.key, .host = host};
    return hub_tls_client_new(&options, out, err);
}

static int send_all(struct sending *s, const char *url, int count, char **files)
{
    char address[URL_MAX], host[URL_MAX];
    struct hub_error err = {0};
    struct hub_tls_context *tls = NULL;
    bool with_tls = false;
    if (!parse_url(url, &with_tls, address, host))
        return hub_cli_usage(
            "send: not a URL that can be sent to; write mllp://host:port or mllps://host:port");
    for (int i = 0; i < count; i++)
        if (load_file(s, files[i], &err) != HUB_OK)
            return hub_cli_fail(&err);
    if (with_tls && client_context(host, &tls, &err) != HUB_OK)
        return hub_cli_fail(&err);
    struct hub_send_plan plan = {.messages = s->messages,
                                 .message_count = s->count,
                                 .total = s->count * opt.repeat,
                                 .connections = (uint32_t)opt.connections,
                                 .pipeline = (uint32_t)opt.pipeline,
                                 .rate = opt.rate,
                                 .timeout_us = opt.timeout_us,
                                 .vary = opt.vary,
                                 .now = opt.now,
                                 .address = address,
                                 .tls = tls,
                                 .answered = on_answer,
                                 .ctx = s};
    if (plan.connections > plan.total)
        plan.connections = (uint32_t)plan.total;
    s->latency_cap = plan.total < LATENCIES_MAX ? plan.total : LATENCIES_MAX;
    s->latencies = hub_mem_array(s->latency_cap, sizeof *s->latencies);
    if (s->latencies == NULL)
        s->latency_cap = 0;
    enum hub_result result = hub_send_run(&plan, &s->totals, &err);
    hub_tls_context_free(tls);
    if (result != HUB_OK)
        (void)hub_cli_fail(&err);
    print_totals(s, plan.total);
    bool fine = result == HUB_OK && s->totals.rejected == 0 && s->totals.missing == 0;
    return fine ? HUB_EXIT_OK : HUB_EXIT_WRONG;
}

static int times_named(int count, char **files, const char *name)
{
    int times = 0;
    for (int i = 0; i < count; i++)
        times += strcmp(files[i], name) == 0;
    return times;
}

int hub_cli_send(int count, char **operands)
{
    if (count < 2)
        return hub_cli_usage("send: name a URL and the files to send (- is standard input)");
    if (times_named(count - 1, operands + 1, "-") > 1)
        return hub_cli_usage("send: standard input (-) can be read once; use --repeat to send it again");
    if (opt.repeat == 0 || opt.connections == 0 || opt.connections > 65536 || opt.pipeline == 0 ||
        opt.pipeline > 65536 || opt.repeat > 1000000000)
        return hub_cli_usage("send: --repeat, --connections and --pipeline are at least 1");
    if (opt.batch && (opt.vary || opt.now))
        return hub_cli_usage("send: --vary and --now do not go together with --batch");
    if ((opt.cert == NULL) != (opt.key == NULL))
        return hub_cli_usage("send: --cert and --key belong together");
    struct sending s = {.summary = opt.summary || opt.repeat > 1};
    hub_arena_init(&s.arena, SIZE_MAX / 2);
    hub_arena_init(&s.scratch, SIZE_MAX / 2);
    hub_buf_init(&s.json, SIZE_MAX / 2, true);
    int code = send_all(&s, operands[0], count - 1, operands + 1);
    hub_mem_free(s.latencies);
    hub_mem_free(s.messages);
    hub_buf_deinit(&s.json);
    hub_arena_deinit(&s.scratch);
    hub_arena_deinit(&s.arena);
    return code;
}
