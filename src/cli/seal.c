/* `seal`: a message or a FHIR Bundle sealed by hand with the hub's keys, a CloudEvent a line. It stores
 * nothing but the patient's secret, which the key store makes when it is new. */
#include "src/cli/seal.h"

#include <string.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/messages.h"
#include "src/protect/protect.h"

enum { FILE_BYTES_MAX = 1 << 30, ARENA_BYTES_MAX = 1 << 30, EVENT_BYTES_MAX = 1 << 29 };

static const char *feed_name;

const struct hub_cli_option hub_cli_seal_options[] = {
    {"feed", 0, HUB_CLI_TEXT, &feed_name, "NAME", "seal as this feed does (default: the first one)"},
    HUB_CLI_OPTION_CONFIG,
    HUB_CLI_OPTION_END,
};

struct sealing {
    const struct hub_config *config;
    const struct hub_feed *feed;
    const struct hub_format *format;
    void *context;
    struct hub_roles *roles;
    struct hub_policy *policy;
    struct hub_keys *keys;
    struct hub_arena arena;
    struct hub_buf json;
};

/* --- events --- */

static enum hub_result seal_event(struct sealing *s, struct hub_event *event,
                                  const struct hub_decoded *decoded, struct hub_span message, uint32_t index,
                                  struct hub_error *err)
{
    struct hub_origin origin = {
        .feed_id = hub_span_str(s->feed->id), .feed_name = hub_span_str(s->feed->name), .message = message};
    struct hub_sealed sealed;
    int64_t now = hub_clock_wall_us(hub_clock_system());
    char recorded[HUB_TIME_TEXT_LEN + 1];
    hub_buf_reset(&s->json);
    HUB_TRY(hub_protect_seal(s->keys, s->policy, &s->arena, event, decoded, &origin, index, now, &s->json,
                             &sealed, err));
    /* The secret must outlive us before anything sealed under it leaves. */
    HUB_TRY(hub_keys_sync(s->keys, err));
    hub_time_format(now, recorded);
    memcpy(s->json.ptr + sealed.recorded_at, recorded, HUB_TIME_TEXT_LEN);
    hub_buf_append_byte(&s->json, '\n');
    HUB_TRY(hub_buf_result(&s->json));
    (void)fwrite(s->json.ptr, 1, s->json.len, stdout);
    return HUB_OK;
}

static enum hub_result seal_message(struct sealing *s, struct hub_span message, struct hub_error *err)
{
    struct hub_decoded decoded;
    memset(&decoded, 0, sizeof decoded);
    hub_arena_reset(&s->arena);
    HUB_TRY(s->format->decode(s->context, &s->arena, message, &decoded, err));
    for (uint32_t i = 0; i < decoded.event_count; i++)
        HUB_TRY(seal_event(s, &decoded.events[i], &decoded, message, i, err));
    return HUB_OK;
}

static enum hub_result seal_json(struct sealing *s, struct hub_span bytes, struct hub_error *err)
{
    struct hub_json *tree = NULL;
    struct hub_event event;
    char now[HUB_TIME_TEXT_LEN + 1];
    hub_arena_reset(&s->arena);
    HUB_TRY(hub_json_parse(&s->arena, bytes, &tree, err));
    HUB_TRY(hub_cli_seal_bundle(&s->arena, s->config, tree, &event, err));
    int64_t now_us = hub_clock_wall_us(hub_clock_system());
    hub_time_format(now_us, now);
    event.time = (struct hub_when){hub_span_of(now, HUB_TIME_TEXT_LEN), now_us};
    event.time_source = "received";
    event.raw = bytes;
    struct hub_decoded decoded = {.events = &event, .event_count = 1, .message_time = event.time};
    return seal_event(s, &event, &decoded, bytes, 0, err);
}

