/* Organizations, practitioners and places that a message names in several fields and that came out equal (MSH-4 and
 * MSH-6, a doctor with and without a degree nobody maps) are one resource of the event: what refers to the later ones
 * refers to the first. Every resource is sealed, stored and read by itself, so one less is worth looking for. */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

enum { SLOTS = 64, CHAIN_MAX = 16 /* resources of one slot that are compared */ };

struct known {
    const struct map_res *res;
    uint64_t hash;
    struct known *next;
};

/* What such a resource says is all there is to it, wherever it was named: two of them with equal content are one thing.
 * That does not hold of specimens, devices or anything that is an entry. */
static bool stands_for_itself(const struct map_res *res)
{
    if (res->decl != NULL && (res->decl->entry != NULL || res->decl->label.count != 0))
        return false;
    return strcmp(res->type, "Organization") == 0 || strcmp(res->type, "Practitioner") == 0 || strcmp(res->type, "Location") == 0;
}

static uint64_t text_end(const char *text, size_t len)
{
    uint64_t end = 0;
    const size_t take = len < sizeof end ? len : sizeof end;
    if (take != 0)
        memcpy(&end, text + len - take, take);
    return end;
}

/* False: it refers to something (references are still empty texts), which equal content does not show. */
static bool hash_tree(const struct hub_json *node, uint64_t *hash)
{
    for (const struct hub_json *c = node->first; c != NULL; c = c->next) {
        if (c->type == HUB_JSON_OBJECT || c->type == HUB_JSON_ARRAY) {
            if (!hash_tree(c, hash))
                return false;
            continue;
        }
        if (c->type == HUB_JSON_STRING && c->len == 0)
            return false;
        const uint64_t end = c->type == HUB_JSON_STRING || c->type == HUB_JSON_NUMBER ? text_end(c->str, c->len) : c->type;
        *hash = (*hash ^ end ^ c->len) * UINT64_C(0x9E3779B97F4A7C15);
        *hash ^= *hash >> 32;
    }
    return true;
}

static const struct map_res *find_equal(const struct known *known, const struct map_res *res, uint64_t hash)
{
    for (unsigned i = 0; known != NULL && i < CHAIN_MAX; known = known->next, i++) {
        if (known->hash == hash && known->res->json->len == res->json->len && hub_json_equal(known->res->json, res->json))
            return known->res;
    }
    return NULL;
}

enum hub_result map_share_equal(struct map_run *run)
{
    struct known *slots[SLOTS] = {NULL};
    bool any = false;
    for (uint32_t i = 0; i < run->res_count; i++) {
        struct map_res *res = run->res[i];
        uint64_t hash = 0;
        if (!stands_for_itself(res) || !hash_tree(res->json, &hash))
            continue;
        res->same = find_equal(slots[hash % SLOTS], res, hash);
        if (res->same != NULL) {
            res->dropped = any = true;
            continue;
        }
        struct known *known = HUB_ARENA_NEW(run->arena, struct known);
        HUB_ENSURE(known != NULL, HUB_NO_MEMORY);
        *known = (struct known){res, hash, slots[hash % SLOTS]};
        slots[hash % SLOTS] = known;
    }
    for (uint32_t i = 0; any && i < run->ref_count; i++) {
        const struct map_res *target = run->res[run->refs[i].target];
        if (target->same != NULL)
            run->refs[i].target = target->same->ordinal;
    }
    return HUB_OK;
}
