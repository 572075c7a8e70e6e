/* HL7 v2 syntax (v2.8.2 chapter 2): a message as views into its bytes. Nothing is lost and nothing is
 * changed: writing the segments back gives the input. Values stay escaped until hub_hl7_text.
 *
 * Lenient as real feeds are: own delimiters from MSH-1/2, segments ended by CR, LF or CRLF (mixed), a UTF-8
 * byte order mark, blank lines, unknown and Z segments, lower-case ids. The bytes must be UTF-8 or another
 * ASCII-compatible charset; hl7_charset.h comes first. Views live as long as the bytes and the arena.
 *
 * MSH-2 is read as it was meant: a doubled character counts once (`^~\\&`), and of three characters ending in
 * `&` that one is the subcomponent separator (`^~&`, the escape character lost on the way). Refused: anything
 * but distinct ASCII punctuation, or more than five. A line of blanks and control characters only is no
 * segment; it stays in `bytes`. Any thread; all functions but parse and text are pure. */
#pragma once

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_hl7_delimiters {
    uint8_t field, component, repetition, escape, subcomponent, truncation; /* 0 = not declared */
};

/* What a segment's bytes hold somewhere (MSH-1 and MSH-2 apart), so that most values need not be looked through. */
enum {
    HUB_HL7_ESCAPES = 1,       /* the escape character */
    HUB_HL7_REPETITIONS = 2,   /* the repetition separator */
    HUB_HL7_SUBCOMPONENTS = 4, /* the subcomponent separator */
    HUB_HL7_CONTROLS = 8,      /* a byte below a blank */
};

struct hub_hl7_segment {
    struct hub_span bytes;    /* without its terminator */
    uint64_t filled;          /* bit n - 1: field n is not empty; bit 63: some field from 64 on */
    char id[4];               /* upper case, NUL ended; "" when what stands before the first separator is not three letters or digits */
    uint8_t marks;            /* HUB_HL7_ESCAPES, ... */
    uint32_t number;          /* 1-based position in the message */
    uint32_t occurrence;      /* 1-based among the segments of this id */
    uint32_t field_count;     /* highest field number */
    const uint32_t *field_at; /* start of field n in bytes at [n - 1], one past the end + 1 at [field_count] */
};

struct hub_hl7 {
    struct hub_hl7_delimiters delimiters;
    struct hub_hl7_segment *segments;
    size_t segment_count;
    struct hub_span bytes; /* the whole input, byte order mark and terminators included */
};

/* The first segment must be MSH (or FHS/BHS when ENVELOPE). HUB_SYNTAX with a place (MSH, MSH-1, MSH-2), HUB_TOO_MANY
 * with the limit, HUB_TOO_LARGE when the arena's cap is too small for the views (or the bytes pass 4 GiB),
 * HUB_NO_MEMORY. OUT is zeroed on failure. */
enum hub_result hub_hl7_parse(struct hub_arena *arena, struct hub_span bytes, uint32_t segments_max, bool envelope,
                              struct hub_hl7 *out, struct hub_error *err) HUB_MUST_USE;
/* The delimiters of an MSH, FHS or BHS segment alone; HUB_SYNTAX as above, OUT zeroed then. */
enum hub_result hub_hl7_delimiters(struct hub_span head, struct hub_hl7_delimiters *out, struct hub_error *err) HUB_MUST_USE;
/* Appends the message as it was. */
void hub_hl7_serialise(const struct hub_hl7 *message, struct hub_buf *out);

/* Field N (1-based; MSH-1 is the field separator itself, MSH-2 the encoding characters: not to be split further).
 * Absent = empty span; empty spans of all functions below have ptr NULL. */
static inline struct hub_span hub_hl7_field(const struct hub_hl7_segment *segment, uint32_t n)
{
    if (n == 0 || n > segment->field_count)
        return HUB_SPAN_NONE;
    const uint32_t start = segment->field_at[n - 1];
    const uint32_t end = segment->field_at[n]; /* behind the separator */
    if (end == start) /* only MSH-1, which is a separator itself */
        return hub_span_of(segment->bytes.ptr + start - 1, 1);
    return end - 1 != start ? hub_span_of(segment->bytes.ptr + start, end - 1 - start) : HUB_SPAN_NONE;
}
/* Of a field: number of repetitions (an empty field has 0), the Rth (0-based). */
uint32_t hub_hl7_repetitions(const struct hub_hl7 *message, struct hub_span field);
struct hub_span hub_hl7_repetition(const struct hub_hl7 *message, struct hub_span field, uint32_t r);
/* Nth component of a repetition, nth subcomponent of a component, 1-based; absent = empty span. Counts of an
 * empty value are 0. */
struct hub_span hub_hl7_component(const struct hub_hl7 *message, struct hub_span repetition, uint32_t n);
struct hub_span hub_hl7_subcomponent(const struct hub_hl7 *message, struct hub_span component, uint32_t n);
uint32_t hub_hl7_component_count(const struct hub_hl7 *message, struct hub_span repetition);
uint32_t hub_hl7_subcomponent_count(const struct hub_hl7 *message, struct hub_span component);
/* A quick iterator for hot loops: cuts the part up to DELIMITER off *REST. False when *REST is used up (ptr NULL,
 * so an empty field has no part and "a~" has two). DELIMITER 0 (not declared) gives the whole. */
bool hub_hl7_cut(struct hub_span *rest, uint8_t delimiter, struct hub_span *part);

/* Exactly two double quotes: the sender deletes the value (2.5.3.2). */
static inline bool hub_hl7_is_null(struct hub_span value)
{
    return value.len == 2 && value.ptr[0] == '"' && value.ptr[1] == '"';
}

/* Unescaped text (2.7): \F\ \S\ \T\ \R\ \E\ \P\ and \Xdd..\ (only where the bytes are UTF-8 text without NUL);
 * \H\ \N\ dropped. With FORMATTED also the commands of 2.7.6: \.br\ \.ce\ a newline, \.spN\ N newlines, \.skN\ N
 * blanks (N up to 99, absent = 1), \.fi\ \.nf\ \.inN\ \.tiN\ dropped; without it they stay text. Unknown and
 * broken sequences stay as they are. A value without the escape character is returned as it is, without a
 * copy. Result is UTF-8 if the input is. HUB_NO_MEMORY only. */
enum hub_result hub_hl7_text(struct hub_arena *arena, const struct hub_hl7 *message, struct hub_span value, bool formatted,
                             struct hub_span *out) HUB_MUST_USE;
/* VALUE (UTF-8) escaped for these delimiters, CR, LF and CRLF as \.br\; appended. Without a declared escape
 * character a blank takes the place of what cannot be written. */
void hub_hl7_escape(const struct hub_hl7_delimiters *delimiters, struct hub_span value, struct hub_buf *out);
