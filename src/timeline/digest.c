#include "src/base/mem.h"
#include "src/crypto/crypto.h"
#include "src/timeline/group.h"
#include "src/timeline/read.h"

enum { STOP_EVERY = 4096 };

struct hub_digest_view {
    const char *const *families;
    struct hub_kv_iter *iters[HUB_KV_FAMILIES_MAX];
};

void timeline_digest_add(uint8_t sum[32], const uint8_t term[32])
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        carry += (unsigned)sum[i] + term[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

/* Entry records one by one, however they lie in the store; of other families the values as they are. */
static bool next(struct timeline_entries *records, bool entries)
{
    if (entries)
        return timeline_entries_next(records);
    if (!hub_kv_iter_next(records->iter))
        return false;
    records->key = hub_kv_iter_key(records->iter);
    records->record = hub_kv_iter_value(records->iter);
    return true;
}

static enum hub_result add_all(struct hub_kv_iter *iter, const char *family, const atomic_bool *stop, uint8_t digest[32],
                               struct hub_error *err)
{
    struct timeline_entries records;
    const bool entries = strcmp(family, hub_timeline_families()[FAMILY_ENTRIES]) == 0;
    enum hub_result result = HUB_OK;
    timeline_entries_init(&records, iter);
    for (uint64_t count = 0; result == HUB_OK && next(&records, entries); count++) {
        const struct hub_span parts[] = {HUB_SPAN("chartline state 1"), hub_span_str(family), records.key, records.record};
        uint8_t term[32];
        if (stop != NULL && count % STOP_EVERY == 0 && atomic_load(stop))
            result = HUB_CLOSED;
        hub_blake2b_parts(NULL, parts, sizeof parts / sizeof parts[0], term, sizeof term);
        timeline_digest_add(digest, term);
    }
    if (result == HUB_OK)
        result = timeline_entries_result(&records, err);
    timeline_entries_deinit(&records);
    return result;
}

/* All that belongs to one subject, so to one partition. Facts stand in the events' hashes and, in force, in the token
 * records; every partition has all of them and would count them again. */
static bool of_state(size_t family)
{
    return family == FAMILY_ENTRIES || family == FAMILY_TOKENS || family == FAMILY_EVENTS || family == FAMILY_REVISIONS;
}

enum hub_result hub_timeline_state_digest(struct hub_timeline *t, uint8_t digest[32], struct hub_error *err)
{
    const char *const *families = hub_timeline_families();
    enum hub_result result = HUB_OK;
    memset(digest, 0, 32);
    for (unsigned i = 0; families[i] != NULL && result == HUB_OK; i++) {
        if (!of_state(i))
            continue;
        struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, i, HUB_SPAN_NONE);
        if (iter == NULL)
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        result = add_all(iter, families[i], NULL, digest, err);
        hub_kv_iter_free(iter);
    }
    return result;
}

/* --- views --- */

struct hub_digest_view *hub_digest_view_new(struct hub_kv *kv, const char *const *families)
{
    struct hub_digest_view *view = hub_mem_alloc(sizeof *view);
    if (view == NULL)
        return NULL;
    view->families = families;
    for (unsigned i = 0; families[i] != NULL; i++) {
        view->iters[i] = hub_kv_iter_new(kv, i, HUB_SPAN_NONE);
        if (view->iters[i] == NULL) {
            hub_digest_view_free(view);
            return NULL;
        }
    }
    return view;
}

void hub_digest_view_free(struct hub_digest_view *view)
{
    if (view == NULL)
        return;
    for (size_t i = 0; i < HUB_KV_FAMILIES_MAX; i++)
        hub_kv_iter_free(view->iters[i]);
    hub_mem_free(view);
}

enum hub_result hub_digest_view_sum(struct hub_digest_view *view, const atomic_bool *stop, uint8_t all[32],
                                    uint8_t state[32], struct hub_error *err)
{
    memset(all, 0, 32);
    if (state != NULL)
        memset(state, 0, 32);
    for (size_t i = 0; view->families[i] != NULL; i++) {
        uint8_t sum[32] = {0};
        HUB_TRY(add_all(view->iters[i], view->families[i], stop, sum, err));
        timeline_digest_add(all, sum);
        if (state != NULL && of_state(i))
            timeline_digest_add(state, sum);
    }
    return HUB_OK;
}
