#include "src/codec/json_scan.h"

#include "src/codec/json.h"

enum { ESCAPE_LEN = 6 }; /* \u001f */

#if defined(__SSE2__)
#include <emmintrin.h>

enum { BLOCK = 16 };

/* A bit for each byte of the block that is no plain part of a string. */
static inline unsigned stops_of(__m128i block)
{
    const __m128i low = _mm_xor_si128(block, _mm_set1_epi8(2)); /* '"' comes below 0x21, with the control characters */
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(low, _mm_set1_epi8(0x20)), low);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))));
}

/* As find_stop, block by block; the rest is left to it. */
static const uint8_t *find_in_blocks(const uint8_t *at, const uint8_t *end, bool *wide, bool *found)
{
    __m128i all = _mm_setzero_si128();
    unsigned stops = 0;
    while ((size_t)(end - at) >= BLOCK) {
        const __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        stops = stops_of(block);
        all = _mm_or_si128(all, block);
        if (stops != 0)
            break;
        at += BLOCK;
    }
    *wide = *wide || _mm_movemask_epi8(all) != 0;
    *found = stops != 0;
    return *found ? at + __builtin_ctz(stops) : at;
}
#else
static const uint8_t *find_in_blocks(const uint8_t *at, const uint8_t *end, bool *wide, bool *found)
{
    (void)end, (void)wide;
    *found = false;
    return at;
}
#endif

/* The first byte from AT on that is no plain part of a string (a control character, '"', '\\'), END when there is none. WIDE is
 * set when a byte before it may be no ASCII. */
static inline const uint8_t *find_stop(const uint8_t *at, const uint8_t *end, bool *wide)
{
    bool found = false;
    at = find_in_blocks(at, end, wide, &found);
    if (found)
        return at;
    for (; at < end && *at >= 0x20 && *at != '"' && *at != '\\'; at++)
        *wide = *wide || *at >= 0x80;
    return at;
}

/* Length of the escape at AT, 0 when canonical JSON has no such one: \u stands for those control characters only that have no
 * letter. */
static size_t escape_len(const uint8_t *at, const uint8_t *end)
{
    static const char digits[] = "0123456789abcdef";
    if (end - at < 2)
        return 0;
    if (memchr("\"\\bfnrt", at[1], 7) != NULL)
        return 2;
    if (end - at < ESCAPE_LEN || memcmp(at + 1, "u00", 3) != 0 || (at[4] != '0' && at[4] != '1'))
        return 0;
    const char *digit = memchr(digits, at[5], sizeof digits - 1);
    if (digit == NULL || (at[4] == '0' && memchr("89acd", at[5], 5) != NULL))
        return 0;
    return ESCAPE_LEN;
}

bool hub_scan_string(struct hub_scan *scan, struct hub_scan_word *word)
{
    if (hub_scan_peek(scan) != '"')
        return false;
    const uint8_t *start = scan->at + 1;
    bool wide = false;
    const uint8_t *at = find_stop(start, scan->end, &wide);
    word->plain = true;
    while (at < scan->end && *at == '\\') {
        const size_t len = escape_len(at, scan->end);
        if (len == 0)
            return false;
        word->plain = false;
        at = find_stop(at + len, scan->end, &wide);
    }
    if (at >= scan->end || *at != '"')
        return false;
    word->text = hub_span_of(start, (size_t)(at - start));
    scan->at = at + 1;
    return !wide || hub_utf8_valid(word->text);
}

bool hub_scan_open(struct hub_scan *scan, char bracket)
{
    if (hub_scan_peek(scan) != (uint8_t)bracket || scan->depth >= HUB_JSON_DEPTH_MAX)
        return false;
    scan->at++;
    scan->depth++;
    return true;
}

