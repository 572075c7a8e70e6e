/* Patient and Encounter over their versions, field by field (RULES, "Absent, empty, deleted"). */
#include "src/query/version.h"

static const char DELETED[] = "urn:chartline:deleted";

enum hub_result query_flag(struct hub_arena *arena, struct hub_json *resource, const char *url)
{
    struct hub_json *list = hub_json_get(resource, "extension");
    if (list == NULL || list->type != HUB_JSON_ARRAY) {
        list = hub_json_new(arena, HUB_JSON_ARRAY);
        HUB_TRY(hub_json_set_c(resource, "extension", list));
    }
    struct hub_json *flag = hub_json_new(arena, HUB_JSON_OBJECT);
    HUB_ENSURE(flag != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub_json_set_string(arena, flag, "url", hub_span_str(url)));
    HUB_TRY(hub_json_set_c(flag, "valueBoolean", hub_json_bool(arena, true)));
    return hub_json_push(list, flag);
}

void query_drop_extension(struct hub_json *resource, const char *url)
{
    struct hub_json *list = hub_json_get(resource, "extension");
    if (list == NULL || list->type != HUB_JSON_ARRAY)
        return;
    struct hub_json *item = list->first;
    list->first = list->last = NULL;
    list->len = 0;
    for (struct hub_json *next; item != NULL; item = next) {
        next = item->next;
        if (!hub_span_is(hub_json_get_span(item, "url"), url))
            (void)!hub_json_push(list, item); /* cannot fail: the node is there */
    }
    if (list->len == 0)
        (void)hub_json_remove(resource, "extension");
}

static bool is_array(const struct hub_json *node)
{
    return node != NULL && node->type == HUB_JSON_ARRAY;
}

static bool is_object(const struct hub_json *node)
{
    return node != NULL && node->type == HUB_JSON_OBJECT;
}

static struct hub_span key_of(const struct hub_json *member)
{
    return hub_span_of(member->key, member->key_len);
}

/* Only there because the resource needs the element: says nothing. */
static bool is_unknown(const struct hub_json *resource, const struct hub_json *member)
{
    if (hub_span_is(key_of(member), "status"))
        return hub_span_is(hub_json_get_span(resource, "resourceType"), "Encounter") &&
               hub_span_is(hub_json_span(member), "unknown");
    const struct hub_json *list = hub_json_get(member, "extension");
    if (!is_object(member) || member->len != 1 || !is_array(list) || list->len != 1)
        return false;
    return hub_span_is(hub_json_get_span(list->first, "url"),
                       "http://hl7.org/fhir/StructureDefinition/data-absent-reason") &&
           hub_span_is(hub_json_get_span(list->first, "valueCode"), "unknown");
}

/* --- elements that several fields make: a field replaces and deletes its own items only --- */

typedef struct hub_span (*group_of)(const struct hub_json *item);

static struct hub_span extension_group(const struct hub_json *item)
{
    return hub_json_get_span(item, "url");
}

/* PID-13 and PID-14. */
static struct hub_span telecom_group(const struct hub_json *item)
{
    return hub_span_is(hub_json_get_span(item, "use"), "work") ? HUB_SPAN("work") : HUB_SPAN("other");
}

static struct hub_span type_code(const struct hub_json *type)
{
    return hub_json_get_span(hub_json_at(hub_json_get(type, "coding"), 0), "code");
}

/* PV1-7, PV1-8, PV1-9, PV1-17. */
static struct hub_span participant_group(const struct hub_json *item)
{
    return type_code(hub_json_at(hub_json_get(item, "type"), 0));
}

/* PID-19 and PID-20, which are told from a like number in PID-3 by its authority; numbers that MRG retired, each
 * for itself; the others. Of a visit PV1-19 and PV1-50. */
static struct hub_span identifier_group(const struct hub_json *item)
{
    const struct hub_span type = type_code(hub_json_get(item, "type")), system = hub_json_get_span(item, "system");
    if (hub_span_is(hub_json_get_span(item, "use"), "old"))
        return hub_json_get_span(item, "value");
    if (hub_span_is(type, "SS") && hub_span_is(system, "http://hl7.org/fhir/sid/us-ssn"))
        return type;
    if (hub_span_is(type, "VN") || (hub_span_is(type, "DL") && system.len == 0))
        return type;
    return HUB_SPAN("other");
}

/* PD1-3 and PD1-4: by what they refer to. */
static struct hub_span reference_group(const struct hub_json *item)
{
    struct hub_span type = HUB_SPAN_NONE, id = HUB_SPAN_NONE;
    return query_reference(hub_json_get_span(item, "reference"), &type, &id) ? type : HUB_SPAN_NONE;
}

