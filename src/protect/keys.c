/* Opening and closing the key store, its long-lived keys, syncing. */
#include "src/protect/keys.h"

#include "src/base/mem.h"
#include "src/protect/keys_internal.h"

#define ROOT_CHECK "chartline root key"

static const char *const families[] = {"keys", "patients", "one_off", "shredded", NULL};

struct long_lived {
    const char *name;
    size_t offset, len;
};
static const struct long_lived long_lived[] = {
    {"long/t", offsetof(struct hub_keys_secrets, t), HUB_KEY_LEN},
    {"long/d", offsetof(struct hub_keys_secrets, d), HUB_KEY_LEN},
    {"long/r", offsetof(struct hub_keys_secrets, r), HUB_KEY_LEN},
    {"long/m", offsetof(struct hub_keys_secrets, m), HUB_KEY_LEN},
    {"long/sign", offsetof(struct hub_keys_secrets, sign), HUB_SIGN_SECRET_LEN},
};
enum { LONG_LIVED = sizeof long_lived / sizeof long_lived[0] };

/* The store says whether it is new; a wrong root key is told before anything else is read. */
static enum hub_result check_root(struct hub_keys *keys, bool *fresh, struct hub_error *err)
{
    struct hub_kv_value value;
    uint8_t plain[sizeof ROOT_CHECK - 1];
    enum hub_result result = hub_kv_get(keys->kv, HUB_KEYS_KEYS, HUB_SPAN("root"), &value, err);
    *fresh = result == HUB_NOT_FOUND;
    if (*fresh) {
        struct hub_kv_iter *iter = hub_kv_iter_new(keys->kv, HUB_KEYS_KEYS, HUB_SPAN_NONE);
        if (iter == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        bool other = hub_kv_iter_next(iter);
        result = hub_kv_iter_result(iter, err);
        hub_kv_iter_free(iter);
        HUB_TRY(result); /* what cannot be read is not new */
        return other ? hub_fail(err, HUB_CORRUPT, "the key store has lost its root record",
                                "restore it from its backup")
                     : HUB_OK;
    }
    if (result != HUB_OK)
        return result;
    result = hub_keys_unwrap(keys, "root", HUB_SPAN("root"), value.bytes, plain, sizeof plain, err);
    hub_kv_value_free(&value);
    if (result != HUB_OK)
        return hub_fail(err, HUB_CRYPTO, "the root key is not the one this key store was made with",
                        "give the root key of this key store, or restore both from the same backup");
    return HUB_OK;
}

static enum hub_result make_long_lived(struct hub_keys *keys, struct hub_error *err)
{
    struct hub_kv_batch *batch = hub_kv_batch_new();
    if (batch == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < LONG_LIVED; i++)
        hub_random((uint8_t *)keys->secrets + long_lived[i].offset, long_lived[i].len);
    hub_sign_keypair(keys->sign_public, keys->secrets->sign);
    hub_keys_put(keys, batch, HUB_KEYS_KEYS, "root", HUB_SPAN("root"), HUB_SPAN(ROOT_CHECK));
    for (size_t i = 0; i < LONG_LIVED; i++)
        hub_keys_put(keys, batch, HUB_KEYS_KEYS, "long", hub_span_str(long_lived[i].name),
                     hub_span_of((uint8_t *)keys->secrets + long_lived[i].offset, long_lived[i].len));
    enum hub_result result = hub_kv_write(keys->kv, batch, true, err);
    hub_kv_batch_free(batch);
    return result;
}

static enum hub_result load_long_lived(struct hub_keys *keys, struct hub_error *err)
{
    for (size_t i = 0; i < LONG_LIVED; i++) {
        enum hub_result result =
            hub_keys_get(keys, HUB_KEYS_KEYS, "long", hub_span_str(long_lived[i].name),
                         (uint8_t *)keys->secrets + long_lived[i].offset, long_lived[i].len, err);
        if (result == HUB_NOT_FOUND)
            return hub_fail(err, HUB_CORRUPT, "a long-lived key is missing from the key store",
                            "restore it from its backup");
        HUB_TRY(result);
    }
    memcpy(keys->sign_public, keys->secrets->sign + HUB_SIGN_SECRET_LEN - HUB_SIGN_PUBLIC_LEN,
           HUB_SIGN_PUBLIC_LEN);
    return HUB_OK;
}

static enum hub_result keys_init(struct hub_keys *keys, const uint8_t *root_key,
                                 const struct hub_clock *clock)
{
    keys->clock = clock;
    keys->generation = 1;
    keys->secrets = hub_secret_alloc(sizeof *keys->secrets);
    keys->pending = hub_kv_batch_new();
    keys->writing = hub_kv_batch_new();
    (void)pthread_mutex_init(&keys->class_lock, NULL);
    (void)pthread_mutex_init(&keys->pending_lock, NULL);
    (void)pthread_mutex_init(&keys->sync_lock, NULL);
    for (size_t i = 0; i < HUB_KEYS_STRIPES; i++)
        (void)pthread_mutex_init(&keys->stripes[i].lock, NULL);
    HUB_ENSURE(keys->secrets != NULL && keys->pending != NULL && keys->writing != NULL, HUB_NO_MEMORY);
    hub_blake2b(root_key, HUB_SPAN("chartline wrap 1"), keys->secrets->wrap, HUB_KEY_LEN);
    return HUB_OK;
}

enum hub_result hub_keys_open(const char *folder, const uint8_t *root_key, const struct hub_roles *roles,
                              const struct hub_clock *clock, bool create, struct hub_keys **out,
                              struct hub_error *err)
{
    const struct hub_kv_options options = {
        .families = families, .create = create, .bloom = true, .cache_bytes = 0};
    enum hub_result result;
    bool fresh = false;
    *out = NULL;
    struct hub_keys *keys = hub_mem_alloc(sizeof *keys);
    if (keys == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (keys_init(keys, root_key, clock) != HUB_OK) {
        result = hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        goto out;
    }
    result = hub_kv_open_rocksdb(folder, &options, &keys->kv, err);
    if (result == HUB_NOT_FOUND)
        result = hub_fail(err, HUB_NOT_FOUND,
                          "the key store is missing, and the data directory holds what its keys sealed",
                          "restore it from its backup: new keys would open nothing of it");
    HUB_TRY_OUT(result);
    HUB_TRY_OUT(check_root(keys, &fresh, err));
    HUB_TRY_OUT(fresh ? make_long_lived(keys, err) : load_long_lived(keys, err));
    HUB_TRY_OUT(hub_keys_erase_left_over(keys, err));
    HUB_TRY_OUT(hub_keys_classes_load(keys, err));
    HUB_TRY_OUT(hub_keys_roles_open(keys, roles, err));
    *out = keys;
    return HUB_OK;
out:
    if (err != NULL && err->path[0] == '\0')
        (void)hub_error_in(err, folder, 0);
    hub_keys_close(keys);
    return result;
}

void hub_keys_close(struct hub_keys *keys)
{
    if (keys == NULL)
        return;
    hub_keys_classes_close(keys);
    hub_keys_roles_close(keys);
    hub_kv_batch_free(keys->pending);
    hub_kv_batch_free(keys->writing);
    hub_kv_close(keys->kv);
    hub_keys_patients_close(keys);
    (void)pthread_mutex_destroy(&keys->class_lock);
    (void)pthread_mutex_destroy(&keys->pending_lock);
    (void)pthread_mutex_destroy(&keys->sync_lock);
    hub_secret_free(keys->secrets);
    hub_mem_free(keys);
}

void hub_keys_later(struct hub_keys *keys, enum hub_keys_family family, const char *kind, struct hub_span name,
                    struct hub_span plain)
{
    (void)pthread_mutex_lock(&keys->pending_lock);
    hub_keys_put(keys, keys->pending, family, kind, name, plain);
    atomic_store(&keys->dirty, true);
    (void)pthread_mutex_unlock(&keys->pending_lock);
}

void hub_keys_publish(struct hub_keys *keys, enum hub_keys_family family, struct hub_span name,
                      struct hub_span line)
{
    (void)pthread_mutex_lock(&keys->pending_lock);
    hub_kv_batch_put(keys->pending, keys->kv, family, name, line);
    atomic_store(&keys->dirty, true);
    (void)pthread_mutex_unlock(&keys->pending_lock);
    atomic_store(&keys->news, true);
}

bool hub_keys_take_news(struct hub_keys *keys)
{
    return atomic_exchange(&keys->news, false);
}

bool hub_keys_dirty(struct hub_keys *keys)
{
    return atomic_load(&keys->dirty);
}

enum hub_result hub_keys_sync(struct hub_keys *keys, struct hub_error *err)
{
    (void)pthread_mutex_lock(&keys->sync_lock);
    (void)pthread_mutex_lock(&keys->pending_lock);
    enum hub_result result =
        keys->failed ? hub_fail(err, HUB_IO, "the key store failed before", NULL) : HUB_OK;
    const uint64_t generation = keys->generation;
    const bool write = result == HUB_OK && atomic_load(&keys->dirty);
    if (write) {
        struct hub_kv_batch *batch = keys->pending;
        keys->pending = keys->writing;
        keys->writing = batch;
        keys->generation++;
        atomic_store(&keys->dirty, false);
    }
    (void)pthread_mutex_unlock(&keys->pending_lock);
    if (write) {
        result = hub_kv_write(keys->kv, keys->writing, true, err);
        hub_kv_batch_clear(keys->writing);
        (void)pthread_mutex_lock(&keys->pending_lock);
        keys->failed = keys->failed || result != HUB_OK; /* what was lost is not written again by chance */
        (void)pthread_mutex_unlock(&keys->pending_lock);
        if (result == HUB_OK)
            atomic_store(&keys->synced, generation);
    }
    (void)pthread_mutex_unlock(&keys->sync_lock);
    return result;
}

const uint8_t *hub_keys_sign_public(const struct hub_keys *keys)
{
    return keys->sign_public;
}

void hub_keys_sign(struct hub_keys *keys, struct hub_span bytes, uint8_t out[HUB_SIGNATURE_LEN])
{
    hub_sign(keys->secrets->sign, bytes, out);
}
