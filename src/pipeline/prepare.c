#include "src/pipeline/prepare.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/pipeline/continued.h"

enum {
    HEAD_MAX = 4096,
    LETTER_BASE = 1024 * 1024, /* beside the message itself */
};

const char hub_prepare_accepted[] = "AA";
const char hub_prepare_oversize[] = "the message is larger than limits.message_bytes";

/* Identifiers of authorities that are not configured, for `status`: names of systems, never of people. */
static void note_authority(struct hub_ingest *ingest, const struct hub_config *config, struct hub_span system)
{
    for (size_t i = 0; i < config->authority_count; i++) {
        if (hub_span_is(system, config->authorities[i].system))
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

static void note_authorities(const struct hub_work *work)
{
    const struct hub_decoded *decoded = &work->decoded;
    const struct hub_config *config = hub_rules_config(work->rules);
    for (uint32_t e = 0; e < decoded->event_count; e++) {
        for (uint16_t i = 0; i < decoded->events[e].identifier_count; i++)
            note_authority(work->ingest, config, decoded->events[e].identifiers[i].system);
    }
}

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

static enum hub_result seal_events(struct hub_work *work, int64_t received_us)
{
    struct hub_ingest *ingest = work->ingest;
    struct hub_commit_item *item = work->item;
    uint32_t events = work->decoded.event_count;
    HUB_ENSURE(events != 0, hub_fail(&work->err, HUB_UNSUPPORTED_TYPE, "the message makes no event", NULL));
    item->events = hub_mem_array(events, sizeof(*item->events));
    item->event_lens = hub_mem_array(events, sizeof(*item->event_lens));
    HUB_ENSURE(item->events != NULL && item->event_lens != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < events; i++) {
        size_t before = item->json.len;
        HUB_TRY(hub_protect_seal(ingest->keys, work->feed->policy, work->arena,
                                 &work->decoded.events[i], &work->decoded, &work->origin, i, received_us,
                                 &item->json, &item->events[i], &work->err));
        HUB_TRY(hub_buf_result(&item->json));
        item->event_lens[i] = item->json.len - before;
        if (ingest->event_bytes_max != 0 && item->event_lens[i] > ingest->event_bytes_max)
            return hub_fail(&work->err, HUB_TOO_LARGE, "the event is larger than the bus takes",
                            "send it in parts, or raise limits.message_bytes and max.message.bytes of the topics");
    }
    item->event_count = events;
    item->kind = HUB_RECORD_MESSAGE;
    memcpy(item->dedup.message_id, item->events[0].id.text, sizeof(item->events[0].id.text));
    return HUB_OK;
}

static void fill_dedup(struct hub_work *work)
{
    struct hub_commit_item *item = work->item;
    struct hub_span control = work->decoded.control_id;
    item->dedup.count = 1;
    memcpy(item->trigger, work->decoded.trigger, sizeof(item->trigger));
    if (control.len != 0) {
        struct hub_hash_token token;
        hub_ingest_control_token(work->ingest->keys, work->origin.feed_id, work->origin.sender, control,
                                 &token);
        memcpy(item->dedup.control_token, token.text, sizeof(token.text));
    }
}

static bool is_one_of(struct hub_span value, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (hub_span_is(value, names[i]))
            return true;
    return count == 0;
}

/* A connection's name may stand for certain applications and facilities only. Several entries of one name are
 * so many ways. */
static enum hub_result check_sender(struct hub_work *work)
{
    const struct hub_feed *feed = work->feed->feed;
    const struct hub_decoded *decoded = &work->decoded;
    bool bound = false, facility_wrong = false;
    for (size_t i = 0; i < feed->sender_count; i++) {
        const struct hub_sender *sender = &feed->senders[i];
        if (!hub_span_is(work->origin.sender, sender->name))
            continue;
        bool application = is_one_of(decoded->application, sender->applications, sender->application_count);
        if (application && is_one_of(decoded->facility, sender->facilities, sender->facility_count))
            return HUB_OK;
        bound = true;
        facility_wrong = facility_wrong || application;
    }
    if (!bound)
        return HUB_OK;
    (void)hub_fail(&work->err, HUB_DENIED, "this connection does not stand for this sender",
                   "send it over the sender's own connection, or add it to format.hl7v2.senders");
    return hub_error_at(&work->err, facility_wrong ? "MSH-4" : "MSH-3");
}

/* RULES, on_error: what reads as a message and cannot be mapped must not block its sender's queue. What is no
 * message, is past a limit, or lacks the parts before it, is refused all the same. */
static bool accepts_anyway(const struct hub_work *work)
{
    return work->feed->feed->on_error == HUB_ON_ERROR_ACCEPT && work->decoded.readable && !work->part_missing &&
           hub_result_row(work->verdict)->class == HUB_CLASS_REJECT;
}

/* Not accepted: its original bytes are sealed as they are, so that nothing is lost whoever was wrong. */
static enum hub_result seal_dead_letter(struct hub_work *work, struct hub_span bytes)
{
    struct hub_ingest *ingest = work->ingest;
    struct hub_commit_item *item = work->item;
    const char *answer =
        accepts_anyway(work) || work->verdict == HUB_CONTINUED ? hub_prepare_accepted : hub_result_row(work->verdict)->ack_code;
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
    struct hub_arena arena; /* the message's own may be what it used up */
    hub_arena_init(&arena, bytes.len * 2 + LETTER_BASE);
    enum hub_result result =
        hub_protect_dead_letter(ingest->keys, work->feed->policy, &arena, &id, bytes, work->decoded.trigger,
                                &work->origin, &work->err, &item->json, &err);
    hub_arena_deinit(&arena);
    return result != HUB_OK ? result : hub_buf_result(&item->json);
}

/* Of a message that is too large only its head is looked at, for the answer. What was read of it is kept, which
 * cannot be more than limits.message_bytes: nobody knows where it would have ended. */
static enum hub_result process_oversize(struct hub_work *work, struct hub_span bytes)
{
    struct hub_error ignored = {0};
    size_t len = bytes.len < HEAD_MAX ? bytes.len : HEAD_MAX;
    while (len != 0 && bytes.ptr[len - 1] != '\r' && bytes.ptr[len - 1] != '\n')
        len--;
    (void)work->feed->format->decode(work->feed->context, work->arena, hub_span_of(bytes.ptr, len),
                                     &work->decoded, &ignored);
    fill_dedup(work);
    work->verdict =
        hub_fail(&work->err, HUB_TOO_LARGE, hub_prepare_oversize, "send it in parts, or raise the limit");
    return seal_dead_letter(work, bytes);
}

/* The last part of a message: from here on it is the whole one, answered by the part's own header. */
static enum hub_result decode_joined(struct hub_work *work, struct hub_span *bytes)
{
    const struct hub_decoded part = work->decoded;
    enum hub_result taken = hub_continued_take(work, bytes);
    if (taken != HUB_OK) {
        work->item->last_part[0] = '\0';
        return taken;
    }
    work->joined = true;
    if (work->item->known)
        return HUB_OK;
    work->origin.message = *bytes;
    work->err = (struct hub_error){.result = HUB_OK};
    enum hub_result result =
        work->feed->format->decode(work->feed->context, work->arena, *bytes, &work->decoded, &work->err);
    work->decoded.reply_head = part.reply_head;
    work->decoded.sequence = part.sequence;
    fill_dedup(work);
    return result == HUB_CONTINUED ? hub_fail(&work->err, HUB_SYNTAX, "parts that make no whole message", NULL) : result;
}

enum hub_result hub_prepare(struct hub_work *work)
{
    struct hub_span bytes = work->origin.message;
    int64_t received_us = work->received_us != 0 ? work->received_us : hub_clock_wall_us(work->ingest->clock);
    work->origin.mapping = hub_span_str(work->feed->hash);
    if (work->oversize)
        return process_oversize(work, bytes);
    work->verdict =
        work->feed->format->decode(work->feed->context, work->arena, bytes, &work->decoded, &work->err);
    fill_dedup(work);
    if (work->decoded.readable && work->feed->feed->sender_count != 0 && check_sender(work) != HUB_OK)
        work->verdict = HUB_DENIED;
    if (work->verdict == HUB_CONTINUED)
        work->verdict = decode_joined(work, &bytes);
    if (work->verdict == HUB_OK && work->item->known) {
        work->item->kind = HUB_RECORD_MESSAGE;
    } else if (work->verdict == HUB_OK) {
        note_authorities(work);
        work->verdict = seal_events(work, received_us);
    }
    if (work->verdict == HUB_OK) {
        memcpy(work->item->dedup.answer, hub_prepare_accepted, strlen(hub_prepare_accepted) + 1);
        return HUB_OK;
    }
    if (work->verdict == HUB_NO_MEMORY && work->arena->capped) /* it would be so every time it is sent */
        work->verdict = hub_fail(&work->err, HUB_TOO_LARGE, "the message takes more memory than one may",
                                 "send it in several messages");
    if (!rejects(work->verdict))
        return work->verdict;
    if (work->err.result != work->verdict) /* a result without details */
        (void)hub_fail(&work->err, work->verdict, NULL, NULL);
    return seal_dead_letter(work, bytes);
}
