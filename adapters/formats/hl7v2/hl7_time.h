/* HL7 times (2.A.21 DT, 2.A.22 DTM, 2.A.75 TM; v2.8.2) as FHIR texts and instants. What is not of the form is
 * HUB_TYPE; nothing is guessed or rounded, no date ever shifts. Blanks around a value do not count; an empty
 * value gives an empty result. VALUE is the first component (TS-1). Texts live in the arena. Any thread.
 *
 * Without an offset a time takes the message's zone (RULES, Zones): the feed's zone by the value's own date, the
 * first of an ambiguous hour, in the hour that never was the offset before it; unless MSH-7 carries an offset
 * that the feed's zone does not have within a day of MSH-7, then MSH-7's. No feed zone: MSH-7's, else UTC ("Z"). */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/codec/tz.h"
#include "src/event/event.h"

struct hub_hl7_zone {
    const struct hub_tz *named; /* NULL: offset_s for all */
    int32_t offset_s;
    bool assumed;  /* neither a zone nor an offset was known: UTC */
    bool overruled; /* MSH-7's offset stands against the feed's zone (to be counted) */
};

/* FEED_ZONE may be NULL, MSH7 empty or no time at all. */
void hub_hl7_zone_init(struct hub_hl7_zone *out, const struct hub_tz *feed_zone, struct hub_span msh7);

/* FHIR dateTime of the precision that was sent: YYYY, YYYY-MM, YYYY-MM-DD (hours alone too), or date and time to
 * seconds with zone; HHMM gets :00. */
enum hub_result hub_hl7_datetime(struct hub_arena *arena, const struct hub_hl7_zone *zone, struct hub_span value,
                                 struct hub_when *out, struct hub_error *err) HUB_MUST_USE;
/* FHIR date: a time of day that was sent is cut off; `us` is the start of that day in the value's zone. */
enum hub_result hub_hl7_date(struct hub_arena *arena, const struct hub_hl7_zone *zone, struct hub_span value,
                             struct hub_when *out, struct hub_error *err) HUB_MUST_USE;
/* FHIR instant: HUB_TYPE when not even minutes were sent. */
enum hub_result hub_hl7_instant(struct hub_arena *arena, const struct hub_hl7_zone *zone, struct hub_span value,
                                struct hub_when *out, struct hub_error *err) HUB_MUST_USE;
/* FHIR time, from TM: HHMM[SS[.S...]][+/-ZZZZ]. FHIR knows no zone there: the offset is left out. Hours alone are
 * HUB_TYPE, FHIR has no such precision. */
enum hub_result hub_hl7_time_of_day(struct hub_arena *arena, struct hub_span value, struct hub_span *out,
                                    struct hub_error *err) HUB_MUST_USE;

enum { HUB_HL7_TIME_LEN = 19 }; /* 20261123014350+0000 */
/* DTM in UTC to the second; years 0000-9999 (times outside are clamped). Writes HUB_HL7_TIME_LEN bytes and a NUL. */
void hub_hl7_time_format(int64_t wall_us, char out[HUB_HL7_TIME_LEN + 1]);
