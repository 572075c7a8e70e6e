#include "src/pipeline/intake.h"

#include <string.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/pipeline/intake_internal.h"
#include "src/pipeline/prepare.h"

enum {
    ARENA_FACTOR = 16, /* a decoded and sealed message against its bytes */
    ARENA_BASE = 32 * 1024 * 1024,
    NO_ROOM_MS = 100, /* how soon it is looked again whether there is space */
    RETRY_MS = 5, /* the committer's queue was full */
    EXPECTED_MAX = 256 * 1024,
    LATER_BYTES = 1024 * 1024, /* sealed: more than this is handed over when the connection gave its bytes back */
    IN_FLIGHT_FACTOR = 2, /* message and sealed form, before the latter is known */
};

static const char component[] = "intake";

/* One message on its way through the committer. */
struct message {
    struct message *prev, *next; /* all of the worker */
    struct message *next_done;
    struct hub_intake *intake;
    struct hub_ingest_feed *feed;
    struct hub_rules *rules; /* a share: it is answered by the rules it came in by */
    const struct hub_rules_feed *by;
    struct hub_commit_item *item;
    struct hub_forward_wait wait; /* ack.wait: broker */
    void (*reply)(void *connection, uint64_t ticket, enum hub_result result, struct hub_span bytes);
    void *connection; /* NULL: forgotten */
    uint64_t ticket;
    struct hub_batch *batch; /* it came in; NULL: alone */
    uint64_t bytes;          /* of the in-flight budget */
    struct hub_error why; /* what the reply says when the message is not accepted */
    enum hub_result verdict;
    const char *sender; /* behind head */
    size_t head_len;
    uint8_t head[]; /* what the format's reply needs */
};

struct hub_intake {
    struct hub_ingest *ingest;
    struct hub_rules *rules; /* a share */
    struct hub_net_loop *loop;
    void (*resume)(void *ctx);
    void *resume_ctx;
    struct hub_arena arena;
    struct hub_buf reply;
    size_t expected; /* bytes that the last message came to, sealed */
    struct message *messages;
    struct message *parked, **parked_tail; /* ready, but the committer's queue or the disk was full; in order */
    struct hub_net_timer *retry;
    struct hub_batches batches;
    bool was_busy;        /* somebody waits for resume */
    pthread_mutex_t lock; /* done list */
    struct message *done, **done_tail;
    struct hub_net_task task;
};

/* --- budget --- */

static bool take_budget(const struct hub_intake *intake, uint64_t bytes)
{
    struct hub_ingest *ingest = intake->ingest;
    uint64_t had = atomic_fetch_add(&ingest->in_flight_bytes, bytes);
    if (had == 0 || had + bytes <= hub_rules_config(intake->rules)->limits.in_flight_bytes)
        return true; /* one message always may, so that a large one is not kept out for ever */
    atomic_fetch_sub(&ingest->in_flight_bytes, bytes);
    return false;
}

/* --- the way back --- */

void hub_intake_give_back(struct hub_intake *intake, uint64_t budget)
{
    atomic_fetch_sub(&intake->ingest->in_flight_bytes, budget);
}

static void message_free(struct message *message)
{
    struct hub_intake *intake = message->intake;
    hub_intake_give_back(intake, message->bytes);
    *(message->prev != NULL ? &message->prev->next : &intake->messages) = message->next;
    if (message->next != NULL)
        message->next->prev = message->prev;
    hub_commit_item_free(message->item);
    hub_rules_free(message->rules);
    hub_mem_wipe(message->head, message->head_len);
    hub_mem_free(message);
}

/* Any thread: only hands over. */
static void hand_back(struct message *message)
{
    struct hub_intake *intake = message->intake;
    (void)pthread_mutex_lock(&intake->lock);
    message->next_done = NULL;
    *intake->done_tail = message;
    intake->done_tail = &message->next_done;
    (void)pthread_mutex_unlock(&intake->lock);
    hub_net_post(intake->loop, &intake->task);
}

/* Forwarder's thread, or the committer's when the brokers have it already. */
static void on_delivered(struct hub_forward_wait *wait)
{
    hand_back((struct message *)((char *)wait - offsetof(struct message, wait)));
}

