/* Acknowledgements (2.9.2, 2.14: MSH, MSA, ERR) from the header segment as it was sent and the verdict. A pure
 * function: same head, same verdict, same bytes, so that a duplicate gets the answer its original got. Any thread.
 *
 * What goes back of the input is MSH fields alone, as sent (3-6, 9.2, 10-12, 18, 21), in the sender's delimiters;
 * VT and FS are left out of them, for they would break the frame. All other text is the hub's own. */
#pragma once

#include "adapters/formats/hl7v2/hl7.h"
#include "src/pipeline/adapter.h"

/* Appends the acknowledgement due for HEAD (hub_hl7_head of the message; empty or unreadable: default delimiters and
 * nothing echoed). Original mode: AA, AE or AR as result.def says, for every MODE; a result that is the hub's own
 * trouble has no answer and appends nothing. Results of hub_buf. */
enum hub_result hub_hl7_ack(enum hub_ack_mode mode, struct hub_span head, const struct hub_verdict *verdict,
                            struct hub_buf *out) HUB_MUST_USE;
