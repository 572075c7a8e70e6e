/* The store on disk; the only user of RocksDB (7.8 to 9.x, C API). Memory is bounded by the block cache,
 * which index and filter blocks share, and by one write buffer budget over all families. */
#include <rocksdb/c.h>

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "src/base/disk.h"
#include "src/base/mem.h"
#include "src/store/kv_backend.h"

enum {
    CACHE_DEFAULT = 32 * 1024 * 1024,
    WRITE_BUFFER = 4 * 1024 * 1024,
    WRITE_BUFFER_DERIVED = 32 * 1024 * 1024,
    WRITE_BUFFERS_ALL = 64 * 1024 * 1024,
    WAL_ALL = 128 * 1024 * 1024,
    BLOCK_BYTES = 8 * 1024,
    SYNC_BYTES = 256 * 1024, /* files are written out in steps of this */
    FILES_OPEN = 512,
    BLOOM_BITS = 10,
    LEVELS = 7,
    LEVELS_PLAIN = 2,   /* young files: written and merged often, so not compressed */
    LEVEL0_FILES = 16,  /* of a store of many writes: merged at this many, ... */
    LEVEL0_SLOW = 32,   /* ... which may take longer than writing so many more ... */
    LEVEL0_STOP = 48,   /* ... and then so many */
    INFO_LOG_FATAL = 4, /* rocksdb::InfoLogLevel::FATAL_LEVEL */
};

static const double MEMTABLE_BLOOM = 0.02; /* of a write buffer */

struct rocks_kv {
    struct hub_kv kv;
    pthread_rwlock_t lock; /* for writing: reopening; for reading: everything else, iterators as long as they live */
    rocksdb_t *db;         /* NULL: could not be opened again */
    const char *const *families;
    bool read_only;
    rocksdb_cache_t *cache;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write_later, *write_sync;
    rocksdb_column_family_handle_t *handles[HUB_KV_FAMILIES_MAX + 1]; /* [0] is "default", unused */
    char *path;
};

struct rocks_iter {
    struct hub_kv_iter iter;
    rocksdb_iterator_t *impl;
    rocksdb_readoptions_t *read;
    char *upper; /* first key after the prefix; must outlive impl */
    struct rocks_kv *kv; /* entered as long as there is IMPL */
};

static const struct hub_kv_ops ops;

/* Consumes MESSAGE. RocksDB reports kinds of failure in the text's head only; keys are never in it. */
static enum hub_result fail(const char *path, char *message, struct hub_error *err)
{
    enum hub_result result = HUB_IO;
    const char *what = "the store could not be read or written";
    if (strstr(message, "lock file") != NULL || strstr(message, "lock hold by") != NULL) {
        result = HUB_BUSY;
        what = "the store is in use by another process";
    } else if (strstr(message, "create_if_missing is false") != NULL) {
        result = HUB_NOT_FOUND;
        what = "there is no store";
    } else if (strncmp(message, "Corruption", 10) == 0 || strstr(message, "No such file") != NULL) { /* one it names */
        result = HUB_CORRUPT;
        what = "the store is damaged";
    } else if (strstr(message, "No space left") != NULL || strstr(message, "quota exceeded") != NULL) {
        result = HUB_QUOTA;
        what = "no space left for the store";
    }
    rocksdb_free(message);
    (void)hub_fail(err, result, what, NULL);
    (void)hub_error_in(err, path, 0);
    return result;
}

/* For the use of the store; leave() after it. */
static enum hub_result enter(struct rocks_kv *kv, struct hub_error *err)
{
    (void)pthread_rwlock_rdlock(&kv->lock);
    if (kv->db != NULL)
        return HUB_OK;
    (void)pthread_rwlock_unlock(&kv->lock);
    (void)hub_fail(err, HUB_IO, "the store is closed after a failure of the disk", "it is opened again when the disk takes it");
    return hub_error_in(err, kv->path, 0);
}

static void leave(struct rocks_kv *kv)
{
    (void)pthread_rwlock_unlock(&kv->lock);
}

static void close_db(struct rocks_kv *kv)
{
    if (kv->db == NULL)
        return;
    for (unsigned i = 0; i <= kv->kv.family_count; i++)
        rocksdb_column_family_handle_destroy(kv->handles[i]);
    rocksdb_close(kv->db);
    kv->db = NULL;
}

