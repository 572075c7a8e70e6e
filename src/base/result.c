#include "src/base/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct hub_result_row rows[HUB_RESULT_COUNT] = {
#define HUB_ROW(name, class_, text_, ack, err, http, metric_)                                                \
    [HUB_##name] = {#name, HUB_CLASS_##class_, text_, ack, err, http, metric_},
#include "src/base/result.def"
#undef HUB_ROW
};

const struct hub_result_row *hub_result_row(enum hub_result result)
{
    if ((unsigned)result >= HUB_RESULT_COUNT)
        return &rows[HUB_INTERNAL];
    return &rows[result];
}

const char *hub_result_text(enum hub_result result)
{
    return hub_result_row(result)->text;
}

enum hub_result hub_fail(struct hub_error *err, enum hub_result result, const char *what, const char *mend)
{
    if (err != NULL) {
        memset(err, 0, sizeof *err);
        err->result = result;
        err->what = what != NULL ? what : hub_result_text(result);
        err->mend = mend != NULL ? mend : "";
    }
    return result;
}

enum hub_result hub_fail_errno(struct hub_error *err, enum hub_result result, const char *what, int errnum)
{
    (void)hub_fail(err, result, what, strerrordesc_np(errnum));
    hub_error_number(err, errnum);
    return result;
}

/* TEXT was printed into CAP bytes as far as it fits: of a character of UTF-8 that was cut in two nothing stays. Returns its
 * length. */
static size_t drop_half_character(char *text, size_t cap)
{
    const size_t len = strlen(text);
    size_t start = len;
    if (len + 1 < cap)
        return len;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0U) == 0x80)
        start--;
    if (start == 0)
        return len;
    const unsigned char lead = (unsigned char)text[--start];
    const size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (len - start >= whole)
        return len;
    text[start] = '\0';
    return start;
}

enum hub_result hub_error_at(struct hub_error *err, const char *place_format, ...)
{
    if (err == NULL)
        return HUB_INTERNAL;
    va_list args;
    va_start(args, place_format);
    (void)vsnprintf(err->place, sizeof err->place, place_format, args);
    va_end(args);
    (void)drop_half_character(err->place, sizeof err->place);
    return err->result;
}

enum hub_result hub_error_in(struct hub_error *err, const char *path, uint32_t line)
{
    if (err == NULL)
        return HUB_INTERNAL;
    (void)snprintf(err->path, sizeof err->path, "%s", path);
    (void)drop_half_character(err->path, sizeof err->path);
    err->line = line;
    return err->result;
}

void hub_error_number(struct hub_error *err, int64_t number)
{
    if (err == NULL)
        return;
    err->has_number = true;
    err->number = number;
}

static size_t append(char *out, size_t cap, size_t len, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static size_t append(char *out, size_t cap, size_t len, const char *format, ...)
{
    if (len + 1 >= cap)
        return len;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out + len, cap - len, format, args);
    va_end(args);
    if (n < 0)
        return len;
    return (size_t)n >= cap - len ? cap - 1 : len + (size_t)n;
}

size_t hub_error_print(const struct hub_error *err, char *out, size_t out_cap)
{
    HUB_ASSERT(out_cap > 0);
    size_t len = 0;
    out[0] = '\0';
    if (err->path[0] != '\0')
        len = append(out, out_cap, len, err->line != 0 ? "%s:%u: " : "%s: ", err->path, err->line);
    if (err->place[0] != '\0')
        len = append(out, out_cap, len, "%s: ", err->place);
    len = append(out, out_cap, len, "%s", err->what != NULL ? err->what : hub_result_text(err->result));
    if (err->has_number)
        len = append(out, out_cap, len, " (%lld)", (long long)err->number);
    if (err->mend != NULL && err->mend[0] != '\0')
        len = append(out, out_cap, len, "; %s", err->mend);
    return drop_half_character(out, out_cap);
}

void hub_assert_failed(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "chartline: invariant broken: %s at %s:%d\n", expr, file, line);
    abort();
}
