/* The key records that readers need and the log does not hold yet. What the log holds is known from the
 * index, so that a key made by `init`, or just before a crash, is recorded and audited all the same, and
 * once. */
#include <stdio.h>

#include "src/base/arena.h"
#include "src/codec/json.h"
#include "src/pipeline/commit_record.h"
#include "src/pipeline/index.h"

enum {
    ARENA_BYTES_MAX = 8 * 1024 * 1024,
    ROLES_MAX = 64,
};

struct search {
    struct hub_index *index;
    struct hub_arena arena;
    char last_id[HUB_KEY_ID_LEN + 1]; /* records of one key follow each other */
    bool (*emit)(void *ctx, const struct hub_commit_key *key);
    void *ctx;
    enum hub_result result;
    struct hub_error *err;
};

static enum hub_result describe(struct search *search, struct hub_span json_line, struct hub_commit_key *key,
                                struct hub_span *roles)
{
    struct hub_json *json = NULL;
    hub_arena_reset(&search->arena);
    HUB_TRY(hub_json_parse(&search->arena, json_line, &json, search->err));
    *key = (struct hub_commit_key){
        .json = json_line,
        .kind = hub_json_get_span(json, "kind"),
        .id = hub_json_get_span(json, "id"),
        .class_ = hub_json_get_span(json, "class"),
        .cause = hub_json_get_span(json, "cause"),
        .by = hub_json_get_span(json, "by"),
        .role = hub_json_get_span(json, "role"),
        .subject = hub_json_get_span(json, "subject"),
        .roles = roles,
    };
    if (hub_json_get(json, "epoch") != NULL)
        (void)hub_span_parse_u64(hub_json_span(hub_json_get(json, "epoch")), &key->epoch);
    const struct hub_json *sealed = hub_json_get(json, "sealed");
    for (const struct hub_json *box = sealed != NULL && sealed->type == HUB_JSON_ARRAY ? sealed->first : NULL;
         box != NULL && key->role_count < ROLES_MAX; box = box->next)
        roles[key->role_count++] = hub_json_get_span(box, "role");
    key->granted = hub_span_is(key->kind, "class-key") && key->id.len != 0 && hub_span_is(key->id, search->last_id);
    (void)snprintf(search->last_id, sizeof search->last_id, "%.*s", (int)key->id.len,
                   (const char *)key->id.ptr);
    return HUB_OK;
}

static bool look(void *ctx, struct hub_span json_line)
{
    struct search *search = ctx;
    struct hub_commit_key key;
    struct hub_span roles[ROLES_MAX];
    bool known = false;
    search->result = describe(search, json_line, &key, roles);
    if (search->result == HUB_OK)
        search->result = hub_index_key_record(search->index, json_line, &known, search->err);
    return search->result == HUB_OK && (known || search->emit(search->ctx, &key));
}

enum hub_result hub_commit_keys_missing(struct hub_keys *keys, struct hub_index *index,
                                        bool (*emit)(void *ctx, const struct hub_commit_key *key), void *ctx,
                                        struct hub_error *err)
{
    struct search search = {.index = index, .emit = emit, .ctx = ctx, .result = HUB_OK, .err = err};
    hub_arena_init(&search.arena, ARENA_BYTES_MAX);
    enum hub_result result = hub_keys_each_record(keys, look, &search);
    hub_arena_deinit(&search.arena);
    return search.result != HUB_OK ? search.result : result;
}
