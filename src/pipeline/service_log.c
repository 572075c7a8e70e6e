/* The event log as its keeper sees it: what it holds, who follows it, what was removed; snapshots and retention by hand. */
#include "src/codec/encode.h"
#include "src/pipeline/retain.h"
#include "src/pipeline/session.h"

/* A JSON object of numbers, texts and times, member by member; names in bytewise order are the caller's business. */
struct object {
    struct hub_request *request;
    struct hub_json *json;
    enum hub_result result;
};

static struct object begin(struct hub_request *request)
{
    struct object object = {.request = request, .json = hub_json_new(request->arena, HUB_JSON_OBJECT)};
    object.result = object.json != NULL ? HUB_OK : HUB_NO_MEMORY;
    return object;
}

static void add(struct object *object, const char *name, struct hub_json *value)
{
    if (object->result == HUB_OK)
        object->result = value != NULL ? hub_json_set_c(object->json, name, value) : HUB_NO_MEMORY;
}

static void add_number(struct object *object, const char *name, uint64_t value)
{
    add(object, name, hub_json_number_i64(object->request->arena, (int64_t)value));
}

static void add_text(struct object *object, const char *name, const char *text)
{
    struct hub_span copy = hub_arena_copy(object->request->arena, hub_span_str(text));
    add(object, name, copy.ptr != NULL ? hub_json_string(object->request->arena, copy) : NULL);
}

static void add_time(struct object *object, const char *name, int64_t us)
{
    char text[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(us, text);
    add_text(object, name, text);
}

static struct hub_json *snapshot_json(struct hub_request *request, const struct hub_snapshot *snapshot)
{
    char hex[65];
    struct object object = begin(request);
    add_number(&object, "index", snapshot->index);
    add_number(&object, "number", snapshot->number);
    (void)hub_encode(HUB_HEX, hub_span_of(snapshot->state, sizeof(snapshot->state)), hex, sizeof(hex));
    add_text(&object, "state", hex);
    add_time(&object, "taken", snapshot->taken_us);
    add_number(&object, "timeline", snapshot->timeline);
    return object.result == HUB_OK ? object.json : NULL;
}

/* --- log.show --- */

static struct hub_json *followers_json(struct hub_request *request)
{
    struct hub_log_follower followers[HUB_LOG_FOLLOWERS_MAX];
    struct hub_json *list = hub_json_new(request->arena, HUB_JSON_ARRAY);
    size_t count = hub_log_followers(request->hub->log, followers);
    for (size_t i = 0; i < count && list != NULL; i++) {
        struct object object = begin(request);
        add_text(&object, "name", followers[i].name);
        add_number(&object, "position", followers[i].position);
        if (object.result != HUB_OK || hub_json_push(list, object.json) != HUB_OK)
            return NULL;
    }
    return list;
}

static struct hub_json *retired_json(struct hub_request *request)
{
    struct hub_log_retired gone;
    struct hub_log_run run;
    struct object object = begin(request);
    hub_log_retired(request->hub->log, &gone);
    add_number(&object, "bytes", gone.bytes);
    add_number(&object, "entries", gone.entries);
    add_number(&object, "events", gone.events);
    if (gone.records != 0 && hub_log_retired_by(request->hub->log, gone.records, &run)) {
        add_time(&object, "last", run.at_us);
        add_text(&object, "last_rule", run.rule);
    }
    add_number(&object, "messages", gone.messages);
    add_number(&object, "records", gone.records);
    return object.result == HUB_OK ? object.json : NULL;
}

enum hub_result hub_service_log_show(struct hub_request *request, struct hub_error *err)
{
    struct hub *hub = request->hub;
    struct hub_snapshot snapshot;
    struct hub_error none = {0};
    struct object object = begin(request);
    add_number(&object, "bytes", hub_log_bytes(hub->log));
    add_number(&object, "first", hub_log_first(hub->log));
    HUB_TRY(hub_keeper_followers(hub->keeper, err));
    add(&object, "followers", followers_json(request));
    add_number(&object, "last", hub_log_durable(hub->log));
    add(&object, "retired", retired_json(request));
    add_number(&object, "segments", hub_log_extents(hub->log, NULL, 0));
    if (hub_snapshot_newest(hub, &snapshot, &none) == HUB_OK)
        add(&object, "snapshot", snapshot_json(request, &snapshot));
    HUB_TRY(object.result);
    return hub_answer_json(request, "log", object.json);
}

/* --- by hand --- */

enum hub_result hub_service_log_snapshot(struct hub_request *request, struct hub_error *err)
{
    struct hub_snapshot snapshot;
    HUB_TRY(hub_keeper_snapshot(request->hub->keeper, &snapshot, err));
    return hub_answer_json(request, "snapshot", snapshot_json(request, &snapshot));
}

static enum hub_result rules_asked(struct hub_request *request, struct hub_retain_rules *rules, struct hub_error *err)
{
    uint64_t keep_s = 0;
    uint64_t max_bytes = 0;
    HUB_TRY(hub_request_number(request, "keep_s", UINT64_MAX, &keep_s, err));
    HUB_TRY(hub_request_number(request, "max_bytes", UINT64_MAX, &max_bytes, err));
    if (keep_s == UINT64_MAX && max_bytes == UINT64_MAX) {
        hub_retain_rules_now(request->hub, rules);
        if (!rules->by_age && rules->max_bytes == 0)
            return hub_fail(err, HUB_USAGE, "the configuration keeps the event log for ever",
                            "set log.keep or log.max_bytes, or say --keep or --max-bytes");
        return HUB_OK;
    }
    if (max_bytes == 0 || (keep_s != UINT64_MAX && keep_s > UINT32_MAX))
        return hub_fail(err, HUB_USAGE, "keep_s is a number of seconds, max_bytes a size above 0", NULL);
    *rules = (struct hub_retain_rules){.by_age = keep_s != UINT64_MAX,
                                       .keep_s = keep_s != UINT64_MAX ? (uint32_t)keep_s : 0,
                                       .max_bytes = max_bytes != UINT64_MAX ? max_bytes : 0};
    return HUB_OK;
}

enum hub_result hub_service_log_retain(struct hub_request *request, struct hub_error *err)
{
    struct hub_retain_rules rules;
    struct hub_retain_report report;
    HUB_TRY(rules_asked(request, &rules, err));
    HUB_TRY(hub_retain(request->hub->keeper, &rules, request->session->peer, &report, err));
    struct object object = begin(request);
    bool removed = report.before > report.from;
    add_number(&object, "before", report.before);
    add_number(&object, "bytes", report.bytes);
    add_number(&object, "carried", report.carried);
    add_number(&object, "entries", report.entries);
    add_number(&object, "events", report.events);
    add_number(&object, "from", report.from);
    if (report.held_by[0] != '\0')
        add_text(&object, "held_by", report.held_by);
    add_number(&object, "messages", report.messages);
    if (removed)
        add_text(&object, "rule", report.rule);
    HUB_TRY(object.result);
    return hub_answer_json(request, "retained", object.json);
}
