/* message.find */
#include "src/pipeline/found.h"

#include "src/pipeline/intake.h"
#include "src/pipeline/log_since.h"

static bool send_found(void *ctx, struct hub_span message_id)
{
    struct hub_finder *finder = ctx;
    struct hub_index_message index;
    struct hub_found stored;
    struct hub_span payload;
    finder->result = hub_finder_message(finder, message_id, &stored, &payload);
    if (finder->result == HUB_NOT_FOUND &&
        hub_index_message(finder->request->hub->index, message_id, &index, finder->err) == HUB_OK &&
        hub_finder_retired(finder, index.record)) {
        stored = (struct hub_found){.number = index.record,
                                    .matches = finder->wanted_count == 0 && finder->feed.len == 0};
        finder->result = hub_found_retired(finder, message_id, &index, &stored.message);
    }
    if (finder->result == HUB_NOT_FOUND) /* in the index a moment before its record is durable */
        finder->result = HUB_OK;
    else if (finder->result == HUB_OK && stored.message != NULL && stored.matches)
        finder->result = hub_answer_json(finder->request, "message", stored.message);
    return finder->result == HUB_OK;
}

/* A control id belongs to its sender, and the configuration knows all of them: it is looked for as if each
 * had sent it. */
static enum hub_result find_control_of(struct hub_finder *finder, const struct hub_feed *feed,
                                       const char *sender, struct hub_span control_id)
{
    struct hub *hub = finder->request->hub;
    struct hub_hash_token token;
    hub_ingest_control_token(hub->keys, hub_span_str(feed->id), hub_span_str(sender), control_id, &token);
    HUB_TRY(hub_index_each_control(hub->index, hub_span_str(token.text), send_found, finder, finder->err));
    return finder->result;
}

static enum hub_result find_control(struct hub_finder *finder, struct hub_span control_id)
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
static enum hub_result scan(struct hub_finder *finder)
{
    struct hub_request *request = finder->request;
    struct hub_arena *outer = request->arena;
    struct hub_arena arena;
    struct hub_record_view view;
    struct hub_span payload;
    uint64_t number = 0;
    enum hub_result result = HUB_OK;
    HUB_TRY(hub_log_since(request->hub->log, finder->reader, finder->since_us, &number, finder->err));
    hub_arena_init(&arena, SIZE_MAX / 4);
    request->arena = &arena;
    while (result == HUB_OK) {
        struct hub_found stored;
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
        result = hub_finder_parse(finder, number, payload, &stored);
        if (result == HUB_OK && stored.message != NULL && stored.matches && !stored.superseded)
            result = hub_answer_json(request, "message", stored.message);
    }
    request->arena = outer;
    hub_arena_deinit(&arena);
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result find_patient(struct hub_finder *finder, struct hub_span text)
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

static enum hub_result time_of(struct hub_finder *finder, const char *name, struct hub_span text, int64_t *us)
{
    if (text.len == 0 || hub_time_parse((const char *)text.ptr, text.len, us) == 0)
        return HUB_OK;
    (void)hub_fail(finder->err, HUB_USAGE, "a time such as 2026-11-23T08:00:00Z", NULL);
    return hub_error_at(finder->err, "%s", name);
}

static enum hub_result find(struct hub_finder *finder)
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
    struct hub_finder finder;
    HUB_TRY(hub_finder_open(request, &finder, err));
    enum hub_result result = find(&finder);
    hub_finder_close(&finder);
    return result;
}
