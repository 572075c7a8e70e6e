/* Pausing feeds: an operator's decision, kept in the event log and in force over restarts until it is taken
 * back. */
#include "src/pipeline/session.h"

#include "src/base/diag.h"

static const char component[] = "feed";

static enum hub_result find(struct hub_request *request, size_t *at, struct hub_error *err)
{
    const struct hub_config *config = request->hub->config;
    struct hub_span name;
    HUB_TRY(hub_request_text(request, "feed", true, &name, err));
    for (*at = 0; *at < config->feed_count; ++*at)
        if (hub_span_is(name, config->feeds[*at].name))
            return HUB_OK;
    return hub_fail(err, HUB_NOT_FOUND, "the configuration has no such feed",
                    "`chartline status` lists the feeds");
}

static enum hub_result note(struct hub_request *request, size_t at, bool paused, struct hub_error *err)
{
    struct hub *hub = request->hub;
    const struct hub_feed *feed = &hub->config->feeds[at];
    struct hub_audit_builder builder;
    hub_audit_begin(&builder, paused ? HUB_AUDIT_FEED_PAUSED : HUB_AUDIT_FEED_RESUMED,
                    hub_clock_wall_us(hub->clock));
    hub_audit_text(&builder, "who", request->session->peer);
    hub_audit_text(&builder, "feed", feed->name);
    HUB_TRY(hub_note_state(hub, &builder, "feed", feed->id, paused ? "paused" : "listening", err));
    atomic_store(&hub->ingest.feeds[at].paused, paused);
    if (hub->worker_count != 0)
        HUB_DIAG(HUB_DIAG_NOTICE, component, "changed by an operator",
                 hub_diag_configured("feed", feed->name),
                 hub_diag_configured("state", paused ? "paused" : "listening"));
    return HUB_OK;
}

/* Recorded first: once it was said to be paused, a restart does not listen. */
static enum hub_result pause_feed(struct hub_request *request, size_t at, struct hub_error *err)
{
    if (!atomic_load(&request->hub->ingest.feeds[at].paused))
        HUB_TRY(note(request, at, true, err));
    hub_workers_pause(request->hub, at);
    return HUB_OK;
}

/* It must be able to listen before it counts as resumed. */
static enum hub_result resume_feed(struct hub_request *request, size_t at, struct hub_error *err)
{
    struct hub *hub = request->hub;
    if (!atomic_load(&hub->ingest.feeds[at].paused))
        return HUB_OK;
    enum hub_result result = hub_workers_resume(hub, at, err);
    if (result == HUB_OK)
        result = note(request, at, false, err);
    if (result != HUB_OK)
        hub_workers_pause(hub, at);
    return result;
}

static enum hub_result change(struct hub_request *request, bool pause, struct hub_error *err)
{
    struct hub *hub = request->hub;
    size_t at = 0;
    HUB_TRY(find(request, &at, err));
    (void)pthread_mutex_lock(&hub->feed_lock);
    enum hub_result result = pause ? pause_feed(request, at, err) : resume_feed(request, at, err);
    (void)pthread_mutex_unlock(&hub->feed_lock);
    HUB_TRY(result);
    struct hub_json *out = hub_json_new(request->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(request->arena, out, "name", hub_span_str(hub->config->feeds[at].name)));
    HUB_TRY(hub_json_set_string(request->arena, out, "state",
                                pause ? HUB_SPAN("paused") : HUB_SPAN("listening")));
    return hub_answer_json(request, "feed", out);
}

enum hub_result hub_service_feed_pause(struct hub_request *request, struct hub_error *err)
{
    return change(request, true, err);
}

enum hub_result hub_service_feed_resume(struct hub_request *request, struct hub_error *err)
{
    return change(request, false, err);
}
