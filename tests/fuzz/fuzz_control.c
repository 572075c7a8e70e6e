/* Requests to a hub with a few messages in it, one a line, in one session: whatever is asked, every line of an answer
 * is JSON, the last one and only that says that it is over, and the hub goes on. */
#include <stdlib.h>

#include "src/pipeline/control.h"
#include "tests/fault/fault_line.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 8, RUNS_MAX = 5000 }; /* then a new hub: every read is in its log for ever */

static struct line line;
static struct hub_config *config;
static struct hub *hub;
static unsigned runs;

static void check(bool good)
{
    if (!good)
        abort();
}

static void put_messages(void)
{
    for (unsigned i = 0; i < 4; i++)
        (void)snprintf(line.messages[i], LINE_MESSAGE_BYTES,
                       "MSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ADT^A01^ADT_A01|A%u|P|%s\rEVN|A01|20261120080000\r"
                       "PID|1||100%u^^^GENHOSP^MR||QUILL^Anna||19700101|F\rPV1|1|I|W1^101^1\r",
                       i, i == 3 ? "9.9" : "2.5.1", i % 2);
    line.count = 4;
}

/* FROM and TO stand in the hub's folder. */
static void copy(const char *from, const char *to)
{
    char command[1400];
    (void)snprintf(command, sizeof command, "rm -rf '%s/%s' && cp -r '%s/%s' '%s/%s'", line.folder, to, line.folder, from,
                   line.folder, to);
    check(system(command) == 0);
}

/* Messages go in through a hub in a child, so that nothing of it stays here; a copy is kept for later. */
static void make_data(void)
{
    static const struct line_fault nothing = {.where = LINE_NOTHING};
    static struct line_report report;
    int status = 0;
    line_new(&line, "");
    put_messages();
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0)
        _exit(line_child_main(&line, &nothing, &report));
    check(waitpid(pid, &status, 0) == pid && status == 0);
    copy("data", "data.kept");
    copy("keys", "keys.kept");
}

static void open_hub(void)
{
    struct hub_problems problems;
    struct hub_error err = {0};
    const struct hub_options options = {.roles = HUB_RUN_OFFLINE};
    hub_problems_init(&problems);
    config = hub_config_load(line.yaml, &problems);
    check(config != NULL && hub_crypto_init() == HUB_OK);
    check(hub_open(config, &options, &line_registry, &problems, &hub, &err) == HUB_OK);
    hub_problems_deinit(&problems);
}

static void close_hub(void)
{
    hub_close(hub);
    hub_config_free(config);
    hub = NULL;
}

static void leave(void)
{
    close_hub();
    line_remove(&line);
}

struct asked {
    struct hub_arena arena;
    bool over;
};

static bool take_line(void *ctx, struct hub_span json)
{
    struct asked *asked = ctx;
    struct hub_json *tree = NULL;
    if (json.len == 0) /* is anybody there? */
        return true;
    check(!asked->over && memchr(json.ptr, '\n', json.len) == NULL);
    hub_arena_reset(&asked->arena);
    check(hub_json_parse(&asked->arena, json, &tree, NULL) == HUB_OK && tree->type == HUB_JSON_OBJECT);
    asked->over = hub_json_get(tree, "done") != NULL || hub_json_get(tree, "error") != NULL;
    return true;
}

static void ask(struct hub_session *session, struct hub_span request)
{
    struct asked asked = {.over = false};
    if (memmem(request.ptr, request.len, "follow", 6) != NULL)
        return; /* ends when its reader goes */
    hub_arena_init(&asked.arena, 64 << 20);
    hub_session_handle(session, request, take_line, &asked);
    check(asked.over);
    hub_arena_deinit(&asked.arena);
}

/* Before libFuzzer has threads: a child of a process with threads may wait for ever for what one of them held. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    hub_diag_set_level(HUB_DIAG_ERROR);
    make_data();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (hub == NULL) {
        open_hub();
        check(atexit(leave) == 0);
    }
    struct hub_session *session = hub_session_new(hub, "uid 1");
    struct hub_span rest = hub_span_of(data, size);
    for (unsigned i = 0; i < LINES_MAX && rest.len != 0; i++) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        ask(session, hub_span_of(rest.ptr, len));
        len += end != NULL;
        rest = hub_span_of(rest.ptr + len, rest.len - len);
    }
    hub_session_free(session);
    if (++runs % RUNS_MAX == 0) {
        close_hub();
        copy("data.kept", "data");
        copy("keys.kept", "keys");
        open_hub();
    }
    return 0;
}
