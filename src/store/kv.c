#include "src/store/kv_backend.h"

#include "src/base/mem.h"

enum { BATCH_BYTES_KEPT = 8 * 1024 * 1024 };

struct hub_kv_batch {
    const struct hub_kv_ops *ops; /* NULL until the first put or delete */
    void *impl;
    size_t count;
    size_t bytes; /* of keys and values since the last clear */
    bool failed; /* out of memory: never written, not even in part */
};

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

enum hub_result hub_kv_get(struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_kv_value *out,
                           struct hub_error *err)
{
    HUB_ASSERT(family < kv->family_count);
    out->bytes = HUB_SPAN_NONE;
    out->owner = NULL;
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
    if (batch->count == 0)
        return sync ? kv->ops->sync(kv, err) : HUB_OK;
    HUB_ASSERT(batch->ops == kv->ops);
    return kv->ops->write(kv, batch->impl, sync, err);
}

enum hub_result hub_kv_sync(struct hub_kv *kv, struct hub_error *err)
{
    return kv->ops->sync(kv, err);
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
    if (!iter->started) {
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
    iter->valid = iter->ops->iter_seek(iter, hub_span_compare(key, iter->prefix) < 0 ? iter->prefix : key);
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
    return iter->ops->iter_result(iter, err);
}
