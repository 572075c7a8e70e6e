#include "src/pipeline/continued.h"

#include <string.h>

#include "src/audit/entry.h"
#include "src/base/mem.h"
#include "src/pipeline/letters.h"

enum { CANDIDATES_MAX = 4 }; /* parts of one pointer that are looked at, the newest */

struct part {
    char id[HUB_EVENT_ID_LEN + 1];
    struct hub_index_message letter;
};

/* Parts that one pointer leads to, oldest first. */
struct candidates {
    struct part parts[CANDIDATES_MAX];
    size_t count;
};

/* From the last part backwards. */
struct chain {
    struct part *parts;
    struct hub_span *bytes; /* of limits.parts + 1; [0] is the last part */
    size_t count, bytes_count;
    size_t total;
};

static const struct hub_limits *limits(const struct hub_work *work)
{
    return &hub_rules_config(work->rules)->limits;
}

static void token_of(const struct hub_work *work, struct hub_span pointer, struct hub_hash_token *out)
{
    const struct hub_span parts[] = {work->origin.feed_id, work->origin.sender, work->decoded.application,
                                     work->decoded.facility, pointer};
    hub_keys_measure_token(work->ingest->keys, "continuation", parts, sizeof parts / sizeof *parts, out);
}

/* --- which parts --- */

static bool collect(void *ctx, struct hub_span message_id)
{
    struct candidates *found = ctx;
    if (message_id.len != HUB_EVENT_ID_LEN)
        return true;
    for (size_t i = 0; i < found->count; i++)
        if (hub_span_is(message_id, found->parts[i].id))
            return true;
    if (found->count == CANDIDATES_MAX) {
        memmove(&found->parts[0], &found->parts[1], sizeof(found->parts[0]) * (CANDIDATES_MAX - 1));
        found->count--;
    }
    memcpy(found->parts[found->count].id, message_id.ptr, HUB_EVENT_ID_LEN);
    found->parts[found->count++].id[HUB_EVENT_ID_LEN] = '\0';
    return true;
}

static enum hub_result missing(struct hub_work *work)
{
    work->part_missing = true;
    (void)hub_fail(&work->err, HUB_NOT_FOUND, "the part before this one has not come",
                   "send the parts of the message in order, from the first one");
    (void)hub_error_at(&work->err, "MSH-14");
    return HUB_NOT_FOUND;
}

/* The newest open part that POINTER leads to and that came before LATER (NULL: any): before it came first, or, if
 * it came too early then, before it came last. */
static enum hub_result find(struct hub_work *work, struct hub_span pointer, const struct part *later, struct part *out)
{
    struct hub_hash_token token;
    struct candidates all = {.count = 0};
    int64_t first_us = later != NULL ? later->letter.recorded_us : INT64_MAX;
    int64_t last_us = later != NULL ? later->letter.last_us : INT64_MAX;
    struct part *best = NULL;
    token_of(work, pointer, &token);
    HUB_TRY(hub_index_each_control(work->ingest->index, hub_span_str(token.text), collect, &all, &work->err));
    for (size_t i = 0; i < all.count; i++) {
        struct part *part = &all.parts[i];
        enum hub_result result = hub_index_dead_letter(work->ingest->index, hub_span_str(part->id), &part->letter, &work->err);
        if (result == HUB_NOT_FOUND)
            continue;
        HUB_TRY(result);
        if (part->letter.resolved || part->letter.recorded_us >= last_us)
            continue;
        bool nearer = best == NULL || part->letter.recorded_us < first_us || best->letter.recorded_us >= first_us;
        best = nearer ? part : best;
    }
    if (best == NULL)
        return missing(work);
    *out = *best;
    return HUB_OK;
}

/* --- putting them together --- */

static enum hub_result add(struct hub_work *work, struct chain *chain, const struct part *part,
                           struct hub_span *pointer)
{
    struct hub_json *letter = NULL;
    struct hub_span bytes;
    struct hub_decoded decoded;
    struct hub_error why = {0};
    if (chain->count == limits(work)->parts)
        return hub_fail(&work->err, HUB_TOO_MANY, "more parts of a message than limits.parts", NULL);
    HUB_TRY(hub_letter_load(work->ingest->log, part->letter.record, work->arena, &letter, &work->err));
    HUB_TRY(hub_letter_open(work->ingest->keys, work->arena, letter, &bytes, &work->err));
    if (work->feed->format->decode(work->feed->context, work->arena, bytes, &decoded, &why) != HUB_CONTINUED)
        return hub_fail(&work->err, HUB_SYNTAX, "a part of the message cannot be read any more", NULL);
    chain->total += bytes.len;
    if (chain->total > limits(work)->message_bytes)
        return hub_fail(&work->err, HUB_TOO_LARGE, "the parts together are larger than limits.message_bytes", NULL);
    chain->parts[chain->count++] = *part;
    chain->bytes[chain->bytes_count++] = bytes;
    *pointer = decoded.before;
    return HUB_OK;
}

/* From the last part back to the first one. */
static enum hub_result follow(struct hub_work *work, struct chain *chain)
{
    struct hub_span pointer = work->decoded.before;
    const struct part *later = NULL;
    chain->bytes[0] = work->origin.message;
    chain->bytes_count = 1;
    chain->total = work->origin.message.len;
    while (pointer.len != 0) {
        struct part part;
        HUB_TRY(find(work, pointer, later, &part));
        HUB_TRY(add(work, chain, &part, &pointer));
        later = &chain->parts[chain->count - 1];
    }
    return HUB_OK;
}

