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
    char *at;
    const char *end;
    enum hub_result result; /* the first failure */
};

enum { WORDS_MAX = 512 }; /* of tokens, codes and the version; the effective time comes on top */

static void add_text(struct builder *b, const char *name, struct hub_span text)
{
    const size_t name_len = strlen(name);
    if (text.len == 0)
        return;
    HUB_ASSERT((size_t)(b->end - b->at) > name_len + text.len + 2);
    *b->at = ' ';
    memcpy(b->at + 1, name, name_len);
    b->at[1 + name_len] = '=';
    memcpy(b->at + name_len + 2, text.ptr, text.len);
    b->at += name_len + 2 + text.len;
}

static void add_code(struct builder *b, const char *name, const char *code)
{
    if (code != NULL)
        add_text(b, name, hub_span_str(code));
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
    add_text(b, label, hub_span_str(token.text));
}

static void add_time(struct builder *b, const char *name, const struct hub_when *when)
{
    char time[HUB_TIME_TEXT_LEN + 1];
    if (when->text.len == 0)
        return;
    hub_time_format(when->us, time);
    add_text(b, name, hub_span_str(time));
}

/* In the order of the names. */
static void add_all(struct builder *b, const struct hub_entry *e, bool sensitive)
{
    add_code(b, "act", act_names[e->act]);
    add_code(b, "class", e->status_class == 0 ? "0" : NULL);
    if (!sensitive) {
        add_text(b, "effective", e->effective.text);
        add_token(b, "encounter", NULL, e->encounter.with_subject, &e->encounter);
    }
    for (size_t i = 0; i < HUB_KEYS_MAX; i++)
        add_token(b, "fact", hub_kind_name(e->kind), e->keys[i].with_subject, &e->keys[i]);
    add_code(b, "kind", hub_kind_name(e->kind));
    add_token(b, "list", NULL, e->list.with_subject, &e->list);
    add_code(b, "list-marks", e->list_marks ? "true" : NULL);
    if (e->list.part_count != 0)
        add_time(b, "list-version", &e->listed);
    if (!sensitive) {
        add_token(b, "location", NULL, e->location.with_subject, &e->location);
        add_token(b, "measure", NULL, true, &e->measure);
    }
    add_code(b, "mode", mode_names[e->mode]);
    add_time(b, "version", &e->version);
}

static enum hub_result push_extension(struct hub_arena *arena, struct hub_json *resource, struct hub_span text)
{
    struct hub_json *entry = hub_json_new(arena, HUB_JSON_OBJECT);
    struct hub_json *all = hub_json_get(resource, "extension");
    HUB_ENSURE(entry != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, entry, "url", HUB_SPAN(HUB_URL_ENTRY)));
    HUB_TRY(hub_json_set_string(arena, entry, "valueString", text));
    if (all == NULL || all->type != HUB_JSON_ARRAY) {
        all = hub_json_new(arena, HUB_JSON_ARRAY);
        HUB_TRY(hub_json_set_c(resource, "extension", all));
    }
    return hub_json_push(all, entry);
}

enum hub_result hub_entry_add(const struct hub_prepared *p, struct hub_resource *resource, bool sensitive,
                              struct hub_error *err)
{
    const struct hub_entry *entry = &resource->entry;
    if (entry->kind == HUB_KIND_NONE)
        return HUB_OK;
    const size_t cap = WORDS_MAX + entry->effective.text.len;
    char *text = hub_arena_bytes(p->arena, cap);
    if (text == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct builder b = {p, text, text + cap, HUB_OK};
    add_all(&b, entry, sensitive);
    if (b.result == HUB_OK) /* each word begins with a space: the first one is left out */
        b.result = push_extension(p->arena, resource->json, hub_span_of(text + 1, (size_t)(b.at - text) - 1));
    return b.result == HUB_OK ? HUB_OK : hub_fail(err, b.result, NULL, NULL);
}
