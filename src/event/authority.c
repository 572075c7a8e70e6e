#include "src/event/authority.h"

#include <limits.h>

static bool names_authority(const struct hub_authority *authority, struct hub_span text)
{
    if (text.len == 0)
        return false;
    if (hub_span_is(text, authority->name) || hub_span_is(text, authority->system))
        return true;
    for (size_t i = 0; i < authority->alias_count; i++) {
        if (hub_span_is(text, authority->aliases[i]))
            return true;
    }
    return false;
}

static bool find_configured(const struct hub_config *config, struct hub_span text, struct hub_authority_view *out)
{
    for (size_t i = 0; config != NULL && i < config->authority_count; i++) {
        const struct hub_authority *authority = &config->authorities[i];
        if (!names_authority(authority, text))
            continue;
        out->system = hub_span_str(authority->system);
        out->configured = true;
        out->primary = authority->primary;
        out->rank = (unsigned)i;
        return true;
    }
    return false;
}

/* RFC 3986 2.3: letters, digits, "-", ".", "_", "~", as bits of the ASCII codes. */
static bool is_unreserved(uint8_t c)
{
    static const uint64_t unreserved[4] = {UINT64_C(0x03ff600000000000), UINT64_C(0x47fffffe87fffffe)};
    return (unreserved[c / 64] >> (c % 64) & 1) != 0;
}

static size_t escape_into(char *out, struct hub_span part)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < part.len; i++) {
        const uint8_t c = part.ptr[i];
        if (is_unreserved(c)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    return n;
}

/* PREFIX, then A and (if not NULL) ":" and B, both percent-encoded. */
static enum hub_result make_urn(struct hub_arena *arena, const char *prefix, struct hub_span a, const struct hub_span *b,
                                struct hub_span *out)
{
    size_t prefix_len = strlen(prefix);
    size_t cap = prefix_len + 3 * a.len + (b != NULL ? 1 + 3 * b->len : 0) + 1;
    char *text = hub_arena_bytes(arena, cap);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    memcpy(text, prefix, prefix_len);
    size_t n = prefix_len + escape_into(text + prefix_len, a);
    if (b != NULL) {
        text[n++] = ':';
        n += escape_into(text + n, *b);
    }
    text[n] = '\0';
    *out = hub_span_of(text, n);
    return HUB_OK;
}

static bool is_oid(struct hub_span s)
{
    if (s.len < 3 || s.ptr[0] < '0' || s.ptr[0] > '2' || s.ptr[1] != '.' || s.ptr[s.len - 1] == '.')
        return false;
    for (size_t i = 2; i < s.len; i++) {
        const uint8_t c = s.ptr[i];
        if (c == '.' ? s.ptr[i - 1] == '.' : c < '0' || c > '9')
            return false;
        if (c == '0' && s.ptr[i - 1] == '.' && i + 1 < s.len && s.ptr[i + 1] != '.') /* a leading zero */
            return false;
    }
    return true;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_uuid(struct hub_span s)
{
    if (s.len != 36)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s.ptr[i] != '-' : !is_hex(s.ptr[i]))
            return false;
    }
    return true;
}

/* HD-2 as a urn: by its form, which tells more than an HD-3 that is often wrong or missing. */
static enum hub_result universal_system(struct hub_arena *arena, const struct hub_hd *hd, struct hub_span facility,
                                        struct hub_span *out)
{
    struct hub_span id = hd->universal_id;
    if (is_oid(id))
        return make_urn(arena, "urn:oid:", id, NULL, out);
    if (is_uuid(id)) {
        HUB_TRY(make_urn(arena, "urn:uuid:", id, NULL, out));
        uint8_t *text = (uint8_t *)(uintptr_t)out->ptr;
        for (size_t i = 0; i < out->len; i++) {
            if (text[i] >= 'A' && text[i] <= 'F')
                text[i] = (uint8_t)(text[i] | 0x20);
        }
        return HUB_OK;
    }
    return make_urn(arena, "urn:chartline:ns:", facility, &id, out);
}

