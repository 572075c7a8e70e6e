#include "src/codec/charset.h"

#include "src/codec/charset_iconv.h"
#include "src/codec/json.h"

enum { ALIASES_MAX = 12, NAME_MAX_LEN = 40 };

/* A set to add is a row to add. Aliases are in folded form: lower case letters and digits only. */
struct hub_charset {
    const char *name;
    const char *iconv; /* NULL: ASCII or UTF-8, told apart by the bytes */
    const char *aliases[ALIASES_MAX];
};

static const struct hub_charset charsets[] = {
    {"ASCII", NULL, {"ascii", "usascii", "isoir6", "iso646us", "iso646", "ansix341968", "7bit"}},
    {"UTF-8", NULL, {"utf8", "unicodeutf8", "unicode", "isoir192", "iso10646utf8", "iso10646"}},
    {"8859/1", "ISO-8859-1", {"88591", "iso88591", "isoir100", "latin1", "l1", "isolatin1"}},
    {"windows-1252", "CP1252", {"windows1252", "cp1252", "ansi1252", "win1252"}},
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

enum hub_result hub_charset_to_utf8(struct hub_arena *arena, const struct hub_charset *charset, struct hub_span bytes,
                                    struct hub_charset_text *out)
{
    *out = (struct hub_charset_text){.utf8 = bytes};
    size_t good = hub_utf8_valid_len(bytes);
    bool converts = charset != NULL && charset->iconv != NULL;
    if (good == bytes.len) {
        for (size_t i = 0; converts && !out->mislabelled && i < bytes.len; i++)
            out->mislabelled = bytes.ptr[i] >= 0x80;
        return HUB_OK;
    }
    out->utf8 = HUB_SPAN_NONE;
    if (converts)
        return hub_charset_iconv(arena, charset->iconv, bytes, &out->utf8, &out->bad_at);
    out->bad_at = good;
    return HUB_CHARSET;
}
