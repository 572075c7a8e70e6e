/* `message find|show`: did it arrive, what was answered, what did it become. */
#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/reader.h"
#include "src/cli/summary.h"
#include "src/cli/table.h"

static struct {
    const char *control_id, *patient, *feed, *since;
} opt;

const struct hub_cli_option hub_cli_message_find_options[] = {
    {"control-id", 0, HUB_CLI_TEXT, &opt.control_id, "ID", "with this MSH-10"},
    {"patient", 0, HUB_CLI_TEXT, &opt.patient, "PATIENT",
     "about this patient (token, chart id or SYSTEM|VALUE)"},
    {"feed", 0, HUB_CLI_TEXT, &opt.feed, "NAME", "that came over this feed"},
    {"since", 0, HUB_CLI_TEXT, &opt.since, "TIME", "recorded since (RFC 3339)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

static enum hub_result find(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {
        .member = "message",
        .titles = {"recorded", "id", "feed", "trigger", "answer", "duplicates", "events"},
        .members = {"recorded", "id", "feed", "trigger", "answer", "duplicates", "events"}};
    struct hub_buf request;
    hub_cli_request_begin(&request, "message.find");
    if (opt.control_id != NULL)
        hub_cli_request_text(&request, "control_id", opt.control_id);
    if (opt.patient != NULL)
        hub_cli_request_text(&request, "patient", opt.patient);
    if (opt.feed != NULL)
        hub_cli_request_text(&request, "feed", opt.feed);
    if (opt.since != NULL)
        hub_cli_request_text(&request, "since", opt.since);
    return hub_cli_list_print(client, arena, &request, &list, NULL, err);
}

int hub_cli_message_find(int count, char **operands)
{
    (void)operands;
    if (count != 0)
        return hub_cli_usage("message find: takes options only");
    if (opt.control_id == NULL && opt.patient == NULL && opt.feed == NULL && opt.since == NULL)
        return hub_cli_usage(
            "message find: say what to look for: --control-id, --patient, --feed or --since");
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
                    secret = hub_cli_seal_secret(hub_json_get_span(event, "seal"));
    size_t masked = 0;
    HUB_TRY(hub_cli_reader_secrets(reader, &subject, subject.len > 0 ? 1 : 0, &secret, secret.len > 0 ? 1 : 0,
                                   err));
    return hub_protect_open_event(arena, event, hub_cli_reader_opener(reader), &masked, err);
}

static void print_event(struct hub_arena *arena, const struct hub_json *event)
{
    static const char *const titles[] = {"resource", "id", "what", NULL};
    static const char *const members[] = {"id",         "type",         "source",  "subject", "time",
                                          "timesource", "recordedtime", "trigger", "policy"};
    struct hub_cli_table table;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        (void)printf("  %-13s", members[i]);
        hub_cli_print_text(hub_cli_list_cell(arena, event, members[i]), stdout);
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
    static const char *const members[] = {"id", "feed", "recorded", "trigger", "answer", "duplicates"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        (void)printf("%-11s ", members[i]);
        hub_cli_print_text(hub_cli_list_cell(arena, message, members[i]), stdout);
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

/* One object: {"message":..,"events":[..],"deadletter":..}. */
static enum hub_result print_all_json(struct hub_arena *arena, const struct hub_json *lines,
                                      struct hub_error *err)
{
    struct hub_json *all = hub_json_new(arena, HUB_JSON_OBJECT),
                    *events = hub_json_new(arena, HUB_JSON_ARRAY);
    HUB_ENSURE(all != NULL && events != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    for (struct hub_json *line = lines->first; line != NULL; line = line->next) {
        struct hub_json *message = hub_json_remove(line, "message"), *event = hub_json_remove(line, "event"),
                        *letter = hub_json_remove(line, "deadletter");
        if (message != NULL)
            HUB_TRY(hub_json_set_c(all, "message", message));
        if (event != NULL)
            HUB_TRY(hub_json_push(events, event));
        if (letter != NULL)
            HUB_TRY(hub_json_set_c(all, "deadletter", letter));
    }
    HUB_TRY(hub_json_set_c(all, "events", events));
    hub_cli_print_json(all);
    return HUB_OK;
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
