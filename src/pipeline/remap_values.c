#include "src/pipeline/remap_values.h"

#include "src/base/buf.h"

enum hub_result hub_remap_values_allowed(struct hub_request *request, struct hub_error *err)
{
    struct hub_session *session = request->session;
    if (session->role == NULL)
        return hub_fail(err, HUB_AUTH, "values are shown to a proven role only", "prove the role first (--role and --key)");
    if (hub_keys_revoked(request->hub->keys, session->role->name))
        return hub_fail(err, HUB_DENIED, "the role was revoked", "`chartline keys grant` gives it back");
    session->role = hub_access_role(request->hub, session->role->name); /* as the policy is now */
    if (session->role == NULL || !session->role->classes[HUB_DATA_RAW])
        return hub_fail(err, HUB_DENIED, "values are of all classes: they need a role with `raw`", "roles stand in the access policy");
    return HUB_OK;
}

/* As it is, or how long it is; NULL: nothing is there. */
static enum hub_result set_value(struct hub_arena *arena, struct hub_json *line, const char *name, const struct hub_json *value)
{
    struct hub_buf text;
    if (value == NULL)
        return HUB_OK;
    hub_buf_init(&text, HUB_REMAP_VALUE_BYTES_MAX, false);
    hub_json_write(&text, value);
    const bool fits = hub_buf_result(&text) == HUB_OK;
    hub_buf_deinit(&text);
    return hub_json_set_c(line, name, fits ? hub_json_copy(arena, value) : hub_json_string_c(arena, "(longer than a value that is shown)"));
}

void hub_remap_values_send(void *ctx, struct hub_span path, const struct hub_json *before, const struct hub_json *after)
{
    struct hub_remap_values *values = ctx;
    if (values->result != HUB_OK || ++values->count > HUB_REMAP_VALUES_MAX)
        return;
    struct hub_json *line = hub_json_new(values->arena, HUB_JSON_OBJECT);
    enum hub_result result = line != NULL ? HUB_OK : HUB_NO_MEMORY;
    if (result == HUB_OK)
        result = hub_json_set_string(values->arena, line, "id", hub_span_str(values->message_id));
    if (result == HUB_OK)
        result = hub_json_set_string(values->arena, line, "path", hub_arena_copy(values->arena, path));
    if (result == HUB_OK)
        result = set_value(values->arena, line, "before", before);
    if (result == HUB_OK)
        result = set_value(values->arena, line, "after", after);
    if (result == HUB_OK)
        result = hub_answer_json(values->request, "value", line);
    values->result = result;
}
