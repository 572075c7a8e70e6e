#include "src/pipeline/sequence.h"

/* FNV-1a. Two sources that meet in one value could only make a gap too many or too few. */
static uint64_t hash(uint64_t state, struct hub_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        state = (state ^ bytes.ptr[i]) * UINT64_C(0x100000001b3);
    return (state ^ 0xff) * UINT64_C(0x100000001b3);
}

bool hub_sequence_note(struct hub_sequences *sequences, struct hub_span sender, struct hub_span source, uint64_t number)
{
    uint64_t id = hash(hash(UINT64_C(0xcbf29ce484222325), sender), source);
    uint32_t at = 0;
    while (at < sequences->count && sequences->sources[at].source != id)
        at++;
    if (at == sequences->count) {
        if (at < HUB_SEQUENCE_SOURCES_MAX)
            sequences->count++;
        else
            at = sequences->turn++ % HUB_SEQUENCE_SOURCES_MAX;
        sequences->sources[at] = (struct hub_sequence_source){.source = id, .last = number};
        return false;
    }
    uint64_t last = sequences->sources[at].last;
    if (number <= last && number != 1 && last - number < HUB_SEQUENCE_RESEND_MAX)
        return false;
    sequences->sources[at].last = number;
    return number > last && number - last > 1;
}
