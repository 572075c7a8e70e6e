/* Messages that came in one envelope: each goes its own way to the committer, a few at a time so that others are
 * not held up, and the answer to the whole is made when the last one has its own. */
#include <string.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/pipeline/intake_internal.h"

enum {
    NO_ROOM_MS = 100,           /* how soon it is looked again whether there is space */
    SLICE_US = 2000,            /* of the worker's time, at least one message */
    WINDOW = 256,               /* messages of one batch on their way */
    WINDOW_BYTES = 1024 * 1024, /* of them, one may be larger by itself */
    ANSWER_BYTES = 4096,        /* of one message, beyond what it echoes */
    PLAN_BYTES = 64 * 1024 * 1024,
    PLAN_FACTOR = 1024, /* what is known of a message or batch */
};

static const char component[] = "intake";

struct part { /* of the answers */
    size_t at, len;
};

struct hub_batch {
    struct hub_batch *next;
    struct hub_batches *batches;
    struct hub_rules *rules; /* a share */
    struct hub_intake_source source;
    struct hub_buf bytes;
    struct hub_arena arena; /* parts and what is below */
    struct hub_parts parts;
    char *ids; /* of the messages, HUB_EVENT_ID_LEN each: what the whole is known by */
    struct part *answers;
    struct hub_buf text; /* the answers as they came */
    size_t taken, settled;
    size_t waiting_bytes;
    int64_t recorded_us;
    bool busy;              /* the next message waits for one before it */
    enum hub_result result; /* HUB_OK, or why there will be no answer */
};

/* --- life --- */

static void push(struct hub_batch *batch)
{
    struct hub_batches *batches = batch->batches;
    batch->next = NULL;
    *(batches->first != NULL ? &batches->last->next : &batches->first) = batch;
    batches->last = batch;
    batches->count++;
}

static struct hub_batch *pop(struct hub_batches *batches)
{
    struct hub_batch *batch = batches->first;
    batches->first = batch->next;
    batches->count--;
    return batch;
}

/* It is in no list any more. */
static void batch_free(struct hub_batch *batch)
{
    hub_buf_deinit(&batch->bytes);
    hub_buf_deinit(&batch->text);
    hub_arena_deinit(&batch->arena);
    hub_rules_free(batch->rules);
    hub_mem_free(batch);
}

static const struct hub_limits *limits(const struct hub_batch *batch)
{
    return &hub_rules_config(batch->rules)->limits;
}

/* Every answer echoes a part of its message, twice where two are due; the rest is of a known size. */
static size_t answer_bytes_max(const struct hub_batch *batch)
{
    return 4 * batch->bytes.len + (batch->parts.count + 1) * (size_t)ANSWER_BYTES;
}

static enum hub_result copy_source(struct hub_batch *batch, const struct hub_intake_source *source)
{
    hub_buf_init(&batch->bytes, source->bytes.len, true);
    hub_buf_append_span(&batch->bytes, source->bytes);
    batch->source = *source;
    batch->source.bytes = hub_buf_view(&batch->bytes);
    batch->rules = hub_rules_share(source->rules);
    hub_arena_init(&batch->arena, PLAN_BYTES + (size_t)limits(batch)->batch_messages * PLAN_FACTOR);
    struct hub_span sender = hub_arena_copy(&batch->arena, hub_span_str(source->sender));
    HUB_ENSURE(sender.ptr != NULL, HUB_NO_MEMORY);
    batch->source.sender = (const char *)sender.ptr;
    return hub_buf_result(&batch->bytes);
}

static enum hub_result open_parts(struct hub_batch *batch)
{
    const struct hub_rules_feed *by = batch->source.by;
    struct hub_error ignored; /* the same is found when it is looked at as one message */
    enum hub_result result =
        by->format->split(by->context, &batch->arena, batch->source.bytes, &batch->parts, &ignored);
    if (result == HUB_TOO_MANY)
        return HUB_NOT_FOUND;
    HUB_TRY(result);
    size_t count = batch->parts.count + 1;
    batch->ids = hub_arena_array(&batch->arena, count, HUB_EVENT_ID_LEN);
    batch->answers = HUB_ARENA_ARRAY(&batch->arena, struct part, count);
    hub_buf_init(&batch->text, answer_bytes_max(batch), true);
    return batch->ids != NULL && batch->answers != NULL ? HUB_OK : HUB_NO_MEMORY;
}

