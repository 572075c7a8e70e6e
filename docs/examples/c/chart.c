/* A patient's chart from Kafka, opened with a role's key: librdkafka, libsodium and yyjson, nothing of chartline.
 *
 *     chart --kafka kafka.conf --socket data/control.sock --role clinician --key clinician.key [--follow] PATIENT
 *
 * PATIENT is a patient token or SYSTEM|VALUE. Prints {"chart","entries"} in a line; with --follow it goes on, a line for each
 * change: the entries that are new or changed, and the ids of those that are gone.
 *
 * Of the rules of docs/TIMELINE.md it applies 0 (revisions), 1 (chart), 2 (facts), 3 (order) and 4 (what stands). It does NOT
 * fold patients and encounters (5: the newest version is shown as it was sent), judge lists (6), places (7) and "no known
 * allergy" (9), unite reports' results (8) or lead references to current versions (10): `chartline timeline --json` is the
 * reference, and the Python example applies all of them. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chart.h"

enum { QUIET_MS = 200, POLL_MS = 1000 };

static struct {
    const char *kafka, *socket, *role, *key, *purpose, *prefix, *signer, *patient;
    int wait_s, follow;
} options = {.purpose = "treatment", .prefix = "chartline.", .wait_s = 30};

struct stored { /* the newest value under a key of the topic */
    char *key;
    yyjson_doc *doc;
};

struct line { /* what was printed last of an entry */
    char *id, *text;
};

struct chart {
    struct hub *hub;
    struct keys *keys;
    struct topic *timeline, *key_records;
    char **tokens; /* those that are read; the first is the one asked for */
    size_t token_count;
    struct stored *stored;
    size_t stored_count, stored_cap;
    struct line *lines;
    size_t line_count;
};

/* --- what the topics say --- */

static bool is_read(const struct chart *chart, const char *token, size_t len)
{
    for (size_t i = 0; i < chart->token_count; i++)
        if (strlen(chart->tokens[i]) == len && memcmp(chart->tokens[i], token, len) == 0)
            return true;
    return false;
}

static struct stored *find_stored(struct chart *chart, const char *key, size_t len)
{
    for (size_t i = 0; i < chart->stored_count; i++)
        if (strlen(chart->stored[i].key) == len && memcmp(chart->stored[i].key, key, len) == 0)
            return &chart->stored[i];
    return NULL;
}

/* Upserts by key: the last value under a key counts, a tombstone takes it away. */
static void take_timeline(void *ctx, const char *key, size_t key_len, const char *value, size_t value_len)
{
    struct chart *chart = ctx;
    const char *slash = memchr(key, '/', key_len);
    if (!is_read(chart, key, slash != NULL ? (size_t)(slash - key) : key_len))
        return;
    struct stored *stored = find_stored(chart, key, key_len);
    if (stored == NULL) {
        if (chart->stored_count == chart->stored_cap) {
            chart->stored_cap = 2 * chart->stored_cap + 64;
            chart->stored = realloc(chart->stored, chart->stored_cap * sizeof *chart->stored);
            if (chart->stored == NULL)
                refuse("no memory");
        }
        stored = &chart->stored[chart->stored_count++];
        *stored = (struct stored){.key = strndup(key, key_len)};
    }
    yyjson_doc_free(stored->doc);
    stored->doc = value != NULL ? json_read(value, value_len) : NULL;
}

