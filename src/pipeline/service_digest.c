/* `timeline.digest`: one number for all that this process has of the timeline, as it is stored or as it reads. */
#include "src/pipeline/session.h"

#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/pipeline/elsewhere.h"
#include "src/query/query.h"

enum { CHART_ARENA = 1024 * 1024 * 1024, ELSEWHERE_BYTES = 1024 * 1024 * 1024, ELSEWHERE_WAIT_MS = 10000 };

struct content {
    struct hub *hub;
    struct hub_elsewhere *others; /* NULL: this process has everything */
    struct hub_arena arena; /* of one chart */
    struct hub_json **records;
    bool *elsewhere; /* which of them are another process's to count */
    bool of_others;  /* those that are being collected */
    size_t count, cap;
    struct hub_opener opener;
    char lacking[48]; /* the first key that is not here; empty: all are */
    bool lacks;       /* one of the chart at hand */
    uint64_t charts_lacking;
    uint8_t digest[32];
    enum hub_result result;
    struct hub_error *err;
};

/* --- keys: this process's own --- */

/* What a shredded secret protected is no content any more, wherever it is asked. A key that is merely not here is another thing: the
 * digest would be of something else, and nobody could tell. */
static enum hub_result note(struct content *content, enum hub_result result, const char *what, const struct hub_key_id *id)
{
    if (result != HUB_NO_KEY)
        return result;
    content->lacks = true;
    if (content->lacking[0] == '\0')
        (void)snprintf(content->lacking, sizeof content->lacking, "%s %s", what, id->text);
    return result;
}

static enum hub_result own_class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    struct content *content = ctx;
    enum hub_data_class class_;
    return note(content, hub_keys_class_by_id(content->hub->keys, id, key, &class_, NULL), "class key", id);
}

static enum hub_result own_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                  uint8_t secret[HUB_KEY_LEN])
{
    struct content *content = ctx;
    return note(content, hub_keys_secret(content->hub->keys, id, subject, secret, NULL), "secret", id);
}

static enum hub_result check_keys(const struct content *content, struct hub_error *err)
{
    if (content->charts_lacking == 0)
        return HUB_OK;
    (void)hub_fail(err, HUB_NO_KEY, "the key store here lacks keys that charts were sealed with: a digest without them would be of something else",
                   "give this process a copy of the hub's `keys` folder as it is now, or ask where the keys are");
    return hub_error_at(err, "%s, %llu charts", content->lacking, (unsigned long long)content->charts_lacking);
}

/* --- records --- */

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
    content->charts_lacking += content->lacks;
    content->lacks = false;
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
        (struct hub_opener){.class_key = own_class_key, .patient_secret = own_secret, .ctx = &content};
    hub_arena_init(&content.arena, CHART_ARENA);
    enum hub_result result = read_others(request, &content, err);
    if (result == HUB_OK)
        result = hub_timelines_each_chart_part(hub->timelines, add_content, &content, err);
    result = content.result != HUB_OK ? content.result : result;
    if (result == HUB_OK || result == HUB_ELSEWHERE) /* it left on the way */
        result = result == HUB_OK ? check_whole(hub, changes, err) : moved_on(err);
    if (result == HUB_OK)
        result = check_keys(&content, err);
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
