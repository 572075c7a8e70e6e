/* Taking the elements that are not clear out of a resource. Each is taken at the highest path whose whole
 * subtree has one class; what a valid resource needs leaves a placeholder (docs/FORMATS.md, sealed fields).
 */
#include "src/protect/seal_internal.h"

/* --- what stays clear whatever the policy --- */

static bool is_reference(const struct hub_take *t, const struct hub_json *node)
{
    const struct hub_prepared *p = t->prepared;
    const uintptr_t at = (uintptr_t)node->str, block = (uintptr_t)p->references;
    return at >= block && at - block < p->references_len;
}

/* NAME is mostly a literal: its length is known when this is compiled. */
static inline bool key_is(const char *key, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(key, name, len) == 0;
}

static bool is_extension(const char *key, size_t len)
{
    return key_is(key, len, "extension") || key_is(key, len, "modifierExtension");
}

/* Only the label itself: nothing else may ride on it. */
static bool is_clear_label(const struct hub_take *t, const struct hub_json *item)
{
    return item->type == HUB_JSON_OBJECT && item->len == 2 &&
           hub_policy_label_clear(t->policy, hub_json_get_span(item, "system"),
                                  hub_json_get_span(item, "code"));
}

/* The class of the element that a `deleted` mark names. */
static enum hub_data_class deleted_class(const struct hub_take *t, struct hub_span path,
                                         enum hub_data_class otherwise)
{
    const struct hub_policy_node *node = t->root;
    enum hub_data_class class_ = otherwise;
    while (path.len != 0) {
        const uint8_t *dot = memchr(path.ptr, '.', path.len), *group = memchr(path.ptr, '(', path.len);
        const size_t len = dot != NULL ? (size_t)(dot - path.ptr) : path.len;
        const size_t name_len = group != NULL && group < path.ptr + len ? (size_t)(group - path.ptr) : len;
        node = hub_policy_child(node, (const char *)path.ptr, name_len);
        if (node == NULL)
            break;
        class_ = hub_policy_node_class(node);
        path = dot != NULL ? hub_span_of(dot + 1, path.len - len - 1) : HUB_SPAN_NONE;
    }
    return class_;
}

/* Items of one list mostly share its class. */
static enum hub_data_class item_class(const struct hub_take *t, const char *key, size_t key_len,
                                      const struct hub_json *item, enum hub_data_class class_)
{
    if (item->type != HUB_JSON_OBJECT)
        return class_;
    if (key_is(key, key_len, "security"))
        return is_clear_label(t, item) ? HUB_DATA_CLEAR : class_;
    if (!key_is(key, key_len, "extension"))
        return class_;
    const struct hub_span url = hub_json_get_span(item, "url");
    if (hub_span_is(url, HUB_URL_ENTRY))
        return HUB_DATA_CLEAR;
    if (hub_span_is(url, HUB_URL_DELETED) && !t->sensitive)
        return deleted_class(t, hub_json_get_span(item, "valueString"), class_);
    return class_;
}

/* Something in the subtree has another class than CLASS_. */
static bool special(const struct hub_take *t, const struct hub_json *node, const char *key, size_t key_len,
                    enum hub_data_class class_)
{
    if (node->type == HUB_JSON_STRING)
        return is_reference(t, node);
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY)
        return false;
    const bool list = node->type == HUB_JSON_ARRAY;
    const bool classes = list && (key_is(key, key_len, "security") || key_is(key, key_len, "extension"));
    for (const struct hub_json *c = node->first; c != NULL; c = c->next) {
        if (classes && item_class(t, key, key_len, c, class_) != class_)
            return true;
        if (c->type == HUB_JSON_STRING ? is_reference(t, c) /* as most are: without a call */
                                       : special(t, c, list ? key : c->key, list ? key_len : c->key_len, class_))
            return true;
    }
    return false;
}

enum { LIST_FIRST = 1024 };
enum { SYST = 0x73797374, CODE = 0x636f6465 }; /* how names begin (hub_json_key) */

static bool lifts(const struct hub_policy *policy, const struct hub_json *node);

static inline bool is_container(const struct hub_json *node)
{
    return node->type == HUB_JSON_OBJECT || node->type == HUB_JSON_ARRAY;
}

