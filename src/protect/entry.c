/* The clear extension urn:chartline:entry: what the timeline needs to know of a resource without any key. Of
 * a resource lifted to `sensitive` only what tells which version stands: kind, facts, class, version, mode,
 * act and list; not when it happened, what was measured, where or in which encounter. */
#include "src/protect/seal_internal.h"

enum { PARTS_MAX = 20 };

static const char *const mode_names[] = {[HUB_MODE_REPLACE] = NULL,
                                         [HUB_MODE_FOLD] = "fold",
                                         [HUB_MODE_FILL] = "fill",
                                         [HUB_MODE_STATUS] = "status"};
static const char *const act_names[] = {
    [HUB_ACT_STATE] = NULL,
    [HUB_ACT_WITHDRAW] = "withdraw",
    [HUB_ACT_CANCEL_TRANSFER] = "cancel-transfer",
    [HUB_ACT_CANCEL_ADMISSION] = "cancel-admission",
    [HUB_ACT_CANCEL_DISCHARGE] = "cancel-discharge",
};

struct builder {
    const struct hub_prepared *p;
    struct hub_json *list;
    enum hub_result result; /* the first failure */
};

static void add(struct builder *b, const char *url, const char *type, struct hub_json *value)
{
    struct hub_json *item = hub_json_new(b->p->arena, HUB_JSON_OBJECT);
    if (b->result == HUB_OK && (item == NULL || value == NULL))
        b->result = HUB_NO_MEMORY;
    if (b->result == HUB_OK)
        b->result = hub_json_set_string(b->p->arena, item, "url", hub_span_str(url));
    if (b->result == HUB_OK)
        b->result = hub_json_set_c(item, type, value);
    if (b->result == HUB_OK)
        b->result = hub_json_push(b->list, item);
}

static void add_text(struct builder *b, const char *url, const char *type, struct hub_span text)
{
    if (text.len != 0)
        add(b, url, type, hub_json_string(b->p->arena, text));
}

static void add_code(struct builder *b, const char *url, const char *code)
{
    if (code != NULL)
        add_text(b, url, "valueCode", hub_span_str(code));
}

/* LABEL, then WORD when not NULL, then the subject where the key has it, then the parts. */
static void add_token(struct builder *b, const char *label, const char *word, bool subject,
                      const struct hub_fact_key *key)
{
    struct hub_span parts[PARTS_MAX];
    struct hub_hash_token token;
    size_t count = 0;
    if (key->part_count == 0 || b->result != HUB_OK)
        return;
    if (key->part_count > PARTS_MAX - 2) {
        b->result = HUB_TOO_MANY;
        return;
    }
    if (word != NULL)
        parts[count++] = hub_span_str(word);
    if (subject)
        parts[count++] = hub_span_str(b->p->subject.text);
    for (size_t i = 0; i < key->part_count; i++)
        parts[count++] = key->parts[i];
    hub_keys_measure_token(b->p->keys, label, parts, count, &token);
    add_text(b, label, "valueString", hub_arena_copy(b->p->arena, hub_span_str(token.text)));
}

/* In the order of the urls. */
static void add_all(struct builder *b, const struct hub_entry *e, bool sensitive)
{
    struct hub_arena *arena = b->p->arena;
    add_code(b, "act", act_names[e->act]);
    add(b, "class", "valueInteger", hub_json_number_i64(arena, e->status_class));
    if (!sensitive) {
        add_text(b, "effective", "valueDateTime", e->effective.text);
        add_token(b, "encounter", NULL, e->encounter.with_subject, &e->encounter);
    }
    for (size_t i = 0; i < HUB_KEYS_MAX; i++)
        add_token(b, "fact", hub_kind_name(e->kind), e->keys[i].with_subject, &e->keys[i]);
    add_code(b, "kind", hub_kind_name(e->kind));
    add_token(b, "list", NULL, e->list.with_subject, &e->list);
    if (e->list_marks)
        add(b, "list-marks", "valueBoolean", hub_json_bool(arena, true));
    if (!sensitive) {
        add_token(b, "location", NULL, e->location.with_subject, &e->location);
        add_token(b, "measure", NULL, true, &e->measure);
    }
    add_code(b, "mode", mode_names[e->mode]);
    if (e->version.text.len != 0) {
        char time[HUB_TIME_TEXT_LEN + 1];
        hub_time_format(e->version.us, time);
        add_text(b, "version", "valueInstant", hub_arena_copy(arena, hub_span_str(time)));
    }
}

enum hub_result hub_entry_add(const struct hub_prepared *p, struct hub_resource *resource, bool sensitive,
                              struct hub_error *err)
{
    if (resource->entry.kind == HUB_KIND_NONE)
        return HUB_OK;
    struct hub_json *entry = hub_json_new(p->arena, HUB_JSON_OBJECT);
    struct hub_json *all = hub_json_get(resource->json, "extension");
    struct builder b = {p, hub_json_new(p->arena, HUB_JSON_ARRAY), HUB_OK};
    if (entry == NULL || b.list == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    add_all(&b, &resource->entry, sensitive);
    if (b.result == HUB_OK)
        b.result = hub_json_set_c(entry, "extension", b.list);
    if (b.result == HUB_OK)
        b.result = hub_json_set_string(p->arena, entry, "url", HUB_SPAN(HUB_URL_ENTRY));
    if (b.result == HUB_OK && (all == NULL || all->type != HUB_JSON_ARRAY)) {
        all = hub_json_new(p->arena, HUB_JSON_ARRAY);
        b.result = hub_json_set_c(resource->json, "extension", all);
    }
    if (b.result == HUB_OK)
        b.result = hub_json_push(all, entry);
    return b.result == HUB_OK ? HUB_OK : hub_fail(err, b.result, NULL, NULL);
}
