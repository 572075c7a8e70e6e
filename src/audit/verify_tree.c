/* Every entry against its leaf, every tile against the one above, the right edge against the signed root.
 * Where two do not agree, the parent (or the root) says which of them is wrong. */
#include <inttypes.h>
#include <stdio.h>

#include "src/audit/verify.h"
#include "src/base/clock.h"
#include "src/codec/json.h"

enum {
    DROPPED_MAX = 10000,                 /* a forged size must not keep the verifier busy for ever */
    TIME_SLACK_US = 10 * 1000 * 1000,    /* entries wait for the committer beside others: a little disorder is normal */
};

/* One tile as two parties state it. */
struct claim {
    int level;
    uint64_t n;
    unsigned width;
    const struct hub_merkle_hash *made; /* from the level below: from the entries at level 0 */
    unsigned made_count;                /* below WIDTH: the bundle ended early */
    const struct hub_merkle_hash *file; /* NULL: the tile is missing or has a wrong length */
    char path[HUB_TILE_PATH_MAX];
    char child[HUB_TILE_PATH_MAX]; /* bundle, at level 0 */
};
enum verdict { NOBODY, MADE, FILED }; /* who states what the tree says */

static void claim_init(struct claim *claim, int level, const struct hub_verify_level *from, unsigned width)
{
    struct hub_tile tile = {.level = level, .n = from->n, .width = width};
    *claim = (struct claim){.level = level, .n = from->n, .width = width, .made = from->hashes, .made_count = from->count};
    hub_tile_path(&tile, claim->path);
    tile.level = HUB_TILE_ENTRIES;
    hub_tile_path(&tile, claim->child);
}

static uint64_t first_entry(int level, uint64_t hash_index)
{
    return hash_index << (8 * level);
}

/* Missing and misshapen tiles become findings; other failures are the disk's. */
static enum hub_result read_file_claim(struct hub_verify *verify, struct claim *claim)
{
    const struct hub_merkle_hash *hashes;
    unsigned width;
    enum hub_result result = hub_tiles_hashes(verify->tiles, claim->level, claim->n, &hashes, &width, verify->err);
    uint64_t index = first_entry(claim->level, claim->n * HUB_TILE_WIDTH);
    if (result == HUB_OK) {
        claim->file = hashes;
        return HUB_OK;
    }
    if (result == HUB_NOT_FOUND) {
        verify->missing = true;
        hub_verify_find(verify, index, "%s is missing", claim->path);
        return HUB_OK;
    }
    HUB_ENSURE(result == HUB_CORRUPT || result == HUB_TOO_LARGE, result);
    hub_verify_find(verify, index, "%s does not hold %u hashes: cut or lengthened", claim->path, claim->width);
    return HUB_OK;
}

/* Hashes that differ, the first and the last of them; what a cut bundle lacks was said when it was read. */
static unsigned differences(const struct claim *claim, unsigned *first, unsigned *last)
{
    unsigned count = 0;
    for (unsigned i = 0; i < claim->made_count; i++) {
        if (hub_merkle_equal(&claim->made[i], &claim->file[i]))
            continue;
        if (count++ == 0)
            *first = i;
        *last = i;
    }
    return count;
}

/* Whose entry it is that lies in place FIRST: "" or a remark. */
static void moved_remark(const struct claim *claim, unsigned first, char *out, size_t out_cap)
{
    out[0] = '\0';
    for (unsigned i = 0; i < claim->width; i++) {
        if (i != first && hub_merkle_equal(&claim->made[first], &claim->file[i])) {
            (void)snprintf(out, out_cap, "; in its place lies entry %" PRIu64, claim->n * HUB_TILE_WIDTH + i);
            return;
        }
    }
}

