/* Dead letters worked on: replayed with today's rules, or resolved by an operator. */
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/pipeline/letters.h"
#include "src/pipeline/prepare.h"
#include "src/pipeline/session.h"

enum { ARENA_FACTOR = 16, ARENA_BASE = 32 * 1024 * 1024, REASON_MAX = 127 };

struct letter { /* of a list in order of recording */
    uint64_t record;
    char id[HUB_EVENT_ID_LEN + 1];
};

struct replay {
    struct hub_request *request;
    struct hub_rules *rules; /* a share, formats open */
    struct hub_arena *arena; /* of one letter */
    struct hub_error *err;
    /* the letter at hand */
    struct hub_span id;
    struct hub_index_message index;
    struct hub_json *document;
    struct hub_span original;
    /* for a feed's remap */
    struct hub_letter_counts *counts; /* NULL: each letter is answered by a line of its own */
    bool dry;                         /* only what would become of it */
};

/* The hub opens the letter itself: a read like any other, in the audit log before it is done. */
static enum hub_result open_letter(struct replay *replay)
{
    const struct hub_span raw = HUB_SPAN("raw");
    HUB_TRY(hub_session_note_read(replay->request, &replay->id, 1, &raw, 1, replay->err));
    return hub_letter_open(replay->request->hub->keys, replay->arena, replay->document, &replay->original,
                           replay->err);
}

static const struct hub_rules_feed *feed_of(const struct replay *replay)
{
    const struct hub_config *config = hub_rules_config(replay->rules);
    struct hub_span id = hub_json_get_span(replay->document, "feedid");
    for (size_t i = 0; i < config->feed_count; i++)
        if (hub_span_is(id, config->feeds[i].id))
            return hub_rules_feed(replay->rules, i);
    return NULL;
}

/* --- answers and audit entries --- */

static void begin(const struct replay *replay, struct hub_audit_builder *builder, const char *outcome,
                  const struct hub_error *why)
{
    const struct hub_request *request = replay->request;
    hub_audit_begin(builder, HUB_AUDIT_REPLAYED, hub_clock_wall_us(request->hub->clock));
    hub_audit_text(builder, "who", request->session->peer);
    hub_audit_span(builder, "message", replay->id);
    hub_audit_span(builder, "feed", hub_json_get_span(replay->document, "feed"));
    hub_audit_text(builder, "outcome", outcome);
    if (why != NULL) {
        hub_audit_text(builder, "code", hub_result_row(why->result)->metric);
        hub_audit_text(builder, "at", why->place);
    }
}

static enum hub_result set(struct replay *replay, struct hub_json *object, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0') /* as in the letter itself */
        return HUB_OK;
    return hub_json_set_string(replay->arena, object, name, hub_arena_copy(replay->arena, hub_span_str(text)));
}

static enum hub_result answer(struct replay *replay, const char *outcome, const struct hub_error *why)
{
    if (replay->counts != NULL) {
        *(why == NULL ? &replay->counts->accepted : &replay->counts->rejected) += 1;
        return HUB_OK;
    }
    struct hub_json *out = hub_json_new(replay->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(replay->arena, out, "id", replay->id));
    HUB_TRY(hub_json_set_string(replay->arena, out, "feed", hub_json_get_span(replay->document, "feed")));
    HUB_TRY(set(replay, out, "outcome", outcome));
    if (why != NULL) {
        struct hub_json *reason = hub_json_new(replay->arena, HUB_JSON_OBJECT);
        HUB_ENSURE(reason != NULL, HUB_NO_MEMORY);
        HUB_TRY(set(replay, reason, "code", hub_result_row(why->result)->metric));
        HUB_TRY(set(replay, reason, "text", why->what != NULL ? why->what : hub_result_text(why->result)));
        HUB_TRY(set(replay, reason, "mend", why->mend));
        HUB_TRY(set(replay, reason, "at", why->place));
        HUB_TRY(hub_json_set_c(out, "reason", reason));
    }
    return hub_answer_json(replay->request, "replayed", out);
}

/* An outcome that stores no message has its entry alone. */
static enum hub_result conclude(struct replay *replay, const char *outcome, const struct hub_error *why)
{
    struct hub_audit_builder builder;
    if (replay->dry)
        return answer(replay, outcome, why);
    begin(replay, &builder, outcome, why);
    HUB_TRY(hub_note(replay->request->hub, &builder, replay->err));
    return answer(replay, outcome, why);
}

