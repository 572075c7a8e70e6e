#include <stdio.h>
#include <string.h>

#include "adapters/formats/hl7v2/hl7_batch.h"
#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/cli/send.h"

enum { FRAME_START = 0x0b, FRAME_END = 0x1c, ANSWER_BYTES_MAX = 1 << 28, SILENCE_US = 1000000 };

struct flight {
    bool busy;
    bool accepted; /* CA came, the application acknowledgement is still due */
    bool refused;  /* CE or CR ended it; an application acknowledgement may say so once more */
    enum hub_send_expect expect;
    uint64_t index;
    int64_t sent_us;
    char id[HUB_SEND_ID_MAX + 1];
};

struct sender;

struct connection {
    struct sender *sender;
    struct hub_net_conn *conn; /* NULL: gone */
    bool open;
    uint32_t in_flight;
    struct hub_buf in;
    struct flight *flights; /* plan->pipeline of them */
};

struct sender {
    const struct hub_send_plan *plan;
    struct hub_send_totals *totals;
    struct hub_error *err;
    struct hub_net_loop *loop;
    struct hub_net_timer *timer;
    struct hub_arena arena;
    struct hub_buf frame;
    struct connection *connections;
    uint32_t turn; /* where the next free connection is looked for */
    uint64_t next, done;
    int64_t start_us, start_wall_us;
    bool stopped; /* no connection can be made */
    enum hub_result result;
};

static int64_t now_us(void)
{
    return hub_clock_mono_us(hub_clock_system());
}

static void pump(struct sender *s);
static void connect_one(struct sender *s, struct connection *c);

/* --- ends of messages --- */

static bool is_batch(const struct sender *s, const struct flight *f)
{
    return s->plan->messages[f->index % s->plan->message_count].batch;
}

static void tell(struct sender *s, const struct flight *f, struct hub_send_answer *answer)
{
    answer->index = f->index;
    int64_t latency = now_us() - f->sent_us;
    answer->latency_us = latency > UINT32_MAX ? UINT32_MAX : (uint32_t)latency;
    bool silent = answer->code[0] == '\0' && answer->error[0] == '\0'; /* and nothing was due */
    bool positive = strcmp(answer->code, "AA") == 0 || strcmp(answer->code, "CA") == 0 || silent;
    if (positive)
        s->totals->accepted++;
    else if (answer->code[0] != '\0')
        s->totals->rejected++;
    else
        s->totals->missing++;
    s->plan->answered(s->plan->ctx, answer);
}

static void end_flight(struct sender *s, struct connection *c, struct flight *f)
{
    f->busy = false;
    c->in_flight--;
    s->done++;
}

static void finish_flight(struct sender *s, struct connection *c, struct flight *f,
                          struct hub_send_answer *answer)
{
    (void)snprintf(answer->id, sizeof answer->id, "%s", f->id);
    tell(s, f, answer);
    end_flight(s, c, f);
}

static void lose_flights(struct sender *s, struct connection *c, const char *why)
{
    for (uint32_t i = 0; i < s->plan->pipeline; i++)
        if (c->flights[i].busy) {
            struct hub_send_answer answer = {0};
            (void)snprintf(answer.error, sizeof answer.error, "%s", why);
            finish_flight(s, c, &c->flights[i], &answer);
        }
}

/* --- answers --- */

static struct flight *oldest_with(struct sender *s, struct connection *c, const char *id)
{
    struct flight *found = NULL;
    for (uint32_t i = 0; i < s->plan->pipeline; i++) {
        struct flight *f = &c->flights[i];
        if (f->busy && strcmp(f->id, id) == 0 && (found == NULL || f->index < found->index))
            found = f;
    }
    return found;
}

/* The oldest one with this control id: answers need not come in order. An answer to what has no readable
 * control id may name any. */
static struct flight *find_flight(struct sender *s, struct connection *c, const char *id)
{
    struct flight *found = oldest_with(s, c, id);
    return found != NULL ? found : oldest_with(s, c, "");
}

static bool follows_refusal(struct sender *s, struct connection *c, const struct hub_send_answer *answer)
{
    for (uint32_t i = 0; i < s->plan->pipeline && answer->code[0] == 'A'; i++) {
        struct flight *f = &c->flights[i];
        if (!f->busy && f->refused && strcmp(f->id, answer->id) == 0) {
            f->refused = false;
            return true;
        }
    }
    return false;
}

