#include "src/pipeline/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/mem.h"
#include "src/codec/json.h"
#include "src/pipeline/control.h"

enum { READ_CAP = 64 * 1024, LAST_ARENA = 4 * 1024 * 1024 };

struct hub_client {
    int fd; /* -1: local */
    struct hub_session *session;
    struct hub_buf in;
    size_t used; /* of in: the lines already handed out */
    struct hub_arena arena;
    bool broken;
};

static struct hub_client *client_new(void)
{
    struct hub_client *client = hub_mem_alloc(sizeof(*client));
    if (client == NULL)
        return NULL;
    client->fd = -1;
    hub_buf_init(&client->in, HUB_CLIENT_LINE_MAX + READ_CAP, true);
    hub_arena_init(&client->arena, LAST_ARENA);
    return client;
}

void hub_client_close(struct hub_client *client)
{
    if (client == NULL)
        return;
    if (client->fd >= 0)
        (void)close(client->fd);
    hub_session_free(client->session);
    hub_buf_deinit(&client->in);
    hub_arena_deinit(&client->arena);
    hub_mem_free(client);
}

static enum hub_result cannot_connect(const char *data_dir, int problem, struct hub_error *err)
{
    if (problem == ENOENT || problem == ECONNREFUSED || problem == ENOTDIR)
        (void)hub_fail(err, HUB_NOT_FOUND, "no hub runs on this data directory",
                       "start it with `chartline run`");
    else if (problem == EACCES || problem == EPERM)
        (void)hub_fail(err, HUB_DENIED, "the hub belongs to another user",
                       "run the command as the hub's user");
    else
        (void)hub_fail_errno(err, HUB_NETWORK, "the hub cannot be reached", problem);
    return hub_error_in(err, data_dir, 0);
}

