#include "src/pipeline/session.h"

enum { CHECKPOINT_MAX = 64 * 1024, SHOW_DEFAULT = 100, SHOW_MAX = 1000000 };

struct showing {
    struct hub_request *request;
    uint64_t left;
    enum hub_result result;
};

static bool show_one(void *ctx, uint64_t index, struct hub_span json)
{
    struct showing *showing = ctx;
    struct hub_buf item;
    if (showing->left == 0)
        return false;
    showing->left--;
    hub_buf_init(&item, HUB_AUDIT_ENTRY_MAX + 64, false);
    hub_buf_append_str(&item, "{\"entry\":");
    hub_buf_append_span(&item, json);
    hub_buf_append_str(&item, ",\"index\":");
    hub_buf_append_u64(&item, index);
    hub_buf_append_byte(&item, '}');
    showing->result = hub_buf_result(&item);
    if (showing->result == HUB_OK)
        showing->result = hub_answer_raw(showing->request, "entry", hub_buf_view(&item));
    hub_buf_deinit(&item);
    return showing->result == HUB_OK;
}

static enum hub_result note_log_read(struct hub_request *request, uint64_t from, uint64_t count,
                                     struct hub_error *err)
{
    const struct hub_session *session = request->session;
    struct hub_audit_builder builder;
    hub_audit_begin(&builder, HUB_AUDIT_LOG_READ, hub_clock_wall_us(request->hub->clock));
    hub_audit_text(&builder, "who", session->peer);
    if (session->role != NULL)
        hub_audit_text(&builder, "role", session->role->name);
    hub_audit_number(&builder, "from", (int64_t)from);
    hub_audit_number(&builder, "count", (int64_t)count);
    return hub_note(request->hub, &builder, err);
}

enum hub_result hub_service_audit_show(struct hub_request *request, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    uint64_t from, count;
    HUB_TRY(hub_request_number(request, "from", 0, &from, err));
    HUB_TRY(hub_request_number(request, "count", SHOW_DEFAULT, &count, err));
    count = count < SHOW_MAX ? count : SHOW_MAX;
    HUB_TRY(hub_path(request->hub, "audit", path, err));
    HUB_TRY(note_log_read(request, from, count, err));
    HUB_TRY(hub_audit_catch_up(request->hub, true, err));
    struct showing showing = {.request = request, .left = count, .result = HUB_OK};
    if (from >= hub_audit_size(request->hub->audit))
        return HUB_OK;
    HUB_TRY(hub_audit_each(path, from, show_one, &showing, err));
    return showing.result;
}

enum hub_result hub_service_audit_checkpoint(struct hub_request *request, struct hub_error *err)
{
    struct hub *hub = request->hub;
    char path[HUB_PATH_MAX];
    size_t got = 0;
    int fd = -1;
    HUB_TRY(hub_audit_catch_up(hub, true, err));
    HUB_TRY(hub_path(hub, "audit/checkpoint", path, err));
    char *text = hub_arena_bytes(request->arena, CHECKPOINT_MAX);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    HUB_TRY(hub->disk->ops->open(hub->disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = hub->disk->ops->read(hub->disk, fd, 0, text, CHECKPOINT_MAX, &got, err);
    hub->disk->ops->close(hub->disk, fd);
    HUB_TRY(result);
    return hub_answer_json(request, "checkpoint", hub_json_string(request->arena, hub_span_of(text, got)));
}
