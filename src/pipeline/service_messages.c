/* message.show, deadletter.show and deadletter.list */
#include "src/pipeline/found.h"

/* --- message.show --- */

static enum hub_result send_events(struct hub_finder *finder, struct hub_span payload)
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

static enum hub_result note_message(struct hub_request *request, const struct hub_found *stored,
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
    struct hub_finder *finder;
    enum hub_result result;
};

static bool send_revision(void *ctx, uint32_t revision, uint64_t record)
{
    struct history *history = ctx;
    struct hub_arena *arena = history->finder->request->arena;
    struct hub_json *line = hub_json_new(arena, HUB_JSON_OBJECT),
                    *events = hub_json_new(arena, HUB_JSON_ARRAY);
    struct hub_stored stored;
    struct hub_span payload;
    enum hub_result result = hub_finder_retired(history->finder, record)
                                 ? HUB_NOT_FOUND
                                 : hub_finder_revision(history->finder, record, &stored, &payload);
    if (result == HUB_NOT_FOUND)
        return true;
    if (result == HUB_OK)
        result = line != NULL && events != NULL && stored.event_count != 0 ? HUB_OK : HUB_NO_MEMORY;
    for (size_t i = 0; result == HUB_OK && i < stored.event_count; i++)
        result = hub_json_push(events, hub_json_string(arena, hub_json_get_span(stored.events[i], "id")));
    if (result == HUB_OK)
        result = hub_json_set_c(line, "revision", hub_json_number_i64(arena, revision));
    if (result == HUB_OK)
        result = hub_found_set_time(arena, line, "recorded", stored.recorded_us);
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

static enum hub_result send_history(struct hub_finder *finder, struct hub_span id)
{
    struct history history = {.finder = finder, .result = HUB_OK};
    struct hub_index_message index;
    HUB_TRY(hub_index_message(finder->request->hub->index, id, &index, finder->err));
    if (index.kind != HUB_RECORD_MESSAGE)
        return HUB_OK;
    (void)send_revision(&history, 0, index.record);
    HUB_TRY(history.result);
    enum hub_result result =
        hub_index_each_revision(finder->request->hub->index, id, send_revision, &history, finder->err);
    return history.result != HUB_OK ? history.result : result;
}

/* There is nothing left to show but that it was there; asking for it is a read like any other. */
static enum hub_result show_retired(struct hub_finder *finder, struct hub_span id, bool dead_letter_only,
                                    bool *retired)
{
    struct hub_request *request = finder->request;
    struct hub_index_message index;
    struct hub_json *message = NULL;
    HUB_TRY(dead_letter_only ? hub_index_dead_letter(request->hub->index, id, &index, finder->err)
                             : hub_index_message(request->hub->index, id, &index, finder->err));
    *retired = hub_finder_retired(finder, index.record);
    if (!*retired)
        return HUB_NOT_FOUND;
    if (dead_letter_only) /* a resolved one: open ones are carried over */
        return hub_fail(finder->err, HUB_NOT_FOUND,
                        "the dead letter was resolved, and its content removed from the event log since",
                        "`chartline deadletter list --json` says when and by which rule");
    HUB_TRY(hub_session_note_read(request, &id, 1, NULL, 0, finder->err));
    HUB_TRY(hub_found_retired(finder, id, &index, &message));
    return hub_answer_json(request, "message", message);
}

static enum hub_result show(struct hub_finder *finder, bool dead_letter_only)
{
    struct hub_request *request = finder->request;
    struct hub_span id;
    struct hub_span payload;
    struct hub_found stored;
    HUB_TRY(hub_request_text(request, "id", true, &id, finder->err));
    enum hub_result result = id.len != HUB_EVENT_ID_LEN ? HUB_NOT_FOUND
                             : dead_letter_only         ? hub_finder_letter(finder, id, &stored, &payload)
                                                        : hub_finder_message(finder, id, &stored, &payload);
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
        return hub_found_nothing(finder->err);
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
    struct hub_finder finder;
    HUB_TRY(hub_finder_open(request, &finder, err));
    enum hub_result result = show(&finder, false);
    hub_finder_close(&finder);
    return result;
}

/* --- dead letters --- */

enum hub_result hub_service_deadletter_show(struct hub_request *request, struct hub_error *err)
{
    struct hub_finder finder;
    HUB_TRY(hub_finder_open(request, &finder, err));
    enum hub_result result = show(&finder, true);
    hub_finder_close(&finder);
    return result;
}

static enum hub_result list_letter(struct hub_finder *finder, struct hub_span message_id,
                                   const struct hub_index_message *index)
{
    struct hub_arena *arena = finder->request->arena;
    struct hub_found stored = {.number = index->record};
    struct hub_span payload;
    struct hub_json *out = NULL;
    enum hub_result result = hub_finder_record(finder, index->record, &stored, &payload);
    bool retired = result == HUB_NOT_FOUND && hub_finder_retired(finder, index->record);
    if (!retired)
        HUB_TRY(result);
    if (finder->feed.len != 0 && (retired || !hub_span_equal(stored.record.feed, finder->feed)))
        return HUB_OK;
    if (retired) { /* resolved, or it would have been carried over */
        HUB_TRY(hub_found_retired(finder, message_id, index, &out));
    } else {
        out = hub_json_new(arena, HUB_JSON_OBJECT);
        HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
        HUB_TRY(hub_found_set_text(arena, out, "id", message_id));
        HUB_TRY(hub_found_set_text(arena, out, "feed", stored.record.feed));
        HUB_TRY(hub_found_set_text(arena, out, "answer", hub_span_str(stored.dedup.answer)));
        HUB_TRY(hub_json_set_string(arena, out, "trigger", hub_json_get_span(stored.dead_letter, "trigger")));
    }
    HUB_TRY(hub_found_set_time(arena, out, "first", index->recorded_us));
    HUB_TRY(hub_found_set_time(arena, out, "last", index->last_us));
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
    struct hub_finder *finder = ctx;
    struct hub_arena *outer = finder->request->arena;
    struct hub_arena arena;
    hub_arena_init(&arena, SIZE_MAX / 4);
    finder->request->arena = &arena;
    finder->result = finder->open_only && index->resolved ? HUB_OK : list_letter(finder, message_id, index);
    finder->request->arena = outer;
    hub_arena_deinit(&arena);
    return finder->result == HUB_OK;
}

/* Reasons, times and counts; no content, so nothing of a patient is read here. */
enum hub_result hub_service_deadletter_list(struct hub_request *request, struct hub_error *err)
{
    struct hub_finder finder;
    struct hub_span feed, state;
    HUB_TRY(hub_request_text(request, "feed", false, &feed, err));
    HUB_TRY(hub_request_text(request, "state", false, &state, err));
    if (state.len != 0 && !hub_span_is(state, "open"))
        return hub_fail(err, HUB_USAGE, "the state is `open`, or not given", NULL);
    HUB_TRY(hub_finder_open(request, &finder, err));
    finder.feed = feed;
    finder.open_only = state.len != 0;
    enum hub_result result = hub_index_each_dead_letter(request->hub->index, each_letter, &finder, err);
    hub_finder_close(&finder);
    return finder.result != HUB_OK ? finder.result : result;
}
