/* hub.yaml from any bytes: refused with problems that have lines, or a configuration that can be dumped. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/config/describe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_config *config = hub_config_parse("hub.yaml", hub_span_of(data, size), &problems);
    /* Never silent: refused means that a reason is given, and the other way round. */
    if ((config == NULL) != (problems.errors > 0))
        abort();
    if (config != NULL) {
        FILE *null = fopen("/dev/null", "w");
        if (null != NULL) {
            hub_config_dump(config, null);
            (void)fclose(null);
        }
    }
    hub_config_free(config);
    hub_problems_deinit(&problems);
    return 0;
}
