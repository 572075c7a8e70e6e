#include "src/pipeline/session.h"

#include <string.h>

enum { FOLLOW_WAIT_MS = 1000, CHART_ARENA = 1024 * 1024 * 1024 };

static enum hub_result chart_of(struct hub_request *request, struct hub_span token, struct hub_chart *chart,
                                struct hub_error *err)
{
    enum hub_result result = hub_timelines_chart(request->hub->timelines, request->arena, token, chart, err);
    return result == HUB_NOT_FOUND ? hub_fail(err, HUB_NOT_FOUND, "no such patient", NULL) : result;
}

/* The patient asked for, and an audit entry for it: also for one that is not known here, that was a read too.
 */
static enum hub_result resolve(struct hub_request *request, struct hub_span text, struct hub_chart *chart,
                               struct hub_error *err)
{
    struct hub_token token;
    HUB_TRY(hub_session_patient(request, text, &token, err));
    HUB_TRY(hub_session_catch_up(request, err));
    struct hub_span asked = hub_arena_copy(request->arena, hub_span_str(token.text));
    HUB_ENSURE(asked.ptr != NULL, HUB_NO_MEMORY);
    enum hub_result found = chart_of(request, asked, chart, err);
    if (found == HUB_OK)
        return hub_session_note_read(request, chart->tokens, chart->token_count, NULL, 0, err);
    if (found != HUB_NOT_FOUND)
        return found;
    struct hub_error other = {0};
    enum hub_result noted = hub_session_note_read(request, &asked, 1, NULL, 0, &other);
    if (noted == HUB_OK)
        return found;
    if (err != NULL)
        *err = other;
    return noted;
}

/* --- patient.find --- */

enum hub_result hub_service_patient_find(struct hub_request *request, struct hub_error *err)
{
    struct hub_span token, system, value;
    struct hub_chart chart;
    HUB_TRY(hub_request_text(request, "token", false, &token, err));
    if (token.len == 0) {
        HUB_TRY(hub_request_text(request, "system", true, &system, err));
        HUB_TRY(hub_request_text(request, "value", true, &value, err));
        char *text = hub_arena_bytes(request->arena, system.len + 1 + value.len);
        HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
        memcpy(text, system.ptr, system.len);
        text[system.len] = '|';
        memcpy(text + system.len + 1, value.ptr, value.len);
        token = hub_span_of(text, system.len + 1 + value.len);
    }
    struct hub_token named;
    HUB_TRY(hub_session_patient(request, token, &named, err));
    HUB_TRY(resolve(request, token, &chart, err));
    struct hub_json *patient = hub_chart_json(request->arena, &chart);
    HUB_ENSURE(patient != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(request->arena, patient, "token", hub_span_str(named.text)));
    return hub_answer_json(request, "patient", patient);
}

/* --- timeline.list --- */

struct list {
    struct hub_request *request;
    struct hub_arena *arena; /* of one chart */
    enum hub_result result;
};

static bool list_one(void *ctx, const struct hub_chart *chart)
{
    struct list *list = ctx;
    if (chart->entry_count == 0) /* a number that was only named beside others: nothing is known under it */
        return true;
    list->result = hub_answer_json(list->request, "chart", hub_chart_json(list->arena, chart));
    hub_arena_reset(list->arena);
    return list->result == HUB_OK;
}

enum hub_result hub_service_timeline_list(struct hub_request *request, struct hub_error *err)
{
    struct hub_arena arena;
    struct list list = {.request = request, .arena = &arena, .result = HUB_OK};
    HUB_TRY(hub_session_catch_up(request, err));
    HUB_TRY(hub_session_note_read(request, NULL, 0, NULL, 0, err));
    hub_arena_init(&arena, CHART_ARENA);
    enum hub_result result = hub_timelines_each_chart(request->hub->timelines, list_one, &list, err);
    hub_arena_deinit(&arena);
    return list.result != HUB_OK ? list.result : result;
}

/* --- timeline.chart and timeline.follow --- */

