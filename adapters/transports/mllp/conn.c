#include "adapters/transports/mllp/conn.h"

#include <string.h>

#include "src/base/clock.h"
#include "src/base/diag.h"
#include "src/base/mem.h"

enum {
    REPLY_KEPT = 64 * 1024, /* an idle slot holds no more */
    HELD_SLACK = 256 * 1024, /* one read of the network beyond the largest message */
};

static const char component[] = "mllp";

/* A message waiting for its answer, in the order of arrival. */
struct slot {
    bool answered;
    enum hub_result result;
    struct hub_buf reply; /* framed; empty: none is due */
};

struct mllp_conn {
    struct mllp_instance *instance;
    struct mllp_conn *prev, *next;
    struct hub_net_conn *net;
    struct hub_mllp_reader reader;
    struct slot *slots; /* limits.pending of them; slot of a ticket: ticket % pending */
    uint32_t slot_count;
    uint64_t first, end;    /* tickets waiting: first <= t < end */
    struct hub_buf held;    /* input behind a message that could not be taken */
    struct hub_buf refused; /* that message */
    bool has_refused, refused_oversize;
    bool open;
    bool ended;   /* the peer sends no more */
    bool closing; /* no more input is taken */
    bool inside;  /* a callback of this connection is at work: it frees, nobody else */
    bool dead;
    int64_t active_us; /* last input or answer */
    int64_t frame_us;  /* first byte of the frame at hand, 0 = between frames */
    uint64_t noise;    /* of the reader's outside_bytes, what was told */
    uint64_t framed_at; /* its outside_bytes when the last frame was whole */
};

static int64_t now_us(void)
{
    return hub_clock_mono_us(hub_clock_system());
}

static bool waiting(const struct mllp_conn *conn)
{
    return conn->first != conn->end;
}

static void conn_free(struct mllp_conn *conn)
{
    for (uint32_t i = 0; i < conn->slot_count; i++)
        hub_buf_deinit(&conn->slots[i].reply);
    hub_mem_free(conn->slots);
    hub_buf_deinit(&conn->held);
    hub_buf_deinit(&conn->refused);
    hub_mllp_reader_deinit(&conn->reader);
    hub_mem_free(conn);
}

/* The network connection is gone or handed back; the rest goes now, or when the callback at work has
 * returned. */
static void detach(struct mllp_conn *conn)
{
    struct mllp_instance *instance = conn->instance;
    if (conn->dead)
        return;
    conn->dead = true;
    *(conn->prev != NULL ? &conn->prev->next : &instance->conns) = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    hub_intake_forget(instance->intake, conn);
    hub_intake_connections(instance->intake, instance->feed, -1);
    if (!conn->inside)
        conn_free(conn);
}

static bool enter(struct mllp_conn *conn)
{
    bool outer = !conn->inside;
    conn->inside = true;
    return outer;
}

static void leave(struct mllp_conn *conn, bool outer)
{
    if (!outer)
        return;
    conn->inside = false;
    if (conn->dead)
        conn_free(conn);
}

/* Closes after what was answered has gone out. */
static void finish(struct mllp_conn *conn)
{
    if (conn->dead)
        return;
    hub_net_conn_finish(conn->net);
    detach(conn);
}

static void update_reading(struct mllp_conn *conn)
{
    bool full = conn->end - conn->first >= conn->slot_count;
    bool pause =
        conn->has_refused || conn->held.len != 0 || full || conn->closing || conn->instance->draining;
    hub_net_conn_pause(conn->net, pause);
}

/* --- answers --- */

static void clear_reply(struct slot *slot)
{
    size_t bytes_max = slot->reply.bytes_max;
    if (slot->reply.cap <= REPLY_KEPT) {
        hub_buf_reset(&slot->reply);
        return;
    }
    hub_buf_deinit(&slot->reply);
    hub_buf_init(&slot->reply, bytes_max, false);
}

static void release_answers(struct mllp_conn *conn)
{
    while (waiting(conn)) {
        struct slot *slot = &conn->slots[conn->first % conn->slot_count];
        if (!slot->answered)
            return;
        if (slot->result != HUB_OK || hub_net_conn_write(conn->net, hub_buf_view(&slot->reply)) != HUB_OK) {
            finish(conn); /* no answer for this one and none behind it: the sender keeps them all */
            return;
        }
        clear_reply(slot);
        slot->answered = false;
        conn->first++;
    }
    if (conn->ended && !conn->has_refused && conn->held.len == 0)
        finish(conn);
}