static void close_store(struct hub_kv *base)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    close_db(kv);
    (void)pthread_rwlock_destroy(&kv->lock);
    rocksdb_readoptions_destroy(kv->read);
    rocksdb_writeoptions_destroy(kv->write_later);
    rocksdb_writeoptions_destroy(kv->write_sync);
    rocksdb_options_destroy(kv->options);
    rocksdb_cache_destroy(kv->cache);
    hub_mem_free(kv->path);
    hub_mem_free(kv);
}

static void set_table_options(struct rocks_kv *kv, const struct hub_kv_options *options)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, kv->cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_format_version(table, 5);
    if (options->bloom) /* the table options own the policy */
        rocksdb_block_based_options_set_filter_policy(table,
                                                      rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_options_set_block_based_table_factory(kv->options, table);
    rocksdb_block_based_options_destroy(table);
}

static void set_options(struct rocks_kv *kv, const struct hub_kv_options *options)
{
    kv->cache = rocksdb_cache_create_lru(options->cache_bytes != 0 ? options->cache_bytes : CACHE_DEFAULT);
    kv->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(kv->options, options->create);
    rocksdb_options_set_create_missing_column_families(kv->options, 1);
    rocksdb_options_set_write_buffer_size(kv->options, WRITE_BUFFER);
    rocksdb_options_set_db_write_buffer_size(kv->options, WRITE_BUFFERS_ALL);
    rocksdb_options_set_max_total_wal_size(kv->options, WAL_ALL);
    rocksdb_options_set_max_open_files(kv->options, FILES_OPEN);
    rocksdb_options_set_max_background_jobs(kv->options, 2);
    /* not all at the end: the event log's sync would wait behind tens of megabytes */
    rocksdb_options_set_bytes_per_sync(kv->options, SYNC_BYTES);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(kv->options, 1);
    rocksdb_options_set_info_log_level(kv->options, INFO_LOG_FATAL);
    rocksdb_options_set_keep_log_file_num(kv->options, 1);
    rocksdb_options_set_stats_dump_period_sec(kv->options, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(kv->options, 1);
    if (options->bloom) { /* most of what is asked for is not there: young records are as quick to say so */
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(kv->options, MEMTABLE_BLOOM);
        rocksdb_options_set_memtable_whole_key_filtering(kv->options, 1);
    }
    set_table_options(kv, options);
    kv->read = rocksdb_readoptions_create();
    kv->write_later = rocksdb_writeoptions_create();
    kv->write_sync = rocksdb_writeoptions_create();
    if (options->derived) {
        /* all families are written out together: what is on disk is the store as it was at some moment */
        rocksdb_options_set_atomic_flush(kv->options, 1);
        rocksdb_writeoptions_disable_WAL(kv->write_later, 1);
        /* one event's records lie beside each other */
        rocksdb_writeoptions_set_memtable_insert_hint_per_batch(kv->write_later, 1);
        rocksdb_writeoptions_disable_WAL(kv->write_sync, 1);
        rocksdb_options_set_write_buffer_size(kv->options, WRITE_BUFFER_DERIVED);
        rocksdb_options_set_level0_file_num_compaction_trigger(kv->options, LEVEL0_FILES);
        rocksdb_options_set_level0_slowdown_writes_trigger(kv->options, LEVEL0_SLOW);
        rocksdb_options_set_level0_stop_writes_trigger(kv->options, LEVEL0_STOP);
        /* what young files are merged with is no larger than they are */
        rocksdb_options_set_max_bytes_for_level_base(kv->options, (uint64_t)LEVEL0_FILES * WRITE_BUFFER_DERIVED);
    } else {
        rocksdb_writeoptions_set_sync(kv->write_sync, 1);
        /* hardly ever are there two writers of one store, and one alone inserts faster without guarding against others
         * (where records lie beside each other, the hint above, which is for guarded inserts alone, saves more) */
        rocksdb_options_set_allow_concurrent_memtable_write(kv->options, 0);
    }
}

static void set_compression(struct rocks_kv *kv, int compression)
{
    int levels[LEVELS];
    for (size_t i = 0; i < LEVELS; i++)
        levels[i] = i < LEVELS_PLAIN ? rocksdb_no_compression : compression;
    rocksdb_options_set_compression_per_level(kv->options, levels, LEVELS);
}

/* NULL or the failure's text. */
static char *open_with(struct rocks_kv *kv, const char *const *families, int compression)
{
    const char *names[HUB_KV_FAMILIES_MAX + 1] = {"default"};
    const rocksdb_options_t *each[HUB_KV_FAMILIES_MAX + 1] = {kv->options};
    for (unsigned i = 0; i < kv->kv.family_count; i++) {
        names[i + 1] = families[i];
        each[i + 1] = kv->options;
    }
    set_compression(kv, compression);
    char *message = NULL;
    int count = (int)kv->kv.family_count + 1;
    kv->db = kv->read_only ? rocksdb_open_for_read_only_column_families(kv->options, kv->path, count, names, each,
                                                                        kv->handles, 0, &message)
                           : rocksdb_open_column_families(kv->options, kv->path, count, names, each, kv->handles,
                                                          &message);
    if (message != NULL)
        kv->db = NULL;
    return message;
}

static enum hub_result open_db(struct rocks_kv *kv, struct hub_error *err)
{
    char *message = open_with(kv, kv->families, rocksdb_lz4_compression);
    if (message != NULL && strstr(message, "ompression") != NULL) { /* a library built without LZ4 */
        rocksdb_free(message);
        message = open_with(kv, kv->families, rocksdb_no_compression);
    }
    return message != NULL ? fail(kv->path, message, err) : HUB_OK;
}

static bool holds_store(const char *path)
{
    char *current = hub_mem_alloc(strlen(path) + sizeof "/CURRENT");
    if (current == NULL)
        return true;
    (void)snprintf(current, strlen(path) + sizeof "/CURRENT", "%s/CURRENT", path);
    bool there = access(current, F_OK) == 0;
    hub_mem_free(current);
    return there;
}

enum hub_result hub_kv_open_rocksdb(const char *path, const struct hub_kv_options *options,
                                    struct hub_kv **out, struct hub_error *err)
{
    if (options->create) {
        struct hub_disk *disk = hub_disk_system();
        HUB_TRY(disk->ops->mkdir(disk, path, err));
    } else if (!holds_store(path)) { /* RocksDB would leave a folder with its lock and log: in the way of who
                                        restores it */
        (void)hub_fail(err, HUB_NOT_FOUND, "there is no store", NULL);
        return hub_error_in(err, path, 0);
    }
    struct rocks_kv *kv = hub_mem_alloc(sizeof *kv);
    char *path_copy = hub_mem_strdup(path);
    if (kv == NULL || path_copy == NULL) {
        hub_mem_free(kv);
        hub_mem_free(path_copy);
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    }
    kv->kv.ops = &ops;
    kv->kv.family_count = hub_kv_family_count(options);
    kv->path = path_copy;
    kv->families = options->families;
    kv->read_only = options->read_only;
    (void)pthread_rwlock_init(&kv->lock, NULL);
    set_options(kv, options);
    enum hub_result result = open_db(kv, err);
    if (result != HUB_OK) {
        close_store(&kv->kv);
        return result;
    }
    *out = &kv->kv;
    return HUB_OK;
}

static enum hub_result reopen_store(struct hub_kv *base, struct hub_error *err)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    (void)pthread_rwlock_wrlock(&kv->lock);
    close_db(kv);
    enum hub_result result = open_db(kv, err);
    (void)pthread_rwlock_unlock(&kv->lock);
    return result;
}

