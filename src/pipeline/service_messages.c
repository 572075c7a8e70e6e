#include "src/pipeline/session.h"

#include <string.h>

#include "src/pipeline/intake.h"
#include "src/pipeline/stored.h"

/* A stored message or dead letter, read back from its record in the event log. */
struct stored {
    uint64_t number;
    struct hub_record_view record;
    struct hub_dedup dedup;
    struct hub_json *message; /* the answer's object */
    struct hub_json *events;  /* its lists */
    struct hub_json *subjects;
    struct hub_json *dead_letter; /* NULL: none */
    struct hub_span newest;       /* record of its newest revision, until the next one is read; empty: none */
    bool matches;
    bool superseded; /* the same letter stands in a newer record */
};

struct finder {
    struct hub_request *request;
    struct hub_log_reader *reader;
    struct hub_log_reader *newest; /* of revisions */
    const struct hub_span *wanted; /* tokens; none: any */
    size_t wanted_count;
    struct hub_span feed;
    int64_t since_us, until_us;
    enum hub_result result;
    struct hub_error *err;
};

static bool lists_token(struct hub_span tokens, struct hub_span token)
{
    while (tokens.len != 0) {
        const uint8_t *comma = memchr(tokens.ptr, ',', tokens.len);
        size_t len = comma != NULL ? (size_t)(comma - tokens.ptr) : tokens.len;
        if (hub_span_equal(hub_span_of(tokens.ptr, len), token))
            return true;
        size_t cut = comma != NULL ? len + 1 : len;
        tokens = hub_span_of(tokens.ptr + cut, tokens.len - cut);
    }
    return false;
}

static bool about_wanted(const struct finder *finder, const struct hub_json *event)
{
    for (size_t i = 0; i < finder->wanted_count; i++) {
        if (hub_span_equal(hub_json_get_span(event, "subject"), finder->wanted[i]) ||
            lists_token(hub_json_get_span(event, "tokens"), finder->wanted[i]))
            return true;
    }
    return finder->wanted_count == 0;
}

static enum hub_result push_copy(struct hub_arena *arena, struct hub_json *list, struct hub_span text)
{
    return hub_json_push(list, hub_json_string(arena, hub_arena_copy(arena, text)));
}

static enum hub_result add_event(struct finder *finder, struct stored *stored, struct hub_span json)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_json *event = NULL;
    HUB_TRY(hub_json_parse(arena, json, &event, finder->err));
    stored->matches = stored->matches || about_wanted(finder, event);
    HUB_TRY(push_copy(arena, stored->events, hub_json_get_span(event, "id")));
    HUB_TRY(push_copy(arena, stored->subjects, hub_json_get_span(event, "subject")));
    if (stored->events->len != 1)
        return HUB_OK;
    HUB_TRY(hub_json_set_string(arena, stored->message, "mapping", hub_json_get_span(event, "mapping")));
    return hub_json_set_string(arena, stored->message, "trigger", hub_json_get_span(event, "trigger"));
}

/* Its own audit entry says who sent it. */
static enum hub_result add_sender(struct finder *finder, struct stored *stored, struct hub_span json)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_json *entry = NULL;
    if (hub_json_get(stored->message, "sender") != NULL)
        return HUB_OK;
    HUB_TRY(hub_json_parse(arena, json, &entry, finder->err));
    struct hub_span sender = hub_json_get_span(entry, "sender");
    return sender.len != 0 && hub_span_is(hub_json_get_span(entry, "message"), stored->dedup.message_id)
               ? hub_json_set_string(arena, stored->message, "sender", sender)
               : HUB_OK;
}

