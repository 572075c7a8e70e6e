#include "src/pipeline/remap_diff.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/buf.h"
#include "src/base/mem.h"
#include "src/event/entry_view.h"

enum { PATH_MAX_LEN = 1024, TEXTS_MAX = 64 * 1024 * 1024 };

struct row {
    struct hub_diff_row shown;
    uint64_t last_message; /* counted in it already */
};

struct hub_diff {
    struct hub_arena texts;
    struct row *rows; /* by path */
    size_t count, cap;
    uint64_t messages; /* seen */
    uint64_t more;
};

struct hub_diff *hub_diff_new(void)
{
    struct hub_diff *diff = hub_mem_alloc(sizeof(*diff));
    if (diff != NULL)
        hub_arena_init(&diff->texts, TEXTS_MAX);
    return diff;
}

void hub_diff_free(struct hub_diff *diff)
{
    if (diff == NULL)
        return;
    hub_arena_deinit(&diff->texts);
    hub_mem_free(diff->rows);
    hub_mem_free(diff);
}

/* --- counting --- */

static struct row *row_of(struct hub_diff *diff, struct hub_span path)
{
    size_t low = 0;
    size_t high = diff->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = hub_span_compare(diff->rows[mid].shown.path, path);
        if (d == 0)
            return &diff->rows[mid];
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (diff->count == HUB_DIFF_PATHS_MAX)
        return NULL;
    if (diff->count == diff->cap) {
        size_t cap = diff->cap != 0 ? diff->cap * 2 : 64;
        struct row *rows = hub_mem_resize(diff->rows, cap * sizeof(*rows));
        if (rows == NULL)
            return NULL;
        diff->rows = rows;
        diff->cap = cap;
    }
    struct hub_span copy = hub_arena_copy(&diff->texts, path);
    if (copy.ptr == NULL)
        return NULL;
    memmove(&diff->rows[low + 1], &diff->rows[low], (diff->count - low) * sizeof(*diff->rows));
    diff->rows[low] = (struct row){.shown = {.path = copy}};
    diff->count++;
    return &diff->rows[low];
}

/* One comparison at work. */
struct walk {
    struct hub_diff *diff;
    struct hub_arena *arena;
    struct hub_buf path;
    hub_diff_sample_fn sample;
    void *ctx;
};

static void note(struct walk *w, const struct hub_json *before, const struct hub_json *after)
{
    struct row *row = row_of(w->diff, hub_buf_view(&w->path));
    if (row == NULL) {
        w->diff->more++;
        return;
    }
    *(before == NULL ? &row->shown.added : after == NULL ? &row->shown.removed : &row->shown.changed) += 1;
    row->shown.messages += row->last_message != w->diff->messages;
    row->last_message = w->diff->messages;
    if (w->sample != NULL)
        w->sample(w->ctx, row->shown.path, before, after);
}

/* --- trees --- */

static void walk(struct walk *w, const struct hub_json *before, const struct hub_json *after);

static size_t enter(struct walk *w, const char *before, struct hub_span name, const char *after)
{
    const size_t at = w->path.len;
    if (at + name.len + 4 < PATH_MAX_LEN) {
        hub_buf_append_str(&w->path, before);
        hub_buf_append_span(&w->path, name);
        hub_buf_append_str(&w->path, after);
    }
    return at;
}

static struct hub_span key_of(const struct hub_json *member)
{
    return hub_span_of(member->key, member->key_len);
}

static void walk_object(struct walk *w, const struct hub_json *before, const struct hub_json *after)
{
    for (const struct hub_json *member = before->first; member != NULL; member = member->next) {
        size_t at = enter(w, ".", key_of(member), "");
        walk(w, member, hub_json_get_n(after, member->key, member->key_len));
        w->path.len = at;
    }
    for (const struct hub_json *member = after->first; member != NULL; member = member->next) {
        if (hub_json_get_n(before, member->key, member->key_len) != NULL)
            continue;
        size_t at = enter(w, ".", key_of(member), "");
        walk(w, NULL, member);
        w->path.len = at;
    }
}

static bool is_extensions(const struct hub_json *list)
{
    const struct hub_span key = list->key != NULL ? key_of(list) : HUB_SPAN_NONE;
    return hub_span_is(key, "extension") || hub_span_is(key, "modifierExtension");
}

