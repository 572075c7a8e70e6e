/* Arbitrary records of the topics `timeline` and `identity`, one a line: 't' or 'i', the key, a tab, the value ('-': a tombstone). They
 * are taken or refused; all of them again change nothing; every chart can be read; what was refused left no trace. */
#include <stdlib.h>

#include "src/crypto/crypto.h"
#include "src/timeline/timeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 64 };

struct stores {
    struct hub_kv *identity_kv, *kv;
    struct hub_timeline *identity, *partition;
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static enum hub_result on_chart(void *ctx, struct hub_span token, struct hub_span subject, struct hub_span part, struct hub_error *err)
{
    (void)ctx;
    (void)subject;
    (void)err;
    check(token.len != 0 && (part.ptr == NULL || part.len != 0));
    return HUB_OK;
}

static enum hub_result on_settle(void *ctx, struct hub_error *err)
{
    (void)ctx;
    (void)err;
    return HUB_OK;
}

static struct hub_timeline *open_store(enum hub_timeline_part part, struct hub_kv **kv)
{
    const struct hub_kv_options kv_options = {.families = hub_timeline_families(), .create = true};
    const struct hub_timeline_options options = {.part = part, .chart_tokens = 4, .sink = {on_chart, on_settle, NULL}};
    struct hub_timeline *timeline = NULL;
    check(hub_kv_open_memory(&kv_options, kv) == HUB_OK);
    check(hub_timeline_open(*kv, &options, &timeline, NULL) == HUB_OK);
    return timeline;
}

static void take_line(struct stores *s, struct hub_span line)
{
    const uint8_t *tab = line.len > 1 ? memchr(line.ptr + 1, '\t', line.len - 1) : NULL;
    if (tab == NULL)
        return;
    const struct hub_span key = hub_span_of(line.ptr + 1, (size_t)(tab - line.ptr) - 1);
    struct hub_span value = hub_span_of(tab + 1, line.len - (size_t)(tab - line.ptr) - 1);
    if (hub_span_is(value, "-"))
        value = HUB_SPAN_NONE;
    enum hub_result result = HUB_SYNTAX;
    if (line.ptr[0] == 't')
        result = hub_timeline_restore(s->partition, key, value, NULL);
    else if (value.ptr != NULL)
        result = hub_timeline_add_identity(s->identity, key, value, NULL);
    check(result == HUB_OK || result == HUB_SYNTAX);
}

static void take_all(struct stores *s, struct hub_span rest)
{
    for (uint64_t line = 0; rest.len != 0 && line < LINES_MAX; line++) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        const size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        take_line(s, hub_span_of(rest.ptr, len));
        const size_t used = len + (end != NULL);
        rest = hub_span_of(rest.ptr + used, rest.len - used);
        if (line % 5 == 4)
            check(hub_timeline_flush(s->partition, line, false, NULL) == HUB_OK && hub_timeline_flush(s->identity, line, false, NULL) == HUB_OK);
    }
    check(hub_timeline_restore_end(s->partition, NULL) == HUB_OK);
    check(hub_timeline_flush(s->partition, LINES_MAX, false, NULL) == HUB_OK);
    check(hub_timeline_flush(s->identity, LINES_MAX, false, NULL) == HUB_OK);
}

static bool take_part(void *ctx, struct hub_span token, struct hub_span part)
{
    struct stores *s = ctx;
    check(hub_timeline_set_chart(s->partition, token, part, NULL) == HUB_OK);
    return true;
}

static bool see_record(void *ctx, struct hub_span key, struct hub_span record)
{
    ++*(size_t *)ctx;
    return key.len != 0 && record.len != 0;
}

static bool see_chart(void *ctx, const struct hub_chart *chart)
{
    struct stores *s = ctx;
    size_t count = 0;
    for (size_t i = 0; i < chart->token_count; i++)
        check(hub_timeline_each_entry(s->partition, chart->tokens[i], see_record, &count, NULL) == HUB_OK);
    return true;
}

static bool everything(void *ctx, struct hub_span token)
{
    (void)ctx;
    return token.len != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stores s;
    uint8_t once[32], twice[32];
    check(hub_crypto_init() == HUB_OK);
    s.identity = open_store(HUB_TIMELINE_IDENTITY, &s.identity_kv);
    s.partition = open_store(HUB_TIMELINE_PARTITION, &s.kv);
    take_all(&s, hub_span_of(data, size));
    take_all(&s, hub_span_of(data, size));
    check(hub_timeline_state_digest(s.partition, once, NULL) == HUB_OK);
    take_all(&s, hub_span_of(data, size));
    check(hub_timeline_state_digest(s.partition, twice, NULL) == HUB_OK);
    check(memcmp(once, twice, sizeof once) == 0);
    check(hub_timeline_each_chart(s.partition, see_chart, &s, NULL) == HUB_OK);
    check(hub_timeline_sync_charts(s.partition, s.identity, everything, NULL, NULL) == HUB_OK);
    check(hub_timeline_flush(s.partition, LINES_MAX, false, NULL) == HUB_OK);
    check(hub_timeline_state_digest(s.partition, once, NULL) == HUB_OK);
    check(hub_timeline_each_chart_part(s.identity, take_part, &s, NULL) == HUB_OK); /* they were told already */
    check(hub_timeline_flush(s.partition, LINES_MAX, false, NULL) == HUB_OK);
    check(hub_timeline_state_digest(s.partition, twice, NULL) == HUB_OK);
    check(memcmp(once, twice, sizeof once) == 0);
    hub_timeline_close(s.identity);
    hub_timeline_close(s.partition);
    hub_kv_close(s.identity_kv);
    hub_kv_close(s.kv);
    return 0;
}
