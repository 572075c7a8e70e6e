/* `status`: counts of the data directory and the state of the feeds; with --watch again and again. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/list.h"
#include "src/cli/table.h"

enum { WATCH_MS = 1000, ARENA_BYTES_MAX = 16 * 1024 * 1024 };

static bool watch;

const struct hub_cli_option hub_cli_status_options[] = {
    {"watch", 0, HUB_CLI_FLAG, &watch, NULL,
     "every second: redrawn on a terminal, else a line for each change"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_JSON,
    HUB_CLI_OPTION_END};

/* Counts of a feed that somebody should look at, those that are not 0. */
static struct hub_span noticed(struct hub_arena *arena, const struct hub_json *feed)
{
    static const char *const names[] = {"failed",         "logins_refused", "frames_refused",
                                        "batches_faulty", "noise_bytes",    "sequence_gaps", "zone_overruled"};
    const char *text = "";
    for (size_t i = 0; i < sizeof names / sizeof *names && text != NULL; i++) {
        struct hub_span count = hub_json_span(hub_json_get(feed, names[i]));
        if (count.len != 0 && !hub_span_is(count, "0"))
            text = hub_arena_printf(arena, "%s%s%s=%.*s", text, text[0] != '\0' ? " " : "", names[i], (int)count.len,
                                    (const char *)count.ptr);
    }
    return hub_span_str(text != NULL ? text : "");
}

static void print_feeds(struct hub_arena *arena, const struct hub_json *feeds)
{
    static const char *const titles[] = {"feed", "state", "connections", "noticed", NULL};
    struct hub_cli_table table;
    hub_cli_table_init(&table, titles);
    for (const struct hub_json *feed = feeds->first; feed != NULL; feed = feed->next)
        hub_cli_table_add(&table, (struct hub_span[]){hub_json_get_span(feed, "name"),
                                                      hub_cli_list_cell(arena, feed, "state"),
                                                      hub_cli_list_cell(arena, feed, "connections"),
                                                      noticed(arena, feed)});
    hub_cli_table_finish(&table, stdout);
}

/* A line for each member; those of objects (bus) with its name in front. */
static void print_lines(struct hub_arena *arena, const struct hub_json *object, const char *prefix)
{
    for (const struct hub_json *member = object->first; member != NULL; member = member->next) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s%.*s", prefix, (int)member->key_len, member->key);
        if (strcmp(name, "feeds") == 0)
            continue;
        if (member->type == HUB_JSON_OBJECT) {
            char inner[72];
            (void)snprintf(inner, sizeof inner, "%s.", name);
            print_lines(arena, member, inner);
            continue;
        }
        (void)printf("%-20s ", name);
        hub_cli_print_text(hub_cli_list_text(arena, member), stdout);
        (void)fputc('\n', stdout);
    }
}

static void print_text(struct hub_arena *arena, const struct hub_json *status)
{
    print_lines(arena, status, "");
    if (hub_json_get(status, "feeds") != NULL)
        print_feeds(arena, hub_json_get(status, "feeds"));
}

static enum hub_result fetch(struct hub_client *client, struct hub_arena *arena,
                             const struct hub_json **status, struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    hub_cli_request_begin(&request, "status");
    HUB_TRY(hub_cli_collect(client, &request, arena, &lines, err));
    *status = hub_json_get(hub_json_at(lines, 0), "status");
    HUB_ENSURE(*status != NULL, hub_fail(err, HUB_INTERNAL, "the hub gave no status", NULL));
    return HUB_OK;
}

static enum hub_result ask_status(struct hub_client *client, struct hub_arena *arena, struct hub_error *err)
{
    const struct hub_json *status = NULL;
    HUB_TRY(fetch(client, arena, &status, err));
    if (hub_cli.json)
        hub_cli_print_json(status);
    else
        print_text(arena, status);
    return HUB_OK;
}

/* --- watching --- */

static bool same(struct hub_span a, struct hub_span b)
{
    return hub_span_equal(a, b);
}

