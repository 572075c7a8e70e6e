#include "adapters/formats/hl7v2/hl7_time.h"

#include <stdio.h>

#include "src/base/clock.h"

enum {
    DAY_S = 86400,
    FRACTION_MAX = 9,          /* HL7 has up to four digits; devices send more */
    OFFSET_MAX_S = 14 * 3600,  /* FHIR dateTime */
    TEXT_MAX = 48,
};

enum precision { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND };

struct stamp {
    enum precision precision;
    unsigned year, month, day, hour, minute, second;
    struct hub_span fraction; /* digits */
    bool has_offset;
    bool offset_negative; /* "-0000" is not "+0000" in text */
    int32_t offset_s;
};

/* --- reading --- */

static bool take_digits(struct hub_span *in, size_t count, unsigned max, unsigned *out)
{
    unsigned value = 0;
    if (in->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (in->ptr[i] < '0' || in->ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(in->ptr[i] - '0');
    }
    *in = hub_span_of(in->ptr + count, in->len - count);
    *out = value;
    return value <= max;
}

static bool at_digit(struct hub_span in)
{
    return in.len > 0 && in.ptr[0] >= '0' && in.ptr[0] <= '9';
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* YYYY[MM[DD]] */
static bool take_date(struct hub_span *in, struct stamp *out)
{
    out->precision = YEAR;
    if (!take_digits(in, 4, 9999, &out->year) || out->year == 0)
        return false;
    if (!at_digit(*in))
        return true;
    out->precision = MONTH;
    if (!take_digits(in, 2, 12, &out->month) || out->month == 0)
        return false;
    if (!at_digit(*in))
        return true;
    out->precision = DAY;
    return take_digits(in, 2, days_in_month(out->year, out->month), &out->day) && out->day != 0;
}

/* HH[MM[SS[.S...]]] */
static bool take_clock(struct hub_span *in, struct stamp *out)
{
    out->precision = HOUR;
    if (!take_digits(in, 2, 23, &out->hour))
        return false;
    if (!at_digit(*in))
        return true;
    out->precision = MINUTE;
    if (!take_digits(in, 2, 59, &out->minute))
        return false;
    if (!at_digit(*in))
        return true;
    out->precision = SECOND;
    if (!take_digits(in, 2, 60, &out->second)) /* 60: a leap second, FHIR takes it */
        return false;
    if (in->len == 0 || in->ptr[0] != '.')
        return true;
    size_t digits = 0;
    struct hub_span rest = hub_span_of(in->ptr + 1, in->len - 1);
    while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9')
        digits++;
    out->fraction = hub_span_of(rest.ptr, digits);
    *in = hub_span_of(rest.ptr + digits, rest.len - digits);
    return digits > 0 && digits <= FRACTION_MAX;
}

/* Nothing, or [+-]ZZZZ to the end. */
static bool take_offset(struct hub_span in, struct stamp *out)
{
    unsigned hours;
    unsigned minutes;
    if (in.len == 0)
        return true;
    out->offset_negative = in.ptr[0] == '-';
    if (in.ptr[0] != '+' && !out->offset_negative)
        return false;
    in = hub_span_of(in.ptr + 1, in.len - 1);
    if (!take_digits(&in, 2, 14, &hours) || !take_digits(&in, 2, 59, &minutes) || in.len != 0)
        return false;
    int32_t seconds = (int32_t)(hours * 3600 + minutes * 60);
    out->offset_s = out->offset_negative ? -seconds : seconds;
    out->has_offset = true;
    return seconds <= OFFSET_MAX_S;
}

static unsigned two_at(const uint8_t *p)
{
    return (p[0] - '0') * 10u + (p[1] - '0');
}

/* YYYYMMDDHHMMSS at the start, as most are sent; false when it is not just that. */
static bool take_usual(struct hub_span *in, struct stamp *out)
{
    enum { USUAL_LEN = 14 };
    const uint8_t *p = in->ptr;
    bool good = in->len >= USUAL_LEN && (in->len == USUAL_LEN || p[USUAL_LEN] == '+' || p[USUAL_LEN] == '-');
    for (size_t i = 0; good && i < USUAL_LEN; i++)
        good = p[i] >= '0' && p[i] <= '9';
    if (!good)
        return false;
    *out = (struct stamp){SECOND, two_at(p) * 100 + two_at(p + 2), two_at(p + 4), two_at(p + 6), two_at(p + 8), two_at(p + 10), two_at(p + 12),
                          HUB_SPAN_NONE, false, false, 0};
    *in = hub_span_of(p + USUAL_LEN, in->len - USUAL_LEN);
    return out->year != 0 && out->month - 1 < 12 && out->day - 1 < days_in_month(out->year, out->month) && out->hour <= 23 &&
           out->minute <= 59 && out->second <= 60;
}

static bool read_stamp(struct hub_span value, struct stamp *out)
{
    struct hub_span in = value;
    if (take_usual(&in, out))
        return take_offset(in, out);
    in = value;
    *out = (struct stamp){.month = 1, .day = 1};
    return take_date(&in, out) && (!at_digit(in) || (out->precision == DAY && take_clock(&in, out))) && take_offset(in, out);
}

/* Civil time counted as if it were UTC. */
static int64_t local_s(const struct stamp *stamp)
{
    unsigned second = stamp->second < 60 ? stamp->second : 59;
    return hub_time_days_from_civil(stamp->year, stamp->month, stamp->day) * DAY_S + (int64_t)stamp->hour * 3600 +
           (int64_t)stamp->minute * 60 + second;
}

static int64_t fraction_us(struct hub_span digits)
{
    int64_t us = 0;
    if (digits.len == 0)
        return 0;
    for (size_t i = 0; i < 6; i++)
        us = us * 10 + (i < digits.len ? digits.ptr[i] - '0' : 0);
    return us;
}

/* --- zones --- */

void hub_hl7_zone_init(struct hub_hl7_zone *out, const struct hub_tz *feed_zone, struct hub_span msh7)
{
    struct stamp stamp;
    bool sent = read_stamp(hub_span_trim(msh7), &stamp) && stamp.has_offset;
    *out = (struct hub_hl7_zone){.named = feed_zone};
    if (!sent) {
        out->assumed = feed_zone == NULL;
        return;
    }
    if (feed_zone != NULL && hub_tz_has_offset(feed_zone, local_s(&stamp) - stamp.offset_s, DAY_S, stamp.offset_s))
        return;
    out->named = NULL;
    out->offset_s = stamp.offset_s;
    out->overruled = feed_zone != NULL;
}

/* FHIR offsets are minutes within 14 hours; local mean times of the 19th century are cut to that. */
static int32_t offset_of(const struct hub_hl7_zone *zone, const struct stamp *stamp, int64_t at_local_s)
{
    if (stamp->has_offset)
        return stamp->offset_s;
    if (zone->named == NULL)
        return zone->offset_s;
    int32_t offset = hub_tz_offset_of_local(zone->named, at_local_s, NULL) / 60 * 60;
    if (offset > OFFSET_MAX_S)
        return OFFSET_MAX_S;
    return offset < -OFFSET_MAX_S ? -OFFSET_MAX_S : offset;
}

/* --- writing --- */

/* Every message has dozens of times: digits by hand instead of snprintf. */
static inline size_t put_two(char *to, uint32_t number)
{
    to[0] = (char)('0' + number / 10);
    to[1] = (char)('0' + number % 10);
    return 2;
}

static size_t print_date(const struct stamp *stamp, char text[TEXT_MAX])
{
    size_t len = put_two(text, stamp->year / 100);
    len += put_two(text + len, stamp->year % 100);
    if (stamp->precision == YEAR)
        return len;
    text[len++] = '-';
    len += put_two(text + len, stamp->month);
    if (stamp->precision == MONTH)
        return len;
    text[len++] = '-';
    return len + put_two(text + len, stamp->day);
}

/* TEXT_MAX has room for a date, a clock with FRACTION_MAX digits and an offset. */
static size_t print_clock(const struct stamp *stamp, char *text)
{
    size_t len = put_two(text, stamp->hour);
    text[len++] = ':';
    len += put_two(text + len, stamp->minute);
    text[len++] = ':';
    len += put_two(text + len, stamp->second);
    if (stamp->fraction.len == 0)
        return len;
    text[len++] = '.';
    memcpy(text + len, stamp->fraction.ptr, stamp->fraction.len);
    return len + stamp->fraction.len;
}

static size_t print_offset(const struct hub_hl7_zone *zone, const struct stamp *stamp, int32_t offset_s, char *text)
{
    if (!stamp->has_offset && zone->assumed) {
        text[0] = 'Z';
        return 1;
    }
    bool negative = offset_s < 0 || (stamp->has_offset && stamp->offset_negative);
    uint32_t seconds = (uint32_t)(offset_s < 0 ? -offset_s : offset_s);
    text[0] = negative ? '-' : '+';
    (void)put_two(text + 1, seconds / 3600);
    text[3] = ':';
    (void)put_two(text + 4, seconds / 60 % 60);
    return 6;
}

static enum hub_result bad_time(struct hub_error *err, struct hub_when *out)
{
    *out = (struct hub_when){.text = HUB_SPAN_NONE};
    return hub_fail(err, HUB_TYPE, "not an HL7 time", "send YYYY[MM[DD[HHMM[SS[.SSSS]]]]][+/-ZZZZ]");
}

static enum hub_result give(struct hub_arena *arena, const struct hub_hl7_zone *zone, const struct stamp *stamp,
                            struct hub_when *out, struct hub_error *err)
{
    char text[TEXT_MAX];
    size_t len = print_date(stamp, text);
    int64_t at_s = local_s(stamp);
    int32_t offset_s = offset_of(zone, stamp, at_s);
    if (stamp->precision >= MINUTE) {
        text[len++] = 'T';
        len += print_clock(stamp, text + len);
        len += print_offset(zone, stamp, offset_s, text + len);
    }
    out->us = (at_s - offset_s) * 1000000 + fraction_us(stamp->fraction);
    out->text = hub_arena_copy(arena, hub_span_of(text, len));
    return out->text.ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

/* True with OUT empty when the value is. */
static bool is_empty(struct hub_span *value, struct hub_when *out)
{
    *value = hub_span_trim(*value);
    *out = (struct hub_when){.text = HUB_SPAN_NONE};
    return value->len == 0;
}

static void forget_clock(struct stamp *stamp)
{
    stamp->hour = stamp->minute = stamp->second = 0;
    stamp->fraction = HUB_SPAN_NONE;
}

enum hub_result hub_hl7_datetime(struct hub_arena *arena, const struct hub_hl7_zone *zone, struct hub_span value,
                                 struct hub_when *out, struct hub_error *err)
{
    struct stamp stamp;
    if (is_empty(&value, out))
        return HUB_OK;
    if (!read_stamp(value, &stamp))
        return bad_time(err, out);
    if (stamp.precision == HOUR)
        forget_clock(&stamp); /* the text is a date, and so is what it names */
    return give(arena, zone, &stamp, out, err);
}

enum hub_result hub_hl7_date(struct hub_arena *arena, const struct hub_hl7_zone *zone, struct hub_span value,
                             struct hub_when *out, struct hub_error *err)
{
    struct stamp stamp;
    if (is_empty(&value, out))
        return HUB_OK;
    if (!read_stamp(value, &stamp))
        return bad_time(err, out);
    if (stamp.precision > DAY)
        stamp.precision = DAY;
    forget_clock(&stamp);
    return give(arena, zone, &stamp, out, err);
}

enum hub_result hub_hl7_instant(struct hub_arena *arena, const struct hub_hl7_zone *zone, struct hub_span value,
                                struct hub_when *out, struct hub_error *err)
{
    struct stamp stamp;
    if (is_empty(&value, out))
        return HUB_OK;
    if (!read_stamp(value, &stamp) || stamp.precision < MINUTE)
        return bad_time(err, out);
    return give(arena, zone, &stamp, out, err);
}

enum hub_result hub_hl7_time_of_day(struct hub_arena *arena, struct hub_span value, struct hub_span *out, struct hub_error *err)
{
    struct stamp stamp = {.month = 1, .day = 1};
    char text[TEXT_MAX];
    struct hub_span in = hub_span_trim(value);
    *out = HUB_SPAN_NONE;
    if (in.len == 0)
        return HUB_OK;
    if (!take_clock(&in, &stamp) || stamp.precision < MINUTE || !take_offset(in, &stamp))
        return hub_fail(err, HUB_TYPE, "not an HL7 time of day", "send HHMM[SS[.SSSS]]");
    *out = hub_arena_copy(arena, hub_span_of(text, print_clock(&stamp, text)));
    return out->ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

void hub_hl7_time_format(int64_t wall_us, char out[HUB_HL7_TIME_LEN + 1])
{
    char text[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(wall_us, text); /* 2026-11-23T01:43:50.123456Z, clamped to four-digit years */
    (void)snprintf(out, HUB_HL7_TIME_LEN + 1, "%.4s%.2s%.2s%.2s%.2s%.2s+0000", text, text + 5, text + 8, text + 11, text + 14,
                   text + 17);
}