/* Committer's thread. What waits for the brokers is answered when they have it, repeats of it too. */
static void on_committed(struct hub_commit_item *item, void *ctx)
{
    struct message *message = ctx;
    struct hub_forward *forward = message->intake->ingest->forward;
    if (forward == NULL || message->by->feed->ack_wait != HUB_ACK_BROKER || item->result != HUB_OK) {
        hand_back(message);
        return;
    }
    message->wait = (struct hub_forward_wait){.record = item->record, .delivered = on_delivered};
    enum hub_result result = hub_forward_hold(forward, &message->wait);
    if (result == HUB_OK)
        return;
    item->result = result; /* stored, and not known to be with the brokers: no answer, the sender asks again */
    hand_back(message);
}

static void count(struct message *message, enum hub_result outcome, bool duplicate)
{
    struct hub_ingest_feed *feed = message->feed;
    if (outcome != HUB_OK)
        atomic_fetch_add(&feed->failed, 1);
    else if (duplicate)
        atomic_fetch_add(&feed->duplicates, 1);
    else if (message->verdict == HUB_CONTINUED)
        atomic_fetch_add(&feed->parts, 1);
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
    if (item->duplicate || strcmp(item->dedup.answer, hub_prepare_accepted) == 0)
        verdict.result = HUB_OK;
    if (verdict.result != HUB_OK)
        verdict.error = message->why;
    memcpy(verdict.message_id, item->dedup.message_id, sizeof(verdict.message_id));
    hub_buf_reset(&intake->reply);
    enum hub_result result = message->by->format->reply(
        message->by->context, hub_span_of(message->head, message->head_len), &verdict, &intake->reply);
    if (result == HUB_OK)
        result = hub_buf_result(&intake->reply);
    if (message->batch != NULL)
        hub_batch_answered(message->batch, message->ticket, result, &verdict, hub_buf_view(&intake->reply));
    else
        message->reply(message->connection, message->ticket, result, hub_buf_view(&intake->reply));
}

static void give_none(struct message *message, enum hub_result result)
{
    if (message->batch != NULL)
        hub_batch_answered(message->batch, message->ticket, result, NULL, HUB_SPAN_NONE);
    else
        message->reply(message->connection, message->ticket, result, HUB_SPAN_NONE);
}

static void park(struct message *message, uint32_t retry_ms)
{
    struct hub_intake *intake = message->intake;
    message->next_done = NULL;
    *intake->parked_tail = message;
    intake->parked_tail = &message->next_done;
    hub_net_timer_set(intake->retry, retry_ms);
}

/* There was no room: it is kept for when there is, if somebody still waits for it. */
static bool waits_for_room(const struct message *message)
{
    return message->item->result == HUB_QUOTA && (message->connection != NULL || message->batch != NULL) &&
           !atomic_load(&message->intake->ingest->ending);
}

static void settle(struct message *message)
{
    const struct hub_commit_item *item = message->item;
    enum hub_result result = item->result;
    if (waits_for_room(message)) {
        park(message, NO_ROOM_MS);
        return;
    }
    count(message, result, item->duplicate);
    if (result != HUB_OK)
        HUB_DIAG(HUB_DIAG_WARNING, component, "a message is left with its sender",
                 hub_diag_configured("feed", message->by->feed->name),
                 hub_diag_configured("reason", hub_result_text(result)));
    if (message->connection != NULL || message->batch != NULL) {
        if (result == HUB_OK)
            give_reply(message);
        else
            give_none(message, result);
    }
    message_free(message);
}

/* Nothing can be stored, or the timeline is too far behind what is. */
static bool no_room(const struct hub_intake *intake)
{
    return hub_commit_full(intake->ingest->commit) || hub_ingest_timeline_behind(intake->ingest);
}

static void resume_if_busy(struct hub_intake *intake)
{
    if (intake->parked == NULL)
        hub_batches_wake(&intake->batches);
    if (!intake->was_busy || intake->parked != NULL)
        return;
    if (no_room(intake)) { /* nobody is read for nothing */
        hub_net_timer_set(intake->retry, NO_ROOM_MS);
        return;
    }
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
        park(message, RETRY_MS);
        return;
    }
    message->item->result = result;
    hand_back(message);
}

static void on_retry(void *ctx)
{
    struct hub_intake *intake = ctx;
    struct message *message = intake->parked;
    intake->parked = NULL;
    intake->parked_tail = &intake->parked;
    while (message != NULL) { /* what finds no room again is parked behind */
        struct message *next = message->next_done;
        hand_over(message);
        message = next;
    }
    resume_if_busy(intake);
}

