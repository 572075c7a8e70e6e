/* A search among the segments' first records. */
#include "src/pipeline/log_since.h"

#include "src/base/mem.h"
#include "src/log/record.h"

/* Whether record NUMBER was recorded at SINCE_US or before. What was retired meanwhile was; what is not there
 * yet was not. */
static enum hub_result is_before(struct hub_log_reader *reader, uint64_t number, int64_t since_us,
                                 bool *before, struct hub_error *err)
{
    struct hub_record_view view;
    struct hub_span payload;
    uint64_t got = 0;
    HUB_TRY(hub_log_reader_seek(reader, number, err));
    enum hub_result result = hub_log_reader_next(reader, &got, &payload, err);
    *before = result == HUB_NOT_FOUND;
    if (result == HUB_NOT_FOUND || result == HUB_END)
        return HUB_OK;
    HUB_TRY(result);
    HUB_TRY(hub_record_parse(payload, &view));
    *before = view.recorded_us <= since_us;
    return HUB_OK;
}

static enum hub_result search(struct hub_log_reader *reader, const struct hub_log_extent *extents,
                              size_t count, int64_t since_us, uint64_t *number, struct hub_error *err)
{
    size_t low = 0, high = count; /* the segment wanted is the last one that begins before the time */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        bool before = false;
        HUB_TRY(is_before(reader, extents[middle].first, since_us, &before, err));
        *(before ? &low : &high) = middle;
    }
    *number = extents[low].first;
    return HUB_OK;
}

enum hub_result hub_log_since(struct hub_log *log, struct hub_log_reader *reader, int64_t since_us,
                              uint64_t *number, struct hub_error *err)
{
    *number = hub_log_first(log);
    const size_t cap = hub_log_extents(log, NULL, 0);
    struct hub_log_extent *extents = hub_mem_alloc((cap + 1) * sizeof *extents);
    HUB_ENSURE(extents != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    const size_t count = hub_log_extents(log, extents, cap);
    enum hub_result result =
        count > 1 ? search(reader, extents, count < cap ? count : cap, since_us, number, err) : HUB_OK;
    hub_mem_free(extents);
    HUB_TRY(result);
    const uint64_t first = hub_log_first(log); /* retired meanwhile */
    *number = *number < first ? first : *number;
    return hub_log_reader_seek(reader, *number, err);
}