/* The NTH extension of that url. */
static const struct hub_json *extension_of(const struct hub_json *list, struct hub_span url, size_t nth)
{
    for (const struct hub_json *item = list->first; item != NULL; item = item->next) {
        if (hub_span_equal(hub_json_get_span(item, "url"), url) && nth-- == 0)
            return item;
    }
    return NULL;
}

static size_t nth_of(const struct hub_json *list, const struct hub_json *item)
{
    size_t nth = 0;
    for (const struct hub_json *each = list->first; each != item; each = each->next)
        nth += hub_span_equal(hub_json_get_span(each, "url"), hub_json_get_span(item, "url")) ? 1 : 0;
    return nth;
}

/* "NAME=VALUE" and the blank behind it off TEXT. */
static bool next_word(struct hub_span *text, struct hub_span *name, struct hub_span *value)
{
    const uint8_t *end = text->len != 0 ? memchr(text->ptr, ' ', text->len) : NULL;
    const size_t len = end != NULL ? (size_t)(end - text->ptr) : text->len;
    const uint8_t *is = len != 0 ? memchr(text->ptr, '=', len) : NULL;
    if (is == NULL)
        return false;
    *name = hub_span_of(text->ptr, (size_t)(is - text->ptr));
    *value = hub_span_of(is + 1, len - name->len - 1);
    *text = end != NULL ? hub_span_of(end + 1, text->len - len - 1) : HUB_SPAN_NONE;
    return true;
}

/* The value of the NTH word of that name; a NULL pointer when there is none. */
static struct hub_span word_of(struct hub_span text, struct hub_span wanted, size_t nth)
{
    struct hub_span name, value;
    while (next_word(&text, &name, &value)) {
        if (hub_span_equal(name, wanted) && nth-- == 0)
            return value;
    }
    return HUB_SPAN_NONE;
}

/* Words that A has and B has not, or, with CHANGED, has otherwise. */
static void walk_words(struct walk *w, struct hub_span a, struct hub_span b, bool is_before)
{
    struct hub_span rest = a, name, value, last = HUB_SPAN_NONE;
    size_t nth = 0;
    while (next_word(&rest, &name, &value)) {
        nth = hub_span_equal(name, last) ? nth + 1 : 0;
        last = name;
        const struct hub_span other = word_of(b, name, nth);
        const bool missing = other.ptr == NULL;
        if (!missing && (!is_before || hub_span_equal(value, other)))
            continue;
        const struct hub_json *mine = hub_json_string(w->arena, value), *theirs = hub_json_string(w->arena, other);
        size_t at = enter(w, ".", name, "");
        if (mine != NULL)
            note(w, is_before ? mine : missing ? NULL : theirs, is_before ? (missing ? NULL : theirs) : mine);
        w->path.len = at;
    }
}

/* What the timeline knows of an entry: words in one text (docs/FORMATS.md, `urn:chartline:entry`). */
static void walk_entry(struct walk *w, const struct hub_json *before, const struct hub_json *after)
{
    const struct hub_span a = hub_json_get_span(before, "valueString"), b = hub_json_get_span(after, "valueString");
    walk_words(w, a, b, true);
    walk_words(w, b, a, false);
}

static void walk_extensions(struct walk *w, const struct hub_json *before, const struct hub_json *after)
{
    for (const struct hub_json *item = before->first; item != NULL; item = item->next) {
        const struct hub_span url = hub_json_get_span(item, "url");
        const struct hub_json *other = extension_of(after, url, nth_of(before, item));
        size_t at = enter(w, "(", url, ")");
        if (other != NULL && hub_span_is(url, "urn:chartline:entry"))
            walk_entry(w, item, other);
        else
            walk(w, item, other);
        w->path.len = at;
    }
    for (const struct hub_json *item = after->first; item != NULL; item = item->next) {
        const struct hub_span url = hub_json_get_span(item, "url");
        if (extension_of(before, url, nth_of(after, item)) != NULL)
            continue;
        size_t at = enter(w, "(", url, ")");
        walk(w, NULL, item);
        w->path.len = at;
    }
}

static void walk_array(struct walk *w, const struct hub_json *before, const struct hub_json *after)
{
    const struct hub_json *a = before->first;
    const struct hub_json *b = after->first;
    size_t at = enter(w, "[]", HUB_SPAN_NONE, "");
    while (a != NULL || b != NULL) {
        walk(w, a, b);
        a = a != NULL ? a->next : NULL;
        b = b != NULL ? b->next : NULL;
    }
    w->path.len = at;
}

