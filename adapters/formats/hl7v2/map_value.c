/* Values: HL7 primitives to FHIR primitives, code lists, authorities (docs/MAPPING.md section 5). */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

#include "src/codec/encode.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct hub_span trim_end(struct hub_span s)
{
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static struct hub_span trim_slowly(struct hub_span s)
{
    s = trim_end(s);
    while (s.len > 0 && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    return s;
}

static inline struct hub_span trim_all(struct hub_span s)
{
    return map_needs_trim(s) ? trim_slowly(s) : s;
}

static bool is_control(uint8_t c)
{
    return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
}

/* Whether TEXT may have control characters, eight bytes at a time. */
static bool has_low_byte(struct hub_span text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low = 0;
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t word;
        memcpy(&word, text.ptr + i, sizeof word);
        low |= (word - ones * 0x20) & ~word;
    }
    bool found = (low & (ones * 0x80)) != 0;
    for (; i < text.len; i++)
        found = found || text.ptr[i] < 0x20;
    return found;
}

struct hub_json *map_string_of(const struct map_run *run, struct hub_span text)
{
    static const char mark[] = "\xef\xbf\xbd"; /* U+FFFD */
    if (!has_low_byte(text))
        return hub_json_string(run->arena, text);
    size_t controls = 0;
    for (size_t i = 0; i < text.len; i++)
        controls += is_control(text.ptr[i]);
    if (controls == 0)
        return hub_json_string(run->arena, text);
    char *copy = hub_arena_bytes(run->arena, text.len + controls * 2);
    size_t n = 0;
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < text.len; i++) {
        if (is_control(text.ptr[i])) {
            memcpy(copy + n, mark, sizeof mark - 1);
            n += sizeof mark - 1;
        } else {
            copy[n++] = (char)text.ptr[i];
        }
    }
    return hub_json_string(run->arena, hub_span_of(copy, n));
}

/* FHIR code: single spaces inside, none around. */
static struct hub_span code_text(const struct map_run *run, struct hub_span text)
{
    bool clean = true;
    for (size_t i = 0; i < text.len; i++)
        clean = clean && !(is_space(text.ptr[i]) && (text.ptr[i] != ' ' || (i > 0 && text.ptr[i - 1] == ' ')));
    if (clean)
        return text;
    char *copy = hub_arena_bytes(run->arena, text.len);
    size_t n = 0;
    if (copy == NULL)
        return HUB_SPAN_NONE;
    for (size_t i = 0; i < text.len; i++) {
        char c = is_space(text.ptr[i]) ? ' ' : (char)text.ptr[i];
        if (c != ' ' || (n > 0 && copy[n - 1] != ' '))
            copy[n++] = c;
    }
    return trim_end(hub_span_of(copy, n));
}

/* A JSON number from what people write: a plus sign, leading zeros, a bare point. *REST: what follows. Empty
 * span when there is no number. DECIMALS: 0 for whole numbers only. */
static struct hub_span number_text(const struct map_run *run, struct hub_span text, bool decimals, struct hub_span *rest)
{
    size_t i = 0;
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
        i++;
    size_t whole = i;
    while (i < text.len && is_digit(text.ptr[i]))
        i++;
    size_t whole_end = i;
    size_t part_end = i;
    if (decimals && i < text.len && text.ptr[i] == '.') {
        part_end = i + 1;
        while (part_end < text.len && is_digit(text.ptr[part_end]))
            part_end++;
        i = part_end;
        if (part_end == whole_end + 1 && whole_end == whole)
            return HUB_SPAN_NONE;
    }
    if (whole_end == whole && part_end == whole_end)
        return HUB_SPAN_NONE;
    *rest = hub_span_of(text.ptr + i, text.len - i);
    while (whole + 1 < whole_end && text.ptr[whole] == '0')
        whole++;
    bool has_part = part_end > whole_end + 1;
    bool as_is = whole_end > whole && (negative ? whole == 1 : whole == 0);
    if (as_is)
        return hub_span_of(text.ptr, has_part ? part_end : whole_end);
    const char *out = hub_arena_printf(run->arena, "%s%.*s%.*s", negative ? "-" : "", whole_end > whole ? (int)(whole_end - whole) : 1,
                                       whole_end > whole ? (const char *)text.ptr + whole : "0",
                                       has_part ? (int)(part_end - whole_end) : 0, (const char *)text.ptr + whole_end);
    return hub_span_str(out);
}

