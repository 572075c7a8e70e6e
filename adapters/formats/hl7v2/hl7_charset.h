/* A message from its bytes as they came: its character set (MSH-18), then its syntax in UTF-8. MSH-18's first
 * value decides (2.14.9.18), an empty one leaves it to the feed; a set of ISO 2022 among the values decides
 * for all of them, its escape sequences switch. UTF-16 and UTF-32 are known by their bytes. Any thread. */
#pragma once

#include "adapters/formats/hl7v2/hl7.h"

struct hub_hl7_input {
    struct hub_hl7 message;  /* in UTF-8; after HUB_CHARSET and HUB_CHARSET_UNKNOWN over the bytes as sent: for
                                ids made of ASCII only */
    struct hub_span head;    /* the header segment as sent (a byte order mark of UTF-16 or UTF-32 before it),
                                what an    acknowledgement echoes; empty: there is none */
    const char *charset;     /* as taken, static; "" = not declared anywhere */
    bool mislabelled;        /* declared one set and sent UTF-8 (src/codec/charset.h) */
};

/* FEED_CHARSET may be NULL; with OVERRIDES it stands for whatever MSH-18 says. Results of hub_hl7_parse;
 * HUB_CHARSET at the segment and field of the first bad byte (place) and its offset (number);
 * HUB_CHARSET_UNKNOWN at MSH-18, also for escape sequences between sets that are not of ISO 2022. BYTES stay
 * the caller's, OUT points into them and into ARENA. */
enum hub_result hub_hl7_read(struct hub_arena *arena, struct hub_span bytes, const char *feed_charset,
                             bool overrides, uint32_t segments_max, struct hub_hl7_input *out,
                             struct hub_error *err) HUB_MUST_USE;
/* The first line, when it starts with MSH: needs no valid delimiters. */
struct hub_span hub_hl7_head(struct hub_span bytes);
/* The place of a byte of the message, "PID-5" or, from the second of its id on, "OBX[3]-5"; into ERR. */
void hub_hl7_error_at_byte(struct hub_error *err, const struct hub_hl7 *message, size_t offset);
