#include "src/store/kv_backend.h"

#include <stdatomic.h>

#include "src/base/mem.h"

enum { BATCH_BYTES_KEPT = 8 * 1024 * 1024 };

struct hub_kv_batch {
    const struct hub_kv_ops *ops; /* NULL until the first put or delete */
    void *impl;
    size_t count;
    size_t bytes; /* of keys and values since the last clear */
    bool failed; /* out of memory: never written, not even in part */
};

/* --- operations made to fail --- */

static atomic_uint_fast64_t fail_at;
static atomic_uint_fast64_t counted;
static atomic_uint fail_what;
static atomic_bool fail_lasting;
static bool (*_Atomic fail_when)(void);

uint64_t hub_kv_fail_nth(unsigned what, uint64_t nth, bool lasting)
{
    atomic_store(&fail_at, 0);
    atomic_store(&fail_when, NULL);
    uint64_t before = atomic_exchange(&counted, 0);
    atomic_store(&fail_what, what);
    atomic_store(&fail_lasting, lasting);
    atomic_store(&fail_at, nth);
    return before;
}

void hub_kv_fail_when(unsigned what, bool (*fails)(void))
{
    (void)hub_kv_fail_nth(what, 0, false);
    atomic_store(&fail_when, fails);
    atomic_store(&fail_at, fails != NULL ? 1 : 0);
}

static bool must_fail(unsigned what)
{
    uint_fast64_t nth = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (nth == 0 || (atomic_load_explicit(&fail_what, memory_order_relaxed) & what) == 0)
        return false;
    bool (*fails)(void) = atomic_load_explicit(&fail_when, memory_order_acquire);
    if (fails != NULL)
        return fails();
    uint_fast64_t n = atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed) + 1;
    return n == nth || (n > nth && atomic_load_explicit(&fail_lasting, memory_order_relaxed));
}

static enum hub_result made_to_fail(struct hub_error *err)
{
    return hub_fail(err, HUB_IO, "made to fail", NULL);
}

/* --- the port --- */

unsigned hub_kv_family_count(const struct hub_kv_options *options)
{
    unsigned count = 0;
    while (options->families[count] != NULL)
        count++;
    HUB_ASSERT(count > 0 && count <= HUB_KV_FAMILIES_MAX);
    return count;
}

void hub_kv_close(struct hub_kv *kv)
{
    if (kv != NULL)
        kv->ops->close(kv);
}

enum hub_result hub_kv_reopen(struct hub_kv *kv, struct hub_error *err)
{
    return kv->ops->reopen(kv, err);
}

enum hub_result hub_kv_checkpoint(struct hub_kv *kv, const char *path, struct hub_error *err)
{
    return kv->ops->checkpoint(kv, path, err);
}

enum hub_result hub_kv_get(struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_kv_value *out,
                           struct hub_error *err)
{
    HUB_ASSERT(family < kv->family_count);
    out->bytes = HUB_SPAN_NONE;
    out->owner = NULL;
    if (must_fail(HUB_KV_READS))
        return made_to_fail(err);
    uint8_t *bytes = NULL;
    size_t len = 0;
    HUB_TRY(kv->ops->get(kv, family, key, &bytes, &len, err));
    out->bytes = hub_span_of(bytes, len);
    out->owner = bytes;
    return HUB_OK;
}

void hub_kv_value_free(struct hub_kv_value *value)
{
    hub_mem_free(value->owner);
    value->bytes = HUB_SPAN_NONE;
    value->owner = NULL;
}

struct hub_kv_batch *hub_kv_batch_new(void)
{
    return hub_mem_alloc(sizeof(struct hub_kv_batch));
}

void hub_kv_batch_free(struct hub_kv_batch *batch)
{
    if (batch == NULL)
        return;
    if (batch->impl != NULL)
        batch->ops->batch_free(batch->impl);
    hub_mem_free(batch);
}