static enum hub_result read_sections(struct finder *finder, struct stored *stored)
{
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    while ((result = hub_record_next(&stored->record, &kind, &bytes)) == HUB_OK) {
        switch (kind) {
        case HUB_SECTION_EVENT:
            HUB_TRY(add_event(finder, stored, bytes));
            break;
        case HUB_SECTION_DEDUP:
            HUB_TRY(hub_record_dedup(bytes, &stored->dedup));
            break;
        case HUB_SECTION_DEAD_LETTER:
            HUB_TRY(hub_json_parse(finder->request->arena, bytes, &stored->dead_letter, finder->err));
            break;
        case HUB_SECTION_AUDIT:
            HUB_TRY(add_sender(finder, stored, bytes));
            break;
        case HUB_SECTION_KEY:
        case HUB_SECTION_STATE:
        case HUB_SECTION_EVENT_HASH:
            break;
        }
    }
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result set_text(struct hub_arena *arena, struct hub_json *object, const char *name,
                                struct hub_span text)
{
    struct hub_span copy = hub_arena_copy(arena, text);
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, name, copy);
}

static enum hub_result set_time(struct hub_arena *arena, struct hub_json *object, const char *name,
                                int64_t us)
{
    char text[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(us, text);
    return set_text(arena, object, name, hub_span_str(text));
}

/* A dead letter that was carried over stands in two records for a while: its newer one counts, with the time of its first. */
static enum hub_result place_letter(struct finder *finder, struct stored *stored, int64_t *recorded_us)
{
    struct hub_index_message letter;
    enum hub_result result = hub_index_dead_letter(finder->request->hub->index, hub_span_str(stored->dedup.message_id),
                                                   &letter, finder->err);
    if (result != HUB_OK)
        return result == HUB_NOT_FOUND ? HUB_OK : result;
    stored->superseded = letter.record != stored->number;
    *recorded_us = letter.recorded_us;
    stored->matches = stored->matches && *recorded_us >= finder->since_us;
    return HUB_OK;
}

/* --- revisions --- */

static enum hub_result read_revision(struct finder *finder, uint64_t record, struct hub_stored *out, struct hub_span *payload)
{
    uint64_t number = 0;
    if (finder->newest == NULL)
        HUB_TRY(hub_log_reader_open(finder->request->hub->log, record, &finder->newest, finder->err));
    HUB_TRY(hub_log_reader_seek(finder->newest, record, finder->err));
    HUB_TRY(hub_log_reader_next(finder->newest, &number, payload, finder->err));
    return hub_stored_parse(finder->request->arena, number, *payload, out, finder->err);
}

static bool is_retired(const struct finder *finder, uint64_t record)
{
    return record < hub_log_first(finder->request->hub->log);
}

/* What the message became at last; it is found under what it became first too. */
static enum hub_result take_newest(struct finder *finder, struct stored *stored, uint64_t record)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_stored newest;
    HUB_TRY(read_revision(finder, record, &newest, &stored->newest));
    stored->events = hub_json_new(arena, HUB_JSON_ARRAY);
    stored->subjects = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(stored->events != NULL && stored->subjects != NULL && newest.event_count != 0, HUB_NO_MEMORY);
    for (size_t i = 0; i < newest.content_count; i++) {
        const struct hub_json *event = newest.events[i];
        stored->matches = stored->matches || about_wanted(finder, event);
        HUB_TRY(push_copy(arena, stored->events, hub_json_get_span(event, "id")));
        HUB_TRY(push_copy(arena, stored->subjects, hub_json_get_span(event, "subject")));
    }
    HUB_TRY(hub_json_set_string(arena, stored->message, "mapping", hub_json_get_span(newest.events[0], "mapping")));
    return set_time(arena, stored->message, "revised", newest.recorded_us);
}

