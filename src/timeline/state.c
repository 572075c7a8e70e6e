#include "src/timeline/state.h"

#include <stdio.h>

#include "src/base/crash.h"
#include "src/base/mem.h"

enum { VALUE_BYTES_MAX = 256 * 1024 * 1024 };

static const char POSITION[] = "position";
static const char OPTIONS[] = "options";

const char *const *hub_timeline_families(void)
{
    static const char *const families[] = {"meta", "entries", "tokens", "facts", "events", "nodes", "revisions", NULL};
    return families;
}

/* --- pending changes --- */

static uint64_t hash(enum family family, struct hub_span key)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)family; /* FNV-1a */
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ key.ptr[i]) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

static bool is_key(struct hub_span stored, enum family family, struct hub_span key)
{
    return stored.len == key.len + 1 && stored.ptr[0] == (uint8_t)family &&
           hub_span_equal(hub_span_of(stored.ptr + 1, key.len), key);
}

/* The slot of KEY, or the free one where it belongs. */
static struct pending *slot_of(struct pending *slots, size_t cap, enum family family, struct hub_span key)
{
    size_t at = (size_t)hash(family, key) & (cap - 1);
    while (slots[at].key.ptr != NULL && !is_key(slots[at].key, family, key))
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

static bool grow(struct hub_timeline *t)
{
    if (t->pending_count * 2 < t->pending_cap)
        return true;
    size_t cap = t->pending_cap != 0 ? t->pending_cap * 2 : 1024;
    struct pending *slots = hub_mem_array(cap, sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < t->pending_cap; i++) {
        const struct pending *p = &t->pending[i];
        if (p->key.ptr != NULL)
            *slot_of(slots, cap, (enum family)p->key.ptr[0], hub_span_of(p->key.ptr + 1, p->key.len - 1)) =
                *p;
    }
    hub_mem_free(t->pending);
    t->pending = slots;
    t->pending_cap = cap;
    return true;
}

static enum hub_result set_pending(struct hub_timeline *t, enum family family, struct hub_span key,
                                   struct hub_span value, bool deleted, struct hub_error *err)
{
    if (!grow(t))
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct hub_span copy = hub_arena_copy(&t->arena, value);
    struct pending *slot = slot_of(t->pending, t->pending_cap, family, key);
    uint8_t *full = slot->key.ptr == NULL ? (uint8_t *)hub_arena_bytes(&t->arena, key.len + 1) : NULL;
    if (copy.ptr == NULL || (slot->key.ptr == NULL && full == NULL))
        return hub_fail(err, HUB_NO_MEMORY, "no memory for pending changes of the timeline", NULL);
    if (full != NULL) {
        full[0] = (uint8_t)family;
        memcpy(full + 1, key.ptr, key.len);
        slot->key = hub_span_of(full, key.len + 1);
        t->pending_count++;
    }
    slot->value = copy;
    slot->deleted = deleted;
    return HUB_OK;
}

enum hub_result timeline_put(struct hub_timeline *t, enum family family, struct hub_span key,
                             struct hub_span value, struct hub_error *err)
{
    return set_pending(t, family, key, value, false, err);
}

enum hub_result timeline_delete(struct hub_timeline *t, enum family family, struct hub_span key,
                                struct hub_error *err)
{
    return set_pending(t, family, key, HUB_SPAN(""), true, err);
}

enum hub_result timeline_get(struct hub_timeline *t, enum family family, struct hub_span key,
                             struct hub_span *value, struct hub_error *err)
{
    if (t->pending_cap != 0) {
        const struct pending *slot = slot_of(t->pending, t->pending_cap, family, key);
        if (slot->key.ptr != NULL) {
            *value = slot->value;
            return slot->deleted ? HUB_NOT_FOUND : HUB_OK;
        }
    }
    struct hub_kv_value got;
    HUB_TRY(hub_kv_get(t->kv, family, key, &got, err));
    *value = hub_arena_copy(&t->scratch, got.bytes);
    hub_kv_value_free(&got);
    return value->ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

enum hub_result timeline_get_json(struct hub_timeline *t, enum family family, struct hub_span key,
                                  struct hub_json **out, struct hub_error *err)
{
    *out = NULL;
    struct hub_span text;
    enum hub_result result = timeline_get(t, family, key, &text, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    result = hub_json_parse(&t->scratch, text, out, err);
    if (result == HUB_SYNTAX)
        return hub_fail(err, HUB_CORRUPT, "a record of the timeline is damaged", NULL);
    return result;
}

static enum hub_result write_text(struct hub_timeline *t, const struct hub_json *value, struct hub_error *err)
{
    if (value == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_buf_reset(&t->text);
    hub_json_write(&t->text, value);
    enum hub_result result = hub_buf_result(&t->text);
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}

enum hub_result timeline_put_json(struct hub_timeline *t, enum family family, struct hub_span key,
                                  const struct hub_json *value, struct hub_error *err)
{
    HUB_TRY(write_text(t, value, err));
    return timeline_put(t, family, key, hub_buf_view(&t->text), err);
}

bool timeline_is_pending(const struct hub_timeline *t, enum family family, struct hub_span key)
{
    return t->pending_cap != 0 && slot_of(t->pending, t->pending_cap, family, key)->key.ptr != NULL;
}

enum hub_result timeline_meta_put(struct hub_timeline *t, const char *key, struct hub_span text, struct hub_error *err)
{
    return timeline_put(t, FAMILY_META, hub_span_str(key), text, err);
}

void timeline_add(struct hub_timeline *t, enum family family, struct hub_span key, struct hub_span text)
{
    hub_kv_batch_put(t->batch, t->kv, family, key, text);
    t->batch_bytes += key.len + text.len;
}

enum hub_result timeline_add_json(struct hub_timeline *t, enum family family, struct hub_span key,
                                  const struct hub_json *value, struct hub_error *err)
{
    HUB_TRY(write_text(t, value, err));
    timeline_add(t, family, key, hub_buf_view(&t->text));
    return HUB_OK;
}

void timeline_remove(struct hub_timeline *t, enum family family, struct hub_span key)
{
    hub_kv_batch_delete(t->batch, t->kv, family, key);
}

enum hub_result timeline_fact_put(struct hub_timeline *t, struct hub_span key, const struct hub_json *fact,
                                  struct hub_error *err)
{
    return t->part == HUB_TIMELINE_IDENTITY ? timeline_put_json(t, FAMILY_FACTS, key, fact, err)
                                            : timeline_add_json(t, FAMILY_FACTS, key, fact, err);
}

enum hub_result timeline_fact_delete(struct hub_timeline *t, struct hub_span key, struct hub_error *err)
{
    if (t->part == HUB_TIMELINE_IDENTITY)
        return timeline_delete(t, FAMILY_FACTS, key, err);
    timeline_remove(t, FAMILY_FACTS, key);
    return HUB_OK;
}

struct hub_span timeline_key(struct hub_timeline *t, struct hub_span a, struct hub_span b)
{
    char *key = hub_arena_bytes(&t->scratch, a.len + 1 + b.len);
    if (key == NULL)
        return HUB_SPAN_NONE;
    memcpy(key, a.ptr, a.len);
    key[a.len] = '/';
    memcpy(key + a.len + 1, b.ptr, b.len);
    return hub_span_of(key, a.len + 1 + b.len);
}

/* What one large event needed is not kept for all others. */
static void shrink(struct hub_buf *buf)
{
    enum { KEPT = 4 * 1024 * 1024 };
    const size_t bytes_max = buf->bytes_max;
    if (buf->cap <= KEPT)
        return;
    hub_buf_deinit(buf);
    hub_buf_init(buf, bytes_max, false);
}

static void forget_pending(struct hub_timeline *t)
{
    hub_kv_batch_clear(t->batch);
    t->batch_bytes = 0;
    t->fact_max = 0;
    shrink(&t->text);
    shrink(&t->group.records);
    if (t->pending_cap > 4096 && t->pending_count < t->pending_cap / 16) {
        hub_mem_free(t->pending); /* after a large batch: small ones should not walk its table */
        t->pending = NULL;
        t->pending_cap = 0;
    } else if (t->pending_count != 0) {
        memset(t->pending, 0, t->pending_cap * sizeof *t->pending);
    }
    t->pending_count = 0;
    hub_arena_reset(&t->arena);
}

bool timeline_tells(const struct hub_timeline *t)
{
    return t->sink.record != NULL && !t->quiet;
}

enum hub_result timeline_tell(struct hub_timeline *t, struct hub_span key, struct hub_span subject, struct hub_span value,
                              struct hub_error *err)
{
    return timeline_tells(t) ? t->sink.record(t->sink.ctx, key, subject, value, err) : HUB_OK;
}

/* Token records change often and are told once a batch; all else was told when it was made. */
static enum hub_result settle(struct hub_timeline *t, struct hub_error *err)
{
    if (!timeline_tells(t))
        return HUB_OK;
    for (size_t i = 0; i < t->pending_cap; i++) {
        const struct pending *p = &t->pending[i];
        if (p->key.ptr == NULL || p->key.ptr[0] != FAMILY_TOKENS)
            continue;
        struct hub_span token = hub_span_of(p->key.ptr + 1, p->key.len - 1);
        HUB_TRY(timeline_tell(t, token, token, p->deleted ? HUB_SPAN_NONE : p->value, err));
    }
    return t->sink.settle(t->sink.ctx, err);
}

enum hub_result timeline_write_pending(struct hub_timeline *t, bool sync, struct hub_error *err)
{
    HUB_TRY(settle(t, err)); /* it may set marks, which are pending then */
    for (size_t i = 0; i < t->pending_cap; i++) {
        const struct pending *p = &t->pending[i];
        if (p->key.ptr == NULL)
            continue;
        struct hub_span key = hub_span_of(p->key.ptr + 1, p->key.len - 1);
        if (p->deleted)
            hub_kv_batch_delete(t->batch, t->kv, p->key.ptr[0], key);
        else
            hub_kv_batch_put(t->batch, t->kv, p->key.ptr[0], key, p->value);
    }
    hub_crash_point(HUB_CRASH_BEFORE_TIMELINE);
    HUB_TRY(hub_kv_write(t->kv, t->batch, sync, err));
    hub_crash_point(HUB_CRASH_AFTER_TIMELINE);
    forget_pending(t);
    return HUB_OK;
}

void hub_timeline_forget(struct hub_timeline *t)
{
    forget_pending(t);
    timeline_restore_forget(t);
    hub_arena_reset(&t->scratch);
    hub_buf_reset(&t->text);
}

/* --- opening --- */

enum hub_result hub_timeline_kv_position(struct hub_kv *kv, uint64_t *position, struct hub_error *err)
{
    struct hub_kv_value value;
    *position = 0;
    enum hub_result result = hub_kv_get(kv, FAMILY_META, hub_span_str(POSITION), &value, err);
    if (result == HUB_OK) {
        if (!hub_span_parse_u64(value.bytes, position))
            result = hub_fail(err, HUB_CORRUPT, "the timeline's position is damaged", NULL);
        hub_kv_value_free(&value);
    }
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

static enum hub_result read_position(struct hub_timeline *t, struct hub_error *err)
{
    uint64_t position = 0;
    enum hub_result result = hub_timeline_kv_position(t->kv, &position, err);
    atomic_store(&t->position, position);
    return result;
}

enum hub_result hub_timeline_reset(struct hub_timeline *t, struct hub_error *err)
{
    hub_timeline_forget(t);
    HUB_TRY(timeline_restore_left(t, &t->restoring, err));
    t->quiet = t->restoring;
    return read_position(t, err);
}

/* Charts depend on the limits: with other ones every component is computed anew. */
static enum hub_result recompute_all(struct hub_timeline *t, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, FAMILY_TOKENS, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (result == HUB_OK && hub_kv_iter_next(iter)) {
        hub_arena_reset(&t->scratch);
        struct hub_span token = hub_arena_copy(&t->scratch, hub_kv_iter_key(iter));
        result = token.ptr != NULL ? timeline_recompute(t, &token, 1, err)
                                   : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        if (result == HUB_OK && t->arena.used > PENDING_BYTES_WRITE)
            result = timeline_write_pending(t, false, err);
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

static enum hub_result check_options(struct hub_timeline *t, struct hub_error *err)
{
    char now[64];
    (void)snprintf(now, sizeof now, "chart_tokens=%u inverse_merge_reject=%d", t->identity.chart_tokens,
                   t->identity.inverse_merge_reject);
    struct hub_span before = HUB_SPAN_NONE;
    enum hub_result result = timeline_get(t, FAMILY_META, hub_span_str(OPTIONS), &before, err);
    if (result == HUB_OK && hub_span_is(before, now))
        return HUB_OK;
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    if (result == HUB_OK && t->part != HUB_TIMELINE_PARTITION)
        HUB_TRY(recompute_all(t, err));
    HUB_TRY(timeline_meta_put(t, OPTIONS, hub_span_str(now), err));
    return timeline_write_pending(t, true, err);
}

static enum hub_result open_state(struct hub_timeline *t, struct hub_error *err)
{
    t->quiet = true;
    HUB_TRY(read_position(t, err));
    HUB_TRY(timeline_form(t, err));
    HUB_TRY(check_options(t, err));
    HUB_TRY(timeline_restore_left(t, &t->restoring, err));
    t->quiet = t->restoring;
    return HUB_OK;
}

enum hub_result hub_timeline_open(struct hub_kv *kv, const struct hub_timeline_options *options,
                                  struct hub_timeline **out, struct hub_error *err)
{
    struct hub_timeline *t = hub_mem_alloc(sizeof *t);
    if (t == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    t->kv = kv;
    t->part = options->part;
    t->sink = options->sink;
    t->identity.chart_tokens = options->chart_tokens != 0 ? options->chart_tokens : 1;
    t->identity.inverse_merge_reject = options->inverse_merge_reject;
    hub_arena_init_sealed(&t->arena, PENDING_BYTES_MAX);
    hub_arena_init_sealed(&t->scratch, SCRATCH_BYTES_MAX);
    hub_buf_init(&t->text, VALUE_BYTES_MAX, false);
    hub_buf_init(&t->group.records, VALUE_BYTES_MAX, false);
    t->batch = hub_kv_batch_new();
    enum hub_result result = t->batch != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (result == HUB_OK)
        result = open_state(t, err);
    if (result != HUB_OK) {
        hub_timeline_close(t);
        return result;
    }
    *out = t;
    return HUB_OK;
}

void hub_timeline_close(struct hub_timeline *t)
{
    if (t == NULL)
        return;
    timeline_restore_forget(t);
    hub_kv_batch_free(t->batch);
    hub_mem_free(t->pending);
    hub_arena_deinit(&t->arena);
    hub_arena_deinit(&t->scratch);
    hub_buf_deinit(&t->text);
    hub_buf_deinit(&t->group.records);
    hub_mem_free(t);
}

uint64_t hub_timeline_position(const struct hub_timeline *t)
{
    return atomic_load(&t->position);
}

enum hub_result hub_timeline_flush(struct hub_timeline *t, uint64_t position, bool sync,
                                   struct hub_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)position);
    HUB_TRY(timeline_restore_settle(t, err));
    HUB_TRY(timeline_meta_put(t, POSITION, hub_span_str(text), err));
    HUB_TRY(timeline_write_pending(t, sync, err));
    atomic_store(&t->position, position);
    return HUB_OK;
}

/* --- marks --- */

static bool mark_key(const char *name, char out[HUB_TIMELINE_MARK_MAX])
{
    const int len = snprintf(out, HUB_TIMELINE_MARK_MAX, "mark/%s", name);
    return len > 0 && len < HUB_TIMELINE_MARK_MAX && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")] == '\0';
}

enum hub_result hub_timeline_set_mark(struct hub_timeline *t, const char *name, struct hub_span text, struct hub_error *err)
{
    char key[HUB_TIMELINE_MARK_MAX];
    if (!mark_key(name, key) || text.len >= HUB_TIMELINE_MARK_MAX)
        return hub_fail(err, HUB_USAGE, "a mark of the timeline with a name or text that cannot be", NULL);
    return timeline_meta_put(t, key, text, err);
}

enum hub_result hub_timeline_mark(struct hub_timeline *t, const char *name, char out[HUB_TIMELINE_MARK_MAX],
                                  struct hub_error *err)
{
    char key[HUB_TIMELINE_MARK_MAX];
    struct hub_kv_value value;
    if (!mark_key(name, key))
        return hub_fail(err, HUB_USAGE, "a mark of the timeline with a name that cannot be", NULL);
    enum hub_result result = hub_kv_get(t->kv, FAMILY_META, hub_span_str(key), &value, err);
    if (result != HUB_OK)
        return result;
    if (value.bytes.len >= HUB_TIMELINE_MARK_MAX) {
        result = hub_fail(err, HUB_CORRUPT, "a mark of the timeline is damaged", NULL);
    } else {
        if (value.bytes.len != 0)
            memcpy(out, value.bytes.ptr, value.bytes.len);
        out[value.bytes.len] = '\0';
    }
    hub_kv_value_free(&value);
    return result;
}
