/* Messages and dead letters read back from the event log, as answers show them. */
#include "src/pipeline/found.h"

#include <string.h>

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

static bool about_wanted(const struct hub_finder *finder, const struct hub_json *event)
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

static enum hub_result add_event(struct hub_finder *finder, struct hub_found *stored, struct hub_span json)
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
static enum hub_result add_sender(struct hub_finder *finder, struct hub_found *stored, struct hub_span json)
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

static enum hub_result read_sections(struct hub_finder *finder, struct hub_found *stored)
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

enum hub_result hub_found_set_text(struct hub_arena *arena, struct hub_json *object, const char *name,
                                   struct hub_span text)
{
    struct hub_span copy = hub_arena_copy(arena, text);
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, name, copy);
}

enum hub_result hub_found_set_time(struct hub_arena *arena, struct hub_json *object, const char *name,
                                   int64_t us)
{
    char text[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(us, text);
    return hub_found_set_text(arena, object, name, hub_span_str(text));
}

/* A dead letter that was carried over stands in two records for a while: its newer one counts, with the time
 * of its first. */
static enum hub_result place_letter(struct hub_finder *finder, struct hub_found *stored, int64_t *recorded_us)
{
    struct hub_index_message letter;
    enum hub_result result = hub_index_dead_letter(
        finder->request->hub->index, hub_span_str(stored->dedup.message_id), &letter, finder->err);
    if (result != HUB_OK)
        return result == HUB_NOT_FOUND ? HUB_OK : result;
    stored->superseded = letter.record != stored->number;
    *recorded_us = letter.recorded_us;
    stored->matches = stored->matches && *recorded_us >= finder->since_us;
    return HUB_OK;
}

/* --- revisions --- */

enum hub_result hub_finder_revision(struct hub_finder *finder, uint64_t record, struct hub_stored *out,
                                    struct hub_span *payload)
{
    uint64_t number = 0;
    if (finder->newest == NULL)
        HUB_TRY(hub_log_reader_open(finder->request->hub->log, record, &finder->newest, finder->err));
    HUB_TRY(hub_log_reader_seek(finder->newest, record, finder->err));
    HUB_TRY(hub_log_reader_next(finder->newest, &number, payload, finder->err));
    return hub_stored_parse(finder->request->arena, number, *payload, out, finder->err);
}

bool hub_finder_retired(const struct hub_finder *finder, uint64_t record)
{
    return record < hub_log_first(finder->request->hub->log);
}

/* What the message became at last; it is found under what it became first too. */
static enum hub_result take_newest(struct hub_finder *finder, struct hub_found *stored, uint64_t record)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_stored newest;
    HUB_TRY(hub_finder_revision(finder, record, &newest, &stored->newest));
    stored->events = hub_json_new(arena, HUB_JSON_ARRAY);
    stored->subjects = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(stored->events != NULL && stored->subjects != NULL && newest.event_count != 0, HUB_NO_MEMORY);
    for (size_t i = 0; i < newest.content_count; i++) {
        const struct hub_json *event = newest.events[i];
        stored->matches = stored->matches || about_wanted(finder, event);
        HUB_TRY(push_copy(arena, stored->events, hub_json_get_span(event, "id")));
        HUB_TRY(push_copy(arena, stored->subjects, hub_json_get_span(event, "subject")));
    }
    HUB_TRY(hub_json_set_string(arena, stored->message, "mapping",
                                hub_json_get_span(newest.events[0], "mapping")));
    return hub_found_set_time(arena, stored->message, "revised", newest.recorded_us);
}

/* A revision's own record counts where that of the message was retired. */
static enum hub_result place_revision(struct hub_finder *finder, struct hub_found *stored,
                                      int64_t *recorded_us)
{
    struct hub_span id = hub_span_str(stored->dedup.message_id);
    struct hub_index *index = finder->request->hub->index;
    struct hub_index_message message;
    uint32_t revision = 0;
    uint64_t record = 0;
    HUB_TRY(hub_index_revision(index, id, &revision, &record, finder->err));
    HUB_TRY(
        hub_json_set_c(stored->message, "revision", hub_json_number_i64(finder->request->arena, revision)));
    if (stored->record.kind == HUB_RECORD_REVISED) {
        HUB_TRY(hub_index_message(index, id, &message, finder->err));
        stored->superseded = record != stored->number || !hub_finder_retired(finder, message.record);
        *recorded_us = message.recorded_us;
        return hub_found_set_time(finder->request->arena, stored->message, "revised",
                                  stored->record.recorded_us);
    }
    return revision != 0 ? take_newest(finder, stored, record) : HUB_OK;
}

static enum hub_result add_letter(struct hub_finder *finder, struct hub_found *stored)
{
    struct hub_arena *arena = finder->request->arena;
    const struct hub_json *reason = hub_json_get(stored->dead_letter, "error");
    HUB_TRY(hub_json_set_string(arena, stored->message, "trigger",
                                hub_json_get_span(stored->dead_letter, "trigger")));
    return reason != NULL ? hub_json_set_c(stored->message, "reason", hub_json_copy(arena, reason)) : HUB_OK;
}