static struct hub_span whole_number(const struct map_run *run, struct hub_span text, enum map_type type)
{
    struct hub_span rest = HUB_SPAN_NONE;
    struct hub_span number = number_text(run, text, false, &rest);
    bool zero = number.len == 1 && number.ptr[0] == '0';
    bool negative = number.len != 0 && number.ptr[0] == '-';
    /* FHIR integers have 32 bits: nine digits always fit. */
    if (rest.len != 0 || number.len - (negative ? 1 : 0) > 9 || number.len == 0)
        return HUB_SPAN_NONE;
    if ((type != MAP_T_INTEGER && negative) || (type == MAP_T_POSITIVE && zero))
        return HUB_SPAN_NONE;
    return number;
}

bool map_quantity(const struct map_scope *scope, struct map_value value, struct hub_json *object, enum hub_result *result)
{
    static const char *const comparators[] = {"<=", ">=", "<", ">", NULL};
    const struct map_run *run = scope->run;
    struct hub_span text = trim_all(map_first_plain(run, value));
    const char *comparator = NULL;
    for (size_t i = 0; comparators[i] != NULL && comparator == NULL; i++) {
        size_t len = strlen(comparators[i]);
        if (text.len > len && memcmp(text.ptr, comparators[i], len) == 0)
            comparator = comparators[i];
    }
    size_t skip = comparator != NULL ? strlen(comparator) : 0;
    text = trim_all(hub_span_of(text.ptr + skip, text.len - skip));
    struct hub_span rest = HUB_SPAN_NONE;
    struct hub_span number = number_text(run, text, true, &rest);
    if (number.len == 0 || rest.len != 0)
        return false;
    *result = hub_json_set_c(object, "value", hub_json_number(run->arena, number));
    if (*result == HUB_OK && comparator != NULL)
        *result = hub_json_set_c(object, "comparator", hub_json_string_c(run->arena, comparator));
    return true;
}

static struct hub_json *boolean(const struct map_run *run, struct hub_span text)
{
    static const char *const yes[] = {"Y", "YES", "1", "T", "TRUE", NULL};
    static const char *const no[] = {"N", "NO", "0", "F", "FALSE", NULL};
    for (size_t i = 0; yes[i] != NULL; i++) {
        if (hub_span_equal_nocase(text, hub_span_str(yes[i])))
            return hub_json_bool(run->arena, true);
        if (hub_span_equal_nocase(text, hub_span_str(no[i])))
            return hub_json_bool(run->arena, false);
    }
    return NULL;
}

static struct hub_json *coded(const struct map_scope *scope, const struct map_rule *rule, struct hub_span text, uint8_t marks)
{
    struct hub_span code = code_text(scope->run, trim_all(text));
    if (rule->codes != NULL && code.len != 0) {
        const struct hub_code *found = hub_codes_find(rule->codes, code);
        if (found == NULL && rule->codes->unmapped == HUB_UNMAPPED_CODE)
            found = &rule->codes->other;
        if (found == NULL && rule->codes->unmapped == HUB_UNMAPPED_OMIT)
            return NULL;
        if (found != NULL)
            code = found->code;
    }
    return code.len != 0 ? map_string(scope->run, code, marks) : NULL;
}

