/* What the timeline needs to know of each resource (docs/MAPPING.md section 7), and the event's own time. */
#include "adapters/formats/hl7v2/map_run.h"

#include <stdlib.h>
#include <string.h>

static bool read_time(const struct map_scope *scope, const struct map_times *times, struct hub_when *out, const char **source)
{
    for (uint16_t i = 0; i < times->count; i++) {
        const struct map_time_source *item = &times->items[i];
        if (item->when != NULL && !map_cond_true(scope, item->when))
            continue;
        const struct map_value value = map_read(scope, &item->path);
        if (value.len == 0)
            continue;
        if (map_time_when(scope->run, map_first_plain(scope->run, value), out)) {
            *source = item->path.name;
            return true;
        }
    }
    return false;
}

static uint8_t status_class(const struct map_entry *entry, const struct hub_json *resource)
{
    struct hub_span status = hub_json_get_span(resource, "status");
    for (uint16_t i = 0; i < entry->first_class_count; i++) {
        if (hub_span_equal(status, entry->first_class[i]))
            return 0;
    }
    return 1;
}

static enum hub_result fill_keys(struct map_run *run, const struct map_res *res, const struct map_entry *entry, struct hub_entry *out)
{
    static const struct hub_span patient_part = {(const uint8_t *)"patient", 7};
    if (entry->kind == HUB_KIND_PATIENT) {
        out->keys[0] = (struct hub_fact_key){true, 1, &patient_part};
        return HUB_OK;
    }
    for (size_t i = 0; i < HUB_KEYS_MAX; i++)
        HUB_TRY(map_key_of(run, res->seg, &entry->keys[i], &out->keys[i]));
    if (out->keys[0].part_count == 0) { /* only the second number was sent */
        out->keys[0] = out->keys[1];
        memset(&out->keys[1], 0, sizeof out->keys[1]);
    }
    return HUB_OK;
}

static enum hub_result fill_entry(struct map_run *run, struct map_res *res, struct hub_event *event, struct hub_entry *out)
{
    const struct map_entry *entry = res->decl->entry;
    struct map_scope scope = {.run = run, .seg = res->seg, .res = res, .element = res->json};
    const char *source = NULL;
    HUB_TRY(fill_keys(run, res, entry, out));
    if (out->keys[0].part_count == 0)
        return HUB_OK;
    out->kind = entry->kind;
    out->mode = res->mode;
    out->act = (enum hub_act)map_choose(&scope, &entry->act);
    out->status_class = status_class(entry, res->json);
    out->list_marks = entry->list_marks;
    HUB_TRY(map_key_of(run, res->seg, &entry->list, &out->list));
    HUB_TRY(map_key_of(run, res->seg, &entry->measure, &out->measure));
    HUB_TRY(map_key_of(run, res->seg, &entry->location, &out->location));
    HUB_TRY(map_key_of(run, res->seg, &entry->encounter, &out->encounter));
    if (read_time(&scope, &entry->effective, &out->effective, &source) && !entry->untimed &&
        (event->time.text.len == 0 || out->effective.us < event->time.us)) {
        event->time = out->effective;
        event->time_source = source;
    }
    const char *ignored = NULL;
    if (entry->list_version.count != 0 && out->list.part_count != 0 &&
        !read_time(&scope, &entry->list_version, &out->listed, &ignored))
        out->listed = run->message_time;
    if (!read_time(&scope, &entry->version, &out->version, &ignored))
        memset(&out->version, 0, sizeof out->version);
    return HUB_OK;
}

/* The earliest effective time of entries that only count where no other does (a person's update). */
static void take_lone_time(struct map_run *run, struct hub_event *event)
{
    for (uint32_t i = 0; i < run->res_count && event->has_patient; i++) {
        const struct map_res *res = run->res[i];
        struct map_scope scope = {.run = run, .seg = res->seg, .element = res->json};
        struct hub_when when;
        const char *source = NULL;
        if (event->resources[i].entry.kind != HUB_KIND_NONE && res->decl->entry->alone &&
            read_time(&scope, &res->decl->entry->effective, &when, &source) &&
            (event->time.text.len == 0 || when.us < event->time.us)) {
            event->time = when;
            event->time_source = source;
        }
    }
}

/* --- entries of one event with equal keys --- */

struct tied {
    struct hub_span text; /* the key as one text */
    uint32_t ordinal;
    struct hub_entry *entry;
    const struct map_res *res;
};

