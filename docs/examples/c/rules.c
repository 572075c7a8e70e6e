/* From versions to what is shown: rules 0 and 2 to 4 of docs/TIMELINE.md, "From versions to what is shown" (1 is in chart.c). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"

struct version {
    yyjson_val *record;
    const char *id, *event, *origin, *source;
    char kind[32], act[24], mode[16];
    char facts[2][64];
    int fact_count, status_class;
    bool retired;
    int64_t effective_us, recorded_us, message_us, order_us;
    char effective[64];
    yyjson_mut_val *resource; /* opened */
    size_t parent;            /* of the same fact; a version that is its own parent stands for the fact */
};

/* --- times --- */

static int64_t days(int year, int month, int day) /* since 1970-01-01 */
{
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Microseconds of the start of what a FHIR date or time names, in UTC. False: it names none. */
static bool moment(const char *text, int64_t *us)
{
    int part[6] = {0, 1, 1, 0, 0, 0}, read = 0, hours = 0, minutes = 0;
    int64_t fraction = 0, scale = 100000, sign = 0;
    static const char before[] = " --T::";
    for (int i = 0; i < 6; i++) {
        if (i != 0 && *text != before[i])
            break;
        text += i != 0;
        if (sscanf(text, i == 0 ? "%4d%n" : "%2d%n", &part[i], &read) != 1)
            return false;
        text += read;
    }
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9'; text++, scale /= 10)
            fraction += (*text - '0') * scale;
    if (*text == '+' || *text == '-') {
        sign = *text == '+' ? 1 : -1;
        if (sscanf(text + 1, "%2d:%2d", &hours, &minutes) != 2)
            return false;
        text = "";
    }
    if (strcmp(text, "Z") != 0 && *text != '\0')
        return false;
    int64_t seconds = ((days(part[0], part[1], part[2]) * 24 + part[3]) * 60 + part[4]) * 60 + part[5];
    *us = (seconds - sign * (hours * 60 + minutes) * 60) * 1000000 + fraction;
    return true;
}

/* --- reading a record --- */

static void take_word(struct version *v, const char *word, char *version_text)
{
    if (sscanf(word, "kind=%31s", v->kind) == 1 || sscanf(word, "act=%23s", v->act) == 1 || sscanf(word, "mode=%15s", v->mode) == 1 ||
        sscanf(word, "effective=%63s", v->effective) == 1 || sscanf(word, "version=%63s", version_text) == 1 ||
        sscanf(word, "class=%d", &v->status_class) == 1)
        return;
    if (v->fact_count < 2 && sscanf(word, "fact=%63s", v->facts[v->fact_count]) == 1)
        v->fact_count++;
}

/* The words of `urn:chartline:entry`; the extension leaves the opened resource. False: it is no entry. */
static bool read_words(struct version *v, char *version_text)
{
    yyjson_mut_val *list = yyjson_mut_obj_get(v->resource, "extension");
    for (size_t i = 0; i < yyjson_mut_arr_size(list); i++) {
        const char *url = yyjson_mut_get_str(yyjson_mut_obj_get(yyjson_mut_arr_get(list, i), "url"));
        const char *words = yyjson_mut_get_str(yyjson_mut_obj_get(yyjson_mut_arr_get(list, i), "valueString"));
        if (url == NULL || words == NULL || strcmp(url, "urn:chartline:entry") != 0)
            continue;
        char *copy = strdup(words), *rest = copy, *word;
        while ((word = strsep(&rest, " ")) != NULL)
            take_word(v, word, version_text);
        free(copy);
        (void)yyjson_mut_arr_remove(list, i);
        if (yyjson_mut_arr_size(list) == 0)
            (void)yyjson_mut_obj_remove_key(v->resource, "extension");
        return true;
    }
    return false;
}

static const char *text_of(yyjson_mut_val *object, const char *name)
{
    const char *text = yyjson_mut_get_str(yyjson_mut_obj_get(object, name));
    return text != NULL ? text : "";
}

/* Of a sensitive resource only its opened content says when it happened. */
static const char *time_inside(yyjson_mut_val *resource)
{
    static const char *const paths[] = {"/effectiveDateTime", "/performedDateTime", "/occurrenceDateTime", "/onsetDateTime",
                                        "/recordedDate", "/authoredOn", "/whenHandedOver", "/date",
                                        "/period/start", "/effectivePeriod/start", "/performedPeriod/start"};
    int64_t us;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const char *text = yyjson_mut_get_str(yyjson_mut_ptr_get(resource, paths[i]));
        if (text != NULL && moment(text, &us))
            return text;
    }
    return "";
}

