/* `message find|show`: did it arrive, what was answered, what did it become. */
#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/reader.h"
#include "src/cli/summary.h"
#include "src/cli/table.h"
#include "src/cli/when.h"

static struct {
    const char *control_id, *patient, *feed, *since, *until;
    bool count;
} opt;
static char since[HUB_TIME_TEXT_LEN + 1], until[HUB_TIME_TEXT_LEN + 1];

const struct hub_cli_option hub_cli_message_find_options[] = {
    {"control-id", 0, HUB_CLI_TEXT, &opt.control_id, "ID", "with this MSH-10"},
    {"patient", 0, HUB_CLI_TEXT, &opt.patient, "PATIENT",
     "about this patient (token, chart id or SYSTEM|VALUE)"},
    {"feed", 0, HUB_CLI_TEXT, &opt.feed, "NAME", "that came over this feed"},
    {"since", 0, HUB_CLI_TEXT, &opt.since, "TIME", "recorded since (RFC 3339, a date, or 2h, 3d ago)"},
    {"until", 0, HUB_CLI_TEXT, &opt.until, "TIME", "recorded before"},
    {"count", 0, HUB_CLI_FLAG, &opt.count, NULL, "only how many, by feed, trigger and answer"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

/* --- counts --- */

enum { ROWS_MAX = 10000 };

struct count_row {
    struct hub_span feed, trigger, answer;
    uint64_t messages, duplicates, revised;
};

struct counting {
    struct hub_arena arena; /* of the rows */
    struct count_row *rows;
    size_t count;
};

static bool count_message(void *ctx, struct hub_json *line)
{
    struct counting *c = ctx;
    const struct hub_json *message = hub_json_get(line, "message");
    const struct hub_span feed = hub_json_get_span(message, "feed"), trigger = hub_json_get_span(message, "trigger"),
                          answer = hub_json_get_span(message, "answer");
    uint64_t number = 0;
    size_t at = 0;
    if (message == NULL)
        return true;
    while (at < c->count && !(hub_span_equal(c->rows[at].feed, feed) && hub_span_equal(c->rows[at].trigger, trigger) &&
                              hub_span_equal(c->rows[at].answer, answer)))
        at++;
    if (at == ROWS_MAX)
        at = ROWS_MAX - 1; /* the rest is counted with the last */
    if (at == c->count)
        c->rows[c->count++] = (struct count_row){.feed = hub_arena_copy(&c->arena, feed),
                                                 .trigger = hub_arena_copy(&c->arena, trigger),
                                                 .answer = hub_arena_copy(&c->arena, answer)};
    c->rows[at].messages++;
    if (hub_span_parse_u64(hub_json_span(hub_json_get(message, "duplicates")), &number))
        c->rows[at].duplicates += number;
    if (hub_span_parse_u64(hub_json_span(hub_json_get(message, "revision")), &number) && number != 0)
        c->rows[at].revised++;
    return true;
}

static struct hub_span number_text(struct hub_arena *arena, uint64_t number)
{
    const char *text = hub_arena_printf(arena, "%llu", (unsigned long long)number);
    return text != NULL ? hub_span_str(text) : HUB_SPAN_NONE;
}

static enum hub_result print_counts_json(struct counting *c, struct hub_error *err)
{
    struct hub_json *list = hub_json_new(&c->arena, HUB_JSON_ARRAY);
    enum hub_result result = list != NULL ? HUB_OK : HUB_NO_MEMORY;
    for (size_t i = 0; i < c->count && result == HUB_OK; i++) {
        const struct count_row *row = &c->rows[i];
        struct hub_json *object = hub_json_new(&c->arena, HUB_JSON_OBJECT);
        const struct hub_span texts[] = {row->answer, row->feed, row->trigger};
        const uint64_t numbers[] = {row->duplicates, row->messages, row->revised};
        static const char *const text_names[] = {"answer", "feed", "trigger"},
                                 *const number_names[] = {"duplicates", "messages", "revised"};
        result = object != NULL ? HUB_OK : HUB_NO_MEMORY;
        for (size_t k = 0; k < 3 && result == HUB_OK; k++)
            result = hub_json_set_string(&c->arena, object, text_names[k], texts[k]);
        for (size_t k = 0; k < 3 && result == HUB_OK; k++)
            result = hub_json_set_c(object, number_names[k], hub_json_number_i64(&c->arena, (int64_t)numbers[k]));
        if (result == HUB_OK)
            result = hub_json_push(list, object);
    }
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    hub_cli_print_json(list);
    return HUB_OK;
}

static void print_counts(struct counting *c)
{
    static const char *const titles[] = {"feed", "trigger", "answer", "messages", "sent again", "revised", NULL};
    struct hub_cli_table table;
    hub_cli_table_init(&table, titles);
    for (size_t i = 0; i < c->count; i++) {
        const struct count_row *row = &c->rows[i];
        hub_cli_table_add(&table, (struct hub_span[]){row->feed, row->trigger, row->answer, number_text(&c->arena, row->messages),
                                                      number_text(&c->arena, row->duplicates),
                                                      number_text(&c->arena, row->revised)});
    }
    hub_cli_table_finish(&table, stdout);
}

static enum hub_result count_all(struct hub_client *client, struct hub_arena *arena, struct hub_buf *request,
                                 struct hub_error *err)
{
    struct counting c = {.rows = NULL};
    hub_arena_init(&c.arena, (size_t)64 << 20);
    c.rows = HUB_ARENA_ARRAY(&c.arena, struct count_row, ROWS_MAX);
    enum hub_result result = c.rows != NULL ? hub_cli_ask(client, request, arena, true, count_message, &c, err)
                                            : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (result == HUB_OK && hub_cli.json)
        result = print_counts_json(&c, err);
    else if (result == HUB_OK)
        print_counts(&c);
    hub_arena_deinit(&c.arena);
    return result;
}

/* --- find --- */

static enum hub_result find(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {
        .member = "message",
        .titles = {"recorded", "id", "feed", "trigger", "answer", "reason", "at", "duplicates", "revision", "events"},
        .members = {"recorded", "id", "feed", "trigger", "answer", "reason.text", "reason.at", "duplicates", "revision", "events"}};
    const struct {
        const char *name, *value;
    } members[] = {{"control_id", opt.control_id},
                   {"patient", opt.patient},
                   {"feed", opt.feed},
                   {"since", since[0] != '\0' ? since : NULL},
                   {"until", until[0] != '\0' ? until : NULL}};
    struct hub_buf request;
    hub_cli_request_begin(&request, "message.find");
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (members[i].value != NULL)
            hub_cli_request_text(&request, members[i].name, members[i].value);
    }
    return opt.count ? count_all(client, arena, &request, err)
                     : hub_cli_list_print(client, arena, &request, &list, NULL, err);
}

int hub_cli_message_find(int count, char **operands)
{
    const int64_t now_us = hub_clock_wall_us(hub_clock_system());
    (void)operands;
    if (count != 0)
        return hub_cli_usage("message find: takes options only");
    if (opt.control_id == NULL && opt.patient == NULL && opt.feed == NULL && opt.since == NULL && opt.until == NULL)
        return hub_cli_usage(
            "message find: say what to look for: --control-id, --patient, --feed, --since or --until");
    if ((opt.since != NULL && !hub_cli_when(opt.since, now_us, since)) ||
        (opt.until != NULL && !hub_cli_when(opt.until, now_us, until)))
        return hub_cli_usage("message find: a time is 2026-03-01T12:00:00Z, a date, or 90m, 2h, 3d ago");
    return hub_cli_with_hub(find);
}

/* --- show --- */

const struct hub_cli_option hub_cli_message_show_options[] = {HUB_CLI_OPTIONS_READER, HUB_CLI_OPTION_CONFIG,
                                                              HUB_CLI_OPTION_JSON, HUB_CLI_OPTION_END};

static const char *shown_id;

static enum hub_result open_one(struct hub_cli_reader *reader, struct hub_arena *arena,
                                struct hub_json *event, struct hub_error *err)
{
    if (reader == NULL)
        return HUB_OK;
    struct hub_span subject = hub_json_get_span(event, "subject"),
                    secret = hub_protect_seal_secret(hub_json_get_span(event, "seal"));
    size_t masked = 0;
    HUB_TRY(hub_cli_reader_secrets(reader, &subject, subject.len > 0 ? 1 : 0, &secret, secret.len > 0 ? 1 : 0,
                                   err));
    return hub_protect_open_event(arena, event, hub_cli_reader_opener(reader), &masked, err);
}

static void print_event(struct hub_arena *arena, const struct hub_json *event)
{
    static const char *const titles[] = {"resource", "id", "what", NULL};
    static const char *const members[] = {"id",         "type",         "source",  "subject", "time",   "timesource",
                                          "recordedtime", "trigger", "mapping", "policy", "revision"};
    struct hub_cli_table table;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const struct hub_span text = hub_cli_list_cell(arena, event, members[i]);
        if (text.len == 0)
            continue;
        (void)printf("  %-13s", members[i]);
        hub_cli_print_text(text, stdout);
        (void)fputc('\n', stdout);
    }
    const struct hub_json *entries = hub_json_get(hub_json_get(event, "data"), "entry");
    hub_cli_table_init(&table, titles);
    for (const struct hub_json *e = entries != NULL ? entries->first : NULL; e != NULL; e = e->next) {
        const struct hub_json *resource = hub_json_get(e, "resource");
        struct hub_buf what;
        hub_buf_init(&what, 1 << 20, true);
        hub_cli_summary(resource, &what);
        hub_cli_table_add(&table,
                          (struct hub_span[]){hub_json_get_span(resource, "resourceType"),
                                              hub_json_get_span(resource, "id"), hub_buf_view(&what)});
        hub_buf_deinit(&what);
    }
    hub_cli_table_finish(&table, stdout);
}