/* Memory is written out first: of a store without a log of its own that is all there is. */
static enum hub_result checkpoint(struct hub_kv *base, const char *path, struct hub_error *err)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    char *message = NULL;
    HUB_TRY(enter(kv, err));
    rocksdb_checkpoint_t *maker = rocksdb_checkpoint_object_create(kv->db, &message);
    if (message == NULL)
        rocksdb_checkpoint_create(maker, path, 0, &message);
    if (maker != NULL)
        rocksdb_checkpoint_object_destroy(maker);
    leave(kv);
    return message != NULL ? fail(path, message, err) : HUB_OK;
}

static enum hub_result get(struct hub_kv *base, unsigned family, struct hub_span key, uint8_t **bytes,
                           size_t *len, struct hub_error *err)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    char *message = NULL;
    HUB_TRY(enter(kv, err));
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(kv->db, kv->read, kv->handles[family + 1],
                                                           (const char *)key.ptr, key.len, &message);
    const char *value = slice != NULL ? rocksdb_pinnableslice_value(slice, len) : NULL;
    *bytes = value != NULL ? hub_mem_resize(NULL, *len) : NULL;
    if (*bytes != NULL && *len != 0)
        memcpy(*bytes, value, *len);
    if (slice != NULL)
        rocksdb_pinnableslice_destroy(slice);
    leave(kv);
    if (message != NULL)
        return fail(kv->path, message, err);
    if (value == NULL)
        return HUB_NOT_FOUND;
    return *bytes != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static void *batch_new(void)
{
    return rocksdb_writebatch_create();
}

