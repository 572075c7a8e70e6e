/* RFC 6962: published roots, and every proof against a tree hashed by brute force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "src/audit/merkle.h"
#include "src/codec/encode.h"

/* Leaves and roots of the known tree (transparency-dev merkle, testonly/constants.go). */
static const char *const leaf_hex[8] = {"",         "00",       "10",               "2021",
                                        "3031",     "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
static const char *const root_hex[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

enum { LEAVES = 700 };
static struct hub_merkle_hash leaves[LEAVES];

/* MTH of RFC 6962 2.1, word for word. */
static void brute(const struct hub_merkle_hash *hashes, size_t count, struct hub_merkle_hash *out)
{
    if (count == 0) {
        hub_sha256_of(HUB_SPAN_NONE, out->bytes);
    } else if (count == 1) {
        *out = hashes[0];
    } else {
        struct hub_merkle_hash left, right;
        size_t k = 1;
        while (k * 2 < count)
            k *= 2;
        brute(hashes, k, &left);
        brute(hashes + k, count - k, &right);
        hub_merkle_node(&left, &right, out);
    }
}

static enum hub_result brute_node(void *ctx, unsigned level, uint64_t index, struct hub_merkle_hash *out, struct hub_error *err)
{
    size_t count = (size_t)1 << level;
    (void)err;
    assert_true((index + 1) * count <= *(const uint64_t *)ctx); /* only complete subtrees of this size are asked for */
    brute(leaves + index * count, count, out);
    return HUB_OK;
}

static int make_leaves(void **state)
{
    (void)state;
    assert_int_equal(hub_crypto_init(), HUB_OK);
    for (uint32_t i = 0; i < LEAVES; i++)
        hub_merkle_leaf(hub_span_of(&i, sizeof i), &leaves[i]);
    return 0;
}

static void audit_merkle_gives_the_published_roots(void **state)
{
    (void)state;
    struct hub_merkle tree;
    hub_merkle_init(&tree);
    for (size_t n = 0; n <= 8; n++) {
        struct hub_merkle_hash root, leaf;
        char hex[65];
        uint8_t bytes[32];
        size_t len = 0;
        hub_merkle_root(&tree, &root);
        (void)hub_encode(HUB_HEX, hub_span_of(root.bytes, sizeof root.bytes), hex, sizeof hex);
        assert_string_equal(hex, root_hex[n]);
        if (n == 8)
            break;
        assert_int_equal(hub_decode(HUB_HEX, hub_span_str(leaf_hex[n]), bytes, sizeof bytes, &len), HUB_OK);
        hub_merkle_leaf(hub_span_of(bytes, len), &leaf);
        hub_merkle_append(&tree, &leaf);
    }
}

static void audit_merkle_right_edge_gives_the_root_at_every_size(void **state)
{
    (void)state;
    struct hub_merkle tree;
    struct hub_merkle_hash root, want;
    hub_merkle_init(&tree);
    for (size_t n = 0; n < 300; n++) {
        hub_merkle_root(&tree, &root);
        brute(leaves, n, &want);
        assert_true(hub_merkle_equal(&root, &want));
        hub_merkle_root_of(leaves, n, &root);
        assert_true(hub_merkle_equal(&root, &want));
        hub_merkle_append(&tree, &leaves[n]);
    }
}

/* Anything changed in a proof or in what it proves must be refused. */
static void refuse_changed_inclusion(uint64_t index, uint64_t size, const struct hub_merkle_hash *root, const struct hub_merkle_proof *good)
{
    struct hub_merkle_proof proof = *good;
    struct hub_merkle_hash other = *root;
    for (size_t i = 0; i < good->count; i++) {
        proof.hashes[i].bytes[i % HUB_HASH_LEN] ^= 8;
        assert_int_equal(hub_merkle_verify_inclusion(&leaves[index], index, size, root, &proof), HUB_CRYPTO);
        proof = *good;
    }
    other.bytes[0] ^= 1;
    assert_int_equal(hub_merkle_verify_inclusion(&leaves[index], index, size, &other, good), HUB_CRYPTO);
    assert_int_equal(hub_merkle_verify_inclusion(&leaves[(index + 1) % LEAVES], index, size, root, good), HUB_CRYPTO);
    assert_int_equal(hub_merkle_verify_inclusion(&leaves[index], index + size, size, root, good), HUB_CRYPTO);
    if (size > 1)
        assert_int_equal(hub_merkle_verify_inclusion(&leaves[index], (index + 1) % size, size, root, good), HUB_CRYPTO);
    if (good->count < HUB_MERKLE_PROOF_MAX) {
        proof.hashes[proof.count++] = other;
        assert_int_equal(hub_merkle_verify_inclusion(&leaves[index], index, size, root, &proof), HUB_CRYPTO);
    }
    proof = *good;
    if (proof.count > 0) {
        proof.count--;
        assert_int_equal(hub_merkle_verify_inclusion(&leaves[index], index, size, root, &proof), HUB_CRYPTO);
    }
}

static void audit_merkle_inclusion_proofs_agree_with_brute_force(void **state)
{
    (void)state;
    srandom(20261123);
    for (int round = 0; round < 400; round++) {
        uint64_t size = round < 40 ? (uint64_t)round + 1 : 1 + (uint64_t)random() % LEAVES;
        uint64_t index = (uint64_t)random() % size;
        struct hub_merkle_source source = {brute_node, &size};
        struct hub_merkle_proof proof;
        struct hub_merkle_hash root;
        brute(leaves, size, &root);
        assert_int_equal(hub_merkle_prove_inclusion(&source, index, size, &proof, NULL), HUB_OK);
        assert_int_equal(hub_merkle_verify_inclusion(&leaves[index], index, size, &root, &proof), HUB_OK);
        refuse_changed_inclusion(index, size, &root, &proof);
        assert_int_equal(hub_merkle_prove_inclusion(&source, size, size, &proof, NULL), HUB_NOT_FOUND);
    }
}

static void refuse_changed_consistency(uint64_t old_size, const struct hub_merkle_hash *old_root, uint64_t size,
                                       const struct hub_merkle_hash *root, const struct hub_merkle_proof *good)
{
    struct hub_merkle_proof proof = *good;
    for (size_t i = 0; i < good->count; i++) {
        proof.hashes[i].bytes[0] ^= 8;
        assert_int_equal(hub_merkle_verify_consistency(old_size, old_root, size, root, &proof), HUB_CRYPTO);
        proof = *good;
    }
    if (old_size != size) {
        assert_int_equal(hub_merkle_verify_consistency(old_size, root, size, old_root, good), HUB_CRYPTO);
        assert_int_equal(hub_merkle_verify_consistency(size, old_root, old_size, root, good), HUB_CRYPTO);
    }
    if (good->count < HUB_MERKLE_PROOF_MAX) {
        proof.hashes[proof.count++] = *root;
        assert_int_equal(hub_merkle_verify_consistency(old_size, old_root, size, root, &proof), HUB_CRYPTO);
    }
    proof = *good;
    if (proof.count > 0) {
        proof.count--;
        assert_int_equal(hub_merkle_verify_consistency(old_size, old_root, size, root, &proof), HUB_CRYPTO);
    }
    assert_int_equal(hub_merkle_verify_consistency(0, old_root, size, root, good), HUB_CRYPTO);
}

static void audit_merkle_consistency_proofs_agree_with_brute_force(void **state)
{
    (void)state;
    srandom(7);
    for (int round = 0; round < 400; round++) {
        uint64_t size = 1 + (uint64_t)random() % (round < 200 ? 40 : LEAVES);
        uint64_t old_size = 1 + (uint64_t)random() % size;
        struct hub_merkle_source source = {brute_node, &size};
        struct hub_merkle_proof proof;
        struct hub_merkle_hash root, old_root;
        brute(leaves, size, &root);
        brute(leaves, old_size, &old_root);
        assert_int_equal(hub_merkle_prove_consistency(&source, old_size, size, &proof, NULL), HUB_OK);
        assert_int_equal(hub_merkle_verify_consistency(old_size, &old_root, size, &root, &proof), HUB_OK);
        refuse_changed_consistency(old_size, &old_root, size, &root, &proof);
        assert_int_equal(hub_merkle_prove_consistency(&source, 0, size, &proof, NULL), HUB_NOT_FOUND);
        assert_int_equal(hub_merkle_prove_consistency(&source, size + 1, size, &proof, NULL), HUB_NOT_FOUND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_merkle_gives_the_published_roots),
        cmocka_unit_test(audit_merkle_right_edge_gives_the_root_at_every_size),
        cmocka_unit_test(audit_merkle_inclusion_proofs_agree_with_brute_force),
        cmocka_unit_test(audit_merkle_consistency_proofs_agree_with_brute_force),
    };
    return cmocka_run_group_tests(tests, make_leaves, NULL);
}
