#include "src/codec/charset.h"

#include "src/codec/charset_iconv.h"
#include "src/codec/json.h"

enum { ALIASES_MAX = 12, NAME_MAX_LEN = 40, WIDE_COUNT = 4, ESC = 0x1b };

enum kind {
    PLAIN,   /* ASCII or UTF-8, told apart by the bytes */
    LATIN,   /* one byte a character; its text beyond ASCII is never well-formed UTF-8 as a whole */
    EXACT,   /* its text may be well-formed UTF-8 by chance */
    KANA,    /* JIS X 0201: ASCII and half-width katakana */
    ESCAPED, /* ISO 2022 of seven bits, with its sets named by escape sequences */
    WIDE,    /* UTF-16 or UTF-32; bytes in it are known by their shape (hub_charset_wide) */
};

/* A set to add is a row to add. Aliases are in folded form: lower case letters and digits only. */
struct hub_charset {
    const char *name;
    const char *iconv;
    enum kind kind;
    const char *aliases[ALIASES_MAX];
};

static const struct hub_charset charsets[] = {
    {"ASCII", NULL, PLAIN, {"ascii", "usascii", "isoir6", "iso646us", "iso646", "ansix341968", "7bit"}},
    {"UTF-8", NULL, PLAIN, {"utf8", "unicodeutf8", "unicode", "isoir192", "iso10646utf8", "iso10646"}},
    {"UTF-16", NULL, WIDE, {"utf16", "unicodeutf16", "utf16le", "utf16be", "ucs2", "iso10646ucs2"}},
    {"UTF-32", NULL, WIDE, {"utf32", "unicodeutf32", "utf32le", "utf32be", "ucs4", "iso10646ucs4"}},
    {"8859/1", "ISO-8859-1", LATIN, {"88591", "iso88591", "isoir100", "latin1", "l1", "isolatin1"}},
    {"8859/2", "ISO-8859-2", LATIN, {"88592", "iso88592", "isoir101", "latin2", "l2"}},
    {"8859/3", "ISO-8859-3", LATIN, {"88593", "iso88593", "isoir109", "latin3", "l3"}},
    {"8859/4", "ISO-8859-4", LATIN, {"88594", "iso88594", "isoir110", "latin4", "l4"}},
    {"8859/5", "ISO-8859-5", LATIN, {"88595", "iso88595", "isoir144", "cyrillic"}},
    {"8859/6", "ISO-8859-6", LATIN, {"88596", "iso88596", "isoir127", "arabic"}},
    {"8859/7", "ISO-8859-7", LATIN, {"88597", "iso88597", "isoir126", "greek"}},
    {"8859/8", "ISO-8859-8", LATIN, {"88598", "iso88598", "isoir138", "hebrew"}},
    {"8859/9", "ISO-8859-9", LATIN, {"88599", "iso88599", "isoir148", "latin5", "l5"}},
    {"8859/10", "ISO-8859-10", LATIN, {"885910", "iso885910", "isoir157", "latin6", "l6"}},
    {"8859/11", "ISO-8859-11", EXACT, {"885911", "iso885911", "isoir166", "tis620", "thai"}},
    {"8859/13", "ISO-8859-13", LATIN, {"885913", "iso885913", "isoir179", "latin7", "l7"}},
    {"8859/14", "ISO-8859-14", LATIN, {"885914", "iso885914", "isoir199", "latin8", "l8"}},
    {"8859/15", "ISO-8859-15", LATIN, {"885915", "iso885915", "isoir203", "latin9", "l9"}},
    {"windows-1250", "CP1250", LATIN, {"windows1250", "cp1250", "win1250"}},
    {"windows-1251", "CP1251", LATIN, {"windows1251", "cp1251", "win1251"}},
    {"windows-1252", "CP1252", LATIN, {"windows1252", "cp1252", "ansi1252", "win1252"}},
    {"ISO IR14", "CP932", KANA, {"isoir14", "isoir13", "jisx0201", "jisx02011976"}},
    {"ISO IR87", "ISO-2022-JP-2", ESCAPED, {"isoir87", "jisx0208", "jisx02081990", "iso2022jp"}},
    {"ISO IR159", "ISO-2022-JP-2", ESCAPED, {"isoir159", "jisx0212", "jisx02121990", "iso2022jp2"}},
    {"windows-31J", "CP932", EXACT, {"windows31j", "cp932", "ms932", "shiftjis", "sjis"}},
    {"GB 18030-2000",
     "GB18030",
     EXACT,
     {"gb180302000", "gb18030", "gb180302005", "gbk", "gb2312", "cp936", "isoir58"}},
    {"KS X 1001", "CP949", EXACT, {"ksx1001", "ksx10011992", "ksc5601", "euckr", "cp949", "uhc", "isoir149"}},
    {"BIG-5", "BIG5", EXACT, {"big5", "cp950"}},
    {"CNS 11643-1992", "EUC-TW", EXACT, {"cns116431992", "cns11643", "euctw"}},
};

