/* `timeline`: a chart as a reader's keys show it, the list of charts, digests. */
#include <string.h>

#include "src/base/clock.h"
#include "src/cli/commands.h"
#include "src/cli/reader.h"
#include "src/cli/summary.h"
#include "src/cli/table.h"
#include "src/query/query.h"

enum { ARENA_BYTES_MAX = 0x7fffffff };

static struct {
    const char *at, *known_at, *kind, *digest;
    bool list, versions, follow;
} opt;

const struct hub_cli_option hub_cli_timeline_options[] = {
    HUB_CLI_OPTIONS_READER,
    {"at", 0, HUB_CLI_TEXT, &opt.at, "TIME",
     "only what had happened by then (RFC 3339, or a date: its end, UTC)"},
    {"known-at", 0, HUB_CLI_TEXT, &opt.known_at, "TIME", "only what the hub knew by then"},
    {"kind", 0, HUB_CLI_TEXT, &opt.kind, "KIND", "only entries of this kind (observation, encounter, ...)"},
    {"versions", 0, HUB_CLI_FLAG, &opt.versions, NULL, "every version, not only the current ones"},
    {"follow", 0, HUB_CLI_FLAG, &opt.follow, NULL, "go on with entries as they come"},
    {"list", 0, HUB_CLI_FLAG, &opt.list, NULL, "list the charts"},
    {"digest", 0, HUB_CLI_OPTIONAL, &opt.digest, "state|content",
     "one hex line over all that is stored (state) or said (content); of several processes they add up"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

/* RFC 3339, or a date, whose last microsecond it is then. */
static bool parse_time(const char *text, int64_t *us)
{
    char full[48];
    if (text == NULL)
        return true;
    if (hub_time_parse(text, strlen(text), us) == 0)
        return true;
    if (strlen(text) != 10)
        return false;
    (void)snprintf(full, sizeof full, "%sT23:59:59.999999Z", text);
    return hub_time_parse(full, strlen(full), us) == 0;
}

/* --- list --- */

struct listing {
    struct hub_cli_table table;
    bool json, first;
};

static bool list_chart(void *ctx, struct hub_json *line)
{
    struct listing *l = ctx;
    struct hub_json *chart = hub_json_get(line, "chart");
    if (chart == NULL)
        return true;
    if (l->json) {
        struct hub_buf text;
        hub_buf_init(&text, SIZE_MAX / 2, false);
        hub_json_write(&text, chart);
        (void)printf("%s\n%s", l->first ? "" : ",", hub_buf_str(&text));
        hub_buf_deinit(&text);
        l->first = false;
        return true;
    }
    const struct hub_json *tokens = hub_json_get(chart, "tokens");
    char count[24];
    (void)snprintf(count, sizeof count, "%u", tokens != NULL ? tokens->len : 0);
    hub_cli_table_add(&l->table, (struct hub_span[]){hub_json_get_span(chart, "chart"),
                                                     hub_json_span(hub_json_get(chart, "entries")),
                                                     hub_span_str(count)});
    return true;
}

static enum hub_result list_charts(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const char *const titles[] = {"chart", "entries", "tokens", NULL};
    struct listing listing = {.json = hub_cli.json, .first = true};
    struct hub_buf request;
    hub_cli_request_begin(&request, "timeline.list");
    hub_cli_table_init(&listing.table, titles);
    if (hub_cli.json)
        (void)printf("[");
    enum hub_result result = hub_cli_ask(client, &request, arena, true, list_chart, &listing, err);
    if (hub_cli.json)
        (void)printf("%s]\n", listing.first ? "" : "\n");
    hub_cli_table_finish(&listing.table, stdout);
    return result;
}

/* --- digest --- */

static enum hub_result print_digest(struct hub_client *client, struct hub_arena *arena, const char *what,
                                    struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    hub_cli_request_begin(&request, "timeline.digest");
    hub_cli_request_text(&request, "what", what);
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    struct hub_span digest = HUB_SPAN_NONE;
    for (const struct hub_json *line = lines->first; line != NULL; line = line->next)
        if (hub_json_get(line, "digest") != NULL)
            digest = hub_json_get_span(line, "digest");
    HUB_ENSURE(digest.len > 0, hub_fail(err, HUB_INTERNAL, "the hub gave no digest", NULL));
    (void)printf(hub_cli.json ? "{\"digest\":\"%.*s\"}\n" : "%.*s\n", (int)digest.len,
                 (const char *)digest.ptr);
    return HUB_OK;
}

/* --- a chart --- */

/* What is gone for good must not look like something that is only sealed for this reader. */
static struct hub_span entry_status(const struct hub_json *entry)
{
    return hub_json_get(entry, "shredded") != NULL ? HUB_SPAN("shredded") : hub_json_get_span(entry, "status");
}

static void add_entry_row(struct hub_cli_table *table, const struct hub_json *entry)
{
    struct hub_buf what;
    hub_buf_init(&what, 1 << 20, true);
    hub_cli_summary(hub_json_get(entry, "resource"), &what);
    hub_cli_table_add(table, (struct hub_span[]){hub_json_get_span(entry, "effective"),
                                                 hub_json_get_span(entry, "kind"),
                                                 entry_status(entry), hub_buf_view(&what)});
    hub_buf_deinit(&what);
}

static const char *const entry_titles[] = {"time", "kind", "status", "what", NULL};

static void print_chart(const struct hub_json *chart)
{
    if (hub_cli.json) {
        hub_cli_print_json(chart);
        return;
    }
    struct hub_cli_table table;
    const struct hub_json *entries = hub_json_get(chart, "entries");
    hub_cli_table_init(&table, entry_titles);
    for (const struct hub_json *e = entries != NULL ? entries->first : NULL; e != NULL; e = e->next)
        add_entry_row(&table, e);
    (void)printf("chart ");
    hub_cli_print_text(hub_json_get_span(chart, "chart"), stdout);
    (void)printf(", %u entries\n", entries != NULL ? entries->len : 0);
    hub_cli_table_finish(&table, stdout);
}

/* Splits the answer into the chart and its records. */
static enum hub_result take_lines(struct hub_arena *arena, const struct hub_json *lines,
                                  struct hub_json **chart, struct hub_json ***records, size_t *count,
                                  struct hub_error *err)
{
    *records = HUB_ARENA_ARRAY(arena, struct hub_json *, lines->len + 1);
    *count = 0;
    *chart = NULL;
    HUB_ENSURE(*records != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    for (const struct hub_json *line = lines->first; line != NULL; line = line->next) {
        struct hub_json *record = hub_json_get(line, "record");
        if (record != NULL)
            (*records)[(*count)++] = record;
        else if (hub_json_get(line, "chart") != NULL)
            *chart = hub_json_get(line, "chart");
    }
    return *chart != NULL ? HUB_OK
                          : hub_fail(err, HUB_NOT_FOUND, "no such patient",
                                     "`chartline timeline --list` shows the charts");
}

static enum hub_result chart_secrets(struct hub_cli_reader *reader, struct hub_arena *arena,
                                     const struct hub_json *chart, struct hub_error *err)
{
    const struct hub_json *tokens = hub_json_get(chart, "tokens");
    if (reader == NULL || tokens == NULL)
        return HUB_OK;
    struct hub_span *list = HUB_ARENA_ARRAY(arena, struct hub_span, (size_t)tokens->len + 1);
    HUB_ENSURE(list != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    size_t count = 0;
    for (const struct hub_json *t = tokens->first; t != NULL; t = t->next)
        list[count++] = hub_json_span(t);
    return hub_cli_reader_secrets(reader, list, count, NULL, 0, err);
}

static void request_chart(struct hub_buf *request, const char *op, const char *patient)
{
    hub_cli_request_begin(request, op);
    hub_cli_request_text(request, "patient", patient);
    hub_cli_request_text(request, "purpose", hub_cli.purpose);
}

static enum hub_result show_chart(struct hub_client *client, struct hub_arena *arena, const char *patient,
                                  const struct hub_query *query, struct hub_error *err)
{
    struct hub_buf request;
    struct hub_cli_reader *reader = NULL;
    struct hub_json *lines, *chart, **records, *view = NULL;
    size_t count;
    enum hub_result result;
    HUB_TRY_OUT(hub_cli_reader_new(client, &reader, err));
    request_chart(&request, "timeline.chart", patient);
    HUB_TRY_OUT(hub_cli_collect(client, &request, arena, &lines, err));
    HUB_TRY_OUT(take_lines(arena, lines, &chart, &records, &count, err));
    HUB_TRY_OUT(chart_secrets(reader, arena, chart, err));
    struct hub_query asked = *query;
    asked.chart = chart; /* demographics follow the surviving identifier */
    HUB_TRY_OUT(hub_query_chart(arena, hub_json_get_span(chart, "chart"), records, count, &asked,
                                hub_cli_reader_opener(reader), &view, err));
    print_chart(view);
out:
    hub_cli_reader_free(reader);
    return result;
}

/* --- follow --- */

struct follower {
    struct hub_arena arena;        /* of the entry at hand */
    struct hub_cli_reader *reader; /* over a connection of its own; NULL: sealed view */
    struct hub_query query;
    struct hub_span chart;
    char chart_id[65];
    enum hub_result result;
    struct hub_error *err;
};

static void print_entry(const struct hub_json *entry)
{
    if (hub_cli.json) {
        hub_cli_print_line(entry);
    } else {
        struct hub_buf what;
        hub_buf_init(&what, 1 << 20, true);
        hub_cli_summary(hub_json_get(entry, "resource"), &what);
        static const char *const columns[] = {"effective", "kind", "status"};
        for (size_t i = 0; i < 3; i++) {
            hub_cli_print_text(hub_json_get_span(entry, columns[i]), stdout);
            (void)printf("  ");
        }
        hub_cli_print_text(hub_buf_view(&what), stdout);
        (void)fputc('\n', stdout);
        hub_buf_deinit(&what);
    }
    (void)fflush(stdout);
}

static bool follow_line(void *ctx, struct hub_json *line)
{
    struct follower *f = ctx;
    struct hub_json *chart = hub_json_get(line, "chart"), *record = hub_json_get(line, "record"),
                    *view = NULL;
    hub_arena_reset(&f->arena);
    if (chart != NULL) {
        struct hub_span id = hub_json_get_span(chart, "chart");
        (void)snprintf(f->chart_id, sizeof f->chart_id, "%.*s", (int)id.len, (const char *)id.ptr);
        f->chart = hub_span_str(f->chart_id);
        f->result = chart_secrets(f->reader, &f->arena, chart, f->err);
    }
    if (record != NULL && f->result == HUB_OK)
        f->result = hub_query_chart(&f->arena, f->chart, &record, 1, &f->query,
                                    hub_cli_reader_opener(f->reader), &view, f->err);
    const struct hub_json *entries = hub_json_get(view, "entries");
    for (const struct hub_json *e = entries != NULL ? entries->first : NULL; e != NULL; e = e->next)
        print_entry(e);
    return f->result == HUB_OK && !ferror(stdout);
}

static enum hub_result follow_chart(const struct hub_cli_hub *hub, struct hub_arena *arena,
                                    const char *patient, const struct hub_query *query, struct hub_error *err)
{
    struct hub_client *second = NULL;
    struct follower f = {.query = *query, .result = HUB_OK, .err = err};
    struct hub_buf request;
    f.query.versions = true;
    hub_arena_init(&f.arena, ARENA_BYTES_MAX);
    enum hub_result result = hub_cli_hub_again(hub, &second, err);
    if (result == HUB_OK)
        result = hub_cli_reader_new(second, &f.reader, err);
    if (result == HUB_OK) {
        request_chart(&request, "timeline.follow", patient);
        result = hub_cli_ask(hub->client, &request, arena, true, follow_line, &f, err);
        result = f.result != HUB_OK ? f.result : result;
    }
    hub_cli_reader_free(f.reader);
    hub_client_close(second);
    hub_arena_deinit(&f.arena);
    return result;
}

/* --- the command --- */

/* Why the words on the command line do not go together; NULL: they do. */
static const char *mistake(int count, char **operands)
{
    if (opt.list && opt.digest != NULL)
        return "--list and --digest are two questions";
    if (opt.list)
        return count == 0 ? NULL : "--list takes no operand";
    if (opt.digest != NULL) {
        const char *what = count == 1 ? operands[0] : opt.digest;
        bool known = what[0] == '\0' || strcmp(what, "state") == 0 || strcmp(what, "content") == 0;
        return count <= 1 && known ? NULL : "--digest takes state or content";
    }
    return count == 1 ? NULL : "name one patient (a chart id, a token or SYSTEM|VALUE), --list or --digest";
}

static enum hub_result answer(const struct hub_cli_hub *hub, struct hub_arena *arena, int count,
                              char **operands, const struct hub_query *query, struct hub_error *err)
{
    if (opt.list)
        return list_charts(hub->client, arena, err);
    if (opt.digest != NULL) {
        const char *what = count == 1 ? operands[0] : opt.digest;
        return print_digest(hub->client, arena, what[0] != '\0' ? what : "state", err);
    }
    if (opt.follow)
        return follow_chart(hub, arena, operands[0], query, err);
    return show_chart(hub->client, arena, operands[0], query, err);
}

int hub_cli_timeline(int count, char **operands)
{
    struct hub_query query = {.at_us = INT64_MAX, .known_at_us = INT64_MAX, .versions = opt.versions, .history = opt.versions};
    const char *why = mistake(count, operands);
    if (why != NULL)
        return hub_cli_usage("timeline: %s", why);
    if (!parse_time(opt.at, &query.at_us) || !parse_time(opt.known_at, &query.known_at_us))
        return hub_cli_usage(
            "timeline: a time is RFC 3339 with zone, such as 2026-03-01T12:00:00Z, or a date");
    if (opt.kind != NULL) {
        query.kind = hub_span_str(opt.kind);
        if (hub_kind_of(query.kind) == HUB_KIND_NONE)
            return hub_cli_usage("timeline: no such kind");
    }
    struct hub_cli_hub hub;
    struct hub_error err = {0};
    struct hub_arena arena;
    hub_arena_init(&arena, ARENA_BYTES_MAX);
    int code = hub_cli_hub_open(&hub);
    if (code == HUB_EXIT_OK && answer(&hub, &arena, count, operands, &query, &err) != HUB_OK)
        code = hub_cli_fail(&err);
    hub_cli_hub_close(&hub);
    hub_arena_deinit(&arena);
    return code;
}
