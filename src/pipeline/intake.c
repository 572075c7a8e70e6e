#include "src/pipeline/intake.h"

#include <string.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/pipeline/intake_internal.h"

enum {
    ARENA_FACTOR = 16, /* a decoded and sealed message against its bytes */
    ARENA_BASE = 32 * 1024 * 1024,
    RETRY_MS = 5, /* the committer's queue was full */
    REPLY_MAX = 64 * 1024,
    HEAD_MAX = 4096,
    OVERSIZE_KEPT = 64 * 1024, /* of a message that is too large */
    IN_FLIGHT_FACTOR = 2,      /* message and sealed form, before the latter is known */
};

static const char component[] = "intake";
static const char accepted[] = "AA"; /* hub_dedup.answer of what gets a positive answer */

/* One message on its way through the committer. */
struct message {
    struct message *prev, *next; /* all of the worker */
    struct message *next_done;
    struct hub_intake *intake;
    struct hub_ingest_feed *feed;
    struct hub_commit_item *item;
    void (*reply)(void *connection, uint64_t ticket, enum hub_result result, struct hub_span bytes);
    void *connection; /* NULL: forgotten */
    uint64_t ticket;
    uint64_t bytes;       /* of the in-flight budget */
    struct hub_error why; /* what the reply says when the message is not accepted */
    enum hub_result verdict;
    size_t head_len;
    uint8_t head[]; /* what the format's reply needs */
};

struct hub_intake {
    struct hub_ingest *ingest;
    struct hub_net_loop *loop;
    void (*resume)(void *ctx);
    void *resume_ctx;
    struct hub_arena arena;
    struct hub_buf reply;
    struct message *messages;
    struct message *parked; /* ready, but the committer's queue was full */
    struct hub_net_timer *retry;
    bool was_busy;        /* somebody waits for resume */
    pthread_mutex_t lock; /* done list */
    struct message *done, **done_tail;
    struct hub_net_task task;
};

/* --- budget --- */

static bool take_budget(struct hub_ingest *ingest, uint64_t bytes)
{
    uint64_t had = atomic_fetch_add(&ingest->in_flight_bytes, bytes);
    if (had == 0 || had + bytes <= ingest->config->limits.in_flight_bytes)
        return true; /* one message always may, so that a large one is not kept out for ever */
    atomic_fetch_sub(&ingest->in_flight_bytes, bytes);
    return false;
}

/* --- the way back --- */

static void message_free(struct message *message)
{
    struct hub_intake *intake = message->intake;
    atomic_fetch_sub(&intake->ingest->in_flight_bytes, message->bytes);
    *(message->prev != NULL ? &message->prev->next : &intake->messages) = message->next;
    if (message->next != NULL)
        message->next->prev = message->prev;
    hub_commit_item_free(message->item);
    hub_mem_wipe(message->head, message->head_len);
    hub_mem_free(message);
}

/* Committer's thread: only hands over. */
static void on_committed(struct hub_commit_item *item, void *ctx)
{
    struct message *message = ctx;
    struct hub_intake *intake = message->intake;
    (void)item;
    (void)pthread_mutex_lock(&intake->lock);
    message->next_done = NULL;
    *intake->done_tail = message;
    intake->done_tail = &message->next_done;
    (void)pthread_mutex_unlock(&intake->lock);
    hub_net_post(intake->loop, &intake->task);
}

static void count(struct message *message, enum hub_result outcome, bool duplicate)
{
    struct hub_ingest_feed *feed = message->feed;
    if (outcome != HUB_OK)
        atomic_fetch_add(&feed->failed, 1);
    else if (duplicate)
        atomic_fetch_add(&feed->duplicates, 1);
    else if (message->verdict != HUB_OK)
        atomic_fetch_add(&feed->rejected, 1);
    else
        atomic_fetch_add(&feed->accepted, 1);
}