static struct message *message_new(struct hub_intake *intake, struct hub_work *work,
                                   const struct hub_intake_source *source)
{
    size_t sender_len = strlen(source->sender);
    struct hub_span head = work->decoded.reply_head;
    struct message *message = hub_mem_alloc(sizeof(*message) + head.len + sender_len + 1);
    if (message == NULL)
        return NULL;
    message->intake = intake;
    message->feed = source->counts;
    message->rules = hub_rules_share(source->rules);
    message->by = work->feed;
    message->item = work->item;
    message->reply = source->reply;
    message->connection = source->connection;
    message->ticket = source->ticket;
    message->batch = source->batch;
    message->bytes = source->budget;
    message->why = work->err;
    message->verdict = work->verdict;
    message->head_len = head.len;
    if (head.len != 0)
        memcpy(message->head, head.ptr, head.len);
    memcpy(message->head + head.len, source->sender, sender_len + 1);
    message->sender = (const char *)message->head + head.len;
    message->next = intake->messages;
    if (message->next != NULL)
        message->next->prev = message;
    intake->messages = message;
    work->item->feed = message->feed->name;
    work->item->sender = message->sender;
    work->item->bytes = source->budget;
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
    size_t at = (size_t)(feed - hub_rules_config(intake->rules)->feeds);
    HUB_ASSERT(at < intake->ingest->feed_count);
    return &intake->ingest->feeds[at];
}

const struct hub_config *hub_intake_config(const struct hub_intake *intake)
{
    return hub_rules_config(intake->rules);
}

bool hub_intake_parked(const struct hub_intake *intake)
{
    return intake->parked != NULL;
}

struct hub_buf *hub_intake_reply_buf(struct hub_intake *intake)
{
    hub_buf_reset(&intake->reply);
    return &intake->reply;
}

static void note_sequence(struct hub_ingest *ingest, struct hub_ingest_feed *counts,
                          const struct hub_work *work)
{
    const struct hub_decoded *decoded = &work->decoded;
    if (decoded->sequence == 0)
        return;
    (void)pthread_mutex_lock(&ingest->lock);
    bool gap = hub_sequence_note(&counts->sequences, work->origin.sender, decoded->sequence_source,
                                 decoded->sequence);
    (void)pthread_mutex_unlock(&ingest->lock);
    if (gap)
        atomic_fetch_add(&counts->sequence_gaps, 1);
}

static void count_received(struct hub_intake *intake, const struct hub_intake_source *source)
{
    struct hub_ingest_feed *counts = source->counts;
    atomic_fetch_add(&counts->received, 1);
    atomic_fetch_add(&counts->bytes, source->bytes.len);
    atomic_store(&counts->last_us, hub_clock_wall_us(intake->ingest->clock));
}

/* The parts before it came over the same connection and are not stored yet. */
static bool must_wait(const struct hub_intake *intake, const struct hub_intake_source *source,
                      const struct hub_work *work)
{
    bool under_way = false;
    for (const struct message *m = intake->messages; m != NULL && work->part_missing && !under_way; m = m->next)
        under_way = m->verdict == HUB_CONTINUED && m->feed == source->counts && strcmp(m->sender, source->sender) == 0;
    return under_way;
}

enum hub_result hub_intake_take(struct hub_intake *intake, const struct hub_intake_source *source)
{
    struct hub_ingest *ingest = intake->ingest;
    struct hub_work work = {
        .ingest = ingest,
        .rules = source->rules,
        .feed = source->by,
        .arena = &intake->arena,
        .item = hub_commit_item_new(ingest->record_bytes_max),
        .origin = {.feed_id = hub_span_str(source->by->feed->id),
                   .feed_name = hub_span_str(source->by->feed->name),
                   .sender = hub_span_str(source->sender),
                   .message = source->bytes},
        .oversize = source->oversize,
    };
    /* a message is much like the last one: room at once instead of by doubling, if there is */
    if (work.item != NULL && hub_buf_reserve(&work.item->json, intake->expected) == NULL)
        hub_buf_reset(&work.item->json);
    enum hub_result result = work.item == NULL ? HUB_NO_MEMORY : hub_prepare(&work);
    if (work.item != NULL)
        intake->expected = work.item->json.len < EXPECTED_MAX ? work.item->json.len : EXPECTED_MAX;
    if (result == HUB_OK && must_wait(intake, source, &work)) {
        hub_arena_reset(&intake->arena);
        hub_commit_item_free(work.item);
        return HUB_BUSY;
    }
    struct message *message = result == HUB_OK ? message_new(intake, &work, source) : NULL;
    if (message != NULL)
        note_sequence(ingest, source->counts, &work);
    if (message != NULL && work.decoded.zone_overruled)
        atomic_fetch_add(&source->counts->zone_overruled, 1);
    hub_arena_reset(&intake->arena);
    count_received(intake, source);
    if (message == NULL) {
        result = result != HUB_OK ? result : HUB_NO_MEMORY;
        atomic_fetch_add(&source->counts->failed, 1);
        hub_commit_item_free(work.item);
        HUB_DIAG(HUB_DIAG_ERROR, component, "a message cannot be taken and is left with its sender",
                 hub_diag_configured("feed", source->by->feed->name),
                 hub_diag_configured("reason", hub_result_text(result)));
        return result == HUB_BUSY ? HUB_INTERNAL : result;
    }
    if (message->item->json.len > LATER_BYTES) /* the committer copies it: a third copy must be gone by then */
        park(message, 0);
    else
        hand_over(message);
    return HUB_OK;
}