static bool object_lifts(const struct hub_policy *policy, const struct hub_json *object)
{
    const struct hub_json *system = NULL, *code = NULL;
    for (const struct hub_json *c = object->first; c != NULL; c = c->next) {
        if (is_container(c)) {
            if (lifts(policy, c))
                return true;
        } else if (c->key_head == CODE && c->key_len == 4) {
            code = c;
        } else if (c->key_head == SYST && key_is(c->key, c->key_len, "system")) {
            system = c;
        }
    }
    return system != NULL && code != NULL && system->type == HUB_JSON_STRING && code->type == HUB_JSON_STRING &&
           system->len != 0 && code->len != 0 && hub_policy_lifts(policy, hub_json_span(system), hub_json_span(code));
}

static bool lifts(const struct hub_policy *policy, const struct hub_json *node)
{
    if (node->type == HUB_JSON_OBJECT)
        return object_lifts(policy, node);
    for (const struct hub_json *c = node->first; c != NULL; c = c->next) {
        if (is_container(c) && lifts(policy, c))
            return true;
    }
    return false;
}

bool hub_take_lifts(const struct hub_policy *policy, const struct hub_json *node)
{
    return is_container(node) && lifts(policy, node);
}

/* --- paths and lists --- */

static bool is_plain(const char *key, size_t len)
{
    static const bool escaped[256] = {['~'] = true, ['/'] = true};
    bool any = false;
    for (size_t i = 0; i < len; i++)
        any |= escaped[(uint8_t)key[i]];
    return !any;
}

/* Without escapes, as names of the policy and indexes are. */
static enum hub_result path_push_plain(struct hub_take *t, const char *key, size_t len, size_t *mark)
{
    *mark = t->path_len;
    HUB_ENSURE(len < sizeof t->path / 2 && t->path_len + 2 * len + 1 <= sizeof t->path, HUB_TOO_LARGE);
    t->path[t->path_len++] = '/';
    memcpy(t->path + t->path_len, key, len);
    t->path_len += len;
    return HUB_OK;
}

static enum hub_result path_push(struct hub_take *t, const char *key, size_t len, size_t *mark)
{
    if (is_plain(key, len))
        return path_push_plain(t, key, len, mark);
    *mark = t->path_len;
    HUB_ENSURE(len < sizeof t->path / 2 && t->path_len + 2 * len + 1 <= sizeof t->path, HUB_TOO_LARGE);
    t->path[t->path_len++] = '/';
    for (size_t i = 0; i < len; i++) {
        if (key[i] == '~' || key[i] == '/') {
            t->path[t->path_len++] = '~';
            t->path[t->path_len++] = key[i] == '~' ? '0' : '1';
        } else {
            t->path[t->path_len++] = key[i];
        }
    }
    return HUB_OK;
}

static enum hub_result path_push_index(struct hub_take *t, uint32_t index, size_t *mark)
{
    char text[12];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + index % 10);
        index /= 10;
    } while (index != 0);
    return path_push_plain(t, text + at, sizeof text - at, mark);
}

/* [path,value], or [path] when what stands at the path now has to go. */
static void emit(struct hub_take *t, enum hub_data_class class_, const struct hub_json *value)
{
    struct hub_buf *list = &t->lists[class_];
    const struct hub_span path = hub_span_of(t->path, t->path_len);
    if (list->cap == 0) /* at once what most need, for growing means copying and wiping */
        (void)hub_buf_reserve(list, LIST_FIRST);
    hub_buf_append_byte(list, list->len == 0 ? '[' : ',');
    if (value != NULL) {
        hub_json_write_pair(list, path, value);
    } else {
        hub_buf_append_byte(list, '[');
        hub_json_write_string(list, path);
        hub_buf_append_byte(list, ']');
    }
    t->taken |= 1u << class_;
}

static enum hub_data_class highest(unsigned classes)
{
    return (enum hub_data_class)(31 - __builtin_clz(classes));
}

/* --- placeholders --- */

static enum hub_result add_absent(struct hub_take *t, struct hub_json *object)
{
    struct hub_arena *arena = t->prepared->arena;
    struct hub_json *list = hub_json_new(arena, HUB_JSON_ARRAY),
                    *reason = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(list != NULL && reason != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, reason, "url", HUB_SPAN(HUB_URL_ABSENT)));
    HUB_TRY(hub_json_set_string(arena, reason, "valueCode", HUB_SPAN("masked")));
    HUB_TRY(hub_json_push(list, reason));
    return hub_json_set_c(object, "extension", list);
}

