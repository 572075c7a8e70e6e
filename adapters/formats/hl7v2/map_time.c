/* Times of the message in the feed's zone: the engine's side of hl7_time.h. */
#include "adapters/formats/hl7v2/map_run.h"

bool map_time_when(const struct map_run *run, struct hub_span raw, struct hub_when *out)
{
    *out = (struct hub_when){HUB_SPAN_NONE, 0};
    return raw.len != 0 && hub_hl7_datetime(run->arena, &run->zone, raw, out, NULL) == HUB_OK && out->text.len != 0;
}

bool map_time_text(const struct map_run *run, enum map_type type, struct hub_span raw, struct hub_span *out)
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
        result = hub_hl7_datetime(run->arena, &run->zone, raw, &when, NULL);
    *out = when.text;
    return result == HUB_OK && when.text.len != 0;
}
