/* `feed test`: golden tests of a feed's mapping. A folder of messages (*.hl7, ...), beside each the result that is
 * expected (*.json); --update accepts what comes out now. No hub, no keys. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/disk.h"
#include "src/cli/commands.h"
#include "src/cli/messages.h"
#include "src/pipeline/remap_diff.h"
#include "src/protect/protect.h"

enum { ARENA_BYTES_MAX = 1 << 30, FILE_BYTES_MAX = 1 << 28, PATH_CAP = 4096 };

static bool update;

const struct hub_cli_option hub_cli_feed_test_options[] = {
    {"update", 0, HUB_CLI_FLAG, &update, NULL, "accept what comes out now as what is expected"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END,
};

struct tester {
    const struct hub_feed *feed;
    const struct hub_format *format;
    void *context;
    struct hub_arena arena; /* of one file */
    struct hub_arena keep;  /* of the report */
    struct hub_json *failures;
    const char *file; /* of messages, at hand */
    size_t number;    /* of the message at hand, from 1 */
    size_t files, messages, failed, updated;
    bool differs; /* the message at hand */
};

/* --- what comes out --- */

static enum hub_result set_text(struct hub_arena *arena, struct hub_json *object, const char *name, const char *text)
{
    struct hub_span copy = hub_arena_copy(arena, hub_span_str(text != NULL ? text : ""));
    HUB_ENSURE(copy.ptr != NULL, HUB_NO_MEMORY);
    return hub_json_set_string(arena, object, name, copy);
}

static enum hub_result add_bundles(struct tester *t, struct hub_span message, struct hub_json *out, struct hub_error *err)
{
    struct hub_decoded decoded;
    struct hub_json *bundles = hub_json_new(&t->arena, HUB_JSON_ARRAY);
    const struct hub_origin origin = {
        .feed_id = hub_span_str(t->feed->id), .feed_name = hub_span_str(t->feed->name), .message = message};
    HUB_ENSURE(bundles != NULL, HUB_NO_MEMORY);
    memset(&decoded, 0, sizeof decoded);
    HUB_TRY(t->format->decode(t->context, &t->arena, message, &decoded, err));
    for (uint32_t i = 0; i < decoded.event_count; i++) {
        struct hub_json *bundle = NULL;
        HUB_TRY(hub_protect_plain_bundle(&t->arena, &decoded.events[i], &origin, i, false, &bundle, err));
        HUB_TRY(hub_json_push(bundles, bundle));
    }
    return hub_json_set_c(out, "bundles", bundles);
}