/* By unit and byte order; the longer marks first, for that of UTF-32 begins with that of UTF-16. */
static const struct {
    struct hub_charset set;
    uint8_t unit;
    bool big;
    uint8_t mark[4];
} wides[WIDE_COUNT] = {
    {{"UTF-32", "UTF-32LE", EXACT, {NULL}}, 4, false, {0xff, 0xfe, 0, 0}},
    {{"UTF-32", "UTF-32BE", EXACT, {NULL}}, 4, true, {0, 0, 0xfe, 0xff}},
    {{"UTF-16", "UTF-16LE", EXACT, {NULL}}, 2, false, {0xff, 0xfe}},
    {{"UTF-16", "UTF-16BE", EXACT, {NULL}}, 2, true, {0xfe, 0xff}},
};

static bool fold(struct hub_span name, char out[NAME_MAX_LEN + 1])
{
    size_t len = 0;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!kept && c != ' ' && c != '-' && c != '_' && c != '/' && c != '.')
            return false;
        if (kept && len == NAME_MAX_LEN)
            return false;
        if (kept)
            out[len++] = (char)c;
    }
    out[len] = '\0';
    return len != 0;
}

const struct hub_charset *hub_charset_find(struct hub_span name)
{
    char folded[NAME_MAX_LEN + 1];
    if (!fold(name, folded))
        return NULL;
    for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++)
        for (size_t k = 0; k < ALIASES_MAX && charsets[i].aliases[k] != NULL; k++)
            if (strcmp(charsets[i].aliases[k], folded) == 0)
                return &charsets[i];
    return NULL;
}

const char *hub_charset_name(const struct hub_charset *charset)
{
    return charset->name;
}

bool hub_charset_is_escaped(const struct hub_charset *charset)
{
    return charset->kind == ESCAPED;
}

bool hub_charset_is_converted(const struct hub_charset *charset)
{
    return charset->iconv != NULL;
}

/* --- UTF-16 and UTF-32 --- */

static bool is_ascii_unit(struct hub_span bytes, size_t unit, bool big)
{
    bool good = bytes.len >= unit;
    for (size_t i = 0; i < unit && good; i++) {
        bool low = i == (big ? unit - 1 : 0);
        good = low ? bytes.ptr[i] != 0 && bytes.ptr[i] < 0x80 : bytes.ptr[i] == 0;
    }
    return good;
}

const struct hub_charset *hub_charset_wide(struct hub_span bytes, struct hub_charset_shape *out)
{
    for (size_t i = 0; i < WIDE_COUNT; i++) {
        size_t unit = wides[i].unit;
        bool marked = bytes.len >= unit && memcmp(bytes.ptr, wides[i].mark, unit) == 0;
        bool shaped = is_ascii_unit(bytes, unit, wides[i].big) && bytes.len >= 2 * unit &&
                      is_ascii_unit(hub_span_of(bytes.ptr + unit, bytes.len - unit), unit, wides[i].big);
        if (!marked && !shaped)
            continue;
        *out = (struct hub_charset_shape){
            .unit = wides[i].unit, .big = wides[i].big, .mark_len = marked ? wides[i].unit : 0};
        return &wides[i].set;
    }
    return NULL;
}