/* A batch of acknowledgements answers the oldest batch. */
static void take_batch(struct sender *s, struct connection *c, struct hub_span bytes)
{
    struct flight *f = NULL;
    struct hub_span piece;
    enum hub_hl7_piece kind;
    bool accepts = false;
    for (uint32_t i = 0; i < s->plan->pipeline; i++) {
        struct flight *g = &c->flights[i];
        if (g->busy && is_batch(s, g) && (f == NULL || g->index < f->index))
            f = g;
    }
    if (f == NULL) {
        s->totals->unexpected++;
        return;
    }
    while ((kind = hub_hl7_cut_piece(&bytes, &piece)) != HUB_HL7_END) {
        struct hub_send_answer answer = {0};
        if (kind != HUB_HL7_MESSAGE)
            continue;
        if (hub_send_read_answer(&s->arena, piece, &answer) != HUB_OK) {
            s->totals->unexpected++;
            continue;
        }
        accepts = accepts || answer.code[0] == 'C';
        if (f->expect != HUB_SEND_APPLY || answer.code[0] == 'A')
            tell(s, f, &answer);
    }
    if (f->expect != HUB_SEND_APPLY || !accepts)
        end_flight(s, c, f);
}

static void take_answer(struct sender *s, struct connection *c, struct hub_span bytes)
{
    struct hub_send_answer answer = {0};
    if (hub_hl7_is_batch(bytes)) {
        take_batch(s, c, bytes);
        return;
    }
    if (hub_send_read_answer(&s->arena, bytes, &answer) != HUB_OK) {
        s->totals->unexpected++;
        return;
    }
    if (follows_refusal(s, c, &answer))
        return;
    struct flight *f = find_flight(s, c, answer.id);
    if (f == NULL) {
        s->totals->unexpected++;
        return;
    }
    if (f->expect == HUB_SEND_APPLY && strcmp(answer.code, "CA") == 0 && !f->accepted) {
        f->accepted = true; /* the application acknowledgement follows */
        return;
    }
    f->refused = strcmp(answer.code, "CE") == 0 || strcmp(answer.code, "CR") == 0;
    finish_flight(s, c, f, &answer);
}

/* True when a whole frame was taken off the front of IN. */
static bool take_frame(struct sender *s, struct connection *c)
{
    const uint8_t *start = c->in.len > 0 ? memchr(c->in.ptr, FRAME_START, c->in.len) : NULL;
    if (start == NULL) {
        hub_buf_reset(&c->in);
        return false;
    }
    size_t at = (size_t)(start - c->in.ptr);
    const uint8_t *end = memchr(start, FRAME_END, c->in.len - at);
    if (end == NULL)
        return false;
    size_t end_at = (size_t)(end - c->in.ptr);
    take_answer(s, c, hub_span_of(start + 1, end_at - at - 1));
    hub_buf_consume(&c->in, end_at + 1);
    return true;
}

/* --- connection events --- */

static void drop(struct sender *s, struct connection *c, const char *why)
{
    if (c->conn != NULL)
        hub_net_conn_close(c->conn);
    c->conn = NULL;
    c->open = false;
    hub_buf_reset(&c->in);
    lose_flights(s, c, why);
}

static void on_open(void *ctx)
{
    struct connection *c = ctx;
    c->open = true;
    pump(c->sender);
}

static void on_data(void *ctx, struct hub_span bytes)
{
    struct connection *c = ctx;
    hub_buf_append_span(&c->in, bytes);
    if (hub_buf_result(&c->in) != HUB_OK) {
        drop(c->sender, c, "the answer is too large");
        pump(c->sender);
        return;
    }
    while (take_frame(c->sender, c))
        ;
    pump(c->sender);
}

static void on_end(void *ctx)
{
    struct connection *c = ctx;
    drop(c->sender, c, "the connection was closed before the answer");
    pump(c->sender);
}

static void on_closed(void *ctx, enum hub_result why, const char *reason)
{
    struct connection *c = ctx;
    struct sender *s = c->sender;
    bool never_open = !c->open;
    c->conn = NULL;
    drop(s, c, "the connection failed before the answer");
    if (never_open) { /* refused: no use in trying again and again */
        s->stopped = true;
        s->result = hub_fail(s->err, why, reason, NULL);
        (void)hub_error_in(s->err, s->plan->address, 0);
    }
    pump(s);
}