static group_of groups_of(struct hub_span type, struct hub_span key)
{
    static const struct {
        const char *type, *element;
        group_of group;
    } known[] = {{"Patient", "telecom", telecom_group},
                 {"Patient", "identifier", identifier_group},
                 {"Patient", "generalPractitioner", reference_group},
                 {"Encounter", "identifier", identifier_group},
                 {"Encounter", "participant", participant_group}};
    if (hub_span_is(key, "extension"))
        return extension_group;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (hub_span_is(type, known[i].type) && hub_span_is(key, known[i].element))
            return known[i].group;
    }
    return NULL;
}

static bool has_group(const struct hub_json *list, group_of group, struct hub_span name)
{
    for (const struct hub_json *item = list->first; item != NULL; item = item->next) {
        if (hub_span_equal(group(item), name))
            return true;
    }
    return false;
}

/* --- deleting --- */

struct fold {
    struct hub_arena *arena;
    struct hub_json *out;
    struct hub_json *gone; /* what was deleted: "element" or "element(group)" */
};

/* "element", "element(group)" or "element.member". */
struct deletion {
    struct hub_span element, group, member;
};

static bool read_deletion(struct hub_span type, struct hub_span path, struct deletion *out)
{
    size_t len = 0;
    HUB_ENSURE(path.len != 0, false);
    if (path.len > type.len && path.ptr[type.len] == '.' &&
        hub_span_equal(hub_span_of(path.ptr, type.len), type)) /* with its type before it */
        path = hub_span_of(path.ptr + type.len + 1, path.len - type.len - 1);
    while (len < path.len && path.ptr[len] != '.' && path.ptr[len] != '(')
        len++;
    *out = (struct deletion){.element = hub_span_of(path.ptr, len)};
    const struct hub_span rest = hub_span_of(path.ptr + len, path.len - len);
    if (rest.len > 1 && rest.ptr[0] == '.')
        out->member = hub_span_of(rest.ptr + 1, rest.len - 1);
    if (rest.len > 2 && rest.ptr[0] == '(' && rest.ptr[rest.len - 1] == ')')
        out->group = hub_span_of(rest.ptr + 1, rest.len - 2);
    return len != 0 && !hub_span_is(out->element, "resourceType") && !hub_span_is(out->element, "id") &&
           (rest.len == 0 || out->member.len != 0 || out->group.len != 0);
}

static void delete_group(struct hub_json *list, group_of group, struct hub_span name)
{
    size_t at = 0;
    while (at < list->len) {
        if (hub_span_equal(group(hub_json_at(list, at)), name))
            (void)hub_json_remove_at(list, at);
        else
            at++;
    }
}

static void delete_member(struct hub_json *object, const char *name)
{
    if (is_object(object))
        (void)hub_json_remove(object, name);
    for (struct hub_json *item = is_array(object) ? object->first : NULL; item != NULL; item = item->next)
        delete_member(item, name);
}

/* "element(group)"; of an empty group "element". */
static struct hub_span gone_name(struct fold *f, struct hub_span element, struct hub_span group)
{
    const struct hub_span parts[] = {element, HUB_SPAN("("), group, HUB_SPAN(")")};
    return hub_arena_concat(f->arena, parts, group.len != 0 ? 4 : 1);
}

