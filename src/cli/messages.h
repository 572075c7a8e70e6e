/* The HL7 v2 messages of a file: one after the other, MLLP frames, or batches. Views into the file's bytes.
 */
#pragma once

#include "src/base/span.h"

struct hub_cli_messages {
    struct hub_span rest;
    struct hub_span batch; /* what is left of the frame at hand, when it is a batch */
    bool framed;           /* the file holds MLLP frames */
    bool whole;            /* batches are not taken apart */
};

/* BYTES must outlive the iterator and what it returns. WHOLE: a batch comes as one piece, the envelope
 * included. */
void hub_cli_messages_begin(struct hub_cli_messages *messages, struct hub_span bytes, bool whole);
/* The next message, false at the end. A message starts at an MSH line and ends before the next one or before
 * a batch header or trailer (FHS, BHS, BTS, FTS: v2.8.2 section 2.10.3), which are passed over; in a framed
 * file a frame is a message, or a batch of them. Bytes that belong to no message come as one of their own: what
 * reads it will say why. */
bool hub_cli_messages_next(struct hub_cli_messages *messages, struct hub_span *message);
