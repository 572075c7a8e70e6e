#include "src/codec/tz_zone.h"

#include "src/base/mem.h"

enum {
    HEADER_LEN = 44,
    COUNTS_AT = 20,
    TYPE_LEN = 6,
    TRANSITIONS_MAX = 20000,
    OFFSET_MAX_S = 26 * 3600, /* RFC 9636 3.2: -25 to 26 hours */
    RULE_HOURS_MAX = 167,
};

/* The six counts of a header, in the file's order. */
struct counts {
    uint32_t is_ut, is_std, leap, time, type, chars;
};

struct cursor {
    const uint8_t *ptr;
    size_t len;
};

static uint64_t big_endian(const uint8_t *ptr, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | ptr[i];
    return value;
}

static enum hub_result damaged(struct hub_error *err)
{
    return hub_fail(err, HUB_CORRUPT, "not a TZif file", "install the system's tzdata package again");
}

static bool read_header(struct cursor *in, uint8_t *version, struct counts *out)
{
    if (in->len < HEADER_LEN || memcmp(in->ptr, "TZif", 4) != 0)
        return false;
    uint32_t n[6];
    for (size_t i = 0; i < 6; i++)
        n[i] = (uint32_t)big_endian(in->ptr + COUNTS_AT + 4 * i, 4);
    *version = in->ptr[4];
    *out = (struct counts){n[0], n[1], n[2], n[3], n[4], n[5]};
    in->ptr += HEADER_LEN;
    in->len -= HEADER_LEN;
    return true;
}

static uint64_t block_len(const struct counts *n, uint64_t time_len)
{
    return n->time * time_len + n->time + (uint64_t)n->type * TYPE_LEN + n->chars + n->leap * (time_len + 4) + n->is_std + n->is_ut;
}

static bool read_offset(const uint8_t *types, uint32_t type_count, uint32_t index, int32_t *out)
{
    if (index >= type_count)
        return false;
    *out = (int32_t)(uint32_t)big_endian(types + (size_t)index * TYPE_LEN, 4);
    return *out >= -OFFSET_MAX_S && *out <= OFFSET_MAX_S;
}

static struct hub_tz *zone_new(size_t count)
{
    struct hub_tz *zone = hub_mem_alloc(sizeof *zone);
    int64_t *at = hub_mem_array(count + 1, sizeof *at);
    int32_t *offsets = hub_mem_array(count + 1, sizeof *offsets);
    if (zone == NULL || at == NULL || offsets == NULL) {
        hub_mem_free(zone);
        hub_mem_free(at);
        hub_mem_free(offsets);
        return NULL;
    }
    zone->at = at;
    zone->offset_s = offsets;
    zone->count = count;
    return zone;
}

void hub_tz_free(struct hub_tz *zone)
{
    if (zone == NULL)
        return;
    hub_mem_free((void *)(uintptr_t)zone->at);
    hub_mem_free((void *)(uintptr_t)zone->offset_s);
    hub_mem_free((void *)(uintptr_t)zone->name);
    hub_mem_free(zone);
}