struct entries {
    struct hub_request *request;
    char after[HUB_TIME_TEXT_LEN + 1]; /* only what was recorded later; "" = all */
    char newest[HUB_TIME_TEXT_LEN + 1];
    enum hub_result result;
};

/* An entry record is canonical JSON and its members before "recorded" hold no free text, so the first
 * occurrence is it. */
static struct hub_span recorded_of(struct hub_span record)
{
    static const char pattern[] = "\"recorded\":\"";
    const uint8_t *at = record.len != 0 ? memmem(record.ptr, record.len, pattern, sizeof(pattern) - 1) : NULL;
    size_t left = at != NULL ? record.len - (size_t)(at - record.ptr) - (sizeof(pattern) - 1) : 0;
    return left >= HUB_TIME_TEXT_LEN ? hub_span_of(at + sizeof(pattern) - 1, HUB_TIME_TEXT_LEN)
                                     : HUB_SPAN_NONE;
}

static bool send_entry(void *ctx, struct hub_span key, struct hub_span record)
{
    struct entries *entries = ctx;
    struct hub_span recorded = recorded_of(record);
    (void)key;
    if (recorded.len != 0 && entries->after[0] != '\0' &&
        memcmp(recorded.ptr, entries->after, HUB_TIME_TEXT_LEN) <= 0)
        return true;
    if (recorded.len != 0 && memcmp(recorded.ptr, entries->newest, HUB_TIME_TEXT_LEN) > 0)
        memcpy(entries->newest, recorded.ptr, HUB_TIME_TEXT_LEN);
    entries->result = hub_answer_raw(entries->request, "record", record);
    return entries->result == HUB_OK;
}

static enum hub_result send_token(struct hub_request *request, struct hub_span token, const char *after,
                                  char newest[HUB_TIME_TEXT_LEN + 1], struct hub_error *err)
{
    struct entries entries = {.request = request, .result = HUB_OK};
    memcpy(entries.after, after, strlen(after) + 1);
    memcpy(entries.newest, newest, HUB_TIME_TEXT_LEN + 1);
    enum hub_result result =
        hub_timelines_each_entry(request->hub->timelines, token, send_entry, &entries, err);
    memcpy(newest, entries.newest, HUB_TIME_TEXT_LEN + 1);
    return entries.result != HUB_OK ? entries.result : result;
}

/* --- what was shredded --- */

struct shredded {
    struct hub_arena *arena;
    struct hub_json *list;
    enum hub_result result;
};

static bool add_shredded(void *ctx, const struct hub_key_id *id, struct hub_span json_line)
{
    struct shredded *s = ctx;
    (void)json_line;
    s->result = hub_json_push(s->list, hub_json_string(s->arena, hub_arena_copy(s->arena, hub_span_str(id->text))));
    return s->result == HUB_OK;
}

/* A chart as readers get it: with the ids of the secrets of its patients that are gone for good. */
static enum hub_result send_head(struct hub_request *request, const struct hub_chart *chart)
{
    struct hub_json *head = hub_chart_json(request->arena, chart);
    struct shredded s = {request->arena, hub_json_new(request->arena, HUB_JSON_ARRAY), HUB_OK};
    HUB_ENSURE(head != NULL && s.list != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < chart->token_count; i++) {
        struct hub_token token;
        if (chart->tokens[i].len != HUB_TOKEN_LEN) /* none of ours: it never had a secret */
            continue;
        memcpy(token.text, chart->tokens[i].ptr, HUB_TOKEN_LEN);
        token.text[HUB_TOKEN_LEN] = '\0';
        HUB_TRY(hub_keys_each_shredded(request->hub->keys, &token, add_shredded, &s));
        HUB_TRY(s.result);
    }
    if (s.list->len != 0)
        HUB_TRY(hub_json_set_c(head, "shredded", s.list));
    return hub_answer_json(request, "chart", head);
}