/* A revision's own record counts where that of the message was retired. */
static enum hub_result place_revision(struct finder *finder, struct stored *stored, int64_t *recorded_us)
{
    struct hub_span id = hub_span_str(stored->dedup.message_id);
    struct hub_index *index = finder->request->hub->index;
    struct hub_index_message message;
    uint32_t revision = 0;
    uint64_t record = 0;
    HUB_TRY(hub_index_revision(index, id, &revision, &record, finder->err));
    HUB_TRY(hub_json_set_c(stored->message, "revision", hub_json_number_i64(finder->request->arena, revision)));
    if (stored->record.kind == HUB_RECORD_REVISED) {
        HUB_TRY(hub_index_message(index, id, &message, finder->err));
        stored->superseded = record != stored->number || !is_retired(finder, message.record);
        *recorded_us = message.recorded_us;
        return set_time(finder->request->arena, stored->message, "revised", stored->record.recorded_us);
    }
    return revision != 0 ? take_newest(finder, stored, record) : HUB_OK;
}

static enum hub_result add_letter(struct finder *finder, struct stored *stored)
{
    struct hub_arena *arena = finder->request->arena;
    const struct hub_json *reason = hub_json_get(stored->dead_letter, "error");
    HUB_TRY(hub_json_set_string(arena, stored->message, "trigger", hub_json_get_span(stored->dead_letter, "trigger")));
    return reason != NULL ? hub_json_set_c(stored->message, "reason", hub_json_copy(arena, reason)) : HUB_OK;
}

static enum hub_result finish_message(struct finder *finder, struct stored *stored)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_json *message = stored->message;
    struct hub_index_message index;
    bool accepted = stored->record.kind == HUB_RECORD_MESSAGE || stored->record.kind == HUB_RECORD_REVISED;
    int64_t recorded_us = stored->record.recorded_us;
    HUB_TRY(accepted ? place_revision(finder, stored, &recorded_us) : place_letter(finder, stored, &recorded_us));
    if (stored->dead_letter != NULL)
        HUB_TRY(add_letter(finder, stored));
    stored->matches = stored->matches && recorded_us >= finder->since_us && recorded_us < finder->until_us &&
                      (finder->feed.len == 0 || hub_span_equal(stored->record.feed, finder->feed));
    HUB_TRY(set_text(arena, message, "id", hub_span_str(stored->dedup.message_id)));
    HUB_TRY(set_text(arena, message, "feed", stored->record.feed));
    HUB_TRY(set_time(arena, message, "recorded", recorded_us));
    HUB_TRY(set_text(arena, message, "answer", hub_span_str(stored->dedup.answer)));
    HUB_TRY(
        hub_json_set_string(arena, message, "state", accepted ? HUB_SPAN("accepted") : HUB_SPAN("rejected")));
    HUB_TRY(hub_json_set_c(message, "events", stored->events));
    HUB_TRY(hub_json_set_c(message, "subjects", stored->subjects));
    enum hub_result result = hub_index_message(finder->request->hub->index,
                                               hub_span_str(stored->dedup.message_id), &index, finder->err);
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    return hub_json_set_c(message, "duplicates",
                          hub_json_number_i64(arena, result == HUB_OK ? (int64_t)index.repeats : 0));
}

/* Of records that are no message, STORED->message stays NULL. */
static enum hub_result parse_stored(struct finder *finder, uint64_t number, struct hub_span payload,
                                    struct stored *stored)
{
    struct hub_arena *arena = finder->request->arena;
    *stored = (struct stored){.number = number};
    HUB_TRY(hub_record_parse(payload, &stored->record));
    if (stored->record.kind != HUB_RECORD_MESSAGE && stored->record.kind != HUB_RECORD_REJECTED &&
        stored->record.kind != HUB_RECORD_CARRIED && stored->record.kind != HUB_RECORD_REVISED)
        return HUB_OK;
    stored->message = hub_json_new(arena, HUB_JSON_OBJECT);
    stored->events = hub_json_new(arena, HUB_JSON_ARRAY);
    stored->subjects = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(stored->message != NULL && stored->events != NULL && stored->subjects != NULL, HUB_NO_MEMORY);
    HUB_TRY(read_sections(finder, stored));
    stored->matches = stored->matches || finder->wanted_count == 0;
    return finish_message(finder, stored);
}

