#include "src/identity/order.h"

#include "src/base/clock.h"

int hub_order_compare(const struct hub_order *a, const struct hub_order *b)
{
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us ? -1 : 1;
    if (a->message_us != b->message_us)
        return a->message_us < b->message_us ? -1 : 1;
    int d = hub_span_compare(a->event, b->event);
    if (d != 0)
        return d;
    return a->n == b->n ? 0 : a->n < b->n ? -1 : 1;
}

/* The part of TEXT before an offset or "Z". */
static size_t local_len(struct hub_span text)
{
    for (size_t i = 11; i < text.len; i++) {
        if (text.ptr[i] == 'Z' || text.ptr[i] == 'z' || text.ptr[i] == '+' || text.ptr[i] == '-')
            return i;
    }
    return text.len;
}

bool hub_moment_us(struct hub_span text, int64_t *us)
{
    /* The missing rest of a shorter text is its interval's start. */
    static const char start[] = "0000-01-01T00:00:00";
    char full[64];
    if (text.len < 4 || text.len + sizeof start > sizeof full)
        return false;
    size_t local = local_len(text);
    size_t head = local < sizeof start - 1 ? local : sizeof start - 1;
    bool whole = head == 4 || head == 7 || head == 10 || head == 13 || head == 16 || head == 19;
    if (!whole)
        return false;
    memcpy(full, start, sizeof start);
    memcpy(full, text.ptr, head);
    size_t len = sizeof start - 1;
    memcpy(full + len, text.ptr + head, text.len - head);
    len += text.len - head;
    if (local == text.len)
        full[len++] = 'Z';
    return hub_time_parse(full, len, us) == 0;
}
