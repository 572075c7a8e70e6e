/* What a backend of the key-value port implements; only src/store/ includes this. Contracts are kv.h's. A
 * batch is bound to the backend of the first store it is filled for. */
#pragma once

#include "src/store/kv.h"

struct hub_kv_ops {
    void (*close)(struct hub_kv *kv);
    /* *BYTES is hub_mem memory of the caller. */
    enum hub_result (*get)(struct hub_kv *kv, unsigned family, struct hub_span key, uint8_t **bytes,
                           size_t *len, struct hub_error *err);
    void *(*batch_new)(void);
    void (*batch_free)(void *batch);
    void (*batch_clear)(void *batch);
    /* VALUE NULL: a delete. False: out of memory. */
    bool (*batch_add)(void *batch, struct hub_kv *kv, unsigned family, struct hub_span key,
                      const struct hub_span *value);
    enum hub_result (*write)(struct hub_kv *kv, void *batch, bool sync, struct hub_error *err);
    enum hub_result (*sync)(struct hub_kv *kv, struct hub_error *err);
    enum hub_result (*erase)(struct hub_kv *kv, unsigned family, struct hub_span key, struct hub_error *err);
    enum hub_result (*reopen)(struct hub_kv *kv, struct hub_error *err);
    enum hub_result (*checkpoint)(struct hub_kv *kv, const char *path, struct hub_error *err);
    struct hub_kv_iter *(*iter_new)(struct hub_kv *kv, unsigned family, struct hub_span prefix);
    void (*iter_free)(struct hub_kv_iter *iter);
    /* To the first key >= KEY; KEY is at or after the prefix. True: there is one under the prefix. */
    bool (*iter_seek)(struct hub_kv_iter *iter, struct hub_span key);
    bool (*iter_step)(struct hub_kv_iter *iter);
    struct hub_span (*iter_key)(const struct hub_kv_iter *iter);
    struct hub_span (*iter_value)(const struct hub_kv_iter *iter);
    enum hub_result (*iter_result)(const struct hub_kv_iter *iter, struct hub_error *err);
};

/* First member of each backend's own struct. */
struct hub_kv {
    const struct hub_kv_ops *ops;
    unsigned family_count;
};

/* First member of each backend's own struct; ops and prefix are filled by the backend's iter_new. */
struct hub_kv_iter {
    const struct hub_kv_ops *ops;
    struct hub_span prefix; /* hub_mem memory of the iterator */
    bool started, valid;
    bool failed; /* on purpose: hub_kv_fail_nth */
};

/* Number of families in OPTIONS; HUB_ASSERTs the limit. */
unsigned hub_kv_family_count(const struct hub_kv_options *options);