static enum hub_result result_of(struct tester *t, struct hub_span message, struct hub_json *list)
{
    struct hub_error err = {0};
    struct hub_json *out = hub_json_new(&t->arena, HUB_JSON_OBJECT), *error = hub_json_new(&t->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(out != NULL && error != NULL, HUB_NO_MEMORY);
    enum hub_result result = add_bundles(t, message, out, &err);
    HUB_ENSURE(result != HUB_NO_MEMORY, result);
    HUB_TRY(set_text(&t->arena, out, "status", result == HUB_OK ? "ok" : "error"));
    if (result != HUB_OK) {
        HUB_TRY(set_text(&t->arena, error, "at", err.place));
        HUB_TRY(set_text(&t->arena, error, "code", hub_result_row(result)->metric));
        HUB_TRY(set_text(&t->arena, error, "text",
                         err.what != NULL && err.what[0] != '\0' ? err.what : hub_result_text(result)));
        HUB_TRY(hub_json_set_c(out, "error", error));
    }
    return hub_json_push(list, out);
}

/* --- what differs --- */

static void print_value(const struct hub_json *value)
{
    struct hub_buf text;
    if (value == NULL) {
        (void)fputs("nothing", stdout);
        return;
    }
    hub_buf_init(&text, 1 << 20, false);
    hub_json_write(&text, value);
    hub_cli_print_text(hub_buf_result(&text) == HUB_OK ? hub_buf_view(&text) : HUB_SPAN("(long)"), stdout);
    hub_buf_deinit(&text);
}

static enum hub_result keep_value(struct tester *t, struct hub_json *object, const char *name, const struct hub_json *value)
{
    struct hub_buf text;
    struct hub_json *copy = NULL;
    if (value == NULL)
        return HUB_OK;
    hub_buf_init(&text, FILE_BYTES_MAX, false);
    hub_json_write(&text, value);
    enum hub_result result = hub_buf_result(&text);
    if (result == HUB_OK)
        result = hub_json_parse(&t->keep, hub_buf_view(&text), &copy, NULL);
    if (result == HUB_OK)
        result = hub_json_set_c(object, name, copy);
    hub_buf_deinit(&text);
    return result;
}

static enum hub_result keep_failure(struct tester *t, struct hub_span path, const struct hub_json *expected,
                                    const struct hub_json *actual)
{
    struct hub_json *one = hub_json_new(&t->keep, HUB_JSON_OBJECT);
    HUB_ENSURE(one != NULL, HUB_NO_MEMORY);
    HUB_TRY(set_text(&t->keep, one, "file", t->file));
    HUB_TRY(hub_json_set_c(one, "message", hub_json_number_i64(&t->keep, (int64_t)t->number)));
    HUB_TRY(hub_json_set_string(&t->keep, one, "path", hub_arena_copy(&t->keep, path)));
    HUB_TRY(keep_value(t, one, "expected", expected));
    HUB_TRY(keep_value(t, one, "actual", actual));
    return hub_json_push(t->failures, one);
}

/* Values are shown: a test's messages are its writer's. */
static void on_difference(void *ctx, struct hub_span path, const struct hub_json *expected, const struct hub_json *actual)
{
    struct tester *t = ctx;
    t->differs = true;
    if (hub_cli.json) {
        if (keep_failure(t, path, expected, actual) != HUB_OK)
            (void)fprintf(stderr, "chartline: not all differences fit into memory\n");
        return;
    }
    (void)printf("%s: message %zu: ", t->file, t->number);
    hub_cli_print_text(path, stdout);
    (void)fputs(": expected ", stdout);
    print_value(expected);
    (void)fputs(", got ", stdout);
    print_value(actual);
    (void)fputc('\n', stdout);
}

/* Bundles as the comparison takes them. */
static enum hub_result events_of(struct tester *t, struct hub_json *result, struct hub_json ***events, size_t *count)
{
    struct hub_json *bundles = hub_json_get(result, "bundles");
    *count = 0;
    *events = HUB_ARENA_ARRAY(&t->arena, struct hub_json *, (bundles != NULL ? bundles->len : 0) + (size_t)1);
    HUB_ENSURE(*events != NULL, HUB_NO_MEMORY);
    for (struct hub_json *bundle = bundles != NULL ? bundles->first : NULL; bundle != NULL; bundle = bundle->next) {
        struct hub_json *event = hub_json_new(&t->arena, HUB_JSON_OBJECT), *list = hub_json_new(&t->arena, HUB_JSON_ARRAY);
        const struct hub_json *entries = hub_json_get(bundle, "entry");
        HUB_ENSURE(event != NULL && list != NULL, HUB_NO_MEMORY);
        for (struct hub_json *entry = entries != NULL ? entries->first : NULL; entry != NULL; entry = entry->next) {
            struct hub_json *resource = hub_json_remove(entry, "resource");
            if (resource != NULL)
                HUB_TRY(hub_json_push(list, resource));
        }
        HUB_TRY(hub_json_set_c(event, "attributes", hub_json_new(&t->arena, HUB_JSON_OBJECT)));
        HUB_TRY(hub_json_set_c(event, "resources", list));
        (*events)[(*count)++] = event;
    }
    return HUB_OK;
}

static enum hub_result compare_one(struct tester *t, struct hub_json *expected, struct hub_json *actual)
{
    struct hub_json **before, **after;
    size_t before_count = 0, after_count = 0;
    t->differs = false;
    if (expected != NULL && hub_json_equal(expected, actual))
        return HUB_OK;
    const struct hub_json *was = hub_json_get(expected, "status"), *is = hub_json_get(actual, "status");
    if (was == NULL || !hub_json_equal(was, is))
        on_difference(t, HUB_SPAN("status"), was, is);
    was = hub_json_get(expected, "error");
    is = hub_json_get(actual, "error");
    if ((was == NULL) != (is == NULL) || (was != NULL && !hub_json_equal(was, is)))
        on_difference(t, HUB_SPAN("error"), was, is);
    HUB_TRY(events_of(t, expected, &before, &before_count));
    HUB_TRY(events_of(t, actual, &after, &after_count));
    struct hub_diff *diff = hub_diff_new();
    HUB_ENSURE(diff != NULL, HUB_NO_MEMORY);
    enum hub_result result = hub_diff_add(diff, &t->arena, before, before_count, after, after_count, on_difference, t);
    hub_diff_free(diff);
    if (!t->differs) /* the same resources by other ids */
        on_difference(t, HUB_SPAN("ids"), NULL, NULL);
    t->failed++;
    return result;
}

static enum hub_result compare(struct tester *t, struct hub_json *expected, struct hub_json *actual)
{
    struct hub_json *one = expected != NULL && expected->type == HUB_JSON_ARRAY ? expected->first : NULL;
    t->number = 0;
    for (struct hub_json *is = actual->first; is != NULL;) {
        struct hub_json *next = is->next, *after = one != NULL ? one->next : NULL;
        t->number++;
        HUB_TRY(compare_one(t, one, is));
        is = next;
        one = after;
    }
    for (; one != NULL; one = one->next) {
        t->number++;
        t->failed++;
        on_difference(t, HUB_SPAN("message"), hub_json_get(one, "status"), NULL);
    }
    return HUB_OK;
}

/* --- files --- */

static enum hub_result accept(struct tester *t, const char *path, const struct hub_json *actual, bool same, struct hub_error *err)
{
    struct hub_buf text;
    if (same)
        return HUB_OK;
    hub_buf_init(&text, FILE_BYTES_MAX, false);
    hub_json_write_pretty(&text, actual);
    hub_buf_append_byte(&text, '\n');
    enum hub_result result = hub_buf_result(&text);
    if (result == HUB_OK)
        result = hub_disk_replace(hub_disk_system(), path, hub_buf_view(&text), err);
    hub_buf_deinit(&text);
    t->updated++;
    if (result == HUB_OK && !hub_cli.json)
        (void)printf("%s: accepted\n", path);
    return result;
}

static enum hub_result map_file(struct tester *t, struct hub_span bytes, struct hub_json *actual)
{
    struct hub_cli_messages messages;
    struct hub_span message;
    hub_cli_messages_begin(&messages, bytes, false);
    while (hub_cli_messages_next(&messages, &message)) {
        t->messages++;
        HUB_TRY(result_of(t, message, actual));
    }
    return HUB_OK;
}

static enum hub_result read_expected(struct tester *t, const char *path, struct hub_json **out, struct hub_error *err)
{
    struct hub_buf text;
    *out = NULL;
    enum hub_result result = hub_cli_read_file(path, FILE_BYTES_MAX, &text, err);
    if (result == HUB_OK)
        result = hub_json_parse(&t->arena, hub_buf_view(&text), out, err);
    hub_buf_deinit(&text);
    if (result == HUB_SYNTAX)
        (void)hub_error_in(err, path, 0);
    return result;
}

static enum hub_result test_file(struct tester *t, const char *path, const char *expected_path, struct hub_error *err)
{
    struct hub_buf bytes;
    struct hub_json *expected = NULL;
    struct hub_error missing = {0};
    hub_arena_reset(&t->arena);
    t->file = path;
    t->files++;
    struct hub_json *actual = hub_json_new(&t->arena, HUB_JSON_ARRAY);
    enum hub_result result = hub_cli_read_file(path, FILE_BYTES_MAX, &bytes, err);
    if (result == HUB_OK)
        result = actual != NULL ? map_file(t, hub_buf_view(&bytes), actual) : HUB_NO_MEMORY;
    enum hub_result read = result == HUB_OK ? read_expected(t, expected_path, &expected, &missing) : HUB_OK;
    if (result == HUB_OK && update)
        result = accept(t, expected_path, actual, expected != NULL && hub_json_equal(expected, actual), err);
    else if (result == HUB_OK && read != HUB_OK && read != HUB_NOT_FOUND && read != HUB_IO)
        result = hub_fail(err, read, "the expected result cannot be read", "mend it, or accept what comes out with --update"),
        (void)hub_error_in(err, expected_path, 0);
    else if (result == HUB_OK && read != HUB_OK) {
        t->failed++;
        if (!hub_cli.json)
            (void)printf("%s: no expected result; look at it with `map`, accept it with --update\n", path);
        else
            result = keep_failure(t, HUB_SPAN("file"), NULL, NULL);
    } else if (result == HUB_OK)
        result = compare(t, expected, actual);
    hub_buf_deinit(&bytes);
    return result;
}

static int is_message(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".json") != 0;
}