/* --- one letter --- */

/* The entry goes into the record of the message. */
static enum hub_result add_entry(const struct replay *replay, struct hub_commit_item *item)
{
    struct hub_audit_builder builder;
    begin(replay, &builder, "accepted", NULL);
    hub_audit_add(&builder, &item->audit);
    return hub_buf_result(&item->audit);
}

static enum hub_result commit(struct replay *replay, struct hub_work *work)
{
    struct hub *hub = replay->request->hub;
    if (work->verdict != HUB_OK)
        return conclude(replay, "rejected", &work->err);
    if (!work->joined && !hub_span_is(replay->id, work->item->dedup.message_id))
        return hub_fail(replay->err, HUB_CORRUPT, "a dead letter's original is not the message of its id",
                        NULL);
    HUB_TRY(add_entry(replay, work->item));
    enum hub_result result = hub_commit_wait(hub->commit, work->item);
    if (result != HUB_OK)
        return hub_fail(replay->err, result, "the message could not be stored", "try again later");
    return work->item->duplicate ? conclude(replay, "duplicate", NULL) : answer(replay, "accepted", NULL);
}

/* What would become of it, without a trace. */
static enum hub_result try_out(struct replay *replay, const struct hub_rules_feed *feed)
{
    struct hub_decoded decoded = {.event_count = 0};
    struct hub_error why = {0};
    enum hub_result result = feed->format->decode(feed->context, replay->arena, replay->original, &decoded, &why);
    if (result != HUB_OK && why.result == HUB_OK)
        (void)hub_fail(&why, result, NULL, NULL);
    return answer(replay, result == HUB_OK ? "accepted" : "rejected", result == HUB_OK ? NULL : &why);
}

static enum hub_result process(struct replay *replay, const struct hub_rules_feed *feed)
{
    struct hub_ingest *ingest = &replay->request->hub->ingest;
    struct hub_span sender = hub_arena_copy(replay->arena, hub_json_get_span(replay->document, "sender"));
    struct hub_work work = {
        .ingest = ingest,
        .rules = replay->rules,
        .feed = feed,
        .arena = replay->arena,
        .item = hub_commit_item_new(ingest->record_bytes_max),
        .origin = {.feed_id = hub_span_str(feed->feed->id),
                   .feed_name = hub_span_str(feed->feed->name),
                   .sender = sender,
                   .message = replay->original},
        .received_us = replay->index.recorded_us,
    };
    if (work.item == NULL || sender.ptr == NULL) {
        hub_commit_item_free(work.item);
        return hub_fail(replay->err, HUB_NO_MEMORY, NULL, NULL);
    }
    work.item->feed = feed->feed->name;
    work.item->sender = (const char *)sender.ptr;
    enum hub_result result = hub_prepare(&work);
    if (result == HUB_OK)
        result = commit(replay, &work);
    else
        (void)hub_fail(replay->err, result, "the message could not be processed", "try again later");
    hub_commit_item_free(work.item);
    return result;
}

static enum hub_result replay_letter(struct replay *replay)
{
    struct hub_index_message now;
    struct hub_error why = {0};
    HUB_TRY(hub_index_dead_letter(replay->request->hub->index, replay->id, &replay->index, replay->err));
    HUB_TRY(hub_letter_load(replay->request->hub->log, replay->index.record, replay->arena,
                            &replay->document, replay->err));
    HUB_TRY(hub_index_message(replay->request->hub->index, replay->id, &now, replay->err));
    if (now.kind == HUB_RECORD_MESSAGE) /* the sender was faster */
        return conclude(replay, "duplicate", NULL);
    const struct hub_rules_feed *feed = feed_of(replay);
    if (feed == NULL) {
        (void)hub_fail(&why, HUB_CONFIG, "the configuration has no feed with this letter's feed id any more",
                       "configure the feed again, or resolve the letter");
        return conclude(replay, "rejected", &why);
    }
    if (hub_span_is(hub_json_get_span(hub_json_get(replay->document, "error"), "text"),
                    hub_prepare_oversize)) {
        (void)hub_fail(&why, HUB_TOO_LARGE, "only the beginning of this message was kept",
                       "raise limits.message_bytes and have it sent again");
        return conclude(replay, "rejected", &why);
    }
    HUB_TRY(open_letter(replay));
    return replay->dry ? try_out(replay, feed) : process(replay, feed);
}

