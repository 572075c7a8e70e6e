/* Identity facts of an event, and facts as JSON: how they stand in the timeline's store and on the bus. */
#include "src/base/clock.h"
#include "src/identity/identity.h"

/* --- of an event --- */

static bool good_token(struct hub_span token)
{
    if (token.len == 0 || token.len > HUB_IDENTITY_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] <= ' ' || token.ptr[i] == '/' || token.ptr[i] >= 0x7f)
            return false;
    }
    return true;
}

static enum hub_result set_source(struct hub_arena *arena, const struct hub_event_head *head,
                                  struct hub_identity_statement *fact)
{
    fact->source = head->source;
    if (fact->speaker.len == 0)
        return HUB_OK;
    const char *text =
        hub_arena_printf(arena, "%.*s@%.*s", (int)head->source.len, (const char *)head->source.ptr,
                         (int)fact->speaker.len, (const char *)fact->speaker.ptr);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    fact->source = hub_span_str(text);
    return HUB_OK;
}

enum hub_result hub_identity_of_event(struct hub_arena *arena, const struct hub_event_head *head,
                                      struct hub_identity_statement **out, size_t *count,
                                      struct hub_error *err)
{
    int64_t recorded_us = 0, time_us = 0, message_us = 0, origin_us = 0;
    if (hub_time_parse((const char *)head->recordedtime.ptr, head->recordedtime.len, &recorded_us) != 0)
        return hub_fail(err, HUB_SYNTAX, "an event without recorded time", NULL);
    if (!hub_moment_us(head->time, &time_us))
        time_us = recorded_us;
    if (!hub_moment_us(head->messagetime, &message_us))
        message_us = time_us;
    /* what is mapped anew keeps its place among the facts */
    if (hub_time_parse((const char *)head->originrecorded.ptr, head->originrecorded.len, &origin_us) != 0)
        origin_us = recorded_us;
    HUB_TRY(hub_identity_parse(arena, head->identity, out, count, err));
    for (size_t i = 0; i < *count; i++) {
        struct hub_identity_statement *fact = &(*out)[i];
        if (set_source(arena, head, fact) != HUB_OK)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        fact->order.event = head->origin.len != 0 ? head->origin : head->id;
        fact->order.message_us = message_us;
        fact->order.time_us = time_us < origin_us ? time_us : origin_us;
        for (uint32_t k = 0; k < fact->count; k++) {
            if (!good_token(fact->tokens[k]))
                return hub_fail(err, HUB_SYNTAX, "an identity fact with a token that is none", NULL);
        }
    }
    return HUB_OK;
}

/* --- as JSON --- */

static struct hub_json *strings_json(struct hub_arena *arena, const struct hub_span *items, size_t count)
{
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY);
    for (size_t i = 0; list != NULL && i < count; i++) {
        if (hub_json_push(list, hub_json_string(arena, items[i])) != HUB_OK)
            return NULL;
    }
    return list;
}

static enum hub_result set_time(struct hub_arena *arena, struct hub_json *object, const char *key, int64_t us)
{
    char text[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(us, text);
    struct hub_span copy = hub_arena_copy(arena, hub_span_str(text));
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, key, copy);
}

static enum hub_result fill_statement_json(struct hub_arena *arena, struct hub_json *json,
                                           const struct hub_identity_statement *s)
{
    HUB_ENSURE(json != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, json, "event", s->order.event));
    HUB_TRY(hub_json_set_string(arena, json, "kind", hub_span_str(hub_identity_kind_name(s->kind))));
    HUB_TRY(set_time(arena, json, "message", s->order.message_us));
    HUB_TRY(hub_json_set_c(json, "n", hub_json_number_i64(arena, s->order.n)));
    HUB_TRY(hub_json_set_string(arena, json, "source", s->source));
    HUB_TRY(hub_json_set_c(json, "tags", strings_json(arena, s->tags, s->count)));
    HUB_TRY(set_time(arena, json, "time", s->order.time_us));
    return hub_json_set_c(json, "tokens", strings_json(arena, s->tokens, s->count));
}

struct hub_json *hub_identity_json(struct hub_arena *arena, const struct hub_identity_statement *statement)
{
    struct hub_json *json = hub_json_new(arena, HUB_JSON_OBJECT);
    return fill_statement_json(arena, json, statement) == HUB_OK ? json : NULL;
}

static enum hub_result spans_of(struct hub_arena *arena, const struct hub_json *list, const struct hub_span **out,
                                uint32_t *count)
{
    HUB_ENSURE(list != NULL && list->type == HUB_JSON_ARRAY, HUB_CORRUPT);
    struct hub_span *items = HUB_ARENA_ARRAY(arena, struct hub_span, (size_t)list->len + 1);
    HUB_ENSURE(items != NULL, HUB_NO_MEMORY);
    *count = 0;
    for (const struct hub_json *item = list->first; item != NULL; item = item->next)
        items[(*count)++] = hub_json_span(item);
    *out = items;
    return HUB_OK;
}

enum hub_result hub_identity_of_json(struct hub_arena *arena, const struct hub_json *json,
                                     struct hub_identity_statement *out, struct hub_error *err)
{
    memset(out, 0, sizeof *out);
    struct hub_span kind = hub_json_get_span(json, "kind");
    bool known = false;
    for (unsigned k = HUB_FACT_SAME; k <= HUB_FACT_MATCH && !known; k++) {
        out->kind = (enum hub_fact_kind)k;
        known = hub_span_is(kind, hub_identity_kind_name(out->kind));
    }
    out->order.event = hub_json_get_span(json, "event");
    uint64_t n = 0;
    known = known && hub_span_parse_u64(hub_json_span(hub_json_get(json, "n")), &n) && n <= UINT32_MAX;
    out->order.n = (uint32_t)n;
    out->source = hub_json_get_span(json, "source");
    uint32_t tags = 0;
    if (!known || !hub_moment_us(hub_json_get_span(json, "message"), &out->order.message_us) ||
        !hub_moment_us(hub_json_get_span(json, "time"), &out->order.time_us))
        return hub_fail(err, HUB_CORRUPT, "an identity fact is damaged", NULL);
    enum hub_result result = spans_of(arena, hub_json_get(json, "tokens"), &out->tokens, &out->count);
    if (result == HUB_OK)
        result = spans_of(arena, hub_json_get(json, "tags"), &out->tags, &tags);
    if (result == HUB_OK && tags != out->count)
        result = HUB_CORRUPT;
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, result == HUB_CORRUPT ? "an identity fact is damaged" : NULL, NULL);
}