static void read_times(struct version *v, const char *version_text)
{
    const char *effective = v->effective[0] != '\0' ? v->effective : time_inside(v->resource);
    int64_t version_us, stored_us;
    if (!moment(effective, &v->effective_us) && !moment(effective = json_string(v->record, "effective"), &v->effective_us))
        v->effective_us = INT64_MIN;
    if (effective != v->effective)
        (void)snprintf(v->effective, sizeof v->effective, "%s", effective);
    (void)moment(json_string(v->record, "recorded"), &v->recorded_us);
    if (!moment(json_string(v->record, "messagetime"), &v->message_us))
        v->message_us = v->recorded_us;
    if (!moment(version_text, &version_us))
        version_us = v->message_us;
    if (json_number(v->record, "revision") == 0 || !moment(json_string(v->record, "originrecorded"), &stored_us))
        stored_us = v->recorded_us;
    v->order_us = version_us < stored_us ? version_us : stored_us;
}

static bool names(yyjson_val *list, const char *text)
{
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, n, item)
    {
        if (yyjson_equals_str(item, text))
            return true;
    }
    return false;
}

/* False: it is no entry but something that entries refer to. */
static bool read_version(struct version *v, const struct keys *keys, yyjson_val *record, yyjson_val *retired, yyjson_mut_doc *doc)
{
    char version_text[64] = "";
    *v = (struct version){.record = record, .id = json_string(record, "id"), .event = json_string(record, "event"),
                          .source = json_string(record, "source"), .mode = "replace", .status_class = 1};
    v->origin = json_number(record, "revision") != 0 ? json_string(record, "origin") : v->event;
    v->retired = names(retired, json_string(record, "subject"));
    v->resource = open_resource(keys, record, doc);
    if (!read_words(v, version_text))
        return false;
    if (v->kind[0] == '\0')
        (void)snprintf(v->kind, sizeof v->kind, "%s", json_string(record, "kind"));
    read_times(v, version_text);
    return true;
}

/* --- rule 0: revisions --- */

static bool replaced(yyjson_val **records, size_t count, const char *event)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(json_string(records[i], "kind"), "revision") == 0 && names(yyjson_obj_get(records[i], "supersedes"), event))
            return true;
    return false;
}

/* --- rule 2: facts --- */

static size_t root(const struct version *versions, size_t i)
{
    while (versions[i].parent != i)
        i = versions[i].parent;
    return i;
}

static bool share(const struct version *a, const struct version *b)
{
    if (strcmp(a->kind, b->kind) != 0 || (strcmp(a->kind, "allergy") == 0 && strcmp(a->source, b->source) != 0))
        return false;
    for (int i = 0; i < a->fact_count; i++)
        for (int k = 0; k < b->fact_count; k++)
            if (strcmp(a->facts[i], b->facts[k]) == 0)
                return true;
    return strcmp(a->kind, "patient") == 0; /* a chart has one */
}

/* --- rule 3: order --- */

static int order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_versions(const struct version *a, const struct version *b)
{
    int d = strcmp(a->kind, "patient") == 0 ? order(b->retired, a->retired) : 0;
    d = d != 0 ? d : order(a->status_class, b->status_class);
    d = d != 0 ? d : order(a->order_us, b->order_us);
    d = d != 0 ? d : order(a->message_us, b->message_us);
    d = d != 0 ? d : order(a->act[0] != '\0', b->act[0] != '\0'); /* a cancel after what it cancels */
    d = d != 0 ? d : strcmp(a->origin, b->origin);
    d = d != 0 ? d : strcmp(a->event, b->event);
    d = d != 0 ? d : order(json_number(a->record, "ordinal"), json_number(b->record, "ordinal"));
    return d != 0 ? d : strcmp(a->id, b->id);
}

/* --- rule 4: what stands --- */

static const char *coded(yyjson_mut_val *resource, const char *element)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/%s/coding/0/code", element);
    const char *code = yyjson_mut_get_str(yyjson_mut_ptr_get(resource, path));
    return code != NULL ? code : "";
}

static bool withdraws(const struct version *v)
{
    return strcmp(v->act, "withdraw") == 0 || strcmp(text_of(v->resource, "status"), "entered-in-error") == 0 ||
           strcmp(coded(v->resource, "verificationStatus"), "entered-in-error") == 0 ||
           (strcmp(v->kind, "location") == 0 && (strcmp(v->act, "cancel-transfer") == 0 || strcmp(v->act, "cancel-admission") == 0));
}

/* States the whole fact; others only fill in, or change the status. */
static bool whole(const struct version *v)
{
    return strcmp(v->mode, "status") != 0 && strcmp(v->mode, "fill") != 0;
}