static void report_entries(struct hub_verify *verify, const struct claim *claim, unsigned count, unsigned first, unsigned last)
{
    uint64_t base = claim->n * HUB_TILE_WIDTH;
    char remark[64];
    moved_remark(claim, first, remark, sizeof remark);
    if (count == 1)
        hub_verify_find(verify, base + first, "entry %" PRIu64 " in %s is not what was logged%s", base + first, claim->child, remark);
    else
        hub_verify_find(verify, base + first, "%u entries from %" PRIu64 " to %" PRIu64 " in %s are not what was logged%s", count,
                        base + first, base + last, claim->child, remark);
}

/* Says what is wrong where MADE and FILE differ. */
static void report_claim(struct hub_verify *verify, const struct claim *claim, enum verdict verdict)
{
    unsigned first = 0, last = 0;
    unsigned count = claim->file != NULL ? differences(claim, &first, &last) : 0;
    if (count == 0)
        return;
    uint64_t hash = claim->n * HUB_TILE_WIDTH + first;
    uint64_t index = first_entry(claim->level, hash);
    if (verdict == MADE)
        hub_verify_find(verify, index, "hash %u of %s was changed (%u in all); what it stands for is unchanged", first, claim->path, count);
    else if (claim->level == 0 && verdict == FILED)
        report_entries(verify, claim, count, first, last);
    else if (claim->level == 0)
        hub_verify_find(verify, index, "entry %" PRIu64 " in %s and its hash in %s do not agree (%u in all)", index, claim->child, claim->path, count);
    else
        hub_verify_find(verify, index, "the entries from %" PRIu64 " under hash %u of %s are not those that were logged (%u hashes)",
                        index, first, claim->path, count);
}

/* The hash one level up, if that tile can be read. */
static bool parent_hash(struct hub_verify *verify, const struct claim *claim, struct hub_merkle_hash *out)
{
    const struct hub_merkle_hash *hashes;
    struct hub_error ignored;
    unsigned width;
    if (claim->level + 1 >= HUB_TILE_LEVELS ||
        hub_tiles_hashes(verify->tiles, claim->level + 1, claim->n / HUB_TILE_WIDTH, &hashes, &width, &ignored) != HUB_OK)
        return false;
    *out = hashes[claim->n % HUB_TILE_WIDTH];
    return true;
}

/* A full tile: the parent decides. *UP: the hash to state one level up. */
static enum verdict judge_full(struct hub_verify *verify, const struct claim *claim, struct hub_merkle_hash *up)
{
    struct hub_merkle_hash parent, made, file;
    bool whole = claim->made_count == claim->width;
    bool known = parent_hash(verify, claim, &parent);
    memset(up, 0, sizeof *up);
    if (whole)
        hub_merkle_root_of(claim->made, claim->width, &made);
    if (claim->file != NULL)
        hub_merkle_root_of(claim->file, claim->width, &file);
    if (claim->file != NULL && known && hub_merkle_equal(&file, &parent)) {
        *up = file;
        return FILED;
    }
    if (whole) {
        *up = made;
        return known && hub_merkle_equal(&made, &parent) ? MADE : NOBODY;
    }
    if (claim->file != NULL)
        *up = file;
    return NOBODY;
}

/* Appends the leaves that count; the remembered root is compared on the way. */
static void grow_tree(struct hub_verify *verify, const struct claim *claim, enum verdict verdict)
{
    static const struct hub_merkle_hash unknown;
    struct hub_merkle_hash root;
    bool filed = claim->file != NULL && (verdict == FILED || claim->made_count < claim->width);
    for (unsigned i = 0; i < claim->width; i++) {
        const struct hub_merkle_hash *leaf = filed ? &claim->file[i] : i < claim->made_count ? &claim->made[i] : &unknown;
        hub_merkle_append(&verify->tree, leaf);
        if (!verify->since || verify->tree.size != verify->since_size)
            continue;
        hub_merkle_root(&verify->tree, &root);
        if (!hub_merkle_equal(&root, &verify->since_root))
            hub_verify_find(verify, UINT64_MAX,
                            "forked: the first %" PRIu64 " entries are not those of the remembered checkpoint", verify->since_size);
    }
}

