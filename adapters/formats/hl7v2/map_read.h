/* Reading values by path (docs/MAPPING.md section 3), in line: an ordinary message is read a thousand times. What a
 * segment's bytes do not hold (HUB_HL7_ESCAPES, ...) is not looked for in its values. Part of map_run.h. */
#pragma once

#include <string.h>

#include "adapters/formats/hl7v2/map_model.h"
#include "adapters/formats/hl7v2/hl7.h"

/* A value: a part of the message. */
struct map_value {
    const uint8_t *ptr;
    uint32_t len;
    uint8_t level; /* 1 repetition, 2 component, 3 subcomponent */
    uint8_t marks; /* of its segment: HUB_HL7_ESCAPES, ... */
};

static inline struct hub_span map_span(struct map_value value)
{
    return hub_span_of(value.ptr, value.len);
}

static inline struct map_value map_value_of(struct hub_span span, uint8_t level, uint8_t marks)
{
    return (struct map_value){span.ptr, (uint32_t)span.len, level, marks};
}

static inline struct map_value map_no_value(uint8_t level)
{
    return (struct map_value){NULL, 0, level, 0};
}

/* Of blanks only, as senders of columns fill a field up. */
static inline bool map_is_blank(const uint8_t *p, size_t len)
{
    size_t i = 0;
    while (i < len && p[i] <= ' ')
        i++;
    return i == len;
}

/* Absent, blank, or "" (the sender deletes it): nothing to map. */
static inline bool map_says_nothing(struct map_value value)
{
    return map_is_blank(value.ptr, value.len) || (value.len == 2 && value.ptr[0] == '"' && value.ptr[1] == '"');
}

/* The present value's parts, cut once. */
struct map_split {
    uint64_t filled; /* bit n: part n holds something; bit 0: the value does */
    uint8_t count;
    struct hub_span part[MAP_PARTS_MAX];
};

/* Position of C, LEN when it is not there. Parts are short: a call would take longer. */
static inline size_t map_find_byte(const uint8_t *p, size_t len, uint8_t c)
{
    size_t i = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = UINT64_C(0x0101010101010101);
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, sizeof word);
        word ^= ones * c;
        const uint64_t hit = (word - ones) & ~word & (ones * 0x80);
        if (hit != 0)
            return i + (size_t)__builtin_ctzll(hit) / 8;
    }
#endif
    while (i < len && p[i] != c)
        i++;
    return i;
}

/* What cuts a value of LEVEL into its parts; 0: nothing does. */
static inline uint8_t map_delimiter(const struct hub_hl7 *message, struct map_value value)
{
    if (value.level == 1)
        return message->delimiters.component;
    return value.level == 2 && (value.marks & HUB_HL7_SUBCOMPONENTS) != 0 ? message->delimiters.subcomponent : 0;
}

/* Part N, 1-based. */
struct map_value map_part_in(const struct hub_hl7 *message, struct map_value value, unsigned n);

/* Down to the first subcomponent. */
static inline struct map_value map_first_in(const struct hub_hl7 *message, struct map_value value)
{
    for (; value.level < 3; value.level++) {
        const uint8_t cut = map_delimiter(message, value);
        if (cut != 0)
            value.len = (uint32_t)map_find_byte(value.ptr, value.len, cut);
    }
    return value;
}

/* The part of a repetition that PATH names; none when it says nothing. */
static inline struct map_value map_named_part(const struct hub_hl7 *message, const struct map_path *path, struct map_value value)
{
    if (path->component != 0)
        value = map_part_in(message, value, path->component);
    if (path->subcomponent != 0)
        value = map_part_in(message, value, path->subcomponent);
    return map_says_nothing(value) ? map_no_value(value.level) : value;
}

static inline bool map_needs_trim(struct hub_span s)
{
    return s.len != 0 && (s.ptr[0] <= ' ' || s.ptr[s.len - 1] <= ' ');
}
