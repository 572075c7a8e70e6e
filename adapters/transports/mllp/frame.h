/* MLLP framing (HL7 Transport Specification: MLLP, Release 1): VT message FS CR. A pure machine: bytes in, events
 * out, no input or output of its own, so that every split of the stream gives the same events.
 *
 * Lenient where nothing can be lost by it: what stands between frames is skipped and counted; FS is content
 * unless CR follows; a frame also ends with FS (or FS LF) right before the next VT, or, for the transport to
 * decide, with a silence after it (hub_mllp_settle). VT inside a frame is content. One thread at a time. */
#pragma once

#include "src/base/buf.h"
#include "src/base/span.h"

enum hub_mllp_event {
    HUB_MLLP_MORE,      /* the input is used up */
    HUB_MLLP_MESSAGE,   /* a whole message */
    HUB_MLLP_OVERSIZE,  /* a message past the limit: its first BYTES_MAX bytes; the rest is skipped */
    HUB_MLLP_NO_MEMORY, /* the frame is lost and skipped */
};

struct hub_mllp_reader {
    enum { HUB_MLLP_OUTSIDE, HUB_MLLP_INSIDE, HUB_MLLP_SKIPPING } state;
    unsigned tail;       /* bytes at the end of what was read that may end the frame: FS = 1, FS LF = 2 */
    bool given;          /* `held` was given out with the last event */
    struct hub_buf held; /* the beginning of a frame whose end has not come yet; wiped */
    size_t bytes_max;
    uint64_t outside_bytes; /* bytes between frames, CR and LF not counted */
};

/* BYTES_MAX is the longest message taken. */
void hub_mllp_reader_init(struct hub_mllp_reader *reader, size_t bytes_max);
void hub_mllp_reader_deinit(struct hub_mllp_reader *reader);

/* Takes bytes off *IN up to the next event. Call it again with what is left of *IN until HUB_MLLP_MORE. MESSAGE is
 * a view, into the input where the frame lies in it whole (no copy), else into the reader; valid until the next
 * call with this reader or the end of the input's life. */
enum hub_mllp_event hub_mllp_next(struct hub_mllp_reader *reader, struct hub_span *in, struct hub_span *message);
/* FS was read and what follows will decide: after a short silence, or at the end of the stream, call settle. */
bool hub_mllp_unsettled(const struct hub_mllp_reader *reader);
/* The silence ends the frame: HUB_MLLP_MESSAGE when hub_mllp_unsettled, else HUB_MLLP_MORE and nothing changes. */
enum hub_mllp_event hub_mllp_settle(struct hub_mllp_reader *reader, struct hub_span *message);
/* Inside a frame: the time limit for its end runs. */
bool hub_mllp_in_frame(const struct hub_mllp_reader *reader);

/* Appends VT MESSAGE FS CR. */
void hub_mllp_encode(struct hub_span message, struct hub_buf *out);
