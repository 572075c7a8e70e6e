#include "src/crypto/crypto.h"
#include "src/timeline/state.h"

/* SUM += TERM mod 2^256, big endian: the order of terms does not matter, and sums of partitions add up. */
static void add(uint8_t sum[32], const uint8_t term[32])
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        carry += (unsigned)sum[i] + term[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static enum hub_result add_family(struct hub_timeline *t, enum family family, uint8_t digest[32],
                                  struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(t->kv, family, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    while (hub_kv_iter_next(iter)) {
        const struct hub_span parts[] = {HUB_SPAN("chartline state 1"),
                                         hub_span_str(hub_timeline_families()[family]), hub_kv_iter_key(iter),
                                         hub_kv_iter_value(iter)};
        uint8_t term[32];
        hub_blake2b_parts(NULL, parts, sizeof parts / sizeof parts[0], term, sizeof term);
        add(digest, term);
    }
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result hub_timeline_state_digest(struct hub_timeline *t, uint8_t digest[32], struct hub_error *err)
{
    /* All that belongs to one subject, so to one partition. Facts stand in the events' hashes and, in force,
     * in the token records; every partition has all of them and would count them again. */
    static const enum family families[] = {FAMILY_ENTRIES, FAMILY_TOKENS, FAMILY_EVENTS};
    memset(digest, 0, 32);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        HUB_TRY(add_family(t, families[i], digest, err));
    return HUB_OK;
}