static enum hub_result set_gone(struct fold *f, struct hub_span element, struct hub_span group)
{
    const struct hub_span name = gone_name(f, element, group);
    HUB_ENSURE(name.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set(f->gone, (const char *)name.ptr, name.len, hub_json_bool(f->arena, true));
}

static enum hub_result delete_path(struct fold *f, struct hub_span type, struct hub_span path)
{
    struct deletion d;
    if (!read_deletion(type, path, &d))
        return HUB_OK;
    const struct hub_span parts[] = {HUB_SPAN("_"), d.element}, member = hub_arena_copy(f->arena, d.member);
    const struct hub_span both = hub_arena_concat(f->arena, parts, 2);
    HUB_ENSURE(both.ptr != NULL && member.ptr != NULL, HUB_NO_MEMORY);
    const char *sibling = (const char *)both.ptr, *name = sibling + 1;
    struct hub_json *at = hub_json_get(f->out, name);
    group_of group = groups_of(type, d.element);
    if (d.member.len != 0)
        delete_member(at, (const char *)member.ptr);
    else if (d.group.len != 0 && group != NULL && is_array(at))
        delete_group(at, group, d.group);
    if (d.member.len + d.group.len != 0) {
        if (at != NULL && (is_array(at) || is_object(at)) && at->len == 0)
            (void)hub_json_remove(f->out, name);
        return d.group.len != 0 ? set_gone(f, d.element, d.group) : HUB_OK;
    }
    (void)hub_json_remove(f->out, sibling);
    (void)hub_json_remove(f->out, name);
    return set_gone(f, d.element, HUB_SPAN_NONE);
}

static enum hub_result delete_all(struct fold *f, const struct hub_json *resource)
{
    const struct hub_json *list = hub_json_get(resource, "extension");
    struct hub_span type = hub_json_get_span(resource, "resourceType");
    for (const struct hub_json *item = is_array(list) ? list->first : NULL; item != NULL; item = item->next) {
        if (hub_span_is(hub_json_get_span(item, "url"), DELETED))
            HUB_TRY(delete_path(f, type, hub_json_get_span(item, "valueString")));
    }
    return HUB_OK;
}

/* --- replacing --- */

static bool is_own(struct hub_span url)
{
    return url.len > 14 && memcmp(url.ptr, "urn:chartline:", 14) == 0;
}

/* Items of groups that LIST does not have stay; then come LIST's. The hub's own extensions do not fold. */
static enum hub_result replace_groups(struct fold *f, const struct hub_json *list, group_of group)
{
    const struct hub_json *before = hub_json_get_n(f->out, list->key, list->key_len);
    struct hub_json *after = hub_json_new(f->arena, HUB_JSON_ARRAY);
    HUB_ENSURE(after != NULL, HUB_NO_MEMORY);
    for (const struct hub_json *item = is_array(before) ? before->first : NULL; item != NULL;
         item = item->next) {
        if (!has_group(list, group, group(item)))
            HUB_TRY(hub_json_push(after, hub_json_copy(f->arena, item)));
    }
    for (const struct hub_json *item = list->first; item != NULL; item = item->next) {
        if (group != extension_group || !is_own(group(item)))
            HUB_TRY(hub_json_push(after, hub_json_copy(f->arena, item)));
    }
    return after->len != 0 ? hub_json_set(f->out, list->key, list->key_len, after) : HUB_OK;
}

/* PID-12, the county, without PID-11: the address it belongs to is known. */
static bool is_county_alone(struct hub_span type, const struct hub_json *member, const struct hub_json *before)
{
    const struct hub_json *first = is_array(member) && member->len == 1 ? member->first : NULL;
    return hub_span_is(type, "Patient") && hub_span_is(key_of(member), "address") && is_object(first) &&
           first->len == 1 && hub_json_get(first, "district") != NULL && is_array(before);
}

static enum hub_result replace_member(struct fold *f, struct hub_span type, const struct hub_json *member)
{
    struct hub_span key = key_of(member);
    struct hub_json *before = hub_json_get_n(f->out, member->key, member->key_len);
    if (is_county_alone(type, member, before) && is_object(before->first))
        return hub_json_set_c(before->first, "district",
                              hub_json_copy(f->arena, hub_json_get(member->first, "district")));
    group_of group = is_array(member) ? groups_of(type, key) : NULL;
    if (group != NULL)
        return replace_groups(f, member, group);
    bool parts =
        hub_span_is(type, "Encounter") && (hub_span_is(key, "period") || hub_span_is(key, "hospitalization"));
    if (parts && is_object(member) && is_object(before)) { /* made of several fields */
        for (const struct hub_json *part = member->first; part != NULL; part = part->next)
            HUB_TRY(hub_json_set(before, part->key, part->key_len, hub_json_copy(f->arena, part)));
        return HUB_OK;
    }
    return hub_json_set(f->out, member->key, member->key_len, hub_json_copy(f->arena, member));
}

/* deceased[x] and multipleBirth[x] have one value: another one takes its place. */
static const char *choice_of(struct hub_span key)
{
    static const char *const choices[] = {"deceased", "multipleBirth"};
    if (key.len != 0 && key.ptr[0] == '_')
        key = hub_span_of(key.ptr + 1, key.len - 1);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const size_t len = strlen(choices[i]);
        if (key.len > len && memcmp(key.ptr, choices[i], len) == 0)
            return choices[i];
    }
    return NULL;
}

static bool has_choice(const struct hub_json *resource, const char *choice)
{
    for (const struct hub_json *m = resource->first; m != NULL; m = m->next) {
        if (choice_of(key_of(m)) == choice)
            return true;
    }
    return false;
}