static enum hub_result open_finder(struct hub_request *request, struct finder *finder, struct hub_error *err)
{
    *finder = (struct finder){.request = request, .since_us = INT64_MIN, .until_us = INT64_MAX, .result = HUB_OK, .err = err};
    return hub_log_reader_open(request->hub->log, 1, &finder->reader, err);
}

static void close_finder(struct finder *finder)
{
    hub_log_reader_close(finder->reader);
    hub_log_reader_close(finder->newest);
}

static enum hub_result load_record(struct finder *finder, uint64_t record, struct stored *stored,
                                   struct hub_span *payload)
{
    uint64_t number = 0;
    HUB_TRY(hub_log_reader_seek(finder->reader, record, finder->err));
    HUB_TRY(hub_log_reader_next(finder->reader, &number, payload, finder->err));
    return parse_stored(finder, number, *payload, stored);
}

static enum hub_result load(struct finder *finder, struct hub_span message_id, struct stored *stored,
                            struct hub_span *payload)
{
    struct hub_index_message index;
    uint32_t revision = 0;
    uint64_t record = 0;
    HUB_TRY(hub_index_message(finder->request->hub->index, message_id, &index, finder->err));
    if (is_retired(finder, index.record))
        HUB_TRY(hub_index_revision(finder->request->hub->index, message_id, &revision, &record, finder->err));
    return load_record(finder, record != 0 ? record : index.record, stored, payload);
}

/* Whatever became of its message. */
static enum hub_result load_letter(struct finder *finder, struct hub_span message_id, struct stored *stored,
                                   struct hub_span *payload)
{
    struct hub_index_message index;
    HUB_TRY(hub_index_dead_letter(finder->request->hub->index, message_id, &index, finder->err));
    return load_record(finder, index.record, stored, payload);
}

/* What the index still knows of a message whose record is gone, and when and by which rule it went. */
static enum hub_result retired_message(struct finder *finder, struct hub_span id, const struct hub_index_message *index,
                                       struct hub_json **out)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_log_run run;
    struct hub_json *message = hub_json_new(arena, HUB_JSON_OBJECT);
    struct hub_json *retired = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(message != NULL && retired != NULL, HUB_NO_MEMORY);
    HUB_TRY(set_text(arena, message, "id", id));
    HUB_TRY(set_time(arena, message, "recorded", index->recorded_us));
    HUB_TRY(set_text(arena, message, "answer", hub_span_str(index->answer)));
    HUB_TRY(hub_json_set_string(arena, message, "state",
                                index->kind == HUB_RECORD_MESSAGE ? HUB_SPAN("accepted") : HUB_SPAN("rejected")));
    HUB_TRY(hub_json_set_c(message, "duplicates", hub_json_number_i64(arena, (int64_t)index->repeats)));
    if (hub_log_retired_by(finder->request->hub->log, index->record, &run)) {
        HUB_TRY(set_time(arena, retired, "at", run.at_us));
        HUB_TRY(set_text(arena, retired, "rule", hub_span_str(run.rule)));
    }
    HUB_TRY(hub_json_set_c(message, "retired", retired));
    *out = message;
    return HUB_OK;
}

static enum hub_result no_message(struct hub_error *err)
{
    return hub_fail(err, HUB_NOT_FOUND, "no message with this id", NULL);
}

/* --- message.find --- */

static bool send_found(void *ctx, struct hub_span message_id)
{
    struct finder *finder = ctx;
    struct hub_index_message index;
    struct stored stored;
    struct hub_span payload;
    finder->result = load(finder, message_id, &stored, &payload);
    if (finder->result == HUB_NOT_FOUND &&
        hub_index_message(finder->request->hub->index, message_id, &index, finder->err) == HUB_OK &&
        is_retired(finder, index.record)) {
        stored = (struct stored){.number = index.record, .matches = finder->wanted_count == 0 && finder->feed.len == 0};
        finder->result = retired_message(finder, message_id, &index, &stored.message);
    }
    if (finder->result == HUB_NOT_FOUND) /* in the index a moment before its record is durable */
        finder->result = HUB_OK;
    else if (finder->result == HUB_OK && stored.message != NULL && stored.matches)
        finder->result = hub_answer_json(finder->request, "message", stored.message);
    return finder->result == HUB_OK;
}

