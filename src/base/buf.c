#include "src/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "src/base/mem.h"

void hub_buf_init(struct hub_buf *buf, size_t bytes_max, bool wipe)
{
    memset(buf, 0, sizeof *buf);
    buf->bytes_max = bytes_max;
    buf->wipe = wipe;
}

void hub_buf_deinit(struct hub_buf *buf)
{
    if (buf->wipe && buf->ptr != NULL)
        hub_mem_wipe(buf->ptr, buf->cap);
    hub_mem_free(buf->ptr);
    memset(buf, 0, sizeof *buf);
}

void hub_buf_reset(struct hub_buf *buf)
{
    if (buf->wipe && buf->len != 0)
        hub_mem_wipe(buf->ptr, buf->len);
    buf->len = 0;
    buf->failed = HUB_OK;
}

enum hub_result hub_buf_result(const struct hub_buf *buf)
{
    return buf->failed;
}

static bool grow(struct hub_buf *buf, size_t need)
{
    enum { FIRST = 256, LARGE = 1024 * 1024 };
    size_t cap = buf->cap < FIRST ? FIRST : buf->cap;
    while (cap < need && cap < LARGE)
        cap *= 2;
    if (cap < need) { /* large ones by a quarter, and a little beside what comes at once: they are costly to copy */
        const size_t more = need > SIZE_MAX / 2 ? need : need + need / 16;
        cap = cap + cap / 4 > more ? cap + cap / 4 : more;
    }
    if (cap > buf->bytes_max && need <= buf->bytes_max)
        cap = need > buf->bytes_max ? need : buf->bytes_max;
    uint8_t *ptr = NULL;
    if (!buf->wipe) {
        ptr = hub_mem_resize(buf->ptr, cap);
    } else if ((ptr = hub_mem_resize(NULL, cap)) != NULL) {
        if (buf->len != 0)
            memcpy(ptr, buf->ptr, buf->len);
        if (buf->ptr != NULL)
            hub_mem_wipe(buf->ptr, buf->cap);
        hub_mem_free(buf->ptr);
    }
    if (ptr == NULL)
        return false;
    buf->ptr = ptr;
    buf->cap = cap;
    return true;
}

uint8_t *hub_buf_grow(struct hub_buf *buf, size_t len)
{
    if (buf->failed != HUB_OK)
        return NULL;
    if (len > buf->bytes_max || buf->len > buf->bytes_max - len) {
        buf->failed = HUB_TOO_LARGE;
        return NULL;
    }
    if (buf->len + len > buf->cap && !grow(buf, buf->len + len)) {
        buf->failed = HUB_NO_MEMORY;
        return NULL;
    }
    /* an empty reservation of an empty buffer still needs a pointer that is not NULL */
    if (buf->ptr == NULL && !grow(buf, 1)) {
        buf->failed = HUB_NO_MEMORY;
        return NULL;
    }
    return buf->ptr + buf->len;
}

void hub_buf_append_u64(struct hub_buf *buf, uint64_t number)
{
    char text[20];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    hub_buf_append(buf, text + at, sizeof text - at);
}

void hub_buf_append_be16(struct hub_buf *buf, uint16_t number)
{
    uint8_t bytes[2] = {(uint8_t)(number >> 8), (uint8_t)number};
    hub_buf_append(buf, bytes, sizeof bytes);
}

void hub_buf_append_be32(struct hub_buf *buf, uint32_t number)
{
    hub_buf_append_be16(buf, (uint16_t)(number >> 16));
    hub_buf_append_be16(buf, (uint16_t)number);
}

void hub_buf_append_be64(struct hub_buf *buf, uint64_t number)
{
    hub_buf_append_be32(buf, (uint32_t)(number >> 32));
    hub_buf_append_be32(buf, (uint32_t)number);
}

void hub_buf_printf(struct hub_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *to = len < 0 ? NULL : hub_buf_reserve(buf, (size_t)len + 1);
    if (to != NULL) {
        (void)vsnprintf((char *)to, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void hub_buf_consume(struct hub_buf *buf, size_t len)
{
    HUB_ASSERT(len <= buf->len);
    if (len == 0)
        return;
    memmove(buf->ptr, buf->ptr + len, buf->len - len);
    buf->len -= len;
}

struct hub_span hub_buf_view(const struct hub_buf *buf)
{
    return hub_span_of(buf->ptr, buf->len);
}

const char *hub_buf_str(struct hub_buf *buf)
{
    uint8_t *end = hub_buf_reserve(buf, 1);
    if (end == NULL)
        return "";
    *end = '\0';
    return (const char *)buf->ptr;
}