static enum hub_result seal_bytes(struct sealing *s, const char *file, struct hub_span bytes,
                                  struct hub_error *err)
{
    struct hub_span start = bytes;
    while (start.len > 0 &&
           (*start.ptr == ' ' || *start.ptr == '\t' || *start.ptr == '\r' || *start.ptr == '\n'))
        start = hub_span_of(start.ptr + 1, start.len - 1);
    if (start.len > 0 && *start.ptr == '{')
        return seal_json(s, bytes, err);
    struct hub_cli_messages messages;
    struct hub_span message;
    size_t count = 0;
    hub_cli_messages_begin(&messages, bytes);
    for (; hub_cli_messages_next(&messages, &message); count++)
        HUB_TRY(seal_message(s, message, err));
    if (count > 0)
        return HUB_OK;
    (void)hub_fail(err, HUB_SYNTAX, "the file holds no message", NULL);
    return hub_error_in(err, file, 0);
}

/* --- the hub's means --- */

static enum hub_result open_keys(struct sealing *s, struct hub_error *err)
{
    uint8_t root_key[HUB_ROOT_KEY_LEN];
    HUB_TRY(hub_root_key_read(s->config, root_key, err));
    /* Beside stored events a missing key store is a loss, not a beginning. */
    bool create = access(s->config->data_dir, F_OK) != 0;
    enum hub_result result =
        hub_keys_open(s->config->key_store, root_key, s->roles, hub_clock_system(), create, &s->keys, err);
    hub_mem_wipe(root_key, sizeof root_key);
    if (result == HUB_BUSY)
        result = hub_fail(err, HUB_BUSY, "the key store is in use: a hub runs on it",
                          "stop the hub, or seal with a hub directory of its own");
    return result;
}

/* 0, or printed and the exit code. */
static int prepare(struct sealing *s)
{
    struct hub_problems problems;
    struct hub_error err = {0};
    hub_problems_init(&problems);
    s->feed = feed_name != NULL           ? hub_config_feed(s->config, feed_name)
              : s->config->feed_count > 0 ? &s->config->feeds[0]
                                          : NULL;
    int code = s->feed != NULL ? HUB_EXIT_OK : hub_cli_usage("seal: the configuration has no such feed");
    if (code == HUB_EXIT_OK) {
        s->format = hub_registry_format(hub_cli_registry(), s->feed->format);
        s->context = s->format != NULL ? s->format->open(s->config, s->feed, &problems) : NULL;
        s->policy = hub_policy_load(s->config->policy_protect, s->config->schema_dir, &problems);
        s->roles = hub_roles_load(s->config->policy_access, s->config->folder, &problems);
        code = hub_cli_problems(&problems, false);
        if (code == HUB_EXIT_OK && (s->context == NULL || s->policy == NULL || s->roles == NULL))
            code = HUB_EXIT_USAGE;
    }
    if (code == HUB_EXIT_OK && open_keys(s, &err) != HUB_OK)
        code = hub_cli_fail(&err);
    hub_problems_deinit(&problems);
    return code;
}

static void release(struct sealing *s)
{
    hub_keys_close(s->keys);
    hub_roles_free(s->roles);
    hub_policy_free(s->policy);
    if (s->context != NULL)
        s->format->close(s->context);
    hub_buf_deinit(&s->json);
    hub_arena_deinit(&s->arena);
}

static int seal_file(const struct hub_config *config, const char *file)
{
    struct sealing s = {.config = config};
    struct hub_error err = {0};
    struct hub_buf bytes;
    hub_arena_init(&s.arena, ARENA_BYTES_MAX);
    hub_buf_init(&s.json, EVENT_BYTES_MAX, true);
    int code = prepare(&s);
    if (code == HUB_EXIT_OK) {
        enum hub_result result = hub_cli_read_file(file, FILE_BYTES_MAX, &bytes, &err);
        if (result == HUB_OK)
            result = seal_bytes(&s, file, hub_buf_view(&bytes), &err);
        hub_buf_deinit(&bytes);
        code = result == HUB_OK ? HUB_EXIT_OK : hub_cli_fail(&err);
    }
    release(&s);
    return code;
}

int hub_cli_seal(int count, char **operands)
{
    if (count != 1)
        return hub_cli_usage("seal: name one file with a message or a FHIR Bundle, or -");
    struct hub_config *config = hub_cli_config();
    if (config == NULL)
        return HUB_EXIT_USAGE;
    int code = seal_file(config, operands[0]);
    hub_config_free(config);
    return code;
}
