/* Times of the message in the feed's zone: the engine's side of hl7_time.h. */
#include "adapters/formats/hl7v2/map_run.h"

static struct map_known_time *known_time(struct map_run *run, struct hub_span raw)
{
    const uint64_t spread = (uint64_t)(uintptr_t)raw.ptr * UINT64_C(0x9E3779B97F4A7C15);
    return &run->times[spread >> 32 & (MAP_TIME_SLOTS - 1)];
}

bool map_time_when(struct map_run *run, struct hub_span raw, struct hub_when *out)
{
    *out = (struct hub_when){HUB_SPAN_NONE, 0};
    if (raw.len == 0)
        return false;
    struct map_known_time *known = known_time(run, raw);
    if (known->raw.ptr != raw.ptr || known->raw.len != raw.len) {
        known->raw = raw;
        if (hub_hl7_datetime(run->arena, &run->zone, raw, &known->when, NULL) != HUB_OK)
            known->when = (struct hub_when){HUB_SPAN_NONE, 0};
    }
    *out = known->when;
    return out->text.len != 0;
}

bool map_time_text(struct map_run *run, enum map_type type, struct hub_span raw, struct hub_span *out)
{
    struct hub_when when = {HUB_SPAN_NONE, 0};
    enum hub_result result = HUB_OK;
    if (type == MAP_T_TIME)
        result = hub_hl7_time_of_day(run->arena, raw, &when.text, NULL);
    else if (type == MAP_T_DATE)
        result = hub_hl7_date(run->arena, &run->zone, raw, &when, NULL);
    else if (type == MAP_T_INSTANT)
        result = hub_hl7_instant(run->arena, &run->zone, raw, &when, NULL);
    else
        (void)map_time_when(run, raw, &when);
    *out = when.text;
    return result == HUB_OK && when.text.len != 0;
}