static void take_input(struct mllp_conn *conn, struct hub_span input);

/* Input that was kept back while no more messages could be taken. */
static void take_held(struct mllp_conn *conn)
{
    struct hub_buf held = conn->held;
    hub_buf_init(&conn->held, held.bytes_max, true);
    take_input(conn, hub_buf_view(&held));
    hub_buf_deinit(&held);
}

/* A frame for each answer. */
static void encode_answers(struct hub_span answers, struct hub_buf *out)
{
    while (answers.len != 0) {
        const uint8_t *separator = memchr(answers.ptr, HUB_ANSWER_SEPARATOR, answers.len);
        size_t len = separator != NULL ? (size_t)(separator - answers.ptr) : answers.len;
        size_t used = separator != NULL ? len + 1 : len;
        hub_mllp_encode(hub_span_of(answers.ptr, len), out);
        answers = hub_span_of(answers.ptr + used, answers.len - used);
    }
}

static void on_reply(void *connection, uint64_t ticket, enum hub_result result, struct hub_span bytes)
{
    struct mllp_conn *conn = connection;
    HUB_ASSERT(ticket >= conn->first && ticket < conn->end);
    struct slot *slot = &conn->slots[ticket % conn->slot_count];
    HUB_ASSERT(!slot->answered);
    bool outer = enter(conn);
    slot->answered = true;
    slot->result = result;
    slot->reply.bytes_max = hub_limits_answer_bytes(conn->instance->limits); /* a reload may have raised it */
    if (result == HUB_OK && bytes.len != 0) {
        encode_answers(bytes, &slot->reply);
        if (hub_buf_result(&slot->reply) != HUB_OK)
            slot->result = HUB_NO_MEMORY;
    }
    conn->active_us = now_us();
    release_answers(conn);
    if (!conn->dead && !conn->has_refused && conn->held.len != 0)
        take_held(conn);
    if (!conn->dead)
        update_reading(conn);
    leave(conn, outer);
}

/* --- input --- */

static enum hub_result hand_in(struct mllp_conn *conn, struct hub_span message, bool oversize)
{
    struct hub_delivery delivery = {
        .feed = conn->instance->feed,
        .sender = hub_net_conn_peer(conn->net),
        .bytes = message,
        .oversize = oversize,
        .reply = on_reply,
        .connection = conn,
        .ticket = conn->end,
    };
    conn->end++; /* before the call: the slot is taken */
    enum hub_result result = hub_intake_submit(conn->instance->intake, &delivery);
    if (result != HUB_OK)
        conn->end--;
    return result;
}

static void keep(struct mllp_conn *conn, struct hub_buf *buf, struct hub_span bytes)
{
    if (bytes.len == 0)
        return;
    hub_buf_append_span(buf, bytes);
    if (hub_buf_result(buf) != HUB_OK)
        finish(conn);
}

/* False: no more can be taken now, or ever. */
static bool take_message(struct mllp_conn *conn, struct hub_span message, bool oversize)
{
    enum hub_result result = hand_in(conn, message, oversize);
    if (result == HUB_OK)
        return true;
    if (result == HUB_BUSY) {
        conn->has_refused = true;
        conn->refused_oversize = oversize;
        keep(conn, &conn->refused, message);
        return false;
    }
    conn->closing = true; /* the hub's own trouble: no answer, but those before it get theirs */
    if (waiting(conn))
        conn->ended = true;
    else
        finish(conn);
    return false;
}

static bool has_room(const struct mllp_conn *conn)
{
    return conn->end - conn->first < conn->slot_count;
}

/* What stands between frames is told as it comes. False: so much of it that this is no sender of frames. */
static bool tell_noise(struct mllp_conn *conn)
{
    struct mllp_instance *instance = conn->instance;
    uint64_t bytes = conn->reader.outside_bytes - conn->noise;
    if (bytes == 0)
        return true;
    hub_intake_noise(instance->intake, instance->feed, hub_net_conn_address(conn->net), bytes, conn->noise == 0);
    conn->noise = conn->reader.outside_bytes;
    if (hub_mllp_in_frame(&conn->reader) || conn->noise - conn->framed_at <= instance->limits->message_bytes)
        return true;
    hub_intake_frame_refused(instance->intake, instance->feed, hub_net_conn_address(conn->net),
                             "more bytes without a frame than limits.message_bytes");
    finish(conn);
    return false;
}

