/* Character sets: which one a name means, and text in UTF-8 from its bytes. Nothing is ever replaced or
 * dropped: a byte that is not valid is an error with its position. The table in charset.c has a row a set;
 * iconv's only user is charset_iconv.c. Any thread. */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_charset; /* a row; static storage */

/* The set of that name or alias (HL7 table 0211, IANA names, common spellings), without regard to case,
 * spaces and punctuation: "8859/1", "ISO-8859-1", "UNICODE UTF-8". NULL when unknown. */
const struct hub_charset *hub_charset_find(struct hub_span name);
/* The table's own name: "ASCII", "UTF-8", "8859/1". */
const char *hub_charset_name(const struct hub_charset *charset);

struct hub_charset_text {
    struct hub_span utf8; /* the input itself where its bytes are UTF-8 already, else in the arena */
    bool mislabelled;     /* bytes beyond ASCII read as UTF-8 though CHARSET names another set */
    size_t bad_at;        /* HUB_CHARSET: offset of the first byte that is not valid */
};

/* BYTES of CHARSET (NULL = not declared) as UTF-8. Bytes beyond ASCII that are well-formed UTF-8 as a whole are
 * taken as UTF-8 whatever was declared: real text of a single-byte set never is, and senders that forget to
 * change the label are common. Else a declared set other than ASCII is converted. HUB_CHARSET with BAD_AT,
 * HUB_CHARSET_UNKNOWN when the system's iconv lacks the set, HUB_NO_MEMORY; utf8 is empty then. */
enum hub_result hub_charset_to_utf8(struct hub_arena *arena, const struct hub_charset *charset, struct hub_span bytes,
                                    struct hub_charset_text *out) HUB_MUST_USE;
