/* Any bytes as the event that a forwarder passes on; any JSON as an event or a dead letter for a reader that holds every key: opened or refused. The lists of an
 * opened field are fuzzed as well, as if the sealer had been wrong: bytes after a NUL are one. */
#include <stdint.h>
#include <string.h>

#include "src/event/head.h"
#include "src/protect/seal_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    (void)ctx;
    memset(key, id->text[0], HUB_KEY_LEN);
    return HUB_OK;
}

static enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    (void)ctx;
    memset(secret, id->text[0] ^ subject->text[0], HUB_KEY_LEN);
    return HUB_OK;
}

static void put(struct hub_arena *arena, struct hub_span resource_text, struct hub_span list_text)
{
    struct hub_json *resource = NULL, *list = NULL;
    if (hub_json_parse(arena, resource_text, &resource, NULL) != HUB_OK ||
        resource->type != HUB_JSON_OBJECT || hub_json_parse(arena, list_text, &list, NULL) != HUB_OK)
        return;
    if (hub_put_lists(arena, resource, &list, 1) == HUB_OK) {
        struct hub_buf text;
        hub_buf_init(&text, 64 * 1024 * 1024, false);
        hub_json_write(&text, resource);
        hub_buf_deinit(&text);
    }
}

static bool is_canonical(struct hub_span text, const struct hub_json *event)
{
    struct hub_buf written;
    hub_buf_init(&written, 64 * 1024 * 1024, false);
    hub_json_write(&written, event);
    bool same = hub_span_equal(text, hub_buf_view(&written));
    hub_buf_deinit(&written);
    return same;
}

/* What is read without reading the data is what a JSON parser finds. */
static void compare_head(struct hub_span text, const struct hub_json *event)
{
    struct hub_event_head head;
    if (hub_event_head(text, &head) != HUB_OK || !is_canonical(text, event))
        return;
    HUB_ASSERT(hub_span_equal(head.id, hub_json_get_span(event, "id")));
    HUB_ASSERT(hub_span_equal(head.subject, hub_json_get_span(event, "subject")));
    HUB_ASSERT(hub_span_equal(head.identity, hub_json_get_span(event, "identity")));
    HUB_ASSERT(hub_span_equal(head.time, hub_json_get_span(event, "time")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_event_head head;
    static const struct hub_opener opener = {class_key, patient_secret, NULL};
    struct hub_arena arena;
    struct hub_json *event = NULL;
    struct hub_error err;
    struct hub_span original;
    size_t masked = 0;
    if (hub_crypto_init() != HUB_OK)
        return 0;
    hub_arena_init(&arena, 64 * 1024 * 1024);
    (void)(hub_event_head(hub_span_of(data, size), &head) == HUB_OK);
    const uint8_t *nul = size != 0 ? memchr(data, 0, size) : NULL;
    if (nul != NULL) {
        put(&arena, hub_span_of(data, (size_t)(nul - data)),
            hub_span_of(nul + 1, size - (size_t)(nul - data) - 1));
    } else if (hub_json_parse(&arena, hub_span_of(data, size), &event, &err) == HUB_OK) {
        compare_head(hub_span_of(data, size), event);
        (void)(hub_protect_open_dead_letter(&arena, event, &opener, &original, &err) == HUB_OK);
        (void)(hub_protect_open_event(&arena, event, &opener, &masked, &err) == HUB_OK);
    }
    hub_arena_deinit(&arena);
    return 0;
}