static const struct hub_net_events events = {
    .open = on_open, .data = on_data, .end = on_end, .flushed = NULL, .closed = on_closed};

static void connect_one(struct sender *s, struct connection *c)
{
    enum hub_result result =
        hub_net_connect(s->loop, s->plan->address, s->plan->tls, &events, c, &c->conn, s->err);
    if (result == HUB_OK)
        return;
    c->conn = NULL;
    s->stopped = true;
    s->result = result;
}

/* --- sending --- */

/* When the next message is due by the rate, on the monotonic clock. */
static int64_t due_us(const struct sender *s, uint64_t index)
{
    return s->start_us + (int64_t)(index * 1000000 / s->plan->rate);
}

/* HL7's DTM (v2.8.2 2A.2.21) has at most four decimals. */
static void append_moment(struct sender *s, const struct flight *f)
{
    char rfc[HUB_TIME_TEXT_LEN + 1];
    int64_t moment = s->plan->rate != 0 ? due_us(s, f->index) : f->sent_us;
    hub_time_format(s->start_wall_us + moment - s->start_us, rfc);
    hub_buf_printf(&s->frame, "%.4s%.2s%.2s%.2s%.2s%.7s+0000", rfc, rfc + 5, rfc + 8, rfc + 11, rfc + 14, rfc + 17);
}

static void build_frame(struct sender *s, const struct hub_send_message *message, struct flight *f)
{
    struct hub_span id = hub_span_of(message->bytes.ptr + message->id_at, message->id_len);
    size_t done = 0;
    (void)snprintf(f->id, sizeof f->id, "%.*s", (int)id.len, (const char *)id.ptr);
    hub_buf_reset(&s->frame);
    hub_buf_append_byte(&s->frame, FRAME_START);
    if (s->plan->now && message->time_len > 0) {
        hub_buf_append(&s->frame, message->bytes.ptr, message->time_at);
        append_moment(s, f);
        done = message->time_at + message->time_len;
    }
    if (s->plan->vary) {
        size_t used = strlen(f->id);
        (void)snprintf(f->id + used, sizeof f->id - used, "-%llu", (unsigned long long)f->index + 1);
        hub_buf_append(&s->frame, message->bytes.ptr + done, message->id_at - done);
        hub_buf_append_str(&s->frame, f->id);
        done = message->id_at + message->id_len;
    }
    hub_buf_append(&s->frame, message->bytes.ptr + done, message->bytes.len - done);
    hub_buf_append_byte(&s->frame, FRAME_END);
    hub_buf_append_byte(&s->frame, '\r');
}

static void send_next(struct sender *s, struct connection *c)
{
    struct flight *f = c->flights;
    while (f->busy)
        f++;
    const struct hub_send_message *message = &s->plan->messages[s->next % s->plan->message_count];
    *f = (struct flight){.busy = true, .expect = message->expect, .index = s->next++, .sent_us = now_us()};
    c->in_flight++;
    if (s->start_us == 0) {
        s->start_wall_us = hub_clock_wall_us(hub_clock_system());
        s->start_us = f->sent_us;
    }
    build_frame(s, message, f);
    enum hub_result result = hub_buf_result(&s->frame);
    if (result == HUB_OK)
        result = hub_net_conn_write(c->conn, hub_buf_view(&s->frame));
    if (result != HUB_OK) {
        drop(s, c, "out of memory");
    } else if (f->expect == HUB_SEND_NOTHING) {
        struct hub_send_answer answer = {0};
        finish_flight(s, c, f, &answer);
    }
}

/* A connection that may send; dead ones are made anew while there is work. NULL: none is free now. */
static struct connection *free_connection(struct sender *s)
{
    for (uint32_t i = 0; i < s->plan->connections; i++) {
        struct connection *c = &s->connections[(s->turn + i) % s->plan->connections];
        if (c->conn == NULL && !s->stopped)
            connect_one(s, c);
        if (c->conn == NULL || !c->open || c->in_flight >= s->plan->pipeline)
            continue;
        s->turn = (s->turn + i + 1) % s->plan->connections;
        return c;
    }
    return NULL;
}