/* A level's tile is full: compare, decide, and go one level up. */
static enum hub_result finish_tile(struct hub_verify *verify, int level)
{
    struct claim claim;
    struct hub_merkle_hash up;
    struct hub_verify_level *from = &verify->levels[level];
    claim_init(&claim, level, from, HUB_TILE_WIDTH);
    HUB_TRY(read_file_claim(verify, &claim));
    enum verdict verdict = judge_full(verify, &claim, &up);
    report_claim(verify, &claim, verdict);
    if (level == 0)
        grow_tree(verify, &claim, verdict);
    from->n++;
    from->count = 0;
    HUB_ASSERT(level + 1 < HUB_TILE_LEVELS);
    struct hub_verify_level *to = &verify->levels[level + 1];
    to->hashes[to->count++] = up;
    return to->count == HUB_TILE_WIDTH ? finish_tile(verify, level + 1) : HUB_OK;
}

/* --- entries --- */

static enum hub_result check_entry(struct hub_verify *verify, uint64_t index, struct hub_span entry)
{
    struct hub_json *json = NULL;
    int64_t time_us;
    hub_arena_reset(&verify->arena);
    enum hub_result result = hub_json_parse(&verify->arena, entry, &json, verify->err);
    HUB_ENSURE(result != HUB_NO_MEMORY, result);
    if (result != HUB_OK || json->type != HUB_JSON_OBJECT) {
        json = NULL;
        hub_verify_note(verify, index, "entry %" PRIu64 " is no JSON object", index);
    }
    struct hub_span time = hub_json_get_span(json, "time");
    if (json != NULL && hub_time_parse((const char *)time.ptr, time.len, &time_us) != 0) {
        hub_verify_note(verify, index, "entry %" PRIu64 " has no time", index);
    } else if (json != NULL) {
        if (verify->last_time_us != INT64_MIN && time_us < verify->last_time_us - TIME_SLACK_US)
            hub_verify_note(verify, index, "the time of entry %" PRIu64 " is well before that of the one before it", index);
        verify->last_time_us = time_us;
    }
    return verify->events != NULL ? hub_verify_events_entry(verify, index, entry, json) : HUB_OK;
}

/* Hashes the entries of bundle N into levels[0]; what cannot be read ends it early. */
static enum hub_result read_bundle(struct hub_verify *verify, uint64_t n, unsigned width)
{
    struct hub_verify_level *leaves = &verify->levels[0];
    struct hub_tile tile = {.level = HUB_TILE_ENTRIES, .n = n, .width = width};
    struct hub_span rest, entry;
    bool exact;
    char path[HUB_TILE_PATH_MAX];
    hub_tile_path(&tile, path);
    uint64_t index = n * HUB_TILE_WIDTH;
    enum hub_result result = hub_tiles_bundle(verify->tiles, n, &rest, &width, &exact, verify->err);
    if (result == HUB_NOT_FOUND) {
        verify->missing = true;
        hub_verify_find(verify, index, "%s is missing", path);
        return HUB_OK;
    }
    if (result == HUB_TOO_LARGE) {
        hub_verify_find(verify, index, "%s is larger than a bundle can be", path);
        return HUB_OK;
    }
    HUB_TRY(result);
    for (; leaves->count < width && hub_bundle_next(&rest, &entry) == HUB_OK; leaves->count++, index++) {
        hub_merkle_leaf(entry, &leaves->hashes[leaves->count]);
        HUB_TRY(check_entry(verify, index, entry));
    }
    if (leaves->count < width)
        hub_verify_find(verify, index, "%s is cut short or damaged at entry %" PRIu64, path, index);
    else if (exact && rest.len != 0)
        hub_verify_find(verify, index - 1, "%s holds more than its %u entries", path, width);
    return HUB_OK;
}

/* --- the right edge --- */