static enum hub_result test_folder(struct tester *t, const char *folder, struct hub_error *err)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_message, alphasort);
    enum hub_result result = HUB_OK;
    if (count < 0) {
        (void)hub_fail_errno(err, HUB_USAGE, "the folder of tests cannot be read", errno);
        return hub_error_in(err, folder, 0);
    }
    for (int i = 0; i < count; i++) {
        char path[PATH_CAP], expected[PATH_CAP];
        const char *dot = strrchr(names[i]->d_name, '.');
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        (void)snprintf(expected, sizeof expected, "%s/%.*s.json", folder, (int)(dot - names[i]->d_name), names[i]->d_name);
        if (result == HUB_OK)
            result = test_file(t, path, expected, err);
        free(names[i]); /* libc's memory */
    }
    free((void *)names); /* libc's memory */
    if (result == HUB_OK && t->files == 0) {
        (void)hub_fail(err, HUB_USAGE, "the folder has no messages", "put files such as admission.hl7 there");
        return hub_error_in(err, folder, 0);
    }
    return result;
}

/* --- the command --- */

static enum hub_result report(struct tester *t)
{
    struct hub_json *out = hub_json_new(&t->keep, HUB_JSON_OBJECT);
    const struct {
        const char *name;
        size_t value;
    } numbers[] = {{"files", t->files}, {"messages", t->messages}, {"failed", t->failed}, {"updated", t->updated}};
    if (!hub_cli.json) {
        (void)printf("%zu messages in %zu files: %zu as expected, %zu not\n", t->messages, t->files,
                     t->messages > t->failed ? t->messages - t->failed : 0, t->failed);
        return HUB_OK;
    }
    HUB_ENSURE(out != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        HUB_TRY(hub_json_set_c(out, numbers[i].name, hub_json_number_i64(&t->keep, (int64_t)numbers[i].value)));
    HUB_TRY(hub_json_set_c(out, "failures", t->failures));
    hub_cli_print_json(out);
    return HUB_OK;
}

static int test_feed(const struct hub_config *config, const struct hub_feed *feed, const char *folder)
{
    struct tester t = {.feed = feed, .format = hub_registry_format(hub_cli_registry(), feed->format)};
    struct hub_problems problems;
    struct hub_error err = {0};
    if (t.format == NULL)
        return hub_cli_usage("no such format: %s", feed->format);
    hub_problems_init(&problems);
    t.context = t.format->open(config, feed, &problems);
    int code = hub_cli_problems(&problems, false);
    hub_problems_deinit(&problems);
    if (t.context == NULL)
        return code != HUB_EXIT_OK ? code : HUB_EXIT_USAGE;
    hub_arena_init(&t.arena, ARENA_BYTES_MAX);
    hub_arena_init(&t.keep, ARENA_BYTES_MAX);
    t.failures = hub_json_new(&t.keep, HUB_JSON_ARRAY);
    enum hub_result result = t.failures != NULL ? test_folder(&t, folder, &err) : HUB_NO_MEMORY;
    if (result == HUB_OK)
        result = report(&t);
    if (result != HUB_OK && err.result == HUB_OK)
        (void)hub_fail(&err, result, NULL, NULL);
    code = result != HUB_OK ? hub_cli_fail(&err) : t.failed != 0 ? HUB_EXIT_WRONG : HUB_EXIT_OK;
    hub_arena_deinit(&t.arena);
    hub_arena_deinit(&t.keep);
    t.format->close(t.context);
    return code;
}

int hub_cli_feed_test(int count, char **operands)
{
    char folder[PATH_CAP];
    if (count < 1 || count > 2)
        return hub_cli_usage("feed test: name one feed, and the folder of its tests if it is not tests/NAME");
    struct hub_config *config = hub_cli_config();
    if (config == NULL)
        return HUB_EXIT_USAGE;
    const struct hub_feed *feed = hub_config_feed(config, operands[0]);
    if (count == 2)
        (void)snprintf(folder, sizeof folder, "%s", operands[1]);
    else
        (void)snprintf(folder, sizeof folder, "%s/tests/%s", config->folder, operands[0]);
    int code = feed != NULL ? test_feed(config, feed, folder) : hub_cli_usage("the configuration has no feed %s", operands[0]);
    hub_config_free(config);
    return code;
}
