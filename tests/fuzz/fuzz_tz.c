/* TZif files: any bytes are read or refused, and a zone that was read answers consistently. */
#include <stdlib.h>

#include "src/codec/tz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {-62135596800, -2717650800, -1, 0, 951782400, 1772935200, 1777777777, 4102444800, 253402300799};
    struct hub_tz *zone;
    if (hub_tz_read(hub_span_of(data, size), &zone, NULL) != HUB_OK)
        return 0;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        enum hub_tz_fit fit;
        int32_t offset = hub_tz_offset_of_local(zone, times[i], &fit);
        if (fit != HUB_TZ_GAP && hub_tz_offset_at(zone, times[i] - offset) != offset)
            abort();
        if (!hub_tz_has_offset(zone, times[i], 0, hub_tz_offset_at(zone, times[i])))
            abort();
    }
    hub_tz_free(zone);
    return 0;
}
