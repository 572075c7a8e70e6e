#include "src/pipeline/session.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/pipeline/elsewhere.h"
#include "src/query/query.h"

enum { FOLLOW_WAIT_MS = 1000, CHART_ARENA = 1024 * 1024 * 1024, ELSEWHERE_BYTES = 1024 * 1024 * 1024, ELSEWHERE_WAIT_MS = 10000 };

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

/* --- timeline.digest --- */

static enum hub_result own_class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    enum hub_data_class class_;
    return hub_keys_class_by_id(((struct hub *)ctx)->keys, id, key, &class_, NULL);
}

static enum hub_result own_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                  uint8_t secret[HUB_KEY_LEN])
{
    return hub_keys_secret(((struct hub *)ctx)->keys, id, subject, secret, NULL);
}

struct content {
    struct hub *hub;
    struct hub_elsewhere *others; /* NULL: this process has everything */
    struct hub_arena arena; /* of one chart */
    struct hub_json **records;
    bool *elsewhere; /* which of them are another process's to count */
    bool of_others;  /* those that are being collected */
    size_t count, cap;
    struct hub_opener opener;
    uint8_t digest[32];
    enum hub_result result;
    struct hub_error *err;
};

static bool make_room(struct content *content)
{
    if (content->count < content->cap)
        return true;
    const size_t cap = content->cap != 0 ? content->cap * 2 : 256;
    struct hub_json **records = hub_mem_resize(content->records, cap * sizeof(struct hub_json *));
    content->records = records != NULL ? records : content->records;
    bool *elsewhere = records != NULL ? hub_mem_resize(content->elsewhere, cap * sizeof(bool)) : NULL;
    if (elsewhere == NULL)
        return false;
    content->elsewhere = elsewhere;
    content->cap = cap;
    return true;
}

static bool collect(void *ctx, struct hub_span key, struct hub_span record)
{
    struct content *content = ctx;
    (void)key;
    content->result = make_room(content) ? HUB_OK : HUB_NO_MEMORY;
    if (content->result != HUB_OK)
        return false;
    content->elsewhere[content->count] = content->of_others;
    content->result =
        hub_json_parse(&content->arena, record, &content->records[content->count], content->err);
    content->count++;
    return content->result == HUB_OK;
}

static enum hub_result moved_on(struct hub_error *err)
{
    return hub_fail(err, HUB_BUSY, "partitions or charts moved from process to process meanwhile", "try again");
}

static enum hub_result collect_token(struct content *content, struct hub_span token, bool here)
{
    content->of_others = !here;
    if (here)
        return hub_timelines_each_entry(content->hub->timelines, token, collect, content, content->err);
    enum hub_result result = content->others != NULL ? hub_elsewhere_each(content->others, token, collect, content) : HUB_NOT_FOUND;
    return result == HUB_NOT_FOUND ? moved_on(content->err) : result;
}

static bool add_content(void *ctx, const struct hub_chart_part *part)
{
    struct content *content = ctx;
    content->count = 0;
    for (size_t i = 0; i < part->token_count && content->result == HUB_OK; i++) {
        enum hub_result result = collect_token(content, part->tokens[i], part->here[i]);
        content->result = content->result != HUB_OK ? content->result : result;
    }
    if (content->result == HUB_OK)
        content->result = hub_query_content_digest(&content->arena, content->records, content->elsewhere, content->count,
                                                   &content->opener, content->digest, content->err);
    hub_arena_reset(&content->arena);
    return content->result == HUB_OK;
}

/* --- who charts are of that are here only in part --- */

static bool want_others(void *ctx, const struct hub_chart_part *part)
{
    struct content *content = ctx;
    for (size_t i = 0; i < part->token_count && content->result == HUB_OK; i++) {
        if (!part->here[i])
            content->result = hub_elsewhere_want(content->others, part->tokens[i], content->err);
    }
    return content->result == HUB_OK;
}

