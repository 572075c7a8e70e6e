/* Sequence numbers that senders give their messages (MSH-13): gaps are counted, nothing is asked for again (RULES,
 * Answers). Memory only, bounded; what speaks is remembered as a hash. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "src/base/span.h"

enum { HUB_SEQUENCE_SOURCES_MAX = 64, HUB_SEQUENCE_RESEND_MAX = 1000 };

/* Zeroed at the start. */
struct hub_sequences {
    struct hub_sequence_source {
        uint64_t source, last;
    } sources[HUB_SEQUENCE_SOURCES_MAX];
    uint32_t count, turn; /* past the limit a new source takes the oldest one's place */
};

/* True when messages are missing between the source's last NUMBER and this one. The first of a source opens its row; a
 * number less than HUB_SEQUENCE_RESEND_MAX behind is sent again and changes nothing; 1, or one further behind, starts
 * the count anew. SENDER is the matched allow entry, SOURCE what the message says of its origin. */
bool hub_sequence_note(struct hub_sequences *sequences, struct hub_span sender, struct hub_span source, uint64_t number);