static void batch_free(void *batch)
{
    rocksdb_writebatch_destroy(batch);
}

static void batch_clear(void *batch)
{
    rocksdb_writebatch_clear(batch);
}

static bool batch_add(void *batch, struct hub_kv *base, unsigned family, struct hub_span key,
                      const struct hub_span *value)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    if (enter(kv, NULL) != HUB_OK) /* the batch fails as a whole when it is written */
        return false;
    rocksdb_column_family_handle_t *handle = kv->handles[family + 1]; /* only its number goes into the batch */
    if (value != NULL)
        rocksdb_writebatch_put_cf(batch, handle, (const char *)key.ptr, key.len, (const char *)value->ptr,
                                  value->len);
    else
        rocksdb_writebatch_delete_cf(batch, handle, (const char *)key.ptr, key.len);
    leave(kv);
    return true;
}

static enum hub_result write_batch(struct hub_kv *base, void *batch, bool sync, struct hub_error *err)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    char *message = NULL;
    HUB_TRY(enter(kv, err));
    rocksdb_write(kv->db, sync ? kv->write_sync : kv->write_later, batch, &message);
    leave(kv);
    return message != NULL ? fail(kv->path, message, err) : HUB_OK;
}

static enum hub_result sync_store(struct hub_kv *base, struct hub_error *err)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    char *message = NULL;
    HUB_TRY(enter(kv, err));
    rocksdb_flush_wal(kv->db, 1, &message);
    leave(kv);
    return message != NULL ? fail(kv->path, message, err) : HUB_OK;
}

/* Before RocksDB 9 with a number that says whether one call makes up for several that switched them off. */
static void enable_file_deletions(rocksdb_t *db, char **message)
{
#if CHARTLINE_ROCKSDB_FORCES
    rocksdb_enable_file_deletions(db, 1, message);
#else
    rocksdb_enable_file_deletions(db, message);
#endif
}

/* What was deleted lies in the write-ahead log, in the memory table and in table files. All families are written
 * out, so that no write-ahead log is needed any more; the files of the range are merged, the last level too; and
 * switching deletions off and on again makes RocksDB remove what it needs no more before it answers, not some
 * time later in another thread. */
static enum hub_result erase(struct hub_kv *base, unsigned family, struct hub_span key, struct hub_error *err)
{
    enum { FORCE = 2 }; /* rocksdb::BottommostLevelCompaction::kForce */
    struct rocks_kv *kv = (struct rocks_kv *)base;
    char *message = NULL;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(flush, 1);
    for (unsigned i = 0; i <= kv->kv.family_count && message == NULL; i++)
        rocksdb_flush_cf(kv->db, flush, kv->handles[i], &message);
    rocksdb_flushoptions_destroy(flush);
    if (message != NULL)
        return fail(kv->path, message, err);
    rocksdb_compactoptions_t *compact = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(compact, 1);
    rocksdb_compactoptions_set_bottommost_level_compaction(compact, FORCE);
    rocksdb_compact_range_cf_opt(kv->db, kv->handles[family + 1], compact, (const char *)key.ptr, key.len,
                                 (const char *)key.ptr, key.len);
    rocksdb_compactoptions_destroy(compact);
    rocksdb_disable_file_deletions(kv->db, &message);
    if (message == NULL)
        enable_file_deletions(kv->db, &message);
    return message != NULL ? fail(kv->path, message, err) : HUB_OK;
}