static void give_reply(struct message *message)
{
    struct hub_intake *intake = message->intake;
    const struct hub_commit_item *item = message->item;
    struct hub_verdict verdict = {
        .result = message->verdict, .recorded_us = item->recorded_us, .duplicate = item->duplicate};
    /* accepted before, by whatever rules then: the stored positive answer; on_error accept: safe as a dead
     * letter */
    if (item->duplicate || strcmp(item->dedup.answer, accepted) == 0)
        verdict.result = HUB_OK;
    if (verdict.result != HUB_OK)
        verdict.error = message->why;
    memcpy(verdict.message_id, item->dedup.message_id, sizeof(verdict.message_id));
    hub_buf_reset(&intake->reply);
    enum hub_result result = message->feed->format->reply(
        message->feed->context, hub_span_of(message->head, message->head_len), &verdict, &intake->reply);
    if (result == HUB_OK)
        result = hub_buf_result(&intake->reply);
    message->reply(message->connection, message->ticket, result, hub_buf_view(&intake->reply));
}

static void settle(struct message *message)
{
    const struct hub_commit_item *item = message->item;
    enum hub_result result = item->result;
    count(message, result, item->duplicate);
    if (result != HUB_OK)
        HUB_DIAG(HUB_DIAG_WARNING, component, "a message is left with its sender",
                 hub_diag_configured("feed", message->feed->feed->name),
                 hub_diag_configured("reason", hub_result_text(result)));
    if (message->connection != NULL) {
        if (result == HUB_OK)
            give_reply(message);
        else
            message->reply(message->connection, message->ticket, result, HUB_SPAN_NONE);
    }
    message_free(message);
}

static void resume_if_busy(struct hub_intake *intake)
{
    if (!intake->was_busy || intake->parked != NULL)
        return;
    intake->was_busy = false;
    intake->resume(intake->resume_ctx);
}

static void on_done(void *ctx)
{
    struct hub_intake *intake = ctx;
    (void)pthread_mutex_lock(&intake->lock);
    struct message *message = intake->done;
    intake->done = NULL;
    intake->done_tail = &intake->done;
    (void)pthread_mutex_unlock(&intake->lock);
    while (message != NULL) {
        struct message *next = message->next_done;
        settle(message);
        message = next;
    }
    resume_if_busy(intake);
}

/* --- the way in --- */

static void hand_over(struct message *message)
{
    struct hub_intake *intake = message->intake;
    enum hub_result result = hub_commit_submit(intake->ingest->commit, message->item);
    if (result == HUB_OK) /* it may be on its way back already */
        return;
    if (result == HUB_BUSY) {
        intake->parked = message;
        hub_net_timer_set(intake->retry, RETRY_MS);
        return;
    }
    message->item->result = result;
    on_committed(message->item, message);
}

static void on_retry(void *ctx)
{
    struct hub_intake *intake = ctx;
    struct message *message = intake->parked;
    intake->parked = NULL;
    if (message != NULL)
        hand_over(message);
    resume_if_busy(intake);
}