/* Either may be NULL: then the whole of the other is one difference. */
static void walk(struct walk *w, const struct hub_json *before, const struct hub_json *after)
{
    if (before == NULL || after == NULL || before->type != after->type) {
        note(w, before, after);
        return;
    }
    if (hub_json_equal(before, after))
        return;
    if (before->type == HUB_JSON_OBJECT)
        walk_object(w, before, after);
    else if (before->type == HUB_JSON_ARRAY && is_extensions(before))
        walk_extensions(w, before, after);
    else if (before->type == HUB_JSON_ARRAY)
        walk_array(w, before, after);
    else
        note(w, before, after);
}

/* --- which resource is which --- */

struct side {
    struct hub_json **resources; /* NULL once matched */
    size_t count;
};

static enum hub_result list_side(struct walk *w, struct hub_json *event, struct side *out)
{
    const struct hub_json *list = hub_json_get(event, "resources");
    *out = (struct side){NULL, 0};
    out->resources = HUB_ARENA_ARRAY(w->arena, struct hub_json *, (list != NULL ? list->len : 0) + (size_t)1);
    HUB_ENSURE(out->resources != NULL, HUB_NO_MEMORY);
    for (struct hub_json *resource = list != NULL ? list->first : NULL; resource != NULL; resource = resource->next)
        out->resources[out->count++] = resource;
    return HUB_OK;
}

static struct hub_span fact_of(const struct hub_json *resource)
{
    struct hub_entry_view view;
    return hub_entry_view_of(resource, &view) && view.fact_count != 0 ? view.facts[0] : HUB_SPAN_NONE;
}

typedef bool (*alike_fn)(const struct hub_json *a, const struct hub_json *b);

static bool same_fact(const struct hub_json *a, const struct hub_json *b)
{
    const struct hub_span fact = fact_of(a);
    return fact.len != 0 && hub_span_equal(fact, fact_of(b));
}

/* By all but its id: references to what was shifted count as a difference. */
static bool same_words(const struct hub_json *a, const struct hub_json *b)
{
    if (a->len != b->len)
        return false;
    for (const struct hub_json *member = a->first; member != NULL; member = member->next) {
        if (!hub_span_is(key_of(member), "id") &&
            !hub_json_equal(member, hub_json_get_n(b, member->key, member->key_len)))
            return false;
    }
    return true;
}

static bool same_type(const struct hub_json *a, const struct hub_json *b)
{
    (void)a;
    (void)b;
    return true;
}

struct pair {
    struct hub_json *before, *after;
};

static void match(struct side *before, struct side *after, alike_fn alike, struct pair *pairs, size_t *count)
{
    for (size_t i = 0; i < before->count; i++) {
        struct hub_json *a = before->resources[i];
        for (size_t n = 0; a != NULL && n < after->count; n++) {
            const size_t k = (i + n) % after->count; /* most stand where they stood */
            struct hub_json *b = after->resources[k];
            if (b == NULL || !alike(a, b) ||
                !hub_span_equal(hub_json_get_span(a, "resourceType"), hub_json_get_span(b, "resourceType")))
                continue;
            pairs[(*count)++] = (struct pair){a, b};
            before->resources[i] = after->resources[k] = NULL;
            break;
        }
    }
}

static void leave_rest(const struct side *side, bool is_before, struct pair *pairs, size_t *count)
{
    for (size_t i = 0; i < side->count; i++) {
        if (side->resources[i] != NULL)
            pairs[(*count)++] = is_before ? (struct pair){side->resources[i], NULL} : (struct pair){NULL, side->resources[i]};
    }
}

/* --- ids say nothing: a pair's own becomes its number, and so do references to it --- */

struct names {
    struct name {
        struct hub_span id;
        const char *number;
    } *items;
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    return hub_span_compare(((const struct name *)a)->id, ((const struct name *)b)->id);
}

