/* The content digest: what was said of whom, without anything that differs between two runs with the same
 * messages (keys, tokens, ids, the hub's own times). */
#include <stdlib.h>

#include "src/crypto/crypto.h"
#include "src/query/version.h"

static void add(uint8_t sum[32], const uint8_t term[32])
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        carry += (unsigned)sum[i] + term[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static const char *const mode_names[] = {"replace", "fold", "fill", "status"};
static const char *const act_names[] = {"state", "withdraw", "cancel-transfer", "cancel-admission",
                                        "cancel-discharge"};

/* --- who: the identifiers of the chart's Patient resources --- */

static int compare_texts(const void *a, const void *b)
{
    return hub_span_compare(*(const struct hub_span *)a, *(const struct hub_span *)b);
}

static size_t count_identifiers(const struct view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < view->version_count; i++) {
        const struct hub_json *list = hub_json_get(view->versions[i].resource, "identifier");
        count +=
            view->versions[i].view.kind == HUB_KIND_PATIENT && list != NULL && list->type == HUB_JSON_ARRAY
                ? list->len
                : 0;
    }
    return count;
}

/* "<system>|<value>" of each, sorted, without repeats, a line feed after each. */
static enum hub_result who_text(const struct view *view, struct hub_buf *out)
{
    size_t cap = count_identifiers(view);
    struct hub_span *texts = HUB_ARENA_ARRAY(view->arena, struct hub_span, cap + 1);
    HUB_ENSURE(texts != NULL, HUB_NO_MEMORY);
    size_t count = 0;
    for (size_t i = 0; i < view->version_count && cap != 0; i++) {
        const struct hub_json *list = hub_json_get(view->versions[i].resource, "identifier");
        if (view->versions[i].view.kind != HUB_KIND_PATIENT || list == NULL || list->type != HUB_JSON_ARRAY)
            continue;
        for (const struct hub_json *id = list->first; id != NULL; id = id->next) {
            struct hub_span system = hub_json_get_span(id, "system");
            struct hub_span value = hub_json_get_span(id, "value");
            const char *text =
                hub_arena_printf(view->arena, "%.*s|%.*s", (int)system.len, (const char *)system.ptr,
                                 (int)value.len, (const char *)value.ptr);
            HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
            texts[count++] = hub_span_str(text);
        }
    }
    qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (i != 0 && hub_span_equal(texts[i - 1], texts[i]))
            continue;
        hub_buf_append_span(out, texts[i]);
        hub_buf_append_byte(out, '\n');
    }
    return hub_buf_result(out);
}

/* --- what --- */

/* Ids and references become "#<ordinal in the event>"; what does not lead to the same event's records, "#".
 */
static enum hub_result number_references(const struct view *view, const struct version *v,
                                         struct hub_json *node)
{
    if (node->type == HUB_JSON_ARRAY || node->type == HUB_JSON_OBJECT) {
        for (struct hub_json *child = node->first; child != NULL; child = child->next)
            HUB_TRY(number_references(view, v, child));
        return HUB_OK;
    }
    struct hub_span key = hub_span_of(node->key, node->key_len);
    struct hub_span type;
    struct hub_span id;
    bool reference = hub_span_is(key, "reference");
    if (node->type != HUB_JSON_STRING || node->key == NULL || !(reference || hub_span_is(key, "url")) ||
        !query_reference(hub_json_span(node), &type, &id))
        return HUB_OK;
    const struct version *to = query_find(view, id);
    bool own = to != NULL && hub_span_equal(to->event, v->event);
    if (!own && !reference)
        return HUB_OK; /* an address that only looks like one of ours */
    const char *text = own ? hub_arena_printf(view->arena, "%.*s/#%llu", (int)type.len,
                                              (const char *)type.ptr, (unsigned long long)to->ordinal)
                           : hub_arena_printf(view->arena, "%.*s/#", (int)type.len, (const char *)type.ptr);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    node->str = text;
    node->len = (uint32_t)strlen(text);
    return HUB_OK;
}

/* What a shredded secret protected differs from run to run and says nothing any more. */
static void drop_sealed(struct version *v)
{
    query_drop_extension(v->resource, "urn:chartline:sealed");
    if (hub_span_is(hub_json_get_span(v->resource, "resourceType"), "Binary"))
        (void)hub_json_remove(v->resource, "data");
}

static enum hub_result resource_text(const struct view *view, struct version *v, struct hub_buf *out)
{
    const char *id = hub_arena_printf(view->arena, "#%llu", (unsigned long long)v->ordinal);
    HUB_ENSURE(id != NULL, HUB_NO_MEMORY);
    if (v->masked)
        drop_sealed(v);
    HUB_TRY(number_references(view, v, v->resource));
    HUB_TRY(hub_json_set_string(view->arena, v->resource, "id", hub_span_str(id)));
    hub_buf_reset(out);
    hub_json_write(out, v->resource);
    return hub_buf_result(out);
}

static enum hub_result add_versions(const struct view *view, struct hub_buf *who, struct hub_buf *what,
                                    uint8_t digest[32])
{
    HUB_TRY(who_text(view, who));
    for (size_t i = 0; i < view->version_count; i++) {
        struct version *v = &view->versions[i];
        if (v->elsewhere)
            continue;
        HUB_TRY(resource_text(view, v, what));
        const struct hub_span parts[] = {HUB_SPAN("chartline content 1"),
                                         hub_buf_view(who),
                                         v->source,
                                         v->trigger,
                                         hub_span_str(v->support ? "support" : hub_kind_name(v->view.kind)),
                                         hub_span_str(mode_names[v->view.mode]),
                                         hub_span_str(act_names[v->view.act]),
                                         hub_buf_view(what)};
        uint8_t term[32];
        hub_blake2b_parts(NULL, parts, sizeof parts / sizeof parts[0], term, sizeof term);
        add(digest, term);
    }
    return HUB_OK;
}

enum hub_result hub_query_content_digest(struct hub_arena *arena, struct hub_json **records,
                                         const bool *elsewhere, size_t count,
                                         const struct hub_opener *opener, uint8_t digest[32],
                                         struct hub_error *err)
{
    static const struct hub_query everything = {
        .at_us = INT64_MAX, .known_at_us = INT64_MAX, .versions = true};
    struct view view = {.arena = arena, .query = &everything, .elsewhere = elsewhere};
    HUB_TRY(query_read(&view, records, count, opener, err));
    struct hub_buf who;
    struct hub_buf what;
    hub_buf_init(&who, 16 << 20, true);
    hub_buf_init(&what, 256 << 20, true);
    enum hub_result result = add_versions(&view, &who, &what, digest);
    hub_buf_deinit(&who);
    hub_buf_deinit(&what);
    return result != HUB_OK ? hub_fail(err, result, NULL, NULL) : HUB_OK;
}
