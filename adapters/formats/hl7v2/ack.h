/* Acknowledgements (2.9.2, 2.14: MSH, MSA, ERR) from the header segment as it was sent and the verdict. A
 * pure function: same head, same verdict, same bytes, so that a duplicate gets the answer its original got.
 * Any thread.
 *
 * What goes back of the input is MSH fields alone, as sent (3-6, 9.2, 10-12, 18, 21), in the sender's
 * delimiters; VT and FS are left out of them, for they would break the frame. All other text is the hub's
 * own. The answer to a message in UTF-16 or UTF-32 is in that too. */
#pragma once

#include "adapters/formats/hl7v2/hl7.h"
#include "src/pipeline/adapter.h"

/* Appends the acknowledgements due for HEAD (hub_hl7_head of the message; empty or unreadable: default
 * delimiters and nothing echoed), HUB_ANSWER_SEPARATOR between two; nothing when none is due. AA, AE or AR as
 * result.def says; a result that is the hub's own trouble has no answer. By mode (2.9.2, 2.9.3; table 0155
 * for MSH-15 and MSH-16): original  one of AA, AE, AR, whatever the header asks for auto      both fields
 * empty: as original. Else an accept acknowledgement (CA, CE, CR: the same outcome) as MSH-15 says, then an
 * application acknowledgement as MSH-16 says; an empty one counts as NE enhanced  as auto, but both fields
 * empty count as AL and NE aa        as auto without the accept acknowledgement; an empty MSH-16 counts as AL
 * A code that table 0155 does not have counts as AL, `""` as empty. Results of hub_buf. */
enum hub_result hub_hl7_ack(enum hub_ack_mode mode, struct hub_span head, const struct hub_verdict *verdict,
                            struct hub_buf *out) HUB_MUST_USE;
/* HEAD asks for an acknowledgement, if only of a refusal. */
bool hub_hl7_ack_wanted(enum hub_ack_mode mode, struct hub_span head);
