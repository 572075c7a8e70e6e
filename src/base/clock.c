#include "src/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t system_wall(void *ctx)
{
    (void)ctx;
    return read_us(CLOCK_REALTIME);
}

static int64_t system_mono(void *ctx)
{
    (void)ctx;
    return read_us(CLOCK_MONOTONIC);
}

const struct hub_clock *hub_clock_system(void)
{
    static const struct hub_clock clock = {.wall_us = system_wall, .mono_us = system_mono, .ctx = NULL};
    return &clock;
}

/* Days and civil dates by eras of 400 years, as in H. Hinnant's well-known derivation. */
int64_t hub_time_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

void hub_time_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

static void put(char *out, uint32_t number, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

void hub_time_format(int64_t wall_us, char out[HUB_TIME_TEXT_LEN + 1])
{
    static const int64_t day_us = INT64_C(86400000000);
    int64_t days = wall_us / day_us;
    int64_t rest = wall_us % day_us;
    if (rest < 0) {
        rest += day_us;
        days--;
    }
    int64_t year = 0;
    unsigned month = 1;
    unsigned day = 1;
    hub_time_civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) {
        hub_time_format(year < 0 ? INT64_C(-62167219200000000) : INT64_C(253402300799999999), out);
        return;
    }
    put(out, (uint32_t)year, 4);
    out[4] = '-';
    put(out + 5, month, 2);
    out[7] = '-';
    put(out + 8, day, 2);
    out[10] = 'T';
    put(out + 11, (uint32_t)(rest / 3600000000), 2);
    out[13] = ':';
    put(out + 14, (uint32_t)(rest / 60000000 % 60), 2);
    out[16] = ':';
    put(out + 17, (uint32_t)(rest / 1000000 % 60), 2);
    out[19] = '.';
    put(out + 20, (uint32_t)(rest % 1000000), 6);
    out[26] = 'Z';
    out[27] = '\0';
}

static int digits(const char *text, int count, unsigned *out)
{
    unsigned value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return 0;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static int parse_zone(const char *text, size_t len, int64_t *offset_us)
{
    unsigned hours;
    unsigned minutes;
    if (len == 1 && (text[0] == 'Z' || text[0] == 'z')) {
        *offset_us = 0;
        return 0;
    }
    if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' || digits(text + 1, 2, &hours) != 0 ||
        digits(text + 4, 2, &minutes) != 0 || hours > 23 || minutes > 59)
        return -1;
    *offset_us = (int64_t)(hours * 60 + minutes) * 60000000 * (text[0] == '-' ? -1 : 1);
    return 0;
}

int hub_time_parse(const char *text, size_t len, int64_t *wall_us)
{
    unsigned year, month, day, hour, minute, second;
    if (len < 20 || digits(text, 4, &year) != 0 || text[4] != '-' || digits(text + 5, 2, &month) != 0 ||
        text[7] != '-' || digits(text + 8, 2, &day) != 0 || (text[10] != 'T' && text[10] != 't') ||
        digits(text + 11, 2, &hour) != 0 || text[13] != ':' || digits(text + 14, 2, &minute) != 0 ||
        text[16] != ':' || digits(text + 17, 2, &second) != 0)
        return -1;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return -1;
    size_t at = 19;
    int64_t fraction = 0;
    if (text[at] == '.') {
        int64_t scale = 100000;
        size_t from = ++at;
        for (; at < len && text[at] >= '0' && text[at] <= '9'; at++, scale /= 10)
            fraction += scale * (text[at] - '0');
        if (at == from)
            return -1;
    }
    int64_t offset_us;
    if (at >= len || parse_zone(text + at, len - at, &offset_us) != 0)
        return -1;
    int64_t days = hub_time_days_from_civil(year, month, day);
    *wall_us = (days * 86400 + (int64_t)hour * 3600 + (int64_t)minute * 60 + (int64_t)second) * 1000000 +
               fraction - offset_us;
    return 0;
}

struct timespec hub_clock_after_ms(int64_t ms)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000L;
    at.tv_sec += at.tv_nsec / 1000000000L;
    at.tv_nsec %= 1000000000L;
    return at;
}