static enum hub_result join(struct hub_work *work, const struct chain *chain, struct hub_span *out)
{
    struct hub_span *parts = HUB_ARENA_ARRAY(work->arena, struct hub_span, chain->bytes_count);
    HUB_ENSURE(parts != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < chain->bytes_count; i++)
        parts[i] = chain->bytes[chain->bytes_count - 1 - i];
    return work->feed->format->join(work->feed->context, work->arena, parts, chain->bytes_count, out, &work->err);
}

/* --- what is done with --- */

static enum hub_result add_resolved(struct hub_work *work, const char *id)
{
    struct hub_commit_item *item = work->item;
    struct hub_audit_builder builder;
    struct hub_buf entry;
    memcpy(item->resolves[item->resolve_count++], id, HUB_EVENT_ID_LEN + 1);
    hub_buf_init(&entry, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_begin(&builder, HUB_AUDIT_LETTER_RESOLVED, hub_clock_wall_us(work->ingest->clock));
    hub_audit_text(&builder, "who", "hub");
    hub_audit_text(&builder, "message", id);
    hub_audit_text(&builder, "reason", "joined");
    hub_audit_end(&builder, &entry);
    hub_buf_append_be32(&item->audit, (uint32_t)entry.len);
    hub_buf_append_span(&item->audit, hub_buf_view(&entry));
    enum hub_result result = hub_buf_result(&entry);
    hub_buf_deinit(&entry);
    return result != HUB_OK ? result : hub_buf_result(&item->audit);
}

/* The letters of the parts, and of the last one if it was refused before (it came too early). */
static enum hub_result resolve(struct hub_work *work, const struct chain *chain)
{
    const char *own = work->item->last_part;
    struct hub_index_message letter;
    work->item->resolves = hub_mem_array(chain->count + 1, sizeof(*work->item->resolves));
    HUB_ENSURE(work->item->resolves != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < chain->count; i++)
        HUB_TRY(add_resolved(work, chain->parts[i].id));
    enum hub_result result = hub_index_dead_letter(work->ingest->index, hub_span_str(own), &letter, &work->err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    return letter.resolved ? HUB_OK : add_resolved(work, own);
}

/* --- the parts themselves --- */

/* It came before, and the message was joined then: a duplicate, or one that was refused and is judged anew. */
static enum hub_result take_again(struct hub_work *work, struct hub_span *out)
{
    char joined[HUB_EVENT_ID_LEN + 1];
    struct hub_index_message stored;
    struct hub_json *letter = NULL;
    HUB_TRY(hub_index_joined(work->ingest->index, hub_span_str(work->item->last_part), joined, &work->err));
    HUB_TRY(hub_index_message(work->ingest->index, hub_span_str(joined), &stored, &work->err));
    if (stored.kind == HUB_RECORD_MESSAGE) {
        memcpy(work->item->dedup.message_id, joined, sizeof(joined));
        work->item->known = true;
        *out = HUB_SPAN_NONE;
        return HUB_OK;
    }
    HUB_TRY(hub_index_dead_letter(work->ingest->index, hub_span_str(joined), &stored, &work->err));
    HUB_TRY(hub_letter_load(work->ingest->log, stored.record, work->arena, &letter, &work->err));
    return hub_letter_open(work->ingest->keys, work->arena, letter, out, &work->err);
}

static enum hub_result take_last(struct hub_work *work, struct hub_span *out)
{
    struct hub_event_id own;
    struct chain chain = {.count = 0};
    hub_keys_event_id(work->ingest->keys, work->origin.feed_id, work->origin.sender, work->origin.message, 0, 0, &own);
    memcpy(work->item->last_part, own.text, sizeof(own.text));
    enum hub_result result = take_again(work, out);
    if (result != HUB_NOT_FOUND)
        return result;
    chain.parts = HUB_ARENA_ARRAY(work->arena, struct part, limits(work)->parts);
    chain.bytes = HUB_ARENA_ARRAY(work->arena, struct hub_span, (size_t)limits(work)->parts + 1);
    HUB_ENSURE(chain.parts != NULL && chain.bytes != NULL, HUB_NO_MEMORY);
    HUB_TRY(follow(work, &chain));
    HUB_TRY(join(work, &chain, out));
    return resolve(work, &chain);
}

/* It was kept before; the part before it may be used up since. */
static enum hub_result is_kept(struct hub_work *work, bool *kept)
{
    struct hub_event_id own;
    struct hub_index_message letter;
    hub_keys_event_id(work->ingest->keys, work->origin.feed_id, work->origin.sender, work->origin.message, 0, 0, &own);
    enum hub_result result = hub_index_dead_letter(work->ingest->index, hub_span_str(own.text), &letter, &work->err);
    *kept = result == HUB_OK && strcmp(letter.answer, hub_prepare_accepted) == 0;
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

enum hub_result hub_continued_take(struct hub_work *work, struct hub_span *out)
{
    struct hub_hash_token token;
    struct part before;
    bool kept = false;
    if (work->decoded.after.len == 0)
        return take_last(work, out);
    if (work->decoded.before.len != 0)
        HUB_TRY(is_kept(work, &kept));
    if (work->decoded.before.len != 0 && !kept)
        HUB_TRY(find(work, work->decoded.before, NULL, &before));
    token_of(work, work->decoded.after, &token);
    memcpy(work->item->dedup.control_token, token.text, sizeof(token.text));
    return HUB_CONTINUED;
}