static enum hub_result finish_message(struct hub_finder *finder, struct hub_found *stored)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_json *message = stored->message;
    struct hub_index_message index;
    bool accepted = stored->record.kind == HUB_RECORD_MESSAGE || stored->record.kind == HUB_RECORD_REVISED;
    int64_t recorded_us = stored->record.recorded_us;
    HUB_TRY(accepted ? place_revision(finder, stored, &recorded_us)
                     : place_letter(finder, stored, &recorded_us));
    if (stored->dead_letter != NULL)
        HUB_TRY(add_letter(finder, stored));
    stored->matches = stored->matches && recorded_us >= finder->since_us && recorded_us < finder->until_us &&
                      (finder->feed.len == 0 || hub_span_equal(stored->record.feed, finder->feed));
    HUB_TRY(hub_found_set_text(arena, message, "id", hub_span_str(stored->dedup.message_id)));
    HUB_TRY(hub_found_set_text(arena, message, "feed", stored->record.feed));
    HUB_TRY(hub_found_set_time(arena, message, "recorded", recorded_us));
    HUB_TRY(hub_found_set_text(arena, message, "answer", hub_span_str(stored->dedup.answer)));
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
enum hub_result hub_finder_parse(struct hub_finder *finder, uint64_t number, struct hub_span payload,
                                 struct hub_found *stored)
{
    struct hub_arena *arena = finder->request->arena;
    *stored = (struct hub_found){.number = number};
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

enum hub_result hub_finder_open(struct hub_request *request, struct hub_finder *finder, struct hub_error *err)
{
    *finder = (struct hub_finder){
        .request = request, .since_us = INT64_MIN, .until_us = INT64_MAX, .result = HUB_OK, .err = err};
    return hub_log_reader_open(request->hub->log, 1, &finder->reader, err);
}

void hub_finder_close(struct hub_finder *finder)
{
    hub_log_reader_close(finder->reader);
    hub_log_reader_close(finder->newest);
}

enum hub_result hub_finder_record(struct hub_finder *finder, uint64_t record, struct hub_found *stored,
                                  struct hub_span *payload)
{
    uint64_t number = 0;
    HUB_TRY(hub_log_reader_seek(finder->reader, record, finder->err));
    HUB_TRY(hub_log_reader_next(finder->reader, &number, payload, finder->err));
    return hub_finder_parse(finder, number, *payload, stored);
}

enum hub_result hub_finder_message(struct hub_finder *finder, struct hub_span message_id,
                                   struct hub_found *stored, struct hub_span *payload)
{
    struct hub_index_message index;
    uint32_t revision = 0;
    uint64_t record = 0;
    HUB_TRY(hub_index_message(finder->request->hub->index, message_id, &index, finder->err));
    if (hub_finder_retired(finder, index.record))
        HUB_TRY(hub_index_revision(finder->request->hub->index, message_id, &revision, &record, finder->err));
    return hub_finder_record(finder, record != 0 ? record : index.record, stored, payload);
}

/* Whatever became of its message. */
enum hub_result hub_finder_letter(struct hub_finder *finder, struct hub_span message_id,
                                  struct hub_found *stored, struct hub_span *payload)
{
    struct hub_index_message index;
    HUB_TRY(hub_index_dead_letter(finder->request->hub->index, message_id, &index, finder->err));
    return hub_finder_record(finder, index.record, stored, payload);
}

/* What the index still knows of a message whose record is gone, and when and by which rule it went. */
enum hub_result hub_found_retired(struct hub_finder *finder, struct hub_span id,
                                  const struct hub_index_message *index, struct hub_json **out)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_log_run run;
    struct hub_json *message = hub_json_new(arena, HUB_JSON_OBJECT);
    struct hub_json *retired = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(message != NULL && retired != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_found_set_text(arena, message, "id", id));
    HUB_TRY(hub_found_set_time(arena, message, "recorded", index->recorded_us));
    HUB_TRY(hub_found_set_text(arena, message, "answer", hub_span_str(index->answer)));
    HUB_TRY(
        hub_json_set_string(arena, message, "state",
                            index->kind == HUB_RECORD_MESSAGE ? HUB_SPAN("accepted") : HUB_SPAN("rejected")));
    HUB_TRY(hub_json_set_c(message, "duplicates", hub_json_number_i64(arena, (int64_t)index->repeats)));
    if (hub_log_retired_by(finder->request->hub->log, index->record, &run)) {
        HUB_TRY(hub_found_set_time(arena, retired, "at", run.at_us));
        HUB_TRY(hub_found_set_text(arena, retired, "rule", hub_span_str(run.rule)));
    }
    HUB_TRY(hub_json_set_c(message, "retired", retired));
    *out = message;
    return HUB_OK;
}

enum hub_result hub_found_nothing(struct hub_error *err)
{
    return hub_fail(err, HUB_NOT_FOUND, "no message with this id", NULL);
}