static bool is_absolute(struct hub_span s)
{
    size_t i = 0;
    while (i < s.len && ((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') || is_digit(s.ptr[i]) ||
                         s.ptr[i] == '+' || s.ptr[i] == '-' || s.ptr[i] == '.'))
        i++;
    if (i < 2 || i + 1 >= s.len || s.ptr[i] != ':')
        return false;
    for (size_t k = 0; k < s.len; k++) {
        if (is_space(s.ptr[k]))
            return false;
    }
    return true;
}

static bool is_oid(struct hub_span s)
{
    bool dot = false;
    for (size_t i = 0; i < s.len; i++) {
        dot = dot || s.ptr[i] == '.';
        if (!is_digit(s.ptr[i]) && (s.ptr[i] != '.' || i == 0 || i + 1 == s.len))
            return false;
    }
    return dot && s.ptr[0] <= '2';
}

static struct hub_span joined_text(const struct map_run *run, const char *before, struct hub_span text)
{
    const struct hub_span parts[] = {hub_span_str(before), text};
    return hub_arena_concat(run->arena, parts, 2);
}

struct hub_span map_coding_system(const struct map_run *run, struct hub_span name)
{
    name = trim_all(name);
    const struct hub_code *known = run->tables->coding_systems != NULL ? hub_codes_find(run->tables->coding_systems, name) : NULL;
    if (known != NULL)
        return known->code;
    if (name.len == 7 && hub_span_equal_nocase(hub_span_of(name.ptr, 3), HUB_SPAN("HL7")))
        return joined_text(run, "http://terminology.hl7.org/CodeSystem/v2-", hub_span_of(name.ptr + 3, 4));
    if (is_absolute(name))
        return name;
    if (is_oid(name))
        return joined_text(run, "urn:oid:", name);
    char *out = hub_arena_bytes(run->arena, 26 + 3 * name.len);
    if (out == NULL || name.len == 0)
        return HUB_SPAN_NONE;
    memcpy(out, "urn:chartline:codesystem:", 25 - 1);
    size_t n = 24;
    out[n++] = ':';
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool plain = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~", c) != NULL;
        static const char hex[] = "0123456789ABCDEF";
        out[n++] = plain ? (char)c : '%';
        if (!plain) {
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return hub_span_of(out, n);
}

static enum hub_result read_authority(const struct map_run *run, struct map_value value, unsigned first, struct hub_authority_view *out)
{
    struct hub_hd hd = {
        map_first_plain(run, map_part_of(run, value, first)),
        map_first_plain(run, map_part_of(run, value, first + 1)),
        map_first_plain(run, map_part_of(run, value, first + 2)),
    };
    return hub_authority_canonical(run->arena, run->options->config, run->options->feed, &hd, run->facility, out);
}

/* The few authorities of a message come by with every doctor and number. What stands before the HD tells nothing. */
enum hub_result map_authority(struct map_run *run, struct map_value value, bool from_second, struct hub_authority_view *out)
{
    struct hub_span raw = map_span(value);
    if (from_second) {
        const uint8_t cut = map_delimiter(run->message, value);
        const size_t skip = cut != 0 ? map_find_byte(raw.ptr, raw.len, cut) : raw.len;
        raw = hub_span_of(raw.ptr + skip, raw.len - skip);
    }
    if (raw.len == 0)
        return read_authority(run, value, from_second ? 2 : 1, out);
    struct map_known_authority *known = &run->authorities[(raw.len + raw.ptr[raw.len / 2]) % MAP_AUTHORITY_SLOTS];
    if (known->level != value.level || known->from_second != from_second || !hub_span_equal(known->raw, raw)) {
        HUB_TRY(read_authority(run, value, from_second ? 2 : 1, &known->view));
        known->raw = raw;
        known->level = value.level;
        known->from_second = from_second;
    }
    *out = known->view;
    return HUB_OK;
}

static bool has_base64_only(struct hub_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!is_digit(c) && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && c != '+' && c != '/' && c != '=')
            return false;
    }
    return s.len % 4 == 0;
}

static struct hub_span encode_bytes(const struct map_run *run, struct hub_span bytes)
{
    size_t len = hub_encoded_len(HUB_BASE64, bytes.len);
    char *out = hub_arena_bytes(run->arena, len + 1);
    if (out == NULL)
        return HUB_SPAN_NONE;
    (void)hub_encode(HUB_BASE64, bytes, out, len + 1);
    return hub_span_of(out, len);
}

/* Data of an ED by its encoding (ED-4 of the value at hand), in base64; empty: it cannot be read. */
static struct hub_span read_data(const struct map_scope *scope, struct map_value value)
{
    const struct map_run *run = scope->run;
    struct hub_span how = map_first_plain(run, map_part_of(run, scope->value, 4));
    struct hub_span text = HUB_SPAN_NONE;
    if (hub_hl7_text(run->arena, run->message, map_span(value), true, &text) != HUB_OK)
        return HUB_SPAN_NONE;
    if (hub_span_equal_nocase(how, HUB_SPAN("Base64"))) {
        struct hub_span plain = trim_all(text);
        if (!has_base64_only(plain)) {
            char *copy = hub_arena_bytes(run->arena, plain.len);
            size_t n = 0;
            for (size_t i = 0; copy != NULL && i < plain.len; i++) {
                if (!is_space(plain.ptr[i]))
                    copy[n++] = (char)plain.ptr[i];
            }
            plain = hub_span_of(copy, n);
        }
        return has_base64_only(plain) ? plain : HUB_SPAN_NONE;
    }
    if (hub_span_equal_nocase(how, HUB_SPAN("Hex"))) {
        uint8_t *bytes = (uint8_t *)hub_arena_bytes(run->arena, text.len / 2 + 1);
        char *low = hub_arena_bytes(run->arena, text.len + 1);
        size_t len = 0;
        for (size_t i = 0; low != NULL && i < text.len; i++)
            low[i] = (char)(text.ptr[i] >= 'A' && text.ptr[i] <= 'F' ? text.ptr[i] | 0x20 : text.ptr[i]);
        if (bytes == NULL || low == NULL ||
            hub_decode(HUB_HEX, hub_span_of(low, text.len), bytes, text.len / 2 + 1, &len) != HUB_OK)
            return HUB_SPAN_NONE;
        text = hub_span_of(bytes, len);
    }
    return encode_bytes(run, text);
}

