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

/* Of ISO 2022: its characters beyond ASCII come with escape sequences (ISO IR87, ISO IR159). */
bool hub_charset_is_escaped(const struct hub_charset *charset);
/* Its bytes are converted, where they are not UTF-8 in truth. False: ASCII, UTF-8 and the names of UTF-16 and
 * UTF-32, for bytes in those are known by their shape. */
bool hub_charset_is_converted(const struct hub_charset *charset);

/* How UTF-16 or UTF-32 was written. */
struct hub_charset_shape {
    uint8_t unit;     /* 2 or 4 bytes */
    bool big;         /* the highest first */
    uint8_t mark_len; /* of the byte order mark in front, 0 = none */
};

/* The set of BYTES when they are UTF-16 or UTF-32: they begin with a byte order mark or with two characters
 * of ASCII in such units. Else NULL. To be converted without the mark. */
const struct hub_charset *hub_charset_wide(struct hub_span bytes, struct hub_charset_shape *out);
/* Takes the first character off *UTF8 (well-formed, not empty) and writes it in that shape; returns its
 * bytes, 2 or 4. */
size_t hub_charset_put_wide(const struct hub_charset_shape *shape, struct hub_span *utf8, uint8_t out[4]);

struct hub_charset_text {
    struct hub_span utf8; /* the input itself where its bytes are UTF-8 already, else in the arena */
    bool mislabelled;     /* bytes beyond ASCII read as UTF-8 though CHARSET names another set */
    size_t bad_at;        /* HUB_CHARSET: offset of the first byte that is not valid */
};

/* BYTES of CHARSET (NULL = not declared) as UTF-8. Of a set of one byte a character, well-formed UTF-8 as a
 * whole is taken as UTF-8 whatever was declared: real text of such a set never is, and senders that forget to
 * change the label are common. Not so for sets whose text may look like it (several bytes a character, Thai,
 * katakana). Else a declared set other than ASCII is converted. HUB_CHARSET with BAD_AT (an escape sequence
 * that is not known, too), HUB_CHARSET_UNKNOWN when the system's iconv lacks the set, HUB_NO_MEMORY; utf8 is
 * empty then. */
enum hub_result hub_charset_to_utf8(struct hub_arena *arena, const struct hub_charset *charset, struct hub_span bytes,
                                    struct hub_charset_text *out) HUB_MUST_USE;