static enum hub_result drop_other_choices(struct fold *f, struct hub_span key)
{
    const char *choice = choice_of(key);
    for (struct hub_json *m = f->out->first, *next; m != NULL && choice != NULL; m = next) {
        next = m->next;
        if (choice_of(key_of(m)) != choice || hub_span_equal(key_of(m), key))
            continue;
        const struct hub_span name = hub_arena_copy(f->arena, key_of(m));
        HUB_ENSURE(name.ptr != NULL, HUB_NO_MEMORY);
        (void)hub_json_remove(f->out, (const char *)name.ptr);
    }
    return HUB_OK;
}

/* A primitive and its _sibling are one element. */
static enum hub_result drop_sibling(struct fold *f, const struct hub_json *resource,
                                    const struct hub_json *member)
{
    char *name = member->key[0] == '_'
                     ? hub_arena_printf(f->arena, "%.*s", (int)member->key_len - 1, member->key + 1)
                     : hub_arena_printf(f->arena, "_%.*s", (int)member->key_len, member->key);
    HUB_ENSURE(name != NULL, HUB_NO_MEMORY);
    if (hub_json_get(resource, name) == NULL)
        (void)hub_json_remove(f->out, name);
    return HUB_OK;
}

static enum hub_result add_version(struct fold *f, const struct version *v)
{
    struct hub_span type = hub_json_get_span(v->resource, "resourceType");
    HUB_TRY(delete_all(f, v->resource));
    for (const struct hub_json *member = v->resource->first; member != NULL; member = member->next) {
        struct hub_span key = key_of(member);
        if (key.len == 0 || hub_span_is(key, "id") || is_unknown(v->resource, member))
            continue;
        HUB_TRY(drop_sibling(f, v->resource, member));
        if (member->key[0] != '_')
            HUB_TRY(drop_other_choices(f, key));
        HUB_TRY(replace_member(f, type, member));
    }
    struct hub_json *period = hub_json_get(f->out, "period");
    if (v->view.act == HUB_ACT_CANCEL_DISCHARGE && is_object(period)) {
        (void)hub_json_remove(period, "end");
        if (period->len == 0)
            (void)hub_json_remove(f->out, "period");
    }
    return HUB_OK;
}

static enum hub_result fold_init(struct fold *f, struct hub_arena *arena)
{
    f->arena = arena;
    f->out = hub_json_new(arena, HUB_JSON_OBJECT);
    f->gone = hub_json_new(arena, HUB_JSON_OBJECT);
    return f->out != NULL && f->gone != NULL ? HUB_OK : HUB_NO_MEMORY;
}

/* Of an element that several fields make: the items of those fields that nothing was said of. */
static enum hub_result fill_groups(struct fold *f, const struct hub_json *said, const struct hub_json *list,
                                   group_of group)
{
    const struct hub_json *there = hub_json_get_n(said, list->key, list->key_len);
    struct hub_json *out = hub_json_get_n(f->out, list->key, list->key_len);
    for (const struct hub_json *item = list->first; item != NULL; item = item->next) {
        const struct hub_span gone = gone_name(f, key_of(list), group(item));
        HUB_ENSURE(gone.ptr != NULL, HUB_NO_MEMORY);
        if ((is_array(there) && has_group(there, group, group(item))) ||
            hub_json_get_n(f->gone, (const char *)gone.ptr, gone.len) != NULL)
            continue;
        if (out == NULL) {
            out = hub_json_new(f->arena, HUB_JSON_ARRAY);
            HUB_TRY(hub_json_set(f->out, list->key, list->key_len, out));
        }
        HUB_TRY(hub_json_push(out, hub_json_copy(f->arena, item)));
    }
    return HUB_OK;
}

/* What fillers say stands only where no other version said anything. */
static enum hub_result fill_rest(struct fold *f, const struct fold *fill)
{
    const struct hub_json *said = hub_json_copy(f->arena, f->out); /* before the first filler */
    HUB_ENSURE(said != NULL, HUB_NO_MEMORY);
    const struct hub_span type = hub_json_get_span(fill->out, "resourceType");
    for (const struct hub_json *member = fill->out->first; member != NULL; member = member->next) {
        const int mark = member->key_len != 0 && member->key[0] == '_';
        const char *sibling =
            hub_arena_printf(f->arena, "_%.*s", (int)member->key_len - mark, member->key + mark);
        HUB_ENSURE(sibling != NULL, HUB_NO_MEMORY);
        const char *plain = sibling + 1, *choice = choice_of(key_of(member));
        if (hub_json_get(f->gone, plain) != NULL || (choice != NULL && has_choice(said, choice)))
            continue;
        group_of group = is_array(member) ? groups_of(type, key_of(member)) : NULL;
        if (group != NULL)
            HUB_TRY(fill_groups(f, said, member, group));
        else if (hub_json_get(said, plain) == NULL && hub_json_get(said, sibling) == NULL)
            HUB_TRY(hub_json_set(f->out, member->key, member->key_len, hub_json_copy(f->arena, member)));
    }
    return HUB_OK;
}

