#include "src/pipeline/hub_internal.h"

#include <string.h>

#include "src/codec/encode.h"

enum { READ_CAP = 16 * 1024 };

/* WHAT NULL: the entry alone. */
static enum hub_result commit_note(struct hub *hub, struct hub_audit_builder *builder, const char *what,
                                   const char *id, const char *state, struct hub_error *err)
{
    struct hub_buf entry;
    hub_buf_init(&entry, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_end(builder, &entry);
    enum hub_result result = hub_buf_result(&entry);
    if (result != HUB_OK)
        (void)hub_fail(err, result, "an audit entry cannot be made", NULL);
    else if (what == NULL)
        result = hub_commit_audit(hub->commit, hub_buf_view(&entry), err);
    else
        result = hub_commit_state(hub->commit, what, id, state, hub_buf_view(&entry), err);
    hub_buf_deinit(&entry);
    return result;
}

enum hub_result hub_note(struct hub *hub, struct hub_audit_builder *builder, struct hub_error *err)
{
    return commit_note(hub, builder, NULL, NULL, NULL, err);
}

enum hub_result hub_note_state(struct hub *hub, struct hub_audit_builder *builder, const char *what,
                               const char *id, const char *state, struct hub_error *err)
{
    return commit_note(hub, builder, what, id, state, err);
}

static void begin(struct hub *hub, struct hub_audit_builder *builder, enum hub_audit_kind kind)
{
    hub_audit_begin(builder, kind, hub_clock_wall_us(hub->clock));
    hub_audit_text(builder, "hub", hub->config->name);
}

/* SHA-256 of a file, so that an auditor can tell which version was in force. */
static enum hub_result file_hash(struct hub *hub, const char *path, char out[2 * HUB_HASH_LEN + 1],
                                 struct hub_error *err)
{
    struct hub_sha256 state;
    uint8_t digest[HUB_HASH_LEN];
    uint8_t bytes[READ_CAP];
    uint64_t at = 0;
    size_t got = 0;
    int fd = -1;
    hub_sha256_init(&state);
    HUB_TRY(hub->disk->ops->open(hub->disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result;
    while ((result = hub->disk->ops->read(hub->disk, fd, at, bytes, sizeof(bytes), &got, err)) == HUB_OK &&
           got != 0) {
        hub_sha256_update(&state, hub_span_of(bytes, got));
        at += got;
    }
    hub->disk->ops->close(hub->disk, fd);
    HUB_TRY(result);
    hub_sha256_final(&state, digest);
    (void)hub_encode(HUB_HEX, hub_span_of(digest, sizeof(digest)), out, 2 * HUB_HASH_LEN + 1);
    return HUB_OK;
}

static enum hub_result note_file(struct hub *hub, enum hub_audit_kind kind, const char *what,
                                 const char *name, const char *path, struct hub_error *err)
{
    struct hub_audit_builder builder;
    char hash[2 * HUB_HASH_LEN + 1];
    if (path == NULL)
        return HUB_OK;
    HUB_TRY(file_hash(hub, path, hash, err));
    begin(hub, &builder, kind);
    hub_audit_text(&builder, "what", what);
    if (name != NULL)
        hub_audit_text(&builder, "name", name);
    hub_audit_text(&builder, "sha256", hash);
    return hub_note(hub, &builder, err);
}

static void add_roles(struct hub *hub, struct hub_audit_builder *builder)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{HUB_RUN_INGEST, "ingest"},
                 {HUB_RUN_FORWARD, "forward"},
                 {HUB_RUN_TIMELINE, "timeline"},
                 {HUB_RUN_API, "api"}};
    char text[64] = "";
    size_t len = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((hub->roles & names[i].flag) == 0)
            continue;
        size_t n = strlen(names[i].name);
        if (len != 0)
            text[len++] = ',';
        memcpy(text + len, names[i].name, n);
        len += n;
        text[len] = '\0';
    }
    hub_audit_text(builder, "roles", text);
}

enum hub_result hub_note_start(struct hub *hub, struct hub_error *err)
{
    struct hub_audit_builder builder;
    begin(hub, &builder, HUB_AUDIT_LOG_STARTED);
    add_roles(hub, &builder);
    HUB_TRY(hub_note(hub, &builder, err));
    HUB_TRY(hub_note_rules(hub, hub->rules, err));
    return note_file(hub, HUB_AUDIT_POLICY_LOADED, "access", NULL, hub->config->policy_access, err);
}

enum hub_result hub_note_rules(struct hub *hub, const struct hub_rules *rules, struct hub_error *err)
{
    const struct hub_config *config = hub_rules_config(rules);
    HUB_TRY(note_file(hub, HUB_AUDIT_CONFIG_LOADED, "configuration", NULL, config->path, err));
    const char *path = NULL;
    const struct hub_policy *policy;
    for (size_t i = 0; (policy = hub_rules_policy_at(rules, i, &path)) != NULL; i++)
        HUB_TRY(note_file(hub, HUB_AUDIT_POLICY_LOADED, "protect", hub_policy_name(policy), path, err));
    return HUB_OK;
}

enum hub_result hub_note_stop(struct hub *hub, struct hub_error *err)
{
    struct hub_audit_builder builder;
    begin(hub, &builder, HUB_AUDIT_LOG_STOPPED);
    return hub_note(hub, &builder, err);
}

static void add_refused(struct hub *hub, const struct hub_refused *refused, struct hub_buf *entries)
{
    struct hub_audit_builder builder;
    begin(hub, &builder, HUB_AUDIT_LOGIN_REFUSED);
    if (refused->feed != NULL)
        hub_audit_text(&builder, "feed", refused->feed);
    if (refused->source[0] != '\0')
        hub_audit_text(&builder, "source", refused->source);
    hub_audit_text(&builder, "reason", refused->reason);
    hub_audit_number(&builder, "count", (int64_t)refused->count);
    hub_audit_add(&builder, entries);
}

enum hub_result hub_note_refused_logins(struct hub *hub, bool end, struct hub_error *err)
{
    struct hub_refused refused[HUB_REFUSED_MAX];
    struct hub_refused rest = {.reason = "more sources than are counted one by one"};
    struct hub_buf entries;
    size_t count = hub_ingest_take_refused(&hub->ingest, end, refused, &rest.count);
    if (count == 0 && rest.count == 0)
        return HUB_OK;
    hub_buf_init(&entries, (HUB_REFUSED_MAX + 1) * (HUB_AUDIT_ENTRY_MAX + 4), false);
    for (size_t i = 0; i < count; i++)
        add_refused(hub, &refused[i], &entries);
    if (rest.count != 0)
        add_refused(hub, &rest, &entries);
    enum hub_result result = hub_buf_result(&entries);
    if (result == HUB_OK)
        result = hub_commit_audit_all(hub->commit, hub_buf_view(&entries), err);
    hub_buf_deinit(&entries);
    return result;
}

enum hub_result hub_audit_catch_up(struct hub *hub, bool force, struct hub_error *err)
{
    (void)pthread_mutex_lock(&hub->audit_lock);
    enum hub_result result = hub_audit_step(hub->audit, force, err);
    (void)pthread_mutex_unlock(&hub->audit_lock);
    return result;
}
