/* `feed remap` and `feed diff`: stored messages under other rules than those that mapped them. */
#include <unistd.h>

#include "src/cli/ask.h"
#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/reader.h"
#include "src/cli/table.h"
#include "src/cli/when.h"

static struct {
    const char *since, *until;
    bool dry_run, values;
} opt;

#define RANGE                                                                                                \
    {"since", 0, HUB_CLI_TEXT, &opt.since, "TIME", "recorded since (RFC 3339, a date, or 2h, 3d ago)"},      \
    {                                                                                                        \
        "until", 0, HUB_CLI_TEXT, &opt.until, "TIME", "recorded before"                                      \
    }

const struct hub_cli_option hub_cli_feed_remap_options[] = {
    RANGE,
    {"dry-run", 0, HUB_CLI_FLAG, &opt.dry_run, NULL, "print what would differ, store nothing"},
    {"purpose", 0, HUB_CLI_TEXT, &hub_cli.purpose, "CODE", "purpose of use for the audit log (default HOPERAT)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};
const struct hub_cli_option hub_cli_feed_diff_options[] = {
    RANGE,
    {"values", 0, HUB_CLI_FLAG, &opt.values, NULL, "show what was and what would be, in the clear (needs --role and --key)"},
    {"role", 0, HUB_CLI_TEXT, &hub_cli.role, "NAME", "a role with `raw`"},
    {"key", 0, HUB_CLI_TEXT, &hub_cli.key, "FILE", "the role's private key (keys/roles/NAME.key)"},
    {"purpose", 0, HUB_CLI_TEXT, &hub_cli.purpose, "CODE", "purpose of use for the audit log (default HOPERAT)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

static const char *feed_name;
static char since[HUB_TIME_TEXT_LEN + 1], until[HUB_TIME_TEXT_LEN + 1];

struct watching {
    struct hub_arena *arena;
    struct hub_json *end, *failed, *differences, *values; /* copies in keep */
    struct hub_arena keep;
    bool progress; /* a line on the terminal is being redrawn */
    bool lost;     /* memory ran out: the lists are not whole */
};

static unsigned long long number_of(const struct hub_json *object, const char *name)
{
    uint64_t number = 0;
    return hub_span_parse_u64(hub_json_span(hub_json_get(object, name)), &number) ? number : 0;
}

/* --- while it runs --- */

static void show_progress(struct watching *w, const struct hub_json *line)
{
    const unsigned long long record = number_of(line, "record"), of = number_of(line, "of");
    (void)fprintf(stderr, "\r%3llu%%  %llu messages, %llu changed, %llu unchanged, %llu failed ",
                  of != 0 && record <= of ? record * 100 / of : 100, number_of(line, "messages"),
                  number_of(line, "changed"), number_of(line, "unchanged"), number_of(line, "failed"));
    (void)fflush(stderr);
    w->progress = true;
}

static struct hub_json *keep_copy(struct watching *w, const struct hub_json *node)
{
    struct hub_buf text;
    struct hub_json *copy = NULL;
    hub_buf_init(&text, 1 << 24, false);
    hub_json_write(&text, node);
    if (hub_buf_result(&text) != HUB_OK || hub_json_parse(&w->keep, hub_buf_view(&text), &copy, NULL) != HUB_OK)
        w->lost = true;
    hub_buf_deinit(&text);
    return copy;
}

static void keep_item(struct watching *w, struct hub_json *list, const struct hub_json *node)
{
    struct hub_json *copy = keep_copy(w, node);
    if (copy == NULL || hub_json_push(list, copy) != HUB_OK)
        w->lost = true;
}

static void cell(struct watching *w, const struct hub_json *line, const char *path, const char *before)
{
    struct hub_span text = hub_cli_list_cell(w->arena, line, path);
    if (text.len == 0)
        return;
    (void)fputs(before, stdout);
    hub_cli_print_text(text, stdout);
}

static void show_failed(struct watching *w, const struct hub_json *line)
{
    if (w->progress)
        (void)fputs("\r\033[K", stderr);
    w->progress = false;
    cell(w, line, "id", "failed ");
    cell(w, line, "at", " ");
    cell(w, line, "text", ": ");
    cell(w, line, "mend", "; ");
    (void)fputc('\n', stdout);
}

static bool on_line(void *ctx, struct hub_json *line)
{
    struct watching *w = ctx;
    const struct hub_json *failed = hub_json_get(line, "failed"), *difference = hub_json_get(line, "difference");
    const struct hub_json *end = hub_json_get(line, "remapped");
    if (end == NULL)
        end = hub_json_get(line, "compared");
    if (hub_json_get(line, "progress") != NULL && isatty(STDERR_FILENO) != 0)
        show_progress(w, hub_json_get(line, "progress"));
    if (failed != NULL && hub_cli.json)
        keep_item(w, w->failed, failed);
    else if (failed != NULL)
        show_failed(w, failed);
    if (difference != NULL)
        keep_item(w, w->differences, difference);
    if (hub_json_get(line, "value") != NULL)
        keep_item(w, w->values, hub_json_get(line, "value"));
    if (end != NULL)
        w->end = keep_copy(w, end);
    return true;
}

/* --- at the end --- */

static void print_differences(struct watching *w)
{
    static const char *const titles[] = {"element", "added", "removed", "changed", "messages", NULL};
    struct hub_cli_table table;
    hub_cli_table_init(&table, titles);
    for (const struct hub_json *row = w->differences->first; row != NULL; row = row->next)
        hub_cli_table_add(&table, (struct hub_span[]){hub_json_get_span(row, "path"),
                                                      hub_json_span(hub_json_get(row, "added")),
                                                      hub_json_span(hub_json_get(row, "removed")),
                                                      hub_json_span(hub_json_get(row, "changed")),
                                                      hub_json_span(hub_json_get(row, "messages"))});
    hub_cli_table_finish(&table, stdout);
}

static struct hub_span value_text(struct watching *w, const struct hub_json *value)
{
    struct hub_buf text;
    if (value == NULL)
        return HUB_SPAN_NONE;
    if (value->type == HUB_JSON_STRING)
        return hub_json_span(value);
    hub_buf_init(&text, 1 << 20, false);
    hub_json_write(&text, value);
    struct hub_span copy = hub_arena_copy(w->arena, hub_buf_view(&text));
    hub_buf_deinit(&text);
    return copy;
}

static void print_values(struct watching *w)
{
    static const char *const titles[] = {"message", "element", "before", "after", NULL};
    struct hub_cli_table table;
    hub_cli_table_init(&table, titles);
    for (const struct hub_json *row = w->values->first; row != NULL; row = row->next)
        hub_cli_table_add(&table, (struct hub_span[]){hub_json_get_span(row, "id"), hub_json_get_span(row, "path"),
                                                      value_text(w, hub_json_get(row, "before")),
                                                      value_text(w, hub_json_get(row, "after"))});
    hub_cli_table_finish(&table, stdout);
    (void)fputc('\n', stdout);
}

static void print_counts(const struct watching *w, bool compared)
{
    const struct hub_json *letters = hub_json_get(w->end, "deadletters");
    (void)printf("%llu messages: %llu %s, %llu unchanged, %llu failed", number_of(w->end, "messages"),
                 number_of(w->end, "changed"), compared ? "would change" : "changed", number_of(w->end, "unchanged"),
                 number_of(w->end, "failed"));
    if (number_of(letters, "accepted") + number_of(letters, "rejected") != 0)
        (void)printf("; dead letters: %llu %s, %llu still refused", number_of(letters, "accepted"),
                     compared ? "would be accepted" : "accepted", number_of(letters, "rejected"));
    (void)fputs("; rules ", stdout);
    hub_cli_print_text(hub_json_get_span(w->end, "rules"), stdout);
    (void)fputc('\n', stdout);
}

static enum hub_result print_end(struct watching *w, bool compared, struct hub_error *err)
{
    if (w->progress)
        (void)fputs("\r\033[K", stderr);
    HUB_ENSURE(w->end != NULL && !w->lost, hub_fail(err, HUB_INTERNAL, "the answer is not whole", NULL));
    if (hub_cli.json) {
        HUB_TRY(hub_json_set_c(w->end, "failures", w->failed));
        if (compared)
            HUB_TRY(hub_json_set_c(w->end, "differences", w->differences));
        if (opt.values)
            HUB_TRY(hub_json_set_c(w->end, "values", w->values));
        hub_cli_print_json(w->end);
    } else {
        if (opt.values)
            print_values(w);
        print_differences(w);
        print_counts(w, compared);
    }
    return HUB_OK;
}

static enum hub_result ask(struct hub_client *client, struct hub_arena *arena, const char *op, bool compared,
                           struct hub_error *err)
{
    struct hub_buf request;
    struct watching w = {.arena = arena};
    hub_arena_init(&w.keep, (size_t)512 << 20);
    w.failed = hub_json_new(&w.keep, HUB_JSON_ARRAY);
    w.differences = hub_json_new(&w.keep, HUB_JSON_ARRAY);
    w.values = hub_json_new(&w.keep, HUB_JSON_ARRAY);
    hub_cli_request_begin(&request, op);
    hub_cli_request_text(&request, "feed", feed_name);
    hub_cli_request_text(&request, "since", since);
    if (until[0] != '\0')
        hub_cli_request_text(&request, "until", until);
    if (opt.dry_run)
        hub_cli_request_text(&request, "dry_run", "true");
    if (opt.values)
        hub_cli_request_text(&request, "values", "true");
    hub_cli_request_text(&request, "purpose", hub_cli.purpose != NULL ? hub_cli.purpose : "HOPERAT");
    enum hub_result result = w.failed != NULL && w.differences != NULL && w.values != NULL
                                 ? hub_cli_ask(client, &request, arena, true, on_line, &w, err)
                                 : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (result == HUB_OK)
        result = print_end(&w, compared, err);
    if (result == HUB_OK && number_of(w.end, "failed") != 0)
        result = hub_fail(err, HUB_SYNTAX, "not every message could be mapped: what failed stays as it was", NULL);
    hub_arena_deinit(&w.keep);
    return result;
}

static enum hub_result ask_remap(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    return ask(client, arena, "feed.remap", opt.dry_run, err);
}

static enum hub_result ask_diff(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_cli_reader *reader = NULL;
    HUB_TRY(hub_cli_reader_new(client, &reader, err)); /* proves the role, if one is named */
    enum hub_result result = ask(client, arena, "feed.diff", true, err);
    hub_cli_reader_free(reader);
    return result;
}

static int command(const char *name, int count, char **operands,
                   enum hub_result (*what)(struct hub_client *client, struct hub_arena *arena, struct hub_error *err))
{
    const int64_t now_us = hub_clock_wall_us(hub_clock_system());
    if (count != 1)
        return hub_cli_usage("%s: name one feed", name);
    if (opt.since == NULL)
        return hub_cli_usage("%s: say from when on (--since TIME)", name);
    if (!hub_cli_when(opt.since, now_us, since) || (opt.until != NULL && !hub_cli_when(opt.until, now_us, until)))
        return hub_cli_usage("%s: a time is 2026-03-01T12:00:00Z, a date, or 90m, 2h, 3d ago", name);
    feed_name = operands[0];
    return hub_cli_with_hub(what);
}

int hub_cli_feed_remap(int count, char **operands)
{
    return command("feed remap", count, operands, ask_remap);
}

int hub_cli_feed_diff(int count, char **operands)
{
    return command("feed diff", count, operands, ask_diff);
}