static void iter_free(struct hub_kv_iter *base)
{
    struct rocks_iter *iter = (struct rocks_iter *)base;
    if (iter->impl != NULL) {
        rocksdb_iter_destroy(iter->impl);
        leave(iter->kv);
    }
    rocksdb_readoptions_destroy(iter->read);
    hub_mem_free(iter->upper);
    hub_mem_free((void *)(uintptr_t)iter->iter.prefix.ptr);
    hub_mem_free(iter);
}

/* The smallest key after every key that starts with PREFIX: its last byte below 0xff plus one. 0: there is
 * none. */
static size_t upper_bound(struct hub_span prefix, char *out)
{
    size_t len = prefix.len;
    while (len > 0 && prefix.ptr[len - 1] == 0xff)
        len--;
    if (len == 0)
        return 0;
    memcpy(out, prefix.ptr, len);
    out[len - 1] = (char)(unsigned char)(prefix.ptr[len - 1] + 1U);
    return len;
}

static struct hub_kv_iter *iter_new(struct hub_kv *base, unsigned family, struct hub_span prefix)
{
    struct rocks_kv *kv = (struct rocks_kv *)base;
    struct rocks_iter *iter = hub_mem_alloc(sizeof *iter);
    uint8_t *prefix_copy = hub_mem_alloc(prefix.len);
    char *upper = hub_mem_alloc(prefix.len);
    if (iter == NULL || prefix_copy == NULL || upper == NULL) {
        hub_mem_free(iter);
        hub_mem_free(prefix_copy);
        hub_mem_free(upper);
        return NULL;
    }
    if (prefix.len != 0)
        memcpy(prefix_copy, prefix.ptr, prefix.len);
    iter->iter.ops = &ops;
    iter->iter.prefix = hub_span_of(prefix_copy, prefix.len);
    iter->upper = upper;
    iter->kv = kv;
    iter->read = rocksdb_readoptions_create();
    size_t upper_len = upper_bound(iter->iter.prefix, upper);
    if (upper_len != 0)
        rocksdb_readoptions_set_iterate_upper_bound(iter->read, upper, upper_len);
    if (enter(kv, NULL) == HUB_OK)
        iter->impl = rocksdb_create_iterator_cf(kv->db, iter->read, kv->handles[family + 1]);
    return &iter->iter;
}

static struct hub_span iter_key(const struct hub_kv_iter *base)
{
    size_t len = 0;
    const char *key = rocksdb_iter_key(((const struct rocks_iter *)base)->impl, &len);
    return hub_span_of(key, len);
}

static bool under_prefix(const struct rocks_iter *iter)
{
    if (iter->impl == NULL || !rocksdb_iter_valid(iter->impl))
        return false;
    struct hub_span key = iter_key(&iter->iter);
    struct hub_span prefix = iter->iter.prefix;
    return key.len >= prefix.len && hub_span_equal(hub_span_of(key.ptr, prefix.len), prefix);
}

static bool iter_seek(struct hub_kv_iter *base, struct hub_span key)
{
    struct rocks_iter *iter = (struct rocks_iter *)base;
    if (iter->impl != NULL)
        rocksdb_iter_seek(iter->impl, (const char *)key.ptr, key.len);
    return under_prefix(iter);
}

static bool iter_step(struct hub_kv_iter *base)
{
    struct rocks_iter *iter = (struct rocks_iter *)base;
    rocksdb_iter_next(iter->impl);
    return under_prefix(iter);
}

static struct hub_span iter_value(const struct hub_kv_iter *base)
{
    size_t len = 0;
    const char *value = rocksdb_iter_value(((const struct rocks_iter *)base)->impl, &len);
    return hub_span_of(value, len);
}

static enum hub_result iter_result(const struct hub_kv_iter *base, struct hub_error *err)
{
    const struct rocks_iter *iter = (const struct rocks_iter *)base;
    char *message = NULL;
    if (iter->impl == NULL) {
        (void)hub_fail(err, HUB_IO, "the store is closed after a failure of the disk", NULL);
        return hub_error_in(err, iter->kv->path, 0);
    }
    rocksdb_iter_get_error(iter->impl, &message);
    return message != NULL ? fail(iter->kv->path, message, err) : HUB_OK;
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

const char *hub_rocksdb_version(void)
{
    return CHARTLINE_ROCKSDB_VERSION;
}