/* In an arena of its own: a thousand letters are no more than one. */
static enum hub_result replay_one(struct replay *replay, struct hub_span id)
{
    struct hub_request *request = replay->request;
    struct hub_arena *outer = request->arena;
    struct hub_arena arena;
    hub_arena_init(&arena, hub_rules_config(replay->rules)->limits.message_bytes * ARENA_FACTOR + ARENA_BASE);
    request->arena = &arena;
    replay->arena = &arena;
    replay->id = id;
    enum hub_result result = replay_letter(replay);
    request->arena = outer;
    hub_arena_deinit(&arena);
    return result;
}

/* --- lists of letters --- */

static bool collect(void *ctx, struct hub_span message_id, const struct hub_index_message *index)
{
    struct hub_buf *letters = ctx;
    struct letter letter = {.record = index->record};
    if (index->resolved || message_id.len != HUB_EVENT_ID_LEN)
        return true;
    memcpy(letter.id, message_id.ptr, message_id.len);
    hub_buf_append_span(letters, hub_span_of(&letter, sizeof(letter)));
    return hub_buf_result(letters) == HUB_OK;
}

static int by_record(const void *a, const void *b)
{
    const struct letter *left = a;
    const struct letter *right = b;
    return left->record < right->record ? -1 : left->record > right->record;
}

/* --- feed.remap --- */

struct open_letters {
    struct hub_buf list;
    const struct hub_letter_range *range;
};

static bool collect_open(void *ctx, struct hub_span message_id, const struct hub_index_message *index)
{
    struct open_letters *open = ctx;
    if (index->recorded_us < open->range->since_us || index->recorded_us >= open->range->until_us)
        return true;
    return collect(&open->list, message_id, index);
}

/* Of the letters in the range those of the feed, by its permanent id: it may have had another name then. */
static enum hub_result remap_letter(struct replay *replay, const struct hub_letter_range *range, struct hub_span id)
{
    struct hub_request *request = replay->request;
    struct hub_arena *outer = request->arena;
    struct hub_arena arena;
    hub_arena_init(&arena, hub_rules_config(replay->rules)->limits.message_bytes * ARENA_FACTOR + ARENA_BASE);
    request->arena = &arena;
    replay->arena = &arena;
    replay->id = id;
    enum hub_result result = hub_index_dead_letter(request->hub->index, id, &replay->index, replay->err);
    if (result == HUB_OK)
        result = hub_letter_load(request->hub->log, replay->index.record, &arena, &replay->document, replay->err);
    const struct hub_json *reason = result == HUB_OK ? hub_json_get(replay->document, "error") : NULL;
    /* a part of a message waits for the others, whatever the rules */
    if (result == HUB_OK && hub_span_is(hub_json_get_span(replay->document, "feedid"), range->feed_id) &&
        !hub_span_is(hub_json_get_span(reason, "code"), hub_result_row(HUB_CONTINUED)->metric))
        result = replay_letter(replay);
    request->arena = outer;
    hub_arena_deinit(&arena);
    return result;
}

enum hub_result hub_letters_remap(struct hub_request *request, struct hub_rules *rules, const struct hub_letter_range *range,
                                  struct hub_letter_counts *counts, struct hub_error *err)
{
    struct replay replay = {.request = request, .rules = rules, .err = err, .counts = counts, .dry = range->dry};
    struct open_letters open = {.range = range};
    hub_buf_init(&open.list, SIZE_MAX / 4, false);
    enum hub_result result = hub_index_each_dead_letter(request->hub->index, collect_open, &open, err);
    if (result == HUB_OK)
        result = hub_buf_result(&open.list);
    size_t count = open.list.len / sizeof(struct letter);
    if (result == HUB_OK && count != 0)
        qsort(open.list.ptr, count, sizeof(struct letter), by_record);
    for (size_t i = 0; i < count && result == HUB_OK; i++) {
        struct letter letter;
        memcpy(&letter, open.list.ptr + i * sizeof(letter), sizeof(letter));
        result = remap_letter(&replay, range, hub_span_of(letter.id, HUB_EVENT_ID_LEN));
    }
    hub_buf_deinit(&open.list);
    return result;
}

/* --- deadletter.replay --- */