static void print_head(struct hub_arena *arena, const struct hub_json *message)
{
    static const char *const members[] = {"id",    "feed",      "sender",      "recorded",    "trigger", "answer",
                                          "state", "reason.at", "reason.text", "reason.mend", "duplicates", "mapping",
                                          "revision", "revised"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const struct hub_span text = hub_cli_list_cell(arena, message, members[i]);
        if (text.len == 0)
            continue;
        (void)printf("%-11s ", members[i]);
        hub_cli_print_text(text, stdout);
        (void)fputc('\n', stdout);
    }
    const struct hub_json *retired = hub_json_get(message, "retired");
    if (retired == NULL)
        return;
    (void)printf("retired     its content was removed from the event log at ");
    hub_cli_print_text(hub_cli_list_cell(arena, retired, "at"), stdout);
    (void)printf(" by the rule ");
    hub_cli_print_text(hub_cli_list_cell(arena, retired, "rule"), stdout);
    (void)printf("; what it said stays in the timeline\n");
}

/* One object: {"message":..,"events":[..],"revisions":[..],"deadletter":..}. */
static enum hub_result print_all_json(struct hub_arena *arena, const struct hub_json *lines,
                                      struct hub_error *err)
{
    struct hub_json *all = hub_json_new(arena, HUB_JSON_OBJECT),
                    *events = hub_json_new(arena, HUB_JSON_ARRAY),
                    *revisions = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(all != NULL && events != NULL && revisions != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    for (struct hub_json *line = lines->first; line != NULL; line = line->next) {
        struct hub_json *message = hub_json_remove(line, "message"), *event = hub_json_remove(line, "event"),
                        *letter = hub_json_remove(line, "deadletter"),
                        *revision = hub_json_remove(line, "revision");
        if (message != NULL)
            HUB_TRY(hub_json_set_c(all, "message", message));
        if (event != NULL)
            HUB_TRY(hub_json_push(events, event));
        if (revision != NULL)
            HUB_TRY(hub_json_push(revisions, revision));
        if (letter != NULL)
            HUB_TRY(hub_json_set_c(all, "deadletter", letter));
    }
    HUB_TRY(hub_json_set_c(all, "events", events));
    if (revisions->len != 0)
        HUB_TRY(hub_json_set_c(all, "revisions", revisions));
    hub_cli_print_json(all);
    return HUB_OK;
}

/* Only where there is more than the first mapping. */
static void print_history(struct hub_arena *arena, const struct hub_json *lines)
{
    static const char *const titles[] = {"revision", "recorded", "mapping", "by", NULL};
    struct hub_cli_table table;
    size_t count = 0;
    for (const struct hub_json *line = lines->first; line != NULL; line = line->next)
        count += hub_json_get(line, "revision") != NULL ? 1 : 0;
    if (count < 2)
        return;
    hub_cli_table_init(&table, titles);
    for (const struct hub_json *line = lines->first; line != NULL; line = line->next) {
        const struct hub_json *revision = hub_json_get(line, "revision");
        if (revision != NULL)
            hub_cli_table_add(&table, (struct hub_span[]){hub_cli_list_cell(arena, revision, "revision"),
                                                          hub_json_get_span(revision, "recorded"),
                                                          hub_json_get_span(revision, "mapping"),
                                                          hub_json_get_span(revision, "who")});
    }
    hub_cli_table_finish(&table, stdout);
}

static void print_all_text(struct hub_arena *arena, const struct hub_json *lines)
{
    for (const struct hub_json *line = lines->first; line != NULL; line = line->next) {
        if (hub_json_get(line, "message") != NULL)
            print_head(arena, hub_json_get(line, "message"));
        if (hub_json_get(line, "event") != NULL) {
            (void)printf("event\n");
            print_event(arena, hub_json_get(line, "event"));
        }
        if (hub_json_get(line, "deadletter") != NULL)
            (void)printf("refused: `chartline deadletter show` with the same id tells more\n");
    }
    print_history(arena, lines);
}

static enum hub_result show(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_cli_reader *reader = NULL;
    struct hub_buf request;
    struct hub_json *lines;
    enum hub_result result;
    HUB_TRY_OUT(hub_cli_reader_new(client, &reader, err));
    hub_cli_request_begin(&request, "message.show");
    hub_cli_request_text(&request, "id", shown_id);
    hub_cli_request_text(&request, "purpose", hub_cli.purpose);
    HUB_TRY_OUT(hub_cli_collect(client, &request, arena, &lines, err));
    for (struct hub_json *line = lines->first; line != NULL; line = line->next)
        if (hub_json_get(line, "event") != NULL)
            HUB_TRY_OUT(open_one(reader, arena, hub_json_get(line, "event"), err));
    if (hub_cli.json)
        HUB_TRY_OUT(print_all_json(arena, lines, err));
    else
        print_all_text(arena, lines);
out:
    hub_cli_reader_free(reader);
    return result;
}

int hub_cli_message_show(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("message show: name one message id");
    shown_id = operands[0];
    return hub_cli_with_hub(show);
}