static struct hub_json *base64(const struct map_scope *scope, struct map_value value)
{
    struct map_run *run = scope->run;
    const struct hub_span raw = map_span(value);
    if (run->data_raw.ptr != raw.ptr || run->data_raw.len != raw.len) {
        run->data = read_data(scope, value);
        run->data_raw = raw;
    }
    return run->data.len != 0 ? hub_json_string(run->arena, run->data) : NULL;
}

static struct hub_json *text_value(const struct map_run *run, const struct map_rule *rule, struct map_value value)
{
    struct hub_span text = map_span(value);
    if ((value.marks & HUB_HL7_ESCAPES) != 0 && hub_hl7_text(run->arena, run->message, text, true, &text) != HUB_OK)
        return NULL;
    text = rule->type == MAP_T_TEXT ? trim_end(text) : trim_all(text);
    if (rule->codes != NULL) {
        const struct hub_code *found = hub_codes_find(rule->codes, text);
        if (found == NULL && rule->codes->unmapped == HUB_UNMAPPED_OMIT)
            return NULL;
        text = found == NULL ? text : found->display.len != 0 ? found->display : found->code;
    }
    return text.len != 0 ? map_string(run, text, value.marks) : NULL;
}

static struct hub_json *uri_value(const struct map_run *run, enum map_type type, struct hub_span text, uint8_t marks)
{
    if (type == MAP_T_SYSTEM) {
        struct hub_span system = map_coding_system(run, text);
        return system.len != 0 ? map_string(run, system, marks) : NULL;
    }
    if (type == MAP_T_OID)
        return is_oid(text) ? hub_json_string(run->arena, joined_text(run, "urn:oid:", text)) : NULL;
    return is_absolute(text) ? map_string(run, text, marks) : NULL;
}

static struct hub_json *number_value(const struct map_run *run, enum map_type type, struct hub_span text)
{
    struct hub_span rest = HUB_SPAN_NONE;
    struct hub_span number = type == MAP_T_DECIMAL ? number_text(run, text, true, &rest) : whole_number(run, text, type);
    return number.len != 0 && rest.len == 0 ? hub_json_number(run->arena, number) : NULL;
}

struct hub_json *map_convert(const struct map_scope *scope, const struct map_rule *rule, struct map_value value, enum hub_result *result)
{
    struct map_run *run = scope->run;
    struct hub_span text = HUB_SPAN_NONE;
    struct hub_authority_view authority;
    if (rule->type != MAP_T_STRING && rule->type != MAP_T_TEXT && rule->type != MAP_T_BASE64)
        text = trim_all(map_first_plain(run, value));
    switch (rule->type) {
    case MAP_T_STRING:
    case MAP_T_TEXT:
        return text_value(run, rule, value);
    case MAP_T_CODE:
        return coded(scope, rule, text, value.marks);
    case MAP_T_URI:
    case MAP_T_OID:
    case MAP_T_SYSTEM:
        return uri_value(run, rule->type, text, value.marks);
    case MAP_T_DECIMAL:
    case MAP_T_INTEGER:
    case MAP_T_POSITIVE:
    case MAP_T_UNSIGNED:
        return number_value(run, rule->type, text);
    case MAP_T_BOOLEAN:
        return boolean(run, text);
    case MAP_T_DATE:
    case MAP_T_DATETIME:
    case MAP_T_INSTANT:
    case MAP_T_TIME:
        return map_time_text(run, rule->type, text, &text) ? hub_json_string(run->arena, text) : NULL;
    case MAP_T_BASE64:
        return base64(scope, value);
    case MAP_T_AUTHORITY:
    case MAP_T_NUMBER_AUTHORITY:
    case MAP_T_ASSIGNER:
        if (rule->type == MAP_T_ASSIGNER)
            value = map_part_of(run, value, 4);
        *result = map_authority(run, value, rule->type == MAP_T_NUMBER_AUTHORITY, &authority);
        return *result == HUB_OK && authority.system.len != 0 ? map_string(run, authority.system, HUB_HL7_CONTROLS) : NULL;
    case MAP_T_QUANTITY:
    case MAP_T_TABLE:
    case MAP_T_RULES:
    case MAP_T_VALUE:
    case MAP_T_FORMAT:
        return NULL;
    }
    return NULL;
}

