#include "src/pipeline/remap.h"

#include <string.h>

#include "src/base/mem.h"

/* A time that was the receive time stays it. */
static int64_t received_us(const struct hub_stored *stored)
{
    const struct hub_json *event = stored->event_count != 0 ? stored->events[0] : NULL;
    const struct hub_span time = hub_json_get_span(event, "time");
    int64_t us;
    if (hub_span_is(hub_json_get_span(event, "timesource"), "received") &&
        hub_time_parse((const char *)time.ptr, time.len, &us) == 0)
        return us;
    return stored->origin_us;
}

static struct hub_origin origin_of(const struct hub_remap *remap, struct hub_span sender, struct hub_span original,
                                   uint32_t revision)
{
    return (struct hub_origin){.feed_id = hub_span_str(remap->feed->feed->id),
                               .feed_name = hub_span_str(remap->feed->feed->name),
                               .sender = sender,
                               .message = original,
                               .mapping = hub_span_str(remap->feed->hash),
                               .revision = revision};
}

/* --- the original, and who sent it --- */

static bool is_of(const struct hub_remap *remap, const struct hub_stored *stored, struct hub_span sender,
                  struct hub_span original)
{
    struct hub_event_id id;
    hub_keys_event_id(remap->keys, hub_span_str(remap->feed->feed->id), sender, original, 0, 0, &id);
    return strcmp(id.text, stored->dedup.message_id) == 0;
}

/* The audit log's sender, or, where it had to be cut there, the allow entry that gives the message its id. */
static enum hub_result find_sender(const struct hub_remap *remap, const struct hub_stored *stored,
                                   struct hub_remapped *out, struct hub_error *err)
{
    const struct hub_feed *feed = remap->feed->feed;
    out->sender = stored->sender;
    bool found = is_of(remap, stored, out->sender, out->original);
    for (size_t i = 0; i < feed->tls.allow_count && !found; i++) {
        out->sender = hub_span_str(feed->tls.allow[i]);
        found = is_of(remap, stored, out->sender, out->original);
    }
    return found ? HUB_OK
                 : hub_fail(err, HUB_CORRUPT, "the stored original is not the message of its id",
                            "was the feed's id changed? give it back");
}

/* --- what it was, what it would be --- */

static enum hub_result list_before(struct hub_arena *arena, const struct hub_stored *stored, struct hub_remapped *out,
                                   struct hub_error *err)
{
    out->before = HUB_ARENA_ARRAY(arena, struct hub_json *, stored->content_count + 1);
    if (out->before == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < stored->content_count; i++) {
        HUB_TRY(hub_protect_clear_stored(arena, stored->events[i], &out->before[i], err));
        out->before_count++;
    }
    return HUB_OK;
}

static enum hub_result decode(const struct hub_remap *remap, struct hub_arena *arena, struct hub_span original,
                              struct hub_decoded *decoded, struct hub_error *err)
{
    memset(decoded, 0, sizeof(*decoded));
    enum hub_result result = remap->feed->format->decode(remap->feed->context, arena, original, decoded, err);
    if (result == HUB_OK && decoded->event_count == 0)
        return hub_fail(err, HUB_UNSUPPORTED_TYPE, "the message makes no event", NULL);
    return result == HUB_OK || (err != NULL && err->result == result) ? result : hub_fail(err, result, NULL, NULL);
}