/* IN starts at the data block and is at least as long. */
static enum hub_result read_block(struct cursor in, const struct counts *n, size_t time_len, struct hub_tz **out,
                                  struct hub_error *err)
{
    const uint8_t *indices = in.ptr + n->time * time_len;
    const uint8_t *types = indices + n->time;
    struct hub_tz *zone = zone_new(n->time);
    HUB_ENSURE(zone != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    int64_t *at = (int64_t *)(uintptr_t)zone->at;
    int32_t *offsets = (int32_t *)(uintptr_t)zone->offset_s;
    bool good = read_offset(types, n->type, 0, &zone->first_s);
    for (size_t i = 0; good && i < n->time; i++) {
        uint64_t raw = big_endian(in.ptr + i * time_len, time_len);
        at[i] = time_len == 4 ? (int64_t)(int32_t)(uint32_t)raw : (int64_t)raw;
        good = read_offset(types, n->type, indices[i], &offsets[i]) && (i == 0 || at[i] > at[i - 1]);
    }
    if (!good) {
        hub_tz_free(zone);
        return damaged(err);
    }
    *out = zone;
    return HUB_OK;
}

static enum hub_result check_counts(const struct cursor *in, const struct counts *n, size_t time_len, struct hub_error *err)
{
    if (n->leap != 0)
        return hub_fail(err, HUB_CORRUPT, "a time zone that counts leap seconds", "name the zone without right/");
    if (n->time > TRANSITIONS_MAX || n->type == 0 || n->type > 256 || block_len(n, time_len) > in->len)
        return damaged(err);
    return HUB_OK;
}

/* NL rule NL; an empty rule means that none is known. */
static enum hub_result read_footer(struct cursor in, struct hub_tz *zone, struct hub_error *err)
{
    const uint8_t *end = in.len >= 2 && in.ptr[0] == '\n' ? memchr(in.ptr + 1, '\n', in.len - 1) : NULL;
    HUB_ENSURE(end != NULL, damaged(err));
    struct hub_span text = hub_span_of(in.ptr + 1, (size_t)(end - in.ptr) - 1);
    if (text.len != 0 && !hub_tz_rule_read(text, &zone->rule))
        return damaged(err);
    return HUB_OK;
}

enum hub_result hub_tz_read(struct hub_span tzif, struct hub_tz **out, struct hub_error *err)
{
    struct cursor in = {tzif.ptr, tzif.len};
    struct counts n;
    uint8_t version;
    *out = NULL;
    HUB_ENSURE(read_header(&in, &version, &n), damaged(err));
    if (version == 0) {
        HUB_TRY(check_counts(&in, &n, 4, err));
        return read_block(in, &n, 4, out, err);
    }
    uint64_t skip = block_len(&n, 4);
    HUB_ENSURE(skip <= in.len, damaged(err));
    in.ptr += skip;
    in.len -= (size_t)skip;
    HUB_ENSURE(read_header(&in, &version, &n), damaged(err));
    HUB_TRY(check_counts(&in, &n, 8, err));
    HUB_TRY(read_block(in, &n, 8, out, err));
    skip = block_len(&n, 8);
    in.ptr += skip;
    in.len -= (size_t)skip;
    enum hub_result result = read_footer(in, *out, err);
    if (result != HUB_OK) {
        hub_tz_free(*out);
        *out = NULL;
    }
    return result;
}

/* --- the footer's rule: std offset [dst [offset] , start[/time] , end[/time]] --- */

static bool take_char(struct cursor *in, uint8_t c)
{
    if (in->len == 0 || in->ptr[0] != c)
        return false;
    in->ptr++;
    in->len--;
    return true;
}

static bool take_number(struct cursor *in, int32_t max, int32_t *out)
{
    size_t digits = 0;
    *out = 0;
    while (in->len > 0 && in->ptr[0] >= '0' && in->ptr[0] <= '9' && digits < 3) {
        *out = *out * 10 + (in->ptr[0] - '0');
        in->ptr++;
        in->len--;
        digits++;
    }
    return digits > 0 && *out <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct cursor *in, int32_t hours_max, int32_t *out)
{
    bool negative = take_char(in, '-');
    if (!negative)
        (void)take_char(in, '+');
    int32_t part;
    if (!take_number(in, hours_max, &part))
        return false;
    *out = part * 3600;
    for (int32_t unit = 60; unit >= 1 && take_char(in, ':'); unit /= 60) {
        if (!take_number(in, 59, &part))
            return false;
        *out += part * unit;
    }
    if (negative)
        *out = -*out;
    return true;
}

static bool take_name(struct cursor *in)
{
    bool quoted = take_char(in, '<');
    size_t len = 0;
    while (len < in->len) {
        uint8_t c = in->ptr[len];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(quoted && (c == '+' || c == '-' || (c >= '0' && c <= '9'))))
            break;
        len++;
    }
    in->ptr += len;
    in->len -= len;
    return len >= 3 && (!quoted || take_char(in, '>'));
}

static bool take_edge(struct cursor *in, struct hub_tz_edge *out)
{
    int32_t number[3] = {0, 0, 0};
    if (!take_char(in, ','))
        return false;
    *out = (struct hub_tz_edge){.time_s = 2 * 3600};
    if (take_char(in, 'M')) {
        out->kind = HUB_TZ_WEEKDAY;
        if (!take_number(in, 12, &number[0]) || !take_char(in, '.') || !take_number(in, 5, &number[1]) ||
            !take_char(in, '.') || !take_number(in, 6, &number[2]) || number[0] == 0 || number[1] == 0)
            return false;
    } else {
        out->kind = take_char(in, 'J') ? HUB_TZ_JULIAN : HUB_TZ_DAY;
        if (!take_number(in, 365, &number[2]) || (out->kind == HUB_TZ_JULIAN && number[2] == 0))
            return false;
    }
    out->month = (uint8_t)number[0];
    out->week = (uint8_t)number[1];
    out->day = (int16_t)number[2];
    return !take_char(in, '/') || take_time(in, RULE_HOURS_MAX, &out->time_s);
}

bool hub_tz_rule_read(struct hub_span text, struct hub_tz_rule *out)
{
    struct cursor in = {text.ptr, text.len};
    int32_t west;
    *out = (struct hub_tz_rule){.present = false};
    if (!take_name(&in) || !take_time(&in, 24, &west))
        return false;
    out->standard_s = -west;
    out->present = true;
    if (in.len == 0)
        return true;
    if (!take_name(&in))
        return false;
    west = -out->standard_s - 3600;
    if (in.len > 0 && in.ptr[0] != ',' && !take_time(&in, 24, &west))
        return false;
    out->dst_s = -west;
    out->has_dst = true;
    return take_edge(&in, &out->start) && take_edge(&in, &out->end) && in.len == 0;
}
