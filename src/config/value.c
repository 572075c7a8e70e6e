#include "src/config/value.h"

#include <stdio.h>
#include <string.h>

#include "src/base/span.h"
#include "src/codec/encode.h"
#include "src/codec/json.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit size_units[] = {{"TiB", INT64_C(1) << 40},
                                         {"GiB", INT64_C(1) << 30},
                                         {"MiB", INT64_C(1) << 20},
                                         {"KiB", INT64_C(1) << 10},
                                         {"B", 1}};
static const struct unit duration_units[] = {{"d", INT64_C(86400000000)},
                                             {"h", INT64_C(3600000000)},
                                             {"m", 60000000},
                                             {"s", 1000000},
                                             {"ms", 1000},
                                             {"us", 1}};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool with_unit(const char *text, const struct unit *units, size_t count, bool bare, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number;
    if (digits == 0 || !hub_span_parse_u64(hub_span_of(text, digits), &number) || number > INT64_MAX)
        return false;
    const char *name = text + digits;
    int64_t factor = *name == '\0' && (bare || number == 0) ? 1 : 0;
    for (size_t i = 0; i < count && factor == 0; i++)
        if (strcmp(name, units[i].name) == 0)
            factor = units[i].factor;
    if (factor == 0 || (int64_t)number > INT64_MAX / factor)
        return false;
    *out = (int64_t)number * factor;
    return true;
}

static void unit_text(int64_t value, const struct unit *units, size_t count, char out[32])
{
    for (size_t i = 0; i < count; i++)
        if (value != 0 && value % units[i].factor == 0) {
            (void)snprintf(out, 32, "%lld%s", (long long)(value / units[i].factor),
                           units[i].factor == 1 && strcmp(units[i].name, "B") == 0 ? "" : units[i].name);
            return;
        }
    (void)snprintf(out, 32, "0");
}

bool hub_value_size(const char *text, int64_t *bytes)
{
    return with_unit(text, size_units, COUNT_OF(size_units), true, bytes);
}

bool hub_value_duration(const char *text, int64_t *us)
{
    return with_unit(text, duration_units, COUNT_OF(duration_units), false, us);
}

void hub_value_size_text(int64_t bytes, char out[32])
{
    unit_text(bytes, size_units, COUNT_OF(size_units), out);
}

void hub_value_duration_text(int64_t us, char out[32])
{
    unit_text(us, duration_units, COUNT_OF(duration_units), out);
}

bool hub_value_count(const char *text, int64_t *count)
{
    uint64_t number;
    if (!hub_span_parse_u64(hub_span_str(text), &number) || number > INT64_MAX)
        return false;
    *count = (int64_t)number;
    return true;
}

bool hub_value_listen(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || !hub_value_text(text) || strpbrk(text, " \t/") != NULL)
        return false;
    bool bracketed = text[0] == '[';
    size_t host_len = (size_t)(colon - text);
    if (bracketed ? text[host_len - 1] != ']' || host_len < 4 : memchr(text, ':', host_len) != NULL)
        return false;
    int64_t port;
    return hub_value_count(colon + 1, &port) && port >= 1 && port <= 65535;
}

bool hub_value_name(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

bool hub_value_text(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++)
        if (*c < 0x20 || *c == 0x7f)
            return false;
    return hub_utf8_valid(hub_span_str(text));
}

bool hub_value_public_key(const char *text, uint8_t key[32])
{
    size_t len = 0;
    return hub_decode(HUB_BASE64, hub_span_str(text), key, 32, &len) == HUB_OK && len == 32;
}