static void take_key_record(void *ctx, const char *key, size_t key_len, const char *value, size_t value_len)
{
    (void)key, (void)key_len;
    if (value == NULL)
        return;
    yyjson_doc *doc = json_read(value, value_len);
    keys_add_record(ctx, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

/* --- rule 1: the chart --- */

/* Adds tokens that the token records name; true when there are new ones. */
static bool add_named_tokens(struct chart *chart)
{
    size_t before = chart->token_count, n, k;
    yyjson_val *token;
    for (size_t i = 0; i < chart->stored_count; i++) {
        yyjson_val *record = yyjson_doc_get_root(chart->stored[i].doc);
        if (strchr(chart->stored[i].key, '/') != NULL)
            continue;
        yyjson_arr_foreach(yyjson_obj_get(record, "tokens"), k, n, token)
        {
            if (is_read(chart, yyjson_get_str(token), yyjson_get_len(token)))
                continue;
            chart->tokens = realloc(chart->tokens, (chart->token_count + 1) * sizeof *chart->tokens);
            if (chart->tokens == NULL)
                refuse("no memory");
            chart->tokens[chart->token_count++] = strdup(yyjson_get_str(token));
        }
    }
    return chart->token_count != before;
}

/* Reads the partitions of all tokens of the chart: only those, and again where a token record names more. */
static void load(struct chart *chart)
{
    do {
        int *partitions = allocate(chart->token_count * sizeof *partitions);
        for (size_t i = 0; i < chart->token_count; i++)
            partitions[i] = topic_partition(chart->timeline, chart->tokens[i]);
        topic_read(chart->timeline, partitions, chart->token_count, take_timeline, chart);
        free(partitions);
    } while (add_named_tokens(chart));
}

/* --- keys --- */

/* A key that is not there yet comes; it is waited for. Absent never means shredded: a signed record says that. */
static void wait_for_key(struct chart *chart, const char *id)
{
    time_t limit = time(NULL) + options.wait_s;
    while (topic_poll(chart->key_records, 0, take_key_record, chart->keys))
        ;
    while (!keys_knows_class_key(chart->keys, id) && time(NULL) < limit)
        (void)topic_poll(chart->key_records, 100, take_key_record, chart->keys);
    if (!keys_knows_class_key(chart->keys, id))
        (void)fprintf(stderr, "key %s has not come yet; what it seals stays masked\n", id);
}

/* All that opening RECORDS needs and this role may have. */
static void fetch_keys(struct chart *chart, yyjson_val **records, size_t count)
{
    char **ids = allocate(count * sizeof *ids);
    size_t id_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct seal seal;
        if (json_string(records[i], "seal")[0] == '\0')
            continue;
        seal_read(json_string(records[i], "seal"), &seal);
        for (int c = 1; c < SEAL_CLASSES; c++)
            if (seal.classes[c].key_id[0] != '\0' && !keys_knows_class_key(chart->keys, seal.classes[c].key_id))
                wait_for_key(chart, seal.classes[c].key_id);
        bool known = keys_has_secret(chart->keys, seal.secret_id);
        for (size_t k = 0; k < id_count && !known; k++)
            known = strcmp(ids[k], seal.secret_id) == 0;
        if (!known)
            ids[id_count++] = strdup(seal.secret_id);
    }
    hub_secrets(chart->hub, chart->keys, chart->tokens, chart->token_count, ids, id_count);
    for (size_t k = 0; k < id_count; k++)
        free(ids[k]);
    free(ids);
}

/* --- printing --- */

/* The records of the tokens that HEAD, a token record, names. */
static yyjson_val **records_of(struct chart *chart, yyjson_val *head, size_t *count)
{
    yyjson_val **records = allocate(chart->stored_count * sizeof *records), *token;
    *count = 0;
    for (size_t i = 0; i < chart->stored_count; i++) {
        const char *key = chart->stored[i].key, *slash = strchr(key, '/');
        size_t k, n;
        if (slash == NULL || chart->stored[i].doc == NULL)
            continue;
        yyjson_arr_foreach(yyjson_obj_get(head, "tokens"), k, n, token)
        {
            if (yyjson_equals_strn(token, key, (size_t)(slash - key)))
                records[(*count)++] = yyjson_doc_get_root(chart->stored[i].doc);
        }
    }
    return records;
}

static const char *printed_before(const struct chart *chart, const char *id)
{
    for (size_t i = 0; i < chart->line_count; i++)
        if (strcmp(chart->lines[i].id, id) == 0)
            return chart->lines[i].text;
    return NULL;
}

static void add_gone(const struct chart *chart, const struct line *now, size_t count, struct text *out)
{
    for (size_t i = 0, n = 0; i < chart->line_count; i++) {
        size_t k = 0;
        while (k < count && strcmp(now[k].id, chart->lines[i].id) != 0)
            k++;
        if (k < count)
            continue;
        text_words(out, n++ != 0 ? ",\"" : "\"");
        text_words(out, chart->lines[i].id);
        text_words(out, "\"");
    }
}

/* Prints what is new since the last time; FIRST: all of it. */
static void print_chart(struct chart *chart, const char *id, const struct shown *shown, size_t count, bool first)
{
    struct line *now = allocate(count * sizeof *now);
    struct text entries = {0}, gone = {0};
    text_words(&entries, "");
    text_words(&gone, "");
    for (size_t i = 0; i < count; i++) {
        struct text text = {0};
        text_json(&text, shown[i].entry);
        now[i] = (struct line){strdup(shown[i].id), text.bytes};
        const char *before = printed_before(chart, shown[i].id);
        if (before != NULL && strcmp(before, text.bytes) == 0)
            continue;
        text_words(&entries, entries.len != 0 ? "," : "");
        text_words(&entries, text.bytes);
    }
    add_gone(chart, now, count, &gone);
    if (first)
        (void)printf("{\"chart\":\"%s\",\"entries\":[%s]}\n", id, entries.bytes);
    else if (entries.len + gone.len != 0)
        (void)printf("{\"chart\":\"%s\",\"entries\":[%s],\"gone\":[%s]}\n", id, entries.bytes, gone.bytes);
    (void)fflush(stdout);
    for (size_t i = 0; i < chart->line_count; i++) {
        free(chart->lines[i].id);
        free(chart->lines[i].text);
    }
    free(chart->lines);
    free(entries.bytes);
    free(gone.bytes);
    chart->lines = now;
    chart->line_count = count;
}

static void show(struct chart *chart, bool first)
{
    struct stored *head = find_stored(chart, chart->tokens[0], strlen(chart->tokens[0]));
    if (head == NULL || head->doc == NULL) {
        if (!options.follow)
            refuse("the topic has nothing of this patient");
        return;
    }
    yyjson_val *token = yyjson_doc_get_root(head->doc);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    size_t record_count, count;
    yyjson_val **records = records_of(chart, token, &record_count);
    fetch_keys(chart, records, record_count);
    struct shown *shown = apply_rules(chart->keys, records, record_count, yyjson_obj_get(token, "retired"), doc, &count);
    print_chart(chart, json_string(token, "chart"), shown, count, first);
    free(records);
    free(shown);
    yyjson_mut_doc_free(doc);
}

/* --- the command --- */

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {{"kafka", required_argument, NULL, 'k'}, {"socket", required_argument, NULL, 's'},
                                          {"role", required_argument, NULL, 'r'}, {"key", required_argument, NULL, 'f'},
                                          {"purpose", required_argument, NULL, 'p'}, {"prefix", required_argument, NULL, 't'},
                                          {"signer", required_argument, NULL, 'h'}, {"wait", required_argument, NULL, 'w'},
                                          {"follow", no_argument, &options.follow, 1}, {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'k': options.kafka = optarg; break;
        case 's': options.socket = optarg; break;
        case 'r': options.role = optarg; break;
        case 'f': options.key = optarg; break;
        case 'p': options.purpose = optarg; break;
        case 't': options.prefix = optarg; break;
        case 'h': options.signer = optarg; break;
        case 'w': options.wait_s = atoi(optarg); break;
        case 0: break;
        default: exit(64);
        }
    }
    options.patient = optind + 1 == argc ? argv[optind] : NULL;
    if (options.kafka == NULL || options.socket == NULL || options.role == NULL || options.key == NULL || options.patient == NULL) {
        (void)fprintf(stderr, "usage: chart --kafka FILE --socket PATH --role ROLE --key FILE [--follow] PATIENT\n");
        exit(64);
    }
}

int main(int argc, char **argv)
{
    struct chart chart = {0};
    read_options(argc, argv);
    chart.keys = keys_new(options.key);
    chart.hub = hub_open(options.socket, options.role, chart.keys, options.purpose);
    if (options.signer != NULL)
        keys_trust(chart.keys, options.signer);
    else
        hub_trust(chart.hub, chart.keys);
    chart.key_records = topic_open(options.kafka, options.prefix, "keys");
    topic_read(chart.key_records, (const int[]){0}, 1, take_key_record, chart.keys);
    chart.timeline = topic_open(options.kafka, options.prefix, "timeline");
    chart.token_count = hub_tokens(chart.hub, options.patient, &chart.tokens);
    load(&chart);
    show(&chart, true);
    while (options.follow) {
        if (!topic_poll(chart.timeline, POLL_MS, take_timeline, &chart))
            continue;
        while (topic_poll(chart.timeline, QUIET_MS, take_timeline, &chart))
            ;
        if (add_named_tokens(&chart)) /* the chart was joined with another one */
            load(&chart);
        show(&chart, false);
    }
    return 0;
}
