/* `audit verify|show|checkpoint`. Verification needs the files only, not the hub. */
#include "src/audit/audit.h"

#include <string.h>
#include <unistd.h>

#include "src/cli/ask.h"
#include "src/cli/commands.h"
#include "src/cli/table.h"

enum { PATH_CAP = 4096, VKEY_BYTES_MAX = 4096, SHOW_DEFAULT = 100 };

static struct {
    const char *vkey, *since, *dir;
    bool events;
} verify_opt;

const struct hub_cli_option hub_cli_audit_verify_options[] = {
    {"vkey", 0, HUB_CLI_TEXT, &verify_opt.vkey, "FILE|TEXT", "the log's verifier key, remembered elsewhere"},
    {"since", 0, HUB_CLI_TEXT, &verify_opt.since, "FILE",
     "a checkpoint remembered elsewhere: the log must be a continuation of it"},
    {"events", 0, HUB_CLI_FLAG, &verify_opt.events, NULL, "compare every stored event with its entry too"},
    {"dir", 0, HUB_CLI_TEXT, &verify_opt.dir, "DIR", "data directory (default: that of the configuration)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

/* --- verify --- */

static void print_line(const char *word, const char *text, const uint64_t *index)
{
    if (index != NULL)
        (void)printf("%s entry %llu: %s\n", word, (unsigned long long)*index, text);
    else
        (void)printf("%s %s\n", word, text);
}

static void print_report_text(const struct hub_audit_report *report)
{
    for (size_t i = 0; i < report->finding_count; i++)
        print_line("FAIL", report->findings[i].text, report->findings[i].has_index ? &report->findings[i].index : NULL);
    if (report->findings_dropped != 0)
        (void)printf("FAIL %llu more findings\n", (unsigned long long)report->findings_dropped);
    if (report->finding_count == 0) {
        (void)printf("PASS %llu entries, root %s", (unsigned long long)report->entries, report->root);
        if (verify_opt.events)
            (void)printf(", %llu events compared", (unsigned long long)report->events_compared);
        (void)printf("\n");
        if (report->retired[0] != '\0')
            (void)printf("retired %s: the %llu entries of those records stand, and nothing is left to compare them with\n",
                         report->retired, (unsigned long long)report->entries_retired);
    }
    for (size_t i = 0; i < report->note_count; i++)
        print_line("note", report->notes[i].text, report->notes[i].has_index ? &report->notes[i].index : NULL);
    if (report->self_consistent_only)
        (void)printf("self-consistent only: give the key (--vkey) and a checkpoint (--since) remembered "
                     "elsewhere to know more\n");
}

static void write_item(struct hub_buf *out, size_t at, const char *text, const uint64_t *index)
{
    hub_buf_append_str(out, at > 0 ? ",{" : "{");
    if (index != NULL)
        hub_buf_printf(out, "\"index\":%llu,", (unsigned long long)*index);
    hub_buf_append_str(out, "\"text\":");
    hub_json_write_string(out, hub_span_str(text));
    hub_buf_append_byte(out, '}');
}

static void print_report_json(const struct hub_audit_report *report)
{
    struct hub_buf out;
    hub_buf_init(&out, 1 << 20, false);
    hub_buf_printf(&out, "{\"entries\":%llu,\"entries_retired\":%llu,\"events_compared\":%llu,\"findings\":[",
                   (unsigned long long)report->entries, (unsigned long long)report->entries_retired,
                   (unsigned long long)report->events_compared);
    for (size_t i = 0; i < report->finding_count; i++)
        write_item(&out, i, report->findings[i].text, report->findings[i].has_index ? &report->findings[i].index : NULL);
    hub_buf_printf(&out, "],\"findings_dropped\":%llu,\"notes\":[", (unsigned long long)report->findings_dropped);
    for (size_t i = 0; i < report->note_count; i++)
        write_item(&out, i, report->notes[i].text, report->notes[i].has_index ? &report->notes[i].index : NULL);
    hub_buf_printf(&out, "],\"result\":\"%s\",\"retired\":\"%s\",\"root\":\"%s\",\"self_consistent_only\":%s}",
                   report->finding_count == 0 ? "PASS" : "FAIL", report->retired, report->root,
                   report->self_consistent_only ? "true" : "false");
    (void)puts(hub_buf_str(&out));
    hub_buf_deinit(&out);
}

/* --vkey is a file where there is one of that name, else the key's text. */
static enum hub_result vkey_text(struct hub_buf *buf, const char **out, struct hub_error *err)
{
    *out = verify_opt.vkey;
    if (verify_opt.vkey == NULL || access(verify_opt.vkey, F_OK) != 0) {
        hub_buf_init(buf, VKEY_BYTES_MAX, false);
        return HUB_OK;
    }
    HUB_TRY(hub_cli_read_file(verify_opt.vkey, VKEY_BYTES_MAX, buf, err));
    while (buf->len > 0 && (buf->ptr[buf->len - 1] == '\n' || buf->ptr[buf->len - 1] == '\r' ||
                            buf->ptr[buf->len - 1] == ' '))
        buf->len--;
    *out = hub_buf_str(buf);
    return HUB_OK;
}

static int verify_dir(const char *data_dir)
{
    static struct hub_audit_report report; /* too large for the stack's taste */
    char folder[PATH_CAP], events[PATH_CAP];
    struct hub_audit_verify_options options = {.folder = folder, .since_path = verify_opt.since};
    struct hub_error err = {0};
    struct hub_buf key;
    (void)snprintf(folder, sizeof folder, "%s/audit", data_dir);
    (void)snprintf(events, sizeof events, "%s/log", data_dir);
    options.events_log = verify_opt.events ? events : NULL;
    enum hub_result result = vkey_text(&key, &options.vkey, &err);
    if (result == HUB_OK)
        result = hub_audit_verify(&options, &report, &err);
    hub_buf_deinit(&key);
    if (result != HUB_OK)
        return hub_cli_fail(&err);
    if (hub_cli.json)
        print_report_json(&report);
    else
        print_report_text(&report);
    return report.finding_count == 0 ? HUB_EXIT_OK : HUB_EXIT_WRONG;
}

int hub_cli_audit_verify(int count, char **operands)
{
    (void)operands;
    if (count != 0)
        return hub_cli_usage("audit verify: takes no operands");
    if (verify_opt.dir != NULL)
        return verify_dir(verify_opt.dir);
    struct hub_config *config = hub_cli_config();
    int code = config != NULL ? verify_dir(config->data_dir) : HUB_EXIT_USAGE;
    hub_config_free(config);
    return code;
}

/* --- show --- */

static struct {
    uint64_t from, count;
} show_opt = {.from = UINT64_MAX, .count = SHOW_DEFAULT};

const struct hub_cli_option hub_cli_audit_show_options[] = {
    {"from", 0, HUB_CLI_NUMBER, &show_opt.from, "N", "first entry (default: so that the newest are shown)"},
    {"count", 0, HUB_CLI_NUMBER, &show_opt.count, "N", "how many (default 100)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

/* Members beside time and kind as name=value. */
static void describe(const struct hub_json *entry, struct hub_buf *out)
{
    for (const struct hub_json *member = entry != NULL ? entry->first : NULL; member != NULL;
         member = member->next) {
        struct hub_span key = hub_span_of(member->key, member->key_len);
        if (hub_span_is(key, "time") || hub_span_is(key, "kind"))
            continue;
        if (out->len > 0)
            hub_buf_append_byte(out, ' ');
        hub_buf_append_span(out, key);
        hub_buf_append_byte(out, '=');
        if (member->type == HUB_JSON_STRING)
            hub_buf_append_span(out, hub_json_span(member));
        else
            hub_json_write(out, member);
    }
}

struct showing {
    struct hub_cli_table table;
    bool first;
};

static bool show_entry(void *ctx, struct hub_json *line)
{
    struct showing *s = ctx;
    const struct hub_json *item = hub_json_get(line, "entry");
    const struct hub_json *entry = hub_json_get(item, "entry");
    if (item == NULL)
        return true;
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    if (hub_cli.json) {
        hub_json_write(&text, item);
        (void)printf("%s\n%s", s->first ? "" : ",", hub_buf_str(&text));
        s->first = false;
    } else {
        describe(entry, &text);
        hub_cli_table_add(&s->table,
                          (struct hub_span[]){hub_json_span(hub_json_get(item, "index")),
                                              hub_json_get_span(entry, "time"),
                                              hub_json_get_span(entry, "kind"), hub_buf_view(&text)});
    }
    hub_buf_deinit(&text);
    return true;
}

/* Where to begin so that the newest COUNT entries are shown. */
static enum hub_result newest_from(struct hub_client *client, struct hub_arena *arena, uint64_t count,
                                   uint64_t *from, struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    uint64_t entries = 0;
    hub_cli_request_begin(&request, "status");
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    const struct hub_json *status = hub_json_get(hub_json_at(lines, 0), "status");
    (void)hub_span_parse_u64(hub_json_span(hub_json_get(status, "audit_entries")), &entries);
    *from = entries > count ? entries - count : 0;
    return HUB_OK;
}

static enum hub_result show_entries(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const char *const titles[] = {"entry", "time", "kind", "what", NULL};
    struct showing showing = {.first = true};
    struct hub_buf request;
    uint64_t from = show_opt.from, count = show_opt.count;
    if (from == UINT64_MAX) {
        HUB_TRY(newest_from(client, arena, count, &from, err));
        count += count < UINT32_MAX ? 1000 : 0; /* what was not signed yet a moment ago */
    }
    hub_cli_request_begin(&request, "audit.show");
    hub_cli_request_number(&request, "from", from);
    hub_cli_request_number(&request, "count", count);
    hub_cli_table_init(&showing.table, titles);
    if (hub_cli.json)
        (void)printf("[");
    enum hub_result result = hub_cli_ask(client, &request, arena, true, show_entry, &showing, err);
    if (hub_cli.json)
        (void)printf("%s]\n", showing.first ? "" : "\n");
    hub_cli_table_finish(&showing.table, stdout);
    return result;
}

static enum hub_result print_checkpoint(struct hub_client *client, struct hub_arena *arena,
                                        struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    hub_cli_request_begin(&request, "audit.checkpoint");
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    struct hub_span note = hub_json_get_span(hub_json_at(lines, 0), "checkpoint");
    HUB_ENSURE(note.len > 0, hub_fail(err, HUB_NOT_FOUND, "there is no checkpoint yet", NULL));
    if (hub_cli.json)
        hub_cli_print_line(hub_json_at(lines, 0));
    else
        (void)fwrite(note.ptr, 1, note.len, stdout);
    return HUB_OK;
}

const struct hub_cli_option hub_cli_audit_checkpoint_options[] = {HUB_CLI_OPTION_CONFIG, HUB_CLI_OPTION_JSON,
                                                                  HUB_CLI_OPTION_END};

int hub_cli_audit_show(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(show_entries) : hub_cli_usage("audit show: takes no operands");
}

int hub_cli_audit_checkpoint(int count, char **operands)
{
    (void)operands;
    return count == 0 ? hub_cli_with_hub(print_checkpoint)
                      : hub_cli_usage("audit checkpoint: takes no operands");
}