static bool due(const struct sender *s, int64_t *wait_us)
{
    *wait_us = 100000;
    if (s->plan->rate == 0 || s->start_us == 0)
        return true;
    int64_t wait = due_us(s, s->next) - now_us();
    if (wait > 0 && wait < *wait_us)
        *wait_us = wait;
    return wait <= 0;
}

static void expire_flight(struct sender *s, struct connection *c, struct flight *f, int64_t now)
{
    int64_t waited = now - f->sent_us;
    if (f->busy && f->expect == HUB_SEND_ERRORS && waited > SILENCE_US) {
        struct hub_send_answer answer = {0};
        finish_flight(s, c, f, &answer);
    } else if (f->busy && waited > (int64_t)s->plan->timeout_us) {
        drop(s, c, "no answer in time");
    }
}

static void expire(struct sender *s)
{
    int64_t now = now_us();
    for (uint32_t i = 0; i < s->plan->connections; i++)
        for (uint32_t k = 0; k < s->plan->pipeline; k++)
            expire_flight(s, &s->connections[i], &s->connections[i].flights[k], now);
}

static void pump(struct sender *s)
{
    int64_t wait_us = 100000;
    while (s->next < s->plan->total && due(s, &wait_us)) {
        struct connection *c = free_connection(s);
        if (c == NULL)
            break;
        send_next(s, c);
    }
    bool none_left = s->next >= s->plan->total;
    bool any = false;
    for (uint32_t i = 0; i < s->plan->connections; i++)
        any = any || s->connections[i].conn != NULL;
    if ((none_left && s->done >= s->next) || (s->stopped && !any))
        hub_net_loop_stop(s->loop);
    else
        hub_net_timer_set(s->timer, (uint32_t)((wait_us + 999) / 1000));
}

static void on_timer(void *ctx)
{
    struct sender *s = ctx;
    expire(s);
    pump(s);
}

static enum hub_result prepare(struct sender *s)
{
    const struct hub_send_plan *plan = s->plan;
    s->loop = hub_net_loop_new(true);
    s->timer = s->loop != NULL ? hub_net_timer_new(s->loop, on_timer, s) : NULL;
    s->connections = hub_mem_array(plan->connections, sizeof *s->connections);
    HUB_ENSURE(s->timer != NULL && s->connections != NULL, hub_fail(s->err, HUB_NO_MEMORY, NULL, NULL));
    for (uint32_t i = 0; i < plan->connections; i++) {
        struct connection *c = &s->connections[i];
        c->sender = s;
        hub_buf_init(&c->in, ANSWER_BYTES_MAX, true);
        c->flights = hub_mem_array(plan->pipeline, sizeof *c->flights);
        HUB_ENSURE(c->flights != NULL, hub_fail(s->err, HUB_NO_MEMORY, NULL, NULL));
    }
    return HUB_OK;
}

static void release(struct sender *s)
{
    for (uint32_t i = 0; s->connections != NULL && i < s->plan->connections; i++) {
        struct connection *c = &s->connections[i];
        if (c->conn != NULL)
            hub_net_conn_close(c->conn);
        if (c->sender != NULL)
            hub_buf_deinit(&c->in);
        hub_mem_free(c->flights);
    }
    hub_mem_free(s->connections);
    hub_net_timer_free(s->timer);
    hub_net_loop_free(s->loop);
}

enum hub_result hub_send_run(const struct hub_send_plan *plan, struct hub_send_totals *totals,
                             struct hub_error *err)
{
    struct sender s = {.plan = plan, .totals = totals, .err = err, .result = HUB_OK};
    memset(totals, 0, sizeof *totals);
    hub_arena_init(&s.arena, (size_t)64 * ANSWER_BYTES_MAX);
    hub_buf_init(&s.frame, SIZE_MAX / 2, true);
    enum hub_result result = prepare(&s);
    if (result == HUB_OK) {
        /* All connections first, so that a load starts as one. */
        for (uint32_t i = 0; i < plan->connections && !s.stopped; i++)
            connect_one(&s, &s.connections[i]);
        hub_net_timer_set(s.timer, 100);
        if (!s.stopped)
            hub_net_loop_run(s.loop);
        result = s.result;
        totals->missing += plan->total - s.next;
        totals->elapsed_us = s.start_us != 0 ? now_us() - s.start_us : 0;
    }
    release(&s);
    hub_buf_deinit(&s.frame);
    hub_arena_deinit(&s.arena);
    return result;
}