static void note(const struct hub_batch *batch)
{
    struct hub_ingest_feed *counts = batch->source.counts;
    atomic_fetch_add(&counts->batches, 1);
    if (batch->parts.fault.result == HUB_OK)
        return;
    atomic_fetch_add(&counts->batches_faulty, 1);
    HUB_DIAG(HUB_DIAG_WARNING, component, "the envelope of a batch is wrong; its messages are judged by themselves",
             hub_diag_configured("feed", batch->source.by->feed->name), hub_diag_error(&batch->parts.fault));
}

enum hub_result hub_batches_add(struct hub_batches *batches, const struct hub_intake_source *source)
{
    const struct hub_format *format = source->by->format;
    if (source->oversize || format->split == NULL || !format->envelope(source->bytes))
        return HUB_NOT_FOUND;
    struct hub_batch *batch = hub_mem_alloc(sizeof(*batch));
    if (batch == NULL)
        return HUB_NO_MEMORY;
    batch->batches = batches;
    enum hub_result result = copy_source(batch, source);
    if (result == HUB_OK)
        result = open_parts(batch);
    if (result != HUB_OK) {
        batch_free(batch);
        return result;
    }
    push(batch);
    note(batch);
    hub_net_timer_set(batches->slice, 0);
    return HUB_OK;
}

/* --- the answer --- */

static void whole_verdict(const struct hub_batch *batch, struct hub_verdict *out)
{
    struct hub_event_id id;
    const struct hub_feed *feed = batch->source.by->feed;
    hub_keys_event_id(hub_intake_ingest(batch->batches->intake)->keys, hub_span_str(feed->id),
                      hub_span_str(batch->source.sender),
                      hub_span_of(batch->ids, batch->parts.count * HUB_EVENT_ID_LEN), 0, 0, &id);
    *out = (struct hub_verdict){.result = HUB_OK, .recorded_us = batch->recorded_us};
    memcpy(out->message_id, id.text, sizeof(id.text));
}

static enum hub_result build_answer(struct hub_batch *batch, struct hub_buf *out)
{
    const struct hub_rules_feed *by = batch->source.by;
    struct hub_verdict whole;
    size_t count = batch->parts.count;
    struct hub_span *answers = HUB_ARENA_ARRAY(&batch->arena, struct hub_span, count + 1);
    HUB_ENSURE(answers != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_buf_result(&batch->text));
    for (size_t i = 0; i < count; i++)
        if (batch->answers[i].len != 0)
            answers[i] = hub_span_of(batch->text.ptr + batch->answers[i].at, batch->answers[i].len);
    whole_verdict(batch, &whole);
    HUB_TRY(by->format->bundle(by->context, &batch->parts, answers, &whole, out));
    return hub_buf_result(out);
}

static void finish(struct hub_batch *batch)
{
    struct hub_intake *intake = batch->batches->intake;
    struct hub_intake_source source = batch->source;
    struct hub_buf *answer = hub_intake_reply_buf(intake);
    enum hub_result result = batch->result;
    if (result == HUB_OK && source.connection != NULL)
        result = build_answer(batch, answer);
    batch_free(batch);
    hub_intake_give_back(intake, source.budget);
    if (source.connection != NULL)
        source.reply(source.connection, source.ticket, result,
                     result == HUB_OK ? hub_buf_view(answer) : HUB_SPAN_NONE);
}

/* Nothing is on its way, and nothing more will be. */
static bool is_over(const struct hub_batch *batch)
{
    bool stopped = batch->result != HUB_OK || batch->source.connection == NULL;
    return batch->settled == batch->taken && (stopped || batch->taken == batch->parts.count);
}