static enum hub_result placeholder(struct hub_take *t, bool list, struct hub_json **out)
{
    struct hub_json *object = hub_json_new(t->prepared->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(object != NULL, HUB_NO_MEMORY);
    HUB_TRY(add_absent(t, object));
    *out = object;
    if (!list)
        return HUB_OK;
    struct hub_json *array = hub_json_new(t->prepared->arena, HUB_JSON_ARRAY);
    HUB_ENSURE(array != NULL, HUB_NO_MEMORY);
    *out = array;
    return hub_json_push(array, object);
}

static void drop_member(struct hub_json *object, const struct hub_json *member)
{
    struct hub_json *before = NULL, *at = object->first;
    for (; at != member; at = at->next)
        before = at;
    if (before != NULL)
        before->next = at->next;
    else
        object->first = at->next;
    if (object->last == at)
        object->last = before;
    object->len--;
    at->next = NULL;
}

/* A primitive's placeholder stands in its _name sibling and has to go when the value comes back. */
static enum hub_result mask_primitive(struct hub_take *t, struct hub_json *object,
                                      const struct hub_json *member, enum hub_data_class class_)
{
    struct hub_json *mask = NULL;
    size_t mark;
    char *key = hub_arena_bytes(t->prepared->arena, (size_t)member->key_len + 1);
    HUB_ENSURE(key != NULL, HUB_NO_MEMORY);
    key[0] = '_';
    memcpy(key + 1, member->key, member->key_len);
    if (hub_json_get_n(object, key, (size_t)member->key_len + 1) != NULL)
        return HUB_OK; /* it was taken before and left its own */
    HUB_TRY(placeholder(t, member->type == HUB_JSON_ARRAY, &mask));
    HUB_TRY(hub_json_set(object, key, (size_t)member->key_len + 1, mask));
    while (t->path[t->path_len - 1] != '/')
        t->path_len--;
    t->path_len--;
    HUB_TRY(path_push(t, key, (size_t)member->key_len + 1, &mark));
    emit(t, class_, NULL);
    return HUB_OK;
}

static bool is_complex(const struct hub_json *value)
{
    return value->type == HUB_JSON_OBJECT ||
           (value->type == HUB_JSON_ARRAY && value->first != NULL && value->first->type == HUB_JSON_OBJECT);
}

/* --- taking --- */

static enum hub_result take_object(struct hub_take *t, struct hub_json *object,
                                   const struct hub_policy_node *node, enum hub_data_class class_,
                                   bool extension);

static enum hub_result take_whole(struct hub_take *t, struct hub_json *object, struct hub_json *member,
                                  bool masked, bool shadow, enum hub_data_class class_)
{
    struct hub_json *mask = NULL;
    emit(t, class_, member);
    if (!masked || (!shadow && !is_complex(member))) {
        drop_member(object, member);
        return masked ? mask_primitive(t, object, member, class_) : HUB_OK;
    }
    HUB_TRY(placeholder(t, member->type == HUB_JSON_ARRAY, &mask));
    return hub_json_set(object, member->key, member->key_len, mask);
}

/* An object whose members were all taken must not stay empty. INSIDE are the classes they went to; the last
 * of them takes the placeholder away again. */
static enum hub_result fill_empty(struct hub_take *t, struct hub_json *object, unsigned inside)
{
    size_t mark;
    if (object->len != 0 || inside == 0)
        return HUB_OK;
    HUB_TRY(add_absent(t, object));
    HUB_TRY(path_push(t, "extension", 9, &mark));
    emit(t, highest(inside), NULL);
    t->path_len = mark;
    return HUB_OK;
}

static enum hub_result take_item(struct hub_take *t, struct hub_json *item,
                                 const struct hub_policy_node *node, enum hub_data_class class_,
                                 bool extension)
{
    const unsigned before = t->taken;
    t->taken = 0;
    HUB_TRY(take_object(t, item, node, class_, extension));
    const unsigned inside = t->taken;
    t->taken |= before;
    return fill_empty(t, item, inside);
}

/* Items taken whole leave the list under the index they had; those taken apart stay, under the index they
 * have. */
static enum hub_result take_array(struct hub_take *t, struct hub_json *array,
                                  const struct hub_policy_node *node, enum hub_data_class class_)
{
    const bool apart = t->sensitive ? hub_policy_node_keeps(node) : hub_policy_node_mixed(node);
    const bool extension = is_extension(array->key, array->key_len);
    uint32_t index = 0, kept = 0;
    size_t mark;
    for (struct hub_json *item = array->first, *next; item != NULL; item = next, index++) {
        next = item->next;
        const enum hub_data_class own = item_class(t, array->key, array->key_len, item, class_);
        if (own == class_ && item->type == HUB_JSON_OBJECT &&
            (apart || special(t, item, array->key, array->key_len, class_))) {
            HUB_TRY(path_push_index(t, kept++, &mark));
            HUB_TRY(take_item(t, item, node, class_, extension));
        } else if (own != HUB_DATA_CLEAR) {
            HUB_TRY(path_push_index(t, index, &mark));
            emit(t, own, item);
            drop_member(array, item);
        } else {
            kept++;
            continue;
        }
        t->path_len = mark;
    }
    return HUB_OK;
}

/* An element that is taken apart. */
static enum hub_result take_apart(struct hub_take *t, struct hub_json *object, struct hub_json *member,
                                  const struct hub_policy_node *node, enum hub_data_class class_)
{
    struct hub_json *mask = NULL;
    size_t mark;
    const unsigned before = t->taken;
    t->taken = 0;
    if (member->type == HUB_JSON_ARRAY)
        HUB_TRY(take_array(t, member, node, class_));
    else
        HUB_TRY(take_object(t, member, node, class_, false));
    const unsigned inside = t->taken;
    t->taken |= before;
    if (member->len != 0 || inside == 0)
        return HUB_OK;
    if (!hub_policy_node_masked(node)) {
        drop_member(object, member);
        return HUB_OK;
    }
    if (member->type == HUB_JSON_OBJECT)
        return fill_empty(t, member, inside);
    HUB_TRY(placeholder(t, true, &mask));
    HUB_TRY(hub_json_set(object, member->key, member->key_len, mask));
    HUB_TRY(path_push(t, "0", 1, &mark));
    emit(t, highest(inside), NULL);
    t->path_len = mark;
    return HUB_OK;
}

/* --- codes that must stay --- */

static enum hub_result take_rest(struct hub_take *t, struct hub_json *object, const char *const *stay,
                                 enum hub_data_class class_)
{
    size_t mark;
    for (struct hub_json *m = object->first, *next; m != NULL; m = next) {
        bool stays = false;
        next = m->next;
        for (const char *const *name = stay; *name != NULL; name++)
            stays = stays || key_is(m->key, m->key_len, *name);
        if (stays)
            continue;
        HUB_TRY(path_push(t, m->key, m->key_len, &mark));
        emit(t, class_, m);
        drop_member(object, m);
        t->path_len = mark;
    }
    return HUB_OK;
}

/* A concept whose code must stay keeps the standard's own codes and nothing else: no text, no display, no
 * local code. */
static enum hub_result take_needed(struct hub_take *t, struct hub_json *concept, enum hub_data_class class_)
{
    static const char *const concept_stays[] = {"coding", NULL};
    static const char *const coding_stays[] = {"system", "code", NULL};
    const struct hub_span standard = HUB_SPAN("http://terminology.hl7.org/");
    size_t mark, item_mark;
    uint32_t index = 0, kept = 0;
    struct hub_json *list = hub_json_get(concept, "coding");
    HUB_TRY(take_rest(t, concept, concept_stays, class_));
    if (list == NULL || list->type != HUB_JSON_ARRAY)
        return HUB_OK;
    HUB_TRY(path_push(t, "coding", 6, &mark));
    for (struct hub_json *item = list->first, *next; item != NULL; item = next, index++) {
        next = item->next;
        const struct hub_span system = hub_json_get_span(item, "system");
        if (system.len > standard.len && memcmp(system.ptr, standard.ptr, standard.len) == 0) {
            HUB_TRY(path_push_index(t, kept++, &item_mark));
            HUB_TRY(take_rest(t, item, coding_stays, class_));
        } else {
            HUB_TRY(path_push_index(t, index, &item_mark));
            emit(t, class_, item);
            drop_member(list, item);
        }
        t->path_len = item_mark;
    }
    if (list->len == 0)
        drop_member(concept, list);
    t->path_len = mark;
    return fill_empty(t, concept, 1u << class_);
}

/* --- members --- */

static bool mixed(const struct hub_take *t, const struct hub_json *member, const struct hub_policy_node *node,
                  enum hub_data_class class_)
{
    if (member->type != HUB_JSON_OBJECT && member->type != HUB_JSON_ARRAY)
        return false;
    if (t->sensitive ? hub_policy_node_keeps(node) : hub_policy_node_mixed(node))
        return true;
    return class_ != HUB_DATA_CLEAR && special(t, member, member->key, member->key_len, class_);
}

/* What stands beside a reference to a lifted resource speaks of it: its display, its identifier. */
static bool beside_lifted(const struct hub_take *t, const struct hub_json *object)
{
    const struct hub_json *reference = t->lifted != NULL ? hub_json_get(object, "reference") : NULL;
    if (reference == NULL || reference->type != HUB_JSON_STRING || !is_reference(t, reference))
        return false;
    const uint32_t target = hub_lift_target(t->prepared, t->lifted, hub_json_span(reference));
    return target != UINT32_MAX && t->lifted->resources[target].entry.sensitive;
}

static enum hub_result take_member(struct hub_take *t, struct hub_json *object, struct hub_json *member,
                                   const struct hub_policy_node *parent, enum hub_data_class inherited)
{
    const bool shadow = member->key_len != 0 && member->key[0] == '_';
    const struct hub_policy_node *node = shadow ? hub_policy_child(parent, member->key + 1, member->key_len - 1u)
                                                : hub_policy_member(parent, hub_json_key_of(member));
    const bool needed = hub_policy_node_needed(node);
    enum hub_data_class class_ = node != NULL ? hub_policy_node_class(node) : inherited;
    size_t mark;
    if (t->sensitive || beside_lifted(t, object))
        class_ = HUB_DATA_SENSITIVE;
    if (member->type == HUB_JSON_STRING && is_reference(t, member))
        return HUB_OK;
    HUB_TRY(node != NULL ? path_push_plain(t, member->key, member->key_len, &mark)
                         : path_push(t, member->key, member->key_len, &mark));
    enum hub_result result = HUB_OK;
    if (needed && !shadow) {
        if (member->type == HUB_JSON_OBJECT) {
            const enum hub_data_class rest =
                class_ != HUB_DATA_CLEAR ? class_ : hub_policy_node_class(t->root);
            result = take_needed(t, member, rest != HUB_DATA_CLEAR ? rest : HUB_DATA_CLINICAL);
        }
    } else if (!shadow && !key_is(member->key, member->key_len, "contained") &&
               mixed(t, member, node, class_)) {
        result = take_apart(t, object, member, node, class_);
    } else if (class_ != HUB_DATA_CLEAR) {
        result = take_whole(t, object, member, hub_policy_node_masked(node) && !needed, shadow, class_);
    }
    t->path_len = mark;
    return result;
}

static enum hub_result take_object(struct hub_take *t, struct hub_json *object,
                                   const struct hub_policy_node *node, enum hub_data_class class_,
                                   bool extension)
{
    for (struct hub_json *m = object->first, *next; m != NULL; m = next) {
        next = m->next;
        if (extension && key_is(m->key, m->key_len, "url"))
            continue;
        HUB_TRY(take_member(t, object, m, node, class_));
    }
    return HUB_OK;
}

enum hub_result hub_take_resource(struct hub_take *t, struct hub_json *resource, struct hub_error *err)
{
    const enum hub_data_class class_ = hub_policy_node_class(t->root);
    enum hub_result result = HUB_OK;
    t->taken = 0;
    t->path_len = 0;
    for (unsigned c = 0; c < HUB_DATA_CLASSES; c++)
        hub_buf_reset(&t->lists[c]);
    for (struct hub_json *m = resource->first, *next; m != NULL && result == HUB_OK; m = next) {
        next = m->next;
        if (!key_is(m->key, m->key_len, "resourceType") && !key_is(m->key, m->key_len, "id"))
            result = take_member(t, resource, m, t->root, class_);
    }
    for (unsigned c = 0; c < HUB_DATA_CLASSES && result == HUB_OK; c++) {
        if (t->lists[c].len != 0)
            hub_buf_append_byte(&t->lists[c], ']');
        result = hub_buf_result(&t->lists[c]);
    }
    return result == HUB_OK ? HUB_OK : hub_fail(err, result, NULL, NULL);
}
