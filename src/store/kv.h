/* The key-value port: ordered keys in named column families, atomic batches. kv_rocksdb.c on disk,
 * kv_memory.c for tests. One process per store. Any thread; a batch or iterator belongs to one thread.
 *
 * Nothing read from the store outlives its hub_kv_value_free / iterator step. */
#pragma once

#include "src/base/disk.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_kv;
struct hub_kv_batch;
struct hub_kv_iter;

enum { HUB_KV_FAMILIES_MAX = 16 };

struct hub_kv_options {
    const char *const *families; /* names, NULL ended, at most HUB_KV_FAMILIES_MAX; index in this list = family */
    bool create;                 /* make an empty store when PATH is none */
    bool bloom;                  /* point lookups dominate */
    size_t cache_bytes;          /* 0 = 32 MiB */
    /* What is in it can be had again from elsewhere, and says itself how far it got: it is written without a
     * log of its own. A crash loses a suffix of its writes, SYNC or not, and never a part of one or one before
     * another that stays; a close keeps all. */
    bool derived;
    bool read_only; /* nothing in PATH is changed but the library's own log; writes are refused. Not with CREATE */
};

/* HUB_BUSY: another process holds it. PATH's folder is created 0700. */
enum hub_result hub_kv_open_rocksdb(const char *path, const struct hub_kv_options *options, struct hub_kv **out, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_kv_open_memory(const struct hub_kv_options *options, struct hub_kv **out) HUB_MUST_USE;
/* NULL is fine. */
void hub_kv_close(struct hub_kv *kv);
/* Closes the store beneath and opens it again as it was opened: after a write that failed for want of space or by the
 * disk, when the backend takes no more. What was not durable may be gone (of a derived store a suffix of its writes).
 * Waits for iterators of other threads; the calling thread has none. On failure every call fails with HUB_IO until a
 * later one of these succeeds. A store in memory stays as it is. */
enum hub_result hub_kv_reopen(struct hub_kv *kv, struct hub_error *err) HUB_MUST_USE;
/* A copy of the store as it is now in PATH, which must not be there (its parent must): durable when it returns, files
 * that never change shared by hard links. Readers and writers go on meanwhile. HUB_USAGE: a store in memory. */
enum hub_result hub_kv_checkpoint(struct hub_kv *kv, const char *path, struct hub_error *err) HUB_MUST_USE;
/* The same of a store that nobody has open, through DISK. A failure leaves a part in TO, to be removed by the caller. */
enum hub_result hub_kv_copy_rocksdb(struct hub_disk *disk, const char *from, const char *to, struct hub_error *err) HUB_MUST_USE;
/* Removes the folder PATH with the store in it; nothing there is fine. */
enum hub_result hub_kv_remove_rocksdb(struct hub_disk *disk, const char *path, struct hub_error *err) HUB_MUST_USE;

struct hub_kv_value {
    struct hub_span bytes; /* valid until hub_kv_value_free */
    void *owner;
};
/* HUB_NOT_FOUND when absent. */
enum hub_result hub_kv_get(struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_kv_value *out, struct hub_error *err) HUB_MUST_USE;
void hub_kv_value_free(struct hub_kv_value *value);

struct hub_kv_batch *hub_kv_batch_new(void); /* NULL: out of memory */
void hub_kv_batch_free(struct hub_kv_batch *batch);
void hub_kv_batch_clear(struct hub_kv_batch *batch);
void hub_kv_batch_put(struct hub_kv_batch *batch, struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_span value);
void hub_kv_batch_delete(struct hub_kv_batch *batch, struct hub_kv *kv, unsigned family, struct hub_span key);
size_t hub_kv_batch_count(const struct hub_kv_batch *batch);
/* Atomic. With SYNC durable when it returns; without, a later sync (or hub_kv_sync) covers it, and a crash
 * loses at most a suffix of the writes. Does not clear the batch. */
enum hub_result hub_kv_write(struct hub_kv *kv, struct hub_kv_batch *batch, bool sync, struct hub_error *err) HUB_MUST_USE;
/* Everything written before is durable when it returns. */
enum hub_result hub_kv_sync(struct hub_kv *kv, struct hub_error *err) HUB_MUST_USE;

/* For what was deleted and must be gone: no file of the store holds a former value of KEY any more when this returns
 * (as far as no iterator of before is open). Writes all of the family anew that lies in files with KEY: slow. */
enum hub_result hub_kv_erase(struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_error *err) HUB_MUST_USE;

/* Keys in bytewise order, a snapshot of the moment. PREFIX may be empty: the whole family. */
struct hub_kv_iter *hub_kv_iter_new(struct hub_kv *kv, unsigned family, struct hub_span prefix);
void hub_kv_iter_free(struct hub_kv_iter *iter);
/* Moves on (first call: to the first key at or after the prefix). False at the end. */
bool hub_kv_iter_next(struct hub_kv_iter *iter);
/* Starts over at the first key >= KEY (still under the prefix). False: none. */
bool hub_kv_iter_seek(struct hub_kv_iter *iter, struct hub_span key);
struct hub_span hub_kv_iter_key(const struct hub_kv_iter *iter);   /* until the next step */
struct hub_span hub_kv_iter_value(const struct hub_kv_iter *iter); /* until the next step */
enum hub_result hub_kv_iter_result(const struct hub_kv_iter *iter, struct hub_error *err) HUB_MUST_USE;
/* Version of RocksDB that this program was built with, static: its C interface does not tell which one runs. */
const char *hub_rocksdb_version(void);

/* For fault tests: the operation number NTH (1-based, counted from this call, all stores and threads) of those in
 * WHAT fails with HUB_IO and does nothing; with LASTING, every later one too. 0 switches it off. Returns how many
 * were counted since the last call. */
enum { HUB_KV_READS = 1, HUB_KV_WRITES = 2 };
uint64_t hub_kv_fail_nth(unsigned what, uint64_t nth, bool lasting);
/* The same by the test's own choice: FAILS is asked at every operation in WHAT, in its thread. NULL switches it off. */
void hub_kv_fail_when(unsigned what, bool (*fails)(void));