/* Identifiers of authorities that are not configured, for `status`: names of systems, never of people. */
static void note_authority(struct hub_ingest *ingest, struct hub_span system)
{
    for (size_t i = 0; i < ingest->config->authority_count; i++) {
        if (hub_span_is(system, ingest->config->authorities[i].system))
            return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    size_t at = 0;
    while (at < ingest->authority_count && !hub_span_is(system, ingest->authorities[at]))
        at++;
    if (at == ingest->authority_count && at < HUB_INGEST_AUTHORITIES_MAX && system.len < 256) {
        char *copy = hub_mem_alloc(system.len + 1);
        if (copy != NULL) {
            memcpy(copy, system.ptr, system.len);
            ingest->authorities[ingest->authority_count++] = copy;
        }
    }
    (void)pthread_mutex_unlock(&ingest->lock);
}

static void note_authorities(struct hub_ingest *ingest, const struct hub_decoded *decoded)
{
    for (uint32_t e = 0; e < decoded->event_count; e++) {
        for (uint16_t i = 0; i < decoded->events[e].identifier_count; i++)
            note_authority(ingest, decoded->events[e].identifiers[i].system);
    }
}

struct work { /* one message at work, on the stack of submit */
    struct hub_intake *intake;
    struct hub_ingest_feed *feed;
    struct hub_commit_item *item;
    struct hub_origin origin;
    struct hub_decoded decoded;
    struct hub_error err;
    enum hub_result verdict; /* HUB_OK or why it is rejected */
};

static bool rejects(enum hub_result result)
{
    switch (hub_result_row(result)->class) {
    case HUB_CLASS_REJECT:
    case HUB_CLASS_LIMIT:
        return true;
    case HUB_CLASS_DENIED:
        return hub_result_row(result)->ack_code[0] != '\0';
    case HUB_CLASS_OK:
    case HUB_CLASS_AGAIN:
    case HUB_CLASS_RETRY:
    case HUB_CLASS_CORRUPT:
    case HUB_CLASS_FATAL:
        return false;
    }
    return false;
}

static enum hub_result seal_events(struct work *work, int64_t received_us)
{
    struct hub_ingest *ingest = work->intake->ingest;
    struct hub_commit_item *item = work->item;
    uint32_t events = work->decoded.event_count;
    HUB_ENSURE(events != 0, hub_fail(&work->err, HUB_UNSUPPORTED_TYPE, "the message makes no event", NULL));
    item->events = hub_mem_array(events, sizeof(*item->events));
    item->event_lens = hub_mem_array(events, sizeof(*item->event_lens));
    HUB_ENSURE(item->events != NULL && item->event_lens != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < events; i++) {
        size_t before = item->json.len;
        HUB_TRY(hub_protect_seal(ingest->keys, ingest->policy, &work->intake->arena, &work->decoded.events[i],
                                 &work->decoded, &work->origin, i, received_us, &item->json, &item->events[i],
                                 &work->err));
        HUB_TRY(hub_buf_result(&item->json));
        item->event_lens[i] = item->json.len - before;
    }
    item->event_count = events;
    item->kind = HUB_RECORD_MESSAGE;
    memcpy(item->dedup.message_id, item->events[0].id.text, sizeof(item->events[0].id.text));
    return HUB_OK;
}

static void fill_dedup(struct work *work)
{
    struct hub_commit_item *item = work->item;
    struct hub_span control = work->decoded.control_id;
    item->dedup.count = 1;
    memcpy(item->trigger, work->decoded.trigger, sizeof(item->trigger));
    if (control.len != 0) {
        struct hub_hash_token token;
        hub_ingest_control_token(work->intake->ingest->keys, work->origin.feed_id, work->origin.sender, control, &token);
        memcpy(item->dedup.control_token, token.text, sizeof(token.text));
    }
}

/* RULES, on_error: what reads as a message and cannot be mapped must not block its sender's queue. What is no
 * message, or is past a limit, is refused all the same. */
static bool accepts_anyway(const struct work *work)
{
    return work->feed->feed->on_error == HUB_ON_ERROR_ACCEPT && work->decoded.readable &&
           hub_result_row(work->verdict)->class == HUB_CLASS_REJECT;
}

/* Not accepted: its original bytes are sealed as they are, so that nothing is lost whoever was wrong. */
static enum hub_result seal_dead_letter(struct work *work, struct hub_span bytes)
{
    struct hub_ingest *ingest = work->intake->ingest;
    struct hub_commit_item *item = work->item;
    const char *answer = accepts_anyway(work) ? accepted : hub_result_row(work->verdict)->ack_code;
    struct hub_event_id id;
    struct hub_error err = {0};
    hub_buf_reset(&item->json);
    hub_mem_free(item->events);
    hub_mem_free(item->event_lens);
    item->events = NULL;
    item->event_lens = NULL;
    item->event_count = 0;
    item->kind = HUB_RECORD_REJECTED;
    item->why = work->err;
    HUB_ASSERT(strlen(answer) < sizeof(item->dedup.answer));
    memcpy(item->dedup.answer, answer, strlen(answer) + 1);
    hub_keys_event_id(ingest->keys, work->origin.feed_id, work->origin.sender, bytes, 0, 0, &id);
    memcpy(item->dedup.message_id, id.text, sizeof(id.text));
    HUB_TRY(hub_protect_dead_letter(ingest->keys, &work->intake->arena, &id, bytes, work->decoded.trigger,
                                    &work->origin, &work->err, &item->json, &err));
    return hub_buf_result(&item->json);
}

/* Of a message that is too large only its head is looked at, for the answer; the beginning is kept. */
static enum hub_result process_oversize(struct work *work, struct hub_span bytes)
{
    struct hub_error ignored = {0};
    size_t len = bytes.len < HEAD_MAX ? bytes.len : HEAD_MAX;
    while (len != 0 && bytes.ptr[len - 1] != '\r' && bytes.ptr[len - 1] != '\n')
        len--;
    (void)work->feed->format->decode(work->feed->context, &work->intake->arena, hub_span_of(bytes.ptr, len),
                                     &work->decoded, &ignored);
    fill_dedup(work);
    work->verdict = hub_fail(&work->err, HUB_TOO_LARGE, "the message is larger than limits.message_bytes",
                             "send it in parts, or raise the limit");
    return seal_dead_letter(work,
                            hub_span_of(bytes.ptr, bytes.len < OVERSIZE_KEPT ? bytes.len : OVERSIZE_KEPT));
}

static enum hub_result process(struct work *work, struct hub_span bytes)
{
    struct hub_ingest *ingest = work->intake->ingest;
    int64_t received_us = hub_clock_wall_us(ingest->clock);
    work->verdict = work->feed->format->decode(work->feed->context, &work->intake->arena, bytes,
                                               &work->decoded, &work->err);
    fill_dedup(work);
    if (work->verdict == HUB_OK) {
        note_authorities(ingest, &work->decoded);
        work->verdict = seal_events(work, received_us);
    }
    if (work->verdict == HUB_OK) {
        memcpy(work->item->dedup.answer, accepted, sizeof(accepted));
        return HUB_OK;
    }
    if (!rejects(work->verdict))
        return work->verdict;
    if (work->err.result != work->verdict) /* a result without details */
        (void)hub_fail(&work->err, work->verdict, NULL, NULL);
    return seal_dead_letter(work, bytes);
}

static struct message *message_new(struct work *work, const struct hub_delivery *delivery, uint64_t bytes)
{
    struct hub_intake *intake = work->intake;
    struct hub_span head = work->decoded.reply_head;
    struct message *message = hub_mem_alloc(sizeof(*message) + head.len);
    if (message == NULL)
        return NULL;
    message->intake = intake;
    message->feed = work->feed;
    message->item = work->item;
    message->reply = delivery->reply;
    message->connection = delivery->connection;
    message->ticket = delivery->ticket;
    message->bytes = bytes;
    message->why = work->err;
    message->verdict = work->verdict;
    message->head_len = head.len;
    if (head.len != 0)
        memcpy(message->head, head.ptr, head.len);
    message->next = intake->messages;
    if (message->next != NULL)
        message->next->prev = message;
    intake->messages = message;
    work->item->feed = delivery->feed->name;
    work->item->sender = delivery->sender;
    work->item->bytes = bytes;
    work->item->done = on_committed;
    work->item->done_ctx = message;
    return message;
}

struct hub_ingest *hub_intake_ingest(struct hub_intake *intake)
{
    return intake->ingest;
}

struct hub_ingest_feed *hub_intake_feed(struct hub_intake *intake, const struct hub_feed *feed)
{
    size_t at = (size_t)(feed - intake->ingest->config->feeds);
    HUB_ASSERT(at < intake->ingest->feed_count);
    return &intake->ingest->feeds[at];
}

enum hub_result hub_intake_submit(struct hub_intake *intake, const struct hub_delivery *delivery)
{
    struct hub_ingest *ingest = intake->ingest;
    uint64_t bytes = delivery->bytes.len * IN_FLIGHT_FACTOR;
    if (intake->parked != NULL || !take_budget(ingest, bytes)) {
        intake->was_busy = true;
        /* the budget may be used up by other workers only, whose answers nobody tells this one of */
        if (intake->messages == NULL)
            hub_net_timer_set(intake->retry, RETRY_MS);
        return HUB_BUSY;
    }
    struct work work = {
        .intake = intake,
        .feed = hub_intake_feed(intake, delivery->feed),
        .item = hub_commit_item_new(ingest->record_bytes_max),
        .origin = {.feed_id = hub_span_str(delivery->feed->id),
                   .feed_name = hub_span_str(delivery->feed->name),
                   .sender = hub_span_str(delivery->sender),
                   .message = delivery->bytes},
    };
    HUB_ASSERT(delivery->reply != NULL && delivery->sender != NULL);
    enum hub_result result = work.item == NULL    ? HUB_NO_MEMORY
                             : delivery->oversize ? process_oversize(&work, delivery->bytes)
                                                  : process(&work, delivery->bytes);
    struct message *message = result == HUB_OK ? message_new(&work, delivery, bytes) : NULL;
    hub_arena_reset(&intake->arena);
    atomic_fetch_add(&work.feed->received, 1);
    atomic_fetch_add(&work.feed->bytes, delivery->bytes.len);
    atomic_store(&work.feed->last_us, hub_clock_wall_us(ingest->clock));
    if (message == NULL) {
        result = result != HUB_OK ? result : HUB_NO_MEMORY;
        atomic_fetch_add(&work.feed->failed, 1);
        atomic_fetch_sub(&ingest->in_flight_bytes, bytes);
        hub_commit_item_free(work.item);
        HUB_DIAG(HUB_DIAG_ERROR, component, "a message cannot be taken and is left with its sender",
                 hub_diag_configured("feed", delivery->feed->name),
                 hub_diag_configured("reason", hub_result_text(result)));
        return result == HUB_BUSY ? HUB_INTERNAL : result;
    }
    hand_over(message);
    return HUB_OK;
}

void hub_intake_forget(struct hub_intake *intake, void *connection)
{
    for (struct message *message = intake->messages; message != NULL; message = message->next) {
        if (message->connection == connection)
            message->connection = NULL;
    }
}

/* --- life --- */

struct hub_intake *hub_intake_new(struct hub_ingest *ingest, struct hub_net_loop *loop,
                                  void (*resume)(void *ctx), void *ctx)
{
    struct hub_intake *intake = hub_mem_alloc(sizeof(*intake));
    if (intake == NULL)
        return NULL;
    intake->ingest = ingest;
    intake->loop = loop;
    intake->resume = resume;
    intake->resume_ctx = ctx;
    intake->done_tail = &intake->done;
    intake->task = (struct hub_net_task){.run = on_done, .ctx = intake};
    (void)pthread_mutex_init(&intake->lock, NULL);
    hub_arena_init(&intake->arena, ingest->config->limits.message_bytes * ARENA_FACTOR + ARENA_BASE);
    hub_buf_init(&intake->reply, REPLY_MAX, true);
    intake->retry = hub_net_timer_new(loop, on_retry, intake);
    if (intake->retry == NULL) {
        hub_intake_free(intake);
        return NULL;
    }
    return intake;
}

void hub_intake_free(struct hub_intake *intake)
{
    if (intake == NULL)
        return;
    while (intake->messages != NULL)
        message_free(intake->messages);
    hub_net_timer_free(intake->retry);
    hub_arena_deinit(&intake->arena);
    hub_buf_deinit(&intake->reply);
    (void)pthread_mutex_destroy(&intake->lock);
    hub_mem_free(intake);
}

bool hub_intake_idle(const struct hub_intake *intake)
{
    return intake->messages == NULL;
}