static enum hub_result replay_all(struct replay *replay)
{
    struct hub_buf letters;
    hub_buf_init(&letters, SIZE_MAX / 4, false);
    enum hub_result result =
        hub_index_each_dead_letter(replay->request->hub->index, collect, &letters, replay->err);
    if (result == HUB_OK)
        result = hub_buf_result(&letters);
    size_t count = letters.len / sizeof(struct letter);
    if (result == HUB_OK && count != 0)
        qsort(letters.ptr, count, sizeof(struct letter), by_record);
    for (size_t i = 0; i < count && result == HUB_OK; i++) {
        struct letter letter;
        memcpy(&letter, letters.ptr + i * sizeof(letter), sizeof(letter));
        result = replay_one(replay, hub_span_of(letter.id, HUB_EVENT_ID_LEN));
    }
    hub_buf_deinit(&letters);
    return result;
}

static enum hub_result no_letter(struct hub_error *err)
{
    return hub_fail(err, HUB_NOT_FOUND, "no dead letter with this id",
                    "`chartline deadletter list` shows them");
}

enum hub_result hub_service_deadletter_replay(struct hub_request *request, struct hub_error *err)
{
    struct replay replay = {.request = request, .err = err};
    struct hub_index_message index;
    struct hub_span id, all;
    HUB_TRY(hub_request_text(request, "all", false, &all, err));
    HUB_TRY(hub_request_text(request, "id", !hub_span_is(all, "true"), &id, err));
    if (id.len != 0) {
        enum hub_result found = id.len == HUB_EVENT_ID_LEN
                                    ? hub_index_dead_letter(request->hub->index, id, &index, err)
                                    : HUB_NOT_FOUND;
        HUB_TRY(found == HUB_NOT_FOUND ? no_letter(err) : found);
    }
    HUB_TRY(hub_rules_with_feeds(request->hub, &replay.rules, err));
    enum hub_result result = id.len != 0 ? replay_one(&replay, id) : replay_all(&replay);
    hub_rules_free(replay.rules);
    return result;
}

/* --- deadletter.resolve --- */

/* An operator's words may name a patient, and an audit entry is for ever: a word of this list stands in the
 * clear, of anything else a keyed hash, by which the words can be recognised and not guessed. */
static void add_reason(struct hub_request *request, struct hub_audit_builder *builder, struct hub_span reason)
{
    static const char *const words[] = {"duplicate", "mended", "not-needed",
                                        "resent",    "test",   "unknown-sender"};
    struct hub_hash_token token;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (hub_span_is(reason, words[i])) {
            hub_audit_text(builder, "reason", words[i]);
            return;
        }
    }
    hub_keys_measure_token(request->hub->keys, "reason", &reason, 1, &token);
    hub_audit_text(builder, "reason", "other");
    hub_audit_text(builder, "reason_hash", token.text);
}

enum hub_result hub_service_deadletter_resolve(struct hub_request *request, struct hub_error *err)
{
    struct hub *hub = request->hub;
    struct hub_audit_builder builder;
    struct hub_index_message index;
    struct hub_span id, reason;
    HUB_TRY(hub_request_text(request, "id", true, &id, err));
    HUB_TRY(hub_request_text(request, "reason", true, &reason, err));
    if (reason.len > REASON_MAX)
        return hub_fail(err, HUB_USAGE, "a reason is up to 127 bytes of text", NULL);
    enum hub_result result =
        id.len == HUB_EVENT_ID_LEN ? hub_index_dead_letter(hub->index, id, &index, err) : HUB_NOT_FOUND;
    HUB_TRY(result == HUB_NOT_FOUND ? no_letter(err) : result);
    if (!index.resolved) {
        char text[HUB_EVENT_ID_LEN + 1];
        memcpy(text, id.ptr, HUB_EVENT_ID_LEN);
        text[HUB_EVENT_ID_LEN] = '\0';
        hub_audit_begin(&builder, HUB_AUDIT_LETTER_RESOLVED, hub_clock_wall_us(hub->clock));
        hub_audit_text(&builder, "who", request->session->peer);
        hub_audit_text(&builder, "message", text);
        add_reason(request, &builder, reason);
        HUB_TRY(hub_note_state(hub, &builder, "deadletter", text, "resolved", err));
    }
    struct hub_json *out = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(request->arena, out, "id", id));
    HUB_TRY(hub_json_set_string(request->arena, out, "state", HUB_SPAN("resolved")));
    return hub_answer_json(request, "deadletter", out);
}