enum hub_result hub_authority_canonical(struct hub_arena *arena, const struct hub_config *config, const struct hub_feed *feed,
                                        const struct hub_hd *hd, struct hub_span facility, struct hub_authority_view *out)
{
    memset(out, 0, sizeof *out);
    out->rank = UINT_MAX;
    if (find_configured(config, hd->namespace_id, out) || find_configured(config, hd->universal_id, out))
        return HUB_OK;
    bool is_urn = is_oid(hd->universal_id) || is_uuid(hd->universal_id);
    if (is_urn || (hd->universal_id.len != 0 && hd->namespace_id.len == 0)) {
        HUB_TRY(universal_system(arena, hd, facility, &out->system));
        struct hub_span system = out->system;
        if (!find_configured(config, system, out))
            out->system = system;
        return HUB_OK;
    }
    if (hd->namespace_id.len != 0)
        return make_urn(arena, "urn:chartline:ns:", facility, &hd->namespace_id, &out->system);
    if (feed != NULL && feed->default_authority != NULL) {
        struct hub_span name = hub_span_str(feed->default_authority);
        if (find_configured(config, name, out))
            return HUB_OK;
        return make_urn(arena, "urn:chartline:ns:", facility, &name, &out->system);
    }
    struct hub_span id = feed != NULL && feed->id != NULL ? hub_span_str(feed->id) : HUB_SPAN("map");
    return make_urn(arena, "urn:chartline:local:", id, &facility, &out->system);
}

bool hub_identifier_eligible(const struct hub_authority_view *authority, struct hub_span type, struct hub_span value)
{
    if (hub_span_trim(value).len == 0)
        return false;
    struct hub_span t = hub_span_trim(type);
    /* Types that never make a token, whoever assigned them. */
    static const char *const never[] = {"SS", "DL", "AN", "VN", NULL};
    for (size_t i = 0; never[i] != NULL; i++) {
        if (hub_span_equal_nocase(t, hub_span_str(never[i])))
            return false;
    }
    return authority->configured || hub_span_equal_nocase(t, HUB_SPAN("MR")) || hub_span_equal_nocase(t, HUB_SPAN("PI")) ||
           hub_span_equal_nocase(t, HUB_SPAN("PT"));
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Glob with * and ?, without case; linear in time but for the usual backtracking to the last star. */
static bool matches(const char *pattern, struct hub_span value)
{
    size_t p = 0;
    size_t v = 0;
    size_t star = SIZE_MAX;
    size_t star_v = 0;
    while (v < value.len) {
        if (pattern[p] == '*') {
            star = p++;
            star_v = v;
        } else if (pattern[p] != '\0' && (pattern[p] == '?' || lower((uint8_t)pattern[p]) == lower(value.ptr[v]))) {
            p++;
            v++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            v = ++star_v;
        } else {
            return false;
        }
    }
    while (pattern[p] == '*')
        p++;
    return pattern[p] == '\0';
}

static bool all_zero(struct hub_span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '0')
            return false;
    }
    return value.len != 0;
}

bool hub_identifier_placeholder(const struct hub_config *config, struct hub_span value)
{
    struct hub_span v = hub_span_trim(value);
    if (config == NULL || config->identity_ignore == NULL) {
        static const char *const usual[] = {"UNKNOWN", "UNK", "NONE", "N/A", "NA", "NULL", "TEMP", NULL};
        for (size_t i = 0; usual[i] != NULL; i++) {
            if (hub_span_equal_nocase(v, hub_span_str(usual[i])))
                return true;
        }
        return all_zero(v);
    }
    for (size_t i = 0; i < config->identity_ignore_count; i++) {
        if (matches(config->identity_ignore[i], v))
            return true;
    }
    return false;
}
