#include "src/audit/merkle.h"

void hub_merkle_leaf(struct hub_span entry, struct hub_merkle_hash *out)
{
    struct hub_sha256 sha;
    hub_sha256_init(&sha);
    hub_sha256_update(&sha, hub_span_of("\x00", 1));
    hub_sha256_update(&sha, entry);
    hub_sha256_final(&sha, out->bytes);
}

void hub_merkle_node(const struct hub_merkle_hash *left, const struct hub_merkle_hash *right, struct hub_merkle_hash *out)
{
    struct hub_sha256 sha;
    hub_sha256_init(&sha);
    hub_sha256_update(&sha, hub_span_of("\x01", 1));
    hub_sha256_update(&sha, hub_span_of(left->bytes, sizeof left->bytes));
    hub_sha256_update(&sha, hub_span_of(right->bytes, sizeof right->bytes));
    hub_sha256_final(&sha, out->bytes);
}

bool hub_merkle_equal(const struct hub_merkle_hash *a, const struct hub_merkle_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void hub_merkle_init(struct hub_merkle *tree)
{
    memset(tree, 0, sizeof *tree);
}

void hub_merkle_append(struct hub_merkle *tree, const struct hub_merkle_hash *leaf)
{
    HUB_ASSERT(tree->size < UINT64_C(1) << 62);
    struct hub_merkle_hash hash = *leaf;
    unsigned level = 0;
    for (; (tree->size >> level & 1) != 0; level++)
        hub_merkle_node(&tree->edge[level], &hash, &hash);
    tree->edge[level] = hash;
    tree->size++;
}

void hub_merkle_root(const struct hub_merkle *tree, struct hub_merkle_hash *out)
{
    if (tree->size == 0) {
        hub_sha256_of(HUB_SPAN_NONE, out->bytes);
        return;
    }
    unsigned level = (unsigned)__builtin_ctzll(tree->size);
    *out = tree->edge[level];
    while (++level < 64) {
        if ((tree->size >> level & 1) != 0)
            hub_merkle_node(&tree->edge[level], out, out);
    }
}

void hub_merkle_root_of(const struct hub_merkle_hash *hashes, size_t count, struct hub_merkle_hash *out)
{
    struct hub_merkle tree;
    hub_merkle_init(&tree);
    for (size_t i = 0; i < count; i++)
        hub_merkle_append(&tree, &hashes[i]);
    hub_merkle_root(&tree, out);
}

static unsigned bit_length(uint64_t number)
{
    return number == 0 ? 0 : 64 - (unsigned)__builtin_clzll(number);
}

/* The largest power of two below COUNT, COUNT > 1: where RFC 6962 splits a tree. */
static uint64_t split_at(uint64_t count)
{
    return UINT64_C(1) << (bit_length(count - 1) - 1);
}

/* MTH of COUNT leaves from START; START is a multiple of every power of two that the split uses. */
static enum hub_result range_hash(const struct hub_merkle_source *source, uint64_t start, uint64_t count,
                                  struct hub_merkle_hash *out, struct hub_error *err)
{
    if ((count & (count - 1)) == 0) {
        unsigned level = bit_length(count) - 1;
        return source->node(source->ctx, level, start >> level, out, err);
    }
    struct hub_merkle_hash left, right;
    uint64_t k = split_at(count);
    HUB_TRY(range_hash(source, start, k, &left, err));
    HUB_TRY(range_hash(source, start + k, count - k, &right, err));
    hub_merkle_node(&left, &right, out);
    return HUB_OK;
}

static enum hub_result push_range(const struct hub_merkle_source *source, uint64_t start, uint64_t count,
                                  struct hub_merkle_proof *out, struct hub_error *err)
{
    HUB_ASSERT(out->count < HUB_MERKLE_PROOF_MAX);
    return range_hash(source, start, count, &out->hashes[out->count++], err);
}

/* PATH(m, D[n]) of RFC 6962 2.1.1 for the leaves START.. ; depth at most 64. */
static enum hub_result inclusion_path(const struct hub_merkle_source *source, uint64_t index, uint64_t start,
                                      uint64_t count, struct hub_merkle_proof *out, struct hub_error *err)
{
    if (count == 1)
        return HUB_OK;
    uint64_t k = split_at(count);
    if (index < start + k) {
        HUB_TRY(inclusion_path(source, index, start, k, out, err));
        return push_range(source, start + k, count - k, out, err);
    }
    HUB_TRY(inclusion_path(source, index, start + k, count - k, out, err));
    return push_range(source, start, k, out, err);
}

enum hub_result hub_merkle_prove_inclusion(const struct hub_merkle_source *source, uint64_t index, uint64_t size,
                                           struct hub_merkle_proof *out, struct hub_error *err)
{
    out->count = 0;
    if (index >= size || size >= UINT64_C(1) << 62)
        return hub_fail(err, HUB_NOT_FOUND, "the tree has no such entry", NULL);
    return inclusion_path(source, index, 0, size, out, err);
}

/* SUBPROOF(m, D[n], b) of RFC 6962 2.1.2 for the leaves START.. . */
static enum hub_result consistency_path(const struct hub_merkle_source *source, uint64_t old_count, uint64_t start,
                                        uint64_t count, bool whole, struct hub_merkle_proof *out, struct hub_error *err)
{
    if (old_count == count)
        return whole ? HUB_OK : push_range(source, start, count, out, err);
    uint64_t k = split_at(count);
    if (old_count <= k) {
        HUB_TRY(consistency_path(source, old_count, start, k, whole, out, err));
        return push_range(source, start + k, count - k, out, err);
    }
    HUB_TRY(consistency_path(source, old_count - k, start + k, count - k, false, out, err));
    return push_range(source, start, k, out, err);
}

enum hub_result hub_merkle_prove_consistency(const struct hub_merkle_source *source, uint64_t old_size, uint64_t size,
                                             struct hub_merkle_proof *out, struct hub_error *err)
{
    out->count = 0;
    if (old_size == 0 || old_size > size || size >= UINT64_C(1) << 62)
        return hub_fail(err, HUB_NOT_FOUND, "no consistency proof between these sizes", NULL);
    return consistency_path(source, old_size, 0, size, true, out, err);
}

/* How many proof hashes lie inside the perfect subtree that holds INDEX and the last leaf, and how many on
 * the left border above it. */
static void decompose(uint64_t index, uint64_t size, unsigned *inner, unsigned *border)
{
    *inner = bit_length(index ^ (size - 1));
    *border = *inner < 64 ? (unsigned)__builtin_popcountll(index >> *inner) : 0;
}

enum hub_result hub_merkle_verify_inclusion(const struct hub_merkle_hash *leaf, uint64_t index, uint64_t size,
                                            const struct hub_merkle_hash *root, const struct hub_merkle_proof *proof)
{
    HUB_ENSURE(index < size, HUB_CRYPTO);
    unsigned inner, border;
    decompose(index, size, &inner, &border);
    HUB_ENSURE(proof->count == inner + border, HUB_CRYPTO);
    struct hub_merkle_hash hash = *leaf;
    for (unsigned k = 0; k < proof->count; k++) {
        bool left = k < inner && (index >> k & 1) == 0;
        if (left)
            hub_merkle_node(&hash, &proof->hashes[k], &hash);
        else
            hub_merkle_node(&proof->hashes[k], &hash, &hash);
    }
    return hub_merkle_equal(&hash, root) ? HUB_OK : HUB_CRYPTO;
}

enum hub_result hub_merkle_verify_consistency(uint64_t old_size, const struct hub_merkle_hash *old_root, uint64_t size,
                                              const struct hub_merkle_hash *root, const struct hub_merkle_proof *proof)
{
    HUB_ENSURE(old_size > 0 && old_size <= size, HUB_CRYPTO);
    if (old_size == size)
        return proof->count == 0 && hub_merkle_equal(old_root, root) ? HUB_OK : HUB_CRYPTO;
    unsigned inner, border;
    decompose(old_size - 1, size, &inner, &border);
    unsigned shift = (unsigned)__builtin_ctzll(old_size);
    inner -= shift;
    bool perfect = old_size == UINT64_C(1) << shift; /* then the old root itself is the seed and not sent */
    size_t first = perfect ? 0 : 1;
    HUB_ENSURE(proof->count == first + inner + border, HUB_CRYPTO);
    struct hub_merkle_hash old_hash = perfect ? *old_root : proof->hashes[0];
    struct hub_merkle_hash hash = old_hash;
    uint64_t mask = (old_size - 1) >> shift;
    for (unsigned k = 0; k < inner + border; k++) {
        const struct hub_merkle_hash *sibling = &proof->hashes[first + k];
        if (k < inner && (mask >> k & 1) == 0) {
            hub_merkle_node(&hash, sibling, &hash);
        } else {
            hub_merkle_node(sibling, &old_hash, &old_hash);
            hub_merkle_node(sibling, &hash, &hash);
        }
    }
    return hub_merkle_equal(&old_hash, old_root) && hub_merkle_equal(&hash, root) ? HUB_OK : HUB_CRYPTO;
}