static bool still_asked(void *ctx)
{
    struct hub_request *request = ctx;
    return !atomic_load(&request->hub->stopping) && hub_answer_alive(request);
}

static enum hub_result read_others(struct hub_request *request, struct content *content, struct hub_error *err)
{
    struct hub *hub = request->hub;
    if (hub->unify == NULL)
        return HUB_OK;
    const struct hub_elsewhere_options options = {
        .bus = hub_bus_setup_bus(hub->bus),
        .events = hub_bus_setup_topic(hub->bus, HUB_TOPIC_EVENTS),
        .timeline = hub_bus_setup_topic(hub->bus, HUB_TOPIC_TIMELINE),
        .group = hub_bus_setup_group(hub->bus),
        .partitions = (int32_t)hub->config->kafka.topics.partitions,
        .patience_ms = ELSEWHERE_WAIT_MS,
        .bytes_max = ELSEWHERE_BYTES,
        .go_on = still_asked,
        .ctx = request,
    };
    HUB_TRY(hub_elsewhere_new(&options, &content->others, err));
    enum hub_result result = hub_timelines_each_chart_part(hub->timelines, want_others, content, err);
    HUB_TRY(content->result != HUB_OK ? content->result : result);
    return hub_elsewhere_read(content->others, err);
}

/* --- the sum --- */

/* Of the partitions that were here all the while: one that is being opened again must not be missing unseen. */
static enum hub_result check_whole(struct hub *hub, uint64_t changes, struct hub_error *err)
{
    struct hub_unify_stats stats = {0};
    if (hub->unify == NULL)
        return HUB_OK;
    hub_unify_stats(hub->unify, &stats);
    const bool all = stats.owned == (uint32_t)hub_timelines_count(hub->timelines);
    return all && hub_timelines_changes(hub->timelines) == changes ? HUB_OK : moved_on(err);
}

static enum hub_result content_digest(struct hub_request *request, uint8_t digest[32], struct hub_error *err)
{
    struct hub *hub = request->hub;
    struct content content = {.hub = hub, .result = HUB_OK, .err = err};
    const uint64_t changes = hub_timelines_changes(hub->timelines);
    content.opener =
        (struct hub_opener){.class_key = own_class_key, .patient_secret = own_secret, .ctx = hub};
    hub_arena_init(&content.arena, CHART_ARENA);
    enum hub_result result = read_others(request, &content, err);
    if (result == HUB_OK)
        result = hub_timelines_each_chart_part(hub->timelines, add_content, &content, err);
    result = content.result != HUB_OK ? content.result : result;
    if (result == HUB_OK || result == HUB_ELSEWHERE) /* it left on the way */
        result = result == HUB_OK ? check_whole(hub, changes, err) : moved_on(err);
    hub_arena_deinit(&content.arena);
    hub_elsewhere_free(content.others);
    hub_mem_free(content.records);
    hub_mem_free(content.elsewhere);
    memcpy(digest, content.digest, sizeof(content.digest));
    return result;
}

enum hub_result hub_service_timeline_digest(struct hub_request *request, struct hub_error *err)
{
    uint8_t digest[32] = {0};
    char hex[65];
    struct hub_span what;
    HUB_TRY(hub_request_text(request, "what", false, &what, err));
    bool content = hub_span_is(what, "content");
    if (!content && what.len != 0 && !hub_span_is(what, "state"))
        return hub_fail(err, HUB_USAGE, "a digest is of state or of content", NULL);
    HUB_TRY(hub_session_catch_up(request, err));
    if (content) /* every chart is opened, if only to be hashed */
        HUB_TRY(hub_session_note_read(request, NULL, 0, NULL, 0, err));
    HUB_TRY(content ? content_digest(request, digest, err)
                    : hub_timelines_state_digest(request->hub->timelines, digest, err));
    (void)hub_encode(HUB_HEX, hub_span_of(digest, sizeof(digest)), hex, sizeof(hex));
    return hub_answer_json(request, "digest", hub_json_string_c(request->arena, hex));
}