void hub_batch_answered(struct hub_batch *batch, uint64_t number, enum hub_result result,
                        const struct hub_verdict *verdict, struct hub_span answer)
{
    batch->settled++;
    batch->busy = false;
    batch->waiting_bytes -= batch->parts.messages[number].len;
    if (result != HUB_OK) {
        batch->result = result;
    } else {
        batch->answers[number] = (struct part){.at = batch->text.len, .len = answer.len};
        hub_buf_append_span(&batch->text, answer);
        memcpy(batch->ids + number * HUB_EVENT_ID_LEN, verdict->message_id, HUB_EVENT_ID_LEN);
        if (verdict->recorded_us > batch->recorded_us)
            batch->recorded_us = verdict->recorded_us;
    }
    hub_net_timer_set(batch->batches->slice, 0);
}

/* --- a slice of work --- */

/* No space: what is not taken yet waits for it, as what is not read yet does. */
static bool is_full(const struct hub_batches *batches)
{
    return hub_commit_full(hub_intake_ingest(batches->intake)->commit);
}

static bool may_take(const struct hub_batch *batch)
{
    bool more = batch->result == HUB_OK && batch->source.connection != NULL && batch->taken < batch->parts.count;
    return more && !batch->busy && batch->taken - batch->settled < WINDOW &&
           (batch->waiting_bytes < WINDOW_BYTES || batch->taken == batch->settled) &&
           !hub_intake_parked(batch->batches->intake) && !is_full(batch->batches);
}

static void take_one(struct hub_batch *batch)
{
    struct hub_intake_source source = batch->source;
    source.bytes = batch->parts.messages[batch->taken];
    source.budget = 0;
    source.reply = NULL;
    source.connection = NULL;
    source.ticket = batch->taken;
    source.batch = batch;
    enum hub_result result = hub_intake_take(batch->batches->intake, &source);
    batch->busy = result == HUB_BUSY;
    if (batch->busy)
        return;
    if (result != HUB_OK) {
        batch->result = result; /* the hub's own trouble: no answer to any of them */
        return;
    }
    batch->taken++;
    batch->waiting_bytes += source.bytes.len;
}

/* Until the slice is over. */
static void work(struct hub_batch *batch, int64_t until_us)
{
    do {
        if (!may_take(batch))
            return;
        take_one(batch);
    } while (hub_clock_mono_us(hub_clock_system()) < until_us);
}

/* Everyone gets a turn: who had one goes behind the others. */
static void on_slice(void *ctx)
{
    struct hub_batches *batches = ctx;
    int64_t until_us = hub_clock_mono_us(hub_clock_system()) + SLICE_US;
    bool again = false;
    for (size_t left = batches->count; left != 0; left--) {
        struct hub_batch *batch = pop(batches);
        if (hub_clock_mono_us(hub_clock_system()) < until_us)
            work(batch, until_us);
        again = again || may_take(batch);
        if (is_over(batch))
            finish(batch);
        else
            push(batch);
    }
    if (again)
        hub_net_timer_set(batches->slice, 0);
    else if (batches->first != NULL && is_full(batches))
        hub_net_timer_set(batches->slice, NO_ROOM_MS);
}

void hub_batches_wake(struct hub_batches *batches)
{
    for (struct hub_batch *batch = batches->first; batch != NULL; batch = batch->next)
        batch->busy = false;
    if (batches->first != NULL)
        hub_net_timer_set(batches->slice, 0);
}

void hub_batches_forget(struct hub_batches *batches, const void *connection)
{
    for (struct hub_batch *batch = batches->first; batch != NULL; batch = batch->next) {
        if (batch->source.connection != connection)
            continue;
        batch->source.connection = NULL; /* what was not taken yet is sent again, having had no answer */
        hub_net_timer_set(batches->slice, 0);
    }
}

enum hub_result hub_batches_open(struct hub_batches *batches, struct hub_intake *intake, struct hub_net_loop *loop)
{
    *batches = (struct hub_batches){.intake = intake};
    batches->slice = hub_net_timer_new(loop, on_slice, batches);
    return batches->slice != NULL ? HUB_OK : HUB_NO_MEMORY;
}

void hub_batches_close(struct hub_batches *batches)
{
    while (batches->first != NULL) {
        struct hub_batch *batch = pop(batches);
        hub_intake_give_back(batches->intake, batch->source.budget);
        batch_free(batch);
    }
    hub_net_timer_free(batches->slice);
    batches->slice = NULL;
}
