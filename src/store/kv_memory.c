/* The store in memory, for tests: a sorted array of items a family, shared with iterators and copied when it
 * changes under them (a snapshot costs nothing until then). */
#include <pthread.h>
#include <stdatomic.h>

#include "src/base/mem.h"
#include "src/store/kv_backend.h"

struct item {
    atomic_uint refs;
    unsigned family;
    bool deleted; /* in a batch: a delete */
    size_t key_len, value_len;
    uint8_t bytes[]; /* key, then value */
};

struct table {
    atomic_uint refs;
    size_t count, cap;
    struct item **items;
};

struct memory_kv {
    struct hub_kv kv;
    pthread_mutex_t lock;
    struct table *tables[HUB_KV_FAMILIES_MAX];
};

struct memory_batch {
    struct item **items;
    size_t count, cap;
};

struct memory_iter {
    struct hub_kv_iter iter;
    struct table *table;
    size_t at;
};

static const struct hub_kv_ops ops;

static void item_unref(struct item *item)
{
    if (atomic_fetch_sub(&item->refs, 1) == 1)
        hub_mem_free(item);
}

static struct hub_span item_key(const struct item *item)
{
    return hub_span_of(item->bytes, item->key_len);
}

static void table_unref(struct table *table)
{
    if (table == NULL || atomic_fetch_sub(&table->refs, 1) != 1)
        return;
    for (size_t i = 0; i < table->count; i++)
        item_unref(table->items[i]);
    hub_mem_free(table->items);
    hub_mem_free(table);
}

static struct table *table_new(size_t cap)
{
    struct table *table = hub_mem_alloc(sizeof *table);
    struct item **items = hub_mem_array(cap, sizeof(struct item *));
    if (table == NULL || items == NULL) {
        hub_mem_free(table);
        hub_mem_free(items);
        return NULL;
    }
    atomic_init(&table->refs, 1);
    table->items = items;
    table->cap = cap;
    return table;
}