/* The newest of the fact that is older than BEFORE (NULL: of all), of those that state the whole fact if there are any. */
static struct version *newest(struct version *versions, size_t count, size_t fact, const struct version *before, bool whole_only)
{
    struct version *found = NULL;
    for (size_t i = 0; i < count; i++) {
        struct version *v = &versions[i];
        if (root(versions, i) == fact && (!whole_only || whole(v)) && (before == NULL || compare_versions(v, before) < 0) &&
            (found == NULL || compare_versions(found, v) < 0))
            found = v;
    }
    return found != NULL || !whole_only ? found : newest(versions, count, fact, before, false);
}

static const char *status_of(const struct version *v)
{
    const char *place = yyjson_mut_get_str(yyjson_mut_ptr_get(v->resource, "/location/0/status"));
    if (strcmp(v->kind, "location") == 0)
        return place != NULL ? place : "";
    if (strcmp(v->kind, "allergy") == 0 || strcmp(v->kind, "condition") == 0)
        return coded(v->resource, "clinicalStatus");
    if (strcmp(v->kind, "patient") == 0 || strcmp(v->kind, "related-person") == 0)
        return yyjson_mut_is_false(yyjson_mut_obj_get(v->resource, "active")) ? "inactive" : "active";
    return text_of(v->resource, "status");
}

/* --- the answer --- */

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *entry, const char *name, const char *text)
{
    (void)yyjson_mut_obj_add_val(doc, entry, name, text[0] != '\0' ? yyjson_mut_strcpy(doc, text) : yyjson_mut_null(doc));
}

static yyjson_mut_val *entry_of(const struct keys *keys, const struct version *v, const struct version *before, yyjson_mut_doc *doc)
{
    yyjson_mut_val *entry = yyjson_mut_obj(doc);
    struct seal seal;
    add_text(doc, entry, "id", v->id);
    add_text(doc, entry, "kind", v->kind);
    add_text(doc, entry, "effective", v->effective);
    add_text(doc, entry, "recorded", json_string(v->record, "recorded"));
    add_text(doc, entry, "status", status_of(v));
    add_text(doc, entry, "supersedes", before != NULL ? before->id : "");
    if (json_number(v->record, "revision") != 0)
        (void)yyjson_mut_obj_add_val(doc, entry, "revision", yyjson_val_mut_copy(doc, yyjson_obj_get(v->record, "revision")));
    seal_read(json_string(v->record, "seal"), &seal);
    if (keys_is_shredded(keys, seal.secret_id))
        (void)yyjson_mut_obj_add_bool(doc, entry, "shredded", true);
    (void)yyjson_mut_obj_add_val(doc, entry, "resource", v->resource);
    return entry;
}

static int compare_shown(const void *a, const void *b)
{
    const struct version *x = *(struct version *const *)a, *y = *(struct version *const *)b;
    int d = order(x->effective_us, y->effective_us);
    d = d != 0 ? d : order(x->recorded_us, y->recorded_us);
    return d != 0 ? d : strcmp(x->id, y->id);
}

/* A fact's newest version, with the status of a later one that speaks of nothing else. NULL: it was withdrawn. */
static struct version *current_of(struct version *versions, size_t count, size_t fact, yyjson_mut_doc *doc)
{
    struct version *current = newest(versions, count, fact, NULL, true), *last = newest(versions, count, fact, NULL, false);
    if (withdraws(current))
        return NULL;
    const char *status = text_of(last->resource, "status");
    if (last != current && strcmp(last->mode, "status") == 0 && status[0] != '\0') {
        (void)yyjson_mut_obj_remove_key(current->resource, "status");
        (void)yyjson_mut_obj_add_strcpy(doc, current->resource, "status", status);
    }
    return current;
}

struct shown *apply_rules(const struct keys *keys, yyjson_val **records, size_t count, yyjson_val *retired, yyjson_mut_doc *doc, size_t *shown_count)
{
    struct version *versions = allocate(count * sizeof *versions), **current = allocate(count * sizeof *current);
    struct shown *shown = allocate(count * sizeof *shown);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool entry = yyjson_obj_get(records[i], "resource") != NULL; /* else a revision, or an event without entries */
        if (!entry || replaced(records, count, json_string(records[i], "event")) || !read_version(&versions[n], keys, records[i], retired, doc))
            continue;
        versions[n].parent = n;
        n++;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (share(&versions[i], &versions[k]))
                versions[root(versions, i)].parent = root(versions, k);
    *shown_count = 0;
    for (size_t i = 0; i < n; i++)
        if (versions[i].parent == i && (current[*shown_count] = current_of(versions, n, i, doc)) != NULL)
            (*shown_count)++;
    qsort(current, *shown_count, sizeof *current, compare_shown);
    for (size_t i = 0; i < *shown_count; i++) {
        const struct version *v = current[i], *before = newest(versions, n, root(versions, (size_t)(v - versions)), v, true);
        shown[i] = (struct shown){v->id, entry_of(keys, v, before, doc)};
    }
    free(versions);
    free(current);
    return shown;
}