static void take_input(struct mllp_conn *conn, struct hub_span input)
{
    while (!conn->dead && !conn->closing && !conn->has_refused) {
        struct hub_span message;
        if (!has_room(conn))
            break;
        enum hub_mllp_event event = hub_mllp_next(&conn->reader, &input, &message);
        if (!tell_noise(conn))
            return;
        if (event != HUB_MLLP_MORE)
            conn->framed_at = conn->noise;
        switch (event) {
        case HUB_MLLP_MORE:
            conn->frame_us = !hub_mllp_in_frame(&conn->reader) ? 0
                             : conn->frame_us != 0             ? conn->frame_us
                                                               : now_us();
            if (hub_mllp_unsettled(&conn->reader) && !conn->instance->sweep_soon) {
                conn->instance->sweep_soon = true;
                hub_net_timer_set(conn->instance->sweep, MLLP_SETTLE_MS);
            }
            return;
        case HUB_MLLP_MESSAGE:
            conn->frame_us = 0;
            (void)take_message(conn, message, false);
            break;
        case HUB_MLLP_OVERSIZE:
            conn->frame_us = 0;
            hub_intake_frame_refused(conn->instance->intake, conn->instance->feed,
                                     hub_net_conn_address(conn->net),
                                     "a frame larger than limits.message_bytes");
            (void)take_message(conn, message, true);
            break;
        case HUB_MLLP_NO_MEMORY:
            finish(conn);
            break;
        }
    }
    if (!conn->dead && !conn->closing)
        keep(conn, &conn->held, input);
}

/* A frame that ended with FS alone: nothing follows, so it is whole. */
static void settle(struct mllp_conn *conn)
{
    struct hub_span message;
    if (!conn->closing && !conn->has_refused && conn->held.len == 0 && has_room(conn) &&
        hub_mllp_settle(&conn->reader, &message) == HUB_MLLP_MESSAGE) {
        conn->frame_us = 0;
        (void)take_message(conn, message, false);
    }
}

void mllp_conn_resume(struct mllp_conn *conn)
{
    bool outer = enter(conn);
    if (conn->has_refused && has_room(conn)) {
        struct hub_buf refused = conn->refused;
        conn->has_refused = false;
        hub_buf_init(&conn->refused, refused.bytes_max, true);
        (void)take_message(conn, hub_buf_view(&refused), conn->refused_oversize);
        hub_buf_deinit(&refused);
    }
    if (!conn->dead && !conn->has_refused && conn->held.len != 0)
        take_held(conn);
    if (!conn->dead) {
        conn->active_us = now_us();
        update_reading(conn);
        release_answers(conn);
    }
    leave(conn, outer);
}

/* No more input; what is due still goes out. */
static void close_softly(struct mllp_conn *conn)
{
    mllp_conn_drain(conn);
    conn->ended = true;
    if (!waiting(conn))
        finish(conn);
}

bool mllp_conn_recheck(struct mllp_conn *conn)
{
    struct mllp_instance *instance = conn->instance;
    const struct hub_tls_server *tls = &instance->feed->tls;
    bool allowed = !tls->enabled || tls->allow_count == 0;
    if (!conn->open || conn->closing)
        return true;
    for (size_t i = 0; i < tls->allow_count && !allowed; i++)
        allowed = strcmp(tls->allow[i], hub_net_conn_peer(conn->net)) == 0;
    if (allowed)
        return true;
    bool outer = enter(conn);
    hub_intake_login_refused(instance->intake, instance->feed, hub_net_conn_address(conn->net),
                             "certificate name not allowed any more");
    close_softly(conn);
    leave(conn, outer);
    return false;
}

/* --- the network's callbacks --- */

static void on_open(void *ctx)
{
    struct mllp_conn *conn = ctx;
    bool outer = enter(conn);
    conn->open = true;
    conn->active_us = now_us();
    (void)mllp_conn_recheck(conn); /* a reload may have come between the certificate and now */
    if (!conn->dead)
        update_reading(conn);
    leave(conn, outer);
}

static void on_data(void *ctx, struct hub_span bytes)
{
    struct mllp_conn *conn = ctx;
    bool outer = enter(conn);
    conn->active_us = now_us();
    if (conn->has_refused || conn->held.len != 0)
        keep(conn, &conn->held, bytes);
    else
        take_input(conn, bytes);
    if (!conn->dead)
        update_reading(conn);
    leave(conn, outer);
}

