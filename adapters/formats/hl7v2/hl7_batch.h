/* Batches (v2.8.2 2.10.3): messages between FHS, BHS, BTS and FTS. Every part of the envelope is optional, as
 * in the standard; what is there is checked (BTS-1 and FTS-1 against what came) and told in the answer, and
 * the messages are good all the same. Pure functions; any thread.
 *
 * A line is a header where FHS, BHS, MSH, BTS or FTS stands at its start before ASCII punctuation or the line's
 * end: a broken MSH begins a message of its own, so that two patients' segments never become one message. */
#pragma once

#include "adapters/formats/hl7v2/hl7.h"
#include "src/pipeline/adapter.h"

enum hub_hl7_piece {
    HUB_HL7_END,     /* nothing is left but blanks */
    HUB_HL7_MESSAGE, /* from an MSH line, or from what belongs to nothing, to the next header */
    HUB_HL7_FHS,     /* one line each, without its end */
    HUB_HL7_BHS,
    HUB_HL7_BTS,
    HUB_HL7_FTS,
};

/* Cuts the next piece off *REST. PIECE is a view; a message's has all its line ends, and a byte order mark that
 * stands before it. */
enum hub_hl7_piece hub_hl7_cut_piece(struct hub_span *rest, struct hub_span *piece);
/* The first piece is FHS or BHS. A glance at the first bytes. */
bool hub_hl7_is_batch(struct hub_span bytes);

/* hub_format.split: OUT->plan is what hub_hl7_bundle needs. A message's bytes end with its last segment's line
 * end, so that they are those of the same message sent alone. HUB_TOO_MANY: more than MESSAGES_MAX messages, or
 * batches. */
enum hub_result hub_hl7_split(struct hub_arena *arena, struct hub_span bytes, uint32_t messages_max,
                              struct hub_parts *out, struct hub_error *err) HUB_MUST_USE;
/* hub_format.bundle: batches of acknowledgements in the shape of what came (2.10.3.3), those of accept
 * acknowledgements before those of application acknowledgements. Each BHS-12 (FHS-12) names the batch (file) it
 * answers; what is wrong with a batch or file is one more acknowledgement behind those of its messages, whose
 * MSA-2 is BHS-11 (FHS-11). Nothing where no message asks for any acknowledgement. */
enum hub_result hub_hl7_bundle(enum hub_ack_mode mode, const struct hub_parts *parts, const struct hub_span *answers,
                               const struct hub_verdict *whole, struct hub_buf *out) HUB_MUST_USE;
/* An MSH segment with what the first header line of a batch says, for an answer to all of it; in the arena. */
struct hub_span hub_hl7_batch_head(struct hub_arena *arena, struct hub_span bytes);

/* --- between hl7_batch.c and batch_answer.c --- */

struct hub_hl7_batch {
    struct hub_span head;    /* BHS line; empty: none */
    size_t first, count;     /* its messages */
    struct hub_error fault;  /* HUB_OK: none */
    bool ended;              /* BTS came */
};
struct hub_hl7_file {
    struct hub_span head; /* FHS line; empty: none */
    size_t first, count;  /* its batches */
    struct hub_error fault;
    bool ended;
};
struct hub_hl7_plan {
    struct hub_hl7_batch *batches;
    size_t batch_count;
    struct hub_hl7_file *files;
    size_t file_count;
    struct hub_span sample; /* the first message's MSH line: version and processing id of answers to the whole */
    const struct hub_span *messages;
};
