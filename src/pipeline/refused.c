#include "src/pipeline/refused.h"

#include <string.h>

/* "[::1]:4711" and "192.0.2.1:4711": what stands behind the last colon is the port. */
static void cut_port(const char *address, char out[HUB_REFUSED_SOURCE_CAP])
{
    const char *colon = strrchr(address, ':');
    size_t len = colon != NULL ? (size_t)(colon - address) : strlen(address);
    if (len >= HUB_REFUSED_SOURCE_CAP)
        len = HUB_REFUSED_SOURCE_CAP - 1;
    memcpy(out, address, len);
    out[len] = '\0';
}

bool hub_refused_note(struct hub_refused_table *table, const char *feed, const char *peer_address, const char *reason)
{
    char source[HUB_REFUSED_SOURCE_CAP];
    cut_port(peer_address, source);
    for (size_t i = 0; i < table->count; i++) {
        struct hub_refused *row = &table->rows[i];
        if (strcmp(row->feed, feed) != 0 || strcmp(row->source, source) != 0 || strcmp(row->reason, reason) != 0)
            continue;
        row->count++;
        return false;
    }
    if (table->count == HUB_REFUSED_MAX) {
        table->more++;
        return false;
    }
    struct hub_refused *row = &table->rows[table->count++];
    *row = (struct hub_refused){.feed = feed, .reason = reason, .count = 1};
    memcpy(row->source, source, sizeof(source));
    return true;
}

size_t hub_refused_take(struct hub_refused_table *table, bool end, struct hub_refused out[HUB_REFUSED_MAX], uint64_t *more)
{
    size_t taken = 0;
    *more = end ? table->more : 0;
    for (size_t i = 0; i < table->count; i++) {
        struct hub_refused *row = &table->rows[i];
        if (row->count == 0 || (row->told && !end))
            continue;
        out[taken++] = *row;
        row->count = 0;
        row->told = true;
    }
    if (end)
        memset(table, 0, sizeof(*table));
    return taken;
}