static enum hub_result list_after(const struct hub_remap *remap, struct hub_arena *arena, const struct hub_stored *stored,
                                  struct hub_remapped *out, struct hub_error *err)
{
    const struct hub_origin origin = origin_of(remap, out->sender, out->original, stored->revision);
    struct hub_decoded decoded;
    HUB_TRY(decode(remap, arena, out->original, &decoded, err));
    out->after = HUB_ARENA_ARRAY(arena, struct hub_json *, (size_t)decoded.event_count);
    if (out->after == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (uint32_t i = 0; i < decoded.event_count; i++) {
        HUB_TRY(hub_protect_clear(remap->keys, remap->feed->policy, arena, &decoded.events[i], &decoded, &origin, i,
                                  received_us(stored), &out->after[i], err));
        out->after_count++;
    }
    return HUB_OK;
}

enum hub_result hub_remap_judge(const struct hub_remap *remap, struct hub_arena *arena, struct hub_stored *stored,
                                struct hub_remapped *out, struct hub_error *err)
{
    memset(out, 0, sizeof(*out));
    HUB_TRY(hub_stored_open(arena, remap->keys, stored, &out->original, err));
    HUB_TRY(find_sender(remap, stored, out, err));
    HUB_TRY(list_before(arena, stored, out, err));
    HUB_TRY(list_after(remap, arena, stored, out, err));
    out->changed = out->before_count != out->after_count;
    for (size_t i = 0; i < out->before_count && !out->changed; i++)
        out->changed = !hub_json_equal(out->before[i], out->after[i]);
    return HUB_OK;
}

/* --- the next revision --- */

static enum hub_result list_priors(struct hub_arena *arena, const struct hub_stored *stored,
                                   struct hub_revision *revision)
{
    struct hub_prior *priors = HUB_ARENA_ARRAY(arena, struct hub_prior, stored->event_count + 1);
    HUB_ENSURE(priors != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < stored->event_count; i++)
        priors[i] = (struct hub_prior){hub_json_get_span(stored->events[i], "id"),
                                       hub_json_get_span(stored->events[i], "subject"),
                                       hub_json_get_span(stored->events[i], "supersedes")};
    revision->priors = priors;
    revision->prior_count = stored->event_count;
    return HUB_OK;
}

struct maker {
    const struct hub_remap *remap;
    struct hub_arena *arena;
    const struct hub_decoded *decoded;
    struct hub_origin origin;
    struct hub_revision revision;
    int64_t received_us;
    struct hub_commit_item *item;
    struct hub_error *err;
};

static enum hub_result seal(struct maker *m, struct hub_event *event)
{
    struct hub_commit_item *item = m->item;
    const size_t before = item->json.len, at = item->event_count;
    HUB_TRY(hub_protect_seal(m->remap->keys, m->remap->feed->policy, m->arena, event, m->decoded, &m->origin,
                             (uint32_t)at, m->received_us, &item->json, &item->events[at], m->err));
    HUB_TRY(hub_buf_result(&item->json));
    item->event_lens[at] = item->json.len - before;
    item->event_count++;
    return HUB_OK;
}

static bool is_subject(const struct hub_commit_item *item, struct hub_span subject)
{
    for (size_t i = 0; i < item->event_count; i++) {
        if (hub_span_is(subject, item->events[i].subject.text))
            return true;
    }
    return false;
}

/* Whom the message named and does not name any more is told so. */
static enum hub_result seal_withdrawals(struct maker *m, const struct hub_stored *stored)
{
    for (size_t i = 0; i < stored->content_count; i++) {
        struct hub_span subject = hub_json_get_span(stored->events[i], "subject");
        struct hub_event nothing = {.time = m->decoded->events[0].time, .time_source = m->decoded->events[0].time_source};
        struct hub_token token = {""};
        HUB_ENSURE(subject.len == HUB_TOKEN_LEN, HUB_CORRUPT);
        if (is_subject(m->item, subject))
            continue;
        memcpy(token.text, subject.ptr, subject.len);
        m->revision.withdrawn = &token;
        enum hub_result result = seal(m, &nothing);
        m->revision.withdrawn = NULL;
        HUB_TRY(result);
    }
    return HUB_OK;
}

static enum hub_result make(struct maker *m, const struct hub_stored *stored, struct hub_decoded *decoded)
{
    struct hub_commit_item *item = m->item;
    const size_t most = decoded->event_count + stored->content_count;
    item->events = hub_mem_array(most, sizeof(*item->events));
    item->event_lens = hub_mem_array(most, sizeof(*item->event_lens));
    HUB_ENSURE(item->events != NULL && item->event_lens != NULL, HUB_NO_MEMORY);
    HUB_TRY(list_priors(m->arena, stored, &m->revision));
    for (uint32_t i = 0; i < decoded->event_count; i++)
        HUB_TRY(seal(m, &decoded->events[i]));
    return seal_withdrawals(m, stored);
}

enum hub_result hub_remap_item(const struct hub_remap *remap, struct hub_arena *arena, const struct hub_stored *stored,
                               const struct hub_remapped *remapped, struct hub_commit_item *item, struct hub_error *err)
{
    struct hub_decoded decoded;
    struct maker m = {.remap = remap,
                      .arena = arena,
                      .decoded = &decoded,
                      .origin = origin_of(remap, remapped->sender, remapped->original, stored->revision + 1),
                      .revision = {.recorded_us = stored->origin_us},
                      .received_us = received_us(stored),
                      .item = item,
                      .err = err};
    m.origin.revised = &m.revision;
    HUB_TRY(decode(remap, arena, remapped->original, &decoded, err)); /* the first ones trees are part of what was compared */
    enum hub_result result = make(&m, stored, &decoded);
    if (result != HUB_OK)
        return err != NULL && err->result == result ? result : hub_fail(err, result, NULL, NULL);
    item->kind = HUB_RECORD_REVISED;
    item->dedup = stored->dedup;
    item->dedup.count = stored->revision + 1;
    item->rules = remap->feed->hash;
    memcpy(item->trigger, decoded.trigger, sizeof(item->trigger));
    return HUB_OK;
}