/* The root from one partial tile a level; LEVELS[l] is NULL where there is none. */
static void edge_root(uint64_t size, const struct hub_merkle_hash *const levels[HUB_TILE_LEVELS], struct hub_merkle_hash *out)
{
    struct hub_merkle tree;
    hub_merkle_init(&tree);
    tree.size = size;
    for (int level = 0; level < HUB_TILE_LEVELS; level++) {
        unsigned width = (unsigned)(hub_tile_hashes(level, size) % HUB_TILE_WIDTH);
        for (unsigned bit = 0; bit < 8; bit++) {
            if ((width >> bit & 1) != 0)
                hub_merkle_root_of(levels[level] + (width >> (bit + 1) << (bit + 1)), (size_t)1 << bit,
                                   &tree.edge[8 * (unsigned)level + bit]);
        }
    }
    hub_merkle_root(&tree, out);
}

/* Tries every choice between what the levels state until one gives the signed root. Levels above 3 are there
 * from 2^32 entries on, so there are few. CHOICE: bit l set = the file of level l. False: none does. */
static bool find_choice(struct hub_verify *verify, const struct claim claims[HUB_TILE_LEVELS], unsigned *choice)
{
    for (*choice = 0; *choice < 1u << HUB_TILE_LEVELS; (*choice)++) {
        const struct hub_merkle_hash *levels[HUB_TILE_LEVELS] = {NULL};
        struct hub_merkle_hash root;
        bool possible = true;
        for (unsigned level = 0; level < HUB_TILE_LEVELS && possible; level++) {
            const struct claim *claim = &claims[level];
            bool filed = (*choice >> level & 1) != 0;
            possible = claim->width == 0 ? !filed : filed ? claim->file != NULL : claim->made_count == claim->width;
            levels[level] = filed ? claim->file : claim->made;
        }
        if (!possible)
            continue;
        edge_root(verify->size, levels, &root);
        if (hub_merkle_equal(&root, &verify->root))
            return true;
    }
    return false;
}

static enum hub_result check_edge(struct hub_verify *verify)
{
    struct claim claims[HUB_TILE_LEVELS];
    unsigned choice;
    for (int level = 0; level < HUB_TILE_LEVELS; level++) {
        unsigned width = (unsigned)(hub_tile_hashes(level, verify->size) % HUB_TILE_WIDTH);
        claims[level] = (struct claim){.level = level};
        if (width == 0)
            continue;
        claim_init(&claims[level], level, &verify->levels[level], width);
        HUB_TRY(read_file_claim(verify, &claims[level]));
    }
    bool found = find_choice(verify, claims, &choice);
    for (unsigned level = 0; level < HUB_TILE_LEVELS; level++) {
        enum verdict verdict = !found ? NOBODY : (choice >> level & 1) != 0 ? FILED : MADE;
        if (claims[level].width != 0)
            report_claim(verify, &claims[level], verdict);
        if (claims[level].width != 0 && level == 0)
            grow_tree(verify, &claims[level], verdict);
    }
    if (!found)
        hub_verify_find(verify, UINT64_MAX, "the entries do not give the signed root");
    return HUB_OK;
}

static void check_empty_since(struct hub_verify *verify)
{
    struct hub_merkle_hash root;
    hub_merkle_root(&verify->tree, &root);
    if (!hub_merkle_equal(&root, &verify->since_root))
        hub_verify_find(verify, UINT64_MAX, "forked: the remembered checkpoint is not that of an empty log");
}

enum hub_result hub_verify_tree(struct hub_verify *verify)
{
    if (verify->since && verify->since_size == 0)
        check_empty_since(verify);
    for (uint64_t n = 0; n * HUB_TILE_WIDTH < verify->size; n++) {
        unsigned width = hub_tile_width(0, n, verify->size);
        if (verify->report->findings_dropped > DROPPED_MAX) {
            hub_verify_note(verify, n * HUB_TILE_WIDTH, "given up here: too much is wrong");
            return HUB_OK;
        }
        HUB_TRY(read_bundle(verify, n, width));
        if (width == HUB_TILE_WIDTH)
            HUB_TRY(finish_tile(verify, 0));
    }
    return check_edge(verify);
}