/* Through the folder's descriptor, so that a path of any length fits into the address. */
static int connect_in(int dir_fd, int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control.sock", dir_fd);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

enum hub_result hub_client_connect(const char *data_dir, struct hub_client **out, struct hub_error *err)
{
    *out = NULL;
    int dir_fd = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return cannot_connect(data_dir, errno, err);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int problem = fd < 0 || connect_in(dir_fd, fd) != 0 ? errno : 0;
    (void)close(dir_fd);
    struct hub_client *client = problem == 0 ? client_new() : NULL;
    if (client == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return problem != 0 ? cannot_connect(data_dir, problem, err)
                            : hub_fail(err, HUB_NO_MEMORY, "no memory for a connection", NULL);
    }
    client->fd = fd;
    *out = client;
    return HUB_OK;
}

enum hub_result hub_client_local(struct hub *hub, const char *peer, struct hub_client **out,
                                 struct hub_error *err)
{
    *out = client_new();
    if (*out != NULL)
        (*out)->session = hub_session_new(hub, peer);
    if (*out != NULL && (*out)->session != NULL)
        return HUB_OK;
    hub_client_close(*out);
    *out = NULL;
    return hub_fail(err, HUB_NO_MEMORY, "no memory for a session", NULL);
}

/* --- the last line --- */

static enum hub_result result_of(struct hub_span code)
{
    for (int r = HUB_OK + 1; r < HUB_RESULT_COUNT; r++) {
        if (hub_span_is(code, hub_result_row((enum hub_result)r)->metric))
            return (enum hub_result)r;
    }
    return HUB_INTERNAL;
}

static void copy_text(struct hub_span text, char *out, size_t cap)
{
    size_t len = text.len < cap - 1 ? text.len : cap - 1;
    if (len != 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

/* An error's texts are static: the hub's words are kept for this thread until its next failed request. */
static enum hub_result read_error(const struct hub_json *error, struct hub_error *err)
{
    static _Thread_local char what[256];
    static _Thread_local char mend[256];
    enum hub_result result = result_of(hub_json_get_span(error, "code"));
    copy_text(hub_json_get_span(error, "what"), what, sizeof(what));
    copy_text(hub_json_get_span(error, "mend"), mend, sizeof(mend));
    (void)hub_fail(err, result, what, mend);
    if (err != NULL)
        copy_text(hub_json_get_span(error, "place"), err->place, sizeof(err->place));
    return result;
}

enum verdict { LINE_MORE, LINE_DONE, LINE_FAILED };

/* Only a line that starts as a last line does is parsed here. */
static enum verdict look_at(struct hub_client *client, struct hub_span line, enum hub_result *result,
                            struct hub_error *err)
{
    static const char done[] = "{\"done\":true";
    static const char failed[] = "{\"error\":{";
    struct hub_json *tree = NULL;
    if (line.len >= sizeof(done) - 1 && memcmp(line.ptr, done, sizeof(done) - 1) == 0) {
        *result = HUB_OK;
        return LINE_DONE;
    }
    if (line.len < sizeof(failed) - 1 || memcmp(line.ptr, failed, sizeof(failed) - 1) != 0)
        return LINE_MORE;
    *result = hub_json_parse(&client->arena, line, &tree, err);
    if (*result == HUB_OK)
        *result = read_error(hub_json_get(tree, "error"), err);
    hub_arena_reset(&client->arena);
    return LINE_FAILED;
}

/* --- through the socket --- */

static enum hub_result lost(struct hub_client *client, struct hub_error *err)
{
    client->broken = true;
    return hub_fail(err, HUB_NETWORK, "the hub went away", "see the hub's own messages");
}

static enum hub_result send_all(struct hub_client *client, struct hub_span bytes, struct hub_error *err)
{
    while (bytes.len != 0) {
        ssize_t n = send(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return lost(client, err);
        bytes = hub_span_of(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return HUB_OK;
}

/* The next line, without its end; valid until the next call. */
static enum hub_result next_line(struct hub_client *client, struct hub_span *line, struct hub_error *err)
{
    size_t looked = client->used;
    for (;;) {
        const uint8_t *end =
            client->in.len > looked ? memchr(client->in.ptr + looked, '\n', client->in.len - looked) : NULL;
        if (end != NULL) {
            const uint8_t *start = client->in.ptr + client->used;
            *line = hub_span_of(start, (size_t)(end - start));
            client->used += line->len + 1;
            return HUB_OK;
        }
        if (client->used != 0) {
            hub_buf_consume(&client->in, client->used);
            client->used = 0;
        }
        looked = client->in.len;
        uint8_t *room = hub_buf_reserve(&client->in, READ_CAP);
        if (room == NULL)
            return lost(client, err);
        ssize_t n = recv(client->fd, room, READ_CAP, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return lost(client, err);
        client->in.len += (size_t)n;
    }
}

static enum hub_result ask_socket(struct hub_client *client, struct hub_span request,
                                  bool (*line)(void *ctx, struct hub_span json), void *ctx,
                                  struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    if (client->broken)
        return lost(client, err);
    HUB_TRY(send_all(client, request, err));
    HUB_TRY(send_all(client, HUB_SPAN("\n"), err));
    for (;;) {
        struct hub_span json;
        HUB_TRY(next_line(client, &json, err));
        if (look_at(client, json, &result, err) != LINE_MORE)
            return result;
        if (line != NULL && !line(ctx, json)) {
            client->broken = true; /* the rest of the answer is still on its way */
            return HUB_OK;
        }
    }
}

/* --- in this process --- */

struct local {
    struct hub_client *client;
    bool (*line)(void *ctx, struct hub_span json);
    void *ctx;
    enum hub_result result;
    struct hub_error *err;
};

static bool on_line(void *ctx, struct hub_span json)
{
    struct local *local = ctx;
    if (json.len == 0)
        return true;
    if (look_at(local->client, json, &local->result, local->err) != LINE_MORE)
        return true;
    return local->line == NULL || local->line(local->ctx, json);
}

enum hub_result hub_client_ask(struct hub_client *client, struct hub_span request,
                               bool (*line)(void *ctx, struct hub_span json), void *ctx,
                               struct hub_error *err)
{
    if (memchr(request.ptr, '\n', request.len) != NULL)
        return hub_fail(err, HUB_USAGE, "a request is one line", NULL);
    if (client->session == NULL)
        return ask_socket(client, request, line, ctx, err);
    struct local local = {.client = client, .line = line, .ctx = ctx, .result = HUB_OK, .err = err};
    hub_session_handle(client->session, request, on_line, &local);
    return local.result;
}
