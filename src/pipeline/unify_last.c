/* The record that a store's place in `timeline` lies behind. A topic that lost its end and grew past the place holds another one there. */
#include <inttypes.h>
#include <stdio.h>

#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/pipeline/unify_internal.h"

static const char last_mark[] = "timeline-last"; /* "<offset> <hash of the key> <hash of the value>" */

static void hash(struct hub_span bytes, char out[UNIFY_LAST_HASH + 1])
{
    uint8_t sum[UNIFY_LAST_HASH / 2];
    hub_blake2b(NULL, bytes, sum, sizeof sum);
    (void)hub_encode(HUB_HEX, hub_span_of(sum, sizeof sum), out, UNIFY_LAST_HASH + 1);
}

void unify_last_make(int64_t offset, struct hub_span key, struct hub_span value, struct unify_last *out)
{
    out->offset = offset;
    hash(key, out->key);
    hash(value, out->value);
}

struct unify_last unify_last_of(struct hub_timeline *timeline)
{
    struct unify_last last = {.offset = HUB_BUS_NONE};
    char text[HUB_TIMELINE_MARK_MAX];
    uint64_t offset = 0;
    if (hub_timeline_mark(timeline, last_mark, text, NULL) != HUB_OK)
        return last;
    const size_t len = strlen(text), number = strcspn(text, " ");
    if (len != number + 2 * (1 + UNIFY_LAST_HASH) || !hub_span_parse_u64(hub_span_of(text, number), &offset) || offset > INT64_MAX)
        return last;
    last.offset = (int64_t)offset;
    memcpy(last.key, text + number + 1, UNIFY_LAST_HASH);
    memcpy(last.value, text + number + 2 + UNIFY_LAST_HASH, UNIFY_LAST_HASH);
    return last;
}

enum hub_result unify_last_set(struct hub_timeline *timeline, const struct unify_last *last, struct hub_error *err)
{
    char text[HUB_TIMELINE_MARK_MAX];
    if (last->offset == HUB_BUS_NONE)
        return HUB_OK;
    (void)snprintf(text, sizeof text, "%" PRId64 " %s %s", last->offset, last->key, last->value);
    return hub_timeline_set_mark(timeline, last_mark, hub_span_str(text), err);
}

bool unify_last_same_key(const struct unify_last *last, const struct hub_bus_message *m)
{
    struct unify_last other;
    unify_last_make(m->place.offset, m->key, HUB_SPAN_NONE, &other);
    return strcmp(other.key, last->key) == 0;
}

bool unify_last_tombstone(const struct unify_last *last)
{
    char none[UNIFY_LAST_HASH + 1];
    hash(HUB_SPAN_NONE, none);
    return strcmp(none, last->value) == 0;
}

bool unify_last_is(const struct unify_last *last, const struct hub_bus_message *m)
{
    struct unify_last other;
    unify_last_make(m->place.offset, m->key, m->value, &other);
    return other.offset == last->offset && strcmp(other.key, last->key) == 0 && strcmp(other.value, last->value) == 0;
}