/* A control id belongs to its sender, and the configuration knows all of them: it is looked for as if each
 * had sent it. */
static enum hub_result find_control_of(struct finder *finder, const struct hub_feed *feed, const char *sender,
                                       struct hub_span control_id)
{
    struct hub *hub = finder->request->hub;
    struct hub_hash_token token;
    hub_ingest_control_token(hub->keys, hub_span_str(feed->id), hub_span_str(sender), control_id, &token);
    HUB_TRY(hub_index_each_control(hub->index, hub_span_str(token.text), send_found, finder, finder->err));
    return finder->result;
}

static enum hub_result find_control(struct finder *finder, struct hub_span control_id)
{
    struct hub_rules *rules = hub_rules_now(finder->request->hub);
    const struct hub_config *config = hub_rules_config(rules);
    enum hub_result result = HUB_OK;
    for (size_t i = 0; i < config->feed_count && result == HUB_OK; i++) {
        const struct hub_feed *feed = &config->feeds[i];
        result = find_control_of(finder, feed, "", control_id);
        for (size_t k = 0; k < feed->tls.allow_count && result == HUB_OK; k++)
            result = find_control_of(finder, feed, feed->tls.allow[k], control_id);
    }
    hub_rules_free(rules);
    return result;
}

/* Everything else looks through the log: there is no index by patient, feed or time that could give patients
 * away. */