void hub_kv_batch_clear(struct hub_kv_batch *batch)
{
    if (batch->bytes > BATCH_BYTES_KEPT) { /* one large value must not hold its room for ever */
        batch->ops->batch_free(batch->impl);
        batch->impl = NULL;
    } else if (batch->impl != NULL) {
        batch->ops->batch_clear(batch->impl);
    }
    batch->count = 0;
    batch->bytes = 0;
    batch->failed = false;
}

static void batch_add(struct hub_kv_batch *batch, struct hub_kv *kv, unsigned family, struct hub_span key,
                      const struct hub_span *value)
{
    HUB_ASSERT(family < kv->family_count);
    HUB_ASSERT(batch->ops == NULL || batch->ops == kv->ops);
    if (batch->impl == NULL) {
        batch->ops = kv->ops;
        batch->impl = kv->ops->batch_new();
    }
    if (batch->impl == NULL || !kv->ops->batch_add(batch->impl, kv, family, key, value))
        batch->failed = true;
    batch->count++;
    batch->bytes += key.len + (value != NULL ? value->len : 0);
}

void hub_kv_batch_put(struct hub_kv_batch *batch, struct hub_kv *kv, unsigned family, struct hub_span key,
                      struct hub_span value)
{
    batch_add(batch, kv, family, key, &value);
}

void hub_kv_batch_delete(struct hub_kv_batch *batch, struct hub_kv *kv, unsigned family, struct hub_span key)
{
    batch_add(batch, kv, family, key, NULL);
}

size_t hub_kv_batch_count(const struct hub_kv_batch *batch)
{
    return batch->count;
}

enum hub_result hub_kv_write(struct hub_kv *kv, struct hub_kv_batch *batch, bool sync, struct hub_error *err)
{
    if (batch->failed)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a batch of the store", NULL);
    if (must_fail(HUB_KV_WRITES))
        return made_to_fail(err);
    if (batch->count == 0)
        return sync ? kv->ops->sync(kv, err) : HUB_OK;
    HUB_ASSERT(batch->ops == kv->ops);
    return kv->ops->write(kv, batch->impl, sync, err);
}

enum hub_result hub_kv_sync(struct hub_kv *kv, struct hub_error *err)
{
    return must_fail(HUB_KV_WRITES) ? made_to_fail(err) : kv->ops->sync(kv, err);
}

enum hub_result hub_kv_erase(struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_error *err)
{
    HUB_ASSERT(family < kv->family_count);
    return kv->ops->erase(kv, family, key, err);
}

struct hub_kv_iter *hub_kv_iter_new(struct hub_kv *kv, unsigned family, struct hub_span prefix)
{
    HUB_ASSERT(family < kv->family_count);
    return kv->ops->iter_new(kv, family, prefix);
}

void hub_kv_iter_free(struct hub_kv_iter *iter)
{
    if (iter != NULL)
        iter->ops->iter_free(iter);
}

bool hub_kv_iter_next(struct hub_kv_iter *iter)
{
    if (must_fail(HUB_KV_READS)) {
        iter->failed = true;
        iter->valid = false;
    } else if (!iter->started) {
        iter->started = true;
        iter->valid = iter->ops->iter_seek(iter, iter->prefix);
    } else if (iter->valid) {
        iter->valid = iter->ops->iter_step(iter);
    }
    return iter->valid;
}

bool hub_kv_iter_seek(struct hub_kv_iter *iter, struct hub_span key)
{
    iter->started = true;
    iter->failed = iter->failed || must_fail(HUB_KV_READS);
    iter->valid = !iter->failed &&
                  iter->ops->iter_seek(iter, hub_span_compare(key, iter->prefix) < 0 ? iter->prefix : key);
    return iter->valid;
}

struct hub_span hub_kv_iter_key(const struct hub_kv_iter *iter)
{
    return iter->valid ? iter->ops->iter_key(iter) : HUB_SPAN_NONE;
}

struct hub_span hub_kv_iter_value(const struct hub_kv_iter *iter)
{
    return iter->valid ? iter->ops->iter_value(iter) : HUB_SPAN_NONE;
}

enum hub_result hub_kv_iter_result(const struct hub_kv_iter *iter, struct hub_error *err)
{
    return iter->failed ? made_to_fail(err) : iter->ops->iter_result(iter, err);
}
