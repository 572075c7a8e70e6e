/* Tile paths, bundles and proofs from an enemy. The first byte chooses the reader. */
#include "src/audit/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_path(struct hub_span path)
{
    struct hub_tile tile;
    char again[HUB_TILE_PATH_MAX];
    if (hub_tile_path_parse(path, &tile) != HUB_OK)
        return;
    hub_tile_path(&tile, again);
    HUB_ASSERT(hub_span_is(path, again));
}

static void fuzz_bundle(struct hub_span bytes)
{
    struct hub_span rest = bytes, entry;
    struct hub_buf again;
    enum hub_result result;
    hub_buf_init(&again, HUB_BUNDLE_BYTES_MAX, false);
    while ((result = hub_bundle_next(&rest, &entry)) == HUB_OK)
        hub_bundle_append(&again, entry);
    HUB_ASSERT(result == HUB_END ? rest.len == 0 : result == HUB_CORRUPT);
    HUB_ASSERT(hub_span_equal(hub_buf_view(&again), hub_span_of(bytes.ptr, bytes.len - rest.len)));
    hub_buf_deinit(&again);
}

static uint64_t take_number(struct hub_span *rest)
{
    uint64_t number = 0;
    for (int i = 0; i < 8 && rest->len != 0; i++) {
        number = number << 8 | rest->ptr[0];
        *rest = hub_span_of(rest->ptr + 1, rest->len - 1);
    }
    return number;
}

/* Sizes, roots and a proof of any length: never true for roots that nobody made. */
static void fuzz_proof(struct hub_span rest)
{
    struct hub_merkle_hash leaf = {{1}}, root = {{2}};
    struct hub_merkle_proof proof = {.count = 0};
    uint64_t index = take_number(&rest), size = take_number(&rest);
    while (rest.len >= HUB_HASH_LEN && proof.count < HUB_MERKLE_PROOF_MAX) {
        memcpy(proof.hashes[proof.count++].bytes, rest.ptr, HUB_HASH_LEN);
        rest = hub_span_of(rest.ptr + HUB_HASH_LEN, rest.len - HUB_HASH_LEN);
    }
    HUB_ASSERT(hub_merkle_verify_inclusion(&leaf, index, size, &root, &proof) != HUB_OK);
    HUB_ASSERT(hub_merkle_verify_consistency(index, &leaf, size, &root, &proof) != HUB_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        HUB_ASSERT(hub_crypto_init() == HUB_OK);
    ready = true;
    if (size == 0)
        return 0;
    struct hub_span rest = hub_span_of(data + 1, size - 1);
    switch (data[0]) {
    case 'p':
        fuzz_path(rest);
        break;
    case 'm':
        fuzz_proof(rest);
        break;
    default:
        fuzz_bundle(rest);
        break;
    }
    return 0;
}
