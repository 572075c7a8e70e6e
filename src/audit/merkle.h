/* The Merkle tree of RFC 6962 section 2.1 over SHA-256: leaf and node hashes, the right edge of a growing
 * tree, inclusion and consistency proofs and their verification. Pure functions over the caller's storage;
 * nothing here knows about files. Any thread. Sizes are below 2^62. */
#pragma once

#include "src/base/result.h"
#include "src/base/span.h"
#include "src/crypto/crypto.h"

struct hub_merkle_hash {
    uint8_t bytes[HUB_HASH_LEN];
};

/* SHA-256(0x00 | entry). */
void hub_merkle_leaf(struct hub_span entry, struct hub_merkle_hash *out);
/* SHA-256(0x01 | left | right). OUT may be one of them. */
void hub_merkle_node(const struct hub_merkle_hash *left, const struct hub_merkle_hash *right, struct hub_merkle_hash *out);
bool hub_merkle_equal(const struct hub_merkle_hash *a, const struct hub_merkle_hash *b);

/* A tree of which only the right edge is kept: one hash per set bit of the size. Copyable. */
struct hub_merkle {
    uint64_t size;
    struct hub_merkle_hash edge[64]; /* [k]: the complete subtree of 2^k leaves, when bit k of size is set */
};
void hub_merkle_init(struct hub_merkle *tree);
void hub_merkle_append(struct hub_merkle *tree, const struct hub_merkle_hash *leaf);
/* Root of an empty tree: SHA-256 of nothing. */
void hub_merkle_root(const struct hub_merkle *tree, struct hub_merkle_hash *out);
/* Root over COUNT hashes as if each were a leaf hash; for a complete tile of 256 the hash one level up. */
void hub_merkle_root_of(const struct hub_merkle_hash *hashes, size_t count, struct hub_merkle_hash *out);

/* Where proofs take hashes from: the complete subtree of 2^LEVEL leaves that begins at leaf INDEX * 2^LEVEL. */
struct hub_merkle_source {
    enum hub_result (*node)(void *ctx, unsigned level, uint64_t index, struct hub_merkle_hash *out, struct hub_error *err);
    void *ctx;
};
enum { HUB_MERKLE_PROOF_MAX = 64 };
struct hub_merkle_proof {
    struct hub_merkle_hash hashes[HUB_MERKLE_PROOF_MAX];
    size_t count;
};
/* Leaf INDEX in the tree of SIZE leaves (2.1.1). HUB_NOT_FOUND when INDEX is not below SIZE; else what SOURCE says. */
enum hub_result hub_merkle_prove_inclusion(const struct hub_merkle_source *source, uint64_t index, uint64_t size,
                                           struct hub_merkle_proof *out, struct hub_error *err) HUB_MUST_USE;
/* That the tree of OLD_SIZE leaves is a prefix of that of SIZE (2.1.2). HUB_NOT_FOUND unless 0 < OLD_SIZE <= SIZE. */
enum hub_result hub_merkle_prove_consistency(const struct hub_merkle_source *source, uint64_t old_size, uint64_t size,
                                             struct hub_merkle_proof *out, struct hub_error *err) HUB_MUST_USE;
/* HUB_CRYPTO when PROOF does not show it; its length must be exact. */
enum hub_result hub_merkle_verify_inclusion(const struct hub_merkle_hash *leaf, uint64_t index, uint64_t size,
                                            const struct hub_merkle_hash *root, const struct hub_merkle_proof *proof) HUB_MUST_USE;
enum hub_result hub_merkle_verify_consistency(uint64_t old_size, const struct hub_merkle_hash *old_root, uint64_t size,
                                              const struct hub_merkle_hash *root, const struct hub_merkle_proof *proof) HUB_MUST_USE;