/* Elements that a valid resource needs: what the newest version had in their place. */
static enum hub_result keep_required(struct fold *f, const struct version *current)
{
    static const char *const required[] = {"status", "class"};
    for (size_t i = 0; i < 2; i++) {
        const struct hub_json *there = hub_json_get(current->resource, required[i]);
        if (there != NULL && hub_json_get(f->out, required[i]) == NULL)
            HUB_TRY(hub_json_set_c(f->out, required[i], hub_json_copy(f->arena, there)));
    }
    return hub_json_set_string(f->arena, f->out, "id", current->id);
}

static enum hub_result fold_fact(struct view *view, struct fact *fact)
{
    struct fold said;
    struct fold fill;
    HUB_TRY(fold_init(&said, view->arena));
    HUB_TRY(fold_init(&fill, view->arena));
    for (size_t i = 0; i < fact->count; i++) {
        const struct version *v = fact->versions[i];
        if (v->view.mode == HUB_MODE_REPLACE && v->view.act == HUB_ACT_STATE)
            HUB_TRY(fold_init(&said, view->arena)); /* a whole resource, from FHIR */
        if (v->view.mode != HUB_MODE_STATUS)
            HUB_TRY(add_version(v->view.mode == HUB_MODE_FILL ? &fill : &said, v));
    }
    HUB_TRY(fill_rest(&said, &fill));
    HUB_TRY(keep_required(&said, fact->current));
    fact->resource = said.out;
    return HUB_OK;
}

/* --- what is shown of each fact --- */

static bool folds(const struct fact *fact)
{
    for (size_t i = 0; i < fact->count; i++) {
        if (fact->versions[i]->view.mode == HUB_MODE_FOLD || fact->versions[i]->view.mode == HUB_MODE_FILL)
            return true;
    }
    return false;
}

/* The newest version, if it speaks of the status only. */
static enum hub_result take_status(struct view *view, struct fact *fact)
{
    const struct version *last = fact->versions[fact->count - 1];
    struct hub_span status = hub_json_get_span(last->resource, "status");
    if (last == fact->current || last->view.mode != HUB_MODE_STATUS || status.len == 0)
        return HUB_OK;
    return hub_json_set_string(view->arena, fact->resource, "status", status);
}

/* A later message of its source took back all that the list had. */
static bool emptied(const struct version *v)
{
    const struct version *by = v->emptied;
    while (by != NULL && hub_span_equal(by->event, v->event))
        by = by->emptied;
    return by != NULL;
}

/* A fact that its source's newest list no longer has. */
static enum hub_result drop_unlisted(struct view *view, struct fact *fact)
{
    const struct version *v = fact->current;
    if (v->view.list_marks && emptied(v)) {
        fact->current = NULL;
        return HUB_OK;
    }
    if (v->snapshot == NULL || hub_span_equal(v->snapshot->event, v->event))
        return HUB_OK;
    if (v->view.list_marks)
        return query_flag(view->arena, fact->resource, "urn:chartline:not-in-last-list");
    if (fact->kind == HUB_KIND_COVERAGE)
        return hub_json_set_string(view->arena, fact->resource, "status", HUB_SPAN("cancelled"));
    if (fact->kind == HUB_KIND_RELATED_PERSON)
        return hub_json_set_c(fact->resource, "active", hub_json_bool(view->arena, false));
    fact->current = NULL;
    return HUB_OK;
}

static enum hub_result show_fact(struct view *view, struct fact *fact)
{
    if (folds(fact)) {
        HUB_TRY(fold_fact(view, fact));
        if (hub_span_is(hub_json_get_span(fact->resource, "status"), "entered-in-error"))
            fact->current = NULL; /* an update after a deletion does not bring it back */
        return HUB_OK;
    }
    fact->resource = hub_json_copy(view->arena, fact->current->resource);
    HUB_ENSURE(fact->resource != NULL, HUB_NO_MEMORY);
    HUB_TRY(take_status(view, fact));
    return drop_unlisted(view, fact);
}

enum hub_result query_show(struct view *view)
{
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (fact->current != NULL)
            HUB_TRY(show_fact(view, fact));
    }
    for (size_t i = 0; i < view->fact_count; i++) {
        struct fact *fact = &view->facts[i];
        if (fact->kind != HUB_KIND_ENCOUNTER)
            continue;
        if (fact->current == NULL)
            query_hide_places(view, fact);
        else
            HUB_TRY(query_encounter_places(view, fact));
    }
    return HUB_OK;
}