static uint32_t take_character(struct hub_span *utf8)
{
    uint8_t lead = utf8->ptr[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t character = len == 1 ? lead : lead & (0xffU >> (len + 1));
    HUB_ASSERT(len <= utf8->len);
    for (size_t i = 1; i < len; i++)
        character = character << 6 | (utf8->ptr[i] & 0x3fU);
    *utf8 = hub_span_of(utf8->ptr + len, utf8->len - len);
    return character;
}

static void put_unit(const struct hub_charset_shape *shape, uint32_t value, uint8_t *out)
{
    for (size_t i = 0; i < shape->unit; i++)
        out[shape->big ? shape->unit - 1 - i : i] = (uint8_t)(value >> (8 * i));
}

size_t hub_charset_put_wide(const struct hub_charset_shape *shape, struct hub_span *utf8, uint8_t out[4])
{
    uint32_t character = take_character(utf8);
    if (shape->unit == 4 || character < 0x10000) {
        put_unit(shape, character, out);
        return shape->unit;
    }
    put_unit(shape, 0xd800 + ((character - 0x10000) >> 10), out);
    put_unit(shape, 0xdc00 + ((character - 0x10000) & 0x3ff), out + 2);
    return 4;
}

/* --- the conversion --- */

static size_t kana_valid_len(struct hub_span bytes)
{
    size_t at = 0;
    while (at < bytes.len && (bytes.ptr[at] < 0x80 || (bytes.ptr[at] >= 0xa1 && bytes.ptr[at] <= 0xdf)))
        at++;
    return at;
}

static bool is_known_escape(struct hub_span rest)
{
    static const char *const known[] = {"(B", "(J", "(I", "$B", "$@", "$(D"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t len = strlen(known[i]);
        if (rest.len > len && memcmp(rest.ptr + 1, known[i], len) == 0)
            return true;
    }
    return false;
}

/* iconv lets an escape sequence pass that it does not know, and reads `\` and `~` of JIS X 0201 (ESC ( J) as
 * a yen sign and an overline, where a message means its delimiters. */
static enum hub_result prepare_escaped(struct hub_arena *arena, struct hub_span bytes, struct hub_span *out,
                                       size_t *bad_at)
{
    uint8_t *copy = hub_arena_alloc(arena, bytes.len + 1);
    HUB_ENSURE(copy != NULL, HUB_NO_MEMORY);
    memcpy(copy, bytes.ptr, bytes.len);
    *out = hub_span_of(copy, bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        if (copy[i] != ESC)
            continue;
        if (!is_known_escape(hub_span_of(copy + i, bytes.len - i))) {
            *bad_at = i;
            return HUB_CHARSET;
        }
        if (copy[i + 1] == '(' && copy[i + 2] == 'J')
            copy[i + 2] = 'B';
    }
    return HUB_OK;
}

static enum hub_result plain(struct hub_span bytes, struct hub_charset_text *out)
{
    out->bad_at = hub_utf8_valid_len(bytes);
    if (out->bad_at == bytes.len)
        return HUB_OK;
    out->utf8 = HUB_SPAN_NONE;
    return HUB_CHARSET;
}

static bool beyond_ascii(struct hub_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] >= 0x80)
            return true;
    return false;
}

/* Bytes of a declared set that are UTF-8 in truth. */
static bool is_mislabelled(const struct hub_charset *charset, struct hub_span bytes)
{
    bool guessed = charset->kind == LATIN || (charset->kind == ESCAPED &&
                                              (bytes.len == 0 || memchr(bytes.ptr, ESC, bytes.len) == NULL));
    return guessed && hub_utf8_valid(bytes);
}

enum hub_result hub_charset_to_utf8(struct hub_arena *arena, const struct hub_charset *charset, struct hub_span bytes,
                                    struct hub_charset_text *out)
{
    *out = (struct hub_charset_text){.utf8 = bytes};
    if (charset == NULL || charset->kind == PLAIN)
        return plain(bytes, out);
    out->mislabelled = charset->kind == WIDE; /* its bytes have another shape */
    if (charset->kind == WIDE)
        return plain(bytes, out);
    if (is_mislabelled(charset, bytes)) {
        out->mislabelled = beyond_ascii(bytes);
        return HUB_OK;
    }
    out->utf8 = HUB_SPAN_NONE;
    out->bad_at = charset->kind == KANA ? kana_valid_len(bytes) : bytes.len;
    if (out->bad_at != bytes.len)
        return HUB_CHARSET;
    if (charset->kind == ESCAPED)
        HUB_TRY(prepare_escaped(arena, bytes, &bytes, &out->bad_at));
    return hub_charset_iconv(arena, charset->iconv, bytes, &out->utf8, &out->bad_at);
}