/* Index of the first item with a key >= KEY. */
static size_t table_find(const struct table *table, struct hub_span key)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (hub_span_compare(item_key(table->items[mid]), key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool table_holds(const struct table *table, size_t at, struct hub_span key)
{
    return at < table->count && hub_span_equal(item_key(table->items[at]), key);
}

/* Makes the family's table the store's own with room for EXTRA more items. */
static bool table_prepare(struct memory_kv *kv, unsigned family, size_t extra)
{
    struct table *table = kv->tables[family];
    if (atomic_load(&table->refs) == 1 && table->count + extra <= table->cap)
        return true;
    struct table *copy = table_new((table->count + extra) * 2);
    if (copy == NULL)
        return false;
    for (size_t i = 0; i < table->count; i++) {
        copy->items[i] = table->items[i];
        atomic_fetch_add(&copy->items[i]->refs, 1);
    }
    copy->count = table->count;
    kv->tables[family] = copy;
    table_unref(table);
    return true;
}

static void table_apply(struct table *table, struct item *item)
{
    struct hub_span key = item_key(item);
    size_t at = table_find(table, key);
    bool there = table_holds(table, at, key);
    if (item->deleted) {
        if (!there)
            return;
        item_unref(table->items[at]);
        memmove(&table->items[at], &table->items[at + 1], (table->count - at - 1) * sizeof table->items[0]);
        table->count--;
        return;
    }
    if (there) {
        item_unref(table->items[at]);
    } else {
        memmove(&table->items[at + 1], &table->items[at], (table->count - at) * sizeof table->items[0]);
        table->count++;
    }
    atomic_fetch_add(&item->refs, 1);
    table->items[at] = item;
}

static void close_store(struct hub_kv *base)
{
    struct memory_kv *kv = (struct memory_kv *)base;
    for (unsigned i = 0; i < kv->kv.family_count; i++)
        table_unref(kv->tables[i]);
    (void)pthread_mutex_destroy(&kv->lock);
    hub_mem_free(kv);
}

enum hub_result hub_kv_open_memory(const struct hub_kv_options *options, struct hub_kv **out)
{
    struct memory_kv *kv = hub_mem_alloc(sizeof *kv);
    HUB_ENSURE(kv != NULL, HUB_NO_MEMORY);
    kv->kv.ops = &ops;
    kv->kv.family_count = hub_kv_family_count(options);
    (void)pthread_mutex_init(&kv->lock, NULL);
    for (unsigned i = 0; i < kv->kv.family_count; i++) {
        kv->tables[i] = table_new(16);
        if (kv->tables[i] == NULL) {
            close_store(&kv->kv);
            return HUB_NO_MEMORY;
        }
    }
    *out = &kv->kv;
    return HUB_OK;
}

static enum hub_result get(struct hub_kv *base, unsigned family, struct hub_span key, uint8_t **bytes,
                           size_t *len, struct hub_error *err)
{
    struct memory_kv *kv = (struct memory_kv *)base;
    enum hub_result result = HUB_NOT_FOUND;
    (void)pthread_mutex_lock(&kv->lock);
    const struct table *table = kv->tables[family];
    size_t at = table_find(table, key);
    if (table_holds(table, at, key)) {
        const struct item *item = table->items[at];
        *bytes = hub_mem_resize(NULL, item->value_len);
        result = *bytes != NULL ? HUB_OK : HUB_NO_MEMORY;
        if (*bytes != NULL && item->value_len != 0)
            memcpy(*bytes, item->bytes + item->key_len, item->value_len);
        *len = item->value_len;
    }
    (void)pthread_mutex_unlock(&kv->lock);
    return result == HUB_NO_MEMORY ? hub_fail(err, result, NULL, NULL) : result;
}

static void *batch_new(void)
{
    return hub_mem_alloc(sizeof(struct memory_batch));
}

static void batch_clear(void *impl)
{
    struct memory_batch *batch = impl;
    for (size_t i = 0; i < batch->count; i++)
        item_unref(batch->items[i]);
    batch->count = 0;
}

static void batch_free(void *impl)
{
    struct memory_batch *batch = impl;
    batch_clear(batch);
    hub_mem_free(batch->items);
    hub_mem_free(batch);
}

static bool batch_add(void *impl, struct hub_kv *kv, unsigned family, struct hub_span key,
                      const struct hub_span *value)
{
    (void)kv;
    struct memory_batch *batch = impl;
    if (batch->count == batch->cap) {
        size_t cap = batch->cap != 0 ? batch->cap * 2 : 16;
        struct item **items = hub_mem_resize(batch->items, cap * sizeof(struct item *));
        if (items == NULL)
            return false;
        batch->items = items;
        batch->cap = cap;
    }
    size_t value_len = value != NULL ? value->len : 0;
    struct item *item = hub_mem_alloc(sizeof *item + key.len + value_len);
    if (item == NULL)
        return false;
    atomic_init(&item->refs, 1);
    item->family = family;
    item->deleted = value == NULL;
    item->key_len = key.len;
    item->value_len = value_len;
    if (key.len != 0)
        memcpy(item->bytes, key.ptr, key.len);
    if (value_len != 0)
        memcpy(item->bytes + key.len, value->ptr, value_len);
    batch->items[batch->count++] = item;
    return true;
}

static enum hub_result write_batch(struct hub_kv *base, void *impl, bool sync, struct hub_error *err)
{
    (void)sync;
    struct memory_kv *kv = (struct memory_kv *)base;
    struct memory_batch *batch = impl;
    bool ready = true;
    (void)pthread_mutex_lock(&kv->lock);
    /* All memory is found before the first change, so that a batch is applied whole or not at all. */
    for (unsigned family = 0; family < kv->kv.family_count && ready; family++) {
        size_t extra = 0;
        for (size_t i = 0; i < batch->count; i++)
            extra += batch->items[i]->family == family;
        ready = extra == 0 || table_prepare(kv, family, extra);
    }
    for (size_t i = 0; i < batch->count && ready; i++)
        table_apply(kv->tables[batch->items[i]->family], batch->items[i]);
    (void)pthread_mutex_unlock(&kv->lock);
    return ready ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static enum hub_result sync_store(struct hub_kv *kv, struct hub_error *err)
{
    (void)kv;
    (void)err;
    return HUB_OK;
}

/* What is deleted is freed at once. */
static enum hub_result erase(struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_error *err)
{
    (void)kv;
    (void)family;
    (void)key;
    (void)err;
    return HUB_OK;
}

static void iter_free(struct hub_kv_iter *base)
{
    struct memory_iter *iter = (struct memory_iter *)base;
    table_unref(iter->table);
    hub_mem_free((void *)(uintptr_t)iter->iter.prefix.ptr);
    hub_mem_free(iter);
}

static struct hub_kv_iter *iter_new(struct hub_kv *base, unsigned family, struct hub_span prefix)
{
    struct memory_kv *kv = (struct memory_kv *)base;
    struct memory_iter *iter = hub_mem_alloc(sizeof *iter);
    uint8_t *prefix_copy = hub_mem_alloc(prefix.len);
    if (iter == NULL || prefix_copy == NULL) {
        hub_mem_free(iter);
        hub_mem_free(prefix_copy);
        return NULL;
    }
    if (prefix.len != 0)
        memcpy(prefix_copy, prefix.ptr, prefix.len);
    iter->iter.ops = &ops;
    iter->iter.prefix = hub_span_of(prefix_copy, prefix.len);
    (void)pthread_mutex_lock(&kv->lock);
    iter->table = kv->tables[family];
    atomic_fetch_add(&iter->table->refs, 1);
    (void)pthread_mutex_unlock(&kv->lock);
    return &iter->iter;
}

static enum hub_result reopen_store(struct hub_kv *base, struct hub_error *err)
{
    (void)base;
    (void)err;
    return HUB_OK;
}

static enum hub_result checkpoint(struct hub_kv *base, const char *path, struct hub_error *err)
{
    (void)base;
    (void)path;
    return hub_fail(err, HUB_USAGE, "a store in memory has no copy on disk", NULL);
}

static struct hub_span iter_key(const struct hub_kv_iter *base)
{
    const struct memory_iter *iter = (const struct memory_iter *)base;
    return item_key(iter->table->items[iter->at]);
}

static bool under_prefix(const struct memory_iter *iter)
{
    if (iter->at >= iter->table->count)
        return false;
    struct hub_span key = iter_key(&iter->iter);
    struct hub_span prefix = iter->iter.prefix;
    return key.len >= prefix.len && hub_span_equal(hub_span_of(key.ptr, prefix.len), prefix);
}

static bool iter_seek(struct hub_kv_iter *base, struct hub_span key)
{
    struct memory_iter *iter = (struct memory_iter *)base;
    iter->at = table_find(iter->table, key);
    return under_prefix(iter);
}

static bool iter_step(struct hub_kv_iter *base)
{
    struct memory_iter *iter = (struct memory_iter *)base;
    iter->at++;
    return under_prefix(iter);
}

static struct hub_span iter_value(const struct hub_kv_iter *base)
{
    const struct memory_iter *iter = (const struct memory_iter *)base;
    const struct item *item = iter->table->items[iter->at];
    return hub_span_of(item->bytes + item->key_len, item->value_len);
}

static enum hub_result iter_result(const struct hub_kv_iter *iter, struct hub_error *err)
{
    (void)iter;
    (void)err;
    return HUB_OK;
}

static const struct hub_kv_ops ops = {
    .close = close_store,
    .get = get,
    .batch_new = batch_new,
    .batch_free = batch_free,
    .batch_clear = batch_clear,
    .batch_add = batch_add,
    .write = write_batch,
    .sync = sync_store,
    .erase = erase,
    .reopen = reopen_store,
    .checkpoint = checkpoint,
    .iter_new = iter_new,
    .iter_free = iter_free,
    .iter_seek = iter_seek,
    .iter_step = iter_step,
    .iter_key = iter_key,
    .iter_value = iter_value,
    .iter_result = iter_result,
};
