/* `keys shred`: makes a patient's past unreadable. It lists all tokens of the chart and asks which: a chart may be joined
 * from identifiers that are not one person after all. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/table.h"

enum { TOKENS_MAX = 10000, ANSWER_MAX = 4096 };

static bool yes;
static const char *wanted;
static const char *patient;

const struct hub_cli_option hub_cli_keys_shred_options[] = {
    {"yes", 0, HUB_CLI_FLAG, &yes, NULL, "shred all tokens of the chart (or those of --token) without asking"},
    {"token", 0, HUB_CLI_TEXT, &wanted, "TOKEN,...", "only these tokens of the chart"},
    {"purpose", 0, HUB_CLI_TEXT, &hub_cli.purpose, "CODE", "purpose of use for the audit log (default TREAT)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END};

struct tokens {
    struct hub_span all[TOKENS_MAX]; /* of the chart */
    bool chosen[TOKENS_MAX];
    size_t count;
};

static enum hub_result ask_tokens(struct hub_client *client, struct hub_arena *arena, struct tokens *t, FILE *out,
                                  struct hub_error *err)
{
    static const char *const titles[] = {"no", "token", "entries", "secret", NULL};
    struct hub_buf request;
    struct hub_json *lines;
    struct hub_cli_table table;
    hub_cli_request_begin(&request, "keys.tokens");
    hub_cli_request_text(&request, "patient", patient);
    hub_cli_request_text(&request, "purpose", hub_cli.purpose);
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    hub_cli_table_init(&table, titles);
    for (const struct hub_json *line = lines->first; line != NULL; line = line->next) {
        const struct hub_json *token = hub_json_get(line, "token");
        char number[16];
        if (token == NULL || t->count == TOKENS_MAX)
            continue;
        t->all[t->count++] = hub_json_get_span(token, "token");
        (void)snprintf(number, sizeof number, "%zu", t->count);
        hub_cli_table_add(&table, (struct hub_span[]){hub_span_str(number), hub_json_get_span(token, "token"),
                                                      hub_cli_list_cell(arena, token, "entries"),
                                                      hub_json_get_span(token, "secret")});
    }
    hub_cli_table_finish(&table, out);
    return HUB_OK;
}

/* One word of an answer or of --token: a number of the list, or a token. */
static bool choose(struct tokens *t, struct hub_span word)
{
    uint64_t number = 0;
    if (word.len < 6 && hub_span_parse_u64(word, &number) && number >= 1 && number <= t->count) {
        t->chosen[number - 1] = true;
        return true;
    }
    for (size_t i = 0; i < t->count; i++) {
        if (hub_span_equal(t->all[i], word)) {
            t->chosen[i] = true;
            return true;
        }
    }
    return false;
}

static enum hub_result choose_words(struct tokens *t, const char *text, struct hub_error *err)
{
    static const char separators[] = ", \t\r\n";
    while (*(text += strspn(text, separators)) != '\0') {
        const size_t len = strcspn(text, separators);
        if (!choose(t, hub_span_of(text, len)))
            return hub_fail(err, HUB_USAGE, "a token that is not of this chart", "nothing was shredded");
        text += len;
    }
    return HUB_OK;
}

static void choose_all(struct tokens *t)
{
    for (size_t i = 0; i < t->count; i++)
        t->chosen[i] = true;
}

/* At a terminal. */
static enum hub_result ask_person(struct tokens *t, struct hub_error *err)
{
    char answer[ANSWER_MAX];
    (void)fprintf(stderr, "What was sealed for these tokens becomes unreadable for everybody, for good.\n"
                          "Which ones? Numbers with commas between, all, or none: ");
    if (fgets(answer, sizeof answer, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\r\n")] = '\0';
    if (strcmp(answer, "none") == 0)
        return HUB_OK;
    if (strcmp(answer, "all") == 0) {
        choose_all(t);
        return HUB_OK;
    }
    return choose_words(t, answer, err);
}

static enum hub_result decide(struct tokens *t, struct hub_error *err)
{
    if (wanted != NULL)
        return choose_words(t, wanted, err);
    if (yes) {
        choose_all(t);
        return HUB_OK;
    }
    if (isatty(STDIN_FILENO))
        return ask_person(t, err);
    return hub_fail(err, HUB_USAGE, "nobody is there to be asked which tokens to shred",
                    "name them with --token, or say --yes for all; nothing was shredded");
}

static enum hub_result shred(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    static const struct hub_cli_list list = {.member = "shredded",
                                             .titles = {"token", "outcome", "secret"},
                                             .members = {"token", "outcome", "id"}};
    struct tokens *t = HUB_ARENA_NEW(arena, struct tokens);
    struct hub_buf request;
    size_t count = 0;
    HUB_ENSURE(t != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    HUB_TRY(ask_tokens(client, arena, t, hub_cli.json || yes || wanted != NULL ? stderr : stdout, err));
    HUB_TRY(decide(t, err));
    struct hub_span *chosen = HUB_ARENA_ARRAY(arena, struct hub_span, t->count + 1);
    HUB_ENSURE(chosen != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    for (size_t i = 0; i < t->count; i++) {
        const struct hub_span copy = t->chosen[i] ? hub_arena_copy(arena, t->all[i]) : HUB_SPAN_NONE;
        if (copy.len != 0)
            chosen[count++] = copy;
    }
    if (count == 0) {
        (void)fprintf(stderr, "nothing was shredded\n");
        return HUB_OK;
    }
    hub_cli_request_begin(&request, "keys.shred");
    hub_cli_request_text(&request, "patient", patient);
    hub_cli_request_text(&request, "purpose", hub_cli.purpose);
    hub_cli_request_list(&request, "tokens", chosen, count);
    return hub_cli_list_print(client, arena, &request, &list, NULL, err);
}

int hub_cli_keys_shred(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("keys shred: name one patient: a chart id, a token or SYSTEM|VALUE");
    patient = operands[0];
    return hub_cli_with_hub(shred);
}