/* " PREFIX.KEY=TEXT" of every member that is not as in BEFORE. Returns how many. */
static size_t print_members(struct hub_arena *arena, const struct hub_json *now,
                            const struct hub_json *before, struct hub_span prefix)
{
    size_t count = 0;
    for (const struct hub_json *member = now->first; member != NULL; member = member->next) {
        struct hub_span text = hub_cli_list_text(arena, member);
        const struct hub_json *was = hub_json_get_n(before, member->key, member->key_len);
        if (member->type == HUB_JSON_OBJECT) {
            count += print_members(arena, member, was, hub_span_of(member->key, member->key_len));
            continue;
        }
        if (member->type == HUB_JSON_ARRAY || (was != NULL && same(text, hub_cli_list_text(arena, was))))
            continue;
        (void)fputs(count++ == 0 && prefix.len == 0 ? "" : " ", stdout);
        hub_cli_print_text(prefix, stdout);
        (void)printf("%s%.*s=", prefix.len != 0 ? "." : "", (int)member->key_len, member->key);
        hub_cli_print_text(text, stdout);
    }
    return count;
}

static const struct hub_json *feed_of(const struct hub_json *status, struct hub_span id)
{
    const struct hub_json *feeds = hub_json_get(status, "feeds");
    for (const struct hub_json *feed = feeds != NULL ? feeds->first : NULL; feed != NULL; feed = feed->next)
        if (same(hub_json_get_span(feed, "id"), id))
            return feed;
    return NULL;
}

static void print_changes(struct hub_arena *arena, const struct hub_json *now, const struct hub_json *before)
{
    size_t count = print_members(arena, now, before, HUB_SPAN_NONE);
    const struct hub_json *feeds = hub_json_get(now, "feeds");
    for (const struct hub_json *feed = feeds != NULL ? feeds->first : NULL; feed != NULL; feed = feed->next)
        count += print_members(arena, feed, feed_of(before, hub_json_get_span(feed, "id")),
                               hub_json_get_span(feed, "name"));
    if (count != 0)
        (void)fputc('\n', stdout);
}

static bool changed(const struct hub_json *now, const struct hub_json *before)
{
    struct hub_buf a, b;
    hub_buf_init(&a, SIZE_MAX / 4, false);
    hub_buf_init(&b, SIZE_MAX / 4, false);
    hub_json_write(&a, now);
    if (before != NULL)
        hub_json_write(&b, before);
    bool same_text = before != NULL && hub_span_equal(hub_buf_view(&a), hub_buf_view(&b));
    hub_buf_deinit(&a);
    hub_buf_deinit(&b);
    return !same_text;
}

static void show(struct hub_arena *arena, const struct hub_json *now, const struct hub_json *before)
{
    if (hub_cli.json) {
        hub_cli_print_line(now);
    } else if (isatty(STDOUT_FILENO)) {
        (void)fputs("\033[H\033[J", stdout);
        print_text(arena, now);
    } else {
        print_changes(arena, now, before);
    }
}

/* Sleeps; false when nobody reads what is printed any more. */
static bool wait_a_turn(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = 0};
    return poll(&out, 1, WATCH_MS) == 0 && ferror(stdout) == 0;
}

/* Two arenas by turns: what was and what is. */
static enum hub_result watch_status(struct hub_client *client, struct hub_arena *unused,
                                    struct hub_error *err)
{
    struct hub_arena arenas[2];
    const struct hub_json *before = NULL;
    enum hub_result result = HUB_OK;
    (void)unused;
    hub_arena_init(&arenas[0], ARENA_BYTES_MAX);
    hub_arena_init(&arenas[1], ARENA_BYTES_MAX);
    for (unsigned turn = 0; result == HUB_OK; turn++) {
        struct hub_arena *arena = &arenas[turn % 2];
        const struct hub_json *now = NULL;
        hub_arena_reset(arena);
        result = fetch(client, arena, &now, err);
        if (result == HUB_OK && hub_span_is(hub_json_get_span(now, "state"), "offline"))
            result = hub_fail(err, HUB_NOT_FOUND, "no hub runs here", "start it with `chartline run`");
        if (result == HUB_OK && changed(now, before))
            show(arena, now, before);
        if (result == HUB_OK && (fflush(stdout) != 0 || !wait_a_turn()))
            break;
        before = now;
    }
    hub_arena_deinit(&arenas[0]);
    hub_arena_deinit(&arenas[1]);
    return result;
}

int hub_cli_status(int count, char **operands)
{
    (void)operands;
    if (count != 0)
        return hub_cli_usage("status: takes no operands");
    return hub_cli_with_hub(watch ? watch_status : ask_status);
}