static int by_key(const void *a, const void *b)
{
    const struct tied *x = a;
    const struct tied *y = b;
    int order = hub_span_compare(x->text, y->text);
    return order != 0 ? order : x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static enum hub_result key_text(struct map_run *run, const struct hub_entry *entry, struct hub_span *out)
{
    const struct hub_fact_key *key = &entry->keys[0];
    size_t len = 1;
    for (uint16_t i = 0; i < key->part_count; i++)
        len += key->parts[i].len + 1;
    char *text = hub_arena_bytes(run->arena, len + 1);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    size_t n = 0;
    text[n++] = (char)('A' + (int)entry->kind);
    for (uint16_t i = 0; i < key->part_count; i++) {
        if (key->parts[i].len != 0)
            memcpy(text + n, key->parts[i].ptr, key->parts[i].len);
        n += key->parts[i].len;
        text[n++] = '\x1f';
    }
    *out = hub_span_of(text, n);
    return HUB_OK;
}

static enum hub_result append_part(struct map_run *run, struct tied *tied, struct hub_span text)
{
    struct hub_fact_key *key = &tied->entry->keys[0];
    struct hub_span *parts = HUB_ARENA_ARRAY(run->arena, struct hub_span, (size_t)key->part_count + 1);
    HUB_ENSURE(parts != NULL, HUB_NO_MEMORY);
    memcpy(parts, key->parts, key->part_count * sizeof *parts);
    parts[key->part_count++] = text;
    key->parts = parts;
    return key_text(run, tied->entry, &tied->text);
}

/* Makes ITEMS (equal keys, in order) distinct with tie part LEVEL and the ones behind it. */
static enum hub_result break_ties(struct map_run *run, struct tied *items, size_t count, uint16_t level)
{
    const struct map_parts *tie = &items[0].res->decl->entry->tie;
    if (count < 2 || level >= tie->count)
        return HUB_OK;
    for (size_t i = 0; i < count; i++) {
        struct hub_span text = HUB_SPAN_NONE;
        if (tie->items[level].kind == MAP_PART_ORDINAL)
            text = hub_span_str(hub_arena_printf(run->arena, "%zu", i));
        else
            HUB_TRY(map_part_text(run, items[i].res->seg, &tie->items[level], &text));
        HUB_TRY(append_part(run, &items[i], text));
    }
    qsort(items, count, sizeof *items, by_key);
    for (size_t from = 0, to = 1; from < count; from = to++) {
        while (to < count && hub_span_equal(items[from].text, items[to].text))
            to++;
        HUB_TRY(break_ties(run, items + from, to - from, (uint16_t)(level + 1)));
    }
    return HUB_OK;
}

static enum hub_result separate(struct map_run *run, struct hub_event *event)
{
    struct tied *items = HUB_ARENA_ARRAY(run->arena, struct tied, (size_t)run->res_count + 1);
    size_t count = 0;
    HUB_ENSURE(items != NULL, HUB_NO_MEMORY);
    for (uint32_t i = 0; i < run->res_count; i++) {
        struct hub_entry *entry = &event->resources[i].entry;
        if (entry->kind == HUB_KIND_NONE || run->res[i]->decl == NULL || run->res[i]->decl->entry->tie.count == 0)
            continue;
        items[count] = (struct tied){.ordinal = i, .entry = entry, .res = run->res[i]};
        HUB_TRY(key_text(run, entry, &items[count].text));
        count++;
    }
    if (count < 2)
        return HUB_OK;
    qsort(items, count, sizeof *items, by_key);
    for (size_t from = 0, to = 1; from < count; from = to++) {
        while (to < count && hub_span_equal(items[from].text, items[to].text))
            to++;
        HUB_TRY(break_ties(run, items + from, to - from, 0));
    }
    return HUB_OK;
}

enum hub_result map_make_entries(struct map_run *run, struct hub_event *event)
{
    event->time = (struct hub_when){HUB_SPAN_NONE, 0};
    event->time_source = "";
    for (uint32_t i = 0; i < run->res_count && event->has_patient; i++) {
        if (run->res[i]->decl != NULL && run->res[i]->decl->entry != NULL)
            HUB_TRY(fill_entry(run, run->res[i], event, &event->resources[i].entry));
    }
    HUB_TRY(separate(run, event));
    if (event->time.text.len == 0)
        take_lone_time(run, event);
    if (event->time.text.len == 0 && run->message_time.text.len != 0) {
        event->time = run->message_time;
        event->time_source = "MSH-7";
    } else if (event->time.text.len == 0) {
        event->time_source = "received";
    }
    /* What says no time of its own happened when the message's matter did. */
    for (uint32_t i = 0; i < event->resource_count; i++) {
        struct hub_entry *entry = &event->resources[i].entry;
        if (entry->kind != HUB_KIND_NONE && entry->effective.text.len == 0)
            entry->effective = event->time;
    }
    return HUB_OK;
}