static enum hub_result set_coding(const struct map_run *run, struct hub_json *coding, const struct hub_code *code)
{
    HUB_TRY(hub_json_set_string(run->arena, coding, "code", code->code));
    if (code->display.len != 0)
        HUB_TRY(hub_json_set_string(run->arena, coding, "display", code->display));
    if (code->system.len != 0)
        HUB_TRY(hub_json_set_string(run->arena, coding, "system", code->system));
    return HUB_OK;
}

enum hub_result map_apply_codes(const struct map_run *run, struct hub_json *object, const struct hub_codes *codes, enum map_codes_on on)
{
    struct hub_json *list = on == MAP_CODES_CONCEPT ? hub_json_get(object, "coding") : NULL;
    struct hub_json *coding = on == MAP_CODES_CONCEPT ? (list != NULL ? list->first : NULL) : object;
    struct hub_span code = hub_json_get_span(coding, "code");
    if (code.len == 0)
        return HUB_OK;
    const struct hub_code *found = hub_codes_find(codes, code);
    if (found == NULL && codes->unmapped == HUB_UNMAPPED_CODE)
        found = &codes->other;
    if (found == NULL || found->code.len == 0)
        return HUB_OK;
    if (hub_json_get(coding, "system") == NULL && codes->source.len != 0 && found != &codes->other)
        HUB_TRY(hub_json_set_string(run->arena, coding, "system", codes->source));
    bool same = hub_span_equal(code, found->code) && hub_span_equal(hub_json_get_span(coding, "system"), found->system);
    if (on == MAP_CODES_CODING || same) {
        if (!same)
            (void)hub_json_remove(coding, "display");
        return set_coding(run, coding, found);
    }
    struct hub_json *mapped = hub_json_new(run->arena, HUB_JSON_OBJECT);
    HUB_ENSURE(mapped != NULL && list != NULL, HUB_NO_MEMORY);
    HUB_TRY(set_coding(run, mapped, found));
    mapped->next = list->first;
    list->first = mapped;
    list->len++;
    return HUB_OK;
}

enum hub_result map_format_text(const struct map_scope *scope, const struct map_format *format, struct hub_span *out)
{
    struct hub_span parts[64];
    uint16_t count = 0;
    uint16_t group_start = 0;
    bool in_group = false;
    bool group_good = true;
    size_t len = 0;
    *out = HUB_SPAN_NONE;
    for (uint16_t i = 0; i < format->count; i++) {
        const struct map_piece *piece = &format->pieces[i];
        struct map_value value;
        switch (piece->kind) {
        case MAP_PIECE_OPEN:
            in_group = group_good = true;
            group_start = count;
            continue;
        case MAP_PIECE_CLOSE:
            in_group = false;
            count = group_good ? count : group_start;
            continue;
        case MAP_PIECE_TEXT:
            parts[count++] = piece->text;
            continue;
        case MAP_PIECE_PATH:
            value = map_read(scope, &piece->path);
            if (value.len != 0) {
                value = map_first_part(scope->run, value);
                parts[count] = trim_all(map_plain(scope->run, value));
                map_trace_used(scope->run, map_span(value));
                count++;
            } else if (in_group) {
                group_good = false;
            } else {
                return HUB_OK;
            }
            continue;
        }
    }
    for (uint16_t i = 0; i < count; i++)
        len += parts[i].len;
    char *text = hub_arena_bytes(scope->run->arena, len + 1);
    HUB_ENSURE(text != NULL, HUB_NO_MEMORY);
    size_t n = 0;
    for (uint16_t i = 0; i < count; i++) {
        if (parts[i].len != 0)
            memcpy(text + n, parts[i].ptr, parts[i].len);
        n += parts[i].len;
    }
    *out = trim_all(hub_span_of(text, n));
    return HUB_OK;
}
