#include "src/pipeline/hub_internal.h"

#include <unistd.h>

#include "src/base/diag.h"
#include "src/log/record.h"

enum { FLUSH_RECORDS = 512, FLUSH_BYTES = 4 * 1024 * 1024, GIVE_WAY_US = 2000 };

static const char component[] = "timeline";

static enum hub_result apply_record(struct hub *hub, uint64_t number, struct hub_span payload,
                                    struct hub_error *err)
{
    struct hub_record_view record;
    enum hub_section_kind kind;
    struct hub_span section;
    HUB_TRY(hub_record_parse(payload, &record));
    if (record.kind != HUB_RECORD_MESSAGE && record.kind != HUB_RECORD_REVISED)
        return HUB_OK;
    enum hub_result result;
    struct hub_span hash = HUB_SPAN_NONE;
    while ((result = hub_record_next(&record, &kind, &section)) == HUB_OK) {
        if (kind == HUB_SECTION_EVENT_HASH)
            hash = section;
        if (kind != HUB_SECTION_EVENT)
            continue;
        result = hub_timeline_apply(hub->timeline, section, hash.len == HUB_HASH_LEN ? hash.ptr : NULL, err);
        hash = HUB_SPAN_NONE;
        if (result == HUB_SYNTAX) {
            HUB_DIAG(HUB_DIAG_ERROR, component, "an event that the timeline cannot read is left out",
                     hub_diag_number("record", (int64_t)number));
            continue;
        }
        HUB_TRY(result);
    }
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result flush(struct hub *hub, uint64_t position, struct hub_error *err)
{
    HUB_TRY(hub_timeline_flush(hub->timeline, position, false, err));
    atomic_store(&hub->applied, position);
    if (hub_log_durable(hub->log) - position < hub->config->limits.timeline_lag)
        atomic_store(&hub->ingest.kept_up, true);
    (void)pthread_mutex_lock(&hub->run_lock);
    (void)pthread_cond_broadcast(&hub->run_changed);
    (void)pthread_mutex_unlock(&hub->run_lock);
    return HUB_OK;
}

/* HUB_END: nothing more is durable. What was read is in the store when it returns, position included. */
static enum hub_result apply_batch(struct hub *hub, struct hub_log_reader *reader, const atomic_bool *stop,
                                   struct hub_error *err)
{
    uint64_t number = 0;
    uint64_t last = 0;
    size_t bytes = 0;
    struct hub_span payload;
    enum hub_result result = HUB_OK;
    for (size_t records = 0; records < FLUSH_RECORDS && bytes < FLUSH_BYTES; records++) {
        result = stop != NULL && atomic_load(stop) ? HUB_END : hub_log_reader_next(reader, &number, &payload, err);
        if (result != HUB_OK)
            break;
        HUB_TRY(apply_record(hub, number, payload, err));
        last = number;
        bytes += payload.len;
    }
    if (last != 0 && (result == HUB_OK || result == HUB_END))
        HUB_TRY(flush(hub, last, err));
    return result;
}

static enum hub_result apply_from(struct hub *hub, struct hub_log_reader *reader, const atomic_bool *stop,
                                  struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    while (result == HUB_OK) {
        (void)pthread_mutex_lock(&hub->apply_lock);
        result = apply_batch(hub, reader, stop, err);
        (void)pthread_mutex_unlock(&hub->apply_lock);
        if (atomic_load(&hub->apply_wanted)) /* a mutex is not fair: whoever waits for it gets it */
            (void)usleep(GIVE_WAY_US);
    }
    return result == HUB_END ? HUB_OK : result;
}

enum hub_result hub_apply_step(struct hub *hub, const atomic_bool *stop, struct hub_error *err)
{
    struct hub_log_reader *reader = NULL;
    uint64_t position = hub_timeline_position(hub->timeline);
    if (hub_log_durable(hub->log) <= position)
        return HUB_OK;
    HUB_TRY(hub_log_reader_open(hub->log, position + 1, &reader, err));
    enum hub_result result = apply_from(hub, reader, stop, err);
    hub_log_reader_close(reader);
    return result;
}