static enum hub_result scan(struct finder *finder)
{
    struct hub_request *request = finder->request;
    struct hub_arena *outer = request->arena;
    struct hub_arena arena;
    struct hub_record_view view;
    struct hub_span payload;
    uint64_t number = 0;
    enum hub_result result = HUB_OK;
    hub_arena_init(&arena, SIZE_MAX / 4);
    request->arena = &arena;
    while (result == HUB_OK) {
        struct stored stored;
        hub_arena_reset(&arena);
        result = hub_log_reader_next(finder->reader, &number, &payload, finder->err);
        if (result == HUB_NOT_FOUND) { /* retired, or retired meanwhile: on from where the log starts now */
            result = hub_log_reader_seek(finder->reader, hub_log_first(request->hub->log), finder->err);
            continue;
        }
        if (result == HUB_OK)
            result = hub_record_parse(payload, &view);
        /* what a record says of the past was recorded then or later */
        if (result != HUB_OK || view.recorded_us < finder->since_us ||
            (finder->feed.len != 0 && !hub_span_equal(view.feed, finder->feed)))
            continue;
        result = parse_stored(finder, number, payload, &stored);
        if (result == HUB_OK && stored.message != NULL && stored.matches && !stored.superseded)
            result = hub_answer_json(request, "message", stored.message);
    }
    request->arena = outer;
    hub_arena_deinit(&arena);
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result find_patient(struct finder *finder, struct hub_span text)
{
    struct hub_request *request = finder->request;
    struct hub_token token;
    struct hub_chart chart;
    HUB_TRY(hub_session_patient(request, text, &token, finder->err));
    HUB_TRY(hub_session_catch_up(request, finder->err));
    struct hub_span *own = HUB_ARENA_ARRAY(request->arena, struct hub_span, 1);
    HUB_ENSURE(own != NULL, HUB_NO_MEMORY);
    own[0] = hub_arena_copy(request->arena, hub_span_str(token.text));
    enum hub_result result =
        hub_timelines_chart(request->hub->timelines, request->arena, own[0], &chart, finder->err);
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    finder->wanted = result == HUB_OK ? chart.tokens : own;
    finder->wanted_count = result == HUB_OK ? chart.token_count : 1;
    return hub_session_note_read(request, finder->wanted, finder->wanted_count, NULL, 0, finder->err);
}

static enum hub_result time_of(struct finder *finder, const char *name, struct hub_span text, int64_t *us)
{
    if (text.len == 0 || hub_time_parse((const char *)text.ptr, text.len, us) == 0)
        return HUB_OK;
    (void)hub_fail(finder->err, HUB_USAGE, "a time such as 2026-11-23T08:00:00Z", NULL);
    return hub_error_at(finder->err, "%s", name);
}

static enum hub_result find(struct finder *finder)
{
    struct hub_request *request = finder->request;
    struct hub_span control_id, patient, since, until;
    HUB_TRY(hub_request_text(request, "control_id", false, &control_id, finder->err));
    HUB_TRY(hub_request_text(request, "patient", false, &patient, finder->err));
    HUB_TRY(hub_request_text(request, "feed", false, &finder->feed, finder->err));
    HUB_TRY(hub_request_text(request, "since", false, &since, finder->err));
    HUB_TRY(hub_request_text(request, "until", false, &until, finder->err));
    HUB_TRY(time_of(finder, "since", since, &finder->since_us));
    HUB_TRY(time_of(finder, "until", until, &finder->until_us));
    if (control_id.len + patient.len + finder->feed.len + since.len + until.len == 0)
        return hub_fail(finder->err, HUB_USAGE, "name a control id, a patient, a feed or a time", NULL);
    HUB_TRY(patient.len != 0 ? find_patient(finder, patient)
                             : hub_session_note_read(request, NULL, 0, NULL, 0, finder->err));
    return control_id.len != 0 ? find_control(finder, control_id) : scan(finder);
}

enum hub_result hub_service_message_find(struct hub_request *request, struct hub_error *err)
{
    struct finder finder;
    HUB_TRY(open_finder(request, &finder, err));
    enum hub_result result = find(&finder);
    close_finder(&finder);
    return result;
}

/* --- message.show --- */

static enum hub_result send_events(struct finder *finder, struct hub_span payload)
{
    struct hub_record_view view;
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    HUB_TRY(hub_record_parse(payload, &view));
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        if (kind == HUB_SECTION_EVENT)
            HUB_TRY(hub_answer_raw(finder->request, "event", bytes));
        if (kind == HUB_SECTION_DEAD_LETTER)
            HUB_TRY(hub_answer_raw(finder->request, "deadletter", bytes));
    }
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result note_message(struct hub_request *request, const struct stored *stored,
                                    struct hub_error *err)
{
    struct hub_span *tokens = HUB_ARENA_ARRAY(request->arena, struct hub_span, stored->subjects->len + 1);
    size_t count = 0;
    HUB_ENSURE(tokens != NULL, HUB_NO_MEMORY);
    for (const struct hub_json *subject = stored->subjects->first; subject != NULL; subject = subject->next)
        tokens[count++] = hub_json_span(subject);
    if (count == 0) /* a dead letter: its id stands for it */
        tokens[count++] = hub_span_str(stored->dedup.message_id);
    return hub_session_note_read(request, tokens, count, NULL, 0, err);
}

/* A line for each mapping of an accepted message, the first one too if the log still has it. */
struct history {
    struct finder *finder;
    enum hub_result result;
};

static bool send_revision(void *ctx, uint32_t revision, uint64_t record)
{
    struct history *history = ctx;
    struct hub_arena *arena = history->finder->request->arena;
    struct hub_json *line = hub_json_new(arena, HUB_JSON_OBJECT), *events = hub_json_new(arena, HUB_JSON_ARRAY);
    struct hub_stored stored;
    struct hub_span payload;
    enum hub_result result = is_retired(history->finder, record) ? HUB_NOT_FOUND
                                                                  : read_revision(history->finder, record, &stored, &payload);
    if (result == HUB_NOT_FOUND)
        return true;
    if (result == HUB_OK)
        result = line != NULL && events != NULL && stored.event_count != 0 ? HUB_OK : HUB_NO_MEMORY;
    for (size_t i = 0; result == HUB_OK && i < stored.event_count; i++)
        result = hub_json_push(events, hub_json_string(arena, hub_json_get_span(stored.events[i], "id")));
    if (result == HUB_OK)
        result = hub_json_set_c(line, "revision", hub_json_number_i64(arena, revision));
    if (result == HUB_OK)
        result = set_time(arena, line, "recorded", stored.recorded_us);
    if (result == HUB_OK)
        result = hub_json_set_string(arena, line, "mapping", hub_json_get_span(stored.events[0], "mapping"));
    if (result == HUB_OK && stored.who.len != 0)
        result = hub_json_set_string(arena, line, "who", stored.who);
    if (result == HUB_OK)
        result = hub_json_set_c(line, "events", events);
    if (result == HUB_OK)
        result = hub_answer_json(history->finder->request, "revision", line);
    history->result = result;
    return result == HUB_OK;
}

static enum hub_result send_history(struct finder *finder, struct hub_span id)
{
    struct history history = {.finder = finder, .result = HUB_OK};
    struct hub_index_message index;
    HUB_TRY(hub_index_message(finder->request->hub->index, id, &index, finder->err));
    if (index.kind != HUB_RECORD_MESSAGE)
        return HUB_OK;
    (void)send_revision(&history, 0, index.record);
    HUB_TRY(history.result);
    enum hub_result result = hub_index_each_revision(finder->request->hub->index, id, send_revision, &history, finder->err);
    return history.result != HUB_OK ? history.result : result;
}

/* There is nothing left to show but that it was there; asking for it is a read like any other. */
static enum hub_result show_retired(struct finder *finder, struct hub_span id, bool dead_letter_only, bool *retired)
{
    struct hub_request *request = finder->request;
    struct hub_index_message index;
    struct hub_json *message = NULL;
    HUB_TRY(dead_letter_only ? hub_index_dead_letter(request->hub->index, id, &index, finder->err)
                             : hub_index_message(request->hub->index, id, &index, finder->err));
    *retired = is_retired(finder, index.record);
    if (!*retired)
        return HUB_NOT_FOUND;
    if (dead_letter_only) /* a resolved one: open ones are carried over */
        return hub_fail(finder->err, HUB_NOT_FOUND,
                        "the dead letter was resolved, and its content removed from the event log since",
                        "`chartline deadletter list --json` says when and by which rule");
    HUB_TRY(hub_session_note_read(request, &id, 1, NULL, 0, finder->err));
    HUB_TRY(retired_message(finder, id, &index, &message));
    return hub_answer_json(request, "message", message);
}

static enum hub_result show(struct finder *finder, bool dead_letter_only)
{
    struct hub_request *request = finder->request;
    struct hub_span id;
    struct hub_span payload;
    struct stored stored;
    HUB_TRY(hub_request_text(request, "id", true, &id, finder->err));
    enum hub_result result = id.len != HUB_EVENT_ID_LEN ? HUB_NOT_FOUND
                             : dead_letter_only         ? load_letter(finder, id, &stored, &payload)
                                                        : load(finder, id, &stored, &payload);
    if (result == HUB_NOT_FOUND && id.len == HUB_EVENT_ID_LEN) {
        bool retired = false;
        result = show_retired(finder, id, dead_letter_only, &retired);
        if (retired)
            return result;
    }
    if (dead_letter_only && result == HUB_NOT_FOUND)
        return hub_fail(finder->err, HUB_NOT_FOUND, "no dead letter with this id",
                        "`chartline deadletter list` shows them");
    if (result == HUB_NOT_FOUND || (result == HUB_OK && stored.message == NULL))
        return no_message(finder->err);
    HUB_TRY(result);
    if (dead_letter_only && stored.dead_letter == NULL)
        return hub_fail(finder->err, HUB_NOT_FOUND, "no dead letter with this id",
                        "`chartline deadletter list` shows them");
    HUB_TRY(note_message(request, &stored, finder->err));
    if (!dead_letter_only)
        HUB_TRY(hub_answer_json(request, "message", stored.message));
    HUB_TRY(send_events(finder, stored.newest.len != 0 ? stored.newest : payload));
    return dead_letter_only ? HUB_OK : send_history(finder, id);
}

enum hub_result hub_service_message_show(struct hub_request *request, struct hub_error *err)
{
    struct finder finder;
    HUB_TRY(open_finder(request, &finder, err));
    enum hub_result result = show(&finder, false);
    close_finder(&finder);
    return result;
}

/* --- dead letters --- */

enum hub_result hub_service_deadletter_show(struct hub_request *request, struct hub_error *err)
{
    struct finder finder;
    HUB_TRY(open_finder(request, &finder, err));
    enum hub_result result = show(&finder, true);
    close_finder(&finder);
    return result;
}

static enum hub_result list_letter(struct finder *finder, struct hub_span message_id,
                                   const struct hub_index_message *index)
{
    struct hub_arena *arena = finder->request->arena;
    struct stored stored = {.number = index->record};
    struct hub_span payload;
    struct hub_json *out = NULL;
    enum hub_result result = load_record(finder, index->record, &stored, &payload);
    bool retired = result == HUB_NOT_FOUND && is_retired(finder, index->record);
    if (!retired)
        HUB_TRY(result);
    if (retired) { /* resolved, or it would have been carried over */
        HUB_TRY(retired_message(finder, message_id, index, &out));
    } else {
        out = hub_json_new(arena, HUB_JSON_OBJECT);
        HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
        HUB_TRY(set_text(arena, out, "id", message_id));
        HUB_TRY(set_text(arena, out, "feed", stored.record.feed));
        HUB_TRY(set_text(arena, out, "answer", hub_span_str(stored.dedup.answer)));
        HUB_TRY(hub_json_set_string(arena, out, "trigger", hub_json_get_span(stored.dead_letter, "trigger")));
    }
    HUB_TRY(set_time(arena, out, "first", index->recorded_us));
    HUB_TRY(set_time(arena, out, "last", index->last_us));
    HUB_TRY(hub_json_set_c(out, "count", hub_json_number_i64(arena, (int64_t)index->repeats + 1)));
    const struct hub_json *reason = hub_json_get(stored.dead_letter, "error");
    if (reason != NULL)
        HUB_TRY(hub_json_set_c(out, "reason", hub_json_copy(arena, reason)));
    HUB_TRY(
        hub_json_set_string(arena, out, "state", index->resolved ? HUB_SPAN("resolved") : HUB_SPAN("open")));
    return hub_answer_json(finder->request, "deadletter", out);
}

static bool each_letter(void *ctx, struct hub_span message_id, const struct hub_index_message *index)
{
    struct finder *finder = ctx;
    struct hub_arena *outer = finder->request->arena;
    struct hub_arena arena;
    hub_arena_init(&arena, SIZE_MAX / 4);
    finder->request->arena = &arena;
    finder->result = list_letter(finder, message_id, index);
    finder->request->arena = outer;
    hub_arena_deinit(&arena);
    return finder->result == HUB_OK;
}

/* Reasons, times and counts; no content, so nothing of a patient is read here. */
enum hub_result hub_service_deadletter_list(struct hub_request *request, struct hub_error *err)
{
    struct finder finder;
    HUB_TRY(open_finder(request, &finder, err));
    enum hub_result result = hub_index_each_dead_letter(request->hub->index, each_letter, &finder, err);
    close_finder(&finder);
    return finder.result != HUB_OK ? finder.result : result;
}