static void rename_ids(struct hub_arena *arena, const struct names *names, struct hub_json *node)
{
    if (node->type == HUB_JSON_ARRAY || node->type == HUB_JSON_OBJECT) {
        for (struct hub_json *child = node->first; child != NULL; child = child->next)
            rename_ids(arena, names, child);
        return;
    }
    if (node->type != HUB_JSON_STRING || node->len == 0)
        return;
    const char *slash = memrchr(node->str, '/', node->len);
    const char *start = slash != NULL ? slash + 1 : node->str;
    const struct name key = {.id = hub_span_of(start, node->len - (size_t)(start - node->str))};
    const struct name *found = names->count != 0 ? bsearch(&key, names->items, names->count, sizeof(key), compare_names) : NULL;
    if (found == NULL)
        return;
    const char *text = hub_arena_printf(arena, "%.*s#%s", (int)(start - node->str), node->str, found->number);
    if (text == NULL)
        return;
    node->str = text;
    node->len = (uint32_t)strlen(text);
}

/* An id names another resource before than after where places were shifted: each side has names of its own. */
static enum hub_result give_numbers(struct walk *w, const struct pair *pairs, size_t count, bool is_before)
{
    struct names names = {HUB_ARENA_ARRAY(w->arena, struct name, count + 1), 0};
    HUB_ENSURE(names.items != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        const struct hub_json *resource = is_before ? pairs[i].before : pairs[i].after;
        const char *number = hub_arena_printf(w->arena, "%zu", i);
        HUB_ENSURE(number != NULL, HUB_NO_MEMORY);
        if (hub_json_get_span(resource, "id").len != 0)
            names.items[names.count++] = (struct name){hub_json_get_span(resource, "id"), number};
    }
    if (names.count != 0)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    for (size_t i = 0; i < count; i++) {
        struct hub_json *resource = is_before ? pairs[i].before : pairs[i].after;
        if (resource != NULL)
            rename_ids(w->arena, &names, resource);
    }
    return HUB_OK;
}

/* --- events --- */

static enum hub_result walk_event(struct walk *w, struct hub_json *before, struct hub_json *after)
{
    struct side a, b;
    size_t count = 0;
    HUB_TRY(list_side(w, before, &a));
    HUB_TRY(list_side(w, after, &b));
    struct pair *pairs = HUB_ARENA_ARRAY(w->arena, struct pair, a.count + b.count + 1);
    HUB_ENSURE(pairs != NULL, HUB_NO_MEMORY);
    match(&a, &b, same_fact, pairs, &count);
    match(&a, &b, same_words, pairs, &count);
    match(&a, &b, same_type, pairs, &count);
    leave_rest(&a, true, pairs, &count);
    leave_rest(&b, false, pairs, &count);
    HUB_TRY(give_numbers(w, pairs, count, true));
    HUB_TRY(give_numbers(w, pairs, count, false));
    for (size_t i = 0; i < count; i++) {
        const struct hub_json *any = pairs[i].before != NULL ? pairs[i].before : pairs[i].after;
        hub_buf_reset(&w->path);
        hub_buf_append_span(&w->path, hub_json_get_span(any, "resourceType"));
        walk(w, pairs[i].before, pairs[i].after);
    }
    hub_buf_reset(&w->path);
    hub_buf_append_str(&w->path, "event");
    if (before != NULL && after != NULL)
        walk(w, hub_json_get(before, "attributes"), hub_json_get(after, "attributes"));
    else
        note(w, hub_json_get(before, "attributes"), hub_json_get(after, "attributes"));
    return HUB_OK;
}

enum hub_result hub_diff_add(struct hub_diff *diff, struct hub_arena *arena, struct hub_json *const *before, size_t before_count,
                             struct hub_json *const *after, size_t after_count, hub_diff_sample_fn sample, void *ctx)
{
    struct walk w = {.diff = diff, .arena = arena, .sample = sample, .ctx = ctx};
    const size_t most = before_count > after_count ? before_count : after_count;
    enum hub_result result = HUB_OK;
    hub_buf_init(&w.path, 2 * PATH_MAX_LEN, false);
    diff->messages++;
    for (size_t i = 0; i < most && result == HUB_OK; i++)
        result = walk_event(&w, i < before_count ? before[i] : NULL, i < after_count ? after[i] : NULL);
    if (result == HUB_OK)
        result = hub_buf_result(&w.path);
    hub_buf_deinit(&w.path);
    return result;
}

void hub_diff_each(const struct hub_diff *diff, bool (*each)(void *ctx, const struct hub_diff_row *row), void *ctx,
                   uint64_t *more)
{
    *more = diff->more;
    for (size_t i = 0; i < diff->count; i++) {
        if (!each(ctx, &diff->rows[i].shown))
            return;
    }
}
