#include "src/cli/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGO_MAX = 1000000, SECOND_US = 1000000 };

/* "2h" */
static bool ago(const char *text, int64_t *us)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false;
    unsigned long number = strtoul(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0 && number <= AGO_MAX) {
            *us = (int64_t)number * units[i].seconds * SECOND_US;
            return true;
        }
    }
    return false;
}

bool hub_cli_when(const char *text, int64_t now_us, char out[HUB_TIME_TEXT_LEN + 1])
{
    char full[48];
    int64_t us;
    if (ago(text, &us)) {
        hub_time_format(now_us - us, out);
        return true;
    }
    if (hub_time_parse(text, strlen(text), &us) != 0) {
        if (strlen(text) != 10)
            return false;
        (void)snprintf(full, sizeof full, "%sT00:00:00Z", text);
        if (hub_time_parse(full, strlen(full), &us) != 0)
            return false;
    }
    hub_time_format(us, out);
    return true;
}