enum hub_result hub_intake_submit(struct hub_intake *intake, const struct hub_delivery *delivery)
{
    uint64_t budget = delivery->bytes.len * IN_FLIGHT_FACTOR;
    HUB_ASSERT(delivery->reply != NULL && delivery->sender != NULL);
    if (no_room(intake)) {
        intake->was_busy = true;
        hub_net_timer_set(intake->retry, NO_ROOM_MS);
        return HUB_BUSY;
    }
    if (intake->parked != NULL || !take_budget(intake, budget)) {
        intake->was_busy = true;
        /* the budget may be used up by other workers only, whose answers nobody tells this one of */
        if (intake->messages == NULL)
            hub_net_timer_set(intake->retry, RETRY_MS);
        return HUB_BUSY;
    }
    struct hub_ingest_feed *counts = hub_intake_feed(intake, delivery->feed);
    const struct hub_intake_source source = {
        .rules = intake->rules,
        .by = hub_rules_feed(intake->rules, (size_t)(counts - intake->ingest->feeds)),
        .counts = counts,
        .sender = delivery->sender,
        .bytes = delivery->bytes,
        .oversize = delivery->oversize,
        .budget = budget,
        .reply = delivery->reply,
        .connection = delivery->connection,
        .ticket = delivery->ticket,
    };
    enum hub_result result = hub_batches_add(&intake->batches, &source);
    if (result == HUB_NOT_FOUND)
        result = hub_intake_take(intake, &source);
    intake->was_busy = intake->was_busy || result == HUB_BUSY;
    if (result != HUB_OK)
        hub_intake_give_back(intake, budget);
    return result;
}

void hub_intake_forget(struct hub_intake *intake, void *connection)
{
    for (struct message *message = intake->messages; message != NULL; message = message->next) {
        if (message->connection == connection)
            message->connection = NULL;
    }
    hub_batches_forget(&intake->batches, connection);
}

/* --- life --- */

struct hub_intake *hub_intake_new(struct hub_ingest *ingest, struct hub_net_loop *loop,
                                  void (*resume)(void *ctx), void *ctx)
{
    struct hub_intake *intake = hub_mem_alloc(sizeof(*intake));
    if (intake == NULL)
        return NULL;
    intake->ingest = ingest;
    intake->rules = hub_rules_share(ingest->rules);
    intake->loop = loop;
    intake->resume = resume;
    intake->resume_ctx = ctx;
    intake->done_tail = &intake->done;
    intake->parked_tail = &intake->parked;
    intake->task = (struct hub_net_task){.run = on_done, .ctx = intake};
    (void)pthread_mutex_init(&intake->lock, NULL);
    hub_arena_init(&intake->arena,
                   hub_rules_config(ingest->rules)->limits.message_bytes * ARENA_FACTOR + ARENA_BASE);
    hub_buf_init(&intake->reply, hub_limits_answer_bytes(&hub_rules_config(ingest->rules)->limits), true);
    intake->retry = hub_net_timer_new(loop, on_retry, intake);
    if (hub_batches_open(&intake->batches, intake, loop) != HUB_OK || intake->retry == NULL) {
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
    hub_batches_close(&intake->batches);
    hub_net_timer_free(intake->retry);
    hub_arena_deinit(&intake->arena);
    hub_buf_deinit(&intake->reply);
    hub_rules_free(intake->rules);
    (void)pthread_mutex_destroy(&intake->lock);
    hub_mem_free(intake);
}

bool hub_intake_idle(const struct hub_intake *intake)
{
    return intake->messages == NULL && intake->batches.first == NULL;
}

void hub_intake_reload(struct hub_intake *intake, struct hub_rules *rules)
{
    hub_rules_free(intake->rules);
    intake->rules = hub_rules_share(rules);
    intake->reply.bytes_max = hub_limits_answer_bytes(&hub_rules_config(rules)->limits);
}
