#include "src/codec/charset_iconv.h"

#include <errno.h>
#include <iconv.h>

#include "src/base/mem.h"

enum { SCRATCH = 1024 };

/* One pass: into OUT, or only counted when OUT is NULL. iconv's input is not const by an accident of history. */
static enum hub_result convert(iconv_t cd, struct hub_span bytes, char *out, size_t cap, size_t *len, size_t *bad_at)
{
    union {
        const uint8_t *bytes;
        char *iconv;
    } in = {.bytes = bytes.ptr};
    size_t left = bytes.len;
    enum hub_result result = HUB_OK;
    char scratch[SCRATCH];
    *len = 0;
    (void)iconv(cd, NULL, NULL, NULL, NULL);
    while (left > 0) {
        char *to = out != NULL ? out + *len : scratch;
        size_t room = out != NULL ? cap - *len : sizeof scratch;
        size_t before = room;
        size_t done = iconv(cd, &in.iconv, &left, &to, &room);
        *len += before - room;
        if (done != (size_t)-1)
            break;
        if (errno == E2BIG && out == NULL)
            continue;
        *bad_at = bytes.len - left;
        result = errno == EILSEQ || errno == EINVAL ? HUB_CHARSET : HUB_INTERNAL;
        break;
    }
    hub_mem_wipe(scratch, sizeof scratch);
    return result;
}

enum hub_result hub_charset_iconv(struct hub_arena *arena, const char *from, struct hub_span bytes, struct hub_span *utf8,
                                  size_t *bad_at)
{
    size_t len = 0;
    char *out = NULL;
    enum hub_result result;
    iconv_t cd = iconv_open("UTF-8", from);
    if (cd == (iconv_t)-1)
        return errno == ENOMEM ? HUB_NO_MEMORY : HUB_CHARSET_UNKNOWN;
    HUB_TRY_OUT(convert(cd, bytes, NULL, 0, &len, bad_at));
    out = hub_arena_bytes(arena, len + 1);
    HUB_TRY_OUT(out != NULL ? HUB_OK : HUB_NO_MEMORY);
    HUB_TRY_OUT(convert(cd, bytes, out, len, &len, bad_at));
    *utf8 = hub_span_of(out, len);
out:
    (void)iconv_close(cd);
    return result;
}
