#include "src/codec/tz_zone.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/base/mem.h"

enum {
    DAY_S = 86400,
    NAME_MAX_LEN = 64,
    FILE_MAX = 1024 * 1024,
    REACH_S = 2 * DAY_S, /* no offset is further from UTC */
};

static const char zone_folder[] = "/usr/share/zoneinfo";

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hub_tz *cache; /* only ever grows; its zones never change */

/* --- loading --- */

/* Segments of letters, digits, '_', '-' and '+' joined by '/': nothing that leaves the folder. */
static bool is_zone_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LEN || name[0] == '/' || name[len - 1] == '/')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+';
        if (!plain && !(c == '/' && name[i - 1] != '/'))
            return false;
    }
    return true;
}

static enum hub_result read_zone_file(int fd, struct hub_tz **out, struct hub_error *err)
{
    struct hub_disk *disk = hub_disk_system();
    enum hub_result result;
    uint8_t *bytes = NULL;
    uint64_t size = 0;
    size_t got = 0;
    HUB_TRY_OUT(disk->ops->size(disk, fd, &size, err));
    HUB_TRY_OUT(size <= FILE_MAX ? HUB_OK : hub_fail(err, HUB_CORRUPT, "too large for a time zone", NULL));
    bytes = hub_mem_alloc((size_t)size + 1);
    HUB_TRY_OUT(bytes != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    HUB_TRY_OUT(disk->ops->read(disk, fd, 0, bytes, (size_t)size, &got, err));
    HUB_TRY_OUT(hub_tz_read(hub_span_of(bytes, got), out, err));
out:
    hub_mem_free(bytes);
    return result;
}

static enum hub_result load(const char *name, struct hub_tz **out, struct hub_error *err)
{
    static const char what[] = "an unknown time zone";
    static const char mend[] = "use an IANA name such as America/New_York; the tzdata package must be installed";
    struct hub_disk *disk = hub_disk_system();
    char path[sizeof zone_folder + NAME_MAX_LEN + 1];
    struct stat st;
    int fd = -1;
    HUB_ENSURE(is_zone_name(name), hub_fail(err, HUB_CONFIG, what, mend));
    (void)snprintf(path, sizeof path, "%s/%s", zone_folder, name);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) /* "America" is a folder */
        return hub_fail(err, HUB_CONFIG, what, mend);
    HUB_TRY(disk->ops->open(disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = read_zone_file(fd, out, err);
    disk->ops->close(disk, fd);
    if (result != HUB_OK) {
        (void)hub_error_in(err, path, 0);
        return result;
    }
    (*out)->name = hub_mem_strdup(name);
    if ((*out)->name != NULL)
        return HUB_OK;
    hub_tz_free(*out);
    *out = NULL;
    return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

enum hub_result hub_tz_find(const char *name, const struct hub_tz **out, struct hub_error *err)
{
    struct hub_tz *zone = NULL;
    enum hub_result result = HUB_OK;
    (void)pthread_mutex_lock(&cache_lock);
    for (zone = cache; zone != NULL && strcmp(zone->name, name) != 0; zone = zone->next)
        ;
    if (zone == NULL && (result = load(name, &zone, err)) == HUB_OK) {
        zone->next = cache;
        cache = zone;
    }
    (void)pthread_mutex_unlock(&cache_lock);
    *out = result == HUB_OK ? zone : NULL;
    return result;
}

/* --- the rule past the table --- */

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since 1970 of the edge's day in YEAR. */
static int64_t edge_day(const struct hub_tz_edge *edge, int64_t year)
{
    int64_t first = hub_time_days_from_civil(year, 1, 1);
    switch (edge->kind) {
    case HUB_TZ_JULIAN: /* 1-365, 29 February never counted */
        return first + edge->day - 1 + (is_leap(year) && edge->day >= 60 ? 1 : 0);
    case HUB_TZ_DAY:
        return first + edge->day;
    case HUB_TZ_WEEKDAY:
        break;
    }
    int64_t month = hub_time_days_from_civil(year, edge->month, 1);
    int64_t next = edge->month == 12 ? hub_time_days_from_civil(year + 1, 1, 1) : hub_time_days_from_civil(year, edge->month + 1u, 1);
    int64_t weekday = ((month + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = month + (edge->day - weekday + 7) % 7 + 7 * (edge->week - 1);
    return day < next ? day : day - 7;
}

static int64_t year_of(int64_t utc_s)
{
    int64_t year;
    unsigned month;
    unsigned day;
    int64_t days = utc_s / DAY_S - (utc_s % DAY_S < 0 ? 1 : 0);
    hub_time_civil_from_days(days, &year, &month, &day);
    return year;
}

/* A stretch of time with one offset: the instant it begins and ends, INT64_MIN and INT64_MAX where it does not. */
struct stretch {
    int64_t from, until;
    int32_t offset_s;
};

/* The stretch of RULE around the instant. Times of the rule may reach over the turn of the year, so the year
 * before may have had its last edge in this one, and two years count on each side. Where both edges fall together (daylight saving all year) the start wins. */
static struct stretch rule_stretch(const struct hub_tz_rule *rule, int64_t utc_s)
{
    struct stretch out = {INT64_MIN, INT64_MAX, rule->standard_s};
    if (!rule->has_dst)
        return out;
    int64_t middle = year_of(utc_s);
    for (int64_t year = middle - 2; year <= middle + 2; year++) {
        int64_t on = edge_day(&rule->start, year) * DAY_S + rule->start.time_s - rule->standard_s;
        int64_t off = edge_day(&rule->end, year) * DAY_S + rule->end.time_s - rule->dst_s;
        if (on <= utc_s && on >= out.from) {
            out.from = on;
            out.offset_s = rule->dst_s;
        }
        if (off <= utc_s && (off > out.from || out.from == INT64_MIN)) {
            out.from = off;
            out.offset_s = rule->standard_s;
        }
        if (on > utc_s && on < out.until)
            out.until = on;
        if (off > utc_s && off < out.until)
            out.until = off;
    }
    return out;
}

static struct stretch stretch_at(const struct hub_tz *zone, int64_t utc_s)
{
    size_t low = 0;
    size_t high = zone->count; /* at[low - 1] <= utc_s < at[high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at[middle] <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->rule.present) {
        struct stretch out = rule_stretch(&zone->rule, utc_s);
        if (zone->count > 0 && out.from < zone->at[zone->count - 1])
            out.from = zone->at[zone->count - 1];
        return out;
    }
    return (struct stretch){
        .from = low == 0 ? INT64_MIN : zone->at[low - 1],
        .until = low == zone->count ? INT64_MAX : zone->at[low],
        .offset_s = low == 0 ? zone->first_s : zone->offset_s[low - 1],
    };
}

/* --- questions --- */

int32_t hub_tz_offset_at(const struct hub_tz *zone, int64_t utc_s)
{
    return stretch_at(zone, utc_s).offset_s;
}

int32_t hub_tz_offset_of_local(const struct hub_tz *zone, int64_t local_s, enum hub_tz_fit *fit)
{
    struct stretch at = stretch_at(zone, local_s - REACH_S);
    int32_t before_gap = at.offset_s;
    int32_t first = 0;
    unsigned found = 0;
    for (;;) {
        int64_t utc_s = local_s - at.offset_s;
        if (utc_s >= at.until)
            before_gap = at.offset_s;
        else if (utc_s >= at.from && found++ == 0)
            first = at.offset_s;
        if (at.until > local_s + REACH_S)
            break;
        at = stretch_at(zone, at.until);
    }
    if (fit != NULL)
        *fit = found == 0 ? HUB_TZ_GAP : found == 1 ? HUB_TZ_UNIQUE : HUB_TZ_AMBIGUOUS;
    return found != 0 ? first : before_gap;
}

bool hub_tz_has_offset(const struct hub_tz *zone, int64_t utc_s, int64_t within_s, int32_t offset_s)
{
    for (int64_t at_s = utc_s - within_s;;) {
        struct stretch at = stretch_at(zone, at_s);
        if (at.offset_s == offset_s)
            return true;
        if (at.until > utc_s + within_s)
            return false;
        at_s = at.until;
    }
}