static enum hub_result send_chart(struct hub_request *request, const struct hub_chart *chart,
                                  char newest[HUB_TIME_TEXT_LEN + 1], struct hub_error *err)
{
    HUB_TRY(send_head(request, chart));
    for (size_t i = 0; i < chart->token_count; i++)
        HUB_TRY(send_token(request, chart->tokens[i], "", newest, err));
    return HUB_OK;
}

enum hub_result hub_session_chart(struct hub_request *request, struct hub_chart *chart, struct hub_error *err)
{
    struct hub_span patient;
    HUB_TRY(hub_request_text(request, "patient", true, &patient, err));
    return resolve(request, patient, chart, err);
}

enum hub_result hub_service_timeline_chart(struct hub_request *request, struct hub_error *err)
{
    struct hub_chart chart;
    char newest[HUB_TIME_TEXT_LEN + 1] = "";
    HUB_TRY(hub_session_chart(request, &chart, err));
    return send_chart(request, &chart, newest, err);
}

/* Waits for the timeline to move on from POSITION. False: the hub stops, the timeline stands still, or the
 * peer is gone. */
static bool wait_applied(struct hub_request *request, uint64_t position)
{
    struct hub *hub = request->hub;
    for (;;) {
        struct timespec at;
        (void)clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += FOLLOW_WAIT_MS / 1000;
        (void)pthread_mutex_lock(&hub->run_lock);
        while (atomic_load(&hub->applied) <= position && !atomic_load(&hub->stopping) &&
               pthread_cond_clockwait(&hub->run_changed, &hub->run_lock, CLOCK_MONOTONIC, &at) == 0)
            ;
        (void)pthread_mutex_unlock(&hub->run_lock);
        if (atomic_load(&hub->stopping) || atomic_load(&hub->sick) || !hub_answer_alive(request))
            return false;
        if (atomic_load(&hub->applied) > position)
            return true;
    }
}

static bool has_token(const struct hub_chart *chart, struct hub_span token)
{
    for (size_t i = 0; i < chart->token_count; i++) {
        if (hub_span_equal(chart->tokens[i], token))
            return true;
    }
    return false;
}

/* What is new since SEEN: later entries of its tokens, all entries of tokens that joined. Tokens that joined
 * are reads of their own and audited as such. */
static enum hub_result send_news(struct hub_request *request, struct hub_chart *seen,
                                 char newest[HUB_TIME_TEXT_LEN + 1], struct hub_error *err)
{
    struct hub_chart now;
    char after[HUB_TIME_TEXT_LEN + 1];
    memcpy(after, newest, sizeof(after));
    HUB_TRY(chart_of(request, seen->tokens[0], &now, err));
    bool changed = now.token_count != seen->token_count || strcmp(now.id, seen->id) != 0;
    for (size_t i = 0; i < now.token_count; i++)
        changed = changed || !has_token(seen, now.tokens[i]);
    if (changed) {
        HUB_TRY(hub_session_note_read(request, now.tokens, now.token_count, NULL, 0, err));
        HUB_TRY(send_head(request, &now));
    }
    for (size_t i = 0; i < now.token_count; i++)
        HUB_TRY(send_token(request, now.tokens[i], has_token(seen, now.tokens[i]) ? after : "", newest, err));
    *seen = now;
    return HUB_OK;
}

enum hub_result hub_service_timeline_follow(struct hub_request *request, struct hub_error *err)
{
    struct hub *hub = request->hub;
    struct hub_chart chart;
    char newest[HUB_TIME_TEXT_LEN + 1] = "";
    if (!hub->applier_running && !hub->unify_running)
        return hub_fail(err, HUB_NOT_FOUND, "nothing to follow: no hub with the role timeline runs here",
                        "start it with `chartline run`");
    HUB_TRY(hub_session_chart(request, &chart, err));
    uint64_t position = atomic_load(&hub->applied);
    HUB_TRY(send_chart(request, &chart, newest, err));
    while (wait_applied(request, position)) {
        position = atomic_load(&hub->applied);
        HUB_TRY(send_news(request, &chart, newest, err));
    }
    return request->gone ? HUB_CLOSED : HUB_OK;
}