static void on_end(void *ctx)
{
    struct mllp_conn *conn = ctx;
    bool outer = enter(conn);
    settle(conn);
    if (!conn->dead)
        conn->ended = true;
    if (!conn->dead && !waiting(conn) && !conn->has_refused && conn->held.len == 0)
        finish(conn);
    leave(conn, outer);
}

static void on_closed(void *ctx, enum hub_result why, const char *reason)
{
    struct mllp_conn *conn = ctx;
    struct mllp_instance *instance = conn->instance;
    bool outer = enter(conn);
    if (why == HUB_AUTH && !conn->open)
        hub_intake_login_refused(instance->intake, instance->feed, hub_net_conn_address(conn->net), reason);
    detach(conn);
    leave(conn, outer);
}

static const struct hub_net_events events = {
    .open = on_open, .data = on_data, .end = on_end, .closed = on_closed};

bool mllp_conn_accept(void *ctx, struct hub_net_conn *net)
{
    struct mllp_instance *instance = ctx;
    if (instance->draining || !hub_intake_admit(instance->intake))
        return false;
    struct mllp_conn *conn = hub_mem_alloc(sizeof(*conn));
    if (conn == NULL)
        return false;
    conn->instance = instance;
    conn->net = net;
    conn->active_us = now_us();
    conn->slot_count = instance->limits->pending != 0 ? instance->limits->pending : 1;
    hub_mllp_reader_init(&conn->reader, instance->limits->message_bytes);
    hub_buf_init(&conn->held, instance->limits->message_bytes + HELD_SLACK, true);
    hub_buf_init(&conn->refused, instance->limits->message_bytes, true);
    conn->slots = hub_mem_array(conn->slot_count, sizeof(*conn->slots));
    if (conn->slots == NULL) {
        conn->slot_count = 0;
        conn_free(conn);
        return false;
    }
    for (uint32_t i = 0; i < conn->slot_count; i++)
        hub_buf_init(&conn->slots[i].reply, hub_limits_answer_bytes(instance->limits), false);
    conn->next = instance->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    instance->conns = conn;
    hub_intake_connections(instance->intake, instance->feed, 1);
    hub_net_conn_attach(net, &events, conn);
    return true;
}

/* --- what the instance does with it --- */

void mllp_conn_drain(struct mllp_conn *conn)
{
    conn->has_refused = false; /* not accepted yet: the sender keeps it */
    hub_buf_reset(&conn->refused);
    hub_buf_reset(&conn->held);
    conn->closing = true;
    if (conn->open)
        update_reading(conn);
}

bool mllp_conn_idle(const struct mllp_conn *conn)
{
    return !waiting(conn);
}

void mllp_conn_sweep(struct mllp_conn *conn, int64_t now)
{
    const struct hub_limits *limits = conn->instance->limits;
    int64_t idle_us = (int64_t)limits->idle_ms * 1000;
    int64_t frame_us = (int64_t)limits->frame_ms * 1000;
    bool outer = enter(conn);
    if (hub_mllp_unsettled(&conn->reader) && now - conn->active_us >= (int64_t)MLLP_SETTLE_MS * 1000)
        settle(conn);
    if (conn->dead) {
        leave(conn, outer);
        return;
    }
    bool held_back =
        conn->has_refused || conn->held.len != 0 || waiting(conn); /* the hub's doing, not the peer's */
    if (!conn->open && now - conn->active_us > frame_us) {
        hub_intake_frame_refused(conn->instance->intake, conn->instance->feed,
                                 hub_net_conn_address(conn->net), "no TLS handshake in time");
        hub_net_conn_close(conn->net);
        detach(conn);
    } else if (conn->open && !held_back && conn->frame_us != 0 && now - conn->frame_us > frame_us) {
        hub_intake_frame_refused(conn->instance->intake, conn->instance->feed,
                                 hub_net_conn_address(conn->net), "a frame took longer than limits.frame");
        finish(conn);
    } else if (conn->open && !held_back && now - conn->active_us > idle_us) {
        HUB_DIAG(HUB_DIAG_DEBUG, component, "idle connection closed",
                 hub_diag_configured("feed", conn->instance->feed->name));
        finish(conn);
    }
    leave(conn, outer);
}

void mllp_conn_stop(struct mllp_conn *conn)
{
    finish(conn);
}

bool mllp_conn_unsettled(const struct mllp_conn *conn)
{
    return hub_mllp_unsettled(&conn->reader);
}

struct mllp_conn *mllp_conn_next(const struct mllp_conn *conn)
{
    return conn->next;
}