/* Over the comma before what comes next, but the first; HUB_END behind the closing BRACKET. */
static enum hub_result next(struct hub_scan *scan, struct hub_scan_name *name, uint8_t bracket)
{
    if (hub_scan_peek(scan) == bracket) {
        scan->at++;
        scan->depth--;
        return HUB_END;
    }
    if (name->begun && (hub_scan_peek(scan) != ',' || ++scan->at >= scan->end))
        return HUB_SYNTAX;
    return scan->at < scan->end ? HUB_OK : HUB_SYNTAX;
}

enum hub_result hub_scan_member(struct hub_scan *scan, struct hub_scan_name *name)
{
    struct hub_scan_word word;
    HUB_TRY(next(scan, name, '}'));
    HUB_ENSURE(hub_scan_string(scan, &word) && hub_scan_peek(scan) == ':', HUB_SYNTAX);
    scan->at++;
    /* FHIR and CloudEvents have no name that needs an escape; of those that do the order could not be seen here */
    HUB_ENSURE(word.plain && (!name->begun || hub_span_compare(name->word.text, word.text) < 0), HUB_SYNTAX);
    *name = (struct hub_scan_name){.word = word, .begun = true};
    return HUB_OK;
}

enum hub_result hub_scan_item(struct hub_scan *scan, struct hub_scan_name *item)
{
    HUB_TRY(next(scan, item, ']'));
    item->begun = true;
    return HUB_OK;
}

static const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* RFC 8259, 6. */
static bool skip_number(struct hub_scan *scan)
{
    const uint8_t *at = scan->at;
    const uint8_t *end = scan->end;
    at += at < end && *at == '-';
    const uint8_t *digits = at;
    at = skip_digits(at, end);
    if (at == digits || (*digits == '0' && at - digits > 1))
        return false;
    if (at < end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, end);
        if (at == digits)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        digits = at;
        at = skip_digits(at, end);
        if (at == digits)
            return false;
    }
    scan->at = at;
    return true;
}

static bool skip_literal(struct hub_scan *scan, const char *literal)
{
    const size_t len = strlen(literal);
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, literal, len) != 0)
        return false;
    scan->at += len;
    return true;
}

static bool skip_members(struct hub_scan *scan)
{
    struct hub_scan_name name = {.begun = false};
    enum hub_result result = HUB_SYNTAX;
    if (!hub_scan_open(scan, '{'))
        return false;
    while ((result = hub_scan_member(scan, &name)) == HUB_OK) {
        if (!hub_scan_value(scan, NULL))
            return false;
    }
    return result == HUB_END;
}

static bool skip_items(struct hub_scan *scan)
{
    struct hub_scan_name item = {.begun = false};
    enum hub_result result = HUB_SYNTAX;
    if (!hub_scan_open(scan, '['))
        return false;
    while ((result = hub_scan_item(scan, &item)) == HUB_OK) {
        if (!hub_scan_value(scan, NULL))
            return false;
    }
    return result == HUB_END;
}

static bool skip(struct hub_scan *scan)
{
    struct hub_scan_word word;
    switch (hub_scan_peek(scan)) {
    case '"':
        return hub_scan_string(scan, &word);
    case '{':
        return skip_members(scan);
    case '[':
        return skip_items(scan);
    case 't':
        return skip_literal(scan, "true");
    case 'f':
        return skip_literal(scan, "false");
    case 'n':
        return skip_literal(scan, "null");
    default:
        return skip_number(scan);
    }
}

bool hub_scan_value(struct hub_scan *scan, struct hub_span *value)
{
    const uint8_t *start = scan->at;
    if (!skip(scan))
        return false;
    if (value != NULL)
        *value = hub_span_of(start, (size_t)(scan->at - start));
    return true;
}

enum hub_result hub_scan_text(struct hub_arena *arena, struct hub_scan_word word, struct hub_span *text)
{
    *text = word.text;
    if (word.plain)
        return HUB_OK;
    struct hub_json *node = NULL; /* the quotes around it are there */
    HUB_TRY(hub_json_parse(arena, hub_span_of(word.text.ptr - 1, word.text.len + 2), &node, NULL));
    *text = hub_json_span(node);
    return HUB_OK;
}
