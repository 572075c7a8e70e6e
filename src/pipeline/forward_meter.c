#include "src/pipeline/forward_internal.h"

enum { MINUTE_US = 60000000, SECOND_US = 1000000, STEPS = 4 };

/* Four buckets to each doubling, from 1 us on. */
static unsigned bucket_of(int64_t us)
{
    uint64_t value = us > 1 ? (uint64_t)us : 1;
    unsigned power = 63U - (unsigned)__builtin_clzll(value);
    unsigned quarter = power >= 2 ? (unsigned)(value >> (power - 2)) & 3U : 0;
    unsigned bucket = power * STEPS + quarter;
    return bucket < HUB_METER_BUCKETS ? bucket : HUB_METER_BUCKETS - 1;
}

/* Its upper end. */
static int64_t latency_of(unsigned bucket)
{
    unsigned power = bucket / STEPS;
    return (int64_t)(((uint64_t)(bucket % STEPS) + STEPS + 1) << power) / STEPS;
}

static void turn(struct hub_forward_meter *m, int64_t now_us)
{
    int64_t minute = now_us / MINUTE_US;
    int64_t second = now_us / SECOND_US;
    if (minute != m->minute) {
        bool next = minute == m->minute + 1;
        for (unsigned i = 0; i < HUB_METER_BUCKETS; i++) {
            m->window[1][i] = next ? m->window[0][i] : 0;
            m->window[0][i] = 0;
        }
        m->minute = minute;
    }
    for (int64_t s = m->second + 1; s <= second && s <= m->second + HUB_METER_SECONDS + 1; s++)
        m->seconds[s % (HUB_METER_SECONDS + 1)] = 0;
    if (second - m->second > HUB_METER_SECONDS)
        for (unsigned i = 0; i <= HUB_METER_SECONDS; i++)
            m->seconds[i] = 0;
    m->second = second;
}

void hub_forward_meter_add(struct hub_forward_meter *m, int64_t now_us, int64_t latency_us)
{
    turn(m, now_us);
    m->window[0][bucket_of(latency_us)]++;
    m->seconds[m->second % (HUB_METER_SECONDS + 1)]++;
}

int64_t hub_forward_meter_latency(const struct hub_forward_meter *m, unsigned per_mille)
{
    uint64_t all = 0, seen = 0;
    for (unsigned i = 0; i < HUB_METER_BUCKETS; i++)
        all += m->window[0][i] + m->window[1][i];
    for (unsigned i = 0; i < HUB_METER_BUCKETS && all != 0; i++) {
        seen += m->window[0][i] + m->window[1][i];
        if (seen * 1000 >= all * per_mille)
            return latency_of(i);
    }
    return 0;
}

/* Of whole seconds: the one under way is left out. */
uint64_t hub_forward_meter_rate(struct hub_forward_meter *m, int64_t now_us)
{
    uint64_t sum = 0;
    turn(m, now_us);
    for (int64_t s = 0; s <= HUB_METER_SECONDS; s++)
        if (s != m->second % (HUB_METER_SECONDS + 1))
            sum += m->seconds[s];
    return sum / HUB_METER_SECONDS;
}
